//! Certificates that form no simple chain: cross-signed, looping, re-keyed, shuffled, and far too many.

use pki::verify::ReasonCode;
use testkit::{KeyKind, RawCertificate, TestCa, TestIdentity, TestKey, days_from_now};

use crate::common::check;

#[test]
fn a_cross_signed_ca_leads_to_whichever_root_is_believed() {
    let (old, new) =
        (RawCertificate::ca("Old Root").self_signed(), RawCertificate::ca("New Root").self_signed());
    let ca = RawCertificate::ca("Issuing");
    let (by_old, by_new) = (ca.issued_by(&old), ca.issued_by(&new));
    let leaf = RawCertificate::client("alice").issued_by(&by_old);
    for root in [&old, &new] {
        let path = check(&leaf, &[root]).intermediates(&[&by_old, &by_new]).verdict().unwrap();
        assert_eq!(path.anchor(), &root.certificate);
    }
}

#[test]
fn an_expired_cross_signature_does_not_hide_the_path_that_is_valid() {
    // The AddTrust outage of 30 May 2020.
    let (old, new) =
        (RawCertificate::ca("Old Root").self_signed(), RawCertificate::ca("New Root").self_signed());
    let ca = RawCertificate::ca("Issuing");
    let dead = ca.clone().valid(days_from_now(-9), days_from_now(-3)).issued_by(&old);
    let alive = ca.issued_by(&new);
    let leaf = RawCertificate::client("alice").issued_by(&alive);
    for order in [[&dead, &alive], [&alive, &dead]] {
        assert_eq!(check(&leaf, &[&old, &new]).intermediates(&order).codes(), []);
    }
    let refused = check(&leaf, &[&old]).intermediates(&[&dead, &alive]);
    assert_eq!(refused.codes(), [ReasonCode::CertificateExpired], "the path that reached an anchor is told");
}

#[test]
fn the_refusal_is_about_the_path_that_came_closest() {
    let root = RawCertificate::ca("Root").self_signed();
    let ca = RawCertificate::ca("Issuing");
    let worse = ca.clone().basic_constraints(false, None).valid(days_from_now(-9), days_from_now(-3));
    let worse = worse.issued_by(&root);
    let better = ca.valid(days_from_now(-9), days_from_now(-3)).issued_by(&root);
    let leaf = RawCertificate::client("alice").issued_by(&better);
    for order in [[&worse, &better], [&better, &worse]] {
        assert_eq!(check(&leaf, &[&root]).intermediates(&order).codes(), [ReasonCode::CertificateExpired]);
    }
}

#[test]
fn the_order_of_a_chain_and_what_else_is_in_it_do_not_matter() {
    let root = RawCertificate::ca("Root").self_signed();
    let upper = RawCertificate::ca("Upper").issued_by(&root);
    let lower = RawCertificate::ca("Lower").issued_by(&upper);
    let leaf = RawCertificate::client("alice").issued_by(&lower);
    let stray = RawCertificate::ca("Stray").self_signed();
    for order in [
        vec![&upper, &lower],
        vec![&leaf, &lower, &stray, &upper, &root],
        vec![&root, &upper, &upper, &lower, &lower],
    ] {
        let path = check(&leaf, &[&root]).intermediates(&order).verdict().unwrap();
        assert_eq!(path.certificates().len(), 4);
    }
}

#[test]
fn a_re_keyed_root_is_found_among_anchors_of_one_name() {
    let (before, after) = (TestCa::new(), TestCa::new());
    let client = after.issue_client("alice");
    assert_eq!(check(&client, &[before.root(), after.root()]).codes(), []);
    assert_eq!(check(&client, &[after.root(), before.root()]).codes(), []);
}

#[test]
fn a_wrong_authority_key_identifier_is_a_hint_and_no_verdict() {
    let root = RawCertificate::ca("Root").self_signed();
    let leaf = RawCertificate::client("alice").authority_key(&[7; 20]).issued_by(&root);
    assert_eq!(check(&leaf, &[&root]).codes(), []);
    let without = RawCertificate::client("alice").without_authority_key().issued_by(&root);
    assert_eq!(check(&without, &[&root]).codes(), []);
}

#[test]
fn an_intermediate_may_be_the_anchor() {
    let root = RawCertificate::ca("Root").self_signed();
    let ca = RawCertificate::ca("Issuing").issued_by(&root);
    let leaf = RawCertificate::client("alice").issued_by(&ca);
    let path = check(&leaf, &[&ca]).verdict().unwrap();
    assert_eq!(path.certificates().len(), 2);
    assert_eq!(path.anchor(), &ca.certificate);
}

#[test]
fn cas_that_sign_each_other_end_the_search() {
    let (x_key, y_key) = (TestKey::p256(), TestKey::p256());
    let (x, y) = (RawCertificate::ca("X").key(&x_key), RawCertificate::ca("Y").key(&y_key));
    let (x_self, y_self) = (x.self_signed(), y.self_signed());
    let (x_by_y, y_by_x) = (x.issued_by(&y_self), y.issued_by(&x_self));
    let leaf = RawCertificate::client("alice").issued_by(&x_self);
    let root = RawCertificate::ca("Root").self_signed();
    let lost = check(&leaf, &[&root]).intermediates(&[&x_by_y, &y_by_x]);
    assert_eq!(lost.codes(), [ReasonCode::UnknownIssuer]);
    // The same loop with a way out.
    let y_by_root = y.issued_by(&root);
    let found = check(&leaf, &[&root]).intermediates(&[&x_by_y, &y_by_x, &x_self, &y_by_root]);
    assert_eq!(found.verdict().unwrap().certificates().len(), 4);
}

#[test]
fn a_chain_of_nine_is_valid_and_one_of_twelve_is_too_long() {
    let root = RawCertificate::ca("Root").self_signed();
    let mut ca = root.clone();
    for number in 1..=7 {
        ca = RawCertificate::ca(&format!("CA {number}")).issued_by(&ca);
    }
    assert_eq!(check(&RawCertificate::client("alice").issued_by(&ca), &[&root]).codes(), []);
    for number in 8..=10 {
        ca = RawCertificate::ca(&format!("CA {number}")).issued_by(&ca);
    }
    let refused = RawCertificate::client("alice").issued_by(&ca);
    assert!(check(&refused, &[&root]).codes().contains(&ReasonCode::TooComplex));
}

/// Seven levels with four keys each, every key certified by each of the level above: 16,384 paths, none of which
/// ends at an anchor.
fn lattice(top: &TestIdentity, kind: KeyKind) -> (Vec<TestIdentity>, TestIdentity) {
    let mut above = vec![top.clone()];
    let mut all = Vec::new();
    for level in 0..7 {
        let keys: Vec<TestKey> = (0..4).map(|_| TestKey::generate(kind)).collect();
        let mut here = Vec::new();
        for key in &keys {
            for parent in &above {
                here.push(RawCertificate::ca(&format!("Level {level}")).key(key).issued_by(parent));
            }
        }
        all.extend(here.iter().cloned());
        // One certificate a key is parent enough; the others share name and key with it.
        let step = above.len();
        above = here.into_iter().step_by(step).collect();
    }
    let leaf = RawCertificate::client("alice").issued_by(&above[0]);
    (all, leaf)
}

#[test]
fn a_lattice_of_cross_signatures_is_given_up_within_its_budget() {
    let stray = RawCertificate::ca("Stray Root").self_signed();
    let root = RawCertificate::ca("Root").self_signed();
    for kind in [KeyKind::P256, KeyKind::P384] {
        let (lattice, leaf) = lattice(&stray, kind);
        let intermediates: Vec<&TestIdentity> = lattice.iter().collect();
        // Without the budget the search goes to its end, which is another verdict, minutes later.
        let refused = check(&leaf, &[&root]).intermediates(&intermediates);
        assert_eq!(refused.codes(), [ReasonCode::TooComplex], "{kind:?}");
    }
}

#[test]
fn a_thousand_cas_of_one_name_are_given_up_within_the_budget() {
    let root = RawCertificate::ca("Root").self_signed();
    let hidden = RawCertificate::ca("Same").self_signed();
    let leaf = RawCertificate::client("alice").issued_by(&hidden);
    let crowd: Vec<TestIdentity> = (0..1000).map(|_| RawCertificate::ca("Same").issued_by(&root)).collect();
    let check = check(&leaf, &[&root]).intermediates(&crowd.iter().collect::<Vec<_>>());
    assert_eq!(check.codes(), [ReasonCode::TooComplex]);
    assert!(check.message().contains("100 signature checks by P-256 keys"), "{}", check.message());
}
