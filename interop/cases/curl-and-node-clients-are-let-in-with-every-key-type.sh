#!/usr/bin/env bash
# Real curl and a real Node.js client reach `serve` with certificates of every key type on both sides, under
# TLS 1.3 and 1.2, and the server knows who they are; without a certificate neither gets in.
# needs: curl node
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Key types"

cat >client.mjs <<'X'
import https from 'node:https';
import fs from 'node:fs';
const [url, stem, maxVersion] = process.argv.slice(2);
const credentials = stem ? { cert: fs.readFileSync(`${stem}.pem`), key: fs.readFileSync(`${stem}-key.pem`) } : {};
https.get(url, { ca: fs.readFileSync('rootCA.pem'), maxVersion, ...credentials }, response => {
  response.pipe(process.stdout);
}).on('error', error => { console.error(error.code); process.exit(1); });
X

for key in p256 p384 ed25519 rsa2048 rsa3072 rsa4096; do
    mkdir "$key"
    cd "$key"
    expect_success "$COUNTERSIGN" issue server localhost --key "$key"
    expect_success "$COUNTERSIGN" issue client "alice-$key" --key "$key"
    start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem \
        --client-ca rootCA.pem --allow-cn "alice-$key"
    wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
    port=$(grep -o -m1 -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
    url=https://localhost:$port/
    for version in 1.2 1.3; do
        # OpenSSL 3.0 servers and clients speak Ed25519 under both versions.
        expect_success curl -sS --tlsv$version --tls-max $version --cacert rootCA.pem \
            --cert "alice-$key.pem" --key "alice-$key-key.pem" "$url"
        assert_contains "$STDOUT" "alice-$key" "what curl got under TLS $version"
        expect_success node ../client.mjs "$url" "alice-$key" "TLSv$version"
        assert_contains "$STDOUT" "alice-$key" "what Node.js got under TLS $version"
        expect_failure 56,35 curl -sS --tlsv$version --tls-max $version --cacert rootCA.pem "$url"
        assert_contains "$STDERR" "alert" "curl's words without a certificate"
        expect_failure any node ../client.mjs "$url" "" "TLSv$version"
    done
    stop_server
    cd ..
done
