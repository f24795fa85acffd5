//! How much each identity has asked for lately. What it may ask for is decided in [`pki::policy::limit`]; here the counts
//! are kept, bounded in number however many identities there are.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use explain::{Fault, Finding, FindingCode};
use jiff::Timestamp;
use pki::identity::{Identity, VerifiedPeer};
use pki::policy::limit::{IdentityLimits, OverLimit, Usage};

use crate::serve::{self, Gate, Route, TurnedAway};

/// Locks that do not wait for each other.
const SHARDS: usize = 16;

/// Identities that one shard remembers; about 200 octets each.
const REMEMBERED: usize = 8192;

/// Limits for the routes by their names, and the counts of the identities that use them.
#[derive(Debug)]
pub struct Quota {
    limits: ArcSwap<HashMap<String, IdentityLimits>>,
    shards: Arc<[Mutex<Shard>; SHARDS]>,
    hasher: RandomState,
    clock: fn() -> Timestamp,
}

type Shard = HashMap<Key, Usage>;

/// Whose count it is: each route counts for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    route: String,
    who: Who,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Identity(Identity),
    /// A certificate without names, by its key.
    Key([u8; 32]),
    /// Without a certificate: the address; of IPv6 the network, since one machine has a whole one.
    Address(IpAddr),
}

impl Who {
    fn of(peer: Option<&VerifiedPeer>, from: IpAddr) -> Self {
        match peer {
            Some(peer) => match peer.primary() {
                Some(identity) => Who::Identity(identity.clone()),
                None => Who::Key(
                    peer.certificate().public_key().map_or([0; 32], pki::key::PublicKey::spki_sha256),
                ),
            },
            None => Who::Address(match from {
                IpAddr::V6(ip) if ip.to_ipv4_mapped().is_none() => {
                    Ipv6Addr::from(u128::from(ip) & (u128::MAX << 64)).into()
                }
                IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(from, IpAddr::V4),
                IpAddr::V4(_) => from,
            }),
        }
    }
}

/// A request that is at work; dropping it gives the place to another.
#[derive(Debug)]
pub struct Pass {
    shards: Arc<[Mutex<Shard>; SHARDS]>,
    shard: usize,
    key: Key,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut shard = self.shards[self.shard].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = shard.get_mut(&self.key) {
            usage.leave();
        }
    }
}

impl Quota {
    /// Limits for routes by name, on this clock.
    ///
    /// ```
    /// use pki::policy::limit::IdentityLimits;
    /// let limits = IdentityLimits { rate: None, concurrency: Some(1) };
    /// let quota = net::quota::Quota::new([("api".to_owned(), limits)].into(), jiff::Timestamp::now);
    /// let from = "192.0.2.7".parse().unwrap();
    /// let pass = quota.enter("api", None, from).unwrap();
    /// assert!(quota.enter("api", None, from).is_err());
    /// assert!(quota.enter("other", None, from).unwrap().is_none());
    /// drop(pass);
    /// assert!(quota.enter("api", None, from).is_ok());
    /// ```
    #[must_use]
    pub fn new(limits: HashMap<String, IdentityLimits>, clock: fn() -> Timestamp) -> Self {
        let shards = Arc::new(std::array::from_fn(|_| Mutex::new(HashMap::new())));
        Quota { limits: ArcSwap::from_pointee(limits), shards, hasher: RandomState::new(), clock }
    }

    /// Puts other limits in force; the counts stay.
    pub fn replace(&self, limits: HashMap<String, IdentityLimits>) {
        self.limits.store(Arc::new(limits));
    }

    /// Takes a request of this peer to the route; `None` where the route has no limits.
    ///
    /// # Errors
    /// [`OverLimit`].
    pub fn enter(
        &self,
        route: &str,
        peer: Option<&VerifiedPeer>,
        from: IpAddr,
    ) -> Result<Option<Pass>, OverLimit> {
        let limits = self.limits.load();
        let Some(limits) = limits.get(route).filter(|limits| limits.is_limiting()) else { return Ok(None) };
        let now = (self.clock)();
        let key = Key { route: route.to_owned(), who: Who::of(peer, from) };
        let number = usize::try_from(self.hasher.hash_one(&key) % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[number].lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= REMEMBERED && !shard.contains_key(&key) {
            make_room(&mut shard, now);
        }
        shard.entry(key.clone()).or_insert_with(|| Usage::new(now)).enter(limits, now)?;
        drop(shard);
        Ok(Some(Pass { shards: Arc::clone(&self.shards), shard: number, key }))
    }

    /// How many identities are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

impl Gate for Quota {
    fn enter(
        &self,
        route: &Route,
        peer: Option<&VerifiedPeer>,
        from: IpAddr,
    ) -> Result<Option<serve::Pass>, TurnedAway> {
        match Quota::enter(self, &route.name, peer, from) {
            Ok(pass) => Ok(pass.map(|pass| Box::new(pass) as serve::Pass)),
            Err(error) => {
                let (finding, wait) = over_limit(&error);
                Err(TurnedAway { retry_after: Some(Duration::from_secs(wait)), finding })
            }
        }
    }
}

/// Forgets whom forgetting does not help; where nobody is left to forget, those who have nothing at work.
fn make_room(shard: &mut Shard, now: Timestamp) {
    shard.retain(|_, usage| !usage.is_forgettable(now));
    if shard.len() >= REMEMBERED {
        shard.retain(|_, usage| usage.is_at_work());
    }
}

/// The finding of a request over a limit, and after how many seconds it may come again.
#[must_use]
pub fn over_limit(error: &OverLimit) -> (Finding, u64) {
    let wait = match error {
        OverLimit::Rate { wait, .. } => u64::try_from(wait.as_secs()).unwrap_or(0) + 1,
        OverLimit::Concurrency { .. } => 1,
    };
    let finding = Finding::new(FindingCode::TooManyRequests, Fault::Client, error.to_string())
        .remedy(format!("ask again after {wait} s, or have the route's limits raised"));
    (finding, wait)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn limits(text: &str) -> HashMap<String, IdentityLimits> {
        let limits = IdentityLimits { rate: Some(text.parse().unwrap()), concurrency: None };
        [("api".to_owned(), limits)].into()
    }

    #[test]
    fn each_address_counts_for_itself_and_a_network_of_ipv6_as_one() {
        let quota = Quota::new(limits("1/h"), testkit::now);
        let enter = |ip: &str| quota.enter("api", None, ip.parse().unwrap()).is_ok();
        assert!(enter("192.0.2.1") && enter("192.0.2.2") && enter("2001:db8::1"));
        assert!(!enter("192.0.2.1"));
        assert!(!enter("2001:db8::ffff:2"), "the same /64");
        assert!(!enter("::ffff:192.0.2.2"), "the same address in another dress");
        assert!(enter("2001:db8:0:1::1"));
    }

    #[test]
    fn memory_is_bounded_and_what_is_at_work_is_not_forgotten() {
        let mut of_route = limits("1/h");
        of_route.get_mut("api").unwrap().concurrency = Some(1);
        let quota = Quota::new(of_route, testkit::now);
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        let at_work = quota.enter("api", None, address(0)).unwrap();
        for n in 1..135_000 {
            drop(quota.enter("api", None, address(n)).unwrap());
        }
        assert!(quota.remembered() <= SHARDS * REMEMBERED, "{}", quota.remembered());
        assert!(matches!(quota.enter("api", None, address(0)), Err(OverLimit::Concurrency { .. })));
        drop(at_work);
    }

    #[test]
    fn new_limits_hold_at_once_for_old_counts() {
        let quota = Quota::new(limits("1/h"), testkit::now);
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        drop(quota.enter("api", None, ip).unwrap());
        let (finding, wait) = over_limit(&quota.enter("api", None, ip).unwrap_err());
        assert_eq!((finding.code, wait), (FindingCode::TooManyRequests, 3601));
        quota.replace(limits("10/s"));
        let (_, wait) = over_limit(&quota.enter("api", None, ip).unwrap_err());
        assert_eq!(wait, 1, "the old debt is counted in the new limit's steps");
    }
}
