//! The page "Try it", and the pages for whom it does not open.

use net::fetch::{Request, fetch};
use net::serve::{Handler, Route, WithoutCertificate};
use net::snapshot::{ClientAuth, RefusedClients, Snapshot};
use testkit::{TestCa, TestIdentity, TestOrder};

use crate::common::*;

/// A listener with the page at /try, and visitors who are told why it does not open.
fn tried(ca: &TestCa) -> Snapshot {
    let mut snapshot = snapshot(ca);
    snapshot.client_auth = ClientAuth::Optional { allow_anonymous: false };
    snapshot.refused_clients = RefusedClients::Page;
    let mut route = Route::everything(std::sync::Arc::new(Handler::TryIt));
    route.path = "/try".to_owned();
    route.without_certificate = Some(WithoutCertificate::Page);
    snapshot.routes = vec![route];
    snapshot
}

async fn page(
    server: &TestServer,
    ca: &TestCa,
    identity: Option<&TestIdentity>,
    accept: &str,
) -> (u16, String) {
    let mut request = Request::get(server.url("/try"));
    request.headers.insert("accept", accept.parse().unwrap());
    let response = fetch(request, &client(ca, identity)).await.unwrap();
    (response.status(), text(response).await)
}

#[tokio::test]
async fn the_lock_opens_for_alice_and_shows_both_chains_and_what_comes_next() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let server = TestServer::start(tried(&ca), Handler::TryIt).await;
    let (status, html) = page(&server, &ca, Some(&alice), "text/html").await;
    assert_eq!(status, 200);
    for part in [
        "The lock is open, alice",
        &alice.certificate.serial_hex(),
        "The root that the server believes",
        "localhost",
        "X25519MLKEM768",
        "TLSv1.3",
        "due for renewal",
        "is refused (certificate_expired): your certificate ends",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let (_, json) = page(&server, &ca, Some(&alice), "application/json").await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["chain"].as_array().unwrap().len(), 3, "{json}");
    assert_eq!(json["chain"][0]["serial"], alice.certificate.serial_hex());
    assert_eq!(json["server_certificate"]["subject_alt_name"][0], "DNS:localhost");
    assert_eq!(json["tls"]["version"], "TLSv1.3");
    let (_, plain) = page(&server, &ca, Some(&alice), "*/*").await;
    assert!(plain.starts_with("The lock is open, alice\n"), "{plain}");
}

#[tokio::test]
async fn who_is_not_let_in_reads_why_with_and_without_a_certificate() {
    let ca = TestCa::new();
    let cases = [
        (None, "no_client_certificate"),
        (Some(ca.issue_client("bob")), "not_allowed_by_policy"),
        (Some(ca.issue(TestOrder::client("alice").expired())), "certificate_expired"),
        (Some(TestCa::new().named("Other").issue_client("alice")), "unknown_issuer"),
    ];
    let server = TestServer::start(tried(&ca), Handler::TryIt).await;
    for (identity, code) in cases {
        let (status, html) = page(&server, &ca, identity.as_ref(), "text/html").await;
        assert_eq!(status, 403, "{code}");
        assert!(html.contains(code) && html.contains("What to do"), "{code}: {html}");
    }
}

#[tokio::test]
async fn a_name_in_a_certificate_is_text_on_the_pages_of_the_gateway() {
    let ca = TestCa::new();
    let hostile = "<script>alert(1)</script>\u{202e}";
    let named = [(true, ca.issue_client(hostile)), (false, ca.issue(TestOrder::client(hostile).expired()))];
    let mut snapshot = tried(&ca);
    snapshot.policy = pki::policy::Policy::new(vec![pki::policy::Rule::All]);
    let server = TestServer::start(snapshot, Handler::TryIt).await;
    for (is_good, identity) in named {
        let (status, html) = page(&server, &ca, Some(&identity), "text/html").await;
        assert_eq!(status == 200, is_good);
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script"), "{html}");
        // What turns text around stands in an element of its own.
        assert!(html.matches('\u{202e}').count() <= html.matches("<bdi").count() + 2, "{html}");
    }
}
