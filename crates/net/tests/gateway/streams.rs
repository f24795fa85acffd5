//! Streams of HTTP/2 on their way to a service that speaks HTTP/1.1: the client's frames and the service's octets are
//! made and looked at here, so that each sees exactly what the other's side becomes.

use std::time::Duration;

use net::dial::TlsStream;
use net::serve::{AccessRecord, Handler, Limits, Upstream};
use testkit::TestCa;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::http2::*;
use crate::common::*;

const NO_PAYLOAD: &[u8] = &[];

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    fn has(&self, text: &str) -> bool {
        self.payload.windows(text.len()).any(|part| part == text.as_bytes())
    }
}

struct Client(TlsStream);

impl Client {
    async fn send(&mut self, frames: &[Vec<u8>]) {
        self.0.write_all(&frames.concat()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next frame of this type; those of others are read over. `None` at the end.
    async fn next_or_end(&mut self, wanted: &[u8]) -> Option<Frame> {
        let reading = async {
            loop {
                let mut head = [0; 9];
                self.0.read_exact(&mut head).await.ok()?;
                let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
                self.0.read_exact(&mut payload).await.ok()?;
                if wanted.contains(&head[3]) {
                    let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
                    return Some(Frame { kind: head[3], flags: head[4], stream, payload });
                }
            }
        };
        timeout(Duration::from_secs(60), reading).await.expect("no such frame came")
    }

    async fn next(&mut self, wanted: &[u8]) -> Frame {
        self.next_or_end(wanted).await.expect("the connection ended")
    }
}

struct World {
    server: TestServer,
    service: TcpListener,
    client: Client,
}

/// A gateway before a service that is played by the test, and a client of it with these settings.
async fn world(settings: &[u8], limits: Limits) -> World {
    let ca = TestCa::new();
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::parse(&format!("http://{}", service.local_addr().unwrap())).unwrap();
    let upstream = upstream.answer_timeout(limits.body_idle_timeout);
    let server = TestServer::start_with(snapshot(&ca), Handler::Upstream(upstream), limits).await;
    let mut client = Client(open(&server, &ca, &ca.issue_client("alice")).await);
    client.send(&[PREFACE.to_vec(), frame(SETTINGS, NONE, 0, settings)]).await;
    World { server, service, client }
}

/// Reads until what was read ends so.
async fn read_until(service: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    let reading = async {
        while !text.ends_with(end.as_bytes()) {
            let mut octet = [0];
            service.read_exact(&mut octet).await.unwrap();
            text.push(octet[0]);
        }
    };
    if timeout(Duration::from_secs(60), reading).await.is_err() {
        panic!("only {:?}", String::from_utf8_lossy(&text));
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_request_arrives_as_http1_with_its_body_and_trailers_and_so_does_the_answer() {
    let World { server, service, mut client } = world(&[], Limits::default()).await;
    let more = [("cookie", "a=1"), ("x-client-identity", "mallory"), ("cookie", "b=2"), ("te", "trailers")];
    let post = |stream, more: &[(&str, &str)]| {
        frame(
            HEADERS,
            END_HEADERS,
            stream,
            &fields(&[&POST[..2], &[(":path", "/p?q=1"), POST[3]], more].concat()),
        )
    };
    client
        .send(&[
            post(1, &more),
            frame(DATA, NONE, 1, b"hello"),
            frame(DATA, NONE, 1, NO_PAYLOAD),
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                &fields(&[("x-sum", "5"), ("x_client_identity", "eve")]),
            ),
        ])
        .await;
    let mut upstream = service.accept().await.unwrap().0;
    let seen = read_until(&mut upstream, "\r\n0\r\nx-sum: 5\r\n\r\n").await;
    assert!(seen.starts_with("POST /p?q=1 HTTP/1.1\r\nHost: localhost\r\n"), "{seen}");
    for line in ["\r\nCookie: a=1; b=2\r\n", "\r\nTE: trailers\r\n", "\r\nTransfer-Encoding: chunked\r\n"] {
        assert!(seen.contains(line), "{seen}");
    }
    assert!(seen.contains("\r\n\r\n5\r\nhello\r\n0\r\n"), "{seen}");
    assert!(!seen.contains("mallory") && !seen.contains("eve") && seen.contains("alice"), "{seen}");
    upstream
        .write_all(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nX-Made: Yes\r\n\
              Connection: x-hop\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-End: 3\r\n\r\n",
        )
        .await
        .unwrap();
    let head = client.next(&[HEADERS]).await;
    assert_eq!((head.stream, head.flags), (1, END_HEADERS));
    assert!(head.has("201") && head.has("x-made") && head.has("Yes"), "{:?}", head.payload);
    assert!(!head.has("x-hop") && !head.has("chunked"));
    let data = client.next(&[DATA, HEADERS]).await;
    assert_eq!((data.kind, data.flags, &data.payload[..]), (DATA, NONE, &b"abc"[..]));
    let trailers = client.next(&[DATA, HEADERS]).await;
    assert_eq!((trailers.kind, trailers.flags), (HEADERS, END_HEADERS | END_STREAM));
    assert!(trailers.has("x-end"));

    // The next request takes the same connection: a counted body, an answer to HEAD, one without a body.
    client.send(&[post(3, &[("content-length", "4")]), frame(DATA, END_STREAM, 3, b"four")]).await;
    let seen = read_until(&mut upstream, "\r\n\r\nfour").await;
    assert!(seen.contains("\r\nContent-Length: 4\r\n") && !seen.contains("chunked"), "{seen}");
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(client.next(&[HEADERS]).await.payload[0], 0x88);
    let data = client.next(&[DATA]).await;
    assert_eq!((data.flags, &data.payload[..]), (END_STREAM, &b"ok"[..]), "the last frame ends the stream");
    client.send(&[request(5, &[(":method", "HEAD"), GET[1], GET[2], GET[3]])]).await;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n").await.unwrap();
    let head = client.next(&[HEADERS]).await;
    assert_eq!(head.flags, END_HEADERS | END_STREAM);
    assert!(head.has("99"));
    client.send(&[get_with(7, &[])]).await;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n").await.unwrap();
    let head = client.next(&[HEADERS]).await;
    assert_eq!((head.flags, head.payload[0]), (END_HEADERS | END_STREAM, 0x8b));

    let records = server.records(4).await;
    let seen: Vec<_> = records
        .iter()
        .map(|record| match record {
            AccessRecord::Request(record) => {
                (record.method.as_str(), record.status, record.bytes, record.complete, record.protocol)
            }
            AccessRecord::Refusal(refusal) => panic!("{refusal:?}"),
        })
        .collect();
    let expected = [
        ("POST", 201, 3, true, "HTTP/2.0"),
        ("POST", 200, 2, true, "HTTP/2.0"),
        ("HEAD", 200, 0, true, "HTTP/2.0"),
        ("GET", 304, 0, true, "HTTP/2.0"),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn an_answer_keeps_within_the_windows_of_its_client() {
    let World { server: _server, service, mut client } = world(&setting(4, 10), Limits::default()).await;
    client.send(&[get_with(1, &[])]).await;
    let mut upstream = service.accept().await.unwrap().0;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n").await.unwrap();
    upstream.write_all(&[b'x'; 30]).await.unwrap();
    assert_eq!(client.next(&[DATA]).await.payload.len(), 10);
    // A PING that is answered before any more data shows that the rest waits.
    client.send(&[frame(PING, NONE, 0, b"no more?")]).await;
    assert_eq!(client.next(&[DATA, PING]).await.kind, PING);
    client.send(&[frame(WINDOW_UPDATE, NONE, 1, &[0, 0, 0, 5])]).await;
    let data = client.next(&[DATA]).await;
    assert_eq!((data.payload.len(), data.flags), (5, NONE));
    // A larger initial window holds for streams that are open (RFC 9113 section 6.9.2).
    client.send(&[frame(SETTINGS, NONE, 0, &setting(4, 100))]).await;
    let data = client.next(&[DATA]).await;
    assert_eq!((data.payload.len(), data.flags), (15, END_STREAM));
}

#[tokio::test]
async fn a_body_keeps_within_our_windows_which_open_as_the_service_takes_it() {
    const WINDOW: usize = 256 * 1024;
    let World { server: _server, service, mut client } = world(&[], Limits::default()).await;
    client.send(&[frame(HEADERS, END_HEADERS, 1, &fields(POST))]).await;
    let pieces = vec![frame(DATA, NONE, 1, &[b'x'; 16 * 1024]); WINDOW / (16 * 1024)];
    client.send(&pieces).await;
    let (mut upstream, _) = service.accept().await.unwrap();
    read_until(&mut upstream, "\r\n\r\n").await;
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        upstream.read_to_end(&mut all).await.map(|_| all)
    });
    let update = client.next(&[WINDOW_UPDATE, RST_STREAM, GOAWAY]).await;
    // The first is that of the connection, at its beginning.
    let update =
        if update.stream == 0 { client.next(&[WINDOW_UPDATE, RST_STREAM, GOAWAY]).await } else { update };
    assert_eq!(update.kind, WINDOW_UPDATE);
    assert!(update.number(0) as usize >= WINDOW / 2 && update.number(0) as usize <= WINDOW);
    reading.abort();

    // Who sends more than was given, to a service that does not read, is cut off.
    let World { server: _server, service, mut client } = world(&[], Limits::default()).await;
    client.send(&[frame(HEADERS, END_HEADERS, 1, &fields(POST))]).await;
    let _unread = service.accept().await.unwrap();
    // More than what the kernel keeps of a connection.
    let piece = frame(DATA, NONE, 1, &[b'x'; 16 * 1024]).repeat(16);
    let (mut reads, mut writes) = tokio::io::split(client.0);
    let writing = tokio::spawn(async move {
        for _ in 0..100 {
            if writes.write_all(&piece).await.is_err() {
                break;
            }
        }
    });
    let mut all = Vec::new();
    let is_cut_off = |all: &[u8]| {
        let reset = [&frame(RST_STREAM, NONE, 1, &FLOW_CONTROL_ERROR.to_be_bytes())[..]];
        all.windows(reset[0].len()).any(|part| part == reset[0])
    };
    let cut_off = async {
        while !is_cut_off(&all) {
            assert!(reads.read_buf(&mut all).await.unwrap() > 0, "the connection ended first");
        }
    };
    timeout(Duration::from_secs(60), cut_off).await.expect("it is not cut off");
    writing.abort();
}

#[tokio::test]
async fn a_request_that_is_reset_does_not_look_whole_to_the_service() {
    let World { server, service, mut client } = world(&[], Limits::default()).await;
    client.send(&[frame(HEADERS, END_HEADERS, 1, &fields(POST)), frame(DATA, NONE, 1, b"half")]).await;
    let mut upstream = service.accept().await.unwrap().0;
    read_until(&mut upstream, "\r\n\r\n4\r\nhalf\r\n").await;
    client.send(&[frame(RST_STREAM, NONE, 1, &[0, 0, 0, 8])]).await;
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(60), upstream.read_to_end(&mut rest)).await.expect("it stays open");
    assert!(rest.is_empty());
    let record = server.request().await;
    assert_eq!((record.status, record.complete), (0, false));
    // And the connection goes on.
    client.send(&[get_with(3, &[])]).await;
    let mut upstream = service.accept().await.unwrap().0;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(client.next(&[HEADERS]).await.payload[0], 0x89);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_whole_ends_both() {
    let World { server: _server, service, mut client } = world(&[], Limits::default()).await;
    client.send(&[frame(HEADERS, END_HEADERS, 1, &fields(POST))]).await;
    let mut upstream = service.accept().await.unwrap().0;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    assert!(client.next(&[HEADERS]).await.has("413"));
    assert_eq!(client.next(&[DATA]).await.flags, END_STREAM);
    let reset = client.next(&[RST_STREAM]).await;
    assert_eq!((reset.stream, reset.number(0)), (1, NO_ERROR));
    // What was under way then does no harm, trailers neither.
    client
        .send(&[
            frame(DATA, NONE, 1, b"more"),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &field("x-sum", "4")),
            frame(PING, NONE, 0, b"go on   "),
        ])
        .await;
    assert_eq!(client.next(&[PING, GOAWAY, RST_STREAM]).await.kind, PING);
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole_and_one_that_never_begins_becomes_a_page() {
    let World { server: _server, service, mut client } = world(&[], Limits::default()).await;
    client.send(&[get_with(1, &[])]).await;
    let mut upstream = service.accept().await.unwrap().0;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    drop(upstream);
    let data = client.next(&[DATA]).await;
    assert_eq!((data.flags, &data.payload[..]), (NONE, &b"half"[..]));
    assert_eq!(client.next(&[RST_STREAM]).await.stream, 1);
    for answer in ["", "ICY 200 OK\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"] {
        client
            .send(&[frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                if answer.is_empty() { 3 } else { 5 + 2 * answer.len() as u32 },
                &fields(POST),
            )])
            .await;
        let mut upstream = service.accept().await.unwrap().0;
        read_until(&mut upstream, "\r\n\r\n").await;
        upstream.write_all(answer.as_bytes()).await.unwrap();
        drop(upstream);
        assert!(client.next(&[HEADERS]).await.has("502"), "{answer:?}");
    }
}

/// gRPC tells of a deadline and of a call that was given up in this way.
#[tokio::test]
async fn the_reason_for_which_a_service_resets_a_stream_reaches_the_client() {
    for (said, heard) in [(7, 7), (8, 8), (11, 11), (2, 2), (5, 2)] {
        let ca = TestCa::new();
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream::parse(&format!("h2c://{}", service.local_addr().unwrap())).unwrap();
        let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
        let mut client = Client(open(&server, &ca, &ca.issue_client("alice")).await);
        client.send(&[PREFACE.to_vec(), frame(SETTINGS, NONE, 0, NO_PAYLOAD), get_with(1, &[])]).await;
        let mut upstream = service.accept().await.unwrap().0;
        let preface = read_until(&mut upstream, "SM\r\n\r\n").await;
        assert_eq!(preface.as_bytes(), PREFACE);
        // The first request of a client has the number 1, and 0x88 is the status 200.
        let answer = [
            frame(SETTINGS, NONE, 0, NO_PAYLOAD),
            frame(SETTINGS, ACK, 0, NO_PAYLOAD),
            frame(HEADERS, END_HEADERS, 1, &[0x88]),
            frame(DATA, NONE, 1, b"half"),
        ];
        upstream.write_all(&answer.concat()).await.unwrap();
        assert_eq!(client.next(&[DATA]).await.payload, b"half");
        upstream.write_all(&frame(RST_STREAM, NONE, 1, &[0, 0, 0, said])).await.unwrap();
        assert_eq!(client.next(&[RST_STREAM]).await.number(0), heard);
    }
}

#[tokio::test]
async fn a_kept_connection_that_had_ended_costs_no_request() {
    let World { server: _server, service, mut client } = world(&[], Limits::default()).await;
    client.send(&[get_with(1, &[])]).await;
    let mut upstream = service.accept().await.unwrap().0;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(client.next(&[HEADERS]).await.payload[0], 0x89);
    // It takes the second request, and closes without an answer.
    client.send(&[get_with(3, &[])]).await;
    read_until(&mut upstream, "\r\n\r\n").await;
    drop(upstream);
    let mut again = service.accept().await.unwrap().0;
    read_until(&mut again, "\r\n\r\n").await;
    again.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(client.next(&[HEADERS]).await.payload[0], 0x88);
}

#[tokio::test]
async fn a_silent_service_is_given_up_with_a_page_and_its_stream_alone() {
    let limits = Limits { body_idle_timeout: Duration::from_millis(200), ..Limits::default() };
    let World { server: _server, service, mut client } = world(&[], limits).await;
    client.send(&[get_with(1, &[])]).await;
    let mut silent = service.accept().await.unwrap().0;
    read_until(&mut silent, "\r\n\r\n").await;
    assert!(client.next(&[HEADERS]).await.has("504"));
    client.send(&[get_with(3, &[])]).await;
    let mut upstream = service.accept().await.unwrap().0;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    assert_eq!(client.next(&[HEADERS]).await.payload[0], 0x88);
    assert_eq!(client.next(&[RST_STREAM]).await.stream, 3, "an answer that stands still is broken off");
}

#[tokio::test]
async fn a_connection_without_a_request_is_ended_and_one_whose_client_is_gone_too() {
    let limits = Limits { header_timeout: Duration::from_millis(200), ..Limits::default() };
    let World { server: _server, service, mut client } = world(&[], limits).await;
    let goaway = client.next(&[GOAWAY]).await;
    assert_eq!((goaway.number(0), goaway.number(4)), (0, NO_ERROR));
    assert!(client.next_or_end(&[]).await.is_none(), "it is closed");
    drop(service);

    // With a request under way the client is asked, and what is not answered is the end.
    let World { server: _server, service, mut client } = world(&[], limits).await;
    client.send(&[get_with(1, &[])]).await;
    let mut upstream = service.accept().await.unwrap().0;
    read_until(&mut upstream, "\r\n\r\n").await;
    let ping = client.next(&[PING, GOAWAY]).await;
    assert_eq!((ping.kind, ping.flags), (PING, NONE));
    client.send(&[frame(PING, ACK, 0, &ping.payload)]).await;
    assert_eq!(client.next(&[PING, GOAWAY]).await.kind, PING, "an answer is worth another wait");
    assert_eq!(client.next(&[PING, GOAWAY]).await.kind, GOAWAY);
}

#[tokio::test]
async fn a_server_that_ends_takes_what_is_under_way_and_says_which_stream_is_the_last() {
    let World { mut server, service, mut client } = world(&[], Limits::default()).await;
    client.send(&[get_with(1, &[])]).await;
    let mut upstream = service.accept().await.unwrap().0;
    read_until(&mut upstream, "\r\n\r\n").await;
    server.shut_down();
    let first = client.next(&[GOAWAY]).await;
    assert_eq!((first.number(0), first.number(4)), (0x7fff_ffff, NO_ERROR));
    let ping = client.next(&[PING]).await;
    // This one was under way when the client heard of the end.
    client.send(&[get_with(3, &[]), frame(PING, ACK, 0, &ping.payload)]).await;
    let mut second = service.accept().await.unwrap().0;
    read_until(&mut second, "\r\n\r\n").await;
    let last = client.next(&[GOAWAY]).await;
    assert_eq!((last.number(0), last.number(4)), (3, NO_ERROR));
    // And this one is too late.
    client.send(&[get_with(5, &[])]).await;
    let refused = client.next(&[RST_STREAM]).await;
    assert_eq!((refused.stream, refused.number(0)), (5, REFUSED_STREAM));
    for (stream, upstream) in [(1, &mut upstream), (3, &mut second)] {
        upstream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        assert_eq!(client.next(&[HEADERS]).await.stream, stream);
    }
    assert!(client.next_or_end(&[]).await.is_none(), "then it is closed");
    drop(client);
    assert_eq!(server.running.await.unwrap(), 0, "nothing was cut off");
}

#[tokio::test]
async fn a_client_that_makes_its_table_smaller_is_told_that_ours_is_empty() {
    let World { server: _server, service, mut client } = world(&setting(1, 0), Limits::default()).await;
    for (stream, first) in [(1, 0x20), (3, 0x89)] {
        client.send(&[get_with(stream, &[])]).await;
        if stream == 1 {
            let mut upstream = service.accept().await.unwrap().0;
            read_until(&mut upstream, "\r\n\r\n").await;
            upstream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.unwrap();
        } else {
            let mut upstream = service.accept().await.unwrap().0;
            read_until(&mut upstream, "\r\n\r\n").await;
            upstream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
        assert_eq!(client.next(&[HEADERS]).await.payload[0], first);
    }
}

#[tokio::test]
async fn many_streams_at_once_are_answered_each_with_its_own() {
    let World { server: _server, service, mut client } = world(&[], Limits::default()).await;
    let serving = tokio::spawn(async move {
        loop {
            let (mut upstream, _) = service.accept().await.unwrap();
            tokio::spawn(async move {
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match upstream.read_u8().await {
                            Ok(octet) => head.push(octet),
                            Err(_) => return,
                        }
                    }
                    let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap().to_owned();
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
                    upstream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    for round in 0..5_u32 {
        let streams: Vec<u32> = (0..100).map(|number| round * 200 + 2 * number + 1).collect();
        let path = |stream: u32| format!("/{stream}");
        let frames: Vec<_> = streams
            .iter()
            .map(|stream| request(*stream, &[GET[0], GET[1], (":path", &path(*stream)), GET[3]]))
            .collect();
        client.send(&frames).await;
        let mut answered = Vec::new();
        while answered.len() < streams.len() {
            let data = client.next(&[DATA, RST_STREAM, GOAWAY]).await;
            assert_eq!((data.kind, data.flags), (DATA, END_STREAM));
            assert_eq!(data.payload, path(data.stream).as_bytes());
            answered.push(data.stream);
        }
        answered.sort_unstable();
        assert_eq!(answered, streams);
    }
    serving.abort();
}

/// A proxy in front that passes on what many clients ask for: some of them give up.
#[tokio::test]
async fn a_client_that_gives_up_one_request_for_each_that_is_answered_stays_connected() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let mut client = Client(open(&server, &ca, &ca.issue_client("alice")).await);
    let window = frame(WINDOW_UPDATE, NONE, 0, &[0x10, 0, 0, 0]);
    client.send(&[PREFACE.to_vec(), frame(SETTINGS, NONE, 0, NO_PAYLOAD), window]).await;
    // What is forgiven by time alone would not cover them in 20 seconds.
    for turn in 0..600 {
        let (answered, given_up) = (4 * turn + 1, 4 * turn + 3);
        client
            .send(&[
                frame(HEADERS, END_HEADERS | END_STREAM, answered, &fields(GET)),
                frame(HEADERS, END_HEADERS, given_up, &fields(POST)),
                frame(RST_STREAM, NONE, given_up, &[0, 0, 0, 8]),
            ])
            .await;
        while client.next(&[DATA]).await.flags & END_STREAM == 0 {}
    }
    client.send(&[frame(PING, NONE, 0, b"go on?!?")]).await;
    assert_eq!(client.next(&[PING, GOAWAY]).await.kind, PING);
}
