//! What a DER structure looks like from the outside, so that a reader can say "this is a certificate" where a key
//! was expected. It looks at tags only and believes nothing; strict reading happens elsewhere.

use std::fmt;

use pki::der::{Reader, Tlv, tag};
use pki::oid;

/// The outer form of one DER structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    Pkcs8,
    EncryptedPkcs8,
    Pkcs1,
    Sec1,
    Pkcs12,
    PublicKey,
    Certificate,
    CertificateRequest,
    RevocationList,
    Unknown,
}

impl Shape {
    pub(crate) fn of(der: &[u8]) -> Shape {
        Self::look(der).unwrap_or(Shape::Unknown)
    }

    fn look(der: &[u8]) -> Option<Shape> {
        // Firefox writes PKCS#12 with indefinite lengths, which the strict reader would refuse.
        if der.starts_with(&[0x30, 0x80, 0x02, 0x01, 0x03]) {
            return Some(Shape::Pkcs12);
        }
        let mut outer = Reader::new(der);
        let mut sequence = outer.nested(tag::SEQUENCE).ok()?;
        let first = sequence.any().ok()?;
        let second = sequence.any().ok()?;
        match (first.tag, second.tag) {
            (tag::INTEGER, tag::SEQUENCE) => {
                let names_content = second.reader().object_identifier();
                Some(match names_content {
                    Ok(oid::DATA | oid::SIGNED_DATA) => Shape::Pkcs12,
                    _ => Shape::Pkcs8,
                })
            }
            (tag::INTEGER, tag::INTEGER) => Some(Shape::Pkcs1),
            (tag::INTEGER, tag::OCTET_STRING) => Some(Shape::Sec1),
            (tag::SEQUENCE, tag::OCTET_STRING) => Some(Shape::EncryptedPkcs8),
            (tag::SEQUENCE, tag::BIT_STRING) => Some(Shape::PublicKey),
            (tag::SEQUENCE, tag::SEQUENCE) if sequence.peek() == Some(tag::BIT_STRING) => signed(first),
            _ => None,
        }
    }
}

/// Tells the three signed structures apart by what stands where a certificate has its version.
fn signed(to_be_signed: Tlv<'_>) -> Option<Shape> {
    let mut reader = to_be_signed.reader();
    let mut tags = Vec::new();
    while let Ok(element) = reader.any() {
        tags.push(element.tag);
    }
    match tags.as_slice() {
        [0xa0, tag::INTEGER, ..] => Some(Shape::Certificate),
        [tag::INTEGER, tag::SEQUENCE, tag::SEQUENCE, 0xa0] => Some(Shape::CertificateRequest),
        [tag::INTEGER, tag::SEQUENCE, tag::SEQUENCE, tag::SEQUENCE, ..] => Some(Shape::Certificate),
        [tag::INTEGER, tag::SEQUENCE, tag::SEQUENCE, tag::UTC_TIME | tag::GENERALIZED_TIME, ..] => {
            Some(Shape::RevocationList)
        }
        [tag::SEQUENCE, tag::SEQUENCE, tag::UTC_TIME | tag::GENERALIZED_TIME, ..] => {
            Some(Shape::RevocationList)
        }
        _ => None,
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shape::Pkcs8 => "private key (PKCS#8)",
            Shape::EncryptedPkcs8 => "encrypted private key (PKCS#8)",
            Shape::Pkcs1 => "private key (PKCS#1, RSA)",
            Shape::Sec1 => "private key (SEC 1, elliptic curve)",
            Shape::Pkcs12 => "PKCS#12 file",
            Shape::PublicKey => "public key",
            Shape::Certificate => "certificate",
            Shape::CertificateRequest => "certificate request",
            Shape::RevocationList => "certificate revocation list",
            Shape::Unknown => "structure of an unknown kind",
        })
    }
}
