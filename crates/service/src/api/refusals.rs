//! Refused handshakes: their list, each with the doctor's report and the conversation, and what gateways report.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query as FromQuery, State as FromState};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::observed::{self, Span};
use explain::capture::Transcript;
use explain::doctor::{Direction, advised};
use explain::render::{Shown, conversation_json};
use explain::{Finding, FindingCode};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, answer, limit, ok, read};
use crate::refusals::{Refusal, fault, is_recent};
use crate::{Problem, State};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    after: Option<u64>,
    limit: Option<usize>,
}

/// How many of each code.
type Codes = BTreeMap<String, u64>;

/// The last days that are told of.
const DAYS: i64 = 30;
/// The last hours.
const HOURS: i64 = 24;

pub(super) async fn list(
    FromState(state): FromState<State>,
    wanted: Result<FromQuery<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let FromQuery(wanted) = wanted.map_err(|error| Problem::of(400, "bad-request", error.body_text()))?;
    let now = state.now();
    let document = state
        .blocking(move |state| {
            state.share_refusals()?;
            let list = state.store().refused_handshakes(wanted.after.unwrap_or(0), limit(wanted.limit))?;
            let last = state.store().refused_handshakes(0, 1)?.first().map_or(0, |one| one.number);
            let by_hour = stretches(state, Span::Hour, HOURS, now)?;
            let by_day = stretches(state, Span::Day, DAYS, now)?;
            let of = |(start, codes): &(Timestamp, Codes), name: &str| {
                json!({ name: start.to_string(), "codes": codes })
            };
            let total: u64 = by_hour.iter().flat_map(|(_, codes)| codes.values()).sum();
            Ok(json!({
                "refusals": list.into_iter().filter_map(Refusal::read).map(|one| as_json(&one)).collect::<Vec<_>>(),
                "last": last,
                "total": total,
                "by_hour": by_hour.iter().map(|one| of(one, "hour")).collect::<Vec<_>>(),
                "by_day": by_day.iter().map(|one| of(one, "day")).collect::<Vec<_>>(),
            }))
        })
        .await?;
    Ok(ok(&document))
}

/// For each of the last stretches of time, the oldest first: its start, and how many of each code. Blocks.
fn stretches(
    state: &State,
    span: Span,
    most: i64,
    now: Timestamp,
) -> Result<Vec<(Timestamp, Codes)>, Problem> {
    let last = span.start(now);
    let start = |back: i64| last - SignedDuration::from_secs(back * span.seconds());
    let mut all: BTreeMap<Timestamp, Codes> = (0..most).map(|back| (start(back), Codes::new())).collect();
    for tally in state.store().tallies(observed::REFUSALS, span, start(most - 1))? {
        *all.entry(tally.start).or_default().entry(tally.name).or_default() += tally.count;
    }
    Ok(all.into_iter().collect())
}

/// The refused handshake with this number, as the memory of all replicas has it. Blocks.
///
/// # Errors
/// A [`Problem`] where there is none, or the memory cannot be read.
pub(crate) fn find(state: &State, number: u64) -> Result<Refusal, Problem> {
    let gone = || Problem::of(404, "not-found", format!("there is no refused handshake {number} (any more)"));
    state.store().refused_handshake(number)?.and_then(Refusal::read).ok_or_else(gone)
}

pub(super) async fn show(
    FromState(state): FromState<State>,
    Path(number): Path<u64>,
) -> Result<Response, Problem> {
    let now = state.now();
    // Signatures are computed again: not on the threads that answer.
    let document = state
        .blocking(move |state| {
            state.share_refusals()?;
            let refusal = find(state, number)?;
            let conversation = refusal.conversation();
            let trust = state.authority().anchors().anchors().to_vec();
            let mut document = as_json(&refusal);
            document["report"] = refusal.report(conversation.as_ref(), &trust, now).json();
            document["conversation"] =
                conversation.map(|one| conversation_json(&one, Shown::default())).into();
            Ok(document)
        })
        .await?;
    Ok(ok(&document))
}

pub(crate) fn as_json(refusal: &Refusal) -> Value {
    json!({
        "number": refusal.number,
        "at": refusal.at.to_string(),
        "gateway": refusal.gateway,
        "from": refusal.from,
        "code": refusal.finding.code.name(),
        "fault": refusal.finding.fault.name(),
        "message": refusal.finding.summary,
        "subject": refusal.subject,
        "serial_number": refusal.serial,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reported {
    at: String,
    from: String,
    code: String,
    fault: Option<String>,
    message: String,
    #[serde(default)]
    evidence: Vec<String>,
    remedy: Option<String>,
    subject: Option<String>,
    serial_number: Option<String>,
    transcript: Option<String>,
}

/// What a gateway saw. It is shown and never acted upon: a gateway can say what it likes.
pub(super) async fn report(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::of(400, "bad-request", detail);
    let reported: Reported = read(&body)?;
    let at: Timestamp = reported.at.parse().map_err(|error: jiff::Error| bad(error.to_string()))?;
    if !is_recent(at, state.now()) {
        return Err(bad(format!("{at} is not within the last day")));
    }
    let code = FindingCode::from_name(&reported.code)
        .ok_or_else(|| bad(format!("'{}' is no code of a finding", reported.code)))?;
    let transcript = match &reported.transcript {
        None => None,
        Some(text) => {
            let octets = STANDARD.decode(text).map_err(|error| bad(error.to_string()))?;
            Transcript::from_bytes(&octets).map_err(|error| bad(error.to_string()))?;
            Some(octets)
        }
    };
    let mut finding =
        Finding::new(code, fault(reported.fault.as_deref().unwrap_or("client")), reported.message);
    finding.evidence = reported.evidence;
    finding.remedy = reported.remedy;
    // The command that mends it is ours: a gateway could say anything.
    let finding = advised(finding, Direction::ServerRefusedClient);
    let kept = state.refusals().reported(Refusal {
        number: 0,
        at,
        gateway: Some(caller.label),
        from: reported.from,
        finding,
        subject: reported.subject,
        serial: reported.serial_number,
        transcript,
    });
    Ok(answer(StatusCode::OK, &json!({ "kept": kept })))
}
