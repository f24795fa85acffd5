//! The secrets of connections, written for Wireshark in the format of `SSLKEYLOGFILE`
//! (draft-ietf-tls-keylogfile). Whoever reads the file can read the traffic; it is opened only where a caller names it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;

use rustls::KeyLog;

/// An open key log file.
pub struct KeyLogFile(Mutex<File>);

impl KeyLogFile {
    /// Opens a file to append to; one that is made is readable by its owner alone.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    ///
    /// ```
    /// let folder = tempfile::tempdir()?;
    /// net::tls::key_log::KeyLogFile::open(&folder.path().join("keys.log"))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(KeyLogFile(Mutex::new(options.open(path)?)))
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", pki::hex(client_random), pki::hex(secret));
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "the key log cannot be written");
        }
    }
}

impl fmt::Debug for KeyLogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLogFile")
    }
}
