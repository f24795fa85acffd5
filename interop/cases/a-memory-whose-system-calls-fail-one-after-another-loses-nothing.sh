#!/usr/bin/env bash
# Each system call on the authority's SQLite files fails in turn while certificates are issued, then there is too little memory
# or there are too few files to open: what fails says so and leaves no certificate, what was said to be issued is on record,
# and the trail verifies when the machine is well again.
# needs: python3 setpriv strace
# FAULTS=all goes through every call of init, issue, revoke and invite, which takes half a minute.
. "$(dirname "$0")/../lib.sh"

mkdir work
expect_success "$COUNTERSIGN" init
# shellcheck disable=SC2086 # A word or none.
expect_success python3 "$INTEROP/faults.py" "$COUNTERSIGN" "$COUNTERSIGN_HOME" work ${FAULTS:-}
say "$STDOUT"
met=${STDOUT%% *}
[ "$met" -ge 40 ] || fail "only $met faults were met"
