//! Writing PKCS#12: one key, its certificate, the chain.

use std::num::NonZeroU32;

use pki::der::{DerError, Reader, Writer, tag};
use pki::key::SigningKey;
use pki::oid::{self, Oid};

use super::mac::{Mac, Password};
use crate::encrypted::{self, EncryptKeyError};
use crate::passphrase::Passphrase;
use crate::pbes2::{CipherFailed, Pbes2, SALT_LENGTH};
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
) -> Result<Vec<u8>, WritePkcs12Error> {
    if password.is_empty() {
        return Err(WritePkcs12Error::EmptyPassword);
    }
    let utf8 = std::str::from_utf8(password.bytes()).map_err(|_| WritePkcs12Error::PasswordEncoding)?;
    let leaf = *chain_der.first().ok_or(WritePkcs12Error::NoCertificate)?;
    for (index, certificate) in chain_der.iter().enumerate() {
        let spki = subject_public_key_info(certificate)
            .map_err(|source| WritePkcs12Error::Certificate { place: index + 1, source })?;
        if index == 0 && spki != key.public_key().spki_der() {
            return Err(WritePkcs12Error::KeyMismatch);
        }
    }
    // Any octets do, as long as the key and its certificate have the same.
    let local_key_id = &pki::sha256(leaf)[..20];
    let attributes = Attributes { friendly_name, local_key_id };

    let mut certificates = Writer::new();
    certificates.nested(tag::SEQUENCE, |w| {
        for (index, certificate) in chain_der.iter().enumerate() {
            write_certificate(w, certificate, (index == 0).then_some(&attributes));
        }
    });
    let scheme = Pbes2::generate(ENCRYPTION_ITERATIONS)?;
    let certificates = scheme
        .encrypt(utf8.as_bytes(), &certificates.into_bytes())
        .map_err(|CipherFailed| WritePkcs12Error::Provider)?;
    let shrouded =
        encrypted::encrypt_with(key, utf8.as_bytes(), ENCRYPTION_ITERATIONS).map_err(
            |error| match error {
                EncryptKeyError::EmptyPassphrase => WritePkcs12Error::EmptyPassword,
                EncryptKeyError::Random(error) => WritePkcs12Error::Random(error),
                EncryptKeyError::Provider => WritePkcs12Error::Provider,
            },
        )?;

    let mut authenticated = Writer::new();
    authenticated.nested(tag::SEQUENCE, |w| {
        write_content_info(w, &oid::ENCRYPTED_DATA, |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.integer(&[0]);
                w.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(&oid::DATA);
                    scheme.write(w);
                    w.primitive(tag::context(0), &certificates);
                });
            });
        });
        let mut keys = Writer::new();
        keys.nested(tag::SEQUENCE, |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(&oid::SHROUDED_KEY_BAG);
                w.nested(tag::context_constructed(0), |w| w.raw(&shrouded));
                attributes.write(w);
            });
        });
        write_content_info(w, &oid::DATA, |w| w.primitive(tag::OCTET_STRING, &keys.into_bytes()));
    });
    let authenticated = authenticated.into_bytes();
    let salt = random::random_bytes::<SALT_LENGTH>()?.to_vec();
    let mac = Mac::make(&Password { utf8 }, salt, MAC_ITERATIONS, &authenticated);

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
    local_key_id: &'a [u8],
}

impl Attributes<'_> {
    /// In the order that DER wants of a SET OF: by their encodings (X.690 section 11.6).
    fn write(&self, writer: &mut Writer) {
        let mut each = vec![attribute(&oid::LOCAL_KEY_ID, tag::OCTET_STRING, self.local_key_id)];
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
