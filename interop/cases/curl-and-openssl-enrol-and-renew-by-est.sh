#!/usr/bin/env bash
# curl and openssl are an EST client as RFC 7030 has it: CA certificates, a first certificate by an invite, the next one
# by the first over mutual TLS; and what is not allowed is refused with its reason.
# needs: curl openssl
. "$(dirname "$0")/../lib.sh"

port=$(free_port)
expect_success "$COUNTERSIGN" init --name "Interop"
start_server "$COUNTERSIGN" ca serve --listen "127.0.0.1:$port"
wait_for_port "$port"
est=https://localhost:$port/.well-known/est
ca=$COUNTERSIGN_HOME/rootCA.pem

say "CA certificates"
expect_success curl -sS --cacert "$ca" -o cacerts.p7 "$est/cacerts"
expect_success openssl base64 -d -in cacerts.p7 -out cacerts.der
expect_success openssl pkcs7 -inform DER -in cacerts.der -print_certs -out cas.pem
assert_eq 2 "$(grep -c BEGIN cas.pem)" "the number of CAs"
expect_success curl -sS --cacert "$ca" -o attributes.b64 "$est/csrattrs"
openssl base64 -d -in attributes.b64 -out attributes.der
expect_success openssl asn1parse -inform DER -in attributes.der
assert_contains "$STDOUT" prime256v1

# csr NAME: NAME-key.pem, and NAME.b64 with the request as EST carries it.
csr() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1-key.pem" -subj "/CN=$2" -out "$1.csr" \
        2>/dev/null
    openssl req -in "$1.csr" -outform DER | openssl base64 -out "$1.b64"
}
# enrol NAME OPERATION CURL-FLAG…: leaves NAME.pem.
enrol() {
    local name=$1 operation=$2
    shift 2
    expect_success curl -sS --fail-with-body --cacert "$ca" -H 'Content-Type: application/pkcs10' \
        -H 'Content-Transfer-Encoding: base64' --data-binary "@$name.b64" -o "$name.p7" "$@" "$est/$operation"
    openssl base64 -d -in "$name.p7" | openssl pkcs7 -inform DER -print_certs -out "$name.pem"
    expect_success openssl verify -purpose sslclient -CAfile "$ca" -untrusted cas.pem "$name.pem"
}
refused() {
    local code=$1 name=$2 operation=$3
    shift 3
    expect_success curl -sS --cacert "$ca" -H 'Content-Type: application/pkcs10' --data-binary "@$name.b64" \
        -w '%{http_code}' -o refused.json "$@" "$est/$operation"
    assert_eq "$code" "$STDOUT" "the status: $(cat refused.json)"
}

say "a first certificate, by an invite as the password"
csr first alice
refused 401 first simpleenroll
expect_success "$COUNTERSIGN" invite alice --json
code=$(sed -n 's/.*"code": "\([^"]*\)".*/\1/p' <<<"$STDOUT")
refused 401 first simpleenroll -u "alice:wrong"
enrol first simpleenroll -u "alice:$code"
assert_contains "$(openssl x509 -noout -subject -in first.pem)" "alice"

say "the next one, by the first over mutual TLS, with another key"
csr second alice
refused 401 second simplereenroll
enrol second simplereenroll --cert first.pem --key first-key.pem
csr other mallory
refused 403 other simplereenroll --cert second.pem --key second-key.pem
refused 501 second serverkeygen
assert_contains "$(cat refused.json)" "private key that never travels"

say "what was revoked renews nothing"
expect_success "$COUNTERSIGN" revoke alice
expect_failure any curl -sS --fail-with-body --cacert "$ca" -H 'Content-Type: application/pkcs10' \
    --data-binary @second.b64 --cert first.pem --key first-key.pem "$est/simplereenroll"
