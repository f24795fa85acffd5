//! Reading PKCS#12 with its password: the seal first, then each part, then each key.

use pki::der::{DerError, Reader, tag};
use pki::oid;
use zeroize::Zeroizing;

use super::ber;
use super::describe::{Pkcs12Facts, describe_encryption, describe_pkcs12};
use super::mac::Password;
use super::structure::{Bag, Pfx, Pkcs12FormatError, Safe, Seal, bag_name, read_bags};
use crate::encrypted::{self, DecryptKeyError};
use crate::passphrase::Passphrase;
use crate::pbes2::{CipherFailed, ITERATION_LIMIT, Pbes2, SchemeError};
use crate::private_key::{PrivateKey, PrivateKeyError};

/// Why a PKCS#12 file was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadPkcs12Error {
    /// It is none, or a broken one.
    #[error(transparent)]
    Format(#[from] Pkcs12FormatError),
    /// The password is not text, and PKCS#12 passwords are.
    #[error(
        "the password is not UTF-8, and PKCS#12 has text passwords (RFC 7292 appendix B.1); check the file or terminal that it came from"
    )]
    PasswordEncoding,
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
    /// Encrypted with RC2, RC4, 3DES, or something unknown.
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
}

/// Opens a PKCS#12 file.
///
/// # Errors
/// [`ReadPkcs12Error`]; [`ReadPkcs12Error::WrongPassword`] where the password does not fit.
pub fn read_pkcs12(bytes: &[u8], password: &Passphrase) -> Result<Pkcs12Contents, ReadPkcs12Error> {
    let facts = describe_pkcs12(bytes)?;
    let pfx = Pfx::read(bytes)?;
    let utf8 = std::str::from_utf8(password.bytes()).map_err(|_| ReadPkcs12Error::PasswordEncoding)?;
    let mut opener = Opener { password: Password { utf8 }, sealed: false, spent: 0 };

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
    match Pbes2::read(identifier) {
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
    }
}

/// The password at work.
struct Opener<'a> {
    password: Password<'a>,
    /// Whether a MAC has shown that the password is right.
    sealed: bool,
    /// The iterations that have been computed for this file.
    spent: u64,
}

impl Opener<'_> {
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
            Seal::Mac(Ok(mac)) => {
                self.spend(mac.iterations())?;
                let authentic = mac.verify(&self.password, &pfx.authenticated)
                    || (self.password.utf8.is_empty() && mac.verify_without_password(&pfx.authenticated));
                self.sealed = authentic;
                if authentic { Ok(()) } else { Err(ReadPkcs12Error::WrongPassword) }
            }
        }
    }

    /// One file may hold any number of keys, each with its own iterations: the limit is for all of them together.
    fn spend(&mut self, iterations: u32) -> Result<(), ReadPkcs12Error> {
        self.spent += u64::from(iterations);
        if self.spent > u64::from(ITERATION_LIMIT) {
            return Err(ReadPkcs12Error::Iterations { found: self.spent, limit: ITERATION_LIMIT });
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
        let scheme = match Pbes2::read(Reader::new(identifier).any()?) {
            Ok(scheme) => scheme,
            // note_unsupported has been here before, so this does not happen; the answer would be the same.
            Err(error) => {
                return Err(ReadPkcs12Error::UnsupportedEncryption { algorithms: vec![error.to_string()] });
            }
        };
        self.spend(scheme.iterations())?;
        let plain = scheme
            .decrypt(self.password.utf8.as_bytes(), encrypted)
            .map_err(|CipherFailed| self.wrong_password("the certificates"))?;
        // One wrong password in 256 gives good padding by chance, and then noise.
        match ber::to_der(&plain) {
            Ok((der, _)) if der.first() == Some(&tag::SEQUENCE) => Ok(der),
            _ => Err(self.wrong_password("the certificates")),
        }
    }

    fn take_bags(
        &mut self,
        safe_contents: &[u8],
        contents: &mut Pkcs12Contents,
    ) -> Result<(), ReadPkcs12Error> {
        let (der, _) = ber::to_der(safe_contents)?;
        for bag in read_bags(&der)? {
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
        if let Ok(scheme) = Pbes2::read(Reader::new(identifier).any()?) {
            self.spend(scheme.iterations())?;
        }
        encrypted::decrypt_with(bag.value, self.password.utf8.as_bytes()).map_err(|error| match error {
            DecryptKeyError::WrongPassphrase => self.wrong_password("a key"),
            DecryptKeyError::Key(source) => unusable(bag, contents, source),
            DecryptKeyError::Der(error) => error.into(),
            DecryptKeyError::Scrypt => {
                ReadPkcs12Error::UnsupportedEncryption { algorithms: vec![oid::SCRYPT.to_string()] }
            }
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
        });
        Ok(())
    }
}

fn unusable(bag: &Bag<'_>, contents: &Pkcs12Contents, source: PrivateKeyError) -> ReadPkcs12Error {
    let place = || format!("number {}", contents.keys.len() + 1);
    ReadPkcs12Error::Key { name: bag.friendly_name.clone().unwrap_or_else(place), source }
}
