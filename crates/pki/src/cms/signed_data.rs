//! Signed data as it is read: signers, certificates, lists, and the hash of the content where that came along.

use jiff::Timestamp as Moment;

use super::ber::{BerError, Normaliser};
use super::hash::{ContentHash, HashAlgorithm, Hasher};
use super::{LARGEST, check};
use crate::certificate::Certificate;
use crate::crl::CertificateRevocationList;
use crate::der::{DerError, Reader, Tlv, Writer, tag};
use crate::key::SignatureAlgorithm;
use crate::oid::{self, Oid};

/// More signers than any document has; each costs a signature's verification and a path.
const MOST_SIGNERS: usize = 16;
/// More certificates than any chain of those signers has.
const MOST_CERTIFICATES: usize = 256;

/// Why octets are no signed data that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CmsError {
    /// They are no BER.
    #[error("this is no signature: {0}")]
    Ber(#[from] BerError),
    /// The structure is broken.
    #[error("the signature is damaged: {0}")]
    Der(#[from] DerError),
    /// Something else of CMS.
    #[error("this is '{0}', and no signed data (RFC 5652 section 5)")]
    OtherType(Oid),
    /// Too much of something.
    #[error("the signature has more than {most} {what}, which no document needs")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are read.
        most: usize,
    },
    /// An attribute that must stand once stands twice, or has another number of values than one.
    #[error("the attribute {0} does not stand once with one value (RFC 5652 section 11)")]
    Attribute(Oid),
}

/// Takes signed data piece by piece: content is hashed as it passes, and not kept.
pub struct Intake {
    normaliser: Normaliser,
    hasher: Option<Hasher>,
}

impl Intake {
    /// At its start.
    #[must_use]
    pub fn new() -> Self {
        Intake { normaliser: Normaliser::new(LARGEST), hasher: None }
    }

    /// Takes the next octets.
    ///
    /// # Errors
    /// [`BerError`]; nothing more can be taken then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BerError> {
        self.push_to(bytes, &mut |_| ())
    }

    /// As [`Intake::push`]; the content that is among the octets goes on to `content`.
    ///
    /// # Errors
    /// [`BerError`].
    pub fn push_to(&mut self, bytes: &[u8], content: &mut dyn FnMut(&[u8])) -> Result<(), BerError> {
        let hasher = &mut self.hasher;
        self.normaliser.push(bytes, &mut |algorithms, octets| {
            let hasher = hasher.get_or_insert_with(|| {
                Hasher::new(
                    &algorithms.map_or_else(Vec::new, |set| HashAlgorithm::known_in(Reader::new(set))),
                )
            });
            hasher.update(octets);
            content(octets);
        })
    }

    /// The signed data, once all of it was taken.
    ///
    /// # Errors
    /// [`CmsError`].
    pub fn finish(self) -> Result<SignedData, CmsError> {
        let der = self.normaliser.finish()?;
        SignedData::from_der(&der, self.hasher.map(Hasher::finish))
    }
}

impl Default for Intake {
    fn default() -> Self {
        Intake::new()
    }
}

/// Signed data.
#[derive(Debug, Clone)]
pub struct SignedData {
    /// What the content is; [`oid::DATA`] for a document.
    pub content_type: Oid,
    /// The hash of the content, where it came along.
    pub content: Option<ContentHash>,
    /// The hashes that the signers used, as announced.
    pub hashes: Vec<HashAlgorithm>,
    /// The certificates that came along.
    pub certificates: Vec<Certificate>,
    /// The revocation lists that came along.
    pub crls: Vec<CertificateRevocationList>,
    /// Who signed.
    pub signers: Vec<SignerInfo>,
}

/// How a signer names its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerIdentifier {
    /// The issuer's name in DER, and the serial number's content octets.
    IssuerAndSerial(Vec<u8>, Vec<u8>),
    /// The subject key identifier.
    SubjectKeyIdentifier(Vec<u8>),
}

impl SignerIdentifier {
    /// Whether it names this certificate.
    #[must_use]
    pub fn names(&self, certificate: &Certificate) -> bool {
        match self {
            SignerIdentifier::IssuerAndSerial(issuer, serial) => {
                certificate.issuer().der() == issuer && certificate.serial() == serial
            }
            SignerIdentifier::SubjectKeyIdentifier(identifier) => {
                certificate.subject_key_identifier() == Some(identifier)
            }
        }
    }
}

/// One signature (RFC 5652 section 5.3).
#[derive(Debug, Clone)]
pub struct SignerInfo {
    /// Whose.
    pub identifier: SignerIdentifier,
    /// The hash of the content that was signed; the name of one that is not believed.
    pub hash: Result<HashAlgorithm, Oid>,
    /// What the signature was made with; the name of one that is not known.
    pub algorithm: Result<SignatureAlgorithm, Oid>,
    /// The signed attributes in DER, as the SET that was signed.
    pub(super) signed_attributes: Option<Vec<u8>>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The timestamp over the signature, in DER, where there is one.
    pub timestamp: Option<Vec<u8>>,
}

impl SignedData {
    /// Reads DER whose content was taken out of it.
    pub(super) fn from_der(der: &[u8], content: Option<ContentHash>) -> Result<Self, CmsError> {
        let mut outer = Reader::new(der);
        let mut info = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let content_type = info.object_identifier()?;
        if content_type != oid::SIGNED_DATA {
            return Err(CmsError::OtherType(content_type));
        }
        let mut explicit = info.nested(tag::context_constructed(0))?;
        info.finish()?;
        let mut signed = explicit.nested(tag::SEQUENCE)?;
        explicit.finish()?;
        signed.small_integer("CMSVersion")?;
        let hashes = HashAlgorithm::known_in(signed.nested(tag::SET)?);
        let mut encapsulated = signed.nested(tag::SEQUENCE)?;
        let content_type = encapsulated.object_identifier()?;
        if let Some(rest) = encapsulated.optional(tag::context_constructed(0))? {
            // An OCTET STRING was taken out; nothing else belongs here (RFC 5652 section 5.2).
            rest.reader().finish()?;
        }
        encapsulated.finish()?;
        let certificates = match signed.optional(tag::context_constructed(0))? {
            Some(set) => read_certificates(set)?,
            None => Vec::new(),
        };
        let crls = match signed.optional(tag::context_constructed(1))? {
            Some(set) => read_lists(set)?,
            None => Vec::new(),
        };
        let mut infos = signed.nested(tag::SET)?;
        signed.finish()?;
        let mut signers = Vec::new();
        while !infos.is_empty() {
            if signers.len() == MOST_SIGNERS {
                return Err(CmsError::TooMany { what: "signers", most: MOST_SIGNERS });
            }
            signers.push(SignerInfo::read(infos.nested(tag::SEQUENCE)?)?);
        }
        Ok(SignedData { content_type, content, hashes, certificates, crls, signers })
    }
}

/// CertificateSet; certificates of other kinds than X.509 are passed over, and so are those that cannot be read: whether
/// one that is needed is missing shows when the path is sought.
fn read_certificates(set: Tlv<'_>) -> Result<Vec<Certificate>, CmsError> {
    let mut reader = set.reader();
    let mut found = Vec::new();
    let mut count = 0;
    while !reader.is_empty() {
        count += 1;
        if count > MOST_CERTIFICATES {
            return Err(CmsError::TooMany { what: "certificates", most: MOST_CERTIFICATES });
        }
        found.extend(Certificate::from_der(reader.any()?.whole).ok());
    }
    Ok(found)
}

fn read_lists(set: Tlv<'_>) -> Result<Vec<CertificateRevocationList>, CmsError> {
    let mut reader = set.reader();
    let mut found = Vec::new();
    while !reader.is_empty() {
        if found.len() == MOST_SIGNERS {
            return Err(CmsError::TooMany { what: "revocation lists", most: MOST_SIGNERS });
        }
        let element = reader.any()?;
        if element.tag == tag::SEQUENCE {
            found.extend(CertificateRevocationList::from_der(element.whole).ok());
        }
    }
    Ok(found)
}

impl SignerInfo {
    fn read(mut reader: Reader<'_>) -> Result<Self, CmsError> {
        reader.small_integer("CMSVersion")?;
        let identifier = match reader.optional(tag::context(0))? {
            Some(identifier) => SignerIdentifier::SubjectKeyIdentifier(identifier.content.to_vec()),
            None => {
                let mut pair = reader.nested(tag::SEQUENCE)?;
                let issuer = pair.expect(tag::SEQUENCE)?.whole.to_vec();
                let serial = pair.expect(tag::INTEGER)?.content.to_vec();
                pair.finish()?;
                SignerIdentifier::IssuerAndSerial(issuer, serial)
            }
        };
        let hash_oid = reader.nested(tag::SEQUENCE)?.object_identifier()?;
        let hash = HashAlgorithm::from_oid(&hash_oid).ok_or(hash_oid);
        let signed_attributes = reader.optional(tag::context_constructed(0))?.map(|attributes| {
            // What was signed has the tag of a SET (RFC 5652 section 5.4).
            let mut writer = Writer::new();
            writer.nested(tag::SET, |w| w.raw(attributes.content));
            writer.into_bytes()
        });
        let algorithm = signature_algorithm(reader.expect(tag::SEQUENCE)?, hash)?;
        let signature = reader.expect(tag::OCTET_STRING)?.content.to_vec();
        let timestamp = match reader.optional(tag::context_constructed(1))? {
            Some(attributes) => {
                let mut attributes = attributes.reader();
                value_of(&mut attributes, &oid::TIME_STAMP_TOKEN)?.map(|value| value.whole.to_vec())
            }
            None => None,
        };
        reader.finish()?;
        Ok(SignerInfo { identifier, hash, algorithm, signed_attributes, signature, timestamp })
    }

    /// The one value of a signed attribute.
    pub(super) fn attribute(&self, wanted: &Oid) -> Result<Option<Tlv<'_>>, CmsError> {
        let Some(set) = &self.signed_attributes else { return Ok(None) };
        value_of(&mut Reader::new(set).nested(tag::SET)?, wanted)
    }

    /// When the signer says that it signed. Nobody but the signer vouches for it.
    #[must_use]
    pub fn signing_time(&self) -> Option<Moment> {
        let value = self.attribute(&oid::SIGNING_TIME).ok()??;
        Reader::new(value.whole).time().ok()
    }

    /// The certificate that it names, among these.
    #[must_use]
    pub fn certificate<'a>(&self, among: &'a [Certificate]) -> Option<&'a Certificate> {
        among.iter().find(|certificate| self.identifier.names(certificate))
    }

    /// Checks what it says of this content with this certificate: see [`check::signature`].
    ///
    /// # Errors
    /// [`check::CheckError`], naming what does not hold.
    pub fn check(
        &self,
        content_type: &Oid,
        content: &ContentHash,
        certificate: &Certificate,
    ) -> Result<(), check::CheckError> {
        check::signature(self, content_type, content, certificate)
    }
}

/// The one value of the one attribute by this name, among SET OF Attribute.
fn value_of<'a>(attributes: &mut Reader<'a>, wanted: &Oid) -> Result<Option<Tlv<'a>>, CmsError> {
    let mut found = None;
    while !attributes.is_empty() {
        let mut attribute = attributes.nested(tag::SEQUENCE)?;
        let name = attribute.object_identifier()?;
        let mut values = attribute.nested(tag::SET)?;
        attribute.finish()?;
        if name != *wanted {
            continue;
        }
        let value = values.any()?;
        if found.is_some() || !values.is_empty() {
            return Err(CmsError::Attribute(*wanted));
        }
        found = Some(value);
    }
    Ok(found)
}

/// The signature's algorithm: whole, or as rsaEncryption with the hash named beside it (RFC 3370 section 3.2).
fn signature_algorithm(
    identifier: Tlv<'_>,
    hash: Result<HashAlgorithm, Oid>,
) -> Result<Result<SignatureAlgorithm, Oid>, CmsError> {
    let name = identifier.reader().object_identifier()?;
    if name == oid::RSA_ENCRYPTION {
        return Ok(hash.map(|hash| match hash {
            HashAlgorithm::Sha256 => SignatureAlgorithm::RsaPkcs1Sha256,
            HashAlgorithm::Sha384 => SignatureAlgorithm::RsaPkcs1Sha384,
            HashAlgorithm::Sha512 => SignatureAlgorithm::RsaPkcs1Sha512,
        }));
    }
    Ok(SignatureAlgorithm::from_algorithm_identifier(identifier.whole).ok_or(name))
}
