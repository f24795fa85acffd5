#!/usr/bin/env bash
# The same storm over one SQLite file that two services share: killed in the middle of whatever they do, they lose no
# certificate that a client holds, use no invite twice, and forget no revocation that was confirmed.
# needs: python3 openssl
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/storm.sh"

expect_success "$COUNTERSIGN" init --name "Storm" --no-constraints
storm --kill
[ "$(storm_counted kills)" -gt 0 ] || fail "no service was killed"
[ "$(storm_counted asked)" -gt 0 ] || fail "nothing was revoked"
