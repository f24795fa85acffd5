//! `conversation::http2` of the crate `fuzz-targets`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("http2_conversation", bytes));
