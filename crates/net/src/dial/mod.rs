//! The way to a server: names to addresses, addresses to a TCP connection, and TLS on top with everything the server
//! said kept for whoever wants to know.

pub mod handshake;
pub mod probe;
pub mod recorded;
mod route;
mod transport;
pub(crate) mod verdict;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use explain::{Fault, Finding, FindingCode};
use pki::name::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

pub use handshake::{CertificateRequest, HandshakeFailure, TlsOptions, TlsStream};
pub use route::{ConnectTo, Resolve, Route, RouteError};
pub use transport::Transport;
pub(crate) use transport::Watched;

/// A second address is tried beside the first after this time (RFC 8305 section 8: 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);

/// Why there is no connection to a server.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("the name '{host}' cannot be resolved to an address: {source}; check its spelling and the DNS")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// No address takes connections.
    #[error("no connection to {target}: {source}{}", refused_hint(source))]
    Connect {
        /// What was dialled.
        target: String,
        /// What the last address said.
        source: io::Error,
    },
    /// The time was over.
    #[error("no connection to {target} within {} s", after.as_secs_f32())]
    Timeout {
        /// What was dialled.
        target: String,
        /// How long it was tried.
        after: Duration,
    },
}

fn refused_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "; nothing listens there: check the port, and whether the server runs"
        }
        io::ErrorKind::NotFound => "; there is no such socket",
        _ => "",
    }
}

impl DialError {
    /// The same as a finding.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let (code, fault) = match self {
            DialError::Resolve { .. } => (FindingCode::NameNotResolved, Fault::Network),
            DialError::Timeout { .. } => (FindingCode::Timeout, Fault::Network),
            DialError::Connect { source, .. } => match source.kind() {
                io::ErrorKind::ConnectionRefused => (FindingCode::ConnectionRefused, Fault::Server),
                io::ErrorKind::ConnectionReset => (FindingCode::ConnectionReset, Fault::Server),
                _ => (FindingCode::Unreachable, Fault::Network),
            },
        };
        Finding::new(code, fault, self.to_string())
    }
}

/// Opens a connection to `host:port`, by the route, until `deadline`.
///
/// # Errors
/// [`DialError`].
pub async fn connect(
    host: &ServerName,
    port: u16,
    route: &Route,
    deadline: Option<Instant>,
) -> Result<Transport, DialError> {
    let started = Instant::now();
    let target = match &route.unix_socket {
        Some(path) => path.display().to_string(),
        None => format!("{host}:{port}"),
    };
    let limited = async {
        if let Some(path) = &route.unix_socket {
            let stream = UnixStream::connect(path).await;
            return stream
                .map(Transport::Unix)
                .map_err(|source| DialError::Connect { target: target.clone(), source });
        }
        let (host, port) = route.destination(host, port);
        let addresses = match route.addresses(&host, port) {
            Some(addresses) => addresses,
            None => resolve(&host, port).await?,
        };
        let stream = race(&addresses).await;
        stream.map(Transport::Tcp).map_err(|source| DialError::Connect { target: target.clone(), source })
    };
    match deadline {
        None => limited.await,
        Some(deadline) => timeout_at(deadline, limited)
            .await
            .unwrap_or_else(|_| Err(DialError::Timeout { target: target.clone(), after: started.elapsed() })),
    }
}

/// The addresses of a host. `localhost` is this machine without a question to anyone (RFC 6761 section 6.3).
async fn resolve(host: &ServerName, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let name = match host {
        ServerName::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, port)]),
        ServerName::Dns(name) if name == "localhost" || name.ends_with(".localhost") => {
            let loopback = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];
            return Ok(loopback.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        }
        ServerName::Dns(name) => name,
    };
    let problem = |source| DialError::Resolve { host: name.clone(), source };
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((name.as_str(), port)).await.map_err(problem)?.collect();
    if addresses.is_empty() {
        return Err(problem(io::Error::new(io::ErrorKind::NotFound, "it has no address")));
    }
    Ok(addresses)
}

/// Connects to the first address that answers: each gets a head start on the next, and a refusal passes the turn on
/// at once.
async fn race(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter().copied();
    let mut last_error = io::Error::new(io::ErrorKind::AddrNotAvailable, "there is no address to try");
    if let [only] = addresses {
        return open(*only).await;
    }
    let mut attempts = JoinSet::new();
    loop {
        let more = match waiting.next() {
            Some(address) => {
                attempts.spawn(open(address));
                waiting.len() > 0
            }
            None if attempts.is_empty() => return Err(last_error),
            None => false,
        };
        let result = tokio::select! {
            result = attempts.join_next() => result,
            () = sleep(HEAD_START), if more => continue,
        };
        match result {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => last_error = error,
            Some(Err(_)) | None => {}
        }
    }
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
