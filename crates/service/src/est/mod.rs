//! EST (RFC 7030) at `/.well-known/est/`.

use axum::Router;

use crate::State;

/// The routes, with their full paths.
pub(crate) fn routes() -> Router<State> {
    Router::new()
}
