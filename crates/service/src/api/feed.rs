//! The feed at `/api/v1/feed`: server-sent events that tell gateways whom to believe and whom no longer. It begins with
//! a snapshot, or where the client stopped listening; each event has the number of the audit event that caused it, so
//! nothing is told twice and nothing is left out.
//!
//! A gateway that hears nothing for long knows that it is cut off: a pulse comes every few seconds.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as FromState;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ca::{AuditEvent, Selector};
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{Problem, State};

/// How often a feed without news says that it is there.
const PULSE: Duration = Duration::from_secs(3);

/// Who stopped listening longer ago than this many events gets a snapshot.
const LONGEST_GAP: u64 = 10_000;

/// When a listener that came back gets a new list.
const NEW_LIST_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Events read at a time.
const PAGE: usize = 500;

pub(super) async fn serve(
    FromState(state): FromState<State>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get(HeaderName::from_static("last-event-id"));
    let last = last.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let length = state.blocking(|state| Ok(state.look()?.events)).await?;
    let after = last.filter(|last| *last <= length && length - last <= LONGEST_GAP);
    let mut told = Told { after: after.unwrap_or(0), ..Told::default() };
    if after.is_none() {
        told.waiting.push_back(snapshot(&state, &mut told.after, &mut told.list_made).await?);
    } else {
        // How old its list is, only the listener knows: it gets a new one soon, and what it missed first.
        let half = state.settings().list_lifetime / 2;
        told.list_made = Some(state.now() - half + NEW_LIST_AFTER);
    }
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    tokio::spawn(tell(state, told, sender));
    let mut response = Response::new(Body::new(Stream(receiver)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// How far a listener was told.
#[derive(Default)]
struct Told {
    after: u64,
    waiting: VecDeque<String>,
    list_made: Option<Timestamp>,
}

/// Tells one listener until it goes away.
async fn tell(state: State, mut told: Told, sender: tokio::sync::mpsc::Sender<Bytes>) {
    let _following = std::sync::Arc::clone(state.radar()).follow();
    let mut seen = state.seen();
    loop {
        while let Some(event) = told.waiting.pop_front() {
            if sender.send(Bytes::from(event)).await.is_err() {
                return;
            }
        }
        let known = *seen.borrow_and_update();
        if known.events > told.after {
            let after = told.after;
            match state.blocking(move |state| Ok(state.store().audit_after(after, PAGE)?)).await {
                Ok(events) => {
                    for event in events {
                        told.after = event.sequence;
                        told.waiting.extend(news(&state, &event).await);
                    }
                    continue;
                }
                // Nothing is told that is not known; the pulse stops, and the listener knows.
                Err(_) => {
                    tokio::time::sleep(PULSE).await;
                    continue;
                }
            }
        }
        let half = state.settings().list_lifetime / 2;
        let is_old = told.list_made.is_none_or(|made| state.now().duration_since(made) > half);
        if is_old && let Ok(event) = snapshot(&state, &mut told.after, &mut told.list_made).await {
            told.waiting.push_back(event);
            continue;
        }
        tokio::select! {
            changed = seen.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
            () = tokio::time::sleep(PULSE) => {
                told.waiting.push_back(event("pulse", told.after, &json!({ "time": state.now().to_string() })));
            }
        }
    }
}

/// Everything a gateway needs, as of now.
async fn snapshot(state: &State, after: &mut u64, made: &mut Option<Timestamp>) -> Result<String, Problem> {
    let now = state.now();
    let (sequence, document) = state
        .blocking(move |state| {
            // The number first: what is revoked in between is in the list, and is told again.
            let sequence = state.look()?.events;
            let rules = ca::rules::published(state.store())?;
            let mut document = trust(state, now)?;
            document["rules"] = json!(rules);
            Ok((sequence, document))
        })
        .await?;
    *after = sequence;
    *made = Some(now);
    Ok(event("snapshot", sequence, &document))
}

/// Whom to believe, and the lists of all who issued. `list` is that of the one that issues now. Blocks.
fn trust(state: &State, now: Timestamp) -> Result<Value, Problem> {
    let authority = state.authority();
    let lists = authority.crls(now, state.settings().list_lifetime);
    let lists = lists.map_err(|error| Problem::internal(&error))?;
    let lists: Vec<String> = lists.iter().map(|list| STANDARD.encode(list)).collect();
    let lines = authority.lines();
    let pem = |certificates: &[pki::Certificate]| -> Vec<String> {
        certificates.iter().map(pki::Certificate::to_pem).collect()
    };
    let issuing: Vec<_> = lines.published(now).map(|line| line.issuer().certificate().clone()).collect();
    Ok(json!({
        "time": now.to_string(),
        "anchors": pem(lines.anchors().anchors()),
        "intermediates": pem(&issuing),
        "list": lists.first(),
        "lists": lists,
    }))
}

/// What an audit event means to a gateway; most mean nothing.
async fn news(state: &State, cause: &AuditEvent) -> Option<String> {
    let serial = cause.serial.as_deref().map(pki::hex);
    match cause.action.as_str() {
        "revoke" => {
            let wanted = cause.serial.clone()?;
            let found = state
                .blocking(move |state| Ok(state.store().find(&Selector::Serial(wanted))?))
                .await
                .unwrap_or_default();
            // One that was released since is told as what it was; its release follows.
            let revoked = found.first().and_then(|entry| entry.revoked);
            let (at, reason) = revoked.map_or((cause.at, 0), |record| (record.at, record.reason.code()));
            let document = json!({ "serial": serial, "at": at.to_string(), "reason": reason });
            Some(event("revoke", cause.sequence, &document))
        }
        "release" => Some(event("release", cause.sequence, &json!({ "serial": serial }))),
        "policy" => {
            // Rules that cannot be read now are told with the next change, or in the next snapshot.
            let rules = state.blocking(|state| Ok(ca::rules::published(state.store())?)).await.ok()?;
            Some(event("policy", cause.sequence, &json!({ "rules": rules })))
        }
        // The lists too: a line that is new has one, without which its certificates may be refused.
        "rollover" => {
            let now = state.now();
            let document = state.blocking(move |state| trust(state, now)).await.ok()?;
            Some(event("trust", cause.sequence, &document))
        }
        _ => None,
    }
}

/// One event as it is sent (WHATWG HTML, section 9.2.6).
fn event(kind: &str, id: u64, document: &serde_json::Value) -> String {
    // Compact JSON has no line break, and so one data line holds it.
    format!("id: {id}\nevent: {kind}\ndata: {document}\n\n")
}

/// The body that gives what is sent to it.
struct Stream(tokio::sync::mpsc::Receiver<Bytes>);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
