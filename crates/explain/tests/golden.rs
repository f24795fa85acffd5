//! What people and programs are shown of each kind of file, at a fixed moment.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use expect_test::{Expect, expect_file};
use explain::Inspection;
use explain::render::{full_text, json, pem, summary_text};

fn inspect(name: &str) -> Inspection {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    explain::inspect(&std::fs::read(path).unwrap(), name, testkit::now())
}

/// Compares all three forms of one fixture with the files that hold them.
macro_rules! golden {
    ($($test:ident: $name:literal;)*) => {
        $(#[test]
        fn $test() {
            let inspection = inspect($name);
            let text = format!(
                "{}\n=== full\n{}",
                summary_text(&inspection, 80, false),
                full_text(&inspection, 80, false)
            );
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
            }
            expect_file![concat!("golden/", $name, ".txt")].assert_eq(&text);
            expect_file![concat!("golden/", $name, ".json")].assert_eq(&format!("{:#}\n", json(&inspection)));
        })*
    };
}

golden! {
    a_server_certificate_with_every_extension: "server.pem";
    a_certificate_in_der: "server.der";
    a_client_certificate_with_a_multi_valued_name: "client.pem";
    an_issuing_ca_with_every_constraint: "issuing.pem";
    a_root: "root.pem";
    an_expired_certificate: "sensor.pem";
    a_hostile_certificate: "hostile.pem";
    a_weak_certificate: "weak.pem";
    a_certificate_signed_with_rsa_pss: "plain.pem";
    a_chain: "chain.pem";
    a_jumbled_file: "jumbled.pem";
    a_glued_file: "glued.pem";
    a_file_pasted_from_json: "pasted.pem";
    a_request: "request.pem";
    a_request_with_a_broken_signature: "request-broken.der";
    a_revocation_list: "crl.pem";
    an_expired_revocation_list: "crl-empty.pem";
    an_encrypted_key: "key-encrypted.pem";
    a_key_encrypted_with_scrypt: "key-scrypt.pem";
    a_key_encrypted_with_triple_des: "key-old-encryption.der";
    an_rsa_key_in_pkcs1: "key-rsa-pkcs1.pem";
    an_ed25519_key: "key-ed25519.pem";
    an_rsa_public_key: "public-rsa.pem";
    an_old_encrypted_key: "key-rsa-old-encryption.pem";
    a_sec1_key: "key-ec-sec1.pem";
    an_openssh_key: "ssh-key.pem";
    an_openssh_public_key: "ssh-key.pub";
    a_public_key: "public-ed25519.der";
    a_modern_pkcs12: "modern.p12";
    a_legacy_pkcs12: "legacy.p12";
    a_pkcs7: "bundle.p7b";
    a_pkcs7_in_ber: "signed-ber.p7";
    an_ocsp_response: "ocsp-response.der";
}

fn check(bytes: &[u8], expected: &Expect) {
    let inspection = explain::inspect(bytes, "input", testkit::now());
    expected.assert_eq(&summary_text(&inspection, 80, false));
}

#[test]
fn what_is_no_certificate_is_named() {
    use expect_test::expect;
    check(
        b"",
        &expect![[r#"
        input: nothing recognised
          problem: the file is empty
    "#]],
    );
    check(
        b"<html><body>404</body></html>",
        &expect![[r#"
        input: nothing recognised
          problem: this is an HTML or XML page, not a certificate, request, key or list;
            perhaps an error page that was saved under this name
    "#]],
    );
    check(
        br#"{"certificate": "x"}"#,
        &expect![[r#"
        input: nothing recognised
          problem: this is JSON, not a certificate, request, key or list; a certificate
            in it is a string with \n in it: take it out with jq -r
    "#]],
    );
    check(
        &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2],
        &expect![[r#"
        input: nothing recognised
          problem: this is a Java keystore (JKS), not a certificate, request, key or
            list; convert it with: keytool -importkeystore -srckeystore FILE
            -destkeystore NEW.p12 -deststoretype PKCS12
    "#]],
    );
    check(
        b"\x89PNG\r\n",
        &expect![[r#"
        input: nothing recognised
          problem: this is some other binary format, not a certificate, request, key or
            list; it starts with no DER structure and holds no PEM
    "#]],
    );
}

#[test]
fn base64_without_armour_and_utf_16_are_read_and_told() {
    let good = inspect("client.pem");
    let text = pem(&good);
    let bare: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let twice = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &text);
    for input in [bare.into_bytes(), utf16, twice.into_bytes()] {
        let inspection = explain::inspect(&input, "input", testkit::now());
        assert_eq!(inspection.items[0].der, good.items[0].der);
        assert_eq!(inspection.problems.len(), 1);
    }
}

#[test]
fn a_certificate_cut_short_shows_what_is_left_and_where_it_stops() {
    let whole = inspect("server.der").items[0].der.clone();
    let inspection = explain::inspect(&whole[..700], "cut.der", testkit::now());
    let certificate = inspection.items[0].certificate().unwrap();
    assert_eq!(certificate.subject_text(), "CN=www.example.test,O=Example Org,C=DE");
    assert!(inspection.items[0].problems[0].message.contains("cut short"));
}

#[test]
fn pem_gives_back_certificates_and_never_a_private_key() {
    let chain = inspect("chain.pem");
    let again = explain::inspect(pem(&chain).as_bytes(), "again", testkit::now());
    assert!(again.problems.is_empty());
    assert_eq!(
        again.items.iter().map(|item| &item.der).collect::<Vec<_>>(),
        chain.items.iter().map(|item| &item.der).collect::<Vec<_>>()
    );
    for name in ["jumbled.pem", "key-p256.pem", "key-rsa.pem", "key-ed25519.pem", "modern.p12"] {
        assert!(!pem(&inspect(name)).contains("PRIVATE"), "{name}");
    }
    assert!(pem(&inspect("key-p256.pem")).starts_with("-----BEGIN PUBLIC KEY-----"));
}

#[test]
fn the_public_half_of_a_private_key_is_that_of_its_certificate() {
    for kind in [testkit::KeyKind::P256, testkit::KeyKind::Ed25519, testkit::KeyKind::Rsa2048] {
        let key = testkit::TestKey::generate(kind);
        let ca = testkit::TestCa::new();
        let identity = ca.issue(testkit::TestOrder::client("alice").key(key));
        let file = format!("{}{}", identity.certificate.to_pem(), identity.key.pkcs8_pem());
        let inspection = explain::inspect(file.as_bytes(), "both.pem", testkit::now());
        assert!(
            inspection.remarks.iter().any(|r| r.code == "key_matches"),
            "{kind:?}: {:?}",
            inspection.remarks
        );
        let stranger = format!("{}{}", ca.issue_client("bob").certificate.to_pem(), identity.key.pkcs8_pem());
        let inspection = explain::inspect(stranger.as_bytes(), "both.pem", testkit::now());
        assert!(inspection.remarks.iter().any(|r| r.code == "key_mismatch"), "{kind:?}");
    }
}

#[test]
fn a_live_chain_is_judged_as_the_server_sent_it() {
    let ca = testkit::TestCa::new();
    let identity = ca.issue_server(&["localhost"]);
    let whole = explain::describe_chain(&identity.chain_der(), "localhost:443", testkit::now());
    assert!(whole.remarks.is_empty(), "{:?}", whole.remarks);
    let alone = explain::describe_chain(&identity.chain_der()[..1], "localhost:443", testkit::now());
    assert_eq!(alone.remarks[0].code, "intermediate_missing");
    let none = explain::describe_chain(&[], "localhost:443", testkit::now());
    assert_eq!(none.problems.len(), 1);
}

#[test]
fn two_ca_generations_with_one_name_are_told_apart() {
    let (old, new) = (testkit::TestCa::new(), testkit::TestCa::new());
    let chain =
        vec![old.issue_client("alice").certificate.der().to_vec(), new.issuing().certificate.der().to_vec()];
    let inspection = explain::describe_chain(&chain, "peer", testkit::now());
    assert!(inspection.remarks.iter().any(|r| r.code == "signature_invalid"), "{:?}", inspection.remarks);
}

#[test]
fn colour_changes_nothing_but_colour() {
    let inspection = inspect("jumbled.pem");
    let plain = summary_text(&inspection, 80, false);
    let mut coloured = summary_text(&inspection, 80, true);
    assert!(coloured.contains("\u{1b}[1m"));
    for code in ["0", "1", "2", "33", "36", "1;31"] {
        coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(coloured, plain);
}

#[test]
fn a_list_of_a_hundred_thousand_entries_is_counted_and_shown_in_part() {
    use pki::der::{Writer, tag};
    let mut writer = Writer::new();
    let algorithm = pki::key::SignatureAlgorithm::EcdsaSha256.algorithm_identifier();
    writer.nested(tag::SEQUENCE, |w| {
        w.nested(tag::SEQUENCE, |w| {
            w.integer(&[1]);
            w.raw(&algorithm);
            w.raw(pki::name::DistinguishedName::build(&[(pki::oid::COMMON_NAME, "Big")]).der());
            w.time(testkit::now());
            w.time(testkit::days_from_now(7));
            w.nested(tag::SEQUENCE, |w| {
                for serial in 1..=100_000u32 {
                    w.nested(tag::SEQUENCE, |w| {
                        w.integer(&serial.to_be_bytes());
                        w.time(testkit::now());
                    });
                }
            });
        });
        w.raw(&algorithm);
        w.octet_bit_string(&[0; 70]);
    });
    let inspection = explain::inspect(&writer.into_bytes(), "big.crl", testkit::now());
    let summary = summary_text(&inspection, 80, false);
    assert!(summary.contains("100,000 certificates (100000 unspecified)"), "{summary}");
    let full = full_text(&inspection, 80, false);
    assert!(full.lines().count() < 150 && full.contains("and 99900 more"));
    assert_eq!(json(&inspection)["items"][0]["revoked_certificates"][99_999]["serial_number"], "0186a0");
}
