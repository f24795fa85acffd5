//! One request and its answer over an HTTP/1.1 connection to an upstream, for a request that came over HTTP/2. One
//! task does both directions: while the answer is read, what is left of the request's body is sent.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::ReadBuf;

use super::link::Link;
use super::{ExchangeError, Upstream, pool};
use crate::serve::body::{AnswerBody, BodyError};
use crate::serve::headers::ForwardedBody;
use crate::serve::http1::body::{Decoder, FORBIDDEN, write_chunk, write_last_chunk};
use crate::serve::http1::head::{self, Framing, FramingHeaders};

/// The longest head of an answer.
const HEAD: usize = 256 * 1024;
/// What is read at a time.
const READ: usize = 64 * 1024;
/// What is buffered of the request's body before the upstream takes it.
const AHEAD: usize = 64 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// A request that is being sent, on a connection.
struct Sending {
    link: Link,
    key: pool::Key,
    out: Vec<u8>,
    sent: usize,
    body: Option<ForwardedBody>,
    chunked: bool,
}

impl Sending {
    /// Sends what can be sent. Ready when all is.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.sent < self.out.len() {
                self.sent += ready!(self.link.poll_write(cx, &self.out[self.sent..]))?;
            }
            self.out.clear();
            self.sent = 0;
            let Some(body) = &mut self.body else { return self.link.poll_flush(cx) };
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if self.chunked && !data.is_empty() => write_chunk(&mut self.out, &data),
                    Ok(data) => self.out.extend_from_slice(&data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        if self.chunked {
                            write_last_chunk(&mut self.out, &lines_of(&trailers));
                        }
                        self.body = None;
                    }
                },
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => {
                    if self.chunked {
                        write_last_chunk(&mut self.out, &[]);
                    }
                    self.body = None;
                }
            }
            if self.out.len() < AHEAD && self.body.is_some() {
                continue;
            }
        }
    }
}

/// The trailers that may be passed on, as lines.
fn lines_of(trailers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in trailers.iter().filter(|(name, _)| !FORBIDDEN.contains(&name.as_str())) {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

impl Upstream {
    /// Sends a request, on a kept connection where there is one. Where a kept connection breaks before the answer
    /// begins, which the upstream's own time-out may cause at any moment, the request is sent again if it may be
    /// repeated (RFC 9110 section 9.2.2) and has no body.
    pub(super) async fn exchange(
        &self,
        parts: Parts,
        body: ForwardedBody,
    ) -> Result<Response<AnswerBody>, ExchangeError> {
        let to_head = parts.method == Method::HEAD;
        let length = body.size_hint().exact();
        let chunked = length.is_none();
        let out = head_of(&parts, length);
        let body = Some(body).filter(|body| !body.is_empty());
        let repeatable =
            body.is_none() && matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if let Some((key, link)) = self.take_idle(Instant::now()) {
            let mut again = repeatable.then(|| out.clone());
            let sending = Sending { link, key, out, sent: 0, body, chunked };
            match answer_to(sending, to_head).await {
                Err(ExchangeError::Broken(_)) if again.is_some() => {
                    let (key, link) = self.connect().await?;
                    let out = again.take().unwrap_or_default();
                    return answer_to(Sending { link, key, out, sent: 0, body: None, chunked }, to_head)
                        .await;
                }
                answer => return answer,
            }
        }
        let (key, link) = self.connect().await?;
        answer_to(Sending { link, key, out, sent: 0, body, chunked }, to_head).await
    }
}

/// The request's head as it is sent.
fn head_of(parts: &Parts, length: Option<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(parts.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in &parts.headers {
        if name != header::CONTENT_LENGTH {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    match length {
        None => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Some(0) if !matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) => {}
        Some(length) => out.extend_from_slice(format!("content-length: {length}\r\n").as_bytes()),
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Reads until the head of the final answer.
async fn answer_to(mut sending: Sending, to_head: bool) -> Result<Response<AnswerBody>, ExchangeError> {
    let mut input = Vec::new();
    let mut fields = Vec::new();
    let unreadable = |error: &dyn std::error::Error| ExchangeError::Answer(error.to_string());
    loop {
        let head = head::response(&input, &mut fields).map_err(|error| unreadable(&error))?;
        let Some(head) = head else {
            if input.len() > HEAD {
                return Err(ExchangeError::Answer("its head is too long".to_owned()));
            }
            std::future::poll_fn(|cx| poll_more(&mut sending, &mut input, cx)).await?;
            continue;
        };
        if head.status == 101 {
            return Err(ExchangeError::Answer("it switched protocols without being asked".to_owned()));
        }
        if head.status < 200 {
            input.drain(..head.length);
            continue;
        }
        let mut framing = FramingHeaders::default();
        let mut keeps = head.minor == 1;
        let mut answer = Response::new(AnswerBody::Empty);
        *answer.status_mut() = StatusCode::from_u16(head.status).map_err(|error| unreadable(&error))?;
        for field in &fields {
            let (name, value) = (field.name(&input), field.value(&input));
            let name = HeaderName::from_bytes(name).map_err(|error| unreadable(&error))?;
            if name == header::TRANSFER_ENCODING {
                framing.transfer_encoding(value, head.minor).map_err(|error| unreadable(&error))?;
            } else if name == header::CONTENT_LENGTH {
                framing.length(value).map_err(|error| unreadable(&error))?;
            } else if name == header::CONNECTION {
                let tokens = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                keeps &= !tokens.clone().any(|token| token.eq_ignore_ascii_case(b"close"));
            }
            let value = HeaderValue::from_bytes(value).map_err(|error| unreadable(&error))?;
            answer.headers_mut().append(name, value);
        }
        let framing = framing.of_response(head.status, to_head).map_err(|error| unreadable(&error))?;
        input.drain(..head.length);
        let length = match framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        keeps &= framing != Framing::UntilClose;
        let mut body =
            UpstreamBody { sending: Some(sending), decoder: Decoder::new(framing), input, keeps, length };
        if framing == Framing::None {
            body.finish();
        }
        // The head's own length stays where it answers HEAD.
        *answer.body_mut() =
            if length == Some(0) { AnswerBody::Empty } else { AnswerBody::Upstream(Box::new(body)) };
        return Ok(answer);
    }
}

/// Reads more of the answer, and sends more of the request meanwhile.
fn poll_more(sending: &mut Sending, input: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    // An upstream may answer before it has read the request, and then not want the rest of it.
    let trouble = match sending.poll_send(cx) {
        Poll::Ready(Err(error)) => Some(error),
        _ => None,
    };
    READ_BUFFER.with_borrow_mut(|buffer| {
        let mut read = ReadBuf::new(buffer);
        match sending.link.poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) if read.filled().is_empty() => {
                Poll::Ready(Err(trouble.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())))
            }
            Poll::Ready(Ok(())) => {
                input.extend_from_slice(read.filled());
                Poll::Ready(Ok(read.filled().len()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => match trouble {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    })
}

/// The body of an upstream's answer. Read to its end it gives its connection back; dropped before, it closes it.
pub(crate) struct UpstreamBody {
    sending: Option<Sending>,
    decoder: Decoder,
    input: Vec<u8>,
    keeps: bool,
    length: Option<u64>,
}

impl UpstreamBody {
    /// Gives the connection back, or closes it where it is not at a request's end.
    fn finish(&mut self) {
        let Some(sending) = self.sending.take() else { return };
        let is_sent = sending.body.is_none() && sending.sent == sending.out.len();
        if self.keeps && is_sent && self.input.is_empty() && self.decoder.is_done() {
            pool::give_back(sending.key, sending.link, Instant::now());
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            let (count, piece) = match this.decoder.next(&this.input) {
                Ok(next) => next,
                Err(error) => {
                    this.sending = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
            };
            if !piece.is_empty() {
                // A whole input that is one piece moves, and is not copied.
                let whole = piece.len() == this.input.len();
                let data = if whole {
                    Bytes::from(std::mem::take(&mut this.input))
                } else {
                    Bytes::copy_from_slice(piece)
                };
                if !whole {
                    this.input.drain(..count);
                }
                if let Some(length) = &mut this.length {
                    *length -= data.len() as u64;
                }
                if this.decoder.is_done() && this.decoder.trailers().is_empty() {
                    this.finish();
                }
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            this.input.drain(..count);
            if this.decoder.is_done() {
                let lines = this.decoder.trailers_to_pass(true);
                let first = this.sending.is_some();
                this.finish();
                if first && !lines.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::trailers(fields_of(&lines)))));
                }
                return Poll::Ready(None);
            }
            let Some(sending) = &mut this.sending else { return Poll::Ready(None) };
            if let Err(error) = ready!(poll_more(sending, &mut this.input, cx)) {
                this.sending = None;
                if error.kind() == io::ErrorKind::UnexpectedEof && this.decoder.may_end() {
                    return Poll::Ready(None);
                }
                return Poll::Ready(Some(Err(error.into())));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_done() && (self.sending.is_none() || self.decoder.trailers().is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// Trailer lines as headers.
fn fields_of(lines: &[u8]) -> HeaderMap {
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
