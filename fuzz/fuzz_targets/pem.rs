//! PEM of any bytes, whole or to be repaired.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = pki::pem::read(bytes);
    let _ = pki::pem::repair(bytes);
});
