//! Backups of a memory in SQLite: a copy of one moment, made while others write, and checked before anybody relies on it.

use std::path::{Path, PathBuf};

use ca::log::{Frontier, Hash, leaf_hash, root};
use ca::{AuditBroken, Store, StoreError, verify_audit_from};
use rusqlite::backup::{Backup, StepResult};

use crate::error::store_error;
use crate::{SqliteStore, open};

/// Events and entries read at a time.
const PAGE: usize = 500;

/// What a memory holds, after all of it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Audit events, each chained to the one before it.
    pub events: u64,
    /// The hash of the last of them.
    pub hash: [u8; 32],
    /// Certificates in the log.
    pub certificates: u64,
    /// The root over them.
    pub root: Hash,
    /// The number of the last list.
    pub list_number: u64,
}

/// Why there is no backup, or why it was not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is there already.
    #[error("{0} is there already, and is left as it is; name another file")]
    Exists(PathBuf),
    /// It cannot be written.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds no authority.
    #[error("{0} holds no authority")]
    Empty(PathBuf),
    /// SQLite finds it damaged.
    #[error("{path} is damaged: {found}")]
    Damaged {
        /// What.
        path: PathBuf,
        /// The first thing that SQLite found.
        found: String,
    },
    /// Its trail is broken.
    #[error(transparent)]
    Trail(#[from] AuditBroken),
    /// Its log is not what its certificates make.
    #[error(
        "the log's hashes are not those of its {0} certificates; the memory was changed, and is not to be used"
    )]
    Log(u64),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies the memory at `from`, as it is at one moment, to the new file `to`, while others go on writing to it; and checks
/// the copy.
///
/// # Errors
/// [`BackupError`]; then there is no file at `to`.
pub fn backup(from: &Path, to: &Path) -> Result<Checked, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    // Beside its place until it is whole: what stands there is always a backup.
    let beside = part(to);
    remove(&beside);
    let made = copy(from, &beside).and_then(|()| check(&beside));
    let checked = match made {
        Ok(checked) => checked,
        Err(error) => {
            remove(&beside);
            return Err(error);
        }
    };
    settle(&beside, to)?;
    Ok(checked)
}

/// Puts a backup in place as the memory at `to`, where there must be none: checked first, copied, and never changed
/// itself.
///
/// # Errors
/// [`BackupError`]; then there is no file at `to`.
pub fn restore(from: &Path, to: &Path) -> Result<Checked, BackupError> {
    open::check(from)?;
    backup(from, to)
}

/// Copies the pages in one step: a reader in WAL mode sees one moment and keeps no writer waiting.
fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    let wrap = |error| BackupError::Store(store_error(from, error));
    let source = open::connect(from)?;
    open::create_file(to)?;
    let mut target = open::bare(to)?;
    let backup = Backup::new(&source, &mut target).map_err(wrap)?;
    match backup.step(-1).map_err(wrap)? {
        StepResult::Done => Ok(()),
        _ => Err(StoreError::Busy.into()),
    }
}

/// Reads all of a memory in a file, and checks it: the pages, the trail, the log.
///
/// # Errors
/// [`BackupError`].
pub fn check(path: &Path) -> Result<Checked, BackupError> {
    let connection = open::connect(path)?;
    let found: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| store_error(path, error))?;
    if found != "ok" {
        return Err(BackupError::Damaged { path: path.to_owned(), found });
    }
    drop(connection);
    let store = SqliteStore::open(path)?;
    if store.authority()?.is_none() {
        return Err(BackupError::Empty(path.to_owned()));
    }
    let (mut events, mut hash) = (0, [0; 32]);
    loop {
        let page = store.audit_after(events, PAGE)?;
        let Some(last) = page.last() else { break };
        hash = verify_audit_from(events, hash, &page)?;
        events = last.sequence;
    }
    let mut frontier = Frontier::default();
    loop {
        let page = store.log_entries(frontier.size(), PAGE as u64)?;
        if page.is_empty() {
            break;
        }
        page.iter().for_each(|entry| frontier.push(leaf_hash(entry)));
    }
    let certificates = store.log_size()?;
    let kept = root(certificates, |level, start, count| store.log_hashes(level, start, count))?;
    if frontier.size() != certificates || frontier.root() != kept {
        return Err(BackupError::Log(certificates));
    }
    let list_number = store.list_number()?;
    Ok(Checked { events, hash, certificates, root: kept, list_number })
}

/// Gives the file its name, once all of it is on the disk.
fn settle(beside: &Path, to: &Path) -> Result<(), BackupError> {
    let cannot = |source| BackupError::Write { path: to.to_owned(), source };
    std::fs::File::open(beside).and_then(|file| file.sync_all()).map_err(cannot)?;
    // A link never takes the place of something that came there meanwhile.
    std::fs::hard_link(beside, to).map_err(cannot)?;
    remove(beside);
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot)
}

fn part(path: &Path) -> PathBuf {
    with_suffix(path, ".part")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a file of ours that is not whole, with what SQLite put beside it.
fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        // What is not there needs no removing; what cannot be removed is in the way of the next try, which says so.
        let _ = std::fs::remove_file(with_suffix(path, suffix));
    }
}
