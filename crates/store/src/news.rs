//! Telling those who wait that something was written.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long nobody waits for what another process may write, where no one tells of it.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Counts what was written.
#[derive(Default)]
pub(crate) struct News {
    told: Mutex<u64>,
    changed: Condvar,
}

impl News {
    /// Something was written.
    pub(crate) fn tell(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Waits for more than `seen`, and gives the count as it is then.
    pub(crate) fn wait(&self, seen: u64, longest: Duration) -> u64 {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(told, longest, |told| *told <= seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_between_two_waits_is_not_waited_for() {
        let news = News::default();
        let for_ever = Duration::from_secs(3600);
        news.tell();
        let seen = news.wait(0, for_ever);
        news.tell();
        let seen = news.wait(seen, for_ever);
        assert_eq!(seen, 2);
        assert_eq!(news.wait(seen, Duration::ZERO), 2);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| news.wait(seen, for_ever));
            news.tell();
            assert_eq!(waiting.join().ok(), Some(3));
        });
    }
}
