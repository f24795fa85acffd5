//! What is seen of a running server from outside: counts for Prometheus, and the radar, which remembers for each client
//! identity its certificate, when it was seen, and how much it asked for. Fed by access records; bounded however many
//! clients come. Served by [`crate::admin`].

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use pki::Certificate;
use serde_json::{Value, json};

use crate::serve::{AccessRecord, Counters, HandshakeCount, RequestRecord};
use crate::tls::Offers;

/// Identities that the radar remembers; about 500 octets each, and the certificate of those of a public CA. The one that
/// was seen longest ago makes room.
const REMEMBERED: usize = 20_000;

/// Certificates that are remembered because clients may not show them. Strangers decide how many come.
const MISUSED: usize = 1000;

/// The bounds of the histogram of durations, in seconds.
const BOUNDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

/// One client identity.
#[derive(Debug, Clone)]
struct Sighting {
    first_seen: Timestamp,
    last_seen: Timestamp,
    serial: String,
    issuer: String,
    not_after: Timestamp,
    key: String,
    tls_version: String,
    group: String,
    offers: Offers,
    has_post_quantum_key: bool,
    /// What says that a public CA made the certificate, and the certificate: who leaves that CA needs its names.
    public: Option<(String, Certificate)>,
    address: String,
    requests: u64,
    refused: u64,
}

/// A certificate that clients may not show, and that one showed.
#[derive(Debug)]
struct Misused {
    certificate: Certificate,
    address: String,
    last_seen: Timestamp,
    times: u64,
}

#[derive(Debug, Default)]
struct Seen {
    clients: HashMap<String, Sighting>,
    /// Refused for their usages, by the hash of the certificate.
    misused: HashMap<[u8; 32], Misused>,
    /// Requests by route, status class and verdict.
    requests: BTreeMap<(String, u16, String), u64>,
    /// Refused handshakes by code.
    refusals: BTreeMap<&'static str, u64>,
}

impl Seen {
    fn misused(&mut self, certificate: &Certificate, address: String, now: Timestamp) {
        let hash = certificate.sha256();
        if self.misused.len() >= MISUSED && !self.misused.contains_key(&hash) {
            let oldest = self.misused.iter().min_by_key(|(_, one)| one.last_seen);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                self.misused.remove(&oldest);
            }
        }
        let certificate =
            || Misused { certificate: certificate.clone(), address: String::new(), last_seen: now, times: 0 };
        let one = self.misused.entry(hash).or_insert_with(certificate);
        (one.address, one.last_seen, one.times) = (address, one.last_seen.max(now), one.times + 1);
    }
}

/// A certificate that the server shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnCertificate {
    /// The name for people.
    pub name: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// Its serial number in hexadecimal digits, by which an authority knows its own.
    pub serial: String,
}

/// What is remembered.
#[derive(Debug)]
pub struct Observer {
    seen: Mutex<Seen>,
    durations: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
    octets: AtomicU64,
    counters: Arc<Counters>,
    /// The server's own certificates.
    own: Mutex<Vec<OwnCertificate>>,
    /// When revocation lists are due, by their issuers.
    lists: Mutex<Vec<(String, Option<Timestamp>)>>,
    /// The SHA-256 of each anchor whose clients are believed.
    anchors: Mutex<Vec<String>>,
    started: Timestamp,
}

impl Observer {
    /// An observer of a server that counts here.
    ///
    /// ```
    /// let observer = net::observe::Observer::new(Default::default(), jiff::Timestamp::UNIX_EPOCH);
    /// assert!(observer.metrics(jiff::Timestamp::UNIX_EPOCH).contains("countersign_connections_open 0\n"));
    /// ```
    #[must_use]
    pub fn new(counters: Arc<Counters>, now: Timestamp) -> Self {
        Observer {
            seen: Mutex::default(),
            durations: Default::default(),
            microseconds: AtomicU64::new(0),
            octets: AtomicU64::new(0),
            counters,
            own: Mutex::default(),
            lists: Mutex::default(),
            anchors: Mutex::default(),
            started: now,
        }
    }

    /// Tells it which certificates of its own the server shows, which lists it has, and the SHA-256 of each anchor that
    /// it believes.
    pub fn loaded(
        &self,
        own: Vec<OwnCertificate>,
        lists: Vec<(String, Option<Timestamp>)>,
        anchors: Vec<String>,
    ) {
        *self.anchors.lock().unwrap_or_else(PoisonError::into_inner) = anchors;
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = own;
        *self.lists.lock().unwrap_or_else(PoisonError::into_inner) = lists;
    }

    /// The SHA-256 of each anchor whose clients are believed.
    #[must_use]
    pub fn anchors(&self) -> Vec<String> {
        self.anchors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server's own certificates.
    #[must_use]
    pub fn own(&self) -> Vec<OwnCertificate> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the handshakes since the last time.
    #[must_use]
    pub fn take_handshakes(&self) -> Vec<HandshakeCount> {
        self.counters.handshakes.take()
    }

    /// Takes a record.
    pub fn record(&self, record: &AccessRecord) {
        match record {
            AccessRecord::Request(request) => self.request(request),
            AccessRecord::Refusal(refusal) => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                *seen.refusals.entry(refusal.finding.code.name()).or_default() += 1;
                if let Some(certificate) = &refusal.not_for_clients {
                    seen.misused(certificate, refusal.peer.ip().to_string(), refusal.time);
                }
            }
        }
    }

    fn request(&self, request: &RequestRecord) {
        let seconds = request.duration.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.durations[bucket].fetch_add(1, Ordering::Relaxed);
        let microseconds = u64::try_from(request.duration.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
        self.octets.fetch_add(request.bytes, Ordering::Relaxed);
        let route = request.route.as_deref().unwrap_or("none").to_owned();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (route, request.status / 100, request.verdict.to_string());
        *seen.requests.entry(key).or_default() += 1;
        let Some(client) = &request.client else { return };
        let identity = client.primary().map_or_else(|| client.display_name(), ToString::to_string);
        if seen.clients.len() >= REMEMBERED && !seen.clients.contains_key(&identity) {
            let oldest = seen.clients.iter().min_by_key(|(_, sighting)| sighting.last_seen);
            if let Some(oldest) = oldest.map(|(identity, _)| identity.clone()) {
                seen.clients.remove(&oldest);
            }
        }
        let is_refused = u64::from(request.finding.is_some());
        let certificate = client.certificate();
        let sighting = seen.clients.entry(identity).or_insert_with(|| Sighting {
            first_seen: request.time,
            last_seen: request.time,
            serial: String::new(),
            issuer: String::new(),
            not_after: certificate.not_after(),
            key: String::new(),
            tls_version: String::new(),
            group: String::new(),
            offers: Offers::default(),
            has_post_quantum_key: false,
            public: None,
            address: String::new(),
            requests: 0,
            refused: 0,
        });
        sighting.last_seen = sighting.last_seen.max(request.time);
        sighting.requests += 1;
        sighting.refused += is_refused;
        let serial = request.serial.as_deref().unwrap_or_default();
        if sighting.serial != serial {
            // A certificate that was not seen before: the first, or a renewed one.
            serial.clone_into(&mut sighting.serial);
            sighting.issuer = certificate.issuer().to_string();
            sighting.not_after = certificate.not_after();
            let evidence = pki::public_ca::evidence(certificate);
            sighting.public = evidence.map(|evidence| (evidence.to_string(), certificate.clone()));
            let kind = certificate.public_key().map(|key| key.algorithm());
            sighting.has_post_quantum_key = kind.as_ref().is_ok_and(|kind| kind.is_post_quantum());
            sighting.key = kind.map_or_else(|_| "unknown".to_owned(), |kind| kind.to_string());
        }
        if sighting.tls_version != request.tls.version {
            sighting.tls_version = request.tls.version.to_string();
        }
        if sighting.group != request.tls.group {
            sighting.group = request.tls.group.to_string();
        }
        sighting.offers = request.tls.offers;
        sighting.address = request.peer.ip().to_string();
    }

    /// The clients, the one whose certificate ends first before the others.
    #[must_use]
    pub fn clients(&self, now: Timestamp) -> Value {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut clients: Vec<_> = seen.clients.iter().collect();
        clients.sort_by_key(|(identity, sighting)| (sighting.not_after, (*identity).clone()));
        let clients: Vec<Value> = clients
            .into_iter()
            .map(|(identity, sighting)| {
                json!({
                    "identity": identity,
                    "serial": sighting.serial,
                    "issuer": sighting.issuer,
                    "not_after": sighting.not_after.to_string(),
                    "days_left": sighting.not_after.duration_since(now).as_hours().div_euclid(24),
                    "key": sighting.key,
                    "tls_version": sighting.tls_version,
                    "group": sighting.group,
                    "offers_post_quantum_group": sighting.offers.post_quantum_group,
                    "offers_post_quantum_signature": sighting.offers.post_quantum_signature,
                    "public_ca": sighting.public.as_ref().map(|(evidence, _)| evidence),
                    "certificate": sighting.public.as_ref().map(|(_, certificate)| certificate.to_pem()),
                    "address": sighting.address,
                    "first_seen": sighting.first_seen.to_string(),
                    "last_seen": sighting.last_seen.to_string(),
                    "requests": sighting.requests,
                    "refused": sighting.refused,
                })
            })
            .collect();
        let readiness = Readiness::of(seen.clients.values());
        let mut misused: Vec<&Misused> = seen.misused.values().collect();
        misused.sort_by_key(|one| (one.certificate.not_after(), one.certificate.serial_hex()));
        let misused: Vec<Value> = misused
            .into_iter()
            .map(|one| {
                json!({ "certificate": one.certificate.to_pem(), "address": one.address, "refused": one.times,
                        "last_seen": one.last_seen.to_string() })
            })
            .collect();
        json!({ "clients": clients, "refused_for_usage": misused,
                "post_quantum": readiness.counts().into_iter().collect::<BTreeMap<_, _>>() })
    }

    /// The state in short.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Value {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let certificates: Vec<Value> = own
            .iter()
            .map(|OwnCertificate { name, not_after, serial }| {
                json!({ "name": name, "not_after": not_after.to_string(), "serial": serial,
                        "days_left": not_after.duration_since(now).as_hours().div_euclid(24) })
            })
            .collect();
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let lists: Vec<Value> = lists
            .iter()
            .map(|(issuer, due)| {
                json!({ "issuer": issuer, "next_update": due.map(|due| due.to_string()),
                        "expired": due.is_some_and(|due| due < now) })
            })
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started": self.started.to_string(),
            "connections_open": count(&self.counters.connections_open),
            "requests_open": count(&self.counters.requests_open),
            "requests": count(&self.counters.requests),
            "certificates": certificates,
            "revocation_lists": lists,
            "anchors": self.anchors(),
        })
    }

    /// Everything as Prometheus reads it (text format 0.0.4).
    #[must_use]
    pub fn metrics(&self, now: Timestamp) -> String {
        let mut text = String::with_capacity(8192);
        let counters = &self.counters;
        let simple: [(&str, &str, &str, &AtomicU64); 8] = [
            ("connections_open", "gauge", "Connections open now.", &counters.connections_open),
            ("connections_total", "counter", "Connections accepted.", &counters.connections),
            ("handshakes_full_total", "counter", "Handshakes in full.", &counters.handshakes_full),
            ("handshakes_resumed_total", "counter", "Handshakes by ticket.", &counters.handshakes_resumed),
            (
                "handshakes_refused_total",
                "counter",
                "Handshakes refused or broken off.",
                &counters.handshakes_refused,
            ),
            (
                "connections_turned_away_total",
                "counter",
                "Connections over an address's limit.",
                &counters.turned_away,
            ),
            ("requests_open", "gauge", "Requests under way now.", &counters.requests_open),
            ("response_body_bytes_total", "counter", "Octets of bodies sent.", &self.octets),
        ];
        for (name, kind, help, counter) in simple {
            head(&mut text, name, kind, help);
            let _ = writeln!(text, "countersign_{name} {}", counter.load(Ordering::Relaxed));
        }
        head(&mut text, "handshakes_by_group_total", "counter", "Handshakes, by their key exchange group.");
        for (group, counter) in counters.groups.each() {
            let count = counter.load(Ordering::Relaxed);
            let _ = writeln!(text, "countersign_handshakes_by_group_total{{group=\"{group}\"}} {count}");
        }
        head(
            &mut text,
            "request_duration_seconds",
            "histogram",
            "From a request's head to the end of its answer.",
        );
        let mut sum = 0;
        for (bucket, count) in self.durations.iter().enumerate() {
            sum += count.load(Ordering::Relaxed);
            let bound = BOUNDS.get(bucket).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
            let _ = writeln!(text, "countersign_request_duration_seconds_bucket{{le=\"{bound}\"}} {sum}");
        }
        let seconds =
            std::time::Duration::from_micros(self.microseconds.load(Ordering::Relaxed)).as_secs_f64();
        let _ = writeln!(text, "countersign_request_duration_seconds_sum {seconds}");
        let _ = writeln!(text, "countersign_request_duration_seconds_count {sum}");
        self.labelled_metrics(&mut text, now);
        text
    }

    fn labelled_metrics(&self, text: &mut String, now: Timestamp) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        head(text, "requests_total", "counter", "Requests, by route, status and verdict.");
        for ((route, class, verdict), count) in &seen.requests {
            let _ = writeln!(
                text,
                "countersign_requests_total{{route=\"{}\",status=\"{class}xx\",verdict=\"{}\"}} {count}",
                label(route),
                label(verdict)
            );
        }
        head(text, "refusals_total", "counter", "Connections refused, by the finding's code.");
        for (code, count) in &seen.refusals {
            let _ = writeln!(text, "countersign_refusals_total{{code=\"{code}\"}} {count}");
        }
        head(text, "clients", "gauge", "Client identities that are remembered.");
        let _ = writeln!(text, "countersign_clients {}", seen.clients.len());
        head(
            text,
            "clients_post_quantum",
            "gauge",
            "Clients that have, or could have, post-quantum parameters.",
        );
        for (what, count) in Readiness::of(seen.clients.values()).counts() {
            let _ = writeln!(text, "countersign_clients_post_quantum{{what=\"{what}\"}} {count}");
        }
        head(text, "client_certificate_expiry_seconds", "gauge", "Until a client's certificate ends.");
        for (identity, sighting) in &seen.clients {
            let left = sighting.not_after.duration_since(now).as_secs();
            let identity = label(identity);
            let _ = writeln!(
                text,
                "countersign_client_certificate_expiry_seconds{{identity=\"{identity}\"}} {left}"
            );
        }
        drop(seen);
        head(text, "own_certificate_expiry_seconds", "gauge", "Until a certificate of the server's ends.");
        for OwnCertificate { name, not_after, .. } in
            self.own.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            let left = not_after.duration_since(now).as_secs();
            let _ = writeln!(
                text,
                "countersign_own_certificate_expiry_seconds{{name=\"{}\"}} {left}",
                label(name)
            );
        }
        head(text, "revocation_list_next_update_seconds", "gauge", "Until a revocation list is due.");
        for (issuer, due) in self.lists.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(due) = due {
                let left = due.duration_since(now).as_secs();
                let issuer = label(issuer);
                let _ = writeln!(
                    text,
                    "countersign_revocation_list_next_update_seconds{{issuer=\"{issuer}\"}} {left}"
                );
            }
        }
    }
}

/// How many clients could switch to post-quantum parameters, by when they were last seen.
#[derive(Debug, Default, Clone, Copy)]
struct Readiness {
    uses_group: u64,
    offers_group: u64,
    offers_signature: u64,
    has_certificate: u64,
}

impl Readiness {
    fn of<'a>(clients: impl Iterator<Item = &'a Sighting>) -> Self {
        clients.fold(Readiness::default(), |mut all, client| {
            all.uses_group += u64::from(client.group == "X25519MLKEM768");
            all.offers_group += u64::from(client.offers.post_quantum_group);
            all.offers_signature += u64::from(client.offers.post_quantum_signature);
            all.has_certificate += u64::from(client.has_post_quantum_key);
            all
        })
    }

    fn counts(self) -> [(&'static str, u64); 4] {
        [
            ("uses_group", self.uses_group),
            ("offers_group", self.offers_group),
            ("offers_signature", self.offers_signature),
            ("has_certificate", self.has_certificate),
        ]
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP countersign_{name} {help}\n# TYPE countersign_{name} {kind}");
}

/// A label's value: a client chose its name, and must not write lines of its own.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_writes_no_line_of_its_own() {
        assert_eq!(label("a\"} 1\nfake{x=\"\\"), "a\\\"} 1\\nfake{x=\\\"\\\\");
    }
}
