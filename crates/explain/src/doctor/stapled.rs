//! The OCSP response that a server staples to its certificate. Most programs do not look at it, so what it says weighs
//! by who asks: Firefox refuses a server for it, and so does curl where it is told to.

use pki::Certificate;
use pki::ocsp::Response;
use pki::verify::{Purpose, ReasonCode, RevocationMode, Rules, TrustBundle, examine};

use super::mend::{self, OldKey};
use super::{Direction, Facts, Notes, Program, Weight, name};
use crate::finding::{Fault, Finding, FindingCode};

pub(super) fn judge(facts: &Facts, der: &[u8], served: &[Certificate], notes: &mut Notes) {
    let Some((leaf, above)) = served.split_first() else { return };
    let response = match Response::from_der(der) {
        Ok(response) => response,
        Err(error) => {
            push(facts, notes, useless(leaf, &error.to_string()));
            return;
        }
    };
    // Who issued the leaf is known from what is served and what is believed; a server's own chain is enough to judge
    // the word of its issuer, whether or not the client believes that one.
    let mut anchors: Vec<Certificate> = facts.own.anchors.clone();
    anchors.extend(above.iter().filter(|certificate| certificate.is_ca()).cloned());
    let anchors = TrustBundle::new(anchors);
    let evidence = [response];
    let rules = Rules {
        ocsp: &evidence,
        revocation: RevocationMode::Required,
        ..Rules::new(&anchors, Purpose::Server, facts.at)
    };
    let reasons = examine(leaf, above, &rules).best().reasons.clone();
    let about_leaf = |code: ReasonCode| reasons.iter().find(|r| r.code == code && r.depth == 0);
    if let Some(reason) = about_leaf(ReasonCode::CertificateRevoked) {
        if !notes.has(FindingCode::CertificateRevoked) {
            push(facts, notes, revoked(facts, leaf, &reason.message));
        }
    } else if let Some(reason) = about_leaf(ReasonCode::OcspInvalid) {
        push(facts, notes, useless(leaf, &reason.message));
    } else if about_leaf(ReasonCode::CrlMissing).is_some() {
        push(facts, notes, useless(leaf, "it says nothing of this certificate: it is for another one"));
    } else if about_leaf(ReasonCode::UnknownIssuer).is_some() {
        notes.unchecked(
            "the stapled OCSP response: the certificate of the issuer is not at hand to verify it",
        );
    } else {
        notes.checked("the stapled OCSP response is in date, and says that the server's certificate is good");
    }
}

/// Whether the program refuses a server for what is stapled. OpenSSL, Node.js, Go and Chrome do not ask; curl does with
/// `--cert-status` alone.
fn looks(program: Program) -> bool {
    program == Program::Firefox
}

fn push(facts: &Facts, notes: &mut Notes, finding: Finding) {
    if looks(facts.program) {
        notes.push(Weight::Blocks, Direction::ClientRefusedServer, finding);
    } else {
        notes.push(Weight::Warns, Direction::Neither, finding);
    }
}

fn revoked(facts: &Facts, leaf: &Certificate, message: &str) -> Finding {
    Finding::new(
        FindingCode::CertificateRevoked,
        Fault::Server,
        format!(
            "the server's certificate {} is revoked, and the server itself says so in the OCSP response that it staples: \
             Firefox refuses it, and curl with --cert-status; other programs do not look",
            name(leaf)
        ),
    )
    .certain()
    .evidence(message.to_owned())
    .fix(Fault::Issuer, mend::issue_server(facts, leaf, OldKey::Replaced))
    .remedy("give the server a new certificate with a new key; the old key may be in other hands")
}

fn useless(leaf: &Certificate, why: &str) -> Finding {
    Finding::new(
        FindingCode::OcspInvalid,
        Fault::Server,
        format!(
            "the OCSP response that the server staples to {} cannot be believed: Firefox refuses the server for it, and \
             curl with --cert-status; other programs do not look",
            name(leaf)
        ),
    )
    .certain()
    .evidence(why.to_owned())
    .fix(Fault::Server, "ssl_stapling on; ssl_stapling_verify on;  # and reload, so that a fresh response is fetched")
    .alternative(Fault::Server, "ssl_stapling off;")
    .remedy("let the server fetch a fresh response from its CA, or staple none")
}
