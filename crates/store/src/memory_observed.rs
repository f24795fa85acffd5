//! What was observed of TLS, in the process alone.

use std::collections::{BTreeMap, VecDeque};

use ca::observed::{
    MOST_RECORDED, MOST_REFUSALS, MOST_SAID, MOST_TALLIES, Observed, RefusedHandshake, Said, Span, Tally,
};
use jiff::Timestamp;

use crate::memory::seconds;
use crate::observed::MOST_COUNTED;

/// Kind, span, start, name, key, TLS version.
type Counted = (String, Span, Timestamp, String, String, String);

#[derive(Default)]
pub(crate) struct Kept {
    tallies: BTreeMap<Counted, u64>,
    /// The number of the last one.
    last: u64,
    refusals: VecDeque<RefusedHandshake>,
    said: BTreeMap<(String, String), Said>,
}

impl Kept {
    pub(crate) fn take(&mut self, observed: Observed, now: Timestamp) {
        for tally in observed.tallies {
            self.count(tally);
        }
        let is_kept = |span: Span, start: Timestamp| now.duration_since(start) <= span.kept();
        self.tallies.retain(|(_, span, start, ..), _| is_kept(*span, *start));
        for one in observed.refusals {
            self.last += 1;
            self.refusals.push_back(RefusedHandshake { number: self.last, at: seconds(one.at), ..one });
        }
        let octets = |one: &RefusedHandshake| one.recording.as_ref().map_or(0, Vec::len);
        let mut recorded: usize = self.refusals.iter().map(octets).sum();
        while (self.refusals.len() > MOST_REFUSALS || recorded > MOST_RECORDED)
            && let Some(oldest) = self.refusals.pop_front()
        {
            recorded -= octets(&oldest);
        }
        self.say(observed.said);
    }

    fn count(&mut self, tally: Tally) {
        let Tally { kind, span, start, name, key, tls_version, count } = tally;
        let start = seconds(start);
        let mut counted: Counted = (kind, span, start, name, key, tls_version);
        if !self.tallies.contains_key(&counted) {
            let same = |one: &&Counted| (&one.0, one.1, one.2) == (&counted.0, counted.1, counted.2);
            if self.tallies.keys().filter(same).count() >= MOST_TALLIES {
                counted.3.clear();
            }
        }
        let known = self.tallies.entry(counted).or_default();
        *known = known.saturating_add(count).min(MOST_COUNTED.unsigned_abs());
    }

    fn say(&mut self, said: Vec<Said>) {
        let change = self.said.values().map(|one| one.change).max().unwrap_or(0) + 1;
        for one in said {
            let one = Said { change, at: seconds(one.at), ..one };
            let place = (one.kind.clone(), one.id.clone());
            if self.said.get(&place).is_none_or(|known| known.at <= one.at) {
                self.said.insert(place, one);
            }
        }
        for (kind, most) in MOST_SAID {
            let mut changes: Vec<u64> =
                self.said.values().filter(|one| one.kind == *kind).map(|one| one.change).collect();
            changes.sort_unstable_by(|one, other| other.cmp(one));
            if let Some(last) = changes.get(*most) {
                self.said.retain(|_, one| one.kind != *kind || one.change > *last);
            }
        }
    }

    pub(crate) fn tallies(&self, kind: &str, span: Span, from: Timestamp) -> Vec<Tally> {
        let fits = |one: &Counted| one.0 == kind && one.1 == span && one.2 >= from;
        let all = self.tallies.iter().filter(|(one, _)| fits(one));
        all.map(|((kind, span, start, name, key, tls_version), count)| Tally {
            kind: kind.clone(),
            span: *span,
            start: *start,
            name: name.clone(),
            key: key.clone(),
            tls_version: tls_version.clone(),
            count: *count,
        })
        .collect()
    }

    pub(crate) fn refused_handshakes(&self, after: u64, limit: usize) -> Vec<RefusedHandshake> {
        let newer = self.refusals.iter().rev().take_while(|one| one.number > after);
        newer.take(limit).map(|one| RefusedHandshake { recording: None, ..one.clone() }).collect()
    }

    pub(crate) fn refused_handshake(&self, number: u64) -> Option<RefusedHandshake> {
        self.refusals.iter().find(|one| one.number == number).cloned()
    }

    pub(crate) fn said(&self, kind: &str, after: u64) -> Vec<Said> {
        let mut said: Vec<Said> =
            self.said.values().filter(|one| one.kind == kind && one.change > after).cloned().collect();
        said.sort_by(|one, other| (one.change, &one.id).cmp(&(other.change, &other.id)));
        said
    }
}
