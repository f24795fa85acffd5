//! What a certificate must be for, so that a signature over a document by its key means something.

use crate::certificate::Certificate;
use crate::extension::KeyUsage;
use crate::oid::{self, Oid};

/// What is demanded of the signer's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DocumentPurpose {
    /// It speaks for somebody: no extended key usage at all, any, documentSigning, emailProtection, codeSigning or
    /// clientAuth. A certificate for servers, lists or timestamps does not.
    #[default]
    Signer,
    /// It is for documents or mail: documentSigning (RFC 9336), emailProtection, any, or none named.
    Document,
}

/// Why a certificate is not for documents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PurposeError {
    /// Its keyUsage allows no signatures over data.
    #[error(
        "the certificate of '{0}' may not sign documents: its keyUsage has neither digitalSignature nor contentCommitment (RFC 5280 section 4.2.1.3)"
    )]
    KeyUsage(String),
    /// Its extended key usages are others.
    #[error("the certificate of '{certificate}' is for {usages}, and not for documents; {wanted} would do")]
    ExtendedKeyUsage {
        /// The certificate.
        certificate: String,
        /// What it is for.
        usages: String,
        /// What is accepted.
        wanted: &'static str,
    },
    /// A CA's certificate.
    #[error("the certificate of '{0}' is a CA's, which signs certificates and no documents")]
    Ca(String),
}

/// contentCommitment, once nonRepudiation.
const CONTENT_COMMITMENT: KeyUsage = KeyUsage(1 << 1);

impl DocumentPurpose {
    /// Judges the signer's certificate.
    ///
    /// # Errors
    /// [`PurposeError`].
    pub fn judge(self, certificate: &Certificate) -> Result<(), PurposeError> {
        let name = || certificate.short_name();
        if certificate.is_ca() {
            return Err(PurposeError::Ca(name()));
        }
        let signs = |usage: KeyUsage| usage.has(KeyUsage::DIGITAL_SIGNATURE) || usage.has(CONTENT_COMMITMENT);
        if certificate.key_usage().is_some_and(|usage| !signs(usage)) {
            return Err(PurposeError::KeyUsage(name()));
        }
        let Some(usages) = certificate.extended_key_usages() else { return Ok(()) };
        let (accepted, wanted): (&[Oid], _) = match self {
            DocumentPurpose::Signer => (
                &[
                    oid::ANY_EXTENDED_KEY_USAGE,
                    oid::DOCUMENT_SIGNING,
                    oid::EMAIL_PROTECTION,
                    oid::CODE_SIGNING,
                    oid::CLIENT_AUTH,
                ],
                "documentSigning, emailProtection, codeSigning or clientAuth",
            ),
            DocumentPurpose::Document => (
                &[oid::ANY_EXTENDED_KEY_USAGE, oid::DOCUMENT_SIGNING, oid::EMAIL_PROTECTION],
                "documentSigning or emailProtection",
            ),
        };
        if usages.iter().any(|usage| accepted.contains(usage)) {
            return Ok(());
        }
        let usages: Vec<String> = usages.iter().map(ToString::to_string).collect();
        Err(PurposeError::ExtendedKeyUsage { certificate: name(), usages: usages.join(", "), wanted })
    }
}
