//! A load balancer in front that tells in a PROXY protocol header who the client is. Believed from named addresses
//! alone, and required from them: anyone else could say anything.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use explain::{Fault, Finding, FindingCode};
use pki::name::IpRange;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::proxy_protocol::{Decoded, decode};

/// The first octets of version 2, which no other protocol starts with (PROXY protocol section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, its end included (section 2.1).
const LONGEST_LINE: usize = 107;

/// The client that a trusted front speaks for; `from` itself where it is none, or speaks for itself.
pub(crate) async fn client_behind(
    tcp: &mut TcpStream,
    from: SocketAddr,
    fronts: &[IpRange],
    limit: Duration,
) -> Result<SocketAddr, Finding> {
    let ip = from.ip().to_canonical();
    if !fronts.iter().any(|front| front.contains(ip)) {
        return Ok(from);
    }
    let broken = |why: String| {
        let text = format!("the load balancer at {ip} sent no PROXY header that can be read: {why}");
        Finding::new(FindingCode::NotTls, Fault::Network, text)
    };
    let octets = match timeout(limit, read_header(tcp)).await {
        Err(_) => return Err(broken(format!("none arrived within {} s", limit.as_secs_f32()))),
        Ok(read) => read.map_err(|error| broken(error.to_string()))?,
    };
    match decode(&octets).map_err(|error| broken(error.to_string()))? {
        Decoded::Done { header, .. } => Ok(header.source.unwrap_or(from)),
        Decoded::Incomplete => Err(broken("it is cut short".to_owned())),
    }
}

/// Reads the octets of a header and not one more: what follows is the client's.
async fn read_header(tcp: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; SIGNATURE.len()];
    tcp.read_exact(&mut octets).await?;
    if octets == SIGNATURE {
        let mut rest = [0; 4];
        tcp.read_exact(&mut rest).await?;
        octets.extend_from_slice(&rest);
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let start = octets.len();
        octets.resize(start + length, 0);
        tcp.read_exact(&mut octets[start..]).await?;
        return Ok(octets);
    }
    while octets.starts_with(b"PROXY ") && !octets.ends_with(b"\n") && octets.len() < LONGEST_LINE {
        octets.push(tcp.read_u8().await?);
    }
    Ok(octets)
}
