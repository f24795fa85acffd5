//! Host names (RFC 9525).

use pki::verify::ReasonCode;
use testkit::{RawCertificate, TestCa};

use crate::common::check;

#[test]
fn a_server_answers_to_its_names_and_to_no_other() {
    let ca = TestCa::new();
    let server =
        ca.issue_server(&["www.example.com", "*.apps.example.com", "Bücher.example", "192.0.2.1", "::1"]);
    let cases = [
        ("www.example.com", true),
        ("WWW.Example.COM.", true),
        ("example.com", false),
        ("a.www.example.com", false),
        ("one.apps.example.com", true),
        ("one.two.apps.example.com", false),
        ("apps.example.com", false),
        ("bücher.example", true),
        ("xn--bcher-kva.example", true),
        ("192.0.2.1", true),
        ("192.0.2.2", false),
        ("[::1]", true),
        ("::ffff:192.0.2.1", false),
    ];
    for (host, named) in cases {
        let codes = check(&server, &[ca.root()]).host(host).codes();
        assert_eq!(codes.is_empty(), named, "{host}: {codes:?}");
        assert!(named || codes == [ReasonCode::NameMismatch], "{host}: {codes:?}");
    }
}

#[test]
fn a_mismatch_names_what_was_presented_and_what_was_wanted() {
    let ca = TestCa::new();
    let server = ca.issue_server(&["www.example.com", "192.0.2.1"]);
    let message = check(&server, &[ca.root()]).host("example.org").message();
    assert_eq!(message, "the certificate names DNS:www.example.com, IP:192.0.2.1, not example.org");
}

#[test]
fn a_mismatch_with_thousands_of_names_stays_a_sentence() {
    let root = RawCertificate::ca("Root").self_signed();
    let names: Vec<String> = (0..2000).map(|n| format!("host-{n}.example.com")).collect();
    let names: Vec<(u8, &[u8])> = names.iter().map(|name| (2, name.as_bytes())).collect();
    let server = RawCertificate::server("host-0.example.com").alternative(&names).issued_by(&root);
    let message = check(&server, &[&root]).host("example.org").message();
    assert!(message.contains("and 1992 more") && message.len() < 400, "{message}");
}

#[test]
fn a_common_name_names_no_server() {
    let root = RawCertificate::ca("Root").self_signed();
    let server =
        RawCertificate::server("www.example.com").without(pki::oid::SUBJECT_ALT_NAME).issued_by(&root);
    let check = check(&server, &[&root]).host("www.example.com");
    assert_eq!(check.codes(), [ReasonCode::NameMismatch]);
    assert!(check.message().contains("no subjectAltName"), "{}", check.message());
}

#[test]
fn an_address_in_a_dns_name_and_a_name_with_a_nul_name_nothing() {
    let root = RawCertificate::ca("Root").self_signed();
    for (presented, host) in [(&b"192.0.2.1"[..], "192.0.2.1"), (b"good.test\0.evil.test", "good.test")] {
        let server = RawCertificate::server("x").alternative(&[(2, presented)]).issued_by(&root);
        assert_eq!(check(&server, &[&root]).host(host).codes(), [ReasonCode::NameMismatch], "{host}");
    }
}

#[test]
fn wildcards_in_odd_places_name_nothing() {
    let root = RawCertificate::ca("Root").self_signed();
    for presented in
        ["*", "*.com", "w*.example.com", "*w.example.com", "www.*.com", "*.*.com", "**.example.com"]
    {
        let server = RawCertificate::server("x").alternative(&[(2, presented.as_bytes())]).issued_by(&root);
        for host in ["www.example.com", "example.com"] {
            let codes = check(&server, &[&root]).host(host).codes();
            assert_eq!(codes, [ReasonCode::NameMismatch], "{presented} {host}");
        }
    }
}
