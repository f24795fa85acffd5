//! Routes by host and path, certificates by server name, and what each route wants of a client.

use std::sync::Arc;

use net::fetch::{FetchError, HttpVersion, Request, fetch};
use net::serve::{Directory, Handler, HostPattern, Route, WithoutCertificate};
use net::snapshot::{ClientAuth, Snapshot};
use pki::policy::{Policy, Rule};
use testkit::TestCa;

use crate::common::*;

fn route(host: Option<&str>, path: &str, handler: &Arc<Handler>) -> Route {
    let mut route = Route::everything(Arc::clone(handler));
    route.name = path.into();
    route.host = host.map(|host| HostPattern::parse(host).unwrap());
    route.path = path.to_owned();
    route
}

/// A page for everyone with a certificate, `/pay` for bob alone, `/open` for anyone, `/shut` without a word.
fn many(ca: &TestCa) -> Snapshot {
    let identity = Arc::new(Handler::Identity);
    let mut snapshot = snapshot(ca);
    snapshot.client_auth = ClientAuth::Optional { allow_anonymous: false };
    let mut pay = route(None, "/pay", &identity);
    pay.policy = Some(Policy::new(vec![Rule::parse("cn", "bob").unwrap()]));
    let mut open = route(None, "/open", &identity);
    open.without_certificate = Some(WithoutCertificate::Allow);
    let mut shut = route(None, "/shut", &identity);
    shut.without_certificate = Some(WithoutCertificate::Abort);
    snapshot.routes = vec![route(None, "/", &identity), pay, open, shut];
    snapshot
}

#[tokio::test]
async fn each_route_has_its_own_policy_and_its_own_word_on_certificates() {
    let ca = TestCa::new();
    let (alice, bob) = (ca.issue_client("alice"), ca.issue_client("bob"));
    let server = TestServer::start(many(&ca), Handler::Identity).await;
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        for (identity, path, status) in [
            (Some(&alice), "/", 200),
            (Some(&alice), "/pay", 403),
            (Some(&alice), "/pay/now", 403),
            (Some(&alice), "/payments", 200),
            (Some(&bob), "/", 403),
            (Some(&bob), "/pay/now?x=/", 200),
            (Some(&alice), "/open", 200),
            (None, "/", 403),
            (None, "/pay", 403),
            (None, "/open/x", 200),
        ] {
            let mut options = client(&ca, identity);
            options.http = http;
            let response = get(&server, path, &options).await.unwrap();
            let who = identity.map(|identity| identity.certificate.short_name());
            assert_eq!(response.status(), status, "{http:?} {who:?} {path}");
        }
        let mut options = client(&ca, None);
        options.http = http;
        let error = get(&server, "/shut", &options).await.unwrap_err();
        assert!(!matches!(error, FetchError::Handshake(_)), "{http:?} {error:?}");
    }
}

#[tokio::test]
async fn a_path_of_two_meanings_reaches_no_route() {
    let ca = TestCa::new();
    let server = TestServer::start(many(&ca), Handler::Identity).await;
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    for path in [
        "/open/../pay",
        "/open/%2e%2e/pay",
        "//pay",
        "/open/..%2fpay",
        "/%70ay",
        "/open/..;/pay",
        "/open\\..\\pay",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = super::smuggling::raw(&server, &alice, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("ambiguous_path"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn hosts_are_told_apart_and_an_unknown_one_has_no_route() {
    let ca = TestCa::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("who"), "a file").unwrap();
    let files = Arc::new(Handler::Directory(Directory::open(folder.path()).unwrap()));
    let identity = Arc::new(Handler::Identity);
    let mut snapshot = snapshot(&ca);
    snapshot.routes = vec![
        route(Some("files.test"), "/", &files),
        route(Some("*.pages.test"), "/", &identity),
        route(Some("a.pages.test"), "/", &files),
    ];
    let server = TestServer::start(snapshot, Handler::Identity).await;
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    for (host, expected) in [
        ("files.test", "a file"),
        ("FILES.test:8443", "a file"),
        ("files.test.", "a file"),
        ("b.pages.test", "hello, alice"),
        ("a.pages.test", "a file"),
        ("pages.test", "no_route"),
        ("other.test", "no_route"),
    ] {
        let mut request = Request::get(server.url("/who"));
        request.headers.insert("host", host.parse().unwrap());
        let mut options = alice.clone();
        options.http = HttpVersion::Http1;
        let answer = text(fetch(request, &options).await.unwrap()).await;
        assert!(answer.contains(expected), "{host}: {answer}");
    }
}

#[tokio::test]
async fn the_certificate_is_the_one_for_the_name_that_is_asked_for() {
    let ca = TestCa::new();
    let mut snapshot = snapshot(&ca);
    let other = ca.issue_server(&["other.localhost"]);
    snapshot.more_credentials = vec![credentials(&other)];
    let server = TestServer::start(snapshot, Handler::Identity).await;
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    for host in ["localhost", "other.localhost"] {
        let url = net::url::Url::parse(&format!("https://{host}:{}/", server.address.port())).unwrap();
        // Verified by name, so the wrong certificate would be a failure.
        let response = fetch(Request::get(url), &alice).await.unwrap();
        assert_eq!(response.status(), 200, "{host}");
    }
}
