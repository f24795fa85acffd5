//! The URLs that are dialled: `https://host:port/path?query` and its plain-text sibling. Not a general URL library:
//! no other schemes, no relative references but those a Location needs.

use std::fmt;
use std::net::IpAddr;

use pki::name::{NameError, ServerName};

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// HTTP alone.
    Http,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Https => "https",
            Scheme::Http => "http",
        }
    }

    /// The port that is left out.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Https => 443,
            Scheme::Http => 80,
        }
    }
}

/// A URL that can be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `https` or `http`.
    pub scheme: Scheme,
    /// The host: a name in ASCII, or an address.
    pub host: ServerName,
    /// The port, the scheme's own where none is written.
    pub port: u16,
    /// The path and query, at least `/`.
    pub path_and_query: String,
}

/// Why a text is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme.
    #[error("the URL '{0}' is neither https:// nor http://")]
    Scheme(String),
    /// A user name or password before the host.
    #[error("the URL of {0} carries a user name before its host; send credentials in a header instead")]
    UserInfo(String),
    /// No host, or one that can be none.
    #[error("the URL '{url}' has no usable host: {why}")]
    Host {
        /// The URL.
        url: String,
        /// What is wrong with the host.
        why: String,
    },
    /// A port that is none.
    #[error("the port '{port}' of the URL '{url}' is no number from 1 to 65535")]
    Port {
        /// The URL.
        url: String,
        /// The port.
        port: String,
    },
    /// A character that cannot stand in a URL.
    #[error("the URL '{0}' holds a space or control character; write it percent-encoded, a space as %20")]
    Character(String),
}

impl Url {
    /// Reads a URL. Without a scheme it is `https://`; a fragment is dropped; characters beyond ASCII in path and
    /// query are percent-encoded as UTF-8, in the host converted as IDNA says.
    ///
    /// # Errors
    /// [`UrlError`].
    ///
    /// ```
    /// use net::url::Url;
    /// let url = Url::parse("https://localhost:8443/who?x=1#top")?;
    /// assert_eq!((url.port, url.path_and_query.as_str()), (8443, "/who?x=1"));
    /// assert_eq!(url.authority(), "localhost:8443");
    /// # Ok::<(), net::url::UrlError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(UrlError::Character(text.escape_debug().to_string()));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some(_) => return Err(UrlError::Scheme(text.to_owned())),
            None => (Scheme::Https, text),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if let Some((_, host)) = authority.rsplit_once('@') {
            return Err(UrlError::UserInfo(host.to_owned()));
        }
        let (host, port) = split_port(authority);
        let host = parse_host(host).map_err(|why| UrlError::Host { url: text.to_owned(), why })?;
        let port = match port {
            None | Some("") => scheme.default_port(),
            Some(port) => port
                .parse()
                .ok()
                .filter(|number| *number != 0 && port.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| UrlError::Port { url: text.to_owned(), port: port.to_owned() })?,
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = crate::serve::percent_encode(path, |byte| byte.is_ascii_graphic());
        Ok(Url { scheme, host, port, path_and_query: format!("{slash}{path}") })
    }

    /// Resolves the value of a Location header against this URL: an absolute URL, or a path.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn join(&self, location: &str) -> Result<Self, UrlError> {
        if location.contains("://") {
            return Url::parse(location);
        }
        if let Some(authority) = location.strip_prefix("//") {
            return Url::parse(&format!("{}://{authority}", self.scheme.name()));
        }
        let path = if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') {
            format!("{}{location}", self.path())
        } else {
            let folder = self.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{location}")
        };
        Url::parse(&format!("{}://{}{path}", self.scheme.name(), self.authority()))
    }

    fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    /// The host as it is written in a URL: an IPv6 address in brackets.
    #[must_use]
    pub fn host_text(&self) -> String {
        match &self.host {
            ServerName::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            other => other.to_string(),
        }
    }

    /// Host, and port where it is not the scheme's own: the value of Host and `:authority`.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host_text()
        } else {
            format!("{}:{}", self.host_text(), self.port)
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path_and_query)
    }
}

/// Splits `host:port`, with the brackets of an IPv6 address left on the host.
pub(crate) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rfind(':') {
        Some(at) if authority.rfind(']').is_none_or(|bracket| bracket < at) => {
            (&authority[..at], Some(&authority[at + 1..]))
        }
        _ => (authority, None),
    }
}

fn parse_host(host: &str) -> Result<ServerName, String> {
    if host.is_empty() {
        return Err("it is empty".to_owned());
    }
    ServerName::parse(host).map_err(|error: NameError| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn what_curl_takes_is_taken() {
        let cases = [
            ("https://a.test", "https://a.test/"),
            ("a.test:8443", "https://a.test:8443/"),
            ("HTTP://A.test:80?q", "http://a.test/?q"),
            ("https://[::1]:443/x#y", "https://[::1]/x"),
            ("https://127.0.0.1:8443/ü", "https://127.0.0.1:8443/%C3%BC"),
            ("https://bücher.test/", "https://xn--bcher-kva.test/"),
        ];
        for (text, expected) in cases {
            assert_eq!(Url::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_by_name() {
        assert!(matches!(Url::parse("ftp://a.test/"), Err(UrlError::Scheme(_))));
        assert!(
            matches!(Url::parse("https://user:secret@a.test/"), Err(UrlError::UserInfo(host)) if host == "a.test")
        );
        assert!(matches!(Url::parse("https:///x"), Err(UrlError::Host { .. })));
        for port in ["https://a.test:0/", "https://a.test:65536/", "https://a.test:+80/", "https://a.test:x/"]
        {
            assert!(matches!(Url::parse(port), Err(UrlError::Port { .. })), "{port}");
        }
        assert!(matches!(Url::parse("https://a.test/a b"), Err(UrlError::Character(_))));
    }

    #[test]
    fn a_location_is_resolved_against_where_it_was_found() {
        let base = Url::parse("https://a.test:8443/x/y?z").unwrap();
        let cases = [
            ("/n", "https://a.test:8443/n"),
            ("n", "https://a.test:8443/x/n"),
            ("?q", "https://a.test:8443/x/y?q"),
            ("//b.test/n", "https://b.test/n"),
            ("http://c.test", "http://c.test/"),
        ];
        for (location, expected) in cases {
            assert_eq!(base.join(location).unwrap().to_string(), expected, "{location}");
        }
    }
}
