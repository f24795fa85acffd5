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
# What OpenSSL makes: a key, and a request that it signs.
cat >request.py <<'END'
import base64, sys
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
size, name = sys.argv[1:]
key = getattr(mldsa, f"MLDSA{size}PrivateKey").generate()
def der(tag, *parts):
    content = b"".join(parts)
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (length if len(content) < 128 else bytes([128 + len(length)]) + length) + content
common_name = der(0x30, der(0x31, der(0x30, b"\x06\x03\x55\x04\x03", der(0x0c, name.encode()))))
info = der(0x30, b"\x02\x01\x00", common_name,
           key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), b"\xa0\x00")
arc = {"44": 0x11, "65": 0x12, "87": 0x13}[size]
algorithm = der(0x30, b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03" + bytes([arc]))
request = der(0x30, info, algorithm, der(0x03, b"\x00", key.sign(info)))
open(f"{name}.csr", "w").write("-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(request).decode()
                               + "-----END CERTIFICATE REQUEST-----\n")
open(f"{name}-key.pem", "wb").write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
END
# OpenSSL as the judge of lists and of OCSP answers.
cat >judge.py <<'END'
import sys, urllib.request
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
what, status, name = sys.argv[1:]
leaf, issuer = x509.load_pem_x509_certificates(open(f"{name}.pem", "rb").read())
if what == "list":
    mark = b"-----BEGIN X509 CRL-----"
    lists = [x509.load_pem_x509_crl(mark + part) for part in open("lists.pem", "rb").read().split(mark)[1:]]
    (ours,) = [crl for crl in lists if crl.issuer == issuer.subject]
    issuer.public_key().verify(ours.signature, ours.tbs_certlist_bytes)
    print("revoked" if ours.get_revoked_certificate_by_serial_number(leaf.serial_number) else "good")
else:
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, SHA256()).build().public_bytes(Encoding.DER)
    post = urllib.request.Request(f"{status}/ocsp", request, {"Content-Type": "application/ocsp-request"})
    answer = ocsp.load_der_ocsp_response(urllib.request.urlopen(post).read())
    (responder,) = answer.certificates
    issuer.public_key().verify(responder.signature, responder.tbs_certificate_bytes)
    responder.public_key().verify(answer.signature, answer.tbs_response_bytes)
    print(answer.certificate_status.name.lower(), type(responder.public_key()).__name__)
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
    expect_success "$COUNTERSIGN" sign bob.csr --profile client --out bob.pem
    expect_success "$COUNTERSIGN" revoke mallory --reason keyCompromise
    expect_success "$COUNTERSIGN" crl --out lists.pem
    for verdict in "good alice" "revoked mallory"; do
        expect_success "$INTEROP_PYTHON" ../judge.py list - "${verdict#* }"
        assert_eq "${verdict% *}" "$STDOUT" "OpenSSL's reading of the list, ${verdict#* }"
    done
    start_server "$COUNTERSIGN" ca serve --listen 127.0.0.1:0 --status-listen 127.0.0.1:0
    wait_for_line "$SERVER_LOG" 'lists and OCSP without TLS on http://[^ ]+:[0-9]+'
    status=$(grep -o -E 'http://127[^ ]+' <<<"$LINE")
    for verdict in "good alice" "revoked mallory"; do
        expect_success "$INTEROP_PYTHON" ../judge.py ocsp "$status" "${verdict#* }"
        assert_contains "$STDOUT" "${verdict% *} " "OpenSSL's reading of the answer, ${verdict#* }"
        assert_contains "$STDOUT" "MLDSA${size}PublicKey" "the responder's key"
    done
    stop_server
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

# What OpenSSL writes when nothing is said: the seed and the expanded key.
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
