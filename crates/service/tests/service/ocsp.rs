//! OCSP: signed by a delegate, true at the moment of asking, and cached only as long as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::{Selector, release, revoke};
use http::Method;
use pki::Profile;
use pki::crl::RevocationReason;
use pki::ocsp::{CertId, CertStatus, HashAlgorithm, Request, Response};

use crate::world::{Answer, Client, World, clock, issue};

fn id(world: &World, serial: &[u8]) -> CertId {
    CertId::new(world.state.authority().issuer().certificate(), serial, HashAlgorithm::Sha1).unwrap()
}

async fn ask(client: &Client, request: &Request) -> Answer {
    client.send(Method::POST, "/ocsp", Some(request.to_der())).await
}

fn status(world: &World, answer: &Answer) -> CertStatus {
    let response = Response::from_der(&answer.body).unwrap();
    let signer = response.signer_for(world.state.authority().issuer().certificate(), clock()).unwrap();
    assert!(signer.is_some(), "signed by the issuing CA itself and not by its delegate");
    response.responses()[0].status
}

#[tokio::test]
async fn an_answer_is_true_at_the_moment_of_asking_also_where_one_was_kept() {
    let world = World::new().await;
    let (alice, _) = issue(world.state.authority(), Profile::Client, "alice", None);
    let request = Request { certificates: vec![id(&world, alice.certificate.serial())], nonce: None };
    let client = world.stranger();
    let first = ask(&client, &request).await;
    assert_eq!(first.headers["content-type"], "application/ocsp-response");
    assert!(matches!(status(&world, &first), CertStatus::Good));
    assert_eq!(ask(&client, &request).await.body, first.body, "it is signed once");
    let on_hold = RevocationReason::CertificateHold;
    revoke(world.state.store(), &Selector::parse("alice"), on_hold, "warden", clock()).unwrap();
    world.state.look().unwrap();
    match status(&world, &ask(&client, &request).await) {
        CertStatus::Revoked(revocation) => assert_eq!(revocation.reason, on_hold),
        other => panic!("{other:?}"),
    }
    release(world.state.store(), &Selector::parse("alice"), "warden", clock()).unwrap();
    world.state.look().unwrap();
    assert!(matches!(status(&world, &ask(&client, &request).await), CertStatus::Good));
}

#[tokio::test]
async fn a_get_is_answered_like_a_post_in_either_spelling_of_base64() {
    let world = World::new().await;
    let (alice, _) = issue(world.state.authority(), Profile::Client, "alice", None);
    let request = Request { certificates: vec![id(&world, alice.certificate.serial())], nonce: None };
    let text = STANDARD.encode(request.to_der());
    let client = world.stranger();
    let posted = ask(&client, &request).await;
    for text in [text.clone(), text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")] {
        let got = client.get(&format!("/ocsp/{text}")).await;
        assert_eq!(got.body, posted.body, "{text}");
        assert!(got.headers["cache-control"].to_str().unwrap().contains("max-age="));
    }
}

#[tokio::test]
async fn a_nonce_comes_back_and_its_answer_is_given_to_nobody_else() {
    let world = World::new().await;
    let (alice, _) = issue(world.state.authority(), Profile::Client, "alice", None);
    let client = world.stranger();
    let mut bodies = Vec::new();
    for nonce in [vec![1; 32], vec![2; 32]] {
        let certificates = vec![id(&world, alice.certificate.serial())];
        let answer = ask(&client, &Request { certificates, nonce: Some(nonce.clone()) }).await;
        let response = Response::from_der(&answer.body).unwrap();
        assert_eq!(response.nonce(), Some(nonce.as_slice()));
        bodies.push(answer.body);
    }
    assert_ne!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn an_unknown_serial_number_is_unknown_and_another_cas_is_refused() {
    let world = World::new().await;
    let client = world.stranger();
    let unknown = Request { certificates: vec![id(&world, &[0x55; 16])], nonce: None };
    assert!(matches!(status(&world, &ask(&client, &unknown).await), CertStatus::Unknown));
    let other = testkit::TestCa::new().issuing().certificate.clone();
    let foreign = CertId::new(&other, &[0x55; 16], HashAlgorithm::Sha256).unwrap();
    // Unauthorized (RFC 6960 section 4.2.1), without a signature.
    let answer = ask(&client, &Request { certificates: vec![foreign], nonce: None }).await;
    assert_eq!(answer.body, [0x30, 3, 0x0a, 1, 6]);
    // MalformedRequest.
    let answer = client.send(Method::POST, "/ocsp", Some(b"nonsense".to_vec())).await;
    assert_eq!(answer.body, [0x30, 3, 0x0a, 1, 1]);
}
