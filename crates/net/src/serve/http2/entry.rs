//! The access record of one request, which is written when the request is over, however that comes about.

use std::sync::Arc;
use std::time::Instant;

use crate::serve::Server;
use crate::serve::access::{AccessRecord, RequestRecord};
use crate::serve::counters::{Counters, Pass};

/// A request under way; its being dropped writes its record.
pub(super) struct Entry {
    pub(super) record: Option<Box<RequestRecord>>,
    started: Instant,
    server: Arc<Server>,
    /// What counts the request among those under way, until it ends.
    _pass: Option<Pass>,
}

impl Entry {
    pub(super) fn new(
        record: Box<RequestRecord>,
        started: Instant,
        server: &Arc<Server>,
        pass: Option<Pass>,
    ) -> Self {
        Counters::add(&server.counters.requests_open);
        Entry { record: Some(record), started, server: Arc::clone(server), _pass: pass }
    }

    pub(super) fn status(&mut self, status: u16) {
        if let Some(record) = &mut self.record {
            record.status = status;
        }
    }

    /// Counts octets of the answer's body.
    pub(super) fn count(&mut self, octets: usize) {
        if let Some(record) = &mut self.record {
            record.bytes += octets as u64;
        }
    }

    /// The answer was sent to its end.
    pub(super) fn complete(&mut self) {
        if let Some(record) = &mut self.record {
            record.complete = true;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        Counters::remove(&self.server.counters.requests_open);
        if let Some(mut record) = self.record.take() {
            record.duration = self.started.elapsed();
            (self.server.log)(&AccessRecord::Request(record));
        }
    }
}
