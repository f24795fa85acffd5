//! Replay nonces (RFC 8555 section 6.5): given out without being remembered, and remembered once they are spent.
//!
//! A nonce is its time and a random value under a MAC, so that a flood of requests for nonces fills no memory. Spent
//! ones are kept until they would have expired anyway: by this process, whose key nobody else has, or in the store where
//! several replicas share one key and a nonce of one may come back to another.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};

/// How long a nonce is good. A client uses it for its next request; those who wait longer get a new one with the refusal.
pub(crate) const LIFETIME: SignedDuration = SignedDuration::from_mins(30);

/// The octets: 8 of time, 12 at random, 16 of MAC.
const TIME: usize = 8;
const BODY: usize = 20;
const WHOLE: usize = 36;

/// The most spent nonces that one process remembers; then the oldest count as spent by their age.
const MOST_SPENT: usize = 1_000_000;

/// Makes nonces and knows its own.
pub(crate) struct Nonces {
    key: hmac::Key,
    spent: Mutex<Spent>,
}

#[derive(Default)]
struct Spent {
    /// By the second of their making.
    by_time: BTreeMap<i64, HashSet<[u8; 12]>>,
    count: usize,
    /// Nonces from this second and before count as spent.
    forgotten: i64,
}

/// A nonce that is genuine and young enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Genuine {
    made: i64,
    random: [u8; 12],
}

impl Nonces {
    /// With this key.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Nonces { key: hmac::Key::new(hmac::HMAC_SHA256, key), spent: Mutex::default() }
    }

    /// A fresh one.
    ///
    /// # Errors
    /// Where there is no randomness.
    pub(crate) fn make(&self, now: Timestamp) -> Result<String, aws_lc_rs::error::Unspecified> {
        let mut octets = [0; WHOLE];
        octets[..TIME].copy_from_slice(&now.as_second().to_be_bytes());
        rand::fill(&mut octets[TIME..BODY])?;
        let mac = hmac::sign(&self.key, &octets[..BODY]);
        octets[BODY..].copy_from_slice(&mac.as_ref()[..WHOLE - BODY]);
        Ok(URL_SAFE_NO_PAD.encode(octets))
    }

    /// Whether a text is a nonce that was made with this key and has not expired; whether it was spent is another
    /// question.
    pub(crate) fn genuine(&self, text: &str, now: Timestamp) -> Option<Genuine> {
        let octets = URL_SAFE_NO_PAD.decode(text).ok()?;
        let octets: [u8; WHOLE] = octets.try_into().ok()?;
        let mac = hmac::sign(&self.key, &octets[..BODY]);
        aws_lc_rs::constant_time::verify_slices_are_equal(&mac.as_ref()[..WHOLE - BODY], &octets[BODY..])
            .ok()?;
        let (mut time, mut random) = ([0; TIME], [0; 12]);
        time.copy_from_slice(&octets[..TIME]);
        random.copy_from_slice(&octets[TIME..BODY]);
        let made = i64::from_be_bytes(time);
        let age = now.as_second().checked_sub(made)?;
        // A replica's clock may be a little ahead.
        (-60..LIFETIME.as_secs()).contains(&age).then_some(Genuine { made, random })
    }

    /// Spends it in this process: true once.
    pub(crate) fn spend(&self, nonce: Genuine, now: Timestamp) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let expired = now.as_second() - LIFETIME.as_secs() - 1;
        while let Some((time, _)) =
            spent.by_time.first_key_value().map(|(time, nonces)| (*time, nonces.len()))
        {
            if time > expired && spent.count < MOST_SPENT {
                break;
            }
            let removed = spent.by_time.remove(&time).map_or(0, |nonces| nonces.len());
            spent.count -= removed;
            spent.forgotten = time;
        }
        if nonce.made <= spent.forgotten {
            return false;
        }
        let is_new = spent.by_time.entry(nonce.made).or_default().insert(nonce.random);
        spent.count += usize::from(is_new);
        is_new
    }
}

impl Genuine {
    /// The name under which a store remembers that it was spent.
    pub(crate) fn id(&self) -> String {
        format!("{:016x}{}", self.made, pki::hex(&self.random))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn nonce_is_good_once_and_for_a_while() {
        let nonces = Nonces::new(&[1; 32]);
        let text = nonces.make(at(0)).unwrap();
        let nonce = nonces.genuine(&text, at(1)).unwrap();
        assert!(nonces.spend(nonce, at(1)));
        assert!(!nonces.spend(nonce, at(1)), "a replay");
        assert!(!nonces.spend(nonce, at(1799)), "a late replay");
        assert_eq!(nonces.genuine(&text, at(1800)), None, "expired");
        assert!(!nonces.spend(nonce, at(4000)), "forgotten is spent");
    }

    #[test]
    fn nonces_of_others_and_changed_ones_are_none() {
        let nonces = Nonces::new(&[1; 32]);
        let foreign = Nonces::new(&[2; 32]).make(at(0)).unwrap();
        assert_eq!(nonces.genuine(&foreign, at(0)), None);
        let own = nonces.make(at(0)).unwrap();
        for index in 0..own.len() {
            let mut changed = own.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(nonces.genuine(&changed, at(0)), None, "{index}");
        }
        for bad in ["", "AAAA", "not base64!"] {
            assert_eq!(nonces.genuine(bad, at(0)), None);
        }
        assert_eq!(nonces.genuine(&own, at(-3600)), None, "from the future");
    }

    #[test]
    fn what_has_expired_takes_no_memory() {
        let nonces = Nonces::new(&[1; 32]);
        for second in 0..4000 {
            let nonce = nonces.genuine(&nonces.make(at(second)).unwrap(), at(second)).unwrap();
            assert!(nonces.spend(nonce, at(second)));
        }
        assert!(nonces.spent.lock().unwrap().count <= 1802);
    }
}
