//! Getting certificates as a client: by ACME (RFC 8555) and by EST (RFC 7030). What a key or certificate is written to is
//! not decided here; private keys are something that signs.

pub mod acme;
pub mod est;
mod jws;

use std::future::Future;

use http::{HeaderMap, Method};

use crate::fetch::{self, FetchError, RequestBody, fetch};
use crate::url::{Url, UrlError};

/// The most octets of an answer that are read: chains and lists of orders are far smaller.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;

/// A request to a server that provisions.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// GET, HEAD or POST.
    pub method: Method,
    /// Where to, whole.
    pub url: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

/// Its answer.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The URL cannot be called.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Nothing came back, or not whole.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// More came back than is reasonable.
    #[error("the answer has more than {LARGEST_ANSWER} octets")]
    TooLarge,
}

/// What carries requests to a server: the network, or in tests and benchmarks the server itself.
pub trait Exchange: Send + Sync {
    /// Sends one, and waits for the whole answer.
    fn exchange(&self, request: Outgoing) -> impl Future<Output = Result<Incoming, ExchangeError>> + Send;
}

impl Exchange for fetch::Options {
    async fn exchange(&self, request: Outgoing) -> Result<Incoming, ExchangeError> {
        let url = Url::parse(&request.url)?;
        let body = if request.body.is_empty() && request.method != Method::POST {
            RequestBody::Empty
        } else {
            RequestBody::Bytes(request.body.into())
        };
        let sent = fetch::Request { method: request.method, url, headers: request.headers, body };
        let mut response = fetch(sent, self).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_ANSWER {
                return Err(ExchangeError::TooLarge);
            }
        }
        Ok(Incoming { status, headers, body })
    }
}

impl Incoming {
    /// The seconds of its Retry-After; a date there is not read.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        self.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
