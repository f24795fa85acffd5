# A server and a client of tlslite-ng that compress their certificates, and ask each other for it (RFC 8879):
# compressed.py ALGORITHM SERVER_PORT CLIENT_PORT KEY_LOG, with the files of localhost and alice beside it.
import socket
import sys
import threading

import tlslite.tlsconnection as library
from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey

algorithm, server_port, client_port, key_log = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

# The library writes no key log, so its derivation of secrets is listened to.
LABELS = {
    b'c hs traffic': 'CLIENT_HANDSHAKE_TRAFFIC_SECRET',
    b's hs traffic': 'SERVER_HANDSHAKE_TRAFFIC_SECRET',
    b'c ap traffic': 'CLIENT_TRAFFIC_SECRET_0',
    b's ap traffic': 'SERVER_TRAFFIC_SECRET_0',
}
secrets = {}
derive = library.derive_secret


def derive_and_note(secret, label, *rest, **named):
    derived = derive(secret, label, *rest, **named)
    if bytes(label) in LABELS:
        secrets[LABELS[bytes(label)]] = bytes(derived).hex()
    return derived


library.derive_secret = derive_and_note


def settings():
    chosen = HandshakeSettings()
    chosen.minVersion = chosen.maxVersion = (3, 4)
    chosen.certificate_compression_send = chosen.certificate_compression_receive = [algorithm]
    return chosen.validate()


def pair(name):
    chain = X509CertChain()
    with open(f'{name}.pem') as file:
        chain.parsePemList(file.read())
    with open(f'{name}-key.pem') as file:
        return chain, parsePEMKey(file.read(), private=True)


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('127.0.0.1', server_port))
listener.listen(1)


def serve():
    connection = TLSConnection(listener.accept()[0])
    chain, key = pair('localhost')
    connection.handshakeServer(certChain=chain, privateKey=key, reqCert=True, settings=settings())
    connection.read(max=5)
    connection.write(b'world')
    connection.close()


serving = threading.Thread(target=serve)
serving.start()
client = TLSConnection(socket.create_connection(('127.0.0.1', client_port)))
chain, key = pair('alice')
client.handshakeClientCert(chain, key, settings=settings(), serverName='localhost')
with open(key_log, 'a') as log:
    for label, secret in secrets.items():
        log.write(f'{label} {bytes(client._clientRandom).hex()} {secret}\n')
client.write(b'hello')
client.read(max=5)
client.close()
serving.join()
