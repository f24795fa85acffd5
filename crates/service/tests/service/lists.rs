//! Lists over HTTP: fresh after each revocation, conditional, divided.

use ca::publication::partition;
use ca::{Publication, Selector};
use http::Method;
use pki::crl::{CertificateRevocationList, RevocationReason};
use pki::{Certificate, Profile};

use crate::world::{World, authority, clock, issue};

#[tokio::test]
async fn a_list_had_after_a_revocation_has_it() {
    let world = World::new().await;
    let (alice, _) = issue(world.state.authority(), Profile::Client, "alice", None);
    let serial = alice.certificate.serial();
    let list = |answer: crate::world::Answer| CertificateRevocationList::from_der(&answer.body).unwrap();
    let before = list(world.stranger().get("/crl/issuing.crl").await);
    assert!(before.revocation(serial).is_none());
    let selector = Selector::Serial(serial.to_vec());
    ca::revoke(world.state.store(), &selector, RevocationReason::KeyCompromise, "warden", clock()).unwrap();
    let after = list(world.stranger().get("/crl/issuing.crl").await);
    assert_eq!(after.revocation(serial).unwrap().reason, RevocationReason::KeyCompromise);
    assert!(after.number() > before.number());
    ca::revoke(world.state.store(), &selector, RevocationReason::Superseded, "warden", clock()).unwrap_err();
}

#[tokio::test]
async fn whoever_has_the_list_is_told_so_until_something_is_revoked() {
    let world = World::new().await;
    issue(world.state.authority(), Profile::Client, "alice", None);
    let client = world.stranger();
    let first = client.get("/crl/issuing.crl").await;
    assert_eq!(first.headers["content-type"], "application/pkix-crl");
    let etag = first.headers["etag"].to_str().unwrap();
    let modified = first.headers["last-modified"].to_str().unwrap();
    let again = |headers: Vec<(&'static str, String)>| {
        let client = client.clone();
        async move {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let answer = client.try_send(Method::GET, "/crl/issuing.crl", None, &headers).await.unwrap();
            (answer.status, answer.body.len())
        }
    };
    assert_eq!(again(vec![("if-none-match", etag.to_owned())]).await, (304, 0));
    assert_eq!(again(vec![("if-none-match", format!("\"other\", {etag}"))]).await, (304, 0));
    assert_eq!(again(vec![("if-modified-since", modified.to_owned())]).await, (304, 0));
    assert_eq!(again(vec![("if-none-match", "\"other\"".to_owned())]).await, (200, first.body.len()));
    let reason = RevocationReason::Superseded;
    ca::revoke(world.state.store(), &Selector::parse("alice"), reason, "warden", clock()).unwrap();
    assert_eq!(again(vec![("if-none-match", etag.to_owned())]).await.0, 200);
}

#[tokio::test]
async fn a_certificate_names_the_part_of_the_list_that_will_have_it() {
    let publication =
        Publication { base: Some("http://status.test".to_owned()), partitions: 4, ..Publication::default() };
    let world = World::of(authority().publishing(publication), |_| {}).await;
    let (alice, _) = issue(world.state.authority(), Profile::Client, "alice", None);
    let number = partition(4, alice.certificate.serial());
    let extension = |certificate: &Certificate| {
        let points = pki::oid::CRL_DISTRIBUTION_POINTS;
        let found = certificate.extensions().iter().find(|e| e.oid == points).unwrap();
        String::from_utf8_lossy(&found.value).into_owned()
    };
    let said = extension(&alice.certificate);
    assert!(said.ends_with(&format!("http://status.test/crl/4/{number}.crl")), "{said:?}");
    let reason = RevocationReason::Superseded;
    ca::revoke(world.state.store(), &Selector::parse("alice"), reason, "warden", clock()).unwrap();
    for part in 0..4 {
        let answer = world.stranger().get(&format!("/crl/4/{part}.crl")).await;
        let list = CertificateRevocationList::from_der(&answer.body).unwrap();
        assert_eq!(list.len(), usize::from(part == number), "part {part}");
    }
    assert_eq!(world.stranger().get("/crl/4/4.crl").await.status, 404);
    assert_eq!(world.stranger().get("/crl/3/0.crl").await.status, 404);
    assert!(world.state.store().audit_length().unwrap() > 0);
}
