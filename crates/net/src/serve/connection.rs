//! One accepted connection, from its handshake to its close: what its requests share, and which protocol reads them.

use std::borrow::Cow;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use explain::{Finding, FindingCode};
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use pki::identity::VerifiedPeer;
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;

use super::access::{AccessRecord, RefusalRecord, RequestRecord};
use super::behind::Origin;
use super::body::{AnswerBody, IncomingBody, RequestBody};
use super::counters::{Counters, Pass, TurnedAway};
use super::route::Route;
use super::standing::{RefusedRequest, Seat, Standing};
use super::watch::{Place, Watch, until_cut};
use super::{
    Handler, IdentityFront, Server, Slot, Visitor, behind, front, http1, http2, pages, tcp, told, try_it,
    visitor,
};
use crate::accept::{self, Accepted, RefusedHandshake};
use crate::proxy_protocol::{TlsFacts, encode};
use crate::snapshot::{Admission, Client};
use crate::tls::Negotiated;
use crate::tls::socket::TlsSocket;
use crate::trace::TraceContext;

/// What a handler knows of the visitor whose request it answers.
pub(crate) struct Visit {
    pub(crate) origin: Origin,
    pub(crate) peer: Option<Arc<VerifiedPeer>>,
    pub(crate) negotiated: Arc<Negotiated>,
    /// What the visitor was shown of the server; nothing where a ticket spared it.
    pub(crate) shown: Option<Arc<CertifiedKey>>,
    pub(crate) now: Timestamp,
}

/// What becomes of a request.
pub(crate) enum Decision {
    /// Its route answers it.
    Go { admission: Admission, client: Option<Arc<Client>>, route: Arc<Route>, pass: Option<Pass> },
    /// It is answered with a page of ours, behind which a connection of HTTP/1.1 may have to end.
    Page { page: Response<AnswerBody>, closes: bool },
    /// It ends without an answer.
    Abort,
}

/// What the requests of one connection share.
pub(crate) struct Connection {
    pub(crate) server: Arc<Server>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) address: SocketAddr,
    pub(crate) negotiated: Arc<Negotiated>,
    shown: Option<Arc<CertifiedKey>>,
    /// How the load balancer at the other end tells of its clients, where it is a trusted one.
    front: Option<Arc<IdentityFront>>,
    place: Place,
    /// Counts against the limits until the connection is closed.
    _slot: Slot,
}

/// Serves one TCP connection to its end.
pub(crate) async fn serve(
    server: Arc<Server>,
    tcp: TcpStream,
    address: SocketAddr,
    place: Place,
    slot: Slot,
) {
    let watch = Arc::clone(&place.watch);
    let phase = server.phase.clone();
    // The handshake's state is in a box of its own, which is gone when it is done. The task is pinned where it is made:
    // as an argument it would take its room twice.
    let mut task = pin!(async move {
        let Some((connection, socket)) = Box::pin(accept(server, tcp, address, place, slot)).await else {
            return;
        };
        if connection.standing.is_tcp() {
            tcp::serve(connection, socket).await;
        } else if connection.negotiated.alpn.as_deref() == Some("h2") {
            http2::serve(connection, socket).await;
        } else {
            http1::serve(connection, socket).await;
        }
    });
    until_cut(&watch, &phase, task.as_mut()).await;
}

async fn accept(
    server: Arc<Server>,
    mut tcp: TcpStream,
    mut address: SocketAddr,
    place: Place,
    slot: Slot,
) -> Option<(Arc<Connection>, TlsSocket)> {
    // Who is at the other end of the TCP connection, whatever it says.
    let from = address;
    if !server.fronts.is_empty() {
        let limit = server.limits.handshake_timeout;
        match front::client_behind(&mut tcp, address, &server.fronts, limit).await {
            Ok(client) => address = client,
            Err(finding) => {
                Counters::add(&server.counters.handshakes_refused);
                record_refusal(&server, address, RefusedHandshake::new(finding));
                return None;
            }
        }
    }
    let accepted = accept::handshake(
        tcp,
        &server.handle,
        server.clock,
        &server.limits,
        &place.watch,
        server.recordings.as_ref(),
    )
    .await;
    let Accepted { socket, current, client, negotiated, shown, resumed } = match accepted {
        Ok(accepted) => accepted,
        Err(mut refused) => {
            Counters::add(&server.counters.handshakes_refused);
            // Logged before it is told: it can take its time to listen.
            let listening = refused.listening.take();
            let (finding, certificate) = (refused.finding.clone(), refused.certificate.clone());
            record_refusal(&server, address, refused);
            if let Some(peer) = listening {
                let now = (server.clock)();
                told::tell(*peer, &finding, certificate.as_ref(), now, &server.limits, &place.watch).await;
            }
            return None;
        }
    };
    let counters = &server.counters;
    Counters::add(if resumed { &counters.handshakes_resumed } else { &counters.handshakes_full });
    counters.groups.add(&negotiated.group);
    counters.handshakes.add(client.as_deref(), &negotiated);
    // Octets that are passed on as they come have no headers: there the front is a client like any other.
    let front = current.front_at(from.ip()).filter(|_| !current.is_tcp());
    let now = (server.clock)();
    if let (Some(online), Some(client)) = (current.online(), &client) {
        // The handshake has asked; what a ticket spared may be due.
        online.ask(current.judge(), client, now).await;
    }
    let (handle, fallback) = (server.handle.clone(), server.fallback.clone());
    let standing = Arc::new(Standing::new(handle, fallback, current, client, front.is_some(), now));
    place.watch.judge(Arc::clone(&standing));
    let connection = Connection { server, standing, address, negotiated, shown, front, place, _slot: slot };
    Some((Arc::new(connection), socket))
}

impl Connection {
    pub(crate) fn now(&self) -> Timestamp {
        (self.server.clock)()
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.place.watch
    }

    /// Where a request comes from; `header` finds the values of a header of it.
    pub(crate) fn origin<'h>(&self, header: impl Fn(&'static str) -> Vec<&'h [u8]>) -> Origin {
        match &self.front {
            None => Origin { address: self.address, is_plain: false },
            Some(front) => front.origin(self.address, header),
        }
    }

    pub(crate) fn visit(&self, client: Option<&Client>, origin: Origin, now: Timestamp) -> Visit {
        Visit {
            origin,
            peer: client.map(|client| Arc::clone(&client.peer)),
            negotiated: Arc::clone(&self.negotiated),
            shown: self.shown.clone(),
            now,
        }
    }

    /// Asks the gate, where there is one.
    pub(crate) fn enter(
        &self,
        route: &Route,
        client: Option<&Client>,
        origin: Origin,
    ) -> Result<Option<Pass>, TurnedAway> {
        match &self.server.gate {
            None => Ok(None),
            Some(gate) => gate.enter(route, client.map(|client| &*client.peer), origin.address.ip()),
        }
    }

    /// The record of a request that has just arrived.
    pub(crate) fn record(
        &self,
        method: Method,
        path: String,
        protocol: &'static str,
        now: Timestamp,
    ) -> RequestRecord {
        RequestRecord {
            time: now,
            peer: self.address,
            identity: None,
            serial: None,
            client: None,
            verdict: Cow::Borrowed("NONE"),
            rule: None,
            route: None,
            finding: None,
            method,
            path,
            protocol,
            status: 0,
            bytes: 0,
            duration: Duration::ZERO,
            complete: false,
            tls: Arc::clone(&self.negotiated),
            trace: None,
        }
    }

    /// The span of a request, where requests are traced; `header` finds the values of a header of it. More than one
    /// `traceparent` is none.
    pub(crate) fn trace<'h>(
        &self,
        header: impl FnOnce(&'static str) -> Vec<&'h [u8]>,
    ) -> Option<TraceContext> {
        if !self.server.traces {
            return None;
        }
        TraceContext::continuing(match header(TRACEPARENT).as_slice() {
            [one] => Some(one),
            _ => None,
        })
    }

    pub(crate) fn note_admitted(
        &self,
        record: &mut RequestRecord,
        admission: &Admission,
        client: Option<&Client>,
        route: &Route,
    ) {
        record.rule = Some(Arc::clone(admission.rule()));
        record.route = Some(Arc::clone(&route.name));
        if let Some(client) = client {
            record.verdict = Cow::Borrowed("SUCCESS");
            note_client(record, client);
        }
    }

    pub(crate) fn note_refused(&self, record: &mut RequestRecord, finding: Finding, client: Option<&Client>) {
        record.verdict = Cow::Owned(format!("FAILED:{}", finding.code));
        record.finding = Some(finding);
        // A front's own certificate is not who asked.
        let first = self.standing.first().filter(|_| self.front.is_none());
        if let Some(client) = client.or(first.map(|first| &**first)) {
            note_client(record, client);
        }
    }

    /// Judges a request; `header` finds the values of a header of it.
    pub(crate) fn judge<'h>(
        &self,
        host: &str,
        path: &str,
        method: Option<&str>,
        now: Timestamp,
        header: impl Fn(&'static str) -> Vec<&'h [u8]>,
    ) -> Result<Seat, String> {
        let Some(front) = &self.front else { return Ok(self.standing.judge(host, path, method, now)) };
        let chain = behind::chain(front.dialect, header).map_err(|error| {
            format!("What the load balancer says of its client cannot be believed: {error}.")
        })?;
        Ok(self.standing.judge_behind(chain.as_deref(), host, path, method, now))
    }

    /// What follows from the judgement of a request; it is written into its record.
    pub(crate) fn decide(
        &self,
        seat: Seat,
        origin: Origin,
        wanted: pages::Wanted,
        record: &mut RequestRecord,
    ) -> Decision {
        match seat {
            Seat::Admitted { admission, client, route } => {
                self.note_admitted(record, &admission, client.as_deref(), &route);
                match self.enter(&route, client.as_deref(), origin) {
                    Ok(pass) => Decision::Go { admission, client, route, pass },
                    Err(turned) => {
                        Decision::Page { page: turned_away(wanted, record, turned), closes: false }
                    }
                }
            }
            Seat::Refused(RefusedRequest { finding, client, route, closes, aborts }) => {
                record.route = route.map(|route| Arc::clone(&route.name));
                let page = pages::refusal(wanted, &finding, client.as_ref().map(|client| &*client.peer));
                self.note_refused(record, finding, client.as_deref());
                if aborts { Decision::Abort } else { Decision::Page { page, closes } }
            }
            Seat::Nowhere { client, ambiguous } => {
                if let Some(client) = &client {
                    record.verdict = Cow::Borrowed("SUCCESS");
                    note_client(record, client);
                }
                Decision::Page { page: nowhere(wanted, ambiguous), closes: false }
            }
        }
    }

    /// What a TCP service is told first of a connection.
    pub(crate) fn proxy_header(&self, socket: &TlsSocket) -> Vec<u8> {
        let facts = TlsFacts {
            version: &self.negotiated.version,
            cipher_suite: &self.negotiated.cipher_suite,
            group: &self.negotiated.group,
            alpn: self.negotiated.alpn.as_deref(),
            server_name: None,
            certificate: self.standing.first().map(|client| client.peer.certificate()),
        };
        // A socket that does not know where it is says so in an address of the client's kind.
        let here = socket.local_address().unwrap_or(self.address);
        encode(self.address, here, Some(&facts))
    }
}

fn note_client(record: &mut RequestRecord, client: &Client) {
    record.identity = Some(Arc::clone(&client.name));
    record.serial = Some(Arc::clone(&client.serial));
    record.client = Some(Arc::clone(&client.peer));
}

/// The header of W3C Trace Context.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// Puts our span in the place of the client's, where requests are traced.
pub(crate) fn continue_trace(headers: &mut HeaderMap, trace: Option<&TraceContext>) {
    if let Some(trace) = trace
        && let Ok(value) = HeaderValue::from_str(&trace.traceparent())
    {
        headers.insert(TRACEPARENT, value);
    }
}

/// Has a request answered by its route's handler.
pub(crate) async fn respond(
    handler: &Handler,
    admission: &Admission,
    parts: Parts,
    body: RequestBody,
    visit: &Visit,
) -> Response<AnswerBody> {
    match handler {
        Handler::Upstream(upstream) => upstream.forward(admission, parts, body, visit).await,
        Handler::Directory(directory) => directory.answer(admission, &parts).await,
        Handler::Identity => visitor::answer(admission, &parts, visit),
        Handler::TryIt => try_it::answer(admission, &parts, visit),
        Handler::Service(service) => {
            let visitor = Visitor { address: visit.origin.address, peer: visit.peer.clone() };
            let request = Request::from_parts(parts, IncomingBody(body));
            service.answer(request, visitor).await.map(AnswerBody::Service)
        }
        Handler::Tcp(_) => {
            let text = "Behind this route is a service that does not speak HTTP.";
            pages::problem(pages::Wanted::Text, StatusCode::BAD_GATEWAY, "bad_gateway", text)
        }
    }
}

/// The answer to a request that no route takes.
fn nowhere(wanted: pages::Wanted, ambiguous: bool) -> Response<AnswerBody> {
    if ambiguous {
        let text = "The path can be read in more than one way: it has empty or dot segments, or encodes what it need not.";
        pages::problem(wanted, StatusCode::BAD_REQUEST, "ambiguous_path", text)
    } else {
        pages::problem(
            wanted,
            StatusCode::NOT_FOUND,
            "no_route",
            "Nothing is served under this host and path.",
        )
    }
}

/// The answer to a request that the gate turned away.
fn turned_away(
    wanted: pages::Wanted,
    record: &mut RequestRecord,
    turned: TurnedAway,
) -> Response<AnswerBody> {
    let TurnedAway { retry_after, finding } = turned;
    let text = "You ask more often, or for more at a time, than you may.";
    let code = finding.code.name();
    let mut response = pages::problem(wanted, StatusCode::TOO_MANY_REQUESTS, code, text);
    if let Some(after) = retry_after {
        // Rounded up: coming early would be turned away again.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    record.verdict = Cow::Owned(format!("FAILED:{code}"));
    record.finding = Some(finding);
    response
}

fn record_refusal(server: &Server, peer: SocketAddr, refused: RefusedHandshake) {
    let RefusedHandshake { finding, alert_sent, alert_received, certificate, listening: _ } = refused;
    let is_misused = finding.code == FindingCode::WrongPurpose;
    (server.log)(&AccessRecord::Refusal(RefusalRecord {
        time: (server.clock)(),
        peer,
        finding,
        subject: certificate.as_ref().map(|c| c.subject().to_string()),
        serial: certificate.as_ref().map(pki::Certificate::serial_hex),
        not_for_clients: certificate.filter(|_| is_misused),
        alert_sent,
        alert_received,
    }));
}
