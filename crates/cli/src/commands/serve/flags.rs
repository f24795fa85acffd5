//! The flags of `serve`: enough for one listener with one answer. They make the same [`Config`] as a file does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use net::revocation::OnlineMode;
use net::serve::{AddressHeader, Dialect, HealthCheck, IdentityFront, Limits, Target, WithoutCertificate};
use net::snapshot::{ClientAuth, RefusedClients};
use net::tls::TlsVersions;
use net::url::{Scheme, Url};
use pki::name::{IpRange, ServerName};
use pki::policy::limit::IdentityLimits;
use pki::policy::{Policy, Rule};
use pki::verify::RevocationMode;

use crate::config::{
    self, Answer, Certificates, Config, Fallback, FeedSource, Listener, LogFormat, Ocsp, Revocation, Route,
    Upstream, UpstreamTls,
};
use crate::duration::seconds;
use crate::failure::{Failure, OrFail as _};

#[derive(Debug, Clone, Args)]
pub(super) struct Flags {
    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443", conflicts_with = "config")]
    listen: SocketAddr,

    /// The server's certificate with its chain [default: one from the local authority, for --name]
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "config")]
    cert: Option<PathBuf>,

    /// The server's private key
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// The names of the certificate that the local authority makes
    #[arg(long, value_name = "NAME", conflicts_with_all = ["cert", "config"], default_values = ["localhost", "127.0.0.1", "::1"])]
    name: Vec<String>,

    /// The passphrase of --key or of the authority's keys, in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    passphrase_file: Option<PathBuf>,

    /// The anchors that clients' certificates must lead to [default: that of the local authority]
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    client_ca: Vec<PathBuf>,

    /// Follow this authority's feed: whom to believe, and whom no longer, within a second
    #[arg(long, value_name = "URL", requires_all = ["feed_cert", "feed_key", "feed_ca"], conflicts_with = "config")]
    feed: Option<String>,

    /// The certificate to show at the feed; its identity has the role gateway
    #[arg(long, value_name = "FILE", requires = "feed")]
    feed_cert: Option<PathBuf>,

    /// Its key
    #[arg(long, value_name = "FILE", requires = "feed")]
    feed_key: Option<PathBuf>,

    /// The root that the feed's own certificate leads to
    #[arg(long, value_name = "FILE", requires = "feed")]
    feed_ca: Option<PathBuf>,

    /// Also let those in whom the rules of the feed allow (countersign policy publish)
    #[arg(long, requires = "feed")]
    allow_feed: bool,

    /// Where the feed was silent for this long, what it said no longer vouches for anybody: --feed-fallback does
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse, requires_all = ["feed", "feed_fallback"])]
    feed_max_age: Option<SignedDuration>,

    /// What vouches for clients then: the lists of --crl, the responders of OCSP, or nothing. Whom the feed named stays refused
    #[arg(long, value_enum, requires = "feed_max_age")]
    feed_fallback: Option<FallbackFlag>,

    /// Revocation lists; those of a URL are fetched, kept, and fetched again before they end [default: the local
    /// authority's own, as it changes]
    #[arg(long, value_name = "FILE|URL", conflicts_with = "config")]
    crl: Vec<String>,

    /// What it means where a client's issuer has no list, or one that is over
    #[arg(long, value_enum, default_value_t = CrlMode::WhereKnown, conflicts_with = "config")]
    crl_mode: CrlMode,

    /// Refuse clients whose issuer has no list: --crl-mode hard
    #[arg(long, conflicts_with_all = ["crl_mode", "config"])]
    crl_required: bool,

    /// Ask the responder that a client's certificate names about it (OCSP), beside the lists
    #[arg(long, value_enum, default_value_t = OcspMode::Off, conflicts_with = "config")]
    ocsp: OcspMode,

    /// Ask this responder in place of the one that a certificate names
    #[arg(long, value_name = "URL", requires = "ocsp", conflicts_with = "config")]
    ocsp_responder: Option<String>,

    /// Whether clients need a certificate
    #[arg(long, value_enum, default_value_t = ClientAuthFlag::Require, conflicts_with = "config")]
    client_auth: ClientAuthFlag,

    /// With --client-auth optional: let those through who have no certificate
    #[arg(long, conflicts_with = "config")]
    allow_anonymous: bool,

    /// How a client hears that its certificate is refused: by an alert, or by a page that a browser can show. The page is
    /// all that it reaches
    #[arg(long, value_enum, default_value_t = RefusedFlag::Abort, conflicts_with = "config")]
    refused: RefusedFlag,

    /// Show at this path what the lock sees of a visitor, and why it stays closed where it does. With it a certificate is
    /// asked for and no longer required to connect: requests without one, and with a bad one, get a page (403)
    #[arg(long = "try", value_name = "PATH", conflicts_with = "config")]
    try_it: Option<String>,

    /// Forward requests to this service: http://, https://, h2c:// or unix:/path; with tcp://host:port the octets are
    /// passed on as they come. Several share the requests out
    #[arg(long, value_name = "URL", conflicts_with_all = ["dir", "config"])]
    to: Vec<String>,

    /// Serve the files of this directory
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,

    /// How the service hears of the client: rfc9440, envoy, nginx or aws
    #[arg(long, value_name = "DIALECT", default_value = "rfc9440", requires = "to")]
    headers: Vec<Dialect>,

    /// Tell a tcp:// service of the client in a PROXY header (version 2, with the facts of TLS)
    #[arg(long, requires = "to")]
    send_proxy_protocol: bool,

    /// The anchors that an https:// service's certificate must lead to
    #[arg(long, value_name = "FILE", requires = "to")]
    upstream_ca: Vec<PathBuf>,

    /// The certificate shown to an https:// service
    #[arg(long, value_name = "FILE", requires = "upstream_key")]
    upstream_cert: Option<PathBuf>,

    /// Its private key
    #[arg(long, value_name = "FILE", requires = "upstream_cert")]
    upstream_key: Option<PathBuf>,

    /// Refuse an https:// service that never asks for our certificate
    #[arg(long, requires = "upstream_cert")]
    require_client_auth_request: bool,

    /// The name that an https:// service's certificate must have [default: the host in --to]
    #[arg(long, value_name = "NAME", requires = "upstream_ca")]
    upstream_name: Option<String>,

    /// What else tells an https:// service: 'dns api.test', 'uri spiffe://a/b', 'ou Payments', 'spki-pin HASH'; any does
    #[arg(long, value_name = "RULE", requires = "upstream_ca")]
    upstream_verify: Vec<String>,

    /// Look whether services are well: ask for this path, or only connect where it is empty
    #[arg(long, value_name = "PATH", requires = "to", num_args = 0..=1, default_missing_value = "")]
    health: Option<String>,

    /// Seconds from one look to the next
    #[arg(long, value_name = "SECONDS", requires = "health", value_parser = seconds)]
    health_interval: Option<Duration>,

    /// Seconds that a service may take to connect
    #[arg(long, value_name = "SECONDS", requires = "to", value_parser = seconds)]
    connect_timeout: Option<Duration>,

    /// Seconds that a service may take to begin its answer
    #[arg(long, value_name = "SECONDS", requires = "to", value_parser = seconds)]
    answer_timeout: Option<Duration>,

    #[command(flatten)]
    allow: AllowArguments,

    #[command(flatten)]
    limits: LimitArguments,

    /// Threads that serve [default: one for each processor]
    #[arg(long, value_name = "NUMBER", conflicts_with = "config")]
    workers: Option<usize>,

    /// Believe PROXY headers of connections from these addresses, and require them there
    #[arg(long, value_name = "RANGE", conflicts_with = "config")]
    proxy_protocol_from: Vec<IpRange>,

    /// Believe load balancers at these addresses which certificate their client has; it is judged all the same
    #[arg(long, value_name = "RANGE", conflicts_with = "config")]
    identity_from: Vec<IpRange>,

    /// How those load balancers tell it: rfc9440, envoy, nginx or aws
    #[arg(long, value_name = "DIALECT", default_value = "rfc9440", requires = "identity_from")]
    identity_headers: Dialect,

    /// Where those load balancers tell their client's address: x-forwarded-for, forwarded or none
    #[arg(long, value_name = "HEADER", default_value = "x-forwarded-for", requires = "identity_from")]
    identity_address: AddressHeader,

    /// Show status, metrics and clients here: /_status, /_metrics, /_clients
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    admin: Option<SocketAddr>,

    /// How the access log is written to standard output
    #[arg(long, value_enum, default_value_t = LogFormat::Text, conflicts_with = "config")]
    log: LogFormat,
}

/// How much and how long a client may keep the server busy.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArguments {
    /// Connections at a time [default: 20000]
    #[arg(long, value_name = "NUMBER", conflicts_with = "config", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: Option<u32>,
    /// Connections at a time from one address [default: 20000]
    #[arg(long, value_name = "NUMBER", conflicts_with = "config", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections_per_address: Option<u32>,
    /// Seconds until a connection's next answer is its last [default: no limit]
    #[arg(long, value_name = "SECONDS", conflicts_with = "config", value_parser = seconds)]
    connection_age: Option<Duration>,
    /// Seconds for a handshake [default: 10]
    #[arg(long, value_name = "SECONDS", conflicts_with = "config", value_parser = seconds)]
    handshake_timeout: Option<Duration>,
    /// Seconds for a request's head, and for an idle connection [default: 60]
    #[arg(long, value_name = "SECONDS", conflicts_with = "config", value_parser = seconds)]
    header_timeout: Option<Duration>,
    /// Seconds that a body may stand still [default: 300]
    #[arg(long, value_name = "SECONDS", conflicts_with = "config", value_parser = seconds)]
    body_idle_timeout: Option<Duration>,
    /// Seconds that requests have to finish at the end [default: 10]
    #[arg(long, value_name = "SECONDS", conflicts_with = "config", value_parser = seconds)]
    drain_timeout: Option<Duration>,
    /// Seconds that an idle connection has for one more request at the end [default: 2]
    #[arg(long, value_name = "SECONDS", conflicts_with = "config", value_parser = seconds)]
    last_call: Option<Duration>,
}

impl LimitArguments {
    fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            connections: self.max_connections.unwrap_or(usual.connections),
            connections_per_address: self
                .max_connections_per_address
                .unwrap_or(usual.connections_per_address),
            handshake_timeout: self.handshake_timeout.unwrap_or(usual.handshake_timeout),
            header_timeout: self.header_timeout.unwrap_or(usual.header_timeout),
            body_idle_timeout: self.body_idle_timeout.unwrap_or(usual.body_idle_timeout),
            connection_age: self.connection_age,
            drain_timeout: self.drain_timeout.unwrap_or(usual.drain_timeout),
            last_call: self.last_call.unwrap_or(usual.last_call),
            ..usual
        }
    }
}

/// Who may pass; one rule is enough, and none admits nobody.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Who may pass (any rule admits)")]
pub(super) struct AllowArguments {
    /// This common name
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    allow_cn: Vec<String>,
    /// This organizational unit
    #[arg(long, value_name = "UNIT", conflicts_with = "config")]
    allow_ou: Vec<String>,
    /// This DNS name; *.example.com for one label
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    allow_dns: Vec<String>,
    /// This URI; * for one path segment, ** at the end for the rest
    #[arg(long, value_name = "URI", conflicts_with = "config")]
    allow_uri: Vec<String>,
    /// This mailbox, or all of @example.com
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    allow_email: Vec<String>,
    /// This address or range
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    allow_ip: Vec<String>,
    /// The certificate with this key: SHA-256 of its SubjectPublicKeyInfo, in base64 or hexadecimal
    #[arg(long, value_name = "PIN", conflicts_with = "config")]
    allow_spki_pin: Vec<String>,
    /// Everyone whose certificate verifies
    #[arg(long, conflicts_with = "config")]
    allow_all: bool,
}

/// What vouches for clients where the feed is silent.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FallbackFlag {
    Lists,
    Ocsp,
    Refuse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CrlMode {
    /// Without a list: let in. With one that is over: refused
    WhereKnown,
    /// Refused, both
    Hard,
    /// Let in, both, unless the list names the client
    Soft,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OcspMode {
    /// Nobody is asked
    Off,
    /// Without an answer: let in
    Soft,
    /// Without an answer: refused
    Hard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClientAuthFlag {
    /// No connection without one
    Require,
    /// Asked for; without one, requests are denied unless --allow-anonymous
    Optional,
    /// Not asked for: everyone is let through
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RefusedFlag {
    /// An alert, which ends the handshake
    Abort,
    /// A page that says why (403), and the end of the connection
    Page,
}

impl AllowArguments {
    /// The policy that the flags make.
    fn policy(&self) -> Result<Policy, Failure> {
        let kinds = [
            ("cn", &self.allow_cn),
            ("ou", &self.allow_ou),
            ("dns", &self.allow_dns),
            ("uri", &self.allow_uri),
            ("email", &self.allow_email),
            ("ip", &self.allow_ip),
            ("spki-pin", &self.allow_spki_pin),
        ];
        let mut rules = Vec::new();
        if self.allow_all {
            rules.push(Rule::All);
        }
        for (kind, texts) in kinds {
            for text in texts {
                let rule = Rule::parse(kind, text);
                rules.push(rule.map_err(|error| Failure::usage(format!("--allow-{kind}: {error}")))?);
            }
        }
        Ok(Policy::new(rules))
    }
}

impl Flags {
    /// The configuration that the flags make.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        let policy = self.allow.policy()?;
        let client_auth = match self.client_auth {
            ClientAuthFlag::Require => ClientAuth::Require,
            ClientAuthFlag::Optional => ClientAuth::Optional { allow_anonymous: self.allow_anonymous },
            ClientAuthFlag::Off => ClientAuth::Off,
        };
        let (client_auth, refused) = self.refusals(client_auth)?;
        let needs_policy =
            !matches!(client_auth, ClientAuth::Off | ClientAuth::Optional { allow_anonymous: true });
        if policy.is_empty() && needs_policy && !self.allow_feed {
            return Err(Failure::usage(
                "no rule says who may pass, so nobody would: an empty policy denies everyone",
            )
            .hint("--allow-cn NAME, --allow-dns, --allow-uri, --allow-email, --allow-ou, --allow-ip, --allow-spki-pin")
            .hint("--allow-all for everyone whose certificate verifies"));
        }
        let certificates = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Certificates::Files(vec![(cert.clone(), key.clone())]),
            _ => Certificates::Local(self.name.clone()),
        };
        let route = Route {
            name: "default".to_owned(),
            host: None,
            path: "/".to_owned(),
            without_certificate: None,
            policy: None,
            answer: self.answer()?,
            limits: IdentityLimits::default(),
        };
        let try_it = self.try_it.as_ref().map(|path| Route {
            name: "try".to_owned(),
            path: path.clone(),
            without_certificate: Some(WithoutCertificate::Page),
            answer: Answer::TryIt,
            ..route.clone()
        });
        Ok(Config {
            file: None,
            feed: self.feed()?,
            rule_files: Vec::new(),
            admin: self.admin,
            log: self.log,
            workers: self.workers,
            passphrase_file: self.passphrase_file.clone(),
            limits: self.limits.limits(),
            revocation: self.revocation()?,
            listeners: vec![Listener {
                address: self.listen,
                certificates,
                client_ca: self.client_ca.clone(),
                client_auth,
                refused,
                policy,
                versions: TlsVersions::Both,
                proxy_protocol_from: self.proxy_protocol_from.clone(),
                identity_front: (!self.identity_from.is_empty()).then(|| IdentityFront {
                    from: self.identity_from.clone(),
                    dialect: self.identity_headers,
                    address: self.identity_address,
                }),
                routes: std::iter::once(route).chain(try_it).collect(),
            }],
        })
    }

    /// What --try and --refused make of how clients are asked and turned away.
    fn refusals(&self, asked: ClientAuth) -> Result<(ClientAuth, RefusedClients), Failure> {
        let Some(path) = &self.try_it else {
            let refused = match self.refused {
                RefusedFlag::Abort => RefusedClients::Abort,
                RefusedFlag::Page => RefusedClients::Page,
            };
            return Ok((asked, refused));
        };
        if !path.starts_with('/') || path.contains(['?', '#', '*']) {
            return Err(Failure::usage(format!(
                "--try {path}: a path starts with / and is for everything below it"
            )));
        }
        if self.to.iter().any(|to| to.starts_with("tcp:")) {
            return Err(Failure::usage(
                "--try is a page, and a stream for tcp:// has no host and path to find it by",
            ));
        }
        match asked {
            ClientAuth::Require => {
                Ok((ClientAuth::Optional { allow_anonymous: false }, RefusedClients::Page))
            }
            ClientAuth::Optional { .. } => Ok((asked, RefusedClients::Page)),
            ClientAuth::Off => Err(Failure::usage(
                "--try shows a visitor's certificate, and --client-auth off asks for none",
            )),
        }
    }

    fn feed(&self) -> Result<Option<FeedSource>, Failure> {
        let (Some(url), Some(cert), Some(key), Some(ca)) =
            (&self.feed, &self.feed_cert, &self.feed_key, &self.feed_ca)
        else {
            return Ok(None);
        };
        if matches!(self.feed_fallback, Some(FallbackFlag::Lists)) && self.crl.is_empty() {
            return Err(Failure::usage("--feed-fallback lists: nothing says where lists are")
                .hint("--crl http://ca.example.com/crl/issuing.crl"));
        }
        let fallback = self.feed_fallback.map(|flag| match flag {
            FallbackFlag::Lists => Fallback::Lists,
            FallbackFlag::Ocsp => Fallback::Ocsp,
            FallbackFlag::Refuse => Fallback::Refuse,
        });
        Ok(Some(FeedSource {
            url: url.clone(),
            cert: cert.clone(),
            key: key.clone(),
            ca: ca.clone(),
            rules: self.allow_feed,
            fallback: self.feed_max_age.zip(fallback),
        }))
    }

    fn revocation(&self) -> Result<Revocation, Failure> {
        let mut revocation = Revocation::default();
        for list in &self.crl {
            if list.contains("://") {
                let url = Url::parse(list).or_usage()?;
                if url.scheme != Scheme::Http {
                    return Err(Failure::usage(format!(
                        "--crl {list}: lists are fetched over http://, since they are signed themselves and a check of \
                         https:// would need a list first (RFC 5280 section 8)"
                    )));
                }
                revocation.urls.push(url);
            } else {
                revocation.files.push(list.into());
            }
        }
        revocation.mode = match self.crl_mode {
            _ if self.crl_required => RevocationMode::Required,
            CrlMode::Hard => RevocationMode::Required,
            CrlMode::WhereKnown => RevocationMode::WhereKnown,
            CrlMode::Soft => RevocationMode::BestEffort,
        };
        let mut ocsp = match self.ocsp {
            OcspMode::Off => None,
            OcspMode::Soft => Some(Ocsp::new(OnlineMode::Soft)),
            OcspMode::Hard => Some(Ocsp::new(OnlineMode::Hard)),
        };
        if let Some(text) = &self.ocsp_responder {
            let url = Ocsp::responder(text)
                .map_err(|why| Failure::usage(format!("--ocsp-responder {text}: {why}")))?;
            match &mut ocsp {
                Some(ocsp) => ocsp.responder = Some(url),
                None => {
                    return Err(
                        Failure::usage("--ocsp-responder is asked where --ocsp says so").hint("--ocsp soft")
                    );
                }
            }
        }
        revocation.ocsp = ocsp;
        Ok(revocation)
    }

    fn answer(&self) -> Result<Answer, Failure> {
        if let Some(dir) = &self.dir {
            return Ok(Answer::Directory(dir.clone()));
        }
        if self.to.is_empty() {
            return Ok(Answer::Identity);
        }
        let mut upstream = Upstream::new(self.to.clone());
        let targets = upstream.targets().or_usage()?;
        upstream.headers.clone_from(&self.headers);
        upstream.proxy_protocol = self.send_proxy_protocol;
        if self.send_proxy_protocol && targets.iter().any(Target::is_http) {
            return Err(Failure::usage("--send-proxy-protocol is for tcp:// services; others get headers")
                .hint("--headers rfc9440"));
        }
        upstream.connect_timeout = self.connect_timeout;
        upstream.answer_timeout = self.answer_timeout;
        upstream.health = self.health()?;
        if !self.upstream_ca.is_empty() || self.upstream_cert.is_some() {
            let server_name = self.upstream_name.as_ref().map(|name| {
                ServerName::parse(name)
                    .map_err(|error| Failure::usage(format!("--upstream-name '{name}': {error}")))
            });
            let verify = self.upstream_verify.iter().map(|text| {
                config::rule(text).map_err(|why| Failure::usage(format!("--upstream-verify '{text}': {why}")))
            });
            upstream.tls = Some(UpstreamTls {
                server_name: server_name.transpose()?,
                verify: verify.collect::<Result<_, _>>()?,
                ca: self.upstream_ca.clone(),
                credentials: self.upstream_cert.clone().zip(self.upstream_key.clone()),
                require_client_auth_request: self.require_client_auth_request,
            });
        }
        Ok(Answer::Upstream(Box::new(upstream)))
    }

    fn health(&self) -> Result<Option<HealthCheck>, Failure> {
        let Some(path) = &self.health else { return Ok(None) };
        if !path.is_empty() && !path.starts_with('/') {
            return Err(Failure::usage(format!("--health {path}: the path of a health check starts with /")));
        }
        let mut check = HealthCheck {
            path: Some(path.clone()).filter(|path| !path.is_empty()),
            ..HealthCheck::default()
        };
        if let Some(interval) = self.health_interval {
            check.interval = interval;
        }
        Ok(Some(check))
    }
}
