//! From what is written to what is meant: each value is read where it stands, so that what is wrong can be pointed at.
//! The first fault ends it.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use net::revocation::OnlineMode;
use net::serve::{
    AddressHeader, Dialect, HealthCheck, HostPattern, IdentityFront, Limits, WithoutCertificate,
};
use net::snapshot::{ClientAuth, RefusedClients};
use net::tls::{TlsVersion, TlsVersions};
use net::url::{Scheme, Url};
use pki::name::ServerName;
use pki::policy::limit::IdentityLimits;
use pki::policy::{Effect, Policy, Rule, Statement};
use pki::verify::RevocationMode;
use toml::Spanned;

use super::place::Misplaced;
use super::raw::{
    RawConfig, RawFeed, RawLimits, RawListener, RawRevocation, RawRoute, RawStatement, RawUpstream,
    RawUpstreamTls, Text,
};
use super::{
    Answer, Certificates, Config, Fallback, FeedSource, Listener, LogFormat, Ocsp, Revocation, Route,
    Upstream, UpstreamTls,
};

type Checked<T> = Result<T, Misplaced>;

/// Reads a configuration file's contents.
pub(super) fn read(file: &Path, contents: &str) -> Checked<Config> {
    let raw: RawConfig = toml::from_str(contents).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        Misplaced::new(file, contents, span, error.message())
    })?;
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    Check { file, contents, folder, rule_files: Vec::new(), has_feed_rules: false }.config(raw)
}

struct Check<'a> {
    file: &'a Path,
    contents: &'a str,
    folder: PathBuf,
    rule_files: Vec<PathBuf>,
    /// Whether the feed's rules stand beside those of the file.
    has_feed_rules: bool,
}

impl Check<'_> {
    fn problem<T>(&self, span: Range<usize>, message: impl Into<String>) -> Checked<T> {
        Err(Misplaced::new(self.file, self.contents, span, message))
    }

    /// A path, relative to the folder of the file.
    fn path(&self, path: &str) -> PathBuf {
        // A key in a token or behind a signer is no file of this folder.
        match crate::key::reference(Path::new(path)) {
            Some(_) => PathBuf::from(path),
            None => self.folder.join(path),
        }
    }

    fn parsed<T: FromStr>(&self, text: &Text) -> Checked<T>
    where
        T::Err: Display,
    {
        text.get_ref().parse().or_else(|error: T::Err| self.problem(text.span(), error.to_string()))
    }

    fn config(mut self, raw: RawConfig) -> Checked<Config> {
        if raw.listeners.is_empty() {
            return self.problem(0..0, "no listener is configured; write [[listeners]] with an address");
        }
        let admin = match &raw.admin {
            Some(text) => Some(text.get_ref().parse().or_else(|_| {
                self.problem(
                    text.span(),
                    "the admin address is none; write ADDRESS:PORT, such as 127.0.0.1:9901",
                )
            })?),
            None => None,
        };
        let log = match &raw.log {
            None => LogFormat::Text,
            Some(text) => match text.get_ref().as_str() {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                "off" => LogFormat::Off,
                _ => return self.problem(text.span(), "a log is text, json or off"),
            },
        };
        let workers = match &raw.workers {
            Some(workers) if *workers.get_ref() == 0 || *workers.get_ref() > 1024 => {
                return self.problem(workers.span(), "workers are 1 to 1024 threads");
            }
            workers => workers.as_ref().map(|workers| *workers.get_ref() as usize),
        };
        let limits = self.limits(&raw.limits)?;
        let revocation = self.revocation(&raw.revocation)?;
        let feed = raw.feed.map(|feed| self.feed(feed, &revocation)).transpose()?;
        self.has_feed_rules = feed.as_ref().is_some_and(|feed| feed.rules);
        let mut upstreams = BTreeMap::new();
        for (name, upstream) in raw.upstreams {
            let upstream = self.upstream(&name, upstream)?;
            upstreams.insert(name, upstream);
        }
        let mut names = HashSet::new();
        let mut listeners = Vec::new();
        for (number, listener) in raw.listeners.into_iter().enumerate() {
            listeners.push(self.listener(number, listener, &upstreams, &mut names)?);
        }
        Ok(Config {
            file: Some(self.file.to_owned()),
            feed,
            rule_files: self.rule_files,
            admin,
            log,
            workers,
            passphrase_file: raw.passphrase_file.map(|source| match crate::passphrase::is_a_file(&source) {
                true => self.folder.join(source),
                false => source.into(),
            }),
            limits,
            revocation,
            listeners,
        })
    }

    fn duration(&self, text: &Text) -> Checked<Duration> {
        let milliseconds = text.get_ref().strip_suffix("ms").and_then(|number| number.parse().ok());
        if let Some(milliseconds) = milliseconds.filter(|number| *number > 0) {
            return Ok(Duration::from_millis(milliseconds));
        }
        match crate::duration::parse(text.get_ref()) {
            Ok(span) => Ok(span.unsigned_abs()),
            Err(_) => self.problem(
                text.span(),
                format!("'{}' is no span of time; write 500ms, 30s, 5m or 2h", text.get_ref()),
            ),
        }
    }

    fn limits(&self, raw: &RawLimits) -> Checked<Limits> {
        let mut limits = Limits::default();
        let numbers = [
            (&raw.connections, &mut limits.connections),
            (&raw.connections_per_address, &mut limits.connections_per_address),
            (&raw.header_bytes, &mut limits.header_bytes),
            (&raw.chain_bytes, &mut limits.chain_bytes),
            (&raw.streams, &mut limits.streams),
        ];
        for (written, limit) in numbers {
            if let Some(written) = written {
                if *written.get_ref() == 0 {
                    return self.problem(written.span(), "a limit of 0 would let nothing pass");
                }
                *limit = *written.get_ref();
            }
        }
        let spans = [
            (&raw.handshake_timeout, &mut limits.handshake_timeout),
            (&raw.header_timeout, &mut limits.header_timeout),
            (&raw.body_idle_timeout, &mut limits.body_idle_timeout),
            (&raw.drain_timeout, &mut limits.drain_timeout),
            (&raw.last_call, &mut limits.last_call),
        ];
        for (written, limit) in spans {
            if let Some(written) = written {
                *limit = self.duration(written)?;
            }
        }
        limits.connection_age = raw.connection_age.as_ref().map(|age| self.duration(age)).transpose()?;
        Ok(limits)
    }

    fn revocation(&self, raw: &RawRevocation) -> Checked<Revocation> {
        let mut revocation = Revocation::default();
        for list in &raw.lists {
            let text = list.get_ref();
            if text.contains("://") {
                let url = Url::parse(text).or_else(|error| self.problem(list.span(), error.to_string()))?;
                if url.scheme != Scheme::Http {
                    return self.problem(
                        list.span(),
                        "revocation lists are fetched over http://, since they are signed themselves and a check of \
                         https:// would need a list first (RFC 5280 section 8)",
                    );
                }
                revocation.urls.push(url);
            } else {
                revocation.files.push(self.path(text));
            }
        }
        if let Some(mode) = &raw.mode {
            revocation.mode = match mode.get_ref().as_str() {
                "hard" => RevocationMode::Required,
                "where-known" => RevocationMode::WhereKnown,
                "soft" => RevocationMode::BestEffort,
                _ => return self.problem(mode.span(), "a mode is hard, where-known or soft"),
            };
        }
        if let Some(refresh) = &raw.refresh {
            revocation.refresh = self.duration(refresh)?;
        }
        revocation.cache = raw.cache.as_deref().map(|path| self.path(path));
        revocation.ocsp = self.ocsp(raw)?;
        Ok(revocation)
    }

    fn ocsp(&self, raw: &RawRevocation) -> Checked<Option<Ocsp>> {
        let mode = match &raw.ocsp {
            None => None,
            Some(mode) => match mode.get_ref().as_str() {
                "off" => None,
                "soft" => Some(OnlineMode::Soft),
                "hard" => Some(OnlineMode::Hard),
                _ => return self.problem(mode.span(), "ocsp is off, soft or hard"),
            },
        };
        let Some(mode) = mode else {
            return match raw.ocsp_responder.as_ref().or(raw.ocsp_timeout.as_ref()) {
                Some(idle) => {
                    self.problem(idle.span(), "nobody is asked; write ocsp = \"soft\" or ocsp = \"hard\"")
                }
                None => Ok(None),
            };
        };
        let mut ocsp = Ocsp::new(mode);
        if let Some(text) = &raw.ocsp_responder {
            let url = Ocsp::responder(text.get_ref());
            ocsp.responder = Some(url.or_else(|why| self.problem(text.span(), why))?);
        }
        if let Some(timeout) = &raw.ocsp_timeout {
            ocsp.timeout = self.duration(timeout)?;
        }
        Ok(Some(ocsp))
    }

    fn feed(&self, written: Spanned<RawFeed>, revocation: &Revocation) -> Checked<FeedSource> {
        let span = written.span();
        let raw = written.into_inner();
        let (Some(url), Some(cert), Some(key), Some(ca)) = (&raw.url, &raw.cert, &raw.key, &raw.ca) else {
            return self.problem(
                span,
                "a feed needs url, cert and key to show there, and ca, the root that it leads to itself",
            );
        };
        let parsed =
            Url::parse(url.get_ref()).or_else(|error| self.problem(url.span(), error.to_string()))?;
        if parsed.scheme != Scheme::Https {
            return self.problem(url.span(), "a feed is followed over https://: it decides who is let in");
        }
        let fallback = match raw.fallback.as_ref().map(|text| (text.get_ref().as_str(), text.span())) {
            None => None,
            Some(("lists", span)) if revocation.files.is_empty() && revocation.urls.is_empty() => {
                return self.problem(
                    span,
                    "nothing says where lists are; write [revocation] with lists = [\"http://…\"]",
                );
            }
            Some(("lists", _)) => Some(Fallback::Lists),
            Some(("ocsp", _)) => Some(Fallback::Ocsp),
            Some(("refuse", _)) => Some(Fallback::Refuse),
            Some((_, span)) => return self.problem(span, "a fallback is lists, ocsp or refuse"),
        };
        let fallback = match (&raw.max_age, &raw.fallback, fallback) {
            (Some(age), _, Some(fallback)) => {
                let longest = SignedDuration::try_from(self.duration(age)?);
                Some((longest.or_else(|error| self.problem(age.span(), error.to_string()))?, fallback))
            }
            (None, Some(text), _) => {
                return self.problem(text.span(), "it never comes to that; write max_age = \"10m\"");
            }
            (Some(age), _, None) => {
                return self.problem(
                    age.span(),
                    "nothing says what vouches for clients then; write fallback = \"lists\", \"ocsp\" or \"refuse\"",
                );
            }
            (None, None, _) => None,
        };
        Ok(FeedSource {
            url: url.get_ref().clone(),
            cert: self.path(cert),
            key: self.path(key),
            ca: self.path(ca),
            rules: raw.allow,
            fallback,
        })
    }

    fn identity_front(
        &self,
        from: &[Text],
        headers: Option<&Text>,
        address: Option<&Text>,
    ) -> Checked<Option<IdentityFront>> {
        let from = from.iter().map(|text| self.parsed(text)).collect::<Checked<Vec<_>>>()?;
        if from.is_empty() {
            return match headers.or(address) {
                None => Ok(None),
                Some(text) => self.problem(
                    text.span(),
                    "nobody is believed; name the load balancers: identity_from = [\"10.0.0.0/8\"]",
                ),
            };
        }
        let dialect = headers.map_or(Ok(Dialect::Rfc9440), |text| self.parsed(text))?;
        let address = address.map_or(Ok(AddressHeader::default()), |text| self.parsed(text))?;
        Ok(Some(IdentityFront { from, dialect, address }))
    }

    fn upstream(&self, name: &str, raw: RawUpstream) -> Checked<Upstream> {
        let Some(to) = raw.to.filter(|to| !to.get_ref().is_empty()) else {
            let at = self.contents.find(&format!("upstreams.{name}")).unwrap_or(0);
            return self.problem(
                at..at,
                format!("the upstream {name} leads nowhere; write to = [\"http://host:port\"]"),
            );
        };
        let span = to.span();
        let mut upstream = Upstream::new(Vec::new());
        for target in to.get_ref() {
            if let Err(error) = net::serve::Target::parse(target.get_ref()) {
                return self.problem(target.span(), error.to_string());
            }
            upstream.to.push(target.get_ref().clone());
        }
        if let Some(headers) = raw.headers {
            upstream.headers =
                headers.iter().map(|text| self.parsed::<Dialect>(text)).collect::<Checked<_>>()?;
        }
        upstream.answer_timeout = raw.answer_timeout.as_ref().map(|text| self.duration(text)).transpose()?;
        upstream.connect_timeout =
            raw.connect_timeout.as_ref().map(|text| self.duration(text)).transpose()?;
        if let Some(health) = raw.health {
            let mut check = HealthCheck::default();
            if let Some(interval) = &health.interval {
                check.interval = self.duration(interval)?;
            }
            if let Some(path) = &health.path {
                if !path.get_ref().starts_with('/') {
                    return self.problem(path.span(), "the path of a health check starts with /");
                }
                check.path = Some(path.get_ref().clone());
            }
            upstream.health = Some(check);
        }
        if let Some(tls) = raw.tls {
            upstream.tls = Some(self.upstream_tls(tls)?);
        }
        let targets = upstream.targets().or_else(|error| self.problem(span.clone(), error.to_string()))?;
        let (has_tls, is_tcp) =
            (targets.iter().any(net::serve::Target::is_tls), targets.iter().any(|target| !target.is_http()));
        if has_tls && upstream.tls.is_none() {
            return self.problem(
                span,
                "this upstream is spoken to over TLS; say whom it is believed by: tls = { ca = [\"ca.pem\"] }",
            );
        }
        if let Some(proxy) = raw.proxy_protocol {
            if *proxy.get_ref() && !is_tcp {
                return self.problem(proxy.span(), "a PROXY header is sent to TCP upstreams only (tcp://)");
            }
            upstream.proxy_protocol = *proxy.get_ref();
        }
        Ok(upstream)
    }

    fn upstream_tls(&self, raw: Spanned<RawUpstreamTls>) -> Checked<UpstreamTls> {
        let span = raw.span();
        let raw = raw.into_inner();
        if raw.ca.is_empty() {
            return self.problem(span, "nobody vouches for this upstream; write ca = [\"ca.pem\"]");
        }
        let credentials = match (&raw.cert, &raw.key) {
            (Some(cert), Some(key)) => Some((self.path(cert), self.path(key))),
            (None, None) => None,
            _ => return self.problem(span, "a certificate comes with its key: cert and key"),
        };
        let server_name = match &raw.server_name {
            Some(name) => Some(
                ServerName::parse(name.get_ref())
                    .or_else(|error| self.problem(name.span(), error.to_string()))?,
            ),
            None => None,
        };
        Ok(UpstreamTls {
            ca: raw.ca.iter().map(|path| self.path(path)).collect(),
            credentials,
            server_name,
            verify: raw.verify.iter().map(|text| self.rule(text)).collect::<Checked<_>>()?,
            require_client_auth_request: raw.require_client_auth_request,
        })
    }

    /// A rule such as `cn alice`, or `all`.
    fn rule(&self, text: &Text) -> Checked<Rule> {
        rule(text.get_ref()).or_else(|why| self.problem(text.span(), why))
    }

    fn statements(
        &mut self,
        allow: &[Text],
        deny: &[Text],
        rules: &[Spanned<RawStatement>],
        allow_file: Option<&Text>,
    ) -> Checked<Vec<Statement>> {
        let mut statements = Vec::new();
        for text in deny {
            statements.push(Statement::deny(self.rule(text)?));
        }
        for written in rules {
            let raw = written.get_ref();
            let (effect, text) = match (&raw.allow, &raw.deny) {
                (Some(text), None) => (Effect::Allow, text),
                (None, Some(text)) => (Effect::Deny, text),
                _ => {
                    return self
                        .problem(written.span(), "a rule allows or denies: allow = \"…\" or deny = \"…\"");
                }
            };
            let mut methods = Vec::new();
            for method in &raw.methods {
                let is_method = |text: &str| {
                    !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
                };
                if !is_method(method.get_ref()) {
                    return self.problem(method.span(), "a method is written in capitals, such as GET");
                }
                methods.push(method.get_ref().clone());
            }
            statements.push(Statement { effect, rule: self.rule(text)?, methods });
        }
        for text in allow {
            statements.push(Statement::allow(self.rule(text)?));
        }
        if let Some(file) = allow_file {
            let path = self.path(file.get_ref());
            let contents = std::fs::read_to_string(&path).or_else(|error| {
                self.problem(file.span(), format!("cannot read {}: {error}", path.display()))
            })?;
            for (number, line) in contents.lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let read = rule(line).or_else(|why| {
                    self.problem(file.span(), format!("{}, line {}: {why}", path.display(), number + 1))
                })?;
                statements.push(Statement::allow(read));
            }
            self.rule_files.push(path);
        }
        Ok(statements)
    }

    fn listener(
        &mut self,
        number: usize,
        raw: RawListener,
        upstreams: &BTreeMap<String, Upstream>,
        names: &mut HashSet<String>,
    ) -> Checked<Listener> {
        let Some(address) = &raw.address else {
            let at = self.contents.match_indices("[[listeners]]").nth(number).map_or(0, |(at, _)| at);
            return self.problem(at..at, "this listener has no address; write address = \"0.0.0.0:8443\"");
        };
        let span = address.span();
        let address = address.get_ref().parse().or_else(|_| {
            self.problem(
                address.span(),
                "the address is none; write ADDRESS:PORT, such as 0.0.0.0:8443 or [::]:8443",
            )
        })?;
        let certificates = if raw.certificates.is_empty() {
            let usual = || vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
            Certificates::Local(
                raw.names
                    .map_or_else(usual, |names| names.iter().map(|name| name.get_ref().clone()).collect()),
            )
        } else {
            let pairs = raw.certificates.iter();
            Certificates::Files(pairs.map(|pair| (self.path(&pair.cert), self.path(&pair.key))).collect())
        };
        let default_without = self.without_certificate(raw.without_certificate.as_ref())?;
        let client_auth =
            match raw.client_certificate.as_ref().map(|text| (text.get_ref().as_str(), text.span())) {
                None | Some(("require", _)) => ClientAuth::Require,
                Some(("optional", _)) => ClientAuth::Optional {
                    allow_anonymous: default_without == Some(WithoutCertificate::Allow),
                },
                Some(("off", _)) => ClientAuth::Off,
                Some((_, span)) => {
                    return self.problem(span, "client certificates are require, optional or off");
                }
            };
        if let (Some(text), ClientAuth::Require | ClientAuth::Off) = (&raw.without_certificate, client_auth) {
            return self.problem(
                text.span(),
                "without_certificate says something where client_certificate = \"optional\" alone",
            );
        }
        let refused = match raw.refused.as_ref().map(|text| (text.get_ref().as_str(), text.span())) {
            None | Some(("abort", _)) => RefusedClients::Abort,
            Some(("page", _)) if client_auth != ClientAuth::Off => RefusedClients::Page,
            Some(("page", span)) => {
                return self
                    .problem(span, "no client is asked for a certificate here, so none is refused for one");
            }
            Some((_, span)) => {
                return self.problem(span, "a client whose certificate is refused gets an abort or a page");
            }
        };
        let versions = match raw.tls.as_ref().map(|text| (text.get_ref().as_str(), text.span())) {
            None => TlsVersions::Both,
            Some(("1.3", _)) => TlsVersions::Only(TlsVersion::Tls13),
            Some(("1.2", _)) => TlsVersions::Only(TlsVersion::Tls12),
            Some((_, span)) => return self.problem(span, "tls is 1.3 or 1.2; both where it is left out"),
        };
        let policy =
            Policy::of(self.statements(&raw.allow, &raw.deny, &raw.rules, raw.allow_file.as_ref())?);
        let identity_front = self.identity_front(
            &raw.identity_from,
            raw.identity_headers.as_ref(),
            raw.identity_address.as_ref(),
        )?;
        let mut proxy_protocol_from = Vec::new();
        for text in &raw.proxy_protocol_from {
            proxy_protocol_from.push(self.parsed(text)?);
        }
        let mut routes = Vec::new();
        for (index, raw) in raw.routes.into_iter().enumerate() {
            routes.push(self.route(
                raw,
                number,
                index,
                client_auth,
                default_without,
                &policy,
                upstreams,
                names,
            )?);
        }
        if routes.is_empty() {
            return self.problem(
                span,
                "nothing answers on this listener; write [[listeners.routes]] with to, dir, identity or try_it",
            );
        }
        let is_tcp = |route: &Route| match &route.answer {
            Answer::Upstream(upstream) => upstream.to.iter().any(|to| to.starts_with("tcp:")),
            _ => false,
        };
        if routes.len() > 1 && routes.iter().any(is_tcp) {
            return self.problem(
                span,
                "a TCP upstream is the only route of its listener: a stream has no host and path",
            );
        }
        Ok(Listener {
            address,
            certificates,
            client_ca: raw.client_ca.iter().map(|path| self.path(path)).collect(),
            client_auth,
            refused,
            policy,
            versions,
            proxy_protocol_from,
            identity_front,
            routes,
        })
    }

    fn without_certificate(&self, text: Option<&Text>) -> Checked<Option<WithoutCertificate>> {
        Ok(match text.map(|text| (text.get_ref().as_str(), text.span())) {
            None => None,
            Some(("page", _)) => Some(WithoutCertificate::Page),
            Some(("abort", _)) => Some(WithoutCertificate::Abort),
            Some(("allow", _)) => Some(WithoutCertificate::Allow),
            Some((_, span)) => {
                return self.problem(span, "without a certificate there is a page, an abort, or allow");
            }
        })
    }

    #[allow(clippy::too_many_arguments, reason = "what a route is read in the light of, used once")]
    fn route(
        &mut self,
        written: Spanned<RawRoute>,
        listener: usize,
        index: usize,
        client_auth: ClientAuth,
        default_without: Option<WithoutCertificate>,
        policy: &Policy,
        upstreams: &BTreeMap<String, Upstream>,
        names: &mut HashSet<String>,
    ) -> Checked<Route> {
        let span = written.span();
        let raw = written.into_inner();
        let name = match &raw.name {
            Some(name) => name.get_ref().clone(),
            None => format!("{}-{}", listener + 1, index + 1),
        };
        if !names.insert(name.clone()) {
            let span = raw.name.as_ref().map_or(span, Spanned::span);
            return self.problem(
                span,
                format!("another route is called {name} already; logs and limits tell them apart by it"),
            );
        }
        let host = match &raw.host {
            Some(text) => Some(
                HostPattern::parse(text.get_ref())
                    .or_else(|error| self.problem(text.span(), error.to_string()))?,
            ),
            None => None,
        };
        let path = match &raw.path {
            None => "/".to_owned(),
            Some(text) if text.get_ref().starts_with('/') && !text.get_ref().contains(['?', '#', '*']) => {
                text.get_ref().clone()
            }
            Some(text) => {
                return self.problem(
                    text.span(),
                    "a path starts with / and is for everything below it; it has no * and no query",
                );
            }
        };
        let answers = [
            raw.upstream.is_some(),
            raw.to.is_some(),
            raw.dir.is_some(),
            raw.identity.is_some(),
            raw.try_it.is_some(),
        ];
        if answers.iter().filter(|given| **given).count() != 1 {
            return self.problem(
                span,
                "a route has one answer: upstream = NAME, to = URL, dir = DIR, identity = true, or try_it = true",
            );
        }
        let answer = if let Some(name) = &raw.upstream {
            match upstreams.get(name.get_ref()) {
                Some(upstream) => Answer::Upstream(Box::new(upstream.clone())),
                None => {
                    let known: Vec<&str> = upstreams.keys().map(String::as_str).collect();
                    let known = if known.is_empty() {
                        "there is none".to_owned()
                    } else {
                        format!("there are {}", known.join(", "))
                    };
                    return self
                        .problem(name.span(), format!("no upstream is called {}; {known}", name.get_ref()));
                }
            }
        } else if let Some(to) = &raw.to {
            match net::serve::Target::parse(to.get_ref()) {
                Ok(target) if target.is_tls() => {
                    return self.problem(
                        to.span(),
                        "an upstream over TLS needs more to be said: [upstreams.NAME] with tls",
                    );
                }
                Ok(_) => Answer::Upstream(Box::new(Upstream::new(vec![to.get_ref().clone()]))),
                Err(error) => return self.problem(to.span(), error.to_string()),
            }
        } else if let Some(dir) = &raw.dir {
            Answer::Directory(self.path(dir.get_ref()))
        } else if raw.try_it.is_some() {
            Answer::TryIt
        } else {
            Answer::Identity
        };
        let without_certificate = self.without_certificate(raw.without_certificate.as_ref())?;
        if let Some(text) =
            raw.without_certificate.as_ref().filter(|_| !matches!(client_auth, ClientAuth::Optional { .. }))
        {
            return self.problem(
                text.span(),
                "the listener decides before any route is known: write client_certificate = \"optional\" there",
            );
        }
        let statements = self.statements(&raw.allow, &raw.deny, &raw.rules, raw.allow_file.as_ref())?;
        let own = (!statements.is_empty()).then(|| Policy::of(statements));
        let in_force = own.as_ref().unwrap_or(policy);
        let passes_anonymously = without_certificate.or(default_without) == Some(WithoutCertificate::Allow)
            || client_auth == ClientAuth::Off;
        // What the feed brings stands beside the listener's own rules, and not beside those of a route.
        let has_feed_rules = self.has_feed_rules && own.is_none();
        if in_force.is_empty() && !passes_anonymously && !has_feed_rules {
            return self.problem(
                span,
                "no rule says who may pass here, so nobody would; write allow = [\"cn alice\"], or allow = [\"all\"] for \
                 everyone whose certificate verifies",
            );
        }
        let is_tcp = matches!(&answer, Answer::Upstream(upstream) if upstream.to.iter().any(|to| to.starts_with("tcp:")));
        if is_tcp && in_force.depends_on_method() {
            return self.problem(span, "a stream of bytes has no methods that rules could speak of");
        }
        let limits = IdentityLimits {
            rate: raw.rate.as_ref().map(|text| self.parsed(text)).transpose()?,
            concurrency: match &raw.concurrency {
                Some(number) if *number.get_ref() == 0 => {
                    return self.problem(number.span(), "a limit of 0 would let nothing pass");
                }
                number => number.as_ref().map(|number| *number.get_ref()),
            },
        };
        Ok(Route { name, host, path, without_certificate, policy: own, answer, limits })
    }
}

/// Reads `KIND VALUE` or `all`.
pub(crate) fn rule(text: &str) -> Result<Rule, String> {
    if text == "all" {
        return Ok(Rule::All);
    }
    let kinds = || {
        format!(
            "write a kind and a value, such as \"cn alice\"; the kinds are {}, and all",
            Rule::KINDS.join(", ")
        )
    };
    let (kind, value) = text.split_once(char::is_whitespace).ok_or_else(kinds)?;
    let kind = Rule::KINDS.into_iter().find(|known| *known == kind).ok_or_else(kinds)?;
    Rule::parse(kind, value.trim_start()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
