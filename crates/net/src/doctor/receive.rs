//! Waiting for one connection of a failing client, and judging it: the other side of the doctor. The handshake is done
//! with our certificate, whatever client comes is asked for a certificate and none is refused, so that all of it is
//! seen; nothing but a short answer is sent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use explain::capture::Transcript;
use explain::finding::Sender;
use pki::verify::TrustBundle;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::record::Recorder;
use crate::tls::{Credentials, provider, signatures};

/// How long a client is given for its handshake and request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes one connection that says something and records it. `names` go into the CertificateRequest.
///
/// # Errors
/// Where the listener fails, or the settings make no server.
pub async fn receive(
    listener: &TcpListener,
    credentials: &Credentials,
    names: &TrustBundle,
) -> io::Result<Transcript> {
    let config = config(credentials, names).map_err(io::Error::other)?;
    let server = listener.local_addr()?.to_string();
    let (stream, peer) = listener.accept().await?;
    let recorder = Recorder::start(&peer.to_string(), &server, None);
    let mut config = config;
    config.key_log = Arc::new(recorder.clone());
    let recorded = Recorded { stream, recorder: recorder.clone() };
    let exchange = async {
        let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(recorded).await else { return };
        let mut chunk = [0; 4096];
        // A request, or the refusal of our certificate that comes in its place.
        if matches!(stream.read(&mut chunk).await, Ok(1..)) {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nexamined.\r\n";
            let _ = stream.write_all(answer).await;
        }
        let _ = stream.shutdown().await;
        let _ = timeout(Duration::from_millis(500), stream.read(&mut chunk)).await;
    };
    let _ = timeout(PATIENCE, exchange).await;
    Ok(recorder.transcript())
}

fn config(credentials: &Credentials, names: &TrustBundle) -> Result<ServerConfig, rustls::Error> {
    // A name is kept with its SEQUENCE's header; rustls writes it again.
    let subjects = names.anchors().iter().map(|anchor| anchor.subject().der());
    let names = subjects.map(|der| DistinguishedName::in_sequence(content(der))).collect();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(Anybody { names }))
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(
            credentials.certified().as_ref().clone(),
        )));
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    Ok(config)
}

/// The content of a DER SEQUENCE.
fn content(der: &[u8]) -> &[u8] {
    let header = match der.get(1) {
        Some(length) if *length >= 0x80 => 2 + usize::from(length & 0x7f),
        _ => 2,
    };
    der.get(header..).unwrap_or_default()
}

/// Asks every client for a certificate and refuses none: what is wrong with it is said afterwards, by the engine.
#[derive(Debug)]
struct Anybody {
    names: Vec<DistinguishedName>,
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        signatures::verify_tls12(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        signatures::verify_tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signatures::schemes()
    }
}

/// A connection whose bytes are taken down as they pass.
struct Recorded {
    stream: tokio::net::TcpStream,
    recorder: Recorder,
}

mod recorded {
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use explain::capture::What;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{Recorded, Sender, io};

    impl AsyncRead for Recorded {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let before = buffer.filled().len();
            let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
            match &result {
                Ok(()) if buffer.filled().len() == before => {
                    self.recorder.ended(Sender::Client, What::Closed)
                }
                Ok(()) => self.recorder.bytes(Sender::Client, &buffer.filled()[before..]),
                Err(_) => self.recorder.ended(Sender::Client, What::Reset),
            }
            Poll::Ready(result)
        }
    }

    impl AsyncWrite for Recorded {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
            self.recorder.bytes(Sender::Server, &bytes[..written]);
            Poll::Ready(Ok(written))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }
}
