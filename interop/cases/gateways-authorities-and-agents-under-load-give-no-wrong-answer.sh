#!/usr/bin/env bash
# A few seconds of cargo xtask soak: gateways, authorities and agents together, with renewals, revocations, reloads, handovers
# and kills; no request fails, no answer is wrong, and nobody who was revoked comes in again.
# needs: python3
. "$(dirname "$0")/../lib.sh"

expect_success python3 "$INTEROP/soak.py" --binary "$COUNTERSIGN" --out soak --minutes 0.08 --clients 3
say "$STDOUT"
