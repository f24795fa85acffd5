//! A process that is killed after each step of issuing in turn: what it leaves behind can be read back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ca::{Query, Step, Store as _, verify_audit};
use pki::Certificate;
use support::signer::RemoteKey;
use testkit::TestKey;

const HOME: &str = "COUNTERSIGN_TEST_CRASH_HOME";
const STEP: &str = "COUNTERSIGN_TEST_CRASH_STEP";
const SIGABRT: i32 = 6;

#[test]
fn an_issuance_killed_after_any_step_leaves_no_certificate_that_is_not_on_record() {
    if let Some(home) = std::env::var_os(HOME) {
        let step: usize = std::env::var(STEP).unwrap().parse().unwrap();
        die_after(Step::ALL[step], &PathBuf::from(home));
    }
    for (index, step) in Step::ALL.into_iter().enumerate() {
        let home = tempfile::tempdir().unwrap();
        let (authority, key) = support::create(home.path());
        support::issue(&authority, "before");
        drop(authority);
        support::signer::serve(home.path(), &key);

        let output = Command::new(std::env::current_exe().unwrap())
            .arg("--exact")
            .arg("an_issuance_killed_after_any_step_leaves_no_certificate_that_is_not_on_record")
            .env(HOME, home.path())
            .env(STEP, index.to_string())
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(SIGABRT), "{step:?}: {output:?}");
        check_what_is_left(step, home.path(), &key);
    }
}

/// Runs in a process of its own, which ends here without any cleaning up.
fn die_after(last: Step, home: &Path) {
    let authority = support::open(home, RemoteKey::of(home)).observed_by(move |step| {
        if step == last {
            std::process::abort();
        }
    });
    support::issue(&authority, "victim");
    unreachable!("issuing went past {last:?}");
}

fn check_what_is_left(step: Step, home: &Path, key: &TestKey) {
    let authority = support::open(home, key.clone());
    let store = authority.store();
    let position = Step::ALL.iter().position(|s| *s == step).unwrap();
    let recorded = Step::ALL.iter().position(|s| *s == Step::IntentRecorded).unwrap();
    let stored = step == Step::Stored;

    let labels = |page: ca::Page| page.entries.into_iter().map(|e| e.label).collect::<Vec<_>>();
    let before = labels(store.list(&Query::default(), testkit::now()).unwrap());
    let expected: &[&str] = if stored { &["victim", "before"] } else { &["before"] };
    assert_eq!(before, expected, "{step:?}");
    for entry in store.list(&Query::default(), testkit::now()).unwrap().entries {
        let certificate = Certificate::from_der(&entry.der).unwrap();
        assert_eq!(certificate.serial(), entry.serial, "{step:?}");
    }

    // From the fourth step to the last but one the intention is on record, with what was to be signed.
    let unfinished = store.unfinished().unwrap();
    if position >= recorded && !stored {
        let [ca::Unfinished { intent, reason: None }] = unfinished.as_slice() else {
            panic!("{step:?}: {unfinished:?}")
        };
        assert_eq!((intent.label.as_str(), intent.requested_by.as_str()), ("victim", "tester"));
        let hex = pki::hex(&intent.tbs);
        assert!(hex.contains(&pki::hex(&intent.serial)), "{step:?}: the bytes hold the serial number");
    } else {
        assert!(unfinished.is_empty(), "{step:?}: {unfinished:?}");
    }

    // The audit trail is whole and tells of what was stored, no more.
    let events = store.audit(None).unwrap();
    verify_audit(&events).unwrap();
    let issued = events.iter().filter(|event| event.action == "issue").count();
    assert_eq!(issued, expected.len(), "{step:?}");

    // And the next one works.
    let next = support::issue(&authority, "after");
    let found = store.find(&ca::Selector::Serial(next.certificate.serial().to_vec())).unwrap();
    assert_eq!(found.len(), 1, "{step:?}");
    verify_audit(&store.audit(None).unwrap()).unwrap();
    assert_eq!(store.unfinished().unwrap(), unfinished, "{step:?}: the record of the crash stays");
}
