//! Keys in memory: what is made can sign, be written and be read again; what is wrong is named.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keys::PrivateKey;
use keys::private_key::{GenerateKeyError, PrivateKeyError};
use pki::der::{Reader, Writer, tag};
use pki::key::{KeyAlgorithm, SigningKey};
use pki::oid::{self, Oid};

fn sequence(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, write);
    writer.into_bytes()
}

/// The inner structure of a PKCS#8: RSAPrivateKey, ECPrivateKey or CurvePrivateKey.
fn inner(key: &PrivateKey) -> Vec<u8> {
    let mut info = Reader::new(key.to_pkcs8_der()).nested(tag::SEQUENCE).unwrap();
    info.integer().unwrap();
    info.nested(tag::SEQUENCE).unwrap();
    info.expect(tag::OCTET_STRING).unwrap().content.to_vec()
}

fn pkcs8(version: u8, algorithm: impl FnOnce(&mut Writer), inner: &[u8], rest: &[u8]) -> Vec<u8> {
    sequence(|w| {
        w.integer(&[version]);
        w.nested(tag::SEQUENCE, algorithm);
        w.primitive(tag::OCTET_STRING, inner);
        w.raw(rest);
    })
}

/// An ECPrivateKey with the parameters and public key that are wanted.
fn sec1(key: &PrivateKey, curve: Option<&Oid>, public: Option<&[u8]>) -> Vec<u8> {
    let inner = inner(key);
    let mut fields = Reader::new(&inner).nested(tag::SEQUENCE).unwrap();
    fields.integer().unwrap();
    let secret = fields.expect(tag::OCTET_STRING).unwrap().content;
    sequence(|w| {
        w.integer(&[1]);
        w.primitive(tag::OCTET_STRING, secret);
        if let Some(curve) = curve {
            w.nested(tag::context_constructed(0), |w| w.object_identifier(curve));
        }
        if let Some(public) = public {
            w.nested(tag::context_constructed(1), |w| w.octet_bit_string(public));
        }
    })
}

#[test]
fn every_kind_of_key_signs_what_its_public_key_verifies() {
    for key in support::all_keys() {
        let signature = key.sign(b"message").unwrap();
        key.public_key().verify(key.signature_algorithm(), b"message", &signature).unwrap();
        assert!(key.public_key().verify(key.signature_algorithm(), b"massage", &signature).is_err());
    }
}

#[test]
fn every_kind_of_key_survives_its_pkcs8() {
    for key in support::all_keys() {
        for again in
            [PrivateKey::from_pkcs8_der(key.to_pkcs8_der()), PrivateKey::from_der(key.to_pkcs8_der())]
        {
            let again = again.unwrap();
            assert_eq!(again.public_key(), key.public_key());
            assert_eq!(again.to_pkcs8_der(), key.to_pkcs8_der());
        }
    }
}

#[test]
fn two_generated_keys_differ() {
    let key = || PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    assert_ne!(key().to_pkcs8_der(), key().to_pkcs8_der());
}

#[test]
fn kinds_that_are_not_made_are_refused_with_the_ones_that_are() {
    for kind in [KeyAlgorithm::P521, KeyAlgorithm::Rsa(1024), KeyAlgorithm::Rsa(8192), KeyAlgorithm::MlDsa65]
    {
        let error = PrivateKey::generate(kind).unwrap_err();
        assert_eq!(error, GenerateKeyError::Unsupported(kind));
        assert!(error.to_string().contains("rsa3072"), "{error}");
    }
}

#[test]
fn pkcs1_and_sec1_become_the_same_pkcs8() {
    let rsa = support::key(KeyAlgorithm::Rsa(2048));
    assert_eq!(PrivateKey::from_der(&inner(rsa)).unwrap().to_pkcs8_der(), rsa.to_pkcs8_der());
    for (kind, curve) in [(KeyAlgorithm::P256, oid::SECP256R1), (KeyAlgorithm::P384, oid::SECP384R1)] {
        let key = support::key(kind);
        let uncompressed = key.public_key().key_octets();
        let half = uncompressed.len() / 2;
        let parity = 2 + (uncompressed[2 * half] & 1);
        let compressed = [&[parity], &uncompressed[1..=half]].concat();
        for public in [None, Some(uncompressed), Some(&compressed[..])] {
            let read = PrivateKey::from_der(&sec1(key, Some(&curve), public)).unwrap();
            assert_eq!(read.to_pkcs8_der(), key.to_pkcs8_der());
        }
    }
}

#[test]
fn pkcs8_version_2_is_read_in_both_taggings_of_its_public_key() {
    let key = support::key(KeyAlgorithm::Ed25519);
    let ed25519 = |w: &mut Writer| w.object_identifier(&oid::ED25519);
    let mut implicit = Writer::new();
    implicit.nested(tag::context_constructed(0), |_| {});
    implicit.primitive(tag::context(1), &[&[0], key.public_key().key_octets()].concat());
    let mut explicit = Writer::new();
    explicit.nested(tag::context_constructed(1), |w| w.octet_bit_string(key.public_key().key_octets()));
    for rest in [implicit.into_bytes(), explicit.into_bytes()] {
        let read = PrivateKey::from_der(&pkcs8(1, ed25519, &inner(key), &rest)).unwrap();
        assert_eq!(read.to_pkcs8_der(), key.to_pkcs8_der(), "one form is written, whatever was read");
    }
}

#[test]
fn a_stored_public_key_of_another_key_is_refused() {
    let key = support::key(KeyAlgorithm::Ed25519);
    let other = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let mut rest = Writer::new();
    rest.primitive(tag::context(1), &[&[0], other.public_key().key_octets()].concat());
    let der = pkcs8(1, |w| w.object_identifier(&oid::ED25519), &inner(key), &rest.into_bytes());
    assert_eq!(PrivateKey::from_der(&der).unwrap_err(), PrivateKeyError::PublicKeyMismatch);

    let key = support::key(KeyAlgorithm::P256);
    let other = PrivateKey::generate(KeyAlgorithm::P256).unwrap();
    let der = sec1(key, Some(&oid::SECP256R1), Some(other.public_key().key_octets()));
    let error = PrivateKey::from_der(&der).unwrap_err();
    assert!(matches!(error, PrivateKeyError::Rejected { .. }), "{error}");
}

#[test]
fn an_unknown_curve_is_named_with_the_way_out() {
    let key = support::key(KeyAlgorithm::P256);
    let error = PrivateKey::from_der(&sec1(key, Some(&oid::SECP256K1), None)).unwrap_err();
    assert_eq!(error, PrivateKeyError::UnknownCurve(oid::SECP256K1));
    assert!(
        error.to_string().contains("secp256k1") && error.to_string().contains("openssl genpkey"),
        "{error}"
    );
}

#[test]
fn a_key_that_names_two_curves_or_none_is_refused() {
    let key = support::key(KeyAlgorithm::P256);
    let error = PrivateKey::from_der(&sec1(key, None, None)).unwrap_err();
    assert_eq!(error, PrivateKeyError::NoCurve);
    let p384 = |w: &mut Writer| {
        w.object_identifier(&oid::EC_PUBLIC_KEY);
        w.object_identifier(&oid::SECP384R1);
    };
    let der = pkcs8(0, p384, &sec1(key, Some(&oid::SECP256R1), None), &[]);
    let error = PrivateKey::from_der(&der).unwrap_err();
    assert_eq!(error, PrivateKeyError::CurveMismatch { outside: oid::SECP384R1, inside: oid::SECP256R1 });
}

#[test]
fn rsa_outside_2048_to_8192_bits_is_refused_with_the_bits_and_the_command() {
    for bits in [512usize, 1024, 2047, 8193, 16384] {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] = if bits % 8 == 0 { 0xff } else { (1 << (bits % 8)) - 1 };
        let der = sequence(|w| {
            w.integer(&[0]);
            w.integer(&modulus);
            (0..7).for_each(|_| w.integer(&[3]));
        });
        let error = PrivateKey::from_der(&der).unwrap_err();
        assert_eq!(error, PrivateKeyError::RsaModulus { bits });
        assert!(error.to_string().contains("rsa_keygen_bits:3072"), "{error}");
    }
}

#[test]
fn rsa_forms_that_few_programs_read_are_named() {
    let rsa = support::key(KeyAlgorithm::Rsa(2048));
    let pss = pkcs8(0, |w| w.object_identifier(&oid::RSA_SSA_PSS), &inner(rsa), &[]);
    let three_primes = sequence(|w| {
        w.integer(&[1]);
        w.integer(&[0xff; 256]);
    });
    let without_primes = sequence(|w| {
        w.integer(&[0]);
        w.integer(&[0xff; 256]);
        (0..7).for_each(|_| w.integer(&[0]));
    });
    for der in [pss, three_primes, without_primes] {
        let error = PrivateKey::from_der(&der).unwrap_err();
        assert!(matches!(error, PrivateKeyError::RsaForm(_)), "{error}");
    }
}

#[test]
fn numbers_that_make_no_key_are_refused() {
    let rsa = inner(support::key(KeyAlgorithm::Rsa(2048)));
    let mut damaged = rsa.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let error = PrivateKey::from_der(&damaged).unwrap_err();
    assert!(matches!(error, PrivateKeyError::Rejected { kind: "RSA", .. }), "{error}");
    let zero = sequence(|w| {
        w.integer(&[1]);
        w.primitive(tag::OCTET_STRING, &[0; 32]);
        w.nested(tag::context_constructed(0), |w| w.object_identifier(&oid::SECP256R1));
    });
    let error = PrivateKey::from_der(&zero).unwrap_err();
    assert!(matches!(error, PrivateKeyError::Rejected { .. }), "{error}");
}

#[test]
fn what_is_not_a_private_key_is_called_by_its_name() {
    let key = support::key(KeyAlgorithm::P256);
    let named = |der: &[u8]| PrivateKey::from_der(der).unwrap_err().to_string();
    assert!(named(&support::certificate(key, "a")).contains("this is a certificate"));
    assert!(named(key.public_key().spki_der()).contains("this is a public key"));
    let mlkem = pkcs8(0, |w| w.object_identifier(&oid::ML_DSA_65), &[0; 34], &[]);
    assert!(named(&mlkem).contains("ML-DSA-65"));
    assert!(named(&[0x30, 0x82, 0x01]).contains("damaged"));
    let cut = &key.to_pkcs8_der()[..100];
    assert!(named(cut).contains("cut short"), "{}", named(cut));
}
