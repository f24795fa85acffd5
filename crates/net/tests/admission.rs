//! Who gets in, who does not, and what each side hears of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::*;
use explain::FindingCode;
use net::dial::handshake::handshake;
use net::dial::{Route, connect};
use net::fetch::{FetchError, HttpVersion, Options, Request, fetch};
use net::serve::{Handler, Limits};
use net::snapshot::ClientAuth;
use net::tls::{Negotiated, Offers, TlsVersion, TlsVersions};
use pki::name::ServerName;
use pki::policy::{Policy, Rule};
use testkit::{TestCa, TestIdentity, TestOrder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The alert a client gets under both versions, with the code in the server's log.
async fn is_refused(
    ca: &TestCa,
    snapshot: net::snapshot::Snapshot,
    identity: Option<&TestIdentity>,
    alerts: (u8, u8),
    code: FindingCode,
) {
    for (version, alert) in [(TlsVersion::Tls13, alerts.0), (TlsVersion::Tls12, alerts.1)] {
        let server = TestServer::start(snapshot.clone(), Handler::Identity).await;
        let mut options = client(ca, identity);
        options.tls.versions = TlsVersions::Only(version);
        let error = get(&server, "/", &options).await.unwrap_err();
        // Under TLS 1.2 the server judges before it finishes; under 1.3 after the client is done.
        let (received, exit) = match &error {
            FetchError::Handshake(failure) => (failure.alert_received, 35),
            FetchError::RefusedLater { alert, .. } => (Some(*alert), 56),
            other => panic!("{version:?}: {other:?}"),
        };
        assert_eq!(received, Some(alert), "{version:?}: {error}");
        assert_eq!(error.curl_exit_code(), exit);
        assert_eq!(exit == 56, version == TlsVersion::Tls13, "{version:?}: {error}");
        let record = server.refusal().await;
        assert_eq!(record.finding.code, code, "{version:?}");
        assert_eq!(record.alert_sent, Some(alert), "{version:?}");
        assert_eq!(record.subject.is_some(), identity.is_some());
    }
}

#[tokio::test]
async fn alice_is_let_in_and_shown_who_she_is() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    for versions in [TLS13, TLS12] {
        for http in [HttpVersion::Http1, HttpVersion::Http2] {
            let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
            let mut options = client(&ca, Some(&alice));
            options.tls.versions = versions;
            options.http = http;
            let response = get(&server, "/", &options).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
            let tls = response.conversation().tls.clone().unwrap();
            let request = response.conversation().certificate_request.clone().unwrap();
            assert_eq!(request.authority_names(), ["CN=Test Root CA"]);
            let page = text(response).await;
            assert!(page.starts_with("hello, alice\n"), "{page}");
            assert!(page.contains(&alice.certificate.serial_hex()), "{page}");
            assert!(page.contains("(30 days left)"), "{page}");
            assert!(page.contains(&tls.version) && page.contains(&tls.cipher_suite), "{page}");
            let record = server.request().await;
            assert_eq!((record.status, &*record.verdict, record.complete), (200, "SUCCESS", true));
            assert_eq!(record.identity.as_deref(), Some("alice"));
            assert_eq!(record.rule.as_deref(), Some("allow-cn alice"));
            assert_eq!(record.bytes, page.len() as u64);
            // The server alone knows what was offered: a hybrid group where TLS 1.3 is.
            assert_eq!(record.tls.offers.post_quantum_group, tls.version == "TLSv1.3", "{:?}", record.tls);
            assert_eq!(Negotiated { offers: Offers::default(), ..(*record.tls).clone() }, tls);
        }
    }
}

#[tokio::test]
async fn the_hybrid_group_is_negotiated_first() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let response = get(&server, "/", &client(&ca, Some(&ca.issue_client("alice")))).await.unwrap();
    let tls = response.conversation().tls.clone().unwrap();
    assert_eq!((tls.version.as_str(), tls.group.as_str()), ("TLSv1.3", "X25519MLKEM768"));
    assert!(tls.cipher_suite.starts_with("TLS_"), "{tls:?}");
    assert_eq!(tls.alpn.as_deref(), Some("h2"));
}

#[tokio::test]
async fn nobody_hears_that_a_certificate_is_required() {
    let ca = TestCa::new();
    is_refused(&ca, snapshot(&ca), None, (116, 40), FindingCode::NoClientCertificate).await;
}

#[tokio::test]
async fn a_stranger_hears_that_the_ca_is_unknown() {
    let ca = TestCa::new();
    let alice = TestCa::new().named("Other").issue_client("alice");
    is_refused(&ca, snapshot(&ca), Some(&alice), (48, 48), FindingCode::UnknownIssuer).await;
}

#[tokio::test]
async fn a_ca_of_the_same_names_with_other_keys_is_refused_too() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let alice = TestCa::new().issue_client("alice");
    let error = get(&server, "/", &client(&ca, Some(&alice))).await.unwrap_err();
    assert_eq!(error.curl_exit_code(), 56, "{error}");
    let code = server.refusal().await.finding.code;
    assert!(matches!(code, FindingCode::SignatureInvalid | FindingCode::UnknownIssuer), "{code}");
}

#[tokio::test]
async fn the_clients_message_names_the_cas_that_would_do() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let stranger = TestCa::new().named("Other").issue_client("alice");
    let error = get(&server, "/", &client(&ca, Some(&stranger))).await.unwrap_err();
    assert_eq!(error.finding().code, FindingCode::UnknownIssuer);
    let message = error.to_string();
    assert!(message.contains("CN=Test Root CA") && message.contains("CN=Other Issuing CA"), "{message}");
    assert!(message.contains("unknown_ca (48)"), "{message}");
}

#[tokio::test]
async fn an_expired_and_a_future_certificate_hear_that_the_time_is_wrong() {
    let ca = TestCa::new();
    let expired = ca.issue(TestOrder::client("alice").expired());
    is_refused(&ca, snapshot(&ca), Some(&expired), (45, 45), FindingCode::CertificateExpired).await;
    let future = ca.issue(TestOrder::client("alice").not_yet_valid());
    is_refused(&ca, snapshot(&ca), Some(&future), (45, 45), FindingCode::CertificateNotYetValid).await;
}

#[tokio::test]
async fn a_revoked_certificate_hears_that_it_is_revoked() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let mut snapshot = snapshot(&ca);
    snapshot.crls = vec![ca.current_crl(&[&alice.certificate])];
    is_refused(&ca, snapshot, Some(&alice), (44, 44), FindingCode::CertificateRevoked).await;
}

#[tokio::test]
async fn a_servers_certificate_is_none_for_a_client() {
    let ca = TestCa::new();
    let server = ca.issue_server(&["alice.test"]);
    is_refused(&ca, snapshot(&ca), Some(&server), (43, 43), FindingCode::WrongPurpose).await;
}

#[tokio::test]
async fn a_policy_denial_names_the_visitors_names_and_not_the_rules() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let bob = ca.issue_client("bob");
    for (accept, content_type) in [
        ("application/json", "application/json"),
        ("text/html", "text/html; charset=utf-8"),
        ("*/*", "text/plain; charset=utf-8"),
    ] {
        let mut request = Request::get(server.url("/pay"));
        request.headers.insert("accept", accept.parse().unwrap());
        let response = fetch(request, &client(&ca, Some(&bob))).await.unwrap();
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["content-type"], content_type);
        let body = text(response).await;
        assert!(body.contains("not_allowed_by_policy") && body.contains("cn=bob"), "{body}");
        assert!(!body.contains("alice"), "{body}");
    }
    let record = server.request().await;
    assert_eq!(record.verdict, "FAILED:not_allowed_by_policy");
    assert_eq!(record.identity.as_deref(), Some("bob"));
    assert!(record.finding.unwrap().summary.contains("allow-cn alice"), "the log names the rule");
}

#[tokio::test]
async fn an_empty_policy_denies_everyone() {
    let ca = TestCa::new();
    let mut snapshot = snapshot(&ca);
    snapshot.policy = Policy::default();
    let server = TestServer::start(snapshot, Handler::Identity).await;
    let response = get(&server, "/", &client(&ca, Some(&ca.issue_client("alice")))).await.unwrap();
    assert_eq!(response.status(), 403);
}

#[tokio::test]
async fn without_a_certificate_only_an_explicit_word_lets_a_visitor_in() {
    let ca = TestCa::new();
    let cases = [
        (ClientAuth::Optional { allow_anonymous: false }, 403, "no_client_certificate"),
        (ClientAuth::Optional { allow_anonymous: true }, 200, "you sent no certificate"),
        (ClientAuth::Off, 200, "you sent no certificate"),
    ];
    for (client_auth, status, words) in cases {
        let mut snapshot = snapshot(&ca);
        snapshot.client_auth = client_auth;
        snapshot.policy = Policy::new(vec![Rule::All]);
        let server = TestServer::start(snapshot, Handler::Identity).await;
        let response = get(&server, "/", &client(&ca, None)).await.unwrap();
        assert_eq!(response.status(), status, "{client_auth:?}");
        let asked = response.conversation().certificate_request.is_some();
        assert_eq!(asked, client_auth != ClientAuth::Off);
        let body = text(response).await;
        assert!(body.contains(words), "{client_auth:?}: {body}");
    }
}

#[tokio::test]
async fn a_bad_certificate_is_refused_also_where_none_is_needed() {
    let ca = TestCa::new();
    let mut snapshot = snapshot(&ca);
    snapshot.client_auth = ClientAuth::Optional { allow_anonymous: true };
    let expired = ca.issue(TestOrder::client("alice").expired());
    is_refused(&ca, snapshot, Some(&expired), (45, 45), FindingCode::CertificateExpired).await;
}

/// An open HTTP/1.1 connection over mTLS.
async fn keep_alive(server: &TestServer, options: &Options) -> net::dial::TlsStream {
    let host = ServerName::parse("localhost").unwrap();
    let transport = connect(&host, server.address.port(), &Route::default(), None).await.unwrap();
    handshake(transport, &host, options.tls.clone()).await.unwrap()
}

/// Sends a request on it and reads until the answer's body, which has a Content-Length.
async fn ask(stream: &mut net::dial::TlsStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.unwrap().parse::<usize>().unwrap() {
                return text;
            }
        }
        let mut buffer = [0; 2048];
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "closed after {text}");
        answer.extend_from_slice(&buffer[..read]);
    }
}

#[tokio::test]
async fn a_client_revoked_while_connected_is_cut_off_at_its_next_request() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let mut stream = keep_alive(&server, &client(&ca, Some(&alice))).await;
    assert!(ask(&mut stream).await.contains("hello, alice"));

    let mut revoked = snapshot(&ca);
    revoked.crls = vec![ca.current_crl(&[&alice.certificate])];
    server.replace(revoked);
    let answer = ask(&mut stream).await;
    assert!(answer.starts_with("http/1.1 403") && answer.contains("certificate_revoked"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "the connection is closed");
    let records = server.records(2).await;
    assert!(records[1].text().contains("FAILED:certificate_revoked"), "{}", records[1].text());
    assert!(records[1].text().contains(" alice "), "{}", records[1].text());
}

#[tokio::test]
async fn a_client_revoked_while_idle_is_closed_within_a_second() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let mut stream = keep_alive(&server, &client(&ca, Some(&alice))).await;
    assert!(ask(&mut stream).await.contains("hello, alice"));
    let mut revoked = snapshot(&ca);
    revoked.crls = vec![ca.current_crl(&[&alice.certificate])];
    let replaced = Instant::now();
    server.replace(revoked);
    let ended = stream.read(&mut [0; 16]).await;
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    assert!(replaced.elapsed() < Duration::from_secs(1), "{:?}", replaced.elapsed());
}

#[tokio::test]
async fn a_changed_snapshot_leaves_clients_that_still_hold_alone_and_applies_its_policy() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let mut stream = keep_alive(&server, &client(&ca, Some(&alice))).await;
    assert!(ask(&mut stream).await.contains("hello, alice"));
    server.replace(snapshot(&ca));
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(ask(&mut stream).await.contains("hello, alice"));
    let mut others_only = snapshot(&ca);
    others_only.policy = Policy::new(vec![Rule::parse("cn", "bob").unwrap()]);
    server.replace(others_only);
    let answer = ask(&mut stream).await;
    assert!(answer.starts_with("http/1.1 403") && answer.contains("not_allowed_by_policy"), "{answer}");
}

#[tokio::test]
async fn a_slow_handshake_is_ended_while_others_are_served() {
    let ca = TestCa::new();
    let limits = Limits { handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let server = TestServer::start_with(snapshot(&ca), Handler::Identity, limits).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        // The start of a ClientHello's record, and no more.
        tcp.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
        slow.push(tcp);
    }
    let options = client(&ca, Some(&ca.issue_client("alice")));
    assert_eq!(get(&server, "/", &options).await.unwrap().status(), 200);
    for mut tcp in slow {
        let ended = tokio::time::timeout(Duration::from_secs(5), tcp.read(&mut [0; 16])).await.unwrap();
        assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    }
    let records = server.records(21).await;
    let timeouts = records.iter().filter(|record| record.json()["code"] == "timeout").count();
    assert_eq!(timeouts, 20);
}

#[tokio::test]
async fn a_request_in_plain_http_is_told_to_use_https() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
    assert_eq!(server.refusal().await.finding.code, FindingCode::PlainHttp);
}

#[tokio::test]
async fn who_connected_just_before_the_end_is_answered() {
    let ca = TestCa::new();
    let mut server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    // The accept loop has come to wait.
    get(&server, "/", &client(&ca, Some(&ca.issue_client("alice")))).await.unwrap();
    // The kernel takes the connection; the runtime, on this very thread, cannot have heard of it.
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    server.shut_down();
    assert_eq!((&mut server.running).await.unwrap(), 0, "nobody is cut off");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn shutdown_lets_a_request_finish_and_then_ends() {
    let ca = TestCa::new();
    let limits = Limits { drain_timeout: Duration::from_millis(500), ..Limits::default() };
    let mut server = TestServer::start_with(snapshot(&ca), Handler::Identity, limits).await;
    let options = client(&ca, Some(&ca.issue_client("alice")));
    let mut idle = keep_alive(&server, &options).await;
    assert!(ask(&mut idle).await.contains("hello, alice"));
    let stuck = TcpStream::connect(server.address).await.unwrap();
    // Wait until it was accepted.
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.shut_down();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0, "an idle connection is closed in good order");
    assert_eq!((&mut server.running).await.unwrap(), 1, "the stuck one is cut off");
    assert!(TcpStream::connect(server.address).await.is_err());
    drop(stuck);
}

#[tokio::test]
async fn a_kept_connection_that_is_idle_at_the_end_gets_one_more_answer_which_says_so() {
    let ca = TestCa::new();
    let minutes = Duration::from_secs(120);
    let limits = Limits { drain_timeout: 2 * minutes, last_call: minutes, ..Limits::default() };
    let mut server = TestServer::start_with(snapshot(&ca), Handler::Identity, limits).await;
    let mut idle = keep_alive(&server, &client(&ca, Some(&ca.issue_client("alice")))).await;
    assert!(!ask(&mut idle).await.contains("connection: close"));
    server.shut_down();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let last = ask(&mut idle).await;
    assert!(last.contains("hello, alice") && last.contains("connection: close"), "{last}");
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0, "closed in good order");
    assert_eq!((&mut server.running).await.unwrap(), 0, "nobody is cut off");
}

#[tokio::test]
async fn a_connection_that_is_old_enough_ends_with_an_answer() {
    let ca = TestCa::new();
    let limits = Limits { connection_age: Some(Duration::from_millis(1)), ..Limits::default() };
    let server = TestServer::start_with(snapshot(&ca), Handler::Identity, limits).await;
    let mut kept = keep_alive(&server, &client(&ca, Some(&ca.issue_client("alice")))).await;
    loop {
        let answer = ask(&mut kept).await;
        assert!(answer.contains("hello, alice"), "{answer}");
        if answer.contains("connection: close") {
            break;
        }
    }
    assert_eq!(kept.read(&mut [0; 16]).await.unwrap(), 0, "closed in good order");
}
