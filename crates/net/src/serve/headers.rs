//! What is taken out of messages that are passed on: identity headers a client made up, and headers that concern one
//! hop only (RFC 9110 section 7.6.1).

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

use super::body::{BodyError, RequestBody};

/// Names by which an upstream may learn who the client is, or where it came from. One that ends in `-` stands for all
/// names that begin so.
const CLAIMS: &[&str] = &[
    "client-cert",
    "client-cert-",
    "x-client-cert",
    "x-client-cert-",
    "x-client-identity",
    "x-client-identity-",
    "x-forwarded-client-cert",
    "x-forwarded-client-cert-",
    "x-ssl-client",
    "x-ssl-client-",
    "ssl-client",
    "ssl-client-",
    "x-amzn-mtls-",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];

/// The longest claim, with room for what follows a prefix: more of a name need not be looked at.
const FOLDED: usize = 32;

/// Whether a header claims an identity or an origin, under any spelling that an upstream could take for one. CGI,
/// WSGI, Rack and PHP turn `-` into `_`, and some of them every other mark too, so the marks are all one here.
pub(crate) fn is_claim_name(name: &[u8]) -> bool {
    if blurs_framing(name) {
        return true;
    }
    // Shorter than every claim, or starting like none: the common case.
    if name.len() < 9 || !matches!(name[0] | 0x20, b'c' | b'x' | b's' | b'f') {
        return false;
    }
    let mut folded = [0; FOLDED];
    let length = name.len().min(FOLDED);
    for (folded, byte) in folded.iter_mut().zip(name) {
        *folded = if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    }
    let folded = &folded[..length];
    CLAIMS.iter().any(|claim| {
        if claim.ends_with('-') {
            folded.starts_with(claim.as_bytes())
        } else {
            name.len() == length && folded == claim.as_bytes()
        }
    })
}

/// Whether an upstream that folds marks could take a header for one by which messages are delimited.
fn blurs_framing(name: &[u8]) -> bool {
    let of: &[u8] = match name.len() {
        14 => b"content-length",
        17 => b"transfer-encoding",
        _ => return false,
    };
    let fold = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.iter().map(fold).eq(of.iter().copied()) && !name.eq_ignore_ascii_case(of)
}

/// Whether a switch to one of these protocols would carry requests past the rules for each request: another HTTP, or TLS
/// (RFC 9110 section 7.8 lets a server ignore what it does not want to switch to).
pub(crate) fn carries_requests(protocols: &[u8]) -> bool {
    protocols.split(|byte| *byte == b',').any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default().trim_ascii();
        [&b"h2c"[..], b"h2", b"h3", b"http", b"tls"].iter().any(|one| name.eq_ignore_ascii_case(one))
    })
}

pub(crate) fn is_claim(name: &HeaderName) -> bool {
    is_claim_name(name.as_str().as_bytes())
}

/// Takes out every header by which the client could claim to be someone.
pub(crate) fn strip_claims(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

/// Takes out what concerns one hop, and gives back the protocol that the message asks to switch to, where it asks.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut asks_upgrade = false;
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|token| {
            let token = token.trim();
            asks_upgrade |= token.eq_ignore_ascii_case("upgrade");
            HeaderName::from_bytes(token.as_bytes()).ok()
        })
        .collect();
    let upgrade = headers.remove(header::UPGRADE).filter(|_| asks_upgrade);
    let takes_trailers = headers
        .get_all(header::TE)
        .iter()
        .any(|value| value.to_str().is_ok_and(|v| v.split(',').any(|t| t.trim() == "trailers")));
    for name in named {
        // A client must not have the headers dropped by which messages are framed and addressed.
        if name != header::CONTENT_LENGTH && name != header::HOST {
            headers.remove(name);
        }
    }
    for name in [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRANSFER_ENCODING,
        HeaderName::from_static("http2-settings"),
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ] {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    upgrade
}

/// Puts the cookies of an HTTP/2 request, each of which may be a header, into the one that HTTP/1.1 has (RFC 9113
/// section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// A header value that keeps within visible ASCII: every other byte, and `%`, is percent-encoded.
pub(crate) fn visible(text: &str) -> HeaderValue {
    let encoded = percent_encode(text, |byte| (0x20..0x7f).contains(&byte) && byte != b'%');
    // All of it is visible ASCII by now.
    HeaderValue::from_str(encoded.trim()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Percent-encodes the bytes that `keep` does not keep (RFC 3986 section 2.1).
pub(crate) fn percent_encode(text: &str, keep: impl Fn(u8) -> bool) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if keep(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
        }
    }
    encoded
}

/// The body of a request on its way to the upstream: as it is, except that its trailers cannot claim an identity.
pub(crate) struct ForwardedBody {
    body: RequestBody,
    progress: Progress,
}

impl ForwardedBody {
    pub(crate) fn new(body: RequestBody, progress: Progress) -> Self {
        ForwardedBody { body: if body.is_end_stream() { RequestBody::Empty } else { body }, progress }
    }

    pub(crate) fn empty() -> Self {
        ForwardedBody { body: RequestBody::Empty, progress: Progress::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.body, RequestBody::Empty)
    }
}

/// When a body last moved, so that a long upload is not taken for a silent upstream.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(crate) fn new() -> Self {
        Progress(Arc::new(Mutex::new(Instant::now())))
    }

    fn mark(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Ends once nothing has moved for this long.
    pub(crate) async fn silence(&self, limit: Duration) {
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= limit {
                return;
            }
            sleep_until(last + limit).await;
        }
    }
}

impl Body for ForwardedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.progress.mark();
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            strip_claims(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn every_spelling_of_a_claim_is_found_and_nothing_else() {
        for claim in [
            "client-cert",
            "Client_Cert",
            "client-cert-chain",
            "X-Forwarded-Client-Cert",
            "x_forwarded-client_cert",
            "X-SSL-Client-Verify",
            "x-ssl_client-s-dn",
            "SSL-Client-Cert",
            "ssl_client_verify",
            "X-Amzn-Mtls-Clientcert",
            "x_amzn_mtls_clientcert_leaf",
            "x-amzn-mtls.clientcert-subject",
            "X-Client-Identity",
            "x_client_identity",
            "X-Forwarded-For",
            "x_forwarded_proto",
            "Forwarded",
            "Content_Length",
            "transfer.encoding",
        ] {
            assert!(is_claim(&HeaderName::from_bytes(claim.as_bytes()).unwrap()), "{claim}");
        }
        for other in [
            "content-length",
            "transfer-encoding",
            "content-type",
            "x-request-id",
            "x-forwarded-prefix",
            "client-certainty",
            "cookie",
            "from",
        ] {
            assert!(!is_claim(&HeaderName::from_bytes(other.as_bytes()).unwrap()), "{other}");
        }
    }

    #[test]
    fn what_connection_names_is_dropped_with_it_but_not_the_framing() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private, content-length"),
            ("x-private", "1"),
            ("content-length", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("upgrade", "h2c"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        assert_eq!(strip_hop_by_hop(&mut headers), None, "an upgrade that Connection does not name is none");
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-length", "te"]);
        assert_eq!(headers[header::TE], "trailers");
    }

    #[test]
    fn no_switch_carries_another_http_or_tls() {
        for protocols in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "http", "TLS/1.2", "x,\th2"] {
            assert!(carries_requests(protocols.as_bytes()), "{protocols}");
        }
        for protocols in ["websocket", "IRC/6.9", "x-h2c", "httpx", ""] {
            assert!(!carries_requests(protocols.as_bytes()), "{protocols}");
        }
    }

    #[test]
    fn a_value_cannot_leave_its_header() {
        assert_eq!(visible("Zoë\r\nX-Admin: 1 100%"), "Zo%C3%AB%0D%0AX-Admin: 1 100%25");
    }
}
