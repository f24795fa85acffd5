//! Signatures over handshakes, verified by rustls with the provider's algorithms: the same on both sides.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::CertificateDer;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::negotiated::is_post_quantum;
use super::provider;

pub(crate) fn verify_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    // TLS 1.2 knows no ML-DSA, whatever a peer's library would do (draft-ietf-tls-mldsa section 3).
    if is_post_quantum(signature.scheme) {
        return Err(rustls::PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    let algorithms = &provider().signature_verification_algorithms;
    rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
}

pub(crate) fn verify_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = &provider().signature_verification_algorithms;
    rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
}

/// The same with the key alone, whatever else the certificate says: rustls' own way refuses a certificate with a critical
/// extension that it does not know, before it looks at the signature. Such certificates are what is looked at where the
/// verdict is only noted: those of tls-alpn-01 (RFC 8737 section 3), and broken ones.
pub(crate) fn verify_with_key_of(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    use pki::key::SignatureAlgorithm as Algorithm;
    let algorithm = match signature.scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => Algorithm::EcdsaSha256,
        SignatureScheme::ECDSA_NISTP384_SHA384 => Algorithm::EcdsaSha384,
        SignatureScheme::ECDSA_NISTP521_SHA512 => Algorithm::EcdsaSha512,
        SignatureScheme::ED25519 => Algorithm::Ed25519,
        SignatureScheme::RSA_PSS_SHA256 => Algorithm::RsaPssSha256,
        SignatureScheme::RSA_PSS_SHA384 => Algorithm::RsaPssSha384,
        SignatureScheme::RSA_PSS_SHA512 => Algorithm::RsaPssSha512,
        SignatureScheme::RSA_PKCS1_SHA256 => Algorithm::RsaPkcs1Sha256,
        SignatureScheme::RSA_PKCS1_SHA384 => Algorithm::RsaPkcs1Sha384,
        SignatureScheme::RSA_PKCS1_SHA512 => Algorithm::RsaPkcs1Sha512,
        SignatureScheme::ML_DSA_44 => Algorithm::MlDsa44,
        SignatureScheme::ML_DSA_65 => Algorithm::MlDsa65,
        SignatureScheme::ML_DSA_87 => Algorithm::MlDsa87,
        _ => return Err(rustls::CertificateError::BadSignature.into()),
    };
    let read = pki::Certificate::from_der(certificate).map_err(|_| rustls::CertificateError::BadEncoding)?;
    let key = read.public_key().map_err(|_| rustls::CertificateError::BadEncoding)?;
    key.verify(algorithm, message, signature.signature())
        .map(|()| HandshakeSignatureValid::assertion())
        .map_err(|_| rustls::CertificateError::BadSignature.into())
}

pub(crate) fn schemes() -> Vec<SignatureScheme> {
    provider().signature_verification_algorithms.supported_schemes()
}
