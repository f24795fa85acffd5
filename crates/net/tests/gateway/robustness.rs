//! What a hostile or broken peer costs others: nothing. Slow clients on every stage, floods, half-open connections,
//! upstreams that die in the middle, and a thousand snapshots under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use explain::FindingCode;
use net::dial::{Route, connect};
use net::fetch::{HttpVersion, Options};
use net::serve::{AccessRecord, Counters, Handler, Limits, Options as ServeOptions, Upstream};
use pki::name::ServerName;
use testkit::TestCa;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::common::*;

/// Long enough for a busy machine to finish an honest handshake, short enough to wait for.
const SHORT: Duration = Duration::from_secs(5);
/// After this a test gives up.
const NEVER: Duration = Duration::from_secs(60);

async fn short_tempered(ca: &TestCa, handler: Handler) -> (TestServer, Arc<Counters>) {
    let mut options = ServeOptions::new();
    options.clock = testkit::now;
    options.limits = Limits {
        handshake_timeout: SHORT,
        header_timeout: SHORT,
        body_idle_timeout: SHORT,
        ..Limits::default()
    };
    let counters = Arc::clone(&options.counters);
    (TestServer::start_as(snapshot(ca), handler, options).await, counters)
}

/// A connection over mTLS on which nothing was said yet.
async fn open(server: &TestServer, options: &Options) -> net::dial::TlsStream {
    let host = ServerName::parse("localhost").unwrap();
    let transport = connect(&host, server.address.port(), &Route::default(), None).await.unwrap();
    net::dial::handshake::handshake(transport, &host, options.tls.clone()).await.unwrap()
}

/// The records of a ClientHello as our own client makes it.
async fn client_hello(ca: &TestCa) -> Vec<u8> {
    let ear = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = ear.local_addr().unwrap().port();
    let tls = client(ca, None).tls;
    let calling = tokio::spawn(async move {
        let host = ServerName::parse("localhost").unwrap();
        let transport = connect(&host, port, &Route::default(), None).await.unwrap();
        let _ = net::dial::handshake::handshake(transport, &host, tls).await;
    });
    let (mut tcp, _) = ear.accept().await.unwrap();
    let mut record = vec![0; 5];
    tcp.read_exact(&mut record).await.unwrap();
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + length, 0);
    tcp.read_exact(&mut record[5..]).await.unwrap();
    drop(tcp);
    let _ = calling.await;
    record
}

/// Waits until the other side ends the connection, whatever it says before.
async fn until_closed(mut stream: impl tokio::io::AsyncRead + Unpin) {
    let mut buffer = [0; 4096];
    let ended = timeout(NEVER, async { while let Ok(1..) = stream.read(&mut buffer).await {} }).await;
    ended.expect("the server keeps the connection");
}

async fn until_nobody_is_left(counters: &Counters) {
    let empty = async {
        while counters.connections_open.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let left = || counters.connections_open.load(Ordering::Relaxed);
    timeout(NEVER, empty).await.unwrap_or_else(|_| panic!("{} connections are left", left()));
}

/// Drips octets for as long as the other side takes them.
async fn drip(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, octets: &[u8]) {
    let mut buffer = [0; 1024];
    for octet in octets.iter().cycle() {
        let next = tokio::select! {
            read = stream.read(&mut buffer) => matches!(read, Ok(1..)),
            () = tokio::time::sleep(Duration::from_millis(100)) => true,
        };
        if !next || stream.write_all(&[*octet]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn slow_clients_are_ended_at_every_stage_while_alice_is_served() {
    let ca = TestCa::new();
    let (upstream, _) = taking_upstream().await;
    let (server, counters) = short_tempered(&ca, Handler::Upstream(upstream)).await;
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    let hello = client_hello(&ca).await;
    let mut slow = tokio::task::JoinSet::new();
    for _ in 0..20 {
        // A handshake that goes on, octet by octet.
        let (address, hello) = (server.address, hello.clone());
        slow.spawn(async move { drip(TcpStream::connect(address).await.unwrap(), &hello).await });
        // A head that never ends.
        let mut stream = open(&server, &alice).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
        slow.spawn(async move { drip(stream, b"X: y\r\n").await });
        // A body that stands still.
        let mut stream = open(&server, &alice).await;
        stream
            .write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
            .await
            .unwrap();
        slow.spawn(until_closed(stream));
        // A connection that nothing is asked on.
        slow.spawn(until_closed(open(&server, &alice).await));
    }
    for _ in 0..20 {
        assert_eq!(get(&server, "/", &alice).await.unwrap().status(), 200);
    }
    timeout(NEVER, async { while slow.join_next().await.is_some() {} }).await.expect("slow clients are kept");
    until_nobody_is_left(&counters).await;
    assert_eq!(get(&server, "/", &alice).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_flood_of_client_hellos_and_half_open_connections_starves_nobody() {
    let ca = TestCa::new();
    let (server, counters) = short_tempered(&ca, Handler::Identity).await;
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    let hello = client_hello(&ca).await;
    let mut held = Vec::new();
    for number in 0..300 {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        // The server computes its shares and its signature for each of these, and then waits.
        if number % 2 == 0 {
            tcp.write_all(&hello).await.unwrap();
        }
        held.push(tcp);
        if number % 30 == 0 {
            assert_eq!(get(&server, "/", &alice).await.unwrap().status(), 200);
        }
    }
    for tcp in held {
        until_closed(tcp).await;
    }
    until_nobody_is_left(&counters).await;
    let records = server.records(310).await;
    let timed_out = |record: &&AccessRecord| matches!(record, AccessRecord::Refusal(refused) if refused.finding.code == FindingCode::Timeout);
    assert_eq!(records.iter().filter(timed_out).count(), 300);
}

#[tokio::test]
async fn one_address_cannot_take_the_places_of_all() {
    let ca = TestCa::new();
    let mut options = ServeOptions::new();
    options.clock = testkit::now;
    options.limits = Limits { connections_per_address: 5, ..Limits::default() };
    let counters = Arc::clone(&options.counters);
    let server = TestServer::start_as(snapshot(&ca), Handler::Identity, options).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(TcpStream::connect(server.address).await.unwrap());
    }
    for _ in 0..20 {
        until_closed(TcpStream::connect(server.address).await.unwrap()).await;
    }
    assert_eq!(counters.turned_away.load(Ordering::Relaxed), 20);
    // Another address of this machine is another client.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.7:0".parse().unwrap()).unwrap();
    let tcp = socket.connect(server.address).await.unwrap();
    let host = ServerName::parse("localhost").unwrap();
    let tls = client(&ca, Some(&ca.issue_client("alice"))).tls;
    let mut stream =
        net::dial::handshake::handshake(net::dial::Transport::Tcp(tcp), &host, tls).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

/// An upstream that reads what it gets and answers heads at once; how many connections it took.
async fn taking_upstream() -> (Upstream, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let taken = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let mut seen = Vec::new();
                while let Ok(read @ 1..) = tcp.read(&mut buffer).await {
                    seen.extend_from_slice(&buffer[..read]);
                    if seen.starts_with(b"GET ") && seen.ends_with(b"\r\n\r\n") {
                        seen.clear();
                        let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                    }
                }
            });
        }
    });
    (upstream, taken)
}

#[tokio::test]
async fn an_upstream_that_dies_in_the_middle_never_makes_half_an_answer_look_whole() {
    // What it sends before it dies.
    const ANSWERS: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    ];
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    for answer in ANSWERS {
        for version in [HttpVersion::Http1, HttpVersion::Http2] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let upstream = Upstream::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
            tokio::spawn(async move {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(tcp.read_u8().await.unwrap());
                }
                tcp.write_all(answer).await.unwrap();
            });
            let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
            let mut options = client(&ca, Some(&alice));
            options.http = version;
            // Over HTTP/2 the stream's end may overtake the head of the answer.
            let body = match get(&server, "/", &options).await {
                Ok(response) => response.bytes().await.map_err(|_| ()),
                Err(_) => Err(()),
            };
            assert!(body.is_err(), "{version:?}, {}: {body:?}", String::from_utf8_lossy(answer));
            assert!(!server.request().await.complete);
        }
    }
}

#[tokio::test]
async fn a_thousand_snapshots_under_load_cost_no_request() {
    let ca = TestCa::new();
    let (upstream, _) = taking_upstream().await;
    let server = Arc::new(TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await);
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    let over = Arc::new(AtomicBool::new(false));
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..4 {
        // One connection each that stays, as far as it is let.
        let (server, alice, over) = (Arc::clone(&server), alice.clone(), Arc::clone(&over));
        load.spawn(async move {
            let mut stream = open(&server, &alice).await;
            let mut count = 0_u32;
            while !over.load(Ordering::Relaxed) {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(b"\r\n\r\nok") {
                    let mut buffer = [0; 1024];
                    let read = stream.read(&mut buffer).await.unwrap();
                    assert_ne!(read, 0, "closed after {count} requests");
                    answer.extend_from_slice(&buffer[..read]);
                }
                assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
                count += 1;
            }
            count
        });
    }
    // And new ones all the time, half of which resume.
    let (asked, client, end) = (Arc::clone(&server), alice.clone(), Arc::clone(&over));
    load.spawn(async move {
        let mut count = 0_u32;
        while !end.load(Ordering::Relaxed) {
            assert_eq!(get(&asked, "/", &client).await.unwrap().status(), 200);
            count += 1;
        }
        count
    });
    // Other credentials and another policy each time, which admits alice all the same.
    let snapshots = [snapshot(&ca), {
        let mut other = snapshot(&ca);
        other.policy = pki::policy::Policy::new(vec![pki::policy::Rule::All]);
        other
    }];
    for number in 0..1000 {
        server.replace(snapshots[number % 2].clone());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    over.store(true, Ordering::Relaxed);
    let counts = load.join_all().await;
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}
