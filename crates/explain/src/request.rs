//! A certificate signing request (PKCS #10, RFC 2986).

use pki::der::tag;
use pki::oid;

use crate::extension::{self, ExtensionDescription, ExtensionValue};
use crate::field::{AlgorithmDescription, Identifier, NameDescription, NameEntry};
use crate::model::Remark;
use crate::public_key::PublicKeyDescription;
use crate::tlv::{Cursor, Problems};

/// A request.
#[derive(Debug, Clone)]
pub struct RequestDescription {
    /// The subject asked for.
    pub subject: Option<NameDescription>,
    /// The key to certify.
    pub public_key: Option<PublicKeyDescription>,
    /// The extensions asked for.
    pub extensions: Vec<ExtensionDescription>,
    /// The other attributes.
    pub attributes: Vec<Identifier>,
    /// What it is signed with.
    pub signature_algorithm: Option<AlgorithmDescription>,
    /// Whether the requester has shown to hold the key, or why countersign would not sign it.
    pub possession: Result<(), String>,
    /// SHA-256 of the whole encoding.
    pub sha256: [u8; 32],
}

impl RequestDescription {
    /// Reads one DER request.
    #[must_use]
    pub fn read(der: &[u8], problems: &mut Problems) -> Self {
        let mut request = RequestDescription {
            subject: None,
            public_key: None,
            extensions: Vec::new(),
            attributes: Vec::new(),
            signature_algorithm: None,
            possession: pki::csr::CertificateRequest::from_der(der)
                .map(|_| ())
                .map_err(|error| error.to_string()),
            sha256: pki::sha256(der),
        };
        let mut outer = Cursor::new(der);
        let Some(whole) = outer.expect(tag::SEQUENCE, "request", problems) else { return request };
        outer.finish("request", problems);
        let mut parts = whole.cursor();
        if let Some(info) = parts.expect(tag::SEQUENCE, "part that is signed", problems) {
            request.read_info(info.cursor(), problems);
        }
        if let Some(algorithm) = parts.expect(tag::SEQUENCE, "signature algorithm", problems) {
            request.signature_algorithm =
                AlgorithmDescription::from_element(&algorithm, "signature algorithm", problems);
        }
        parts.expect(tag::BIT_STRING, "signature", problems);
        parts.finish("request", problems);
        request
    }

    fn read_info(&mut self, mut info: Cursor<'_>, problems: &mut Problems) {
        info.expect(tag::INTEGER, "version", problems);
        if let Some(subject) = info.expect(tag::SEQUENCE, "subject", problems) {
            self.subject = Some(NameDescription::from_element(&subject, "subject", problems));
        }
        if let Some(key) = info.expect(tag::SEQUENCE, "public key", problems) {
            self.public_key = PublicKeyDescription::from_element(&key, problems);
        }
        if let Some(attributes) = info.optional(tag::context_constructed(0), problems) {
            let mut attributes = attributes.cursor();
            while let Some(attribute) = attributes.next(problems) {
                let mut parts = attribute.cursor();
                let Some(identifier) = Identifier::read(&mut parts, "attribute", problems) else { continue };
                match parts.expect(tag::SET, "attribute's values", problems) {
                    Some(values) if identifier.is(&oid::EXTENSION_REQUEST) => {
                        self.extensions.extend(extension::read_all(&mut values.cursor(), problems));
                    }
                    _ => self.attributes.push(identifier),
                }
            }
        }
        info.finish("signed part", problems);
    }

    /// The names asked for in subjectAltName.
    #[must_use]
    pub fn subject_alt_names(&self) -> &[NameEntry] {
        match extension::find(&self.extensions, &oid::SUBJECT_ALT_NAME).map(|extension| &extension.value) {
            Some(ExtensionValue::Names(names)) => names,
            _ => &[],
        }
    }

    pub(crate) fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        if let Err(reason) = &self.possession {
            remarks.push(Remark::error("request_unusable", crate::escape::text(reason)));
        }
        if let Some(digest) = self.signature_algorithm.as_ref().and_then(AlgorithmDescription::weak_digest) {
            remarks.push(Remark::warning("weak_signature", format!("signed with {digest}, which is broken")));
        }
        if let Some(key) = &self.public_key {
            remarks.extend(key.remarks());
        }
        if self.subject_alt_names().is_empty() {
            remarks.push(Remark::note("subject_alt_name_missing", "it asks for no subjectAltName"));
        }
        for extension in &self.extensions {
            if let ExtensionValue::BasicConstraints { ca: true, .. } = extension.value {
                remarks.push(Remark::warning(
                    "request_asks_for_ca",
                    "it asks to become a CA; a CA that copies what is asked would make it one",
                ));
            }
        }
        remarks
    }
}
