//! Signed requests that try to be taken for what they are not, beside those that are right.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;

use super::*;

fn b64(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// A key that signs requests.
enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Pair {
    fn all() -> Vec<Pair> {
        vec![
            Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            Pair::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            Pair::Ed25519(Ed25519KeyPair::generate().unwrap()),
            Pair::Rsa(Box::new(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap())),
        ]
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Pair::P256(_) => "ES256",
            Pair::P384(_) => "ES384",
            Pair::Ed25519(_) => "EdDSA",
            Pair::Rsa(_) => "RS256",
        }
    }

    fn jwk(&self) -> Value {
        let elliptic = |curve, pair: &EcdsaKeyPair| {
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            json!({ "kty": "EC", "crv": curve, "x": b64(x), "y": b64(y) })
        };
        match self {
            Pair::P256(pair) => elliptic("P-256", pair),
            Pair::P384(pair) => elliptic("P-384", pair),
            Pair::Ed25519(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key()) }),
            Pair::Rsa(pair) => {
                let mut key = pki::der::Reader::new(pair.public_key().as_ref()).nested(0x30).unwrap();
                let (n, e) = (key.integer().unwrap(), key.integer().unwrap());
                json!({ "kty": "RSA", "n": b64(n.strip_prefix(&[0]).unwrap_or(n)), "e": b64(e) })
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

fn assemble(header: &Value, payload: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (protected, payload) = (b64(header.to_string()), b64(payload));
    let signature = b64(sign(format!("{protected}.{payload}").as_bytes()));
    json!({ "protected": protected, "payload": payload, "signature": signature }).to_string().into_bytes()
}

fn request(pair: &Pair, algorithm: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let header = json!({ "alg": algorithm, "nonce": "n", "url": "https://ca.test/x", "jwk": pair.jwk() });
    assemble(&header, "{}", sign)
}

fn verdict(text: &[u8]) -> Result<(), JwsRefused> {
    let jws = Jws::parse(text)?;
    let Signer::Key(key) = &jws.signer else { panic!("a key was sent") };
    jws.verify(key).map(|_| ())
}

#[test]
fn each_kind_of_key_signs_with_its_algorithm_and_with_no_other() {
    for pair in Pair::all() {
        let own = pair.algorithm();
        assert_eq!(verdict(&request(&pair, own, |m| pair.sign(m))), Ok(()), "{own}");
        for other in
            ["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA", "HS256", "none", "None", "nOnE", ""]
        {
            let refused = verdict(&request(&pair, other, |m| pair.sign(m)));
            assert_eq!(refused.is_ok(), other == own, "{own} as {other}");
        }
    }
}

#[test]
fn public_key_used_as_a_mac_key_does_not_authenticate() {
    // The classic confusion: HS256 over a public key that everyone knows.
    for pair in Pair::all() {
        let secret = pair.jwk().to_string();
        let mac = |message: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            hmac::sign(&key, message).as_ref().to_vec()
        };
        let refused = verdict(&request(&pair, "HS256", mac)).unwrap_err();
        assert!(matches!(refused, JwsRefused::Algorithm { .. }), "{refused}");
        assert_eq!(verdict(&request(&pair, pair.algorithm(), mac)), Err(JwsRefused::Signature));
    }
}

#[test]
fn unsigned_requests_are_refused() {
    let pair = &Pair::all()[0];
    assert!(verdict(&request(pair, "none", |_| Vec::new())).is_err());
    assert_eq!(verdict(&request(pair, "ES256", |_| Vec::new())), Err(JwsRefused::Signature));
    assert_eq!(verdict(&request(pair, "ES256", |_| vec![0; 64])), Err(JwsRefused::Signature));
}

#[test]
fn every_changed_octet_breaks_the_signature() {
    let pair = &Pair::all()[0];
    let good = Jws::parse(&request(pair, "ES256", |m| pair.sign(m))).unwrap();
    let key = AccountKey::from_jwk(&pair.jwk()).unwrap();
    assert!(good.verify(&key).is_ok());
    for at in 0..good.signing_input.len() {
        let mut changed = good.clone();
        changed.signing_input[at] ^= 1;
        assert_eq!(changed.verify(&key), Err(JwsRefused::Signature), "octet {at}");
    }
}

#[test]
fn mac_is_hs256_with_the_right_key_and_nothing_else() {
    let mac = |secret: &'static [u8]| {
        move |m: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), m).as_ref().to_vec()
    };
    let text = |algorithm: &str| {
        let header = json!({ "alg": algorithm, "url": "https://ca.test/x", "kid": "k" });
        Jws::parse(&assemble(&header, "{}", mac(b"secret"))).unwrap()
    };
    assert_eq!(text("HS256").verify_mac(b"secret"), Ok(&b"{}"[..]));
    assert_eq!(text("HS256").verify_mac(b"other"), Err(JwsRefused::Signature));
    for algorithm in ["none", "HS512", "ES256", "RS256"] {
        assert!(matches!(text(algorithm).verify_mac(b"secret"), Err(JwsRefused::Algorithm { .. })));
    }
}

#[test]
fn malformed_and_ambiguous_requests_are_refused() {
    let pair = &Pair::all()[0];
    let good = request(pair, "ES256", |m| pair.sign(m));
    let edit = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&good).unwrap();
        change(&mut value);
        value.to_string().into_bytes()
    };
    let header = |header: Value| assemble(&header, "{}", |m| pair.sign(m));
    let twice = String::from_utf8(good.clone()).unwrap().replacen('{', r#"{"payload":"e30","#, 1);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("no JSON", b"hello".to_vec()),
        ("compact serialisation", b"a.b.c".to_vec()),
        ("unprotected header", edit(&|v| v["header"] = json!({ "kid": "x" }))),
        ("general serialisation", edit(&|v| v["signatures"] = json!([]))),
        ("padding", edit(&|v| v["payload"] = json!("e30="))),
        ("standard alphabet", edit(&|v| v["signature"] = json!("+/"))),
        ("member twice", twice.into_bytes()),
        ("neither key nor account", header(json!({ "alg": "ES256", "url": "u" }))),
        ("key and account", header(json!({ "alg": "ES256", "url": "u", "jwk": pair.jwk(), "kid": "k" }))),
        ("no url", header(json!({ "alg": "ES256", "jwk": pair.jwk() }))),
        (
            "crit",
            header(json!({ "alg": "ES256", "url": "u", "jwk": pair.jwk(), "crit": ["b64"], "b64": false })),
        ),
        ("too large", vec![b' '; LARGEST + 1]),
    ];
    for (name, text) in cases {
        assert!(Jws::parse(&text).is_err(), "{name}");
    }
}

#[test]
fn keys_that_are_none_are_refused_with_their_reason() {
    let p256 = Pair::all()[0].jwk();
    let with = |name: &str, value: Value| {
        let mut jwk = p256.clone();
        jwk[name] = value;
        AccountKey::from_jwk(&jwk).unwrap_err()
    };
    assert_eq!(with("d", json!("AA")), KeyRefused::Private);
    assert_eq!(with("x", json!("AA")), KeyRefused::Member("x"));
    assert_eq!(with("kty", json!("oct")), KeyRefused::Kind("oct".to_owned()));
    assert_eq!(with("crv", json!("secp256k1")), KeyRefused::Kind("EC secp256k1".to_owned()));
    let rsa = |n: Vec<u8>, e: &[u8]| AccountKey::from_jwk(&json!({ "kty": "RSA", "n": b64(n), "e": b64(e) }));
    assert_eq!(rsa(vec![0x80; 128], &[1, 0, 1]), Err(KeyRefused::Length(1024)));
    assert_eq!(rsa(vec![0x80; 256], &[1]), Err(KeyRefused::Member("e")));
    assert_eq!(rsa(vec![0x80; 256], &[4]), Err(KeyRefused::Member("e")));
    assert_eq!(rsa([&[0u8][..], &[0x80; 256]].concat(), &[1, 0, 1]), Err(KeyRefused::Member("n")));
}

#[test]
fn thumbprint_is_that_of_rfc_7638() {
    // RFC 7638 section 3.1.
    let jwk = json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"
    });
    let key = AccountKey::from_jwk(&jwk).unwrap();
    assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    // RFC 8037 appendix A.3.
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let key = AccountKey::from_jwk(&jwk).unwrap();
    assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn random_octets_never_panic() {
    let pair = &Pair::all()[0];
    let good = request(pair, "ES256", |m| pair.sign(m));
    for at in 0..good.len() {
        for value in [0, b'"', b'}', 0xff] {
            let mut text = good.clone();
            text[at] = value;
            let _ = Jws::parse(&text).map(|jws| {
                if let Signer::Key(key) = &jws.signer {
                    let _ = jws.verify(key);
                }
            });
        }
        let _ = Jws::parse(&good[..at]);
    }
}
