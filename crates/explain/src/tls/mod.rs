//! What was said in a TLS connection, byte by byte: from a recording to messages, each field named, explained and
//! where possible checked again.
//!
//! [`explain`] takes a [`crate::capture::Transcript`] and never fails: what is damaged, cut or unknown becomes a node
//! that says so, and the walk goes on.

mod conversation;
mod decrypt;
mod der_fields;
mod extension;
pub mod handshake;
mod handshake12;
mod inflate;
mod judge;
mod key_schedule;
pub mod node;
pub mod record;
pub mod registry;
mod schedule;
mod session;
mod verify;

pub use conversation::{Alert, Check, Conversation, Kind, Message, Protection, ScheduledSecret};
pub use handshake::CertificateRequest;
pub use node::Node;
pub use record::RecordPlace;
pub use session::{explain, explain_briefly};
