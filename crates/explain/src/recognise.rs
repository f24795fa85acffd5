//! What kind of structure DER is, by its shape. Labels and file names lie; shapes seldom do.

use pki::der::{Reader, tag};

use crate::key::KeyFormat;
use crate::tlv::{Cursor, Element, Problems};

/// A kind of structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Certificate,
    Request,
    RevocationList,
    Key(KeyFormat),
    Pkcs12,
    Pkcs7,
    /// EC PARAMETERS.
    Parameters,
}

impl Kind {
    /// With its article.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Kind::Certificate => "a certificate",
            Kind::Request => "a certificate request",
            Kind::RevocationList => "a revocation list",
            Kind::Key(KeyFormat::Pkcs8) => "a private key (PKCS#8)",
            Kind::Key(KeyFormat::EncryptedPkcs8) => "an encrypted private key",
            Kind::Key(KeyFormat::Sec1) => "an EC private key",
            Kind::Key(KeyFormat::Pkcs1) => "an RSA private key",
            Kind::Key(KeyFormat::Spki) => "a public key",
            Kind::Key(KeyFormat::Pkcs1Public) => "an RSA public key",
            Kind::Pkcs12 => "a PKCS#12 container",
            Kind::Pkcs7 => "a PKCS#7 container",
            Kind::Parameters => "the name of an elliptic curve",
        }
    }
}

impl Kind {
    /// Whether it holds a private key, so that its octets are read as one.
    pub(crate) fn is_private_key(self) -> bool {
        matches!(
            self,
            Kind::Key(KeyFormat::Pkcs8 | KeyFormat::EncryptedPkcs8 | KeyFormat::Sec1 | KeyFormat::Pkcs1)
        )
    }
}

/// At most this many members of the outer structure decide.
const LOOKED_AT: usize = 9;

/// The first members of an element.
fn members<'a>(of: &Element<'a>) -> Vec<Element<'a>> {
    let mut heard = Problems::default();
    let mut cursor = of.cursor();
    let mut members = Vec::new();
    while members.len() < LOOKED_AT
        && let Some(member) = cursor.next(&mut heard)
    {
        members.push(member);
    }
    members
}

/// The kind of structure these bytes are; `None` where no shape fits.
pub(crate) fn recognise(der: &[u8]) -> Option<Kind> {
    let mut heard = Problems::default();
    let outer = Cursor::new(der).next(&mut heard)?;
    if outer.is(tag::OBJECT_IDENTIFIER) {
        return Some(Kind::Parameters);
    }
    if !outer.is(tag::SEQUENCE) {
        return None;
    }
    let parts = members(&outer);
    let shape: Vec<u8> = parts.iter().filter_map(|part| part.whole.first().copied()).collect();
    match shape.as_slice() {
        [tag::OBJECT_IDENTIFIER, 0xa0, ..] => Some(Kind::Pkcs7),
        [tag::INTEGER, tag::SEQUENCE, tag::OCTET_STRING, ..] => Some(Kind::Key(KeyFormat::Pkcs8)),
        [tag::INTEGER, tag::SEQUENCE, ..] if parts[0].content == [3] => Some(Kind::Pkcs12),
        [tag::INTEGER, tag::OCTET_STRING, ..] => Some(Kind::Key(KeyFormat::Sec1)),
        [tag::INTEGER, tag::INTEGER] if is_rsa_public_key(der) => Some(Kind::Key(KeyFormat::Pkcs1Public)),
        [tag::INTEGER, tag::INTEGER, tag::INTEGER, ..] => Some(Kind::Key(KeyFormat::Pkcs1)),
        [tag::SEQUENCE, tag::OCTET_STRING] => Some(Kind::Key(KeyFormat::EncryptedPkcs8)),
        [tag::SEQUENCE, tag::BIT_STRING] => Some(Kind::Key(KeyFormat::Spki)),
        [tag::SEQUENCE, ..] => signed(&parts[0]),
        _ => None,
    }
}

/// RSAPublicKey, strictly: a damaged private key whose first length swallowed the rest has two INTEGERs as well, and
/// must not be shown as a public one. A modulus fills its octets, an exponent is short.
fn is_rsa_public_key(der: &[u8]) -> bool {
    let read = || {
        let mut outer = Reader::new(der);
        let mut numbers = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let (modulus, exponent) = (numbers.integer()?, numbers.integer()?);
        numbers.finish()?;
        Ok::<_, pki::der::DerError>((modulus, exponent))
    };
    read().is_ok_and(|(modulus, exponent)| {
        matches!(modulus, [0x00, 0x80..=0xff, ..]) && modulus.len() % 8 == 1 && exponent.len() <= 8
    })
}

/// OCSPResponse (RFC 6960 section 4.2.1): a status, and a response unless it is an error.
pub(crate) fn is_ocsp_response(der: &[u8]) -> bool {
    let mut heard = Problems::default();
    let outer = Cursor::new(der).next(&mut heard).filter(|outer| outer.is(tag::SEQUENCE));
    let parts = outer.map(|outer| members(&outer)).unwrap_or_default();
    matches!(parts.as_slice(), [status, rest @ ..]
        if status.is(tag::ENUMERATED) && rest.iter().all(|part| part.is(tag::context_constructed(0))))
}

/// A certificate, a request or a list, by the part that is signed.
fn signed(tbs: &Element<'_>) -> Option<Kind> {
    let parts = members(tbs);
    let shape: Vec<u8> = parts.iter().filter_map(|part| part.whole.first().copied()).collect();
    let is_time = |octet: &u8| matches!(*octet, tag::UTC_TIME | tag::GENERALIZED_TIME);
    match shape.as_slice() {
        [0xa0, tag::INTEGER, ..] => Some(Kind::Certificate),
        [tag::INTEGER, tag::SEQUENCE, tag::SEQUENCE, third, ..] if is_time(third) => {
            Some(Kind::RevocationList)
        }
        [tag::SEQUENCE, tag::SEQUENCE, third, ..] if is_time(third) => Some(Kind::RevocationList),
        // A version 1 certificate: serial, algorithm, issuer, validity, subject, key.
        [tag::INTEGER, tag::SEQUENCE, tag::SEQUENCE, tag::SEQUENCE, ..] => Some(Kind::Certificate),
        [tag::INTEGER, tag::SEQUENCE, tag::SEQUENCE, ..] if holds_key(&parts[2]) => Some(Kind::Request),
        [tag::INTEGER, tag::SEQUENCE, tag::SEQUENCE] => Some(Kind::Request),
        _ => None,
    }
}

fn holds_key(element: &Element<'_>) -> bool {
    let parts = members(element);
    let is_algorithm = |part: &Element<'_>| {
        members(part).first().is_some_and(|identifier| identifier.is(tag::OBJECT_IDENTIFIER))
    };
    matches!(parts.as_slice(), [algorithm, key, ..] if is_algorithm(algorithm) && key.is(tag::BIT_STRING))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn what_pki_makes_is_recognised() {
        let ca = testkit::TestCa::new();
        let identity = ca.issue_client("alice");
        assert_eq!(recognise(identity.certificate.der()), Some(Kind::Certificate));
        assert_eq!(recognise(identity.key.pkcs8_der()), Some(Kind::Key(KeyFormat::Pkcs8)));
        assert_eq!(
            recognise(identity.certificate.public_key().unwrap().spki_der()),
            Some(Kind::Key(KeyFormat::Spki))
        );
        assert_eq!(recognise(ca.current_crl(&[&identity.certificate]).der()), Some(Kind::RevocationList));
        assert_eq!(recognise(&[0x06, 0x08]), Some(Kind::Parameters));
        assert_eq!(recognise(&[]), None);
    }
}
