//! Records: compare-and-swap, all or nothing.

use std::sync::Arc;

use ca::{Commit, NewEvent, Record, Store as _, StoreError, Write, verify_audit};

use crate::worlds::every_memory;

fn event(details: &str) -> NewEvent {
    NewEvent {
        at: testkit::now(),
        actor: "tester".to_owned(),
        origin: "192.0.2.7 by the api".to_owned(),
        action: "note",
        serial: None,
        details: details.to_owned(),
    }
}

fn put(record: Record) -> Commit {
    Commit::of(Write::Put(record))
}

#[test]
fn a_record_is_read_as_it_was_written_and_its_version_grows() {
    every_memory(|memory| {
        let first = Record::new("thing", "a", "{\"ü\":1}".to_owned()).owned_by("x").until(testkit::now());
        memory.commit(put(first.clone())).unwrap();
        let read = memory.record("thing", "a").unwrap().unwrap();
        assert_eq!(read, Record { version: 1, ..first });
        memory.commit(put(Record { body: "{}".to_owned(), expires: None, ..read.clone() })).unwrap();
        let again = memory.record("thing", "a").unwrap().unwrap();
        assert_eq!((again.version, again.body.as_str(), again.expires), (2, "{}", None));
        assert_eq!(memory.record("thing", "b").unwrap(), None);
        assert_eq!(memory.record("other", "a").unwrap(), None);
    });
}

#[test]
fn a_change_from_an_old_version_is_refused_and_changes_nothing_else() {
    every_memory(|memory| {
        memory.commit(put(Record::new("thing", "a", "1".to_owned()))).unwrap();
        let read = memory.record("thing", "a").unwrap().unwrap();
        memory.commit(put(Record { body: "2".to_owned(), ..read.clone() })).unwrap();
        let stale = [
            Write::Put(Record { body: "3".to_owned(), ..read.clone() }),
            Write::Delete(read),
            Write::Put(Record::new("thing", "a", "4".to_owned())),
            Write::Delete(Record::new("thing", "never", String::new())),
            Write::Put(Record { version: 7, ..Record::new("thing", "never", String::new()) }),
        ];
        for write in stale {
            let commit = put(Record::new("thing", "innocent", String::new()))
                .and(write)
                .noting(event("must not stay"));
            let error = memory.commit(commit).unwrap_err();
            assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
        }
        assert_eq!(memory.record("thing", "a").unwrap().unwrap().body, "2");
        assert_eq!(memory.record("thing", "innocent").unwrap(), None);
        assert_eq!(memory.audit(None).unwrap(), []);
    });
}

#[test]
fn changes_and_their_events_happen_together() {
    every_memory(|memory| {
        let commit = put(Record::new("thing", "a", "1".to_owned()))
            .and(Write::Put(Record::new("thing", "b", "1".to_owned())))
            .noting(event("first"))
            .noting(event("second"));
        memory.commit(commit).unwrap();
        let events = memory.audit(None).unwrap();
        assert_eq!(events.iter().map(|e| e.details.as_str()).collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(events[0].origin, "192.0.2.7 by the api");
        assert_eq!(verify_audit(&events), Ok(()));
        assert_eq!(memory.audit_after(1, 10).unwrap(), events[1..]);
        assert_eq!(memory.audit_length().unwrap(), 2);
    });
}

#[test]
fn a_deleted_record_can_be_made_anew() {
    every_memory(|memory| {
        for _ in 0..2 {
            memory.commit(put(Record::new("thing", "a", String::new()))).unwrap();
            let read = memory.record("thing", "a").unwrap().unwrap();
            assert_eq!(read.version, 1);
            memory.commit(Commit::of(Write::Delete(read))).unwrap();
            assert_eq!(memory.record("thing", "a").unwrap(), None);
        }
    });
}

#[test]
fn records_are_listed_by_owner_in_the_order_of_their_ids_page_by_page() {
    every_memory(|memory| {
        for (id, owner) in [("c", "x"), ("a", "x"), ("B", "x"), ("b", "y"), ("ä", "x")] {
            memory.commit(put(Record::new("thing", id, String::new()).owned_by(owner))).unwrap();
        }
        memory.commit(put(Record::new("other", "a", String::new()).owned_by("x"))).unwrap();
        let ids = |owner, after, limit| -> Vec<String> {
            memory.records("thing", owner, after, limit).unwrap().into_iter().map(|r| r.id).collect()
        };
        // The order is that of the octets, whatever a database's locale says.
        assert_eq!(ids(None, None, 100), ["B", "a", "b", "c", "ä"]);
        assert_eq!(ids(Some("x"), None, 2), ["B", "a"]);
        assert_eq!(ids(Some("x"), Some("a"), 2), ["c", "ä"]);
        assert_eq!(ids(Some("z"), None, 2), Vec::<String>::new());
        assert_eq!(memory.count_records("thing", "x").unwrap(), 4);
    });
}

#[test]
fn expired_records_are_pruned_and_others_stay() {
    every_memory(|memory| {
        for (id, expires) in [
            ("older", Some(testkit::days_from_now(-2))),
            ("old", Some(testkit::days_from_now(-1))),
            ("oldest", Some(testkit::days_from_now(-3))),
            ("new", Some(testkit::now())),
            ("ever", None),
        ] {
            memory.commit(put(Record { expires, ..Record::new("thing", id, String::new()) })).unwrap();
        }
        assert_eq!(memory.prune_records(testkit::now(), 2).unwrap(), 2, "no more at a time than was said");
        let left: Vec<String> =
            memory.records("thing", None, None, 9).unwrap().into_iter().map(|record| record.id).collect();
        assert_eq!(left, ["ever", "new", "old"], "the first to expire went first");
        assert_eq!(memory.prune_records(testkit::now(), 2).unwrap(), 1);
        assert_eq!(memory.prune_records(testkit::now(), 2).unwrap(), 0);
        assert_eq!(memory.record("thing", "old").unwrap(), None);
        assert!(memory.record("thing", "new").unwrap().is_some());
    });
}

#[test]
fn of_many_who_change_one_version_one_wins() {
    every_memory(|memory| {
        memory.commit(put(Record::new("counter", "c", "0".to_owned()))).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let memory = Arc::clone(&memory);
                scope.spawn(move || {
                    let mut done = 0;
                    while done < 10 {
                        let read = memory.record("counter", "c").unwrap().unwrap();
                        let next = read.body.parse::<u32>().unwrap() + 1;
                        match memory.commit(put(Record { body: next.to_string(), ..read })) {
                            Ok(()) => done += 1,
                            Err(StoreError::Conflict { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        let read = memory.record("counter", "c").unwrap().unwrap();
        assert_eq!((read.body.as_str(), read.version), ("80", 81));
    });
}

#[test]
fn a_one_time_thing_is_used_once_however_many_try() {
    every_memory(|memory| {
        memory.commit(put(Record::new("nonce", "n", String::new()))).unwrap();
        let nonce = memory.record("nonce", "n").unwrap().unwrap();
        let used: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| memory.commit(Commit::of(Write::Delete(nonce.clone()))).is_ok()))
                .collect();
            tries.into_iter().map(|t| usize::from(t.join().unwrap())).sum()
        });
        assert_eq!(used, 1);
    });
}
