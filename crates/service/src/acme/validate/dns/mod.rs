//! A stub resolver: it asks the resolvers that it was given, follows aliases, and keeps nothing. What it is told is used
//! at once, for one validation, so that what was checked is what is connected to.

pub(crate) mod message;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use message::{Data, RecordType, Response};

/// How long one server is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often each server is asked.
const ROUNDS: usize = 2;

/// The longest chain of aliases (CNAME) that is followed.
const MOST_ALIASES: usize = 8;

/// The most responses to other questions that are read over while waiting for one's own.
const MOST_STRANGERS: usize = 16;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DnsError {
    /// The name does not exist.
    #[error("{name} does not exist (NXDOMAIN)")]
    NoSuchName {
        /// The name.
        name: String,
    },
    /// A server said that it cannot or will not.
    #[error("looking up {kind} of {name} failed: the resolver says {said}")]
    Refused {
        /// The name.
        name: String,
        /// The kind.
        kind: &'static str,
        /// Its response code.
        said: String,
    },
    /// Nobody answered.
    #[error("looking up {kind} of {name} failed: no resolver answered in time")]
    Silent {
        /// The name.
        name: String,
        /// The kind.
        kind: &'static str,
    },
    /// Aliases that do not end.
    #[error("the aliases (CNAME) of {name} do not end")]
    Aliases {
        /// The name.
        name: String,
    },
}

/// Asks the DNS.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    servers: Vec<SocketAddr>,
}

impl Resolver {
    /// One that asks these servers, in order; the local one where there is none (resolv.conf(5)).
    pub(crate) fn new(mut servers: Vec<SocketAddr>) -> Self {
        if servers.is_empty() {
            servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
        }
        Resolver { servers }
    }

    /// The addresses of a name, those of IPv6 first; empty where it has none.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        let (six, four) = tokio::join!(self.lookup(name, RecordType::Aaaa), self.lookup(name, RecordType::A));
        // One of the two may fail where the other helps: some servers answer AAAA badly.
        let found = match (six, four) {
            (Err(error), Err(_)) => return Err(error),
            (six, four) => six.unwrap_or_default().into_iter().chain(four.unwrap_or_default()),
        };
        let address = |data| if let Data::Address(ip) = data { Some(ip) } else { None };
        Ok(found.filter_map(address).collect())
    }

    /// The records of a name, through its aliases.
    pub(crate) async fn lookup(&self, name: &str, kind: RecordType) -> Result<Vec<Data>, DnsError> {
        let mut current = name.trim_end_matches('.').to_ascii_lowercase();
        let mut seen = BTreeSet::new();
        loop {
            let response = self.ask(&current, kind).await?;
            // Aliases within one response are followed there.
            loop {
                if !seen.insert(current.clone()) || seen.len() > MOST_ALIASES {
                    return Err(DnsError::Aliases { name: name.to_owned() });
                }
                let of_current = response.answers.iter().filter(|(owner, _)| *owner == current);
                let alias = of_current.clone().find_map(|(_, data)| match data {
                    Data::Alias(target) => Some(target.clone()),
                    _ => None,
                });
                let Some(target) = alias else {
                    return Ok(of_current.map(|(_, data)| data.clone()).collect());
                };
                current = target;
                if !response.answers.iter().any(|(owner, _)| *owner == current) {
                    break;
                }
            }
            if response.code == 3 {
                return Err(DnsError::NoSuchName { name: current });
            }
        }
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Response, DnsError> {
        let mut said = None;
        for _ in 0..ROUNDS {
            for server in &self.servers {
                let Some(response) = exchange(*server, name, kind).await else { continue };
                let has_alias = response.answers.iter().any(|(_, data)| matches!(data, Data::Alias(_)));
                match response.code {
                    0 => return Ok(response),
                    3 if has_alias => return Ok(response),
                    3 => return Err(DnsError::NoSuchName { name: name.to_owned() }),
                    code => said = Some(code),
                }
            }
        }
        let (name, kind) = (name.to_owned(), kind.name());
        Err(match said {
            Some(code) => DnsError::Refused { name, kind, said: code_name(code) },
            None => DnsError::Silent { name, kind },
        })
    }
}

/// RFC 1035 section 4.1.1.
fn code_name(code: u8) -> String {
    match code {
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        other => format!("response code {other}"),
    }
}

/// Asks one server, by UDP and where the answer does not fit by TCP. `None` where nothing comes that is an answer.
async fn exchange(server: SocketAddr, name: &str, kind: RecordType) -> Option<Response> {
    let mut id = [0; 2];
    rand::fill(&mut id).ok()?;
    let id = u16::from_be_bytes(id);
    let query = message::query(id, name, kind)?;
    let response = timeout(PATIENCE, by_udp(server, &query, id, name, kind)).await.ok()??;
    if response.truncated {
        return timeout(PATIENCE, by_tcp(server, &query, id, name, kind)).await.ok()?;
    }
    Some(response)
}

async fn by_udp(server: SocketAddr, query: &[u8], id: u16, name: &str, kind: RecordType) -> Option<Response> {
    let own = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    // A port of its own for every question: with the id it is what a forger has to guess (RFC 5452 section 9.2).
    let socket = UdpSocket::bind(own).await.ok()?;
    // Connected, so that the kernel drops what other addresses send.
    socket.connect(server).await.ok()?;
    socket.send(query).await.ok()?;
    let mut buffer = [0; 4096];
    for _ in 0..MOST_STRANGERS {
        let length = socket.recv(&mut buffer).await.ok()?;
        match message::response(&buffer[..length], id, name, kind) {
            Ok(response) => return Some(response),
            Err(message::MessageError::NotOurs) => {}
            Err(message::MessageError::Malformed) => return None,
        }
    }
    None
}

async fn by_tcp(server: SocketAddr, query: &[u8], id: u16, name: &str, kind: RecordType) -> Option<Response> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    stream.write_u16(u16::try_from(query.len()).ok()?).await.ok()?;
    stream.write_all(query).await.ok()?;
    let length = stream.read_u16().await.ok()?;
    let mut octets = vec![0; usize::from(length)];
    stream.read_exact(&mut octets).await.ok()?;
    message::response(&octets, id, name, kind).ok()
}

/// The servers that a resolv.conf(5) names.
pub(crate) fn servers_of(resolv_conf: &str) -> Vec<SocketAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|address| address.trim().parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, 53))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read() {
        let text = "# comment\nsearch a.test\nnameserver 10.0.0.53\n nameserver ::1\nnameserver bad\n";
        let expected: Vec<SocketAddr> =
            ["10.0.0.53:53", "[::1]:53"].iter().filter_map(|text| text.parse().ok()).collect();
        assert_eq!(servers_of(text), expected);
    }
}
