//! The online certificate status protocol (RFC 6960): questions and answers, read and written. Carrying them is the
//! work of others; whether an answer is believed for a certificate is decided in `verify`.

mod answer;
mod draft;
mod request;

use jiff::Timestamp;

use crate::certificate::Certificate;
use crate::crl::Revocation;
use crate::der::{DerError, Reader, Writer, tag};
use crate::name::DistinguishedName;
use crate::oid::{self, Oid};

pub use answer::{OcspError, Response, SignerError};
pub use draft::{Prepared, prepare, refusal};
pub use request::{Request, RequestError};

/// The hash by which a [`CertId`] names the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// SHA-1, which RFC 5019 prescribes and every client sends. It names, and protects nothing.
    Sha1,
    /// SHA-256 (RFC 9654 section 2 and RFC 6960 section 4.3).
    Sha256,
}

impl HashAlgorithm {
    fn of(self, octets: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            HashAlgorithm::Sha1 => &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
            HashAlgorithm::Sha256 => &aws_lc_rs::digest::SHA256,
        };
        aws_lc_rs::digest::digest(algorithm, octets).as_ref().to_vec()
    }

    fn oid(self) -> Oid {
        match self {
            HashAlgorithm::Sha1 => oid::SHA1,
            HashAlgorithm::Sha256 => oid::SHA256,
        }
    }
}

/// Which certificate is meant (RFC 6960 section 4.1.1): its issuer by hashes of name and key, and its serial number.
#[derive(Debug, Clone)]
pub struct CertId {
    hash: HashAlgorithm,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    serial: Vec<u8>,
    /// Whether the AlgorithmIdentifier came without parameters: an answer repeats what was asked.
    bare: bool,
}

impl PartialEq for CertId {
    fn eq(&self, other: &Self) -> bool {
        (self.hash, &self.name_hash, &self.key_hash, &self.serial)
            == (other.hash, &other.name_hash, &other.key_hash, &other.serial)
    }
}

impl Eq for CertId {}

impl CertId {
    /// The certificate of this serial number (content octets of an INTEGER) from this issuer.
    ///
    /// # Errors
    /// [`crate::key::PublicKeyError`] where the issuer's key is of no use here.
    pub fn new(
        issuer: &Certificate,
        serial: &[u8],
        hash: HashAlgorithm,
    ) -> Result<Self, crate::key::PublicKeyError> {
        Ok(CertId {
            hash,
            name_hash: hash.of(issuer.subject().der()),
            key_hash: hash.of(issuer.public_key()?.key_octets()),
            serial: serial.to_vec(),
            bare: false,
        })
    }

    /// The hash that names the issuer.
    #[must_use]
    pub fn hash(&self) -> HashAlgorithm {
        self.hash
    }

    /// The serial number's content octets.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Whether this is the issuer that is meant.
    #[must_use]
    pub fn is_from(&self, issuer: &Certificate) -> bool {
        self.is_from_name(issuer.subject())
            && issuer.public_key().is_ok_and(|key| self.key_hash == self.hash.of(key.key_octets()))
    }

    fn is_from_name(&self, issuer: &DistinguishedName) -> bool {
        self.name_hash == self.hash.of(issuer.der())
    }

    /// Whether this certificate of this issuer is meant.
    #[must_use]
    pub fn is_of(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        self.serial == certificate.serial() && self.is_from(issuer)
    }

    /// Reads it; `None` in the hash's place where it is one that is not known here.
    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, DerError> {
        let mut sequence = reader.nested(tag::SEQUENCE)?;
        let mut identifier = sequence.nested(tag::SEQUENCE)?;
        let hash = match identifier.object_identifier()? {
            oid::SHA1 => Some(HashAlgorithm::Sha1),
            oid::SHA256 => Some(HashAlgorithm::Sha256),
            _ => None,
        };
        let bare = identifier.optional(tag::NULL)?.is_none();
        let name_hash = sequence.expect(tag::OCTET_STRING)?.content.to_vec();
        let key_hash = sequence.expect(tag::OCTET_STRING)?.content.to_vec();
        let serial = sequence.integer()?.to_vec();
        sequence.finish()?;
        Ok(hash.map(|hash| CertId { hash, name_hash, key_hash, serial, bare }))
    }

    fn write(&self, writer: &mut Writer) {
        writer.nested(tag::SEQUENCE, |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(&self.hash.oid());
                if !self.bare {
                    w.null();
                }
            });
            w.primitive(tag::OCTET_STRING, &self.name_hash);
            w.primitive(tag::OCTET_STRING, &self.key_hash);
            w.primitive(tag::INTEGER, &self.serial);
        });
    }
}

/// What is known of a certificate (RFC 6960 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertStatus {
    /// It is not revoked.
    Good,
    /// It is revoked.
    Revoked(Revocation),
    /// The responder knows nothing of it.
    Unknown,
}

/// The answer for one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleResponse {
    /// Which one.
    pub certificate: CertId,
    /// What is known.
    pub status: CertStatus,
    /// The moment at which it was known to be so.
    pub this_update: Timestamp,
    /// When newer knowledge is there; without it, newer knowledge is always there.
    pub next_update: Option<Timestamp>,
}

/// The responders that a certificate names in its authorityInfoAccess (RFC 5280 section 4.2.2.1), in its order. What
/// cannot be read of the extension is left out.
///
/// ```
/// let ca = testkit::TestCa::new();
/// let alice = ca.issue_client("alice").certificate;
/// assert!(pki::ocsp::responders_of(&alice).is_empty());
/// ```
#[must_use]
pub fn responders_of(certificate: &Certificate) -> Vec<String> {
    let mut responders = Vec::new();
    for extension in certificate.extensions().iter().filter(|e| e.oid == oid::AUTHORITY_INFO_ACCESS) {
        let Ok(mut descriptions) = Reader::new(&extension.value).nested(tag::SEQUENCE) else { continue };
        while let Ok(mut description) = descriptions.nested(tag::SEQUENCE) {
            let Ok(method) = description.object_identifier() else { continue };
            // uniformResourceIdentifier [6] (section 4.2.1.6).
            if method == oid::OCSP
                && let Ok(place) = description.expect(tag::context(6))
                && let Ok(url) = std::str::from_utf8(place.content)
            {
                responders.push(url.to_owned());
            }
        }
    }
    responders
}

/// OCSPResponseStatus (RFC 6960 section 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseStatus {
    /// There is an answer.
    Successful,
    /// The question was not understood.
    MalformedRequest,
    /// The responder is broken.
    InternalError,
    /// It has no answer at this moment.
    TryLater,
    /// Questions must be signed.
    SignatureRequired,
    /// It answers no such question, or not to this asker.
    Unauthorized,
}

impl ResponseStatus {
    const ALL: [(ResponseStatus, u8); 6] = [
        (ResponseStatus::Successful, 0),
        (ResponseStatus::MalformedRequest, 1),
        (ResponseStatus::InternalError, 2),
        (ResponseStatus::TryLater, 3),
        (ResponseStatus::SignatureRequired, 5),
        (ResponseStatus::Unauthorized, 6),
    ];

    /// The code on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or(2, |(_, code)| *code)
    }

    /// The RFC's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ResponseStatus::Successful => "successful",
            ResponseStatus::MalformedRequest => "malformedRequest",
            ResponseStatus::InternalError => "internalError",
            ResponseStatus::TryLater => "tryLater",
            ResponseStatus::SignatureRequired => "sigRequired",
            ResponseStatus::Unauthorized => "unauthorized",
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == code).map(|(status, _)| *status)
    }
}
