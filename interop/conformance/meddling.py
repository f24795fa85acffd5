"""A client of TLS whose messages are changed, left out, cut or doubled on their way out, by tlslite-ng: what the tables of
conversations beside this file are run with. It knows none of them.
"""

import socket

from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.constants import AlertDescription, ContentType
from tlslite.errors import TLSAbruptCloseError, TLSAlert, TLSLocalAlert, TLSRemoteAlert
from tlslite.messages import Message

HOST = "localhost"
TLS12, TLS13 = (3, 3), (3, 4)
BOTH = (TLS12, TLS13)
LET_IN = "let in"

# Alerts, by the names of RFC 8446 section 6.
A = AlertDescription


class Wire:
    """Octets that go to the wire as they are, under no key."""

    def __init__(self, octets):
        self.octets = octets


class Sealed:
    """What is inside of one sealed record, the octet of its type and its padding included (RFC 8446 section 5.2); in TLS 1.2
    its content, with the type beside. `after` damages the record's sealed octets."""

    def __init__(self, inside, kind=ContentType.application_data, after=lambda octets: octets):
        self.inside, self.kind, self.after = inside, kind, after


class Kept:
    """A message that is sent later: it is part of the conversation that is signed, and nothing goes out."""

    def __init__(self, octets):
        self.octets = octets


class Late:
    """Octets of messages that were kept."""

    def __init__(self, octets):
        self.octets = octets


class Meddling(TLSConnection):
    """A client whose outgoing messages pass through `meddle(message)`, which gives what is sent: messages, [`Wire`],
    [`Sealed`], [`Kept`] or [`Late`]."""

    meddle = staticmethod(lambda message: [message])

    def _sendMsg(self, msg, *arguments, **named):
        for changed in self.meddle(msg):
            if isinstance(changed, (Wire, Sealed)):
                self.put(changed)
            elif isinstance(changed, Kept):
                self._handshake_hash.update(bytearray(changed.octets))
            elif isinstance(changed, Late):
                yield from super()._sendMsg(raw(changed.octets), *arguments, update_hashes=False, **named)
            else:
                yield from super()._sendMsg(changed, *arguments, **named)

    def put(self, what):
        """Sends at once: what stands before it in a buffer goes first."""
        if isinstance(what, Wire):
            self.sock.sendall(bytearray(what.octets))
        elif isinstance(what, Sealed):
            layer = self._recordLayer
            sealed = what.after(layer._encryptThenSeal(bytearray(what.inside), what.kind))
            for _ in layer._recordSocket.send(Message(what.kind, sealed)):
                pass
        else:
            for _ in self._sendMsgThroughSocket(what):
                pass
        self.sock.flush()


def raw(octets, kind=ContentType.handshake):
    return Message(kind, bytearray(octets))


def change(kind, function):
    """Meddles with the messages of one class: `function` takes the octets and gives others, or a list of what is sent."""

    def meddle(message):
        if type(message) is not kind:
            return [message]
        changed = function(bytearray(message.write()))
        return changed if isinstance(changed, list) else [raw(changed)]

    return meddle


def settings_for(version):
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = version
    # It would compress its certificate without having been asked to (RFC 8879 section 4).
    settings.certificate_compression_send = settings.certificate_compression_receive = ()
    return settings


def connect(port):
    connection = socket.create_connection((HOST, port), timeout=20)
    connection.settimeout(20)
    return connection


REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def answer_to(port, chain, key, version, meddle, afterwards=None, asks=True):
    """What the server says in the end: the alert's number, LET_IN, or `closed`. `afterwards` has the connection when the
    handshake is over. No request follows unless the client `asks`: whoever is sent more than it read resets the connection,
    and an alert may be lost."""
    connection = Meddling(connect(port))
    # The server's view counts: a close without an alert is told apart from one with.
    connection.closeSocket = True
    connection.ignoreAbruptClose = False
    if meddle:
        connection.meddle = meddle
    try:
        connection.handshakeClientCert(chain, key, settings=settings_for(version), serverName=HOST)
        if afterwards:
            afterwards(connection)
        if asks:
            connection.send(REQUEST)
        got = connection.recv(64 * 1024)
        if not got:
            # tlslite gives no octets for a close_notify.
            return A.close_notify
        return LET_IN if bytes(got).startswith(b"HTTP/1.1 200") else f"answered {bytes(got[:20])!r}"
    except TLSRemoteAlert as alert:
        return alert.description
    except TLSLocalAlert as alert:
        return f"the client's own {alert}"
    except (TLSAbruptCloseError, TLSAlert, ConnectionError):
        return "closed"
    except TimeoutError:
        return "silence"
    finally:
        connection.sock.close()


def name(answer):
    return A.toRepr(answer) or str(answer) if isinstance(answer, int) else str(answer)
