#!/usr/bin/env bash
# Documents that countersign signs are good for `openssl cms`, and the other way round: every kind of key, attached and
# detached, in BER of indefinite length; a changed document, an exchanged certificate and a hostile file are refused with
# their reason, and a timestamp of `openssl ts` outlives the certificate.
# needs: openssl python3 faketime
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name Documents
root=$COUNTERSIGN_HOME/rootCA.pem
head -c 300000 /dev/urandom > document
for kind in p256 p384 rsa2048 ed25519; do
    expect_success "$COUNTERSIGN" issue client "$kind" --key "$kind"
    awk '/BEGIN/ { n++ } n > 1' "$kind.pem" > "$kind-chain.pem"
    say "$kind: ours, for openssl"
    expect_success "$COUNTERSIGN" document sign document --cert "$kind.pem" --out "$kind.p7s"
    if [ "$kind" = ed25519 ]; then
        # OpenSSL 3.0 knows no Ed25519 in CMS; the signature over the attributes (RFC 8419 section 3.1) is for it all the same.
        cat > attributes.py <<'PY'
def element(octets, at):
    length, start = octets[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7f
        length = int.from_bytes(octets[at + 2:start], "big")
    return octets[at], start, start + length
def children(octets, start, end):
    found = []
    while start < end:
        tag, inner, after = element(octets, start)
        found.append((tag, start, inner, after))
        start = after
    return found
octets = open("ed25519.p7s", "rb").read()
_, start, end = element(octets, 0)
explicit = children(octets, start, end)[1]
signed = children(octets, explicit[2], explicit[3])[0]
signers = children(octets, signed[2], signed[3])[-1]
signer = children(octets, signers[2], signers[3])[0]
fields = children(octets, signer[2], signer[3])
attributes = fields[3]
open("attributes", "wb").write(b"\x31" + octets[attributes[1] + 1:attributes[3]])
open("signature", "wb").write(octets[fields[5][2]:fields[5][3]])
PY
        expect_success python3 attributes.py
        expect_success openssl x509 -in ed25519.pem -pubkey -noout
        echo "$STDOUT" > ed25519-public.pem
        expect_success openssl pkeyutl -verify -rawin -pubin -inkey ed25519-public.pem -in attributes -sigfile signature
    else
        expect_success openssl cms -verify -binary -inform DER -in "$kind.p7s" -content document -CAfile "$root" -purpose any -out /dev/null
    fi
    expect_success "$COUNTERSIGN" document verify document --signature "$kind.p7s" --cacert "$root" --json
    assert_contains "$STDOUT" '"valid": true' "our own verdict"
    expect_success openssl cms -cmsout -print -noout -inform DER -in "$kind.p7s"
    for attribute in contentType signingTime messageDigest signingCertificateV2; do
        assert_contains "$STDOUT" "$attribute" "the signed attributes"
    done
    # OpenSSL 3.0 signs no CMS with Ed25519.
    [ "$kind" = ed25519 ] && continue
    for form in "-outform DER" "-outform PEM" "-outform DER -noattr" "-outform DER -cades" "-outform DER -keyid" \
        "-outform DER -md sha384"; do
        say "$kind: openssl's, for us: $form"
        # shellcheck disable=SC2086 # The form is several words.
        expect_success openssl cms -sign -binary -in document -signer "$kind.pem" -inkey "$kind-key.pem" \
            -certfile "$kind-chain.pem" $form -out theirs
        expect_success "$COUNTERSIGN" document verify document --signature theirs --cacert "$root"
        assert_contains "$STDOUT" "valid" "our verdict"
    done
    say "$kind: openssl's, with the document in it, streamed"
    expect_success openssl cms -sign -binary -stream -nodetach -in document -signer "$kind.pem" -inkey "$kind-key.pem" \
        -certfile "$kind-chain.pem" -outform DER -out streamed.p7m
    expect_success openssl asn1parse -inform DER -in streamed.p7m
    assert_contains "$STDOUT" "l=inf" "the encoding"
    rm -f taken-out
    expect_success "$COUNTERSIGN" document verify --signature streamed.p7m --cacert "$root" --content-out taken-out
    cmp document taken-out || fail "the document came out as another"
done
expect_success "$COUNTERSIGN" document sign document --cert rsa2048.pem --pss --out pss.p7s
expect_success openssl cms -verify -binary -inform DER -in pss.p7s -content document -CAfile "$root" -purpose any -out /dev/null
expect_success openssl cms -sign -binary -in document -signer rsa2048.pem -inkey rsa2048-key.pem -certfile rsa2048-chain.pem \
    -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:digest -outform DER -out theirs
expect_success "$COUNTERSIGN" document verify document --signature theirs --cacert "$root"

say "what is changed is refused"
cp document changed
printf x >> changed
refused() {
    expect_failure 1 "$COUNTERSIGN" document verify "$@"
}
refused changed --signature p256.p7s --cacert "$root"
assert_contains "$STDOUT" "the content is not what was signed" "the verdict on another content"
refused document --signature p256.p7s --cacert "$root" --purpose document
assert_contains "$STDOUT" "is for clientAuth" "the verdict on a client's certificate"
refused document --signature p256.p7s --cacert "$root" --crl-required
expect_success "$COUNTERSIGN" crl --out lists.pem
expect_success "$COUNTERSIGN" document verify document --signature p256.p7s --cacert "$root" --crl lists.pem --crl-required
assert_contains "$STDOUT" "no certificate of the path was revoked" "the worth"
expect_success "$COUNTERSIGN" revoke p384
expect_success "$COUNTERSIGN" crl --out revoked.pem
refused document --signature p384.p7s --cacert "$root" --crl revoked.pem
assert_contains "$STDOUT" "was revoked on" "the verdict on a revoked certificate"
expect_success "$COUNTERSIGN" --home other init --name Other
refused document --signature p256.p7s --cacert other/rootCA.pem

say "hostile files are refused quickly and in little memory"
cat > hostile.py <<'PY'
signature = open("p256.p7s", "rb").read()
open("bomb", "wb").write(b"\x30\x80" * 10_000_000)
open("liar", "wb").write(bytes([0x30, 0x84, 0xff, 0xff, 0xff, 0xff]) + signature[4:])
open("huge", "wb").write(b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x30\x80\x02\x01\x01\x31\x80" + b"\x30\x00" * 20_000_000)
open("short", "wb").write(signature[:-20])
open("long", "wb").write(signature + b"\x00")
open("empty", "wb").write(b"")
open("text", "wb").write(b"hello")
PY
expect_success python3 hostile.py
cat > limited.py <<'PY'
import resource, subprocess, sys
# What the program itself maps is most of it; the largest of the files would not fit beside it.
limit = 400 << 20
done = subprocess.run([sys.argv[1], "document", "verify", "document", "--signature", sys.argv[2], "--cacert", sys.argv[3]],
    capture_output=True, timeout=30, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
assert b"panicked" not in done.stderr, done.stderr
print(sys.argv[2], done.stderr.decode().strip())
PY
for file in bomb liar huge short long empty text document; do
    expect_success python3 limited.py "$COUNTERSIGN" "$file" "$root"
    say "$STDOUT"
done

say "a timestamp of openssl ts"
cat > tsa.cnf <<'CNF'
[tsa]
serial = ./serial
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256
signer_digest = sha256
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[ext]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
CNF
echo 01 > serial
expect_success openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tsa-ca-key.pem -out tsa-ca.pem \
    -subj "/CN=Stamp CA" -days 3000 -extensions ca -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n'; cat tsa.cnf)
expect_success openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tsa-key.pem -out tsa.csr -subj "/CN=Stamp Authority"
expect_success openssl x509 -req -in tsa.csr -CA tsa-ca.pem -CAkey tsa-ca-key.pem -days 160 -extfile tsa.cnf -extensions ext -out tsa.pem
expect_success "$COUNTERSIGN" document timestamp p256.p7s --request-out q.tsq
expect_success openssl ts -query -in q.tsq -text
expect_success openssl ts -reply -config tsa.cnf -section tsa -queryfile q.tsq -signer tsa.pem -inkey tsa-key.pem -out a.tsr
cp p256.p7s stamped.p7s
expect_success "$COUNTERSIGN" document timestamp stamped.p7s --response a.tsr
expect_success "$COUNTERSIGN" document verify document --signature stamped.p7s --cacert "$root" --tsa-cacert tsa-ca.pem
assert_contains "$STDOUT" "by the timestamp of 'Stamp Authority'" "when it was signed"
expect_success "$COUNTERSIGN" document verify document --signature stamped.p7s --cacert "$root"
assert_contains "$STDOUT" "the timestamp of 'Stamp Authority' is not believed" "a stamp of strangers"
expect_success openssl cms -verify -binary -inform DER -in stamped.p7s -content document -CAfile "$root" -purpose any -out /dev/null
expect_failure 1 "$COUNTERSIGN" document timestamp ed25519.p7s --response a.tsr
assert_contains "$STDERR" "of another signature" "a stamp of something else"

say "200 days later, the certificate is over, and so is that of the time-stamping authority"
later() { faketime -f +200d "$COUNTERSIGN" document verify document --cacert "$root" "$@"; }
expect_failure 1 later --signature p256.p7s
assert_contains "$STDOUT" "expired" "the verdict on a signature without a stamp"
expect_success later --signature stamped.p7s --tsa-cacert tsa-ca.pem
assert_contains "$STDOUT" "it was good at the moment of the timestamp" "the worth of a stamped one"
expect_success later --signature stamped.p7s --tsa-cacert tsa-ca.pem --json
assert_contains "$STDOUT" '"timestamp_authority": "Stamp Authority"' "who says when"
expect_failure 1 later --signature stamped.p7s
assert_contains "$STDOUT" "expired" "the verdict where the stamp is not believed"
expect_failure 1 later --signature stamped.p7s --tsa-cacert tsa-ca.pem --crl-required
say "a stamp of a time when the certificate was over saves nothing, and neither does one the list has an answer to"
cp p256.p7s late.p7s
expect_success faketime -f +120d openssl ts -reply -config tsa.cnf -section tsa -queryfile q.tsq -signer tsa.pem -inkey tsa-key.pem \
    -out late.tsr
expect_success "$COUNTERSIGN" document timestamp late.p7s --response late.tsr
expect_failure 1 later --signature late.p7s --tsa-cacert tsa-ca.pem
assert_contains "$STDOUT" "expired" "the verdict on a late stamp"
expect_success "$COUNTERSIGN" document verify document --cacert "$root" --signature late.p7s --tsa-cacert tsa-ca.pem
assert_contains "$STDOUT" "is from the future" "what is said of a stamp that is to come"
expect_success "$COUNTERSIGN" revoke p256
expect_success "$COUNTERSIGN" crl --out revoked.pem
refused document --signature stamped.p7s --tsa-cacert tsa-ca.pem --cacert "$root" --crl revoked.pem
assert_contains "$STDOUT" "was revoked on" "the verdict on a stamped signature of who was revoked"
