#!/usr/bin/env bash
# The connection to PostgreSQL is cut at each question in turn while certificates are issued, before the question is passed on
# or when it is answered: what fails says so and leaves no certificate, what was said to be issued is on record, and the trail
# verifies.
# needs: pg_ctlcluster psql python3 setpriv
# FAULTS=all goes through every question of issue, revoke and invite.
. "$(dirname "$0")/../lib.sh"
. "$INTEROP/storm.sh"

storm_cluster
mkdir work
expect_success "$COUNTERSIGN" init
# shellcheck disable=SC2086 # A word or none.
expect_success python3 "$INTEROP/faults.py" "$COUNTERSIGN" "$COUNTERSIGN_HOME" work ${FAULTS:-}
say "$STDOUT"
met=${STDOUT%% *}
[ "$met" -ge 15 ] || fail "only $met faults were met"
