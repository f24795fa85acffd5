#!/usr/bin/env bash
# A real psql, which shows no certificate itself, speaks with a real PostgreSQL: through `connect` and through `serve` in
# TCP mode, mutual TLS between them. A client that was revoked is cut off in the middle of its session.
# needs: psql pg_ctlcluster setpriv
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Database"
expect_success "$COUNTERSIGN" issue client app

# PostgreSQL will not run as root, and keeps its socket beside its data.
as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; else "$@"; fi; }
# Debian keeps the server's programs out of PATH.
binaries=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n1)
data=$(mktemp -d /tmp/countersign-pg.XXXXXX)
at_exit rm -rf "$data"
chmod 700 "$data"
[ "$(id -u)" != 0 ] || chown 65534:65534 "$data"
cd "$data"
as_user env HOME="$data" "$binaries/initdb" -D "$data/db" -U postgres -A trust >initdb.log 2>&1 || fail "initdb failed: $(cat initdb.log)"
cd - >/dev/null
pg=$(free_port)
start_server as_user env HOME="$data" "$binaries/postgres" -D "$data/db" -p "$pg" -k "$data" -c listen_addresses=127.0.0.1
wait_for_line "$SERVER_LOG" 'ready to accept connections'

start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --to "tcp://127.0.0.1:$pg" --allow-cn app
wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+'
gateway=${LINE#https://localhost:}
gateway=${gateway%%/*}
start_server "$COUNTERSIGN" connect --listen 127.0.0.1:0 --to "localhost:$gateway" --cert app.pem --cacert rootCA.pem
tunnel=$SERVER_LOG
wait_for_line "$tunnel" '^127\.0\.0\.1:[0-9]+ -> '
port=${LINE#127.0.0.1:}
port=${port%% *}

ask() { psql -X -A -t -h 127.0.0.1 -p "$port" -U postgres "$@"; }
expect_success ask -c 'create table t as select generate_series(1, 200000) as n' -c 'select sum(n) from t'
assert_contains "$STDOUT" "20000100000"
expect_success ask -c 'copy t to stdout'
assert_eq 200000 "$(wc -l <.stdout | tr -d ' ')" "rows of a large answer"

say "a session of the revoked is cut off while it runs"
psql -X -h 127.0.0.1 -p "$port" -U postgres -c 'select pg_sleep(60)' >session.out 2>&1 &
session=$!
_wait_until "the session ran" sh -c "psql -X -A -t -h $data -p $pg -U postgres -c \"select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()\" | grep -q '^1$'"
expect_success "$COUNTERSIGN" revoke app
status=0
wait "$session" || status=$?
assert_eq 2 "$status" "psql's exit code for a connection that was lost"
wait_for_line "$tunnel" 'FAILED:|broke it off'
expect_failure 2 ask -c 'select 1'
wait_for_line "$tunnel" 'FAILED:certificate_revoked'
