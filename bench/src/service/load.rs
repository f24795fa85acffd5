//! The load: a thread for each connection, which does one thing after the other until the time is up.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long the load runs before anything counts.
const WARMING: Duration = Duration::from_millis(500);

/// What one connection shows and sends.
#[derive(Clone)]
pub(super) struct Material {
    identity: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
    body: Vec<u8>,
}

impl Material {
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        body: Vec<u8>,
    ) -> Self {
        Material { identity: Some((chain, Arc::new(key))), body }
    }

    /// For a connection without TLS.
    pub(super) fn plain(body: Vec<u8>) -> Self {
        Material { identity: None, body }
    }
}

/// Octets in both directions.
trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// A connection that stays, and what is sent on it.
pub(super) struct Connection {
    stream: Box<dyn Duplex>,
    body: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn over_tls(
        address: SocketAddr,
        roots: &Arc<RootCertStore>,
        material: &Material,
    ) -> Result<Self> {
        let (chain, key) = material.identity.as_ref().context("a client without a certificate")?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(roots))
            .with_client_auth_cert(chain.clone(), key.clone_key())?;
        let tls = ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
        Ok(Self::on(StreamOwned::new(tls, Self::tcp(address)?), material))
    }

    pub(super) fn plain(address: SocketAddr, material: &Material) -> Result<Self> {
        Ok(Self::on(Self::tcp(address)?, material))
    }

    fn tcp(address: SocketAddr) -> Result<TcpStream> {
        let tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(tcp)
    }

    fn on(stream: impl Duplex + 'static, material: &Material) -> Self {
        Connection { stream: Box::new(stream), body: material.body.clone(), buffer: vec![0; 16 * 1024] }
    }

    /// One renewal with the certificate of the connection.
    pub(super) fn renew(&mut self) -> Result<()> {
        let answer = self.post("/api/v1/renew", "application/pkcs10")?;
        ensure!(answer.starts_with(b"-----BEGIN CERTIFICATE-----"), "no certificate came back");
        Ok(())
    }

    /// One OCSP answer.
    pub(super) fn ask_ocsp(&mut self) -> Result<()> {
        let answer = self.post("/ocsp", "application/ocsp-request")?;
        // OCSPResponseStatus successful (RFC 6960 section 4.2.1).
        ensure!(answer.windows(3).any(|part| part == [0x0a, 0x01, 0x00]), "no answer came back");
        Ok(())
    }

    /// What cfssl's API answers to a request in JSON.
    pub(super) fn sign_by_cfssl(&mut self) -> Result<()> {
        let answer = self.post("/api/v1/cfssl/sign", "application/json")?;
        ensure!(answer.windows(11).any(|part| part == b"BEGIN CERTI"), "cfssl signed nothing");
        Ok(())
    }

    fn post(&mut self, path: &str, media_type: &str) -> Result<Vec<u8>> {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            self.body.len()
        )
        .into_bytes();
        request.extend_from_slice(&self.body);
        self.stream.write_all(&request)?;
        self.stream.flush()?;
        let mut answer = Vec::new();
        loop {
            let read = self.stream.read(&mut self.buffer)?;
            ensure!(read > 0, "the server closed the connection");
            answer.extend_from_slice(&self.buffer[..read]);
            let Some(end) = answer.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                bail!("{path}: {}", String::from_utf8_lossy(&answer));
            }
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok())
                .context("an answer without its length")?;
            if answer.len() >= end + 4 + length {
                return Ok(answer.split_off(end + 4));
            }
        }
    }
}

/// What was done in a round.
pub(super) struct Done {
    counted: u64,
    all: u64,
    seconds: Duration,
}

impl Done {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(super) fn per_second(&self) -> f64 {
        self.counted as f64 / self.seconds.as_secs_f64()
    }

    /// With those that were done before counting began, which the server worked for as well.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(super) fn count_with_warming(&self) -> f64 {
        self.all as f64
    }
}

/// As much as can be done on these connections, each one thing after the other.
pub(super) fn throughput(
    clients: &[Material],
    seconds: Duration,
    begin: impl Fn(&Material) -> Result<Connection> + Sync,
    work: fn(&mut Connection) -> Result<()>,
) -> Result<Done> {
    let (is_over, is_warm) = (AtomicBool::new(false), AtomicBool::new(false));
    let (counted, all) = (AtomicU64::new(0), AtomicU64::new(0));
    let run = |material| -> Result<()> {
        let mut connection = begin(material)?;
        while !is_over.load(Ordering::Relaxed) {
            work(&mut connection)?;
            all.fetch_add(1, Ordering::Relaxed);
            if is_warm.load(Ordering::Relaxed) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    let run = &run;
    std::thread::scope(|scope| -> Result<Done> {
        let threads: Vec<_> = clients.iter().map(|material| scope.spawn(move || run(material))).collect();
        std::thread::sleep(WARMING);
        is_warm.store(true, Ordering::Relaxed);
        let start = Instant::now();
        std::thread::sleep(seconds);
        let (counted, seconds) = (counted.load(Ordering::Relaxed), start.elapsed());
        is_over.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        ensure!(counted > 0, "nothing was done in time");
        Ok(Done { counted, all: all.load(Ordering::Relaxed), seconds })
    })
}

/// So many a second, spread over the connections: how long each took from the moment at which it was due, so that a server
/// that falls behind is seen to.
pub(super) fn paced(
    clients: &[Material],
    rate: f64,
    seconds: Duration,
    begin: impl Fn(&Material) -> Result<Connection> + Sync,
    work: fn(&mut Connection) -> Result<()>,
) -> Result<Vec<Duration>> {
    let each = Duration::from_secs_f64(1.0 / rate);
    let count = u32::try_from(clients.len())?;
    let start = Instant::now() + WARMING;
    let run = |(material, first): (&Material, u32)| -> Result<Vec<Duration>> {
        let mut connection = begin(material)?;
        let mut times = Vec::new();
        for number in (first..).step_by(clients.len()) {
            let due = start + each * number;
            if due >= start + seconds {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            work(&mut connection)?;
            times.push(due.elapsed());
        }
        Ok(times)
    };
    let run = &run;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            clients.iter().zip(0..count).map(|client| scope.spawn(move || run(client))).collect();
        let mut times = Vec::new();
        for thread in threads {
            times.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(times)
    })
}
