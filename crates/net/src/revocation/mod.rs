//! Revocation lists from URLs: fetched, kept on disk, asked for again well before they end, with growing pauses where
//! that fails. Whether a list is believed is decided where certificates are judged, by its signature; what is decided
//! here is that an older list never takes the place of a newer one.

mod cache;
mod online;
mod schedule;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pki::crl::{CertificateRevocationList, CrlError};
use pki::pem;
use pki::verify::TrustBundle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::dial::TlsOptions;
use crate::fetch::{FetchError, Options, Request, fetch};
use crate::tls::server_verifier::Expectation;
use crate::url::Url;
use cache::Cache;
pub(crate) use online::Unvouched;
pub use online::{Online, OnlineMode};

/// The largest list that is taken: 1,000,000 entries have 40 MB.
const LARGEST: usize = 64 << 20;

/// Lists of one source that are kept. The issuer's certificate may stand only in the chains of clients, so a list's
/// signature cannot always be checked when it arrives; whoever forges answers would have to do so this often, over
/// hours, to push out a true one (and with mode hard lets nobody in by it).
const REMEMBERED: usize = 16;

/// For one list, from the name's look-up to its last octet.
const LIMIT: Duration = Duration::from_secs(60);

/// Why a list could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The server has no list there.
    #[error("the server answered with the status {0}")]
    Status(u16),
    /// It goes on and on.
    #[error("the answer is larger than the 64 MiB that are taken")]
    TooLarge,
    /// It is no list.
    #[error("the answer is no revocation list: {0}")]
    Malformed(#[from] CrlError),
    /// It is older than the one at hand.
    #[error("the answer is a list from {theirs}, older than the one at hand, from {ours}")]
    Older {
        /// Its thisUpdate.
        theirs: Timestamp,
        /// That of the one at hand.
        ours: Timestamp,
    },
}

/// Where lists come from, and how often.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The URLs, `http://`: a list is signed itself.
    pub urls: Vec<Url>,
    /// Where they are kept between two runs.
    pub cache: Option<PathBuf>,
    /// The longest that one is not asked for again.
    pub refresh: Duration,
}

/// What is known of one list.
#[derive(Debug, Clone)]
pub struct ListState {
    /// Where it comes from.
    pub url: Url,
    /// The list at hand, and some before it of other contents: forged answers, which nobody will believe, must not push
    /// out the one that is believed.
    lists: Vec<CertificateRevocationList>,
    /// When it was last got.
    pub fetched_at: Option<Timestamp>,
    /// Why the last attempt failed, where it did.
    pub failure: Option<String>,
    failures: u32,
}

impl ListState {
    /// The list at hand.
    #[must_use]
    pub fn list(&self) -> Option<&CertificateRevocationList> {
        self.lists.first()
    }

    /// Takes an answer, unless it is older than what is at hand. Whether anything changed.
    fn take(&mut self, der: &[u8]) -> Result<bool, ListError> {
        let list = CertificateRevocationList::from_der(der)?;
        if let Some(current) = self.lists.first() {
            if current.der() == list.der() {
                return Ok(false);
            }
            let same_issuer = current.issuer().matches(list.issuer());
            if same_issuer && list.this_update() < current.this_update() {
                return Err(ListError::Older { theirs: list.this_update(), ours: current.this_update() });
            }
        }
        self.lists.insert(0, list);
        self.lists.truncate(REMEMBERED);
        Ok(true)
    }
}

/// The lists of some sources, kept up to date as long as it lives.
#[derive(Debug)]
pub struct Lists {
    states: Arc<Mutex<Vec<ListState>>>,
    changes: watch::Sender<u64>,
    tasks: JoinSet<()>,
}

impl Lists {
    /// Reads what is kept on disk, fetches what is not, and keeps all of it up to date in the background. It returns
    /// once each list is at hand or was asked for once.
    pub async fn start(sources: Sources, clock: fn() -> Timestamp) -> Self {
        let Sources { urls, cache, refresh } = sources;
        let cache = cache.map(Cache::new);
        let mut states = Vec::new();
        for url in urls {
            let mut state =
                ListState { url, lists: Vec::new(), fetched_at: None, failure: None, failures: 0 };
            if let Some(der) = cache.as_ref().and_then(|cache| cache.read(&state.url)) {
                // What is unreadable on disk is fetched again, as if it were not there.
                let _ = state.take(&der);
            }
            states.push(state);
        }
        let count = states.len();
        let states = Arc::new(Mutex::new(states));
        let changes = watch::Sender::new(0);
        let mut first = JoinSet::new();
        let mut tasks = JoinSet::new();
        for index in 0..count {
            let keeper = Arc::new(Keeper {
                index,
                states: Arc::clone(&states),
                changes: changes.clone(),
                cache: cache.clone(),
                refresh,
                clock,
            });
            if keeper.is_at_hand() {
                tasks.spawn(async move { keeper.keep(true).await });
            } else {
                let asking = Arc::clone(&keeper);
                first.spawn(async move { asking.ask().await });
                tasks.spawn(async move { keeper.keep(false).await });
            }
        }
        first.join_all().await;
        Lists { states, changes, tasks }
    }

    /// The lists at hand.
    #[must_use]
    pub fn current(&self) -> Vec<CertificateRevocationList> {
        self.states().into_iter().flat_map(|state| state.lists).collect()
    }

    /// What is known of each list.
    #[must_use]
    pub fn states(&self) -> Vec<ListState> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number that grows with each change of a list.
    #[must_use]
    pub fn version(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Tells of every later change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How many lists are looked after.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

/// Looks after one list.
struct Keeper {
    index: usize,
    states: Arc<Mutex<Vec<ListState>>>,
    changes: watch::Sender<u64>,
    cache: Option<Cache>,
    refresh: Duration,
    clock: fn() -> Timestamp,
}

impl Keeper {
    fn with<T>(&self, work: impl FnOnce(&mut ListState) -> T) -> T {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        // Made with one state for each keeper.
        work(&mut states[self.index])
    }

    fn is_at_hand(&self) -> bool {
        let now = (self.clock)();
        self.with(|state| state.list().is_some_and(|list| list.next_update().is_none_or(|end| end > now)))
    }

    async fn keep(&self, ask_now: bool) {
        if ask_now {
            self.ask().await;
        }
        loop {
            let wait = self.until_next();
            sleep(wait).await;
            self.ask().await;
        }
    }

    /// How long it is until the next attempt. Never long at a time: the machine may sleep, and its clock be set.
    fn until_next(&self) -> Duration {
        let now = (self.clock)();
        let next = self.with(|state| match state.failures {
            0 => {
                let since = state.fetched_at.unwrap_or(now);
                schedule::after_success(
                    since,
                    state.list().and_then(CertificateRevocationList::next_update),
                    self.refresh,
                )
            }
            failures => schedule::after_failure(now, failures),
        });
        Duration::try_from(next.duration_since(now).max(SignedDuration::from_secs(1)))
            .unwrap_or(Duration::from_secs(1))
    }

    /// Asks once, and notes what came of it.
    async fn ask(&self) {
        let url = self.with(|state| state.url.clone());
        let got = get(&url).await;
        let now = (self.clock)();
        let taken = got.and_then(|der| self.with(|state| state.take(&der)).map(|changed| (changed, der)));
        match taken {
            Ok((changed, der)) => {
                self.with(|state| {
                    state.fetched_at = Some(now);
                    state.failure = None;
                    state.failures = 0;
                });
                if changed {
                    if let Some(cache) = &self.cache
                        && let Err(error) = cache.write(&url, &der)
                    {
                        tracing::warn!(%url, %error, "the revocation list cannot be kept on disk");
                    }
                    self.changes.send_modify(|version| *version += 1);
                }
            }
            Err(error) => {
                let failures = self.with(|state| {
                    state.failures = state.failures.saturating_add(1);
                    state.failure = Some(error.to_string());
                    state.failures
                });
                let left = self.with(|state| state.list().map(|list| describe_rest(list, now)));
                let consequence = left.unwrap_or_else(|| "there is no list of it at hand".to_owned());
                tracing::warn!(%url, %error, failures, "a revocation list was not got; {consequence}");
            }
        }
    }
}

/// What remains of a list, in a sentence for the log.
fn describe_rest(list: &CertificateRevocationList, now: Timestamp) -> String {
    match list.next_update() {
        None => "the one at hand has no end".to_owned(),
        Some(end) if end > now => format!("the one at hand is good until {end}"),
        Some(end) => format!("crl_expired: the one at hand ended at {end}"),
    }
}

/// Fetches one list, DER or PEM.
async fn get(url: &Url) -> Result<Vec<u8>, ListError> {
    // Plain HTTP: nobody is believed but the list's own signature.
    let mut options = Options::new(TlsOptions::new(Expectation::new(TrustBundle::default())));
    options.max_time = Some(LIMIT);
    options.connect_timeout = Duration::from_secs(10);
    let mut response = fetch(Request::get(url.clone()), &options).await?;
    if response.status() != 200 {
        return Err(ListError::Status(response.status()));
    }
    let mut octets = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        octets.extend_from_slice(&chunk);
        if octets.len() > LARGEST {
            return Err(ListError::TooLarge);
        }
    }
    let from_pem = pem::looks_like_pem(&octets)
        .then(|| pem::read(&octets).ok())
        .flatten()
        .and_then(|blocks| blocks.into_iter().find(|block| block.label == "X509 CRL"));
    Ok(from_pem.map_or(octets, |block| block.der))
}
