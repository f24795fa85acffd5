//! Who is connected where, and which gateways are well: what this service's own listener sees, and what gateways report.
//! It lives in this process alone, is bounded, and is shown and never acted upon: a gateway can say what it likes.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use net::observe::OwnCertificate;
use net::serve::AccessRecord;

/// Certificates that are remembered. The one that was seen longest ago makes room.
const MOST_CLIENTS: usize = 20_000;
/// Gateways that are remembered.
const MOST_GATEWAYS: usize = 200;
/// A gateway reports every ten seconds; one that was not heard for longer is late.
pub(crate) const LATE_AFTER: SignedDuration = SignedDuration::from_secs(45);
/// One that was not heard for longer is forgotten.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// A certificate that was seen.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    pub(crate) serial: String,
    pub(crate) identity: String,
    pub(crate) not_after: Timestamp,
    pub(crate) key: String,
    pub(crate) tls_version: String,
    pub(crate) address: String,
    pub(crate) first_seen: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) requests: u64,
    pub(crate) refused: u64,
    /// The gateway that saw it last; nothing for this service itself.
    pub(crate) gateway: Option<String>,
}

/// A gateway as it reports itself.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) name: String,
    /// The identity that it reports as.
    pub(crate) reported_by: String,
    pub(crate) heard_at: Timestamp,
    pub(crate) version: String,
    pub(crate) started: String,
    pub(crate) connections_open: u64,
    pub(crate) requests: u64,
    /// Its own certificates.
    pub(crate) certificates: Vec<OwnCertificate>,
    /// Its revocation lists, and when they are due.
    pub(crate) lists: Vec<(String, Option<Timestamp>)>,
    /// The SHA-256 of each anchor whose clients it believes; nothing where it does not say.
    pub(crate) anchors: Option<Vec<String>>,
}

/// The memory of both.
#[derive(Debug, Default)]
pub struct Radar {
    kept: Mutex<Kept>,
    /// Feeds that are followed now.
    followed: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    clients: HashMap<String, Sighting>,
    gateways: BTreeMap<String, Gateway>,
}

impl Radar {
    /// Takes an access record of this service's own listener.
    pub fn record(&self, record: &AccessRecord) {
        let AccessRecord::Request(request) = record else { return };
        let (Some(client), Some(serial)) = (&request.client, &request.serial) else { return };
        let certificate = client.certificate();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.clients.get(&**serial).filter(|before| before.gateway.is_none());
        let key = || {
            certificate.public_key().map_or_else(|_| "unknown".to_owned(), |key| key.algorithm().to_string())
        };
        let sighting = Sighting {
            serial: serial.to_string(),
            identity: client.primary().map_or_else(|| client.display_name(), ToString::to_string),
            not_after: certificate.not_after(),
            key: before.map_or_else(key, |before| before.key.clone()),
            tls_version: request.tls.version.clone(),
            address: request.peer.ip().to_string(),
            first_seen: before.map_or(request.time, |before| before.first_seen),
            last_seen: request.time,
            requests: before.map_or(0, |before| before.requests) + 1,
            refused: before.map_or(0, |before| before.refused) + u64::from(request.finding.is_some()),
            gateway: None,
        };
        kept.see(sighting);
    }

    /// Takes a gateway's report.
    pub(crate) fn reported(&self, gateway: Gateway, clients: Vec<Sighting>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = gateway.heard_at;
        kept.gateways.retain(|_, known| now.duration_since(known.heard_at) < FORGOTTEN_AFTER);
        if kept.gateways.len() < MOST_GATEWAYS || kept.gateways.contains_key(&gateway.name) {
            kept.gateways.insert(gateway.name.clone(), gateway);
        }
        for sighting in clients {
            kept.see(sighting);
        }
    }

    pub(crate) fn gateways(&self) -> Vec<Gateway> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).gateways.values().cloned().collect()
    }

    /// The certificates that were seen since a moment, the last one first.
    pub(crate) fn seen_since(&self, since: Timestamp) -> Vec<Sighting> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen: Vec<Sighting> =
            kept.clients.values().filter(|sighting| sighting.last_seen >= since).cloned().collect();
        seen.sort_by(|one, other| (other.last_seen, &one.serial).cmp(&(one.last_seen, &other.serial)));
        seen
    }

    /// When the certificate with this serial number was seen last.
    pub(crate) fn find(&self, serial: &str) -> Option<Sighting> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clients.get(serial).cloned()
    }

    /// One more feed is followed, until the result is dropped.
    pub(crate) fn follow(self: std::sync::Arc<Self>) -> Following {
        self.followed.fetch_add(1, Ordering::Relaxed);
        Following(self)
    }

    pub(crate) fn followed(&self) -> u64 {
        self.followed.load(Ordering::Relaxed)
    }
}

/// A feed that is followed.
pub(crate) struct Following(std::sync::Arc<Radar>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.followed.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Kept {
    fn see(&mut self, sighting: Sighting) {
        if self.clients.get(&sighting.serial).is_some_and(|known| known.last_seen > sighting.last_seen) {
            return;
        }
        if self.clients.len() >= MOST_CLIENTS && !self.clients.contains_key(&sighting.serial) {
            // A tenth at a time: looking for the oldest at every new one would cost each a look at all.
            let mut times: Vec<Timestamp> = self.clients.values().map(|known| known.last_seen).collect();
            let (_, limit, _) = times.select_nth_unstable(MOST_CLIENTS / 10);
            let limit = *limit;
            self.clients.retain(|_, known| known.last_seen > limit);
        }
        self.clients.insert(sighting.serial.clone(), sighting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(number: i64, gateway: Option<&str>) -> Sighting {
        let at = testkit::now() + SignedDuration::from_secs(number);
        Sighting {
            serial: format!("{number:08x}"),
            identity: "CN:alice".to_owned(),
            not_after: at,
            key: "P-256".to_owned(),
            tls_version: "TLSv1.3".to_owned(),
            address: "192.0.2.1".to_owned(),
            first_seen: at,
            last_seen: at,
            requests: 1,
            refused: 0,
            gateway: gateway.map(str::to_owned),
        }
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_whom_it_saw_longest_ago() {
        let mut kept = Kept::default();
        let most = i64::try_from(MOST_CLIENTS).unwrap_or(i64::MAX);
        for number in 0..most + 100 {
            kept.see(seen(number, None));
        }
        assert!(kept.clients.len() <= MOST_CLIENTS);
        assert!(kept.clients.contains_key(&format!("{:08x}", most + 99)));
        assert!(!kept.clients.contains_key("00000000"));
    }

    #[test]
    fn an_older_sighting_does_not_replace_a_newer_one() {
        let mut kept = Kept::default();
        kept.see(seen(5, Some("edge")));
        let older = Sighting { last_seen: testkit::now(), gateway: Some("late".to_owned()), ..seen(5, None) };
        kept.see(older);
        assert_eq!(kept.clients["00000005"].gateway.as_deref(), Some("edge"));
    }
}
