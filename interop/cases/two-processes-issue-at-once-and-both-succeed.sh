#!/usr/bin/env bash
# Twenty processes that issue at the same moment from one authority all succeed, with twenty different serials.
# needs: openssl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Crowd"
pids=()
for index in {1..20}; do
    "$COUNTERSIGN" issue client "client-$index" >"out-$index" 2>&1 &
    pids+=($!)
done
for pid in "${pids[@]}"; do
    wait "$pid" || { cat out-* >&2; fail "one of them did not succeed"; }
done
serials=$(for index in {1..20}; do openssl x509 -in "client-$index.pem" -noout -serial; done | sort -u | wc -l)
assert_eq 20 "$serials" "the number of serials"
expect_success "$COUNTERSIGN" list --search client --json
assert_eq 20 "$(grep -c '"serial_number"' <<<"$STDOUT")" "what the authority lists"
