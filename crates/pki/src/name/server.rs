//! The name a client expects of a server, and how it is found in a certificate (RFC 9525).

use std::fmt;
use std::net::IpAddr;

use super::GeneralName;

/// A DNS name or an address, as a user typed it in a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerName {
    /// A DNS name, in lower-case ASCII form, without a trailing dot.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl ServerName {
    /// Reads a host, with or without the brackets of an IPv6 address; a name beyond ASCII is converted.
    ///
    /// # Errors
    /// [`super::NameError`] where it can be neither.
    ///
    /// ```
    /// use pki::name::{GeneralName, ServerName};
    /// let name = ServerName::parse("www.example.com")?;
    /// assert!(name.is_named_by(&GeneralName::Dns("*.example.com".into())));
    /// # Ok::<(), pki::name::NameError>(())
    /// ```
    pub fn parse(host: &str) -> Result<Self, super::NameError> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse() {
            return Ok(ServerName::Ip(ip));
        }
        let name = super::dns_name(host.strip_suffix('.').unwrap_or(host))?;
        if name.starts_with("*.") {
            return Err(super::NameError::Wildcard {
                name,
                why: "a connection goes to one host, so a wildcard names nothing here",
            });
        }
        Ok(ServerName::Dns(name))
    }

    /// Whether this subjectAltName entry names the server. A wildcard stands for exactly one label, the leftmost
    /// (RFC 9525 section 6.3), and never for what is directly under a top-level domain, `localhost` excepted; the
    /// commonName is never looked at.
    #[must_use]
    pub fn is_named_by(&self, presented: &GeneralName) -> bool {
        match (self, presented) {
            (ServerName::Ip(expected), GeneralName::Ip(presented)) => expected == presented,
            (ServerName::Dns(expected), GeneralName::Dns(presented)) => match presented.strip_prefix("*.") {
                Some(parent) => expected.split_once('.').is_some_and(|(label, rest)| {
                    !label.is_empty()
                        && rest.eq_ignore_ascii_case(parent)
                        && (rest.contains('.') || rest == "localhost")
                }),
                None => expected.eq_ignore_ascii_case(presented),
            },
            _ => false,
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerName::Dns(name) => f.write_str(name),
            ServerName::Ip(ip) => write!(f, "{ip}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let names = |host: &str, presented: &str| {
            ServerName::parse(host).unwrap().is_named_by(&GeneralName::Dns(presented.into()))
        };
        assert!(names("a.example.com", "*.example.com"));
        assert!(names("A.EXAMPLE.com.", "*.Example.com"));
        assert!(!names("a.b.example.com", "*.example.com"));
        assert!(!names("example.com", "*.example.com"));
        assert!(!names("a.example.com", "a.*.com"));
        assert!(!names("127.0.0.1", "127.0.0.1"), "an address is never matched by a DNS name");
    }

    #[test]
    fn a_wildcard_directly_under_a_top_level_domain_and_a_trailing_dot_name_nothing() {
        let names = |host: &str, presented: &str| {
            ServerName::parse(host).unwrap().is_named_by(&GeneralName::Dns(presented.into()))
        };
        assert!(!names("example.com", "*.com"));
        assert!(names("app.localhost", "*.localhost"));
        assert!(!names("www.example.com", "www.example.com."));
    }

    #[test]
    fn an_address_matches_an_address() {
        let loopback = ServerName::parse("[::1]").unwrap();
        assert!(loopback.is_named_by(&GeneralName::Ip("::1".parse().unwrap())));
        assert!(!loopback.is_named_by(&GeneralName::Ip("127.0.0.1".parse().unwrap())));
    }
}
