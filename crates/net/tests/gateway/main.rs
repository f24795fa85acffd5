//! The gateway's data plane: resumption, routes, upstreams of each kind, TCP mode, and what attackers send.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod refused;
mod resumption;
mod routes;
mod smuggling;
mod try_it;
mod upstreams;
