//! The nickname, and finding a certificate by its bytes.

use super::super::Anchor;
use super::super::Kind;
use super::anchor;

#[test]
fn nickname_is_printable_ascii_with_the_fingerprints_first_digits() {
    let nickname = |name: &str| Anchor::new(name, vec![1], [0xab; 32], "/x".into()).nickname;
    assert_eq!(nickname("Ada's laptop"), "countersign Ada-s-laptop abababab");
    assert_eq!(nickname("token:name"), "countersign token-name abababab");
    assert_eq!(nickname("Müller & Söhne"), "countersign M-ller-S-hne abababab");
    assert_eq!(nickname("../../etc/passwd"), "countersign etc-passwd abababab");
    assert_eq!(nickname("日本"), "countersign abababab");
    assert_eq!(anchor("dev", 0x0f).file_stem(), "countersign-dev-0f0f0f0f");
}

#[test]
fn anchor_is_found_in_a_bundle_by_its_bytes_alone() {
    let (ours, other) = (anchor("dev", 1), anchor("dev", 2));
    let bundle = format!("# a comment\r\n{}\nText: more\n{}", other.pem, ours.pem.replace('\n', "\r\n"));
    assert!(ours.is_in(&bundle));
    assert!(other.is_in(&bundle));
    assert!(!anchor("dev", 3).is_in(&bundle));
    assert!(!ours.is_in(&ours.pem.replace("CERTIFICATE", "PRIVATE KEY")), "only certificates count");
    assert!(!ours.is_in(&ours.pem.replace("-----END", "")), "a block cut short is no certificate");
}

#[test]
fn pem_lines_are_64_characters_and_the_block_is_whole() {
    let pem = anchor("dev", 7).pem;
    let lines: Vec<&str> = pem.lines().collect();
    assert_eq!(lines.first(), Some(&"-----BEGIN CERTIFICATE-----"));
    assert_eq!(lines.last(), Some(&"-----END CERTIFICATE-----"));
    // 300 bytes are 400 characters: six full lines and one of 16.
    assert_eq!(
        lines[1..lines.len() - 1].iter().map(|line| line.len()).collect::<Vec<_>>(),
        [64, 64, 64, 64, 64, 64, 16]
    );
}

#[test]
fn unknown_kind_of_store_is_refused_with_the_three_that_exist() {
    assert_eq!("nss".parse::<Kind>().unwrap(), Kind::Nss);
    let error = "firefox".parse::<Kind>().unwrap_err().to_string();
    assert!(
        error.contains("`firefox`") && error.contains("system, nss (Firefox and Chromium) or java"),
        "{error}"
    );
}
