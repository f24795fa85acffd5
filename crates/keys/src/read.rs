//! A private key out of a file's bytes, whatever people put there: PEM with several blocks, or DER; encrypted or
//! not. It reads bytes, not files ([`mod@crate::file`] does).

use std::collections::BTreeMap;

use pki::key::SigningKey;
use pki::pem::{self, PemError};
use zeroize::Zeroizing;

use crate::encrypted::{self, DecryptKeyError};
use crate::jwk::{self, JwkError};
use crate::passphrase::Passphrase;

use crate::private_key::{PrivateKey, PrivateKeyError};
use crate::shape::Shape;

/// Why there is no private key to be had from some bytes.
#[derive(Debug, thiserror::Error)]
pub enum ReadKeyError {
    /// Nothing is in the file.
    #[error("the file is empty; a PEM or DER private key is expected")]
    Empty,
    /// The PEM is broken.
    #[error("the PEM is damaged: {0}")]
    Pem(PemError),
    /// Neither PEM nor DER.
    #[error("this is no private key, neither PEM nor DER: {0}")]
    NotAKey(&'static str),
    /// Everything in the file is something else.
    #[error("this file holds {holds} and no private key; was it swapped with the key file?")]
    NoKey {
        /// What is in it, such as `2 certificates`.
        holds: String,
    },
    /// A PKCS#12 file, which has its own reader.
    #[error(
        "this is a PKCS#12 file, not a key file; take the key out of it: countersign key convert FILE --out KEY.pem"
    )]
    Pkcs12,
    /// Keys of different pairs: it cannot be known which one is meant.
    #[error("this file holds {count} different private keys ({kinds}); keep one in it")]
    SeveralKeys {
        /// How many.
        count: usize,
        /// Of which kinds, in the file's order.
        kinds: String,
    },
    /// Encrypted, and no passphrase came with it.
    #[error(
        "the private key is encrypted and no passphrase was given; give it, or write the key unencrypted: countersign key decrypt KEY --out NEW.pem"
    )]
    NeedsPassphrase,
    /// PEM encryption of before PKCS#8 (RFC 1421 headers): MD5 and one iteration.
    #[error(
        "the private key is encrypted in the old PEM way ({cipher}), which protects little and is not supported; convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000 -in KEY -out NEW.pem"
    )]
    LegacyPemEncryption {
        /// The cipher in the DEK-Info header.
        cipher: String,
    },
    /// A private key in a form that is not read.
    #[error("the private key is in the form '{label}', which is not supported; {remedy}")]
    UnsupportedForm {
        /// The PEM label.
        label: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Encrypted, and not decrypted.
    #[error(transparent)]
    Decrypt(#[from] DecryptKeyError),
    /// A key that cannot be used.
    #[error(transparent)]
    Key(#[from] PrivateKeyError),
    /// A JSON Web Key that is none, or a public one.
    #[error(transparent)]
    Jwk(#[from] JwkError),
}

/// Reads the one private key in a file's bytes. Certificates and `EC PARAMETERS` beside it are passed over, and the
/// same key twice counts once. A passphrase that is not needed is not used.
///
/// ```
/// use keys::{PrivateKey, read::read_private_key};
/// use pki::key::{KeyAlgorithm, SigningKey};
/// let key = PrivateKey::generate(KeyAlgorithm::P256)?;
/// let again = read_private_key(key.to_pkcs8_pem().as_bytes(), None)?;
/// assert_eq!(again.public_key(), key.public_key());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ReadKeyError`], each with the way out.
pub fn read_private_key(bytes: &[u8], passphrase: Option<&Passphrase>) -> Result<PrivateKey, ReadKeyError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ReadKeyError::Empty);
    }
    // DER starts with 0x30, and so does text that starts with the digit 0.
    if bytes[0] == 0x30 && (Shape::of(bytes) != Shape::Unknown || !pem::looks_like_pem(bytes)) {
        return read_der(bytes, passphrase);
    }
    if jwk::looks_like_json(bytes) {
        return Ok(jwk::read_private(bytes)?);
    }
    read_pem(bytes, passphrase)
}

/// A damaged marker's line may have the key's base64 on it, and errors end up in logs.
fn without_key_material(error: PemError) -> ReadKeyError {
    match error {
        PemError::NoBlock(what) => ReadKeyError::NotAKey(what),
        PemError::Marker { line, .. } => ReadKeyError::Pem(PemError::Marker {
            line,
            text: "(not shown: it may hold a part of the key)".to_owned(),
        }),
        other => ReadKeyError::Pem(other),
    }
}

fn read_der(der: &[u8], passphrase: Option<&Passphrase>) -> Result<PrivateKey, ReadKeyError> {
    match Shape::of(der) {
        Shape::EncryptedPkcs8 => {
            Ok(encrypted::decrypt(der, passphrase.ok_or(ReadKeyError::NeedsPassphrase)?)?)
        }
        Shape::Pkcs12 => Err(ReadKeyError::Pkcs12),
        shape @ (Shape::PublicKey
        | Shape::Certificate
        | Shape::CertificateRequest
        | Shape::RevocationList) => Err(ReadKeyError::NoKey { holds: count(1, &shape.to_string()) }),
        Shape::Pkcs8 | Shape::Pkcs1 | Shape::Sec1 | Shape::Unknown => Ok(PrivateKey::from_der(der)?),
    }
}

fn read_pem(bytes: &[u8], passphrase: Option<&Passphrase>) -> Result<PrivateKey, ReadKeyError> {
    let mut found: Vec<PrivateKey> = Vec::new();
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    // All blocks first, so that the bytes of each are wiped also where an early one ends the reading.
    let blocks: Vec<_> = pem::read(bytes)
        .map_err(without_key_material)?
        .into_iter()
        .map(|block| (block.label, block.headers, Zeroizing::new(block.der)))
        .collect();
    for (label, headers, der) in &blocks {
        let key = match label.as_str() {
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
                if let Some(cipher) = legacy_cipher(headers) {
                    return Err(ReadKeyError::LegacyPemEncryption { cipher });
                }
                read_der(der, passphrase)?
            }
            "ENCRYPTED PRIVATE KEY" => {
                encrypted::decrypt(der, passphrase.ok_or(ReadKeyError::NeedsPassphrase)?)?
            }
            "EC PARAMETERS" | "DH PARAMETERS" => continue,
            other if other.ends_with("PRIVATE KEY") || other.starts_with("TSS2") => {
                return Err(ReadKeyError::UnsupportedForm { label: label.clone(), remedy: remedy(label) });
            }
            other => {
                *others.entry(noun(other)).or_default() += 1;
                continue;
            }
        };
        if !found.iter().any(|known| known.public_key() == key.public_key()) {
            found.push(key);
        }
    }
    match (found.len(), found.pop()) {
        (1, Some(key)) => Ok(key),
        (several, Some(last)) => {
            found.push(last);
            let kinds: Vec<_> = found.iter().map(|key| key.public_key().algorithm().to_string()).collect();
            Err(ReadKeyError::SeveralKeys { count: several, kinds: kinds.join(", ") })
        }
        (_, None) => {
            let holds: Vec<_> = others.iter().map(|(noun, number)| count(*number, noun)).collect();
            let holds = if holds.is_empty() { "only parameters".to_owned() } else { holds.join(", ") };
            Err(ReadKeyError::NoKey { holds })
        }
    }
}

fn legacy_cipher(headers: &[(String, String)]) -> Option<String> {
    let header = |wanted: &str| {
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let encrypted = header("Proc-Type").is_some_and(|value| value.to_ascii_uppercase().contains("ENCRYPTED"));
    let cipher = header("DEK-Info").map(|value| value.split(',').next().unwrap_or_default().trim());
    match (encrypted, cipher) {
        (_, Some(cipher)) if !cipher.is_empty() => Some(cipher.to_owned()),
        (true, _) => Some("cipher not named".to_owned()),
        _ => None,
    }
}

fn remedy(label: &str) -> &'static str {
    match label {
        "OPENSSH PRIVATE KEY" => "convert a copy of it: ssh-keygen -p -m PKCS8 -f COPY",
        "DSA PRIVATE KEY" => "TLS 1.3 has no DSA: make a P-256 key instead",
        "TSS2 PRIVATE KEY" => "it lives in a TPM and cannot be read from a file",
        _ => "convert it to PKCS#8: openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW.pem",
    }
}

fn noun(label: &str) -> String {
    match label {
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => "certificate".to_owned(),
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => "certificate request".to_owned(),
        "X509 CRL" => "certificate revocation list".to_owned(),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => "public key".to_owned(),
        other => format!("'{other}' block"),
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
