//! A certificate of any bytes: what is read is the same bytes, and everything can be asked of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::Certificate;
use pki::crl::DistributionPoint;

fuzz_target!(|bytes: &[u8]| {
    let Ok(certificate) = Certificate::from_der(bytes) else { return };
    assert_eq!(certificate.der(), bytes);
    let _ = (certificate.short_name(), certificate.subject().to_string(), certificate.serial_hex());
    let _ = (certificate.subject().matches(certificate.issuer()), DistributionPoint::of(&certificate));
    for name in certificate.subject_alt_names() {
        if let Some(constraints) = certificate.name_constraints() {
            let _ = constraints.check(name);
        }
    }
});
