//! ACME (RFC 8555) at `/acme/`.

use axum::Router;

use crate::State;

/// What the operator decides about ACME.
#[derive(Debug, Clone, Default)]
pub struct Settings {}

/// The routes, with their full paths.
pub(crate) fn routes(_settings: &Settings) -> Router<State> {
    Router::new()
}
