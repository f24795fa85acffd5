//! The log: everything issued is in it, in the order in which it was recorded, whichever memory keeps it.

use ca::log::{
    Frontier, Hash, consistency_proof, inclusion_proof, leaf_hash, root, verify_consistency, verify_inclusion,
};
use ca::{Completion, Intent, NewEvent, Selector, Store as _, StoreError, revoke};
use pki::crl::RevocationReason;

use crate::postgres::Cluster;
use crate::worlds::{Memory, authority, every_memory, issue};

fn hashes(memory: &Memory) -> impl FnMut(u8, u64, u64) -> Result<Vec<Hash>, StoreError> + '_ {
    |level, start, count| memory.log_hashes(level, start, count)
}

/// A certificate on record without the work of signing it.
fn put(memory: &Memory, number: u32) {
    let serial = number.to_be_bytes().to_vec();
    memory.record_intent(intent(number)).unwrap();
    let completion = Completion {
        serial: serial.clone(),
        der: format!("certificate {number}").into_bytes(),
        names: String::new(),
        issued_at: testkit::now(),
    };
    memory.complete(completion, event(serial)).unwrap();
}

fn intent(number: u32) -> Intent {
    Intent {
        serial: number.to_be_bytes().to_vec(),
        profile: pki::Profile::Client,
        label: "many".to_owned(),
        tbs: vec![1],
        not_before: testkit::now(),
        not_after: testkit::now(),
        requested_by: "tester".to_owned(),
        requested_at: testkit::now(),
        replaces: None,
        location: None,
        line: 1,
    }
}

fn event(serial: Vec<u8>) -> NewEvent {
    NewEvent {
        at: testkit::now(),
        actor: "tester".to_owned(),
        origin: String::new(),
        action: "issue",
        serial: Some(serial),
        details: String::new(),
    }
}

#[test]
fn what_is_issued_is_at_the_end_of_the_log_and_what_is_revoked_stays_in_it() {
    every_memory(|memory| {
        let authority = authority(&memory);
        assert_eq!(memory.log_size().unwrap(), 0);
        let issued: Vec<_> =
            ["alice", "bob", "carol"].map(|label| issue(&authority, label).certificate).into();
        revoke(&memory, &Selector::parse("bob"), RevocationReason::Superseded, "warden", testkit::now())
            .unwrap();
        assert_eq!(memory.log_size().unwrap(), 3);
        let entries = memory.log_entries(0, 10).unwrap();
        assert_eq!(entries, issued.iter().map(|certificate| certificate.der().to_vec()).collect::<Vec<_>>());
        for (index, certificate) in issued.iter().enumerate() {
            assert_eq!(memory.log_index(certificate.serial()).unwrap(), Some(index as u64));
        }
        assert_eq!(memory.log_index(&[1, 2, 3]).unwrap(), None);
        assert_eq!(memory.log_entries(1, 1).unwrap(), [issued[1].der()]);
        assert_eq!(memory.log_hashes(0, 2, 9).unwrap(), [leaf_hash(issued[2].der())]);
        assert!(memory.log_hashes(1, 0, 1).unwrap().is_empty());
    });
}

#[test]
fn what_was_only_about_to_be_signed_is_not_in_the_log() {
    every_memory(|memory| {
        authority(&memory);
        memory.record_intent(intent(7)).unwrap();
        assert_eq!((memory.log_size().unwrap(), memory.log_index(&7_u32.to_be_bytes()).unwrap()), (0, None));
    });
}

#[test]
fn a_log_of_several_tiles_proves_each_entry_and_each_of_its_earlier_sizes() {
    every_memory(|memory| {
        authority(&memory);
        let mut frontier = Frontier::default();
        let mut roots = vec![frontier.root()];
        for number in 0..530_u32 {
            put(&memory, number);
            frontier.push(leaf_hash(format!("certificate {number}").as_bytes()));
            roots.push(frontier.root());
        }
        let size = memory.log_size().unwrap();
        let top = root(size, hashes(&memory)).unwrap();
        assert_eq!((size, top), (530, frontier.root()));
        assert_eq!(memory.log_hashes(1, 0, 256).unwrap().len(), 2);
        for index in [0, 1, 255, 256, 511, 512, 529] {
            let proof = inclusion_proof(index, size, hashes(&memory)).unwrap();
            let leaf = memory.log_hashes(0, index, 1).unwrap()[0];
            assert!(verify_inclusion(&leaf, index, size, &proof, &top), "{index}");
        }
        for old in [1, 255, 256, 257, 512, 529] {
            let proof = consistency_proof(old, size, hashes(&memory)).unwrap();
            let before = roots[usize::try_from(old).unwrap()];
            assert!(verify_consistency((old, &before), (size, &top), &proof), "{old}");
            assert_eq!(root(old, hashes(&memory)).unwrap(), before, "{old}");
        }
    });
}

#[test]
fn entries_that_many_write_at_once_are_in_the_order_of_the_trail_without_a_gap() {
    every_memory(|memory| {
        authority(&memory);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let memory = &memory;
                scope.spawn(move || (0..40).for_each(|n| put(memory, thread * 1000 + n)));
            }
        });
        let of_the_trail: Vec<Vec<u8>> = memory
            .audit(None)
            .unwrap()
            .into_iter()
            .filter(|event| event.action == "issue")
            .filter_map(|event| event.serial)
            .collect();
        assert_eq!(memory.log_size().unwrap(), 320);
        for (index, serial) in of_the_trail.iter().enumerate() {
            assert_eq!(memory.log_index(serial).unwrap(), Some(index as u64));
        }
        assert_eq!(memory.log_entries(0, 1000).unwrap().len(), 320);
    });
}

#[test]
fn a_database_from_before_the_log_has_everything_in_it_after_its_update() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ca.db");
    let url = Cluster::shared().map(Cluster::database);
    let root_of = |memory: &Memory| {
        let size = memory.log_size().unwrap();
        (size, root(size, hashes(memory)).unwrap())
    };
    let fill = |memory: &Memory| {
        authority(memory);
        (0..300).for_each(|number| put(memory, number));
        root_of(memory)
    };
    // What the third step of the schema and those after it made is taken away again, as if they had not been taken.
    let sqlite: Memory = std::sync::Arc::new(store::SqliteStore::create(&path).unwrap());
    let before = fill(&sqlite);
    drop(sqlite);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let earlier = "DROP TABLE log_node; ALTER TABLE certificate DROP COLUMN failure; ALTER TABLE crl DROP COLUMN signed;
                   ALTER TABLE certificate DROP COLUMN line; PRAGMA user_version = 2;";
    connection.execute_batch(earlier).unwrap();
    drop(connection);
    let sqlite: Memory = std::sync::Arc::new(store::SqliteStore::open(&path).unwrap());
    assert_eq!(root_of(&sqlite), before);
    assert_eq!(sqlite.log_hashes(1, 0, 9).unwrap().len(), 1);

    let Some(url) = url else { return };
    let postgres: Memory = std::sync::Arc::new(store::PostgresStore::open(&url).unwrap());
    let before = fill(&postgres);
    drop(postgres);
    let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
    let earlier = "DROP TABLE log_node; ALTER TABLE certificate DROP COLUMN failure, DROP COLUMN entry, DROP COLUMN line;
                   ALTER TABLE crl DROP COLUMN signed; ALTER TABLE head DROP COLUMN entries;
                   UPDATE countersign_schema SET version = 1;";
    client.batch_execute(earlier).unwrap();
    let postgres: Memory = std::sync::Arc::new(store::PostgresStore::open(&url).unwrap());
    assert_eq!(root_of(&postgres), before);
    put(&postgres, 1000);
    assert_eq!(postgres.log_index(&1000_u32.to_be_bytes()).unwrap(), Some(300));
}
