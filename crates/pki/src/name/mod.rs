//! Names: the distinguished names of subjects and issuers, the general names of subjectAltName, the names people
//! type, and the name a client expects of a server.

mod distinguished;
mod general;
mod requested;
mod server;

pub use distinguished::{Attribute, DistinguishedName};
pub(crate) use general::Presented;
pub use general::{GeneralName, IpRange, Subtree};
pub use requested::{NameError, SubjectNames, dns_name, email_address, uri};
pub use server::ServerName;
