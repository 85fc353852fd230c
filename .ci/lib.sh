# For the checks that start a PostgreSQL of their own; they source this file.

# PostgreSQL refuses to run as root.
as_somebody() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; else "$@"; fi
}

# start_postgres FOLDER [PORT]: starts a server in that folder, which must be writable for everyone, on a socket there and,
# with a port, on 127.0.0.1. Its user is `registry`.
start_postgres() {
  local addresses="''"
  [ -z "${2:-}" ] || addresses=127.0.0.1
  programs=$(dirname "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -1)")
  as_somebody "$programs/initdb" --username=registry --auth=trust --encoding=UTF8 --no-sync -D "$1/data" >/dev/null
  as_somebody "$programs/pg_ctl" -D "$1/data" -w -l "$1/log" \
    -o "-k $1 -p ${2:-5432} -c listen_addresses=$addresses -c fsync=off" start >/dev/null
}

# stop_postgres FOLDER
stop_postgres() {
  as_somebody "$programs/pg_ctl" -D "$1/data" -m immediate stop >/dev/null 2>&1 || true
}
