//! Writing into folders that belong to the system: whole files or none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown,
};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A name that nothing else uses now: hidden, since Alpine takes every file of its folder that is not, and without
/// an extension that any update program looks for.
fn unused_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    format!(".countersign-{}-{nanoseconds:x}-{count}.tmp", process::id())
}

/// Puts a file with `contents` and mode 0644 at `path`: written beside it under another name, then renamed, so that
/// no program ever reads half of it.
pub(crate) fn place(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("the path has no folder"))?;
    let temporary = folder.join(unused_name());
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
        file.write_all(contents)?;
        // The umask may have taken bits away, and a root that only root can read is no use to anyone else.
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A private copy of a file in the same folder, to be changed and then put in the place of the original. It goes
/// away when it is dropped.
#[derive(Debug)]
pub(crate) struct Draft {
    original: PathBuf,
    copy: PathBuf,
}

impl Draft {
    /// Copies `original`, which must not be a symbolic link: the rename would replace the link.
    pub(crate) fn of(original: &Path) -> io::Result<Self> {
        let folder = original.parent().ok_or_else(|| io::Error::other("the path has no folder"))?;
        let draft = Self { original: original.to_owned(), copy: folder.join(unused_name()) };
        let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.copy)?;
        io::copy(&mut File::open(original)?, &mut target)?;
        Ok(draft)
    }

    /// The copy.
    pub(crate) fn path(&self) -> &Path {
        &self.copy
    }

    /// Puts the copy in the place of the original, with the original's owner and mode.
    pub(crate) fn commit(self) -> io::Result<()> {
        let before = fs::metadata(&self.original)?;
        let now = fs::metadata(&self.copy)?;
        if (before.uid(), before.gid()) != (now.uid(), now.gid()) {
            chown(&self.copy, Some(before.uid()), Some(before.gid()))?;
        }
        fs::set_permissions(&self.copy, before.permissions())?;
        File::open(&self.copy)?.sync_all()?;
        fs::rename(&self.copy, &self.original)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a commit there is nothing under this name any more.
        let _ = fs::remove_file(&self.copy);
    }
}

/// A private folder for what a program must find as a file. It goes away when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// A new folder in `temporary`, readable by this user alone.
    pub(crate) fn new(temporary: &Path) -> io::Result<Self> {
        let folder = temporary.join(unused_name());
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str, contents: &[u8]) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, contents)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
