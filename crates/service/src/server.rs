//! From listeners to the router: over TLS by way of `net`, which verifies clients' certificates; and plain, for what
//! anyone may read.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use http::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use net::serve::{Answering, Handler, IncomingBody, Log, Options, Pulse, Service, ServiceBody, Visitor};
use net::snapshot::{ClientAuth, Handle, RefusedClients, Snapshot};
use net::tls::Credentials;
use pki::crl::CertificateRevocationList;
use pki::policy::{Policy, Rule};
use pki::verify::TrustBundle;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::router::LARGEST_BODY;
use crate::{Problem, State};

/// From a request's head to its answer's head.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Connections at a time on a plain listener; more wait in the listener's queue.
const PLAIN_CONNECTIONS: usize = 4096;

/// From one answer to the end of the next request's head on a plain connection.
const PLAIN_HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// The router as `net` sees it.
struct Web {
    router: Router,
}

impl Service for Web {
    fn answer(&self, request: Request<IncomingBody>, visitor: Visitor) -> Answering {
        Box::pin(answer(self.router.clone(), request, visitor))
    }
}

async fn answer<B>(router: Router, request: Request<B>, visitor: Visitor) -> http::Response<ServiceBody>
where
    B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let (parts, body) = request.into_parts();
    let work = async {
        // Whole before anything is answered: an HTTP/2 client that is answered while it still sends is told to stop by a
        // reset, which curl 7.88 takes for a failure (error 92).
        let body = match Limited::new(body, LARGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return unread(&*error).into_response(),
        };
        let mut request = Request::from_parts(parts, Body::from(body));
        request.extensions_mut().insert(visitor);
        let Ok(response) = router.oneshot(request).await;
        response
    };
    let response = match timeout(ANSWER_WITHIN, work).await {
        Ok(response) => response,
        Err(_) => Problem::of(
            503,
            "too-slow",
            format!("there was no answer within {} s; try again", ANSWER_WITHIN.as_secs()),
        )
        .retry_after(5)
        .into_response(),
    };
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

/// Why a body was not read.
fn unread(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Problem {
    if error.is::<LengthLimitError>() {
        Problem::of(413, "too-large", format!("a request's body has at most {LARGEST_BODY} octets"))
    } else {
        Problem::of(400, "bad-request", "the request's body broke off")
    }
}

/// Serves a router over TLS until `shutdown` ends; clients' certificates are judged by the snapshot of `handle`, and
/// the state remembers who comes and who is refused.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    router: Router,
    state: State,
    log: Log,
    pulse: Arc<Pulse>,
    shutdown: impl Future<Output = ()>,
) -> u32 {
    let mut options = Options::new();
    options.pulse = pulse;
    let (recorded, heard) = (Arc::clone(state.refusals()), Arc::clone(state.refusals()));
    let radar = Arc::clone(state.radar());
    options.counters = Arc::clone(state.counters());
    options.recordings = Some(Arc::new(move |transcript| recorded.recorded(&transcript)));
    let log: Log = Arc::new(move |record| {
        heard.record(record);
        radar.record(record);
        log(record);
    });
    options.fallback = Some(Arc::new(Handler::Service(Arc::new(Web { router }))));
    options.log = log;
    net::serve::serve(listener, handle, options, shutdown).await
}

/// Serves a router without TLS until `shutdown` ends: for lists and OCSP, which are signed, and which whoever verifies a
/// TLS connection must be able to have without one.
pub async fn serve_plain(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(PLAIN_CONNECTIONS));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            () = shutdown.as_mut() => return,
            next = next => next,
        };
        match accepted {
            Ok((tcp, address)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    plain_connection(TokioIo::new(tcp), address, router).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at the moment");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn plain_connection(stream: TokioIo<tokio::net::TcpStream>, address: SocketAddr, router: Router) {
    let service = service_fn(move |request| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(answer(router, request, Visitor { address, peer: None }).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PLAIN_HEADER_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(stream, service);
    if let Err(error) = connection.await {
        tracing::debug!(%address, %error, "a plain connection ended early");
    }
}

/// What the service's TLS believes: its own anchors' clients, as far as they were not taken back. Whoever has no
/// certificate is let in too, since most ways to a certificate start without one; what a handler allows is its own
/// question.
///
/// # Errors
/// A [`Problem`] where the list cannot be made.
pub fn snapshot(state: &State, credentials: Credentials) -> Result<Snapshot, Problem> {
    let authority = state.authority();
    // The issuing CAs too: clients of EST are sent their certificate alone, and present it alone.
    let lines = authority.lines();
    let in_use = lines.all().iter().filter(|line| line.retired().is_none());
    let mut trusted = lines.anchors().anchors().to_vec();
    trusted.extend(in_use.map(|line| line.issuer().certificate().clone()));
    let mut snapshot = Snapshot::new(credentials, TrustBundle::new(trusted));
    let lists = authority
        .crls(state.now(), state.settings().list_lifetime)
        .map_err(|error| Problem::internal(&error))?;
    let lists = lists.iter().map(|der| CertificateRevocationList::from_der(der)).collect::<Result<_, _>>();
    snapshot.crls = lists.map_err(|error| Problem::internal(&error))?;
    snapshot.client_auth = ClientAuth::Optional { allow_anonymous: true };
    // People come here: who is refused reads why, where a browser would otherwise show that a connection failed.
    snapshot.refused_clients = RefusedClients::Page;
    snapshot.policy = Policy::new(vec![Rule::All]);
    snapshot.grace = state.settings().grace;
    Ok(snapshot)
}
