//! The tunnel against servers of every manner: whom it believes, what the local side hears, and when.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use explain::FindingCode;
use net::dial::TlsOptions;
use net::tls::server_verifier::ServerIdentity;
use net::tunnel::{
    Handle, Limits, ListenAddress, LocalListener, Options, Outcome, Settings, Target, TunnelRecord, run,
};
use pki::policy::{Policy, Rule};
use rustls::CertificateError;
use testkit::{TestCa, TestOrder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::common::{credentials, expectation};
use super::peer::{Asks, BOTH, Manners, ONLY_12, ONLY_13, Peer};

/// An authority, a server for localhost, and a tunnel to it.
struct Tunnel {
    address: SocketAddr,
    handle: Handle,
    records: Arc<Mutex<Vec<TunnelRecord>>>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<u32>,
}

/// The settings of alice's tunnel.
fn settings(ca: &TestCa, targets: Vec<Target>) -> Settings {
    let mut tls = TlsOptions::new(expectation(ca));
    tls.credentials = Some(credentials(&ca.issue_client("alice")));
    Settings::new(targets, tls)
}

impl Tunnel {
    async fn start(settings: Settings) -> Tunnel {
        Tunnel::start_with(settings, Limits::default()).await
    }

    async fn start_with(settings: Settings, limits: Limits) -> Tunnel {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handle = Handle::new(settings);
        let records = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&records);
        let options = Options {
            limits,
            clock: testkit::now,
            pulse: std::sync::Arc::default(),
            log: Arc::new(move |record| log.lock().unwrap().push(record.clone())),
        };
        let (stop, stopped) = oneshot::channel();
        let listeners = vec![LocalListener::tcp(listener)];
        let running = tokio::spawn(run(listeners, handle.clone(), options, async {
            let _ = stopped.await;
        }));
        Tunnel { address, handle, records, stop, running }
    }

    /// Says something, ends its side, and gives back what it hears until the other end.
    async fn say(&self, text: &str) -> std::io::Result<String> {
        let mut local = TcpStream::connect(self.address).await?;
        local.write_all(text.as_bytes()).await?;
        local.shutdown().await?;
        let mut heard = String::new();
        local.read_to_string(&mut heard).await?;
        Ok(heard)
    }

    async fn record(&self) -> TunnelRecord {
        let started = Instant::now();
        loop {
            if let Some(record) = self.records.lock().unwrap().first() {
                return record.clone();
            }
            assert!(started.elapsed() < Duration::from_secs(20), "no record");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The local side hears a reset, and the record says why.
    async fn is_refused(&self) -> (FindingCode, TunnelRecord) {
        let mut local = TcpStream::connect(self.address).await.unwrap();
        // It may be reset before this is written, which is the same to it.
        let _ = local.write_all(b"hello").await;
        let mut byte = [0];
        let error = local.read(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let record = self.record().await;
        match &record.outcome {
            Outcome::Failed(finding) => (finding.code, record),
            other => panic!("{other:?}"),
        }
    }
}

fn rules(rules: &[(&'static str, &str)]) -> Policy {
    Policy::recognising(rules.iter().map(|(kind, text)| Rule::parse(kind, text).unwrap()).collect())
}

#[tokio::test]
async fn bytes_go_both_ways_whatever_the_version_and_whether_or_not_the_server_sends_tickets() {
    let ca = TestCa::new();
    let server = ca.issue_server(&["localhost"]);
    for (versions, tickets) in [(ONLY_12, 0), (ONLY_13, 2), (ONLY_13, 0)] {
        let peer = Peer::start(&server, Manners { versions, tickets, ..Manners::default() }).await;
        let limits = Limits { patience: Duration::from_millis(50), ..Limits::default() };
        let tunnel = Tunnel::start_with(settings(&ca, vec![peer.target()]), limits).await;
        assert_eq!(tunnel.say("hello").await.unwrap(), "HELLO");
        let record = tunnel.record().await;
        assert_eq!(record.outcome, Outcome::Closed, "{}", record.text());
        assert_eq!((record.sent, record.received), (5, 5));
        assert_eq!(record.server.as_deref(), Some("localhost"));
        assert_eq!(record.json()["verdict"], "SUCCESS");
    }
}

#[tokio::test]
async fn much_goes_through_in_both_directions_at_once() {
    let ca = TestCa::new();
    let peer = Peer::start(&ca.issue_server(&["localhost"]), Manners::default()).await;
    let tunnel = Tunnel::start(settings(&ca, vec![peer.target()])).await;
    let sent = "0123456789abcdef".repeat(256 * 1024);
    let (mut from, mut to) = TcpStream::connect(tunnel.address).await.unwrap().into_split();
    let writing = sent.clone();
    let writer = tokio::spawn(async move {
        to.write_all(writing.as_bytes()).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut heard = String::new();
    from.read_to_string(&mut heard).await.unwrap();
    writer.await.unwrap();
    assert!(heard == sent.to_ascii_uppercase(), "{} of {} bytes", heard.len(), sent.len());
}

#[tokio::test]
async fn a_refusal_after_finished_resets_the_local_side_before_the_server_saw_a_byte() {
    let ca = TestCa::new();
    let server = ca.issue_server(&["localhost"]);
    for versions in [ONLY_13, ONLY_12] {
        let asks = Asks::AndRefusesIt(CertificateError::Revoked);
        let peer = Peer::start(&server, Manners { asks, versions, ..Manners::default() }).await;
        let tunnel = Tunnel::start(settings(&ca, vec![peer.target()])).await;
        let (code, record) = tunnel.is_refused().await;
        assert_eq!(code, FindingCode::CertificateRevoked, "{}", record.text());
        assert_eq!((record.sent, peer.seen.load(Ordering::Relaxed)), (0, 0));
        assert!(record.text().contains("FAILED:certificate_revoked"), "{}", record.text());
    }
}

#[tokio::test]
async fn half_an_answer_is_not_taken_for_a_whole_one() {
    let ca = TestCa::new();
    let manners = Manners { breaks_off: true, ..Manners::default() };
    let peer = Peer::start(&ca.issue_server(&["localhost"]), manners).await;
    let tunnel = Tunnel::start(settings(&ca, vec![peer.target()])).await;
    let mut local = TcpStream::connect(tunnel.address).await.unwrap();
    local.write_all(b"hello").await.unwrap();
    let mut heard = Vec::new();
    let error = local.read_to_end(&mut heard).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(matches!(tunnel.record().await.outcome, Outcome::Failed(finding)
        if finding.code == FindingCode::ClosedWithoutAlert));
}

#[tokio::test]
async fn the_server_is_known_by_its_name_and_without_rules_by_nothing_else() {
    let ca = TestCa::new();
    let order = TestOrder::server(&["other.test"])
        .unit("Data")
        .name(pki::name::GeneralName::Uri("spiffe://acme.test/ns/prod/sa/db".to_owned()));
    let peer = Peer::start(&ca.issue(order), Manners::default()).await;
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings(&ca, vec![peer.target()]);
        change(&mut settings);
        settings
    };
    let name = Some("other.test".parse_name());
    let refused = [
        with(&|_| {}),
        with(&|s| s.tls.expectation.identity = ServerIdentity::Rules(Policy::default())),
        with(&|s| s.tls.expectation.identity = ServerIdentity::Rules(rules(&[("dns", "localhost")]))),
        with(&|s| {
            s.tls.expectation.identity = ServerIdentity::HostNameAndRules(rules(&[("ou", "Data")]));
        }),
        with(&|s| {
            s.server_name = name.clone();
            s.tls.expectation.identity = ServerIdentity::HostNameAndRules(rules(&[("ou", "Web")]));
        }),
    ];
    let codes = [FindingCode::NameMismatch, FindingCode::NotAllowedByPolicy];
    for (index, settings) in refused.into_iter().enumerate() {
        let (code, record) = Tunnel::start(settings).await.is_refused().await;
        assert!(codes.contains(&code), "{index}: {}", record.text());
        assert_eq!(peer.seen.load(Ordering::Relaxed), 0, "{index}");
    }
    let believed = [
        with(&|s| s.server_name = name.clone()),
        with(&|s| s.tls.expectation.identity = ServerIdentity::Rules(rules(&[("dns", "other.test")]))),
        with(&|s| {
            let policy = rules(&[("cn", "x"), ("uri", "spiffe://acme.test/ns/*/sa/db")]);
            s.tls.expectation.identity = ServerIdentity::Rules(policy);
        }),
        with(&|s| {
            s.server_name = name.clone();
            s.tls.expectation.identity = ServerIdentity::HostNameAndRules(rules(&[("ou", "Data")]));
        }),
    ];
    for settings in believed {
        assert_eq!(Tunnel::start(settings).await.say("hello").await.unwrap(), "HELLO");
    }
}

#[tokio::test]
async fn a_denial_names_the_rules_in_the_words_of_the_flags() {
    let ca = TestCa::new();
    let peer = Peer::start(&ca.issue_server(&["localhost"]), Manners::default()).await;
    let mut settings = settings(&ca, vec![peer.target()]);
    settings.tls.expectation.identity = ServerIdentity::Rules(rules(&[("dns", "db.test"), ("ou", "Data")]));
    let (code, record) = Tunnel::start(settings).await.is_refused().await;
    assert_eq!(code, FindingCode::NotAllowedByPolicy);
    let text = record.text();
    assert!(text.contains("dns=localhost") && text.contains("verify-dns db.test, verify-ou Data"), "{text}");
}

#[tokio::test]
async fn a_server_of_a_foreign_authority_is_refused() {
    let ca = TestCa::new();
    let stranger = TestCa::new().named("Other").issue_server(&["localhost"]);
    let peer = Peer::start(&stranger, Manners::default()).await;
    let tunnel = Tunnel::start(settings(&ca, vec![peer.target()])).await;
    assert_eq!(tunnel.is_refused().await.0, FindingCode::UnknownIssuer);
}

#[tokio::test]
async fn a_server_that_never_asks_is_refused_on_demand() {
    let ca = TestCa::new();
    let manners = Manners { asks: Asks::Nothing, versions: BOTH, ..Manners::default() };
    let peer = Peer::start(&ca.issue_server(&["localhost"]), manners).await;
    let mut settings = settings(&ca, vec![peer.target()]);
    assert_eq!(Tunnel::start(settings.clone()).await.say("a").await.unwrap(), "A");
    settings.require_request = true;
    let code = Tunnel::start(settings).await.is_refused().await.0;
    assert_eq!(code, FindingCode::ClientCertificateNotRequested);
}

#[tokio::test]
async fn the_next_target_takes_over_where_the_first_is_down_or_will_not_have_us() {
    let ca = TestCa::new();
    let server = ca.issue_server(&["localhost"]);
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("127.0.0.1:{}", listener.local_addr().unwrap().port()).parse::<Target>().unwrap()
    };
    let asks = Asks::AndRefusesIt(CertificateError::UnknownIssuer);
    let unfriendly = Peer::start(&server, Manners { asks, ..Manners::default() }).await;
    let friendly = Peer::start(&server, Manners::default()).await;
    let targets = vec![closed.clone(), unfriendly.target(), friendly.target()];
    let tunnel = Tunnel::start(settings(&ca, targets)).await;
    assert_eq!(tunnel.say("hello").await.unwrap(), "HELLO");
    assert_eq!(tunnel.record().await.target, friendly.target().to_string());

    // Of those that all fail the one is told that came furthest, with the others behind it.
    let tunnel = Tunnel::start(settings(&ca, vec![closed.clone(), unfriendly.target()])).await;
    let (_, record) = tunnel.is_refused().await;
    assert_eq!(record.target, unfriendly.target().to_string());
    let text = record.text();
    assert!(text.contains(&format!("{closed} failed too: connection_refused")), "{text}");
}

#[tokio::test]
async fn a_live_connection_ends_when_its_server_is_revoked() {
    let ca = TestCa::new();
    let server = ca.issue_server(&["localhost"]);
    let peer = Peer::start(&server, Manners::default()).await;
    let first = settings(&ca, vec![peer.target()]);
    let tunnel = Tunnel::start(first.clone()).await;
    let mut local = TcpStream::connect(tunnel.address).await.unwrap();
    local.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    local.read_exact(&mut heard).await.unwrap();

    tunnel.handle.replace(first.clone());
    local.write_all(b"still").await.unwrap();
    local.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"STILL", "settings that believe the server change nothing for it");

    let mut revoking = first;
    revoking.tls.expectation.crls = vec![ca.current_crl(&[&server.certificate])];
    tunnel.handle.replace(revoking);
    let error = local.read(&mut heard).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(matches!(tunnel.record().await.outcome, Outcome::Failed(finding)
        if finding.code == FindingCode::CertificateRevoked));
}

#[tokio::test]
async fn a_tunnel_that_ends_lets_finish_what_runs_and_cuts_off_what_does_not() {
    let ca = TestCa::new();
    let peer = Peer::start(&ca.issue_server(&["localhost"]), Manners::default()).await;
    for (drain_timeout, cut_off) in [(Duration::from_secs(20), 0), (Duration::ZERO, 1)] {
        let limits = Limits { drain_timeout, ..Limits::default() };
        let tunnel = Tunnel::start_with(settings(&ca, vec![peer.target()]), limits).await;
        let mut local = TcpStream::connect(tunnel.address).await.unwrap();
        local.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        local.read_exact(&mut heard).await.unwrap();
        tunnel.stop.send(()).unwrap();
        if cut_off == 0 {
            local.write_all(b"still").await.unwrap();
            local.read_exact(&mut heard).await.unwrap();
            local.shutdown().await.unwrap();
        }
        assert_eq!(tunnel.running.await.unwrap(), cut_off);
        assert!(TcpStream::connect(tunnel.address).await.is_err(), "nothing listens any more");
    }
}

#[tokio::test]
async fn a_unix_socket_leads_through_as_well() {
    let ca = TestCa::new();
    let peer = Peer::start(&ca.issue_server(&["localhost"]), Manners::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = LocalListener::bind(&ListenAddress::Unix(path.clone())).await.unwrap();
    let handle = Handle::new(settings(&ca, vec![peer.target()]));
    let options = Options { clock: testkit::now, ..Options::default() };
    tokio::spawn(run(vec![listener], handle, options, std::future::pending()));
    let mut local = UnixStream::connect(&path).await.unwrap();
    local.write_all(b"hello").await.unwrap();
    local.shutdown().await.unwrap();
    let mut heard = String::new();
    local.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "HELLO");
}

trait ParseName {
    fn parse_name(&self) -> pki::name::ServerName;
}

impl ParseName for str {
    fn parse_name(&self) -> pki::name::ServerName {
        pki::name::ServerName::parse(self).unwrap()
    }
}
