//! The long way of a stream: what answers it takes and gives messages of the `http` crate. Pages, files, services of
//! other crates, and upstreams that speak HTTP/2 are answered so.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http::request::Parts;
use http::{HeaderMap, Response, header};
use hyper::body::{Body as _, Frame};

use super::entry::Entry;
use super::frame::ErrorCode;
use super::hpack;
use super::stream::{Line, Turn};
use crate::serve::body::{AnswerBody, RequestBody};
use crate::serve::connection::{self, Visit};
use crate::serve::http1::pipe::{Inlet, pipe};
use crate::serve::{Route, headers};
use crate::snapshot::Admission;

/// What may be sent of one answer before other streams have their turn.
const TURN: usize = 64 * 1024;

type Responding = Pin<Box<dyn Future<Output = Response<AnswerBody>> + Send>>;

/// A request that is answered here.
pub(super) struct Local {
    responding: Option<Responding>,
    /// Where the request's body goes, until it has ended or nobody takes it.
    inlet: Option<Inlet>,
    /// Octets of it that were put in and not taken out, and those taken since the client was last told.
    waiting: usize,
    freed: usize,
    expects_continue: bool,
    answer: Option<Response<AnswerBody>>,
    body: AnswerBody,
    /// What was taken from the body and waits for the client's window.
    rest: Bytes,
    /// The octets that the body still has, where that is known.
    left: Option<u64>,
    /// All of the body was taken, and whether the stream was ended with the head.
    is_over: bool,
    is_bare: bool,
    is_head: bool,
    entry: Option<Entry>,
    moved: bool,
}

impl Local {
    /// An answer that is there.
    pub(super) fn page(answer: Response<AnswerBody>, is_head: bool, entry: Option<Entry>) -> Self {
        Local {
            responding: None,
            inlet: None,
            waiting: 0,
            freed: 0,
            expects_continue: false,
            answer: Some(answer),
            body: AnswerBody::Empty,
            rest: Bytes::new(),
            left: None,
            is_over: false,
            is_bare: false,
            is_head,
            entry,
            moved: false,
        }
    }

    /// One that the route's handler makes. A request that does not end with its head has a body, of a length that it
    /// may have told.
    pub(super) fn responding(
        route: Arc<Route>,
        admission: Admission,
        parts: Parts,
        body: Option<Option<u64>>,
        expects_continue: bool,
        visit: Visit,
        entry: Entry,
    ) -> Self {
        let is_head = parts.method == http::Method::HEAD;
        let (inlet, body) = match body {
            None => (None, RequestBody::Empty),
            Some(length) => {
                let (inlet, outlet) = pipe();
                (Some(inlet), RequestBody::Handed(outlet, length))
            }
        };
        let responding: Responding =
            Box::pin(
                async move { connection::respond(&route.handler, &admission, parts, body, &visit).await },
            );
        let mut local = Self::page(Response::new(AnswerBody::Empty), is_head, Some(entry));
        local.answer = None;
        local.responding = Some(responding);
        local.expects_continue = expects_continue && inlet.is_some();
        local.inlet = inlet;
        local
    }

    /// Takes a piece of the request's body.
    pub(super) fn give(&mut self, data: &[u8]) {
        if let Some(inlet) = &self.inlet {
            if !data.is_empty() {
                inlet.put(Ok(Frame::data(Bytes::copy_from_slice(data))));
                self.waiting += data.len();
            }
        } else {
            // Nobody wants it.
            self.freed += data.len();
        }
    }

    /// The request is whole.
    pub(super) fn end(&mut self, trailers: HeaderMap) {
        if let Some(inlet) = self.inlet.take() {
            if !trailers.is_empty() {
                inlet.put(Ok(Frame::trailers(trailers)));
            }
            self.freed += std::mem::take(&mut self.waiting);
        }
    }

    pub(super) fn take_freed(&mut self) -> usize {
        std::mem::take(&mut self.freed)
    }

    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether the handler is still at it: it has limits of its own.
    pub(super) fn is_responding(&self) -> bool {
        self.responding.is_some()
    }

    pub(super) fn poll(&mut self, line: &mut Line<'_>, cx: &mut Context<'_>) -> Turn {
        self.watch_the_pipe(cx);
        if std::mem::take(&mut self.expects_continue) {
            let block = line.wire.begin_block(line.id);
            hpack::write_status(&mut line.wire.out, 100);
            line.wire.end_block(&block, false);
        }
        if let Some(responding) = &mut self.responding {
            match responding.as_mut().poll(cx) {
                Poll::Pending => return Turn::Waits,
                Poll::Ready(answer) => self.answer = Some(answer),
            }
            self.responding = None;
            self.moved = true;
        }
        if let Some(answer) = self.answer.take() {
            self.begin(line, answer);
        }
        let turn = self.poll_body(line, cx);
        self.watch_the_pipe(cx);
        turn
    }

    /// Finds out how much of the request's body was taken.
    fn watch_the_pipe(&mut self, cx: &mut Context<'_>) {
        let Some(inlet) = &self.inlet else { return };
        let waiting = inlet.poll_waiting(cx);
        if waiting.is_none() {
            self.inlet = None;
        }
        let waiting = waiting.unwrap_or(0);
        let taken = self.waiting.saturating_sub(waiting);
        self.waiting = waiting;
        self.freed += taken;
        self.moved |= taken > 0;
    }

    /// Writes the answer's head.
    fn begin(&mut self, line: &mut Line<'_>, answer: Response<AnswerBody>) {
        let (mut parts, body) = answer.into_parts();
        headers::strip_hop_by_hop(&mut parts.headers);
        self.left = body.size_hint().exact();
        let is_bodiless = self.is_head || matches!(parts.status.as_u16(), 204 | 304);
        if let Some(length) = self.left.filter(|_| parts.status != 204 && parts.status != 304)
            && !parts.headers.contains_key(header::CONTENT_LENGTH)
            && !(self.is_head && length == 0)
        {
            parts.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        self.is_bare = is_bodiless || body.is_end_stream();
        let block = line.wire.begin_block(line.id);
        hpack::write_status(&mut line.wire.out, parts.status.as_u16());
        for (name, value) in &parts.headers {
            hpack::write_field(&mut line.wire.out, name.as_str().as_bytes(), value.as_bytes());
        }
        line.wire.end_block(&block, self.is_bare);
        if let Some(entry) = &mut self.entry {
            entry.status(parts.status.as_u16());
        }
        self.is_over = self.is_bare;
        self.moved = true;
        self.body = if self.is_bare { AnswerBody::Empty } else { body };
    }

    fn poll_body(&mut self, line: &mut Line<'_>, cx: &mut Context<'_>) -> Turn {
        let mut octets = 0;
        loop {
            if !self.rest.is_empty() {
                let sent = line.data(&self.rest);
                self.rest.advance(sent);
                self.moved |= sent > 0;
                octets += sent;
                if let Some(entry) = &mut self.entry {
                    entry.count(sent);
                }
                if !self.rest.is_empty() {
                    return Turn::Blocked;
                }
            }
            if self.is_over {
                if !self.is_bare {
                    line.wire.end_stream(line.id);
                }
                return self.complete();
            }
            if line.wire.is_full() || octets >= TURN {
                return Turn::Again;
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Turn::Waits,
                Poll::Ready(None) => self.is_over = true,
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "an answer broke off");
                    return Turn::Broken(reason_of(&*error));
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        if let Some(left) = &mut self.left {
                            *left = left.saturating_sub(data.len() as u64);
                        }
                        // A body of known length is not asked again after its last octet.
                        self.is_over = self.left == Some(0) || self.body.is_end_stream();
                        self.rest = data;
                    }
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        let block = line.wire.begin_block(line.id);
                        for (name, value) in &trailers {
                            hpack::write_field(
                                &mut line.wire.out,
                                name.as_str().as_bytes(),
                                value.as_bytes(),
                            );
                        }
                        line.wire.end_block(&block, true);
                        return self.complete();
                    }
                },
            }
        }
    }

    fn complete(&mut self) -> Turn {
        if let Some(entry) = &mut self.entry {
            entry.complete();
        }
        Turn::Over
    }
}

/// Why an answer broke off, where that is for the client to know: gRPC makes its status of an upstream's own reason.
fn reason_of(error: &(dyn std::error::Error + 'static)) -> ErrorCode {
    let causes = std::iter::successors(Some(error), |error| error.source());
    match causes.filter_map(|cause| cause.downcast_ref::<h2::Error>()).find_map(h2::Error::reason) {
        Some(h2::Reason::CANCEL) => ErrorCode::Cancel,
        Some(h2::Reason::REFUSED_STREAM) => ErrorCode::RefusedStream,
        Some(h2::Reason::ENHANCE_YOUR_CALM) => ErrorCode::EnhanceYourCalm,
        _ => ErrorCode::InternalError,
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // A request that was broken off must not look whole to whom it was handed to.
        if let Some(inlet) = self.inlet.take() {
            inlet.put(Err(io::ErrorKind::ConnectionReset.into()));
        }
    }
}
