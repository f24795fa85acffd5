//! What a fetch says of each failure, with curl's exit code; and what it hands over on success.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::*;
use explain::{Fault, FindingCode};
use net::fetch::{FetchError, HttpVersion, Request, fetch};
use net::serve::Handler;
use net::tls::{Credentials, CredentialsError};
use net::url::Url;
use testkit::{TestCa, TestOrder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that reads a little and does one thing with its connection.
async fn rude(answer: &'static [u8]) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let _ = tcp.read(&mut [0; 4096]).await;
            let _ = tcp.write_all(answer).await;
            let _ = tcp.shutdown().await;
            let _ = tcp.read(&mut [0; 4096]).await;
        }
    });
    Url::parse(&format!("https://127.0.0.1:{port}/")).unwrap()
}

#[tokio::test]
async fn the_exit_codes_are_curls() {
    let ca = TestCa::new();
    let options = client(&ca, None);
    let fetch_url = |text: &str| {
        let url = Url::parse(text).unwrap();
        let options = options.clone();
        async move { fetch(Request::get(url), &options).await.unwrap_err() }
    };
    assert_eq!(FetchError::from(Url::parse("https://a:b:c/").unwrap_err()).curl_exit_code(), 3);
    // `.invalid` never resolves (RFC 6761 section 6.4).
    assert_eq!(fetch_url("https://nowhere.invalid/").await.curl_exit_code(), 6);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = fetch_url(&format!("https://127.0.0.1:{port}/")).await;
    assert_eq!((refused.curl_exit_code(), refused.finding().code), (7, FindingCode::ConnectionRefused));

    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"", b"\x15\x03\x03\x00\x02\x02\x28"] {
        let error = fetch(Request::get(rude(answer).await), &options).await.unwrap_err();
        assert_eq!(error.curl_exit_code(), 35, "{error}");
        assert_eq!(error.finding().fault == Fault::Client, answer.starts_with(b"\x15"), "{error}");
        assert_eq!(error.finding().code == FindingCode::PlainHttp, answer.starts_with(b"HTTP"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_runs_into_the_time_limit() {
    let ca = TestCa::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
    for connect in [true, false] {
        let mut options = client(&ca, None);
        let limit = Duration::from_millis(150);
        if connect {
            options.connect_timeout = limit;
        } else {
            options.max_time = Some(limit);
        }
        let started = Instant::now();
        let error = fetch(Request::get(url.clone()), &options).await.unwrap_err();
        assert_eq!(error.curl_exit_code(), 28, "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_servers_certificate_that_does_not_hold_is_exit_60_with_the_reason() {
    let ca = TestCa::new();
    let other = TestCa::new().named("Other");
    let cases = [
        (ca.issue_server(&["elsewhere.test"]), FindingCode::NameMismatch),
        (ca.issue(TestOrder::server(&["localhost"]).expired()), FindingCode::CertificateExpired),
        (other.issue_server(&["localhost"]), FindingCode::UnknownIssuer),
        (
            ca.issue(TestOrder { profile: pki::Profile::Client, ..TestOrder::server(&["localhost"]) }),
            FindingCode::WrongPurpose,
        ),
    ];
    let alice = ca.issue_client("alice");
    for (identity, code) in cases {
        let mut snapshot = snapshot(&ca);
        snapshot.credentials = credentials(&identity);
        let server = TestServer::start(snapshot, Handler::Identity).await;
        let error = get(&server, "/", &client(&ca, Some(&alice))).await.unwrap_err();
        assert_eq!((error.curl_exit_code(), error.finding().code), (60, code), "{error}");
        assert_eq!(error.finding().fault, Fault::Server);
        // The server's log has our alert.
        assert!(server.refusal().await.alert_received.is_some());
        // And -k goes through with the verdict noted.
        let mut insecure = client(&ca, Some(&alice));
        insecure.tls.expectation = net::danger::accept_any_server(insecure.tls.expectation);
        let response = get(&server, "/", &insecure).await.unwrap();
        let served = response.conversation().served.clone().unwrap();
        assert_eq!(served.verdict.finding().unwrap().code, code);
        assert_eq!(served.chain[0], identity.certificate.der());
    }
}

#[test]
fn credentials_that_do_not_belong_together_are_exit_58() {
    let ca = TestCa::new();
    let (alice, bob) = (ca.issue_client("alice"), ca.issue_client("bob"));
    let error = Credentials::new(vec![alice.certificate.clone()], bob.key.pkcs8_der()).unwrap_err();
    assert!(matches!(error, CredentialsError::KeyMismatch { .. }), "{error}");
    let error = FetchError::from(error);
    assert_eq!((error.curl_exit_code(), error.finding().code), (58, FindingCode::KeyMismatch));
    let error = Credentials::new(vec![alice.certificate], b"no key").unwrap_err();
    assert!(matches!(error, CredentialsError::UnusableKey { .. }), "{error}");
}

#[tokio::test]
async fn a_refusal_after_finished_is_exit_56_and_says_whose_turn_it_is() {
    let ca = TestCa::new();
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
        let mut options = client(&ca, None);
        options.http = http;
        let error = get(&server, "/", &options).await.unwrap_err();
        assert_eq!((error.curl_exit_code(), error.finding().code), (56, FindingCode::NoClientCertificate));
        let message = error.to_string();
        assert!(message.contains("requires a client certificate and the client sent none"), "{message}");
        assert!(message.contains("certificate_required (116)"), "{message}");
    }
}

#[tokio::test]
async fn a_large_upload_that_is_refused_still_ends_with_the_alert() {
    let ca = TestCa::new();
    let expired = ca.issue(TestOrder::client("alice").expired());
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        for _ in 0..5 {
            let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
            let mut options = client(&ca, Some(&expired));
            options.http = http;
            let request = Request {
                method: http::Method::POST,
                body: net::fetch::RequestBody::Bytes(vec![7; 5_000_000].into()),
                ..Request::get(server.url("/"))
            };
            let error = fetch(request, &options).await.unwrap_err();
            assert_eq!(error.curl_exit_code(), 56, "{error}");
            assert_eq!(error.finding().code, FindingCode::CertificateExpired, "{http:?} {error}");
        }
    }
}

#[tokio::test]
async fn an_error_status_is_a_failure_where_that_is_asked() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let options = client(&ca, Some(&ca.issue_client("bob")));
    let response = get(&server, "/", &options).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(response.fail_on_error_status().unwrap_err().curl_exit_code(), 22);
}

#[tokio::test]
async fn the_head_is_shown_as_it_came_and_the_body_goes_where_it_is_told() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let mut options = client(&ca, Some(&ca.issue_client("alice")));
    options.http = HttpVersion::Http1;
    let response = get(&server, "/", &options).await.unwrap();
    let head = String::from_utf8(response.head_bytes()).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let mut output = Vec::new();
    let length = response.copy_to(&mut output).await.unwrap();
    assert_eq!(length, output.len() as u64);
    assert!(output.starts_with(b"hello, alice\n"));
}

/// A plain server that answers with each of these in turn, one connection each.
async fn plain(answers: Vec<String>) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/start", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let read = tcp.read(&mut head).await.unwrap();
            let echoed = String::from_utf8_lossy(&head[..read]);
            let answer = answer.replace("{request}", echoed.lines().next().unwrap());
            tcp.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn redirections_are_followed_only_as_far_as_allowed() {
    let ca = TestCa::new();
    let answers = || {
        vec![
            "HTTP/1.1 302 Found\r\nLocation: /next?x\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{request}".to_owned(),
        ]
    };
    let post = |url: Url| Request {
        method: http::Method::POST,
        body: net::fetch::RequestBody::Bytes("x".into()),
        ..Request::get(url)
    };
    let mut options = client(&ca, None);
    assert_eq!(fetch(post(plain(answers()).await), &options).await.unwrap().status(), 302);
    options.redirects = 5;
    let response = fetch(post(plain(answers()).await), &options).await.unwrap();
    assert_eq!(text(response).await, "GET /next?x HTTP/1.1");
    options.redirects = 1;
    let mut twice = answers();
    twice.insert(0, twice[0].clone());
    let error = fetch(post(plain(twice).await), &options).await.unwrap_err();
    assert_eq!(error.curl_exit_code(), 47, "{error}");
}

#[tokio::test]
async fn answers_that_are_none_have_their_codes() {
    let ca = TestCa::new();
    let options = client(&ca, None);
    for (answer, code) in
        [("", 52), ("SSH-2.0-OpenSSH\r\n\r\n", 8), ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", 18)]
    {
        let url = plain(vec![answer.to_owned()]).await;
        let result = match fetch(Request::get(url), &options).await {
            Ok(response) => response.bytes().await,
            Err(error) => Err(error),
        };
        let error = result.unwrap_err();
        assert_eq!(error.curl_exit_code(), code, "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn detours_lead_elsewhere_and_expect_the_same_name() {
    let ca = TestCa::new();
    let mut named = snapshot(&ca);
    named.credentials = credentials(&ca.issue_server(&["api.example.test"]));
    let server = TestServer::start(named, Handler::Identity).await;
    let port = server.address.port();
    let url = Url::parse("https://api.example.test/").unwrap();
    let mut options = client(&ca, Some(&ca.issue_client("alice")));
    options.route.connect_to = vec![format!("api.example.test:443:127.0.0.1:{port}").parse().unwrap()];
    assert_eq!(fetch(Request::get(url), &options).await.unwrap().status(), 200);
    options.route.connect_to.clear();
    options.route.resolve = vec![format!("api.example.test:{port}:127.0.0.1").parse().unwrap()];
    let url = Url::parse(&format!("https://api.example.test:{port}/")).unwrap();
    assert_eq!(fetch(Request::get(url), &options).await.unwrap().status(), 200);
}
