//! The authority: it issues, takes back, lists and remembers. What it remembers is kept by a [`Store`]; what it
//! signs is put together by `pki::issuer`.
//!
//! No SQL, no sockets, no clock and no dice here: the moment is a parameter, random octets come from an
//! [`Entropy`], and a subject's private key never comes here at all.

mod audit;
mod authority;
mod create;
pub mod identity;
pub mod invite;
mod issue;
pub mod line;
pub mod log;
mod names;
pub mod observed;
mod own;
mod place;
pub mod publication;
mod record;
pub mod redeem;
mod renewal;
mod revocation;
pub mod rollover;
pub mod rules;
mod selector;
pub mod statistics;
mod store;
pub mod throttle;

pub use audit::{AuditBroken, AuditEvent, NewEvent, Who, verify_audit, verify_audit_from};
pub use authority::{Authority, OpenError};
pub use create::{CreateAuthority, CreateError};
pub use identity::{IDENTITY, Identity, Partner, Permission, Role};
pub use invite::{Invite, InviteError, NewInvite};
pub use issue::{IssueError, IssueRequest, Issued, Step, searchable};
pub use line::{KeyName, Keyring, Line, Lines};
pub use names::{names_from_json, names_to_json};
pub use publication::Publication;
pub use record::{CaCertificate, Commit, Record, Write};
pub use redeem::{DecideError, RedeemError, Redeemed};
pub use renewal::RenewError;
pub use revocation::{CrlFailure, LineLists, ReleaseError, RevokeError, release, revoke};
pub use selector::Selector;
pub use statistics::Statistics;
pub use store::{
    AuthorityRecord, Completion, Entry, Intent, LineStanding, Page, Query, RevocationRecord, StateFilter,
    Store, StoreError, Unfinished,
};

/// Where random octets come from: fills the slice, or says why it cannot.
pub type Entropy = Box<dyn Fn(&mut [u8]) -> Result<(), String> + Send + Sync>;
