#!/usr/bin/env bash
# The PKCS#12 that the invite's page makes, in both of its formats, opens in OpenSSL 3, Node.js, NSS, Java's keytool and
# Python with the key, its certificate and the one above; the format for Apple has the algorithms that Apple's importers
# read and no newer one; without JavaScript the page still gives a certificate.
# needs: openssl node pk12util certutil keytool curl pypi:cryptography
. "$(dirname "$0")/../lib.sh"

cp "$INTEROP/browser/page-p12.mjs" .
expect_success "$COUNTERSIGN" init --name "Acme"
expect_success "$COUNTERSIGN" issue server localhost
ca_port=$(free_port)
start_server "$COUNTERSIGN" ca serve --listen "127.0.0.1:$ca_port"
wait_for_line "$SERVER_LOG" 'root sha256'
invite() {
    expect_success "$COUNTERSIGN" invite "$1"
    link=$(grep -o -E 'https://[^ #]+/i/[^ #]+' <<<"$STDOUT" | head -n1)
}
invite alice
expect_success node page-p12.mjs "$link" rootCA.pem alice
password=alice-password.txt

for format in modern compatible; do
    say "the $format format"
    file=alice-$format.p12
    # -legacy is not given: OpenSSL 3 reads both with what it has by default.
    expect_success openssl pkcs12 -in "$file" -passin "file:$password" -noenc -out "$format.pem"
    assert_eq 2 "$(grep -c 'BEGIN CERTIFICATE' "$format.pem")" "the number of certificates openssl found"
    assert_eq "$(cat alice-public.pem)" "$(openssl pkey -in "$format.pem" -pubout)" "the key"
    expect_success "$COUNTERSIGN" verify "$format.pem" --cacert rootCA.pem --purpose client

    expect_success node -e "
      const fs = require('fs'), tls = require('tls');
      const passphrase = fs.readFileSync('$password', 'utf8').trim();
      tls.createSecureContext({ pfx: fs.readFileSync('$file'), passphrase });
      try { tls.createSecureContext({ pfx: fs.readFileSync('$file'), passphrase: 'wrong' }); } catch { process.exit(0); }
      process.exit(3);"

    mkdir "nss-$format"
    expect_success certutil -N -d "sql:nss-$format" --empty-password
    expect_success pk12util -i "$file" -d "sql:nss-$format" -w "$password"
    expect_success certutil -K -d "sql:nss-$format"
    assert_contains "$STDOUT" "alice at Acme" "the keys NSS has"

    expect_success keytool -list -v -keystore "$file" -storetype PKCS12 -storepass:file "$password"
    assert_contains "$STDOUT" "PrivateKeyEntry" "what keytool sees"
    assert_contains "$STDOUT" "Certificate chain length: 2" "what keytool sees"

    expect_success "$INTEROP_PYTHON" -c "
from cryptography.hazmat.primitives.serialization import pkcs12
password = open('$password').read().strip().encode()
key, certificate, others = pkcs12.load_key_and_certificates(open('$file', 'rb').read(), password)
assert key.curve.name == 'secp256r1' and key.public_key() == certificate.public_key(), certificate
assert certificate.subject.rfc4514_string() == 'CN=alice' and len(others) == 1, others"

    expect_success openssl pkcs12 -in "$file" -passin "file:$password" -info -noout
    printf '%s\n' "$STDERR" >"$format.txt"
done

say "the algorithms, from the structure"
grep -v '^#' compatible.txt
assert_eq 2 "$(grep -c 'pbeWithSHA1And3-KeyTripleDES-CBC' compatible.txt)" "what certificates and key are sealed with"
assert_contains "$(cat compatible.txt)" "MAC: sha1, Iteration 2048" "the file for Apple"
assert_lacks "$(cat compatible.txt)" "PBES2" "the file for Apple"
assert_lacks "$(cat compatible.txt)" "sha256" "the file for Apple"
assert_eq 2 "$(grep -c 'PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256' modern.txt)" "the modern file"

say "the Apple profile holds the same file and the root"
expect_success "$INTEROP_PYTHON" -c "
import plistlib
profile = plistlib.load(open('alice.mobileconfig', 'rb'))
kinds = {one['PayloadType']: one['PayloadContent'] for one in profile['PayloadContent']}
assert kinds['com.apple.security.pkcs12'] == open('alice-compatible.p12', 'rb').read()
assert set(kinds) == {'com.apple.security.pkcs12', 'com.apple.security.root'}, set(kinds)"

say "without JavaScript: a pasted request, and the command that the page shows"
invite bob
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout bob-key.pem -out bob.csr 2>/dev/null
expect_success curl -sS --cacert rootCA.pem -H 'Accept: text/html' "$link"
assert_contains "$STDOUT" "<noscript>" "the page"
action=$(grep -o -E '<form method="post" action="[^"]+"' <<<"$STDOUT" | cut -d'"' -f4)
command=$(grep -o -E "countersign join &#39;[^&]+&#39;" <<<"$STDOUT" | head -n1 | sed "s/&#39;/'/g")
expect_success curl -sS --cacert rootCA.pem -H 'Accept: text/html' --data-urlencode request@bob.csr "https://localhost:$ca_port$action"
assert_contains "$STDOUT" "BEGIN CERTIFICATE" "the page with bob's certificate"
expect_failure any curl -sSf --cacert rootCA.pem -H 'Accept: text/html' --data-urlencode request@bob.csr "https://localhost:$ca_port/i/wrong/request"
invite carol
expect_success curl -sS --cacert rootCA.pem -H 'Accept: text/html' "$link"
command=$(grep -o -E "join &#39;[^&]+&#39;" <<<"$STDOUT" | head -n1 | sed "s/&#39;//g; s/^join //")
expect_success "$COUNTERSIGN" join "$command"
expect_success "$COUNTERSIGN" verify carol.pem --cacert rootCA.pem --purpose client
