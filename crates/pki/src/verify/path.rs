//! Building paths and judging them, certificate by certificate.

use jiff::Timestamp;

use super::reason::{Reason, ReasonCode};
use super::{Purpose, RevocationMode, Rules};
use crate::certificate::Certificate;
use crate::extension::{ConstraintViolation, KeyUsage, NameConstraints, PROCESSED};
use crate::name::{GeneralName, Subtree};
use crate::oid;

/// The most certificates in a path. Real ones have 2 to 5.
const LONGEST_PATH: usize = 10;

/// The most signatures verified in one search. Cross-signed graphs can make the number of paths exponential
/// (CVE-2018-16875 in Go, and its like in most validators).
const SIGNATURE_BUDGET: usize = 100;

/// The most comparisons of a name with a subtree of name constraints in one search. Thousands of names under
/// thousands of subtrees make millions (CVE-2025-58187 in Go); 100 names under 100 subtrees in each of three CAs
/// are 30,000.
const COMPARISON_BUDGET: usize = 100_000;

/// How many octets of distinguished names are compared at the cost of one comparison of host names.
const OCTETS_PER_COMPARISON: usize = 16;

/// The most names or subtrees that one message lists.
const LONGEST_LIST: usize = 8;

/// One path that was tried, and what speaks against it.
pub(super) struct Attempt {
    pub(super) path: Vec<Certificate>,
    pub(super) reasons: Vec<Reason>,
}

impl Attempt {
    /// Whether this failure tells more than that one: a path that reached an anchor beats one that did not, then
    /// the fewer reasons the better, then the longer path.
    pub(super) fn is_closer_than(&self, other: &Attempt) -> bool {
        let reached = |attempt: &Attempt| {
            attempt
                .reasons
                .iter()
                .all(|r| !matches!(r.code, ReasonCode::UnknownIssuer | ReasonCode::SignatureInvalid))
        };
        let key =
            |attempt: &Attempt| (!reached(attempt), attempt.reasons.len(), usize::MAX - attempt.path.len());
        key(self) < key(other)
    }
}

/// Every path from the leaf, complete ones first where they are found; always at least one attempt.
pub(super) fn attempts(leaf: &Certificate, intermediates: &[Certificate], rules: &Rules<'_>) -> Vec<Attempt> {
    let mut search = Search {
        intermediates,
        rules,
        budget: SIGNATURE_BUDGET,
        comparisons: COMPARISON_BUDGET,
        found: Vec::new(),
    };
    if rules.anchors.anchors().contains(leaf) {
        search.finish(vec![leaf.clone()], Vec::new());
    }
    search.extend(vec![leaf.clone()]);
    search.found
}

struct Search<'a> {
    intermediates: &'a [Certificate],
    rules: &'a Rules<'a>,
    budget: usize,
    comparisons: usize,
    found: Vec<Attempt>,
}

impl Search<'_> {
    fn extend(&mut self, path: Vec<Certificate>) {
        let depth = path.len() - 1;
        let child = path[depth].clone();
        let mut dead_ends: Vec<Reason> = Vec::new();
        let mut continued = false;
        for anchor in self.rules.anchors.anchors() {
            if *anchor == child || !anchor.subject().matches(child.issuer()) {
                continue;
            }
            match self.check_signature(&child, anchor, depth) {
                Some(Ok(())) => {
                    continued = true;
                    let complete = path.iter().cloned().chain([anchor.clone()]).collect();
                    self.finish(complete, Vec::new());
                    if self.found.last().is_some_and(|attempt| attempt.reasons.is_empty()) {
                        return;
                    }
                }
                Some(Err(reason)) => dead_ends.push(reason),
                None => return self.give_up(path),
            }
        }
        if path.len() >= LONGEST_PATH {
            let message = format!("the chain is longer than {LONGEST_PATH} certificates");
            let reason = Reason::new(ReasonCode::TooComplex, depth, &child, message);
            return self.finish(path, vec![reason]);
        }
        for candidate in self.intermediates {
            let repeats = path.iter().any(|earlier| {
                earlier == candidate
                    || (earlier.subject() == candidate.subject()
                        && earlier.public_key().ok() == candidate.public_key().ok())
            });
            let is_anchor = self.rules.anchors.anchors().contains(candidate);
            if repeats || is_anchor || !candidate.subject().matches(child.issuer()) {
                continue;
            }
            match self.check_signature(&child, candidate, depth) {
                Some(Ok(())) => {
                    continued = true;
                    let longer = path.iter().cloned().chain([candidate.clone()]).collect();
                    self.extend(longer);
                    if self.found.last().is_some_and(|attempt| attempt.reasons.is_empty()) {
                        return;
                    }
                }
                Some(Err(reason)) => dead_ends.push(reason),
                None => return self.give_up(path),
            }
        }
        // A leaf that is itself an anchor has been judged as such.
        if !continued && !self.rules.anchors.anchors().contains(&path[0]) {
            if dead_ends.is_empty() {
                dead_ends.push(unknown_issuer(&child, depth, self.rules));
            }
            self.finish(path, dead_ends);
        }
    }

    /// `None` when the budget is spent.
    fn check_signature(
        &mut self,
        child: &Certificate,
        issuer: &Certificate,
        depth: usize,
    ) -> Option<Result<(), Reason>> {
        self.budget = self.budget.checked_sub(1)?;
        let refuse = |code, message| Some(Err(Reason::new(code, depth, child, message)));
        if child.signature_algorithm().is_none() {
            let name = child.signature_algorithm_oid().map_or_else(|| "?".to_owned(), |o| o.to_string());
            return refuse(
                ReasonCode::WeakSignature,
                format!("'{}' is signed with {name}, which is broken or not supported", child.short_name()),
            );
        }
        let key = match issuer.public_key() {
            Ok(key) => key,
            Err(error) => {
                return refuse(ReasonCode::WeakKey, format!("'{}': {error}", issuer.short_name()));
            }
        };
        if let Some(weakness) = key.weakness() {
            return refuse(ReasonCode::WeakKey, format!("'{}': {weakness}", issuer.short_name()));
        }
        match child.verify_signature(key) {
            Ok(()) => Some(Ok(())),
            Err(_) => {
                let (subject, issuer_name) = (child.short_name(), issuer.subject());
                let keys_differ = matches!(
                    (child.authority_key_identifier(), issuer.subject_key_identifier()),
                    (Some(wanted), Some(have)) if wanted != have
                );
                let message = if keys_differ {
                    format!(
                        "'{subject}' was signed by another key than that of '{issuer_name}' here: the CA was made \
                         again under the same name"
                    )
                } else {
                    format!("the signature on '{subject}' does not verify with the key of '{issuer_name}'")
                };
                refuse(ReasonCode::SignatureInvalid, message)
            }
        }
    }

    fn finish(&mut self, path: Vec<Certificate>, mut reasons: Vec<Reason>) {
        judge(&path, self.rules, &mut self.comparisons, &mut reasons);
        self.found.push(Attempt { path, reasons });
    }

    fn give_up(&mut self, path: Vec<Certificate>) {
        let message = format!("no path was found within {SIGNATURE_BUDGET} signature checks");
        let reason = Reason::new(ReasonCode::TooComplex, 0, &path[0], message);
        self.found.push(Attempt { path, reasons: vec![reason] });
    }
}

fn unknown_issuer(child: &Certificate, depth: usize, rules: &Rules<'_>) -> Reason {
    let name = child.short_name();
    let message = if rules.anchors.is_empty() {
        format!("nothing is trusted, so '{name}' is not: no anchor was given")
    } else if child.is_self_issued() {
        format!("'{name}' is self-signed and is not among the anchors")
    } else {
        format!(
            "'{name}' was issued by '{}', which is neither an anchor nor among the certificates given",
            child.issuer()
        )
    };
    Reason::new(ReasonCode::UnknownIssuer, depth, child, message)
}

/// Every rule that does not need a search, over the whole path.
fn judge(path: &[Certificate], rules: &Rules<'_>, comparisons: &mut usize, reasons: &mut Vec<Reason>) {
    // Certificates and lists count in whole seconds, so the moment of judgement does too.
    let now = rules.at.as_second();
    for (depth, certificate) in path.iter().enumerate() {
        let mut against = |code, message| reasons.push(Reason::new(code, depth, certificate, message));
        let name = certificate.short_name();
        if now > certificate.not_after().as_second() {
            let late = distance(certificate.not_after(), rules.at);
            let message = format!("'{name}' expired on {} ({late} before)", certificate.not_after());
            against(ReasonCode::CertificateExpired, message);
        }
        if now < certificate.not_before().as_second() {
            let early = distance(rules.at, certificate.not_before());
            let message = format!("'{name}' is valid only from {} ({early} later)", certificate.not_before());
            against(ReasonCode::CertificateNotYetValid, message);
        }
        match certificate.public_key() {
            Err(error) => against(ReasonCode::WeakKey, format!("'{name}': {error}")),
            Ok(key) => {
                if let Some(weakness) = key.weakness() {
                    against(ReasonCode::WeakKey, format!("'{name}': {weakness}"));
                }
            }
        }
        for extension in certificate.extensions() {
            if extension.critical && !PROCESSED.contains(&extension.oid) {
                let message = format!(
                    "'{name}' has the critical extension {} ({}), which is not understood here",
                    extension.oid,
                    extension.oid.dotted()
                );
                against(ReasonCode::UnknownCriticalExtension, message);
            }
        }
        if let Some(wanted) = rules.purpose.extended_key_usage() {
            let purposes = certificate.extended_key_usages();
            let fits =
                purposes.is_none_or(|p| p.contains(&wanted) || p.contains(&oid::ANY_EXTENDED_KEY_USAGE));
            if !fits {
                let has = list(purposes.unwrap_or_default());
                let message = format!("'{name}' is for {has}, and {wanted} is needed");
                against(ReasonCode::WrongPurpose, message);
            }
        }
        if depth > 0 {
            judge_ca(path, depth, comparisons, reasons);
        }
    }
    judge_leaf(path, rules, reasons);
    for depth in 0..path.len().saturating_sub(1) {
        judge_revocation(&path[depth], &path[depth + 1], depth, rules, reasons);
    }
}

fn judge_leaf(path: &[Certificate], rules: &Rules<'_>, reasons: &mut Vec<Reason>) {
    let leaf = &path[0];
    let name = leaf.short_name();
    let mut against = |code, message| reasons.push(Reason::new(code, 0, leaf, message));
    if rules.purpose != Purpose::Any {
        if leaf.key_usage().is_some_and(|usage| !usage.has(KeyUsage::DIGITAL_SIGNATURE))
            && !rules.anchors.anchors().contains(leaf)
        {
            let message = format!("the key usage of '{name}' lacks digitalSignature, which TLS needs");
            against(ReasonCode::KeyUsage, message);
        }
        if leaf.is_ca() && !rules.anchors.anchors().contains(leaf) {
            against(ReasonCode::CaAsLeaf, format!("'{name}' is a CA's certificate, not that of a TLS peer"));
        }
    }
    if let Some(expected) = rules.server_name
        && !leaf.subject_alt_names().iter().any(|presented| expected.is_named_by(presented))
    {
        let presented = leaf.subject_alt_names();
        let message = if presented.is_empty() {
            format!("the certificate has no subjectAltName, so it does not name {expected}")
        } else {
            format!("the certificate names {}, not {expected}", list(presented))
        };
        against(ReasonCode::NameMismatch, message);
    }
}

fn judge_ca(path: &[Certificate], depth: usize, comparisons: &mut usize, reasons: &mut Vec<Reason>) {
    let ca = &path[depth];
    let child = path[depth - 1].short_name();
    let name = ca.short_name();
    let mut against = |code, message| reasons.push(Reason::new(code, depth, ca, message));
    if !ca.is_ca() {
        let message = format!("'{name}' issued '{child}' and is no CA (basicConstraints)");
        against(ReasonCode::IssuerNotCa, message);
    }
    if ca.key_usage().is_some_and(|usage| !usage.has(KeyUsage::KEY_CERT_SIGN)) {
        let message = format!("the key usage of '{name}' lacks keyCertSign, and it issued '{child}'");
        against(ReasonCode::KeyUsage, message);
    }
    // RFC 5280 section 4.2.1.9: self-issued certificates and the leaf do not count.
    let below = path[1..depth].iter().filter(|c| !c.is_self_issued()).count();
    if let Some(most) = ca.basic_constraints().and_then(|basic| basic.path_length)
        && below > usize::try_from(most).unwrap_or(usize::MAX)
    {
        let message = format!("'{name}' allows {most} CA(s) below it, and {below} stand(s) in the path");
        against(ReasonCode::PathLengthExceeded, message);
    }
    let Some(constraints) = ca.name_constraints() else { return };
    for (position, certificate) in path[..depth].iter().enumerate() {
        if position > 0 && certificate.is_self_issued() {
            continue;
        }
        let Some(rest) = comparisons.checked_sub(comparison_cost(constraints, certificate)) else {
            *comparisons = 0;
            let message = format!(
                "the names of '{}' under the constraints of '{name}' need more than {COMPARISON_BUDGET} comparisons",
                certificate.short_name()
            );
            reasons.push(Reason::new(ReasonCode::TooComplex, depth, ca, message));
            return;
        };
        *comparisons = rest;
        for presented in constrained_names(certificate) {
            let Err(violation) = constraints.check(&presented) else { continue };
            let limit = match violation {
                ConstraintViolation::Excluded(subtree) => format!("excludes {subtree}"),
                ConstraintViolation::NotPermitted(subtrees) => format!("permits only {}", list(&subtrees)),
            };
            let holder = certificate.short_name();
            let message = format!("'{holder}' names {presented}, and the CA '{name}' {limit}");
            reasons.push(Reason::new(ReasonCode::NameConstraintsViolated, position, certificate, message));
        }
    }
}

/// The names that constraints apply to: subjectAltName, the subject, and every mailbox in the subject. RFC 5280
/// section 4.2.1.10 wants the last only where subjectAltName has none; a reader may look at both.
fn constrained_names(certificate: &Certificate) -> Vec<GeneralName> {
    let mut names = certificate.subject_alt_names().to_vec();
    names.extend(certificate.subject().values(&oid::EMAIL_ADDRESS).into_iter().map(GeneralName::Email));
    if !certificate.subject().is_empty() {
        names.push(GeneralName::Directory(certificate.subject().clone()));
    }
    names
}

/// What [`constrained_names`] under these constraints cost at most, in comparisons of host names.
fn comparison_cost(constraints: &NameConstraints, certificate: &Certificate) -> usize {
    let subtrees = constraints.permitted.iter().chain(&constraints.excluded);
    let bases = subtrees.clone().filter_map(|subtree| match subtree {
        Subtree::Directory(base) => Some(base.der().len()),
        _ => None,
    });
    let subject = certificate.subject().der().len();
    let names = certificate.subject_alt_names().iter().filter_map(|name| match name {
        GeneralName::Directory(name) => Some(name.der().len()),
        _ => None,
    });
    let (base_count, base_octets) = count_and_sum(bases);
    let (name_count, name_octets) = count_and_sum(names.chain([subject]));
    let octets =
        base_count.saturating_mul(name_octets).saturating_add(name_count.saturating_mul(base_octets));
    // A subject of mailboxes has one in 16 octets at most.
    let candidates = certificate.subject_alt_names().len() + 1 + subject / 16;
    candidates.saturating_mul(subtrees.count()).saturating_add(octets / OCTETS_PER_COMPARISON)
}

fn count_and_sum(lengths: impl Iterator<Item = usize>) -> (usize, usize) {
    lengths.fold((0, 0), |(count, sum), length| (count + 1, sum + length))
}

/// The first few items, and how many more there are.
fn list(items: &[impl ToString]) -> String {
    let mut texts: Vec<String> = items.iter().take(LONGEST_LIST).map(ToString::to_string).collect();
    if items.len() > LONGEST_LIST {
        texts.push(format!("and {} more", items.len() - LONGEST_LIST));
    }
    texts.join(", ")
}

fn judge_revocation(
    certificate: &Certificate,
    issuer: &Certificate,
    depth: usize,
    rules: &Rules<'_>,
    reasons: &mut Vec<Reason>,
) {
    let name = certificate.short_name();
    let mut against = |code, message| reasons.push(Reason::new(code, depth, certificate, message));
    let mut current = false;
    let mut stale = None;
    for crl in rules.crls.iter().filter(|crl| crl.issuer().matches(certificate.issuer())) {
        let authentic = issuer.key_usage().is_none_or(|usage| usage.has(KeyUsage::CRL_SIGN))
            && issuer.public_key().is_ok_and(|key| crl.verify_signature(key).is_ok());
        if !authentic {
            continue;
        }
        let covered = crl.covers(certificate);
        if covered == crate::crl::Reasons::NONE {
            continue;
        }
        // An entry stays true when its list has become old.
        if let Some(revocation) = crl.revocation(certificate.serial()) {
            let (at, reason) = (revocation.revoked_at, revocation.reason);
            let message = format!("'{name}' was revoked on {at} ({reason}) by '{}'", issuer.short_name());
            against(ReasonCode::CertificateRevoked, message);
            return;
        }
        match crl.next_update() {
            Some(next) if rules.at.as_second() > next.as_second() => stale = Some(next),
            _ => current |= covered == crate::crl::Reasons::ALL,
        }
    }
    if current {
        return;
    }
    if let Some(next) = stale {
        let late = distance(next, rules.at);
        let message = format!(
            "the revocation list of '{}' was due for renewal on {next} ({late} before), so nothing says whether \
             '{name}' is still good; fetch or publish a newer list",
            issuer.short_name()
        );
        against(ReasonCode::CrlExpired, message);
    } else if rules.revocation == RevocationMode::Required {
        let message =
            format!("no revocation list of '{}' is at hand, and one is required", issuer.short_name());
        against(ReasonCode::CrlMissing, message);
    }
}

/// The distance between two moments in the largest unit that fits.
fn distance(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    let (count, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7199 => (seconds / 60, "minute"),
        7200..=172_799 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
