//! Password-based encryption, scheme 2 (PBES2, RFC 8018 section 6.2), shared by encrypted PKCS#8 and PKCS#12: PBKDF2 or
//! scrypt (RFC 7914), and AES-CBC; Triple DES is read as well. What costs too much to open is refused before a single
//! iteration is computed.

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

use crate::old_cipher::{self, OldCipher};
use crate::random;

/// The most iterations that are computed for somebody else's file: RFC 8018 sets no limit, so without one a file of 100
/// bytes could keep a process busy for an hour. A million of PBKDF2-HMAC-SHA-256 take 0.44 s of one core of 2026, and the
/// most that is known to be written is 1.8 million, by NSS.
pub(crate) const ITERATION_LIMIT: u32 = 2_000_000;

/// The most octets that scrypt may use (its 128·N·r): twice what OpenSSL reads without being told to.
const SCRYPT_MEMORY_LIMIT: u64 = 64 << 20;

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
    /// The octets of memory that scrypt would use.
    #[error("{0} octets of memory")]
    Memory(u64),
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
    /// Read, never written: OpenSSL before 1.1 wrote it where it was asked for PBES2.
    TripleDes,
}

impl Cipher {
    /// AWS-LC's cipher, where it is one.
    fn algorithm(self) -> Option<&'static Algorithm> {
        match self {
            Cipher::Aes128 => Some(&AES_128),
            Cipher::Aes192 => Some(&AES_192),
            Cipher::Aes256 => Some(&AES_256),
            Cipher::TripleDes => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Cipher::Aes128 => "AES-128-CBC",
            Cipher::Aes192 => "AES-192-CBC",
            Cipher::Aes256 => "AES-256-CBC",
            Cipher::TripleDes => "des-EDE3-CBC",
        }
    }

    fn key_length(self) -> usize {
        match self {
            Cipher::Aes128 => 16,
            Cipher::Aes192 | Cipher::TripleDes => 24,
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
        let read = Pbkdf2 { prf, iterations, salt, key_length };
        if read.cost() > u64::from(ITERATION_LIMIT) {
            return Err(SchemeError::Iterations(u64::from(iterations.get())));
        }
        Ok(read)
    }

    /// What it takes, in iterations with SHA-256: one with SHA-384 or SHA-512 takes twice as long.
    pub(crate) fn cost(&self) -> u64 {
        let weight = match self.prf {
            Prf::Sha1 | Prf::Sha256 => 1,
            Prf::Sha384 | Prf::Sha512 => 2,
        };
        u64::from(self.iterations.get()) * weight
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

    /// Writes the AlgorithmIdentifier's content. Only what [`Pbes2::generate`] makes is ever written.
    fn write(&self, writer: &mut Writer) {
        writer.object_identifier(&oid::PBKDF2);
        writer.nested(tag::SEQUENCE, |w| {
            w.primitive(tag::OCTET_STRING, &self.salt);
            w.integer(&self.iterations.get().to_be_bytes());
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(&oid::HMAC_WITH_SHA256);
                w.null();
            });
        });
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

/// The key derivation scrypt with its parameters (RFC 7914 section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scrypt {
    salt: Vec<u8>,
    log_n: u8,
    r: u32,
    p: u32,
    key_length: Option<usize>,
}

impl Scrypt {
    /// What is written: 16 MiB and five passes, one of the equivalent choices of OWASP's Password Storage Cheat Sheet (2023),
    /// and the largest memory that OpenSSL reads without being told to.
    fn generate() -> Result<Self, random::RandomError> {
        let salt = random::random_bytes::<SALT_LENGTH>()?.to_vec();
        Ok(Scrypt { salt, log_n: 14, r: 8, p: 5, key_length: None })
    }

    /// Reads the parameters; refuses what takes more memory or time than any honest file.
    fn read(parameters: &mut Reader<'_>) -> Result<Self, SchemeError> {
        let salt = parameters.expect(tag::OCTET_STRING)?.content.to_vec();
        let offset = parameters.offset();
        let [n, r, p] = [read_count(parameters)?, read_count(parameters)?, read_count(parameters)?];
        let key_length = match parameters.peek() {
            Some(tag::INTEGER) => Some(parameters.small_integer("scrypt key length")? as usize),
            _ => None,
        };
        parameters.finish()?;
        if !n.is_power_of_two() || n == 1 || r == 0 || p == 0 {
            return Err(DerError::Value { what: "scrypt parameters", offset }.into());
        }
        let memory = n.saturating_mul(r).saturating_mul(128).max(r.saturating_mul(p).saturating_mul(128));
        if memory > SCRYPT_MEMORY_LIMIT {
            return Err(SchemeError::Memory(memory));
        }
        let cost = n.saturating_mul(r).saturating_mul(p);
        if cost > u64::from(ITERATION_LIMIT) {
            return Err(SchemeError::Iterations(cost));
        }
        // Both are below the memory limit, and the logarithm of a u64 below 64: the casts keep the values.
        Ok(Scrypt { salt, log_n: n.trailing_zeros() as u8, r: r as u32, p: p as u32, key_length })
    }

    /// The time of one of its steps is that of an iteration of PBKDF2-HMAC-SHA-256, within a factor of two.
    fn cost(&self) -> u64 {
        (u64::from(self.r) * u64::from(self.p)) << self.log_n
    }

    fn derive(&self, passphrase: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, CipherFailed> {
        let parameters = scrypt::Params::new(self.log_n, self.r, self.p).map_err(|_| CipherFailed)?;
        let mut key = Zeroizing::new(vec![0; length]);
        scrypt::scrypt(passphrase, &self.salt, &parameters, &mut key).map_err(|_| CipherFailed)?;
        Ok(key)
    }

    fn write(&self, writer: &mut Writer) {
        writer.object_identifier(&oid::SCRYPT);
        writer.nested(tag::SEQUENCE, |w| {
            w.primitive(tag::OCTET_STRING, &self.salt);
            w.integer(&(1u64 << self.log_n).to_be_bytes());
            w.integer(&self.r.to_be_bytes());
            w.integer(&self.p.to_be_bytes());
        });
    }
}

/// A count of any size that is not negative; one beyond 64 bits is the largest of them.
fn read_count(reader: &mut Reader<'_>) -> Result<u64, DerError> {
    let offset = reader.offset();
    let content = reader.integer()?;
    if content[0] & 0x80 != 0 {
        return Err(DerError::Value { what: "count", offset });
    }
    Ok(content.iter().fold(0u64, |value, byte| value.saturating_mul(256).saturating_add(u64::from(*byte))))
}

/// How a passphrase becomes a key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Derivation {
    Pbkdf2(Pbkdf2),
    Scrypt(Scrypt),
}

impl Derivation {
    fn read(identifier: Tlv<'_>) -> Result<Self, SchemeError> {
        let mut reader = identifier.reader();
        if reader.object_identifier()? != oid::SCRYPT {
            return Pbkdf2::read(identifier).map(Derivation::Pbkdf2);
        }
        let mut parameters = reader.nested(tag::SEQUENCE)?;
        reader.finish()?;
        Scrypt::read(&mut parameters).map(Derivation::Scrypt)
    }

    fn key_length(&self) -> Option<usize> {
        match self {
            Derivation::Pbkdf2(derivation) => derivation.key_length,
            Derivation::Scrypt(derivation) => derivation.key_length,
        }
    }

    fn derive(&self, passphrase: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, CipherFailed> {
        match self {
            Derivation::Pbkdf2(derivation) => Ok(derivation.derive(passphrase, length)),
            Derivation::Scrypt(derivation) => derivation.derive(passphrase, length),
        }
    }
}

/// A PBES2 scheme with its parameters: everything but the passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pbes2 {
    derivation: Derivation,
    cipher: Cipher,
    initialization_vector: Vec<u8>,
}

impl Pbes2 {
    /// What is written: PBKDF2-HMAC-SHA-256 and AES-256-CBC, with a fresh salt and initialization vector.
    pub(crate) fn generate(iterations: NonZeroU32) -> Result<Self, random::RandomError> {
        let salt = random::random_bytes::<SALT_LENGTH>()?.to_vec();
        Self::under(Derivation::Pbkdf2(Pbkdf2 { prf: Prf::Sha256, iterations, salt, key_length: None }))
    }

    /// The same under scrypt.
    pub(crate) fn generate_with_scrypt() -> Result<Self, random::RandomError> {
        Self::under(Derivation::Scrypt(Scrypt::generate()?))
    }

    fn under(derivation: Derivation) -> Result<Self, random::RandomError> {
        let initialization_vector = random::random_bytes::<BLOCK_LENGTH>()?.to_vec();
        Ok(Pbes2 { derivation, cipher: Cipher::Aes256, initialization_vector })
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
            oid::DES_EDE3_CBC => Cipher::TripleDes,
            other => return Err(SchemeError::Unsupported(algorithm_name(&other))),
        };
        let derivation = Derivation::read(derivation)?;
        let vector = encryption.expect(tag::OCTET_STRING)?;
        encryption.finish()?;
        let malformed = |what| SchemeError::Der(DerError::Value { what, offset: vector.content_offset });
        let block = if cipher == Cipher::TripleDes { old_cipher::BLOCK_LENGTH } else { BLOCK_LENGTH };
        if vector.content.len() != block {
            return Err(malformed("initialization vector"));
        }
        if derivation.key_length().is_some_and(|length| length != cipher.key_length()) {
            return Err(malformed("length of the derived key"));
        }
        Ok(Pbes2 { derivation, cipher, initialization_vector: vector.content.to_vec() })
    }

    /// Writes the encryption AlgorithmIdentifier. Only what [`Pbes2::generate`] makes is ever written.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::PBES2);
            w.nested(tag::SEQUENCE, |w| {
                w.nested(tag::SEQUENCE, |w| match &self.derivation {
                    Derivation::Pbkdf2(derivation) => derivation.write(w),
                    Derivation::Scrypt(derivation) => derivation.write(w),
                });
                w.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(&oid::AES_256_CBC);
                    w.primitive(tag::OCTET_STRING, &self.initialization_vector);
                });
            });
        });
    }

    /// The iterations of PBKDF2, or the N of scrypt.
    pub(crate) fn iterations(&self) -> u32 {
        match &self.derivation {
            Derivation::Pbkdf2(derivation) => derivation.iterations(),
            Derivation::Scrypt(derivation) => 1 << derivation.log_n,
        }
    }

    /// What opening it takes, in iterations of PBKDF2-HMAC-SHA-256.
    pub(crate) fn cost(&self) -> u64 {
        match &self.derivation {
            Derivation::Pbkdf2(derivation) => derivation.cost(),
            Derivation::Scrypt(derivation) => derivation.cost(),
        }
    }

    pub(crate) fn describe(&self) -> String {
        let derivation = match &self.derivation {
            Derivation::Pbkdf2(derivation) => derivation.describe(),
            Derivation::Scrypt(Scrypt { log_n, r, p, .. }) => {
                format!("scrypt with N={}, r={r}, p={p}", 1u64 << log_n)
            }
        };
        format!("PBES2: {derivation}, {}", self.cipher.name())
    }

    pub(crate) fn encrypt(&self, passphrase: &[u8], plain: &[u8]) -> Result<Vec<u8>, CipherFailed> {
        let key = self.derivation.derive(passphrase, self.cipher.key_length())?;
        let Some(algorithm) = self.cipher.algorithm() else {
            return OldCipher::TripleDes.encrypt(&key, &self.initialization_vector, plain);
        };
        // Room for the padding, so that the plain text is never moved to other memory.
        let mut buffer = Zeroizing::new(Vec::with_capacity(plain.len() + BLOCK_LENGTH));
        buffer.extend_from_slice(plain);
        let context = EncryptionContext::Iv128(self.vector()?);
        UnboundCipherKey::new(algorithm, &key)
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
        if encrypted.is_empty() || !encrypted.len().is_multiple_of(old_cipher::BLOCK_LENGTH) {
            return Err(CipherFailed);
        }
        let key = self.derivation.derive(passphrase, self.cipher.key_length())?;
        let Some(algorithm) = self.cipher.algorithm() else {
            return OldCipher::TripleDes.decrypt(&key, &self.initialization_vector, encrypted);
        };
        let mut buffer = Zeroizing::new(encrypted.to_vec());
        let context = DecryptionContext::Iv128(self.vector()?);
        let length = UnboundCipherKey::new(algorithm, &key)
            .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
            .and_then(|key| key.decrypt(&mut buffer, context).map(|plain| plain.len()))
            .map_err(|_| CipherFailed)?;
        buffer[length..].zeroize();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// The initialization vector of AES; a scheme with another cipher has a shorter one.
    fn vector(&self) -> Result<FixedLength<BLOCK_LENGTH>, CipherFailed> {
        <&[u8; BLOCK_LENGTH]>::try_from(&self.initialization_vector[..])
            .map(FixedLength::from)
            .map_err(|_| CipherFailed)
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
        assert_ne!(one.derivation, other.derivation);
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
    fn scrypt_is_written_and_read_and_its_vectors_are_met() {
        let made = Pbes2::generate_with_scrypt().unwrap();
        assert_eq!(made.describe(), "PBES2: scrypt with N=16384, r=8, p=5, AES-256-CBC");
        let read = identifier(|w| made.write(w)).unwrap();
        assert_eq!(read, made);
        let encrypted = made.encrypt(b"pass", b"plain").unwrap();
        assert_eq!(*read.decrypt(b"pass", &encrypted).unwrap(), b"plain");
        // RFC 7914 section 12, the second vector.
        let vector = Scrypt { salt: b"NaCl".to_vec(), log_n: 10, r: 8, p: 16, key_length: None };
        let key = vector.derive(b"password", 64).unwrap();
        assert!(pki::hex(&key).starts_with("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830"));
    }

    #[test]
    fn scrypt_that_takes_too_much_memory_or_time_is_refused_before_it_is_computed() {
        let with = |n: u64, r: u64, p: u64| {
            let mut writer = Writer::new();
            writer.primitive(tag::OCTET_STRING, b"salt");
            [n, r, p].iter().for_each(|count| writer.integer(&count.to_be_bytes()));
            Scrypt::read(&mut Reader::new(&writer.into_bytes()))
        };
        assert!(with(1 << 14, 8, 5).is_ok() && with(1 << 16, 8, 1).is_ok());
        assert_eq!(with(1 << 17, 8, 1), Err(SchemeError::Memory(128 << 20)));
        assert_eq!(with(1 << 63, 1 << 40, 1 << 62), Err(SchemeError::Memory(u64::MAX)));
        assert_eq!(with(2, 1, 1 << 31), Err(SchemeError::Memory(128 << 31)));
        assert_eq!(with(1 << 16, 8, 16), Err(SchemeError::Iterations(1 << 23)));
        for (n, r, p) in [(0, 8, 1), (1, 8, 1), (1000, 8, 1), (1024, 0, 1), (1024, 8, 0)] {
            assert!(matches!(with(n, r, p), Err(SchemeError::Der(_))), "{n} {r} {p}");
        }
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
