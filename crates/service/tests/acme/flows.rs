//! What clients come for.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;
use store::SqliteStore;

use crate::support::*;

#[tokio::test]
async fn directory_names_every_resource_and_the_profiles() {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let directory = server.get("/acme/directory").await.ok().json();
    for name in ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo"] {
        assert!(directory[name].as_str().unwrap().starts_with(BASE), "{name}");
    }
    assert!(directory["meta"]["profiles"]["client"].is_string());
    assert_ne!(server.nonce().await, server.nonce().await);
    assert_eq!(server.get("/acme/new-nonce").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn certificate_for_two_names_is_had_by_http_and_its_chain_is_whole() {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let client = Client::new(&server).await;
    let (url, chain) = client.certificate(&world, &["a.test", "b.a.test"]).await;
    assert_eq!(chain.len(), 2);
    let names: Vec<_> = chain[0].subject_alt_names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["DNS:a.test", "DNS:b.a.test"]);
    assert!(chain[0].verify_signature(chain[1].public_key().unwrap()).is_ok());
    assert_eq!(client.read(&url).await.ok().json()["status"], "valid");
}

#[tokio::test]
async fn orders_survive_in_sqlite() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::create(&folder.path().join("ca.db")).unwrap();
    let server = Server::on(Arc::new(store), settings(&world));
    let client = Client::new(&server).await;
    client.certificate(&world, &["a.test"]).await;
    assert_eq!(
        server.state.store().audit(None).unwrap().len(),
        5,
        "create, certify twice, acme-account, issue"
    );
}

#[tokio::test]
async fn wildcard_is_had_by_dns_alone() {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let client = Client::new(&server).await;
    let (_, order) = client.order_names(&["*.w.test"]).await;
    let authorization = client.read(order["authorizations"][0].as_str().unwrap()).await.ok().json();
    assert_eq!(authorization["wildcard"], true);
    assert_eq!(authorization["identifier"]["value"], "w.test");
    assert_eq!(authorization["challenges"].as_array().unwrap().len(), 1);
    let challenge = client.challenge(&order, 0, "dns-01").await;
    let shown = format!("{}.{}", challenge["token"].as_str().unwrap(), client.thumbprint());
    world.text("_acme-challenge.w.test", &b64(pki::sha256(shown.as_bytes())));
    assert_eq!(client.answer(&challenge).await["status"], "valid");
    let done = client.finalize(&order, &csr(&["*.w.test"])).await.ok().json();
    assert_eq!(done["status"], "valid");
}

#[tokio::test]
async fn address_is_had_by_http() {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let client = Client::new(&server).await;
    let answer = client.order(json!({ "identifiers": [{ "type": "ip", "value": "127.0.0.1" }] })).await.ok();
    let order = answer.json();
    client.show_all(&world, &order).await;
    assert_eq!(client.finalize(&order, &csr(&["127.0.0.1"])).await.ok().json()["status"], "valid");
    assert_eq!(world.asked(), 0, "an address is not looked up");
}

#[tokio::test]
async fn identity_has_its_client_certificate_by_its_binding_without_a_challenge() {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let client = Client::bound(&server, "alice", &["alice@corp.test", "spiffe://corp.test/alice"]).await;
    // A client that knows nothing of profiles orders what its account is for.
    let (_, order) = client.order_names(&["alice"]).await;
    assert_eq!((&order["status"], &order["profile"]), (&json!("ready"), &json!("client")));
    let done = client.finalize(&order, &csr(&["alice"])).await.ok().json();
    let certificate = &chain(&client.read(done["certificate"].as_str().unwrap()).await.ok().body)[0];
    assert_eq!(certificate.subject().common_name().as_deref(), Some("alice"));
    assert_eq!(certificate.extended_key_usages().unwrap(), [pki::oid::CLIENT_AUTH]);
    let names: Vec<_> = certificate.subject_alt_names().iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        ["URI:spiffe://corp.test/alice"],
        "what no order can name comes along; what was not ordered does not"
    );
    let entry = &server.state.store().find(&ca::Selector::Label("alice".to_owned())).unwrap()[0];
    assert_eq!(entry.profile, pki::Profile::Client);
    assert_eq!((world.asked(), world.connected()), (0, 0));
}

#[tokio::test]
async fn account_is_found_again_changed_and_ended() {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let mut client = Client::new(&server).await;
    let kid = client.kid.clone();
    let again = client.register(json!({ "onlyReturnExisting": true })).await;
    assert_eq!((again.status, client.kid.clone()), (StatusCode::OK, kid.clone()));
    let changed = client.post_json(&kid, json!({ "contact": ["mailto:a@b.test"] })).await.ok().json();
    assert_eq!(changed["contact"], json!(["mailto:a@b.test"]));
    assert_eq!(
        client.post_json(&kid, json!({ "status": "deactivated" })).await.ok().json()["status"],
        "deactivated"
    );
    assert_eq!(client.read(&kid).await.error(), "unauthorized");
    assert_eq!(client.order(json!({ "identifiers": [] })).await.error(), "unauthorized");
    assert_eq!(client.register(json!({})).await.error(), "unauthorized", "the key does not begin anew");
    assert_eq!(
        Client::key(&server).register(json!({ "onlyReturnExisting": true })).await.error(),
        "accountDoesNotExist"
    );
}

#[tokio::test]
async fn key_is_rolled_over_and_the_old_one_is_worth_nothing() {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let (old, other) = (Client::new(&server).await, Client::new(&server).await);
    let mut new = Client::key(&server);
    let url = format!("{BASE}/acme/key-change");
    let inner = |new: &Client, account: &str, key: serde_json::Value| {
        let header = json!({ "alg": "ES256", "jwk": new.jwk(), "url": url });
        new.sign(&header, json!({ "account": account, "oldKey": key }).to_string().as_bytes())
    };
    for (inner, what) in [
        (inner(&new, &other.kid, old.jwk()), "another account"),
        (inner(&new, &old.kid, other.jwk()), "another key"),
        (inner(&old, &old.kid, old.jwk()), "the same key"),
    ] {
        assert_eq!(old.post(&url, &inner).await.error(), "malformed", "{what}");
    }
    let taken = old.post(&url, &inner(&other, &old.kid, old.jwk())).await;
    assert_eq!((taken.status, taken.header("location")), (StatusCode::CONFLICT, other.kid.clone()));
    old.post(&url, &inner(&new, &old.kid, old.jwk())).await.ok();
    assert_eq!(old.read(&old.kid).await.error(), "malformed", "the signature is not the account's any more");
    new.kid.clone_from(&old.kid);
    new.read(&new.kid).await.ok();
}

#[tokio::test]
async fn orders_are_listed_in_pages() {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let client = Client::new(&server).await;
    for index in 0..120 {
        client.order_names(&[&format!("n{index}.test")]).await;
    }
    let first = client.read(&format!("{}/orders", client.kid)).await.ok();
    assert_eq!(first.json()["orders"].as_array().unwrap().len(), 100);
    let links: Vec<_> =
        first.headers.get_all("link").iter().map(|link| link.to_str().unwrap().to_owned()).collect();
    let next = links.iter().find_map(|link| link.strip_suffix(">;rel=\"next\"")?.strip_prefix('<')).unwrap();
    let second = client.read(next).await.ok();
    assert_eq!(second.json()["orders"].as_array().unwrap().len(), 20);
    assert!(!second.headers.get_all("link").iter().any(|link| link.to_str().unwrap().contains("next")));
}

#[tokio::test]
async fn renewal_window_is_told_and_a_replacement_is_recorded_once() {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let (client, other) = (Client::new(&server).await, Client::new(&server).await);
    let (_, chain) = client.certificate(&world, &["a.test"]).await;
    let name = format!("{}.{}", b64(chain[0].authority_key_identifier().unwrap()), b64(chain[0].serial()));
    let info = server.get(&format!("/acme/renewal-info/{name}")).await.ok();
    assert_eq!(info.header("retry-after"), "21600");
    let window = &info.json()["suggestedWindow"];
    let time = |name: &str| window[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(now() < time("start") && time("start") < time("end") && time("end") < chain[0].not_after());
    assert_eq!(server.get("/acme/renewal-info/AAAA.AAAA").await.status, StatusCode::NOT_FOUND);

    let replacing = json!({ "identifiers": [{ "type": "dns", "value": "a.test" }], "replaces": name });
    assert_eq!(other.order(replacing.clone()).await.error(), "malformed", "another account's certificate");
    let order = client.order(replacing.clone()).await.ok().json();
    client.show_all(&world, &order).await;
    client.finalize(&order, &csr(&["a.test"])).await.ok();
    assert_eq!(client.order(replacing).await.error(), "alreadyReplaced");
    let foreign = json!({ "identifiers": [{ "type": "dns", "value": "b.test" }], "replaces": name });
    assert_eq!(client.order(foreign).await.error(), "malformed", "no name in common");
}

#[tokio::test]
async fn certificate_is_revoked_by_its_account_its_key_or_who_controls_its_names() {
    let world = World::new().await;
    let server = Server::new(settings(&world));
    let client = Client::new(&server).await;
    let url = format!("{BASE}/acme/revoke");
    let payload =
        |certificate: &pki::Certificate| json!({ "certificate": b64(certificate.der()), "reason": 1 });

    let (_, chain) = client.certificate(&world, &["a.test"]).await;
    let other = Client::new(&server).await;
    assert_eq!(other.post_json(&url, payload(&chain[0])).await.error(), "unauthorized");
    assert_eq!(
        client.post_json(&url, json!({ "certificate": b64(chain[0].der()), "reason": 6 })).await.error(),
        "badRevocationReason"
    );
    client.post_json(&url, payload(&chain[0])).await.ok();
    assert_eq!(client.post_json(&url, payload(&chain[0])).await.error(), "alreadyRevoked");
    let entry = &server.state.store().find(&ca::Selector::Serial(chain[0].serial().to_vec())).unwrap()[0];
    assert_eq!(entry.revoked.unwrap().reason.code(), 1);
    let name = format!("{}.{}", b64(chain[0].authority_key_identifier().unwrap()), b64(chain[0].serial()));
    let info = server.get(&format!("/acme/renewal-info/{name}")).await.ok().json();
    let end: jiff::Timestamp = info["suggestedWindow"]["end"].as_str().unwrap().parse().unwrap();
    assert!(end <= now(), "a revoked certificate is to be renewed at once");

    // Whoever shows the name now may revoke what another has for it.
    let (_, chain) = client.certificate(&world, &["b.test"]).await;
    let (_, order) = other.order_names(&["b.test"]).await;
    other.show_all(&world, &order).await;
    other.post_json(&url, payload(&chain[0])).await.ok();

    // And whoever has the certificate's key, without an account.
    let holder = Client::key(&server);
    let (_, order) = client.order_names(&["c.test"]).await;
    client.show_all(&world, &order).await;
    let done = client.finalize(&order, &holder.csr(&["c.test"])).await.ok().json();
    let chain = crate::support::chain(&client.read(done["certificate"].as_str().unwrap()).await.ok().body);
    let by_key = |key: &Client, nonce: String| {
        let header = json!({ "alg": "ES256", "jwk": key.jwk(), "url": url, "nonce": nonce });
        key.sign(&header, payload(&chain[0]).to_string().as_bytes())
    };
    let stranger = Client::key(&server);
    assert_eq!(server.post(&url, by_key(&stranger, server.nonce().await)).await.error(), "unauthorized");
    server.post(&url, by_key(&holder, server.nonce().await)).await.ok();
}
