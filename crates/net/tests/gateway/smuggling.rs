//! Requests that two servers could read in two ways: refused, and never seen by the upstream.

use std::sync::Arc;
use std::sync::Mutex;

use net::dial::handshake::handshake;
use net::dial::{Route, connect};
use net::fetch::Options;
use net::serve::{Handler, Upstream};
use pki::name::ServerName;
use testkit::TestCa;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::common::*;

/// Sends raw octets over mTLS as HTTP/1.1 and reads all that comes back.
pub(crate) async fn raw(server: &TestServer, options: &Options, request: &[u8]) -> String {
    let host = ServerName::parse("localhost").unwrap();
    let transport = connect(&host, server.address.port(), &Route::default(), None).await.unwrap();
    let mut stream = handshake(transport, &host, options.tls.clone()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), read).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// An upstream that keeps every octet it gets, and answers each `\r\n\r\n` with an empty 200.
async fn witness() -> (Upstream, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let seen = Arc::clone(&all);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = tcp.read(&mut buffer).await {
                    seen.lock().unwrap().extend_from_slice(&buffer[..read]);
                    if buffer[..read].windows(4).any(|window| window == b"\r\n\r\n") {
                        let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                    }
                }
            });
        }
    });
    (Upstream::parse(&format!("http://{address}")).unwrap(), seen)
}

const GET: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// What stands between `POST / HTTP/1.1\r\nHost: a\r\n` and a request that must not be one.
const AMBIGUOUS: &[&str] = &[
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "Content-Length: 0, 44\r\n\r\n",
    "Content-Length: +0\r\n\r\n",
    "Content-Length: 0x0\r\n\r\n",
    "Content-Length:\r\n\r\n",
    "Content-Length: 18446744073709551616\r\n\r\n",
    "Content-Length : 0\r\n\r\n",
    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: identity\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: \x00chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding:\n chunked\r\n\r\n0\r\n\r\n",
    "X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "\x00Content-Length: 0\r\n\r\n",
    "Host: b\r\n\r\n",
    "Host: b\r\nContent-Length: 0\r\n\r\n",
];

/// Chunked bodies that are broken.
const BROKEN_CHUNKS: &[&str] = &[
    "0\n\n",
    "0\r\r\n\r\n",
    "0x0\r\n\r\n",
    " 0\r\n\r\n",
    "0 \r\n\r\n",
    "1\r\nA0\r\n\r\n",
    "1\r\nA\n0\r\n\r\n",
    "1\r\nAX\r\n0\r\n\r\n",
    "10000000000000000\r\n",
    "0;\n\r\n\r\n",
    "0\r\nX: a\n\r\n",
    "0\r\nX : a\r\n\r\n",
];

#[tokio::test]
async fn no_head_of_two_lengths_is_passed_on_and_nothing_behind_it_is_a_request() {
    let ca = TestCa::new();
    let (upstream, seen) = witness().await;
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    for ambiguous in AMBIGUOUS {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{ambiguous}{GET}");
        let answer = raw(&server, &alice, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{ambiguous:?} gave {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{ambiguous:?} gave {answer:?}");
        assert!(answer.contains("connection: close"), "{ambiguous:?} gave {answer:?}");
    }
    assert!(seen.lock().unwrap().is_empty(), "the upstream heard of it");
}

#[tokio::test]
async fn a_broken_chunk_ends_the_connection_before_what_follows_it() {
    let ca = TestCa::new();
    let (upstream, seen) = witness().await;
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    for broken in BROKEN_CHUNKS {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let request = format!("{head}{broken}{GET}");
        let answer = raw(&server, &alice, request.as_bytes()).await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{broken:?} gave {answer:?}");
        let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
        assert!(!seen.contains("smuggled"), "{broken:?} became {seen:?}");
    }
}

#[tokio::test]
async fn requests_behind_one_another_are_answered_in_order() {
    let ca = TestCa::new();
    let (upstream, seen) = witness().await;
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    let chunked =
        "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n";
    let request = format!(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n{chunked}PUT /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
         GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /5 HTTP/1.1\r\nHost: a\r\n\r\n"
    );
    let answer = raw(&server, &alice, request.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 4, "{answer}");
    let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
    for line in ["GET /1 ", "POST /2 ", "PUT /3 ", "GET /4 "] {
        assert_eq!(seen.matches(line).count(), 1, "{line}: {seen}");
    }
    assert!(seen.contains("3\r\nabc\r\n0\r\n\r\n") && !seen.contains("x=y"), "{seen}");
    assert!(!seen.contains("GET /5 "), "{seen}");
}
