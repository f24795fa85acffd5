//! What these bytes are, and why this handshake failed.
//!
//! Nothing here opens a socket or a file or reads a clock: bytes and the time come in, findings and text go out.
//! Decoding never fails; it returns what it understood and where it stopped.

pub mod alert;
mod armour;
pub mod capture;
pub mod certificate;
mod chain;
pub mod crl;
mod diagnosis;
pub mod doctor;
pub mod escape;
pub mod extension;
pub mod field;
pub mod finding;
pub mod humane;
mod inspect;
pub mod java_store;
pub mod key;
pub mod model;
pub mod pkcs12;
pub mod pkcs7;
pub mod public_key;
mod recognise;
mod remark;
pub mod render;
pub mod request;
pub mod tls;
pub mod tlv;

pub use finding::{Confidence, Fault, Finding, FindingCode, Fix};
pub use inspect::{describe_chain, inspect};
pub use model::{Content, Inspection, Item, Position, Remark, Severity};
