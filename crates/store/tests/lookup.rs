//! Finding certificates: by part of a name, by serial number, by state.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ca::{Query, Selector, StateFilter, Store as _};
use pki::Profile;
use pki::crl::RevocationReason;
use pki::name::SubjectNames;
use support::TestAuthority;

fn found(authority: &TestAuthority, query: &Query) -> Vec<String> {
    let page = authority.store().list(query, testkit::now()).unwrap();
    page.entries.into_iter().map(|entry| entry.label).collect()
}

fn search(authority: &TestAuthority, text: &str) -> Vec<String> {
    found(authority, &Query { search: Some(text.to_owned()), ..Query::default() })
}

#[test]
fn a_search_finds_parts_of_every_name_in_any_case() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let mut web = support::client("web");
    web.profile = Profile::Server;
    web.names = SubjectNames::for_server(&["www.shop.test", "10.20.30.40", "xn--bcher-kva.test"]).unwrap();
    authority.issue(web, testkit::now()).unwrap();
    for label in ["Alice Example", "bob@mail.test", "spiffe://acme.test/billing", "O'Neil \"the\" 100%_*"] {
        support::issue(&authority, label);
    }
    assert_eq!(search(&authority, "lice ex"), ["Alice Example"]);
    assert_eq!(search(&authority, "MAIL.TEST"), ["bob@mail.test"]);
    assert_eq!(search(&authority, "acme.test/bill"), ["spiffe://acme.test/billing"]);
    assert_eq!(search(&authority, "shop"), ["web"], "a subjectAltName");
    assert_eq!(search(&authority, "20.30"), ["web"], "an address");
    assert_eq!(search(&authority, "al"), ["Alice Example"], "two characters: the start of a label");
    for quoted in ["O'Neil", "\"the\"", "100%", "%_*", "eil \"th"] {
        assert_eq!(search(&authority, quoted), ["O'Neil \"the\" 100%_*"], "{quoted}");
    }
    for none in ["nobody", "AND", "\"", "%%%", "* OR *", "'; DROP TABLE certificate; --"] {
        assert!(search(&authority, none).is_empty(), "{none}");
    }
    let serial = &authority.store().find(&Selector::parse("web")).unwrap()[0].serial;
    let hex = pki::hex(serial);
    assert_eq!(search(&authority, &hex[..10]), ["web"], "the start of its serial number");
    assert_eq!(found(&authority, &Query { profile: Some(Profile::Server), ..Query::default() }), ["web"]);
}

/// More than wait to be indexed at any time: the old ones are in the index, the newest are not.
#[test]
fn a_search_is_right_over_what_is_indexed_and_what_waits_for_it() {
    const COUNT: u16 = 1300;
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let model = support::issue(&authority, "model").certificate;
    let now = testkit::now();
    for number in 0..COUNT {
        let serial = [&[1, 2], &[0; 12][..], &number.to_be_bytes()].concat();
        let store = authority.store();
        let intent = ca::Intent {
            serial: serial.clone(),
            profile: Profile::Client,
            label: format!("Dévice-{number:04}"),
            tbs: Vec::new(),
            not_before: now,
            not_after: testkit::days_from_now(if number % 100 == 7 { 10 } else { 80 }),
            requested_by: "tester".to_owned(),
            requested_at: now,
            replaces: None,
            location: None,
            line: 1,
        };
        let names = intent.label.clone();
        store.record_intent(intent).unwrap();
        let event = ca::NewEvent {
            at: now,
            actor: "tester".to_owned(),
            origin: String::new(),
            action: "issue",
            serial: Some(serial.clone()),
            details: String::new(),
        };
        let der = model.der().to_vec();
        store.complete(ca::Completion { serial, der, names, issued_at: now }, event).unwrap();
    }
    let all: Vec<String> = (0..COUNT).rev().map(|number| format!("Dévice-{number:04}")).collect();
    for text in ["vice-", "DÉVICE-", "dévice"] {
        assert_eq!(search(&authority, text), all, "{text}: each once, newest first");
    }
    for number in [0, 511, 512, 1023, 1024, 1299] {
        assert_eq!(search(&authority, &format!("vice-{number:04}")), [format!("Dévice-{number:04}")]);
    }
    for (limit, more) in [(5, true), (1299, true), (1300, false)] {
        let query = Query { search: Some("vice".to_owned()), limit, ..Query::default() };
        let page = authority.store().list(&query, now).unwrap();
        let labels: Vec<String> = page.entries.into_iter().map(|entry| entry.label).collect();
        assert_eq!((labels.as_slice(), page.more), (&all[..limit], more));
    }
    let soon = StateFilter::ExpiringBefore(testkit::days_from_now(20));
    let query = Query { search: Some("vice-".to_owned()), state: soon, ..Query::default() };
    let expected: Vec<String> = (0..13).map(|n| format!("Dévice-{:04}", n * 100 + 7)).collect();
    assert_eq!(found(&authority, &query), expected, "the first to end first");
}

#[test]
fn a_list_is_newest_first_and_says_when_there_is_more() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    for label in ["client-1", "client-2", "client-3"] {
        support::issue(&authority, label);
    }
    for (limit, expected, more) in [(0, 3, false), (2, 2, true), (3, 3, false), (9, 3, false)] {
        for text in [None, Some("client".to_owned())] {
            let query = Query { limit, search: text, ..Query::default() };
            let page = authority.store().list(&query, testkit::now()).unwrap();
            let labels: Vec<_> = page.entries.iter().map(|e| e.label.as_str()).collect();
            assert_eq!(labels, ["client-3", "client-2", "client-1"][..expected], "{limit}");
            assert_eq!(page.more, more, "{limit}");
        }
    }
}

#[test]
fn each_certificate_is_in_the_state_that_its_dates_and_revocation_give_it() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let day = jiff::SignedDuration::from_hours(24);
    for (label, lifetime) in [("short", day), ("long", day * 60), ("gone", day * 60)] {
        let request = ca::IssueRequest { lifetime: Some(lifetime), ..support::client(label) };
        authority.issue(request, testkit::now()).unwrap();
    }
    let reason = RevocationReason::Superseded;
    ca::revoke(authority.store(), &Selector::parse("gone"), reason, "warden", testkit::now()).unwrap();
    let at = testkit::days_from_now(2);
    let state = |state| {
        let page = authority.store().list(&Query { state, ..Query::default() }, at).unwrap();
        for entry in &page.entries {
            assert!(!entry.state(at).is_empty());
        }
        page.entries.into_iter().map(|e| (e.label.clone(), e.state(at))).collect::<Vec<_>>()
    };
    let pair = |label: &str, word| (label.to_owned(), word);
    assert_eq!(state(StateFilter::Good), [pair("long", "good")]);
    assert_eq!(state(StateFilter::Expired), [pair("short", "expired")]);
    assert_eq!(state(StateFilter::Revoked), [pair("gone", "revoked")]);
    assert_eq!(state(StateFilter::ExpiringBefore(testkit::days_from_now(70))), [pair("long", "good")]);
    assert!(state(StateFilter::ExpiringBefore(testkit::days_from_now(30))).is_empty());
    assert_eq!(state(StateFilter::Any).len(), 3);
}

#[test]
fn a_selector_finds_by_name_by_serial_and_by_the_start_of_one() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let first = support::issue(&authority, "alice").certificate;
    let second = support::issue(&authority, "alice").certificate;
    let serials = |selector: &Selector| {
        let entries = authority.store().find(selector).unwrap();
        entries.into_iter().map(|entry| entry.serial).collect::<Vec<_>>()
    };
    assert_eq!(serials(&Selector::parse("alice")), [second.serial(), first.serial()], "newest first");
    assert_eq!(serials(&Selector::Serial(first.serial().to_vec())), [first.serial()]);
    assert_eq!(serials(&Selector::parse(&first.serial_hex())), [first.serial()]);
    assert_eq!(serials(&Selector::parse(&first.serial_hex()[..16])), [first.serial()]);
    assert!(serials(&Selector::parse("alic")).is_empty());
}
