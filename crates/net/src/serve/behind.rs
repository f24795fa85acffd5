//! A load balancer in front that ends TLS itself and passes the client's certificate on in headers. It is believed from
//! named addresses alone, and in two things: that the client proved the key, and where the client comes from. The
//! certificate itself is judged here, by our anchors, lists and policy, as if the client had presented it. From everyone
//! else such headers are dropped.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

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
    /// How they tell where a client comes from.
    pub address: AddressHeader,
}

/// The header in which load balancers tell where a client comes from. One alone is read: what they do not write
/// themselves, they may pass on from anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressHeader {
    /// `X-Forwarded-For`, to which each proxy appends who came to it, with `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// None: where the load balancer is, is all that is known.
    Nothing,
}

/// The text names no such header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no header that tells an address; use x-forwarded-for, forwarded or none")]
pub struct UnknownAddressHeader(pub String);

impl FromStr for AddressHeader {
    type Err = UnknownAddressHeader;

    /// ```
    /// use net::serve::AddressHeader;
    /// assert_eq!("forwarded".parse(), Ok(AddressHeader::Forwarded));
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "x-forwarded-for" => Ok(AddressHeader::XForwardedFor),
            "forwarded" => Ok(AddressHeader::Forwarded),
            "none" => Ok(AddressHeader::Nothing),
            other => Err(UnknownAddressHeader(other.to_owned())),
        }
    }
}

impl AddressHeader {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            AddressHeader::XForwardedFor => "x-forwarded-for",
            AddressHeader::Forwarded => "forwarded",
            AddressHeader::Nothing => "none",
        }
    }
}

/// Where a request comes from: from the other end of the connection, or from behind a front that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// With port 0 where a front names none.
    pub(crate) address: SocketAddr,
    /// Whether the front was spoken to in plain HTTP.
    pub(crate) is_plain: bool,
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
    /// Whether there is a front at this address.
    pub(crate) fn is_at(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.from.iter().any(|range| range.contains(address))
    }

    /// Where a request comes from that came over a connection from `nearest`: the last of the addresses told that is not
    /// a front's own. What stands before that one, anybody may have written; what cannot be read, ends the search at whom
    /// it was read from. `all` finds the values of a header.
    pub(crate) fn origin<'h>(
        &self,
        nearest: SocketAddr,
        all: impl Fn(&'static str) -> Vec<&'h [u8]>,
    ) -> Origin {
        let mut origin = Origin { address: nearest, is_plain: false };
        let texts = |name| all(name).into_iter().map(|value| std::str::from_utf8(value).unwrap_or("?"));
        match self.address {
            AddressHeader::Nothing => {}
            AddressHeader::XForwardedFor => {
                let told: Vec<&str> = texts("x-forwarded-for").flat_map(|value| value.split(',')).collect();
                for text in told.into_iter().rev() {
                    let (true, Some(before)) = (self.is_at(origin.address.ip()), node(text)) else { break };
                    origin.address = before;
                }
                let mut schemes = texts("x-forwarded-proto");
                // Of several nobody knows which hop wrote which.
                let scheme = schemes.next().filter(|_| schemes.next().is_none());
                origin.is_plain = self.is_at(nearest.ip()) && scheme.is_some_and(is_http);
            }
            AddressHeader::Forwarded => {
                let told: Vec<&str> = texts("forwarded").flat_map(|value| unquoted(value, ',')).collect();
                for element in told.into_iter().rev() {
                    let pairs =
                        unquoted(element, ';').into_iter().filter_map(|pair| pair.trim().split_once('='));
                    let mut pairs: Vec<(&str, &str)> = pairs.collect();
                    pairs.retain(|(name, _)| {
                        ["for", "proto"].iter().any(|one| name.eq_ignore_ascii_case(one))
                    });
                    let one = |wanted: &str| {
                        let mut found = pairs.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
                        found
                            .next()
                            .filter(|_| found.next().is_none())
                            .map(|(_, value)| value.trim_matches('"'))
                    };
                    let (true, Some(before)) = (self.is_at(origin.address.ip()), one("for").and_then(node))
                    else {
                        break;
                    };
                    origin = Origin { address: before, is_plain: one("proto").is_some_and(is_http) };
                }
            }
        }
        origin
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.trim().eq_ignore_ascii_case("http")
}

/// An address, with or without a port (RFC 7239 section 6); not a name that stands for one.
fn node(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address =
        bare.parse().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| text.parse::<SocketAddr>()).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Splits at a mark that does not stand in quotation marks.
fn unquoted(text: &str, mark: char) -> Vec<&str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(|character| {
        let splits = character == mark && !quoted;
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
        splits
    })
    .collect()
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
    let decoded = pki::percent_decode(text)?;
    let blocks = pki::pem::read(decoded.as_bytes()).ok()?;
    let all_certificates = blocks.iter().all(|block| block.label == "CERTIFICATE");
    let chain: Vec<_> = blocks.into_iter().map(|block| CertificateDer::from(block.der)).collect();
    (all_certificates && !chain.is_empty()).then_some(chain)
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
