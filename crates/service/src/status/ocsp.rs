//! The OCSP responder (RFC 6960, RFC 5019, nonces by RFC 9654) at `/ocsp`. It signs with a certificate of its own, made
//! for this by the issuing CA, and keeps what it signed: an answer without a nonce is signed once and given to all who
//! ask, until something is revoked or half of its life is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State as FromState};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ca::{Line, Selector};
use http::header::{self, HeaderValue};
use jiff::Timestamp;
use pki::crl::Revocation;
use pki::ocsp::{
    self, CertId, CertStatus, HashAlgorithm, Request, RequestError, ResponseStatus, SingleResponse,
};

use crate::{Problem, State};

/// The most answers that are kept; each is about a kilobyte.
const MOST_KEPT: usize = 100_000;

/// The longest request in a path: RFC 5019 section 5 asks for GET up to 255 octets of base64.
const LONGEST_IN_PATH: usize = 4096;

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/ocsp", post(posted))
        .route("/ocsp/", post(posted))
        .route("/ocsp/{*request}", get(got))
}

/// Answers that were signed.
#[derive(Default)]
pub(crate) struct Answers {
    kept: Mutex<HashMap<Key, Kept>>,
}

/// The line, and what is asked.
type Key = (u32, HashAlgorithm, Vec<u8>);

#[derive(Clone)]
struct Kept {
    der: Bytes,
    produced: Timestamp,
    until: Timestamp,
    /// The last revocation that was known when it was signed.
    revocation: u64,
}

impl Answers {
    /// Forgets all, since another responder signs now.
    pub(crate) fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn find(&self, key: &Key, revocation: u64, now: Timestamp) -> Option<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get(key)?;
        let life = kept.until.duration_since(kept.produced);
        let is_young = now >= kept.produced && now.duration_since(kept.produced) < life / 2;
        (is_young && kept.revocation >= revocation).then(|| kept.clone())
    }

    fn keep(&self, key: Key, answer: Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            // Whatever is asked for again is signed again.
            kept.clear();
        }
        kept.insert(key, answer);
    }
}

async fn posted(FromState(state): FromState<State>, body: Bytes) -> Response {
    answer(&state, &body).await
}

async fn got(FromState(state): FromState<State>, Path(request): Path<String>) -> Response {
    // The path was decoded already; some clients write the base64 with its slashes as they are, some for URLs.
    let text = request.replace('-', "+").replace('_', "/");
    let der =
        Some(text).filter(|text| text.len() <= LONGEST_IN_PATH).and_then(|text| STANDARD.decode(text).ok());
    match der {
        Some(der) => answer(&state, &der).await,
        None => respond(Bytes::from(ocsp::refusal(ResponseStatus::MalformedRequest)), None),
    }
}

async fn answer(state: &State, der: &[u8]) -> Response {
    let refuse = |status| respond(Bytes::from(ocsp::refusal(status)), None);
    let request = match Request::from_der(der) {
        Ok(request) => request,
        Err(RequestError::Hash) => return refuse(ResponseStatus::Unauthorized),
        Err(_) => return refuse(ResponseStatus::MalformedRequest),
    };
    let now = state.now();
    let revocation = state.seen().borrow().revocation;
    // One responder signs an answer, and speaks for one issuing CA.
    let lines = state.authority().lines();
    let is_asked = |line: &&Arc<Line>| {
        request.certificates.iter().all(|asked| asked.is_from(line.issuer().certificate()))
    };
    let Some(line) = lines.published(now).find(is_asked).map(|line| line.number()) else {
        return refuse(ResponseStatus::Unauthorized);
    };
    let key = match (request.certificates.as_slice(), &request.nonce) {
        ([one], None) => Some((line, one.hash(), one.serial().to_vec())),
        _ => None,
    };
    if let Some(kept) = key.as_ref().and_then(|key| state.answers().find(key, revocation, now)) {
        return respond(kept.der, Some((kept.produced, kept.until, now)));
    }
    match state.blocking(move |state| sign(state, line, &request, key)).await {
        Ok(Some(signed)) => respond(signed.der, Some((signed.produced, signed.until, now))),
        Ok(None) => refuse(ResponseStatus::TryLater),
        Err(problem) if problem.status().as_u16() == 503 => refuse(ResponseStatus::TryLater),
        Err(_) => refuse(ResponseStatus::InternalError),
    }
}

/// Looks up what is asked, and signs it; `None` where there is no responder yet.
fn sign(state: &State, line: u32, request: &Request, key: Option<Key>) -> Result<Option<Kept>, Problem> {
    let Some(responder) = state.responder(line) else { return Ok(None) };
    // Before the look-up, so that a revocation in between makes the answer look old rather than new.
    let revocation = state.look()?.revocation;
    let now = state.now();
    let until = (now + state.settings().list_lifetime).min(responder.certificate.not_after());
    let single = |asked: &CertId| {
        let found = state.store().find(&Selector::Serial(asked.serial().to_vec()))?;
        let status = match found.first().filter(|entry| entry.line == line) {
            None => CertStatus::Unknown,
            Some(entry) => entry.revoked.map_or(CertStatus::Good, |record| {
                CertStatus::Revoked(Revocation { revoked_at: record.at, reason: record.reason })
            }),
        };
        Ok(SingleResponse { certificate: asked.clone(), status, this_update: now, next_update: Some(until) })
    };
    let responses = request.certificates.iter().map(single).collect::<Result<Vec<_>, Problem>>()?;
    let own = std::slice::from_ref(&responder.certificate);
    let prepared = ocsp::prepare(&responder.certificate, now, &responses, request.nonce.as_deref(), own);
    let der = prepared.map_err(|error| Problem::internal(&error))?.sign(&*responder.key);
    let der = Bytes::from(der.map_err(|error| Problem::internal(&error))?);
    let signed = Kept { der, produced: now, until, revocation };
    if let Some(key) = key {
        state.answers().keep(key, signed.clone());
    }
    Ok(Some(signed))
}

fn respond(der: Bytes, life: Option<(Timestamp, Timestamp, Timestamp)>) -> Response {
    let mut response = der.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/ocsp-response"));
    // As for lists: a revocation must not hide behind a cache for longer than a minute.
    let cache = match life {
        Some((_, until, now)) => {
            format!("public, max-age={}, must-revalidate", until.duration_since(now).as_secs().clamp(0, 60))
        }
        None => "no-store".to_owned(),
    };
    if let Ok(cache) = HeaderValue::from_str(&cache) {
        headers.insert(header::CACHE_CONTROL, cache);
    }
    response
}
