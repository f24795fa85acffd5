//! A revocation list of any bytes, asked about a certificate.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::crl::CertificateRevocationList;

fuzz_target!(|bytes: &[u8]| {
    let Ok(list) = CertificateRevocationList::from_der(bytes) else { return };
    assert_eq!(list.der(), bytes);
    let _ = (list.number(), list.next_update(), list.distribution_point(), list.revocation(&[1]));
});
