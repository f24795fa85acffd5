//! What an authority needs of its memory. Each operation is one transaction: it has happened wholly or not at all.

use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;
use pki::Profile;
use pki::crl::{RevocationReason, RevokedEntry};

use crate::audit::{AuditEvent, NewEvent};
use crate::log::Hash;
use crate::observed::{Observed, RefusedHandshake, Said, Span, Tally};
use crate::record::{CaCertificate, Commit, Record};
use crate::selector::Selector;
use crate::statistics::Statistics;

/// Why the memory could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is an authority in it already.
    #[error("this store holds an authority already")]
    AuthorityExists,
    /// The serial number is taken.
    #[error("the serial number is taken")]
    DuplicateSerial,
    /// The record to be completed is not there, or complete already.
    #[error("no certificate is waiting under this serial number")]
    NoIntent,
    /// A record is not the version that it was changed from: somebody else was faster.
    #[error("the {kind} '{id}' was changed by somebody else meanwhile; read it again and decide again")]
    Conflict {
        /// What it is.
        kind: String,
        /// Which one.
        id: String,
    },
    /// The certificate is not on hold.
    #[error("only a certificate that is on hold (certificateHold) can be released")]
    NotOnHold,
    /// The database's server cannot be reached.
    #[error("the database at {0} cannot be reached; what was asked may be tried again")]
    Unreachable(String),
    /// The database's server is not who it should be, or does not let us in.
    #[error("the database at {place} is not trusted: {why}")]
    Untrusted {
        /// Where.
        place: String,
        /// What speaks against it.
        why: String,
    },
    /// No room on the disk.
    #[error("the disk is full; nothing was changed. Make room and try again")]
    Full,
    /// The disk did not take or give what it was asked for.
    #[error(
        "the disk failed under the database {0}, or is full, or a limit on the size of files was reached; nothing was changed"
    )]
    Disk(String),
    /// The file or its directory cannot be written.
    #[error(
        "the database {0} cannot be written; check who owns it and its directory, and that its file system is not read-only"
    )]
    ReadOnly(String),
    /// Another process holds the lock for too long.
    #[error("another process has been writing to the database for too long; try again")]
    Busy,
    /// The file is damaged.
    #[error("the database {0} is damaged; restore it from a backup")]
    Corrupt(String),
    /// It was made by a newer countersign.
    #[error(
        "{path} was made by a newer countersign (its version is {found}, this one knows up to {known}); use that one"
    )]
    Newer {
        /// The file.
        path: String,
        /// The version it has.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// It is a file of something else.
    #[error("{0} is no database of countersign; name another home")]
    Foreign(String),
    /// Anything else the database says.
    #[error("the database failed")]
    Database(#[source] Box<dyn Error + Send + Sync>),
}

/// The authority itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityRecord {
    /// What it is called.
    pub name: String,
    /// The root's certificate in DER.
    pub root: Vec<u8>,
    /// The issuing CA's certificate in DER.
    pub issuing: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A certificate that is about to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Its serial number.
    pub serial: Vec<u8>,
    /// Its kind.
    pub profile: Profile,
    /// The name it is filed under.
    pub label: String,
    /// Its to-be-signed bytes.
    pub tbs: Vec<u8>,
    /// The first second of its validity.
    pub not_before: Timestamp,
    /// The last second of its validity.
    pub not_after: Timestamp,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub requested_at: Timestamp,
    /// The serial number of the certificate it takes the place of.
    pub replaces: Option<Vec<u8>>,
    /// Where its files were written, if this machine writes them.
    pub location: Option<String>,
    /// Which of the authority's lines signs it ([`crate::Line`]).
    pub line: u32,
}

/// A certificate that was about to be signed and is not on record as signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// What was about to be signed.
    pub intent: Intent,
    /// Why it came to nothing; `None` where nobody said: a crash, or another process at work.
    pub reason: Option<String>,
}

/// A certificate that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Its serial number.
    pub serial: Vec<u8>,
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// All that it can be searched by.
    pub names: String,
    /// When it was signed.
    pub issued_at: Timestamp,
}

/// When and why a certificate was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationRecord {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// A certificate as the authority knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its serial number.
    pub serial: Vec<u8>,
    /// The name it is filed under.
    pub label: String,
    /// Its kind.
    pub profile: Profile,
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// The first second of its validity.
    pub not_before: Timestamp,
    /// The last second of its validity.
    pub not_after: Timestamp,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Who asked for it.
    pub requested_by: String,
    /// The serial number of the certificate it took the place of.
    pub replaces: Option<Vec<u8>>,
    /// Where its files were written.
    pub location: Option<String>,
    /// When and why it was taken back.
    pub revoked: Option<RevocationRecord>,
    /// Which of the authority's lines signed it ([`crate::Line`]).
    pub line: u32,
}

/// What there is of a line's certificates, without those of its OCSP responders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineStanding {
    /// How many are good now, by their dates and the memory.
    pub good: u64,
    /// The end of the one that ends last, revoked ones among them.
    pub last_end: Option<Timestamp>,
}

impl Entry {
    /// Whether it is good at this moment, by its dates and the authority's memory.
    #[must_use]
    pub fn is_good(&self, at: Timestamp) -> bool {
        self.revoked.is_none() && self.not_before <= at && at <= self.not_after
    }

    /// The word for its state.
    #[must_use]
    pub fn state(&self, at: Timestamp) -> &'static str {
        match self.revoked {
            Some(_) => "revoked",
            None if at > self.not_after => "expired",
            None if at < self.not_before => "not yet valid",
            None => "good",
        }
    }
}

/// Which states a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StateFilter {
    /// All of them.
    #[default]
    Any,
    /// Good at the moment of asking.
    Good,
    /// Past their end, and never revoked.
    Expired,
    /// Revoked.
    Revoked,
    /// Good now, and past their end at this moment.
    ExpiringBefore(Timestamp),
}

/// What a list is asked for.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Part of a name, or the start of a serial number or of a SHA-256 fingerprint, in any case.
    pub search: Option<String>,
    /// The partner wanted: the certificates of the identities that belong to it.
    pub partner: Option<String>,
    /// The states wanted.
    pub state: StateFilter,
    /// The kind wanted.
    pub profile: Option<Profile>,
    /// The line wanted.
    pub line: Option<u32>,
    /// Only what comes behind this certificate in the list, by its serial number: the next page, after the last entry of the
    /// one before. It need not fit itself any more. Nothing comes behind a certificate that is not here.
    pub after: Option<Vec<u8>>,
    /// The most entries wanted; 0 for all.
    pub limit: usize,
}

/// A list: the newest first; of what is to end within a time, what ends first; of what has ended, what ended last.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether there are more than the limit let through.
    pub more: bool,
}

/// The memory of an authority.
pub trait Store: Send + Sync {
    /// The authority, if one was made.
    ///
    /// # Errors
    /// [`StoreError`].
    fn authority(&self) -> Result<Option<AuthorityRecord>, StoreError>;

    /// Records a new authority, and in the same transaction what else begins with it. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::AuthorityExists`], or another.
    fn create_authority(&self, record: AuthorityRecord, with: Commit) -> Result<(), StoreError>;

    /// Records what is about to be signed. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::DuplicateSerial`], or another.
    fn record_intent(&self, intent: Intent) -> Result<(), StoreError>;

    /// Records what was signed, and that it was, and puts it at the end of the log ([`crate::log`]), all in one
    /// transaction. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::NoIntent`], or another.
    fn complete(&self, completion: Completion, event: NewEvent) -> Result<(), StoreError>;

    /// Records why what was about to be signed came to nothing.
    ///
    /// # Errors
    /// [`StoreError::NoIntent`] where it was signed after all or is not there, or another.
    fn abandon(&self, serial: Vec<u8>, reason: String, event: NewEvent) -> Result<(), StoreError>;

    /// What was about to be signed and was not recorded as signed, and why where that is known.
    ///
    /// # Errors
    /// [`StoreError`].
    fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError>;

    /// How many certificates are in the log: all that were issued, and those of the authority's own CAs.
    ///
    /// # Errors
    /// [`StoreError`].
    fn log_size(&self) -> Result<u64, StoreError>;

    /// `count` hashes of a level of the log's tiles from `start` on: at level 0 those of its entries, at level *n* those
    /// of the full tiles of level *n* - 1. Fewer where the log ends.
    ///
    /// # Errors
    /// [`StoreError`].
    fn log_hashes(&self, level: u8, start: u64, count: u64) -> Result<Vec<Hash>, StoreError>;

    /// The certificates in DER at `count` places of the log from `start` on. Fewer where the log ends.
    ///
    /// # Errors
    /// [`StoreError`].
    fn log_entries(&self, start: u64, count: u64) -> Result<Vec<Vec<u8>>, StoreError>;

    /// The place in the log of the certificate with this serial number.
    ///
    /// # Errors
    /// [`StoreError`].
    fn log_index(&self, serial: &[u8]) -> Result<Option<u64>, StoreError>;

    /// The certificates of the authority's own CAs that are in the log, in its order.
    ///
    /// # Errors
    /// [`StoreError`].
    fn ca_certificates(&self) -> Result<Vec<CaCertificate>, StoreError>;

    /// Waits until something may have been written since this returned `seen`, by this process or another one, and at
    /// most `longest`; gives what to wait with the next time. The first wait is one with 0. Returning promises nothing:
    /// whoever waits looks.
    fn wait_for_news(&self, seen: u64, longest: Duration) -> u64;

    /// The certificates a selector means, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn find(&self, selector: &Selector) -> Result<Vec<Entry>, StoreError>;

    /// Lists certificates.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(&self, query: &Query, now: Timestamp) -> Result<Page, StoreError>;

    /// What there is of a line's certificates.
    ///
    /// # Errors
    /// [`StoreError`].
    fn line_standing(&self, line: u32, now: Timestamp) -> Result<LineStanding, StoreError>;

    /// Marks certificates as revoked; those that are already stay as they are.
    ///
    /// # Errors
    /// [`StoreError`].
    fn revoke(
        &self,
        serials: Vec<Vec<u8>>,
        record: RevocationRecord,
        events: Vec<NewEvent>,
    ) -> Result<(), StoreError>;

    /// Takes the next list number, and with it, in the same transaction, what belongs on the list: every revoked
    /// certificate that no earlier list was made after the end of (RFC 5280 section 3.3), with the line that signed it.
    /// So a list with a higher number never says less. One number is for the lists of all lines together: they count as
    /// made once [`Store::finish_crl`] says so, which is when all of them are signed.
    ///
    /// The number is the moment in milliseconds since 1970, or one more than the last where that is higher: so an older
    /// copy of the memory, put back in whatever way, goes on behind every number that was used.
    ///
    /// # Errors
    /// [`StoreError`].
    fn begin_crl(&self, at: Timestamp) -> Result<(u64, Vec<(u32, RevokedEntry)>), StoreError>;

    /// Records that the list of this number was signed.
    ///
    /// # Errors
    /// [`StoreError`].
    fn finish_crl(&self, number: u64) -> Result<(), StoreError>;

    /// The number of the last list; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list_number(&self) -> Result<u64, StoreError>;

    /// Makes the next list's number higher than this one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn skip_list_numbers(&self, last: u64) -> Result<(), StoreError>;

    /// The kinds of which there are records.
    ///
    /// # Errors
    /// [`StoreError`].
    fn record_kinds(&self) -> Result<Vec<String>, StoreError>;

    /// A number that changes whenever a certificate is revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    fn revocation_version(&self) -> Result<u64, StoreError>;

    /// Takes a certificate off hold.
    ///
    /// # Errors
    /// [`StoreError::NotOnHold`], or another.
    fn release(&self, serial: Vec<u8>, event: NewEvent) -> Result<(), StoreError>;

    /// The audit events, oldest first; of one certificate where a serial number is given.
    ///
    /// # Errors
    /// [`StoreError`].
    fn audit(&self, serial: Option<&[u8]>) -> Result<Vec<AuditEvent>, StoreError>;

    /// The audit events behind this number, oldest first, as many as the limit lets through.
    ///
    /// # Errors
    /// [`StoreError`].
    fn audit_after(&self, sequence: u64, limit: usize) -> Result<Vec<AuditEvent>, StoreError>;

    /// The number of the last audit event; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn audit_length(&self) -> Result<u64, StoreError>;

    /// Counts over all certificates.
    ///
    /// # Errors
    /// [`StoreError`].
    fn statistics(&self, now: Timestamp) -> Result<Statistics, StoreError>;

    /// A record.
    ///
    /// # Errors
    /// [`StoreError`].
    fn record(&self, kind: &str, id: &str) -> Result<Option<Record>, StoreError>;

    /// The records of a kind in the order of their ids, those of one owner where one is given, behind `after`; at most
    /// `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn records(
        &self,
        kind: &str,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// How many records of a kind an owner has.
    ///
    /// # Errors
    /// [`StoreError`].
    fn count_records(&self, kind: &str, owner: &str) -> Result<u64, StoreError>;

    /// Changes records, puts certificates of the authority's own at the end of the log, and appends audit events, all of
    /// it or nothing. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where one is not the version that was read, or another.
    fn commit(&self, commit: Commit) -> Result<(), StoreError>;

    /// Forgets the records that expired before this moment, the first to expire first and at most `limit` of them, and
    /// says how many.
    ///
    /// # Errors
    /// [`StoreError`].
    fn prune_records(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError>;

    /// Takes in what a process saw, and forgets what is beyond the bounds in [`crate::observed`] at this moment.
    ///
    /// # Errors
    /// [`StoreError`].
    fn observe(&self, observed: Observed, now: Timestamp) -> Result<(), StoreError>;

    /// The tallies of a kind in the stretches of this length that begin at `from` or later, in the order of time.
    ///
    /// # Errors
    /// [`StoreError`].
    fn tallies(&self, kind: &str, span: Span, from: Timestamp) -> Result<Vec<Tally>, StoreError>;

    /// The refused handshakes behind this number, newest first, as many as the limit lets through, without recordings.
    ///
    /// # Errors
    /// [`StoreError`].
    fn refused_handshakes(&self, after: u64, limit: usize) -> Result<Vec<RefusedHandshake>, StoreError>;

    /// The refused handshake of this number, with its recording.
    ///
    /// # Errors
    /// [`StoreError`].
    fn refused_handshake(&self, number: u64) -> Result<Option<RefusedHandshake>, StoreError>;

    /// What was said of things of this kind behind this change, in the order of changes.
    ///
    /// # Errors
    /// [`StoreError`].
    fn said(&self, kind: &str, after: u64) -> Result<Vec<Said>, StoreError>;
}

/// A shared memory is a memory.
impl<T: Store + ?Sized> Store for std::sync::Arc<T> {
    fn authority(&self) -> Result<Option<AuthorityRecord>, StoreError> {
        (**self).authority()
    }

    fn create_authority(&self, record: AuthorityRecord, with: Commit) -> Result<(), StoreError> {
        (**self).create_authority(record, with)
    }

    fn record_intent(&self, intent: Intent) -> Result<(), StoreError> {
        (**self).record_intent(intent)
    }

    fn complete(&self, completion: Completion, event: NewEvent) -> Result<(), StoreError> {
        (**self).complete(completion, event)
    }

    fn abandon(&self, serial: Vec<u8>, reason: String, event: NewEvent) -> Result<(), StoreError> {
        (**self).abandon(serial, reason, event)
    }

    fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        (**self).unfinished()
    }

    fn log_size(&self) -> Result<u64, StoreError> {
        (**self).log_size()
    }

    fn log_hashes(&self, level: u8, start: u64, count: u64) -> Result<Vec<Hash>, StoreError> {
        (**self).log_hashes(level, start, count)
    }

    fn log_entries(&self, start: u64, count: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        (**self).log_entries(start, count)
    }

    fn log_index(&self, serial: &[u8]) -> Result<Option<u64>, StoreError> {
        (**self).log_index(serial)
    }

    fn ca_certificates(&self) -> Result<Vec<CaCertificate>, StoreError> {
        (**self).ca_certificates()
    }

    fn wait_for_news(&self, seen: u64, longest: Duration) -> u64 {
        (**self).wait_for_news(seen, longest)
    }

    fn find(&self, selector: &Selector) -> Result<Vec<Entry>, StoreError> {
        (**self).find(selector)
    }

    fn list(&self, query: &Query, now: Timestamp) -> Result<Page, StoreError> {
        (**self).list(query, now)
    }

    fn line_standing(&self, line: u32, now: Timestamp) -> Result<LineStanding, StoreError> {
        (**self).line_standing(line, now)
    }

    fn revoke(
        &self,
        serials: Vec<Vec<u8>>,
        record: RevocationRecord,
        events: Vec<NewEvent>,
    ) -> Result<(), StoreError> {
        (**self).revoke(serials, record, events)
    }

    fn begin_crl(&self, at: Timestamp) -> Result<(u64, Vec<(u32, RevokedEntry)>), StoreError> {
        (**self).begin_crl(at)
    }

    fn finish_crl(&self, number: u64) -> Result<(), StoreError> {
        (**self).finish_crl(number)
    }

    fn revocation_version(&self) -> Result<u64, StoreError> {
        (**self).revocation_version()
    }

    fn list_number(&self) -> Result<u64, StoreError> {
        (**self).list_number()
    }

    fn skip_list_numbers(&self, last: u64) -> Result<(), StoreError> {
        (**self).skip_list_numbers(last)
    }

    fn record_kinds(&self) -> Result<Vec<String>, StoreError> {
        (**self).record_kinds()
    }

    fn release(&self, serial: Vec<u8>, event: NewEvent) -> Result<(), StoreError> {
        (**self).release(serial, event)
    }

    fn audit(&self, serial: Option<&[u8]>) -> Result<Vec<AuditEvent>, StoreError> {
        (**self).audit(serial)
    }

    fn audit_after(&self, sequence: u64, limit: usize) -> Result<Vec<AuditEvent>, StoreError> {
        (**self).audit_after(sequence, limit)
    }

    fn audit_length(&self) -> Result<u64, StoreError> {
        (**self).audit_length()
    }

    fn statistics(&self, now: Timestamp) -> Result<Statistics, StoreError> {
        (**self).statistics(now)
    }

    fn record(&self, kind: &str, id: &str) -> Result<Option<Record>, StoreError> {
        (**self).record(kind, id)
    }

    fn records(
        &self,
        kind: &str,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        (**self).records(kind, owner, after, limit)
    }

    fn count_records(&self, kind: &str, owner: &str) -> Result<u64, StoreError> {
        (**self).count_records(kind, owner)
    }

    fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        (**self).commit(commit)
    }

    fn prune_records(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        (**self).prune_records(before, limit)
    }

    fn observe(&self, observed: Observed, now: Timestamp) -> Result<(), StoreError> {
        (**self).observe(observed, now)
    }

    fn tallies(&self, kind: &str, span: Span, from: Timestamp) -> Result<Vec<Tally>, StoreError> {
        (**self).tallies(kind, span, from)
    }

    fn refused_handshakes(&self, after: u64, limit: usize) -> Result<Vec<RefusedHandshake>, StoreError> {
        (**self).refused_handshakes(after, limit)
    }

    fn refused_handshake(&self, number: u64) -> Result<Option<RefusedHandshake>, StoreError> {
        (**self).refused_handshake(number)
    }

    fn said(&self, kind: &str, after: u64) -> Result<Vec<Said>, StoreError> {
        (**self).said(kind, after)
    }
}
