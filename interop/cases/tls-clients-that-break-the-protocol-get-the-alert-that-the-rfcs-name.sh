#!/usr/bin/env bash
# Fifty-eight conversations that no honest client has (messages of the client certificate left out, doubled, damaged,
# signed otherwise; broken records), in TLS 1.2 and 1.3: each ends with the alert that the RFCs have for it, none is let in,
# and the server is afterwards what it was. Answers that differ stand in the table with their reason.
# needs: pypi:tlslite-ng
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client bob --key rsa2048
start_server "$COUNTERSIGN" serve --cert localhost.pem --key localhost-key.pem --client-ca rootCA.pem --allow-cn bob \
    --listen 127.0.0.1:0
wait_for_line "$SERVER_LOG" 'https://[^ ]*:[0-9]+'
port=$(sed -E 's|.*https://[^ ]*:([0-9]+).*|\1|' <<<"$LINE")
run "$INTEROP_PYTHON" "$INTEROP/conformance/handshakes.py" "$port" bob.pem bob-key.pem
printf '%s\n' "$STDOUT" "$STDERR"
assert_eq 0 "$STATUS" "conversations with another end"
assert_contains "$STDOUT" "58 conversations, 0 wrong"
