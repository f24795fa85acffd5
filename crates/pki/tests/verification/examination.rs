//! `examine`: every path, and everything against each.

use pki::oid;
use pki::verify::ReasonCode;
use testkit::{RawCertificate, TestCa, days_from_now};

use crate::common::check;

#[test]
fn every_path_is_told_the_closest_first() {
    let (old, new) =
        (RawCertificate::ca("Old Root").self_signed(), RawCertificate::ca("New Root").self_signed());
    let ca = RawCertificate::ca("Issuing");
    let expired = ca.clone().valid(days_from_now(-9), days_from_now(-3)).issued_by(&old);
    let no_ca = ca.clone().basic_constraints(false, None).key_usage(&[0]).issued_by(&new);
    let lost = ca.issued_by(&RawCertificate::ca("Stranger").self_signed());
    let leaf = RawCertificate::client("alice").issued_by(&expired);
    let examination = check(&leaf, &[&old, &new]).intermediates(&[&lost, &no_ca, &expired]).examine();
    let codes = |index: usize| -> Vec<ReasonCode> {
        examination.paths()[index].reasons.iter().map(|reason| reason.code).collect()
    };
    assert_eq!(examination.paths().len(), 3);
    assert!(examination.valid().is_none() && !examination.gave_up());
    assert_eq!(codes(0), [ReasonCode::CertificateExpired]);
    assert_eq!(codes(1), [ReasonCode::IssuerNotCa, ReasonCode::KeyUsage]);
    assert_eq!(codes(2), [ReasonCode::UnknownIssuer]);
    let reached: Vec<bool> = examination.paths().iter().map(|path| path.reached_anchor).collect();
    assert_eq!(reached, [true, true, false]);
    assert_eq!(examination.paths()[1].certificates[2], new.certificate);
}

#[test]
fn a_valid_path_comes_first_and_the_others_are_told_too() {
    let (old, new) =
        (RawCertificate::ca("Old Root").self_signed(), RawCertificate::ca("New Root").self_signed());
    let ca = RawCertificate::ca("Issuing");
    let dead = ca.clone().valid(days_from_now(-9), days_from_now(-3)).issued_by(&old);
    let alive = ca.issued_by(&new);
    let leaf = RawCertificate::client("alice").issued_by(&alive);
    let check = check(&leaf, &[&old, &new]).intermediates(&[&dead, &alive]);
    let examination = check.examine();
    assert_eq!(examination.valid().unwrap().certificates, check.verdict().unwrap().certificates());
    assert_eq!(examination.paths().len(), 2);
    assert_eq!(examination.paths()[1].reasons[0].code, ReasonCode::CertificateExpired);
}

#[test]
fn faults_of_all_certificates_on_a_path_are_told_with_their_place() {
    let root = RawCertificate::ca("Root").valid(days_from_now(-9), days_from_now(-3)).self_signed();
    let ca = RawCertificate::ca("CA").unknown_extension(true).issued_by(&root);
    let leaf = RawCertificate::client("alice").key_usage(&[2]).issued_by(&ca);
    let examination = check(&leaf, &[&root]).examine();
    let told: Vec<(ReasonCode, usize)> =
        examination.best().reasons.iter().map(|reason| (reason.code, reason.depth)).collect();
    assert_eq!(
        told,
        [
            (ReasonCode::UnknownCriticalExtension, 1),
            (ReasonCode::CertificateExpired, 2),
            (ReasonCode::KeyUsage, 0)
        ]
    );
}

#[test]
fn strictness_tells_each_rule_of_section_4_that_is_broken() {
    let root = RawCertificate::ca("Root").self_signed();
    let leaf = RawCertificate::client("alice")
        .without_authority_key()
        .serial(&[0])
        .key_usage(&[0, 5])
        .issued_by(&root);
    assert_eq!(check(&leaf, &[&root]).codes(), [], "section 6 asks none of it");
    let strict = check(&leaf, &[&root]).strict();
    let messages: Vec<String> =
        strict.examine().best().reasons.iter().map(|reason| reason.message.clone()).collect();
    assert_eq!(strict.codes(), [ReasonCode::NotConforming; 3]);
    for (message, part) in messages.iter().zip(["serial number is zero", "authorityKey", "keyCertSign"]) {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn what_countersign_issues_is_strictly_conforming() {
    let ca = TestCa::new();
    assert_eq!(check(&ca.issue_client("alice"), &[ca.root()]).strict().codes(), []);
    assert_eq!(check(&ca.issue_server(&["localhost"]), &[ca.root()]).strict().host("localhost").codes(), []);
}

#[test]
fn a_limit_on_intermediates_holds_beside_the_cas_own() {
    let root = RawCertificate::ca("Root").self_signed();
    let upper = RawCertificate::ca("Upper").issued_by(&root);
    let lower = RawCertificate::ca("Lower").issued_by(&upper);
    let leaf = RawCertificate::client("alice").issued_by(&lower);
    assert_eq!(check(&leaf, &[&root]).at_most(2).codes(), []);
    assert_eq!(check(&leaf, &[&root]).at_most(1).codes(), [ReasonCode::PathLengthExceeded]);
}

#[test]
fn an_ml_dsa_key_that_may_encrypt_is_refused() {
    let root = RawCertificate::ca("Root").self_signed();
    let mut spki = pki::der::Writer::new();
    spki.nested(pki::der::tag::SEQUENCE, |w| {
        w.nested(pki::der::tag::SEQUENCE, |w| w.object_identifier(&oid::ML_DSA_44));
        w.octet_bit_string(&[7; 1312]);
    });
    let leaf = RawCertificate::client("alice").public_key_der(spki.into_bytes());
    assert_eq!(check(&leaf.issued_by(&root), &[&root]).codes(), []);
    let encrypts = leaf.key_usage(&[0, 2]).issued_by(&root);
    assert_eq!(check(&encrypts, &[&root]).codes(), [ReasonCode::KeyUsage]);
}
