//! The audit trail: who did what, when, to which certificate; append-only, and chained by hash so that a changed,
//! missing or inserted event shows.

use jiff::Timestamp;

/// An event that is about to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// From where: an address and a way in; empty for the machine itself.
    pub origin: String,
    /// What: `create`, `certify` (a CA of the authority's own), `issue`, `revoke`.
    pub action: &'static str,
    /// Which certificate.
    pub serial: Option<Vec<u8>>,
    /// The rest, for people.
    pub details: String,
}

/// Who does something, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who<'a> {
    /// Who.
    pub actor: &'a str,
    /// From where: an address and a way in; empty for the machine itself.
    pub origin: &'a str,
}

impl<'a> From<&'a str> for Who<'a> {
    fn from(actor: &'a str) -> Self {
        Who { actor, origin: "" }
    }
}

impl<'a> From<&'a String> for Who<'a> {
    fn from(actor: &'a String) -> Self {
        Who { actor, origin: "" }
    }
}

/// An event as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Its number, from 1, without gaps.
    pub sequence: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// From where.
    pub origin: String,
    /// What.
    pub action: String,
    /// Which certificate.
    pub serial: Option<Vec<u8>>,
    /// The rest, for people.
    pub details: String,
    /// SHA-256 over the hash before it and its own fields.
    pub hash: [u8; 32],
}

impl NewEvent {
    /// The hash that chains it behind the event before it; 32 zero octets stand before the first.
    #[must_use]
    pub fn hash(&self, sequence: u64, previous: &[u8; 32]) -> [u8; 32] {
        let fields = [self.actor.as_str(), self.action, self.details.as_str(), self.origin.as_str()]
            .map(str::as_bytes);
        chain(previous, sequence, self.at, fields, self.serial.as_deref())
    }
}

/// The trail was changed after the fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail is broken at event {sequence}: it, or the one before it, was changed or taken out")]
pub struct AuditBroken {
    /// The first event that does not fit.
    pub sequence: u64,
}

/// Checks that the events are a whole trail from the first one on.
///
/// # Errors
/// [`AuditBroken`] at the first event that does not fit.
pub fn verify_audit(events: &[AuditEvent]) -> Result<(), AuditBroken> {
    verify_audit_from(0, [0; 32], events).map(drop)
}

/// Checks that the events follow the one of this number and hash, and gives the hash of the last: a long trail is
/// checked piece by piece.
///
/// # Errors
/// [`AuditBroken`] at the first event that does not fit.
pub fn verify_audit_from(
    after: u64,
    previous: [u8; 32],
    events: &[AuditEvent],
) -> Result<[u8; 32], AuditBroken> {
    let mut previous = previous;
    for (event, sequence) in events.iter().zip(after + 1..) {
        let fields =
            [&event.actor, &event.action, &event.details, &event.origin].map(|field| field.as_bytes());
        let hash = chain(&previous, sequence, event.at, fields, event.serial.as_deref());
        if event.sequence != sequence || event.hash != hash {
            return Err(AuditBroken { sequence });
        }
        previous = hash;
    }
    Ok(previous)
}

/// Each field with its length before it, so that no two events have the same octets. An origin comes last, and only
/// where there is one: events from before origins were kept hash as they did.
fn chain(
    previous: &[u8; 32],
    sequence: u64,
    at: Timestamp,
    [actor, action, details, origin]: [&[u8]; 4],
    serial: Option<&[u8]>,
) -> [u8; 32] {
    let mut octets = previous.to_vec();
    octets.extend_from_slice(&sequence.to_be_bytes());
    octets.extend_from_slice(&at.as_second().to_be_bytes());
    let origin = Some(origin).filter(|origin| !origin.is_empty());
    for field in [actor, action, serial.unwrap_or_default(), details].into_iter().chain(origin) {
        octets.extend_from_slice(&(field.len() as u64).to_be_bytes());
        octets.extend_from_slice(field);
    }
    pki::sha256(&octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail() -> Vec<AuditEvent> {
        let mut previous = [0; 32];
        (1..=3)
            .map(|sequence| {
                let event = NewEvent {
                    at: Timestamp::UNIX_EPOCH,
                    actor: "someone".to_owned(),
                    origin: if sequence == 2 { "192.0.2.7".to_owned() } else { String::new() },
                    action: "issue",
                    serial: Some(vec![1, 2, 3]),
                    details: format!("number {sequence}"),
                };
                previous = event.hash(sequence, &previous);
                AuditEvent {
                    sequence,
                    at: event.at,
                    actor: event.actor,
                    origin: event.origin,
                    action: event.action.to_owned(),
                    serial: event.serial,
                    details: event.details,
                    hash: previous,
                }
            })
            .collect()
    }

    #[test]
    fn a_changed_missing_or_inserted_event_shows() {
        assert_eq!(verify_audit(&trail()), Ok(()));
        let mut changed = trail();
        changed[1].details.push('!');
        assert_eq!(verify_audit(&changed), Err(AuditBroken { sequence: 2 }));
        let mut moved = trail();
        moved[1].origin.clear();
        assert_eq!(verify_audit(&moved), Err(AuditBroken { sequence: 2 }));
        let mut missing = trail();
        missing.remove(0);
        assert_eq!(verify_audit(&missing), Err(AuditBroken { sequence: 1 }));
        let mut inserted = trail();
        inserted.insert(1, inserted[0].clone());
        assert_eq!(verify_audit(&inserted), Err(AuditBroken { sequence: 2 }));
    }
}
