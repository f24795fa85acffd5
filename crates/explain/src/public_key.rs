//! Public keys for people: algorithm, size, curve, and the identifiers that others compare.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::der::tag;
use pki::oid;

use crate::field::Identifier;
use crate::model::Remark;
use crate::tlv::{Cursor, Element, Problems};

/// A SubjectPublicKeyInfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyDescription {
    /// The family: `RSA`, `EC`, `Ed25519`, `ML-DSA-65`, or the identifier's text.
    pub algorithm: String,
    /// The algorithm's identifier.
    pub identifier: Identifier,
    /// The named curve of an EC key.
    pub curve: Option<Identifier>,
    /// The size that people compare: of an RSA modulus, of a curve's field.
    pub bits: Option<u32>,
    /// The RSA public exponent.
    pub exponent: Option<String>,
    /// The key octets: an RSA key's modulus, an EC key's point, or the content of the BIT STRING.
    pub octets: Vec<u8>,
    /// The whole SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// SHA-1 of the key octets, the usual subjectKeyIdentifier (RFC 5280 section 4.2.1.2 method 1).
    pub key_sha1: [u8; 20],
}

impl PublicKeyDescription {
    /// Reads a SubjectPublicKeyInfo.
    pub(crate) fn from_element(element: &Element<'_>, problems: &mut Problems) -> Option<Self> {
        let mut cursor = element.cursor();
        let algorithm = cursor.expect(tag::SEQUENCE, "public key's algorithm", problems)?;
        let mut parameters = algorithm.cursor();
        let identifier = Identifier::read(&mut parameters, "public key's algorithm", problems)?;
        let parameter = parameters.next(problems);
        let bits = cursor.expect(tag::BIT_STRING, "public key", problems)?;
        cursor.finish("public key", problems);
        let key = bits.content.get(1..).unwrap_or_default();
        let mut description = PublicKeyDescription {
            algorithm: identifier.text(),
            curve: None,
            bits: None,
            exponent: None,
            octets: key.to_vec(),
            spki: element.whole.to_vec(),
            key_sha1: sha1(key),
            identifier,
        };
        if description.identifier.is(&oid::RSA_ENCRYPTION) || description.identifier.is(&oid::RSA_SSA_PSS) {
            description.algorithm = "RSA".to_owned();
            let mut numbers = Cursor::with_base(key, bits.content_offset + 1);
            description.rsa(&mut numbers, problems);
        } else if description.identifier.is(&oid::EC_PUBLIC_KEY) {
            description.algorithm = "EC".to_owned();
            description.curve = parameter
                .filter(|p| p.is(tag::OBJECT_IDENTIFIER))
                .map(|p| Identifier::from_content(p.content));
            description.bits = description.curve.as_ref().and_then(curve_bits);
        } else {
            description.bits = match description.identifier.dotted.as_str() {
                "1.3.101.112" | "1.3.101.110" => Some(256),
                "1.3.101.113" | "1.3.101.111" => Some(456),
                _ => None,
            };
        }
        if let Err(error) = pki::key::PublicKey::from_spki_der(element.whole)
            && matches!(error, pki::key::PublicKeyError::Value(_))
        {
            problems.note(element.offset, error.to_string());
        }
        Some(description)
    }

    fn rsa(&mut self, key: &mut Cursor<'_>, problems: &mut Problems) {
        let Some(sequence) = key.expect(tag::SEQUENCE, "RSA public key", problems) else { return };
        let mut numbers = sequence.cursor();
        if let Some(modulus) = numbers.expect(tag::INTEGER, "modulus", problems) {
            let start = modulus.content.iter().position(|octet| *octet != 0).unwrap_or(modulus.content.len());
            let magnitude = &modulus.content[start..];
            self.octets = magnitude.to_vec();
            let spare = magnitude.first().map_or(0, |octet| octet.leading_zeros());
            self.bits = u32::try_from(magnitude.len() * 8).ok().map(|bits| bits - spare);
        }
        if let Some(exponent) = numbers.expect(tag::INTEGER, "public exponent", problems) {
            // RFC 8017 allows any size; in use are 3 and 65537, and a long one may be a misplaced private number.
            self.exponent = Some(match exponent.content.len() {
                0..=8 => crate::field::integer_text(exponent.content),
                length => format!("({length} bytes)"),
            });
        }
    }

    /// `RSA 2048`, `ECDSA P-256`, `Ed25519`: the words of [`pki::key::KeyAlgorithm`].
    #[must_use]
    pub fn text(&self) -> String {
        if let Some(curve) = &self.curve {
            return format!("ECDSA {}", curve_name(curve));
        }
        match self.bits {
            Some(bits) if self.algorithm == "RSA" => format!("RSA {bits}"),
            _ => self.algorithm.clone(),
        }
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        pki::sha256(&self.spki)
    }

    /// The pin as curl's `--pinnedpubkey` and `--allow-spki-pin` take it: `sha256//…`.
    #[must_use]
    pub fn pin(&self) -> String {
        format!("sha256//{}", STANDARD.encode(self.spki_sha256()))
    }

    /// What people should know about the key itself.
    pub(crate) fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        match (self.algorithm.as_str(), self.bits) {
            ("RSA", Some(bits)) if bits < 2048 => remarks.push(Remark::error(
                "weak_key",
                format!("the RSA key has {bits} bits; TLS libraries refuse less than 2048"),
            )),
            ("RSA", Some(bits)) if bits > 8192 => remarks.push(Remark::warning(
                "weak_key",
                format!("the RSA key has {bits} bits; several TLS libraries refuse more than 8192"),
            )),
            ("EC", _) => match &self.curve {
                Some(curve) if curve.is(&oid::SECP256R1) || curve.is(&oid::SECP384R1) => {}
                Some(curve) if curve.is(&oid::SECP521R1) => {
                    remarks.push(Remark::note("unusual_key", "Chromium does not accept keys on P-521"))
                }
                Some(curve) => remarks.push(Remark::warning(
                    "weak_key",
                    format!("the key is on the curve {}, which most TLS peers do not accept", curve.text()),
                )),
                None => remarks.push(Remark::warning(
                    "weak_key",
                    "the curve is spelled out in parameters instead of being named, which TLS peers refuse",
                )),
            },
            ("dsa", _) => {
                remarks.push(Remark::error("weak_key", "TLS 1.3 has no DSA, and libraries have dropped it"));
            }
            _ => {}
        }
        remarks
    }
}

fn curve_bits(curve: &Identifier) -> Option<u32> {
    let curve = curve.oid.as_ref()?;
    [(oid::SECP256R1, 256), (oid::SECP384R1, 384), (oid::SECP521R1, 521), (oid::SECP256K1, 256)]
        .into_iter()
        .find(|(known, _)| known == curve)
        .map(|(_, bits)| bits)
}

/// The name by which people know a curve.
pub(crate) fn curve_name(curve: &Identifier) -> String {
    match curve.oid {
        Some(oid::SECP256R1) => "P-256".to_owned(),
        Some(oid::SECP384R1) => "P-384".to_owned(),
        Some(oid::SECP521R1) => "P-521".to_owned(),
        _ => curve.text(),
    }
}

/// SHA-1, for fingerprints and key identifiers only.
pub(crate) fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut hash = [0; 20];
    hash.copy_from_slice(
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref(),
    );
    hash
}
