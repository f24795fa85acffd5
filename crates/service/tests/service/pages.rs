//! Everything that the console does is an API call: each page and form with the calls that do the same with curl, as data;
//! and no page is longer than people on a slow line can wait for.

use std::collections::BTreeSet;
use std::path::Path;

use ca::Role;
use serde_json::json;

use crate::world::{World, clock, issue};

/// A page or form of the console, and the calls of the API that do the same.
type Pair = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

#[rustfmt::skip] // A line for a page reads as the table it is.
const PAIRS: &[Pair] = &[
    ("get", "/console", &[("get", "/api/v1/statistics"), ("get", "/api/v1/certificates"), ("get", "/api/v1/invites"), ("get", "/api/v1/audit"), ("get", "/api/v1/refusals"), ("get", "/api/v1/clients"), ("get", "/api/v1/handshakes"), ("get", "/api/v1/health")]),
    ("get", "/console/audit", &[("get", "/api/v1/audit")]),
    ("get", "/console/certificates", &[("get", "/api/v1/certificates"), ("get", "/api/v1/partners")]),
    ("get", "/console/certificates/{serial}", &[("get", "/api/v1/certificates/{which}"), ("get", "/api/v1/audit"), ("get", "/api/v1/clients")]),
    ("post", "/console/certificates/{serial}/revoke", &[("post", "/api/v1/revocations")]),
    ("post", "/console/certificates/{serial}/release", &[("post", "/api/v1/releases")]),
    ("get", "/console/clients", &[("get", "/api/v1/clients")]),
    ("get", "/console/handshakes", &[("get", "/api/v1/handshakes")]),
    ("get", "/console/invites", &[("get", "/api/v1/invites")]),
    ("get", "/console/invites/new", &[("get", "/api/v1/partners")]),
    ("post", "/console/invites/new", &[("post", "/api/v1/invites")]),
    ("get", "/console/invites/{handle}", &[("get", "/api/v1/invites/{handle}")]),
    ("post", "/console/invites/{handle}/decision", &[("post", "/api/v1/invites/{handle}/decision")]),
    ("post", "/console/invites/{handle}/withdraw", &[("delete", "/api/v1/invites/{handle}")]),
    ("get", "/console/partners", &[("get", "/api/v1/partners"), ("get", "/api/v1/identities")]),
    ("post", "/console/partners", &[("put", "/api/v1/partners/{name}")]),
    ("get", "/console/policy", &[("get", "/api/v1/rules")]),
    ("post", "/console/policy", &[("post", "/api/v1/evaluations")]),
    ("get", "/console/refusals", &[("get", "/api/v1/refusals")]),
    ("get", "/console/refusals/{number}", &[("get", "/api/v1/refusals/{number}")]),
    ("get", "/console/refusals/{number}/conversation", &[("get", "/api/v1/refusals/{number}")]),
    ("get", "/console/rollover", &[("get", "/api/v1/rollover")]),
    ("post", "/console/rollover", &[("post", "/api/v1/rollover")]),
];

/// The routes that stand in the console's source, with their methods.
fn routes() -> BTreeSet<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console");
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let place = source.split("const PLACE: &str = \"").nth(1).and_then(|rest| rest.split('"').next());
        for route in source.split(".route(").skip(1) {
            let (name, rest) = route.split_once(',').unwrap();
            let name = name.trim().trim_matches('"');
            let name = if name == "PLACE" { place.unwrap() } else { name };
            let handlers = rest.split('\n').next().unwrap();
            for method in ["get", "post", "put", "delete"] {
                if name.starts_with("/console") && handlers.contains(&format!("{method}(")) {
                    found.insert((method.to_owned(), name.to_owned()));
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn every_page_and_form_of_the_console_is_a_call_of_the_api() {
    let told: BTreeSet<(String, String)> =
        PAIRS.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(routes(), told, "a page that is new has its line in the table");
    let world = World::new().await;
    let document = world.stranger().get("/api/v1/openapi.json").await.json();
    for (method, path, calls) in PAIRS {
        for (call, of) in *calls {
            assert!(document["paths"][*of][*call].is_object(), "{method} {path}: there is no {call} {of}");
        }
    }
}

#[tokio::test]
async fn no_page_is_over_100_kilobytes_however_full_its_list_is() {
    let world = World::new().await;
    let admin = world.caller("boss", Some(Role::Admin));
    let gateway = world.caller("edge-1", Some(Role::Gateway));
    let (now, long) = (clock().to_string(), "w\u{e4}".repeat(400));
    for number in 0..210 {
        issue(world.state.authority(), pki::Profile::Client, &format!("{number:03}{}", "n".repeat(60)), None);
        let refusal = json!({ "at": now, "from": "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535",
            "code": if number % 2 == 0 { "certificate_expired" } else { "unknown_issuer" }, "message": long,
            "subject": format!("CN={long}"), "serial_number": "4c".repeat(20) });
        assert_eq!(gateway.post("/api/v1/refusals", &refusal).await.status, 200);
    }
    for first in [0, 105] {
        let client = |number: usize| {
            json!({ "identity": format!("cn={number:03}{}", "i".repeat(100)), "serial": format!("{number:040x}"),
                "not_after": now, "key": "ECDSA P-256", "tls_version": "TLSv1.3", "address": "2001:db8::1",
                "first_seen": now, "last_seen": now, "requests": 7, "refused": 1 })
        };
        let clients: Vec<_> = (first..first + 105).map(client).collect();
        let report = json!({ "gateway": "g".repeat(300), "status": {}, "clients": clients });
        let told = gateway.post("/api/v1/reports", &report).await;
        assert_eq!(told.status, 200, "{}", told.text());
        let count = |number: usize| {
            json!({ "identity": format!("cn={number:03}{}", "i".repeat(200)), "key": "ECDSA P-256",
                "tls_version": "TLSv1.3", "count": 3 })
        };
        let counts: Vec<_> = (first..first + 105).map(count).collect();
        let report = json!({ "gateway": "g", "hours": [{ "hour": now, "handshakes": counts }] });
        assert_eq!(gateway.post("/api/v1/handshakes", &report).await.status, 200);
    }
    let mut sizes = Vec::new();
    for (_, path, _) in PAIRS.iter().filter(|(method, path, _)| *method == "get" && !path.contains('{')) {
        let page = admin.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        sizes.push((*path, page.body.len()));
    }
    let long: Vec<_> = sizes.iter().filter(|(_, octets)| *octets > 100_000).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[tokio::test]
async fn the_list_of_certificates_is_turned_page_by_page_with_what_it_was_narrowed_to() {
    let world = World::new().await;
    let auditor = world.caller("eve", Some(Role::Auditor));
    for number in 0..215 {
        let name = if number % 43 == 0 { format!("other-{number}") } else { format!("fits & more-{number}") };
        issue(world.state.authority(), pki::Profile::Client, &name, None);
    }
    for (start, names) in [
        ("/console/certificates?search=fits+%26+more&state=good&profile=client", 210_usize),
        ("/console/certificates?search=fits+%26+more&expiring=4000", 210),
        ("/console/certificates?search=fits+%26+more&state=revoked", 0),
        ("/console/certificates?search=other", 5),
    ] {
        let (mut path, mut seen, mut pages) = (start.to_owned(), BTreeSet::new(), 0);
        loop {
            let page = auditor.get(&path).await.text();
            let listed = page.matches("data-label=\"Serial\"").count();
            let serials =
                page.split("href=\"/console/certificates/").skip(1).filter_map(|rest| rest.split('"').next());
            let before = seen.len();
            seen.extend(serials.map(str::to_owned));
            assert_eq!(seen.len(), before + listed, "{path}: none comes twice");
            pages += 1;
            let Some((_, rest)) = page.split_once("rel=\"next\" href=\"") else { break };
            let link = rest.split('"').next().unwrap();
            path = link.replace("&#38;", "&").replace("&amp;", "&");
            assert!(page.contains("there are more"), "{path}");
            assert_eq!(page.contains("First page"), pages > 1, "{path}");
        }
        assert_eq!((seen.len(), pages), (names, names.div_ceil(100).max(1)), "{start}");
    }
    let none = auditor.get(&format!("/api/v1/certificates?after={}", "07".repeat(20))).await;
    assert_eq!(none.status, 404, "{}", none.text());
    assert_eq!(auditor.get("/api/v1/certificates?after=alice").await.status, 400);
    assert_eq!(auditor.get("/console/certificates?after=alice").await.status, 400);
}
