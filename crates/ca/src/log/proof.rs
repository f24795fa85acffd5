//! A proof that an entry is in the log, which is verified without asking anybody (c2sp.org/tlog-proof).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::key::PublicKey;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::tree::{Hash, leaf_hash, verify_inclusion};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// An entry's place in the log, the way from it to the root, and the checkpoint with that root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Its place, from 0.
    pub index: u64,
    /// The siblings on the way to the root.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It is none.
    #[error("this is no proof of the log: {0} (c2sp.org/tlog-proof)")]
    Malformed(&'static str),
    /// Its checkpoint is not believed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The way from the entry does not lead to the root.
    #[error(
        "the proof is for another certificate: from this one at place {index}, it does not lead to the root of the \
         checkpoint"
    )]
    OtherEntry {
        /// The place that it names.
        index: u64,
    },
}

impl Proof {
    /// Reads a proof's text. Nothing is verified.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let bad = ProofError::Malformed;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(bad("it has no checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(bad("its first line is another one"));
        }
        let mut line = lines.next().ok_or(bad("it has no index"))?;
        if let Some(extra) = line.strip_prefix("extra ") {
            STANDARD.decode(extra).map_err(|_| bad("its extra data is not base64"))?;
            line = lines.next().ok_or(bad("it has no index"))?;
        }
        let digits = line.strip_prefix("index ").ok_or(bad("it has no index"))?;
        let index: u64 = digits.parse().map_err(|_| bad("its index is no number"))?;
        if index.to_string() != digits {
            return Err(bad("its index is written in another way than the one"));
        }
        let hash = |line: &str| STANDARD.decode(line).ok().and_then(|octets| octets.try_into().ok());
        let path: Option<Vec<Hash>> = lines.map(hash).collect();
        let path = path.ok_or(bad("a line of its path is not 32 octets in base64"))?;
        // A tree has no more levels than a size has bits.
        if path.len() > 64 {
            return Err(bad("its path is longer than any tree is high"));
        }
        Ok(Proof { index, path, checkpoint: checkpoint.to_owned() })
    }

    /// Verifies that `entry` is in the log `origin` of the holder of `key`, and gives the checkpoint.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify(&self, entry: &[u8], origin: &str, key: &PublicKey) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::verify(&self.checkpoint, origin, key)?;
        let leaf = leaf_hash(entry);
        if verify_inclusion(&leaf, self.index, checkpoint.size, &self.path, &checkpoint.root) {
            return Ok(checkpoint);
        }
        Err(ProofError::OtherEntry { index: self.index })
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{FIRST_LINE}\nindex {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", STANDARD.encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::log::{inclusion_proof, root, tile_root};
    use pki::key::SigningKey as _;
    use testkit::{KeyKind, TestKey};

    #[test]
    fn a_proof_is_good_for_its_entry_alone_and_survives_its_text() {
        let key = TestKey::generate(KeyKind::Ed25519);
        let entries: Vec<Vec<u8>> = (0..11_u8).map(|n| vec![n; 5]).collect();
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let read = |_, start: u64, count: u64| -> Result<Vec<Hash>, ()> {
            Ok(leaves.iter().skip(start as usize).take(count as usize).copied().collect())
        };
        let top = root(11, read).unwrap();
        assert_eq!(root(8, read).unwrap(), tile_root(&leaves[..8]));
        let signed = Checkpoint { origin: "log.test".to_owned(), size: 11, root: top }.sign(&key).unwrap();
        for (index, entry) in entries.iter().enumerate() {
            let path = inclusion_proof(index as u64, 11, read).unwrap();
            let proof = Proof { index: index as u64, path, checkpoint: signed.clone() };
            let again = Proof::parse(&proof.to_string()).unwrap();
            assert_eq!(again, proof);
            assert_eq!(again.verify(entry, "log.test", key.public_key()).unwrap().size, 11);
            let error = again.verify(b"never issued", "log.test", key.public_key()).unwrap_err();
            assert_eq!(error, ProofError::OtherEntry { index: index as u64 });
        }
        for bad in [
            "",
            "c2sp.org/tlog-proof@v1\nindex 1\n",
            "c2sp.org/tlog-proof@v2\nindex 1\n\nx\n",
            "c2sp.org/tlog-proof@v1\nindex 01\n\nx\n",
            "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nx\n",
            "c2sp.org/tlog-proof@v1\nextra !\nindex 1\n\nx\n",
        ] {
            assert!(Proof::parse(bad).is_err(), "{bad:?}");
        }
    }
}
