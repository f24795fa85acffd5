//! The audit trail in the database cannot be rewritten by accident, and a rewriting on purpose shows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ca::{Selector, Store as _, verify_audit};
use pki::crl::RevocationReason;
use rusqlite::Connection;

#[test]
fn every_deed_is_on_record_with_who_what_and_when() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let alice = support::issue(&authority, "alice").certificate;
    let selector = Selector::Serial(alice.serial().to_vec());
    let later = testkit::days_from_now(1);
    ca::revoke(authority.store(), &selector, RevocationReason::KeyCompromise, "warden", later).unwrap();
    let events = authority.store().audit(None).unwrap();
    let told: Vec<_> = events.iter().map(|e| (e.actor.as_str(), e.action.as_str(), e.at)).collect();
    let now = testkit::now();
    let founded = [("founder", "create", now), ("founder", "certify", now), ("founder", "certify", now)];
    assert_eq!(told[..3], founded);
    assert_eq!(told[3..], [("tester", "issue", now), ("warden", "revoke", later)]);
    verify_audit(&events).unwrap();
    let of_alice = authority.store().audit(Some(alice.serial())).unwrap();
    assert_eq!(of_alice, events[3..], "the events of one certificate");
}

#[test]
fn an_event_is_neither_changed_nor_taken_out_by_sql() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    support::issue(&authority, "alice");
    let other = Connection::open(support::database(home.path())).unwrap();
    for sql in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit WHERE sequence = 1"] {
        let error = other.execute(sql, []).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
    // Who takes the guard away first is found by the chain.
    other
        .execute_batch(
            "DROP TRIGGER audit_is_not_changed; UPDATE audit SET actor = 'nobody' WHERE sequence = 2;",
        )
        .unwrap();
    assert_eq!(verify_audit(&authority.store().audit(None).unwrap()).unwrap_err().sequence, 2);
}
