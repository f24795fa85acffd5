//! How far owners were told, for one time before the end: a record that all replicas share.

use ca::{Commit, Entry, NewEvent, Record, Store, StoreError, Write};
use jiff::{SignedDuration, Timestamp};
use pki::certificate::serial_hex;
use serde_json::{Value, json};

const KIND: &str = "expiry-notices";

/// How long one who holds the record may be silent: longer than a notice takes.
const HELD: SignedDuration = SignedDuration::from_mins(3);

/// After a failure: this long, and twice as long after each more.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// How far it is.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    id: String,
    /// The end of the last certificate that was told of, or the moment of the first look.
    pub(super) at: Timestamp,
    /// The serial numbers of those with this very end that were told of.
    told: Vec<String>,
    /// Failures since the last success.
    failures: u32,
    holder: String,
    held_until: Option<Timestamp>,
    pub(super) version: u64,
}

impl Progress {
    pub(super) fn find(
        store: &dyn Store,
        before: SignedDuration,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let id = before.as_secs().to_string();
        let record = store.record(KIND, &id)?;
        let version = record.as_ref().map_or(0, |record| record.version);
        let value: Value =
            record.and_then(|record| serde_json::from_str(&record.body).ok()).unwrap_or_default();
        let time = |member: &str| value[member].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let told = value["told"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Progress {
            id,
            at: time("at").unwrap_or(now),
            told: told.iter().filter_map(|serial| serial.as_str().map(str::to_owned)).collect(),
            failures: value["failures"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
            holder: value["holder"].as_str().unwrap_or_default().to_owned(),
            held_until: time("held_until"),
            version,
        })
    }

    /// Whether somebody else holds it, or everybody waits after a failure.
    pub(super) fn is_held(&self, holder: &str, now: Timestamp) -> bool {
        self.holder != holder && self.held_until.is_some_and(|until| until > now)
    }

    pub(super) fn hold(&mut self, holder: &str, now: Timestamp) {
        holder.clone_into(&mut self.holder);
        self.held_until = now.checked_add(HELD).ok();
    }

    /// The same, for whoever comes next.
    pub(super) fn released(&self) -> Self {
        Progress { holder: String::new(), held_until: None, ..self.clone() }
    }

    pub(super) fn passed(&self) -> usize {
        self.told.len()
    }

    pub(super) fn has_passed(&self, entry: &Entry) -> bool {
        entry.not_after < self.at
            || (entry.not_after == self.at && self.told.contains(&serial_hex(&entry.serial)))
    }

    /// This one is done.
    pub(super) fn pass(&mut self, entry: &Entry) {
        if entry.not_after != self.at {
            self.told.clear();
            self.at = entry.not_after;
        }
        self.told.push(serial_hex(&entry.serial));
        self.failures = 0;
    }

    /// One more failure: nobody tries before a pause is over.
    pub(super) fn fail(&mut self, now: Timestamp) -> u32 {
        self.failures += 1;
        let pause = (PAUSE * (1 << self.failures.min(8))).min(LONGEST_PAUSE);
        "nobody".clone_into(&mut self.holder);
        self.held_until = now.checked_add(pause).ok();
        self.failures
    }

    /// Writes it where it is as it was read; says whether it was.
    pub(super) fn write(
        &self,
        store: &dyn Store,
        event: Option<NewEvent>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let body = json!({
            "at": self.at.to_string(), "told": self.told, "failures": self.failures, "holder": self.holder,
            "held_until": self.held_until.map(|until| until.to_string()), "written": now.to_string(),
        });
        let record = Record { version: self.version, ..Record::new(KIND, &self.id, body.to_string()) };
        let commit = Commit::of(Write::Put(record));
        let commit = event.into_iter().fold(commit, Commit::noting);
        match store.commit(commit) {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What the audit trail says of a notice.
pub(super) fn event(
    label: &str,
    serial: Vec<u8>,
    before: SignedDuration,
    outcome: &str,
    now: Timestamp,
) -> NewEvent {
    let hours = before.as_hours();
    NewEvent {
        at: now,
        actor: "ca serve".to_owned(),
        origin: String::new(),
        action: "notify",
        serial: Some(serial),
        details: format!("{label}, {hours} h before its end: {outcome}"),
    }
}
