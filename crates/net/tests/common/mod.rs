//! A world in one process: an authority, a server on a loopback port, clients, all at `testkit::now()`.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use net::dial::TlsOptions;
use net::fetch::{FetchError, Options, Request, Response, fetch};
use net::serve::{self, AccessRecord, Handler, Limits, Options as ServeOptions, Route};
use net::snapshot::{Handle, Snapshot};
use net::tls::server_verifier::Expectation;
use net::tls::{Credentials, TlsVersion, TlsVersions};
use net::url::Url;
use pki::policy::{Policy, Rule};
use testkit::{TestCa, TestIdentity};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const TLS12: TlsVersions = TlsVersions::Only(TlsVersion::Tls12);
pub const TLS13: TlsVersions = TlsVersions::Only(TlsVersion::Tls13);

pub fn credentials(identity: &TestIdentity) -> Credentials {
    let chain = std::iter::once(&identity.certificate).chain(&identity.chain).cloned().collect();
    Credentials::new(chain, identity.key.pkcs8_der()).unwrap()
}

/// A snapshot of a server for localhost that lets alice in.
pub fn snapshot(ca: &TestCa) -> Snapshot {
    let server = ca.issue_server(&["localhost", "127.0.0.1"]);
    let mut snapshot = Snapshot::new(credentials(&server), ca.anchors());
    snapshot.policy = Policy::new(vec![Rule::parse("cn", "alice").unwrap()]);
    snapshot
}

pub struct TestServer {
    pub address: SocketAddr,
    pub handle: Handle,
    route: Route,
    records: Arc<Mutex<Vec<AccessRecord>>>,
    shutdown: Option<oneshot::Sender<()>>,
    pub running: JoinHandle<u32>,
}

impl TestServer {
    pub async fn start(snapshot: Snapshot, handler: Handler) -> Self {
        Self::start_with(snapshot, handler, Limits::default()).await
    }

    pub async fn start_with(snapshot: Snapshot, handler: Handler, limits: Limits) -> Self {
        let mut options = ServeOptions::new();
        options.clock = testkit::now;
        options.limits = limits;
        Self::start_as(snapshot, handler, options).await
    }

    pub async fn start_at(snapshot: Snapshot, handler: Handler, clock: fn() -> jiff::Timestamp) -> Self {
        let mut options = ServeOptions::new();
        options.clock = clock;
        Self::start_as(snapshot, handler, options).await
    }

    /// A server with one route, to this handler, where the snapshot has none.
    pub async fn start_as(mut snapshot: Snapshot, handler: Handler, mut options: ServeOptions) -> Self {
        let route = Route::everything(Arc::new(handler));
        if snapshot.routes.is_empty() {
            snapshot.routes.push(route.clone());
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handle = Handle::new(snapshot);
        let records = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&records);
        options.log = Arc::new(move |record| log.lock().unwrap().push(record.clone()));
        let (shutdown, stop) = oneshot::channel();
        let running = tokio::spawn(serve::serve(listener, handle.clone(), options, async {
            let _ = stop.await;
        }));
        TestServer { address, handle, route, records, shutdown: Some(shutdown), running }
    }

    /// Puts another snapshot in force, with the same route where it has none.
    pub fn replace(&self, mut snapshot: Snapshot) {
        if snapshot.routes.is_empty() {
            snapshot.routes.push(self.route.clone());
        }
        self.handle.replace(snapshot);
    }

    pub fn url(&self, path: &str) -> Url {
        Url::parse(&format!("https://localhost:{}{path}", self.address.port())).unwrap()
    }

    pub fn shut_down(&mut self) {
        let _ = self.shutdown.take().unwrap().send(());
    }

    /// The access records, once there are at least this many.
    pub async fn records(&self, count: usize) -> Vec<AccessRecord> {
        let started = Instant::now();
        loop {
            let records = self.records.lock().unwrap().clone();
            if records.len() >= count {
                return records;
            }
            assert!(started.elapsed() < Duration::from_secs(10), "only {records:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The record of the one refused connection.
    pub async fn refusal(&self) -> serve::RefusalRecord {
        match self.records(1).await.remove(0) {
            AccessRecord::Refusal(record) => record,
            AccessRecord::Request(record) => panic!("a request was answered: {record:?}"),
        }
    }

    /// The record of the first request.
    pub async fn request(&self) -> serve::RequestRecord {
        match self.records(1).await.remove(0) {
            AccessRecord::Request(record) => *record,
            AccessRecord::Refusal(record) => panic!("the connection was refused: {record:?}"),
        }
    }
}

/// What a client of this authority expects, at the tests' moment.
pub fn expectation(ca: &TestCa) -> Expectation {
    let mut expectation = Expectation::new(ca.anchors());
    expectation.clock = testkit::now;
    expectation
}

/// A client that believes `ca` and presents `identity`.
pub fn client(ca: &TestCa, identity: Option<&TestIdentity>) -> Options {
    let mut tls = TlsOptions::new(expectation(ca));
    tls.credentials = identity.map(credentials);
    let mut options = Options::new(tls);
    options.max_time = Some(Duration::from_secs(20));
    options
}

pub async fn get(server: &TestServer, path: &str, options: &Options) -> Result<Response, FetchError> {
    fetch(Request::get(server.url(path)), options).await
}

pub async fn text(response: Response) -> String {
    String::from_utf8(response.bytes().await.unwrap()).unwrap()
}
