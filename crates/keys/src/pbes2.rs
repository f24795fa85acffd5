//! Password-based encryption, scheme 2 (PBES2, RFC 8018 section 6.2): PBKDF2 and AES-CBC, shared by encrypted
//! PKCS#8 and PKCS#12. The older schemes are recognised, named, and refused.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use pki::der::{DerError, Reader, Tlv, Writer, tag};
use pki::oid::{self, Oid};
use zeroize::{Zeroize, Zeroizing};

use crate::random;

/// The most iterations that are computed for somebody else's file: some seconds of one core. RFC 8018 sets no
/// limit, so without one a file of 100 bytes could keep a process busy for an hour.
pub(crate) const ITERATION_LIMIT: u32 = 10_000_000;

/// Octets of the salt and of the initialization vector that are written. RFC 8018 section 4.1 wants 8 and more.
pub(crate) const SALT_LENGTH: usize = 16;
const BLOCK_LENGTH: usize = 16;

/// Why an encryption scheme cannot be undone here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SchemeError {
    #[error(transparent)]
    Der(#[from] DerError),
    /// The scheme, as people know it.
    #[error("{0}")]
    Unsupported(String),
    #[error("{0} iterations")]
    Iterations(u64),
}

/// The cryptographic library failed, or the padding was wrong: with a wrong passphrase it nearly always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CipherFailed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prf {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cipher {
    Aes128,
    Aes192,
    Aes256,
}

impl Cipher {
    fn algorithm(self) -> &'static Algorithm {
        match self {
            Cipher::Aes128 => &AES_128,
            Cipher::Aes192 => &AES_192,
            Cipher::Aes256 => &AES_256,
        }
    }

    fn key_length(self) -> usize {
        match self {
            Cipher::Aes128 => 16,
            Cipher::Aes192 => 24,
            Cipher::Aes256 => 32,
        }
    }
}

/// The key derivation: PBKDF2 (RFC 8018 section 5.2) with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pbkdf2 {
    prf: Prf,
    iterations: NonZeroU32,
    salt: Vec<u8>,
    key_length: Option<usize>,
}

impl Pbkdf2 {
    /// Reads the AlgorithmIdentifier of a key derivation function.
    pub(crate) fn read(identifier: Tlv<'_>) -> Result<Self, SchemeError> {
        let mut identifier = identifier.reader();
        let function = identifier.object_identifier()?;
        if function != oid::PBKDF2 {
            return Err(SchemeError::Unsupported(algorithm_name(&function)));
        }
        let mut parameters = identifier.nested(tag::SEQUENCE)?;
        identifier.finish()?;
        if parameters.peek() == Some(tag::SEQUENCE) {
            return Err(SchemeError::Unsupported("PBKDF2 with a salt from elsewhere".to_owned()));
        }
        let salt = parameters.expect(tag::OCTET_STRING)?.content.to_vec();
        let iterations = read_iterations(&mut parameters)?;
        let key_length = match parameters.peek() {
            Some(tag::INTEGER) => Some(parameters.small_integer("PBKDF2 key length")? as usize),
            _ => None,
        };
        let prf = match parameters.optional(tag::SEQUENCE)? {
            // RFC 8018 appendix A.2: the default is HMAC-SHA-1.
            None => Prf::Sha1,
            Some(algorithm) => {
                let mut reader = algorithm.reader();
                match reader.object_identifier()? {
                    oid::HMAC_WITH_SHA1 => Prf::Sha1,
                    oid::HMAC_WITH_SHA256 => Prf::Sha256,
                    oid::HMAC_WITH_SHA384 => Prf::Sha384,
                    oid::HMAC_WITH_SHA512 => Prf::Sha512,
                    other => {
                        return Err(SchemeError::Unsupported(format!(
                            "PBKDF2 with {}",
                            algorithm_name(&other)
                        )));
                    }
                }
            }
        };
        parameters.finish()?;
        Ok(Pbkdf2 { prf, iterations, salt, key_length })
    }

    pub(crate) fn iterations(&self) -> u32 {
        self.iterations.get()
    }

    pub(crate) fn key_length(&self) -> Option<usize> {
        self.key_length
    }

    pub(crate) fn derive(&self, passphrase: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
        let algorithm = match self.prf {
            Prf::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Prf::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Prf::Sha384 => pbkdf2::PBKDF2_HMAC_SHA384,
            Prf::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut key = Zeroizing::new(vec![0; length]);
        pbkdf2::derive(algorithm, self.iterations, &self.salt, passphrase, &mut key);
        key
    }

    pub(crate) fn describe(&self) -> String {
        let hash = match self.prf {
            Prf::Sha1 => "SHA-1",
            Prf::Sha256 => "SHA-256",
            Prf::Sha384 => "SHA-384",
            Prf::Sha512 => "SHA-512",
        };
        format!("PBKDF2 with HMAC-{hash} and {} iterations", self.iterations)
    }
}

/// An iteration count: at least 1, at most [`ITERATION_LIMIT`].
pub(crate) fn read_iterations(reader: &mut Reader<'_>) -> Result<NonZeroU32, SchemeError> {
    let offset = reader.offset();
    let content = reader.integer()?;
    if content[0] & 0x80 != 0 {
        return Err(DerError::Value { what: "iteration count", offset }.into());
    }
    let count = content.iter().fold(0u64, |value, byte| value.saturating_mul(256) | u64::from(*byte));
    if count > u64::from(ITERATION_LIMIT) {
        return Err(SchemeError::Iterations(count));
    }
    // At most ITERATION_LIMIT, so the cast keeps the value.
    NonZeroU32::new(count as u32).ok_or(DerError::Value { what: "iteration count", offset }.into())
}

/// A PBES2 scheme with its parameters: everything but the passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pbes2 {
    derivation: Pbkdf2,
    cipher: Cipher,
    initialization_vector: [u8; BLOCK_LENGTH],
}

impl Pbes2 {
    /// What is written: PBKDF2-HMAC-SHA-256 and AES-256-CBC, with a fresh salt and initialization vector.
    pub(crate) fn generate(iterations: NonZeroU32) -> Result<Self, random::RandomError> {
        Ok(Pbes2 {
            derivation: Pbkdf2 {
                prf: Prf::Sha256,
                iterations,
                salt: random::random_bytes::<SALT_LENGTH>()?.to_vec(),
                key_length: None,
            },
            cipher: Cipher::Aes256,
            initialization_vector: random::random_bytes()?,
        })
    }

    /// Reads an encryption AlgorithmIdentifier.
    pub(crate) fn read(identifier: Tlv<'_>) -> Result<Self, SchemeError> {
        let mut identifier = identifier.reader();
        let scheme = identifier.object_identifier()?;
        if scheme != oid::PBES2 {
            return Err(SchemeError::Unsupported(algorithm_name(&scheme)));
        }
        let mut parameters = identifier.nested(tag::SEQUENCE)?;
        identifier.finish()?;
        let derivation = parameters.expect(tag::SEQUENCE)?;
        let mut encryption = parameters.nested(tag::SEQUENCE)?;
        parameters.finish()?;
        let cipher = match encryption.object_identifier()? {
            oid::AES_128_CBC => Cipher::Aes128,
            oid::AES_192_CBC => Cipher::Aes192,
            oid::AES_256_CBC => Cipher::Aes256,
            other => return Err(SchemeError::Unsupported(algorithm_name(&other))),
        };
        let derivation = Pbkdf2::read(derivation)?;
        let vector = encryption.expect(tag::OCTET_STRING)?;
        encryption.finish()?;
        let malformed = |what| SchemeError::Der(DerError::Value { what, offset: vector.content_offset });
        let initialization_vector =
            vector.content.try_into().map_err(|_| malformed("AES initialization vector"))?;
        if derivation.key_length.is_some_and(|length| length != cipher.key_length()) {
            return Err(malformed("PBKDF2 key length"));
        }
        Ok(Pbes2 { derivation, cipher, initialization_vector })
    }

    /// Writes the encryption AlgorithmIdentifier. Only what [`Pbes2::generate`] makes is ever written.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::PBES2);
            w.nested(tag::SEQUENCE, |w| {
                w.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(&oid::PBKDF2);
                    w.nested(tag::SEQUENCE, |w| {
                        w.primitive(tag::OCTET_STRING, &self.derivation.salt);
                        w.integer(&self.derivation.iterations.get().to_be_bytes());
                        w.nested(tag::SEQUENCE, |w| {
                            w.object_identifier(&oid::HMAC_WITH_SHA256);
                            w.null();
                        });
                    });
                });
                w.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(&oid::AES_256_CBC);
                    w.primitive(tag::OCTET_STRING, &self.initialization_vector);
                });
            });
        });
    }

    pub(crate) fn iterations(&self) -> u32 {
        self.derivation.iterations()
    }

    pub(crate) fn describe(&self) -> String {
        let bits = self.cipher.key_length() * 8;
        format!("PBES2: {}, AES-{bits}-CBC", self.derivation.describe())
    }

    pub(crate) fn encrypt(&self, passphrase: &[u8], plain: &[u8]) -> Result<Vec<u8>, CipherFailed> {
        let key = self.derivation.derive(passphrase, self.cipher.key_length());
        // Room for the padding, so that the plain text is never moved to other memory.
        let mut buffer = Zeroizing::new(Vec::with_capacity(plain.len() + BLOCK_LENGTH));
        buffer.extend_from_slice(plain);
        let context = EncryptionContext::Iv128(FixedLength::from(&self.initialization_vector));
        UnboundCipherKey::new(self.cipher.algorithm(), &key)
            .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
            .and_then(|key| key.less_safe_encrypt(&mut *buffer, context))
            .map_err(|_| CipherFailed)?;
        Ok(std::mem::take(&mut *buffer))
    }

    pub(crate) fn decrypt(
        &self,
        passphrase: &[u8],
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CipherFailed> {
        if encrypted.is_empty() || !encrypted.len().is_multiple_of(BLOCK_LENGTH) {
            return Err(CipherFailed);
        }
        let key = self.derivation.derive(passphrase, self.cipher.key_length());
        let mut buffer = Zeroizing::new(encrypted.to_vec());
        let context = DecryptionContext::Iv128(FixedLength::from(&self.initialization_vector));
        let length = UnboundCipherKey::new(self.cipher.algorithm(), &key)
            .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
            .and_then(|key| key.decrypt(&mut buffer, context).map(|plain| plain.len()))
            .map_err(|_| CipherFailed)?;
        buffer[length..].zeroize();
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// What people call an algorithm; those that nothing else in countersign needs are named here.
pub(crate) fn algorithm_name(algorithm: &Oid) -> String {
    const OLD: [(&str, &str); 12] = [
        ("1.2.840.113549.1.5.3", "pbeWithMD5AndDES-CBC"),
        ("1.2.840.113549.1.5.6", "pbeWithMD5AndRC2-CBC"),
        ("1.2.840.113549.1.5.10", "pbeWithSHA1AndDES-CBC"),
        ("1.2.840.113549.1.5.11", "pbeWithSHA1AndRC2-CBC"),
        ("1.2.840.113549.1.5.14", "PBMAC1"),
        ("1.2.840.113549.1.12.1.1", "pbeWithSHAAnd128BitRC4"),
        ("1.2.840.113549.1.12.1.2", "pbeWithSHAAnd40BitRC4"),
        ("1.2.840.113549.1.12.1.4", "pbeWithSHAAnd2-KeyTripleDES-CBC"),
        ("1.2.840.113549.1.12.1.5", "pbeWithSHAAnd128BitRC2-CBC"),
        ("1.2.840.113549.2.8", "hmacWithSHA224"),
        ("1.2.840.113549.3.2", "RC2-CBC"),
        ("1.3.14.3.2.7", "DES-CBC"),
    ];
    let dotted = algorithm.dotted();
    match OLD.iter().find(|(number, _)| *number == dotted) {
        Some((_, name)) => (*name).to_owned(),
        None => algorithm.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn scheme(iterations: u32) -> Pbes2 {
        Pbes2::generate(NonZeroU32::new(iterations).unwrap()).unwrap()
    }

    fn identifier(write: impl FnOnce(&mut Writer)) -> Result<Pbes2, SchemeError> {
        let mut writer = Writer::new();
        write(&mut writer);
        Pbes2::read(Reader::new(&writer.into_bytes()).any().unwrap())
    }

    #[test]
    fn what_is_encrypted_is_decrypted_by_its_own_parameters() {
        for length in [0, 1, 15, 16, 17, 5000] {
            let plain = vec![7; length];
            let made = scheme(3);
            let encrypted = made.encrypt(b"pass", &plain).unwrap();
            let read = identifier(|w| made.write(w)).unwrap();
            assert_eq!(read, made);
            assert_eq!(*read.decrypt(b"pass", &encrypted).unwrap(), plain);
            assert_ne!(read.decrypt(b"Pass", &encrypted).ok().as_deref(), Some(&plain));
        }
    }

    #[test]
    fn salt_and_vector_are_fresh_each_time() {
        let (one, other) = (scheme(1), scheme(1));
        assert_ne!(one.derivation.salt, other.derivation.salt);
        assert_ne!(one.initialization_vector, other.initialization_vector);
    }

    #[test]
    fn iterations_above_the_limit_are_refused_before_they_are_computed() {
        let most = scheme(ITERATION_LIMIT);
        assert_eq!(identifier(|w| most.write(w)), Ok(most));
        let above = scheme(ITERATION_LIMIT + 1);
        let error = identifier(|w| above.write(w));
        assert_eq!(error, Err(SchemeError::Iterations(u64::from(ITERATION_LIMIT) + 1)));
    }

    #[test]
    fn zero_and_negative_iterations_are_malformed() {
        for content in [&[0u8][..], &[0xff]] {
            let mut writer = Writer::new();
            writer.primitive(tag::INTEGER, content);
            let bytes = writer.into_bytes();
            let error = read_iterations(&mut Reader::new(&bytes));
            assert!(matches!(error, Err(SchemeError::Der(DerError::Value { .. }))), "{error:?}");
        }
    }

    #[test]
    fn an_iteration_count_of_a_thousand_octets_is_refused_not_wrapped() {
        let mut writer = Writer::new();
        writer.integer(&[0x7f; 1000]);
        let error = read_iterations(&mut Reader::new(&writer.into_bytes()));
        assert_eq!(error, Err(SchemeError::Iterations(u64::MAX)));
    }
}
