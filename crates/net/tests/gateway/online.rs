//! Clients whose certificates are asked about one by one (OCSP): good, revoked before, revoked while connected, and what
//! it means where no answer comes or none can be believed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use net::revocation::{Online, OnlineMode};
use net::serve::Handler;
use net::snapshot::Snapshot;
use net::url::Url;
use pki::crl::{Revocation, RevocationReason};
use pki::ocsp::{CertStatus, Request, SingleResponse, prepare};
use testkit::{TestCa, TestIdentity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::common::*;

/// What the responder does.
#[derive(Clone)]
enum Manner {
    Says(CertStatus),
    /// Good until this many seconds from the tests' moment.
    GoodFor(i64),
    /// Signs with a key that nobody gave it.
    Forges,
    Repeats(Vec<u8>),
    Breaks,
    Hangs,
}

struct Responder {
    url: Url,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<AtomicUsize>,
}

async fn responder(issuer: &TestIdentity, manner: Manner) -> Responder {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/ocsp", listener.local_addr().unwrap())).unwrap();
    let manner = Arc::new(Mutex::new(manner));
    let asked = Arc::new(AtomicUsize::new(0));
    let forger = TestCa::new();
    let (issuer, shared, count) = (issuer.clone(), Arc::clone(&manner), Arc::clone(&asked));
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let manner = shared.lock().unwrap().clone();
            let mut message = Vec::new();
            let body = loop {
                tcp.read_buf(&mut message).await.unwrap();
                let Some(end) = message.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
                let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
                assert!(head.contains("application/ocsp-request"), "{head}");
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if message.len() >= end + 4 + length.parse::<usize>().unwrap() {
                    break message[end + 4..].to_vec();
                }
            };
            let question = Request::from_der(&body).unwrap();
            let (status, next) = match manner {
                Manner::Says(status) => (status, testkit::days_from_now(1)),
                Manner::GoodFor(seconds) => {
                    (CertStatus::Good, testkit::now() + jiff::SignedDuration::from_secs(seconds))
                }
                _ => (CertStatus::Good, testkit::days_from_now(1)),
            };
            let answer = SingleResponse {
                certificate: question.certificates[0].clone(),
                status,
                this_update: testkit::now(),
                next_update: Some(next),
            };
            let signer = if matches!(manner, Manner::Forges) { forger.issuing() } else { &issuer };
            let nonce = match &manner {
                Manner::Repeats(nonce) => Some(nonce.clone()),
                _ => question.nonce.clone(),
            };
            let prepared =
                prepare(&signer.certificate, testkit::now(), &[answer], nonce.as_deref(), &[]).unwrap();
            let der = prepared.sign(&signer.key).unwrap();
            match manner {
                Manner::Breaks => drop(tcp),
                Manner::Hangs => std::mem::forget(tcp),
                _ => {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nConnection: close\r\n\
                         Content-Length: {}\r\n\r\n",
                        der.len()
                    );
                    tcp.write_all(head.as_bytes()).await.unwrap();
                    tcp.write_all(&der).await.unwrap();
                }
            }
        }
    });
    Responder { url, manner, asked }
}

fn revoked() -> CertStatus {
    CertStatus::Revoked(Revocation {
        revoked_at: testkit::days_from_now(-1),
        reason: RevocationReason::KeyCompromise,
    })
}

fn asking(ca: &TestCa, responder: &Responder, mode: OnlineMode) -> Snapshot {
    let mut snapshot = snapshot(ca);
    // Short only where no answer comes: an answer may take its time on a busy machine.
    let hangs = matches!(*responder.manner.lock().unwrap(), Manner::Hangs);
    let limit = Duration::from_secs(if hangs { 1 } else { 60 });
    snapshot.online = Some(Arc::new(Online::new(mode, Some(responder.url.clone()), limit)));
    snapshot
}

#[tokio::test]
async fn each_answer_and_the_lack_of_one_has_its_consequence_in_each_mode() {
    let ca = TestCa::new();
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    let cases = [
        (Manner::Says(CertStatus::Good), "200", "200"),
        (Manner::Says(revoked()), "certificate_revoked", "certificate_revoked"),
        (Manner::Says(CertStatus::Unknown), "200", "ocsp_invalid"),
        (Manner::GoodFor(-60), "200", "ocsp_invalid"),
        (Manner::Forges, "200", "ocsp_invalid"),
        (Manner::Repeats(b"a nonce of before".to_vec()), "200", "ocsp_invalid"),
        (Manner::Breaks, "200", "ocsp_invalid"),
        (Manner::Hangs, "200", "ocsp_invalid"),
    ];
    for (number, (manner, soft, hard)) in cases.into_iter().enumerate() {
        for (mode, expected) in [(OnlineMode::Soft, soft), (OnlineMode::Hard, hard)] {
            let responder = responder(ca.issuing(), manner.clone()).await;
            let server = TestServer::start(asking(&ca, &responder, mode), Handler::Identity).await;
            let response = get(&server, "/", &alice).await.unwrap();
            let status = response.status();
            let body = text(response).await;
            if expected == "200" {
                assert_eq!(status, 200, "case {number}, {mode:?}: {body}");
            } else {
                assert_eq!(status, 403, "case {number}, {mode:?}: {body}");
                assert!(body.contains(expected), "case {number}, {mode:?}: {body}");
            }
            assert_eq!(responder.asked.load(Ordering::SeqCst), 1);
        }
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_later_connections_and_other_clients_are_asked_about_themselves() {
    let ca = TestCa::new();
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    let other = client(&ca, Some(&ca.issue_client("alice")));
    let responder = responder(ca.issuing(), Manner::Says(CertStatus::Good)).await;
    let server = TestServer::start(asking(&ca, &responder, OnlineMode::Hard), Handler::Identity).await;
    for _ in 0..3 {
        assert_eq!(get(&server, "/", &alice).await.unwrap().status(), 200);
    }
    assert_eq!(responder.asked.load(Ordering::SeqCst), 1);
    assert_eq!(get(&server, "/", &other).await.unwrap().status(), 200);
    assert_eq!(responder.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_client_that_is_revoked_meanwhile_is_cut_off_when_its_answer_is_due() {
    use std::sync::atomic::AtomicI64;
    // The server's clock, in seconds after the tests' moment.
    static LATER: AtomicI64 = AtomicI64::new(0);
    fn clock() -> jiff::Timestamp {
        testkit::now() + jiff::SignedDuration::from_secs(LATER.load(Ordering::SeqCst))
    }
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let responder = responder(ca.issuing(), Manner::Says(CertStatus::Good)).await;
    let snapshot = asking(&ca, &responder, OnlineMode::Soft);
    let server = TestServer::start_at(snapshot, Handler::Identity, clock).await;
    let host = pki::name::ServerName::parse("localhost").unwrap();
    let transport =
        net::dial::connect(&host, server.address.port(), &net::dial::Route::default(), None).await.unwrap();
    let tls = client(&ca, Some(&alice)).tls;
    let mut stream = net::dial::handshake::handshake(transport, &host, tls).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    *responder.manner.lock().unwrap() = Manner::Says(revoked());
    LATER.store(600, Ordering::SeqCst);
    // The connection is idle; it ends because the answer that comes by itself says so.
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection goes on");
    assert_eq!(responder.asked.load(Ordering::SeqCst), 2);
}
