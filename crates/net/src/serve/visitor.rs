//! The built-in page: it shows visitors who they are, as the server sees them.

use std::fmt::Write as _;

use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use jiff::Timestamp;
use pki::Certificate;
use serde_json::{Value, json};

use super::access::clean;
use super::body::AnswerBody;
use super::connection::Visit;
use super::pages::{self, Wanted, escape};
use crate::snapshot::Admission;

/// Answers any path, to whom was admitted.
pub(crate) fn answer(admission: &Admission, request: &Parts, visit: &Visit) -> Response<AnswerBody> {
    if !matches!(request.method, Method::GET | Method::HEAD | Method::POST | Method::PUT) {
        let mut response = pages::problem(
            Wanted::of(&request.headers),
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This page can be read with GET.",
        );
        response
            .headers_mut()
            .insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD, POST, PUT"));
        return response;
    }
    match Wanted::of(&request.headers) {
        Wanted::Json => pages::json_answer(StatusCode::OK, &as_json(admission, visit)),
        Wanted::Text => pages::text_answer(StatusCode::OK, as_text(visit)),
        Wanted::Html => pages::html(StatusCode::OK, &title(visit), &as_html(visit)),
    }
}

fn title(visit: &Visit) -> String {
    match &visit.peer {
        Some(peer) => format!("hello, {}", peer.display_name()),
        None => "hello, stranger".to_owned(),
    }
}

/// The facts as pairs of a label and a text.
fn facts(visit: &Visit) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    match &visit.peer {
        None => facts.push(("verified as", "nobody: you sent no certificate".to_owned())),
        Some(peer) => {
            let certificate = peer.certificate();
            let names: Vec<String> = peer.identities().iter().map(ToString::to_string).collect();
            facts.push(("verified as", names.join(", ")));
            facts.push(("by", certificate.issuer().to_string()));
            facts.push(("under", peer.path().anchor().subject().to_string()));
            facts.push(("serial", certificate.serial_hex()));
            facts.push(("valid until", until(certificate, visit.now)));
        }
    }
    facts.push(("TLS", visit.negotiated.version.clone()));
    facts.push(("suite", visit.negotiated.cipher_suite.clone()));
    facts.push(("group", visit.negotiated.group.clone()));
    facts
}

pub(super) fn days_left(certificate: &Certificate, now: Timestamp) -> i64 {
    (certificate.not_after().as_second() - now.as_second()).max(0) / 86_400
}

pub(super) fn until(certificate: &Certificate, now: Timestamp) -> String {
    let when = certificate.not_after().strftime("%Y-%m-%d %H:%M:%S UTC");
    match days_left(certificate, now) {
        0 => format!("{when} (less than a day left)"),
        1 => format!("{when} (1 day left)"),
        days => format!("{when} ({days} days left)"),
    }
}

fn as_text(visit: &Visit) -> String {
    let mut text = format!("{}\n\n", clean(&title(visit)));
    for (label, fact) in facts(visit) {
        let _ = writeln!(text, "{label:<12} {}", clean(&fact));
    }
    text
}

fn as_html(visit: &Visit) -> String {
    let mut body = format!("<h1 class=\"good\">{}</h1>\n", escape(&title(visit)));
    body.push_str(&pages::facts_html(&facts(visit)));
    body.push_str("<p>This is what the server knows about you. countersign serve --to http://host:port ");
    body.push_str("forwards it to a service of yours.</p>\n");
    body
}

pub(super) fn as_json(admission: &Admission, visit: &Visit) -> Value {
    let certificate = visit.peer.as_ref().map(|peer| {
        let certificate = peer.certificate();
        json!({
            "subject": certificate.subject().to_string(),
            "issuer": certificate.issuer().to_string(),
            "anchor": peer.path().anchor().subject().to_string(),
            "serial": certificate.serial_hex(),
            "not_before": certificate.not_before().to_string(),
            "not_after": certificate.not_after().to_string(),
            "days_left": days_left(certificate, visit.now),
            "sha256": pki::hex(&certificate.sha256()),
            "identities": peer
                .identities()
                .iter()
                .map(|identity| json!({ "kind": identity.kind(), "value": identity.value() }))
                .collect::<Vec<_>>(),
        })
    });
    json!({
        "identity": visit.peer.as_ref().map(|peer| peer.display_name()),
        "verified": visit.peer.is_some(),
        "admitted_by": &**admission.rule(),
        "certificate": certificate,
        "tls": {
            "version": visit.negotiated.version,
            "cipher_suite": visit.negotiated.cipher_suite,
            "group": visit.negotiated.group,
            "alpn": visit.negotiated.alpn,
        },
    })
}
