//! Which streams of a connection have something to do. Each place for a stream has a waker of its own, which notes the
//! place and wakes the connection's task: so that of a hundred streams that wait only those are polled that can go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The places to be polled, in the order in which they were woken.
#[derive(Default)]
pub(super) struct Ready {
    shared: Arc<Shared>,
    places: Vec<(Arc<Place>, Waker)>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    woken: Vec<usize>,
    task: Option<Waker>,
}

struct Place {
    index: usize,
    is_noted: AtomicBool,
    shared: Arc<Shared>,
}

impl Place {
    fn note(&self) -> bool {
        if self.is_noted.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).woken.push(self.index);
        true
    }
}

impl Wake for Place {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.note()
            && let Some(task) = &self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).task
        {
            task.wake_by_ref();
        }
    }
}

impl Ready {
    /// The task that polls them.
    pub(super) fn set_task(&self, waker: &Waker) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            state.task = Some(waker.clone());
        }
    }

    /// Has a place polled next.
    pub(super) fn note(&mut self, index: usize) {
        while self.places.len() <= index {
            let index = self.places.len();
            let shared = Arc::clone(&self.shared);
            let place = Arc::new(Place { index, is_noted: AtomicBool::new(false), shared });
            self.places.push((Arc::clone(&place), Waker::from(place)));
        }
        self.places[index].0.note();
    }

    /// Takes the places that were noted. Each may be noted again from here on.
    pub(super) fn take(&self, into: &mut Vec<usize>) {
        into.clear();
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(into, &mut state.woken);
    }

    /// Has places that were taken polled first.
    pub(super) fn put_back(&self, places: &[usize]) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.woken.splice(0..0, places.iter().copied());
    }

    /// The waker of a place that was taken, and is about to be polled.
    pub(super) fn waker(&self, index: usize) -> Option<Waker> {
        let (place, waker) = self.places.get(index)?;
        place.is_noted.store(false, Ordering::Release);
        Some(waker.clone())
    }

    /// Gives back everything that is kept for streams, while there is none.
    pub(super) fn forget(&mut self) {
        self.places = Vec::new();
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).woken = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    struct Task(AtomicBool);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_is_woken_is_noted_once_and_wakes_the_task() {
        let task = Arc::new(Task(AtomicBool::new(false)));
        let mut ready = Ready::default();
        ready.set_task(&Waker::from(Arc::clone(&task)));
        let mut taken = Vec::new();
        ready.note(2);
        ready.note(0);
        ready.note(2);
        ready.take(&mut taken);
        assert_eq!(taken, [2, 0]);
        assert!(!task.0.load(Ordering::Relaxed), "whoever notes is the task");
        let waker = ready.waker(2).unwrap();
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert!(task.0.load(Ordering::Relaxed));
        ready.take(&mut taken);
        assert_eq!(taken, [2]);
        // A waker outlives what was kept for it.
        ready.forget();
        waker.wake();
    }
}
