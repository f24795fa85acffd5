//! A certificate (RFC 5280 section 4.1), field by field, whatever its condition.

use pki::der::tag;
use pki::oid;

use crate::extension::{self, ExtensionDescription, ExtensionValue};
use crate::field::{AlgorithmDescription, Identifier, NameDescription, NameEntry, TimeDescription};
use crate::public_key::{PublicKeyDescription, sha1};
use crate::tlv::{Cursor, Problems};

/// A certificate.
#[derive(Debug, Clone)]
pub struct CertificateDescription {
    /// The version people say: 1, 2 or 3.
    pub version: u64,
    /// The serial number's content octets.
    pub serial: Vec<u8>,
    /// What it says it is signed with.
    pub signature_algorithm: Option<AlgorithmDescription>,
    /// Who issued it.
    pub issuer: Option<NameDescription>,
    /// The first second of its validity.
    pub not_before: Option<TimeDescription>,
    /// The last second of its validity.
    pub not_after: Option<TimeDescription>,
    /// Whose it is.
    pub subject: Option<NameDescription>,
    /// The subject's key.
    pub public_key: Option<PublicKeyDescription>,
    /// Its extensions in order.
    pub extensions: Vec<ExtensionDescription>,
    /// The signature's octets.
    pub signature: Vec<u8>,
    /// SHA-256 of the whole encoding.
    pub sha256: [u8; 32],
    /// SHA-1 of the whole encoding.
    pub sha1: [u8; 20],
    /// Where subject and issuer are the same: whether its own key made the signature. `None` where they are not
    /// the same, or the algorithm cannot be verified here.
    pub self_signature: Option<bool>,
    /// The certificate as path validation reads it, or why it does not.
    pub strict: Result<pki::Certificate, pki::certificate::CertificateError>,
}

/// What a certificate is for, in two or three words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A CA that issued itself.
    RootCa,
    /// A CA below another.
    IntermediateCa,
    /// serverAuth alone.
    Server,
    /// clientAuth alone.
    Client,
    /// Both.
    ServerAndClient,
    /// Anything else.
    Other,
}

impl Role {
    /// The words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Role::RootCa => "root CA",
            Role::IntermediateCa => "intermediate CA",
            Role::Server => "server certificate",
            Role::Client => "client certificate",
            Role::ServerAndClient => "server and client certificate",
            Role::Other => "certificate",
        }
    }
}

impl CertificateDescription {
    /// Reads one DER certificate.
    #[must_use]
    pub fn read(der: &[u8], problems: &mut Problems) -> Self {
        let mut certificate = CertificateDescription {
            version: 1,
            serial: Vec::new(),
            signature_algorithm: None,
            issuer: None,
            not_before: None,
            not_after: None,
            subject: None,
            public_key: None,
            extensions: Vec::new(),
            signature: Vec::new(),
            sha256: pki::sha256(der),
            sha1: sha1(der),
            self_signature: None,
            strict: pki::Certificate::from_der(der),
        };
        let mut outer = Cursor::new(der);
        if let Some(whole) = outer.expect(tag::SEQUENCE, "certificate", problems) {
            outer.finish("certificate", problems);
            let mut parts = whole.cursor();
            if let Some(tbs) = parts.expect(tag::SEQUENCE, "part that is signed", problems) {
                certificate.read_tbs(tbs.cursor(), problems);
            }
            if let Some(algorithm) = parts.expect(tag::SEQUENCE, "signature algorithm", problems) {
                certificate.signature_algorithm =
                    AlgorithmDescription::from_element(&algorithm, "signature algorithm", problems);
            }
            if let Some(signature) = parts.expect(tag::BIT_STRING, "signature", problems) {
                certificate.signature = signature.content.get(1..).unwrap_or_default().to_vec();
            }
            parts.finish("certificate", problems);
        }
        certificate.self_signature = certificate.verify_self();
        if problems.is_empty()
            && let Err(error) = &certificate.strict
        {
            problems.note(0, format!("path validation refuses it: {error}"));
        }
        certificate
    }

    fn read_tbs(&mut self, mut tbs: Cursor<'_>, problems: &mut Problems) {
        if let Some(explicit) = tbs.optional(tag::context_constructed(0), problems) {
            let version = explicit.cursor().next(problems);
            self.version =
                version.as_ref().and_then(crate::field::small_number).unwrap_or(0).saturating_add(1);
        }
        if let Some(serial) = tbs.expect(tag::INTEGER, "serial number", problems) {
            self.serial = serial.content.to_vec();
        }
        tbs.expect(tag::SEQUENCE, "signature algorithm inside the signed part", problems);
        if let Some(issuer) = tbs.expect(tag::SEQUENCE, "issuer", problems) {
            self.issuer = Some(NameDescription::from_element(&issuer, "issuer", problems));
        }
        if let Some(validity) = tbs.expect(tag::SEQUENCE, "validity", problems) {
            let mut times = validity.cursor();
            self.not_before = TimeDescription::read(&mut times, "notBefore", problems);
            self.not_after = TimeDescription::read(&mut times, "notAfter", problems);
        }
        if let Some(subject) = tbs.expect(tag::SEQUENCE, "subject", problems) {
            self.subject = Some(NameDescription::from_element(&subject, "subject", problems));
        }
        if let Some(key) = tbs.expect(tag::SEQUENCE, "subject's public key", problems) {
            self.public_key = PublicKeyDescription::from_element(&key, problems);
        }
        tbs.optional(tag::context(1), problems);
        tbs.optional(tag::context(2), problems);
        if let Some(explicit) = tbs.optional(tag::context_constructed(3), problems) {
            self.extensions = extension::read_all(&mut explicit.cursor(), problems);
        }
        tbs.finish("signed part", problems);
    }

    fn verify_self(&self) -> Option<bool> {
        let strict = self.strict.as_ref().ok().filter(|certificate| certificate.is_self_issued())?;
        strict.signature_algorithm()?;
        let key = strict.public_key().ok()?;
        Some(strict.verify_signature(key).is_ok())
    }

    fn value(&self, oid: &oid::Oid) -> Option<&ExtensionValue> {
        extension::find(&self.extensions, oid).map(|extension| &extension.value)
    }

    /// subjectAltName.
    #[must_use]
    pub fn subject_alt_names(&self) -> &[NameEntry] {
        match self.value(&oid::SUBJECT_ALT_NAME) {
            Some(ExtensionValue::Names(names)) => names,
            _ => &[],
        }
    }

    /// extKeyUsage; `None` where the extension is missing.
    #[must_use]
    pub fn extended_key_usages(&self) -> Option<&[Identifier]> {
        match self.value(&oid::EXTENDED_KEY_USAGE) {
            Some(ExtensionValue::ExtendedKeyUsage(usages)) => Some(usages),
            _ => None,
        }
    }

    /// keyUsage; `None` where the extension is missing.
    #[must_use]
    pub fn key_usages(&self) -> Option<&[&'static str]> {
        match self.value(&oid::KEY_USAGE) {
            Some(ExtensionValue::KeyUsage(usages)) => Some(usages),
            _ => None,
        }
    }

    /// basicConstraints' cA.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        matches!(self.value(&oid::BASIC_CONSTRAINTS), Some(ExtensionValue::BasicConstraints { ca: true, .. }))
    }

    /// pathLenConstraint.
    #[must_use]
    pub fn path_length(&self) -> Option<u64> {
        match self.value(&oid::BASIC_CONSTRAINTS) {
            Some(ExtensionValue::BasicConstraints { path_length, .. }) => *path_length,
            _ => None,
        }
    }

    /// subjectKeyIdentifier.
    #[must_use]
    pub fn subject_key_identifier(&self) -> Option<&[u8]> {
        match self.value(&oid::SUBJECT_KEY_IDENTIFIER) {
            Some(ExtensionValue::KeyIdentifier(identifier)) => Some(identifier),
            _ => None,
        }
    }

    /// The keyIdentifier of authorityKeyIdentifier.
    #[must_use]
    pub fn authority_key_identifier(&self) -> Option<&[u8]> {
        match self.value(&oid::AUTHORITY_KEY_IDENTIFIER) {
            Some(ExtensionValue::AuthorityKeyIdentifier { key, .. }) => key.as_deref(),
            _ => None,
        }
    }

    /// Whether it may be used for this TLS purpose as far as extKeyUsage says.
    pub(crate) fn allows(&self, purpose: &oid::Oid) -> bool {
        self.extended_key_usages().is_some_and(|usages| {
            usages.iter().any(|usage| usage.is(purpose) || usage.is(&oid::ANY_EXTENDED_KEY_USAGE))
        })
    }

    /// Whether subject and issuer are the same name.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        matches!((&self.subject, &self.issuer), (Some(subject), Some(issuer)) if subject.matches(issuer))
    }

    /// What it is for.
    #[must_use]
    pub fn role(&self) -> Role {
        match (self.is_ca(), self.allows(&oid::SERVER_AUTH), self.allows(&oid::CLIENT_AUTH)) {
            (true, ..) if self.is_self_issued() => Role::RootCa,
            (true, ..) => Role::IntermediateCa,
            (false, true, true) => Role::ServerAndClient,
            (false, true, false) => Role::Server,
            (false, false, true) => Role::Client,
            (false, false, false) => Role::Other,
        }
    }

    /// What to call it: its subject, or where that is empty its first name.
    #[must_use]
    pub fn subject_text(&self) -> String {
        match &self.subject {
            Some(subject) if !subject.is_empty() => subject.text.clone(),
            subject => match (self.subject_alt_names().first(), subject) {
                (Some(name), _) => name.text(),
                (None, Some(subject)) => subject.text.clone(),
                (None, None) => "(subject unreadable)".to_owned(),
            },
        }
    }

    /// The serial number in hexadecimal, without sign octet.
    #[must_use]
    pub fn serial_hex(&self) -> String {
        pki::certificate::serial_hex(&self.serial)
    }
}
