//! Reading files that hold secrets: a limit on their size, facts in the error, a warning where others can read them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::FileWarning;
use crate::passphrase::Passphrase;
use crate::private_key::PrivateKey;
use crate::read::{ReadKeyError, read_private_key};

/// The most bytes of a key file that are read. The largest RSA key has 6 KiB of PEM; a bundle of many certificates
/// beside the key still fits.
const SIZE_LIMIT: usize = 1 << 20;

/// Why a file that holds a secret was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFileError {
    /// There is no such file.
    #[error("{path} does not exist")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is a directory.
    #[error("{path} is a directory; name the file in it")]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// This process may not read it.
    #[error("{path} cannot be read: {facts}")]
    Denied {
        /// The file.
        path: PathBuf,
        /// Whose it is, its mode, and who this process is.
        facts: String,
    },
    /// Larger than any key file.
    #[error("{path} is larger than {limit} bytes, which no key file is")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: usize,
    },
    /// The operating system refused for another reason.
    #[error("{path} cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// Why no private key came out of a file.
#[derive(Debug, thiserror::Error)]
pub enum ReadKeyFileError {
    /// The file was not read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// What is in it is not one usable private key.
    #[error("{path}: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        source: ReadKeyError,
    },
}

/// Reads the private key in a file, PEM or DER, and says whether others can read the file too. Symbolic links are
/// followed and pipes are read: container platforms and shells hand keys over that way.
///
/// # Errors
/// [`ReadKeyFileError`], naming the file.
pub fn read_key_file(
    path: &Path,
    passphrase: Option<&Passphrase>,
) -> Result<(PrivateKey, Vec<FileWarning>), ReadKeyFileError> {
    let (bytes, warnings) = read_secret(path)?;
    match read_private_key(&bytes, passphrase) {
        Ok(key) => Ok((key, warnings)),
        Err(source) => Err(ReadKeyFileError::Key { path: path.to_owned(), source }),
    }
}

/// Reads a passphrase from the first line of a file.
///
/// # Errors
/// [`ReadFileError`], naming the file.
pub fn read_passphrase_file(path: &Path) -> Result<(Passphrase, Vec<FileWarning>), ReadFileError> {
    let (bytes, warnings) = read_secret(path)?;
    Ok((Passphrase::from_first_line(&bytes), warnings))
}

/// Reads a file that holds a secret, whatever its form: at most 1 MiB, into memory that is wiped.
///
/// # Errors
/// [`ReadFileError`], naming the file.
pub fn read_secret(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Vec<FileWarning>), ReadFileError> {
    let failed = |error| explain(path, error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(ReadFileError::Directory { path: path.to_owned() });
    }
    // The whole buffer at once: one that grows would leave copies of the key behind in freed memory.
    let expected =
        if metadata.is_file() { metadata.len().min(SIZE_LIMIT as u64) as usize } else { SIZE_LIMIT };
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected + 1));
    let mut chunk = Zeroizing::new([0; 4096]);
    let mut file = file;
    loop {
        let read = match file.read(&mut *chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        if bytes.len() + read > SIZE_LIMIT {
            return Err(ReadFileError::TooLarge { path: path.to_owned(), limit: SIZE_LIMIT });
        }
        if bytes.len() + read > bytes.capacity() {
            // The file grew while it was read, or is one of those that report no size.
            let mut larger = Zeroizing::new(Vec::with_capacity(SIZE_LIMIT));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
    let mode = metadata.mode() & 0o7777;
    let mut warnings = Vec::new();
    if metadata.is_file() && mode & 0o077 != 0 {
        warnings.push(FileWarning::OpenToOthers { path: path.to_owned(), mode });
    }
    Ok((bytes, warnings))
}

fn explain(path: &Path, error: io::Error) -> ReadFileError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => ReadFileError::Missing { path },
        io::ErrorKind::IsADirectory => ReadFileError::Directory { path },
        io::ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            let facts = match fs::metadata(&path) {
                Ok(metadata) => {
                    let mode = metadata.mode() & 0o7777;
                    let (owner, group) = (metadata.uid(), metadata.gid());
                    format!(
                        "it belongs to user {owner} and group {group} with mode {mode:04o}, and this process is user {user}"
                    )
                }
                Err(_) => {
                    format!("a directory on the way to it may not be searched by this process (user {user})")
                }
            };
            ReadFileError::Denied { path, facts }
        }
        _ => ReadFileError::Io { path, source: error },
    }
}
