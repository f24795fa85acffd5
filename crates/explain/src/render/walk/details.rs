//! Where the walk slows down: what is told of a message beyond its one line. Text and page show the same.

use pki::name::DistinguishedName;

use super::certificate::Card;
use crate::escape;
use crate::field::NameDescription;
use crate::finding::Sender;
use crate::tls::registry::{or_hex, signature_scheme_name};
use crate::tls::{Check, Conversation, Kind, Message};

/// A label and its value.
pub(super) type Detail = (&'static str, String);

/// More names of CAs than this are counted; some servers name a whole system's store.
const MOST_NAMES: usize = 12;

/// What is told of a message.
pub(super) fn details(conversation: &Conversation, message: &Message) -> Vec<Detail> {
    let mut details = Vec::new();
    match message.kind {
        Kind::Handshake(13) => request(conversation, &mut details),
        Kind::Handshake(11 | 25) => certificates(conversation, message, &mut details),
        _ => {}
    }
    details.extend(message.checks.iter().flat_map(check));
    details
}

fn request(conversation: &Conversation, details: &mut Vec<Detail>) {
    let Some(request) = &conversation.certificate_request else { return };
    if request.authorities.is_empty() {
        details.push(("accepts", "certificates of any CA: the server does not say which".to_owned()));
    }
    for der in request.authorities.iter().take(MOST_NAMES) {
        details.push(("accepts", format!("certificates issued under {}", name_text(der))));
    }
    if request.authorities.len() > MOST_NAMES {
        details.push(("accepts", format!("and {} more", request.authorities.len() - MOST_NAMES)));
    }
    let schemes: Vec<String> = request
        .signature_schemes
        .iter()
        .map(|scheme| signature_scheme_name(*scheme).map_or_else(|| format!("0x{scheme:04x}"), str::to_owned))
        .collect();
    details.push(("signed with", schemes.join(", ")));
}

/// The text of a distinguished name in DER.
pub(super) fn name_text(der: &[u8]) -> String {
    match DistinguishedName::from_der(der) {
        Ok(name) if name.is_empty() => "(empty)".to_owned(),
        Ok(name) => escape::text(&name.to_string()),
        Err(_) => format!("(unreadable: {})", pki::hex(der)),
    }
}

fn certificates(conversation: &Conversation, message: &Message, details: &mut Vec<Detail>) {
    let chain = message.certificates.as_deref().unwrap_or_default();
    if message.sender == Sender::Client {
        details.extend(answer(conversation, chain));
    }
    for (index, der) in chain.iter().enumerate() {
        let lines = Card::of(der).lines();
        let shown = if index == 0 { lines.len() } else { 3 };
        for (label, value) in lines.into_iter().take(shown) {
            let label = if label == "subject" && index > 0 { "above it" } else { label };
            details.push((label, value));
        }
    }
}

/// How the client's certificate answers what was asked for.
fn answer(conversation: &Conversation, chain: &[Vec<u8>]) -> Option<Detail> {
    let request = conversation.certificate_request.as_ref()?;
    let leaf = chain.first()?;
    if request.authorities.is_empty() {
        return Some(("answers", "any CA would do, so nothing speaks against this one yet".to_owned()));
    }
    let named = |name: &NameDescription| {
        let name = DistinguishedName::from_der(&name.der).ok();
        request.authorities.iter().any(|der| {
            name.as_ref()
                .is_some_and(|name| DistinguishedName::from_der(der).is_ok_and(|other| other.matches(name)))
        })
    };
    let issuers: Vec<Card> = chain.iter().map(|der| Card::of(der)).collect();
    let fits = issuers.iter().any(|card| card.description.issuer.as_ref().is_some_and(named));
    let issuer = Card::of(leaf).issuer();
    Some(if fits {
        ("answers", format!("it was issued under a CA that the server asked for ({issuer})"))
    } else {
        ("answers", format!("its issuer, {issuer}, is NONE of the CAs that the server asked for"))
    })
}

fn check(check: &Check) -> Vec<Detail> {
    let mut details: Vec<Detail> = check.steps.clone();
    let label = match check.passed {
        Some(true) => "verified",
        Some(false) => "FAILED",
        None => "unchecked",
    };
    details.push((label, check.text.clone()));
    details
}

/// The scheme that a CertificateVerify was made with, as `name (0x0403)`.
pub(super) fn scheme_text(scheme: u16) -> String {
    or_hex(signature_scheme_name(scheme), scheme)
}
