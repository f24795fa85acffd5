//! What of a folder is served, and what never.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;

use common::*;
use net::dial::handshake::handshake;
use net::dial::{Route, connect};
use net::fetch::{Request, fetch};
use net::serve::{Directory, Handler};
use pki::name::ServerName;
use testkit::TestCa;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

struct World {
    _folder: tempfile::TempDir,
    ca: TestCa,
    server: TestServer,
    options: net::fetch::Options,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let public = folder.path().join("public");
    fs::create_dir_all(public.join("sub")).unwrap();
    fs::create_dir(public.join("empty")).unwrap();
    fs::create_dir(public.join(".git")).unwrap();
    fs::write(folder.path().join("secret.txt"), "secret").unwrap();
    fs::write(public.join("index.html"), "<p>home</p>").unwrap();
    fs::write(public.join("sub/index.html"), "<p>sub</p>").unwrap();
    fs::write(public.join("a b.css"), "body{}").unwrap();
    fs::write(public.join("ten.txt"), "0123456789").unwrap();
    fs::write(public.join(".git/config"), "secret").unwrap();
    fs::write(public.join("big.bin"), vec![7; 300_000]).unwrap();
    symlink(folder.path().join("secret.txt"), public.join("way-out.txt")).unwrap();
    symlink(folder.path(), public.join("way-up")).unwrap();
    symlink(public.join("ten.txt"), public.join("inside.txt")).unwrap();
    let ca = TestCa::new();
    let handler = Handler::Directory(Directory::open(&public).unwrap());
    let server = TestServer::start(snapshot(&ca), handler).await;
    let options = client(&ca, Some(&ca.issue_client("alice")));
    World { _folder: folder, ca, server, options }
}

#[tokio::test]
async fn files_have_their_type_and_folders_their_index() {
    let world = world().await;
    let cases = [
        ("/", "text/html; charset=utf-8", "<p>home</p>"),
        ("/?x=1", "text/html; charset=utf-8", "<p>home</p>"),
        ("/sub/", "text/html; charset=utf-8", "<p>sub</p>"),
        ("/a%20b.css", "text/css; charset=utf-8", "body{}"),
        ("/inside.txt", "text/plain; charset=utf-8", "0123456789"),
    ];
    for (path, content_type, body) in cases {
        let response = get(&world.server, path, &world.options).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], content_type);
        assert_eq!(text(response).await, body);
    }
    let big = get(&world.server, "/big.bin", &world.options).await.unwrap();
    assert_eq!(big.bytes().await.unwrap(), vec![7; 300_000]);
    let moved = get(&world.server, "/sub", &world.options).await.unwrap();
    assert_eq!((moved.status(), moved.headers()["location"].to_str().unwrap()), (301, "/sub/"));
}

#[tokio::test]
async fn nothing_outside_the_folder_and_nothing_hidden_is_served() {
    let world = world().await;
    let host = ServerName::parse("localhost").unwrap();
    for path in [
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/way-out.txt",
        "/way-up/secret.txt",
        "/.git/config",
        "/ten.txt/",
        "/ten.txt%00.html",
        "/empty/",
        "/absent",
        "//absent",
    ] {
        // Raw, since a client library would tidy the path.
        let transport = connect(&host, world.server.address.port(), &Route::default(), None).await.unwrap();
        let mut stream = handshake(transport, &host, world.options.tls.clone()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        assert!(!answer.contains("secret\n") && !answer.ends_with("secret"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn ranges_conditions_and_heads_are_answered() {
    let world = world().await;
    let ask = |method: &str, header: Option<(&'static str, String)>| {
        let mut request = Request::get(world.server.url("/ten.txt"));
        request.method = method.parse().unwrap();
        if let Some((name, value)) = header {
            request.headers.insert(name, value.parse().unwrap());
        }
        fetch(request, &world.options)
    };
    let part = ask("GET", Some(("range", "bytes=2-4".into()))).await.unwrap();
    assert_eq!((part.status(), part.headers()["content-range"].to_str().unwrap()), (206, "bytes 2-4/10"));
    assert_eq!(text(part).await, "234");
    let past = ask("GET", Some(("range", "bytes=10-".into()))).await.unwrap();
    assert_eq!((past.status(), past.headers()["content-range"].to_str().unwrap()), (416, "bytes */10"));
    let head = ask("HEAD", None).await.unwrap();
    assert_eq!((head.status(), head.headers()["content-length"].to_str().unwrap()), (200, "10"));
    let etag = head.headers()["etag"].to_str().unwrap().to_owned();
    assert!(head.headers()["last-modified"].to_str().unwrap().ends_with(" GMT"));
    assert_eq!(head.bytes().await.unwrap(), b"");
    let known = ask("GET", Some(("if-none-match", etag))).await.unwrap();
    assert_eq!(known.status(), 304);
    let put = ask("PUT", None).await.unwrap();
    assert_eq!((put.status(), put.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD"));
}

#[tokio::test]
async fn a_denied_client_reads_no_file() {
    let world = world().await;
    let bob = client(&world.ca, Some(&world.ca.issue_client("bob")));
    let response = get(&world.server, "/ten.txt", &bob).await.unwrap();
    assert_eq!(response.status(), 403);
    assert!(!text(response).await.contains("0123"));
}
