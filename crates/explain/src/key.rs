//! Keys: the public facts only. A private key is read for its algorithm, its size and its public half; no octet of
//! the private half is kept, and no problem found inside it tells more than where it is.

use pki::der::{Writer, tag};
use pki::oid::{self, Oid};

use crate::field::{AlgorithmDescription, Identifier, integer_text};
use crate::model::Remark;
use crate::public_key::PublicKeyDescription;
use crate::tlv::{Cursor, Element, Problems};

/// A key.
#[derive(Debug, Clone)]
pub struct KeyDescription {
    /// Whether the file holds a private key, encrypted or not.
    pub is_private: bool,
    /// The format, such as `PKCS#8`.
    pub format: &'static str,
    /// How it is encrypted, if it is.
    pub encryption: Option<EncryptionDescription>,
    /// Its public half; `None` where it is encrypted, or cannot be derived here.
    pub public_key: Option<PublicKeyDescription>,
    /// The algorithm of a private key whose public half is not known.
    pub algorithm: Option<String>,
}

/// How something is encrypted with a passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncryptionDescription {
    /// The scheme, such as `PBES2`.
    pub scheme: String,
    /// How the key is derived, such as `PBKDF2 with hmacWithSHA256`.
    pub derivation: Option<String>,
    /// The iterations of the derivation.
    pub iterations: Option<u64>,
    /// The cipher.
    pub cipher: Option<String>,
}

impl EncryptionDescription {
    /// Reads an AlgorithmIdentifier of a password-based scheme (RFC 8018, RFC 7292 appendix B).
    pub(crate) fn from_element(element: &Element<'_>, problems: &mut Problems) -> Option<Self> {
        let mut cursor = element.cursor();
        let scheme = Identifier::read(&mut cursor, "encryption algorithm", problems)?;
        let mut encryption = EncryptionDescription { scheme: scheme.text(), ..Default::default() };
        let Some(parameters) = cursor.next(problems) else { return Some(encryption) };
        let mut parts = parameters.cursor();
        if !scheme.is(&oid::PBES2) {
            // PKCS#12 and PBES1 schemes: salt and iterations, the cipher is in the scheme's name.
            parts.next(problems);
            encryption.iterations = parts.next(problems).as_ref().and_then(crate::field::small_number);
            return Some(encryption);
        }
        if let Some(derivation) = parts.expect(tag::SEQUENCE, "key derivation", problems) {
            encryption.read_derivation(derivation.cursor(), problems);
        }
        if let Some(cipher) = parts.expect(tag::SEQUENCE, "cipher", problems) {
            encryption.cipher =
                AlgorithmDescription::from_element(&cipher, "cipher", problems).map(|c| c.text);
        }
        Some(encryption)
    }

    fn read_derivation(&mut self, mut cursor: Cursor<'_>, problems: &mut Problems) {
        let Some(function) = Identifier::read(&mut cursor, "key derivation", problems) else { return };
        let mut text = function.text();
        if let Some(parameters) = cursor.next(problems) {
            let mut parts = parameters.cursor();
            parts.next(problems);
            let mut number = || parts.next(problems).as_ref().and_then(crate::field::small_number);
            if function.is(&oid::SCRYPT) {
                // Its cost is no number of iterations (RFC 7914 section 7).
                if let (Some(cost), Some(block), Some(lanes)) = (number(), number(), number()) {
                    text = format!("{text} with N={cost}, r={block}, p={lanes}");
                }
            } else {
                self.iterations = number();
            }
            if function.is(&oid::PBKDF2) {
                let mut digest = "hmacWithSHA1".to_owned();
                while let Some(part) = parts.next(problems) {
                    if part.is(tag::SEQUENCE)
                        && let Some(prf) =
                            AlgorithmDescription::from_element(&part, "key derivation's digest", problems)
                    {
                        digest = prf.text;
                    }
                }
                text = format!("{text} with {digest}");
            }
        }
        self.derivation = Some(text);
    }

    /// One line.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.scheme.clone();
        if let Some(cipher) = &self.cipher {
            text.push_str(&format!(", {cipher}"));
        }
        if let Some(derivation) = &self.derivation {
            text.push_str(&format!(", {derivation}"));
        }
        if let Some(iterations) = self.iterations {
            text.push_str(&format!(
                ", {}",
                crate::humane::count(iterations as usize, "iteration", "iterations")
            ));
        }
        text
    }
}

/// The formats of keys, as they are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFormat {
    /// PrivateKeyInfo (RFC 5958).
    Pkcs8,
    /// EncryptedPrivateKeyInfo.
    EncryptedPkcs8,
    /// ECPrivateKey (RFC 5915).
    Sec1,
    /// RSAPrivateKey (RFC 8017 appendix A.1.2).
    Pkcs1,
    /// SubjectPublicKeyInfo.
    Spki,
    /// RSAPublicKey.
    Pkcs1Public,
}

impl KeyDescription {
    /// Reads a DER key of this format. Of what is wrong inside a private key only the place is told.
    pub(crate) fn read(der: &[u8], format: KeyFormat, problems: &mut Problems) -> Self {
        let mut heard = Problems::default();
        let description = Self::read_heard(der, format, &mut heard);
        for problem in heard.into_list() {
            if matches!(format, KeyFormat::Spki | KeyFormat::Pkcs1Public) {
                problems.note(problem.offset, problem.message);
            } else {
                problems.note(problem.offset, "the key's encoding is malformed");
            }
        }
        description
    }

    fn read_heard(der: &[u8], format: KeyFormat, problems: &mut Problems) -> Self {
        let mut key = KeyDescription {
            is_private: !matches!(format, KeyFormat::Spki | KeyFormat::Pkcs1Public),
            format: match format {
                KeyFormat::Pkcs8 => "PKCS#8",
                KeyFormat::EncryptedPkcs8 => "PKCS#8, encrypted",
                KeyFormat::Sec1 => "SEC 1 (EC PRIVATE KEY)",
                KeyFormat::Pkcs1 => "PKCS#1 (RSA PRIVATE KEY)",
                KeyFormat::Spki => "SubjectPublicKeyInfo",
                KeyFormat::Pkcs1Public => "PKCS#1 (RSA PUBLIC KEY)",
            },
            encryption: None,
            public_key: None,
            algorithm: None,
        };
        let mut outer = Cursor::new(der);
        let Some(whole) = outer.expect(tag::SEQUENCE, "key", problems) else { return key };
        outer.finish("key", problems);
        match format {
            KeyFormat::Spki => key.public_key = PublicKeyDescription::from_element(&whole, problems),
            KeyFormat::Pkcs1Public => key.public_key = described(&rsa_spki(whole.whole)),
            KeyFormat::Pkcs1 => key.rsa(&whole, problems),
            KeyFormat::Sec1 => key.sec1(&whole, None, problems),
            KeyFormat::EncryptedPkcs8 => {
                let algorithm = whole.cursor().expect(tag::SEQUENCE, "encryption algorithm", problems);
                key.encryption = algorithm.and_then(|a| EncryptionDescription::from_element(&a, problems));
            }
            KeyFormat::Pkcs8 => key.pkcs8(&whole, problems),
        }
        key
    }

    fn pkcs8(&mut self, whole: &Element<'_>, problems: &mut Problems) {
        let mut parts = whole.cursor();
        parts.expect(tag::INTEGER, "version", problems);
        let Some(algorithm) = parts.expect(tag::SEQUENCE, "key's algorithm", problems) else { return };
        let mut identifier_parts = algorithm.cursor();
        let Some(identifier) = Identifier::read(&mut identifier_parts, "key's algorithm", problems) else {
            return;
        };
        let parameter = identifier_parts.next(problems);
        self.algorithm = Some(identifier.text());
        let Some(private) = parts.expect(tag::OCTET_STRING, "private key", problems) else { return };
        let mut given = None;
        while let Some(part) = parts.next(problems) {
            if part.is(tag::context(1)) {
                given = part.content.get(1..);
            }
        }
        match identifier.oid {
            Some(oid::RSA_ENCRYPTION) => {
                if let Some(inner) = private.cursor().expect(tag::SEQUENCE, "RSA private key", problems) {
                    self.rsa(&inner, problems);
                }
            }
            Some(oid::EC_PUBLIC_KEY) => {
                let curve = parameter
                    .filter(|p| p.is(tag::OBJECT_IDENTIFIER))
                    .and_then(|p| Oid::from_content(p.content));
                if let Some(inner) = private.cursor().expect(tag::SEQUENCE, "EC private key", problems) {
                    self.sec1(&inner, curve, problems);
                }
            }
            Some(oid::ED25519) => {
                let seed = private.cursor().expect(tag::OCTET_STRING, "Ed25519 private key", problems);
                let derived = seed.and_then(|seed| ed25519_public(seed.content));
                let octets = derived.or_else(|| given.map(<[u8]>::to_vec));
                self.public_key = octets.and_then(|octets| described(&spki(&oid::ED25519, &octets)));
            }
            Some(other) => {
                self.public_key = given.and_then(|octets| described(&spki(&other, octets)));
            }
            None => {}
        }
    }

    fn rsa(&mut self, inner: &Element<'_>, problems: &mut Problems) {
        self.algorithm = Some("RSA".to_owned());
        // RSAPrivateKey: version, n, e, d, p, q and three more. In a damaged file a private number could stand where a
        // public one belongs, so the sizes have to fit together before any is shown.
        let mut numbers = Vec::new();
        let mut cursor = inner.cursor();
        while let Some(number) = cursor.next(problems) {
            numbers.push(number);
        }
        let size = |index: usize| numbers.get(index).map_or(0, |number| number.content.len());
        let fits = numbers.len() >= 9
            && numbers.iter().take(9).all(|number| number.is(tag::INTEGER) && !number.cut_short)
            && size(2) <= 8
            && size(3) <= size(1)
            && (size(4) + size(5)).abs_diff(size(1)) <= 2;
        if !fits {
            problems.note(inner.offset, "the numbers of the RSA key do not fit together");
            return;
        }
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            w.primitive(tag::INTEGER, numbers[1].content);
            w.primitive(tag::INTEGER, numbers[2].content);
        });
        self.public_key = described(&rsa_spki(&writer.into_bytes()));
    }

    fn sec1(&mut self, inner: &Element<'_>, curve: Option<Oid>, problems: &mut Problems) {
        self.algorithm = Some("EC".to_owned());
        let mut parts = inner.cursor();
        parts.expect(tag::INTEGER, "version", problems);
        let private = parts.expect(tag::OCTET_STRING, "private key", problems);
        let (mut curve, mut given) = (curve, None);
        while let Some(part) = parts.next(problems) {
            let content = part.cursor().next(problems);
            match (part.number, content) {
                (0, Some(named)) if curve.is_none() => curve = Oid::from_content(named.content),
                (1, Some(bits)) => given = bits.content.get(1..).map(<[u8]>::to_vec),
                _ => {}
            }
        }
        let Some(curve) = curve else { return };
        let derived = private.and_then(|private| ec_public(&curve, private.content));
        if let (Some(derived), Some(given)) = (&derived, &given)
            && derived != given
        {
            problems.note(inner.offset, "the public half does not belong to the private half");
        }
        // A point starts with its form (SEC 1 section 2.3.3).
        let given = given.filter(|point| matches!(point.first(), Some(0x02..=0x04)));
        let Some(point) = derived.or(given) else { return };
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            w.nested(tag::SEQUENCE, |w| {
                w.object_identifier(&oid::EC_PUBLIC_KEY);
                w.object_identifier(&curve);
            });
            w.octet_bit_string(&point);
        });
        self.public_key = described(&writer.into_bytes());
    }

    /// A key encrypted in OpenSSL's old way, by its PEM headers.
    pub(crate) fn from_encrypted_headers(label: &str, dek_info: &str) -> Self {
        let cipher = dek_info.split(',').next().unwrap_or(dek_info);
        KeyDescription {
            is_private: true,
            format: "OpenSSL's old encrypted PEM",
            encryption: Some(EncryptionDescription {
                scheme: "RFC 1421 headers".to_owned(),
                derivation: Some("one round of MD5".to_owned()),
                iterations: Some(1),
                cipher: Some(crate::escape::text(cipher)),
            }),
            public_key: None,
            algorithm: label.split_whitespace().next().map(crate::escape::text),
        }
    }

    /// `-----BEGIN OPENSSH PRIVATE KEY-----` (PROTOCOL.key of OpenSSH): cipher, derivation and kind of key.
    pub(crate) fn from_openssh(content: &[u8]) -> Self {
        let mut rest = content.strip_prefix(b"openssh-key-v1\0").unwrap_or_default();
        let mut next = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (value, after) =
                after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            rest = after;
            Some(value)
        };
        let (cipher, derivation, _) = (next(), next(), next());
        // The number of keys, a plain integer, and then the public key, whose first string is its kind.
        let public = rest.get(4..).and_then(|rest| rest.get(4..));
        let kind = public.and_then(|public| {
            let (length, after) = public.split_first_chunk::<4>()?;
            after.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
        });
        let cipher = cipher.filter(|cipher| *cipher != b"none" && cipher.len() < 64);
        KeyDescription {
            is_private: true,
            format: "OpenSSH",
            encryption: cipher.map(|cipher| EncryptionDescription {
                scheme: "openssh-key-v1".to_owned(),
                derivation: derivation.map(crate::escape::bytes),
                iterations: None,
                cipher: Some(crate::escape::bytes(cipher)),
            }),
            public_key: None,
            algorithm: kind.filter(|kind| kind.len() < 64).map(crate::escape::bytes),
        }
    }

    /// The kind of key in a few words.
    #[must_use]
    pub fn text(&self) -> String {
        match (&self.public_key, &self.algorithm) {
            (Some(key), _) => key.text(),
            (None, Some(algorithm)) => algorithm.clone(),
            (None, None) if self.encryption.is_some() => "unknown until decrypted".to_owned(),
            (None, None) => "unknown".to_owned(),
        }
    }

    pub(crate) fn remarks(&self) -> Vec<Remark> {
        let mut remarks: Vec<Remark> =
            self.public_key.as_ref().map(PublicKeyDescription::remarks).unwrap_or_default();
        if self.is_private && self.encryption.is_none() {
            remarks.push(Remark::note(
                "key_not_encrypted",
                "a private key in the clear: whoever reads the file can be its owner; keep it at mode 0600",
            ));
        }
        match self.format {
            "OpenSSH" => remarks.push(Remark::warning(
                "openssh_format",
                "TLS programs do not read OpenSSH's format; convert a copy with: ssh-keygen -p -m PKCS8 -f COPY",
            )),
            "OpenSSL's old encrypted PEM" => remarks.push(Remark::warning(
                "weak_encryption",
                "the passphrase is stretched by a single round of MD5; encrypt it anew with: openssl pkcs8 -topk8",
            )),
            _ => {}
        }
        if let Some(encryption) = &self.encryption {
            let cipher = encryption.cipher.as_deref().unwrap_or(&encryption.scheme).to_ascii_lowercase();
            let anew = "encrypt it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000";
            if cipher.contains("tripledes") || cipher.contains("des-ede3") {
                remarks.push(Remark::note("weak_encryption", format!("triple DES is being retired; {anew}")));
            } else if cipher.contains("rc2") || cipher.contains("rc4") || cipher.contains("des-cbc") {
                remarks.push(Remark::warning("weak_encryption", format!("the cipher is broken; {anew}")));
            }
        }
        remarks
    }
}

/// `spki` read back as a description; what was just written has no problems.
fn described(spki: &[u8]) -> Option<PublicKeyDescription> {
    let mut heard = Problems::default();
    let element = Cursor::new(spki).next(&mut heard)?;
    PublicKeyDescription::from_element(&element, &mut heard)
}

fn spki(algorithm: &Oid, octets: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.nested(tag::SEQUENCE, |w| w.object_identifier(algorithm));
        w.octet_bit_string(octets);
    });
    writer.into_bytes()
}

fn rsa_spki(public_key: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.nested(tag::SEQUENCE, |w| {
            w.object_identifier(&oid::RSA_ENCRYPTION);
            w.null();
        });
        w.octet_bit_string(public_key);
    });
    writer.into_bytes()
}

fn ed25519_public(seed: &[u8]) -> Option<Vec<u8>> {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    Some(pair.public_key().as_ref().to_vec())
}

fn ec_public(curve: &Oid, scalar: &[u8]) -> Option<Vec<u8>> {
    use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey};
    let algorithm = match *curve {
        oid::SECP256R1 => &ECDH_P256,
        oid::SECP384R1 => &ECDH_P384,
        oid::SECP521R1 => &ECDH_P521,
        _ => return None,
    };
    let key = PrivateKey::from_private_key(algorithm, scalar).ok()?;
    Some(key.compute_public_key().ok()?.as_ref().to_vec())
}

/// An integer as text, for the formats that only need it here.
pub(crate) fn version_text(element: &Element<'_>) -> String {
    integer_text(element.content)
}
