#!/usr/bin/env bash
# A hundred and sixty conversations in HTTP/2 over mutual TLS, section by section of RFC 9113: frames of wrong sizes and on wrong
# streams, field blocks that cannot be read, settings, windows, pseudo-headers, names and lengths that may not be, and the
# floods that brought servers down (rapid reset, CONTINUATION without end, HPACK bombs, and others). Each gets the error that
# the RFC has for it, and after each flood the next request is answered. Answers that differ stand in the table with their reason.
# needs: python3
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client bob
start_server "$COUNTERSIGN" serve --cert localhost.pem --key localhost-key.pem --client-ca rootCA.pem --allow-cn bob \
    --listen 127.0.0.1:0
wait_for_line "$SERVER_LOG" 'https://[^ ]*:[0-9]+'
port=$(sed -E 's|.*https://[^ ]*:([0-9]+).*|\1|' <<<"$LINE")
run python3 -B "$INTEROP/conformance/http2.py" "$port" bob.pem bob-key.pem rootCA.pem
printf '%s\n' "$STDOUT" "$STDERR"
assert_eq 0 "$STATUS" "conversations with another end"
count=$(tail -n1 <<<"$STDOUT" | grep -o '^[0-9]*')
[ "$count" -ge 160 ] || fail "only $count conversations were had"
assert_lacks "$(cat "$SERVER_LOG")" panicked "the server's log"
