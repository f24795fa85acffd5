//! What an upstream is told of a client, as the header lines of HTTP/1.1: written once for all connections and requests
//! of a client, since a certificate in base64 costs more than a request does, and takes more memory than an idle
//! connection.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use jiff::Timestamp;

use super::behind::Origin;
use super::upstream::Upstream;
use crate::snapshot::Client;

/// How long lines are used: they hold the days that a certificate has left.
const SECONDS: i64 = 600;
/// Upstreams whose lines are kept with a client.
const KEPT: usize = 16;

/// The lines about one client, by the upstream that is told them.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<Vec<Lines>>);

#[derive(Debug, Clone)]
struct Lines {
    upstream: u64,
    period: i64,
    lines: Arc<[u8]>,
}

impl Written {
    fn of(&self, upstream: u64, period: i64, write: impl FnOnce() -> Vec<u8>) -> Arc<[u8]> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|known| known.upstream == upstream && known.period == period) {
            return Arc::clone(&known.lines);
        }
        let lines: Arc<[u8]> = write().into();
        all.retain(|known| known.upstream != upstream);
        if all.len() >= KEPT {
            all.remove(0);
        }
        all.push(Lines { upstream, period, lines: Arc::clone(&lines) });
        lines
    }
}

/// What the requests of one connection tell.
#[derive(Default)]
pub(crate) struct Told {
    /// Where they come from; that of a front's clients changes.
    origin: Option<(Origin, Box<[u8]>)>,
    last: Option<Last>,
}

/// What was told last.
struct Last {
    upstream: u64,
    client: Option<Arc<Client>>,
    period: i64,
    lines: Arc<[u8]>,
}

impl Told {
    /// The lines for a request of this client, in two parts.
    pub(crate) fn facts(
        &mut self,
        upstream: &Upstream,
        client: Option<&Arc<Client>>,
        origin: Origin,
        now: Timestamp,
    ) -> [&[u8]; 2] {
        if self.origin.as_ref().is_none_or(|(known, _)| *known != origin) {
            let mut headers = HeaderMap::new();
            Upstream::tell_origin(&mut headers, origin);
            self.origin = Some((origin, lines_of(&headers).into()));
        }
        let period = now.as_second() / SECONDS;
        let is_current = self.last.as_ref().is_some_and(|last| {
            let same = match (&last.client, client) {
                (Some(of), Some(client)) => Arc::ptr_eq(of, client),
                (of, client) => of.is_none() && client.is_none(),
            };
            same && last.upstream == upstream.number() && last.period == period
        });
        if !is_current {
            let write = || {
                let mut headers = HeaderMap::new();
                upstream.tell_client(&mut headers, client.map(|client| &*client.peer), now);
                lines_of(&headers)
            };
            let lines = match client {
                Some(client) => client.written.of(upstream.number(), period, write),
                None => write().into(),
            };
            self.last = Some(Last { upstream: upstream.number(), client: client.cloned(), period, lines });
        }
        let origin: &[u8] = self.origin.as_ref().map_or(&[], |(_, lines)| lines);
        [origin, self.last.as_ref().map_or(&[], |last| &last.lines)]
    }
}

fn lines_of(headers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_once_for_an_upstream_and_a_period() {
        let written = Written::default();
        let first = written.of(1, 7, || b"a: b\r\n".to_vec());
        let again = written.of(1, 7, Vec::new);
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(
            &*written.of(2, 7, || b"c: d\r\n".to_vec()),
            b"c: d\r\n",
            "another upstream is told otherwise"
        );
        assert_eq!(
            &*written.of(1, 8, || b"e: f\r\n".to_vec()),
            b"e: f\r\n",
            "and later days are counted anew"
        );
        for upstream in 10..100 {
            written.of(upstream, 8, Vec::new);
        }
        assert!(written.0.lock().is_ok_and(|all| all.len() == KEPT), "however many upstreams there are");
    }
}
