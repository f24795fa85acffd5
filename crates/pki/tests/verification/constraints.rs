//! Name constraints of every kind.

use pki::oid;
use pki::verify::ReasonCode;
use testkit::{RawCertificate, TestCa, TestOrder, constraints_der, permit, permit_and_exclude, subtree_der};

use crate::common::check;
use crate::common::constraints::{ROWS, directory_alternative};

#[test]
fn every_row_of_the_table_has_its_verdict_and_no_other_reason() {
    for row in ROWS {
        let (root, leaf) = row.chain();
        let codes = check(&leaf, &[&root]).codes();
        let expected: &[ReasonCode] = if row.valid { &[] } else { &[ReasonCode::NameConstraintsViolated] };
        assert_eq!(codes, expected, "{}", row.describe());
    }
}

#[test]
fn what_verification_refuses_issuance_refuses_too() {
    let mut compared = 0;
    for row in ROWS {
        let constraints = permit_and_exclude(row.permitted, row.excluded);
        let order = match row.name.split_once(':').unwrap() {
            ("DNS" | "IP", name) if !name.ends_with('.') => TestOrder::server(&[name]),
            ("email" | "URI", name) => TestOrder::client(name),
            _ => continue,
        };
        let ca = TestCa::new().with_constraints(constraints);
        let prepared = ca.issuer().prepare(&order.order());
        assert_eq!(prepared.is_ok(), row.valid, "{}: {prepared:?}", row.describe());
        compared += 1;
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn a_constrained_localhost_ca_issues_for_localhost_and_is_believed_for_it_alone() {
    let permitted = ["DNS:localhost", "IP:127.0.0.0/8", "IP:::1/128", "email:acme.test", "URI:acme.test"];
    let ca = TestCa::new().with_constraints(permit(&permitted));
    let server = ca.issue_server(&["localhost", "*.localhost", "127.0.0.1", "::1"]);
    let accepted = check(&server, &[ca.root()]).host("app.localhost").verdict();
    assert!(accepted.is_ok(), "{accepted:?}");
    // rustls-webpki refuses every chain under email or URI constraints with such names, so it is not asked.
    for name in ["alice", "alice@acme.test", "spiffe://acme.test/web"] {
        assert_eq!(check(&ca.issue_client(name), &[ca.root()]).codes(), [], "{name}");
    }
    let stolen = RawCertificate::server("www.example.com").issued_by(ca.issuing());
    let refused = check(&stolen, &[ca.root()]).host("www.example.com");
    assert_eq!(
        refused.codes(),
        // Root and issuing CA each carry the constraints.
        [ReasonCode::NameConstraintsViolated, ReasonCode::NameConstraintsViolated]
    );
    assert!(refused.message().contains("permits only DNS:localhost"), "{}", refused.message());
}

#[test]
fn constraints_bind_directory_names_in_the_subject_and_in_subject_alt_name() {
    let root = RawCertificate::ca("Root").self_signed();
    let ca = RawCertificate::ca("CA")
        .name_constraints(constraints_der(&[subtree_der("O:Acme")], &[]))
        .issued_by(&root);
    let subject = [(oid::ORGANIZATION_NAME, "ACME"), (oid::COMMON_NAME, "alice")];
    let inside = RawCertificate::client("alice").subject(&subject);
    assert_eq!(check(&inside.issued_by(&ca), &[&root]).codes(), []);
    let other = inside.extension(oid::SUBJECT_ALT_NAME, false, directory_alternative("Evil"));
    assert_eq!(check(&other.issued_by(&ca), &[&root]).codes(), [ReasonCode::NameConstraintsViolated]);
}

#[test]
fn each_ca_on_the_path_narrows_and_none_widens() {
    let root = RawCertificate::ca("Root")
        .name_constraints(constraints_der(&[subtree_der("DNS:example.com")], &[]))
        .self_signed();
    let wider = RawCertificate::ca("Wider")
        .name_constraints(constraints_der(
            &[subtree_der("DNS:example.org"), subtree_der("DNS:a.example.com")],
            &[],
        ))
        .issued_by(&root);
    for (host, valid) in [("a.example.com", true), ("b.example.com", false), ("example.org", false)] {
        let server = RawCertificate::server(host).issued_by(&wider);
        assert_eq!(check(&server, &[&root]).host(host).codes().is_empty(), valid, "{host}");
    }
}

#[test]
fn constraints_hold_for_the_cas_below_but_not_for_self_issued_ones() {
    let root = RawCertificate::ca("Root")
        .name_constraints(constraints_der(&[subtree_der("DNS:example.com")], &[]))
        .self_signed();
    let named = RawCertificate::ca("CA").alternative(&[(2, b"other.test")]).issued_by(&root);
    let leaf = RawCertificate::server("www.example.com").issued_by(&named);
    assert_eq!(check(&leaf, &[&root]).server().codes(), [ReasonCode::NameConstraintsViolated]);
    let rolled_over = RawCertificate::ca("Root").alternative(&[(2, b"other.test")]).issued_by(&root);
    let leaf = RawCertificate::server("www.example.com").issued_by(&rolled_over);
    assert_eq!(check(&leaf, &[&root]).server().codes(), []);
}

#[test]
fn constraints_that_are_not_marked_critical_hold_too() {
    let root = RawCertificate::ca("Root").self_signed();
    let value = constraints_der(&[subtree_der("DNS:example.com")], &[]);
    let ca = RawCertificate::ca("CA").extension(oid::NAME_CONSTRAINTS, false, value).issued_by(&root);
    let leaf = RawCertificate::server("other.test").issued_by(&ca);
    assert_eq!(check(&leaf, &[&root]).server().codes(), [ReasonCode::NameConstraintsViolated]);
}

#[test]
fn a_constraint_that_cannot_be_understood_permits_nothing_of_its_kind() {
    let root = RawCertificate::ca("Root").self_signed();
    // A mask with holes, an address without a mask, and a URI where a host belongs.
    for (number, base) in
        [(7, &[10, 0, 0, 0, 255, 0, 255, 0][..]), (7, &[10, 0, 0, 1]), (6, b"https://acme.test/")]
    {
        let mut subtree = pki::der::Writer::new();
        subtree.nested(pki::der::tag::SEQUENCE, |w| w.primitive(pki::der::tag::context(number), base));
        let subtree = subtree.into_bytes();
        let name: (u8, &[u8]) = if number == 7 { (7, &[10, 0, 0, 1]) } else { (6, b"https://acme.test/") };
        for value in [constraints_der(std::slice::from_ref(&subtree), &[]), constraints_der(&[], &[subtree])]
        {
            let ca = RawCertificate::ca("CA").name_constraints(value).issued_by(&root);
            let leaf = RawCertificate::client("alice").alternative(&[name]).issued_by(&ca);
            assert_eq!(check(&leaf, &[&root]).codes(), [ReasonCode::NameConstraintsViolated], "{base:?}");
            let unnamed = RawCertificate::client("alice").issued_by(&ca);
            assert_eq!(check(&unnamed, &[&root]).codes(), [], "it says nothing of other kinds");
        }
    }
}

#[test]
fn thousands_of_names_under_thousands_of_constraints_are_given_up() {
    let root = RawCertificate::ca("Root").self_signed();
    let subtrees: Vec<Vec<u8>> = (0..1000).map(|n| subtree_der(&format!("DNS:d{n}.test"))).collect();
    let ca = RawCertificate::ca("CA").name_constraints(constraints_der(&subtrees, &[])).issued_by(&root);
    let names: Vec<String> = (0..1000).map(|n| format!("d{n}.test")).collect();
    let names: Vec<(u8, &[u8])> = names.iter().map(|name| (2, name.as_bytes())).collect();
    let leaf = RawCertificate::server("d0.test").alternative(&names).issued_by(&ca);
    assert_eq!(check(&leaf, &[&root]).host("d0.test").codes(), [ReasonCode::TooComplex]);
    let few = RawCertificate::server("d0.test").alternative(&names[..20]).issued_by(&ca);
    assert_eq!(check(&few, &[&root]).host("d0.test").codes(), []);
}
