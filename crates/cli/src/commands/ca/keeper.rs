//! What the service shows of itself, and what keeps it fresh: its certificate, its OCSP responders, and whom its listeners
//! believe.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ca::IssueRequest;
use jiff::{SignedDuration, Timestamp};
use keys::PrivateKey;
use net::snapshot::Handle;
use net::tls::Credentials;
use pki::Profile;
use pki::key::{KeyAlgorithm, SigningKey as _};
use pki::name::SubjectNames;
use service::{Responder, State, server};

use super::serve::told;
use crate::commands::issue::{full_chain, requester};
use crate::context::report;
use crate::failure::{Failure, OrFail as _};
use crate::key::OwnKey;
use crate::service_manager::ServiceManager;

/// How long the certificate that the service makes for itself lives. It is made again at two thirds.
const OWN_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How often it is looked whether something was revoked, by this process or another one.
const INTERVAL: Duration = Duration::from_millis(200);

/// What the service manager shows of it.
pub(super) fn said(base: &str, problem: Option<&Failure>) -> String {
    match problem {
        None => format!("the authority at {base}"),
        Some(_) => format!("the authority at {base}; its own certificate cannot be renewed"),
    }
}

/// What the service shows of itself.
pub(super) struct Front {
    pub(super) names: SubjectNames,
    pub(super) state: State,
    /// What signs OCSP answers, where that is elsewhere.
    pub(super) responder_key: Option<OwnKey>,
}

impl Front {
    /// A new certificate of the authority for the service; its key stays in the memory of this process.
    pub(super) fn credentials(&self, now: Timestamp) -> Result<Credentials, Failure> {
        let key = PrivateKey::generate(KeyAlgorithm::P256).or_usage()?;
        let own = self.state.authority().issuer().certificate().not_after().duration_since(now);
        let issued = self
            .state
            .authority()
            .issue(
                IssueRequest {
                    profile: Profile::Server,
                    label: self.names.common_name.clone().unwrap_or_default(),
                    names: self.names.clone(),
                    public_key: key.public_key().clone(),
                    lifetime: Some(OWN_LIFETIME.min(own)),
                    requested_by: format!("ca serve, {}", requester()),
                    origin: String::new(),
                    replaces: None,
                    location: None,
                },
                now,
            )
            .or_refuse()?;
        Credentials::new(full_chain(&issued), key.to_pkcs8_der()).or_usage()
    }
}

/// An answer is worth what its weakest signature is: under a post-quantum CA the responder is post-quantum too.
pub(super) fn responder_kind(issuer: &pki::Certificate) -> Result<KeyAlgorithm, Failure> {
    let of_issuer = issuer.public_key().or_refuse()?.algorithm();
    Ok(if of_issuer.is_post_quantum() { of_issuer } else { KeyAlgorithm::P256 })
}

impl Front {
    /// Makes new OCSP responders, one for each issuing CA whose certificates are asked about.
    pub(super) fn renew_responders(&self, now: Timestamp) -> Result<(), Failure> {
        let lines = self.state.authority().lines();
        let mut signing = lines.published(now).filter(|line| line.key().is_some());
        signing.try_for_each(|line| self.renew_responder(line, now))
    }

    /// Makes a new OCSP responder: a key that stays in this process or wherever it is, and the issuing CA's word for it.
    fn renew_responder(&self, line: &ca::Line, now: Timestamp) -> Result<(), Failure> {
        let issuer = line.issuer().certificate();
        let key = match &self.responder_key {
            Some(key) => key.clone(),
            None => OwnKey::File(PrivateKey::generate(responder_kind(issuer)?).or_usage()?),
        };
        let own = issuer.not_after().duration_since(now);
        let name = "OCSP responder".to_owned();
        let issued = self.state.authority().issue_in(
            line,
            IssueRequest {
                profile: Profile::Responder,
                label: name.clone(),
                names: SubjectNames { common_name: Some(name), ..SubjectNames::default() },
                public_key: key.public_key().clone(),
                lifetime: Some(OWN_LIFETIME.min(own)),
                requested_by: format!("ca serve, {}", requester()),
                origin: String::new(),
                replaces: None,
                location: None,
            },
            now,
        );
        let certificate = issued.or_refuse()?.certificate;
        self.state.set_responder(Responder { certificate, key: Box::new(key) });
        Ok(())
    }
}

/// Keeps the service's own certificate fresh, and its clients judged by what was revoked.
pub(super) struct Keeper {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Keeper {
    pub(super) fn start(kept: Kept, manager: ServiceManager) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        // Its own thread: it reads the memory and signs.
        let thread = std::thread::spawn(move || {
            let mut kept = kept;
            // What keeps failing is said once.
            let mut told = None;
            while !stop.load(Ordering::Relaxed) {
                std::thread::park_timeout(INTERVAL);
                let (renewed, replaced) = (kept.renew(&manager), kept.replace());
                let failure = renewed.and(replaced).err();
                let message = failure.as_ref().map(|failure| failure.message().to_owned());
                if message != told {
                    failure.iter().for_each(report);
                    told = message;
                }
            }
        });
        Keeper { over, thread }
    }

    pub(super) fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        // A panic in it was printed when it happened.
        let _ = self.thread.join();
    }
}

/// What the listeners have, and how old that is.
pub(super) struct Kept {
    pub(super) front: Front,
    pub(super) handle: Handle,
    pub(super) credentials: Credentials,
    /// The version of the lines that the certificate goes by.
    pub(super) lines: u64,
    /// The number of the last revocation that the listeners know, where the memory could be read, and when that was.
    pub(super) judged: (Option<u64>, Timestamp),
}

impl Kept {
    /// A new certificate where the old one nears its end, or another line issues now: a step of a rollover changes who
    /// issues, what is sent behind a certificate, and whose clients are believed.
    fn renew(&mut self, manager: &ServiceManager) -> Result<(), Failure> {
        let (state, now) = (&self.front.state, self.front.state.now());
        let own = self.credentials.leaf();
        let life = own.not_after().duration_since(own.not_before());
        let lines = state.authority().lines().version();
        if lines == self.lines && own.not_after().duration_since(now) >= life / 3 {
            return Ok(());
        }
        manager.reloading();
        // The responders first: they are made again together with a certificate that could not be made.
        let renewed = self.front.renew_responders(now).and_then(|()| self.front.credentials(now));
        manager.ready(&said(state.base(), renewed.as_ref().err()));
        (self.credentials, self.lines, self.judged.1) = (renewed?, lines, Timestamp::UNIX_EPOCH);
        Ok(())
    }

    /// Gives the listeners what is new.
    fn replace(&mut self) -> Result<(), Failure> {
        let (state, now) = (&self.front.state, self.front.state.now());
        // Where the memory cannot be read now, what is known stays in force.
        let Ok(current) = state.store().revocation_version() else { return Ok(()) };
        let half = state.settings().list_lifetime / 2;
        if Some(current) == self.judged.0 && now.duration_since(self.judged.1) < half {
            return Ok(());
        }
        self.handle.replace(server::snapshot(state, self.credentials.clone()).map_err(told)?);
        state.shows(self.lines);
        self.judged = (Some(current), now);
        Ok(())
    }
}
