//! One local connection: a server is found for it and verified, its verdict on us is waited for, and then bytes go both
//! ways until one side ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use explain::{Fault, Finding, FindingCode};
use pki::identity::VerifiedPeer;
use rustls::client::ClientSessionStore;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::{Instant, timeout_at};

use super::record::{Outcome, TunnelRecord};
use super::target::Target;
use super::{Settings, Tunnel};
use crate::dial::handshake::handshake_with;
use crate::dial::verdict::{self, TicketBell, Verdict, refused_later};
use crate::dial::{Route, TlsStream, Transport, connect};
use crate::tls::server_verifier::{Served, ServerVerdict};

/// Twice a TLS record's largest content: fewer system calls than with one, and not yet much memory a connection.
const BUFFER: usize = 32 * 1024;

/// A server that was verified and has not refused us.
struct Opened<'a> {
    target: &'a Target,
    stream: TlsStream,
    /// What it sent with its verdict.
    data: Vec<u8>,
    /// Whether it gave no verdict within our patience.
    silent: bool,
}

/// Serves one local connection to its end.
pub(super) async fn serve(tunnel: &Tunnel, local: Transport, from: String) {
    let started = Instant::now();
    let settings = tunnel.handle.current();
    let mut record = TunnelRecord {
        time: (tunnel.clock)(),
        from,
        target: String::new(),
        server: None,
        tls: None,
        outcome: Outcome::Closed,
        sent: 0,
        received: 0,
        duration: Duration::ZERO,
    };
    let opened = tokio::select! {
        opened = open(tunnel, &settings) => opened,
        () = is_over(tunnel) => {
            reset(&local);
            return;
        }
    };
    match opened {
        Ok(opened) => {
            record.target = opened.target.to_string();
            record.server = opened.stream.served().and_then(name_of);
            record.tls = Some(opened.stream.negotiated().clone());
            pass(tunnel, local, opened, &mut record).await;
        }
        Err((target, finding)) => {
            reset(&local);
            record.target = target;
            record.outcome = Outcome::Failed(finding);
        }
    }
    record.duration = started.elapsed();
    (tunnel.log)(&record);
}

/// Tries the targets in turn. Where none will have us, the failure is that of the one that came closest, and the others
/// are its evidence.
async fn open<'a>(tunnel: &Tunnel, settings: &'a Settings) -> Result<Opened<'a>, (String, Finding)> {
    let mut failures: Vec<(&Target, Failed)> = Vec::new();
    for target in tunnel.health.order(&settings.targets, Instant::now()) {
        match attempt(tunnel, settings, target).await {
            Ok(opened) => {
                tunnel.health.succeeded(target);
                return Ok(opened);
            }
            Err(failed) => {
                tunnel.health.failed(target, Instant::now());
                tracing::debug!(%target, finding = %failed.finding, "a target failed");
                failures.push((target, failed));
            }
        }
    }
    // Of those that came equally close the first, which is the one that was wanted most.
    let closest = failures.iter().enumerate().rev().max_by_key(|(_, (_, failed))| failed.stage);
    let Some(index) = closest.map(|(index, _)| index) else {
        let finding = Finding::new(
            FindingCode::ConfigurationUnusable,
            Fault::Environment,
            "the tunnel leads nowhere: it has no target",
        );
        return Err((String::new(), finding.remedy("--to HOST:PORT")));
    };
    let (target, failed) = failures.remove(index);
    let finding = failures.iter().fold(failed.finding, |finding, (other, failed)| {
        finding.evidence(format!("{other} failed too: {}", failed.finding))
    });
    Err((target.to_string(), finding.at(&target.host.to_string(), target.port)))
}

/// How an attempt at one target failed.
struct Failed {
    stage: Stage,
    finding: Finding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Dial,
    Handshake,
}

async fn attempt<'a>(tunnel: &Tunnel, settings: &Settings, target: &'a Target) -> Result<Opened<'a>, Failed> {
    let limit = tunnel.limits.connect_timeout;
    let deadline = Instant::now() + limit;
    let failed = |stage| move |finding| Failed { stage, finding };
    let transport = connect(&target.host, target.port, &Route::default(), Some(deadline))
        .await
        .map_err(|error| failed(Stage::Dial)(error.finding()))?;
    let tickets = TicketBell::new();
    let store = Arc::clone(&tickets) as Arc<dyn ClientSessionStore>;
    let handshake = handshake_with(transport, settings.expected(target), settings.tls.clone(), Some(store));
    let mut stream = match timeout_at(deadline, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(failure)) => return Err(failed(Stage::Handshake)(failure.finding)),
        Err(_) => {
            return Err(failed(Stage::Handshake)(Finding::new(
                FindingCode::Timeout,
                Fault::Server,
                format!("{target} did not finish the handshake within {} s", limit.as_secs_f32()),
            )));
        }
    };
    if settings.require_request && stream.certificate_request().is_none() {
        return Err(failed(Stage::Handshake)(
            Finding::new(
                FindingCode::ClientCertificateNotRequested,
                Fault::Server,
                format!("{target} never asked for our certificate, so it does not know who we are"),
            )
            .remedy(
                "have the server require client certificates, or leave out --require-client-auth-request",
            ),
        ));
    }
    let patience = if tunnel.health.stays_silent(target) { Duration::ZERO } else { tunnel.limits.patience };
    let mut data = Vec::new();
    match verdict::wait(&mut stream, &tickets, patience, &mut data).await {
        Verdict::Accepted => Ok(Opened { target, stream, data, silent: false }),
        Verdict::Silent => Ok(Opened { target, stream, data, silent: true }),
        Verdict::Refused { finding, .. } => Err(failed(Stage::Handshake)(finding)),
    }
}

/// Passes bytes both ways until the end, which the record is told of.
async fn pass(tunnel: &Tunnel, local: Transport, opened: Opened<'_>, record: &mut TunnelRecord) {
    let Opened { target, stream, data, silent } = opened;
    let memory = Arc::clone(stream.memory());
    let mut local = Counted { stream: local, read: 0, written: 0, failed: None };
    let mut stream = Named { stream, failed: false };
    let outcome = tokio::select! {
        ended = exchange(&mut local, &mut stream, &data) => match ended {
            Ok(()) => Outcome::Closed,
            Err(error) if stream.failed => Outcome::Failed(refused_later(&error, &memory).0),
            Err(error) => Outcome::LocalBrokeOff(local.failed.take().unwrap_or_else(|| error.to_string())),
        },
        finding = distrusted(tunnel, target, memory.served()) => Outcome::Failed(finding),
        () = is_over(tunnel) => Outcome::CutOff,
    };
    if silent && local.written > 0 {
        tunnel.health.is_silent(target);
    }
    if outcome != Outcome::Closed {
        reset(&local.stream);
    }
    record.outcome = outcome;
    record.sent = local.read;
    record.received = local.written;
}

async fn exchange(local: &mut Counted, stream: &mut Named, data: &[u8]) -> io::Result<()> {
    local.write_all(data).await?;
    copy_bidirectional_with_sizes(local, stream, BUFFER, BUFFER).await?;
    Ok(())
}

/// Ends when settings newer than the connection no longer believe its server.
async fn distrusted(tunnel: &Tunnel, target: &Target, served: Option<&Served>) -> Finding {
    let mut changes = tunnel.handle.changes();
    let Some(([end_entity, intermediates @ ..], served)) =
        served.map(|served| (served.chain.as_slice(), served))
    else {
        return std::future::pending().await;
    };
    // One that was let in against a verdict (see `danger`) is not put out by the same.
    if served.verdict.finding().is_some() {
        return std::future::pending().await;
    }
    loop {
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
        let settings = Arc::clone(&changes.borrow_and_update());
        let intermediates = intermediates.iter().map(Vec::as_slice);
        let expected = settings.expected(target);
        // The response that was stapled counts while it lasts; another one is not to be had in this connection.
        let judged = settings.tls.expectation.judge(expected, end_entity, intermediates, &served.stapled);
        if let Some(finding) = judged.finding() {
            return finding;
        }
    }
}

async fn is_over(tunnel: &Tunnel) {
    // An error means that the tunnel is gone, which is over too.
    let _ = tunnel.over.subscribe().wait_for(|over| *over).await;
}

/// Has the local side see a broken connection instead of an orderly end.
fn reset(local: &Transport) {
    if let Transport::Tcp(stream) = local {
        // Where it cannot be set, the end is an ordinary one, and the record still tells.
        let _ = stream.set_zero_linger();
    }
}

fn name_of(served: &Served) -> Option<String> {
    match &served.verdict {
        ServerVerdict::Verified(path) => Some(VerifiedPeer::new(path.clone()).display_name()),
        _ => None,
    }
}

/// The local side, counted; its own failures are kept apart from the server's.
struct Counted {
    stream: Transport,
    read: u64,
    written: u64,
    failed: Option<String>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer)) {
            self.failed = Some(error.to_string());
            return Poll::Ready(Err(error));
        }
        self.read += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stream).poll_write(cx, bytes)) {
            Ok(written) => {
                self.written += written as u64;
                Poll::Ready(Ok(written))
            }
            Err(error) => {
                self.failed = Some(error.to_string());
                Poll::Ready(Err(error))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_shutdown(cx)) {
            // The other side has closed already: an end, not a failure.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            other => Poll::Ready(other),
        }
    }
}

/// The server's side; remembers whether an error was its own.
struct Named {
    stream: TlsStream,
    failed: bool,
}

impl Named {
    fn note<T>(&mut self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.failed |= matches!(result, Poll::Ready(Err(_)));
        result
    }
}

impl AsyncRead for Named {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.note(result)
    }
}

impl AsyncWrite for Named {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_shutdown(cx)) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            other => {
                let result = Poll::Ready(other);
                self.note(result)
            }
        }
    }
}
