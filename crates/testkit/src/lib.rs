//! Builders for tests: keys, an authority that issues at a fixed moment, and a zoo of certificates that are wrong
//! on purpose. Never a dependency of what is shipped.
//!
//! Everything here panics instead of returning errors: a builder that fails is a broken test.
//!
//! ```
//! use pki::verify::{Purpose, Rules, verify};
//!
//! let ca = testkit::TestCa::new();
//! let server = ca.issue_server(&["localhost"]);
//! let anchors = ca.anchors();
//! let rules = Rules::new(&anchors, Purpose::Server, testkit::now());
//! assert!(verify(&server.certificate, &server.chain, &rules).is_ok());
//! ```
#![allow(clippy::unwrap_used, reason = "a builder for tests fails by panicking")]

mod authority;
mod constraints;
pub mod faults;
mod key;
pub mod limbo;
mod policies;
mod raw;
mod raw_list;

use jiff::{SignedDuration, Timestamp};
use pki::Certificate;

pub use authority::{TestCa, TestOrder};
pub use constraints::{constraints_der, exclude, permit, permit_and_exclude, subtree, subtree_der};
pub use key::{KeyKind, TestKey};
pub use raw::{
    RawCertificate, RawExtension, key_usage_der, rsa_1024_spki, sha1_with_rsa, unknown_curve_spki,
};
pub use raw_list::RawList;

/// The moment at which tests happen: 2026-06-15T12:00:00Z.
#[must_use]
pub fn now() -> Timestamp {
    "2026-06-15T12:00:00Z".parse().unwrap()
}

/// The moment this many days after [`now`], or before it where negative.
#[must_use]
pub fn days_from_now(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

/// A certificate with its key, and what a TLS peer sends behind it.
#[derive(Debug, Clone)]
pub struct TestIdentity {
    /// The certificate.
    pub certificate: Certificate,
    /// The certificates above it, in order, without the anchor.
    pub chain: Vec<Certificate>,
    /// Its private key.
    pub key: TestKey,
}

impl TestIdentity {
    /// The DER of the certificate and of those behind it, in the order of a TLS Certificate message.
    #[must_use]
    pub fn chain_der(&self) -> Vec<Vec<u8>> {
        std::iter::once(&self.certificate).chain(&self.chain).map(|c| c.der().to_vec()).collect()
    }

    /// The certificates that stand above what this identity issues, without the anchor.
    #[must_use]
    pub fn chain_below(&self) -> Vec<Certificate> {
        let own_key = self.certificate.public_key();
        if own_key.is_ok_and(|key| self.certificate.verify_signature(key).is_ok()) {
            return Vec::new();
        }
        std::iter::once(&self.certificate).chain(&self.chain).cloned().collect()
    }
}
