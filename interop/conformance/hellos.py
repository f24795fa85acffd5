"""ClientHellos, octet by octet, and what a server must answer to each by RFC 8446, 5246, 5746, 6066, 7301, 7507, 7627 and
8422: one table, run against `serve`. What comes before any encryption can be said without a TLS library, so
nothing here is; the answers are in the clear as well: an alert, a ServerHello, a HelloRetryRequest, or the end.

Usage: hellos.py PORT
"""

import hashlib
import os
import socket
import struct
import sys

from verdicts import Verdicts

HOST = "localhost"
ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
    42: "bad_certificate", 47: "illegal_parameter", 50: "decode_error", 51: "decrypt_error", 70: "protocol_version",
    71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
    100: "no_renegotiation", 109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
    116: "certificate_required", 120: "no_application_protocol",
}
GOES_ON, AGAIN = "ServerHello", "HelloRetryRequest"
# What was chosen is said before the alert, which is then sealed, and nobody goes on.
ENDS = "ServerHello, a sealed alert and the end"
# Server Random of a HelloRetryRequest, and what stands at the end of one that chose less than it could (RFC 8446 section 4.1.3).
OF_RETRY = hashlib.sha256(b"HelloRetryRequest").digest()
SENTINEL = b"DOWNGRD\x01"
X25519, P256, P384, MLKEM = 29, 23, 24, 4588
# The base point of P-256 (SEC 2 section 2.4.2): a point as good as any.
G256 = bytes.fromhex("046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                     "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
SCHEMES = (0x0403, 0x0503, 0x0804, 0x0805, 0x0806, 0x0807, 0x0401, 0x0501)
SUITES_13, SUITES_12 = (0x1301, 0x1302, 0x1303), (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8)


def vector(octets, size):
    return len(octets).to_bytes(size, "big") + octets


def numbers(values, size=2):
    return b"".join(value.to_bytes(size, "big") for value in values)


def share(group, octets=None):
    octets = octets if octets is not None else (G256 if group == P256 else os.urandom(32))
    return numbers([group]) + vector(octets, 2)


def sni(*names, kind=0):
    return vector(b"".join(bytes([kind]) + vector(name, 2) for name in names), 2)


def alpn(*names):
    return vector(b"".join(vector(name, 1) for name in names), 2)


def psk(identities=1, binders=1, length=32):
    names = b"".join(vector(os.urandom(64), 2) + bytes(4) for _ in range(identities))
    return vector(names, 2) + vector(vector(os.urandom(length), 1) * binders, 2)


SNI, GROUPS, POINTS, ALGORITHMS, ALPN, EMS, TICKET, PSK, EARLY, VERSIONS, COOKIE, MODES, SHARE, RENEGOTIATION = (
    0, 10, 11, 13, 16, 23, 35, 41, 42, 43, 44, 45, 51, 0xFF01)


class Hello:
    """A ClientHello that is right in everything, until it is told otherwise."""

    def __init__(self, **changes):
        self.version, self.random, self.session = 0x0303, os.urandom(32), os.urandom(32)
        self.suites, self.compressions = numbers(SUITES_13 + SUITES_12), b"\0"
        self.extensions = {
            SNI: sni(b"localhost"),
            GROUPS: vector(numbers([X25519, P256]), 2),
            ALGORITHMS: vector(numbers(SCHEMES), 2),
            ALPN: alpn(b"http/1.1"),
            VERSIONS: vector(numbers([0x0304, 0x0303]), 1),
            MODES: b"\x01\x01",
            SHARE: vector(share(X25519), 2),
            EMS: b"",
            RENEGOTIATION: b"\0",
            POINTS: b"\x01\0",
        }
        self.order, self.raw_extensions = None, None
        for name, value in changes.items():
            assert hasattr(self, name), name
            setattr(self, name, value)

    def put(self, number, value):
        if value is None:
            self.extensions.pop(number, None)
        else:
            self.extensions[number] = value
        return self

    def body(self):
        pairs = self.order(list(self.extensions.items())) if self.order else self.extensions.items()
        extensions = b"".join(numbers([number]) + vector(value, 2) for number, value in pairs)
        block = vector(extensions, 2) if self.raw_extensions is None else self.raw_extensions(extensions)
        return (numbers([self.version]) + self.random + vector(self.session, 1) + vector(self.suites, 2)
                + vector(self.compressions, 1) + block)

    def message(self):
        return b"\x01" + vector(self.body(), 3)


def record(octets, kind=22, version=0x0301):
    return bytes([kind]) + numbers([version]) + vector(octets, 2)


def hello(*extensions, **changes):
    """A record with a ClientHello whose extensions are changed: pairs of number and value, None for one that is left out."""
    it = Hello(**changes)
    for number, value in extensions:
        it.put(number, value)
    return record(it.message())


def tls12(*extensions, **changes):
    return hello((VERSIONS, None), (SHARE, None), (MODES, None), *extensions, **{"suites": numbers(SUITES_12), **changes})


def pieces(octets, size):
    message = octets[5:]
    return b"".join(record(message[at : at + size]) for at in range(0, len(message), size))


def last(number):
    """An order of extensions in which this one is before others."""
    return lambda pairs: [pair for pair in pairs if pair[0] == number] + [pair for pair in pairs if pair[0] != number]


def doubled(number):
    return lambda pairs: pairs + [pair for pair in pairs if pair[0] == number]


ONLY_P256 = (GROUPS, vector(numbers([P256]), 2))
CCS = record(b"\x01", kind=20, version=0x0303)
MALFORMED, PARAMETER, FAILURE, UNEXPECTED = "decode_error", "illegal_parameter", "handshake_failure", "unexpected_message"
NOT_UNDERSTOOD = (MALFORMED, PARAMETER)

# fmt: off
TABLE = [
    # section, claim, what is sent, the answers that are right
    ("the other verdict", [
        ("a hello for TLS 1.3", hello(), [GOES_ON]),
        ("a hello for TLS 1.2", tls12(), [GOES_ON]),
    ]),
    ("RFC 8446 section 4.1.2: the fields of ClientHello", [
        ("legacy_version is 3.1, supported_versions says 1.3", hello(version=0x0301), [GOES_ON, "protocol_version"]),
        ("legacy_version is 3.4", hello(version=0x0304), [GOES_ON, "protocol_version"]),
        ("no session id", hello(session=b""), [GOES_ON]),
        ("a session id of 33 octets", hello(session=bytes(33)), [MALFORMED]),
        ("an odd list of suites", hello(suites=numbers(SUITES_13) + b"\0"), [MALFORMED]),
        ("no suites", hello(suites=b""), [MALFORMED, FAILURE, PARAMETER]),
        ("suites that nobody knows", hello(suites=numbers([0x0A0A, 0x1AFF])), [FAILURE]),
        ("suites of TLS 1.2 alone, with version 1.3 alone", hello((VERSIONS, b"\x02\x03\x04"), suites=numbers(SUITES_12)), [FAILURE]),
        ("an unknown suite among others (GREASE, RFC 8701)", hello(suites=numbers((0x8A8A,) + SUITES_13)), [GOES_ON]),
        ("no compression methods", hello(compressions=b""), [MALFORMED, PARAMETER, FAILURE]),
        ("a second compression method", hello(compressions=b"\0\1"), [PARAMETER]),
        ("compression without null", hello(compressions=b"\1"), [PARAMETER, FAILURE, MALFORMED]),
        ("no extensions at all", hello(raw_extensions=lambda _: b""), ["protocol_version", "missing_extension", FAILURE]),
        ("an empty block of extensions", hello(raw_extensions=lambda _: b"\0\0"), ["protocol_version", "missing_extension", FAILURE]),
        ("extensions longer than they say", hello(raw_extensions=lambda e: vector(e[:-1], 2) + e[-1:]), [MALFORMED]),
        ("extensions shorter than they say", hello(raw_extensions=lambda e: (len(e) + 4).to_bytes(2, "big") + e), [MALFORMED]),
        ("an octet behind the extensions", hello(raw_extensions=lambda e: vector(e, 2) + b"\0"), [MALFORMED]),
    ]),
    ("RFC 8446 section 4.2: extensions", [
        ("an unknown extension (GREASE)", hello((0x3A3A, b"what is this?")), [GOES_ON]),
        ("a hundred unknown extensions", hello(*[(0x5000 + at, b"?") for at in range(100)]), [GOES_ON]),
        ("padding of 8,000 octets (RFC 7685)", hello((21, bytes(8000))), [GOES_ON]),
        *[(f"extension {number} twice", hello(order=doubled(number)), NOT_UNDERSTOOD)
          for number in (SNI, GROUPS, ALGORITHMS, ALPN, VERSIONS, MODES, SHARE, EMS)],
        ("an unknown extension twice", hello((0x3A3A, b""), order=doubled(0x3A3A)), [GOES_ON, *NOT_UNDERSTOOD]),
    ]),
    ("RFC 8446 section 4.2.1: supported_versions", [
        ("an empty list", hello((VERSIONS, b"\0")), [MALFORMED]),
        ("an odd list", hello((VERSIONS, b"\x03\x03\x04\x03")), [MALFORMED]),
        ("a version that is to come, alone", hello((VERSIONS, b"\x02\x03\x05")), ["protocol_version"]),
        ("a version that is to come, and 1.3", hello((VERSIONS, b"\x04\x03\x05\x03\x04")), [GOES_ON]),
        ("1.1 alone", hello((VERSIONS, b"\x02\x03\x02")), ["protocol_version"]),
        ("octets behind the list", hello((VERSIONS, b"\x02\x03\x04\0")), [MALFORMED]),
        ("1.2 alone, by the extension", hello((VERSIONS, b"\x02\x03\x03")), [GOES_ON]),
    ]),
    ("RFC 8446 section 4.2.3: signature_algorithms", [
        ("none", hello((ALGORITHMS, None), (VERSIONS, b"\x02\x03\x04")), ["missing_extension"]),
        ("an empty list", hello((ALGORITHMS, b"\0\0")), [MALFORMED, FAILURE]),
        ("an odd list", hello((ALGORITHMS, b"\0\x03\x04\x03\x08")), [MALFORMED]),
        ("octets behind the list", hello((ALGORITHMS, vector(numbers(SCHEMES), 2) + b"\0")), [MALFORMED]),
        ("those that nobody knows", hello((ALGORITHMS, b"\0\x02\xfe\xfe")), [FAILURE, ENDS]),
        ("SHA-1 alone, in TLS 1.3", hello((ALGORITHMS, b"\0\x02\x02\x03"), (VERSIONS, b"\x02\x03\x04")), [FAILURE, ENDS]),
        ("SHA-1 alone, in TLS 1.2", tls12((ALGORITHMS, b"\0\x02\x02\x03")), [FAILURE]),
        ("PKCS #1 v1.5 alone, in TLS 1.3", hello((ALGORITHMS, b"\0\x02\x04\x01"), (VERSIONS, b"\x02\x03\x04")), [FAILURE, ENDS]),
        ("more than can be counted", hello((ALGORITHMS, vector(numbers(range(0xE000, 0xE400)) + numbers(SCHEMES), 2))), [GOES_ON]),
    ]),
    ("RFC 8446 sections 4.2.7 and 4.2.8: supported_groups and key_share", [
        ("no groups", hello((GROUPS, None), (VERSIONS, b"\x02\x03\x04")), ["missing_extension"]),
        ("no share", hello((SHARE, None), (VERSIONS, b"\x02\x03\x04")), ["missing_extension"]),
        ("an empty list of groups", hello((GROUPS, b"\0\0")), [MALFORMED, FAILURE, PARAMETER]),
        ("groups that nobody knows", hello((GROUPS, b"\0\x02\xfe\xfe"), (SHARE, vector(share(0xFEFE), 2))), [FAILURE]),
        ("an empty list of shares", hello((SHARE, b"\0\0")), [AGAIN]),
        ("a share of an unknown group before ours", hello((GROUPS, vector(numbers([0x2A2A, X25519]), 2)),
                                                         (SHARE, vector(share(0x2A2A, b"\0") + share(X25519), 2))), [GOES_ON]),
        ("two shares of one group", hello((SHARE, vector(share(X25519) * 2, 2))), NOT_UNDERSTOOD),
        ("a share of a group that is not offered", hello((GROUPS, vector(numbers([P256]), 2))), [PARAMETER, AGAIN]),
        ("X25519 of 31 octets", hello((SHARE, vector(share(X25519, bytes(31)), 2))), NOT_UNDERSTOOD),
        ("X25519 of 33 octets", hello((SHARE, vector(share(X25519, bytes(33)), 2))), NOT_UNDERSTOOD),
        ("X25519 of no octets", hello((SHARE, vector(share(X25519, b""), 2))), NOT_UNDERSTOOD),
        ("X25519 zero, whose secret everybody knows (RFC 7748 section 6.1)", hello((SHARE, vector(share(X25519, bytes(32)), 2))), NOT_UNDERSTOOD),
        ("X25519 one, of small order", hello((SHARE, vector(share(X25519, b"\1" + bytes(31)), 2))), NOT_UNDERSTOOD),
        ("P-256", hello(ONLY_P256, (SHARE, vector(share(P256), 2))), [GOES_ON]),
        ("P-256 off the curve", hello(ONLY_P256, (SHARE, vector(share(P256, G256[:-1] + b"\0"), 2))), NOT_UNDERSTOOD),
        ("P-256 compressed", hello(ONLY_P256, (SHARE, vector(share(P256, b"\x03" + G256[1:33]), 2))), NOT_UNDERSTOOD),
        ("P-256 hybrid form", hello(ONLY_P256, (SHARE, vector(share(P256, b"\x07" + G256[1:]), 2))), NOT_UNDERSTOOD),
        ("P-256 at infinity", hello(ONLY_P256, (SHARE, vector(share(P256, b"\0"), 2))), NOT_UNDERSTOOD),
        ("P-256 of too few octets", hello(ONLY_P256, (SHARE, vector(share(P256, G256[:64]), 2))), NOT_UNDERSTOOD),
        ("X25519MLKEM768 of too few octets", hello((GROUPS, vector(numbers([MLKEM]), 2)), (SHARE, vector(share(MLKEM, bytes(100)), 2))), NOT_UNDERSTOOD),
        ("X25519MLKEM768 whose coefficients are too large (FIPS 203 section 7.2)",
         hello((GROUPS, vector(numbers([MLKEM]), 2)), (SHARE, vector(share(MLKEM, b"\xff" * 1184 + os.urandom(32)), 2))), NOT_UNDERSTOOD),
        ("octets behind the shares", hello((SHARE, vector(share(X25519), 2) + b"\0")), [MALFORMED]),
    ]),
    ("RFC 8446 sections 4.2.9 to 4.2.11: keys of earlier", [
        ("a key nobody knows, with its modes", hello((PSK, psk())), [GOES_ON]),
        ("a key without modes", hello((PSK, psk()), (MODES, None)), ["missing_extension"]),
        ("a key that is not the last extension", hello((PSK, psk()), order=last(PSK)), [PARAMETER]),
        ("fewer binders than keys", hello((PSK, psk(2, 1))), NOT_UNDERSTOOD),
        ("more binders than keys", hello((PSK, psk(1, 2))), NOT_UNDERSTOOD),
        ("no keys", hello((PSK, b"\0\0\0\0")), NOT_UNDERSTOOD),
        ("a binder of 5 octets", hello((PSK, psk(length=5))), NOT_UNDERSTOOD),
        ("no modes in the list", hello((MODES, b"\0"), (PSK, psk())), NOT_UNDERSTOOD),
        ("modes that nobody knows", hello((MODES, b"\x02\x7f\x80"), (PSK, psk())), [GOES_ON]),
        ("PSK without (EC)DHE alone", hello((MODES, b"\x01\0"), (PSK, psk())), [GOES_ON]),
        ("early data without a key", hello((EARLY, b"")), [GOES_ON, PARAMETER, FAILURE]),
        ("early data with octets", hello((EARLY, b"\0\0\0\1"), (PSK, psk())), [MALFORMED]),
    ]),
    ("RFC 6066 section 3: server_name", [
        ("none", hello((SNI, None)), [GOES_ON]),
        ("another host", hello((SNI, sni(b"other.example"))), [GOES_ON, "unrecognized_name"]),
        ("an empty list", hello((SNI, b"\0\0")), NOT_UNDERSTOOD),
        ("an empty name", hello((SNI, sni(b""))), NOT_UNDERSTOOD),
        ("no octets", hello((SNI, b"")), [MALFORMED]),
        ("two names of one type", hello((SNI, sni(b"localhost", b"localhost"))), NOT_UNDERSTOOD),
        ("a name with a NUL", hello((SNI, sni(b"local\0host"))), [*NOT_UNDERSTOOD, "unrecognized_name"]),
        ("a name longer than it says", hello((SNI, vector(b"\0" + vector(b"localhost", 2) + b"x", 2))), NOT_UNDERSTOOD),
        ("an address, which is no name", hello((SNI, sni(b"127.0.0.1"))), [GOES_ON, *NOT_UNDERSTOOD, "unrecognized_name"]),
        ("a name of 300 octets", hello((SNI, sni(b"a" * 300))), [*NOT_UNDERSTOOD, "unrecognized_name"]),
    ]),
    ("RFC 7301: ALPN", [
        ("none", hello((ALPN, None)), [GOES_ON]),
        ("an empty list", hello((ALPN, b"\0\0")), NOT_UNDERSTOOD),
        ("an empty name", hello((ALPN, alpn(b""))), NOT_UNDERSTOOD),
        ("a name longer than the list", hello((ALPN, b"\0\x03\x09ab")), [MALFORMED]),
        ("octets behind the list", hello((ALPN, alpn(b"http/1.1") + b"\0")), [MALFORMED]),
        ("only what is not spoken here", hello((ALPN, alpn(b"imap"))), ["no_application_protocol", ENDS]),
        ("only what is not spoken here, in TLS 1.2", tls12((ALPN, alpn(b"imap"))), ["no_application_protocol"]),
        ("a thousand names and ours", hello((ALPN, alpn(*[b"x%d" % at for at in range(1000)], b"http/1.1"))), [GOES_ON]),
    ]),
    ("RFC 8446 section 4.2.2 and 4.1.4: the second hello", []),  # below, in AGAINST_RETRY
    ("TLS 1.2 (RFC 5246, 5746, 7627, 8422)", [
        ("without the extended master secret", tls12((EMS, None)), [GOES_ON, FAILURE]),
        ("an extended master secret with octets", tls12((EMS, b"\0")), [MALFORMED]),
        ("without renegotiation_info", tls12((RENEGOTIATION, None)), [GOES_ON, FAILURE]),
        ("the suite that stands for renegotiation_info", tls12((RENEGOTIATION, None), suites=numbers(SUITES_12 + (0x00FF,))), [GOES_ON]),
        ("renegotiation_info of another handshake", tls12((RENEGOTIATION, vector(bytes(12), 1))), [FAILURE]),
        ("renegotiation_info without octets", tls12((RENEGOTIATION, b"")), [MALFORMED, FAILURE]),
        ("without point formats", tls12((POINTS, None)), [GOES_ON]),
        ("point formats without the uncompressed", tls12((POINTS, b"\x01\x01")), [PARAMETER, FAILURE]),
        ("an empty list of point formats", tls12((POINTS, b"\0")), NOT_UNDERSTOOD),
        ("groups that nobody knows", tls12((GROUPS, b"\0\x02\xfe\xfe")), [FAILURE]),
        ("suites without forward secrecy alone", tls12(suites=numbers([0x009C, 0x009D, 0x002F])), [FAILURE]),
        ("suites of TLS 1.3 alone", tls12(suites=numbers(SUITES_13)), [FAILURE]),
        ("NULL, anonymous and export suites", tls12(suites=numbers([0, 0x0034, 0x0003, 0xC018, 0x003B])), [FAILURE]),
        ("without signature_algorithms, which means SHA-1", tls12((ALGORITHMS, None)), [FAILURE, "missing_extension"]),
        ("a fallback (RFC 7507)", tls12(suites=numbers(SUITES_12 + (0x5600,))), ["inappropriate_fallback"]),
        ("TLS 1.1", tls12(version=0x0302), ["protocol_version"]),
        ("TLS 1.0", tls12(version=0x0301), ["protocol_version"]),
        ("SSL 3.0", tls12(version=0x0300), ["protocol_version"]),
        ("version 2.0 in a hello of this form", tls12(version=0x0200), ["protocol_version", MALFORMED]),
        ("a hello of SSL 2.0 (RFC 6176)", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37), [MALFORMED, UNEXPECTED, "protocol_version", "closed"]),
        ("a ticket that nobody gave", tls12((TICKET, os.urandom(180))), [GOES_ON]),
    ]),
    ("RFC 8446 section 5.1: records", [
        ("one octet a record", pieces(hello(), 1), [GOES_ON]),
        ("two records", pieces(hello(), 100), [GOES_ON]),
        ("the record says version 3.0", b"\x16\x03\x00" + hello()[3:], [GOES_ON, "protocol_version"]),
        ("the record says version 3.3", b"\x16\x03\x03" + hello()[3:], [GOES_ON]),
        ("the record says version 3.153", b"\x16\x03\x99" + hello()[3:], [GOES_ON, "protocol_version"]),
        ("the record says version 5.1", b"\x16\x05\x01" + hello()[3:], ["protocol_version", MALFORMED]),
        ("an empty record between two pieces", record(hello()[5:100]) + record(b"") + record(hello()[100:]), [UNEXPECTED, MALFORMED]),
        ("an alert between two pieces", record(hello()[5:100]) + record(b"\1\x5a", 21), [UNEXPECTED, MALFORMED, "closed"]),
        ("ChangeCipherSpec between two pieces", record(hello()[5:100]) + CCS + record(hello()[100:]), [UNEXPECTED, MALFORMED]),
        ("application data between two pieces", record(hello()[5:100]) + record(b"x", 23), [UNEXPECTED, MALFORMED]),
        ("a second message behind it in one record", record(hello()[5:] + hello()[5:]), [UNEXPECTED]),
        ("the beginning of a second message behind it", record(hello()[5:] + b"\x0b\0"), [UNEXPECTED, MALFORMED]),
        ("a record of 2^14 + 1 octets", record(bytes(2**14 + 1)), ["record_overflow", MALFORMED, UNEXPECTED, PARAMETER]),
        ("a record of 65,535 octets", record(bytes(65535)), ["record_overflow", MALFORMED, UNEXPECTED]),
        ("an empty record of application data", record(b"", 23), [UNEXPECTED, MALFORMED]),
        ("an empty alert", record(b"", 21), [UNEXPECTED, MALFORMED, "closed"]),
        ("half an alert", record(b"\2", 21) + record(b"\x28", 21), [UNEXPECTED, MALFORMED, "closed"]),
        ("an alert of three octets", record(b"\1\0\0", 21), [UNEXPECTED, MALFORMED, "closed"]),
        ("a fatal alert, which is not answered", record(b"\2\x28", 21), ["closed"]),
        ("a close_notify before anything", record(b"\1\0", 21), ["closed"]),
        ("HTTP in the clear", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", [MALFORMED, UNEXPECTED, "protocol_version", "record_overflow", "answered in HTTP"]),
        *[(f"message {number} in place of ClientHello", record(bytes([number]) + vector(bytes(40), 3)), [UNEXPECTED, MALFORMED])
          for number in (0, 2, 4, 5, 8, 11, 12, 13, 14, 15, 16, 20, 24, 25, 254, 255)],
    ]),
]
# fmt: on


AGAINST_RETRY = [
    # claim, what of the second hello is another, the answers that are right
    ("the second hello as it should be", {}, [GOES_ON]),
    ("ChangeCipherSpec before it, for middleboxes", {"before": CCS}, [GOES_ON]),
    ("ChangeCipherSpec with another octet before it", {"before": record(b"\2", 20)}, [UNEXPECTED, MALFORMED, PARAMETER]),
    ("ChangeCipherSpec of two octets before it", {"before": record(b"\1\1", 20)}, [UNEXPECTED, MALFORMED, PARAMETER]),
    ("again no share", {SHARE: b"\0\0"}, [PARAMETER, UNEXPECTED, FAILURE, MALFORMED]),
    ("a share of another group", {SHARE: vector(share(P256), 2)}, [PARAMETER, FAILURE]),
    ("two shares", {SHARE: vector(share(X25519) + share(P256), 2)}, [PARAMETER, GOES_ON]),
    ("no share extension", {SHARE: None}, ["missing_extension", PARAMETER]),
    ("other suites", {"suites": numbers([0x1303])}, [PARAMETER, FAILURE]),
    ("another version", {VERSIONS: b"\x02\x03\x03"}, [PARAMETER, "protocol_version", UNEXPECTED]),
    ("another random", {"random": bytes(32)}, [PARAMETER, GOES_ON]),
    ("a cookie that nobody gave", {COOKIE: vector(b"biscuit", 2)}, [PARAMETER, "unsupported_extension", GOES_ON]),
    ("early data, which a second hello has not", {EARLY: b""}, [PARAMETER, "unsupported_extension", GOES_ON]),
]

# Answers that are another than those above, each with its reason. One that has become right fails too.
NO_MISSING = ("handshake_failure", "rustls 0.23 has one alert for all that it cannot go on without, where RFC 8446 section 9.2 has missing_extension; nothing is let in")
DIFFERS = {
    "signature_algorithms: none": NO_MISSING,
    "supported_groups and key_share: no groups": NO_MISSING,
    "supported_groups and key_share: no share": NO_MISSING,
    "the second hello: no share extension": NO_MISSING,
    "keys of earlier: a binder of 5 octets": (GOES_ON, "rustls 0.23 compares a binder of any length, and none that is short equals one of ours; the key is passed over and the handshake a whole one"),
    "server_name: a name longer than it says": (GOES_ON, "what follows a host name is of a type that rustls does not know, and passed over with all behind it; the name is read right"),
    "TLS 1.2 (RFC 5246, 5746, 7627, 8422): renegotiation_info of another handshake": (GOES_ON, "rustls never renegotiates, so no handshake can be put before another one (RFC 5746 section 1)"),
    "TLS 1.2 (RFC 5246, 5746, 7627, 8422): a fallback (RFC 7507)": (GOES_ON, "rustls does not know that suite; who speaks TLS 1.3 is protected by the sentinel (RFC 8446 section 4.1.3), which is in this table"),
}


def read_exactly(connection, count):
    got = b""
    while len(got) < count:
        more = connection.recv(count - len(got))
        if not more:
            raise EOFError
        got += more
    return got


def answer(connection):
    """The first thing that the server says in answer, and its ServerHello where it is one."""
    try:
        while True:
            head = read_exactly(connection, 5)
            if head == b"HTTP/":
                return "answered in HTTP", b""
            body = read_exactly(connection, int.from_bytes(head[3:5], "big"))
            if head[0] == 21:
                return ALERTS.get(body[1], f"alert {body[1]}"), b""
            if head[0] == 22 and body[0] == 2:
                return (AGAIN if body[6:38] == OF_RETRY else GOES_ON), body
            if head[0] != 20:
                return f"a record {head[0]} that begins with {body[:4].hex()}", b""
    except (EOFError, ConnectionError):
        return "closed", b""
    except TimeoutError:
        return "silence", b""


def connect(port):
    connection = socket.create_connection((HOST, port), timeout=20)
    connection.settimeout(20)
    return connection


def ask(port, octets, right=()):
    with connect(port) as connection:
        try:
            connection.sendall(octets)
        except ConnectionError:
            pass
        said, message = answer(connection)
        if said == GOES_ON and ENDS in right:
            try:
                while connection.recv(4096):
                    pass
                said = ENDS
            except TimeoutError:
                pass
        return said, message


def retried(port, changes):
    """The answer to a second hello with these changes: fields by name, extensions by number. X25519 is what is asked for."""
    first = Hello().put(SHARE, b"\0\0")
    again = Hello(random=first.random, session=first.session)
    before = b""
    for key, value in changes.items():
        if key == "before":
            before = value
        elif isinstance(key, str):
            setattr(again, key, value)
        else:
            again.put(key, value)
    with connect(port) as connection:
        connection.sendall(record(first.message()))
        said, _ = answer(connection)
        if said != AGAIN:
            return f"{said} to the first hello"
        try:
            connection.sendall(before + record(again.message(), version=0x0303))
        except ConnectionError:
            pass
        return answer(connection)[0]


def hellos_of_the_server(port):
    """What is right in the ServerHello itself (RFC 8446 section 4.1.3): pairs of claim and whether it holds."""
    it = Hello()
    _, said = ask(port, record(it.message()))
    session = said[39 : 39 + said[38]]
    yield "legacy_version is 3.3 in TLS 1.3", said[4:6] == b"\x03\x03"
    yield "the session id is echoed in TLS 1.3", session == it.session
    yield "compression is null", said[39 + said[38] + 2] == 0
    yield "no sentinel where 1.3 was chosen", said[30:38] not in (SENTINEL, SENTINEL[:-1] + b"\0")
    _, said = ask(port, tls12())
    yield "one who offers 1.2 alone hears that there was more (the downgrade sentinel)", said[30:38] == SENTINEL
    it = Hello()
    _, said = ask(port, record(it.message()))
    _, other = ask(port, record(it.message()))
    yield "two answers to one hello have nothing in common in their random", said[6:38] != other[6:38]
    it = Hello().put(SHARE, b"\0\0")
    _, said = ask(port, record(it.message()))
    yield "a retry echoes the session id", said[39 : 39 + said[38]] == it.session


def main():
    port = int(sys.argv[1])
    verdicts = Verdicts(DIFFERS)
    judge = verdicts.judge
    for section, lines in TABLE:
        print(f"--- {section}")
        topic = section.rsplit(": ", 1)[-1]
        for claim, octets, right in lines:
            judge(f"{topic}: {claim}", ask(port, octets, right)[0], right)
        if not lines:
            for claim, changes, right in AGAINST_RETRY:
                judge(f"{topic}: {claim}", retried(port, changes), right)
    print("--- RFC 8446 section 4.1.3: ServerHello")
    for claim, holds in hellos_of_the_server(port):
        judge(claim, "so" if holds else "not so", ["so"])
    judge("a hello for TLS 1.3 afterwards", ask(port, hello())[0], [GOES_ON])
    verdicts.end("hellos")


main()
