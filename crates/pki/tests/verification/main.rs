//! Path validation: every reason there is, host names, name constraints, revocation, and graphs that are not chains.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod constraints;
mod graphs;
mod hosts;
mod reasons;
mod revocation;
