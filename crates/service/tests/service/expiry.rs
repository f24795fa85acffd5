//! Owners hear of certificates that end: once for each time before the end, whichever replica tells.

use std::sync::{Arc, Mutex};

use ca::{Identity, Who};
use jiff::SignedDuration;
use net::url::Url;
use pki::Profile;
use pki::verify::TrustBundle;
use serde_json::Value;
use service::expiry::{Settings, Tell, sweep, webhook::webhook};
use service::{Settings as ServiceSettings, State};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{authority, clock, issue};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What was told, in order.
type Heard = Arc<Mutex<Vec<Value>>>;

fn listener() -> (Heard, Tell) {
    let heard = Heard::default();
    let keep = Arc::clone(&heard);
    let tell: Tell = Arc::new(move |notice| {
        keep.lock().unwrap().push(notice);
        Box::pin(std::future::ready(Ok(())))
    });
    (heard, tell)
}

fn state(name: &str, authority: ca::Authority<Arc<dyn ca::Store>>) -> State {
    let mut settings = ServiceSettings::new("https://localhost");
    settings.replica = Some(name.to_owned());
    State::new(authority, settings)
}

fn told(heard: &Heard) -> Vec<(String, i64)> {
    let heard = heard.lock().unwrap();
    let name = |notice: &Value| notice["name"].as_str().unwrap().to_owned();
    heard
        .iter()
        .map(|notice| (name(notice), notice["threshold_seconds"].as_i64().unwrap() / 86_400))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_is_told_once_for_each_time_before_it_and_never_where_something_replaces_it() {
    let authority = authority();
    let now = clock();
    issue(&authority, Profile::Client, "alice", Some(20 * DAY));
    issue(&authority, Profile::Client, "renewed", Some(20 * DAY));
    issue(&authority, Profile::Client, "renewed", Some(80 * DAY));
    issue(&authority, Profile::Client, "short", Some(SignedDuration::from_hours(5)));
    let identity = Identity {
        label: "alice".to_owned(),
        contact: Some("alice@acme.test".to_owned()),
        ..Identity::default()
    };
    identity.put(&**authority.store(), Who::from("tester"), now).unwrap();
    let state = state("one", authority);
    let (heard, tell) = listener();
    let settings = Settings { before: vec![DAY, 7 * DAY, 19 * DAY], tell };
    assert_eq!(sweep(&state, &settings, now).await.unwrap(), 0, "nothing ends within 19 days");
    for (later, expected) in
        [(2, vec![19]), (3, vec![]), (14, vec![7]), (15, vec![]), (19, vec![1]), (20, vec![])]
    {
        heard.lock().unwrap().clear();
        let at = now + later * DAY + SignedDuration::from_secs(60);
        sweep(&state, &settings, at).await.unwrap();
        sweep(&state, &settings, at).await.unwrap();
        let expected: Vec<_> = expected.into_iter().map(|days| ("alice".to_owned(), days)).collect();
        assert_eq!(told(&heard), expected, "on day {later}");
    }
    let events = state.store().audit(None).unwrap();
    assert_eq!(events.iter().filter(|event| event.action == "notify").count(), 3);
    // Who starts late hears what matters most, and that alone.
    let (heard, tell) = listener();
    let late = Settings { before: vec![2 * DAY, 5 * DAY], tell };
    sweep(&state, &late, now + 19 * DAY).await.unwrap();
    assert_eq!(told(&heard), [("alice".to_owned(), 2)]);
    let heard = heard.lock().unwrap();
    assert_eq!(heard[0]["contact"], "alice@acme.test");
    assert!(heard[0]["text"].as_str().unwrap().contains("'alice' ends on"), "{}", heard[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_look_at_the_same_moment_tell_each_end_once() {
    let first = authority();
    for number in 0..150 {
        issue(&first, Profile::Client, &format!("client-{number}"), Some(3 * DAY));
    }
    let state = state("one", first);
    let (heard, tell) = listener();
    let settings = Settings { before: vec![2 * DAY], tell };
    let at = clock() + 2 * DAY;
    let mut sweeps = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (state, settings) = (state.clone(), settings.clone());
        sweeps.spawn(async move { sweep(&state, &settings, at).await.unwrap() });
    }
    sweeps.join_all().await;
    // Whoever held the record may have ended before the last page was claimed; one more look takes what is left.
    sweep(&state, &settings, at).await.unwrap();
    let mut names: Vec<String> = told(&heard).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 150);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 150, "somebody was told twice");
}

#[tokio::test]
async fn a_notice_that_fails_is_told_again_after_a_pause_and_in_the_end_given_up() {
    let authority = authority();
    issue(&authority, Profile::Client, "alice", Some(3 * DAY));
    issue(&authority, Profile::Client, "bob", Some(3 * DAY + SignedDuration::from_secs(10)));
    let state = state("one", authority);
    let tries = Arc::new(Mutex::new(Vec::new()));
    let (heard, good) = listener();
    let keep = Arc::clone(&tries);
    let tell: Tell = Arc::new(move |notice| match notice["name"].as_str() {
        Some("alice") => {
            keep.lock().unwrap().push(());
            Box::pin(std::future::ready(Err("nobody at home".to_owned())))
        }
        _ => good(notice),
    });
    let settings = Settings { before: vec![2 * DAY], tell };
    let mut at = clock() + DAY + SignedDuration::from_mins(1);
    sweep(&state, &settings, at).await.unwrap();
    sweep(&state, &settings, at + SignedDuration::from_secs(1)).await.unwrap();
    assert_eq!(tries.lock().unwrap().len(), 1, "nobody tries again at once");
    for _ in 0..12 {
        at += SignedDuration::from_hours(1) + SignedDuration::from_secs(1);
        sweep(&state, &settings, at).await.unwrap();
    }
    assert_eq!(tries.lock().unwrap().len(), 10);
    assert_eq!(told(&heard), [("bob".to_owned(), 2)], "the next one does not wait for ever");
    let events = state.store().audit(None).unwrap();
    assert!(events.iter().any(|event| event.action == "notify" && event.details.contains("given up")));
}

/// A web server that gives one answer to everything, and what it was sent.
async fn web(answer: &'static str) -> (Url, Arc<Mutex<String>>) {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/hook", server.local_addr().unwrap().port());
    let seen = Arc::new(Mutex::new(String::new()));
    let keep = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = server.accept().await {
            let mut octets = vec![0; 65_536];
            let mut length = 0;
            // The object ends the body.
            while !octets[..length].ends_with(b"}") {
                match socket.read(&mut octets[length..]).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => length += count,
                }
            }
            keep.lock().unwrap().push_str(&String::from_utf8_lossy(&octets[..length]));
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    (Url::parse(&url).unwrap(), seen)
}

#[tokio::test]
async fn webhook_posts_the_notice_and_goes_neither_inside_nor_where_it_is_sent_on() {
    const GOOD: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
    let notice = serde_json::json!({ "name": "alice" });
    let anchors = TrustBundle::default;
    let loopback = || vec!["127.0.0.0/8".parse().unwrap()];
    let (url, seen) = web(GOOD).await;
    // Without permission nothing is even connected to.
    let refused = webhook(url.clone(), anchors(), Vec::new())(notice.clone()).await.unwrap_err();
    assert!(refused.contains("loopback") && refused.contains("--notify-permit"), "{refused}");
    let by_name = Url::parse(&format!("http://localhost:{}/hook", url.port)).unwrap();
    let refused = webhook(by_name.clone(), anchors(), Vec::new())(notice.clone()).await.unwrap_err();
    assert!(refused.contains("loopback"), "{refused}");
    let metadata = Url::parse("http://169.254.169.254/latest").unwrap();
    let refused = webhook(metadata, anchors(), loopback())(notice.clone()).await.unwrap_err();
    assert!(refused.contains("metadata"), "{refused}");
    assert_eq!(*seen.lock().unwrap(), "");
    for allowed in [url, by_name] {
        webhook(allowed, anchors(), loopback())(notice.clone()).await.unwrap();
    }
    let sent = seen.lock().unwrap().clone();
    assert!(sent.starts_with("POST /hook HTTP/1.1\r\n") && sent.contains("{\"name\":\"alice\"}"), "{sent}");
    // A redirection into the inside is not followed, whoever permits what.
    let (inside, visited) = web(GOOD).await;
    let location: &'static str = Box::leak(
        format!(
            "HTTP/1.1 307 Elsewhere\r\nlocation: {inside}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        .into(),
    );
    let (outside, _) = web(location).await;
    let refused = webhook(outside, anchors(), loopback())(notice.clone()).await.unwrap_err();
    assert!(refused.contains("redirects"), "{refused}");
    assert_eq!(*visited.lock().unwrap(), "");
    let (broken, _) = web("HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let refused = webhook(broken, anchors(), loopback())(notice).await.unwrap_err();
    assert!(refused.contains("status 500"), "{refused}");
}
