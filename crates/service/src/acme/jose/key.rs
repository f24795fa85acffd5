//! Account keys: a public JWK (RFC 7517), its thumbprint (RFC 7638), and the one algorithm it signs with.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pki::der::{Writer, tag};
use pki::key::PublicKey;
use pki::oid;
use serde_json::{Map, Value};

/// Why a JWK is no account key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyRefused {
    /// A member is missing or malformed.
    #[error("the account key's member '{0}' is missing or malformed")]
    Member(&'static str),
    /// The private half came with it.
    #[error("the request holds the account's private key; it is known to others now: make a new one")]
    Private,
    /// A kind that is not accepted: symmetric keys are among them.
    #[error(
        "an account key of type '{0}' is not accepted; use EC P-256 or P-384, RSA of 2048 to 8192 bits, or Ed25519"
    )]
    Kind(String),
    /// An RSA key that is too short or too long.
    #[error("an RSA account key of {0} bits is not accepted; use 2048 to 8192")]
    Length(usize),
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    /// Uncompressed points.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

/// An account's public key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AccountKey {
    kind: Kind,
    canonical: String,
}

impl AccountKey {
    /// Reads a JWK. Members that are not of the key are ignored, as RFC 7517 section 4 wants; a private one is refused.
    ///
    /// # Errors
    /// [`KeyRefused`].
    pub(crate) fn from_jwk(jwk: &Value) -> Result<Self, KeyRefused> {
        let members = jwk.as_object().ok_or(KeyRefused::Member("jwk"))?;
        if members.contains_key("d") {
            return Err(KeyRefused::Private);
        }
        let text =
            |name: &'static str| members.get(name).and_then(Value::as_str).ok_or(KeyRefused::Member(name));
        let kind = match text("kty")? {
            "EC" => match text("crv")? {
                "P-256" => Kind::P256(point(members, 32)?),
                "P-384" => Kind::P384(point(members, 48)?),
                other => return Err(KeyRefused::Kind(format!("EC {other}"))),
            },
            "OKP" if text("crv")? == "Ed25519" => Kind::Ed25519(octets(members, "x", Some(32))?),
            "RSA" => rsa(members)?,
            "OKP" => return Err(KeyRefused::Kind(format!("OKP {}", text("crv")?))),
            other => return Err(KeyRefused::Kind(other.to_owned())),
        };
        Ok(AccountKey { canonical: canonical(&kind), kind })
    }

    /// The required members alone, in lexicographic order and without white space (RFC 7638 section 3).
    pub(crate) fn canonical_jwk(&self) -> &str {
        &self.canonical
    }

    /// SHA-256 of [`Self::canonical_jwk`] in base64url: what accounts are found by and challenges answer with.
    pub(crate) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(pki::sha256(self.canonical.as_bytes()))
    }

    /// The algorithm that this kind of key signs with; there is one.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self.kind {
            Kind::P256(_) => "ES256",
            Kind::P384(_) => "ES384",
            Kind::Rsa { .. } => "RS256",
            Kind::Ed25519(_) => "EdDSA",
        }
    }

    /// Whether a header that says `algorithm` fits. RFC 9864 calls EdDSA on Ed25519 by the name of the curve.
    pub(crate) fn is_signed_with(&self, algorithm: &str) -> bool {
        algorithm == self.algorithm() || (algorithm == "Ed25519" && matches!(self.kind, Kind::Ed25519(_)))
    }

    /// Verifies a signature in the form that JWS has: r and s side by side for ECDSA (RFC 7518 section 3.4).
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Unspecified> {
        match &self.kind {
            Kind::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Kind::P384(point) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
            }
            Kind::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Kind::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        }
    }

    /// Whether it is the key of a certificate or request.
    pub(crate) fn is(&self, other: &PublicKey) -> bool {
        PublicKey::from_spki_der(&self.spki_der())
            .is_ok_and(|own| own.algorithm() == other.algorithm() && own.key_octets() == other.key_octets())
    }

    fn spki_der(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| match &self.kind {
            Kind::P256(point) => elliptic(w, &oid::SECP256R1, point),
            Kind::P384(point) => elliptic(w, &oid::SECP384R1, point),
            Kind::Ed25519(key) => {
                w.nested(tag::SEQUENCE, |w| w.object_identifier(&oid::ED25519));
                w.octet_bit_string(key);
            }
            Kind::Rsa { modulus, exponent } => {
                w.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(&oid::RSA_ENCRYPTION);
                    w.null();
                });
                let mut key = Writer::new();
                key.nested(tag::SEQUENCE, |w| {
                    w.integer(modulus);
                    w.integer(exponent);
                });
                w.octet_bit_string(&key.into_bytes());
            }
        });
        writer.into_bytes()
    }
}

impl std::fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccountKey({}, {})", self.algorithm(), self.thumbprint())
    }
}

fn elliptic(writer: &mut Writer, curve: &oid::Oid, point: &[u8]) {
    writer.nested(tag::SEQUENCE, |w| {
        w.object_identifier(&oid::EC_PUBLIC_KEY);
        w.object_identifier(curve);
    });
    writer.octet_bit_string(point);
}

fn octets(
    members: &Map<String, Value>,
    name: &'static str,
    length: Option<usize>,
) -> Result<Vec<u8>, KeyRefused> {
    let text = members.get(name).and_then(Value::as_str).ok_or(KeyRefused::Member(name))?;
    let octets = URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyRefused::Member(name))?;
    match length {
        Some(length) if octets.len() != length => Err(KeyRefused::Member(name)),
        _ if octets.is_empty() => Err(KeyRefused::Member(name)),
        _ => Ok(octets),
    }
}

fn point(members: &Map<String, Value>, size: usize) -> Result<Vec<u8>, KeyRefused> {
    let mut point = vec![0x04];
    point.extend(octets(members, "x", Some(size))?);
    point.extend(octets(members, "y", Some(size))?);
    Ok(point)
}

fn rsa(members: &Map<String, Value>) -> Result<Kind, KeyRefused> {
    let (modulus, exponent) = (octets(members, "n", None)?, octets(members, "e", None)?);
    // One key has one thumbprint: leading zeros would give it many (RFC 7518 section 6.3.1.1).
    for (name, octets) in [("n", &modulus), ("e", &exponent)] {
        if octets[0] == 0 {
            return Err(KeyRefused::Member(name));
        }
    }
    let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
    if !(2048..=8192).contains(&bits) {
        return Err(KeyRefused::Length(bits));
    }
    // 1 would make every message its own signature, and larger ones only cost the verifier time.
    let is_usual =
        exponent.len() <= 4 && exponent != [1] && exponent.last().is_some_and(|last| last & 1 == 1);
    if is_usual { Ok(Kind::Rsa { modulus, exponent }) } else { Err(KeyRefused::Member("e")) }
}

fn canonical(kind: &Kind) -> String {
    let text = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
    let elliptic = |curve: &str, point: &[u8]| {
        let (x, y) = point[1..].split_at((point.len() - 1) / 2);
        format!(r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
    };
    match kind {
        Kind::P256(point) => elliptic("P-256", point),
        Kind::P384(point) => elliptic("P-384", point),
        Kind::Ed25519(key) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(key)),
        Kind::Rsa { modulus, exponent } => {
            format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(exponent), text(modulus))
        }
    }
}
