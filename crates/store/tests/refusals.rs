//! Files that are not ours, not for us, or have no room: each is refused with the reason, and left as it is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ca::{Authority, CreateError, IssueError, OpenError, Store as _, StoreError, verify_audit};
use rusqlite::Connection;
use store::SqliteStore;
use testkit::{KeyKind, TestKey};

fn refusal(path: &Path) -> StoreError {
    match SqliteStore::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

#[test]
fn a_database_made_by_a_newer_version_is_refused_with_both_versions() {
    let home = tempfile::tempdir().unwrap();
    drop(support::create(home.path()));
    let path = support::database(home.path());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 97).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, StoreError::Newer { found: 97, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("97") && text.contains("knows up to") && text.contains("ca.db"), "{text}");
    let version: i64 =
        Connection::open(&path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 97, "it was changed");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let path = support::database(home.path());
    let text = "-----BEGIN CERTIFICATE-----\n".repeat(400);
    fs::write(&path, &text).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, StoreError::Foreign(_)), "{error}");
    assert!(error.to_string().contains("ca.db"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_missing_database_is_not_made_by_opening_it() {
    let home = tempfile::tempdir().unwrap();
    let path = support::database(home.path());
    refusal(&path);
    assert!(!path.exists());
}

#[test]
fn the_database_and_what_sqlite_puts_beside_it_are_for_their_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    support::issue(&authority, "alice");
    let mut seen = Vec::new();
    for file in fs::read_dir(home.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        seen.push(file.file_name().into_string().unwrap());
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
    }
    seen.sort();
    assert_eq!(seen, ["ca.db", "ca.db-shm", "ca.db-wal"]);
}

#[test]
fn a_second_authority_in_the_same_store_is_refused_and_the_first_stays() {
    let home = tempfile::tempdir().unwrap();
    let (authority, issuing) = support::create(home.path());
    let anchor = authority.issuer().anchor().clone();
    drop(authority);
    let store = SqliteStore::create(&support::database(home.path())).unwrap();
    let (root, other) = (TestKey::generate(KeyKind::P256), TestKey::generate(KeyKind::P256));
    let wish = support::wish();
    let again = Authority::create(store, &root, Box::new(other), &wish, support::entropy(), testkit::now());
    let error = again.err().unwrap();
    assert!(matches!(error, CreateError::Store(StoreError::AuthorityExists)), "{error}");
    assert_eq!(support::open(home.path(), issuing).issuer().anchor(), &anchor);
}

#[test]
fn a_signing_key_of_someone_else_opens_no_authority() {
    let home = tempfile::tempdir().unwrap();
    drop(support::create(home.path()));
    let store = SqliteStore::open(&support::database(home.path())).unwrap();
    let stranger = Box::new(TestKey::generate(KeyKind::P256));
    let error = Authority::open(store, stranger, support::entropy()).err().unwrap();
    assert!(matches!(error, OpenError::WrongKey(_)), "{error}");
}

const HOME: &str = "COUNTERSIGN_TEST_STORE_FULL";

/// Issues until that fails; how many it were, and why it failed.
fn issue_until_it_fails(authority: &support::TestAuthority) -> (usize, IssueError) {
    let mut count = 0;
    loop {
        match authority.issue(support::client(&format!("client-{count}")), testkit::now()) {
            Ok(_) => count += 1,
            Err(error) => return (count, error),
        }
        assert!(count < 5000, "the limit was never reached");
    }
}

/// Everything that was answered is there, and it goes on.
fn check_and_go_on(authority: &support::TestAuthority, count: usize) {
    let entries = authority.store().list(&ca::Query::default(), testkit::now()).unwrap().entries;
    assert_eq!(entries.len(), count);
    assert_eq!(authority.store().log_size().unwrap(), count as u64 + 2, "and both CAs");
    verify_audit(&authority.store().audit(None).unwrap()).unwrap();
    support::issue(authority, "after");
}

/// A limit on the size of files. It holds for a whole process, so the test runs itself again under one.
#[test]
fn where_files_may_grow_no_longer_nothing_is_issued_and_what_was_issued_stays() {
    let name = "where_files_may_grow_no_longer_nothing_is_issued_and_what_was_issued_stays";
    if let Some(home) = std::env::var_os(HOME).map(PathBuf::from) {
        let authority = support::open(&home, support::signer::RemoteKey::of(&home));
        let (count, error) = issue_until_it_fails(&authority);
        assert!(matches!(error, IssueError::Store(StoreError::Disk(_))), "{error}");
        fs::write(home.join("count"), count.to_string()).unwrap();
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let (authority, key) = support::create(home.path());
    drop(authority);
    support::signer::serve(home.path(), &key);
    // ulimit counts in blocks of 512; SIGXFSZ is ignored so that the write fails instead of the process.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 512; exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(HOME, home.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "under the limit: {output:?}");
    let count: usize = fs::read_to_string(home.path().join("count")).unwrap().parse().unwrap();
    check_and_go_on(&support::open(home.path(), key), count);
}

/// A file system without room: one of half a megabyte in memory, in a namespace of the test's own.
#[test]
fn on_a_full_disk_nothing_is_issued_and_with_room_again_it_goes_on() {
    let name = "on_a_full_disk_nothing_is_issued_and_with_room_again_it_goes_on";
    if let Some(home) = std::env::var_os(HOME).map(PathBuf::from) {
        let disk = home.join("disk");
        fs::copy(support::database(&home), support::database(&disk)).unwrap();
        fs::write(disk.join("ballast"), [7; 100_000]).unwrap();
        let authority = support::open(&disk, support::signer::RemoteKey::of(&home));
        let (count, error) = issue_until_it_fails(&authority);
        assert!(matches!(error, IssueError::Store(StoreError::Full)), "{error}");
        assert!(error.to_string().contains("Make room"), "{error}");
        fs::remove_file(disk.join("ballast")).unwrap();
        check_and_go_on(&authority, count);
        drop(authority);
        let again = support::open(&disk, support::signer::RemoteKey::of(&home));
        assert_eq!(again.store().log_size().unwrap(), count as u64 + 3);
        fs::write(home.join("ran"), "").unwrap();
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let (authority, key) = support::create(home.path());
    drop(authority);
    support::signer::serve(home.path(), &key);
    fs::create_dir(home.path().join("disk")).unwrap();
    let mount =
        "mount -t tmpfs -o size=600k,mode=700 tmpfs \"$0/disk\" || exit 99; exec \"$1\" --exact \"$2\"";
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", mount])
        .arg(home.path())
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(HOME, home.path())
        .output();
    match output {
        Ok(output) if output.status.success() => assert!(home.path().join("ran").exists(), "it did not run"),
        // Where no namespace may be made there is no such disk; the limit above stands in for it.
        Ok(output) if matches!(output.status.code(), Some(1 | 99)) => {
            println!("no file system can be mounted here: {output:?}");
        }
        other => panic!("on the full disk: {other:?}"),
    }
}
