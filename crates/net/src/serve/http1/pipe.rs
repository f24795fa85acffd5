//! The body of a request on its way from the connection's task, which reads it, to whoever answers the request: a
//! short queue, so that a body is read no faster than it is taken.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::Frame;

/// What may wait in the queue.
const WAITING: usize = 64 * 1024;

#[derive(Default)]
struct Shared {
    queue: VecDeque<io::Result<Frame<Bytes>>>,
    octets: usize,
    inlet_gone: bool,
    outlet_gone: bool,
    taker: Option<Waker>,
    giver: Option<Waker>,
}

/// Where the body goes in.
pub(crate) struct Inlet(Arc<Mutex<Shared>>);

/// Where it comes out.
pub(crate) struct Outlet(Arc<Mutex<Shared>>);

/// A pipe.
pub(crate) fn pipe() -> (Inlet, Outlet) {
    let shared = Arc::default();
    (Inlet(Arc::clone(&shared)), Outlet(shared))
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inlet {
    /// Waits until there is room; false where nobody takes any more.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut shared = lock(&self.0);
        if shared.outlet_gone {
            return Poll::Ready(false);
        }
        if shared.octets < WAITING {
            return Poll::Ready(true);
        }
        shared.giver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The octets that wait to be taken; none where nobody takes any more. It is woken when some are taken.
    pub(crate) fn poll_waiting(&self, cx: &mut Context<'_>) -> Option<usize> {
        let mut shared = lock(&self.0);
        if shared.outlet_gone {
            return None;
        }
        if !shared.giver.as_ref().is_some_and(|giver| giver.will_wake(cx.waker())) {
            shared.giver = Some(cx.waker().clone());
        }
        Some(shared.octets)
    }

    /// Puts a piece in. A body that ends with an error, or by dropping the inlet, ends there.
    pub(crate) fn put(&self, piece: io::Result<Frame<Bytes>>) {
        let mut shared = lock(&self.0);
        shared.octets += piece.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
        shared.queue.push_back(piece);
        if let Some(taker) = shared.taker.take() {
            taker.wake();
        }
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.inlet_gone = true;
        if let Some(taker) = shared.taker.take() {
            taker.wake();
        }
    }
}

impl Outlet {
    pub(crate) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut shared = lock(&self.0);
        let Some(piece) = shared.queue.pop_front() else {
            if shared.inlet_gone {
                return Poll::Ready(None);
            }
            shared.taker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        shared.octets -= piece.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
        if let Some(giver) = shared.giver.take() {
            giver.wake();
        }
        Poll::Ready(Some(piece))
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.outlet_gone = true;
        if let Some(giver) = shared.giver.take() {
            giver.wake();
        }
    }
}
