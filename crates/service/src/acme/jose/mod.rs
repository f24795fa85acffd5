//! JSON Web Signatures (RFC 7515) as ACME uses them (RFC 8555 section 6.2): flattened, with everything that matters in
//! the protected header. The algorithm follows from the key and is only compared with what the header says, so a header
//! cannot make one kind of key be used as another; `none` does not exist here, and a MAC is accepted in one place alone,
//! external account binding.

mod key;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use key::{AccountKey, KeyRefused};

/// The signature algorithms that account keys sign with (RFC 7518 section 3.1, RFC 8037): what `badSignatureAlgorithm`
/// lists.
pub(crate) const ALGORITHMS: [&str; 4] = ["ES256", "ES384", "RS256", "EdDSA"];

/// The most octets of one signed request that are looked at. A request with a hundred names and an RSA-4096 key has
/// about a quarter of it.
pub(crate) const LARGEST: usize = 64 * 1024;

/// Why a text is no signed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwsRefused {
    /// Not the flattened serialisation.
    #[error("the request is no JWS in flattened JSON serialisation (RFC 8555 section 6.2): {0}")]
    Shape(&'static str),
    /// The algorithm is none that is accepted, or not the one of the key.
    #[error("the signature algorithm '{found}' is not accepted {place}")]
    Algorithm {
        /// What the header says.
        found: String,
        /// Where.
        place: String,
    },
    /// The key is no key that is accepted.
    #[error(transparent)]
    Key(#[from] KeyRefused),
    /// The signature is not that of the key.
    #[error("the signature does not verify with the key that the request names")]
    Signature,
}

/// Who a request says has signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signer {
    /// A key in the header.
    Key(AccountKey),
    /// The URL of an account, or in external account binding the name of a MAC key.
    Named(String),
}

/// A request whose parts are separated and whose signature has not been looked at. What it holds is not to be believed:
/// [`Jws::verify`] and [`Jws::verify_mac`] give the payload.
#[derive(Debug, Clone)]
pub(crate) struct Jws {
    algorithm: String,
    /// The replay nonce.
    pub(crate) nonce: Option<String>,
    /// The URL that it is meant for.
    pub(crate) url: String,
    /// Who says to have signed it.
    pub(crate) signer: Signer,
    signing_input: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The outer JSON object. `header` and `signatures` are there to be refused.
#[derive(Deserialize)]
struct Flattened {
    protected: String,
    payload: String,
    signature: String,
    header: Option<Value>,
    signatures: Option<Value>,
}

#[derive(Deserialize)]
struct Protected {
    alg: String,
    nonce: Option<String>,
    url: Option<String>,
    jwk: Option<Value>,
    kid: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

impl Jws {
    /// Takes a request apart.
    ///
    /// # Errors
    /// [`JwsRefused`].
    pub(crate) fn parse(text: &[u8]) -> Result<Self, JwsRefused> {
        use JwsRefused::Shape;
        if text.len() > LARGEST {
            return Err(Shape("it is larger than 65,536 octets"));
        }
        let outer: Flattened = serde_json::from_slice(text)
            .map_err(|_| Shape("the members protected, payload and signature, each once, are needed"))?;
        if outer.header.is_some() || outer.signatures.is_some() {
            return Err(Shape("there may be neither an unprotected header nor several signatures"));
        }
        let decoded = |text: &str, what| URL_SAFE_NO_PAD.decode(text).map_err(|_| Shape(what));
        let header = decoded(&outer.protected, "the protected header is not base64url without padding")?;
        if crate::nul::is_in_json(&header) {
            return Err(Shape("the protected header has the character U+0000 in a text"));
        }
        let header: Protected = serde_json::from_slice(&header).map_err(|_| {
            Shape("the protected header is no JSON object with alg, nonce, url and jwk or kid, each once")
        })?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err(Shape("the header parameters crit and b64 are not understood"));
        }
        let signer = match (header.jwk, header.kid) {
            (Some(jwk), None) => Signer::Key(AccountKey::from_jwk(&jwk)?),
            (None, Some(kid)) => Signer::Named(kid),
            _ => return Err(Shape("exactly one of jwk and kid says who signed it")),
        };
        Ok(Jws {
            algorithm: header.alg,
            nonce: header.nonce,
            url: header.url.ok_or(Shape("the header names no url"))?,
            signer,
            signing_input: format!("{}.{}", outer.protected, outer.payload).into_bytes(),
            payload: decoded(&outer.payload, "the payload is not base64url without padding")?,
            signature: decoded(&outer.signature, "the signature is not base64url without padding")?,
        })
    }

    /// The payload, if this key signed it.
    ///
    /// # Errors
    /// [`JwsRefused::Algorithm`] where the header names another algorithm than the key's, [`JwsRefused::Signature`].
    pub(crate) fn verify(&self, key: &AccountKey) -> Result<&[u8], JwsRefused> {
        if !key.is_signed_with(&self.algorithm) {
            return Err(JwsRefused::Algorithm {
                found: self.algorithm.clone(),
                place: format!("for a key that signs with {}", key.algorithm()),
            });
        }
        key.verify(&self.signing_input, &self.signature).map_err(|_| JwsRefused::Signature)?;
        Ok(&self.payload)
    }

    /// The payload, if it was authenticated with this MAC key by HS256 (RFC 8555 section 7.3.4). Compared in constant
    /// time.
    ///
    /// # Errors
    /// As [`Jws::verify`].
    pub(crate) fn verify_mac(&self, key: &[u8]) -> Result<&[u8], JwsRefused> {
        if self.algorithm != "HS256" {
            return Err(JwsRefused::Algorithm {
                found: self.algorithm.clone(),
                place: "in external account binding, which uses HS256".to_owned(),
            });
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::verify(&key, &self.signing_input, &self.signature).map_err(|_| JwsRefused::Signature)?;
        Ok(&self.payload)
    }
}

#[cfg(test)]
mod tests;
