//! OCSP responses: believed from the issuer or from whom it delegated, for the certificate they name, while they last.

use pki::crl::{Revocation, RevocationReason};
use pki::ocsp::{
    CertId, CertStatus, HashAlgorithm, Request, ResponseStatus, SingleResponse, prepare, refusal,
};
use pki::oid;
use pki::verify::ReasonCode;
use testkit::{RawCertificate, RawList, TestIdentity, days_from_now, now};

use crate::common::check;

fn single(leaf: &TestIdentity, issuer: &TestIdentity, status: CertStatus) -> SingleResponse {
    SingleResponse {
        certificate: CertId::new(&issuer.certificate, leaf.certificate.serial(), HashAlgorithm::Sha1)
            .unwrap(),
        status,
        this_update: days_from_now(-1),
        next_update: Some(days_from_now(1)),
    }
}

fn signed(by: &TestIdentity, single: SingleResponse) -> Vec<u8> {
    let certificates = [by.certificate.clone()];
    prepare(&by.certificate, now(), &[single], None, &certificates).unwrap().sign(&by.key).unwrap()
}

fn revoked() -> CertStatus {
    CertStatus::Revoked(Revocation { revoked_at: days_from_now(-2), reason: RevocationReason::KeyCompromise })
}

#[test]
fn the_issuers_own_answer_settles_the_status_either_way() {
    let root = RawCertificate::ca("Root").self_signed();
    let leaf = RawCertificate::client("alice").issued_by(&root);
    for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha256] {
        let mut good = single(&leaf, &root, CertStatus::Good);
        good.certificate = CertId::new(&root.certificate, leaf.certificate.serial(), hash).unwrap();
        let good = signed(&root, good);
        assert_eq!(check(&leaf, &[&root]).crls_required().ocsp(&good).codes(), [], "{hash:?}");
    }
    let refused = check(&leaf, &[&root]).ocsp(&signed(&root, single(&leaf, &root, revoked())));
    assert_eq!(refused.codes(), [ReasonCode::CertificateRevoked]);
    assert!(
        refused.message().contains("2026-06-13T12:00:00Z (keyCompromise) by 'Root'"),
        "{}",
        refused.message()
    );
}

#[test]
fn an_answer_for_another_certificate_says_nothing() {
    let root = RawCertificate::ca("Root").self_signed();
    let (alice, bob) =
        (RawCertificate::client("alice").issued_by(&root), RawCertificate::client("bob").issued_by(&root));
    let about_bob = signed(&root, single(&bob, &root, revoked()));
    assert_eq!(check(&alice, &[&root]).ocsp(&about_bob).codes(), []);
    assert_eq!(check(&alice, &[&root]).crls_required().ocsp(&about_bob).codes(), [ReasonCode::CrlMissing]);
}

#[test]
fn a_delegated_responder_needs_the_usage_and_the_issuers_own_signature() {
    let root = RawCertificate::ca("Root").self_signed();
    let other = RawCertificate::ca("Other").self_signed();
    let leaf = RawCertificate::client("alice").issued_by(&root);
    let delegate = RawCertificate::client("Responder").extended_key_usages(&[oid::OCSP_SIGNING]);
    let good = || single(&leaf, &root, CertStatus::Good);
    let codes = |responder: &TestIdentity| {
        check(&leaf, &[&root]).crls_required().ocsp(&signed(responder, good())).codes()
    };
    assert_eq!(codes(&delegate.issued_by(&root)), []);
    let refused = [ReasonCode::CrlMissing, ReasonCode::OcspInvalid];
    assert_eq!(
        codes(&RawCertificate::client("Mallory").issued_by(&root)),
        refused,
        "a client is no responder"
    );
    assert_eq!(codes(&delegate.issued_by(&other)), refused, "made by another CA");
    let expired = delegate.clone().valid(days_from_now(-9), days_from_now(-3));
    assert_eq!(codes(&expired.issued_by(&root)), refused, "expired");
    assert_eq!(codes(&delegate.clone().key_usage(&[2]).issued_by(&root)), refused, "its key may not sign");
}

#[test]
fn a_revoked_responder_is_believed_only_where_its_ca_asks_not_to_look() {
    let root = RawCertificate::ca("Root").self_signed();
    let leaf = RawCertificate::client("alice").issued_by(&root);
    let delegate = RawCertificate::client("Responder").extended_key_usages(&[oid::OCSP_SIGNING]);
    let without = delegate.issued_by(&root);
    let with = delegate.extension(oid::OCSP_NO_CHECK, false, vec![5, 0]).issued_by(&root);
    let list = RawList::new().revoke(without.certificate.serial()).signed_by(&root);
    let codes = |responder: &TestIdentity| {
        let good = single(&leaf, &root, CertStatus::Good);
        check(&leaf, &[&root]).raw_crl(&list).ocsp(&signed(responder, good)).codes()
    };
    assert_eq!(codes(&without), [ReasonCode::OcspInvalid]);
    assert_eq!(codes(&with), []);
}

#[test]
fn an_answer_that_is_old_or_to_come_or_knows_nothing_is_told_and_not_believed() {
    let root = RawCertificate::ca("Root").self_signed();
    let leaf = RawCertificate::client("alice").issued_by(&root);
    let cases = [
        (CertStatus::Unknown, -1, Some(1), "does not know"),
        (CertStatus::Good, -3, Some(-2), "it was good until"),
        (CertStatus::Good, 1, Some(2), "to come"),
        (CertStatus::Good, -3, None, "has no end"),
    ];
    for (status, start, end, said) in cases {
        let answer = SingleResponse {
            this_update: days_from_now(start),
            next_update: end.map(days_from_now),
            ..single(&leaf, &root, status)
        };
        let refused = check(&leaf, &[&root]).ocsp(&signed(&root, answer));
        assert_eq!(refused.codes(), [ReasonCode::OcspInvalid], "{said}");
        assert!(refused.message().contains(said), "{}", refused.message());
    }
}

#[test]
fn a_damaged_answer_is_not_believed_and_never_panics() {
    let root = RawCertificate::ca("Root").self_signed();
    let leaf = RawCertificate::client("alice").issued_by(&root);
    let good = signed(&root, single(&leaf, &root, CertStatus::Good));
    let mut read = 0;
    for at in 0..good.len() {
        for bits in [0x01, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= bits;
            let Ok(response) = pki::ocsp::Response::from_der(&bytes) else { continue };
            read += 1;
            let by = response.signer_for(&root.certificate, now());
            // The certificates it brings along are outside of the signature.
            assert!(by.is_err() || at > good.len() - root.certificate.der().len() - 8, "{at}");
        }
        assert!(pki::ocsp::Response::from_der(&good[..at]).is_err());
    }
    assert!(read > 300, "the changes reach beyond the parser: {read}");
}

#[test]
fn a_question_is_read_back_with_its_nonce_and_damaged_ones_never_panic() {
    let root = RawCertificate::ca("Root").self_signed();
    let id = CertId::new(&root.certificate, &[1, 2, 3], HashAlgorithm::Sha256).unwrap();
    let request = Request { certificates: vec![id.clone(), id], nonce: Some(vec![9; 32]) };
    let der = request.to_der();
    assert_eq!(Request::from_der(&der).unwrap(), request);
    assert!(Request { nonce: Some(Vec::new()), ..request.clone() }.to_der().len() > 10);
    assert!(Request::from_der(&Request { nonce: Some(Vec::new()), ..request.clone() }.to_der()).is_err());
    assert!(Request::from_der(&Request { nonce: Some(vec![0; 129]), ..request.clone() }.to_der()).is_err());
    assert!(Request::from_der(&Request { certificates: Vec::new(), ..request }.to_der()).is_err());
    for at in 0..der.len() {
        let mut bytes = der.clone();
        bytes[at] ^= 0xff;
        let _ = Request::from_der(&bytes);
        assert!(Request::from_der(&der[..at]).is_err());
    }
}

#[test]
fn a_responder_without_an_answer_is_quoted() {
    for status in [ResponseStatus::TryLater, ResponseStatus::Unauthorized, ResponseStatus::MalformedRequest] {
        let error = pki::ocsp::Response::from_der(&refusal(status)).unwrap_err();
        assert!(error.to_string().contains(status.name()), "{error}");
    }
}

#[test]
fn what_a_server_staples_can_help_or_convict_and_a_useless_one_is_as_good_as_none() {
    use pki::verify::{Purpose, RevocationMode, Rules, TrustBundle, verify_stapled};
    let root = RawCertificate::ca("Root").self_signed();
    let stranger = RawCertificate::ca("Stranger").self_signed();
    let leaf = RawCertificate::server("localhost").issued_by(&root);
    let anchors = TrustBundle::new(vec![root.certificate.clone()]);
    let old = SingleResponse {
        this_update: days_from_now(-9),
        next_update: Some(days_from_now(-3)),
        ..single(&leaf, &root, CertStatus::Good)
    };
    let forged = signed(&stranger, single(&leaf, &root, revoked()));
    let unknown = signed(&root, single(&leaf, &root, CertStatus::Unknown));
    /// What is stapled, and the verdict where lists are known, and where proof is required.
    type Case = (&'static str, Vec<u8>, Option<ReasonCode>, Option<ReasonCode>);
    let cases: &[Case] = &[
        ("nothing", Vec::new(), None, Some(ReasonCode::CrlMissing)),
        ("noise", vec![0x30, 0x03, 0x0a, 0x01], None, Some(ReasonCode::CrlMissing)),
        ("good", signed(&root, single(&leaf, &root, CertStatus::Good)), None, None),
        ("good until the day before yesterday", signed(&root, old), None, Some(ReasonCode::CrlMissing)),
        ("unknown", unknown, None, Some(ReasonCode::CrlMissing)),
        ("forged", forged, None, Some(ReasonCode::CrlMissing)),
        (
            "revoked",
            signed(&root, single(&leaf, &root, revoked())),
            Some(ReasonCode::CertificateRevoked),
            Some(ReasonCode::CertificateRevoked),
        ),
    ];
    for (what, stapled, known, required) in cases {
        for (revocation, expected) in
            [(RevocationMode::WhereKnown, known), (RevocationMode::Required, required)]
        {
            let rules = Rules { revocation, ..Rules::new(&anchors, Purpose::Server, now()) };
            let verdict = verify_stapled(&leaf.certificate, &[], &rules, stapled);
            let codes: Vec<ReasonCode> = match verdict {
                Ok(_) => Vec::new(),
                Err(refusal) => refusal.reasons().iter().map(|reason| reason.code).collect(),
            };
            assert_eq!(codes.first(), expected.as_ref(), "{what}, {revocation:?}");
            let is_told = expected == &Some(ReasonCode::CrlMissing) && !["nothing", "noise"].contains(what);
            assert_eq!(
                codes.contains(&ReasonCode::OcspInvalid),
                is_told,
                "{what}, {revocation:?}: {codes:?}"
            );
        }
    }
}
