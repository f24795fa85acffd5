//! What one search for a path may cost. Chains come from strangers: without bounds a few kilobytes of certificates
//! keep a core busy for minutes, as they did in most validators at one time.

/// The most certificates in a path. Real ones have 2 to 5.
pub(super) const LONGEST_PATH: usize = 10;

/// The most signatures verified in one search. Cross-signed graphs make the number of paths exponential
/// (CVE-2018-16875 in Go, RUSTSEC-2023-0053 in rustls-webpki); a cycle among them ended GnuTLS (CVE-2024-0567).
pub(super) const SIGNATURE_BUDGET: usize = 100;

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

    /// Pays for one signature; `false` when nothing is left.
    pub(super) fn signature(&mut self) -> bool {
        pay(&mut self.signatures, 1)
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
