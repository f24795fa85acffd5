#!/usr/bin/env bash
# Python's ssl module with VERIFY_X509_STRICT, which 3.13 sets by default, believes our server and our client.
# needs: python3
. "$(dirname "$0")/../lib.sh"

cat >strict.py <<'X'
import socket, ssl, threading, sys
def context(purpose, name):
    c = ssl.create_default_context(purpose, cafile='rootCA.pem')
    c.load_cert_chain(f'{name}.pem', f'{name}-key.pem')
    c.verify_mode = ssl.CERT_REQUIRED
    c.verify_flags |= ssl.VERIFY_X509_STRICT
    return c
listener = socket.create_server(('127.0.0.1', 0))
server = context(ssl.Purpose.CLIENT_AUTH, 'localhost')
seen = []
def serve():
    connection, _ = listener.accept()
    with server.wrap_socket(connection, server_side=True) as tls:
        seen.append(dict(pair for rdn in tls.getpeercert()['subject'] for pair in rdn)['commonName'])
        tls.sendall(b'ok')
thread = threading.Thread(target=serve); thread.start()
client = context(ssl.Purpose.SERVER_AUTH, 'dave')
with client.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname='localhost') as tls:
    print(tls.recv(2).decode(), tls.version())
thread.join()
print(seen)
X
for key in p256 p384 ed25519 rsa2048; do
    export COUNTERSIGN_HOME=$PWD/home-$key
    mkdir "$key"
    expect_success "$COUNTERSIGN" init --name "Strict $key" --key "$key"
    expect_success "$COUNTERSIGN" issue server localhost --out "$key" --key "$key"
    expect_success "$COUNTERSIGN" issue client dave --out "$key" --key "$key"
    cd "$key"
    expect_success python3 ../strict.py
    assert_contains "$STDOUT" "ok TLSv1.3"
    assert_contains "$STDOUT" "['dave']"
    cd ..
done
