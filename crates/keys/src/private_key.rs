//! A private key in memory: made here or read from DER, kept as canonical PKCS#8, and able to sign.
//!
//! Three DER forms are read: PKCS#8 version 1 and 2 (RFC 5208, RFC 5958), PKCS#1 `RSAPrivateKey` (RFC 8017
//! appendix A.1.2) and SEC 1 `ECPrivateKey` (RFC 5915). One is kept: PKCS#8 version 1, which OpenSSL,
//! Node.js, Java and Go all read. Encryption is in [`crate::encrypted`], PEM in [`mod@crate::read`], and what
//! ML-DSA keys have inside their PKCS#8 in the module `ml_dsa`.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, PqdsaKeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair,
};
use pki::der::{DerError, Reader, Writer, tag};
use pki::key::{KeyAlgorithm, PublicKey, SignError, SignatureAlgorithm, SigningKey};
use pki::oid::{self, Oid};
use zeroize::Zeroizing;

use crate::ml_dsa::{self, MlDsa};
use crate::shape::Shape;

/// The fewest bits of an RSA modulus that is read: NIST SP 800-131A revision 2, and AWS-LC's own limit.
pub const RSA_MODULUS_BITS_MIN: usize = 2048;
/// The most bits of an RSA modulus that is read: AWS-LC's limit.
pub const RSA_MODULUS_BITS_MAX: usize = 8192;

/// Why no key was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GenerateKeyError {
    /// A kind of key that is not made here.
    #[error(
        "{0} keys are not made; use p256, p384, ed25519, rsa2048, rsa3072, rsa4096, mldsa44, mldsa65 or mldsa87"
    )]
    Unsupported(KeyAlgorithm),
    /// The provider refused, which means that the system's randomness failed.
    #[error(
        "the {0} key could not be made: the cryptographic library failed, most likely for want of randomness"
    )]
    Provider(KeyAlgorithm),
}

/// Why DER bytes are no private key that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// Something else than a private key.
    #[error("a private key is expected, and this is a {0}")]
    Other(String),
    /// A PKCS#8 EncryptedPrivateKeyInfo, which must be decrypted first.
    #[error("the key is encrypted; give its passphrase")]
    Encrypted,
    /// The DER is broken.
    #[error("the private key is damaged: {0}; export it again from where it came")]
    Der(#[from] DerError),
    /// A version of the structure that its RFC does not define.
    #[error("the {structure} has version {found}; the versions read are {known}")]
    Version {
        /// The structure, such as `PKCS#8 PrivateKeyInfo`.
        structure: &'static str,
        /// The version that is there.
        found: u32,
        /// The versions that are read.
        known: &'static str,
    },
    /// An algorithm none of those known.
    #[error(
        "the key is of the kind {0}, which is not supported; use ECDSA P-256 or P-384, Ed25519, RSA of 2048 bits and more, or ML-DSA"
    )]
    UnknownAlgorithm(Oid),
    /// A curve none of those known.
    #[error(
        "the key is on the curve {0}, which TLS peers do not accept; make a new one on P-256: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out NEW.pem"
    )]
    UnknownCurve(Oid),
    /// The curve is spelled out instead of named (RFC 5480 section 2.1.1 forbids it).
    #[error(
        "the key spells its curve out instead of naming it (RFC 5480 section 2.1.1); convert it: openssl pkey -in KEY -ec_param_enc named_curve -out NEW.pem"
    )]
    ExplicitCurve,
    /// A SEC 1 key without the `parameters` field.
    #[error(
        "the elliptic-curve key does not say which curve it is on (SEC 1 without parameters); export it as PKCS#8"
    )]
    NoCurve,
    /// The wrapper names one curve and the key inside another.
    #[error("the key contradicts itself: it is labelled {outside} and holds {inside}")]
    CurveMismatch {
        /// The curve in the algorithm identifier.
        outside: Oid,
        /// The curve in the ECPrivateKey.
        inside: Oid,
    },
    /// An RSA modulus that is too short or too long.
    #[error(
        "the RSA key has {bits} bits; from 2048 to 8192 are accepted. Make a new one: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out NEW.pem"
    )]
    RsaModulus {
        /// Its bits.
        bits: usize,
    },
    /// An RSA key of a form that few programs read.
    #[error(
        "the RSA key {0}; make a new one: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out NEW.pem"
    )]
    RsaForm(&'static str),
    /// The public key stored beside the private one belongs to another.
    #[error("the public key stored in the key file is not the one of its private key; the file is damaged")]
    PublicKeyMismatch,
    /// An ML-DSA key whose seed makes another key than the one beside it (RFC 9881 section 8.2 asks for the check).
    #[error(
        "the {0} key contradicts itself: its seed makes another key than the expanded one beside it; the file is damaged, or somebody changed it"
    )]
    SeedMismatch(KeyAlgorithm),
    /// An ML-DSA key in none of the three forms of RFC 9881.
    #[error(
        "the {0} key holds {1}; RFC 9881 section 6 has a seed of 32 octets, the expanded key of {2}, or both"
    )]
    MlDsaForm(KeyAlgorithm, String, usize),
    /// The numbers do not make a key.
    #[error("the numbers in the key do not make a valid {kind} key ({reason}); the file is damaged")]
    Rejected {
        /// What it says it is.
        kind: &'static str,
        /// The provider's reason.
        reason: String,
    },
    /// The provider could not write back a key that it had read.
    #[error("the cryptographic library could not encode the key")]
    Provider,
}

impl From<Unspecified> for PrivateKeyError {
    fn from(_: Unspecified) -> Self {
        PrivateKeyError::Provider
    }
}

/// A private key. Cloning it is cheap: the key is shared, and wiped when its last owner goes.
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    MlDsa(PqdsaKeyPair),
}

impl PrivateKey {
    /// Makes a new key: P-256, P-384, Ed25519, RSA of 2048, 3072 or 4096 bits, or ML-DSA-44, -65 or -87.
    ///
    /// ```
    /// use keys::PrivateKey;
    /// use pki::key::{KeyAlgorithm, SigningKey};
    /// let key = PrivateKey::generate(KeyAlgorithm::P256)?;
    /// assert_eq!(key.public_key().algorithm(), KeyAlgorithm::P256);
    /// # Ok::<(), keys::private_key::GenerateKeyError>(())
    /// ```
    ///
    /// # Errors
    /// [`GenerateKeyError`] for another kind of key, or where the provider fails.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, GenerateKeyError> {
        let failed = |_| GenerateKeyError::Provider(algorithm);
        let rsa = |size| RsaKeyPair::generate(size).map(Pair::Rsa).map_err(failed);
        let ecdsa = |curve| EcdsaKeyPair::generate(curve).map(Pair::Ecdsa).map_err(failed);
        let pair = match algorithm {
            KeyAlgorithm::P256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)?,
            KeyAlgorithm::P384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING)?,
            KeyAlgorithm::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
            KeyAlgorithm::Rsa(2048) => rsa(KeySize::Rsa2048)?,
            KeyAlgorithm::Rsa(3072) => rsa(KeySize::Rsa3072)?,
            KeyAlgorithm::Rsa(4096) => rsa(KeySize::Rsa4096)?,
            other => {
                let set = MlDsa::of(other).ok_or(GenerateKeyError::Unsupported(other))?;
                Pair::MlDsa(PqdsaKeyPair::generate(set.signing()).map_err(failed)?)
            }
        };
        Self::from_pair(pair).map_err(|_| GenerateKeyError::Provider(algorithm))
    }

    /// Reads DER in any of the three forms, by what it looks like.
    ///
    /// # Errors
    /// [`PrivateKeyError`]; [`PrivateKeyError::Encrypted`] for an EncryptedPrivateKeyInfo.
    pub fn from_der(der: &[u8]) -> Result<Self, PrivateKeyError> {
        match Shape::of(der) {
            Shape::Pkcs8 => Self::from_pkcs8_der(der),
            Shape::Pkcs1 => Self::from_pkcs1(der),
            Shape::Sec1 => Self::from_sec1(der, None),
            Shape::EncryptedPkcs8 => Err(PrivateKeyError::Encrypted),
            Shape::Unknown => {
                // The strict reader says where it is broken, if it is; otherwise it is DER of another kind.
                let mut reader = Reader::new(der);
                reader.expect(tag::SEQUENCE)?;
                reader.finish()?;
                Err(PrivateKeyError::Other(Shape::Unknown.to_string()))
            }
            other => Err(PrivateKeyError::Other(other.to_string())),
        }
    }

    /// Reads a PKCS#8 PrivateKeyInfo (RFC 5208) or OneAsymmetricKey (RFC 5958).
    ///
    /// ```
    /// use keys::PrivateKey;
    /// use pki::key::{KeyAlgorithm, SigningKey};
    /// let key = PrivateKey::generate(KeyAlgorithm::Ed25519)?;
    /// let again = PrivateKey::from_pkcs8_der(key.to_pkcs8_der())?;
    /// assert_eq!(again.public_key(), key.public_key());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PrivateKeyError`], naming what is wrong and the way out.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let mut outer = Reader::new(der);
        let mut info = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let version = info.small_integer("PKCS#8 version")?;
        if version > 1 {
            return Err(PrivateKeyError::Version {
                structure: "PKCS#8 PrivateKeyInfo",
                found: version,
                known: "0 and 1",
            });
        }
        let mut identifier = info.nested(tag::SEQUENCE)?;
        let algorithm = identifier.object_identifier()?;
        let inner = info.expect(tag::OCTET_STRING)?.content;
        info.optional(tag::context_constructed(0))?;
        let stored_public = match info.peek() {
            Some(next) if version == 1 && next == tag::context(1) => {
                info.any()?.content.strip_prefix(&[0]).or(Some(&[]))
            }
            // RFC 5958 tags the field implicitly; the Rust crate ring wrote it explicitly for years.
            Some(next) if version == 1 && next == tag::context_constructed(1) => {
                let mut explicit = info.any()?.reader();
                let octets = explicit.octet_bit_string()?;
                explicit.finish()?;
                Some(octets)
            }
            _ => None,
        };
        info.finish()?;
        let key = match algorithm {
            oid::EC_PUBLIC_KEY => {
                if identifier.peek() == Some(tag::SEQUENCE) {
                    return Err(PrivateKeyError::ExplicitCurve);
                }
                let curve = identifier.object_identifier()?;
                identifier.finish()?;
                Self::from_sec1(inner, Some(curve))?
            }
            oid::ED25519 => {
                identifier.finish()?;
                Self::from_ed25519(inner)?
            }
            oid::RSA_ENCRYPTION => {
                // RFC 8017 appendix A.1 wants NULL; some tokens leave it out.
                identifier.optional(tag::NULL)?;
                identifier.finish()?;
                Self::from_pkcs1(inner)?
            }
            oid::RSA_SSA_PSS => {
                return Err(PrivateKeyError::RsaForm("is restricted to RSA-PSS, which few TLS peers accept"));
            }
            other => {
                let set = MlDsa::named(&other).ok_or(PrivateKeyError::UnknownAlgorithm(other))?;
                // RFC 9881 section 2: the parameters are absent.
                identifier.finish()?;
                Self::from_pair(Pair::MlDsa(ml_dsa::read(set, inner)?))?
            }
        };
        match stored_public {
            Some(stored) if stored != key.0.public.key_octets() => Err(PrivateKeyError::PublicKeyMismatch),
            _ => Ok(key),
        }
    }

    /// Reads an RSAPrivateKey of two primes.
    fn from_pkcs1(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let mut outer = Reader::new(der);
        let mut fields = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        match fields.small_integer("RSAPrivateKey version")? {
            0 => {}
            1 => return Err(PrivateKeyError::RsaForm("has more than two primes, which few programs read")),
            found => {
                return Err(PrivateKeyError::Version {
                    structure: "RSAPrivateKey",
                    found,
                    known: "0 (two primes)",
                });
            }
        }
        let modulus = fields.integer()?;
        let _public_exponent = fields.integer()?;
        let _private_exponent = fields.integer()?;
        let first_prime = fields.integer()?;
        let magnitude = modulus.strip_prefix(&[0]).unwrap_or(modulus);
        let bits = magnitude.len() * 8 - magnitude.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if !(RSA_MODULUS_BITS_MIN..=RSA_MODULUS_BITS_MAX).contains(&bits) {
            return Err(PrivateKeyError::RsaModulus { bits });
        }
        if first_prime == [0] {
            return Err(PrivateKeyError::RsaForm("comes without its primes, and few programs read that"));
        }
        RsaKeyPair::from_der(der).map_err(rejected("RSA")).and_then(|pair| Self::from_pair(Pair::Rsa(pair)))
    }

    /// Reads an ECPrivateKey. `outside` is the curve that a PKCS#8 wrapper names.
    fn from_sec1(der: &[u8], outside: Option<Oid>) -> Result<Self, PrivateKeyError> {
        let mut outer = Reader::new(der);
        let mut fields = outer.nested(tag::SEQUENCE)?;
        outer.finish()?;
        let version = fields.small_integer("ECPrivateKey version")?;
        if version != 1 {
            return Err(PrivateKeyError::Version { structure: "ECPrivateKey", found: version, known: "1" });
        }
        fields.expect(tag::OCTET_STRING)?;
        let inside = match fields.optional(tag::context_constructed(0))? {
            Some(parameters) => {
                let mut reader = parameters.reader();
                if reader.peek() == Some(tag::SEQUENCE) {
                    return Err(PrivateKeyError::ExplicitCurve);
                }
                let curve = reader.object_identifier()?;
                reader.finish()?;
                Some(curve)
            }
            None => None,
        };
        fields.optional(tag::context_constructed(1))?;
        fields.finish()?;
        let curve = match (outside, inside) {
            (Some(outside), Some(inside)) if outside != inside => {
                return Err(PrivateKeyError::CurveMismatch { outside, inside });
            }
            (Some(curve), _) | (None, Some(curve)) => curve,
            (None, None) => return Err(PrivateKeyError::NoCurve),
        };
        let algorithm: &'static EcdsaSigningAlgorithm = match curve {
            oid::SECP256R1 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            oid::SECP384R1 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            oid::SECP521R1 => &ECDSA_P521_SHA512_ASN1_SIGNING,
            other => return Err(PrivateKeyError::UnknownCurve(other)),
        };
        let pair = EcdsaKeyPair::from_private_key_der(algorithm, der).map_err(rejected("elliptic-curve"))?;
        // AWS-LC would write the public point in the form it was read in: compressed, or not at all. Taken apart and
        // put together, every key has it uncompressed.
        let secret: EcPrivateKeyBin<'static> = pair.private_key().as_be_bytes()?;
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, secret.as_ref(), pair.public_key().as_ref())
            .map_err(rejected("elliptic-curve"))
            .and_then(|pair| Self::from_pair(Pair::Ecdsa(pair)))
    }

    /// Reads a CurvePrivateKey (RFC 8410 section 7): an OCTET STRING of 32 octets.
    fn from_ed25519(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let mut reader = Reader::new(der);
        let seed = reader.expect(tag::OCTET_STRING)?;
        reader.finish()?;
        Ed25519KeyPair::from_seed_unchecked(seed.content)
            .map_err(rejected("Ed25519"))
            .and_then(|pair| Self::from_pair(Pair::Ed25519(pair)))
    }

    fn from_pair(pair: Pair) -> Result<Self, PrivateKeyError> {
        let encode_public = |der: Result<PublicKeyX509Der<'static>, Unspecified>| {
            // AWS-LC writes the uncompressed point and the named curve, so what it wrote can be read.
            der.map_err(PrivateKeyError::from)
                .and_then(|der| PublicKey::from_spki_der(der.as_ref()).map_err(|_| PrivateKeyError::Provider))
        };
        let (pkcs8, public) = match &pair {
            Pair::Ecdsa(pair) => (
                Zeroizing::new(pair.to_pkcs8v1()?.as_ref().to_vec()),
                encode_public(pair.public_key().as_der())?,
            ),
            Pair::Ed25519(pair) => (
                Zeroizing::new(pair.to_pkcs8v1()?.as_ref().to_vec()),
                encode_public(pair.public_key().as_der())?,
            ),
            Pair::Rsa(pair) => {
                let pkcs8: Pkcs8V1Der<'static> = pair.as_der()?;
                (Zeroizing::new(pkcs8.as_ref().to_vec()), encode_public(pair.public_key().as_der())?)
            }
            Pair::MlDsa(pair) => (ml_dsa::to_pkcs8(pair)?, encode_public(pair.public_key().as_der())?),
        };
        Ok(PrivateKey(Arc::new(Inner { pkcs8, pair, public })))
    }

    /// The key as PKCS#8 version 1, unencrypted: handle it as the secret it is.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> &[u8] {
        &self.0.pkcs8
    }

    /// The key as PKCS#1 RSAPrivateKey, unencrypted; `None` where it is no RSA key.
    #[must_use]
    pub fn to_pkcs1_der(&self) -> Option<Zeroizing<Vec<u8>>> {
        matches!(self.0.pair, Pair::Rsa(_)).then(|| self.inner_octets()).flatten()
    }

    /// The key as SEC 1 ECPrivateKey with its curve, unencrypted; `None` where it is on no curve of that kind.
    #[must_use]
    pub fn to_sec1_der(&self) -> Option<Zeroizing<Vec<u8>>> {
        let (curve, scalar) = self.scalar()?;
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            w.integer(&[1]);
            w.primitive(tag::OCTET_STRING, &scalar);
            w.nested(tag::context_constructed(0), |w| w.object_identifier(&curve));
            w.nested(tag::context_constructed(1), |w| w.octet_bit_string(self.0.public.key_octets()));
        });
        Some(Zeroizing::new(writer.into_bytes()))
    }

    /// The curve and the secret number of an ECDSA key, in as many octets as the curve has.
    pub(crate) fn scalar(&self) -> Option<(Oid, Zeroizing<Vec<u8>>)> {
        let Pair::Ecdsa(pair) = &self.0.pair else { return None };
        let (curve, length) = match self.0.public.algorithm() {
            KeyAlgorithm::P256 => (oid::SECP256R1, 32),
            KeyAlgorithm::P384 => (oid::SECP384R1, 48),
            _ => (oid::SECP521R1, 66),
        };
        let secret: EcPrivateKeyBin<'static> = pair.private_key().as_be_bytes().ok()?;
        let mut scalar = Zeroizing::new(vec![0; length]);
        let at = length.checked_sub(secret.as_ref().len())?;
        scalar[at..].copy_from_slice(secret.as_ref());
        Some((curve, scalar))
    }

    /// What is in the privateKey field of the PKCS#8 structure.
    pub(crate) fn inner_octets(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut info = Reader::new(&self.0.pkcs8).nested(tag::SEQUENCE).ok()?;
        info.integer().ok()?;
        info.expect(tag::SEQUENCE).ok()?;
        Some(Zeroizing::new(info.expect(tag::OCTET_STRING).ok()?.content.to_vec()))
    }

    /// The key as PEM `PRIVATE KEY`, unencrypted: handle it as the secret it is.
    #[must_use]
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pki::pem::encode("PRIVATE KEY", self.to_pkcs8_der()))
    }
}

fn rejected(kind: &'static str) -> impl Fn(KeyRejected) -> PrivateKeyError {
    move |reason| PrivateKeyError::Rejected { kind, reason: reason.to_string() }
}

impl SigningKey for PrivateKey {
    fn public_key(&self) -> &PublicKey {
        &self.0.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let refused = |_| SignError::Refused(format!("the {} key did not sign", self.0.public.algorithm()));
        let random = SystemRandom::new();
        match &self.0.pair {
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(refused)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.try_sign(message).map_err(refused)?.as_ref().to_vec()),
            Pair::Rsa(_) => self.sign_with(SignatureAlgorithm::RsaPkcs1Sha256, message),
            Pair::MlDsa(pair) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                pair.sign(message, &mut signature).map_err(refused)?;
                Ok(signature)
            }
        }
    }

    fn signature_algorithms(&self) -> Vec<SignatureAlgorithm> {
        match &self.0.pair {
            Pair::Rsa(_) => RSA_ENCODINGS.iter().map(|(algorithm, _)| *algorithm).collect(),
            _ => vec![self.signature_algorithm()],
        }
    }

    fn sign_with(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let key = self.0.public.algorithm();
        let Pair::Rsa(pair) = &self.0.pair else {
            let known = algorithm == self.signature_algorithm();
            return if known { self.sign(message) } else { Err(SignError::Algorithm { key, algorithm }) };
        };
        let (_, encoding) = RSA_ENCODINGS
            .iter()
            .find(|(known, _)| *known == algorithm)
            .ok_or(SignError::Algorithm { key, algorithm })?;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(*encoding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| SignError::Refused(format!("the {key} key did not sign")))?;
        Ok(signature)
    }
}

static RSA_ENCODINGS: [(SignatureAlgorithm, &dyn RsaEncoding); 6] = [
    (SignatureAlgorithm::RsaPkcs1Sha256, &RSA_PKCS1_SHA256),
    (SignatureAlgorithm::RsaPkcs1Sha384, &RSA_PKCS1_SHA384),
    (SignatureAlgorithm::RsaPkcs1Sha512, &RSA_PKCS1_SHA512),
    (SignatureAlgorithm::RsaPssSha256, &RSA_PSS_SHA256),
    (SignatureAlgorithm::RsaPssSha384, &RSA_PSS_SHA384),
    (SignatureAlgorithm::RsaPssSha512, &RSA_PSS_SHA512),
];

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {:?})", self.0.public)
    }
}
