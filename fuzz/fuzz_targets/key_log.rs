//! A key log of any bytes; what is understood of it is written and read back the same.
#![no_main]

use explain::capture::KeyLog;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let log = KeyLog::parse(bytes);
    let lines = log.to_lines();
    assert_eq!(*KeyLog::parse(lines.as_bytes()).to_lines(), *lines);
});
