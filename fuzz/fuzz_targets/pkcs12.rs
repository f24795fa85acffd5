//! PKCS#12 of any bytes, opened with a password: what it costs is bounded, whatever counts stand in it.
#![no_main]

use keys::Passphrase;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = keys::pkcs12::describe_pkcs12(bytes);
    for password in ["", "secret12"] {
        let _ = keys::pkcs12::read_pkcs12(bytes, &Passphrase::new(password));
    }
});
