//! The authority's memory, three times: in SQLite, one file, durable at every commit, shared by any number of processes
//! of one machine; in PostgreSQL, shared by any number of replicas; and in the process alone. One suite of tests holds
//! them to the same promises. SQL lives only here; decisions do not.

pub mod backup;
pub mod copy;
mod error;
mod list;
mod log;
mod memory;
mod memory_observed;
mod news;
mod observed;
mod open;
mod pool;
mod postgres;
mod read;
mod records;
mod sqlite;
mod statistics;
mod write;
mod writer;

pub use memory::MemoryStore;
pub use postgres::{PostgresStore, tls};
pub use sqlite::SqliteStore;
