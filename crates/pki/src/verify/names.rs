//! Name constraints (RFC 5280 section 4.2.1.10): the names of each certificate under those of each CA above it.

use std::borrow::Cow;

use super::reason::{ReasonCode, Verdict};
use super::work::{COMPARISON_BUDGET, Work};
use crate::certificate::Certificate;
use crate::extension::{ConstraintViolation, NameConstraints};
use crate::name::{GeneralName, Subtree};
use crate::oid;

/// How many octets of distinguished names are compared at the cost of one comparison of host names.
const OCTETS_PER_COMPARISON: usize = 16;

/// The most names or subtrees that one message lists.
const LONGEST_LIST: usize = 8;

/// Holds everything below the CA at `depth` against its constraints.
pub(super) fn judge(path: &[&Certificate], depth: usize, work: &mut Work, verdict: &mut Verdict) {
    let ca = path[depth];
    let Some(constraints) = ca.name_constraints() else { return };
    let ready = constraints.ready();
    for (position, certificate) in path[..depth].iter().enumerate() {
        // Section 6.1.3 b: self-issued ones are exempt, unless they are the last.
        if position > 0 && certificate.is_self_issued() {
            continue;
        }
        if !work.comparisons(cost(constraints, certificate)) {
            verdict.against(ReasonCode::TooComplex, depth, ca, || {
                format!(
                    "the names of '{}' under the constraints of '{}' need more than {COMPARISON_BUDGET} comparisons",
                    certificate.short_name(),
                    ca.short_name()
                )
            });
            return;
        }
        // Thousands of violations are one fault; the first few say which.
        let violations = constrained_names(certificate).filter(|name| !ready.allow(name));
        for presented in violations.take(LONGEST_LIST) {
            verdict.against(ReasonCode::NameConstraintsViolated, position, certificate, || {
                let limit = match constraints.check(&presented) {
                    Err(ConstraintViolation::Excluded(subtree)) => format!("excludes {subtree}"),
                    Err(ConstraintViolation::NotPermitted(subtrees)) => {
                        format!("permits only {}", list(&subtrees))
                    }
                    Ok(()) => "does not allow it".to_owned(),
                };
                let (holder, name) = (certificate.short_name(), ca.short_name());
                format!("'{holder}' names {presented}, and the CA '{name}' {limit}")
            });
        }
    }
}

/// The names that constraints apply to: subjectAltName, the subject, and every mailbox in the subject. RFC 5280
/// section 4.2.1.10 wants the last only where subjectAltName has none; a reader may look at both.
fn constrained_names(certificate: &Certificate) -> impl Iterator<Item = Cow<'_, GeneralName>> {
    let subject = certificate.subject();
    let mailboxes = subject.values(&oid::EMAIL_ADDRESS).into_iter().map(GeneralName::Email);
    let whole = (!subject.is_empty()).then(|| GeneralName::Directory(subject.clone()));
    let of_subject = mailboxes.chain(whole).map(Cow::Owned);
    certificate.subject_alt_names().iter().map(Cow::Borrowed).chain(of_subject)
}

/// What [`constrained_names`] under these constraints cost at most, in comparisons of host names.
fn cost(constraints: &NameConstraints, certificate: &Certificate) -> usize {
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
pub(super) fn list(items: &[impl ToString]) -> String {
    let mut texts: Vec<String> = items.iter().take(LONGEST_LIST).map(ToString::to_string).collect();
    if items.len() > LONGEST_LIST {
        texts.push(format!("and {} more", items.len() - LONGEST_LIST));
    }
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
