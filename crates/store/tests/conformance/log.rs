//! The log: everything issued is in it, in the order in which it was recorded, whichever memory keeps it.

use ca::log::{
    Frontier, Hash, consistency_proof, inclusion_proof, leaf_hash, root, verify_consistency, verify_inclusion,
};
use ca::{
    Authority, AuthorityRecord, CaCertificate, Commit, Completion, Intent, NewEvent, Selector, Store as _,
    StoreError, Who, revoke,
};
use pki::crl::RevocationReason;

use crate::postgres::Cluster;
use crate::worlds::{Memory, authority, authority_of, entropy, every_memory, issue, issuing_key};

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
        let issuer = authority.issuer();
        let own = [issuer.anchor().clone(), issuer.certificate().clone()];
        assert_eq!(memory.log_size().unwrap(), 2, "what the authority began with");
        let issued: Vec<_> = own
            .into_iter()
            .chain(["alice", "bob", "carol"].map(|label| issue(&authority, label).certificate))
            .collect();
        revoke(&memory, &Selector::parse("bob"), RevocationReason::Superseded, "warden", testkit::now())
            .unwrap();
        assert_eq!(memory.log_size().unwrap(), 5);
        let entries = memory.log_entries(0, 10).unwrap();
        assert_eq!(entries, issued.iter().map(|certificate| certificate.der().to_vec()).collect::<Vec<_>>());
        for (index, certificate) in issued.iter().enumerate() {
            assert_eq!(memory.log_index(certificate.serial()).unwrap(), Some(index as u64));
        }
        assert_eq!(memory.log_index(&[1, 2, 3]).unwrap(), None);
        assert_eq!(memory.log_entries(1, 1).unwrap(), [issued[1].der()]);
        assert_eq!(memory.log_hashes(0, 4, 9).unwrap(), [leaf_hash(issued[4].der())]);
        assert!(memory.log_hashes(1, 0, 1).unwrap().is_empty());
    });
}

#[test]
fn what_was_only_about_to_be_signed_is_not_in_the_log() {
    every_memory(|memory| {
        authority(&memory);
        memory.record_intent(intent(7)).unwrap();
        assert_eq!((memory.log_size().unwrap(), memory.log_index(&7_u32.to_be_bytes()).unwrap()), (2, None));
    });
}

#[test]
fn a_log_of_several_tiles_proves_each_entry_and_each_of_its_earlier_sizes() {
    every_memory(|memory| {
        authority(&memory);
        let mut frontier = Frontier::default();
        let mut roots = vec![frontier.root()];
        let mut push = |entry: &[u8]| {
            frontier.push(leaf_hash(entry));
            roots.push(frontier.root());
        };
        memory.ca_certificates().unwrap().iter().for_each(|own| push(&own.der));
        for number in 0..528_u32 {
            // CAs of a later change, the last place of a tile and the first one of the next among theirs.
            let own = format!("CA {number}").into_bytes();
            if [253, 254, 300].contains(&number) {
                let certificates = vec![CaCertificate { serial: own.clone(), der: own.clone() }];
                memory.commit(Commit { certificates, ..Commit::default() }).unwrap();
                push(&own);
                continue;
            }
            put(&memory, number);
            push(format!("certificate {number}").as_bytes());
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
            .filter(|event| matches!(event.action.as_str(), "issue" | "certify"))
            .filter_map(|event| event.serial)
            .collect();
        assert_eq!(memory.log_size().unwrap(), 322);
        for (index, serial) in of_the_trail.iter().enumerate() {
            assert_eq!(memory.log_index(serial).unwrap(), Some(index as u64));
        }
        assert_eq!(memory.log_entries(0, 1000).unwrap().len(), 322);
    });
}

#[test]
fn what_is_in_the_log_is_not_put_into_it_again() {
    every_memory(|memory| {
        let authority = authority(&memory);
        authority.log_own_certificates(Who::from("founder"), testkit::now()).unwrap();
        let again = Commit::default().logging(authority.issuer().anchor());
        let refused = memory.commit(again.noting(event(vec![7])));
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
        assert_eq!(memory.log_size().unwrap(), 2);
        let actions = memory.audit(None).unwrap().into_iter().map(|event| event.action);
        assert_eq!(actions.collect::<Vec<_>>(), ["create", "certify", "certify"]);
    });
}

/// A memory as one was made before the authority's own certificates were in the log, and its issuing CA's key.
fn from_before(memory: &Memory) -> (AuthorityRecord, testkit::TestKey) {
    let elsewhere: Memory = std::sync::Arc::new(store::MemoryStore::new());
    let key = issuing_key();
    authority_of(&elsewhere, &key);
    let record = elsewhere.authority().unwrap().unwrap();
    let event = NewEvent { action: "create", ..event(vec![1]) };
    memory.create_authority(record.clone(), Commit::default().noting(event)).unwrap();
    (record, key)
}

#[test]
fn an_authority_from_before_has_its_own_certificates_in_the_log_once_it_is_opened() {
    every_memory(|memory| {
        let (record, key) = from_before(&memory);
        (0..3).for_each(|number| put(&memory, number));
        let open = || Authority::open(Memory::clone(&memory), Box::new(key.clone()), entropy()).unwrap();
        for _ in 0..2 {
            open().log_own_certificates(Who::from("keeper"), testkit::now()).unwrap();
            let entries = memory.log_entries(3, 9).unwrap();
            assert_eq!(entries, [record.root.clone(), record.issuing.clone()]);
        }
        put(&memory, 3);
        assert_eq!(memory.log_entries(5, 9).unwrap(), [b"certificate 3"]);
        assert_eq!(memory.log_index(&3_u32.to_be_bytes()).unwrap(), Some(5));
        assert_eq!(memory.log_size().unwrap(), 6);
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
        from_before(memory);
        (0..300).for_each(|number| put(memory, number));
        root_of(memory)
    };
    // What the third step of the schema and those after it made is taken away again, as if they had not been taken.
    let sqlite: Memory = std::sync::Arc::new(store::SqliteStore::create(&path).unwrap());
    let before = fill(&sqlite);
    drop(sqlite);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let earlier = "DROP INDEX certificate_sha256; DROP INDEX certificate_without_sha256;
                   DROP INDEX certificate_line; DROP INDEX certificate_line_revoked; DROP INDEX certificate_line_responder;
                   ALTER TABLE certificate DROP COLUMN sha256;
                   DROP TABLE tally; DROP TABLE refused_handshake; DROP TABLE said; DROP TABLE log_node;
                   ALTER TABLE certificate DROP COLUMN failure; ALTER TABLE crl DROP COLUMN signed;
                   ALTER TABLE certificate DROP COLUMN line; DROP TABLE ca_certificate;
                   ALTER TABLE completed_certificate RENAME TO certificate_names; PRAGMA user_version = 2;";
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
    let earlier = "DROP INDEX certificate_trigrams; DROP FUNCTION countersign_trigrams;
         DROP INDEX certificate_sha256; DROP TABLE tally; DROP TABLE refused_handshake; DROP TABLE said;
                   DROP TABLE log_node;
                   ALTER TABLE certificate DROP COLUMN failure, DROP COLUMN log_entry, DROP COLUMN line;
                   DROP TABLE ca_certificate;
                   ALTER TABLE crl DROP COLUMN signed; ALTER TABLE head DROP COLUMN entries;
                   UPDATE countersign_schema SET version = 1;";
    client.batch_execute(earlier).unwrap();
    let postgres: Memory = std::sync::Arc::new(store::PostgresStore::open(&url).unwrap());
    assert_eq!(root_of(&postgres), before);
    put(&postgres, 1000);
    assert_eq!(postgres.log_index(&1000_u32.to_be_bytes()).unwrap(), Some(300));
}
