//! Group commit: one thread writes, and what waits for it goes into one transaction. It holds the head of the trail from
//! its beginning to its end, so of all replicas one group is written at a time: no two can wait for each other.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use ca::StoreError;
use postgres::types::ToSql;
use postgres::{Client, Statement, Transaction};

use super::news;
use super::open::Server;

/// The most jobs in one transaction, so that the first caller does not wait for ever.
const LARGEST_GROUP: usize = 256;

/// Why a job did nothing.
pub(super) enum Fault {
    /// The database failed: the whole group is lost.
    Database(postgres::Error),
    /// The job itself cannot be done; the others of its group can.
    Store(StoreError),
}

impl From<postgres::Error> for Fault {
    fn from(error: postgres::Error) -> Self {
        Fault::Database(error)
    }
}

/// The end of the audit trail and of the certificates.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) sequence: i64,
    pub(super) hash: [u8; 32],
    pub(super) position: i64,
    /// How many certificates are in the log.
    pub(super) entries: i64,
}

/// The statements that a connection has prepared, by their text: parsing and planning each one again costs as much as
/// running it, and a round trip more.
type Statements = HashMap<&'static str, Statement>;

/// The writer's connection.
struct Session {
    client: Client,
    statements: Statements,
}

/// A transaction that jobs share.
pub(super) struct Group<'a> {
    pub(super) transaction: Transaction<'a>,
    statements: &'a mut Statements,
    pub(super) head: Head,
    /// The number of the last audit event before the group.
    before: i64,
}

impl Group<'_> {
    /// Runs a statement, and says how many rows it changed.
    pub(super) fn execute(
        &mut self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, postgres::Error> {
        let statement = self.statement(sql)?;
        self.transaction.execute(&statement, values)
    }

    /// A statement, prepared once for each connection.
    pub(super) fn statement(&mut self, sql: &'static str) -> Result<Statement, postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.transaction.prepare(sql)?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What became of a job: what tells its caller, and whether the group goes on.
struct Ran {
    answer: Answer,
    lost: Option<postgres::Error>,
}

type Job = Box<dyn FnOnce(Result<&mut Group<'_>, StoreError>) -> Ran + Send>;

/// The writing thread. Ends, with everything written, when it is dropped.
pub(super) struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(server: Server, client: Client) -> Result<Self, StoreError> {
        let (jobs, waiting) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write_groups(&server, client, &waiting))
            .map_err(|error| StoreError::Database(Box::new(error)))?;
        Ok(Writer { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `operation` in the next transaction, and returns when that is durable.
    pub(super) fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Group<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = channel();
        let job: Job = Box::new(move |group| {
            let outcome = match group {
                Ok(group) => operation(group),
                Err(error) => Err(Fault::Store(error)),
            };
            let (result, lost) = match outcome {
                Ok(value) => (Ok(value), None),
                Err(Fault::Store(error)) => (Err(error), None),
                // What the caller is told is decided with the fate of the group.
                Err(Fault::Database(error)) => (Err(StoreError::Busy), Some(error)),
            };
            let answer: Answer = Box::new(move |committed| {
                // A caller that went away does not need the answer.
                let _ = sender.send(committed.and(result));
            });
            Ran { answer, lost }
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

fn write_groups(server: &Server, client: Client, waiting: &Receiver<Job>) {
    let fresh = |client| Session { client, statements: Statements::new() };
    let mut session = Some(fresh(client));
    while let Ok(first) = waiting.recv() {
        let usable = session.take().filter(|session| !session.client.is_closed());
        let mut usable = match usable.map_or_else(|| server.connect().map(fresh), Ok) {
            Ok(usable) => usable,
            Err(error) => {
                let ran = first(Err(error));
                (ran.answer)(Ok(()));
                continue;
            }
        };
        write_group(server, &mut usable, first, waiting);
        session = Some(usable);
    }
}

fn write_group(server: &Server, session: &mut Session, first: Job, waiting: &Receiver<Job>) {
    let mut group = match begin(session) {
        Ok(group) => group,
        Err(error) => {
            let ran = first(Err(server.error(error)));
            return (ran.answer)(Ok(()));
        }
    };
    let mut answers = Vec::new();
    let mut lost = None;
    let mut next = Some(first);
    while let Some(job) = next {
        let Ran { answer, lost: fault } = job(Ok(&mut group));
        answers.push(answer);
        lost = fault;
        if lost.is_some() || answers.len() == LARGEST_GROUP {
            break;
        }
        next = waiting.try_recv().ok();
    }
    let ended = match lost {
        // The transaction is rolled back when it is dropped.
        Some(error) => Err(error),
        None => end(group),
    };
    match ended {
        Ok(()) => answers.into_iter().for_each(|answer| answer(Ok(()))),
        Err(error) => {
            // Each is told the same; the error itself cannot be cloned, and its meaning can.
            let first = server.error(error);
            let again = || match &first {
                StoreError::Full => StoreError::Full,
                StoreError::Unreachable(place) => StoreError::Unreachable(place.clone()),
                StoreError::ReadOnly(place) => StoreError::ReadOnly(place.clone()),
                StoreError::Busy => StoreError::Busy,
                other => StoreError::Database(
                    std::error::Error::source(other)
                        .map_or_else(
                            || other.to_string(),
                            |source| {
                                format!(
                                    "{other}: {source}{}",
                                    source.source().map(|s| format!(": {s}")).unwrap_or_default()
                                )
                            },
                        )
                        .into(),
                ),
            };
            for answer in answers {
                answer(Err(again()));
            }
        }
    }
}

fn begin(session: &mut Session) -> Result<Group<'_>, postgres::Error> {
    let Session { client, statements } = session;
    let mut transaction = client.transaction()?;
    const HEAD: &str = "SELECT sequence, hash, position, entries FROM head WHERE id = 1 FOR UPDATE";
    let statement = match statements.get(HEAD) {
        Some(statement) => statement.clone(),
        None => transaction.prepare(HEAD)?,
    };
    let row = transaction.query_one(&statement, &[])?;
    statements.insert(HEAD, statement);
    let hash: Vec<u8> = row.get(1);
    // 32 octets are all that is ever written there.
    let hash = hash.try_into().unwrap_or([0; 32]);
    let head = Head { sequence: row.get(0), hash, position: row.get(2), entries: row.get(3) };
    let before = head.sequence;
    Ok(Group { transaction, statements, head, before })
}

fn end(mut group: Group<'_>) -> Result<(), postgres::Error> {
    let head = group.head.clone();
    group.execute(
        "UPDATE head SET sequence = $1, hash = $2, position = $3, entries = $4 WHERE id = 1",
        &[&head.sequence, &head.hash.as_slice(), &head.position, &head.entries],
    )?;
    if head.sequence != group.before {
        // Told to all replicas when, and only when, the transaction is committed.
        group.transaction.batch_execute(news::TELL)?;
    }
    group.transaction.commit()
}
