//! How control of a name is looked at, and what does not count as control.

use std::net::Ipv4Addr;
use std::sync::Arc;

use pki::der::{Writer, tag};
use pki::oid::Oid;
use serde_json::{Value, json};
use service::acme::Settings;
use testkit::{RawCertificate, TestKey};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::support::*;

/// The verdict on a page at the place where a key authorization belongs.
async fn http(page: impl FnOnce(&World, &Value, &Client) -> String) -> Value {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let client = Client::new(&server).await;
    let (_, order) = client.order_names(&["a.test"]).await;
    let challenge = client.challenge(&order, 0, "http-01").await;
    let text = page(&world, &challenge, &client);
    world.page(challenge["token"].as_str().unwrap(), &text);
    client.answer(&challenge).await
}

fn key_authorization(challenge: &Value, client: &Client) -> String {
    format!("{}.{}", challenge["token"].as_str().unwrap(), client.thumbprint())
}

#[tokio::test]
async fn page_is_the_key_authorization_and_nothing_else() {
    let right = http(|_, challenge, client| key_authorization(challenge, client)).await;
    assert_eq!(right["status"], "valid");
    assert!(right["validated"].is_string());
    let wrong = http(|_, challenge, _| challenge["token"].as_str().unwrap().to_owned()).await;
    assert_eq!(wrong["error"]["type"], "urn:ietf:params:acme:error:unauthorized");
    let more =
        http(|_, challenge, client| format!("{} and more", key_authorization(challenge, client))).await;
    assert_eq!(more["status"], "invalid");
    let large = http(|_, challenge, client| key_authorization(challenge, client) + &" ".repeat(10_000)).await;
    assert!(large["error"]["detail"].as_str().unwrap().contains("more than 4096"), "{large}");
}

#[tokio::test]
async fn redirections_are_followed_to_the_ports_of_the_web_and_to_permitted_addresses_alone() {
    let to = |location: &'static str| http(move |_, _, _| format!(">{location}"));
    let followed = http(|world, challenge, client| {
        world.page("elsewhere", &key_authorization(challenge, client));
        ">http://b.test/.well-known/acme-challenge/elsewhere".to_owned()
    });
    assert_eq!(followed.await["status"], "valid");
    let port = to("http://b.test:22/").await;
    assert!(port["error"]["detail"].as_str().unwrap().contains("only 80 and 443"), "{port}");
    for forbidden in ["http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/"] {
        let refused = to(forbidden).await;
        assert_eq!(refused["error"]["type"], "urn:ietf:params:acme:error:rejectedIdentifier", "{forbidden}");
    }
    for none in ["ftp://b.test/", "file:///etc/passwd", "http://user:pw@b.test/", "gopher://127.0.0.1:25/x"] {
        assert_eq!(to(none).await["status"], "invalid", "{none}");
    }
    let circle = http(|_, challenge, _| {
        format!(">http://a.test/.well-known/acme-challenge/{}", challenge["token"].as_str().unwrap())
    });
    assert!(circle.await["error"]["detail"].as_str().unwrap().contains("redirects more than 10 times"));
}

#[tokio::test]
async fn nothing_listening_and_no_name_are_told_apart() {
    let world = World::new().await;
    let server = Server::new(Settings { http_port: 1, ..settings(&world) });
    let client = Client::new(&server).await;
    let (_, order) = client.order_names(&["a.test"]).await;
    let shown = client.answer(&client.challenge(&order, 0, "http-01").await).await;
    assert_eq!(shown["error"]["type"], "urn:ietf:params:acme:error:connection");
    world.record("_acme-challenge.b.test", 16, b"\x05wrong");
    let (_, order) = client.order_names(&["b.test"]).await;
    let shown = client.answer(&client.challenge(&order, 0, "dns-01").await).await;
    assert_eq!(shown["error"]["type"], "urn:ietf:params:acme:error:unauthorized");
    assert!(shown["error"]["detail"].as_str().unwrap().contains("'wrong'"), "{shown}");
}

/// A TLS server that shows a certificate of this kind for one connection.
async fn tls_server(name: &str, hash: &[u8], protocol: &[u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut value = Writer::new();
    value.primitive(tag::OCTET_STRING, hash);
    let oid = Oid::from_dotted("1.3.6.1.5.5.7.1.31").unwrap();
    let key = TestKey::p256();
    let der =
        RawCertificate::server(name).key(&key).extension(oid, true, value.into_bytes()).der_self_signed();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8_der().to_vec()));
    let certified = CertifiedKey::new(vec![CertificateDer::from(der)], any_supported_type(&key).unwrap());
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        // Not `with_single_cert`, which refuses a critical extension that it does not know.
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![protocol.to_vec()];
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    });
    port
}

#[tokio::test]
async fn tls_alpn_shows_the_name_and_the_hash_over_its_own_protocol() {
    for (name, right_hash, protocol, expected) in [
        ("a.test", true, &b"acme-tls/1"[..], "valid"),
        ("a.test", false, b"acme-tls/1", "invalid"),
        ("b.test", true, b"acme-tls/1", "invalid"),
        ("a.test", true, b"h2", "invalid"),
    ] {
        let world = World::new().await;
        // The hash is of a token that is known only when the order is made; the server comes before its port is asked.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server::new(Settings { tls_alpn_port: port, ..settings(&world) });
        let client = Client::new(&server).await;
        let (_, order) = client.order_names(&["a.test"]).await;
        let challenge = client.challenge(&order, 0, "tls-alpn-01").await;
        let mut hash = pki::sha256(key_authorization(&challenge, &client).as_bytes());
        hash[0] ^= u8::from(!right_hash);
        let behind = tls_server(name, &hash, protocol).await;
        forward(listener, behind);
        let shown = client.answer(&challenge).await;
        assert_eq!(shown["status"], expected, "{name} {protocol:?}: {shown}");
    }
}

/// Passes one connection on to another port.
fn forward(listener: std::net::TcpListener, port: u16) {
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
}

#[tokio::test]
async fn caa_records_are_heeded_where_the_authority_has_a_name() {
    for (record, expected) in
        [(&b"\x00\x05issueca.test"[..], "valid"), (b"\x00\x05issueother.test", "invalid")]
    {
        let world = World::new().await;
        world.record("a.test", 257, record);
        let server = Server::new(Settings { caa_identities: vec!["ca.test".to_owned()], ..settings(&world) });
        let client = Client::new(&server).await;
        let (_, order) = client.order_names(&["deep.a.test"]).await;
        let challenge = client.challenge(&order, 0, "http-01").await;
        world.page(challenge["token"].as_str().unwrap(), &key_authorization(&challenge, &client));
        let shown = client.answer(&challenge).await;
        assert_eq!(shown["status"], expected, "{shown}");
    }
}

#[tokio::test]
async fn challenge_is_looked_at_again_before_it_fails() {
    let world = World::new().await;
    let server = Server::new(Settings { attempts: 3, ..settings(&world) });
    let client = Client::new(&server).await;
    let (_, order) = client.order_names(&["a.test"]).await;
    let challenge = client.challenge(&order, 0, "dns-01").await;
    // The record comes up late: the first look finds an old one.
    world.text("_acme-challenge.a.test", "old");
    world
        .text("_acme-challenge.a.test", &b64(pki::sha256(key_authorization(&challenge, &client).as_bytes())));
    assert_eq!(client.answer(&challenge).await["status"], "valid");
}

#[tokio::test]
async fn failed_order_says_why_and_a_new_one_can_be_made() {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let client = Client::new(&server).await;
    let (url, order) = client.order_names(&["a.test"]).await;
    client.answer(&client.challenge(&order, 0, "http-01").await).await;
    let failed = client.read(&url).await.ok().json();
    assert_eq!(failed["status"], "invalid");
    assert!(failed["error"]["detail"].as_str().unwrap().contains("404"), "{failed}");
    assert_eq!(client.finalize(&order, &csr(&["a.test"])).await.error(), "orderNotReady");
    client.certificate(&world, &["a.test"]).await;
    let (_, order) = client.order_names(&["b.test"]).await;
    let authorization = order["authorizations"][0].as_str().unwrap();
    let given_up = client.post_json(authorization, json!({ "status": "deactivated" })).await.ok().json();
    assert_eq!(given_up["status"], "deactivated");
}
