//! The short way of a request: from an HTTP/1.1 client to an HTTP/1.1 upstream and back, in one task, without taking
//! messages apart further than is needed to know what they say. Bodies pass both ways at the same time, as fast as the
//! slower side takes them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::Response;

use super::answer::Said;
use super::body::{Decoder, write_chunk, write_last_chunk};
use super::head::{self, Field, Framing, ResponseHead};
use super::{After, local, poll_sent};
use crate::serve::access::{AccessRecord, RequestRecord};
use crate::serve::body::AnswerBody;
use crate::serve::connection::Connection;
use crate::serve::counters::{Counters, Pass};
use crate::serve::pages::Wanted;
use crate::serve::relay::{Relay, Sides, Stride, poll_link};
use crate::serve::upstream::{self, ExchangeError, Link, Upstream, pool};
use crate::serve::{Handler, Route};
use crate::snapshot::Admission;
use crate::tls::socket::TlsSocket;

/// The longest head of an answer.
const HEAD: usize = 256 * 1024;

thread_local! {
    static FIELDS: RefCell<Vec<Field>> = RefCell::default();
    static OUT: RefCell<Vec<u8>> = RefCell::default();
}

/// What matters of a request for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) minor: u8,
    pub(super) closes: bool,
    pub(super) is_head: bool,
    pub(super) wanted: Wanted,
    pub(super) expects_continue: bool,
    pub(super) asks_upgrade: bool,
}

/// One request and its answer.
pub(super) struct Exchange {
    route: Arc<Route>,
    link: Option<(pool::Key, Link)>,
    /// Whether the connection was used before, so that the upstream may just be closing it.
    is_kept: bool,
    /// May be sent twice (RFC 9110 section 9.2.2), and has no body.
    repeatable: bool,
    /// The request's head, then pieces of its body.
    out: Vec<u8>,
    sent: usize,
    head_length: usize,
    request: Decoder,
    request_chunked: bool,
    answer: Answer,
    stride: Stride,
    wish: Wish,
    record: Box<RequestRecord>,
    started: Instant,
    pass: Option<Pass>,
}

/// How far the answer has come.
enum Answer {
    /// What has arrived of its head.
    Head(Vec<u8>),
    Body {
        decoder: Decoder,
        chunked: bool,
        keeps: bool,
        closes: bool,
    },
}

/// What ends an exchange.
enum Ended {
    /// The answer is sent.
    Whole,
    /// The connections are one tunnel now; these octets came first.
    Switched(Vec<u8>),
    /// There is no answer, and nothing of one was sent.
    Nothing(ExchangeError),
    /// There is none in time.
    Silent,
    /// Something broke when a part of the answer was sent.
    Broken(io::Error),
}

impl Exchange {
    #[allow(clippy::too_many_arguments, reason = "made in one place, of what its caller found out")]
    pub(super) fn new(
        route: Arc<Route>,
        // The proof that it may be made.
        _admission: Admission,
        out: Vec<u8>,
        framing: Framing,
        repeatable: bool,
        wish: Wish,
        record: Box<RequestRecord>,
        started: Instant,
        pass: Option<Pass>,
    ) -> Self {
        Exchange {
            route,
            link: None,
            is_kept: false,
            repeatable,
            head_length: out.len(),
            out,
            sent: 0,
            request: Decoder::new(framing),
            request_chunked: framing == Framing::Chunked,
            answer: Answer::Head(Vec::new()),
            stride: Stride::default(),
            wish,
            record,
            started,
            pass,
        }
    }

    /// Makes the exchange, records it, and says how the connection goes on.
    pub(super) async fn run(mut self: Box<Self>, connection: &Connection, socket: &mut TlsSocket) -> After {
        Counters::add(&connection.server.counters.requests_open);
        let route = Arc::clone(&self.route);
        let Handler::Upstream(upstream) = &*route.handler else { return After::Abort };
        let mut after = self.exchange(connection, upstream, socket).await;
        Counters::remove(&connection.server.counters.requests_open);
        if self.record.duration.is_zero() {
            self.record.duration = self.started.elapsed();
        }
        drop(self.pass.take());
        if after == After::Next && !self.request.is_done() {
            after = After::Linger;
        }
        (connection.server.log)(&AccessRecord::Request(self.record));
        after
    }

    async fn exchange(
        &mut self,
        connection: &Connection,
        upstream: &Upstream,
        socket: &mut TlsSocket,
    ) -> After {
        self.link = upstream.take_idle(self.started);
        self.is_kept = self.link.is_some();
        loop {
            if self.link.is_none() {
                match Box::pin(upstream.connect()).await {
                    Ok(opened) => self.link = Some(opened),
                    Err(error) => {
                        let page = upstream.unavailable(self.wish.wanted, &error.into());
                        return self.give_up(connection, socket, page).await;
                    }
                }
            }
            if self.wish.expects_continue {
                self.wish.expects_continue = false;
                let said = poll_fn(|cx| Poll::Ready(socket.send(cx, &[b"HTTP/1.1 100 Continue\r\n\r\n"])));
                if said.await.is_err() {
                    return After::Abort;
                }
            }
            match self.is_kept {
                // Nothing has taken time yet.
                true => connection.watch().arm_from(self.started, upstream.silence_allowed()),
                false => connection.watch().arm(upstream.silence_allowed()),
            }
            match poll_fn(|cx| self.poll(connection, socket, cx)).await {
                Ended::Whole => {
                    self.record.complete = true;
                    return self.wind_up();
                }
                Ended::Switched(first) => return self.tunnel(connection, socket, first).await,
                Ended::Nothing(ExchangeError::Broken(error)) if self.is_kept && self.may_repeat() => {
                    tracing::debug!(%error, "a kept connection had ended; the request is sent again");
                    self.link = None;
                    self.is_kept = false;
                    self.sent = 0;
                }
                Ended::Nothing(error) => {
                    let page = upstream.unavailable(self.wish.wanted, &error);
                    return self.give_up(connection, socket, page).await;
                }
                Ended::Silent => {
                    let limit = upstream.silence_allowed();
                    tracing::warn!(upstream = upstream.name(), "no answer within {limit:?}");
                    let page = upstream::silent(self.wish.wanted);
                    return self.give_up(connection, socket, page).await;
                }
                Ended::Broken(error) => {
                    tracing::debug!(address = %connection.address, %error, "an answer broke off");
                    return After::Abort;
                }
            }
        }
    }

    /// Whether nothing was lost with the connection: the request may be repeated, or not one octet of it was sent.
    fn may_repeat(&self) -> bool {
        let is_whole = self.out.len() == self.head_length;
        matches!(&self.answer, Answer::Head(octets) if octets.is_empty())
            && is_whole
            && (self.repeatable || self.sent == 0)
    }

    /// Gives the connection to the upstream back, where it is at a request's end.
    fn wind_up(&mut self) -> After {
        let Answer::Body { decoder, keeps, closes, .. } = &self.answer else { return After::Abort };
        let (keeps, closes) = (*keeps && decoder.is_done(), *closes);
        let now = Instant::now();
        self.record.duration = now.saturating_duration_since(self.started);
        if let Some((key, link)) = self.link.take()
            && keeps
            && self.request.is_done()
            && self.sent == self.out.len()
        {
            pool::give_back(key, link, now);
        }
        match (closes, self.request.is_done()) {
            (false, _) => After::Next,
            (true, true) => After::Close,
            (true, false) => After::Linger,
        }
    }

    /// Answers with a page, after which the connection goes on only if the request was read.
    async fn give_up(
        &mut self,
        connection: &Connection,
        socket: &mut TlsSocket,
        page: Response<AnswerBody>,
    ) -> After {
        self.link = None;
        self.record.status = page.status().as_u16();
        let closes = self.wish.closes || !self.request.is_done() || connection.watch().is_draining();
        let manner = local::Manner { minor: self.wish.minor, is_head: self.wish.is_head, closes };
        match Box::pin(local::send(connection, socket, page, manner)).await {
            Ok(bytes) => {
                self.record.bytes = bytes;
                self.record.complete = true;
                if closes { After::Linger } else { After::Next }
            }
            Err(_) => After::Abort,
        }
    }

    async fn tunnel(&mut self, connection: &Connection, socket: &mut TlsSocket, first: Vec<u8>) -> After {
        let Some((_, mut link)) = self.link.take() else { return After::Abort };
        if !first.is_empty() {
            self.record.bytes += first.len() as u64;
            let sent = poll_fn(|cx| Poll::Ready(socket.send(cx, &[&first])));
            if sent.await.is_err() {
                return After::Abort;
            }
        }
        let idle = connection.server.limits.body_idle_timeout;
        connection.watch().arm(idle);
        let mut relay = Relay::default();
        let ended = {
            let watch = connection.watch();
            let mut sides = Sides { socket, link: &mut link, watch, idle: Some(idle) };
            poll_fn(|cx| relay.poll(&mut sides, cx)).await
        };
        self.record.bytes += relay.down;
        self.record.complete = ended.is_ok();
        if ended.is_ok() { After::Close } else { After::Abort }
    }

    /// Moves what can be moved, both ways.
    fn poll(&mut self, connection: &Connection, socket: &mut TlsSocket, cx: &mut Context<'_>) -> Poll<Ended> {
        // An upstream may answer before it has read the request, and then not want the rest: so trouble with sending
        // counts only where there is nothing to read.
        let trouble = match self.poll_up(connection, socket, cx) {
            Poll::Ready(Err(Side::Client(error))) => return Poll::Ready(self.broken(error)),
            Poll::Ready(Err(Side::Upstream(error))) => Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        };
        match self.poll_down(connection, socket, cx) {
            Poll::Ready(ended) => Poll::Ready(match (ended, trouble) {
                (Ended::Nothing(ExchangeError::Broken(error)), Some(first))
                    if error.kind() == io::ErrorKind::UnexpectedEof =>
                {
                    Ended::Nothing(ExchangeError::Broken(first))
                }
                (ended, _) => ended,
            }),
            Poll::Pending => match trouble {
                Some(error) => Poll::Ready(self.upstream_broke(error)),
                None if connection.watch().has_expired() => Poll::Ready(match &self.answer {
                    Answer::Head(_) => Ended::Silent,
                    Answer::Body { .. } => Ended::Broken(io::ErrorKind::TimedOut.into()),
                }),
                None => Poll::Pending,
            },
        }
    }

    /// The client is gone, or its request is none.
    fn broken(&self, error: io::Error) -> Ended {
        match (&self.answer, error.kind()) {
            (Answer::Head(_), io::ErrorKind::InvalidInput) => Ended::Nothing(ExchangeError::Request(error)),
            _ => Ended::Broken(error),
        }
    }

    fn upstream_broke(&self, error: io::Error) -> Ended {
        match self.answer {
            Answer::Head(_) => Ended::Nothing(ExchangeError::Broken(error)),
            Answer::Body { .. } => Ended::Broken(error),
        }
    }

    /// Sends the request, and its body as it arrives.
    fn poll_up(
        &mut self,
        connection: &Connection,
        socket: &mut TlsSocket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Side>> {
        let Some((_, link)) = &mut self.link else { return Poll::Ready(Ok(())) };
        loop {
            while self.sent < self.out.len() {
                let count = ready!(link.poll_write(cx, &self.out[self.sent..])).map_err(Side::Upstream)?;
                self.sent += count;
                if self.sent == self.out.len() && !self.request.is_done() {
                    self.out.clear();
                    self.sent = 0;
                    self.head_length = usize::MAX;
                }
            }
            if self.request.is_done() {
                return link.poll_flush(cx).map_err(Side::Upstream);
            }
            if socket.plain().is_empty() {
                match socket.poll_fill(cx).map_err(Side::Client)? {
                    Poll::Ready(0) => {
                        return Poll::Ready(Err(Side::Client(io::ErrorKind::UnexpectedEof.into())));
                    }
                    Poll::Ready(_) => {}
                    Poll::Pending => {
                        let _ = link.poll_flush(cx).map_err(Side::Upstream)?;
                        return Poll::Pending;
                    }
                }
            }
            let limits = &connection.server.limits;
            connection.watch().arm(match &*self.route.handler {
                Handler::Upstream(upstream) => limits.body_idle_timeout.min(upstream.silence_allowed()),
                _ => limits.body_idle_timeout,
            });
            let (count, piece) = self
                .request
                .next(socket.plain())
                .map_err(|error| Side::Client(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
            let mut was_taken = false;
            if self.request_chunked {
                if !piece.is_empty() {
                    write_chunk(&mut self.out, piece);
                }
                if self.request.is_done() {
                    write_last_chunk(&mut self.out, &self.request.trailers_to_pass(false));
                }
            } else {
                // Straight from where it was decrypted; only what is not taken at once is kept.
                let taken = match link.poll_write(cx, piece) {
                    Poll::Ready(taken) => taken.map_err(Side::Upstream)?,
                    Poll::Pending => 0,
                };
                self.out.extend_from_slice(&piece[taken..]);
                was_taken = taken == piece.len();
            }
            socket.learn(was_taken);
            socket.take(count);
        }
    }

    /// Reads the answer, and sends it on.
    fn poll_down(
        &mut self,
        connection: &Connection,
        socket: &mut TlsSocket,
        cx: &mut Context<'_>,
    ) -> Poll<Ended> {
        loop {
            let waits_for_answer = matches!(self.answer, Answer::Head(_)) && socket.has_tickets_alone();
            if !waits_for_answer && let Err(error) = ready!(poll_sent(connection, socket, cx)) {
                return Poll::Ready(Ended::Broken(error));
            }
            if let Answer::Body { decoder, .. } = &self.answer
                && decoder.is_done()
            {
                return Poll::Ready(Ended::Whole);
            }
            let Some((key, mut link)) = self.link.take() else {
                return Poll::Ready(Ended::Broken(io::ErrorKind::NotConnected.into()));
            };
            let draining = connection.watch().is_draining();
            let fed =
                poll_link(&mut link, self.stride, cx, |cx, octets| self.feed(socket, octets, draining, cx));
            self.link = Some((key, link));
            match fed {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(self.upstream_broke(error)),
                Poll::Ready(Ok(Some(ended))) => return Poll::Ready(ended),
                Poll::Ready(Ok(None)) => {
                    self.stride.learn(socket.backlog() == 0);
                    if matches!(&self.answer, Answer::Body { decoder, .. } if !decoder.is_done()) {
                        connection.watch().arm(connection.server.limits.body_idle_timeout);
                    }
                }
            }
        }
    }

    /// Takes octets of the answer, none at the upstream's end, and sends on what they are. Something where that ends
    /// the exchange.
    fn feed(
        &mut self,
        socket: &mut TlsSocket,
        octets: &[u8],
        draining: bool,
        cx: &mut Context<'_>,
    ) -> Option<Ended> {
        OUT.with_borrow_mut(|out| {
            out.clear();
            match &mut self.answer {
                Answer::Body { .. } => self.feed_body(socket, out, octets, cx),
                Answer::Head(_) if octets.is_empty() => {
                    Some(self.upstream_broke(io::ErrorKind::UnexpectedEof.into()))
                }
                Answer::Head(before) if before.is_empty() => {
                    self.feed_head(socket, out, octets, draining, cx)
                }
                Answer::Head(before) => {
                    let mut all = std::mem::take(before);
                    all.extend_from_slice(octets);
                    self.feed_head(socket, out, &all, draining, cx)
                }
            }
        })
    }

    fn feed_head(
        &mut self,
        socket: &mut TlsSocket,
        out: &mut Vec<u8>,
        mut octets: &[u8],
        draining: bool,
        cx: &mut Context<'_>,
    ) -> Option<Ended> {
        let unreadable = |text: String| Some(Ended::Nothing(ExchangeError::Answer(text)));
        loop {
            let read = FIELDS.with_borrow_mut(|fields| {
                let Some(head) = head::response(octets, fields).map_err(|error| error.to_string())? else {
                    return Ok(None);
                };
                // What is informational is for us: "100 Continue" was said, and nothing else was asked for.
                let is_final = head.status >= 200 || head.status == 101;
                if is_final {
                    self.begin_answer(out, octets, &head, fields, draining)?;
                }
                Ok::<_, String>(Some((head, is_final)))
            });
            let (head, is_final) = match read {
                Ok(Some(read)) => read,
                Ok(None) if octets.len() > HEAD => return unreadable("its head is too long".to_owned()),
                Ok(None) => {
                    self.answer = Answer::Head(octets.to_vec());
                    return None;
                }
                Err(text) => return unreadable(text),
            };
            octets = &octets[head.length..];
            if head.status == 101 {
                self.record.status = 101;
                return match socket.send(cx, &[out]) {
                    Ok(()) => Some(Ended::Switched(octets.to_vec())),
                    Err(error) => Some(Ended::Broken(error)),
                };
            }
            if is_final {
                self.record.status = head.status;
                return self.feed_body(socket, out, octets, cx);
            }
            if octets.is_empty() {
                self.answer = Answer::Head(Vec::new());
                return None;
            }
        }
    }

    /// Writes the head that the client gets, and sets the answer's body up.
    fn begin_answer(
        &mut self,
        out: &mut Vec<u8>,
        bytes: &[u8],
        head: &ResponseHead,
        fields: &[Field],
        draining: bool,
    ) -> Result<(), String> {
        let said = Said::read(bytes, head, fields, self.wish.is_head)?;
        let switches = said.switches();
        if switches && !self.wish.asks_upgrade {
            return Err("it switched protocols without being asked".to_owned());
        }
        let Said { framing, keeps, .. } = said;
        let is_open = matches!(framing, Framing::Chunked | Framing::UntilClose);
        let chunked = is_open && self.wish.minor == 1;
        let closes = self.wish.closes || draining || (is_open && !chunked) || !self.request.is_done();

        out.extend_from_slice(b"HTTP/1.1 ");
        let status = [head.status / 100, head.status / 10 % 10, head.status % 10];
        out.extend(status.map(|digit| b'0' + u8::try_from(digit).unwrap_or(0)));
        out.push(b' ');
        out.extend_from_slice(&bytes[head.reason.clone()]);
        out.extend_from_slice(b"\r\n");
        for field in fields {
            let (name, value) = (field.name(bytes), field.value(bytes));
            if !said.ends_here(name) {
                for part in [name, b": ", value, b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
        }
        if switches {
            out.extend_from_slice(b"Connection: upgrade\r\n");
        } else {
            if chunked {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            if closes {
                out.extend_from_slice(b"Connection: close\r\n");
            } else if self.wish.minor == 0 {
                out.extend_from_slice(b"Connection: keep-alive\r\n");
            }
        }
        out.extend_from_slice(b"\r\n");
        self.answer = Answer::Body { decoder: Decoder::new(framing), chunked, keeps, closes };
        Ok(())
    }

    /// Sends `out`, which holds the head where it was not sent yet, and the body that is in `octets`.
    fn feed_body(
        &mut self,
        socket: &mut TlsSocket,
        out: &mut Vec<u8>,
        octets: &[u8],
        cx: &mut Context<'_>,
    ) -> Option<Ended> {
        let Answer::Body { decoder, chunked, keeps, .. } = &mut self.answer else { return None };
        let mut at = 0;
        if octets.is_empty() && out.is_empty() {
            if !decoder.may_end() {
                return Some(Ended::Broken(io::ErrorKind::UnexpectedEof.into()));
            }
            decoder.end();
        }
        let mut sent = Ok(());
        loop {
            let (count, piece) = match decoder.next(&octets[at..]) {
                Ok(next) => next,
                Err(error) => return Some(Ended::Broken(io::Error::new(io::ErrorKind::InvalidData, error))),
            };
            at += count;
            self.record.bytes += piece.len() as u64;
            if piece.is_empty() {
                break;
            }
            if *chunked {
                write_chunk(out, piece);
            } else if out.len() + piece.len() <= RECORD {
                out.extend_from_slice(piece);
            } else {
                sent = sent.and_then(|()| socket.send(cx, &[out, piece]));
                out.clear();
            }
        }
        if decoder.is_done() {
            // What follows an answer was not asked for.
            *keeps &= at == octets.len();
            if *chunked {
                write_last_chunk(out, &decoder.trailers_to_pass(true));
            }
        }
        if !out.is_empty() {
            sent = sent.and_then(|()| socket.send(cx, &[out]));
        }
        sent.err().map(Ended::Broken)
    }
}

/// What fits into one TLS record is put into one.
const RECORD: usize = 16 * 1024;

/// Which connection broke.
enum Side {
    Client(io::Error),
    Upstream(io::Error),
}
