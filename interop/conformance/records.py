"""What an established or half-made connection of TLS must not bear: sealed records of every wrong form, messages at the wrong
moment, cut where they may not be, key updates, alerts, ChangeCipherSpec. The sequel of handshakes.py in one table, by RFC 8446
sections 4.4, 4.6.3, 5 and 6 and RFC 5246 sections 6, 7.1, 7.2 and 7.4; run against `serve`.

Usage: records.py PORT CERTIFICATE KEY      (PEM; RSA)
"""

import sys

from tlslite.api import X509CertChain, parsePEMKey
from tlslite.constants import ContentType, KeyUpdateMessageType
from tlslite.messages import Certificate, CertificateVerify, ChangeCipherSpec, ClientKeyExchange, Finished
from tlslite.utils.cryptomath import secureHash

from meddling import BOTH, LET_IN, REQUEST, TLS12, TLS13, A, Kept, Late, Sealed, Wire, answer_to, change, name, raw
from verdicts import Verdicts

HANDSHAKE, DATA, ALERT, CCS = (ContentType.handshake, ContentType.application_data, ContentType.alert,
                               ContentType.change_cipher_spec)
UNEXPECTED, MALFORMED, BAD_MAC, TOO_LONG, PARAMETER = (A.unexpected_message, A.decode_error, A.bad_record_mac, A.record_overflow,
                                                       A.illegal_parameter)
# What a record that is not under the key, or not sealed, can be taken for.
NOT_OURS = [BAD_MAC, UNEXPECTED, MALFORMED]


def message(kind, body=b""):
    return bytes([kind]) + len(body).to_bytes(3, "big") + bytes(body)


def clear(kind, octets):
    return Wire(bytes([kind]) + b"\x03\x03" + len(octets).to_bytes(2, "big") + bytes(octets))


def inside(kind, octets, padding=0):
    """A sealed record of TLS 1.3 with this content, its type and its padding."""
    return Sealed(bytes(octets) + bytes([kind]) + bytes(padding))


def of12(kind, octets, after=lambda octets: octets):
    return Sealed(octets, kind, after)


def flipped(octets):
    octets[-1] ^= 1
    return octets


def put(*what):
    def afterwards(connection):
        for one in what:
            connection.put(one)

    return afterwards


def key_update(connection):
    for _ in connection.send_keyupdate_request(KeyUpdateMessageType.update_requested):
        pass


def key_updates(connection):
    for _ in range(30):
        for _ in connection.send_keyupdate_request(KeyUpdateMessageType.update_not_requested):
            pass


KEY_UPDATE = 24
CLOSED = "closed"

# fmt: off
# What is sent when the handshake is over, before a request.
AFTERWARDS = [
    # claim, versions, what is sent, the answers that are right
    ("nothing", BOTH, None, [LET_IN]),
    # RFC 8446 section 5.4, RFC 5246 section 6.2.1: empty application data is allowed.
    ("an empty record of application data", (TLS13,), put(inside(DATA, b"")), [LET_IN]),
    ("an empty record of application data", (TLS12,), put(of12(DATA, b"")), [LET_IN]),
    ("application data with 1,000 octets of padding", (TLS13,), put(inside(DATA, REQUEST[:10], 1000), inside(DATA, REQUEST[10:], 3)), [LET_IN]),
    ("an empty handshake record", (TLS13,), put(inside(HANDSHAKE, b"")), [UNEXPECTED]),
    ("an empty handshake record", (TLS12,), put(of12(HANDSHAKE, b"")), [UNEXPECTED, MALFORMED]),
    ("an empty alert", (TLS13,), put(inside(ALERT, b"")), [UNEXPECTED, MALFORMED]),
    ("an empty alert", (TLS12,), put(of12(ALERT, b"")), [UNEXPECTED, MALFORMED]),
    ("a record of padding alone", (TLS13,), put(Sealed(bytes(30))), [UNEXPECTED]),
    ("a record with nothing inside, not even a type", (TLS13,), put(Sealed(b"")), [UNEXPECTED]),
    ("an unknown type inside", (TLS13,), put(inside(99, b"what?")), [UNEXPECTED]),
    ("an unknown type", (TLS12,), put(of12(99, b"what?")), [UNEXPECTED, MALFORMED]),
    ("a heartbeat inside (CVE-2014-0160)", (TLS13,), put(inside(24, b"\x01\x40\x00")), [UNEXPECTED]),
    ("a heartbeat (CVE-2014-0160)", (TLS12,), put(of12(24, b"\x01\x40\x00")), [UNEXPECTED, MALFORMED]),
    ("ChangeCipherSpec inside", (TLS13,), put(inside(CCS, b"\x01")), [UNEXPECTED]),
    ("2^14 + 1 octets inside", (TLS13,), put(inside(DATA, bytes(2**14 + 1))), [TOO_LONG]),
    ("2^14 + 1 octets", (TLS12,), put(of12(DATA, bytes(2**14 + 1))), [TOO_LONG]),
    ("2^14 + 2 octets inside, of padding nearly all", (TLS13,), put(inside(DATA, b"", 2**14 + 1)), [TOO_LONG]),
    ("a sealed record of 2^14 + 257 octets", (TLS13,), put(clear(DATA, bytes(2**14 + 257))), [TOO_LONG, BAD_MAC]),
    ("a sealed record of 2^14 + 2049 octets", (TLS12,), put(clear(DATA, bytes(2**14 + 2049))), [TOO_LONG, BAD_MAC, MALFORMED]),
    ("a seal with another bit", (TLS13,), put(Sealed(REQUEST + bytes([DATA]), after=flipped)), [BAD_MAC]),
    ("a seal with another bit", (TLS12,), put(of12(DATA, REQUEST, flipped)), [BAD_MAC]),
    ("a record shorter than a seal", BOTH, put(clear(DATA, bytes(5))), [BAD_MAC, MALFORMED]),
    ("a record without octets", BOTH, put(clear(DATA, b"")), NOT_OURS),
    ("application data in the clear", BOTH, put(clear(DATA, REQUEST)), NOT_OURS),
    ("a handshake message in the clear", BOTH, put(clear(HANDSHAKE, message(KEY_UPDATE, b"\0"))), NOT_OURS),
    ("an alert in the clear", BOTH, put(clear(ALERT, b"\x01\x00")), NOT_OURS),
    ("a sealed record twice", (TLS13,), lambda c: twice(c, Sealed(REQUEST[:5] + bytes([DATA]))), [BAD_MAC]),
    ("a sealed record twice", (TLS12,), lambda c: twice(c, of12(DATA, REQUEST[:5])), [BAD_MAC]),
    # RFC 8446 section 5: ChangeCipherSpec is dropped until the peer's Finished has come.
    ("ChangeCipherSpec when all is over", (TLS13,), put(clear(CCS, b"\x01")), [UNEXPECTED]),
    ("ChangeCipherSpec when all is over", (TLS12,), put(of12(CCS, b"\x01")), [UNEXPECTED]),
    # RFC 8446 section 4.6.3.
    ("a key update that asks for one", (TLS13,), key_update, [LET_IN]),
    ("thirty key updates", (TLS13,), key_updates, [LET_IN]),
    ("a key update of value 2", (TLS13,), put(inside(HANDSHAKE, message(KEY_UPDATE, b"\x02"))), [PARAMETER, MALFORMED]),
    ("a key update of value 255", (TLS13,), put(inside(HANDSHAKE, message(KEY_UPDATE, b"\xff"))), [PARAMETER, MALFORMED]),
    ("a key update without a value", (TLS13,), put(inside(HANDSHAKE, message(KEY_UPDATE))), [MALFORMED]),
    ("a key update of two octets", (TLS13,), put(inside(HANDSHAKE, message(KEY_UPDATE, b"\0\0"))), [MALFORMED]),
    ("a key update with another message behind it in its record", (TLS13,), put(inside(HANDSHAKE, message(KEY_UPDATE, b"\0") * 2)), [UNEXPECTED]),
    ("a key update with half a message behind it in its record", (TLS13,), put(inside(HANDSHAKE, message(KEY_UPDATE, b"\0") + b"\x18\0")), [UNEXPECTED]),
    ("application data inside of a key update", (TLS13,), put(inside(HANDSHAKE, message(KEY_UPDATE, b"\0")[:3]), inside(DATA, REQUEST)), [UNEXPECTED]),
    ("a key update, which TLS 1.2 has not", (TLS12,), put(of12(HANDSHAKE, message(KEY_UPDATE, b"\0"))), [UNEXPECTED, MALFORMED, A.no_renegotiation]),
    # Messages whose time is over, or never comes.
    *[(f"message {kind}", (TLS13,), put(inside(HANDSHAKE, message(kind, body))), [UNEXPECTED, MALFORMED])
      for kind, body in [(0, b""), (1, bytes(60)), (2, bytes(60)), (4, bytes(30)), (5, b""), (8, b"\0\0"), (11, b"\0\0\0\0"), (13, bytes(10)),
                         (15, b"\x08\x04\0\0"), (20, bytes(32)), (22, bytes(4)), (25, bytes(10)), (67, bytes(4)), (254, bytes(32))]],
    *[(f"message {kind}", (TLS12,), put(of12(HANDSHAKE, message(kind, body))), [UNEXPECTED, MALFORMED, A.no_renegotiation])
      for kind, body in [(0, b""), (2, bytes(60)), (4, bytes(30)), (11, b"\0\0\0"), (12, bytes(30)), (13, bytes(10)), (14, b""),
                         (15, b"\x08\x04\0\0"), (16, bytes(33)), (20, bytes(12)), (21, bytes(20)), (22, bytes(4)), (77, bytes(4))]],
    ("a message that promises 16 MiB", (TLS13,), put(inside(HANDSHAKE, b"\x04\xff\xff\xff" + bytes(50))), [MALFORMED, UNEXPECTED, PARAMETER, TOO_LONG, CLOSED]),
    # RFC 8446 section 6, RFC 5246 section 7.2.
    ("a fatal alert", (TLS13,), put(inside(ALERT, b"\x02\x28")), [CLOSED]),
    ("a fatal alert", (TLS12,), put(of12(ALERT, b"\x02\x28")), [CLOSED]),
    ("an alert that nobody knows", (TLS13,), put(inside(ALERT, b"\x02\xfe")), [CLOSED, UNEXPECTED, PARAMETER, MALFORMED]),
    ("a warning that is none in TLS 1.3", (TLS13,), put(inside(ALERT, b"\x01\x28")), [CLOSED, UNEXPECTED, PARAMETER, MALFORMED]),
    ("an alert of one octet", (TLS13,), put(inside(ALERT, b"\x01")), [MALFORMED, UNEXPECTED]),
    ("an alert of one octet", (TLS12,), put(of12(ALERT, b"\x01")), [MALFORMED, UNEXPECTED]),
    ("two alerts in one record", (TLS13,), put(inside(ALERT, b"\x01\x5a\x01\x5a")), [MALFORMED, UNEXPECTED]),
    ("an alert of an unknown level", (TLS13,), put(inside(ALERT, b"\x05\x28")), [PARAMETER, CLOSED, MALFORMED, UNEXPECTED]),
    ("close_notify", (TLS13,), put(inside(ALERT, b"\x01\x00")), [A.close_notify, CLOSED]),
    ("close_notify", (TLS12,), put(of12(ALERT, b"\x01\x00")), [A.close_notify, CLOSED]),
    ("user_canceled twenty times", (TLS13,), put(*[inside(ALERT, b"\x01\x5a")] * 20), [UNEXPECTED, CLOSED, MALFORMED]),
    ("warnings twenty times", (TLS12,), put(*[of12(ALERT, b"\x01\x5a")] * 20), [UNEXPECTED, CLOSED, MALFORMED]),
]


def twice(connection, what):
    """The same sealed octets again: the sequence number has gone on, so the seal is another's."""
    kept = []

    def keep(octets):
        kept.append(bytes(octets))
        return octets

    what.after = keep
    connection.put(what)
    connection.put(clear(DATA, kept[0]))


def cut(size):
    return lambda octets: [raw(octets[at : at + size]) for at in range(0, len(octets), size)]


def before(*what):
    """The message, with this before it."""
    return lambda octets: [*what, raw(octets)]


def behind(*what):
    return lambda octets: [raw(octets), *what]


def between(*what):
    """The message in two records, with this between them."""
    return lambda octets: [raw(octets[:20]), *what, raw(octets[20:])]


def with_body(octets, body):
    return bytes([octets[0]]) + len(body).to_bytes(3, "big") + bytes(body)


def entry13(octets, change):
    """Certificate of TLS 1.3 (RFC 8446 section 4.4.2) with its first entry's certificate and extensions changed."""
    length = int.from_bytes(octets[8:11], "big")
    certificate, extensions = change(bytes(octets[11 : 11 + length]), b"")
    entry = len(certificate).to_bytes(3, "big") + certificate + len(extensions).to_bytes(2, "big") + extensions
    rest = bytes(octets[11 + length + 2 :])
    return with_body(octets, b"\0" + len(entry + rest).to_bytes(3, "big") + entry + rest)


def entries13(octets, count):
    rest = bytes(octets[8:]) * count
    return with_body(octets, b"\0" + len(rest).to_bytes(3, "big") + rest)


def together():
    """All messages up to the seal in one record (RFC 8446 section 5.1 allows it)."""
    kept = []

    def meddle(message):
        if type(message) not in (Certificate, ClientKeyExchange, CertificateVerify):
            return [message]
        octets = bytes(message.write())
        kept.append(octets)
        is_last = type(message) is CertificateVerify
        return [Kept(octets), Late(b"".join(kept))] if is_last else [Kept(octets)]

    return meddle


def swapped(first, second):
    """Two messages in the other order."""
    kept = []

    def meddle(message):
        if type(message) is first:
            kept.append(message)
            return []
        return [message, *kept] if type(message) is second else [message]

    return meddle


def signed(key, how):
    """CertificateVerify with another signature over the same conversation: `how` gives it from the digest of SHA-256."""

    def meddle(message):
        if type(message) is not CertificateVerify:
            return [message]
        octets = bytes(message.write())
        return [raw(with_body(octets, octets[4:6] + (lambda s: len(s).to_bytes(2, "big") + s)(bytes(how(key)))))]

    return meddle


def of_server(key):
    """A signature of the right form under the context of a server's (RFC 8446 section 4.4.3)."""
    content = b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + bytes(32)
    return key.sign(secureHash(bytearray(content), "sha256"), padding="pss", hashAlg="sha256", saltLen=32)


def of_nothing(key):
    return key.sign(secureHash(bytearray(b""), "sha256"), padding="pss", hashAlg="sha256", saltLen=32)


def of_pkcs1(key):
    return key.sign(secureHash(bytearray(b""), "sha256"), padding="pkcs1", hashAlg="sha256")


ONE = clear(CCS, b"\x01")
NO_OCTETS13 = inside(HANDSHAKE, b"")

# What the client's own messages become while the handshake is made.
MEANWHILE = [
    # claim, versions, what is done, the answers that are right
    ("Certificate in records of one octet", BOTH, change(Certificate, cut(1)), [LET_IN]),
    ("Certificate in records of 100 octets", BOTH, change(Certificate, cut(100)), [LET_IN]),
    ("CertificateVerify in records of one octet", BOTH, change(CertificateVerify, cut(1)), [LET_IN]),
    ("Finished in records of one octet", BOTH, change(Finished, cut(1)), [LET_IN]),
    ("ClientKeyExchange in records of one octet", (TLS12,), change(ClientKeyExchange, cut(1)), [LET_IN]),
    ("all messages in one record", BOTH, together, [LET_IN]),
    ("ChangeCipherSpec before Certificate", (TLS13,), change(Certificate, before(ONE)), [LET_IN, UNEXPECTED]),
    ("ChangeCipherSpec before CertificateVerify", (TLS13,), change(CertificateVerify, before(ONE)), [LET_IN, UNEXPECTED]),
    ("ChangeCipherSpec before Finished, a second one", (TLS13,), change(Finished, before(ONE, ONE)), [UNEXPECTED]),
    ("ChangeCipherSpec of value 2", (TLS13,), change(Certificate, before(clear(CCS, b"\x02"))), [UNEXPECTED, MALFORMED, PARAMETER]),
    ("ChangeCipherSpec of two octets", (TLS13,), change(Certificate, before(clear(CCS, b"\x01\x01"))), [UNEXPECTED, MALFORMED, PARAMETER]),
    ("ChangeCipherSpec without octets", (TLS13,), change(Certificate, before(clear(CCS, b""))), [UNEXPECTED, MALFORMED, PARAMETER]),
    ("an early ChangeCipherSpec (CVE-2014-0224)", (TLS12,), change(Certificate, before(ONE)), [UNEXPECTED]),
    ("ChangeCipherSpec before ClientKeyExchange (CVE-2014-0224)", (TLS12,), change(ClientKeyExchange, before(ONE)), [UNEXPECTED]),
    ("ChangeCipherSpec before CertificateVerify, which is so never seen", (TLS12,), change(CertificateVerify, before(ONE)), [UNEXPECTED]),
    ("ChangeCipherSpec of value 2", (TLS12,), change(ChangeCipherSpec, lambda _: [clear(CCS, b"\x02")]), [UNEXPECTED, MALFORMED, PARAMETER]),
    ("ChangeCipherSpec of two octets", (TLS12,), change(ChangeCipherSpec, lambda _: [clear(CCS, b"\x01\x01")]), [UNEXPECTED, MALFORMED, PARAMETER]),
    ("ChangeCipherSpec twice", (TLS12,), change(ChangeCipherSpec, lambda o: [ONE, ONE]), [UNEXPECTED, BAD_MAC]),
    ("no ChangeCipherSpec, so Finished comes under a key too early", (TLS12,), change(ChangeCipherSpec, lambda _: []), [UNEXPECTED, MALFORMED, BAD_MAC, A.handshake_failure, CLOSED]),
    # RFC 8446 section 5.1: no other type may stand between the records of one message.
    ("ChangeCipherSpec inside of Certificate", (TLS13,), change(Certificate, between(ONE)), [UNEXPECTED, BAD_MAC]),
    ("ChangeCipherSpec inside of Certificate", (TLS12,), change(Certificate, between(ONE)), [UNEXPECTED]),
    ("an alert inside of Certificate", (TLS12,), change(Certificate, between(clear(ALERT, b"\x01\x5a"))), [UNEXPECTED, CLOSED]),
    ("an empty record inside of Certificate", (TLS13,), change(Certificate, between(NO_OCTETS13)), [UNEXPECTED, MALFORMED]),
    ("an empty record inside of Certificate", (TLS12,), change(Certificate, between(clear(HANDSHAKE, b""))), [UNEXPECTED, MALFORMED]),
    ("application data inside of Certificate", (TLS13,), change(Certificate, between(inside(DATA, REQUEST))), [UNEXPECTED]),
    ("application data before Certificate", (TLS13,), change(Certificate, before(inside(DATA, REQUEST))), [UNEXPECTED]),
    ("application data before Finished", (TLS13,), change(Finished, before(inside(DATA, REQUEST))), [UNEXPECTED]),
    ("application data in the clear before Certificate", BOTH, change(Certificate, before(clear(DATA, REQUEST))), NOT_OURS),
    ("application data under the key before Finished", (TLS12,), change(Finished, before(of12(DATA, REQUEST))), [UNEXPECTED]),
    ("Certificate in the clear", (TLS13,), change(Certificate, lambda o: [clear(HANDSHAKE, bytes(o))]), NOT_OURS),
    ("Finished in the clear", (TLS13,), change(Finished, lambda o: [clear(HANDSHAKE, bytes(o))]), NOT_OURS),
    ("Finished in the clear", (TLS12,), change(Finished, lambda o: [clear(HANDSHAKE, bytes(o))]), NOT_OURS),
    ("a key update before Certificate", (TLS13,), change(Certificate, before(raw(message(KEY_UPDATE, b"\0")))), [UNEXPECTED]),
    ("a key update before Finished", (TLS13,), change(Finished, before(raw(message(KEY_UPDATE, b"\0")))), [UNEXPECTED]),
    ("EndOfEarlyData without early data", (TLS13,), change(Certificate, before(raw(message(5)))), [UNEXPECTED]),
    ("NewSessionTicket before Certificate", BOTH, change(Certificate, before(raw(message(4, bytes(30))))), [UNEXPECTED, MALFORMED]),
    ("a second ClientHello in place of Certificate", BOTH, change(Certificate, lambda _: [raw(message(1, bytes(60)))]), [UNEXPECTED, MALFORMED]),
    ("HelloRequest before Certificate", BOTH, change(Certificate, before(raw(message(0)))), [UNEXPECTED, MALFORMED]),
    ("a message that nobody knows before Certificate", BOTH, change(Certificate, before(raw(message(77, b"?")))), [UNEXPECTED, MALFORMED]),
    ("Finished with the beginning of a message behind it", (TLS13,), change(Finished, lambda o: bytes(o) + b"\x18\0"), [UNEXPECTED]),
    ("CertificateVerify before Certificate", BOTH, lambda: swapped(Certificate, CertificateVerify), [UNEXPECTED]),
    ("ClientKeyExchange before Certificate", (TLS12,), lambda: swapped(Certificate, ClientKeyExchange), [UNEXPECTED]),
    ("CertificateVerify before ClientKeyExchange", (TLS12,), lambda: swapped(ClientKeyExchange, CertificateVerify), [UNEXPECTED]),
    ("no certificates in Certificate", (TLS13,), change(Certificate, lambda o: with_body(o, b"\0\0\0\0")), [A.certificate_required, UNEXPECTED]),
    ("Certificate with a context that nobody gave", (TLS13,), change(Certificate, lambda o: with_body(o, b"\x03abc" + bytes(o[5:]))), [PARAMETER, MALFORMED]),
    ("Certificate whose first entry has no octets", (TLS13,), change(Certificate, lambda o: entry13(o, lambda c, e: (b"", e))), [MALFORMED, A.bad_certificate, PARAMETER]),
    ("Certificate whose first entry has an octet too many", (TLS13,), change(Certificate, lambda o: entry13(o, lambda c, e: (c + b"\0", e))), [A.bad_certificate, MALFORMED]),
    ("Certificate whose first entry lacks an octet", (TLS13,), change(Certificate, lambda o: entry13(o, lambda c, e: (c[:-1], e))), [A.bad_certificate, MALFORMED]),
    ("Certificate with an OCSP response that nobody asked for", (TLS13,),
     change(Certificate, lambda o: entry13(o, lambda c, e: (c, b"\0\5\0\5\1\0\0\1\0"))), [A.unsupported_extension, PARAMETER, MALFORMED]),
    ("Certificate with an extension that nobody knows", (TLS13,),
     change(Certificate, lambda o: entry13(o, lambda c, e: (c, b"\xfa\xfa\0\1\0"))), [A.unsupported_extension, PARAMETER]),
    ("Certificate with an extension twice", (TLS13,),
     change(Certificate, lambda o: entry13(o, lambda c, e: (c, b"\xfa\xfa\0\0" * 2))), [PARAMETER, A.unsupported_extension, MALFORMED]),
    ("the certificates a hundred times", (TLS13,), change(Certificate, lambda o: entries13(o, 100)), [LET_IN, A.bad_certificate, PARAMETER, MALFORMED, A.handshake_failure, CLOSED]),
    ("a list of certificates that promises more", (TLS13,), change(Certificate, lambda o: with_body(o, b"\0\xff\xff\xff" + bytes(o[8:]))), [MALFORMED]),
    ("a certificate that promises more", (TLS12,), change(Certificate, lambda o: with_body(o, bytes(o[4:7]) + b"\xff\xff\xff" + bytes(o[10:]))), [MALFORMED]),
    *[(f"CertificateVerify by scheme {scheme:04x}", BOTH, change(CertificateVerify, lambda o, scheme=scheme: with_body(o, scheme.to_bytes(2, "big") + bytes(o[6:]))),
       [PARAMETER, A.decrypt_error, A.handshake_failure]) for scheme in (0x0000, 0x0101, 0x0202, 0x0203, 0x0402, 0x0603, 0x0807, 0x0808, 0x0809, 0xFEFE)],
    ("CertificateVerify of a server", (TLS13,), of_server, [A.decrypt_error]),
    ("CertificateVerify over nothing", BOTH, of_nothing, [A.decrypt_error]),
    ("CertificateVerify by PKCS #1 v1.5 under the name of PSS", BOTH, of_pkcs1, [A.decrypt_error]),
    ("a signature longer than the message", BOTH, change(CertificateVerify, lambda o: with_body(o, bytes(o[4:6]) + b"\xff\xff" + bytes(o[8:]))), [MALFORMED]),
    ("a signature with zeros before it", BOTH, change(CertificateVerify, lambda o: with_body(o, bytes(o[4:6]) + b"\x01\x04\0\0\0\0" + bytes(o[8:]))), [A.decrypt_error]),
    ("Finished is longer", BOTH, change(Finished, lambda o: with_body(o, bytes(o[4:]) + b"\0")), [A.decrypt_error, MALFORMED]),
    ("Finished of zeros", BOTH, change(Finished, lambda o: with_body(o, bytes(len(o) - 4))), [A.decrypt_error]),
    ("ClientKeyExchange with an octet too many", (TLS12,), change(ClientKeyExchange, lambda o: with_body(o, bytes(o[4:]) + b"\0")), [MALFORMED, PARAMETER]),
    ("ClientKeyExchange without octets", (TLS12,), change(ClientKeyExchange, lambda o: with_body(o, b"")), [MALFORMED]),
    ("ClientKeyExchange of zeros, whose secret everybody knows", (TLS12,), change(ClientKeyExchange, lambda o: with_body(o, bytes(o[4:5]) + bytes(len(o) - 5))), [PARAMETER, MALFORMED, A.handshake_failure]),
]
# fmt: on

# Answers that are another than those above, each with its reason. One that has become right fails too.
PASSED_OVER = ("silence", "rustls 0.23 passes over a handshake record without octets, where RFC 8446 section 5.4 wants the end; it changes nothing, and whoever sends nothing else is ended as one who is slow")
UNSAID = (CLOSED, "rustls 0.23 ends the connection without an alert, which under TLS 1.3's keys nobody else can send; nothing is let in")
NOT_READ = (MALFORMED, "rustls 0.23 calls a type that it cannot read malformed, where RFC 8446 section 5 wants unexpected_message; it ends the connection all the same")
DIFFERS = {
    "TLS 1.3, afterwards, an empty handshake record": PASSED_OVER,
    "TLS 1.2, afterwards, an empty handshake record": PASSED_OVER,
    "TLS 1.3, meanwhile, an empty record inside of Certificate": PASSED_OVER,
    "TLS 1.3, afterwards, a record of padding alone": UNSAID,
    "TLS 1.3, afterwards, a record with nothing inside, not even a type": UNSAID,
    "TLS 1.3, afterwards, application data inside of a key update": UNSAID,
    "TLS 1.3, meanwhile, application data inside of Certificate": UNSAID,
    "TLS 1.3, meanwhile, ChangeCipherSpec before Finished, a second one": UNSAID,
    "TLS 1.3, meanwhile, Certificate with an OCSP response that nobody asked for": UNSAID,
    "TLS 1.3, afterwards, an unknown type inside": NOT_READ,
    "TLS 1.3, afterwards, a heartbeat inside (CVE-2014-0160)": NOT_READ,
    "TLS 1.2, afterwards, ChangeCipherSpec when all is over": NOT_READ,
    "TLS 1.3, meanwhile, Certificate with an extension that nobody knows": NOT_READ,
}


def main():
    port, certificate, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    chain = X509CertChain()
    chain.parsePemList(open(certificate).read())
    key = parsePEMKey(open(key).read(), private=True)
    verdicts = Verdicts(DIFFERS, name)
    judge = verdicts.judge
    for claim, versions, afterwards, right in AFTERWARDS:
        for version in versions:
            label = "TLS 1.2" if version == TLS12 else "TLS 1.3"
            judge(f"{label}, afterwards, {claim}", answer_to(port, chain, key, version, None, afterwards, LET_IN in right), right)
    for claim, versions, meddle, right in MEANWHILE:
        for version in versions:
            label = "TLS 1.2" if version == TLS12 else "TLS 1.3"
            made = meddle
            if meddle in (of_server, of_nothing, of_pkcs1):
                made = signed(key, meddle)
            elif meddle is together or meddle.__name__ == "<lambda>":
                # What keeps messages back is made anew for each conversation.
                made = meddle()
            judge(f"{label}, meanwhile, {claim}", answer_to(port, chain, key, version, made, None, LET_IN in right), right)
    judge("nothing is changed, afterwards", answer_to(port, chain, key, TLS13, None), [LET_IN])
    verdicts.end("conversations")


main()
