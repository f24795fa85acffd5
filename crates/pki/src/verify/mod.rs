//! Path validation (RFC 5280 section 6): from a peer's certificate to an anchor that is believed.
//!
//! One engine gives two results. [`verify`] gives the first valid path, and is what handshakes ask; where there is none,
//! its refusal has every reason on the path that came closest, so that three faults in one chain are three reasons.
//! [`examine`] gives every path that was tried with every reason against it, for those who look for the fault.
//!
//! rustls-webpki is asked for a second opinion on every path found valid, where it supports what the path uses; its "no"
//! is also ours.

mod conforming;
mod names;
mod policies;
mod reason;
mod revocation;
mod search;
mod second_opinion;
mod standing;
mod work;

use jiff::Timestamp;

use crate::certificate::Certificate;
use crate::crl::CertificateRevocationList;
use crate::name::ServerName;
use crate::ocsp;
use crate::oid::{self, Oid};

use search::{Opinion, Search};

pub use reason::{Reason, ReasonCode};

/// The anchors a side believes.
#[derive(Debug, Clone, Default)]
pub struct TrustBundle {
    anchors: Vec<Certificate>,
}

impl TrustBundle {
    /// A bundle of these anchors.
    #[must_use]
    pub fn new(anchors: Vec<Certificate>) -> Self {
        TrustBundle { anchors }
    }

    /// The anchors.
    #[must_use]
    pub fn anchors(&self) -> &[Certificate] {
        &self.anchors
    }

    /// Whether this very certificate is an anchor.
    #[must_use]
    pub fn contains(&self, certificate: &Certificate) -> bool {
        self.anchors.contains(certificate)
    }

    /// Whether nothing is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }
}

/// What the certificate is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// As a TLS server.
    Server,
    /// As a TLS client.
    Client,
    /// For anything: the extended key usages are not looked at.
    Any,
    /// For this extended key usage, and not for TLS.
    Usage(Oid),
}

impl Purpose {
    /// The extended key usage it needs.
    #[must_use]
    pub fn extended_key_usage(self) -> Option<Oid> {
        match self {
            Purpose::Server => Some(oid::SERVER_AUTH),
            Purpose::Client => Some(oid::CLIENT_AUTH),
            Purpose::Any => None,
            Purpose::Usage(usage) => Some(usage),
        }
    }
}

/// What is believed about a revocation list that is missing or out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RevocationMode {
    /// A certificate whose issuer has no list here passes; a list past its nextUpdate refuses.
    #[default]
    WhereKnown,
    /// A list past its nextUpdate still refuses whom it names, and nobody else; a certificate whose issuer has no list here
    /// passes.
    BestEffort,
    /// Every certificate under the anchor needs a current list.
    Required,
}

/// How much of RFC 5280 a path must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conformance {
    /// Section 6, which binds those who believe certificates. Private CAs made with a few openssl commands break
    /// rules of section 4 daily, without harm to those who believe them.
    #[default]
    Path,
    /// Also what section 4 demands of those who make certificates, as far as it can be seen in them; as `openssl verify
    /// -x509_strict` does, and Python from 3.13 on.
    Strict,
}

/// What is demanded of certificate policies: the user's inputs of RFC 5280 section 6.1.1. The default demands nothing,
/// and then only what CAs demand themselves (policyConstraints) is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyDemand<'a> {
    /// user-initial-policy-set; empty means any.
    pub acceptable: &'a [Oid],
    /// initial-explicit-policy: the path must be valid for an acceptable policy.
    pub explicit: bool,
    /// initial-policy-mapping-inhibit.
    pub inhibit_mapping: bool,
    /// initial-any-policy-inhibit.
    pub inhibit_any: bool,
}

/// What a path is judged by.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// What is believed.
    pub anchors: &'a TrustBundle,
    /// What for.
    pub purpose: Purpose,
    /// The server expected, where one is.
    pub server_name: Option<&'a ServerName>,
    /// The moment of judgement.
    pub at: Timestamp,
    /// The revocation lists at hand.
    pub crls: &'a [CertificateRevocationList],
    /// The OCSP responses at hand, stapled or fetched.
    pub ocsp: &'a [ocsp::Response],
    /// What a missing list means.
    pub revocation: RevocationMode,
    /// What is demanded of certificate policies.
    pub policies: PolicyDemand<'a>,
    /// The most CAs between the certificate and its anchor, self-issued ones not counted; `None` leaves it to the CAs'
    /// own path lengths and to the longest path searched.
    pub max_intermediates: Option<usize>,
    /// How much of RFC 5280 is demanded.
    pub conformance: Conformance,
}

impl<'a> Rules<'a> {
    /// These anchors, this purpose, this moment; no server's name, no lists, no demands on policies.
    ///
    /// ```
    /// use pki::verify::{Purpose, Rules, TrustBundle, verify};
    /// # let ca = testkit::TestCa::new();
    /// # let (alice, at) = (ca.issue_client("alice"), testkit::now());
    /// let anchors = TrustBundle::new(vec![ca.root().certificate.clone()]);
    /// let rules = Rules::new(&anchors, Purpose::Client, at);
    /// assert!(verify(&alice.certificate, &alice.chain, &rules).is_ok());
    /// assert!(verify(&alice.certificate, &[], &rules).is_err());
    /// ```
    #[must_use]
    pub fn new(anchors: &'a TrustBundle, purpose: Purpose, at: Timestamp) -> Self {
        Rules {
            anchors,
            purpose,
            server_name: None,
            at,
            crls: &[],
            ocsp: &[],
            revocation: RevocationMode::default(),
            policies: PolicyDemand::default(),
            max_intermediates: None,
            conformance: Conformance::default(),
        }
    }
}

/// A path that is valid: leaf first, anchor last. Only this module makes one.
#[derive(Debug, Clone)]
pub struct VerifiedPath {
    certificates: Vec<Certificate>,
}

impl VerifiedPath {
    /// The certificate that was judged.
    #[must_use]
    pub fn leaf(&self) -> &Certificate {
        &self.certificates[0]
    }

    /// The whole path: the leaf first, the anchor last; one certificate where the leaf itself is an anchor.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The anchor.
    #[must_use]
    pub fn anchor(&self) -> &Certificate {
        // Paths are built from a leaf on, so there is always a last one.
        &self.certificates[self.certificates.len() - 1]
    }

    /// The first moment from which the path is no longer valid by its dates.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.certificates.iter().map(Certificate::not_after).min().unwrap_or(Timestamp::MIN)
    }
}

/// Why no path is valid: all the reasons on the best path, the blocking one first.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.first())]
pub struct Refusal {
    path: Vec<Certificate>,
    reasons: Vec<Reason>,
}

impl Refusal {
    /// The reason that blocks.
    #[must_use]
    pub fn first(&self) -> &Reason {
        // A refusal is made with at least one reason.
        &self.reasons[0]
    }

    /// Every reason, ranked.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The path as far as it got: leaf first.
    #[must_use]
    pub fn path(&self) -> &[Certificate] {
        &self.path
    }
}

/// One path that was tried.
#[derive(Debug, Clone)]
pub struct ExaminedPath {
    /// Its certificates as far as it goes: leaf first.
    pub certificates: Vec<Certificate>,
    /// Whether it ends at an anchor.
    pub reached_anchor: bool,
    /// What speaks against it, the blocking reason first; nothing where it is valid.
    pub reasons: Vec<Reason>,
}

impl ExaminedPath {
    /// Whether nothing speaks against it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.reasons.is_empty()
    }

    /// How far from valid it is: a path that reached an anchor is closer than one that did not, then the fewer reasons
    /// the better, then the longer path.
    fn distance(&self) -> (bool, usize, usize) {
        (!self.reached_anchor, self.reasons.len(), usize::MAX - self.certificates.len())
    }
}

/// Every path that was tried.
#[derive(Debug, Clone)]
pub struct Examination {
    paths: Vec<ExaminedPath>,
    gave_up: bool,
}

impl Examination {
    /// The paths: valid ones first, then those that came closest. There is always one, if only the leaf alone.
    #[must_use]
    pub fn paths(&self) -> &[ExaminedPath] {
        &self.paths
    }

    /// The path that came closest, or is valid.
    #[must_use]
    pub fn best(&self) -> &ExaminedPath {
        // An examination has at least one path.
        &self.paths[0]
    }

    /// A valid path, where there is one.
    #[must_use]
    pub fn valid(&self) -> Option<&ExaminedPath> {
        Some(self.best()).filter(|path| path.is_valid())
    }

    /// Whether there was more than could be searched.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.gave_up
    }
}

/// Finds a valid path from `leaf` to an anchor.
///
/// # Errors
/// [`Refusal`], with every reason on the path that came closest.
pub fn verify(
    leaf: &Certificate,
    intermediates: &[Certificate],
    rules: &Rules<'_>,
) -> Result<VerifiedPath, Refusal> {
    judge(&Search::new(leaf, intermediates, rules), second_opinion::ask)
}

/// As [`verify`], with the OCSP response that the peer itself brought (RFC 6066 section 8): it can help or convict, and
/// a useless one is as good as none. What is left out on the way is left out unseen, so that refusing for a bad one would
/// stop nobody but the honest. Where every certificate needs proof, the refusal says why this one is none.
///
/// # Errors
/// [`Refusal`].
pub fn verify_stapled(
    leaf: &Certificate,
    intermediates: &[Certificate],
    rules: &Rules<'_>,
    stapled: &[u8],
) -> Result<VerifiedPath, Refusal> {
    let Ok(response) = ocsp::Response::from_der(stapled) else { return verify(leaf, intermediates, rules) };
    let responses: Vec<ocsp::Response> = rules.ocsp.iter().cloned().chain([response]).collect();
    match verify(leaf, intermediates, &Rules { ocsp: &responses, ..rules.clone() }) {
        Err(refusal)
            if rules.revocation != RevocationMode::Required
                && refusal.reasons().iter().any(|reason| reason.code == ReasonCode::OcspInvalid) =>
        {
            verify(leaf, intermediates, rules)
        }
        other => other,
    }
}

/// As [`verify`], without the second opinion: for a certificate that this process has just made itself, from a linted
/// profile. Never for one that came from outside.
///
/// # Errors
/// [`Refusal`].
pub fn verify_own(
    leaf: &Certificate,
    intermediates: &[Certificate],
    rules: &Rules<'_>,
) -> Result<VerifiedPath, Refusal> {
    judge(&Search::new(leaf, intermediates, rules), |_, _| Ok(()))
}

/// Tries every path from `leaf`, within the bounds of one search, and tells what speaks against each.
///
/// ```
/// use pki::verify::{Purpose, ReasonCode, Rules, TrustBundle, examine};
/// # let ca = testkit::TestCa::new();
/// # let (alice, at) = (ca.issue_client("alice"), testkit::days_from_now(90));
/// let anchors = TrustBundle::new(vec![ca.root().certificate.clone()]);
/// let examination = examine(&alice.certificate, &alice.chain, &Rules::new(&anchors, Purpose::Server, at));
/// let codes: Vec<ReasonCode> = examination.best().reasons.iter().map(|reason| reason.code).collect();
/// assert_eq!(codes, [ReasonCode::CertificateExpired, ReasonCode::WrongPurpose]);
/// ```
#[must_use]
pub fn examine(leaf: &Certificate, intermediates: &[Certificate], rules: &Rules<'_>) -> Examination {
    Search::new(leaf, intermediates, rules).examine(second_opinion::ask)
}

fn judge(search: &Search<'_>, opinion: Opinion) -> Result<VerifiedPath, Refusal> {
    if let Some(certificates) = search.first_valid(opinion) {
        return Ok(VerifiedPath { certificates });
    }
    let mut examination = search.examine(opinion);
    let ExaminedPath { certificates, reasons, .. } = examination.paths.swap_remove(0);
    if reasons.is_empty() {
        // Both ways ask the same judges; the first one may only have run out of budget.
        return Ok(VerifiedPath { certificates });
    }
    Err(Refusal { path: certificates, reasons })
}
