//! Certificates and what is about them: DER, PEM, requests, lists, OCSP, names, rules, paths.

use pki::Certificate;
use pki::crl::{CertificateRevocationList, DistributionPoint};
use pki::csr::CertificateRequest;
use pki::der::Reader;
use pki::name::{DistinguishedName, GeneralName, IpRange, ServerName, SubjectNames};
use pki::ocsp;
use pki::policy::{Policy, Rule};
use pki::verify::{Conformance, PolicyDemand, Purpose, Rules, TrustBundle, examine, verify};

/// DER of any bytes: what is read covers the input, and is within it.
pub(crate) fn der(bytes: &[u8]) {
    fn walk(mut reader: Reader<'_>, depth: usize) {
        let start = reader.offset();
        let total = reader.remaining().len();
        let mut seen = 0;
        while let Ok(value) = reader.any() {
            seen += value.whole.len();
            assert!(value.content.len() < value.whole.len() && seen <= total);
            assert_eq!(reader.offset() - start, seen);
            if value.tag & 0x20 != 0 && depth < 32 {
                walk(value.reader(), depth + 1);
            }
            if reader.is_empty() {
                break;
            }
        }
        let _ = reader.finish();
    }
    walk(Reader::new(bytes), 0);
    let _ = (Reader::new(bytes).integer(), Reader::new(bytes).small_integer("a number"));
    let _ = (Reader::new(bytes).boolean(), Reader::new(bytes).bit_string(), Reader::new(bytes).time());
    if let Ok(oid) = Reader::new(bytes).object_identifier() {
        let _ = oid.to_string();
    }
}

/// PEM of any bytes, whole or to be repaired; what is read is written and read back the same.
pub(crate) fn pem(bytes: &[u8]) {
    let _ = pki::pem::repair(bytes);
    for block in pki::pem::read(bytes).unwrap_or_default() {
        let again = pki::pem::read(pki::pem::encode(&block.label, &block.der).as_bytes());
        let again = again.expect("what was written can be read");
        assert!(again.len() == 1 && again[0].label == block.label && again[0].der == block.der);
    }
}

/// A certificate of any bytes: what is read is the same bytes, and everything can be asked of it.
pub(crate) fn certificate(bytes: &[u8]) {
    let Ok(certificate) = Certificate::from_der(bytes) else { return };
    assert_eq!(certificate.der(), bytes);
    let _ = (certificate.short_name(), certificate.subject().to_string(), certificate.serial_hex());
    let _ = (certificate.subject().matches(certificate.issuer()), DistributionPoint::of(&certificate));
    for name in certificate.subject_alt_names() {
        if let Some(constraints) = certificate.name_constraints() {
            let _ = constraints.check(name);
        }
    }
    let _ = pki::identity::Identity::all_of(&certificate);
    let _ = SubjectNames::of(&certificate).check();
}

/// A certificate signing request of any bytes. What is read has a signature that verifies, so almost nothing is.
pub(crate) fn signing_request(bytes: &[u8]) {
    let _ = CertificateRequest::from_der(bytes);
}

/// A revocation list of any bytes, asked about a certificate.
pub(crate) fn revocation_list(bytes: &[u8]) {
    let Ok(list) = CertificateRevocationList::from_der(bytes) else { return };
    assert_eq!(list.der(), bytes);
    let _ = (list.number(), list.next_update(), list.distribution_point(), list.revocation(&[1]));
}

/// An OCSP request of any bytes; what is understood of it is written and read back the same.
pub(crate) fn ocsp_request(bytes: &[u8]) {
    let Ok(request) = ocsp::Request::from_der(bytes) else { return };
    assert_eq!(ocsp::Request::from_der(&request.to_der()).as_ref(), Ok(&request));
}

/// An OCSP response of any bytes, with its signature asked for by each certificate that it brings.
pub(crate) fn ocsp_response(bytes: &[u8]) {
    let Ok(response) = ocsp::Response::from_der(bytes) else { return };
    for certificate in response.certificates() {
        let _ = response.signer_for(certificate, response.produced_at());
    }
}

/// Names of any bytes, encoded and written: what is read of a text means itself.
pub(crate) fn names(bytes: &[u8]) {
    if let Ok(name) = DistinguishedName::from_der(bytes) {
        assert_eq!(name.der(), bytes);
        assert!(name.matches(&name) && name.is_within(&name));
        let _ = (name.to_string(), name.short(), name.common_name());
    }
    if let Ok(name) = GeneralName::read(&mut Reader::new(bytes)) {
        let _ = (name.to_string(), name.value());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = pki::name::dns_name(text) {
        assert_eq!(pki::name::dns_name(&name).as_ref(), Ok(&name));
    }
    if let Ok(address) = pki::name::email_address(text) {
        assert_eq!(pki::name::email_address(&address).as_ref(), Ok(&address));
    }
    let _ = pki::name::uri(text);
    if let Ok(range) = text.parse::<IpRange>() {
        assert!(range.contains(range.base()));
        assert_eq!(range.to_string().parse::<IpRange>().as_ref(), Ok(&range));
    }
    if let Ok(server) = ServerName::parse(text) {
        let _ = server.is_named_by(&GeneralName::Dns(text.to_owned()));
    }
    for names in [SubjectNames::for_client(text), SubjectNames::for_server(&[text])].into_iter().flatten() {
        let _ = (names.check(), names.distinguished_name());
    }
}

/// A rule of any text, of each kind: what is read can be part of a policy, and is told in one line.
pub(crate) fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let rules = Rule::KINDS.iter().filter_map(|kind| Rule::parse(kind, text).ok());
    let rules: Vec<Rule> = rules.collect();
    for rule in &rules {
        assert!(!rule.to_string().is_empty());
    }
    let count = rules.len();
    assert_eq!(Policy::new(rules).statements().len(), count);
}

/// A path among certificates of any bytes, each behind its length in two octets: the first is the leaf, the last the
/// anchor. Both ways through the engine agree.
pub(crate) fn path(bytes: &[u8]) {
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
            policies: PolicyDemand {
                explicit: conformance == Conformance::Strict,
                ..PolicyDemand::default()
            },
            ..Rules::new(&anchors, Purpose::Any, leaf.not_before())
        };
        let found = verify(leaf, intermediates, &rules).is_ok();
        assert_eq!(found, examine(leaf, intermediates, &rules).valid().is_some());
    }
}
