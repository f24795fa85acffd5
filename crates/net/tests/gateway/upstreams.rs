//! Upstreams of each kind, and what a client sees when one is not well.

use net::serve::{Handler, Target, TcpUpstream, Upstream};
use testkit::TestCa;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

use crate::common::*;

/// Answers every connection's first request with who it is.
macro_rules! names_itself {
    ($listener:expr, $name:expr) => {{
        let listener = $listener;
        let name: &'static str = $name;
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{name}",
                    name.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
    }};
}

#[tokio::test]
async fn an_upstream_may_be_a_unix_socket() {
    let ca = TestCa::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    names_itself!(UnixListener::bind(&path).unwrap(), "unix");
    let upstream = Upstream::parse(&format!("unix:{}", path.display())).unwrap();
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    assert_eq!(text(get(&server, "/", &alice).await.unwrap()).await, "unix");
}

#[tokio::test]
async fn several_upstreams_share_the_requests_and_one_that_is_away_is_left_out() {
    let ca = TestCa::new();
    let one = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let two = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let targets = [&one, &away, &two]
        .map(|listener| Target::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap());
    drop(away);
    names_itself!(one, "one");
    names_itself!(two, "two");
    let upstream = Upstream::new(targets.to_vec()).unwrap();
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    let mut seen = Vec::new();
    for _ in 0..8 {
        let response = get(&server, "/", &alice).await.unwrap();
        assert_eq!(response.status(), 200);
        seen.push(text(response).await);
    }
    assert!(seen.contains(&"one".to_owned()) && seen.contains(&"two".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn tcp_mode_passes_octets_both_ways_and_ends_with_the_client() {
    let ca = TestCa::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
    let service = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"the service speaks first\n").await.unwrap();
        let mut all = Vec::new();
        tcp.read_to_end(&mut all).await.unwrap();
        tcp.write_all(&all).await.unwrap();
        all.len()
    });
    let handler = Handler::Tcp(TcpUpstream::new(vec![target]).unwrap());
    let server = TestServer::start(snapshot(&ca), handler).await;
    let options = client(&ca, Some(&ca.issue_client("alice")));
    let host = pki::name::ServerName::parse("localhost").unwrap();
    let transport =
        net::dial::connect(&host, server.address.port(), &net::dial::Route::default(), None).await.unwrap();
    let mut stream = net::dial::handshake::handshake(transport, &host, options.tls).await.unwrap();
    let mut first = [0; 25];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"the service speaks first\n");
    let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    stream.write_all(&sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert!(back == sent, "{} of {} octets came back", back.len(), sent.len());
    assert_eq!(service.await.unwrap(), sent.len());
    let record = server.request().await;
    assert_eq!((record.protocol, record.identity.as_deref(), record.complete), ("TCP", Some("alice"), true));
}

#[tokio::test]
async fn a_proxy_header_is_believed_from_a_named_front_and_sent_on_with_the_clients_certificate() {
    use net::proxy_protocol::{Decoded, decode, encode};
    let ca = TestCa::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
    let handler = Handler::Tcp(TcpUpstream::new(vec![target]).unwrap().send_proxy_protocol());
    let mut options = net::serve::Options::new();
    options.clock = testkit::now;
    options.proxy_protocol_from = vec!["127.0.0.0/8".parse().unwrap()];
    let server = TestServer::start_as(snapshot(&ca), handler, options).await;
    let alice = ca.issue_client("alice");

    let mut tcp = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let client_address = "192.0.2.7:4444".parse().unwrap();
    tcp.write_all(&encode(client_address, server.address, None)).await.unwrap();
    let host = pki::name::ServerName::parse("localhost").unwrap();
    let transport = net::dial::Transport::Tcp(tcp);
    let tls = client(&ca, Some(&alice)).tls;
    let mut stream = net::dial::handshake::handshake(transport, &host, tls.clone()).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let (mut service, _) = listener.accept().await.unwrap();
    let mut seen = Vec::new();
    let (header, length) = loop {
        service.read_buf(&mut seen).await.unwrap();
        if let Decoded::Done { header, length } = decode(&seen).unwrap()
            && seen.len() >= length + 5
        {
            break (header, length);
        }
    };
    assert_eq!(header.source, Some(client_address));
    let tls_facts = header.tls.unwrap();
    assert!(tls_facts.is_verified && tls_facts.common_name.as_deref() == Some("alice"));
    assert_eq!(tls_facts.certificate.as_deref(), Some(alice.certificate.der()));
    assert_eq!(&seen[length..], b"hello");
    drop(stream);
    drop(service);
    assert_eq!(server.request().await.peer, client_address);

    // Who is a front must say for whom it speaks.
    let transport =
        net::dial::connect(&host, server.address.port(), &net::dial::Route::default(), None).await.unwrap();
    assert!(net::dial::handshake::handshake(transport, &host, tls).await.is_err());
}

#[tokio::test]
async fn tcp_mode_passes_nothing_of_a_client_that_is_not_permitted() {
    let ca = TestCa::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
    let server =
        TestServer::start(snapshot(&ca), Handler::Tcp(TcpUpstream::new(vec![target]).unwrap())).await;
    let options = client(&ca, Some(&ca.issue_client("bob")));
    let host = pki::name::ServerName::parse("localhost").unwrap();
    let transport =
        net::dial::connect(&host, server.address.port(), &net::dial::Route::default(), None).await.unwrap();
    let mut stream = net::dial::handshake::handshake(transport, &host, options.tls).await.unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    assert!(all.is_empty());
    let record = server.request().await;
    assert_eq!(&*record.verdict, "FAILED:not_allowed_by_policy");
    let unheard = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
    assert!(unheard.is_err(), "the service was dialled");
}

/// A gateway before an upstream over TLS, which is one of ours and shows who came.
async fn before_tls(ca: &TestCa, asks: bool, believed: &TestCa, own: &str) -> (TestServer, TestServer) {
    let mut behind = snapshot(ca);
    if !asks {
        behind.client_auth = net::snapshot::ClientAuth::Off;
    }
    let behind = TestServer::start(behind, Handler::Identity).await;
    let mut tls = net::dial::TlsOptions::new(expectation(believed));
    tls.credentials = Some(credentials(&ca.issue_client(own)));
    let upstream = Upstream::parse(&format!("https://localhost:{}", behind.address.port())).unwrap();
    assert!(upstream.needs_tls());
    let upstream = upstream.tls(tls).require_client_auth_request();
    let front = TestServer::start(snapshot(ca), Handler::Upstream(upstream)).await;
    (front, behind)
}

#[tokio::test]
async fn an_upstream_over_tls_is_verified_and_shown_the_gateways_own_certificate() {
    let ca = TestCa::new();
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    // The upstream's own rule admits alice, so the gateway goes by that name here.
    let (front, behind) = before_tls(&ca, true, &ca, "alice").await;
    let response = get(&front, "/", &alice).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(text(response).await.starts_with("hello, alice"));
    assert_eq!(behind.request().await.identity.as_deref(), Some("alice"));

    // One that asks for no certificate would take anyone's requests.
    let (front, _behind) = before_tls(&ca, false, &ca, "alice").await;
    assert_eq!(get(&front, "/", &alice).await.unwrap().status(), 502);

    // One that another authority vouches for is not the upstream.
    let (front, behind) = before_tls(&ca, true, &TestCa::new().named("Other"), "alice").await;
    assert_eq!(get(&front, "/", &alice).await.unwrap().status(), 502);
    assert!(matches!(behind.records(1).await[0], net::serve::AccessRecord::Refusal(_)));
}
