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

/// A connection that only reads: several of them are open, so each keeps less of the file in memory.
pub(crate) fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path)?;
    let smaller = connection.execute_batch("PRAGMA cache_size = -16384;");
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
             PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;",
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
            return Ok(());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_while_others_are_busy_tries_again_and_every_other_error_is_told_at_once() {
        let mut answers = vec![Ok(7), Err(StoreError::Busy), Err(StoreError::Busy)];
        assert!(matches!(patiently(|| answers.pop().unwrap_or(Ok(0))), Ok(7)));
        let mut answers = vec![Ok(7), Err(StoreError::Full)];
        assert!(matches!(patiently(|| answers.pop().unwrap_or(Ok(0))), Err(StoreError::Full)));
    }
}
