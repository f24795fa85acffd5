//! What people should know about a certificate beyond its fields: what is over, what is weak, and what some
//! program out there refuses.

use jiff::{SignedDuration, Timestamp};
use pki::oid;

use crate::certificate::CertificateDescription;
use crate::extension;
use crate::humane;
use crate::model::Remark;

/// How many days Apple's systems allow a server certificate from a private CA (support.apple.com/en-us/103769:
/// "validity period of 825 days or fewer").
const APPLE_DAYS: i64 = 825;

/// The remarks on one certificate, the gravest kind first in each group.
pub(crate) fn remarks(certificate: &CertificateDescription, now: Timestamp) -> Vec<Remark> {
    let mut remarks = Vec::new();
    validity(certificate, now, &mut remarks);
    signature(certificate, &mut remarks);
    if let Some(key) = &certificate.public_key {
        remarks.extend(key.remarks());
    }
    if certificate.is_ca() {
        authority(certificate, &mut remarks);
    } else {
        leaf(certificate, &mut remarks);
    }
    identifiers(certificate, &mut remarks);
    serial(certificate, &mut remarks);
    remarks
}

fn validity(certificate: &CertificateDescription, now: Timestamp, remarks: &mut Vec<Remark>) {
    let before = certificate.not_before.as_ref().and_then(|time| time.moment);
    let after = certificate.not_after.as_ref().and_then(|time| time.moment);
    if let (Some(before), Some(after)) = (before, after)
        && before > after
    {
        remarks.push(Remark::error("never_valid", "notBefore is later than notAfter: it is never valid"));
        return;
    }
    if let Some(after) = after {
        let left = after.duration_since(now);
        if left.is_negative() {
            let ago = humane::span(left);
            remarks.push(Remark::error("certificate_expired", format!("expired {ago} ago")));
        } else if let Some(before) = before {
            let whole = after.duration_since(before);
            // A third of a short life, a month of a long one: the usual moment to renew.
            let margin = SignedDuration::from_secs((whole.as_secs() / 3).min(30 * 24 * 3600));
            if left < margin && now >= before {
                remarks.push(Remark::warning(
                    "expires_soon",
                    format!("expires in {}: renew it", humane::span(left)),
                ));
            }
        }
    }
    if let Some(before) = before
        && now < before
    {
        let distance = humane::span(before.duration_since(now));
        remarks.push(Remark::error(
            "certificate_not_yet_valid",
            format!("not valid yet: its validity starts in {distance}, or a clock is wrong"),
        ));
    }
    if let (Some(before), Some(after)) = (before, after)
        && !certificate.is_ca()
        && certificate.allows(&oid::SERVER_AUTH)
        && after.duration_since(before) > SignedDuration::from_hours(24 * APPLE_DAYS)
    {
        remarks.push(Remark::warning(
            "validity_too_long",
            format!(
                "valid for more than {APPLE_DAYS} days, which Apple systems refuse in a server certificate"
            ),
        ));
    }
}

fn signature(certificate: &CertificateDescription, remarks: &mut Vec<Remark>) {
    let Some(algorithm) = &certificate.signature_algorithm else { return };
    match algorithm.weak_digest() {
        // Nobody verifies a root's own signature.
        Some(digest) if certificate.is_ca() && certificate.is_self_issued() => remarks.push(Remark::note(
            "weak_signature",
            format!("signed with {digest}; harmless in a root, whose own signature nobody relies on"),
        )),
        Some(digest) => remarks.push(Remark::error(
            "weak_signature",
            format!("signed with {}, and {digest} is broken: TLS libraries refuse it", algorithm.text),
        )),
        None => {}
    }
    if certificate.self_signature == Some(false) {
        remarks.push(Remark::error(
            "signature_invalid",
            "subject and issuer are the same name, and the signature is not by its own key: it is from an older or \
             newer key of that name, or was changed",
        ));
    }
}

fn authority(certificate: &CertificateDescription, remarks: &mut Vec<Remark>) {
    let basic = extension::find(&certificate.extensions, &oid::BASIC_CONSTRAINTS);
    if basic.is_some_and(|extension| !extension.critical) {
        remarks.push(Remark::warning(
            "basic_constraints_not_critical",
            "basicConstraints of a CA is not critical, which RFC 5280 section 4.2.1.9 requires and Python 3.13 checks",
        ));
    }
    match certificate.key_usages() {
        None => remarks.push(Remark::warning(
            "key_usage_missing",
            "a CA without keyUsage, which Python 3.13 refuses: it needs keyCertSign",
        )),
        Some(usages) if !usages.contains(&"keyCertSign") => remarks.push(Remark::error(
            "key_usage_missing",
            "a CA whose keyUsage lacks keyCertSign: nothing that it signs is believed",
        )),
        Some(_) => {}
    }
    if certificate.subject.as_ref().is_some_and(|subject| subject.is_empty()) {
        remarks.push(Remark::error("empty_subject", "a CA must have a subject (RFC 5280 section 4.1.2.6)"));
    }
    if certificate.subject_key_identifier().is_none() {
        remarks.push(Remark::warning(
            "subject_key_identifier_missing",
            "a CA without subjectKeyIdentifier, which RFC 5280 section 4.2.1.2 requires",
        ));
    }
    if certificate.extended_key_usages().is_none() && !certificate.subject_alt_names().is_empty() {
        remarks.push(Remark::warning(
            "ca_as_leaf",
            "a CA that bears names like a server's: rustls and Firefox refuse a CA as a server's own certificate",
        ));
    }
}

fn leaf(certificate: &CertificateDescription, remarks: &mut Vec<Remark>) {
    if certificate.version < 3 {
        remarks.push(Remark::warning(
            "version_1",
            format!(
                "an X.509 version {} certificate without extensions, which rustls refuses",
                certificate.version
            ),
        ));
    }
    if certificate.is_self_issued() && certificate.self_signature != Some(false) {
        remarks.push(Remark::warning(
            "self_signed_leaf",
            "self-signed: only those who were given this very certificate can trust it",
        ));
    }
    let names = certificate.subject_alt_names();
    let is_server = certificate.allows(&oid::SERVER_AUTH);
    let common_name = certificate.subject.as_ref().and_then(|subject| subject.common_name());
    if is_server && !names.iter().any(|name| matches!(name.kind, "DNS" | "IP" | "URI")) {
        remarks.push(Remark::error(
            "subject_alt_name_missing",
            "a server certificate without a DNS name or address in subjectAltName: browsers, Go and rustls do not \
             look at the commonName",
        ));
    } else if is_server
        && let Some(common_name) = common_name
        && !names.iter().any(|name| name.value.eq_ignore_ascii_case(common_name))
    {
        remarks.push(Remark::note(
            "common_name_not_in_subject_alt_name",
            format!(
                "the commonName '{}' is not among the subjectAltNames, so it is no name clients can connect by",
                crate::escape::text(common_name)
            ),
        ));
    }
    for name in names {
        if name.kind == "DNS" && name.value.parse::<std::net::IpAddr>().is_ok() {
            remarks.push(Remark::error(
                "address_as_dns_name",
                format!(
                    "the address {} stands as a DNS name, where no client looks for addresses",
                    name.value
                ),
            ));
        }
        if name.kind == "DNS"
            && name.value.match_indices('*').any(|(at, _)| at > 0 || !name.value.starts_with("*."))
        {
            remarks.push(Remark::warning(
                "wildcard_misplaced",
                format!("the wildcard in {} is not the whole first label, and matches nothing", name.value),
            ));
        }
    }
    if let Some(usages) = certificate.key_usages()
        && !usages.contains(&"digitalSignature")
        && certificate.extended_key_usages().is_some()
    {
        remarks.push(Remark::error(
            "key_usage_missing",
            "keyUsage lacks digitalSignature, which TLS 1.3 needs for any certificate",
        ));
    }
}

fn identifiers(certificate: &CertificateDescription, remarks: &mut Vec<Remark>) {
    if certificate.authority_key_identifier().is_none()
        && !certificate.is_self_issued()
        && certificate.version >= 3
    {
        remarks.push(Remark::warning(
            "authority_key_identifier_missing",
            "no authorityKeyIdentifier, without which Python 3.13 refuses it",
        ));
    }
    if let Ok(strict) = &certificate.strict
        && let Some(unknown) = certificate.extensions.iter().find(|extension| {
            extension.critical && matches!(extension.value, extension::ExtensionValue::Other(_))
        })
        && strict.extensions().iter().any(|extension| extension.critical)
    {
        remarks.push(Remark::error(
            "unknown_critical_extension",
            format!(
                "the extension {} is critical and not known here: whoever does not know it must refuse the certificate",
                unknown.identifier.text()
            ),
        ));
    }
}

fn serial(certificate: &CertificateDescription, remarks: &mut Vec<Remark>) {
    match certificate.serial.as_slice() {
        [] => {}
        [first, ..] if first & 0x80 != 0 => remarks.push(Remark::warning(
            "serial_number_negative",
            "the serial number is negative, which RFC 5280 section 4.1.2.2 forbids and Go refuses",
        )),
        octets if octets.iter().all(|octet| *octet == 0) => {
            remarks.push(Remark::warning("serial_number_zero", "the serial number is zero (RFC 5280 section 4.1.2.2)"));
        }
        octets if octets.len() > 20 => remarks.push(Remark::warning(
            "serial_number_too_long",
            "the serial number has more than 20 octets (RFC 5280 section 4.1.2.2)",
        )),
        // A root's serial number identifies nothing that is revoked.
        octets if octets.len() < 8 && !certificate.is_self_issued() => remarks.push(Remark::note(
            "serial_number_short",
            "the serial number has less than 64 bits, so it is counted and not random; two certificates of one \
             issuer with the same number break Firefox",
        )),
        _ => {}
    }
}
