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
use store::{MemoryStore, PostgresStore, SqliteStore};
use testkit::{KeyKind, TestKey};

pub(crate) type Memory = Arc<dyn Store>;

/// Asks `claim` of every memory that there is, by name.
pub(crate) fn every_memory(claim: impl Fn(Memory)) {
    println!("memory");
    claim(Arc::new(MemoryStore::new()));
    println!("SQLite");
    let home = tempfile::tempdir().unwrap();
    claim(Arc::new(SqliteStore::create(&home.path().join("ca.db")).unwrap()));
    let Some(cluster) = crate::postgres::Cluster::shared() else {
        // A run that must be whole says so; elsewhere PostgreSQL may be missing.
        assert!(std::env::var_os("CI").is_none(), "PostgreSQL is missing: apt-get install postgresql");
        return println!("PostgreSQL is not installed");
    };
    println!("PostgreSQL");
    claim(Arc::new(PostgresStore::open(&cluster.database()).unwrap()));
}

pub(crate) fn entropy() -> Entropy {
    Box::new(|octets| {
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(octets)).map_err(|e| e.to_string())
    })
}

/// A new authority in this memory.
pub(crate) fn authority(memory: &Memory) -> Authority<Memory> {
    authority_of(memory, &issuing_key())
}

/// A key for an issuing CA.
pub(crate) fn issuing_key() -> TestKey {
    TestKey::generate(KeyKind::P256)
}

/// A new authority in this memory, whose issuing CA has this key.
pub(crate) fn authority_of(memory: &Memory, issuing: &TestKey) -> Authority<Memory> {
    let wish = CreateAuthority {
        name: "Test".to_owned(),
        root_lifetime: SignedDuration::from_hours(24 * 3650),
        constraints: NameConstraints::default(),
        requested_by: "founder".to_owned(),
    };
    let root = TestKey::generate(KeyKind::P256);
    Authority::create(Arc::clone(memory), &root, Box::new(issuing.clone()), &wish, entropy(), testkit::now())
        .unwrap()
}

/// A client's certificate of this name.
pub(crate) fn issue(authority: &Authority<Memory>, label: &str) -> Issued {
    authority.issue(request(label), testkit::now()).unwrap()
}

/// What asks for it, with a new key.
pub(crate) fn request(label: &str) -> IssueRequest {
    IssueRequest {
        profile: Profile::Client,
        label: label.to_owned(),
        names: SubjectNames::for_client(label).unwrap(),
        public_key: TestKey::generate(KeyKind::P256).public_key().clone(),
        lifetime: None,
        requested_by: "tester".to_owned(),
        origin: "192.0.2.7".to_owned(),
        replaces: None,
        location: None,
    }
}
