//! A certificate (RFC 5280 section 4.1), read strictly and kept beside its bytes.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use crate::certificate_policy::PolicyExtensions;
use crate::der::{DerError, Reader, tag};
use crate::extension::{self, BasicConstraints, Extension, KeyUsage, NameConstraints};
use crate::key::{PublicKey, PublicKeyError, SignatureAlgorithm, SignatureInvalid};
use crate::name::{DistinguishedName, GeneralName};
use crate::oid::{self, Oid};

/// Why bytes are no certificate that can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not DER, or not the structure of a certificate.
    #[error("not a certificate: {0}")]
    Der(#[from] DerError),
    /// The structure is right and a rule of RFC 5280 is broken.
    #[error("the certificate breaks RFC 5280: {0}")]
    Rule(&'static str),
}

/// A certificate. Cloning it is cheap: the bytes are shared.
#[derive(Clone)]
pub struct Certificate(Arc<Fields>);

struct Fields {
    der: Vec<u8>,
    tbs: Range<usize>,
    signature: Range<usize>,
    signature_identifier: Vec<u8>,
    serial: Vec<u8>,
    issuer: DistinguishedName,
    subject: DistinguishedName,
    not_before: Timestamp,
    not_after: Timestamp,
    public_key: Result<PublicKey, PublicKeyError>,
    extensions: Vec<Extension>,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usages: Option<Vec<Oid>>,
    subject_alt_names: Vec<GeneralName>,
    subject_key_identifier: Option<Vec<u8>>,
    authority_key_identifier: Option<Vec<u8>>,
    name_constraints: Option<NameConstraints>,
    policies: PolicyExtensions,
    version: u8,
    /// The key with which the signature was found right. Neither the bytes nor a signature's truth ever change, so
    /// what was verified once is not verified again.
    verified_with: OnceLock<PublicKey>,
}

impl Certificate {
    /// Reads one DER certificate with nothing behind it. A key of an unknown kind is carried, not refused:
    /// whether it matters depends on what the certificate is used for.
    ///
    /// # Errors
    /// [`CertificateError`], with the offset where the DER is wrong.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let mut outer = Reader::new(der);
        let mut certificate = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let tbs_tlv = certificate.expect(tag::SEQUENCE)?;
        let signature_identifier = certificate.expect(tag::SEQUENCE)?.whole;
        let signature = certificate.octet_bit_string()?;
        certificate.finish()?;
        let tbs_start = tbs_tlv.content_offset - (tbs_tlv.whole.len() - tbs_tlv.content.len());

        let mut tbs = tbs_tlv.reader();
        let version = match tbs.optional(tag::context_constructed(0))? {
            Some(explicit) => {
                let mut reader = explicit.reader();
                let version = reader.small_integer("version")?;
                reader.finish()?;
                version
            }
            None => 0,
        };
        if version > 2 {
            return Err(CertificateError::Rule("the version is none of 1, 2 and 3 (section 4.1.2.1)"));
        }
        let serial = tbs.integer()?.to_vec();
        if tbs.expect(tag::SEQUENCE)?.whole != signature_identifier {
            return Err(CertificateError::Rule(
                "the signature algorithm inside differs from the one outside (section 4.1.1.2)",
            ));
        }
        let issuer = DistinguishedName::from_der(tbs.expect(tag::SEQUENCE)?.whole)?;
        if issuer.is_empty() {
            return Err(CertificateError::Rule("the issuer has no name (section 4.1.2.4)"));
        }
        let mut validity = tbs.nested(tag::SEQUENCE)?;
        let not_before = validity.time()?;
        let not_after = validity.time()?;
        validity.finish()?;
        let subject = DistinguishedName::from_der(tbs.expect(tag::SEQUENCE)?.whole)?;
        let public_key = PublicKey::from_spki_der(tbs.expect(tag::SEQUENCE)?.whole);
        if let Err(PublicKeyError::Der(error)) = public_key {
            return Err(error.into());
        }
        tbs.optional(tag::context(1))?;
        tbs.optional(tag::context(2))?;
        let extensions = match tbs.optional(tag::context_constructed(3))? {
            Some(explicit) => {
                let mut reader = explicit.reader();
                let extensions = Extension::read_all(&mut reader)?;
                reader.finish()?;
                extensions
            }
            None => Vec::new(),
        };
        tbs.finish()?;
        if version < 2 && !extensions.is_empty() {
            return Err(CertificateError::Rule("extensions stand in a certificate before version 3"));
        }
        let value = |oid: Oid| extensions.iter().find(|e| e.oid == oid).map(|e| e.value.as_slice());
        let basic_constraints = value(oid::BASIC_CONSTRAINTS).map(BasicConstraints::from_der).transpose()?;
        let is_ca = basic_constraints.is_some_and(|constraints| constraints.ca);
        if value(oid::NAME_CONSTRAINTS).is_some() && !is_ca {
            return Err(CertificateError::Rule(
                "nameConstraints stands in a certificate that is no CA's (section 4.2.1.10)",
            ));
        }
        Ok(Certificate(Arc::new(Fields {
            tbs: tbs_start..tbs_start + tbs_tlv.whole.len(),
            signature: der.len() - signature.len()..der.len(),
            signature_identifier: signature_identifier.to_vec(),
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            public_key,
            basic_constraints,
            key_usage: value(oid::KEY_USAGE).map(KeyUsage::from_der).transpose()?,
            extended_key_usages: value(oid::EXTENDED_KEY_USAGE)
                .map(extension::extended_key_usages)
                .transpose()?,
            subject_alt_names: value(oid::SUBJECT_ALT_NAME)
                .map(extension::general_names)
                .transpose()?
                .unwrap_or_default(),
            subject_key_identifier: value(oid::SUBJECT_KEY_IDENTIFIER)
                .map(extension::subject_key_identifier)
                .transpose()?,
            authority_key_identifier: value(oid::AUTHORITY_KEY_IDENTIFIER)
                .map(extension::authority_key_identifier)
                .transpose()?
                .flatten(),
            policies: PolicyExtensions::read(value)?,
            // At most 2, as said above.
            version: version as u8 + 1,
            name_constraints: value(oid::NAME_CONSTRAINTS).map(NameConstraints::from_der).transpose()?,
            extensions,
            der: der.to_vec(),
            verified_with: OnceLock::new(),
        })))
    }

    /// The whole encoding.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The encoding as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        crate::pem::encode("CERTIFICATE", self.der())
    }

    /// The to-be-signed bytes.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        &self.0.der[self.0.tbs.clone()]
    }

    /// The signature octets.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.0.der[self.0.signature.clone()]
    }

    /// The signature algorithm, where it is one this crate verifies.
    #[must_use]
    pub fn signature_algorithm(&self) -> Option<SignatureAlgorithm> {
        SignatureAlgorithm::from_algorithm_identifier(&self.0.signature_identifier)
    }

    /// The OID of the signature algorithm.
    #[must_use]
    pub fn signature_algorithm_oid(&self) -> Option<Oid> {
        Reader::new(&self.0.signature_identifier).nested(tag::SEQUENCE).ok()?.object_identifier().ok()
    }

    /// The serial number's content octets: big-endian two's complement.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// The serial number in hexadecimal, as openssl prints it but in lower case: no sign octet.
    #[must_use]
    pub fn serial_hex(&self) -> String {
        serial_hex(self.serial())
    }

    /// The issuer's name.
    #[must_use]
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }

    /// The subject's name.
    #[must_use]
    pub fn subject(&self) -> &DistinguishedName {
        &self.0.subject
    }

    /// What to call it in a sentence: the commonName, else its first subjectAltName, else the whole subject.
    #[must_use]
    pub fn short_name(&self) -> String {
        match (self.subject().common_name(), self.subject_alt_names().first()) {
            (None, Some(name)) => name.value(),
            _ => self.subject().short(),
        }
    }

    /// The first second of its validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// The last second of its validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// The subject's key, or why it is of no use here.
    ///
    /// # Errors
    /// [`PublicKeyError`].
    pub fn public_key(&self) -> Result<&PublicKey, PublicKeyError> {
        self.0.public_key.as_ref().map_err(Clone::clone)
    }

    /// All extensions, in order.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.0.extensions
    }

    /// basicConstraints.
    #[must_use]
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.0.basic_constraints
    }

    /// Whether it says it is a CA.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.0.basic_constraints.is_some_and(|constraints| constraints.ca)
    }

    /// keyUsage.
    #[must_use]
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.key_usage
    }

    /// extKeyUsage.
    #[must_use]
    pub fn extended_key_usages(&self) -> Option<&[Oid]> {
        self.0.extended_key_usages.as_deref()
    }

    /// subjectAltName.
    #[must_use]
    pub fn subject_alt_names(&self) -> &[GeneralName] {
        &self.0.subject_alt_names
    }

    /// subjectKeyIdentifier.
    #[must_use]
    pub fn subject_key_identifier(&self) -> Option<&[u8]> {
        self.0.subject_key_identifier.as_deref()
    }

    /// The keyIdentifier of authorityKeyIdentifier.
    #[must_use]
    pub fn authority_key_identifier(&self) -> Option<&[u8]> {
        self.0.authority_key_identifier.as_deref()
    }

    /// nameConstraints.
    #[must_use]
    pub fn name_constraints(&self) -> Option<&NameConstraints> {
        self.0.name_constraints.as_ref()
    }

    /// certificatePolicies, policyMappings, policyConstraints and inhibitAnyPolicy.
    #[must_use]
    pub fn policy_extensions(&self) -> &PolicyExtensions {
        &self.0.policies
    }

    /// The version: 1, 2 or 3.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.0.version
    }

    /// The key with which the signature was found right, where that was so.
    pub(crate) fn verified_with(&self) -> Option<&PublicKey> {
        self.0.verified_with.get()
    }

    /// Whether subject and issuer are the same name.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.subject().matches(self.issuer())
    }

    /// SHA-256 of the whole encoding.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        crate::sha256(self.der())
    }

    /// Verifies the signature with this key.
    ///
    /// # Errors
    /// [`SignatureInvalid`], also for algorithms this crate does not verify (MD5, SHA-1, DSA).
    pub fn verify_signature(&self, key: &PublicKey) -> Result<(), SignatureInvalid> {
        if self.0.verified_with.get() == Some(key) {
            return Ok(());
        }
        let algorithm = self.signature_algorithm().ok_or(SignatureInvalid)?;
        key.verify(algorithm, self.tbs_der(), self.signature())?;
        // Another key may have verified it meanwhile; either one is true.
        let _ = self.0.verified_with.set(key.clone());
        Ok(())
    }
}

/// A serial number's content octets in hexadecimal, without the sign octet.
#[must_use]
pub fn serial_hex(content: &[u8]) -> String {
    match content {
        [0, rest @ ..] if !rest.is_empty() => crate::hex(rest),
        _ => crate::hex(content),
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for Certificate {}

impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.der().hash(state);
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, serial {})", self.subject(), self.serial_hex())
    }
}
