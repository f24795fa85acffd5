//! How an upstream is told who the client is: RFC 9440 by default, and the dialects that applications behind Envoy,
//! nginx and AWS load balancers already read. The client's own headers of these names are stripped before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use pki::Certificate;
use pki::identity::VerifiedPeer;
use pki::name::GeneralName;

use super::headers::{percent_encode, visible};

/// A set of headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440), and `X-Client-Identity`, the one name to show.
    Rfc9440,
    /// `X-Forwarded-Client-Cert` as Envoy writes it.
    Envoy,
    /// `X-SSL-Client-Verify`, `-S-DN`, `-I-DN`, `-Serial`, `-Fingerprint`, `-V-Start`, `-V-End`, `-V-Remain`, `-Cert`, after
    /// nginx's variables.
    Nginx,
    /// `X-Amzn-Mtls-Clientcert-Serial-Number`, `-Issuer`, `-Subject`, `-Validity`, `-Leaf`, and `X-Amzn-Mtls-Clientcert`.
    Aws,
}

/// The text names no dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no set of identity headers; use rfc9440, envoy, nginx or aws")]
pub struct UnknownDialect(pub String);

impl std::str::FromStr for Dialect {
    type Err = UnknownDialect;

    /// ```
    /// use net::serve::Dialect;
    /// assert_eq!("envoy".parse(), Ok(Dialect::Envoy));
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "rfc9440" => Ok(Dialect::Rfc9440),
            "envoy" => Ok(Dialect::Envoy),
            "nginx" => Ok(Dialect::Nginx),
            "aws" => Ok(Dialect::Aws),
            other => Err(UnknownDialect(other.to_owned())),
        }
    }
}

/// Writes the identity of a client in each dialect; for a visitor without a certificate only nginx's says so.
pub(crate) fn write(
    headers: &mut HeaderMap,
    dialects: &[Dialect],
    peer: Option<&VerifiedPeer>,
    now: Timestamp,
) {
    for dialect in dialects {
        match (dialect, peer) {
            (Dialect::Rfc9440, Some(peer)) => rfc9440(headers, peer),
            (Dialect::Envoy, Some(peer)) => envoy(headers, peer),
            (Dialect::Nginx, Some(peer)) => nginx(headers, peer, now),
            (Dialect::Aws, Some(peer)) => aws(headers, peer),
            (Dialect::Nginx, None) => set(headers, "x-ssl-client-verify", HeaderValue::from_static("NONE")),
            (_, None) => {}
        }
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: HeaderValue) {
    headers.insert(HeaderName::from_static(name), value);
}

/// A byte sequence of structured fields (RFC 8941 section 3.3.5).
fn byte_sequence(certificate: &Certificate) -> String {
    format!(":{}:", STANDARD.encode(certificate.der()))
}

fn rfc9440(headers: &mut HeaderMap, peer: &VerifiedPeer) {
    set(headers, "client-cert", visible(&byte_sequence(peer.certificate())));
    // Without the anchor, which the upstream has or does not need (RFC 9440 section 2.3).
    let path = peer.path().certificates();
    let between = path.get(1..path.len().saturating_sub(1)).unwrap_or_default();
    if !between.is_empty() {
        let chain: Vec<String> = between.iter().map(byte_sequence).collect();
        set(headers, "client-cert-chain", visible(&chain.join(", ")));
    }
    set(headers, "x-client-identity", visible(&peer.display_name()));
}

fn envoy(headers: &mut HeaderMap, peer: &VerifiedPeer) {
    let certificate = peer.certificate();
    // Envoy quotes a value that holds a separator, and escapes quotation marks inside.
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut fields = vec![
        format!("Hash={}", pki::hex(&certificate.sha256())),
        format!("Cert=\"{}\"", url_encoded_pem(certificate, b"")),
        format!("Subject={}", quoted(&certificate.subject().to_string())),
    ];
    for name in certificate.subject_alt_names() {
        match name {
            GeneralName::Uri(uri) if uri.contains([',', ';', '"', '=']) => {
                fields.push(format!("URI={}", quoted(uri)));
            }
            GeneralName::Uri(uri) => fields.push(format!("URI={uri}")),
            GeneralName::Dns(dns) => fields.push(format!("DNS={dns}")),
            _ => {}
        }
    }
    set(headers, "x-forwarded-client-cert", visible_keeping_percent(&fields.join(";")));
}

fn nginx(headers: &mut HeaderMap, peer: &VerifiedPeer, now: Timestamp) {
    let certificate = peer.certificate();
    let time = |at: Timestamp| at.strftime("%b %e %H:%M:%S %Y GMT").to_string();
    // nginx's $ssl_client_v_remain: whole days.
    let remain = (certificate.not_after().as_second() - now.as_second()).max(0) / 86_400;
    set(headers, "x-ssl-client-verify", HeaderValue::from_static("SUCCESS"));
    set(headers, "x-ssl-client-s-dn", visible(&certificate.subject().to_string()));
    set(headers, "x-ssl-client-i-dn", visible(&certificate.issuer().to_string()));
    set(headers, "x-ssl-client-serial", visible(&certificate.serial_hex().to_ascii_uppercase()));
    set(headers, "x-ssl-client-fingerprint", visible(&sha1_hex(certificate.der())));
    set(headers, "x-ssl-client-v-start", visible(&time(certificate.not_before())));
    set(headers, "x-ssl-client-v-end", visible(&time(certificate.not_after())));
    set(headers, "x-ssl-client-v-remain", HeaderValue::from(remain));
    set(headers, "x-ssl-client-cert", visible_keeping_percent(&url_encoded_pem(certificate, b"")));
}

fn aws(headers: &mut HeaderMap, peer: &VerifiedPeer) {
    let certificate = peer.certificate();
    let time = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let validity =
        format!("NotBefore={};NotAfter={}", time(certificate.not_before()), time(certificate.not_after()));
    let leaf = url_encoded_pem(certificate, b"+=/");
    let path = peer.path().certificates();
    let between = path.get(1..path.len().saturating_sub(1)).unwrap_or_default();
    let chain = between.iter().fold(leaf.clone(), |chain, c| chain + &url_encoded_pem(c, b"+=/"));
    set(
        headers,
        "x-amzn-mtls-clientcert-serial-number",
        visible(&certificate.serial_hex().to_ascii_uppercase()),
    );
    set(headers, "x-amzn-mtls-clientcert-issuer", visible(&certificate.issuer().to_string()));
    set(headers, "x-amzn-mtls-clientcert-subject", visible(&certificate.subject().to_string()));
    set(headers, "x-amzn-mtls-clientcert-validity", visible(&validity));
    set(headers, "x-amzn-mtls-clientcert-leaf", visible_keeping_percent(&leaf));
    set(headers, "x-amzn-mtls-clientcert", visible_keeping_percent(&chain));
}

/// A certificate in PEM, percent-encoded except for unreserved characters and those in `also`.
fn url_encoded_pem(certificate: &Certificate, also: &[u8]) -> String {
    percent_encode(&certificate.to_pem(), |byte| {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte)
    })
}

/// Like [`visible`], for text whose percent signs are encoding already.
fn visible_keeping_percent(text: &str) -> HeaderValue {
    let encoded = percent_encode(text, |byte| (0x20..0x7f).contains(&byte));
    // All of it is visible ASCII by now.
    HeaderValue::from_str(&encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// nginx's `$ssl_client_fingerprint` is SHA-1: a name for the certificate, not a protection.
fn sha1_hex(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    pki::hex(digest.as_ref())
}
