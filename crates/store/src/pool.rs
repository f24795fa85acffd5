//! Connections that are read with: a bounded number of them. Each has a cache of its own in this process or a process
//! of its own at the database, and how many requests come at once is decided by strangers.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The most that are open; who comes while all of them are in use waits. A question takes well under a millisecond, so
/// more would not answer sooner, and PostgreSQL has a hundred for all replicas as it comes.
pub(crate) const MOST: usize = 16;

/// Connections that nobody reads with, and how many somebody does.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    state: Mutex<State<T>>,
    returned: Condvar,
    most: usize,
}

#[derive(Debug)]
struct State<T> {
    idle: Vec<T>,
    lent: usize,
}

impl<T> Pool<T> {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let state = State { idle: Vec::new(), lent: 0 };
        Arc::new(Pool { state: Mutex::new(state), returned: Condvar::new(), most })
    }

    /// Lends one that is still `usable`, or one that `open` opens; waits while as many are lent as there may be.
    ///
    /// # Errors
    /// That of `open`.
    pub(crate) fn lend<E>(
        self: &Arc<Self>,
        usable: impl Fn(&T) -> bool,
        open: impl FnOnce() -> Result<T, E>,
    ) -> Result<Lent<T>, E> {
        let idle = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let full = |state: &mut State<T>| state.lent >= self.most;
            let mut state = self.returned.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
            state.lent += 1;
            state.idle.pop()
        };
        let mut lent = Lent { pool: Arc::clone(self), connection: idle.filter(usable) };
        if lent.connection.is_none() {
            lent.connection = Some(open()?);
        }
        Ok(lent)
    }

    /// Those that nobody reads with, taken out.
    pub(crate) fn drain(&self) -> Vec<T> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).idle)
    }
}

/// One that is lent. Closed when it is dropped, since nobody knows in which state an error or a panic left it.
#[derive(Debug)]
pub(crate) struct Lent<T> {
    pool: Arc<Pool<T>>,
    connection: Option<T>,
}

impl<T> Lent<T> {
    /// Gives it back for the next one.
    pub(crate) fn give_back(mut self) {
        let connection = self.connection.take();
        self.pool.state.lock().unwrap_or_else(PoisonError::into_inner).idle.extend(connection);
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        // Closed before the next one may be opened.
        drop(self.connection.take());
        self.pool.state.lock().unwrap_or_else(PoisonError::into_inner).lent -= 1;
        self.pool.returned.notify_one();
    }
}

/// From the moment it is lent to that at which it is given back there is one.
const HELD: &str = "a connection is held while it is lent";

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.connection.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.connection.as_mut().expect(HELD)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use std::convert::Infallible;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn never_more_are_open_than_there_may_be_and_everybody_gets_one() {
        let (open, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (pool, start) = (Pool::new(3), Barrier::new(20));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    start.wait();
                    for round in 0..50 {
                        let opened = || {
                            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            Ok::<_, Infallible>(Counted(&open))
                        };
                        let lent = pool.lend(|_| true, opened).unwrap();
                        if round % 3 == 0 {
                            drop(lent);
                        } else {
                            lent.give_back();
                        }
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert_eq!(pool.drain().len(), open.load(Ordering::SeqCst));
    }

    #[test]
    fn one_that_is_not_usable_and_one_that_cannot_be_opened_take_no_place() {
        let pool = Pool::new(1);
        pool.lend(|_| true, || Ok::<_, ()>(1)).unwrap().give_back();
        assert!(pool.lend(|_| false, || Err("no")).is_err());
        assert_eq!(*pool.lend(|_| true, || Ok::<_, ()>(2)).unwrap(), 2);
    }

    struct Counted<'c>(&'c AtomicUsize);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
