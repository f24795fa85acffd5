//! No Debug output and no error text holds anything of a key or passphrase. The keys and passphrases here are known,
//! and every text that the crate can be made to give is searched for them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;
use std::fmt::{Debug, Display};

use keys::read::read_private_key;
use keys::{Passphrase, PrivateKey, encrypted, pkcs12};
use pki::key::{KeyAlgorithm, SigningKey};

const PLANTED: &str = "planted-secret-7b1f";

/// So many octets of a secret in a row count as found.
const RUN: usize = 6;

/// Every run of a secret, in each of the forms in which it could turn up.
struct Secrets {
    hexadecimal: HashSet<Vec<u8>>,
    base64: HashSet<Vec<u8>>,
    octets: HashSet<Vec<u8>>,
}

impl Secrets {
    fn of(key: &PrivateKey) -> Self {
        let runs = |text: &[u8], length: usize| text.windows(length).map(<[u8]>::to_vec).collect();
        let secret = secret_part(key);
        let pem = pki::pem::encode("X", key.to_pkcs8_der());
        let base64: Vec<_> = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Secrets {
            hexadecimal: runs(pki::hex(&secret).as_bytes(), 2 * RUN),
            // The first line names the algorithm and is the same for every key; it is no secret.
            base64: runs(&base64.concat().as_bytes()[64..], 8),
            octets: runs(&secret, RUN),
        }
    }

    fn check(&self, text: &str) {
        if let Some(form) = self.leak(text) {
            panic!("{form} is in: {text}");
        }
    }

    /// What of a secret is in the text.
    fn leak(&self, text: &str) -> Option<&'static str> {
        let lower = text.to_ascii_lowercase();
        let found = |runs: &HashSet<Vec<u8>>, bytes: &[u8], length: usize| {
            bytes.windows(length).any(|window| runs.contains(window))
        };
        // As Debug prints a Vec<u8>: numbers with commas, on one line or many.
        let numbers: Vec<Option<u8>> =
            text.split([',', '[', ']']).map(|word| word.trim().parse().ok()).collect();
        let mut octets =
            numbers.windows(RUN).filter_map(|run| run.iter().copied().collect::<Option<Vec<u8>>>());
        if lower.contains(PLANTED) {
            Some("the passphrase")
        } else if found(&self.hexadecimal, lower.as_bytes(), 2 * RUN) {
            Some("key material in hexadecimal")
        } else if found(&self.base64, text.as_bytes(), 8) {
            Some("key material in base64")
        } else if octets.any(|run| self.octets.contains(&run)) {
            Some("key material in decimal")
        } else {
            None
        }
    }

    fn check_all(&self, value: &(impl Debug + Display)) {
        self.check(&value.to_string());
        self.check(&format!("{value:?}"));
    }
}

/// What of a PKCS#8 is secret: all behind the first part, which names the algorithm, and without the public key.
fn secret_part(key: &PrivateKey) -> Vec<u8> {
    let der = key.to_pkcs8_der();
    let public = key.public_key().key_octets();
    match key.public_key().algorithm() {
        // The modulus is public and stands first; the private exponent and the primes fill the last two thirds.
        KeyAlgorithm::Rsa(_) => der[der.len() / 2..].to_vec(),
        _ => {
            let end = der.windows(public.len()).position(|window| window == public).unwrap_or(der.len());
            der[end.saturating_sub(60).max(36)..end].to_vec()
        }
    }
}

#[test]
fn the_search_itself_finds_planted_material() {
    let key = support::key(KeyAlgorithm::P256);
    let secrets = Secrets::of(key);
    let secret = secret_part(key);
    let pem = key.to_pkcs8_pem();
    let leaks = [
        format!("x{PLANTED}x"),
        format!("{:?}", &secret[..10]),
        format!("{:#?}", &secret[..10]),
        pki::hex(&secret[3..12]),
        pem.lines().nth(2).unwrap().to_owned(),
    ];
    for leak in leaks {
        assert!(secrets.leak(&leak).is_some(), "not found: {leak}");
    }
    assert_eq!(secrets.leak("the key is damaged: 12 byte(s), 3, 4, 5 at offset 7"), None);
}

#[test]
fn debug_output_shows_nothing_secret() {
    for key in support::all_keys() {
        let secrets = Secrets::of(key);
        secrets.check(&format!("{key:?} {key:#?}"));
        assert!(format!("{key:?}").contains(&key.public_key().algorithm().to_string()));
    }
    let key = support::key(KeyAlgorithm::P256);
    let secrets = Secrets::of(key);
    let passphrase = Passphrase::new(PLANTED);
    secrets.check(&format!("{passphrase:?} {passphrase:#?}"));
    let file = pkcs12::write_pkcs12(
        key,
        &[&support::certificate(key, "a")],
        "a",
        &passphrase,
        pkcs12::Target::Modern,
    )
    .unwrap();
    secrets.check(&format!("{:?}", pkcs12::read_pkcs12(&file, &passphrase).unwrap().keys));
    secrets.check(&format!("{:?}", pkcs12::describe_pkcs12(&file)));
}

#[test]
fn errors_about_damaged_keys_show_nothing_secret() {
    let passphrase = Passphrase::new(PLANTED);
    let mut errors = 0;
    for key in support::all_keys().iter().take(4) {
        let secrets = Secrets::of(key);
        let pem = key.to_pkcs8_pem();
        // Every kind of damage to the text: a line end lost, a line lost, a character changed, all on one line.
        let mut texts = vec![
            pem.replace('\n', ""),
            pem.replace('\n', " "),
            pem.replace('\n', "\\n"),
            pem.replacen("-----\n", "-----", 1),
            pem.replace("\n-----END", "-----END"),
            pem.replace("-----END", "----END"),
            pem.replace("-----BEGIN", "BEGIN"),
            pem.replace("PRIVATE KEY", "CERTIFICATE"),
            pem.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
            pem.replace("PRIVATE KEY", "EC PRIVATE KEY"),
            pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
            pem.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY"),
            pem.replace("=", ""),
            pem.replace("KEY-----\n", "KEY-----\nDEK-Info: "),
        ];
        for at in (30..pem.len()).step_by(7) {
            texts.push(format!("{}{}", &pem[..at], &pem[at + 1..]));
            texts.push(format!("{}*{}", &pem[..at], &pem[at + 1..]));
            texts.push(format!("{}\n-----END{}", &pem[..at], &pem[at..]));
            texts.push(format!("{}-----BEGIN {}", &pem[..at], &pem[at..]));
            texts.push(pem[..at].to_owned());
        }
        let mut files: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
        let der = key.to_pkcs8_der();
        for at in 0..der.len().min(200) {
            files.push(der[..at].to_vec());
            let mut changed = der.to_vec();
            changed[at] ^= 0x55;
            files.push(changed);
        }
        for file in files {
            if let Err(error) = read_private_key(&file, Some(&passphrase)) {
                secrets.check_all(&error);
                errors += 1;
            }
            if let Err(error) = PrivateKey::from_der(&file) {
                secrets.check_all(&error);
            }
            if let Err(error) = pkcs12::describe_pkcs12(&file) {
                secrets.check_all(&error);
            }
        }
    }
    assert!(errors > 1000, "only {errors} errors were looked at");
}

#[test]
fn errors_about_passphrases_show_nothing_secret() {
    let key = support::key(KeyAlgorithm::Ed25519);
    let secrets = Secrets::of(key);
    let planted = Passphrase::new(PLANTED);
    let other = encrypted::encrypt(key, &Passphrase::new("planted-secret another")).unwrap();
    secrets.check_all(&encrypted::decrypt(&other, &planted).unwrap_err());
    let certificate = support::certificate(key, "a");
    let file = pkcs12::write_pkcs12(
        key,
        &[&certificate],
        "",
        &Passphrase::new("planted-secret another"),
        pkcs12::Target::Modern,
    )
    .unwrap();
    secrets.check_all(&pkcs12::read_pkcs12(&file, &planted).unwrap_err());
    let bytes = Passphrase::new([PLANTED.as_bytes(), &[0xff]].concat());
    secrets.check_all(&pkcs12::read_pkcs12(&file, &bytes).unwrap_err());
    secrets.check_all(
        &pkcs12::write_pkcs12(key, &[&certificate], "", &bytes, pkcs12::Target::Modern).unwrap_err(),
    );
}
