//! Writing a header of version 2.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use pki::Certificate;
use pki::key::KeyAlgorithm;
use pki::oid;

use super::{SIGNATURE, client, kind};

/// What an upstream is told of TLS between the client and us.
#[derive(Debug, Clone, Copy)]
pub struct TlsFacts<'a> {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'a str,
    /// The cipher suite, in the registry's name.
    pub cipher_suite: &'a str,
    /// The key exchange group.
    pub group: &'a str,
    /// The application protocol.
    pub alpn: Option<&'a str>,
    /// The host name that the client asked for.
    pub server_name: Option<&'a str>,
    /// The client's certificate, verified.
    pub certificate: Option<&'a Certificate>,
}

/// The header of a connection from `source` to `destination`, which are written as IPv6 where they differ in family.
/// With TLS facts it carries PP2_TYPE_SSL and, of a client with a certificate, its commonName and the certificate itself.
///
/// ```
/// let header = net::proxy_protocol::encode("192.0.2.7:1".parse().unwrap(), "192.0.2.8:2".parse().unwrap(), None);
/// assert_eq!(header.len(), 28);
/// ```
#[must_use]
pub fn encode(source: SocketAddr, destination: SocketAddr, tls: Option<&TlsFacts<'_>>) -> Vec<u8> {
    let mut rest = Vec::with_capacity(256);
    let family = match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            rest.extend(from.octets());
            rest.extend(to.octets());
            0x11
        }
        (from, to) => {
            rest.extend(as_v6(from).octets());
            rest.extend(as_v6(to).octets());
            0x21
        }
    };
    rest.extend(source.port().to_be_bytes());
    rest.extend(destination.port().to_be_bytes());
    if let Some(tls) = tls {
        if let Some(alpn) = tls.alpn {
            value(&mut rest, kind::ALPN, alpn.as_bytes());
        }
        if let Some(name) = tls.server_name {
            value(&mut rest, kind::AUTHORITY, name.as_bytes());
        }
        let facts = ssl(tls, true);
        // A certificate too large for the header's length field stays out, and the upstream is still told the rest.
        let fits = rest.len() + facts.len() + 3 <= usize::from(u16::MAX);
        value(&mut rest, kind::SSL, &if fits { facts } else { ssl(tls, false) });
    }
    let mut header = Vec::with_capacity(16 + rest.len());
    header.extend(SIGNATURE);
    header.extend([0x21, family]);
    header.extend(u16::try_from(rest.len()).unwrap_or(u16::MAX).to_be_bytes());
    header.extend(rest);
    header
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// The content of PP2_TYPE_SSL: flags, the verdict, and values of its own.
fn ssl(tls: &TlsFacts<'_>, with_certificate: bool) -> Vec<u8> {
    let mut facts = Vec::with_capacity(128);
    let presented = client::CERTIFICATE_IN_CONNECTION | client::CERTIFICATE_IN_SESSION;
    facts.push(if tls.certificate.is_some() { client::SSL | presented } else { client::SSL });
    // "zero if the client presented a certificate and it was successfully verified, and non-zero otherwise".
    facts.extend(u32::from(tls.certificate.is_none()).to_be_bytes());
    value(&mut facts, kind::SSL_VERSION, tls.version.as_bytes());
    value(&mut facts, kind::SSL_CIPHER, tls.cipher_suite.as_bytes());
    value(&mut facts, kind::SSL_GROUP, tls.group.as_bytes());
    if let Some(certificate) = tls.certificate {
        let names = certificate.subject().values(&oid::COMMON_NAME);
        // A name with control characters would be refused by careful readers, us included.
        if let Some(name) = names.first().filter(|name| !name.contains(char::is_control) && name.len() <= 256)
        {
            value(&mut facts, kind::SSL_CN, name.as_bytes());
        }
        if let Some(algorithm) = certificate.signature_algorithm() {
            value(&mut facts, kind::SSL_SIGNATURE_ALGORITHM, algorithm.to_string().as_bytes());
        }
        if let Ok(key) = certificate.public_key() {
            value(&mut facts, kind::SSL_KEY_ALGORITHM, key_algorithm(key.algorithm()).as_bytes());
        }
        if with_certificate {
            value(&mut facts, kind::SSL_CLIENT_CERTIFICATE, certificate.der());
        }
    }
    facts
}

/// The kind of key as HAProxy writes it: `EC256`, `RSA2048`.
fn key_algorithm(algorithm: KeyAlgorithm) -> String {
    match algorithm {
        KeyAlgorithm::P256 => "EC256".to_owned(),
        KeyAlgorithm::P384 => "EC384".to_owned(),
        KeyAlgorithm::P521 => "EC521".to_owned(),
        KeyAlgorithm::Rsa(bits) => format!("RSA{bits}"),
        other => other.to_string().to_uppercase(),
    }
}

/// Writes a type-length-value; one that is too long to have a length is left out.
fn value(into: &mut Vec<u8>, kind: u8, content: &[u8]) {
    if let Ok(length) = u16::try_from(content.len()) {
        into.push(kind);
        into.extend(length.to_be_bytes());
        into.extend(content);
    }
}
