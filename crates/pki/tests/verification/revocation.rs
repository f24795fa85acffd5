//! Revocation lists.

use pki::oid;
use pki::verify::ReasonCode;
use testkit::{RawCertificate, TestCa, days_from_now, now};

use crate::common::check;

#[test]
fn a_revoked_client_is_refused_with_date_reason_and_issuer() {
    let ca = TestCa::new();
    let (alice, bob) = (ca.issue_client("alice"), ca.issue_client("bob"));
    let crl = ca.current_crl(&[&alice.certificate]);
    let refused = check(&alice, &[ca.root()]).crl(&crl);
    assert_eq!(refused.codes(), [ReasonCode::CertificateRevoked]);
    assert_eq!(
        refused.message(),
        "'alice' was revoked on 2026-06-14T12:00:00Z (keyCompromise) by 'Test Issuing CA'"
    );
    assert_eq!(check(&bob, &[ca.root()]).crl(&crl).codes(), []);
    assert_eq!(check(&alice, &[ca.root()]).codes(), [], "without a list nobody knows");
}

#[test]
fn a_revoked_ca_takes_everything_below_it_along() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let crl = ca.root_crl(&[ca.issuing().certificate.serial()], days_from_now(-1), days_from_now(30));
    let refused = check(&alice, &[ca.root()]).crl(&crl);
    assert_eq!(refused.codes(), [ReasonCode::CertificateRevoked]);
    assert_eq!(refused.verdict().unwrap_err().first().depth, 1);
}

#[test]
fn a_list_past_its_next_update_refuses_and_says_how_late_it_is() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let stale = ca.crl(&[], days_from_now(-8), days_from_now(-3));
    let refused = check(&alice, &[ca.root()]).crl(&stale);
    assert_eq!(refused.codes(), [ReasonCode::CrlExpired]);
    assert!(refused.message().contains("2026-06-12T12:00:00Z (3 days before)"), "{}", refused.message());
    let current = ca.current_crl(&[]);
    assert_eq!(check(&alice, &[ca.root()]).crl(&stale).crl(&current).codes(), [], "a newer one is at hand");
}

#[test]
fn a_list_is_good_through_the_second_of_its_next_update() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let crl = ca.crl(&[], days_from_now(-1), now());
    assert_eq!(check(&alice, &[ca.root()]).crl(&crl).codes(), []);
    let late = now() + jiff::SignedDuration::from_secs(1);
    assert_eq!(check(&alice, &[ca.root()]).crl(&crl).at(late).codes(), [ReasonCode::CrlExpired]);
}

#[test]
fn an_entry_stays_true_when_its_list_has_become_old() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let stale = ca.crl(&[alice.certificate.serial()], days_from_now(-8), days_from_now(-3));
    assert_eq!(check(&alice, &[ca.root()]).crl(&stale).codes(), [ReasonCode::CertificateRevoked]);
}

#[test]
fn a_list_of_another_key_under_the_same_name_is_no_list() {
    let (ours, forger) = (TestCa::new(), TestCa::new());
    let alice = ours.issue_client("alice");
    let forged = forger.crl(&[alice.certificate.serial()], days_from_now(-1), days_from_now(6));
    assert!(forged.issuer().matches(alice.certificate.issuer()), "the name is the same");
    assert_eq!(check(&alice, &[ours.root()]).crl(&forged).codes(), []);
    let required = check(&alice, &[ours.root()]).crl(&forged).crls_required();
    assert_eq!(required.codes(), [ReasonCode::CrlMissing, ReasonCode::CrlMissing]);
}

#[test]
fn where_lists_are_required_each_ca_under_the_anchor_needs_one() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let (issuing, root) = (ca.current_crl(&[]), ca.root_crl(&[], days_from_now(-1), days_from_now(30)));
    let codes = |check: crate::common::Check<'_>| check.crls_required().codes();
    let both = [ReasonCode::CrlMissing, ReasonCode::CrlMissing];
    assert_eq!(codes(check(&alice, &[ca.root()])), both);
    assert_eq!(codes(check(&alice, &[ca.root()]).crl(&issuing)), [ReasonCode::CrlMissing]);
    assert_eq!(codes(check(&alice, &[ca.root()]).crl(&issuing).crl(&root)), []);
    let message = check(&alice, &[ca.root()]).crl(&issuing).crls_required().message();
    assert!(message.contains("'Test Root CA'"), "{message}");
}

#[test]
fn a_ca_without_crl_sign_signs_no_list() {
    let root = RawCertificate::ca("Test Issuing CA").key_usage(&[5]).self_signed();
    let alice = RawCertificate::client("alice").issued_by(&root);
    // The list is signed with the right key, under a certificate that may: only this one lacks the right.
    let may = RawCertificate::ca("Test Issuing CA").key(&root.key).self_signed();
    let issuer = pki::issuer::Issuer::new(may.certificate, Vec::new()).unwrap();
    let entry = pki::crl::RevokedEntry {
        serial: alice.certificate.serial().to_vec(),
        revoked_at: days_from_now(-1),
        reason: pki::crl::RevocationReason::Superseded,
    };
    let der = issuer
        .prepare_crl(1, days_from_now(-1), days_from_now(6), &[entry])
        .unwrap()
        .sign(&root.key)
        .unwrap();
    let crl = pki::crl::CertificateRevocationList::from_der(&der).unwrap();
    assert_eq!(check(&alice, &[&root]).crl(&crl).codes(), []);
    assert_eq!(check(&alice, &[&root]).crl(&crl).crls_required().codes(), [ReasonCode::CrlMissing]);
}

#[test]
fn the_anchor_needs_no_list() {
    let own = RawCertificate::client("alice").self_signed();
    assert_eq!(check(&own, &[&own]).crls_required().codes(), []);
    let root = RawCertificate::ca("Root").self_signed();
    let bare = RawCertificate::client("alice").without(oid::EXTENDED_KEY_USAGE).issued_by(&root);
    assert_eq!(check(&bare, &[&root]).crls_required().codes(), [ReasonCode::CrlMissing]);
}
