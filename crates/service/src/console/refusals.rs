//! Refused handshakes, live: the list keeps itself fresh, and each opens as the doctor's verdict and as explain's ladder.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State as FromState};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use explain::render::{self, Shown};
use http::header::{self, HeaderValue};
use http::{HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::assets;
use super::call::Api;
use super::chart::{Bars, Series, label};
use super::frame::{Frame, brief, html, items, text, time};
use super::trouble::Trouble;
use crate::api::refusals;
use crate::{Problem, State};

const PLACE: &str = "/console/refusals";

/// The colours of the codes that come most, in the order of how many.
const CLASSES: [&str; 4] = ["bar bad", "bar warn", "bar", "bar quiet"];

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route(PLACE, get(list))
        .route("/console/refusals/{number}", get(show))
        .route("/console/refusals/{number}/conversation", get(conversation))
}

struct Row {
    number: String,
    at: String,
    code: String,
    from: String,
    subject: String,
    gateway: String,
    serial: String,
}

impl Row {
    fn read(value: &Value) -> Self {
        let gateway = text(value, "gateway");
        Row {
            number: text(value, "number"),
            at: time(value, "at"),
            code: text(value, "code"),
            from: text(value, "from"),
            subject: text(value, "subject"),
            gateway: if gateway.is_empty() { "the authority".to_owned() } else { gateway },
            serial: text(value, "serial_number"),
        }
    }
}

fn brief_gateway(value: &Value) -> String {
    let gateway = brief(value, "gateway");
    if gateway.is_empty() { "the authority".to_owned() } else { gateway }
}

#[derive(Template)]
#[template(path = "refusals.html")]
struct List {
    frame: Frame,
    script: String,
    rows: Vec<Row>,
    last: String,
    total: String,
    hours: String,
    days: String,
    code: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Filters {
    code: String,
}

async fn list(
    FromState(state): FromState<State>,
    api: Api,
    Query(filters): Query<Filters>,
) -> Result<Response, Trouble> {
    let document = api.get("/api/v1/refusals?limit=100").await?;
    let mut rows: Vec<Row> = items(&document, "refusals")
        .map(|one| Row { subject: brief(one, "subject"), gateway: brief_gateway(one), ..Row::read(one) })
        .collect();
    rows.retain(|row| filters.code.is_empty() || row.code == filters.code);
    let page = List {
        frame: Frame::of(&state, &api, PLACE, "Refused handshakes"),
        script: assets::path("live.mjs"),
        rows,
        last: text(&document, "last"),
        total: text(&document, "total"),
        hours: by_hour(&document),
        days: chart(&document, "by_day", "day", "Refused handshakes on each of the last 30 days"),
        code: filters.code,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Refusals by the hour.
pub(super) fn by_hour(document: &Value) -> String {
    chart(document, "by_hour", "hour", "Refused handshakes in each of the last 24 hours")
}

/// Refusals over time; the codes that come most have bars of their own.
fn chart(document: &Value, list: &str, start: &str, title: &'static str) -> String {
    let hours: Vec<&Value> = items(document, list).collect();
    let mut totals: Vec<(String, u64)> = Vec::new();
    for (code, count) in hours.iter().filter_map(|hour| hour["codes"].as_object()).flatten() {
        let count = count.as_u64().unwrap_or(0);
        match totals.iter_mut().find(|(known, _)| known == code) {
            Some((_, total)) => *total += count,
            None => totals.push((code.clone(), count)),
        }
    }
    totals.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
    let of = |code: &str| hours.iter().map(|hour| hour["codes"][code].as_u64().unwrap_or(0)).collect();
    let own = CLASSES.len() - 1;
    let mut series: Vec<Series> = totals
        .iter()
        .zip(CLASSES)
        .take(own)
        .map(|((code, _), class)| Series { name: code.clone(), class, values: of(code) })
        .collect();
    if totals.len() > own {
        let rest = hours.iter().map(|hour| {
            let others = totals[own..].iter().map(|(code, _)| hour["codes"][code].as_u64().unwrap_or(0));
            others.sum()
        });
        series.push(Series { name: "other".to_owned(), class: CLASSES[own], values: rest.collect() });
    }
    let labels = hours.iter().map(|hour| label(&text(hour, start), start)).collect();
    Bars { title, labels, series }.draw()
}

struct Finding {
    heading: &'static str,
    summary: String,
    mood: &'static str,
    code: String,
    fault: String,
    confidence: String,
    evidence: Vec<String>,
    remedy: String,
    fixes: Vec<(String, String)>,
    other_side: String,
    programs: Vec<(String, String)>,
}

impl Finding {
    fn read(value: &Value) -> Self {
        let (heading, mood) = match value["weight"].as_str() {
            Some("blocks") => ("Why it was refused", "bad"),
            Some("would_block") => ("This would have been next", "warn"),
            _ => ("Also seen", "warn"),
        };
        let fixes = ["fix", "alternative"].into_iter().filter(|name| value[*name].is_object());
        Finding {
            heading,
            mood,
            summary: text(value, "summary"),
            code: text(value, "code"),
            fault: text(value, "fault"),
            confidence: text(value, "confidence"),
            evidence: items(value, "evidence").filter_map(|one| Some(one.as_str()?.to_owned())).collect(),
            remedy: text(value, "remedy"),
            fixes: fixes.map(|name| (text(&value[name], "where"), text(&value[name], "command"))).collect(),
            other_side: text(value, "other_side"),
            programs: items(value, "programs").map(|one| (text(one, "program"), text(one, "says"))).collect(),
        }
    }
}

fn texts(document: &Value, member: &str) -> Vec<String> {
    items(document, member).filter_map(|one| Some(one.as_str()?.to_owned())).collect()
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Page {
    frame: Frame,
    row: Row,
    findings: Vec<Finding>,
    checked: Vec<String>,
    unchecked: Vec<String>,
    ladder: Option<String>,
}

async fn show(
    FromState(state): FromState<State>,
    api: Api,
    Path(number): Path<u64>,
) -> Result<Response, Trouble> {
    let document = api.get(&format!("/api/v1/refusals/{number}")).await?;
    let report = &document["report"];
    let ladder =
        decoded(&state, number).await.map(|one| render::ladder(&one, 100, false, false, Shown::default()));
    let page = Page {
        frame: Frame::of(&state, &api, PLACE, "A refused handshake"),
        row: Row::read(&document),
        findings: items(report, "findings").map(Finding::read).collect(),
        checked: texts(report, "checked"),
        unchecked: texts(report, "unchecked"),
        ladder,
    };
    Ok(html(StatusCode::OK, &page))
}

/// The recording as the renderers of `explain` take it. The caller has asked the API, which has asked for the role.
async fn decoded(state: &State, number: u64) -> Option<explain::tls::Conversation> {
    let found = state.blocking(move |state| Ok(refusals::find(state, number)?.conversation())).await;
    found.ok().flatten()
}

/// The page of `explain --html`, which has a policy of its own for its one script and its one style.
async fn conversation(
    FromState(state): FromState<State>,
    api: Api,
    Path(number): Path<u64>,
) -> Result<Response, Trouble> {
    api.get(&format!("/api/v1/refusals/{number}")).await?;
    let Some(conversation) = decoded(&state, number).await else {
        return Err(Problem::of(404, "not-found", "this handshake was not recorded").into());
    };
    let (page, policy) = render::html_with_policy(&[conversation], Shown::default());
    let mut response = page.into_response();
    let headers = response.headers_mut();
    let policy = format!("{policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'")),
    );
    let fixed: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
