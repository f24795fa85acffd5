//! What the service shows of itself, and what keeps it fresh: its certificate, its OCSP responders, and whom its listeners
//! believe.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ca::{IssueRequest, Line};
use jiff::{SignedDuration, Timestamp};
use keys::PrivateKey;
use net::snapshot::Handle;
use net::tls::Credentials;
use pki::issuer::Issuer;
use pki::key::{KeyAlgorithm, PublicKey, SigningKey as _};
use pki::name::SubjectNames;
use pki::{Certificate, Profile};
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

/// So many times it is not looked after a failure: each try signs, and leaves on record what it numbered.
const PAUSE: u32 = 25;

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
        let authority = self.state.authority();
        let request = own(Profile::Server, self.names.clone(), key.public_key(), &authority.issuer(), now);
        let issued = authority.issue(request, now).or_refuse()?;
        Credentials::new(full_chain(&issued), key.to_pkcs8_der()).or_usage()
    }

    /// Makes new OCSP responders, one for each issuing CA whose certificates are asked about and which has none, or one that
    /// nears its end.
    pub(super) fn renew_responders(&self, now: Timestamp) -> Result<(), Failure> {
        let lines = self.state.authority().lines();
        let mut due = lines.published(now).filter(|line| self.is_responder_due(line, now));
        due.try_for_each(|line| self.renew_responder(line, now))
    }

    fn is_responder_due(&self, line: &Line, now: Timestamp) -> bool {
        let responder = self.state.responder(line.number());
        line.key().is_some() && responder.is_none_or(|responder| is_due(&responder.certificate, now))
    }

    /// Makes a new OCSP responder: a key that stays in this process or wherever it is, and the issuing CA's word for it.
    fn renew_responder(&self, line: &Line, now: Timestamp) -> Result<(), Failure> {
        let issuer = line.issuer();
        let key = match &self.responder_key {
            Some(key) => key.clone(),
            None => OwnKey::File(PrivateKey::generate(responder_kind(issuer.certificate())?).or_usage()?),
        };
        let names =
            SubjectNames { common_name: Some("OCSP responder".to_owned()), ..SubjectNames::default() };
        let request = own(Profile::Responder, names, key.public_key(), issuer, now);
        let certificate = self.state.authority().issue_in(line, request, now).or_refuse()?.certificate;
        self.state.set_responder(Responder { certificate, key: Box::new(key) });
        Ok(())
    }
}

/// What the service asks of the authority for itself.
fn own(
    profile: Profile,
    names: SubjectNames,
    key: &PublicKey,
    issuer: &Issuer,
    now: Timestamp,
) -> IssueRequest {
    let left = issuer.certificate().not_after().duration_since(now);
    IssueRequest {
        profile,
        label: names.common_name.clone().unwrap_or_default(),
        names,
        public_key: key.clone(),
        lifetime: Some(OWN_LIFETIME.min(left)),
        requested_by: format!("ca serve, {}", requester()),
        origin: String::new(),
        replaces: None,
        location: None,
    }
}

/// Whether a certificate that the service made for itself is to be made again.
fn is_due(own: &Certificate, now: Timestamp) -> bool {
    let life = own.not_after().duration_since(own.not_before());
    own.not_after().duration_since(now) < life / 3
}

/// An answer is worth what its weakest signature is: under a post-quantum CA the responder is post-quantum too.
pub(super) fn responder_kind(issuer: &pki::Certificate) -> Result<KeyAlgorithm, Failure> {
    let of_issuer = issuer.public_key().or_refuse()?.algorithm();
    Ok(if of_issuer.is_post_quantum() { of_issuer } else { KeyAlgorithm::P256 })
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
            let (mut told, mut pause) = (None, 0_u32);
            while !stop.load(Ordering::Relaxed) {
                std::thread::park_timeout(INTERVAL);
                if pause > 0 {
                    pause -= 1;
                    continue;
                }
                let failure = kept.refresh(&manager).err();
                let message = failure.as_ref().map(|failure| failure.message().to_owned());
                pause = if message.is_some() { PAUSE } else { 0 };
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
    /// Makes again what is due, and gives it to the listeners. What cannot be made keeps nothing else from it.
    fn refresh(&mut self, manager: &ServiceManager) -> Result<(), Failure> {
        let (renewed, replaced) = (self.renew(manager), self.replace());
        renewed.and(replaced)
    }

    /// A new certificate where the old one nears its end, or another line issues now: a step of a rollover changes who
    /// issues, what is sent behind a certificate, and whose clients are believed. And new OCSP responders.
    fn renew(&mut self, manager: &ServiceManager) -> Result<(), Failure> {
        let (state, now) = (&self.front.state, self.front.state.now());
        let lines = state.authority().lines();
        let is_due = lines.version() != self.lines || is_due(self.credentials.leaf(), now);
        if !is_due && !lines.published(now).any(|line| self.front.is_responder_due(line, now)) {
            return Ok(());
        }
        manager.reloading();
        let own = if is_due { self.front.credentials(now).map(Some) } else { Ok(None) };
        let responders = self.front.renew_responders(now);
        manager.ready(&said(state.base(), own.as_ref().err().or(responders.as_ref().err())));
        if let Some(credentials) = own? {
            (self.credentials, self.lines, self.judged.1) =
                (credentials, lines.version(), Timestamp::UNIX_EPOCH);
        }
        responders
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::sync::atomic::AtomicI64;

    use ca::{Authority, CreateAuthority, Store};
    use pki::extension::NameConstraints;
    use pki::key::{SignError, SigningKey};
    use service::Settings;
    use store::MemoryStore;
    use testkit::{KeyKind, TestKey};

    use super::*;

    /// A key that signs so many times more, as one in a token that is taken away.
    struct Counted(TestKey, Arc<AtomicI64>);

    impl SigningKey for Counted {
        fn public_key(&self) -> &PublicKey {
            self.0.public_key()
        }

        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
            match self.1.fetch_sub(1, Ordering::SeqCst) {
                ..=0 => Err(SignError::Refused("the token was taken away".to_owned())),
                _ => self.0.sign(message),
            }
        }
    }

    #[test]
    fn what_cannot_be_signed_is_made_once_the_key_is_back_and_nothing_else_is_made_twice() {
        static LATER: AtomicI64 = AtomicI64::new(0);
        fn clock() -> Timestamp {
            testkit::now() + SignedDuration::from_hours(LATER.load(Ordering::SeqCst))
        }
        let (root, issuing) = (TestKey::generate(KeyKind::P256), TestKey::generate(KeyKind::P256));
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let wish = CreateAuthority {
            name: "Test".to_owned(),
            root_lifetime: SignedDuration::from_hours(24 * 3650),
            constraints: NameConstraints::default(),
            requested_by: "founder".to_owned(),
        };
        let entropy: ca::Entropy = Box::new(|octets| {
            octets.copy_from_slice(
                &keys::random::random_bytes::<32>().map_err(|e| e.to_string())?[..octets.len()],
            );
            Ok(())
        });
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let signer = Box::new(Counted(issuing, Arc::clone(&left)));
        let authority =
            Authority::create(Arc::clone(&store), &root, signer, &wish, entropy, clock()).unwrap();
        let mut settings = Settings::new("https://localhost:8444");
        settings.clock = clock;
        let state = State::new(authority, settings);
        let names = SubjectNames::for_server(&["localhost"]).unwrap();
        let front = Front { names, state: state.clone(), responder_key: None };
        let credentials = front.credentials(clock()).unwrap();
        front.renew_responders(clock()).unwrap();
        let handle = Handle::new(server::snapshot(&state, credentials.clone()).unwrap());
        let judged = (state.store().revocation_version().ok(), clock());
        let mut kept =
            Kept { front, handle, credentials, lines: state.authority().lines().version(), judged };
        let manager = ServiceManager::default();
        let issued = || store.list(&ca::Query::default(), clock()).unwrap().entries.len();
        let responder = || state.responder(1).unwrap().certificate.serial().to_vec();

        let (first, own) = (responder(), kept.credentials.leaf().clone());
        for _ in 0..3 {
            kept.refresh(&manager).unwrap();
        }
        assert_eq!((issued(), responder()), (2, first.clone()), "nothing was due");

        LATER.store(6 * 24, Ordering::SeqCst);
        // Its own certificate can be signed, and then no responder.
        left.store(1, Ordering::SeqCst);
        for _ in 0..3 {
            assert!(kept.refresh(&manager).is_err());
            assert_eq!((issued(), responder()), (3, first.clone()), "what was made is not made again");
        }
        assert!(kept.credentials.leaf() != &own);

        left.store(i64::MAX, Ordering::SeqCst);
        for _ in 0..3 {
            kept.refresh(&manager).unwrap();
        }
        assert_eq!(issued(), 4, "one of each");
        assert!(responder() != first);
    }
}
