#!/usr/bin/env bash
# The PKCS#12 that `issue --p12` writes opens in OpenSSL 3, in Node.js as `pfx` over a real handshake, in NSS's
# pk12util and in Java's keytool, with certificate, chain and key.
# needs: openssl node pk12util certutil keytool curl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "PKCS12"
expect_success "$COUNTERSIGN" issue server localhost
for key in p256 rsa2048; do
    expect_success "$COUNTERSIGN" issue client "carol-$key" --key "$key" --p12
    assert_file_mode 600 "carol-$key.p12"
    assert_file_mode 600 "carol-$key-p12-password.txt"
    password=carol-$key-p12-password.txt

    expect_success openssl pkcs12 -in "carol-$key.p12" -passin "file:$password" -noenc -out opened.pem
    assert_eq 2 "$(grep -c 'BEGIN CERTIFICATE' opened.pem)" "the number of certificates openssl found"
    assert_eq "$(openssl pkey -in opened.pem -pubout)" "$(openssl pkey -in "carol-$key-key.pem" -pubout)" "the key"

    mkdir "nss-$key"
    expect_success certutil -N -d "sql:nss-$key" --empty-password
    expect_success pk12util -i "carol-$key.p12" -d "sql:nss-$key" -w "$password"
    expect_success certutil -K -d "sql:nss-$key"
    assert_contains "$STDOUT" "carol-$key" "the keys NSS has"

    expect_success keytool -list -keystore "carol-$key.p12" -storetype PKCS12 -storepass:file "$password"
    assert_contains "$STDOUT" "PrivateKeyEntry" "what keytool sees"
done

start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem \
    --client-ca rootCA.pem --allow-cn carol-p256 --allow-cn carol-rsa2048
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
for key in p256 rsa2048; do
    expect_success node -e "
      const https = require('https'), fs = require('fs');
      const passphrase = fs.readFileSync('carol-$key-p12-password.txt', 'utf8').trim();
      https.get('https://localhost:$port/', { ca: fs.readFileSync('rootCA.pem'), pfx: fs.readFileSync('carol-$key.p12'), passphrase },
        response => response.pipe(process.stdout)).on('error', error => { throw error; });"
    assert_contains "$STDOUT" "carol-$key" "what Node.js got"
    expect_success curl -sS --cacert rootCA.pem --cert-type P12 \
        --cert "carol-$key.p12:$(cat "carol-$key-p12-password.txt")" "https://localhost:$port/"
    assert_contains "$STDOUT" "carol-$key" "what curl got"
done
