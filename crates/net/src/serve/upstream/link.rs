//! One connection to an upstream: TCP or a unix socket, with or without TLS.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use explain::Finding;
use pki::name::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::target::{Place, Protocol, Target};
use crate::dial::handshake::handshake;
use crate::dial::{self, Route, TlsOptions, Transport};

/// An open connection.
pub(crate) enum Link {
    Plain(Transport),
    Tls(Box<dial::TlsStream>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Dial(#[from] dial::DialError),
    #[error("{}", .0.summary)]
    Handshake(Box<Finding>),
    #[error("it asked for no client certificate, and --require-client-auth-request wants it to")]
    NotAsked,
}

/// How an upstream is dialled.
#[derive(Clone)]
pub(crate) struct Dialling {
    pub(crate) limit: Duration,
    pub(crate) tls: Option<TlsOptions>,
    /// Refuse an upstream that asks for no client certificate.
    pub(crate) must_ask: bool,
}

impl Link {
    /// Opens a connection to `target`.
    pub(crate) async fn open(target: &Target, how: &Dialling) -> Result<Self, ConnectError> {
        let deadline = Instant::now() + how.limit;
        let localhost = || ServerName::Dns("localhost".to_owned());
        let (host, port, socket): (ServerName, u16, Option<PathBuf>) = match &target.place {
            Place::Network { host, port } => (host.clone(), *port, None),
            Place::Unix(path) => (localhost(), 0, Some(path.clone())),
        };
        let route = Route { unix_socket: socket, ..Route::default() };
        let transport =
            dial::connect(&host, port, &route, Some(deadline)).await.map_err(|error| match error {
                dial::DialError::Timeout { after, .. } => ConnectError::Timeout(after),
                error => ConnectError::Dial(error),
            })?;
        let Some(options) = how.tls.as_ref().filter(|_| target.is_tls()) else {
            return Ok(Link::Plain(transport));
        };
        let mut options = options.clone();
        options.alpn = match target.protocol {
            Protocol::H2 => vec![b"h2".to_vec()],
            _ => vec![b"http/1.1".to_vec()],
        };
        let stream = timeout_at(deadline, handshake(transport, &host, options))
            .await
            .map_err(|_| ConnectError::Timeout(how.limit))?
            .map_err(|failure| ConnectError::Handshake(Box::new(failure.finding)))?;
        if how.must_ask && stream.certificate_request().is_none() {
            return Err(ConnectError::NotAsked);
        }
        Ok(Link::Tls(Box::new(stream)))
    }

    /// Whether an idle connection is still one: nothing has arrived, not even its end.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut octet = [0];
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_read(&mut cx, &mut ReadBuf::new(&mut octet)).is_pending()
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Link::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Link::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Link::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Link::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Link::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Link::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Link::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Link::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Link::poll_read(self.get_mut(), cx, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Link::poll_write(self.get_mut(), cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Link::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Link::poll_shutdown(self.get_mut(), cx)
    }
}
