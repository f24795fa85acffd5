//! The first page: what ends soon, what waits, what happened lately. Each number leads to its list.

use askama::Template;
use axum::Router;
use axum::extract::State as FromState;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde_json::{Value, json};

use super::call::{Api, encoded};
use super::certificates::Row;
use super::chart::{Bars, Series};
use super::frame::{Event, Frame, html, items, text, time};
use super::trouble::Trouble;
use super::{handshakes, refusals};
use crate::State;

const PLACE: &str = "/console";

/// So many that wait for approval are listed; a page with more is no overview.
const MOST_WAITING: usize = 50;

/// 30 days, in seconds.
const SOON: u32 = 30 * 86_400;

pub(super) fn routes() -> Router<State> {
    Router::new().route(PLACE, get(show))
}

/// Where the replicas and gateways stand, one by one.
const MEMBERS: &str = "#members";

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
    handshakes: String,
    refused: String,
    members: Vec<Member>,
    feed: String,
    list: String,
    list_mood: &'static str,
    expiring: Vec<Row>,
    waiting: Vec<(String, String)>,
    events: Vec<Event>,
}

async fn show(FromState(state): FromState<State>, api: Api) -> Result<Response, Trouble> {
    let statistics = api.get("/api/v1/statistics").await?;
    let expiring = api.get(&format!("/api/v1/certificates?limit=10&expiring_seconds={SOON}")).await?;
    let invites = api.get(&format!("/api/v1/invites?waiting=true&limit={MOST_WAITING}")).await?;
    let waiting: Vec<(String, String)> =
        items(&invites, "invites").map(|invite| (text(invite, "handle"), text(invite, "name"))).collect();
    let last = statistics["audit_length"].as_u64().unwrap_or(0).saturating_sub(8);
    // Whoever may not read the trail sees the page without it.
    let trail = api.get(&format!("/api/v1/audit?after={last}&limit=8")).await.unwrap_or_default();
    let mut events: Vec<Event> = items(&trail, "events").map(Event::read).collect();
    events.reverse();
    let refused = api.get("/api/v1/refusals?limit=1").await?;
    let seen = api.get("/api/v1/clients?limit=1&within_seconds=3600").await?;
    let handshakes = api.get("/api/v1/handshakes").await?;
    let health = api.get("/api/v1/health").await?;
    let (list, list_mood) = list(&health["list"]);
    let page = Page {
        frame: Frame::of(&state, &api, PLACE, "Overview"),
        figures: figures(&statistics, waiting.len(), &seen, &handshakes, &refused, &health),
        handshakes: handshakes::by_version(&handshakes),
        refused: refusals::by_hour(&refused),
        members: members(&health),
        feed: match health["feeds"].as_u64().unwrap_or(0) {
            0 => "nobody follows it here".to_owned(),
            1 => "one gateway follows it here".to_owned(),
            many => format!("{many} gateways follow it here"),
        },
        list,
        list_mood,
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

/// A replica or a gateway.
struct Member {
    name: String,
    /// A replica's own overview, or the certificates of a gateway.
    href: Option<String>,
    kind: &'static str,
    heard: String,
    state: String,
    mood: &'static str,
    about: String,
}

fn members(health: &Value) -> Vec<Member> {
    let is = |one: &Value, member: &str| one[member] == json!(true);
    let of = |one: &Value, kind, href, trouble: Option<String>, about: String| {
        let (state, mood) = match trouble {
            _ if is(one, "late") => ("not heard lately".to_owned(), "bad"),
            Some(trouble) => (trouble, "bad"),
            None => ("well".to_owned(), "good"),
        };
        Member { name: text(one, "name"), href, kind, heard: time(one, "heard_at"), state, mood, about }
    };
    let events = health["events"].as_u64().unwrap_or(0);
    let replicas = items(health, "replicas").map(|one| {
        // A pulse comes every 15 s, so a busy authority's replicas are a little behind in what they last said.
        let behind = events.saturating_sub(one["events"].as_u64().unwrap_or(0));
        let about = format!(
            "{}, version {}, {behind} events behind when it last spoke",
            text(one, "url"),
            text(one, "version")
        );
        // What it says of itself is followed nowhere but to where a console can be.
        let url = text(one, "url");
        let href = url.starts_with("https://").then(|| format!("{}{PLACE}", url.trim_end_matches('/')));
        of(one, "replica", href, None, about)
    });
    let gateways = items(health, "gateways").map(|one| {
        let expired = |member: &str| items(one, member).any(|inner| is(inner, "expired"));
        let trouble = if expired("certificates") {
            Some("its own certificate has expired".to_owned())
        } else if expired("revocation_lists") {
            Some("its revocation list has expired".to_owned())
        } else {
            None
        };
        let ends = items(one, "certificates").map(|own| time(own, "not_after")).min();
        let about = format!(
            "version {}, {} connections, {} requests{}",
            text(one, "version"),
            text(one, "connections_open"),
            text(one, "requests"),
            ends.map(|end| format!(", own certificate until {end}")).unwrap_or_default()
        );
        let href = format!("/console/certificates?search={}", encoded(&text(one, "reported_by")));
        of(one, "gateway", Some(href), trouble, about)
    });
    replicas.chain(gateways).collect()
}

/// The state of the revocation list in words.
fn list(list: &Value) -> (String, &'static str) {
    if list.is_null() {
        return ("made when somebody asks for it".to_owned(), "quiet");
    }
    let (made, due) = (time(list, "made_at"), time(list, "next_update"));
    match list["expired"] == json!(true) {
        true => (format!("over since {due}"), "bad"),
        false => (format!("made {made}, good until {due}, and made anew with every revocation"), "good"),
    }
}

fn figures(
    statistics: &Value,
    waiting: usize,
    seen: &Value,
    handshakes: &Value,
    refused: &Value,
    health: &Value,
) -> Vec<Figure> {
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
            href: "/console/clients?hours=1",
            value: text(seen, "total"),
            text: "seen in the last hour",
            mood: "quiet",
        },
        Figure {
            href: "/console/handshakes",
            value: text(handshakes, "total"),
            text: "handshakes in the last 24 hours",
            mood: "quiet",
        },
        Figure {
            href: "/console/refusals",
            value: text(refused, "total"),
            text: "handshakes refused in the last 24 hours",
            mood: if refused["total"] == json!(0) { "quiet" } else { "warn" },
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
            value: format!("{waiting}{}", if waiting < MOST_WAITING { "" } else { " or more" }),
            text: "wait for approval",
            mood: if waiting > 0 { "warn" } else { "quiet" },
        },
        Figure {
            href: "/console/audit",
            value: number("audit_length").to_string(),
            text: "entries in the audit trail",
            mood: "quiet",
        },
        heard(health, "replicas"),
        heard(health, "gateways"),
    ]
}

/// How many of them there are, and in what colour: whether one of them is late.
fn heard(health: &Value, text: &'static str) -> Figure {
    let late = items(health, text).any(|one| one["late"] == json!(true));
    let value = items(health, text).count().to_string();
    Figure { href: MEMBERS, value, text, mood: if late { "bad" } else { "quiet" } }
}

fn numbers(statistics: &Value, list: &str, member: &str) -> Vec<u64> {
    items(statistics, list).map(|one| one[member].as_u64().unwrap_or(0)).collect()
}

fn counted(statistics: &Value, list: &str, label: &str) -> (Vec<String>, Vec<u64>) {
    (items(statistics, list).map(|one| text(one, label)).collect(), numbers(statistics, list, "count"))
}
