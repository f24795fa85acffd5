//! The operations that change something. Each runs within a savepoint of the writer.

use std::path::Path;

use ca::{AuthorityRecord, Commit, Completion, Intent, NewEvent, RevocationRecord, StoreError};
use jiff::Timestamp;
use pki::crl::RevocationReason;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::store_error;
use crate::{log, records};

/// How many certificates' names wait before they are indexed; a search reads those that wait one by one.
const INDEXED_TOGETHER: i64 = 512;

/// What a write may fail with.
pub(crate) enum WriteError {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        WriteError::Sqlite(error)
    }
}

impl WriteError {
    /// The store's word for it.
    pub(crate) fn into_store(self, path: &Path) -> StoreError {
        match self {
            WriteError::Sqlite(error) => store_error(path, error),
            WriteError::Store(error) => error,
        }
    }
}

pub(crate) fn create_authority(
    connection: &Connection,
    record: &AuthorityRecord,
    with: &Commit,
) -> Result<(), WriteError> {
    let inserted = connection.execute(
        "INSERT OR IGNORE INTO authority (id, name, root, issuing, created_at) VALUES (1, ?1, ?2, ?3, ?4)",
        params![record.name, record.root, record.issuing, record.created_at.as_second()],
    )?;
    if inserted == 0 {
        return Err(WriteError::Store(StoreError::AuthorityExists));
    }
    records::commit(connection, with)
}

pub(crate) fn record_intent(connection: &Connection, intent: &Intent) -> Result<(), WriteError> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO certificate (serial, profile, label, tbs, not_before, not_after, requested_by,
                                      requested_at, replaces, location, line)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            intent.serial,
            intent.profile.name(),
            intent.label,
            intent.tbs,
            intent.not_before.as_second(),
            intent.not_after.as_second(),
            intent.requested_by,
            intent.requested_at.as_second(),
            intent.replaces,
            intent.location,
            intent.line,
        ]);
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
            Err(WriteError::Store(StoreError::DuplicateSerial))
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn complete(
    connection: &Connection,
    completion: &Completion,
    event: &NewEvent,
) -> Result<(), WriteError> {
    let id: Option<i64> = connection
        .prepare_cached(
            "UPDATE certificate SET der = ?2, issued_at = ?3, tbs = x'', sha256 = ?4
             WHERE serial = ?1 AND der IS NULL RETURNING id",
        )?
        .query_row(
            params![
                completion.serial,
                completion.der,
                completion.issued_at.as_second(),
                pki::sha256(&completion.der)
            ],
            |row| row.get(0),
        )
        .optional()?;
    let id = id.ok_or(WriteError::Store(StoreError::NoIntent))?;
    connection
        .prepare_cached("INSERT INTO completed_certificate (id, names) VALUES (?1, ?2)")?
        // In lower case, as it will be searched for: SQLite's own lower() knows ASCII alone.
        .execute(params![id, completion.names.to_lowercase()])?;
    log::grew(connection)?;
    append_audit(connection, event)
}

pub(crate) fn abandon(
    connection: &Connection,
    serial: &[u8],
    reason: &str,
    event: &NewEvent,
) -> Result<(), WriteError> {
    let abandoned = connection
        .prepare_cached(
            "UPDATE certificate SET failure = ?2 WHERE serial = ?1 AND der IS NULL AND failure IS NULL",
        )?
        .execute(params![serial, reason])?;
    if abandoned == 0 {
        return Err(WriteError::Store(StoreError::NoIntent));
    }
    append_audit(connection, event)
}

pub(crate) fn revoke(
    connection: &Connection,
    serials: &[Vec<u8>],
    record: RevocationRecord,
    events: &[NewEvent],
) -> Result<(), WriteError> {
    let mut update = connection.prepare_cached(
        "UPDATE certificate SET revoked_at = ?2, revocation_reason = ?3 WHERE serial = ?1 AND revoked_at IS NULL",
    )?;
    for (serial, event) in serials.iter().zip(events) {
        // One that another process took back a moment before keeps its date and reason.
        if update.execute(params![serial, record.at.as_second(), record.reason.code()])? > 0 {
            append_audit(connection, event)?;
        }
    }
    Ok(())
}

pub(crate) fn release(connection: &Connection, serial: &[u8], event: &NewEvent) -> Result<(), WriteError> {
    let released = connection
        .prepare_cached(
            "UPDATE certificate SET revoked_at = NULL, revocation_reason = NULL
             WHERE serial = ?1 AND revoked_at IS NOT NULL AND revocation_reason = ?2",
        )?
        .execute(params![serial, RevocationReason::CertificateHold.code()])?;
    if released == 0 {
        return Err(WriteError::Store(StoreError::NotOnHold));
    }
    append_audit(connection, event)
}

/// Records a list of this number as of the beginning of time, unless there is a later one.
pub(crate) fn skip_list_numbers(connection: &Connection, last: u64) -> Result<(), WriteError> {
    connection.execute(
        "INSERT INTO crl (number, this_update, signed) SELECT ?1, 0, 0 WHERE ?1 > (SELECT coalesce(max(number), 0) FROM crl)",
        params![i64::try_from(last).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// Records a list, and gives its number.
pub(crate) fn number_crl(connection: &Connection, at: Timestamp) -> Result<u64, WriteError> {
    let number: i64 = connection.query_row(
        "INSERT INTO crl (number, this_update, signed)
         SELECT max(coalesce(max(number), 0) + 1, ?2), ?1, 0 FROM crl RETURNING number",
        params![at.as_second(), at.as_millisecond()],
        |row| row.get(0),
    )?;
    Ok(u64::try_from(number).unwrap_or(0))
}

/// Records that a list was signed.
pub(crate) fn finish_crl(connection: &Connection, number: u64) -> Result<(), WriteError> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    connection.prepare_cached("UPDATE crl SET signed = 1 WHERE number = ?1")?.execute([number])?;
    Ok(())
}

/// Indexes the names that wait for it when enough of them wait: a segment of the index for each commit costs more than
/// everything else in it.
pub(crate) fn index_names(connection: &Connection) -> rusqlite::Result<()> {
    let (through, last): (i64, i64) = connection
        .prepare_cached(
            "SELECT through, (SELECT coalesce(max(position), 0) FROM completed_certificate) FROM name_index",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if last - through < INDEXED_TOGETHER {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO name_trigrams (rowid, names)
             SELECT position, names FROM completed_certificate WHERE position > ?1 ORDER BY position",
        )?
        .execute([through])?;
    connection.prepare_cached("UPDATE name_index SET through = ?1")?.execute([last])?;
    Ok(())
}

pub(crate) fn append_audit(connection: &Connection, event: &NewEvent) -> Result<(), WriteError> {
    let last: Option<(i64, [u8; 32])> = connection
        .prepare_cached("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (last_sequence, previous) = last.unwrap_or((0, [0; 32]));
    let sequence = last_sequence + 1;
    let hash = event.hash(u64::try_from(sequence).unwrap_or(0), &previous);
    connection
        .prepare_cached(
            "INSERT INTO audit (sequence, at, actor, action, serial, details, hash, origin)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            sequence,
            event.at.as_second(),
            event.actor,
            event.action,
            event.serial,
            event.details,
            hash.as_slice(),
            event.origin,
        ])?;
    Ok(())
}
