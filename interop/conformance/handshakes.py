"""TLS conversations that no honest client has, with the answer that a server must give: one table, run against `serve`.

The client is tlslite-ng, whose messages are changed, left out or doubled on their way out; what is about records alone is
written octet by octet. Each line says the alerts that RFC 8446 or RFC 5246 allow for it, and every one ends without an
answer to a request. The first lines are the other verdict: the same client, unmeddled with, is let in.

Usage: handshakes.py PORT CERTIFICATE KEY      (PEM; RSA, which is what tlslite-ng signs with for clients)
"""

import sys

from tlslite.api import X509CertChain, parsePEMKey
from tlslite.messages import Certificate, CertificateVerify, ClientHello, ClientKeyExchange, Finished

from meddling import BOTH, LET_IN, TLS12, TLS13, A, answer_to, change, connect, name, raw
from verdicts import Verdicts


def flip(offset):
    def function(octets):
        octets[offset] ^= 1
        return octets

    return function


def with_body(octets, body):
    return bytearray([octets[0]]) + len(body).to_bytes(3, "big") + bytearray(body)


def empty_signature(octets):
    # The scheme's two octets stay.
    return with_body(octets, octets[4:6] + b"\0\0")


def scheme(high, low):
    def function(octets):
        octets[4], octets[5] = high, low
        return octets

    return function


def longer_than_it_says(octets):
    return with_body(octets, octets[4:] + b"\0")


def shorter_than_it_says(octets):
    return with_body(octets, octets[4:-3])


def damaged_certificate(octets):
    # Behind the message's and the lists' lengths: the outermost SEQUENCE of the first certificate becomes a SET.
    at = octets.index(b"\x30\x82")
    octets[at] = 0x31
    return octets


MESSAGES = [
    # claim, versions, what is done, the answers that are right
    ("an honest client", BOTH, None, [LET_IN]),
    ("the signature in CertificateVerify is another", BOTH, change(CertificateVerify, flip(-1)), [A.decrypt_error]),
    ("CertificateVerify has no signature", BOTH, change(CertificateVerify, empty_signature), [A.decrypt_error, A.decode_error]),
    ("CertificateVerify is left out", BOTH, change(CertificateVerify, lambda _: []), [A.unexpected_message]),
    ("CertificateVerify is sent twice", BOTH, change(CertificateVerify, lambda o: [raw(o), raw(o)]), [A.unexpected_message]),
    (
        "CertificateVerify is by SHA-1, which was not offered",
        BOTH,
        change(CertificateVerify, scheme(2, 1)),
        [A.illegal_parameter, A.handshake_failure, A.decrypt_error],
    ),
    (
        "CertificateVerify is by a scheme of another kind of key",
        BOTH,
        change(CertificateVerify, scheme(4, 3)),
        [A.illegal_parameter, A.handshake_failure, A.decrypt_error],
    ),
    ("CertificateVerify is by PKCS #1 v1.5, which TLS 1.3 has not", (TLS13,), change(CertificateVerify, scheme(4, 1)),
     [A.illegal_parameter, A.decrypt_error, A.handshake_failure]),
    ("CertificateVerify is longer than its signature", BOTH, change(CertificateVerify, longer_than_it_says), [A.decode_error]),
    ("CertificateVerify ends early", BOTH, change(CertificateVerify, shorter_than_it_says), [A.decode_error]),
    ("Certificate is left out", BOTH, change(Certificate, lambda _: []), [A.unexpected_message]),
    ("Certificate is sent twice", BOTH, change(Certificate, lambda o: [raw(o), raw(o)]), [A.unexpected_message]),
    ("Certificate is longer than its list", BOTH, change(Certificate, longer_than_it_says), [A.decode_error]),
    ("Certificate ends early", BOTH, change(Certificate, shorter_than_it_says), [A.decode_error]),
    ("the certificate is no DER", BOTH, change(Certificate, damaged_certificate), [A.bad_certificate, A.decode_error]),
    ("Certificate has an empty list", (TLS12,), change(Certificate, lambda o: with_body(o, b"\0\0\0")),
     [A.handshake_failure, A.unexpected_message]),
    ("Finished is another", BOTH, change(Finished, flip(-1)), [A.decrypt_error]),
    ("Finished is shorter", BOTH, change(Finished, lambda o: with_body(o, o[4:-1])), [A.decrypt_error, A.decode_error]),
    ("Finished is empty", BOTH, change(Finished, lambda o: with_body(o, b"")), [A.decrypt_error, A.decode_error]),
    ("ClientKeyExchange is sent twice", (TLS12,), change(ClientKeyExchange, lambda o: [raw(o), raw(o)]), [A.unexpected_message]),
    ("ClientKeyExchange is no point", (TLS12,), change(ClientKeyExchange, lambda o: with_body(o, b"\x04abc")),
     [A.decode_error, A.illegal_parameter, A.handshake_failure]),
    ("ClientHello is longer than it says", BOTH, change(ClientHello, longer_than_it_says), [A.decode_error]),
    ("ClientHello ends early", BOTH, change(ClientHello, shorter_than_it_says), [A.decode_error]),
    ("ClientHello offers no way to leave out compression", BOTH,
     change(ClientHello, lambda o: without_null_compression(o)), [A.illegal_parameter, A.decode_error, A.handshake_failure]),
    ("the session id has 33 octets", BOTH, change(ClientHello, lambda o: with_long_session(o)), [A.decode_error]),
    ("ClientHello has an extension twice", BOTH, change(ClientHello, lambda o: with_doubled_extension(o)),
     [A.decode_error, A.illegal_parameter]),
]

def parts_of_hello(octets):
    """Offsets: the session id's length, the compression methods' length, the extensions' length."""
    session = 4 + 2 + 32
    suites = session + 1 + octets[session]
    compression = suites + 2 + int.from_bytes(octets[suites : suites + 2], "big")
    return session, compression, compression + 1 + octets[compression]


def without_null_compression(octets):
    _, compression, _ = parts_of_hello(octets)
    octets[compression + 1] = 1
    return octets


def with_long_session(octets):
    session, _, _ = parts_of_hello(octets)
    rest = octets[session + 1 + octets[session] :]
    return with_body(octets, octets[4:session] + bytes([33]) + bytes(33) + rest)


def with_doubled_extension(octets):
    _, _, extensions = parts_of_hello(octets)
    first = extensions + 2
    end = first + 4 + int.from_bytes(octets[first + 2 : first + 4], "big")
    more = octets[first:end]
    total = int.from_bytes(octets[extensions:first], "big") + len(more)
    return with_body(octets, octets[4:extensions] + total.to_bytes(2, "big") + more + octets[first:])


def record(kind, body, version=b"\x03\x01"):
    return bytes([kind]) + version + len(body).to_bytes(2, "big") + bytes(body)


RECORDS = [
    # claim, what is sent, the alerts that are right
    ("a record of an unknown type", record(99, b"x" * 40), [A.unexpected_message, A.decode_error]),
    ("a record longer than a record may be", record(22, b"\1\0\x60\0" + b"x" * (2**14 + 2100)), [A.record_overflow, A.decode_error]),
    ("application data before anything", record(23, b"GET / HTTP/1.1\r\n\r\n"), [A.unexpected_message, A.decode_error]),
    ("ChangeCipherSpec before anything", record(20, b"\1"), [A.unexpected_message, A.decode_error]),
    ("an empty handshake record", record(22, b"") + record(22, b""), [A.unexpected_message, A.decode_error]),
    ("a heartbeat", record(24, b"\1\x40\0"), [A.unexpected_message, A.decode_error]),
    ("ServerHello from a client", record(22, b"\2\0\0\x26\3\3" + bytes(36)), [A.unexpected_message, A.decode_error]),
    ("Finished before anything", record(22, b"\x14\0\0\x0c" + bytes(12)), [A.unexpected_message, A.decode_error]),
    ("a handshake message that promises 16 MiB", record(22, b"\1\xff\xff\xff" + bytes(100)),
     [A.decode_error, A.record_overflow, A.illegal_parameter, A.unexpected_message, "closed"]),
]


def answer_to_records(port, octets):
    with connect(port) as connection:
        got = b""
        try:
            connection.sendall(octets)
            while len(got) < 7 and (more := connection.recv(4096)):
                got += more
        except ConnectionError:
            pass
        except TimeoutError:
            return "silence"
        # A fatal alert in the clear: type 21, version, length 2, level 2.
        return got[6] if len(got) >= 7 and got[0] == 21 and got[5] == 2 else ("closed" if not got else repr(got[:20]))


def main():
    port, certificate, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    chain = X509CertChain()
    chain.parsePemList(open(certificate).read())
    key = parsePEMKey(open(key).read(), private=True)
    verdicts = Verdicts({}, name)
    judge = verdicts.judge
    for claim, versions, meddle, right in MESSAGES:
        for version in versions:
            label = "TLS 1.2" if version == TLS12 else "TLS 1.3"
            judge(f"{label}, {claim}", answer_to(port, chain, key, version, meddle), right)
    for claim, octets, right in RECORDS:
        judge(claim, answer_to_records(port, octets), right)
    # After all of it, the server is what it was.
    judge("an honest client afterwards", answer_to(port, chain, key, TLS13, None), [LET_IN])
    verdicts.end("conversations")


main()
