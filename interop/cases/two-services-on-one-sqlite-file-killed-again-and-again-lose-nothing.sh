#!/usr/bin/env bash
# The same storm over one SQLite file that two services share: killed in the middle of whatever they do, with no octet of
# room on the disk now and then and the feeds of their gateways cut, they lose no certificate that a client holds, use no
# invite twice, and forget no revocation that was confirmed.
# needs: python3 openssl unshare
. "$(dirname "$0")/../small-disk.sh"
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/storm.sh"

small_disk 64
full=()
if [ -n "$SMALL_DISK" ]; then
    full=(--disk "$SMALL_DISK")
    export COUNTERSIGN_HOME=$SMALL_DISK/home
else
    say "no small file system can be had here: no disk runs full"
fi
expect_success "$COUNTERSIGN" init --name "Storm" --no-constraints
storm --kill --cut "${full[@]}"
[ "$(storm_counted kills)" -gt 0 ] || fail "no service was killed"
[ "$(storm_counted cut)" -gt 0 ] || fail "no feed was cut"
[ -z "$SMALL_DISK" ] || [ "$(storm_counted full)" -gt 0 ] || fail "the disk was never full"
[ "$(storm_counted asked)" -gt 0 ] || fail "nothing was revoked"
