//! Whether one signature of signed data holds: the hash of the content, the attributes that bind the signature to what it
//! signs and to whose it is, and the signature itself. Nothing here says whether the certificate is believed.

use super::hash::{ContentHash, HashAlgorithm};
use super::signed_data::{CmsError, SignerInfo};
use crate::certificate::Certificate;
use crate::der::{Reader, tag};
use crate::key::KeyAlgorithm;
use crate::oid::{self, Oid};

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The content is another one.
    #[error("the content is not what was signed: its {hash} is {found}, and the signature is over {signed}")]
    OtherContent {
        /// The hash.
        hash: HashAlgorithm,
        /// That of the content at hand, its first 16 digits.
        found: String,
        /// The one that was signed.
        signed: String,
    },
    /// The content's hash was not computed.
    #[error(
        "the signer hashed with {0}, which the signature does not announce before the content (RFC 5652 section 5.1)"
    )]
    NotHashed(HashAlgorithm),
    /// A hash that is broken or unknown.
    #[error(
        "the content was hashed with {0}, which is not believed any more; ask for a signature with SHA-256 or better"
    )]
    Hash(Oid),
    /// A hash that is too weak for the key, or not the one its RFC wants.
    #[error("the content was hashed with {hash}, and a signature with {key} needs {wanted}")]
    HashForKey {
        /// The hash.
        hash: HashAlgorithm,
        /// The key.
        key: KeyAlgorithm,
        /// What is needed, and by which rule.
        wanted: &'static str,
    },
    /// A signature algorithm that is broken or unknown.
    #[error(
        "the signature was made with {0}, which is not verified here; RSA-PSS needs a salt as long as its hash (openssl cms -keyopt rsa_pss_saltlen:digest)"
    )]
    Algorithm(Oid),
    /// The signature does not verify.
    #[error(
        "the signature does not verify with the key of '{0}': the signature, or what it signs, was changed"
    )]
    Signature(String),
    /// The certificate's key cannot be used.
    #[error("the key of '{certificate}' cannot be used: {why}")]
    Key {
        /// The certificate.
        certificate: String,
        /// Why not.
        why: String,
    },
    /// A required attribute is missing.
    #[error("the signature lacks the signed attribute {0} (RFC 5652 section 5.3)")]
    Missing(Oid),
    /// The content's type was signed as another.
    #[error("the signature is over content of the type {signed}, and the content is {found}")]
    ContentType {
        /// What was signed.
        signed: Oid,
        /// What is there.
        found: Oid,
    },
    /// The signer meant another certificate.
    #[error(
        "the signature names another certificate than '{0}' as the signer's (signing-certificate, RFC 5035): somebody exchanged the certificate"
    )]
    OtherCertificate(String),
    /// No attributes are signed, and the algorithm needs the whole content.
    #[error(
        "the signature signs no attributes, and {0} would need the whole content in memory; sign it with attributes (openssl cms without -noattr)"
    )]
    NoAttributes(KeyAlgorithm),
    /// The signature's structure is broken.
    #[error(transparent)]
    Structure(#[from] CmsError),
}

/// Checks one signature over this content.
///
/// # Errors
/// [`CheckError`].
pub fn signature(
    signer: &SignerInfo,
    content_type: &Oid,
    content: &ContentHash,
    certificate: &Certificate,
) -> Result<(), CheckError> {
    let name = || certificate.short_name();
    let hash = signer.hash.map_err(CheckError::Hash)?;
    let algorithm = signer.algorithm.map_err(CheckError::Algorithm)?;
    let key = certificate
        .public_key()
        .map_err(|error| CheckError::Key { certificate: name(), why: error.to_string() })?;
    if let Some(why) = key.weakness() {
        return Err(CheckError::Key { certificate: name(), why });
    }
    if !hash.suits(key.algorithm()) {
        let wanted = match key.algorithm() {
            KeyAlgorithm::Ed25519 => "SHA-512 (RFC 8419 section 3.1)",
            _ => "SHA-512, or SHA-384 for ML-DSA-65 (RFC 9882 section 3.3)",
        };
        return Err(CheckError::HashForKey { hash, key: key.algorithm(), wanted });
    }
    let digest = content.digest(hash).ok_or(CheckError::NotHashed(hash))?;
    let Some(signed_attributes) = &signer.signed_attributes else {
        // RFC 5652 section 5.3: only a document, whose type is plain data, may be signed without attributes.
        if *content_type != oid::DATA {
            return Err(CheckError::Missing(oid::CONTENT_TYPE));
        }
        if matches!(
            key.algorithm(),
            KeyAlgorithm::Ed25519 | KeyAlgorithm::MlDsa44 | KeyAlgorithm::MlDsa65 | KeyAlgorithm::MlDsa87
        ) {
            return Err(CheckError::NoAttributes(key.algorithm()));
        }
        return key
            .verify_digest(algorithm, digest, &signer.signature)
            .map_err(|_| CheckError::Signature(name()));
    };
    // The signature first: what it does not cover proves nothing.
    key.verify(algorithm, signed_attributes, &signer.signature).map_err(|_| CheckError::Signature(name()))?;
    check_content_type(signer, content_type)?;
    let signed = signer.attribute(&oid::MESSAGE_DIGEST)?.ok_or(CheckError::Missing(oid::MESSAGE_DIGEST))?;
    if signed.tag != tag::OCTET_STRING || signed.content != digest.as_ref() {
        let digits = |octets: &[u8]| crate::hex(&octets[..octets.len().min(8)]);
        return Err(CheckError::OtherContent {
            hash,
            found: digits(digest.as_ref()),
            signed: digits(signed.content),
        });
    }
    check_signing_certificate(signer, certificate)
}

fn check_content_type(signer: &SignerInfo, content_type: &Oid) -> Result<(), CheckError> {
    let value = signer.attribute(&oid::CONTENT_TYPE)?.ok_or(CheckError::Missing(oid::CONTENT_TYPE))?;
    let signed = Reader::new(value.whole).object_identifier().map_err(CmsError::from)?;
    if signed != *content_type {
        return Err(CheckError::ContentType { signed, found: *content_type });
    }
    Ok(())
}

/// The first certificate named must be the signer's (RFC 5035 section 5.4); a signature without the attribute passes.
fn check_signing_certificate(signer: &SignerInfo, certificate: &Certificate) -> Result<(), CheckError> {
    let other = || CheckError::OtherCertificate(certificate.short_name());
    let Some(value) = signer.attribute(&oid::SIGNING_CERTIFICATE_V2)? else {
        return Ok(());
    };
    let named = || -> Result<(Option<HashAlgorithm>, Vec<u8>), crate::der::DerError> {
        let mut certificates = value.reader().nested(tag::SEQUENCE)?;
        let mut first = certificates.nested(tag::SEQUENCE)?;
        let hash = match first.optional(tag::SEQUENCE)? {
            Some(identifier) => HashAlgorithm::from_oid(&identifier.reader().object_identifier()?),
            // Left out, it is SHA-256 (RFC 5035 section 4).
            None => Some(HashAlgorithm::Sha256),
        };
        Ok((hash, first.expect(tag::OCTET_STRING)?.content.to_vec()))
    };
    let (hash, octets) = named().map_err(CmsError::from)?;
    match hash {
        Some(hash) if hash.digest(certificate.der()) == octets => Ok(()),
        _ => Err(other()),
    }
}
