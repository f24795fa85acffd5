//! Keeps a running `serve` up to date: changed files, SIGHUP, and what the local authority revokes take effect
//! within half a second. What cannot be loaded leaves the old in force, and says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use net::snapshot::Handle;

use super::setup::Setup;
use crate::context::{Context, report};

/// How often it is looked. A revoked client is cut off within a second, and the gateway itself takes part of that.
const INTERVAL: Duration = Duration::from_millis(400);

/// The looking thread.
pub(crate) struct Watcher {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watcher {
    /// Looks after `setup` until it is stopped.
    pub(crate) fn start(setup: Setup, handle: Handle) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let hangup = Arc::new(AtomicBool::new(false));
        tokio::spawn(hear_hangups(Arc::clone(&hangup)));
        // Its own thread: reading files and signing a list would hold up connections.
        let thread = std::thread::spawn(move || {
            let context = Context::from_environment(None, false);
            let mut seen = setup.fingerprint(context.now());
            while !stop.load(Ordering::Relaxed) {
                std::thread::park_timeout(INTERVAL);
                let print = setup.fingerprint(context.now());
                let asked = hangup.swap(false, Ordering::Relaxed);
                if print == seen && !asked {
                    continue;
                }
                seen = print;
                match setup.load(&context) {
                    Ok(snapshot) => {
                        handle.replace(snapshot);
                        context.say("Loaded anew: certificate, anchors, lists.");
                    }
                    Err(failure) => {
                        context.warn("what changed cannot be loaded; what was in force stays so");
                        report(&failure);
                    }
                }
            }
        });
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

async fn hear_hangups(heard: Arc<AtomicBool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        heard.store(true, Ordering::Relaxed);
    }
}
