//! Files that were damaged in every place: nothing may panic, hang, leave the terminal's rules or tell a secret.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use support::{Fixture, Secret, fixtures, is_safe_to_print, render_all, without_colours};

/// Damaged places in each file: some 5,000 damaged files in all, within seconds in a debug build. More where
/// `EXPLAIN_MUTATIONS` says so.
const PLACES: usize = 16;
/// Far beyond what any of these small files takes; a loop without end takes longer.
const LONGEST: Duration = Duration::from_secs(5);

fn places() -> usize {
    std::env::var("EXPLAIN_MUTATIONS").map_or(PLACES, |number| number.parse().unwrap())
}

/// xorshift64*: the same damage in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

fn check(name: &str, what: &str, bytes: &[u8]) {
    let start = Instant::now();
    let outputs = render_all(bytes, name);
    for text in outputs.texts.iter().chain([&outputs.pem, &outputs.json]) {
        assert!(is_safe_to_print(text), "{name}, {what}: {text:?}");
    }
    assert_eq!(without_colours(&outputs.coloured), outputs.texts[2], "{name}, {what}");
    let took = start.elapsed();
    assert!(took < LONGEST, "{name}, {what}: {took:?}");
}

fn damage(name: &str, bytes: &[u8], dice: &mut Dice) {
    let stride = (bytes.len() / places()).max(1);
    // Another start each time, so that no place is left out for good; the first octets count most.
    let start = dice.below(stride);
    for at in (0..bytes.len().min(8)).chain((start..bytes.len()).step_by(stride)) {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= [0x01, 0x20, 0x80, 0xff][dice.below(4)];
        check(name, &format!("byte {at} flipped"), &flipped);
        let mut grown = bytes.to_vec();
        grown.insert(at, [0x00, 0x30, 0x80, 0x84, 0xff, b'\n', b'-'][dice.below(7)]);
        check(name, &format!("a byte more at {at}"), &grown);
        check(name, &format!("cut at {at}"), &bytes[..at]);
        let mut shrunk = bytes.to_vec();
        shrunk.drain(at..bytes.len().min(at + 1 + dice.below(8)));
        check(name, &format!("bytes gone at {at}"), &shrunk);
    }
}

#[test]
fn no_damage_to_any_file_makes_inspection_panic_or_print_what_it_must_not() {
    let mut dice = Dice(0x5eed_cafe_f00d_0001);
    for Fixture { name, bytes } in fixtures() {
        check(&name, "as it is", &bytes);
        damage(&name, &bytes, &mut dice);
    }
}

#[test]
fn no_damage_under_the_armour_does_so_either() {
    let mut dice = Dice(0x5eed_cafe_f00d_0002);
    for Fixture { name, bytes } in fixtures() {
        let Ok(blocks) = pki::pem::read(&bytes) else { continue };
        // The label leads to the reader of its kind also where the shape is destroyed.
        for block in blocks.into_iter().take(1) {
            let name = format!("{name} line {}", block.line);
            let stride = (block.der.len() / places()).max(1);
            for at in (dice.below(stride)..block.der.len()).step_by(stride) {
                let mut der = block.der.clone();
                der[at] = der[at].wrapping_add([1, 0x7f, 0x80, 0xff][dice.below(4)]);
                check(&name, &format!("byte {at} changed"), pki::pem::encode(&block.label, &der).as_bytes());
                if dice.below(3) == 0 {
                    der.truncate(at);
                    check(&name, &format!("cut at {at}"), pki::pem::encode(&block.label, &der).as_bytes());
                }
            }
        }
    }
}

#[test]
fn any_structure_under_any_label_is_described() {
    let labels = [
        "CERTIFICATE",
        "TRUSTED CERTIFICATE",
        "CERTIFICATE REQUEST",
        "X509 CRL",
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PUBLIC KEY",
        "RSA PUBLIC KEY",
        "PKCS7",
        "PKCS12",
        "EC PARAMETERS",
        "SOMETHING ELSE",
    ];
    for Fixture { name, bytes } in fixtures() {
        let der = match pki::pem::read(&bytes) {
            Ok(mut blocks) => blocks.remove(0).der,
            Err(_) => bytes,
        };
        for label in labels {
            check(&name, label, pki::pem::encode(label, &der).as_bytes());
        }
    }
}

#[test]
fn parts_of_a_file_inside_each_other_are_bounded() {
    for octets in
        [&[0x30, 0x80][..], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0xa0, 0x80], &[0x24, 0x80, 0x24, 0x02]]
    {
        let deep = octets.repeat(50_000);
        let start = Instant::now();
        for label in ["CERTIFICATE", "PKCS7", "PKCS12", "X509 CRL", "UNKNOWN"] {
            check("nested", label, pki::pem::encode(label, &deep).as_bytes());
        }
        check("nested", "bare", &deep);
        assert!(start.elapsed() < LONGEST * 3, "{octets:02x?} took {:?}", start.elapsed());
    }
}

/// Octets that an output of these bytes would have to share with a private key.
fn assert_tells_no_secret(name: &str, bytes: &[u8], hidden: &[Secret]) {
    let inspection = explain::inspect(bytes, name, testkit::now());
    for item in &inspection.items {
        for secret in hidden {
            let held = item.der.windows(secret.octets.len()).any(|octets| octets == secret.octets);
            assert!(!held, "{name}: a part of {} is kept in {:?}", secret.of, item.position);
        }
    }
    let outputs = render_all(bytes, name);
    for text in [&outputs.texts[0], &outputs.texts[2], &outputs.pem, &outputs.json] {
        let squeezed: String =
            text.chars().filter(|c| c.is_ascii_alphanumeric() || "+/".contains(*c)).collect();
        let lower = squeezed.to_ascii_lowercase();
        for secret in hidden {
            assert!(
                !lower.contains(&secret.hex) && !squeezed.contains(&secret.base64),
                "{name}: a part of {} is shown:\n{text}",
                secret.of
            );
        }
        assert!(!text.contains("correct horse"), "{name}: the challenge password is shown:\n{text}");
    }
}

#[test]
fn private_halves_never_appear_in_any_output() {
    let hidden = support::secrets();
    assert!(hidden.len() >= 60, "the fixtures have lost their keys");
    let mut dice = Dice(0x5eed_cafe_f00d_0003);
    for Fixture { name, bytes } in fixtures() {
        assert_tells_no_secret(&name, &bytes, &hidden);
        let own: Vec<Secret> = hidden.iter().filter(|secret| secret.of == name).cloned().collect();
        for _ in 0..if own.is_empty() { 0 } else { places() } {
            let mut damaged = bytes.clone();
            let at = dice.below(damaged.len());
            damaged[at] ^= 1 << dice.below(8);
            assert_tells_no_secret(&name, &damaged, &own);
        }
    }
}

/// A damaged key may take the shape of something public; its headers are where that happens.
#[test]
fn private_halves_never_appear_when_the_structure_of_the_key_is_damaged() {
    let hidden = support::secrets();
    let mut dice = Dice(0x5eed_cafe_f00d_0004);
    for Fixture { name, bytes } in fixtures() {
        let Ok(blocks) = pki::pem::read(&bytes) else { continue };
        let own: Vec<Secret> = hidden.iter().filter(|secret| secret.of == name).cloned().collect();
        for block in blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY")) {
            let structure = block.der.len().min(40);
            let further = (40..block.der.len()).step_by((block.der.len() / places()).max(1));
            for at in (0..structure).chain(further) {
                let mut der = block.der.clone();
                der[at] = [der[at] ^ 1 << dice.below(8), 0x02, 0x30, 0x81, 0xff][dice.below(5)];
                assert_tells_no_secret(&name, &der, &own);
                assert_tells_no_secret(&name, pki::pem::encode(&block.label, &der).as_bytes(), &own);
            }
        }
    }
}
