//! Path validation (RFC 5280 section 6): from a peer's certificate to an anchor that is believed.
//!
//! [`verify`] gives the first valid path, or a refusal with every reason on the path that came closest, so that
//! three faults in one chain are three reasons. rustls-webpki is asked for a second opinion on every path found, where it
//! supports what the path uses; its "no" is also ours. Certificate policies are not constrained yet.

mod path;
mod reason;
mod second_opinion;

use jiff::Timestamp;

use crate::certificate::Certificate;
use crate::crl::CertificateRevocationList;
use crate::name::ServerName;
use crate::oid::{self, Oid};

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
}

impl Purpose {
    /// The extended key usage it needs.
    #[must_use]
    pub fn extended_key_usage(self) -> Option<Oid> {
        match self {
            Purpose::Server => Some(oid::SERVER_AUTH),
            Purpose::Client => Some(oid::CLIENT_AUTH),
            Purpose::Any => None,
        }
    }
}

/// What is believed about a revocation list that is missing or out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RevocationMode {
    /// A certificate whose issuer has no list here passes; a list past its nextUpdate refuses.
    #[default]
    WhereKnown,
    /// Every certificate under the anchor needs a current list.
    Required,
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
    /// What a missing list means.
    pub revocation: RevocationMode,
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

/// Finds a valid path from `leaf` to an anchor.
///
/// # Errors
/// [`Refusal`], with every reason on the path that came closest.
pub fn verify(
    leaf: &Certificate,
    intermediates: &[Certificate],
    rules: &Rules<'_>,
) -> Result<VerifiedPath, Refusal> {
    first_valid(leaf, intermediates, rules, second_opinion::ask)
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
    first_valid(leaf, intermediates, rules, |_, _| Ok(()))
}

fn first_valid(
    leaf: &Certificate,
    intermediates: &[Certificate],
    rules: &Rules<'_>,
    opinion: impl Fn(&[Certificate], &Rules<'_>) -> Result<(), Reason>,
) -> Result<VerifiedPath, Refusal> {
    let attempts = path::attempts(leaf, intermediates, rules);
    let mut best: Option<path::Attempt> = None;
    for attempt in attempts {
        if attempt.reasons.is_empty() {
            match opinion(&attempt.path, rules) {
                Ok(()) => return Ok(VerifiedPath { certificates: attempt.path }),
                Err(reason) => {
                    best.get_or_insert(path::Attempt { path: attempt.path, reasons: vec![reason] });
                }
            }
        } else if best.as_ref().is_none_or(|other| attempt.is_closer_than(other)) {
            best = Some(attempt);
        }
    }
    let path::Attempt { path, mut reasons } = best.unwrap_or_else(|| path::Attempt {
        path: vec![leaf.clone()],
        reasons: vec![Reason::new(ReasonCode::TooComplex, 0, leaf, "no path could be tried".to_owned())],
    });
    reasons.sort_by_key(|reason| reason.code.rank());
    Err(Refusal { path, reasons })
}
