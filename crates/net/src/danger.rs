//! What takes protection away, kept in one place so that a search finds every use of it.

use crate::tls::server_verifier::{Enforcement, Expectation};

/// The same expectation, whose verdict is noted and refuses nothing: `-k`, and looking at a server that one does not
/// believe (yet). The connection is encrypted, to whoever answers.
///
/// ```
/// use net::tls::server_verifier::Expectation;
/// let anyone = net::danger::accept_any_server(Expectation::new(pki::verify::TrustBundle::default()));
/// assert!(net::danger::accepts_any_server(&anyone));
/// ```
#[must_use]
pub fn accept_any_server(mut expectation: Expectation) -> Expectation {
    expectation.enforcement = Enforcement::Note;
    expectation
}

/// Whether an expectation refuses nobody.
#[must_use]
pub fn accepts_any_server(expectation: &Expectation) -> bool {
    expectation.enforcement == Enforcement::Note
}
