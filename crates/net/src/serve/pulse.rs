//! Whether the workers of a server still get their turn: each gives a sign of life with every sweep. A watchdog that
//! only knew that the process exists would let one live that serves nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::watch::{clock, millis};

/// The signs of life of all workers of one or more servers.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Vec<Arc<AtomicU64>>>);

/// One worker's; it is gone when it is dropped.
pub(crate) struct Beat {
    of: Arc<Pulse>,
    last: Arc<AtomicU64>,
}

impl Pulse {
    /// Whether every worker has given a sign of life within this time. They do ten times a second, and at once when
    /// they begin.
    ///
    /// ```
    /// let nobody_works_yet = net::serve::Pulse::default();
    /// assert!(nobody_works_yet.is_beating(std::time::Duration::from_secs(1)));
    /// ```
    #[must_use]
    pub fn is_beating(&self, within: Duration) -> bool {
        let oldest = clock().saturating_sub(millis(within));
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        beats.iter().all(|last| last.load(Ordering::Relaxed) >= oldest)
    }

    /// Gives a sign of life as often as the workers do, whenever the runtime lets tasks have their turn.
    pub(crate) async fn keep_beating(self: Arc<Self>) {
        let beat = self.enter();
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            beat.beat();
        }
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Beat {
        let last = Arc::new(AtomicU64::new(clock()));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&last));
        Beat { of: Arc::clone(self), last }
    }
}

impl Beat {
    pub(crate) fn beat(&self) {
        self.last.store(clock(), Ordering::Relaxed);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        let mut beats = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        beats.retain(|last| !Arc::ptr_eq(last, &self.last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_that_hangs_is_enough_and_one_that_ended_does_not_count() {
        let pulse = Arc::new(Pulse::default());
        let (alive, hanging) = (pulse.enter(), pulse.enter());
        let limit = Duration::from_secs(3600);
        assert!(pulse.is_beating(limit));
        std::thread::sleep(Duration::from_millis(5));
        alive.beat();
        assert!(!pulse.is_beating(Duration::from_millis(1)), "the other one gave no sign");
        drop(hanging);
        alive.beat();
        assert!(pulse.is_beating(limit));
    }
}
