//! A conversation as pcapng with its secrets embedded, so that Wireshark opens it decrypted. The packets are made
//! up around the recorded bytes: raw IP on loopback addresses, TCP with sequence numbers that fit. Whoever has the
//! file can read the conversation; it is for its owner alone.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::capture::transcript::{Transcript, What};
use crate::finding::Sender;

/// As much as fits beside the headers in a packet that no reader finds strange.
const SEGMENT: usize = 16_000;

/// LINKTYPE_RAW: the packet starts with its IP header.
const RAW: u32 = 101;

/// The file's contents.
///
/// ```
/// use explain::capture::{Transcript, reassembly::Index, write::pcapng};
/// let mut transcript = Transcript::default();
/// transcript.push_bytes(explain::finding::Sender::Client, Default::default(), b"hello");
/// let index = Index::read(&pcapng(&transcript))?;
/// assert_eq!(index.connections[0].bytes, 5);
/// # Ok::<(), explain::capture::pcap::NotACapture>(())
/// ```
#[must_use]
pub fn pcapng(transcript: &Transcript) -> Zeroizing<Vec<u8>> {
    let mut file = Zeroizing::new(Vec::new());
    // Section Header Block: byte-order magic, version 1.0, length unknown.
    let mut section = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    section.extend([1, 0, 0, 0]);
    section.extend([0xff; 8]);
    block(&mut file, 0x0a0d_0d0a, &section);
    let mut interface = RAW.to_le_bytes().to_vec();
    interface.extend([0; 4]);
    // if_tsresol: microseconds.
    interface.extend([9, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    block(&mut file, 1, &interface);
    let lines = transcript.secrets.to_lines();
    if !lines.is_empty() {
        let mut secrets = Zeroizing::new(0x544c_534b_u32.to_le_bytes().to_vec());
        secrets.extend((lines.len() as u32).to_le_bytes());
        secrets.extend(lines.as_bytes());
        block(&mut file, 10, &secrets);
    }
    Packets::new(&mut file, transcript).write(transcript);
    file
}

fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (12 + body.len().next_multiple_of(4)) as u32;
    file.extend(kind.to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(body);
    file.resize(file.len().next_multiple_of(4), 0);
    file.extend(length.to_le_bytes());
}

struct Side {
    address: [u8; 4],
    port: u16,
    /// The sequence number of its next byte.
    sequence: u32,
}

struct Packets<'a> {
    file: &'a mut Vec<u8>,
    started: Duration,
    client: Side,
    server: Side,
    identification: u16,
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RESET: u8 = 0x04;
const ACK: u8 = 0x10;

impl<'a> Packets<'a> {
    fn new(file: &'a mut Vec<u8>, transcript: &Transcript) -> Self {
        let started = transcript.started.map_or(Duration::ZERO, |started| {
            Duration::new(started.as_second().max(0) as u64, started.subsec_nanosecond().max(0) as u32)
        });
        // Dissectors go by the port, so the server's is kept; its address may be a name and is not.
        let port = |text: &str, other: u16| {
            text.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(other)
        };
        let client = Side { address: [127, 0, 0, 1], port: port(&transcript.client, 50_000), sequence: 1000 };
        let server = Side { address: [127, 0, 0, 2], port: port(&transcript.server, 443), sequence: 2000 };
        Packets { file, started, client, server, identification: 0 }
    }

    fn write(&mut self, transcript: &Transcript) {
        self.packet(Sender::Client, Duration::ZERO, SYN, &[]);
        self.client.sequence += 1;
        self.packet(Sender::Server, Duration::ZERO, SYN | ACK, &[]);
        self.server.sequence += 1;
        self.packet(Sender::Client, Duration::ZERO, ACK, &[]);
        for event in &transcript.events {
            match &event.what {
                What::Bytes(bytes) => {
                    for part in bytes.chunks(SEGMENT) {
                        self.packet(event.sender, event.at, ACK, part);
                        self.advance(event.sender, part.len() as u32);
                    }
                }
                What::Missing(count) => self.advance(event.sender, *count as u32),
                What::Closed => {
                    self.packet(event.sender, event.at, FIN | ACK, &[]);
                    self.advance(event.sender, 1);
                }
                What::Reset => self.packet(event.sender, event.at, RESET | ACK, &[]),
            }
        }
    }

    fn advance(&mut self, sender: Sender, count: u32) {
        let side = if sender == Sender::Client { &mut self.client } else { &mut self.server };
        side.sequence = side.sequence.wrapping_add(count);
    }

    fn packet(&mut self, sender: Sender, at: Duration, flags: u8, payload: &[u8]) {
        let (from, to) = match sender {
            Sender::Client => (&self.client, &self.server),
            Sender::Server => (&self.server, &self.client),
        };
        let acknowledged = if flags & ACK == 0 { 0 } else { to.sequence };
        let total = (40 + payload.len()) as u16;
        self.identification = self.identification.wrapping_add(1);

        let mut ip = vec![0x45, 0];
        ip.extend(total.to_be_bytes());
        ip.extend(self.identification.to_be_bytes());
        ip.extend([0x40, 0, 64, 6, 0, 0]);
        ip.extend(from.address);
        ip.extend(to.address);
        let sum = checksum(&[&ip]);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());

        let mut tcp = from.port.to_be_bytes().to_vec();
        tcp.extend(to.port.to_be_bytes());
        tcp.extend(from.sequence.to_be_bytes());
        tcp.extend(acknowledged.to_be_bytes());
        tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        let mut pseudo = [from.address, to.address].concat();
        pseudo.extend([0, 6]);
        pseudo.extend((20 + payload.len() as u16).to_be_bytes());
        let sum = checksum(&[&pseudo, &tcp, payload]);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());

        let stamp = u64::try_from((self.started + at).as_micros()).unwrap_or(u64::MAX);
        let mut body = 0_u32.to_le_bytes().to_vec();
        body.extend(((stamp >> 32) as u32).to_le_bytes());
        body.extend((stamp as u32).to_le_bytes());
        body.extend(u32::from(total).to_le_bytes());
        body.extend(u32::from(total).to_le_bytes());
        body.extend(ip);
        body.extend(tcp);
        body.extend(payload);
        block(self.file, 6, &body);
    }
}

/// The internet checksum (RFC 1071) over parts of even length, the last excepted.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u64 = 0;
    for part in parts {
        let (pairs, rest) = part.as_chunks::<2>();
        sum += pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum::<u64>();
        sum += rest.first().map_or(0, |octet| u64::from(*octet) << 8);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
