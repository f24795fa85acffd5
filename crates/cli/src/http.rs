//! Short HTTPS conversations of commands with an authority: one request, one answer in memory.

use std::path::Path;
use std::time::Duration;

use http::Method;
use net::dial::TlsOptions;
use net::fetch::{FetchError, Options, Request, RequestBody, fetch};
use net::tls::Credentials;
use net::tls::server_verifier::Expectation;
use net::url::Url;
use pki::verify::TrustBundle;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::input;

/// From the first packet to the last.
const MAX_TIME: Duration = Duration::from_secs(60);

/// An authority on the network.
pub(crate) struct Site {
    base: String,
    tls: TlsOptions,
    runtime: tokio::runtime::Runtime,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Site {
    /// The authority at `base` (`https://HOST[:PORT]`), as these anchors believe it.
    pub(crate) fn new(
        base: &str,
        anchors: TrustBundle,
        credentials: Option<Credentials>,
    ) -> Result<Self, Failure> {
        Self::with(base, Expectation::new(anchors), credentials)
    }

    /// Whoever answers at `base`: for what will be checked by other means.
    pub(crate) fn anyone(base: &str) -> Result<Self, Failure> {
        Self::with(base, net::danger::accept_any_server(Expectation::new(TrustBundle::default())), None)
    }

    fn with(base: &str, expectation: Expectation, credentials: Option<Credentials>) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("https://") {
            return Err(Failure::usage(format!(
                "'{base}' is no address of an authority: it starts with https://"
            )));
        }
        let mut tls = TlsOptions::new(expectation);
        tls.credentials = credentials;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::usage(format!("cannot start: {}", input::plain(&error))))?;
        Ok(Site { base, tls, runtime })
    }

    /// Sends a request and reads its answer.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Failure> {
        let url = Url::parse(&format!("{}{path}", self.base)).or_usage()?;
        let mut request = Request::get(url);
        request.method = method;
        if let Some(body) = body {
            request.headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
            request.body = RequestBody::Bytes(body.into());
        }
        let mut options = Options::new(self.tls.clone());
        options.max_time = Some(MAX_TIME);
        let exchange = async {
            let response = fetch(request, &options).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok(Answer { status, headers, body: response.bytes().await? })
        };
        self.runtime.block_on(exchange).map_err(|error: FetchError| {
            match error {
                // It is there, and does not want us, or is not the one that we believe.
                FetchError::RefusedLater { .. } | FetchError::Handshake(_) => {
                    Failure::refused(format!("no conversation with the authority at {}", self.base))
                }
                _ => Failure::unreachable(format!("the authority at {} does not answer", self.base)),
            }
            .because(&error)
        })
    }
}

impl Answer {
    /// The sentence of a problem document, or what there is of one.
    pub(crate) fn detail(&self) -> String {
        let document: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        match document["detail"].as_str() {
            Some(detail) => explain::escape::text(detail),
            None => format!("it answered with the status {}", self.status),
        }
    }

    /// Seconds after which it wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
    }
}

/// A certificate with its key, as credentials for a connection.
pub(crate) fn credentials(context: &Context, certificate: &Path, key: &Path) -> Result<Credentials, Failure> {
    let (chain, key) = input::credentials(context, certificate, key, None)?;
    key.credentials(chain).or_usage()
}
