//! The console's pages: who sees which, and what they are held to. The browser's part is an interop case.

use ca::Role;
use http::Method;
use http::header::CONTENT_SECURITY_POLICY;
use serde_json::json;

use crate::world::{Client, World};

const PAGES: [&str; 6] = [
    "/console",
    "/console/certificates",
    "/console/invites",
    "/console/invites/new",
    "/console/partners",
    "/console/audit",
];

async fn submit(client: &Client, path: &str, form: &str) -> u16 {
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let answer = client.try_send(Method::POST, path, Some(form.as_bytes().to_vec()), &kind).await;
    answer.unwrap().status
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
    assert_eq!(submit(&admin, &path, "reason=superseded&confirm=somebody").await, 400);
    assert_eq!(submit(&admin, &path, &form).await, 303);
    let after = admin.get(&format!("/api/v1/certificates/{serial}")).await.json();
    assert_eq!(after["certificates"][0]["state"], "revoked");
}
