#!/usr/bin/env bash
# While a random one of two replicas is killed again and again, PostgreSQL under them is restarted as if it had crashed,
# and the clock of one replica jumps, fifty clients join, renew and revoke. At the end every certificate that a client
# holds is in the store and the log, each invite was used once, no serial number is there twice, and no list and no OCSP
# answer that was asked for after a revocation calls its certificate good.
# needs: python3 openssl pg_ctlcluster setpriv faketime
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/storm.sh"

storm_cluster
expect_success "$COUNTERSIGN" init --name "Storm" --no-constraints
clock=$(find /usr/lib /usr/lib64 -name libfaketime.so.1 2>/dev/null | head -n1)
storm --kill --database "$STORM_RESTART" --clock "$clock"
[ "$(storm_counted kills)" -gt 0 ] || fail "no replica was killed"
[ "$(storm_counted asked)" -gt 0 ] || fail "nothing was revoked"
