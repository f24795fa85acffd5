//! An HTTP client with a client certificate, after curl's manners. A handshake counts as good only when the server has
//! answered: under TLS 1.3 our side is done before the server has judged our certificate.
//!
//! One connection serves one request; what is fetched twice is dialled twice.

mod body;
mod error;
mod response;

use std::sync::Arc;
use std::time::Duration;

use explain::{Fault, Finding, FindingCode};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pki::name::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

pub use body::RequestBody;
pub use error::FetchError;
pub use response::{Conversation, Response};

use crate::dial::handshake::{self, Memory};
use crate::dial::{self, DialError, Route, TlsOptions};
use crate::refusal;
use crate::tls::Negotiated;
use crate::url::{Scheme, Url};

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpVersion {
    /// What the server prefers of HTTP/2 and HTTP/1.1, by ALPN.
    #[default]
    Negotiated,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A request.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers beside those that are always sent; one given here replaces one of those, and an empty value drops it.
    pub headers: HeaderMap,
    /// The body.
    pub body: RequestBody,
}

impl Request {
    /// A GET.
    ///
    /// ```
    /// use net::{fetch::Request, url::Url};
    /// let request = Request::get(Url::parse("https://localhost:8443/")?);
    /// assert_eq!(request.method, "GET");
    /// # Ok::<(), net::url::UrlError>(())
    /// ```
    #[must_use]
    pub fn get(url: Url) -> Self {
        Request { method: Method::GET, url, headers: HeaderMap::new(), body: RequestBody::Empty }
    }
}

/// How requests are sent.
#[derive(Clone)]
pub struct Options {
    /// What is expected of the server and presented to it. Its ALPN is set from `http`.
    pub tls: TlsOptions,
    /// Which HTTP is spoken.
    pub http: HttpVersion,
    /// Detours.
    pub route: Route,
    /// From the name's lookup to the end of the handshake. curl waits 300 s.
    pub connect_timeout: Duration,
    /// From beginning to end, where there is a limit.
    pub max_time: Option<Duration>,
    /// How many redirections are followed.
    pub redirects: u32,
}

impl Options {
    /// The usual options: HTTP/2 where the server speaks it, no redirections, no time limit but the connection's.
    #[must_use]
    pub fn new(tls: TlsOptions) -> Self {
        Options {
            tls,
            http: HttpVersion::default(),
            route: Route::default(),
            connect_timeout: Duration::from_secs(300),
            max_time: None,
            redirects: 0,
        }
    }
}

/// Sends a request and waits for the head of the answer.
///
/// # Errors
/// [`FetchError`], whose exit code is curl's.
pub async fn fetch(request: Request, options: &Options) -> Result<Response, FetchError> {
    let started = Instant::now();
    let limit = options.max_time.map(|max_time| Limit { deadline: started + max_time, after: max_time });
    let mut request = request;
    let mut followed = 0;
    loop {
        let (method, url) = (request.method.clone(), request.url.clone());
        let (headers, again) = (request.headers.clone(), request.body.again());
        let exchange = exchange(request, options, limit);
        let response = match limit {
            None => exchange.await?,
            Some(limit) => {
                let timed = timeout_at(limit.deadline, exchange).await;
                timed.unwrap_or_else(|_| {
                    Err(FetchError::Timeout { target: url.authority(), after: limit.after })
                })?
            }
        };
        let Some(location) = response.location().filter(|_| options.redirects > 0) else {
            return Ok(response);
        };
        let next = url.join(&location)?;
        if followed == options.redirects {
            return Err(FetchError::TooManyRedirects(followed, next.to_string()));
        }
        followed += 1;
        request = redirected(response.status(), method, &url, next, headers, again)?;
    }
}

/// The request that follows a redirection: 307 and 308 keep method and body, the others make a GET of a POST
/// (RFC 9110 section 15.4). What is secret does not go to another host.
fn redirected(
    status: u16,
    method: Method,
    from: &Url,
    to: Url,
    mut headers: HeaderMap,
    body: Option<RequestBody>,
) -> Result<Request, FetchError> {
    if (&from.host, from.port, from.scheme) != (&to.host, to.port, to.scheme) {
        for name in [header::AUTHORIZATION, header::COOKIE, header::HOST, header::PROXY_AUTHORIZATION] {
            headers.remove(name);
        }
    }
    if matches!(status, 307 | 308) || method == Method::HEAD || method == Method::GET {
        let body = body.ok_or_else(|| {
            FetchError::Request(format!(
                "it was redirected to {to} and its body, a stream, cannot be sent twice"
            ))
        })?;
        return Ok(Request { method, url: to, headers, body });
    }
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    Ok(Request { method: Method::GET, url: to, headers, body: RequestBody::Empty })
}

/// The end of the time, and how long it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) deadline: Instant,
    pub(super) after: Duration,
}

/// Dials, sends one request, and reads the head of the answer.
async fn exchange(request: Request, options: &Options, limit: Option<Limit>) -> Result<Response, FetchError> {
    let Request { method, url, headers, body } = request;
    let connect_deadline = Instant::now() + options.connect_timeout;
    let transport = dial::connect(&url.host, url.port, &options.route, Some(connect_deadline)).await?;
    let address = transport.peer_address();
    if url.scheme == Scheme::Http {
        let is_http2 = options.http == HttpVersion::Http2;
        let request = prepare(method, &url, &headers, body, is_http2)?;
        let conversation = Conversation { address, ..Conversation::default() };
        return send(transport, request, is_http2, Told { conversation, memory: None, limit, url }).await;
    }
    let mut tls = options.tls.clone();
    tls.alpn = match options.http {
        HttpVersion::Negotiated => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
    };
    let handshake = handshake::handshake(transport, &url.host, tls);
    let stream = timeout_at(connect_deadline, handshake)
        .await
        .map_err(|_| DialError::Timeout { target: url.authority(), after: options.connect_timeout })?
        .map_err(|failure| FetchError::Handshake(Box::new(failure)))?;
    let negotiated: Negotiated = stream.negotiated().clone();
    let is_http2 = negotiated.alpn.as_deref() == Some("h2");
    let memory = Arc::clone(stream.memory());
    let conversation = Conversation {
        address,
        tls: Some(negotiated),
        served: memory.served().cloned(),
        certificate_request: memory.request().cloned(),
        sent_certificate: memory.sent_certificate(),
    };
    let request = prepare(method, &url, &headers, body, is_http2)?;
    send(stream, request, is_http2, Told { conversation, memory: Some(memory), limit, url }).await
}

/// What is known besides the stream itself.
struct Told {
    conversation: Conversation,
    memory: Option<Arc<Memory>>,
    limit: Option<Limit>,
    url: Url,
}

/// The request as it goes out, with what curl always sends.
fn prepare(
    method: Method,
    url: &Url,
    given: &HeaderMap,
    body: RequestBody,
    is_http2: bool,
) -> Result<http::Request<RequestBody>, FetchError> {
    let problem = |error: &dyn std::fmt::Display| FetchError::Request(error.to_string());
    let target = if is_http2 { url.to_string() } else { url.path_and_query.clone() };
    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = target.parse::<Uri>().map_err(|error| problem(&error))?;
    *request.version_mut() = if is_http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(&url.authority()).map_err(|error| problem(&error))?;
    headers.insert(header::HOST, host);
    let agent = concat!("countersign/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    for name in given.keys() {
        headers.remove(name);
        for value in given.get_all(name).iter().filter(|value| !value.is_empty()) {
            headers.append(name, value.clone());
        }
    }
    if is_http2 {
        forget_hops(&mut request)?;
    }
    Ok(request)
}

/// HTTP/2 names the host in `:authority` and has no headers that concern a connection (RFC 9113 section 8.2.2).
fn forget_hops(request: &mut http::Request<RequestBody>) -> Result<(), FetchError> {
    if let Some(host) = request.headers_mut().remove(header::HOST) {
        let mut parts = request.uri().clone().into_parts();
        let authority = host.to_str().ok().and_then(|host| host.parse().ok());
        parts.authority =
            Some(authority.ok_or_else(|| FetchError::Request("the Host header is none".to_owned()))?);
        *request.uri_mut() =
            Uri::from_parts(parts).map_err(|error| FetchError::Request(error.to_string()))?;
    }
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE] {
        request.headers_mut().remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        request.headers_mut().remove(HeaderName::from_static(name));
    }
    Ok(())
}

/// Sends a request on a stream and reads the head of the answer.
async fn send<S>(
    stream: S,
    request: http::Request<RequestBody>,
    is_http2: bool,
    told: Told,
) -> Result<Response, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = TokioIo::new(stream);
    let result: Result<http::Response<Incoming>, hyper::Error> = if is_http2 {
        match http2::handshake(TokioExecutor::new(), stream).await {
            Ok((mut sender, connection)) => {
                tokio::spawn(connection);
                sender.send_request(request).await
            }
            Err(error) => Err(error),
        }
    } else {
        match http1::handshake(stream).await {
            Ok((mut sender, connection)) => {
                tokio::spawn(connection);
                sender.send_request(request).await
            }
            Err(error) => Err(error),
        }
    };
    match result {
        Ok(answer) => {
            let target = told.url.authority();
            Ok(Response::new(answer, told.conversation, told.memory, told.limit, target))
        }
        Err(error) => Err(told.failed(&error)),
    }
}

impl Told {
    /// What an exchange died of before the head of an answer came.
    fn failed(&self, error: &hyper::Error) -> FetchError {
        if let Some(refused) = refused_later(self.memory.as_deref()) {
            return refused;
        }
        if let Some(input) = response::input_error(error) {
            return FetchError::Input(input);
        }
        let reason = response::causes(error);
        if error.is_parse() {
            return FetchError::NotHttp(reason);
        }
        let closed = error.is_incomplete_message()
            || error.is_canceled()
            || response::io_kind(error) == Some(std::io::ErrorKind::UnexpectedEof);
        if !closed {
            return FetchError::Broken { during: "before an answer came", reason };
        }
        let host: &ServerName = &self.url.host;
        let mut finding = Finding::new(
            FindingCode::ClosedWithoutAlert,
            Fault::Server,
            format!("the server {host} closed the connection without an answer"),
        );
        if let Some(asked) = &self.conversation.certificate_request {
            let sent = if self.conversation.sent_certificate { "one was sent" } else { "none was sent" };
            finding = finding
                .evidence(format!("it asked for a client certificate, and {sent}"))
                .remedy("read the server's log; a server that refuses a certificate should send an alert");
            if !asked.authorities.is_empty() {
                finding =
                    finding.evidence(format!("it takes those of {}", asked.authority_names().join("; ")));
            }
        }
        FetchError::EmptyReply { finding: Box::new(finding) }
    }
}

/// The refusal that arrived after the handshake, where one did.
fn refused_later(memory: Option<&Memory>) -> Option<FetchError> {
    let memory = memory?;
    let alert = refusal::received_alert(&memory.late_error()?)?;
    Some(FetchError::RefusedLater { finding: Box::new(memory.explain_alert(alert, true)), alert })
}
