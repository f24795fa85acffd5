//! Certification requests (PKCS #10, RFC 2986): read for the key and the names in them, and written for keys
//! made here.

use crate::der::{DerError, Reader, Writer, tag};
use crate::extension::{self, BasicConstraints, Extension};
use crate::key::{PublicKey, PublicKeyError, SignError, SignatureAlgorithm, SignatureInvalid, SigningKey};
use crate::name::{DistinguishedName, GeneralName, SubjectNames};
use crate::oid;

/// Why bytes are no request that can be acted on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not the DER of a request.
    #[error("not a certificate signing request: {0}")]
    Der(#[from] DerError),
    /// The key in it cannot be certified.
    #[error("the request's key cannot be certified: {0}")]
    Key(#[from] PublicKeyError),
    /// The key is too weak.
    #[error("the request's key cannot be certified: {0}")]
    WeakKey(String),
    /// The signature algorithm is none this crate verifies.
    #[error("the request is signed with {0}, which is not supported; sign it with SHA-256")]
    Algorithm(String),
    /// The requester does not hold the private key, or the request was changed on its way.
    #[error(
        "the request's signature does not verify, so nothing shows that the requester holds the key; \
         make the request again and check that the file arrived unchanged"
    )]
    Possession(#[from] SignatureInvalid),
}

/// A request whose proof of possession was checked.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    der: Vec<u8>,
    subject: DistinguishedName,
    public_key: PublicKey,
    subject_alt_names: Vec<GeneralName>,
    ignored: Vec<String>,
}

impl CertificateRequest {
    /// Reads a DER request and verifies that it is signed with the key it names.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        let mut outer = Reader::new(der);
        let mut request = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let info_tlv = request.expect(tag::SEQUENCE)?;
        let identifier = request.expect(tag::SEQUENCE)?.whole;
        let signature = request.octet_bit_string()?;
        request.finish()?;

        let mut info = info_tlv.reader();
        info.small_integer("version")?;
        let subject = DistinguishedName::from_der(info.expect(tag::SEQUENCE)?.whole)?;
        let public_key = PublicKey::from_spki_der(info.expect(tag::SEQUENCE)?.whole)?;
        let mut extensions = Vec::new();
        let mut ignored = Vec::new();
        // RFC 2986 section 4.1 makes the attributes mandatory; some tools leave out the empty set.
        if let Some(attributes) = info.optional(tag::context_constructed(0))? {
            let mut attributes = attributes.reader();
            while !attributes.is_empty() {
                let mut attribute = attributes.nested(tag::SEQUENCE)?;
                let kind = attribute.object_identifier()?;
                let mut values = attribute.nested(tag::SET)?;
                attribute.finish()?;
                if kind == oid::EXTENSION_REQUEST {
                    if !extensions.is_empty() {
                        let what = "attributes (extensionRequest stands twice)";
                        return Err(DerError::Value { what, offset: values.offset() }.into());
                    }
                    extensions = Extension::read_all(&mut values)?;
                    values.finish()?;
                } else {
                    ignored.push(format!("the attribute {kind}"));
                }
            }
        }
        info.finish()?;

        if let Some(weakness) = public_key.weakness() {
            return Err(RequestError::WeakKey(weakness));
        }
        let algorithm = SignatureAlgorithm::from_algorithm_identifier(identifier)
            .ok_or_else(|| RequestError::Algorithm(algorithm_name(identifier)))?;
        public_key.verify(algorithm, info_tlv.whole, signature)?;

        let mut subject_alt_names = Vec::new();
        for extension in &extensions {
            if extension.oid == oid::SUBJECT_ALT_NAME {
                subject_alt_names = extension::general_names(&extension.value)?;
            } else {
                ignored.push(describe_ignored(extension));
            }
        }
        for attribute in subject.attributes().iter().filter(|a| a.oid != oid::COMMON_NAME) {
            ignored.push(format!("the subject's {} '{}'", attribute.oid, attribute.value.escape_debug()));
        }
        Ok(CertificateRequest { der: der.to_vec(), subject, public_key, subject_alt_names, ignored })
    }

    /// The whole encoding.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject asked for.
    #[must_use]
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// The key to certify.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// What the request asks for and does not get, each as a noun phrase: a request contributes its key and its
    /// names, all else comes from the profile.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The names asked for: the commonName and the subjectAltName.
    #[must_use]
    pub fn names(&self) -> SubjectNames {
        SubjectNames {
            common_name: self.subject.common_name().filter(|name| !name.trim().is_empty()),
            alternative: self.subject_alt_names.clone(),
            ..SubjectNames::default()
        }
    }
}

fn algorithm_name(identifier: &[u8]) -> String {
    let oid = Reader::new(identifier).nested(tag::SEQUENCE).and_then(|mut r| r.object_identifier());
    oid.map_or_else(|_| "an unreadable algorithm".to_owned(), |oid| oid.to_string())
}

fn describe_ignored(extension: &Extension) -> String {
    match (extension.oid, BasicConstraints::from_der(&extension.value)) {
        (oid::BASIC_CONSTRAINTS, Ok(constraints)) if constraints.ca => {
            "basicConstraints CA:TRUE (a request never makes a CA)".to_owned()
        }
        (oid, _) => format!("the extension {oid}"),
    }
}

/// Makes a request: names and key in, signed DER out.
///
/// # Errors
/// [`SignError`] where the key cannot sign.
pub fn build_request(names: &SubjectNames, key: &dyn SigningKey) -> Result<Vec<u8>, SignError> {
    let mut info = Writer::new();
    info.nested(tag::SEQUENCE, |w| {
        w.integer(&[0]);
        w.raw(names.distinguished_name().der());
        w.raw(key.public_key().spki_der());
        w.nested(tag::context_constructed(0), |w| {
            if names.alternative.is_empty() {
                return;
            }
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(&oid::EXTENSION_REQUEST);
                w.nested(tag::SET, |w| {
                    w.nested(tag::SEQUENCE, |w| {
                        Extension::write(w, &oid::SUBJECT_ALT_NAME, false, |w| {
                            w.nested(tag::SEQUENCE, |w| names.alternative.iter().for_each(|n| n.write(w)));
                        });
                    });
                });
            });
        });
    });
    let info = info.into_bytes();
    let signature = key.sign(&info)?;
    let mut request = Writer::new();
    request.nested(tag::SEQUENCE, |w| {
        w.raw(&info);
        w.raw(&key.signature_algorithm().algorithm_identifier());
        w.octet_bit_string(&signature);
    });
    Ok(request.into_bytes())
}
