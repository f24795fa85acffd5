//! An authority's memory in PostgreSQL, shared by any number of replicas. Nothing here is PostgreSQL's alone but the
//! spelling of types, so that databases which speak its protocol serve as well.

mod list;
mod log;
mod news;
mod observed;
mod open;
mod read;
mod reader;
mod statistics;
pub mod tls;
mod write;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use ca::log::Hash;
use ca::observed::{Observed, RefusedHandshake, Said, Span, Tally};
use ca::{
    AuditEvent, AuthorityRecord, CaCertificate, Commit, Completion, Entry, Intent, LineStanding, NewEvent,
    Page, Query, Record, RevocationRecord, Selector, Statistics, Store, StoreError, Unfinished,
};
use jiff::Timestamp;
use news::Listener;
use open::Server;
use pki::crl::RevokedEntry;
use reader::Reader;
use tls::{Connector, TlsMaterial};
use writer::Writer;

use crate::pool::{self, Lent, Pool};

/// An authority's memory in a PostgreSQL database.
pub struct PostgresStore {
    server: Server,
    writer: Writer,
    readers: Arc<Pool<Reader>>,
    listener: Listener,
}

impl PostgresStore {
    /// Opens the database at `url` (`postgres://USER@HOST/DATABASE`), and makes or updates its tables.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`], [`StoreError::Newer`], or why it cannot be used.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, None)
    }

    /// The same over TLS, with what [`tls::read_address`] said is needed for it.
    ///
    /// # Errors
    /// [`StoreError::Untrusted`] where the server is not who it should be, or as [`PostgresStore::open`].
    pub fn open_with(url: &str, material: Option<TlsMaterial>) -> Result<Self, StoreError> {
        let connector = material.map(Connector::new).transpose();
        let connector = connector.map_err(|error| StoreError::Database(Box::new(error)))?;
        let server = Server::new(url, connector)?;
        let mut client = server.connect()?;
        open::migrate(&mut client, &server)?;
        let writer = Writer::start(server.clone(), client)?;
        Ok(PostgresStore { server, writer, readers: Pool::new(pool::MOST), listener: Listener::default() })
    }

    fn reader(&self) -> Result<Lent<Reader>, StoreError> {
        self.readers.lend(|reader| !reader.is_closed(), || self.server.connect().map(Reader::new))
    }

    fn writing<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut writer::Group<'_>) -> Result<T, writer::Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let written = self.writer.run(operation);
        // Before the database tells all replicas, this one knows.
        self.listener.tell();
        written
    }

    fn reading<T>(
        &self,
        operation: impl Fn(&mut Reader) -> Result<T, postgres::Error>,
    ) -> Result<T, StoreError> {
        let mut reader = self.reader()?;
        let mut result = operation(&mut reader);
        if result.is_err() && reader.is_closed() {
            // The server was restarted since this connection was used last: reading again changes nothing.
            *reader = self.server.connect().map(Reader::new)?;
            result = operation(&mut reader);
        }
        reader.give_back();
        result.map_err(|error| self.server.error(error))
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        let idle = self.readers.drain();
        // A client says goodbye on a runtime of its own, which it must not start within another one: whoever drops the
        // last of a service's state may well be a task.
        let goodbye = std::thread::spawn(move || drop(idle));
        // A panic in it leaves connections that the server ends by itself.
        let _ = goodbye.join();
    }
}

impl Store for PostgresStore {
    fn authority(&self) -> Result<Option<AuthorityRecord>, StoreError> {
        self.reading(read::authority)
    }

    fn create_authority(&self, record: AuthorityRecord, with: Commit) -> Result<(), StoreError> {
        self.writing(move |group| write::create_authority(group, &record, &with))
    }

    fn record_intent(&self, intent: Intent) -> Result<(), StoreError> {
        self.writing(move |group| write::record_intent(group, &intent))
    }

    fn complete(&self, completion: Completion, event: NewEvent) -> Result<(), StoreError> {
        self.writing(move |group| write::complete(group, &completion, &event))
    }

    fn abandon(&self, serial: Vec<u8>, reason: String, event: NewEvent) -> Result<(), StoreError> {
        self.writing(move |group| write::abandon(group, &serial, &reason, &event))
    }

    fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        self.reading(read::unfinished)
    }

    fn log_size(&self) -> Result<u64, StoreError> {
        self.reading(|reader| log::size(reader.client()))
    }

    fn log_hashes(&self, level: u8, start: u64, count: u64) -> Result<Vec<Hash>, StoreError> {
        self.reading(|reader| log::hashes(reader.client(), level, start, count))
    }

    fn log_entries(&self, start: u64, count: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        self.reading(|reader| log::entries(reader.client(), start, count))
    }

    fn log_index(&self, serial: &[u8]) -> Result<Option<u64>, StoreError> {
        self.reading(|reader| log::index(reader.client(), serial))
    }

    fn ca_certificates(&self) -> Result<Vec<CaCertificate>, StoreError> {
        self.reading(|reader| log::ca_certificates(reader.client()))
    }

    fn wait_for_news(&self, seen: u64, longest: Duration) -> u64 {
        self.listener.wait(&self.server, seen, longest)
    }

    fn find(&self, selector: &Selector) -> Result<Vec<Entry>, StoreError> {
        self.reading(|reader| read::find(reader, selector))
    }

    fn list(&self, query: &Query, now: Timestamp) -> Result<Page, StoreError> {
        self.reading(|reader| list::list(reader, query, now))
    }

    fn line_standing(&self, line: u32, now: Timestamp) -> Result<LineStanding, StoreError> {
        self.reading(|reader| statistics::line_standing(reader, line, now))
    }

    fn revoke(
        &self,
        serials: Vec<Vec<u8>>,
        record: RevocationRecord,
        events: Vec<NewEvent>,
    ) -> Result<(), StoreError> {
        self.writing(move |group| write::revoke(group, &serials, record, &events))
    }

    fn begin_crl(&self, at: Timestamp) -> Result<(u64, Vec<(u32, RevokedEntry)>), StoreError> {
        let mut reader = self.reader()?;
        let server = self.server.clone();
        // The reader's moment is fixed while the writer holds the head, so the list of a higher number was read later and
        // says no less; and nobody waits while it is read.
        let (number, mut reader) = self.writer.run(move |group| {
            let begun =
                reader.client().batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT id FROM head");
            begun.map_err(|error| writer::Fault::Store(server.error(error)))?;
            Ok((write::number_crl(group, at)?, reader))
        })?;
        let entries = read::revoked(&mut reader);
        let ended = reader.client().batch_execute("COMMIT");
        let wrap = |error| self.server.error(error);
        ended.map_err(wrap)?;
        reader.give_back();
        Ok((number, entries.map_err(wrap)?))
    }

    fn finish_crl(&self, number: u64) -> Result<(), StoreError> {
        self.writing(move |group| write::finish_crl(group, number))
    }

    fn release(&self, serial: Vec<u8>, event: NewEvent) -> Result<(), StoreError> {
        self.writing(move |group| write::release(group, &serial, &event))
    }

    fn list_number(&self) -> Result<u64, StoreError> {
        self.reading(read::list_number)
    }

    fn skip_list_numbers(&self, last: u64) -> Result<(), StoreError> {
        self.writing(move |group| write::skip_list_numbers(group, last))
    }

    fn record_kinds(&self) -> Result<Vec<String>, StoreError> {
        self.reading(read::record_kinds)
    }

    fn revocation_version(&self) -> Result<u64, StoreError> {
        self.reading(read::revocation_version)
    }

    fn audit(&self, serial: Option<&[u8]>) -> Result<Vec<AuditEvent>, StoreError> {
        self.reading(|reader| read::audit(reader, serial))
    }

    fn audit_after(&self, sequence: u64, limit: usize) -> Result<Vec<AuditEvent>, StoreError> {
        self.reading(|reader| read::audit_after(reader, sequence, limit))
    }

    fn audit_length(&self) -> Result<u64, StoreError> {
        self.reading(read::audit_length)
    }

    fn statistics(&self, now: Timestamp) -> Result<Statistics, StoreError> {
        self.reading(|reader| statistics::statistics(reader, now))
    }

    fn record(&self, kind: &str, id: &str) -> Result<Option<Record>, StoreError> {
        self.reading(|reader| read::record(reader, kind, id))
    }

    fn records(
        &self,
        kind: &str,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.reading(|reader| read::records(reader, kind, owner, after, limit))
    }

    fn count_records(&self, kind: &str, owner: &str) -> Result<u64, StoreError> {
        self.reading(|reader| read::count_records(reader, kind, owner))
    }

    fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.writing(move |group| write::commit(group, &commit))
    }

    fn prune_records(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.writing(move |group| write::prune_records(group, before, limit))
    }

    fn observe(&self, observed: Observed, now: Timestamp) -> Result<(), StoreError> {
        self.writing(move |group| observed::observe(group, &observed, now))
    }

    fn tallies(&self, kind: &str, span: Span, from: Timestamp) -> Result<Vec<Tally>, StoreError> {
        self.reading(|reader| observed::tallies(reader, kind, span, from))
    }

    fn refused_handshakes(&self, after: u64, limit: usize) -> Result<Vec<RefusedHandshake>, StoreError> {
        self.reading(|reader| observed::refused_handshakes(reader, after, limit))
    }

    fn refused_handshake(&self, number: u64) -> Result<Option<RefusedHandshake>, StoreError> {
        self.reading(|reader| observed::refused_handshake(reader, number))
    }

    fn said(&self, kind: &str, after: u64) -> Result<Vec<Said>, StoreError> {
        self.reading(|reader| observed::said(reader, kind, after))
    }
}
