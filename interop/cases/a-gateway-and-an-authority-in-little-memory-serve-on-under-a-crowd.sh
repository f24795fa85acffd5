#!/usr/bin/env bash
# With 64 MiB of address space more than they use when idle, a gateway bears two hundred connections that say nothing, forty
# uploads at once and requests with the largest heads, and an authority two hundred requests with the largest bodies: neither
# ends, both answer meanwhile and afterwards, and what the authority issued is on record.
# needs: curl openssl python3 setpriv
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init
expect_success "$COUNTERSIGN" issue server localhost
expect_success "$COUNTERSIGN" issue client alice
cat >backend.py <<'X2'
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_PUT(self):
        left = int(self.headers["content-length"])
        while left:
            left -= len(self.rfile.read(min(left, 65536)))
        self.do_GET()
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("port", server.server_port, flush=True)
server.serve_forever()
X2
start_server python3 backend.py
wait_for_line "$SERVER_LOG" '^port [0-9]+'
backend=${LINE#port }

# confine PID: what it has, and 64 MiB.
confine() {
    local size
    size=$(awk '/^VmSize:/ { print $2 }' "/proc/$1/status")
    prlimit --pid "$1" --as=$(((size + 65536) * 1024))
}
cat >crowd.py <<'X2'
"""A crowd at a port: connections that say nothing, and requests from many threads. Prints how many were answered as they should."""
import http.client, ssl, sys, threading
port, kind = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile="rootCA.pem")
if kind == "gateway":
    context.load_cert_chain("alice.pem", "alice-key.pem")
def connect():
    import socket
    return context.wrap_socket(socket.create_connection(("localhost", port), timeout=120), server_hostname="localhost")
idle = [connect() for _ in range(200 if kind == "gateway" else 50)]
answers, lock = [], threading.Lock()
def ask(number):
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=120)
    if kind == "authority":
        # As large as a request may be.
        connection.request("POST", "/.well-known/est/simpleenroll", b"A" * 65536, {"content-type": "application/pkcs10"})
    elif number % 2:
        connection.request("PUT", "/", b"x" * (8 << 20))
    else:
        connection.request("GET", "/", headers={"x-large": "y" * 12000})
    answer = connection.getresponse()
    answer.read()
    with lock:
        answers.append(answer.status)
threads = [threading.Thread(target=ask, args=(number,)) for number in range(80 if kind == "gateway" else 200)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(answers), *sorted(set(answers)))
X2

start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --cert localhost.pem --key localhost-key.pem --client-ca rootCA.pem \
    --allow-cn alice --to "http://127.0.0.1:$backend" --max-connections-per-address 1000
wait_for_line "$SERVER_LOG" 'https://[^ ]*:[0-9]+'
port=$(sed -E 's|.*https://[^ ]*:([0-9]+).*|\1|' <<<"$LINE")
own=(--cacert rootCA.pem --cert alice.pem --key alice-key.pem)
expect_success curl -sS "${own[@]}" "https://localhost:$port/"
confine "$SERVER_PID"
expect_success python3 crowd.py "$port" gateway
assert_eq "80 200" "$STDOUT" "how the gateway answered the crowd"
expect_success curl -sS "${own[@]}" "https://localhost:$port/"
assert_eq ok "$STDOUT"
assert_lacks "$(cat "$SERVER_LOG")" panicked "the gateway's log"
stop_server

ca_port=$(free_port)
start_server "$COUNTERSIGN" ca serve --listen "127.0.0.1:$ca_port"
wait_for_line "$SERVER_LOG" 'Ctrl-C'
expect_success "$COUNTERSIGN" invite bob --json
link=$(sed -n 's/.*"link": "\([^"]*\)".*/\1/p' <<<"$STDOUT" | sed -E 's#^https://[^/]*##')
expect_success curl -sS --cacert rootCA.pem -o root.pem "https://localhost:$ca_port/root.pem"
confine "$SERVER_PID"
expect_success python3 crowd.py "$ca_port" authority
say "$STDOUT"
[ "${STDOUT%% *}" = 200 ] || fail "not everybody was answered"
assert_lacks " $STDOUT " " 500 "
mkdir joined
expect_success "$COUNTERSIGN" join "https://localhost:$ca_port$link" --out joined
expect_success "$COUNTERSIGN" list --search bob --json
assert_contains "$STDOUT" '"bob"' "what is on record"
assert_lacks "$(cat "$SERVER_LOG")" panicked "the authority's log"
