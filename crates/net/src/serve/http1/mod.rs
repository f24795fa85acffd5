//! HTTP/1.1 with a client: one request after the other on a connection, read strictly, judged, answered. Written for
//! this gateway and not taken from a library, since a library's general machinery costs half of what a request costs
//! here (bench/README.md), and since what a proxy must refuse (RFC 9112 section 11) is then in sight.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod forward;
pub(crate) mod head;
mod local;
pub(crate) mod pipe;
pub(crate) mod request;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::{Method, Response, StatusCode};
use tokio::time::timeout;

use super::access::AccessRecord;
use super::body::AnswerBody;
use super::connection::Connection;
use super::facts::Told;
use super::pages::{self, Wanted};
use crate::accept;
use crate::tls::socket::TlsSocket;
use forward::Exchange;
use head::Field;
use local::Local;

thread_local! {
    static FIELDS: RefCell<Vec<Field>> = RefCell::default();
}

/// What a connection does after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// The next one.
    Next,
    /// It ends.
    Close,
    /// It ends, and the client has not been read to the end: it is let finish, so that it gets to read the answer.
    Linger,
    /// It ends at once, so that nothing looks whole.
    Abort,
}

/// What a head leads to.
enum Begun {
    /// It goes to an upstream that speaks HTTP/1.1.
    Forward(Box<Exchange>),
    /// It is answered by something else.
    Local(Box<Local>),
    /// It is answered with a page of ours, in a form and with a record.
    Refused(Box<Refusal>),
    /// The connection is to end without an answer.
    Abort,
}

/// A page in place of an answer.
struct Refusal {
    response: Response<AnswerBody>,
    minor: u8,
    is_head: bool,
    closes: bool,
    record: Option<Box<super::RequestRecord>>,
    started: Instant,
}

/// How far the next request has come.
struct Reading {
    /// Whether the server ends, and the last call was given: a request that is on its way meanwhile is answered.
    hurried: bool,
    /// The octets that were looked at. A head is read again only when another line of it has ended: one that arrives
    /// octet by octet would otherwise cost the square of its length.
    seen: usize,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(connection: Arc<Connection>, mut socket: TlsSocket) {
    let mut told = Told::default();
    let mut reading = Reading { hurried: false, seen: 0 };
    let after = loop {
        connection.watch().arm(connection.server.limits.header_timeout);
        let begun =
            match poll_fn(|cx| poll_begin(&connection, &mut socket, &mut told, &mut reading, cx)).await {
                Ok(ControlFlow::Continue(begun)) => begun,
                Ok(ControlFlow::Break(())) => break After::Close,
                Err(_) => break After::Abort,
            };
        reading = Reading { hurried: false, seen: 0 };
        let after = match begun {
            Begun::Forward(exchange) => exchange.run(&connection, &mut socket).await,
            Begun::Local(local) => Box::pin(local.run(&connection, &mut socket)).await,
            Begun::Refused(refusal) => Box::pin(refusal.send(&connection, &mut socket)).await,
            Begun::Abort => After::Abort,
        };
        // A client that was not told that this was the last answer may be sending the next request: also where the server
        // ends, it gets the last call.
        match after {
            After::Next => {}
            other => break other,
        }
    };
    let limit = connection.server.limits.handshake_timeout;
    match after {
        After::Abort => {}
        After::Linger => {
            let _ = timeout(limit, poll_fn(|cx| socket.poll_farewell(cx))).await;
            accept::linger(socket.into_tcp()).await;
        }
        After::Close | After::Next => {
            let _ = timeout(limit, poll_fn(|cx| socket.poll_farewell(cx))).await;
        }
    }
}

/// Reads until there is a whole head, and begins what it asks for.
fn poll_begin(
    connection: &Arc<Connection>,
    socket: &mut TlsSocket,
    told: &mut Told,
    reading: &mut Reading,
    cx: &mut Context<'_>,
) -> Poll<io::Result<ControlFlow<(), Begun>>> {
    loop {
        let limit = connection.server.limits.header_bytes as usize;
        let has_line = socket.plain()[reading.seen..].contains(&b'\n') || socket.plain().len() > limit;
        reading.seen = socket.plain().len();
        if has_line {
            let begun = FIELDS.with_borrow_mut(|fields| match head::request(socket.plain(), fields) {
                Ok(Some(head)) if head.length <= limit => Some(
                    request::begin(connection, socket.plain(), &head, fields, told)
                        .map(|begun| (begun, head.length)),
                ),
                Ok(None) if socket.plain().len() <= limit => None,
                Ok(_) => {
                    let text = format!("The head of the request is longer than {limit} octets.");
                    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                    Some(Err(Refusal::broken(status, "header_too_large", &text)))
                }
                Err(error) => {
                    let text = format!("The request cannot be read: {error}.");
                    Some(Err(Refusal::broken(StatusCode::BAD_REQUEST, "bad_request", &text)))
                }
            });
            match begun {
                Some(Ok((begun, length))) => {
                    socket.take(length);
                    return Poll::Ready(Ok(ControlFlow::Continue(begun)));
                }
                Some(Err(refusal)) => {
                    return Poll::Ready(Ok(ControlFlow::Continue(Begun::Refused(refusal))));
                }
                None => {}
            }
        }
        match socket.poll_fill(cx) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Ok(ControlFlow::Break(()))),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if connection.watch().has_expired() => {
                if socket.plain().is_empty() {
                    return Poll::Ready(Ok(ControlFlow::Break(())));
                }
                let text = "The head of the request did not arrive in time.";
                let refusal = Refusal::broken(StatusCode::REQUEST_TIMEOUT, "timeout", text);
                return Poll::Ready(Ok(ControlFlow::Continue(Begun::Refused(refusal))));
            }
            // What had already arrived was read first: a request that was sent is answered.
            Poll::Pending
                if !reading.hurried && connection.watch().is_ending() && socket.plain().is_empty() =>
            {
                let limits = &connection.server.limits;
                let last_call = limits.last_call.min(limits.drain_timeout / 2);
                if last_call.is_zero() {
                    return Poll::Ready(Ok(ControlFlow::Break(())));
                }
                reading.hurried = true;
                connection.watch().arm(last_call.min(limits.header_timeout));
                return Poll::Pending;
            }
            Poll::Pending => return Poll::Pending,
        }
    }
}

impl Refusal {
    /// The answer to what is no request.
    fn broken(status: StatusCode, code: &str, text: &str) -> Box<Self> {
        Box::new(Refusal {
            response: pages::problem(Wanted::Text, status, code, text),
            minor: 1,
            is_head: false,
            closes: true,
            record: None,
            started: Instant::now(),
        })
    }

    async fn send(self: Box<Self>, connection: &Arc<Connection>, socket: &mut TlsSocket) -> After {
        let Refusal { response, minor, is_head, closes, record, started } = *self;
        let now = connection.now();
        let mut record = record.unwrap_or_else(|| {
            let mut record = Box::new(connection.record(Method::GET, "-".to_owned(), "HTTP/1.1", now));
            if let Some(client) = connection.standing.first() {
                record.verdict = std::borrow::Cow::Borrowed("SUCCESS");
                record.identity = Some(Arc::clone(&client.name));
            }
            record
        });
        record.status = response.status().as_u16();
        let manner = local::Manner { minor, is_head, closes };
        let sent = local::send(connection, socket, response, manner).await;
        let (bytes, complete) = sent.as_ref().map_or((0, false), |bytes| (*bytes, true));
        record.bytes = bytes;
        record.complete = complete;
        record.duration = started.elapsed();
        (connection.server.log)(&AccessRecord::Request(record));
        match sent {
            Ok(_) if closes => After::Linger,
            Ok(_) => After::Next,
            Err(_) => After::Abort,
        }
    }
}

/// Waits until the socket has taken what was given to it, unless that stands still for too long.
fn poll_sent(connection: &Connection, socket: &mut TlsSocket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    if socket.backlog() == 0 {
        return Poll::Ready(Ok(()));
    }
    let before = socket.backlog();
    match socket.poll_flush(cx) {
        Poll::Pending if socket.backlog() < before => {
            connection.watch().arm(connection.server.limits.body_idle_timeout);
            Poll::Pending
        }
        Poll::Pending if connection.watch().has_expired() => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        polled => {
            ready!(polled)?;
            Poll::Ready(Ok(()))
        }
    }
}
