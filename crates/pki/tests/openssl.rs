//! The real openssl judges what the authority issues, as strictly as it can, and the table of name constraints.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::constraints::ROWS;
use common::openssl::{Openssl, text};
use pki::crl::CertificateRevocationList;
use pki::name::GeneralName;
use testkit::{KeyKind, TestCa, TestIdentity, TestOrder, days_from_now, permit};

fn crl_pem(crl: &CertificateRevocationList) -> String {
    pki::pem::encode("X509 CRL", crl.der())
}

/// An authority for localhost with a server and two clients, all with keys of this kind.
fn issued(kind: KeyKind) -> (TestCa, Vec<(&'static str, TestIdentity)>) {
    let permitted = ["DNS:localhost", "IP:127.0.0.0/8", "IP:::1/128", "email:acme.test", "URI:acme.test"];
    let ca = TestCa::new().with_keys(kind).with_constraints(permit(&permitted));
    let mut nameless = TestOrder::client("spiffe://acme.test/web").key_kind(kind);
    nameless.names.common_name = None;
    let orders = [
        ("sslserver", TestOrder::server(&["localhost", "*.localhost", "127.0.0.1", "::1"]).key_kind(kind)),
        ("sslclient", TestOrder::client("alice").unit("Ops").key_kind(kind)),
        (
            "sslclient",
            TestOrder::client("alice@acme.test")
                .name(GeneralName::Uri("spiffe://acme.test/alice".to_owned()))
                .key_kind(kind),
        ),
        ("sslclient", nameless),
    ];
    let issued = orders.into_iter().map(|(purpose, order)| (purpose, ca.issue(order))).collect();
    (ca, issued)
}

#[test]
fn openssl_strictly_verifies_everything_issued_with_each_key_type() {
    for kind in KeyKind::ALL {
        let (ca, identities) = issued(kind);
        let openssl = Openssl::new();
        for (purpose, identity) in &identities {
            let said = openssl.verify(
                &ca.root().certificate,
                &identity.chain,
                &identity.certificate,
                &["-purpose", purpose],
            );
            assert!(said.is_ok(), "{kind:?} {:?}: {said:?}", identity.certificate);
        }
        let root = openssl.verify(&ca.root().certificate, &[], &ca.root().certificate, &[]);
        assert!(root.is_ok(), "{kind:?}: {root:?}");
    }
}

#[test]
fn openssl_matches_the_names_a_server_was_issued_for() {
    let (ca, identities) = issued(KeyKind::P256);
    let (_, server) = &identities[0];
    let openssl = Openssl::new();
    let verify = |arguments: &[&str]| {
        openssl.verify(&ca.root().certificate, &server.chain, &server.certificate, arguments)
    };
    for good in [["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]] {
        assert!(verify(&good).is_ok(), "{good:?}: {:?}", verify(&good));
    }
    assert!(verify(&["-verify_hostname", "example.com"]).is_err());
}

#[test]
fn openssl_checks_every_certificate_of_a_chain_against_our_lists() {
    for kind in KeyKind::ALL {
        let (ca, identities) = issued(kind);
        let (_, alice) = &identities[1];
        let root_list = ca.root_crl(&[], days_from_now(-1), days_from_now(30));
        let verify = |openssl: &Openssl, issuing_list: &CertificateRevocationList| {
            let both = crl_pem(issuing_list) + &crl_pem(&root_list);
            let lists = openssl.file("lists.pem", both);
            openssl.verify(
                &ca.root().certificate,
                &alice.chain,
                &alice.certificate,
                &["-crl_check_all", "-CRLfile", text(&lists)],
            )
        };
        let openssl = Openssl::new();
        let good = verify(&openssl, &ca.current_crl(&[&identities[2].1.certificate]));
        assert!(good.is_ok(), "{kind:?}: {good:?}");
        let revoked = verify(&openssl, &ca.current_crl(&[&alice.certificate]));
        assert!(
            revoked.as_ref().is_err_and(|said| said.contains("certificate revoked")),
            "{kind:?}: {revoked:?}"
        );
        let stale = verify(&openssl, &ca.crl(&[], days_from_now(-9), days_from_now(-2)));
        assert!(stale.as_ref().is_err_and(|said| said.contains("CRL has expired")), "{kind:?}: {stale:?}");
    }
}

#[test]
fn openssl_reads_a_list_of_ten_thousand() {
    let ca = TestCa::new();
    let serials: Vec<[u8; 16]> =
        (0..10_000u64).map(|n| [[0x11; 8], n.to_be_bytes()].concat().try_into().unwrap()).collect();
    let slices: Vec<&[u8]> = serials.iter().map(|serial| &serial[..]).collect();
    let crl = ca.crl(&slices, days_from_now(-1), days_from_now(7));
    let openssl = Openssl::new();
    let list = openssl.file("list.der", crl.der());
    let issuing = openssl.pem("issuing.pem", &[&ca.issuing().certificate]);
    let said = openssl
        .run(&["crl", "-inform", "DER", "-in", text(&list), "-CAfile", text(&issuing), "-noout", "-text"])
        .unwrap();
    assert!(said.contains("verify OK"));
    assert_eq!(said.matches("Serial Number:").count(), 10_000);
    assert_eq!(said.matches("Key Compromise").count(), 10_000);
}

#[test]
fn openssl_agrees_with_every_row_of_the_constraints_table_but_those_explained() {
    for row in ROWS {
        let (root, leaf) = row.chain();
        let openssl = Openssl::new();
        let said =
            openssl.verify(&root.certificate, &leaf.chain, &leaf.certificate, &["-purpose", "sslclient"]);
        let agrees = said.is_ok() == row.valid;
        match row.openssl_differs {
            None => assert!(agrees, "{}: {said:?}", row.describe()),
            Some(why) => assert!(!agrees, "{}: agrees, though {why}", row.describe()),
        }
        if let Err(said) = said {
            let about_names = ["subtree violation", "name constraint", "name syntax"];
            assert!(about_names.iter().any(|words| said.contains(words)), "{}: {said}", row.describe());
        }
    }
}

#[test]
fn openssl_reads_every_private_key_that_tests_use() {
    for kind in KeyKind::ALL {
        let key = testkit::TestKey::generate(kind);
        let openssl = Openssl::new();
        let file = openssl.file("key.der", key.pkcs8_der());
        let said = openssl.run(&["pkey", "-inform", "DER", "-in", text(&file), "-noout", "-check"]);
        assert!(said.is_ok(), "{kind:?}: {said:?}");
    }
}
