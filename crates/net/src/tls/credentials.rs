//! A certificate chain with the key that signs for it, checked to belong together. Reading key files is not done
//! here: what arrives is PKCS#8 in DER, or something that signs.

use std::fmt;
use std::sync::Arc;

use pki::Certificate;
use pki::key::{SignatureAlgorithm, SigningKey};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::CertifiedKey;
use rustls::{OtherError, SignatureScheme};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Why a chain and a key are no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// There is a key and no certificate.
    #[error(
        "there is no certificate for the key; give the certificate and the CAs that issued it, leaf first"
    )]
    NoCertificate,
    /// The key cannot be used.
    #[error(
        "the private key of {certificate} cannot be used for TLS: {why}; it must be unencrypted PKCS#8 of a kind \
         among ECDSA P-256, P-384, P-521, Ed25519, RSA and ML-DSA"
    )]
    UnusableKey {
        /// The certificate, by its short name.
        certificate: String,
        /// What the library says.
        why: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "the private key does not belong to the certificate of {certificate}: the certificate's key is \
         {certificate_key} and the private key's public half is {private_key} (SHA-256); give the key that was \
         made with this certificate, or check whether two files were swapped"
    )]
    KeyMismatch {
        /// The certificate, by its short name.
        certificate: String,
        /// SHA-256 of the certificate's SubjectPublicKeyInfo, its first 16 digits.
        certificate_key: String,
        /// The same of the private key.
        private_key: String,
    },
}

/// A chain, leaf first, and its key. Cloning it is cheap.
#[derive(Clone)]
pub struct Credentials {
    chain: Vec<Certificate>,
    certified: Arc<CertifiedKey>,
    elsewhere: bool,
}

/// The schemes of RSA with PKCS#1 v1.5.
const PKCS1: [SignatureScheme; 3] =
    [SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::RSA_PKCS1_SHA384, SignatureScheme::RSA_PKCS1_SHA512];

impl Credentials {
    /// Credentials of a chain (leaf first, the anchor may be left out) and a private key in unencrypted PKCS#8.
    ///
    /// # Errors
    /// [`CredentialsError`], where they do not belong together.
    ///
    /// ```
    /// let alice = testkit::TestCa::new().issue_client("alice");
    /// let chain = std::iter::once(&alice.certificate).chain(&alice.chain).cloned().collect();
    /// let credentials = net::tls::Credentials::new(chain, alice.key.pkcs8_der())?;
    /// assert_eq!(credentials.leaf().short_name(), "alice");
    /// # Ok::<(), net::tls::CredentialsError>(())
    /// ```
    pub fn new(chain: Vec<Certificate>, pkcs8_der: &[u8]) -> Result<Self, CredentialsError> {
        let leaf = chain.first().ok_or(CredentialsError::NoCertificate)?;
        let key = any_supported_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8_der))).map_err(
            |error| CredentialsError::UnusableKey { certificate: leaf.short_name(), why: error.to_string() },
        )?;
        Self::assemble(chain, key)
    }

    /// Credentials whose key is elsewhere: in a token, or behind a service. Signing blocks the thread it runs on.
    /// An RSA key that signs with PKCS#1 v1.5 alone serves TLS 1.2 only (RFC 8446 section 4.2.3).
    ///
    /// # Errors
    /// [`CredentialsError`], where they do not belong together.
    pub fn with_signer(
        chain: Vec<Certificate>,
        signer: Arc<dyn SigningKey>,
    ) -> Result<Self, CredentialsError> {
        let leaf = chain.first().ok_or(CredentialsError::NoCertificate)?;
        let mut algorithms = signer.signature_algorithms();
        // TLS 1.3 takes RSA-PSS alone (RFC 8446 section 4.2.3), and whoever takes the other under TLS 1.2 takes both.
        algorithms.sort_by_key(|algorithm| matches!(scheme_of(*algorithm), Some(s) if PKCS1.contains(&s)));
        let schemes: Vec<SignatureScheme> = algorithms.into_iter().filter_map(scheme_of).collect();
        if schemes.is_empty() {
            return Err(CredentialsError::UnusableKey {
                certificate: leaf.short_name(),
                why: "none of its signature algorithms has a scheme in TLS".to_owned(),
            });
        }
        let elsewhere = signer.is_elsewhere();
        let mut made = Self::assemble(chain, Arc::new(Remote { signer, schemes }))?;
        made.elsewhere = elsewhere;
        Ok(made)
    }

    fn assemble(
        chain: Vec<Certificate>,
        key: Arc<dyn rustls::sign::SigningKey>,
    ) -> Result<Self, CredentialsError> {
        let leaf = chain.first().ok_or(CredentialsError::NoCertificate)?;
        let certificate = leaf.short_name();
        let of_certificate = leaf.public_key().map_err(|error| CredentialsError::UnusableKey {
            certificate: certificate.clone(),
            why: error.to_string(),
        })?;
        let of_key = key.public_key().ok_or_else(|| CredentialsError::UnusableKey {
            certificate: certificate.clone(),
            why: "its public half cannot be had, so it cannot be compared".to_owned(),
        })?;
        if of_key.as_ref() != of_certificate.spki_der() {
            let digits = |spki: &[u8]| pki::hex(&pki::sha256(spki)[..8]);
            return Err(CredentialsError::KeyMismatch {
                certificate,
                certificate_key: digits(of_certificate.spki_der()),
                private_key: digits(of_key.as_ref()),
            });
        }
        let ders = chain.iter().map(|c| CertificateDer::from(c.der().to_vec())).collect();
        Ok(Credentials { certified: Arc::new(CertifiedKey::new(ders, key)), chain, elsewhere: false })
    }

    /// The certificate the key belongs to.
    #[must_use]
    pub fn leaf(&self) -> &Certificate {
        // Made with at least one certificate.
        &self.chain[0]
    }

    /// The whole chain, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// Whether signatures are made elsewhere, and may take long.
    #[must_use]
    pub fn sign_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// What signs, in the shape that rustls asks for: for connections that are not made here.
    #[must_use]
    pub fn rustls_key(&self) -> Arc<dyn rustls::sign::SigningKey> {
        Arc::clone(&self.certified.key)
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?} and its key)", self.leaf())
    }
}

fn scheme_of(algorithm: SignatureAlgorithm) -> Option<SignatureScheme> {
    Some(match algorithm {
        SignatureAlgorithm::EcdsaSha256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureAlgorithm::EcdsaSha384 => SignatureScheme::ECDSA_NISTP384_SHA384,
        SignatureAlgorithm::EcdsaSha512 => SignatureScheme::ECDSA_NISTP521_SHA512,
        SignatureAlgorithm::Ed25519 => SignatureScheme::ED25519,
        SignatureAlgorithm::RsaPkcs1Sha256 => SignatureScheme::RSA_PKCS1_SHA256,
        SignatureAlgorithm::RsaPkcs1Sha384 => SignatureScheme::RSA_PKCS1_SHA384,
        SignatureAlgorithm::RsaPkcs1Sha512 => SignatureScheme::RSA_PKCS1_SHA512,
        SignatureAlgorithm::RsaPssSha256 => SignatureScheme::RSA_PSS_SHA256,
        SignatureAlgorithm::RsaPssSha384 => SignatureScheme::RSA_PSS_SHA384,
        SignatureAlgorithm::RsaPssSha512 => SignatureScheme::RSA_PSS_SHA512,
        SignatureAlgorithm::MlDsa44 => SignatureScheme::ML_DSA_44,
        SignatureAlgorithm::MlDsa65 => SignatureScheme::ML_DSA_65,
        SignatureAlgorithm::MlDsa87 => SignatureScheme::ML_DSA_87,
    })
}

/// A `pki` signer in the shape rustls asks for.
struct Remote {
    signer: Arc<dyn SigningKey>,
    /// What it signs with, the preferred one first; never empty.
    schemes: Vec<SignatureScheme>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({:?})", self.signer.public_key())
    }
}

impl rustls::sign::SigningKey for Remote {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let scheme = *self.schemes.iter().find(|scheme| offered.contains(scheme))?;
        let algorithm =
            self.signer.signature_algorithms().into_iter().find(|a| scheme_of(*a) == Some(scheme))?;
        Some(Box::new(OneSignature { signer: Arc::clone(&self.signer), scheme, algorithm }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.signer.public_key().spki_der()))
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        use pki::key::KeyAlgorithm as Key;
        use rustls::SignatureAlgorithm as Kind;
        match self.signer.public_key().algorithm() {
            Key::P256 | Key::P384 | Key::P521 => Kind::ECDSA,
            Key::Ed25519 => Kind::ED25519,
            Key::Rsa(_) => Kind::RSA,
            // TLS 1.2 alone asks, to choose a cipher suite, and has no number for ML-DSA.
            Key::MlDsa44 | Key::MlDsa65 | Key::MlDsa87 => {
                Kind::Unknown(u16::from(self.schemes[0]).to_be_bytes()[0])
            }
        }
    }
}

/// A signature that is about to be made.
struct OneSignature {
    signer: Arc<dyn SigningKey>,
    scheme: SignatureScheme,
    algorithm: SignatureAlgorithm,
}

impl fmt::Debug for OneSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneSignature({}, {:?})", self.algorithm, self.signer.public_key())
    }
}

impl rustls::sign::Signer for OneSignature {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let sign = || self.signer.sign_with(self.algorithm, message);
        // Other tasks of this thread go on elsewhere meanwhile, where the runtime can do that.
        let on_many = Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
        let signed = if on_many && self.signer.is_elsewhere() { block_in_place(sign) } else { sign() };
        signed.map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
