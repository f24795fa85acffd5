//! Reading PKCS#12 with its password: the seal first, then each part, then each key.

use pki::der::{DerError, Reader, tag};
use pki::oid;
use zeroize::Zeroizing;

use super::ber;
use super::describe::{Pkcs12Facts, describe_encryption, describe_pkcs12};
use super::structure::{Bag, Pfx, Pkcs12FormatError, Safe, Seal, bag_name, read_bags};
use crate::encrypted::{self, DecryptKeyError};
use crate::passphrase::Passphrase;
use crate::password::Password;
use crate::pbes2::{ITERATION_LIMIT, SchemeError};
use crate::pkcs12_encryption::Scheme;
use crate::private_key::{PrivateKey, PrivateKeyError};

/// Why a PKCS#12 file was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadPkcs12Error {
    /// It is none, or a broken one.
    #[error(transparent)]
    Format(#[from] Pkcs12FormatError),
    /// The MAC does not verify, or without one, nothing decrypts.
    #[error("the password does not open the PKCS#12 file: it is the wrong one, or the file is damaged")]
    WrongPassword,
    /// The MAC is of a kind that is not verified here.
    #[error(
        "the PKCS#12 file is sealed with {algorithm}, which is not supported; convert it: openssl pkcs12 -legacy -in FILE -nodes -out ALL.pem, then openssl pkcs12 -export -in ALL.pem -out NEW.p12, and delete ALL.pem"
    )]
    UnsupportedMac {
        /// The algorithm, by its well-known name.
        algorithm: String,
    },
    /// Encrypted with RC4, DES, or something unknown.
    #[error("the PKCS#12 file is encrypted with {}, which is not supported; convert it: openssl pkcs12 -legacy -in FILE -nodes -out ALL.pem, then openssl pkcs12 -export -in ALL.pem -out NEW.p12, and delete ALL.pem", algorithms.join(" and "))]
    UnsupportedEncryption {
        /// The algorithms, by their well-known names.
        algorithms: Vec<String>,
    },
    /// Protected by certificates instead of a password.
    #[error(
        "the PKCS#12 file is protected by {0} instead of a password, which is not supported; export it again with a password"
    )]
    PublicKeyMode(&'static str),
    /// More iterations than are computed for a file.
    #[error(
        "the PKCS#12 file asks for {found} iterations of key derivation in all, and the limit is {limit}; export it again with fewer (openssl pkcs12 -export -iter 200000)"
    )]
    Iterations {
        /// The count in the file.
        found: u64,
        /// The most that is accepted.
        limit: u32,
    },
    /// More private keys than anybody keeps in one file; each costs time to check.
    #[error("the PKCS#12 file holds more than {limit} private keys, which are not read; split it")]
    TooManyKeys {
        /// The most that is read.
        limit: usize,
    },
    /// A key derivation that would use more memory than any honest file.
    #[error(
        "the PKCS#12 file asks for {found} octets of memory for its key derivation (scrypt), and the limit is 64 MiB; export it again"
    )]
    Memory {
        /// The octets that scrypt would use.
        found: u64,
    },
    /// The seal is right and a part in it does not decrypt.
    #[error(
        "the password opens the PKCS#12 file but not {0} in it, which is under another password or damaged; export it again with one password"
    )]
    OtherPassword(&'static str),
    /// A key in it cannot be used.
    #[error("the key '{name}' in the PKCS#12 file: {source}")]
    Key {
        /// Its friendlyName, or its place.
        name: String,
        /// What is wrong with it.
        source: PrivateKeyError,
    },
}

impl From<DerError> for ReadPkcs12Error {
    fn from(error: DerError) -> Self {
        ReadPkcs12Error::Format(error.into())
    }
}

/// What was in a PKCS#12 file.
#[derive(Debug, Clone)]
pub struct Pkcs12Contents {
    /// The private keys, in the file's order.
    pub keys: Vec<Pkcs12Key>,
    /// The certificates, in the file's order.
    pub certificates: Vec<Pkcs12Certificate>,
    /// The kinds of everything else, such as `crlBag`.
    pub other: Vec<String>,
    /// How the file is protected.
    pub facts: Pkcs12Facts,
}

/// A private key from a PKCS#12 file.
#[derive(Debug, Clone)]
pub struct Pkcs12Key {
    /// The key.
    pub key: PrivateKey,
    /// The name people gave it.
    pub friendly_name: Option<String>,
    /// What its certificate has too.
    pub local_key_id: Option<Vec<u8>>,
}

/// A certificate from a PKCS#12 file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs12Certificate {
    /// Its DER, not looked at.
    pub der: Vec<u8>,
    /// The name people gave it.
    pub friendly_name: Option<String>,
    /// What its key has too; CA certificates have none.
    pub local_key_id: Option<Vec<u8>>,
    /// Whether it is marked as one to trust, as Java does it in trust stores.
    pub trusted: bool,
}

/// The most private keys of one file that are read.
const KEY_LIMIT: usize = 64;

/// The most iterations for one file in all, of PBKDF2-HMAC-SHA-256 or what costs as much: a second of one core of 2026. More
/// than for one key, since GnuTLS derives 600,000 times for the key and for each certificate, and half of that for the MAC.
const FILE_LIMIT: u32 = 2_250_000;

/// Opens a PKCS#12 file. An empty password opens files that were made with an empty one, and with none.
///
/// # Errors
/// [`ReadPkcs12Error`]; [`ReadPkcs12Error::WrongPassword`] where the password does not fit.
pub fn read_pkcs12(bytes: &[u8], password: &Passphrase) -> Result<Pkcs12Contents, ReadPkcs12Error> {
    let facts = describe_pkcs12(bytes)?;
    let pfx = Pfx::read(bytes)?;
    let mut opener = Opener {
        octets: password.bytes(),
        password: Password::new(password.bytes()),
        sealed: false,
        spent: 0,
    };

    // What no password opens is said before any password is tried.
    let mut unsupported: Vec<String> = Vec::new();
    for safe in &pfx.safes {
        match safe {
            Safe::Plain(contents) => {
                let (der, _) = ber::to_der(contents)?;
                for bag in read_bags(&der)?.iter().filter(|bag| bag.kind == oid::SHROUDED_KEY_BAG) {
                    let mut info = Reader::new(bag.value).nested(tag::SEQUENCE)?;
                    note_unsupported(info.expect(tag::SEQUENCE)?.whole, &mut unsupported)?;
                }
            }
            Safe::Encrypted { identifier, .. } => note_unsupported(identifier, &mut unsupported)?,
            Safe::Enveloped => return Err(ReadPkcs12Error::PublicKeyMode("encryption to a public key")),
            Safe::Other(kind) => return Err(Pkcs12FormatError::ContentType(*kind).into()),
        }
    }
    if !unsupported.is_empty() {
        return Err(ReadPkcs12Error::UnsupportedEncryption { algorithms: unsupported });
    }

    opener.break_seal(&pfx)?;
    let mut contents =
        Pkcs12Contents { keys: Vec::new(), certificates: Vec::new(), other: Vec::new(), facts };
    for safe in &pfx.safes {
        match safe {
            Safe::Plain(plain) => opener.take_bags(plain, &mut contents)?,
            Safe::Encrypted { identifier, encrypted } => {
                let plain = opener.decrypt(identifier, encrypted)?;
                opener.take_bags(&plain, &mut contents)?;
            }
            Safe::Enveloped | Safe::Other(_) => {}
        }
    }
    Ok(contents)
}

/// Adds the name of an encryption that cannot be undone here.
fn note_unsupported(identifier: &[u8], names: &mut Vec<String>) -> Result<(), ReadPkcs12Error> {
    let identifier = Reader::new(identifier).any()?;
    match Scheme::read(identifier) {
        Ok(_) => Ok(()),
        Err(SchemeError::Unsupported(_)) => {
            let name = describe_encryption(identifier).description;
            if !names.contains(&name) {
                names.push(name);
            }
            Ok(())
        }
        Err(SchemeError::Der(error)) => Err(error.into()),
        Err(SchemeError::Iterations(found)) => {
            Err(ReadPkcs12Error::Iterations { found, limit: ITERATION_LIMIT })
        }
        Err(SchemeError::Memory(found)) => Err(ReadPkcs12Error::Memory { found }),
    }
}

/// The password at work.
struct Opener<'a> {
    octets: &'a [u8],
    /// The spelling of it that opened something, or the first.
    password: Password<'a>,
    /// Whether a MAC has shown that the password is right.
    sealed: bool,
    /// The iterations that have been computed for this file.
    spent: u64,
}

impl<'a> Opener<'a> {
    fn break_seal(&mut self, pfx: &Pfx) -> Result<(), ReadPkcs12Error> {
        match &pfx.integrity {
            Seal::None => Ok(()),
            Seal::Signature => Err(ReadPkcs12Error::PublicKeyMode("a signature")),
            Seal::Mac(Err(SchemeError::Unsupported(algorithm))) => {
                Err(ReadPkcs12Error::UnsupportedMac { algorithm: algorithm.clone() })
            }
            Seal::Mac(Err(SchemeError::Iterations(found))) => {
                Err(ReadPkcs12Error::Iterations { found: *found, limit: ITERATION_LIMIT })
            }
            Seal::Mac(Err(SchemeError::Der(error))) => Err((*error).into()),
            Seal::Mac(Err(SchemeError::Memory(found))) => Err(ReadPkcs12Error::Memory { found: *found }),
            Seal::Mac(Ok(mac)) => {
                for password in Password::spellings(self.octets) {
                    self.spend(mac.cost())?;
                    if mac.verify(&password, &pfx.authenticated) {
                        self.password = password;
                        self.sealed = true;
                        return Ok(());
                    }
                }
                Err(ReadPkcs12Error::WrongPassword)
            }
        }
    }

    /// One file may hold any number of keys, each with its own iterations: the limit is for all of them together.
    fn spend(&mut self, cost: u64) -> Result<(), ReadPkcs12Error> {
        self.spent = self.spent.saturating_add(cost);
        if self.spent > u64::from(FILE_LIMIT) {
            return Err(ReadPkcs12Error::Iterations { found: self.spent, limit: FILE_LIMIT });
        }
        Ok(())
    }

    fn wrong_password(&self, what: &'static str) -> ReadPkcs12Error {
        if self.sealed { ReadPkcs12Error::OtherPassword(what) } else { ReadPkcs12Error::WrongPassword }
    }

    fn decrypt(
        &mut self,
        identifier: &[u8],
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ReadPkcs12Error> {
        let scheme = match Scheme::read(Reader::new(identifier).any()?) {
            Ok(scheme) => scheme,
            // note_unsupported has been here before, so this does not happen; the answer would be the same.
            Err(error) => {
                return Err(ReadPkcs12Error::UnsupportedEncryption { algorithms: vec![error.to_string()] });
            }
        };
        for password in self.candidates() {
            self.spend(scheme.cost())?;
            let Ok(plain) = scheme.decrypt(&password, encrypted) else { continue };
            // One wrong password in 256 gives good padding by chance, and then noise.
            match ber::to_der(&plain) {
                Ok((der, _)) if der.first() == Some(&tag::SEQUENCE) => {
                    self.password = password;
                    return Ok(der);
                }
                _ => continue,
            }
        }
        Err(self.wrong_password("the certificates"))
    }

    /// The spelling that the seal has shown to be the right one; without a seal, all of them.
    fn candidates(&self) -> Vec<Password<'a>> {
        if self.sealed { vec![self.password] } else { Password::spellings(self.octets).collect() }
    }

    fn take_bags(
        &mut self,
        safe_contents: &[u8],
        contents: &mut Pkcs12Contents,
    ) -> Result<(), ReadPkcs12Error> {
        let (der, _) = ber::to_der(safe_contents)?;
        for bag in read_bags(&der)? {
            let is_key = matches!(bag.kind, oid::KEY_BAG | oid::SHROUDED_KEY_BAG);
            if is_key && contents.keys.len() == KEY_LIMIT {
                return Err(ReadPkcs12Error::TooManyKeys { limit: KEY_LIMIT });
            }
            match bag.kind {
                oid::KEY_BAG => {
                    let key = PrivateKey::from_pkcs8_der(bag.value);
                    contents.take_key(key.map_err(|source| unusable(&bag, contents, source))?, bag);
                }
                oid::SHROUDED_KEY_BAG => {
                    let key = self.decrypt_key(&bag, contents)?;
                    contents.take_key(key, bag);
                }
                oid::CERT_BAG => contents.take_certificate(bag)?,
                other => contents.other.push(bag_name(&other)),
            }
        }
        Ok(())
    }

    fn decrypt_key(
        &mut self,
        bag: &Bag<'_>,
        contents: &Pkcs12Contents,
    ) -> Result<PrivateKey, ReadPkcs12Error> {
        let mut info = Reader::new(bag.value).nested(tag::SEQUENCE)?;
        let identifier = info.expect(tag::SEQUENCE)?.whole;
        let mut unsupported = Vec::new();
        note_unsupported(identifier, &mut unsupported)?;
        if !unsupported.is_empty() {
            return Err(ReadPkcs12Error::UnsupportedEncryption { algorithms: unsupported });
        }
        let cost = Scheme::read(Reader::new(identifier).any()?).map_or(0, |scheme| scheme.cost());
        let mut opened = Err(DecryptKeyError::WrongPassphrase);
        for password in self.candidates() {
            self.spend(cost)?;
            opened = encrypted::decrypt_with(bag.value, &password);
            if !matches!(opened, Err(DecryptKeyError::WrongPassphrase)) {
                break;
            }
        }
        opened.map_err(|error| match error {
            DecryptKeyError::WrongPassphrase => self.wrong_password("a key"),
            DecryptKeyError::Key(source) => unusable(bag, contents, source),
            DecryptKeyError::Der(error) => error.into(),
            DecryptKeyError::Memory { found } => ReadPkcs12Error::Memory { found },
            DecryptKeyError::Unsupported { algorithm } => {
                ReadPkcs12Error::UnsupportedEncryption { algorithms: vec![algorithm] }
            }
            DecryptKeyError::Iterations { found, limit } => ReadPkcs12Error::Iterations { found, limit },
        })
    }
}

impl Pkcs12Contents {
    fn take_key(&mut self, key: PrivateKey, bag: Bag<'_>) {
        self.keys.push(Pkcs12Key { key, friendly_name: bag.friendly_name, local_key_id: bag.local_key_id });
    }

    /// CertBag (RFC 7292 section 4.2.3): a kind, and for X.509 an OCTET STRING with the DER.
    fn take_certificate(&mut self, bag: Bag<'_>) -> Result<(), DerError> {
        let mut outer = Reader::new(bag.value);
        let mut fields = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let kind = fields.object_identifier()?;
        if kind != oid::X509_CERTIFICATE_BAG {
            self.other.push(format!("{} with {kind}", bag_name(&bag.kind)));
            return Ok(());
        }
        let mut value = fields.nested(tag::context_constructed(0))?;
        fields.finish()?;
        let der = value.expect(tag::OCTET_STRING)?.content.to_vec();
        value.finish()?;
        self.certificates.push(Pkcs12Certificate {
            der,
            friendly_name: bag.friendly_name,
            local_key_id: bag.local_key_id,
            trusted: bag.trusted,
        });
        Ok(())
    }
}

fn unusable(bag: &Bag<'_>, contents: &Pkcs12Contents, source: PrivateKeyError) -> ReadPkcs12Error {
    let place = || format!("number {}", contents.keys.len() + 1);
    ReadPkcs12Error::Key { name: bag.friendly_name.clone().unwrap_or_else(place), source }
}
