//! Writing PKCS#12 for a given reader: one key with its certificate and the chain, or certificates alone as a trust
//! store.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use pki::der::{DerError, Reader, Writer, tag};
use pki::key::SigningKey;
use pki::oid::{self, Oid};

use super::mac::{Hash, Mac};
use super::structure::TRUSTED_KEY_USAGE;
use crate::encrypted::{self, EncryptKeyError};
use crate::passphrase::Passphrase;
use crate::password::Password;
use crate::pbes2::{CipherFailed, Pbes2, SALT_LENGTH};
use crate::pkcs12_encryption::{Pkcs12Encryption, Scheme};
use crate::private_key::PrivateKey;
use crate::random::{self, RandomError};

/// Iterations of PBKDF2 for the key, and again for the certificates.
///
/// Not the 600,000 of [`encrypted::PBKDF2_ITERATIONS`]: since June 2023 .NET refuses a file whose counts add up to
/// more than 600,000 (Microsoft KB5025823). Under that ceiling a guess should cost the same at each of the three
/// places where it can be tried, and an iteration of PBKDF2 is two hashes where one of the MAC's derivation is
/// one. So the MAC has twice as many, and the sum, 500,000, leaves room.
pub const ENCRYPTION_ITERATIONS: NonZeroU32 = NonZeroU32::new(125_000).unwrap();

/// Iterations of the MAC's key derivation; see [`ENCRYPTION_ITERATIONS`].
pub const MAC_ITERATIONS: NonZeroU32 = NonZeroU32::new(250_000).unwrap();

/// Iterations of each derivation where Triple DES is written. The programs that need it run on small devices too, and the
/// ceiling of .NET holds for them as well; the password has to be the better for it.
pub const OLD_ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

/// The reader that a file is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// OpenSSL 3, Node.js, Firefox, Chromium on Linux, Python, Go, GnuTLS: AES-256 and HMAC-SHA-256.
    #[default]
    Modern,
    /// Keychain of macOS and iOS: Triple DES and HMAC-SHA-1, since its importer reads nothing newer on many versions.
    Apple,
    /// Windows 10 1709, Server 2019, .NET and newer: AES-256 and HMAC-SHA-256.
    Windows,
    /// The keytool of Java 8u301, 11.0.12 and newer: AES-256 and HMAC-SHA-256; a trust store has Java's own mark.
    Java,
    /// The credential storage of Android: Triple DES and HMAC-SHA-1.
    Android,
    /// Whatever is old: Windows 7 to Server 2016, Java 6, OpenSSL 0.9.8: Triple DES and HMAC-SHA-1.
    Legacy,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 6] =
        [Target::Modern, Target::Apple, Target::Windows, Target::Java, Target::Android, Target::Legacy];

    /// Whether it is written with Triple DES and SHA-1.
    #[must_use]
    pub fn is_old(self) -> bool {
        matches!(self, Target::Apple | Target::Android | Target::Legacy)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Target::Modern => "modern",
            Target::Apple => "apple",
            Target::Windows => "windows",
            Target::Java => "java",
            Target::Android => "android",
            Target::Legacy => "legacy",
        })
    }
}

/// The text names no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no target of PKCS#12; use modern, apple, windows, java, android or legacy")]
pub struct UnknownTarget(pub String);

impl FromStr for Target {
    type Err = UnknownTarget;

    /// Reads the words of the `--target` flag.
    ///
    /// ```
    /// use keys::pkcs12::Target;
    /// assert_eq!("apple".parse(), Ok(Target::Apple));
    /// assert!("amiga".parse::<Target>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Target::ALL
            .into_iter()
            .find(|target| target.to_string() == text.to_ascii_lowercase())
            .ok_or_else(|| UnknownTarget(text.to_owned()))
    }
}

/// Why no PKCS#12 file was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WritePkcs12Error {
    /// An empty password protects nothing, and importers disagree about what it is.
    #[error("an empty PKCS#12 password protects nothing, and programs disagree about it; give one")]
    EmptyPassword,
    /// The password is not text, and PKCS#12 passwords are.
    #[error("the password is not UTF-8, and PKCS#12 has text passwords (RFC 7292 appendix B.1)")]
    PasswordEncoding,
    /// No certificate came with the key.
    #[error("a PKCS#12 file needs the key's certificate, and none was given")]
    NoCertificate,
    /// A certificate is no certificate.
    #[error("certificate {place} of the chain is not a certificate: {source}")]
    Certificate {
        /// Its place, counted from 1.
        place: usize,
        /// What is wrong.
        source: DerError,
    },
    /// The first certificate is not the key's.
    #[error("the first certificate is not for this key; was it swapped, or is the chain in another order?")]
    KeyMismatch,
    /// No random bytes for salts.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The cryptographic library failed.
    #[error("the cryptographic library could not encrypt the PKCS#12 file")]
    Provider,
}

/// Makes a PKCS#12 file: the key, its certificate first in `chain_der`, and the certificates above it. An empty
/// `friendly_name` is left out. A password that is not ASCII makes a file that Java's keytool cannot open.
///
/// # Errors
/// [`WritePkcs12Error`].
pub fn write_pkcs12(
    key: &PrivateKey,
    chain_der: &[&[u8]],
    friendly_name: &str,
    password: &Passphrase,
    target: Target,
) -> Result<Vec<u8>, WritePkcs12Error> {
    let leaf = *chain_der.first().ok_or(WritePkcs12Error::NoCertificate)?;
    for (index, certificate) in chain_der.iter().enumerate() {
        let spki = subject_public_key_info(certificate)
            .map_err(|source| WritePkcs12Error::Certificate { place: index + 1, source })?;
        if index == 0 && spki != key.public_key().spki_der() {
            return Err(WritePkcs12Error::KeyMismatch);
        }
    }
    let password = checked(password)?;
    // Any octets do, as long as the key and its certificate have the same.
    let local_key_id = &pki::sha256(leaf)[..20];
    let attributes = Attributes { friendly_name, local_key_id, trusted: false };
    let mut certificates = Writer::new();
    certificates.nested(tag::SEQUENCE, |w| {
        for (index, certificate) in chain_der.iter().enumerate() {
            write_certificate(w, certificate, (index == 0).then_some(&attributes));
        }
    });
    let shrouded =
        encrypted::encrypt_with(key, &scheme(target)?, &password).map_err(|error| match error {
            EncryptKeyError::EmptyPassphrase => WritePkcs12Error::EmptyPassword,
            EncryptKeyError::Random(error) => WritePkcs12Error::Random(error),
            EncryptKeyError::Provider => WritePkcs12Error::Provider,
        })?;
    let mut keys = Writer::new();
    keys.nested(tag::SEQUENCE, |w| {
        w.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::SHROUDED_KEY_BAG);
            w.nested(tag::context_constructed(0), |w| w.raw(&shrouded));
            attributes.write(w);
        });
    });
    seal(&certificates.into_bytes(), Some(&keys.into_bytes()), &password, target)
}

/// Makes a PKCS#12 file of certificates to trust, each with the name people give it, and no key. They have Java's mark:
/// its trust stores are made of such files, and others pass it over.
///
/// # Errors
/// [`WritePkcs12Error`].
pub fn write_trust_store(
    certificates: &[(&[u8], &str)],
    password: &Passphrase,
    target: Target,
) -> Result<Vec<u8>, WritePkcs12Error> {
    if certificates.is_empty() {
        return Err(WritePkcs12Error::NoCertificate);
    }
    for (index, (certificate, _)) in certificates.iter().enumerate() {
        subject_public_key_info(certificate)
            .map_err(|source| WritePkcs12Error::Certificate { place: index + 1, source })?;
    }
    let password = checked(password)?;
    let mut bags = Writer::new();
    bags.nested(tag::SEQUENCE, |w| {
        for (certificate, friendly_name) in certificates {
            let attributes = Attributes { friendly_name, local_key_id: &[], trusted: true };
            write_certificate(w, certificate, Some(&attributes));
        }
    });
    seal(&bags.into_bytes(), None, &password, target)
}

/// Importers disagree about empty passwords, and octets that are no text have no spelling at all.
fn checked(password: &Passphrase) -> Result<Password<'_>, WritePkcs12Error> {
    if password.is_empty() {
        return Err(WritePkcs12Error::EmptyPassword);
    }
    std::str::from_utf8(password.bytes()).map_err(|_| WritePkcs12Error::PasswordEncoding)?;
    Ok(Password::new(password.bytes()))
}

fn scheme(target: Target) -> Result<Scheme, RandomError> {
    if target.is_old() {
        return Pkcs12Encryption::generate(OLD_ITERATIONS).map(Scheme::Pkcs12);
    }
    Pbes2::generate(ENCRYPTION_ITERATIONS).map(Scheme::Pbes2)
}

/// The certificates encrypted as a whole, the keys (encrypted each) beside them, and the MAC over both.
fn seal(
    certificates: &[u8],
    keys: Option<&[u8]>,
    password: &Password<'_>,
    target: Target,
) -> Result<Vec<u8>, WritePkcs12Error> {
    let scheme = scheme(target)?;
    let encrypted =
        scheme.encrypt(password, certificates).map_err(|CipherFailed| WritePkcs12Error::Provider)?;
    let mut authenticated = Writer::new();
    authenticated.nested(tag::SEQUENCE, |w| {
        write_content_info(w, &oid::ENCRYPTED_DATA, |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.integer(&[0]);
                w.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(&oid::DATA);
                    scheme.write(w);
                    w.primitive(tag::context(0), &encrypted);
                });
            });
        });
        if let Some(keys) = keys {
            write_content_info(w, &oid::DATA, |w| w.primitive(tag::OCTET_STRING, keys));
        }
    });
    let authenticated = authenticated.into_bytes();
    let salt = random::random_bytes::<SALT_LENGTH>()?.to_vec();
    let (hash, iterations) =
        if target.is_old() { (Hash::Sha1, OLD_ITERATIONS) } else { (Hash::Sha256, MAC_ITERATIONS) };
    let mac = Mac::make(hash, password, salt, iterations, &authenticated);
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.integer(&[3]);
        write_content_info(w, &oid::DATA, |w| w.primitive(tag::OCTET_STRING, &authenticated));
        mac.write(w);
    });
    Ok(writer.into_bytes())
}

struct Attributes<'a> {
    friendly_name: &'a str,
    /// Empty where there is none.
    local_key_id: &'a [u8],
    trusted: bool,
}

impl Attributes<'_> {
    /// In the order that DER wants of a SET OF: by their encodings (X.690 section 11.6).
    fn write(&self, writer: &mut Writer) {
        let mut each = Vec::new();
        if !self.local_key_id.is_empty() {
            each.push(attribute(&oid::LOCAL_KEY_ID, tag::OCTET_STRING, self.local_key_id));
        }
        if let Some(kind) = Oid::from_dotted(TRUSTED_KEY_USAGE).filter(|_| self.trusted) {
            each.push(attribute(&kind, tag::OBJECT_IDENTIFIER, oid::ANY_EXTENDED_KEY_USAGE.content()));
        }
        if !self.friendly_name.is_empty() {
            let name: Vec<u8> = self.friendly_name.encode_utf16().flat_map(u16::to_be_bytes).collect();
            each.push(attribute(&oid::FRIENDLY_NAME, tag::BMP_STRING, &name));
        }
        each.sort();
        writer.nested(tag::SET, |w| each.iter().for_each(|attribute| w.raw(attribute)));
    }
}

fn attribute(kind: &Oid, tag: u8, value: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.object_identifier(kind);
        w.nested(tag::SET, |w| w.primitive(tag, value));
    });
    writer.into_bytes()
}

fn write_content_info(writer: &mut Writer, kind: &Oid, content: impl FnOnce(&mut Writer)) {
    writer.nested(tag::SEQUENCE, |w| {
        w.object_identifier(kind);
        w.nested(tag::context_constructed(0), content);
    });
}

fn write_certificate(writer: &mut Writer, certificate: &[u8], attributes: Option<&Attributes<'_>>) {
    writer.nested(tag::SEQUENCE, |w| {
        w.object_identifier(&oid::CERT_BAG);
        w.nested(tag::context_constructed(0), |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(&oid::X509_CERTIFICATE_BAG);
                w.nested(tag::context_constructed(0), |w| w.primitive(tag::OCTET_STRING, certificate));
            });
        });
        if let Some(attributes) = attributes {
            attributes.write(w);
        }
    });
}

/// The SubjectPublicKeyInfo of a certificate (RFC 5280 section 4.1). Only its place is read; whether the
/// certificate is any good is not this module's question.
fn subject_public_key_info(certificate: &[u8]) -> Result<&[u8], DerError> {
    let mut outer = Reader::new(certificate);
    let mut signed = outer.nested(tag::SEQUENCE)?;
    outer.finish()?;
    let mut to_be_signed = signed.nested(tag::SEQUENCE)?;
    to_be_signed.optional(tag::context_constructed(0))?;
    to_be_signed.expect(tag::INTEGER)?;
    // Signature algorithm, issuer, validity, subject.
    for _ in 0..4 {
        to_be_signed.expect(tag::SEQUENCE)?;
    }
    Ok(to_be_signed.expect(tag::SEQUENCE)?.whole)
}
