//! Input that is large and not damaged: the summary must not grow with it, nor the time per octet.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use explain::render::{full_text, summary_text};
use pki::der::{Writer, tag};
use pki::oid;

/// Some forty times what it takes in a debug build; only work that grows with the square takes longer.
const LONGEST: Duration = Duration::from_secs(20);

/// A list of so many entries, each with a reason; its signature is made up.
fn list_of(count: u32) -> Vec<u8> {
    let algorithm = |writer: &mut Writer| {
        writer.nested(tag::SEQUENCE, |w| w.object_identifier(&oid::ECDSA_WITH_SHA256));
    };
    let mut entries = Vec::new();
    for number in 0..count {
        // INTEGER of 4 octets, UTCTime, and the reason keyCompromise or superseded.
        entries.extend([0x30, 0x23, 0x02, 0x04]);
        entries.extend((0x4000_0000 + number).to_be_bytes());
        entries.extend(b"\x17\x0d260601000000Z");
        entries.extend([0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01]);
        entries.push(if number % 2 == 0 { 1 } else { 4 });
    }
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        w.nested(tag::SEQUENCE, |w| {
            w.raw(&[0x02, 0x01, 0x01]);
            algorithm(w);
            w.raw(&[0x30, 0x00]);
            w.raw(b"\x17\x0d260601000000Z");
            w.raw(b"\x17\x0d260701000000Z");
            w.nested(tag::SEQUENCE, |w| w.raw(&entries));
        });
        algorithm(w);
        w.raw(&[0x03, 0x02, 0x00, 0x00]);
    });
    writer.into_bytes()
}

#[test]
fn a_long_list_is_counted_and_summed_up_in_a_few_lines() {
    let count = 100_000;
    let der = list_of(count);
    let start = Instant::now();
    let inspection = explain::inspect(&der, "large.crl", testkit::now());
    let summary = summary_text(&inspection, 80, false);
    let took = start.elapsed();
    assert!(summary.contains("100,000 certificates"), "{summary}");
    assert!(summary.contains("50000 keyCompromise") && summary.contains("50000 superseded"), "{summary}");
    assert!(inspection.items[0].problems.is_empty(), "{:?}", inspection.items[0].problems);
    assert!(summary.lines().count() < 20, "{summary}");
    assert!(full_text(&inspection, 80, false).lines().count() < 1000);
    assert!(took < LONGEST, "{took:?}");
}

#[test]
fn a_bundle_as_long_as_every_public_root_is_described_whole() {
    let root = testkit::TestCa::new().issue_client("alice").certificate.to_pem();
    let start = Instant::now();
    let inspection = explain::inspect(root.repeat(300).as_bytes(), "bundle.pem", testkit::now());
    assert_eq!(inspection.items.len(), 300);
    assert!(start.elapsed() < LONGEST, "{:?}", start.elapsed());
}
