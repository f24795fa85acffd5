//! A rollover: its steps in their order, what each changes for those who verify and those who are verified, and whom it
//! refuses to cut off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ca::line::issuing_line;
use ca::log::{Checkpoint, origin};
use ca::{Authority, CreateAuthority, Identity, KeyName, Keyring, Role, Selector, Store, Who, revoke};
use jiff::SignedDuration;
use pki::crl::{CertificateRevocationList, RevocationReason};
use pki::extension::NameConstraints;
use pki::key::{KeyAlgorithm, SigningKey};
use pki::ocsp::{CertId, CertStatus, HashAlgorithm, Request, Response};
use pki::verify::{Purpose, Rules, TrustBundle, verify};
use pki::{Certificate, Profile};
use serde_json::{Value, json};
use store::MemoryStore;
use testkit::{KeyKind, TestKey};

use crate::world::{Client, World, clock, entropy, issue, request};

/// Keys as a home keeps them, for all processes of a test.
#[derive(Default)]
pub(crate) struct Keys {
    kept: Mutex<HashMap<String, TestKey>>,
    /// A key that cannot be made, for the crash before it.
    broken: Mutex<Option<KeyName>>,
    believed: Mutex<Vec<Certificate>>,
}

impl Keyring for Keys {
    fn open(&self, name: KeyName) -> Result<Option<Box<dyn SigningKey>>, String> {
        let found = self.kept.lock().unwrap().get(&name.to_string()).cloned();
        Ok(found.map(|key| Box::new(key) as Box<dyn SigningKey>))
    }

    fn make(&self, name: KeyName, algorithm: KeyAlgorithm) -> Result<Box<dyn SigningKey>, String> {
        if *self.broken.lock().unwrap() == Some(name) {
            return Err("the power went out".to_owned());
        }
        let kind = if algorithm == KeyAlgorithm::Ed25519 { KeyKind::Ed25519 } else { KeyKind::P256 };
        let mut kept = self.kept.lock().unwrap();
        let key = kept.entry(name.to_string()).or_insert_with(|| TestKey::generate(kind));
        Ok(Box::new(key.clone()))
    }

    fn believe(&self, anchors: &[Certificate]) -> Result<(), String> {
        *self.believed.lock().unwrap() = anchors.to_vec();
        Ok(())
    }
}

type Memory = Arc<dyn Store>;

fn create(keys: &Arc<Keys>) -> Memory {
    let store: Memory = Arc::new(MemoryStore::new());
    let (root, issuing) = (TestKey::generate(KeyKind::P256), TestKey::generate(KeyKind::P256));
    let mut kept = keys.kept.lock().unwrap();
    kept.insert("root-key".to_owned(), root.clone());
    kept.insert("issuing-key".to_owned(), issuing.clone());
    let wish = CreateAuthority {
        name: "Test".to_owned(),
        root_lifetime: SignedDuration::from_hours(24 * 3650),
        constraints: NameConstraints::default(),
        requested_by: "founder".to_owned(),
    };
    Authority::create(Arc::clone(&store), &root, Box::new(issuing), &wish, entropy(), clock()).unwrap();
    store
}

/// A process that opens the authority anew.
fn open(store: &Memory, keys: &Arc<Keys>) -> Authority<Memory> {
    let line = issuing_line(store).unwrap();
    let key = keys.open(KeyName::Issuing(line)).unwrap().unwrap();
    let authority = Authority::open(Arc::clone(store), key, entropy()).unwrap();
    authority.with_keyring(Arc::clone(keys) as Arc<dyn Keyring>).unwrap()
}

async fn world() -> (World, Memory, Arc<Keys>) {
    let keys = Arc::new(Keys::default());
    let store = create(&keys);
    let world = World::of(open(&store, &keys), |_| {}).await;
    (world, store, keys)
}

/// An admin who comes without the network, and so is nobody who is seen.
async fn take(world: &World, body: Value) -> (u16, Value) {
    let local = service::api::Local::named("the operator");
    local.call(&world.state, http::Method::POST, "/api/v1/rollover", Some(&body)).await.unwrap()
}

async fn done(world: &mut World, body: Value) -> Value {
    let (status, document) = take(world, body.clone()).await;
    assert_eq!(status, 200, "{body}: {document}");
    world.follow_step();
    document
}

async fn status(world: &World) -> Value {
    let local = service::api::Local::named("the operator");
    let (status, document) =
        local.call(&world.state, http::Method::GET, "/api/v1/rollover", None).await.unwrap();
    assert_eq!(status, 200, "{document}");
    document
}

fn root_of(world: &World, line: u32) -> Certificate {
    world.state.authority().lines().find(line).unwrap().issuer().anchor().clone()
}

#[tokio::test]
async fn each_step_is_taken_in_its_order_and_no_other_one() {
    let (mut world, ..) = world().await;
    // At each step: what is refused, then what is taken, and where that leads.
    let table: [(&str, &[&str], &str, &str); 6] = [
        ("none", &["next", "retire", "abort"], "start", "distribute"),
        ("distribute", &["start", "retire"], "abort", "none"),
        ("none", &["next", "retire", "abort"], "start", "distribute"),
        ("distribute", &["start", "retire"], "next", "reissue"),
        ("reissue", &["start", "next"], "abort", "reissue"),
        ("reissue", &["start", "next"], "retire", "none"),
    ];
    for (at, refused, taken, leads_to) in table {
        assert_eq!(status(&world).await["step"], at);
        for step in refused {
            let (code, document) = take(&world, json!({ "step": step })).await;
            assert_eq!(
                (code, &document["type"]),
                (409, &json!("urn:countersign:other-step")),
                "{at}: {step}"
            );
        }
        let document = done(&mut world, json!({ "step": taken })).await;
        assert_eq!(document["step"], leads_to, "{at}: {taken}");
    }
    let (code, _) = take(&world, json!({ "step": "sideways" })).await;
    assert_eq!(code, 400);
    // Line 2 was taken away, and line 3 left again: line 1 issues as it did.
    let lines = status(&world).await["lines"].clone();
    let facts: Vec<_> =
        lines.as_array().unwrap().iter().map(|line| (line["issues"] == true, line["over"] == true)).collect();
    assert_eq!(facts[..2], [(true, false), (false, true)]);
    assert!(lines[2]["retired"].is_string());
}

/// What was issued, with its key.
struct Held {
    chain: Vec<Certificate>,
    key: TestKey,
}

fn hold(world: &World, name: &str) -> Held {
    let (issued, key) = issue(world.state.authority(), Profile::Client, name, None);
    Held { chain: std::iter::once(issued.certificate).chain(issued.chain).collect(), key }
}

fn leads_to(held: &Held, anchor: &Certificate) -> bool {
    let trust = TrustBundle::new(vec![anchor.clone()]);
    let rules = Rules::new(&trust, Purpose::Client, clock());
    verify(&held.chain[0], &held.chain[1..], &rules).is_ok()
}

async fn name(client: &Client) -> Option<String> {
    let answer = client.try_send(http::Method::GET, "/api/v1/whoami", None, &[]).await.ok()?;
    (answer.status == 200).then(|| answer.json()["name"].as_str().map(str::to_owned)).flatten()
}

/// Each is over TLS in both directions, where our engine and rustls-webpki have both judged the path.
#[tokio::test]
async fn whoever_believes_either_root_is_served_and_known_at_every_step_until_the_old_one_is_retired() {
    let (mut world, ..) = world().await;
    let old = root_of(&world, 1);
    let before = hold(&world, "before");
    done(&mut world, json!({ "step": "start" })).await;
    let new = root_of(&world, 2);
    assert_ne!(old.subject(), new.subject(), "two roots of one name confuse who looks them up by it");
    let during = hold(&world, "during");
    assert_eq!(during.chain[1].subject(), before.chain[1].subject(), "nothing is issued by the new line yet");
    assert_eq!(
        (leads_to(&before, &new), leads_to(&during, &new)),
        (false, true),
        "what is renewed leads to both"
    );

    for client in [&before, &during] {
        for anchor in [&old, &new] {
            let client = world.believer(std::slice::from_ref(anchor), Some((&client.chain, &client.key)));
            assert!(name(&client).await.is_some(), "{}", anchor.subject());
        }
    }
    done(&mut world, json!({ "step": "next" })).await;
    let after = hold(&world, "after");
    assert!(leads_to(&after, &old) && leads_to(&after, &new));
    for client in [&before, &during, &after] {
        for anchor in [&old, &new] {
            let known =
                name(&world.believer(std::slice::from_ref(anchor), Some((&client.chain, &client.key)))).await;
            assert_eq!(known, client.chain[0].subject().common_name(), "{}", anchor.subject());
        }
    }
    done(&mut world, json!({ "step": "retire", "force": true })).await;
    let last = hold(&world, "last");
    assert_eq!(last.chain.len(), 2, "what the old root signed for the new one is worth nothing any more");
    for (client, is_known) in [(&before, false), (&during, false), (&after, true), (&last, true)] {
        let shown = Some((client.chain.as_slice(), &client.key));
        assert_eq!(name(&world.believer(std::slice::from_ref(&new), shown)).await.is_some(), is_known);
    }
    let shown = Some((last.chain.as_slice(), &last.key));
    assert!(
        name(&world.believer(std::slice::from_ref(&old), shown)).await.is_none(),
        "the service shows nothing of the old root"
    );
}

#[tokio::test]
async fn a_new_intermediate_changes_nothing_for_those_who_believe_the_root() {
    let (mut world, _, keys) = world().await;
    let root = root_of(&world, 1);
    let before = hold(&world, "before");
    done(&mut world, json!({ "step": "start", "intermediate": true, "key": "ed25519" })).await;
    assert_eq!(world.state.authority().anchors().anchors(), std::slice::from_ref(&root));
    assert!(keys.open(KeyName::Root(2)).unwrap().is_none(), "no root was made");
    done(&mut world, json!({ "step": "next" })).await;
    let after = hold(&world, "after");
    assert_eq!(after.chain[1].public_key().unwrap().algorithm(), KeyAlgorithm::Ed25519);
    for client in [&before, &after] {
        assert!(leads_to(client, &root));
        let client = world.believer(std::slice::from_ref(&root), Some((&client.chain, &client.key)));
        assert!(name(&client).await.is_some());
    }
    done(&mut world, json!({ "step": "retire", "force": true })).await;
    for (client, is_known) in [(&before, false), (&after, true)] {
        let client = world.believer(std::slice::from_ref(&root), Some((&client.chain, &client.key)));
        assert_eq!(name(&client).await.is_some(), is_known, "what the root signed once it has withdrawn");
    }
    assert_eq!(world.state.authority().anchors().anchors(), [root]);
}

#[tokio::test]
async fn whoever_is_still_seen_is_not_cut_off_unless_that_is_forced() {
    let (mut world, store, keys) = world().await;
    let alice = hold(&world, "alice");
    let bob = hold(&world, "bob");
    hold(&world, "unseen");
    done(&mut world, json!({ "step": "start" })).await;
    done(&mut world, json!({ "step": "next" })).await;
    let old = root_of(&world, 1);
    for held in [&alice, &bob] {
        let client = world.believer(std::slice::from_ref(&old), Some((&held.chain, &held.key)));
        assert!(name(&client).await.is_some());
    }
    let now = status(&world).await;
    assert_eq!((now["still_seen_total"].as_u64(), now["blocked"].as_bool()), (Some(2), Some(true)), "{now}");
    let names: Vec<&str> =
        now["certificates"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"unseen") && names.contains(&"alice"), "{names:?}");
    let (code, refusal) = take(&world, json!({ "step": "retire" })).await;
    assert_eq!((code, &refusal["type"]), (409, &json!("urn:countersign:still-needed")));
    let detail = refusal["detail"].as_str().unwrap();
    assert!(
        detail.contains("'alice'") && detail.contains("'bob'") && !detail.contains("'unseen'"),
        "{detail}"
    );

    // Another process, as after a restart: what was seen is remembered for all.
    let restarted = World::of(open(&store, &keys), |_| {}).await;
    assert_eq!(status(&restarted).await["still_seen_total"], 2);

    // Alice renews with the certificate that she has, over a connection on which she is seen with it once more.
    let key = TestKey::generate(KeyKind::P256);
    let client = world.believer(std::slice::from_ref(&old), Some((&alice.chain, &alice.key)));
    let renewed =
        client.send(http::Method::POST, "/api/v1/renew", Some(request("alice", &key))).await.certificates();
    assert!(leads_to(&Held { chain: renewed, key }, &root_of(&world, 2)));
    let now = status(&world).await;
    let seen = now["still_seen"].as_array().unwrap();
    assert_eq!(seen.len(), 1, "{now}");
    assert_eq!(seen[0]["name"], "bob");
    // Who was not seen for long enough is nobody's client any more.
    let local = service::api::Local::named("the operator");
    let path = "/api/v1/rollover?within_seconds=-1";
    let (_, none) = local.call(&world.state, http::Method::GET, path, None).await.unwrap();
    assert_eq!(none["still_seen_total"], 0);

    // One that is taken back is cut off already.
    revoke(world.state.store(), &Selector::parse("bob"), RevocationReason::Superseded, "warden", clock())
        .unwrap();
    let now = done(&mut world, json!({ "step": "retire" })).await;
    assert_eq!(now["step"], "none");
    let remains = now["remains"][0].as_str().unwrap();
    assert!(remains.contains("line 1 are signed until its last certificate ends"), "{remains}");
}

/// At every step the process is killed, and another one opens the same memory and goes on.
#[tokio::test]
async fn a_rollover_goes_on_where_it_was_killed_at_every_step() {
    let keys = Arc::new(Keys::default());
    let store = create(&keys);
    let by = Who::from("the operator");
    let wish = ca::rollover::NewLine { new_root: true, algorithm: None, lifetime: None };
    let within = SignedDuration::from_hours(1);

    // Killed before each of the two keys: nothing has begun, and the key that was made is the one that is taken.
    for name in [KeyName::Issuing(2), KeyName::Root(2)] {
        *keys.broken.lock().unwrap() = Some(name);
        let error = open(&store, &keys).start_rollover(&wish, by, clock()).unwrap_err().to_string();
        assert!(error.contains("the power went out"), "{error}");
        assert!(open(&store, &keys).lines().rollover().is_none());
    }
    *keys.broken.lock().unwrap() = None;
    let made = keys.open(KeyName::Issuing(2)).unwrap().unwrap();
    open(&store, &keys).start_rollover(&wish, by, clock()).unwrap();

    let authority = open(&store, &keys);
    let lines = authority.lines();
    let line = lines.find(2).unwrap();
    assert_eq!(line.issuer().certificate().public_key().unwrap(), made.public_key());
    assert_eq!((lines.issuing().number(), lines.anchors().anchors().len()), (1, 2));
    assert!(authority.start_rollover(&wish, by, clock()).is_err(), "it is under way");

    // Two operators at once: one of them is told.
    let (one, other) = (open(&store, &keys), open(&store, &keys));
    one.switch(within, by, clock()).unwrap();
    assert!(other.switch(within, by, clock()).is_err());
    assert_eq!(other.lines().issuing().number(), 2, "and goes by what the first did");
    drop((one, other));

    let authority = open(&store, &keys);
    assert_eq!(authority.lines().issuing().number(), 2);
    let (issued, _) = issue(&authority, Profile::Client, "alice", None);
    assert_eq!(
        issued.certificate.issuer(),
        authority.lines().find(2).unwrap().issuer().certificate().subject()
    );
    assert_eq!(issued.anchors.len(), 2);
    open(&store, &keys).retire(by, clock()).unwrap();

    let lines = open(&store, &keys).lines();
    assert!(lines.rollover().is_none());
    assert_eq!(lines.anchors().anchors(), [lines.find(2).unwrap().issuer().anchor().clone()]);
    assert_eq!(lines.former_anchors(), [lines.find(1).unwrap().issuer().anchor().clone()]);
    assert_eq!(
        *keys.believed.lock().unwrap(),
        lines.anchors().anchors(),
        "the home was told whom to believe"
    );
    // And the next one makes line 3.
    let authority = open(&store, &keys);
    authority.start_rollover(&wish, by, clock()).unwrap();
    assert_eq!(authority.lines().rollover().map(|rollover| (rollover.from, rollover.to)), Some((2, 3)));
    let events = store.audit(None).unwrap();
    let steps: Vec<&str> = events
        .iter()
        .filter(|event| event.action == "rollover")
        .filter_map(|event| event.details.split(':').next())
        .collect();
    assert_eq!(steps, ["start", "switch", "retire", "start"]);
}

async fn list(world: &World, path: &str) -> CertificateRevocationList {
    let answer = world.stranger().get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    CertificateRevocationList::from_der(&answer.body).unwrap()
}

#[tokio::test]
async fn each_line_has_its_own_lists_and_responder_until_its_last_certificate_has_ended() {
    let (mut world, _, keys) = world().await;
    let alice = hold(&world, "alice");
    done(&mut world, json!({ "step": "start" })).await;
    done(&mut world, json!({ "step": "next" })).await;
    let bob = hold(&world, "bob");
    let carol = hold(&world, "carol");
    let number = list(&world, "/crl/issuing.crl").await.number().map(<[u8]>::to_vec);
    for name in ["alice", "bob"] {
        let reason = RevocationReason::KeyCompromise;
        revoke(world.state.store(), &Selector::parse(name), reason, "warden", clock()).unwrap();
    }
    world.state.look().unwrap();
    let issuers: Vec<Certificate> = {
        let lines = world.state.authority().lines();
        lines.all().iter().map(|line| line.issuer().certificate().clone()).collect()
    };
    for step in ["reissue", "none"] {
        for (line, path) in [(0, "/crl/issuing.crl"), (1, "/crl/line-2/issuing.crl")] {
            let list = list(&world, path).await;
            list.verify_signature(issuers[line].public_key().unwrap()).unwrap();
            let on_it = [&alice, &bob, &carol].map(|held| list.revocation(held.chain[0].serial()).is_some());
            assert_eq!(on_it, [line == 0, line == 1, false], "{step}: {path}");
            assert!(list.number() > number.as_deref());
        }
        let parts = [format!("/crl/2/{}.crl", alice.chain[0].serial().last().unwrap() % 2)]
            .into_iter()
            .chain([format!("/crl/line-2/2/{}.crl", bob.chain[0].serial().last().unwrap() % 2)]);
        for (path, held) in parts.zip([&alice, &bob]) {
            assert!(list(&world, &path).await.revocation(held.chain[0].serial()).is_some(), "{path}");
        }
        // What is asked in the name of the wrong line is not known there.
        for (held, line, expected) in
            [(&alice, 0, "revoked"), (&bob, 1, "revoked"), (&carol, 1, "good"), (&alice, 1, "unknown")]
        {
            let id = CertId::new(&issuers[line], held.chain[0].serial(), HashAlgorithm::Sha1).unwrap();
            let request = Request { certificates: vec![id], nonce: None };
            let answer = world.stranger().send(http::Method::POST, "/ocsp", Some(request.to_der())).await;
            let response = Response::from_der(&answer.body).unwrap();
            assert!(response.signer_for(&issuers[line], clock()).unwrap().is_some());
            let found = match response.responses()[0].status {
                CertStatus::Good => "good",
                CertStatus::Revoked(_) => "revoked",
                CertStatus::Unknown => "unknown",
            };
            assert_eq!(found, expected, "{step}");
        }
        for path in [
            "/crl/line-3/issuing.crl",
            "/crl/line-1/issuing.crl",
            "/crl/line-02/issuing.crl",
            "/crl/line-2/3/0.crl",
        ] {
            assert_eq!(world.stranger().get(path).await.status, 404, "{path}");
        }
        if step == "reissue" {
            done(&mut world, json!({ "step": "retire", "force": true })).await;
        }
    }
    let authority = world.state.authority();
    let week = SignedDuration::from_hours(24 * 7);
    let lines_at = |days: i64| -> Vec<u32> {
        let at = clock() + SignedDuration::from_hours(24 * days);
        authority.lists(at, week, 1, |_, _| Vec::new()).unwrap().iter().map(|of_line| of_line.line).collect()
    };
    assert_eq!(lines_at(1), [2, 1]);
    assert_eq!(lines_at(100), [2], "the last of the old line's certificates lived 90 days");
    // Without its key nothing is signed in the old line's name, and nothing else suffers.
    keys.kept.lock().unwrap().remove("issuing-key");
    let without = open(authority.store(), &keys);
    assert_eq!(without.lists(clock(), week, 1, |_, _| Vec::new()).unwrap().len(), 1);
}

#[tokio::test]
async fn the_log_keeps_its_name_and_its_key_and_each_line_signs_it_too() {
    let (mut world, ..) = world().await;
    let (first, root) = {
        let issuer = world.state.authority().issuer();
        (issuer.certificate().clone(), issuer.anchor().clone())
    };
    let name = origin(&root);
    let read = |note: &str, by: &Certificate| Checkpoint::verify(note, &name, by.public_key().unwrap());
    let mut size = 0;
    for step in ["start", "next", "retire"] {
        done(&mut world, json!({ "step": step, "force": step == "retire" })).await;
        hold(&world, step);
        let note = world.stranger().get("/log/checkpoint").await.text();
        let now = read(&note, &first).unwrap();
        assert!(now.size > size);
        size = now.size;
        let second = world.state.authority().lines().find(2).unwrap().issuer().certificate().clone();
        assert_eq!(read(&note, &second).unwrap().root, now.root);
        // Whatever a CA is, and whatever roots sign for each other, is in it from the step on that brings it.
        let lines = world.state.authority().lines();
        let of_lines =
            lines.all().iter().flat_map(|line| [line.issuer().anchor(), line.issuer().certificate()]);
        for own in of_lines.chain(lines.crosses()) {
            assert!(world.state.store().log_index(own.serial()).unwrap().is_some(), "{}", own.subject());
        }
        assert_eq!(world.state.store().ca_certificates().unwrap().len(), 6, "two lines, and two crosses");
    }
}

#[tokio::test]
async fn what_the_old_line_issued_is_to_be_renewed_in_the_time_that_was_given() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (mut world, ..) = world().await;
    let alice = hold(&world, "alice");
    let window = async |world: &World, held: &Held| {
        let leaf = &held.chain[0];
        let key = URL_SAFE_NO_PAD.encode(leaf.authority_key_identifier().unwrap());
        let path = format!("/acme/renewal-info/{key}.{}", URL_SAFE_NO_PAD.encode(leaf.serial()));
        let answer = world.stranger().get(&path).await.json();
        let time = |member: &str| {
            answer["suggestedWindow"][member].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
        };
        (time("start"), time("end"))
    };
    let usual = window(&world, &alice).await;
    done(&mut world, json!({ "step": "start" })).await;
    assert_eq!(window(&world, &alice).await, usual, "the new line issues nothing yet");
    let before = clock();
    done(&mut world, json!({ "step": "next", "renew_within_seconds": 3600 })).await;
    let (start, end) = window(&world, &alice).await;
    assert!(before <= start && start <= clock() && end == start + SignedDuration::from_hours(1));
    let bob = hold(&world, "bob");
    let (start, _) = window(&world, &bob).await;
    assert!(start > clock() + SignedDuration::from_hours(24), "what the new line issues is left in peace");
    // The other way round after going back.
    done(&mut world, json!({ "step": "abort", "renew_within_seconds": 3600 })).await;
    assert_eq!(window(&world, &alice).await, usual);
    assert!(window(&world, &bob).await.0 <= clock());
}

#[tokio::test]
async fn going_back_before_the_switch_leaves_no_trace_in_what_is_believed() {
    let (mut world, ..) = world().await;
    let old = root_of(&world, 1);
    done(&mut world, json!({ "step": "start" })).await;
    assert_eq!(world.stranger().get("/root.pem").await.certificates().len(), 2);
    done(&mut world, json!({ "step": "abort" })).await;
    assert_eq!(world.stranger().get("/root.pem").await.certificates(), [old]);
    let trust = world.stranger().get("/trust").await.json();
    assert_eq!(
        (trust["anchors"].as_array().unwrap().len(), trust["former"].as_array().unwrap().len()),
        (1, 1)
    );
    assert_eq!(hold(&world, "alice").chain.len(), 2);
}

#[tokio::test]
async fn a_replica_without_the_new_key_and_a_gateway_without_the_new_root_hold_the_switch_back() {
    let keys = Arc::new(Keys::default());
    let store = create(&keys);
    let world = World::of(open(&store, &keys), |_| {}).await;
    // A replica on another machine: it has the keys that there were when it was set up.
    let elsewhere = Arc::new(Keys { kept: Mutex::new(keys.kept.lock().unwrap().clone()), ..Keys::default() });
    let replica =
        World::of(open(&store, &elsewhere), |settings| settings.replica = Some("second".to_owned())).await;
    let gateway = world.caller("gw1", Some(Role::Gateway));
    let report = async |anchors: &[Certificate]| {
        let hashes: Vec<String> = anchors.iter().map(|anchor| pki::hex(&anchor.sha256())).collect();
        let body = json!({ "gateway": "edge", "status": { "anchors": hashes }, "clients": [] });
        assert_eq!(gateway.post("/api/v1/reports", &body).await.status, 200);
    };
    let heard = async || loop {
        if let Some(record) = store.record("replica", "second").unwrap() {
            break serde_json::from_str::<Value>(&record.body).unwrap();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(heard().await["keys"], json!([1]));
    assert_eq!(take(&world, json!({ "step": "start" })).await.0, 200);
    report(&[root_of(&world, 1)]).await;
    let (code, refusal) = take(&world, json!({ "step": "next" })).await;
    let detail = refusal["detail"].as_str().unwrap();
    assert_eq!(code, 409, "{refusal}");
    assert!(
        detail.contains("second cannot sign for line 2") && detail.contains("gw1: edge does not believe"),
        "{detail}"
    );

    // The replica goes on with what it has, also where it is forced.
    assert_eq!(take(&world, json!({ "step": "next", "force": true })).await.0, 200);
    replica.state.look().unwrap();
    assert_eq!(replica.state.authority().line().number(), 1);
    elsewhere.kept.lock().unwrap().clone_from(&keys.kept.lock().unwrap());
    assert!(replica.state.authority().refresh().unwrap());
    assert_eq!(replica.state.authority().line().number(), 2);
    report(world.state.authority().anchors().anchors()).await;
    assert_eq!(status(&world).await["gateways"][0]["believes_new_root"], true);
}

#[tokio::test]
async fn only_an_admin_takes_a_step_and_whoever_may_read_sees_how_far_it_is() {
    let (world, ..) = world().await;
    for (role, may_read, may_take) in [
        (Some(Role::Admin), true, true),
        (Some(Role::Operator), true, false),
        (Some(Role::Auditor), true, false),
        (Some(Role::Gateway), false, false),
        (None, false, false),
    ] {
        let label = role.map_or("nobody", Role::name);
        let client = world.caller(label, role);
        let read = client.get("/api/v1/rollover").await.status;
        assert_eq!(read, if may_read { 200 } else { 403 }, "{label}");
        let taken = client.post("/api/v1/rollover", &json!({ "step": "abort" })).await.status;
        assert_eq!(taken, if may_take { 409 } else { 403 }, "{label}");
    }
    assert_eq!(world.stranger().get("/api/v1/rollover").await.status, 401);
    let identity = Identity::find(world.state.store(), "operator").unwrap();
    assert_eq!(identity.role, Some(Role::Operator));
}

#[tokio::test]
async fn a_gateway_that_shows_a_certificate_of_the_old_line_holds_the_retiring_back_at_every_replica() {
    let keys = Arc::new(Keys::default());
    let store = create(&keys);
    let world = World::of(open(&store, &keys), |settings| settings.replica = Some("first".to_owned())).await;
    let other = World::of(open(&store, &keys), |_| {}).await;
    let server = || issue(world.state.authority(), Profile::Server, "edge.test", None).0.certificate;
    let gateway = world.caller("gw1", Some(Role::Gateway));
    let report = async |shown: &Certificate| {
        let anchors = world.state.authority().anchors();
        let anchors: Vec<String> = anchors.anchors().iter().map(|root| pki::hex(&root.sha256())).collect();
        let own =
            |serial: &str| json!({ "name": "edge.test", "not_after": clock().to_string(), "serial": serial });
        let shown = [own(&pki::hex(shown.serial())), own("0badcafe"), own("")];
        let body = json!({ "gateway": "edge", "status": { "anchors": anchors, "certificates": shown } });
        assert_eq!(gateway.post("/api/v1/reports", &body).await.status, 200);
    };
    let old = server();
    assert_eq!(take(&world, json!({ "step": "start" })).await.0, 200);
    report(&old).await;
    assert_eq!(take(&world, json!({ "step": "next" })).await.0, 200, "it is nobody's harm yet");
    other.state.authority().refresh().unwrap();

    // Nobody else is looked at here: who was seen in the future was not seen.
    let retire = json!({ "step": "retire", "seen_within_seconds": -1 });
    for asked in [&world, &other] {
        let (code, refusal) = take(asked, retire.clone()).await;
        let detail = refusal["detail"].as_str().unwrap();
        assert_eq!(code, 409, "{refusal}");
        assert!(detail.contains("gw1: edge shows the certificate 'edge.test'"), "{detail}");
    }
    assert_eq!(status(&world).await["gateways"][0]["shows_of_old_line"], json!(["edge.test"]));

    // One that is revoked, or of the new line, is not in the way.
    report(&server()).await;
    assert_eq!(status(&world).await["gateways"][0]["shows_of_old_line"], json!([]));
    assert_eq!(take(&world, retire).await.0, 200);
}

#[tokio::test]
async fn a_key_of_an_earlier_line_is_taken_for_no_new_one() {
    let (world, _, keys) = world().await;
    let old = keys.kept.lock().unwrap()["issuing-key"].clone();
    keys.kept.lock().unwrap().insert("issuing-key-2".to_owned(), old);
    let (code, refusal) = take(&world, json!({ "step": "start" })).await;
    assert_eq!(code, 409, "{refusal}");
    assert!(
        refusal["detail"].as_str().unwrap().contains("issuing-key-2 is the key of 'Test Issuing CA' already")
    );
    assert_eq!(world.state.authority().lines().all().len(), 1);
}

#[tokio::test]
async fn a_root_key_that_is_kept_elsewhere_is_asked_for_and_no_step_is_half_taken() {
    let (mut world, store, keys) = world().await;
    let root = keys.kept.lock().unwrap().remove("root-key").unwrap();
    let (code, refusal) = take(&world, json!({ "step": "start" })).await;
    assert_eq!((code, &refusal["type"]), (409, &json!("urn:countersign:no-key")), "{refusal}");
    assert!(refusal["detail"].as_str().unwrap().contains("root-key is not here"), "{refusal}");
    assert!(store.record("rollover", "lines").unwrap().is_none());
    keys.kept.lock().unwrap().insert("root-key".to_owned(), root);
    // A key of another kind that was left under the new name is not taken for what was asked for.
    let stray = TestKey::generate(KeyKind::Ed25519);
    keys.kept.lock().unwrap().insert("issuing-key-2".to_owned(), stray);
    let (code, refusal) = take(&world, json!({ "step": "start" })).await;
    assert_eq!(code, 409, "{refusal}");
    assert_eq!(take(&world, json!({ "step": "start", "key": "rot13" })).await.0, 400);
    keys.kept.lock().unwrap().remove("issuing-key-2");
    assert_eq!(take(&world, json!({ "step": "start", "days": 400_000_000 })).await.0, 400);
    done(&mut world, json!({ "step": "start" })).await;
}

#[tokio::test]
async fn the_console_leads_through_it_and_offers_the_steps_to_admins_alone() {
    let (mut world, ..) = world().await;
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let submit = async |client: &Client, form: &str| {
        let body = Some(form.as_bytes().to_vec());
        client.try_send(http::Method::POST, "/console/rollover", body, &kind).await.unwrap()
    };
    let boss = world.caller("boss", Some(Role::Admin));
    let watcher = world.caller("watcher", Some(Role::Auditor));
    let page = async |client: &Client| client.get("/console/rollover").await.text();
    assert!(page(&boss).await.contains("No change of the CA is under way"));
    assert!(
        page(&boss).await.contains("<form") && !page(&watcher).await.contains("action=\"/console/rollover\"")
    );
    for step in ["start", "next", "retire", "abort"] {
        assert_eq!(submit(&watcher, &format!("step={step}")).await.status, 403, "{step}");
    }
    assert_eq!(submit(&boss, "step=start&kind=root").await.status, 303);
    world.follow_step();
    let shown = page(&watcher).await;
    assert!(shown.contains("aria-current=\"step\"><strong>Distribute</strong>"), "{shown}");
    assert!(shown.contains("Test Root CA 2") && shown.contains("Test Issuing CA 2"), "{shown}");
    assert_eq!(submit(&boss, "step=next").await.status, 303);
    world.follow_step();
    // Both have come with certificates of the old line, the admin with each of these clicks.
    let shown = page(&watcher).await;
    assert!(shown.contains("<strong>Re-issue</strong>") && shown.contains("<bdi>boss</bdi>"), "{shown}");
    let refused = submit(&boss, "step=retire").await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("&#39;watcher&#39;"), "{}", refused.text());
    let mistyped = submit(&boss, "step=retire&force=yes").await;
    assert_eq!(mistyped.status, 409);
    assert!(mistyped.text().contains("Nothing was done"), "{}", mistyped.text());
    assert_eq!(status(&world).await["step"], "reissue");
    assert_eq!(submit(&boss, "step=retire&force=retire").await.status, 303);
    assert_eq!(status(&world).await["step"], "none");
}

#[tokio::test]
async fn a_step_is_answered_once_the_authority_itself_shows_a_certificate_of_the_new_line() {
    let (world, ..) = world().await;
    world.state.shows(world.state.authority().lines().version());
    for step in ["start", "next", "retire"] {
        let before = world.state.authority().lines().version();
        let is_shown = AtomicBool::new(false);
        let keeper = async {
            while world.state.authority().lines().version() == before {
                tokio::task::yield_now().await;
            }
            // Slower than any answer would be that does not wait.
            for _ in 0..100_000 {
                tokio::task::yield_now().await;
            }
            is_shown.store(true, Ordering::SeqCst);
            world.state.shows(world.state.authority().lines().version());
        };
        let answer = async {
            let (status, document) = take(&world, json!({ "step": step, "force": true })).await;
            assert_eq!(status, 200, "{step}: {document}");
            assert!(is_shown.load(Ordering::SeqCst), "{step} was answered before it could be relied on");
        };
        tokio::join!(keeper, answer);
    }
}
