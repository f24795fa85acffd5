//! The service as its clients meet it: over TLS, on loopback.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod console;
mod enrolment;
mod est;
mod expiry;
mod feed;
mod lists;
mod log;
mod ocsp;
mod pages;
mod replicas;
mod rollover;
mod world;
