//! ACME through the router: whole orders against real web servers, resolvers and TLS servers on loopback, and everything
//! that is tried against it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod flows;
mod security;
mod support;
mod validation;
