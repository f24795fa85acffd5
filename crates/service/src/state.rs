//! What every handler is given: the authority, the settings, the time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use ca::rollover::{self, Seen as InUse, Step};
use ca::{Authority, Commit, IssueRequest, Issued, Line, Lines, Record, Store, StoreError, Write};
use jiff::{SignedDuration, Timestamp};

use net::serve::Counters;
use pki::Certificate;
use pki::key::SigningKey;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::log::Signed;
use crate::radar::{Gateway, Radar};
use crate::refusals::Refusals;
use crate::sharing::Sharing;
use crate::status::lists::Lists;
use crate::status::ocsp::Answers;
use crate::{Problem, acme, expiry};

/// The authority as the service holds it, whichever memory is below.
pub type SharedAuthority = Authority<Arc<dyn Store>>;

/// Makes the own list of a line's root as of a moment, where that can be done.
pub type RootList = Arc<dyn Fn(&Lines, &Line, Timestamp) -> Option<Vec<u8>> + Send + Sync>;

/// What the operator decides.
#[derive(Clone)]
pub struct Settings {
    /// Where clients reach it: `https://ca.acme.test:8444`, without a slash at the end.
    pub base: String,
    /// How long a revocation list is good. It is made again at half of that, and with every revocation.
    pub list_lifetime: SignedDuration,
    /// How long past its end a certificate can still be renewed with itself.
    pub grace: SignedDuration,
    /// What this process is called among the replicas of the service; one without a name does not say that it is there.
    pub replica: Option<String>,
    /// The moment of everything.
    pub clock: fn() -> Timestamp,
    /// The root's own list in DER as of a moment, where its key is at hand.
    pub root_list: Option<RootList>,
    /// What concerns ACME alone.
    pub acme: acme::Settings,
}

impl Settings {
    /// The usual settings of an authority that is reached at `base`.
    ///
    /// ```
    /// let settings = service::Settings::new("https://localhost:8444");
    /// assert_eq!(settings.list_lifetime.as_hours(), 24);
    /// ```
    #[must_use]
    pub fn new(base: &str) -> Self {
        Settings {
            base: base.trim_end_matches('/').to_owned(),
            list_lifetime: SignedDuration::from_hours(24),
            grace: SignedDuration::ZERO,
            replica: None,
            clock: Timestamp::now,
            root_list: None,
            acme: acme::Settings::default(),
        }
    }
}

/// What every handler is given. Cloning it is cheap, and gives the same one.
#[derive(Clone)]
pub struct State(Arc<Inner>);

struct Inner {
    authority: SharedAuthority,
    settings: Settings,
    lists: Lists,
    answers: Answers,
    /// By the number of the line that each speaks for.
    responders: RwLock<BTreeMap<u32, Arc<Responder>>>,
    refusals: Arc<Refusals>,
    sharing: Sharing,
    counters: Arc<Counters>,
    signed_log: Signed,
    radar: Arc<Radar>,
    expiry_counts: expiry::Counts,
    /// Until when it was remembered who was seen.
    remembered: Mutex<Option<Timestamp>>,
    /// Whether it was said that the lines cannot be read.
    is_told: AtomicBool,
    /// The number of the last audit event and of the last revocation that this process knows of.
    seen: watch::Sender<Seen>,
    /// The version of the lines that this process's own certificate goes by; nothing where nobody keeps one.
    shows: watch::Sender<Option<u64>>,
}

/// How far the memory has come, as this process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// The number of the last audit event.
    pub events: u64,
    /// The number of the last revocation or release.
    pub revocation: u64,
}

/// Who signs OCSP answers: a certificate that the issuing CA made for it, and its key.
pub struct Responder {
    /// The certificate.
    pub certificate: Certificate,
    /// Its key.
    pub key: Box<dyn SigningKey>,
}

/// How long a memory may leave unsaid that something was written to it. Those of which another process can write without
/// telling are looked at more often, by themselves.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long the answer to a step of a rollover waits for this process's own certificate to be of the new line.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// How often a replica says that it is there, and how long that is remembered.
const PULSE: SignedDuration = SignedDuration::from_secs(15);
/// How often records that nobody asks for any more are forgotten, how long each stays behind its end, which is more than
/// the clocks of replicas differ, and how many go in one transaction, so that nobody waits for it.
const FORGET_EVERY: SignedDuration = SignedDuration::from_hours(1);
const FORGET_BEHIND: SignedDuration = SignedDuration::from_hours(24);
const FORGET_AT_ONCE: usize = 500;
/// How long after it saw somebody a gateway's report may come.
const REPORTED_WITHIN: SignedDuration = SignedDuration::from_mins(5);
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// A process of this service, as it last said of itself in the memory that all share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) base: String,
    pub(crate) version: String,
    pub(crate) heard: Timestamp,
    /// The last audit event that it knew.
    pub(crate) events: u64,
    /// The lines whose keys it has.
    pub(crate) keys: Vec<u32>,
    /// While a rollover is under way, the gateways that tell it how they do.
    pub(crate) gateways: Vec<OfGateway>,
}

/// What the next step of a rollover depends on at a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfGateway {
    pub(crate) name: String,
    pub(crate) heard: Timestamp,
    /// Whether it believes the root of the new line; nothing where it does not say whom it believes.
    pub(crate) believes: Option<bool>,
    /// The serial numbers of its own certificates.
    pub(crate) shows: Vec<Vec<u8>>,
}

/// The most of a gateway's own certificates that are looked at.
const MOST_SHOWN: usize = 20;

impl OfGateway {
    /// Those that tell this process, while a rollover is under way.
    pub(crate) fn heard_here(state: &State) -> Vec<Self> {
        let lines = state.authority().lines();
        let Some(new) = lines.rollover().and_then(|rollover| lines.find(rollover.to)) else {
            return Vec::new();
        };
        let root = pki::hex(&new.issuer().anchor().sha256());
        let of = |one: Gateway| OfGateway {
            name: one.name,
            heard: one.heard_at,
            believes: one.anchors.map(|anchors| anchors.contains(&root)),
            shows: one
                .certificates
                .iter()
                .filter_map(|own| pki::unhex(&own.serial).filter(|serial| !serial.is_empty()))
                .take(MOST_SHOWN)
                .collect(),
        };
        state.radar().gateways().into_iter().map(of).collect()
    }

    fn json(&self) -> Value {
        json!({ "name": self.name, "heard": self.heard.to_string(), "believes": self.believes,
                "shows": self.shows.iter().map(|serial| pki::hex(serial)).collect::<Vec<_>>() })
    }

    fn parse(value: &Value) -> Option<Self> {
        let shows = value["shows"].as_array().into_iter().flatten();
        Some(OfGateway {
            name: value["name"].as_str()?.to_owned(),
            heard: value["heard"].as_str()?.parse().ok()?,
            believes: value["believes"].as_bool(),
            shows: shows.filter_map(|serial| pki::unhex(serial.as_str()?)).collect(),
        })
    }
}

impl Replica {
    const KIND: &str = "replica";

    /// Says that this process is there, and how far it is.
    pub(crate) fn pulse(state: &State, now: Timestamp) -> Result<(), StoreError> {
        let Some(name) = &state.settings().replica else { return Ok(()) };
        let body = json!({
            "base": state.base(), "version": env!("CARGO_PKG_VERSION"), "heard": now.to_string(),
            "events": state.seen().borrow().events, "keys": keys_here(state),
            "gateways": OfGateway::heard_here(state).iter().map(OfGateway::json).collect::<Vec<_>>(),
        });
        let found = state.store().record(Self::KIND, name)?;
        let record = found.unwrap_or_else(|| Record::new(Self::KIND, name, String::new()));
        let record = Record { body: body.to_string(), expires: now.checked_add(REMEMBERED).ok(), ..record };
        state.store().commit(Commit::of(Write::Put(record)))
    }

    /// Says that this process is there no longer, so that no step of a rollover waits for it.
    fn leave(state: &State) -> Result<(), StoreError> {
        let Some(name) = &state.settings().replica else { return Ok(()) };
        match state.store().record(Self::KIND, name)? {
            Some(record) => state.store().commit(Commit::of(Write::Delete(record))),
            None => Ok(()),
        }
    }

    /// Those that were heard in the last hour.
    pub(crate) fn heard(store: &dyn Store, now: Timestamp) -> Result<Vec<Self>, StoreError> {
        let records = store.records(Self::KIND, None, None, 1000)?;
        let read = |record: &Record| {
            let value: Value = serde_json::from_str(&record.body).ok()?;
            Some(Replica {
                name: record.id.clone(),
                base: value["base"].as_str()?.to_owned(),
                version: value["version"].as_str()?.to_owned(),
                heard: value["heard"].as_str()?.parse().ok()?,
                events: value["events"].as_u64()?,
                keys: numbers(&value["keys"]),
                gateways: value["gateways"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(OfGateway::parse)
                    .collect(),
            })
        };
        let all = records.iter().filter_map(read);
        Ok(all.filter(|one| now.duration_since(one.heard) < REMEMBERED).collect())
    }
}

impl State {
    /// The state of a service of this authority.
    #[must_use]
    pub fn new(authority: SharedAuthority, settings: Settings) -> Self {
        State(Arc::new(Inner {
            authority,
            settings,
            lists: Lists::default(),
            answers: Answers::default(),
            responders: RwLock::default(),
            refusals: Arc::default(),
            sharing: Sharing::default(),
            counters: Arc::default(),
            signed_log: Signed::default(),
            radar: Arc::default(),
            expiry_counts: expiry::Counts::default(),
            remembered: Mutex::default(),
            is_told: AtomicBool::new(false),
            seen: watch::channel(Seen::default()).0,
            shows: watch::channel(None).0,
        }))
    }

    /// The authority. Its memory and its key block: call it within [`State::blocking`].
    #[must_use]
    pub fn authority(&self) -> &SharedAuthority {
        &self.0.authority
    }

    /// The authority's memory, which blocks too.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &**self.0.authority.store()
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Where clients reach it, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.0.settings.base
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0.settings.clock)()
    }

    /// Puts another OCSP responder in place, for the line whose issuing CA made its certificate.
    pub fn set_responder(&self, responder: Responder) {
        let lines = self.authority().lines();
        let made_it =
            |line: &&Arc<Line>| line.issuer().certificate().subject() == responder.certificate.issuer();
        let Some(line) = lines.all().iter().find(made_it) else { return };
        let mut responders = self.0.responders.write().unwrap_or_else(PoisonError::into_inner);
        responders.insert(line.number(), Arc::new(responder));
        drop(responders);
        self.0.answers.forget();
    }

    /// Says that this process's listeners show a certificate that goes by this version of the lines.
    pub fn shows(&self, lines: u64) {
        self.0.shows.send_replace(Some(lines));
    }

    /// Waits until the listeners show a certificate that goes by the lines as they are now. Otherwise whoever drops the old
    /// root on hearing that its line is retired could not come back here. Where that cannot be, as while the memory is away,
    /// the wait ends by itself.
    pub(crate) async fn until_shown(&self) {
        let lines = self.authority().lines().version();
        let mut shows = self.0.shows.subscribe();
        let shown = shows.wait_for(|shown| shown.is_none_or(|shown| shown >= lines));
        let _ = tokio::time::timeout(SHOWN_WITHIN, shown).await;
    }

    /// The handshakes that were refused lately.
    #[must_use]
    pub fn refusals(&self) -> &Arc<Refusals> {
        &self.0.refusals
    }

    pub(crate) fn sharing(&self) -> &Sharing {
        &self.0.sharing
    }

    /// What this service's own listeners count.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// Who is connected where.
    #[must_use]
    pub fn radar(&self) -> &Arc<Radar> {
        &self.0.radar
    }

    /// Who signs OCSP answers for the line of this number.
    #[must_use]
    pub fn responder(&self, line: u32) -> Option<Arc<Responder>> {
        self.0.responders.read().unwrap_or_else(PoisonError::into_inner).get(&line).cloned()
    }

    /// Goes by the lines as they are now, which another process may have changed. What cannot be followed is said once,
    /// and what was known stays in force. Blocks.
    fn follow_lines(&self) {
        match self.authority().refresh() {
            Ok(_) => self.0.is_told.store(false, Ordering::Relaxed),
            Err(error) => {
                if !self.0.is_told.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "a step of the rollover cannot be followed; what was known stays in force");
                }
            }
        }
    }

    /// Remembers for all replicas, and over a restart, who was seen here with certificates of a line that is left.
    /// Blocks.
    ///
    /// # Errors
    /// A [`Problem`] where the memory cannot be read or written.
    pub(crate) fn remember_seen(&self) -> Result<(), Problem> {
        let lines = self.authority().lines();
        let Some(rollover) = lines.rollover().filter(|rollover| rollover.step == Step::Reissue) else {
            *self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return Ok(());
        };
        let mut remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let since = remembered.map_or(Timestamp::UNIX_EPOCH, |at| at - REPORTED_WITHIN);
        let seen: Vec<InUse> = self
            .radar()
            .seen_since(since)
            .into_iter()
            .filter_map(|one| {
                Some(InUse {
                    serial: pki::unhex(&one.serial).filter(|serial| !serial.is_empty())?,
                    at: one.last_seen,
                    by: one.gateway,
                })
            })
            .collect();
        rollover::remember(self.store(), rollover, &seen)?;
        *remembered = Some(now);
        Ok(())
    }

    pub(crate) fn expiry_counts(&self) -> &expiry::Counts {
        &self.0.expiry_counts
    }

    pub(crate) fn signed_log(&self) -> &Signed {
        &self.0.signed_log
    }

    pub(crate) fn answers(&self) -> &Answers {
        &self.0.answers
    }

    /// How far the memory has come; the receiver is told of every change.
    #[must_use]
    pub fn seen(&self) -> watch::Receiver<Seen> {
        self.0.seen.subscribe()
    }

    /// Looks how far the memory has come. Blocks.
    ///
    /// # Errors
    /// A [`Problem`] where it cannot be read.
    pub fn look(&self) -> Result<Seen, Problem> {
        let seen =
            Seen { events: self.store().audit_length()?, revocation: self.store().revocation_version()? };
        // Before anybody is told of it, so that whoever hears of a step finds it taken.
        if seen.events > self.0.seen.borrow().events {
            self.follow_lines();
        }
        self.0.seen.send_if_modified(|known| {
            let is_news = seen.events > known.events;
            if is_news {
                *known = seen;
            }
            is_news
        });
        Ok(seen)
    }

    /// Says that this process ends. Blocks. Where that cannot be said, it is late a moment from now.
    pub fn leave(&self) {
        let _ = Replica::leave(self);
    }

    /// Keeps looking, so that what any process writes is known here at once, or a moment later. Runs until it is dropped.
    pub async fn follow(self) {
        let (mut is_told, mut heard) = (false, 0);
        let mut said = None;
        let mut forgot: Option<Timestamp> = None;
        loop {
            let now = self.now();
            let lines = self.authority().lines().version();
            // With each step of a rollover too: the next one waits for who has its key.
            if said.is_none_or(|(said, of_lines)| of_lines != lines || now.duration_since(said) >= PULSE) {
                said = Some((now, lines));
                // Whether the others hear of this one changes nothing of what it does.
                let pulse = move |state: &State| {
                    state.follow_lines();
                    state.remember_seen()?;
                    Ok(Replica::pulse(state, now)?)
                };
                let _ = self.blocking(pulse).await;
            }
            // A memory that cannot be read is said once.
            match self.blocking(State::look).await {
                Ok(_) => is_told = false,
                Err(problem) if !is_told => {
                    tracing::warn!(
                        detail = problem.detail(),
                        "the memory cannot be read; what is known stays in force"
                    );
                    is_told = true;
                }
                Err(_) => {}
            }
            // Each replica does it for itself: what another one forgot meanwhile is simply gone. Where more are left than
            // go at once, or the memory is away, the next round goes on.
            if forgot.is_none_or(|at| now.duration_since(at) >= FORGET_EVERY) {
                let forget = move |state: &State| {
                    Ok(state.store().prune_records(now - FORGET_BEHIND, FORGET_AT_ONCE)?)
                };
                if self.blocking(forget).await.is_ok_and(|gone| gone < FORGET_AT_ONCE as u64) {
                    forgot = Some(now);
                }
            }
            // What cannot be told now is told later, and that the memory is away was said above.
            let _ = self.blocking(State::share_what_is_due).await;
            let wait = move |state: &State| Ok(state.store().wait_for_news(heard, LOOK_AGAIN));
            // It fails where the thread cannot be had, and then time passes in another way.
            match self.blocking(wait).await {
                Ok(news) => heard = news,
                Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    pub(crate) fn lists(&self) -> &Lists {
        &self.0.lists
    }

    /// Random octets.
    ///
    /// # Errors
    /// A [`Problem`] where there are none.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], Problem> {
        let mut octets = [0; N];
        self.0.authority.random(&mut octets).map_err(|error| {
            tracing::error!(%error, "no random numbers");
            Problem::of(500, "internal", "the authority has no random numbers; its log says why")
        })?;
        Ok(octets)
    }

    /// Runs what blocks on a thread of its own. Many at a time share one flush to the disk.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&State) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let state = self.clone();
        match tokio::task::spawn_blocking(move || work(&state)).await {
            Ok(result) => result,
            Err(error) => Err(Problem::internal(&error)),
        }
    }

    /// Issues a certificate, now.
    ///
    /// # Errors
    /// A [`Problem`] that says why not.
    pub async fn issue(&self, request: IssueRequest) -> Result<Issued, Problem> {
        self.blocking(move |state| Ok(state.authority().issue(request, state.now())?)).await
    }
}

/// The lines whose keys this process has.
fn keys_here(state: &State) -> Vec<u32> {
    let lines = state.authority().lines();
    lines.all().iter().filter(|line| line.key().is_some()).map(|line| line.number()).collect()
}

fn numbers(value: &Value) -> Vec<u32> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(|number| u32::try_from(number.as_u64()?).ok()).collect()
}
