//! What an upstream gets of a request, and what a client gets of its answer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use common::*;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use net::dial::handshake::handshake;
use net::dial::{Route, connect};
use net::fetch::{HttpVersion, Options, Request, RequestBody, fetch};
use net::serve::{Dialect, Handler, Upstream};
use net::snapshot::ClientAuth;
use pki::name::ServerName;
use pki::policy::{Policy, Rule};
use testkit::{TestCa, TestOrder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An upstream that answers with the request as it arrived: a line for the target, one a header, then the body; and
/// counts its connections.
async fn echo() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let service = service_fn(|request: http::Request<Incoming>| async {
                    let (parts, body) = request.into_parts();
                    let mut text = format!("{} {}\n", parts.method, parts.uri);
                    for (name, value) in &parts.headers {
                        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
                    }
                    let body = body.collect().await.unwrap();
                    if let Some(trailers) = body.trailers() {
                        for name in trailers.keys() {
                            text.push_str(&format!("trailer {name}\n"));
                        }
                    }
                    text.push('\n');
                    text.push_str(&String::from_utf8_lossy(&body.to_bytes()));
                    let mut response = http::Response::new(Full::new(Bytes::from(text)));
                    response.headers_mut().insert("x-upstream", "echo".parse().unwrap());
                    response.headers_mut().insert("connection", "x-hop".parse().unwrap());
                    response.headers_mut().insert("x-hop", "1".parse().unwrap());
                    Ok::<_, Infallible>(response)
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(tcp), service)
                    .await;
            });
        }
    });
    (address, connections)
}

fn to(address: SocketAddr) -> Upstream {
    Upstream::parse(&format!("http://{address}")).unwrap()
}

fn header<'a>(echoed: &'a str, name: &str) -> Option<&'a str> {
    echoed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

const FORGED: &[(&str, &str)] = &[
    ("Client-Cert", ":forged:"),
    ("client_cert", ":forged:"),
    ("Client-Cert-Chain", ":forged:"),
    ("Client_Cert-Chain", ":forged:"),
    ("X-Forwarded-Client-Cert", "Hash=forged"),
    ("X_Forwarded_Client-Cert", "Hash=forged"),
    ("X-SSL-Client-Verify", "forged"),
    ("X_SSL_CLIENT_S_DN", "CN=forged"),
    ("SSL-Client-Verify", "forged"),
    ("ssl_client_cert", "forged"),
    ("X-Amzn-Mtls-Clientcert-Leaf", "forged"),
    ("x_amzn_mtls_clientcert", "forged"),
    ("X-Client-Identity", "forged"),
    ("X_Client-Identity", "forged"),
    ("X-Forwarded-For", "forged"),
    ("X-Forwarded-Proto", "forged"),
    ("X_Forwarded_Host", "forged"),
    ("Forwarded", "for=forged"),
];

#[tokio::test]
async fn what_a_client_claims_of_itself_never_reaches_the_upstream() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    for dialect in [Dialect::Rfc9440, Dialect::Envoy, Dialect::Nginx, Dialect::Aws] {
        for http in [HttpVersion::Http1, HttpVersion::Http2] {
            let upstream = to(echo().await.0).dialects(vec![dialect]);
            let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
            let mut request = Request::get(server.url("/who?x=1"));
            for (name, value) in FORGED {
                let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
                request.headers.append(name, value.parse().unwrap());
            }
            request.headers.insert("x-mine", "kept".parse().unwrap());
            let mut options = client(&ca, Some(&alice));
            options.http = http;
            let response = fetch(request, &options).await.unwrap();
            assert_eq!(response.headers()["x-upstream"], "echo");
            assert!(!response.headers().contains_key("x-hop"), "a hop-by-hop header came through");
            let echoed = text(response).await;
            assert!(!echoed.contains("forged"), "{dialect:?} {http:?}: {echoed}");
            assert!(echoed.starts_with("GET /who?x=1\n"), "{echoed}");
            assert_eq!(header(&echoed, "x-mine"), Some("kept"));
            assert_eq!(header(&echoed, "x-forwarded-for"), Some("127.0.0.1"));
            assert_eq!(header(&echoed, "x-forwarded-proto"), Some("https"));
            let authority = server.url("/").authority();
            assert_eq!(header(&echoed, "host"), Some(authority.as_str()));
            assert_eq!(header(&echoed, "x-forwarded-host"), Some(authority.as_str()));
        }
    }
}

#[tokio::test]
async fn each_dialect_tells_the_upstream_who_the_client_is() {
    let ca = TestCa::new();
    let order = TestOrder::client("alice")
        .name(pki::name::GeneralName::Uri("spiffe://a.test/alice".into()))
        .name(pki::name::GeneralName::Dns("alice.test".into()));
    let alice = ca.issue(order);
    let all = vec![Dialect::Rfc9440, Dialect::Envoy, Dialect::Nginx, Dialect::Aws];
    let upstream = to(echo().await.0).dialects(all);
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
    let echoed = text(get(&server, "/", &client(&ca, Some(&alice))).await.unwrap()).await;
    let header = |name: &str| header(&echoed, name).unwrap_or_else(|| panic!("no {name} in {echoed}"));
    let certificate = &alice.certificate;
    let serial = certificate.serial_hex().to_ascii_uppercase();

    assert_eq!(header("client-cert"), format!(":{}:", STANDARD.encode(certificate.der())));
    let issuing = &ca.issuing().certificate;
    assert_eq!(header("client-cert-chain"), format!(":{}:", STANDARD.encode(issuing.der())));
    assert_eq!(header("x-client-identity"), "spiffe://a.test/alice");

    let envoy = header("x-forwarded-client-cert");
    assert!(envoy.starts_with(&format!("Hash={};Cert=\"-----BEGIN%20CERT", pki::hex(&certificate.sha256()))));
    assert!(envoy.contains(";Subject=\"CN=alice\";"), "{envoy}");
    assert!(envoy.contains(";URI=spiffe://a.test/alice") && envoy.contains(";DNS=alice.test"), "{envoy}");

    assert_eq!(header("x-ssl-client-verify"), "SUCCESS");
    assert_eq!(header("x-ssl-client-s-dn"), "CN=alice");
    assert_eq!(header("x-ssl-client-i-dn"), "CN=Test Issuing CA");
    assert_eq!(header("x-ssl-client-serial"), serial);
    assert_eq!(header("x-ssl-client-v-start"), "Jun 14 12:00:00 2026 GMT");
    assert_eq!(header("x-ssl-client-v-remain"), "30");
    assert_eq!(header("x-ssl-client-fingerprint").len(), 40);
    assert!(header("x-ssl-client-cert").starts_with("-----BEGIN%20CERTIFICATE-----%0A"));

    assert_eq!(header("x-amzn-mtls-clientcert-serial-number"), serial);
    assert_eq!(header("x-amzn-mtls-clientcert-subject"), "CN=alice");
    assert_eq!(
        header("x-amzn-mtls-clientcert-validity"),
        "NotBefore=2026-06-14T12:00:00Z;NotAfter=2026-07-15T12:00:00Z"
    );
    let leaf = header("x-amzn-mtls-clientcert-leaf");
    assert!(leaf.starts_with("-----BEGIN%20CERTIFICATE-----%0AMII") && !leaf.contains("%2B"), "{leaf}");
    assert!(header("x-amzn-mtls-clientcert").starts_with(leaf));
}

#[tokio::test]
async fn an_anonymous_visitor_is_forwarded_without_an_identity_and_nginxs_headers_say_none() {
    let ca = TestCa::new();
    let mut snapshot = snapshot(&ca);
    snapshot.client_auth = ClientAuth::Optional { allow_anonymous: true };
    let upstream = to(echo().await.0).dialects(vec![Dialect::Rfc9440, Dialect::Nginx]);
    let server = TestServer::start(snapshot, Handler::Upstream(upstream)).await;
    let echoed = text(get(&server, "/", &client(&ca, None)).await.unwrap()).await;
    assert_eq!(header(&echoed, "x-ssl-client-verify"), Some("NONE"));
    assert!(!echoed.contains("client-cert") && !echoed.contains("x-client-identity"), "{echoed}");
}

#[tokio::test]
async fn a_denied_client_never_reaches_the_upstream() {
    let ca = TestCa::new();
    let (address, connections) = echo().await;
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(to(address))).await;
    let response = get(&server, "/", &client(&ca, Some(&ca.issue_client("bob")))).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(connections.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn bodies_go_both_ways_whole_and_connections_are_kept() {
    let ca = TestCa::new();
    let (address, connections) = echo().await;
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(to(address))).await;
    let alice = ca.issue_client("alice");
    let sent: String = (0..200_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        for length in [Some(sent.len() as u64), None] {
            let mut options = client(&ca, Some(&alice));
            options.http = http;
            let reader = Box::pin(std::io::Cursor::new(sent.clone().into_bytes()));
            let request = Request {
                method: http::Method::POST,
                body: RequestBody::Stream { reader, length },
                ..Request::get(server.url("/"))
            };
            let echoed = text(fetch(request, &options).await.unwrap()).await;
            assert_eq!(echoed.split_once("\n\n").unwrap().1, sent);
            assert_eq!(header(&echoed, "content-length").is_some(), length.is_some());
        }
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1, "four requests, one connection");
}

/// An upstream that reads a head, answers with `answer`, and hands over the connection.
async fn scripted(answer: &'static [u8]) -> (SocketAddr, tokio::task::JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handle = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await.unwrap());
        }
        tcp.write_all(answer).await.unwrap();
        tcp
    });
    (address, handle)
}

#[tokio::test]
async fn an_answer_streams_before_it_is_complete() {
    let ca = TestCa::new();
    let (address, upstream) =
        scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n").await;
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(to(address))).await;
    let mut response = get(&server, "/", &client(&ca, Some(&ca.issue_client("alice")))).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "first\n");
    let mut upstream = upstream.await.unwrap();
    upstream.write_all(b"7\r\nsecond\n\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "second\n");
    assert_eq!(response.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let ca = TestCa::new();
    let (address, upstream) = scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this").await;
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(to(address))).await;
    let response = get(&server, "/", &client(&ca, Some(&ca.issue_client("alice")))).await.unwrap();
    drop(upstream.await.unwrap());
    let error = response.bytes().await.unwrap_err();
    assert_eq!(error.curl_exit_code(), 18, "{error}");
    assert!(!server.request().await.complete);
}

#[tokio::test]
async fn an_upgrade_becomes_a_tunnel_that_ends_when_the_client_is_revoked() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let (address, upstream) =
        scripted(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(to(address))).await;
    let host = ServerName::parse("localhost").unwrap();
    let transport = connect(&host, server.address.port(), &Route::default(), None).await.unwrap();
    let mut stream = handshake(transport, &host, client(&ca, Some(&alice)).tls).await.unwrap();
    stream
        .write_all(b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: echo"), "{head}");
    let mut upstream = upstream.await.unwrap();
    let mut buffer = [0; 4];
    stream.write_all(b"ping").await.unwrap();
    upstream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"ping");
    upstream.write_all(b"pong").await.unwrap();
    stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"pong");

    let mut revoked = snapshot(&ca);
    revoked.crls = vec![ca.current_crl(&[&alice.certificate])];
    server.replace(revoked);
    let ended = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut buffer)).await.unwrap();
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
}

#[tokio::test]
async fn an_upstream_that_is_away_or_silent_gives_502_or_504_with_a_word() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = listener.local_addr().unwrap();
    drop(listener);
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(to(away))).await;
    let response = get(&server, "/", &client(&ca, Some(&alice))).await.unwrap();
    assert_eq!(response.status(), 502);
    assert!(text(response).await.starts_with("connection_refused: "));

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = to(silent.local_addr().unwrap()).answer_timeout(Duration::from_millis(100));
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
    let response = get(&server, "/", &client(&ca, Some(&alice))).await.unwrap();
    assert_eq!(response.status(), 504);
    assert!(text(response).await.starts_with("timeout: "));
}

#[tokio::test]
async fn a_kept_connection_that_the_upstream_closed_is_not_the_clients_problem() {
    let ca = TestCa::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            // Answers one request on each connection and closes at the next one's first byte.
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(tcp.read_u8().await.unwrap());
            }
            tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            let _ = tcp.read_u8().await;
        }
    });
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(to(address))).await;
    let options = client(&ca, Some(&ca.issue_client("alice")));
    for _ in 0..5 {
        assert_eq!(get(&server, "/", &options).await.unwrap().bytes().await.unwrap(), b"ok");
    }
}

/// Sends raw bytes over mTLS as HTTP/1.1 and reads all that comes back.
async fn raw(server: &TestServer, options: &Options, request: &[u8]) -> String {
    let host = ServerName::parse("localhost").unwrap();
    let transport = connect(&host, server.address.port(), &Route::default(), None).await.unwrap();
    let mut stream = handshake(transport, &host, options.tls.clone()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn requests_of_two_meanings_are_refused_or_have_one_meaning() {
    let ca = TestCa::new();
    let mut snapshot = snapshot(&ca);
    snapshot.policy = Policy::new(vec![Rule::All]);
    let server = TestServer::start(snapshot, Handler::Upstream(to(echo().await.0))).await;
    let options = client(&ca, Some(&ca.issue_client("alice")));
    let refused: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\nConnection: close\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\nConnection: close\r\n\r\n",
    ];
    for request in refused {
        let answer = raw(&server, &options, request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{} gave {answer}", String::from_utf8_lossy(request));
    }
    // Both lengths: chunked counts, and the upstream sees that alone.
    let both = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\
        Connection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = raw(&server, &options, both).await;
    assert!(!answer.contains("smuggled") && !answer.contains("content-length: 40\n"), "{answer}");
    // A claim in the trailers, and a Connection header that names the framing.
    let trailers = b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\
        Trailer: x_client_identity, x-sum\r\nConnection: close, content-length\r\n\r\n\
        3\r\nabc\r\n0\r\nx_client_identity: forged\r\nx-sum: 1\r\n\r\n";
    let answer = raw(&server, &options, trailers).await;
    assert!(answer.contains("abc") && !answer.contains("trailer x_client_identity"), "{answer}");
}

#[tokio::test]
async fn a_slow_upload_is_not_a_silent_upstream_and_cookies_become_one_header() {
    let ca = TestCa::new();
    let upstream = to(echo().await.0).answer_timeout(Duration::from_millis(300));
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
    let (mut writer, reader) = tokio::io::duplex(64);
    tokio::spawn(async move {
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            writer.write_all(b"slow ").await.unwrap();
        }
    });
    let mut request = Request {
        method: http::Method::PUT,
        body: RequestBody::Stream { reader: Box::pin(reader), length: None },
        ..Request::get(server.url("/"))
    };
    request.headers.append("cookie", "a=1".parse().unwrap());
    request.headers.append("cookie", "b=2".parse().unwrap());
    let response = fetch(request, &client(&ca, Some(&ca.issue_client("alice")))).await.unwrap();
    assert_eq!(response.status(), 200);
    let echoed = text(response).await;
    assert!(echoed.ends_with(&"slow ".repeat(6)), "{echoed}");
    assert_eq!(header(&echoed, "cookie"), Some("a=1; b=2"));
}
