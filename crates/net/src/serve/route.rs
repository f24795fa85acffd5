//! Routes: which handler answers a request, by its host and path, and what a client needs there. Nothing here decides
//! whether a client has it; that is the snapshot's admission.

use std::fmt;
use std::sync::Arc;

use pki::policy::Policy;

use super::Handler;

/// One route of a listener.
#[derive(Clone)]
pub struct Route {
    /// Its name, for logs and metrics.
    pub name: Arc<str>,
    /// The hosts it is for; every host where there is none.
    pub host: Option<HostPattern>,
    /// The path it is for, with everything below: `/` is all of them, `/pay` is `/pay` and `/pay/x`, not `/payments`.
    pub path: String,
    /// What happens to a request without a client certificate; what the listener says where there is nothing.
    pub without_certificate: Option<WithoutCertificate>,
    /// Who may pass; the snapshot's policy where there is none.
    pub policy: Option<Policy>,
    /// What answers. It lives on when the snapshot is replaced: connections to upstreams are kept in it.
    pub handler: Arc<Handler>,
}

/// What happens to a request without a client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutCertificate {
    /// It is refused with a page for people (403).
    Page,
    /// The connection is ended without an answer.
    Abort,
    /// It is let through, and nobody has an identity.
    Allow,
}

impl Route {
    /// The route that takes every request.
    ///
    /// ```
    /// use net::serve::{Handler, Route};
    /// let route = Route::everything(std::sync::Arc::new(Handler::Identity));
    /// assert!(route.takes("any.test", "/where/ever"));
    /// ```
    #[must_use]
    pub fn everything(handler: Arc<Handler>) -> Self {
        Route {
            name: Arc::from("default"),
            host: None,
            path: "/".to_owned(),
            without_certificate: None,
            policy: None,
            handler,
        }
    }

    /// Whether it is for this host (without a port, in lower case) and path (without a query).
    #[must_use]
    pub fn takes(&self, host: &str, path: &str) -> bool {
        self.host.as_ref().is_none_or(|pattern| pattern.matches(host)) && self.takes_path(path)
    }

    fn takes_path(&self, path: &str) -> bool {
        let prefix = self.path.strip_suffix('/').unwrap_or(&self.path);
        match path.strip_prefix(prefix) {
            // `*`, the target of OPTIONS, is for the route of everything alone.
            Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// How much of a host and path it names: the greater of two that take a request answers it.
    pub(crate) fn rank(&self) -> (u8, usize) {
        let host = match &self.host {
            None => 0,
            Some(HostPattern::Below(_)) => 1,
            Some(HostPattern::Exact(_)) => 2,
        };
        (host, self.path.len())
    }

    /// Whether it takes some paths only, so that what a path means matters.
    pub(crate) fn looks_at_paths(&self) -> bool {
        self.path != "/" && !self.path.is_empty()
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string);
        write!(f, "Route({} {host}{})", self.name, self.path)
    }
}

/// Hosts: one name, or all names of one label below another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This name, in lower case.
    Exact(String),
    /// Names with one label before this one, in lower case: `*.example.com` is `example.com` here.
    Below(String),
}

/// The text names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' names no host; write a name such as api.example.com, or *.example.com for one label before it"
)]
pub struct HostPatternError(pub String);

impl HostPattern {
    /// Reads `api.example.com` or `*.example.com`.
    ///
    /// # Errors
    /// [`HostPatternError`].
    ///
    /// ```
    /// use net::serve::HostPattern;
    /// let pattern = HostPattern::parse("*.Example.com")?;
    /// assert!(pattern.matches("api.example.com") && !pattern.matches("example.com"));
    /// # Ok::<(), net::serve::HostPatternError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        let lower = text.to_ascii_lowercase();
        let (name, below) = match lower.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (lower.as_str(), false),
        };
        let is_ip = name.starts_with('[') && name.ends_with(']');
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_name = !name.is_empty() && name.chars().all(letters) && !name.contains("..");
        match (is_name, is_ip && !below) {
            (true, _) if below => Ok(HostPattern::Below(name.to_owned())),
            (true, _) | (_, true) => Ok(HostPattern::Exact(name.to_owned())),
            _ => Err(HostPatternError(text.to_owned())),
        }
    }

    /// Whether a host, in lower case and without a port, is among them.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            HostPattern::Exact(name) => name == host,
            HostPattern::Below(parent) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// The host of an authority: without its port and without the dot of a fully qualified name.
pub(crate) fn host_of(authority: &str) -> &str {
    let host = match authority.strip_prefix('[') {
        // An IPv6 address keeps its brackets.
        Some(rest) => rest.find(']').map_or(authority, |end| &authority[..end + 2]),
        None => authority.split(':').next().unwrap_or(authority),
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// Whether a path may mean one thing here and another to a server behind: dot segments, empty segments, backslashes,
/// and what stands for them in percent encoding. Where routes differ by path such a path passes none of them, since
/// `/open/..%2Fadmin` is `/admin` to some.
pub(crate) fn is_ambiguous(path: &str) -> bool {
    if !path.starts_with('/') {
        return path != "*";
    }
    // The common case in one look.
    if !path.contains("//") && !path.bytes().any(|byte| matches!(byte, b'.' | b'%' | b'\\' | b';')) {
        return false;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return true };
        match u8::try_from(high * 16 + low) {
            // A second round of decoding, a slash, a backslash, a control character: refused whatever it would mean;
            // and so is a letter in disguise, since the routes are matched against the path as it was written.
            Ok(b'%' | b'/' | b'\\' | 0..=0x1f | 0x7f) | Err(_) => return true,
            Ok(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => return true,
            Ok(byte) => decoded.push(byte),
        }
    }
    if decoded.contains(&b'\\') {
        return true;
    }
    // Tomcat and others cut `;parameters` off a segment before they look at it.
    let mut segments = decoded[1..].split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        let is_last = segments.peek().is_none();
        if matches!(name, b"." | b"..") || (name.is_empty() && (!is_last || segment.contains(&b';'))) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_by_whole_segments() {
        let mut route = Route::everything(Arc::new(Handler::Identity));
        for (prefix, path, expected) in [
            ("/", "/", true),
            ("/", "*", true),
            ("/pay", "/pay", true),
            ("/pay", "/pay/now", true),
            ("/pay/", "/pay", true),
            ("/pay", "/payments", false),
            ("/pay", "/", false),
            ("/pay", "*", false),
        ] {
            route.path = prefix.to_owned();
            assert_eq!(route.takes("a.test", path), expected, "{prefix} {path}");
        }
    }

    #[test]
    fn paths_of_two_meanings_are_found() {
        for path in [
            "/a/../b",
            "/a/./b",
            "/a//b",
            "/a/..",
            "/a/%2e%2e/b",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a/..;x=1/b",
            "/%61dmin",
            "/a/%",
            "/a/%zz",
            "/a/%252e",
            "/a/%00",
            "a",
            "/;x",
            "/a/;x/b",
        ] {
            assert!(is_ambiguous(path), "{path}");
        }
        for path in ["/", "/a", "/a/", "/a.b/c", "/a/%20b", "/a;v=1/b", "/a/...", "/%C3%A9", "*"] {
            assert!(!is_ambiguous(path), "{path}");
        }
    }

    #[test]
    fn a_host_loses_its_port_and_its_last_dot() {
        for (authority, host) in
            [("a.test:8443", "a.test"), ("a.test.", "a.test"), ("[::1]:443", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(host_of(authority), host);
        }
    }
}
