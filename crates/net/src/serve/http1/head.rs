//! The heads of HTTP/1.1 messages, read strictly (RFC 9112). Two readers of one message that disagree about where it
//! ends are an attack (request smuggling), so whatever may be read in two ways is not read at all: a line that ends in
//! LF alone, white space before a colon, a folded line, a control character, two lengths, a transfer coding other than
//! chunked.

use std::ops::Range;

/// Headers in one head. nginx has no such limit, Apache 100, Envoy 100.
const MOST_FIELDS: usize = 128;

/// Where a header's name and value stand in the head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    name: (u32, u32),
    value: (u32, u32),
}

impl Field {
    /// A field whose name and value stand at these places.
    pub(crate) fn at(name: (u32, u32), value: (u32, u32)) -> Self {
        Field { name, value }
    }

    pub(crate) fn name<'h>(&self, head: &'h [u8]) -> &'h [u8] {
        &head[self.name.0 as usize..self.name.1 as usize]
    }

    pub(crate) fn value<'h>(&self, head: &'h [u8]) -> &'h [u8] {
        &head[self.value.0 as usize..self.value.1 as usize]
    }
}

/// The head of a request; its parts are ranges of what was read.
#[derive(Debug, Clone)]
pub(crate) struct RequestHead {
    pub(crate) method: Range<usize>,
    pub(crate) target: Range<usize>,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub(crate) minor: u8,
    /// The octets of the head, its empty line included.
    pub(crate) length: usize,
}

/// The head of a response.
#[derive(Debug, Clone)]
pub(crate) struct ResponseHead {
    pub(crate) minor: u8,
    pub(crate) status: u16,
    pub(crate) reason: Range<usize>,
    pub(crate) length: usize,
}

/// Why a head is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("a line of the head ends in LF without CR, or holds a CR")]
    LineEnd,
    #[error("the first line is none of HTTP/1.1")]
    FirstLine,
    #[error("the version is not HTTP/1.1 or HTTP/1.0")]
    Version,
    #[error("the request target holds a character that must be percent-encoded")]
    Target,
    #[error("a header's name is empty, or holds white space or another character that no name has")]
    Name,
    #[error("a header's value holds a control character")]
    Value,
    #[error("a header is folded over two lines")]
    Folded,
    #[error("there are more than {MOST_FIELDS} headers")]
    TooManyFields,
}

/// What octets a token may have (RFC 9110 section 5.6.2).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        table[byte] = matches!(byte as u8,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z');
        byte += 1;
    }
    table
};

/// What octets a field's value may have (RFC 9110 section 5.5).
const VALUE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'\t' | 0x20..=0x7e | 0x80..=0xff);
        byte += 1;
    }
    table
};

/// Whether these octets are a token.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN[*byte as usize])
}

/// Whether these octets may be a field's value.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| VALUE[*byte as usize])
}

/// The lines of a head, each without its end.
struct Lines<'h> {
    head: &'h [u8],
    at: usize,
}

impl Lines<'_> {
    /// The next line; `None` where its end has not arrived.
    fn next(&mut self) -> Result<Option<Range<usize>>, HeadError> {
        let rest = &self.head[self.at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        if end == 0 || rest[end - 1] != b'\r' {
            return Err(HeadError::LineEnd);
        }
        let line = self.at..self.at + end - 1;
        self.at += end + 1;
        Ok(Some(line))
    }
}

/// Reads the head of a request from the beginning of `bytes`; `None` where it is not whole yet.
pub(crate) fn request(bytes: &[u8], fields: &mut Vec<Field>) -> Result<Option<RequestHead>, HeadError> {
    let mut lines = Lines { head: bytes, at: 0 };
    // One empty line before it is let pass (RFC 9112 section 2.2).
    if bytes.starts_with(b"\r\n") {
        lines.at = 2;
    }
    let Some(line) = lines.next()? else { return Ok(None) };
    let text = &bytes[line.clone()];
    let first = text.iter().position(|byte| *byte == b' ').ok_or(HeadError::FirstLine)?;
    let last = text.iter().rposition(|byte| *byte == b' ').ok_or(HeadError::FirstLine)?;
    if first == last || !is_token(&text[..first]) {
        return Err(HeadError::FirstLine);
    }
    let minor = match &text[last + 1..] {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        _ => return Err(HeadError::Version),
    };
    let target = &text[first + 1..last];
    if target.is_empty() || !target.iter().all(|byte| matches!(byte, 0x21..=0x7e) && *byte != b'#') {
        return Err(HeadError::Target);
    }
    let (method, target) = (line.start..line.start + first, line.start + first + 1..line.start + last);
    Ok(read_fields(&mut lines, fields)?.then_some(RequestHead { method, target, minor, length: lines.at }))
}

/// Reads the head of a response from the beginning of `bytes`; `None` where it is not whole yet.
pub(crate) fn response(bytes: &[u8], fields: &mut Vec<Field>) -> Result<Option<ResponseHead>, HeadError> {
    let mut lines = Lines { head: bytes, at: 0 };
    let Some(line) = lines.next()? else { return Ok(None) };
    let text = &bytes[line.clone()];
    let minor = match text.get(..9) {
        Some(b"HTTP/1.1 ") => 1,
        Some(b"HTTP/1.0 ") => 0,
        _ => return Err(HeadError::Version),
    };
    let status = match &text[9..] {
        // The space behind the status is left out by some where there is no reason.
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']
        | [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(HeadError::FirstLine),
    };
    let reason = (line.start + 13).min(line.end)..line.end;
    if !is_value(&bytes[reason.clone()]) {
        return Err(HeadError::Value);
    }
    Ok(read_fields(&mut lines, fields)?.then_some(ResponseHead { minor, status, reason, length: lines.at }))
}

/// Reads the fields up to the empty line, and says whether it is there.
fn read_fields(lines: &mut Lines<'_>, fields: &mut Vec<Field>) -> Result<bool, HeadError> {
    fields.clear();
    loop {
        let Some(line) = lines.next()? else { return Ok(false) };
        if line.is_empty() {
            return Ok(true);
        }
        if fields.len() == MOST_FIELDS {
            return Err(HeadError::TooManyFields);
        }
        fields.push(field(lines.head, line)?);
    }
}

/// Reads one field line.
pub(crate) fn field(bytes: &[u8], line: Range<usize>) -> Result<Field, HeadError> {
    let text = &bytes[line.clone()];
    if matches!(text.first(), Some(b' ' | b'\t')) {
        return Err(HeadError::Folded);
    }
    let colon = text.iter().position(|byte| !TOKEN[*byte as usize]).ok_or(HeadError::Name)?;
    if colon == 0 || text[colon] != b':' {
        return Err(HeadError::Name);
    }
    let value = &text[colon + 1..];
    if !is_value(value) {
        return Err(if value.contains(&b'\r') { HeadError::LineEnd } else { HeadError::Value });
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    let base = line.start + colon + 1;
    let place = |at: usize| u32::try_from(at).map_err(|_| HeadError::Value);
    Ok(Field {
        name: (place(line.start)?, place(line.start + colon)?),
        value: (place(base + start)?, place(base + end)?),
    })
}

/// How a message's body is delimited (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// Why nobody can say where a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FramingError {
    #[error("it has both Content-Length and Transfer-Encoding")]
    Both,
    #[error("it has more than one Content-Length, or one that is no number")]
    Length,
    #[error("its Transfer-Encoding is not chunked alone")]
    TransferEncoding,
}

/// What the headers say of the framing.
#[derive(Debug, Default)]
pub(crate) struct FramingHeaders {
    length: Option<u64>,
    chunked: bool,
}

impl FramingHeaders {
    /// Takes a Content-Length.
    pub(crate) fn length(&mut self, value: &[u8]) -> Result<(), FramingError> {
        // 19 digits fit into 64 bits; a sign, a list and white space are no digits.
        let is_number = (1..=19).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        if self.length.is_some() || !is_number {
            return Err(FramingError::Length);
        }
        self.length = Some(value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
        Ok(())
    }

    /// Takes a Transfer-Encoding.
    pub(crate) fn transfer_encoding(&mut self, value: &[u8], minor: u8) -> Result<(), FramingError> {
        if self.chunked || minor == 0 || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(FramingError::TransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }

    /// Whether a Content-Length was taken.
    pub(crate) fn has_length(&self) -> bool {
        self.length.is_some()
    }

    pub(crate) fn of_request(&self) -> Result<Framing, FramingError> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(FramingError::Both),
            (None, true) => Ok(Framing::Chunked),
            (Some(0) | None, false) => Ok(Framing::None),
            (Some(length), false) => Ok(Framing::Length(length)),
        }
    }

    pub(crate) fn of_response(&self, status: u16, to_head: bool) -> Result<Framing, FramingError> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(FramingError::Both),
            _ if to_head || status / 100 == 1 || matches!(status, 204 | 304) => Ok(Framing::None),
            (None, true) => Ok(Framing::Chunked),
            (Some(0), false) => Ok(Framing::None),
            (Some(length), false) => Ok(Framing::Length(length)),
            (None, false) => Ok(Framing::UntilClose),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    type Read = (String, Vec<(String, String)>);

    fn read(bytes: &[u8]) -> Result<Option<Read>, HeadError> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(request(bytes, &mut fields)?.map(|head| {
            let first = format!("{} {} {}", text(&bytes[head.method]), text(&bytes[head.target]), head.minor);
            (first, fields.iter().map(|f| (text(f.name(bytes)), text(f.value(bytes)))).collect())
        }))
    }

    #[test]
    fn a_head_is_read_with_its_fields() {
        let head = b"POST /a?b=c HTTP/1.1\r\nHost: a.test\r\nX-Empty:\r\nX: \t two words \t\r\n\r\nbody";
        let (first, fields) = read(head).unwrap().unwrap();
        assert_eq!(first, "POST /a?b=c 1");
        let expected = [("Host", "a.test"), ("X-Empty", ""), ("X", "two words")];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for end in 0..head.len() - 4 {
            assert_eq!(read(&head[..end]), Ok(None), "{end} octets");
        }
        assert!(read(b"\r\nGET / HTTP/1.1\r\n\r\n").unwrap().is_some(), "one empty line before it");
    }

    #[test]
    fn what_may_be_read_in_two_ways_is_not_read() {
        let cases: &[(&[u8], HeadError)] = &[
            (b"GET / HTTP/1.1\nHost: a\n\n", HeadError::LineEnd),
            (b"GET / HTTP/1.1\r\nHost: a\n\r\n", HeadError::LineEnd),
            (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", HeadError::LineEnd),
            (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", HeadError::Name),
            (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", HeadError::Folded),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", HeadError::Folded),
            (b"GET / HTTP/1.1\r\nHost\r\n\r\n", HeadError::Name),
            (b"GET / HTTP/1.1\r\n: a\r\n\r\n", HeadError::Name),
            (b"GET / HTTP/1.1\r\nTransfer-Encoding\x0b: chunked\r\n\r\n", HeadError::Name),
            (b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n", HeadError::Value),
            (b"GET / HTTP/1.1\r\nX: a\x7fb\r\n\r\n", HeadError::Value),
            (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", HeadError::Target),
            (b"GET /a#b HTTP/1.1\r\n\r\n", HeadError::Target),
            (b"GET /a b HTTP/1.1\r\n\r\n", HeadError::Target),
            (b"GET  HTTP/1.1\r\n\r\n", HeadError::Target),
            (b"GET / HTTP/1.2\r\n\r\n", HeadError::Version),
            (b"GET / HTTP/2.0\r\n\r\n", HeadError::Version),
            (b"GET / http/1.1\r\n\r\n", HeadError::Version),
            (b"GET /\r\n\r\n", HeadError::FirstLine),
            (b"G@T / HTTP/1.1\r\n\r\n", HeadError::FirstLine),
            (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", HeadError::FirstLine),
        ];
        for (bytes, error) in cases {
            assert_eq!(read(bytes), Err(*error), "{}", String::from_utf8_lossy(bytes));
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_FIELDS + 1));
        assert_eq!(read(many.as_bytes()), Err(HeadError::TooManyFields));
    }

    #[test]
    fn a_body_has_one_length_or_the_message_is_none() {
        let framing = |headers: &[(&str, &str)]| {
            let mut all = FramingHeaders::default();
            for (name, value) in headers {
                match *name {
                    "cl" => all.length(value.as_bytes())?,
                    _ => all.transfer_encoding(value.as_bytes(), 1)?,
                }
            }
            all.of_request()
        };
        assert_eq!(framing(&[]), Ok(Framing::None));
        assert_eq!(framing(&[("cl", "0")]), Ok(Framing::None));
        assert_eq!(framing(&[("cl", "17")]), Ok(Framing::Length(17)));
        assert_eq!(framing(&[("te", "Chunked")]), Ok(Framing::Chunked));
        for length in ["", "+1", "-1", "1,1", "1 ", "0x10", "1.0", "99999999999999999999"] {
            assert_eq!(framing(&[("cl", length)]), Err(FramingError::Length), "{length:?}");
        }
        assert_eq!(framing(&[("cl", "1"), ("cl", "1")]), Err(FramingError::Length));
        assert_eq!(framing(&[("cl", "1"), ("te", "chunked")]), Err(FramingError::Both));
        for coding in
            ["", "identity", "gzip, chunked", "chunked, chunked", "xchunked", "chunked;q=1", "\"chunked\""]
        {
            assert_eq!(framing(&[("te", coding)]), Err(FramingError::TransferEncoding), "{coding:?}");
        }
        assert_eq!(framing(&[("te", "chunked"), ("te", "chunked")]), Err(FramingError::TransferEncoding));
    }

    #[test]
    fn a_response_is_read_with_or_without_a_reason() {
        let mut fields = Vec::new();
        for (bytes, status, reason) in [
            (&b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"[..], 200, &b"OK"[..]),
            (b"HTTP/1.0 404 Not Found\r\n\r\n", 404, b"Not Found"),
            (b"HTTP/1.1 204 \r\n\r\n", 204, b""),
            (b"HTTP/1.1 204\r\n\r\n", 204, b""),
        ] {
            let head = response(bytes, &mut fields).unwrap().unwrap();
            assert_eq!((head.status, &bytes[head.reason]), (status, reason));
        }
        for bytes in [&b"HTTP/1.1 2000 OK\r\n\r\n"[..], b"HTTP/1.1  200 OK\r\n\r\n", b"HTTP/1.1 20x\r\n\r\n"]
        {
            assert!(response(bytes, &mut fields).is_err());
        }
        assert!(response(b"ICY 200 OK\r\n\r\n", &mut fields).is_err());
    }
}
