//! Where a tunnel listens: a TCP address, or a unix socket that only its owner may connect to.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::net::{TcpListener, UnixListener};

use crate::dial::Transport;

/// `ADDRESS:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// The text is no place to listen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no address to listen on; write ADDRESS:PORT, such as 127.0.0.1:5432, or unix:PATH")]
pub struct ListenAddressError(String);

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    /// ```
    /// use net::tunnel::ListenAddress;
    /// assert_eq!("unix:/run/db.sock".parse(), Ok(ListenAddress::Unix("/run/db.sock".into())));
    /// assert_eq!("localhost:5432".parse(), Ok(ListenAddress::Tcp("127.0.0.1:5432".parse()?)));
    /// assert!("5432".parse::<ListenAddress>().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        let problem = || ListenAddressError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(problem()) } else { Ok(ListenAddress::Unix(path.into())) };
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let port: u16 = port.parse().map_err(|_| problem())?;
            return Ok(ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], port))));
        }
        text.parse().map(ListenAddress::Tcp).map_err(|_| problem())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => write!(f, "{address}"),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An open listener.
#[derive(Debug)]
pub struct LocalListener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// None where whoever opened it looks after it.
        _file: Option<SocketFile>,
    },
}

impl LocalListener {
    /// Listens. A unix socket is made with mode 0600; one that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// What the system says; `AddrInUse` where somebody listens there, `AlreadyExists` where the path is no socket.
    pub async fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => TcpListener::bind(address).await.map(Self::tcp),
            ListenAddress::Unix(path) => {
                remove_abandoned(path)?;
                let listener = bind_private(path)?;
                let file = SocketFile::of(path)?;
                Ok(LocalListener(Kind::Unix { listener, _file: Some(file) }))
            }
        }
    }

    /// A TCP listener that is open already, such as one that a service manager handed over.
    #[must_use]
    pub fn tcp(listener: TcpListener) -> Self {
        LocalListener(Kind::Tcp(listener))
    }

    /// A unix socket's listener that is open already. The file stays with whoever made it.
    #[must_use]
    pub fn unix(listener: UnixListener) -> Self {
        LocalListener(Kind::Unix { listener, _file: None })
    }

    /// The address it got, where it is TCP.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix { .. } => None,
        }
    }

    /// The next connection, and where it came from.
    pub(super) async fn accept(&self) -> io::Result<(Transport, String)> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Transport::Tcp(stream), from.to_string()))
            }
            Kind::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let from = match stream.peer_cred() {
                    Ok(peer) => format!("unix:uid={}", peer.uid()),
                    Err(_) => "unix".to_owned(),
                };
                Ok((Transport::Unix(stream), from))
            }
        }
    }
}

/// Whether an error of accept concerns one connection that died in the queue.
pub(super) fn is_harmless(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// Removes the socket of a process that is gone. What somebody listens on, or what is no socket, is left alone.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        let text = "there is a file by this name that is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::from(io::ErrorKind::AddrInUse)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// The socket is bound under a name of its own in a folder that nobody else can enter, made 0600, and only then moved
/// to where it is wanted: between bind and chmod it would stand open to whatever the umask allows.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Short, since a socket's whole path has at most 107 octets.
    let folder = parent.join(format!(".c{:x}", std::process::id()));
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&folder)?;
    let hidden = folder.join("s");
    let bound = UnixListener::bind(&hidden).and_then(|listener| {
        std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&hidden, path)?;
        Ok(listener)
    });
    // Left empty by the rename; what a failure left in it goes too.
    let _ = std::fs::remove_file(&hidden);
    let _ = std::fs::remove_dir(&folder);
    bound
}

/// The socket's file, removed with the listener where it is still the same one.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = path.symlink_metadata()?;
        Ok(SocketFile { path: path.to_owned(), inode: (metadata.dev(), metadata.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = self.path.symlink_metadata().is_ok_and(|now| (now.dev(), now.ino()) == self.inode);
        if is_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn unix(path: &Path) -> ListenAddress {
        ListenAddress::Unix(path.to_owned())
    }

    #[tokio::test]
    async fn a_unix_socket_is_its_owners_alone_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.sock");
        let listener = LocalListener::bind(&unix(&path)).await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
        let taken = LocalListener::bind(&unix(&path)).await.unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn an_abandoned_socket_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "what a process that was killed leaves behind");
        drop(LocalListener::bind(&unix(&path)).await.unwrap());
        std::fs::write(&path, "precious").unwrap();
        let error = LocalListener::bind(&unix(&path)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
