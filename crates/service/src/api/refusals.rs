//! Refused handshakes: their list, each with the doctor's report and the conversation, and what gateways report.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query as FromQuery, State as FromState};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use explain::capture::Transcript;
use explain::doctor::{Direction, advised};
use explain::render::{Shown, conversation_json};
use explain::{Finding, FindingCode};
use http::StatusCode;
use jiff::Timestamp;
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

pub(super) async fn list(
    FromState(state): FromState<State>,
    wanted: Result<FromQuery<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let FromQuery(wanted) = wanted.map_err(|error| Problem::of(400, "bad-request", error.body_text()))?;
    let refusals = state.refusals();
    let list = refusals.list(wanted.after.unwrap_or(0), limit(wanted.limit));
    let by_hour: Vec<Value> = refusals
        .by_hour(state.now())
        .into_iter()
        .map(|(start, codes)| json!({ "hour": start.to_string(), "codes": codes }))
        .collect();
    Ok(ok(&json!({
        "refusals": list.iter().map(as_json).collect::<Vec<_>>(),
        "total": refusals.total(),
        "by_hour": by_hour,
    })))
}

pub(super) async fn show(
    FromState(state): FromState<State>,
    Path(number): Path<u64>,
) -> Result<Response, Problem> {
    let gone = || Problem::of(404, "not-found", format!("there is no refused handshake {number} (any more)"));
    let refusal = state.refusals().find(number).ok_or_else(gone)?;
    let now = state.now();
    // Signatures are computed again: not on the threads that answer.
    let document = state
        .blocking(move |state| {
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
    let number = state.refusals().reported(Refusal {
        number: 0,
        at,
        gateway: Some(caller.label),
        from: reported.from,
        finding,
        subject: reported.subject,
        serial: reported.serial_number,
        transcript,
    });
    Ok(answer(StatusCode::OK, &json!({ "number": number })))
}
