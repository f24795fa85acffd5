#!/usr/bin/env bash
# Through a box that hangs up on a ClientHello larger than one TCP segment, `fetch` and `connect` fail and `doctor` names
# the box; with --classical both get through, and the same calls without the box need no flag.
# needs: node curl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Boxed"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --allow-cn alice
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)

# The box: it looks at the length in the first record, and never waits for what does not fit into 1460 octets.
cat >box.js <<'END'
const net = require('net');
net.createServer(client => {
  let head = Buffer.alloc(0);
  client.on('error', () => {});
  client.on('data', function look(data) {
    head = Buffer.concat([head, data]);
    if (head.length < 5) return;
    client.off('data', look);
    if (head.readUInt16BE(3) + 5 > 1460) return client.destroy();
    const server = net.connect(process.argv[2], '127.0.0.1');
    server.on('error', () => client.destroy());
    server.write(head);
    client.pipe(server).pipe(client);
  });
}).listen(0, '127.0.0.1', function () { console.log(`box on :${this.address().port}`); });
END
start_server node box.js "$port"
wait_for_line "$SERVER_LOG" 'box on :[0-9]+'
box=${LINE##*:}

fetch() { "$COUNTERSIGN" fetch --cacert rootCA.pem --cert alice.pem --key alice-key.pem "$@"; }
expect_success fetch "https://localhost:$port/"
assert_contains "$STDOUT" "X25519MLKEM768" "the group without the box"
expect_failure 35 fetch "https://localhost:$box/"
expect_success fetch --classical "https://localhost:$box/"
assert_contains "$STDOUT" "hello, alice" "what --classical got through"
assert_lacks "$STDOUT" "MLKEM" "the group"

expect_failure 1 "$COUNTERSIGN" doctor --cacert rootCA.pem --cert alice.pem --key alice-key.pem "https://localhost:$box/"
assert_contains "$STDOUT" "large_client_hello_dropped" "the finding"
assert_contains "$STDOUT" "--classical" "the way out"

for flag in '' --classical; do
    start_server "$COUNTERSIGN" connect --listen 127.0.0.1:0 --to "localhost:$box" --cacert rootCA.pem \
        --cert alice.pem --key alice-key.pem $flag
    wait_for_line "$SERVER_LOG" '127.0.0.1:[0-9]+.* -> '
    local_port=$(grep -o -E '127.0.0.1:[0-9]+' <<<"$LINE" | head -n1)
    run curl -sS --max-time 20 "http://$local_port/"
    if [ -n "$flag" ]; then
        assert_contains "$STDOUT" "hello, alice" "what curl got through the tunnel with --classical"
    else
        [ "$STATUS" -ne 0 ] || fail "the tunnel got through the box without --classical"
    fi
    stop_server
done
