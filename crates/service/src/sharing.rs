//! What this process saw of TLS, told to the memory that all replicas share, and what the others told. Nothing waits for
//! that, and nothing acts upon it. However much there is to tell, there is at most one commit a second: a flood of
//! refused handshakes is no flood of commits.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ca::observed::{CLIENT, GATEWAY, HANDSHAKES, Observed, Said, Span, Tally};
use jiff::{SignedDuration, Timestamp};
use net::serve::HandshakeCount;

use crate::{Problem, State};

/// Between two commits of refused handshakes: they are looked at while they come.
const REFUSALS_EVERY: SignedDuration = SignedDuration::from_secs(1);
/// Between two commits of everything else.
const ALL_EVERY: SignedDuration = SignedDuration::from_secs(10);
/// How often it is looked what the others told.
const HEAR_EVERY: SignedDuration = SignedDuration::from_secs(2);
/// Kinds of handshakes that wait to be told; what comes beyond waits without its identity.
const MOST_WAITING: usize = 20_000;

/// Hour, identity, kind of key, TLS version.
type Counted = (Timestamp, String, String, String);

/// How far this process has told and heard.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    handshakes: Mutex<BTreeMap<Counted, u64>>,
    /// Held while something is told or heard, so that it happens once.
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    refusals: Option<Timestamp>,
    all: Option<Timestamp>,
    heard: Option<Timestamp>,
    /// The last change that was heard, of clients and of gateways.
    clients: u64,
    gateways: u64,
}

/// The kinds of keys that are counted by name; others are no more than that.
fn kind_of_key(text: &str) -> &str {
    const KNOWN: [&str; 10] = [
        "ECDSA P-256",
        "ECDSA P-384",
        "ECDSA P-521",
        "Ed25519",
        "RSA 2048",
        "RSA 3072",
        "RSA 4096",
        "ML-DSA-44",
        "ML-DSA-65",
        "ML-DSA-87",
    ];
    match text {
        _ if KNOWN.contains(&text) => text,
        _ if text.starts_with("RSA ") => "RSA of another size",
        _ => "other",
    }
}

impl Sharing {
    /// Takes in handshakes of an hour, of this process or of a gateway.
    pub(crate) fn count(
        &self,
        hour: Timestamp,
        identity: Option<&str>,
        key: Option<&str>,
        version: &str,
        count: u64,
    ) {
        let version = if matches!(version, "TLSv1.2" | "TLSv1.3") { version } else { "other" };
        // Whoever has no key is nobody.
        let (identity, key) = match key {
            None => ("", ""),
            Some(key) => (identity.unwrap_or_default(), kind_of_key(key)),
        };
        // No database keeps the character 0 in a text.
        let identity = identity.replace('\0', "");
        let hour = Span::Hour.start(hour);
        let mut place: Counted = (hour, identity, key.to_owned(), version.to_owned());
        let mut waiting = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST_WAITING && !waiting.contains_key(&place) {
            place.1.clear();
        }
        let known = waiting.entry(place).or_default();
        *known = known.saturating_add(count);
    }

    fn add(&self, counts: Vec<HandshakeCount>, now: Timestamp) {
        for HandshakeCount { identity, key, tls_version, count } in counts {
            self.count(now, identity.as_deref(), key.as_deref(), tls_version, count);
        }
    }

    /// What waits, by the hour and by the day.
    fn tallies(&self) -> Vec<Tally> {
        let waiting = std::mem::take(&mut *self.handshakes.lock().unwrap_or_else(PoisonError::into_inner));
        let mut all: BTreeMap<(Span, Counted), u64> = BTreeMap::new();
        for ((hour, identity, key, version), count) in waiting {
            for span in Span::ALL {
                let place = (span, (span.start(hour), identity.clone(), key.clone(), version.clone()));
                *all.entry(place).or_default() += count;
            }
        }
        let tally = |((span, (start, name, key, tls_version)), count)| Tally {
            kind: HANDSHAKES.to_owned(),
            span,
            start,
            name,
            key,
            tls_version,
            count,
        };
        all.into_iter().map(tally).collect()
    }

    /// Takes back what could not be told.
    fn put_back(&self, tallies: &[Tally]) {
        for one in tallies.iter().filter(|one| one.span == Span::Hour) {
            let key = Some(one.key.as_str()).filter(|key| !key.is_empty());
            self.count(one.start, Some(&one.name), key, &one.tls_version, one.count);
        }
    }
}

fn is_due(last: Option<Timestamp>, every: SignedDuration, now: Timestamp) -> bool {
    // A clock that was set back must not silence anybody.
    last.is_none_or(|last| now < last || now.duration_since(last) >= every)
}

impl State {
    /// Tells and hears what is due. Blocks.
    ///
    /// # Errors
    /// A [`Problem`] where the memory cannot be read or written; what was not told is told later.
    pub(crate) fn share_what_is_due(&self) -> Result<(), Problem> {
        let now = self.now();
        let mut progress = self.sharing().progress.lock().unwrap_or_else(PoisonError::into_inner);
        if is_due(progress.all, ALL_EVERY, now) {
            self.tell_all(&mut progress, now)?;
        } else if is_due(progress.refusals, REFUSALS_EVERY, now) {
            self.tell_refusals(&mut progress, now)?;
        }
        if is_due(progress.heard, HEAR_EVERY, now) {
            self.hear(&mut progress, now)?;
        }
        Ok(())
    }

    /// Tells and hears everything now. Blocks.
    ///
    /// # Errors
    /// As for [`State::follow`]: what was not told is told later.
    pub fn share(&self) -> Result<(), Problem> {
        let now = self.now();
        let mut progress = self.sharing().progress.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell_all(&mut progress, now)?;
        self.hear(&mut progress, now)
    }

    /// Tells the refused handshakes that wait, for somebody who looks at them now. Blocks.
    ///
    /// # Errors
    /// A [`Problem`] where the memory cannot be written.
    pub(crate) fn share_refusals(&self) -> Result<(), Problem> {
        let mut progress = self.sharing().progress.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell_refusals(&mut progress, self.now())
    }

    /// Tells the handshakes that wait, for somebody who looks at them now. Blocks.
    ///
    /// # Errors
    /// A [`Problem`] where the memory cannot be written.
    pub(crate) fn share_handshakes(&self) -> Result<(), Problem> {
        let mut progress = self.sharing().progress.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell_all(&mut progress, self.now())
    }

    fn tell_refusals(&self, progress: &mut Progress, now: Timestamp) -> Result<(), Problem> {
        progress.refusals = Some(now);
        let waiting = self.refusals().take();
        if waiting.is_empty() {
            return Ok(());
        }
        let observed = waiting.observed();
        self.store().observe(observed, now).map_err(|error| {
            self.refusals().put_back(waiting);
            error.into()
        })
    }

    fn tell_all(&self, progress: &mut Progress, now: Timestamp) -> Result<(), Problem> {
        self.tell_refusals(progress, now)?;
        progress.all = Some(now);
        self.sharing().add(self.counters().handshakes.take(), now);
        let tallies = self.sharing().tallies();
        let said = self.radar().news();
        let observed = Observed { tallies: tallies.clone(), refusals: Vec::new(), said };
        if observed.is_empty() {
            return Ok(());
        }
        // What was said of clients and gateways is said again, by whoever sees them next.
        self.store().observe(observed, now).map_err(|error| {
            self.sharing().put_back(&tallies);
            error.into()
        })
    }

    fn hear(&self, progress: &mut Progress, now: Timestamp) -> Result<(), Problem> {
        progress.heard = Some(now);
        let news = |kind: &str, after: &mut u64| -> Result<Vec<Said>, Problem> {
            let said = self.store().said(kind, *after)?;
            *after = said.last().map_or(*after, |last| last.change);
            Ok(said)
        };
        let clients = news(CLIENT, &mut progress.clients)?;
        let gateways = news(GATEWAY, &mut progress.gateways)?;
        self.radar().heard(&clients, &gateways, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn handshakes_are_added_up_by_hour_and_day_and_nobody_invents_kinds_of_them() {
        let sharing = Sharing::default();
        let noon: Timestamp = "2026-06-15T12:00:00Z".parse().unwrap();
        let count = |minutes: i64, identity, key, version, count| {
            sharing.count(noon + SignedDuration::from_mins(minutes), identity, key, version, count);
        };
        count(1, Some("alice"), Some("ECDSA P-256"), "TLSv1.3", 2);
        count(59, Some("alice"), Some("ECDSA P-256"), "TLSv1.3", 1);
        count(61, Some("alice"), Some("ECDSA P-256"), "TLSv1.3", 1);
        count(1, Some("nobody"), None, "TLSv1.3", 5);
        count(1, Some("bob"), Some("my own kind"), "SSLv2", 1);
        count(1, None, Some("RSA 1234"), "TLSv1.2", u64::MAX);
        let tallies = sharing.tallies();
        let told: Vec<String> = tallies
            .iter()
            .map(|one| {
                format!(
                    "{:?} {} {}/{}/{} {}",
                    one.span, one.start, one.name, one.key, one.tls_version, one.count
                )
            })
            .collect();
        let hours = [
            "Hour 2026-06-15T12:00:00Z //TLSv1.3 5",
            "Hour 2026-06-15T12:00:00Z /RSA of another size/TLSv1.2 18446744073709551615",
            "Hour 2026-06-15T12:00:00Z alice/ECDSA P-256/TLSv1.3 3",
            "Hour 2026-06-15T12:00:00Z bob/other/other 1",
            "Hour 2026-06-15T13:00:00Z alice/ECDSA P-256/TLSv1.3 1",
        ];
        assert_eq!(told[..5], hours);
        assert_eq!(told[7], "Day 2026-06-15T00:00:00Z alice/ECDSA P-256/TLSv1.3 4");
        assert!(sharing.tallies().is_empty());
        sharing.put_back(&tallies);
        assert_eq!(sharing.tallies(), tallies);
    }
}
