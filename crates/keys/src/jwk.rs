//! JSON Web Keys (RFC 7517): RSA and elliptic curves by RFC 7518, Ed25519 by RFC 8037, ML-DSA by
//! draft-ietf-cose-dilithium (`kty` "AKP"). What is read is one key; a set of keys is refused by name.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pki::der::{DerError, Reader, Writer, tag};
use pki::key::{KeyAlgorithm, PublicKey, SigningKey};
use pki::oid;
use zeroize::Zeroizing;

use crate::private_key::{PrivateKey, PrivateKeyError};

/// Why a JSON Web Key is no private key that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Not a JSON object of the flat kind that keys are.
    #[error("this is no JSON Web Key: {0}")]
    Json(&'static str),
    /// A set of keys.
    #[error("this is a set of JSON Web Keys (RFC 7517 section 5); put one of them into a file of its own")]
    Set,
    /// A member that is not there, or not in base64url.
    #[error("the JSON Web Key has no usable member '{0}'")]
    Member(&'static str),
    /// A key without its private part.
    #[error("the JSON Web Key is a public one; the private key has a member '{0}' as well")]
    Public(&'static str),
    /// A kind or curve that is not read.
    #[error("the JSON Web Key is of the kind {0}, which is not supported; use EC, OKP, RSA or AKP")]
    Kind(String),
    /// The public part belongs to another key.
    #[error("the public part of the JSON Web Key is not that of its private part; the file is damaged")]
    PublicKeyMismatch,
    /// The numbers make no key.
    #[error(transparent)]
    Key(#[from] PrivateKeyError),
}

/// The members of a key that are made and read here, in the order they are written.
struct Members(Vec<(&'static str, Zeroizing<String>)>);

impl Members {
    fn text(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, Zeroizing::new(value.to_owned())));
        self
    }

    fn octets(self, name: &'static str, octets: &[u8]) -> Self {
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(octets));
        self.text(name, &encoded)
    }

    fn write(&self) -> Zeroizing<String> {
        let length: usize = self.0.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        // The whole at once: a text that grows would leave parts of the key behind.
        let mut text = Zeroizing::new(String::with_capacity(length + 4));
        for (at, (name, value)) in self.0.iter().enumerate() {
            text.push_str(if at == 0 { "{\"" } else { ",\"" });
            text.push_str(name);
            text.push_str("\":\"");
            text.push_str(value);
            text.push('"');
        }
        text.push_str("}\n");
        text
    }
}

/// A public key as a JSON Web Key, in one line.
///
/// ```
/// use keys::{PrivateKey, jwk};
/// use pki::key::{KeyAlgorithm, SigningKey};
/// let key = PrivateKey::generate(KeyAlgorithm::P256)?;
/// assert!(jwk::public(key.public_key()).starts_with("{\"kty\":\"EC\",\"crv\":\"P-256\","));
/// # Ok::<(), keys::private_key::GenerateKeyError>(())
/// ```
#[must_use]
pub fn public(key: &PublicKey) -> String {
    public_members(key).write().to_string()
}

fn public_members(key: &PublicKey) -> Members {
    let members = Members(Vec::new());
    let octets = key.key_octets();
    let elliptic = |members: Members, curve: &str| {
        let point = octets.get(1..).unwrap_or_default();
        let (x, y) = point.split_at(point.len() / 2);
        members.text("kty", "EC").text("crv", curve).octets("x", x).octets("y", y)
    };
    match key.algorithm() {
        KeyAlgorithm::P256 => elliptic(members, "P-256"),
        KeyAlgorithm::P384 => elliptic(members, "P-384"),
        KeyAlgorithm::P521 => elliptic(members, "P-521"),
        KeyAlgorithm::Ed25519 => members.text("kty", "OKP").text("crv", "Ed25519").octets("x", octets),
        KeyAlgorithm::Rsa(_) => {
            let numbers = integers(octets, 2).unwrap_or_default();
            let number = |at: usize| numbers.get(at).map_or(&[][..], |number| number);
            members.text("kty", "RSA").octets("n", number(0)).octets("e", number(1))
        }
        KeyAlgorithm::MlDsa44 | KeyAlgorithm::MlDsa65 | KeyAlgorithm::MlDsa87 => {
            members.text("kty", "AKP").text("alg", &key.algorithm().to_string()).octets("pub", octets)
        }
    }
}

/// A private key as a JSON Web Key, unencrypted, in one line: handle it as the secret it is. `None` for an ML-DSA key whose
/// seed is not known: its JSON form is the seed.
#[must_use]
pub fn private(key: &PrivateKey) -> Option<Zeroizing<String>> {
    let members = public_members(key.public_key());
    let inner = key.inner_octets()?;
    let members = match key.public_key().algorithm() {
        KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::P521 => members.octets("d", &key.scalar()?.1),
        KeyAlgorithm::Ed25519 => {
            members.octets("d", Reader::new(&inner).expect(tag::OCTET_STRING).ok()?.content)
        }
        KeyAlgorithm::Rsa(_) => {
            // Version, n and e go before.
            let numbers = integers(&inner, 9).ok()?;
            let names = ["d", "p", "q", "dp", "dq", "qi"];
            names
                .into_iter()
                .zip(&numbers[3..])
                .fold(members, |members, (name, value)| members.octets(name, value))
        }
        KeyAlgorithm::MlDsa44 | KeyAlgorithm::MlDsa65 | KeyAlgorithm::MlDsa87 => {
            members.octets("priv", Reader::new(&inner).expect(tag::context(0)).ok()?.content)
        }
    };
    Some(members.write())
}

/// The first integers of a SEQUENCE, without the zero that keeps them positive.
fn integers(der: &[u8], count: usize) -> Result<Vec<Zeroizing<Vec<u8>>>, DerError> {
    let mut fields = Reader::new(der).nested(tag::SEQUENCE)?;
    let mut numbers = Vec::new();
    for _ in 0..count {
        let number = fields.integer()?;
        let magnitude = if number.len() > 1 { number.strip_prefix(&[0]).unwrap_or(number) } else { number };
        numbers.push(Zeroizing::new(magnitude.to_vec()));
    }
    Ok(numbers)
}

/// Whether bytes look like JSON: keys of the other kinds never start so.
pub(crate) fn looks_like_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// Reads a private JSON Web Key.
///
/// # Errors
/// [`JwkError`], naming the member that is missing or wrong; never its value.
pub fn read_private(bytes: &[u8]) -> Result<PrivateKey, JwkError> {
    let members = parse(bytes)?;
    let text =
        |name: &'static str| members.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    if text("keys").is_some() {
        return Err(JwkError::Set);
    }
    let octets = |name: &'static str| -> Result<Zeroizing<Vec<u8>>, JwkError> {
        let decoded = text(name).and_then(|value| URL_SAFE_NO_PAD.decode(value.trim_end_matches('=')).ok());
        decoded.map(Zeroizing::new).ok_or(JwkError::Member(name))
    };
    let secret =
        |name: &'static str| if text(name).is_none() { Err(JwkError::Public(name)) } else { octets(name) };
    let kind = text("kty").ok_or(JwkError::Member("kty"))?;
    let curve = text("crv").unwrap_or_default();
    let (key, stored) = match (kind, curve) {
        ("EC", "P-256" | "P-384" | "P-521") => {
            let (curve, length) = match curve {
                "P-256" => (oid::SECP256R1, 32),
                "P-384" => (oid::SECP384R1, 48),
                _ => (oid::SECP521R1, 66),
            };
            let scalar = secret("d")?;
            let (x, y) = (octets("x")?, octets("y")?);
            if [&scalar, &x, &y].iter().any(|number| number.len() != length) {
                // RFC 7518 section 6.2.1.2: as many octets as the curve has, zeros in front included.
                return Err(JwkError::Member(if scalar.len() == length { "x" } else { "d" }));
            }
            let mut point = vec![4];
            point.extend_from_slice(&x);
            point.extend_from_slice(&y);
            let der = sequence(|w| {
                w.integer(&[1]);
                w.primitive(tag::OCTET_STRING, &scalar);
                w.nested(tag::context_constructed(0), |w| w.object_identifier(&curve));
            });
            (PrivateKey::from_der(&der)?, point)
        }
        ("OKP", "Ed25519") => {
            let seed = secret("d")?;
            let mut inner = Writer::new();
            inner.primitive(tag::OCTET_STRING, &seed);
            (from_inner(&oid::ED25519, &Zeroizing::new(inner.into_bytes()))?, octets("x")?.to_vec())
        }
        ("RSA", _) => {
            secret("d")?;
            let mut numbers = Vec::new();
            for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
                numbers.push(octets(name)?);
            }
            let der = sequence(|w| {
                w.integer(&[0]);
                numbers.iter().for_each(|number| w.integer(number));
            });
            let public = sequence(|w| numbers[..2].iter().for_each(|number| w.integer(number)));
            (PrivateKey::from_der(&der)?, public.to_vec())
        }
        ("AKP", _) => {
            let algorithm = match text("alg") {
                Some("ML-DSA-44") => oid::ML_DSA_44,
                Some("ML-DSA-65") => oid::ML_DSA_65,
                Some("ML-DSA-87") => oid::ML_DSA_87,
                other => return Err(JwkError::Kind(shown("AKP", other.unwrap_or_default()))),
            };
            let mut inner = Writer::new();
            inner.primitive(tag::context(0), &secret("priv")?);
            (from_inner(&algorithm, &Zeroizing::new(inner.into_bytes()))?, octets("pub")?.to_vec())
        }
        (kind, curve) => return Err(JwkError::Kind(shown(kind, curve))),
    };
    if key.public_key().key_octets() == stored { Ok(key) } else { Err(JwkError::PublicKeyMismatch) }
}

/// A kind from a stranger's file, short and without control characters.
fn shown(kind: &str, detail: &str) -> String {
    let text = if detail.is_empty() { format!("'{kind}'") } else { format!("'{kind}' with '{detail}'") };
    text.chars().take(60).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn sequence(write: impl FnOnce(&mut Writer)) -> Zeroizing<Vec<u8>> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, write);
    Zeroizing::new(writer.into_bytes())
}

fn from_inner(algorithm: &oid::Oid, inner: &[u8]) -> Result<PrivateKey, PrivateKeyError> {
    let der = sequence(|w| {
        w.integer(&[0]);
        w.nested(tag::SEQUENCE, |w| w.object_identifier(algorithm));
        w.primitive(tag::OCTET_STRING, inner);
    });
    PrivateKey::from_pkcs8_der(&der)
}

type Member = (String, Zeroizing<String>);

/// The members of a flat JSON object whose value is a text; arrays of texts and everything else are passed over, with an
/// empty value. Escapes in texts are left as they are: no member of a key needs one.
fn parse(bytes: &[u8]) -> Result<Vec<Member>, JwkError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JwkError::Json("it is not UTF-8"))?;
    let mut rest = text.trim().strip_prefix('{').ok_or(JwkError::Json("it does not start with '{'"))?;
    let mut members: Vec<Member> = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(end) = rest.strip_prefix('}') {
            return if end.trim().is_empty() {
                Ok(members)
            } else {
                Err(JwkError::Json("something follows it"))
            };
        }
        if !members.is_empty() {
            rest = rest.strip_prefix(',').ok_or(JwkError::Json("a ',' is missing"))?.trim_start();
        }
        let (name, after) = quoted(rest)?;
        rest = after.trim_start().strip_prefix(':').ok_or(JwkError::Json("a ':' is missing"))?.trim_start();
        let (value, after) = if rest.starts_with('"') { quoted(rest)? } else { ("", skip(rest)?) };
        if members.iter().any(|(known, _)| known == name) {
            return Err(JwkError::Json("a member is there twice"));
        }
        members.push((name.to_owned(), Zeroizing::new(value.to_owned())));
        rest = after;
    }
}

/// What stands between two quotation marks, and what follows.
fn quoted(text: &str) -> Result<(&str, &str), JwkError> {
    let inside = text.strip_prefix('"').ok_or(JwkError::Json("a '\"' is missing"))?;
    let mut escaped = false;
    for (at, octet) in inside.bytes().enumerate() {
        match octet {
            b'"' if !escaped => return Ok((&inside[..at], &inside[at + 1..])),
            octet => escaped = octet == b'\\' && !escaped,
        }
    }
    Err(JwkError::Json("a text does not end"))
}

/// What follows a value that is no text: a number, a word, or an array or object of any depth.
fn skip(text: &str) -> Result<&str, JwkError> {
    let mut depth = 0usize;
    let mut rest = text;
    loop {
        let Some(first) = rest.bytes().next() else { return Err(JwkError::Json("it is cut short")) };
        match first {
            b'"' => {
                rest = quoted(rest)?.1;
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return Ok(&rest[1..]);
                }
            }
            b',' | b'}' | b']' if depth == 0 => return Ok(rest),
            _ => {}
        }
        let width = rest.chars().next().map_or(1, char::len_utf8);
        rest = &rest[width..];
    }
}
