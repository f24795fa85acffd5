#!/usr/bin/env bash
# A CSR made by openssl is signed with its key and names; CA:TRUE and odd extensions in it are ignored and named; a
# damaged or weak one is refused and nothing is written.
# needs: openssl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Requests" --permit partner.test
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout p.key -out p.csr -subj /O=Evil/CN=partner \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign -addext subjectAltName=DNS:api.partner.test \
    -addext 1.2.3.4=DER:0500 2>/dev/null
expect_success "$COUNTERSIGN" sign p.csr --profile client --out signed.pem
for word in basicConstraints CA:TRUE keyUsage 1.2.3.4 organizationName; do
    assert_contains "$STDERR" "$word" "what was said to be ignored"
done
expect_success openssl verify -x509_strict -purpose sslclient -CAfile "$COUNTERSIGN_HOME/rootCA.pem" -untrusted signed.pem signed.pem
text=$(openssl x509 -in signed.pem -noout -text)
assert_lacks "$text" "CA:TRUE"
assert_lacks "$text" "1.2.3.4"
assert_lacks "$text" "Evil"
assert_contains "$text" "DNS:api.partner.test"
assert_eq "$(openssl pkey -in p.key -pubout)" "$(openssl x509 -in signed.pem -noout -pubkey)" "the key"

openssl req -in p.csr -outform DER -out p.der
expect_success "$COUNTERSIGN" sign p.der --profile server --out der.pem

# The last byte of the signature changed.
size=$(stat -c %s p.der)
{ head -c $((size - 1)) p.der; printf '\x00'; } >broken.der
expect_failure 1,2 "$COUNTERSIGN" sign broken.der --profile client --out broken.pem
[ ! -e broken.pem ] || fail "a certificate was written for a broken request"

openssl req -new -newkey rsa:1024 -nodes -keyout weak.key -out weak.csr -subj /CN=weak 2>/dev/null
expect_failure 1 "$COUNTERSIGN" sign weak.csr --profile client --out weak.pem
assert_contains "$STDERR" "1024"
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:secp256k1 -nodes -keyout k1.key -out k1.csr -subj /CN=k1 2>/dev/null
expect_failure 1,2 "$COUNTERSIGN" sign k1.csr --profile client --out k1.pem
assert_contains "$STDERR" "secp256k1"
[ ! -e weak.pem ] && [ ! -e k1.pem ] || fail "a certificate was written for a weak key"
