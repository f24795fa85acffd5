//! A service on loopback, and clients of it.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;

use ca::{Authority, CreateAuthority, Entropy, Identity, IssueRequest, Issued, Role, Store, Who};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use net::dial::{Resolve, TlsOptions};
use net::fetch::{FetchError, Options, Request, RequestBody, fetch};
use net::snapshot::Handle;
use net::tls::Credentials;
use net::tls::server_verifier::Expectation;
use net::url::Url;
use pki::extension::NameConstraints;
use pki::key::SigningKey as _;
use pki::name::SubjectNames;
use pki::verify::TrustBundle;
use pki::{Certificate, Profile, csr};
use serde_json::Value;
use service::{Settings, State, Surface, router, server};
use store::MemoryStore;
use testkit::{KeyKind, TestKey};
use tokio::net::TcpListener;

/// A service, and everything that was made for it.
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    own: Credentials,
}

/// Somebody with or without a certificate.
#[derive(Clone)]
pub(crate) struct Client {
    url: String,
    tls: TlsOptions,
    address: SocketAddr,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn certificates(&self) -> Vec<Certificate> {
        assert_eq!(self.status, 200, "{}", self.text());
        let blocks = pki::pem::read(&self.body).unwrap();
        blocks.iter().map(|block| Certificate::from_der(&block.der).unwrap()).collect()
    }
}

pub(crate) fn entropy() -> Entropy {
    Box::new(|octets| {
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(octets)).map_err(|e| e.to_string())
    })
}

pub(crate) fn clock() -> Timestamp {
    Timestamp::now()
}

/// An authority in memory.
pub(crate) fn authority() -> Authority<Arc<dyn Store>> {
    shared_authority(Arc::new(MemoryStore::new())).1
}

type Memory = Arc<dyn Store>;

/// An authority in this memory, twice, as two replicas have it.
pub(crate) fn shared_authority(store: Memory) -> (Authority<Memory>, Authority<Memory>) {
    let wish = CreateAuthority {
        name: "Test".to_owned(),
        root_lifetime: SignedDuration::from_hours(24 * 3650),
        constraints: NameConstraints::default(),
        requested_by: "founder".to_owned(),
    };
    let (root, issuing) = (TestKey::generate(KeyKind::P256), TestKey::generate(KeyKind::P256));
    let created =
        Authority::create(Arc::clone(&store), &root, Box::new(issuing.clone()), &wish, entropy(), clock());
    let created = created.unwrap();
    (Authority::open(store, Box::new(issuing), entropy()).unwrap(), created)
}

/// A certificate with its key, of this authority.
pub(crate) fn issue(
    authority: &Authority<Arc<dyn Store>>,
    profile: Profile,
    label: &str,
    lifetime: Option<SignedDuration>,
) -> (Issued, TestKey) {
    let (request, key) = wish(profile, label, lifetime);
    (authority.issue(request, clock()).unwrap(), key)
}

fn wish(profile: Profile, label: &str, lifetime: Option<SignedDuration>) -> (IssueRequest, TestKey) {
    let key = TestKey::generate(KeyKind::P256);
    let names = match profile {
        Profile::Server => SubjectNames::for_server(&[label]),
        _ => SubjectNames::for_client(label),
    };
    let request = IssueRequest {
        profile,
        label: label.to_owned(),
        names: names.unwrap(),
        public_key: key.public_key().clone(),
        lifetime,
        requested_by: "tester".to_owned(),
        origin: String::new(),
        replaces: None,
        location: None,
    };
    (request, key)
}

fn credentials(issued: &Issued, key: &TestKey) -> Credentials {
    let chain = std::iter::once(&issued.certificate).chain(&issued.chain).cloned().collect();
    Credentials::new(chain, key.pkcs8_der()).unwrap()
}

/// A signing request for this name, in PEM.
pub(crate) fn request(name: &str, key: &TestKey) -> Vec<u8> {
    let names = SubjectNames::for_client(name).unwrap();
    pki::pem::encode("CERTIFICATE REQUEST", &csr::build_request(&names, key).unwrap()).into_bytes()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A service whose settings are changed before it starts.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::of(authority(), change).await
    }

    pub(crate) async fn of(authority: Authority<Arc<dyn Store>>, change: impl FnOnce(&mut Settings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = Settings::new(&format!("https://localhost:{}", address.port()));
        change(&mut settings);
        let (issued, key) = issue(&authority, Profile::Server, "localhost", None);
        let own = credentials(&issued, &key);
        let state = State::new(authority, settings);
        let (responder, responder_key) = issue(state.authority(), Profile::Responder, "responder", None);
        let certificate = responder.certificate;
        state.set_responder(service::Responder { certificate, key: Box::new(responder_key) });
        tokio::spawn(state.clone().follow());
        let handle = Handle::new(server::snapshot(&state, own.clone()).unwrap());
        let serving = server::serve(
            listener,
            handle.clone(),
            router(&state, Surface::ALL),
            state.clone(),
            Arc::new(|_| {}),
            Arc::default(),
            std::future::pending(),
        );
        tokio::spawn(serving);
        World { state, address, handle, own }
    }

    /// Judges clients by what is revoked now, as the program does when it sees a revocation.
    pub(crate) fn refresh(&self) {
        self.handle.replace(server::snapshot(&self.state, self.own.clone()).unwrap());
    }

    /// Goes by the lines as they are now, as the program does when it sees a step of a rollover.
    pub(crate) fn follow_step(&mut self) {
        let authority = self.state.authority();
        let (issued, key) = issue(authority, Profile::Server, "localhost", None);
        self.own = credentials(&issued, &key);
        for line in authority.lines().published(clock()) {
            let (request, key) = wish(Profile::Responder, "responder", None);
            let certificate = authority.issue_in(line, request, clock()).unwrap().certificate;
            self.state.set_responder(service::Responder { certificate, key: Box::new(key) });
        }
        self.refresh();
    }

    /// Somebody who believes these alone.
    pub(crate) fn believer(
        &self,
        anchors: &[Certificate],
        holds: Option<(&[Certificate], &TestKey)>,
    ) -> Client {
        let own = holds.map(|(chain, key)| Credentials::new(chain.to_vec(), key.pkcs8_der()).unwrap());
        let mut client = self.client(own.clone());
        client.tls = TlsOptions::new(Expectation::new(TrustBundle::new(anchors.to_vec())));
        client.tls.credentials = own;
        client
    }

    fn client(&self, credentials: Option<Credentials>) -> Client {
        let mut tls = TlsOptions::new(Expectation::new(self.state.authority().anchors()));
        tls.credentials = credentials;
        Client { url: self.state.base().to_owned(), tls, address: self.address }
    }

    /// Somebody without a certificate.
    pub(crate) fn stranger(&self) -> Client {
        self.client(None)
    }

    /// Somebody with this certificate.
    pub(crate) fn holder(&self, certificates: &[Certificate], key: &TestKey) -> Client {
        self.client(Some(Credentials::new(certificates.to_vec(), key.pkcs8_der()).unwrap()))
    }

    /// Somebody with a new certificate, and this role.
    pub(crate) fn caller(&self, label: &str, role: Option<Role>) -> Client {
        let identity = Identity { label: label.to_owned(), role, ..Identity::default() };
        identity.put(self.state.store(), Who::from("tester"), clock()).unwrap();
        let (issued, key) = issue(self.state.authority(), Profile::Client, label, None);
        self.client(Some(credentials(&issued, &key)))
    }
}

impl Client {
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Answer {
        self.try_send(method, path, body, &[]).await.unwrap()
    }

    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, FetchError> {
        let mut request = Request::get(Url::parse(&format!("{}{path}", self.url)).unwrap());
        request.method = method;
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers.insert(name, value.parse().unwrap());
        }
        if let Some(body) = body {
            request.body = RequestBody::Bytes(body.into());
        }
        let mut options = Options::new(self.tls.clone());
        let resolve = format!("localhost:{}:{}", self.address.port(), self.address.ip());
        options.route.resolve.push(resolve.parse::<Resolve>().unwrap());
        let response = fetch(request, &options).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }

    /// The pieces of an answer as they come.
    pub(crate) async fn stream(&self, path: &str, headers: &[(&str, &str)]) -> net::fetch::Response {
        let mut request = Request::get(Url::parse(&format!("{}{path}", self.url)).unwrap());
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers.insert(name, value.parse().unwrap());
        }
        let mut options = Options::new(self.tls.clone());
        let resolve = format!("localhost:{}:{}", self.address.port(), self.address.ip());
        options.route.resolve.push(resolve.parse::<Resolve>().unwrap());
        fetch(request, &options).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body.to_string().into_bytes())).await
    }
}
