//! The configuration of `serve` as it is meant: listeners, routes, upstreams, limits. A file and the flags both become
//! one; what stands in the file is [`raw`], and [`check`] makes the one of the other.

mod check;
#[cfg(test)]
mod damage;
pub(crate) mod place;
mod raw;
pub(crate) mod show;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use net::revocation::OnlineMode;
use net::serve::{Dialect, HealthCheck, HostPattern, IdentityFront, Limits, Target, WithoutCertificate};
use net::tls::TlsVersions;
use net::url::{Scheme, Url};
use pki::name::{IpRange, ServerName};
use pki::policy::limit::IdentityLimits;
use pki::policy::{Policy, Rule};
use pki::verify::RevocationMode;

pub(crate) use check::rule;

use crate::failure::Failure;
use crate::input;

/// How the access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// One line a record
    Text,
    /// One JSON object a line
    Json,
    /// No access log
    Off,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// The file it was read from, where it was.
    pub(crate) file: Option<PathBuf>,
    /// Files of rules that it refers to.
    pub(crate) rule_files: Vec<PathBuf>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) log: LogFormat,
    pub(crate) workers: Option<usize>,
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) revocation: Revocation,
    /// The feed that says whom to believe where a listener names no file.
    pub(crate) feed: Option<FeedSource>,
    pub(crate) listeners: Vec<Listener>,
}

/// An authority's feed, and what is shown to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeedSource {
    pub(crate) url: String,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
    /// Whether the rules that it brings let clients in.
    pub(crate) rules: bool,
    /// What counts in its place once it was silent for so long.
    pub(crate) fallback: Option<(SignedDuration, Fallback)>,
}

/// What vouches for clients where the feed has been silent for too long. Whom it named is refused in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Lists from elsewhere.
    Lists,
    /// The responders that certificates name.
    Ocsp,
    /// Nothing: nobody is let in.
    Refuse,
}

/// Where revocation lists come from, and what it means where one is missing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Revocation {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) urls: Vec<Url>,
    pub(crate) mode: RevocationMode,
    /// The longest that a list from a URL is not asked for again.
    pub(crate) refresh: Duration,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) ocsp: Option<Ocsp>,
}

/// How clients' certificates are asked about one by one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ocsp {
    pub(crate) mode: OnlineMode,
    /// Asked in place of the one that a certificate names.
    pub(crate) responder: Option<Url>,
    /// The longest that a client waits for the first answer.
    pub(crate) timeout: Duration,
}

impl Ocsp {
    pub(crate) fn new(mode: OnlineMode) -> Self {
        Ocsp { mode, responder: None, timeout: Duration::from_secs(3) }
    }

    /// Where a responder is, as it is written.
    pub(crate) fn responder(text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if url.scheme != Scheme::Http {
            return Err("responders are asked over http://, since answers are signed themselves and a check of https:// \
                        would need an answer first (RFC 5280 section 8)"
                .to_owned());
        }
        Ok(url)
    }
}

/// One address that is listened on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Certificates,
    /// The files of the anchors; those of the local authority where there is none.
    pub(crate) client_ca: Vec<PathBuf>,
    pub(crate) client_auth: net::snapshot::ClientAuth,
    pub(crate) refused: net::snapshot::RefusedClients,
    pub(crate) policy: Policy,
    pub(crate) versions: TlsVersions,
    pub(crate) proxy_protocol_from: Vec<IpRange>,
    pub(crate) identity_front: Option<IdentityFront>,
    pub(crate) routes: Vec<Route>,
}

/// Where a listener's own certificates come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Certificates {
    /// Certificate and key files; the first for clients that ask for no name or none that is there.
    Files(Vec<(PathBuf, PathBuf)>),
    /// One that the local authority makes for these names.
    Local(Vec<String>),
}

/// One route of a listener.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) host: Option<HostPattern>,
    pub(crate) path: String,
    pub(crate) without_certificate: Option<WithoutCertificate>,
    pub(crate) policy: Option<Policy>,
    pub(crate) answer: Answer,
    pub(crate) limits: IdentityLimits,
}

/// What answers the requests of a route.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Upstream(Box<Upstream>),
    Directory(PathBuf),
    Identity,
    TryIt,
}

/// A service behind the gateway.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Upstream {
    /// As they were written, `Target`s by their text.
    pub(crate) to: Vec<String>,
    pub(crate) headers: Vec<Dialect>,
    pub(crate) answer_timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) health: Option<HealthCheck>,
    pub(crate) tls: Option<UpstreamTls>,
    pub(crate) proxy_protocol: bool,
}

/// How an upstream is spoken to over TLS.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct UpstreamTls {
    pub(crate) ca: Vec<PathBuf>,
    pub(crate) credentials: Option<(PathBuf, PathBuf)>,
    pub(crate) server_name: Option<ServerName>,
    pub(crate) verify: Vec<Rule>,
    pub(crate) require_client_auth_request: bool,
}

impl UpstreamTls {
    /// The files that it is made of.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let credentials = self.credentials.iter().flat_map(|(cert, key)| [cert.clone(), key.clone()]);
        self.ca.iter().cloned().chain(credentials).collect()
    }
}

impl Upstream {
    /// An upstream of these targets, with everything else as usual.
    pub(crate) fn new(to: Vec<String>) -> Self {
        Upstream {
            to,
            headers: vec![Dialect::Rfc9440],
            answer_timeout: None,
            connect_timeout: None,
            health: None,
            tls: None,
            proxy_protocol: false,
        }
    }

    /// The servers it leads to.
    pub(crate) fn targets(&self) -> Result<Vec<Target>, net::serve::TargetError> {
        self.to.iter().map(|to| Target::parse(to)).collect()
    }
}

impl Default for Revocation {
    fn default() -> Self {
        Revocation {
            files: Vec::new(),
            urls: Vec::new(),
            mode: RevocationMode::default(),
            refresh: Duration::from_secs(3600),
            cache: None,
            ocsp: None,
        }
    }
}

impl Config {
    /// Reads a configuration file.
    pub(crate) fn read(path: &Path) -> Result<Config, Failure> {
        let contents = String::from_utf8(input::bytes(path)?)
            .map_err(|_| Failure::usage(format!("{} is no text", path.display())))?;
        check::read(path, &contents).map_err(|error| {
            let marked: String = error.marked().lines().map(|line| format!("\n  {line}")).collect();
            Failure::usage(format!("{error}{marked}"))
        })
    }

    /// The files that it refers to and that are loaded anew when they change.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.file.iter().cloned().collect();
        files.extend(self.rule_files.iter().cloned());
        files.extend(self.passphrase_file.clone());
        files.extend(self.revocation.files.iter().cloned());
        files
            .extend(self.feed.iter().flat_map(|feed| [feed.cert.clone(), feed.key.clone(), feed.ca.clone()]));
        for listener in &self.listeners {
            files.extend(listener.client_ca.iter().cloned());
            if let Certificates::Files(pairs) = &listener.certificates {
                files.extend(pairs.iter().flat_map(|(cert, key)| [cert.clone(), key.clone()]));
            }
            for route in &listener.routes {
                if let Answer::Upstream(upstream) = &route.answer
                    && let Some(tls) = &upstream.tls
                {
                    files.extend(tls.files());
                }
            }
        }
        // A key in a token or behind a signer is no file.
        files.retain(|file| crate::key::reference(file).is_none());
        files
    }

    /// The limits of the routes that have some, by the routes' names.
    pub(crate) fn identity_limits(&self) -> HashMap<String, IdentityLimits> {
        let routes = self.listeners.iter().flat_map(|listener| &listener.routes);
        routes
            .filter(|route| route.limits.is_limiting())
            .map(|route| (route.name.clone(), route.limits))
            .collect()
    }
}
