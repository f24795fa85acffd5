//! The authority's memory in SQLite: one file, durable at every commit, shared by any number of processes of one
//! machine. SQL lives only here; decisions do not.

mod error;
mod memory;
mod open;
mod read;
mod records;
mod sqlite;
mod statistics;
mod write;
mod writer;

pub use memory::MemoryStore;
pub use sqlite::SqliteStore;
