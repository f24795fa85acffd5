//! Renewal: whoever holds a certificate of this authority gets the next one, for the same names and another key if it
//! likes. The old one stays good until its end, so that both overlap while the new one is put in place.

use jiff::{SignedDuration, Timestamp};
use pki::Certificate;
use pki::key::PublicKey;
use pki::name::SubjectNames;

use crate::authority::Authority;
use crate::issue::{IssueError, IssueRequest, Issued};
use crate::selector::Selector;
use crate::store::{RevocationRecord, Store, StoreError};

/// Why a certificate was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// It is another authority's, or not on record.
    #[error("the certificate with the serial number {0} was not issued by this authority")]
    Unknown(String),
    /// It was taken back.
    #[error("the certificate was revoked on {} ({}); ask for an invite", .0.at, .0.reason)]
    Revoked(RevocationRecord),
    /// It ended too long ago.
    #[error(
        "the certificate ended on {end}, and {grace_hours} hours after that is the latest; ask for an invite"
    )]
    Expired {
        /// Its end.
        end: Timestamp,
        /// How long after it renewal is possible.
        grace_hours: i64,
    },
    /// It was not issued.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store> Authority<S> {
    /// Renews a certificate whose key's possession was proved, for this key, whose possession was proved too.
    ///
    /// # Errors
    /// [`RenewError`].
    pub fn renew(
        &self,
        old: &Certificate,
        key: &PublicKey,
        origin: &str,
        grace: SignedDuration,
        now: Timestamp,
    ) -> Result<Issued, RenewError> {
        let found = self.store.find(&Selector::Serial(old.serial().to_vec()))?;
        let unknown = || RenewError::Unknown(old.serial_hex());
        let entry = found.into_iter().find(|entry| entry.der == old.der()).ok_or_else(unknown)?;
        if let Some(revoked) = entry.revoked {
            return Err(RenewError::Revoked(revoked));
        }
        if now > entry.not_after && now.duration_since(entry.not_after) > grace {
            return Err(RenewError::Expired { end: entry.not_after, grace_hours: grace.as_hours() });
        }
        Ok(self.issue(
            IssueRequest {
                profile: entry.profile,
                label: entry.label.clone(),
                names: SubjectNames::of(old),
                public_key: key.clone(),
                lifetime: Some(entry.not_after.duration_since(entry.issued_at)),
                requested_by: entry.label,
                origin: origin.to_owned(),
                replaces: Some(entry.serial),
                location: None,
            },
            now,
        )?)
    }
}
