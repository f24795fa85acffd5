//! Handshakes that the authority has not been told of yet, by the hour in which they were seen. An authority that is away
//! hears of them when it is back; what was told and whose answer was lost is told once more.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use net::serve::HandshakeCount;
use serde_json::{Value, json};

/// Counts that wait at a time; what comes beyond waits without its identity.
const MOST: usize = 5000;
/// Hours that the authority still takes in.
const KEPT: SignedDuration = SignedDuration::from_hours(47);
/// The octets of the counts of one message: the service reads bodies up to 64 KiB.
const OCTETS: usize = 56 * 1024;

/// Who, with which kind of key, over which version.
type Who = (Option<String>, Option<String>, &'static str);

/// What waits to be told.
#[derive(Debug, Default)]
pub(super) struct Waiting(BTreeMap<(Timestamp, Who), u64>);

impl Waiting {
    /// Takes in what was counted until now.
    pub(super) fn add(&mut self, counts: Vec<HandshakeCount>, now: Timestamp) {
        let hour = now.as_second().div_euclid(3600) * 3600;
        let hour = Timestamp::from_second(hour).unwrap_or(now);
        self.0.retain(|(hour, _), _| now.duration_since(*hour) < KEPT);
        for HandshakeCount { identity, key, tls_version, count } in counts {
            let mut place = (hour, (identity, key, tls_version));
            if self.0.len() >= MOST && !self.0.contains_key(&place) {
                place.1.0 = None;
            }
            *self.0.entry(place).or_default() += count;
        }
    }

    /// The next message, and what is left once it was taken. Nothing where there is nothing to tell.
    pub(super) fn message(&self, gateway: &str) -> Option<(Value, Waiting)> {
        let mut left = OCTETS;
        let mut hours: BTreeMap<Timestamp, Vec<Value>> = BTreeMap::new();
        let mut rest = BTreeMap::new();
        for (place, count) in &self.0 {
            let (hour, (identity, key, tls_version)) = place;
            let told =
                json!({ "identity": identity, "key": key, "tls_version": tls_version, "count": count });
            // The hour's own words are counted with each: they are few.
            let octets = told.to_string().len() + 40;
            if octets > left {
                rest.insert(place.clone(), *count);
                continue;
            }
            left -= octets;
            hours.entry(*hour).or_default().push(told);
        }
        if hours.is_empty() {
            return None;
        }
        let hours: Vec<Value> = hours
            .into_iter()
            .map(|(hour, handshakes)| json!({ "hour": hour.to_string(), "handshakes": handshakes }))
            .collect();
        Some((json!({ "gateway": gateway, "hours": hours }), Waiting(rest)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn count(identity: &str, count: u64) -> HandshakeCount {
        HandshakeCount {
            identity: Some(identity.to_owned()),
            key: Some("P-256".to_owned()),
            tls_version: "TLSv1.3",
            count,
        }
    }

    fn total(message: &Value) -> u64 {
        let hours = message["hours"].as_array().into_iter().flatten();
        let all = hours.flat_map(|hour| hour["handshakes"].as_array().into_iter().flatten());
        all.map(|one| one["count"].as_u64().unwrap()).sum()
    }

    #[test]
    fn what_is_seen_in_an_hour_is_told_as_of_that_hour() {
        let mut waiting = Waiting::default();
        let at: Timestamp = "2026-06-15T12:59:59Z".parse().unwrap();
        waiting.add(vec![count("alice", 2)], at);
        waiting.add(vec![count("alice", 3)], at);
        waiting.add(vec![count("alice", 1)], at + SignedDuration::from_secs(1));
        let (message, rest) = waiting.message("edge").unwrap();
        let one = |count: u64| json!([{ "identity": "alice", "key": "P-256", "tls_version": "TLSv1.3", "count": count }]);
        let hours = json!([
            { "hour": "2026-06-15T12:00:00Z", "handshakes": one(5) },
            { "hour": "2026-06-15T13:00:00Z", "handshakes": one(1) },
        ]);
        assert_eq!(message["hours"], hours);
        assert!(rest.message("edge").is_none());
        waiting.add(Vec::new(), at + SignedDuration::from_hours(60));
        assert!(waiting.message("edge").is_none(), "what nobody takes any more is forgotten");
    }

    #[test]
    fn many_identities_are_told_in_messages_that_fit_and_none_is_lost() {
        let mut waiting = Waiting::default();
        let many = (0..2 * MOST).map(|number| count(&format!("client {number:05} \"<\u{1}"), 1)).collect();
        waiting.add(many, moment());
        assert_eq!(waiting.0.len(), MOST + 1);
        let (mut told, mut messages) = (0, 0);
        while let Some((message, rest)) = waiting.message("edge") {
            assert!(message.to_string().len() < 64 * 1024);
            (told, messages) = (told + total(&message), messages + 1);
            waiting = rest;
        }
        assert_eq!(told, 2 * MOST as u64);
        assert!(messages > 1);
    }

    fn moment() -> Timestamp {
        "2026-06-15T12:00:00Z".parse().unwrap()
    }
}
