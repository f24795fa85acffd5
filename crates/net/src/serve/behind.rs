//! A load balancer in front that ends TLS itself and passes the client's certificate on in headers. It is believed from
//! named addresses alone, and in one thing alone: that the client proved the key. The certificate itself is judged here,
//! by our anchors, lists and policy, as if the client had presented it. From everyone else such headers are dropped.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::name::IpRange;
use rustls::pki_types::CertificateDer;

use super::identity_headers::Dialect;

/// The load balancers that pass clients' certificates on, and how they write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFront {
    /// Where they come from.
    pub from: Vec<IpRange>,
    /// Their headers.
    pub dialect: Dialect,
}

/// The most octets of a chain that is told in headers; the heads of requests are bounded besides.
const LONGEST: usize = 64 * 1024;

/// Why headers of a front name nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("{0} stands there more than once")]
    Twice(&'static str),
    #[error("{0} cannot be read")]
    Unreadable(&'static str),
    #[error("X-Forwarded-Client-Cert has more than one element, so more than one proxy wrote it")]
    Elements,
}

impl IdentityFront {
    /// How the front at this address tells of clients; `None` where it is none.
    pub(crate) fn at(&self, address: IpAddr) -> Option<Dialect> {
        let address = address.to_canonical();
        self.from.iter().any(|range| range.contains(address)).then_some(self.dialect)
    }
}

/// The chain that a front's headers tell of; `None` where it tells of no certificate. `all` finds the values of a header.
pub(crate) fn chain<'h>(
    dialect: Dialect,
    all: impl Fn(&'static str) -> Vec<&'h [u8]>,
) -> Result<Option<Vec<CertificateDer<'static>>>, ClaimError> {
    let one = |name: &'static str| match all(name).as_slice() {
        [] | [b""] => Ok(None),
        [value] if value.len() <= LONGEST => match std::str::from_utf8(value) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(ClaimError::Unreadable(name)),
        },
        [_] => Err(ClaimError::Unreadable(name)),
        _ => Err(ClaimError::Twice(name)),
    };
    match dialect {
        Dialect::Rfc9440 => {
            const LEAF: &str = "client-cert";
            const ABOVE: &str = "client-cert-chain";
            let Some(leaf) = one(LEAF)? else { return Ok(None) };
            let mut chain = vec![byte_sequence(leaf).ok_or(ClaimError::Unreadable(LEAF))?];
            // A list may be spread over several headers (RFC 8941 section 4.2).
            for value in all(ABOVE) {
                let text = std::str::from_utf8(value).map_err(|_| ClaimError::Unreadable(ABOVE))?;
                for item in text.split(',') {
                    chain.push(byte_sequence(item).ok_or(ClaimError::Unreadable(ABOVE))?);
                }
            }
            Ok(Some(chain))
        }
        Dialect::Envoy => {
            const NAME: &str = "x-forwarded-client-cert";
            let Some(text) = one(NAME)? else { return Ok(None) };
            let mut certificate = None;
            let mut above = None;
            for (key, value) in envoy_pairs(text)? {
                let place = match key.to_ascii_lowercase().as_str() {
                    "cert" => &mut certificate,
                    "chain" => &mut above,
                    _ => continue,
                };
                if place.replace(value).is_some() {
                    return Err(ClaimError::Twice("Cert or Chain in X-Forwarded-Client-Cert"));
                }
            }
            // Envoy's Chain has the leaf in it.
            let Some(told) = above.or(certificate) else { return Ok(None) };
            pem_chain(&told).map(Some).ok_or(ClaimError::Unreadable(NAME))
        }
        Dialect::Nginx => {
            const NAME: &str = "x-ssl-client-cert";
            let Some(told) = one(NAME)? else { return Ok(None) };
            pem_chain(told).map(Some).ok_or(ClaimError::Unreadable(NAME))
        }
        Dialect::Aws => {
            // The whole chain where the balancer passes it through, the leaf where it verifies by itself.
            const NAMES: [&str; 2] = ["x-amzn-mtls-clientcert", "x-amzn-mtls-clientcert-leaf"];
            for name in NAMES {
                if let Some(told) = one(name)? {
                    return pem_chain(told).map(Some).ok_or(ClaimError::Unreadable(name));
                }
            }
            Ok(None)
        }
    }
}

/// A byte sequence of structured fields (RFC 8941 section 3.3.5).
fn byte_sequence(text: &str) -> Option<CertificateDer<'static>> {
    let inner = text.trim_matches([' ', '\t']).strip_prefix(':')?.strip_suffix(':')?;
    STANDARD.decode(inner).ok().map(CertificateDer::from)
}

/// Certificates in PEM whose characters are percent-encoded; `+` stands for itself.
fn pem_chain(text: &str) -> Option<Vec<CertificateDer<'static>>> {
    let decoded = percent_decode(text)?;
    let blocks = pki::pem::read(decoded.as_bytes()).ok()?;
    let all_certificates = blocks.iter().all(|block| block.label == "CERTIFICATE");
    let chain: Vec<_> = blocks.into_iter().map(|block| CertificateDer::from(block.der)).collect();
    (all_certificates && !chain.is_empty()).then_some(chain)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            byte => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).ok()
}

/// The pairs of the one element that Envoy wrote: `Key=value;Key="quoted, with \" inside"`.
fn envoy_pairs(text: &str) -> Result<Vec<(String, String)>, ClaimError> {
    const NAME: &str = "x-forwarded-client-cert";
    let mut pairs = Vec::new();
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        let mut key = String::new();
        loop {
            match rest.next() {
                Some('=') => break,
                Some(',') => return Err(ClaimError::Elements),
                Some(character) if character.is_ascii_alphanumeric() => key.push(character),
                _ => return Err(ClaimError::Unreadable(NAME)),
            }
        }
        let mut value = String::new();
        if rest.next_if_eq(&'"').is_some() {
            loop {
                match rest.next() {
                    Some('"') => break,
                    Some('\\') => value.push(rest.next().ok_or(ClaimError::Unreadable(NAME))?),
                    Some(character) => value.push(character),
                    None => return Err(ClaimError::Unreadable(NAME)),
                }
            }
        } else {
            while let Some(character) = rest.next_if(|character| !matches!(character, ';' | ',' | '"')) {
                value.push(character);
            }
        }
        pairs.push((key, value));
        match rest.next() {
            None | Some(';') => {}
            Some(',') => return Err(ClaimError::Elements),
            Some(_) => return Err(ClaimError::Unreadable(NAME)),
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::sync::Arc;

    use http::HeaderMap;
    use pki::identity::VerifiedPeer;
    use pki::verify::{Purpose, Rules, verify};
    use testkit::TestCa;

    use super::*;
    use crate::serve::identity_headers;

    fn read(
        dialect: Dialect,
        headers: &HeaderMap,
    ) -> Result<Option<Vec<CertificateDer<'static>>>, ClaimError> {
        chain(dialect, |name| headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_one_gateway_writes_the_next_one_reads_in_each_dialect() {
        let ca = TestCa::new();
        let alice = ca.issue_client("alice, \"the\" first; of=all");
        let anchors = ca.anchors();
        let rules = Rules::new(&anchors, Purpose::Client, testkit::now());
        let path = verify(&alice.certificate, &alice.chain, &rules).unwrap();
        let peer = Arc::new(VerifiedPeer::new(path));
        for dialect in [Dialect::Rfc9440, Dialect::Envoy, Dialect::Nginx, Dialect::Aws] {
            let mut written = HeaderMap::new();
            identity_headers::write(&mut written, &[dialect], Some(&peer), testkit::now());
            let told = read(dialect, &written).unwrap().unwrap();
            assert_eq!(&*told[0], alice.certificate.der(), "{dialect:?}");
            if matches!(dialect, Dialect::Rfc9440 | Dialect::Aws) {
                assert_eq!(&*told[1], alice.chain[0].der(), "{dialect:?}");
            }
            assert_eq!(read(dialect, &HeaderMap::new()), Ok(None));
        }
    }

    #[test]
    fn what_two_hands_may_have_written_names_nobody() {
        let cases: &[(Dialect, &[(&'static str, &str)])] = &[
            (Dialect::Rfc9440, &[("client-cert", ":AAAA:"), ("client-cert", ":AAAA:")]),
            (Dialect::Rfc9440, &[("client-cert", "AAAA")]),
            (Dialect::Rfc9440, &[("client-cert", ":AA AA:")]),
            (Dialect::Rfc9440, &[("client-cert", ":AAAA:, :AAAA:")]),
            (Dialect::Rfc9440, &[("client-cert", ":AAAA:"), ("client-cert-chain", ":AAAA:, x")]),
            (Dialect::Envoy, &[("x-forwarded-client-cert", "Hash=1;Cert=\"x\",Hash=2;Cert=\"y\"")]),
            (Dialect::Envoy, &[("x-forwarded-client-cert", "Cert=\"x\";Cert=\"y\"")]),
            (Dialect::Envoy, &[("x-forwarded-client-cert", "Cert=\"x")]),
            (Dialect::Envoy, &[("x-forwarded-client-cert", "Cert=\"x\"y")]),
            (Dialect::Nginx, &[("x-ssl-client-cert", "x"), ("x-ssl-client-cert", "x")]),
            (Dialect::Nginx, &[("x-ssl-client-cert", "-----BEGIN%20CERTIFICATE")]),
            (Dialect::Nginx, &[("x-ssl-client-cert", "%zz")]),
            (Dialect::Aws, &[("x-amzn-mtls-clientcert-leaf", "%2")]),
        ];
        for (dialect, pairs) in cases {
            assert!(read(*dialect, &headers(pairs)).is_err(), "{dialect:?} {pairs:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_of_a_front_does_harm(text in "\\PC{0,200}", number in 0..4_usize) {
            let dialect = [Dialect::Rfc9440, Dialect::Envoy, Dialect::Nginx, Dialect::Aws][number];
            let _ = chain(dialect, |_| vec![text.as_bytes()]);
        }
    }
}
