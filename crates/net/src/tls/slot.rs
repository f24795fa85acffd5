//! What passes between one connection and the TLS settings that all connections share. rustls calls the verifier and
//! the ticketer from inside the processing of one connection's records, on one thread: around that the connection's
//! slot lies open there, with the moment of judgement, and the verdict is left in it.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::sign::CertifiedKey;

use super::negotiated::Offers;
use crate::snapshot::{Client, NoClient};

/// The slot of one connection, kept with it until its handshake is done.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) now: Timestamp,
    pub(crate) verdict: Option<Result<Arc<Client>, NoClient>>,
    /// The certificate of the server's that was chosen; none where a ticket spared it.
    pub(crate) shown: Option<Arc<CertifiedKey>>,
    /// Until when a ticket that was accepted is good, in seconds of Unix time.
    pub(crate) resumed_until: Option<i64>,
    /// The certificate that was presented when that ticket was first made, as its hash.
    pub(crate) resumed_of: Option<[u8; 32]>,
    /// What the ClientHello offered.
    pub(crate) offers: Offers,
    /// Whether this thread may wait for others.
    pub(crate) may_wait: bool,
}

impl Slot {
    pub(crate) fn new(now: Timestamp) -> Self {
        Slot {
            now,
            verdict: None,
            shown: None,
            resumed_until: None,
            resumed_of: None,
            offers: Offers::default(),
            may_wait: false,
        }
    }
}

thread_local! {
    static OPEN: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

/// Runs `work` with this slot open on the thread, and closes it.
pub(crate) fn within<T>(slot: &mut Slot, work: impl FnOnce() -> T) -> T {
    let inner = mem::replace(slot, Slot::new(slot.now));
    OPEN.with(|open| open.replace(Some(inner)));
    let result = work();
    if let Some(inner) = OPEN.with(RefCell::take) {
        *slot = inner;
    }
    result
}

/// Gives the open slot to `look`; `None` where none is open.
pub(crate) fn look<T>(look: impl FnOnce(&mut Slot) -> T) -> Option<T> {
    OPEN.with(|open| open.borrow_mut().as_mut().map(look))
}
