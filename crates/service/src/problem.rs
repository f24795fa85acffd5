//! What a handler says when it does not do what was asked: a problem document (RFC 9457). What it shows is for the one
//! who asked; what is behind it goes to the log.

use axum::response::{IntoResponse, Response};
use ca::{IssueError, StoreError};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

/// How long a client waits before it tries again when the memory was busy.
const RETRY_AFTER_SECONDS: u64 = 2;

/// A problem, as it is told to the client.
#[derive(Debug, Clone)]
pub struct Problem(Box<Told>);

#[derive(Debug, Clone)]
struct Told {
    status: StatusCode,
    kind: String,
    detail: String,
    more: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem of this kind (a URI that names it for programs) with its sentence for people.
    ///
    /// ```
    /// let problem = service::Problem::new(404, "urn:countersign:not-found", "there is nothing here");
    /// assert_eq!(problem.status().as_u16(), 404);
    /// ```
    #[must_use]
    pub fn new(status: u16, kind: &str, detail: impl std::fmt::Display) -> Self {
        Problem(Box::new(Told {
            // A number that is no status would be a mistake of ours.
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            kind: kind.to_owned(),
            detail: detail.to_string(),
            more: Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// A problem whose kind is one of our own words, such as `not-found`.
    #[must_use]
    pub fn of(status: u16, word: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(status, &format!("urn:countersign:{word}"), detail)
    }

    /// Something failed here. The client learns no more than that; the log has the rest.
    #[must_use]
    pub fn internal(error: &dyn std::error::Error) -> Self {
        let causes: Vec<String> =
            std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string).collect();
        tracing::error!(%error, causes = causes.join(": "), "a request failed");
        Self::of(500, "internal", "the authority could not do this; its log says why")
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Adds a header to the answer. One whose value no header can hold is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl std::fmt::Display) -> Self {
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            self.0.headers.append(name, value);
        }
        self
    }

    /// Adds a member to the document.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.more.insert(member.to_owned(), value.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, seconds)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Told { status, kind, detail, more: mut document, headers: own } = *self.0;
        document.insert("type".to_owned(), kind.into());
        document.insert("title".to_owned(), status.canonical_reason().unwrap_or("Problem").into());
        document.insert("status".to_owned(), status.as_u16().into());
        document.insert("detail".to_owned(), detail.into());
        let mut response = (status, Value::Object(document).to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in &own {
            headers.append(name, value.clone());
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Conflict { .. } | StoreError::NotOnHold => Self::of(409, "conflict", error),
            StoreError::Full | StoreError::Disk(_) | StoreError::Busy | StoreError::Unreachable(_) => {
                tracing::warn!(%error, "the memory cannot be written at the moment");
                Self::of(
                    503,
                    "unavailable",
                    "the authority's memory cannot be written at the moment; try again",
                )
                .retry_after(RETRY_AFTER_SECONDS)
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<IssueError> for Problem {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Policy(_) => Self::of(403, "policy", error),
            IssueError::Prepare(_) => Self::of(400, "not-issuable", error),
            IssueError::Store(error) => error.into(),
            IssueError::AuthorityExpired { .. } | IssueError::ClockBeforeStart { .. } => {
                tracing::error!(%error, "nothing can be issued");
                Self::of(503, "unavailable", "the authority cannot issue at the moment; its log says why")
            }
            IssueError::Entropy(_) | IssueError::Sign(_) | IssueError::Path(_) => Self::internal(&error),
        }
    }
}
