//! A server that lets verified clients in: to a service behind it, to a folder, or to a page that shows them who they
//! are. This file has the accept loop and the end; `connection` has what happens in between.

pub mod access;
mod body;
mod connection;
mod directory;
mod headers;
mod identity_headers;
mod pages;
mod pool;
mod service;
mod standing;
mod upstream;
mod visitor;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

pub use access::{AccessRecord, RefusalRecord, RequestRecord};
pub use directory::{Directory, DirectoryError};
pub(crate) use headers::percent_encode;
pub use identity_headers::{Dialect, UnknownDialect};
pub use service::{Answering, Service, ServiceBody, Visitor};
pub use upstream::{Upstream, UpstreamError};

use crate::snapshot::Handle;

/// Takes the access records, from any thread; it must not block.
pub type Log = Arc<dyn Fn(&AccessRecord) + Send + Sync>;

/// What answers the requests that are let in.
#[derive(Debug)]
pub enum Handler {
    /// A service behind this server.
    Upstream(Upstream),
    /// The files of a folder.
    Directory(Directory),
    /// A page that shows visitors who they are.
    Identity,
    /// Something of another crate.
    Service(Arc<dyn Service>),
}

/// How much, and how long, a server puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; more wait in the listener's queue.
    pub connections: u32,
    /// From accept to the end of the handshake.
    pub handshake_timeout: Duration,
    /// From one answer, or the handshake, to the end of the next request's head: it bounds slow heads and idle
    /// connections alike. nginx waits 60 s for the one and 75 s for the other.
    pub header_timeout: Duration,
    /// The size of a request's head in octets.
    pub header_bytes: u32,
    /// HTTP/2 streams at a time on one connection.
    pub streams: u32,
    /// From the call for an end until what still runs is cut off.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(60),
            header_bytes: 64 * 1024,
            streams: 128,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// How a server is run.
pub struct Options {
    /// What answers.
    pub handler: Handler,
    /// The limits.
    pub limits: Limits,
    /// The moment of every judgement.
    pub clock: fn() -> Timestamp,
    /// Takes the access records.
    pub log: Log,
}

impl Options {
    /// A server with the usual limits, on the machine's clock, that keeps no log.
    ///
    /// ```
    /// let options = net::serve::Options::new(net::serve::Handler::Identity);
    /// assert_eq!(options.limits.handshake_timeout.as_secs(), 10);
    /// ```
    #[must_use]
    pub fn new(handler: Handler) -> Self {
        Options { handler, limits: Limits::default(), clock: Timestamp::now, log: Arc::new(|_| {}) }
    }
}

/// What all connections share.
struct Server {
    handle: Handle,
    handler: Handler,
    limits: Limits,
    clock: fn() -> Timestamp,
    log: Log,
    phase: watch::Sender<Phase>,
}

/// How far a server's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// No new connection, and no further request on one.
    Draining,
    Over,
}

/// Serves a listener until `shutdown` ends; then takes no new connection, lets what runs finish within the limit,
/// and returns. How many connections were cut off at the limit is the result.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> u32 {
    let Options { handler, limits, clock, log } = options;
    let (phase, _) = watch::channel(Phase::Running);
    let server = Arc::new(Server { handle, handler, limits, clock, log, phase });
    let connections = limits.connections.max(1);
    let slots = Arc::new(Semaphore::new(connections as usize));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            // Taken before accept: what cannot be served waits in the kernel's queue, not in our memory.
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            () = shutdown.as_mut() => break,
            next = next => next,
        };
        // The semaphore is never closed.
        let Ok(slot) = slot else { break };
        match accepted {
            Ok((tcp, address)) => {
                if let Err(error) = tcp.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY is not set");
                }
                tokio::spawn(connection::serve(Arc::clone(&server), tcp, address, slot));
            }
            Err(error) => after_accept_error(&error).await,
        }
    }
    drop(listener);
    server.phase.send_replace(Phase::Draining);
    // Every slot is free once every connection, and every tunnel, is closed.
    let cut_off = match timeout(limits.drain_timeout, slots.acquire_many(connections)).await {
        Ok(_) => 0,
        Err(_) => connections.saturating_sub(u32::try_from(slots.available_permits()).unwrap_or(0)),
    };
    server.phase.send_replace(Phase::Over);
    cut_off
}

/// A connection that died in the queue is nobody's concern; a machine out of descriptors gets a moment.
async fn after_accept_error(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
        _ => {
            tracing::warn!(%error, "no connection can be accepted at the moment");
            sleep(Duration::from_millis(50)).await;
        }
    }
}
