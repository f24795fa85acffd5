//! Invites and renewal: who gets a certificate, how often, and who does not.

use std::collections::HashSet;

use ca::{Role, Selector};
use http::Method;
use jiff::SignedDuration;
use pki::Profile;
use pki::crl::RevocationReason;
use pki::key::SigningKey as _;
use serde_json::{Value, json};
use testkit::{KeyKind, TestKey};

use crate::world::{Client, World, clock, issue, request};

fn key() -> TestKey {
    TestKey::generate(KeyKind::P256)
}

async fn invite(world: &World, wish: Value) -> Value {
    let operator = world.caller("olga", Some(Role::Operator));
    let answer = operator.post("/api/v1/invites", &wish).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn alice() -> Value {
    json!({ "name": "alice", "names": { "common_name": "alice", "uri": ["spiffe://acme.test/alice"] } })
}

async fn join(client: &Client, code: &str, key: &TestKey) -> crate::world::Answer {
    client.send(Method::POST, &format!("/i/{code}"), Some(request("whatever", key))).await
}

fn code(invite: &Value) -> String {
    invite["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_invite_gives_its_names_to_the_key_that_asks_and_no_name_of_the_request() {
    let world = World::new().await;
    let invite = invite(&world, alice()).await;
    let root = pki::hex(&world.state.authority().issuer().anchor().sha256());
    assert!(invite["link"].as_str().unwrap().ends_with(&format!("/i/{}#{root}", code(&invite))));
    let key = key();
    let chain = join(&world.stranger(), &code(&invite), &key).await.certificates();
    assert_eq!(chain[0].subject().common_name().as_deref(), Some("alice"));
    let names: Vec<String> = chain[0].subject_alt_names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["URI:spiffe://acme.test/alice"]);
    assert_eq!(chain[0].public_key().unwrap(), key.public_key());
    let entry = &world.state.store().find(&Selector::parse("alice")).unwrap()[0];
    assert_eq!(entry.der, chain[0].der());
    let events = world.state.store().audit(Some(chain[0].serial())).unwrap();
    assert_eq!(events[0].origin, "127.0.0.1 by join");
}

#[tokio::test]
async fn a_second_key_gets_nothing_and_the_same_key_gets_the_same_certificate() {
    let world = World::new().await;
    let invite = invite(&world, alice()).await;
    let (mine, other) = (key(), key());
    let first = join(&world.stranger(), &code(&invite), &mine).await.certificates();
    let again = join(&world.stranger(), &code(&invite), &mine).await.certificates();
    assert_eq!(first[0].der(), again[0].der());
    let refused = join(&world.stranger(), &code(&invite), &other).await;
    assert_eq!((refused.status, refused.json()["type"].as_str()), (410, Some("urn:countersign:invite-over")));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_keys_at_once_as_many_get_one_as_the_invite_has_uses() {
    let world = World::new().await;
    let mut wish = alice();
    wish["uses"] = 3.into();
    let invite = invite(&world, wish).await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (client, code) = (world.stranger(), code(&invite));
        tries.spawn(async move { join(&client, &code, &key()).await });
    }
    let answers = tries.join_all().await;
    let (good, over): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    let serials: HashSet<_> = good.iter().map(|answer| answer.certificates()[0].serial().to_vec()).collect();
    assert_eq!((good.len(), serials.len()), (3, 3));
    assert!(over.iter().all(|answer| answer.status == 410));
}

#[tokio::test]
async fn wrong_codes_are_all_answered_alike_and_then_nobody_listens() {
    let world = World::new().await;
    let invite = invite(&world, alice()).await;
    let right = code(&invite);
    let (handle, secret) = right.split_once('-').unwrap();
    let turned: String = secret.chars().rev().collect();
    let wrong = format!("{handle}-{turned}");
    let unknown = format!("{}-{secret}", handle.chars().rev().collect::<String>());
    let client = world.stranger();
    let known = join(&client, &wrong, &key()).await;
    let other = join(&client, &unknown, &key()).await;
    assert_eq!((known.status, known.text()), (404, other.text()));
    // The third wrong code for this invite shuts it for a second, also for the right one.
    join(&client, &wrong, &key()).await;
    assert_eq!(join(&client, &wrong, &key()).await.status, 404);
    let shut = join(&client, &right, &key()).await;
    assert_eq!(shut.status, 429);
    assert!(shut.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(world.state.store().find(&Selector::parse("alice")).unwrap().len(), 0);
}

#[tokio::test]
async fn an_invite_guessed_at_ten_times_is_taken_back() {
    let world = World::new().await;
    let invite = invite(&world, alice()).await;
    let handle = invite["handle"].as_str().unwrap().to_owned();
    let wrong = format!("{handle}-{}", "a".repeat(26));
    let shared = request("x", &key());
    let parsed = pki::csr::CertificateRequest::from_der(&pki::pem::read(&shared).unwrap()[0].der).unwrap();
    let mut now = clock();
    for n in 0..10u8 {
        // Each from another address and an hour later: the code's own count remains.
        let from = ca::redeem::From { address: [192, 0, 2, n].into(), way: "test" };
        now += SignedDuration::from_hours(1);
        let tried = world.state.authority().redeem(&wrong, parsed.public_key(), &parsed.names(), from, now);
        assert!(matches!(tried, Err(ca::RedeemError::Unknown)), "{tried:?}");
    }
    let from = ca::redeem::From { address: [192, 0, 2, 99].into(), way: "test" };
    now += SignedDuration::from_hours(1);
    let right =
        world.state.authority().redeem(&code(&invite), parsed.public_key(), &parsed.names(), from, now);
    assert!(matches!(right, Err(ca::RedeemError::Withdrawn)), "{right:?}");
}

#[tokio::test]
async fn what_waits_for_approval_is_signed_after_it_and_refused_after_a_denial() {
    let world = World::new().await;
    let mut wish = alice();
    wish["approve"] = true.into();
    let operator = world.caller("olga", Some(Role::Operator));
    let (mine, eve) = (key(), key());
    let waiting = async || {
        let list = operator.get("/api/v1/invites?waiting=true").await.json();
        let handles = list["invites"].as_array().unwrap().iter().map(|invite| invite["handle"].clone());
        handles.collect::<Vec<_>>()
    };
    let invite = invite(&world, wish.clone()).await;
    assert_eq!(waiting().await, [json!(null); 0]);
    assert_eq!(join(&world.stranger(), &code(&invite), &mine).await.status, 202);
    assert_eq!(waiting().await, [invite["handle"].clone()]);
    assert_eq!(world.state.store().find(&Selector::parse("alice")).unwrap().len(), 0);
    let shown = operator.get(&format!("/api/v1/invites/{}", invite["handle"].as_str().unwrap())).await.json();
    let hash = pki::hex(&pki::sha256(mine.public_key().spki_der()));
    assert_eq!(shown["used"][0]["key_sha256"], hash);
    assert_eq!(shown["used"][0]["from"], "127.0.0.1");
    assert_eq!(shown["used"][0]["kind_of_key"], "ECDSA P-256");
    assert_eq!(shown["used"][0]["requested_names"], json!(["CN=whatever"]));
    let decision = format!("/api/v1/invites/{}/decision", invite["handle"].as_str().unwrap());
    let wrong = operator.post(&decision, &json!({ "approve": true, "key_sha256": "ffffffff" })).await;
    assert_eq!(wrong.status, 409);
    assert_eq!(operator.post(&decision, &json!({ "approve": true, "key_sha256": hash })).await.status, 200);
    assert_eq!(waiting().await, [json!(null); 0]);
    let chain = join(&world.stranger(), &code(&invite), &mine).await.certificates();
    assert_eq!(chain[0].public_key().unwrap(), mine.public_key());

    let invite = self::invite(&world, wish).await;
    assert_eq!(join(&world.stranger(), &code(&invite), &eve).await.status, 202);
    let decision = format!("/api/v1/invites/{}/decision", invite["handle"].as_str().unwrap());
    assert_eq!(operator.post(&decision, &json!({ "approve": false })).await.status, 200);
    assert_eq!(join(&world.stranger(), &code(&invite), &eve).await.status, 403);
    // A refused use is free for the one who was meant.
    assert_eq!(join(&world.stranger(), &code(&invite), &mine).await.status, 202);
}

#[tokio::test]
async fn a_partner_has_no_more_certificates_than_it_may_have() {
    let world = World::new().await;
    let operator = world.caller("olga", Some(Role::Operator));
    let partner = json!({ "most_certificates": 2, "contact": "ops@acme.test" });
    let put =
        operator.send(Method::PUT, "/api/v1/partners/acme", Some(partner.to_string().into_bytes())).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let mut wish = alice();
    wish["partner"] = "acme".into();
    wish["uses"] = 5.into();
    let invite = invite(&world, wish).await;
    for _ in 0..2 {
        join(&world.stranger(), &code(&invite), &key()).await.certificates();
    }
    let full = join(&world.stranger(), &code(&invite), &key()).await;
    assert_eq!((full.status, full.json()["type"].as_str()), (403, Some("urn:countersign:partner-full")));
    let reason = RevocationReason::Superseded;
    ca::revoke(world.state.store(), &Selector::parse("alice"), reason, "warden", clock()).unwrap();
    join(&world.stranger(), &code(&invite), &key()).await.certificates();
}

#[tokio::test]
async fn an_invite_that_ended_or_was_taken_back_gives_nothing() {
    let world = World::new().await;
    let operator = world.caller("olga", Some(Role::Operator));
    let mut wish = alice();
    wish["open_seconds"] = (-1).into();
    let over = invite(&world, wish).await;
    assert_eq!(join(&world.stranger(), &code(&over), &key()).await.status, 410);
    let taken = invite(&world, alice()).await;
    let path = format!("/api/v1/invites/{}", taken["handle"].as_str().unwrap());
    assert_eq!(operator.send(Method::DELETE, &path, None).await.status, 200);
    assert_eq!(join(&world.stranger(), &code(&taken), &key()).await.status, 410);
}

#[tokio::test]
async fn a_certificate_renews_itself_for_the_same_names_and_stays_good_meanwhile() {
    let world = World::new().await;
    let invite = invite(&world, alice()).await;
    let (old_key, new_key) = (key(), key());
    let old = join(&world.stranger(), &code(&invite), &old_key).await.certificates();
    let holder = world.holder(&old, &old_key);
    let answer = holder.send(Method::POST, "/api/v1/renew", Some(request("mallory", &new_key))).await;
    let new = answer.certificates();
    assert_eq!(new[0].subject(), old[0].subject());
    assert_eq!(new[0].subject_alt_names(), old[0].subject_alt_names());
    assert_eq!(new[0].public_key().unwrap(), new_key.public_key());
    let entry = &world.state.store().find(&Selector::Serial(new[0].serial().to_vec())).unwrap()[0];
    assert_eq!(entry.replaces.as_deref(), Some(old[0].serial()));
    assert_eq!(holder.get("/api/v1/whoami").await.json()["name"], "alice");
    assert_eq!(world.holder(&new, &new_key).get("/api/v1/whoami").await.json()["name"], "alice");
}

#[tokio::test]
async fn nobody_renews_without_a_certificate_or_with_a_revoked_one() {
    let world = World::new().await;
    let body = || Some(request("alice", &key()));
    let answer = world.stranger().send(Method::POST, "/api/v1/renew", body()).await;
    assert_eq!(
        (answer.status, answer.json()["type"].as_str()),
        (401, Some("urn:countersign:no-certificate"))
    );
    let (alice, alice_key) = issue(world.state.authority(), Profile::Client, "alice", None);
    let holder = world.holder(&[alice.certificate, alice.chain[0].clone()], &alice_key);
    let reason = RevocationReason::KeyCompromise;
    ca::revoke(world.state.store(), &Selector::parse("alice"), reason, "warden", clock()).unwrap();
    // The listener has not heard of it yet; the memory has.
    let answer = holder.send(Method::POST, "/api/v1/renew", body()).await;
    assert_eq!((answer.status, answer.json()["type"].as_str()), (403, Some("urn:countersign:revoked")));
    // By now it has.
    world.refresh();
    let answer = holder.try_send(Method::POST, "/api/v1/renew", body(), &[]).await.unwrap();
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("certificate_revoked"), "{}", answer.text());
}

#[tokio::test]
async fn an_expired_certificate_renews_itself_within_the_grace_time_and_does_nothing_else() {
    let world = World::with(|settings| settings.grace = SignedDuration::from_hours(1)).await;
    let (short, short_key) =
        issue(world.state.authority(), Profile::Client, "alice", Some(SignedDuration::from_secs(1)));
    // Whole seconds: past its end, two seconds from its start at the latest.
    while clock() <= short.certificate.not_after() + SignedDuration::from_secs(1) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let holder = world.holder(&[short.certificate, short.chain[0].clone()], &short_key);
    assert_eq!(holder.get("/api/v1/whoami").await.json()["name"], Value::Null);
    let answer = holder.send(Method::POST, "/api/v1/renew", Some(request("alice", &key()))).await;
    assert_eq!(answer.certificates()[0].subject().common_name().as_deref(), Some("alice"));

    let strict = World::new().await;
    let (short, short_key) =
        issue(strict.state.authority(), Profile::Client, "bob", Some(SignedDuration::from_secs(1)));
    while clock() <= short.certificate.not_after() + SignedDuration::from_secs(1) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let holder = strict.holder(&[short.certificate, short.chain[0].clone()], &short_key);
    let answer = holder.try_send(Method::POST, "/api/v1/renew", None, &[]).await.unwrap();
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("certificate_expired"), "{}", answer.text());
}

#[tokio::test]
async fn a_request_that_is_broken_or_too_large_takes_no_use_of_the_invite() {
    let world = World::new().await;
    let invite = invite(&world, alice()).await;
    let path = format!("/i/{}", code(&invite));
    let client = world.stranger();
    let mut broken = request("x", &key());
    let middle = broken.len() / 2;
    broken[middle] = if broken[middle] == b'A' { b'B' } else { b'A' };
    for (body, status) in
        [(b"nonsense".to_vec(), 400), (Vec::new(), 400), (broken, 400), (vec![b'x'; 65 * 1024], 413)]
    {
        let answer = client.send(Method::POST, &path, Some(body)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    join(&client, &code(&invite), &key()).await.certificates();
}
