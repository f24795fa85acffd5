//! Identities and the partners they belong to.

use axum::Extension;
use axum::extract::{Path, Query as FromQuery, State as FromState};
use axum::response::Response;
use bytes::Bytes;
use ca::{Identity, Partner, Role};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, limit, ok, page, read};
use crate::{Problem, State};

/// Three certificates let an old one, a new one and a rehearsal overlap.
const MOST_CERTIFICATES: u32 = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    partner: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

fn identity_json(identity: &Identity) -> Value {
    json!({ "name": identity.label, "partner": identity.partner, "contact": identity.contact,
            "role": identity.role.map(Role::name) })
}

pub(super) async fn identities(
    FromState(state): FromState<State>,
    FromQuery(wanted): FromQuery<Wanted>,
) -> Result<Response, Problem> {
    let limit = limit(wanted.limit);
    let found = state
        .blocking(move |state| {
            let after = wanted.after.map(|label| label.to_ascii_lowercase());
            Ok(Identity::list(state.store(), wanted.partner.as_deref(), after.as_deref(), limit)?)
        })
        .await?;
    let next = found.last().filter(|_| found.len() == limit).map(|identity| identity.label.clone());
    Ok(ok(&page("identities", found.iter().map(identity_json).collect(), next)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewIdentity {
    partner: Option<String>,
    contact: Option<String>,
    role: Option<String>,
}

pub(super) async fn put_identity(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    Path(label): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: NewIdentity = read(&body)?;
    let role = wish.role.map(|text| text.parse::<Role>()).transpose();
    let role = role.map_err(|error| Problem::of(400, "bad-request", error))?;
    let now = state.now();
    let identity = state
        .blocking(move |state| {
            let before = Identity::find(state.store(), &label)?;
            caller.may_act_for(state, &label)?;
            if before.role != role && caller.role != Some(Role::Admin) {
                return Err(Problem::of(403, "not-allowed", "only an admin decides who has which role"));
            }
            if let Some(partner) = &wish.partner
                && Partner::find(state.store(), partner)?.is_none()
            {
                return Err(Problem::of(404, "not-found", format!("there is no partner '{partner}'")));
            }
            let identity = Identity { label, partner: wish.partner, contact: wish.contact, role };
            identity.put(state.store(), caller.who(), now)?;
            Ok(identity)
        })
        .await?;
    Ok(ok(&identity_json(&identity)))
}

fn partner_json(partner: &Partner, certificates: Option<usize>) -> Value {
    json!({ "name": partner.name, "contact": partner.contact, "most_certificates": partner.most_certificates,
            "certificates": certificates })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedPartners {
    /// Counting the certificates of a thousand partners takes most of a second.
    counted: Option<bool>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn partners(
    FromState(state): FromState<State>,
    FromQuery(wanted): FromQuery<WantedPartners>,
) -> Result<Response, Problem> {
    let limit = limit(wanted.limit);
    let now = state.now();
    let found = state
        .blocking(move |state| {
            let partners = Partner::list(state.store(), wanted.after.as_deref(), limit)?;
            let counted = |partner: Partner| {
                let count = match wanted.counted {
                    Some(false) => None,
                    _ => Some(Partner::certificates(state.store(), &partner.name, now)?),
                };
                Ok((partner, count))
            };
            partners.into_iter().map(counted).collect::<Result<Vec<_>, Problem>>()
        })
        .await?;
    let next = found.last().filter(|_| found.len() == limit).map(|(partner, _)| partner.name.clone());
    let items = found.iter().map(|(partner, count)| partner_json(partner, *count)).collect();
    Ok(ok(&page("partners", items, next)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPartner {
    contact: Option<String>,
    most_certificates: Option<u32>,
}

pub(super) async fn put_partner(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: NewPartner = read(&body)?;
    if name.trim() != name || name.chars().any(char::is_control) || name.chars().count() > 64 {
        return Err(Problem::of(400, "bad-request", "a partner's name is one line of at most 64 characters"));
    }
    let now = state.now();
    let (partner, count) = state
        .blocking(move |state| {
            let most_certificates = wish.most_certificates.unwrap_or(MOST_CERTIFICATES);
            let partner = Partner { name, contact: wish.contact, most_certificates };
            partner.put(state.store(), caller.who(), now)?;
            let count = Partner::certificates(state.store(), &partner.name, now)?;
            Ok((partner, count))
        })
        .await?;
    Ok(ok(&partner_json(&partner, Some(count))))
}
