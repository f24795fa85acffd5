//! Finished handshakes, counted by who came, with which kind of key, over which version of TLS. A handshake of a client
//! that is known costs one addition; names are looked up when a client comes for the first time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::snapshot::Client;
use crate::tls::Negotiated;

/// Identities with counts of their own between two readings, each with each kind of key; about 200 octets each. What comes
/// beyond is counted together.
const MOST: usize = 20_000;

/// The versions that are spoken here, in the names of [`Negotiated::version`].
const VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// What one client did, by version.
#[derive(Debug, Default)]
pub(crate) struct Versions([AtomicU64; VERSIONS.len()]);

impl Versions {
    fn add(&self, negotiated: &Negotiated) {
        self.0[usize::from(negotiated.is_tls13())].fetch_add(1, Ordering::Relaxed);
    }

    /// The counts since they were taken last.
    fn take(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = VERSIONS.into_iter().zip(&self.0);
        counts
            .map(|(version, count)| (version, count.swap(0, Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
    }
}

/// Handshakes of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeCount {
    /// Who came; nothing for clients without a certificate, and for those that have no count of their own.
    pub identity: Option<String>,
    /// The kind of their key; nothing for clients without a certificate.
    pub key: Option<String>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub tls_version: &'static str,
    /// How many.
    pub count: u64,
}

/// An identity, where it has a count of its own, and a kind of key.
type Who = (Option<String>, String);

/// The counts since they were taken last.
#[derive(Debug, Default)]
pub struct HandshakeCounters {
    without_certificate: Versions,
    clients: Mutex<HashMap<Who, Arc<Versions>>>,
}

impl HandshakeCounters {
    pub(crate) fn add(&self, client: Option<&Client>, negotiated: &Negotiated) {
        match client {
            None => self.without_certificate.add(negotiated),
            Some(client) => client.handshakes(|identity, key| self.of(identity, key)).add(negotiated),
        }
    }

    fn of(&self, identity: String, key: String) -> Arc<Versions> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let who = (Some(identity), key);
        let has_place = clients.len() < MOST || clients.contains_key(&who);
        let who = if has_place { who } else { (None, who.1) };
        Arc::clone(clients.entry(who).or_default())
    }

    /// Takes the counts since the last time.
    pub fn take(&self) -> Vec<HandshakeCount> {
        let count = |identity: Option<&String>, key: Option<&String>, (tls_version, count)| HandshakeCount {
            identity: identity.cloned(),
            key: key.cloned(),
            tls_version,
            count,
        };
        let mut taken: Vec<HandshakeCount> =
            self.without_certificate.take().map(|counted| count(None, None, counted)).collect();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|(identity, key), versions| {
            // Asked first: whom nobody holds now, nobody can add to before it is gone.
            let is_held = Arc::strong_count(versions) > 1;
            taken.extend(versions.take().map(|counted| count(identity.as_ref(), Some(key), counted)));
            is_held
        });
        taken
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn negotiated(version: &str) -> Negotiated {
        Negotiated { version: version.to_owned(), ..Negotiated::default() }
    }

    #[test]
    fn counts_are_taken_once_and_whoever_is_gone_takes_no_room() {
        let counters = HandshakeCounters::default();
        let alice = counters.of("alice".to_owned(), "P-256".to_owned());
        let bob = counters.of("bob".to_owned(), "ML-DSA-65".to_owned());
        counters.add(None, &negotiated("TLSv1.3"));
        alice.add(&negotiated("TLSv1.3"));
        alice.add(&negotiated("TLSv1.3"));
        alice.add(&negotiated("TLSv1.2"));
        bob.add(&negotiated("TLSv1.2"));
        drop(bob);
        let mut taken = counters.take();
        taken.sort_by_key(|one| (one.identity.clone(), one.tls_version));
        let told: Vec<_> = taken
            .iter()
            .map(|one| (one.identity.as_deref(), one.key.as_deref(), one.tls_version, one.count))
            .collect();
        assert_eq!(
            told,
            [
                (None, None, "TLSv1.3", 1),
                (Some("alice"), Some("P-256"), "TLSv1.2", 1),
                (Some("alice"), Some("P-256"), "TLSv1.3", 2),
                (Some("bob"), Some("ML-DSA-65"), "TLSv1.2", 1),
            ]
        );
        assert_eq!(counters.take(), []);
        assert_eq!(counters.clients.lock().unwrap().len(), 1, "bob is gone, and alice may come again");
        alice.add(&negotiated("TLSv1.3"));
        assert_eq!(counters.take()[0].count, 1);
    }

    #[test]
    fn clients_beyond_the_bound_are_counted_together() {
        let counters = HandshakeCounters::default();
        let held: Vec<_> = (0..MOST + 5)
            .map(|number| {
                let of = counters.of(format!("client {number}"), "P-256".to_owned());
                of.add(&negotiated("TLSv1.3"));
                of
            })
            .collect();
        let taken = counters.take();
        assert_eq!(taken.len(), MOST + 1);
        let together = taken.iter().find(|one| one.identity.is_none()).unwrap();
        assert_eq!((together.count, together.key.as_deref()), (5, Some("P-256")));
        drop(held);
    }
}
