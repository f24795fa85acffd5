//! Tickets as an attack: none lets anyone in who would not get in without.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use net::serve::{Handler, HostPattern, Route, Target, TcpUpstream, Upstream};
use pki::policy::{Policy, Rule};
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use testkit::{TestCa, TestIdentity, TestOrder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::common::*;

/// A client that keeps tickets and sessions, as rustls does by default.
pub(crate) fn keeper(
    identity: Option<&TestIdentity>,
    version: &'static rustls::SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer));
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = identity.chain_der().into_iter().map(Into::into).collect();
            let key = rustls::pki_types::PrivatePkcs8KeyDer::from(identity.key.pkcs8_der().to_vec());
            builder.with_client_auth_cert(chain, key.into()).unwrap()
        }
    })
}

/// One connection to `name` with one request: how the handshake went, and the answer; nothing where there was none.
pub(crate) async fn visit(
    server: &TestServer,
    config: &Arc<ClientConfig>,
    name: &'static str,
) -> (Option<HandshakeKind>, String) {
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
    let Ok(mut stream) = connector.connect(name.try_into().unwrap(), tcp).await else {
        return (None, String::new());
    };
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    if stream.write_all(request.as_bytes()).await.is_ok() {
        let _ = stream.read_to_string(&mut answer).await;
    }
    (stream.get_ref().1.handshake_kind(), answer)
}

pub(crate) const VERSIONS: [&rustls::SupportedProtocolVersion; 2] =
    [&rustls::version::TLS13, &rustls::version::TLS12];

#[tokio::test]
async fn a_client_resumes_and_is_still_who_it_was() {
    for version in VERSIONS {
        let ca = TestCa::new();
        let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
        let config = keeper(Some(&ca.issue_client("alice")), version);
        let (kind, answer) = visit(&server, &config, "localhost").await;
        assert!(kind == Some(HandshakeKind::Full) && answer.contains("hello, alice"), "{kind:?} {answer}");
        for _ in 0..3 {
            let (kind, answer) = visit(&server, &config, "localhost").await;
            assert_eq!(kind, Some(HandshakeKind::Resumed), "{version:?}");
            assert!(answer.contains("hello, alice"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_client_revoked_after_its_ticket_is_refused_at_the_handshake() {
    for version in VERSIONS {
        let ca = TestCa::new();
        let alice = ca.issue_client("alice");
        let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
        let config = keeper(Some(&alice), version);
        assert!(visit(&server, &config, "localhost").await.1.contains("hello, alice"));
        let mut revoked = snapshot(&ca);
        revoked.crls = vec![ca.current_crl(&[&alice.certificate])];
        server.replace(revoked);
        let (kind, answer) = visit(&server, &config, "localhost").await;
        assert_ne!(kind, Some(HandshakeKind::Resumed));
        assert_eq!(answer, "");
        let records = server.records(2).await;
        assert_eq!(records[1].json()["code"], "certificate_revoked", "{version:?}");
    }
}

#[tokio::test]
async fn a_client_whose_anchor_or_rule_is_gone_does_not_get_in_by_its_ticket() {
    for version in VERSIONS {
        let ca = TestCa::new();
        let config = keeper(Some(&ca.issue_client("alice")), version);
        let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
        assert!(visit(&server, &config, "localhost").await.1.contains("hello, alice"));
        let mut others_only = snapshot(&ca);
        others_only.policy = Policy::new(vec![Rule::parse("cn", "bob").unwrap()]);
        server.replace(others_only);
        let (kind, answer) = visit(&server, &config, "localhost").await;
        assert_eq!(kind, Some(HandshakeKind::Full));
        assert!(answer.contains("not_allowed_by_policy"), "{answer}");
        let other = TestCa::new().named("Other");
        let mut elsewhere = snapshot(&ca);
        elsewhere.trust = other.anchors();
        server.replace(elsewhere);
        let (_, answer) = visit(&server, &config, "localhost").await;
        assert_eq!(answer, "");
    }
}

/// The tests' clock, which this test alone turns.
mod turned {
    use std::sync::atomic::{AtomicI64, Ordering};

    static SECONDS: AtomicI64 = AtomicI64::new(0);

    pub(super) fn set(seconds: i64) {
        SECONDS.store(seconds, Ordering::Relaxed);
    }

    pub(super) fn now() -> jiff::Timestamp {
        testkit::now() + jiff::SignedDuration::from_secs(SECONDS.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn a_ticket_ends_with_the_certificate_it_stands_for() {
    for version in VERSIONS {
        turned::set(0);
        let ca = TestCa::new();
        let alice = ca.issue(TestOrder::client("alice"));
        let left = alice.certificate.not_after().as_second() - testkit::now().as_second();
        let server = TestServer::start_at(snapshot(&ca), Handler::Identity, turned::now).await;
        let config = keeper(Some(&alice), version);
        assert!(visit(&server, &config, "localhost").await.1.contains("hello, alice"));
        turned::set(left);
        assert_eq!(visit(&server, &config, "localhost").await.0, Some(HandshakeKind::Resumed));
        turned::set(left + 1);
        let (kind, answer) = visit(&server, &config, "localhost").await;
        assert_ne!(kind, Some(HandshakeKind::Resumed));
        assert_eq!(answer, "");
        let records = server.records(3).await;
        assert_eq!(records[2].json()["code"], "certificate_expired", "{version:?}");
    }
}

#[tokio::test]
async fn a_ticket_of_one_host_opens_no_other_and_one_without_a_certificate_stays_nobody() {
    for version in VERSIONS {
        let ca = TestCa::new();
        let mut both = snapshot(&ca);
        both.client_auth = net::snapshot::ClientAuth::Optional { allow_anonymous: false };
        let mut open = Route::everything(Arc::new(Handler::Identity));
        open.host = Some(HostPattern::parse("open.test").unwrap());
        open.without_certificate = Some(net::serve::WithoutCertificate::Allow);
        let closed = Route::everything(Arc::new(Handler::Identity));
        both.routes = vec![open, closed];
        let server = TestServer::start(both, Handler::Identity).await;
        let nobody = keeper(None, version);
        assert!(visit(&server, &nobody, "open.test").await.1.contains("hello, stranger"));
        let (kind, answer) = visit(&server, &nobody, "open.test").await;
        assert!(
            kind == Some(HandshakeKind::Resumed) && answer.contains("hello, stranger"),
            "{kind:?} {answer}"
        );
        // rustls keeps tickets by name, so the client is made to offer one host's ticket to the other.
        let tcp = TcpStream::connect(server.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&nobody));
        let mut stream = connector.connect("open.test".try_into().unwrap(), tcp).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: closed.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("no_client_certificate"), "{answer}");
    }
}

#[derive(Debug)]
pub(crate) struct AnyServer;

impl rustls::client::danger::ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A client that says its first words in the flight of its Finished.
struct Hasty {
    tcp: TcpStream,
    tls: ClientConnection,
}

impl Hasty {
    async fn connect(server: &TestServer, config: &Arc<ClientConfig>, words: &[u8]) -> Self {
        let tcp = TcpStream::connect(server.address).await.unwrap();
        let tls = ClientConnection::new(Arc::clone(config), "localhost".try_into().unwrap()).unwrap();
        let mut hasty = Hasty { tcp, tls };
        hasty.say(words).await;
        while hasty.tls.is_handshaking() {
            hasty.hear().await;
            hasty.say(b"").await;
        }
        hasty
    }

    async fn say(&mut self, words: &[u8]) {
        self.tls.writer().write_all(words).unwrap();
        let mut flight = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut flight).unwrap();
        }
        self.tcp.write_all(&flight).await.unwrap();
    }

    /// What one read brings.
    async fn hear(&mut self) -> String {
        let mut octets = vec![0; 64 * 1024];
        let count = self.tcp.read(&mut octets).await.unwrap();
        assert!(count > 0, "the server ended the connection");
        let mut rest = &octets[..count];
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest).unwrap();
            self.tls.process_new_packets().unwrap();
        }
        let mut heard = String::new();
        // An open connection without more to read is an error to `Read`.
        let _ = self.tls.reader().read_to_string(&mut heard);
        heard
    }
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn tickets_come_with_the_answer_to_a_client_that_asked() {
    for tcp in [false, true] {
        let ca = TestCa::new();
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = service.local_addr().unwrap();
        let answering = tokio::spawn(async move {
            let (mut stream, _) = service.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n").await.unwrap();
            stream
        });
        let handler = match tcp {
            true => {
                let target = Target::parse(&format!("tcp://{address}")).unwrap();
                Handler::Tcp(TcpUpstream::new(vec![target]).unwrap())
            }
            false => Handler::Upstream(Upstream::parse(&format!("http://{address}")).unwrap()),
        };
        let server = TestServer::start(snapshot(&ca), handler).await;
        let config = keeper(Some(&ca.issue_client("alice")), &rustls::version::TLS13);
        let mut client = Hasty::connect(&server, &config, REQUEST).await;
        let heard = client.hear().await;
        assert!(heard.ends_with("ok\n"), "{heard:?}");
        assert_eq!(client.tls.tls13_tickets_received(), 1, "in one flight, tcp: {tcp}");
        drop(answering.await.unwrap());
    }
}

#[tokio::test]
async fn a_silent_service_does_not_keep_tickets_from_a_client() {
    let ca = TestCa::new();
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("tcp://{}", service.local_addr().unwrap())).unwrap();
    let server =
        TestServer::start(snapshot(&ca), Handler::Tcp(TcpUpstream::new(vec![target]).unwrap())).await;
    let config = keeper(Some(&ca.issue_client("alice")), &rustls::version::TLS13);
    let mut talks = Hasty::connect(&server, &config, b"one").await;
    let (mut heard, _) = service.accept().await.unwrap();
    let mut octets = [0; 3];
    heard.read_exact(&mut octets).await.unwrap();
    talks.say(b"two").await;
    talks.hear().await;
    assert_eq!(talks.tls.tls13_tickets_received(), 1, "it only talks");
    let mut listens = Hasty::connect(&server, &config, b"").await;
    listens.hear().await;
    assert_eq!(listens.tls.tls13_tickets_received(), 1, "it only listens");
}
