//! Reading a header of either version.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, HeaderTls, LONGEST_LINE, LONGEST_REST, SIGNATURE, client, crc32c, kind};

/// What the first octets of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// The beginning of a header; more is needed to know.
    Incomplete,
    /// A whole header; what follows after `length` octets is the connection's own.
    Done {
        /// The header.
        header: Box<Header>,
        /// How long it was.
        length: usize,
    },
}

/// Why the first octets are no header that can be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// Something else altogether.
    #[error("the connection does not start with a PROXY header, and one is required from this address")]
    Absent,
    /// Version 1, and not as section 2.1 has it.
    #[error("the PROXY line '{0}' is none of the forms of version 1")]
    Line(String),
    /// Another version.
    #[error("version {0} of the PROXY protocol is unknown")]
    Version(u8),
    /// Another command.
    #[error("the PROXY command {0} is unknown")]
    Command(u8),
    /// Another family or transport.
    #[error("the PROXY header is about {0:#04x}, which is no TCP connection")]
    Family(u8),
    /// The addresses do not fit.
    #[error("the PROXY header says it has {said} octets, and its addresses alone need {needed}")]
    TooShort {
        /// The length in the header.
        said: usize,
        /// What the addresses take.
        needed: usize,
    },
    /// More than is read here.
    #[error("the PROXY header says it has {0} octets, more than the 16384 that are read")]
    TooLong(usize),
    /// A value that goes beyond the header, or is none of its type.
    #[error("the value of type {0:#04x} in the PROXY header cannot be read")]
    Value(u8),
    /// A checksum that is not that of the header.
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
}

/// Reads the header that a connection starts with.
///
/// # Errors
/// [`ProxyHeaderError`], as soon as more octets cannot make it one.
///
/// ```
/// use net::proxy_protocol::{Decoded, decode};
/// let decoded = decode(b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n...")?;
/// let Decoded::Done { header, length } = decoded else { panic!() };
/// assert_eq!((header.source, length), (Some("192.0.2.7:56324".parse().unwrap()), 45));
/// # Ok::<(), net::proxy_protocol::ProxyHeaderError>(())
/// ```
pub fn decode(octets: &[u8]) -> Result<Decoded, ProxyHeaderError> {
    const LINE: &[u8] = b"PROXY ";
    let starts_with = |expected: &[u8]| {
        let common = expected.len().min(octets.len());
        octets[..common] == expected[..common]
    };
    if starts_with(LINE) {
        return if octets.len() < LINE.len() { Ok(Decoded::Incomplete) } else { line(octets) };
    }
    if !starts_with(&SIGNATURE) {
        return Err(ProxyHeaderError::Absent);
    }
    binary(octets)
}

fn line(octets: &[u8]) -> Result<Decoded, ProxyHeaderError> {
    let within = &octets[..octets.len().min(LONGEST_LINE)];
    let problem = || {
        let shown = within.split(|octet| *octet == b'\r').next().unwrap_or_default();
        ProxyHeaderError::Line(shown.escape_ascii().to_string())
    };
    let Some(end) = within.windows(2).position(|two| two == b"\r\n") else {
        // A bare line feed never becomes an end.
        let can_grow = octets.len() < LONGEST_LINE && !octets.contains(&b'\n');
        return if can_grow { Ok(Decoded::Incomplete) } else { Err(problem()) };
    };
    let length = end + 2;
    // Neither end of a line may stand alone in it: what is refused when it arrives in pieces is refused as a whole.
    if within[..end].iter().any(|octet| matches!(octet, b'\r' | b'\n')) {
        return Err(problem());
    }
    let text = std::str::from_utf8(&within[..end]).map_err(|_| problem())?;
    let fields: Vec<&str> = text.split(' ').collect();
    let header = match fields.as_slice() {
        // What follows is to be ignored.
        ["PROXY", "UNKNOWN", ..] => Header::default(),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, source_port, destination_port] => {
            let address = |ip: &str, port: &str| {
                let ip: IpAddr = ip.parse().ok()?;
                let is_plain =
                    port.bytes().all(|b| b.is_ascii_digit()) && (port == "0" || !port.starts_with('0'));
                let port = port.parse().ok().filter(|_| is_plain)?;
                (ip.is_ipv4() == (*family == "TCP4")).then_some(SocketAddr::new(ip, port))
            };
            let source = address(source, source_port).ok_or_else(problem)?;
            let destination = address(destination, destination_port).ok_or_else(problem)?;
            Header { source: Some(source), destination: Some(destination), ..Header::default() }
        }
        _ => return Err(problem()),
    };
    Ok(Decoded::Done { header: Box::new(header), length })
}

fn binary(octets: &[u8]) -> Result<Decoded, ProxyHeaderError> {
    let Some([version_and_command, family, high, low]) = octets.get(12..16) else {
        return Ok(Decoded::Incomplete);
    };
    if version_and_command >> 4 != 2 {
        return Err(ProxyHeaderError::Version(version_and_command >> 4));
    }
    let is_local = match version_and_command & 0x0f {
        0 => true,
        1 => false,
        other => return Err(ProxyHeaderError::Command(other)),
    };
    let said = usize::from(u16::from_be_bytes([*high, *low]));
    if said > LONGEST_REST {
        return Err(ProxyHeaderError::TooLong(said));
    }
    // TCP over IPv4, over IPv6, a unix stream, or unspecified; a local connection's family says nothing.
    let needed = match family {
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        0x00 => 0,
        _ if is_local => 0,
        other => return Err(ProxyHeaderError::Family(*other)),
    };
    if said < needed && !is_local {
        return Err(ProxyHeaderError::TooShort { said, needed });
    }
    let length = 16 + said;
    let Some(rest) = octets.get(16..length) else { return Ok(Decoded::Incomplete) };
    if is_local {
        return Ok(Decoded::Done { header: Box::default(), length });
    }
    let (addresses, values) = rest.split_at(needed);
    let mut header = Header::default();
    if let Some((source, destination)) = read_addresses(addresses) {
        (header.source, header.destination) = (Some(source), Some(destination));
    }
    read_values(&mut header, values, &octets[..length])?;
    Ok(Decoded::Done { header: Box::new(header), length })
}

fn read_addresses(octets: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let port = |at: usize| Some(u16::from_be_bytes(octets.get(at..at + 2)?.try_into().ok()?));
    match octets.len() {
        12 => {
            let ip = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets.get(at..at + 4)?).ok()?));
            Some(((ip(0)?, port(8)?).into(), (ip(4)?, port(10)?).into()))
        }
        36 => {
            let ip = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets.get(at..at + 16)?).ok()?));
            Some(((ip(0)?, port(32)?).into(), (ip(16)?, port(34)?).into()))
        }
        // Paths of unix sockets, or nothing.
        _ => None,
    }
}

/// Takes one type-length-value off the front.
fn take<'a>(values: &mut &'a [u8]) -> Result<Option<(u8, &'a [u8])>, ProxyHeaderError> {
    let [kind, rest @ ..] = *values else { return Ok(None) };
    let problem = || ProxyHeaderError::Value(*kind);
    let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(problem)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (value, rest) = rest.split_at_checked(length).ok_or_else(problem)?;
    *values = rest;
    Ok(Some((*kind, value)))
}

fn read_values(header: &mut Header, mut values: &[u8], whole: &[u8]) -> Result<(), ProxyHeaderError> {
    while let Some((of_kind, value)) = take(&mut values)? {
        match of_kind {
            kind::ALPN => header.alpn = Some(value.to_vec()),
            kind::AUTHORITY => header.authority = Some(text(of_kind, value)?),
            kind::SSL => header.tls = Some(read_tls(value)?),
            kind::CRC32C => {
                let sum: [u8; 4] = value.try_into().map_err(|_| ProxyHeaderError::Value(of_kind))?;
                // The sum is that of the header with zeros in its place (section 2.2.4).
                let at = whole.len() - values.len() - 4;
                let mut blanked = whole.to_vec();
                blanked[at..at + 4].fill(0);
                if crc32c(&blanked) != u32::from_be_bytes(sum) {
                    return Err(ProxyHeaderError::Checksum);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_tls(value: &[u8]) -> Result<HeaderTls, ProxyHeaderError> {
    let (flags, rest) = value.split_first().ok_or(ProxyHeaderError::Value(kind::SSL))?;
    let (verify, mut values) = rest.split_first_chunk::<4>().ok_or(ProxyHeaderError::Value(kind::SSL))?;
    let presented = flags & (client::CERTIFICATE_IN_CONNECTION | client::CERTIFICATE_IN_SESSION) != 0;
    let mut tls = HeaderTls { is_verified: presented && verify == &[0; 4], ..HeaderTls::default() };
    while let Some((of_kind, value)) = take(&mut values)? {
        match of_kind {
            kind::SSL_VERSION => tls.version = Some(text(of_kind, value)?),
            kind::SSL_CN => tls.common_name = Some(text(of_kind, value)?),
            kind::SSL_CIPHER => tls.cipher_suite = Some(text(of_kind, value)?),
            kind::SSL_CLIENT_CERTIFICATE => tls.certificate = Some(value.to_vec()),
            _ => {}
        }
    }
    Ok(tls)
}

fn text(of_kind: u8, value: &[u8]) -> Result<String, ProxyHeaderError> {
    let text = std::str::from_utf8(value).map_err(|_| ProxyHeaderError::Value(of_kind))?;
    if text.contains(char::is_control) {
        return Err(ProxyHeaderError::Value(of_kind));
    }
    Ok(text.to_owned())
}
