//! A server on many processors: a thread and a runtime for each, with a listening socket of its own, between which
//! the kernel shares the connections out (SO_REUSEPORT). A connection stays on the thread that accepted it, so nothing
//! is handed from one to another.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use tokio::net::TcpSocket;
use tokio::runtime::Builder;
use tokio::sync::watch;

use super::{Options, Server, prepare};
use crate::snapshot::Handle;

/// Connections that wait to be accepted, on each socket; the kernel caps it at net.core.somaxconn.
const BACKLOG: u32 = 4096;

/// The call for an end, to any number of servers.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    /// One that was not called yet.
    ///
    /// ```
    /// let shutdown = net::serve::Shutdown::new();
    /// assert!(!shutdown.is_called());
    /// shutdown.call();
    /// assert!(shutdown.is_called());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Shutdown(Arc::new(watch::channel(false).0))
    }

    /// Calls for the end.
    pub fn call(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was called.
    #[must_use]
    pub fn is_called(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when it is called.
    pub async fn called(&self) {
        // The sender is held here, so it cannot be gone.
        let _ = self.0.subscribe().wait_for(|called| *called).await;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown::new()
    }
}

/// Opens listening sockets at one address, one for each of `workers`; port 0 takes a free one for all of them. Nobody
/// else may have the port: sockets that share one would otherwise get each other's connections.
///
/// # Errors
/// What the system says.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    // A socket of tokio's is the one that can be set up before it is bound; it wants a runtime around it.
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    let open = |address: SocketAddr, shared: bool| {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(shared)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    if workers <= 1 {
        return Ok(vec![open(address, false)?]);
    }
    // Alone first: that fails where another process has the port, also one that would share it.
    let alone = open(address, false)?;
    let address = alone.local_addr()?;
    drop(alone);
    (0..workers).map(|_| open(address, true)).collect()
}

/// Serves on a thread for each socket until `shutdown` is called; then takes no new connection, lets what runs finish
/// within the limit, and returns. How many connections were cut off at the limit is the result.
///
/// # Errors
/// What the system says of a thread or a socket that it does not give; nothing is served then.
pub fn serve_on_threads(
    sockets: Vec<TcpListener>,
    handle: Handle,
    options: Options,
    shutdown: &Shutdown,
) -> io::Result<u32> {
    let server = Server::new(handle, options);
    let mut workers = Vec::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        socket.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            // Ready tasks between two looks at the sockets: the default of 61 lets a burst of handshakes, of 0.2 ms each,
            // keep answers waiting.
            .event_interval(31)
            .build()?;
        let server = Arc::clone(&server);
        let run = move || {
            runtime.block_on(async {
                match tokio::net::TcpListener::from_std(socket) {
                    Ok(listener) => {
                        prepare(&listener);
                        server.accept_all(listener).await;
                    }
                    Err(error) => tracing::error!(%error, "a worker cannot listen"),
                }
            });
        };
        workers.push(thread::Builder::new().name(format!("serve-{number}")).spawn(run)?);
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let cut_off = runtime.block_on(async {
        shutdown.called().await;
        server.wind_up().await
    });
    for worker in workers {
        // A panic in it was printed when it happened.
        let _ = worker.join();
    }
    Ok(cut_off)
}
