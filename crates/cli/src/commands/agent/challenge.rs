//! Showing control of names: a web server while it is needed, a file below another one's folder, or a program that puts a
//! record into the DNS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use net::provision::Exchange;
use net::provision::acme::{Challenge as Offered, Client, Order};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::commands::agent::config::{Acme, Challenge};
use crate::commands::agent::source::state_of;
use crate::failure::{Failure, OrFail as _};
use crate::input::plain;

/// How long the verdict on all names is waited for, and how often it is asked for.
const VERDICT_TIME: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_secs(1);

/// How long a program for the DNS may take.
const PROGRAM_TIME: Duration = Duration::from_secs(120);

/// What was put somewhere, and is taken away again however it ends.
enum Shown {
    Server(JoinHandle<()>),
    File(std::path::PathBuf),
    Record { command: Vec<String>, name: String, value: String },
}

/// Shows every name of an order that is still open, and waits for the verdict.
pub(super) async fn show<E: Exchange>(
    acme: &Acme,
    client: &Client<E>,
    order: &Order,
) -> Result<Order, Failure> {
    let mut shown = Vec::new();
    let result = try_to(acme, client, order, &mut shown).await;
    for each in shown {
        take_away(each).await;
    }
    result
}

async fn try_to<E: Exchange>(
    acme: &Acme,
    client: &Client<E>,
    order: &Order,
    shown: &mut Vec<Shown>,
) -> Result<Order, Failure> {
    let kind = match &acme.challenge {
        Some(Challenge::HttpListen(_) | Challenge::Webroot(_)) => "http-01",
        Some(Challenge::DnsCommand(_)) => "dns-01",
        None => {
            return Err(Failure::usage("the server wants control of the names shown, and nothing says how")
                .hint("http_listen = \"0.0.0.0:80\", webroot = \"/var/www/html\" or dns_command = [\"program\"]"));
        }
    };
    let mut open: Vec<Offered> = Vec::new();
    let mut pages = BTreeMap::new();
    for url in &order.authorizations {
        let authorization = client.authorization(url).await.or_refuse()?;
        if authorization.status != "pending" {
            continue;
        }
        let name = authorization.identifier;
        let offered = authorization.challenges.into_iter().find(|challenge| challenge.kind == kind);
        let offered =
            offered.ok_or_else(|| Failure::refused(format!("the server offers no {kind} for {name}")))?;
        let is_token = offered.token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        // It becomes part of a path.
        if offered.token.is_empty() || !is_token {
            return Err(Failure::refused("the server sent a token that is none (RFC 8555 section 8.3)"));
        }
        match &acme.challenge {
            Some(Challenge::Webroot(root)) => {
                shown.push(Shown::File(put(
                    root,
                    &offered.token,
                    &client.key_authorization(&offered.token),
                )?));
            }
            Some(Challenge::DnsCommand(command)) => {
                let (name, value) = (format!("_acme-challenge.{name}."), client.dns_value(&offered.token));
                run(command, "present", &name, &value).await?;
                shown.push(Shown::Record { command: command.clone(), name, value });
            }
            _ => drop(pages.insert(offered.token.clone(), client.key_authorization(&offered.token))),
        }
        open.push(offered);
    }
    if let Some(Challenge::HttpListen(address)) = &acme.challenge {
        shown.push(Shown::Server(serve(*address, pages).await?));
    }
    for offered in &open {
        client.answer(offered).await.or_refuse()?;
    }
    let begun = Instant::now();
    loop {
        let now = client.refresh(order).await.or_refuse()?;
        if now.status != "pending" {
            return Ok(now);
        }
        if begun.elapsed() > VERDICT_TIME {
            let seconds = VERDICT_TIME.as_secs();
            return Err(Failure::unreachable(format!("no verdict on the names within {seconds} s"))
                .fact(state_of(&now)));
        }
        sleep(LOOK).await;
    }
}

async fn take_away(shown: Shown) {
    match shown {
        Shown::Server(task) => task.abort(),
        // What cannot be taken away shows nothing that matters: tokens are good for one order.
        Shown::File(path) => drop(std::fs::remove_file(path)),
        Shown::Record { command, name, value } => drop(run(&command, "cleanup", &name, &value).await),
    }
}

fn put(root: &Path, token: &str, text: &str) -> Result<std::path::PathBuf, Failure> {
    let folder = root.join(".well-known/acme-challenge");
    let path = folder.join(token);
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|error| Failure::usage(format!("cannot write {}: {}", path.display(), plain(&error))))?;
    Ok(path)
}

async fn run(command: &[String], action: &str, name: &str, value: &str) -> Result<(), Failure> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let child = Command::new(program).args(arguments).args([action, name, value]).kill_on_drop(true).status();
    let status = timeout(PROGRAM_TIME, child)
        .await
        .map_err(|_| {
            Failure::usage(format!("{program} {action} took longer than {} s", PROGRAM_TIME.as_secs()))
        })?
        .map_err(|error| Failure::usage(format!("cannot run {program}: {}", plain(&error))))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::refused(format!("{program} {action} {name} failed: {status}")))
    }
}

async fn serve(address: SocketAddr, pages: BTreeMap<String, String>) -> Result<JoinHandle<()>, Failure> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::usage(format!("cannot listen on {address} for http-01: {}", plain(&error)))
    })?;
    let pages = Arc::new(pages);
    Ok(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let pages = Arc::clone(&pages);
            tokio::spawn(async move {
                // A visitor who sends nothing is not waited for.
                let _ = timeout(Duration::from_secs(10), async {
                    let mut buffer = [0; 2048];
                    let length = stream.read(&mut buffer).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&buffer[..length]);
                    let path = head.split(' ').nth(1).unwrap_or_default();
                    let page = path.strip_prefix("/.well-known/acme-challenge/").and_then(|token| pages.get(token));
                    let answer = match page {
                        Some(page) => {
                            format!("HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\nconnection: close\r\n\
                                     content-length: {}\r\n\r\n{page}", page.len())
                        }
                        None => "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
                    };
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                })
                .await;
            });
        }
    }))
}
