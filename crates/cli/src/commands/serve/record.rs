//! `serve --record DIR`: handshakes that were refused, kept to be explained later. A thread of its own writes them, since
//! whoever is refused must not hold up who is served; and there is an end to them, since strangers decide how many come.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use explain::capture::Transcript;
use keys::file::{Replace, write_private};
use net::serve::Recordings;

use crate::context::Context;
use crate::failure::Failure;
use crate::input::plain;

/// As many are kept in one run: of a handful one learns, and a flood must not fill the disk.
const MOST: usize = 1000;
/// What may wait for the disk; more is dropped.
const WAITING: usize = 64;

/// The writing thread.
pub(crate) struct Keeper {
    sender: SyncSender<Transcript>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Keeps recordings in a folder, which is made for its owner alone where it is not there.
    pub(crate) fn start(context: &Context, folder: &Path) -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
            Failure::usage(format!("cannot make {}: {}", folder.display(), plain(&error)))
        })?;
        context.say(format!(
            "  refused handshakes are kept in {} (explain them with: countersign explain --from FILE)",
            folder.display()
        ));
        let (sender, waiting) = sync_channel(WAITING);
        let folder = folder.to_owned();
        let thread = std::thread::spawn(move || keep(&folder, &waiting));
        Ok(Keeper { sender, thread })
    }

    /// What takes the recordings.
    pub(crate) fn recordings(&self) -> Recordings {
        let sender = self.sender.clone();
        Arc::new(move |transcript| {
            // Full means that the disk is slower than the refused come: this one is not kept.
            let _ = sender.try_send(transcript);
        })
    }

    /// Ends when all that waits is written; every taker has to be gone.
    pub(crate) fn stop(self) {
        drop(self.sender);
        // A panic of the thread was told by its own message.
        let _ = self.thread.join();
    }
}

fn keep(folder: &Path, waiting: &Receiver<Transcript>) {
    for (number, transcript) in (1..=MOST).zip(waiting.iter()) {
        let path = folder.join(name(&transcript, number));
        if let Err(error) = write_private(&path, &transcript.to_bytes(), Replace::No) {
            tracing::warn!(%error, "a refused handshake cannot be kept; no further ones are");
            return;
        }
    }
    if waiting.recv().is_ok() {
        tracing::warn!(folder = %folder.display(), "{MOST} refused handshakes are kept; no further ones are");
    }
}

/// When, and a number, so that two of the same second are two files.
fn name(transcript: &Transcript, number: usize) -> PathBuf {
    let when =
        transcript.started.map(|started| started.strftime("%Y%m%dT%H%M%SZ").to_string()).unwrap_or_default();
    format!("{when}-{number:04}.transcript").into()
}
