//! A TLS server made of rustls alone, whose verdict on clients and whose manners a test chooses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use testkit::TestIdentity;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What it does with a client's certificate.
#[derive(Debug, Clone)]
pub(crate) enum Asks {
    AndTakesIt,
    AndRefusesIt(CertificateError),
    Nothing,
}

/// How it is.
#[derive(Debug, Clone)]
pub(crate) struct Manners {
    pub(crate) asks: Asks,
    pub(crate) tickets: usize,
    pub(crate) versions: &'static [&'static rustls::SupportedProtocolVersion],
    /// It ends the connection after the first bytes, without a word.
    pub(crate) breaks_off: bool,
    /// The OCSP response that it sends with its certificate, where there is one.
    pub(crate) staples: Vec<u8>,
}

pub(crate) const BOTH: &[&rustls::SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];
pub(crate) const ONLY_12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub(crate) const ONLY_13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

impl Default for Manners {
    fn default() -> Self {
        Manners { asks: Asks::AndTakesIt, tickets: 2, versions: BOTH, breaks_off: false, staples: Vec::new() }
    }
}

/// Sends back what it gets, in capitals.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The octets of application data it has seen.
    pub(crate) seen: Arc<AtomicU64>,
}

impl Peer {
    pub(crate) async fn start(identity: &TestIdentity, manners: Manners) -> Peer {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = identity.chain_der().into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.pkcs8_der().to_vec()));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(manners.versions)
            .unwrap();
        let builder = match &manners.asks {
            Asks::Nothing => builder.with_no_client_auth(),
            asks => builder.with_client_cert_verifier(Arc::new(Judge { asks: asks.clone(), provider })),
        };
        let mut config = builder.with_single_cert_with_ocsp(chain, key, manners.staples.clone()).unwrap();
        config.send_tls13_tickets = manners.tickets;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                    let mut buffer = vec![0; 16 * 1024];
                    loop {
                        match stream.read(&mut buffer).await {
                            Ok(0) => {
                                let _ = stream.shutdown().await;
                                return;
                            }
                            Err(_) => return,
                            Ok(read) => {
                                count.fetch_add(read as u64, Ordering::Relaxed);
                                let answer = buffer[..read].to_ascii_uppercase();
                                if stream.write_all(&answer).await.is_err() || manners.breaks_off {
                                    // Flushed, and then dropped without close_notify.
                                    let _ = stream.flush().await;
                                    return;
                                }
                                let _ = stream.flush().await;
                            }
                        }
                    }
                });
            }
        });
        Peer { address, seen }
    }

    pub(crate) fn target(&self) -> net::tunnel::Target {
        format!("localhost:{}", self.address.port()).parse().unwrap()
    }
}

#[derive(Debug)]
struct Judge {
    asks: Asks,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Judge {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match &self.asks {
            Asks::AndRefusesIt(error) => Err(error.clone().into()),
            _ => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
