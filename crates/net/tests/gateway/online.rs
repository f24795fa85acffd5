//! Clients whose certificates are asked about one by one (OCSP): good, revoked before, revoked while connected, and what
//! it means where no answer comes or none can be believed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use net::fetch::FetchError;
use net::revocation::{Online, OnlineMode};
use net::serve::{Handler, Limits, Options as ServeOptions};
use net::snapshot::{RefusedClients, Snapshot};
use net::url::Url;
use pki::crl::{Revocation, RevocationReason};
use pki::ocsp::{CertStatus, Request, SingleResponse, prepare};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, HandshakeKind};
use testkit::{TestCa, TestIdentity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::common::*;
use crate::resumption::{VERSIONS, keeper, visit};

/// What the responder does.
#[derive(Clone)]
enum Manner {
    Says(CertStatus),
    /// Good until this many seconds from the tests' moment.
    GoodFor(i64),
    /// Signs with a key that nobody gave it.
    Forges,
    Repeats(Vec<u8>),
    /// Says so instead of an answer (RFC 6960 section 2.3).
    TriesLater,
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
            let der = match manner {
                Manner::TriesLater => vec![0x30, 0x03, 0x0a, 0x01, 0x03],
                _ => prepared.sign(&signer.key).unwrap(),
            };
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

/// What a client hears where no answer speaks for it: the alert, by its number, and the code and alert in the log.
async fn refused(
    server: &TestServer,
    client: &net::fetch::Options,
) -> (Option<u8>, &'static str, Option<u8>) {
    let error = get(server, "/", client).await.unwrap_err();
    let heard = match &error {
        FetchError::Handshake(failure) => failure.alert_received,
        FetchError::RefusedLater { alert, .. } => Some(*alert),
        other => panic!("{other}"),
    };
    let record = server.refusal().await;
    (heard, record.finding.code.name(), record.alert_sent)
}

#[tokio::test]
async fn each_answer_and_the_lack_of_one_has_its_alert_and_its_name_in_each_mode_and_version() {
    const CERTIFICATE_REVOKED: u8 = 44;
    const UNKNOWN_CA: u8 = 48;
    let revocation = Some(("certificate_revoked", CERTIFICATE_REVOKED));
    let invalid = Some(("ocsp_invalid", UNKNOWN_CA));
    let unavailable = Some(("ocsp_unavailable", UNKNOWN_CA));
    let ca = TestCa::new();
    let cases = [
        (Manner::Says(CertStatus::Good), None, None),
        (Manner::Says(revoked()), revocation, revocation),
        (Manner::Says(CertStatus::Unknown), None, invalid),
        (Manner::GoodFor(-60), None, invalid),
        (Manner::Forges, None, invalid),
        (Manner::Repeats(b"a nonce of before".to_vec()), None, invalid),
        (Manner::TriesLater, None, unavailable),
        (Manner::Breaks, None, unavailable),
        (Manner::Hangs, None, unavailable),
    ];
    for (number, (manner, soft, hard)) in cases.into_iter().enumerate() {
        for (mode, expected) in [(OnlineMode::Soft, soft), (OnlineMode::Hard, hard)] {
            for version in [TLS13, TLS12] {
                let mut alice = client(&ca, Some(&ca.issue_client("alice")));
                alice.tls.versions = version;
                let responder = responder(ca.issuing(), manner.clone()).await;
                let server = TestServer::start(asking(&ca, &responder, mode), Handler::Identity).await;
                let case = format!("case {number}, {mode:?}, {version:?}");
                match expected {
                    None => assert_eq!(get(&server, "/", &alice).await.unwrap().status(), 200, "{case}"),
                    Some((code, alert)) => {
                        let expected = (Some(alert), code, Some(alert));
                        assert_eq!(refused(&server, &alice).await, expected, "{case}");
                    }
                }
                assert_eq!(responder.asked.load(Ordering::SeqCst), 1, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn who_presents_a_certificate_without_its_key_has_nobody_asked() {
    let ca = TestCa::new();
    let (alice, mallory) = (ca.issue_client("alice"), ca.issue_client("mallory"));
    let responder = responder(ca.issuing(), Manner::Says(CertStatus::Good)).await;
    let server = TestServer::start(asking(&ca, &responder, OnlineMode::Hard), Handler::Identity).await;
    let chain = alice.chain_der().into_iter().map(Into::into).collect();
    let key = credentials(&mallory).rustls_key();
    let stolen = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)));
    for version in VERSIONS {
        let mut config = ClientConfig::clone(&keeper(None, version));
        config.client_auth_cert_resolver = stolen.clone();
        assert_eq!(visit(&server, &Arc::new(config), "localhost").await.1, "", "{version:?}");
    }
    assert_eq!(responder.asked.load(Ordering::SeqCst), 0);
    assert_eq!(get(&server, "/", &client(&ca, Some(&alice))).await.unwrap().status(), 200);
    assert_eq!(responder.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_person_is_told_by_the_page_of_refusal_where_the_listener_has_one() {
    let ca = TestCa::new();
    for (manner, code) in
        [(Manner::Says(revoked()), "certificate_revoked"), (Manner::Breaks, "ocsp_unavailable")]
    {
        let responder = responder(ca.issuing(), manner).await;
        let mut snapshot = asking(&ca, &responder, OnlineMode::Hard);
        snapshot.refused_clients = RefusedClients::Page;
        let server = TestServer::start(snapshot, Handler::Identity).await;
        let response = get(&server, "/", &client(&ca, Some(&ca.issue_client("alice")))).await.unwrap();
        assert_eq!(response.status(), 403);
        let body = text(response).await;
        assert!(body.starts_with(code), "{body}");
        assert_eq!(server.refusal().await.finding.code.name(), code);
    }
}

#[tokio::test]
async fn a_ticket_is_no_way_around_an_answer_that_came_later() {
    use std::sync::atomic::AtomicI64;
    static LATER: AtomicI64 = AtomicI64::new(0);
    fn clock() -> jiff::Timestamp {
        testkit::now() + jiff::SignedDuration::from_secs(LATER.load(Ordering::SeqCst))
    }
    for version in VERSIONS {
        LATER.store(0, Ordering::SeqCst);
        let ca = TestCa::new();
        let alice = ca.issue_client("alice");
        let responder = responder(ca.issuing(), Manner::Says(CertStatus::Good)).await;
        let server =
            TestServer::start_at(asking(&ca, &responder, OnlineMode::Soft), Handler::Identity, clock).await;
        let config = keeper(Some(&alice), version);
        assert_eq!(visit(&server, &config, "localhost").await.0, Some(HandshakeKind::Full));
        let (kind, answer) = visit(&server, &config, "localhost").await;
        assert_eq!(kind, Some(HandshakeKind::Resumed), "{version:?}");
        assert!(answer.contains("hello, alice"), "{answer}");
        *responder.manner.lock().unwrap() = Manner::Says(revoked());
        LATER.store(600, Ordering::SeqCst);
        // Another connection has the answer asked for again; from then on the ticket is none.
        let _ = visit(&server, &config, "localhost").await;
        while responder.asked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        while visit(&server, &config, "localhost").await.1.contains("hello, alice") {}
        assert!(!visit(&server, &config, "localhost").await.1.contains("hello"), "{version:?}");
        // A refusal is on record once its client has gone, and this one went at once.
        let heard = async {
            while !server.records(1).await.iter().any(|one| one.json()["alert_sent"]["number"] == 44) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), heard).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_comes_back_after_its_answer_has_ended_waits_for_the_next_one() {
    use std::sync::atomic::AtomicI64;
    static LATER: AtomicI64 = AtomicI64::new(0);
    fn clock() -> jiff::Timestamp {
        testkit::now() + jiff::SignedDuration::from_secs(LATER.load(Ordering::SeqCst))
    }
    let ca = TestCa::new();
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    let responder = responder(ca.issuing(), Manner::GoodFor(3600)).await;
    let server =
        TestServer::start_at(asking(&ca, &responder, OnlineMode::Hard), Handler::Identity, clock).await;
    assert_eq!(get(&server, "/", &alice).await.unwrap().status(), 200);
    *responder.manner.lock().unwrap() = Manner::GoodFor(3 * 3600);
    LATER.store(2 * 3600, Ordering::SeqCst);
    assert_eq!(get(&server, "/", &alice).await.unwrap().status(), 200, "it was refused by the old answer");
    assert_eq!(responder.asked.load(Ordering::SeqCst), 2);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_that_hangs_lets_no_more_than_a_bound_of_handshakes_wait_for_it() {
    const WAIT: usize = 256;
    const COME: usize = 280;
    let ca = TestCa::new();
    // It takes connections, says nothing, and breaks them all when it is dropped.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/ocsp", silent.local_addr().unwrap())).unwrap();
    let mut snapshot = snapshot(&ca);
    let long = Duration::from_secs(3600);
    snapshot.online = Some(Arc::new(Online::new(OnlineMode::Hard, Some(url), long)));
    let mut options = ServeOptions::new();
    options.clock = testkit::now;
    options.limits = Limits { handshake_timeout: long, ..Limits::default() };
    let server = Arc::new(TestServer::start_as(snapshot, Handler::Identity, options).await);
    let mut visits = tokio::task::JoinSet::new();
    for number in 0..COME {
        let mut client = client(&ca, Some(&ca.issue_client(&format!("client-{number}"))));
        client.connect_timeout = long;
        let server = Arc::clone(&server);
        visits.spawn(async move { get(&server, "/", &client).await.is_err() });
    }
    let in_time = async |visits: &mut tokio::task::JoinSet<bool>| {
        tokio::time::timeout(Duration::from_secs(60), visits.join_next()).await
    };
    for _ in WAIT..COME {
        assert!(in_time(&mut visits).await.expect("all wait").unwrap().unwrap(), "one was let in");
    }
    let record = server.refusal().await;
    assert_eq!(record.finding.code.name(), "ocsp_unavailable");
    drop(silent);
    for _ in 0..WAIT {
        assert!(in_time(&mut visits).await.expect("one waits on").unwrap().unwrap(), "one was let in");
    }
}
