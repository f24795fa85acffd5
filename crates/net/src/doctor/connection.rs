//! One connection, and everything it showed.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use explain::doctor::{Agreed, Asked, Attempt, End, GivenUp, Variation};
use pki::name::{DistinguishedName, ServerName};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::silence::Heard;
use super::{Look, Plan, request};
use crate::danger;
use crate::dial::verdict::TicketBell;
use crate::dial::{DialError, Transport, Watched, connect, handshake};
use crate::refusal;
use crate::tls::server_verifier::{Expectation, ServerVerifier};
use crate::tls::{Credentials, Negotiated};

/// The least and the most time that a TLS 1.3 server is given to refuse before the request is sent: a request on its
/// way can turn the refusal's alert into a bare reset.
const LEAST_GRACE: Duration = Duration::from_millis(40);
const MOST_GRACE: Duration = Duration::from_millis(400);

/// A connection without TLS: an empty GET and its answer.
pub(super) async fn plain(look: &Look<'_>, variation: Variation) -> Attempt {
    let plan = look.plan;
    let mut stream = match open(look).await {
        Ok(stream) => stream,
        Err(end) => return Attempt::new(variation, end),
    };
    let mut attempt = Attempt::new(variation, End::Silent);
    attempt.address = stream.peer_address().map(|address| address.to_string());
    let _ = stream.write_all(request::get(plan).as_bytes()).await;
    let mut bytes = Vec::new();
    let waits = look.waits(stream.peer_address());
    attempt.end = read_answer(&mut stream, &mut bytes, look.answer(waits), false).await;
    attempt.answer = request::read(&bytes);
    if attempt.answer.is_none() && !bytes.is_empty() {
        attempt.end = End::NotTls(bytes.into_iter().take(5).collect());
    }
    attempt
}

/// A connection with TLS.
pub(super) async fn tls(look: &Look<'_>, variation: Variation) -> Attempt {
    let plan = look.plan;
    let started = Instant::now();
    let transport = match open(look).await {
        Ok(transport) => transport,
        Err(end) => return Attempt::new(variation, end),
    };
    let round_trip = started.elapsed();
    let mut attempt = Attempt::new(variation, End::Silent);
    attempt.address = transport.peer_address().map(|address| address.to_string());
    let waits = look.waits(transport.peer_address());
    let watcher = Arc::new(Watcher::new(plan, variation));
    let bell = TicketBell::new();
    let config = match watcher.config(plan, variation, &bell) {
        Ok(config) => config,
        Err(error) => {
            attempt.end = End::GivenUp(GivenUp::Parameters(error.to_string()));
            return attempt;
        }
    };
    let name = match &plan.target.host {
        ServerName::Ip(ip) => rustls::pki_types::ServerName::from(*ip),
        ServerName::Dns(name) => match rustls::pki_types::ServerName::try_from(name.clone()) {
            Ok(name) => name,
            Err(error) => {
                attempt.end = End::NotResolved(error.to_string());
                return attempt;
            }
        },
    };
    let heard = Heard::new(Watched::new(transport, None), look.silence(waits));
    let outcome = TlsConnector::from(Arc::new(config)).connect(name, heard).into_fallible().await;
    watcher.tell(&mut attempt);
    let mut stream = match outcome {
        Err((error, heard)) => {
            attempt.end = died(&error, heard.inner().first(), false);
            return attempt;
        }
        Ok(stream) => stream,
    };
    let negotiated = Negotiated::of(stream.get_ref().1);
    attempt.negotiated = Some(Agreed {
        version: negotiated.version,
        cipher_suite: negotiated.cipher_suite,
        group: negotiated.group,
        application_protocol: negotiated.alpn,
    });
    let is_tls13 = attempt.negotiated.as_ref().is_some_and(Agreed::is_tls13);
    let mut bytes = Vec::new();
    if is_tls13 && attempt.request.is_some() {
        // In good order: the refusal, if there is one, before a request of ours.
        let grace = (4 * round_trip).clamp(LEAST_GRACE, MOST_GRACE);
        if let Some(end) = verdict(&mut stream, &bell, grace, &mut bytes).await {
            attempt.end = end;
            return attempt;
        }
    }
    if variation == Variation::OnlyHttp2 {
        return attempt;
    }
    if bytes.is_empty() {
        // A write that fails has crossed the reason on its way, and that is read next.
        let _ = stream.write_all(request::get(plan).as_bytes()).await;
        let _ = stream.flush().await;
    }
    attempt.end = read_answer(&mut stream, &mut bytes, look.answer(waits), true).await;
    attempt.answer = request::read(&bytes);
    attempt
}

/// Waits for the server's verdict on the client's certificate: an end, or `None` where it accepted or says nothing.
async fn verdict<S: AsyncRead + Unpin>(
    stream: &mut S,
    bell: &TicketBell,
    grace: Duration,
    bytes: &mut Vec<u8>,
) -> Option<End> {
    let mut chunk = [0; 1024];
    let answer = async {
        tokio::select! {
            // Polled first: a ticket in the same read as an alert must not hide it.
            biased;
            read = stream.read(&mut chunk) => Some(read),
            () = bell.0.notified() => None,
        }
    };
    match timeout_at(Instant::now() + grace, answer).await {
        Err(_) | Ok(None) => None,
        Ok(Some(Ok(0))) => Some(End::Closed { after_finished: true }),
        Ok(Some(Ok(count))) => {
            bytes.extend_from_slice(&chunk[..count]);
            None
        }
        Ok(Some(Err(error))) => Some(died(&error, b"TLS", true)),
    }
}

async fn read_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    bytes: &mut Vec<u8>,
    patience: Duration,
    is_tls: bool,
) -> End {
    let deadline = Instant::now() + patience;
    let mut chunk = [0; 4096];
    loop {
        if request::is_enough(bytes) {
            return End::Answered;
        }
        match timeout_at(deadline, stream.read(&mut chunk)).await {
            Err(_) if bytes.is_empty() => return End::Silent,
            Err(_) => return End::Answered,
            Ok(Ok(0)) if bytes.is_empty() => return End::Closed { after_finished: true },
            Ok(Ok(0)) => return End::Answered,
            Ok(Ok(count)) => bytes.extend_from_slice(&chunk[..count]),
            Ok(Err(_)) if !bytes.is_empty() => return End::Answered,
            Ok(Err(error)) => return died(&error, if is_tls { b"TLS" } else { b"" }, true),
        }
    }
}

/// What a connection died of. `first` is what the server had sent before.
fn died(error: &io::Error, first: &[u8], after_finished: bool) -> End {
    use rustls::{Error, PeerIncompatible};
    let Some(tls) = refusal::tls_error(error) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => End::Closed { after_finished },
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
                End::Reset { after_finished, heard_anything: !first.is_empty() }
            }
            io::ErrorKind::TimedOut => End::HandshakeTimeout,
            _ => End::GivenUp(GivenUp::Protocol(error.to_string())),
        };
    };
    match tls {
        Error::AlertReceived(description) => {
            End::Alert { description: u8::from(*description), after_finished }
        }
        Error::InvalidMessage(_) if !matches!(first, [20..=24, 3, ..]) && !after_finished => {
            End::NotTls(first.to_vec())
        }
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerSentHelloRetryRequestWithUnknownExtension,
        ) => End::GivenUp(GivenUp::Version(format!("the server chose a version that is not offered: {tls}"))),
        Error::PeerIncompatible(_) => End::GivenUp(GivenUp::Parameters(tls.to_string())),
        Error::PeerMisbehaved(_) => End::GivenUp(GivenUp::Parameters(tls.to_string())),
        Error::NoApplicationProtocol => End::GivenUp(GivenUp::ApplicationProtocol),
        Error::InvalidCertificate(_) => End::GivenUp(GivenUp::Certificate(tls.to_string())),
        other => End::GivenUp(GivenUp::Protocol(other.to_string())),
    }
}

/// A connection to the target, through the proxy where there is one.
async fn open(look: &Look<'_>) -> Result<Transport, End> {
    let plan = look.plan;
    let deadline = Some(Instant::now() + look.way());
    let Some(proxy) = &plan.proxy else {
        return connect(&plan.target.host, plan.target.port, &plan.route, deadline)
            .await
            .map_err(|error| not_connected(&error));
    };
    let mut stream = connect(&proxy.host, proxy.port, &crate::dial::Route::default(), deadline)
        .await
        .map_err(|error| End::ProxyUnreachable(error.to_string()))?;
    let authority = plan.target.authority();
    let mut asked = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(authorization) = &proxy.authorization {
        asked.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
    }
    asked.push_str("\r\n");
    let exchange = async {
        stream.write_all(asked.as_bytes()).await?;
        let mut answer = Vec::new();
        let mut byte = [0];
        // One at a time: what stands behind the head belongs to the server.
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < request::MOST_OCTETS {
            if stream.read(&mut byte).await? == 0 {
                break;
            }
            answer.push(byte[0]);
        }
        io::Result::Ok(answer)
    };
    let answer = match timeout_at(Instant::now() + look.way(), exchange).await {
        Err(_) => return Err(End::ProxyUnreachable("it does not answer".to_owned())),
        Ok(Err(error)) => return Err(End::ProxyUnreachable(error.to_string())),
        Ok(Ok(answer)) => answer,
    };
    match request::read(&answer) {
        Some(read) if (200..300).contains(&read.status) => Ok(stream),
        _ => {
            let text = String::from_utf8_lossy(&answer);
            Err(End::ProxyRefused(text.lines().next().unwrap_or("it closed the connection").to_owned()))
        }
    }
}

fn not_connected(error: &DialError) -> End {
    match error {
        DialError::Resolve { source, .. } => End::NotResolved(source.to_string()),
        DialError::Timeout { .. } => End::ConnectTimeout,
        DialError::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
            End::ConnectionRefused
        }
        DialError::Connect { source, .. } => End::Unreachable(source.to_string()),
    }
}

/// What rustls' callbacks saw. It accepts every server: what is served is judged by `explain::doctor`, and nothing
/// but an empty GET is sent to whom it is.
#[derive(Debug)]
struct Watcher {
    inner: ServerVerifier,
    schemes: Option<Vec<SignatureScheme>>,
    credentials: Option<Credentials>,
    withhold_by_issuer: bool,
    served: OnceLock<Vec<Vec<u8>>>,
    stapled: OnceLock<Vec<u8>>,
    asked: OnceLock<Asked>,
    sent: AtomicBool,
    doubt: Mutex<Option<String>>,
}

impl Watcher {
    fn new(plan: &Plan, variation: Variation) -> Self {
        let anyone = danger::accept_any_server(Expectation::new(pki::verify::TrustBundle::default()));
        Watcher {
            inner: ServerVerifier::new(anyone, plan.target.host.clone()),
            schemes: plan.offer.varied(variation).schemes().map(<[_]>::to_vec),
            credentials: plan.credentials.clone().filter(|_| variation != Variation::WithoutCertificate),
            withhold_by_issuer: plan.withhold_by_issuer,
            served: OnceLock::new(),
            stapled: OnceLock::new(),
            asked: OnceLock::new(),
            sent: AtomicBool::new(false),
            doubt: Mutex::new(None),
        }
    }

    fn config(
        self: &Arc<Self>,
        plan: &Plan,
        variation: Variation,
        bell: &Arc<TicketBell>,
    ) -> Result<ClientConfig, rustls::Error> {
        let offer = plan.offer.varied(variation);
        let mut config = ClientConfig::builder_with_provider(Arc::new(offer.provider()))
            .with_protocol_versions(offer.versions.for_rustls())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(self) as Arc<dyn ServerCertVerifier>)
            .with_client_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesClientCert>);
        config.resumption = Resumption::store(Arc::clone(bell) as Arc<dyn ClientSessionStore>);
        config.enable_sni = plan.sends_server_name && variation != Variation::WithoutServerName;
        let protocol: &[u8] = if variation == Variation::OnlyHttp2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(config)
    }

    fn tell(&self, attempt: &mut Attempt) {
        attempt.served = self.served.get().cloned().unwrap_or_default();
        attempt.stapled = self.stapled.get().cloned();
        attempt.request = self.asked.get().cloned();
        attempt.sent_certificate = self.sent.load(Ordering::Relaxed);
        attempt.doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner).clone();
    }

    /// A signature that does not verify (a weak key, a certificate of version 1) is noted: the certificate itself
    /// is judged elsewhere, and the server is looked at all the same.
    fn doubted(
        &self,
        result: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match result {
            Err(error @ rustls::Error::InvalidCertificate(_)) => {
                self.doubt.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.to_string());
                Ok(HandshakeSignatureValid::assertion())
            }
            other => other,
        }
    }
}

impl ServerCertVerifier for Watcher {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &rustls::pki_types::ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.served.get_or_init(|| {
            std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec()).collect()
        });
        if !ocsp_response.is_empty() {
            self.stapled.get_or_init(|| ocsp_response.to_vec());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.doubted(self.inner.verify_tls12_signature(message, certificate, signature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.doubted(self.inner.verify_tls13_signature(message, certificate, signature))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone().unwrap_or_else(|| self.inner.supported_verify_schemes())
    }
}

impl ResolvesClientCert for Watcher {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.get_or_init(|| Asked {
            authorities: authorities.iter().map(|der| der.to_vec()).collect(),
            signature_schemes: schemes.iter().map(|scheme| handshake::scheme_name(*scheme)).collect(),
        });
        let credentials = self.credentials.as_ref()?;
        let is_named = authorities.is_empty()
            || authorities.iter().any(|der| {
                DistinguishedName::from_der(der)
                    .is_ok_and(|name| credentials.chain().iter().any(|c| c.issuer().matches(&name)))
            });
        if self.withhold_by_issuer && !is_named {
            return None;
        }
        let certified = Arc::clone(credentials.certified());
        let fits = certified.key.choose_scheme(schemes).is_some();
        self.sent.store(fits, Ordering::Relaxed);
        fits.then_some(certified)
    }

    fn has_certs(&self) -> bool {
        // True also without one, so that the request is always seen.
        true
    }
}
