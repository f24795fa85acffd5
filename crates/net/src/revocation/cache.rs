//! Lists on disk between two runs, so that a restart while their server is down lets nobody in whom the last list
//! refuses.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::url::Url;

/// A folder of lists, each under the hash of its URL.
#[derive(Debug, Clone)]
pub(super) struct Cache(PathBuf);

impl Cache {
    pub(super) fn new(folder: PathBuf) -> Self {
        Cache(folder)
    }

    fn path(&self, url: &Url) -> PathBuf {
        self.0.join(format!("{}.crl", &pki::hex(&pki::sha256(url.to_string().as_bytes()))[..32]))
    }

    pub(super) fn read(&self, url: &Url) -> Option<Vec<u8>> {
        std::fs::read(self.path(url)).ok()
    }

    /// Writes beside and renames, so that no reader finds half a list.
    pub(super) fn write(&self, url: &Url, der: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(&self.0)?;
        let path = self.path(url);
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let written = write_new(&beside, der).and_then(|()| std::fs::rename(&beside, &path));
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        written
    }
}

fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    // Left over where a process of the same number was killed.
    let _ = std::fs::remove_file(path);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}
