//! An authority in memory, a client that signs whatever a test wants signed, and the world around both: a resolver and a
//! web server.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Router;
use axum::body::{Body, to_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ca::{Authority, CreateAuthority, Store};
use http::{HeaderMap, Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use pki::csr::build_request;
use pki::name::{GeneralName, SubjectNames};
use serde_json::{Value, json};
use service::{Settings, State, Surface, Visitor, acme};
use store::MemoryStore;
use testkit::{KeyKind, TestKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tower::ServiceExt as _;

pub(crate) const BASE: &str = "https://ca.test";

pub(crate) fn b64(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// An authority behind its router.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) state: State,
    router: Router,
    key: TestKey,
}

/// Settings under which everything is on loopback and nothing waits.
pub(crate) fn settings(world: &World) -> acme::Settings {
    acme::Settings {
        permits: vec!["127.0.0.0/8".parse().unwrap()],
        resolvers: vec![world.dns],
        http_port: world.http,
        https_port: world.http,
        attempts: 1,
        pause: Duration::ZERO,
        accounts_per_hour: 1000,
        ..acme::Settings::default()
    }
}

impl Server {
    pub(crate) fn new(acme: acme::Settings) -> Self {
        Self::on(Arc::new(MemoryStore::new()), acme)
    }

    pub(crate) fn on(store: Arc<dyn Store>, acme: acme::Settings) -> Self {
        let (root, issuing) = (TestKey::generate(KeyKind::P256), TestKey::generate(KeyKind::P256));
        let wish = CreateAuthority {
            name: "Test".to_owned(),
            root_lifetime: SignedDuration::from_hours(24 * 3650),
            constraints: pki::extension::NameConstraints::default(),
            requested_by: "founder".to_owned(),
        };
        let entropy = Box::new(|octets: &mut [u8]| aws_lc_rs::rand::fill(octets).map_err(|e| e.to_string()));
        let authority =
            Authority::create(store, &root, Box::new(issuing.clone()), &wish, entropy, testkit::now())
                .unwrap();
        let settings = Settings { clock: testkit::now, acme, ..Settings::new(BASE) };
        let state = State::new(authority, settings);
        let router = service::router(&state, Surface::ALL);
        Server { state, router, key: issuing }
    }

    /// Another process on the same memory.
    pub(crate) fn replica(&self, acme: acme::Settings) -> Self {
        let store = Arc::clone(self.state.authority().store());
        let key = self.key.clone();
        let entropy = Box::new(|octets: &mut [u8]| aws_lc_rs::rand::fill(octets).map_err(|e| e.to_string()));
        let authority = Authority::open(store, Box::new(key.clone()), entropy).unwrap();
        let state = State::new(authority, Settings { clock: testkit::now, acme, ..Settings::new(BASE) });
        let router = service::router(&state, Surface::ALL);
        Server { state, router, key }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let mut request = request;
        request.extensions_mut().insert(Visitor { address: ([192, 0, 2, 7], 4711).into(), peer: None });
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn nonce(&self) -> String {
        self.send(Request::head("/acme/new-nonce").body(Body::empty()).unwrap()).await.header("replay-nonce")
    }

    pub(crate) async fn post(&self, url: &str, body: Vec<u8>) -> Answer {
        let path = url.strip_prefix(BASE).unwrap();
        let request = Request::post(path).header("content-type", "application/jose+json");
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// An external account key for an identity.
    pub(crate) fn binding(&self, identity: &str, names: &[&str]) -> (String, String) {
        let new = acme::NewBinding {
            identity: Some(identity.to_owned()),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            profiles: vec![pki::Profile::Client],
            uses: 1,
            expires: None,
        };
        let random = |octets: &mut [u8]| aws_lc_rs::rand::fill(octets).map_err(|e| e.to_string());
        let by = ca::Who { actor: "tester", origin: "" };
        acme::add_binding(Arc::clone(self.state.authority().store()), new, random, by, testkit::now())
            .unwrap()
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The word of the error, and that it is one.
    pub(crate) fn error(&self) -> String {
        assert!(self.status.as_u16() >= 400, "{} {}", self.status, String::from_utf8_lossy(&self.body));
        let kind = self.json()["type"].as_str().unwrap_or_default().to_owned();
        kind.rsplit(':').next().unwrap_or_default().to_owned()
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn ok(self) -> Self {
        assert!(self.status.is_success(), "{} {}", self.status, String::from_utf8_lossy(&self.body));
        self
    }
}

/// An account's key, and the account when it has one.
pub(crate) struct Client {
    pub(crate) server: Server,
    pair: EcdsaKeyPair,
    pub(crate) kid: String,
}

impl Client {
    /// A key without an account.
    pub(crate) fn key(server: &Server) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Client { server: server.clone(), pair, kid: String::new() }
    }

    /// A key with an account.
    pub(crate) async fn new(server: &Server) -> Self {
        let mut client = Self::key(server);
        client.register(json!({ "termsOfServiceAgreed": true })).await.ok();
        client
    }

    /// A key with an account that is bound to an identity.
    pub(crate) async fn bound(server: &Server, identity: &str, names: &[&str]) -> Self {
        let (kid, mac) = server.binding(identity, names);
        let mut client = Self::key(server);
        let binding = client.external_binding(&kid, &mac, "HS256");
        client.register(json!({ "externalAccountBinding": binding })).await.ok();
        client
    }

    pub(crate) async fn register(&mut self, payload: Value) -> Answer {
        let url = format!("{BASE}/acme/new-account");
        let header =
            json!({ "alg": "ES256", "url": url, "jwk": self.jwk(), "nonce": self.server.nonce().await });
        let answer = self.server.post(&url, self.sign(&header, payload.to_string().as_bytes())).await;
        self.kid = answer.header("location");
        answer
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
    }

    pub(crate) fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let (x, y) = (jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap());
        b64(pki::sha256(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes()))
    }

    /// A JWS with this header, whatever it says.
    pub(crate) fn sign(&self, header: &Value, payload: &[u8]) -> Vec<u8> {
        let (protected, payload) = (b64(header.to_string()), b64(payload));
        let message = format!("{protected}.{payload}");
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        json!({ "protected": protected, "payload": payload, "signature": b64(signature) })
            .to_string()
            .into_bytes()
    }

    pub(crate) fn external_binding(&self, kid: &str, mac: &str, algorithm: &str) -> Value {
        use aws_lc_rs::hmac;
        let protected = json!({ "alg": algorithm, "kid": kid, "url": format!("{BASE}/acme/new-account") });
        let (protected, payload) = (b64(protected.to_string()), b64(self.jwk().to_string()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &URL_SAFE_NO_PAD.decode(mac).unwrap());
        let signature = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
        json!({ "protected": protected, "payload": payload, "signature": b64(signature) })
    }

    /// A right request.
    pub(crate) async fn post(&self, url: &str, payload: &[u8]) -> Answer {
        let header =
            json!({ "alg": "ES256", "url": url, "kid": self.kid, "nonce": self.server.nonce().await });
        self.server.post(url, self.sign(&header, payload)).await
    }

    pub(crate) async fn post_json(&self, url: &str, payload: Value) -> Answer {
        self.post(url, payload.to_string().as_bytes()).await
    }

    /// POST-as-GET.
    pub(crate) async fn read(&self, url: &str) -> Answer {
        self.post(url, b"").await
    }

    pub(crate) async fn order(&self, payload: Value) -> Answer {
        self.post_json(&format!("{BASE}/acme/new-order"), payload).await
    }

    /// An order for these DNS names: its URL and itself.
    pub(crate) async fn order_names(&self, names: &[&str]) -> (String, Value) {
        let identifiers: Vec<_> = names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let answer = self.order(json!({ "identifiers": identifiers })).await.ok();
        assert_eq!(answer.status, StatusCode::CREATED);
        (answer.header("location"), answer.json())
    }

    /// The challenge of this kind of an order's authorization.
    pub(crate) async fn challenge(&self, order: &Value, index: usize, kind: &str) -> Value {
        let authorization = self.read(order["authorizations"][index].as_str().unwrap()).await.ok().json();
        let challenges = authorization["challenges"].as_array().unwrap();
        challenges.iter().find(|challenge| challenge["type"] == kind).unwrap().clone()
    }

    /// Answers a challenge and waits for its verdict.
    pub(crate) async fn answer(&self, challenge: &Value) -> Value {
        let url = challenge["url"].as_str().unwrap();
        self.post(url, b"{}").await.ok();
        loop {
            let challenge = self.read(url).await.ok().json();
            if challenge["status"] != "processing" {
                return challenge;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Shows every name of an order by http-01.
    pub(crate) async fn show_all(&self, world: &World, order: &Value) {
        for index in 0..order["authorizations"].as_array().unwrap().len() {
            let challenge = self.challenge(order, index, "http-01").await;
            let token = challenge["token"].as_str().unwrap();
            world.page(token, &format!("{token}.{}\n", self.thumbprint()));
            let shown = self.answer(&challenge).await;
            assert_eq!(shown["status"], "valid", "{shown}");
        }
    }

    pub(crate) async fn finalize(&self, order: &Value, csr: &[u8]) -> Answer {
        self.post_json(order["finalize"].as_str().unwrap(), json!({ "csr": b64(csr) })).await
    }

    /// A whole order by http-01: its URL, and the certificate's chain.
    pub(crate) async fn certificate(&self, world: &World, names: &[&str]) -> (String, Vec<pki::Certificate>) {
        let (url, order) = self.order_names(names).await;
        self.show_all(world, &order).await;
        let done = self.finalize(&order, &csr(names)).await.ok().json();
        assert_eq!(done["status"], "valid", "{done}");
        let pem = self.read(done["certificate"].as_str().unwrap()).await.ok();
        assert_eq!(pem.header("content-type"), "application/pem-certificate-chain");
        (url, chain(&pem.body))
    }
}

pub(crate) fn chain(pem: &[u8]) -> Vec<pki::Certificate> {
    let blocks = pki::pem::read(pem).unwrap();
    blocks.iter().map(|block| pki::Certificate::from_der(&block.der).unwrap()).collect()
}

/// A request for these names with a new key.
pub(crate) fn csr(names: &[&str]) -> Vec<u8> {
    csr_of(names, &TestKey::p256())
}

pub(crate) fn csr_of(names: &[&str], key: &TestKey) -> Vec<u8> {
    let alternative = names.iter().map(|name| match name.parse::<IpAddr>() {
        Ok(ip) => GeneralName::Ip(ip),
        Err(_) => GeneralName::Dns((*name).to_owned()),
    });
    build_request(&SubjectNames { alternative: alternative.collect(), ..SubjectNames::default() }, key)
        .unwrap()
}

/// The answers that are still to be given, by name and type.
type Records = Arc<Mutex<BTreeMap<(String, u16), Vec<Vec<u8>>>>>;

/// A resolver and a web server on loopback.
pub(crate) struct World {
    pub(crate) dns: SocketAddr,
    pub(crate) http: u16,
    records: Records,
    pages: Arc<Mutex<BTreeMap<String, String>>>,
    /// How many questions, and how many connections, there were.
    pub(crate) questions: Arc<AtomicUsize>,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl World {
    /// One in which every name is at 127.0.0.1 and nothing is known else.
    pub(crate) async fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let world = World {
            dns: socket.local_addr().unwrap(),
            http: listener.local_addr().unwrap().port(),
            records: Arc::default(),
            pages: Arc::default(),
            questions: Arc::default(),
            connections: Arc::default(),
        };
        tokio::spawn(answer_questions(socket, Arc::clone(&world.records), Arc::clone(&world.questions)));
        tokio::spawn(serve_pages(listener, Arc::clone(&world.pages), Arc::clone(&world.connections)));
        world
    }

    /// What the n-th question for a name and type is answered with; the last answer is given from then on.
    pub(crate) fn record(&self, name: &str, kind: u16, data: &[u8]) {
        self.records.lock().unwrap().entry((name.to_owned(), kind)).or_default().push(data.to_vec());
    }

    pub(crate) fn text(&self, name: &str, text: &str) {
        let data = [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        self.record(name, 16, &data);
    }

    /// What is at the path of a token: a body, or a Location where it begins with `>`.
    pub(crate) fn page(&self, token: &str, body: &str) {
        let path = format!("/.well-known/acme-challenge/{token}");
        self.pages.lock().unwrap().insert(path, body.to_owned());
    }

    pub(crate) fn asked(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }

    pub(crate) fn connected(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn answer_questions(socket: UdpSocket, records: Records, questions: Arc<AtomicUsize>) {
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let query = &buffer[..length];
        questions.fetch_add(1, Ordering::SeqCst);
        let (mut name, mut at) = (String::new(), 12);
        while query[at] != 0 {
            let label = &query[at + 1..at + 1 + usize::from(query[at])];
            name.push_str(std::str::from_utf8(label).unwrap());
            name.push('.');
            at += 1 + label.len();
        }
        let name = name.trim_end_matches('.').to_owned();
        let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        let data = {
            let mut records = records.lock().unwrap();
            match records.get_mut(&(name, kind)) {
                Some(answers) if answers.len() > 1 => Some(answers.remove(0)),
                Some(answers) => answers.first().cloned(),
                None if kind == 1 => Some(vec![127, 0, 0, 1]),
                None => None,
            }
        };
        let mut message = query[..at + 5].to_vec();
        message[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0]);
        if let Some(data) = data {
            message.extend_from_slice(&[0xc0, 12]);
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0, 1, 0, 0, 0, 1]);
            message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend_from_slice(&data);
        }
        let _ = socket.send_to(&message, from).await;
    }
}

async fn serve_pages(
    listener: TcpListener,
    pages: Arc<Mutex<BTreeMap<String, String>>>,
    connections: Arc<AtomicUsize>,
) {
    while let Ok((mut stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        let pages = Arc::clone(&pages);
        tokio::spawn(async move {
            let mut buffer = vec![0; 4096];
            let length = stream.read(&mut buffer).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let page = pages.lock().unwrap().get(path).cloned();
            let answer = match page.as_deref() {
                None => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
                Some(page) => match page.strip_prefix('>') {
                    Some(location) => {
                        format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
                    }
                    None => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len()),
                },
            };
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}

/// Only that the moment of the tests is named once.
pub(crate) fn now() -> Timestamp {
    testkit::now()
}

impl Client {
    /// A request for these names, with this client's key as the certificate's.
    pub(crate) fn csr(&self, names: &[&str]) -> Vec<u8> {
        struct Key<'a>(&'a EcdsaKeyPair, pki::key::PublicKey);
        impl pki::key::SigningKey for Key<'_> {
            fn public_key(&self) -> &pki::key::PublicKey {
                &self.1
            }
            fn sign(&self, message: &[u8]) -> Result<Vec<u8>, pki::key::SignError> {
                let fixed = self.0.sign(&SystemRandom::new(), message).unwrap();
                let mut writer = pki::der::Writer::new();
                writer.nested(pki::der::tag::SEQUENCE, |w| {
                    w.integer(&fixed.as_ref()[..32]);
                    w.integer(&fixed.as_ref()[32..]);
                });
                Ok(writer.into_bytes())
            }
        }
        let mut writer = pki::der::Writer::new();
        writer.nested(pki::der::tag::SEQUENCE, |w| {
            w.nested(pki::der::tag::SEQUENCE, |w| {
                w.object_identifier(&pki::oid::EC_PUBLIC_KEY);
                w.object_identifier(&pki::oid::SECP256R1);
            });
            w.octet_bit_string(self.pair.public_key().as_ref());
        });
        let public = pki::key::PublicKey::from_spki_der(&writer.into_bytes()).unwrap();
        let alternative = names.iter().map(|name| GeneralName::Dns((*name).to_owned())).collect();
        let names = SubjectNames { alternative, ..SubjectNames::default() };
        build_request(&names, &Key(&self.pair, public)).unwrap()
    }
}
