//! The client's side of a handshake, and the stream after it. What the server asked for and sent is kept; and since a
//! TLS 1.3 client is done before the server has judged its certificate, so is the refusal that arrives later.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use explain::doctor::{
    Asked, Attempt, Direction, End, Facts, OwnSide, Program, Target, Variation, Weight, advised, diagnose,
};
use explain::finding::{Sender, from_alert};
use explain::{Fault, Finding, FindingCode};
use pki::name::{DistinguishedName, ServerName};
use rustls::client::{ClientSessionStore, ResolvesClientCert};
use rustls::sign::CertifiedKey;
use rustls::{KeyLog, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::Transport;
use super::Watched;
use crate::record::Recorder;
use crate::refusal;
use crate::tls::server_verifier::{Expectation, Served, ServerVerifier};
use crate::tls::{ClientParts, Credentials, Negotiated, TlsVersions, client_config};

/// What a client brings to a handshake.
#[derive(Clone)]
pub struct TlsOptions {
    /// What is expected of the server.
    pub expectation: Expectation,
    /// What is presented where the server asks.
    pub credentials: Option<Credentials>,
    /// The versions offered.
    pub versions: TlsVersions,
    /// Whether the post-quantum group is left out, so that the ClientHello fits one TCP segment.
    pub classical: bool,
    /// The application protocols offered, the preferred one first.
    pub alpn: Vec<Vec<u8>>,
    /// Where the secrets go, where they are wanted.
    pub key_log: Option<Arc<dyn KeyLog>>,
    /// Who takes down what passes.
    pub recorder: Option<Recorder>,
}

impl TlsOptions {
    /// A client without a certificate and ALPN.
    #[must_use]
    pub fn new(expectation: Expectation) -> Self {
        TlsOptions {
            expectation,
            credentials: None,
            versions: TlsVersions::default(),
            classical: false,
            alpn: Vec::new(),
            key_log: None,
            recorder: None,
        }
    }
}

/// What a server asks for in its CertificateRequest (RFC 8446 section 4.3.2, RFC 5246 section 7.4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The DER of the names of the CAs it accepts; none means that it does not say.
    pub authorities: Vec<Vec<u8>>,
    /// The signature schemes it accepts, in the names of the registry.
    pub signature_schemes: Vec<String>,
}

impl CertificateRequest {
    /// The names of the CAs as text; one that is not readable in hexadecimal.
    #[must_use]
    pub fn authority_names(&self) -> Vec<String> {
        let name = |der: &Vec<u8>| match DistinguishedName::from_der(der) {
            Ok(name) => name.to_string(),
            Err(_) => format!("unreadable: {}", pki::hex(der)),
        };
        self.authorities.iter().map(name).collect()
    }
}

/// What became known during a handshake, kept by rustls' callbacks.
#[derive(Debug)]
pub(crate) struct Memory {
    verifier: Arc<ServerVerifier>,
    resolver: Arc<Resolver>,
    credentials: Option<Credentials>,
    /// The first TLS error on the stream after the handshake.
    late: Mutex<Option<rustls::Error>>,
}

#[derive(Debug)]
struct Resolver {
    certified: Option<Arc<CertifiedKey>>,
    request: OnceLock<CertificateRequest>,
    sent: AtomicBool,
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.request.get_or_init(|| CertificateRequest {
            authorities: authorities.iter().map(|der| der.to_vec()).collect(),
            signature_schemes: schemes.iter().map(|scheme| scheme_name(*scheme)).collect(),
        });
        // Sent also where its issuer is not among those named: the list is often wrong, the server decides.
        let certified = self.certified.clone().filter(|key| key.key.choose_scheme(schemes).is_some());
        self.sent.store(certified.is_some(), Ordering::Relaxed);
        certified
    }

    fn has_certs(&self) -> bool {
        // True also without one, so that the request is always seen.
        true
    }
}

/// The registry's name of a scheme, such as `ecdsa_secp256r1_sha256`.
pub(crate) fn scheme_name(scheme: SignatureScheme) -> String {
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => "ecdsa_secp256r1_sha256".to_owned(),
        SignatureScheme::ECDSA_NISTP384_SHA384 => "ecdsa_secp384r1_sha384".to_owned(),
        SignatureScheme::ECDSA_NISTP521_SHA512 => "ecdsa_secp521r1_sha512".to_owned(),
        SignatureScheme::ECDSA_SHA1_Legacy => "ecdsa_sha1".to_owned(),
        SignatureScheme::RSA_PSS_SHA256 => "rsa_pss_rsae_sha256".to_owned(),
        SignatureScheme::RSA_PSS_SHA384 => "rsa_pss_rsae_sha384".to_owned(),
        SignatureScheme::RSA_PSS_SHA512 => "rsa_pss_rsae_sha512".to_owned(),
        other => match other.as_str() {
            Some(name) => name.to_ascii_lowercase().replace("ml_dsa_", "mldsa"),
            None => format!("0x{:04x}", u16::from(other)),
        },
    }
}

impl Memory {
    pub(crate) fn served(&self) -> Option<&Served> {
        self.verifier.served()
    }

    pub(crate) fn request(&self) -> Option<&CertificateRequest> {
        self.resolver.request.get()
    }

    pub(crate) fn sent_certificate(&self) -> bool {
        self.resolver.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn late_error(&self) -> Option<rustls::Error> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, error: &io::Error) {
        if let Some(tls) = refusal::tls_error(error) {
            self.late.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| tls.clone());
        }
    }

    /// What an alert of the server means, with all that is known of this handshake.
    pub(crate) fn explain_alert(&self, alert: u8, after_finished: bool) -> Finding {
        let sent = self.sent_certificate();
        let finding = from_alert(alert, Sender::Server, sent, after_finished);
        let Some(request) = self.request().filter(|_| !explain::alert::is_closure(alert)) else {
            return finding;
        };
        let mut attempt = Attempt::new(Variation::AsAsked, End::Alert { description: alert, after_finished });
        attempt.served = self.served().map(|served| served.chain.clone()).unwrap_or_default();
        attempt.sent_certificate = sent;
        attempt.request = Some(Asked {
            authorities: request.authorities.clone(),
            signature_schemes: request.signature_schemes.clone(),
        });
        let expectation = self.verifier.expectation();
        let facts = Facts {
            at: (expectation.clock)(),
            program: Program::default(),
            target: Target::new(self.verifier.expected().clone(), 443),
            own: OwnSide {
                chain: self.credentials.as_ref().map(|own| own.chain().to_vec()).unwrap_or_default(),
                can_sign: self.credentials.is_some(),
                anchors: expectation.anchors.anchors().to_vec(),
                trust_unknown: true,
                ..OwnSide::default()
            },
            attempts: vec![attempt],
            neighbours: Vec::new(),
        };
        // The server refused; what this side thinks of the server is another matter, and is told elsewhere.
        let judged = diagnose(&facts).findings.into_iter();
        let mut told = judged.filter(|ranked| {
            ranked.direction == Direction::ServerRefusedClient && ranked.weight != Weight::Warns
        });
        let found = told.next().map(|ranked| ranked.finding).unwrap_or(finding);
        // Its commands are for curl and a port that is not known here.
        advised(Finding { fix: None, alternative: None, ..found }, Direction::ServerRefusedClient)
    }
}

/// A handshake that failed, with what had become known until then.
#[derive(Debug, thiserror::Error)]
#[error("{}", finding.summary)]
pub struct HandshakeFailure {
    /// What it died of, and whose fault that is.
    pub finding: Finding,
    /// Whether it was this side that refused the server's certificate.
    pub server_refused_by_us: bool,
    /// The alert received.
    pub alert_received: Option<u8>,
    /// What the server had sent.
    pub served: Option<Served>,
    /// What the server had asked for.
    pub certificate_request: Option<CertificateRequest>,
    /// Whether a client certificate had been sent.
    pub sent_certificate: bool,
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct TlsStream {
    stream: tokio_rustls::client::TlsStream<Watched>,
    memory: Arc<Memory>,
    negotiated: Negotiated,
}

/// Does the client's side of a handshake with the server called `host`.
///
/// # Errors
/// [`HandshakeFailure`].
pub async fn handshake(
    transport: Transport,
    host: &ServerName,
    options: TlsOptions,
) -> Result<TlsStream, HandshakeFailure> {
    handshake_with(transport, host, options, None).await
}

pub(crate) async fn handshake_with(
    transport: Transport,
    host: &ServerName,
    options: TlsOptions,
    tickets: Option<Arc<dyn ClientSessionStore>>,
) -> Result<TlsStream, HandshakeFailure> {
    let verifier = Arc::new(ServerVerifier::new(options.expectation, host.clone()));
    let resolver = Arc::new(Resolver {
        certified: options.credentials.as_ref().map(|own| Arc::clone(own.certified())),
        request: OnceLock::new(),
        sent: AtomicBool::new(false),
    });
    let memory = Arc::new(Memory {
        verifier: Arc::clone(&verifier),
        resolver: Arc::clone(&resolver),
        credentials: options.credentials,
        late: Mutex::new(None),
    });
    let parts = ClientParts {
        verifier,
        resolver,
        versions: options.versions,
        classical: options.classical,
        alpn: options.alpn,
        key_log: options.key_log,
        tickets,
    };
    let config = client_config(parts).map_err(|error| failed(io::Error::other(error), &memory))?;
    let name = match host {
        ServerName::Ip(ip) => rustls::pki_types::ServerName::from(*ip),
        ServerName::Dns(name) => rustls::pki_types::ServerName::try_from(name.clone())
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error), &memory))?,
    };
    let connect =
        TlsConnector::from(Arc::new(config)).connect(name, Watched::new(transport, options.recorder));
    let done = if memory.credentials.as_ref().is_some_and(Credentials::sign_elsewhere) {
        elsewhere(connect.into_fallible()).await.ok_or_else(|| {
            failed(io::Error::other("there is no thread for a key that is elsewhere"), &memory)
        })?
    } else {
        connect.into_fallible().await
    };
    match done {
        Ok(stream) => {
            let negotiated = Negotiated::of(stream.get_ref().1);
            Ok(TlsStream { stream, memory, negotiated })
        }
        Err((error, watched)) => {
            let mut failure = failed(error, &memory);
            if failure.finding.code == FindingCode::NotTls {
                failure.finding = what_else_it_speaks(watched.first());
            }
            Err(failure)
        }
    }
}

/// Has a handshake done on threads that may wait for a token or a service, so that nobody waits on this one. It ends with
/// whoever asked for it. `None` where there are no threads to be had.
async fn elsewhere<T: Send + 'static>(handshake: impl Future<Output = T> + Send + 'static) -> Option<T> {
    static THREADS: OnceLock<Option<Runtime>> = OnceLock::new();
    let threads = THREADS.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(2).thread_name("signer").enable_all().build().ok()
    });
    let mut one = JoinSet::new();
    one.spawn_on(handshake, threads.as_ref()?.handle());
    one.join_next().await?.ok()
}

/// The finding for a server whose first bytes are no TLS.
fn what_else_it_speaks(first: &[u8]) -> Finding {
    if first == b"HTTP/" {
        return Finding::new(
            FindingCode::PlainHttp,
            Fault::Server,
            "the server speaks plain HTTP on this port, not TLS",
        )
        .remedy("write http:// in place of https://, or use the port that speaks TLS");
    }
    let shown: String = first.iter().map(|byte| char::from(*byte).escape_default().to_string()).collect();
    Finding::new(
        FindingCode::NotTls,
        Fault::Server,
        format!("the server does not speak TLS on this port: its first bytes are \"{shown}\""),
    )
    .remedy("check the port; some protocols (SMTP, PostgreSQL) switch to TLS only after a word of their own")
}

fn failed(error: io::Error, memory: &Memory) -> HandshakeFailure {
    let tls = refusal::tls_error(&error);
    let verdict = memory.served().and_then(|served| served.verdict.finding());
    let refused_by_us = verdict.filter(|_| {
        memory.verifier.is_enforced() && matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
    });
    let server_refused_by_us = refused_by_us.is_some();
    let alert_received = tls.and_then(refusal::received_alert);
    let finding = match (refused_by_us, alert_received, tls) {
        (Some(finding), ..) => finding,
        (None, Some(alert), _) => memory.explain_alert(alert, false),
        (None, None, Some(tls)) => refusal::of_tls(tls, Sender::Client),
        (None, None, None) => refusal::of_io(&error, Fault::Server, "during the handshake"),
    };
    HandshakeFailure {
        finding,
        server_refused_by_us,
        alert_received,
        served: memory.served().cloned(),
        certificate_request: memory.request().cloned(),
        sent_certificate: memory.sent_certificate(),
    }
}

impl TlsStream {
    /// What was agreed on.
    #[must_use]
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// What the server sent in its Certificate message, and the verdict.
    #[must_use]
    pub fn served(&self) -> Option<&Served> {
        self.memory.served()
    }

    /// What the server asked for, where it asked for a certificate.
    #[must_use]
    pub fn certificate_request(&self) -> Option<&CertificateRequest> {
        self.memory.request()
    }

    /// Whether a client certificate was sent.
    #[must_use]
    pub fn sent_certificate(&self) -> bool {
        self.memory.sent_certificate()
    }

    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Err(error)) = &result {
            self.memory.note(error);
        }
        result
    }
}

impl TlsStream {
    /// A write that fails may have crossed an alert on the way: it waits in the receive buffer and says why.
    fn after_write<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Poll::Ready(Err(failed)) = result else { return result };
        let mut scratch = [0; 4096];
        // A refused connection has at most some records before the alert.
        for _ in 0..64 {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(Err(error)) if refusal::tls_error(&error).is_some() => {
                    self.memory.note(&error);
                    return Poll::Ready(Err(error));
                }
                _ => break,
            }
        }
        Poll::Ready(Err(failed))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.after_write(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.after_write(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.after_write(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
