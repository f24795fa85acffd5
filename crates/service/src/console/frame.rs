//! What all pages share: the frame around them, their headers, and how times and states are worded.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::header::{self, HeaderValue};
use http::{HeaderName, StatusCode};
use serde_json::Value;

use super::assets;
use super::call::Api;
use crate::{Problem, State};

/// The frame of a page.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) authority: String,
    pub(super) style: String,
    pub(super) icon: String,
    pub(super) who: Option<String>,
    pub(super) has_navigation: bool,
    place: &'static str,
}

const PLACES: &[(&str, &str)] = &[
    ("/console", "Overview"),
    ("/console/certificates", "Certificates"),
    ("/console/clients", "Connected"),
    ("/console/handshakes", "Handshakes"),
    ("/console/invites", "Invites"),
    ("/console/partners", "Partners"),
    ("/console/policy", "Policy"),
    ("/console/refusals", "Refusals"),
    ("/console/rollover", "Change of CA"),
    ("/console/audit", "Audit"),
];

impl Frame {
    /// A page of the console at this place.
    pub(super) fn of(state: &State, api: &Api, place: &'static str, title: &str) -> Self {
        Frame {
            title: title.to_owned(),
            authority: state.authority().name().to_owned(),
            style: assets::path("style.css"),
            icon: assets::path("icon.svg"),
            who: api.who(),
            has_navigation: true,
            place,
        }
    }

    /// A page for somebody without a role.
    pub(super) fn for_anyone(state: &State, title: &str) -> Self {
        Frame { authority: state.authority().name().to_owned(), ..Self::plain(title) }
    }

    /// A page that knows nothing of where it is.
    pub(super) fn plain(title: &str) -> Self {
        Frame {
            title: title.to_owned(),
            authority: "countersign".to_owned(),
            style: assets::path("style.css"),
            icon: assets::path("icon.svg"),
            who: None,
            has_navigation: false,
            place: "",
        }
    }

    /// The places with their links, and which one this is.
    pub(super) fn navigation(&self) -> Vec<(&'static str, &'static str, bool)> {
        PLACES.iter().map(|(href, text)| (*href, *text, *href == self.place)).collect()
    }
}

/// Scripts and styles of ours, and nothing from anywhere else; no frame around it, no form to elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page as an answer.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Response {
    let text = match page.render() {
        Ok(text) => text,
        Err(error) => return Problem::internal(&error).into_response(),
    };
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 7] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A link of an invite holds its code.
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// On to another page, with GET.
pub(super) fn see_other(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or_else(|_| HeaderValue::from_static("/console"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// A member as text; empty where there is none.
pub(super) fn text(value: &Value, member: &str) -> String {
    match &value[member] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A text of somebody's choosing in a list: as much as tells it from others. What it leads to shows all of it.
pub(super) fn brief(value: &Value, member: &str) -> String {
    const MOST: usize = 80;
    let text = text(value, member);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A time as people read it: `2026-11-25 18:33 UTC`.
pub(super) fn time(value: &Value, member: &str) -> String {
    let text = text(value, member);
    match text.get(..16).zip(text.as_bytes().get(10)) {
        Some((start, b'T')) => format!("{} UTC", start.replace('T', " ")),
        _ => text,
    }
}

/// The class that colours a state.
pub(super) fn mood(state: &str) -> &'static str {
    match state {
        "good" | "open" => "good",
        "revoked" => "bad",
        "waits for approval" => "warn",
        _ => "quiet",
    }
}

/// An entry of the audit trail.
pub(super) struct Event {
    pub(super) sequence: u64,
    pub(super) at: String,
    pub(super) what: String,
    pub(super) who: String,
    pub(super) from: String,
    pub(super) why: String,
    pub(super) serial: String,
    pub(super) serial_start: String,
}

impl Event {
    pub(super) fn read(value: &Value) -> Self {
        let serial = text(value, "serial_number");
        Event {
            sequence: value["sequence"].as_u64().unwrap_or(0),
            at: time(value, "at"),
            what: text(value, "what"),
            who: text(value, "who"),
            from: text(value, "from"),
            why: text(value, "why"),
            serial_start: start(&serial),
            serial,
        }
    }
}

/// As much of a serial number as tells it from others at a glance.
pub(super) fn start(serial: &str) -> String {
    serial.chars().take(12).collect()
}

/// The members of a list.
pub(super) fn items<'a>(document: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    document[member].as_array().into_iter().flatten()
}
