#!/usr/bin/env bash
# What explain says of conversations between curl, Node.js, OpenSSL and GnuTLS is what tshark says of the same capture
# with the same key log: the same messages with the same decrypted bytes, and the same bytes under the same names.
# needs: curl gnutls-cli node openssl tshark
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Agreement"
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice

cat >server.mjs <<'X'
import https from 'node:https';
import fs from 'node:fs';
const server = https.createServer({
  cert: fs.readFileSync('localhost.pem'), key: fs.readFileSync('localhost-key.pem'),
  ca: fs.readFileSync('rootCA.pem'), requestCert: true, rejectUnauthorized: true,
}, (_, response) => response.end('hello\n'));
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
X
cp "$INTEROP/compare.mjs" .

# agree NAME SERVER_PORT COMMAND…: the command speaks to the server through a tap at port 0… the URL's port is PORT.
agree() {
    local name=$1 server=$2 port
    shift 2
    : >keys.log
    start_server "$COUNTERSIGN" explain --listen 127.0.0.1:0 --to "localhost:$server" --keylog keys.log --connections 1 \
        --pcapng "$name.pcapng" --json
    local tap_pid=$SERVER_PID tap_log=$SERVER_LOG
    wait_for_line "$tap_log" '^listening on 127.0.0.1:[0-9]+'
    port=${LINE#listening on 127.0.0.1:}
    port=${port%%,*}
    run "${@//PORT/$port}"
    wait_for_line "$tap_log" "a capture with its secrets embedded"
    wait "$tap_pid" || true
    assert_file_mode 600 "$name.pcapng"
    run "$COUNTERSIGN" explain "$name.pcapng" --keylog keys.log --json
    printf '%s' "$STDOUT" >"$name.json"
    expect_success node compare.mjs "$name.pcapng" keys.log "$server" "$name.json"
    say "$name: $STDOUT"
}

start_server node server.mjs
wait_for_line "$SERVER_LOG" '^port [0-9]+'
node=${LINE#port }
export SSLKEYLOGFILE=
curl_with=(env SSLKEYLOGFILE=keys.log curl -sS --cacert rootCA.pem)
agree curl-node "$node" "${curl_with[@]}" --cert alice.pem --key alice-key.pem "https://localhost:PORT/"
agree curl-node-tls12 "$node" "${curl_with[@]}" --tls-max 1.2 --cert alice.pem --key alice-key.pem "https://localhost:PORT/"
agree curl-node-without "$node" "${curl_with[@]}" "https://localhost:PORT/"

port=$(free_port)
start_server openssl s_server -accept "127.0.0.1:$port" -cert localhost.pem -cert_chain localhost.pem -key localhost-key.pem \
    -CAfile rootCA.pem -Verify 3 -verify_return_error -quiet -groups P-384
wait_for_port "$port"
agree openssl-retry "$port" openssl s_client -connect "localhost:PORT" -servername localhost -groups X25519:P-384 -cert alice.pem \
    -cert_chain alice.pem -key alice-key.pem -CAfile rootCA.pem -keylogfile keys.log -ign_eof -no_ign_eof
agree gnutls-openssl "$port" env SSLKEYLOGFILE=keys.log gnutls-cli --x509cafile rootCA.pem --x509certfile alice.pem \
    --x509keyfile alice-key.pem -p PORT localhost
agree gnutls-openssl-tls12 "$port" env SSLKEYLOGFILE=keys.log gnutls-cli --x509cafile rootCA.pem --x509certfile alice.pem \
    --x509keyfile alice-key.pem --priority NORMAL:-VERS-TLS1.3 -p PORT localhost
