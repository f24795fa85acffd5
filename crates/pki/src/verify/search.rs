//! Building paths (RFC 4158): from the leaf upwards, over every certificate that may have issued the one below.
//!
//! There are two ways through the same graph with the same judges. [`Search::first_valid`] is for handshakes: it goes on only
//! where nothing speaks against the path so far, makes no sentences, and stops at the first valid path. [`Search::examine`]
//! goes on where something does, and tells it all.

use super::policies;
use super::reason::{Reason, ReasonCode, Verdict};
use super::revocation::{self, Evidence};
use super::standing;
use super::work::{LONGEST_PATH, MOST_PATHS, SIGNATURE_BUDGET, Work};
use super::{Examination, ExaminedPath, Rules};
use crate::certificate::Certificate;

/// A leaf, what came with it, and what it is judged by.
pub(super) struct Search<'a> {
    leaf: &'a Certificate,
    intermediates: &'a [Certificate],
    rules: &'a Rules<'a>,
}

/// Someone else's judgement of a path found valid.
pub(super) type Opinion = fn(&[Certificate], &Rules<'_>) -> Result<(), Reason>;

/// One path that was tried, and what speaks against it.
struct Attempt {
    path: Vec<Certificate>,
    reasons: Vec<Reason>,
}

impl<'a> Search<'a> {
    pub(super) fn new(leaf: &'a Certificate, intermediates: &'a [Certificate], rules: &'a Rules<'a>) -> Self {
        Search { leaf, intermediates, rules }
    }

    /// The first path against which nothing speaks.
    pub(super) fn first_valid(&self, opinion: Opinion) -> Option<Vec<Certificate>> {
        let mut work = Work::new();
        let mut path = vec![self.leaf];
        if !self.stands(&path, &mut work) {
            return None;
        }
        if self.rules.anchors.contains(self.leaf) {
            return self.complete(&path, opinion, &mut work);
        }
        self.climb(&mut path, opinion, &mut work)
    }

    /// From a path that is right so far to an anchor.
    fn climb(
        &self,
        path: &mut Vec<&'a Certificate>,
        opinion: Opinion,
        work: &mut Work,
    ) -> Option<Vec<Certificate>> {
        let child = path[path.len() - 1];
        for (issuer, is_anchor) in self.issuers(path) {
            if work.is_spent() {
                return None;
            }
            path.push(issuer);
            let is_right = self.stands(path, work)
                && work.signature(issuer)
                && is_signed_by(child, issuer)
                && self.is_unrevoked(path, work);
            if is_right {
                let found = match is_anchor {
                    true => self.complete(path, opinion, work),
                    false => self.climb(path, opinion, work),
                };
                if found.is_some() {
                    return found;
                }
            }
            path.pop();
        }
        None
    }

    fn stands(&self, path: &[&Certificate], work: &mut Work) -> bool {
        let mut verdict = Verdict::counting();
        standing::judge(path, path.len() - 1, self.rules, work, &mut verdict);
        verdict.is_clear()
    }

    fn is_unrevoked(&self, path: &[&Certificate], work: &mut Work) -> bool {
        let mut verdict = Verdict::counting();
        revocation::judge(path, path.len() - 2, &self.evidence(), work, &mut verdict);
        verdict.is_clear()
    }

    fn complete(&self, path: &[&Certificate], opinion: Opinion, work: &mut Work) -> Option<Vec<Certificate>> {
        let mut verdict = Verdict::counting();
        policies::judge(path, self.rules, work, &mut verdict);
        if !verdict.is_clear() {
            return None;
        }
        let path: Vec<Certificate> = path.iter().map(|certificate| (*certificate).clone()).collect();
        opinion(&path, self.rules).is_ok().then_some(path)
    }

    fn evidence(&self) -> Evidence<'a> {
        Evidence { rules: self.rules, intermediates: self.intermediates }
    }

    /// Who may have issued the last certificate of the path, and whether it is an anchor: the likeliest first. Key
    /// identifiers are hints and no more (RFC 5280 section 4.2.1.1). At the longest path only anchors are left.
    fn issuers(&self, path: &[&'a Certificate]) -> Vec<(&'a Certificate, bool)> {
        let child = path[path.len() - 1];
        let anchors = self.rules.anchors;
        let is_new = |candidate: &Certificate| {
            !path.iter().any(|earlier| {
                *earlier == candidate
                    || (earlier.subject() == candidate.subject() && is_same_key(earlier, candidate))
            })
        };
        let mut issuers: Vec<(&Certificate, bool)> = anchors
            .anchors()
            .iter()
            .filter(|anchor| *anchor != child && anchor.subject().matches(child.issuer()))
            .map(|anchor| (anchor, true))
            .collect();
        if path.len() < LONGEST_PATH {
            let others = self.intermediates.iter().filter(|candidate| {
                candidate.subject().matches(child.issuer())
                    && is_new(candidate)
                    && !anchors.contains(candidate)
            });
            issuers.extend(others.map(|other| (other, false)));
        }
        if issuers.len() > 1 {
            let hint = child.authority_key_identifier();
            let now = self.rules.at.as_second();
            issuers.sort_by_key(|(issuer, is_anchor)| {
                let contradicts = matches!(
                    (hint, issuer.subject_key_identifier()), (Some(wanted), Some(have)) if wanted != have
                );
                let validity = issuer.not_before().as_second()..=issuer.not_after().as_second();
                (contradicts, !validity.contains(&now), !is_anchor)
            });
        }
        issuers
    }

    /// Every path as far as it goes, with everything that speaks against it.
    pub(super) fn examine(&self, opinion: Opinion) -> Examination {
        let mut exploration =
            Exploration { search: self, opinion, work: Work::new(), attempts: Vec::new(), gave_up: false };
        let is_anchor = self.rules.anchors.contains(self.leaf);
        if is_anchor {
            exploration.finish(&[self.leaf], Vec::new());
        }
        exploration.extend(&mut vec![self.leaf], is_anchor);
        exploration.conclude()
    }
}

fn is_signed_by(child: &Certificate, issuer: &Certificate) -> bool {
    issuer.public_key().is_ok_and(|key| child.verify_signature(key).is_ok())
}

fn is_same_key(one: &Certificate, other: &Certificate) -> bool {
    matches!((one.public_key(), other.public_key()), (Ok(one), Ok(other)) if one == other)
}

struct Exploration<'s, 'a> {
    search: &'s Search<'a>,
    opinion: Opinion,
    work: Work,
    attempts: Vec<Attempt>,
    gave_up: bool,
}

impl<'a> Exploration<'_, 'a> {
    fn extend(&mut self, path: &mut Vec<&'a Certificate>, is_finished: bool) {
        let depth = path.len() - 1;
        let child = path[depth];
        let mut dead_ends: Vec<Reason> = Vec::new();
        let mut has_continued = false;
        for (issuer, is_anchor) in self.search.issuers(path) {
            if self.gave_up || self.attempts.len() >= MOST_PATHS {
                self.gave_up = true;
                return;
            }
            match self.check_signature(child, issuer, depth) {
                Some(Ok(())) => {
                    has_continued = true;
                    path.push(issuer);
                    if is_anchor {
                        self.finish(path, Vec::new());
                    } else {
                        self.extend(path, false);
                    }
                    path.pop();
                }
                Some(Err(reason)) => dead_ends.push(reason),
                None => {
                    self.gave_up = true;
                    return;
                }
            }
        }
        // A leaf that is itself an anchor has been judged as such.
        if has_continued || is_finished || self.gave_up {
            return;
        }
        if path.len() >= LONGEST_PATH {
            let message = format!("the chain is longer than {LONGEST_PATH} certificates");
            dead_ends.push(Reason::new(ReasonCode::TooComplex, depth, child, message));
        } else if dead_ends.is_empty() {
            dead_ends.push(self.unknown_issuer(child, depth));
        }
        self.finish(path, dead_ends);
    }

    /// `None` when the budget is spent.
    fn check_signature(
        &mut self,
        child: &Certificate,
        issuer: &Certificate,
        depth: usize,
    ) -> Option<Result<(), Reason>> {
        if !self.work.signature(issuer) {
            return None;
        }
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
        if child.verify_signature(key).is_ok() {
            return Some(Ok(()));
        }
        let (subject, issuer_name) = (child.short_name(), issuer.subject());
        let keys_differ = matches!(
            (child.authority_key_identifier(), issuer.subject_key_identifier()),
            (Some(wanted), Some(have)) if wanted != have
        );
        let message = if keys_differ {
            format!(
                "'{subject}' was signed by another key than that of '{issuer_name}' here: the CA was made again under \
                 the same name"
            )
        } else {
            format!("the signature on '{subject}' does not verify with the key of '{issuer_name}'")
        };
        refuse(ReasonCode::SignatureInvalid, message)
    }

    fn finish(&mut self, path: &[&Certificate], reasons: Vec<Reason>) {
        let search = self.search;
        let is_complete = reasons.is_empty();
        let mut verdict = Verdict::collecting(reasons);
        for depth in 0..path.len() {
            standing::judge(path, depth, search.rules, &mut self.work, &mut verdict);
        }
        for depth in 0..path.len() - 1 {
            revocation::judge(path, depth, &search.evidence(), &mut self.work, &mut verdict);
        }
        if is_complete {
            policies::judge(path, search.rules, &mut self.work, &mut verdict);
        }
        let path: Vec<Certificate> = path.iter().map(|certificate| (*certificate).clone()).collect();
        let mut reasons = verdict.into_reasons();
        if reasons.is_empty()
            && let Err(reason) = (self.opinion)(&path, search.rules)
        {
            reasons.push(reason);
        }
        reasons.sort_by_key(|reason| reason.code.rank());
        self.attempts.push(Attempt { path, reasons });
    }

    fn unknown_issuer(&self, child: &Certificate, depth: usize) -> Reason {
        let name = child.short_name();
        let message = if self.search.rules.anchors.is_empty() {
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

    fn conclude(self) -> Examination {
        let leaf = self.search.leaf;
        let mut paths: Vec<ExaminedPath> = self.attempts.into_iter().map(Attempt::examined).collect();
        if self.gave_up && !paths.iter().any(ExaminedPath::is_valid) {
            let message = format!(
                "no path was found within the work of {} signature checks by P-256 keys",
                SIGNATURE_BUDGET / 3
            );
            let reason = Reason::new(ReasonCode::TooComplex, 0, leaf, message);
            paths.push(Attempt { path: vec![leaf.clone()], reasons: vec![reason] }.examined());
        }
        paths.sort_by_key(ExaminedPath::distance);
        Examination { paths, gave_up: self.gave_up }
    }
}

impl Attempt {
    fn examined(self) -> ExaminedPath {
        let is_dead_end =
            |r: &Reason| matches!(r.code, ReasonCode::UnknownIssuer | ReasonCode::SignatureInvalid);
        ExaminedPath {
            reached_anchor: !self.reasons.iter().any(is_dead_end),
            certificates: self.path,
            reasons: self.reasons,
        }
    }
}
