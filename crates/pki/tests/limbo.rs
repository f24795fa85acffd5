//! x509-limbo (github.com/C2SP/x509-limbo, Apache-2.0): 289 of its cases through `pki::verify`. Each agrees with the
//! expected result or stands in limbo/exceptions.toml with a reason; an exception that agrees fails too.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use pki::Certificate;
use pki::crl::CertificateRevocationList;
use pki::identity::Identity;
use pki::name::ServerName;
use pki::verify::{Purpose, RevocationMode, Rules, TrustBundle, verify};
use serde::Deserialize;

#[derive(Deserialize)]
struct Limbo {
    testcases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    validation_kind: String,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    validation_time: Option<String>,
    expected_result: String,
    expected_peer_name: Option<PeerName>,
    expected_peer_names: Vec<PeerName>,
    crls: Vec<String>,
}

#[derive(Deserialize)]
struct PeerName {
    kind: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    exception: Vec<Exception>,
}

/// One case where the result differs from the expected one, and why that is right or not mended yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    id: String,
    ours: String,
    reason: String,
}

/// The corpus was made at this moment; cases without a time of their own mean it.
const MADE_AT: &str = "2026-11-22T09:05:57Z";

fn der(pem: &str) -> Result<Vec<u8>, String> {
    let mut blocks = pki::pem::read(pem.as_bytes()).map_err(|error| error.to_string())?;
    assert_eq!(blocks.len(), 1, "one block a text");
    Ok(blocks.remove(0).der)
}

fn certificate(pem: &str) -> Result<Certificate, String> {
    Certificate::from_der(&der(pem)?).map_err(|error| error.to_string())
}

/// `Ok` where countersign believes the peer, else the reason that blocks.
fn judge(case: &Case) -> Result<(), String> {
    let leaf = certificate(&case.peer_certificate)?;
    // A certificate in a bundle or chain that cannot be read is not there, as for every other client.
    let readable = |texts: &[String]| -> Vec<Certificate> {
        texts.iter().filter_map(|pem| certificate(pem).ok()).collect()
    };
    let crls: Vec<_> = case
        .crls
        .iter()
        .filter_map(|pem| CertificateRevocationList::from_der(&der(pem).ok()?).ok())
        .collect();
    let server_name = match &case.expected_peer_name {
        Some(name) if name.kind != "RFC822" => {
            Some(ServerName::parse(&name.value).map_err(|error| error.to_string())?)
        }
        _ => None,
    };
    let anchors = TrustBundle::new(readable(&case.trusted_certs));
    let purpose = if case.validation_kind == "CLIENT" { Purpose::Client } else { Purpose::Server };
    let at = case.validation_time.as_deref().unwrap_or(MADE_AT).parse::<Timestamp>().unwrap();
    let rules = Rules {
        server_name: server_name.as_ref(),
        crls: &crls,
        // Whoever hands over a list that cannot be used wants to know.
        revocation: if case.crls.is_empty() { RevocationMode::WhereKnown } else { RevocationMode::Required },
        ..Rules::new(&anchors, purpose, at)
    };
    let path = verify(&leaf, &readable(&case.untrusted_intermediates), &rules)
        .map_err(|refusal| format!("{}: {refusal}", refusal.first().code))?;
    let identities = Identity::all_of(path.leaf());
    for name in &case.expected_peer_names {
        assert_eq!(name.kind, "RFC822", "{}", case.id);
        if !identities.contains(&Identity::Email(name.value.clone())) {
            return Err(format!("the identities lack {}", name.value));
        }
    }
    Ok(())
}

#[test]
fn every_case_agrees_or_is_an_exception_with_a_reason() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/limbo");
    let limbo: Limbo =
        serde_json::from_str(&std::fs::read_to_string(folder.join("limbo-small.json")).unwrap()).unwrap();
    assert_eq!(limbo.testcases.len(), 289);
    let exceptions: Exceptions =
        toml::from_str(&std::fs::read_to_string(folder.join("exceptions.toml")).unwrap()).unwrap();
    let count = exceptions.exception.len();
    let mut exceptions: BTreeMap<String, Exception> =
        exceptions.exception.into_iter().map(|exception| (exception.id.clone(), exception)).collect();
    assert_eq!(exceptions.len(), count, "an exception stands twice");

    let mut complaints = Vec::new();
    for case in &limbo.testcases {
        let verdict = judge(case);
        let ours = if verdict.is_ok() { "SUCCESS" } else { "FAILURE" };
        let why = verdict.err().unwrap_or_else(|| "accepted".to_owned());
        let agrees = ours == case.expected_result;
        match exceptions.remove(&case.id) {
            Some(exception) => {
                assert!(exception.reason.ends_with('.'), "{}: the reason is a sentence", case.id);
                if agrees || exception.ours != ours {
                    complaints
                        .push(format!("{}: excepted as {}, and is {ours} ({why})", case.id, exception.ours));
                }
            }
            None if !agrees => {
                complaints.push(format!("{}: expected {}: {why}", case.id, case.expected_result));
            }
            None => {}
        }
    }
    complaints.extend(exceptions.into_keys().map(|id| format!("{id}: excepted, and there is no such case")));
    assert!(complaints.is_empty(), "{} disagreement(s):\n{}", complaints.len(), complaints.join("\n"));
}
