//! The log of everything issued, as static files (c2sp.org/tlog-tiles) at `/log`: the signed checkpoint and the tiles of
//! hashes for anyone, since hashes of certificates with serial numbers of 134 random bits tell nothing; the entries, which
//! hold names, for those who may read the audit trail. The API has the same in JSON, with proofs made.
//!
//! There is no sequencer: a certificate takes its place in the transaction that records it, so each replica can sign what
//! the memory holds, and none can sign anything else.

use std::sync::{Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, Query as FromQuery, State as FromState};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::log::{
    Checkpoint, Hash, Proof, TILE, TilePath, bundle, consistency_proof, inclusion_proof, origin, root,
};
use ca::{CaCertificate, Permission, Selector, StoreError};
use http::header::{self, HeaderValue};
use pki::Certificate;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Problem, State, api};

/// The highest level of tiles that a log of 2^64 entries has.
const HIGHEST: u8 = 8;

/// The last checkpoint that this process signed, and its note.
#[derive(Default)]
pub(crate) struct Signed(Mutex<Option<(Checkpoint, String)>>);

/// What anyone may read.
pub(crate) fn routes() -> Router<State> {
    Router::new().route("/log/checkpoint", get(checkpoint)).route("/log/tile/{level}/{*place}", get(tile))
}

/// The entries, for auditors.
pub(crate) fn entry_routes(state: &State) -> Router<State> {
    Router::new()
        .route("/log/tile/entries/{*place}", api::guarded(state, Some(Permission::Audit), get(entry_bundle)))
}

/// The checkpoint of the log as it is now. Blocks.
///
/// # Errors
/// A [`Problem`] where the memory cannot be read, or holds less than what was signed before.
pub(crate) fn sign(state: &State) -> Result<(Checkpoint, String), Problem> {
    let mut signed = state.signed_log().0.lock().unwrap_or_else(PoisonError::into_inner);
    let size = state.store().log_size()?;
    if let Some((known, note)) = &*signed {
        if known.size == size {
            return Ok((known.clone(), note.clone()));
        }
        if known.size > size {
            // It would contradict what was signed: somebody put an older memory in place under a running service.
            tracing::error!(
                signed = known.size,
                found = size,
                "the log became shorter; no checkpoint is signed"
            );
            return Err(Problem::of(
                503,
                "unavailable",
                format!(
                    "the log has {size} entries, and a checkpoint of {} was signed; the memory is an older one",
                    known.size
                ),
            ));
        }
    }
    let lines = state.authority().lines();
    let first = first_line(&lines);
    let checkpoint =
        Checkpoint { origin: origin(first.issuer().anchor()), size, root: root(size, read(state))? };
    // The log keeps the key that it began with, and whoever knows another line's CA alone finds its signature too.
    let others =
        lines.published(state.now()).map(|line| &**line).filter(|line| line.number() != first.number());
    let signers = std::iter::once(first).chain(others).filter_map(|line| line.key());
    let note = checkpoint.sign_by_all(signers).map_err(|error| Problem::internal(&error))?;
    *signed = Some((checkpoint.clone(), note.clone()));
    Ok((checkpoint, note))
}

/// The line that the authority, and so its log, began with.
fn first_line(lines: &ca::Lines) -> &ca::Line {
    lines.find(1).unwrap_or(lines.issuing())
}

/// Reads hashes of the memory.
fn read(state: &State) -> impl FnMut(u8, u64, u64) -> Result<Vec<Hash>, StoreError> + '_ {
    |level, start, count| state.store().log_hashes(level, start, count)
}

async fn checkpoint(FromState(state): FromState<State>) -> Result<Response, Problem> {
    let (_, note) = state.blocking(sign).await?;
    let mut response = note.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

async fn tile(
    FromState(state): FromState<State>,
    Path((level, place)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let missing = || Problem::of(404, "not-found", format!("there is no tile {level}/{place}"));
    let known = level.parse::<u8>().ok().filter(|number| number.to_string() == level && *number <= HIGHEST);
    let number = known.ok_or_else(missing)?;
    let path = TilePath::parse(&place).ok_or_else(missing)?;
    let start = path.number.checked_mul(TILE).ok_or_else(missing)?;
    let hashes =
        state.blocking(move |state| Ok(state.store().log_hashes(number, start, path.width)?)).await?;
    if hashes.len() as u64 != path.width {
        return Err(missing());
    }
    Ok(for_ever(hashes.concat(), "public, max-age=31536000, immutable"))
}

async fn entry_bundle(
    FromState(state): FromState<State>,
    Path(place): Path<String>,
) -> Result<Response, Problem> {
    let missing = || Problem::of(404, "not-found", format!("there is no bundle {place}"));
    let path = TilePath::parse(&place).ok_or_else(missing)?;
    let start = path.number.checked_mul(TILE).ok_or_else(missing)?;
    let entries = state.blocking(move |state| Ok(state.store().log_entries(start, path.width)?)).await?;
    if entries.len() as u64 != path.width {
        return Err(missing());
    }
    let octets = bundle(&entries).ok_or_else(|| {
        Problem::of(500, "internal", "an entry is longer than 65,535 octets, which no bundle can hold")
    })?;
    Ok(for_ever(octets, "private, max-age=31536000, immutable"))
}

/// What never changes once it is there.
fn for_ever(octets: Vec<u8>, caching: &'static str) -> Response {
    let mut response = octets.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

/// `GET /api/v1/log`.
pub(crate) async fn describe(FromState(state): FromState<State>) -> Result<Response, Problem> {
    let (checkpoint, note) = state.blocking(sign).await?;
    let lines = state.authority().lines();
    let issuer = first_line(&lines).issuer();
    let crosses: Vec<String> = lines.crosses().iter().map(Certificate::to_pem).collect();
    let issuers: Vec<String> = lines.all().iter().map(|line| line.issuer().certificate().to_pem()).collect();
    let former = lines.former_anchors();
    let roots: Vec<String> =
        lines.anchors().anchors().iter().chain(&former).map(Certificate::to_pem).collect();
    Ok(api::ok(&json!({
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root_hash": STANDARD.encode(checkpoint.root),
        "checkpoint": note,
        "issuer": issuer.certificate().to_pem(),
        "anchor": issuer.anchor().to_pem(),
        "issuers": issuers,
        "roots": roots,
        "crosses": crosses,
    })))
}

/// `GET /api/v1/log/proof/{which}`.
pub(crate) async fn prove(
    FromState(state): FromState<State>,
    Path(which): Path<String>,
) -> Result<Response, Problem> {
    let document = state
        .blocking(move |state| {
            let unknown =
                || Problem::of(404, "not-found", format!("no certificate of '{which}' is in the log"));
            let Logged { name, serial, der } =
                logged(state, &Selector::parse(&which))?.ok_or_else(unknown)?;
            let index = state.store().log_index(&serial)?.ok_or_else(unknown)?;
            // After the index: what is in the log is in every later checkpoint.
            let (checkpoint, note) = sign(state)?;
            let path = inclusion_proof(index, checkpoint.size, read(state))?;
            Ok(json!({
                "name": name,
                "index": index,
                "size": checkpoint.size,
                "certificate": pki::pem::encode("CERTIFICATE", &der),
                "proof": Proof { index, path, checkpoint: note }.to_string(),
            }))
        })
        .await?;
    Ok(api::ok(&document))
}

/// A certificate that is in the log.
struct Logged {
    name: String,
    serial: Vec<u8>,
    der: Vec<u8>,
}

/// The newest certificate that is meant; where none was issued, the authority's own one.
fn logged(state: &State, which: &Selector) -> Result<Option<Logged>, Problem> {
    if let Some(entry) = state.store().find(which)?.into_iter().next() {
        return Ok(Some(Logged { name: entry.label, serial: entry.serial, der: entry.der }));
    }
    for CaCertificate { serial, der } in state.store().ca_certificates()?.into_iter().rev() {
        let certificate = Certificate::from_der(&der).map_err(|error| Problem::internal(&error))?;
        let name = certificate.subject().short();
        let is_meant = match which {
            Selector::Label(label) => name.eq_ignore_ascii_case(label),
            Selector::Serial(wanted) => serial == *wanted,
            Selector::Typed(label, prefix) => {
                name.eq_ignore_ascii_case(label)
                    || serial.starts_with(prefix)
                    || certificate.sha256()[..] == prefix[..]
            }
        };
        if is_meant {
            return Ok(Some(Logged { name, serial, der }));
        }
    }
    Ok(None)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sizes {
    from: u64,
    to: u64,
}

/// `GET /api/v1/log/consistency`.
pub(crate) async fn consistency(
    FromState(state): FromState<State>,
    FromQuery(Sizes { from, to }): FromQuery<Sizes>,
) -> Result<Response, Problem> {
    let path = state
        .blocking(move |state| {
            let size = state.store().log_size()?;
            if from > to || to > size {
                let detail = format!("from {from} to {to} is no growth of a log of {size} entries");
                return Err(Problem::of(400, "bad-request", detail));
            }
            Ok(consistency_proof(from, to, read(state))?)
        })
        .await?;
    let path: Vec<String> = path.iter().map(|hash| STANDARD.encode(hash)).collect();
    Ok(api::ok(&json!({ "from": from, "to": to, "path": path })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    start: Option<u64>,
    limit: Option<usize>,
}

/// `GET /api/v1/log/entries`.
pub(crate) async fn entries(
    FromState(state): FromState<State>,
    FromQuery(wanted): FromQuery<Range>,
) -> Result<Response, Problem> {
    let (start, limit) = (wanted.start.unwrap_or(0), api::limit(wanted.limit));
    let entries = state.blocking(move |state| Ok(state.store().log_entries(start, limit as u64)?)).await?;
    let entries: Vec<Value> = entries.iter().map(|der| STANDARD.encode(der).into()).collect();
    Ok(api::ok(&json!({ "start": start, "entries": entries })))
}
