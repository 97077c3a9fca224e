#!/bin/sh
# Makes the secrets that docker-compose.yml mounts, in secrets/ beside this script or in $SECRETS.
#   secrets.sh                 makes what is missing; leaves what is there
#   secrets.sh renew NAME…     new credentials for these, for example database_url_registry; the
#                              rest of a URL stays
# The files can be read by everybody, as containers run under user ids of their own, but nobody else
# of this machine can enter the folder.
set -eu
umask 077

folder=${SECRETS:-$(dirname "$0")/secrets}
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# What stands behind the @ of a URL: yours where there is one, else the composition's.
place() {
    if [ -e "$folder/$1" ]; then sed 's/^[^@]*@//' "$folder/$1"; else echo "$2"; fi
}

text() {
    case $1 in
    postgres_password | metrics_token) random ;;
    redis_url) echo "redis://dragoman:$(random)@$(place "$1" valkey:6379/0)" ;;
    database_url_migrate | database_url_registry | database_url_chat_worker | database_url_discovery_worker)
        login=dragoman_${1#database_url_}
        # The role's other login, so that the present one stays good meanwhile (see login.sql).
        if [ -e "$folder/$1" ] && grep -q "//$login:" "$folder/$1"; then login=${login}_b; fi
        echo "postgresql://$login:$(random)@$(place "$1" postgres:5432/dragoman)"
        ;;
    *)
        echo "Expected the name of a secret, got $1. Those in $folder are: $(ls "$folder")" >&2
        return 1
        ;;
    esac
}

write() {
    new=$(text "$1")
    # In place: a container has this very file mounted, and would not see another of its name.
    echo "$new" >"$folder/$1"
    chmod 444 "$folder/$1"
}

mkdir -p "$folder"
chmod 700 "$folder"
if [ "${1:-}" = renew ]; then
    shift
    for name in "$@"; do
        chmod 644 "$folder/$name" 2>/dev/null || true
        write "$name"
    done
    exit
fi
for name in postgres_password redis_url metrics_token database_url_migrate database_url_registry \
    database_url_chat_worker database_url_discovery_worker; do
    [ -e "$folder/$name" ] || write "$name"
done
