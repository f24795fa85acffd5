//! The API: who may do what, and that its document tells the truth.

use ca::{Role, Selector};
use http::Method;
use pki::Profile;
use pki::crl::RevocationReason;
use serde_json::{Value, json};
use service::{Surface, router};
use testkit::{KeyKind, TestKey};
use tower::ServiceExt as _;

use crate::world::{Client, World, clock, issue, request};

fn methods(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    all
}

async fn call(client: &Client, method: &str, path: &str) -> crate::world::Answer {
    let path = path.replace("{which}", "alice").replace("{handle}", "abcdefgh").replace("{name}", "acme");
    let path = path.replace("{label}", "zoe");
    let body = (method != "GET" && method != "DELETE").then(|| b"{}".to_vec());
    client.send(method.parse().unwrap(), &path, body).await
}

#[tokio::test]
async fn every_operation_asks_for_a_role_and_lets_exactly_those_of_its_document_through() {
    let world = World::new().await;
    let document = world.stranger().get("/api/v1/openapi.json").await.json();
    let callers: Vec<(Option<Role>, Client)> = Role::ALL
        .into_iter()
        .map(|role| (Some(role), world.caller(&format!("a-{role}"), Some(role))))
        .chain([(None, world.caller("nobody", None))])
        .collect();
    let operations = methods(&document);
    assert!(operations.len() >= 17);
    for (method, path, operation) in operations {
        let Some(roles) = operation["x-roles"].as_array() else {
            assert_eq!(call(&world.stranger(), &method, &path).await.status, 200, "{method} {path}");
            continue;
        };
        assert_eq!(call(&world.stranger(), &method, &path).await.status, 401, "{method} {path}");
        for (role, client) in &callers {
            let allowed = role.is_some_and(|role| roles.contains(&role.name().into()));
            if path.ends_with("/feed") && allowed {
                // It does not end.
                assert_eq!(client.stream(&path, &[]).await.status(), 200);
                continue;
            }
            let answer = call(client, &method, &path).await;
            let refused = answer.status == 403 && answer.json()["type"] == "urn:countersign:not-allowed";
            assert_eq!(!refused, allowed, "{method} {path} as {role:?}: {} {}", answer.status, answer.text());
        }
    }
}

#[tokio::test]
async fn answers_are_what_the_document_says() {
    let world = World::new().await;
    let admin = world.caller("root", Some(Role::Admin));
    let document = admin.get("/api/v1/openapi.json").await.json();
    let fits = |answer: &crate::world::Answer, schema: &str| {
        let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
        check(&answer.json(), &schema, &document, "answer");
    };
    issue(world.state.authority(), Profile::Client, "alice", None);
    let invite = json!({ "name": "bob", "names": { "common_name": "bob" } });
    let put =
        |path: &'static str, body: Value| admin.send(Method::PUT, path, Some(body.to_string().into_bytes()));
    let csr = String::from_utf8(request("carol", &TestKey::generate(KeyKind::P256))).unwrap();
    fits(&admin.get("/api/v1/whoami").await, "Caller");
    fits(&admin.get("/api/v1/certificates?limit=1").await, "Certificates");
    fits(&admin.get("/api/v1/certificates/alice").await, "Certificates");
    let sign = json!({ "profile": "client", "request": csr });
    fits(&admin.post("/api/v1/certificates", &sign).await, "Signed");
    fits(&admin.post("/api/v1/invites", &invite).await, "Invited");
    fits(&admin.get("/api/v1/log").await, "Log");
    fits(&admin.get("/api/v1/log/proof/alice").await, "Proof");
    fits(&admin.get("/api/v1/log/consistency?from=0&to=1").await, "Consistency");
    fits(&admin.get("/api/v1/log/entries").await, "Entries");
    fits(&admin.get("/api/v1/invites").await, "Invites");
    fits(&put("/api/v1/partners/acme", json!({})).await, "Partner");
    fits(&admin.get("/api/v1/partners").await, "Partners");
    fits(&put("/api/v1/identities/gw", json!({ "role": "gateway", "partner": "acme" })).await, "Identity");
    fits(&admin.get("/api/v1/identities?partner=acme").await, "Identities");
    let hold = json!({ "which": "alice", "reason": "certificateHold" });
    fits(&admin.post("/api/v1/revocations", &hold).await, "Certificates");
    let released = admin.post("/api/v1/releases", &json!({ "which": "alice" })).await;
    fits(&released, "Certificates");
    assert_eq!(released.json()["certificates"][0]["state"], "good");
    fits(&admin.get("/api/v1/audit?limit=3").await, "Events");
    fits(&admin.get("/api/v1/nothing").await, "Problem");
    fits(&admin.post("/api/v1/invites", &json!({ "nonsense": 1 })).await, "Problem");
}

/// Checks a value against the part of JSON Schema that the document uses.
fn check(value: &Value, schema: &Value, document: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target =
            document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"));
        return check(value, target, document, place);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(value, part, document, place);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = &schema["type"];
    let fits =
        allowed.is_null() || allowed == kind || allowed.as_array().is_some_and(|a| a.contains(&kind.into()));
    assert!(fits, "{place} is {kind}, not {allowed}: {value}");
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{place} lacks {name}: {value}");
    }
    for (name, item) in value.as_object().into_iter().flatten() {
        if let Some(part) = schema["properties"].get(name) {
            check(item, part, document, &format!("{place}.{name}"));
        } else {
            let open = schema["properties"].is_null() || schema["allOf"].is_array() || place == "answer";
            assert!(open, "{place}.{name} is not in the document");
        }
    }
    for item in value.as_array().into_iter().flatten() {
        check(item, &schema["items"], document, &format!("{place}[]"));
    }
}

#[tokio::test]
async fn an_operator_cannot_become_an_admin() {
    let world = World::new().await;
    world.caller("root", Some(Role::Admin));
    let operator = world.caller("olga", Some(Role::Operator));
    let put = |label: &str, role: &str| {
        let body = json!({ "role": role }).to_string().into_bytes();
        let (operator, path) = (operator.clone(), format!("/api/v1/identities/{label}"));
        async move { operator.send(Method::PUT, &path, Some(body)).await.status }
    };
    assert_eq!(put("olga", "admin").await, 403);
    assert_eq!(put("eve", "admin").await, 403);
    assert_eq!(put("ROOT", "operator").await, 403);
    let invite = json!({ "name": "Root", "names": { "common_name": "root" } });
    assert_eq!(operator.post("/api/v1/invites", &invite).await.status, 403);
    let csr = String::from_utf8(request("root", &TestKey::generate(KeyKind::P256))).unwrap();
    let sign = json!({ "profile": "client", "request": csr, "label": "root" });
    assert_eq!(operator.post("/api/v1/certificates", &sign).await.status, 403);
    assert_eq!(operator.post("/api/v1/revocations", &json!({ "which": "root" })).await.status, 403);
    assert_eq!(world.state.store().find(&Selector::parse("root")).unwrap().len(), 1);
}

#[tokio::test]
async fn a_callers_name_is_the_one_its_certificate_is_filed_under_whatever_stands_in_it() {
    let world = World::new().await;
    world.caller("root", Some(Role::Admin));
    // A certificate of eve whose commonName says root.
    let key = TestKey::generate(KeyKind::P256);
    let csr = String::from_utf8(request("root", &key)).unwrap();
    let enroller = world.caller("ed", Some(Role::Enroller));
    let sign = json!({ "profile": "client", "request": csr, "label": "eve" });
    let signed = enroller.post("/api/v1/certificates", &sign).await.json();
    let blocks = pki::pem::read(signed["pem"].as_str().unwrap().as_bytes()).unwrap();
    let chain: Vec<_> = blocks.iter().map(|b| pki::Certificate::from_der(&b.der).unwrap()).collect();
    let eve = world.holder(&chain, &key);
    assert_eq!(eve.get("/api/v1/whoami").await.json(), json!({ "name": "eve", "role": null }));
    assert_eq!(eve.get("/api/v1/certificates").await.status, 403);
}

#[tokio::test]
async fn a_role_ends_with_its_certificate_before_the_listener_hears_of_it() {
    let world = World::new().await;
    let auditor = world.caller("carol", Some(Role::Auditor));
    assert_eq!(auditor.get("/api/v1/audit").await.status, 200);
    let reason = RevocationReason::PrivilegeWithdrawn;
    ca::revoke(world.state.store(), &Selector::parse("carol"), reason, "warden", clock()).unwrap();
    assert_eq!(auditor.get("/api/v1/audit").await.status, 401);
}

#[tokio::test]
async fn each_listener_serves_its_own_part_and_nothing_of_the_others() {
    let world = World::new().await;
    let nothing = Surface { enrolment: false, status: false, admin: false };
    let parts = [
        (
            Surface { enrolment: true, ..nothing },
            ["/acme/directory", "/.well-known/est/cacerts", "/acme/new-nonce"],
        ),
        (Surface { status: true, ..nothing }, ["/crl/issuing.crl", "/log/checkpoint", "/issuing.crt"]),
        (Surface { admin: true, ..nothing }, ["/api/v1/certificates", "/log/tile/entries/000", "/console"]),
    ];
    for (surface, _) in &parts {
        for (owner, paths) in &parts {
            for path in paths {
                let request = http::Request::get(*path).body(axum::body::Body::empty()).unwrap();
                let status = router(&world.state, *surface).oneshot(request).await.unwrap().status().as_u16();
                assert_eq!(status != 404, surface == owner, "{path} at {surface:?}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn a_text_with_the_character_of_no_name_is_refused_wherever_it_stands() {
    let world = World::new().await;
    let admin = world.caller("boss", Some(Role::Admin));
    for path in [
        "/api/v1/certificates?search=a%00b",
        "/api/v1/certificates?partner=%00",
        "/api/v1/certificates/a%00",
        "/api/v1/identities/%00",
        "/api/v1/audit?serial=%00",
        "/console/certificates?search=%00",
        "/i/%00",
        "/acme/order/%00",
    ] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    for (path, body) in [
        ("/api/v1/revocations", json!({ "which": "a\0", "reason": "superseded" })),
        ("/api/v1/invites", json!({ "name": "a\0b", "profile": "client", "names": {}, "uses": 1 })),
        ("/api/v1/reports", json!({ "gateway": "\0", "status": {}, "clients": [] })),
    ] {
        let answer = admin.post(path, &body).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert!(answer.text().contains("U+0000"), "{path}: {}", answer.text());
    }
}
