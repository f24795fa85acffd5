//! What every memory promises, asked of each of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup;
mod certificates;
mod copying;
mod log;
mod observed;
mod partners;
mod postgres;
mod records;
mod replicas;
mod tls;
mod unfinished;
mod worlds;
