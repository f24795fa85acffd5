//! Each code that a refusal can carry, on the smallest chain that deserves it.

use pki::oid;
use pki::verify::{Purpose, ReasonCode, TrustBundle};
use testkit::{
    KeyKind, RawCertificate, TestCa, TestIdentity, TestKey, TestOrder, days_from_now, now, rsa_1024_spki,
    sha1_with_rsa, unknown_curve_spki,
};

use crate::common::check;

fn root() -> TestIdentity {
    RawCertificate::ca("Root").self_signed()
}

#[test]
fn a_chain_of_each_key_type_is_valid_for_its_purpose_and_its_path_is_given() {
    for kind in KeyKind::ALL {
        let ca = TestCa::new().with_keys(kind);
        let server = ca.issue(TestOrder::server(&["localhost", "127.0.0.1"]).key_kind(kind));
        let path = check(&server, &[ca.root()]).host("localhost").verdict().unwrap();
        let expected = [&server.certificate, &ca.issuing().certificate, &ca.root().certificate];
        assert_eq!(path.certificates().iter().collect::<Vec<_>>(), expected, "{kind:?}");
        assert_eq!(path.leaf(), &server.certificate);
        assert_eq!(path.anchor(), &ca.root().certificate);
        assert_eq!(path.not_after(), server.certificate.not_after());
        let client = ca.issue(TestOrder::client("alice").key_kind(kind));
        assert_eq!(check(&client, &[ca.root()]).codes(), [], "{kind:?}");
    }
}

#[test]
fn a_stranger_is_unknown_and_the_message_names_his_ca() {
    let (ours, theirs) = (TestCa::new(), TestCa::new().named("Other"));
    let stranger = theirs.issue_client("mallory");
    let check = check(&stranger, &[ours.root()]);
    assert_eq!(check.codes(), [ReasonCode::UnknownIssuer]);
    assert!(check.message().contains("CN=Other Root CA"), "{}", check.message());
}

#[test]
fn a_chain_without_its_intermediate_is_unknown_and_the_message_names_the_missing_one() {
    let ca = TestCa::new();
    let client = ca.issue_client("alice");
    let check = check(&client, &[ca.root()]).intermediates(&[]);
    assert_eq!(check.codes(), [ReasonCode::UnknownIssuer]);
    assert!(check.message().contains("CN=Test Issuing CA"), "{}", check.message());
}

#[test]
fn a_self_signed_certificate_is_unknown_until_it_is_an_anchor_itself() {
    let own = RawCertificate::client("alice").self_signed();
    let refused = check(&own, &[&root()]);
    assert_eq!(refused.codes(), [ReasonCode::UnknownIssuer]);
    assert!(refused.message().contains("self-signed"), "{}", refused.message());
    let path = check(&own, &[&own]).verdict().unwrap();
    assert_eq!(path.certificates(), std::slice::from_ref(&own.certificate));
}

#[test]
fn an_empty_bundle_believes_nobody_and_says_so() {
    let client = TestCa::new().issue_client("alice");
    let check = check(&client, &[]);
    assert_eq!(check.codes(), [ReasonCode::UnknownIssuer]);
    assert!(check.message().contains("no anchor was given"), "{}", check.message());
    assert!(TrustBundle::default().is_empty());
}

#[test]
fn a_damaged_signature_is_invalid_in_leaf_and_intermediate() {
    let root = root();
    let leaf = RawCertificate::client("alice").damaged_signature().issued_by(&root);
    assert_eq!(check(&leaf, &[&root]).codes(), [ReasonCode::SignatureInvalid]);
    let ca = RawCertificate::ca("Issuing").damaged_signature().issued_by(&root);
    let leaf = RawCertificate::client("alice").issued_by(&ca);
    let check = check(&leaf, &[&root]);
    assert_eq!(check.codes(), [ReasonCode::SignatureInvalid]);
    assert_eq!(check.verdict().unwrap_err().first().depth, 1);
}

#[test]
fn a_ca_made_again_under_the_same_name_is_told_from_a_damaged_signature() {
    let (before, after) = (TestCa::new(), TestCa::new());
    let client = before.issue_client("alice");
    let check = check(&client, &[after.root()]);
    assert_eq!(check.codes(), [ReasonCode::SignatureInvalid]);
    assert!(check.message().contains("made again under the same name"), "{}", check.message());
}

#[test]
fn an_expired_certificate_is_refused_with_date_and_distance_wherever_it_stands() {
    let ca = TestCa::new();
    let yesterdays = ca.issue(TestOrder::client("alice").expired());
    let refused = check(&yesterdays, &[ca.root()]);
    assert_eq!(refused.codes(), [ReasonCode::CertificateExpired]);
    assert!(refused.message().contains("2026-06-14T12:00:00Z (24 hours before)"), "{}", refused.message());

    let root = root();
    let expired = RawCertificate::ca("Issuing").valid(days_from_now(-9), days_from_now(-3)).issued_by(&root);
    let leaf = RawCertificate::client("alice").issued_by(&expired);
    assert_eq!(check(&leaf, &[&root]).codes(), [ReasonCode::CertificateExpired]);
    let leaf = RawCertificate::client("alice").valid(days_from_now(-1), days_from_now(90)).issued_by(&root);
    assert_eq!(check(&leaf, &[&root]).at(days_from_now(60)).codes(), [ReasonCode::CertificateExpired]);
}

#[test]
fn validity_includes_its_first_and_its_whole_last_second() {
    let ca = TestCa::new();
    let second = jiff::SignedDuration::from_secs(1);
    let client = ca.issue(TestOrder::client("alice").valid(now(), days_from_now(1)));
    let at = |moment| check(&client, &[ca.root()]).at(moment).codes();
    assert_eq!(at(now() - second), [ReasonCode::CertificateNotYetValid]);
    assert_eq!(at(now()), []);
    assert_eq!(at(days_from_now(1) + jiff::SignedDuration::from_millis(999)), []);
    assert_eq!(at(days_from_now(1) + second), [ReasonCode::CertificateExpired]);
}

#[test]
fn tomorrows_certificate_is_not_yet_valid() {
    let ca = TestCa::new();
    let client = ca.issue(TestOrder::client("alice").not_yet_valid());
    let check = check(&client, &[ca.root()]);
    assert_eq!(check.codes(), [ReasonCode::CertificateNotYetValid]);
    assert!(check.message().contains("2026-06-16T12:00:00Z (24 hours later)"), "{}", check.message());
}

#[test]
fn a_servers_certificate_is_no_clients_and_the_other_way_round() {
    let ca = TestCa::new();
    let (server, client) = (ca.issue_server(&["localhost"]), ca.issue_client("alice"));
    assert_eq!(check(&server, &[ca.root()]).codes(), [ReasonCode::WrongPurpose]);
    assert_eq!(check(&client, &[ca.root()]).server().codes(), [ReasonCode::WrongPurpose]);
    assert_eq!(check(&server, &[ca.root()]).purpose(Purpose::Any).codes(), []);
}

#[test]
fn extended_key_usages_of_a_ca_bind_what_is_below_it() {
    let root = root();
    let for_mail =
        RawCertificate::ca("Mail CA").extended_key_usages(&[oid::EMAIL_PROTECTION]).issued_by(&root);
    let leaf = RawCertificate::client("alice").issued_by(&for_mail);
    let refused = check(&leaf, &[&root]);
    assert_eq!(refused.codes(), [ReasonCode::WrongPurpose]);
    assert!(refused.message().contains("Mail CA"), "{}", refused.message());
    let for_any = RawCertificate::ca("Any CA").extended_key_usages(&[oid::ANY_EXTENDED_KEY_USAGE]);
    let leaf = RawCertificate::client("alice").issued_by(&for_any.issued_by(&root));
    assert_eq!(check(&leaf, &[&root]).codes(), []);
}

#[test]
fn a_leaf_without_extended_key_usage_serves_every_purpose() {
    let root = root();
    let leaf = RawCertificate::client("alice").without(oid::EXTENDED_KEY_USAGE).issued_by(&root);
    assert_eq!(check(&leaf, &[&root]).codes(), []);
    assert_eq!(check(&leaf, &[&root]).server().codes(), []);
}

#[test]
fn key_usage_must_allow_what_each_certificate_does() {
    let root = root();
    let leaf = RawCertificate::client("alice").key_usage(&[2]).issued_by(&root);
    let refused = check(&leaf, &[&root]);
    assert_eq!(refused.codes(), [ReasonCode::KeyUsage]);
    assert!(refused.message().contains("digitalSignature"), "{}", refused.message());
    let ca = RawCertificate::ca("Issuing").key_usage(&[0, 6]).issued_by(&root);
    let leaf = RawCertificate::client("alice").issued_by(&ca);
    let refused = check(&leaf, &[&root]);
    assert_eq!(refused.codes(), [ReasonCode::KeyUsage]);
    assert!(refused.message().contains("keyCertSign"), "{}", refused.message());
    let bare = RawCertificate::client("alice").without(oid::KEY_USAGE).issued_by(&root);
    assert_eq!(check(&bare, &[&root]).codes(), []);
}

#[test]
fn a_certificate_that_is_no_ca_issues_nothing() {
    let root = root();
    for issuer in [
        RawCertificate::ca("Issuing").basic_constraints(false, None),
        RawCertificate::ca("Issuing").without(oid::BASIC_CONSTRAINTS),
        RawCertificate::ca("Issuing").version_1(),
    ] {
        let leaf = RawCertificate::client("alice").issued_by(&issuer.issued_by(&root));
        assert_eq!(check(&leaf, &[&root]).codes(), [ReasonCode::IssuerNotCa]);
    }
    // A client that plays CA breaks two rules.
    let alice = RawCertificate::client("alice").issued_by(&root);
    let forged = RawCertificate::client("admin").issued_by(&alice);
    assert_eq!(check(&forged, &[&root]).codes(), [ReasonCode::IssuerNotCa, ReasonCode::KeyUsage]);
}

#[test]
fn a_cas_certificate_is_no_leaf_unless_it_is_trusted_itself() {
    let root = root();
    let ca = RawCertificate::ca("Issuing").key_usage(&[0, 5, 6]).issued_by(&root);
    assert_eq!(check(&ca, &[&root]).codes(), [ReasonCode::CaAsLeaf]);
    assert_eq!(check(&ca, &[&root]).purpose(Purpose::Any).codes(), []);
    assert_eq!(check(&root, &[&root]).codes(), []);
}

#[test]
fn a_path_length_counts_the_cas_below_but_not_self_issued_ones_and_not_the_leaf() {
    let root = root();
    let limited = RawCertificate::ca("Limited").basic_constraints(true, Some(0)).issued_by(&root);
    let leaf = RawCertificate::client("alice").issued_by(&limited);
    assert_eq!(check(&leaf, &[&root]).codes(), []);

    let below = RawCertificate::ca("Below").issued_by(&limited);
    let leaf = RawCertificate::client("alice").issued_by(&below);
    let refused = check(&leaf, &[&root]);
    assert_eq!(refused.codes(), [ReasonCode::PathLengthExceeded]);
    assert!(refused.message().contains("allows 0 CA(s) below it, and 1 stand(s)"), "{}", refused.message());

    let rolled_over = RawCertificate::ca("Limited").key(&TestKey::p256()).issued_by(&limited);
    let leaf = RawCertificate::client("alice").issued_by(&rolled_over);
    assert_eq!(check(&leaf, &[&root]).codes(), [], "a key rollover under the same name");

    let tight_root = RawCertificate::ca("Tight").basic_constraints(true, Some(0)).self_signed();
    let issuing = RawCertificate::ca("Issuing").issued_by(&tight_root);
    let leaf = RawCertificate::client("alice").issued_by(&issuing);
    assert_eq!(
        check(&leaf, &[&tight_root]).codes(),
        [ReasonCode::PathLengthExceeded],
        "an anchor's counts too"
    );
}

#[test]
fn an_unknown_critical_extension_refuses_and_an_unknown_one_passes() {
    let root = root();
    let passes = RawCertificate::client("alice").unknown_extension(false).issued_by(&root);
    assert_eq!(check(&passes, &[&root]).codes(), []);
    let refused = RawCertificate::client("alice").unknown_extension(true).issued_by(&root);
    let refused = check(&refused, &[&root]);
    assert_eq!(refused.codes(), [ReasonCode::UnknownCriticalExtension]);
    assert!(refused.message().contains("1.3.6.1.4.1.55555.1"), "{}", refused.message());
    let ca = RawCertificate::ca("Issuing").unknown_extension(true).issued_by(&root);
    let below = RawCertificate::client("alice").issued_by(&ca);
    assert_eq!(check(&below, &[&root]).codes(), [ReasonCode::UnknownCriticalExtension]);
}

#[test]
fn weak_keys_and_unknown_curves_are_refused_in_leaf_and_issuer() {
    let root = root();
    for (spki, named) in [(rsa_1024_spki(), "1024 bits"), (unknown_curve_spki(), "curve")] {
        let leaf = RawCertificate::client("alice").public_key_der(spki.clone()).issued_by(&root);
        let refused = check(&leaf, &[&root]);
        assert_eq!(refused.codes(), [ReasonCode::WeakKey]);
        assert!(refused.message().contains(named), "{}", refused.message());
        let weak_ca = RawCertificate::ca("Issuing").public_key_der(spki).issued_by(&root);
        let leaf = RawCertificate::client("alice").issued_by(&weak_ca);
        assert!(check(&leaf, &[&root]).codes().contains(&ReasonCode::WeakKey));
    }
}

#[test]
fn a_sha_1_signature_is_refused_as_weak_and_named() {
    let root = root();
    let algorithm = sha1_with_rsa();
    let leaf = RawCertificate::client("alice").algorithms(&algorithm, &algorithm).issued_by(&root);
    let refused = check(&leaf, &[&root]);
    assert_eq!(refused.codes(), [ReasonCode::WeakSignature]);
    assert!(refused.message().contains("sha1WithRSAEncryption"), "{}", refused.message());
}

#[test]
fn a_version_1_leaf_is_refused_by_the_second_opinion_alone() {
    let root = root();
    let leaf = RawCertificate::client("alice").version_1().issued_by(&root);
    let refused = check(&leaf, &[&root]);
    assert_eq!(refused.codes(), [ReasonCode::SecondOpinion]);
    assert!(refused.message().contains("UnsupportedCertVersion"), "{}", refused.message());
}

#[test]
fn several_faults_in_one_chain_give_several_reasons_the_gravest_first() {
    let root = root();
    let ca = RawCertificate::ca("Issuing").basic_constraints(false, None).issued_by(&root);
    let leaf = RawCertificate::server("other.test")
        .valid(days_from_now(-9), days_from_now(-3))
        .extended_key_usages(&[oid::CLIENT_AUTH])
        .unknown_extension(true)
        .issued_by(&ca);
    let check = check(&leaf, &[&root]).host("www.test");
    assert_eq!(
        check.codes(),
        [
            ReasonCode::IssuerNotCa,
            ReasonCode::UnknownCriticalExtension,
            ReasonCode::CertificateExpired,
            ReasonCode::WrongPurpose,
            ReasonCode::NameMismatch,
        ]
    );
    let refusal = check.verdict().unwrap_err();
    assert_eq!(refusal.first().depth, 1);
    assert_eq!(refusal.first().certificate, "Issuing");
    assert_eq!(refusal.path().len(), 3, "the path it is about is given");
}

#[test]
fn a_stranger_with_other_faults_has_them_all_told() {
    let other = RawCertificate::ca("Other Root").self_signed();
    let leaf = RawCertificate::client("alice").valid(days_from_now(-9), days_from_now(-3)).issued_by(&other);
    assert_eq!(check(&leaf, &[&root()]).codes(), [ReasonCode::UnknownIssuer, ReasonCode::CertificateExpired]);
}

#[test]
fn certificates_that_break_the_structure_are_not_read_at_all() {
    let root = root();
    let usage = testkit::key_usage_der(&[0]);
    let twice = RawCertificate::client("alice").extension(oid::KEY_USAGE, true, usage);
    let sha1 = sha1_with_rsa();
    let sha256 = pki::key::SignatureAlgorithm::EcdsaSha256.algorithm_identifier();
    let subtree = testkit::constraints_der(&[testkit::subtree_der("DNS:a.test")], &[]);
    let cases = [
        ("an extension twice", twice),
        ("algorithms that differ", RawCertificate::client("alice").algorithms(&sha256, &sha1)),
        ("extensions in version 2", {
            let unknown = RawCertificate::client("alice").version_1().unknown_extension(false);
            unknown.version(Some(1))
        }),
        ("version 5", RawCertificate::client("alice").version(Some(4))),
        ("an issuer without a name", RawCertificate::client("alice").issuer_name(&[])),
        ("constraints in a leaf", RawCertificate::client("alice").name_constraints(subtree)),
        ("constraints of nothing", RawCertificate::ca("CA").name_constraints(vec![0x30, 0x00])),
        ("empty subtrees", RawCertificate::ca("CA").name_constraints(vec![0x30, 0x02, 0xa0, 0x00])),
        ("no purposes", RawCertificate::client("alice").extended_key_usages(&[])),
        ("no alternative names", RawCertificate::client("alice").alternative(&[])),
        ("an empty serial number", RawCertificate::client("alice").serial(&[])),
        ("a padded serial number", RawCertificate::client("alice").serial(&[0, 1])),
    ];
    for (what, raw) in cases {
        assert!(pki::Certificate::from_der(&raw.der_issued_by(&root)).is_err(), "{what}");
    }
}

#[test]
fn odd_serial_numbers_are_read_and_shown() {
    let root = root();
    for (serial, shown) in [(&[0xff][..], "ff"), (&[0x00], "00"), (&[0x00, 0x80], "80"), (&[0x7f; 30], "7f")]
    {
        let leaf = RawCertificate::client("alice").serial(serial).issued_by(&root);
        assert!(leaf.certificate.serial_hex().starts_with(shown));
        assert_eq!(check(&leaf, &[&root]).codes(), []);
    }
}
