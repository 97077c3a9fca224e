#!/bin/sh
# Lets the four database users in with the user names and passwords of their URLs, which are read
# from the files database_url_* in $SECRETS. Run by a superuser, as often as wanted: PostgreSQL's
# image does it once, after it has made its files; psql's own PG… variables say where the server is.
#   logins.sh          makes what is missing, and sets the passwords
#   logins.sh retire   also takes the password of every login that no URL names any more
set -eu

SECRETS=${SECRETS:-/run/secrets}
SQL=${SQL:-/etc/dragoman}
export PGUSER="${PGUSER:-${POSTGRES_USER:-postgres}}"
run() { psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -d postgres "$@" >/dev/null; }

run -v database=dragoman -f "$SQL/roles.sql"
for service in migrate registry chat_worker discovery_worker; do
    url=$(cat "$SECRETS/database_url_$service")
    credentials=${url#*://}
    credentials=${credentials%%@*}
    # Through the environment: a command line is seen by every process of the machine.
    ROLE="dragoman_$service" LOGIN="${credentials%%:*}" PASSWORD="${credentials#*:}" \
        run -v retire="${1:-}" -f "$SQL/login.sql"
done
