//! Redeeming an invite: from a code and a key to a certificate, at most as often as the invite says, however many try
//! at once and whatever is interrupted in between.
//!
//! A use is reserved before it is issued, and belongs to the key that asked. Who asks again with the same key, because
//! an answer was lost or a process was killed, goes on where it stopped and takes no second use.

use std::net::IpAddr;

use jiff::Timestamp;
use pki::crl::RevocationReason;
use pki::key::PublicKey;
use pki::name::SubjectNames;

use crate::audit::Who;
use crate::authority::Authority;
use crate::identity::event;
use crate::invite::{Asked, Code, Invite, Stage, Use};
use crate::issue::{IssueError, IssueRequest, Issued};
use crate::place::key_of;
use crate::record::{Commit, Write};
use crate::revocation::{RevokeError, revoke};
use crate::selector::Selector;
use crate::store::{Entry, Store, StoreError};
use crate::throttle;

/// Wrong codes for one invite that cost nothing.
const FREE_GUESSES: u32 = 2;

/// So many wrong codes take an invite back: nobody mistypes that often, and its owner can be given another.
const MOST_GUESSES: u32 = 10;

/// How often a change is tried again that somebody else was faster with.
pub(crate) const TRIES: u32 = 100;

/// From where somebody redeems.
#[derive(Debug, Clone, Copy)]
pub struct From<'a> {
    /// The address.
    pub address: IpAddr,
    /// The way in: `join`, `est`.
    pub way: &'a str,
}

/// What came of it.
#[derive(Debug)]
pub enum Redeemed {
    /// The certificate, and the name it is filed under.
    Issued(Box<Issued>, String),
    /// A person is to confirm it.
    Waiting,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// No invite has this code. Whether it is unknown or only the secret is wrong is not said.
    #[error("this is no invite's code; check that it was copied whole")]
    Unknown,
    /// Too many wrong codes from there, or for this invite.
    #[error("too many wrong codes; no code is looked at before {until}")]
    Blocked {
        /// Until when.
        until: Timestamp,
    },
    /// It has ended.
    #[error("the invite ended on {0}; ask for a new one")]
    Expired(Timestamp),
    /// It was taken back.
    #[error("the invite was taken back; ask for a new one")]
    Withdrawn,
    /// All of it is used.
    #[error("the invite was used already; ask for a new one")]
    UsedUp,
    /// A person said no.
    #[error("the request was refused by the one who looked at it")]
    Denied,
    /// The partner has as many certificates as it may have.
    #[error("{partner} has {count} certificates and may have {most}; revoke one, or let one end")]
    PartnerFull {
        /// The partner.
        partner: String,
        /// How many it has.
        count: usize,
        /// How many it may have.
        most: u32,
    },
    /// The request's key cannot be certified.
    #[error("this key cannot be certified: {0}")]
    Key(String),
    /// It was not issued.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store> Authority<S> {
    /// Redeems an invite for this key, whose possession the caller has verified. The names that the request asks for
    /// are kept for the person who decides, and are not certified.
    ///
    /// # Errors
    /// [`RedeemError`].
    pub fn redeem(
        &self,
        code: &str,
        key: &PublicKey,
        names: &SubjectNames,
        from: From<'_>,
        now: Timestamp,
    ) -> Result<Redeemed, RedeemError> {
        if let Some(until) = throttle::blocked_until(&self.store, from.address, now)? {
            return Err(RedeemError::Blocked { until });
        }
        let Some(code) = Code::parse(code) else {
            throttle::note_failure(&self.store, from.address, now)?;
            return Err(RedeemError::Unknown);
        };
        // Before a use is reserved for a key that would then be refused.
        if let Some(weakness) = key.weakness() {
            return Err(RedeemError::Key(weakness));
        }
        let key_hash = pki::sha256(key.spki_der());
        let origin = format!("{} by {}", from.address, from.way);
        let invite = self.reserve(&code, key_hash, Asked::of(key, names), from, &origin, now)?;
        let Some(used) = invite.used.iter().find(|used| used.key == key_hash) else {
            return Err(RedeemError::UsedUp);
        };
        match &used.stage {
            Stage::Asked => return Ok(Redeemed::Waiting),
            Stage::Denied => return Err(RedeemError::Denied),
            Stage::Issued(serial) => {
                let found = self.store.find(&Selector::Serial(serial.clone()))?;
                let issued = found.first().map(|entry| self.issued_before(entry)).transpose()?;
                let issued = issued.ok_or(RedeemError::UsedUp)?;
                return Ok(Redeemed::Issued(Box::new(issued), invite.label));
            }
            Stage::Granted => {}
        }
        if let Some(issued) = self.interrupted(&invite, key_hash)? {
            self.note_issued(&invite.handle, key_hash, issued.certificate.serial())?;
            return Ok(Redeemed::Issued(Box::new(issued), invite.label));
        }
        let place = self.take_place(&invite, key_hash, now)?;
        let issued = self.issue(
            IssueRequest {
                profile: invite.profile,
                label: invite.label.clone(),
                names: invite.names.clone(),
                public_key: key.clone(),
                lifetime: invite.lifetime,
                requested_by: format!("invite {}", invite.handle),
                origin: origin.clone(),
                replaces: None,
                location: None,
            },
            now,
        );
        self.give_back(place);
        let issued = issued?;
        let serial = issued.certificate.serial();
        let noted = self.note_issued(&invite.handle, key_hash, serial)?;
        if noted == serial {
            return Ok(Redeemed::Issued(Box::new(issued), invite.label));
        }
        // The same key asked twice at the same moment. Nobody waits for a certificate that another process may never
        // finish; the one that was noted first is the use's, and the other is taken back before anybody has seen it.
        let by = Who { actor: &format!("invite {}", invite.handle), origin: &origin };
        match revoke(&self.store, &Selector::Serial(serial.to_vec()), RevocationReason::Superseded, by, now) {
            Ok(_) | Err(RevokeError::AlreadyRevoked { .. }) => {}
            Err(RevokeError::Store(error)) => return Err(error.into()),
            Err(_) => return Err(RedeemError::UsedUp),
        }
        let found = self.store.find(&Selector::Serial(noted))?;
        let first = found.first().map(|entry| self.issued_before(entry)).transpose()?;
        Ok(Redeemed::Issued(Box::new(first.ok_or(RedeemError::UsedUp)?), invite.label))
    }

    /// The invite of this code, for whoever holds it: what it is for, before anything is asked. A wrong code counts as
    /// one that was tried.
    ///
    /// # Errors
    /// [`RedeemError`].
    pub fn look(&self, code: &str, from: From<'_>, now: Timestamp) -> Result<Invite, RedeemError> {
        if let Some(until) = throttle::blocked_until(&self.store, from.address, now)? {
            return Err(RedeemError::Blocked { until });
        }
        let Some(code) = Code::parse(code) else {
            throttle::note_failure(&self.store, from.address, now)?;
            return Err(RedeemError::Unknown);
        };
        let origin = format!("{} by {}", from.address, from.way);
        for _ in 0..TRIES {
            let Some((invite, version)) = Invite::find(&self.store, code.handle())? else {
                throttle::note_failure(&self.store, from.address, now)?;
                return Err(RedeemError::Unknown);
            };
            if let Some(until) = invite.blocked_until.filter(|until| *until > now) {
                return Err(RedeemError::Blocked { until });
            }
            if invite.is_code(&code) {
                return if invite.withdrawn.is_some() {
                    Err(RedeemError::Withdrawn)
                } else if now > invite.expires {
                    Err(RedeemError::Expired(invite.expires))
                } else {
                    Ok(invite)
                };
            }
            match self.note_guess(invite, version, &origin, now) {
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    throttle::note_failure(&self.store, from.address, now)?;
                    return Err(RedeemError::Unknown);
                }
            }
        }
        Err(StoreError::Busy.into())
    }

    /// Counts a wrong code against its invite, and takes the invite back at the last that is borne with.
    fn note_guess(
        &self,
        mut invite: Invite,
        version: u64,
        origin: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        invite.failures += 1;
        invite.blocked_until = Some(now + throttle::pause(invite.failures, FREE_GUESSES));
        let mut details = format!("{}: wrong code {}", invite.handle, invite.failures);
        if invite.failures >= MOST_GUESSES && invite.withdrawn.is_none() {
            invite.withdrawn = Some(now);
            details.push_str(", taken back");
        }
        let by = Who { actor: &format!("invite {}", invite.handle), origin };
        let event = event(by, now, "guess", details);
        self.store.commit(Commit::of(Write::Put(invite.record(version))).noting(event))
    }

    /// Checks the code, and reserves a use for the key unless it has one; gives the invite as it is then.
    fn reserve(
        &self,
        code: &Code,
        key: [u8; 32],
        asked: Asked,
        from: From<'_>,
        origin: &str,
        now: Timestamp,
    ) -> Result<Invite, RedeemError> {
        for _ in 0..TRIES {
            let Some((mut invite, version)) = Invite::find(&self.store, code.handle())? else {
                throttle::note_failure(&self.store, from.address, now)?;
                return Err(RedeemError::Unknown);
            };
            if let Some(until) = invite.blocked_until.filter(|until| *until > now) {
                return Err(RedeemError::Blocked { until });
            }
            if !invite.is_code(code) {
                match self.note_guess(invite, version, origin, now) {
                    Err(StoreError::Conflict { .. }) => continue,
                    Err(error) => return Err(error.into()),
                    Ok(()) => {}
                }
                throttle::note_failure(&self.store, from.address, now)?;
                return Err(RedeemError::Unknown);
            }
            invite.failures = 0;
            if invite.withdrawn.is_some() {
                return Err(RedeemError::Withdrawn);
            }
            if invite.used.iter().any(|used| used.key == key) {
                return Ok(invite);
            }
            if now > invite.expires {
                return Err(RedeemError::Expired(invite.expires));
            }
            if invite.left() == 0 {
                return Err(RedeemError::UsedUp);
            }
            let stage = if invite.approve { Stage::Asked } else { Stage::Granted };
            let details = format!("{} for {}, key sha256 {}", invite.handle, invite.label, pki::hex(&key));
            let by = Who { actor: &format!("invite {}", invite.handle), origin };
            let event = event(by, now, "redeem", details);
            let (from, asked) = (from.address.to_string(), asked.clone());
            invite.used.push(Use { key, at: now, from, stage, asked });
            match self.store.commit(Commit::of(Write::Put(invite.record(version))).noting(event)) {
                Err(StoreError::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
                Ok(()) => return Ok(invite),
            }
        }
        Err(StoreError::Busy.into())
    }

    /// What was issued for this use before, by a process that ended before it could note that on the invite.
    fn interrupted(&self, invite: &Invite, key: [u8; 32]) -> Result<Option<Issued>, StoreError> {
        let by = format!("invite {}", invite.handle);
        let found = self.store.find(&Selector::Label(invite.label.clone()))?;
        let entry = found.iter().find(|entry| entry.requested_by == by && key_of(entry) == Some(key));
        entry.map(|entry| self.issued_before(entry)).transpose()
    }

    /// Notes on the invite what the use of this key became, and gives what stands there: another serial number where
    /// somebody was faster with the same key.
    fn note_issued(&self, handle: &str, key: [u8; 32], serial: &[u8]) -> Result<Vec<u8>, StoreError> {
        for _ in 0..TRIES {
            let Some((mut invite, version)) = Invite::find(&self.store, handle)? else {
                return Ok(serial.to_vec());
            };
            let Some(used) = invite.used.iter_mut().find(|used| used.key == key) else {
                return Ok(serial.to_vec());
            };
            match &used.stage {
                Stage::Issued(first) => return Ok(first.clone()),
                Stage::Granted => used.stage = Stage::Issued(serial.to_vec()),
                Stage::Asked | Stage::Denied => return Ok(serial.to_vec()),
            }
            match self.store.commit(Commit::of(Write::Put(invite.record(version)))) {
                Ok(()) => return Ok(serial.to_vec()),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Busy)
    }

    fn issued_before(&self, entry: &Entry) -> Result<Issued, StoreError> {
        let certificate =
            pki::Certificate::from_der(&entry.der).map_err(|error| StoreError::Database(Box::new(error)))?;
        let lines = self.lines();
        let line = lines.find(entry.line).unwrap_or(lines.issuing());
        let (chain, anchor) = (line.chain(), line.issuer().anchor().clone());
        Ok(Issued { certificate, chain, anchor, anchors: lines.anchors().anchors().to_vec() })
    }
}

/// Why a person's word about a use was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// There is no such invite.
    #[error("there is no invite '{0}'")]
    NoInvite(String),
    /// Nothing of that key waits.
    #[error("nothing that starts with the key '{0}' waits for approval on this invite")]
    NothingWaits(String),
    /// Several keys start so.
    #[error("several keys start with '{0}'; give more digits")]
    Ambiguous(String),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Confirms or refuses what waits on an invite: the use whose key's SHA-256 starts with `key`, or the only one that
/// waits where that is empty.
///
/// # Errors
/// [`DecideError`].
pub fn decide(
    store: &dyn Store,
    handle: &str,
    key: &str,
    grant: bool,
    by: Who<'_>,
    now: Timestamp,
) -> Result<Use, DecideError> {
    for _ in 0..TRIES {
        let (mut invite, version) =
            Invite::find(store, handle)?.ok_or_else(|| DecideError::NoInvite(handle.to_owned()))?;
        let wanted = key.replace(':', "").to_ascii_lowercase();
        let waits = |used: &&mut Use| used.stage == Stage::Asked && pki::hex(&used.key).starts_with(&wanted);
        let mut waiting: Vec<&mut Use> = invite.used.iter_mut().filter(waits).collect();
        let decided = match waiting.as_mut_slice() {
            [] => return Err(DecideError::NothingWaits(key.to_owned())),
            [used] => {
                used.stage = if grant { Stage::Granted } else { Stage::Denied };
                used.clone()
            }
            _ => return Err(DecideError::Ambiguous(key.to_owned())),
        };
        let details = format!("{handle}, key sha256 {}, asked from {}", pki::hex(&decided.key), decided.from);
        let event = event(by, now, if grant { "approve" } else { "deny" }, details);
        match store.commit(Commit::of(Write::Put(invite.record(version))).noting(event)) {
            Ok(()) => return Ok(decided),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Busy.into())
}

/// Takes an invite back. What was issued by it stays good.
///
/// # Errors
/// [`DecideError`].
pub fn withdraw(store: &dyn Store, handle: &str, by: Who<'_>, now: Timestamp) -> Result<Invite, DecideError> {
    for _ in 0..TRIES {
        let (mut invite, version) =
            Invite::find(store, handle)?.ok_or_else(|| DecideError::NoInvite(handle.to_owned()))?;
        invite.withdrawn = invite.withdrawn.or(Some(now));
        let event = event(by, now, "withdraw", format!("{handle} for {}", invite.label));
        match store.commit(Commit::of(Write::Put(invite.record(version))).noting(event)) {
            Ok(()) => return Ok(invite),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Busy.into())
}
