//! The inventory: a list with filters in its URL, and a page for each certificate.

use askama::Template;
use axum::Form;
use axum::Router;
use axum::extract::{Path, Query, State as FromState};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use pki::crl::RevocationReason;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Api, encoded};
use super::frame::{Event, Frame, html, items, mood, see_other, start, text, time};
use super::trouble::Trouble;
use crate::State;

const PLACE: &str = "/console/certificates";
const LONGEST_LIST: u32 = 100;
/// Partners that the field suggests.
const SUGGESTED: u32 = 100;

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route(PLACE, get(list))
        .route("/console/certificates/{serial}", get(show))
        .route("/console/certificates/{serial}/revoke", post(revoke))
        .route("/console/certificates/{serial}/release", post(release))
}

/// A line of a list.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) profile: String,
    pub(super) state: String,
    pub(super) mood: &'static str,
    pub(super) until: String,
    pub(super) serial: String,
    pub(super) serial_start: String,
}

impl Row {
    pub(super) fn read(value: &Value) -> Self {
        let (state, serial) = (text(value, "state"), text(value, "serial_number"));
        Row {
            name: text(value, "name"),
            profile: text(value, "profile"),
            mood: mood(&state),
            state,
            until: time(value, "not_after"),
            serial_start: start(&serial),
            serial,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Filters {
    search: String,
    partner: String,
    state: String,
    profile: String,
    /// Days.
    expiring: Option<u32>,
    /// The serial number of the last one of the page before.
    after: String,
}

impl Filters {
    /// The same list behind this certificate, or from its beginning.
    fn page(&self, after: Option<&str>) -> String {
        let expiring = self.expiring.map(|days| days.to_string());
        let fields = [
            ("search", self.search.trim()),
            ("partner", self.partner.trim()),
            ("state", &self.state),
            ("profile", &self.profile),
            ("expiring", expiring.as_deref().unwrap_or_default()),
            ("after", after.unwrap_or_default()),
        ];
        let said = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<String> = said.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if query.is_empty() { PLACE.to_owned() } else { format!("{PLACE}?{}", query.join("&")) }
    }
}

type Choice = (&'static str, &'static str, bool);

#[derive(Template)]
#[template(path = "certificates.html")]
struct List {
    frame: Frame,
    search: String,
    partner: String,
    /// Some partners, to choose from; any can be typed.
    partners: Vec<String>,
    states: Vec<Choice>,
    profiles: Vec<Choice>,
    rows: Vec<Row>,
    order: &'static str,
    /// Where the list begins, on every page but the first.
    first: Option<String>,
    next: Option<String>,
}

async fn list(
    FromState(state): FromState<State>,
    api: Api,
    Query(filters): Query<Filters>,
) -> Result<Response, Trouble> {
    let mut path = format!("/api/v1/certificates?limit={LONGEST_LIST}");
    let wanted = [
        ("search", filters.search.trim()),
        ("partner", filters.partner.trim()),
        ("profile", &filters.profile),
        ("after", &filters.after),
    ];
    for (name, value) in wanted {
        if !value.is_empty() {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    let days = filters.expiring.or((filters.state == "expiring").then_some(30));
    match days {
        Some(days) => path.push_str(&format!("&expiring_seconds={}", i64::from(days) * 86_400)),
        None if filters.state.is_empty() => {}
        None => path.push_str(&format!("&state={}", encoded(&filters.state))),
    }
    let document = api.get(&path).await?;
    let partners = api.get(&format!("/api/v1/partners?counted=false&limit={SUGGESTED}")).await?;
    let chosen = |options: &[(&'static str, &'static str)], now: &str| -> Vec<Choice> {
        options.iter().map(|(value, text)| (*value, *text, *value == now)).collect()
    };
    let shown_state = if days.is_some() { "expiring" } else { &filters.state };
    let states = [
        ("", "any"),
        ("good", "good"),
        ("expiring", "ends within 30 days"),
        ("revoked", "revoked"),
        ("expired", "expired"),
    ];
    let page = List {
        frame: Frame::of(&state, &api, PLACE, "Certificates"),
        states: chosen(&states, shown_state),
        order: match shown_state {
            "expiring" => "what ends first, first",
            "expired" => "what ended last, first",
            _ => "newest first",
        },
        first: (!filters.after.is_empty()).then(|| filters.page(None)),
        next: document["next"].as_str().map(|next| filters.page(Some(next))),
        profiles: chosen(&[("", "both"), ("client", "clients"), ("server", "servers")], &filters.profile),
        search: filters.search,
        partner: filters.partner,
        partners: items(&partners, "partners").map(|partner| text(partner, "name")).collect(),
        rows: items(&document, "certificates").map(Row::read).collect(),
    };
    Ok(html(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "certificate.html")]
struct Page {
    frame: Frame,
    row: Row,
    revoked: Option<String>,
    on_hold: bool,
    facts: Vec<(&'static str, String)>,
    events: Vec<Event>,
    full: String,
    pem: String,
    may_operate: bool,
    reasons: Vec<&'static str>,
    chosen: String,
    notice: Option<&'static str>,
    error: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Done {
    done: String,
}

async fn show(
    FromState(state): FromState<State>,
    api: Api,
    Path(serial): Path<String>,
    Query(done): Query<Done>,
) -> Result<Response, Trouble> {
    let notice = match done.done.as_str() {
        "revoked" => Some("It is revoked."),
        "released" => Some("It is off hold."),
        _ => None,
    };
    page(&state, &api, &serial, notice, None).await
}

/// Why nothing was revoked, and the reason that was chosen: it stays chosen.
struct Failed {
    error: String,
    reason: String,
}

async fn page(
    state: &State,
    api: &Api,
    serial: &str,
    notice: Option<&'static str>,
    failed: Option<Failed>,
) -> Result<Response, Trouble> {
    let document = api.get(&format!("/api/v1/certificates/{}", encoded(serial))).await?;
    let certificate = &document["certificates"][0];
    let row = Row::read(certificate);
    // Whoever may not read the trail sees the certificate without its history.
    let trail = api.get(&format!("/api/v1/audit?serial={}", encoded(&row.serial))).await.unwrap_or_default();
    let pem = text(certificate, "pem");
    let full = explain::render::full_text(&explain::inspect(pem.as_bytes(), "", state.now()), 100, false);
    let names: Vec<&str> = items(certificate, "subject_alt_name").filter_map(Value::as_str).collect();
    let mut facts = vec![
        ("Name in it", text(certificate, "subject")),
        ("Other names", names.join(", ")),
        ("Valid", format!("{} to {}", time(certificate, "not_before"), time(certificate, "not_after"))),
        (
            "Issued",
            format!("{}, asked for by {}", time(certificate, "issued_at"), text(certificate, "requested_by")),
        ),
        ("Serial number", row.serial.clone()),
        ("SHA-256", text(certificate, "sha256")),
        ("Replaces", text(certificate, "replaces")),
        ("Written to", text(certificate, "location")),
    ];
    // Whoever sees the certificate sees where it was seen.
    let seen = api.get(&format!("/api/v1/clients?serial={}", encoded(&row.serial))).await?;
    facts.push(match items(&seen, "clients").next() {
        Some(seen) => (
            "Last seen",
            format!(
                "{}, by {}, from {}, {}; {} requests",
                time(seen, "last_seen"),
                super::clients::place(seen),
                text(seen, "address"),
                text(seen, "tls_version"),
                text(seen, "requests")
            ),
        ),
        None => ("Last seen", "by no replica, and by no gateway that reports to one".to_owned()),
    });
    facts.retain(|(_, value)| !value.is_empty());
    let reason = text(certificate, "revocation_reason");
    let page = Page {
        frame: Frame::of(state, api, PLACE, &row.name),
        revoked: (row.state == "revoked")
            .then(|| format!("{reason}, on {}", time(certificate, "revoked_at"))),
        on_hold: reason == RevocationReason::CertificateHold.name(),
        row,
        facts,
        events: items(&trail, "events").map(Event::read).collect(),
        full,
        pem,
        may_operate: api.may_operate(),
        reasons: RevocationReason::ALL.iter().map(|reason| reason.name()).collect(),
        chosen: failed.as_ref().map(|failed| failed.reason.clone()).unwrap_or_default(),
        notice,
        error: failed.map(|failed| failed.error),
    };
    Ok(html(if page.error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &page))
}

#[derive(Deserialize)]
struct Revocation {
    reason: String,
    confirm: String,
}

async fn revoke(
    FromState(state): FromState<State>,
    api: Api,
    Path(serial): Path<String>,
    Form(form): Form<Revocation>,
) -> Result<Response, Trouble> {
    let document = api.get(&format!("/api/v1/certificates/{}", encoded(&serial))).await?;
    let name = text(&document["certificates"][0], "name");
    if form.confirm.trim() != name.trim() {
        let error =
            format!("Nothing was revoked: '{}' was typed, and the name is '{name}'.", form.confirm.trim());
        return page(&state, &api, &serial, None, Some(Failed { error, reason: form.reason })).await;
    }
    let wish = json!({ "which": serial, "reason": form.reason });
    match api.post("/api/v1/revocations", &wish).await {
        Ok(_) => Ok(see_other(&format!("{PLACE}/{}?done=revoked", encoded(&serial)))),
        Err(trouble) if trouble.is_of_the_form() => {
            let failed = Failed { error: trouble.detail().to_owned(), reason: form.reason };
            page(&state, &api, &serial, None, Some(failed)).await
        }
        Err(trouble) => Err(trouble),
    }
}

async fn release(api: Api, Path(serial): Path<String>) -> Result<Response, Trouble> {
    api.post("/api/v1/releases", &json!({ "which": serial })).await?;
    Ok(see_other(&format!("{PLACE}/{}?done=released", encoded(&serial))))
}
