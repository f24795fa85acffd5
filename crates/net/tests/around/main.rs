//! What stands around the data plane: the tunnel, PROXY headers, limits for identities, revocation lists from elsewhere,
//! and what is seen from outside.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod peer;
mod revocation;
mod stapled;
mod tap;
mod tunnel;
