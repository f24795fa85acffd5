//! What one replica sees of TLS, or is told by a gateway, every replica shows; and a restart forgets none of it.

use std::sync::Arc;
use std::time::Duration;

use ca::observed::{HANDSHAKES, Span};
use ca::{Commit, Record, Role, Store, Write};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use service::State;
use store::MemoryStore;

use crate::world::{Client, World, clock, shared_authority};

/// Two replicas of one authority.
async fn two() -> (World, World) {
    let (one, other) = shared_authority(Arc::new(MemoryStore::new()));
    (World::of(one, |_| {}).await, World::of(other, |_| {}).await)
}

/// Both have told and heard everything.
fn share(worlds: [&World; 2]) {
    for world in worlds.into_iter().chain(worlds) {
        world.state.share().unwrap();
    }
}

fn refusal(code: &str, subject: &str) -> Value {
    json!({ "at": clock().to_string(), "from": "192.0.2.7:4711", "code": code, "message": "it is refused",
            "subject": subject })
}

#[tokio::test]
async fn what_a_gateway_tells_one_replica_of_refusals_the_other_shows() {
    let (one, other) = two().await;
    let gateway = one.caller("edge-1", Some(Role::Gateway));
    let watcher = other.caller("watcher", Some(Role::Auditor));
    for code in ["unknown_issuer", "certificate_expired"] {
        let told = gateway.post("/api/v1/refusals", &refusal(code, "CN=alice")).await;
        assert_eq!((told.status, told.json()), (200, json!({ "kept": true })));
    }
    share([&one, &other]);
    let list = watcher.get("/api/v1/refusals").await.json();
    let shown: Vec<(u64, &str, &str)> = list["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (one["number"].as_u64().unwrap(), one["code"].as_str().unwrap(), one["gateway"].as_str().unwrap())
        })
        .collect();
    assert_eq!(shown, [(2, "certificate_expired", "edge-1"), (1, "unknown_issuer", "edge-1")]);
    assert_eq!((&list["total"], &list["last"]), (&json!(2), &json!(2)));
    let by_day = list["by_day"].as_array().unwrap();
    assert_eq!(by_day.len(), 30);
    assert_eq!(by_day[29]["codes"], json!({ "certificate_expired": 1, "unknown_issuer": 1 }));
    assert_eq!(list["by_hour"].as_array().unwrap().len(), 24);
    let behind = watcher.get("/api/v1/refusals?after=1").await.json();
    assert_eq!(behind["refusals"].as_array().unwrap().len(), 1);
    let page = watcher.get("/console/refusals/2").await.text();
    assert!(page.contains("certificate_expired") && page.contains("edge-1"), "{page}");
}

#[tokio::test]
async fn a_flood_of_refused_handshakes_is_counted_in_full_and_kept_in_part() {
    let (one, other) = two().await;
    let gateway = one.caller("edge-1", Some(Role::Gateway));
    let watcher = other.caller("watcher", Some(Role::Auditor));
    let mut kept = 0;
    for _ in 0..200 {
        let told = gateway.post("/api/v1/refusals", &refusal("unknown_issuer", "CN=mallory")).await.json();
        kept += u64::from(told["kept"] == json!(true));
    }
    // Two minutes at most were begun.
    assert!((120..=240).contains(&kept) || kept == 200, "{kept}");
    share([&one, &other]);
    let list = watcher.get("/api/v1/refusals?limit=1000").await.json();
    assert_eq!((&list["total"], &list["last"]), (&json!(200), &json!(kept)));
    assert_eq!(list["refusals"].as_array().unwrap().len() as u64, kept);
}

async fn tell(gateway: &Client, hour: Timestamp, counts: Value) -> Value {
    let report =
        json!({ "gateway": "edge/1", "hours": [{ "hour": hour.to_string(), "handshakes": counts }] });
    let told = gateway.post("/api/v1/handshakes", &report).await;
    assert_eq!(told.status, 200, "{}", told.text());
    told.json()
}

#[tokio::test]
async fn handshakes_that_gateways_tell_are_added_up_over_time_on_all_replicas() {
    let (one, other) = two().await;
    let first = one.caller("edge-1", Some(Role::Gateway));
    let second = other.caller("edge-2", Some(Role::Gateway));
    let watcher = one.caller("watcher", Some(Role::Auditor));
    let now = clock();
    let yesterday = now - SignedDuration::from_hours(25);
    let of = |identity: &str, version: &str, count: u64| json!({ "identity": identity, "key": "ECDSA P-256", "tls_version": version, "count": count });
    let counts =
        json!([of("cn=zoe", "TLSv1.3", 5), of("cn=zoe", "TLSv1.2", 1), of("cn=<b>ob", "TLSv1.3", 2)]);
    assert_eq!(tell(&first, now, counts).await, json!({ "handshakes": 8 }));
    tell(&second, now, json!([of("cn=zoe", "TLSv1.3", 10)])).await;
    tell(&second, yesterday, json!([of("cn=zoe", "TLSv1.3", 100)])).await;
    let ancient = now - SignedDuration::from_hours(24 * 400);
    tell(&second, ancient, json!([of("cn=zoe", "TLSv1.3", 100_000)])).await;
    share([&one, &other]);
    let of_zoe = |document: &Value| -> Value {
        let all = document["by_identity"].as_array().unwrap();
        all.iter().find(|one| one["identity"] == "cn=zoe").unwrap().clone()
    };
    let hours = watcher.get("/api/v1/handshakes").await.json();
    assert_eq!(hours["over_time"].as_array().unwrap().len(), 24);
    assert_eq!(of_zoe(&hours)["by_tls_version"], json!({ "TLSv1.2": 1, "TLSv1.3": 15 }));
    let days = watcher.get("/api/v1/handshakes?by=day").await.json();
    assert_eq!(of_zoe(&days)["count"], 116, "{days}");
    // The gateways and the auditor themselves did some.
    let own = |name: &str| {
        let all = days["by_identity"].as_array().unwrap();
        all.iter().any(|one| one["identity"] == format!("cn={name}"))
    };
    assert!(own("edge-1") && own("edge-2") && own("watcher"), "{days}");
    assert_eq!(watcher.get("/api/v1/handshakes?by=week").await.status, 400);
    for by in ["hour", "day"] {
        let page = watcher.get(&format!("/console/handshakes?by={by}")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let text = page.text();
        assert!(text.contains("cn=zoe") && !text.contains("<b>ob"), "{text}");
        for part in ["by TLS version", "kind of key", "by identity", "The same as a table"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    // A restart forgets none of it.
    let store = one.state.store();
    assert!(store.tallies(HANDSHAKES, Span::Day, Timestamp::UNIX_EPOCH).unwrap().len() >= 4);
}

#[tokio::test]
async fn a_report_of_handshakes_that_is_none_is_refused() {
    let world = World::new().await;
    let gateway = world.caller("edge-1", Some(Role::Gateway));
    let now = clock().to_string();
    let count = json!({ "identity": null, "key": null, "tls_version": "TLSv1.3", "count": 1 });
    let hours = |hour: &str, count: &Value| json!([{ "hour": hour, "handshakes": [count] }]);
    let negative = json!({ "tls_version": "TLSv1.3", "count": -1 });
    for report in [
        json!({ "gateway": " ", "hours": [] }),
        json!({ "gateway": "g", "hours": hours("yesterday", &count) }),
        json!({ "gateway": "g", "hours": hours(&now, &negative) }),
        json!({ "gateway": "g", "hours": hours(&now, &json!({ "tls_version": "TLSv1.3", "count": 1, "more": 1 })) }),
    ] {
        assert_eq!(gateway.post("/api/v1/handshakes", &report).await.status, 400, "{report}");
    }
    let good = json!({ "gateway": "g", "hours": hours(&now, &count) });
    assert_eq!(gateway.post("/api/v1/handshakes", &good).await.status, 200);
    let desk = world.caller("desk", Some(Role::Enroller));
    assert_eq!(desk.post("/api/v1/handshakes", &good).await.status, 403);
    let auditor = world.caller("watcher", Some(Role::Auditor));
    assert_eq!(auditor.get("/api/v1/handshakes").await.json()["without_certificate"], 1);
}

#[tokio::test]
async fn who_is_connected_and_how_gateways_do_is_the_same_on_all_replicas() {
    let (one, other) = two().await;
    let gateway = one.caller("edge-1", Some(Role::Gateway));
    let now = clock();
    let client = json!({
        "identity": "cn=zoe", "serial": "0badcafe", "not_after": now.to_string(), "key": "ECDSA P-256",
        "tls_version": "TLSv1.3", "address": "192.0.2.9", "first_seen": now.to_string(), "last_seen": now.to_string(),
        "requests": 7, "refused": 1,
    });
    let report = json!({ "gateway": "host/1", "status": { "version": "0.1.0" }, "clients": [client] });
    assert_eq!(gateway.post("/api/v1/reports", &report).await.status, 200);
    share([&one, &other]);
    let watcher = other.caller("watcher", Some(Role::Auditor));
    let seen = watcher.get("/api/v1/clients?serial=0badcafe").await.json();
    assert_eq!(
        (&seen["clients"][0]["identity"], &seen["clients"][0]["requests"]),
        (&json!("cn=zoe"), &json!(7))
    );
    let health = watcher.get("/api/v1/health").await.json();
    assert_eq!(health["gateways"][0]["name"], "edge-1: host/1");
    let page = watcher.get("/console/clients").await.text();
    assert!(page.contains("cn=zoe"), "{page}");
}

#[tokio::test]
async fn whatever_the_overview_counts_leads_to_its_list() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (one, _) = shared_authority(Arc::clone(&store));
    let world = World::of(one, |settings| settings.replica = Some("first".to_owned())).await;
    let gateway = world.caller("edge-1", Some(Role::Gateway));
    let report = json!({ "gateway": "host/1", "status": { "version": "0.1.0" }, "clients": [] });
    assert_eq!(gateway.post("/api/v1/reports", &report).await.status, 200);
    share([&world, &world]);
    let watcher = world.caller("watcher", Some(Role::Auditor));
    let mut heard = 0;
    while watcher.get("/api/v1/health").await.json()["replicas"] == json!([]) {
        // Its pulse is a record, and whoever waits for news hears of each.
        let wait = move |state: &State| Ok(state.store().wait_for_news(heard, Duration::from_secs(1)));
        heard = world.state.blocking(wait).await.unwrap();
    }
    let page = watcher.get("/console").await.text();
    let links = |start: &str| -> Vec<String> {
        let all = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        all.filter(|link| link.starts_with(start)).map(str::to_owned).collect()
    };
    let figures = page.split("class=\"figures\"").nth(1).unwrap().split("</ul>").next().unwrap();
    assert_eq!(figures.matches("<li>").count(), figures.matches("<li><a href=").count(), "{figures}");
    assert_eq!(links("#members").len(), 2, "replicas and gateways");
    assert!(page.contains("id=\"members\""), "{page}");
    for link in links("/console") {
        assert_eq!(watcher.get(&link).await.status, 200, "{link}");
    }
    let base = world.state.settings().base.clone();
    assert_eq!(links("https://"), [format!("{base}/console")], "the replica");
    let of_gateway = watcher.get("/console/certificates?search=edge-1").await.text();
    assert!(
        links("/console/certificates?search=edge-1").len() == 1 && of_gateway.contains("edge-1<"),
        "{page}"
    );
    let entry = links("/console/audit?before=").remove(0);
    let trail = watcher.get(&entry).await.text();
    let number: u64 = entry.rsplit('=').next().unwrap().parse::<u64>().unwrap() - 1;
    let first = trail.split("data-label=\"Number\">").nth(1).unwrap();
    assert!(first.starts_with(&format!("{number}<")), "the entry that was clicked stands first: {first}");
}

#[tokio::test]
async fn records_that_are_over_are_forgotten_by_whichever_replica_comes_first() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let days = |days: i64| clock() + SignedDuration::from_hours(24 * days);
    let record = |id: &str, days| Write::Put(Record::new("thing", id, String::new()).until(days));
    let mut old = Commit::default();
    for number in 0..1200 {
        old = old.and(record(&format!("old-{number}"), days(-2)));
    }
    store.commit(old.and(record("lately", days(0))).and(record("new", days(2)))).unwrap();
    let (one, other) = shared_authority(Arc::clone(&store));
    let worlds = [World::of(one, |_| {}).await, World::of(other, |_| {}).await];
    let mut heard = 0;
    let left = loop {
        let kept: Vec<String> =
            store.records("thing", None, None, 9).unwrap().into_iter().map(|record| record.id).collect();
        if kept.len() < 9 {
            break kept;
        }
        let wait = move |state: &State| Ok(state.store().wait_for_news(heard, Duration::from_secs(1)));
        heard = worlds[0].state.blocking(wait).await.unwrap();
    };
    assert_eq!(left, ["lately", "new"]);
}
