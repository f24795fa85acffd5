//! Kept-alive HTTP/1.1 connections to upstreams. Each thread keeps its own, since a connection wakes the thread that
//! opened it. One goes back when its answer was read to the end, and is given out again, the freshest first, while it
//! is young enough not to be closed by the upstream at that moment.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::link::Link;

/// Node.js closes an idle connection after 5 s (`server.keepAliveTimeout`), sooner than others do: so it is not
/// used any more a second before.
const IDLE: Duration = Duration::from_secs(4);
/// More idle connections to one upstream than this are closed rather than kept, on each thread.
const KEPT: usize = 512;

/// A server of an upstream: the upstream's number in this process, and the server's place in it.
pub(crate) type Key = (u64, usize);

struct Idle {
    link: Link,
    since: Instant,
}

thread_local! {
    static IDLE_LINKS: RefCell<HashMap<Key, Vec<Idle>>> = RefCell::default();
}

/// A connection that was used before and is still quiet.
pub(crate) fn take(key: Key, now: Instant) -> Option<Link> {
    IDLE_LINKS.with_borrow_mut(|pools| {
        let idle = pools.get_mut(&key)?;
        while let Some(mut last) = idle.pop() {
            if now.saturating_duration_since(last.since) > IDLE {
                // The others are older still.
                idle.clear();
                return None;
            }
            if last.link.is_quiet() {
                return Some(last.link);
            }
        }
        None
    })
}

/// Keeps a connection whose answer was read to its end.
pub(crate) fn give_back(key: Key, link: Link, now: Instant) {
    IDLE_LINKS.with_borrow_mut(|pools| {
        let idle = pools.entry(key).or_default();
        if idle.len() < KEPT {
            idle.push(Idle { link, since: now });
        }
    });
}

/// Closes what has been idle for too long on this thread.
pub(crate) fn reap() {
    IDLE_LINKS.with_borrow_mut(|pools| {
        for idle in pools.values_mut() {
            let old = idle.iter().take_while(|idle| idle.since.elapsed() > IDLE).count();
            idle.drain(..old);
        }
        pools.retain(|_, idle| !idle.is_empty());
    });
}
