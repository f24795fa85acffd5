//! Key files as people have them: several blocks, other things, damage. No bytes make a reader panic.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keys::encrypted::{self, DecryptKeyError};
use keys::read::{ReadKeyError, read_private_key};
use keys::{Passphrase, PrivateKey, pkcs12};
use pki::key::{KeyAlgorithm, SigningKey};
use proptest::prelude::*;

fn pem(label: &str, der: &[u8]) -> String {
    pki::pem::encode(label, der)
}

fn error(text: &str) -> ReadKeyError {
    read_private_key(text.as_bytes(), None).unwrap_err()
}

#[test]
fn a_key_is_found_among_certificates_and_parameters() {
    let key = support::key(KeyAlgorithm::P256);
    let certificate = pem("CERTIFICATE", &support::certificate(key, "a"));
    let parameters = pem("EC PARAMETERS", &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    let text = format!("a comment\n{certificate}{parameters}{}{certificate}", *key.to_pkcs8_pem());
    assert_eq!(read_private_key(text.as_bytes(), None).unwrap().public_key(), key.public_key());
}

#[test]
fn der_and_pem_are_told_apart_by_themselves() {
    for key in support::all_keys() {
        for bytes in [key.to_pkcs8_der(), key.to_pkcs8_pem().as_bytes()] {
            assert_eq!(read_private_key(bytes, None).unwrap().public_key(), key.public_key());
        }
    }
}

#[test]
fn text_that_starts_with_a_zero_is_not_taken_for_der() {
    let text = format!("0123 key of the gateway\n{}", *support::key(KeyAlgorithm::P256).to_pkcs8_pem());
    read_private_key(text.as_bytes(), None).unwrap();
}

#[test]
fn encrypted_key_without_passphrase_is_refused_with_the_remedy() {
    let key = support::key(KeyAlgorithm::Rsa(2048));
    let passphrase = Passphrase::new("planted-secret horse");
    let der = encrypted::encrypt(key, &passphrase).unwrap();
    let text = encrypted::encrypt_to_pem(key, &passphrase).unwrap();
    for bytes in [&der[..], text.as_bytes()] {
        let error = read_private_key(bytes, None).unwrap_err();
        assert!(matches!(error, ReadKeyError::NeedsPassphrase), "{error}");
        assert!(error.to_string().contains("countersign key decrypt"), "{error}");
        let wrong = read_private_key(bytes, Some(&Passphrase::new("Planted-secret horse"))).unwrap_err();
        assert!(matches!(wrong, ReadKeyError::Decrypt(DecryptKeyError::WrongPassphrase)), "{wrong}");
        let read = read_private_key(bytes, Some(&passphrase)).unwrap();
        assert_eq!(read.to_pkcs8_der(), key.to_pkcs8_der());
    }
    let facts = encrypted::describe(&der).unwrap();
    assert_eq!(facts, "PBES2: PBKDF2 with HMAC-SHA-256 and 600000 iterations, AES-256-CBC");
}

#[test]
fn an_empty_passphrase_encrypts_nothing() {
    let error = encrypted::encrypt(support::key(KeyAlgorithm::P256), &Passphrase::new("")).unwrap_err();
    assert_eq!(error, encrypted::EncryptKeyError::EmptyPassphrase);
}

#[test]
fn a_swapped_certificate_file_says_what_it_holds() {
    let key = support::key(KeyAlgorithm::P256);
    let der = support::certificate(key, "a");
    let one = pem("CERTIFICATE", &der);
    let text = error(&format!("{one}{one}")).to_string();
    assert_eq!(text, "this file holds 2 certificates and no private key; was it swapped with the key file?");
    let text = read_private_key(&der, None).unwrap_err().to_string();
    assert!(text.contains("holds 1 certificate and no private key"), "{text}");
    let text = error(&pem("PUBLIC KEY", key.public_key().spki_der())).to_string();
    assert!(text.contains("1 public key and no"), "{text}");
}

#[test]
fn the_same_key_twice_is_one_and_two_keys_are_an_error() {
    let (one, other) = (support::key(KeyAlgorithm::P256), support::key(KeyAlgorithm::Ed25519));
    let twice = format!("{}{}", *one.to_pkcs8_pem(), *one.to_pkcs8_pem());
    assert_eq!(read_private_key(twice.as_bytes(), None).unwrap().public_key(), one.public_key());
    let both = error(&format!("{}{}", *one.to_pkcs8_pem(), *other.to_pkcs8_pem()));
    assert!(both.to_string().contains("2 different private keys (ECDSA P-256, Ed25519)"), "{both}");
}

#[test]
fn old_and_foreign_forms_are_refused_with_the_command_that_converts_them() {
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,00112233\n\nMAA=\n-----END RSA PRIVATE KEY-----\n";
    let text = error(legacy).to_string();
    assert!(text.contains("DES-EDE3-CBC") && text.contains("openssl pkcs8 -topk8"), "{text}");
    let text = error(&pem("OPENSSH PRIVATE KEY", b"openssh-key-v1\0")).to_string();
    assert!(text.contains("ssh-keygen -p -m PKCS8"), "{text}");
    assert!(error(&pem("DSA PRIVATE KEY", &[0x30, 0])).to_string().contains("no DSA"));
}

#[test]
fn empty_and_foreign_files_are_named() {
    assert!(matches!(error(""), ReadKeyError::Empty));
    assert!(matches!(error(" \n\n"), ReadKeyError::Empty));
    assert!(matches!(error("ssh-ed25519 AAAA me@here"), ReadKeyError::NotAKey(_)));
    assert!(matches!(error("<html>404</html>"), ReadKeyError::NotAKey(_)));
    let key = support::key(KeyAlgorithm::P256);
    let certificate = support::certificate(key, "a");
    let file = pkcs12::write_pkcs12(
        key,
        &[&certificate],
        "",
        &Passphrase::new("planted-secret secret"),
        pkcs12::Target::Modern,
    )
    .unwrap();
    assert!(matches!(read_private_key(&file, None), Err(ReadKeyError::Pkcs12)));
}

#[test]
fn damaged_pem_is_refused_as_damaged() {
    let whole = support::key(KeyAlgorithm::Rsa(2048)).to_pkcs8_pem();
    let without_end = whole.lines().take(10).collect::<Vec<_>>().join("\n");
    let escaped = whole.replace('\n', "\\n");
    let with_mark = format!("\u{feff}{}", *whole);
    let one_line = whole.replace('\n', " ");
    for text in [without_end, escaped, with_mark, one_line] {
        let error = error(&text);
        assert!(matches!(error, ReadKeyError::Pem(_)), "{error}");
    }
    let a_line_missing: Vec<_> = whole.lines().enumerate().filter(|(i, _)| *i != 5).map(|(_, l)| l).collect();
    let error = error(&a_line_missing.join("\n"));
    assert!(matches!(error, ReadKeyError::Key(_)), "{error}");
}

/// Real files of every kind to mutate.
fn corpus() -> &'static [Vec<u8>] {
    static CORPUS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    CORPUS.get_or_init(|| {
        let mut files = Vec::new();
        for key in &support::all_keys()[..4] {
            files.push(key.to_pkcs8_der().to_vec());
            files.push(key.to_pkcs8_pem().as_bytes().to_vec());
        }
        let key = support::key(KeyAlgorithm::P256);
        files.push(encrypted::encrypt(key, &Passphrase::new("planted-secret pass")).unwrap());
        let certificate = support::certificate(key, "a");
        files.push(
            pkcs12::write_pkcs12(
                key,
                &[&certificate],
                "a",
                &Passphrase::new("planted-secret pass"),
                pkcs12::Target::Modern,
            )
            .unwrap(),
        );
        files
    })
}

fn read_every_way(bytes: &[u8]) {
    let passphrase = Passphrase::new("planted-secret not it");
    let _ = PrivateKey::from_der(bytes);
    let _ = PrivateKey::from_pkcs8_der(bytes);
    let _ = read_private_key(bytes, None);
    let _ = encrypted::describe(bytes);
    let _ = pkcs12::describe_pkcs12(bytes);
    // The key derivation takes its time by design, so only what is cheap is derived here.
    let cheap = |iterations: Option<u32>| iterations.is_none_or(|count| count < 1000);
    if let Ok(facts) = pkcs12::describe_pkcs12(bytes)
        && match facts.integrity {
            pkcs12::Integrity::Mac { iterations, .. } => cheap(iterations),
            _ => false,
        }
    {
        let _ = pkcs12::read_pkcs12(bytes, &passphrase);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_every_way(&bytes);
    }

    #[test]
    fn no_mutation_of_a_real_file_makes_the_readers_panic(
        file in 0..10usize,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = corpus()[file].clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_every_way(&bytes);
    }
}
