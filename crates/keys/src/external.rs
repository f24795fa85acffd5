//! Keys behind a program or a service: any key management service can be attached without its library in this process. The
//! protocol is docs/external-signers.md: one JSON object goes out, one comes back. Nothing is believed of the other side:
//! its answer is bounded in time and size, and its signature is verified before it is used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pki::key::{KeyAlgorithm, PublicKey, SignError, SignatureAlgorithm, SigningKey};
use serde_json::{Value, json};

/// The most octets of an answer that are read; the longest signature in use has 17 KiB in Base64.
pub const LARGEST_ANSWER: usize = 64 * 1024;

/// The version of the protocol.
const VERSION: u32 = 1;

/// Why a key behind a program or a service does not sign. Nothing here holds more than a line of what the other side said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExternalError {
    /// The reference cannot be read.
    #[error("the key reference {reference} {why}; see docs/external-signers.md")]
    Reference {
        /// As it was given.
        reference: String,
        /// What is wrong with it.
        why: String,
    },
    /// The program cannot be started.
    #[error("the signing program {program} cannot be started: {why}")]
    NotStarted {
        /// Its path.
        program: String,
        /// What the system says.
        why: String,
    },
    /// The other side is not there.
    #[error("the signer {signer} cannot be reached: {why}")]
    Unreachable {
        /// The signer.
        signer: String,
        /// What happened.
        why: String,
    },
    /// It took too long.
    #[error(
        "the signer {signer} did not answer within {seconds} seconds; timeout=SECONDS in its reference allows more"
    )]
    Slow {
        /// The signer.
        signer: String,
        /// The limit.
        seconds: u64,
    },
    /// It said too much.
    #[error("the signer {0} answered with more than 64 KiB, which no signature needs")]
    TooLong(String),
    /// It ended with an error.
    #[error("the signer {signer} failed: {why}")]
    Failed {
        /// The signer.
        signer: String,
        /// What it said: one line, with nothing that a terminal would obey.
        why: String,
    },
    /// Its answer is not of the protocol.
    #[error("the signer {signer} answered {what}; see docs/external-signers.md")]
    Answer {
        /// The signer.
        signer: String,
        /// What is wrong with it.
        what: String,
    },
    /// Its key cannot be used.
    #[error("the key of the signer {signer} cannot be used: {why}")]
    Key {
        /// The signer.
        signer: String,
        /// Why not.
        why: String,
    },
    /// Its signature is none of its key.
    #[error(
        "the signer {0} made a signature that its own public key does not verify, and it was not used; does it sign with another key, or hash what is a hash already?"
    )]
    WrongSignature(String),
}

/// The way to the other side and back.
pub trait Exchange: Send + Sync {
    /// What the other side is called in errors: a path or an address, without secrets.
    fn name(&self) -> &str;

    /// Sends one request and gives its answer, bounded by [`LARGEST_ANSWER`] and a time.
    ///
    /// # Errors
    /// [`ExternalError`].
    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, ExternalError>;
}

/// A key behind an [`Exchange`]. Cloning it is cheap.
#[derive(Clone)]
pub struct ExternalKey(Arc<Inner>);

struct Inner {
    exchange: Box<dyn Exchange>,
    key: Option<String>,
    public: PublicKey,
    algorithms: Vec<SignatureAlgorithm>,
}

impl ExternalKey {
    /// Asks the other side for its public key. `key` is the name that it knows the key by, where it has several.
    ///
    /// # Errors
    /// [`ExternalError`].
    pub fn open(exchange: Box<dyn Exchange>, key: Option<String>) -> Result<Self, ExternalError> {
        let mut request = json!({ "version": VERSION, "operation": "describe" });
        if let Some(key) = &key {
            request["key"] = Value::from(key.as_str());
        }
        let answer = ask(&*exchange, &request)?;
        let signer = || exchange.name().to_owned();
        let spki = octets(&*exchange, &answer, "public_key")?;
        let public = PublicKey::from_spki_der(&spki)
            .map_err(|error| ExternalError::Key { signer: signer(), why: error.to_string() })?;
        if let Some(why) = public.weakness() {
            return Err(ExternalError::Key { signer: signer(), why });
        }
        let possible = possible(public.algorithm());
        let algorithms = match answer.get("algorithms") {
            None | Some(Value::Null) => possible.to_vec(),
            Some(Value::Array(names)) => {
                let named: Vec<_> = names.iter().filter_map(Value::as_str).filter_map(by_name).collect();
                named.into_iter().filter(|algorithm| possible.contains(algorithm)).collect()
            }
            Some(_) => {
                let what = "with 'algorithms' that are no list of names".to_owned();
                return Err(ExternalError::Answer { signer: signer(), what });
            }
        };
        if algorithms.is_empty() {
            let names: Vec<&str> = possible.iter().map(|algorithm| name_of(*algorithm)).collect();
            let why = format!(
                "it offers no algorithm of an {} key; there are {}",
                public.algorithm(),
                names.join(", ")
            );
            return Err(ExternalError::Key { signer: signer(), why });
        }
        Ok(ExternalKey(Arc::new(Inner { exchange, key, public, algorithms })))
    }

    fn ask_for(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, ExternalError> {
        let inner = &*self.0;
        let mut request = json!({ "version": VERSION, "operation": "sign", "algorithm": name_of(algorithm) });
        if let Some(key) = &inner.key {
            request["key"] = Value::from(key.as_str());
        }
        match hashed(algorithm, message) {
            Some(hash) => request["digest"] = Value::from(BASE64.encode(hash)),
            // Ed25519 and ML-DSA hash the message by themselves, and need the whole of it.
            None => request["message"] = Value::from(BASE64.encode(message)),
        }
        let answer = ask(&*inner.exchange, &request)?;
        let signature = octets(&*inner.exchange, &answer, "signature")?;
        let verified = inner.public.verify(algorithm, message, &signature);
        verified.map_err(|_| ExternalError::WrongSignature(inner.exchange.name().to_owned()))?;
        Ok(signature)
    }
}

impl SigningKey for ExternalKey {
    fn public_key(&self) -> &PublicKey {
        &self.0.public
    }

    fn signature_algorithm(&self) -> SignatureAlgorithm {
        // Never empty: `open` refuses that.
        self.0.algorithms[0]
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.sign_with(self.signature_algorithm(), message)
    }

    fn signature_algorithms(&self) -> Vec<SignatureAlgorithm> {
        self.0.algorithms.clone()
    }

    fn sign_with(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if !self.0.algorithms.contains(&algorithm) {
            return Err(SignError::Algorithm { key: self.0.public.algorithm(), algorithm });
        }
        self.ask_for(algorithm, message).map_err(|error| SignError::Refused(error.to_string()))
    }

    fn is_elsewhere(&self) -> bool {
        true
    }
}

impl fmt::Debug for ExternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExternalKey({}, {:?})", self.0.exchange.name(), self.0.public)
    }
}

fn ask(exchange: &dyn Exchange, request: &Value) -> Result<Value, ExternalError> {
    let mut line = request.to_string().into_bytes();
    line.push(b'\n');
    let answer = exchange.exchange(&line)?;
    let signer = || exchange.name().to_owned();
    if answer.len() > LARGEST_ANSWER {
        return Err(ExternalError::TooLong(signer()));
    }
    let answer: Value = serde_json::from_slice(&answer).map_err(|_| ExternalError::Answer {
        signer: signer(),
        what: "with something that is no JSON".to_owned(),
    })?;
    match answer.get("error") {
        None | Some(Value::Null) => Ok(answer),
        Some(error) => {
            let why = one_line(error.as_str().unwrap_or("it gives no reason").as_bytes());
            Err(ExternalError::Failed { signer: signer(), why })
        }
    }
}

fn octets(exchange: &dyn Exchange, answer: &Value, field: &str) -> Result<Vec<u8>, ExternalError> {
    let wrong = |what: String| ExternalError::Answer { signer: exchange.name().to_owned(), what };
    let text =
        answer.get(field).and_then(Value::as_str).ok_or_else(|| wrong(format!("without '{field}'")))?;
    BASE64.decode(text).map_err(|_| wrong(format!("with a '{field}' that is not Base64")))
}

/// The first line that says something, at most 200 characters, with nothing that a terminal would obey.
pub fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
    line.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn hashed(algorithm: SignatureAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
    use SignatureAlgorithm as Algorithm;
    let hash = match algorithm {
        Algorithm::EcdsaSha256 | Algorithm::RsaPkcs1Sha256 | Algorithm::RsaPssSha256 => &SHA256,
        Algorithm::EcdsaSha384 | Algorithm::RsaPkcs1Sha384 | Algorithm::RsaPssSha384 => &SHA384,
        Algorithm::EcdsaSha512 | Algorithm::RsaPkcs1Sha512 | Algorithm::RsaPssSha512 => &SHA512,
        Algorithm::Ed25519 | Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => return None,
    };
    Some(digest(hash, message).as_ref().to_vec())
}

/// The names of the protocol.
const NAMES: [(SignatureAlgorithm, &str); 13] = [
    (SignatureAlgorithm::EcdsaSha256, "ecdsa-sha256"),
    (SignatureAlgorithm::EcdsaSha384, "ecdsa-sha384"),
    (SignatureAlgorithm::EcdsaSha512, "ecdsa-sha512"),
    (SignatureAlgorithm::Ed25519, "ed25519"),
    (SignatureAlgorithm::RsaPkcs1Sha256, "rsa-pkcs1-sha256"),
    (SignatureAlgorithm::RsaPkcs1Sha384, "rsa-pkcs1-sha384"),
    (SignatureAlgorithm::RsaPkcs1Sha512, "rsa-pkcs1-sha512"),
    (SignatureAlgorithm::RsaPssSha256, "rsa-pss-sha256"),
    (SignatureAlgorithm::RsaPssSha384, "rsa-pss-sha384"),
    (SignatureAlgorithm::RsaPssSha512, "rsa-pss-sha512"),
    (SignatureAlgorithm::MlDsa44, "ml-dsa-44"),
    (SignatureAlgorithm::MlDsa65, "ml-dsa-65"),
    (SignatureAlgorithm::MlDsa87, "ml-dsa-87"),
];

fn name_of(algorithm: SignatureAlgorithm) -> &'static str {
    // The table has every algorithm; a test says so.
    NAMES.iter().find(|(known, _)| *known == algorithm).map_or("", |(_, name)| name)
}

fn by_name(name: &str) -> Option<SignatureAlgorithm> {
    NAMES.iter().find(|(_, known)| *known == name).map(|(algorithm, _)| *algorithm)
}

fn possible(key: KeyAlgorithm) -> &'static [SignatureAlgorithm] {
    use SignatureAlgorithm as Algorithm;
    match key {
        KeyAlgorithm::P256 => &[Algorithm::EcdsaSha256],
        KeyAlgorithm::P384 => &[Algorithm::EcdsaSha384],
        KeyAlgorithm::P521 => &[Algorithm::EcdsaSha512],
        KeyAlgorithm::Ed25519 => &[Algorithm::Ed25519],
        KeyAlgorithm::Rsa(_) => &[
            Algorithm::RsaPkcs1Sha256,
            Algorithm::RsaPkcs1Sha384,
            Algorithm::RsaPkcs1Sha512,
            Algorithm::RsaPssSha256,
            Algorithm::RsaPssSha384,
            Algorithm::RsaPssSha512,
        ],
        KeyAlgorithm::MlDsa44 => &[Algorithm::MlDsa44],
        KeyAlgorithm::MlDsa65 => &[Algorithm::MlDsa65],
        KeyAlgorithm::MlDsa87 => &[Algorithm::MlDsa87],
    }
}

/// A reference after its scheme: what is asked, and the parameters behind the `?`, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What stands before the `?`, decoded.
    pub target: String,
    /// Name and value of each parameter.
    pub parameters: Vec<(String, String)>,
}

impl Reference {
    /// Reads a reference of this scheme.
    ///
    /// ```
    /// use keys::external::Reference;
    /// let read = Reference::parse("command:/usr/bin/sign?key=web%20tls", "command:")?;
    /// assert_eq!(read.one("key"), Some("web tls"));
    /// # Ok::<(), keys::external::ExternalError>(())
    /// ```
    ///
    /// # Errors
    /// [`ExternalError::Reference`].
    pub fn parse(text: &str, scheme: &str) -> Result<Self, ExternalError> {
        let wrong = |why: &str| ExternalError::Reference { reference: text.to_owned(), why: why.to_owned() };
        let rest = text.strip_prefix(scheme).ok_or_else(|| wrong("does not start with its scheme"))?;
        let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
        let decoded =
            |part: &str| pki::percent_decode(part).ok_or_else(|| wrong("has a '%' that is no %XX of UTF-8"));
        let mut parameters = Vec::new();
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').ok_or_else(|| wrong("has a parameter without '='"))?;
            parameters.push((name.to_owned(), decoded(value)?));
        }
        Ok(Reference { target: decoded(target)?, parameters })
    }

    /// The one value of a parameter.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Refuses parameters that are not among these, or stand there twice and are not `arg`.
    ///
    /// # Errors
    /// [`ExternalError::Reference`].
    pub fn check(&self, text: &str, known: &[&str]) -> Result<(), ExternalError> {
        let wrong = |why: String| Err(ExternalError::Reference { reference: text.to_owned(), why });
        for (index, (name, _)) in self.parameters.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return wrong(format!("has the parameter '{name}'; there are {}", known.join(", ")));
            }
            if name != "arg" && self.parameters[..index].iter().any(|(before, _)| before == name) {
                return wrong(format!("has the parameter '{name}' twice"));
            }
        }
        Ok(())
    }

    /// The time-out that it gives: 1 to 60 seconds, 10 where it gives none.
    ///
    /// # Errors
    /// [`ExternalError::Reference`].
    pub fn timeout(&self, text: &str) -> Result<Duration, ExternalError> {
        let Some(value) = self.one("timeout") else { return Ok(Duration::from_secs(10)) };
        match value.parse::<u64>() {
            Ok(seconds @ 1..=60) => Ok(Duration::from_secs(seconds)),
            _ => Err(ExternalError::Reference {
                reference: text.to_owned(),
                why: format!("has timeout={value}, and 1 to 60 seconds are allowed"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::PrivateKey;

    /// What becomes of an answer.
    type Spoil = fn(Value) -> Vec<u8>;

    /// A signer in the process, which answers as it is told.
    struct Local {
        key: PrivateKey,
        spoil: Spoil,
    }

    impl Exchange for Local {
        fn name(&self) -> &str {
            "local"
        }

        fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, ExternalError> {
            let request: Value = serde_json::from_slice(request).unwrap();
            if request["operation"] == "describe" {
                let spki = BASE64.encode(self.key.public_key().spki_der());
                return Ok(json!({ "public_key": spki }).to_string().into_bytes());
            }
            let message = BASE64.decode(request["message"].as_str().unwrap()).unwrap();
            let signature = BASE64.encode(self.key.sign(&message).unwrap());
            Ok((self.spoil)(json!({ "signature": signature })))
        }
    }

    fn signed(spoil: Spoil) -> Result<Vec<u8>, String> {
        let key = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
        let key = ExternalKey::open(Box::new(Local { key, spoil }), None).unwrap();
        key.sign(b"message").map_err(|error| error.to_string())
    }

    #[test]
    fn every_algorithm_has_a_name_and_every_key_an_algorithm() {
        for (algorithm, name) in NAMES {
            assert_eq!(by_name(name_of(algorithm)), Some(algorithm), "{name}");
        }
    }

    #[test]
    fn a_good_answer_is_used_and_every_bad_one_is_named() {
        assert!(signed(|answer| answer.to_string().into_bytes()).is_ok());
        let cases: [(Spoil, &str); 6] = [
            (|_| b"not json".to_vec(), "no JSON"),
            (|_| b"{}".to_vec(), "without 'signature'"),
            (|_| br#"{"signature":"*"}"#.to_vec(), "not Base64"),
            (|_| br#"{"signature":"AAAA"}"#.to_vec(), "does not verify"),
            (|_| b"{\"error\":\"quota\\u001b[2J exceeded\"}".to_vec(), "failed: quota [2J exceeded"),
            (|_| vec![b' '; LARGEST_ANSWER + 1], "more than 64 KiB"),
        ];
        for (spoil, expected) in cases {
            let error = signed(spoil).unwrap_err();
            assert!(error.contains(expected), "{error} lacks {expected}");
        }
    }
}
