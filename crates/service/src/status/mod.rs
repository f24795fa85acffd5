//! What anyone may read: revocation lists, the CA's own certificates, and whether the service is well.

pub(crate) mod lists;
pub(crate) mod ocsp;

use axum::Router;
use axum::extract::{Path, State as FromState};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::HeaderMap;
use http::header::{self, HeaderValue};
use serde_json::json;

use crate::{Problem, State};

/// The routes.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/status", get(health))
        .route("/root.crt", get(root))
        .route("/root.pem", get(root_pem))
        .route("/issuing.crt", get(issuing))
        .route("/crl/issuing.crl", get(whole_list))
        .route("/crl/root.crl", get(root_list))
        .route("/crl/{partitions}/{file}", get(partition))
        .route("/crl/{line}/{partitions}/{file}", get(partition_of_line))
        .route("/{line}/issuing.crt", get(issuing_of_line))
        .merge(ocsp::routes())
}

/// Whom to believe, where clients come, and where operators come.
pub(crate) fn trust_route() -> Router<State> {
    Router::new().route("/trust", get(trust))
}

async fn health(FromState(state): FromState<State>) -> Result<Response, Problem> {
    let (events, newest) = state
        .blocking(|state| Ok((state.store().audit_length()?, state.store().revocation_version()?)))
        .await?;
    let authority = state.authority();
    let issuer = authority.issuer();
    let issuing = issuer.certificate();
    let document = json!({
        "authority": authority.name(),
        "issuing_until": issuing.not_after().to_string(),
        "root_sha256": pki::hex(&issuer.anchor().sha256()),
        "time": state.now().to_string(),
        "events": events,
        "last_revocation": newest,
    });
    let mut response = document.to_string().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The root of the line that issues.
async fn root(FromState(state): FromState<State>) -> Response {
    certificate(state.authority().issuer().anchor().der().to_vec(), "application/pkix-cert")
}

/// All roots that are believed, the one of the line that issues first.
async fn root_pem(FromState(state): FromState<State>) -> Response {
    let lines = state.authority().lines();
    let first = lines.issuing().issuer().anchor();
    let others = lines.anchors().anchors().iter().filter(|other| *other != first);
    let pem: String = std::iter::once(first).chain(others).map(pki::Certificate::to_pem).collect();
    certificate(pem.into_bytes(), "application/x-pem-file")
}

/// Whom to believe, and whom no longer: what keeps files of anchors up to date asks for this, over TLS.
async fn trust(FromState(state): FromState<State>) -> Response {
    let lines = state.authority().lines();
    let pem = |certificates: &[pki::Certificate]| -> Vec<String> {
        certificates.iter().map(pki::Certificate::to_pem).collect()
    };
    let now = state.now();
    let lists = lines.published(now).map(|line| ca::publication::partition_path(line.number(), 1, 0));
    let mut root_lists: Vec<String> =
        lines.published(now).map(|line| ca::publication::root_list_path(line.root_of())).collect();
    root_lists.dedup();
    let document = json!({
        "anchors": pem(lines.anchors().anchors()),
        "former": pem(&lines.former_anchors()),
        "crosses": pem(lines.crosses()),
        "lists": lists.collect::<Vec<_>>(),
        "root_lists": root_lists,
    });
    let mut response = certificate(document.to_string().into_bytes(), "application/json");
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The issuing CA that the authority began with: its certificates name this place.
async fn issuing(FromState(state): FromState<State>) -> Result<Response, Problem> {
    issuing_of(&state, 1)
}

async fn issuing_of_line(
    FromState(state): FromState<State>,
    Path(line): Path<String>,
) -> Result<Response, Problem> {
    issuing_of(&state, line_of(&line)?)
}

fn issuing_of(state: &State, line: u32) -> Result<Response, Problem> {
    let lines = state.authority().lines();
    let line = lines.find(line).ok_or_else(|| Problem::of(404, "not-found", "there is no such line"))?;
    Ok(certificate(line.issuer().certificate().der().to_vec(), "application/pkix-cert"))
}

/// The number in `line-2`; line 1 is named by nothing.
fn line_of(text: &str) -> Result<u32, Problem> {
    let number = text.strip_prefix("line-").and_then(|number| number.parse::<u32>().ok());
    number
        .filter(|number| *number > 1 && text == format!("line-{number}"))
        .ok_or_else(|| Problem::of(404, "not-found", format!("there is nothing of '{text}'")))
}

fn certificate(bytes: Vec<u8>, media_type: &'static str) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

async fn whole_list(FromState(state): FromState<State>, headers: HeaderMap) -> Result<Response, Problem> {
    let part = lists::Part { line: 1, partitions: 1, number: 0 };
    Ok(lists::list(&state, part).await?.answer(&headers, state.now()))
}

async fn partition(
    FromState(state): FromState<State>,
    Path((partitions, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let part = match (partitions.strip_prefix("line-"), file.as_str()) {
        (Some(_), "root.crl") => {
            let list = lists::of_root(&state, line_of(&partitions)?).await?;
            return Ok(list.answer(&headers, state.now()));
        }
        (Some(_), "issuing.crl") => lists::Part { line: line_of(&partitions)?, partitions: 1, number: 0 },
        _ => part(1, &partitions, &file)?,
    };
    Ok(lists::list(&state, part).await?.answer(&headers, state.now()))
}

async fn partition_of_line(
    FromState(state): FromState<State>,
    Path((line, partitions, file)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let part = part(line_of(&line)?, &partitions, &file)?;
    Ok(lists::list(&state, part).await?.answer(&headers, state.now()))
}

fn part(line: u32, partitions: &str, file: &str) -> Result<lists::Part, Problem> {
    lists::Part::parse(line, partitions, file)
        .ok_or_else(|| Problem::of(404, "not-found", format!("there is no list {partitions}/{file}")))
}

async fn root_list(FromState(state): FromState<State>, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(lists::of_root(&state, 1).await?.answer(&headers, state.now()))
}
