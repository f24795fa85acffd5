//! What does not stop the pair today: what ends soon, what is sent in the wrong order, what some programs do not take.

use jiff::SignedDuration;
use pki::Certificate;

use super::mend::{self, OldKey};
use super::{Direction, Facts, Notes, Weight, name, place, shell};
use crate::finding::{Fault, Finding, FindingCode};
use crate::humane;

pub(super) fn judge(facts: &Facts, notes: &mut Notes) {
    let served = facts.served();
    ends_soon(facts, &served, "server", Fault::Server, notes);
    ends_soon(facts, &facts.own.chain, "client", Fault::Client, notes);
    for anchor in path_anchors(facts, &served) {
        ends_soon(facts, std::slice::from_ref(anchor), "client's trust store", Fault::Client, notes);
    }
    order(&served, "server", Fault::Server, notes);
    order(&facts.own.chain, "client", Fault::Client, notes);
    same_serial(facts, &served, notes);
    weak_beside(&served, notes);
}

/// A weak signature on what a server sends along and nobody needs: where it is needed, the path itself is refused.
fn weak_beside(served: &[Certificate], notes: &mut Notes) {
    if notes.is_blocked() || notes.has(FindingCode::WeakSignature) {
        return;
    }
    // Of a root that is trusted nobody checks the signature.
    let is_weak = |c: &&Certificate| c.signature_algorithm().is_none() && !c.is_self_issued();
    let Some(weak) = served.iter().skip(1).find(is_weak) else { return };
    let finding = Finding::new(
        FindingCode::WeakSignature,
        Fault::Server,
        format!(
            "the server sends {} along, which is signed with a broken or unknown algorithm and not needed: programs that \
             take that way to a root refuse it",
            name(weak)
        ),
    )
    .certain()
    .evidence(format!(
        "its signature: {}",
        weak.signature_algorithm_oid().map_or_else(|| "unknown".to_owned(), |oid| oid.to_string())
    ))
    .fix(Fault::Server, "cat server.pem intermediate.pem > fullchain.pem")
    .remedy("leave it out of the chain that is served");
    notes.push(Weight::Warns, Direction::Neither, finding);
}

/// The anchors that the chains lead to; the hundred others of a system's store concern nobody here.
fn path_anchors<'a>(facts: &'a Facts, served: &'a [Certificate]) -> impl Iterator<Item = &'a Certificate> {
    facts.own.anchors.iter().filter(move |anchor| {
        !served.contains(anchor) && served.iter().any(|c| c.issuer().matches(anchor.subject()))
    })
}

fn ends_soon(facts: &Facts, chain: &[Certificate], who: &str, fault: Fault, notes: &mut Notes) {
    for (depth, certificate) in chain.iter().enumerate() {
        let left = certificate.not_after().duration_since(facts.at);
        let whole = certificate.not_after().duration_since(certificate.not_before());
        // A third of a short life, fourteen days of a long one. Certificates of a day are renewed by a program.
        let margin = SignedDuration::from_secs((whole.as_secs() / 3).min(14 * 24 * 3600));
        if left.is_negative() || left >= margin || whole < SignedDuration::from_hours(48) {
            continue;
        }
        let finding = Finding::new(
            FindingCode::ExpiresSoon,
            fault,
            format!(
                "the {who}'s certificate {} ({}) ends in {}",
                name(certificate),
                place(depth, certificate),
                humane::span(left)
            ),
        )
        .certain()
        .evidence(format!("valid until {}; now it is {}", certificate.not_after(), facts.at))
        .fix(fault, format!("countersign renew {}", shell(&certificate.short_name())))
        .remedy("renew it, and reload what uses it");
        notes.push(Weight::Warns, Direction::Neither, finding);
    }
}

/// Each certificate should be issued by the next one.
fn order(chain: &[Certificate], who: &str, fault: Fault, notes: &mut Notes) {
    if chain.len() < 2 {
        return;
    }
    let in_order = chain.windows(2).all(|pair| pair[0].issuer().matches(pair[1].subject()));
    let complete = chain
        .iter()
        .skip(1)
        .all(|c| chain.iter().any(|below| below != c && below.issuer().matches(c.subject())));
    if in_order || !complete {
        return;
    }
    let finding = Finding::new(
        FindingCode::ChainOrder,
        fault,
        format!(
            "the {who} sends its chain in the wrong order; each certificate should be issued by the next one"
        ),
    )
    .certain()
    .evidence(format!("sent: {}", chain.iter().map(name).collect::<Vec<_>>().join(" / ")))
    .fix(fault, format!("cat {who}.pem intermediate.pem > fullchain.pem"))
    .remedy("put the leaf first, then its issuer, then the issuer of that");
    notes.push(Weight::Warns, Direction::Neither, finding);
}

fn same_serial(facts: &Facts, served: &[Certificate], notes: &mut Notes) {
    let mut all: Vec<&Certificate> =
        served.iter().chain(&facts.own.chain).chain(path_anchors(facts, served)).collect();
    all.extend(facts.neighbours.iter().flat_map(|neighbour| match &neighbour.content {
        super::NeighbourContent::Certificates(list) => list.as_slice(),
        super::NeighbourContent::Key(_) | super::NeighbourContent::RevocationLists(_) => &[],
    }));
    let twin = served.iter().chain(&facts.own.chain).find_map(|one| {
        let other = all.iter().find(|other| {
            **other != one && other.serial() == one.serial() && other.issuer().matches(one.issuer())
        })?;
        Some((one, *other))
    });
    let Some((one, other)) = twin else { return };
    let finding = Finding::new(
        FindingCode::SameSerialNumber,
        Fault::Issuer,
        format!(
            "two different certificates of {} have the serial number {}: {} and {}. Firefox refuses the second one it \
             sees, others do not notice",
            one.issuer(),
            one.serial_hex(),
            name(one),
            name(other)
        ),
    )
    .certain()
    .evidence(format!("SHA-256 {} and {}", pki::hex(&one.sha256()), pki::hex(&other.sha256())))
    .fix(
        Fault::Issuer,
        match served.contains(one) {
            true => mend::issue_server(facts, one, OldKey::Kept),
            false => mend::issue_client(facts, one, OldKey::Kept),
        },
    )
    .remedy("issue one of them again, with a random serial number");
    notes.push(Weight::Warns, Direction::Neither, finding);
}
