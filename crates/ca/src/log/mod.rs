//! The log of everything issued: an append-only Merkle tree (RFC 6962 section 2.1) whose leaves are the certificates in
//! the order in which they were recorded, in the formats of C2SP: tiles (c2sp.org/tlog-tiles), a signed checkpoint
//! (c2sp.org/tlog-checkpoint, c2sp.org/signed-note) and proofs that travel alone (c2sp.org/tlog-proof).
//!
//! A leaf is written by the transaction that records its certificate, so what is on record is in the log, and nothing is
//! handed out that is not on record. The checkpoint is signed with the key of the first issuing CA, which stays the log's
//! when the authority changes its CA, and with those of the others that are in use: a certificate with that
//! key's signature that is not in the log convicts whoever holds the key, and so do two checkpoints that contradict each
//! other. Nothing here reads or writes: hashes come from where the caller has them.

mod checkpoint;
mod proof;
mod tiles;
mod tree;

pub use checkpoint::{Checkpoint, CheckpointError, MOST_SIGNATURES, origin};
pub use proof::{Proof, ProofError};
pub use tiles::{TILE, TilePath, bundle, entries_of};
pub use tree::{
    Frontier, Hash, consistency_proof, empty_root, inclusion_proof, leaf_hash, root, tile_root,
    verify_consistency, verify_inclusion,
};
