//! Which handler answers which path, and on which of the service's surfaces.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use http::Method;
use http::Uri;

use crate::{Problem, State, acme, api, console, enrol, est, log, nul, status};

/// The most octets of a request's body. A signing request with an RSA-4096 key and a hundred names has 8 KiB.
pub(crate) const LARGEST_BODY: usize = 64 * 1024;

/// What one listener serves. Each can stand alone, so that only what must be is reached from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surface {
    /// Invites, renewal, ACME, EST.
    pub enrolment: bool,
    /// Lists, OCSP, the issuing CA's certificate: what anyone may read, and may read without TLS.
    pub status: bool,
    /// The API, the feed and the console.
    pub admin: bool,
}

impl Surface {
    /// Everything on one listener.
    pub const ALL: Surface = Surface { enrolment: true, status: true, admin: true };
    /// Status alone.
    pub const STATUS: Surface = Surface { enrolment: false, status: true, admin: false };
}

/// The handlers of a surface.
pub fn router(state: &State, surface: Surface) -> Router {
    let mut router = Router::new();
    if surface.status {
        router = router.merge(status::routes()).merge(log::routes());
    }
    if surface.enrolment {
        router = router.merge(enrol::routes()).merge(acme::routes(state)).merge(est::routes());
    }
    if surface.admin {
        router =
            router.merge(api::routes(state)).merge(log::entry_routes(state)).merge(console::routes(state));
    }
    if surface.enrolment || surface.admin {
        router = router.merge(console::shared());
    }
    if surface.status || surface.admin {
        router = router.merge(status::trust_route());
    }
    router
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::from_fn(console::guard::same_site))
        .layer(axum::middleware::from_fn(nul::none_in_address))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(state.clone())
}

async fn nothing_here(uri: Uri) -> Problem {
    Problem::of(404, "not-found", format!("there is nothing at {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::of(405, "wrong-method", format!("{} does not answer {method}", uri.path()))
}
