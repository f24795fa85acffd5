//! Partners and their identities.

use askama::Template;
use axum::extract::{Query, State as FromState};
use axum::response::Response;
use axum::routing::get;
use axum::{Form, Router};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::call::{Api, encoded};
use super::frame::{Frame, html, items, see_other, text};
use super::trouble::Trouble;
use crate::State;

const PLACE: &str = "/console/partners";
/// Partners on a page; each row is two more questions.
const ROWS: usize = 50;

pub(super) fn routes() -> Router<State> {
    Router::new().route(PLACE, get(list).post(save))
}

struct Row {
    name: String,
    contact: String,
    certificates: String,
    most: String,
    identities: Vec<String>,
}

#[derive(Template)]
#[template(path = "partners.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    may_operate: bool,
    error: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Behind {
    after: String,
}

async fn list(
    FromState(state): FromState<State>,
    api: Api,
    Query(behind): Query<Behind>,
) -> Result<Response, Trouble> {
    page(&state, &api, &behind.after, None).await
}

async fn page(state: &State, api: &Api, after: &str, error: Option<String>) -> Result<Response, Trouble> {
    let after = if after.is_empty() { String::new() } else { format!("&after={}", encoded(after)) };
    let partners = api.get(&format!("/api/v1/partners?limit={ROWS}{after}")).await?;
    let mut rows = Vec::new();
    for partner in items(&partners, "partners") {
        let name = text(partner, "name");
        let path = format!("/api/v1/identities?limit=20&partner={}", encoded(&name));
        let identities = api.get(&path).await?;
        rows.push(Row {
            contact: text(partner, "contact"),
            certificates: text(partner, "certificates"),
            most: text(partner, "most_certificates"),
            identities: items(&identities, "identities").map(|identity| text(identity, "name")).collect(),
            name,
        });
    }
    let frame = Frame::of(state, api, PLACE, "Partners");
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let next = partners["next"].as_str().map(str::to_owned);
    Ok(html(status, &List { frame, rows, next, may_operate: api.may_operate(), error }))
}

#[derive(Deserialize)]
struct Wish {
    name: String,
    contact: String,
    most: String,
}

async fn save(
    FromState(state): FromState<State>,
    api: Api,
    Form(wish): Form<Wish>,
) -> Result<Response, Trouble> {
    let contact = Some(wish.contact.trim()).filter(|contact| !contact.is_empty());
    let Ok(most) = wish.most.trim().parse::<u32>() else {
        return page(&state, &api, "", Some(format!("'{}' is no number of certificates", wish.most))).await;
    };
    let body = json!({ "contact": contact, "most_certificates": most });
    let path = format!("/api/v1/partners/{}", encoded(wish.name.trim()));
    match api.call(Method::PUT, &path, Some(&body)).await {
        Ok(_) => Ok(see_other(PLACE)),
        Err(trouble) if trouble.is_of_the_form() => {
            page(&state, &api, "", Some(trouble.detail().to_owned())).await
        }
        Err(trouble) => Err(trouble),
    }
}
