//! The feed: a snapshot, then every revocation as it happens; resumed without a gap; ended for whoever lost its right.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::{Role, Selector, revoke};
use net::fetch::Response;
use pki::Profile;
use pki::crl::{CertificateRevocationList, RevocationReason};
use serde_json::Value;

use crate::world::{World, clock, issue};

struct Feed {
    response: Response,
    buffer: String,
}

struct Event {
    kind: String,
    id: u64,
    data: Value,
}

impl Feed {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        Feed { response, buffer: String::new() }
    }

    /// The next event that is no pulse; `None` where the feed ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((text, rest)) = self.buffer.clone().split_once("\n\n") {
                self.buffer = rest.to_owned();
                let field = |name: &str| {
                    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    found.unwrap().to_owned()
                };
                let data = serde_json::from_str(&field("data")).unwrap();
                let event = Event { kind: field("event"), id: field("id").parse().unwrap(), data };
                if event.kind != "pulse" {
                    return Some(event);
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

fn take_back(world: &World, label: &str) {
    let reason = RevocationReason::KeyCompromise;
    revoke(world.state.store(), &Selector::parse(label), reason, "warden", clock()).unwrap();
}

#[tokio::test]
async fn a_listener_hears_the_state_and_then_each_revocation_within_a_second() {
    let world = World::new().await;
    let (old, _) = issue(world.state.authority(), Profile::Client, "old", None);
    let (alice, _) = issue(world.state.authority(), Profile::Client, "alice", None);
    take_back(&world, "old");
    let gateway = world.caller("gw", Some(Role::Gateway));
    let mut feed = Feed::of(gateway.stream("/api/v1/feed", &[]).await);
    let first = feed.next().await.unwrap();
    assert_eq!(first.kind, "snapshot");
    let list = STANDARD.decode(first.data["list"].as_str().unwrap()).unwrap();
    let list = CertificateRevocationList::from_der(&list).unwrap();
    assert!(list.revocation(old.certificate.serial()).is_some());
    assert!(list.revocation(alice.certificate.serial()).is_none());
    let anchor = world.state.authority().issuer().anchor().to_pem();
    assert_eq!(first.data["anchors"][0], anchor);
    let start = Instant::now();
    take_back(&world, "alice");
    let news = feed.next().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!((news.kind.as_str(), news.data["reason"].as_u64()), ("revoke", Some(1)));
    assert_eq!(news.data["serial"], pki::hex(alice.certificate.serial()));
    assert!(news.id > first.id);
}

#[tokio::test]
async fn a_listener_that_comes_back_hears_what_it_missed_once_and_in_order() {
    let world = World::new().await;
    let gateway = world.caller("gw", Some(Role::Gateway));
    let labels = ["a1", "b2", "c3"];
    let serials = labels.map(|label| {
        let (issued, _) = issue(world.state.authority(), Profile::Client, label, None);
        pki::hex(issued.certificate.serial())
    });
    let mut feed = Feed::of(gateway.stream("/api/v1/feed", &[]).await);
    feed.next().await.unwrap();
    take_back(&world, "a1");
    let last = feed.next().await.unwrap().id;
    drop(feed);
    take_back(&world, "b2");
    take_back(&world, "c3");
    let resume = last.to_string();
    let mut feed = Feed::of(gateway.stream("/api/v1/feed", &[("last-event-id", &resume)]).await);
    let missed = [feed.next().await.unwrap(), feed.next().await.unwrap()];
    assert_eq!(missed.map(|event| event.data["serial"].as_str().unwrap().to_owned()), serials[1..]);
    // A number that this authority never gave is another one's: start anew.
    let mut feed = Feed::of(gateway.stream("/api/v1/feed", &[("last-event-id", "999999")]).await);
    assert_eq!(feed.next().await.unwrap().kind, "snapshot");
}

#[tokio::test]
async fn a_gateway_that_is_revoked_hears_no_more() {
    let world = World::new().await;
    let gateway = world.caller("gw", Some(Role::Gateway));
    let mut feed = Feed::of(gateway.stream("/api/v1/feed", &[]).await);
    feed.next().await.unwrap();
    take_back(&world, "gw");
    world.refresh();
    while feed.next().await.is_some() {}
    let answer = gateway.get("/api/v1/whoami").await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("certificate_revoked"), "{}", answer.text());
}

#[tokio::test]
async fn rules_that_an_admin_publishes_are_in_the_snapshot_and_then_told_as_they_change() {
    let world = World::new().await;
    let gateway = world.caller("gw", Some(Role::Gateway));
    let mut feed = Feed::of(gateway.stream("/api/v1/feed", &[]).await);
    assert_eq!(feed.next().await.unwrap().data["rules"], Value::Null);
    let admin = world.caller("root", Some(Role::Admin));
    let put = |rules: &str| {
        let body = serde_json::json!({ "rules": rules }).to_string().into_bytes();
        admin.send(http::Method::PUT, "/api/v1/rules", Some(body))
    };
    let wrong = put("cn alice\nnobody at all").await;
    assert_eq!((wrong.status, wrong.json()["detail"].as_str().unwrap().contains("line 2")), (400, true));
    let published = put("cn alice\ndeny ou Interns").await;
    assert_eq!(published.json()["statements"], serde_json::json!(["allow-cn alice", "deny-ou Interns"]));
    let news = feed.next().await.unwrap();
    assert_eq!((news.kind.as_str(), &news.data["rules"]), ("policy", &"cn alice\ndeny ou Interns".into()));
    let mut later = Feed::of(gateway.stream("/api/v1/feed", &[]).await);
    assert_eq!(later.next().await.unwrap().data["rules"], "cn alice\ndeny ou Interns");
    // Who passes at every gateway is no operator's business.
    let operator = world.caller("op", Some(Role::Operator));
    let body = serde_json::json!({ "rules": "all" }).to_string().into_bytes();
    assert_eq!(operator.send(http::Method::PUT, "/api/v1/rules", Some(body)).await.status, 403);
    assert_eq!(admin.get("/api/v1/rules").await.json()["rules"], "cn alice\ndeny ou Interns");
}
