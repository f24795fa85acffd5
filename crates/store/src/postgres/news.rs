//! Hearing at once what other replicas write: `LISTEN` on a connection of its own, from the first time that somebody
//! waits. A database that knows no `LISTEN`, or is away, is looked at now and then instead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ca::StoreError;
use postgres::fallible_iterator::FallibleIterator as _;

use super::open::Server;
use crate::news::{LOOK_AGAIN, News};

/// What a transaction that appended to the trail says.
pub(super) const TELL: &str = "NOTIFY countersign";
const LISTEN: &str = "LISTEN countersign";

/// How long a connection that broke stays away, and how long the end of a process may go unnoticed.
const PAUSE: Duration = Duration::from_secs(1);

/// The one who listens.
#[derive(Default)]
pub(super) struct Listener {
    shared: Arc<Shared>,
    started: OnceLock<()>,
}

#[derive(Default)]
struct Shared {
    news: News,
    is_listening: AtomicBool,
    is_over: AtomicBool,
}

impl Listener {
    /// Tells those who wait in this process.
    pub(super) fn tell(&self) {
        self.shared.news.tell();
    }

    pub(super) fn wait(&self, server: &Server, seen: u64, longest: Duration) -> u64 {
        self.started.get_or_init(|| {
            let (server, shared) = (server.clone(), Arc::clone(&self.shared));
            // Without a thread it is looked now and then, as without LISTEN.
            let _ = std::thread::Builder::new()
                .name("store-listener".to_owned())
                .spawn(move || listen(&server, &shared));
        });
        let is_listening = self.shared.is_listening.load(Ordering::Relaxed);
        self.shared.news.wait(seen, if is_listening { longest } else { longest.min(LOOK_AGAIN) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The thread sees it within a second, and nobody waits for that.
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

fn listen(server: &Server, shared: &Shared) {
    while !shared.is_over.load(Ordering::Relaxed) {
        // Why it ended does not matter: it is looked now and then until it is back.
        let _ = listen_once(server, shared);
        shared.is_listening.store(false, Ordering::Relaxed);
        shared.news.tell();
        std::thread::sleep(PAUSE);
    }
}

fn listen_once(server: &Server, shared: &Shared) -> Result<(), StoreError> {
    let wrap = |error| server.error(error);
    let mut client = server.connect()?;
    client.batch_execute(LISTEN).map_err(wrap)?;
    shared.is_listening.store(true, Ordering::Relaxed);
    // What was written before it listened, nobody told.
    shared.news.tell();
    while !shared.is_over.load(Ordering::Relaxed) && !client.is_closed() {
        let mut notifications = client.notifications();
        let mut told = notifications.timeout_iter(PAUSE);
        while told.next().map_err(wrap)?.is_some() {
            shared.news.tell();
        }
    }
    Ok(())
}
