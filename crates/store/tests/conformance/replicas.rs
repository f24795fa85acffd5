//! Two replicas on one database, and a database that goes away: what must hold then.

use std::collections::HashSet;
use std::sync::Arc;

use ca::{Commit, Record, Store as _, StoreError, Write, verify_audit};
use store::PostgresStore;

use crate::postgres::Cluster;
use crate::worlds::{Memory, authority_of, issue, issuing_key};

#[test]
fn replicas_without_a_leader_issue_at_once_and_keep_one_trail_and_unique_list_numbers() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.database();
    let key = issuing_key();
    let first: Memory = Arc::new(PostgresStore::open(&url).unwrap());
    let one = authority_of(&first, &key);
    let second: Memory = Arc::new(PostgresStore::open(&url).unwrap());
    let two =
        ca::Authority::open(Arc::clone(&second), Box::new(key.clone()), crate::worlds::entropy()).unwrap();
    let numbers: Vec<u64> = std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let authority = if n % 2 == 0 { &one } else { &two };
                scope.spawn(move || {
                    for m in 0..10 {
                        issue(authority, &format!("client-{n}-{m}"));
                    }
                    authority.store().begin_crl(testkit::now()).unwrap().0
                })
            })
            .collect();
        tasks.into_iter().map(|task| task.join().unwrap()).collect()
    });
    assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), 8);
    let events = second.audit(None).unwrap();
    assert_eq!(events.len(), 83, "what the authority began with, and 80 issued");
    assert_eq!(verify_audit(&events), Ok(()));
    assert!(first.unfinished().unwrap().is_empty());
}

#[test]
fn what_one_replica_writes_wakes_those_who_wait_at_the_others() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.database();
    let here = PostgresStore::open(&url).unwrap();
    let there = PostgresStore::open(&url).unwrap();
    // The first waits start the listener; it tells when it has begun, and then nothing until something is written.
    let for_ever = std::time::Duration::from_secs(3600);
    let mut seen = there.wait_for_news(0, for_ever);
    let length = || there.audit_length().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            while length() == 0 {
                seen = there.wait_for_news(seen, for_ever);
            }
        });
        let event = ca::NewEvent {
            at: testkit::now(),
            actor: "tester".to_owned(),
            origin: String::new(),
            action: "trust",
            serial: None,
            details: String::new(),
        };
        here.commit(Commit::default().noting(event)).unwrap();
        // An hour is longer than any test: whoever comes back was woken.
        waiting.join().unwrap();
    });
    assert_eq!(length(), 1);
}

#[test]
fn new_tables_that_many_replicas_make_at_once_are_made_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.database();
    std::thread::scope(|scope| {
        let opening: Vec<_> = (0..6).map(|_| scope.spawn(|| PostgresStore::open(&url).map(drop))).collect();
        opening.into_iter().for_each(|opened| opened.join().unwrap().unwrap());
    });
    assert!(PostgresStore::open(&url).unwrap().authority().unwrap().is_none());
}

#[test]
fn a_server_that_was_killed_and_came_back_is_used_again_and_what_it_confirmed_is_there() {
    // Its own, since it is killed.
    let Some(cluster) = Cluster::start() else { return };
    let memory = PostgresStore::open(&cluster.database()).unwrap();
    let put = |id: &str| memory.commit(Commit::of(Write::Put(Record::new("thing", id, String::new()))));
    put("before").unwrap();
    cluster.control("stop");
    assert!(matches!(put("meanwhile"), Err(StoreError::Unreachable(_))));
    assert!(matches!(memory.record("thing", "before"), Err(StoreError::Unreachable(_))));
    cluster.control("start");
    put("after").unwrap();
    assert!(memory.record("thing", "before").unwrap().is_some());
    assert!(memory.record("thing", "after").unwrap().is_some());
    assert!(memory.record("thing", "meanwhile").unwrap().is_none());
}
