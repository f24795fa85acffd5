//! Real certificates, requests and lists, damaged in tens of thousands of ways: nothing panics, and nothing that
//! differs by a bit verifies. And what is issued, whatever the names, is read back as it was ordered.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::check;
use common::damage::mutations;
use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::csr::{CertificateRequest, build_request};
use pki::key::{PublicKey, SigningKey};
use pki::name::{GeneralName, SubjectNames};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use testkit::{KeyKind, TestCa, TestKey, TestOrder, days_from_now, now, permit_and_exclude};

fn samples(kind: KeyKind) -> (TestCa, Vec<Certificate>) {
    let constraints = permit_and_exclude(
        &["DNS:localhost", "IP:127.0.0.0/8", "IP:::1/128", "email:acme.test", "URI:acme.test"],
        &["DNS:secret.localhost"],
    );
    let ca = TestCa::new().with_keys(kind).with_constraints(constraints);
    let client = TestOrder::client("alice")
        .unit("Ops")
        .name(GeneralName::Email("alice@acme.test".to_owned()))
        .name(GeneralName::Uri("spiffe://acme.test/web".to_owned()))
        .key_kind(kind);
    let server = TestOrder::server(&["localhost", "127.0.0.1", "::1"]).key_kind(kind);
    let leaves = [ca.issue(client).certificate, ca.issue(server).certificate];
    let all = leaves.into_iter().chain([ca.issuing().certificate.clone(), ca.root().certificate.clone()]);
    let all = all.collect();
    (ca, all)
}

/// Everything that a reader of a certificate can ask of it.
fn look_at(certificate: &Certificate) {
    let _ = format!("{certificate:?} {} {}", certificate.short_name(), certificate.subject());
    let _ = (certificate.public_key().map(PublicKey::weakness), certificate.signature_algorithm_oid());
    for name in certificate.subject_alt_names() {
        let _ = name.to_string();
        if let Some(constraints) = certificate.name_constraints() {
            let _ = constraints.check(name);
        }
    }
    let _ = certificate.subject().matches(certificate.issuer());
    let _ = certificate.subject().is_within(certificate.issuer());
}

#[test]
fn no_damaged_certificate_panics_or_verifies() {
    let mut read = 0;
    for kind in KeyKind::ALL {
        let (ca, certificates) = samples(kind);
        for original in certificates {
            let key =
                if original.is_ca() { ca.root().key.public_key() } else { ca.issuing().key.public_key() };
            assert!(original.verify_signature(key).is_ok());
            for bytes in mutations(original.der()) {
                let Ok(certificate) = Certificate::from_der(&bytes) else { continue };
                assert_eq!(certificate.der(), bytes);
                look_at(&certificate);
                let verifies = certificate.verify_signature(key).is_ok();
                assert!(!verifies || bytes == original.der(), "{kind:?}: {}", pki::hex(&bytes));
                read += 1;
            }
        }
    }
    assert!(read > 1000, "the mutations reach beyond the parser: {read}");
}

#[test]
fn no_damaged_certificate_makes_verification_panic_or_accept() {
    let (ca, certificates) = samples(KeyKind::P256);
    for original in &certificates[..2] {
        for bytes in mutations(original.der()) {
            let Ok(certificate) = Certificate::from_der(&bytes) else { continue };
            let chain = vec![ca.issuing().certificate.clone()];
            let identity = testkit::TestIdentity { certificate, chain, key: TestKey::p256() };
            let accepted = check(&identity, &[ca.root()]).verdict().is_ok()
                || check(&identity, &[ca.root()]).server().verdict().is_ok();
            assert!(!accepted || bytes == original.der(), "{}", pki::hex(&bytes));
        }
    }
}

#[test]
fn no_damaged_request_panics_or_is_read() {
    for kind in KeyKind::ALL {
        let names = SubjectNames::for_server(&["www.example.com", "192.0.2.1"]).unwrap();
        let original = build_request(&names, &TestKey::generate(kind)).unwrap();
        assert!(CertificateRequest::from_der(&original).is_ok());
        for bytes in mutations(&original) {
            let accepted = CertificateRequest::from_der(&bytes).is_ok();
            assert!(!accepted || bytes == original, "{kind:?}: {}", pki::hex(&bytes));
        }
    }
}

#[test]
fn no_damaged_list_panics_or_verifies() {
    let mut read = 0;
    for kind in KeyKind::ALL {
        let ca = TestCa::new().with_keys(kind);
        let original = ca.crl(&[&[0x11; 16], &[0x22; 16], &[0x33; 16]], now(), days_from_now(7));
        for bytes in mutations(original.der()) {
            let Ok(crl) = CertificateRevocationList::from_der(&bytes) else { continue };
            let _ = format!("{crl:?} {:?} {:?}", crl.number(), crl.next_update());
            let verifies = crl.verify_signature(ca.issuing().key.public_key()).is_ok();
            assert!(!verifies || bytes == original.der(), "{kind:?}: {}", pki::hex(&bytes));
            read += 1;
        }
    }
    assert!(read > 300, "the mutations reach beyond the parser: {read}");
}

fn general_name() -> impl Strategy<Value = GeneralName> {
    prop_oneof![
        "[a-z][a-z0-9]{0,10}\\.[a-z][a-z0-9-]{0,8}[a-z]\\.test".prop_map(GeneralName::Dns),
        any::<[u8; 4]>().prop_map(|octets| GeneralName::Ip(octets.into())),
        any::<[u8; 16]>().prop_map(|octets| GeneralName::Ip(octets.into())),
        "[a-z0-9_+-]{1,20}@[a-z]{1,10}\\.test".prop_map(GeneralName::Email),
        "spiffe://[a-z]{1,10}\\.test/[a-z0-9/]{1,20}".prop_map(GeneralName::Uri),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(9),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_issued_is_read_back_as_ordered_and_verifies(
        common_name in proptest::option::of("[\\PC&&[^\\p{Zs}]]{1,64}"),
        unit in proptest::option::of("[A-Za-z ,+=\"#;<>\\\\]{0,30}x"),
        names in proptest::collection::vec(general_name(), 1..8),
        serial in proptest::collection::vec(any::<u8>(), 15..20),
        start in 1i64..86_400 * 300,
        length in 86_400 * 301i64..86_400 * 3000,
    ) {
        let ca = TestCa::new();
        let second = jiff::SignedDuration::from_secs;
        let mut order = TestOrder::client("placeholder")
            .serial(&[&[0x5a], &serial[..]].concat())
            .valid(now() - second(start), now() - second(start) + second(length));
        order.names = SubjectNames { common_name, organization: unit, ..SubjectNames::default() };
        for name in names {
            order.names.add(name);
        }
        let wanted = order.clone();
        let issued = ca.issue(order);
        let certificate = Certificate::from_der(issued.certificate.der()).unwrap();
        prop_assert_eq!(certificate.subject(), &wanted.names.distinguished_name());
        prop_assert_eq!(certificate.subject().common_name(), wanted.names.common_name);
        prop_assert_eq!(certificate.subject_alt_names(), &wanted.names.alternative[..]);
        prop_assert_eq!(certificate.serial(), &wanted.serial[..]);
        prop_assert_eq!(certificate.not_before(), wanted.not_before);
        prop_assert_eq!(certificate.not_after(), wanted.not_after);
        prop_assert_eq!(certificate.public_key().unwrap(), wanted.key.public_key());
        let verdict = check(&issued, &[ca.root()]).verdict();
        prop_assert!(verdict.is_ok(), "{:?}", verdict);
    }
}
