//! Policy over verified peers: each kind of rule against certificates that were really verified.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::check;
use pki::der::{Writer, tag};
use pki::identity::{Identity, VerifiedPeer};
use pki::name::GeneralName;
use pki::oid;
use pki::policy::{Policy, Rule, Statement};
use proptest::prelude::*;
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
    assert_eq!(denial.rules().count(), 0);
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
    let rid = Identity::RegisteredId("1.2".to_owned());
    assert_eq!(peer(&odd, &root).identities(), [rid, Identity::CommonName("x".to_owned())]);
}

#[test]
fn a_hostile_name_cannot_write_to_the_terminal() {
    let root = RawCertificate::ca("Root").self_signed();
    let hostile = RawCertificate::client("a\u{1b}[31m\nb\u{202e}").issued_by(&root);
    let denial = policy(&[("cn", "x")]).evaluate(&peer(&hostile, &root)).unwrap_err().to_string();
    assert!(!denial.contains(['\u{1b}', '\n']), "{denial:?}");
}

/// otherName with a user principal name, a registeredID and a directoryName, as they stand in a GeneralName.
fn rare_names() -> [GeneralName; 3] {
    let principal = b"Alice@corp.test";
    let mut value = vec![0x0c, principal.len() as u8];
    value.extend(principal);
    let mut explicit = vec![0xa0, value.len() as u8];
    explicit.extend(value);
    let mut other = b"\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03".to_vec();
    other.extend(explicit);
    let mut der = vec![0xa0, other.len() as u8];
    der.extend(other);
    let subject = alice().certificate().subject().clone();
    [
        GeneralName::Other { kind: 0, der },
        GeneralName::Other { kind: 8, der: vec![0x88, 3, 0x2a, 0x03, 0x04] },
        GeneralName::Directory(subject),
    ]
}

#[test]
fn names_of_the_rare_kinds_are_identities_too() {
    let root = RawCertificate::ca("Root").self_signed();
    let mut encoded = Writer::new();
    encoded.nested(tag::SEQUENCE, |w| rare_names().iter().for_each(|name| name.write(w)));
    let rare = RawCertificate::client("x").replace(oid::SUBJECT_ALT_NAME, false, encoded.into_bytes());
    let rare = peer(&rare.issued_by(&root), &root);
    for (kind, text, admitted) in [
        ("upn", "alice@CORP.test", true),
        ("upn", "bob@corp.test", false),
        ("email", "alice@corp.test", false),
        ("rid", "1.2.3.4", true),
        ("rid", "1.2.3", false),
        ("dir", "x", false),
    ] {
        assert_eq!(policy(&[(kind, text)]).evaluate(&rare).is_ok(), admitted, "{kind} {text}");
    }
    let directory = rare.identities().iter().find(|name| name.kind() == "dir").map(Identity::value);
    assert!(policy(&[("dir", &directory.unwrap())]).evaluate(&rare).is_ok());
}

fn statements(list: &[(bool, &'static str, &str, &[&str])]) -> Policy {
    let statement = |(allow, kind, text, methods): &(bool, &'static str, &str, &[&str])| {
        let rule = Rule::parse(kind, text).unwrap();
        let statement = if *allow { Statement::allow(rule) } else { Statement::deny(rule) };
        statement.methods(methods.iter().copied())
    };
    Policy::of(list.iter().map(statement).collect())
}

#[test]
fn a_denying_rule_wins_wherever_it_stands_and_whatever_else_admits() {
    let alice = alice();
    for order in [[0, 1], [1, 0]] {
        let both = [(true, "cn", "alice", &[][..]), (false, "ou", "Ops", &[][..])];
        let policy = statements(&order.map(|index| both[index]));
        let denial = policy.evaluate(&alice).unwrap_err();
        assert_eq!(denial.forbidden_by(), Some("deny-ou Ops"));
        assert!(denial.to_string().ends_with("the rule deny-ou Ops forbids it"), "{denial}");
        assert!(!policy.could_admit(&alice));
    }
    let of_another = statements(&[(true, "cn", "alice", &[]), (false, "ou", "Interns", &[])]);
    assert_eq!(of_another.evaluate(&alice).unwrap().rule(), "allow-cn alice");
    let only_denies = statements(&[(false, "ou", "Interns", &[])]);
    assert!(only_denies.is_empty() && only_denies.evaluate(&alice).is_err());
}

#[test]
fn a_statement_about_methods_is_about_no_other() {
    let alice = alice();
    let policy = statements(&[
        (true, "cn", "alice", &["GET", "HEAD"]),
        (true, "ou", "Admins", &["DELETE"]),
        (false, "dns", "api.partner.test", &["DELETE"]),
    ]);
    let judged = |method| policy.evaluate_for(&alice, method).map(|permit| permit.rule().to_owned());
    assert_eq!(judged(Some("GET")).unwrap(), "allow-cn alice (GET, HEAD)");
    assert!(judged(Some("get")).is_err(), "methods are case-sensitive (RFC 9110 section 9.1)");
    assert!(judged(Some("POST")).is_err());
    assert_eq!(
        judged(Some("DELETE")).unwrap_err().forbidden_by(),
        Some("deny-dns api.partner.test (DELETE)")
    );
    assert!(judged(None).is_err(), "a stream of bytes has no method that could be among these");
    assert!(policy.could_admit(&alice) && policy.depends_on_method());
    let pinned = statements(&[(true, "cn", "alice", &[]), (false, "ou", "Ops", &["DELETE"])]);
    assert!(pinned.evaluate_for(&alice, Some("GET")).is_ok());
    assert!(pinned.evaluate(&alice).is_err(), "a stream may do what a DELETE does");
}

#[test]
fn a_denial_of_many_rules_names_some_and_counts_the_others() {
    let rules = (0..100_000).map(|n| Rule::CommonName(format!("client-{n}"))).collect();
    let denial = Policy::new(rules).evaluate(&alice()).unwrap_err();
    assert_eq!((denial.rules().count(), denial.further_rules()), (12, 99_988));
    assert!(denial.to_string().contains("and 99988 more admits it"), "{denial}");
}

/// Peers whose names are as odd as certificates can make them.
fn odd_peers() -> Vec<VerifiedPeer> {
    let root = RawCertificate::ca("Root").self_signed();
    let names: [&[(u8, &[u8])]; 5] = [
        &[(6, b"spiffe://a/b/c"), (6, b"spiffe://a/b"), (6, b"/x"), (2, b"a.b.test")],
        &[(6, b"*"), (6, b"**"), (6, b"a//b"), (2, b"*.b.test"), (2, b"B.TEST")],
        &[(1, b"a@b.test"), (1, b"x@y@B.test"), (7, &[10, 0, 0, 1]), (7, &[0; 16])],
        &[(7, &[10, 0, 1, 1]), (7, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), (2, b"test")],
        &[(6, b"spiffe://a/b/c/d/e/f/g"), (6, b"spiffe:"), (6, b"spiffe://a/")],
    ];
    let odd =
        names.map(|names| peer(&RawCertificate::client("a").alternative(names).issued_by(&root), &root));
    odd.into_iter().chain([alice()]).collect()
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let dns = proptest::sample::select(vec!["a.b.test", "*.b.test", "*.B.test", "b.test", "test"]);
    let email = proptest::sample::select(vec!["a@b.test", "@b.test", "x@y@b.test", "A@b.test", "@Y@b.test"]);
    let ip = proptest::sample::select(vec![
        "10.0.0.1",
        "10.0.0.0/16",
        "10.0.0.9/8",
        "::/0",
        "0.0.0.0/0",
        "fd00::/8",
    ]);
    let segment = proptest::sample::select(vec!["spiffe:", "", "a", "b", "c", "*", "**", "x"]);
    let uri = proptest::collection::vec(segment, 1..7).prop_map(|segments| segments.join("/"));
    let word = proptest::sample::select(vec!["a", "alice", "Ops", "b"]);
    prop_oneof![
        dns.prop_map(|text| Rule::parse("dns", text).unwrap()),
        email.prop_map(|text| Rule::parse("email", text).unwrap()),
        ip.prop_map(|text| Rule::parse("ip", text).unwrap()),
        uri.prop_map(Rule::Uri),
        word.clone().prop_map(|text| Rule::CommonName(text.to_owned())),
        word.prop_map(|text| Rule::OrganizationalUnit(text.to_owned())),
    ]
}

proptest! {
    #[test]
    fn the_index_answers_as_the_rules_do_one_by_one(rules in proptest::collection::vec(any_rule(), 0..12)) {
        thread_local!(static PEERS: Vec<VerifiedPeer> = odd_peers());
        let policy = Policy::new(rules.clone());
        PEERS.with(|peers| for peer in peers {
            let first = rules.iter().find(|rule| rule.concerns(peer)).map(|rule| format!("allow-{rule}"));
            let permit = policy.evaluate(peer).ok().map(|permit| permit.rule().to_owned());
            assert_eq!(permit, first, "{:?}", peer.identities());
        });
    }
}
