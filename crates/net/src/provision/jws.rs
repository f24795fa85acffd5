//! Signing requests as ACME wants them (RFC 8555 section 6.2): flattened JWS, by whatever key there is.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pki::der::{Reader, tag};
use pki::key::{KeyAlgorithm, PublicKey, SigningKey};
use serde_json::{Value, json};

use super::acme::AcmeError;

pub(super) fn b64(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// The algorithm and the public JWK of a key, its members in lexicographic order (RFC 7638 section 3).
pub(super) fn describe(key: &PublicKey) -> Result<(&'static str, String), AcmeError> {
    let octets = key.key_octets();
    let elliptic = |curve: &str| {
        let (x, y) = octets[1..].split_at((octets.len() - 1) / 2);
        format!(r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#, b64(x), b64(y))
    };
    let unusable = || AcmeError::AccountKey(key.algorithm());
    Ok(match key.algorithm() {
        KeyAlgorithm::P256 => ("ES256", elliptic("P-256")),
        KeyAlgorithm::P384 => ("ES384", elliptic("P-384")),
        KeyAlgorithm::Ed25519 => {
            ("EdDSA", format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64(octets)))
        }
        KeyAlgorithm::Rsa(_) => {
            let parts =
                Reader::new(octets).nested(tag::SEQUENCE).and_then(|mut r| Ok((r.integer()?, r.integer()?)));
            let (modulus, exponent) = parts.map_err(|_| unusable())?;
            let bare = |integer: &[u8]| b64(integer.strip_prefix(&[0]).unwrap_or(integer));
            ("RS256", format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, bare(exponent), bare(modulus)))
        }
        _ => return Err(unusable()),
    })
}

/// Signs a payload under a protected header.
pub(super) fn sign(key: &dyn SigningKey, header: &Value, payload: &[u8]) -> Result<Value, AcmeError> {
    let (protected, payload) = (b64(header.to_string()), b64(payload));
    let signature = key.sign(format!("{protected}.{payload}").as_bytes())?;
    let signature = match key.public_key().algorithm() {
        KeyAlgorithm::P256 => fixed(&signature, 32)?,
        KeyAlgorithm::P384 => fixed(&signature, 48)?,
        _ => signature,
    };
    Ok(json!({ "protected": protected, "payload": payload, "signature": b64(signature) }))
}

/// Authenticates the account's key with an external account key (RFC 8555 section 7.3.4).
pub(super) fn bind(kid: &str, mac_key: &[u8], url: &str, jwk: &str) -> Value {
    let protected = b64(json!({ "alg": "HS256", "kid": kid, "url": url }).to_string());
    let payload = b64(jwk);
    let key = hmac::Key::new(hmac::HMAC_SHA256, mac_key);
    let signature = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
    json!({ "protected": protected, "payload": payload, "signature": b64(signature) })
}

/// An ECDSA signature as JWS has it: r and s at their full length, side by side (RFC 7518 section 3.4).
fn fixed(der: &[u8], size: usize) -> Result<Vec<u8>, AcmeError> {
    let mut reader = Reader::new(der).nested(tag::SEQUENCE).map_err(|_| AcmeError::Signature)?;
    let mut fixed = Vec::with_capacity(2 * size);
    for _ in 0..2 {
        let integer = reader.integer().map_err(|_| AcmeError::Signature)?;
        let magnitude = integer.strip_prefix(&[0]).unwrap_or(integer);
        let padding = size.checked_sub(magnitude.len()).ok_or(AcmeError::Signature)?;
        fixed.resize(fixed.len() + padding, 0);
        fixed.extend_from_slice(magnitude);
    }
    Ok(fixed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn signature_has_its_full_length_whatever_its_first_octets_are() {
        let der = |r: &[u8], s: &[u8]| {
            let mut writer = pki::der::Writer::new();
            writer.nested(tag::SEQUENCE, |w| {
                w.integer(r);
                w.integer(s);
            });
            writer.into_bytes()
        };
        let short = fixed(&der(&[1], &[0xff; 32]), 32).unwrap();
        assert_eq!(short, [&[0; 31][..], &[1], &[0xff; 32]].concat());
        assert!(fixed(&der(&[1; 33], &[1]), 32).is_err());
        assert!(fixed(b"none", 32).is_err());
    }

    #[test]
    fn keys_are_described_with_their_algorithm() {
        let of = |kind| {
            let key = testkit::TestKey::generate(kind);
            let (algorithm, jwk) = describe(key.public_key()).unwrap();
            let jwk: Value = serde_json::from_str(&jwk).unwrap();
            (algorithm, jwk["kty"].as_str().unwrap().to_owned())
        };
        assert_eq!(of(testkit::KeyKind::P256), ("ES256", "EC".to_owned()));
        assert_eq!(of(testkit::KeyKind::Ed25519), ("EdDSA", "OKP".to_owned()));
    }
}
