//! `keys_and_containers::private_key` of the crate `fuzz-targets`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::run("private_key", bytes));
