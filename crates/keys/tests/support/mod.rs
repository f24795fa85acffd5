//! What several of the tests need: a self-signed certificate for a key, and every kind of key once.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file is its own crate and uses a part of this; a test fails by panicking"
)]

use std::sync::OnceLock;

use keys::PrivateKey;
use pki::der::{Writer, tag};
use pki::key::{KeyAlgorithm, SigningKey};
use pki::oid;

/// Every kind of key that is made here, made once for each test program.
pub fn all_keys() -> &'static [PrivateKey] {
    static KEYS: OnceLock<Vec<PrivateKey>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let kinds = [
            KeyAlgorithm::P256,
            KeyAlgorithm::P384,
            KeyAlgorithm::Ed25519,
            KeyAlgorithm::Rsa(2048),
            KeyAlgorithm::Rsa(3072),
            KeyAlgorithm::Rsa(4096),
        ];
        kinds.into_iter().map(|kind| PrivateKey::generate(kind).unwrap()).collect()
    })
}

/// One ML-DSA key of each parameter set. OpenSSL before 3.5 reads none of them, so they stand apart.
pub fn ml_dsa_keys() -> &'static [PrivateKey] {
    static KEYS: OnceLock<Vec<PrivateKey>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let kinds = [KeyAlgorithm::MlDsa44, KeyAlgorithm::MlDsa65, KeyAlgorithm::MlDsa87];
        kinds.into_iter().map(|kind| PrivateKey::generate(kind).unwrap()).collect()
    })
}

/// The key of this kind.
pub fn key(kind: KeyAlgorithm) -> &'static PrivateKey {
    all_keys().iter().find(|key| key.public_key().algorithm() == kind).unwrap()
}

/// A self-signed certificate, the least of one that openssl reads.
pub fn certificate(key: &PrivateKey, common_name: &str) -> Vec<u8> {
    let name = |w: &mut Writer| {
        w.nested(tag::SEQUENCE, |w| {
            w.nested(tag::SET, |w| {
                w.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(&oid::COMMON_NAME);
                    w.primitive(tag::UTF8_STRING, common_name.as_bytes());
                });
            });
        });
    };
    let algorithm = key.signature_algorithm().algorithm_identifier();
    let mut to_be_signed = Writer::new();
    to_be_signed.nested(tag::SEQUENCE, |w| {
        w.nested(tag::context_constructed(0), |w| w.integer(&[2]));
        w.integer(&[0x2a]);
        w.raw(&algorithm);
        name(w);
        w.nested(tag::SEQUENCE, |w| {
            w.primitive(tag::UTC_TIME, b"240101000000Z");
            w.primitive(tag::UTC_TIME, b"490101000000Z");
        });
        name(w);
        w.raw(key.public_key().spki_der());
    });
    let to_be_signed = to_be_signed.into_bytes();
    let signature = key.sign(&to_be_signed).unwrap();
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.raw(&to_be_signed);
        w.raw(&algorithm);
        w.octet_bit_string(&signature);
    });
    writer.into_bytes()
}
