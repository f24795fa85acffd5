//! A certificate signing request of any bytes. What is read has a signature that verifies, so almost nothing is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::csr::CertificateRequest;

fuzz_target!(|bytes: &[u8]| {
    let _ = CertificateRequest::from_der(bytes);
});
