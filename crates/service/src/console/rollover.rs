//! Changing the CA: how far it is, who holds it up, and for admins the next step.

use askama::Template;
use axum::extract::State as FromState;
use axum::response::Response;
use axum::routing::get;
use axum::{Form, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Api;
use super::frame::{Frame, html, items, see_other, start, text, time};
use super::trouble::Trouble;
use crate::State;

const PLACE: &str = "/console/rollover";
const API: &str = "/api/v1/rollover";

pub(super) fn routes() -> Router<State> {
    Router::new().route(PLACE, get(show).post(take))
}

/// A step as the list of steps shows it.
struct Step {
    title: &'static str,
    sentence: &'static str,
    /// `done`, `now` or `later`.
    state: &'static str,
}

struct Line {
    number: String,
    state: &'static str,
    mood: &'static str,
    issuing: String,
    root: String,
    root_until: String,
    good: String,
}

struct Seen {
    name: String,
    serial: String,
    at: String,
    by: String,
}

struct Gateway {
    name: String,
    mood: &'static str,
    word: &'static str,
}

#[derive(Template)]
#[template(path = "rollover.html")]
struct Page {
    frame: Frame,
    /// The word of the API; `none` where no rollover is under way.
    at: String,
    steps: [Step; 3],
    lines: Vec<Line>,
    gateways: Vec<Gateway>,
    seen: Vec<Seen>,
    seen_total: u64,
    /// How many of the old line's certificates are still good, and which line that is.
    good: String,
    from: String,
    renew_by: String,
    remains: Vec<String>,
    may_administer: bool,
    is_blocked: bool,
    error: Option<String>,
}

impl Page {
    fn of(state: &State, api: &Api, status: &Value, error: Option<String>) -> Self {
        let at = text(status, "step");
        let place = match at.as_str() {
            "distribute" => 1,
            "reissue" => 2,
            _ => 0,
        };
        let state_of = |number: usize| match number.cmp(&place) {
            std::cmp::Ordering::Less => "done",
            std::cmp::Ordering::Equal => "now",
            std::cmp::Ordering::Greater => "later",
        };
        let titles = [
            ("Distribute", "The new line is believed by all, and issues nothing yet."),
            ("Re-issue", "The new line issues, and what the old one issued is renewed early."),
            (
                "Retire",
                "The old line is believed no longer. Its lists go on until its last certificate ends.",
            ),
        ];
        let mut number = 0;
        let steps = titles.map(|(title, sentence)| {
            number += 1;
            Step { title, sentence, state: state_of(number) }
        });
        let line = |line: &Value| {
            let (state, mood) = match (&line["issues"], &line["over"], &line["retired"]) {
                (Value::Bool(true), ..) => ("issues", "good"),
                (_, Value::Bool(true), _) => ("over", ""),
                (_, _, Value::String(_)) => ("retired", ""),
                _ => ("believed", "good"),
            };
            Line {
                number: text(line, "number"),
                state,
                mood,
                issuing: text(line, "issuing"),
                root: format!("{} ({}…)", text(line, "root"), start(&text(line, "root_sha256"))),
                root_until: time(line, "root_not_after"),
                good: text(line, "good"),
            }
        };
        let gateway = |gateway: &Value| {
            let (mood, word) = match gateway["believes_new_root"].as_bool() {
                Some(true) => ("good", "yes"),
                Some(false) => ("bad", "not yet"),
                None => ("", "it does not say"),
            };
            Gateway { name: text(gateway, "name"), mood, word }
        };
        let seen = |seen: &Value| Seen {
            name: text(seen, "name"),
            serial: text(seen, "serial_number"),
            at: time(seen, "seen_at"),
            by: seen["seen_by"].as_str().unwrap_or("the authority itself").to_owned(),
        };
        let rollover = &status["rollover"];
        Page {
            frame: Frame::of(state, api, PLACE, "Change of the CA"),
            at,
            steps,
            lines: items(status, "lines").map(line).collect(),
            gateways: items(status, "gateways").map(gateway).collect(),
            seen: items(status, "still_seen").map(seen).collect(),
            seen_total: status["still_seen_total"].as_u64().unwrap_or(0),
            good: text(status, "good_of_old_line"),
            from: text(rollover, "from"),
            renew_by: time(rollover, "renew_by"),
            remains: items(status, "remains").filter_map(|one| one.as_str().map(str::to_owned)).collect(),
            may_administer: api.role() == Some("admin"),
            is_blocked: status["blocked"] == true,
            error,
        }
    }
}

async fn show(FromState(state): FromState<State>, api: Api) -> Result<Response, Trouble> {
    page(&state, &api, None).await
}

async fn page(state: &State, api: &Api, error: Option<String>) -> Result<Response, Trouble> {
    let status = api.get(API).await?;
    let code = if error.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    Ok(html(code, &Page::of(state, api, &status, error)))
}

#[derive(Deserialize)]
struct Wish {
    step: String,
    /// `root` or `intermediate`, where one is begun.
    #[serde(default)]
    kind: String,
    /// The word of the step once more, where somebody is cut off by it.
    #[serde(default)]
    force: String,
}

async fn take(
    FromState(state): FromState<State>,
    api: Api,
    Form(wish): Form<Wish>,
) -> Result<Response, Trouble> {
    let force = wish.force.trim();
    if !force.is_empty() && force != wish.step {
        let error =
            format!("Nothing was done: '{force}' was typed where '{}' says that it is meant", wish.step);
        return page(&state, &api, Some(error)).await;
    }
    let body =
        json!({ "step": wish.step, "intermediate": wish.kind == "intermediate", "force": !force.is_empty() });
    match api.post(API, &body).await {
        Ok(_) => Ok(see_other(PLACE)),
        Err(trouble) if trouble.is_of_the_form() => {
            page(&state, &api, Some(trouble.detail().to_owned())).await
        }
        Err(trouble) => Err(trouble),
    }
}
