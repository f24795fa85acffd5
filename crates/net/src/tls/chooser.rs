//! Which of a server's certificates a client gets: the one for the name it asks for (RFC 6066 section 3), of a kind
//! that it can verify.

use std::collections::HashMap;
use std::sync::Arc;

use pki::name::GeneralName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::negotiated::Offers;
use super::{Credentials, TlsVersion, TlsVersions, slot};

/// The certificates of one snapshot by their names.
#[derive(Debug)]
pub(crate) struct Chooser {
    default: Arc<CertifiedKey>,
    /// What stands in for the default where a client cannot verify it, or can verify something stronger: the certificates
    /// that name a host of the default's.
    beside_default: Vec<Arc<CertifiedKey>>,
    /// By name in lower case; `*.` and a parent for all names of one label below it.
    named: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Chooser {
    /// Where certificates of several kinds of key share a name, those with a post-quantum key go first: a client that
    /// offers ML-DSA gets one, every other client the first that it can verify.
    pub(crate) fn new(default: &Credentials, more: &[Credentials], versions: TlsVersions) -> Self {
        // Under TLS 1.2 alone nobody can be shown an ML-DSA certificate.
        let usable = |credentials: &&Credentials| {
            versions != TlsVersions::Only(TlsVersion::Tls12) || !is_post_quantum_key(credentials)
        };
        let mut named: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        // The default comes last: a certificate that was given for a name goes before.
        let by_name = if more.is_empty() { None } else { Some(default) };
        let mut given: Vec<&Credentials> = more.iter().chain(by_name).filter(usable).collect();
        given.sort_by_key(|credentials| !is_post_quantum_key(credentials));
        let mut beside_default = Vec::new();
        let names_of_default = dns_names(default);
        for credentials in &given {
            let names = dns_names(credentials);
            if names.iter().any(|name| names_of_default.contains(name)) {
                beside_default.push(Arc::clone(credentials.certified()));
            }
            for name in names {
                named.entry(name).or_default().push(Arc::clone(credentials.certified()));
            }
        }
        // Where no name is asked for, the default goes before its equals; what is post-quantum goes before it.
        let of_default = Arc::as_ptr(default.certified());
        let rank = |key: &Arc<CertifiedKey>| {
            let first = given.iter().find(|credentials| Arc::ptr_eq(credentials.certified(), key));
            (
                !first.is_some_and(|credentials| is_post_quantum_key(credentials)),
                Arc::as_ptr(key) != of_default,
            )
        };
        beside_default.sort_by_key(rank);
        Chooser { default: Arc::clone(default.certified()), beside_default, named }
    }

    fn candidates(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let name = name.to_ascii_lowercase();
        let wildcard = || self.named.get(&format!("*.{}", name.split_once('.')?.1));
        self.named.get(&name).or_else(wildcard).map(Vec::as_slice)
    }
}

fn is_post_quantum_key(credentials: &Credentials) -> bool {
    credentials.leaf().public_key().is_ok_and(|key| key.algorithm().is_post_quantum())
}

fn dns_names(credentials: &Credentials) -> Vec<String> {
    let names = credentials.leaf().subject_alt_names().iter().filter_map(|name| match name {
        GeneralName::Dns(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    names.collect()
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        slot::look(|slot| slot.offers = Offers::of(&hello));
        let named = hello.server_name().and_then(|name| self.candidates(name));
        // Whoever asks for no name, an address for instance, or for one that is nobody's, gets the default.
        let candidates = named.unwrap_or(&self.beside_default);
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
        let chooser = Chooser::new(&default, &[wild.clone(), a.clone()], TlsVersions::Both);
        for (name, expected) in [
            ("A.x.test", Some(&a)),
            ("b.x.test", Some(&wild)),
            ("default.x.test", Some(&default)),
            ("x.y.test", None),
        ] {
            let found = chooser.candidates(name).and_then(<[_]>::first);
            assert_eq!(found.map(Arc::as_ptr), expected.map(|c| Arc::as_ptr(c.certified())), "{name}");
        }
    }
}
