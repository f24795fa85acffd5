//! HTTP/2 as RFC 9113 wants it of a server, frame by frame: each case is what a client sends after its preface, and the
//! error that must come of it. The frames are made here, octet by octet, since a client library would not send them.

use std::time::Duration;

use net::dial::{Route, TlsStream, connect};
use net::serve::Handler;
use pki::name::ServerName;
use testkit::{TestCa, TestIdentity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::common::*;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of frames (section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

// Flags.
pub(crate) const NONE: u8 = 0;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

// Errors (section 7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A field without indexing and without Huffman's code (RFC 7541 section 6.2.2).
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        assert!(text.len() < 127);
        field.push(u8::try_from(text.len()).unwrap());
        field.extend_from_slice(text.as_bytes());
    }
    field
}

pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

pub(crate) const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "localhost")];
pub(crate) const POST: &[(&str, &str)] =
    &[(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "localhost")];

/// A whole request without a body, with more fields behind those of GET.
pub(crate) fn get_with(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&[GET, more].concat()))
}

/// A request of exactly these fields.
pub(crate) fn request(stream: u32, all: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(all))
}

pub(crate) fn setting(identifier: u16, value: u32) -> Vec<u8> {
    [&identifier.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()
}

/// What must come of it.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// The stream is answered with this status.
    Answer(u32, u16),
    /// The stream, or with it the connection, ends with one of these errors: RFC 9113 lets a server treat each error of
    /// a stream as one of the connection (section 5.4.1).
    Stream(&'static [u32]),
    /// The connection ends with one of these errors.
    Connection(&'static [u32]),
    /// A PING that was acknowledged shows that the connection lives.
    Ignored,
    /// Whatever comes first: an answer or an error.
    Settled,
}
use Expected::{Answer, Connection, Ignored, Settled, Stream};

struct Seen {
    answers: Vec<(u32, u16)>,
    resets: Vec<u32>,
    goaway: Option<u32>,
    pong: bool,
    closed: bool,
}

pub(crate) async fn open(server: &TestServer, ca: &TestCa, alice: &TestIdentity) -> TlsStream {
    let host = ServerName::parse("localhost").unwrap();
    let transport = connect(&host, server.address.port(), &Route::default(), None).await.unwrap();
    let mut tls = client(ca, Some(alice)).tls;
    tls.alpn = vec![b"h2".to_vec()];
    net::dial::handshake::handshake(transport, &host, tls).await.unwrap()
}

/// Sends it, with a PING behind, and reads until the PING is acknowledged or the connection ends. An answer may come
/// after the PING's.
async fn exchange(mut stream: TlsStream, octets: &[u8], expected: Expected) -> Seen {
    let mut seen = Seen { answers: Vec::new(), resets: Vec::new(), goaway: None, pong: false, closed: false };
    // The server may end the connection before it has read everything.
    let _ = stream.write_all(octets).await;
    let _ = stream.write_all(&frame(PING, NONE, 0, b"are you?")).await;
    let _ = stream.flush().await;
    let reading = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                seen.closed = true;
                return;
            }
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            if stream.read_exact(&mut payload).await.is_err() {
                seen.closed = true;
                return;
            }
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            match (head[3], head[4]) {
                (HEADERS, _) => seen.answers.push((id, status(&payload))),
                (RST_STREAM, _) => seen.resets.push(code(0)),
                (GOAWAY, _) => seen.goaway = Some(code(4)),
                (PING, ACK) if payload == b"are you?" => seen.pong = true,
                _ => {}
            }
            let answered = |id, status| seen.answers.contains(&(id, status));
            match expected {
                Answer(id, status) if answered(id, status) => return,
                Stream(_) if !seen.resets.is_empty() || answered(1, 400) => return,
                Ignored if seen.pong => return,
                Settled if !seen.answers.is_empty() || !seen.resets.is_empty() => return,
                _ => {}
            }
        }
    };
    timeout(Duration::from_secs(10), reading).await.ok();
    seen
}

/// Sends one request, written as `crate::smuggling` has it, and says whether it gets an error instead of a good answer.
pub(crate) async fn is_refused(
    server: &TestServer,
    ca: &TestCa,
    alice: &TestIdentity,
    parts: impl Iterator<Item = &str>,
    read: impl Fn(&str) -> Vec<u8>,
) -> bool {
    let (mut head, mut body, mut trailers) = (Vec::new(), None, None);
    for part in parts {
        match part {
            "get" => head.extend(fields(GET)),
            "post" => head.extend(fields(POST)),
            "trailers:" => trailers = Some(Vec::new()),
            part if part.starts_with("data:") => body = Some(read(&part["data:".len()..])),
            part => {
                // A name may begin with a colon, and has no equals sign.
                let (name, value) = part.split_once('=').unwrap();
                let block = trailers.as_mut().unwrap_or(&mut head);
                block.push(0);
                for text in [read(name), read(value)] {
                    assert!(text.len() < 127);
                    block.push(u8::try_from(text.len()).unwrap());
                    block.extend(text);
                }
            }
        }
    }
    let ends = |is_last: bool| if is_last { END_STREAM } else { NONE };
    let mut octets = [PREFACE, &frame(SETTINGS, NONE, 0, &[])].concat();
    octets.extend(frame(HEADERS, END_HEADERS | ends(body.is_none()), 1, &head));
    if let Some(body) = body {
        octets.extend(frame(DATA, ends(trailers.is_none()), 1, &body));
    }
    if let Some(trailers) = trailers {
        octets.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers));
    }
    let stream = open(server, ca, alice).await;
    let seen = exchange(stream, &octets, Settled).await;
    !seen.answers.iter().any(|(_, status)| (200..300).contains(status))
}

/// The status that a block of fields begins with: an index of the static table (RFC 7541 appendix A), or a literal.
fn status(block: &[u8]) -> u16 {
    match block {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        // A literal for :status, with or without indexing, in Huffman's code: three digits of 5 or 6 bits.
        [0x08 | 0x48, 0x82, code @ ..] => match code {
            [0x64, 0x02, ..] => 403,
            [0x68, 0x01, ..] => 421,
            _ => 0,
        },
        [0x08 | 0x48, 3, digits @ ..] => {
            std::str::from_utf8(&digits[..3]).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
        }
        _ => 0,
    }
}

struct Case {
    /// The section of RFC 9113 (or 7541) and the rule.
    rule: &'static str,
    octets: Vec<u8>,
    expected: Expected,
}

fn case(rule: &'static str, octets: impl Into<Vec<u8>>, expected: Expected) -> Case {
    Case { rule, octets: octets.into(), expected }
}

/// Everything after the preface and an empty SETTINGS frame.
fn cases() -> Vec<Case> {
    const ANY: &[u32] = &[PROTOCOL_ERROR];
    let post = || frame(HEADERS, END_HEADERS, 1, &fields(POST));
    let join = |frames: &[Vec<u8>]| frames.concat();
    let half = fields(GET).split_at(10).0.to_vec();
    vec![
        case("8.1: a request is answered", get_with(1, &[]), Answer(1, 200)),
        case(
            "5.1.1: streams need not be consecutive",
            join(&[get_with(1, &[]), get_with(7, &[])]),
            Answer(7, 200),
        ),
        case("5.5: a frame of an unknown type is ignored", frame(0xbe, 0xff, 0, b"anything"), Ignored),
        case("5.5: unknown flags are ignored", frame(PING, 0xfe, 0, b"12345678"), Ignored),
        case("6.5.2: an unknown setting is ignored", frame(SETTINGS, NONE, 0, &setting(0xff, 1)), Ignored),
        case(
            "6.1: padding is no part of a body",
            join(&[post(), frame(DATA, PADDED | END_STREAM, 1, b"\x03hi\0\0\0")]),
            Answer(1, 200),
        ),
        case(
            "6.2: a priority in HEADERS is taken",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM | WITH_PRIORITY,
                1,
                &[&[0, 0, 0, 0, 15][..], &fields(GET)].concat(),
            ),
            Answer(1, 200),
        ),
        case(
            "6.10: a block of fields may go on in CONTINUATION",
            {
                let (first, rest) = (fields(GET)[..10].to_vec(), fields(GET)[10..].to_vec());
                join(&[frame(HEADERS, END_STREAM, 1, &first), frame(CONTINUATION, END_HEADERS, 1, &rest)])
            },
            Answer(1, 200),
        ),
        case(
            "8.1: trailers are taken",
            join(&[post(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &field("x-sum", "1"))]),
            Answer(1, 200),
        ),
        // Framing
        case(
            "4.2: a frame over SETTINGS_MAX_FRAME_SIZE",
            join(&[post(), frame(DATA, NONE, 1, &vec![0; 16_385])]),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "4.3: a block of fields that is no HPACK",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Connection(&[COMPRESSION_ERROR]),
        ),
        case(
            "7541 2.3.3: an index beyond the tables",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xc6]),
            Connection(&[COMPRESSION_ERROR]),
        ),
        case(
            "7541 6.1: the index 0",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x80]),
            Connection(&[COMPRESSION_ERROR]),
        ),
        case(
            "7541 4.2: a table made larger than was allowed",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&[0x3f, 0xe2, 0x1f][..], &fields(GET)].concat()),
            Connection(&[COMPRESSION_ERROR]),
        ),
        case(
            "6.10: another frame inside of a block of fields",
            join(&[frame(HEADERS, END_STREAM, 1, &half), frame(PRIORITY, NONE, 1, &[0, 0, 0, 0, 1])]),
            Connection(ANY),
        ),
        case(
            "6.10: another stream's frame inside of a block",
            join(&[frame(HEADERS, END_STREAM, 1, &half), get_with(3, &[])]),
            Connection(ANY),
        ),
        case(
            "6.10: CONTINUATION without HEADERS",
            frame(CONTINUATION, END_HEADERS, 1, &half),
            Connection(ANY),
        ),
        case(
            "6.10: CONTINUATION of another stream",
            join(&[frame(HEADERS, END_STREAM, 1, &half), frame(CONTINUATION, END_HEADERS, 3, &half)]),
            Connection(ANY),
        ),
        case(
            "10.5.1: CONTINUATION without an end",
            {
                let mut flood = frame(HEADERS, END_STREAM, 1, &fields(GET));
                (0..200).for_each(|_| {
                    flood.extend(frame(
                        CONTINUATION,
                        NONE,
                        1,
                        &[&[0, 1, b'x', 0x7f, 0x81, 0x7d][..], &[b'y'; 16_000][..]].concat(),
                    ))
                });
                flood
            },
            Connection(&[ENHANCE_YOUR_CALM, PROTOCOL_ERROR, COMPRESSION_ERROR]),
        ),
        // Streams
        case(
            "5.1: DATA on a stream that was never opened",
            frame(DATA, END_STREAM, 1, b"hi"),
            Connection(ANY),
        ),
        case(
            "5.1: RST_STREAM on a stream that was never opened",
            frame(RST_STREAM, NONE, 1, &[0, 0, 0, 8]),
            Connection(ANY),
        ),
        case(
            "5.1: WINDOW_UPDATE on a stream that was never opened",
            frame(WINDOW_UPDATE, NONE, 1, &[0, 0, 0, 8]),
            Connection(ANY),
        ),
        case(
            "5.1: DATA after the end of the stream",
            join(&[get_with(1, &[]), frame(DATA, END_STREAM, 1, b"hi")]),
            Stream(&[STREAM_CLOSED]),
        ),
        case(
            "5.1: HEADERS after the end of the stream",
            join(&[get_with(1, &[]), get_with(1, &[])]),
            Stream(&[STREAM_CLOSED]),
        ),
        case("5.1.1: a client's stream with an even number", get_with(2, &[]), Connection(ANY)),
        case(
            "5.1.1: a number that is not larger than the last",
            join(&[get_with(5, &[]), get_with(3, &[])]),
            Connection(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        ),
        case(
            "5.1.2: more streams than were allowed",
            {
                (0..200)
                    .flat_map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &fields(POST)))
                    .collect::<Vec<_>>()
            },
            Stream(&[REFUSED_STREAM, PROTOCOL_ERROR, ENHANCE_YOUR_CALM]),
        ),
        case(
            "5.3.1: a stream that depends on itself",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM | WITH_PRIORITY,
                1,
                &[&[0, 0, 0, 1, 15][..], &fields(GET)].concat(),
            ),
            Stream(ANY),
        ),
        // Each frame
        case("6.1: DATA on stream 0", frame(DATA, END_STREAM, 0, b"hi"), Connection(ANY)),
        case(
            "6.1: more padding than frame",
            join(&[post(), frame(DATA, PADDED | END_STREAM, 1, &[9, b'h', b'i'])]),
            Connection(ANY),
        ),
        case("6.2: HEADERS on stream 0", get_with(0, &[]), Connection(ANY)),
        case(
            "6.2: more padding than HEADERS",
            frame(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, &[&[200][..], &fields(GET)].concat()),
            Connection(ANY),
        ),
        case("6.3: PRIORITY on stream 0", frame(PRIORITY, NONE, 0, &[0, 0, 0, 0, 1]), Connection(ANY)),
        case(
            "6.3: PRIORITY of another length",
            frame(PRIORITY, NONE, 1, &[0, 0, 0, 0]),
            Stream(&[FRAME_SIZE_ERROR]),
        ),
        case("6.4: RST_STREAM on stream 0", frame(RST_STREAM, NONE, 0, &[0, 0, 0, 8]), Connection(ANY)),
        case(
            "6.4: RST_STREAM of another length",
            join(&[post(), frame(RST_STREAM, NONE, 1, &[0, 0, 8])]),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "6.5: SETTINGS with ACK and a payload",
            frame(SETTINGS, ACK, 0, &setting(1, 1)),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case("6.5: SETTINGS on a stream", frame(SETTINGS, NONE, 1, &[]), Connection(ANY)),
        case(
            "6.5: SETTINGS of another length",
            frame(SETTINGS, NONE, 0, &[0, 3, 0]),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "6.5.2: ENABLE_PUSH that is neither 0 nor 1",
            frame(SETTINGS, NONE, 0, &setting(2, 2)),
            Connection(ANY),
        ),
        case(
            "6.5.2: an initial window over 2^31-1",
            frame(SETTINGS, NONE, 0, &setting(4, 1 << 31)),
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.5.2: a frame size under 2^14",
            frame(SETTINGS, NONE, 0, &setting(5, 1 << 13)),
            Connection(ANY),
        ),
        case(
            "6.5.2: a frame size over 2^24-1",
            frame(SETTINGS, NONE, 0, &setting(5, 1 << 24)),
            Connection(ANY),
        ),
        case(
            "6.6: a client promises nothing",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &fields(GET)].concat()),
            Connection(ANY),
        ),
        case("6.7: PING on a stream", frame(PING, NONE, 1, b"12345678"), Connection(ANY)),
        case(
            "6.7: PING of another length",
            frame(PING, NONE, 0, b"1234567"),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case("6.8: GOAWAY on a stream", frame(GOAWAY, NONE, 1, &[0; 8]), Connection(ANY)),
        case(
            "6.9: a window made larger by 0, of the connection",
            frame(WINDOW_UPDATE, NONE, 0, &[0; 4]),
            Connection(ANY),
        ),
        case(
            "6.9: a window made larger by 0, of a stream",
            join(&[post(), frame(WINDOW_UPDATE, NONE, 1, &[0; 4])]),
            Stream(ANY),
        ),
        case(
            "6.9: WINDOW_UPDATE of another length",
            frame(WINDOW_UPDATE, NONE, 0, &[0; 3]),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "6.9.1: a window over 2^31-1",
            frame(WINDOW_UPDATE, NONE, 0, &[0x7f, 0xff, 0xff, 0xff]),
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.9.1: a stream's window over 2^31-1",
            join(&[post(), frame(WINDOW_UPDATE, NONE, 1, &[0x7f, 0xff, 0xff, 0xff])]),
            Stream(&[FLOW_CONTROL_ERROR]),
        ),
        // Messages
        case("8.2.1: a name in capitals", get_with(1, &[("X-Upper", "1")]), Stream(ANY)),
        case("8.2.2: Connection", get_with(1, &[("connection", "keep-alive")]), Stream(ANY)),
        case("8.2.2: Transfer-Encoding", get_with(1, &[("transfer-encoding", "chunked")]), Stream(ANY)),
        case("8.2.2: TE other than trailers", get_with(1, &[("te", "gzip")]), Stream(ANY)),
        case("8.2.1: a value with a line's end", get_with(1, &[("x-a", "b\r\nx-c: d")]), Stream(ANY)),
        case("8.2.1: a name with a space", get_with(1, &[("x a", "b")]), Stream(ANY)),
        case("8.3: an unknown pseudo-field", request(1, &[GET, &[(":dog", "1")]].concat()), Stream(ANY)),
        case(
            "8.3: a response's pseudo-field",
            request(1, &[GET, &[(":status", "200")]].concat()),
            Stream(ANY),
        ),
        case("8.3: a pseudo-field behind a field", request(1, &[&[("x-a", "b")], GET].concat()), Stream(ANY)),
        case(
            "8.3: a pseudo-field in trailers",
            join(&[post(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &field(":path", "/"))]),
            Stream(ANY),
        ),
        case(
            "8.3.1: an empty path",
            request(
                1,
                &[(":method", "GET"), (":scheme", "https"), (":path", ""), (":authority", "localhost")],
            ),
            Stream(ANY),
        ),
        case("8.2.1: a value that begins with a space", get_with(1, &[("x-a", " b")]), Stream(ANY)),
        case("8.2.1: a value that ends with a tab", get_with(1, &[("x-a", "b\t")]), Stream(ANY)),
        case("8.2.1: a value with a zero octet", get_with(1, &[("x-a", "b\0")]), Stream(ANY)),
        case("8.2.1: a name with a colon", get_with(1, &[("x:a", "b")]), Stream(ANY)),
        case("8.2.2: Upgrade", get_with(1, &[("upgrade", "websocket")]), Stream(ANY)),
        case("8.2.2: Keep-Alive", get_with(1, &[("keep-alive", "1")]), Stream(ANY)),
        case("8.2.2: Proxy-Connection", get_with(1, &[("proxy-connection", "close")]), Stream(ANY)),
        case("8.2.2: TE of trailers", get_with(1, &[("te", "trailers")]), Answer(1, 200)),
        case("8.3.1: the authority as Host again", get_with(1, &[("host", "localhost")]), Answer(1, 200)),
        case("8.3.1: another Host than the authority", get_with(1, &[("host", "other.test")]), Stream(ANY)),
        case("8.3.1: two Hosts", get_with(1, &[("host", "localhost"), ("host", "localhost")]), Stream(ANY)),
        case(
            "8.3.1: a user before the host",
            request(1, &[GET[0], GET[1], GET[2], (":authority", "me@localhost")]),
            Stream(ANY),
        ),
        case(
            "8.3.1: an unknown scheme",
            request(1, &[GET[0], (":scheme", "ftp"), GET[2], GET[3]]),
            Stream(ANY),
        ),
        case(
            "8.3.1: a path with a space",
            request(1, &[GET[0], GET[1], (":path", "/a b"), GET[3]]),
            Stream(ANY),
        ),
        case(
            "8.3.1: a path with a line's end",
            request(1, &[GET[0], GET[1], (":path", "/ HTTP/1.1\r\nx: y"), GET[3]]),
            Stream(ANY),
        ),
        case(
            "8.3.1: a path with a fragment",
            request(1, &[GET[0], GET[1], (":path", "/#a"), GET[3]]),
            Stream(ANY),
        ),
        case(
            "8.3.1: a path that is none",
            request(1, &[GET[0], GET[1], (":path", "index"), GET[3]]),
            Stream(ANY),
        ),
        case(
            "8.3.1: a method with a space",
            request(1, &[(":method", "GET /"), GET[1], GET[2], GET[3]]),
            Stream(ANY),
        ),
        case("8.5: CONNECT", request(1, &[(":method", "CONNECT"), GET[3]]), Answer(1, 400)),
        case(
            "8441 5: a protocol, which was not offered",
            request(1, &[(":method", "CONNECT"), (":protocol", "websocket"), GET[1], GET[2], GET[3]]),
            Stream(ANY),
        ),
        case("8.1.1: a content-length and no body", get_with(1, &[("content-length", "1")]), Stream(ANY)),
        case(
            "8.1.1: a content-length of 0 and no body",
            get_with(1, &[("content-length", "0")]),
            Answer(1, 200),
        ),
        case(
            "8.1.1: two lengths",
            get_with(1, &[("content-length", "0"), ("content-length", "0")]),
            Stream(ANY),
        ),
        case("8.1.1: a length with a sign", get_with(1, &[("content-length", "+0")]), Stream(ANY)),
        case(
            "10.5.1: a list of fields over SETTINGS_MAX_HEADER_LIST_SIZE",
            {
                // Each is one octet, and 4000 in the list.
                let large = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4000][..]].concat();
                frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    1,
                    &[&fields(GET)[..], &large, &[0xbe; 100]].concat(),
                )
            },
            Answer(1, 431),
        ),
        case("8.3.1: no method", request(1, &GET[1..]), Stream(ANY)),
        case("8.3.1: no scheme", request(1, &[GET[0], GET[2], GET[3]]), Stream(ANY)),
        case("8.3.1: no path", request(1, &[GET[0], GET[1], GET[3]]), Stream(ANY)),
        case("8.3.1: two methods", request(1, &[&[GET[0]], GET].concat()), Stream(ANY)),
        case("8.3.1: two paths", request(1, &[GET, &[(":path", "/other")]].concat()), Stream(ANY)),
        case(
            "8.1: trailers without the stream's end",
            join(&[post(), frame(HEADERS, END_HEADERS, 1, &field("x-sum", "1"))]),
            Stream(ANY),
        ),
        case(
            "8.1.1: a body longer than its content-length",
            join(&[
                frame(HEADERS, END_HEADERS, 1, &fields(&[POST, &[("content-length", "1")]].concat())),
                frame(DATA, END_STREAM, 1, b"two"),
            ]),
            Stream(ANY),
        ),
        case(
            "8.1.1: a body shorter than its content-length",
            join(&[
                frame(HEADERS, END_HEADERS, 1, &fields(&[POST, &[("content-length", "9")]].concat())),
                frame(DATA, END_STREAM, 1, b"two"),
            ]),
            Stream(ANY),
        ),
    ]
}

#[tokio::test]
async fn each_rule_of_rfc_9113_has_its_consequence() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let mut wrong = Vec::new();
    for Case { rule, octets, expected } in cases() {
        let stream = open(&server, &ca, &alice).await;
        let octets = [PREFACE, &frame(SETTINGS, NONE, 0, &[]), &octets].concat();
        let seen = exchange(stream, &octets, expected).await;
        let among = |codes: &[u32], code: Option<u32>| code.is_some_and(|code| codes.contains(&code));
        let is_right = match expected {
            Answer(id, status) => seen.answers.contains(&(id, status)),
            Ignored => seen.pong && seen.goaway.is_none(),
            Settled => true,
            Connection(codes) => among(codes, seen.goaway),
            Stream(codes) => {
                seen.resets.iter().any(|code| codes.contains(code)) || among(codes, seen.goaway)
                // An answer of 400 is allowed for a malformed request (section 8.1.1).
                || seen.answers.iter().any(|(_, status)| *status == 400)
            }
        };
        if !is_right {
            wrong.push(format!(
                "{rule}: expected {expected:?}, got answers {:?}, resets {:?}, GOAWAY {:?}{}{}",
                seen.answers,
                seen.resets,
                seen.goaway,
                if seen.pong { ", PING answered" } else { "" },
                if seen.closed { ", closed" } else { "" },
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_is_no_preface_ends_the_connection() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    for octets in [
        [b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, NONE, 0, &[])[..]].concat(),
        frame(SETTINGS, NONE, 0, &[]),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ] {
        let seen = exchange(open(&server, &ca, &alice).await, &octets, Connection(&[PROTOCOL_ERROR])).await;
        assert!(seen.closed && !seen.pong, "{octets:?}");
        assert!(seen.goaway.is_none_or(|code| code == PROTOCOL_ERROR));
    }
}

/// CVE-2023-44487: streams that are opened and reset at once, faster than they are answered.
#[tokio::test]
async fn streams_that_are_reset_as_fast_as_they_are_opened_end_the_connection() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let mut octets = [PREFACE, &frame(SETTINGS, NONE, 0, &[])[..]].concat();
    for number in 0..20_000 {
        octets.extend(get_with(2 * number + 1, &[]));
        octets.extend(frame(RST_STREAM, NONE, 2 * number + 1, &[0, 0, 0, 8]));
    }
    let seen = exchange(open(&server, &ca, &alice).await, &octets, Connection(&[ENHANCE_YOUR_CALM])).await;
    assert!(seen.closed, "the connection goes on: {:?}", seen.goaway);
    assert!(
        seen.goaway.is_none_or(|code| code == ENHANCE_YOUR_CALM || code == NO_ERROR),
        "{:?}",
        seen.goaway
    );
    // And others are served.
    assert_eq!(get(&server, "/", &client(&ca, Some(&alice))).await.unwrap().status(), 200);
}
