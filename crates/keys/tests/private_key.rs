//! Keys in memory: what is made can sign, be written and be read again; what is wrong is named.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use aws_lc_rs::encoding::AsRawBytes;
use aws_lc_rs::signature::{
    ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair, PqdsaSigningAlgorithm,
};
use keys::PrivateKey;
use keys::jwk::{self, JwkError};
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
    for key in support::all_keys().iter().chain(support::ml_dsa_keys()) {
        let signature = key.sign(b"message").unwrap();
        key.public_key().verify(key.signature_algorithm(), b"message", &signature).unwrap();
        assert!(key.public_key().verify(key.signature_algorithm(), b"massage", &signature).is_err());
    }
}

#[test]
fn every_kind_of_key_survives_its_pkcs8() {
    for key in support::all_keys().iter().chain(support::ml_dsa_keys()) {
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
    for kind in [KeyAlgorithm::P521, KeyAlgorithm::Rsa(1024), KeyAlgorithm::Rsa(8192)] {
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
    let ml_kem_768 = Oid::from_dotted("2.16.840.1.101.3.4.4.2").unwrap();
    let mlkem = pkcs8(0, |w| w.object_identifier(&ml_kem_768), &[0; 34], &[]);
    assert!(named(&mlkem).contains("2.16.840.1.101.3.4.4.2"), "{}", named(&mlkem));
    assert!(named(&[0x30, 0x82, 0x01]).contains("damaged"));
    let cut = &key.to_pkcs8_der()[..100];
    assert!(named(cut).contains("cut short"), "{}", named(cut));
}

/// The forms that RFC 9881 section 6 has for the private key, as PKCS#8: the seed, the expanded key, and both.
fn ml_dsa_forms(algorithm: &'static PqdsaSigningAlgorithm, name: &Oid, seed: &[u8; 32]) -> [Vec<u8>; 3] {
    let expanded = PqdsaKeyPair::from_seed(algorithm, seed).unwrap().private_key().as_raw_bytes().unwrap();
    let octets = |tag: u8, content: &[u8]| {
        let mut writer = Writer::new();
        writer.primitive(tag, content);
        writer.into_bytes()
    };
    let both = sequence(|w| {
        w.primitive(tag::OCTET_STRING, seed);
        w.primitive(tag::OCTET_STRING, expanded.as_ref());
    });
    [octets(tag::context(0), seed), octets(tag::OCTET_STRING, expanded.as_ref()), both]
        .map(|inner| pkcs8(0, |w| w.object_identifier(name), &inner, &[]))
}

#[test]
fn the_three_forms_of_an_ml_dsa_key_are_one_key_and_the_seed_is_written_where_it_is_known() {
    for (algorithm, name) in [
        (&ML_DSA_44_SIGNING, oid::ML_DSA_44),
        (&ML_DSA_65_SIGNING, oid::ML_DSA_65),
        (&ML_DSA_87_SIGNING, oid::ML_DSA_87),
    ] {
        let [seed, expanded, both] = ml_dsa_forms(algorithm, &name, &[7; 32]);
        let from_seed = PrivateKey::from_der(&seed).unwrap();
        assert_eq!(from_seed.to_pkcs8_der(), seed, "the seed alone is written");
        let from_both = PrivateKey::from_der(&both).unwrap();
        assert_eq!(from_both.to_pkcs8_der(), seed);
        let from_expanded = PrivateKey::from_der(&expanded).unwrap();
        assert_eq!(from_expanded.public_key(), from_seed.public_key());
        assert_eq!(from_expanded.to_pkcs8_der(), expanded, "nobody can get the seed back");
        let signature = from_expanded.sign(b"message").unwrap();
        from_seed.public_key().verify(from_seed.signature_algorithm(), b"message", &signature).unwrap();
    }
}

#[test]
fn an_ml_dsa_key_whose_seed_and_expanded_key_differ_is_refused() {
    let [_, _, mut both] = ml_dsa_forms(&ML_DSA_65_SIGNING, &oid::ML_DSA_65, &[7; 32]);
    // The first octets of the expanded key are rho, which is public: with another one it would still sign.
    let expanded_at = both.len() - 4032;
    let other = ml_dsa_forms(&ML_DSA_65_SIGNING, &oid::ML_DSA_65, &[8; 32])[2].clone();
    both[expanded_at..].copy_from_slice(&other[expanded_at..]);
    let error = PrivateKey::from_der(&both).unwrap_err();
    assert_eq!(error, PrivateKeyError::SeedMismatch(KeyAlgorithm::MlDsa65));
    assert!(!error.to_string().contains("0707"), "{error}");
}

#[test]
fn ml_dsa_keys_of_other_lengths_and_with_parameters_are_refused_by_the_rule() {
    let with = |inner: &[u8]| pkcs8(0, |w| w.object_identifier(&oid::ML_DSA_44), inner, &[]);
    let octets = |tag: u8, length: usize| {
        let mut writer = Writer::new();
        writer.primitive(tag, &vec![1; length]);
        writer.into_bytes()
    };
    for (inner, says) in [
        (octets(tag::context(0), 31), "a seed of 31 octets"),
        (octets(tag::context(0), 33), "a seed of 33 octets"),
        (octets(tag::OCTET_STRING, 2559), "an expanded key of 2559 octets"),
        (octets(tag::OCTET_STRING, 32), "an expanded key of 32 octets"),
        (octets(tag::INTEGER, 1), "something else"),
    ] {
        let error = PrivateKey::from_der(&with(&inner)).unwrap_err();
        assert!(matches!(error, PrivateKeyError::MlDsaForm(KeyAlgorithm::MlDsa44, ..)), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    // An expanded key of the right length that is none: the secret coefficients are out of range.
    let error = PrivateKey::from_der(&with(&octets(tag::OCTET_STRING, 2560))).unwrap_err();
    assert!(matches!(error, PrivateKeyError::Rejected { kind: "ML-DSA", .. }), "{error}");
    let null = |w: &mut Writer| {
        w.object_identifier(&oid::ML_DSA_44);
        w.null();
    };
    let error = PrivateKey::from_der(&pkcs8(0, null, &octets(tag::context(0), 32), &[])).unwrap_err();
    assert!(matches!(error, PrivateKeyError::Der(_)), "{error}");
}

#[test]
fn every_kind_of_key_survives_its_json_web_key() {
    for key in support::all_keys().iter().chain(support::ml_dsa_keys()) {
        let text = jwk::private(key).unwrap();
        let again = jwk::read_private(text.as_bytes()).unwrap();
        assert_eq!(again.to_pkcs8_der(), key.to_pkcs8_der());
        let error = jwk::read_private(jwk::public(key.public_key()).as_bytes()).unwrap_err();
        assert!(matches!(error, JwkError::Public(_)), "{error}");
    }
}

#[test]
fn the_keys_of_the_rfcs_are_read_and_written_as_they_stand_there() {
    // RFC 7517 appendix A.2, and RFC 8037 appendix A.1.
    let elliptic = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}"#;
    let edwards = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}"#;
    for text in [elliptic, edwards] {
        let key = jwk::read_private(text.as_bytes()).unwrap();
        assert_eq!(jwk::private(&key).unwrap().trim_end(), text);
        let spread =
            text.replace(',', " ,\n\t ").replacen('{', "{\"key_ops\":[\"sign\",{\"}\":1}],\"ext\":true,", 1);
        assert_eq!(jwk::read_private(spread.as_bytes()).unwrap().public_key(), key.public_key());
    }
}

#[test]
fn json_that_is_no_key_is_refused_by_the_member_and_never_shown() {
    let secret = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let other = "21qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    for (text, says) in [
        ("{}".to_owned(), "'kty'"),
        ("{\"keys\":[]}".to_owned(), "a set of JSON Web Keys"),
        ("{\"kty\":\"oct\",\"k\":\"AAAA\"}".to_owned(), "'oct'"),
        (format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"{secret}\"}}"), "'x'"),
        (
            format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"{secret}\",\"x\":\"{other}\"}}"),
            "not that of",
        ),
        (format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"{secret}*\",\"x\":\"{x}\"}}"), "'d'"),
        (format!("{{\"kty\":\"OKP\",\"d\":\"{secret}\",\"d\":\"{secret}\"}}"), "twice"),
        (format!("{{\"kty\":\"OKP\",\"d\":\"{secret}"), "does not end"),
        (format!("{{\"kty\":\"OKP\",\"d\":\"{secret}\"}} and"), "follows"),
        ("{\"a\":".to_owned() + &"[".repeat(100_000), "cut short"),
    ] {
        let error = jwk::read_private(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
        assert!(!error.contains(&secret[..8]), "{error}");
    }
}

#[test]
fn pkcs1_and_sec1_are_written_for_the_keys_that_have_them() {
    for key in support::all_keys() {
        let kind = key.public_key().algorithm();
        let is_rsa = matches!(kind, KeyAlgorithm::Rsa(_));
        let is_elliptic = matches!(kind, KeyAlgorithm::P256 | KeyAlgorithm::P384);
        assert_eq!(
            (key.to_pkcs1_der().is_some(), key.to_sec1_der().is_some()),
            (is_rsa, is_elliptic),
            "{kind}"
        );
        for der in [key.to_pkcs1_der(), key.to_sec1_der()].into_iter().flatten() {
            assert_eq!(PrivateKey::from_der(&der).unwrap().to_pkcs8_der(), key.to_pkcs8_der(), "{kind}");
        }
    }
}
