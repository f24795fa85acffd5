//! The integrity of a PKCS#12 file: MacData (RFC 7292 section 4), keyed by the derivation of its appendix B, or by
//! PBKDF2 as PBMAC1 has it (RFC 9579).

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac};
use pki::der::{Reader, Tlv, Writer, tag};
use pki::oid::{self, Oid};

use crate::password::Password;
use crate::pbes2::{Pbkdf2, SchemeError, algorithm_name, read_iterations};
use crate::pkcs12_derivation::{Purpose, derive};

/// RFC 9579 section 4 wants a MAC key of 20 octets or more; longer than any hash output has no use.
const PBMAC1_KEY_LENGTHS: std::ops::RangeInclusive<usize> = 20..=64;

/// The hash functions that MACs are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
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

    fn identifier(self) -> Oid {
        match self {
            Hash::Sha1 => oid::SHA1,
            Hash::Sha256 => oid::SHA256,
            Hash::Sha384 => oid::SHA384,
            Hash::Sha512 => oid::SHA512,
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
    /// The MAC of `content`, keyed by the derivation of appendix B.
    pub(super) fn make(
        hash: Hash,
        password: &Password<'_>,
        salt: Vec<u8>,
        iterations: NonZeroU32,
        content: &[u8],
    ) -> Self {
        let mut mac = Mac { hash, keying: Keying::Pkcs12 { salt, iterations }, value: Vec::new() };
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
                    w.object_identifier(&self.hash.identifier());
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

    /// What verifying it takes, in iterations of PBKDF2-HMAC-SHA-256.
    pub(super) fn cost(&self) -> u64 {
        match &self.keying {
            // One hash in place of two, and those of 512 bits take twice as long.
            Keying::Pkcs12 { iterations, .. } => match self.hash {
                Hash::Sha1 | Hash::Sha256 => u64::from(iterations.get()).div_ceil(2),
                Hash::Sha384 | Hash::Sha512 => u64::from(iterations.get()),
            },
            // A key longer than the hash is derived in two parts, each with all the iterations.
            Keying::Pbmac1(derivation, _) => derivation.cost() * 2,
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

    fn key(&self, password: &Password<'_>) -> hmac::Key {
        let key = match &self.keying {
            Keying::Pkcs12 { salt, iterations } => {
                let hash = self.hash.digest();
                derive(hash, Purpose::MacKey, &password.utf16(), salt, *iterations, hash.output_len())
            }
            Keying::Pbmac1(derivation, length) => derivation.derive(password.octets(), *length),
        };
        hmac::Key::new(self.hash.hmac(), &key)
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
        assert!(mac.verify(&Password::new(b"password"), b"content"));
        assert!(!mac.verify(&Password::new(b"passwore"), b"content"));
        assert!(!mac.verify(&Password::new(b"password"), b"contents"));
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
        let made = Mac::make(
            Hash::Sha256,
            &Password::new("pässword".as_bytes()),
            b"salt".to_vec(),
            iterations,
            b"content",
        );
        let mut writer = Writer::new();
        made.write(&mut writer);
        let der = writer.into_bytes();
        let read = Mac::read(Reader::new(&der).any().unwrap()).unwrap();
        assert_eq!(read, made);
        assert!(read.verify(&Password::new("pässword".as_bytes()), b"content"));
        assert!(!read.verify(&Password::new(b"password"), b"content"));
        assert!(!read.verify(&Password::new("pässword".as_bytes()), b"Content"));
        let other = Mac::make(
            Hash::Sha256,
            &Password::new("pässword".as_bytes()),
            b"salT".to_vec(),
            iterations,
            b"content",
        );
        assert_ne!(other.value, made.value);
    }
}
