//! Zero-downtime restart: a process that serves gives its listening sockets to the one that takes its place. The
//! sockets themselves go over a unix socket (SCM_RIGHTS, unix(7)), so they are never closed in between, and whoever
//! connects meanwhile waits in their queue. The old process goes on serving until the new one says that it is ready;
//! one that fails before has changed nothing.
//!
//! Whoever may connect to the unix socket may have the sockets: it is made 0600, for this user and root alone.

use std::fs::Permissions;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// What the new process says first; another version speaks another language.
const GREETING: &[u8; 24] = b"countersign handover v1\n";
/// With each message that brings sockets.
const SOCKETS: u8 = b's';
/// After the last of them.
const ALL: u8 = b'a';
/// From the new process: it serves now. Its number follows.
const READY: u8 = b'r';
/// From the old one: it takes nothing new any more.
const GONE: u8 = b'g';
/// The kernel takes 253 at once (SCM_MAX_FD).
const AT_ONCE: usize = 64;

/// Programs that this one starts get none of them.
#[cfg(target_os = "linux")]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::empty();

/// How long a word that is due at once may take.
const AT_ONCE_LIMIT: Duration = Duration::from_secs(5);
/// How long the new process may take to load everything: lists come over the network.
const LOADING_LIMIT: Duration = Duration::from_secs(300);

/// The process that served until now, and still does.
pub(crate) struct Predecessor {
    stream: UnixStream,
}

/// Asks the process that serves at `path` for its sockets; `None` where there is none.
pub(crate) fn take_over(path: &Path) -> io::Result<Option<(Predecessor, Vec<TcpListener>)>> {
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(AT_ONCE_LIMIT))?;
    stream.write_all(GREETING)?;
    let mut sockets = Vec::new();
    loop {
        match receive(&stream, &mut sockets)? {
            SOCKETS => {}
            ALL => break,
            other => return Err(unexpected(other)),
        }
    }
    let sockets = sockets.into_iter().map(TcpListener::from).collect();
    Ok(Some((Predecessor { stream }, sockets)))
}

impl Predecessor {
    /// Says that this process serves now; the old one finishes what it has and ends.
    pub(crate) fn relieve(mut self) -> io::Result<()> {
        let mut words = vec![READY];
        words.extend_from_slice(&std::process::id().to_be_bytes());
        self.stream.write_all(&words)?;
        let mut answer = [0];
        self.stream.read_exact(&mut answer)?;
        if answer[0] == GONE { Ok(()) } else { Err(unexpected(answer[0])) }
    }
}

/// The offer to hand the sockets over, until it is withdrawn.
#[derive(Clone)]
pub(crate) struct Offer {
    path: PathBuf,
    inode: u64,
    sockets: Arc<Mutex<Vec<OwnedFd>>>,
}

impl Offer {
    /// Offers these sockets at `path`. When another process has taken them and serves, `relieved` hears its number.
    pub(crate) fn start(
        path: &Path,
        sockets: Vec<OwnedFd>,
        relieved: impl FnOnce(u32) + Send + 'static,
    ) -> io::Result<Self> {
        let listener = bind_private(path)?;
        let inode = std::fs::symlink_metadata(path)?.ino();
        let offer = Offer { path: path.to_owned(), inode, sockets: Arc::new(Mutex::new(sockets)) };
        let shared = Arc::clone(&offer.sockets);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                match hand_over(stream, &shared) {
                    Ok((mut stream, process)) => {
                        relieved(process);
                        // Whether it still listens does not matter any more.
                        let _ = stream.write_all(&[GONE]);
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no other process took the place of this one, which serves on");
                    }
                }
            }
        });
        Ok(offer)
    }

    /// Offers nothing any more, and holds the sockets open no longer.
    pub(crate) fn withdraw(&self) {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // The path may be the next process's already.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Hands the sockets over and waits until the other process serves; its number.
fn hand_over(mut stream: UnixStream, sockets: &Mutex<Vec<OwnedFd>>) -> io::Result<(UnixStream, u32)> {
    stream.set_read_timeout(Some(AT_ONCE_LIMIT))?;
    stream.set_write_timeout(Some(AT_ONCE_LIMIT))?;
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting)?;
    if greeting != *GREETING {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it does not speak this version of the handover",
        ));
    }
    {
        let sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if sockets.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "this process ends, and has no sockets left",
            ));
        }
        let borrowed: Vec<BorrowedFd<'_>> = sockets.iter().map(|socket| socket.as_fd()).collect();
        for some in borrowed.chunks(AT_ONCE) {
            send(&stream, SOCKETS, some)?;
        }
    }
    stream.write_all(&[ALL])?;
    stream.set_read_timeout(Some(LOADING_LIMIT))?;
    let mut word = [0; 5];
    stream.read_exact(&mut word)?;
    let [READY, number @ ..] = word else { return Err(unexpected(word[0])) };
    Ok((stream, u32::from_be_bytes(number)))
}

fn send(stream: &UnixStream, word: u8, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    // There is room for AT_ONCE of them.
    control.push(SendAncillaryMessage::ScmRights(sockets));
    rustix::net::sendmsg(stream, &[IoSlice::new(&[word])], &mut control, SendFlags::empty())?;
    Ok(())
}

/// One word, and the sockets that came with it.
fn receive(stream: &UnixStream, sockets: &mut Vec<OwnedFd>) -> io::Result<u8> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut word = [0];
    let message =
        rustix::net::recvmsg(stream, &mut [IoSliceMut::new(&mut word)], &mut control, CLOSE_ON_EXEC)?;
    if message.bytes == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the process that serves closed the connection",
        ));
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other(
            "sockets were lost on the way: this process may open too few files (ulimit -n)",
        ));
    }
    for ancillary in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = ancillary {
            sockets.extend(received);
        }
    }
    Ok(word[0])
}

fn unexpected(word: u8) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the octet {word:#04x} means nothing at this point"))
}

/// Bound under a name of its own in a folder that nobody else can enter, made 0600, and only then moved to its place,
/// over the one of the process before: at no moment can others connect, and at no moment is nothing there.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something is there that is no socket"));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Short, since a socket's whole path has at most 107 octets.
    let folder = parent.join(format!(".h{:x}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    let hidden = folder.join("s");
    let bound = UnixListener::bind(&hidden).and_then(|listener| {
        std::fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
        std::fs::rename(&hidden, path)?;
        Ok(listener)
    });
    // Left empty by the rename; what a failure left in it goes too.
    let _ = std::fs::remove_file(&hidden);
    let _ = std::fs::remove_dir(&folder);
    bound
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::net::TcpStream;
    use std::sync::mpsc;

    use super::*;

    fn sockets(number: usize) -> (Vec<OwnedFd>, Vec<std::net::SocketAddr>) {
        let sockets: Vec<_> = (0..number).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        (sockets.into_iter().map(OwnedFd::from).collect(), addresses)
    }

    #[test]
    fn a_hundred_sockets_change_hands_and_who_waits_in_their_queue_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover");
        assert!(take_over(&path).unwrap().is_none(), "nobody serves yet");
        let (offered, addresses) = sockets(100);
        let (heard, relieved) = mpsc::channel();
        let offer = Offer::start(&path, offered, move |process| heard.send(process).unwrap()).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let waiting = TcpStream::connect(addresses[7]).unwrap();

        let (predecessor, taken) = take_over(&path).unwrap().unwrap();
        assert!(relieved.try_recv().is_err(), "not before the new one says that it serves");
        let next = Offer::start(&path, Vec::new(), |_| {}).unwrap();
        predecessor.relieve().unwrap();
        assert_eq!(relieved.recv().unwrap(), std::process::id());
        offer.withdraw();
        assert!(path.exists(), "it is the next one's by now");
        let got: Vec<_> = taken.iter().map(|socket| socket.local_addr().unwrap()).collect();
        assert_eq!(got, addresses);
        assert_eq!(taken[7].accept().unwrap().1, waiting.local_addr().unwrap());
        next.withdraw();
        assert!(!path.exists());
    }

    #[test]
    fn one_that_dies_before_it_serves_or_speaks_another_language_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover");
        let (offered, addresses) = sockets(1);
        let (heard, relieved) = mpsc::channel();
        let _offer = Offer::start(&path, offered, move |process| heard.send(process).unwrap()).unwrap();
        drop(take_over(&path).unwrap().unwrap());
        let mut stranger = UnixStream::connect(&path).unwrap();
        stranger.write_all(b"countersign handover v9\n").unwrap();
        assert_eq!(stranger.read(&mut [0]).unwrap_or(0), 0);
        assert!(relieved.try_recv().is_err());
        let (predecessor, taken) = take_over(&path).unwrap().unwrap();
        assert_eq!(taken[0].local_addr().unwrap(), addresses[0]);
        predecessor.relieve().unwrap();
        assert!(relieved.recv().is_ok());
    }

    #[test]
    fn after_the_withdrawal_nothing_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover");
        let (offered, addresses) = sockets(1);
        let offer = Offer::start(&path, offered, |_| {}).unwrap();
        offer.withdraw();
        assert!(!path.exists());
        assert!(TcpStream::connect(addresses[0]).is_err());
        std::fs::write(&path, "precious").unwrap();
        assert!(Offer::start(&path, Vec::new(), |_| {}).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
