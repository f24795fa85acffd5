//! The API without a network: whoever holds the authority's key and memory calls the same operations in its own process,
//! so that a command does the same whether the authority is here or elsewhere.

use axum::body::Body;
use ca::Role;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::Caller;
use crate::router::{Surface, router};
use crate::{Problem, State};

/// Somebody on the authority's own machine, who can do everything with its files anyway. No network request carries it.
#[derive(Debug, Clone)]
pub struct Local {
    actor: String,
}

impl Local {
    /// Somebody who is called this in the audit trail.
    ///
    /// ```
    /// let local = service::api::Local::named("uid 0 on this machine");
    /// # drop(local);
    /// ```
    #[must_use]
    pub fn named(actor: &str) -> Self {
        Local { actor: actor.to_owned() }
    }

    pub(super) fn caller(&self) -> Caller {
        Caller { label: self.actor.clone(), origin: String::new(), role: Some(Role::Admin) }
    }

    /// Calls an operation, and gives the status and the document.
    ///
    /// # Errors
    /// A [`Problem`] where the request cannot be made.
    pub async fn call(
        &self,
        state: &State,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), Problem> {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(body)
            .map_err(|error| Problem::internal(&error))?;
        request.extensions_mut().insert(self.clone());
        let only = Surface { enrolment: false, status: false, admin: true };
        let Ok(response) = router(state, only).oneshot(request).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| Problem::internal(&error))?;
        Ok((status, serde_json::from_slice(&body.to_bytes()).unwrap_or_default()))
    }
}
