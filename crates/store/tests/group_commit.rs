//! Many callers, one writing thread: each gets its own answer, and one failure takes nothing else with it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Barrier;

use ca::{Query, Store as _, StoreError, verify_audit};
use pki::Profile;
use rusqlite::Connection;
use store::SqliteStore;

fn intent(serial: &[u8]) -> ca::Intent {
    ca::Intent {
        serial: serial.to_vec(),
        profile: Profile::Client,
        label: "someone".to_owned(),
        tbs: b"to be signed".to_vec(),
        not_before: testkit::now(),
        not_after: testkit::days_from_now(1),
        requested_by: "tester".to_owned(),
        requested_at: testkit::now(),
        replaces: None,
        location: None,
        line: 1,
    }
}

#[test]
fn one_failing_job_of_a_group_spoils_none_of_the_others() {
    const THREADS: u8 = 32;
    let home = tempfile::tempdir().unwrap();
    let store = SqliteStore::create(&support::database(home.path())).unwrap();
    let taken = [1; 16];
    store.record_intent(intent(&taken)).unwrap();
    let start = Barrier::new(usize::from(THREADS));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let (store, start) = (&store, &start);
                scope.spawn(move || {
                    start.wait();
                    (0..20_u8)
                        .map(|round| {
                            // Every third asks for the serial number that is taken.
                            let serial = if round % 3 == 0 { taken } else { [2 + number; 16] };
                            let serial = [&serial[..15], &[if round % 3 == 0 { 1 } else { round }]].concat();
                            (round, store.record_intent(intent(&serial)))
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for thread in threads {
            for (round, answer) in thread.join().unwrap() {
                match answer {
                    Err(StoreError::DuplicateSerial) => assert_eq!(round % 3, 0, "a free number was refused"),
                    Err(error) => panic!("{error}"),
                    Ok(()) => assert_ne!(round % 3, 0, "a taken number was given"),
                }
            }
        }
    });
    // 13 of the 20 rounds succeed in each thread.
    assert_eq!(store.unfinished().unwrap().len(), 1 + usize::from(THREADS) * 13);
}

#[test]
fn what_was_answered_is_seen_by_everyone_at_once() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let other = Connection::open(support::database(home.path())).unwrap();
    for number in 1..=20_i64 {
        support::issue(&authority, "alice");
        let count = |sql: &str| other.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM certificate WHERE der IS NOT NULL"), number);
        assert_eq!(count("SELECT count(*) FROM audit WHERE action = 'issue'"), number);
    }
}

#[test]
fn many_threads_issue_through_one_authority() {
    const THREADS: usize = 8;
    const EACH: usize = 25;
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let authority = &authority;
            scope.spawn(move || {
                for number in 0..EACH {
                    support::issue(authority, &format!("client-{thread}-{number}"));
                }
            });
        }
    });
    let entries = authority.store().list(&Query::default(), testkit::now()).unwrap().entries;
    assert_eq!(entries.len(), THREADS * EACH);
    verify_audit(&authority.store().audit(None).unwrap()).unwrap();
}
