//! Detours on the way to a server, in curl's words: `--resolve`, `--connect-to`, `--unix-socket`. They change where a
//! connection goes and never whose certificate is expected there.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use pki::name::ServerName;

use crate::url::split_port;

/// The text is no detour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag} '{text}': {why}; write {form}")]
pub struct RouteError {
    flag: &'static str,
    text: String,
    why: &'static str,
    form: &'static str,
}

/// `--resolve HOST:PORT:ADDRESS[,ADDRESS…]`: these addresses are the host's. `*` is every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    host: Option<ServerName>,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl Resolve {
    /// Every host is at this address on this port: for whoever has looked it up, and judged what was found.
    #[must_use]
    pub fn all_to(address: SocketAddr) -> Self {
        Resolve { host: None, port: address.port(), addresses: vec![address.ip()] }
    }
}

impl FromStr for Resolve {
    type Err = RouteError;

    /// ```
    /// use net::dial::Resolve;
    /// assert!("api.example.com:443:127.0.0.1,[::1]".parse::<Resolve>().is_ok());
    /// assert!("api.example.com:443".parse::<Resolve>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, RouteError> {
        let form = "HOST:PORT:ADDRESS[,ADDRESS]";
        let problem = |why| RouteError { flag: "--resolve", text: text.to_owned(), why, form };
        let bare = text.strip_prefix('+').unwrap_or(text);
        let [host, port, addresses] = parts(bare).ok_or_else(|| problem("it has too few parts"))?;
        let host = match host {
            "*" => None,
            host => Some(ServerName::parse(host).map_err(|_| problem("the host is none"))?),
        };
        let port = port.parse().map_err(|_| problem("the port is no number from 0 to 65535"))?;
        let addresses = addresses
            .split(',')
            .map(|ip| ip.trim_matches(['[', ']']).parse())
            .collect::<Result<Vec<IpAddr>, _>>()
            .map_err(|_| problem("an address is none"))?;
        Ok(Resolve { host, port, addresses })
    }
}

/// `--connect-to HOST1:PORT1:HOST2:PORT2`: connections to the first go to the second. Where host or port of the first
/// is empty it is every one; where one of the second is empty it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectTo {
    host: Option<ServerName>,
    port: Option<u16>,
    to_host: Option<ServerName>,
    to_port: Option<u16>,
}

impl FromStr for ConnectTo {
    type Err = RouteError;

    /// ```
    /// use net::dial::ConnectTo;
    /// assert!("example.com:443:localhost:8443".parse::<ConnectTo>().is_ok());
    /// assert!("::localhost:8443".parse::<ConnectTo>().is_ok());
    /// ```
    fn from_str(text: &str) -> Result<Self, RouteError> {
        let form = "HOST1:PORT1:HOST2:PORT2";
        let problem = |why| RouteError { flag: "--connect-to", text: text.to_owned(), why, form };
        let [host, port, to] = parts(text).ok_or_else(|| problem("it has too few parts"))?;
        let (to_host, to_port) = split_port(to);
        let name = |host: &str| match host {
            "" => Ok(None),
            host => ServerName::parse(host).map(Some).map_err(|_| problem("a host is none")),
        };
        let number = |port: &str| match port {
            "" => Ok(None),
            port => port.parse().map(Some).map_err(|_| problem("a port is no number from 0 to 65535")),
        };
        Ok(ConnectTo {
            host: name(host)?,
            port: number(port)?,
            to_host: name(to_host)?,
            to_port: number(to_port.unwrap_or_default())?,
        })
    }
}

/// Splits `host:port:rest`, where the host may be an IPv6 address in brackets.
fn parts(text: &str) -> Option<[&str; 3]> {
    let end = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.find(']')? + 2,
        None => text.find(':')?,
    };
    let (host, rest) = text.split_at_checked(end)?;
    let (port, rest) = rest.strip_prefix(':')?.split_once(':')?;
    Some([host, port, rest])
}

/// All detours of a connection; none by default.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// Addresses that are given instead of looked up; of several for one host the last counts.
    pub resolve: Vec<Resolve>,
    /// Destinations put in place of others; the first that fits counts.
    pub connect_to: Vec<ConnectTo>,
    /// A unix socket that takes every connection.
    pub unix_socket: Option<PathBuf>,
}

impl Route {
    pub(super) fn destination(&self, host: &ServerName, port: u16) -> (ServerName, u16) {
        let detour = self.connect_to.iter().find(|detour| {
            detour.host.as_ref().is_none_or(|wanted| wanted == host)
                && detour.port.is_none_or(|wanted| wanted == port)
        });
        match detour {
            Some(detour) => {
                (detour.to_host.clone().unwrap_or_else(|| host.clone()), detour.to_port.unwrap_or(port))
            }
            None => (host.clone(), port),
        }
    }

    pub(super) fn addresses(&self, host: &ServerName, port: u16) -> Option<Vec<SocketAddr>> {
        let entry =
            self.resolve.iter().rev().find(|entry| {
                entry.host.as_ref().is_none_or(|wanted| wanted == host) && entry.port == port
            })?;
        Some(entry.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn detours_apply_where_they_fit_and_nowhere_else() {
        let route = Route {
            resolve: vec!["*:443:192.0.2.9".parse().unwrap(), "a.test:443:192.0.2.1,[::1]".parse().unwrap()],
            connect_to: vec!["a.test:443::8443".parse().unwrap(), "b.test::[::1]:1".parse().unwrap()],
            unix_socket: None,
        };
        let name = |text| ServerName::parse(text).unwrap();
        assert_eq!(route.destination(&name("a.test"), 443), (name("a.test"), 8443));
        assert_eq!(route.destination(&name("a.test"), 80), (name("a.test"), 80));
        assert_eq!(route.destination(&name("b.test"), 80), (name("::1"), 1));
        assert_eq!(route.addresses(&name("a.test"), 443).unwrap().len(), 2);
        assert_eq!(route.addresses(&name("c.test"), 443).unwrap(), ["192.0.2.9:443".parse().unwrap()]);
        assert_eq!(route.addresses(&name("a.test"), 80), None);
    }
}
