//! Opening the file: private to its owner, in WAL mode, brought up to the version known here.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ca::StoreError;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::store_error;
use crate::log;

/// "csgn": tells our files from those of others (SQLite's application_id).
const APPLICATION_ID: i64 = 0x6373_676e;

/// Every change of the schema, in order. A file's version is how many it has seen.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_records.sql"),
    include_str!("../migrations/0003_log.sql"),
    include_str!("../migrations/0004_lines.sql"),
    include_str!("../migrations/0005_ca_certificates.sql"),
    include_str!("../migrations/0006_observed.sql"),
    include_str!("../migrations/0007_fingerprints.sql"),
    include_str!("../migrations/0008_lines_counted.sql"),
];

/// How long a process waits for another one's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before the next try.
const PAUSE: Duration = Duration::from_millis(5);

/// Tries again while others are busy with the file. SQLite does not wait by itself where two connections turn a new file
/// to WAL at once, or one comes while the last one goes: it says that it is busy, whatever the timeout.
pub(crate) fn patiently<T>(mut attempt: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(StoreError::Busy) if start.elapsed() < BUSY_TIMEOUT => std::thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

/// Makes the file with mode 0600 if it is not there. SQLite gives -wal and -shm the mode of the database.
pub(crate) fn create_file(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Err(StoreError::Full),
        Err(error) => {
            let _ = error;
            Err(StoreError::ReadOnly(path.display().to_string()))
        }
    }
}

/// Refuses a file of something else, without changing a byte of it.
pub(crate) fn check(path: &Path) -> Result<(), StoreError> {
    // One statement is one moment: another process may be making the file just now.
    let (application, version, tables): (i64, i64, i64) = open(path)?
        .query_row(
            "SELECT (SELECT application_id FROM pragma_application_id),
                    (SELECT user_version FROM pragma_user_version),
                    (SELECT count(*) FROM sqlite_schema)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(|error| store_error(path, error))?;
    let new = (application, version, tables) == (0, 0, 0);
    if application == APPLICATION_ID || new {
        Ok(())
    } else {
        Err(StoreError::Foreign(path.display().to_string()))
    }
}

/// A connection to an existing file of which nothing is known yet.
pub(crate) fn bare(path: &Path) -> Result<Connection, StoreError> {
    open(path)
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| store_error(path, error))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| store_error(path, error))?;
    Ok(connection)
}

/// A connection that only reads. Several of them are open, and the system has the file in its memory once for all of them:
/// so each keeps little of it.
pub(crate) fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path)?;
    let smaller = connection.execute_batch("PRAGMA cache_size = -2048;");
    smaller.map_err(|error| store_error(path, error))?;
    Ok(connection)
}

/// A connection that reads and writes an existing file.
pub(crate) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let wrap = |error| store_error(path, error);
    let connection = open(path)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;",
        )
        .map_err(wrap)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Brings the schema up to date, each step in a transaction of its own; refuses what is not ours or is newer.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let wrap = |error| store_error(path, error);
    loop {
        // Immediate: two processes that open a new file at once must not both migrate it.
        let current: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(wrap)?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        if current > known {
            return Err(StoreError::Newer { path: path.display().to_string(), found: current, known });
        }
        if current == known {
            return fingerprint(connection).map_err(wrap);
        }
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrap)?;
        let seen: i64 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(wrap)?;
        if seen == current {
            let index = usize::try_from(current).unwrap_or(0);
            transaction.execute_batch(MIGRATIONS[index]).map_err(wrap)?;
            if current + 1 == known {
                // What was issued before there was a log is in it too.
                log::seal(&transaction).map_err(wrap)?;
            }
            transaction.pragma_update(None, "user_version", current + 1).map_err(wrap)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(wrap)?;
            transaction.commit().map_err(wrap)?;
        }
    }
}

/// How many fingerprints are made in one transaction, so that nobody waits long for it.
const FINGERPRINTED_TOGETHER: u32 = 1000;

/// Puts in the fingerprints of certificates that were issued without one: by a version that did not know them.
fn fingerprint(connection: &mut Connection) -> rusqlite::Result<()> {
    let missing = "SELECT id, der FROM certificate INDEXED BY certificate_without_sha256
                   WHERE sha256 IS NULL AND der IS NOT NULL ORDER BY id LIMIT ?1";
    loop {
        // A look first: whoever opens a file usually has nothing to write.
        if !connection.prepare_cached(missing)?.exists([1])? {
            return Ok(());
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: Vec<(i64, Vec<u8>)> = transaction
            .prepare_cached(missing)?
            .query_map([FINGERPRINTED_TOGETHER], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (id, der) in found {
            transaction
                .prepare_cached("UPDATE certificate SET sha256 = ?2 WHERE id = ?1")?
                .execute(rusqlite::params![id, pki::sha256(&der)])?;
        }
        transaction.commit()?;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    #[test]
    fn what_was_issued_before_there_were_fingerprints_has_one_once_the_file_is_opened() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ca.db");
        create_file(&path).unwrap();
        let mut connection = connect(&path).unwrap();
        // As a version from before leaves it.
        let old = &MIGRATIONS[..6];
        old.iter().for_each(|step| connection.execute_batch(step).unwrap());
        connection.pragma_update(None, "user_version", 6).unwrap();
        let issue = |connection: &Connection, number: u32| {
            let sql = "INSERT INTO certificate (serial, profile, label, tbs, der, not_before, not_after, requested_by,
                                                requested_at)
                       VALUES (?1, 'client', 'alice', x'', ?1, 0, 0, '', 0)";
            connection.execute(sql, [number.to_be_bytes()]).unwrap();
        };
        let count = 2 * FINGERPRINTED_TOGETHER + 1;
        connection.execute_batch("BEGIN").unwrap();
        (0..count).for_each(|number| issue(&connection, number));
        connection.execute_batch("COMMIT").unwrap();
        migrate(&mut connection, &path).unwrap();
        // And one that an old process wrote beside a new one.
        issue(&connection, count);
        migrate(&mut connection, &path).unwrap();
        for number in [0, 1, count - 1, count] {
            let found: [u8; 32] = connection
                .query_row(
                    "SELECT sha256 FROM certificate WHERE serial = ?1",
                    [number.to_be_bytes()],
                    |row| row.get(0),
                )
                .unwrap();
            assert_eq!(found, pki::sha256(&number.to_be_bytes()));
        }
        let missing = "SELECT count(*) FROM certificate WHERE sha256 IS NULL";
        assert_eq!(connection.query_row(missing, [], |row| row.get(0)), Ok(0));
    }

    #[test]
    fn whoever_comes_while_others_are_busy_tries_again_and_every_other_error_is_told_at_once() {
        let mut answers = vec![Ok(7), Err(StoreError::Busy), Err(StoreError::Busy)];
        assert!(matches!(patiently(|| answers.pop().unwrap_or(Ok(0))), Ok(7)));
        let mut answers = vec![Ok(7), Err(StoreError::Full)];
        assert!(matches!(patiently(|| answers.pop().unwrap_or(Ok(0))), Err(StoreError::Full)));
    }
}
