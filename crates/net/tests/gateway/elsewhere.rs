//! Keys that sign in a token or behind a service, which may take long. All of it runs on one thread, so that whatever
//! waited for a signature there would hold up everything, and these tests would not end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use net::serve::Handler;
use net::tls::Credentials;
use pki::key::{PublicKey, SignError, SignatureAlgorithm, SigningKey};
use testkit::{KeyKind, TestCa, TestIdentity, TestOrder};

use crate::common::*;

/// A key whose first signature waits until it is let go.
struct Slow {
    identity: TestIdentity,
    signatures: AtomicUsize,
    begun: Sender<()>,
    go: Mutex<Receiver<()>>,
}

impl SigningKey for Slow {
    fn public_key(&self) -> &PublicKey {
        self.identity.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.signatures.fetch_add(1, Ordering::SeqCst) == 0 {
            self.begun.send(()).unwrap();
            self.go.lock().unwrap().recv().unwrap();
        }
        self.identity.key.sign(message)
    }

    fn is_elsewhere(&self) -> bool {
        true
    }
}

/// The credentials, what tells that the first signature has begun, and what lets it go.
fn slow(identity: TestIdentity) -> (Credentials, Receiver<()>, Sender<()>) {
    let ((begun, has_begun), (let_go, go)) = (channel(), channel());
    let chain = std::iter::once(&identity.certificate).chain(&identity.chain).cloned().collect();
    let key = Slow { identity, signatures: AtomicUsize::new(0), begun, go: Mutex::new(go) };
    (Credentials::with_signer(chain, Arc::new(key)).unwrap(), has_begun, let_go)
}

/// Waits without holding up the thread.
async fn wait_for(has_begun: Receiver<()>) {
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_slow_token_of_the_server_keeps_one_client_waiting_and_nobody_else() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    for versions in [TLS13, TLS12] {
        let (credentials, has_begun, let_go) = slow(ca.issue_server(&["localhost"]));
        let mut snapshot = snapshot(&ca);
        snapshot.credentials = credentials;
        let server = TestServer::start(snapshot, Handler::Identity).await;
        let mut options = client(&ca, Some(&alice));
        options.tls.versions = versions;
        let waiting = {
            let (url, options) = (server.url("/"), options.clone());
            tokio::spawn(async move { net::fetch::fetch(net::fetch::Request::get(url), &options).await })
        };
        wait_for(has_begun).await;
        for _ in 0..3 {
            assert_eq!(get(&server, "/", &options).await.unwrap().status(), 200);
        }
        assert!(!waiting.is_finished());
        let_go.send(()).unwrap();
        assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_slow_token_of_a_client_holds_up_nobody_on_its_thread() {
    let ca = TestCa::new();
    let server = TestServer::start(snapshot(&ca), Handler::Identity).await;
    let (credentials, has_begun, let_go) = slow(ca.issue_client("alice"));
    let mut options = client(&ca, None);
    options.tls.credentials = Some(credentials);
    let waiting = {
        let (url, options) = (server.url("/"), options.clone());
        tokio::spawn(async move { net::fetch::fetch(net::fetch::Request::get(url), &options).await })
    };
    wait_for(has_begun).await;
    assert_eq!(get(&server, "/", &client(&ca, Some(&ca.issue_client("alice")))).await.unwrap().status(), 200);
    assert!(!waiting.is_finished());
    let_go.send(()).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}

/// A token that refuses.
struct Refusing(TestIdentity);

impl SigningKey for Refusing {
    fn public_key(&self) -> &PublicKey {
        self.0.key.public_key()
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(SignError::Refused("the token was taken away".to_owned()))
    }

    fn sign_with(&self, _: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.sign(message)
    }

    fn is_elsewhere(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_token_that_refuses_ends_the_handshake_with_its_reason_in_the_log() {
    let ca = TestCa::new();
    let identity = ca.issue_server(&["localhost"]);
    let chain = std::iter::once(&identity.certificate).chain(&identity.chain).cloned().collect();
    let mut snapshot = snapshot(&ca);
    snapshot.credentials = Credentials::with_signer(chain, Arc::new(Refusing(identity))).unwrap();
    let server = TestServer::start(snapshot, Handler::Identity).await;
    get(&server, "/", &client(&ca, Some(&ca.issue_client("alice")))).await.unwrap_err();
    let record = server.refusal().await;
    assert!(record.finding.summary.contains("the token was taken away"), "{}", record.finding);
}

/// A token that makes RSA signatures of the old form alone, as old cards do.
struct OldRsa(TestIdentity);

impl SigningKey for OldRsa {
    fn public_key(&self) -> &PublicKey {
        self.0.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0.key.sign(message)
    }

    fn signature_algorithms(&self) -> Vec<SignatureAlgorithm> {
        vec![SignatureAlgorithm::RsaPkcs1Sha256]
    }

    fn is_elsewhere(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_token_without_rsa_pss_serves_tls_1_2_and_no_tls_1_3() {
    let ca = TestCa::new();
    let identity = ca.issue(TestOrder::server(&["localhost"]).key_kind(KeyKind::Rsa2048));
    let chain = std::iter::once(&identity.certificate).chain(&identity.chain).cloned().collect();
    let mut snapshot = snapshot(&ca);
    snapshot.credentials = Credentials::with_signer(chain, Arc::new(OldRsa(identity))).unwrap();
    let server = TestServer::start(snapshot, Handler::Identity).await;
    let mut options = client(&ca, Some(&ca.issue_client("alice")));
    options.tls.versions = TLS12;
    assert_eq!(get(&server, "/", &options).await.unwrap().status(), 200);
    // RFC 8446 section 4.2.3: RSASSA-PKCS1-v1_5 signs no handshake of TLS 1.3.
    options.tls.versions = TLS13;
    get(&server, "/", &options).await.unwrap_err();
}
