//! Certificates: listed, shown, signed, taken back.

use axum::Extension;
use axum::extract::{Path, Query as FromQuery, State as FromState};
use axum::response::Response;
use bytes::Bytes;
use ca::{
    Entry, Identity, IssueRequest, Query, ReleaseError, RevokeError, Selector, StateFilter, names_from_json,
};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use pki::certificate::serial_hex;
use pki::crl::RevocationReason;
use pki::name::GeneralName;
use pki::{Certificate, Profile};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, answer, limit, ok, read};
use crate::enrol::{chain_pem, read_request};
use crate::{Problem, State};

/// What is known of a certificate, for programs.
#[must_use]
pub fn certificate_json(entry: &Entry, now: Timestamp) -> Value {
    let certificate = Certificate::from_der(&entry.der).ok();
    let certificate = certificate.as_ref();
    json!({
        "name": entry.label,
        "profile": entry.profile.name(),
        "state": entry.state(now),
        "serial_number": serial_hex(&entry.serial),
        "subject": certificate.map(|c| c.subject().to_string()),
        "subject_alt_name": certificate
            .map(|c| c.subject_alt_names().iter().map(ToString::to_string).collect::<Vec<_>>()),
        "not_before": entry.not_before.to_string(),
        "not_after": entry.not_after.to_string(),
        "issued_at": entry.issued_at.to_string(),
        "requested_by": entry.requested_by,
        "replaces": entry.replaces.as_deref().map(serial_hex),
        "location": entry.location,
        "line": entry.line,
        "revoked_at": entry.revoked.map(|r| r.at.to_string()),
        "revocation_reason": entry.revoked.map(|r| r.reason.name()),
        "sha256": certificate.map(|c| pki::hex(&c.sha256())),
    })
}

fn certificates(entries: &[Entry], more: bool, now: Timestamp) -> Value {
    let list: Vec<Value> = entries.iter().map(|entry| certificate_json(entry, now)).collect();
    let next = entries.last().filter(|_| more).map(|entry| serial_hex(&entry.serial));
    json!({ "certificates": list, "more": more, "next": next })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    search: Option<String>,
    partner: Option<String>,
    state: Option<String>,
    expiring_seconds: Option<i64>,
    profile: Option<String>,
    line: Option<u32>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    FromState(state): FromState<State>,
    wanted: Result<FromQuery<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::of(400, "bad-request", detail);
    let FromQuery(wanted) = wanted.map_err(|error| bad(error.body_text()))?;
    let now = state.now();
    let filter = match (wanted.state.as_deref(), wanted.expiring_seconds) {
        (None, Some(seconds)) => {
            let end = now.checked_add(SignedDuration::from_secs(seconds)).map_err(|e| bad(e.to_string()))?;
            StateFilter::ExpiringBefore(end)
        }
        (None, None) => StateFilter::Any,
        (Some("good"), None) => StateFilter::Good,
        (Some("revoked"), None) => StateFilter::Revoked,
        (Some("expired"), None) => StateFilter::Expired,
        (Some(other), None) => return Err(bad(format!("state={other} is none of good, revoked, expired"))),
        (Some(_), Some(_)) => return Err(bad("state and expiring_seconds exclude each other".to_owned())),
    };
    let profile =
        wanted.profile.map(|text| text.parse::<Profile>().map_err(|e| bad(e.to_string()))).transpose()?;
    let after = wanted.after.map(|text| {
        pki::unhex(&text.replace(':', "")).ok_or_else(|| bad(format!("after={text} is no serial number")))
    });
    let query = Query {
        search: wanted.search,
        partner: wanted.partner,
        state: filter,
        profile,
        line: wanted.line,
        after: after.transpose()?,
        limit: limit(wanted.limit),
    };
    let is_by_end = matches!(query.state, StateFilter::ExpiringBefore(_));
    let document = state
        .blocking(move |state| {
            if let Some(after) = &query.after
                && state.store().find(&Selector::Serial(after.clone()))?.is_empty()
            {
                let detail = format!("after={} is no certificate of this authority", serial_hex(after));
                return Err(Problem::of(404, "not-found", detail));
            }
            let page = state.store().list(&query, now)?;
            let mut document = certificates(&page.entries, page.more, now);
            if is_by_end {
                // Of what is about to end it is asked whom to tell.
                let items = document["certificates"].as_array_mut().into_iter().flatten();
                for (item, entry) in items.zip(&page.entries) {
                    item["contact"] = json!(Identity::contact_of(state.store(), &entry.label)?);
                }
            }
            Ok(document)
        })
        .await?;
    Ok(ok(&document))
}

pub(super) async fn show(
    FromState(state): FromState<State>,
    Path(which): Path<String>,
) -> Result<Response, Problem> {
    let now = state.now();
    let selector = Selector::parse(&which);
    let found = state.blocking(move |state| Ok(state.store().find(&selector)?)).await?;
    if found.is_empty() {
        return Err(Problem::of(404, "not-found", format!("no certificate of '{which}' was found")));
    }
    let mut document = certificates(&found, false, now);
    for (shown, entry) in document["certificates"].as_array_mut().into_iter().flatten().zip(&found) {
        shown["pem"] = pki::pem::encode("CERTIFICATE", &entry.der).into();
    }
    // That of the one which is shown first, as the command shows it: the one in use, or the newest.
    let lines = state.authority().lines();
    let shown = found.iter().find(|entry| entry.is_good(now)).or(found.first());
    let line = shown.and_then(|entry| lines.find(entry.line)).unwrap_or(lines.issuing());
    let chain = line.chain();
    document["chain"] = chain.iter().map(Certificate::to_pem).collect::<String>().into();
    Ok(ok(&document))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    profile: String,
    request: String,
    label: Option<String>,
    names: Option<Value>,
    lifetime_seconds: Option<i64>,
}

pub(super) async fn sign(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: Sign = read(&body)?;
    let bad = |detail: String| Problem::of(400, "bad-request", detail);
    let profile: Profile =
        wish.profile.parse().map_err(|error: pki::profile::UnknownProfile| bad(error.to_string()))?;
    let request = read_request(wish.request.as_bytes())?;
    let names = match &wish.names {
        Some(names) => names_from_json(names).map_err(|error| bad(error.to_string()))?,
        None => request.names(),
    };
    let label = wish.label.clone().or_else(|| names.common_name.clone());
    let label = label.or_else(|| names.alternative.first().map(GeneralName::value)).unwrap_or_default();
    if label.trim().is_empty() {
        return Err(bad("there is no name in the request, and none beside it".to_owned()));
    }
    let ignored = request.ignored().to_vec();
    let filed = label.clone();
    let issued = state
        .blocking(move |state| {
            caller.may_act_for(state, &label)?;
            let request = IssueRequest {
                profile,
                label,
                names,
                public_key: request.public_key().clone(),
                lifetime: wish.lifetime_seconds.map(SignedDuration::from_secs),
                requested_by: caller.label.clone(),
                origin: caller.origin.clone(),
                replaces: None,
                location: None,
            };
            Ok(state.authority().issue(request, state.now())?)
        })
        .await?;
    let certificate = &issued.certificate;
    let document = json!({
        "name": filed,
        "serial_number": certificate.serial_hex(),
        "not_after": certificate.not_after().to_string(),
        "sha256": pki::hex(&certificate.sha256()),
        "ignored": ignored,
        "pem": chain_pem(&issued),
        "anchor": issued.anchor.to_pem(),
    });
    Ok(answer(StatusCode::CREATED, &document))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    which: String,
    reason: Option<String>,
}

pub(super) async fn revoke(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: Revoke = read(&body)?;
    let reason = wish.reason.as_deref().unwrap_or("unspecified");
    let reason: RevocationReason = reason
        .parse()
        .map_err(|error: pki::crl::UnknownRevocationReason| Problem::of(400, "bad-request", error))?;
    let now = state.now();
    let revoked = state
        .blocking(move |state| {
            let selector = Selector::parse(&wish.which);
            for entry in state.store().find(&selector)? {
                caller.may_act_for(state, &entry.label)?;
            }
            ca::revoke(state.store(), &selector, reason, caller.who(), now).map_err(|error| match error {
                RevokeError::Store(error) => error.into(),
                RevokeError::NotFound(_) => Problem::of(404, "not-found", error),
                _ => Problem::of(409, "not-revoked", error),
            })
        })
        .await?;
    state.blocking(State::look).await?;
    Ok(ok(&certificates(&after(&state, revoked).await?, false, now)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    which: String,
}

pub(super) async fn release(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: Release = read(&body)?;
    let now = state.now();
    let released = state
        .blocking(move |state| {
            let selector = Selector::parse(&wish.which);
            for entry in state.store().find(&selector)? {
                caller.may_act_for(state, &entry.label)?;
            }
            ca::release(state.store(), &selector, caller.who(), now).map_err(|error| match error {
                ReleaseError::Store(error) => error.into(),
                ReleaseError::NotOnHold(_) => Problem::of(409, "not-on-hold", error),
            })
        })
        .await?;
    state.blocking(State::look).await?;
    Ok(ok(&certificates(&after(&state, released).await?, false, now)))
}

/// The same certificates as they are now.
async fn after(state: &State, before: Vec<Entry>) -> Result<Vec<Entry>, Problem> {
    state
        .blocking(move |state| {
            let mut after = Vec::new();
            for entry in before {
                after.extend(state.store().find(&Selector::Serial(entry.serial))?);
            }
            Ok(after)
        })
        .await
}
