//! The style and the scripts of the pages, in the binary. A page asks for them under a name that holds the hash of all
//! of them, so that they can be cached for ever and an upgrade is seen at once.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{self, HeaderValue};

use crate::{Problem, State};

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: &[(&str, &str, &[u8])] = &[
    ("apple_profile.mjs", SCRIPT, include_bytes!("assets/apple_profile.mjs")),
    ("der.mjs", SCRIPT, include_bytes!("assets/der.mjs")),
    ("icon.svg", "image/svg+xml", include_bytes!("assets/icon.svg")),
    ("import_steps.mjs", SCRIPT, include_bytes!("assets/import_steps.mjs")),
    ("join.mjs", SCRIPT, include_bytes!("assets/join.mjs")),
    ("live.mjs", SCRIPT, include_bytes!("assets/live.mjs")),
    ("pkcs12.mjs", SCRIPT, include_bytes!("assets/pkcs12.mjs")),
    ("request.mjs", SCRIPT, include_bytes!("assets/request.mjs")),
    ("style.css", STYLE, net::serve::STYLE_SHEET.as_bytes()),
    ("triple_des.mjs", SCRIPT, include_bytes!("assets/triple_des.mjs")),
];

/// The start of the hash over all files: one for all, since the scripts import each other by relative names.
static EDITION: LazyLock<String> = LazyLock::new(|| {
    let all: Vec<u8> = FILES.iter().flat_map(|(_, _, content)| pki::sha256(content)).collect();
    pki::hex(&pki::sha256(&all)[..8])
});

/// Where a file is asked for.
pub(super) fn path(name: &str) -> String {
    format!("/assets/{}/{name}", *EDITION)
}

pub(super) fn routes() -> Router<State> {
    Router::new().route("/assets/{edition}/{name}", get(serve))
}

async fn serve(Path((_, name)): Path<(String, String)>) -> Result<Response, Problem> {
    let found = FILES.iter().find(|(known, _, _)| *known == name);
    let (_, kind, content) =
        found.ok_or_else(|| Problem::of(404, "not-found", format!("there is no file '{name}'")))?;
    let mut response = (*content).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
