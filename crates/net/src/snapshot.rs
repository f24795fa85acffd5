//! What a server believes and allows at one moment: credentials, trust, revocation, policy. Immutable; replaced as a
//! whole. And the two judgements made with it: of a client's certificate, and of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use explain::Finding;
use jiff::{SignedDuration, Timestamp};
use pki::crl::CertificateRevocationList;
use pki::identity::VerifiedPeer;
use pki::policy::{Permit, Policy};
use pki::verify::{Purpose, Refusal, RevocationMode, Rules, TrustBundle, verify};
use rustls::DistinguishedName;
use rustls::server::ResolvesServerCert;
use rustls::sign::SingleCertAndKey;
use tokio::sync::watch;

use crate::refusal;
use crate::tls::client_verifier::Presented;
use crate::tls::{Credentials, TlsVersions};

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

/// What a server believes and allows.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The server's own chain and key.
    pub credentials: Credentials,
    /// The anchors that clients' certificates must lead to.
    pub trust: TrustBundle,
    /// The revocation lists at hand.
    pub crls: Vec<CertificateRevocationList>,
    /// What a missing list means.
    pub revocation: RevocationMode,
    /// Whether clients need a certificate.
    pub client_auth: ClientAuth,
    /// Which of the verified clients may pass.
    pub policy: Policy,
    /// The TLS versions taken.
    pub versions: TlsVersions,
    /// How long past its end a client's own certificate is still taken, for renewing it; zero for not at all. What
    /// answers must then look at the certificate's dates itself.
    pub grace: SignedDuration,
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
            trust,
            crls: Vec::new(),
            revocation: RevocationMode::default(),
            client_auth: ClientAuth::default(),
            policy: Policy::default(),
            versions: TlsVersions::default(),
            grace: SignedDuration::ZERO,
        }
    }
}

/// A snapshot in force, with what follows from it worked out once.
#[derive(Debug)]
pub(crate) struct Current {
    generation: u64,
    snapshot: Snapshot,
    hints: Vec<DistinguishedName>,
    resolver: Arc<SingleCertAndKey>,
}

impl Current {
    fn new(generation: u64, snapshot: Snapshot) -> Self {
        let hints = snapshot
            .trust
            .anchors()
            .iter()
            .map(|anchor| DistinguishedName::from(anchor.subject().der().to_vec()))
            .collect();
        let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(snapshot.credentials.certified())));
        Current { generation, snapshot, hints, resolver }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn client_auth(&self) -> ClientAuth {
        self.snapshot.client_auth
    }

    pub(crate) fn versions(&self) -> TlsVersions {
        self.snapshot.versions
    }

    pub(crate) fn grace(&self) -> SignedDuration {
        self.snapshot.grace
    }

    /// The subjects of the anchors: what CertificateRequest names as acceptable.
    pub(crate) fn hints(&self) -> &[DistinguishedName] {
        &self.hints
    }

    pub(crate) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.resolver) as Arc<dyn ResolvesServerCert>
    }

    /// Judges a client's certificate.
    pub(crate) fn judge(&self, presented: &Presented, at: Timestamp) -> Result<VerifiedPeer, Refusal> {
        // Within the grace it is judged as of its last second.
        let end = presented.leaf.not_after();
        let is_within_grace = at > end && at.duration_since(end) <= self.snapshot.grace;
        let at = if is_within_grace { end } else { at };
        let rules = Rules {
            crls: &self.snapshot.crls,
            revocation: self.snapshot.revocation,
            ..Rules::new(&self.snapshot.trust, Purpose::Client, at)
        };
        verify(&presented.leaf, &presented.intermediates, &rules).map(VerifiedPeer::new)
    }

    /// Judges a request of this peer, or of someone without a certificate.
    pub(crate) fn admit(&self, peer: Option<&VerifiedPeer>) -> Result<Admission, Finding> {
        let Some(peer) = peer else {
            return match self.snapshot.client_auth {
                ClientAuth::Off => Ok(Admission(Grounds::Anonymous("client certificates are off"))),
                ClientAuth::Optional { allow_anonymous: true } => {
                    Ok(Admission(Grounds::Anonymous("allow-anonymous")))
                }
                ClientAuth::Optional { allow_anonymous: false } | ClientAuth::Require => {
                    Err(refusal::no_client_certificate())
                }
            };
        };
        match self.snapshot.policy.evaluate(peer) {
            Ok(permit) => Ok(Admission(Grounds::Permit(permit))),
            Err(denial) => Err(refusal::of_policy(&denial)),
        }
    }
}

/// The proof that a request may be answered: nothing is forwarded without one. Only [`Current::admit`] makes it.
#[derive(Debug)]
pub(crate) struct Admission(Grounds);

#[derive(Debug)]
enum Grounds {
    Permit(Permit),
    Anonymous(&'static str),
}

impl Admission {
    /// What let it in, for the log.
    pub(crate) fn rule(&self) -> &str {
        match &self.0 {
            Grounds::Permit(permit) => permit.rule(),
            Grounds::Anonymous(why) => why,
        }
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
