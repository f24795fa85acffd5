//! The doctor against everything that is wrong in testkit's zoo, and against what is right.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod catalogue;
mod facts;
mod healthy;
mod server;
mod waits;
mod zoo;
