//! Whether a certificate is revoked: by the lists at hand (RFC 5280 section 6.3.3) and the OCSP responses at hand
//! (RFC 6960 section 3.2).

use jiff::{SignedDuration, Timestamp};

use super::reason::{ReasonCode, Verdict};
use super::standing::distance;
use super::work::Work;
use super::{Conformance, RevocationMode, Rules, conforming};
use crate::certificate::Certificate;
use crate::crl::{CertificateRevocationList, Reasons, Revocation};
use crate::extension::KeyUsage;
use crate::ocsp::CertStatus;
use crate::oid;

/// How far ahead of ours the clock of a list's or answer's maker may be.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How many certificates may vouch for each other for the sake of one list.
const DEEPEST_SIGNER: usize = 3;

/// What is at hand besides the path.
pub(super) struct Evidence<'a> {
    pub(super) rules: &'a Rules<'a>,
    pub(super) intermediates: &'a [Certificate],
}

/// What the lists say.
#[derive(Default)]
struct Findings<'a> {
    revoked: Option<Revocation>,
    /// For which reasons a current list would name it.
    covered: Option<Reasons>,
    stale: Option<Timestamp>,
    early: Option<Timestamp>,
    /// A list of its issuer that says nothing of it, and why.
    useless: Option<&'a str>,
}

/// Judges the certificate at `depth`, whose issuer stands above it.
pub(super) fn judge(
    path: &[&Certificate],
    depth: usize,
    evidence: &Evidence<'_>,
    work: &mut Work,
    verdict: &mut Verdict,
) {
    let rules = evidence.rules;
    if rules.crls.is_empty() && rules.ocsp.is_empty() && rules.revocation != RevocationMode::Required {
        return;
    }
    let (certificate, issuer) = (path[depth], path[depth + 1]);
    let against = |verdict: &mut Verdict, revocation: Revocation| {
        verdict.against(ReasonCode::CertificateRevoked, depth, certificate, || {
            let Revocation { revoked_at, reason } = revocation;
            let (name, issuer) = (certificate.short_name(), issuer.short_name());
            format!("'{name}' was revoked on {revoked_at} ({reason}) by '{issuer}'")
        });
    };
    let findings = ask_lists(certificate, &path[depth + 1..], evidence, work, 0);
    if let Some(revocation) = findings.revoked {
        return against(verdict, revocation);
    }
    let answer = ask_responders(certificate, &path[depth + 1..], evidence, work);
    match answer {
        Answer::Revoked(revocation) => return against(verdict, revocation),
        Answer::Good => return,
        Answer::Useless(why) => {
            verdict.against(ReasonCode::OcspInvalid, depth, certificate, || {
                format!("the OCSP response for '{}' is not believed: {why}", certificate.short_name())
            });
        }
        Answer::None => {}
    }
    if findings.covered == Some(Reasons::ALL) {
        return;
    }
    conclude(&findings, certificate, issuer, depth, rules, verdict);
}

/// What it means that no list says "not revoked" for every reason.
fn conclude(
    findings: &Findings<'_>,
    certificate: &Certificate,
    issuer: &Certificate,
    depth: usize,
    rules: &Rules<'_>,
    verdict: &mut Verdict,
) {
    if rules.revocation == RevocationMode::BestEffort {
        return;
    }
    let is_required = rules.revocation == RevocationMode::Required;
    if let Some(next) = findings.stale {
        verdict.against(ReasonCode::CrlExpired, depth, certificate, || {
            format!(
                "the revocation list of '{}' was due for renewal on {next} ({} before), so nothing says whether '{}' \
                 is still good; fetch or publish a newer list",
                issuer.short_name(),
                distance(next, rules.at),
                certificate.short_name()
            )
        });
    } else if let Some(start) = findings.early {
        verdict.against(ReasonCode::CrlExpired, depth, certificate, || {
            format!(
                "the revocation list of '{}' is from {start} ({} later than now); compare the clocks",
                issuer.short_name(),
                distance(rules.at, start)
            )
        });
    } else if is_required && let Some(why) = findings.useless {
        verdict.against(ReasonCode::CrlUnusable, depth, certificate, || {
            format!(
                "no list of '{}' at hand speaks of '{}': {why}",
                issuer.short_name(),
                certificate.short_name()
            )
        });
    } else if is_required {
        verdict.against(ReasonCode::CrlMissing, depth, certificate, || {
            format!("no revocation list of '{}' is at hand, and one is required", issuer.short_name())
        });
    }
}

/// Asks every list of the certificate's issuer. `above` is the path from the issuer on.
fn ask_lists<'a>(
    certificate: &Certificate,
    above: &[&Certificate],
    evidence: &Evidence<'a>,
    work: &mut Work,
    nesting: usize,
) -> Findings<'a> {
    let rules = evidence.rules;
    let mut findings = Findings::default();
    for crl in rules.crls.iter().filter(|crl| crl.issuer().matches(certificate.issuer())) {
        if !is_authentic(crl, above, evidence, work, nesting) {
            continue;
        }
        let covered = crl.covers(certificate);
        if covered == Reasons::NONE {
            findings.useless = Some("it is a part for other certificates (issuingDistributionPoint)");
            continue;
        }
        // An entry stays true when its list has become old.
        if let Some(revocation) = crl.revocation(certificate.serial()) {
            findings.revoked = Some(revocation);
            return findings;
        }
        if rules.conformance == Conformance::Strict
            && let Some(broken) = conforming::broken_by_list(crl)
        {
            findings.useless = Some(broken);
            continue;
        }
        if crl.this_update() > rules.at.saturating_add(CLOCK_SKEW).unwrap_or(Timestamp::MAX) {
            findings.early = Some(crl.this_update());
            continue;
        }
        match crl.next_update() {
            Some(next) if rules.at.as_second() > next.as_second() => {
                findings.stale = Some(next);
                continue;
            }
            // Section 5.1.2.5 demands a nextUpdate: a list without one never ends, so it proves nothing for good.
            None if rules.revocation == RevocationMode::Required => {
                findings.useless = Some("it has no nextUpdate, so it could be of any age");
                continue;
            }
            _ => {}
        }
        findings.covered = Some(findings.covered.unwrap_or(Reasons::NONE).or(covered));
    }
    if findings.covered.is_some_and(|covered| covered != Reasons::ALL) {
        findings.useless = Some("it names certificates that were revoked for some reasons only");
    }
    findings
}

/// Whether the list is signed with the issuer's key, or with another one of the issuer's name that the same anchor
/// vouches for (RFC 5280 section 6.3.3 f: a CA may sign lists with a key of their own).
fn is_authentic(
    crl: &CertificateRevocationList,
    above: &[&Certificate],
    evidence: &Evidence<'_>,
    work: &mut Work,
    nesting: usize,
) -> bool {
    let issuer = above[0];
    let signed_by = |certificate: &Certificate| {
        certificate.key_usage().is_none_or(|usage| usage.has(KeyUsage::CRL_SIGN))
            && certificate.public_key().is_ok_and(|key| crl.verify_signature(key).is_ok())
    };
    if signed_by(issuer) {
        return true;
    }
    if nesting >= DEEPEST_SIGNER {
        return false;
    }
    let now = evidence.rules.at.as_second();
    evidence.intermediates.iter().filter(|other| other.subject().matches(crl.issuer())).any(|other| {
        // A certificate that says nothing of usage signs for its own name in paths, and lists only by its right.
        other.key_usage().is_some_and(|usage| usage.has(KeyUsage::CRL_SIGN))
            && (other.not_before().as_second()..=other.not_after().as_second()).contains(&now)
            && work.signature(other)
            && signed_by(other)
            && above.iter().enumerate().any(|(position, ca)| {
                ca.subject().matches(other.issuer())
                    && work.signature(ca)
                    && ca.public_key().is_ok_and(|key| other.verify_signature(key).is_ok())
                    && ask_lists(other, &above[position..], evidence, work, nesting + 1).revoked.is_none()
            })
    })
}

enum Answer {
    Good,
    Revoked(Revocation),
    /// There is one, and it cannot be believed or says nothing.
    Useless(String),
    None,
}

fn ask_responders(
    certificate: &Certificate,
    above: &[&Certificate],
    evidence: &Evidence<'_>,
    work: &mut Work,
) -> Answer {
    let (issuer, rules) = (above[0], evidence.rules);
    let mut best = Answer::None;
    for response in rules.ocsp {
        for single in response.responses().iter().filter(|s| s.certificate.is_of(certificate, issuer)) {
            if !work.signature(issuer) {
                return best;
            }
            let responder = match response.signer_for(issuer, rules.at) {
                Ok(responder) => responder,
                Err(error) => {
                    best = Answer::Useless(error.to_string());
                    continue;
                }
            };
            // RFC 6960 section 4.2.2.2.1: with ocsp-nocheck the CA asks not to look.
            if let Some(responder) = responder
                && !responder.extensions().iter().any(|e| e.oid == oid::OCSP_NO_CHECK)
                && ask_lists(responder, above, evidence, work, 0).revoked.is_some()
            {
                best = Answer::Useless("its responder's certificate is revoked".to_owned());
                continue;
            }
            let latest = rules.at.saturating_add(CLOCK_SKEW).unwrap_or(Timestamp::MAX);
            match (single.status, single.next_update) {
                // What was revoked once stays so; suspension is not told from it.
                (CertStatus::Revoked(revocation), _) => return Answer::Revoked(revocation),
                (CertStatus::Unknown, _) => {
                    best = Answer::Useless("its responder does not know the certificate".to_owned());
                }
                (CertStatus::Good, _) if single.this_update > latest => {
                    best = Answer::Useless(format!("it is from {}, which is to come", single.this_update));
                }
                (CertStatus::Good, Some(next)) if rules.at.as_second() > next.as_second() => {
                    let late = distance(next, rules.at);
                    best = Answer::Useless(format!("it was good until {next} ({late} before)"));
                }
                (CertStatus::Good, None)
                    if single.this_update < rules.at - SignedDuration::from_hours(24) =>
                {
                    // Section 4.2.2.1: without nextUpdate newer knowledge is there all the time.
                    best = Answer::Useless(format!("it is from {} and has no end", single.this_update));
                }
                (CertStatus::Good, _) => return Answer::Good,
            }
        }
    }
    best
}
