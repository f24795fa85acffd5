#!/usr/bin/env bash
# The recordings that the tests explain, with early data taken and refused, key updates, compressed certificates, CBC and
# CCM, browsers and refusals: what explain says of each message and field is what tshark says of the same bytes.
# needs: node tshark
. "$(dirname "$0")/../lib.sh"

for recording in "$INTEROP"/../crates/explain/tests/walk/conversations/*.transcript; do
    name=$(basename "$recording" .transcript)
    # Some end with a finding, which is theirs to have.
    run "$COUNTERSIGN" -q explain --from "$recording" --pcapng "$name.pcapng"
    [ -s "$name.pcapng" ] || fail "$name is not written"
    awk '/^secret / { print $2, $3, $4 }' "$recording" >>keys.log
done
# One file for all, since tshark takes its time to start. Each keeps its own secrets.
mergecap -w all.pcapng ./*.pcapng
run "$COUNTERSIGN" explain all.pcapng --json
printf '%s' "$STDOUT" >all.json
ports=$(node -p "const { connections } = JSON.parse(require('fs').readFileSync('all.json'));
    if (connections.length < 20) throw new Error(connections.length + ' connections');
    [...new Set(connections.map((one) => one.server.split(':').at(-1)))].join()")
expect_success node "$INTEROP/compare.mjs" all.pcapng keys.log "$ports" all.json
say "$STDOUT"
