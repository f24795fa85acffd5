//! The handshakes that were refused lately, at this service's own listener and at gateways that report theirs, so that
//! an operator can open each while the client is still puzzled. They live in this process alone and are bounded in
//! number and octets, since strangers decide how many come; the log has all of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use explain::capture::Transcript;
use explain::doctor::{Beside, Direction, Ranked, Report, Weight, judge_recorded};
use explain::tls::Conversation;
use explain::{Fault, Finding, FindingCode};
use jiff::{SignedDuration, Timestamp};
use net::serve::{AccessRecord, RefusalRecord};
use pki::Certificate;

/// As many are remembered.
const MOST: usize = 500;
/// The octets of all recordings together. One has about 4 KiB, and 80 at most.
const MOST_OCTETS: usize = 8 << 20;
/// Hours that are counted.
pub(crate) const HOURS: usize = 24;

/// One refused handshake.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// Counted from 1 in this process.
    pub(crate) number: u64,
    pub(crate) at: Timestamp,
    /// The name of the gateway that refused it; nothing for this service itself.
    pub(crate) gateway: Option<String>,
    /// Where the client came from.
    pub(crate) from: String,
    pub(crate) finding: Finding,
    pub(crate) subject: Option<String>,
    pub(crate) serial: Option<String>,
    /// What was said, as a transcript; only with the secrets of the handshake itself.
    pub(crate) transcript: Option<Vec<u8>>,
}

/// The memory of them.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    next: u64,
    octets: usize,
    all: VecDeque<Refusal>,
    /// Recordings whose record has not come yet, with the client's address.
    waiting: VecDeque<(String, Vec<u8>)>,
    /// By the hour, counted from the epoch, and the code.
    hours: BTreeMap<i64, BTreeMap<&'static str, u64>>,
}

impl Refusals {
    /// Takes the recording of a handshake; its record follows.
    pub fn recorded(&self, transcript: &Transcript) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A record that never comes must not keep its recording for ever.
        if kept.waiting.len() >= 64 {
            kept.waiting.pop_front();
        }
        kept.waiting.push_back((transcript.client.clone(), transcript.to_bytes().to_vec()));
    }

    /// Takes an access record; those of requests are none of its business.
    pub fn record(&self, record: &AccessRecord) {
        let AccessRecord::Refusal(record) = record else { return };
        let RefusalRecord { time, peer, finding, subject, serial, .. } = record;
        let from = peer.to_string();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.waiting.iter().position(|(client, _)| *client == from);
        let transcript = place.and_then(|place| kept.waiting.remove(place)).map(|(_, octets)| octets);
        kept.keep(Refusal {
            number: 0,
            at: *time,
            gateway: None,
            from,
            finding: finding.clone(),
            subject: subject.clone(),
            serial: serial.clone(),
            transcript,
        });
    }

    /// Takes what a gateway reports.
    pub(crate) fn reported(&self, refusal: Refusal) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(refusal)
    }

    /// The newest behind `after`, the newest first.
    pub(crate) fn list(&self, after: u64, limit: usize) -> Vec<Refusal> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = kept.all.iter().rev().take_while(|refusal| refusal.number > after);
        // A list needs no recordings.
        newer.take(limit).map(|refusal| Refusal { transcript: None, ..refusal.clone() }).collect()
    }

    /// The one with this number.
    pub(crate) fn find(&self, number: u64) -> Option<Refusal> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.all.iter().find(|refusal| refusal.number == number).cloned()
    }

    /// How many there were in this process, in all.
    pub(crate) fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next
    }

    /// For each of the last hours, the oldest first: its start, and how many of each code.
    pub(crate) fn by_hour(&self, now: Timestamp) -> Vec<(Timestamp, BTreeMap<&'static str, u64>)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let this = now.as_second().div_euclid(3600);
        let hours = this + 1 - HOURS as i64..=this;
        hours
            .map(|hour| {
                let start = Timestamp::from_second(hour * 3600).unwrap_or(now);
                (start, kept.hours.get(&hour).cloned().unwrap_or_default())
            })
            .collect()
    }
}

impl Kept {
    fn keep(&mut self, mut refusal: Refusal) -> u64 {
        self.next += 1;
        refusal.number = self.next;
        let hour = refusal.at.as_second().div_euclid(3600);
        *self.hours.entry(hour).or_default().entry(refusal.finding.code.name()).or_default() += 1;
        while self.hours.len() > HOURS {
            self.hours.pop_first();
        }
        self.octets += refusal.transcript.as_ref().map_or(0, Vec::len);
        self.all.push_back(refusal);
        while (self.all.len() > MOST || self.octets > MOST_OCTETS)
            && let Some(oldest) = self.all.pop_front()
        {
            self.octets -= oldest.transcript.as_ref().map_or(0, Vec::len);
        }
        self.next
    }
}

impl Refusal {
    /// What was said, decoded, where it was recorded.
    pub(crate) fn conversation(&self) -> Option<Conversation> {
        let transcript = Transcript::from_bytes(self.transcript.as_deref()?).ok()?;
        let mut conversation = explain::tls::explain(&transcript);
        // A client that was told why has finished its handshake; what it is worth, only the server knows.
        if conversation.findings.iter().all(|finding| finding.code != self.finding.code) {
            conversation.findings.insert(0, self.finding.clone());
        }
        Some(conversation)
    }

    /// The doctor's report: what the server found, first, and then whatever else the recording shows.
    pub(crate) fn report(
        &self,
        conversation: Option<&Conversation>,
        trust: &[Certificate],
        now: Timestamp,
    ) -> Report {
        let verdict = Ranked::new(Weight::Blocks, Direction::ServerRefusedClient, self.finding.clone());
        let Some(conversation) = conversation else {
            let unchecked = vec!["the handshake itself: it was not recorded".to_owned()];
            return Report::new(vec![verdict], Vec::new(), unchecked);
        };
        let beside = Beside { server_trust: trust.to_vec(), ..Beside::default() };
        let Report { findings, checked, unchecked, .. } = judge_recorded(conversation, &beside, now);
        // The server knows more than the recording: where both found the same, the doctor's words explain the verdict.
        let (same, others): (Vec<Ranked>, Vec<Ranked>) =
            findings.into_iter().partition(|ranked| ranked.finding.code == self.finding.code);
        let first = match same.into_iter().next() {
            None => verdict,
            Some(mut doctors) => {
                doctors.weight = Weight::Blocks;
                if !doctors.finding.evidence.contains(&self.finding.summary) {
                    doctors.finding.evidence.insert(0, self.finding.summary.clone());
                }
                doctors
            }
        };
        let others = others.into_iter().filter(|ranked| !is_consequence(ranked.finding.code));
        Report::new(std::iter::once(first).chain(others).collect(), checked, unchecked)
    }
}

/// What a recording concludes from the end alone says nothing beside the server's own verdict.
fn is_consequence(code: FindingCode) -> bool {
    matches!(
        code,
        FindingCode::ClosedWithoutAlert
            | FindingCode::AlertReceived
            | FindingCode::HandshakeFailure
            | FindingCode::CertificateRefused
            | FindingCode::ConnectionReset
    )
}

/// The fault of this name.
pub(crate) fn fault(name: &str) -> Fault {
    let all = [
        Fault::Client,
        Fault::Server,
        Fault::Issuer,
        Fault::Proxy,
        Fault::Network,
        Fault::Clock,
        Fault::Environment,
    ];
    all.into_iter().find(|fault| fault.name() == name).unwrap_or(Fault::Client)
}

/// Whether a report is of a time that can be believed.
pub(crate) fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    at <= now + SignedDuration::from_mins(5) && now.duration_since(at) < SignedDuration::from_hours(24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(octets: usize) -> Refusal {
        Refusal {
            number: 0,
            at: testkit::now(),
            gateway: None,
            from: "192.0.2.1:4".to_owned(),
            finding: Finding::new(FindingCode::UnknownIssuer, Fault::Client, "unknown"),
            subject: None,
            serial: None,
            transcript: Some(vec![0; octets]),
        }
    }

    #[test]
    fn the_memory_is_bounded_in_number_and_octets_and_counts_on() {
        let refusals = Refusals::default();
        for _ in 0..2 * MOST {
            refusals.reported(one(10));
        }
        assert_eq!(refusals.list(0, usize::MAX).len(), MOST);
        for _ in 0..200 {
            refusals.reported(one(100 << 10));
        }
        let kept = refusals.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(kept.octets <= MOST_OCTETS, "{}", kept.octets);
        drop(kept);
        assert_eq!(refusals.total(), 2 * MOST as u64 + 200);
        let hours = refusals.by_hour(testkit::now());
        assert_eq!(hours.len(), HOURS);
        assert_eq!(hours[HOURS - 1].1["unknown_issuer"], 2 * MOST as u64 + 200);
    }

    #[test]
    fn only_newer_ones_are_listed_the_newest_first() {
        let refusals = Refusals::default();
        for _ in 0..5 {
            refusals.reported(one(1));
        }
        let numbers: Vec<u64> = refusals.list(2, 10).iter().map(|refusal| refusal.number).collect();
        assert_eq!(numbers, [5, 4, 3]);
        assert!(refusals.list(5, 10).is_empty());
    }
}
