#!/bin/sh
# Starts Valkey with one user, whose name and password are those of the URL in $SECRETS/redis_url.
# Whoever has not logged in may only PING. Nothing is kept on disk: all of it is expendable.
set -eu
umask 077

url=$(cat "${SECRETS:-/run/secrets}/redis_url")
credentials=${url#*://}
credentials=${credentials%%@*}
folder=$(mktemp -d)
digest=$(printf %s "${credentials#*:}" | sha256sum | cut -d ' ' -f 1)
cat >"$folder/users.acl" <<ACL
user default on nopass resetkeys resetchannels -@all +ping
user ${credentials%%:*} on #$digest ~* &* +@all -@admin -@dangerous +info
ACL
exec "${VALKEY:-valkey-server}" --aclfile "$folder/users.acl" --dir "$folder" \
    --save '' --appendonly no --maxmemory "${MAXMEMORY:-192mb}" --maxmemory-policy noeviction \
    --loglevel warning "$@"
