//! Each code has a fault, and each fault gets its code: first in rank, with the right side, in TLS 1.2 and 1.3.

use explain::FindingCode;

use crate::facts;

/// Codes without a fault, each with its reason.
const WITHOUT: &[(&str, &str)] = &[
    (
        "second_opinion",
        "no chain is known on which the two validators differ; the code is there for the day of one",
    ),
    ("policy_not_accepted", "a demand for policies is made by `verify` and the gateway, not by a TLS client"),
    (
        "not_conforming",
        "strict conformance is asked for by `verify`; what TLS programs mind is strict_profile",
    ),
    (
        "ocsp_unavailable",
        "what the client gets is the alert of crl_missing; which of the two it was, the server's log has",
    ),
    (
        "crl_unusable",
        "a list of another scope refuses only where one is required, which a client of the doctor is not",
    ),
];

#[tokio::test]
async fn each_code_has_a_fault_and_each_fault_gets_its_code_first_with_its_side_in_both_versions() {
    let mut wrong = Vec::new();
    for code in FindingCode::ALL {
        if WITHOUT.iter().any(|(name, _)| *name == code.name()) {
            assert!(
                testkit::faults::build(code.name()).is_none(),
                "{code} has a fault: take it off the list"
            );
            continue;
        }
        for version in ["1.2", "1.3"] {
            let Some(fault) = testkit::faults::build(code.name()) else {
                wrong.push(format!("{code}: no fault is built for it"));
                break;
            };
            let Some(report) = facts::report(&fault, version).await else { continue };
            let found: Vec<String> = report
                .findings
                .iter()
                .map(|ranked| {
                    format!("{} ({}, {})", ranked.finding.code, ranked.finding.fault, ranked.weight.name())
                })
                .collect();
            let first =
                report.findings.first().map(|ranked| (ranked.finding.code, ranked.finding.fault.name()));
            if first != Some((*code, fault.side)) {
                wrong.push(format!("{code} ({}) in TLS {version}: {}", fault.side, found.join(", ")));
            }
            let has_fix = report
                .findings
                .first()
                .is_some_and(|ranked| ranked.finding.fix.is_some() || ranked.finding.remedy.is_some());
            if !has_fix {
                wrong.push(format!("{code}: nothing is said about what to do"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
