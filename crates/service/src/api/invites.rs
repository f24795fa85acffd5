//! Invites: made, listed, decided, taken back.

use axum::Extension;
use axum::extract::{Path, Query as FromQuery, State as FromState};
use axum::response::Response;
use bytes::Bytes;
use ca::invite::{Stage, Use};
use ca::redeem::{decide as decide_use, withdraw as withdraw_invite};
use ca::{DecideError, Invite, InviteError, NewInvite, names_from_json, names_to_json};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use pki::Profile;
use pki::certificate::serial_hex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, answer, limit, ok, page, read};
use crate::{Problem, State};

/// An invite can be redeemed for a day where nothing is said.
const OPEN_FOR: SignedDuration = SignedDuration::from_hours(24);

fn invite_json(invite: &Invite, now: Timestamp) -> Value {
    json!({
        "handle": invite.handle,
        "name": invite.label,
        "names": names_to_json(&invite.names),
        "profile": invite.profile.name(),
        "lifetime_seconds": invite.lifetime.map(|lifetime| lifetime.as_secs()),
        "state": invite.state(now),
        "uses": invite.uses,
        "left": invite.left(),
        "expires": invite.expires.to_string(),
        "approve": invite.approve,
        "partner": invite.partner,
        "created_by": invite.created_by,
        "created_at": invite.created_at.to_string(),
        "used": invite.used.iter().map(use_json).collect::<Vec<_>>(),
    })
}

fn use_json(used: &Use) -> Value {
    let (stage, serial) = match &used.stage {
        Stage::Asked => ("waits for approval", None),
        Stage::Granted => ("approved", None),
        Stage::Denied => ("refused", None),
        Stage::Issued(serial) => ("issued", Some(serial_hex(serial))),
    };
    json!({ "key_sha256": pki::hex(&used.key), "at": used.at.to_string(), "from": used.from, "stage": stage,
            "serial_number": serial, "kind_of_key": used.asked.key, "requested_names": used.asked.names })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    waiting: Option<bool>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    FromState(state): FromState<State>,
    FromQuery(wanted): FromQuery<Wanted>,
) -> Result<Response, Problem> {
    let limit = limit(wanted.limit);
    let list = if wanted.waiting == Some(true) { Invite::waiting } else { Invite::list };
    let invites =
        state.blocking(move |state| Ok(list(state.store(), wanted.after.as_deref(), limit)?)).await?;
    let next = invites.last().filter(|_| invites.len() == limit).map(|invite| invite.handle.clone());
    let now = state.now();
    Ok(ok(&page("invites", invites.iter().map(|invite| invite_json(invite, now)).collect(), next)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
    names: Value,
    profile: Option<String>,
    lifetime_seconds: Option<i64>,
    uses: Option<u32>,
    open_seconds: Option<i64>,
    approve: Option<bool>,
    partner: Option<String>,
    contact: Option<String>,
}

pub(super) async fn create(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: Wish = read(&body)?;
    let bad = |detail: String| Problem::of(400, "bad-request", detail);
    let profile = wish.profile.as_deref().unwrap_or("client");
    let profile: Profile =
        profile.parse().map_err(|error: pki::profile::UnknownProfile| bad(error.to_string()))?;
    let wish = NewInvite {
        label: wish.name,
        names: names_from_json(&wish.names).map_err(|error| bad(error.to_string()))?,
        profile,
        lifetime: wish.lifetime_seconds.map(SignedDuration::from_secs),
        uses: wish.uses.unwrap_or(1),
        open_for: wish.open_seconds.map_or(OPEN_FOR, SignedDuration::from_secs),
        approve: wish.approve.unwrap_or(false),
        partner: wish.partner,
        contact: wish.contact,
    };
    let (invite, code) = state
        .blocking(move |state| {
            caller.may_act_for(state, &wish.label)?;
            let entropy = state.authority().entropy();
            Invite::create(state.store(), entropy, wish, caller.who(), state.now()).map_err(|error| {
                match error {
                    InviteError::Store(error) => error.into(),
                    InviteError::Entropy(_) => Problem::internal(&error),
                    InviteError::NoPartner(_) => Problem::of(404, "not-found", error),
                    InviteError::Name(_) | InviteError::Rule(_) => Problem::of(400, "bad-request", error),
                    InviteError::OtherPartner { .. } => Problem::of(409, "conflict", error),
                }
            })
        })
        .await?;
    let root = pki::hex(&state.authority().issuer().anchor().sha256());
    let code = code.reveal();
    let mut document = invite_json(&invite, state.now());
    document["link"] = format!("{}/i/{code}#{root}", state.base()).into();
    document["code"] = code.into();
    Ok(answer(StatusCode::CREATED, &document))
}

pub(super) async fn show(
    FromState(state): FromState<State>,
    Path(handle): Path<String>,
) -> Result<Response, Problem> {
    let unknown = Problem::of(404, "not-found", format!("there is no invite '{handle}'"));
    let found = state.blocking(move |state| Ok(Invite::find(state.store(), &handle)?)).await?;
    let (invite, _) = found.ok_or(unknown)?;
    Ok(ok(&invite_json(&invite, state.now())))
}

pub(super) async fn withdraw(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    Path(handle): Path<String>,
) -> Result<Response, Problem> {
    let now = state.now();
    let invite = state
        .blocking(move |state| withdraw_invite(state.store(), &handle, caller.who(), now).map_err(told))
        .await?;
    Ok(ok(&invite_json(&invite, now)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    approve: bool,
    key_sha256: Option<String>,
}

pub(super) async fn decide(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    Path(handle): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let decision: Decision = read(&body)?;
    let now = state.now();
    let invite = state
        .blocking(move |state| {
            if let Some((invite, _)) = Invite::find(state.store(), &handle)? {
                caller.may_act_for(state, &invite.label)?;
            }
            let key = decision.key_sha256.unwrap_or_default();
            decide_use(state.store(), &handle, &key, decision.approve, caller.who(), now).map_err(told)?;
            Ok(Invite::find(state.store(), &handle)?)
        })
        .await?;
    let (invite, _) = invite.ok_or_else(|| Problem::of(404, "not-found", "the invite is gone"))?;
    Ok(ok(&invite_json(&invite, now)))
}

fn told(error: DecideError) -> Problem {
    match error {
        DecideError::Store(error) => error.into(),
        DecideError::NoInvite(_) => Problem::of(404, "not-found", error),
        DecideError::NothingWaits(_) | DecideError::Ambiguous(_) => Problem::of(409, "conflict", error),
    }
}
