//! Recorded traffic: captures of other programs, key logs, and our own transcripts. All lead to a
//! [`transcript::Transcript`], which [`crate::tls::explain`] reads.

pub mod key_log;
pub mod packet;
pub mod pcap;
pub mod reassembly;
pub mod transcript;
pub mod write;

pub use key_log::{KeyLog, Secrets};
pub use transcript::{Event, Transcript, TranscriptError, What};
