//! What can be said of a PKCS#12 file without its password: how it is protected, and what lies in it in the clear.

use pki::der::{Reader, Tlv, tag};
use pki::oid;

use super::structure::{Bag, Pfx, Pkcs12FormatError, Safe, Seal, bag_name, read_bags};
use super::{ber, mac::Mac};
use crate::pbes2::{SchemeError, algorithm_name};
use crate::pkcs12_encryption::Scheme;

/// A PKCS#12 file, as seen from the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs12Facts {
    /// Whether it is BER with indefinite lengths, as Firefox writes it, instead of DER.
    pub indefinite_length: bool,
    /// What tells whether it has been changed.
    pub integrity: Integrity,
    /// Its parts, in order.
    pub safes: Vec<SafeFacts>,
}

/// What a PKCS#12 file is sealed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// A MAC under the password.
    Mac {
        /// Such as `HMAC-SHA-256 with 250000 iterations`.
        description: String,
        /// The iterations of its key derivation, where the algorithm is known.
        iterations: Option<u32>,
        /// Whether it can be verified here.
        supported: bool,
    },
    /// A signature (the public-key integrity mode, which hardly anything writes).
    Signature,
    /// Nothing.
    None,
}

/// One part of a PKCS#12 file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeFacts {
    /// How it is protected as a whole.
    pub protection: Protection,
    /// What is in it, where that can be seen without the password.
    pub bags: Option<Vec<BagFacts>>,
}

/// How one part of a PKCS#12 file is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// Not at all; keys in it may still be encrypted each.
    None,
    /// Encrypted under the password.
    Password(EncryptionFacts),
    /// Encrypted to somebody's public key.
    PublicKey,
    /// A content type that RFC 7292 does not know, by name.
    Unknown(String),
}

/// How something is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptionFacts {
    /// Such as `PBES2: PBKDF2 with HMAC-SHA-256 and 2048 iterations, AES-256-CBC`.
    pub description: String,
    /// The iterations of its key derivation, where they can be found.
    pub iterations: Option<u32>,
    /// Whether it can be decrypted here, given the password.
    pub supported: bool,
}

/// One thing in a PKCS#12 file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BagFacts {
    /// Its kind in the RFC's words, such as `pkcs-8ShroudedKeyBag`.
    pub kind: String,
    /// How it is encrypted, if it is by itself.
    pub encryption: Option<EncryptionFacts>,
    /// Its friendlyName attribute.
    pub friendly_name: Option<String>,
    /// Its localKeyId attribute, which a key and its certificate share.
    pub local_key_id: Option<Vec<u8>>,
}

/// Describes a PKCS#12 file; no password is needed.
///
/// # Errors
/// [`Pkcs12FormatError`] where it is none.
pub fn describe_pkcs12(bytes: &[u8]) -> Result<Pkcs12Facts, Pkcs12FormatError> {
    let pfx = Pfx::read(bytes)?;
    let integrity = match &pfx.integrity {
        Seal::Mac(Ok(mac)) => describe_mac(mac),
        Seal::Mac(Err(error)) => {
            Integrity::Mac { description: error.to_string(), iterations: None, supported: false }
        }
        Seal::Signature => Integrity::Signature,
        Seal::None => Integrity::None,
    };
    let mut safes = Vec::new();
    for safe in &pfx.safes {
        safes.push(match safe {
            Safe::Plain(contents) => {
                let (der, _) = ber::to_der(contents)?;
                let bags = read_bags(&der)?.iter().map(describe_bag).collect();
                SafeFacts { protection: Protection::None, bags: Some(bags) }
            }
            Safe::Encrypted { identifier, .. } => {
                let identifier = Reader::new(identifier).any()?;
                SafeFacts { protection: Protection::Password(describe_encryption(identifier)), bags: None }
            }
            Safe::Enveloped => SafeFacts { protection: Protection::PublicKey, bags: None },
            Safe::Other(kind) => SafeFacts { protection: Protection::Unknown(kind.to_string()), bags: None },
        });
    }
    Ok(Pkcs12Facts { indefinite_length: pfx.was_ber, integrity, safes })
}

impl Pkcs12Facts {
    /// The algorithms in it that cannot be decrypted here, each once.
    #[must_use]
    pub fn unsupported_encryption(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for safe in &self.safes {
            let whole = match &safe.protection {
                Protection::Password(facts) => Some(facts),
                _ => None,
            };
            let each = safe.bags.iter().flatten().filter_map(|bag| bag.encryption.as_ref());
            for facts in whole.into_iter().chain(each) {
                if !facts.supported && !names.contains(&facts.description.as_str()) {
                    names.push(&facts.description);
                }
            }
        }
        names
    }
}

fn describe_mac(mac: &Mac) -> Integrity {
    Integrity::Mac { description: mac.describe(), iterations: Some(mac.iterations()), supported: true }
}

fn describe_bag(bag: &Bag<'_>) -> BagFacts {
    let encryption = (bag.kind == oid::SHROUDED_KEY_BAG).then(|| {
        let identifier =
            Reader::new(bag.value).nested(tag::SEQUENCE).and_then(|mut info| info.expect(tag::SEQUENCE));
        match identifier {
            Ok(identifier) => describe_encryption(identifier),
            Err(_) => {
                EncryptionFacts { description: "damaged".to_owned(), iterations: None, supported: false }
            }
        }
    });
    BagFacts {
        kind: bag_name(&bag.kind),
        encryption,
        friendly_name: bag.friendly_name.clone(),
        local_key_id: bag.local_key_id.clone(),
    }
}

/// Describes an encryption AlgorithmIdentifier, also one that cannot be undone here.
pub(super) fn describe_encryption(identifier: Tlv<'_>) -> EncryptionFacts {
    match Scheme::read(identifier) {
        Ok(scheme) => EncryptionFacts {
            description: scheme.describe(),
            iterations: Some(scheme.iterations()),
            supported: true,
        },
        Err(SchemeError::Iterations(found)) => EncryptionFacts {
            description: format!("{} with {found} iterations", scheme_name(identifier)),
            iterations: u32::try_from(found).ok(),
            supported: false,
        },
        Err(SchemeError::Memory(found)) => EncryptionFacts {
            description: format!("{} with {found} octets of memory", scheme_name(identifier)),
            iterations: None,
            supported: false,
        },
        Err(SchemeError::Unsupported(name)) => {
            EncryptionFacts { description: name, iterations: legacy_iterations(identifier), supported: false }
        }
        Err(SchemeError::Der(_)) => EncryptionFacts {
            description: format!("{}, with damaged parameters", scheme_name(identifier)),
            iterations: None,
            supported: false,
        },
    }
}

fn scheme_name(identifier: Tlv<'_>) -> String {
    identifier.reader().object_identifier().map_or("unknown".to_owned(), |scheme| algorithm_name(&scheme))
}

/// The iterations in the PBEParameter or pkcs-12PbeParams of an older scheme: a salt, then the count.
fn legacy_iterations(identifier: Tlv<'_>) -> Option<u32> {
    let mut reader = identifier.reader();
    reader.object_identifier().ok()?;
    let mut parameters = reader.nested(tag::SEQUENCE).ok()?;
    parameters.expect(tag::OCTET_STRING).ok()?;
    parameters.small_integer("iterations").ok()
}
