//! Key files on disk: reading them with an eye on who else can, and writing them so that nobody else ever could.
//! The only module of this crate that does input and output; it never prints.

mod input;
mod output;

use std::fmt;
use std::path::PathBuf;

pub use input::{ReadFileError, ReadKeyFileError, read_key_file, read_passphrase_file, read_secret};
pub use output::{Replace, WriteFileError, write_private, write_public};

/// Something about a file that its owner should change. It was used all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileWarning {
    /// People other than its owner can read or write a file that holds a secret.
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl fmt::Display for FileWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileWarning::OpenToOthers { path, mode } = self;
        let path = path.display();
        let (may, whom) = (access(*mode), audience(*mode));
        write!(f, "{path} holds a secret and can be {may} by {whom} (mode {mode:04o}); run: chmod 600 {path}")
    }
}

fn access(mode: u32) -> &'static str {
    match (mode & 0o044 != 0, mode & 0o022 != 0) {
        (true, true) => "read and written",
        (false, true) => "written",
        (true, false) => "read",
        (false, false) => "executed",
    }
}

fn audience(mode: u32) -> &'static str {
    if mode & 0o007 != 0 { "every user of this machine" } else { "its group" }
}
