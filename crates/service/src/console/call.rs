//! The API as the pages use it: called in this process, with the visitor's own certificate. So a page can do what the API
//! lets its visitor do and nothing else, and whatever a page does can be done with curl.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::trouble::Trouble;
use crate::api::Local;
use crate::{Problem, Visitor};

/// The API's router, handed to every page by a layer.
#[derive(Clone)]
pub(super) struct Operations(pub(super) Router);

/// The API for one visitor.
pub(super) struct Api {
    operations: Option<Router>,
    local: Option<Local>,
    visitor: Option<Visitor>,
    caller: Value,
}

impl<S: Send + Sync> FromRequestParts<S> for Api {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let operations = parts.extensions.get::<Operations>().map(|operations| operations.0.clone());
        // These two and nothing else: what axum notes of the page's route would be taken for the operation's.
        let (local, visitor) = (parts.extensions.get().cloned(), parts.extensions.get().cloned());
        let mut api = Api { operations, local, visitor, caller: Value::Null };
        api.caller = api.get("/api/v1/whoami").await.unwrap_or_default();
        Ok(api)
    }
}

impl Api {
    /// The visitor's name and role, as the header of a page shows them.
    pub(super) fn who(&self) -> Option<String> {
        let name = self.caller["name"].as_str()?;
        Some(format!("{name}, {}", self.role().unwrap_or("no role")))
    }

    pub(super) fn role(&self) -> Option<&str> {
        self.caller["role"].as_str()
    }

    /// Whether the pages offer what changes things. The API decides again.
    pub(super) fn may_operate(&self) -> bool {
        matches!(self.role(), Some("admin" | "operator"))
    }

    pub(super) fn may_enrol(&self) -> bool {
        matches!(self.role(), Some("admin" | "operator" | "enroller"))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Trouble> {
        self.call(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Trouble> {
        let Some(operations) = self.operations.clone() else {
            return Err(Problem::of(404, "not-found", "the console is not served here").into());
        };
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(body)
            .map_err(|error| Problem::internal(&error))?;
        if let Some(local) = &self.local {
            request.extensions_mut().insert(local.clone());
        }
        if let Some(visitor) = &self.visitor {
            request.extensions_mut().insert(visitor.clone());
        }
        let Ok(response) = operations.oneshot(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| Problem::internal(&error))?;
        let document: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        if status.is_success() { Ok(document) } else { Err(told(status, &document).into()) }
    }
}

/// The problem document as the problem that it was.
fn told(status: StatusCode, document: &Value) -> Problem {
    let kind = document["type"].as_str().unwrap_or("about:blank");
    Problem::new(
        status.as_u16(),
        kind,
        document["detail"].as_str().unwrap_or("the authority could not do this"),
    )
}

/// Text inside a path or a query (RFC 3986 section 2.3 has what stays as it is).
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, octet| {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
        out
    })
}
