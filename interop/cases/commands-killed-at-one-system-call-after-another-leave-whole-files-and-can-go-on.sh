#!/usr/bin/env bash
# issue, renew, revoke, crl, join and agent are killed at one system call after the other that changes something: what is there
# is whole, nobody may read a key who may not, and the next command goes on from there; an invite that was used is good for
# whoever was cut off. A gateway killed while it loads anew starts again with what is in its files.
# needs: curl openssl python3 strace
# CRASHES=--all goes through every call, which takes some minutes.
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --no-constraints
mkdir work
cp "$COUNTERSIGN_HOME/rootCA.pem" work
port=$(free_port)
start_server "$COUNTERSIGN" ca serve --listen "127.0.0.1:$port" --grace 1h
wait_for_line "$SERVER_LOG" 'Ctrl-C'
# shellcheck disable=SC2086 # A word or none.
expect_success python3 "$INTEROP/crashes.py" "$COUNTERSIGN" "$COUNTERSIGN_HOME" work "https://localhost:$port" \
    issue renew revoke crl join agent replace ${CRASHES:-}
say "$STDOUT"
for kind in issue renew revoke crl join agent replace; do
    assert_contains "$STDOUT" "$kind " "what was ended"
done
ended=$(grep -o '[0-9]*' <<<"$STDOUT" | awk '{ sum += $1 } END { print sum }')
[ "$ended" -ge 100 ] || fail "only $ended commands were ended"

# A gateway keeps its memory to itself: only root may look when it opens which file.
[ "$(id -u)" -eq 0 ] || exit 0
say "a gateway is killed at each file that it reads again"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
gateway=$(free_port)
serve=("$COUNTERSIGN" serve --listen "127.0.0.1:$gateway" --cert localhost.pem --key localhost-key.pem
    --client-ca rootCA.pem --allow-cn alice --handover handover.sock)
is_gone() { ! kill -0 "$serving" 2>/dev/null; }
for file in localhost.pem localhost-key.pem rootCA.pem; do
    start_server "${serve[@]}"
    wait_for_line "$SERVER_LOG" 'Ctrl-C'
    serving=$SERVER_PID
    expect_success "$COUNTERSIGN" issue server localhost --force
    start_server strace -f -p "$serving" -o trace -P "$PWD/$file" -P "$file" -e trace=openat -e inject=openat:signal=KILL
    wait_for_line "$SERVER_LOG" attached
    kill -HUP "$serving"
    SERVER_PID='' _wait_until "the gateway was killed" is_gone
    start_server "${serve[@]}"
    wait_for_line "$SERVER_LOG" 'Ctrl-C'
    expect_success curl -sS --cacert rootCA.pem --cert alice.pem --key alice-key.pem "https://localhost:$gateway/"
    stop_server
done
