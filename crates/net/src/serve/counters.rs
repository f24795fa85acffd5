//! What a server counts, for whoever shows it; and the door that may turn requests away.

use std::any::Any;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use explain::Finding;
use pki::identity::VerifiedPeer;

use super::Route;
use super::handshakes::HandshakeCounters;

/// Numbers that only grow, and some that go up and down.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections open now, those in their handshake included.
    pub connections_open: AtomicU64,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Handshakes in full.
    pub handshakes_full: AtomicU64,
    /// Handshakes by ticket.
    pub handshakes_resumed: AtomicU64,
    /// Handshakes refused or broken off.
    pub handshakes_refused: AtomicU64,
    /// Requests judged.
    pub requests: AtomicU64,
    /// Requests under way now.
    pub requests_open: AtomicU64,
    /// Connections turned away at once, since their address had too many.
    pub turned_away: AtomicU64,
    /// Handshakes by what the key exchange was.
    pub groups: GroupCounters,
    /// Handshakes by who came, with which kind of key, over which version.
    pub handshakes: HandshakeCounters,
}

/// The key exchange groups that are spoken here, in the names of the registry; the last stands for none, which is a
/// session that was resumed without a new exchange.
const GROUPS: [&str; 5] = ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1", "none"];

/// Handshakes by their key exchange group.
#[derive(Debug, Default)]
pub struct GroupCounters([AtomicU64; GROUPS.len()]);

impl GroupCounters {
    pub(crate) fn add(&self, group: &str) {
        let at = GROUPS.iter().position(|known| *known == group).unwrap_or(GROUPS.len() - 1);
        Counters::add(&self.0[at]);
    }

    /// Each group with its count.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &AtomicU64)> {
        GROUPS.into_iter().zip(&self.0)
    }
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove(counter: &AtomicU64) {
        counter.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a request holds while it is under way; dropped at its end.
pub type Pass = Box<dyn Any + Send + Sync>;

/// A request that is turned away although it is permitted.
#[derive(Debug)]
pub struct TurnedAway {
    /// When to come again.
    pub retry_after: Option<Duration>,
    /// Why.
    pub finding: Finding,
}

/// Decides whether a permitted request may pass now: rates and concurrency of an identity are counted behind it.
pub trait Gate: Send + Sync {
    /// Lets a request pass, or not. What it gives is held until the request ends.
    ///
    /// # Errors
    /// [`TurnedAway`]; it is answered with 429.
    fn enter(
        &self,
        route: &Route,
        peer: Option<&VerifiedPeer>,
        from: IpAddr,
    ) -> Result<Option<Pass>, TurnedAway>;
}
