//! An authority to measure, as `countersign init` makes it.

use std::path::Path;

use anyhow::Result;
use ca::{Authority, CreateAuthority, IssueRequest};
use jiff::{SignedDuration, Timestamp};
use keys::PrivateKey;
use pki::Profile;
use pki::csr::CertificateRequest;
use pki::extension::NameConstraints;
use pki::key::{KeyAlgorithm, SigningKey as _};
use pki::name::SubjectNames;
use store::SqliteStore;

pub(crate) type BenchAuthority = Authority<SqliteStore>;

/// A new authority with P-256 keys in `ca.db` of this directory.
pub(crate) fn create(directory: &Path) -> Result<BenchAuthority> {
    let store = SqliteStore::create(&directory.join("ca.db"))?;
    let (root, issuing) =
        (PrivateKey::generate(KeyAlgorithm::P256)?, PrivateKey::generate(KeyAlgorithm::P256)?);
    let wish = CreateAuthority {
        name: "Bench".to_owned(),
        root_lifetime: SignedDuration::from_hours(24 * 3650),
        constraints: NameConstraints::default(),
        requested_by: "bench".to_owned(),
    };
    let entropy: ca::Entropy =
        Box::new(|octets| keys::random::fill(octets).map_err(|error| error.to_string()));
    Ok(Authority::create(store, &root, Box::new(issuing), &wish, entropy, Timestamp::now())?)
}

/// A signed request for a client's certificate, in DER.
pub(crate) fn request(name: &str) -> Result<Vec<u8>> {
    let key = PrivateKey::generate(KeyAlgorithm::P256)?;
    debug_assert_eq!(key.public_key().algorithm(), KeyAlgorithm::P256);
    Ok(pki::csr::build_request(&SubjectNames::for_client(name)?, &key)?)
}

/// What `countersign sign` does with a request: proof of possession checked, key and names taken.
pub(crate) fn read_request(der: &[u8], label: &str) -> Result<IssueRequest> {
    let request = CertificateRequest::from_der(der)?;
    Ok(IssueRequest {
        profile: Profile::Client,
        label: label.to_owned(),
        names: request.names(),
        public_key: request.public_key().clone(),
        lifetime: None,
        requested_by: "bench".to_owned(),
        origin: String::new(),
        replaces: None,
        location: None,
    })
}
