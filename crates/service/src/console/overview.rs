//! The first page: what ends soon, what waits, what happened lately. Each number leads to its list.

use askama::Template;
use axum::Router;
use axum::extract::State as FromState;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde_json::{Value, json};

use super::call::Api;
use super::certificates::Row;
use super::chart::{Bars, Series};
use super::frame::{Event, Frame, html, items, text};
use super::trouble::Trouble;
use crate::State;

const PLACE: &str = "/console";

/// 30 days, in seconds.
const SOON: u32 = 30 * 86_400;

pub(super) fn routes() -> Router<State> {
    Router::new().route(PLACE, get(show))
}

struct Figure {
    href: &'static str,
    value: String,
    text: &'static str,
    mood: &'static str,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    figures: Vec<Figure>,
    issuance: String,
    expiry: String,
    expiring: Vec<Row>,
    waiting: Vec<(String, String)>,
    events: Vec<Event>,
}

async fn show(FromState(state): FromState<State>, api: Api) -> Result<Response, Trouble> {
    let statistics = api.get("/api/v1/statistics").await?;
    let expiring = api.get(&format!("/api/v1/certificates?limit=10&expiring_seconds={SOON}")).await?;
    let invites = api.get("/api/v1/invites?limit=1000").await?;
    let waiting: Vec<(String, String)> = items(&invites, "invites")
        .filter(|invite| invite["state"] == json!("waits for approval"))
        .map(|invite| (text(invite, "handle"), text(invite, "name")))
        .collect();
    let last = statistics["audit_length"].as_u64().unwrap_or(0).saturating_sub(8);
    // Whoever may not read the trail sees the page without it.
    let trail = api.get(&format!("/api/v1/audit?after={last}&limit=8")).await.unwrap_or_default();
    let mut events: Vec<Event> = items(&trail, "events").map(Event::read).collect();
    events.reverse();
    let page = Page {
        frame: Frame::of(&state, &api, PLACE, "Overview"),
        figures: figures(&statistics, waiting.len()),
        issuance: Bars {
            title: "Certificates issued and revoked on each of the last 30 days",
            labels: counted(&statistics, "by_day", "day").0,
            series: vec![
                Series {
                    name: "issued".to_owned(),
                    class: "bar",
                    values: numbers(&statistics, "by_day", "issued"),
                },
                Series {
                    name: "revoked".to_owned(),
                    class: "bar bad",
                    values: numbers(&statistics, "by_day", "revoked"),
                },
            ],
        }
        .draw(),
        expiry: {
            let (labels, values) = counted(&statistics, "expiring_by_week", "week");
            Bars {
                title: "Good certificates that end in each of the next 13 weeks",
                labels,
                series: vec![Series { name: "end".to_owned(), class: "bar warn", values }],
            }
            .draw()
        },
        expiring: items(&expiring, "certificates").map(Row::read).collect(),
        waiting,
        events,
    };
    Ok(html(StatusCode::OK, &page))
}

fn figures(statistics: &Value, waiting: usize) -> Vec<Figure> {
    let number = |member: &str| statistics[member].as_u64().unwrap_or(0);
    let soon = number("expiring_within_30_days");
    vec![
        Figure {
            href: "/console/certificates?state=good",
            value: number("good").to_string(),
            text: "good certificates",
            mood: "good",
        },
        Figure {
            href: "/console/certificates?expiring=30",
            value: soon.to_string(),
            text: "end within 30 days",
            mood: if soon > 0 { "warn" } else { "quiet" },
        },
        Figure {
            href: "/console/certificates?state=revoked",
            value: number("revoked").to_string(),
            text: "revoked",
            mood: "quiet",
        },
        Figure {
            href: "/console/certificates?state=expired",
            value: number("expired").to_string(),
            text: "expired",
            mood: "quiet",
        },
        Figure {
            href: "/console/invites",
            value: waiting.to_string(),
            text: "wait for approval",
            mood: if waiting > 0 { "warn" } else { "quiet" },
        },
    ]
}

fn numbers(statistics: &Value, list: &str, member: &str) -> Vec<u64> {
    items(statistics, list).map(|one| one[member].as_u64().unwrap_or(0)).collect()
}

fn counted(statistics: &Value, list: &str, label: &str) -> (Vec<String>, Vec<u64>) {
    (items(statistics, list).map(|one| text(one, label)).collect(), numbers(statistics, list, "count"))
}
