//! Encrypted PKCS#8 (EncryptedPrivateKeyInfo, RFC 5958 section 3), in DER.
//!
//! Written with PBES2, AES-256-CBC and PBKDF2-HMAC-SHA-256, which OpenSSL, Node.js, Java and Go read, or on demand scrypt.
//! Read with PBKDF2 over HMAC-SHA-1, -256, -384 or -512, scrypt, AES-128, -192 or -256 and Triple DES in CBC mode, and with
//! the schemes of PKCS#12. Everything else is refused with the command that converts it.

use std::num::NonZeroU32;

use pki::der::{DerError, Reader, Writer, tag};
use zeroize::Zeroizing;

use crate::passphrase::Passphrase;
use crate::password::Password;
use crate::pbes2::{CipherFailed, ITERATION_LIMIT, Pbes2, SchemeError};
use crate::pkcs12_encryption::Scheme;
use crate::private_key::{PrivateKey, PrivateKeyError};
use crate::random::RandomError;

/// The iterations that new files are written with: what OWASP asks of PBKDF2-HMAC-SHA-256 (Password Storage Cheat
/// Sheet, 2023).
pub const PBKDF2_ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();

/// Why a key was not encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncryptKeyError {
    /// An empty passphrase protects nothing, and OpenSSL asks for at least four characters to read it back.
    #[error("an empty passphrase protects nothing; give one, or write the key unencrypted")]
    EmptyPassphrase,
    /// No random bytes for the salt.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The cryptographic library failed.
    #[error("the cryptographic library could not encrypt the key")]
    Provider,
}

/// Why an encrypted key was not decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecryptKeyError {
    /// The DER around the encryption is broken.
    #[error("the encrypted key is damaged: {0}; export it again from where it came")]
    Der(#[from] DerError),
    /// A key derivation that would use more memory than any honest file.
    #[error(
        "the key asks for {found} octets of memory for its key derivation (scrypt), and the limit is 64 MiB; convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000 -in KEY -out NEW.pem"
    )]
    Memory {
        /// The octets that scrypt would use.
        found: u64,
    },
    /// An obsolete or unknown algorithm.
    #[error(
        "the key is encrypted with {algorithm}, which is not supported; convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000 -in KEY -out NEW.pem (for DES, RC2 and RC4 add -provider legacy -provider default)"
    )]
    Unsupported {
        /// The algorithm, by its well-known name.
        algorithm: String,
    },
    /// More iterations than are computed for a file.
    #[error(
        "the key asks for {found} iterations of its key derivation, and the limit is {limit}; convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000 -in KEY -out NEW.pem"
    )]
    Iterations {
        /// The count in the file.
        found: u64,
        /// The most that is accepted.
        limit: u32,
    },
    /// The passphrase does not decrypt it.
    #[error("the passphrase does not decrypt the key: it is the wrong one, or the file is damaged")]
    WrongPassphrase,
    /// It was decrypted, and what came out cannot be used.
    #[error(transparent)]
    Key(#[from] PrivateKeyError),
}

impl From<SchemeError> for DecryptKeyError {
    fn from(error: SchemeError) -> Self {
        match error {
            SchemeError::Der(error) => DecryptKeyError::Der(error),
            SchemeError::Memory(found) => DecryptKeyError::Memory { found },
            SchemeError::Unsupported(algorithm) => DecryptKeyError::Unsupported { algorithm },
            SchemeError::Iterations(found) => DecryptKeyError::Iterations { found, limit: ITERATION_LIMIT },
        }
    }
}

/// Encrypts a key as DER EncryptedPrivateKeyInfo. Takes about a tenth of a second, by design.
///
/// ```
/// use keys::{Passphrase, PrivateKey, encrypted};
/// use pki::key::{KeyAlgorithm, SigningKey};
/// let key = PrivateKey::generate(KeyAlgorithm::P256)?;
/// let passphrase = Passphrase::new("correct horse");
/// let der = encrypted::encrypt(&key, &passphrase)?;
/// let again = encrypted::decrypt(&der, &passphrase)?;
/// assert_eq!(again.public_key(), key.public_key());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`EncryptKeyError`].
pub fn encrypt(key: &PrivateKey, passphrase: &Passphrase) -> Result<Vec<u8>, EncryptKeyError> {
    if passphrase.is_empty() {
        return Err(EncryptKeyError::EmptyPassphrase);
    }
    encrypt_under(key, Pbes2::generate(PBKDF2_ITERATIONS)?, passphrase)
}

/// The same under scrypt with 16 MiB of memory: each guess costs an attacker memory too. Go and Java do not read it.
///
/// # Errors
/// [`EncryptKeyError`].
pub fn encrypt_with_scrypt(key: &PrivateKey, passphrase: &Passphrase) -> Result<Vec<u8>, EncryptKeyError> {
    if passphrase.is_empty() {
        return Err(EncryptKeyError::EmptyPassphrase);
    }
    encrypt_under(key, Pbes2::generate_with_scrypt()?, passphrase)
}

fn encrypt_under(
    key: &PrivateKey,
    scheme: Pbes2,
    passphrase: &Passphrase,
) -> Result<Vec<u8>, EncryptKeyError> {
    encrypt_with(key, &Scheme::Pbes2(scheme), &Password::new(passphrase.bytes()))
}

/// Encrypts a key as PEM `ENCRYPTED PRIVATE KEY`.
///
/// # Errors
/// [`EncryptKeyError`].
pub fn encrypt_to_pem(key: &PrivateKey, passphrase: &Passphrase) -> Result<String, EncryptKeyError> {
    Ok(pki::pem::encode("ENCRYPTED PRIVATE KEY", &encrypt(key, passphrase)?))
}

/// The same with any scheme: PKCS#12 has its own.
pub(crate) fn encrypt_with(
    key: &PrivateKey,
    scheme: &Scheme,
    password: &Password<'_>,
) -> Result<Vec<u8>, EncryptKeyError> {
    let encrypted =
        scheme.encrypt(password, key.to_pkcs8_der()).map_err(|CipherFailed| EncryptKeyError::Provider)?;
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        scheme.write(w);
        w.primitive(tag::OCTET_STRING, &encrypted);
    });
    Ok(writer.into_bytes())
}

/// Decrypts a DER EncryptedPrivateKeyInfo.
///
/// # Errors
/// [`DecryptKeyError`]; [`DecryptKeyError::WrongPassphrase`] where the passphrase does not fit.
pub fn decrypt(der: &[u8], passphrase: &Passphrase) -> Result<PrivateKey, DecryptKeyError> {
    decrypt_with(der, &Password::new(passphrase.bytes()))
}

pub(crate) fn decrypt_with(der: &[u8], password: &Password<'_>) -> Result<PrivateKey, DecryptKeyError> {
    let mut outer = Reader::new(der);
    let mut info = outer.nested(tag::SEQUENCE)?;
    outer.finish()?;
    let identifier = info.expect(tag::SEQUENCE)?;
    let encrypted = info.expect(tag::OCTET_STRING)?.content;
    info.finish()?;
    let scheme = Scheme::read(identifier)?;
    if scheme.cost() > u64::from(ITERATION_LIMIT) {
        return Err(DecryptKeyError::Iterations { found: scheme.cost(), limit: ITERATION_LIMIT });
    }
    let plain: Zeroizing<Vec<u8>> =
        scheme.decrypt(password, encrypted).map_err(|CipherFailed| DecryptKeyError::WrongPassphrase)?;
    // One wrong passphrase in 256 gives good padding by chance: noise that is no PKCS#8 says the same.
    if !looks_like_pkcs8(&plain) {
        return Err(DecryptKeyError::WrongPassphrase);
    }
    Ok(PrivateKey::from_pkcs8_der(&plain)?)
}

/// How a DER EncryptedPrivateKeyInfo is encrypted, such as
/// `PBES2: PBKDF2 with HMAC-SHA-256 and 600000 iterations, AES-256-CBC`; needs no passphrase.
///
/// # Errors
/// [`DecryptKeyError`], as [`decrypt`] would give it before it needs the passphrase.
pub fn describe(der: &[u8]) -> Result<String, DecryptKeyError> {
    let mut info = Reader::new(der).nested(tag::SEQUENCE)?;
    Ok(Scheme::read(info.expect(tag::SEQUENCE)?)?.describe())
}

fn looks_like_pkcs8(plain: &[u8]) -> bool {
    let mut outer = Reader::new(plain);
    let Ok(mut info) = outer.nested(tag::SEQUENCE) else { return false };
    outer.finish().is_ok() && info.integer().is_ok() && info.nested(tag::SEQUENCE).is_ok()
}
