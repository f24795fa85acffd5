//! The store: a writing thread, and connections that read beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ca::log::Hash;
use ca::observed::{Observed, RefusedHandshake, Said, Span, Tally};
use ca::{
    AuditEvent, AuthorityRecord, CaCertificate, Commit, Completion, Entry, Intent, LineStanding, NewEvent,
    Page, Query, Record, RevocationRecord, Selector, Statistics, Store, StoreError, Unfinished,
};
use jiff::Timestamp;
use pki::crl::RevokedEntry;
use rusqlite::Connection;

use crate::error::store_error;
use crate::news::{LOOK_AGAIN, News};
use crate::pool::{self, Lent, Pool};
use crate::writer::Writer;
use crate::{list, log, observed, open, read, records, statistics, write};

/// An authority's memory in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    writer: Writer,
    /// WAL lets any number read while one writes.
    readers: Arc<Pool<Connection>>,
    news: News,
}

impl SqliteStore {
    /// Opens the file, made if it is not there, with mode 0600; brings an older one up to date.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::Foreign`], or why it cannot be opened.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        open::create_file(path)?;
        Self::open(path)
    }

    /// Opens an existing file; brings an older one up to date.
    ///
    /// # Errors
    /// As [`SqliteStore::create`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = open::patiently(|| {
            open::check(path)?;
            let mut connection = open::connect(path)?;
            open::migrate(&mut connection, path)?;
            Ok(connection)
        })?;
        let writer = Writer::start(connection, path)?;
        Ok(SqliteStore {
            path: path.to_owned(),
            writer,
            readers: Pool::new(pool::MOST),
            news: News::default(),
        })
    }

    /// A connection that nobody else reads with.
    fn reader(&self) -> Result<Lent<Connection>, StoreError> {
        self.readers.lend(|_| true, || open::patiently(|| open::connect_to_read(&self.path)))
    }

    fn reading<T>(
        &self,
        operation: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let connection = self.reader()?;
        let result = operation(&connection).map_err(|error| store_error(&self.path, error));
        connection.give_back();
        result
    }

    fn writing<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, write::WriteError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = self.path.clone();
        let written =
            self.writer.run(move |connection| operation(connection).map_err(|error| error.into_store(&path)));
        self.news.tell();
        written
    }
}

impl Store for SqliteStore {
    fn authority(&self) -> Result<Option<AuthorityRecord>, StoreError> {
        self.reading(read::authority)
    }

    fn create_authority(&self, record: AuthorityRecord, with: Commit) -> Result<(), StoreError> {
        self.writing(move |connection| write::create_authority(connection, &record, &with))
    }

    fn record_intent(&self, intent: Intent) -> Result<(), StoreError> {
        self.writing(move |connection| write::record_intent(connection, &intent))
    }

    fn complete(&self, completion: Completion, event: NewEvent) -> Result<(), StoreError> {
        self.writing(move |connection| write::complete(connection, &completion, &event))
    }

    fn abandon(&self, serial: Vec<u8>, reason: String, event: NewEvent) -> Result<(), StoreError> {
        self.writing(move |connection| write::abandon(connection, &serial, &reason, &event))
    }

    fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        self.reading(read::unfinished)
    }

    fn log_size(&self) -> Result<u64, StoreError> {
        self.reading(log::size)
    }

    fn log_hashes(&self, level: u8, start: u64, count: u64) -> Result<Vec<Hash>, StoreError> {
        self.reading(|connection| log::hashes(connection, level, start, count))
    }

    fn log_entries(&self, start: u64, count: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        self.reading(|connection| log::entries(connection, start, count))
    }

    fn log_index(&self, serial: &[u8]) -> Result<Option<u64>, StoreError> {
        self.reading(|connection| log::index(connection, serial))
    }

    fn ca_certificates(&self) -> Result<Vec<CaCertificate>, StoreError> {
        self.reading(log::ca_certificates)
    }

    fn wait_for_news(&self, seen: u64, longest: Duration) -> u64 {
        // Other processes write too, and tell nobody.
        self.news.wait(seen, longest.min(LOOK_AGAIN))
    }

    fn find(&self, selector: &Selector) -> Result<Vec<Entry>, StoreError> {
        self.reading(|connection| read::find(connection, selector))
    }

    fn list(&self, query: &Query, now: Timestamp) -> Result<Page, StoreError> {
        self.reading(|connection| list::list(connection, query, now))
    }

    fn line_standing(&self, line: u32, now: Timestamp) -> Result<LineStanding, StoreError> {
        self.reading(|connection| statistics::line_standing(connection, line, now))
    }

    fn revoke(
        &self,
        serials: Vec<Vec<u8>>,
        record: RevocationRecord,
        events: Vec<NewEvent>,
    ) -> Result<(), StoreError> {
        self.writing(move |connection| write::revoke(connection, &serials, record, &events))
    }

    fn begin_crl(&self, at: Timestamp) -> Result<(u64, Vec<(u32, RevokedEntry)>), StoreError> {
        let reader = self.reader()?;
        let path = self.path.clone();
        // The reader's moment is fixed while the writer holds the number, so the list of a higher number was read later
        // and says no less; and a million entries are read without anybody waiting for it.
        let (number, reader) = self.writer.run(move |connection| {
            let wrap = |error| store_error(&path, error);
            reader.execute_batch("BEGIN; SELECT count(*) FROM authority;").map_err(wrap)?;
            let number = write::number_crl(connection, at).map_err(|error| error.into_store(&path))?;
            Ok((number, reader))
        })?;
        let entries = read::revoked(&reader);
        reader.execute_batch("COMMIT").map_err(|error| store_error(&self.path, error))?;
        reader.give_back();
        Ok((number, entries.map_err(|error| store_error(&self.path, error))?))
    }

    fn finish_crl(&self, number: u64) -> Result<(), StoreError> {
        self.writing(move |connection| write::finish_crl(connection, number))
    }

    fn release(&self, serial: Vec<u8>, event: NewEvent) -> Result<(), StoreError> {
        self.writing(move |connection| write::release(connection, &serial, &event))
    }

    fn list_number(&self) -> Result<u64, StoreError> {
        self.reading(read::list_number)
    }

    fn skip_list_numbers(&self, last: u64) -> Result<(), StoreError> {
        self.writing(move |connection| write::skip_list_numbers(connection, last))
    }

    fn record_kinds(&self) -> Result<Vec<String>, StoreError> {
        self.reading(records::kinds)
    }

    fn revocation_version(&self) -> Result<u64, StoreError> {
        self.reading(read::revocation_version)
    }

    fn statistics(&self, now: Timestamp) -> Result<Statistics, StoreError> {
        self.reading(|connection| statistics::statistics(connection, now))
    }

    fn audit(&self, serial: Option<&[u8]>) -> Result<Vec<AuditEvent>, StoreError> {
        self.reading(|connection| read::audit(connection, serial))
    }

    fn audit_after(&self, sequence: u64, limit: usize) -> Result<Vec<AuditEvent>, StoreError> {
        self.reading(|connection| read::audit_after(connection, sequence, limit))
    }

    fn audit_length(&self) -> Result<u64, StoreError> {
        self.reading(read::audit_length)
    }

    fn record(&self, kind: &str, id: &str) -> Result<Option<Record>, StoreError> {
        self.reading(|connection| records::record(connection, kind, id))
    }

    fn records(
        &self,
        kind: &str,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.reading(|connection| records::records(connection, kind, owner, after, limit))
    }

    fn count_records(&self, kind: &str, owner: &str) -> Result<u64, StoreError> {
        self.reading(|connection| records::count(connection, kind, owner))
    }

    fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.writing(move |connection| records::commit(connection, &commit))
    }

    fn prune_records(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.writing(move |connection| records::prune(connection, before, limit))
    }

    fn observe(&self, observed: Observed, now: Timestamp) -> Result<(), StoreError> {
        self.writing(move |connection| observed::observe(connection, &observed, now))
    }

    fn tallies(&self, kind: &str, span: Span, from: Timestamp) -> Result<Vec<Tally>, StoreError> {
        self.reading(|connection| observed::tallies(connection, kind, span, from))
    }

    fn refused_handshakes(&self, after: u64, limit: usize) -> Result<Vec<RefusedHandshake>, StoreError> {
        self.reading(|connection| observed::refused_handshakes(connection, after, limit))
    }

    fn refused_handshake(&self, number: u64) -> Result<Option<RefusedHandshake>, StoreError> {
        self.reading(|connection| observed::refused_handshake(connection, number))
    }

    fn said(&self, kind: &str, after: u64) -> Result<Vec<Said>, StoreError> {
        self.reading(|connection| observed::said(connection, kind, after))
    }
}
