//! What people and programs are told.

use std::path::{Path, PathBuf};

use super::super::nss::Owner;
use super::super::{NssStore, Outcome, Report, Status, Step, Store, Verdict, json, render};

fn report(verdict: Verdict, steps: Vec<Step>) -> Report {
    let owner = Owner::Firefox { browser: "Firefox", profile: "default".to_owned() };
    let directory = PathBuf::from("/home/user/.mozilla/firefox/x.default");
    Report { store: Store::Nss(NssStore { directory, owner }), verdict, steps }
}

#[test]
fn every_verdict_has_its_own_word_and_only_failures_fail() {
    let reason = || "because".to_owned();
    let could_not = || Outcome::CouldNot { reason: reason(), remedy: None };
    let verdicts = [
        (Verdict::Status(Status::Present), "present", true),
        (Verdict::Status(Status::Absent), "absent", true),
        (Verdict::Status(Status::Untrusted), "untrusted", true),
        (Verdict::Status(Status::Unreadable(reason())), "unreadable", false),
        (Verdict::Installed(Outcome::Done), "installed", true),
        (Verdict::Installed(Outcome::AlreadyThere), "already-there", true),
        (Verdict::Installed(could_not()), "could-not", false),
        (Verdict::Uninstalled(Outcome::Done), "removed", true),
        (Verdict::Uninstalled(Outcome::NotThere), "not-there", true),
        (Verdict::Uninstalled(could_not()), "could-not", false),
    ];
    for (verdict, word, succeeded) in verdicts {
        let report = report(verdict, vec![]);
        assert_eq!(report.succeeded(), succeeded, "{word}");
        assert_eq!(json(&[report])[0]["result"], word);
    }
}

#[test]
fn line_names_the_store_with_the_home_shortened_and_notes_below() {
    let steps = vec![Step::Ran("certutil -A".to_owned()), Step::Note("restart it".to_owned())];
    let report = [report(Verdict::Installed(Outcome::Done), steps)];
    let lines = |verbose| -> Vec<String> {
        render(&report, Path::new("/home/user"), verbose).iter().map(ToString::to_string).collect()
    };
    let first = "✓ installed        Firefox, profile default  ~/.mozilla/firefox/x.default";
    assert_eq!(lines(false), [first, "    restart it"]);
    assert_eq!(lines(true), [first, "    ran certutil -A", "    restart it"]);
}

#[test]
fn json_has_the_whole_location_the_reason_and_the_remedy() {
    let outcome = Outcome::CouldNot { reason: "locked".to_owned(), remedy: Some("close it".to_owned()) };
    let value = json(&[report(Verdict::Installed(outcome), vec![Step::Note("n".to_owned())])]);
    let expected = serde_json::json!([{
        "store": "nss",
        "name": "Firefox, profile default",
        "location": "/home/user/.mozilla/firefox/x.default",
        "result": "could-not",
        "reason": "locked",
        "remedy": "close it",
        "steps": ["n"],
    }]);
    assert_eq!(value, expected);
}
