//! The integrity of a PKCS#12 file: MacData (RFC 7292 section 4), keyed by the derivation of its appendix B, or by
//! PBKDF2 as PBMAC1 has it (RFC 9579).

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac};
use pki::der::{Reader, Tlv, Writer, tag};
use pki::oid::{self, Oid};
use zeroize::Zeroizing;

use crate::pbes2::{Pbkdf2, SchemeError, algorithm_name, read_iterations};

/// RFC 9579 section 4 wants a MAC key of 20 octets or more; longer than any hash output has no use.
const PBMAC1_KEY_LENGTHS: std::ops::RangeInclusive<usize> = 20..=64;

/// A password in the two forms that PKCS#12 has use for.
pub(super) struct Password<'a> {
    /// For PBKDF2: UTF-8, as everybody has come to do it.
    pub(super) utf8: &'a str,
}

impl Password<'_> {
    /// For the derivation of appendix B.1: big-endian UTF-16 with two zero octets at the end.
    fn bmp_string(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.utf8.len() * 2 + 2));
        for unit in self.utf8.encode_utf16().chain([0]) {
            bytes.extend_from_slice(&unit.to_be_bytes());
        }
        bytes
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
            Hash::Sha512 => &digest::SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Hash::Sha1 => "HMAC-SHA-1",
            Hash::Sha256 => "HMAC-SHA-256",
            Hash::Sha384 => "HMAC-SHA-384",
            Hash::Sha512 => "HMAC-SHA-512",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Keying {
    /// RFC 7292 appendix B.
    Pkcs12 { salt: Vec<u8>, iterations: NonZeroU32 },
    /// RFC 9579, with the length of the key.
    Pbmac1(Pbkdf2, usize),
}

/// A MacData structure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mac {
    hash: Hash,
    keying: Keying,
    value: Vec<u8>,
}

impl Mac {
    /// The MAC of `content`, keyed by the derivation of appendix B with SHA-256.
    pub(super) fn make(
        password: &Password<'_>,
        salt: Vec<u8>,
        iterations: NonZeroU32,
        content: &[u8],
    ) -> Self {
        let mut mac =
            Mac { hash: Hash::Sha256, keying: Keying::Pkcs12 { salt, iterations }, value: Vec::new() };
        mac.value = hmac::sign(&mac.key(password), content).as_ref().to_vec();
        mac
    }

    /// Reads MacData.
    pub(super) fn read(mac_data: Tlv<'_>) -> Result<Self, SchemeError> {
        let mut fields = mac_data.reader();
        let mut digest_info = fields.nested(tag::SEQUENCE)?;
        let mut identifier = digest_info.nested(tag::SEQUENCE)?;
        let value = digest_info.expect(tag::OCTET_STRING)?.content.to_vec();
        digest_info.finish()?;
        let salt = fields.expect(tag::OCTET_STRING)?.content.to_vec();
        let iterations = if fields.is_empty() { NonZeroU32::MIN } else { read_iterations(&mut fields)? };
        fields.finish()?;
        let unsupported = |algorithm: &Oid| SchemeError::Unsupported(algorithm_name(algorithm));
        let algorithm = identifier.object_identifier()?;
        let hash = match algorithm {
            oid::SHA1 => Hash::Sha1,
            oid::SHA256 => Hash::Sha256,
            oid::SHA384 => Hash::Sha384,
            oid::SHA512 => Hash::Sha512,
            other if algorithm_name(&other) == "PBMAC1" => {
                let (hash, derivation, length) = read_pbmac1(&mut identifier)?;
                return Ok(Mac { hash, keying: Keying::Pbmac1(derivation, length), value });
            }
            other => return Err(unsupported(&other)),
        };
        identifier.optional(tag::NULL)?;
        identifier.finish()?;
        Ok(Mac { hash, keying: Keying::Pkcs12 { salt, iterations }, value })
    }

    /// Writes MacData. Only what [`Mac::make`] made is ever written.
    pub(super) fn write(&self, writer: &mut Writer) {
        let Keying::Pkcs12 { salt, iterations } = &self.keying else { return };
        writer.nested(tag::SEQUENCE, |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(&oid::SHA256);
                    w.null();
                });
                w.primitive(tag::OCTET_STRING, &self.value);
            });
            w.primitive(tag::OCTET_STRING, salt);
            w.integer(&iterations.get().to_be_bytes());
        });
    }

    pub(super) fn iterations(&self) -> u32 {
        match &self.keying {
            Keying::Pkcs12 { iterations, .. } => iterations.get(),
            Keying::Pbmac1(derivation, _) => derivation.iterations(),
        }
    }

    pub(super) fn describe(&self) -> String {
        match &self.keying {
            Keying::Pkcs12 { iterations, .. } => format!("{} with {iterations} iterations", self.hash.name()),
            Keying::Pbmac1(derivation, _) => {
                format!("PBMAC1: {}, {}", derivation.describe(), self.hash.name())
            }
        }
    }

    /// Whether this is the MAC of `content` under `password`; compared in constant time.
    pub(super) fn verify(&self, password: &Password<'_>, content: &[u8]) -> bool {
        hmac::verify(&self.key(password), content, &self.value).is_ok()
    }

    /// Whether it is the MAC under no password at all, which some programs write where others write an empty one.
    pub(super) fn verify_without_password(&self, content: &[u8]) -> bool {
        match &self.keying {
            Keying::Pkcs12 { salt, iterations } => {
                let key = self.derive(salt, *iterations, &[]);
                hmac::verify(&hmac::Key::new(self.hash.hmac(), &key), content, &self.value).is_ok()
            }
            Keying::Pbmac1(..) => false,
        }
    }

    fn key(&self, password: &Password<'_>) -> hmac::Key {
        let key = match &self.keying {
            Keying::Pkcs12 { salt, iterations } => self.derive(salt, *iterations, &password.bmp_string()),
            Keying::Pbmac1(derivation, length) => derivation.derive(password.utf8.as_bytes(), *length),
        };
        hmac::Key::new(self.hash.hmac(), &key)
    }

    /// RFC 7292 appendix B.2, for a key as long as the hash: then one round is all of it, and its steps 6 B and C,
    /// which mix the result into the next round's input, never happen.
    fn derive(&self, salt: &[u8], iterations: NonZeroU32, password: &[u8]) -> Zeroizing<Vec<u8>> {
        /// Appendix B.3: the diversifier of a MAC key.
        const MAC_KEY: u8 = 3;
        let algorithm = self.hash.digest();
        let block = algorithm.block_len();
        let mut context = digest::Context::new(algorithm);
        context.update(&vec![MAC_KEY; block]);
        for part in [salt, password] {
            // Each is repeated until it fills whole blocks.
            let length = part.len().div_ceil(block) * block;
            let repeated: Zeroizing<Vec<u8>> =
                Zeroizing::new(part.iter().copied().cycle().take(length).collect());
            context.update(&repeated);
        }
        let mut key = Zeroizing::new(context.finish().as_ref().to_vec());
        for _ in 1..iterations.get() {
            let next = digest::digest(algorithm, &key);
            key.copy_from_slice(next.as_ref());
        }
        key
    }
}

fn read_pbmac1(identifier: &mut Reader<'_>) -> Result<(Hash, Pbkdf2, usize), SchemeError> {
    let mut parameters = identifier.nested(tag::SEQUENCE)?;
    identifier.finish()?;
    let derivation = Pbkdf2::read(parameters.expect(tag::SEQUENCE)?)?;
    let mut scheme = parameters.nested(tag::SEQUENCE)?;
    parameters.finish()?;
    let hash = match scheme.object_identifier()? {
        oid::HMAC_WITH_SHA256 => Hash::Sha256,
        oid::HMAC_WITH_SHA384 => Hash::Sha384,
        oid::HMAC_WITH_SHA512 => Hash::Sha512,
        other => return Err(SchemeError::Unsupported(format!("PBMAC1 with {}", algorithm_name(&other)))),
    };
    match derivation.key_length() {
        Some(length) if PBMAC1_KEY_LENGTHS.contains(&length) => Ok((hash, derivation, length)),
        _ => Err(SchemeError::Unsupported("PBMAC1 with a key length that RFC 9579 forbids".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn pbmac1(key_length: u8) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(&Oid::from_dotted("1.2.840.113549.1.5.14").unwrap());
                    w.nested(tag::SEQUENCE, |w| {
                        w.nested(tag::SEQUENCE, |w| {
                            w.object_identifier(&oid::PBKDF2);
                            w.nested(tag::SEQUENCE, |w| {
                                w.primitive(tag::OCTET_STRING, b"salt");
                                w.integer(&[0x10, 0]);
                                w.integer(&[key_length]);
                                w.nested(tag::SEQUENCE, |w| {
                                    w.object_identifier(&oid::HMAC_WITH_SHA256);
                                    w.null();
                                });
                            });
                        });
                        w.nested(tag::SEQUENCE, |w| {
                            w.object_identifier(&oid::HMAC_WITH_SHA256);
                            w.null();
                        });
                    });
                });
                // HMAC-SHA-256 over "content" with the PBKDF2-HMAC-SHA-256 key of 32 octets for "password", "salt" and
                // 4096 iterations, c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a.
                w.primitive(tag::OCTET_STRING, &PBMAC1_VALUE);
            });
            w.primitive(tag::OCTET_STRING, b"ignored");
        });
        writer.into_bytes()
    }

    const PBMAC1_VALUE: [u8; 32] = [
        0xe7, 0x5d, 0xa9, 0xa2, 0xc3, 0x8e, 0xda, 0xab, 0xc6, 0x5a, 0xe3, 0x46, 0x30, 0x0c, 0x7f, 0xd4, 0x02,
        0xf2, 0x18, 0xa9, 0xb9, 0x01, 0xae, 0x1b, 0x81, 0x48, 0xe1, 0xe0, 0x00, 0x18, 0xc1, 0xda,
    ];

    #[test]
    fn pbmac1_is_verified() {
        let der = pbmac1(32);
        let mac = Mac::read(Reader::new(&der).any().unwrap()).unwrap();
        assert!(mac.verify(&Password { utf8: "password" }, b"content"));
        assert!(!mac.verify(&Password { utf8: "passwore" }, b"content"));
        assert!(!mac.verify(&Password { utf8: "password" }, b"contents"));
    }

    #[test]
    fn pbmac1_with_a_short_key_is_refused() {
        let der = pbmac1(8);
        let error = Mac::read(Reader::new(&der).any().unwrap()).unwrap_err();
        assert!(matches!(error, SchemeError::Unsupported(_)), "{error:?}");
    }

    #[test]
    fn a_mac_is_bound_to_password_salt_iterations_and_content() {
        let iterations = NonZeroU32::new(5).unwrap();
        let made = Mac::make(&Password { utf8: "pässword" }, b"salt".to_vec(), iterations, b"content");
        let mut writer = Writer::new();
        made.write(&mut writer);
        let der = writer.into_bytes();
        let read = Mac::read(Reader::new(&der).any().unwrap()).unwrap();
        assert_eq!(read, made);
        assert!(read.verify(&Password { utf8: "pässword" }, b"content"));
        assert!(!read.verify(&Password { utf8: "password" }, b"content"));
        assert!(!read.verify(&Password { utf8: "pässword" }, b"Content"));
        let other = Mac::make(&Password { utf8: "pässword" }, b"salT".to_vec(), iterations, b"content");
        assert_ne!(other.value, made.value);
    }
}
