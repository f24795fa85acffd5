//! Session tickets that never outlive the right to connect. A resumed handshake skips the client's certificate, so
//! what the certificate stood for is bound into the ticket:
//!
//! - Its keys belong to one snapshot and are made with it, in memory: whatever changes trust, revocation or policy
//!   changes the keys, and an older ticket is no ticket any more; the client then does a full handshake.
//! - It holds the moment at which the client's path ends, and is refused after that.
//! - Where responders are asked about certificates, it holds the certificate's hash, and is refused once no answer speaks
//!   for that one: the full handshake then ends in the alert that says so.
//! - Its keys are replaced every [`ROTATION`], and are forgotten one rotation later: what was recorded cannot be read
//!   by who takes them afterwards.
//!
//! The client's chain, which rustls keeps inside, is judged once more after each resumption. rustls itself resumes
//! only under the same server name (RFC 6066 section 3).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

use super::slot;
use crate::revocation::Online;

/// How long a key makes tickets. RFC 8446 section 4.6.1 allows 7 days at most; RFC 5077 section 5.5 asks for keys to
/// change, and nginx's and rustls' own change within a day.
const ROTATION: Duration = Duration::from_secs(3 * 60 * 60);

/// The octets of a key's name.
const NAME: usize = 16;
/// The octets of the moment at which a ticket ends.
const END: usize = 8;
/// The octets of the hash of the client's certificate, where it is kept; all zero where none was presented.
const HASH: usize = 32;

/// The keys of one snapshot's tickets.
pub(crate) struct Tickets {
    keys: Mutex<Option<Keys>>,
    online: Option<Arc<Online>>,
}

struct Keys {
    current: Key,
    previous: Option<Key>,
    since: Instant,
}

struct Key {
    name: [u8; NAME],
    cipher: LessSafeKey,
}

impl Tickets {
    pub(crate) fn new(online: Option<Arc<Online>>) -> Self {
        Tickets { keys: Mutex::new(None), online }
    }

    /// Looks at the keys, which are made when first asked for, and replaced when it is time.
    fn with_keys<T>(&self, use_keys: impl FnOnce(&Keys) -> Option<T>) -> Option<T> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let age = keys.as_ref().map(|keys| keys.since.elapsed());
        if age.is_none_or(|age| age >= ROTATION) {
            let current = Key::generate()?;
            // After two rotations without a handshake the key before is too old as well.
            let previous = keys.take().filter(|_| age.is_some_and(|age| age < 2 * ROTATION));
            let previous = previous.map(|keys| keys.current);
            *keys = Some(Keys { current, previous, since: Instant::now() });
        }
        keys.as_ref().and_then(use_keys)
    }
}

impl Key {
    fn generate() -> Option<Self> {
        let mut name = [0; NAME];
        rand::fill(&mut name).ok()?;
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        rand::fill(&mut *secret).ok()?;
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*secret).ok()?);
        Some(Key { name, cipher })
    }

    /// Name, nonce, and what is sealed: the end, then the session. A random nonce of 96 bits is good for 2^32 tickets
    /// of one key (NIST SP 800-38D section 8.3), 400,000 a second for a rotation.
    fn seal(&self, until: i64, session: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME + NONCE_LEN + END + session.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(&until.to_be_bytes());
        ticket.extend_from_slice(session);
        let sealed = &mut ticket[NAME + NONCE_LEN..];
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.cipher.seal_in_place_separate_tag(nonce, Aad::from(&self.name), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, nonce: &[u8], sealed: &[u8]) -> Option<(i64, Vec<u8>)> {
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = sealed.to_vec();
        let length = self.cipher.open_in_place(nonce, Aad::from(&self.name), &mut opened).ok()?.len();
        opened.truncate(length);
        let until = i64::from_be_bytes(opened.get(..END)?.try_into().ok()?);
        opened.drain(..END);
        Some((until, opened))
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // No clock of ours is asked: a ticket made at the end of a key's time lives one rotation.
        u32::try_from(ROTATION.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let (until, of) = slot::look(|slot| match &slot.verdict {
            Some(Ok(client)) => Some((client.good_until().as_second(), Some(client.hash()))),
            Some(Err(_)) => None,
            // A resumed client keeps the end it had; who presented nothing has none to lose.
            None => Some((slot.resumed_until.unwrap_or(i64::MAX), slot.resumed_of)),
        })??;
        if self.online.is_none() {
            return self.with_keys(|keys| keys.current.seal(until, plain));
        }
        let session = [&of.unwrap_or([0; HASH]), plain].concat();
        self.with_keys(|keys| keys.current.seal(until, &session))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = cipher.split_at_checked(NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let (until, mut session) = self.with_keys(|keys| {
            let both = std::iter::once(&keys.current).chain(&keys.previous);
            both.into_iter().find(|key| key.name == name)?.open(nonce, sealed)
        })?;
        let of = match &self.online {
            None => None,
            Some(_) => Some(session.drain(..HASH.min(session.len())).as_slice().try_into().ok()?),
        };
        let of = of.filter(|hash| *hash != [0; HASH]);
        let holds = slot::look(|slot| {
            slot.resumed_until = Some(until);
            slot.resumed_of = of;
            let vouched = match (&self.online, &of) {
                (Some(online), Some(hash)) => online.may_resume(hash, slot.now),
                _ => true,
            };
            slot.now.as_second() <= until && vouched
        });
        holds.filter(|holds| *holds)?;
        Some(session)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::tls::slot::Slot;

    fn at(seconds: i64) -> Slot {
        Slot::new(jiff::Timestamp::from_second(seconds).unwrap())
    }

    #[test]
    fn a_ticket_opens_under_its_own_keys_only_and_until_its_end() {
        let tickets = Tickets::new(None);
        let mut slot = at(1000);
        slot.resumed_until = Some(2000);
        let ticket = slot::within(&mut slot, || tickets.encrypt(b"session")).unwrap();
        assert!(!ticket.windows(7).any(|window| window == b"session"));
        assert_eq!(slot::within(&mut at(2000), || tickets.decrypt(&ticket)).unwrap(), b"session");
        assert_eq!(slot::within(&mut at(2001), || tickets.decrypt(&ticket)), None, "after its end");
        assert_eq!(
            slot::within(&mut at(1000), || Tickets::new(None).decrypt(&ticket)),
            None,
            "another snapshot"
        );
        assert_eq!(tickets.decrypt(&ticket), None, "outside of a handshake");
        for index in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[index] ^= 1;
            assert_eq!(slot::within(&mut at(1000), || tickets.decrypt(&changed)), None, "octet {index}");
            assert_eq!(
                slot::within(&mut at(1000), || tickets.decrypt(&ticket[..index])),
                None,
                "{index} octets"
            );
        }
    }

    #[test]
    fn keys_rotate_and_the_one_before_the_last_is_forgotten() {
        let tickets = Tickets::new(None);
        let mut slot = at(1000);
        let ticket = slot::within(&mut slot, || tickets.encrypt(b"session")).unwrap();
        let age = |tickets: &Tickets| {
            let mut keys = tickets.keys.lock().unwrap();
            let keys = keys.as_mut().unwrap();
            keys.since = keys.since.checked_sub(ROTATION).unwrap();
        };
        age(&tickets);
        let newer = slot::within(&mut slot, || tickets.encrypt(b"session")).unwrap();
        assert_ne!(newer[..NAME], ticket[..NAME], "another key");
        assert!(slot::within(&mut slot, || tickets.decrypt(&ticket)).is_some());
        age(&tickets);
        assert!(slot::within(&mut slot, || tickets.decrypt(&newer)).is_some());
        assert!(slot::within(&mut slot, || tickets.decrypt(&ticket)).is_none());
    }
}
