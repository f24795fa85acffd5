//! Revoking, and the list that tells of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ca::{RevokeError, Selector};
use jiff::{SignedDuration, Timestamp};
use pki::Certificate;
use pki::crl::{CertificateRevocationList, RevocationReason};
use support::TestAuthority;

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
fn a_revoked_certificate_is_on_the_next_list_with_date_and_reason() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let (alice, bob) =
        (support::issue(&authority, "alice").certificate, support::issue(&authority, "bob").certificate);
    assert!(list(&authority, testkit::now()).is_empty());
    let at = testkit::days_from_now(1);
    revoke(&authority, &alice, at).unwrap();
    let list = list(&authority, at);
    let entry = list.revocation(alice.serial()).unwrap();
    assert_eq!((entry.revoked_at, entry.reason), (at, RevocationReason::KeyCompromise));
    assert!(list.revocation(bob.serial()).is_none());
}

#[test]
fn list_numbers_only_grow_also_across_openings() {
    let home = tempfile::tempdir().unwrap();
    let (authority, key) = support::create(home.path());
    let number = |authority: &TestAuthority| list(authority, testkit::now()).number().unwrap().to_vec();
    let mut numbers = vec![number(&authority), number(&authority)];
    drop(authority);
    numbers.push(number(&support::open(home.path(), key)));
    assert!(numbers.is_sorted_by(|a, b| (a.len(), a) < (b.len(), b)), "{numbers:?}");
}

#[test]
fn revoking_twice_says_when_it_was_done_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (authority, _) = support::create(home.path());
    let alice = support::issue(&authority, "alice").certificate;
    revoke(&authority, &alice, testkit::now()).unwrap();
    let error = revoke(&authority, &alice, testkit::days_from_now(1)).unwrap_err();
    assert!(matches!(error, RevokeError::AlreadyRevoked { at, .. } if at == testkit::now()), "{error}");
    let entry = list(&authority, testkit::days_from_now(1)).revocation(alice.serial()).unwrap();
    assert_eq!(entry.revoked_at, testkit::now());
    let unknown = Selector::parse("mallory");
    let error = ca::revoke(authority.store(), &unknown, RevocationReason::Unspecified, "w", testkit::now());
    assert!(matches!(error, Err(RevokeError::NotFound(_))));
}
