//! The handshakes that were refused lately, at this service's own listener and at gateways that report theirs, so that
//! an operator can open each while the client is still puzzled. What waits here to be told to the memory of all replicas
//! is bounded in number and octets, since strangers decide how many come: of a flood most are counted and not kept. The
//! log has all of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use ca::observed::{Observed, REFUSALS, RefusedHandshake, Span, Tally};
use explain::capture::Transcript;
use explain::doctor::{Beside, Direction, Ranked, Report, Weight, judge_recorded};
use explain::finding::Fix;
use explain::tls::Conversation;
use explain::{Confidence, Fault, Finding, FindingCode};
use jiff::{SignedDuration, Timestamp};
use net::serve::{AccessRecord, RefusalRecord};
use pki::Certificate;
use serde_json::{Value, json};

/// Refusals that are kept of a minute; the rest is counted.
const A_MINUTE: usize = 240;
/// Those of one code, so that a flood of one kind does not push all others out.
const OF_ONE_CODE: usize = 120;
/// Those that wait to be told.
const WAITING: usize = 256;
/// The octets of the recordings that wait. One has about 4 KiB, and 80 at most.
const WAITING_OCTETS: usize = 4 << 20;
/// Characters of a text that is kept, and the texts of evidence.
const LONGEST: usize = 1000;
const MOST_EVIDENCE: usize = 20;

/// One refused handshake.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// Counted from 1 over all replicas; 0 before it is in their memory.
    pub(crate) number: u64,
    pub(crate) at: Timestamp,
    /// The name of the gateway that refused it; nothing for the service itself.
    pub(crate) gateway: Option<String>,
    /// Where the client came from.
    pub(crate) from: String,
    pub(crate) finding: Finding,
    pub(crate) subject: Option<String>,
    pub(crate) serial: Option<String>,
    /// What was said, as a transcript; only with the secrets of the handshake itself.
    pub(crate) transcript: Option<Vec<u8>>,
}

/// Those that wait to be told.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Recordings whose record has not come yet, with the client's address.
    recorded: VecDeque<(String, Vec<u8>)>,
    waiting: Waiting,
    /// The minute that runs, and how many of each code were kept in it.
    minute: i64,
    in_minute: BTreeMap<&'static str, usize>,
}

/// What is to be told.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    refusals: Vec<Refusal>,
    /// All of them, those that are not kept too, by hour and code.
    counts: BTreeMap<(Timestamp, &'static str), u64>,
}

impl Refusals {
    /// Takes the recording of a handshake; its record follows.
    pub fn recorded(&self, transcript: &Transcript) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A record that never comes must not keep its recording for ever.
        if kept.recorded.len() >= 64 {
            kept.recorded.pop_front();
        }
        kept.recorded.push_back((transcript.client.clone(), transcript.to_bytes().to_vec()));
    }

    /// Takes an access record; those of requests are none of its business.
    pub fn record(&self, record: &AccessRecord) {
        let AccessRecord::Refusal(record) = record else { return };
        let RefusalRecord { time, peer, finding, subject, serial, .. } = record;
        let from = peer.to_string();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.recorded.iter().position(|(client, _)| *client == from);
        let transcript = place.and_then(|place| kept.recorded.remove(place)).map(|(_, octets)| octets);
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

    /// Takes what a gateway reports, and says whether it is kept, or counted alone.
    pub(crate) fn reported(&self, refusal: Refusal) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(refusal)
    }

    /// Takes what waits, which is to be told now.
    pub(crate) fn take(&self) -> Waiting {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).waiting)
    }

    /// Puts back what could not be told.
    pub(crate) fn put_back(&self, untold: Waiting) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = std::mem::replace(&mut kept.waiting, untold);
        for (place, count) in newer.counts {
            *kept.waiting.counts.entry(place).or_default() += count;
        }
        for refusal in newer.refusals {
            kept.waiting.push(refusal);
        }
    }
}

impl Kept {
    fn keep(&mut self, refusal: Refusal) -> bool {
        let code = refusal.finding.code.name();
        *self.waiting.counts.entry((Span::Hour.start(refusal.at), code)).or_default() += 1;
        let minute = refusal.at.as_second().div_euclid(60);
        if minute > self.minute {
            (self.minute, self.in_minute) = (minute, BTreeMap::new());
        }
        let all: usize = self.in_minute.values().sum();
        let of_code = self.in_minute.entry(code).or_default();
        if all >= A_MINUTE || *of_code >= OF_ONE_CODE {
            return false;
        }
        *of_code += 1;
        self.waiting.push(refusal)
    }
}

impl Waiting {
    fn push(&mut self, mut refusal: Refusal) -> bool {
        if self.refusals.len() >= WAITING {
            return false;
        }
        let octets = |refusal: &Refusal| refusal.transcript.as_ref().map_or(0, Vec::len);
        let waiting: usize = self.refusals.iter().map(octets).sum();
        if waiting + octets(&refusal) > WAITING_OCTETS {
            refusal.transcript = None;
        }
        self.refusals.push(refusal);
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.refusals.is_empty() && self.counts.is_empty()
    }

    /// The same as the memory takes it.
    pub(crate) fn observed(&self) -> Observed {
        let mut tallies: BTreeMap<(Span, Timestamp, &str), u64> = BTreeMap::new();
        for ((hour, code), count) in &self.counts {
            for span in Span::ALL {
                *tallies.entry((span, span.start(*hour), code)).or_default() += count;
            }
        }
        let tally = |((span, start, code), count): ((Span, Timestamp, &str), u64)| Tally {
            kind: REFUSALS.to_owned(),
            span,
            start,
            name: code.to_owned(),
            key: String::new(),
            tls_version: String::new(),
            count,
        };
        let stored = |refusal: &Refusal| RefusedHandshake {
            number: 0,
            at: refusal.at,
            body: refusal.body(),
            recording: refusal.transcript.clone(),
        };
        Observed {
            tallies: tallies.into_iter().map(tally).collect(),
            refusals: self.refusals.iter().map(stored).collect(),
            said: Vec::new(),
        }
    }
}

/// As much of a text as is kept.
fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

fn fix(value: &Value) -> Option<Box<Fix>> {
    Some(Box::new(Fix::new(fault(value["where"].as_str()?), value["command"].as_str()?)))
}

impl Refusal {
    /// What is remembered of it beside its time and recording.
    fn body(&self) -> String {
        let mut finding = self.finding.clone();
        finding.summary = short(&finding.summary);
        finding.evidence = finding.evidence.iter().take(MOST_EVIDENCE).map(|one| short(one)).collect();
        finding.remedy = finding.remedy.as_deref().map(short);
        json!({
            "gateway": self.gateway, "from": short(&self.from), "finding": finding.json(),
            "subject": self.subject.as_deref().map(short), "serial_number": self.serial.as_deref().map(short),
        })
        .to_string()
    }

    /// The same again; nothing where it is of a later version's making.
    pub(crate) fn read(stored: RefusedHandshake) -> Option<Self> {
        let RefusedHandshake { number, at, body, recording } = stored;
        let value: Value = serde_json::from_str(&body).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let told = &value["finding"];
        let code = FindingCode::from_name(told["code"].as_str()?)?;
        let fault = fault(told["fault"].as_str().unwrap_or_default());
        let mut finding = Finding::new(code, fault, told["summary"].as_str()?).confidence(
            match told["confidence"].as_str() {
                Some("possible") => Confidence::Possible,
                Some("certain") => Confidence::Certain,
                _ => Confidence::Likely,
            },
        );
        finding.evidence = told["evidence"].as_array().into_iter().flatten().filter_map(text).collect();
        finding.remedy = text(&told["remedy"]);
        (finding.fix, finding.alternative) = (fix(&told["fix"]), fix(&told["alternative"]));
        Some(Refusal {
            number,
            at,
            gateway: text(&value["gateway"]),
            from: text(&value["from"]).unwrap_or_default(),
            finding,
            subject: text(&value["subject"]),
            serial: text(&value["serial_number"]),
            transcript: recording,
        })
    }

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
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn one(code: FindingCode, octets: usize) -> Refusal {
        Refusal {
            number: 0,
            at: testkit::now(),
            gateway: Some("edge".to_owned()),
            from: "192.0.2.1:4".to_owned(),
            finding: Finding::new(code, Fault::Client, "unknown")
                .confidence(Confidence::Certain)
                .evidence("its issuer is CN=Nobody")
                .remedy("ask for another"),
            subject: Some("CN=alice\u{0}\u{202e}".to_owned()),
            serial: None,
            transcript: (octets > 0).then(|| vec![0; octets]),
        }
    }

    #[test]
    fn a_flood_of_one_kind_is_counted_and_leaves_room_for_others() {
        let refusals = Refusals::default();
        for _ in 0..10_000 {
            refusals.reported(one(FindingCode::UnknownIssuer, 1000));
        }
        assert!(refusals.reported(one(FindingCode::CertificateExpired, 1000)), "another kind has its place");
        let waiting = refusals.take();
        assert_eq!(waiting.refusals.len(), OF_ONE_CODE + 1);
        let observed = waiting.observed();
        let hour = observed.tallies.iter().find(|one| one.span == Span::Hour && one.name == "unknown_issuer");
        assert_eq!(hour.unwrap().count, 10_000);
        assert!(refusals.take().is_empty());
        // A minute later there is room again.
        let later = testkit::now() + SignedDuration::from_mins(1);
        assert!(refusals.reported(Refusal { at: later, ..one(FindingCode::UnknownIssuer, 0) }));
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_octets_however_long_the_memory_is_away() {
        let refusals = Refusals::default();
        let total = |waiting: &Waiting| waiting.counts.values().sum::<u64>();
        for minute in 0..100 {
            let at = testkit::now() + SignedDuration::from_mins(minute);
            for _ in 0..10 {
                refusals.reported(Refusal { at, ..one(FindingCode::UnknownIssuer, 80 << 10) });
            }
            refusals.put_back(refusals.take());
        }
        let waiting = refusals.take();
        let octets: usize =
            waiting.refusals.iter().filter_map(|one| one.transcript.as_ref()).map(Vec::len).sum();
        assert_eq!(waiting.refusals.len(), WAITING);
        assert!(octets <= WAITING_OCTETS, "{octets}");
        assert_eq!(total(&waiting), 1000, "all of them are counted");
    }

    #[test]
    fn a_refusal_is_read_as_it_was_told() {
        let mut told = one(FindingCode::CertificateExpired, 3);
        told.finding.fix = Some(Box::new(Fix::new(Fault::Issuer, "countersign renew alice")));
        let refusals = Refusals::default();
        refusals.reported(told.clone());
        let stored = refusals.take().observed().refusals.remove(0);
        assert!(!stored.body.contains('\0'), "PostgreSQL takes no text with it");
        let read = Refusal::read(stored).unwrap();
        assert_eq!(format!("{read:?}"), format!("{told:?}"));
    }
}
