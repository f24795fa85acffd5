//! From a configuration to what a listener runs on: certificates, anchors and lists read from files or from the local
//! authority, and handlers, which live on when the configuration is read again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use net::dial::TlsOptions;
use net::revocation::{Lists, Online, OnlineMode, Sources};
use net::serve::{Directory, Handler, Route, TcpUpstream, Upstream};
use net::snapshot::Snapshot;
use net::tls::Credentials;
use net::tls::server_verifier::{Expectation, ServerIdentity};
use pki::crl::CertificateRevocationList;
use pki::policy::Policy;
use pki::verify::{RevocationMode, TrustBundle};

use super::local::Local;
use crate::config::{self, Answer, Certificates, Config, Fallback, Listener, UpstreamTls};
use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::feed::{Feed, Known};
use crate::home::Home;
use crate::input;

/// What configurations are loaded with, for as long as the process runs.
pub(super) struct Loader {
    local: Option<Local>,
    feed: Option<Feed>,
    feed_fallback: Option<(SignedDuration, Fallback)>,
    lists: Mutex<Option<(config::Revocation, Arc<Lists>)>>,
    /// Answers outlive a reload.
    online: Mutex<Option<(config::Ocsp, Arc<Online>)>>,
    handlers: Mutex<Vec<Kept>>,
    runtime: tokio::runtime::Handle,
}

/// A handler, and what it was made of.
struct Kept {
    answer: Answer,
    files: Vec<Option<[u8; 32]>>,
    handler: Arc<Handler>,
}

impl Loader {
    pub(super) fn new(
        context: &Context,
        config: &Config,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, Failure> {
        let local = if needs_authority(config) {
            let home = Home::of(context)?;
            let authority = home.open(context, config.passphrase_file.as_deref()).map_err(|failure| {
                failure.hint("or name the files: --cert FILE --key FILE --client-ca FILE")
            })?;
            Some(Local::new(authority))
        } else {
            None
        };
        let feed = match &config.feed {
            Some(feed) => {
                let anchors = anchors(std::slice::from_ref(&feed.ca))?;
                Some(Feed::follow(context, &feed.url, &feed.cert, &feed.key, anchors)?)
            }
            None => None,
        };
        Ok(Loader {
            local,
            feed,
            feed_fallback: config.feed.as_ref().and_then(|source| source.fallback),
            lists: Mutex::default(),
            online: Mutex::default(),
            handlers: Mutex::default(),
            runtime,
        })
    }

    /// A number that changes with the authority's memory and with lists from URLs.
    pub(super) fn version(&self, now: Timestamp) -> u64 {
        let authority = self.local.as_ref().map_or(0, |local| local.version(now));
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let authority = authority.wrapping_add(self.feed.as_ref().map_or(0, |feed| feed.generation() << 40));
        let authority = authority.wrapping_add(u64::from(self.fallback(now).is_some()) << 39);
        authority.wrapping_mul(31).wrapping_add(lists.as_ref().map_or(0, |(_, lists)| lists.version()))
    }

    /// What vouches for clients in the feed's place, where that has been silent for too long; since when it does.
    fn fallback(&self, now: Timestamp) -> Option<(Timestamp, Fallback)> {
        let (longest, fallback) = self.feed_fallback?;
        let heard = self.feed.as_ref()?.known().heard.unwrap_or(Timestamp::UNIX_EPOCH);
        let end = heard.checked_add(longest).ok()?;
        (end < now).then_some((end, fallback))
    }

    /// The feed that is followed, where there is one.
    pub(super) fn feed(&self) -> Option<&Feed> {
        self.feed.as_ref()
    }

    /// Has this thread woken when the feed has news.
    pub(super) fn wake(&self, thread: std::thread::Thread) {
        if let Some(feed) = &self.feed {
            feed.wake(thread);
        }
    }

    /// The lists from URLs, where there are any.
    pub(super) fn lists(&self) -> Option<Arc<Lists>> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.as_ref().map(|(_, lists)| Arc::clone(lists))
    }

    /// Reads everything anew: one snapshot for each listener.
    pub(super) fn load(&self, context: &Context, config: &Config) -> Result<Vec<Snapshot>, Failure> {
        if needs_authority(config) && self.local.is_none() {
            return Err(Failure::usage("this needs the local authority, which was not opened at the start")
                .hint("restart serve"));
        }
        let now = context.now();
        let mut crls = Vec::new();
        for file in &config.revocation.files {
            crls.extend(input::revocation_lists(file)?);
        }
        if let Some(lists) = self.fetched(context, config) {
            crls.extend(lists.current());
        }
        self.tell_of_ended(context, config, &crls, now);
        if let Some((end, fallback)) = self.fallback(now) {
            let consequence = match fallback {
                Fallback::Lists => "the lists of --crl vouch for clients now",
                Fallback::Ocsp => "clients are asked about by OCSP now",
                Fallback::Refuse => "nobody is let in before it is heard again",
            };
            context
                .warn(format!("feed_old: what the feed said ended at {end} (--feed-max-age); {consequence}"));
        }
        let mut snapshots = Vec::new();
        for listener in &config.listeners {
            snapshots.push(self.listener(context, config, listener, &crls, now)?);
        }
        Ok(snapshots)
    }

    fn listener(
        &self,
        context: &Context,
        config: &Config,
        listener: &Listener,
        crls: &[pki::crl::CertificateRevocationList],
        now: Timestamp,
    ) -> Result<Snapshot, Failure> {
        let passphrase = input::passphrase(context, config.passphrase_file.as_deref())?;
        let mut credentials = match &listener.certificates {
            Certificates::Local(names) => {
                let (chain, key) = self.local()?.certificate(names, now)?;
                vec![Credentials::new(chain, key.to_pkcs8_der()).or_usage()?]
            }
            Certificates::Files(pairs) => {
                let mut all = Vec::new();
                for (cert, key) in pairs {
                    let (chain, key) = input::credentials(context, cert, key, passphrase.as_ref())?;
                    all.push(key.credentials(chain).or_usage()?);
                }
                all
            }
        };
        let trust = match listener.client_ca.as_slice() {
            [] => match &self.feed {
                Some(feed) => TrustBundle::new(feed.known().anchors),
                None => self.local()?.anchors(),
            },
            files => anchors(files)?,
        };
        let first = credentials.remove(0);
        let mut snapshot = Snapshot::new(first, trust);
        snapshot.more_credentials = credentials;
        snapshot.crls = crls.to_vec();
        snapshot.revocation = config.revocation.mode;
        snapshot.online = self.online(config, now);
        snapshot.policy = listener.policy.clone();
        if let Some(feed) = &self.feed {
            self.follow(&mut snapshot, feed.known(), config, listener, now);
        } else if listener.client_ca.is_empty() {
            snapshot.crls.extend(self.local()?.lists(now)?);
        }
        snapshot.identity_front.clone_from(&listener.identity_front);
        snapshot.client_auth = listener.client_auth;
        snapshot.refused_clients = listener.refused;
        snapshot.versions = listener.versions;
        for route in &listener.routes {
            snapshot.routes.push(Route {
                name: Arc::from(route.name.as_str()),
                host: route.host.clone(),
                path: route.path.clone(),
                without_certificate: route.without_certificate,
                policy: route.policy.clone(),
                handler: self.handler(context, config, &route.answer)?,
            });
        }
        Ok(snapshot)
    }

    /// What the feed adds: its list, its rules; and what counts in its place where it is too old.
    fn follow(
        &self,
        snapshot: &mut Snapshot,
        known: Known,
        config: &Config,
        listener: &Listener,
        now: Timestamp,
    ) {
        let fallback = self.fallback(now);
        // Whom an old list names is refused all the same; for those whom it does not name it says nothing any more.
        // A root's list was signed for as long as the root lives, and nobody has to be at hand with a later one.
        let is_of_root = |list: &CertificateRevocationList| {
            known.anchors.iter().any(|root| root.subject() == list.issuer())
        };
        let due = |list: CertificateRevocationList| match fallback {
            Some((end, _)) if !is_of_root(&list) => list.due_at(end),
            _ => list,
        };
        let lists: Vec<CertificateRevocationList> = known.lists.iter().cloned().map(due).collect();
        match fallback {
            None => {}
            // The feed's own list is known and over, so that another one must be at hand.
            Some((_, Fallback::Lists)) => snapshot.revocation = RevocationMode::WhereKnown,
            Some((_, Fallback::Ocsp)) => snapshot.revocation = RevocationMode::BestEffort,
            Some((_, Fallback::Refuse)) => {
                snapshot.crls.clear();
                snapshot.revocation = RevocationMode::Required;
            }
        }
        snapshot.crls.extend(lists);
        if config.feed.as_ref().is_some_and(|source| source.rules) {
            let published = known.rules.unwrap_or_default();
            let all = listener.policy.statements().iter().chain(published.statements());
            snapshot.policy = Policy::of(all.cloned().collect());
        }
    }

    /// Where certificates are asked about, made anew where the configuration wants another.
    fn online(&self, config: &Config, now: Timestamp) -> Option<Arc<Online>> {
        let mut online = self.online.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = config.revocation.ocsp.as_ref();
        let hard = match self.fallback(now) {
            Some((_, Fallback::Ocsp)) => {
                let ocsp = wanted.cloned().unwrap_or_else(|| config::Ocsp::new(OnlineMode::Hard));
                Some(config::Ocsp { mode: OnlineMode::Hard, ..ocsp })
            }
            _ => None,
        };
        let wanted = hard.as_ref().or(wanted);
        if online.as_ref().map(|(of, _)| of) != wanted {
            *online = wanted.map(|ocsp| {
                (ocsp.clone(), Arc::new(Online::new(ocsp.mode, ocsp.responder.clone(), ocsp.timeout)))
            });
        }
        online.as_ref().map(|(_, online)| Arc::clone(online))
    }

    /// The lists from URLs, started anew where the configuration wants others.
    fn fetched(&self, context: &Context, config: &Config) -> Option<Arc<Lists>> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, lists)) = lists.as_ref()
            && of.urls == config.revocation.urls
            && of.refresh == config.revocation.refresh
        {
            return Some(Arc::clone(lists));
        }
        if config.revocation.urls.is_empty() {
            *lists = None;
            return None;
        }
        let cache = config
            .revocation
            .cache
            .clone()
            .or_else(|| context.home().ok().map(|home| home.join("crl-cache")));
        let sources =
            Sources { urls: config.revocation.urls.clone(), cache, refresh: config.revocation.refresh };
        let started = Arc::new(self.runtime.block_on(Lists::start(sources, Timestamp::now)));
        *lists = Some((config.revocation.clone(), Arc::clone(&started)));
        Some(started)
    }

    /// Names lists that are over as what they are, each time that something is loaded.
    fn tell_of_ended(
        &self,
        context: &Context,
        config: &Config,
        crls: &[pki::crl::CertificateRevocationList],
        now: Timestamp,
    ) {
        use pki::verify::RevocationMode;
        for crl in crls {
            if let Some(end) = crl.next_update().filter(|end| *end < now) {
                let consequence = match config.revocation.mode {
                    RevocationMode::BestEffort => {
                        "clients whom it does not name are let in all the same (soft)"
                    }
                    RevocationMode::WhereKnown | RevocationMode::Required => {
                        "all clients of this issuer are refused"
                    }
                };
                context
                    .warn(format!("crl_expired: the list of {} ended at {end}; {consequence}", crl.issuer()));
            }
        }
        for state in self.lists().map(|lists| lists.states()).unwrap_or_default() {
            if state.list().is_none() {
                let consequence = match config.revocation.mode {
                    RevocationMode::Required => "all clients of its issuer are refused (hard)",
                    _ => "clients of its issuer are let in unchecked",
                };
                let why = state.failure.unwrap_or_default();
                context.warn(format!("crl_missing: {} was not got ({why}); {consequence}", state.url));
            }
        }
    }

    fn local(&self) -> Result<&Local, Failure> {
        // `new` opened it wherever a default refers to it.
        self.local.as_ref().ok_or_else(|| Failure::usage("there is no local authority to take this from"))
    }

    /// What answers: the same as before where nothing of it has changed, since connections to upstreams live in it.
    fn handler(&self, context: &Context, config: &Config, answer: &Answer) -> Result<Arc<Handler>, Failure> {
        let files: Vec<Option<[u8; 32]>> = tls_files(answer)
            .iter()
            .map(|file| std::fs::read(file).ok().map(|contents| pki::sha256(&contents)))
            .collect();
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = handlers.iter().find(|kept| kept.answer == *answer && kept.files == files) {
            return Ok(Arc::clone(&kept.handler));
        }
        let handler = Arc::new(match answer {
            Answer::Identity => Handler::Identity,
            Answer::TryIt => Handler::TryIt,
            Answer::Directory(path) => Handler::Directory(Directory::open(path).or_usage()?),
            Answer::Upstream(upstream) => make_upstream(context, config, upstream)?,
        });
        handlers.retain(|kept| kept.answer != *answer);
        handlers.push(Kept { answer: answer.clone(), files, handler: Arc::clone(&handler) });
        Ok(handler)
    }
}

fn needs_authority(config: &Config) -> bool {
    let needs = |listener: &Listener| {
        matches!(listener.certificates, Certificates::Local(_))
            || (listener.client_ca.is_empty() && config.feed.is_none())
    };
    config.listeners.iter().any(needs)
}

fn tls_files(answer: &Answer) -> Vec<PathBuf> {
    match answer {
        Answer::Upstream(upstream) => upstream.tls.as_ref().map(UpstreamTls::files).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn anchors(files: &[PathBuf]) -> Result<TrustBundle, Failure> {
    let mut anchors = Vec::new();
    for file in files {
        anchors.extend(input::certificates(file)?);
    }
    Ok(TrustBundle::new(anchors))
}

fn make_upstream(
    context: &Context,
    config: &Config,
    upstream: &config::Upstream,
) -> Result<Handler, Failure> {
    let targets = upstream.targets().or_usage()?;
    if targets.iter().any(|target| !target.is_http()) || upstream.to.iter().any(|to| to.starts_with("tcp:")) {
        let mut made = TcpUpstream::new(targets).or_usage()?;
        if upstream.proxy_protocol {
            made = made.send_proxy_protocol();
        }
        if let Some(limit) = upstream.connect_timeout {
            made = made.connect_timeout(limit);
        }
        if let Some(health) = &upstream.health {
            made = made.health(health.clone());
        }
        return Ok(Handler::Tcp(made));
    }
    let mut made = Upstream::new(targets).or_usage()?.dialects(upstream.headers.clone());
    if let Some(limit) = upstream.answer_timeout {
        made = made.answer_timeout(limit);
    }
    if let Some(limit) = upstream.connect_timeout {
        made = made.connect_timeout(limit);
    }
    if let Some(health) = &upstream.health {
        made = made.health(health.clone());
    }
    if let Some(tls) = &upstream.tls {
        made = made.tls(tls_options(context, config.passphrase_file.as_deref(), tls)?);
        if tls.require_client_auth_request {
            made = made.require_client_auth_request();
        }
    }
    if made.needs_tls() {
        return Err(Failure::usage(format!(
            "{} is spoken to over TLS, and nothing says whom it is believed by",
            upstream.to.join(", ")
        ))
        .hint("--upstream-ca FILE"));
    }
    Ok(Handler::Upstream(made))
}

fn tls_options(
    context: &Context,
    passphrase: Option<&Path>,
    tls: &UpstreamTls,
) -> Result<TlsOptions, Failure> {
    let mut expectation = Expectation::new(anchors(&tls.ca)?);
    expectation.server_name.clone_from(&tls.server_name);
    if !tls.verify.is_empty() {
        let policy = Policy::recognising(tls.verify.clone());
        expectation.identity = match tls.server_name {
            Some(_) => ServerIdentity::HostNameAndRules(policy),
            None => ServerIdentity::Rules(policy),
        };
    }
    let mut options = TlsOptions::new(expectation);
    if let Some((cert, key)) = &tls.credentials {
        let passphrase = input::passphrase(context, passphrase)?;
        let (chain, key) = input::credentials(context, cert, key, passphrase.as_ref())?;
        options.credentials = Some(key.credentials(chain).or_usage()?);
    }
    Ok(options)
}

#[cfg(test)]
mod tests;
