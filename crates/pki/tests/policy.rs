//! Policy over verified peers: each kind of rule against certificates that were really verified.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::check;
use pki::identity::{Identity, VerifiedPeer};
use pki::name::GeneralName;
use pki::policy::{Policy, Rule};
use testkit::{RawCertificate, TestCa, TestIdentity, TestOrder};

fn peer(identity: &TestIdentity, root: &TestIdentity) -> VerifiedPeer {
    VerifiedPeer::new(check(identity, &[root]).verdict().unwrap())
}

/// A client with a name of every kind.
fn alice() -> VerifiedPeer {
    let ca = TestCa::new();
    let order = TestOrder::client("alice")
        .unit("Ops")
        .unit("Admins")
        .name(GeneralName::Dns("api.partner.test".to_owned()))
        .name(GeneralName::Dns("second.partner.test".to_owned()))
        .name(GeneralName::Email("alice@acme.test".to_owned()))
        .name(GeneralName::Uri("spiffe://acme.test/ns/prod/sa/web".to_owned()))
        .name(GeneralName::Ip("10.1.2.3".parse().unwrap()));
    peer(&ca.issue(order), ca.root())
}

fn policy(rules: &[(&'static str, &str)]) -> Policy {
    Policy::new(rules.iter().map(|(kind, text)| Rule::parse(kind, text).unwrap()).collect())
}

#[test]
fn each_kind_of_rule_admits_its_names_and_no_other() {
    let alice = alice();
    let pin = pki::hex(&alice.certificate().public_key().unwrap().spki_sha256());
    let cases = [
        ("cn", "alice", true),
        ("cn", "Alice", false),
        ("cn", "ali", false),
        ("cn", "api.partner.test", false),
        ("ou", "Ops", true),
        ("ou", "Admins", true),
        ("ou", "ops", false),
        ("ou", "alice", false),
        ("dns", "api.partner.test", true),
        ("dns", "API.Partner.Test", true),
        ("dns", "second.partner.test", true),
        ("dns", "*.partner.test", true),
        ("dns", "partner.test", false),
        ("dns", "*.test.example", false),
        ("email", "alice@acme.test", true),
        ("email", "alice@ACME.test", true),
        ("email", "@acme.test", true),
        ("email", "bob@acme.test", false),
        ("email", "@cme.test", false),
        ("uri", "spiffe://acme.test/ns/prod/sa/web", true),
        ("uri", "spiffe://acme.test/ns/*/sa/web", true),
        ("uri", "spiffe://acme.test/**", true),
        ("uri", "spiffe://acme.test/*", false),
        ("uri", "spiffe://acme.test/ns/prod", false),
        ("ip", "10.1.2.3", true),
        ("ip", "10.0.0.0/8", true),
        ("ip", "10.1.2.4", false),
        ("ip", "::/0", false),
        ("spki-pin", pin.as_str(), true),
        ("spki-pin", &"00".repeat(32), false),
    ];
    for (kind, text, admitted) in cases {
        let policy = policy(&[(kind, text)]);
        assert_eq!(policy.evaluate(&alice).is_ok(), admitted, "{kind} {text}");
    }
    assert!(Policy::new(vec![Rule::All]).evaluate(&alice).is_ok());
}

#[test]
fn an_empty_policy_denies_and_says_that_it_admits_nobody() {
    let denial = Policy::default().evaluate(&alice()).unwrap_err();
    assert!(Policy::default().is_empty());
    assert!(denial.to_string().contains("the policy has no rule, so it admits nobody"), "{denial}");
    assert_eq!(denial.rules(), [""; 0]);
}

#[test]
fn a_denial_names_the_rules_and_every_name_presented() {
    let denial = policy(&[("cn", "bob"), ("dns", "x.test")]).evaluate(&alice()).unwrap_err();
    let message = denial.to_string();
    for part in
        ["allow-cn bob", "allow-dns x.test", "cn=alice", "ou=Ops", "uri=spiffe://acme.test/ns/prod/sa/web"]
    {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(denial.presented().len(), 8);
}

#[test]
fn rules_are_ored_and_the_permit_names_the_one_that_admitted() {
    let permit =
        policy(&[("cn", "bob"), ("email", "@acme.test"), ("cn", "alice")]).evaluate(&alice()).unwrap();
    assert_eq!(permit.rule(), "allow-email @acme.test");
}

#[test]
fn policy_looks_at_all_names_and_not_at_the_first() {
    let alice = alice();
    assert_eq!(alice.identities().len(), 8);
    assert_eq!(alice.display_name(), "spiffe://acme.test/ns/prod/sa/web");
    assert!(policy(&[("ou", "Admins")]).evaluate(&alice).is_ok());
}

#[test]
fn a_wildcard_certificate_is_no_member_of_a_wildcard_rule() {
    let root = RawCertificate::ca("Root").self_signed();
    let wild = RawCertificate::client("wild").alternative(&[(2, b"*.partner.test")]).issued_by(&root);
    let wild = peer(&wild, &root);
    assert!(policy(&[("dns", "*.partner.test")]).evaluate(&wild).is_err());
    assert!(policy(&[("dns", "api.partner.test")]).evaluate(&wild).is_err());
}

#[test]
fn a_certificate_without_names_is_admitted_by_key_or_by_all_only() {
    let root = RawCertificate::ca("Root").self_signed();
    let nameless = RawCertificate::client("x").subject(&[]).issued_by(&root);
    let nameless = peer(&nameless, &root);
    assert_eq!(nameless.identities(), []);
    assert_eq!(nameless.display_name(), "(no subject name)");
    let denial = policy(&[("cn", "x")]).evaluate(&nameless).unwrap_err();
    assert!(denial.to_string().contains("no name"), "{denial}");
    let pin = pki::hex(&nameless.certificate().public_key().unwrap().spki_sha256());
    assert!(policy(&[("spki-pin", &pin)]).evaluate(&nameless).is_ok());
    assert!(Policy::new(vec![Rule::All]).evaluate(&nameless).is_ok());
}

#[test]
fn malformed_alternative_names_are_no_identities() {
    let root = RawCertificate::ca("Root").self_signed();
    let odd = RawCertificate::client("x")
        .alternative(&[(2, b"good.test\0.evil.test"), (2, b"\xff"), (7, &[1, 2, 3]), (8, &[0x2a])])
        .issued_by(&root);
    assert_eq!(peer(&odd, &root).identities(), [Identity::CommonName("x".to_owned())]);
}

#[test]
fn a_hostile_name_cannot_write_to_the_terminal() {
    let root = RawCertificate::ca("Root").self_signed();
    let hostile = RawCertificate::client("a\u{1b}[31m\nb\u{202e}").issued_by(&root);
    let denial = policy(&[("cn", "x")]).evaluate(&peer(&hostile, &root)).unwrap_err().to_string();
    assert!(!denial.contains(['\u{1b}', '\n']), "{denial:?}");
}
