//! What in a certificate says that a publicly trusted CA made it. Such CAs stop issuing for client authentication (Let's
//! Encrypt in 2026). It is evidence for people, and nothing here decides whom to believe.

use std::fmt;

use crate::Certificate;
use crate::oid::{self, Oid};

/// The arc of the CA/Browser Forum, 2.23.140.1: its policies stand in every certificate under its requirements (Baseline
/// Requirements, section 7.1.6.1).
const FORUM: &[u8] = &[0x67, 0x81, 0x0c, 0x01];

/// What says that a public CA made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// One of the CA/Browser Forum's policies.
    Policy(Oid),
    /// Proofs of having been logged in Certificate Transparency (RFC 6962 section 3.3).
    Logged,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Policy(policy) => write!(f, "CA/Browser Forum policy {}", policy.dotted()),
            Evidence::Logged => f.write_str("signed certificate timestamps"),
        }
    }
}

/// What in a certificate says that a public CA made it.
#[must_use]
pub fn evidence(certificate: &Certificate) -> Option<Evidence> {
    let policies = certificate.policy_extensions().policies.as_deref().unwrap_or_default();
    let of_the_forum = policies.iter().find(|policy| policy.content().starts_with(FORUM));
    let is_logged = || {
        let all = certificate.extensions();
        all.iter().any(|extension| extension.oid == oid::SIGNED_CERTIFICATE_TIMESTAMPS)
    };
    of_the_forum.map(|policy| Evidence::Policy(*policy)).or_else(|| is_logged().then_some(Evidence::Logged))
}

/// Whether TLS clients may show a certificate (RFC 5280 section 4.2.1.12): one without extended key usages is for anything.
#[must_use]
pub fn is_for_clients(certificate: &Certificate) -> bool {
    certificate.extended_key_usages().is_none_or(|usages| {
        usages.iter().any(|usage| [oid::CLIENT_AUTH, oid::ANY_EXTENDED_KEY_USAGE].contains(usage))
    })
}
