//! The API at `/api/v1`: everything that people and programs do with the authority, for those whose role allows it.
//!
//! One table says what there is, what each operation asks of its caller, and what its document says; the routes, the
//! checks and the OpenAPI document are made of it.

mod audit;
mod caller;
mod certificates;
mod evaluate;
mod feed;
mod handshakes;
mod health;
mod identities;
mod invites;
mod local;
mod metrics;
mod openapi;
pub(crate) mod refusals;
pub(crate) mod rollover;
mod rules;
mod statistics;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use ca::Permission;
use http::StatusCode;
use http::header::{self, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use caller::Caller;
pub use certificates::certificate_json;
pub(crate) use evaluate::PERMISSIONS;
pub use local::Local;

use crate::{Problem, State, log, nul};

/// One operation of the API.
pub(crate) struct Operation {
    method: &'static str,
    path: &'static str,
    /// What the caller's role must allow; `None` for what anyone may see.
    permission: Option<Permission>,
    summary: &'static str,
    /// Names and meanings of what stands in the query.
    query: &'static [(&'static str, &'static str)],
    /// The name of the request's schema.
    request: Option<&'static str>,
    /// The name of the answer's schema.
    answer: &'static str,
    handler: fn() -> MethodRouter<State>,
}

const PAGE: (&str, &str) = ("after", "the last id of the page before");
const LIMIT: (&str, &str) = ("limit", "the most to list, 100 where nothing is said");

#[rustfmt::skip] // One operation in two lines reads as the table it is.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { method: "get", path: "/api/v1/openapi.json", permission: None, summary: "This document", query: &[],
                request: None, answer: "Document", handler: || get(openapi::serve) },
    Operation { method: "get", path: "/api/v1/whoami", permission: None, summary: "Who the caller is, and what it may do", query: &[],
                request: None, answer: "Caller", handler: || get(caller::whoami) },
    Operation { method: "get", path: "/api/v1/certificates", permission: Some(Permission::Read), summary: "List certificates: the newest first, or by their end where that is asked for",
                query: &[("search", "part of a name, or the start of a serial number or of a SHA-256 fingerprint"), ("partner", "of the identities of this partner"), ("state", "good, revoked, expired"), ("expiring_seconds", "good now, and ending within this time"), ("profile", "server or client"), ("line", "of this line of the authority"), ("after", "the serial number of the last one of the page before"), LIMIT],
                request: None, answer: "Certificates", handler: || get(certificates::list) },
    Operation { method: "post", path: "/api/v1/certificates", permission: Some(Permission::Enrol), summary: "Have a signing request signed", query: &[],
                request: Some("Sign"), answer: "Signed", handler: || post(certificates::sign) },
    Operation { method: "get", path: "/api/v1/certificates/{which}", permission: Some(Permission::Read), summary: "Everything known of a certificate, by name or serial number", query: &[],
                request: None, answer: "Certificates", handler: || get(certificates::show) },
    Operation { method: "post", path: "/api/v1/revocations", permission: Some(Permission::Operate), summary: "Take certificates back", query: &[],
                request: Some("Revoke"), answer: "Certificates", handler: || post(certificates::revoke) },
    Operation { method: "post", path: "/api/v1/releases", permission: Some(Permission::Operate), summary: "Take certificates off hold", query: &[],
                request: Some("Release"), answer: "Certificates", handler: || post(certificates::release) },
    Operation { method: "get", path: "/api/v1/invites", permission: Some(Permission::Read), summary: "List invites", query: &[("waiting", "true for those that wait for approval alone"), PAGE, LIMIT],
                request: None, answer: "Invites", handler: || get(invites::list) },
    Operation { method: "post", path: "/api/v1/invites", permission: Some(Permission::Enrol), summary: "Make an invite; its code is in the answer and nowhere else", query: &[],
                request: Some("NewInvite"), answer: "Invited", handler: || post(invites::create) },
    Operation { method: "get", path: "/api/v1/invites/{handle}", permission: Some(Permission::Read), summary: "An invite, and what was made of it", query: &[],
                request: None, answer: "Invite", handler: || get(invites::show) },
    Operation { method: "delete", path: "/api/v1/invites/{handle}", permission: Some(Permission::Operate), summary: "Take an invite back", query: &[],
                request: None, answer: "Invite", handler: || delete(invites::withdraw) },
    Operation { method: "post", path: "/api/v1/invites/{handle}/decision", permission: Some(Permission::Operate), summary: "Approve or refuse what waits on an invite", query: &[],
                request: Some("Decision"), answer: "Invite", handler: || post(invites::decide) },
    Operation { method: "get", path: "/api/v1/partners", permission: Some(Permission::Read), summary: "List partners", query: &[("counted", "false leaves out how many certificates each has"), PAGE, LIMIT],
                request: None, answer: "Partners", handler: || get(identities::partners) },
    Operation { method: "put", path: "/api/v1/partners/{name}", permission: Some(Permission::Operate), summary: "Make or change a partner", query: &[],
                request: Some("NewPartner"), answer: "Partner", handler: || put(identities::put_partner) },
    Operation { method: "get", path: "/api/v1/identities", permission: Some(Permission::Read), summary: "List identities", query: &[("partner", "of this partner"), PAGE, LIMIT],
                request: None, answer: "Identities", handler: || get(identities::identities) },
    Operation { method: "put", path: "/api/v1/identities/{label}", permission: Some(Permission::Operate), summary: "Change an identity; its role only by an admin", query: &[],
                request: Some("NewIdentity"), answer: "Identity", handler: || put(identities::put_identity) },
    Operation { method: "get", path: "/api/v1/health", permission: Some(Permission::Read), summary: "How replicas, gateways, the feed and the list do", query: &[],
                request: None, answer: "Health", handler: || get(health::health) },
    Operation { method: "get", path: "/api/v1/clients", permission: Some(Permission::Read), summary: "Certificates that were seen lately, the last one first",
                query: &[("serial", "the one with this serial number"), ("within_seconds", "seen within this time, a day where nothing is said"), LIMIT],
                request: None, answer: "Clients", handler: || get(health::clients) },
    Operation { method: "post", path: "/api/v1/reports", permission: Some(Permission::Follow), summary: "A gateway tells how it does and whom it sees", query: &[],
                request: Some("Report"), answer: "ReportTaken", handler: || post(health::report) },
    Operation { method: "post", path: "/api/v1/evaluations", permission: Some(Permission::Read), summary: "What a certificate would be allowed under these rules, and here", query: &[],
                request: Some("Question"), answer: "Evaluation", handler: || post(evaluate::evaluate) },
    Operation { method: "get", path: "/api/v1/rules", permission: Some(Permission::Read), summary: "The rules that gateways get by the feed", query: &[],
                request: None, answer: "Rules", handler: || get(rules::show) },
    Operation { method: "put", path: "/api/v1/rules", permission: Some(Permission::Administer), summary: "Publish rules to gateways, in place of those before", query: &[],
                request: Some("NewRules"), answer: "Rules", handler: || put(rules::put) },
    Operation { method: "get", path: "/api/v1/refusals", permission: Some(Permission::Read), summary: "Handshakes that were refused lately, newest first",
                query: &[("after", "only those with a higher number"), LIMIT],
                request: None, answer: "Refusals", handler: || get(refusals::list) },
    Operation { method: "post", path: "/api/v1/refusals", permission: Some(Permission::Follow), summary: "Report a handshake that a gateway refused", query: &[],
                request: Some("RefusalReport"), answer: "Reported", handler: || post(refusals::report) },
    Operation { method: "get", path: "/api/v1/refusals/{number}", permission: Some(Permission::Read), summary: "A refused handshake: the doctor's report and the conversation", query: &[],
                request: None, answer: "Refusal", handler: || get(refusals::show) },
    Operation { method: "get", path: "/api/v1/handshakes", permission: Some(Permission::Read), summary: "Handshakes counted by TLS version, kind of key and identity, over time, on all replicas and gateways",
                query: &[("by", "hour, for the last 24, or day, for the last 30; hour where nothing is said")],
                request: None, answer: "Handshakes", handler: || get(handshakes::show) },
    Operation { method: "post", path: "/api/v1/handshakes", permission: Some(Permission::Follow), summary: "A gateway tells how many handshakes it did", query: &[],
                request: Some("HandshakeReport"), answer: "HandshakesTaken", handler: || post(handshakes::report) },
    Operation { method: "get", path: "/api/v1/rollover", permission: Some(Permission::Read), summary: "How far a change of the CA has come, and what remains",
                query: &[("within_seconds", "who was seen within this time counts as still there, a day where nothing is said")],
                request: None, answer: "Rollover", handler: || get(rollover::show) },
    Operation { method: "post", path: "/api/v1/rollover", permission: Some(Permission::Administer), summary: "Take the next step of a change of the CA", query: &[],
                request: Some("RolloverStep"), answer: "Rollover", handler: || post(rollover::take) },
    Operation { method: "get", path: "/api/v1/statistics", permission: Some(Permission::Read), summary: "Counts by state, of the last 30 days, and of the next 13 weeks", query: &[],
                request: None, answer: "Statistics", handler: || get(statistics::serve) },
    Operation { method: "get", path: "/api/v1/metrics", permission: Some(Permission::Read), summary: "The counts as Prometheus reads them", query: &[],
                request: None, answer: "Metrics", handler: || get(metrics::serve) },
    Operation { method: "get", path: "/api/v1/feed", permission: Some(Permission::Follow), summary: "Server-sent events: whom to believe, and whom no longer", query: &[],
                request: None, answer: "Feed", handler: || get(feed::serve) },
    Operation { method: "get", path: "/api/v1/audit", permission: Some(Permission::Audit), summary: "The audit trail, oldest first", query: &[("after", "the number of the last event of the page before"), ("serial", "of the certificate with this serial number, in hexadecimal"), LIMIT],
                request: None, answer: "Events", handler: || get(audit::events) },
    Operation { method: "get", path: "/api/v1/log", permission: Some(Permission::Audit), summary: "The log of everything issued: its signed checkpoint now", query: &[],
                request: None, answer: "Log", handler: || get(log::describe) },
    Operation { method: "get", path: "/api/v1/log/proof/{which}", permission: Some(Permission::Audit), summary: "The proof that a certificate, by name or serial number, is in the log", query: &[],
                request: None, answer: "Proof", handler: || get(log::prove) },
    Operation { method: "get", path: "/api/v1/log/consistency", permission: Some(Permission::Audit), summary: "The proof that the log of one size begins with that of another", query: &[("from", "the smaller number of entries"), ("to", "the larger one")],
                request: None, answer: "Consistency", handler: || get(log::consistency) },
    Operation { method: "get", path: "/api/v1/log/entries", permission: Some(Permission::Audit), summary: "The certificates in the log, in its order", query: &[("start", "the place of the first, from 0"), LIMIT],
                request: None, answer: "Entries", handler: || get(log::entries) },
];

/// The routes, each behind the check of its permission.
pub(crate) fn routes(state: &State) -> Router<State> {
    OPERATIONS.iter().fold(Router::new(), |router, operation| {
        router.route(operation.path, guarded(state, operation.permission, (operation.handler)()))
    })
}

/// A handler behind the check of what its caller's role must allow.
pub(crate) fn guarded(
    state: &State,
    permission: Option<Permission>,
    handler: MethodRouter<State>,
) -> MethodRouter<State> {
    let check = caller::Check { state: state.clone(), permission };
    handler.layer(axum::middleware::from_fn_with_state(check, caller::check))
}

/// An answer in JSON that no cache keeps.
fn answer(status: StatusCode, value: &Value) -> Response {
    let mut response = (status, value.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn ok(value: &Value) -> Response {
    answer(StatusCode::OK, value)
}

/// Reads a request's body.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if nul::is_in_json(body) {
        return Err(nul::refused());
    }
    serde_json::from_slice(body).map_err(|error| {
        Problem::of(400, "bad-request", format!("the body is not what this operation takes: {error}"))
    })
}

/// How many of a list are wanted; between 1 and 1000.
pub(crate) fn limit(wanted: Option<usize>) -> usize {
    wanted.unwrap_or(100).clamp(1, 1000)
}

/// A page of a list by ids, with what asks for the next one.
fn page(name: &str, items: Vec<Value>, next: Option<String>) -> Value {
    json!({ name: items, "next": next })
}
