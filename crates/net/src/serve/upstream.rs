//! The reverse proxy: a request goes to one plain HTTP upstream with the client's identity written by us, bodies
//! stream both ways, and an Upgrade turns both connections into one tunnel.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use explain::FindingCode;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::body::AnswerBody;
use super::connection::Visit;
use super::headers::{ForwardedBody, Progress, join_cookies, strip_claims, strip_hop_by_hop};
use super::identity_headers::{self, Dialect};
use super::pages;
use super::pool::{ConnectError, Pool, UpstreamBody};
use crate::snapshot::Admission;
use crate::url::{Scheme, Url, UrlError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A plain HTTP server that requests are forwarded to.
pub struct Upstream {
    pool: Arc<Pool>,
    authority: String,
    dialects: Vec<Dialect>,
    answer_timeout: Duration,
}

/// Why a text names no upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Not plain HTTP.
    #[error("the upstream '{0}' is not spoken to over plain HTTP; write http://host:port")]
    Scheme(String),
    /// A path behind the port.
    #[error("the upstream '{0}' has a path; requests keep their own, so write http://host:port alone")]
    Path(String),
}

impl Upstream {
    /// The upstream at `http://host:port`, told of the client in RFC 9440's headers.
    ///
    /// # Errors
    /// [`UpstreamError`].
    ///
    /// ```
    /// assert!(net::serve::Upstream::parse("http://127.0.0.1:3000").is_ok());
    /// assert!(net::serve::Upstream::parse("http://127.0.0.1:3000/api").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, UpstreamError> {
        let url = Url::parse(text)?;
        if url.scheme != Scheme::Http {
            return Err(UpstreamError::Scheme(text.to_owned()));
        }
        if url.path_and_query != "/" {
            return Err(UpstreamError::Path(text.to_owned()));
        }
        let authority = format!("{}:{}", url.host_text(), url.port);
        Ok(Upstream {
            pool: Arc::new(Pool::new(authority.clone(), CONNECT_TIMEOUT)),
            authority,
            dialects: vec![Dialect::Rfc9440],
            answer_timeout: ANSWER_TIMEOUT,
        })
    }

    /// Tells it of the client in these headers instead.
    #[must_use]
    pub fn dialects(mut self, dialects: Vec<Dialect>) -> Self {
        self.dialects = dialects;
        self
    }

    /// How long it may be silent before the head of its answer; while the request's body moves it is not.
    #[must_use]
    pub fn answer_timeout(mut self, limit: Duration) -> Self {
        self.answer_timeout = limit;
        self
    }

    /// Forwards a request that was admitted, and gives back the answer.
    pub(crate) async fn forward(
        &self,
        _admission: &Admission,
        mut request: Request<Incoming>,
        visit: &Visit,
    ) -> Response<AnswerBody> {
        let accept = pages::Wanted::of(request.headers());
        let switch = (request.version() == Version::HTTP_11)
            .then(|| hyper::upgrade::on(&mut request))
            .filter(|_| request.headers().contains_key(header::UPGRADE));
        let progress = Progress::new();
        let (outgoing, asks_upgrade) = match self.prepare(request, visit, progress.clone()) {
            Ok(prepared) => prepared,
            Err(why) => return pages::problem(accept, StatusCode::BAD_REQUEST, "bad_request", why),
        };
        let answer = tokio::select! {
            answer = self.exchange(outgoing) => match answer {
                Ok(answer) => answer,
                Err(error) => return self.unavailable(accept, &error),
            },
            () = progress.silence(self.answer_timeout) => {
                tracing::warn!(upstream = self.authority, "no answer within {:?}", self.answer_timeout);
                let text = "The service behind this gateway did not answer in time.";
                return pages::problem(accept, StatusCode::GATEWAY_TIMEOUT, FindingCode::Timeout.name(), text);
            }
        };
        self.pass_back(answer, switch.filter(|_| asks_upgrade), visit)
    }

    /// The request as the upstream gets it, and whether it asks to switch protocols.
    fn prepare(
        &self,
        request: Request<Incoming>,
        visit: &Visit,
        progress: Progress,
    ) -> Result<(Request<ForwardedBody>, bool), &'static str> {
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::CONNECT {
            return Err("CONNECT asks for a proxy, and this is none.");
        }
        // The target's own authority wins over Host (RFC 9112 section 3.2.2); HTTP/2 has only the former.
        let host = match parts.uri.authority() {
            Some(authority) if authority.as_str().contains('@') => {
                return Err("The request names a user before its host.");
            }
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => {
                let is_http11 = parts.version == Version::HTTP_11;
                let mut hosts = parts.headers.get_all(header::HOST).iter();
                let host = hosts.next().cloned();
                if hosts.next().is_some() {
                    return Err("The request names more than one Host.");
                }
                if host.is_none() && is_http11 {
                    return Err("The request names no Host.");
                }
                host
            }
        };
        let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        parts.uri = Uri::from(path);
        parts.version = Version::HTTP_11;

        let upgrade = strip_hop_by_hop(&mut parts.headers);
        strip_claims(&mut parts.headers);
        join_cookies(&mut parts.headers);
        // hyper has said "100 Continue" itself, or will when the body is read.
        parts.headers.remove(header::EXPECT);
        let headers = &mut parts.headers;
        if let Some(host) = host {
            headers.insert(header::HOST, host.clone());
            headers.insert(HeaderName::from_static("x-forwarded-host"), host);
        } else {
            let own = HeaderValue::from_str(&self.authority).map_err(|_| "The request names no Host.")?;
            headers.insert(header::HOST, own);
        }
        let ip = match visit.address.ip() {
            IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
            ip => ip,
        };
        if let Ok(ip) = HeaderValue::from_str(&ip.to_string()) {
            headers.insert(HeaderName::from_static("x-forwarded-for"), ip);
        }
        headers.insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static("https"));
        identity_headers::write(headers, &self.dialects, visit.peer.as_deref(), visit.now);
        let asks_upgrade = upgrade.is_some();
        if let Some(protocol) = upgrade {
            headers.insert(header::UPGRADE, protocol);
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        }
        Ok((Request::from_parts(parts, ForwardedBody::new(body, progress)), asks_upgrade))
    }

    /// Sends a request, on a kept connection where there is one. What a kept connection did not even begin to send
    /// is sent again; so is a request that may be repeated (RFC 9110 section 9.2.2) and has no body, since the
    /// upstream may have closed the connection at the same moment.
    async fn exchange(
        &self,
        mut request: Request<ForwardedBody>,
    ) -> Result<Response<AnswerBody>, ExchangeError> {
        while let Some(mut sender) = self.pool.take_idle() {
            let again = repeatable(&request);
            match sender.try_send_request(request).await {
                Ok(answer) => return Ok(self.keep(answer, sender)),
                Err(mut failed) => match (failed.take_message(), again) {
                    (Some(unsent), _) => request = unsent,
                    (None, Some(again)) => {
                        request = again;
                        break;
                    }
                    (None, None) => return Err(failed.into_error().into()),
                },
            }
        }
        let mut sender = self.pool.connect().await?;
        let answer = sender.send_request(request).await?;
        Ok(self.keep(answer, sender))
    }

    fn keep(
        &self,
        answer: Response<Incoming>,
        sender: hyper::client::conn::http1::SendRequest<ForwardedBody>,
    ) -> Response<AnswerBody> {
        let pool = Arc::clone(&self.pool);
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            // The connection is a tunnel from now on, and no other request's. It is kept in the response's extensions.
            return answer.map(|_| AnswerBody::Empty);
        }
        answer.map(|body| AnswerBody::Upstream(Box::new(UpstreamBody::new(body, pool, sender))))
    }

    fn unavailable(&self, accept: pages::Wanted, error: &ExchangeError) -> Response<AnswerBody> {
        tracing::warn!(upstream = self.authority, error = %report(error), "the upstream cannot be reached");
        let (status, code, text) = match error {
            ExchangeError::Connect(ConnectError::Timeout(_)) => (
                StatusCode::GATEWAY_TIMEOUT,
                FindingCode::Timeout,
                "The service behind this gateway could not be reached in time.",
            ),
            ExchangeError::Connect(_) => (
                StatusCode::BAD_GATEWAY,
                FindingCode::ConnectionRefused,
                "The service behind this gateway cannot be reached.",
            ),
            ExchangeError::Exchange(_) => (
                StatusCode::BAD_GATEWAY,
                FindingCode::ConnectionReset,
                "The service behind this gateway broke off before it answered.",
            ),
        };
        pages::problem(accept, status, code.name(), text)
    }

    fn pass_back(
        &self,
        mut answer: Response<AnswerBody>,
        switch: Option<hyper::upgrade::OnUpgrade>,
        visit: &Visit,
    ) -> Response<AnswerBody> {
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            strip_hop_by_hop(answer.headers_mut());
            return answer;
        }
        let Some(client) = switch else {
            let text = "The service behind this gateway switched protocols without being asked.";
            return pages::problem(pages::Wanted::Text, StatusCode::BAD_GATEWAY, "bad_gateway", text);
        };
        let upstream = hyper::upgrade::on(&mut answer);
        let tunnel = visit.tunnel();
        tokio::spawn(async move {
            if let Ok((client, upstream)) = tokio::try_join!(client, upstream) {
                tunnel.copy(TokioIo::new(client), TokioIo::new(upstream)).await;
            }
        });
        let protocol = strip_hop_by_hop(answer.headers_mut());
        if let Some(protocol) = protocol {
            answer.headers_mut().insert(header::UPGRADE, protocol);
        }
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        answer
    }
}

/// A copy of a request that can be sent twice without harm.
fn repeatable(request: &Request<ForwardedBody>) -> Option<Request<ForwardedBody>> {
    let harmless = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !harmless || !request.body().is_empty() {
        return None;
    }
    let mut copy = Request::new(ForwardedBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error("cannot connect")]
    Connect(#[from] ConnectError),
    #[error("the exchange failed")]
    Exchange(#[from] hyper::Error),
}

/// An error with its causes, on one line.
fn report(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream(http://{})", self.authority)
    }
}
