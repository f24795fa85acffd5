//! Capture files, both formats: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), in either byte
//! order, with secrets embedded. A damaged or cut file gives what stands before the damage, and says so.

use std::time::Duration;

use crate::capture::key_log::KeyLog;

/// The most a packet may be long; libpcap refuses more.
const LONGEST_PACKET: usize = 256 * 1024;

/// A packet as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// When it was seen, since 1970.
    pub at: Duration,
    /// What kind of link it was seen on (the registry of LINKTYPE values).
    pub link_type: u16,
    /// Where its bytes start in the file.
    pub offset: usize,
    /// Its bytes, which may be fewer than were on the wire.
    pub bytes: &'a [u8],
}

/// What a file holds besides packets.
#[derive(Debug, Default)]
pub struct Notes {
    /// Secrets embedded in it (Decryption Secrets Blocks).
    pub secrets: KeyLog,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// How many packets it holds.
    pub packets: u64,
}

/// Why something is not read as a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no capture file: it starts neither as pcap nor as pcapng does")]
pub struct NotACapture;

/// Whether bytes start as a capture file does.
#[must_use]
pub fn is_capture(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) || PcapHeader::read(bytes).is_some()
}

/// Goes through all packets of a file.
///
/// # Errors
/// Where it is no capture file at all; damage further on is told in the notes.
///
/// ```
/// let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
/// file.extend([0; 12]);
/// file.extend([101, 0, 0, 0]);
/// let notes = explain::capture::pcap::read(&file, &mut |_| ())?;
/// assert_eq!((notes.packets, notes.problems.len()), (0, 0));
/// # Ok::<(), explain::capture::pcap::NotACapture>(())
/// ```
pub fn read<'a>(file: &'a [u8], each: &mut dyn FnMut(Packet<'a>)) -> Result<Notes, NotACapture> {
    let mut notes = Notes::default();
    if file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
        read_pcapng(file, each, &mut notes);
        return Ok(notes);
    }
    let header = PcapHeader::read(file).ok_or(NotACapture)?;
    read_pcap(file, &header, each, &mut notes);
    Ok(notes)
}

#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let octets = <[u8; 2]>::try_from(bytes.get(at..at.checked_add(2)?)?).ok()?;
        Some(if self.big { u16::from_be_bytes(octets) } else { u16::from_le_bytes(octets) })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let octets = <[u8; 4]>::try_from(bytes.get(at..at.checked_add(4)?)?).ok()?;
        Some(if self.big { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) })
    }
}

struct PcapHeader {
    order: Order,
    nanoseconds: bool,
    link_type: u16,
}

impl PcapHeader {
    fn read(file: &[u8]) -> Option<Self> {
        let (big, nanoseconds) = match file.get(..4)? {
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, false),
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, false),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, true),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, true),
            _ => return None,
        };
        let order = Order { big };
        // The upper half holds flags of the frame check sequence.
        let link_type = (order.u32(file, 20)? & 0xffff) as u16;
        Some(PcapHeader { order, nanoseconds, link_type })
    }
}

fn read_pcap<'a>(file: &'a [u8], header: &PcapHeader, each: &mut dyn FnMut(Packet<'a>), notes: &mut Notes) {
    let order = header.order;
    let mut at = 24;
    while at < file.len() {
        let (Some(seconds), Some(fraction), Some(length)) =
            (order.u32(file, at), order.u32(file, at + 4), order.u32(file, at + 8))
        else {
            notes.problems.push(format!("the file ends inside the header of a packet, at byte {at}"));
            return;
        };
        let (offset, length) = (at + 16, length as usize);
        if length > LONGEST_PACKET {
            notes.problems.push(format!(
                "at byte {at} stands a packet of {length} bytes, which none has; the rest is not read"
            ));
            return;
        }
        let Some(bytes) = file.get(offset..offset + length) else {
            notes.problems.push(format!("the file ends inside a packet, at byte {at}"));
            return;
        };
        let nanoseconds = if header.nanoseconds { fraction } else { fraction.saturating_mul(1000) };
        let at_time = Duration::new(u64::from(seconds), nanoseconds.min(999_999_999));
        notes.packets += 1;
        each(Packet { at: at_time, link_type: header.link_type, offset, bytes });
        at = offset + length;
    }
}

struct Interface {
    link_type: u16,
    /// The length of a unit of time, as a number of units in a second.
    units: u64,
    snap_length: u32,
}

fn read_pcapng<'a>(file: &'a [u8], each: &mut dyn FnMut(Packet<'a>), notes: &mut Notes) {
    let mut order = Order { big: false };
    let mut interfaces: Vec<Interface> = Vec::new();
    let mut at = 0;
    while at < file.len() {
        if file[at..].starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            order.big = file.get(at + 8..at + 12) == Some(&[0x1a, 0x2b, 0x3c, 0x4d]);
            interfaces.clear();
        }
        let (Some(kind), Some(length)) = (order.u32(file, at), order.u32(file, at + 4)) else {
            notes.problems.push(format!("the file ends inside the header of a block, at byte {at}"));
            return;
        };
        let length = length as usize;
        if length < 12 || !length.is_multiple_of(4) {
            notes.problems.push(format!(
                "at byte {at} stands a block of {length} bytes, which cannot be; the rest is not read"
            ));
            return;
        }
        let Some(body) = file.get(at + 8..at + length - 4) else {
            notes.problems.push(format!("the file ends inside a block, at byte {at}"));
            return;
        };
        let start = at + 8;
        match kind {
            1 => interfaces.extend(interface(order, body)),
            // Enhanced Packet Block.
            6 => {
                let fields =
                    (order.u32(body, 0), order.u32(body, 4), order.u32(body, 8), order.u32(body, 12));
                if let (Some(number), Some(high), Some(low), Some(captured)) = fields {
                    let stamp = u64::from(high) << 32 | u64::from(low);
                    packet(
                        &interfaces,
                        number as usize,
                        stamp,
                        body,
                        20,
                        captured as usize,
                        start,
                        each,
                        notes,
                    );
                }
            }
            // Packet Block, the form before it.
            2 => {
                let fields =
                    (order.u16(body, 0), order.u32(body, 4), order.u32(body, 8), order.u32(body, 12));
                if let (Some(number), Some(high), Some(low), Some(captured)) = fields {
                    let stamp = u64::from(high) << 32 | u64::from(low);
                    packet(
                        &interfaces,
                        usize::from(number),
                        stamp,
                        body,
                        20,
                        captured as usize,
                        start,
                        each,
                        notes,
                    );
                }
            }
            // Simple Packet Block: no time, always of the first interface.
            3 => {
                if let (Some(length), Some(first)) = (order.u32(body, 0), interfaces.first()) {
                    let snap = if first.snap_length == 0 { u32::MAX } else { first.snap_length };
                    let captured = (length.min(snap) as usize).min(body.len() - 4);
                    packet(&interfaces, 0, 0, body, 4, captured, start, each, notes);
                }
            }
            // Decryption Secrets Block: type TLSK is a TLS key log.
            10 => {
                if let (Some(0x544c_534b), Some(length)) = (order.u32(body, 0), order.u32(body, 4)) {
                    let end = 8 + (length as usize).min(body.len() - 8);
                    notes.secrets.add(&body[8..end]);
                }
            }
            _ => {}
        }
        at += length;
    }
}

fn interface(order: Order, body: &[u8]) -> Option<Interface> {
    let mut units = 1_000_000;
    let mut at = 8;
    while let (Some(code), Some(length)) = (order.u16(body, at), order.u16(body, at + 2)) {
        let value = body.get(at + 4..at + 4 + usize::from(length)).unwrap_or_default();
        // if_tsresol: a power of ten, or of two where the top bit is set.
        if let (9, Some(exponent)) = (code, value.first()) {
            let power = u32::from(exponent & 0x7f);
            let base: u64 = if exponent & 0x80 == 0 { 10 } else { 2 };
            units = base.checked_pow(power).unwrap_or(units);
        }
        if code == 0 {
            break;
        }
        at += 4 + usize::from(length).next_multiple_of(4);
    }
    Some(Interface { link_type: order.u16(body, 0)?, units, snap_length: order.u32(body, 4)? })
}

#[allow(
    clippy::too_many_arguments,
    reason = "the fields of three kinds of blocks; a struct would only name them again"
)]
fn packet<'a>(
    interfaces: &[Interface],
    number: usize,
    stamp: u64,
    body: &'a [u8],
    header: usize,
    captured: usize,
    start: usize,
    each: &mut dyn FnMut(Packet<'a>),
    notes: &mut Notes,
) {
    let Some(interface) = interfaces.get(number) else {
        note_once(notes, "a packet of an interface that was never described is passed over");
        return;
    };
    let Some(bytes) = header.checked_add(captured).and_then(|end| body.get(header..end)) else {
        note_once(notes, "a packet says it is longer than its block, and is passed over");
        return;
    };
    let units = interface.units.max(1);
    let rest = u128::from(stamp % units) * 1_000_000_000 / u128::from(units);
    let at = Duration::new(stamp / units, rest as u32);
    notes.packets += 1;
    each(Packet { at, link_type: interface.link_type, offset: start + header, bytes });
}

fn note_once(notes: &mut Notes, problem: &str) {
    if !notes.problems.iter().any(|known| known == problem) {
        notes.problems.push(problem.to_owned());
    }
}
