//! The gateway's data plane: resumption, routes, upstreams of each kind, TCP mode, and what attackers send.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod elsewhere;
mod fronts;
mod http2;
mod online;
mod refused;
mod resumption;
mod robustness;
mod routes;
mod smuggling;
mod streams;
mod try_it;
mod upstreams;
