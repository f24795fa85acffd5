//! A memory copied into another one is the same, and goes on.

use std::sync::Arc;

use ca::{Commit, Query, Record, Selector, Store as _, Write, release, revoke};
use pki::crl::RevocationReason;
use store::MemoryStore;
use store::copy::{CopyError, copy};

use crate::worlds::{Memory, authority, every_memory, issue};

#[test]
fn a_copy_holds_everything_ends_with_the_same_hash_and_goes_on_from_there() {
    let from: Memory = Arc::new(MemoryStore::new());
    let origin = authority(&from);
    for label in ["alice", "bob", "carol", "dora"] {
        issue(&origin, label);
    }
    let take = |label: &str, reason, days| {
        revoke(&from, &Selector::parse(label), reason, "warden", testkit::days_from_now(days)).unwrap();
    };
    take("alice", RevocationReason::KeyCompromise, 1);
    take("bob", RevocationReason::CertificateHold, 1);
    release(&from, &Selector::parse("bob"), "warden", testkit::days_from_now(2)).unwrap();
    take("carol", RevocationReason::CertificateHold, 1);
    release(&from, &Selector::parse("carol"), "warden", testkit::days_from_now(2)).unwrap();
    take("carol", RevocationReason::Superseded, 3);
    for _ in 0..3 {
        from.begin_crl(testkit::days_from_now(4)).unwrap();
    }
    let record = Record::new("thing", "ä", "{\"x\":1}".to_owned()).owned_by("me").until(testkit::now());
    from.commit(Commit::of(Write::Put(record))).unwrap();
    let seen = crate::observed::seen("alice", testkit::now());
    from.observe(seen, testkit::now()).unwrap();
    every_memory(|to| {
        let copied = copy(&from, &to).unwrap();
        assert_eq!((copied.certificates, copied.records), (4, 1));
        assert_eq!(to.audit(None).unwrap(), from.audit(None).unwrap());
        let all = |memory: &Memory| memory.list(&Query::default(), testkit::now()).unwrap().entries;
        assert_eq!(all(&to), all(&from));
        assert_eq!(to.authority().unwrap(), from.authority().unwrap());
        assert_eq!(to.record("thing", "ä").unwrap(), from.record("thing", "ä").unwrap());
        assert_eq!(crate::observed::all(&to), crate::observed::all(&from));
        // List numbers go on, and so does the trail.
        let last = from.list_number().unwrap();
        assert_eq!(to.begin_crl(testkit::days_from_now(4)).unwrap().0, last + 1);
        let root = |memory: &Memory| {
            let size = memory.log_size().unwrap();
            ca::log::root(size, |level, start, count| memory.log_hashes(level, start, count)).unwrap()
        };
        assert_eq!((to.log_size().unwrap(), root(&to)), (6, root(&from)));
        assert!(matches!(copy(&from, &to), Err(CopyError::NotEmpty)));
    });
}
