//! One accepted connection, from its handshake to its close: each request is judged, answered and recorded.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use explain::Finding;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, Version};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use jiff::Timestamp;
use pki::identity::VerifiedPeer;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::sleep;

use super::access::{AccessRecord, RefusalRecord, RequestRecord};
use super::body::{AnswerBody, LoggedBody};
use super::standing::{RefusedRequest, Standing};
use super::{Handler, Phase, Server, Visitor, pages, visitor};
use crate::accept::{self, Accepted, RefusedHandshake};
use crate::tls::Negotiated;

/// How long a client that a new snapshot refuses is left to hear why before its connection is closed.
const GRACE: Duration = Duration::from_millis(500);

/// What a handler knows of the visitor whose request it answers.
pub(crate) struct Visit {
    pub(crate) address: SocketAddr,
    pub(crate) peer: Option<Arc<VerifiedPeer>>,
    pub(crate) negotiated: Arc<Negotiated>,
    pub(crate) now: Timestamp,
    connection: Arc<Connection>,
}

impl Visit {
    /// A tunnel that this connection may become: it lives as long as the connection would.
    pub(crate) fn tunnel(&self) -> Tunnel {
        Tunnel(Arc::clone(&self.connection))
    }
}

/// What the requests of one connection share.
struct Connection {
    server: Arc<Server>,
    standing: Standing,
    address: SocketAddr,
    negotiated: Arc<Negotiated>,
    /// Counts against the limit until the connection, and a tunnel it became, are closed.
    _slot: OwnedSemaphorePermit,
}

/// Serves one TCP connection to its end.
pub(crate) async fn serve(
    server: Arc<Server>,
    tcp: TcpStream,
    address: SocketAddr,
    slot: OwnedSemaphorePermit,
) {
    let limit = server.limits.handshake_timeout;
    let mut phase = server.phase.subscribe();
    let accepted = tokio::select! {
        accepted = accept::handshake(tcp, &server.handle, server.clock, limit) => accepted,
        () = over(&mut phase) => return,
    };
    let Accepted { stream, current, client, negotiated } = match accepted {
        Ok(accepted) => accepted,
        Err(refused) => return record_refusal(&server, address, refused),
    };
    let is_http2 = negotiated.alpn.as_deref() == Some("h2");
    let limits = server.limits;
    let connection = Arc::new(Connection {
        standing: Standing::new(server.handle.clone(), current, client),
        server,
        address,
        negotiated: Arc::new(negotiated),
        _slot: slot,
    });
    let requests = Arc::clone(&connection);
    let service = service_fn(move |request| {
        let connection = Arc::clone(&requests);
        async move { Ok::<_, Infallible>(answer(connection, request).await) }
    });
    let stream = TokioIo::new(stream);
    let ended = if is_http2 {
        let http = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(limits.header_bytes)
            .keep_alive_interval(limits.header_timeout)
            .keep_alive_timeout(limits.header_timeout)
            .serve_connection(stream, service);
        drive(http, |http| http.graceful_shutdown(), connection, phase).await
    } else {
        let http = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size((limits.header_bytes as usize).max(8192))
            .serve_connection(stream, service)
            .with_upgrades();
        drive(http, |http| http.graceful_shutdown(), connection, phase).await
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "a connection ended early");
    }
}

/// Runs a connection until it ends, the server ends, or its client is refused by a new snapshot.
async fn drive<C>(
    http: C,
    graceful_shutdown: impl Fn(Pin<&mut C>),
    connection: Arc<Connection>,
    mut phase: watch::Receiver<Phase>,
) -> Result<(), hyper::Error>
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let mut http = std::pin::pin!(http);
    let mut lost = connection.watch();
    if *phase.borrow_and_update() == Phase::Draining {
        graceful_shutdown(http.as_mut());
    }
    loop {
        tokio::select! {
            ended = http.as_mut() => return ended,
            // Dropped as it stands: a stream in the middle of an answer ends there.
            () = lost.as_mut() => return Ok(()),
            changed = phase.changed() => match *phase.borrow_and_update() {
                Phase::Draining if changed.is_ok() => graceful_shutdown(http.as_mut()),
                Phase::Running if changed.is_ok() => {}
                _ => return Ok(()),
            },
        }
    }
}

impl Connection {
    fn now(&self) -> Timestamp {
        (self.server.clock)()
    }

    /// Ends when a snapshot newer than the handshake's has refused the client and it had time to hear why.
    fn watch(self: &Arc<Self>) -> Pin<Box<impl Future<Output = ()> + use<>>> {
        let connection = Arc::clone(self);
        let mut changes = self.server.handle.changes();
        Box::pin(async move {
            loop {
                if connection.standing.is_lost(connection.now()) {
                    return sleep(GRACE).await;
                }
                if changes.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        })
    }
}

/// Two connections become one: bytes are copied both ways until one side ends, the server ends, or the client is
/// refused.
pub(crate) struct Tunnel(Arc<Connection>);

impl Tunnel {
    pub(crate) async fn copy(
        self,
        mut client: impl AsyncRead + AsyncWrite + Unpin,
        mut upstream: impl AsyncRead + AsyncWrite + Unpin,
    ) {
        let mut phase = self.0.server.phase.subscribe();
        tokio::select! {
            ended = copy_bidirectional(&mut client, &mut upstream) => {
                if let Err(error) = ended {
                    tracing::debug!(address = %self.0.address, %error, "a tunnel ended early");
                }
            }
            () = self.0.watch() => {}
            () = over(&mut phase) => {}
        }
    }
}

async fn over(phase: &mut watch::Receiver<Phase>) {
    // An error means that the server is gone, which is over too.
    let _ = phase.wait_for(|phase| *phase == Phase::Over).await;
}

/// Judges a request, has it answered, and records it.
async fn answer(connection: Arc<Connection>, request: Request<Incoming>) -> Response<LoggedBody> {
    let started = Instant::now();
    let now = connection.now();
    let version = request.version();
    let mut record = RequestRecord {
        time: now,
        peer: connection.address,
        identity: None,
        serial: None,
        verdict: String::new(),
        rule: None,
        finding: None,
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        protocol: format!("{version:?}"),
        status: 0,
        bytes: 0,
        duration: Duration::ZERO,
        complete: false,
        tls: (*connection.negotiated).clone(),
    };
    let is_head = request.method() == Method::HEAD;
    let mut response = match connection.standing.admit(now) {
        Ok((admission, peer)) => {
            record.verdict = if peer.is_some() { "SUCCESS" } else { "NONE" }.to_owned();
            record.rule = Some(admission.rule().to_owned());
            note_client(&mut record, peer.as_deref());
            let visit = Visit {
                address: connection.address,
                peer,
                negotiated: Arc::clone(&connection.negotiated),
                now,
                connection: Arc::clone(&connection),
            };
            match &connection.server.handler {
                Handler::Upstream(upstream) => upstream.forward(&admission, request, &visit).await,
                Handler::Directory(directory) => directory.answer(&admission, &request).await,
                Handler::Identity => visitor::answer(&admission, &request, &visit),
                Handler::Service(service) => {
                    let visitor = Visitor { address: visit.address, peer: visit.peer.clone() };
                    service.answer(request, visitor).await.map(AnswerBody::Service)
                }
            }
        }
        Err(RefusedRequest { finding, peer, closes }) => {
            record.verdict = format!("FAILED:{}", finding.code);
            note_client(&mut record, connection.standing.first_peer().map(|peer| &**peer));
            let wanted = pages::Wanted::of(request.headers());
            let mut response = pages::refusal(wanted, &finding, peer.as_deref());
            if closes && version <= Version::HTTP_11 {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            record.finding = Some(finding);
            response
        }
    };
    record.status = response.status().as_u16();
    if is_head {
        drop_body(&mut response);
    }
    let log = Arc::clone(&connection.server.log);
    response.map(|body: AnswerBody| LoggedBody::new(body, record, started, log))
}

/// Leaves the head of an answer to HEAD, with the length the body would have had: over HTTP/2 hyper would send it.
fn drop_body(response: &mut Response<AnswerBody>) {
    let body = std::mem::replace(response.body_mut(), AnswerBody::Empty);
    if let Some(length) = body.size_hint().exact().filter(|_| !body.is_end_stream()) {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn note_client(record: &mut RequestRecord, peer: Option<&VerifiedPeer>) {
    if let Some(peer) = peer {
        record.identity = Some(peer.display_name());
        record.serial = Some(peer.certificate().serial_hex());
    }
}

fn record_refusal(server: &Server, peer: SocketAddr, refused: RefusedHandshake) {
    let RefusedHandshake { finding, alert_sent, alert_received, certificate } = refused;
    let finding: Finding = finding;
    (server.log)(&AccessRecord::Refusal(RefusalRecord {
        time: (server.clock)(),
        peer,
        finding,
        subject: certificate.as_ref().map(|c| c.subject().to_string()),
        serial: certificate.as_ref().map(pki::Certificate::serial_hex),
        alert_sent,
        alert_received,
    }));
}
