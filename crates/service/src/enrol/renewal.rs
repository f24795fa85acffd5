//! Renewal with the certificate itself: a signing request over mTLS, the next certificate back.

use axum::extract::State as FromState;
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use ca::{Issued, RenewError};
use pki::csr::CertificateRequest;
use pki::identity::VerifiedPeer;

use super::{answer, read_request};
use crate::{Problem, State, Visitor};

pub(super) fn routes() -> Router<State> {
    Router::new().route("/api/v1/renew", post(handle))
}

async fn handle(
    FromState(state): FromState<State>,
    Extension(visitor): Extension<Visitor>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Some(peer) = visitor.peer.clone() else {
        return Err(Problem::of(
            401,
            "no-certificate",
            "a certificate is renewed with itself: connect with the one that is to be renewed",
        ));
    };
    let request = read_request(&body)?;
    let origin = format!("{} by renewal", visitor.address.ip());
    let issued = state.blocking(move |state| renew(state, &peer, &request, &origin)).await?;
    Ok(answer(&issued))
}

/// Renews the certificate of a verified client for the key of a request. Blocks.
///
/// # Errors
/// A [`Problem`] that says why not.
pub fn renew(
    state: &State,
    peer: &VerifiedPeer,
    request: &CertificateRequest,
    origin: &str,
) -> Result<Issued, Problem> {
    let grace = state.settings().grace;
    state.authority().renew(peer.certificate(), request.public_key(), origin, grace, state.now()).map_err(
        |error| match error {
            RenewError::Unknown(_) => Problem::of(403, "unknown-certificate", error),
            RenewError::Revoked(_) => Problem::of(403, "revoked", error),
            RenewError::Expired { .. } => Problem::of(403, "expired", error),
            RenewError::Issue(error) => error.into(),
            RenewError::Store(error) => error.into(),
        },
    )
}
