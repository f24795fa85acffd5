//! Certificate policies by the graph of RFC 9618; NIST's own cases are in `pkits.rs`.

use pki::oid::{ANY_POLICY, Oid};
use pki::verify::{PolicyDemand, ReasonCode};
use testkit::{RawCertificate, TestIdentity};

use crate::common::check;

const EXPLICIT: PolicyDemand<'static> =
    PolicyDemand { acceptable: &[], explicit: true, inhibit_mapping: false, inhibit_any: false };

fn policy(number: u32) -> Oid {
    Oid::from_dotted(&format!("1.3.6.1.4.1.55555.2.{number}")).unwrap()
}

fn root() -> TestIdentity {
    RawCertificate::ca("Root").self_signed()
}

#[test]
fn a_ca_that_requires_a_policy_is_obeyed_and_named() {
    let root = root();
    let ca = RawCertificate::ca("Strict CA").policies(&[policy(1)]).policy_constraints(Some(0), None);
    let ca = ca.issued_by(&root);
    let with = RawCertificate::client("alice").policies(&[policy(1)]).issued_by(&ca);
    assert_eq!(check(&with, &[&root]).codes(), []);
    let without = RawCertificate::client("alice").issued_by(&ca);
    let refused = check(&without, &[&root]);
    assert_eq!(refused.codes(), [ReasonCode::PolicyNotAccepted]);
    assert!(refused.message().contains("'Strict CA' requires"), "{}", refused.message());
    let other = RawCertificate::client("alice").policies(&[policy(2)]).issued_by(&ca);
    assert_eq!(check(&other, &[&root]).codes(), [ReasonCode::PolicyNotAccepted]);
}

#[test]
fn a_requirement_in_some_certificates_begins_after_as_many() {
    let root = root();
    let upper = RawCertificate::ca("Upper").policy_constraints(Some(2), None).issued_by(&root);
    let leaf = RawCertificate::client("alice").issued_by(&upper);
    assert_eq!(check(&leaf, &[&root]).codes(), [], "one certificate below");
    let lower = RawCertificate::ca("Lower").issued_by(&upper);
    let leaf = RawCertificate::client("alice").issued_by(&lower);
    assert_eq!(check(&leaf, &[&root]).codes(), [ReasonCode::PolicyNotAccepted], "two below");
}

#[test]
fn what_the_user_demands_is_compared_with_what_the_path_is_valid_for_and_both_are_told() {
    let root = root();
    let ca = RawCertificate::ca("CA").policies(&[policy(1), policy(2)]).issued_by(&root);
    let leaf = RawCertificate::client("alice").policies(&[policy(2), policy(3)]).issued_by(&ca);
    assert_eq!(check(&leaf, &[&root]).policies(&[], EXPLICIT).codes(), []);
    assert_eq!(check(&leaf, &[&root]).policies(&[policy(2)], EXPLICIT).codes(), []);
    let refused = check(&leaf, &[&root]).policies(&[policy(3)], EXPLICIT);
    assert_eq!(refused.codes(), [ReasonCode::PolicyNotAccepted]);
    assert!(refused.message().contains("1.3.6.1.4.1.55555.2.2, and one of 1.3.6.1.4.1.55555.2.3"));
}

#[test]
fn any_policy_stands_for_every_policy_until_it_is_inhibited() {
    let root = root();
    let any = RawCertificate::ca("Any").policies(&[ANY_POLICY]);
    let leaf = RawCertificate::client("alice").policies(&[policy(1)]);
    let ca = any.issued_by(&root);
    let below = leaf.issued_by(&ca);
    assert_eq!(check(&below, &[&root]).policies(&[policy(1)], EXPLICIT).codes(), []);
    let inhibited = PolicyDemand { inhibit_any: true, ..EXPLICIT };
    let refused = check(&below, &[&root]).policies(&[policy(1)], inhibited);
    assert_eq!(refused.codes(), [ReasonCode::PolicyNotAccepted]);
    let ca = any.inhibit_any_policy(0).issued_by(&root);
    let below = RawCertificate::client("alice").policies(&[ANY_POLICY]).issued_by(&ca);
    assert_eq!(check(&below, &[&root]).policies(&[], EXPLICIT).codes(), [ReasonCode::PolicyNotAccepted]);
}

#[test]
fn a_mapped_policy_counts_as_the_anchors_until_mapping_is_inhibited() {
    let root = root();
    let ca = RawCertificate::ca("CA").policies(&[policy(1)]).policy_mappings(&[(policy(1), policy(9))]);
    let ca = ca.issued_by(&root);
    let leaf = RawCertificate::client("alice").policies(&[policy(9)]).issued_by(&ca);
    let demand = |acceptable: &[Oid], demand| check(&leaf, &[&root]).policies(acceptable, demand).codes();
    assert_eq!(demand(&[policy(1)], EXPLICIT), []);
    assert_eq!(
        demand(&[policy(9)], EXPLICIT),
        [ReasonCode::PolicyNotAccepted],
        "its name below does not count"
    );
    let inhibited = PolicyDemand { inhibit_mapping: true, ..EXPLICIT };
    assert_eq!(demand(&[policy(1)], inhibited), [ReasonCode::PolicyNotAccepted]);
}

#[test]
fn mapping_any_policy_is_refused_also_where_no_policy_is_demanded() {
    let root = root();
    for mapping in [(ANY_POLICY, policy(1)), (policy(1), ANY_POLICY)] {
        let ca = RawCertificate::ca("CA").policies(&[policy(1)]).policy_mappings(&[mapping]).issued_by(&root);
        let leaf = RawCertificate::client("alice").policies(&[policy(1)]).issued_by(&ca);
        let refused = check(&leaf, &[&root]);
        assert_eq!(refused.codes(), [ReasonCode::PolicyNotAccepted]);
        assert!(refused.message().contains("maps anyPolicy"), "{}", refused.message());
    }
}

#[test]
fn an_anchor_that_requires_a_policy_is_obeyed() {
    // RFC 5937: an anchor's constraints are inputs of the validation.
    let root = RawCertificate::ca("Root").policy_constraints(Some(0), None).self_signed();
    let bare = RawCertificate::client("alice").issued_by(&root);
    assert_eq!(check(&bare, &[&root]).codes(), [ReasonCode::PolicyNotAccepted]);
    let with = RawCertificate::client("alice").policies(&[policy(1)]).issued_by(&root);
    assert_eq!(check(&with, &[&root]).codes(), []);
}

#[test]
fn an_anchor_that_is_presented_itself_is_judged_whatever_it_says_of_policies() {
    for anchor in [
        RawCertificate::client("alice").policy_constraints(Some(0), None),
        RawCertificate::client("alice").policies(&[policy(1)]).policy_constraints(Some(3), Some(0)),
        RawCertificate::client("alice").policy_mappings(&[(policy(1), policy(2))]),
    ] {
        let anchor = anchor.self_signed();
        assert_eq!(check(&anchor, &[&anchor]).codes(), []);
        assert_eq!(check(&anchor, &[&anchor]).policies(&[], EXPLICIT).codes(), [], "nothing stands between");
    }
}

#[test]
fn a_graph_that_would_be_an_exponential_tree_is_judged_at_once() {
    // CVE-2023-0464: two policies, each mapped to both, in every CA, double the tree of RFC 5280 at each of them.
    let both = [policy(1), policy(2)];
    let crossed: Vec<(Oid, Oid)> = both.iter().flat_map(|from| both.iter().map(|to| (*from, *to))).collect();
    let root = root();
    let mut ca = root.clone();
    for number in 0..8 {
        let raw = RawCertificate::ca(&format!("CA {number}")).policies(&both).policy_mappings(&crossed);
        ca = raw.issued_by(&ca);
    }
    let leaf = RawCertificate::client("alice").policies(&both).issued_by(&ca);
    assert_eq!(check(&leaf, &[&root]).policies(&both, EXPLICIT).codes(), []);
}

#[test]
fn thousands_of_mappings_are_given_up_within_the_budget() {
    let policies: Vec<Oid> = (1..=250).map(policy).collect();
    let crossed: Vec<(Oid, Oid)> =
        policies.iter().flat_map(|from| policies.iter().map(|to| (*from, *to))).collect();
    let root = root();
    let ca = RawCertificate::ca("CA").policies(&policies).policy_mappings(&crossed).issued_by(&root);
    let leaf = RawCertificate::client("alice").policies(&policies).issued_by(&ca);
    assert_eq!(check(&leaf, &[&root]).policies(&policies, EXPLICIT).codes(), [ReasonCode::TooComplex]);
}
