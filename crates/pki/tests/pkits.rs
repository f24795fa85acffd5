//! NIST PKITS: 247 judgements over 223 certificates, with all of its intermediate certificates and all of its lists at
//! hand, so that paths are searched and not given. A name starts with `Valid` or `Invalid`; the others, and those that
//! the document judges under several inputs, are in [`INPUTS`].
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use base64::Engine as _;
use pki::Certificate;
use pki::crl::{CertificateRevocationList, CrlError};
use pki::oid::Oid;
use pki::verify::{PolicyDemand, Purpose, ReasonCode, RevocationMode, Rules, TrustBundle, verify};
use serde::Deserialize;

#[derive(Deserialize)]
struct Suite {
    certs: BTreeMap<String, String>,
    crls: BTreeMap<String, String>,
}

/// A certificate judged under inputs of the user's own: the policies it accepts (`NIST-test-policy-N` by its number),
/// `e`xplicit, no `m`apping, no `a`ny.
struct Input {
    certificate: &'static str,
    policies: &'static [u8],
    flags: &'static str,
    is_valid: bool,
}

const fn input(
    certificate: &'static str,
    policies: &'static [u8],
    flags: &'static str,
    is_valid: bool,
) -> Input {
    Input { certificate, policies, flags, is_valid }
}

/// Sections 4.8, 4.10 and 4.12.
#[rustfmt::skip] // One line a judgement reads as the table it is.
const INPUTS: &[Input] = &[
    input("ValidCertificatePathTest1EE", &[], "e", true),
    input("ValidCertificatePathTest1EE", &[1], "e", true),
    input("ValidCertificatePathTest1EE", &[2], "e", false),
    input("ValidCertificatePathTest1EE", &[1, 2], "e", true),
    input("AllCertificatesNoPoliciesTest2EE", &[], "", true),
    input("AllCertificatesNoPoliciesTest2EE", &[], "e", false),
    input("DifferentPoliciesTest3EE", &[], "", true),
    input("DifferentPoliciesTest3EE", &[], "e", false),
    input("DifferentPoliciesTest3EE", &[1, 2], "e", false),
    input("DifferentPoliciesTest4EE", &[], "", false),
    input("DifferentPoliciesTest5EE", &[], "", false),
    input("OverlappingPoliciesTest6EE", &[], "", true),
    input("OverlappingPoliciesTest6EE", &[1], "", true),
    input("OverlappingPoliciesTest6EE", &[2], "", false),
    input("DifferentPoliciesTest7EE", &[], "", false),
    input("DifferentPoliciesTest8EE", &[], "", false),
    input("DifferentPoliciesTest9EE", &[], "", false),
    input("AllCertificatesSamePoliciesTest10EE", &[], "", true),
    input("AllCertificatesSamePoliciesTest10EE", &[1], "", true),
    input("AllCertificatesSamePoliciesTest10EE", &[2], "", true),
    input("AllCertificatesanyPolicyTest11EE", &[], "", true),
    input("AllCertificatesanyPolicyTest11EE", &[1], "", true),
    input("DifferentPoliciesTest12EE", &[], "", false),
    input("AllCertificatesSamePoliciesTest13EE", &[1], "", true),
    input("AllCertificatesSamePoliciesTest13EE", &[2], "", true),
    input("AllCertificatesSamePoliciesTest13EE", &[3], "", true),
    input("AnyPolicyTest14EE", &[1], "", true),
    input("AnyPolicyTest14EE", &[2], "", false),
    input("UserNoticeQualifierTest15EE", &[], "", true),
    input("UserNoticeQualifierTest16EE", &[], "", true),
    input("UserNoticeQualifierTest17EE", &[], "", true),
    input("UserNoticeQualifierTest18EE", &[1], "", true),
    input("UserNoticeQualifierTest18EE", &[2], "", true),
    input("UserNoticeQualifierTest19EE", &[], "", true),
    input("CPSPointerQualifierTest20EE", &[], "", true),
    input("ValidPolicyMappingTest1EE", &[1], "", true),
    input("ValidPolicyMappingTest1EE", &[2], "", false),
    input("ValidPolicyMappingTest1EE", &[], "m", false),
    input("InvalidPolicyMappingTest2EE", &[], "m", false),
    input("ValidPolicyMappingTest3EE", &[1], "", false),
    input("ValidPolicyMappingTest3EE", &[2], "", true),
    input("ValidPolicyMappingTest5EE", &[1], "", true),
    input("ValidPolicyMappingTest5EE", &[6], "", false),
    input("ValidPolicyMappingTest6EE", &[1], "", true),
    input("ValidPolicyMappingTest6EE", &[6], "", false),
    input("ValidPolicyMappingTest12EE", &[1], "", true),
    input("ValidPolicyMappingTest12EE", &[2], "", true),
    input("inhibitAnyPolicyTest3EE", &[], "", true),
    input("inhibitAnyPolicyTest3EE", &[], "a", false),
];

/// What differs from the document, and why that is right.
#[rustfmt::skip] // One line an exception reads as the table it is.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("ValidDSASignaturesTest4EE", DSA),
    ("ValidDSAParameterInheritanceTest5EE", DSA),
    ("ValidIDPwithindirectCRLTest22EE", INDIRECT),
    ("ValidIDPwithindirectCRLTest24EE", INDIRECT),
    ("ValidIDPwithindirectCRLTest25EE", INDIRECT),
    ("ValidcRLIssuerTest28EE", INDIRECT),
    ("ValidcRLIssuerTest29EE", INDIRECT),
    ("ValidcRLIssuerTest30EE", INDIRECT),
    ("ValidcRLIssuerTest33EE", INDIRECT),
    ("InvaliddeltaCRLTest4EE", DELTA),
    ("ValiddeltaCRLTest5EE", DELTA),
];
const DSA: &str = "FIPS 186-5 withdrew DSA, and no TLS library verifies it; the chain is refused.";
const INDIRECT: &str =
    "Indirect lists are refused by name, so there is no list and the certificate is refused.";
const DELTA: &str = "Whether deltas are used is an input (use-deltas, RFC 5280 section 6.3.1 b), and here they are not: the \
                     complete list, which is current, decides.";

struct Bench {
    anchors: TrustBundle,
    others: Vec<Certificate>,
    lists: Vec<CertificateRevocationList>,
    suite: Suite,
}

fn decode(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn bench() -> Bench {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pkits/pkits.json");
    let suite: Suite = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let certificate = |name: &str| Certificate::from_der(&decode(&suite.certs[name]));
    let others =
        suite.certs.keys().filter(|name| !name.ends_with("EE") && *name != "TrustAnchorRootCertificate");
    let others: Vec<Certificate> = others.filter_map(|name| certificate(name).ok()).collect();
    assert!(others.len() > 170, "{}", others.len());
    // A list that cannot be read is not there: indirect and delta lists are refused by name, one has a broken signature.
    let read = |text: &String| CertificateRevocationList::from_der(&decode(text));
    let lists: Vec<CertificateRevocationList> =
        suite.crls.values().filter_map(|text| read(text).ok()).collect();
    let refused = |wanted: &CrlError| {
        suite.crls.values().filter(|text| read(text).as_ref().err() == Some(wanted)).count()
    };
    assert_eq!((refused(&CrlError::Indirect), refused(&CrlError::Delta)), (3, 4));
    assert_eq!(lists.len(), 162);
    let anchors = TrustBundle::new(vec![certificate("TrustAnchorRootCertificate").unwrap()]);
    Bench { anchors, others, lists, suite }
}

impl Bench {
    fn judge(&self, name: &str, policies: PolicyDemand<'_>) -> Result<(), (ReasonCode, String)> {
        let leaf = Certificate::from_der(&decode(&self.suite.certs[name]))
            .map_err(|error| (ReasonCode::NotConforming, error.to_string()))?;
        let rules = Rules {
            crls: &self.lists,
            revocation: RevocationMode::Required,
            policies,
            ..Rules::new(&self.anchors, Purpose::Any, "2026-06-15T12:00:00Z".parse().unwrap())
        };
        verify(&leaf, &self.others, &rules)
            .map(drop)
            .map_err(|refusal| (refusal.first().code, refusal.to_string()))
    }
}

fn policy(number: u8) -> Oid {
    Oid::from_dotted(&format!("2.16.840.1.101.3.2.1.48.{number}")).unwrap()
}

#[test]
fn every_judgement_is_that_of_the_document_or_an_exception_with_a_reason() {
    let bench = bench();
    let mut exceptions: BTreeMap<&str, &str> = EXCEPTIONS.iter().copied().collect();
    assert_eq!(exceptions.len(), EXCEPTIONS.len(), "an exception stands twice");
    let mut complaints = Vec::new();
    let mut count = 0;
    let mut hold = |name: &str, title: &str, demand: PolicyDemand<'_>, is_valid: bool| {
        count += 1;
        let verdict = bench.judge(name, demand);
        let agrees = verdict.is_ok() == is_valid;
        if let Some(reason) = exceptions.remove(title) {
            assert!(reason.ends_with('.'), "{title}: the reason is a sentence");
        }
        match EXCEPTIONS.iter().find(|(excepted, _)| *excepted == title) {
            Some(_) if agrees => complaints.push(format!("{title}: excepted, and agrees")),
            None if !agrees => complaints.push(format!("{title}: {verdict:?}")),
            _ => {}
        }
    };
    for name in bench.suite.certs.keys() {
        let is_valid = name.starts_with("Valid");
        let has_inputs = INPUTS.iter().any(|input| input.certificate == name);
        let is_mapping = name.starts_with("ValidPolicyMapping") && has_inputs;
        if (is_valid || name.starts_with("Invalid")) && !is_mapping {
            hold(name, name, PolicyDemand::default(), is_valid);
        }
    }
    for input in INPUTS {
        let acceptable: Vec<Oid> = input.policies.iter().map(|number| policy(*number)).collect();
        let demand = PolicyDemand {
            acceptable: &acceptable,
            explicit: input.flags.contains('e'),
            inhibit_mapping: input.flags.contains('m'),
            inhibit_any: input.flags.contains('a'),
        };
        let title = format!("{} {:?} {}", input.certificate, input.policies, input.flags);
        hold(input.certificate, &title, demand, input.is_valid);
    }
    complaints.extend(exceptions.into_keys().map(|title| format!("{title}: excepted, and not judged")));
    assert!(complaints.is_empty(), "{} of {count} differ:\n{}", complaints.len(), complaints.join("\n"));
    assert_eq!(count, 247);
}
