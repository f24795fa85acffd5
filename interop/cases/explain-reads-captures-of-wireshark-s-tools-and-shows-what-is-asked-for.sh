#!/usr/bin/env bash
# A live handshake goes on past a server that is not believed; what is saved is read back the same, and Wireshark opens
# it without a key log; captures that editcap and mergecap made are read, closed and opened, one connection or many; one
# message, all bytes and the secrets are shown on demand alone; and each wrong call is told what is wrong with it.
# needs: node tshark
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Shown"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
expect_success "$COUNTERSIGN" --home other init --name "Stranger"
cat >server.mjs <<'JS'
import https from 'node:https';
import fs from 'node:fs';
const server = https.createServer({
  cert: fs.readFileSync('localhost.pem'), key: fs.readFileSync('localhost-key.pem'),
  ca: fs.readFileSync('rootCA.pem'), requestCert: true, rejectUnauthorized: true,
}, (_, response) => response.end('hello\n'));
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
JS
start_server node server.mjs
wait_for_line "$SERVER_LOG" '^port [0-9]+'
port=${LINE#port }
url=https://localhost:$port
own=(--cert alice.pem --key alice-key.pem)

say "the walk goes on past a server that is not believed, and says so"
expect_failure 1 "$COUNTERSIGN" explain "$url" "${own[@]}" --cacert other/rootCA.pem
assert_contains "$STDOUT" "unknown_issuer"
assert_contains "$STDOUT" "NewSessionTicket" "what came after Finished"

say "what is saved reads back the same, and is for its owner alone"
expect_success "$COUNTERSIGN" explain "$url" "${own[@]}" --cacert rootCA.pem --get / --save live.transcript --pcapng live.pcapng
live=$STDOUT
assert_file_mode 600 live.transcript
assert_file_mode 600 live.pcapng
expect_success "$COUNTERSIGN" explain --from live.transcript
diff <(echo "$live") <(echo "$STDOUT") || fail "what was saved is not what was shown"
expect_failure 2 "$COUNTERSIGN" explain --from live.transcript --save live.transcript
assert_contains "$STDERR" "--force"

say "Wireshark opens it by the secrets that are in it"
expect_success tshark -r live.pcapng -d "tcp.port==$port,tls" -Y http.response -T fields -e http.response.code
assert_eq 200 "$STDOUT" "what tshark reads"

say "secrets are shown on demand alone"
# Long values are broken over lines.
flat() { tr -d ' \n' <<<"$1"; }
secret=$(awk '/^secret CLIENT_HANDSHAKE/ { print $4 }' live.transcript)
assert_lacks "$(flat "$live")" "$secret" "the ladder"
assert_lacks "$live" "HTTP/1.1 200" "the ladder"
expect_success "$COUNTERSIGN" explain --from live.transcript --bytes
assert_lacks "$(flat "$STDOUT")" "$secret" "all bytes"
expect_success "$COUNTERSIGN" explain --from live.transcript --secrets
assert_contains "$(flat "$STDOUT")" "$secret" "what --secrets shows"

say "one message, on demand"
expect_success "$COUNTERSIGN" explain --from live.transcript --message 1
assert_contains "$STDOUT" "legacy_version"
assert_contains "$STDOUT" "RFC 8446 section 4.1.2"
assert_lacks "$STDOUT" "ServerHello "
expect_failure 2 "$COUNTERSIGN" explain --from live.transcript --message 99
assert_contains "$STDERR" "they are numbered 1 to"

say "without its secrets a capture tells sizes and order, and with a key log all"
editcap --discard-all-secrets live.pcapng closed.pcapng
awk '/^secret/ { print $2, $3, $4 }' live.transcript >keys.log
expect_success "$COUNTERSIGN" explain closed.pcapng
assert_contains "$STDOUT" "no secrets of this connection are at hand"
assert_lacks "$STDOUT" "CN=alice"
for format in pcap nsecpcap pcapng; do
    editcap -F "$format" closed.pcapng "closed.$format.cap"
    expect_success "$COUNTERSIGN" explain "closed.$format.cap" --keylog keys.log
    assert_contains "$STDOUT" "Both sides have proved who they are." "$format"
done
editcap --inject-secrets tls,keys.log closed.pcapng opened.pcapng
expect_success "$COUNTERSIGN" explain opened.pcapng
assert_contains "$STDOUT" "CN=alice" "a capture that editcap put the secrets into"

say "Node.js's own key log opens its client's connection"
cat >client.mjs <<'JS'
import https from 'node:https';
import fs from 'node:fs';
https.get({ port: process.argv[2], host: 'localhost', ca: fs.readFileSync('rootCA.pem'), agent: false,
  cert: fs.readFileSync('alice.pem'), key: fs.readFileSync('alice-key.pem') }, (response) => response.pipe(process.stdout));
JS
start_server "$COUNTERSIGN" explain --listen 127.0.0.1:0 --to "localhost:$port" --connections 1 --pcapng node.pcapng
tap=$SERVER_PID
wait_for_line "$SERVER_LOG" '^listening on 127.0.0.1:[0-9]+'
tapped=${LINE#listening on 127.0.0.1:}
expect_success node --tls-keylog=node.keys client.mjs "${tapped%%,*}"
assert_eq hello "$STDOUT" "what goes through the tap"
wait "$tap" || true
expect_success "$COUNTERSIGN" explain node.pcapng --keylog node.keys
assert_contains "$STDOUT" "Both sides have proved who they are."

say "several connections in one file are a table to choose from"
mergecap -w both.pcapng opened.pcapng node.pcapng
expect_success "$COUNTERSIGN" explain both.pcapng --keylog node.keys
assert_eq 3 "$(grep -c . <<<"$STDOUT")" "the table's lines"
assert_eq 2 "$(grep -c "complete, mutual" <<<"$STDOUT")" "mutual connections"
expect_success "$COUNTERSIGN" explain both.pcapng --keylog node.keys --connection 2
assert_eq 1 "$(grep -c '^ *1  ClientHello' <<<"$STDOUT")" "conversations shown"
expect_success "$COUNTERSIGN" explain both.pcapng --keylog node.keys --connection 0
assert_eq 2 "$(grep -c '^ *1  ClientHello' <<<"$STDOUT")" "conversations shown"
expect_failure 2 "$COUNTERSIGN" explain both.pcapng --connection 9
assert_contains "$STDERR" "there is no connection 9: both.pcapng has 2"

say "TLS 1.2 shows the certificates of both sides without any secret"
expect_success "$COUNTERSIGN" explain "$url" "${own[@]}" --cacert rootCA.pem --tls-max 1.2 --pcapng old.pcapng
editcap --discard-all-secrets old.pcapng old-closed.pcapng
expect_success "$COUNTERSIGN" explain old-closed.pcapng
assert_contains "$STDOUT" "CN=alice"
assert_contains "$STDOUT" "Now the server knows who the client is."

say "what is wrong with a call is told"
expect_failure 2 "$COUNTERSIGN" explain missing.pcapng
assert_contains "$STDERR" "there is no file missing.pcapng"
assert_contains "$STDERR" "https://missing.pcapng"
expect_failure 2 "$COUNTERSIGN" explain --from missing.transcript
assert_contains "$STDERR" "missing.transcript"
expect_failure 2 "$COUNTERSIGN" explain live.pcapng --keylog missing.log
assert_contains "$STDERR" "missing.log"
expect_failure 2 "$COUNTERSIGN" explain rootCA.pem
assert_contains "$STDERR" "neither a capture nor a transcript"
assert_contains "$STDERR" "countersign inspect rootCA.pem"
sed 's/^countersign transcript 1/countersign transcript 9/' live.transcript >newer.transcript
expect_failure 2 "$COUNTERSIGN" explain --from newer.transcript
assert_contains "$STDERR" "version 9"
expect_failure 3 "$COUNTERSIGN" explain "https://localhost:$(free_port)"
