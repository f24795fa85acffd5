//! The agent's metrics, in the text format of Prometheus.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::commands::agent::state::{Standing, States};
use crate::failure::Failure;
use crate::input::plain;

/// Serves them; gives the address that was bound.
pub(super) async fn serve(address: SocketAddr, states: Arc<Mutex<States>>) -> Result<SocketAddr, Failure> {
    let cannot = |error| Failure::usage(format!("cannot listen on {address} for metrics: {}", plain(&error)));
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let bound = listener.local_addr().map_err(cannot)?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let text = {
                let states = states.lock().unwrap_or_else(PoisonError::into_inner);
                text(&states, Timestamp::now())
            };
            tokio::spawn(async move {
                // A visitor who sends nothing is not waited for.
                let _ = timeout(Duration::from_secs(10), async {
                    let mut buffer = [0; 2048];
                    let length = stream.read(&mut buffer).await.unwrap_or(0);
                    let is_asked = [&b"GET /metrics "[..], b"GET /_metrics "].iter().any(|asked| buffer[..length].starts_with(asked));
                    let (status, body) = if is_asked { ("200 OK", text.as_str()) } else { ("404 Not Found", "") };
                    let head = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n\
                         content-length: {}\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(body.as_bytes()).await;
                    let _ = stream.shutdown().await;
                })
                .await;
            });
        }
    });
    Ok(bound)
}

fn text(states: &States, now: Timestamp) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Standing) -> Option<i64>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (path, standing) in states.all() {
            if let Some(value) = value(standing) {
                let path = path
                    .display()
                    .to_string()
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                let _ = writeln!(text, "{name}{{certificate=\"{path}\"}} {value}");
            }
        }
    };
    let count = |number: u64| i64::try_from(number).ok();
    family(
        "countersign_agent_certificate_not_after_timestamp_seconds",
        "gauge",
        "End of the certificate in place.",
        &|standing| standing.until().map(Timestamp::as_second),
    );
    family(
        "countersign_agent_certificate_overdue",
        "gauge",
        "1 where somebody should look: missing, ended, or long due.",
        &|standing| Some(i64::from(standing.overdue(now).is_some())),
    );
    family("countersign_agent_renewals_total", "counter", "Renewals put in place.", &|s| count(s.renewals));
    family("countersign_agent_renewal_failures_total", "counter", "Renewals that failed.", &|s| {
        count(s.failed_renewals)
    });
    family("countersign_agent_reload_failures_total", "counter", "Hooks that failed.", &|s| {
        count(s.failed_reloads)
    });
    text
}
