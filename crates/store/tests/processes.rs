//! Several processes, one store.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ca::{Query, Store as _, verify_audit};
use store::SqliteStore;
use support::signer::RemoteKey;

const HOME: &str = "COUNTERSIGN_TEST_PROCESSES_HOME";
const NAME: &str = "COUNTERSIGN_TEST_PROCESSES_NAME";
const EACH: usize = 50;

#[test]
fn two_processes_that_issue_at_once_both_succeed() {
    if let Some(home) = std::env::var_os(HOME).map(PathBuf::from) {
        let name = std::env::var(NAME).unwrap();
        let authority = support::open(&home, RemoteKey::of(&home));
        for number in 0..EACH {
            support::issue(&authority, &format!("{name}-{number}"));
        }
        std::fs::write(home.join(format!("done-{name}")), "").unwrap();
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let (authority, key) = support::create(home.path());
    support::signer::serve(home.path(), &key);
    let children = ["left", "right"].map(|name| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "two_processes_that_issue_at_once_both_succeed"])
            .env(HOME, home.path())
            .env(NAME, name)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    for name in ["left", "right"] {
        assert!(home.path().join(format!("done-{name}")).exists(), "{name} did not issue");
    }

    let store = authority.store();
    let entries = store.list(&Query::default(), testkit::now()).unwrap().entries;
    let serials: HashSet<Vec<u8>> = entries.iter().map(|entry| entry.serial.clone()).collect();
    assert_eq!((entries.len(), serials.len()), (2 * EACH, 2 * EACH));
    assert!(store.unfinished().unwrap().is_empty());
    let events = store.audit(None).unwrap();
    // The authority was made, and has certified its root and its issuing CA.
    assert_eq!(events.len(), 2 * EACH + 3);
    verify_audit(&events).unwrap();
}

#[test]
fn a_new_file_that_many_open_at_once_is_made_once() {
    let home = tempfile::tempdir().unwrap();
    let path = support::database(home.path());
    std::thread::scope(|scope| {
        let opening: Vec<_> = (0..8).map(|_| scope.spawn(|| SqliteStore::create(&path).map(drop))).collect();
        for thread in opening {
            thread.join().unwrap().unwrap();
        }
    });
    assert!(SqliteStore::open(&path).unwrap().authority().unwrap().is_none());
}
