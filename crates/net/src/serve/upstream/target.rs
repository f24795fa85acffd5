//! Where an upstream is, and how it is spoken to.

use std::fmt;
use std::path::PathBuf;

use pki::name::ServerName;

use crate::url::{Url, UrlError};

/// One server behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(crate) protocol: Protocol,
    pub(crate) place: Place,
}

/// What is spoken to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 with prior knowledge, without TLS.
    H2c,
    /// HTTP/2 over TLS.
    H2,
    /// Bytes.
    Tcp,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Network { host: ServerName, port: u16 },
    Unix(PathBuf),
}

/// Why a text names no upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No host and port.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Nothing that is known.
    #[error(
        "the upstream '{0}' is none that is known; write http://, https://, h2c:// or h2://host:port, \
         unix:/path/to/socket, or tcp://host:port to pass bytes on"
    )]
    Scheme(String),
    /// A path behind the port.
    #[error("the upstream '{0}' has a path; requests keep their own, so write scheme://host:port alone")]
    Path(String),
    /// TCP has no usual port.
    #[error("the upstream '{0}' has no port; write tcp://host:port")]
    Port(String),
    /// Several that do not go together.
    #[error("upstreams of one route speak the same: '{0}' and '{1}' do not")]
    Mixed(String, String),
    /// None.
    #[error("there is no upstream; name one, such as http://127.0.0.1:3000")]
    None,
}

impl Target {
    /// Reads `http://host:port`, `https://`, `h2c://`, `h2://`, `tcp://host:port` or `unix:/path`.
    ///
    /// # Errors
    /// [`TargetError`].
    ///
    /// ```
    /// use net::serve::Target;
    /// assert!(Target::parse("http://127.0.0.1:3000")?.is_http());
    /// assert!(Target::parse("unix:/run/app.sock")?.is_http());
    /// assert!(!Target::parse("tcp://127.0.0.1:5432")?.is_http());
    /// assert!(Target::parse("http://127.0.0.1:3000/api").is_err());
    /// # Ok::<(), net::serve::TargetError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(TargetError::Scheme(text.to_owned()));
            }
            return Ok(Target { protocol: Protocol::Http, place: Place::Unix(path.into()) });
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(TargetError::Scheme(text.to_owned()));
        };
        let (protocol, like) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Protocol::Http, "http"),
            "https" => (Protocol::Https, "https"),
            "h2c" => (Protocol::H2c, "http"),
            "h2" => (Protocol::H2, "https"),
            "tcp" => (Protocol::Tcp, "http"),
            _ => return Err(TargetError::Scheme(text.to_owned())),
        };
        let url = Url::parse(&format!("{like}://{rest}"))?;
        if url.path_and_query != "/" {
            return Err(TargetError::Path(text.to_owned()));
        }
        let has_port = rest
            .trim_end_matches('/')
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
        if protocol == Protocol::Tcp && !has_port {
            return Err(TargetError::Port(text.to_owned()));
        }
        Ok(Target { protocol, place: Place::Network { host: url.host, port: url.port } })
    }

    /// The same place for bytes: a unix socket may be either.
    #[must_use]
    pub fn as_tcp(mut self) -> Self {
        self.protocol = Protocol::Tcp;
        self
    }

    /// Whether requests are sent to it, and not bytes.
    #[must_use]
    pub fn is_http(&self) -> bool {
        self.protocol != Protocol::Tcp
    }

    /// Whether it is spoken to over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.protocol, Protocol::Https | Protocol::H2)
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.protocol, Protocol::H2c | Protocol::H2)
    }

    /// What stands in `Host` where the client named none.
    pub(crate) fn authority(&self) -> String {
        match &self.place {
            Place::Network { host: ServerName::Ip(std::net::IpAddr::V6(ip)), port } => {
                format!("[{ip}]:{port}")
            }
            Place::Network { host, port } => format!("{host}:{port}"),
            Place::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Place::Unix(path) = &self.place {
            return write!(f, "unix:{}", path.display());
        }
        let scheme = match self.protocol {
            Protocol::Http => "http",
            Protocol::Https => "https",
            Protocol::H2c => "h2c",
            Protocol::H2 => "h2",
            Protocol::Tcp => "tcp",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}
