//! Who is connected where, and which gateways are well: what this service's own listener sees, what gateways report here,
//! and what other replicas were told of both. It is bounded, and is shown and never acted upon: a gateway can say what it
//! likes.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ca::observed::{CLIENT, GATEWAY, Said};
use jiff::{SignedDuration, Timestamp};
use net::observe::OwnCertificate;
use net::serve::AccessRecord;
use serde_json::{Value, json};

/// Certificates that are remembered. The one that was seen longest ago makes room.
const MOST_CLIENTS: usize = 20_000;
/// Gateways that are remembered.
const MOST_GATEWAYS: usize = 200;
/// A gateway reports every ten seconds; one that was not heard for longer is late.
pub(crate) const LATE_AFTER: SignedDuration = SignedDuration::from_secs(45);
/// One that was not heard for longer is forgotten.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// How much later than told a certificate is seen until that is told again.
const TOLD_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Certificates that are told of at a time; those that wait longest come first.
const TOLD_AT_A_TIME: usize = 500;

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
    /// As of when the other replicas know each of them.
    clients_told: HashMap<String, Timestamp>,
    gateways_told: HashMap<String, Timestamp>,
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
        kept.take(gateway, now);
        for sighting in clients {
            kept.see(sighting);
        }
    }

    /// What the other replicas do not know yet, as far as they should.
    pub(crate) fn news(&self) -> Vec<Said> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { clients, gateways, clients_told, gateways_told } = &mut *kept;
        clients_told.retain(|serial, _| clients.contains_key(serial));
        gateways_told.retain(|name, _| gateways.contains_key(name));
        let told = |serial: &str| clients_told.get(serial).copied();
        let is_news = |one: &&Sighting| {
            told(&one.serial).is_none_or(|told| one.last_seen.duration_since(told) >= TOLD_AGAIN_AFTER)
        };
        let mut seen: Vec<&Sighting> = clients.values().filter(is_news).collect();
        seen.sort_by_key(|one| (told(&one.serial), one.last_seen));
        seen.truncate(TOLD_AT_A_TIME);
        let mut news: Vec<Said> = seen.iter().map(|one| one.said()).collect();
        for one in seen {
            clients_told.insert(one.serial.clone(), one.last_seen);
        }
        for one in gateways.values() {
            if gateways_told.get(&one.name).is_none_or(|told| *told < one.heard_at) {
                news.push(one.said());
                gateways_told.insert(one.name.clone(), one.heard_at);
            }
        }
        news
    }

    /// Takes what all replicas know.
    pub(crate) fn heard(&self, clients: &[Said], gateways: &[Said], now: Timestamp) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for sighting in clients.iter().filter_map(Sighting::read) {
            let told = kept.clients_told.entry(sighting.serial.clone()).or_insert(sighting.last_seen);
            *told = (*told).max(sighting.last_seen);
            kept.see(sighting);
        }
        for gateway in gateways.iter().filter_map(Gateway::read) {
            let told = kept.gateways_told.entry(gateway.name.clone()).or_insert(gateway.heard_at);
            *told = (*told).max(gateway.heard_at);
            let is_news =
                kept.gateways.get(&gateway.name).is_none_or(|known| known.heard_at < gateway.heard_at);
            if is_news {
                kept.take(gateway, now);
            }
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

impl Sighting {
    fn said(&self) -> Said {
        let body = json!({
            "identity": self.identity, "not_after": self.not_after.to_string(), "key": self.key,
            "tls_version": self.tls_version, "address": self.address, "first_seen": self.first_seen.to_string(),
            "last_seen": self.last_seen.to_string(), "requests": self.requests, "refused": self.refused,
            "gateway": self.gateway,
        });
        Said {
            kind: CLIENT.to_owned(),
            id: self.serial.clone(),
            change: 0,
            at: self.last_seen,
            body: body.to_string(),
        }
    }

    fn read(said: &Said) -> Option<Self> {
        let value: Value = serde_json::from_str(&said.body).ok()?;
        let text = |member: &str| value[member].as_str().map(str::to_owned);
        let time = |member: &str| value[member].as_str()?.parse::<Timestamp>().ok();
        Some(Sighting {
            serial: said.id.clone(),
            identity: text("identity")?,
            not_after: time("not_after")?,
            key: text("key")?,
            tls_version: text("tls_version")?,
            address: text("address")?,
            first_seen: time("first_seen")?,
            last_seen: time("last_seen")?,
            requests: value["requests"].as_u64()?,
            refused: value["refused"].as_u64()?,
            gateway: text("gateway"),
        })
    }
}

impl Gateway {
    fn said(&self) -> Said {
        let own = self.certificates.iter().map(
            |one| json!({ "name": one.name, "not_after": one.not_after.to_string(), "serial": one.serial }),
        );
        let lists = self.lists.iter().map(|(issuer, due)| (issuer, due.map(|due| due.to_string())));
        let body = json!({
            "reported_by": self.reported_by, "heard_at": self.heard_at.to_string(), "version": self.version,
            "started": self.started, "connections_open": self.connections_open, "requests": self.requests,
            "certificates": own.collect::<Vec<_>>(), "lists": lists.collect::<Vec<_>>(), "anchors": self.anchors,
        });
        Said {
            kind: GATEWAY.to_owned(),
            id: self.name.clone(),
            change: 0,
            at: self.heard_at,
            body: body.to_string(),
        }
    }

    fn read(said: &Said) -> Option<Self> {
        let value: Value = serde_json::from_str(&said.body).ok()?;
        let text = |member: &str| value[member].as_str().map(str::to_owned);
        let certificates = value["certificates"].as_array().into_iter().flatten().filter_map(|own| {
            Some(OwnCertificate {
                name: own["name"].as_str()?.to_owned(),
                not_after: own["not_after"].as_str()?.parse().ok()?,
                serial: own["serial"].as_str()?.to_owned(),
            })
        });
        let lists = value["lists"].as_array().into_iter().flatten().filter_map(|list| {
            let due = list[1].as_str().and_then(|due| due.parse::<Timestamp>().ok());
            Some((list[0].as_str()?.to_owned(), due))
        });
        let anchors = value["anchors"].as_array().map(|all| {
            all.iter().filter_map(|anchor| anchor.as_str().map(str::to_owned)).collect::<Vec<_>>()
        });
        Some(Gateway {
            name: said.id.clone(),
            reported_by: text("reported_by")?,
            heard_at: text("heard_at")?.parse().ok()?,
            version: text("version")?,
            started: text("started")?,
            connections_open: value["connections_open"].as_u64()?,
            requests: value["requests"].as_u64()?,
            certificates: certificates.collect(),
            lists: lists.collect(),
            anchors,
        })
    }
}

impl Kept {
    fn take(&mut self, gateway: Gateway, now: Timestamp) {
        self.gateways.retain(|_, known| now.duration_since(known.heard_at) < FORGOTTEN_AFTER);
        if self.gateways.len() < MOST_GATEWAYS || self.gateways.contains_key(&gateway.name) {
            self.gateways.insert(gateway.name.clone(), gateway);
        }
    }

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
    fn what_one_replica_saw_the_other_shows_and_is_told_again_only_after_a_minute() {
        let (here, there) = (Radar::default(), Radar::default());
        let now = testkit::now();
        let gateway = Gateway {
            name: "edge".to_owned(),
            reported_by: "edge".to_owned(),
            heard_at: now,
            version: "1".to_owned(),
            started: "then".to_owned(),
            connections_open: 3,
            requests: 4,
            certificates: vec![OwnCertificate {
                name: "own".to_owned(),
                not_after: now,
                serial: "4c".to_owned(),
            }],
            lists: vec![("CA".to_owned(), Some(now)), ("other".to_owned(), None)],
            anchors: Some(vec!["ab".to_owned()]),
        };
        here.reported(gateway.clone(), vec![seen(1, Some("edge")), seen(2, None)]);
        let news = here.news();
        let (clients, gateways): (Vec<Said>, Vec<Said>) =
            news.into_iter().partition(|one| one.kind == CLIENT);
        assert_eq!((clients.len(), gateways.len()), (2, 1));
        there.heard(&clients, &gateways, now);
        let shown = |radar: &Radar| format!("{:?} {:?}", radar.seen_since(now), radar.gateways());
        assert_eq!(shown(&there), shown(&here));
        assert_eq!(format!("{:?}", there.gateways()), format!("{:?}", std::slice::from_ref(&gateway)));
        assert!(there.news().is_empty(), "what was heard is not told again");
        let later =
            |seconds: i64| Sighting { serial: seen(1, None).serial, ..seen(1 + seconds, Some("edge")) };
        here.reported(gateway.clone(), vec![later(59)]);
        assert!(here.news().is_empty());
        here.reported(gateway, vec![later(60)]);
        assert_eq!(here.news().len(), 1);
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
