//! One certificate at one place of a path, judged by itself and by what stands below it: validity, key, usage, CA
//! rights, path length, names. Nothing here needs what stands above, so a path is judged while it is built.

use jiff::Timestamp;

use super::names::{self, list};
use super::reason::{ReasonCode, Verdict};
use super::work::Work;
use super::{Conformance, Purpose, Rules, conforming};
use crate::certificate::Certificate;
use crate::extension::{KeyUsage, PROCESSED};
use crate::key::KeyAlgorithm;
use crate::oid;

/// Judges the certificate at `depth`; 0 is the leaf.
pub(super) fn judge(
    path: &[&Certificate],
    depth: usize,
    rules: &Rules<'_>,
    work: &mut Work,
    verdict: &mut Verdict,
) {
    let certificate = path[depth];
    judge_validity(certificate, depth, rules.at, verdict);
    judge_key(certificate, depth, verdict);
    for extension in certificate.extensions() {
        if extension.critical && !PROCESSED.contains(&extension.oid) {
            verdict.against(ReasonCode::UnknownCriticalExtension, depth, certificate, || {
                let name = certificate.short_name();
                let (oid, dotted) = (extension.oid, extension.oid.dotted());
                format!("'{name}' has the critical extension {oid} ({dotted}), which is not understood here")
            });
        }
    }
    if let Some(wanted) = rules.purpose.extended_key_usage()
        && let Some(purposes) = certificate.extended_key_usages()
        && !purposes.contains(&wanted)
        && !purposes.contains(&oid::ANY_EXTENDED_KEY_USAGE)
    {
        verdict.against(ReasonCode::WrongPurpose, depth, certificate, || {
            format!("'{}' is for {}, and {wanted} is needed", certificate.short_name(), list(purposes))
        });
    }
    if rules.conformance == Conformance::Strict {
        conforming::judge(certificate, depth, rules.anchors.contains(certificate), verdict);
    }
    if depth == 0 {
        judge_leaf(certificate, rules, verdict);
    } else {
        judge_ca(path, depth, rules, verdict);
        names::judge(path, depth, work, verdict);
    }
}

fn judge_validity(certificate: &Certificate, depth: usize, at: Timestamp, verdict: &mut Verdict) {
    // Certificates and lists count in whole seconds, so the moment of judgement does too.
    let now = at.as_second();
    let (start, end) = (certificate.not_before(), certificate.not_after());
    if now > end.as_second() {
        verdict.against(ReasonCode::CertificateExpired, depth, certificate, || {
            format!("'{}' expired on {end} ({} before)", certificate.short_name(), distance(end, at))
        });
    }
    if now < start.as_second() {
        verdict.against(ReasonCode::CertificateNotYetValid, depth, certificate, || {
            let name = certificate.short_name();
            format!("'{name}' is valid only from {start} ({} later)", distance(at, start))
        });
    }
}

fn judge_key(certificate: &Certificate, depth: usize, verdict: &mut Verdict) {
    let weakness = match certificate.public_key() {
        Ok(key) => key.weakness(),
        Err(error) => Some(error.to_string()),
    };
    if let Some(weakness) = weakness {
        verdict.against(ReasonCode::WeakKey, depth, certificate, || {
            format!("'{}': {weakness}", certificate.short_name())
        });
        return;
    }
    // RFC 9881 section 5: ML-DSA keys sign, and do nothing else.
    let signs_only = certificate.public_key().is_ok_and(|key| {
        matches!(key.algorithm(), KeyAlgorithm::MlDsa44 | KeyAlgorithm::MlDsa65 | KeyAlgorithm::MlDsa87)
    });
    if signs_only && certificate.key_usage().is_some_and(|usage| usage.0 & KeyUsage::NOT_SIGNING != 0) {
        verdict.against(ReasonCode::KeyUsage, depth, certificate, || {
            let name = certificate.short_name();
            format!("the key usage of '{name}' lets an ML-DSA key encrypt or agree on keys, which it cannot")
        });
    }
}

fn judge_leaf(leaf: &Certificate, rules: &Rules<'_>, verdict: &mut Verdict) {
    let is_for_tls = matches!(rules.purpose, Purpose::Server | Purpose::Client);
    if is_for_tls && !rules.anchors.contains(leaf) {
        if leaf.key_usage().is_some_and(|usage| !usage.has(KeyUsage::DIGITAL_SIGNATURE)) {
            verdict.against(ReasonCode::KeyUsage, 0, leaf, || {
                let name = leaf.short_name();
                format!("the key usage of '{name}' lacks digitalSignature, which TLS needs")
            });
        }
        if leaf.is_ca() {
            verdict.against(ReasonCode::CaAsLeaf, 0, leaf, || {
                format!("'{}' is a CA's certificate, not that of a TLS peer", leaf.short_name())
            });
        }
    }
    if let Some(expected) = rules.server_name
        && !leaf.subject_alt_names().iter().any(|presented| expected.is_named_by(presented))
    {
        verdict.against(ReasonCode::NameMismatch, 0, leaf, || {
            let presented = leaf.subject_alt_names();
            if presented.is_empty() {
                format!("the certificate has no subjectAltName, so it does not name {expected}")
            } else {
                format!("the certificate names {}, not {expected}", list(presented))
            }
        });
    }
}

fn judge_ca(path: &[&Certificate], depth: usize, rules: &Rules<'_>, verdict: &mut Verdict) {
    let (ca, child) = (path[depth], path[depth - 1]);
    if !ca.is_ca() {
        verdict.against(ReasonCode::IssuerNotCa, depth, ca, || {
            let (name, child) = (ca.short_name(), child.short_name());
            format!("'{name}' issued '{child}' and is no CA (basicConstraints)")
        });
    }
    if ca.key_usage().is_some_and(|usage| !usage.has(KeyUsage::KEY_CERT_SIGN)) {
        verdict.against(ReasonCode::KeyUsage, depth, ca, || {
            let (name, child) = (ca.short_name(), child.short_name());
            format!("the key usage of '{name}' lacks keyCertSign, and it issued '{child}'")
        });
    }
    // RFC 5280 section 4.2.1.9: self-issued certificates and the leaf do not count.
    let below = path[1..depth].iter().filter(|c| !c.is_self_issued()).count();
    if let Some(most) = ca.basic_constraints().and_then(|basic| basic.path_length)
        && below > usize::try_from(most).unwrap_or(usize::MAX)
    {
        verdict.against(ReasonCode::PathLengthExceeded, depth, ca, || {
            let name = ca.short_name();
            format!("'{name}' allows {most} CA(s) below it, and {below} stand(s) in the path")
        });
    }
    if let Some(most) = rules.max_intermediates
        && below > most
    {
        verdict.against(ReasonCode::PathLengthExceeded, depth, ca, || {
            format!(
                "{most} CA(s) are allowed between a certificate and its anchor, and {below} stand(s) there"
            )
        });
    }
}

/// The distance between two moments in the largest unit that fits.
pub(super) fn distance(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    let (count, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7199 => (seconds / 60, "minute"),
        7200..=172_799 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
