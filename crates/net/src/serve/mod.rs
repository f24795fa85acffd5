//! A server that lets verified clients in: to a service behind it, to a folder, or to a page that shows them who they
//! are. This file has the accept loop and the end; `connection` has what happens in between.

pub mod access;
mod behind;
mod body;
mod connection;
mod counters;
mod directory;
pub(crate) mod facts;
mod front;
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod handshakes;
mod headers;
mod http1;
mod http2;
mod identity_headers;
mod pages;
mod pulse;
pub(crate) mod relay;
mod route;
mod service;
mod standing;
mod tcp;
mod threads;
mod told;
mod try_it;
mod upstream;
mod visitor;
pub(crate) mod watch;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use pki::name::IpRange;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{interval, sleep, timeout};

pub use access::{AccessRecord, RefusalRecord, RequestRecord};
pub use behind::{AddressHeader, IdentityFront, UnknownAddressHeader};
pub use body::IncomingBody;
pub use counters::{Counters, Gate, GroupCounters, Pass, TurnedAway};
pub use directory::{Directory, DirectoryError};
pub use handshakes::{HandshakeCount, HandshakeCounters};
pub(crate) use headers::percent_encode;
pub use identity_headers::{Dialect, UnknownDialect};
pub use pages::STYLE_SHEET;
pub use pulse::Pulse;
pub use route::{HostPattern, HostPatternError, Route, WithoutCertificate};
pub use service::{Answering, Service, ServiceBody, Visitor};
pub use threads::{Shutdown, bind, serve_on_threads};
pub use upstream::{HealthCheck, Target, TargetError, TcpUpstream, Upstream};

use crate::snapshot::Handle;
use watch::Watches;

/// Takes the access records, from any thread; it must not block.
pub type Log = Arc<dyn Fn(&AccessRecord) + Send + Sync>;

/// Takes the recording of a handshake that was refused, with the handshake's secrets alone, from any thread; it must not
/// block.
pub type Recordings = Arc<dyn Fn(explain::capture::Transcript) + Send + Sync>;

/// What answers the requests that are let in.
#[derive(Debug)]
pub enum Handler {
    /// Services behind this server that speak HTTP.
    Upstream(Upstream),
    /// A service behind this server that gets the octets as they come. It is the only route of its listener.
    Tcp(TcpUpstream),
    /// The files of a folder.
    Directory(Directory),
    /// A page that shows visitors who they are.
    Identity,
    /// A page that shows visitors the whole of their connection: their chain, the server's, what was agreed, and what
    /// comes next.
    TryIt,
    /// Something of another crate.
    Service(Arc<dyn Service>),
}

/// How much, and how long, a server puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; more wait in the listener's queue.
    pub connections: u32,
    /// Connections at a time from one address; more are closed at once.
    pub connections_per_address: u32,
    /// From accept to the end of the handshake.
    pub handshake_timeout: Duration,
    /// The octets of a client's chain of certificates. OpenSSL's default is 100 KiB; a chain of four post-quantum
    /// certificates has 25.
    pub chain_bytes: u32,
    /// From one answer, or the handshake, to the end of the next request's head: it bounds slow heads and idle
    /// connections alike. nginx waits 60 s for the one and 75 s for the other.
    pub header_timeout: Duration,
    /// The size of a request's head in octets.
    pub header_bytes: u32,
    /// How long a body, or a connection that became a tunnel, may stand still.
    pub body_idle_timeout: Duration,
    /// HTTP/2 streams at a time on one connection.
    pub streams: u32,
    /// How old a connection gets before its next answer is its last.
    pub connection_age: Option<Duration>,
    /// From the call for an end until what still runs is cut off.
    pub drain_timeout: Duration,
    /// From the call for an end until a kept connection that is idle is closed, half the drain time-out at most: a request
    /// that comes meanwhile is answered, with the news that it is the last. Closed at once, it would meet requests that
    /// are on their way (RFC 9112 section 9.5). HTTP/2 needs no such time: GOAWAY says which requests are answered.
    pub last_call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 20_000,
            connections_per_address: 20_000,
            handshake_timeout: Duration::from_secs(10),
            chain_bytes: 64 * 1024,
            header_timeout: Duration::from_secs(60),
            header_bytes: 64 * 1024,
            body_idle_timeout: Duration::from_secs(300),
            streams: 128,
            connection_age: None,
            drain_timeout: Duration::from_secs(10),
            last_call: Duration::from_secs(2),
        }
    }
}

/// How a server is run.
#[derive(Clone)]
pub struct Options {
    /// The limits, of all workers together.
    pub limits: Limits,
    /// The moment of every judgement.
    pub clock: fn() -> Timestamp,
    /// Takes the access records.
    pub log: Log,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Asked for each permitted request.
    pub gate: Option<Arc<dyn Gate>>,
    /// The addresses of load balancers that tell in a PROXY protocol header who the client is.
    pub proxy_protocol_from: Vec<IpRange>,
    /// What answers where a snapshot has no routes at all.
    pub fallback: Option<Arc<Handler>>,
    /// Takes the recordings of refused handshakes, where they are wanted.
    pub recordings: Option<Recordings>,
    /// The workers' signs of life.
    pub pulse: Arc<Pulse>,
    /// Whether requests get a span, which upstreams hear of in `traceparent`.
    pub traces: bool,
}

impl Options {
    /// A server with the usual limits, on the machine's clock, that keeps no log.
    ///
    /// ```
    /// let options = net::serve::Options::new();
    /// assert_eq!(options.limits.handshake_timeout.as_secs(), 10);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Options {
            limits: Limits::default(),
            clock: Timestamp::now,
            log: Arc::new(|_| {}),
            counters: Arc::default(),
            gate: None,
            proxy_protocol_from: Vec::new(),
            fallback: None,
            recordings: None,
            pulse: Arc::default(),
            traces: false,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options::new()
    }
}

/// What all connections share.
pub(crate) struct Server {
    handle: Handle,
    limits: Limits,
    clock: fn() -> Timestamp,
    log: Log,
    counters: Arc<Counters>,
    gate: Option<Arc<dyn Gate>>,
    fronts: Vec<IpRange>,
    fallback: Option<Arc<Route>>,
    recordings: Option<Recordings>,
    pulse: Arc<Pulse>,
    traces: bool,
    phase: tokio::sync::watch::Sender<Phase>,
    slots: Arc<Semaphore>,
    /// Workers that accept, and connections that are open.
    accepting: AtomicU32,
    open: AtomicU32,
    addresses: Mutex<HashMap<IpAddr, u32>>,
}

/// How far a server's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// No new connection, and no further request on one.
    Draining,
    Over,
}

/// A connection's place under the limits, left when it is dropped.
struct Slot {
    server: Arc<Server>,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Server {
    fn new(handle: Handle, options: Options) -> Arc<Self> {
        let Options {
            limits,
            clock,
            log,
            counters,
            gate,
            proxy_protocol_from,
            fallback,
            recordings,
            pulse,
            traces,
        } = options;
        let (phase, _) = tokio::sync::watch::channel(Phase::Running);
        Arc::new(Server {
            handle,
            clock,
            log,
            counters,
            gate,
            fronts: proxy_protocol_from,
            fallback: fallback.map(|handler| Arc::new(Route::everything(handler))),
            recordings,
            pulse,
            traces,
            phase,
            slots: Arc::new(Semaphore::new(limits.connections.max(1) as usize)),
            accepting: AtomicU32::new(0),
            open: AtomicU32::new(0),
            addresses: Mutex::default(),
            limits,
        })
    }

    /// A place for one more connection from this address; `None` where it has as many as it may.
    fn enter(self: &Arc<Self>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Slot> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = addresses.entry(address).or_insert(0);
        if *count >= self.limits.connections_per_address {
            Counters::add(&self.counters.turned_away);
            return None;
        }
        *count += 1;
        self.open.fetch_add(1, Ordering::AcqRel);
        Counters::add(&self.counters.connections);
        Counters::add(&self.counters.connections_open);
        Some(Slot { server: Arc::clone(self), address, _permit: permit })
    }

    /// Accepts connections until the end of the phase in which they are taken.
    async fn accept_all(self: Arc<Self>, listener: TcpListener) {
        self.accepting.fetch_add(1, Ordering::AcqRel);
        let watches = Arc::new(Watches::default());
        let mut phase = self.phase.subscribe();
        let (server, all) = (Arc::clone(&self), Arc::clone(&watches));
        let sweep = tokio::spawn(async move { all.sweep(&server).await });
        while *phase.borrow_and_update() == Phase::Running {
            let next = async {
                // Taken before accept: what cannot be served waits in the kernel's queue, not in our memory.
                let permit = Arc::clone(&self.slots).acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                biased;
                _ = phase.changed() => continue,
                next = next => next,
            };
            // The semaphore is never closed.
            let Ok(permit) = permit else { break };
            match accepted {
                Ok((tcp, address)) => self.begin(tcp, address, permit, &watches),
                Err(error) => after_accept_error(&error).await,
            }
        }
        self.take_the_last(listener, &watches);
        self.accepting.fetch_sub(1, Ordering::AcqRel);
        // The sweep goes on until every connection is closed.
        let _ = phase.wait_for(|phase| *phase == Phase::Over).await;
        sweep.abort();
        watches.cut_all();
    }

    /// Takes who is in the kernel's queue, and closes it: they have connected, as far as they know, and would be reset.
    /// The kernel itself is asked, since the runtime may not have heard of the last ones.
    fn take_the_last(self: &Arc<Self>, listener: TcpListener, watches: &Arc<Watches>) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
            match listener.accept() {
                Ok((tcp, address)) => {
                    if let Ok(tcp) = tcp.set_nonblocking(true).and_then(|()| TcpStream::from_std(tcp)) {
                        self.begin(tcp, address, permit, watches);
                    }
                }
                // This one is gone already; the next may not be.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return,
            }
        }
    }

    /// Begins to serve an accepted connection.
    fn begin(
        self: &Arc<Self>,
        tcp: TcpStream,
        address: SocketAddr,
        permit: OwnedSemaphorePermit,
        watches: &Arc<Watches>,
    ) {
        if let Some(slot) = self.enter(address.ip().to_canonical(), permit) {
            tokio::spawn(connection::serve(Arc::clone(self), tcp, address, watches.enter(), slot));
        }
    }

    /// Ends: no new connection, and what runs gets its time. How many connections were cut off is the result.
    async fn wind_up(&self) -> u32 {
        self.phase.send_replace(Phase::Draining);
        let ended = async {
            let mut looks = interval(Duration::from_millis(10));
            while self.accepting.load(Ordering::Acquire) > 0 || self.open.load(Ordering::Acquire) > 0 {
                looks.tick().await;
            }
        };
        let cut_off = match timeout(self.limits.drain_timeout, ended).await {
            Ok(()) => 0,
            Err(_) => self.open.load(Ordering::Acquire),
        };
        self.phase.send_replace(Phase::Over);
        cut_off
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.server.counters.connections_open.fetch_sub(1, Ordering::Relaxed);
        self.server.open.fetch_sub(1, Ordering::AcqRel);
        let mut addresses = self.server.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

/// Serves a listener on the runtime it is called on until `shutdown` ends; then takes no new connection, lets what
/// runs finish within the limit, and returns. How many connections were cut off at the limit is the result.
/// [`serve_on_threads`] uses all processors.
pub async fn serve(
    listener: TcpListener,
    handle: Handle,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> u32 {
    let server = Server::new(handle, options);
    prepare(&listener);
    let accepting = tokio::spawn(Arc::clone(&server).accept_all(listener));
    shutdown.await;
    let cut_off = server.wind_up().await;
    // It ends with the last phase.
    let _ = accepting.await;
    cut_off
}

/// What every accepted connection inherits from its listener: no waiting for more to send.
fn prepare(listener: &TcpListener) {
    if let Err(error) = rustix::net::sockopt::set_tcp_nodelay(listener, true) {
        tracing::debug!(%error, "TCP_NODELAY is not set");
    }
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
