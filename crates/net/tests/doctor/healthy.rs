//! No false alarm, and no secret in what is said.

use explain::doctor::{Verdict, diagnose};

use crate::{facts, server};

#[tokio::test]
async fn a_healthy_pair_has_no_finding_with_any_program_in_both_versions() {
    for version in ["1.2", "1.3"] {
        for program in explain::doctor::Program::ALL {
            let mut pair = testkit::faults::healthy();
            pair.program = program.name();
            let port = server::of_pair(&pair, version).await;
            let report = diagnose(&facts::of_pair(&pair, port).await);
            assert_eq!(report.verdict, Verdict::Healthy, "{program} in TLS {version}: {:?}", report.findings);
            assert!(report.checked.len() >= 4, "{:?}", report.checked);
        }
    }
}

#[tokio::test]
async fn a_client_that_judges_three_faults_is_told_all_three_the_blocking_one_first() {
    use testkit::{TestCa, TestOrder};
    let ca = TestCa::new();
    let mut pair = testkit::faults::healthy();
    pair.server = ca.issue(TestOrder::client("alice").expired());
    pair.client_trust = vec![ca.root().certificate.clone()];
    (pair.asks, pair.client) = (None, None);
    let port = server::of_pair(&pair, "1.3").await;
    let report = diagnose(&facts::of_pair(&pair, port).await);
    let codes: Vec<&str> = report.findings.iter().map(|ranked| ranked.finding.code.name()).collect();
    for code in ["certificate_expired", "wrong_purpose", "no_subject_alt_name"] {
        assert!(codes.contains(&code), "{codes:?}");
    }
}
