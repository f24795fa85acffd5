//! Checkpoints: what the tree is at a size, signed by the issuing CA (c2sp.org/tlog-checkpoint, c2sp.org/signed-note).
//!
//! The key also signs certificates, lists and requests for them, all of which are DER and begin with 0x30. A checkpoint's
//! first octet is the first of its origin, which is the letter l: no signature of the one can be taken for one of the
//! other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::Certificate;
use pki::key::{KeyAlgorithm, PublicKey, SignError, SignatureAlgorithm, SigningKey};

use super::tree::Hash;

/// The most signature lines that are looked at; a note may carry those of witnesses too.
pub const MOST_SIGNATURES: usize = 64;

/// The longest note that is looked at, in octets: 64 signatures of ML-DSA-87 fit.
const LONGEST: usize = 512 * 1024;

/// What the log of the authority under this root is called: in its checkpoints, and as the name of its key.
#[must_use]
pub fn origin(root: &Certificate) -> String {
    format!("log.countersign/{}", &pki::hex(&root.sha256())[..32])
}

/// What the tree is at a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Why a checkpoint is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is none.
    #[error("this is no checkpoint: {0} (c2sp.org/tlog-checkpoint)")]
    Malformed(&'static str),
    /// It is one of another log.
    #[error("this is a checkpoint of the log '{found}', and one of '{expected}' was expected")]
    OtherLog {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// The issuing CA did not sign it.
    #[error("the issuing CA did not sign this checkpoint: {signatures} signature(s) of other keys are on it")]
    NotSigned {
        /// How many others are on it.
        signatures: usize,
    },
    /// The signature is said to be the issuing CA's, and is not.
    #[error("the signature on this checkpoint is false: it was changed, or the issuing CA never signed it")]
    FalseSignature,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// The note: the text, and the signature of the issuing CA.
    ///
    /// # Errors
    /// [`SignError`] where the key does not sign.
    pub fn sign(&self, key: &dyn SigningKey) -> Result<String, SignError> {
        self.sign_by_all(std::iter::once(key))
    }

    /// The note with a signature by each of these keys.
    ///
    /// # Errors
    /// [`SignError`] where one does not sign.
    pub fn sign_by_all<'a>(
        &self,
        keys: impl Iterator<Item = &'a dyn SigningKey>,
    ) -> Result<String, SignError> {
        let text = self.text();
        let mut note = format!("{text}\n");
        for key in keys {
            let mut octets = key_id(&self.origin, key.public_key()).to_vec();
            octets.extend(key.sign(text.as_bytes())?);
            note.push_str(&format!("\u{2014} {} {}\n", self.origin, STANDARD.encode(&octets)));
        }
        Ok(note)
    }

    /// Reads a note that the holder of `key` signed as the log `origin`.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn verify(note: &str, origin: &str, key: &PublicKey) -> Result<Self, CheckpointError> {
        let (text, signatures) = parts(note)?;
        let checkpoint = Self::read(text)?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::OtherLog { found: checkpoint.origin, expected: origin.to_owned() });
        }
        let id = key_id(origin, key);
        let algorithm = SignatureAlgorithm::for_key(key.algorithm());
        for (name, octets) in &signatures {
            let Some((found, signature)) = octets.split_first_chunk::<4>() else { continue };
            if *name == origin && *found == id {
                let verified = key.verify(algorithm, text.as_bytes(), signature);
                return verified.map(|()| checkpoint).map_err(|_| CheckpointError::FalseSignature);
            }
        }
        Err(CheckpointError::NotSigned { signatures: signatures.len() })
    }

    /// Reads the text alone: three lines, and whatever others extend them.
    fn read(text: &str) -> Result<Self, CheckpointError> {
        let bad = CheckpointError::Malformed;
        let mut lines = text.lines();
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(bad("it has no origin"))?;
        let size = lines.next().ok_or(bad("it has no size"))?;
        let number: u64 = size.parse().map_err(|_| bad("its size is no number"))?;
        if number.to_string() != size {
            return Err(bad("its size is written in another way than the one"));
        }
        let root = lines
            .next()
            .and_then(|line| STANDARD.decode(line).ok())
            .and_then(|octets| octets.try_into().ok());
        let root = root.ok_or(bad("its root is not 32 octets in base64"))?;
        if lines.any(str::is_empty) {
            return Err(bad("one of its lines is empty"));
        }
        Ok(Checkpoint { origin: origin.to_owned(), size: number, root })
    }
}

/// The text of a note with its last newline, and its signatures: whose each says it is, and its octets.
#[allow(clippy::type_complexity, reason = "a name of its own would say no more")]
fn parts(note: &str) -> Result<(&str, Vec<(&str, Vec<u8>)>), CheckpointError> {
    let bad = CheckpointError::Malformed;
    if note.len() > LONGEST {
        return Err(bad("it is longer than 512 KiB"));
    }
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(bad("it has a control character"));
    }
    let at = note.rfind("\n\n").ok_or(bad("no empty line stands before the signatures"))?;
    let (text, rest) = (&note[..=at], &note[at + 2..]);
    let lines = rest.strip_suffix('\n').ok_or(bad("it does not end with a newline"))?;
    let mut signatures = Vec::new();
    for line in lines.split('\n') {
        let signed = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' '));
        let (name, encoded) = signed.ok_or(bad("a line behind the text is no signature"))?;
        let octets = STANDARD.decode(encoded).ok().filter(|octets| octets.len() > 4);
        signatures.push((name, octets.ok_or(bad("a signature is not base64"))?));
        if signatures.len() > MOST_SIGNATURES {
            return Err(bad("it has more than 64 signatures"));
        }
    }
    Ok((text, signatures))
}

/// The four octets that say which key of a name signed. Ed25519 and ECDSA P-256 have types of their own; what else signs
/// certificates has the one for all others, with a name behind it.
fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let mut octets = name.as_bytes().to_vec();
    match key.algorithm() {
        // The key id of ECDSA is that of witnesses: the hash of the key alone.
        KeyAlgorithm::P256 => octets = key.spki_der().to_vec(),
        KeyAlgorithm::Ed25519 => {
            octets.extend_from_slice(b"\n\x01");
            octets.extend_from_slice(key.key_octets());
        }
        _ => {
            octets.extend_from_slice(b"\n\xffcountersign/x509-signature\n");
            octets.extend_from_slice(key.spki_der());
        }
    }
    let hash = pki::sha256(&octets);
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use testkit::{KeyKind, TestKey};

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "log.countersign/test".to_owned(), size: 20_852_163, root: [7; 32] }
    }

    #[test]
    fn a_checkpoint_is_read_back_with_every_kind_of_key_and_with_no_other_key() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519] {
            let key = TestKey::generate(kind);
            let note = checkpoint().sign(&key).unwrap();
            let read = |note: &str| Checkpoint::verify(note, "log.countersign/test", key.public_key());
            assert_eq!(read(&note), Ok(checkpoint()));
            // Signatures of witnesses before and behind it are left alone.
            let (text, own) = note.split_once("\n\n").unwrap();
            let witness = format!("\u{2014} witness.test {}", STANDARD.encode([9; 68]));
            assert_eq!(read(&format!("{text}\n\n{witness}\n{own}{witness}\n")), Ok(checkpoint()));
            assert_eq!(
                read(&format!("{text}\n\n{witness}\n")),
                Err(CheckpointError::NotSigned { signatures: 1 })
            );
            let other = TestKey::generate(kind);
            let error = Checkpoint::verify(&note, "log.countersign/test", other.public_key()).unwrap_err();
            assert_eq!(error, CheckpointError::NotSigned { signatures: 1 });
            let error = Checkpoint::verify(&note, "log.countersign/best", key.public_key()).unwrap_err();
            assert!(matches!(error, CheckpointError::OtherLog { .. }), "{error}");
        }
    }

    #[test]
    fn a_changed_checkpoint_is_refused_wherever_it_was_changed() {
        let key = TestKey::generate(KeyKind::P256);
        let note = checkpoint().sign(&key).unwrap();
        for (at, character) in note.char_indices() {
            for other in ['A', '1', '\n', ' ', '\u{2014}'] {
                if other == character {
                    continue;
                }
                let end = at + character.len_utf8();
                let changed = format!("{}{other}{}", &note[..at], &note[end..]);
                let read = Checkpoint::verify(&changed, "log.countersign/test", key.public_key());
                assert!(read.is_err(), "{changed:?}");
            }
            let cut = Checkpoint::verify(&note[..at], "log.countersign/test", key.public_key());
            assert!(cut.is_err(), "{at}");
        }
    }
}
