//! A backup that is made while certificates are issued is whole, and a memory that is put back from one uses no number
//! again.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ca::{Query, Selector, Store as _, StoreError, revoke, verify_audit};
use jiff::SignedDuration;
use pki::crl::RevocationReason;
use store::SqliteStore;
use store::backup::{BackupError, backup, restore};

use crate::worlds::{Memory, authority_of, entropy, issue, issuing_key};

fn open(path: &Path) -> Memory {
    Arc::new(SqliteStore::open(path).unwrap())
}

#[test]
fn a_backup_made_while_issuing_is_one_moment_of_the_memory() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ca.db");
    let memory: Memory = Arc::new(SqliteStore::create(&path).unwrap());
    let authority = authority_of(&memory, &issuing_key());
    let is_over = AtomicBool::new(false);
    let backups: Vec<_> = std::thread::scope(|scope| {
        for thread in 0..4 {
            let (authority, is_over) = (&authority, &is_over);
            scope.spawn(move || {
                for number in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    issue(authority, &format!("client-{thread}-{number}"));
                }
            });
        }
        let made: Vec<_> = (0..4)
            .map(|number| {
                let file = home.path().join(format!("backup-{number}.db"));
                let checked = backup(&path, &file);
                (file, checked)
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        made
    });
    let trail = memory.audit(None).unwrap();
    let log = memory.log_entries(0, u64::MAX).unwrap();
    for (file, checked) in backups {
        let checked = checked.unwrap();
        let copy = open(&file);
        // It is the beginning of what the memory became, and both halves of it are of the same moment.
        let events = copy.audit(None).unwrap();
        assert_eq!(events, trail[..events.len()]);
        let entries = copy.log_entries(0, u64::MAX).unwrap();
        assert_eq!(entries, log[..entries.len()]);
        assert_eq!(
            events.iter().filter(|event| matches!(event.action.as_str(), "issue" | "certify")).count(),
            entries.len()
        );
        assert_eq!((checked.events, checked.certificates), (events.len() as u64, entries.len() as u64));
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(backup(&path, &file), Err(BackupError::Exists(_))));
    }
    let left: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".part"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_restored_memory_uses_no_serial_number_and_no_list_number_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ca.db");
    let key = issuing_key();
    let memory: Memory = Arc::new(SqliteStore::create(&path).unwrap());
    let authority = authority_of(&memory, &key);
    issue(&authority, "before");
    let file = home.path().join("backup.db");
    backup(&path, &file).unwrap();

    // What happens after the backup is what the restored memory knows nothing of.
    let mut serials: HashSet<Vec<u8>> = HashSet::new();
    for number in 0..50 {
        serials.insert(issue(&authority, &format!("lost-{number}")).certificate.serial().to_vec());
    }
    let selector = Selector::parse("before");
    revoke(&memory, &selector, RevocationReason::KeyCompromise, "warden", testkit::now()).unwrap();
    let hour = SignedDuration::from_hours(1);
    for _ in 0..20 {
        authority.crl(testkit::now(), hour).unwrap();
    }
    let used = memory.list_number().unwrap();
    drop((authority, memory));

    let again = home.path().join("restored.db");
    let checked = restore(&file, &again).unwrap();
    assert_eq!(checked.certificates, 3, "both CAs, and one that was issued");
    assert!(checked.list_number < used);
    let memory = open(&again);
    let authority = ca::Authority::open(Arc::clone(&memory), Box::new(key.clone()), entropy()).unwrap();
    for number in 0..50 {
        let issued = issue(&authority, &format!("new-{number}")).certificate;
        assert!(!serials.contains(issued.serial()), "a serial number came again");
    }
    authority.crl(testkit::now() + SignedDuration::from_secs(1), hour).unwrap();
    assert!(memory.list_number().unwrap() > used, "a list number came again");
    assert_eq!(verify_audit(&memory.audit(None).unwrap()), Ok(()));
    assert_eq!(memory.list(&Query::default(), testkit::now()).unwrap().entries.len(), 51);
    assert!(matches!(restore(&file, &again), Err(BackupError::Exists(_))));
}

#[test]
fn what_is_no_whole_memory_is_neither_backed_up_nor_put_back() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ca.db");
    let out = home.path().join("out.db");
    drop(SqliteStore::create(&path).unwrap());
    assert!(matches!(backup(&path, &out), Err(BackupError::Empty(_))));
    std::fs::write(home.path().join("text.db"), "no database".repeat(1000)).unwrap();
    let error = restore(&home.path().join("text.db"), &out).unwrap_err();
    assert!(matches!(error, BackupError::Store(StoreError::Foreign(_))), "{error}");

    let other = home.path().join("changed.db");
    let memory: Memory = Arc::new(SqliteStore::create(&other).unwrap());
    let authority = authority_of(&memory, &issuing_key());
    issue(&authority, "alice");
    drop((authority, memory));
    let connection = rusqlite::Connection::open(&other).unwrap();
    connection
        .execute_batch(
            "DROP TRIGGER audit_is_not_changed; UPDATE audit SET actor = 'nobody' WHERE sequence = 2;",
        )
        .unwrap();
    drop(connection);
    assert!(matches!(restore(&other, &out), Err(BackupError::Trail(_))));
    assert!(!out.exists());
}
