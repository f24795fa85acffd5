//! The reverse proxy's other side: the servers behind a route, which of them gets a request, and connections to them.
//! How a request is passed on is in [`exchange`] and [`http2`], and for HTTP/1.1 clients in `serve::http1::forward`.

mod exchange;
mod health;
mod http2;
pub(crate) mod link;
pub(crate) mod pool;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use explain::FindingCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode, Uri, Version};
use jiff::Timestamp;
use pki::identity::VerifiedPeer;

pub(crate) use exchange::UpstreamBody;
pub use health::HealthCheck;
use health::Node;
pub(crate) use link::{ConnectError, Link};
pub use target::{Target, TargetError};

use super::behind::Origin;
use super::body::{AnswerBody, RequestBody};
use super::connection::Visit;
use super::headers::{ForwardedBody, Progress, join_cookies, strip_claims, strip_hop_by_hop};
use super::identity_headers::{self, Dialect};
use super::pages;
use crate::dial::TlsOptions;
use crate::snapshot::Admission;
use link::Dialling;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The HTTP servers behind a route.
pub struct Upstream {
    /// Tells the pools of this upstream from those of others.
    number: u64,
    nodes: Arc<Vec<Node>>,
    next: AtomicUsize,
    dialling: Dialling,
    dialects: Vec<Dialect>,
    answer_timeout: Duration,
    check: Option<HealthCheck>,
    checked: std::sync::Once,
}

/// The same as a TCP service: bytes are passed on as they are.
pub struct TcpUpstream {
    pub(crate) upstream: Upstream,
    pub(crate) proxy_protocol: bool,
}

impl Upstream {
    /// The upstream of these servers, told of the client in RFC 9440's headers.
    ///
    /// # Errors
    /// [`TargetError`], where there is none, or they do not all speak the same.
    ///
    /// ```
    /// use net::serve::{Target, Upstream};
    /// let two = vec![Target::parse("http://10.0.0.1:3000")?, Target::parse("http://10.0.0.2:3000")?];
    /// assert!(Upstream::new(two).is_ok());
    /// assert!(Upstream::new(Vec::new()).is_err());
    /// assert!(Upstream::new(vec![Target::parse("tcp://10.0.0.1:5432")?]).is_err());
    /// # Ok::<(), net::serve::TargetError>(())
    /// ```
    pub fn new(targets: Vec<Target>) -> Result<Self, TargetError> {
        if let Some(tcp) = targets.iter().find(|target| !target.is_http()) {
            return Err(TargetError::Scheme(tcp.to_string()));
        }
        Self::of(targets)
    }

    /// The upstream of the one server at this URL; see [`Target::parse`].
    ///
    /// # Errors
    /// [`TargetError`].
    ///
    /// ```
    /// assert!(net::serve::Upstream::parse("http://127.0.0.1:3000").is_ok());
    /// assert!(net::serve::Upstream::parse("http://127.0.0.1:3000/api").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        Self::new(vec![Target::parse(text)?])
    }

    fn of(targets: Vec<Target>) -> Result<Self, TargetError> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let first = targets.first().ok_or(TargetError::None)?;
        if let Some(other) = targets.iter().find(|target| target.is_http2() != first.is_http2()) {
            return Err(TargetError::Mixed(first.to_string(), other.to_string()));
        }
        Ok(Upstream {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            nodes: Arc::new(targets.into_iter().map(Node::new).collect()),
            next: AtomicUsize::new(0),
            dialling: Dialling { limit: CONNECT_TIMEOUT, tls: None, must_ask: false },
            dialects: vec![Dialect::Rfc9440],
            answer_timeout: ANSWER_TIMEOUT,
            check: None,
            checked: std::sync::Once::new(),
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

    /// How long a connection to it may take.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.dialling.limit = limit;
        self
    }

    /// What it is shown, and must show, over TLS. Needed where a target is `https://` or `h2://`.
    #[must_use]
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.dialling.tls = Some(options);
        self
    }

    /// Refuses a server that asks for no client certificate: it would take anyone else's requests too.
    #[must_use]
    pub fn require_client_auth_request(mut self) -> Self {
        self.dialling.must_ask = true;
        self
    }

    /// Looks after its servers in the background; without it one is left out for a while after it failed.
    #[must_use]
    pub fn health(mut self, check: HealthCheck) -> Self {
        self.check = Some(check);
        self
    }

    /// Whether TLS is spoken to some server, so that [`Self::tls`] is needed.
    #[must_use]
    pub fn needs_tls(&self) -> bool {
        self.nodes.iter().any(|node| node.target.is_tls()) && self.dialling.tls.is_none()
    }

    /// The servers, and whether each is believed to be well.
    pub fn servers(&self) -> impl Iterator<Item = (&Target, bool)> {
        self.nodes.iter().map(|node| (&node.target, node.is_well()))
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.nodes.iter().any(|node| node.target.is_http2())
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn silence_allowed(&self) -> Duration {
        self.answer_timeout
    }

    /// Starts the background checks, once.
    fn check(&self) {
        if let Some(check) = &self.check {
            self.checked.call_once(|| {
                health::spawn(Arc::downgrade(&self.nodes), self.dialling.clone(), check.clone())
            });
        }
    }

    /// The servers in the order in which to try them: the well ones in turn, then the others.
    fn order(&self) -> impl Iterator<Item = usize> {
        let count = self.nodes.len();
        let start = if count == 1 { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) % count };
        let turn = move || (start..start + count).map(move |index| index % count);
        let well = turn().filter(|index| self.nodes[*index].is_well());
        well.chain(turn().filter(|index| !self.nodes[*index].is_well()))
    }

    /// An idle connection to the server whose turn it is, with its key.
    pub(crate) fn take_idle(&self, now: Instant) -> Option<(pool::Key, Link)> {
        let index = self.order().next()?;
        let key = (self.number, index);
        Some((key, pool::take(key, now)?))
    }

    /// Opens a connection to the first server that takes one.
    pub(crate) async fn connect(&self) -> Result<(pool::Key, Link), ConnectError> {
        self.check();
        let mut last = ConnectError::Timeout(self.dialling.limit);
        for index in self.order() {
            let node = &self.nodes[index];
            match Link::open(&node.target, &self.dialling).await {
                Ok(link) => {
                    node.answered();
                    return Ok(((self.number, index), link));
                }
                Err(error) => {
                    tracing::warn!(upstream = %node.target, %error, "the upstream cannot be reached");
                    node.failed();
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// What stands in `Host` where the client named none.
    pub(crate) fn authority(&self) -> String {
        self.nodes.first().map(|node| node.target.authority()).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> String {
        let names: Vec<String> = self.nodes.iter().map(|node| node.target.to_string()).collect();
        names.join(", ")
    }

    /// Forwards a request that was admitted, and gives back the answer.
    pub(crate) async fn forward(
        &self,
        _admission: &Admission,
        mut parts: Parts,
        body: RequestBody,
        visit: &Visit,
    ) -> Response<AnswerBody> {
        let accept = pages::Wanted::of(&parts.headers);
        if let Err(why) = self.prepare(&mut parts, visit) {
            return pages::problem(accept, StatusCode::BAD_REQUEST, "bad_request", why);
        }
        let progress = Progress::new();
        let body = ForwardedBody::new(body, progress.clone());
        let exchange = async {
            if self.is_http2() {
                self.exchange_http2(parts, body).await
            } else {
                self.exchange(parts, body).await
            }
        };
        tokio::select! {
            answer = exchange => match answer {
                Ok(mut answer) => {
                    strip_hop_by_hop(answer.headers_mut());
                    answer
                }
                Err(error) => self.unavailable(accept, &error),
            },
            () = progress.silence(self.answer_timeout) => {
                tracing::warn!(upstream = self.name(), "no answer within {:?}", self.answer_timeout);
                silent(accept)
            }
        }
    }

    /// Makes the request the one that the upstream gets.
    fn prepare(&self, parts: &mut Parts, visit: &Visit) -> Result<(), &'static str> {
        if parts.method == Method::CONNECT {
            return Err("CONNECT asks for a proxy, and this is none.");
        }
        let host = requested_host(parts)?;
        let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        parts.uri = Uri::from(path);
        parts.version = Version::HTTP_11;
        strip_hop_by_hop(&mut parts.headers);
        strip_claims(&mut parts.headers);
        join_cookies(&mut parts.headers);
        // "100 Continue" is said by us, when the body is read.
        parts.headers.remove(header::EXPECT);
        let headers = &mut parts.headers;
        let named = match host {
            Some(host) => {
                headers.insert(HeaderName::from_static("x-forwarded-host"), host.clone());
                host
            }
            None => HeaderValue::from_str(&self.authority()).map_err(|_| "The request names no Host.")?,
        };
        headers.insert(header::HOST, named);
        self.tell(headers, visit);
        Ok(())
    }

    /// Writes where the request comes from, and from whom.
    pub(crate) fn tell(&self, headers: &mut HeaderMap, visit: &Visit) {
        Self::tell_origin(headers, visit.origin);
        self.tell_client(headers, visit.peer.as_deref(), visit.now);
    }

    /// Writes where the request comes from.
    pub(crate) fn tell_origin(headers: &mut HeaderMap, origin: Origin) {
        if let Ok(ip) = HeaderValue::from_str(&origin.address.ip().to_canonical().to_string()) {
            headers.insert(HeaderName::from_static("x-forwarded-for"), ip);
        }
        let scheme = HeaderValue::from_static(if origin.is_plain { "http" } else { "https" });
        headers.insert(HeaderName::from_static("x-forwarded-proto"), scheme);
    }

    /// Writes whom it comes from.
    pub(crate) fn tell_client(&self, headers: &mut HeaderMap, peer: Option<&VerifiedPeer>, now: Timestamp) {
        identity_headers::write(headers, &self.dialects, peer, now);
    }

    /// The answer in place of one that did not come.
    pub(crate) fn unavailable(&self, accept: pages::Wanted, error: &ExchangeError) -> Response<AnswerBody> {
        tracing::warn!(upstream = self.name(), error = %report(error), "the upstream gave no answer");
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
            ExchangeError::Broken(_) | ExchangeError::Http2(_) => (
                StatusCode::BAD_GATEWAY,
                FindingCode::ConnectionReset,
                "The service behind this gateway broke off before it answered.",
            ),
            ExchangeError::Request(error) => {
                let text = format!("The body of the request cannot be read: {error}.");
                return pages::problem(accept, StatusCode::BAD_REQUEST, "bad_request", &text);
            }
            ExchangeError::Answer(_) => {
                let text = "The service behind this gateway answered with something that is not HTTP.";
                return pages::problem(accept, StatusCode::BAD_GATEWAY, "bad_gateway", text);
            }
        };
        pages::problem(accept, status, code.name(), text)
    }
}

/// The answer in place of one that did not come in time.
pub(crate) fn silent(accept: pages::Wanted) -> Response<AnswerBody> {
    let text = "The service behind this gateway did not answer in time.";
    pages::problem(accept, StatusCode::GATEWAY_TIMEOUT, FindingCode::Timeout.name(), text)
}

/// The host a request is for: the target's own authority wins over Host (RFC 9112 section 3.2.2); HTTP/2 has only the
/// former.
pub(crate) fn requested_host(parts: &Parts) -> Result<Option<HeaderValue>, &'static str> {
    if let Some(authority) = parts.uri.authority() {
        if authority.as_str().contains('@') {
            return Err("The request names a user before its host.");
        }
        return Ok(HeaderValue::from_str(authority.as_str()).ok());
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next().cloned();
    if hosts.next().is_some() {
        return Err("The request names more than one Host.");
    }
    if host.is_none() && parts.version == Version::HTTP_11 {
        return Err("The request names no Host.");
    }
    Ok(host)
}

impl TcpUpstream {
    /// The upstream of these TCP services or unix sockets.
    ///
    /// # Errors
    /// [`TargetError`], where there is none.
    ///
    /// ```
    /// use net::serve::{Target, TcpUpstream};
    /// assert!(TcpUpstream::new(vec![Target::parse("tcp://127.0.0.1:5432")?]).is_ok());
    /// # Ok::<(), net::serve::TargetError>(())
    /// ```
    pub fn new(targets: Vec<Target>) -> Result<Self, TargetError> {
        let upstream = Upstream::of(targets.into_iter().map(Target::as_tcp).collect())?;
        Ok(TcpUpstream { upstream, proxy_protocol: false })
    }

    /// Tells it of the client in a PROXY protocol header, with the facts of TLS.
    #[must_use]
    pub fn send_proxy_protocol(mut self) -> Self {
        self.proxy_protocol = true;
        self
    }

    /// How long a connection to it may take.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.upstream.dialling.limit = limit;
        self
    }

    /// Looks after its servers in the background.
    #[must_use]
    pub fn health(mut self, check: HealthCheck) -> Self {
        self.upstream.check = Some(check);
        self
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("cannot connect: {0}")]
    Connect(#[from] ConnectError),
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("the request cannot be read: {0}")]
    Request(std::io::Error),
    #[error("the answer cannot be read: {0}")]
    Answer(String),
    #[error("the HTTP/2 exchange failed")]
    Http2(#[from] hyper::Error),
}

/// An error with its causes, on one line.
pub(crate) fn report(error: &dyn std::error::Error) -> String {
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
        write!(f, "Upstream({})", self.name())
    }
}

impl std::fmt::Debug for TcpUpstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TcpUpstream({})", self.upstream.name())
    }
}
