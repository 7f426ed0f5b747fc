#!/usr/bin/env bash
# A real TAP server (GAVO DaCHS on PostgreSQL 15 with pgSphere and q3c) on loopback, for the tests.
#   server.sh start|stop|status|url|clean      idempotent; start brings up what is down
#   server.sh kill-web|start-web               kill -9 the web server; start it again
#   server.sh dachs ARGUMENTS                  DaCHS's own command, for this server
# As root it installs what is missing with apt and runs everything as the system user "gavo"; as
# anyone else the packages must be there, and it runs as that user. All that it writes lies under
# JPASSED_TAP_ROOT; it has a database cluster of its own and leaves the distribution's alone.
#   JPASSED_TAP_ROOT    /var/tmp/jpassed-tests-tap
#   JPASSED_TAP_PORT    8089         of the web server
#   JPASSED_TAP_PGPORT  54330        of the database
#   JPASSED_TEST_DATA   ../shared/data beside the project: its spectra are served where it is there
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=${JPASSED_TAP_ROOT:-/var/tmp/jpassed-tests-tap}
PORT=${JPASSED_TAP_PORT:-8089}
PGPORT=${JPASSED_TAP_PGPORT:-54330}
SPECTRA=${JPASSED_TEST_DATA:-$HERE/../../../shared/data}/spectra
URL=http://127.0.0.1:$PORT
PGBIN=/usr/lib/postgresql/15/bin
PACKAGES=(python3-gavo postgresql-15 postgresql-15-pgsphere postgresql-15-q3c curl)
RUN_USER=$(id -un)
[ "$(id -u)" = 0 ] && RUN_USER=gavo

say() { printf '%s\n' "tap server: $*" >&2; }

as_user() {  # as the server's user, in a minimal environment
    local env=(env -i PATH=/usr/bin:/bin:"$PGBIN" HOME="$ROOT" LANG=C.UTF-8 LC_ALL=C.UTF-8
               GAVOSETTINGS="$ROOT/gavo.rc" PYTHONWARNINGS=ignore OMP_NUM_THREADS=1
               JPASSED_TAP_FILES="$ROOT/gavo/inputs/spectra/fits")
    if [ "$(id -u)" = 0 ]; then
        (cd "$ROOT" && runuser -u gavo -- "${env[@]}" "$@") 9>&-  # servers must not hold the lock
    else
        (cd "$ROOT" && "${env[@]}" "$@") 9>&-
    fi
}

logged() {  # run with a log, and show its end where it fails
    local log=$1; shift
    as_user "$@" >>"$ROOT/$log" 2>&1 || { tail -20 "$ROOT/$log" >&2; exit 1; }
}

install_packages() {
    local need=() p log
    for p in "${PACKAGES[@]}"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || need+=("$p")
    done
    [ ${#need[@]} = 0 ] && return 0
    [ "$(id -u)" = 0 ] || { say "missing packages; as root: apt-get install ${need[*]}"; exit 1; }
    say "installing ${need[*]}"
    # keep postgresql-common from making (and starting) a cluster that nobody asked for
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        mkdir -p /etc/postgresql-common
        printf 'create_main_cluster = false\n' > /etc/postgresql-common/createcluster.conf
    fi
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io "${need[@]}"; } \
        >"$log" 2>&1 || { tail -20 "$log" >&2; exit 1; }
    rm -f "$log"
}

prepare() {
    if [ "$(id -u)" = 0 ]; then
        getent group gavo >/dev/null || groupadd --system gavo
        getent passwd gavo >/dev/null ||
            useradd --system --no-create-home --home-dir "$ROOT" --shell /bin/sh -g gavo gavo
        chown gavo:gavo "$ROOT"
    fi
    local group; group=$(id -gn); [ "$(id -u)" = 0 ] && group=gavo
    # 100,000 rows are more than hardMAXREC: who wants all of them has to page. A query that names
    # no limit gets defaultMAXREC.
    as_user sh -c "cat > '$ROOT/gavo.rc.new'" <<RC
[general]
rootDir: $ROOT/gavo
gavoGroup: $group
group: $group
maintainerAddress: root@localhost
sendmail: cat > /dev/null
[web]
serverURL: $URL
bindAddress: 127.0.0.1
serverPort: $PORT
user: $RUN_USER
sitename: jpassed loopback
maxUploadSize: 50000000
maxSyncUploadSize: 5000000
[async]
defaultMAXREC: 20000
hardMAXREC: 50000
maxTAPRunning: 8
[ivoa]
authority: x-jpassed.test
RC
    as_user sh -c 'cmp -s gavo.rc.new gavo.rc && rm gavo.rc.new || mv gavo.rc.new gavo.rc'
}

pg_up()  { as_user "$PGBIN/pg_isready" -q -h "$ROOT/sock" -p "$PGPORT"; }
web_up() { curl -fsS -m 5 -o /dev/null "$URL/tap/availability" 2>/dev/null; }
web_pid() {
    local p; p=$(cat "$ROOT/gavo/state/web.pid" 2>/dev/null) || return 1
    [ -n "$p" ] && grep -qs dachs "/proc/$p/cmdline" && echo "$p"
}

start_pg() {
    if [ ! -f "$ROOT/pg/PG_VERSION" ]; then
        say "creating the database cluster"
        as_user "$PGBIN/initdb" --no-sync -D "$ROOT/pg" -E UTF8 --locale=C.UTF-8 -U gavosuper \
            --auth-local=trust --auth-host=scram-sha-256 >/dev/null
        as_user mkdir -p "$ROOT/sock"
        as_user sh -c "cat >> '$ROOT/pg/postgresql.conf'" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$ROOT/sock'
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 60
shared_buffers = 64MB
max_wal_size = 2GB
CONF
    fi
    pg_up || as_user "$PGBIN/pg_ctl" -D "$ROOT/pg" -o "-p $PGPORT" -w -l "$ROOT/pg.log" start \
        >/dev/null || { tail -20 "$ROOT/pg.log" >&2; exit 1; }
}

# Debian's pg_sphere 1.2.0 script gives two "@" operators a commutator and a negator that belong to
# "<@". PostgreSQL 15.18 took that; 15.20 rejects it: there a copy without those clauses stands in.
ensure_pgsphere() {
    local sql=("$PGBIN/psql" -q -v ON_ERROR_STOP=1 -h "$ROOT/sock" -p "$PGPORT" -U gavosuper
               -d gavo -c)
    local ext=/usr/share/postgresql/15/extension
    as_user "${sql[@]}" "CREATE EXTENSION IF NOT EXISTS pg_sphere" 2>"$ROOT/pgsphere.log" &&
        return 0
    if [ ! -f "$ext/pg_sphere--1.2.0.fixed.sql" ]; then
        [ "$(id -u)" = 0 ] ||
            { say "pg_sphere cannot be installed: $(tail -1 "$ROOT/pgsphere.log")"; exit 1; }
        say "working round pg_sphere's operator clash"
        /usr/bin/python3 "$HERE/fix_pgsphere.py" "$ext"
    fi
    as_user "${sql[@]}" "CREATE EXTENSION pg_sphere VERSION '1.2.0.fixed'"
}

initialise() {
    [ -f "$ROOT/.initialised" ] && return 0
    say "initialising DaCHS"
    as_user "$PGBIN/psql" -q -h "$ROOT/sock" -p "$PGPORT" -U gavosuper -d postgres \
        -c "CREATE DATABASE gavo ENCODING 'UTF8' TEMPLATE template0" 2>/dev/null || true
    ensure_pgsphere
    logged init.log dachs init -d "host=$ROOT/sock port=$PGPORT user=gavosuper dbname=gavo"
    touch "$ROOT/.initialised"
}

copy_folder() {  # the contents of a folder that the server's user may not be able to read
    as_user mkdir -p "$2"
    tar -C "$1" -cf - --exclude=__pycache__ . | as_user tar -C "$2" -xf - --no-same-permissions -m
    as_user chmod -R u+w "$2"
}

import_resources() {
    copy_folder "$HERE" "$ROOT/sources"
    local arguments=("$ROOT/sources" "$ROOT/gavo/inputs" "$ROOT/imported")
    if [ -f "$SPECTRA/spectra_index.csv" ]; then
        local fits="$ROOT/gavo/inputs/spectra/fits"
        diff -q "$SPECTRA/spectra_index.csv" "$fits/spectra_index.csv" >/dev/null 2>&1 ||
            copy_folder "$SPECTRA" "$fits"
        arguments+=("$fits")
    fi
    : >"$ROOT/import.log"
    logged import.log /usr/bin/python3 "$ROOT/sources/import_resources.py" "${arguments[@]}"
    if web_pid >/dev/null && grep -q '^imported' "$ROOT/import.log"; then
        as_user dachs serve reload >>"$ROOT/serve.log" 2>&1
    fi
}

# A server that was killed while it started a job takes that job for running for ever after, and
# a few of them leave no room for others.
free_jobs() {
    as_user "$PGBIN/psql" -q -h "$ROOT/sock" -p "$PGPORT" -U gavosuper -d gavo >>"$ROOT/serve.log" 2>&1 \
        -c "UPDATE tap_schema.tapjobs SET phase = 'ERROR' WHERE phase = 'EXECUTING' AND pid = -1" ||
        say "the jobs of a killed server could not be ended; see $ROOT/serve.log"
}

start_web() {
    if web_up && ! web_pid >/dev/null; then
        say "port $PORT is taken by another server (set JPASSED_TAP_PORT)"; exit 1
    fi
    if ! web_up; then
        web_pid >/dev/null || { rm -f "$ROOT/gavo/state/web.pid"; free_jobs; }
        as_user dachs serve start >>"$ROOT/serve.log" 2>&1
    fi
    for _ in $(seq 300); do web_up && return 0; sleep 0.2; done
    say "DaCHS did not come up; see $ROOT/serve.log and $ROOT/gavo/logs"; exit 1
}

stop_all() {
    [ -d "$ROOT/gavo" ] && web_pid >/dev/null && as_user dachs serve stop >/dev/null 2>&1 || true
    [ -f "$ROOT/pg/postmaster.pid" ] &&
        as_user "$PGBIN/pg_ctl" -D "$ROOT/pg" -m fast -w stop >/dev/null 2>&1 || true
}

mkdir -p "$ROOT"
# One at a time: several test runs may start the server at once.
exec 9>>"$ROOT.lock"
case "${1:-}" in start|stop|clean|start-web) flock 9 ;; esac

case "${1:-}" in
    start)  install_packages; prepare; start_pg; initialise; import_resources; start_web
            say "up at $URL/tap"; echo "$URL/tap" ;;
    stop)   stop_all; say "stopped" ;;
    status) if web_pid >/dev/null && web_up; then echo "up $URL/tap"; else echo "down"; exit 3; fi ;;
    url)    echo "$URL/tap" ;;
    clean)  stop_all; rm -rf -- "$ROOT"; say "removed $ROOT" ;;
    kill-web)  pid=$(web_pid) && kill -9 "$pid" && say "killed the web server" ;;
    start-web) start_web; say "up at $URL/tap" ;;
    dachs)  shift; as_user dachs "$@" ;;
    *)      echo "usage: $0 start|stop|status|url|clean|kill-web|start-web|dachs" >&2; exit 2 ;;
esac
