#!/usr/bin/env bash
# A real Node.js https server with requestCert and rejectUnauthorized, running on our certificates, lets in curl,
# Node.js and `fetch` with client certificates of every key type, and refuses those without one.
# needs: curl node
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Node server"

cat >server.mjs <<'X'
import https from 'node:https';
import fs from 'node:fs';
const server = https.createServer({
  cert: fs.readFileSync('localhost.pem'), key: fs.readFileSync('localhost-key.pem'),
  ca: fs.readFileSync('rootCA.pem'), requestCert: true, rejectUnauthorized: true,
}, (request, response) => response.end(`hello, ${request.socket.getPeerCertificate().subject.CN}\n`));
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
X

for key in p256 p384 ed25519 rsa2048 rsa3072 rsa4096; do
    mkdir "$key"
    cd "$key"
    expect_success "$COUNTERSIGN" issue server localhost --key "$key"
    expect_success "$COUNTERSIGN" issue client bob --key "$key"
    start_server node ../server.mjs
    wait_for_line "$SERVER_LOG" '^port [0-9]+'
    url=https://localhost:${LINE#port }/
    expect_success curl -sS --cacert rootCA.pem --cert bob.pem --key bob-key.pem "$url"
    assert_eq "hello, bob" "$STDOUT" "what curl got"
    expect_success "$COUNTERSIGN" fetch --cacert rootCA.pem --cert bob.pem --key bob-key.pem "$url"
    assert_eq "hello, bob" "$STDOUT" "what fetch got"
    expect_failure any curl -sS --cacert rootCA.pem "$url"
    expect_failure 35,52,56 "$COUNTERSIGN" fetch --cacert rootCA.pem "$url"
    stop_server
    cd ..
done
