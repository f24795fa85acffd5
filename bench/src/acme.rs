//! Whole ACME orders: new order, authorization, challenge, polling, request, certificate; each request signed, each nonce
//! spent, each step committed to SQLite, and every name really looked up and connected to, on loopback.
//!
//! Clients call the router in this process, so TLS and HTTP are not measured; their signatures are made here as well.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use axum::Router;
use axum::body::Body;
use ca::{Authority, CreateAuthority, Store};
use http::Request;
use http_body_util::BodyExt as _;
use jiff::SignedDuration;
use keys::PrivateKey;
use net::provision::acme::Client;
use net::provision::{Exchange, ExchangeError, Incoming, Outgoing};
use pki::csr::build_request;
use pki::key::KeyAlgorithm;
use pki::name::{GeneralName, SubjectNames};
use service::{Settings, State, Surface, Visitor, acme, router};
use store::SqliteStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tower::ServiceExt as _;

use crate::Options;
use crate::report::{figure, spread};

const SUITE: &str = "acme";
const BASE: &str = "https://ca.bench.test";

/// How many clients, each with an account of its own, order at once.
const CLIENTS: [usize; 3] = [8, 32, 96];

/// Pages by their path: what the clients show.
type Pages = Arc<Mutex<HashMap<String, String>>>;

pub(crate) fn run(options: &Options) -> Result<()> {
    println!("acme: whole orders by http-01, P-256, into SQLite with synchronous=FULL");
    let runtime = tokio::runtime::Runtime::new()?;
    for clients in CLIENTS {
        runtime.block_on(round(options, clients))?;
    }
    Ok(())
}

/// The router as clients reach it.
#[derive(Clone)]
struct Direct(Router);

impl Exchange for Direct {
    async fn exchange(&self, request: Outgoing) -> Result<Incoming, ExchangeError> {
        let mut sent = Request::new(Body::from(request.body));
        *sent.method_mut() = request.method;
        *sent.headers_mut() = request.headers;
        let path = request.url.strip_prefix(BASE).unwrap_or(&request.url);
        *sent.uri_mut() = path.parse().unwrap_or_default();
        sent.extensions_mut()
            .insert(Visitor { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), peer: None });
        let Ok(response) = self.0.clone().oneshot(sent).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        Ok(Incoming { status: head.status.as_u16(), headers: head.headers, body })
    }
}

async fn round(options: &Options, count: usize) -> Result<()> {
    let directory = tempfile::tempdir_in(&options.directory)?;
    let pages = Pages::default();
    let dns = resolver().await?;
    let http_port = web_server(Arc::clone(&pages)).await?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::create(&directory.path().join("ca.db"))?);
    let state = State::new(
        authority(Arc::clone(&store))?,
        Settings {
            acme: acme::Settings {
                permits: vec!["127.0.0.0/8".parse().map_err(|error: String| anyhow!(error))?],
                resolvers: vec![dns],
                http_port,
                accounts_per_hour: usize::MAX,
                orders_per_hour: usize::MAX,
                ..acme::Settings::default()
            },
            ..Settings::new(BASE)
        },
    );
    let server = Direct(router(&state, Surface::ALL));
    let mut clients = Vec::new();
    for number in 0..count {
        let key = Arc::new(PrivateKey::generate(KeyAlgorithm::P256)?);
        let client = Client::open(server.clone(), &format!("{BASE}/acme/directory"), key, &[], None).await?;
        let name = format!("host-{number}.bench.test");
        let names =
            SubjectNames { alternative: vec![GeneralName::Dns(name.clone())], ..SubjectNames::default() };
        let csr = build_request(&names, &PrivateKey::generate(KeyAlgorithm::P256)?)?;
        clients.push((client, name, csr));
    }
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let done = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for (client, name, csr) in clients {
        let (pages, done) = (Arc::clone(&pages), Arc::clone(&done));
        workers.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < end {
                let begin = Instant::now();
                order(&client, &name, &csr, &pages).await?;
                times.push(begin.elapsed());
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(worker) = workers.join_next().await {
        times.extend(worker??);
    }
    let elapsed = start.elapsed().as_secs_f64();
    let count_done = done.load(Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rate = count_done as f64 / elapsed;
    figure(SUITE, &format!("{count} clients"), rate, "orders/s", Some("200"));
    spread(SUITE, &format!("{count} clients, one order"), times, None);
    // A rate counts only if everything it counts is really there.
    let stored = store.list(&ca::Query::default(), jiff::Timestamp::now())?.entries.len();
    ensure!(stored == count_done, "{count_done} orders were done and {stored} certificates are stored");
    Ok(())
}

/// One order from beginning to end.
async fn order(client: &Client<Direct>, name: &str, csr: &[u8], pages: &Pages) -> Result<()> {
    let mut order = client.order(&[("dns", name.to_owned())], None, None).await?;
    let url = order.authorizations.first().context("an order without an authorization")?;
    let authorization = client.authorization(url).await?;
    let challenge = authorization.challenges.iter().find(|challenge| challenge.kind == "http-01");
    let challenge = challenge.context("no http-01")?;
    let path = format!("/.well-known/acme-challenge/{}", challenge.token);
    let text = client.key_authorization(&challenge.token);
    pages.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), text);
    client.answer(challenge).await?;
    loop {
        order = client.refresh(&order).await?;
        match order.status.as_str() {
            "ready" => break,
            // As often as a client that is in a hurry would.
            "pending" => tokio::time::sleep(Duration::from_millis(10)).await,
            other => bail!("the order is {other}: {:?}", order.error),
        }
    }
    pages.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
    order = client.finalize(&order, csr).await?;
    ensure!(order.status == "valid", "the order is {}: {:?}", order.status, order.error);
    let chain = client.certificate(&order).await?;
    ensure!(chain.starts_with(b"-----BEGIN CERTIFICATE-----"), "no chain");
    Ok(())
}

pub(crate) fn authority(store: Arc<dyn Store>) -> Result<Authority<Arc<dyn Store>>> {
    let (root, issuing) =
        (PrivateKey::generate(KeyAlgorithm::P256)?, PrivateKey::generate(KeyAlgorithm::P256)?);
    let wish = CreateAuthority {
        name: "Bench".to_owned(),
        root_lifetime: SignedDuration::from_hours(24 * 365),
        constraints: pki::extension::NameConstraints::default(),
        requested_by: "bench".to_owned(),
    };
    let entropy = Box::new(|octets: &mut [u8]| keys::random::fill(octets).map_err(|error| error.to_string()));
    Ok(Authority::create(store, &root, Box::new(issuing), &wish, entropy, jiff::Timestamp::now())?)
}

/// A resolver in which every name is at 127.0.0.1 and has no other address.
async fn resolver() -> Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = socket.local_addr()?;
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            // The question, without the OPT record of eleven octets behind it; its type stands before its class.
            let Some(question) = buffer[..length].get(..length.saturating_sub(11)).filter(|q| q.len() > 16)
            else {
                continue;
            };
            let is_a = question[question.len() - 3] == 1;
            let mut answer = question.to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            if is_a {
                answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
            }
            let _ = socket.send_to(&answer, from).await;
        }
    });
    Ok(address)
}

async fn web_server(pages: Pages) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let pages = Arc::clone(&pages);
            tokio::spawn(async move {
                let mut buffer = [0; 2048];
                let length = stream.read(&mut buffer).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&buffer[..length]);
                let path = head.split(' ').nth(1).unwrap_or_default();
                let page = pages.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
                let page = page.unwrap_or_default();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    Ok(port)
}
