//! Issuance: what each profile writes, what is refused before anything is signed, and revocation lists.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;

use jiff::SignedDuration;
use pki::crl::{CertificateRevocationList, RevocationReason, RevokedEntry};
use pki::der::tag;
use pki::extension::{BasicConstraints, KeyUsage, NameConstraints};
use pki::issuer::{Issuer, Order, PrepareError, SignPreparedError, prepare_root};
use pki::key::{PublicKey, SignError, SignatureAlgorithm, SigningKey};
use pki::name::{DistinguishedName, GeneralName, NameError, SubjectNames};
use pki::oid::{self, Oid};
use pki::{Certificate, Profile};
use testkit::{
    KeyKind, RawCertificate, TestCa, TestKey, TestOrder, days_from_now, now, permit, rsa_1024_spki,
};

/// Each extension's OID and mark, in order.
fn extensions(certificate: &Certificate) -> Vec<(Oid, bool)> {
    certificate.extensions().iter().map(|e| (e.oid, e.critical)).collect()
}

fn ca_order(profile: Profile, key: &TestKey) -> Order {
    Order {
        profile,
        names: SubjectNames { common_name: Some("A CA".to_owned()), ..SubjectNames::default() },
        public_key: key.public_key().clone(),
        serial: vec![0x11; 16],
        not_before: days_from_now(-1),
        not_after: days_from_now(100),
        constraints: NameConstraints::default(),
        publication: pki::extension::Publication::default(),
    }
}

#[test]
fn a_servers_certificate_has_exactly_the_fields_of_its_profile() {
    for kind in KeyKind::ALL {
        let ca = TestCa::new().with_keys(kind);
        let order = TestOrder::server(&["www.example.com", "192.0.2.1"]).key_kind(kind);
        let wanted = order.clone();
        let issued = ca.issue(order).certificate;
        let issuer = &ca.issuing().certificate;
        assert_eq!(issued.serial(), wanted.serial);
        assert_eq!(issued.signature_algorithm(), Some(SignatureAlgorithm::for_key(kind.algorithm())));
        assert_eq!(issued.issuer().der(), issuer.subject().der());
        assert_eq!(issued.subject().to_string(), "CN=www.example.com");
        assert_eq!((issued.not_before(), issued.not_after()), (wanted.not_before, wanted.not_after));
        assert_eq!(issued.public_key().unwrap(), wanted.key.public_key());
        assert_eq!(
            extensions(&issued),
            [
                (oid::KEY_USAGE, true),
                (oid::EXTENDED_KEY_USAGE, false),
                (oid::SUBJECT_KEY_IDENTIFIER, false),
                (oid::AUTHORITY_KEY_IDENTIFIER, false),
                (oid::SUBJECT_ALT_NAME, false),
            ]
        );
        let usage = match kind {
            KeyKind::Rsa2048 => KeyUsage::DIGITAL_SIGNATURE.with(KeyUsage::KEY_ENCIPHERMENT),
            _ => KeyUsage::DIGITAL_SIGNATURE,
        };
        assert_eq!(issued.key_usage(), Some(usage), "{kind:?}");
        assert_eq!(issued.extended_key_usages(), Some(&[oid::SERVER_AUTH][..]));
        assert_eq!(issued.basic_constraints(), None);
        assert_eq!(issued.subject_key_identifier(), Some(&wanted.key.public_key().key_identifier()[..]));
        assert_eq!(issued.authority_key_identifier(), issuer.subject_key_identifier());
        assert_eq!(
            issued.subject_alt_names(),
            [GeneralName::Dns("www.example.com".to_owned()), GeneralName::Ip(IpAddr::from([192, 0, 2, 1]))]
        );
        assert!(issued.verify_signature(issuer.public_key().unwrap()).is_ok());
    }
}

#[test]
fn a_clients_certificate_says_client_and_carries_its_unit_and_organization() {
    let ca = TestCa::new();
    let mut order = TestOrder::client("alice").unit("Ops").unit("Night Shift");
    order.names.organization = Some("Acme, Inc.".to_owned());
    let issued = ca.issue(order).certificate;
    assert_eq!(issued.subject().to_string(), r"CN=alice,OU=Night Shift,OU=Ops,O=Acme\, Inc.");
    assert_eq!(issued.extended_key_usages(), Some(&[oid::CLIENT_AUTH][..]));
    assert_eq!(issued.key_usage(), Some(KeyUsage::DIGITAL_SIGNATURE));
    assert_eq!(issued.subject_alt_names(), []);
    assert!(!extensions(&issued).iter().any(|(oid, _)| *oid == oid::SUBJECT_ALT_NAME));
}

#[test]
fn a_client_without_common_name_has_a_critical_alternative_name() {
    let ca = TestCa::new();
    let mut order = TestOrder::client("spiffe://acme.test/web");
    order.names.common_name = None;
    let issued = ca.issue(order).certificate;
    assert!(issued.subject().is_empty());
    assert!(extensions(&issued).contains(&(oid::SUBJECT_ALT_NAME, true)));
}

#[test]
fn a_root_is_self_signed_and_an_issuing_ca_has_path_length_zero_and_both_carry_the_constraints() {
    let constraints = permit(&["DNS:localhost", "IP:127.0.0.0/8", "email:acme.test", "URI:acme.test"]);
    let ca = TestCa::new().with_constraints(constraints.clone());
    let (root, issuing) = (&ca.root().certificate, &ca.issuing().certificate);
    assert_eq!(root.issuer().der(), root.subject().der());
    assert!(root.verify_signature(root.public_key().unwrap()).is_ok());
    assert_eq!(root.subject_key_identifier(), root.authority_key_identifier());
    assert_eq!(root.basic_constraints(), Some(BasicConstraints { ca: true, path_length: None }));
    assert_eq!(issuing.basic_constraints(), Some(BasicConstraints { ca: true, path_length: Some(0) }));
    for certificate in [root, issuing] {
        assert_eq!(
            extensions(certificate),
            [
                (oid::BASIC_CONSTRAINTS, true),
                (oid::KEY_USAGE, true),
                (oid::SUBJECT_KEY_IDENTIFIER, false),
                (oid::AUTHORITY_KEY_IDENTIFIER, false),
                (oid::NAME_CONSTRAINTS, true),
            ]
        );
        assert_eq!(certificate.key_usage(), Some(KeyUsage::KEY_CERT_SIGN.with(KeyUsage::CRL_SIGN)));
        assert_eq!(certificate.name_constraints(), Some(&constraints));
    }
    let issuer = ca.issuer();
    assert_eq!(issuer.anchor(), root);
    assert_eq!(issuer.intermediates(), std::slice::from_ref(issuing));
}

#[test]
fn constraints_are_no_part_of_a_leaf() {
    let ca = TestCa::new();
    let key = TestKey::p256();
    let mut order = TestOrder::client("alice").key(key.clone()).order();
    order.constraints = permit(&["DNS:localhost"]);
    let issued = ca.issuer().prepare(&order).unwrap().sign(&ca.issuing().key).unwrap();
    assert_eq!(issued.name_constraints(), None);
}

#[test]
fn what_is_prepared_is_what_is_signed() {
    let ca = TestCa::new();
    let prepared = ca.issuer().prepare(&TestOrder::client("alice").order()).unwrap();
    let recorded = prepared.tbs_der().to_vec();
    let issued = prepared.sign(&ca.issuing().key).unwrap();
    assert_eq!(issued.tbs_der(), recorded);
}

#[test]
fn a_name_outside_the_constraints_is_refused_before_signing_with_issuer_rule_and_remedy() {
    let ca = TestCa::new().with_constraints(permit(&["DNS:localhost", "IP:127.0.0.0/8"]));
    let refused = ca.issuer().prepare(&TestOrder::server(&["www.example.com"]).order()).unwrap_err();
    let PrepareError::Constraint { name, issuer, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(name.to_string(), "DNS:www.example.com");
    assert_eq!(issuer, "Test Issuing CA");
    let message = refused.to_string();
    assert!(message.contains("permit only DNS:localhost"), "{message}");
    assert!(message.contains("countersign init --permit"), "{message}");
    let address = ca.issuer().prepare(&TestOrder::server(&["localhost", "10.0.0.1"]).order());
    assert!(matches!(address, Err(PrepareError::Constraint { .. })), "{address:?}");
}

#[test]
fn the_constraints_of_the_anchor_hold_where_the_issuing_ca_has_none() {
    let value = testkit::constraints_der(&[testkit::subtree_der("DNS:localhost")], &[]);
    let root = RawCertificate::ca("Root").name_constraints(value).self_signed();
    let issuing = RawCertificate::ca("Issuing").issued_by(&root);
    let issuer = Issuer::new(issuing.certificate, vec![root.certificate]).unwrap();
    let refused = issuer.prepare(&TestOrder::server(&["www.example.com"]).order()).unwrap_err();
    assert!(matches!(&refused, PrepareError::Constraint { issuer, .. } if issuer == "Root"), "{refused:?}");
}

#[test]
fn a_common_name_that_openssl_would_hold_against_dns_constraints_is_refused() {
    let ca = TestCa::new().with_constraints(permit(&["DNS:localhost", "IP:127.0.0.0/8"]));
    let mut order = TestOrder::server(&["127.0.0.1"]);
    order.names.common_name = Some("www.example.com".to_owned());
    let refused = ca.issuer().prepare(&order.order()).unwrap_err();
    assert!(refused.to_string().contains("commonName"), "{refused}");
}

#[test]
fn every_way_to_break_an_order_has_its_error() {
    let ca = TestCa::new();
    let refuse = |order: TestOrder| ca.issuer().prepare(&order.order()).unwrap_err();
    let client = || TestOrder::client("alice");

    let mut nameless = client();
    nameless.names = SubjectNames::default();
    assert_eq!(refuse(nameless), PrepareError::Name(NameError::Empty));
    let mut server = TestOrder::server(&["localhost"]);
    server.names.alternative.clear();
    assert_eq!(refuse(server), PrepareError::NoServerName);
    let wildcard = client().name(GeneralName::Dns("*.example.com".to_owned()));
    assert_eq!(refuse(wildcard), PrepareError::ClientWildcard("*.example.com".to_owned()));
    for serial in [&[0x11; 15][..], &[0x11; 21], &[0x00; 16], &[0x80; 16]] {
        assert_eq!(refuse(client().serial(serial)), PrepareError::Serial, "{serial:?}");
    }
    let backwards = client().valid(days_from_now(2), days_from_now(1));
    assert!(matches!(refuse(backwards), PrepareError::Validity(why) if why.contains("before it starts")));
    let too_long = client().valid(days_from_now(-1), days_from_now(9999));
    assert!(matches!(refuse(too_long), PrepareError::Validity(why) if why.contains("ask for a shorter one")));
    let too_early = client().valid(days_from_now(-999), days_from_now(1));
    assert!(matches!(refuse(too_early), PrepareError::Validity(_)));

    let mut weak = client().order();
    weak.public_key = PublicKey::from_spki_der(&rsa_1024_spki()).unwrap();
    let refused = ca.issuer().prepare(&weak).unwrap_err();
    assert!(matches!(&refused, PrepareError::WeakKey(why) if why.contains("1024")), "{refused:?}");

    for name in [
        GeneralName::Dns("UPPER.example.com".to_owned()),
        GeneralName::Dns("a..example.com".to_owned()),
        GeneralName::Dns("*.*.example.com".to_owned()),
        GeneralName::Email("no mailbox".to_owned()),
        GeneralName::Uri("no uri".to_owned()),
        GeneralName::Directory(DistinguishedName::build(&[(oid::COMMON_NAME, "x")])),
        GeneralName::Other { kind: 0, der: vec![0xa0, 0x00] },
    ] {
        let refused = refuse(client().name(name.clone()));
        assert!(matches!(refused, PrepareError::Name(_)), "{name}: {refused:?}");
    }
    for common_name in ["", " ", "line\nbreak", &"x".repeat(65)] {
        let mut order = client();
        order.names.common_name = Some(common_name.to_owned());
        let refused = refuse(order);
        assert!(matches!(refused, PrepareError::Name(NameError::Attribute { .. })), "{common_name:?}");
    }
}

#[test]
fn only_a_ca_with_a_usable_key_becomes_an_issuer() {
    let ca = TestCa::new();
    let leaf = ca.issue_client("alice");
    assert_eq!(
        Issuer::new(leaf.certificate, leaf.chain).unwrap_err(),
        PrepareError::NotACa("alice".to_owned())
    );
    let no_signer = RawCertificate::ca("Reader").key_usage(&[6]).self_signed();
    assert_eq!(
        Issuer::new(no_signer.certificate, Vec::new()).unwrap_err(),
        PrepareError::NotACa("Reader".to_owned())
    );
    let odd_curve = RawCertificate::ca("Odd").public_key_der(testkit::unknown_curve_spki());
    let odd_curve = odd_curve.issued_by(ca.root()).certificate;
    assert!(matches!(Issuer::new(odd_curve, Vec::new()), Err(PrepareError::IssuerKey(_))));
    let key = TestKey::p256();
    assert!(matches!(prepare_root(&ca_order(Profile::Issuing, &key)), Err(PrepareError::NotACa(_))));
}

#[test]
fn no_ca_is_issued_where_the_path_length_leaves_no_room_and_no_root_below_another() {
    let ca = TestCa::new();
    let key = TestKey::p256();
    let refused = ca.issuer().prepare(&ca_order(Profile::Issuing, &key)).unwrap_err();
    assert!(matches!(&refused, PrepareError::CaBelow(why) if why.contains("path length 0")), "{refused:?}");
    let root = Issuer::new(ca.root().certificate.clone(), Vec::new()).unwrap();
    let refused = root.prepare(&ca_order(Profile::Root, &key)).unwrap_err();
    assert!(matches!(&refused, PrepareError::CaBelow(why) if why.contains("self-signed")), "{refused:?}");
    assert!(root.prepare(&ca_order(Profile::Issuing, &key)).is_ok());
}

#[test]
fn fractions_of_a_second_do_not_push_a_certificate_out_of_its_issuers_validity() {
    let half = SignedDuration::from_millis(500);
    let key = TestKey::p256();
    let mut order = ca_order(Profile::Root, &key);
    (order.not_before, order.not_after) = (now() + half, days_from_now(10) + half);
    let root = prepare_root(&order).unwrap().sign(&key).unwrap();
    assert_eq!((root.not_before(), root.not_after()), (now(), days_from_now(10)));
    let issuer = Issuer::new(root, Vec::new()).unwrap();
    let client = TestOrder::client("alice").valid(now() + half, days_from_now(10) + half);
    let issued = issuer.prepare(&client.order()).unwrap().sign(&key).unwrap();
    assert_eq!(issued.not_after(), days_from_now(10));
}

/// A key that holds the right public half and signs something else, or fails, as a broken token would.
struct Faulty {
    key: TestKey,
    answer: fn(Vec<u8>) -> Result<Vec<u8>, SignError>,
}

impl SigningKey for Faulty {
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        (self.answer)(self.key.sign(message)?)
    }
}

#[test]
fn another_key_and_a_faulty_one_sign_nothing() {
    let ca = TestCa::new();
    let prepare = || ca.issuer().prepare(&TestOrder::client("alice").order()).unwrap();
    assert!(matches!(prepare().sign(&TestKey::p256()), Err(SignPreparedError::WrongKey)));
    let rsa = TestKey::generate(KeyKind::Rsa2048);
    assert!(matches!(prepare().sign(&rsa), Err(SignPreparedError::WrongKey)));

    let key = ca.issuing().key.clone();
    let damaging = |mut signature: Vec<u8>| {
        let last = signature.len() - 1;
        signature[last] ^= 1;
        Ok(signature)
    };
    let damaged = prepare().sign(&Faulty { key: key.clone(), answer: damaging });
    assert!(matches!(damaged, Err(SignPreparedError::Differs(_))), "{damaged:?}");
    let refusing = |_| Err(SignError::Refused("the token is locked".to_owned()));
    let refused = prepare().sign(&Faulty { key: key.clone(), answer: refusing }).unwrap_err();
    assert!(refused.to_string().contains("the token is locked"), "{refused}");

    let list = ca.issuer().prepare_crl(1, now(), days_from_now(7), &[]).unwrap();
    assert!(matches!(list.sign(&TestKey::p256()), Err(SignPreparedError::WrongKey)));
    let list = ca.issuer().prepare_crl(1, now(), days_from_now(7), &[]).unwrap();
    let damaged = list.sign(&Faulty { key, answer: damaging });
    assert!(matches!(damaged, Err(SignPreparedError::Differs(_))), "{damaged:?}");
}

#[test]
fn a_list_is_read_back_with_every_reason_and_date() {
    for kind in KeyKind::ALL {
        let ca = TestCa::new().with_keys(kind);
        let entries: Vec<RevokedEntry> = RevocationReason::ALL
            .into_iter()
            .enumerate()
            .map(|(index, reason)| RevokedEntry {
                serial: [vec![0x7f; 15], vec![u8::try_from(index).unwrap()]].concat(),
                revoked_at: days_from_now(-i64::try_from(index).unwrap()),
                reason,
            })
            .collect();
        let next = days_from_now(7);
        let der = ca.issuer().prepare_crl(258, now(), next, &entries).unwrap();
        let der = der.sign(&ca.issuing().key).unwrap();
        let crl = CertificateRevocationList::from_der(&der).unwrap();
        assert_eq!(crl.der(), der);
        assert_eq!(crl.issuer().der(), ca.issuing().certificate.subject().der());
        assert_eq!((crl.this_update(), crl.next_update()), (now(), Some(next)));
        assert_eq!(crl.number(), Some(&[1, 2][..]));
        assert_eq!(crl.authority_key_identifier(), ca.issuing().certificate.subject_key_identifier());
        assert_eq!(crl.len(), entries.len());
        for entry in &entries {
            let found = crl.revocation(&entry.serial).unwrap();
            assert_eq!((found.revoked_at, found.reason), (entry.revoked_at, entry.reason));
        }
        assert!(crl.revocation(&[0x7f; 16]).is_none());
        assert!(crl.verify_signature(ca.issuing().key.public_key()).is_ok());
        assert!(crl.verify_signature(ca.root().key.public_key()).is_err());
    }
}

#[test]
fn an_empty_list_leaves_the_entries_out() {
    let ca = TestCa::new();
    let crl = ca.crl(&[], now(), days_from_now(7));
    assert!(crl.is_empty());
    let mut outer = pki::der::Reader::new(crl.der());
    let mut list = outer.nested(tag::SEQUENCE).unwrap().nested(tag::SEQUENCE).unwrap();
    let tags: Vec<u8> = std::iter::from_fn(|| list.any().ok().map(|tlv| tlv.tag)).collect();
    assert_eq!(tags, [tag::INTEGER, tag::SEQUENCE, tag::SEQUENCE, tag::UTC_TIME, tag::UTC_TIME, 0xa0]);
}

#[test]
fn a_list_of_ten_thousand_is_read_back_whole() {
    let ca = TestCa::new();
    let serials: Vec<[u8; 16]> = (0..10_000u64)
        .map(|n| [(1 << 62 | n).to_be_bytes(), n.to_be_bytes()].concat().try_into().unwrap())
        .collect();
    let slices: Vec<&[u8]> = serials.iter().map(|serial| &serial[..]).collect();
    let crl = ca.crl(&slices, now(), days_from_now(7));
    assert_eq!(crl.len(), 10_000);
    assert!(serials.iter().all(|serial| crl.revocation(serial).is_some()));
    assert!(crl.verify_signature(ca.issuing().key.public_key()).is_ok());
}

#[test]
fn a_list_that_would_be_over_before_it_starts_or_that_its_issuer_may_not_sign_is_refused() {
    let ca = TestCa::new();
    let refused = ca.issuer().prepare_crl(1, now(), now(), &[]).unwrap_err();
    assert!(matches!(refused, PrepareError::Validity(_)), "{refused:?}");
    let no_lists = RawCertificate::ca("No Lists").key_usage(&[5]).self_signed();
    let issuer = Issuer::new(no_lists.certificate, Vec::new()).unwrap();
    let refused = issuer.prepare_crl(1, now(), days_from_now(7), &[]).unwrap_err();
    assert!(matches!(&refused, PrepareError::NoCrlSign(name) if name == "No Lists"), "{refused:?}");
}
