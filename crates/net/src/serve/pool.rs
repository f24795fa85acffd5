//! Kept-alive HTTP/1.1 connections to one upstream. A connection goes back when its answer was read to the end, and
//! is given out again, the freshest first, while it is young enough not to be closed by the upstream at that moment.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::body::BodyError;
use super::headers::ForwardedBody;

/// Node.js closes an idle connection after 5 s (`server.keepAliveTimeout`), sooner than others do: so it is not
/// used any more a second before.
const IDLE: Duration = Duration::from_secs(4);
/// More idle connections than this are closed rather than kept.
const KEPT: usize = 256;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

/// The connections to one upstream.
pub(crate) struct Pool {
    authority: String,
    connect_timeout: Duration,
    idle: Mutex<Vec<(SendRequest<ForwardedBody>, Instant)>>,
}

impl Pool {
    pub(crate) fn new(authority: String, connect_timeout: Duration) -> Self {
        Pool { authority, connect_timeout, idle: Mutex::new(Vec::new()) }
    }

    /// A connection that was used before and can take a request now.
    pub(crate) fn take_idle(&self) -> Option<SendRequest<ForwardedBody>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.first().is_some_and(|(_, since)| since.elapsed() > IDLE) {
            idle.retain(|(_, since)| since.elapsed() <= IDLE);
        }
        let mut cx = Context::from_waker(Waker::noop());
        for index in (0..idle.len()).rev() {
            match idle[index].0.poll_ready(&mut cx) {
                Poll::Ready(Ok(())) => return Some(idle.remove(index).0),
                Poll::Ready(Err(_)) => drop(idle.remove(index)),
                // Its last answer is being wound up; the next in line will do.
                Poll::Pending => {}
            }
        }
        None
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<SendRequest<ForwardedBody>, ConnectError> {
        let tcp = timeout(self.connect_timeout, TcpStream::connect(self.authority.as_str()))
            .await
            .map_err(|_| ConnectError::Timeout(self.connect_timeout))??;
        tcp.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to the upstream ended");
            }
        });
        Ok(sender)
    }

    fn give_back(&self, sender: SendRequest<ForwardedBody>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT && !sender.is_closed() {
            idle.push((sender, Instant::now()));
        }
    }
}

/// The body of an upstream's answer. Read to its end it gives its connection back; dropped before, it closes it.
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    lease: Option<(Arc<Pool>, SendRequest<ForwardedBody>)>,
}

impl UpstreamBody {
    pub(crate) fn new(incoming: Incoming, pool: Arc<Pool>, sender: SendRequest<ForwardedBody>) -> Self {
        let mut body = UpstreamBody { incoming, lease: Some((pool, sender)) };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some((pool, sender)) = self.lease.take() {
            pool.give_back(sender);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            Some(Err(_)) => self.lease = None,
            Some(Ok(_)) if !self.incoming.is_end_stream() => {}
            Some(Ok(_)) | None => self.give_back(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
