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
    look_at(server.address, believed, own, versions).await
}

async fn look_at(
    address: std::net::SocketAddr,
    believed: &TestCa,
    own: Option<&TestIdentity>,
    versions: TlsVersions,
) -> Probe {
    let host = ServerName::parse("localhost").unwrap();
    let mut options = TlsOptions::new(expectation(believed));
    options.credentials = own.map(credentials);
    options.versions = versions;
    let (limit, patience) = (Duration::from_secs(10), Duration::from_millis(500));
    probe(&host, address.port(), &Route::default(), options, limit, patience).await.unwrap()
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
async fn a_server_that_sends_a_ticket_has_accepted_the_certificate() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let alice = ca.issue_client("alice");
    for versions in [TLS13, TLS12] {
        let seen = look(&server, &ca, Some(&alice), versions).await;
        assert!(seen.sent_certificate);
        assert!(matches!(seen.outcome, Outcome::Accepted), "{:?}", seen.outcome);
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_of_a_good_certificate_is_silent() {
    let ca = TestCa::new();
    let own = ca.issue_server(&["localhost"]);
    let chain = own.chain_der().into_iter().map(Into::into).collect();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.key.pkcs8_der().to_vec());
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(std::sync::Arc::new(AnyClient))
        .with_single_cert(chain, key.into())
        .unwrap();
    config.send_tls13_tickets = 0;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let stream = acceptor.accept(tcp).await.unwrap();
        // It waits for a request.
        std::future::pending::<()>().await;
        drop(stream);
    });
    let seen = look_at(address, &ca, Some(&ca.issue_client("alice")), TLS13).await;
    assert!(matches!(seen.outcome, Outcome::Silent), "{:?}", seen.outcome);
}

#[derive(Debug)]
struct AnyClient;

impl rustls::server::danger::ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, rustls::Error> {
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
