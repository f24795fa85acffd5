//! A load balancer in front that passes its clients' certificates on: believed at named addresses, in one thing alone.

use net::fetch::{HttpVersion, Options, Request, Response, fetch};
use net::serve::{AddressHeader, Dialect, Handler, IdentityFront, Upstream};
use net::snapshot::{ClientAuth, Snapshot};
use testkit::{TestCa, TestIdentity, TestOrder};

use crate::common::*;

/// A server that believes those at `from`, who show a certificate that the policy knows nothing of.
fn behind(ca: &TestCa, from: &str, dialect: Dialect) -> Snapshot {
    let mut snapshot = snapshot(ca);
    snapshot.identity_front = Some(IdentityFront {
        from: vec![from.parse().unwrap()],
        dialect,
        address: AddressHeader::XForwardedFor,
    });
    snapshot
}

fn told(certificate: &TestIdentity) -> Vec<(&'static str, String)> {
    use base64::Engine as _;
    let item = |der: &[u8]| format!(":{}:", base64::engine::general_purpose::STANDARD.encode(der));
    let chain: Vec<String> = certificate.chain.iter().map(|c| item(c.der())).collect();
    vec![("client-cert", item(certificate.certificate.der())), ("client-cert-chain", chain.join(", "))]
}

async fn ask(server: &TestServer, options: &Options, headers: &[(&'static str, String)]) -> Response {
    let mut request = Request::get(server.url("/"));
    for (name, value) in headers {
        request.headers.append(*name, value.parse().unwrap());
    }
    fetch(request, options).await.unwrap()
}

#[tokio::test]
async fn a_named_front_tells_who_the_client_is_and_the_client_is_judged_as_if_it_had_come_itself() {
    let ca = TestCa::new();
    let balancer = ca.issue_client("balancer");
    let alice = ca.issue_client("alice");
    let revoked = ca.issue_client("alice");
    let expired = ca.issue(TestOrder::client("alice").expired());
    let stranger = TestCa::new().named("Other").issue_client("alice");
    let server_only = ca.issue_server(&["alice"]);
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let mut snapshot = behind(&ca, "127.0.0.0/8", Dialect::Rfc9440);
        snapshot.crls = vec![ca.current_crl(&[&revoked.certificate])];
        let server = TestServer::start(snapshot, Handler::Identity).await;
        let mut front = client(&ca, Some(&balancer));
        front.http = version;
        let response = ask(&server, &front, &told(&alice)).await;
        assert_eq!(response.status(), 200);
        assert!(text(response).await.starts_with("hello, alice"));
        let cases = [
            (told(&revoked), 403, "certificate_revoked"),
            (told(&expired), 403, "certificate_expired"),
            (told(&stranger), 403, "unknown_issuer"),
            (told(&server_only), 403, "wrong_purpose"),
            (told(&ca.issue_client("bob")), 403, "not_allowed_by_policy"),
            // The front's own certificate is nobody's identity.
            (Vec::new(), 403, "no_client_certificate"),
            (vec![("client-cert", "nonsense".to_owned())], 400, "bad_request"),
        ];
        for (headers, status, code) in cases {
            let response = ask(&server, &front, &headers).await;
            assert_eq!(response.status(), status, "{version:?}, {code}");
            let body = text(response).await;
            assert!(body.contains(code), "{version:?}, {code}: {body}");
        }
    }
}

#[tokio::test]
async fn from_anywhere_else_such_a_header_says_nothing() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let server = TestServer::start(behind(&ca, "192.0.2.0/24", Dialect::Rfc9440), Handler::Identity).await;
    let mallory = client(&ca, Some(&ca.issue_client("mallory")));
    let response = ask(&server, &mallory, &told(&alice)).await;
    assert_eq!(response.status(), 403);
    assert!(text(response).await.contains("cn=mallory"), "it is mallory who is refused");
    // Nor does it take away who somebody is.
    let response = ask(&server, &client(&ca, Some(&alice)), &told(&ca.issue_client("bob"))).await;
    assert!(text(response).await.starts_with("hello, alice"));
}

#[tokio::test]
async fn one_gateway_behind_another_knows_the_client_of_the_first_in_each_dialect() {
    let ca = TestCa::new();
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    for dialect in [Dialect::Rfc9440, Dialect::Envoy, Dialect::Nginx, Dialect::Aws] {
        let mut inner = behind(&ca, "127.0.0.1", dialect);
        // Of the path only Client-Cert and AWS tell more than the leaf.
        inner.trust = pki::verify::TrustBundle::new(vec![
            ca.root().certificate.clone(),
            ca.issuing().certificate.clone(),
        ]);
        let inner = TestServer::start(inner, Handler::Identity).await;
        let mut tls = net::dial::TlsOptions::new(expectation(&ca));
        tls.credentials = Some(credentials(&ca.issue_client("outer")));
        let upstream = Upstream::parse(&format!("https://localhost:{}", inner.address.port())).unwrap();
        let upstream = upstream.tls(tls).dialects(vec![dialect]);
        let outer = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
        let response = get(&outer, "/", &alice).await.unwrap();
        assert_eq!(response.status(), 200, "{dialect:?}");
        assert!(text(response).await.starts_with("hello, alice"), "{dialect:?}");
        assert_eq!(inner.request().await.identity.as_deref(), Some("alice"));
    }
}

#[tokio::test]
async fn a_front_is_not_cut_off_because_no_rule_admits_it_itself() {
    let ca = TestCa::new();
    let alice = ca.issue_client("alice");
    let mut inner = behind(&ca, "127.0.0.1", Dialect::Rfc9440);
    inner.client_auth = ClientAuth::Optional { allow_anonymous: false };
    let server = TestServer::start(inner.clone(), Handler::Identity).await;
    for options in [client(&ca, None), client(&ca, Some(&ca.issue_client("balancer")))] {
        assert_eq!(ask(&server, &options, &told(&alice)).await.status(), 200);
        server.replace(inner.clone());
        assert_eq!(ask(&server, &options, &told(&alice)).await.status(), 200);
    }
}

#[tokio::test]
async fn in_tcp_mode_a_front_is_a_client_like_any_other_and_is_cut_off_like_one() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let ca = TestCa::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = net::serve::Target::parse(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
    let handler = Handler::Tcp(net::serve::TcpUpstream::new(vec![target]).unwrap());
    let server = TestServer::start(behind(&ca, "127.0.0.1", Dialect::Rfc9440), handler).await;
    let host = pki::name::ServerName::parse("localhost").unwrap();
    let transport =
        net::dial::connect(&host, server.address.port(), &net::dial::Route::default(), None).await.unwrap();
    let tls = client(&ca, Some(&ca.issue_client("alice"))).tls;
    let mut stream = net::dial::handshake::handshake(transport, &host, tls).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let (_service, _) = listener.accept().await.unwrap();
    let mut others_only = behind(&ca, "127.0.0.1", Dialect::Rfc9440);
    others_only.policy = pki::policy::Policy::new(vec![pki::policy::Rule::parse("cn", "bob").unwrap()]);
    server.replace(others_only);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection goes on");
}

/// What the service behind is told of where a request comes from, and what the log says.
async fn told_and_logged(
    front: Option<&str>,
    address: AddressHeader,
    headers: &[(&'static str, &str)],
    version: HttpVersion,
) -> (String, String, String) {
    let ca = TestCa::new();
    let (alice, balancer) = (ca.issue_client("alice"), ca.issue_client("balancer"));
    let mut inner = snapshot(&ca);
    if let Some(from) = front {
        let from = from.split(' ').map(|range| range.parse().unwrap()).collect();
        inner.identity_front = Some(IdentityFront { from, dialect: Dialect::Rfc9440, address });
    }
    let (upstream, mut heads) = service_that_tells().await;
    let server = TestServer::start(inner, Handler::Upstream(upstream)).await;
    let mut options = client(&ca, Some(if front.is_some() { &balancer } else { &alice }));
    options.http = version;
    let mut all: Vec<(&'static str, String)> = if front.is_some() { told(&alice) } else { Vec::new() };
    all.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
    assert_eq!(ask(&server, &options, &all).await.status(), 204);
    let head = heads.recv().await.unwrap().to_ascii_lowercase();
    let values = |name: &str| {
        let prefix = format!("{name}: ");
        head.lines().filter_map(|line| line.strip_prefix(&prefix)).collect::<Vec<_>>().join(" and ")
    };
    assert!(!head.contains("forwarded: for"), "{head}");
    let record = server.records(1).await.remove(0).json();
    let peer = record["peer"].as_str().unwrap().to_owned();
    (values("x-forwarded-for"), values("x-forwarded-proto"), peer)
}

/// A service that gives out the heads it gets.
async fn service_that_tells() -> (Upstream, tokio::sync::mpsc::UnboundedReceiver<String>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (sender, heads) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                if tcp.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let _ = sender.send(String::from_utf8_lossy(&head).into_owned());
            let _ = tcp.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        }
    });
    (upstream, heads)
}

#[tokio::test]
async fn the_client_comes_from_the_last_address_that_is_not_a_fronts_own() {
    use AddressHeader::{Forwarded, Nothing, XForwardedFor};
    const FRONTS: &str = "127.0.0.0/8 10.0.0.0/8 fd00::/8";
    type Case<'a> = (AddressHeader, &'a [(&'static str, &'a str)], &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (XForwardedFor, &[("x-forwarded-for", "203.0.113.7")], "203.0.113.7", "https"),
        (XForwardedFor, &[("x-forwarded-for", "203.0.113.7:4711")], "203.0.113.7", "https"),
        (XForwardedFor, &[("x-forwarded-for", "[2001:db8::7]:4711")], "2001:db8::7", "https"),
        (XForwardedFor, &[("x-forwarded-for", "::ffff:203.0.113.7")], "203.0.113.7", "https"),
        // What a client wrote itself stands before what the fronts append.
        (
            XForwardedFor,
            &[("x-forwarded-for", "10.9.9.9, 192.0.2.66, 203.0.113.7, 10.0.0.2")],
            "203.0.113.7",
            "https",
        ),
        (
            XForwardedFor,
            &[("x-forwarded-for", "192.0.2.66"), ("x-forwarded-for", "203.0.113.7,fd00::1")],
            "203.0.113.7",
            "https",
        ),
        // Fronts all the way: the first of them asks.
        (XForwardedFor, &[("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3", "https"),
        // What cannot be read ends the search at who told it.
        (XForwardedFor, &[("x-forwarded-for", "203.0.113.7, unknown, 10.0.0.2")], "10.0.0.2", "https"),
        (XForwardedFor, &[("x-forwarded-for", "203.0.113.7,")], "127.0.0.1", "https"),
        (XForwardedFor, &[], "127.0.0.1", "https"),
        (
            XForwardedFor,
            &[("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "http")],
            "203.0.113.7",
            "http",
        ),
        (
            XForwardedFor,
            &[("x-forwarded-proto", "http"), ("x-forwarded-proto", "https")],
            "127.0.0.1",
            "https",
        ),
        (XForwardedFor, &[("x-forwarded-proto", "gopher")], "127.0.0.1", "https"),
        // The other header is one that this front may pass on from anybody.
        (XForwardedFor, &[("forwarded", "for=192.0.2.66;proto=http")], "127.0.0.1", "https"),
        (
            Forwarded,
            &[("x-forwarded-for", "192.0.2.66"), ("x-forwarded-proto", "http")],
            "127.0.0.1",
            "https",
        ),
        (
            Nothing,
            &[("x-forwarded-for", "192.0.2.66"), ("forwarded", "for=192.0.2.66")],
            "127.0.0.1",
            "https",
        ),
        (Forwarded, &[("forwarded", "for=203.0.113.7;proto=http;by=10.0.0.1")], "203.0.113.7", "http"),
        (Forwarded, &[("forwarded", "For=\"[2001:db8::7]:4711\"; Proto=https")], "2001:db8::7", "https"),
        (
            Forwarded,
            &[("forwarded", "for=192.0.2.66;proto=http, for=203.0.113.7, for=10.0.0.2;proto=http")],
            "203.0.113.7",
            "https",
        ),
        (
            Forwarded,
            &[("forwarded", "for=192.0.2.66"), ("forwarded", "for=\"203.0.113.7\"")],
            "203.0.113.7",
            "https",
        ),
        (Forwarded, &[("forwarded", "for=192.0.2.66;host=\"a,for=192.0.2.67;b\"")], "192.0.2.66", "https"),
        (Forwarded, &[("forwarded", "for=203.0.113.7, for=_hidden")], "127.0.0.1", "https"),
        (Forwarded, &[("forwarded", "for=203.0.113.7;for=192.0.2.66")], "127.0.0.1", "https"),
    ];
    for (header, headers, address, scheme) in cases {
        for version in [HttpVersion::Http1, HttpVersion::Http2] {
            let (from, told_scheme, peer) = told_and_logged(Some(FRONTS), *header, headers, version).await;
            let case = format!("{header:?} {headers:?} {version:?}");
            assert_eq!((&*from, &*told_scheme), (*address, *scheme), "{case}");
            assert!(peer.trim_start_matches('[').starts_with(address), "{case}: {peer}");
        }
    }
}

#[tokio::test]
async fn from_anybody_else_no_header_tells_where_a_request_comes_from() {
    let claims = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "for=203.0.113.7"),
        ("x-real-ip", "203.0.113.7"),
    ];
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let (from, scheme, peer) =
            told_and_logged(None, AddressHeader::XForwardedFor, &claims, version).await;
        assert_eq!((&*from, &*scheme), ("127.0.0.1", "https"), "{version:?}");
        assert!(peer.starts_with("127.0.0.1:"), "{peer}");
    }
}
