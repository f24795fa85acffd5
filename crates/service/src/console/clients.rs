//! Who is connected: certificates that were seen lately, by which gateway, and how they speak.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State as FromState};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::call::Api;
use super::chart::Shares;
use super::frame::{Frame, brief, html, items, start, text, time};
use super::trouble::Trouble;
use crate::State;

const PLACE: &str = "/console/clients";

pub(super) fn routes() -> Router<State> {
    Router::new().route(PLACE, get(show))
}

struct Row {
    identity: String,
    serial: String,
    serial_start: String,
    seen: String,
    gateway: String,
    address: String,
    tls: String,
    key: String,
    requests: String,
    refused: String,
    until: String,
}

#[derive(Template)]
#[template(path = "clients.html")]
struct Page {
    frame: Frame,
    hours: Vec<(u32, bool)>,
    within: u32,
    total: String,
    rows: Vec<Row>,
    busiest: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Filters {
    hours: Option<u32>,
}

/// Who reports where: a gateway, or the service's own listener.
pub(super) fn place(value: &Value) -> String {
    value["gateway"].as_str().unwrap_or("the authority").to_owned()
}

async fn show(
    FromState(state): FromState<State>,
    api: Api,
    Query(filters): Query<Filters>,
) -> Result<Response, Trouble> {
    let within = filters.hours.unwrap_or(24).clamp(1, 24 * 365);
    let path = format!("/api/v1/clients?limit=100&within_seconds={}", u64::from(within) * 3600);
    let document = api.get(&path).await?;
    let rows = items(&document, "clients").map(|one| {
        let serial = text(one, "serial_number");
        Row {
            identity: brief(one, "identity"),
            serial_start: start(&serial),
            serial,
            seen: time(one, "last_seen"),
            gateway: place(one).chars().take(80).collect(),
            address: text(one, "address"),
            tls: text(one, "tls_version"),
            key: text(one, "key"),
            requests: text(one, "requests"),
            refused: text(one, "refused"),
            until: time(one, "not_after"),
        }
    });
    let busiest = items(&document, "busiest")
        .map(|one| (text(one, "identity"), one["requests"].as_u64().unwrap_or(0)))
        .collect();
    let page = Page {
        frame: Frame::of(&state, &api, PLACE, "Who is connected"),
        hours: [1, 24, 24 * 7].map(|hours| (hours, hours == within)).to_vec(),
        within,
        total: text(&document, "total"),
        rows: rows.collect(),
        busiest: Shares { title: "The busiest identities, by requests", rows: busiest }.draw(),
    };
    Ok(html(StatusCode::OK, &page))
}
