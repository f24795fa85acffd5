//! The sockets that `serve` listens on: opened here, passed by the service manager, or handed over by the process that
//! served before.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::config::Config;
use crate::context::{BOLD, Context};
use crate::failure::Failure;
use crate::handover::{self, Predecessor};
use crate::input::plain;
use crate::service_manager::Inherited;

/// Everything that is listened on, and who listened on it before.
pub(super) struct Doors {
    /// For each listener of the configuration a socket for each worker.
    pub(super) listeners: Vec<Vec<TcpListener>>,
    pub(super) admin: Option<TcpListener>,
    pub(super) predecessor: Option<Predecessor>,
    /// All of them, each once, for the process that comes next; none where none can.
    pub(super) offered: Vec<OwnedFd>,
}

impl Doors {
    /// Opens what the configuration names, with what is inherited in place of what would be opened.
    pub(super) fn open(
        context: &Context,
        config: &Config,
        mut inherited: Inherited,
        handover: Option<&Path>,
    ) -> Result<Self, Failure> {
        inherited.refuse_others(|passed| {
            let mut ours = config.listeners.iter().map(|listener| listener.address).chain(config.admin);
            ours.any(|address| address.to_string() == passed)
        })?;
        let mut predecessor = None;
        if let Some(path) = handover {
            let taken = handover::take_over(path).map_err(|error| {
                Failure::usage(format!(
                    "{} leads to no process that hands its sockets over: {}",
                    path.display(),
                    plain(&error)
                ))
                .hint(format!("ss -lxp src {}    (who listens there)", path.display()))
            })?;
            if let Some((from, sockets)) = taken {
                for socket in sockets {
                    inherited.add(socket)?;
                }
                predecessor = Some(from);
            }
        }
        let mut offered = Vec::new();
        let mut offer = |socket: &TcpListener| -> Result<(), Failure> {
            // A copy that nobody is ever given would keep the socket open at the end: the kernel would go on taking
            // connections, and reset them when the process is gone.
            if handover.is_none() {
                return Ok(());
            }
            let copy = socket.try_clone().map_err(|error| cannot_share(&error))?;
            offered.push(OwnedFd::from(copy));
            Ok(())
        };
        let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers = config.workers.unwrap_or_else(processors);
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            let mut sockets = inherited.take(listener.address);
            if sockets.is_empty() {
                sockets = bind(listener.address, workers)?;
            }
            sockets.iter().try_for_each(&mut offer)?;
            let own = sockets.len();
            for number in own..workers {
                // One queue that several workers take from.
                let copy = sockets[number % own].try_clone().map_err(|error| cannot_share(&error))?;
                sockets.push(copy);
            }
            listeners.push(sockets);
        }
        let admin = match config.admin {
            None => None,
            Some(address) => {
                let socket = match inherited.take(address).pop() {
                    Some(socket) => socket,
                    None => TcpListener::bind(address).map_err(|error| {
                        let words =
                            format!("cannot listen on {address} for the admin pages: {}", plain(&error));
                        Failure::usage(words)
                    })?,
                };
                offer(&socket)?;
                Some(socket)
            }
        };
        for address in inherited.left() {
            context.say(format!("  {address} is not listened on any more"));
        }
        Ok(Doors { listeners, admin, predecessor, offered })
    }
}

fn cannot_share(error: &std::io::Error) -> Failure {
    Failure::usage(format!("a socket cannot be shared between workers: {}", plain(error)))
        .hint("ulimit -n    (how many files may be open)")
}

/// The admin pages' socket for the runtime, and its address told.
pub(super) fn admin(context: &Context, socket: TcpListener) -> Result<tokio::net::TcpListener, Failure> {
    let address = socket.local_addr();
    let listener = socket.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(socket));
    let (listener, address) = listener.and_then(|listener| Ok((listener, address?))).map_err(|error| {
        Failure::usage(format!("the socket for the admin pages cannot be used: {}", plain(&error)))
    })?;
    context.say(format!("{BOLD}http://{address}/_status{BOLD:#}  and /_metrics, /_clients"));
    if !address.ip().is_loopback() {
        context.warn(format!("{address} shows who the clients are to whoever reaches it"));
    }
    Ok(listener)
}

fn bind(address: SocketAddr, workers: usize) -> Result<Vec<TcpListener>, Failure> {
    net::serve::bind(address, workers).map_err(|error| {
        let failure = Failure::usage(format!("cannot listen on {address}: {}", plain(&error)));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => failure
                .hint(format!("ss -ltnp 'sport = :{}'    (who has it)", address.port()))
                .hint(format!("--listen {}:0    (any free port)", address.ip())),
            std::io::ErrorKind::PermissionDenied => {
                failure.hint("ports under 1024 need root or CAP_NET_BIND_SERVICE: --listen 127.0.0.1:8443")
            }
            _ => failure,
        }
    })
}
