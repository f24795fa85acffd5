//! The encryption schemes of PKCS#12 itself (RFC 7292 appendix C): a key by the derivation of appendix B, and Triple DES
//! or RC2. Old PKCS#12 files and some encrypted PKCS#8 have them. RC4 is not among what is read: nothing is known to
//! write it.

use std::num::NonZeroU32;

use aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
use pki::der::{DerError, Reader, Tlv, Writer, tag};
use pki::oid::{self, Oid};
use zeroize::Zeroizing;

use crate::old_cipher::{BLOCK_LENGTH, OldCipher};
use crate::password::Password;
use crate::pbes2::{CipherFailed, SchemeError, algorithm_name, read_iterations};
use crate::pkcs12_derivation::{Purpose, derive};
use crate::random;

/// Octets of the salt that is written: what old importers expect.
const SALT_LENGTH: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    TripleDes3,
    TripleDes2,
    Rc2With128Bits,
    Rc2With40Bits,
}

impl Kind {
    fn named(algorithm: &Oid) -> Option<Self> {
        match *algorithm {
            oid::PBE_SHA1_3DES => Some(Kind::TripleDes3),
            oid::PBE_SHA1_RC2_40 => Some(Kind::Rc2With40Bits),
            other => match other.dotted().as_str() {
                "1.2.840.113549.1.12.1.4" => Some(Kind::TripleDes2),
                "1.2.840.113549.1.12.1.5" => Some(Kind::Rc2With128Bits),
                _ => None,
            },
        }
    }

    fn cipher(self) -> OldCipher {
        match self {
            Kind::TripleDes3 | Kind::TripleDes2 => OldCipher::TripleDes,
            Kind::Rc2With128Bits | Kind::Rc2With40Bits => OldCipher::Rc2,
        }
    }

    fn key_length(self) -> usize {
        match self {
            Kind::TripleDes3 => 24,
            Kind::TripleDes2 | Kind::Rc2With128Bits => 16,
            Kind::Rc2With40Bits => 5,
        }
    }
}

/// One of the schemes, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pkcs12Encryption {
    kind: Kind,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl Pkcs12Encryption {
    /// What is written for old importers: Triple DES with three keys, and a fresh salt.
    pub(crate) fn generate(iterations: NonZeroU32) -> Result<Self, random::RandomError> {
        let salt = random::random_bytes::<SALT_LENGTH>()?.to_vec();
        Ok(Pkcs12Encryption { kind: Kind::TripleDes3, salt, iterations })
    }

    /// Reads an encryption AlgorithmIdentifier; `Unsupported` for any other scheme.
    pub(crate) fn read(identifier: Tlv<'_>) -> Result<Self, SchemeError> {
        let mut identifier = identifier.reader();
        let algorithm = identifier.object_identifier()?;
        let kind =
            Kind::named(&algorithm).ok_or_else(|| SchemeError::Unsupported(algorithm_name(&algorithm)))?;
        let mut parameters = identifier.nested(tag::SEQUENCE)?;
        identifier.finish()?;
        let salt = parameters.expect(tag::OCTET_STRING)?;
        if salt.content.is_empty() {
            return Err(DerError::Value { what: "salt", offset: salt.content_offset }.into());
        }
        let iterations = read_iterations(&mut parameters)?;
        parameters.finish()?;
        Ok(Pkcs12Encryption { kind, salt: salt.content.to_vec(), iterations })
    }

    /// Writes the encryption AlgorithmIdentifier. Only what [`Pkcs12Encryption::generate`] makes is ever written.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::PBE_SHA1_3DES);
            w.nested(tag::SEQUENCE, |w| {
                w.primitive(tag::OCTET_STRING, &self.salt);
                w.integer(&self.iterations.get().to_be_bytes());
            });
        });
    }

    pub(crate) fn iterations(&self) -> u32 {
        self.iterations.get()
    }

    /// What opening it takes, in iterations of PBKDF2-HMAC-SHA-256, which are two hashes each; here an iteration is one, for
    /// each block of SHA-1 of the key and one for the initialization vector. NSS writes 600,000.
    pub(crate) fn cost(&self) -> u64 {
        let blocks = self.kind.key_length().div_ceil(SHA1_FOR_LEGACY_USE_ONLY.output_len()) + 1;
        (u64::from(self.iterations()) * blocks as u64).div_ceil(2)
    }

    pub(crate) fn describe(&self) -> String {
        let name = match self.kind {
            Kind::TripleDes3 => "pbeWithSHAAnd3-KeyTripleDES-CBC",
            Kind::TripleDes2 => "pbeWithSHAAnd2-KeyTripleDES-CBC",
            Kind::Rc2With128Bits => "pbeWithSHAAnd128BitRC2-CBC",
            Kind::Rc2With40Bits => "pbeWithSHAAnd40BitRC2-CBC",
        };
        format!("{name} with {} iterations", self.iterations)
    }

    fn derive(&self, password: &Password<'_>) -> (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>) {
        let password = password.utf16();
        let derived = |purpose, length| {
            let hash = &SHA1_FOR_LEGACY_USE_ONLY;
            derive(hash, purpose, &password, &self.salt, self.iterations, length)
        };
        let mut key = derived(Purpose::Key, self.kind.key_length());
        if self.kind == Kind::TripleDes2 {
            // The first of the two keys is the third as well.
            key = Zeroizing::new([&key[..], &key[..8]].concat());
        }
        (key, derived(Purpose::InitializationVector, BLOCK_LENGTH))
    }

    pub(crate) fn encrypt(&self, password: &Password<'_>, plain: &[u8]) -> Result<Vec<u8>, CipherFailed> {
        let (key, initialization_vector) = self.derive(password);
        self.kind.cipher().encrypt(&key, &initialization_vector, plain)
    }

    pub(crate) fn decrypt(
        &self,
        password: &Password<'_>,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CipherFailed> {
        let (key, initialization_vector) = self.derive(password);
        self.kind.cipher().decrypt(&key, &initialization_vector, encrypted)
    }
}

/// Whatever password-based scheme something is encrypted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scheme {
    Pbes2(crate::pbes2::Pbes2),
    Pkcs12(Pkcs12Encryption),
}

impl Scheme {
    /// Reads an encryption AlgorithmIdentifier.
    pub(crate) fn read(identifier: Tlv<'_>) -> Result<Self, SchemeError> {
        let mut reader: Reader<'_> = identifier.reader();
        match reader.object_identifier()? {
            oid::PBES2 => crate::pbes2::Pbes2::read(identifier).map(Scheme::Pbes2),
            _ => Pkcs12Encryption::read(identifier).map(Scheme::Pkcs12),
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        match self {
            Scheme::Pbes2(scheme) => scheme.write(writer),
            Scheme::Pkcs12(scheme) => scheme.write(writer),
        }
    }

    /// The iterations to show; those of scrypt are N.
    pub(crate) fn iterations(&self) -> u32 {
        match self {
            Scheme::Pbes2(scheme) => scheme.iterations(),
            Scheme::Pkcs12(scheme) => scheme.iterations(),
        }
    }

    /// What opening it costs, in iterations of PBKDF2-HMAC-SHA-256.
    pub(crate) fn cost(&self) -> u64 {
        match self {
            Scheme::Pbes2(scheme) => scheme.cost(),
            Scheme::Pkcs12(scheme) => scheme.cost(),
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Scheme::Pbes2(scheme) => scheme.describe(),
            Scheme::Pkcs12(scheme) => scheme.describe(),
        }
    }

    pub(crate) fn encrypt(&self, password: &Password<'_>, plain: &[u8]) -> Result<Vec<u8>, CipherFailed> {
        match self {
            Scheme::Pbes2(scheme) => scheme.encrypt(password.octets(), plain),
            Scheme::Pkcs12(scheme) => scheme.encrypt(password, plain),
        }
    }

    pub(crate) fn decrypt(
        &self,
        password: &Password<'_>,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CipherFailed> {
        match self {
            Scheme::Pbes2(scheme) => scheme.decrypt(password.octets(), encrypted),
            Scheme::Pkcs12(scheme) => scheme.decrypt(password, encrypted),
        }
    }
}
