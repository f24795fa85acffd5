#!/usr/bin/env bash
# Four hundred conversations that no honest client has, in TLS 1.2 and 1.3: ClientHellos that are wrong in every field and
# extension, messages of the client certificate left out, doubled, damaged, cut, out of order and signed otherwise, sealed
# records of every wrong form, key updates, alerts and ChangeCipherSpec at the wrong moment. Each ends with the alert that the
# RFCs have for it, none is let in, what must be borne is borne, and the server is afterwards what it was. Answers that differ
# stand in the tables with their reason.
# needs: python3 pypi:tlslite-ng
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client bob --key rsa2048
start_server "$COUNTERSIGN" serve --cert localhost.pem --key localhost-key.pem --client-ca rootCA.pem --allow-cn bob \
    --listen 127.0.0.1:0
wait_for_line "$SERVER_LOG" 'https://[^ ]*:[0-9]+'
port=$(sed -E 's|.*https://[^ ]*:([0-9]+).*|\1|' <<<"$LINE")
tables=0
# table LEAST COMMAND…: at least so many conversations, and none with another end than its line allows.
table() {
    local least=$1 count
    shift
    run "$@"
    printf '%s\n' "$STDOUT" "$STDERR"
    assert_eq 0 "$STATUS" "conversations with another end"
    count=$(tail -n1 <<<"$STDOUT" | grep -o '^[0-9]*')
    [ "$count" -ge "$least" ] || fail "only $count conversations were had"
    tables=$((tables + 1))
}
table 170 python3 -B "$INTEROP/conformance/hellos.py" "$port"
table 58 "$INTEROP_PYTHON" -B "$INTEROP/conformance/handshakes.py" "$port" bob.pem bob-key.pem
table 180 "$INTEROP_PYTHON" -B "$INTEROP/conformance/records.py" "$port" bob.pem bob-key.pem
assert_eq 3 "$tables"
assert_lacks "$(cat "$SERVER_LOG")" panicked "the server's log"
