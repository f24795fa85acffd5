//! Invites: who was invited, what became of it, what waits for a person, and a new one.

use askama::Template;
use axum::extract::{Path, Query, State as FromState};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use http::{Method, StatusCode};
use pki::name::{GeneralName, SubjectNames};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Api, encoded};
use super::frame::{Frame, html, items, mood, see_other, text, time};
use super::trouble::Trouble;
use super::{lifetime, qr};
use crate::{Problem, State};

const PLACE: &str = "/console/invites";

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route(PLACE, get(list))
        .route("/console/invites/new", get(wish).post(create))
        .route("/console/invites/{handle}", get(show))
        .route("/console/invites/{handle}/decision", post(decide))
        .route("/console/invites/{handle}/withdraw", post(withdraw))
}

struct Row {
    handle: String,
    name: String,
    state: String,
    mood: &'static str,
    left: String,
    uses: String,
    expires: String,
    partner: String,
    created_by: String,
}

impl Row {
    fn read(value: &Value) -> Self {
        let state = text(value, "state");
        Row {
            handle: text(value, "handle"),
            name: text(value, "name"),
            mood: mood(&state),
            state,
            left: text(value, "left"),
            uses: text(value, "uses"),
            expires: time(value, "expires"),
            partner: text(value, "partner"),
            created_by: text(value, "created_by"),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Behind {
    after: String,
}

#[derive(Template)]
#[template(path = "invites.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    may_enrol: bool,
}

async fn list(
    FromState(state): FromState<State>,
    api: Api,
    Query(behind): Query<Behind>,
) -> Result<Response, Trouble> {
    let after =
        if behind.after.is_empty() { String::new() } else { format!("&after={}", encoded(&behind.after)) };
    let document = api.get(&format!("/api/v1/invites?limit=100{after}")).await?;
    let page = List {
        frame: Frame::of(&state, &api, PLACE, "Invites"),
        rows: items(&document, "invites").map(Row::read).collect(),
        next: document["next"].as_str().map(str::to_owned),
        may_enrol: api.may_enrol(),
    };
    Ok(html(StatusCode::OK, &page))
}

struct Used {
    stage: String,
    at: String,
    from: String,
    key: String,
    kind_of_key: String,
    names: Vec<String>,
    serial: Option<String>,
    waits: bool,
}

#[derive(Template)]
#[template(path = "invite.html")]
struct Page {
    frame: Frame,
    row: Row,
    gives: String,
    certified: Vec<String>,
    created_at: String,
    used: Vec<Used>,
    may_operate: bool,
    open: bool,
    error: Option<String>,
}

async fn show(
    FromState(state): FromState<State>,
    api: Api,
    Path(handle): Path<String>,
) -> Result<Response, Trouble> {
    page(&state, &api, &handle, None).await
}

async fn page(state: &State, api: &Api, handle: &str, error: Option<String>) -> Result<Response, Trouble> {
    let invite = api.get(&format!("/api/v1/invites/{}", encoded(handle))).await?;
    let row = Row::read(&invite);
    let used = items(&invite, "used").map(|one| Used {
        stage: text(one, "stage"),
        at: time(one, "at"),
        from: text(one, "from"),
        key: text(one, "key_sha256"),
        kind_of_key: text(one, "kind_of_key"),
        names: items(one, "requested_names").filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
        serial: one["serial_number"].as_str().map(str::to_owned),
        waits: one["stage"] == json!("waits for approval"),
    });
    let page = Page {
        frame: Frame::of(state, api, PLACE, &format!("Invite for {}", row.name)),
        gives: format!(
            "a {} certificate that lives {}",
            text(&invite, "profile"),
            lifetime(&invite["lifetime_seconds"])
        ),
        certified: certified(&invite["names"]),
        created_at: time(&invite, "created_at"),
        used: used.collect(),
        may_operate: api.may_operate(),
        open: matches!(row.state.as_str(), "open" | "waits for approval"),
        row,
        error,
    };
    Ok(html(if page.error.is_some() { StatusCode::CONFLICT } else { StatusCode::OK }, &page))
}

/// The names that a certificate of the invite gets.
fn certified(names: &Value) -> Vec<String> {
    let of = |kind: &'static str, member: &str| {
        let all = match &names[member] {
            Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        };
        all.into_iter().filter_map(move |name| Some(format!("{kind}{}", name.as_str()?))).collect::<Vec<_>>()
    };
    [
        of("CN=", "common_name"),
        of("O=", "organization"),
        of("OU=", "organizational_units"),
        of("DNS:", "dns"),
        of("IP:", "ip"),
        of("email:", "email"),
        of("URI:", "uri"),
    ]
    .concat()
}

#[derive(Deserialize)]
struct Decision {
    key: String,
    approve: String,
}

async fn decide(
    FromState(state): FromState<State>,
    api: Api,
    Path(handle): Path<String>,
    Form(decision): Form<Decision>,
) -> Result<Response, Trouble> {
    let body = json!({ "approve": decision.approve == "yes", "key_sha256": decision.key });
    let path = format!("/api/v1/invites/{}/decision", encoded(&handle));
    match api.post(&path, &body).await {
        Ok(_) => Ok(see_other(&format!("{PLACE}/{}", encoded(&handle)))),
        // Somebody else was faster, or it is over: the page says what is true now.
        Err(trouble) if trouble.is_of_the_form() => {
            page(&state, &api, &handle, Some(trouble.detail().to_owned())).await
        }
        Err(trouble) => Err(trouble),
    }
}

async fn withdraw(api: Api, Path(handle): Path<String>) -> Result<Response, Trouble> {
    api.call(Method::DELETE, &format!("/api/v1/invites/{}", encoded(&handle)), None).await?;
    Ok(see_other(&format!("{PLACE}/{}", encoded(&handle))))
}

#[derive(Deserialize, Clone)]
#[serde(default)]
struct Wish {
    name: String,
    email: String,
    days: String,
    uses: String,
    hours: String,
    partner: String,
    approve: String,
}

impl Default for Wish {
    fn default() -> Self {
        let [days, uses, hours] = ["90", "1", "24"].map(str::to_owned);
        let [name, email, partner, approve] = [const { String::new() }; 4];
        Wish { name, email, days, uses, hours, partner, approve }
    }
}

#[derive(Template)]
#[template(path = "invite_new.html")]
struct New {
    frame: Frame,
    name: String,
    email: String,
    days: String,
    uses: String,
    hours: String,
    partner: String,
    approve: bool,
    partners: Vec<String>,
    error: Option<String>,
}

async fn wish(
    FromState(state): FromState<State>,
    api: Api,
    Query(wish): Query<Wish>,
) -> Result<Response, Trouble> {
    if !api.may_enrol() {
        return Err(Problem::of(403, "not-allowed", "your role does not allow you to invite anybody").into());
    }
    Ok(form(&state, &api, wish, None).await)
}

async fn form(state: &State, api: &Api, wish: Wish, error: Option<String>) -> Response {
    let known = api.get("/api/v1/partners?counted=false&limit=1000").await.unwrap_or_default();
    let page = New {
        frame: Frame::of(state, api, PLACE, "Invite somebody"),
        name: wish.name,
        email: wish.email,
        days: wish.days,
        uses: wish.uses,
        hours: wish.hours,
        partner: wish.partner,
        approve: wish.approve == "yes",
        partners: items(&known, "partners").map(|partner| text(partner, "name")).collect(),
        error,
    };
    html(if page.error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &page)
}

/// What the API is asked for, as the form says it.
fn invite_of(wish: &Wish) -> Result<Value, String> {
    let number = |text: &str, what: &str| {
        text.trim().parse::<u32>().map_err(|_| format!("'{text}' is no number of {what}"))
    };
    let mut names = SubjectNames::for_client(wish.name.trim()).map_err(|error| error.to_string())?;
    if !wish.email.trim().is_empty() {
        let address = pki::name::email_address(wish.email.trim()).map_err(|error| error.to_string())?;
        names.add(GeneralName::Email(address));
    }
    let mut body = json!({
        "name": wish.name.trim(),
        "names": ca::names_to_json(&names),
        "lifetime_seconds": i64::from(number(&wish.days, "days")?) * 86_400,
        "uses": number(&wish.uses, "certificates")?,
        "open_seconds": i64::from(number(&wish.hours, "hours")?) * 3_600,
        "approve": wish.approve == "yes",
    });
    if !wish.partner.trim().is_empty() {
        body["partner"] = wish.partner.trim().into();
    }
    Ok(body)
}

#[derive(Template)]
#[template(path = "invited.html")]
struct Invited {
    frame: Frame,
    name: String,
    handle: String,
    link: String,
    command: String,
    qr: String,
}

async fn create(
    FromState(state): FromState<State>,
    api: Api,
    Form(wish): Form<Wish>,
) -> Result<Response, Trouble> {
    let body = match invite_of(&wish) {
        Ok(body) => body,
        Err(error) => return Ok(form(&state, &api, wish, Some(error)).await),
    };
    let invite = match api.post("/api/v1/invites", &body).await {
        Ok(invite) => invite,
        Err(trouble) if trouble.is_of_the_form() => {
            return Ok(form(&state, &api, wish, Some(trouble.detail().to_owned())).await);
        }
        Err(trouble) => return Err(trouble),
    };
    let link = text(&invite, "link");
    let page = Invited {
        frame: Frame::of(&state, &api, PLACE, "Invited"),
        name: text(&invite, "name"),
        handle: text(&invite, "handle"),
        command: format!("countersign join '{link}'"),
        qr: qr::svg(&link),
        link,
    };
    Ok(html(StatusCode::CREATED, &page))
}
