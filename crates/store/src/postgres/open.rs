//! Connecting, bringing the tables up to the version known here, and what errors mean.

use std::time::Duration;

use ca::StoreError;
use postgres::config::SslMode;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

use super::log;
use super::tls::{Connector, Untrusted};

/// Every change of the schema, in order.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_initial.sql"),
    include_str!("../../migrations/postgres/0002_log.sql"),
    include_str!("../../migrations/postgres/0003_lines.sql"),
    include_str!("../../migrations/postgres/0004_ca_certificates.sql"),
    include_str!("../../migrations/postgres/0005_observed.sql"),
    include_str!("../../migrations/postgres/0006_fingerprints.sql"),
    include_str!("../../migrations/postgres/0007_counted_and_searched.sql"),
];

/// How long a connection may take to come about, where the URL does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Replicas that start at once may meet in making the first table, which PostgreSQL tells by an error.
const TRIES: u32 = 20;

/// Where the database is, and how it is reached.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    tls: Option<Connector>,
}

impl Server {
    /// The one at `url`, with TLS where there is a connector for it.
    pub(super) fn new(url: &str, tls: Option<Connector>) -> Result<Self, StoreError> {
        let mut config: Config = url.parse().map_err(|error| StoreError::Database(Box::new(error)))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.application_name("countersign");
        // Never "prefer": whoever is in the middle says that there is no TLS.
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(Server { config, tls })
    }

    /// Opens a connection.
    pub(super) fn connect(&self) -> Result<Client, StoreError> {
        let connected = match &self.tls {
            Some(connector) => self.config.connect(connector.clone()),
            None => self.config.connect(NoTls),
        };
        let mut client = connected.map_err(|error| self.error(error))?;
        // No question takes long enough to be worth a compilation, and what a search may cost at most is no measure of it.
        client.batch_execute("SET jit = off").map_err(|error| self.error(error))?;
        Ok(client)
    }

    /// The store's word for a database error.
    pub(super) fn error(&self, error: postgres::Error) -> StoreError {
        let source = std::error::Error::source(&error);
        if let Some(Untrusted(why)) = source.and_then(|source| source.downcast_ref()) {
            return StoreError::Untrusted { place: place(&self.config), why: why.clone() };
        }
        store_error(&self.config, error)
    }
}

/// Brings the schema up to date; refuses what is newer.
pub(super) fn migrate(client: &mut Client, server: &Server) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        match step(client) {
            Ok(Step::Done) => return Ok(()),
            Ok(Step::Again) => {}
            Ok(Step::Newer(found)) => {
                let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
                return Err(StoreError::Newer { path: place(&server.config), found, known });
            }
            Err(_) if tries < TRIES && !client.is_closed() => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(server.error(error)),
        }
    }
}

enum Step {
    Done,
    Again,
    Newer(i64),
}

fn step(client: &mut Client) -> Result<Step, postgres::Error> {
    client.batch_execute(
        "CREATE TABLE IF NOT EXISTS countersign_schema (id integer PRIMARY KEY, version bigint NOT NULL);
         INSERT INTO countersign_schema (id, version) VALUES (1, 0) ON CONFLICT (id) DO NOTHING;",
    )?;
    let mut transaction = client.transaction()?;
    let row = transaction.query_one("SELECT version FROM countersign_schema WHERE id = 1 FOR UPDATE", &[])?;
    let version: i64 = row.get(0);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version >= known {
        return Ok(if version > known { Step::Newer(version) } else { Step::Done });
    }
    transaction.batch_execute(MIGRATIONS[usize::try_from(version).unwrap_or(0)])?;
    if version + 1 == known {
        // What was issued before there was a log is in it too.
        let size = log::size(&mut transaction)?;
        log::seal(&mut transaction, size)?;
    }
    transaction.execute("UPDATE countersign_schema SET version = $1 WHERE id = 1", &[&(version + 1)])?;
    transaction.commit()?;
    Ok(Step::Again)
}

/// Where the database is, without what is secret.
fn place(config: &Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            postgres::config::Host::Tcp(name) => name.clone(),
            postgres::config::Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    format!("{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

fn store_error(config: &Config, error: postgres::Error) -> StoreError {
    let unreachable = || StoreError::Unreachable(place(config));
    match error.code() {
        None if error.is_closed() => unreachable(),
        // Without a code it is no word of the server's: the connection broke, or never came about.
        None => unreachable(),
        Some(code) => match *code {
            SqlState::DISK_FULL => StoreError::Full,
            SqlState::READ_ONLY_SQL_TRANSACTION | SqlState::INSUFFICIENT_PRIVILEGE => {
                StoreError::ReadOnly(place(config))
            }
            SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED
            | SqlState::LOCK_NOT_AVAILABLE
            | SqlState::QUERY_CANCELED => StoreError::Busy,
            SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::TOO_MANY_CONNECTIONS => unreachable(),
            SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => StoreError::Corrupt(place(config)),
            _ => StoreError::Database(Box::new(error)),
        },
    }
}
