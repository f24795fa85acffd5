//! Signed documents: made with every kind of key and read back, damaged in tens of thousands of ways, stamped, and cut into
//! pieces of any size. What other programs make of them is for the interop cases.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    KeyPair as _, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair,
    PqdsaSigningAlgorithm,
};
use common::damage::mutations;
use pki::Certificate;
use pki::cms::{
    CheckError, ContentHash, DocumentPurpose, Draft, DraftError, HashAlgorithm, Hasher, Intake, SignedData,
    SignerIdentifier, TimestampError, with_timestamp,
};
use pki::key::{PublicKey, SignError, SignatureAlgorithm, SigningKey};
use pki::oid;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use testkit::{KeyKind, TestCa, TestOrder, now};

/// An ML-DSA key, which the builders for tests have not.
struct MlDsa {
    pair: PqdsaKeyPair,
    public: PublicKey,
    length: usize,
}

impl MlDsa {
    fn new(set: &'static PqdsaSigningAlgorithm, length: usize) -> Self {
        let pair = PqdsaKeyPair::generate(set).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let public = PublicKey::from_spki_der(spki.as_ref()).unwrap();
        MlDsa { pair, public, length }
    }
}

impl SigningKey for MlDsa {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut signature = vec![0; self.length];
        let length = self.pair.sign(message, &mut signature).unwrap();
        signature.truncate(length);
        Ok(signature)
    }
}

/// A signer: its key, its certificate, and who issued that.
struct Signer {
    key: Box<dyn SigningKey>,
    certificate: Certificate,
    chain: Vec<Certificate>,
}

fn signer(ca: &TestCa, kind: KeyKind) -> Signer {
    let identity = ca.issue(TestOrder::client("alice").key_kind(kind));
    Signer { key: Box::new(identity.key), certificate: identity.certificate, chain: identity.chain }
}

/// One of every kind of key; the lengths are those of FIPS 204 table 2.
fn signers() -> Vec<Signer> {
    let ca = TestCa::new();
    let mut all: Vec<Signer> = KeyKind::ALL.into_iter().map(|kind| signer(&ca, kind)).collect();
    for (set, length) in [(&ML_DSA_44_SIGNING, 2420), (&ML_DSA_65_SIGNING, 3309), (&ML_DSA_87_SIGNING, 4627)]
    {
        let key = MlDsa::new(set, length);
        let mut order = TestOrder::client("alice").order();
        order.public_key = key.public_key().clone();
        let certificate = ca.issuer().prepare(&order).unwrap().sign(&ca.issuing().key).unwrap();
        all.push(Signer { key: Box::new(key), certificate, chain: vec![ca.issuing().certificate.clone()] });
    }
    all
}

const HASHES: [HashAlgorithm; 3] = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];

fn hash(content: &[u8]) -> ContentHash {
    let mut hasher = Hasher::new(&HASHES);
    hasher.update(content);
    hasher.finish()
}

impl Signer {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.signature_algorithm()
    }

    fn sign(&self, content: &[u8]) -> Vec<u8> {
        self.try_sign(content, &self.certificate).unwrap()
    }

    fn try_sign(&self, content: &[u8], certificate: &Certificate) -> Result<Vec<u8>, DraftError> {
        let digest = HashAlgorithm::for_signature(self.algorithm()).digest(content);
        let chain = &self.chain;
        let algorithm = self.algorithm();
        Draft { certificate, chain, algorithm, digest: &digest, signing_time: now() }.sign(&*self.key)
    }
}

fn read(signature: &[u8], piece: usize) -> Option<SignedData> {
    let mut intake = Intake::new();
    for octets in signature.chunks(piece) {
        intake.push(octets).ok()?;
    }
    intake.finish().ok()
}

/// Whether the first signature holds for this content, with this certificate whatever came along.
fn check(signed: &SignedData, content: &[u8], certificate: &Certificate) -> Result<(), CheckError> {
    signed.signers[0].check(&signed.content_type, &hash(content), certificate)
}

#[test]
fn every_kind_of_key_signs_what_is_read_back_and_holds_for_this_content_alone() {
    for signer in signers() {
        let name = signer.algorithm();
        let signed = read(&signer.sign(b"a document"), usize::MAX).unwrap();
        let [info] = signed.signers.as_slice() else { panic!("{name}: one signer") };
        assert_eq!(info.algorithm, Ok(name));
        assert_eq!(info.hash, Ok(HashAlgorithm::for_signature(name)), "{name}");
        assert_eq!(signed.hashes, [HashAlgorithm::for_signature(name)], "{name}");
        assert_eq!(info.signing_time(), Some(now()), "{name}");
        assert_eq!(info.certificate(&signed.certificates), Some(&signer.certificate), "{name}");
        assert!(signer.chain.iter().all(|issuer| signed.certificates.contains(issuer)), "{name}");
        assert!(matches!(info.identifier, SignerIdentifier::IssuerAndSerial(..)), "{name}");
        assert_eq!(DocumentPurpose::Signer.judge(&signer.certificate), Ok(()));
        assert_eq!(check(&signed, b"a document", &signer.certificate), Ok(()), "{name}");
        let other = check(&signed, b"another document", &signer.certificate);
        assert!(matches!(other, Err(CheckError::OtherContent { .. })), "{name}: {other:?}");
        // Attributes are signed for content of one type, and no other may take its place.
        let elsewhere = info.check(&oid::TST_INFO, &hash(b"a document"), &signer.certificate);
        assert!(matches!(elsewhere, Err(CheckError::ContentType { .. })), "{name}: {elsewhere:?}");
    }
}

#[test]
fn another_certificate_of_the_same_key_is_not_taken_for_the_signers() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let again = ca.issue(TestOrder::client("alice").serial(&[7; 16]).key(alice.key.clone()));
    let signer = Signer { key: Box::new(alice.key), certificate: alice.certificate, chain: alice.chain };
    let signed = read(&signer.sign(b"a document"), usize::MAX).unwrap();
    assert_eq!(check(&signed, b"a document", &signer.certificate), Ok(()));
    let exchanged = check(&signed, b"a document", &again.certificate);
    assert!(matches!(exchanged, Err(CheckError::OtherCertificate(_))), "{exchanged:?}");
    let stranger = check(&signed, b"a document", &ca.issue_client("mallory").certificate);
    assert!(matches!(stranger, Err(CheckError::Signature(_))), "{stranger:?}");
}

#[test]
fn a_key_that_is_not_the_certificates_signs_nothing() {
    let ca = TestCa::new();
    let mallory = ca.issue_client("mallory").certificate;
    let refused = signer(&ca, KeyKind::P256).try_sign(b"a document", &mallory);
    assert!(matches!(refused, Err(DraftError::KeyMismatch(_))), "{refused:?}");
}

/// Where these octets stand.
fn position(whole: &[u8], part: &[u8]) -> usize {
    whole.windows(part.len()).position(|window| window == part).unwrap()
}

#[test]
fn no_damaged_signature_panics_and_none_whose_signed_octets_differ_holds() {
    for signer in signers() {
        let name = signer.algorithm();
        let original = signer.sign(b"a document");
        let info = read(&original, usize::MAX).unwrap().signers.remove(0);
        // Of what can change without the signature's knowledge (version, certificates that come along, which hashes are
        // announced) nothing is believed. What is signed, and the signature, stand after the last certificate.
        let first = [oid::CONTENT_TYPE, oid::SIGNING_TIME, oid::MESSAGE_DIGEST, oid::SIGNING_CERTIFICATE_V2]
            .iter()
            .map(|name| position(&original, &encoded(name)))
            .min()
            .unwrap();
        let last = position(&original, &info.signature);
        let attributes = &original[first..last - 24];
        let (mut held, mut looked) = (0, 0);
        // A signature by ML-DSA has thousands of octets that are all alike, and each takes its time.
        for bytes in mutations(&original).step_by(original.len() / 1500 + 1) {
            let Some(signed) = read(&bytes, usize::MAX) else { continue };
            looked += 1;
            for info in &signed.signers {
                let _ = (info.signing_time(), info.certificate(&signed.certificates));
                if info.check(&signed.content_type, &hash(b"a document"), &signer.certificate).is_err() {
                    continue;
                }
                held += 1;
                // What holds has the attributes as they were signed.
                assert!(
                    bytes.windows(attributes.len()).any(|window| window == attributes),
                    "{name}: {}",
                    pki::hex(&bytes)
                );
                assert!(info.check(&signed.content_type, &hash(b"another"), &signer.certificate).is_err());
            }
        }
        assert!(looked > 500 && held > 50, "{name}: the mutations reach beyond the parser: {looked}, {held}");
    }
}

/// An identifier in DER.
fn encoded(name: &oid::Oid) -> Vec<u8> {
    let mut writer = pki::der::Writer::new();
    writer.object_identifier(name);
    writer.into_bytes()
}

#[test]
fn a_stamp_is_put_beside_the_signature_once_and_changes_nothing_of_it() {
    let ca = TestCa::new();
    let signer = signer(&ca, KeyKind::P256);
    let plain = signer.sign(b"a document");
    let once = with_timestamp(&plain, &[0x30, 0x01, 0x00]).unwrap();
    let twice = with_timestamp(&once, &[0x30, 0x02, 0x05, 0x00]).unwrap();
    let signed = read(&twice, usize::MAX).unwrap();
    assert_eq!(signed.signers[0].timestamp.as_deref(), Some(&[0x30, 0x02, 0x05, 0x00][..]));
    assert_eq!(check(&signed, b"a document", &signer.certificate), Ok(()));
    // It is none, and says so.
    let none = pki::cms::Timestamp::check(&[0x30, 0x02, 0x05, 0x00], &signed.signers[0].signature);
    assert!(matches!(none, Err(TimestampError::Cms(_))), "{none:?}");
    // A signature of a document in the place of a timestamp is no timestamp.
    let document = pki::cms::Timestamp::check(&plain, &signed.signers[0].signature);
    assert!(matches!(document, Err(TimestampError::NotOne(_))), "{document:?}");
    for end in 0..plain.len() {
        assert!(with_timestamp(&plain[..end], &[0x30, 0x00]).is_err(), "{end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: RngSeed::Fixed(8), ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_signed_holds_however_it_arrives(
        content in proptest::collection::vec(any::<u8>(), 0..2000),
        kind in prop::sample::select(&KeyKind::ALL[..3]),
        piece in 1..400_usize,
        flipped in any::<prop::sample::Index>(),
    ) {
        let ca = TestCa::new();
        let signer = signer(&ca, kind);
        let signed = read(&signer.sign(&content), piece).unwrap();
        prop_assert_eq!(check(&signed, &content, &signer.certificate), Ok(()));
        let mut other = content.clone();
        match content.len() {
            0 => other.push(0),
            length => other[flipped.index(length)] ^= 1,
        }
        prop_assert!(check(&signed, &other, &signer.certificate).is_err());
    }
}
