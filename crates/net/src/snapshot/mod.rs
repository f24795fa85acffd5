//! What a server believes and allows at one moment: credentials, trust, revocation, policy. Immutable; replaced as a
//! whole. And the two judgements made with it: of a client's certificate, and of a request.

mod clients;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use explain::Finding;
use jiff::{SignedDuration, Timestamp};
use pki::crl::CertificateRevocationList;
use pki::identity::VerifiedPeer;
use pki::policy::{Permit, Policy};
use pki::verify::{RevocationMode, TrustBundle};
use rustls::ServerConfig;
use tokio::sync::watch;

pub(crate) use clients::{Client, Judge, NoClient, Presented};

use crate::refusal;
use crate::revocation::Online;
use crate::serve::{Handler, IdentityFront, Route, WithoutCertificate};
use crate::tls::client_verifier::ClientVerifier;
use crate::tls::{Credentials, Tickets, TlsVersions, server_config};

/// The application protocols spoken, the preferred one first.
const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Whether a client is asked for a certificate, and what happens without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// Asked for and required: without one there is no connection.
    #[default]
    Require,
    /// Asked for. A client without one gets a connection, and its requests are denied unless `allow_anonymous`; no
    /// rule of the policy speaks for it, not even `allow-all`, which means everyone whose certificate verifies. A
    /// certificate that does not verify still ends the handshake.
    Optional {
        /// Whether requests without a certificate are let through.
        allow_anonymous: bool,
    },
    /// Not asked for: everyone is let through, and nobody has an identity.
    Off,
}

/// How a client hears that its certificate is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefusedClients {
    /// By an alert, which ends the handshake. Programs show it; browsers show an error page that says nothing.
    #[default]
    Abort,
    /// By one page, for people: the handshake is finished, without making anybody of the client, every request on the
    /// connection gets the page that says why (403), and the connection is closed. No ticket is given, and nothing
    /// else is reached. A listener that passes octets on has no page, and aborts all the same.
    Page,
}

/// What a server believes and allows.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The server's own chain and key: for clients that name no server, or one that no other chain is for.
    pub credentials: Credentials,
    /// More of them, each for the DNS names in its certificate.
    pub more_credentials: Vec<Credentials>,
    /// The anchors that clients' certificates must lead to.
    pub trust: TrustBundle,
    /// The revocation lists at hand.
    pub crls: Vec<CertificateRevocationList>,
    /// What a missing list means.
    pub revocation: RevocationMode,
    /// Whether clients need a certificate.
    pub client_auth: ClientAuth,
    /// How a client hears that its certificate is refused.
    pub refused_clients: RefusedClients,
    /// Which of the verified clients may pass, on routes that do not say so themselves.
    pub policy: Policy,
    /// What answers. Of two routes that take a request the one that says more answers it: a host over any host, then
    /// the longer path. What no route takes is answered with 404.
    pub routes: Vec<Route>,
    /// The TLS versions taken.
    pub versions: TlsVersions,
    /// How long past its end a client's own certificate is still taken, for renewing it; zero for not at all. What
    /// answers must then look at the certificate's dates itself.
    pub grace: SignedDuration,
    /// Load balancers in front that end TLS and pass clients' certificates on in headers.
    pub identity_front: Option<IdentityFront>,
    /// Where clients' certificates are asked about one by one, beside the lists.
    pub online: Option<Arc<Online>>,
}

impl Snapshot {
    /// A snapshot that requires client certificates of these anchors, and has no rule yet: it denies everyone.
    ///
    /// ```
    /// use net::snapshot::{ClientAuth, Snapshot};
    /// let ca = testkit::TestCa::new();
    /// let server = ca.issue_server(&["localhost"]);
    /// let credentials = net::tls::Credentials::new(vec![server.certificate], server.key.pkcs8_der())?;
    /// let snapshot = Snapshot::new(credentials, ca.anchors());
    /// assert_eq!(snapshot.client_auth, ClientAuth::Require);
    /// assert!(snapshot.policy.is_empty());
    /// # Ok::<(), net::tls::CredentialsError>(())
    /// ```
    #[must_use]
    pub fn new(credentials: Credentials, trust: TrustBundle) -> Self {
        Snapshot {
            credentials,
            more_credentials: Vec::new(),
            trust,
            crls: Vec::new(),
            revocation: RevocationMode::default(),
            client_auth: ClientAuth::default(),
            refused_clients: RefusedClients::default(),
            policy: Policy::default(),
            routes: Vec::new(),
            versions: TlsVersions::default(),
            grace: SignedDuration::ZERO,
            identity_front: None,
            online: None,
        }
    }

    /// The route that answers a request for this host (in lower case, without a port) and path (without a query).
    ///
    /// ```
    /// use net::serve::{Handler, Route};
    /// # let ca = testkit::TestCa::new();
    /// # let server = ca.issue_server(&["localhost"]);
    /// # let credentials = net::tls::Credentials::new(vec![server.certificate], server.key.pkcs8_der())?;
    /// let mut snapshot = net::snapshot::Snapshot::new(credentials, ca.anchors());
    /// assert!(snapshot.route("localhost", "/").is_none());
    /// snapshot.routes = vec![Route::everything(std::sync::Arc::new(Handler::Identity))];
    /// assert!(snapshot.route("localhost", "/").is_some());
    /// # Ok::<(), net::tls::CredentialsError>(())
    /// ```
    #[must_use]
    pub fn route(&self, host: &str, path: &str) -> Option<&Route> {
        self.routes.iter().filter(|route| route.takes(host, path)).max_by_key(|route| route.rank())
    }

    /// Whether it passes bytes on without looking into them: then its one route leads to a TCP service.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        matches!(self.routes.as_slice(), [route] if matches!(*route.handler, Handler::Tcp(_)))
    }
}

/// A snapshot in force, with what follows from it worked out once.
#[derive(Debug)]
pub(crate) struct Current {
    generation: u64,
    judge: Arc<Judge>,
    client_auth: ClientAuth,
    policy: Policy,
    /// The most specific first.
    routes: Vec<Arc<Route>>,
    looks_at_paths: bool,
    is_tcp: bool,
    tells_refused: bool,
    identity_front: Option<Arc<IdentityFront>>,
    online: Option<Arc<Online>>,
    config: Result<Arc<ServerConfig>, rustls::Error>,
    signs_elsewhere: bool,
}

impl Current {
    fn new(generation: u64, snapshot: Snapshot) -> Self {
        let is_tcp = snapshot.is_tcp();
        let hints = snapshot.trust.anchors().iter().map(|anchor| anchor.subject().der().to_vec().into());
        let hints = hints.collect();
        let Snapshot {
            credentials,
            more_credentials,
            trust,
            crls,
            revocation,
            client_auth,
            refused_clients,
            policy,
            mut routes,
            versions,
            grace,
            identity_front,
            online,
        } = snapshot;
        let judge = Arc::new(Judge::new(trust, crls, revocation, grace));
        let tells_refused = refused_clients == RefusedClients::Page && !is_tcp;
        let verifier = Arc::new(ClientVerifier {
            judge: Arc::clone(&judge),
            online: online.clone(),
            client_auth,
            tells_refused,
            hints,
        });
        let alpn = if is_tcp { &[] } else { ALPN };
        let tickets = Tickets::new(online.clone());
        let config = server_config(verifier, tickets, &credentials, &more_credentials, versions, alpn);
        let signs_elsewhere = std::iter::once(&credentials)
            .chain(&more_credentials)
            .any(crate::tls::Credentials::sign_elsewhere);
        routes.sort_by_key(|route| std::cmp::Reverse(route.rank()));
        Current {
            generation,
            judge,
            client_auth,
            policy,
            looks_at_paths: routes.iter().any(Route::looks_at_paths),
            routes: routes.into_iter().map(Arc::new).collect(),
            is_tcp,
            tells_refused,
            identity_front: identity_front.map(Arc::new),
            online,
            config: config.map(Arc::new),
            signs_elsewhere,
        }
    }

    /// Whether a handshake may have to wait: for a key that signs in a token or behind a service, or for a responder.
    pub(crate) fn may_wait(&self) -> bool {
        self.signs_elsewhere || self.online.is_some()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The TLS settings of all connections under this snapshot.
    pub(crate) fn config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        self.config.clone()
    }

    pub(crate) fn judge(&self) -> &Arc<Judge> {
        &self.judge
    }

    pub(crate) fn is_tcp(&self) -> bool {
        self.is_tcp
    }

    /// Whether a client that is refused is told why with a page.
    pub(crate) fn tells_refused(&self) -> bool {
        self.tells_refused
    }

    /// How a load balancer at this address tells of its clients; `None` where it is none.
    pub(crate) fn front_at(&self, address: std::net::IpAddr) -> Option<Arc<IdentityFront>> {
        self.identity_front.clone().filter(|front| front.is_at(address))
    }

    /// Where certificates are asked about one by one.
    pub(crate) fn online(&self) -> Option<&Arc<Online>> {
        self.online.as_ref()
    }

    /// Whether some route takes some paths only.
    pub(crate) fn looks_at_paths(&self) -> bool {
        self.looks_at_paths
    }

    /// The route of a request; see [`Snapshot::route`].
    pub(crate) fn route(&self, host: &str, path: &str) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.takes(host, path))
    }

    /// The one route of a snapshot that has only one, and that one for everything.
    pub(crate) fn only_route(&self) -> Option<&Arc<Route>> {
        match self.routes.as_slice() {
            [route] if route.host.is_none() && !self.looks_at_paths => Some(route),
            _ => None,
        }
    }

    pub(crate) fn has_no_routes(&self) -> bool {
        self.routes.is_empty()
    }

    /// Judges again a client that presented its certificate under another snapshot.
    pub(crate) fn judge_again(&self, presented: &Presented, now: Timestamp) -> Result<Arc<Client>, Finding> {
        self.judge.judge_again(presented, now).map_err(|refused| refusal::of_client(&refused))
    }

    /// Judges a request of this peer, or of someone without a certificate, on this route.
    pub(crate) fn admit(
        &self,
        route: &Route,
        peer: Option<&VerifiedPeer>,
        method: Option<&str>,
    ) -> Result<Admission, Refused> {
        let Some(peer) = peer else {
            let refused = |aborts| Refused { finding: refusal::no_client_certificate(), aborts };
            return match (self.client_auth, route.without_certificate) {
                (_, Some(WithoutCertificate::Page)) => Err(refused(false)),
                (_, Some(WithoutCertificate::Abort)) => Err(refused(true)),
                (_, Some(WithoutCertificate::Allow)) => Ok(Admission::anonymous("allow-anonymous")),
                (ClientAuth::Off, None) => Ok(Admission::anonymous("client certificates are off")),
                (ClientAuth::Optional { allow_anonymous: true }, None) => {
                    Ok(Admission::anonymous("allow-anonymous"))
                }
                (ClientAuth::Optional { allow_anonymous: false } | ClientAuth::Require, None) => {
                    Err(refused(false))
                }
            };
        };
        match self.policy_of(route).evaluate_for(peer, method) {
            Ok(permit) => Ok(Admission::permitted(&permit)),
            Err(denial) => Err(Refused { finding: refusal::of_policy(&denial), aborts: false }),
        }
    }

    fn policy_of<'p>(&'p self, route: &'p Route) -> &'p Policy {
        route.policy.as_ref().unwrap_or(&self.policy)
    }

    /// Whether an admission on this route holds for other methods too.
    pub(crate) fn looks_at_methods(&self, route: &Route) -> bool {
        self.policy_of(route).depends_on_method()
    }

    /// Whether there is still some route for this peer: without one a connection has no purpose.
    pub(crate) fn admits_somewhere(
        &self,
        peer: Option<&VerifiedPeer>,
        fallback: Option<&Arc<Route>>,
    ) -> bool {
        let fallback = fallback.filter(|_| self.has_no_routes());
        self.routes.iter().chain(fallback).any(|route| match peer {
            Some(peer) => self.policy_of(route).could_admit(peer),
            None => self.admit(route, None, None).is_ok(),
        })
    }
}

/// A request that is refused because of who asks.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) finding: Finding,
    /// Whether the connection is ended instead of an answer.
    pub(crate) aborts: bool,
}

/// The proof that a request may be answered: nothing is forwarded without one. Only [`Current::admit`] makes it.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    rule: Arc<str>,
}

impl Admission {
    fn permitted(permit: &Permit) -> Self {
        Admission { rule: Arc::clone(permit.shared_rule()) }
    }

    fn anonymous(why: &str) -> Self {
        Admission { rule: Arc::from(why) }
    }

    /// What let it in, for the log.
    pub(crate) fn rule(&self) -> &Arc<str> {
        &self.rule
    }
}

/// The snapshot in force, shared by all connections of a server; cloning it gives the same one.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    current: ArcSwap<Current>,
    next: AtomicU64,
    changes: watch::Sender<u64>,
}

impl Handle {
    /// Puts a first snapshot in force.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        let (changes, _) = watch::channel(0);
        let current = ArcSwap::from_pointee(Current::new(0, snapshot));
        Handle(Arc::new(Shared { current, next: AtomicU64::new(1), changes }))
    }

    /// Puts another in its place. New connections use it; live ones are judged by it again, and those that no longer
    /// hold are closed within a second.
    pub fn replace(&self, snapshot: Snapshot) {
        // Under the sender's lock, so that of two callers the later generation stays in force.
        self.0.changes.send_modify(|generation| {
            *generation = self.0.next.fetch_add(1, Ordering::Relaxed);
            self.0.current.store(Arc::new(Current::new(*generation, snapshot)));
        });
    }

    /// The number of the snapshot in force, counted from 0.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.current.load().generation
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        self.0.current.load_full()
    }

    /// Tells of every later snapshot.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }
}
