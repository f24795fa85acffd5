//! The audit trail, newest first, with the chain of what is shown verified.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State as FromState};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::Deserialize;

use super::call::Api;
use super::frame::{Event, Frame, html, items};
use super::trouble::Trouble;
use crate::{Problem, State};

const PLACE: &str = "/console/audit";
const PER_PAGE: u64 = 100;

pub(super) fn routes() -> Router<State> {
    Router::new().route(PLACE, get(show))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    /// The number of the first entry that is not wanted.
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    chain: String,
    chain_mood: &'static str,
    events: Vec<Event>,
    older: Option<u64>,
}

async fn show(
    FromState(state): FromState<State>,
    api: Api,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Trouble> {
    let length = api.get("/api/v1/audit?limit=1").await?["length"].as_u64().unwrap_or(0);
    let end = wanted.before.map_or(length, |before| before.saturating_sub(1).min(length));
    let after = end.saturating_sub(PER_PAGE);
    let document = api.get(&format!("/api/v1/audit?after={after}&limit={}", (end - after).max(1))).await?;
    let mut events: Vec<Event> = items(&document, "events").map(Event::read).collect();
    events.retain(|event| event.sequence <= end);
    events.reverse();
    let broken = state.blocking(move |state| verify(state, after, end)).await?;
    let (chain, chain_mood) = match broken {
        None => (format!("The chain holds from entry {} to entry {end}.", after + 1), "good"),
        Some(sequence) => (
            format!("The chain is broken at entry {sequence}: it, or one before it, was changed or removed."),
            "bad",
        ),
    };
    let page = Page {
        frame: Frame::of(&state, &api, PLACE, "Audit trail"),
        chain,
        chain_mood,
        events,
        older: (after > 0).then_some(after + 1),
    };
    Ok(html(StatusCode::OK, &page))
}

/// The first entry behind `after` up to `end` that does not fit the one before it.
fn verify(state: &State, after: u64, end: u64) -> Result<Option<u64>, Problem> {
    let previous = match after.checked_sub(1) {
        None => [0; 32],
        Some(before) => match state.store().audit_after(before, 1)?.first() {
            Some(event) => event.hash,
            None => return Ok(Some(after)),
        },
    };
    let count = usize::try_from(end - after).unwrap_or(usize::MAX);
    let events = state.store().audit_after(after, count)?;
    if events.len() < count {
        return Ok(Some(after + events.len() as u64 + 1));
    }
    Ok(ca::verify_audit_from(after, previous, &events).err().map(|broken| broken.sequence))
}
