//! `countersign audit`.

mod log;

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use ca::{AuditEvent, verify_audit_from};
use clap::{Args, Subcommand};
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
  countersign audit export --out audit.jsonl
  countersign audit log verify
      # every certificate ever issued, and the signed hash over them
  countersign audit prove alice
      # that hers is one of them")]
pub(crate) enum Audit {
    /// Check that no event was changed, taken out or put in
    Verify(Verify),
    /// Show the last events
    Tail(Tail),
    /// Write all events, one JSON object a line
    Export(Export),
    /// Prove that a certificate is in the log of everything issued
    Prove(log::Prove),
    /// The log of everything issued: its checkpoint, and whether it is whole
    #[command(subcommand)]
    Log(log::Log),
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
            Audit::Prove(command) => command.run(context),
            Audit::Log(command) => command.run(context),
        }
    }
}

/// A trail that is checked event by event, in the memory of one.
struct Chain {
    expected: Option<String>,
    is_expected_there: bool,
    length: u64,
    last: [u8; 32],
}

impl Chain {
    fn take(&mut self, value: &Value) -> Result<(), Failure> {
        let event = event(value).ok_or_else(|| {
            Failure::refused(format!("the event after number {} is not whole", self.length))
        })?;
        self.last = verify_audit_from(self.length, self.last, std::slice::from_ref(&event)).or_refuse()?;
        self.length += 1;
        self.is_expected_there |= self.expected.as_deref() == Some(&pki::hex(&event.hash));
        Ok(())
    }
}

fn verify(context: &Context, command: &Verify) -> Outcome {
    let expected = command.expect.as_ref().map(|expected| expected.replace(':', "").to_ascii_lowercase());
    let mut chain = Chain { expected, is_expected_there: false, length: 0, last: [0; 32] };
    match &command.file {
        Some(file) => lines(file, |value| chain.take(&value))?,
        None => {
            let api = Api::open(context, &command.api)?;
            api.each("/api/v1/audit", "events", |value| chain.take(&value))?;
        }
    }
    if let (Some(expected), false) = (&chain.expected, chain.is_expected_there) {
        return Err(Failure::refused(format!(
            "the hash {expected} is not in the trail: it was shortened, or made anew, since that was printed"
        )));
    }
    context.say(format!("{BOLD}{}{BOLD:#} events, each chained to the one before it", chain.length));
    context.data(format!("{}\n", pki::hex(&chain.last)));
    context.say(format!(
        "{DIM}Keep this hash elsewhere: `audit verify --expect HASH` then shows a trail that was cut or made anew.{DIM:#}"
    ));
    Ok(Exit::Done)
}

/// Gives each line of a file, which is a JSON object, to `take`.
fn lines(file: &Path, mut take: impl FnMut(Value) -> Result<(), Failure>) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| {
        Failure::usage(format!("cannot read {}: {}", file.display(), crate::input::plain(&error)))
    };
    let reader = BufReader::new(std::fs::File::open(file).map_err(cannot)?);
    for (number, line) in (1..).zip(reader.lines()) {
        let line = line.map_err(cannot)?;
        let value = serde_json::from_str(&line)
            .map_err(|error| Failure::usage(format!("{}, line {number}: {error}", file.display())))?;
        take(value)?;
    }
    Ok(())
}

fn tail(context: &Context, command: &Tail) -> Outcome {
    let api = Api::open(context, &command.api)?;
    // The last ones are known when there are no more: of a long trail only so many are kept.
    let mut last: VecDeque<Value> = VecDeque::new();
    api.each("/api/v1/audit", "events", |event| {
        if last.len() == command.lines {
            last.pop_front();
        }
        if command.lines > 0 {
            last.push_back(event);
        }
        Ok(())
    })?;
    for event in &last {
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
    let api = Api::open(context, &command.api)?;
    let Some(file) = &command.out else {
        api.each("/api/v1/audit", "events", |event| {
            context.data(format!("{event}\n"));
            Ok(())
        })?;
        return Ok(Exit::Done);
    };
    let cannot = |error: std::io::Error| {
        Failure::usage(format!("cannot write {}: {}", file.display(), crate::input::plain(&error)))
    };
    // Beside its place first, so that a trail that could not be read to its end never stands there.
    let mut beside = file.clone().into_os_string();
    beside.push(".part");
    let mut out = BufWriter::new(std::fs::File::create(&beside).map_err(cannot)?);
    let mut count = 0_u64;
    api.each("/api/v1/audit", "events", |event| {
        count += 1;
        writeln!(out, "{event}").map_err(cannot)
    })?;
    out.into_inner().map_err(|error| cannot(error.into_error()))?.sync_all().map_err(cannot)?;
    std::fs::rename(&beside, file).map_err(cannot)?;
    context.say(format!("Wrote {count} events to {}", file.display()));
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

/// The octets of a serial number or a hash, with colons or without.
fn octets(text: &str) -> Option<Vec<u8>> {
    pki::unhex(&text.replace(':', ""))
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
