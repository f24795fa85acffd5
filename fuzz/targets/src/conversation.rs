//! Whole connections: what a client that is let in may say to the gateway over HTTP/1.1 and HTTP/2. Each input is said over
//! TLS to one that runs in this process, in front of a page of its own and of a service. It must not panic, must end once
//! the client has, must answer in frames that are whole and belong to what was asked, and must go on for others.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use net::dial::{Route as Way, TlsOptions, TlsStream, connect, handshake::handshake};
use net::serve::{Handler, Options, Route, Target, Upstream, serve};
use net::snapshot::{Handle, Snapshot};
use net::tls::Credentials;
use net::tls::server_verifier::Expectation;
use pki::name::ServerName;
use pki::policy::{Policy, Rule};
use testkit::{TestCa, TestIdentity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A connection that has not ended by then has been forgotten.
const LONGEST: Duration = Duration::from_secs(30);
/// Turns of this process's tasks between what is said and the end. An answer by the service behind takes some ten.
const TURNS: u32 = 200;
/// After so many inputs somebody honest comes.
const HONEST_EVERY: u32 = 64;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// What is sent here of a kind beyond this is no frame, but octets.
const LAST_KIND: u8 = 0x0f;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PUSH_PROMISE: u8 = 5;
/// The largest frame that may be sent to somebody who has not asked for larger ones (RFC 9113 section 4.2).
const LARGEST: usize = 16_384;

struct World {
    runtime: Runtime,
    ca: TestCa,
    alice: TestIdentity,
    address: SocketAddr,
    visits: Cell<u32>,
}

thread_local! {
    // One for each thread that tries inputs, which lives as long as the process does.
    static WORLD: &'static World = Box::leak(Box::new(World::new()));
}

fn credentials(identity: &TestIdentity) -> Credentials {
    let chain = std::iter::once(&identity.certificate).chain(&identity.chain).cloned().collect();
    Credentials::new(chain, identity.key.pkcs8_der()).expect("credentials that were just made")
}

/// A service that answers whatever it is asked, as soon as it has the head.
async fn service(listener: TcpListener) {
    while let Ok((mut tcp, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = tcp.read(&mut buffer).await {
                heard.extend_from_slice(&buffer[..count]);
                if heard.windows(4).any(|window| window == b"\r\n\r\n") {
                    heard.clear();
                    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
                    let _ = tcp.write_all(answer).await;
                }
            }
        });
    }
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // The sockets are looked at with each turn, so that turns are what a conversation is measured in.
            .event_interval(1)
            .build()
            .expect("a runtime");
        let ca = TestCa::new();
        let (alice, server) = (ca.issue_client("alice"), ca.issue_server(&["localhost"]));
        let address = runtime.block_on(async {
            let behind = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let target = format!("http://{}", behind.local_addr().expect("its address"));
            tokio::spawn(service(behind));
            let upstream =
                Upstream::new(vec![Target::parse(&target).expect("a target")]).expect("an upstream");
            let mut snapshot = Snapshot::new(credentials(&server), ca.anchors());
            snapshot.policy = Policy::new(vec![Rule::All]);
            let mut page = Route::everything(Arc::new(Handler::Identity));
            page.path = "/page".to_owned();
            snapshot.routes.push(page);
            snapshot.routes.push(Route::everything(Arc::new(Handler::Upstream(upstream))));
            let mut options = Options::new();
            options.clock = testkit::now;
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("its address");
            tokio::spawn(serve(listener, Handle::new(snapshot), options, std::future::pending()));
            address
        });
        World { runtime, ca, alice, address, visits: Cell::new(0) }
    }

    async fn open(&self, protocol: &str) -> TlsStream {
        let host = ServerName::parse("localhost").expect("a name");
        let mut expectation = Expectation::new(self.ca.anchors());
        expectation.clock = testkit::now;
        let mut tls = TlsOptions::new(expectation);
        tls.credentials = Some(credentials(&self.alice));
        tls.alpn = vec![protocol.as_bytes().to_vec()];
        let way = Way::default();
        let transport = connect(&host, self.address.port(), &way, None).await.expect("it listens");
        handshake(transport, &host, tls).await.expect("alice is let in")
    }

    /// Says all of it, then that nothing more comes, and gives what was answered until the end.
    async fn say(&self, protocol: &str, octets: &[u8]) -> Vec<u8> {
        let (mut reading, mut writing) = tokio::io::split(self.open(protocol).await);
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(LONGEST, async {
            let saying = async {
                // It may have ended the connection before it heard everything.
                let _ = writing.write_all(octets).await;
                // Whoever closes over HTTP/2 wants no answer any more, so that turns are left for it.
                for _ in 0..TURNS {
                    tokio::task::yield_now().await;
                }
                let _ = writing.shutdown().await;
            };
            tokio::join!(saying, async {
                let _ = reading.read_to_end(&mut answer).await;
            })
        });
        assert!(ended.await.is_ok(), "the connection goes on without its client");
        answer
    }

    async fn honest(&self) {
        let answer =
            self.say("http/1.1", b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "somebody honest is not served any more");
    }
}

/// Says it, and now and then sends somebody honest after it.
fn converse(protocol: &str, octets: &[u8]) -> Vec<u8> {
    let world = WORLD.with(|world| *world);
    world.visits.set(world.visits.get().wrapping_add(1));
    world.runtime.block_on(async {
        let answer = world.say(protocol, octets).await;
        if world.visits.get().is_multiple_of(HONEST_EVERY) {
            world.honest().await;
        }
        answer
    })
}

/// Any octets over HTTP/1.1: whatever is answered begins as a response does.
pub(crate) fn http1(bytes: &[u8]) {
    let answer = converse("http/1.1", bytes);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{:?}", String::from_utf8_lossy(&answer));
}

/// Any frames over HTTP/2, each given as its kind, its flags, its stream, its length and its payload; and any octets where
/// the kind is none.
pub(crate) fn http2(bytes: &[u8]) {
    let (mut said, mut asked) = (PREFACE.to_vec(), Vec::new());
    let mut rest = bytes;
    while let [kind, flags, stream, length, more @ ..] = rest {
        let (payload, after) = more.split_at(usize::from(*length).min(more.len()));
        rest = after;
        if *kind > LAST_KIND {
            said.extend_from_slice(payload);
            // What stands in them is not looked at here.
            asked.extend(0..=u32::from(u8::MAX));
            continue;
        }
        said.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
        said.extend_from_slice(&[*kind, *flags, 0, 0, 0, *stream]);
        said.extend_from_slice(payload);
        if *kind == HEADERS {
            asked.push(u32::from(*stream));
        }
    }
    let answer = converse("h2", &said);
    let mut rest = &answer[..];
    while let [l1, l2, l3, kind, _, s1, s2, s3, s4, more @ ..] = rest {
        let length = u32::from_be_bytes([0, *l1, *l2, *l3]) as usize;
        assert!(length <= LARGEST, "a frame of {length} octets");
        let stream = u32::from_be_bytes([*s1, *s2, *s3, *s4]);
        assert_ne!(*kind, PUSH_PROMISE, "something is pushed");
        if matches!(*kind, DATA | HEADERS) {
            assert!(asked.contains(&stream), "frame {kind} of stream {stream}, which is none");
        }
        assert!(length <= more.len(), "the last frame is cut");
        rest = &more[length..];
    }
    assert!(rest.is_empty(), "the last frame is cut");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GOAWAY after stream 1.
    const PROTOCOL_ERROR: &[u8] = &[7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];

    #[test]
    fn what_is_said_is_heard_by_the_page_and_by_the_service_behind() {
        for (path, body) in [("/page", "alice"), ("/up", "\r\nok\r\n")] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let answer = String::from_utf8(converse("http/1.1", request.as_bytes())).expect("text");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(body), "{answer}");
        }
        // The fields as the static table has them; and then a stream's number that is none.
        let get = |path: &[u8]| {
            let path = [&[path.len() as u8], path].concat();
            let fields = [&[0x82, 0x87, 0x04][..], &path, &[0x01, 9], b"localhost"].concat();
            [&[1, 5, 1, fields.len() as u8][..], &fields].concat()
        };
        let (page, up, wrong) = (get(b"/page"), get(b"/up"), [1, 5, 2, 0]);
        let table: [(&[&[u8]], &[u8]); 3] =
            [(&[&page], b"alice"), (&[&up], b"ok"), (&[&page, &wrong], PROTOCOL_ERROR)];
        for (frames, piece) in table {
            http2(&frames.concat());
            let mut said = PREFACE.to_vec();
            for frame in frames {
                said.extend_from_slice(&[0, 0, frame[3], frame[0], frame[1], 0, 0, 0, frame[2]]);
                said.extend_from_slice(&frame[4..]);
            }
            let answer = converse("h2", &said);
            assert!(answer.windows(piece.len()).any(|window| window == piece), "{answer:02x?}");
        }
    }
}
