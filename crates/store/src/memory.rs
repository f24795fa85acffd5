//! A memory that is gone with its process: for tests and demonstrations. It keeps every promise of a store but
//! durability, and is what the others are compared with.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ca::log::{Hash, leaf_hash, tile_root};
use ca::observed::{Observed, RefusedHandshake, Said, Span, Tally};
use ca::statistics::{Day, SOON, Week, day_bounds, week_bounds};
use ca::{
    AuditEvent, AuthorityRecord, CaCertificate, Commit, Completion, Entry, Intent, LineStanding, NewEvent,
    Page, Query, Record, RevocationRecord, Selector, StateFilter, Statistics, Store, StoreError, Unfinished,
    Write,
};
use jiff::Timestamp;
use pki::Profile;
use pki::crl::{RevocationReason, RevokedEntry};

use crate::log::logged_already;
use crate::memory_observed::Kept;
use crate::news::News;

/// An authority's memory in this process alone.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    news: News,
}

#[derive(Default)]
struct State {
    authority: Option<AuthorityRecord>,
    /// In the order of their intents.
    certificates: Vec<Known>,
    by_serial: BTreeMap<Vec<u8>, usize>,
    audit: Vec<AuditEvent>,
    /// In the order of their completion: each, and its hash.
    log: Vec<(Logged, Hash)>,
    /// The certificates of the authority's own CAs.
    own: Vec<CaCertificate>,
    /// The number of the last list, and the latest moment of one that was signed.
    lists: (u64, i64),
    /// The lists that are being signed, and their moments.
    begun_lists: BTreeMap<u64, i64>,
    records: BTreeMap<(String, String), Record>,
    observed: Kept,
}

/// What an entry of the log is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Logged {
    /// The one at this place in `certificates`.
    Issued(usize),
    /// The one at this place in `own`.
    Own(usize),
}

struct Known {
    intent: Intent,
    /// The certificate and what it is found by, once it is signed.
    signed: Option<Completion>,
    /// Why it never will be.
    failure: Option<String>,
    revoked: Option<RevocationRecord>,
}

impl MemoryStore {
    /// An empty memory.
    ///
    /// ```
    /// use ca::Store as _;
    /// assert!(store::MemoryStore::new().authority()?.is_none());
    /// # Ok::<(), ca::StoreError>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is made after everything that can fail, so a panic leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, event: NewEvent) {
        let sequence = self.audit.len() as u64 + 1;
        let previous = self.audit.last().map_or([0; 32], |event| event.hash);
        // Seconds are what is kept, as in a database.
        let at = seconds(event.at);
        let hash = event.hash(sequence, &previous);
        let NewEvent { actor, origin, action, serial, details, .. } = event;
        let action = action.to_owned();
        self.audit.push(AuditEvent { sequence, at, actor, origin, action, serial, details, hash });
    }

    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        // On a copy, so that a conflict leaves everything as it was.
        let mut records = self.records.clone();
        for write in commit.writes {
            let found = records.get(&(write.record().kind.clone(), write.record().id.clone()));
            if found.map_or(0, |found| found.version) != write.record().version {
                let Record { kind, id, .. } = write.record().clone();
                return Err(StoreError::Conflict { kind, id });
            }
            match write {
                Write::Put(mut record) => {
                    record.version += 1;
                    record.expires = record.expires.map(seconds);
                    records.insert((record.kind.clone(), record.id.clone()), record);
                }
                Write::Delete(record) if record.version == 0 => {
                    return Err(StoreError::Conflict { kind: record.kind, id: record.id });
                }
                Write::Delete(record) => {
                    records.remove(&(record.kind, record.id));
                }
            }
        }
        let is_known = |new: &&CaCertificate| self.own.iter().any(|own| own.serial == new.serial);
        if let Some(known) = commit.certificates.iter().find(is_known) {
            return Err(logged_already(known));
        }
        self.records = records;
        for certificate in commit.certificates {
            self.log.push((Logged::Own(self.own.len()), leaf_hash(&certificate.der)));
            self.own.push(certificate);
        }
        commit.events.into_iter().for_each(|event| self.append(event));
        Ok(())
    }

    fn known(&mut self, serial: &[u8]) -> Option<&mut Known> {
        let index = *self.by_serial.get(serial)?;
        self.certificates.get_mut(index)
    }

    fn entries(&self) -> impl DoubleEndedIterator<Item = (&Known, Entry)> {
        self.certificates.iter().filter_map(|known| Some((known, known.entry()?)))
    }
}

impl Known {
    fn entry(&self) -> Option<Entry> {
        let signed = self.signed.as_ref()?;
        let intent = &self.intent;
        Some(Entry {
            serial: intent.serial.clone(),
            label: intent.label.clone(),
            profile: intent.profile,
            der: signed.der.clone(),
            not_before: seconds(intent.not_before),
            not_after: seconds(intent.not_after),
            issued_at: seconds(signed.issued_at),
            requested_by: intent.requested_by.clone(),
            replaces: intent.replaces.clone(),
            location: intent.location.clone(),
            revoked: self.revoked,
            line: intent.line,
        })
    }
}

/// A place in a sequence that fits into memory.
fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The least number of a list that is made at this moment.
pub(crate) fn milliseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or(0)
}

/// What is left of a time in whole seconds.
pub(crate) fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

impl Store for MemoryStore {
    fn authority(&self) -> Result<Option<AuthorityRecord>, StoreError> {
        Ok(self.state().authority.clone())
    }

    fn create_authority(&self, record: AuthorityRecord, with: Commit) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.authority.is_some() {
            return Err(StoreError::AuthorityExists);
        }
        state.commit(with)?;
        state.authority = Some(AuthorityRecord { created_at: seconds(record.created_at), ..record });
        Ok(())
    }

    fn record_intent(&self, intent: Intent) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.by_serial.contains_key(&intent.serial) {
            return Err(StoreError::DuplicateSerial);
        }
        let index = state.certificates.len();
        state.by_serial.insert(intent.serial.clone(), index);
        state.certificates.push(Known { intent, signed: None, failure: None, revoked: None });
        Ok(())
    }

    fn complete(&self, completion: Completion, event: NewEvent) -> Result<(), StoreError> {
        let mut state = self.state();
        let index = *state.by_serial.get(&completion.serial).ok_or(StoreError::NoIntent)?;
        let hash = leaf_hash(&completion.der);
        let known = state.known(&completion.serial).filter(|known| known.signed.is_none());
        known.ok_or(StoreError::NoIntent)?.signed = Some(completion);
        state.log.push((Logged::Issued(index), hash));
        state.append(event);
        drop(state);
        self.news.tell();
        Ok(())
    }

    fn abandon(&self, serial: Vec<u8>, reason: String, event: NewEvent) -> Result<(), StoreError> {
        let mut state = self.state();
        let known = state.known(&serial).filter(|known| known.signed.is_none() && known.failure.is_none());
        known.ok_or(StoreError::NoIntent)?.failure = Some(reason);
        state.append(event);
        Ok(())
    }

    fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let state = self.state();
        let intent = |intent: &Intent| Intent {
            not_before: seconds(intent.not_before),
            not_after: seconds(intent.not_after),
            requested_at: seconds(intent.requested_at),
            ..intent.clone()
        };
        let unfinished =
            |known: &Known| Unfinished { intent: intent(&known.intent), reason: known.failure.clone() };
        Ok(state.certificates.iter().filter(|known| known.signed.is_none()).map(unfinished).collect())
    }

    fn log_size(&self) -> Result<u64, StoreError> {
        Ok(self.state().log.len() as u64)
    }

    fn log_hashes(&self, level: u8, start: u64, count: u64) -> Result<Vec<Hash>, StoreError> {
        let state = self.state();
        let each = 1_usize.checked_shl(8 * u32::from(level)).unwrap_or(usize::MAX);
        let leaves: Vec<Hash> = state.log.iter().map(|(_, hash)| *hash).collect();
        let (start, count) = (place(start), place(count));
        Ok(leaves.chunks_exact(each).skip(start).take(count).map(tile_root).collect())
    }

    fn log_entries(&self, start: u64, count: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let state = self.state();
        let der = |(logged, _): &(Logged, Hash)| match *logged {
            Logged::Issued(index) => state.certificates[index].signed.as_ref().map(|s| s.der.clone()),
            Logged::Own(index) => Some(state.own[index].der.clone()),
        };
        Ok(state.log.iter().skip(place(start)).take(place(count)).filter_map(der).collect())
    }

    fn log_index(&self, serial: &[u8]) -> Result<Option<u64>, StoreError> {
        let state = self.state();
        let own = || state.own.iter().position(|own| own.serial == serial).map(Logged::Own);
        let Some(wanted) = state.by_serial.get(serial).map(|index| Logged::Issued(*index)).or_else(own)
        else {
            return Ok(None);
        };
        Ok(state.log.iter().position(|(logged, _)| *logged == wanted).map(|index| index as u64))
    }

    fn ca_certificates(&self) -> Result<Vec<CaCertificate>, StoreError> {
        Ok(self.state().own.clone())
    }

    fn wait_for_news(&self, seen: u64, longest: Duration) -> u64 {
        self.news.wait(seen, longest)
    }

    fn find(&self, selector: &Selector) -> Result<Vec<Entry>, StoreError> {
        let state = self.state();
        let newest_first = |fits: &dyn Fn(&Entry) -> bool| -> Vec<Entry> {
            state.entries().rev().map(|(_, entry)| entry).filter(|entry| fits(entry)).collect()
        };
        let labelled = |label: &str| newest_first(&|entry| entry.label.eq_ignore_ascii_case(label));
        Ok(match selector {
            Selector::Label(label) => labelled(label),
            Selector::Serial(serial) => newest_first(&|entry| entry.serial == *serial),
            Selector::Typed(label, prefix) => {
                let mut found = labelled(label);
                if found.is_empty() {
                    found = newest_first(&|entry| {
                        entry.serial.starts_with(prefix) || pki::sha256(&entry.der)[..] == prefix[..]
                    });
                    found.truncate(100);
                }
                found
            }
        })
    }

    fn list(&self, query: &Query, now: Timestamp) -> Result<Page, StoreError> {
        let state = self.state();
        let search = query.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let fits_text = |known: &Known, entry: &Entry| {
            let Some(text) = search else { return true };
            let lower = text.to_lowercase();
            let names = known.signed.as_ref().map(|signed| signed.names.to_lowercase()).unwrap_or_default();
            let by_octets = match Selector::parse(text) {
                Selector::Typed(_, prefix) => {
                    entry.serial.starts_with(&prefix) || pki::sha256(&entry.der).starts_with(&prefix)
                }
                _ => false,
            };
            // Fewer than three characters find labels that start with them, as an index of trigrams would.
            match lower.chars().count() {
                0..3 => entry.label.to_lowercase().starts_with(&lower),
                _ => names.contains(&lower) || by_octets,
            }
        };
        let fits_partner = |entry: &Entry| {
            query.partner.as_ref().is_none_or(|partner| {
                let identity = (ca::IDENTITY.to_owned(), entry.label.to_ascii_lowercase());
                state.records.get(&identity).is_some_and(|record| record.owner == *partner)
            })
        };
        let fits_state = |entry: &Entry| match query.state {
            StateFilter::Any => true,
            StateFilter::Good => entry.is_good(now),
            StateFilter::Expired => entry.revoked.is_none() && entry.not_after < now,
            StateFilter::Revoked => entry.revoked.is_some(),
            StateFilter::ExpiringBefore(end) => {
                entry.revoked.is_none() && entry.not_after >= now && entry.not_after <= end
            }
        };
        // What comes first has the smaller one.
        let place = |number: usize, entry: &Entry| match query.state {
            StateFilter::ExpiringBefore(_) => (entry.not_after.as_second(), number),
            StateFilter::Expired => (-entry.not_after.as_second(), usize::MAX - number),
            _ => (0, usize::MAX - number),
        };
        let behind = match &query.after {
            None => None,
            Some(serial) => {
                let found = state.entries().enumerate().find(|(_, (_, entry))| entry.serial == *serial);
                let Some((number, (_, entry))) = found else { return Ok(Page::default()) };
                Some(place(number, &entry))
            }
        };
        let mut entries: Vec<_> = state
            .entries()
            .enumerate()
            .map(|(number, (known, entry))| (place(number, &entry), known, entry))
            .filter(|(place, known, entry)| {
                behind.is_none_or(|behind| *place > behind)
                    && fits_state(entry)
                    && query.profile.is_none_or(|profile| profile == entry.profile)
                    && query.line.is_none_or(|line| line == entry.line)
                    && fits_partner(entry)
                    && fits_text(known, entry)
            })
            .map(|(place, _, entry)| (place, entry))
            .collect();
        entries.sort_by_key(|(place, _)| *place);
        let mut entries: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry).collect();
        let more = query.limit != 0 && entries.len() > query.limit;
        if more {
            entries.truncate(query.limit);
        }
        Ok(Page { entries, more })
    }

    fn line_standing(&self, line: u32, now: Timestamp) -> Result<LineStanding, StoreError> {
        let state = self.state();
        let of_line = |entry: &Entry| entry.line == line && entry.profile != Profile::Responder;
        let entries: Vec<Entry> = state.entries().map(|(_, entry)| entry).filter(of_line).collect();
        // Whole seconds count, as in a database.
        let good = entries.iter().filter(|entry| entry.is_good(seconds(now))).count() as u64;
        Ok(LineStanding { good, last_end: entries.iter().map(|entry| entry.not_after).max() })
    }

    fn revoke(
        &self,
        serials: Vec<Vec<u8>>,
        record: RevocationRecord,
        events: Vec<NewEvent>,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        for (serial, event) in serials.iter().zip(events) {
            if let Some(known) = state.known(serial).filter(|known| known.revoked.is_none()) {
                known.revoked = Some(RevocationRecord { at: seconds(record.at), ..record });
                state.append(event);
            }
        }
        drop(state);
        self.news.tell();
        Ok(())
    }

    fn release(&self, serial: Vec<u8>, event: NewEvent) -> Result<(), StoreError> {
        let mut state = self.state();
        let on_hold = |record: RevocationRecord| record.reason == RevocationReason::CertificateHold;
        let known = state.known(&serial).filter(|known| known.revoked.is_some_and(on_hold));
        known.ok_or(StoreError::NotOnHold)?.revoked = None;
        state.append(event);
        drop(state);
        self.news.tell();
        Ok(())
    }

    fn begin_crl(&self, at: Timestamp) -> Result<(u64, Vec<(u32, RevokedEntry)>), StoreError> {
        let mut state = self.state();
        let (number, last) = state.lists;
        let listed = |entry: Entry| {
            let revoked = entry.revoked?;
            let end = entry.not_after.max(revoked.at).as_second();
            let RevocationRecord { at: revoked_at, reason } = revoked;
            (end >= last).then_some((entry.line, RevokedEntry { serial: entry.serial, revoked_at, reason }))
        };
        let entries = state.entries().filter_map(|(_, entry)| listed(entry)).collect();
        let number = (number + 1).max(milliseconds(at));
        state.lists.0 = number;
        state.begun_lists.insert(number, at.as_second());
        Ok((number, entries))
    }

    fn finish_crl(&self, number: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(at) = state.begun_lists.remove(&number) {
            state.lists.1 = state.lists.1.max(at);
        }
        Ok(())
    }

    fn list_number(&self) -> Result<u64, StoreError> {
        Ok(self.state().lists.0)
    }

    fn skip_list_numbers(&self, last: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        state.lists.0 = state.lists.0.max(last);
        Ok(())
    }

    fn record_kinds(&self) -> Result<Vec<String>, StoreError> {
        let mut kinds: Vec<String> = self.state().records.keys().map(|(kind, _)| kind.clone()).collect();
        kinds.dedup();
        Ok(kinds)
    }

    fn revocation_version(&self) -> Result<u64, StoreError> {
        let state = self.state();
        let changes = |event: &&AuditEvent| matches!(event.action.as_str(), "revoke" | "release");
        Ok(state.audit.iter().rev().find(changes).map_or(0, |event| event.sequence))
    }

    fn audit(&self, serial: Option<&[u8]>) -> Result<Vec<AuditEvent>, StoreError> {
        let state = self.state();
        let fits = |event: &&AuditEvent| serial.is_none() || event.serial.as_deref() == serial;
        Ok(state.audit.iter().filter(fits).cloned().collect())
    }

    fn audit_after(&self, sequence: u64, limit: usize) -> Result<Vec<AuditEvent>, StoreError> {
        let skipped = usize::try_from(sequence).unwrap_or(usize::MAX);
        Ok(self.state().audit.iter().skip(skipped).take(limit).cloned().collect())
    }

    fn audit_length(&self) -> Result<u64, StoreError> {
        Ok(self.state().audit.len() as u64)
    }

    fn statistics(&self, now: Timestamp) -> Result<Statistics, StoreError> {
        let state = self.state();
        let entries: Vec<Entry> = state.entries().map(|(_, entry)| entry).collect();
        let count = |fits: &dyn Fn(&Entry) -> bool| entries.iter().filter(|entry| fits(entry)).count() as u64;
        let is_over = |entry: &Entry| entry.not_after.as_second() < now.as_second();
        let ends_within = |entry: &Entry, from: i64, to: i64| {
            entry.revoked.is_none() && (from..to).contains(&entry.not_after.as_second())
        };
        let moment = now.as_second();
        let (days, weeks) = (day_bounds(now), week_bounds(now));
        let start = |second: i64| Timestamp::from_second(second).unwrap_or(now);
        let revoked_within = |from: i64, to: i64| {
            let events = state.audit.iter().filter(|event| event.action == "revoke");
            events.filter(|event| (from..to).contains(&event.at.as_second())).count() as u64
        };
        Ok(Statistics {
            good: count(&|entry| entry.revoked.is_none() && !is_over(entry)),
            revoked: count(&|entry| entry.revoked.is_some()),
            expired: count(&|entry| entry.revoked.is_none() && is_over(entry)),
            expiring_soon: count(&|entry| ends_within(entry, moment, moment + SOON.as_secs() + 1)),
            by_day: days
                .windows(2)
                .map(|day| Day {
                    start: start(day[0]),
                    issued: count(&|entry| (day[0]..day[1]).contains(&entry.issued_at.as_second())),
                    revoked: revoked_within(day[0], day[1]),
                })
                .collect(),
            by_week: weeks
                .windows(2)
                .map(|week| Week {
                    start: start(week[0]),
                    ending: count(&|entry| ends_within(entry, week[0], week[1])),
                })
                .collect(),
            audit_length: state.audit.len() as u64,
        })
    }

    fn record(&self, kind: &str, id: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.state().records.get(&(kind.to_owned(), id.to_owned())).cloned())
    }

    fn records(
        &self,
        kind: &str,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let state = self.state();
        let fits = |record: &&Record| {
            record.kind == kind
                && owner.is_none_or(|owner| owner == record.owner)
                && after.is_none_or(|after| record.id.as_str() > after)
        };
        Ok(state.records.values().filter(fits).take(limit).cloned().collect())
    }

    fn count_records(&self, kind: &str, owner: &str) -> Result<u64, StoreError> {
        let state = self.state();
        Ok(state.records.values().filter(|r| r.kind == kind && r.owner == owner).count() as u64)
    }

    fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.state().commit(commit)?;
        self.news.tell();
        Ok(())
    }

    fn prune_records(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let mut state = self.state();
        let mut over: Vec<(Timestamp, (String, String))> = state
            .records
            .iter()
            .filter_map(|(key, record)| Some((record.expires?, key.clone())))
            .filter(|(expires, _)| *expires < seconds(before))
            .collect();
        over.sort();
        over.truncate(limit);
        for (_, key) in &over {
            state.records.remove(key);
        }
        Ok(over.len() as u64)
    }

    fn observe(&self, observed: Observed, now: Timestamp) -> Result<(), StoreError> {
        self.state().observed.take(observed, now);
        self.news.tell();
        Ok(())
    }

    fn tallies(&self, kind: &str, span: Span, from: Timestamp) -> Result<Vec<Tally>, StoreError> {
        Ok(self.state().observed.tallies(kind, span, from))
    }

    fn refused_handshakes(&self, after: u64, limit: usize) -> Result<Vec<RefusedHandshake>, StoreError> {
        Ok(self.state().observed.refused_handshakes(after, limit))
    }

    fn refused_handshake(&self, number: u64) -> Result<Option<RefusedHandshake>, StoreError> {
        Ok(self.state().observed.refused_handshake(number))
    }

    fn said(&self, kind: &str, after: u64) -> Result<Vec<Said>, StoreError> {
        Ok(self.state().observed.said(kind, after))
    }
}
