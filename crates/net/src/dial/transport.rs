//! What a dialled connection runs over: TCP, or a unix socket.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use explain::capture::What;
use explain::finding::Sender;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::record::Recorder;

/// An open connection without TLS.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Transport {
    /// The address at this end, where it is TCP.
    #[must_use]
    pub fn own_address(&self) -> Option<SocketAddr> {
        match self {
            Transport::Tcp(stream) => stream.local_addr().ok(),
            Transport::Unix(_) => None,
        }
    }

    /// The address at the other end, where it is TCP.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Transport::Tcp(stream) => stream.peer_addr().ok(),
            Transport::Unix(_) => None,
        }
    }
}

/// A transport under TLS whose first bytes are kept: they tell what a server speaks that does not speak TLS. A
/// recorder, where there is one, hears all that passes.
#[derive(Debug)]
pub(crate) struct Watched {
    transport: Transport,
    recorder: Option<Recorder>,
    first: [u8; 5],
    seen: usize,
}

impl Watched {
    pub(crate) fn new(transport: Transport, recorder: Option<Recorder>) -> Self {
        Watched { transport, recorder, first: [0; 5], seen: 0 }
    }

    /// The first bytes, at most five.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first[..self.seen]
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.transport).poll_read(cx, buffer));
        if let Some(recorder) = &self.recorder {
            match &result {
                Ok(()) if buffer.filled().len() > before => {
                    recorder.bytes(Sender::Server, &buffer.filled()[before..]);
                }
                Ok(()) => recorder.ended(Sender::Server, What::Closed),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    recorder.ended(Sender::Server, What::Reset);
                }
                Err(_) => {}
            }
        }
        result?;
        let start = self.seen;
        if start < self.first.len() {
            let new = &buffer.filled()[before..];
            let count = new.len().min(self.first.len() - start);
            self.first[start..start + count].copy_from_slice(&new[..count]);
            self.seen += count;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.transport).poll_write(cx, bytes))?;
        if let Some(recorder) = &self.recorder {
            recorder.bytes(Sender::Client, &bytes[..count]);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.transport).poll_write_vectored(cx, slices))?;
        if let Some(recorder) = &self.recorder {
            let mut left = count;
            for slice in slices {
                let part = left.min(slice.len());
                recorder.bytes(Sender::Client, &slice[..part]);
                left -= part;
            }
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(recorder) = &self.recorder {
            recorder.ended(Sender::Client, What::Closed);
        }
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Transport::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Transport::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Transport::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets keep nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Transport::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
