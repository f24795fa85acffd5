//! What the gateway and the client read around TLS: HTTP/1.1 and HTTP/2, the PROXY protocol, URLs.

use net::proxy_protocol::{Decoded, decode};
use net::serve::{HostPattern, Target, fuzzing};
use net::url::Url;

/// The head of a request: see [`fuzzing::request_head`].
pub(crate) fn request(bytes: &[u8]) {
    fuzzing::request_head(bytes);
}

/// The head of a response: see [`fuzzing::response_head`].
pub(crate) fn response(bytes: &[u8]) {
    fuzzing::response_head(bytes);
}

/// A chunked body: see [`fuzzing::chunked_body`].
pub(crate) fn body(bytes: &[u8]) {
    fuzzing::chunked_body(bytes);
}

/// The frames of HTTP/2: see [`fuzzing::http2_frames`].
pub(crate) fn http2_frames(bytes: &[u8]) {
    fuzzing::http2_frames(bytes);
}

/// Its blocks of fields: see [`fuzzing::http2_fields`].
pub(crate) fn http2_fields(bytes: &[u8]) {
    fuzzing::http2_fields(bytes);
}

/// The name of a header: see [`fuzzing::header_name`].
pub(crate) fn identity_header(bytes: &[u8]) {
    fuzzing::header_name(bytes);
}

/// A PROXY header of any bytes: read the same whatever follows it, and never from less than all of it.
pub(crate) fn proxy_protocol(bytes: &[u8]) {
    let Ok(Decoded::Done { header, length }) = decode(bytes) else { return };
    assert!(length <= bytes.len());
    assert_eq!(decode(&bytes[..length]), Ok(Decoded::Done { header, length }));
    for end in [0, 5, length / 2, length - 1] {
        assert_eq!(decode(&bytes[..end.min(length - 1)]), Ok(Decoded::Incomplete));
    }
}

/// A URL of any text: what is read has a host and a port, and a relative one stays one or leaves it whole.
pub(crate) fn url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = (HostPattern::parse(text), Target::parse(text));
    if let Ok(url) = Url::parse(text) {
        assert!(!url.host_text().is_empty() && url.path_and_query.starts_with('/'));
        assert!(url.path_and_query.bytes().all(|octet| octet.is_ascii_graphic()), "{:?}", url.path_and_query);
    }
    if let Ok(base) = Url::parse("https://localhost:8443/a/b?c")
        && let Ok(joined) = base.join(text)
    {
        assert!(joined.path_and_query.starts_with('/'), "{:?}", joined.path_and_query);
    }
}
