//! `countersign clients`.

use std::time::Duration;

use clap::Args;
use net::dial::TlsOptions;
use net::fetch::{Options, Request, fetch};
use net::tls::server_verifier::Expectation;
use net::url::Url;
use pki::verify::TrustBundle;
use serde_json::Value;

use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::input::plain;

/// List the clients that a running server has seen, the one whose certificate ends first before the others
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign serve --allow-all --admin 127.0.0.1:9901
  countersign clients
  countersign clients --admin 127.0.0.1:9901 --json")]
pub(crate) struct Clients {
    /// The server's admin address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: String,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

impl Clients {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let clients = radar(&self.admin)?;
        if self.json {
            context.json(&clients);
            return Ok(Exit::Done);
        }
        let list = clients["clients"].as_array().map(Vec::as_slice).unwrap_or_default();
        if list.is_empty() {
            context.say("No client has been seen yet.");
            return Ok(Exit::Done);
        }
        context.data(table(list));
        context.say(readiness(list.len(), &clients["post_quantum"]));
        Ok(Exit::Done)
    }
}

/// Whom the server with this admin address has seen.
pub(crate) fn radar(admin: &str) -> Result<Value, Failure> {
    let url = Url::parse(&format!("http://{admin}/_clients")).or_usage()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("cannot start: {}", plain(&error))))?;
    let octets = runtime.block_on(async {
        let mut options = Options::new(TlsOptions::new(Expectation::new(TrustBundle::default())));
        options.max_time = Some(Duration::from_secs(10));
        fetch(Request::get(url.clone()), &options).await?.bytes().await
    });
    let octets = octets.map_err(|error| {
        Failure::unreachable(format!("no answer from {url}: {error}"))
            .hint("countersign serve … --admin 127.0.0.1:9901")
    })?;
    serde_json::from_slice(&octets)
        .map_err(|_| Failure::unreachable(format!("{url} is not the admin address of a countersign server")))
}

/// Who could switch to post-quantum parameters, in a sentence.
fn readiness(clients: usize, counts: &Value) -> String {
    let count = |what: &str| counts[what].as_u64().unwrap_or_default();
    format!(
        "Post-quantum: of {clients} {}, {} {} on X25519MLKEM768, {} could, {} could verify an ML-DSA certificate, {} {} one.",
        if clients == 1 { "client" } else { "clients" },
        count("uses_group"),
        if count("uses_group") == 1 { "agrees" } else { "agree" },
        count("offers_group"),
        count("offers_signature"),
        count("has_certificate"),
        if count("has_certificate") == 1 { "shows" } else { "show" },
    )
}

fn table(clients: &[Value]) -> String {
    const COLUMNS: [(&str, &str); 8] = [
        ("CLIENT", "identity"),
        ("DAYS LEFT", "days_left"),
        ("KEY", "key"),
        ("TLS", "tls_version"),
        ("KEY EXCHANGE", "group"),
        ("REQUESTS", "requests"),
        ("REFUSED", "refused"),
        ("LAST SEEN", "last_seen"),
    ];
    let cell = |client: &Value, key: &str| match &client[key] {
        Value::String(text) if key == "last_seen" => text.split('.').next().unwrap_or_default().to_owned(),
        Value::String(text) => explain::escape::text(text).to_string(),
        other => other.to_string(),
    };
    let mut rows = vec![COLUMNS.map(|(title, _)| title.to_owned())];
    rows.extend(clients.iter().map(|client| COLUMNS.map(|(_, key)| cell(client, key))));
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
