#!/usr/bin/env bash
# Keys behind a program and behind an HTTPS service sign for an authority, a server and a client: the example signer of the
# documentation, in front of openssl.
# needs: openssl python3 curl
. "$(dirname "$0")/../lib.sh"

signer=$(cd "$(dirname "$0")/../../docs/examples" && pwd)/openssl-signer.py
mkdir kms
expect_success openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out kms/root.pem
expect_success openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out kms/issuing.pem
expect_success openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out kms/web.pem
expect_success openssl genpkey -algorithm ED25519 -out kms/robot.pem
program="command:$signer?arg=$PWD/kms"

expect_success "$COUNTERSIGN" init --name Managed --root-key "$program&key=root" --issuing-key "$program&key=issuing"
assert_eq 0 "$(find "$COUNTERSIGN_HOME/keys" -name '*.pem' | wc -l)" "private keys in files"
expect_success "$COUNTERSIGN" issue server localhost --key-at "$program&key=web"
expect_success "$COUNTERSIGN" issue client robot --key-at "$program&key=robot"
expect_success openssl verify -x509_strict -CAfile rootCA.pem -untrusted robot.pem robot.pem

start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key "$program&key=web" --client-ca rootCA.pem --allow-cn robot
wait_for_line "$SERVER_LOG" 'https://[^ ]+:[0-9]+'
port=$(grep -o -E ':[0-9]+' <<<"${LINE#*https:}" | head -n1 | tr -d :)
for version in 1.2 1.3; do
    expect_success curl -sS --cacert rootCA.pem --cert robot.pem --key kms/robot.pem "--tlsv$version" --tls-max "$version" \
        "https://localhost:$port/"
    assert_contains "$STDOUT" "hello, robot" "what curl got by TLS $version"
done
expect_success "$COUNTERSIGN" fetch --cert robot.pem --key "$program&key=robot" --cacert rootCA.pem "https://localhost:$port/"
assert_contains "$STDOUT" "hello, robot" "what fetch got"

say "the same behind HTTPS, with a bearer token"
expect_success "$COUNTERSIGN" issue server localhost --out "$PWD/kms"
(umask 077 && echo planted-secret-for-few > token && echo planted-secret-of-another > wrong-token)
kms_port=$(free_port)
cat > service.py <<'PY'
import http.server, importlib.util, json, ssl, sys
spec = importlib.util.spec_from_file_location("signer", sys.argv[1])
signer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(signer)
class Service(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            if self.headers["authorization"] != "Bearer " + open("token").read().strip():
                raise ValueError("who are you?")
            answer = signer.answer("kms", request)
        except (ValueError, KeyError) as error:
            answer = {"error": str(error)}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Service)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("kms/localhost.pem", "kms/localhost-key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
PY
start_server python3 -B service.py "$signer" "$kms_port"
wait_for_port "$kms_port"
service="https+signer://localhost:$kms_port/sign?cacert=$PWD/rootCA.pem&token-file=$PWD/token"
expect_success "$COUNTERSIGN" fetch --cert robot.pem --key "$service&key=robot" --cacert rootCA.pem "https://localhost:$port/"
assert_contains "$STDOUT" "hello, robot" "what fetch got with a key behind a service"

refused() {
    expect_failure 58 "$COUNTERSIGN" fetch --cert robot.pem --key "$1" --cacert rootCA.pem "https://localhost:$port/"
    assert_contains "$STDERR" "$2" "the error of $1"
}
refused "$program&key=nobody" "there is no key 'nobody'"
refused "https+signer://localhost:$kms_port/sign?cacert=$PWD/rootCA.pem&token-file=$PWD/wrong-token&key=robot" "who are you?"
refused "https+signer://localhost:1/sign?cacert=$PWD/rootCA.pem&key=robot" "cannot be reached"
refused "$program&key=web" "does not belong to the certificate"
