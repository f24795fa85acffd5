//! What is tried against ACME, each attempt beside the same request without the trick, which is let in.

use http::{Request, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use service::acme::Settings;
use testkit::TestKey;

use crate::support::*;

async fn start() -> (World, Server, Client) {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let client = Client::new(&server).await;
    (world, server, client)
}

fn header(client: &Client, url: &str, nonce: &str) -> Value {
    json!({ "alg": "ES256", "url": url, "kid": client.kid, "nonce": nonce })
}

#[tokio::test]
async fn nonce_is_good_once() {
    let (_, server, client) = start().await;
    let nonce = server.nonce().await;
    let request = client.sign(&header(&client, &client.kid, &nonce), b"");
    server.post(&client.kid, request.clone()).await.ok();
    let replay = server.post(&client.kid, request).await;
    assert_eq!((replay.status, replay.error()), (StatusCode::BAD_REQUEST, "badNonce".to_owned()));
    assert!(!replay.header("replay-nonce").is_empty(), "the refusal brings a fresh one");
    let again = client.sign(&header(&client, &client.kid, &nonce), b"{}");
    assert_eq!(server.post(&client.kid, again).await.error(), "badNonce", "in another request as well");
    for made_up in ["", "AAAA", "bm90IG91cnM"] {
        let request = client.sign(&header(&client, &client.kid, made_up), b"");
        assert_eq!(server.post(&client.kid, request).await.error(), "badNonce", "{made_up}");
    }
    let none = client.sign(&json!({ "alg": "ES256", "url": client.kid, "kid": client.kid }), b"");
    assert_eq!(server.post(&client.kid, none).await.error(), "badNonce");
}

#[tokio::test]
async fn nonce_of_one_replica_is_good_once_at_all_of_them() {
    let world = World::new().await;
    let store: std::sync::Arc<dyn ca::Store> = std::sync::Arc::new(store::MemoryStore::new());
    let shared = Settings { shared: true, ..settings(&world) };
    let one = Server::on(store, shared.clone());
    let two = one.replica(shared);
    let client = Client::new(&one).await;
    let nonce = two.nonce().await;
    let request = client.sign(&header(&client, &client.kid, &nonce), b"");
    one.post(&client.kid, request.clone()).await.ok();
    assert_eq!(two.post(&client.kid, request).await.error(), "badNonce");
}

#[tokio::test]
async fn algorithm_follows_from_the_key_whatever_the_header_says() {
    let (_, server, client) = start().await;
    let right = header(&client, &client.kid, &server.nonce().await);
    server.post(&client.kid, client.sign(&right, b"")).await.ok();
    for algorithm in ["none", "HS256", "RS256", "ES384", "EdDSA", "es256"] {
        let mut header = header(&client, &client.kid, &server.nonce().await);
        header["alg"] = json!(algorithm);
        let refused = server.post(&client.kid, client.sign(&header, b"")).await;
        assert_eq!(refused.error(), "badSignatureAlgorithm", "{algorithm}");
        assert!(refused.json()["algorithms"].as_array().unwrap().contains(&json!("ES256")));
    }
    // An octet sequence as a key is a MAC key.
    let url = format!("{BASE}/acme/new-account");
    let jwk = json!({ "kty": "oct", "k": "c2VjcmV0" });
    let header = json!({ "alg": "HS256", "url": url, "jwk": jwk, "nonce": server.nonce().await });
    assert_eq!(server.post(&url, client.sign(&header, b"{}")).await.error(), "badPublicKey");
}

#[tokio::test]
async fn request_for_one_url_is_nothing_at_another() {
    let (_, server, client) = start().await;
    let (order, _) = client.order_names(&["a.test"]).await;
    for other in [
        format!("{BASE}/acme/new-order"),
        format!("{order}/"),
        order.replace("https", "http"),
        "x".to_owned(),
    ] {
        let request = client.sign(&header(&client, &other, &server.nonce().await), b"");
        assert_eq!(server.post(&order, request).await.error(), "unauthorized", "{other}");
    }
    server.post(&order, client.sign(&header(&client, &order, &server.nonce().await), b"")).await.ok();
}

#[tokio::test]
async fn signature_of_one_account_is_nothing_under_the_name_of_another() {
    let (_, server, client) = start().await;
    let other = Client::new(&server).await;
    let nonce = server.nonce().await;
    let forged = client.sign(&header(&other, &other.kid, &nonce), b"");
    assert_eq!(server.post(&other.kid, forged).await.error(), "malformed");
    let id = client.kid.rsplit('/').next().unwrap();
    for kid in [
        id.to_owned(),
        format!("https://evil.test/acme/account/{id}"),
        format!("{}x", client.kid),
        String::new(),
    ] {
        let header = json!({ "alg": "ES256", "url": client.kid, "kid": kid, "nonce": server.nonce().await });
        assert_eq!(
            server.post(&client.kid, client.sign(&header, b"")).await.error(),
            "accountDoesNotExist",
            "{kid}"
        );
    }
}

#[tokio::test]
async fn nothing_of_one_account_is_seen_or_moved_by_another() {
    let (world, server, client) = start().await;
    let other = Client::new(&server).await;
    let (order_url, order) = client.order_names(&["a.test"]).await;
    let challenge = client.challenge(&order, 0, "http-01").await;
    let authorization = order["authorizations"][0].as_str().unwrap();
    let challenge_url = challenge["url"].as_str().unwrap();
    assert_eq!(other.read(&order_url).await.error(), "unauthorized");
    assert_eq!(other.read(authorization).await.error(), "unauthorized");
    assert_eq!(
        other.post_json(authorization, json!({ "status": "deactivated" })).await.error(),
        "unauthorized"
    );
    assert_eq!(other.read(challenge_url).await.error(), "unauthorized");
    assert_eq!(other.post(challenge_url, b"{}").await.error(), "unauthorized");
    assert_eq!(other.read(&client.kid).await.error(), "unauthorized");
    assert_eq!(
        other.post_json(&client.kid, json!({ "status": "deactivated" })).await.error(),
        "unauthorized"
    );
    assert_eq!(other.read(&format!("{}/orders", client.kid)).await.error(), "unauthorized");
    client.show_all(&world, &order).await;
    assert_eq!(other.finalize(&order, &csr(&["a.test"])).await.error(), "unauthorized");
    let done = client.finalize(&order, &csr(&["a.test"])).await.ok().json();
    assert_eq!(other.read(done["certificate"].as_str().unwrap()).await.error(), "unauthorized");
    // The same answers for what does not exist: nobody learns which orders there are.
    let missing = order_url.replace(|c: char| c.is_ascii_digit(), "0");
    let (hidden, none) = (other.read(&order_url).await, other.read(&missing).await);
    assert_eq!(hidden.detail(), none.detail());
}

#[tokio::test]
async fn validation_reaches_nothing_inside_unless_permitted() {
    let world = World::new().await;
    for (permits, expected) in [(vec!["127.0.0.0/8".parse().unwrap()], "valid"), (Vec::new(), "invalid")] {
        let server = Server::new(Settings { permits, ..settings(&world) });
        let client = Client::new(&server).await;
        let (_, order) = client.order_names(&["inside.test"]).await;
        let challenge = client.challenge(&order, 0, "http-01").await;
        let token = challenge["token"].as_str().unwrap();
        world.page(token, &format!("{token}.{}", client.thumbprint()));
        let before = world.connected();
        let shown = client.answer(&challenge).await;
        assert_eq!(shown["status"], expected, "{shown}");
        if expected == "invalid" {
            assert_eq!(shown["error"]["type"], "urn:ietf:params:acme:error:rejectedIdentifier");
            assert_eq!(world.connected(), before, "not even a connection was tried");
        }
    }
    let server = Server::new(settings(&world));
    let client = Client::new(&server).await;
    for inside in ["10.0.0.1", "169.254.169.254", "::1", "fd00::1", "0.0.0.0", "::ffff:10.0.0.1"] {
        for kind in ["http-01", "tls-alpn-01"] {
            let answer =
                client.order(json!({ "identifiers": [{ "type": "ip", "value": inside }] })).await.ok();
            let shown = client.answer(&client.challenge(&answer.json(), 0, kind).await).await;
            assert_eq!(
                shown["error"]["type"], "urn:ietf:params:acme:error:rejectedIdentifier",
                "{inside} {kind}"
            );
        }
    }
}

#[tokio::test]
async fn name_that_moves_inside_after_it_was_checked_gains_nothing() {
    // The first answer is permitted, the next is not; then the other way round. What was checked is what is connected to.
    let world = World::new().await;
    let permits = vec!["127.0.0.1/32".parse().unwrap()];
    let server = Server::new(Settings { permits, ..settings(&world) });
    let client = Client::new(&server).await;
    for (name, first, then, expected) in [
        ("rebinds.test", [127, 0, 0, 1], [127, 0, 0, 2], "valid"),
        ("moves-in.test", [127, 0, 0, 2], [127, 0, 0, 1], "invalid"),
    ] {
        world.record(name, 1, &first);
        world.record(name, 1, &then);
        let (_, order) = client.order_names(&[name]).await;
        let challenge = client.challenge(&order, 0, "http-01").await;
        let token = challenge["token"].as_str().unwrap();
        world.page(token, &format!("{token}.{}", client.thumbprint()));
        let (asked, connected) = (world.asked(), world.connected());
        let shown = client.answer(&challenge).await;
        assert_eq!(shown["status"], expected, "{name}: {shown}");
        assert_eq!(world.asked() - asked, 2, "A and AAAA, each once");
        assert_eq!(world.connected() - connected, usize::from(expected == "valid"), "{name}");
    }
}

#[tokio::test]
async fn oversized_requests_and_names_are_refused() {
    let (world, server, client) = start().await;
    let names = |count: usize| -> Vec<Value> {
        (0..count).map(|index| json!({ "type": "dns", "value": format!("n{index}.test") })).collect()
    };
    client.order(json!({ "identifiers": names(100) })).await.ok();
    assert_eq!(client.order(json!({ "identifiers": names(101) })).await.error(), "malformed");
    assert_eq!(client.order(json!({ "identifiers": names(0) })).await.error(), "malformed");
    let long = format!("{}.test", ["a"; 200].join("."));
    let one = |value: &str| json!({ "identifiers": [{ "type": "dns", "value": value }] });
    assert_eq!(client.order(one(&long)).await.error(), "malformed");
    assert_eq!(client.order(one(&"a".repeat(64))).await.error(), "rejectedIdentifier");
    let several =
        json!({ "identifiers": [{ "type": "dns", "value": "a..test" }, { "type": "x", "value": "y" }] });
    let refused = client.order(several).await;
    assert_eq!(refused.error(), "compound");
    assert_eq!(refused.json()["subproblems"].as_array().unwrap().len(), 2);

    let (_, order) = client.order_names(&["a.test"]).await;
    client.show_all(&world, &order).await;
    let many: Vec<String> = (0..2000).map(|index| format!("n{index}.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let large = client.finalize(&order, &csr(&many)).await;
    assert_eq!(large.error(), "badCSR");
    let body = vec![b' '; 80 * 1024];
    let request = Request::post("/acme/new-order").header("content-type", "application/jose+json");
    let answer = server.send(request.body(body.into()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    client.finalize(&order, &csr(&["a.test"])).await.ok();
}

#[tokio::test]
async fn request_contributes_a_key_and_the_ordered_names_alone() {
    let (world, _, client) = start().await;
    let (_, order) = client.order_names(&["a.test"]).await;
    assert_eq!(client.finalize(&order, &csr(&["a.test"])).await.error(), "orderNotReady");
    client.show_all(&world, &order).await;
    for names in [&["a.test", "b.test"][..], &["b.test"], &["*.a.test"], &[], &["a.test", "10.0.0.1"]] {
        assert_eq!(client.finalize(&order, &csr(names)).await.error(), "badCSR", "{names:?}");
    }
    assert_eq!(client.finalize(&order, b"no request").await.error(), "badCSR");
    let mut broken = csr(&["a.test"]);
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(
        client.finalize(&order, &broken).await.error(),
        "badCSR",
        "nothing shows possession of the key"
    );
    let own = client.csr(&["a.test"]);
    assert!(client.finalize(&order, &own).await.detail().contains("key of the account"));
    let key = TestKey::p256();
    assert_eq!(client.finalize(&order, &csr_of(&["a.test"], &key)).await.ok().json()["status"], "valid");
    assert_eq!(
        client.finalize(&order, &csr(&["a.test"])).await.error(),
        "orderNotReady",
        "one order, one certificate"
    );
}

#[tokio::test]
async fn external_binding_is_needed_checked_and_spent() {
    let world = World::new().await;
    let required = vec![pki::Profile::Server];
    let server = Server::new(Settings { external_account_required: required, ..settings(&world) });
    assert_eq!(server.get("/acme/directory").await.json()["meta"]["externalAccountRequired"], true);
    let unbound = Client::new(&server).await;
    let order =
        |profile: &str| json!({ "identifiers": [{ "type": "dns", "value": "alice" }], "profile": profile });
    assert_eq!(unbound.order(order("server")).await.error(), "externalAccountRequired");
    assert_eq!(unbound.order(order("client")).await.error(), "externalAccountRequired");

    let (kid, mac) = server.binding("alice", &[]);
    let mut client = Client::key(&server);
    let wrong = [
        ("another MAC key", client.external_binding(&kid, &b64([7; 32]), "HS256"), "unauthorized"),
        ("another name", client.external_binding("nobody", &mac, "HS256"), "unauthorized"),
        ("no MAC", client.external_binding(&kid, &mac, "none"), "badSignatureAlgorithm"),
        ("another MAC", client.external_binding(&kid, &mac, "HS512"), "badSignatureAlgorithm"),
        ("somebody else's", Client::key(&server).external_binding(&kid, &mac, "HS256"), "malformed"),
    ];
    for (what, binding, expected) in wrong {
        let answer = client.register(json!({ "externalAccountBinding": binding })).await;
        assert_eq!(answer.error(), expected, "{what}");
    }
    let binding = client.external_binding(&kid, &mac, "HS256");
    client.register(json!({ "externalAccountBinding": binding })).await.ok();
    let mut second = Client::key(&server);
    let binding = second.external_binding(&kid, &mac, "HS256");
    let spent = second.register(json!({ "externalAccountBinding": binding })).await;
    assert!(spent.detail().contains("used already"), "{spent:?}");

    client.order(order("client")).await.ok();
    assert_eq!(client.order(order("server")).await.error(), "unauthorized");
    let foreign = json!({ "identifiers": [{ "type": "dns", "value": "bob" }] });
    assert_eq!(client.order(foreign).await.error(), "rejectedIdentifier");
    let store = std::sync::Arc::clone(server.state.authority().store());
    let by = ca::Who { actor: "tester", origin: "" };
    service::acme::revoke_binding(store, &kid, by, now()).unwrap();
    assert_eq!(client.order(order("client")).await.error(), "unauthorized");
}

#[tokio::test]
async fn partner_has_no_more_certificates_by_acme_than_by_invites() {
    let (_, server, _) = start().await;
    let store = server.state.store();
    let by = ca::Who { actor: "tester", origin: "" };
    let partner = ca::Partner { name: "acme".to_owned(), contact: None, most_certificates: 1 };
    partner.put(store, by, now()).unwrap();
    let identity =
        ca::Identity { label: "alice".to_owned(), partner: Some("acme".to_owned()), ..Default::default() };
    identity.put(store, by, now()).unwrap();
    let client = Client::bound(&server, "alice", &[]).await;
    let (_, first) = client.order_names(&["alice"]).await;
    client.finalize(&first, &csr(&["alice"])).await.ok();
    let (_, second) = client.order_names(&["alice"]).await;
    let refused = client.finalize(&second, &csr(&["alice"])).await;
    assert_eq!(refused.error(), "rateLimited");
    assert!(refused.detail().contains("may have 1"), "{refused:?}");
}

#[tokio::test]
async fn accounts_and_orders_are_limited() {
    let world = World::new().await;
    let limits = Settings { accounts_per_hour: 2, orders_per_hour: 3, ..settings(&world) };
    let server = Server::new(limits);
    let client = Client::new(&server).await;
    Client::new(&server).await;
    let refused = Client::key(&server).register(json!({})).await;
    assert_eq!(
        (refused.error(), refused.header("retry-after")),
        ("rateLimited".to_owned(), "3600".to_owned())
    );
    for _ in 0..3 {
        client.order_names(&["a.test"]).await;
    }
    let refused = client.order(json!({ "identifiers": [{ "type": "dns", "value": "a.test" }] })).await;
    assert_eq!((refused.status, refused.error()), (StatusCode::TOO_MANY_REQUESTS, "rateLimited".to_owned()));
}

#[tokio::test]
async fn wrong_shapes_are_answered_with_problems_and_never_with_a_fault() {
    let (_, server, client) = start().await;
    for body in [&b""[..], b"{", b"[]", b"null", b"{\"protected\":1}", b"\xff\xfe", b"a.b.c"] {
        let answer = server.post(&format!("{BASE}/acme/new-order"), body.to_vec()).await;
        assert_eq!(answer.error(), "malformed");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let plain = Request::post("/acme/new-order").header("content-type", "application/json");
    assert_eq!(
        server.send(plain.body("{}".into()).unwrap()).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let url = format!("{BASE}/acme/new-order");
    for payload in ["", "[]", "{}", "{\"identifiers\":{}}", "{\"identifiers\":[{}]}"] {
        assert_eq!(client.post(&url, payload.as_bytes()).await.error(), "malformed", "{payload}");
    }
    let order = |more: Value| {
        let mut payload = json!({ "identifiers": [{ "type": "dns", "value": "a.test" }] });
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    let late = (now() + SignedDuration::from_hours(48)).to_string();
    for more in [
        json!({ "notAfter": "tomorrow" }),
        json!({ "notAfter": "2001-01-01T00:00:00Z" }),
        json!({ "notBefore": late }),
        json!({ "replaces": "nonsense" }),
    ] {
        assert_eq!(client.order(order(more.clone())).await.error(), "malformed", "{more}");
    }
    assert_eq!(client.order(order(json!({ "profile": "root" }))).await.error(), "invalidProfile");
    assert_eq!(server.get("/acme/new-order").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let challenge = format!("{BASE}/acme/challenge/../../x/0/http-01");
    assert!(client.post(&challenge, b"{}").await.status.is_client_error());
}
