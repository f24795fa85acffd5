//! What a look at a server shows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::*;
use explain::FindingCode;
use net::dial::probe::{Outcome, Probe, probe};
use net::dial::{Route, TlsOptions};
use net::serve::Handler;
use net::snapshot::ClientAuth;
use net::tls::TlsVersions;
use pki::name::ServerName;
use testkit::{TestCa, TestIdentity};

async fn look(
    server: &TestServer,
    believed: &TestCa,
    own: Option<&TestIdentity>,
    versions: TlsVersions,
) -> Probe {
    let host = ServerName::parse("localhost").unwrap();
    let mut options = TlsOptions::new(expectation(believed));
    options.credentials = own.map(credentials);
    options.versions = versions;
    let (limit, patience) = (Duration::from_secs(10), Duration::from_millis(500));
    probe(&host, server.address.port(), &Route::default(), options, limit, patience).await.unwrap()
}

#[tokio::test]
async fn a_look_shows_chain_request_and_the_refusal_that_comes_later() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let seen = look(&server, &ca, None, TLS13).await;
    let served = seen.served.unwrap();
    assert_eq!(served.chain.len(), 2);
    assert!(served.verdict.finding().is_none());
    let request = seen.certificate_request.unwrap();
    assert_eq!(request.authority_names(), ["CN=Test Root CA"]);
    assert!(request.signature_schemes.iter().any(|name| name == "ecdsa_secp256r1_sha256"));
    assert_eq!(seen.negotiated.unwrap().version, "TLSv1.3");
    match seen.outcome {
        Outcome::RefusedLater { finding, alert } => {
            assert_eq!((finding.code, alert), (FindingCode::NoClientCertificate, Some(116)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn under_tls12_the_refusal_is_part_of_the_handshake_and_the_chain_is_shown_all_the_same() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let seen = look(&server, &ca, None, TLS12).await;
    assert_eq!(seen.served.unwrap().chain.len(), 2);
    assert!(seen.certificate_request.is_some());
    match seen.outcome {
        Outcome::Failed(failure) => assert_eq!(failure.alert_received, Some(40)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_not_believed_is_looked_at_and_the_verdict_noted() {
    let ca = TestCa::new();
    let mut open = snapshot(&ca);
    open.client_auth = ClientAuth::Off;
    let server = TestServer::start(open, Handler::Identity).await;
    let seen = look(&server, &TestCa::new().named("Other"), None, TlsVersions::Both).await;
    assert_eq!(seen.served.unwrap().verdict.finding().unwrap().code, FindingCode::UnknownIssuer);
    assert!(seen.certificate_request.is_none());
    assert!(matches!(seen.outcome, Outcome::Accepted), "{:?}", seen.outcome);
}

#[tokio::test]
async fn a_server_that_says_nothing_of_a_good_certificate_is_silent() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let alice = ca.issue_client("alice");
    let seen = look(&server, &ca, Some(&alice), TLS13).await;
    assert!(seen.sent_certificate);
    // Over ALPN-less HTTP/1.1 without tickets the server waits for a request.
    assert!(matches!(seen.outcome, Outcome::Silent), "{:?}", seen.outcome);
    let seen = look(&server, &ca, Some(&alice), TLS12).await;
    assert!(matches!(seen.outcome, Outcome::Accepted), "{:?}", seen.outcome);
}
