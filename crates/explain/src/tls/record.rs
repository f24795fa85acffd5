//! Records (RFC 8446 section 5.1): cutting the stream of one direction into them, and naming their parts.

use std::time::Duration;

use crate::tls::node::{Decoder, Node, hex_start, said};
use crate::tls::registry::{or_hex, version_name};

/// The most that a record may carry: 2^14 and room for what encryption adds (RFC 5246 section 6.2.3).
const LONGEST: usize = 16_384 + 2048;

/// Where a record stands in its direction's stream, and when its last byte came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// The offset of its first byte in the stream of its sender.
    pub offset: u64,
    /// Its length with the header.
    pub length: usize,
    /// The content type in its header.
    pub content_type: u8,
    /// When its last byte was seen, counted from the start of the recording.
    pub at: Duration,
}

/// One record as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) place: RecordPlace,
    pub(crate) header: [u8; 5],
    pub(crate) fragment: Vec<u8>,
}

/// What the stream gave.
#[derive(Debug)]
pub(crate) enum Taken {
    Record(Record),
    /// Bytes that are no record: nothing after them can be told apart.
    Foreign {
        offset: u64,
        at: Duration,
        bytes: Vec<u8>,
    },
}

/// Cuts one direction's stream.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    waiting: Vec<u8>,
    /// How much of `waiting` was given out.
    given: usize,
    offset: u64,
    foreign: bool,
}

impl Splitter {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.given > 0 {
            self.waiting.drain(..self.given);
            self.given = 0;
        }
        self.waiting.extend_from_slice(bytes);
    }

    /// Passes over bytes that are not TLS.
    pub(crate) fn skip(&mut self, count: usize) {
        let count = count.min(self.waiting.len() - self.given);
        self.given += count;
        self.offset += count as u64;
    }

    /// What waits for its rest.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.waiting[self.given..]
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the stream stopped being TLS.
    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign
    }

    pub(crate) fn next(&mut self, at: Duration) -> Option<Taken> {
        if self.foreign {
            return None;
        }
        let waiting = &self.waiting[self.given..];
        if waiting.is_empty() {
            return None;
        }
        let offset = self.offset;
        if !begins_record(waiting) {
            self.foreign = true;
            let bytes = waiting.to_vec();
            self.given = self.waiting.len();
            self.offset += bytes.len() as u64;
            return Some(Taken::Foreign { offset, at, bytes });
        }
        let header = <[u8; 5]>::try_from(waiting.get(..5)?).ok()?;
        let length = usize::from(header[3]) << 8 | usize::from(header[4]);
        let fragment = waiting.get(5..5 + length)?.to_vec();
        self.given += 5 + length;
        self.offset += 5 + length as u64;
        let place = RecordPlace { offset, length: 5 + length, content_type: header[0], at };
        Some(Taken::Record(Record { place, header, fragment }))
    }
}

/// Whether these bytes could be the start of a record: a known type, major version 3, a possible length.
pub(crate) fn begins_record(bytes: &[u8]) -> bool {
    let kind = bytes.first().is_none_or(|kind| (20..=24).contains(kind));
    let major = bytes.get(1).is_none_or(|major| *major == 3);
    let minor = bytes.get(2).is_none_or(|minor| *minor <= 4);
    let length = match (bytes.get(3), bytes.get(4)) {
        (Some(high), Some(low)) => usize::from(*high) << 8 | usize::from(*low),
        (Some(high), None) => usize::from(*high) << 8,
        _ => 0,
    };
    kind && major && minor && length <= LONGEST
}

/// The name of a content type.
#[must_use]
pub fn content_type_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        20 => "change_cipher_spec",
        21 => "alert",
        22 => "handshake",
        23 => "application_data",
        24 => "heartbeat",
        _ => return None,
    })
}

/// A record that stays closed, as a tree: its header, and what is in it as far as sizes tell.
pub(crate) fn sealed(record: &Record, meaning: String) -> Node {
    let mut bytes = record.header.to_vec();
    bytes.extend_from_slice(&record.fragment);
    let mut d = Decoder::new(&bytes);
    header(&mut d);
    d.rest("encrypted_record", "RFC 8446 section 5.2", |octets| {
        said(hex_start(octets), "Encrypted: only who has the keys can read it.")
    });
    Node {
        name: "TLSCiphertext".into(),
        start: 0,
        end: bytes.len(),
        value: format!("{} bytes", record.fragment.len()),
        meaning: meaning.into(),
        reference: "RFC 8446 section 5.2",
        problem: None,
        children: d.into_nodes(),
    }
}

/// The five octets before every record.
pub(crate) fn header(d: &mut Decoder<'_>) {
    d.number(1, "type", "RFC 8446 section 5.1", |kind| {
        let kind = kind as u8;
        said(
            format!("{} ({kind})", content_type_name(kind).unwrap_or("unknown")),
            "What is in the record, or seems to be.",
        )
    });
    d.number(2, "legacy_record_version", "RFC 8446 section 5.1", |version| {
        said(
            or_hex(version_name(version as u16), version as u16),
            "Without a meaning in TLS 1.3; always 1.2 there.",
        )
    });
    d.number(2, "length", "RFC 8446 section 5.1", |length| {
        said(length.to_string(), "How many bytes follow.")
    });
}
