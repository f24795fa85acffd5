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
        .merge(ocsp::routes())
}

async fn health(FromState(state): FromState<State>) -> Result<Response, Problem> {
    let (events, newest) = state
        .blocking(|state| Ok((state.store().audit_length()?, state.store().revocation_version()?)))
        .await?;
    let authority = state.authority();
    let issuing = authority.issuer().certificate();
    let document = json!({
        "authority": authority.name(),
        "issuing_until": issuing.not_after().to_string(),
        "root_sha256": pki::hex(&authority.issuer().anchor().sha256()),
        "time": state.now().to_string(),
        "events": events,
        "last_revocation": newest,
    });
    let mut response = document.to_string().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn root(FromState(state): FromState<State>) -> Response {
    certificate(state.authority().issuer().anchor().der().to_vec(), "application/pkix-cert")
}

async fn root_pem(FromState(state): FromState<State>) -> Response {
    let pem = state.authority().issuer().anchor().to_pem();
    certificate(pem.into_bytes(), "application/x-pem-file")
}

async fn issuing(FromState(state): FromState<State>) -> Response {
    certificate(state.authority().issuer().certificate().der().to_vec(), "application/pkix-cert")
}

fn certificate(bytes: Vec<u8>, media_type: &'static str) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

async fn whole_list(FromState(state): FromState<State>, headers: HeaderMap) -> Result<Response, Problem> {
    let part = lists::Part { partitions: 1, number: 0 };
    Ok(lists::list(&state, part).await?.answer(&headers, state.now()))
}

async fn partition(
    FromState(state): FromState<State>,
    Path((partitions, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let part = lists::Part::parse(&partitions, &file)
        .ok_or_else(|| Problem::of(404, "not-found", format!("there is no list {partitions}/{file}")))?;
    Ok(lists::list(&state, part).await?.answer(&headers, state.now()))
}

async fn root_list(FromState(state): FromState<State>, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(lists::of_root(&state).await?.answer(&headers, state.now()))
}
