#!/usr/bin/env bash
# `verify` believes OCSP responses and parts of revocation lists that `openssl ocsp` and `openssl ca` made for a CA made
# with openssl, refuses what they revoke, and says why a stale or foreign answer is no answer.
# needs: openssl
. "$(dirname "$0")/../lib.sh"

cat > ca.cnf <<'CONF'
[ca]
default_ca = here
[here]
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.pem
private_key = ca-key.pem
default_md = sha256
default_days = 30
default_crl_days = 7
crlnumber = crlnumber
policy = any
crl_extensions = crl
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[client]
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
crlDistributionPoints = URI:http://ca.test/1.crl
[responder]
keyUsage = critical, digitalSignature
extendedKeyUsage = OCSPSigning
noCheck = ignored
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[crl]
authorityKeyIdentifier = keyid
issuingDistributionPoint = critical, @part
[part]
fullname = URI:http://ca.test/1.crl
onlyuser = TRUE
[other_crl]
authorityKeyIdentifier = keyid
issuingDistributionPoint = critical, @other
[other]
fullname = URI:http://ca.test/2.crl
CONF
: > index.txt
echo 1000 > serial
echo 01 > crlnumber
expect_success openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca-key.pem -out ca.pem \
    -subj "/CN=Old CA" -days 90 -config ca.cnf -extensions root
issue() {
    expect_success openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1-key.pem" \
        -out "$1.csr" -subj "/CN=$1" -config ca.cnf
    expect_success openssl ca -batch -notext -config ca.cnf -extensions "$2" -in "$1.csr" -out "$1.pem"
}
issue alice client
issue mallory client
issue responder responder
expect_success openssl ca -config ca.cnf -revoke mallory.pem -crl_reason keyCompromise
expect_success openssl ca -config ca.cnf -gencrl -out part.crl
expect_success openssl ca -config ca.cnf -gencrl -crlexts other_crl -out other.crl

say "a part of the list"
verify() {
    "$COUNTERSIGN" verify --cacert ca.pem --purpose client --crl-required "$@"
}
expect_success verify alice.pem --crl part.crl --strict
expect_failure 1 verify mallory.pem --crl part.crl
assert_contains "$STDOUT" "certificate_revoked" "the part names mallory"
assert_contains "$STDOUT" "keyCompromise" "and why"
expect_failure 1 verify alice.pem --crl other.crl
assert_contains "$STDOUT" "crl_unusable" "another part says nothing of alice"
expect_failure 1 verify alice.pem
assert_contains "$STDOUT" "crl_missing" "nothing is at hand"

say "answers of a delegated responder"
answer() {
    expect_success openssl ocsp -index index.txt -CA ca.pem -rsigner "$2.pem" -rkey "$2-key.pem" -issuer ca.pem \
        -cert "$1.pem" -ndays 1 -respout "$1-$2.der" -noverify
}
answer alice responder
answer mallory responder
expect_success verify alice.pem --ocsp alice-responder.der
expect_failure 1 verify mallory.pem --ocsp mallory-responder.der
assert_contains "$STDOUT" "certificate_revoked" "the answer revokes mallory"
expect_failure 1 verify alice.pem --ocsp mallory-responder.der
assert_contains "$STDOUT" "crl_missing" "an answer about mallory is none about alice"

say "answers of someone who may not"
answer alice mallory
expect_failure 1 verify alice.pem --ocsp alice-mallory.der
assert_contains "$STDOUT" "not for OCSPSigning" "a client is no responder"
later=$(date -u -d '+3 days' +%Y-%m-%dT%H:%M:%SZ)
expect_failure 1 verify alice.pem --ocsp alice-responder.der --at "$later"
assert_contains "$STDOUT" "it was good until" "an old answer"
