//! Requests that two servers could read in two ways: refused, and never seen by the upstream.

use std::sync::Arc;
use std::sync::Mutex;

use net::dial::handshake::handshake;
use net::dial::{Route, connect};
use net::fetch::Options;
use net::serve::{Handler, Upstream};
use pki::name::ServerName;
use testkit::TestCa;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::common::*;
use crate::http2;

/// Sends raw octets over mTLS as HTTP/1.1 and reads all that comes back.
pub(crate) async fn raw(server: &TestServer, options: &Options, request: &[u8]) -> String {
    let host = ServerName::parse("localhost").unwrap();
    let transport = connect(&host, server.address.port(), &Route::default(), None).await.unwrap();
    let mut stream = handshake(transport, &host, options.tls.clone()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), read).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// An upstream that keeps every octet it gets, and answers each whole request with an empty 200.
async fn witness() -> (Upstream, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let seen = Arc::clone(&all);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let (mut all, mut answered) = (Vec::new(), 0);
                while let Ok(read @ 1..) = tcp.read(&mut buffer).await {
                    seen.lock().unwrap().extend_from_slice(&buffer[..read]);
                    all.extend_from_slice(&buffer[..read]);
                    let whole = requests_in(&all).len();
                    while answered < whole {
                        answered += 1;
                        let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                    }
                }
            });
        }
    });
    (Upstream::parse(&format!("http://{address}")).unwrap(), seen)
}

const GET: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// What must come of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Refused,
    Ended,
    /// It is one request for the upstream, which is not told this word.
    Passed(String),
}

/// The lines of a corpus: what must come of it, what stands behind the first tab, and the line itself.
fn corpus(text: &'static str) -> impl Iterator<Item = (Verdict, &'static str, &'static str)> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (verdict, rest) = line.split_once('\t').unwrap();
        let verdict = match verdict.split_once(':') {
            None if verdict == "refused" => Verdict::Refused,
            None if verdict == "ended" => Verdict::Ended,
            Some(("passed", word)) => Verdict::Passed(word.to_owned()),
            _ => panic!("no verdict: {line}"),
        };
        (verdict, rest, line)
    })
}

/// The octets that a corpus writes so.
fn octets(text: &str) -> Vec<u8> {
    let text = text.replace("{LENGTH}", &GET.len().to_string());
    let mut octets = Vec::new();
    for (number, part) in text.split("{GET}").enumerate() {
        if number > 0 {
            octets.extend_from_slice(GET.as_bytes());
        }
        let mut rest = part.chars();
        while let Some(character) = rest.next() {
            let octet = match character {
                '\\' => match rest.next().unwrap() {
                    'r' => b'\r',
                    'n' => b'\n',
                    't' => b'\t',
                    '0' => 0,
                    '\\' => b'\\',
                    'x' => {
                        let digits: String = rest.by_ref().take(2).collect();
                        u8::from_str_radix(&digits, 16).unwrap()
                    }
                    other => panic!("\\{other} in {text}"),
                },
                character => u8::try_from(character).unwrap(),
            };
            octets.push(octet);
        }
    }
    octets
}

/// The first lines of the requests in what an upstream got, read as strictly as can be. One whose body is cut short is
/// left out; what is no request stands there as "malformed".
fn requests_in(octets: &[u8]) -> Vec<String> {
    let mut rest = octets;
    let mut requests = Vec::new();
    while let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        match request_in(&head, &rest[end + 4..]) {
            Some(Some(length)) => {
                rest = &rest[end + 4 + length..];
                requests.push(head.lines().next().unwrap_or_default().to_owned());
            }
            Some(None) => return requests,
            None => return vec![format!("malformed: {head:?}")],
        }
    }
    requests
}

/// The octets of the body behind a head: `Some(None)` where not all of them are there, `None` where nobody can tell.
fn request_in(head: &str, rest: &[u8]) -> Option<Option<usize>> {
    let mut lines = head.split("\r\n");
    if lines.next()?.split(' ').count() != 3 {
        return None;
    }
    let (mut lengths, mut codings) = (Vec::new(), Vec::new());
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        if line.contains(['\r', '\n', '\0']) {
            return None;
        }
        match name.to_ascii_lowercase().as_str() {
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value),
            _ => {}
        }
    }
    let line_at = |at: usize| rest.get(at..)?.windows(2).position(|window| window == b"\r\n");
    let body = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => 0,
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => length.parse().ok()?,
        ([], ["chunked"]) => {
            let mut at = 0;
            loop {
                let Some(line) = line_at(at) else { return Some(None) };
                let size = usize::from_str_radix(std::str::from_utf8(&rest[at..at + line]).ok()?, 16).ok()?;
                at += line + 2;
                if size == 0 {
                    break;
                }
                at += size + 2;
            }
            // The trailers, up to an empty line.
            loop {
                let Some(line) = line_at(at) else { return Some(None) };
                at += line + 2;
                if line == 0 {
                    break at;
                }
            }
        }
        _ => return None,
    };
    Some((rest.len() >= body).then_some(body))
}

/// What is wrong with what became of a line of a corpus.
fn judge(verdict: &Verdict, is_error: bool, seen: &[u8]) -> Option<String> {
    let requests = requests_in(seen);
    let told = String::from_utf8_lossy(seen).to_ascii_lowercase();
    let is_bad = |first: &String| first.contains("smuggled") || first.starts_with("malformed");
    if requests.iter().any(is_bad) || told.contains("\nevil") {
        return Some(format!("became {told:?}"));
    }
    let is_right = match verdict {
        Verdict::Refused => is_error && seen.is_empty(),
        Verdict::Ended => requests.len() <= 1,
        Verdict::Passed(word) => !is_error && requests.len() == 1 && !told.contains(word),
    };
    (!is_right).then(|| format!("error: {is_error}, requests: {requests:?}, told: {told:?}"))
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_no_request_and_nothing_behind_it_is_one() {
    let ca = TestCa::new();
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    let (upstream, seen) = witness().await;
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
    let mut wrong = Vec::new();
    for (verdict, request, line) in corpus(include_str!("smuggling/http1.txt")) {
        seen.lock().unwrap().clear();
        let answer = raw(&server, &alice, &octets(request)).await;
        let answers = answer.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count();
        let is_last = answers == 1 && answer.contains("connection: close");
        if answers > 1 || (verdict == Verdict::Refused && !is_last) {
            wrong.push(format!("{line}\n  {answers} answers: {answer:?}"));
        }
        let fault = judge(&verdict, !answer.starts_with("HTTP/1.1 2"), &seen.lock().unwrap());
        wrong.extend(fault.map(|fault| format!("{line}\n  {fault}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn nothing_in_a_request_of_http2_becomes_a_line_or_a_request_of_http1() {
    let ca = TestCa::new();
    let (alice, snapshot) = (ca.issue_client("alice"), snapshot(&ca));
    let mut wrong = Vec::new();
    for (verdict, request, line) in corpus(include_str!("smuggling/http2.txt")) {
        // One of its own, since what is said to an upstream may arrive after the error.
        let (upstream, seen) = witness().await;
        let server = TestServer::start(snapshot.clone(), Handler::Upstream(upstream)).await;
        let is_error = http2::is_refused(&server, &ca, &alice, request.split('\t'), octets).await;
        let fault = judge(&verdict, is_error, &seen.lock().unwrap());
        wrong.extend(fault.map(|fault| format!("{line}\n  {fault}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn requests_behind_one_another_are_answered_in_order() {
    let ca = TestCa::new();
    let (upstream, seen) = witness().await;
    let server = TestServer::start(snapshot(&ca), Handler::Upstream(upstream)).await;
    let alice = client(&ca, Some(&ca.issue_client("alice")));
    let chunked =
        "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n";
    let request = format!(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n{chunked}PUT /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
         GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /5 HTTP/1.1\r\nHost: a\r\n\r\n"
    );
    let answer = raw(&server, &alice, request.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 4, "{answer}");
    let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
    for line in ["GET /1 ", "POST /2 ", "PUT /3 ", "GET /4 "] {
        assert_eq!(seen.matches(line).count(), 1, "{line}: {seen}");
    }
    assert!(seen.contains("3\r\nabc\r\n0\r\n\r\n") && !seen.contains("x=y"), "{seen}");
    assert!(!seen.contains("GET /5 "), "{seen}");
}
