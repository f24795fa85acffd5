//! Public keys, the algorithms they sign with, and the one trait by which anything is signed. Private keys are
//! made, read and kept elsewhere (crate `keys`); here they are only something that can sign.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature as aws;

use crate::der::{DerError, Reader, Writer, tag};
use crate::oid::{self, Oid};

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// ECDSA on NIST P-256 (RFC 5480), the default.
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// ECDSA on NIST P-521; read, never made.
    P521,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// RSA, with the bits of its modulus (RFC 8017).
    Rsa(u32),
    /// ML-DSA-44 (RFC 9881).
    MlDsa44,
    /// ML-DSA-65 (RFC 9881).
    MlDsa65,
    /// ML-DSA-87 (RFC 9881).
    MlDsa87,
}

impl KeyAlgorithm {
    /// Whether its signatures are believed to withstand a quantum computer: the ML-DSA ones (FIPS 204).
    ///
    /// ```
    /// use pki::key::KeyAlgorithm;
    /// assert!(KeyAlgorithm::MlDsa65.is_post_quantum() && !KeyAlgorithm::P256.is_post_quantum());
    /// ```
    #[must_use]
    pub fn is_post_quantum(self) -> bool {
        matches!(self, KeyAlgorithm::MlDsa44 | KeyAlgorithm::MlDsa65 | KeyAlgorithm::MlDsa87)
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyAlgorithm::P256 => f.write_str("ECDSA P-256"),
            KeyAlgorithm::P384 => f.write_str("ECDSA P-384"),
            KeyAlgorithm::P521 => f.write_str("ECDSA P-521"),
            KeyAlgorithm::Ed25519 => f.write_str("Ed25519"),
            KeyAlgorithm::Rsa(bits) => write!(f, "RSA {bits}"),
            KeyAlgorithm::MlDsa44 => f.write_str("ML-DSA-44"),
            KeyAlgorithm::MlDsa65 => f.write_str("ML-DSA-65"),
            KeyAlgorithm::MlDsa87 => f.write_str("ML-DSA-87"),
        }
    }
}

/// The text names no kind of key that can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no key type; use p256, p384, ed25519, rsa2048, rsa3072, rsa4096, mldsa44, mldsa65 or mldsa87"
)]
pub struct UnknownKeyAlgorithm(pub String);

impl FromStr for KeyAlgorithm {
    type Err = UnknownKeyAlgorithm;

    /// Reads the names of the `--key` flag.
    ///
    /// ```
    /// use pki::key::KeyAlgorithm;
    /// assert_eq!("rsa3072".parse(), Ok(KeyAlgorithm::Rsa(3072)));
    /// assert!("rsa1024".parse::<KeyAlgorithm>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "p256" | "p-256" | "prime256v1" | "secp256r1" => Ok(KeyAlgorithm::P256),
            "p384" | "p-384" | "secp384r1" => Ok(KeyAlgorithm::P384),
            "ed25519" => Ok(KeyAlgorithm::Ed25519),
            "rsa2048" => Ok(KeyAlgorithm::Rsa(2048)),
            "rsa3072" => Ok(KeyAlgorithm::Rsa(3072)),
            "rsa4096" => Ok(KeyAlgorithm::Rsa(4096)),
            "mldsa44" | "ml-dsa-44" => Ok(KeyAlgorithm::MlDsa44),
            "mldsa65" | "ml-dsa-65" => Ok(KeyAlgorithm::MlDsa65),
            "mldsa87" | "ml-dsa-87" => Ok(KeyAlgorithm::MlDsa87),
            _ => Err(UnknownKeyAlgorithm(text.to_owned())),
        }
    }
}

/// A signature algorithm, as certificates, CRLs and requests name it in their AlgorithmIdentifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256 (RFC 5758).
    EcdsaSha256,
    /// ecdsa-with-SHA384.
    EcdsaSha384,
    /// ecdsa-with-SHA512.
    EcdsaSha512,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// sha256WithRSAEncryption (RFC 4055).
    RsaPkcs1Sha256,
    /// sha384WithRSAEncryption.
    RsaPkcs1Sha384,
    /// sha512WithRSAEncryption.
    RsaPkcs1Sha512,
    /// rsassaPss with SHA-256, MGF1 SHA-256 and a salt of 32 octets (RFC 4055).
    RsaPssSha256,
    /// rsassaPss with SHA-384.
    RsaPssSha384,
    /// rsassaPss with SHA-512.
    RsaPssSha512,
    /// ML-DSA-44 (RFC 9881).
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
}

impl SignatureAlgorithm {
    /// The one this kind of key signs certificates with here.
    #[must_use]
    pub fn for_key(key: KeyAlgorithm) -> Self {
        match key {
            KeyAlgorithm::P256 => SignatureAlgorithm::EcdsaSha256,
            KeyAlgorithm::P384 => SignatureAlgorithm::EcdsaSha384,
            KeyAlgorithm::P521 => SignatureAlgorithm::EcdsaSha512,
            KeyAlgorithm::Ed25519 => SignatureAlgorithm::Ed25519,
            KeyAlgorithm::Rsa(_) => SignatureAlgorithm::RsaPkcs1Sha256,
            KeyAlgorithm::MlDsa44 => SignatureAlgorithm::MlDsa44,
            KeyAlgorithm::MlDsa65 => SignatureAlgorithm::MlDsa65,
            KeyAlgorithm::MlDsa87 => SignatureAlgorithm::MlDsa87,
        }
    }

    /// The DER AlgorithmIdentifier.
    #[must_use]
    pub fn algorithm_identifier(self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| match self {
            Self::EcdsaSha256 => w.object_identifier(&oid::ECDSA_WITH_SHA256),
            Self::EcdsaSha384 => w.object_identifier(&oid::ECDSA_WITH_SHA384),
            Self::EcdsaSha512 => w.object_identifier(&oid::ECDSA_WITH_SHA512),
            Self::Ed25519 => w.object_identifier(&oid::ED25519),
            Self::MlDsa44 => w.object_identifier(&oid::ML_DSA_44),
            Self::MlDsa65 => w.object_identifier(&oid::ML_DSA_65),
            Self::MlDsa87 => w.object_identifier(&oid::ML_DSA_87),
            // RFC 4055 section 5: the parameters are NULL.
            Self::RsaPkcs1Sha256 => rsa_pkcs1(w, &oid::SHA256_WITH_RSA),
            Self::RsaPkcs1Sha384 => rsa_pkcs1(w, &oid::SHA384_WITH_RSA),
            Self::RsaPkcs1Sha512 => rsa_pkcs1(w, &oid::SHA512_WITH_RSA),
            Self::RsaPssSha256 => rsa_pss(w, &oid::SHA256, 32),
            Self::RsaPssSha384 => rsa_pss(w, &oid::SHA384, 48),
            Self::RsaPssSha512 => rsa_pss(w, &oid::SHA512, 64),
        });
        writer.into_bytes()
    }

    /// Reads a whole DER AlgorithmIdentifier; `None` where it names nothing this crate can verify.
    #[must_use]
    pub fn from_algorithm_identifier(der: &[u8]) -> Option<Self> {
        const ALL: [SignatureAlgorithm; 13] = [
            SignatureAlgorithm::EcdsaSha256,
            SignatureAlgorithm::EcdsaSha384,
            SignatureAlgorithm::EcdsaSha512,
            SignatureAlgorithm::Ed25519,
            SignatureAlgorithm::RsaPkcs1Sha256,
            SignatureAlgorithm::RsaPkcs1Sha384,
            SignatureAlgorithm::RsaPkcs1Sha512,
            SignatureAlgorithm::RsaPssSha256,
            SignatureAlgorithm::RsaPssSha384,
            SignatureAlgorithm::RsaPssSha512,
            SignatureAlgorithm::MlDsa44,
            SignatureAlgorithm::MlDsa65,
            SignatureAlgorithm::MlDsa87,
        ];
        let mut reader = Reader::new(der);
        let mut sequence = reader.nested(tag::SEQUENCE).ok()?;
        let algorithm = sequence.object_identifier().ok()?;
        if sequence.is_empty() {
            // RFC 4055 section 5 tells readers to accept absent parameters for RSA too.
            let simple = match algorithm {
                oid::SHA256_WITH_RSA => Some(Self::RsaPkcs1Sha256),
                oid::SHA384_WITH_RSA => Some(Self::RsaPkcs1Sha384),
                oid::SHA512_WITH_RSA => Some(Self::RsaPkcs1Sha512),
                _ => None,
            };
            if simple.is_some() {
                return simple;
            }
        }
        ALL.into_iter().find(|known| known.algorithm_identifier() == der)
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaSha256 => "ecdsa-with-SHA256",
            Self::EcdsaSha384 => "ecdsa-with-SHA384",
            Self::EcdsaSha512 => "ecdsa-with-SHA512",
            Self::Ed25519 => "Ed25519",
            Self::RsaPkcs1Sha256 => "sha256WithRSAEncryption",
            Self::RsaPkcs1Sha384 => "sha384WithRSAEncryption",
            Self::RsaPkcs1Sha512 => "sha512WithRSAEncryption",
            Self::RsaPssSha256 => "rsassaPss with SHA-256",
            Self::RsaPssSha384 => "rsassaPss with SHA-384",
            Self::RsaPssSha512 => "rsassaPss with SHA-512",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
            Self::MlDsa87 => "ML-DSA-87",
        })
    }
}

fn rsa_pkcs1(writer: &mut Writer, algorithm: &Oid) {
    writer.object_identifier(algorithm);
    writer.null();
}

fn rsa_pss(writer: &mut Writer, hash: &Oid, salt: u8) {
    let hash_algorithm = |w: &mut Writer| {
        w.nested(tag::SEQUENCE, |w| {
            w.object_identifier(hash);
            w.null();
        });
    };
    writer.object_identifier(&oid::RSA_SSA_PSS);
    writer.nested(tag::SEQUENCE, |w| {
        w.nested(tag::context_constructed(0), hash_algorithm);
        w.nested(tag::context_constructed(1), |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(&oid::MGF1);
                hash_algorithm(w);
            });
        });
        w.nested(tag::context_constructed(2), |w| w.integer(&[salt]));
    });
}

/// Why a SubjectPublicKeyInfo is not a key that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// It is not the DER of a SubjectPublicKeyInfo.
    #[error("the public key is malformed: {0}")]
    Der(#[from] DerError),
    /// The algorithm is none of those known.
    #[error(
        "the key's algorithm {0} is not supported; use ECDSA P-256 or P-384, Ed25519, RSA of 2048 bits and more, or ML-DSA"
    )]
    UnknownAlgorithm(Oid),
    /// An elliptic curve none of those known.
    #[error("the key is on the curve {0}, which TLS peers do not accept; use P-256 or P-384")]
    UnknownCurve(Oid),
    /// The point or modulus has an impossible form.
    #[error("the public key's {0} is malformed")]
    Value(&'static str),
}

/// A signature does not match the message and key, or the key cannot make this kind of signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct SignatureInvalid;

/// A public key: its SubjectPublicKeyInfo, checked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    spki: Vec<u8>,
    algorithm: KeyAlgorithm,
    key_at: usize,
}

impl PublicKey {
    /// Reads the DER of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
    ///
    /// # Errors
    /// [`PublicKeyError`], naming what is unsupported. A weak RSA key is read: whether it will do is the
    /// reader's decision ([`PublicKey::weakness`]).
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, PublicKeyError> {
        let mut reader = Reader::new(spki);
        let mut sequence = reader.nested(tag::SEQUENCE)?;
        reader.finish()?;
        let mut identifier = sequence.nested(tag::SEQUENCE)?;
        let algorithm = identifier.object_identifier()?;
        let key = sequence.octet_bit_string()?;
        sequence.finish()?;
        let algorithm = match algorithm {
            oid::EC_PUBLIC_KEY => {
                if identifier.peek() == Some(tag::SEQUENCE) {
                    return Err(PublicKeyError::Value(
                        "curve, spelled out instead of named (RFC 5480 section 2.1.1),",
                    ));
                }
                let curve = identifier.object_identifier()?;
                let (algorithm, size) = match curve {
                    oid::SECP256R1 => (KeyAlgorithm::P256, 32),
                    oid::SECP384R1 => (KeyAlgorithm::P384, 48),
                    oid::SECP521R1 => (KeyAlgorithm::P521, 66),
                    other => return Err(PublicKeyError::UnknownCurve(other)),
                };
                // RFC 5480 section 2.2: the uncompressed form must be supported; no TLS peer sends the other.
                if key.len() != 2 * size + 1 || key[0] != 0x04 {
                    return Err(PublicKeyError::Value("point"));
                }
                algorithm
            }
            oid::RSA_ENCRYPTION => {
                identifier.optional(tag::NULL)?;
                KeyAlgorithm::Rsa(rsa_modulus_bits(key)?)
            }
            oid::ED25519 if key.len() == 32 => KeyAlgorithm::Ed25519,
            oid::ML_DSA_44 if key.len() == 1312 => KeyAlgorithm::MlDsa44,
            oid::ML_DSA_65 if key.len() == 1952 => KeyAlgorithm::MlDsa65,
            oid::ML_DSA_87 if key.len() == 2592 => KeyAlgorithm::MlDsa87,
            oid::ED25519 | oid::ML_DSA_44 | oid::ML_DSA_65 | oid::ML_DSA_87 => {
                return Err(PublicKeyError::Value("length"));
            }
            other => return Err(PublicKeyError::UnknownAlgorithm(other)),
        };
        identifier.finish()?;
        Ok(PublicKey { spki: spki.to_vec(), algorithm, key_at: spki.len() - key.len() })
    }

    /// The SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The content of the `subjectPublicKey` BIT STRING.
    #[must_use]
    pub fn key_octets(&self) -> &[u8] {
        &self.spki[self.key_at..]
    }

    /// The kind of key.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Why the key is too weak to certify, if it is (RSA under 2048 bits: NIST SP 800-131A).
    #[must_use]
    pub fn weakness(&self) -> Option<String> {
        match self.algorithm {
            KeyAlgorithm::Rsa(bits) if bits < 2048 => {
                Some(format!("an RSA key of {bits} bits is too short; the least is 2048"))
            }
            KeyAlgorithm::Rsa(bits) if bits > 8192 => Some(format!(
                "an RSA key of {bits} bits is longer than TLS libraries verify; the most is 8192"
            )),
            _ => None,
        }
    }

    /// The key identifier used in subjectKeyIdentifier: the leftmost 160 bits of the SHA-256 of the key octets
    /// (RFC 7093 section 2, method 1).
    #[must_use]
    pub fn key_identifier(&self) -> [u8; 20] {
        let mut identifier = [0; 20];
        identifier.copy_from_slice(&digest(&SHA256, self.key_octets()).as_ref()[..20]);
        identifier
    }

    /// SHA-256 of the SubjectPublicKeyInfo: what a pin compares (RFC 7469 section 2.4).
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        crate::sha256(&self.spki)
    }

    /// Verifies a signature over `message`.
    ///
    /// # Errors
    /// [`SignatureInvalid`], also where this kind of key cannot make that kind of signature.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureInvalid> {
        aws::UnparsedPublicKey::new(self.verification(algorithm)?, self.key_octets())
            .verify(message, signature)
            .map_err(|_| SignatureInvalid)
    }

    /// Verifies a signature over a message of which only the hash is at hand; Ed25519 and ML-DSA cannot.
    pub(crate) fn verify_digest(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &aws_lc_rs::digest::Digest,
        signature: &[u8],
    ) -> Result<(), SignatureInvalid> {
        aws::UnparsedPublicKey::new(self.verification(algorithm)?, self.key_octets())
            .verify_digest(digest, signature)
            .map_err(|_| SignatureInvalid)
    }

    fn verification(
        &self,
        algorithm: SignatureAlgorithm,
    ) -> Result<&'static dyn aws::VerificationAlgorithm, SignatureInvalid> {
        use KeyAlgorithm as Key;
        use SignatureAlgorithm as Signature;
        Ok(match (self.algorithm, algorithm) {
            (Key::P256, Signature::EcdsaSha256) => &aws::ECDSA_P256_SHA256_ASN1,
            (Key::P256, Signature::EcdsaSha384) => &aws::ECDSA_P256_SHA384_ASN1,
            (Key::P256, Signature::EcdsaSha512) => &aws::ECDSA_P256_SHA512_ASN1,
            (Key::P384, Signature::EcdsaSha256) => &aws::ECDSA_P384_SHA256_ASN1,
            (Key::P384, Signature::EcdsaSha384) => &aws::ECDSA_P384_SHA384_ASN1,
            (Key::P384, Signature::EcdsaSha512) => &aws::ECDSA_P384_SHA512_ASN1,
            (Key::P521, Signature::EcdsaSha256) => &aws::ECDSA_P521_SHA256_ASN1,
            (Key::P521, Signature::EcdsaSha384) => &aws::ECDSA_P521_SHA384_ASN1,
            (Key::P521, Signature::EcdsaSha512) => &aws::ECDSA_P521_SHA512_ASN1,
            (Key::Ed25519, Signature::Ed25519) => &aws::ED25519,
            (Key::Rsa(_), Signature::RsaPkcs1Sha256) => &aws::RSA_PKCS1_2048_8192_SHA256,
            (Key::Rsa(_), Signature::RsaPkcs1Sha384) => &aws::RSA_PKCS1_2048_8192_SHA384,
            (Key::Rsa(_), Signature::RsaPkcs1Sha512) => &aws::RSA_PKCS1_2048_8192_SHA512,
            (Key::Rsa(_), Signature::RsaPssSha256) => &aws::RSA_PSS_2048_8192_SHA256,
            (Key::Rsa(_), Signature::RsaPssSha384) => &aws::RSA_PSS_2048_8192_SHA384,
            (Key::Rsa(_), Signature::RsaPssSha512) => &aws::RSA_PSS_2048_8192_SHA512,
            (Key::MlDsa44, Signature::MlDsa44) => &aws::ML_DSA_44,
            (Key::MlDsa65, Signature::MlDsa65) => &aws::ML_DSA_65,
            (Key::MlDsa87, Signature::MlDsa87) => &aws::ML_DSA_87,
            _ => return Err(SignatureInvalid),
        })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.algorithm, crate::hex(&self.key_identifier()))
    }
}

fn rsa_modulus_bits(key: &[u8]) -> Result<u32, PublicKeyError> {
    let mut reader = Reader::new(key);
    let mut sequence = reader.nested(tag::SEQUENCE)?;
    reader.finish()?;
    let modulus = sequence.integer()?;
    let exponent = sequence.integer()?;
    sequence.finish()?;
    if exponent[0] & 0x80 != 0 {
        return Err(PublicKeyError::Value("exponent"));
    }
    let magnitude = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    match magnitude.first() {
        Some(first) if modulus[0] & 0x80 == 0 => {
            let bits = magnitude.len() * 8 - first.leading_zeros() as usize;
            u32::try_from(bits).map_err(|_| PublicKeyError::Value("modulus"))
        }
        _ => Err(PublicKeyError::Value("modulus")),
    }
}

/// Why a key could not sign.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The provider or token refused.
    #[error("signing failed: {0}")]
    Refused(String),
    /// This key does not make that kind of signature.
    #[error("the {key} key does not sign with {algorithm}")]
    Algorithm {
        /// The kind of key.
        key: KeyAlgorithm,
        /// What was asked of it.
        algorithm: SignatureAlgorithm,
    },
}

/// A private key, as far as its user is concerned: something that signs. Files, tokens and remote signers
/// implement it.
pub trait SigningKey: Send + Sync {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// The algorithm its signatures are made with.
    fn signature_algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::for_key(self.public_key().algorithm())
    }

    /// Signs `message` (not its hash) with [`SigningKey::signature_algorithm`]; ECDSA signatures are in DER.
    ///
    /// # Errors
    /// [`SignError`] where the token or provider refuses.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;

    /// All that it signs with, the preferred one first.
    fn signature_algorithms(&self) -> Vec<SignatureAlgorithm> {
        vec![self.signature_algorithm()]
    }

    /// Signs `message` with this one of [`SigningKey::signature_algorithms`].
    ///
    /// # Errors
    /// [`SignError::Algorithm`] for another algorithm; else as [`SigningKey::sign`].
    fn sign_with(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if algorithm == self.signature_algorithm() {
            return self.sign(message);
        }
        Err(SignError::Algorithm { key: self.public_key().algorithm(), algorithm })
    }

    /// Whether a signature is made elsewhere, in a device, a process or across a network, and so may take long: it
    /// is then not asked for on a thread that others wait for.
    fn is_elsewhere(&self) -> bool {
        false
    }
}

impl<K: SigningKey + ?Sized> SigningKey for std::sync::Arc<K> {
    fn public_key(&self) -> &PublicKey {
        (**self).public_key()
    }

    fn signature_algorithm(&self) -> SignatureAlgorithm {
        (**self).signature_algorithm()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        (**self).sign(message)
    }

    fn signature_algorithms(&self) -> Vec<SignatureAlgorithm> {
        (**self).signature_algorithms()
    }

    fn sign_with(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        (**self).sign_with(algorithm, message)
    }

    fn is_elsewhere(&self) -> bool {
        (**self).is_elsewhere()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithm_identifiers_are_read_back() {
        for bits in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa(2048)] {
            let algorithm = SignatureAlgorithm::for_key(bits);
            let der = algorithm.algorithm_identifier();
            assert_eq!(SignatureAlgorithm::from_algorithm_identifier(&der), Some(algorithm));
        }
        let pss = SignatureAlgorithm::RsaPssSha384.algorithm_identifier();
        assert_eq!(
            SignatureAlgorithm::from_algorithm_identifier(&pss),
            Some(SignatureAlgorithm::RsaPssSha384)
        );
        // RSA without parameters.
        let bare = [0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
        assert_eq!(
            SignatureAlgorithm::from_algorithm_identifier(&bare),
            Some(SignatureAlgorithm::RsaPkcs1Sha256)
        );
    }

    #[test]
    fn an_unknown_curve_is_named() {
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(&oid::EC_PUBLIC_KEY);
                w.object_identifier(&oid::SECP256K1);
            });
            w.octet_bit_string(&[4; 65]);
        });
        let error = PublicKey::from_spki_der(&writer.into_bytes());
        assert_eq!(error, Err(PublicKeyError::UnknownCurve(oid::SECP256K1)));
    }
}
