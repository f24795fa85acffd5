//! The memories, each new and empty, and an authority in one.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use ca::{Authority, CreateAuthority, Entropy, IssueRequest, Issued, Store};
use jiff::SignedDuration;
use pki::Profile;
use pki::extension::NameConstraints;
use pki::key::SigningKey as _;
use pki::name::SubjectNames;
use store::{MemoryStore, SqliteStore};
use testkit::{KeyKind, TestKey};

pub(crate) type Memory = Arc<dyn Store>;

/// Asks `claim` of every memory that there is, by name.
pub(crate) fn every_memory(claim: impl Fn(Memory)) {
    println!("memory");
    claim(Arc::new(MemoryStore::new()));
    println!("SQLite");
    let home = tempfile::tempdir().unwrap();
    claim(Arc::new(SqliteStore::create(&home.path().join("ca.db")).unwrap()));
}

fn entropy() -> Entropy {
    Box::new(|octets| {
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(octets)).map_err(|e| e.to_string())
    })
}

/// A new authority in this memory.
pub(crate) fn authority(memory: &Memory) -> Authority<Memory> {
    let wish = CreateAuthority {
        name: "Test".to_owned(),
        root_lifetime: SignedDuration::from_hours(24 * 3650),
        constraints: NameConstraints::default(),
        requested_by: "founder".to_owned(),
    };
    let (root, issuing) = (TestKey::generate(KeyKind::P256), TestKey::generate(KeyKind::P256));
    Authority::create(Arc::clone(memory), &root, Box::new(issuing), &wish, entropy(), testkit::now()).unwrap()
}

/// A client's certificate of this name.
pub(crate) fn issue(authority: &Authority<Memory>, label: &str) -> Issued {
    let request = IssueRequest {
        profile: Profile::Client,
        label: label.to_owned(),
        names: SubjectNames::for_client(label).unwrap(),
        public_key: TestKey::generate(KeyKind::P256).public_key().clone(),
        lifetime: None,
        requested_by: "tester".to_owned(),
        origin: "192.0.2.7".to_owned(),
        replaces: None,
        location: None,
    };
    authority.issue(request, testkit::now()).unwrap()
}
