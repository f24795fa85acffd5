//! Places: how a partner has no more certificates than it may have, however many ask at once and at whichever replica.
//!
//! Whoever is about to be issued one takes a place first. Taking one changes the partner's counter in the same commit, so
//! of two who counted the same certificates the second counts again. A place that nobody gives back, since its process
//! ended, is forgotten a little later.

use jiff::{SignedDuration, Timestamp};

use crate::authority::Authority;
use crate::identity::Partner;
use crate::invite::Invite;
use crate::record::{Commit, Record, Write};
use crate::redeem::{RedeemError, TRIES};
use crate::store::{Entry, Store, StoreError};

const PLACE: &str = "partner-place";
const COUNTER: &str = "partner-counter";

/// How long a place is held by somebody who never comes back.
const HELD: SignedDuration = SignedDuration::from_mins(2);

/// The most places that are looked at; as many as an invite has uses.
const MOST: usize = 1000;

impl<S: Store> Authority<S> {
    /// Takes a place for the key among the certificates that the invite's partner may have; none is needed without one.
    ///
    /// # Errors
    /// [`RedeemError::PartnerFull`], or another.
    pub(crate) fn take_place(
        &self,
        invite: &Invite,
        key: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Record>, RedeemError> {
        let Some(partner) = &invite.partner else { return Ok(None) };
        let Some(Partner { most_certificates: most, .. }) = Partner::find(&self.store, partner)? else {
            return Ok(None);
        };
        let id = format!("{partner}/{}", pki::hex(&key));
        for _ in 0..TRIES {
            let counter = self.store.record(COUNTER, partner)?;
            let counter = counter.unwrap_or_else(|| Record::new(COUNTER, partner, String::new()));
            // Places before certificates: one that becomes a certificate in between is seen twice rather than not at all,
            // and is known by its key then.
            let places = self.store.records(PLACE, Some(partner), None, MOST)?;
            let certificates = Partner::good(&self.store, partner, now)?;
            let own = places.iter().find(|place| place.id == id).cloned();
            let is_held = |place: &&Record| {
                place.id != id
                    && place.expires.is_none_or(|until| until > now)
                    && !has_key(&certificates, place)
            };
            let count = certificates.len() + places.iter().filter(is_held).count();
            if count >= most as usize {
                return Err(RedeemError::PartnerFull { partner: partner.clone(), count, most });
            }
            let place = own.unwrap_or_else(|| Record::new(PLACE, &id, String::new()));
            let place = place.owned_by(partner).until(now + HELD);
            match self.store.commit(Commit::of(Write::Put(place.clone())).and(Write::Put(counter))) {
                Ok(()) => return Ok(Some(Record { version: place.version + 1, ..place })),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Busy.into())
    }

    /// Gives a place back: there is a certificate now, or there will be none.
    pub(crate) fn give_back(&self, place: Option<Record>) {
        if let Some(place) = place {
            // One that stays is forgotten by itself.
            let _ = self.store.commit(Commit::of(Write::Delete(place)));
        }
    }
}

/// Whether one of the certificates is what this place was taken for.
fn has_key(certificates: &[Entry], place: &Record) -> bool {
    certificates.iter().any(|entry| key_of(entry).is_some_and(|key| place.id.ends_with(&pki::hex(&key))))
}

/// The SHA-256 of a certificate's key.
pub(crate) fn key_of(entry: &Entry) -> Option<[u8; 32]> {
    let certificate = pki::Certificate::from_der(&entry.der).ok()?;
    Some(certificate.public_key().ok()?.spki_sha256())
}
