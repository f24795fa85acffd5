//! The load: threads that each do one thing after the other, until the time is up.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::peer::Peer;
use super::upstream::LARGE;

/// Connections at a time.
const CONNECTIONS: usize = 16;
/// Idle connections whose memory is weighed.
const IDLE: usize = 2000;

/// One measured value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    pub(super) value: f64,
    pub(super) unit: &'static str,
}

/// A client's material.
#[derive(Clone)]
pub(super) struct Client {
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl Client {
    pub(super) fn new(material: &Path) -> anyhow::Result<Self> {
        Self::of(material, material)
    }

    /// One that another authority vouches for.
    pub(super) fn stranger(material: &Path) -> anyhow::Result<Self> {
        Self::of(material, &material.with_file_name("other"))
    }

    fn of(server: &Path, own: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(server.join("rootCA.pem"))? {
            roots.add(root?)?;
        }
        let chain = CertificateDer::pem_file_iter(own.join("alice.pem"))?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(own.join("alice-key.pem"))?;
        Ok(Client { roots: Arc::new(roots), chain, key: Arc::new(key) })
    }

    /// TLS 1.3 over X25519 alone, so that all peers do the same work.
    fn config(&self, resumes: bool, alpn: &[&[u8]]) -> anyhow::Result<Arc<ClientConfig>> {
        let provider = rustls::crypto::CryptoProvider {
            kx_groups: vec![kx_group::X25519],
            ..aws_lc_rs::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.resumption = match resumes {
            true => Resumption::store(Arc::new(ClientSessionMemoryCache::new(64))),
            false => Resumption::disabled(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn open(peer: &Peer, config: &Arc<ClientConfig>) -> anyhow::Result<Stream> {
    let tcp = TcpStream::connect(peer.address)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
    let tls = ClientConnection::new(Arc::clone(config), "localhost".try_into()?)?;
    Ok(StreamOwned::new(tls, tcp))
}

/// One small request and its answer.
fn ask(stream: &mut Stream) -> io::Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 2048];
    while !answer.ends_with(b"\r\n\r\nok\n") {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    Ok(())
}

/// Runs `work` on some threads for this long, and gives the server's processor time for one unit of what it counts.
fn measure<S: Send>(
    peer: &Peer,
    seconds: Duration,
    threads: usize,
    begin: impl Fn() -> anyhow::Result<S> + Sync,
    work: impl Fn(&mut S) -> anyhow::Result<u64> + Sync,
) -> anyhow::Result<(Duration, u64)> {
    let over = AtomicBool::new(false);
    let count = AtomicU64::new(0);
    let warm = AtomicBool::new(false);
    let mut used = Duration::ZERO;
    let mut done = 0;
    let outcome: anyhow::Result<()> = thread::scope(|scope| {
        let run = || -> anyhow::Result<()> {
            let mut state = begin()?;
            while !over.load(Ordering::Relaxed) {
                let units = work(&mut state)?;
                if warm.load(Ordering::Relaxed) {
                    count.fetch_add(units, Ordering::Relaxed);
                }
            }
            Ok(())
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        thread::sleep(Duration::from_millis(300));
        warm.store(true, Ordering::Relaxed);
        let before = peer.cpu();
        thread::sleep(seconds);
        done = count.load(Ordering::Relaxed);
        used = peer.cpu().saturating_sub(before);
        over.store(true, Ordering::Relaxed);
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(_) => anyhow::bail!("a thread of the generator panicked"),
        })
    });
    outcome?;
    ensure!(done > 0, "nothing was done in time");
    Ok((used, done))
}

fn micros((used, count): (Duration, u64)) -> Figure {
    Figure { value: used.as_secs_f64() * 1e6 / count as f64, unit: "µs CPU each" }
}

fn megabytes((used, octets): (Duration, u64)) -> Figure {
    Figure { value: octets as f64 / 1e6 / used.as_secs_f64().max(1e-6), unit: "MB per CPU second" }
}

/// New connections with one request each.
pub(super) fn handshakes(
    peer: &Peer,
    client: &Client,
    seconds: Duration,
    resumes: bool,
) -> anyhow::Result<Figure> {
    // A store for each thread: rustls keeps few tickets for a name.
    let begin = || client.config(resumes, &[]);
    let work = |config: &mut Arc<ClientConfig>| {
        let mut stream = open(peer, config)?;
        ask(&mut stream)?;
        Ok(1)
    };
    Ok(micros(measure(peer, seconds, CONNECTIONS, begin, work)?))
}

/// Requests on connections that stay.
pub(super) fn requests(peer: &Peer, client: &Client, seconds: Duration) -> anyhow::Result<Figure> {
    let config = client.config(false, &[])?;
    let work = |stream: &mut Stream| {
        for _ in 0..10 {
            ask(stream)?;
        }
        Ok(10)
    };
    Ok(micros(measure(peer, seconds, CONNECTIONS, || open(peer, &config), work)?))
}

/// Requests over HTTP/2, many at a time on each connection.
pub(super) fn requests_http2(peer: &Peer, client: &Client, seconds: Duration) -> anyhow::Result<Figure> {
    const STREAMS: usize = 16;
    let config = client.config(false, &[b"h2"])?;
    let begin = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(async {
            let tcp = tokio::net::TcpStream::connect(peer.address).await?;
            tcp.set_nodelay(true)?;
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(&config));
            let stream = connector.connect("localhost".try_into()?, tcp).await?;
            let stream = hyper_util::rt::TokioIo::new(stream);
            let executor = hyper_util::rt::TokioExecutor::new();
            let (sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await?;
            tokio::spawn(connection);
            anyhow::Ok(sender)
        })?;
        Ok((runtime, sender))
    };
    type State = (
        tokio::runtime::Runtime,
        hyper::client::conn::http2::SendRequest<http_body_util::Empty<bytes::Bytes>>,
    );
    let work = |(runtime, sender): &mut State| {
        runtime.block_on(async {
            let mut all = tokio::task::JoinSet::new();
            for _ in 0..STREAMS {
                let mut sender = sender.clone();
                all.spawn(async move {
                    let request =
                        http::Request::get("https://localhost/").body(http_body_util::Empty::new())?;
                    let answer = sender.send_request(request).await?;
                    ensure!(answer.status() == 200, "{}", answer.status());
                    http_body_util::BodyExt::collect(answer.into_body()).await?;
                    anyhow::Ok(())
                });
            }
            while let Some(done) = all.join_next().await {
                done??;
            }
            Ok(STREAMS as u64)
        })
    };
    Ok(micros(measure(peer, seconds, 4, begin, work)?))
}

pub(super) fn download(peer: &Peer, client: &Client, seconds: Duration) -> anyhow::Result<Figure> {
    let config = client.config(false, &[])?;
    let work = |(stream, buffer): &mut (Stream, Vec<u8>)| {
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut octets = 0;
        while octets < LARGE {
            let read = stream.read(buffer)?;
            ensure!(read > 0, "the download broke off");
            octets += read;
        }
        // The head that came with it was counted once, and the last octets of the body are still under way.
        while !stream.conn.wants_read() {
            let _ = stream.read(buffer)?;
        }
        Ok(LARGE as u64)
    };
    let begin = || Ok((open(peer, &config)?, vec![0; 256 * 1024]));
    // A connection a download: what is left of one is not read as the next.
    let once = |state: &mut (Stream, Vec<u8>)| {
        let octets = work(state)?;
        state.0 = open(peer, &config)?;
        Ok(octets)
    };
    Ok(megabytes(measure(peer, seconds, 2, begin, once)?))
}

pub(super) fn upload(peer: &Peer, client: &Client, seconds: Duration) -> anyhow::Result<Figure> {
    let config = client.config(false, &[])?;
    let piece = vec![b'x'; 256 * 1024];
    let work = |stream: &mut Stream| {
        write!(stream, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LARGE}\r\n\r\n")?;
        for _ in 0..LARGE / piece.len() {
            stream.write_all(&piece)?;
        }
        let mut answer = Vec::new();
        let mut buffer = [0; 1024];
        while !answer.ends_with(b"ok\n") {
            let read = stream.read(&mut buffer)?;
            ensure!(read > 0, "the upload broke off");
            answer.extend_from_slice(&buffer[..read]);
        }
        Ok(LARGE as u64)
    };
    Ok(megabytes(measure(peer, seconds, 2, || open(peer, &config), work)?))
}

/// Clients of another authority, none of whom may get an answer.
pub(super) fn rejections(peer: &Peer, stranger: &Client, seconds: Duration) -> anyhow::Result<Figure> {
    let config = stranger.config(false, &[])?;
    let work = |(): &mut ()| {
        let mut stream = open(peer, &config)?;
        match ask(&mut stream) {
            // A server that lets TLS pass and answers with an error has refused too: nginx does.
            Ok(()) => anyhow::bail!("a stranger was let in"),
            Err(_) => Ok(1),
        }
    };
    Ok(micros(measure(peer, seconds, CONNECTIONS, || Ok(()), work)?))
}

/// The memory of connections that made one request and then none.
pub(super) fn idle(peer: &Peer, client: &Client) -> anyhow::Result<Figure> {
    let config = client.config(false, &[])?;
    let mut all = Vec::new();
    for _ in 0..100 {
        let mut stream = open(peer, &config)?;
        ask(&mut stream)?;
        all.push(stream);
    }
    let before = peer.memory();
    for _ in 0..IDLE {
        let mut stream = open(peer, &config).context("idle connections")?;
        ask(&mut stream)?;
        all.push(stream);
    }
    let after = peer.memory();
    drop(all);
    Ok(Figure { value: after.saturating_sub(before) as f64 / 1024.0 / IDLE as f64, unit: "KiB each" })
}

/// So many connections that made one request and then none, which end when they are dropped.
pub(super) fn hold(peer: &Peer, client: &Client, number: usize) -> anyhow::Result<Vec<Box<dyn Send>>> {
    let config = client.config(false, &[])?;
    let mut all: Vec<Box<dyn Send>> = Vec::with_capacity(number);
    for opened in 0..number {
        let mut stream =
            open(peer, &config).with_context(|| format!("after {opened} connections (ulimit -n)"))?;
        ask(&mut stream)?;
        all.push(Box::new(stream));
    }
    Ok(all)
}

/// How long each request took from the moment at which it was due, at so many a second on ten connections.
pub(super) fn paced(
    peer: &Peer,
    client: &Client,
    rate: u32,
    seconds: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let config = client.config(false, &[])?;
    let mut streams = (0..10).map(|_| open(peer, &config)).collect::<anyhow::Result<Vec<_>>>()?;
    streams.iter_mut().try_for_each(ask)?;
    let mut latencies = Vec::new();
    let started = Instant::now();
    for number in 0.. {
        let due = Duration::from_secs(1) / rate * number;
        if due >= seconds {
            break;
        }
        thread::sleep(due.saturating_sub(started.elapsed()));
        let index = number as usize % streams.len();
        ask(&mut streams[index])?;
        latencies.push(started.elapsed().saturating_sub(due));
    }
    Ok(latencies)
}
