//! The service manager around a process that serves, where there is one: what it is told (sd_notify(3)), the signs of
//! life it wants (`WatchdogSec=`), and the sockets it opened before (`LISTEN_FDS`, sd_listen_fds(3)). systemd speaks
//! this protocol, and others do too. Without one, nothing here does anything.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::context::Context;
use crate::failure::Failure;
use crate::input::plain;

/// A worker that gave no sign of life for this long hangs: the watchdog's limit is the service manager's to choose, and
/// comes on top.
pub(crate) const ALIVE: Duration = Duration::from_secs(5);

/// A way to tell the service manager something; none where nobody listens.
#[derive(Clone, Default)]
pub(crate) struct ServiceManager {
    socket: Option<Arc<(UnixDatagram, UnixAddress)>>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that the environment names.
    pub(crate) fn of(context: &Context) -> Self {
        let Some(name) = context.variable("NOTIFY_SOCKET") else { return ServiceManager::default() };
        let socket = address(&name).and_then(|address| Ok((UnixDatagram::unbound()?, address)));
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => {
                context.warn(format!(
                    "the service manager at {name} cannot be told anything: {}",
                    plain(&error)
                ));
                return ServiceManager::default();
            }
        };
        let is_ours =
            context.variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = context
            .variable("WATCHDOG_USEC")
            .filter(|_| is_ours)
            .and_then(|text| text.parse().ok())
            .map(Duration::from_micros)
            .filter(|limit| !limit.is_zero());
        ServiceManager { socket: Some(Arc::new(socket)), watchdog }
    }

    /// It serves, as this status says.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}\n"));
    }

    /// It reads its configuration anew; [`ServiceManager::ready`] tells the end of that.
    pub(crate) fn reloading(&self) {
        // Type=notify-reload wants the moment, to tell this reload from one before.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let microseconds = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\n"));
    }

    /// The end of that.
    pub(crate) fn reloaded(&self, status: &str, is_loaded: bool) {
        if is_loaded {
            self.ready(status);
        } else {
            self.ready(&format!("{status}; what changed cannot be loaded"));
        }
    }

    /// It takes nothing more and ends.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=what is under way is finished, nothing new is taken\n");
    }

    /// Another process is the service from now on.
    pub(crate) fn succeeded_by(&self, process: u32) {
        self.tell(&format!("MAINPID={process}\n"));
    }

    /// Gives a sign of life in time for the watchdog, as long as `is_alive` says so: a process that hangs is ended and
    /// started anew. It goes on until the process ends.
    pub(crate) fn watch(&self, is_alive: impl Fn() -> bool + Send + 'static) {
        let Some(limit) = self.watchdog.filter(|_| self.socket.is_some()) else { return };
        let manager = self.clone();
        std::thread::spawn(move || {
            loop {
                if is_alive() {
                    manager.tell("WATCHDOG=1\n");
                }
                // sd_watchdog_enabled(3) recommends half of the time; a third leaves room for a busy machine.
                std::thread::sleep(limit / 3);
            }
        });
    }

    fn tell(&self, words: &str) {
        let Some(socket) = &self.socket else { return };
        let (socket, address) = &**socket;
        // One that does not listen any more changes nothing for those who are served.
        let _ = socket.send_to_addr(words.as_bytes(), address);
    }
}

fn address(name: &str) -> std::io::Result<UnixAddress> {
    #[cfg(target_os = "linux")]
    if let Some(name) = name.strip_prefix('@') {
        return <UnixAddress as std::os::linux::net::SocketAddrExt>::from_abstract_name(name);
    }
    if !name.starts_with('/') {
        return Err(std::io::Error::new(
            std::io::ErrorKind::Unsupported,
            "it is neither a path nor an abstract name",
        ));
    }
    UnixAddress::from_pathname(name)
}

/// Listening sockets that were opened before this process: by the service manager, or by the process it follows.
#[derive(Default)]
pub(crate) struct Inherited {
    sockets: Vec<(SocketAddr, TcpListener)>,
    by_path: Vec<(PathBuf, UnixListener)>,
}

impl Inherited {
    /// Those of the service manager.
    pub(crate) fn from_service_manager() -> Result<Self, Failure> {
        let mut passed = listenfd::ListenFd::from_env();
        let mut inherited = Inherited::default();
        for number in 0..passed.len() {
            if let Ok(Some(socket)) = passed.take_unix_listener(number) {
                let path =
                    socket.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_path_buf));
                inherited.by_path.push((path.unwrap_or_default(), socket));
                continue;
            }
            let socket = passed.take_tcp_listener(number).map_err(|error| {
                Failure::usage(format!(
                    "of the sockets that the service manager passed, number {number} is no listening socket: {}",
                    plain(&error)
                ))
                .hint("ListenStream=443    (and no other kind of socket in the .socket unit)")
            })?;
            if let Some(socket) = socket {
                inherited.add(socket)?;
            }
        }
        Ok(inherited)
    }

    /// One more.
    pub(crate) fn add(&mut self, socket: TcpListener) -> Result<(), Failure> {
        let address = socket.local_addr().map_err(|error| {
            Failure::usage(format!(
                "a socket that was passed to this process is none of TCP: {}",
                plain(&error)
            ))
        })?;
        self.sockets.push((address, socket));
        Ok(())
    }

    /// Takes those that listen on this address.
    pub(crate) fn take(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        let (taken, left) = std::mem::take(&mut self.sockets).into_iter().partition(|(of, _)| *of == address);
        self.sockets = left;
        let taken: Vec<(SocketAddr, TcpListener)> = taken;
        taken.into_iter().map(|(_, socket)| socket).collect()
    }

    /// Takes the one that listens at this path.
    pub(crate) fn take_path(&mut self, path: &Path) -> Option<UnixListener> {
        let at = self.by_path.iter().position(|(of, _)| of == path)?;
        Some(self.by_path.swap_remove(at).1)
    }

    /// Where those listen that nobody has taken, as `--listen` has it.
    pub(crate) fn left(&self) -> Vec<String> {
        let paths = self.by_path.iter().map(|(path, _)| format!("unix:{}", path.display()));
        self.sockets.iter().map(|(address, _)| address.to_string()).chain(paths).collect()
    }

    /// Refuses sockets for which there is no listener: whoever connects there would wait for ever. `is_ours` knows the
    /// addresses that are listened on.
    pub(crate) fn refuse_others(&self, is_ours: impl Fn(&str) -> bool) -> Result<(), Failure> {
        match self.left().into_iter().find(|address| !is_ours(address)) {
            None => Ok(()),
            Some(address) => Err(Failure::usage(format!(
                "the service manager passes a socket for {address}, and no listener has that address: whoever connects \
                 there would wait for ever"
            ))
            .hint(format!("--listen {address}"))
            .hint("or ListenStream= in the .socket unit with the address of a listener")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn sockets_go_to_the_listener_of_their_address_and_the_others_are_told() {
        let (one, other) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (first, second) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let mut inherited = Inherited::default();
        inherited.add(one.try_clone().unwrap()).unwrap();
        inherited.add(one).unwrap();
        inherited.add(other).unwrap();
        assert_eq!(inherited.take(first).len(), 2);
        assert!(inherited.take(first).is_empty());
        assert_eq!(inherited.left(), [second.to_string()]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        inherited.by_path.push((path.clone(), UnixListener::bind(&path).unwrap()));
        assert!(inherited.refuse_others(|address| address == second.to_string()).is_err());
        assert!(inherited.take_path(&path).is_some() && inherited.take_path(&path).is_none());
        assert!(inherited.refuse_others(|address| address == second.to_string()).is_ok());
    }

    #[test]
    fn what_is_told_arrives_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let heard = UnixDatagram::bind(&path).unwrap();
        let told = |heard: &UnixDatagram, name: &str| {
            let socket = Some(Arc::new((UnixDatagram::unbound().unwrap(), address(name).unwrap())));
            ServiceManager { socket, watchdog: None }.ready("2 listeners");
            let mut words = [0; 100];
            let length = heard.recv(&mut words).unwrap();
            String::from_utf8_lossy(&words[..length]).into_owned()
        };
        assert_eq!(told(&heard, path.to_str().unwrap()), "READY=1\nSTATUS=2 listeners\n");
        #[cfg(target_os = "linux")]
        {
            let name = format!("countersign-{}", std::process::id());
            let abstract_address =
                <UnixAddress as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name).unwrap();
            let heard = UnixDatagram::bind_addr(&abstract_address).unwrap();
            assert_eq!(told(&heard, &format!("@{name}")), "READY=1\nSTATUS=2 listeners\n");
        }
        assert!(address("vsock:2:1234").is_err());
    }
}
