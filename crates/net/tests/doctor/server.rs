//! Servers of the zoo: right ones that judge clients as OpenSSL does, and such that speak no TLS at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use pki::Certificate;
use pki::verify::{Purpose, ReasonCode, Rules, TrustBundle, verify};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use testkit::faults::{Answer, Asks, Pair, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Runs a pair's server in the background; gives its port.
pub(crate) async fn of_pair(pair: &Pair, version: &str) -> u16 {
    let acceptor = TlsAcceptor::from(Arc::new(config(pair, version)));
    let answer = pair.answer;
    let wants_p256_first = pair.wants_p256_first;
    listen(move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            if wants_p256_first && !offers_p256_and_p384_alone(&stream).await {
                // handshake_failure (40).
                let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await;
                return;
            }
            serve(acceptor, stream, answer).await;
        }
    })
    .await
}

/// Whether supported_groups (RFC 8446 section 4.2.7) of the ClientHello to come are secp256r1 and secp384r1.
async fn offers_p256_and_p384_alone(stream: &TcpStream) -> bool {
    let mut first = vec![0; 4096];
    let seen = stream.peek(&mut first).await.unwrap_or(0);
    first[..seen].windows(10).any(|octets| octets == [0, 10, 0, 6, 0, 4, 0, 23, 0, 24])
}

/// The same behind a device that drops a first flight of more octets than these.
pub(crate) async fn behind_a_device(pair: &Pair, version: &str, most: usize) -> u16 {
    let acceptor = TlsAcceptor::from(Arc::new(config(pair, version)));
    let answer = pair.answer;
    listen(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut first = vec![0; 4096];
            let seen = stream.peek(&mut first).await.unwrap_or(0);
            if seen <= most {
                serve(acceptor, stream, answer).await;
            }
        }
    })
    .await
}

/// Runs something that is no right TLS server.
pub(crate) async fn of_wire(wire: &Wire) -> u16 {
    let wire = wire.clone();
    listen(move |mut stream| {
        let wire = wire.clone();
        async move {
            let mut first = vec![0; 4096];
            let _ = stream.read(&mut first).await;
            match wire {
                Wire::Bytes(bytes) => drop(stream.write_all(&bytes).await),
                // A record of the type alert (RFC 8446 section 5.1), fatal.
                Wire::Alert(alert) => drop(stream.write_all(&[21, 3, 3, 0, 2, 2, alert]).await),
                Wire::Reset => drop(stream.set_zero_linger()),
                Wire::RefusingProxy => drop(stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await),
                Wire::Silence => drop(stream.read(&mut first).await),
                Wire::Close | Wire::DropsLargeHello(_) | Wire::SpokenToInPlain => {}
            }
        }
    })
    .await
}

/// Takes connections, says these octets and no more, and keeps them open.
pub(crate) async fn silent_after(octets: &'static [u8]) -> u16 {
    listen(move |mut stream| async move {
        let _ = stream.write_all(octets).await;
        let mut chunk = [0; 4096];
        while matches!(stream.read(&mut chunk).await, Ok(1..)) {}
    })
    .await
}

/// A right server that finishes the handshake, reads the request, and never answers.
pub(crate) async fn without_an_answer(pair: &Pair, version: &str) -> u16 {
    let acceptor = TlsAcceptor::from(Arc::new(config(pair, version)));
    listen(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut chunk = [0; 4096];
            while matches!(stream.read(&mut chunk).await, Ok(1..)) {}
        }
    })
    .await
}

/// How many connections each port has taken.
static TAKEN: Mutex<BTreeMap<u16, usize>> = Mutex::new(BTreeMap::new());

/// How many connections this port has taken.
pub(crate) fn taken(port: u16) -> usize {
    TAKEN.lock().unwrap().get(&port).copied().unwrap_or(0)
}

async fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            *TAKEN.lock().unwrap().entry(port).or_default() += 1;
            tokio::spawn(serve(stream));
        }
    });
    port
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, answer: Answer) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&chunk[..count]),
        }
    }
    let date = testkit::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let text = format!(
        "HTTP/1.1 {} X\r\nDate: {date}\r\n{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
        answer.status,
        answer.header,
        answer.body.len(),
        answer.body
    );
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn config(pair: &Pair, version: &str) -> ServerConfig {
    let mut provider = aws_lc_rs::default_provider();
    if pair.only_group == Some("x25519") {
        provider.kx_groups = vec![kx_group::X25519];
    }
    let versions: &[&rustls::SupportedProtocolVersion] =
        if version == "1.2" { &[&rustls::version::TLS12] } else { &[&rustls::version::TLS13] };
    let verifier: Arc<dyn ClientCertVerifier> = match &pair.asks {
        None => Arc::new(NoClientAuth),
        Some(asks) => Arc::new(Judge::new(asks)),
    };
    let ders = pair.served.clone().unwrap_or_else(|| pair.server.chain_der());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.server.key.pkcs8_der().to_vec()));
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let mut certified = CertifiedKey::new(ders.into_iter().map(CertificateDer::from).collect(), key);
    certified.ocsp = pair.stapled.clone();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Fixed(Arc::new(certified))));
    if let Some(protocol) = pair.only_protocol {
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    }
    config
}

#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A server's view of clients, with OpenSSL's choice of alerts.
#[derive(Debug)]
struct Judge {
    names: Vec<DistinguishedName>,
    trust: TrustBundle,
    crls: Vec<pki::crl::CertificateRevocationList>,
    schemes: Vec<SignatureScheme>,
    required: bool,
    alert: Option<u8>,
}

impl Judge {
    fn new(asks: &Asks) -> Self {
        let all = aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes();
        let named = |scheme: &SignatureScheme| {
            asks.schemes.is_none_or(|names| {
                let name = match *scheme {
                    SignatureScheme::RSA_PSS_SHA256 => "rsa_pss_rsae_sha256",
                    SignatureScheme::RSA_PKCS1_SHA256 => "rsa_pkcs1_sha256",
                    _ => "",
                };
                names.contains(&name)
            })
        };
        Judge {
            names: asks.names.iter().map(|der| DistinguishedName::in_sequence(inner(der))).collect(),
            trust: TrustBundle::new(asks.anchors.clone()),
            crls: asks.crls.clone(),
            schemes: all.into_iter().filter(named).collect(),
            required: asks.required,
            alert: asks.alert,
        }
    }

    fn judge(&self, end_entity: &[u8], intermediates: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let alert = |alert: u8| match alert {
            47 => rustls::Error::PeerMisbehaved(rustls::PeerMisbehaved::InvalidCertCompression),
            44 => CertificateError::Revoked.into(),
            45 => CertificateError::Expired.into(),
            43 => CertificateError::InvalidPurpose.into(),
            48 => CertificateError::UnknownIssuer.into(),
            51 => CertificateError::BadSignature.into(),
            42 => CertificateError::BadEncoding.into(),
            _ => rustls::Error::from(CertificateError::Other(rustls::OtherError(Arc::new(Unspecified)))),
        };
        if let Some(fixed) = self.alert {
            return Err(alert(fixed));
        }
        let leaf = Certificate::from_der(end_entity).map_err(|_| alert(42))?;
        let rest: Vec<Certificate> =
            intermediates.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
        let rules = Rules { crls: &self.crls, ..Rules::new(&self.trust, Purpose::Client, testkit::now()) };
        verify(&leaf, &rest, &rules).map(drop).map_err(|refusal| {
            alert(match refusal.first().code {
                ReasonCode::CertificateExpired | ReasonCode::CrlExpired => 45,
                ReasonCode::CertificateRevoked => 44,
                ReasonCode::WrongPurpose | ReasonCode::KeyUsage => 43,
                ReasonCode::SignatureInvalid => 51,
                ReasonCode::CertificateNotYetValid | ReasonCode::WeakKey => 42,
                ReasonCode::NameConstraintsViolated => 46,
                _ => 48,
            })
        })
    }
}

/// The content of a SEQUENCE of at most 127 octets, or of a longer one.
fn inner(der: &[u8]) -> &[u8] {
    let header = if der[1] < 0x80 { 2 } else { 2 + usize::from(der[1] & 0x7f) };
    &der[header..]
}

#[derive(Debug)]
struct Unspecified;

impl std::fmt::Display for Unspecified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("unspecified")
    }
}

impl std::error::Error for Unspecified {}

impl ClientCertVerifier for Judge {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
    }

    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
