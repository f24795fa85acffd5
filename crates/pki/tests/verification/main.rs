//! Path validation: every reason there is, host names, name constraints, revocation, and graphs that are not chains.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod bettertls;
mod constraints;
mod examination;
mod graphs;
mod hosts;
mod ocsp;
mod policies;
mod reasons;
mod revocation;
