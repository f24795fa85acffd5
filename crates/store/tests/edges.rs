//! Rules at their edges: the last second of a validity, the list after the end, two lists at once, a file of another
//! program.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use ca::{IssueRequest, Query, RevokeError, Selector, Store as _, StoreError};
use jiff::{SignedDuration, Timestamp};
use pki::crl::{CertificateRevocationList, RevocationReason};
use pki::{Certificate, Profile};
use rusqlite::Connection;
use store::SqliteStore;
use support::TestAuthority;

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn lifetime(authority: &TestAuthority, profile: Profile, wish: Option<SignedDuration>) -> SignedDuration {
    let mut request = IssueRequest { lifetime: wish, ..support::client("www.shop.test") };
    request.profile = profile;
    let issued = authority.issue(request, testkit::now()).unwrap();
    // Both ends belong to the validity (RFC 5280 section 4.1.2.5).
    issued.certificate.not_after().duration_since(issued.certificate.not_before())
        + SignedDuration::from_secs(1)
}

fn assert_nothing_on_record(authority: &TestAuthority) {
    assert!(authority.store().unfinished().unwrap().is_empty(), "an intention was recorded");
    assert!(authority.store().list(&Query::default(), testkit::now()).unwrap().entries.is_empty());
    assert_eq!(
        authority.store().audit(None).unwrap().len(),
        3,
        "only the founding is on record, and the two CAs"
    );
}

fn list(authority: &TestAuthority, at: Timestamp) -> CertificateRevocationList {
    let der = authority.crl(at, SignedDuration::from_hours(24 * 7)).unwrap();
    let list = CertificateRevocationList::from_der(&der).unwrap();
    list.verify_signature(authority.issuer().certificate().public_key().unwrap()).unwrap();
    list
}

fn revoke(authority: &TestAuthority, certificate: &Certificate, at: Timestamp) -> Result<(), RevokeError> {
    let selector = Selector::Serial(certificate.serial().to_vec());
    ca::revoke(authority.store(), &selector, RevocationReason::KeyCompromise, "warden", at).map(drop)
}

#[test]
fn no_server_certificate_lives_longer_than_apple_accepts() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let whole = lifetime(&authority, Profile::Server, Some(days(825)));
    assert!(whole <= days(825), "{} seconds are more than 825 days", whole.as_secs());
}

#[test]
fn a_lifetime_of_nothing_or_less_is_refused_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    for seconds in [0, -1, -60, -3600] {
        let wish = Some(SignedDuration::from_secs(seconds));
        let request = IssueRequest { lifetime: wish, ..support::client("alice") };
        assert!(authority.issue(request, testkit::now()).is_err(), "{seconds} seconds");
        assert_nothing_on_record(&authority);
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let path = support::database(home.path());
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 3;")
        .unwrap();
    let before = fs::read(&path).unwrap();
    let error = SqliteStore::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Foreign(_)), "{error}");
    assert!(fs::read(&path).unwrap() == before, "looking at it changed it");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "something was left beside it");
}

#[test]
fn an_entry_stays_until_one_list_was_made_after_its_certificate_ended() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let request =
        ca::IssueRequest { lifetime: Some(SignedDuration::from_hours(24)), ..support::client("alice") };
    let alice = authority.issue(request, testkit::now()).unwrap().certificate;
    revoke(&authority, &alice, testkit::now()).unwrap();
    assert_eq!(list(&authority, testkit::now()).len(), 1);
    // RFC 5280 section 3.3: on one list made after the end, however late that one is.
    assert_eq!(list(&authority, testkit::days_from_now(60)).len(), 1, "the first list after its end");
    assert_eq!(list(&authority, testkit::days_from_now(120)).len(), 0, "long after its end");
}

#[test]
fn a_list_with_a_higher_number_never_says_less() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let certificates: Vec<_> =
        (0..40).map(|n| support::issue(&authority, &format!("client-{n}")).certificate).collect();
    let mut lists: Vec<CertificateRevocationList> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..3)
            .map(|_| {
                let authority = &authority;
                scope.spawn(move || (0..60).map(|_| list(authority, testkit::now())).collect::<Vec<_>>())
            })
            .collect();
        for certificate in &certificates {
            revoke(&authority, certificate, testkit::now()).unwrap();
        }
        makers.into_iter().flat_map(|maker| maker.join().unwrap()).collect()
    });
    let number = |list: &CertificateRevocationList| {
        list.number().unwrap().iter().fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet))
    };
    lists.sort_by_key(number);
    for pair in lists.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        assert!(number(a) < number(b), "two lists have the number {}", number(a));
        assert!(
            a.len() <= b.len(),
            "list {} has {} entries, list {} {}",
            number(a),
            a.len(),
            number(b),
            b.len()
        );
    }
}

#[test]
fn a_certificate_revoked_after_its_end_and_after_a_list_is_still_listed_once() {
    use ca::{NewEvent, RevocationRecord};
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let request = IssueRequest { lifetime: Some(SignedDuration::from_hours(24)), ..support::client("alice") };
    let alice = authority.issue(request, testkit::now()).unwrap().certificate;
    assert_eq!(list(&authority, testkit::days_from_now(2)).len(), 0);
    let at = testkit::days_from_now(3);
    let event = NewEvent {
        at,
        actor: "warden".to_owned(),
        origin: String::new(),
        action: "revoke",
        serial: Some(alice.serial().to_vec()),
        details: String::new(),
    };
    let record = RevocationRecord { at, reason: RevocationReason::KeyCompromise };
    authority.store().revoke(vec![alice.serial().to_vec()], record, vec![event]).unwrap();
    assert_eq!(list(&authority, testkit::days_from_now(4)).len(), 1, "no list has named it yet");
    assert_eq!(list(&authority, testkit::days_from_now(5)).len(), 0);
}
