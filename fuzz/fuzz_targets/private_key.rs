//! Private keys of any bytes, in every form: PEM, DER, encrypted, JSON. What is read is written, and read again as the same.
#![no_main]

use keys::{Passphrase, PrivateKey, read::read_private_key};
use libfuzzer_sys::fuzz_target;
use pki::key::SigningKey as _;

fuzz_target!(|bytes: &[u8]| {
    let passphrase = Passphrase::new("secret12");
    for passphrase in [None, Some(&passphrase)] {
        let Ok(key) = read_private_key(bytes, passphrase) else { continue };
        let again = PrivateKey::from_pkcs8_der(key.to_pkcs8_der()).expect("what was written here is read here");
        assert_eq!(again.public_key(), key.public_key());
    }
});
