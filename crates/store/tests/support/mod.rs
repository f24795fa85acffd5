//! An authority in a file of its own, at the fixed moment of `testkit`.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "shared by tests, each of which uses a part"
)]

pub mod signer;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use ca::{Authority, CreateAuthority, Entropy, IssueRequest, Issued};
use jiff::SignedDuration;
use pki::Profile;
use pki::extension::NameConstraints;
use pki::key::SigningKey;
use pki::name::SubjectNames;
use store::SqliteStore;
use testkit::{KeyKind, TestKey};

pub type TestAuthority = Authority<SqliteStore>;

/// Random octets from the system.
pub fn entropy() -> Entropy {
    Box::new(|octets| {
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(octets)).map_err(|e| e.to_string())
    })
}

/// What the authorities of these tests are made from.
pub fn wish() -> CreateAuthority {
    CreateAuthority {
        name: "Test".to_owned(),
        root_lifetime: SignedDuration::from_hours(24 * 3650),
        constraints: NameConstraints::default(),
        requested_by: "founder".to_owned(),
    }
}

/// The database's place in a directory.
pub fn database(directory: &Path) -> std::path::PathBuf {
    directory.join("ca.db")
}

/// A new authority in this directory, and the key of its issuing CA.
pub fn create(directory: &Path) -> (TestAuthority, TestKey) {
    let store = SqliteStore::create(&database(directory)).unwrap();
    let (root, issuing) = (TestKey::generate(KeyKind::P256), TestKey::generate(KeyKind::P256));
    let now = testkit::now();
    let authority =
        Authority::create(store, &root, Box::new(issuing.clone()), &wish(), entropy(), now).unwrap();
    (authority, issuing)
}

/// The authority of this directory, opened again.
pub fn open(directory: &Path, key: impl SigningKey + 'static) -> TestAuthority {
    let store = SqliteStore::open(&database(directory)).unwrap();
    Authority::open(store, Box::new(key), entropy()).unwrap()
}

/// A request for a client's certificate with a new key.
pub fn client(label: &str) -> IssueRequest {
    IssueRequest {
        profile: Profile::Client,
        label: label.to_owned(),
        names: SubjectNames::for_client(label).unwrap(),
        public_key: TestKey::generate(KeyKind::P256).public_key().clone(),
        lifetime: None,
        requested_by: "tester".to_owned(),
        origin: String::new(),
        replaces: None,
        location: None,
    }
}

/// A client's certificate, issued at the fixed moment.
pub fn issue(authority: &TestAuthority, label: &str) -> Issued {
    authority.issue(client(label), testkit::now()).unwrap()
}
