//! From a captured packet to a TCP segment: link headers, IPv4, IPv6, TCP. What carries no TCP is passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::capture::pcap::Packet;

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// A TCP segment.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// Who sent it.
    pub from: Endpoint,
    /// To whom.
    pub to: Endpoint,
    /// The sequence number of its first byte (of SYN, where it has one).
    pub sequence: u32,
    /// Whether it opens the connection.
    pub syn: bool,
    /// Whether it acknowledges something.
    pub ack: bool,
    /// Whether its sender sends nothing more.
    pub fin: bool,
    /// Whether it breaks the connection off.
    pub reset: bool,
    /// Where its payload starts, in the packet.
    pub payload: usize,
    /// How long the payload was on the wire.
    pub length: usize,
    /// How much of it was captured.
    pub captured: usize,
}

/// What a packet is, where it is no whole segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// A fragment of an IP packet, which is not put together here.
    Fragment,
    /// A link that is not known.
    UnknownLink(u16),
    /// Something else, or damaged.
    NotTcp,
}

/// Reads the headers of a packet.
///
/// # Errors
/// [`Other`] says what it is instead.
pub fn segment(packet: &Packet<'_>) -> Result<Segment, Other> {
    let bytes = packet.bytes;
    let network = network_offset(packet.link_type, bytes)?;
    match bytes.get(network).map(|octet| octet >> 4) {
        Some(4) => ipv4(bytes, network),
        Some(6) => ipv6(bytes, network),
        _ => Err(Other::NotTcp),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Other> {
    let octets = bytes.get(at..at + 2).ok_or(Other::NotTcp)?;
    Ok(u16::from(octets[0]) << 8 | u16::from(octets[1]))
}

/// Where the IP header starts.
fn network_offset(link_type: u16, bytes: &[u8]) -> Result<usize, Other> {
    const IPV4: u16 = 0x0800;
    const IPV6: u16 = 0x86dd;
    let by_ethertype = |kind: u16, at: usize| match kind {
        IPV4 | IPV6 => Ok(at),
        _ => Err(Other::NotTcp),
    };
    match link_type {
        // NULL and LOOP: four octets of an address family.
        0 | 108 => Ok(4),
        1 => {
            let mut at = 12;
            let mut kind = u16_at(bytes, at)?;
            // VLAN tags, one within the other (IEEE 802.1Q and 802.1ad).
            while matches!(kind, 0x8100 | 0x88a8 | 0x9100) && at < 28 {
                at += 4;
                kind = u16_at(bytes, at)?;
            }
            by_ethertype(kind, at + 2)
        }
        // RAW, under the numbers it has on different systems; IPV4; IPV6.
        12 | 14 | 101 | 228 | 229 => Ok(0),
        // LINUX_SLL, as "any" gives it.
        113 => by_ethertype(u16_at(bytes, 14)?, 16),
        // LINUX_SLL2.
        276 => by_ethertype(u16_at(bytes, 0)?, 20),
        other => Err(Other::UnknownLink(other)),
    }
}

fn ipv4(bytes: &[u8], at: usize) -> Result<Segment, Other> {
    let header = bytes.get(at..at + 20).ok_or(Other::NotTcp)?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header_length < 20 || header[9] != 6 {
        return Err(Other::NotTcp);
    }
    // The more-fragments flag, or an offset.
    if u16_at(bytes, at + 6)? & 0x3fff != 0 {
        return Err(Other::Fragment);
    }
    let address =
        |at: usize| IpAddr::V4(Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]));
    // Offloading to the network card leaves 0 for packets that are cut only later.
    let total = match usize::from(u16_at(bytes, at + 2)?) {
        0 => bytes.len() - at,
        total => total,
    };
    tcp(bytes, at + header_length, at + total, address(12), address(16))
}

fn ipv6(bytes: &[u8], at: usize) -> Result<Segment, Other> {
    let header = bytes.get(at..at + 40).ok_or(Other::NotTcp)?;
    let address = |at: usize| {
        let octets = <[u8; 16]>::try_from(&header[at..at + 16]).map_err(|_| Other::NotTcp)?;
        Ok(IpAddr::V6(Ipv6Addr::from(octets)))
    };
    let (from, to) = (address(8)?, address(24)?);
    let end = match usize::from(u16_at(bytes, at + 4)?) {
        0 => bytes.len(),
        length => at + 40 + length,
    };
    let mut next = header[6];
    let mut place = at + 40;
    // Extension headers (RFC 8200 section 4); a packet has few.
    for _ in 0..8 {
        match next {
            6 => return tcp(bytes, place, end, from, to),
            0 | 43 | 60 => {
                let options = bytes.get(place..place + 2).ok_or(Other::NotTcp)?;
                next = options[0];
                place += 8 + usize::from(options[1]) * 8;
            }
            44 => return Err(Other::Fragment),
            _ => return Err(Other::NotTcp),
        }
    }
    Err(Other::NotTcp)
}

fn tcp(bytes: &[u8], at: usize, end: usize, from: IpAddr, to: IpAddr) -> Result<Segment, Other> {
    let header = bytes.get(at..at + 20).ok_or(Other::NotTcp)?;
    let header_length = usize::from(header[12] >> 4) * 4;
    let payload = at + header_length;
    if header_length < 20 || payload > end {
        return Err(Other::NotTcp);
    }
    let flags = header[13];
    let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    Ok(Segment {
        from: Endpoint { address: from, port: u16_at(bytes, at)? },
        to: Endpoint { address: to, port: u16_at(bytes, at + 2)? },
        sequence,
        syn: flags & 0x02 != 0,
        ack: flags & 0x10 != 0,
        fin: flags & 0x01 != 0,
        reset: flags & 0x04 != 0,
        payload,
        length: end - payload,
        captured: bytes.len().min(end).saturating_sub(payload),
    })
}
