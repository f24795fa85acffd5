//! `countersign audit`.

use std::path::PathBuf;

use ca::{AuditEvent, verify_audit_from};
use clap::{Args, Subcommand};
use keys::file::{Replace, write_public};
use serde_json::Value;

use crate::api::{Api, ApiArguments};
use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};

/// The audit trail: who did what, when, from where and why
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign audit verify
      # every event, chained to the one before it
  countersign audit tail --lines 20
  countersign audit export --out audit.jsonl")]
pub(crate) enum Audit {
    /// Check that no event was changed, taken out or put in
    Verify(Verify),
    /// Show the last events
    Tail(Tail),
    /// Write all events, one JSON object a line
    Export(Export),
}

/// Check that no event was changed, taken out or put in
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A hash that an earlier run printed, and that must still be in the chain
    #[arg(long, value_name = "SHA-256")]
    expect: Option<String>,

    /// Check this exported file in place of the authority's own trail
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ca", "passphrase_file"])]
    file: Option<PathBuf>,

    #[command(flatten)]
    api: ApiArguments,
}

/// Show the last events
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 10)]
    lines: usize,

    #[command(flatten)]
    api: ApiArguments,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Write all events, one JSON object a line
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where it goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    api: ApiArguments,
}

impl Audit {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Audit::Verify(command) => verify(context, &command),
            Audit::Tail(command) => tail(context, &command),
            Audit::Export(command) => export(context, &command),
        }
    }
}

fn verify(context: &Context, command: &Verify) -> Outcome {
    let events = match &command.file {
        Some(file) => {
            let text = String::from_utf8(crate::input::bytes(file)?)
                .map_err(|_| Failure::usage(format!("{} is no text", file.display())))?;
            text.lines()
                .map(serde_json::from_str)
                .collect::<Result<Vec<Value>, _>>()
                .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?
        }
        None => Api::open(context, &command.api)?.all("/api/v1/audit", "events")?,
    };
    let events: Vec<AuditEvent> = events
        .iter()
        .map(event)
        .collect::<Option<_>>()
        .ok_or_else(|| Failure::refused("an event is not whole"))?;
    let last = verify_audit_from(0, [0; 32], &events).or_refuse()?;
    if let Some(expected) = &command.expect {
        let expected = expected.replace(':', "").to_ascii_lowercase();
        if !events.iter().any(|event| pki::hex(&event.hash) == expected) {
            return Err(Failure::refused(format!(
                "the hash {expected} is not in the trail: it was shortened, or made anew, since that was printed"
            )));
        }
    }
    context.say(format!("{BOLD}{}{BOLD:#} events, each chained to the one before it", events.len()));
    context.data(format!("{}\n", pki::hex(&last)));
    context.say(format!(
        "{DIM}Keep this hash elsewhere: `audit verify --expect HASH` then shows a trail that was cut or made anew.{DIM:#}"
    ));
    Ok(Exit::Done)
}

fn tail(context: &Context, command: &Tail) -> Outcome {
    let api = Api::open(context, &command.api)?;
    let events = api.all("/api/v1/audit", "events")?;
    let skipped = events.len().saturating_sub(command.lines);
    for event in &events[skipped..] {
        if command.json {
            context.data(format!("{event}\n"));
            continue;
        }
        let text = |member: &str| explain::escape::text(event[member].as_str().unwrap_or_default());
        let from = Some(text("from")).filter(|from| !from.is_empty());
        let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
        context.data(format!(
            "{:>6}  {}  {:<10} {} — {}{from}\n",
            event["sequence"],
            text("at"),
            text("what"),
            text("why"),
            text("who"),
        ));
    }
    Ok(Exit::Done)
}

fn export(context: &Context, command: &Export) -> Outcome {
    let events = Api::open(context, &command.api)?.all("/api/v1/audit", "events")?;
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    match &command.out {
        Some(file) => {
            write_public(file, lines.as_bytes(), Replace::Yes).or_usage()?;
            context.say(format!("Wrote {} events to {}", events.len(), file.display()));
        }
        None => context.data(lines),
    }
    Ok(Exit::Done)
}

/// An event of the API as the chain knows it.
fn event(value: &Value) -> Option<AuditEvent> {
    let text = |member: &str| value[member].as_str().map(str::to_owned);
    let serial = match &value["serial_number"] {
        Value::String(text) => Some(octets(text)?),
        _ => None,
    };
    Some(AuditEvent {
        sequence: value["sequence"].as_u64()?,
        at: text("at")?.parse().ok()?,
        actor: text("who")?,
        origin: text("from")?,
        action: text("what")?,
        serial,
        details: text("why")?,
        hash: octets(&text("hash")?)?.try_into().ok()?,
    })
}

fn octets(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16))
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_read_back_as_it_was_shown() {
        let value = json!({ "sequence": 1, "at": "2026-06-15T12:00:00Z", "who": "a", "from": "b", "what": "issue",
                            "serial_number": "01:ab", "why": "c", "hash": "00".repeat(32) });
        let read = event(&value).map(|event| (event.serial, event.hash));
        assert_eq!(read, Some((Some(vec![1, 0xab]), [0; 32])));
    }
}
