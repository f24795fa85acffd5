#!/usr/bin/env bash
# A CA made with openssl names its responder in the certificates, and `openssl ocsp` answers there: the gateway asks it
# about each client once, lets alice in and not mallory, whom it revoked; where it is away, soft lets in and hard does not.
# needs: openssl curl python3
. "$(dirname "$0")/../lib.sh"

responder=$(free_port)
cat >ca.cnf <<CONF
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
policy = any
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
authorityInfoAccess = OCSP;URI:http://127.0.0.1:$responder/
[server]
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[responder]
keyUsage = critical, digitalSignature
extendedKeyUsage = OCSPSigning
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
CONF
: >index.txt
echo 1000 >serial
expect_success openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca-key.pem -out ca.pem \
    -subj "/CN=Old CA" -days 90 -config ca.cnf -extensions root
issue() {
    expect_success openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1-key.pem" \
        -out "$1.csr" -subj "/CN=$1" -config ca.cnf
    expect_success openssl ca -batch -notext -config ca.cnf -extensions "$2" -in "$1.csr" -out "$1.pem"
}
issue alice client
issue mallory client
issue localhost server
issue responder responder
expect_success openssl ca -config ca.cnf -revoke mallory.pem -crl_reason keyCompromise

# serve MODE: leaves the URL in $url.
serve() {
    start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem \
        --client-ca ca.pem --allow-all --ocsp "$1"
    wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+/'
    url=${LINE%% *}
}
ask() { curl -sS --max-time 20 -o answer -w '%{http_code}' --cacert ca.pem --cert "$1.pem" --key "$1-key.pem" "$url"; }

say "nobody answers"
serve soft
expect_success ask alice
assert_eq 200 "$STDOUT"
wait_for_line "$SERVER_LOG" 'ocsp: no answer'
serve hard
expect_failure 56,35 ask alice
assert_contains "$STDERR" "alert unknown ca"
wait_for_line "$SERVER_LOG" 'ocsp_unavailable.*alert unknown_ca'

say "openssl answers"
cat >responder.py <<'X2'
# `openssl ocsp -port` listens on every address of the machine; here it answers one question at a time, on loopback.
import http.server, subprocess, sys
class Responder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        open('question.der', 'wb').write(self.rfile.read(int(self.headers['content-length'])))
        subprocess.run(['openssl', 'ocsp', '-index', 'index.txt', '-CA', 'ca.pem', '-rsigner', 'responder.pem', '-rkey',
                        'responder-key.pem', '-nmin', '60', '-reqin', 'question.der', '-respout', 'answer.der'], check=True)
        answer = open('answer.der', 'rb').read()
        self.send_response(200)
        self.send_header('content-type', 'application/ocsp-response')
        self.send_header('content-length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Responder).serve_forever()
X2
start_server python3 responder.py "$responder"
wait_for_port "$responder"
responder_log=$SERVER_LOG
asked() { grep -c '"POST / HTTP' "$responder_log" || true; }
for mode in soft hard; do
    serve "$mode"
    expect_success ask alice
    assert_eq 200 "$STDOUT" "alice with --ocsp $mode"
    expect_failure 56,35 ask mallory
    assert_contains "$STDERR" "certificate revoked" "mallory with --ocsp $mode"
    wait_for_line "$SERVER_LOG" 'certificate_revoked.*alert certificate_revoked'
    questions=$(asked)
    [ "$questions" -ge 2 ] || fail "only $questions questions were asked"
    for _ in 1 2 3; do
        expect_success ask alice
        assert_eq 200 "$STDOUT"
    done
    assert_eq "$questions" "$(asked)" "questions about alice after the first"
done
