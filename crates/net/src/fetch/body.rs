//! The body of a request: bytes at hand, or a stream that is read while it is sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

/// How much of a stream is read at a time.
const CHUNK: usize = 64 * 1024;

/// The body of a request.
#[derive(Default)]
pub enum RequestBody {
    /// None.
    #[default]
    Empty,
    /// Bytes at hand.
    Bytes(Bytes),
    /// A stream, of this length where it is known; otherwise sent in chunks.
    Stream {
        /// Where it is read.
        reader: Pin<Box<dyn AsyncRead + Send>>,
        /// Its length.
        length: Option<u64>,
    },
}

impl RequestBody {
    /// The same again, where it can be sent twice.
    pub(super) fn again(&self) -> Option<RequestBody> {
        match self {
            RequestBody::Empty => Some(RequestBody::Empty),
            RequestBody::Bytes(bytes) => Some(RequestBody::Bytes(bytes.clone())),
            RequestBody::Stream { .. } => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = RequestBody::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            RequestBody::Stream { reader, .. } => {
                let mut chunk = vec![0; CHUNK];
                let mut buffer = ReadBuf::new(&mut chunk);
                ready!(reader.as_mut().poll_read(cx, &mut buffer))?;
                let read = buffer.filled().len();
                if read == 0 {
                    *self = RequestBody::Empty;
                    return Poll::Ready(None);
                }
                chunk.truncate(read);
                Poll::Ready(Some(Ok(Frame::data(Bytes::from(chunk)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Bytes(bytes) => bytes.is_empty(),
            RequestBody::Stream { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            RequestBody::Stream { length: Some(length), .. } => SizeHint::with_exact(*length),
            RequestBody::Stream { length: None, .. } => SizeHint::default(),
        }
    }
}
