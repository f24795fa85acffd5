//! Certificate policies by the graph of RFC 9618, which replaces the tree of RFC 5280 section 6.1 and gives the same
//! answers at a polynomial cost.

use std::collections::{HashMap, HashSet};

use super::reason::{ReasonCode, Verdict};
use super::work::{POLICY_BUDGET, Work};
use super::{PolicyDemand, Rules};
use crate::certificate::Certificate;
use crate::oid::{ANY_POLICY, Oid};

/// One policy at one depth.
struct Node {
    /// valid_policy.
    policy: Oid,
    /// expected_policy_set: what the next certificate may call it.
    expected: Vec<Oid>,
    /// The nodes of the depth before that it comes from.
    parents: Vec<usize>,
}

/// The state variables of RFC 5280 section 6.1.2: how many more certificates until a thing holds.
struct Counters {
    explicit: usize,
    mapping: usize,
    any: usize,
}

/// Judges a path, leaf first and anchor last. An anchor's own policies are not looked at (RFC 5280 section 6.1.1 d);
/// its constraints and inhibitions are, as RFC 5937 has it.
pub(super) fn judge(path: &[&Certificate], rules: &Rules<'_>, work: &mut Work, verdict: &mut Verdict) {
    let [issued @ .., anchor] = path else { return };
    if !is_concerned(path, &rules.policies) {
        return;
    }
    let leaf = path[0];
    match evaluate(issued, anchor, &rules.policies, work) {
        Ok(()) => {}
        Err(Fault::TooComplex) => verdict.against(ReasonCode::TooComplex, 0, leaf, || {
            format!("the certificate policies of this path make a graph of more than {POLICY_BUDGET} nodes and edges")
        }),
        Err(Fault::MappedAny(depth)) => {
            let ca = path[depth];
            verdict.against(ReasonCode::PolicyNotAccepted, depth, ca, || {
                format!("'{}' maps anyPolicy, which RFC 5280 section 4.2.1.5 forbids", ca.short_name())
            });
        }
        Err(Fault::NoPolicy(depth)) => {
            let at = path[depth];
            verdict.against(ReasonCode::PolicyNotAccepted, depth, at, || {
                let who = demander(path, &rules.policies);
                format!(
                    "{who} an explicit certificate policy, and at '{}' no policy is valid for the path any more",
                    at.short_name()
                )
            });
        }
        Err(Fault::NotAcceptable(valid)) => {
            verdict.against(ReasonCode::PolicyNotAccepted, 0, leaf, || {
                let list = |policies: &[Oid]| super::names::list(policies);
                format!(
                    "the path is valid for the certificate policies {}, and one of {} is demanded",
                    list(&valid),
                    list(rules.policies.acceptable)
                )
            });
        }
    }
}

/// Whether the result can be anything but "valid".
fn is_concerned(path: &[&Certificate], demand: &PolicyDemand<'_>) -> bool {
    demand.explicit
        || path.iter().any(|certificate| {
            let own = certificate.policy_extensions();
            own.require_explicit.is_some() || !own.mappings.is_empty()
        })
}

fn demander(path: &[&Certificate], demand: &PolicyDemand<'_>) -> String {
    let ca = path.iter().rev().find(|c| c.policy_extensions().require_explicit.is_some());
    match ca {
        Some(ca) if !demand.explicit => format!("'{}' requires", ca.short_name()),
        _ => "you require".to_owned(),
    }
}

enum Fault {
    NoPolicy(usize),
    MappedAny(usize),
    NotAcceptable(Vec<Oid>),
    TooComplex,
}

/// RFC 5280 sections 6.1.2 to 6.1.5 as RFC 9618 section 5 changes them. `issued` is leaf first.
fn evaluate(
    issued: &[&Certificate],
    anchor: &Certificate,
    demand: &PolicyDemand<'_>,
    work: &mut Work,
) -> Result<(), Fault> {
    let count = issued.len();
    let initial = |inhibited: bool, own: Option<u32>| {
        let own = own.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        own.min(if inhibited { 0 } else { count + 1 })
    };
    let of_anchor = anchor.policy_extensions();
    let mut counters = Counters {
        explicit: initial(demand.explicit, of_anchor.require_explicit),
        mapping: initial(demand.inhibit_mapping, of_anchor.inhibit_mapping),
        any: initial(demand.inhibit_any, of_anchor.inhibit_any),
    };
    let root = Node { policy: ANY_POLICY, expected: vec![ANY_POLICY], parents: Vec::new() };
    let mut levels: Vec<Vec<Node>> = vec![vec![root]];
    for (depth, certificate) in issued.iter().enumerate().rev() {
        let own = certificate.policy_extensions();
        let is_last = depth == 0;
        let any_counts = counters.any > 0 || (!is_last && certificate.is_self_issued());
        let next = match &own.policies {
            Some(policies) => grow(&levels[levels.len() - 1], policies, any_counts, work)?,
            None => Vec::new(),
        };
        levels.push(next);
        let level = levels.len() - 1;
        if counters.explicit == 0 && levels[level].is_empty() {
            return Err(Fault::NoPolicy(depth));
        }
        if is_last {
            break;
        }
        if own.mappings.iter().any(|(from, to)| *from == ANY_POLICY || *to == ANY_POLICY) {
            return Err(Fault::MappedAny(depth));
        }
        let (before, this) = levels.split_at_mut(level);
        map(&mut this[0], &before[level - 1], &own.mappings, counters.mapping > 0, work)?;
        if !certificate.is_self_issued() {
            counters.explicit = counters.explicit.saturating_sub(1);
            counters.mapping = counters.mapping.saturating_sub(1);
            counters.any = counters.any.saturating_sub(1);
        }
        for (counter, limit) in [
            (&mut counters.explicit, own.require_explicit),
            (&mut counters.mapping, own.inhibit_mapping),
            (&mut counters.any, own.inhibit_any),
        ] {
            if let Some(limit) = limit {
                *counter = (*counter).min(usize::try_from(limit).unwrap_or(usize::MAX));
            }
        }
    }
    counters.explicit = counters.explicit.saturating_sub(1);
    // Where the anchor itself was presented, no certificate was issued.
    if issued.first().is_some_and(|leaf| leaf.policy_extensions().require_explicit == Some(0)) {
        counters.explicit = 0;
    }
    if counters.explicit > 0 {
        return Ok(());
    }
    conclude(&levels, demand)
}

/// Section 6.1.3 d: the next depth, from the policies of the certificate there.
fn grow(above: &[Node], policies: &[Oid], any_counts: bool, work: &mut Work) -> Result<Vec<Node>, Fault> {
    let mut by_expected: HashMap<Oid, Vec<usize>> = HashMap::new();
    let mut any_above = None;
    for (index, node) in above.iter().enumerate() {
        if node.policy == ANY_POLICY {
            any_above = Some(index);
            continue;
        }
        for expected in &node.expected {
            pay(work)?;
            by_expected.entry(*expected).or_default().push(index);
        }
    }
    let mut level = Vec::new();
    for policy in policies.iter().filter(|policy| **policy != ANY_POLICY) {
        pay(work)?;
        let parents = by_expected.remove(policy).or_else(|| any_above.map(|index| vec![index]));
        if let Some(parents) = parents {
            level.push(Node { policy: *policy, expected: vec![*policy], parents });
        }
    }
    if any_counts && policies.contains(&ANY_POLICY) {
        // What is left was named by no policy of the certificate.
        for (policy, parents) in by_expected {
            pay(work)?;
            level.push(Node { policy, expected: vec![policy], parents });
        }
        if let Some(index) = any_above {
            level.push(Node { policy: ANY_POLICY, expected: vec![ANY_POLICY], parents: vec![index] });
        }
    }
    Ok(level)
}

/// Section 6.1.4 b: what the certificate says counts as the same further down.
fn map(
    level: &mut Vec<Node>,
    above: &[Node],
    mappings: &[(Oid, Oid)],
    is_allowed: bool,
    work: &mut Work,
) -> Result<(), Fault> {
    if mappings.is_empty() {
        return Ok(());
    }
    let mut by_issuer: HashMap<Oid, Vec<Oid>> = HashMap::new();
    for (from, to) in mappings {
        pay(work)?;
        let targets = by_issuer.entry(*from).or_default();
        targets.push(*to);
    }
    if !is_allowed {
        level.retain(|node| !by_issuer.contains_key(&node.policy));
        return Ok(());
    }
    for node in level.iter_mut() {
        if let Some(mut targets) = by_issuer.remove(&node.policy) {
            targets.sort_unstable();
            targets.dedup();
            node.expected = targets;
        }
    }
    if level.iter().any(|node| node.policy == ANY_POLICY) {
        let any_above = above.iter().position(|node| node.policy == ANY_POLICY);
        for (policy, mut targets) in by_issuer {
            targets.sort_unstable();
            targets.dedup();
            level.push(Node { policy, expected: targets, parents: any_above.into_iter().collect() });
        }
    }
    Ok(())
}

/// Section 6.1.5 g: whether a policy that the user accepts is left. In the anchor's terms a path's policies are those
/// of the nodes that come from anyPolicy.
fn conclude(levels: &[Vec<Node>], demand: &PolicyDemand<'_>) -> Result<(), Fault> {
    let last = &levels[levels.len() - 1];
    if last.is_empty() {
        return Err(Fault::NoPolicy(0));
    }
    let accepts_all = demand.acceptable.is_empty() || demand.acceptable.contains(&ANY_POLICY);
    if accepts_all || last.iter().any(|node| node.policy == ANY_POLICY) {
        return Ok(());
    }
    let mut valid: HashSet<Oid> = HashSet::new();
    let mut living: HashSet<usize> = (0..last.len()).collect();
    for depth in (1..levels.len()).rev() {
        let mut above: HashSet<usize> = HashSet::new();
        for index in living {
            let node = &levels[depth][index];
            let from_any = node.parents.iter().any(|p| levels[depth - 1][*p].policy == ANY_POLICY);
            if from_any && node.policy != ANY_POLICY {
                valid.insert(node.policy);
            }
            above.extend(&node.parents);
        }
        living = above;
    }
    if demand.acceptable.iter().any(|policy| valid.contains(policy)) {
        return Ok(());
    }
    let mut valid: Vec<Oid> = valid.into_iter().collect();
    valid.sort_unstable();
    Err(Fault::NotAcceptable(valid))
}

fn pay(work: &mut Work) -> Result<(), Fault> {
    if work.policies(1) { Ok(()) } else { Err(Fault::TooComplex) }
}
