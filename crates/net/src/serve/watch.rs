//! What ends a connection from outside: its time is up, the snapshot refuses its client, the server ends. One sweep
//! over all connections of a worker looks after that, ten times a second: a timer and a subscription for each
//! connection would cost each request and each idle connection more.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::standing::Standing;
use super::upstream::pool;
use super::{Phase, Server};

/// From one sweep to the next: time-outs are late by this much at most.
const TICK: Duration = Duration::from_millis(100);
/// How long a client that a new snapshot refuses is left to hear why before its connection is closed. A revoked client is
/// cut off within a second, of which noticing the revocation takes a part.
const GRACE: Duration = Duration::from_millis(300);
/// Connections that are judged again before others get their turn: a judgement without memory takes 0.2 ms.
const BATCH: usize = 16;

const EXPIRED: u8 = 1;
const DRAINING: u8 = 2;
const CUT: u8 = 4;
const AGED: u8 = 8;

/// Milliseconds of this process.
pub(super) fn clock() -> u64 {
    millis_at(Instant::now())
}

fn millis_at(moment: Instant) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    millis(moment.saturating_duration_since(*START))
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One connection, as the sweep sees it.
pub(crate) struct Watch {
    born: u64,
    flags: AtomicU8,
    /// The moment of the time-out; 0 where there is none.
    deadline: AtomicU64,
    /// The moment at which a lost client is cut off; 0 where it is not lost.
    cut_at: AtomicU64,
    waker: Mutex<Option<Waker>>,
    standing: OnceLock<Arc<Standing>>,
}

impl Watch {
    /// Sets the time-out anew.
    pub(crate) fn arm(&self, limit: Duration) {
        self.arm_from(Instant::now(), limit);
    }

    /// The same from a moment that was looked at already: each look at the clock is a part of what a request costs.
    pub(crate) fn arm_from(&self, moment: Instant, limit: Duration) {
        self.deadline.store(millis_at(moment).saturating_add(millis(limit)).max(1), Ordering::Relaxed);
        self.flags.fetch_and(!EXPIRED, Ordering::Relaxed);
    }

    /// Takes the time-out away.
    pub(crate) fn disarm(&self) {
        self.deadline.store(0, Ordering::Relaxed);
        self.flags.fetch_and(!EXPIRED, Ordering::Relaxed);
    }

    /// Whether the time-out has passed.
    pub(crate) fn has_expired(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & EXPIRED != 0
    }

    /// Whether the next answer is to be the last, which it says.
    pub(crate) fn is_draining(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & (DRAINING | AGED) != 0
    }

    /// Whether that is since the server ends, which does not wait for long.
    pub(crate) fn is_ending(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & DRAINING != 0
    }

    /// From now on the client is judged again with every snapshot.
    pub(crate) fn judge(&self, standing: Arc<Standing>) {
        // Set once, after the handshake.
        let _ = self.standing.set(standing);
    }

    fn raise(&self, flag: u8) {
        if self.flags.fetch_or(flag, Ordering::Relaxed) & flag == 0
            && let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner)
        {
            waker.wake_by_ref();
        }
    }
}

/// All connections of a worker.
#[derive(Default)]
pub(crate) struct Watches {
    all: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    watches: Vec<Option<Arc<Watch>>>,
    free: Vec<usize>,
}

/// A connection's place among them, left when it is dropped.
pub(crate) struct Place {
    watches: Arc<Watches>,
    index: usize,
    pub(crate) watch: Arc<Watch>,
}

impl Watches {
    pub(crate) fn enter(self: &Arc<Self>) -> Place {
        let watch = Arc::new(Watch {
            born: clock(),
            flags: AtomicU8::new(0),
            deadline: AtomicU64::new(0),
            cut_at: AtomicU64::new(0),
            waker: Mutex::new(None),
            standing: OnceLock::new(),
        });
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let index = match all.free.pop() {
            Some(index) => {
                all.watches[index] = Some(Arc::clone(&watch));
                index
            }
            None => {
                all.watches.push(Some(Arc::clone(&watch)));
                all.watches.len() - 1
            }
        };
        Place { watches: Arc::clone(self), index, watch }
    }

    fn each(&self, mut look: impl FnMut(&Arc<Watch>)) {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.watches.iter().flatten().for_each(&mut look);
    }

    /// Ends every connection as it stands.
    pub(crate) fn cut_all(&self) {
        self.each(|watch| watch.raise(CUT));
    }

    /// Looks after the connections until it is dropped.
    pub(crate) async fn sweep(&self, server: &Server) {
        let mut changes = server.handle.changes();
        let mut phase = server.phase.subscribe();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0_u32;
        let beat = server.pulse.enter();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    beat.beat();
                    count = count.wrapping_add(1);
                    self.time_out(server.limits.connection_age);
                    if count.is_multiple_of(10) {
                        pool::reap();
                        self.keep_asking(server);
                        // Paths and lists end too.
                        self.judge_all(server, false).await;
                    }
                }
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.judge_all(server, true).await;
                }
                _ = phase.changed() => {
                    let flag = match *phase.borrow_and_update() {
                        Phase::Running => continue,
                        Phase::Draining => DRAINING,
                        Phase::Over => CUT,
                    };
                    self.each(|watch| watch.raise(flag));
                }
            }
        }
    }

    fn time_out(&self, age: Option<Duration>) {
        let now = clock();
        let passed = |moment: u64| moment != 0 && moment <= now;
        self.each(|watch| {
            if passed(watch.deadline.load(Ordering::Relaxed)) {
                watch.raise(EXPIRED);
            }
            if passed(watch.cut_at.load(Ordering::Relaxed)) {
                watch.raise(CUT);
            }
            if age.is_some_and(|age| watch.born.saturating_add(millis(age)) <= now) {
                watch.raise(AGED);
            }
        });
    }

    /// Has responders asked again about those who are still there.
    fn keep_asking(&self, server: &Server) {
        let now = (server.clock)();
        if server.handle.current().online().is_some() {
            self.each(|watch| {
                if let Some(standing) = watch.standing.get() {
                    standing.keep_asking(now);
                }
            });
        }
    }

    async fn judge_all(&self, server: &Server, changed: bool) {
        let now = (server.clock)();
        let mut due = Vec::new();
        self.each(|watch| {
            let standing = watch.standing.get();
            if standing.is_some_and(|standing| changed || !standing.holds_at(now)) {
                due.push(Arc::clone(watch));
            }
        });
        for batch in due.chunks(BATCH) {
            for watch in batch {
                if watch.standing.get().is_some_and(|standing| standing.is_lost(now)) {
                    let cut_at = clock().saturating_add(millis(GRACE));
                    let _ = watch.cut_at.compare_exchange(0, cut_at, Ordering::Relaxed, Ordering::Relaxed);
                } else {
                    watch.cut_at.store(0, Ordering::Relaxed);
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.watches.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.watches[self.index] = None;
        all.free.push(self.index);
    }
}

/// Runs a connection's whole task until it ends or is cut off: then it is dropped as it stands.
pub(crate) async fn until_cut<T>(
    watch: &Watch,
    phase: &watch::Sender<Phase>,
    mut task: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut registered = false;
    std::future::poll_fn(|cx| poll_until_cut(watch, phase, task.as_mut(), &mut registered, cx)).await
}

fn poll_until_cut<T>(
    watch: &Watch,
    phase: &watch::Sender<Phase>,
    task: Pin<&mut impl Future<Output = T>>,
    registered: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Option<T>> {
    if !*registered {
        // A task has one waker for its life.
        *registered = true;
        *watch.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        // It may have come to an end in between, unheard.
        match *phase.borrow() {
            Phase::Running => {}
            Phase::Draining => watch.raise(DRAINING),
            Phase::Over => watch.raise(CUT),
        }
    }
    if watch.flags.load(Ordering::Relaxed) & CUT != 0 {
        return Poll::Ready(None);
    }
    task.poll(cx).map(Some)
}
