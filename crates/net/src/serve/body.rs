//! The bodies of requests and of answers, in one type each.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::http1::pipe::Outlet;
use super::service::ServiceBody;
use super::upstream::UpstreamBody;

pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request.
pub(crate) enum RequestBody {
    Empty,
    /// Read by the connection's task, and handed over in pieces.
    Handed(Outlet, Option<u64>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Handed(outlet, _) => outlet.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Handed(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Handed(_, length) => length.map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

/// The body of a request, as a handler of another crate gets it.
pub struct IncomingBody(pub(crate) RequestBody);

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The body of an answer.
pub(crate) enum AnswerBody {
    Empty,
    Full(Bytes),
    Upstream(Box<UpstreamBody>),
    /// Of an upstream that speaks HTTP/2.
    Incoming(Incoming),
    File(FileBody),
    Service(ServiceBody),
}

impl From<String> for AnswerBody {
    fn from(text: String) -> Self {
        AnswerBody::Full(Bytes::from(text))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            AnswerBody::Empty => Poll::Ready(None),
            AnswerBody::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = AnswerBody::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            AnswerBody::Upstream(body) => Pin::new(body).poll_frame(cx),
            AnswerBody::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            AnswerBody::File(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            AnswerBody::Service(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Empty => true,
            AnswerBody::Full(bytes) => bytes.is_empty(),
            AnswerBody::Upstream(body) => body.is_end_stream(),
            AnswerBody::Incoming(body) => body.is_end_stream(),
            AnswerBody::File(body) => body.left == 0,
            AnswerBody::Service(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Empty => SizeHint::with_exact(0),
            AnswerBody::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            AnswerBody::Upstream(body) => body.size_hint(),
            AnswerBody::Incoming(body) => body.size_hint(),
            AnswerBody::File(body) => SizeHint::with_exact(body.left),
            AnswerBody::Service(body) => body.size_hint(),
        }
    }
}

/// How much of a file is read at a time.
const CHUNK: usize = 64 * 1024;

/// A part of a file, from where it stands.
pub(crate) struct FileBody {
    file: File,
    left: u64,
}

impl FileBody {
    /// The next `length` bytes of an open file.
    pub(crate) fn new(file: File, length: u64) -> Self {
        FileBody { file, left: length }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let size = usize::try_from(self.left).map_or(CHUNK, |left| left.min(CHUNK));
        let mut chunk = vec![0; size];
        let mut buffer = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.file).poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        if read == 0 {
            // The length is promised already, so an answer that ends early must not look whole.
            let short =
                io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent");
            return Poll::Ready(Some(Err(short)));
        }
        self.left -= read as u64;
        chunk.truncate(read);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(chunk)))))
    }
}
