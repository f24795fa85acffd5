//! The page "Try it": the lock, opened. A visitor sees what the gateway saw of the connection: the visitor's chain, the
//! server's certificate, what was agreed, and what comes next. Who is not let in gets the pages of refusal instead, which
//! are reached without a certificate and with a bad one.

use std::fmt::Write as _;

use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use pki::Certificate;
use pki::verify::VerifiedPath;
use serde_json::{Value, json};

use super::access::clean;
use super::body::AnswerBody;
use super::connection::Visit;
use super::pages::{self, Wanted, escape, facts_html};
use super::visitor::{as_json, until};
use crate::snapshot::Admission;

/// How far the page looks ahead.
const NEXT_MONTH: SignedDuration = SignedDuration::from_hours(31 * 24);

/// Answers any path, to whom was admitted.
pub(crate) fn answer(admission: &Admission, request: &Parts, visit: &Visit) -> Response<AnswerBody> {
    let wanted = Wanted::of(&request.headers);
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let sentence = "This page can be read with GET.";
        let mut response =
            pages::problem(wanted, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", sentence);
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let sight = Sight::of(visit);
    match wanted {
        Wanted::Json => {
            let mut value = as_json(admission, visit);
            value["chain"] = sight.chain.iter().map(|one| as_value(one, visit.now)).collect();
            value["server_certificate"] = sight.server.as_ref().map(|one| as_value(one, visit.now)).into();
            value["ahead"] = json!(sight.ahead(visit.now));
            pages::json_answer(StatusCode::OK, &value)
        }
        Wanted::Text => pages::text_answer(StatusCode::OK, sight.text(visit)),
        Wanted::Html => pages::html(StatusCode::OK, &sight.title, &sight.html(admission, visit)),
    }
}

/// What the gateway saw.
struct Sight {
    title: String,
    /// The visitor's path, the leaf first and the anchor last; empty without a certificate.
    chain: Vec<Certificate>,
    server: Option<Certificate>,
}

impl Sight {
    fn of(visit: &Visit) -> Self {
        let path = visit.peer.as_ref().map(|peer| peer.path());
        let title = match &visit.peer {
            Some(peer) => format!("The lock is open, {}", peer.display_name()),
            None => "The lock is open to anyone".to_owned(),
        };
        let shown = visit.shown.as_ref().and_then(|key| Certificate::from_der(key.cert.first()?).ok());
        Sight { title, chain: path.map(whole).unwrap_or_default(), server: shown }
    }

    /// What would happen later to who changes nothing, in sentences.
    fn ahead(&self, now: Timestamp) -> Vec<String> {
        let mut sentences = Vec::new();
        let Some(own) = self.chain.first() else {
            return vec!["Nobody asked for your certificate here, so nothing of yours ends.".to_owned()];
        };
        let day = |moment: Timestamp| moment.strftime("%Y-%m-%d").to_string();
        let lifetime = own.not_after().duration_since(own.not_before());
        let due = own.not_before() + lifetime * 2 / 3;
        if due <= now {
            sentences
                .push("Two thirds of your certificate's life are over: this is the time to renew it.".into());
        } else {
            sentences.push(format!(
                "Your certificate is due for renewal on {}, at two thirds of its life; an agent does it then by itself.",
                day(due)
            ));
        }
        let named = self.chain.iter().enumerate().map(|(place, one)| (role(place, self.chain.len()), one));
        let first = named.min_by_key(|(_, one)| one.not_after());
        let next_month = now.checked_add(NEXT_MONTH).unwrap_or(Timestamp::MAX);
        if let Some((which, first)) = first {
            let end = first.not_after();
            sentences.push(if end <= next_month {
                format!(
                    "Who comes back on {} with this certificate is refused (certificate_expired): {which} ends on {}.",
                    day(next_month),
                    day(end)
                )
            } else {
                format!(
                    "Who comes back on {} with this certificate is let in, unless it is revoked or the rules change; \
                     {which} is the first to end, on {}.",
                    day(next_month),
                    day(end)
                )
            });
        }
        if let Some(server) = &self.server
            && server.not_after() <= next_month
        {
            sentences.push(format!(
                "The server's own certificate ends on {}; the server renews it before, and you need do nothing.",
                day(server.not_after())
            ));
        }
        sentences
    }

    fn html(&self, admission: &Admission, visit: &Visit) -> String {
        let mut body = format!(
            "<h1 class=\"good\">{}</h1>\n<p>Both sides have proved who they are. This is what the server saw.</p>\n",
            escape(&self.title)
        );
        let names: Vec<String> =
            visit.peer.iter().flat_map(|peer| peer.identities().iter().map(ToString::to_string)).collect();
        let tls = &visit.negotiated;
        let mut facts = vec![("Let in by", admission.rule().to_string())];
        if !names.is_empty() {
            facts.insert(0, ("You are", names.join(", ")));
        }
        facts.extend([
            ("From", visit.origin.address.ip().to_string()),
            ("TLS", tls.version.clone()),
            ("Cipher suite", tls.cipher_suite.clone()),
            ("Key exchange", key_exchange(&tls.group)),
            ("Protocol", tls.alpn.clone().unwrap_or_else(|| "http/1.1, not negotiated".to_owned())),
        ]);
        body.push_str(&facts_html(&facts));
        if !self.chain.is_empty() {
            body.push_str("<h2>Your chain</h2>\n");
            for (place, one) in self.chain.iter().enumerate() {
                body.push_str(&card(capital(role(place, self.chain.len())), one, visit.now));
            }
        }
        body.push_str("<h2>The server</h2>\n");
        match &self.server {
            Some(server) => body.push_str(&card("Its certificate", server, visit.now)),
            None => body.push_str(
                "<p class=\"quiet\">This connection was resumed by a ticket, so no certificate was shown; the one of the \
                 connection before stands.</p>\n",
            ),
        }
        body.push_str("<h2>What comes next</h2>\n<ul>\n");
        for sentence in self.ahead(visit.now) {
            let _ = writeln!(body, "<li>{}</li>", escape(&sentence));
        }
        body.push_str("</ul>\n");
        body
    }

    fn text(&self, visit: &Visit) -> String {
        let mut text = format!("{}\n\n", clean(&self.title));
        for (place, one) in self.chain.iter().enumerate() {
            let ends = until(one, visit.now);
            let _ =
                writeln!(text, "{:<18} {}, until {ends}", role(place, self.chain.len()), clean(&name(one)));
        }
        if let Some(server) = &self.server {
            let ends = until(server, visit.now);
            let _ = writeln!(text, "{:<18} {}, until {ends}", "the server's", clean(&name(server)));
        }
        let tls = &visit.negotiated;
        let _ = writeln!(text, "{:<18} {} {} {}\n", "TLS", tls.version, tls.cipher_suite, tls.group);
        for sentence in self.ahead(visit.now) {
            let _ = writeln!(text, "{sentence}");
        }
        text
    }
}

/// A path with its anchor.
fn whole(path: &VerifiedPath) -> Vec<Certificate> {
    let mut chain = path.certificates().to_vec();
    if chain.last() != Some(path.anchor()) {
        chain.push(path.anchor().clone());
    }
    chain
}

fn role(place: usize, length: usize) -> &'static str {
    match place {
        0 => "your certificate",
        place if place + 1 == length => "the root",
        _ => "the issuing CA",
    }
}

fn capital(role: &str) -> &str {
    match role {
        "your certificate" => "Your certificate",
        "the root" => "The root that the server believes",
        _ => "The CA that issued it",
    }
}

/// The group with what it means.
fn key_exchange(group: &str) -> String {
    if group.contains("MLKEM") {
        format!("{group}: what is recorded today stays closed to tomorrow's quantum computers")
    } else {
        group.to_owned()
    }
}

fn name(certificate: &Certificate) -> String {
    let subject = certificate.subject().to_string();
    if subject.is_empty() { certificate.short_name() } else { subject }
}

/// A certificate as a card.
pub(super) fn card(title: &str, certificate: &Certificate, now: Timestamp) -> String {
    let names: Vec<String> = certificate.subject_alt_names().iter().map(ToString::to_string).collect();
    let mut facts = vec![("Name", name(certificate))];
    if !names.is_empty() {
        facts.push(("Also", names.join(", ")));
    }
    facts.extend([
        ("Issued by", certificate.issuer().to_string()),
        ("Valid from", certificate.not_before().strftime("%Y-%m-%d %H:%M UTC").to_string()),
        ("Until", until(certificate, now)),
        ("Key", key(certificate)),
        ("Serial number", certificate.serial_hex()),
        ("SHA-256", pki::hex(&certificate.sha256())),
    ]);
    format!("<section class=\"card\"><h3>{}</h3>\n{}</section>\n", escape(title), facts_html(&facts))
}

fn key(certificate: &Certificate) -> String {
    certificate
        .public_key()
        .map_or_else(|_| "of an unknown kind".to_owned(), |key| key.algorithm().to_string())
}

fn as_value(certificate: &Certificate, now: Timestamp) -> Value {
    json!({
        "subject": certificate.subject().to_string(),
        "subject_alt_name": certificate.subject_alt_names().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "issuer": certificate.issuer().to_string(),
        "serial": certificate.serial_hex(),
        "not_before": certificate.not_before().to_string(),
        "not_after": certificate.not_after().to_string(),
        "expired": certificate.not_after() < now,
        "key": key(certificate),
        "sha256": pki::hex(&certificate.sha256()),
    })
}
