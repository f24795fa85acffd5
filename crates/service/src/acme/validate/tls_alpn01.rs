//! tls-alpn-01 (RFC 8737): a certificate made for the purpose, shown on port 443 to whoever speaks `acme-tls/1`.

use std::net::IpAddr;

use net::danger::accept_any_server;
use net::dial::{TlsOptions, Transport, handshake::handshake};
use net::tls::server_verifier::Expectation;
use pki::Certificate;
use pki::der::{Reader, tag};
use pki::name::ServerName;
use pki::oid::Oid;
use pki::verify::TrustBundle;

use super::{Task, Validator};
use crate::acme::identifier::Identifier;
use crate::acme::refusal::{Kind, Refusal};

const PROTOCOL: &str = "acme-tls/1";

/// id-pe-acmeIdentifier (RFC 8737 section 6.1).
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

pub(super) async fn validate(validator: &Validator, task: &Task) -> Result<(), Refusal> {
    let addresses = validator.reachable(&task.identifier).await?;
    let stream = validator.connect(&task.identifier, &addresses, validator.tls_alpn_port).await?;
    let host = match &task.identifier {
        Identifier::Dns(name) => ServerName::Dns(name.clone()),
        // RFC 8738 section 6: SNI holds no address, so it holds the name of the reverse mapping.
        Identifier::Ip(ip) => ServerName::Dns(reverse_name(*ip)),
        Identifier::Email(_) => return Err(Refusal::malformed("a mailbox has no TLS server")),
    };
    let failed = |detail: String| Refusal::new(Kind::Tls, format!("{}: {detail}", task.identifier));
    // Believed by nobody: what is looked at is what the certificate holds, not who made it.
    let mut options = TlsOptions::new(accept_any_server(Expectation::new(TrustBundle::default())));
    options.alpn = vec![PROTOCOL.as_bytes().to_vec()];
    let stream = handshake(Transport::Tcp(stream), &host, options)
        .await
        .map_err(|error| failed(format!("the TLS handshake failed: {error}")))?;
    if stream.negotiated().alpn.as_deref() != Some(PROTOCOL) {
        return Err(failed(format!("the server does not speak {PROTOCOL} (ALPN)")));
    }
    let der = stream
        .served()
        .and_then(|served| served.chain.first())
        .ok_or_else(|| failed("no certificate".into()))?;
    let certificate = Certificate::from_der(der)
        .map_err(|error| Refusal::unauthorized(format!("{}: {error}", task.identifier)))?;
    judge(&certificate, &task.identifier, &pki::sha256(task.key_authorization().as_bytes()))
        .map_err(|why| Refusal::unauthorized(format!("the certificate shown for {} {why}", task.identifier)))
}

/// RFC 8737 section 3: one name, the one that is validated, and the hash in a critical extension.
fn judge(certificate: &Certificate, identifier: &Identifier, expected: &[u8; 32]) -> Result<(), String> {
    match certificate.subject_alt_names() {
        [only] if Identifier::of_name(only).as_ref() == Some(identifier) => {}
        [only] => return Err(format!("names {only}")),
        names => return Err(format!("has {} names in place of one", names.len())),
    }
    let oid = Oid::from_dotted(ACME_IDENTIFIER);
    let extension = certificate
        .extensions()
        .iter()
        .find(|extension| Some(extension.oid) == oid)
        .ok_or("lacks the extension acmeIdentifier")?;
    if !extension.critical {
        return Err("has an acmeIdentifier that is not critical".to_owned());
    }
    let mut reader = Reader::new(&extension.value);
    let hash = reader
        .expect(tag::OCTET_STRING)
        .map_err(|error| format!("has a malformed acmeIdentifier: {error}"))?;
    if reader.finish().is_err() || hash.content != expected {
        let (expected, found) = (pki::hex(expected), pki::hex(&hash.content[..hash.content.len().min(32)]));
        return Err(format!("should hold the hash {expected} and holds {found}"));
    }
    Ok(())
}

/// The name of an address in the reverse mapping (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let digits: Vec<String> = pki::hex(&ip.octets()).chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa", digits.join("."))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn addresses_have_their_reverse_names() {
        // RFC 8738 section 6.
        assert_eq!(reverse_name("10.0.1.2".parse().unwrap()), "2.1.0.10.in-addr.arpa");
        let six = reverse_name("2001:db8::1".parse().unwrap());
        assert_eq!(six, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    }

    #[test]
    fn certificate_shows_one_name_and_the_hash_and_nothing_less() {
        use pki::der::Writer;
        use testkit::RawCertificate;

        let oid = Oid::from_dotted(ACME_IDENTIFIER).unwrap();
        let value = |hash: &[u8]| {
            let mut writer = Writer::new();
            writer.primitive(tag::OCTET_STRING, hash);
            writer.into_bytes()
        };
        let verdict = |names: &[(u8, &[u8])], critical, hash: &[u8]| {
            let raw =
                RawCertificate::server("a.test").alternative(names).extension(oid, critical, value(hash));
            let certificate = Certificate::from_der(&raw.der_self_signed()).unwrap();
            judge(&certificate, &Identifier::Dns("a.test".to_owned()), &[7; 32])
        };
        let own: &[(u8, &[u8])] = &[(2, b"a.test")];
        assert_eq!(verdict(own, true, &[7; 32]), Ok(()));
        assert!(verdict(own, false, &[7; 32]).unwrap_err().contains("not critical"));
        assert!(verdict(own, true, &[8; 32]).unwrap_err().contains("hash"));
        assert!(verdict(&[(2, b"b.test")], true, &[7; 32]).is_err());
        assert!(verdict(&[(2, b"a.test"), (2, b"b.test")], true, &[7; 32]).unwrap_err().contains("2 names"));
        let plain = Certificate::from_der(&RawCertificate::server("a.test").der_self_signed()).unwrap();
        assert!(judge(&plain, &Identifier::Dns("a.test".to_owned()), &[7; 32]).is_err());
    }
}
