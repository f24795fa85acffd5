//! The tunnel: a plain port or socket on this machine, whose connections go on over mutual TLS. For programs that
//! cannot present a certificate themselves.
//!
//! A local connection hears nothing, and nothing is read from it, until a server was verified and, where the protocol
//! lets it know, has accepted our certificate. What fails before then is tried at the next target; what fails after it
//! resets the local connection, so that no program takes half an answer for a whole one.

mod local;
mod record;
mod relay;
mod target;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pki::name::ServerName;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub use local::{ListenAddress, ListenAddressError, LocalListener};
pub use record::{Outcome, TunnelRecord};
pub use target::{Target, TargetError};

use crate::dial::TlsOptions;
use crate::serve::Pulse;
use target::Health;

/// Takes the records, from any thread; it must not block.
pub type Log = Arc<dyn Fn(&TunnelRecord) + Send + Sync>;

/// Where a tunnel leads, and as whom. Immutable; replaced as a whole.
#[derive(Clone)]
pub struct Settings {
    /// The servers, in the order in which they are tried.
    pub targets: Vec<Target>,
    /// What we present and expect.
    pub tls: TlsOptions,
    /// The name that is asked for and expected, where it is not the target's host.
    pub server_name: Option<ServerName>,
    /// Whether a server that never asks for our certificate is refused.
    pub require_request: bool,
}

impl Settings {
    /// A tunnel to these servers.
    ///
    /// ```
    /// use net::dial::TlsOptions;
    /// use net::tls::server_verifier::Expectation;
    /// let target: net::tunnel::Target = "db.example.com:5432".parse()?;
    /// let tls = TlsOptions::new(Expectation::new(pki::verify::TrustBundle::default()));
    /// let settings = net::tunnel::Settings::new(vec![target], tls);
    /// assert!(settings.server_name.is_none());
    /// # Ok::<(), net::tunnel::TargetError>(())
    /// ```
    #[must_use]
    pub fn new(targets: Vec<Target>, tls: TlsOptions) -> Self {
        Settings { targets, tls, server_name: None, require_request: false }
    }

    /// The name that a target's certificate is judged by.
    pub(crate) fn expected<'a>(&'a self, target: &'a Target) -> &'a ServerName {
        self.server_name.as_ref().unwrap_or(&target.host)
    }
}

/// The settings in force; cloning gives the same ones.
#[derive(Clone)]
pub struct Handle(Arc<watch::Sender<Arc<Settings>>>);

impl Handle {
    /// Puts first settings in force.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Handle(Arc::new(watch::Sender::new(Arc::new(settings))))
    }

    /// Puts others in their place. New connections use them; the servers of live ones are judged by them again.
    pub fn replace(&self, settings: Settings) {
        self.0.send_replace(Arc::new(settings));
    }

    pub(crate) fn current(&self) -> Arc<Settings> {
        Arc::clone(&self.0.borrow())
    }

    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Settings>> {
        self.0.subscribe()
    }
}

/// How much, and how long, a tunnel puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; more wait in the listener's queue.
    pub connections: u32,
    /// For one target, from its address to the end of the handshake.
    pub connect_timeout: Duration,
    /// How long a TLS 1.3 server's verdict on our certificate is waited for. A server that has shown that it says
    /// nothing is not waited for again.
    pub patience: Duration,
    /// From the call for an end until what still runs is cut off.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            connect_timeout: Duration::from_secs(10),
            patience: Duration::from_millis(500),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// How a tunnel is run.
pub struct Options {
    /// The limits.
    pub limits: Limits,
    /// The moment in the records.
    pub clock: fn() -> Timestamp,
    /// Takes the records.
    pub log: Log,
    /// The signs of life.
    pub pulse: Arc<Pulse>,
}

impl Default for Options {
    /// The usual limits, on the machine's clock, without a log.
    fn default() -> Self {
        Options {
            limits: Limits::default(),
            clock: Timestamp::now,
            log: Arc::new(|_| {}),
            pulse: Arc::default(),
        }
    }
}

/// What all connections of a tunnel share.
struct Tunnel {
    handle: Handle,
    limits: Limits,
    clock: fn() -> Timestamp,
    log: Log,
    health: Health,
    /// True once what still runs is to be cut off.
    over: watch::Sender<bool>,
}

/// Serves the listeners until `shutdown` ends; then takes no new connection, lets what runs finish within the limit, and
/// returns. How many connections were cut off at the limit is the result.
pub async fn run(
    listeners: Vec<LocalListener>,
    handle: Handle,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> u32 {
    let Options { limits, clock, log, pulse } = options;
    let over = watch::Sender::new(false);
    let tunnel = Arc::new(Tunnel { handle, limits, clock, log, health: Health::default(), over });
    let connections = limits.connections.max(1);
    let slots = Arc::new(Semaphore::new(connections as usize));
    let mut accepting = JoinSet::new();
    accepting.spawn(pulse.keep_beating());
    for listener in listeners {
        accepting.spawn(accept(listener, Arc::clone(&tunnel), Arc::clone(&slots)));
    }
    shutdown.await;
    // Dropping the listeners with their tasks; unix sockets are removed with them.
    accepting.shutdown().await;
    let cut_off = match timeout(limits.drain_timeout, slots.acquire_many(connections)).await {
        Ok(_) => 0,
        Err(_) => connections.saturating_sub(u32::try_from(slots.available_permits()).unwrap_or(0)),
    };
    tunnel.over.send_replace(true);
    cut_off
}

async fn accept(listener: LocalListener, tunnel: Arc<Tunnel>, slots: Arc<Semaphore>) {
    loop {
        // Taken before accept: what cannot be served waits in the kernel's queue. The semaphore is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((local, from)) => {
                let tunnel = Arc::clone(&tunnel);
                tokio::spawn(async move {
                    relay::serve(&tunnel, local, from).await;
                    drop(slot);
                });
            }
            Err(error) if local::is_harmless(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at the moment");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
