//! The console's pages: who sees which, and what they are held to. The browser's part is an interop case.

use ca::Role;
use http::Method;
use http::header::CONTENT_SECURITY_POLICY;
use serde_json::json;

use crate::world::{Client, World};

const PAGES: [&str; 9] = [
    "/console",
    "/console/certificates",
    "/console/invites",
    "/console/invites/new",
    "/console/partners",
    "/console/policy",
    "/console/refusals",
    "/console/rollover",
    "/console/audit",
];

async fn submit(client: &Client, path: &str, form: &str) -> u16 {
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let answer = client.try_send(Method::POST, path, Some(form.as_bytes().to_vec()), &kind).await;
    answer.unwrap().status
}

async fn put(client: &Client, path: &str, body: &serde_json::Value) -> u16 {
    client.send(Method::PUT, path, Some(body.to_string().into_bytes())).await.status
}

#[tokio::test]
async fn every_page_asks_for_a_role_and_runs_no_script_of_others() {
    let world = World::new().await;
    let admin = world.caller("boss", Some(Role::Admin));
    let nobody = world.caller("alice", None);
    for path in PAGES {
        let answer = admin.send(Method::GET, path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let policy = answer.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(answer.headers["x-frame-options"], "DENY");
        assert_eq!(nobody.send(Method::GET, path, None).await.status, 403, "{path} without a role");
        let stranger = world.stranger().send(Method::GET, path, None).await;
        assert!(matches!(stranger.status, 401 | 403), "{path} without a certificate: {}", stranger.status);
    }
}

#[tokio::test]
async fn what_stands_in_certificates_is_text_on_every_page() {
    let world = World::new().await;
    let admin = world.caller("boss", Some(Role::Admin));
    let hostile = "<img src=x onerror=alert(1)>\u{202e}\"'";
    let wish = json!({ "name": hostile, "names": { "common_name": hostile } });
    let invite = admin.post("/api/v1/invites", &wish).await;
    assert_eq!(invite.status, 201, "{}", invite.text());
    let handle = invite.json()["handle"].as_str().unwrap().to_owned();
    for path in ["/console", "/console/invites", "/console/audit", &format!("/console/invites/{handle}")] {
        let page = admin.send(Method::GET, path, None).await.text();
        assert!(page.contains("&#60;img src=x"), "{path} shows the name");
        assert!(!page.contains("<img"), "{path}");
    }
    let searched =
        admin.send(Method::GET, "/console/certificates?search=%22%3E%3Cscript%3E", None).await.text();
    assert!(!searched.contains("<script>"), "{searched}");
}

#[tokio::test]
async fn partners_of_the_second_page_are_one_click_away() {
    let world = World::new().await;
    let admin = world.caller("boss", Some(Role::Admin));
    for number in 0..51 {
        let partner =
            ca::Partner { name: format!("partner-{number:02}"), contact: None, most_certificates: 3 };
        partner.put(world.state.store(), ca::Who::from("tester"), crate::world::clock()).unwrap();
    }
    let uncounted = admin.get("/api/v1/partners?counted=false&limit=1").await.json();
    assert_eq!(uncounted["partners"][0]["certificates"], json!(null));
    assert_eq!(admin.get("/api/v1/partners?limit=1").await.json()["partners"][0]["certificates"], 0);
    let first = admin.send(Method::GET, "/console/partners", None).await.text();
    assert!(first.contains("partner-49") && !first.contains("partner-50"), "{first}");
    let link = first.split("href=\"").filter_map(|rest| rest.split('"').next());
    let more = link.filter(|link| link.contains("after=")).collect::<Vec<_>>();
    assert_eq!(more, ["/console/partners?after=partner-49"]);
    let second = admin.send(Method::GET, more[0], None).await.text();
    assert!(second.contains("partner-50") && !second.contains("after="), "{second}");
}

#[tokio::test]
async fn the_inventory_is_filtered_by_partner_and_found_by_fingerprint() {
    let world = World::new().await;
    let admin = world.caller("boss", Some(Role::Admin));
    let partner = json!({ "contact": null, "most_certificates": 3 });
    assert_eq!(put(&admin, "/api/v1/partners/A%26B", &partner).await, 200);
    world.caller("alice", None);
    world.caller("bob", None);
    let identity = json!({ "partner": "A&B" });
    assert_eq!(put(&admin, "/api/v1/identities/alice", &identity).await, 200);
    let of_partner = admin.get("/api/v1/certificates?partner=A%26B").await.json();
    let names: Vec<&str> = of_partner["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["alice"]);
    let page = admin.get("/console/certificates?partner=A%26B&state=good").await.text();
    let shown = |page: &str, name: &str| page.contains(&format!("<bdi>{name}</bdi></td>"));
    assert!(shown(&page, "alice") && !shown(&page, "bob") && !shown(&page, "boss"), "{page}");
    // What was chosen stays chosen, and can be chosen.
    assert!(page.contains("name=\"partner\" value=\"A&#38;B\""), "{page}");
    assert!(
        page.contains("<option value=\"A&#38;B\">") && page.contains("<option value=\"good\" selected>"),
        "{page}"
    );
    let partners = admin.get("/console/partners").await.text();
    assert!(partners.contains("href=\"/console/certificates?partner=A%26B\""), "{partners}");
    let sha256 = of_partner["certificates"][0]["sha256"].as_str().unwrap();
    let colons: Vec<&str> = (0..32).map(|place| &sha256[2 * place..2 * place + 2]).collect();
    for text in [sha256.to_owned(), colons.join("%3A").to_uppercase(), format!("+{}+", colons.join(":"))] {
        let page = admin.get(&format!("/console/certificates?search={text}")).await.text();
        assert!(shown(&page, "alice") && !shown(&page, "bob"), "{text}: {page}");
    }
    let nothing = admin.get(&format!("/console/certificates?search={sha256}&partner=nobody")).await.text();
    assert!(nothing.contains("No certificate fits"), "{nothing}");
}

#[tokio::test]
async fn roles_bound_what_the_forms_do() {
    let world = World::new().await;
    let auditor = world.caller("watcher", Some(Role::Auditor));
    let certificates = auditor.get("/api/v1/certificates").await.json();
    let serial = certificates["certificates"][0]["serial_number"].as_str().unwrap().to_owned();
    let name = certificates["certificates"][0]["name"].as_str().unwrap().to_owned();
    let form = format!("reason=superseded&confirm={name}");
    let path = format!("/console/certificates/{serial}/revoke");
    assert_eq!(submit(&auditor, &path, &form).await, 403);
    let admin = world.caller("boss", Some(Role::Admin));
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let mistyped = Some(b"reason=superseded&confirm=somebody".to_vec());
    let again = admin.try_send(Method::POST, &path, mistyped, &kind).await.unwrap();
    assert_eq!(again.status, 400);
    // Who mistypes the name has not to choose the reason again, and does not revoke for another.
    assert!(again.text().contains("<option selected>superseded</option>"), "{}", again.text());
    assert_eq!(submit(&admin, &path, &form).await, 303);
    let after = admin.get(&format!("/api/v1/certificates/{serial}")).await.json();
    assert_eq!(after["certificates"][0]["state"], "revoked");
}

/// alice's certificate is taken back, and she comes again.
async fn refused_alice(world: &World) -> Client {
    let alice = world.caller("alice", None);
    assert_eq!(alice.get("/api/v1/whoami").await.json()["name"], "alice");
    let admin = world.caller("boss", Some(Role::Admin));
    let wish = json!({ "which": "alice", "reason": "keyCompromise" });
    assert_eq!(admin.post("/api/v1/revocations", &wish).await.status, 200);
    world.refresh();
    alice
}

#[tokio::test]
async fn a_revoked_person_reads_the_reason_and_reaches_nothing_of_the_service() {
    let world = World::new().await;
    let alice = refused_alice(&world).await;
    // The list is open to anyone, with a certificate or without: the refusal is of this connection, not of the path.
    for path in ["/console", "/api/v1/whoami", "/root.pem", "/api/v1/certificates"] {
        let answer = alice.send(Method::GET, path, None).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("certificate_revoked"), "{path}: {}", answer.text());
    }
    assert_eq!(alice.post("/api/v1/revocations", &json!({ "which": "boss" })).await.status, 403);
    assert_eq!(world.stranger().get("/root.pem").await.status, 200);
}

#[tokio::test]
async fn a_refused_handshake_opens_as_the_doctors_verdict_and_as_the_ladder() {
    let world = World::new().await;
    let alice = refused_alice(&world).await;
    assert_eq!(alice.send(Method::GET, "/console", None).await.status, 403);
    let watcher = world.caller("watcher", Some(Role::Auditor));
    let list = watcher.get("/api/v1/refusals").await.json();
    let refusal = &list["refusals"][0];
    assert_eq!((&refusal["code"], &refusal["subject"]), (&json!("certificate_revoked"), &json!("CN=alice")));
    let number = refusal["number"].as_u64().unwrap();
    let one = watcher.get(&format!("/api/v1/refusals/{number}")).await.json();
    assert_eq!(one["report"]["verdict"], "refused", "{one}");
    assert_eq!(one["report"]["findings"][0]["code"], "certificate_revoked");
    assert_eq!(one["report"]["findings"][0]["weight"], "blocks");
    assert!(one["conversation"]["messages"].as_array().is_some_and(|all| all.len() > 5), "{one}");
    let page = watcher.get(&format!("/console/refusals/{number}")).await.text();
    let fix = "countersign issue client alice";
    assert_eq!(one["report"]["findings"][0]["fix"]["command"], fix, "{one}");
    for part in ["certificate_revoked", "Why it was refused", "ClientHello", "CertificateVerify", fix] {
        assert!(page.to_lowercase().contains(&part.to_lowercase()), "{part}: {page}");
    }
    let conversation = watcher.get(&format!("/console/refusals/{number}/conversation")).await;
    let policy = conversation.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("script-src 'sha256-") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!conversation.text().contains("CLIENT_HANDSHAKE_TRAFFIC_SECRET"), "no secret is shown");
    let nobody = world.caller("nobody", None);
    for path in ["/api/v1/refusals".to_owned(), format!("/console/refusals/{number}/conversation")] {
        assert_eq!(nobody.send(Method::GET, &path, None).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn a_gateway_reports_what_it_refused_and_nothing_else_is_believed() {
    let world = World::new().await;
    let gateway = world.caller("edge-1", Some(Role::Gateway));
    let now = crate::world::clock().to_string();
    let report = json!({
        "at": now, "from": "192.0.2.7:4711", "code": "unknown_issuer", "fault": "client",
        "message": "<img src=x onerror=alert(1)>\u{202e} is unknown", "subject": "CN=<script>alert(1)</script>",
    });
    assert_eq!(gateway.post("/api/v1/refusals", &report).await.status, 200);
    let watcher = world.caller("watcher", Some(Role::Auditor));
    let list = watcher.get("/api/v1/refusals").await.json();
    assert_eq!(list["refusals"][0]["gateway"], "edge-1");
    for path in ["/console/refusals", "/console/refusals/1"] {
        let page = watcher.get(path).await.text();
        assert!(page.contains("edge-1") && !page.contains("<script>a") && !page.contains("<img"), "{page}");
    }
    // What mends it is said by the service's own engine, without a recording too.
    let page = watcher.get("/console/refusals/1").await.text();
    assert!(page.contains("countersign doctor https://HOST:PORT --cert client.pem"), "{page}");
    let wrong = [
        ("code", json!("no_such_code")),
        ("at", json!("2001-01-01T00:00:00Z")),
        ("transcript", json!("AAAA")),
        ("more", json!(1)),
    ];
    for (member, value) in wrong {
        let mut report = report.clone();
        report[member] = value;
        assert_eq!(gateway.post("/api/v1/refusals", &report).await.status, 400, "{member}");
    }
    let enroller = world.caller("desk", Some(Role::Enroller));
    assert_eq!(enroller.post("/api/v1/refusals", &report).await.status, 403);
}

#[tokio::test]
async fn what_alice_would_be_allowed_is_answered_by_the_engine_that_gateways_ask() {
    let world = World::new().await;
    world.caller("alice", None);
    let watcher = world.caller("watcher", Some(Role::Auditor));
    let ask = |rules: &str| json!({ "which": "alice", "rules": rules });
    let allowed = watcher.post("/api/v1/evaluations", &ask("cn alice for GET\ndeny ou Interns")).await.json();
    let verdicts: Vec<(&str, bool)> = allowed["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["method"].as_str().unwrap(), one["allowed"].as_bool().unwrap()))
        .collect();
    assert_eq!(verdicts[..3], [("GET", true), ("HEAD", false), ("POST", false)]);
    assert_eq!((&allowed["valid"], &allowed["role"]), (&json!(true), &json!(null)));
    assert_eq!(watcher.post("/api/v1/evaluations", &ask("nonsense")).await.status, 400);
    let form = "which=alice&rules=cn+alice";
    assert_eq!(submit(&watcher, "/console/policy", form).await, 200);
    let admin = world.caller("boss", Some(Role::Admin));
    assert_eq!(admin.post("/api/v1/revocations", &json!({ "which": "alice" })).await.status, 200);
    let after = watcher.post("/api/v1/evaluations", &ask("all")).await.json();
    assert_eq!((&after["valid"], &after["methods"]), (&json!(false), &json!([])), "{after}");
}

#[tokio::test]
async fn names_of_64_kilobytes_and_marks_that_turn_text_break_no_page() {
    let world = World::new().await;
    let admin = world.caller("boss", Some(Role::Admin));
    let endless = "x".repeat(63 * 1024);
    let turned = "\u{202e}evil\u{2066}\u{200f}";
    for name in [endless.as_str(), turned] {
        // Refused with a reason, or kept: in no case a page that fails.
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let body = format!("name={}", name.replace('\u{202e}', "%E2%80%AE"));
        for path in ["/console/invites/new", "/console/partners", "/console/policy"] {
            let form = format!("{body}&which={name}&contact=&most=5");
            let answer = admin.try_send(Method::POST, path, Some(form.into_bytes()), &kind).await.unwrap();
            assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text());
        }
    }
    for path in PAGES {
        let page = admin.send(Method::GET, path, None).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.len() < 100_000, "{path} has {} octets", page.body.len());
        let text = page.text();
        // Whatever turns text around stands inside <bdi>, in an attribute, or nowhere.
        for (place, _) in text.match_indices('\u{202e}') {
            let before = &text[..place];
            let inside =
                before.rfind("<bdi").is_some_and(|open| before.rfind("</bdi>").is_none_or(|end| end < open));
            let quoted = before.rfind('<') > before.rfind('>');
            let titled = before
                .rfind("<title>")
                .is_some_and(|open| before.rfind("</title>").is_none_or(|end| end < open));
            assert!(inside || quoted || titled, "{path}: {}", &text[place.saturating_sub(80)..place]);
        }
    }
}
