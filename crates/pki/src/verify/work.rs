//! What one search for a path may cost. Chains come from strangers: without bounds a few kilobytes of certificates
//! keep a core busy for minutes, as they did in most validators at one time.

use crate::certificate::Certificate;
use crate::key::KeyAlgorithm;

/// The most certificates in a path. Real ones have 2 to 5.
pub(super) const LONGEST_PATH: usize = 10;

/// The most work on signatures in one search, in units of [`cost`]: 100 signatures by P-256 keys, 30 by P-384, 15 by
/// P-521, 100 by RSA-4096; 5 to 6 ms on one core. Cross-signed graphs make the number of paths exponential
/// (CVE-2018-16875 in Go, RUSTSEC-2023-0053 in rustls-webpki); a cycle among them ended GnuTLS (CVE-2024-0567), and keys
/// that are dear to use make each step worse. The longest path that is followed has 9 signatures, and as many lists.
pub(super) const SIGNATURE_BUDGET: usize = 300;

/// The most comparisons of a name with a subtree of name constraints in one search. Thousands of names under
/// thousands of subtrees make millions (CVE-2025-58187 in Go); 100 names under 100 subtrees in each of three CAs
/// are 30,000.
pub(super) const COMPARISON_BUDGET: usize = 100_000;

/// The most nodes and edges of policy graphs in one search. A tree, as RFC 5280 had it before RFC 9618, grows
/// exponentially (CVE-2023-0464 in OpenSSL); a graph of 10 certificates with 100 policies each has 2,000.
pub(super) const POLICY_BUDGET: usize = 50_000;

/// The most paths that an examination tells of.
pub(super) const MOST_PATHS: usize = 32;

/// What is left of the budgets.
#[derive(Debug)]
pub(super) struct Work {
    signatures: usize,
    comparisons: usize,
    policies: usize,
}

impl Work {
    pub(super) fn new() -> Self {
        Work { signatures: SIGNATURE_BUDGET, comparisons: COMPARISON_BUDGET, policies: POLICY_BUDGET }
    }

    /// Pays for one signature by this key, where it is one that can be read; `false` when too little is left.
    pub(super) fn signature(&mut self, by: &Certificate) -> bool {
        let cost = by.public_key().map_or(1, |key| cost(key.algorithm()));
        pay(&mut self.signatures, cost)
    }

    /// Pays for comparing names with constraints.
    pub(super) fn comparisons(&mut self, count: usize) -> bool {
        pay(&mut self.comparisons, count)
    }

    /// Pays for nodes or edges of a policy graph.
    pub(super) fn policies(&mut self, count: usize) -> bool {
        pay(&mut self.policies, count)
    }

    /// Whether no signature can be verified any more.
    pub(super) fn is_spent(&self) -> bool {
        self.signatures == 0
    }
}

/// What one verification costs, in units of a third of P-256's, rounded up: 18 microseconds of one core of a Xeon of 2026
/// with AWS-LC, which verifies a second 18,400 signatures of P-256, 5,400 of P-384, 57,000 of RSA-2048, 30,000 of Ed25519
/// and 24,000 of ML-DSA-65. RSA's cost grows with the square of the modulus.
fn cost(algorithm: KeyAlgorithm) -> usize {
    match algorithm {
        KeyAlgorithm::P256 | KeyAlgorithm::MlDsa65 => 3,
        KeyAlgorithm::P384 => 10,
        KeyAlgorithm::P521 => 20,
        KeyAlgorithm::Ed25519 | KeyAlgorithm::MlDsa44 => 2,
        KeyAlgorithm::MlDsa87 => 5,
        KeyAlgorithm::Rsa(..=2048) => 1,
        KeyAlgorithm::Rsa(..=3072) => 2,
        KeyAlgorithm::Rsa(..=4096) => 3,
        // More than 8192 bits are refused before they are used.
        KeyAlgorithm::Rsa(_) => 12,
    }
}

fn pay(budget: &mut usize, count: usize) -> bool {
    match budget.checked_sub(count) {
        Some(rest) => {
            *budget = rest;
            true
        }
        None => {
            *budget = 0;
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verifications a second on one core, as DER of the keys does not matter to them (`cargo xtask bench verify` and
    /// `openssl speed` on a Xeon of 2026); RSA-8192, P-521 and ML-DSA-87 by extrapolation from their neighbours.
    const PER_SECOND: &[(KeyAlgorithm, f64)] = &[
        (KeyAlgorithm::P256, 18_400.0),
        (KeyAlgorithm::P384, 5_400.0),
        (KeyAlgorithm::P521, 2_800.0),
        (KeyAlgorithm::Ed25519, 30_000.0),
        (KeyAlgorithm::Rsa(2048), 57_000.0),
        (KeyAlgorithm::Rsa(3072), 27_000.0),
        (KeyAlgorithm::Rsa(4096), 15_500.0),
        (KeyAlgorithm::Rsa(8192), 4_000.0),
        (KeyAlgorithm::MlDsa44, 38_000.0),
        (KeyAlgorithm::MlDsa65, 24_000.0),
        (KeyAlgorithm::MlDsa87, 15_000.0),
    ];

    #[test]
    fn a_search_costs_the_same_at_most_whatever_the_kind_of_key() {
        for (algorithm, per_second) in PER_SECOND {
            let signatures = SIGNATURE_BUDGET / cost(*algorithm);
            let milliseconds = 1000.0 * signatures as f64 / per_second;
            // A refusal is two searches: the fast one, and the one that tells why.
            assert!(
                2.0 * milliseconds <= 20.0,
                "{algorithm}: {signatures} signatures take {milliseconds} ms"
            );
            assert!(signatures >= LONGEST_PATH, "{algorithm}: {signatures} are too few for the longest path");
        }
    }

    #[test]
    fn what_is_left_is_not_enough_for_a_dearer_key() {
        let mut left = SIGNATURE_BUDGET;
        let mut count = 0;
        while pay(&mut left, cost(KeyAlgorithm::P384)) {
            count += 1;
        }
        assert_eq!((count, left), (30, 0), "once refused, nothing is left for cheaper ones either");
    }
}
