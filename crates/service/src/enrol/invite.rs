//! Redeeming an invite: `POST /i/CODE` with a signing request gives the certificate; what is seen of the
//! link before that is the page of the console, or the commands.

use axum::extract::{Path, State as FromState};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use ca::redeem::From;
use ca::{RedeemError, Redeemed};
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use pki::csr::CertificateRequest;
use serde_json::json;

use super::{answer, read_request};
use crate::{Problem, State, Visitor, console};

/// How often one who waits for a person asks again.
const ASK_AGAIN_SECONDS: u64 = 5;

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/i/{code}", get(look).post(join))
        .route("/i/{code}/request", post(console::join::pasted))
}

/// What someone sees who opens the link: a browser the invite's page, a program the commands.
async fn look(
    FromState(state): FromState<State>,
    Extension(visitor): Extension<Visitor>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") {
        return console::join::page(state, visitor, code).await;
    }
    explain(&state, &code)
}

/// The commands. They say nothing about the invite: the code is looked at when it is redeemed.
fn explain(state: &State, code: &str) -> Response {
    let root = pki::hex(&state.authority().issuer().anchor().sha256());
    let shown: String = code.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let text = format!(
        "This is the invite {shown}… of the certificate authority {}.\n\n\
         To get your certificate, run where it will be used, with the whole link:\n\n\
         \x20   countersign join '{}/i/CODE#{root}'\n\n\
         Or without countersign, with the authority's root (sha256 {root}) in rootCA.pem:\n\n\
         \x20   openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=me \\\n\
         \x20       -keyout me-key.pem -out me.csr\n\
         \x20   curl --cacert rootCA.pem --data-binary @me.csr -o me.pem {}/i/CODE\n",
        state.authority().name(),
        state.base(),
        state.base(),
    );
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

async fn join(
    FromState(state): FromState<State>,
    Extension(visitor): Extension<Visitor>,
    Path(code): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let request = read_request(&body)?;
    let redeemed = state
        .blocking(move |state| {
            let from = From { address: visitor.address.ip(), way: "join" };
            redeem(state, &code, &request, from)
        })
        .await?;
    Ok(match redeemed {
        Redeemed::Issued(issued, label) => {
            let mut response = answer(&issued);
            // Names are text of any kind, and a header is not: what does not fit is in the certificate.
            if let Ok(label) = HeaderValue::from_str(&label) {
                response.headers_mut().insert("countersign-name", label);
            }
            response
        }
        Redeemed::Waiting => {
            let text = json!({ "status": "waiting", "detail": "a person is to approve this; ask again" })
                .to_string();
            let mut response = (StatusCode::ACCEPTED, text).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(header::RETRY_AFTER, HeaderValue::from(ASK_AGAIN_SECONDS));
            response
        }
    })
}

/// Redeems an invite for the key of a request. Blocks.
///
/// # Errors
/// A [`Problem`] that says why not.
pub fn redeem(
    state: &State,
    code: &str,
    request: &CertificateRequest,
    from: From<'_>,
) -> Result<Redeemed, Problem> {
    let now = state.now();
    let (key, names) = (request.public_key(), request.names());
    state.authority().redeem(code, key, &names, from, now).map_err(|error| told(error, now))
}

/// The problem, as it is told.
pub(crate) fn told(error: RedeemError, now: Timestamp) -> Problem {
    match error {
        RedeemError::Blocked { until } => {
            let seconds = u64::try_from(until.duration_since(now).as_secs()).unwrap_or(0) + 1;
            Problem::of(429, "too-many-wrong-codes", error).retry_after(seconds)
        }
        RedeemError::Unknown => Problem::of(404, "unknown-code", error),
        RedeemError::Expired(_) | RedeemError::Withdrawn | RedeemError::UsedUp => {
            Problem::of(410, "invite-over", error)
        }
        RedeemError::Denied => Problem::of(403, "denied", error),
        RedeemError::PartnerFull { .. } => Problem::of(403, "partner-full", error),
        RedeemError::Key(_) => Problem::of(400, "bad-request", error),
        RedeemError::Issue(error) => error.into(),
        RedeemError::Store(error) => error.into(),
    }
}
