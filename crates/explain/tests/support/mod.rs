//! The fixtures, and what is demanded of every text made from them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One file.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Every file but those that make them, in the order of their names.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut fixtures: Vec<Fixture> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let kind = path.extension().and_then(|e| e.to_str());
            kind.is_some_and(|kind| ["pem", "der", "p12", "p7", "p7b", "pub"].contains(&kind))
        })
        .map(|path| Fixture {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            bytes: std::fs::read(path).unwrap(),
        })
        .collect();
    fixtures.sort_by(|one, two| one.name.cmp(&two.name));
    assert!(fixtures.len() > 30, "the fixtures are missing");
    fixtures
}

/// Every output there is of these bytes: for eyes, at two widths and with colours, and for programs.
pub(crate) struct Outputs {
    /// For terminals, without colour.
    pub(crate) texts: [String; 3],
    /// For programs.
    pub(crate) json: String,
    /// The items again, as PEM.
    pub(crate) pem: String,
    /// With colour.
    pub(crate) coloured: String,
}

pub(crate) fn render_all(bytes: &[u8], name: &str) -> Outputs {
    let inspection = explain::inspect(bytes, name, testkit::now());
    Outputs {
        texts: [
            explain::render::summary_text(&inspection, 80, false),
            explain::render::summary_text(&inspection, 24, false),
            explain::render::full_text(&inspection, 80, false),
        ],
        json: serde_json::to_string_pretty(&explain::render::json(&inspection)).unwrap(),
        pem: explain::render::pem(&inspection),
        coloured: explain::render::full_text(&inspection, 80, true),
    }
}

/// Line ends and printable characters only; nothing that moves, colours, hides or reorders.
pub(crate) fn is_safe_to_print(text: &str) -> bool {
    text.chars().all(|character| {
        character == '\n'
            || !character.is_control()
                && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    })
}

/// The text without `ESC [ … m`, the only escape sequences there may be.
pub(crate) fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let (codes, after) = behind.split_once('m').unwrap();
        assert!(codes.bytes().all(|octet| octet.is_ascii_digit() || octet == b';'), "{text:?}");
        rest = after;
    }
    plain + rest
}

/// A part of a private key, in the ways it could be shown.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) of: String,
    pub(crate) octets: Vec<u8>,
    pub(crate) hex: String,
    pub(crate) base64: String,
}

/// Fragments of the private halves of every key among the fixtures.
pub(crate) fn secrets() -> Vec<Secret> {
    let mut secrets = Vec::new();
    for Fixture { name, bytes } in fixtures() {
        let Ok(blocks) = pki::pem::read(&bytes) else { continue };
        for block in blocks.into_iter().filter(|block| block.label.ends_with("PRIVATE KEY")) {
            // Where the private half stands, by the form: the scalar or seed; of RSA the last of the private
            // numbers. The ciphertext of encrypted ones need not be shown either.
            let private = match (name.as_str(), block.der.len()) {
                ("key-p256.pem" | "jumbled.pem", _) => 36..68,
                ("key-ed25519.pem", _) => 16..48,
                ("key-ec-sec1.pem", _) => 7..39,
                // OpenSSH keeps the seed with the public key behind it, and then the comment.
                ("ssh-key.pem", _) => {
                    let comment = block.der.windows(10).rposition(|octets| octets == b"throw-away").unwrap();
                    comment - 68..comment - 36
                }
                (_, length) => length - 60..length - 20,
            };
            let fragment = &block.der[private];
            // At three starts, since the armour's groups of three need not fall together with the fragment's.
            for piece in (0..3).flat_map(|start| fragment[start..].chunks_exact(9)) {
                secrets.push(Secret {
                    of: name.clone(),
                    octets: piece.to_vec(),
                    hex: pki::hex(piece),
                    base64: STANDARD.encode(piece),
                });
            }
        }
    }
    secrets
}
