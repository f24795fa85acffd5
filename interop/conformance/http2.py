"""HTTP/2 frame by frame over mutual TLS, and what a server must answer to each wrong one by RFC 9113 and RFC 7541: one table in
the order of the RFC, then the floods that have brought servers down, run against `serve`. Python's own library alone: frames
and field blocks are written octet by octet.

Usage: http2.py PORT CERTIFICATE KEY ANCHORS
"""

import socket
import ssl
import sys

from verdicts import Verdicts

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32
CODES = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
         "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM")
GOES_ON, CLOSED = "goes on", "closed"


def frame(kind, stream=0, body=b"", flags=0, length=None):
    return (len(body) if length is None else length).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def integer(value, bits):
    """RFC 7541 section 5.1, with the bits above it zero."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    octets, value = [most], value - most
    while value >= 128:
        octets.append(value % 128 + 128)
        value //= 128
    return bytes([*octets, value])


def field(name, value):
    """A field that neither side remembers (RFC 7541 section 6.2.2), its name and value as they are."""
    name, value = (text if isinstance(text, bytes) else text.encode() for text in (name, value))
    return b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value


def fields(*pairs):
    return b"".join(field(name, value) for name, value in pairs)


METHOD, SCHEME, PATH, AUTHORITY = (":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "localhost")
REQUEST = (METHOD, SCHEME, PATH, AUTHORITY)
POST = ((":method", "POST"), SCHEME, PATH, AUTHORITY)


def headers(*pairs, stream=1, flags=END_HEADERS | END_STREAM, block=None):
    return frame(HEADERS, stream, fields(*pairs) if block is None else block, flags)


GET = headers(*REQUEST)
OPEN = headers(*POST, flags=END_HEADERS)


def setting(number, value):
    return number.to_bytes(2, "big") + value.to_bytes(4, "big")


def window(stream, size):
    return frame(WINDOW_UPDATE, stream, size.to_bytes(4, "big"))


def status(block):
    """The status of a response that is the first of its connection: of the static table, or three digits (RFC 7541 B)."""
    known = dict(zip(range(8, 15), (200, 204, 206, 304, 400, 404, 500)))
    if block[0] & 0x80:
        return known.get(block[0] & 0x7F)
    length = block[1] & 0x7F
    value = block[2 : 2 + length]
    if not block[1] & 0x80:
        return int(value)
    bits, number = "".join(f"{octet:08b}" for octet in value), ""
    digits = {f"{at:05b}": str(at) for at in range(3)} | {f"{0x19 + at - 3:06b}": str(at) for at in range(3, 10)}
    while len(number) < 3:
        size = 5 if bits[:5] in digits else 6
        number, bits = number + digits[bits[:size]], bits[size:]
    return int(number)


class Connection:
    def __init__(self, port, context, preface=PREFACE + frame(SETTINGS)):
        raw = socket.create_connection(("localhost", port), timeout=30)
        self.tls = context.wrap_socket(raw, server_hostname="localhost")
        if self.tls.selected_alpn_protocol() != "h2":
            sys.exit(f"the server chose {self.tls.selected_alpn_protocol()} instead of h2")
        self.kept = b""
        self.send(preface)

    def send(self, octets):
        try:
            self.tls.sendall(octets)
        except (ConnectionError, ssl.SSLError):
            pass

    def exactly(self, count):
        while len(self.kept) < count:
            more = self.tls.recv(65536)
            if not more:
                raise EOFError
            self.kept += more
        got, self.kept = self.kept[:count], self.kept[count:]
        return got

    def events(self):
        """What the server says, in its order: `GOAWAY CODE`, `RST_STREAM CODE`, a status, `pong`, and `closed`."""
        try:
            while True:
                head = self.exactly(9)
                body = self.exactly(int.from_bytes(head[:3], "big"))
                kind, flags = head[3], head[4]
                if kind == GOAWAY:
                    # RFC 9113 section 6.8: it may be said first that an end comes, with NO_ERROR.
                    yield f"GOAWAY {CODES[int.from_bytes(body[4:8], 'big')]}"
                elif kind == RST_STREAM:
                    yield f"RST_STREAM {CODES[int.from_bytes(body, 'big')]}"
                elif kind == HEADERS:
                    yield str(status(body))
                elif kind == PING and flags & ACK:
                    yield "pong"
                elif kind == SETTINGS and not flags & ACK:
                    self.send(frame(SETTINGS, flags=ACK))
        except (EOFError, ConnectionError, ssl.SSLError):
            yield CLOSED
        except TimeoutError:
            yield "silence"


def said(port, context, octets, right, preface=None):
    """The first of the answers that are right; else everything that was said. Two pings behind show that it goes on: an
    answer may overtake the first one."""
    connection = Connection(port, context, *([preface] if preface is not None else []))
    connection.send(octets + frame(PING, body=b"\0" * 8))
    heard, pongs = [], 0
    waits = any(answer.isdigit() for answer in right)
    with connection.tls:
        for event in connection.events():
            if event == "pong":
                pongs += 1
                if pongs == 1:
                    connection.send(frame(PING, body=b"\1" * 8))
                    continue
                event = GOES_ON
                if waits:
                    continue
            heard.append(event)
            if event in right or event in (GOES_ON, CLOSED, "silence"):
                break
    return heard[-1] if heard[-1] in right else ", then ".join(heard)


def errors(code, *also):
    """A connection error: by GOAWAY, and the connection is closed, whose GOAWAY may be lost with it (RFC 9113 section 5.4.1)."""
    return [f"GOAWAY {code}", *also, CLOSED]


def of_stream(code, *also):
    """A stream error, or a connection error in its place, which is always allowed (RFC 9113 section 5.4.2)."""
    return [f"RST_STREAM {code}", f"GOAWAY {code}", *also]


P, F, S, C, W, CALM = ("PROTOCOL_ERROR", "FRAME_SIZE_ERROR", "STREAM_CLOSED", "COMPRESSION_ERROR", "FLOW_CONTROL_ERROR",
                       "ENHANCE_YOUR_CALM")
MALFORMED = of_stream(P, "400")


def request_with(*pairs):
    return headers(*REQUEST, *pairs)


# fmt: off
TABLE = [
    ("the other verdict", [
        ("a request", GET, ["200"]),
        ("a request in a block of three frames", frame(HEADERS, 1, fields(*REQUEST)[:9], END_STREAM) + frame(CONTINUATION, 1, fields(*REQUEST)[9:20])
         + frame(CONTINUATION, 1, fields(*REQUEST)[20:], END_HEADERS), ["200"]),
        ("a request with padding and a priority", frame(HEADERS, 1, b"\x05" + b"\0\0\0\0\x10" + fields(*REQUEST) + bytes(5), END_HEADERS | END_STREAM | PADDED | WITH_PRIORITY), ["200"]),
        ("a body and its length", headers(*POST, ("content-length", "4"), flags=END_HEADERS) + frame(DATA, 1, b"abcd", END_STREAM), ["200", "405"]),
        ("trailers", OPEN + frame(DATA, 1, b"abcd") + headers(("x-checksum", "1")), ["200", "405"]),
    ]),
    ("section 4.1 and 4.2: frames", [
        ("a type that nobody knows", frame(0xFA, 0, b"what?", 0xFF) + GET, ["200"]),
        ("a type that nobody knows on a stream that is not open", frame(0xFA, 9, b"what?") + GET, ["200"]),
        ("the reserved bit of the stream", frame(PING, 1 << 31, bytes(8)), [GOES_ON]),
        ("flags that a type has not", frame(PING, 0, bytes(8), 0xFE) + GET, ["200"]),
        ("DATA of 2^14 + 1 octets", OPEN + frame(DATA, 1, bytes(2**14 + 1)), of_stream(F, CLOSED)),
        ("HEADERS of 2^14 + 1 octets", headers(*REQUEST, ("x", "y" * 2**14)), errors(F)),
        ("a frame that promises 16 MiB", frame(DATA, 1, b"", length=2**24 - 1) + bytes(100), errors(F)),
    ]),
    ("section 4.3 and RFC 7541: field blocks", [
        ("index 0", headers(block=b"\x80"), errors(C)),
        ("an index beyond the table", headers(block=b"\xff\xff\x03"), errors(C)),
        ("an integer without an end", headers(block=b"\xff" + b"\xff" * 20), errors(C)),
        ("a text longer than its block", headers(block=fields(*REQUEST) + b"\0\x01a\x7fb"), errors(C)),
        ("half a field", headers(block=fields(*REQUEST) + b"\0\x01a"), errors(C)),
        ("a table larger than was allowed", headers(block=b"\x3f\xe1\xff\x7f" + fields(*REQUEST)), errors(C)),
        ("a change of the table behind a field", headers(block=fields(*REQUEST) + b"\x20"), errors(C)),
        ("Huffman with EOS (RFC 7541 section 5.2)", headers(block=fields(*REQUEST) + b"\0\x01a\x84\xff\xff\xff\xff"), errors(C)),
        ("Huffman with padding of zeros", headers(block=fields(*REQUEST) + b"\0\x01a\x81\x00"), errors(C)),
    ]),
    ("section 3.4: the preface", []),  # below, in PREFACES
    ("section 5.1: the states of a stream", [
        ("DATA before HEADERS", frame(DATA, 1, b"x"), errors(P)),
        ("RST_STREAM before HEADERS", frame(RST_STREAM, 1, bytes(4)), errors(P)),
        ("WINDOW_UPDATE before HEADERS", window(1, 10), errors(P)),
        ("CONTINUATION before HEADERS", frame(CONTINUATION, 1, fields(*REQUEST), END_HEADERS), errors(P)),
        ("PRIORITY before HEADERS", frame(PRIORITY, 1, b"\0\0\0\0\x10") + GET, ["200"]),
        ("DATA behind END_STREAM", GET + frame(DATA, 1, b"x"), of_stream(S, CLOSED)),
        ("HEADERS behind END_STREAM", GET + headers(("x", "y")), of_stream(S, CLOSED)),
        ("CONTINUATION behind END_HEADERS", OPEN + frame(CONTINUATION, 1, fields(("x", "y")), END_HEADERS), errors(P)),
        ("WINDOW_UPDATE behind END_STREAM", GET + window(1, 10), ["200"]),
        ("DATA behind RST_STREAM", OPEN + frame(RST_STREAM, 1, (8).to_bytes(4, "big")) + frame(DATA, 1, b"x"), [*of_stream(S), GOES_ON]),
        ("HEADERS behind RST_STREAM", OPEN + frame(RST_STREAM, 1, (8).to_bytes(4, "big")) + headers(*REQUEST), of_stream(S, "GOAWAY " + P, GOES_ON)),
    ]),
    ("section 5.1.1: numbers of streams", [
        ("an even number", headers(*REQUEST, stream=2), errors(P)),
        ("a number below the last", headers(*REQUEST, stream=5) + headers(*REQUEST, stream=3), errors(P, "GOAWAY " + S)),
        ("the last number there is", headers(*REQUEST, stream=2**31 - 1), ["200"]),
    ]),
    ("section 6.1 and 6.2: DATA and HEADERS", [
        ("DATA of no stream", frame(DATA, 0, b"x"), errors(P)),
        ("HEADERS of no stream", headers(*REQUEST, stream=0), errors(P)),
        ("DATA with more padding than octets", OPEN + frame(DATA, 1, b"\x05abc", PADDED), errors(P)),
        ("DATA with nothing but the length of padding", OPEN + frame(DATA, 1, b"\x01", PADDED), errors(P)),
        ("DATA without the length of its padding", OPEN + frame(DATA, 1, b"", PADDED), errors(P, "GOAWAY " + F)),
        ("HEADERS with more padding than octets", frame(HEADERS, 1, b"\xff" + fields(*REQUEST), END_HEADERS | END_STREAM | PADDED), errors(P)),
        ("HEADERS without its priority", frame(HEADERS, 1, b"\0\0", END_HEADERS | END_STREAM | WITH_PRIORITY), errors(F, "GOAWAY " + P)),
        ("HEADERS that depend on themselves", frame(HEADERS, 1, b"\0\0\0\x01\x10" + fields(*REQUEST), END_HEADERS | END_STREAM | WITH_PRIORITY), of_stream(P, "200", CLOSED)),
    ]),
    ("section 6.3 and 6.4: PRIORITY and RST_STREAM", [
        ("PRIORITY of no stream", frame(PRIORITY, 0, bytes(5)), errors(P)),
        ("PRIORITY of 4 octets", OPEN + frame(PRIORITY, 1, bytes(4)), of_stream(F, CLOSED)),
        ("PRIORITY that depends on itself", frame(PRIORITY, 3, b"\0\0\0\x03\x10"), [GOES_ON, *of_stream(P)]),
        ("RST_STREAM of no stream", frame(RST_STREAM, 0, bytes(4)), errors(P)),
        ("RST_STREAM of 3 octets", OPEN + frame(RST_STREAM, 1, bytes(3)), errors(F)),
        ("RST_STREAM of 5 octets", OPEN + frame(RST_STREAM, 1, bytes(5)), errors(F)),
        ("RST_STREAM with a code that nobody knows", OPEN + frame(RST_STREAM, 1, b"\xff" * 4), [GOES_ON]),
    ]),
    ("section 6.5: SETTINGS", [
        ("of a stream", frame(SETTINGS, 1), errors(P)),
        ("of 5 octets", frame(SETTINGS, 0, bytes(5)), errors(F)),
        ("an acknowledgement with octets", frame(SETTINGS, 0, setting(1, 0), ACK), errors(F)),
        ("an acknowledgement that nobody waits for", frame(SETTINGS, flags=ACK) * 3, [GOES_ON, *errors(P)]),
        ("push that is 2", frame(SETTINGS, 0, setting(2, 2)), errors(P)),
        ("a window of 2^31", frame(SETTINGS, 0, setting(4, 2**31)), errors(W)),
        ("frames of 2^14 - 1", frame(SETTINGS, 0, setting(5, 2**14 - 1)), errors(P)),
        ("frames of 2^24", frame(SETTINGS, 0, setting(5, 2**24)), errors(P)),
        ("one that nobody knows", frame(SETTINGS, 0, setting(0xFAFA, 7)) + GET, ["200"]),
        ("one twice, of which the last counts", frame(SETTINGS, 0, setting(4, 0) + setting(4, 65535)) + GET, ["200"]),
        ("a window that becomes too large for a stream by it (section 6.9.2)", OPEN + window(1, 2**31 - 1 - 65535) + frame(SETTINGS, 0, setting(4, 65536)), errors(W, f"RST_STREAM {W}")),
    ]),
    ("section 6.6 to 6.8: PUSH_PROMISE, PING and GOAWAY", [
        ("a promise of a client", OPEN + frame(PUSH_PROMISE, 1, b"\0\0\0\x02" + fields(*REQUEST), END_HEADERS), errors(P)),
        ("PING of a stream", frame(PING, 1, bytes(8)), errors(P)),
        ("PING of 7 octets", frame(PING, 0, bytes(7)), errors(F)),
        ("an answer to a PING that nobody sent", frame(PING, 0, bytes(8), ACK), [GOES_ON]),
        ("GOAWAY of a stream", frame(GOAWAY, 1, bytes(8)), errors(P)),
        ("GOAWAY of 7 octets", frame(GOAWAY, 0, bytes(7)), errors(F)),
        ("GOAWAY while a request runs", GET + frame(GOAWAY, 0, bytes(8)), ["200"]),
    ]),
    ("section 6.9: WINDOW_UPDATE", [
        ("by 0, for all", window(0, 0), errors(P)),
        ("by 0, for a stream", OPEN + window(1, 0), of_stream(P, CLOSED)),
        ("of 3 octets", frame(WINDOW_UPDATE, 0, bytes(3)), errors(F)),
        ("beyond 2^31 - 1, for all", window(0, 2**31 - 1), errors(W)),
        ("beyond 2^31 - 1, for a stream", OPEN + window(1, 2**31 - 1), of_stream(W, CLOSED)),
        ("more DATA than the window of a stream", OPEN + frame(DATA, 1, bytes(2**14)) * 200, [*of_stream(W, CLOSED), "200", "405", "413", "RST_STREAM NO_ERROR"]),
    ]),
    ("section 6.10: CONTINUATION", [
        ("of no stream", frame(HEADERS, 1, fields(METHOD), END_STREAM) + frame(CONTINUATION, 0, fields(SCHEME, PATH), END_HEADERS), errors(P)),
        ("of another stream", frame(HEADERS, 1, fields(METHOD), END_STREAM) + frame(CONTINUATION, 3, fields(SCHEME, PATH), END_HEADERS), errors(P)),
        ("a PING between", frame(HEADERS, 1, fields(*REQUEST), END_STREAM) + frame(PING, body=bytes(8)) + frame(CONTINUATION, 1, b"", END_HEADERS), errors(P)),
        ("DATA between", frame(HEADERS, 1, fields(*POST)) + frame(DATA, 1, b"x") + frame(CONTINUATION, 1, b"", END_HEADERS), errors(P)),
        ("a type that nobody knows between", frame(HEADERS, 1, fields(*REQUEST), END_STREAM) + frame(0xFA, 1) + frame(CONTINUATION, 1, b"", END_HEADERS), errors(P)),
        ("HEADERS of another stream between", frame(HEADERS, 1, fields(*REQUEST), END_STREAM) + headers(*REQUEST, stream=3), errors(P)),
    ]),
    ("section 8.1: the message", [
        ("trailers without END_STREAM", OPEN + frame(DATA, 1, b"x") + headers(("x", "y"), flags=END_HEADERS), MALFORMED),
        ("trailers with a pseudo-header", OPEN + frame(DATA, 1, b"x") + headers((":path", "/admin")), [*MALFORMED, "200", "405"]),
        ("more octets than content-length", headers(*POST, ("content-length", "2"), flags=END_HEADERS) + frame(DATA, 1, b"abcd", END_STREAM), [*MALFORMED, "200", "405"]),
        ("fewer octets than content-length", headers(*POST, ("content-length", "9"), flags=END_HEADERS) + frame(DATA, 1, b"abcd", END_STREAM), [*MALFORMED, "200", "405"]),
        ("content-length without a body", request_with(("content-length", "9")), [*MALFORMED, "200", "405"]),
        ("two lengths", headers(*POST, ("content-length", "4"), ("content-length", "5"), flags=END_HEADERS) + frame(DATA, 1, b"abcd", END_STREAM), MALFORMED),
        ("a length that is no number", headers(*POST, ("content-length", "+4"), flags=END_HEADERS) + frame(DATA, 1, b"abcd", END_STREAM), MALFORMED),
    ]),
    ("section 8.2: fields", [
        ("a name in upper case", request_with(("X-Upper", "y")), MALFORMED),
        ("a name without letters", request_with(("", "y")), MALFORMED),
        *[(f"a name with {bytes([octet])!r}", request_with((b"a" + bytes([octet]) + b"b", "y")), MALFORMED) for octet in (0, 10, 13, 32, 58, 127, 255)],
        *[(f"a value with {bytes([octet])!r}", request_with(("x", b"a" + bytes([octet]) + b"b")), MALFORMED) for octet in (0, 10, 13)],
        ("a value that begins with a space", request_with(("x", " y")), [*MALFORMED, "200"]),
        *[(f"the field {name}, which belongs to a connection", request_with((name, value)), MALFORMED)
          for name, value in (("connection", "close"), ("keep-alive", "1"), ("proxy-connection", "close"), ("transfer-encoding", "chunked"), ("upgrade", "h2c"))],
        ("TE with more than trailers", request_with(("te", "gzip")), MALFORMED),
        ("TE: trailers", request_with(("te", "trailers")), ["200"]),
    ]),
    ("section 8.3: pseudo-headers", [
        ("no method", headers(SCHEME, PATH, AUTHORITY), MALFORMED),
        ("no scheme", headers(METHOD, PATH, AUTHORITY), MALFORMED),
        ("no path", headers(METHOD, SCHEME, AUTHORITY), MALFORMED),
        ("an empty path", headers(METHOD, SCHEME, (":path", ""), AUTHORITY), MALFORMED),
        ("a path without a slash", headers(METHOD, SCHEME, (":path", "admin"), AUTHORITY), MALFORMED),
        ("an asterisk, which is for OPTIONS", headers(METHOD, SCHEME, (":path", "*"), AUTHORITY), MALFORMED),
        ("two methods", headers(METHOD, *REQUEST), MALFORMED),
        ("two paths", headers(*REQUEST, PATH), MALFORMED),
        ("two authorities", headers(*REQUEST, AUTHORITY), MALFORMED),
        ("one that nobody knows", headers(*REQUEST, (":unknown", "1")), MALFORMED),
        ("one of a response", headers(*REQUEST, (":status", "200")), MALFORMED),
        ("one behind a field", headers(METHOD, SCHEME, ("x", "y"), PATH, AUTHORITY), MALFORMED),
        ("a method with a space", headers((":method", "GET /admin"), SCHEME, PATH, AUTHORITY), MALFORMED),
        ("a path with a line feed", headers(METHOD, SCHEME, (":path", "/\r\nx: y"), AUTHORITY), MALFORMED),
        ("a path with a space", headers(METHOD, SCHEME, (":path", "/a b"), AUTHORITY), MALFORMED),
        ("a host that is another than the authority", headers(*REQUEST, ("host", "other.example")), [*MALFORMED, "200", "421"]),
        ("no authority and no host", headers(METHOD, SCHEME, PATH), [*MALFORMED, "200"]),
        ("an authority with a name and a password", headers(METHOD, SCHEME, PATH, (":authority", "a:b@localhost")), MALFORMED),
        ("CONNECT with a path", headers((":method", "CONNECT"), SCHEME, PATH, AUTHORITY), [*MALFORMED, "405", "501"]),
        ("CONNECT", headers((":method", "CONNECT"), AUTHORITY), [*MALFORMED, "405", "501"]),
        ("extended CONNECT that was not offered (RFC 8441)", headers((":method", "CONNECT"), SCHEME, PATH, AUTHORITY, (":protocol", "websocket")), [*MALFORMED, "405", "501"]),
    ]),
]

PREFACES = [
    ("another word", b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n" + frame(SETTINGS), errors(P)),
    ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", errors(P, "400")),
    ("no SETTINGS behind it", PREFACE + frame(PING, body=bytes(8)), errors(P)),
    ("HEADERS before SETTINGS", PREFACE + GET, errors(P)),
]

RESET = (8).to_bytes(4, "big")
CALMED = [f"GOAWAY {CALM}", CLOSED]
FLOODS = [
    # claim, the CVE or the section, what is sent, the answers that are right
    ("10,000 CONTINUATIONs that never end (CVE-2024-27316)", frame(HEADERS, 1, fields(*REQUEST), END_STREAM) + frame(CONTINUATION, 1, field("x", "y" * 50)) * 10_000,
     [*CALMED, f"GOAWAY {P}", f"GOAWAY {C}", "431"]),
    ("10,000 empty CONTINUATIONs (CVE-2024-27316)", frame(HEADERS, 1, fields(*REQUEST), END_STREAM) + frame(CONTINUATION, 1) * 10_000,
     [*CALMED, f"GOAWAY {P}", "431"]),
    ("5,000 requests taken back at once (CVE-2023-44487)",
     b"".join(headers(*REQUEST, stream=number) + frame(RST_STREAM, number, RESET) for number in range(1, 10_001, 2)), CALMED),
    ("5,000 requests that the server must reset itself (CVE-2025-8671)",
     b"".join(headers(*POST, stream=number, flags=END_HEADERS) + window(number, 0) for number in range(1, 10_001, 2)), [*CALMED, f"GOAWAY {P}"]),
    ("5,000 malformed requests (CVE-2019-9514)", b"".join(headers(*REQUEST, ("X", "y"), stream=number) for number in range(1, 10_001, 2)), [*CALMED, f"GOAWAY {P}"]),
    ("20,000 SETTINGS (CVE-2019-9515)", frame(SETTINGS, 0, setting(4, 65535)) * 20_000, [GOES_ON, *CALMED]),
    ("20,000 PINGs (CVE-2019-9512)", frame(PING, body=b"\2" * 8) * 20_000, [GOES_ON, *CALMED]),
    ("20,000 PRIORITYs (CVE-2019-9513)", frame(PRIORITY, 1, b"\0\0\0\0\x10") * 20_000, [GOES_ON, *CALMED]),
    ("20,000 empty DATAs (CVE-2019-9518)", OPEN + frame(DATA, 1) * 20_000, [GOES_ON, *CALMED, f"GOAWAY {P}", "200", "405", "RST_STREAM NO_ERROR"]),
    ("20,000 WINDOW_UPDATEs", OPEN + window(1, 1) * 20_000, [GOES_ON, *CALMED, "200", "405", "RST_STREAM NO_ERROR"]),
    ("fields of 1 MiB (section 10.5.1)", frame(HEADERS, 1, fields(*REQUEST), END_STREAM) + frame(CONTINUATION, 1, field("x", "y" * 8000)) * 130
     + frame(CONTINUATION, 1, b"", END_HEADERS), ["431", *CALMED, f"GOAWAY {P}", f"RST_STREAM {P}", f"GOAWAY {C}", "RST_STREAM REFUSED_STREAM"]),
    ("a field of 4,000 octets named 20,000 times by its index (an HPACK bomb, CVE-2016-6581)",
     headers(block=fields(*REQUEST) + b"\x40\x01x" + integer(3900, 7) + b"y" * 3900 + b"\xbe" * 12_000), ["431", *CALMED, f"GOAWAY {P}", f"RST_STREAM {P}", f"GOAWAY {C}"]),
    ("10,000 fields", headers(*REQUEST, *[("a", "b")] * 2_500), ["431", "200", *CALMED, f"RST_STREAM {P}"]),
    ("more streams at once than are allowed (section 5.1.2)", b"".join(headers(*POST, stream=number, flags=END_HEADERS) for number in range(1, 2_001, 2)),
     ["RST_STREAM REFUSED_STREAM", f"RST_STREAM {P}", *CALMED, f"GOAWAY {P}"]),
]
# fmt: on

# Answers that are another than those above, each with its reason. One that has become right fails too.
DIFFERS = {}


def main():
    port, certificate, key, anchors = int(sys.argv[1]), *sys.argv[2:5]
    context = ssl.create_default_context(cafile=anchors)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    verdicts = Verdicts(DIFFERS)

    def judge(claim, octets, right, preface=None):
        verdicts.judge(claim, said(port, context, octets, verdicts.right(claim, right), preface), right)

    for section, lines in TABLE:
        print(f"--- {section}")
        topic = section.split(": ")[-1]
        for claim, octets, right in lines:
            judge(f"{topic}: {claim}", octets, right)
        if not lines:
            for claim, preface, right in PREFACES:
                judge(f"{topic}: {claim}", b"", right, preface)
    print("--- floods")
    for claim, octets, right in FLOODS:
        judge(f"a flood: {claim}", octets, right)
        judge(f"a request after {claim}", GET, ["200"])
    verdicts.end("conversations")


main()
