//! The audit trail, page by page. Each event carries its hash, so that whoever reads it can check the chain.

use axum::extract::{Query as FromQuery, State as FromState};
use axum::response::Response;
use ca::{AuditEvent, Selector};
use pki::certificate::serial_hex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{limit, ok, page};
use crate::{Problem, State};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    after: Option<u64>,
    serial: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn events(
    FromState(state): FromState<State>,
    FromQuery(wanted): FromQuery<Wanted>,
) -> Result<Response, Problem> {
    let limit = limit(wanted.limit);
    let (events, length) = state
        .blocking(move |state| {
            let (after, length) = (wanted.after.unwrap_or(0), state.store().audit_length()?);
            let Some(serial) = wanted.serial else {
                return Ok((state.store().audit_after(after, limit)?, length));
            };
            let found = state.store().find(&Selector::parse(&serial))?;
            let Some(entry) = found.first() else {
                return Err(Problem::of(404, "not-found", format!("no certificate of '{serial}' was found")));
            };
            let mut events = state.store().audit(Some(&entry.serial))?;
            events.retain(|event| event.sequence > after);
            events.truncate(limit);
            Ok((events, length))
        })
        .await?;
    let next = events.last().filter(|_| events.len() == limit).map(|event| event.sequence.to_string());
    let mut document = page("events", events.iter().map(event_json).collect(), next);
    // Of the whole trail, so that somebody can begin at its end.
    document["length"] = length.into();
    Ok(ok(&document))
}

fn event_json(event: &AuditEvent) -> Value {
    json!({
        "sequence": event.sequence,
        "at": event.at.to_string(),
        "who": event.actor,
        "from": event.origin,
        "what": event.action,
        "serial_number": event.serial.as_deref().map(serial_hex),
        "why": event.details,
        "hash": pki::hex(&event.hash),
    })
}
