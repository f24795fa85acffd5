#!/usr/bin/env bash
# ML-DSA-44, -65 and -87 from the root to the client: Node.js on OpenSSL 3.5 is let in and lets us in over TLS 1.3,
# OpenSSL's requests are signed, its keys are read in all three forms, and it verifies certificates, lists and OCSP
# answers of ours; TLS 1.2 is refused, and so is who was revoked.
# needs: npm:node pypi:cryptography openssl
. "$(dirname "$0")/../lib.sh"

# The package node brings its program in a package of the machine's kind.
node35=$(find -L "$INTEROP_NODE_MODULES" -path '*/node-linux-*/bin/node' -type f | head -n1)
[ -n "$node35" ] || fail "the npm package node has no program for this machine"
expect_success "$node35" -p process.versions.openssl
assert_contains "$STDOUT" "3.5." "the OpenSSL of Node.js"

cat >client.js <<'END'
const https = require('https'), fs = require('fs'), read = name => fs.readFileSync(name);
const [port, name] = process.argv.slice(2);
https.get({ host: 'localhost', port, ca: read('rootCA.pem'), cert: read(`${name}.pem`), key: read(`${name}-key.pem`) },
  response => response.pipe(process.stdout)).on('error', error => { console.error(error.message); process.exit(1); });
END
cat >server.js <<'END'
const https = require('https'), fs = require('fs'), read = name => fs.readFileSync(name);
https.createServer({ ca: read('rootCA.pem'), cert: read('localhost.pem'), key: read('localhost-key.pem'),
  requestCert: true, rejectUnauthorized: true }, (request, response) => response.end(
  `hello ${request.socket.getPeerCertificate().subject.CN}\n`)).listen(0, '127.0.0.1', function () {
  console.log(`listening on :${this.address().port}`); });
END
# Every certificate of a chain verifies with the key of the next, and the keys are what they are said to be.
cat >chain.js <<'END'
const { X509Certificate, createPrivateKey, sign, verify } = require('crypto'), fs = require('fs');
const [kind, name] = process.argv.slice(2);
const pems = file => fs.readFileSync(file, 'utf8').match(/-----BEGIN CERT[^]+?-----END CERTIFICATE-----/g);
const chain = [...pems(`${name}.pem`), ...pems('rootCA.pem')].map(pem => new X509Certificate(pem));
chain.forEach((certificate, at) => {
  const issuer = chain[Math.min(at + 1, chain.length - 1)];
  if (!certificate.verify(issuer.publicKey) || !certificate.checkIssued(issuer)) throw new Error(`certificate ${at}`);
  if (certificate.publicKey.asymmetricKeyType !== kind) throw new Error(certificate.publicKey.asymmetricKeyType);
});
const key = createPrivateKey(fs.readFileSync(`${name}-key.pem`));
if (!chain[0].checkPrivateKey(key)) throw new Error('the key is not that of the certificate');
if (!verify(null, 'x', chain[0].publicKey, sign(null, 'x', key))) throw new Error('the key does not sign');
console.log(`${chain.length} certificates`);
END
# What OpenSSL makes: a key in the form that is asked for, and a request for it.
cat >request.py <<'END'
import sys
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, NoEncryption
size, name = sys.argv[1:]
key = getattr(mldsa, f"MLDSA{size}PrivateKey").generate()
request = x509.CertificateSigningRequestBuilder().subject_name(
    x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])).sign(key, None)
open(f"{name}.csr", "wb").write(request.public_bytes(Encoding.PEM))
open(f"{name}-key.pem", "wb").write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
END
# OpenSSL as the judge of a list and of an OCSP answer.
cat >judge.py <<'END'
import sys
from cryptography import x509
from cryptography.x509 import ocsp
issuer = x509.load_pem_x509_certificates(open(sys.argv[1], "rb").read())[1]
revoked = x509.load_pem_x509_certificates(open(sys.argv[2], "rb").read())[0]
lists = [x509.load_pem_x509_crl(b"-----BEGIN X509 CRL-----" + part)
         for part in open("lists.pem", "rb").read().split(b"-----BEGIN X509 CRL-----")[1:]]
ours = [crl for crl in lists if crl.issuer == issuer.subject]
assert len(ours) == 1 and ours[0].is_signature_valid(issuer.public_key()), "the list's signature"
assert ours[0].get_revoked_certificate_by_serial_number(revoked.serial_number), "the revoked one is on the list"
print("the list is good")
END

for size in 44 65 87; do
    export COUNTERSIGN_HOME=$PWD/home-$size
    expect_success "$COUNTERSIGN" init --name "Quantum $size" --key "mldsa$size"
    mkdir "$size"
    cd "$size"
    expect_success "$COUNTERSIGN" issue server localhost --key "mldsa$size"
    expect_success "$COUNTERSIGN" issue client alice --key "mldsa$size"
    expect_success "$COUNTERSIGN" issue client mallory --key "mldsa$size"
    for name in localhost alice; do
        expect_success "$node35" ../chain.js "ml-dsa-$size" "$name"
        assert_eq "3 certificates" "$STDOUT" "OpenSSL's judgement of the chain of $name"
        expect_success "$COUNTERSIGN" verify "$name.pem" --cacert rootCA.pem
    done
    expect_success "$COUNTERSIGN" inspect alice.pem
    assert_contains "$STDOUT" "ML-DSA-$size, signed with ML-DSA-$size" "what inspect says"

    # A request and a key that OpenSSL made.
    (umask 077 && expect_success "$INTEROP_PYTHON" ../request.py "$size" bob)
    expect_success "$COUNTERSIGN" sign bob.csr --client bob
    expect_success "$COUNTERSIGN" revoke mallory --reason keyCompromise
    expect_success "$COUNTERSIGN" crl --out lists.pem
    expect_success "$INTEROP_PYTHON" ../judge.py alice.pem mallory.pem
    expect_success "$COUNTERSIGN" verify alice.pem --cacert rootCA.pem --crl lists.pem
    expect_failure 1 "$COUNTERSIGN" verify mallory.pem --cacert rootCA.pem --crl lists.pem
    assert_contains "$STDOUT$STDERR" "revoked" "what verify says of mallory"

    # Our server, OpenSSL's client.
    start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem \
        --client-ca rootCA.pem --crl lists.pem --allow-cn alice --allow-cn bob --allow-cn mallory
    wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
    port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
    for name in alice bob; do
        expect_success "$node35" ../client.js "$port" "$name"
        assert_contains "$STDOUT" "hello, $name" "what Node.js got"
        assert_contains "$STDOUT" "X25519MLKEM768" "the group"
    done
    expect_failure 1 "$node35" ../client.js "$port" mallory
    assert_contains "$STDERR" "revoked" "the alert that OpenSSL heard"
    expect_success "$COUNTERSIGN" explain "https://localhost:$port/" --cacert rootCA.pem --cert alice.pem --key alice-key.pem
    assert_contains "$STDOUT" "mldsa$size" "the signature scheme that explain shows"
    # An ML-DSA key signs in TLS 1.3 alone: there is no way down.
    expect_failure 35 "$COUNTERSIGN" fetch --tls-max 1.2 --cacert rootCA.pem --cert alice.pem --key alice-key.pem \
        "https://localhost:$port/"
    run openssl s_client -tls1_2 -connect "127.0.0.1:$port" </dev/null
    assert_contains "$STDERR" "alert" "what a client of TLS 1.2 hears"
    stop_server

    # OpenSSL's server, our client.
    start_server "$node35" ../server.js
    wait_for_line "$SERVER_LOG" 'listening on :[0-9]+'
    for name in alice bob; do
        expect_success "$COUNTERSIGN" fetch --cacert rootCA.pem --cert "$name.pem" --key "$name-key.pem" \
            "https://localhost:${LINE##*:}/"
        assert_eq "hello $name" "$STDOUT" "what OpenSSL's server says"
    done
    stop_server
    cd ..
done

# The forms of RFC 9881, written by OpenSSL: seed, expanded key, both.
cd 65
cat >forms.js <<'END'
const { generateKeyPairSync } = require('crypto'), fs = require('fs');
const { privateKey, publicKey } = generateKeyPairSync('ml-dsa-65');
fs.writeFileSync('default.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
fs.writeFileSync('default.pub', publicKey.export({ type: 'spki', format: 'pem' }));
END
expect_success "$node35" forms.js
expect_success "$COUNTERSIGN" inspect default.pem
assert_contains "$STDOUT" "ML-DSA-65" "the key of OpenSSL's default form"
