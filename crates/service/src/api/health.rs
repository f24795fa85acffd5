//! How the whole does: the replicas of the service, the gateways that report to it, the feed, the revocation list; and
//! which certificates were seen lately.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Query as FromQuery, State as FromState};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use net::observe::OwnCertificate;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, limit, ok, read};
use crate::radar::{Gateway, LATE_AFTER, Sighting};
use crate::state::Replica;
use crate::status::lists;
use crate::{Problem, State};

/// The longest text of a report that is kept.
const LONGEST: usize = 300;

pub(super) async fn health(FromState(state): FromState<State>) -> Result<Response, Problem> {
    let now = state.now();
    let replicas = state.blocking(move |state| Ok(Replica::heard(state.store(), now)?)).await?;
    let is_late = |heard: Timestamp| now.duration_since(heard) > LATE_AFTER;
    let replicas: Vec<Value> = replicas
        .iter()
        .map(|one| {
            json!({ "name": one.name, "url": one.base, "version": one.version, "heard_at": one.heard.to_string(),
                    "late": is_late(one.heard), "events": one.events })
        })
        .collect();
    let gateways: Vec<Value> = state
        .radar()
        .gateways()
        .iter()
        .map(|one| {
            let certificates = one.certificates.iter().map(|own| {
                json!({ "name": own.name, "serial": own.serial, "not_after": own.not_after.to_string(),
                        "expired": own.not_after < now })
            });
            let lists = one.lists.iter().map(|(issuer, due)| {
                json!({ "issuer": issuer, "next_update": due.map(|due| due.to_string()),
                        "expired": due.is_some_and(|due| due < now) })
            });
            json!({
                "name": one.name, "reported_by": one.reported_by, "heard_at": one.heard_at.to_string(),
                "late": is_late(one.heard_at), "version": one.version, "started": one.started,
                "connections_open": one.connections_open, "requests": one.requests,
                "anchors": one.anchors, "certificates": certificates.collect::<Vec<_>>(), "revocation_lists": lists.collect::<Vec<_>>(),
            })
        })
        .collect();
    let list = lists::newest(&state).map(|(made, due)| {
        json!({ "made_at": made.to_string(), "next_update": due.to_string(), "expired": due < now })
    });
    Ok(ok(&json!({
        "replicas": replicas,
        "gateways": gateways,
        "feeds": state.radar().followed(),
        "list": list,
        "events": state.seen().borrow().events,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    serial: Option<String>,
    within_seconds: Option<i64>,
    limit: Option<usize>,
}

pub(super) async fn clients(
    FromState(state): FromState<State>,
    wanted: Result<FromQuery<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::of(400, "bad-request", detail);
    let FromQuery(wanted) = wanted.map_err(|error| bad(error.body_text()))?;
    let within = SignedDuration::from_secs(wanted.within_seconds.unwrap_or(24 * 3600).max(0));
    let since = state.now().checked_sub(within).map_err(|error| bad(error.to_string()))?;
    let seen = match &wanted.serial {
        Some(serial) => state.radar().find(serial).into_iter().collect(),
        None => state.radar().seen_since(since),
    };
    let mut by_tls_version = std::collections::BTreeMap::<&str, u64>::new();
    let mut by_key = std::collections::BTreeMap::<&str, u64>::new();
    for sighting in &seen {
        *by_tls_version.entry(&sighting.tls_version).or_default() += 1;
        *by_key.entry(&sighting.key).or_default() += 1;
    }
    let mut busiest: Vec<&Sighting> = seen.iter().collect();
    busiest.sort_by_key(|sighting| std::cmp::Reverse(sighting.requests));
    let busiest: Vec<Value> = busiest
        .iter()
        .take(10)
        .map(|one| json!({ "identity": one.identity, "requests": one.requests }))
        .collect();
    let list: Vec<Value> = seen.iter().take(limit(wanted.limit)).map(as_json).collect();
    Ok(ok(&json!({
        "clients": list, "total": seen.len(), "by_tls_version": by_tls_version, "by_key": by_key, "busiest": busiest,
    })))
}

fn as_json(one: &Sighting) -> Value {
    json!({
        "serial_number": one.serial, "identity": one.identity, "not_after": one.not_after.to_string(), "key": one.key,
        "tls_version": one.tls_version, "address": one.address, "first_seen": one.first_seen.to_string(),
        "last_seen": one.last_seen.to_string(), "requests": one.requests, "refused": one.refused,
        "gateway": one.gateway,
    })
}

/// A report, in the words of a gateway's `/_status` and `/_clients`; what else stands there is not read.
#[derive(Deserialize)]
struct Report {
    gateway: String,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    clients: Vec<Client>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    version: String,
    started: String,
    connections_open: u64,
    requests: u64,
    certificates: Vec<Own>,
    revocation_lists: Vec<List>,
    anchors: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Own {
    name: String,
    not_after: String,
    /// Gateways of before do not say it.
    #[serde(default)]
    serial: String,
}

#[derive(Deserialize)]
struct List {
    issuer: String,
    next_update: Option<String>,
}

#[derive(Deserialize)]
struct Client {
    identity: String,
    serial: String,
    not_after: String,
    key: String,
    tls_version: String,
    address: String,
    first_seen: String,
    last_seen: String,
    requests: u64,
    refused: u64,
}

pub(super) async fn report(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::of(400, "bad-request", detail);
    let Report { gateway, status, clients }: Report = read(&body)?;
    if gateway.trim().is_empty() {
        return Err(bad("a gateway has a name".to_owned()));
    }
    let now = state.now();
    let time = |text: &str| text.parse::<Timestamp>().map_err(|error| bad(format!("'{text}': {error}")));
    // The identity first: two gateways of one name are told apart by who they are.
    let name = short(&format!("{}: {gateway}", caller.label));
    let mut certificates = Vec::new();
    for own in status.certificates.iter().take(50) {
        certificates.push(OwnCertificate {
            name: short(&own.name),
            not_after: time(&own.not_after)?,
            serial: short(&own.serial),
        });
    }
    let mut lists = Vec::new();
    for list in status.revocation_lists.iter().take(50) {
        lists.push((short(&list.issuer), list.next_update.as_deref().map(time).transpose()?));
    }
    let mut sightings = Vec::new();
    for client in clients {
        sightings.push(Sighting {
            serial: short(&client.serial),
            identity: short(&client.identity),
            not_after: time(&client.not_after)?,
            key: short(&client.key),
            tls_version: short(&client.tls_version),
            address: short(&client.address),
            first_seen: time(&client.first_seen)?,
            // A clock that goes ahead must not keep its sightings for ever.
            last_seen: time(&client.last_seen)?.min(now),
            requests: client.requests,
            refused: client.refused,
            gateway: Some(name.clone()),
        });
    }
    let taken = sightings.len();
    let gateway = Gateway {
        name,
        reported_by: caller.label,
        heard_at: now,
        version: short(&status.version),
        started: short(&status.started),
        connections_open: status.connections_open,
        requests: status.requests,
        certificates,
        lists,
        anchors: status.anchors.map(|anchors| anchors.iter().take(50).map(|hash| short(hash)).collect()),
    };
    state.radar().reported(gateway, sightings);
    Ok(ok(&json!({ "clients": taken })))
}

/// As much of a text as is kept. No database keeps the character 0 in a text.
pub(super) fn short(text: &str) -> String {
    text.chars().filter(|character| *character != '\0').take(LONGEST).collect()
}
