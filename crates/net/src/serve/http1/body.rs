//! The bodies of HTTP/1.1 messages: where they end, and how they are written on. A chunked body is taken apart and put
//! together anew, so that both sides of us read the same chunks.

use super::head::{self, Framing};
use crate::serve::headers::is_claim_name;

/// The longest chunk extension that is read over, and the most that trailers may have.
const MOST_EXTENSION: u32 = 256;
const MOST_TRAILERS: usize = 16 * 1024;

/// The chunked coding is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the size of a chunk is no hexadecimal number")]
    Size,
    #[error("a chunk or a line of it does not end in CR LF")]
    LineEnd,
    #[error("a chunk's extension is too long")]
    Extension,
    #[error("the trailers are broken, or too long")]
    Trailers,
}

/// Finds the end of a body as its octets arrive.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    /// The digits of a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        length: u32,
    },
    SizeLf {
        size: u64,
    },
    Data(u64),
    DataCr,
    DataLf,
    Trailers,
}

impl Decoder {
    pub(crate) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size { size: 0, digits: 0 },
            Framing::UntilClose => State::UntilClose,
        };
        Decoder { state, trailers: Vec::new() }
    }

    /// Whether the body's end was read.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the connection is the end of the body.
    pub(crate) fn may_end(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// The connection has ended, and with it a body that lasts until then.
    pub(crate) fn end(&mut self) {
        self.state = State::Done;
    }

    /// The trailer lines, each with its CR LF, once the body's end was read.
    pub(crate) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Reads from the beginning of `input` up to the next piece of the body, and gives it with how much was read
    /// before and with it. An empty piece means that all of the input, or all of the body, was read.
    pub(crate) fn next<'i>(&mut self, input: &'i [u8]) -> Result<(usize, &'i [u8]), BodyError> {
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            let byte = rest[0];
            match &mut self.state {
                State::Done => break,
                State::UntilClose => return Ok((input.len(), rest)),
                State::Length(left) => {
                    let count = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= count as u64;
                    if *left == 0 {
                        self.state = State::Done;
                    }
                    return Ok((at + count, &rest[..count]));
                }
                State::Data(left) => {
                    let count = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= count as u64;
                    if *left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok((at + count, &rest[..count]));
                }
                State::Size { size, digits } => {
                    self.state = match (char::from(byte).to_digit(16), byte) {
                        // 15 digits fit into 64 bits, with room.
                        (Some(digit), _) if *digits < 15 => {
                            State::Size { size: *size * 16 + u64::from(digit), digits: *digits + 1 }
                        }
                        (None, b'\r') if *digits > 0 => State::SizeLf { size: *size },
                        (None, b';') if *digits > 0 => State::Extension { size: *size, length: 0 },
                        _ => return Err(BodyError::Size),
                    };
                    at += 1;
                }
                State::Extension { size, length } => {
                    self.state = match byte {
                        b'\r' => State::SizeLf { size: *size },
                        b'\t' | 0x20..=0x7e if *length < MOST_EXTENSION => {
                            State::Extension { size: *size, length: *length + 1 }
                        }
                        _ => return Err(BodyError::Extension),
                    };
                    at += 1;
                }
                State::SizeLf { size } => {
                    if byte != b'\n' {
                        return Err(BodyError::LineEnd);
                    }
                    self.state = if *size == 0 { State::Trailers } else { State::Data(*size) };
                    at += 1;
                }
                State::DataCr | State::DataLf => {
                    let (expected, next) = match self.state {
                        State::DataCr => (b'\r', State::DataLf),
                        _ => (b'\n', State::Size { size: 0, digits: 0 }),
                    };
                    if byte != expected {
                        return Err(BodyError::LineEnd);
                    }
                    self.state = next;
                    at += 1;
                }
                State::Trailers => {
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    let line = &rest[..end.map_or(rest.len(), |end| end + 1)];
                    if self.trailers.len() + line.len() > MOST_TRAILERS {
                        return Err(BodyError::Trailers);
                    }
                    self.trailers.extend_from_slice(line);
                    at += line.len();
                    if end.is_some() && self.last_trailer_is_read()? {
                        self.state = State::Done;
                    }
                }
            }
        }
        Ok((at, &[]))
    }

    /// Looks at the trailer line that has just ended; an empty one ends them all and is taken away.
    fn last_trailer_is_read(&mut self) -> Result<bool, BodyError> {
        let end = self.trailers.len().checked_sub(2).ok_or(BodyError::LineEnd)?;
        if self.trailers[end] != b'\r' {
            return Err(BodyError::LineEnd);
        }
        let start = self.trailers[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if start == end {
            self.trailers.truncate(start);
            return Ok(true);
        }
        head::field(&self.trailers, start..end).map(|_| false).map_err(|_| BodyError::Trailers)
    }

    /// The trailers that may be passed on: none that frames or addresses a message, and where `claims` are not
    /// believed, none that claims an identity (RFC 9110 section 6.5.1).
    pub(crate) fn trailers_to_pass(&self, claims: bool) -> Vec<u8> {
        let mut passed = Vec::new();
        for line in self.trailers.split_inclusive(|byte| *byte == b'\n') {
            let Ok(field) = head::field(line, 0..line.len().saturating_sub(2)) else { continue };
            let name = field.name(line);
            let is_forbidden = FORBIDDEN.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()));
            if !is_forbidden && (claims || !is_claim_name(name)) {
                passed.extend_from_slice(line);
            }
        }
        passed
    }
}

/// What no trailer may be.
pub(crate) const FORBIDDEN: &[&str] = &[
    "connection",
    "content-length",
    "transfer-encoding",
    "host",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "expect",
    "content-type",
    "content-encoding",
    "content-range",
    "cache-control",
];

/// Writes a piece of a body as one chunk.
pub(crate) fn write_chunk(out: &mut Vec<u8>, piece: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut size = piece.len();
    while size > 0 {
        at -= 1;
        digits[at] = DIGITS[size & 15];
        size >>= 4;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(piece);
    out.extend_from_slice(b"\r\n");
}

/// Writes the end of a chunked body.
pub(crate) fn write_last_chunk(out: &mut Vec<u8>, trailers: &[u8]) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// Decodes `input` in pieces of `step`, and gives the body and what was left over.
    fn decode(framing: Framing, input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>, bool), BodyError> {
        let mut decoder = Decoder::new(framing);
        let mut body = Vec::new();
        let mut left = Vec::new();
        for piece in input.chunks(step) {
            let mut at = 0;
            loop {
                let (count, data) = decoder.next(&piece[at..])?;
                body.extend_from_slice(data);
                at += count;
                if data.is_empty() {
                    break;
                }
            }
            left.extend_from_slice(&piece[at..]);
        }
        Ok((body, left, decoder.is_done()))
    }

    #[test]
    fn a_body_ends_where_it_says_whatever_the_pieces() {
        let chunked = b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\nGET";
        for step in 1..=chunked.len() {
            assert_eq!(
                decode(Framing::Chunked, chunked, step).unwrap(),
                (b"hello!".to_vec(), b"GET".to_vec(), true)
            );
            let (body, left, done) = decode(Framing::Length(3), b"abcGET", step).unwrap();
            assert_eq!((body.as_slice(), left.as_slice(), done), (&b"abc"[..], &b"GET"[..], true));
        }
        assert_eq!(decode(Framing::Length(9), b"abc", 2).unwrap(), (b"abc".to_vec(), Vec::new(), false));
    }

    #[test]
    fn broken_chunks_are_refused_whatever_the_pieces() {
        let cases: &[(&[u8], BodyError)] = &[
            (b"\r\n", BodyError::Size),
            (b"g\r\n", BodyError::Size),
            (b"0x5\r\nhello\r\n", BodyError::Size),
            (b" 5\r\nhello\r\n", BodyError::Size),
            (b"5 \r\nhello\r\n", BodyError::Size),
            (b"-1\r\n", BodyError::Size),
            (b"0000000000000005\r\nhello\r\n", BodyError::Size),
            (b"5\nhello\r\n", BodyError::Size),
            (b"5\r\rhello", BodyError::LineEnd),
            (b"5;a\nhello", BodyError::Extension),
            (b"5\r\nhelloX\r\n", BodyError::LineEnd),
            (b"5\r\nhello\n0\r\n\r\n", BodyError::LineEnd),
            (b"0\r\nX-Sum: 1\n\r\n", BodyError::LineEnd),
            (b"0\r\n\n", BodyError::LineEnd),
            (b"0\r\nX Sum: 1\r\n\r\n", BodyError::Trailers),
        ];
        for (input, error) in cases {
            for step in 1..=input.len() {
                let found = decode(Framing::Chunked, input, step);
                assert_eq!(found, Err(*error), "{} in {step}", String::from_utf8_lossy(input));
            }
        }
        let long = [b"5;".as_slice(), &[b'a'; 300], b"\r\n"].concat();
        assert_eq!(decode(Framing::Chunked, &long, 64), Err(BodyError::Extension));
        let long = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(3000)].concat();
        assert_eq!(decode(Framing::Chunked, &long, 64), Err(BodyError::Trailers));
    }

    #[test]
    fn trailers_pass_without_claims_and_framing() {
        let mut decoder = Decoder::new(Framing::Chunked);
        let input = b"0\r\nX-Sum: 1\r\nx_client_identity: forged\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(decoder.next(input).unwrap(), (input.len(), &[][..]));
        assert_eq!(decoder.trailers_to_pass(false), b"X-Sum: 1\r\n");
    }

    #[test]
    fn a_chunk_is_written_as_it_is_read() {
        let mut out = Vec::new();
        write_chunk(&mut out, &[b'x'; 300]);
        write_last_chunk(&mut out, b"A: b\r\n");
        assert!(out.starts_with(b"12c\r\nxxx") && out.ends_with(b"x\r\n0\r\nA: b\r\n\r\n"));
        assert_eq!(decode(Framing::Chunked, &out, 7).unwrap(), (vec![b'x'; 300], Vec::new(), true));
    }
}
