//! What the authority grants and refuses, with a real store behind it: a refusal leaves nothing on record.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ca::{Authority, IssueError, IssueRequest, Query, Store as _};
use jiff::{SignedDuration, Timestamp};
use pki::Profile;
use pki::key::KeyAlgorithm;
use store::SqliteStore;
use support::TestAuthority;
use testkit::{KeyKind, TestKey};

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn assert_nothing_on_record(authority: &TestAuthority) {
    assert!(authority.store().unfinished().unwrap().is_empty(), "an intention was recorded");
    assert!(authority.store().list(&Query::default(), testkit::now()).unwrap().entries.is_empty());
    assert_eq!(
        authority.store().audit(None).unwrap().len(),
        3,
        "only the founding is on record, and both CAs"
    );
}

#[test]
fn an_authority_is_made_at_any_moment_also_between_two_seconds() {
    let home = tempfile::tempdir().unwrap();
    let store = SqliteStore::create(&support::database(home.path())).unwrap();
    let (root, issuing) = (TestKey::generate(KeyKind::P256), TestKey::generate(KeyKind::P256));
    let now: Timestamp = "2026-06-15T12:00:00.123456789Z".parse().unwrap();
    let authority =
        Authority::create(store, &root, Box::new(issuing), &support::wish(), support::entropy(), now)
            .unwrap();
    authority.issue(support::client("alice"), now).unwrap();
}

#[test]
fn every_key_type_signs_and_is_certified() {
    for kind in KeyKind::ALL {
        let home = tempfile::tempdir().unwrap();
        let store = SqliteStore::create(&support::database(home.path())).unwrap();
        let (root, issuing) = (TestKey::generate(kind), TestKey::generate(kind));
        let (wish, now) = (support::wish(), testkit::now());
        let authority =
            Authority::create(store, &root, Box::new(issuing), &wish, support::entropy(), now).unwrap();
        let issued = support::issue(&authority, "alice");
        assert_eq!(issued.chain.len(), 1, "the issuing CA without the anchor");
        assert_ne!(issued.anchor.public_key().unwrap().algorithm(), KeyAlgorithm::P521);
        assert!(issued.certificate.verify_signature(issued.chain[0].public_key().unwrap()).is_ok());
    }
}

#[test]
fn a_lifetime_beyond_the_profile_is_refused_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let request = IssueRequest {
        lifetime: Some(days(826)),
        profile: Profile::Server,
        ..support::client("www.shop.test")
    };
    let error = authority.issue(request, testkit::now()).unwrap_err();
    assert!(matches!(&error, IssueError::Policy(text) if text.contains("825")), "{error}");
    assert_nothing_on_record(&authority);
}

#[test]
fn the_default_is_cut_to_the_authoritys_end_and_a_wish_beyond_it_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let end = authority.issuer().certificate().not_after();
    let late = end - days(10);
    let request = IssueRequest { lifetime: Some(days(11)), ..support::client("alice") };
    let error = authority.issue(request, late).unwrap_err();
    assert!(error.to_string().contains(&end.to_string()), "{error}");
    assert_nothing_on_record(&authority);
    let issued = authority.issue(support::client("alice"), late).unwrap();
    assert_eq!(issued.certificate.not_after(), end);
}

#[test]
fn a_clock_before_the_authoritys_start_or_after_its_end_issues_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let early = testkit::days_from_now(-1);
    let error = authority.issue(support::client("alice"), early).unwrap_err();
    let start = authority.issuer().certificate().not_before();
    let text = error.to_string();
    assert!(text.contains(&early.to_string()) && text.contains(&start.to_string()), "both times: {text}");
    let error = authority.issue(support::client("alice"), testkit::days_from_now(3660)).unwrap_err();
    assert!(matches!(error, IssueError::AuthorityExpired { .. }), "{error}");
    assert_nothing_on_record(&authority);
}

#[test]
fn a_ca_certificate_is_never_issued_on_request() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    for profile in [Profile::Root, Profile::Issuing] {
        let request = IssueRequest { profile, ..support::client("alice") };
        assert!(matches!(authority.issue(request, testkit::now()), Err(IssueError::Policy(_))));
    }
    assert_nothing_on_record(&authority);
}

#[test]
fn a_failing_random_source_issues_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (authority, key) = support::create(home.path());
    drop(authority);
    let store = SqliteStore::open(&support::database(home.path())).unwrap();
    let dead = Box::new(|_: &mut [u8]| Err("the pool is dry".to_owned()));
    let authority = Authority::open(store, Box::new(key), dead).unwrap();
    let error = authority.issue(support::client("alice"), testkit::now()).unwrap_err();
    assert!(error.to_string().contains("the pool is dry"), "{error}");
    assert_nothing_on_record(&authority);
}
