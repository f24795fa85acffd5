//! Keeps a running command up to date: files whose contents changed, SIGHUP, and whatever else its source looks at
//! take effect within a quarter of a second, after SIGHUP at once. What cannot be loaded leaves the old in force, and says so.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::context::{Context, report};
use crate::failure::Failure;

/// How often it is looked. A revoked client is cut off within a second, and the gateway itself takes part of that.
const INTERVAL: Duration = Duration::from_millis(200);

/// A file whose size, times and inode are the same is read again only at each look of this number: a change within the
/// same tick of a coarse file system clock is seen late, but seen.
const READ_ANYWAY: u32 = 50;

/// Above this size the metadata alone decides; such a file is a revocation list, and is replaced as a whole.
const LARGEST_READ_ANYWAY: u64 = 1 << 20;

/// What is kept up to date.
pub(crate) trait Source: Send + 'static {
    /// The files it is loaded from.
    fn files(&self) -> Vec<PathBuf>;

    /// A number that changes with everything else that it is loaded from.
    fn version(&self, _now: Timestamp) -> u64 {
        0
    }

    /// Hears which thread looks after it: to unpark that one has it look at once.
    fn looked_after_by(&self, _thread: std::thread::Thread) {}

    /// Loads it anew and puts it in force; the sentence that says what was loaded.
    fn reload(&mut self, context: &Context) -> Result<String, Failure>;
}

/// The looking thread.
pub(crate) struct Watcher {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watcher {
    /// Looks after `source` until it is stopped. Call it within a runtime, where SIGHUP is heard.
    pub(crate) fn start(mut source: impl Source, quiet: bool) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let hangup = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&hangup);
        // Its own thread: reading files and signing a list would hold up connections.
        let thread = std::thread::spawn(move || {
            let context = Context::from_environment(None, quiet);
            source.looked_after_by(std::thread::current());
            let mut seen = Seen::default();
            let mut look = |source: &dyn Source| {
                let now = context.now();
                (seen.contents(&source.files()), source.version(now))
            };
            let mut loaded = look(&source);
            while !stop.load(Ordering::Relaxed) {
                std::thread::park_timeout(INTERVAL);
                let found = look(&source);
                let asked = hangup.swap(false, Ordering::Relaxed);
                if found == loaded && !asked {
                    continue;
                }
                loaded = found;
                let reloaded = match source.files().iter().find(|file| may_wait_for_ever(file)) {
                    Some(file) => Err(Failure::usage(format!(
                        "{} is a pipe or a device, which may never be read to its end",
                        file.display()
                    ))
                    .hint(format!("mv NEW.pem {}    (a file in its place)", file.display()))),
                    None => source.reload(&context),
                };
                match reloaded {
                    Ok(what) => context.say(what),
                    Err(failure) => {
                        context.warn("what changed cannot be loaded; what was in force stays so");
                        report(&failure);
                    }
                }
            }
        });
        tokio::spawn(hear_hangups(heard, thread.thread().clone()));
        Watcher { over, thread: Some(thread) }
    }

    /// Ends the looking.
    pub(crate) fn stop(mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in it was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// Whether reading it could hold this thread up, and with it every reload and revocation that comes after.
fn may_wait_for_ever(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| !metadata.is_file())
}

/// Files as they were last read.
#[derive(Default)]
struct Seen {
    looks: u32,
    files: HashMap<PathBuf, (Identity, [u8; 32])>,
}

/// What tells cheaply that a file was replaced or written to.
#[derive(Clone, PartialEq, Eq)]
struct Identity([i64; 6]);

impl Identity {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Identity([
            metadata.ino().cast_signed(),
            metadata.len().cast_signed(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ])
    }
}

impl Seen {
    /// The hash of each file's contents; of one that cannot be read nothing.
    fn contents(&mut self, files: &[PathBuf]) -> Vec<Option<[u8; 32]>> {
        self.looks = self.looks.wrapping_add(1);
        let read_anyway = self.looks.is_multiple_of(READ_ANYWAY);
        files.iter().map(|file| self.content(file, read_anyway)).collect()
    }

    fn content(&mut self, file: &Path, read_anyway: bool) -> Option<[u8; 32]> {
        let metadata = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file)?;
        let identity = Identity::of(&metadata);
        if let Some((known, hash)) = self.files.get(file)
            && *known == identity
            && !(read_anyway && metadata.len() <= LARGEST_READ_ANYWAY)
        {
            return Some(*hash);
        }
        let hash = pki::sha256(&std::fs::read(file).ok()?);
        self.files.insert(file.to_owned(), (identity, hash));
        Some(hash)
    }
}

async fn hear_hangups(heard: Arc<AtomicBool>, looking: std::thread::Thread) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        heard.store(true, Ordering::Relaxed);
        looking.unpark();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_same_contents_written_again_are_no_change_and_others_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.pem");
        let files = [file.clone()];
        let mut seen = Seen::default();
        assert_eq!(seen.contents(&files), [None], "a file that is not there");
        std::fs::write(&file, "one").unwrap();
        let first = seen.contents(&files);
        std::fs::write(folder.path().join("b"), "one").unwrap();
        std::fs::rename(folder.path().join("b"), &file).unwrap();
        assert_eq!(seen.contents(&files), first, "another file with the same contents");
        std::fs::write(&file, "two").unwrap();
        assert_ne!(seen.contents(&files), first);
    }

    #[test]
    fn contents_that_changed_under_the_same_metadata_are_seen_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.pem");
        std::fs::write(&file, "one").unwrap();
        let files = [file.clone()];
        let mut seen = Seen::default();
        let first = seen.contents(&files);
        std::fs::write(&file, "two").unwrap();
        // As if the clock of the file system had not moved: the identity is that of now, the hash that of before.
        let identity = Identity::of(&std::fs::metadata(&file).unwrap());
        seen.files.get_mut(&file).unwrap().0 = identity;
        let looks: Vec<_> = (0..READ_ANYWAY).map(|_| seen.contents(&files)).collect();
        assert_eq!(looks[0], first);
        assert!(looks.iter().any(|look| *look != first));
    }
}
