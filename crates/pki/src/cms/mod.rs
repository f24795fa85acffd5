//! Signed data of the Cryptographic Message Syntax (RFC 5652): detached signatures over documents, and the timestamps over
//! those (RFC 3161).
//!
//! What arrives may be BER with indefinite lengths and of any size. [`Intake`] takes it piece by piece: content is hashed
//! and not kept, everything else is brought into DER and bounded, and then read by the strict reader ([`SignedData`]). What
//! a signature says is checked in [`mod@check`]; whether its certificate is believed is a question for [`crate::verify`].
//! Encrypted, compressed and authenticated data are not read: nobody sends them here.

mod ber;
pub mod check;
mod draft;
mod hash;
mod purpose;
mod signed_data;
mod timestamp;

pub use ber::BerError;
pub use check::CheckError;
pub use draft::{Draft, DraftError, with_timestamp};
pub use hash::{ContentHash, HashAlgorithm, Hasher};
pub use purpose::{DocumentPurpose, PurposeError};
pub use signed_data::{CmsError, Intake, SignedData, SignerIdentifier, SignerInfo};
pub use timestamp::{Timestamp, TimestampError, request};

/// The most octets of a signature beside its content: signers, certificates and lists. A list of a large authority has
/// 40 MB and belongs into a file of its own.
pub const LARGEST: usize = 8 << 20;
