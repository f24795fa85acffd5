//! The short way of a stream: a request that came over HTTP/2 to an upstream that speaks HTTP/1.1, and the answer back,
//! in the task of the client's connection. Messages are not taken apart further than is needed to know what they say.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::Response;

use super::entry::Entry;
use super::frame::ErrorCode;
use super::hpack;
use super::stream::{Line, Turn};
use crate::serve::body::AnswerBody;
use crate::serve::connection::Connection;
use crate::serve::http1::answer::Said;
use crate::serve::http1::body::{Decoder, write_chunk, write_last_chunk};
use crate::serve::http1::head::{self, Field, Framing, ResponseHead};
use crate::serve::pages::Wanted;
use crate::serve::relay::{READ, poll_link_at_most};
use crate::serve::upstream::{self, ConnectError, ExchangeError, Link, Upstream, pool};
use crate::serve::{Handler, Route};
use crate::snapshot::Admission;

/// The longest head of an answer.
const HEAD: usize = 256 * 1024;
/// What is read at a time of an answer whose head has not come: what it brings of the body may have to be kept until the
/// client opens its window.
const HEAD_READ: usize = 16 * 1024;
/// What may be sent of one answer before other streams have their turn.
const TURN: usize = READ;

thread_local! {
    static FIELDS: RefCell<Vec<Field>> = RefCell::default();
}

type Opening = Pin<Box<dyn Future<Output = Result<(pool::Key, Link), ConnectError>> + Send>>;

/// What matters of a request for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) is_head: bool,
    pub(super) wanted: Wanted,
    pub(super) expects_continue: bool,
    /// May be sent twice (RFC 9110 section 9.2.2), and has no body.
    pub(super) repeatable: bool,
}

/// One request and its answer.
pub(super) struct Exchange {
    route: Arc<Route>,
    opening: Option<Opening>,
    link: Option<(pool::Key, Link)>,
    /// Whether the connection was used before, so that the upstream may just be closing it.
    is_kept: bool,
    /// The request's head, then what has arrived of its body; and how much of that was sent.
    up: Vec<u8>,
    sent: usize,
    any_sent: bool,
    has_body: bool,
    chunked: bool,
    /// The client's request is whole.
    is_ended: bool,
    /// Octets of the body that are in `up`, and those that have left it since the client was last told.
    waiting: usize,
    freed: usize,
    answer: Answer,
    /// What was read of the answer's body and waits for the client's window, from here on.
    rest: Vec<u8>,
    rest_at: usize,
    wish: Wish,
    entry: Option<Entry>,
    moved: bool,
}

/// How far the answer has come.
enum Answer {
    /// What has arrived of its head.
    Head(Vec<u8>),
    Body {
        decoder: Decoder,
        keeps: bool,
        /// The head was the whole answer.
        is_bare: bool,
    },
}

/// What a turn of an exchange leads to.
pub(super) enum Step {
    Turn(Turn),
    /// There is no answer, and nothing of one was sent; this page takes its place.
    Page(Box<Response<AnswerBody>>),
}

/// What comes of reading an answer.
enum Down {
    Turn(Turn),
    Nothing(ExchangeError),
    Broken(io::Error),
}

impl Exchange {
    #[allow(clippy::too_many_arguments, reason = "made in one place, of what its caller found out")]
    pub(super) fn new(
        route: Arc<Route>,
        // The proof that it may be made.
        _admission: Admission,
        head: Vec<u8>,
        framing: Framing,
        ends_stream: bool,
        wish: Wish,
        entry: Entry,
    ) -> Self {
        Exchange {
            route,
            opening: None,
            link: None,
            is_kept: false,
            up: head,
            sent: 0,
            any_sent: false,
            has_body: framing != Framing::None,
            chunked: framing == Framing::Chunked,
            is_ended: ends_stream,
            waiting: 0,
            freed: 0,
            answer: Answer::Head(Vec::new()),
            rest: Vec::new(),
            rest_at: 0,
            wish,
            entry: Some(entry),
            moved: false,
        }
    }

    /// Takes a piece of the request's body.
    pub(super) fn give(&mut self, data: &[u8]) {
        if !self.has_body {
            // It has none: the piece is empty.
            return;
        }
        if self.sent > READ {
            self.up.drain(..self.sent);
            self.sent = 0;
        }
        if !self.chunked {
            self.up.extend_from_slice(data);
        } else if !data.is_empty() {
            write_chunk(&mut self.up, data);
        }
        self.waiting += data.len();
    }

    /// The request is whole. `trailers` are lines that may be passed on.
    pub(super) fn end(&mut self, trailers: &[u8]) {
        self.is_ended = true;
        if self.chunked {
            write_last_chunk(&mut self.up, trailers);
        }
    }

    /// The octets of the body that were passed on since this was last asked.
    pub(super) fn take_freed(&mut self) -> usize {
        std::mem::take(&mut self.freed)
    }

    /// Whether anything was sent or received since this was last asked.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// The octets of the body that were not passed on.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn take_entry(&mut self) -> Option<Entry> {
        self.entry.take()
    }

    pub(super) fn is_head(&self) -> bool {
        self.wish.is_head
    }

    /// How long it may stand still.
    pub(super) fn limit(&self, connection: &Connection) -> Duration {
        let idle = connection.server.limits.body_idle_timeout;
        match (&self.answer, &*self.route.handler) {
            (Answer::Head(_), Handler::Upstream(upstream)) => upstream.silence_allowed(),
            _ => idle,
        }
    }

    /// It stood still for too long.
    pub(super) fn expire(&mut self) -> Step {
        self.link = None;
        match (&self.answer, &*self.route.handler) {
            (Answer::Head(_), Handler::Upstream(upstream)) => {
                let limit = upstream.silence_allowed();
                tracing::warn!(upstream = upstream.name(), "no answer within {limit:?}");
                Step::Page(Box::new(upstream::silent(self.wish.wanted)))
            }
            _ => Step::Turn(Turn::Broken(ErrorCode::InternalError)),
        }
    }

    /// Moves what can be moved, both ways.
    pub(super) fn poll(&mut self, line: &mut Line<'_>, cx: &mut Context<'_>) -> Step {
        let route = Arc::clone(&self.route);
        let Handler::Upstream(upstream) = &*route.handler else {
            return Step::Turn(Turn::Broken(ErrorCode::InternalError));
        };
        loop {
            match self.poll_open(upstream, cx) {
                Poll::Pending => return Step::Turn(Turn::Waits),
                Poll::Ready(Err(error)) => {
                    let page = upstream.unavailable(self.wish.wanted, &error.into());
                    return Step::Page(Box::new(page));
                }
                Poll::Ready(Ok(())) => {}
            }
            if std::mem::take(&mut self.wish.expects_continue) {
                let block = line.wire.begin_block(line.id);
                hpack::write_status(&mut line.wire.out, 100);
                line.wire.end_block(&block, false);
            }
            // An upstream may answer before it has read the request, and then not want the rest: so trouble with
            // sending counts only where there is nothing to read.
            let trouble = match self.poll_up(cx) {
                Poll::Ready(Err(error)) => Some(error),
                Poll::Ready(Ok(())) | Poll::Pending => None,
            };
            let down = match (self.poll_down(line, cx), trouble) {
                (Down::Turn(Turn::Waits), Some(error)) => self.upstream_broke(error),
                (Down::Nothing(ExchangeError::Broken(error)), Some(first))
                    if error.kind() == io::ErrorKind::UnexpectedEof =>
                {
                    Down::Nothing(ExchangeError::Broken(first))
                }
                (down, _) => down,
            };
            match down {
                Down::Turn(turn) => return Step::Turn(turn),
                Down::Nothing(ExchangeError::Broken(error)) if self.is_kept && self.may_repeat() => {
                    tracing::debug!(%error, "a kept connection had ended; the request is sent again");
                    self.link = None;
                    self.is_kept = false;
                    self.sent = 0;
                    self.opening = Some(open(&self.route));
                }
                Down::Nothing(error) => {
                    self.link = None;
                    return Step::Page(Box::new(upstream.unavailable(self.wish.wanted, &error)));
                }
                Down::Broken(error) => {
                    tracing::debug!(%error, "an answer broke off");
                    self.link = None;
                    return Step::Turn(Turn::Broken(ErrorCode::InternalError));
                }
            }
        }
    }

    /// Takes a kept connection, or opens one.
    fn poll_open(&mut self, upstream: &Upstream, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        if self.link.is_some() {
            return Poll::Ready(Ok(()));
        }
        if self.opening.is_none() {
            self.link = upstream.take_idle(Instant::now());
            self.is_kept = self.link.is_some();
            if self.is_kept {
                return Poll::Ready(Ok(()));
            }
        }
        let opening = self.opening.get_or_insert_with(|| open(&self.route));
        let opened = ready!(opening.as_mut().poll(cx));
        self.opening = None;
        self.link = Some(opened?);
        self.moved = true;
        Poll::Ready(Ok(()))
    }

    /// Whether nothing was lost with the connection: the request may be repeated, or not one octet of it was sent.
    fn may_repeat(&self) -> bool {
        matches!(&self.answer, Answer::Head(octets) if octets.is_empty())
            && (self.wish.repeatable || !self.any_sent)
    }

    fn upstream_broke(&self, error: io::Error) -> Down {
        match self.answer {
            Answer::Head(_) => Down::Nothing(ExchangeError::Broken(error)),
            Answer::Body { .. } => Down::Broken(error),
        }
    }

    /// Sends what there is of the request.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((_, link)) = &mut self.link else { return Poll::Ready(Ok(())) };
        while self.sent < self.up.len() {
            let count = ready!(link.poll_write(cx, &self.up[self.sent..]))?;
            self.sent += count;
            self.any_sent = true;
            self.moved = true;
            let freed = count.min(self.waiting);
            self.waiting -= freed;
            self.freed += freed;
        }
        if self.has_body {
            // Sent once, and never again.
            self.up.clear();
            self.sent = 0;
        }
        link.poll_flush(cx)
    }

    /// Reads the answer, and sends it on.
    fn poll_down(&mut self, line: &mut Line<'_>, cx: &mut Context<'_>) -> Down {
        let mut octets_read = 0;
        loop {
            if !self.rest.is_empty() {
                let sent = line.data(&self.rest[self.rest_at..]);
                self.rest_at += sent;
                self.moved |= sent > 0;
                if self.rest_at < self.rest.len() {
                    return Down::Turn(Turn::Blocked);
                }
                self.rest = Vec::new();
                self.rest_at = 0;
            }
            let most = match &self.answer {
                Answer::Body { decoder, .. } if decoder.is_done() => return self.finish(line),
                _ if line.wire.is_full() || octets_read >= TURN => return Down::Turn(Turn::Again),
                Answer::Head(_) => HEAD_READ,
                Answer::Body { .. } => match line.room() {
                    0 => return Down::Turn(Turn::Blocked),
                    room => room.min(READ),
                },
            };
            let Some((key, mut link)) = self.link.take() else {
                return Down::Broken(io::ErrorKind::NotConnected.into());
            };
            let fed = poll_link_at_most(&mut link, most, cx, |_, octets| {
                octets_read += octets.len();
                self.feed(line, octets)
            });
            self.link = Some((key, link));
            match fed {
                Poll::Pending => return Down::Turn(Turn::Waits),
                Poll::Ready(Err(error)) => return self.upstream_broke(error),
                Poll::Ready(Ok(Some(down))) => return down,
                Poll::Ready(Ok(None)) => self.moved = true,
            }
        }
    }

    /// Takes octets of the answer, none at the upstream's end, and sends on what they are. Something where that ends
    /// the exchange.
    fn feed(&mut self, line: &mut Line<'_>, octets: &[u8]) -> Option<Down> {
        match &mut self.answer {
            Answer::Body { .. } => self.feed_body(line, octets),
            Answer::Head(_) if octets.is_empty() => {
                Some(self.upstream_broke(io::ErrorKind::UnexpectedEof.into()))
            }
            Answer::Head(before) if before.is_empty() => self.feed_head(line, octets),
            Answer::Head(before) => {
                let mut all = std::mem::take(before);
                all.extend_from_slice(octets);
                self.feed_head(line, &all)
            }
        }
    }

    fn feed_head(&mut self, line: &mut Line<'_>, mut octets: &[u8]) -> Option<Down> {
        let unreadable = |text: String| Some(Down::Nothing(ExchangeError::Answer(text)));
        loop {
            let read = FIELDS.with_borrow_mut(|fields| {
                let Some(head) = head::response(octets, fields).map_err(|error| error.to_string())? else {
                    return Ok(None);
                };
                // What is informational is for us: "100 Continue" was said, and nothing else was asked for.
                if head.status == 101 {
                    return Err("it switched protocols without being asked".to_owned());
                }
                if head.status >= 200 {
                    self.begin_answer(line, octets, &head, fields)?;
                }
                Ok::<_, String>(Some(head))
            });
            let head = match read {
                Ok(Some(head)) => head,
                Ok(None) if octets.len() > HEAD => return unreadable("its head is too long".to_owned()),
                Ok(None) => {
                    self.answer = Answer::Head(octets.to_vec());
                    return None;
                }
                Err(text) => return unreadable(text),
            };
            octets = &octets[head.length..];
            if head.status >= 200 {
                // Where nothing is left there is nothing to feed: an empty piece would be the upstream's end.
                return if octets.is_empty() { None } else { self.feed_body(line, octets) };
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
        line: &mut Line<'_>,
        bytes: &[u8],
        head: &ResponseHead,
        fields: &[Field],
    ) -> Result<(), String> {
        let said = Said::read(bytes, head, fields, self.wish.is_head)?;
        let Said { framing, keeps, .. } = said;
        let is_bare = framing == Framing::None;
        let block = line.wire.begin_block(line.id);
        hpack::write_status(&mut line.wire.out, head.status);
        for field in fields {
            let (name, value) = (field.name(bytes), field.value(bytes));
            if !said.ends_here(name) {
                hpack::write_field(&mut line.wire.out, name, value);
            }
        }
        line.wire.end_block(&block, is_bare);
        if let Some(entry) = &mut self.entry {
            entry.status(head.status);
        }
        self.answer = Answer::Body { decoder: Decoder::new(framing), keeps, is_bare };
        Ok(())
    }

    /// Sends on what is the body of `octets`, as far as the windows let it pass.
    fn feed_body(&mut self, line: &mut Line<'_>, octets: &[u8]) -> Option<Down> {
        let Answer::Body { decoder, keeps, .. } = &mut self.answer else { return None };
        if octets.is_empty() {
            if !decoder.may_end() {
                return Some(Down::Broken(io::ErrorKind::UnexpectedEof.into()));
            }
            decoder.end();
            return None;
        }
        let mut at = 0;
        loop {
            let (count, piece) = match decoder.next(&octets[at..]) {
                Ok(next) => next,
                Err(error) => return Some(Down::Broken(io::Error::new(io::ErrorKind::InvalidData, error))),
            };
            at += count;
            if piece.is_empty() {
                break;
            }
            if let Some(entry) = &mut self.entry {
                entry.count(piece.len());
            }
            let sent = if self.rest.is_empty() { line.data(piece) } else { 0 };
            self.rest.extend_from_slice(&piece[sent..]);
        }
        if decoder.is_done() {
            // What follows an answer was not asked for.
            *keeps &= at == octets.len();
        }
        None
    }

    /// Ends the stream, and gives the connection to the upstream back where it is at a request's end.
    fn finish(&mut self, line: &mut Line<'_>) -> Down {
        let Answer::Body { decoder, keeps, is_bare } = &self.answer else {
            return Down::Turn(Turn::Broken(ErrorCode::InternalError));
        };
        if !is_bare {
            let trailers = decoder.trailers_to_pass(true);
            if trailers.is_empty() {
                line.wire.end_stream(line.id);
            } else {
                let block = line.wire.begin_block(line.id);
                for line_of in trailers.split_inclusive(|byte| *byte == b'\n') {
                    let Ok(field) = head::field(line_of, 0..line_of.len().saturating_sub(2)) else {
                        continue;
                    };
                    hpack::write_field(&mut line.wire.out, field.name(line_of), field.value(line_of));
                }
                line.wire.end_block(&block, true);
            }
        }
        if let Some(entry) = &mut self.entry {
            entry.complete();
        }
        let is_sent = self.is_ended && self.sent == self.up.len();
        if let Some((key, link)) = self.link.take()
            && *keeps
            && is_sent
        {
            pool::give_back(key, link, Instant::now());
        }
        Down::Turn(Turn::Over)
    }
}

/// Opens a connection to the route's upstream.
fn open(route: &Arc<Route>) -> Opening {
    let route = Arc::clone(route);
    Box::pin(async move {
        match &*route.handler {
            Handler::Upstream(upstream) => upstream.connect().await,
            // Only such routes are forwarded.
            _ => Err(ConnectError::Timeout(Duration::ZERO)),
        }
    })
}
