//! Which of a server's certificates a client gets: the one for the name it asks for (RFC 6066 section 3), of a kind
//! that it can verify.

use std::collections::HashMap;
use std::sync::Arc;

use pki::name::GeneralName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Credentials, slot};

/// The certificates of one snapshot by their names.
#[derive(Debug)]
pub(crate) struct Chooser {
    default: Arc<CertifiedKey>,
    /// By name in lower case; `*.` and a parent for all names of one label below it.
    named: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Chooser {
    pub(crate) fn new(default: &Credentials, more: &[Credentials]) -> Self {
        let mut named: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        // The default comes last: a certificate that was given for a name goes before.
        let by_name = if more.is_empty() { None } else { Some(default) };
        for credentials in more.iter().chain(by_name) {
            for name in credentials.leaf().subject_alt_names() {
                if let GeneralName::Dns(name) = name {
                    let keys = named.entry(name.to_ascii_lowercase()).or_default();
                    keys.push(Arc::clone(credentials.certified()));
                }
            }
        }
        Chooser { default: Arc::clone(default.certified()), named }
    }

    fn candidates(&self, name: &str) -> &[Arc<CertifiedKey>] {
        let name = name.to_ascii_lowercase();
        let wildcard = || self.named.get(&format!("*.{}", name.split_once('.')?.1));
        self.named.get(&name).or_else(wildcard).map_or(&[], Vec::as_slice)
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = match hello.server_name() {
            Some(name) if !self.named.is_empty() => self.candidates(name),
            _ => &[],
        };
        let schemes = hello.signature_schemes();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let chosen = candidates.iter().find(fits).or(candidates.first());
        let chosen = Arc::clone(chosen.unwrap_or(&self.default));
        slot::look(|slot| slot.shown = Some(Arc::clone(&chosen)));
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_exact_name_goes_before_the_wildcard_and_the_given_before_the_default() {
        let ca = testkit::TestCa::new();
        let credentials = |names: &[&str]| {
            let server = ca.issue_server(names);
            Credentials::new(vec![server.certificate], server.key.pkcs8_der()).unwrap()
        };
        let default = credentials(&["a.x.test", "default.x.test"]);
        let (a, wild) = (credentials(&["a.x.test"]), credentials(&["*.x.test"]));
        let chooser = Chooser::new(&default, &[wild.clone(), a.clone()]);
        for (name, expected) in [
            ("A.x.test", Some(&a)),
            ("b.x.test", Some(&wild)),
            ("default.x.test", Some(&default)),
            ("x.y.test", None),
        ] {
            let found = chooser.candidates(name).first();
            assert_eq!(found.map(Arc::as_ptr), expected.map(|c| Arc::as_ptr(c.certified())), "{name}");
        }
    }
}
