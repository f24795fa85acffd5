//! EST over TLS, with our own client on the other side; curl and openssl are there in an interop case.

use ca::Role;
use http::Method;
use net::provision::est::{EstError, Operation, ca_certificates, certificates, enrol};
use net::provision::{Exchange, ExchangeError, Incoming, Outgoing};
use pki::crl::RevocationReason;
use pki::csr::build_request;
use pki::key::SigningKey as _;
use pki::name::SubjectNames;
use serde_json::{Value, json};
use testkit::TestKey;

use crate::world::{Client, World, clock};

impl Exchange for Client {
    async fn exchange(&self, request: Outgoing) -> Result<Incoming, ExchangeError> {
        let path = request.url.strip_prefix("https://est").unwrap().to_owned();
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let body = (request.method == Method::POST).then_some(request.body);
        let answer = self.try_send(request.method, &path, body, &headers).await?;
        Ok(Incoming { status: answer.status, headers: answer.headers, body: answer.body })
    }
}

const EST: &str = "https://est";

fn csr(name: &str, key: &TestKey) -> Vec<u8> {
    build_request(&SubjectNames::for_client(name).unwrap(), key).unwrap()
}

async fn code(world: &World, more: Value) -> String {
    let operator = world.caller("olga", Some(Role::Operator));
    let mut wish = json!({ "name": "alice", "names": { "common_name": "alice" } });
    wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = operator.post("/api/v1/invites", &wish).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["code"].as_str().unwrap().to_owned()
}

fn status(result: Result<pki::Certificate, EstError>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(EstError::Refused { status, .. }) => status,
        Err(EstError::Later(_)) => 202,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn cas_are_the_anchor_and_the_one_that_issues() {
    let world = World::new().await;
    let found = ca_certificates(&world.stranger(), EST).await.unwrap();
    let issuer = world.state.authority().issuer();
    assert_eq!(found, [issuer.certificate().clone(), issuer.anchor().clone()]);
    let raw = world.stranger().get("/.well-known/est/cacerts").await;
    assert_eq!(raw.headers["content-type"], "application/pkcs7-mime; smime-type=certs-only");
    let attributes = world.stranger().get("/.well-known/est/csrattrs").await;
    assert_eq!(
        (attributes.status, &attributes.headers["content-type"]),
        (200, &"application/csrattrs".parse().unwrap())
    );
}

#[tokio::test]
async fn invite_enrols_once_and_the_certificate_renews_itself() {
    let world = World::new().await;
    let code = code(&world, json!({})).await;
    let (stranger, key) = (world.stranger(), TestKey::p256());
    let by = Some(("anybody", code.as_str()));
    let first = enrol(&stranger, EST, Operation::Enrol, by, &csr("alice", &key)).await.unwrap();
    assert_eq!(first.subject().common_name().as_deref(), Some("alice"));
    assert_eq!(first.public_key().unwrap(), key.public_key());
    let again = enrol(&stranger, EST, Operation::Enrol, by, &csr("alice", &TestKey::p256())).await;
    assert_eq!(status(again), 401, "one use, one key");

    let chain = [first.clone(), world.state.authority().issuer().certificate().clone()];
    let holder = world.holder(&chain, &key);
    let next = TestKey::p256();
    let second = enrol(&holder, EST, Operation::Reenrol, None, &csr("alice", &next)).await.unwrap();
    assert_eq!(second.subject(), first.subject());
    assert_ne!(second.serial(), first.serial());
    let other = enrol(&holder, EST, Operation::Reenrol, None, &csr("bob", &next)).await;
    assert_eq!(status(other), 403, "names do not change by renewing");
    assert_eq!(status(enrol(&holder, EST, Operation::Enrol, None, &csr("alice", &next)).await), 200);

    let serial = ca::Selector::Serial(first.serial().to_vec());
    ca::revoke(world.state.store(), &serial, RevocationReason::KeyCompromise, "tester", clock()).unwrap();
    let revoked = enrol(&holder, EST, Operation::Reenrol, None, &csr("alice", &next)).await;
    assert_eq!(status(revoked), 403, "what was revoked renews nothing, also before a list says so");
}

#[tokio::test]
async fn nobody_enrols_without_an_invite_or_a_certificate() {
    let world = World::new().await;
    let (stranger, request) = (world.stranger(), csr("alice", &TestKey::p256()));
    assert_eq!(status(enrol(&stranger, EST, Operation::Enrol, None, &request).await), 401);
    assert_eq!(status(enrol(&stranger, EST, Operation::Reenrol, None, &request).await), 401);
    let wrong = Some(("alice", "AAAAAAAAAAAAAAAAAAAAAAAAAA"));
    assert_eq!(status(enrol(&stranger, EST, Operation::Enrol, wrong, &request).await), 401);
    let answer = stranger.send(Method::POST, "/.well-known/est/simpleenroll", Some(request)).await;
    assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
    assert_eq!((answer.text().as_str(), &answer.headers["content-length"]), ("", &"0".parse().unwrap()));
}

#[tokio::test]
async fn who_waits_for_a_person_is_told_to_come_again() {
    let world = World::new().await;
    let code = code(&world, json!({ "approve": true })).await;
    let by = Some(("alice", code.as_str()));
    let result = enrol(&world.stranger(), EST, Operation::Enrol, by, &csr("alice", &TestKey::p256())).await;
    assert!(matches!(result, Err(EstError::Later(seconds)) if seconds > 0));
}

#[tokio::test]
async fn keys_are_not_made_for_others_and_requests_are_read_in_every_usual_form() {
    let world = World::new().await;
    let stranger = world.stranger();
    let refused = stranger.send(Method::POST, "/.well-known/est/serverkeygen", Some(Vec::new())).await;
    assert_eq!(refused.status, 501);
    assert!(refused.json()["detail"].as_str().unwrap().contains("private key that never travels"));
    let key = TestKey::p256();
    let der = csr("alice", &key);
    let pem = pki::pem::encode("CERTIFICATE REQUEST", &der).into_bytes();
    for body in [der, pem] {
        let code = code(&world, json!({})).await;
        let credentials = {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(format!("x:{code}"))
        };
        let headers = [("authorization", format!("Basic {credentials}"))];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = stranger
            .try_send(Method::POST, "/.well-known/est/simpleenroll", Some(body), &headers)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(certificates(&answer.body).unwrap()[0].public_key().unwrap(), key.public_key());
    }
    let nonsense = stranger
        .try_send(
            Method::POST,
            "/.well-known/est/simpleenroll",
            Some(b"nonsense".to_vec()),
            &[("authorization", "Basic eDp5")],
        )
        .await
        .unwrap();
    assert_eq!(nonsense.status, 400);
}
