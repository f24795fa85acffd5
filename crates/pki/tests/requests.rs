//! Certification requests: ours read back, openssl's read, and what a request does not get.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::openssl::{Openssl, text};
use pki::csr::{CertificateRequest, RequestError, build_request};
use pki::der::{Reader, Writer, tag};
use pki::issuer::PrepareError;
use pki::key::{KeyAlgorithm, PublicKeyError, SignatureAlgorithm, SigningKey};
use pki::name::{GeneralName, SubjectNames};
use pki::oid::{self, Oid};
use testkit::{KeyKind, TestCa, TestKey, TestOrder, rsa_1024_spki, sha1_with_rsa, unknown_curve_spki};

fn alice() -> SubjectNames {
    SubjectNames::for_client("alice@acme.test").unwrap()
}

/// A request put together by hand: any key, any attributes, any algorithm.
fn raw_request(spki: &[u8], algorithm: &[u8], attributes: Option<&[u8]>, key: &TestKey) -> Vec<u8> {
    let mut info = Writer::new();
    info.nested(tag::SEQUENCE, |w| {
        w.integer(&[0]);
        w.raw(alice().distinguished_name().der());
        w.raw(spki);
        if let Some(attributes) = attributes {
            w.primitive(tag::context_constructed(0), attributes);
        }
    });
    let info = info.into_bytes();
    let signature = key.sign(&info).unwrap();
    let mut request = Writer::new();
    request.nested(tag::SEQUENCE, |w| {
        w.raw(&info);
        w.raw(algorithm);
        w.octet_bit_string(&signature);
    });
    request.into_bytes()
}

fn extension_request(extensions: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.object_identifier(&oid::EXTENSION_REQUEST);
        w.nested(tag::SET, |w| w.nested(tag::SEQUENCE, extensions));
    });
    writer.into_bytes()
}

fn extension(writer: &mut Writer, oid: &Oid, value: &[u8]) {
    writer.nested(tag::SEQUENCE, |w| {
        w.object_identifier(oid);
        w.primitive(tag::OCTET_STRING, value);
    });
}

fn with_attributes(attributes: Option<&[u8]>) -> Result<CertificateRequest, RequestError> {
    let key = TestKey::p256();
    let algorithm = key.signature_algorithm().algorithm_identifier();
    CertificateRequest::from_der(&raw_request(key.public_key().spki_der(), &algorithm, attributes, &key))
}

#[test]
fn a_request_of_each_key_type_is_read_back_with_its_key_and_names() {
    for kind in KeyKind::ALL {
        let key = TestKey::generate(kind);
        let names = SubjectNames::for_server(&["www.example.com", "192.0.2.1"]).unwrap();
        let der = build_request(&names, &key).unwrap();
        let request = CertificateRequest::from_der(&der).unwrap();
        assert_eq!(request.der(), der);
        assert_eq!(request.public_key(), key.public_key());
        assert_eq!(request.names(), names, "{kind:?}");
        assert_eq!(request.ignored(), [""; 0]);
    }
}

#[test]
fn a_request_becomes_a_certificate_for_its_key_and_names_alone() {
    let ca = TestCa::new();
    let key = TestKey::p256();
    let request = CertificateRequest::from_der(&build_request(&alice(), &key).unwrap()).unwrap();
    let mut order = TestOrder::client("placeholder").order();
    order.names = request.names();
    order.public_key = request.public_key().clone();
    let issued = ca.issuer().prepare(&order).unwrap().sign(&ca.issuing().key).unwrap();
    assert_eq!(issued.public_key().unwrap(), key.public_key());
    assert_eq!(issued.subject().to_string(), "CN=alice@acme.test");
    assert_eq!(issued.subject_alt_names(), [GeneralName::Email("alice@acme.test".to_owned())]);
}

#[test]
fn a_request_without_names_in_it_has_an_empty_attribute_set() {
    let key = TestKey::p256();
    let der = build_request(&SubjectNames::for_client("alice").unwrap(), &key).unwrap();
    let mut outer = Reader::new(&der);
    let mut info = outer.nested(tag::SEQUENCE).unwrap().nested(tag::SEQUENCE).unwrap();
    let last = std::iter::from_fn(|| info.any().ok()).last().unwrap();
    // RFC 2986 section 4.1: the attributes are not optional.
    assert_eq!((last.tag, last.content), (tag::context_constructed(0), &[][..]));
    assert!(CertificateRequest::from_der(&der).unwrap().names().alternative.is_empty());
    assert!(with_attributes(Some(&[])).is_ok());
    assert!(with_attributes(None).is_ok(), "some tools leave the empty set out");
}

#[test]
fn a_request_that_its_key_did_not_sign_is_refused() {
    let key = TestKey::p256();
    let algorithm = key.signature_algorithm().algorithm_identifier();
    let stolen = raw_request(key.public_key().spki_der(), &algorithm, Some(&[]), &TestKey::p256());
    let refused = CertificateRequest::from_der(&stolen).unwrap_err();
    assert!(matches!(refused, RequestError::Possession(_)), "{refused:?}");
    assert!(refused.to_string().contains("make the request again"), "{refused}");

    let mut changed = build_request(&alice(), &key).unwrap();
    let at = changed.windows(5).position(|window| window == b"alice").unwrap();
    changed[at] = b'A';
    assert!(matches!(CertificateRequest::from_der(&changed), Err(RequestError::Possession(_))));
}

#[test]
fn weak_keys_unknown_curves_and_broken_algorithms_are_refused_by_name() {
    let key = TestKey::p256();
    let algorithm = key.signature_algorithm().algorithm_identifier();
    let refuse = |spki: &[u8], algorithm: &[u8]| {
        CertificateRequest::from_der(&raw_request(spki, algorithm, Some(&[]), &key)).unwrap_err()
    };
    let weak = refuse(&rsa_1024_spki(), &algorithm);
    assert!(matches!(&weak, RequestError::WeakKey(why) if why.contains("1024")), "{weak:?}");
    let curve = refuse(&unknown_curve_spki(), &algorithm);
    assert!(matches!(&curve, RequestError::Key(PublicKeyError::UnknownCurve(_))), "{curve:?}");
    let sha1 = refuse(key.public_key().spki_der(), &sha1_with_rsa());
    assert!(matches!(&sha1, RequestError::Algorithm(name) if name == "sha1WithRSAEncryption"), "{sha1:?}");
    let mixed = refuse(key.public_key().spki_der(), &SignatureAlgorithm::Ed25519.algorithm_identifier());
    assert!(matches!(mixed, RequestError::Possession(_)), "{mixed:?}");
}

#[test]
fn ca_true_and_odd_extensions_and_attributes_are_ignored_and_listed() {
    let odd = Oid::from_dotted("1.2.3.4").unwrap();
    let mut attributes = extension_request(|w| {
        extension(w, &oid::BASIC_CONSTRAINTS, &[0x30, 0x03, 0x01, 0x01, 0xff]);
        extension(w, &oid::SUBJECT_ALT_NAME, b"\x30\x0b\x82\x09localhost");
        extension(w, &odd, &[0x05, 0x00]);
    });
    let mut password = Writer::new();
    password.nested(tag::SEQUENCE, |w| {
        // challengePassword.
        w.object_identifier(&Oid::from_dotted("1.2.840.113549.1.9.7").unwrap());
        w.nested(tag::SET, |w| w.primitive(tag::UTF8_STRING, b"secret"));
    });
    attributes.extend(password.into_bytes());
    let request = with_attributes(Some(&attributes)).unwrap();
    assert_eq!(request.names().alternative, [GeneralName::Dns("localhost".to_owned())]);
    let ignored = request.ignored().join("; ");
    assert!(ignored.contains("basicConstraints CA:TRUE"), "{ignored}");
    assert!(ignored.contains("the extension 1.2.3.4"), "{ignored}");
    assert!(ignored.contains("the attribute"), "{ignored}");
    assert!(!ignored.contains("secret"), "a password is shown to nobody: {ignored}");
}

#[test]
fn a_second_extension_request_is_refused_and_does_not_replace_the_first() {
    let one = extension_request(|w| extension(w, &oid::SUBJECT_ALT_NAME, b"\x30\x0b\x82\x09localhost"));
    let two = extension_request(|w| extension(w, &oid::SUBJECT_ALT_NAME, b"\x30\x0b\x82\x09evil.test"));
    assert!(with_attributes(Some(&one)).is_ok());
    let both = with_attributes(Some(&[one, two].concat()));
    assert!(matches!(both, Err(RequestError::Der(_))), "{both:?}");
}

#[test]
fn names_of_kinds_that_no_profile_issues_are_carried_and_refused_at_issuance() {
    let ca = TestCa::new();
    // An otherName of an unknown type.
    let value = [0x30, 0x0a, 0xa0, 0x08, 0x06, 0x02, 0x2a, 0x03, 0xa0, 0x02, 0x05, 0x00];
    let attributes = extension_request(|w| extension(w, &oid::SUBJECT_ALT_NAME, &value));
    let request = with_attributes(Some(&attributes)).unwrap();
    let mut order = TestOrder::client("alice").order();
    order.names = request.names();
    assert!(matches!(ca.issuer().prepare(&order), Err(PrepareError::Name(_))));
}

#[test]
fn requests_made_by_openssl_are_read_for_each_key_type() {
    let cases: [(&[&str], KeyAlgorithm); 5] = [
        (&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], KeyAlgorithm::P256),
        (&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"], KeyAlgorithm::P384),
        (&["-newkey", "ed25519"], KeyAlgorithm::Ed25519),
        (&["-newkey", "rsa:2048"], KeyAlgorithm::Rsa(2048)),
        (
            &["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"],
            KeyAlgorithm::Rsa(2048),
        ),
    ];
    for (arguments, algorithm) in cases {
        let request = CertificateRequest::from_der(&openssl_request(arguments, &[])).unwrap();
        assert_eq!(request.public_key().algorithm(), algorithm, "{arguments:?}");
        let names = request.names();
        assert_eq!(names.common_name.as_deref(), Some("www.example.com"));
        let alternative: Vec<String> = names.alternative.iter().map(ToString::to_string).collect();
        assert_eq!(
            alternative,
            ["DNS:www.example.com", "IP:192.0.2.1", "email:a@acme.test", "URI:spiffe://a/b"]
        );
        assert_eq!(request.ignored(), ["the subject's organizationName 'Acme'"]);
    }
}

#[test]
fn what_openssl_users_ask_for_beyond_names_is_listed() {
    let more = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"];
    let der = openssl_request(&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], &more);
    let request = CertificateRequest::from_der(&der).unwrap();
    let ignored = request.ignored().join("; ");
    assert!(ignored.contains("CA:TRUE") && ignored.contains("keyUsage"), "{ignored}");
}

#[test]
fn weak_and_unknown_keys_of_openssl_are_refused() {
    let weak = CertificateRequest::from_der(&openssl_request(&["-newkey", "rsa:1024"], &[]));
    assert!(matches!(&weak, Err(RequestError::WeakKey(_))), "{weak:?}");
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"];
    let curve = CertificateRequest::from_der(&openssl_request(&curve, &[]));
    assert!(matches!(&curve, Err(RequestError::Key(PublicKeyError::UnknownCurve(_)))), "{curve:?}");
    let explicit =
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"];
    let explicit = CertificateRequest::from_der(&openssl_request(&explicit, &[])).unwrap_err();
    assert!(explicit.to_string().contains("spelled out"), "{explicit}");
}

#[test]
fn openssl_verifies_our_requests_of_each_key_type() {
    for kind in KeyKind::ALL {
        let openssl = Openssl::new();
        let der = build_request(&alice(), &TestKey::generate(kind)).unwrap();
        let file = openssl.file("request.der", der);
        let said = openssl.run(&["req", "-inform", "DER", "-in", text(&file), "-verify", "-noout"]);
        assert!(said.as_ref().is_ok_and(|said| said.contains("OK")), "{kind:?}: {said:?}");
    }
}

fn openssl_request(key: &[&str], more: &[&str]) -> Vec<u8> {
    let openssl = Openssl::new();
    let mut arguments =
        vec!["req", "-new", "-nodes", "-keyout", "key.pem", "-outform", "DER", "-out", "request.der"];
    arguments.extend(["-subj", "/O=Acme/CN=www.example.com", "-addext"]);
    arguments.push("subjectAltName=DNS:www.example.com,IP:192.0.2.1,email:a@acme.test,URI:spiffe://a/b");
    arguments.extend_from_slice(more);
    arguments.extend_from_slice(key);
    openssl.run(&arguments).unwrap();
    std::fs::read(openssl.path("request.der")).unwrap()
}
