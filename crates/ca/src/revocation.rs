//! Taking certificates back, and telling the world.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use pki::crl::{RevocationReason, RevokedEntry};
use pki::issuer::{PrepareError, SignPreparedError};

use crate::audit::{NewEvent, Who};
use crate::authority::Authority;
use crate::publication::partition;
use crate::selector::Selector;
use crate::store::{Entry, RevocationRecord, Store, StoreError};

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// Nothing by that name or number.
    #[error("no certificate of '{0}' was found")]
    NotFound(String),
    /// All that was found is revoked already.
    #[error("the certificate of '{label}' was revoked already, on {at} ({reason})")]
    AlreadyRevoked {
        /// The name it is filed under.
        label: String,
        /// When.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// All that was found is past its end.
    #[error("the certificate of '{label}' ended on {end}; an expired certificate needs no revocation")]
    Expired {
        /// The name it is filed under.
        label: String,
        /// Its end.
        end: Timestamp,
    },
    /// The start of a serial number that several certificates share.
    #[error("'{0}' starts the serial numbers of several certificates; give more digits")]
    Ambiguous(String),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Revokes what the selector means: every certificate of a name that is still to end, or the one of a serial
/// number. Needs no signing key: the list that tells others does.
///
/// # Errors
/// [`RevokeError`].
pub fn revoke<'a>(
    store: &dyn Store,
    selector: &Selector,
    reason: RevocationReason,
    by: impl Into<Who<'a>>,
    now: Timestamp,
) -> Result<Vec<Entry>, RevokeError> {
    let by = by.into();
    let found = store.find(selector)?;
    let first = found.first().ok_or_else(|| RevokeError::NotFound(selector.to_string()))?;
    if matches!(selector, Selector::Typed(..)) && found.iter().any(|e| e.label != first.label) {
        return Err(RevokeError::Ambiguous(selector.to_string()));
    }
    let live: Vec<Entry> =
        found.iter().filter(|e| e.revoked.is_none() && e.not_after >= now).cloned().collect();
    if live.is_empty() {
        let label = first.label.clone();
        return Err(match first.revoked {
            Some(RevocationRecord { at, reason }) => RevokeError::AlreadyRevoked { label, at, reason },
            None => RevokeError::Expired { label, end: first.not_after },
        });
    }
    let events = live.iter().map(|entry| NewEvent {
        at: now,
        actor: by.actor.to_owned(),
        origin: by.origin.to_owned(),
        action: "revoke",
        serial: Some(entry.serial.clone()),
        details: format!("{} ({reason})", entry.label),
    });
    let serials = live.iter().map(|entry| entry.serial.clone()).collect();
    store.revoke(serials, RevocationRecord { at: now, reason }, events.collect())?;
    Ok(live)
}

/// Why nothing was taken off hold.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Nothing by that name or number is on hold.
    #[error(
        "no certificate of '{0}' is on hold; every other revocation is for ever (RFC 5280 section 5.3.1)"
    )]
    NotOnHold(String),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes every certificate that the selector means off hold: the next list no longer has it (removeFromCRL).
///
/// # Errors
/// [`ReleaseError`].
pub fn release<'a>(
    store: &dyn Store,
    selector: &Selector,
    by: impl Into<Who<'a>>,
    now: Timestamp,
) -> Result<Vec<Entry>, ReleaseError> {
    let by = by.into();
    let mut found = store.find(selector)?;
    found.retain(|e| e.revoked.is_some_and(|record| record.reason == RevocationReason::CertificateHold));
    if found.is_empty() {
        return Err(ReleaseError::NotOnHold(selector.to_string()));
    }
    for entry in &found {
        let event = NewEvent {
            at: now,
            actor: by.actor.to_owned(),
            origin: by.origin.to_owned(),
            action: "release",
            serial: Some(entry.serial.clone()),
            details: entry.label.clone(),
        };
        store.release(entry.serial.clone(), event)?;
    }
    Ok(found)
}

/// Why a list could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CrlFailure {
    /// It cannot be made as asked.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignPreparedError),
    /// The lifetime leaves what a list can say.
    #[error("a list cannot be good that long: {0}")]
    Lifetime(jiff::Error),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The lists of a line, one for each part between which its certificates are divided.
#[derive(Debug, Clone)]
pub struct LineLists {
    /// The line's number.
    pub line: u32,
    /// The lists in DER, in the order of their numbers.
    pub parts: Vec<Vec<u8>>,
}

impl<S: Store> Authority<S> {
    /// Signs the revocation list of the issuing CA that issues now, as of `now`, and gives its DER.
    ///
    /// # Errors
    /// [`CrlFailure`].
    pub fn crl(&self, now: Timestamp, lifetime: SignedDuration) -> Result<Vec<u8>, CrlFailure> {
        Ok(self.crls(now, lifetime)?.swap_remove(0))
    }

    /// Signs the complete lists of all issuing CAs whose certificates may still be asked about, that of the one that
    /// issues first, and gives their DER; behind them those by which roots withdrew what is retired.
    ///
    /// # Errors
    /// [`CrlFailure`].
    pub fn crls(&self, now: Timestamp, lifetime: SignedDuration) -> Result<Vec<Vec<u8>>, CrlFailure> {
        let lists = self.lists(now, lifetime, 1, |_, _| Vec::new())?;
        let mut all: Vec<Vec<u8>> = lists.into_iter().flat_map(|of_line| of_line.parts).collect();
        all.extend(self.lines().withdrawals().map(<[u8]>::to_vec));
        Ok(all)
    }

    /// Signs all parts of the lists of all lines as of `now`, and gives their DER in order. `place` gives the addresses
    /// under which certificates of a line name each part. One moment and one number hold for all of them.
    ///
    /// # Errors
    /// [`CrlFailure`].
    pub fn lists(
        &self,
        now: Timestamp,
        lifetime: SignedDuration,
        partitions: u16,
        place: impl Fn(u32, u16) -> Vec<String>,
    ) -> Result<Vec<LineLists>, CrlFailure> {
        let next_update = now.checked_add(lifetime).map_err(CrlFailure::Lifetime)?;
        // Before the number: a line that comes now is on the next list, and one that goes is on this one once more.
        let lines = self.lines();
        let (number, entries) = self.store.begin_crl(now)?;
        let empty = || vec![Vec::new(); usize::from(partitions.max(1))];
        let mut divided: BTreeMap<u32, Vec<Vec<RevokedEntry>>> = BTreeMap::new();
        for (line, entry) in entries {
            let parts = divided.entry(line).or_insert_with(empty);
            parts[usize::from(partition(partitions, &entry.serial))].push(entry);
        }
        let mut made = Vec::new();
        // A retired line whose key is gone has no lists any more, and nothing can be done about it here.
        for (line, key) in lines.published(now).filter_map(|line| Some((line, line.key()?))) {
            let (issuer, line) = (line.issuer(), line.number());
            let sign = |(entries, part): (Vec<RevokedEntry>, u16)| -> Result<Vec<u8>, CrlFailure> {
                let places = place(line, part);
                let prepared = issuer.prepare_crl_part(number, now, next_update, &entries, &places)?;
                Ok(prepared.sign(key)?)
            };
            let parts = divided.remove(&line).unwrap_or_else(empty);
            let parts = parts.into_iter().zip(0..).map(sign).collect::<Result<_, _>>()?;
            made.push(LineLists { line, parts });
        }
        // Not before: a list that was never signed must not be the one after which an entry may be left out.
        self.store.finish_crl(number)?;
        Ok(made)
    }
}
