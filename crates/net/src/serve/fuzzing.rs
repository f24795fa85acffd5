//! What the fuzz targets reach of the gateway's parsers, which are nobody else's business: each function takes bytes of a
//! stranger and panics where one of the parser's promises does not hold. Nothing that runs calls them.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::headers::{is_claim, is_claim_name, strip_claims};
use super::http1::body::{BodyError, Decoder};
use super::http1::head::{self, Field, Framing, FramingError, FramingHeaders};

/// The head of a request is read the same whatever follows it, never from less than all of it, and its parts are what
/// they are called.
///
/// # Panics
/// Where that does not hold.
pub fn request_head(bytes: &[u8]) {
    let mut fields = Vec::new();
    let Ok(Some(found)) = head::request(bytes, &mut fields) else { return };
    assert!(head::is_token(&bytes[found.method.clone()]) && !bytes[found.target.clone()].is_empty());
    assert!(bytes[found.target.clone()].iter().all(u8::is_ascii_graphic));
    assert_whole(bytes, found.length, |bytes, fields| {
        head::request(bytes, fields).map(|found| found.map(|found| found.length))
    });
    let framing = framing_of(bytes, &fields, found.minor);
    if let Ok(Framing::Chunked) =
        framing.as_ref().map_or(Err(()), |framing| framing.of_request().map_err(|_| ()))
    {
        chunked_body(&bytes[found.length..]);
    }
}

/// The same for the head of a response.
///
/// # Panics
/// Where that does not hold.
pub fn response_head(bytes: &[u8]) {
    let mut fields = Vec::new();
    let Ok(Some(found)) = head::response(bytes, &mut fields) else { return };
    assert!((100..=999).contains(&found.status) && head::is_value(&bytes[found.reason.clone()]));
    assert_whole(bytes, found.length, |bytes, fields| {
        head::response(bytes, fields).map(|found| found.map(|found| found.length))
    });
    if let Ok(framing) = framing_of(bytes, &fields, found.minor) {
        let _ = (framing.of_response(found.status, false), framing.of_response(found.status, true));
    }
}

type Length = Result<Option<usize>, head::HeadError>;

/// A head that was read in `length` octets ends there, with any prefix being less than one.
fn assert_whole(bytes: &[u8], length: usize, read: impl Fn(&[u8], &mut Vec<Field>) -> Length) {
    assert!(bytes[..length].ends_with(b"\r\n"));
    let mut fields = Vec::new();
    assert_eq!(read(&bytes[..length], &mut fields), Ok(Some(length)));
    for end in [length - 1, length / 2, length / 3] {
        assert_eq!(read(&bytes[..end], &mut fields), Ok(None), "the first {end} of {length} octets");
    }
}

fn framing_of(bytes: &[u8], fields: &[Field], minor: u8) -> Result<FramingHeaders, FramingError> {
    let mut framing = FramingHeaders::default();
    for field in fields {
        let (name, value) = (field.name(bytes), field.value(bytes));
        assert!(head::is_token(name) && head::is_value(value) && value.trim_ascii() == value);
        if name.eq_ignore_ascii_case(b"content-length") {
            framing.length(value)?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            framing.transfer_encoding(value, minor)?;
        }
    }
    Ok(framing)
}

/// A chunked body means the same however it arrives: at once, or octet by octet.
///
/// # Panics
/// Where it does not.
pub fn chunked_body(bytes: &[u8]) {
    let (at_once, by_octets) = (decoded(bytes, bytes.len()), decoded(bytes, 1));
    assert_eq!(at_once, by_octets);
    if let Ok((body, trailers, _)) = at_once {
        // What is written on is read back the same.
        let mut again = Vec::new();
        if !body.is_empty() {
            super::http1::body::write_chunk(&mut again, &body);
        }
        super::http1::body::write_last_chunk(&mut again, &trailers);
        let length = again.len();
        assert_eq!(decoded(&again, length), Ok((body, trailers, length)));
    }
}

/// The body, its trailers that may be passed on, and how much was read; `Ok` only for a body that ended.
fn decoded(bytes: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>, usize), Option<BodyError>> {
    let mut decoder = Decoder::new(Framing::Chunked);
    let (mut body, mut at) = (Vec::new(), 0);
    while at < bytes.len() && !decoder.is_done() {
        let piece = &bytes[at..(at + step.max(1)).min(bytes.len())];
        let (read, data) = decoder.next(piece).map_err(Some)?;
        assert!(read <= piece.len() && data.len() <= read);
        body.extend_from_slice(data);
        at += read;
    }
    if decoder.is_done() { Ok((body, decoder.trailers_to_pass(false), at)) } else { Err(None) }
}

/// Octets of an HTTP/2 connection are cut into frames the same however they arrive.
///
/// # Panics
/// Where they are not.
pub fn http2_frames(bytes: &[u8]) {
    super::http2::checks::frames(bytes);
}

/// Blocks of fields of one HTTP/2 connection, each with an octet before it that is its length: see `http2::checks`.
///
/// # Panics
/// Where a promise does not hold.
pub fn http2_fields(bytes: &[u8]) {
    super::http2::checks::string(bytes);
    super::http2::checks::blocks(bytes);
}

/// A header's name that claims an identity does so in every spelling, and is taken out of what is passed on.
///
/// # Panics
/// Where one is left.
pub fn header_name(bytes: &[u8]) {
    let claims = is_claim_name(bytes);
    assert_eq!(claims, is_claim_name(&bytes.to_ascii_uppercase()));
    let folded: Vec<u8> = bytes.iter().map(|octet| if *octet == b'-' { b'_' } else { *octet }).collect();
    assert_eq!(claims, is_claim_name(&folded));
    let Ok(name) = HeaderName::from_bytes(bytes) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(name.clone(), HeaderValue::from_static("somebody"));
    strip_claims(&mut headers);
    assert_eq!(headers.is_empty(), claims);
    assert_eq!(is_claim(&name), claims);
}
