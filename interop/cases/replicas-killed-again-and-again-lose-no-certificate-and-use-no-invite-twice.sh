#!/usr/bin/env bash
# While a random one of two replicas is killed again and again, PostgreSQL under them is restarted as if it had crashed and
# its disk runs full, the clock of one replica jumps, and the feeds of two gateways are cut, fifty clients join, renew and
# revoke. At the end every certificate that a client holds is in the store and the log, each invite was used once, no serial
# number is there twice, no list and no OCSP answer that was asked for after a revocation calls its certificate good, and the
# gateways let in whoever holds a good one and nobody else.
# needs: python3 openssl pg_ctlcluster setpriv faketime unshare
SMALL_DISK_NEEDS_ROOT=yes
. "$(dirname "$0")/../small-disk.sh"
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/storm.sh"

storm_cluster 160
full=()
if [ -n "$SMALL_DISK" ]; then full=(--disk "$SMALL_DISK"); else say "no small file system can be had here: no disk runs full"; fi
expect_success "$COUNTERSIGN" init --name "Storm" --no-constraints
clock=$(find /usr/lib /usr/lib64 -name libfaketime.so.1 2>/dev/null | head -n1)
storm --kill --cut --database "$STORM_RESTART" --clock "$clock" "${full[@]}"
[ "$(storm_counted kills)" -gt 0 ] || fail "no replica was killed"
[ "$(storm_counted database)" -gt 0 ] || fail "PostgreSQL was never restarted"
[ "$(storm_counted cut)" -gt 0 ] || fail "no feed was cut"
[ -z "$SMALL_DISK" ] || [ "$(storm_counted full)" -gt 0 ] || fail "the disk was never full"
[ "$(storm_counted asked)" -gt 0 ] || fail "nothing was revoked"
