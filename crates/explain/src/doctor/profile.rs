//! What only some programs mind about a certificate: a CA's as a leaf, version 1, key identifiers that differ, what
//! strict programs require of issuers.

use pki::Certificate;
use pki::name::ServerName;
use pki::oid;

use super::mend::{self, OldKey};
use super::{Direction, Facts, Notes, Weight, name};
use crate::finding::{Fault, Finding, FindingCode};

pub(super) fn ca_as_leaf(leaf: &Certificate, facts: &Facts) -> Finding {
    Finding::new(
        FindingCode::CaAsLeaf,
        Fault::Server,
        format!(
            "the server's own certificate {} is a CA's (CA:TRUE), as `openssl req -x509` makes them: rustls and Firefox \
             refuse it, others accept it",
            name(leaf)
        ),
    )
    .certain()
    .evidence("basicConstraints: CA:TRUE")
    .fix(Fault::Issuer, mend::issue_server(facts, leaf, OldKey::Kept))
    .remedy("issue a leaf (CA:FALSE) from a CA")
}

/// What only some programs mind about the certificates themselves.
pub(super) fn judge(facts: &Facts, served: &[Certificate], notes: &mut Notes) {
    let leaf = &served[0];
    if leaf.extensions().is_empty() && !notes.has(FindingCode::CertificateVersion1) {
        let weight = if facts.program.reads_version_1() { Weight::Warns } else { Weight::Blocks };
        notes.push(weight, Direction::ClientRefusedServer, version_1(leaf, Fault::Server, "server", facts));
    }
    let anchored = facts.own.anchors.contains(leaf);
    if leaf.is_ca() && anchored && !notes.has(FindingCode::CaAsLeaf) {
        let weight = if facts.program.accepts_ca_as_leaf() { Weight::Warns } else { Weight::Blocks };
        notes.push(weight, Direction::ClientRefusedServer, ca_as_leaf(leaf, facts));
    }
    if let Some((child, issuer)) = authority_key_mismatch(served, &facts.own.anchors) {
        let weight = if facts.program.is_openssl() { Weight::Blocks } else { Weight::Warns };
        notes.push(weight, Direction::ClientRefusedServer, authority_key(facts, child, issuer, "server"));
    }
    if let Some(finding) = strict(leaf, served, &facts.own.anchors, "server", &reissue(facts, leaf, "server"))
    {
        let weight = if facts.program.is_strict() { Weight::Blocks } else { Weight::Warns };
        notes.push(weight, Direction::ClientRefusedServer, finding);
    }
    let is_ed25519 = leaf.public_key().is_ok_and(|key| key.algorithm() == pki::key::KeyAlgorithm::Ed25519);
    if is_ed25519 && !facts.program.offers_ed25519() {
        let finding = Finding::new(
            FindingCode::KeyKindUnsupported,
            Fault::Server,
            format!(
                "{} does not verify Ed25519, and the key of {} is of that kind",
                facts.program.title(),
                name(leaf)
            ),
        )
        .certain()
        .evidence("Chrome and Firefox leave ed25519 out of signature_algorithms")
        .fix(Fault::Issuer, format!("countersign issue server {} --key p256", facts.target.host))
        .remedy("use a P-256 key");
        notes.push(Weight::Blocks, Direction::ServerRefusedClient, finding);
    }
    if let Some(host) = unsent_server_name(facts)
        && !notes.has(FindingCode::NameMismatch)
        && !notes.has(FindingCode::NoSubjectAltName)
    {
        notes.checked(format!(
            "{} sends no server name for {host}, which has no dot, and gets the right certificate all the same",
            facts.program.title()
        ));
    }
}

/// The host of which the program does not send the name, since it has one label.
pub(super) fn unsent_server_name(facts: &Facts) -> Option<&str> {
    match &facts.target.host {
        ServerName::Dns(host) if !host.contains('.') && !facts.program.sends_one_label_server_name() => {
            Some(host)
        }
        _ => None,
    }
}

pub(super) fn version_1(leaf: &Certificate, fault: Fault, who: &str, facts: &Facts) -> Finding {
    Finding::new(
        FindingCode::CertificateVersion1,
        fault,
        format!("the {who}'s certificate {} is of X.509 version 1: rustls refuses it, and OpenSSL judges it by its commonName", name(leaf)),
    )
    .certain()
    .evidence("it has no extensions")
    .fix(Fault::Issuer, reissue(facts, leaf, who))
    .remedy("issue it with extensions: basicConstraints, keyUsage, extendedKeyUsage, subjectAltName")
}

/// The certificate and the issuer whose key identifiers differ, although the signature is right.
pub(super) fn authority_key_mismatch<'a>(
    chain: &'a [Certificate],
    others: &'a [Certificate],
) -> Option<(&'a Certificate, &'a Certificate)> {
    chain.iter().find_map(|child| {
        let wanted = child.authority_key_identifier()?;
        let mut issuers = chain.iter().chain(others).filter(|issuer| {
            *issuer != child
                && issuer.subject().matches(child.issuer())
                && issuer.public_key().is_ok_and(|key| child.verify_signature(key).is_ok())
        });
        let first = issuers.next()?;
        let fits = |issuer: &Certificate| issuer.subject_key_identifier().is_none_or(|have| have == wanted);
        (!fits(first) && !issuers.any(fits)).then_some((child, first))
    })
}

fn reissue(facts: &Facts, certificate: &Certificate, who: &str) -> String {
    match who {
        "server" => mend::issue_server(facts, certificate, OldKey::Kept),
        _ => mend::issue_client(facts, certificate, OldKey::Kept),
    }
}

pub(super) fn authority_key(facts: &Facts, child: &Certificate, issuer: &Certificate, who: &str) -> Finding {
    Finding::new(
        FindingCode::AuthorityKeyMismatch,
        Fault::Issuer,
        format!(
            "the {who}'s certificate {} names another key of its issuer {} than the issuer has: OpenSSL then finds no \
             issuer, although it is right there",
            name(child),
            name(issuer)
        ),
    )
    .certain()
    .evidence(format!("authorityKeyIdentifier: {}", pki::hex(child.authority_key_identifier().unwrap_or_default())))
    .evidence(format!(
        "the issuer's subjectKeyIdentifier: {}",
        pki::hex(issuer.subject_key_identifier().unwrap_or_default())
    ))
    .fix(Fault::Issuer, reissue(facts, child, who))
    .remedy("issue it again from the current certificate of the CA")
}

/// What VERIFY_X509_STRICT minds, which Python 3.13 sets.
pub(super) fn strict(
    leaf: &Certificate,
    chain: &[Certificate],
    anchors: &[Certificate],
    who: &str,
    fix: &str,
) -> Option<Finding> {
    if leaf.extensions().is_empty() {
        return None;
    }
    let mut faults = Vec::new();
    if leaf.authority_key_identifier().is_none() && !leaf.is_self_issued() {
        faults.push(format!("{} has no authorityKeyIdentifier", name(leaf)));
    }
    let above = chain[1..]
        .iter()
        .chain(anchors.iter().filter(|anchor| chain.iter().any(|c| c.issuer().matches(anchor.subject()))));
    for ca in above.filter(|c| c.is_ca()) {
        if ca.key_usage().is_none() {
            faults.push(format!("the CA {} has no keyUsage", name(ca)));
        }
        if ca.extensions().iter().any(|e| e.oid == oid::BASIC_CONSTRAINTS && !e.critical) {
            faults.push(format!("the CA {} has basicConstraints that is not critical", name(ca)));
        }
        if ca.subject_key_identifier().is_none() {
            faults.push(format!("the CA {} has no subjectKeyIdentifier", name(ca)));
        }
    }
    faults.dedup();
    let first = faults.first()?;
    let mut finding = Finding::new(
        FindingCode::StrictProfile,
        Fault::Issuer,
        format!("Python 3.13 and newer refuse the {who}'s chain, which others accept: {first}"),
    )
    .certain()
    .fix(Fault::Issuer, fix)
    .remedy("issue it with authorityKeyIdentifier, from a CA with critical basicConstraints and keyUsage keyCertSign");
    for fault in faults.iter().skip(1).take(4) {
        finding = finding.evidence(fault.clone());
    }
    Some(finding)
}
