//! The judgement of clients' certificates, and the memory of it. In a business of partners the same few chains return
//! all day, and two of the three signature verifications of a handshake are the chain's: so a path that was found
//! valid is kept, under the hash of everything that was presented, for as long as its snapshot lives. What is kept
//! says nothing about who holds the key: CertificateVerify is checked in every full handshake.
//!
//! Of a client that was never seen before the CA is known all the same: the intermediates of valid paths are kept with
//! the knowledge that their signatures are right. And whoever is refused tends to come again at once, a program with a
//! certificate that ended and no pause between two attempts: so refusals are remembered too, for a moment.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use aws_lc_rs::digest;
use jiff::{SignedDuration, Timestamp};
use pki::Certificate;
use pki::certificate::CertificateError;
use pki::crl::CertificateRevocationList;
use pki::identity::VerifiedPeer;
use pki::verify::{Purpose, ReasonCode, Refusal, RevocationMode, Rules, TrustBundle, VerifiedPath, verify};
use rustls::pki_types::CertificateDer;

use crate::disagreement;
use crate::revocation::Unvouched;
use crate::serve::facts::Written;
use crate::serve::handshakes::Versions;

/// Chains kept in each of the two halves of the memory. One of two certificates takes about 8 KiB, so the whole
/// stays under 64 MiB. Only a holder of a valid certificate can fill it, by presenting it with other company.
const KEPT: usize = 4096;

/// Intermediates kept; an authority has few.
const INTERMEDIATES: usize = 1024;

/// How long a refusal is remembered. What a certificate has to become first, it may become within this time.
const REFUSED: SignedDuration = SignedDuration::from_secs(5);
/// Refusals remembered in each of the two halves; strangers decide how many come.
const REFUSALS: usize = 128;

/// A client whose certificate was found valid. Shared by all its connections.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) peer: Arc<VerifiedPeer>,
    /// The name to show, and the serial number in hexadecimal, for the log.
    pub(crate) name: Arc<str>,
    pub(crate) serial: Arc<str>,
    /// What upstreams are told of it.
    pub(crate) written: Written,
    presented: Presented,
    judged_at: Timestamp,
    /// The last moment at which the judgement holds: then the path ends, or a list that was looked at does.
    good_until: Timestamp,
    /// Where its handshakes are counted, once the first one was.
    handshakes: OnceLock<Arc<Versions>>,
}

impl Client {
    /// Where its handshakes are counted; `of` finds the place for an identity and a kind of key.
    pub(crate) fn handshakes(&self, of: impl FnOnce(String, String) -> Arc<Versions>) -> &Versions {
        self.handshakes.get_or_init(|| {
            let identity = self.peer.primary().map_or_else(|| self.peer.display_name(), ToString::to_string);
            // A name of many octets must not take them once more in every report.
            let identity = identity.chars().take(200).collect();
            let key = self.peer.certificate().public_key();
            of(identity, key.map_or_else(|_| "unknown".to_owned(), |key| key.algorithm().to_string()))
        })
    }

    /// Whether the judgement still holds as far as time goes. A clock that was set back makes it void.
    pub(crate) fn holds_at(&self, now: Timestamp) -> bool {
        self.judged_at <= now && now <= self.good_until
    }

    /// The last moment at which the judgement holds.
    pub(crate) fn good_until(&self) -> Timestamp {
        self.good_until
    }

    /// The hash of its certificate.
    pub(crate) fn hash(&self) -> [u8; 32] {
        self.peer.certificate().sha256()
    }

    /// What it presented, for a judgement by another snapshot.
    pub(crate) fn presented(&self) -> &Presented {
        &self.presented
    }
}

/// What a client presented: its certificate and those it sent behind it, as far as they could be read, and the hash
/// of all of it as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Presented {
    digest: [u8; 32],
    pub(crate) leaf: Certificate,
    pub(crate) intermediates: Vec<Certificate>,
}

/// Why a certificate makes nobody a client.
#[derive(Debug, Clone)]
pub(crate) enum NoClient {
    Unreadable(CertificateError),
    Refused {
        certificate: Box<Certificate>,
        refusal: Box<Refusal>,
    },
    /// Its path is valid, and no responder's answer speaks for its certificate.
    Unvouched {
        certificate: Box<Certificate>,
        unvouched: Unvouched,
    },
}

/// What clients' certificates are judged by.
#[derive(Debug)]
pub(crate) struct Judge {
    trust: TrustBundle,
    crls: Vec<CertificateRevocationList>,
    revocation: RevocationMode,
    grace: SignedDuration,
    known: Mutex<Known>,
    /// The intermediates of valid paths, by their DER.
    intermediates: Mutex<HashMap<Vec<u8>, Certificate>>,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
}

/// Two halves: what is looked up moves to the young one, and when that is full it becomes the old one.
#[derive(Debug, Default)]
struct Known {
    young: HashMap<[u8; 32], Arc<Client>>,
    old: HashMap<[u8; 32], Arc<Client>>,
    refused: HashMap<[u8; 32], (Timestamp, NoClient)>,
    refused_before: HashMap<[u8; 32], (Timestamp, NoClient)>,
}

impl Judge {
    pub(crate) fn new(
        trust: TrustBundle,
        crls: Vec<CertificateRevocationList>,
        revocation: RevocationMode,
        grace: SignedDuration,
    ) -> Self {
        Judge {
            trust,
            crls,
            revocation,
            grace,
            known: Mutex::default(),
            intermediates: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Judges a chain as it was presented.
    pub(crate) fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Arc<Client>, NoClient> {
        let digest = digest_of(end_entity, intermediates);
        if let Some(client) = self.known(&digest, now) {
            return Ok(client);
        }
        if let Some(refused) = lock(&self.known).refusal(&digest, now) {
            return Err(refused);
        }
        let presented = self.read(digest, end_entity, intermediates).map_err(NoClient::Unreadable)?;
        self.verify(presented, now).inspect_err(|refused| lock(&self.known).refuse(digest, refused, now))
    }

    fn read(
        &self,
        digest: [u8; 32],
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<Presented, CertificateError> {
        let leaf = Certificate::from_der(end_entity)?;
        let kept = lock(&self.intermediates);
        let read = |der: &CertificateDer<'_>| match kept.get(der.as_ref()) {
            Some(known) => Some(known.clone()),
            // One that cannot be read cannot be part of a path; whether one is missing, the search for it will tell.
            None => Certificate::from_der(der).ok(),
        };
        let intermediates = intermediates.iter().filter_map(read).collect();
        Ok(Presented { digest, leaf, intermediates })
    }

    /// Judges again what was presented under another snapshot.
    pub(crate) fn judge_again(&self, presented: &Presented, now: Timestamp) -> Result<Arc<Client>, NoClient> {
        match self.known(&presented.digest, now) {
            Some(client) => Ok(client),
            None => self.verify(presented.clone(), now),
        }
    }

    /// Judges a client that is known already by what a responder says of its certificate alone.
    pub(crate) fn ask(
        &self,
        client: &Client,
        response: &pki::ocsp::Response,
        now: Timestamp,
    ) -> Result<(), Box<Refusal>> {
        let Presented { leaf, intermediates, .. } = &client.presented;
        let rules = Rules {
            ocsp: std::slice::from_ref(response),
            revocation: RevocationMode::WhereKnown,
            ..Rules::new(&self.trust, Purpose::Client, now)
        };
        verify(leaf, intermediates, &rules).map(drop).map_err(Box::new)
    }

    fn known(&self, digest: &[u8; 32], now: Timestamp) -> Option<Arc<Client>> {
        let mut known = lock(&self.known);
        let found = match known.young.get(digest) {
            Some(client) => Some(Arc::clone(client)),
            None => known.old.remove(digest).inspect(|client| known.keep(*digest, Arc::clone(client))),
        };
        let valid = found.filter(|client| client.holds_at(now));
        let counter = if valid.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        valid
    }

    /// The last moment of a path: its own end, with the grace that its leaf has.
    fn end_of(&self, path: &VerifiedPath) -> Timestamp {
        let above = path.certificates()[1..].iter().map(Certificate::not_after);
        above.fold(path.leaf().not_after() + self.grace, Timestamp::min)
    }

    fn verify(&self, presented: Presented, now: Timestamp) -> Result<Arc<Client>, NoClient> {
        // Within the grace it is judged as of its last second.
        let end = presented.leaf.not_after();
        let at = if now > end && now.duration_since(end) <= self.grace { end } else { now };
        let rules = Rules {
            crls: &self.crls,
            revocation: self.revocation,
            ..Rules::new(&self.trust, Purpose::Client, at)
        };
        let path = verify(&presented.leaf, &presented.intermediates, &rules).map_err(|refusal| {
            disagreement::note(&refusal);
            NoClient::Refused { certificate: Box::new(presented.leaf.clone()), refusal: Box::new(refusal) }
        })?;
        // A list that ends while the path is kept could change the verdict, so the verdict ends with the first one.
        let lists = self.crls.iter().filter_map(CertificateRevocationList::next_update);
        let good_until = lists.filter(|next| *next >= now).fold(self.end_of(&path), Timestamp::min);
        self.keep_intermediates(&path);
        let peer = VerifiedPeer::new(path);
        let digest = presented.digest;
        let client = Arc::new(Client {
            name: peer.display_name().into(),
            serial: peer.certificate().serial_hex().into(),
            peer: Arc::new(peer),
            written: Written::default(),
            presented,
            judged_at: now,
            good_until,
            handshakes: OnceLock::new(),
        });
        lock(&self.known).keep(digest, Arc::clone(&client));
        Ok(client)
    }

    fn keep_intermediates(&self, path: &VerifiedPath) {
        let [_, between @ .., _] = path.certificates() else { return };
        let mut kept = lock(&self.intermediates);
        for intermediate in between {
            if kept.len() < INTERMEDIATES && !kept.contains_key(intermediate.der()) {
                kept.insert(intermediate.der().to_vec(), intermediate.clone());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    fn keep(&mut self, digest: [u8; 32], client: Arc<Client>) {
        if self.young.len() >= KEPT {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(digest, client);
    }

    /// Remembers a refusal, unless time alone may heal it.
    fn refuse(&mut self, digest: [u8; 32], refused: &NoClient, now: Timestamp) {
        let NoClient::Refused { refusal, .. } = refused else { return };
        if refusal.reasons().iter().any(|reason| reason.code == ReasonCode::CertificateNotYetValid) {
            return;
        }
        if self.refused.len() >= REFUSALS {
            self.refused_before = mem::take(&mut self.refused);
        }
        self.refused.insert(digest, (now, refused.clone()));
    }

    fn refusal(&self, digest: &[u8; 32], now: Timestamp) -> Option<NoClient> {
        let (at, refused) = self.refused.get(digest).or_else(|| self.refused_before.get(digest))?;
        let age = now.duration_since(*at);
        (SignedDuration::ZERO..REFUSED).contains(&age).then(|| refused.clone())
    }
}

/// The hash of a chain: of every certificate with its length, so that no two chains have the same.
fn digest_of(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for der in std::iter::once(end_entity).chain(intermediates) {
        context.update(&(der.len() as u64).to_be_bytes());
        context.update(der);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use testkit::{TestCa, TestIdentity};

    fn chain(identity: &TestIdentity) -> Vec<CertificateDer<'static>> {
        identity.chain_der().into_iter().map(CertificateDer::from).collect()
    }

    fn judged(judge: &Judge, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Arc<Client>, NoClient> {
        judge.judge(&chain[0], &chain[1..], now)
    }

    #[test]
    fn a_chain_is_verified_once_and_not_after_its_end() {
        let ca = TestCa::new();
        let alice = chain(&ca.issue_client("alice"));
        let judge = Judge::new(ca.anchors(), Vec::new(), RevocationMode::default(), SignedDuration::ZERO);
        let first = judged(&judge, &alice, testkit::now()).unwrap();
        let second = judged(&judge, &alice, testkit::now()).unwrap();
        assert!(Arc::ptr_eq(&first, &second), "the second comes from memory");
        let after = first.peer.path().not_after() + jiff::SignedDuration::from_secs(1);
        assert!(matches!(judged(&judge, &alice, after), Err(NoClient::Refused { .. })));
        let before = testkit::days_from_now(-400);
        assert!(matches!(judged(&judge, &alice, before), Err(NoClient::Refused { .. })), "a clock set back");
    }

    #[test]
    fn a_kept_verdict_ends_with_the_list_it_was_made_by() {
        let ca = TestCa::new();
        let alice = chain(&ca.issue_client("alice"));
        let list = ca.current_crl(&[]);
        let end = list.next_update().unwrap();
        let judge = Judge::new(ca.anchors(), vec![list], RevocationMode::WhereKnown, SignedDuration::ZERO);
        assert!(judged(&judge, &alice, testkit::now()).is_ok());
        let late = end + jiff::SignedDuration::from_secs(1);
        assert!(matches!(judged(&judge, &alice, late), Err(NoClient::Refused { .. })));
    }

    #[test]
    fn another_company_is_another_chain_and_a_stranger_is_never_kept() {
        let ca = TestCa::new();
        let alice = chain(&ca.issue_client("alice"));
        let judge = Judge::new(ca.anchors(), Vec::new(), RevocationMode::default(), SignedDuration::ZERO);
        assert!(judged(&judge, &alice, testkit::now()).is_ok());
        assert!(judged(&judge, &alice[..1], testkit::now()).is_err(), "the intermediate is missing");
        let stranger = chain(&TestCa::new().named("Other").issue_client("alice"));
        assert!(judged(&judge, &stranger, testkit::now()).is_err());
        let known = judge.known.lock().unwrap();
        assert_eq!(known.young.len() + known.old.len(), 1);
    }

    #[test]
    fn a_new_client_of_a_known_ca_brings_an_intermediate_that_is_known() {
        let ca = TestCa::new();
        let judge = Judge::new(ca.anchors(), Vec::new(), RevocationMode::default(), SignedDuration::ZERO);
        let (alice, bob) = (chain(&ca.issue_client("alice")), chain(&ca.issue_client("bob")));
        assert!(judged(&judge, &alice, testkit::now()).is_ok());
        let kept = lock(&judge.intermediates)[alice[1].as_ref()].clone();
        let bob = judge.read([0; 32], &bob[0], &bob[1..]).unwrap();
        assert_eq!(
            std::ptr::from_ref(bob.intermediates[0].der()),
            std::ptr::from_ref(kept.der()),
            "the same one"
        );
        let stranger = chain(&TestCa::new().named("Other").issue_client("alice"));
        assert!(judged(&judge, &stranger, testkit::now()).is_err());
        assert_eq!(lock(&judge.intermediates).len(), 1, "a stranger's is not kept");
    }

    #[test]
    fn a_refusal_is_remembered_for_a_moment_and_only_where_time_does_not_heal_it() {
        let ca = TestCa::new();
        let alice = ca.issue_client("alice");
        let (not_before, not_after) = (alice.certificate.not_before(), alice.certificate.not_after());
        let alice = chain(&alice);
        let judge = Judge::new(ca.anchors(), Vec::new(), RevocationMode::default(), SignedDuration::ZERO);
        let second = SignedDuration::from_secs(1);
        let remembered = || lock(&judge.known).refused.len();
        assert!(judged(&judge, &alice, not_before - second).is_err());
        assert_eq!(remembered(), 0, "it becomes valid by itself");
        assert!(judged(&judge, &alice, not_before).is_ok());
        assert!(judged(&judge, &alice, not_after + second).is_err());
        assert_eq!(remembered(), 1);
        let digest = digest_of(&alice[0], &alice[1..]);
        let asked = |at| lock(&judge.known).refusal(&digest, at).is_some();
        assert!(asked(not_after + second) && asked(not_after + second * 5), "as it was");
        assert!(!asked(not_after + second * 6) && !asked(not_after), "not later, nor on a clock set back");
        let refused = judged(&judge, &alice, not_after + second).unwrap_err();
        for number in 0..3 * REFUSALS as u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            lock(&judge.known).refuse(digest, &refused, not_after);
        }
        let known = lock(&judge.known);
        assert!(known.refused.len() <= REFUSALS && known.refused_before.len() <= REFUSALS);
    }

    #[test]
    fn the_memory_is_bounded() {
        let ca = TestCa::new();
        let alice = chain(&ca.issue_client("alice"));
        let judge = Judge::new(ca.anchors(), Vec::new(), RevocationMode::default(), SignedDuration::ZERO);
        let client = judged(&judge, &alice, testkit::now()).unwrap();
        let mut known = judge.known.lock().unwrap();
        for number in 0..3 * KEPT as u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            known.keep(digest, Arc::clone(&client));
        }
        assert!(known.young.len() <= KEPT && known.old.len() <= KEPT);
    }
}
