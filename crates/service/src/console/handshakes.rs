//! Handshakes over time, by TLS version, by kind of key and by identity, on all replicas and gateways.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State as FromState};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::call::Api;
use super::chart::{Bars, Series, Shares, label};
use super::frame::{Frame, brief, html, items, text};
use super::trouble::Trouble;
use crate::State;

const PLACE: &str = "/console/handshakes";

/// The colours of what comes most, in the order of how much.
const CLASSES: [&str; 4] = ["bar", "bar good", "bar warn", "bar quiet"];
/// Identities that have a bar.
const MOST_BARS: usize = 20;

pub(super) fn routes() -> Router<State> {
    Router::new().route(PLACE, get(show))
}

struct Row {
    identity: String,
    /// What finds its certificates.
    search: String,
    count: String,
    versions: String,
    keys: String,
}

#[derive(Template)]
#[template(path = "handshakes.html")]
struct Page {
    frame: Frame,
    /// What `by` may say, in words, and whether it does.
    choices: Vec<(&'static str, &'static str, bool)>,
    within: &'static str,
    total: String,
    versions: String,
    keys: String,
    identities: String,
    rows: Vec<Row>,
    unnamed: u64,
    without: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Filters {
    by: String,
}

async fn show(
    FromState(state): FromState<State>,
    api: Api,
    Query(filters): Query<Filters>,
) -> Result<Response, Trouble> {
    let by = if filters.by == "day" { "day" } else { "hour" };
    let document = api.get(&format!("/api/v1/handshakes?by={by}")).await?;
    let rows = items(&document, "by_identity").map(|one| {
        let identity = text(one, "identity");
        Row {
            search: identity.split_once('=').map_or(identity.as_str(), |(_, name)| name).to_owned(),
            identity: brief(one, "identity"),
            count: text(one, "count"),
            versions: shares(&one["by_tls_version"]),
            keys: shares(&one["by_key"]),
        }
    });
    let bars = items(&document, "by_identity").take(MOST_BARS);
    let bars = bars.map(|one| (text(one, "identity"), one["count"].as_u64().unwrap_or(0)));
    let title = |hour, day| if by == "hour" { hour } else { day };
    let page = Page {
        frame: Frame::of(&state, &api, PLACE, "Handshakes"),
        choices: [("hour", "the last 24 hours"), ("day", "the last 30 days")]
            .map(|(value, words)| (value, words, value == by))
            .to_vec(),
        within: title("the last 24 hours", "the last 30 days"),
        total: text(&document, "total"),
        versions: over_time(
            &document,
            "by_tls_version",
            title(
                "Handshakes in each of the last 24 hours, by TLS version",
                "Handshakes on each of the last 30 days, by TLS version",
            ),
        ),
        keys: over_time(
            &document,
            "by_key",
            title(
                "Handshakes in each of the last 24 hours, by the client's kind of key",
                "Handshakes on each of the last 30 days, by the client's kind of key",
            ),
        ),
        identities: Shares {
            title: title(
                "Handshakes of the last 24 hours, by identity",
                "Handshakes of the last 30 days, by identity",
            ),
            rows: bars.collect(),
        }
        .draw(),
        rows: rows.collect(),
        unnamed: document["unnamed"].as_u64().unwrap_or(0),
        without: document["without_certificate"].as_u64().unwrap_or(0),
    };
    Ok(html(StatusCode::OK, &page))
}

/// What there is of each, in words: `TLSv1.3` alone, or `TLSv1.2: 3, TLSv1.3: 40`.
fn shares(counts: &Value) -> String {
    let all = counts.as_object().into_iter().flatten();
    let named: Vec<(&String, u64)> = all.map(|(name, count)| (name, count.as_u64().unwrap_or(0))).collect();
    match named.as_slice() {
        [(only, _)] => (*only).clone(),
        several => {
            let each: Vec<String> = several.iter().map(|(name, count)| format!("{name}: {count}")).collect();
            each.join(", ")
        }
    }
}

/// The same for the overview: the last 24 hours by version.
pub(super) fn by_version(document: &Value) -> String {
    over_time(document, "by_tls_version", "Handshakes in each of the last 24 hours, by TLS version")
}

/// A bar for each stretch of time and each of what comes most; the rest together.
fn over_time(document: &Value, member: &str, title: &'static str) -> String {
    let all = document[member].as_object().into_iter().flatten();
    let mut totals: Vec<(&str, u64)> =
        all.map(|(name, count)| (name.as_str(), count.as_u64().unwrap_or(0))).collect();
    totals.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let own = if totals.len() > CLASSES.len() { CLASSES.len() - 1 } else { CLASSES.len() };
    let count = |stretch: &Value, name: &str| stretch[member][name].as_u64().unwrap_or(0);
    let values = |names: &[(&str, u64)]| -> Vec<u64> {
        let sum = |stretch| names.iter().map(|(name, _)| count(stretch, name)).sum();
        items(document, "over_time").map(sum).collect()
    };
    let mut series: Vec<Series> = totals
        .iter()
        .zip(CLASSES)
        .take(own)
        .map(|(one, class)| Series { name: one.0.to_owned(), class, values: values(&[*one]) })
        .collect();
    if let Some(rest) = totals.get(own..).filter(|rest| !rest.is_empty()) {
        series.push(Series { name: "other".to_owned(), class: CLASSES[own], values: values(rest) });
    }
    let kind = text(document, "by");
    let labels = items(document, "over_time").map(|one| label(&text(one, "start"), &kind)).collect();
    Bars { title, labels, series }.draw()
}
