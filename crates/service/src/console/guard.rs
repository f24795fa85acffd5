//! Keeps other sites' pages from using a visitor's certificate. A browser sends it with whatever any page asks for, so
//! what changes something must come from a page of ours.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{self, HeaderMap};
use http::{HeaderName, Method};

use crate::Problem;

/// Refuses a request of another site's page that would change something.
pub(crate) async fn same_site(request: Request, next: Next) -> Result<Response, Problem> {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 has the host in the request's own line (RFC 9113 section 8.3.1).
    let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    if changes && !is_ours(request.headers(), host) {
        return Err(Problem::of(
            403,
            "cross-site",
            "a page of another site asked your browser for this, and it was not done",
        ));
    }
    Ok(next.run(request).await)
}

/// Whether a request comes from a page of this very origin, or from no page at all.
///
/// Browsers say where a request comes from (Fetch Metadata, and Origin by RFC 6454); other programs say nothing, and no
/// other site's page makes them ask.
fn is_ours(headers: &HeaderMap, host: Option<&str>) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text(&HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    match (text(&header::ORIGIN), host) {
        (None, _) => true,
        (Some(origin), Some(host)) => {
            origin.strip_prefix("https://").is_some_and(|from| from.eq_ignore_ascii_case(host))
        }
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_our_own_pages_and_programs_may_change_things() {
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[("host", "ca.test")], true),
            (&[("host", "ca.test"), ("origin", "https://ca.test")], true),
            (&[("host", "ca.test"), ("origin", "https://evil.test")], false),
            (&[("host", "ca.test"), ("origin", "http://ca.test")], false),
            (&[("host", "ca.test"), ("origin", "null")], false),
            (&[("host", "ca.test:8444"), ("origin", "https://ca.test")], false),
            (&[("origin", "https://ca.test")], false),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site"), ("host", "ca.test"), ("origin", "https://ca.test")], false),
            (&[("sec-fetch-site", "cross-site")], false),
        ];
        for (headers, expected) in cases {
            let mut map = HeaderMap::new();
            for (name, value) in *headers {
                map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let host = map.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
            assert_eq!(is_ours(&map, host), *expected, "{headers:?}");
        }
    }
}
