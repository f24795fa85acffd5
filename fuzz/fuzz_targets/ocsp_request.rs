//! An OCSP request of any bytes; what is understood of it is written and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::ocsp::Request;

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = Request::from_der(bytes) else { return };
    assert_eq!(Request::from_der(&request.to_der()).as_ref(), Ok(&request));
});
