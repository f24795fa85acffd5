//! An EST client (RFC 7030): enrolling with a password, renewing with a certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pki::Certificate;
use pki::der::{DerError, Reader, tag};

use super::{Exchange, ExchangeError, Outgoing};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EstError {
    /// There is no answer.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The server says no.
    #[error("the server refused with status {status}: {detail}")]
    Refused {
        /// The status.
        status: u16,
        /// What it says.
        detail: String,
    },
    /// A person is to approve it first.
    #[error("the server wants to be asked again in {0} s: a person is to approve the request")]
    Later(u64),
    /// The answer is no certificate.
    #[error("the server's answer holds no certificate: {0}")]
    Answer(String),
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A first certificate.
    Enrol,
    /// The next one, over a connection with the one before.
    Reenrol,
}

/// Sends a request (DER) to the EST server at `base` (`https://HOST[:PORT]`), and gives the certificate.
///
/// # Errors
/// [`EstError`].
pub async fn enrol<E: Exchange>(
    exchange: &E,
    base: &str,
    operation: Operation,
    password: Option<(&str, &str)>,
    csr: &[u8],
) -> Result<Certificate, EstError> {
    let path = match operation {
        Operation::Enrol => "simpleenroll",
        Operation::Reenrol => "simplereenroll",
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/pkcs10"));
    headers.insert(HeaderName::from_static("content-transfer-encoding"), HeaderValue::from_static("base64"));
    if let Some((user, password)) = password {
        let credentials = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        if let Ok(mut value) = HeaderValue::from_str(&credentials) {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
    }
    let body = STANDARD.encode(csr).into_bytes();
    let url = format!("{}/.well-known/est/{path}", base.trim_end_matches('/'));
    let answer = exchange.exchange(Outgoing { method: Method::POST, url, headers, body }).await?;
    match answer.status {
        200 => certificates(&answer.body)?
            .into_iter()
            .next()
            .ok_or_else(|| EstError::Answer("it is empty".to_owned())),
        202 => Err(EstError::Later(answer.retry_after().unwrap_or(60))),
        status => {
            let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let plain = || String::from_utf8_lossy(&answer.body).chars().take(300).collect();
            let detail = problem["detail"].as_str().map_or_else(plain, str::to_owned);
            Err(EstError::Refused { status, detail })
        }
    }
}

/// The CAs of an EST server: the anchor, and those between.
///
/// # Errors
/// [`EstError`].
pub async fn ca_certificates<E: Exchange>(exchange: &E, base: &str) -> Result<Vec<Certificate>, EstError> {
    let url = format!("{}/.well-known/est/cacerts", base.trim_end_matches('/'));
    let request = Outgoing { method: Method::GET, url, headers: HeaderMap::new(), body: Vec::new() };
    let answer = exchange.exchange(request).await?;
    if answer.status != 200 {
        return Err(EstError::Refused { status: answer.status, detail: "no CA certificates".to_owned() });
    }
    certificates(&answer.body)
}

/// The certificates in base64 of a certs-only CMS structure (RFC 5272 section 4.1), in their order.
///
/// # Errors
/// [`EstError::Answer`].
///
/// ```
/// assert!(net::provision::est::certificates(b"no base64!").is_err());
/// ```
pub fn certificates(body: &[u8]) -> Result<Vec<Certificate>, EstError> {
    let compact: Vec<u8> = body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    // RFC 8951 section 3: base64 it is, whatever a header says; some servers send DER nevertheless.
    let der = STANDARD.decode(compact).unwrap_or_else(|_| body.to_vec());
    let encodings = encodings(&der).map_err(|error| EstError::Answer(error.to_string()))?;
    encodings
        .iter()
        .map(|der| Certificate::from_der(der).map_err(|error| EstError::Answer(error.to_string())))
        .collect()
}

fn encodings(der: &[u8]) -> Result<Vec<&[u8]>, DerError> {
    let mut outer = Reader::new(der).nested(tag::SEQUENCE)?;
    outer.object_identifier()?;
    let mut signed = outer.nested(tag::context_constructed(0))?.nested(tag::SEQUENCE)?;
    signed.small_integer("version")?;
    signed.expect(tag::SET)?;
    signed.expect(tag::SEQUENCE)?;
    let mut certificates = signed.nested(tag::context_constructed(0))?;
    let mut found = Vec::new();
    while !certificates.is_empty() {
        found.push(certificates.expect(tag::SEQUENCE)?.whole);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_that_are_no_structure_are_refused_and_never_panic() {
        let ca = testkit::TestCa::new();
        let mut writer = pki::der::Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&pki::oid::SIGNED_DATA);
            w.nested(tag::context_constructed(0), |w| {
                w.nested(tag::SEQUENCE, |w| {
                    w.integer(&[1]);
                    w.nested(tag::SET, |_| {});
                    w.nested(tag::SEQUENCE, |w| w.object_identifier(&pki::oid::DATA));
                    w.nested(tag::context_constructed(0), |w| {
                        w.raw(ca.issuing().certificate.der());
                        w.raw(ca.root().certificate.der());
                    });
                    w.nested(tag::SET, |_| {});
                });
            });
        });
        let der = writer.into_bytes();
        assert_eq!(certificates(STANDARD.encode(&der).as_bytes()).map(|found| found.len()).ok(), Some(2));
        assert_eq!(certificates(&der).map(|found| found.len()).ok(), Some(2));
        for at in 0..der.len() {
            let mut changed = der.clone();
            changed[at] ^= 0x55;
            let _ = certificates(&changed);
            let _ = certificates(&der[..at]);
        }
    }
}
