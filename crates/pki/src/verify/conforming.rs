//! What RFC 5280 section 4 demands of those who make certificates, as far as it shows in one. No check of section 6
//! depends on any of it, so it is asked only where strictness is (`Conformance::Strict`).

use super::reason::{ReasonCode, Verdict};
use crate::certificate::Certificate;
use crate::crl::CertificateRevocationList;
use crate::extension::KeyUsage;
use crate::name::{GeneralName, Subtree};
use crate::oid::{self, Oid};

/// The longest serial number in octets (section 4.1.2.2).
const LONGEST_SERIAL: usize = 20;

/// Every rule that the certificate breaks is a reason of its own. An anchor may have the serial
/// number zero, as roots of the nineties have, and no hint at an issuer: there is none above it (section 6.1.1 d).
pub(super) fn judge(certificate: &Certificate, depth: usize, is_anchor: bool, verdict: &mut Verdict) {
    for (is_broken, rule) in rules(certificate, is_anchor) {
        if is_broken {
            verdict.against(ReasonCode::NotConforming, depth, certificate, || {
                format!("'{}' breaks RFC 5280: {rule}", certificate.short_name())
            });
        }
    }
}

fn rules(certificate: &Certificate, is_anchor: bool) -> [(bool, &'static str); 19] {
    let critical = |oid: Oid| certificate.extensions().iter().find(|e| e.oid == oid).map(|e| e.critical);
    let serial = certificate.serial();
    let is_ca = certificate.is_ca();
    let usage = certificate.key_usage();
    let signs_certificates = usage.is_some_and(|usage| usage.has(KeyUsage::KEY_CERT_SIGN));
    let path_length = certificate.basic_constraints().and_then(|basic| basic.path_length);
    [
        (!is_anchor && serial.iter().all(|octet| *octet == 0), "the serial number is zero (section 4.1.2.2)"),
        (
            serial.first().is_some_and(|octet| octet & 0x80 != 0),
            "the serial number is negative (section 4.1.2.2)",
        ),
        (serial.len() > LONGEST_SERIAL, "the serial number has more than 20 octets (section 4.1.2.2)"),
        (is_ca && certificate.version() != 3, "a CA's certificate is not of version 3 (section 4.2.1.9)"),
        (is_ca && certificate.subject().is_empty(), "a CA has no subject name (section 4.1.2.6)"),
        (
            critical(oid::AUTHORITY_KEY_IDENTIFIER) == Some(true),
            "authorityKeyIdentifier is critical (section 4.2.1.1)",
        ),
        (
            critical(oid::SUBJECT_KEY_IDENTIFIER) == Some(true),
            "subjectKeyIdentifier is critical (section 4.2.1.2)",
        ),
        (
            !is_anchor && !certificate.is_self_issued() && certificate.authority_key_identifier().is_none(),
            "authorityKeyIdentifier is missing (section 4.2.1.1)",
        ),
        (
            is_ca && certificate.subject_key_identifier().is_none(),
            "a CA lacks subjectKeyIdentifier (section 4.2.1.2)",
        ),
        (
            is_ca && critical(oid::BASIC_CONSTRAINTS) == Some(false),
            "a CA's basicConstraints is not critical (section 4.2.1.9)",
        ),
        (
            path_length.is_some() && !is_ca,
            "a path length stands in a certificate that is no CA's (section 4.2.1.9)",
        ),
        (
            path_length.is_some() && usage.is_some() && !signs_certificates,
            "a path length stands beside a key usage without keyCertSign (section 4.2.1.9)",
        ),
        (
            signs_certificates && !is_ca,
            "keyCertSign stands in a certificate that is no CA's (section 4.2.1.3)",
        ),
        (usage.is_some_and(|usage| usage.0 == 0), "the key usage has no bit (section 4.2.1.3)"),
        (
            critical(oid::NAME_CONSTRAINTS) == Some(false),
            "nameConstraints is not critical (section 4.2.1.10)",
        ),
        (
            has_odd_constraint(certificate),
            "a DNS name in nameConstraints starts with a dot (section 4.2.1.10)",
        ),
        (
            critical(oid::POLICY_CONSTRAINTS) == Some(false),
            "policyConstraints is not critical (section 4.2.1.11)",
        ),
        (
            certificate.subject().is_empty() && critical(oid::SUBJECT_ALT_NAME) != Some(true),
            "beside an empty subject there is no critical subjectAltName (section 4.2.1.6)",
        ),
        (has_odd_host(certificate), "a DNS name has characters that host names have not (section 4.2.1.6)"),
    ]
}

fn has_odd_constraint(certificate: &Certificate) -> bool {
    certificate.name_constraints().is_some_and(|constraints| {
        let mut subtrees = constraints.permitted.iter().chain(&constraints.excluded);
        subtrees.any(|subtree| matches!(subtree, Subtree::Dns(base) if base.starts_with('.')))
    })
}

/// RFC 1034 section 3.5, as RFC 1123 section 2.1 changes it; a wildcard is read as a label.
fn has_odd_host(certificate: &Certificate) -> bool {
    certificate.subject_alt_names().iter().any(|name| match name {
        GeneralName::Dns(name) => !name.strip_prefix("*.").unwrap_or(name).split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        }),
        _ => false,
    })
}

/// The rule of section 5.2 that a list breaks, if it breaks one.
pub(super) fn broken_by_list(crl: &CertificateRevocationList) -> Option<&'static str> {
    if crl.number().is_none() {
        return Some("it has no cRLNumber (section 5.2.3)");
    }
    if crl.has_critical_number() {
        return Some("its cRLNumber is critical (section 5.2.3)");
    }
    if crl.next_update().is_none() {
        return Some("it has no nextUpdate (section 5.1.2.5)");
    }
    None
}
