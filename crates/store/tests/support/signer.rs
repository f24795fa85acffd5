//! A signing key that stays in the process that made it: another process asks for signatures through a socket, as
//! it would ask a token.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "shared by tests, each of which uses a part"
)]

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use pki::key::{PublicKey, SignError, SigningKey};
use testkit::TestKey;

/// Signs for whoever asks through `signer` in this directory, until the test process ends.
pub fn serve(directory: &Path, key: &TestKey) {
    std::fs::write(directory.join("signer.spki"), key.public_key().spki_der()).unwrap();
    let listener = UnixListener::bind(directory.join("signer")).unwrap();
    let key = key.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut message = Vec::new();
            stream.read_to_end(&mut message).unwrap();
            // One that was killed while it waited takes no signature.
            let _ = stream.write_all(&key.sign(&message).unwrap());
        }
    });
}

/// The key behind the socket.
pub struct RemoteKey {
    socket: PathBuf,
    public: PublicKey,
}

impl RemoteKey {
    /// The one that [`serve`] offers in this directory.
    pub fn of(directory: &Path) -> Self {
        let spki = std::fs::read(directory.join("signer.spki")).unwrap();
        RemoteKey { socket: directory.join("signer"), public: PublicKey::from_spki_der(&spki).unwrap() }
    }
}

impl SigningKey for RemoteKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let ask = || -> std::io::Result<Vec<u8>> {
            let mut stream = UnixStream::connect(&self.socket)?;
            stream.write_all(message)?;
            stream.shutdown(Shutdown::Write)?;
            let mut signature = Vec::new();
            stream.read_to_end(&mut signature)?;
            Ok(signature)
        };
        ask().map_err(|error| SignError::Refused(error.to_string()))
    }
}
