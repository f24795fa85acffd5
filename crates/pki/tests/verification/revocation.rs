//! Revocation lists.

use pki::crl::{CertificateRevocationList, CrlError, IssuingDistributionPoint, Scope};
use pki::der::{Writer, tag};
use pki::oid;
use pki::verify::ReasonCode;
use testkit::{RawCertificate, RawList, TestCa, TestKey, days_from_now, now};

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
fn by_best_effort_a_late_list_still_refuses_whom_it_names_and_nobody_else() {
    let ca = TestCa::new();
    let (alice, bob) = (ca.issue_client("alice"), ca.issue_client("bob"));
    let serials = [alice.certificate.serial()];
    let stale = ca.crl(&serials, days_from_now(-8), days_from_now(-3));
    let judged = |who| check(who, &[ca.root()]).crl(&stale).best_effort().codes();
    assert_eq!(judged(&alice), [ReasonCode::CertificateRevoked]);
    assert_eq!(judged(&bob), []);
    assert_eq!(check(&bob, &[ca.root()]).best_effort().codes(), [], "no list at all");
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

/// The DER of cRLDistributionPoints with one URI.
fn points_to(uri: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.nested(tag::SEQUENCE, |w| {
            w.nested(tag::context_constructed(0), |w| {
                w.nested(tag::context_constructed(0), |w| w.primitive(tag::context(6), uri.as_bytes()));
            });
        });
    });
    writer.into_bytes()
}

fn part(uri: Option<&str>, scope: Scope) -> RawList {
    let mut point = IssuingDistributionPoint::at(uri.unwrap_or_default(), scope);
    point.name = point.name.filter(|_| uri.is_some());
    let mut writer = Writer::new();
    point.write(&mut writer);
    let extension = writer.into_bytes();
    let mut reader = pki::der::Reader::new(&extension);
    let mut sequence = reader.nested(tag::SEQUENCE).unwrap();
    assert_eq!(sequence.object_identifier().unwrap(), oid::ISSUING_DISTRIBUTION_POINT);
    assert!(sequence.boolean().unwrap(), "RFC 5280 section 5.2.5: critical");
    let value = sequence.expect(tag::OCTET_STRING).unwrap().content.to_vec();
    RawList::new().replace(oid::ISSUING_DISTRIBUTION_POINT, true, value)
}

#[test]
fn a_part_of_a_list_speaks_for_the_certificates_that_point_to_it_and_for_no_other() {
    let root = RawCertificate::ca("Root").self_signed();
    let here = RawCertificate::client("alice").extension(
        oid::CRL_DISTRIBUTION_POINTS,
        false,
        points_to("http://ca.test/1.crl"),
    );
    let here = here.issued_by(&root);
    let nowhere = RawCertificate::client("bob").issued_by(&root);
    let first = part(Some("http://ca.test/1.crl"), Scope::UserCertificates);
    let second = part(Some("http://ca.test/2.crl"), Scope::UserCertificates);
    let escaped = part(Some("http://ca.test/%31.crl"), Scope::UserCertificates);
    let codes =
        |leaf, list: &RawList| check(leaf, &[&root]).crls_required().raw_crl(&list.signed_by(&root)).codes();
    assert_eq!(codes(&here, &first), []);
    assert_eq!(
        codes(&here, &first.clone().revoke(here.certificate.serial())),
        [ReasonCode::CertificateRevoked]
    );
    assert_eq!(codes(&here, &second), [ReasonCode::CrlUnusable]);
    assert_eq!(codes(&here, &escaped), [ReasonCode::CrlUnusable], "octet by octet");
    assert_eq!(codes(&nowhere, &first), [ReasonCode::CrlUnusable]);
    // Another part that names its serial number says nothing of it.
    let stray = second.revoke(here.certificate.serial()).signed_by(&root);
    assert_eq!(check(&here, &[&root]).raw_crl(&stray).codes(), []);
}

#[test]
fn a_list_of_cas_says_nothing_of_leaves_and_the_other_way_round() {
    let root = RawCertificate::ca("Root").self_signed();
    let ca = RawCertificate::ca("CA").issued_by(&root);
    let leaf = RawCertificate::client("alice").issued_by(&ca);
    let (users, cas) = (part(None, Scope::UserCertificates), part(None, Scope::CaCertificates));
    let attributes = part(None, Scope::AttributeCertificates);
    let codes = |of_ca: &RawList, of_root: &RawList| {
        check(&leaf, &[&root])
            .crls_required()
            .raw_crl(&of_ca.signed_by(&ca))
            .raw_crl(&of_root.signed_by(&root))
            .codes()
    };
    assert_eq!(codes(&users, &cas), []);
    assert_eq!(codes(&cas, &cas), [ReasonCode::CrlUnusable]);
    assert_eq!(codes(&users, &users), [ReasonCode::CrlUnusable]);
    assert_eq!(codes(&attributes, &cas), [ReasonCode::CrlUnusable]);
}

#[test]
fn indirect_and_delta_lists_are_refused_by_name() {
    let root = RawCertificate::ca("Root").self_signed();
    let indirect =
        RawList::new().replace(oid::ISSUING_DISTRIBUTION_POINT, true, vec![0x30, 3, 0x84, 1, 0xff]);
    let delta = RawList::new().replace(oid::DELTA_CRL_INDICATOR, true, vec![2, 1, 1]);
    let read = |list: RawList| CertificateRevocationList::from_der(&list.signed_by(&root)).unwrap_err();
    assert_eq!(read(indirect), CrlError::Indirect);
    assert_eq!(read(delta), CrlError::Delta);
    assert_eq!(read(RawList::new().revoke(&[7]).revoke(&[7])), CrlError::Duplicate("07".to_owned()));
    assert!(matches!(read(RawList::new().version(Some(2))), CrlError::Rule(_)));
}

#[test]
fn a_list_for_some_reasons_revokes_and_clears_nobody() {
    let root = RawCertificate::ca("Root").self_signed();
    let leaf = RawCertificate::client("alice").issued_by(&root);
    // onlySomeReasons: keyCompromise.
    let some = RawList::new().replace(oid::ISSUING_DISTRIBUTION_POINT, true, vec![0x30, 4, 0x83, 2, 6, 0x40]);
    let codes =
        |list: &RawList| check(&leaf, &[&root]).crls_required().raw_crl(&list.signed_by(&root)).codes();
    assert_eq!(codes(&some), [ReasonCode::CrlUnusable]);
    assert_eq!(codes(&some.revoke(leaf.certificate.serial())), [ReasonCode::CertificateRevoked]);
}

#[test]
fn a_list_signed_with_another_key_of_its_ca_is_believed_where_the_ca_vouches_for_the_key() {
    let root = RawCertificate::ca("Root").self_signed();
    let leaf = RawCertificate::client("alice").issued_by(&root);
    let key = TestKey::p256();
    let signer = RawCertificate::ca("Root").key(&key).basic_constraints(false, None).key_usage(&[6]);
    let vouched = signer.issued_by(&root);
    let codes = |signer: &testkit::TestIdentity, lists: &[Vec<u8>]| {
        let mut check = check(&leaf, &[&root]).intermediates(&[signer]).crls_required();
        for list in lists {
            check = check.raw_crl(list);
        }
        check.codes()
    };
    assert_eq!(codes(&vouched, &[RawList::new().signed_by(&vouched)]), []);
    let revoking = RawList::new().revoke(leaf.certificate.serial()).signed_by(&vouched);
    assert_eq!(codes(&vouched, &[revoking]), [ReasonCode::CertificateRevoked]);
    let self_made = signer.self_signed();
    assert_eq!(codes(&self_made, &[RawList::new().signed_by(&self_made)]), [ReasonCode::CrlMissing]);
    let may_not = signer.clone().key_usage(&[0]).issued_by(&root);
    assert_eq!(codes(&may_not, &[RawList::new().signed_by(&may_not)]), [ReasonCode::CrlMissing]);
    let dead = signer.valid(days_from_now(-9), days_from_now(-3)).issued_by(&root);
    assert_eq!(codes(&dead, &[RawList::new().signed_by(&dead)]), [ReasonCode::CrlMissing]);
    // A signer that its CA revoked signs no more.
    let denied = RawList::new().revoke(vouched.certificate.serial()).signed_by(&root);
    let by_revoked = RawList::new().revoke(leaf.certificate.serial()).signed_by(&vouched);
    assert_eq!(codes(&vouched, &[denied, by_revoked]), []);
}

#[test]
fn a_list_from_the_future_and_one_without_an_end_prove_nothing() {
    let root = RawCertificate::ca("Root").self_signed();
    let leaf = RawCertificate::client("alice").issued_by(&root);
    let early = RawList::new().valid(days_from_now(1), Some(days_from_now(9))).signed_by(&root);
    let refused = check(&leaf, &[&root]).raw_crl(&early);
    assert_eq!(refused.codes(), [ReasonCode::CrlExpired]);
    assert!(refused.message().contains("compare the clocks"), "{}", refused.message());
    let endless = RawList::new().valid(days_from_now(-1), None).signed_by(&root);
    assert_eq!(check(&leaf, &[&root]).raw_crl(&endless).codes(), []);
    assert_eq!(check(&leaf, &[&root]).raw_crl(&endless).crls_required().codes(), [ReasonCode::CrlUnusable]);
    let skewed = RawList::new().valid(now() + jiff::SignedDuration::from_mins(4), Some(days_from_now(9)));
    assert_eq!(check(&leaf, &[&root]).raw_crl(&skewed.signed_by(&root)).crls_required().codes(), []);
}
