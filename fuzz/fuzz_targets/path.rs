//! A path among certificates of any bytes, each behind its length in two octets: the first is the leaf, the last the
//! anchor. Both ways through the engine agree, and none takes long.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::Certificate;
use pki::verify::{Conformance, PolicyDemand, Purpose, Rules, TrustBundle, examine, verify};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let mut certificates = Vec::new();
    while let [high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (one, behind) = tail.split_at(length);
        certificates.extend(Certificate::from_der(one).ok());
        rest = behind;
    }
    let [leaf, intermediates @ .., anchor] = certificates.as_slice() else { return };
    let anchors = TrustBundle::new(vec![anchor.clone()]);
    for conformance in [Conformance::Path, Conformance::Strict] {
        let rules = Rules {
            conformance,
            policies: PolicyDemand { explicit: conformance == Conformance::Strict, ..PolicyDemand::default() },
            ..Rules::new(&anchors, Purpose::Any, leaf.not_before())
        };
        let found = verify(leaf, intermediates, &rules).is_ok();
        assert_eq!(found, examine(leaf, intermediates, &rules).valid().is_some());
    }
});
