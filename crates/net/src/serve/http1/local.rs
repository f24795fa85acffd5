//! The long way of a request over HTTP/1.1: what answers it takes and gives messages of the `http` crate. Pages, files,
//! and upstreams that speak HTTP/2 are answered so.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use hyper::body::{Body as _, Frame};

use super::body::{Decoder, write_chunk, write_last_chunk};
use super::forward::Wish;
use super::pipe::{Inlet, pipe};
use super::{After, head, poll_sent};
use crate::serve::access::{AccessRecord, RequestRecord};
use crate::serve::body::{AnswerBody, RequestBody};
use crate::serve::connection::{self, Connection, Visit};
use crate::serve::counters::{Counters, Pass};
use crate::serve::{Route, headers};
use crate::snapshot::Admission;
use crate::tls::socket::TlsSocket;

/// A request that goes the long way.
pub(super) struct Local {
    pub(super) route: Arc<Route>,
    pub(super) admission: Admission,
    pub(super) parts: Parts,
    pub(super) visit: Visit,
    pub(super) decoder: Decoder,
    pub(super) length: Option<u64>,
    pub(super) wish: Wish,
    pub(super) record: Box<RequestRecord>,
    pub(super) started: Instant,
    pub(super) pass: Option<Pass>,
}

/// How an answer is framed for its client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) minor: u8,
    pub(super) is_head: bool,
    pub(super) closes: bool,
}

/// Reads a request's body into a pipe.
struct Pump {
    decoder: Decoder,
    inlet: Option<Inlet>,
}

impl Pump {
    /// Reads what there is room for. Ready when the body was read, or nobody takes it any more.
    fn poll(&mut self, connection: &Connection, socket: &mut TlsSocket, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(inlet) = &self.inlet else { return Poll::Ready(()) };
            if self.decoder.is_done() {
                self.inlet = None;
                return Poll::Ready(());
            }
            if !ready!(inlet.poll_room(cx)) {
                self.inlet = None;
                return Poll::Ready(());
            }
            if socket.plain().is_empty() {
                match ready!(socket.poll_fill(cx)) {
                    Ok(1..) => {}
                    Ok(0) => {
                        inlet.put(Err(io::ErrorKind::UnexpectedEof.into()));
                        self.inlet = None;
                        return Poll::Ready(());
                    }
                    Err(error) => {
                        inlet.put(Err(error));
                        self.inlet = None;
                        return Poll::Ready(());
                    }
                }
            }
            connection.watch().arm(connection.server.limits.body_idle_timeout);
            match self.decoder.next(socket.plain()) {
                Ok((count, piece)) => {
                    if !piece.is_empty() {
                        inlet.put(Ok(Frame::data(Bytes::copy_from_slice(piece))));
                    }
                    socket.take(count);
                    if self.decoder.is_done() && !self.decoder.trailers().is_empty() {
                        inlet.put(Ok(Frame::trailers(trailers_of(&self.decoder.trailers_to_pass(false)))));
                    }
                }
                Err(error) => {
                    inlet.put(Err(io::Error::new(io::ErrorKind::InvalidInput, error)));
                    self.inlet = None;
                }
            }
        }
    }
}

/// Trailer lines as headers.
fn trailers_of(lines: &[u8]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let Ok(field) = head::field(line, 0..line.len().saturating_sub(2)) else { continue };
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(field.name(line)), HeaderValue::from_bytes(field.value(line)))
        {
            trailers.append(name, value);
        }
    }
    trailers
}

impl Local {
    /// Has the request answered, sends the answer, records it, and says how the connection goes on.
    pub(super) async fn run(self: Box<Self>, connection: &Arc<Connection>, socket: &mut TlsSocket) -> After {
        let Local { route, admission, parts, visit, decoder, length, wish, mut record, started, pass } =
            *self;
        Counters::add(&connection.server.counters.requests_open);
        let (body, mut pump) = if decoder.is_done() {
            (RequestBody::Empty, Pump { decoder, inlet: None })
        } else {
            let (inlet, outlet) = pipe();
            (RequestBody::Handed(outlet, length), Pump { decoder, inlet: Some(inlet) })
        };
        if wish.expects_continue {
            // Whether it arrives shows in the next flush.
            let _ = poll_fn(|cx| Poll::Ready(socket.send(cx, &[b"HTTP/1.1 100 Continue\r\n\r\n"]))).await;
        }
        // The handler has limits of its own for its upstream.
        connection.watch().disarm();
        let response = {
            let mut response =
                std::pin::pin!(connection::respond(&route.handler, &admission, parts, body, &visit));
            poll_fn(|cx| {
                let _ = pump.poll(connection, socket, cx);
                response.as_mut().poll(cx)
            })
            .await
        };
        record.status = response.status().as_u16();
        let closes = wish.closes || connection.watch().is_draining() || !pump.decoder.is_done();
        let manner = Manner { minor: wish.minor, is_head: wish.is_head, closes };
        connection.watch().arm(connection.server.limits.body_idle_timeout);
        let sent = send_while(connection, socket, response, manner, &mut pump).await;
        record.bytes = sent.as_ref().map_or(0, |sent| *sent);
        record.complete = sent.is_ok();
        record.duration = started.elapsed();
        Counters::remove(&connection.server.counters.requests_open);
        drop(pass);
        (connection.server.log)(&AccessRecord::Request(record));
        match sent {
            Err(_) => After::Abort,
            Ok(_) if !pump.decoder.is_done() => After::Linger,
            Ok(_) if closes => After::Close,
            Ok(_) => After::Next,
        }
    }
}

/// Sends an answer of ours, and gives the octets of its body.
pub(super) async fn send(
    connection: &Connection,
    socket: &mut TlsSocket,
    response: Response<AnswerBody>,
    manner: Manner,
) -> io::Result<u64> {
    let mut pump = Pump { decoder: Decoder::new(head::Framing::None), inlet: None };
    connection.watch().arm(connection.server.limits.body_idle_timeout);
    send_while(connection, socket, response, manner, &mut pump).await
}

async fn send_while(
    connection: &Connection,
    socket: &mut TlsSocket,
    response: Response<AnswerBody>,
    manner: Manner,
    pump: &mut Pump,
) -> io::Result<u64> {
    let (parts, mut body) = response.into_parts();
    let length = body.size_hint().exact();
    let bodiless = manner.is_head || matches!(parts.status.as_u16(), 204 | 304);
    let chunked = length.is_none() && manner.minor == 1 && !bodiless;
    let closes = manner.closes || (length.is_none() && !chunked && !bodiless);
    let mut out = Vec::with_capacity(1024);
    let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    let reason = parts.status.canonical_reason().unwrap_or("");
    line(&[b"HTTP/1.1 ", parts.status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"]);
    let mut own = parts.headers;
    headers::strip_hop_by_hop(&mut own);
    for (name, value) in &own {
        // The length of a body that is there is ours to say.
        if name != header::CONTENT_LENGTH || bodiless {
            line(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
    }
    match length {
        _ if parts.status == 204 || (bodiless && own.contains_key(header::CONTENT_LENGTH)) => {}
        Some(length) if parts.status != 304 => {
            line(&[b"content-length: ", length.to_string().as_bytes(), b"\r\n"])
        }
        None if chunked => line(&[b"transfer-encoding: chunked\r\n"]),
        _ => {}
    }
    if closes {
        line(&[b"connection: close\r\n"]);
    } else if manner.minor == 0 {
        line(&[b"connection: keep-alive\r\n"]);
    }
    line(&[b"\r\n"]);
    if bodiless {
        body = AnswerBody::Empty;
    }
    let mut sent = 0;
    let mut over = body.is_end_stream();
    if over && chunked {
        write_last_chunk(&mut out, &[]);
    }
    poll_fn(|cx| {
        let _ = pump.poll(connection, socket, cx);
        loop {
            if !out.is_empty() {
                socket.send(cx, &[&out])?;
                out.clear();
            }
            ready!(poll_sent(connection, socket, cx))?;
            if over {
                return Poll::Ready(Ok(sent));
            }
            let frame = match Pin::new(&mut body).poll_frame(cx) {
                Poll::Pending if connection.watch().has_expired() => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                polled => ready!(polled),
            };
            connection.watch().arm(connection.server.limits.body_idle_timeout);
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        sent += data.len() as u64;
                        if chunked && !data.is_empty() {
                            write_chunk(&mut out, &data);
                        } else {
                            out.extend_from_slice(&data);
                        }
                        // A body of known length is not asked again after its last octet.
                        over = length.is_some_and(|length| sent >= length);
                    }
                    Err(frame) => {
                        over = true;
                        if chunked {
                            let trailers = frame.into_trailers().unwrap_or_default();
                            write_last_chunk(&mut out, &lines_of(&trailers));
                        }
                    }
                },
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => {
                    over = true;
                    if chunked {
                        write_last_chunk(&mut out, &[]);
                    }
                }
            }
        }
    })
    .await
}

fn lines_of(trailers: &HeaderMap<HeaderValue>) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }
    lines
}
