//! An OCSP response of any bytes, with its signature asked for by each certificate that it brings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::ocsp::Response;

fuzz_target!(|bytes: &[u8]| {
    let Ok(response) = Response::from_der(bytes) else { return };
    for certificate in response.certificates() {
        let _ = response.signer_for(certificate, response.produced_at());
    }
});
