//! Group commit: one thread writes. What waits for it goes into one transaction, so that a hundred callers pay for
//! one flush to the disk. Each job is its own savepoint: one that fails takes nothing else with it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use ca::StoreError;
use rusqlite::Connection;

use crate::error::store_error;
use crate::write;

/// The most jobs in one transaction, so that the first caller does not wait for ever.
const LARGEST_GROUP: usize = 512;

/// Runs a job and gives back what tells its caller, once it is known whether the transaction was committed. Where no
/// transaction could begin there is an error instead of a connection, and the job passes it on.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The writing thread. Ends, with everything written, when it is dropped.
pub(crate) struct Writer {
    path: PathBuf,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(connection: Connection, path: &Path) -> Result<Self, StoreError> {
        let (jobs, waiting) = channel();
        let own_path = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write_groups(&connection, &waiting, &own_path))
            .map_err(|error| StoreError::Database(Box::new(error)))?;
        Ok(Writer { path: path.to_owned(), jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `operation` in the next transaction, and returns when that is on the disk.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = channel();
        let path = self.path.clone();
        let job: Job = Box::new(move |connection| {
            let result = connection.and_then(|connection| in_savepoint(connection, &path, operation));
            Box::new(move |committed| {
                // A caller that went away does not need the answer.
                let _ = sender.send(committed.and(result));
            })
        });
        let gone = || StoreError::Database("the writing thread has ended".into());
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(gone)?;
        receiver.recv().map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it was told to its callers by the closed channel.
            let _ = thread.join();
        }
    }
}

fn write_groups(connection: &Connection, waiting: &Receiver<Job>, path: &Path) {
    while let Ok(first) = waiting.recv() {
        if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
            first(Err(store_error(path, error)))(Ok(()));
            continue;
        }
        let mut answers = vec![first(Ok(connection))];
        // A job that ran after SQLite rolled back by itself would stand alone, outside any transaction.
        while answers.len() < LARGEST_GROUP && !connection.is_autocommit() {
            let Ok(job) = waiting.try_recv() else { break };
            answers.push(job(Ok(connection)));
        }
        // A full disk makes SQLite roll back by itself.
        let committed = if connection.is_autocommit() {
            let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
            Err(rusqlite::Error::SqliteFailure(full, None))
        } else {
            write::index_names(connection).and_then(|()| connection.execute_batch("COMMIT"))
        };
        match committed {
            Ok(()) => answers.into_iter().for_each(|answer| answer(Ok(()))),
            Err(error) => {
                // SQLite may have rolled back by itself; a second time is an error that says only this.
                let _ = connection.execute_batch("ROLLBACK");
                let code = error.sqlite_error().copied();
                for answer in answers {
                    let again = code.map_or(rusqlite::Error::InvalidQuery, |code| {
                        rusqlite::Error::SqliteFailure(code, None)
                    });
                    answer(Err(store_error(path, again)));
                }
            }
        }
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    path: &Path,
    operation: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let wrap = |error| store_error(path, error);
    let run = |sql| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    run("SAVEPOINT job").map_err(wrap)?;
    let result = operation(connection);
    // Where SQLite rolled everything back there is no savepoint either, and the job's own error says why.
    if result.is_err() && !connection.is_autocommit() {
        run("ROLLBACK TO job").map_err(wrap)?;
    }
    if !connection.is_autocommit() {
        run("RELEASE job").map_err(wrap)?;
    }
    result
}
