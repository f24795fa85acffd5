//! One connection from accept to the end of its handshake: ClientHello, snapshot, verification; and where that
//! fails, the alert delivered before the close.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use explain::finding::Sender;
use explain::{Fault, Finding, FindingCode};
use jiff::Timestamp;
use pki::Certificate;
use pki::identity::VerifiedPeer;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::refusal;
use crate::snapshot::{Current, Handle};
use crate::tls::client_verifier::{ClientVerifier, Presented, Verdict, unreadable};
use crate::tls::{Negotiated, server_config};

/// The application protocols spoken, the preferred one first.
const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// How long and how much is read from a refused client before its connection is closed. Closing a socket with unread
/// data resets the connection, and the reset can overtake the alert that says why.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// A connection whose handshake is done.
pub(crate) struct Accepted {
    pub(crate) stream: TlsStream<Socket>,
    /// The snapshot taken at ClientHello.
    pub(crate) current: Arc<Current>,
    /// Who the client is; `None` without a certificate.
    pub(crate) client: Option<(VerifiedPeer, Presented)>,
    pub(crate) negotiated: Negotiated,
}

/// A connection that was refused.
#[derive(Debug)]
pub(crate) struct RefusedHandshake {
    pub(crate) finding: Finding,
    pub(crate) alert_sent: Option<u8>,
    pub(crate) alert_received: Option<u8>,
    /// The client's certificate, where one was sent and could be read.
    pub(crate) certificate: Option<Certificate>,
}

impl RefusedHandshake {
    fn new(finding: Finding) -> Self {
        RefusedHandshake { finding, alert_sent: None, alert_received: None, certificate: None }
    }
}

/// Does the handshake of one connection within `limit`.
pub(crate) async fn handshake(
    tcp: TcpStream,
    handle: &Handle,
    clock: fn() -> Timestamp,
    limit: Duration,
) -> Result<Accepted, RefusedHandshake> {
    let deadline = Instant::now() + limit;
    let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), Socket::new(tcp));
    let start = match timeout_at(deadline, &mut acceptor).await {
        Err(_) => return Err(timed_out(limit)),
        Ok(Ok(start)) => start,
        Ok(Err(error)) => {
            let refused = refused_hello(&error);
            return Err(match acceptor.take_io() {
                Some(socket) if socket.speaks_http() => answer_plain_http(socket).await,
                Some(socket) => {
                    linger(socket).await;
                    refused
                }
                None => refused,
            });
        }
    };

    let current = handle.current();
    let verifier = Arc::new(ClientVerifier::new(Arc::clone(&current), clock));
    let config = server_config(Arc::clone(&verifier), current.resolver(), current.versions(), ALPN);
    let config = config.map_err(|error| RefusedHandshake::new(refusal::of_tls(&error, Sender::Server)))?;
    match timeout_at(deadline, start.into_stream(Arc::new(config)).into_fallible()).await {
        Err(_) => Err(timed_out(limit)),
        Ok(Err((error, socket))) => {
            let refused = refused_handshake(&error, &verifier, &socket);
            linger(socket).await;
            Err(refused)
        }
        Ok(Ok(mut stream)) => {
            stream.get_mut().0.handshake_is_done();
            let negotiated = Negotiated::of(stream.get_ref().1);
            let client = match verifier.verdict() {
                Some(Verdict::Verified { peer, presented }) => Some((peer.clone(), presented.clone())),
                _ => None,
            };
            Ok(Accepted { stream, current, client, negotiated })
        }
    }
}

fn timed_out(limit: Duration) -> RefusedHandshake {
    RefusedHandshake::new(Finding::new(
        FindingCode::Timeout,
        Fault::Client,
        format!("the client did not finish the handshake within {} s", limit.as_secs_f32()),
    ))
}

fn refused_hello(error: &io::Error) -> RefusedHandshake {
    match refusal::tls_error(error) {
        Some(tls) => RefusedHandshake {
            alert_sent: refusal::sent_alert(tls),
            alert_received: refusal::received_alert(tls),
            ..RefusedHandshake::new(refusal::of_tls(tls, Sender::Server))
        },
        None => RefusedHandshake::new(refusal::of_io(error, Fault::Client, "before its ClientHello")),
    }
}

fn refused_handshake(error: &io::Error, verifier: &ClientVerifier, socket: &Socket) -> RefusedHandshake {
    let Some(tls) = refusal::tls_error(error) else {
        let finding = refusal::of_io(error, Fault::Client, "during the handshake");
        return RefusedHandshake::new(finding);
    };
    let (finding, certificate) = match verifier.verdict() {
        Some(Verdict::Refused { certificate, finding }) => (finding.clone(), Some((**certificate).clone())),
        Some(Verdict::Unreadable(error)) => (unreadable(error), None),
        // The certificate was good, and something after it was not.
        Some(Verdict::Verified { presented, .. }) => {
            (refusal::of_tls(tls, Sender::Server), Some(presented.leaf.clone()))
        }
        None => (refusal::of_tls(tls, Sender::Server), None),
    };
    let alert_sent = match refusal::sent_alert(tls) {
        Some(CERTIFICATE_REQUIRED) if socket.replaced_alert => Some(HANDSHAKE_FAILURE),
        other => other,
    };
    RefusedHandshake { finding, alert_sent, alert_received: refusal::received_alert(tls), certificate }
}

/// Ends our side and reads what the client still sends, bounded, so that it gets to read the alert.
async fn linger(mut socket: Socket) {
    let drain = async {
        socket.tcp.shutdown().await?;
        let mut left = LINGER_BYTES;
        let mut buffer = [0; 4096];
        while left > 0 {
            match socket.tcp.read(&mut buffer).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        Ok::<(), io::Error>(())
    };
    // Whether the client stayed to listen is its own affair.
    let _ = timeout(LINGER, drain).await;
}

/// Tells someone who speaks plain HTTP what to do instead, in plain HTTP.
async fn answer_plain_http(mut socket: Socket) -> RefusedHandshake {
    const TEXT: &str = "plain_http: this port speaks HTTPS; write https:// in place of http://\n";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{TEXT}",
        TEXT.len()
    );
    let _ = timeout(LINGER, socket.tcp.write_all(answer.as_bytes())).await;
    linger(socket).await;
    RefusedHandshake::new(
        Finding::new(FindingCode::PlainHttp, Fault::Client, "the client speaks plain HTTP to a TLS port")
            .remedy("write https:// in place of http://"),
    )
}

const HANDSHAKE_FAILURE: u8 = 40;
const CERTIFICATE_REQUIRED: u8 = 116;

/// The record in which rustls refuses a TLS 1.2 client without a certificate. TLS 1.2 has no alert of that number: it
/// says handshake_failure (RFC 5246 section 7.4.6), and older clients know no other. A TLS 1.3 server's alert is
/// encrypted at this point, so these bytes are always TLS 1.2.
const REQUIRED_UNDER_TLS12: [u8; 7] = [0x15, 3, 3, 0, 2, 2, CERTIFICATE_REQUIRED];
const FAILURE_UNDER_TLS12: [u8; 7] = [0x15, 3, 3, 0, 2, 2, HANDSHAKE_FAILURE];

/// The TCP connection under a handshake, with an eye on its first bytes and its alerts.
#[derive(Debug)]
pub(crate) struct Socket {
    tcp: TcpStream,
    first: [u8; 4],
    seen: usize,
    handshaking: bool,
    replaced_alert: bool,
}

impl Socket {
    fn new(tcp: TcpStream) -> Self {
        Socket { tcp, first: [0; 4], seen: 0, handshaking: true, replaced_alert: false }
    }

    fn handshake_is_done(&mut self) {
        self.handshaking = false;
    }

    /// Whether the first bytes are an HTTP method; a TLS record starts with its type, below 0x20.
    fn speaks_http(&self) -> bool {
        self.seen == self.first.len() && self.first.iter().all(|b| b.is_ascii_uppercase() || *b == b' ')
    }

    fn is_wrong_alert(&self, bytes: &[u8]) -> bool {
        self.handshaking && bytes == REQUIRED_UNDER_TLS12
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        if self.seen < self.first.len() {
            let start = self.seen;
            let new = &buffer.filled()[before..];
            let count = new.len().min(self.first.len() - start);
            self.first[start..start + count].copy_from_slice(&new[..count]);
            self.seen += count;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.handshaking && self.speaks_http() {
            // An alert before the plain HTTP answer would only garble it.
            return Poll::Ready(Ok(bytes.len()));
        }
        if self.is_wrong_alert(bytes) {
            self.replaced_alert = true;
            return Pin::new(&mut self.tcp).poll_write(cx, &FAILURE_UNDER_TLS12);
        }
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.handshaking {
            // One after the other, so that each record is looked at; a handshake has few of them.
            let first = slices.iter().find(|slice| !slice.is_empty());
            if self.speaks_http() || first.is_some_and(|slice| self.is_wrong_alert(slice)) {
                return match first {
                    Some(slice) => self.poll_write(cx, slice),
                    None => Poll::Ready(Ok(0)),
                };
            }
            if let Some(alert) = slices.iter().position(|slice| self.is_wrong_alert(slice)) {
                return Pin::new(&mut self.tcp).poll_write_vectored(cx, &slices[..alert]);
            }
        }
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
