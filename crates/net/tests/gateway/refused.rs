//! Refused clients that are told why with a page: as an attack, none reaches anything but that page.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use explain::FindingCode;
use net::fetch::{HttpVersion, Request, RequestBody, fetch};
use net::serve::{AccessRecord, Handler, Limits, Options as ServeOptions, Target, TcpUpstream, Upstream};
use net::snapshot::{RefusedClients, Snapshot};
use pki::policy::{Policy, Rule};
use rustls::HandshakeKind;
use testkit::{TestCa, TestIdentity, TestOrder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::common::*;
use crate::resumption::{VERSIONS, keeper, visit};

/// A server that tells refused clients, in front of a service that remembers every octet that reaches it.
async fn witness(mut snapshot: Snapshot) -> (TestServer, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let reached = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&reached);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    heard.lock().unwrap().extend_from_slice(&buffer[..count]);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nin").await;
                }
            });
        }
    });
    snapshot.refused_clients = RefusedClients::Page;
    (TestServer::start(snapshot, Handler::Upstream(Upstream::new(vec![target]).unwrap())).await, reached)
}

fn refusing(ca: &TestCa, revoked: &TestIdentity) -> Snapshot {
    let mut snapshot = snapshot(ca);
    // Whoever verifies passes, so that nothing but the refusal of the certificate keeps anyone out.
    snapshot.policy = Policy::new(vec![Rule::All]);
    snapshot.crls = vec![ca.current_crl(&[&revoked.certificate])];
    snapshot
}

#[tokio::test]
async fn a_revoked_client_reads_the_reason_over_both_protocols_and_reaches_nothing() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    for versions in [TLS13, TLS12] {
        for http in [HttpVersion::Http1, HttpVersion::Http2] {
            let (server, reached) = witness(refusing(&ca, &alice)).await;
            let mut options = client(&ca, Some(&alice));
            options.tls.versions = versions;
            options.http = http;
            for (method, path) in [("GET", "/"), ("DELETE", "/pay"), ("POST", "/pay")] {
                let mut request = Request::get(server.url(path));
                request.method = method.parse().unwrap();
                if method == "POST" {
                    request.body = RequestBody::Bytes("amount=1".into());
                }
                request.headers.insert("accept", "text/html".parse().unwrap());
                let response = fetch(request, &options).await.unwrap();
                assert_eq!(response.status(), 403, "{versions:?} {http:?} {method}");
                let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
                assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
                let page = text(response).await;
                assert!(page.contains("certificate_revoked"), "{page}");
                assert!(page.contains(&alice.certificate.serial_hex()), "{page}");
            }
            let records = server.records(3).await;
            assert!(records.iter().all(|record| matches!(record, AccessRecord::Refusal(_))), "{records:?}");
            assert_eq!(String::from_utf8_lossy(&reached.lock().unwrap()), "", "{versions:?} {http:?}");
            // The same server lets in whom nothing is said against: the claim is not true for want of a way in.
            let bob = client(&ca, Some(&ca.issue_client("bob")));
            assert_eq!(text(get(&server, "/", &bob).await.unwrap()).await, "in");
        }
    }
}

#[tokio::test]
async fn every_reason_of_a_path_has_its_page_in_every_form() {
    let ca = TestCa::new();
    let cases = [
        (ca.issue(TestOrder::client("late").expired()), FindingCode::CertificateExpired),
        (TestCa::new().named("Other").issue_client("alice"), FindingCode::UnknownIssuer),
        (ca.issue_server(&["localhost"]), FindingCode::WrongPurpose),
    ];
    let gone = ca.issue_client("gone");
    for (identity, code) in cases {
        let (server, _) = witness(refusing(&ca, &gone)).await;
        for accept in ["text/html", "application/json", "*/*"] {
            let mut request = Request::get(server.url("/"));
            request.headers.insert("accept", accept.parse().unwrap());
            let response = fetch(request, &client(&ca, Some(&identity))).await.unwrap();
            assert_eq!(response.status(), 403);
            let page = text(response).await;
            assert!(page.contains(code.name()), "{accept}: {page}");
        }
        match &server.records(1).await[0] {
            AccessRecord::Refusal(record) => assert_eq!(record.finding.code, code),
            AccessRecord::Request(record) => panic!("{record:?}"),
        }
    }
}

#[tokio::test]
async fn a_second_request_on_the_connection_finds_nobody() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    for version in VERSIONS {
        let (server, reached) = witness(refusing(&ca, &alice)).await;
        let tcp = TcpStream::connect(server.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(keeper(Some(&alice), version));
        let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        let request = b"GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(&[&request[..], request, request].concat()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.contains("connection: close"));
        assert!(reached.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_refused_client_gets_no_ticket_and_an_old_one_opens_nothing() {
    for version in VERSIONS {
        let ca = TestCa::new();
        let alice = ca.issue_client("alice");
        let mut good = snapshot(&ca);
        good.refused_clients = RefusedClients::Page;
        let server = TestServer::start(good, Handler::Identity).await;
        let config = keeper(Some(&alice), version);
        assert!(visit(&server, &config, "localhost").await.1.contains("hello, alice"));
        let mut revoked = refusing(&ca, &alice);
        revoked.refused_clients = RefusedClients::Page;
        server.replace(revoked);
        for _ in 0..3 {
            let (kind, answer) = visit(&server, &config, "localhost").await;
            assert_eq!(kind, Some(HandshakeKind::Full), "{version:?}");
            assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("certificate_revoked"), "{answer}");
        }
        // Taken off the list again it is let in, by a full handshake: what it got while refused is worth nothing.
        let mut again = snapshot(&ca);
        again.refused_clients = RefusedClients::Page;
        server.replace(again);
        let (kind, answer) = visit(&server, &config, "localhost").await;
        assert!(kind == Some(HandshakeKind::Full) && answer.contains("hello, alice"), "{kind:?} {answer}");
    }
}

#[tokio::test]
async fn whoever_shows_a_refused_certificate_without_its_key_hears_nothing() {
    let ca = TestCa::new();
    let (alice, mallory) = (ca.issue_client("alice"), ca.issue_client("mallory"));
    for version in VERSIONS {
        let (server, reached) = witness(refusing(&ca, &alice)).await;
        let chain = alice.chain_der().into_iter().map(Into::into).collect();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(mallory.key.pkcs8_der().to_vec());
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key.into()).unwrap();
        let mut config = (*keeper(None, version)).clone();
        // Not by the builder, which would notice that the two do not belong together.
        let pair = rustls::sign::CertifiedKey::new(chain, key);
        config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(pair));
        let (_, answer) = visit(&server, &Arc::new(config), "localhost").await;
        assert_eq!(answer, "", "{version:?}");
        assert_eq!(server.records(1).await[0].json()["event"], "refusal");
        assert!(reached.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_listener_that_passes_octets_on_aborts_all_the_same() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let mut snapshot = refusing(&ca, &alice);
    snapshot.refused_clients = RefusedClients::Page;
    let target = Target::parse("tcp://127.0.0.1:9").unwrap();
    let server = TestServer::start(snapshot, Handler::Tcp(TcpUpstream::new(vec![target]).unwrap())).await;
    for version in VERSIONS {
        assert_eq!(visit(&server, &keeper(Some(&alice), version), "localhost").await.1, "");
    }
    let records = server.records(2).await;
    assert!(records.iter().all(|record| record.json()["alert_sent"]["number"] == 44), "{records:?}");
}

#[tokio::test]
async fn a_refused_client_that_asks_for_nothing_is_let_go() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let mut snapshot = refusing(&ca, &alice);
    snapshot.refused_clients = RefusedClients::Page;
    let mut options = ServeOptions::new();
    options.clock = testkit::now;
    options.limits = Limits { handshake_timeout: Duration::from_secs(2), ..Limits::default() };
    let server = TestServer::start_as(snapshot, Handler::Identity, options).await;
    for alpn in [&b"h2"[..], b"http/1.1"] {
        let mut config = (*keeper(Some(&alice), &rustls::version::TLS13)).clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        let tcp = TcpStream::connect(server.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        // Reads to the end, which only comes if the server closes.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
}
