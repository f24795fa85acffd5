//! TCP connections out of a capture: packets are sorted to connections, and the bytes of each direction are put back
//! in order, whatever was repeated, overtaken or lost on the way.
//!
//! The index keeps no bytes, only where they stand in the file: a capture of 100 MB costs a few MB more.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use crate::capture::key_log::KeyLog;
use crate::capture::packet::{Endpoint, Other, Segment, segment};
use crate::capture::pcap::{self, NotACapture, Notes};
use crate::capture::transcript::{Event, Transcript, What};
use crate::finding::Sender;

/// A segment's place in the file.
#[derive(Debug, Clone, Copy)]
struct Piece {
    offset: usize,
    /// Microseconds since the connection began: 71 minutes fit, and later ones stand at the end.
    at: u64,
    sequence: u32,
    length: u16,
    captured: u16,
    flags: u8,
}

const FROM_CLIENT: u8 = 1;
const SYN: u8 = 2;
const FIN: u8 = 4;
const RESET: u8 = 8;

/// A TCP connection in a capture.
#[derive(Debug)]
pub struct Connection {
    /// Who opened it.
    pub client: Endpoint,
    /// Who was called.
    pub server: Endpoint,
    /// When its first packet was seen, since 1970.
    pub started: Duration,
    /// When its last packet was seen.
    pub ended: Duration,
    /// How many payload bytes both sides sent, repetitions included.
    pub bytes: u64,
    pieces: Vec<Piece>,
    /// Whether its opening was seen, so that it is known who the client is.
    opened: bool,
    finished: bool,
}

/// Everything found in a capture.
#[derive(Debug, Default)]
pub struct Index {
    /// The connections, in the order of their first packets.
    pub connections: Vec<Connection>,
    /// What the file says besides packets, and what is wrong with it.
    pub notes: Notes,
}

impl Index {
    /// Reads a capture file.
    ///
    /// # Errors
    /// Where it is none.
    pub fn read(file: &[u8]) -> Result<Self, NotACapture> {
        let mut index = Index::default();
        let mut by_ends: HashMap<(Endpoint, Endpoint), usize> = HashMap::new();
        let mut fragments = 0u64;
        let mut unknown_link = None;
        let notes = pcap::read(file, &mut |packet| match segment(&packet) {
            Ok(segment) => index.add(&mut by_ends, &segment, packet.offset, packet.at),
            Err(Other::Fragment) => fragments += 1,
            Err(Other::UnknownLink(link)) => unknown_link = Some(link),
            Err(Other::NotTcp) => {}
        })?;
        index.notes = notes;
        if fragments > 0 {
            index
                .notes
                .problems
                .push(format!("{fragments} fragments of IP packets are not put together, and passed over"));
        }
        if let Some(link) = unknown_link {
            index
                .notes
                .problems
                .push(format!("packets of link type {link} are not known here, and passed over"));
        }
        Ok(index)
    }

    fn add(
        &mut self,
        by_ends: &mut HashMap<(Endpoint, Endpoint), usize>,
        segment: &Segment,
        packet: usize,
        at: Duration,
    ) {
        let key =
            if segment.from <= segment.to { (segment.from, segment.to) } else { (segment.to, segment.from) };
        let opens = segment.syn && !segment.ack;
        let known = by_ends.get(&key).copied();
        // The same ports may serve a second connection after the first.
        let known = known.filter(|index| {
            let connection = &self.connections[*index];
            !(opens && (connection.finished || connection.pieces.iter().any(|piece| piece.length > 0)))
        });
        let index = known.unwrap_or_else(|| {
            // Without an opening, a server is who has the lower port.
            let client_is_sender =
                if segment.syn { !segment.ack } else { segment.from.port > segment.to.port };
            let (client, server) =
                if client_is_sender { (segment.from, segment.to) } else { (segment.to, segment.from) };
            self.connections.push(Connection {
                client,
                server,
                started: at,
                ended: at,
                bytes: 0,
                pieces: Vec::new(),
                opened: segment.syn,
                finished: false,
            });
            let index = self.connections.len() - 1;
            by_ends.insert(key, index);
            index
        });
        let connection = &mut self.connections[index];
        connection.ended = connection.ended.max(at);
        connection.bytes += segment.length as u64;
        connection.finished |= segment.fin || segment.reset;
        if segment.length == 0 && !segment.syn && !segment.fin && !segment.reset {
            return;
        }
        let from_client = segment.from == connection.client;
        let mut flags = 0;
        for (set, flag) in
            [(from_client, FROM_CLIENT), (segment.syn, SYN), (segment.fin, FIN), (segment.reset, RESET)]
        {
            flags |= if set { flag } else { 0 };
        }
        // A packet is at most 65,535 bytes long, its headers included.
        let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        connection.pieces.push(Piece {
            offset: packet + segment.payload,
            at: u64::try_from(at.saturating_sub(connection.started).as_micros()).unwrap_or(u64::MAX),
            sequence: segment.sequence,
            length: short(segment.length),
            captured: short(segment.captured),
            flags,
        });
    }
}

impl Connection {
    /// Whether the first bytes that anybody sent look like TLS, or like a tunnel that TLS may begin in.
    #[must_use]
    pub fn may_be_tls(&self, file: &[u8]) -> bool {
        let mut first = self.pieces.iter().filter(|piece| piece.captured > 5).take(8);
        first.any(|piece| {
            let bytes =
                file.get(piece.offset..piece.offset + usize::from(piece.captured)).unwrap_or_default();
            matches!(bytes, [20..=23, 3, 0..=4, ..])
        })
    }

    /// The conversation, with the bytes of both directions in order, and its secrets out of a key log.
    #[must_use]
    pub fn transcript(&self, file: &[u8], key_log: &KeyLog) -> Transcript {
        let mut transcript = self.start(file, usize::MAX);
        // A renegotiation has a random value of its own, which is readable only once the first secrets are there.
        loop {
            let randoms = crate::tls::explain(&transcript).client_randoms;
            let before = transcript.secrets.len();
            for random in randoms {
                if let Some(secrets) = key_log.find(&random) {
                    transcript.secrets.insert_all(random, secrets);
                }
            }
            if transcript.secrets.len() == before {
                break;
            }
        }
        transcript
    }

    /// The same with the secrets of its first ClientHello alone, found without a walk: for a table of many.
    #[must_use]
    pub fn transcript_for_table(&self, file: &[u8], key_log: &KeyLog) -> Transcript {
        let mut transcript = self.start(file, usize::MAX);
        let random = transcript.events.iter().find_map(|event| match &event.what {
            What::Bytes(bytes) if event.sender == Sender::Client => random_of_hello(bytes),
            _ => None,
        });
        if let Some((random, secrets)) = random.and_then(|random| Some((random, key_log.find(&random)?))) {
            transcript.secrets.insert_all(random, secrets);
        }
        transcript
    }

    /// The same, without secrets, of about the first `most` bytes of each direction: enough for a table.
    #[must_use]
    pub fn start(&self, file: &[u8], most: usize) -> Transcript {
        let mut events = Vec::new();
        let mut client = Direction::new(Sender::Client);
        let mut server = Direction::new(Sender::Server);
        for piece in &self.pieces {
            let direction = if piece.flags & FROM_CLIENT != 0 { &mut client } else { &mut server };
            direction.take(piece, file, &mut events);
            if client.delivered.min(server.delivered) >= most {
                break;
            }
        }
        if !client.early.is_empty() || !server.early.is_empty() {
            client.finish(&mut events);
            server.finish(&mut events);
            // What stood behind a gap belongs where it came.
            events.sort_by_key(|event| event.at);
        }
        let (mut from, mut to) = (self.client, self.server);
        if !self.opened && events_start_with_server(&events) {
            std::mem::swap(&mut from, &mut to);
            for event in &mut events {
                event.sender = if event.sender == Sender::Client { Sender::Server } else { Sender::Client };
            }
        }
        let started = i64::try_from(self.started.as_nanos() / 1_000_000_000)
            .ok()
            .and_then(|seconds| Timestamp::new(seconds, self.started.subsec_nanos() as i32).ok())
            .filter(|started| started.as_second() > 0);
        Transcript {
            client: from.to_string(),
            server: to.to_string(),
            started,
            events,
            ..Transcript::default()
        }
    }
}

/// The random value of a ClientHello that begins a record in these bytes.
fn random_of_hello(bytes: &[u8]) -> Option<[u8; 32]> {
    let start = bytes.windows(6).position(|window| matches!(window, [22, 3, 0..=4, _, _, 1]))?;
    // The record's header has 5 octets, the message's 4, and the version 2.
    bytes.get(start + 11..start + 43)?.try_into().ok()
}

/// Whether what stands as the server's first bytes is a ClientHello.
fn events_start_with_server(events: &[Event]) -> bool {
    let first = events.iter().find_map(|event| match &event.what {
        What::Bytes(bytes) if event.sender == Sender::Server => Some(bytes),
        _ => None,
    });
    first.is_some_and(|bytes| bytes.first() == Some(&22) && bytes.get(5) == Some(&1))
}

/// One direction of a connection.
struct Direction {
    sender: Sender,
    next: Option<u32>,
    /// What came too early, by how far ahead of `next` it was when it came.
    early: BTreeMap<u64, (Vec<u8>, Duration)>,
    delivered: usize,
    /// How far `next` has come, in bytes of the stream.
    position: u64,
    ended: bool,
}

impl Direction {
    fn new(sender: Sender) -> Self {
        Direction { sender, next: None, early: BTreeMap::new(), delivered: 0, position: 0, ended: false }
    }

    fn take(&mut self, piece: &Piece, file: &[u8], events: &mut Vec<Event>) {
        let at = Duration::from_micros(piece.at);
        if piece.flags & SYN != 0 {
            self.next.get_or_insert(piece.sequence.wrapping_add(1));
            return;
        }
        let next = *self.next.get_or_insert(piece.sequence);
        let end = piece.offset.saturating_add(usize::from(piece.captured));
        let bytes = file.get(piece.offset..end).unwrap_or_default();
        if piece.length > 0 {
            // The distance modulo 2^32: what lies in the upper half is behind.
            let ahead = piece.sequence.wrapping_sub(next);
            if ahead == 0 && self.early.is_empty() {
                // In order, as nearly all come.
                self.push(bytes.to_vec(), at, events);
            } else if ahead < 0x8000_0000 {
                let start = self.position + u64::from(ahead);
                // Bytes that were cut off by the snap length are missing in the stream, too.
                let known = self.early.entry(start).or_insert_with(|| (Vec::new(), at));
                if known.0.len() < bytes.len() {
                    *known = (bytes.to_vec(), at);
                }
            } else {
                let behind = usize::try_from(next.wrapping_sub(piece.sequence)).unwrap_or(usize::MAX);
                // Repeated, perhaps with something new at its end.
                if let Some(new) = bytes.get(behind..).filter(|new| !new.is_empty()) {
                    self.early.entry(self.position).or_insert_with(|| (new.to_vec(), at));
                }
            }
            self.deliver(at, events);
        }
        let what = match piece.flags & (FIN | RESET) {
            0 => return,
            flags if flags & RESET != 0 => What::Reset,
            _ => What::Closed,
        };
        if !self.ended {
            self.ended = true;
            events.push(Event { sender: self.sender, at, what });
        }
    }

    fn deliver(&mut self, now: Duration, events: &mut Vec<Event>) {
        while let Some((start, (bytes, at))) = self.early.pop_first() {
            if start > self.position {
                self.early.insert(start, (bytes, at));
                return;
            }
            let old = usize::try_from(self.position - start).unwrap_or(usize::MAX);
            if let Some(new) = bytes.get(old..) {
                self.push(new.to_vec(), at.max(now), events);
            }
        }
    }

    fn push(&mut self, bytes: Vec<u8>, at: Duration, events: &mut Vec<Event>) {
        if !bytes.is_empty() {
            self.position += bytes.len() as u64;
            self.delivered += bytes.len();
            self.next = self.next.map(|next| next.wrapping_add(bytes.len() as u32));
            events.push(Event { sender: self.sender, at, what: What::Bytes(bytes) });
        }
    }

    /// What waits for a gap that was never filled.
    fn finish(&mut self, events: &mut Vec<Event>) {
        while let Some((start, (_, at))) = self.early.first_key_value() {
            let (start, at) = (*start, *at);
            if start > self.position {
                let gap = start - self.position;
                events.push(Event { sender: self.sender, at, what: What::Missing(gap) });
                self.next = self.next.map(|next| next.wrapping_add(gap as u32));
                self.position = start;
            }
            self.deliver(at, events);
        }
    }
}
