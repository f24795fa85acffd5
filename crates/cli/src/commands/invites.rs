//! `countersign invites`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::api::{Api, ApiArguments, path_segment};
use crate::context::{BAD, BOLD, Context, GOOD, WARN, width};
use crate::failure::{Exit, Outcome};
use crate::table::{self, Cell};

/// List invites, approve what waits, take one back
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign invites list
  countersign invites approve abcdefgh
      # what waits on this invite may be signed
  countersign invites withdraw abcdefgh")]
pub(crate) enum Invites {
    /// List invites and what was made of them
    List(List),
    /// Let what waits on an invite be signed
    Approve(Decide),
    /// Refuse what waits on an invite
    Deny(Decide),
    /// Take an invite back
    Withdraw(Withdraw),
}

/// List invites and what was made of them
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    api: ApiArguments,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

/// Decide about what waits on an invite
#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// The first eight characters of its code
    #[arg(value_name = "HANDLE")]
    handle: String,

    /// The start of the SHA-256 of the key that asked, as `join` showed it [default: the only one that waits]
    #[arg(value_name = "KEY")]
    key: Option<String>,

    #[command(flatten)]
    api: ApiArguments,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

/// Take an invite back
#[derive(Debug, Args)]
pub(crate) struct Withdraw {
    /// The first eight characters of its code
    #[arg(value_name = "HANDLE")]
    handle: String,

    #[command(flatten)]
    api: ApiArguments,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

impl Invites {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Invites::List(command) => list(context, &command),
            Invites::Approve(command) => decide(context, &command, true),
            Invites::Deny(command) => decide(context, &command, false),
            Invites::Withdraw(command) => withdraw(context, &command),
        }
    }
}

fn list(context: &Context, command: &List) -> Outcome {
    let invites = Api::open(context, &command.api)?.all("/api/v1/invites", "invites")?;
    if command.json {
        context.json(&json!(invites));
        return Ok(Exit::Done);
    }
    if invites.is_empty() {
        context.say("There is no invite.");
        return Ok(Exit::Done);
    }
    let text = |value: &Value| explain::escape::text(value.as_str().unwrap_or_default()).to_string();
    let row = |invite: &Value| -> [Cell; 5] {
        let state = text(&invite["state"]);
        let style = match state.as_str() {
            "open" => GOOD,
            "waits for approval" => WARN,
            _ => BAD,
        };
        [
            text(&invite["handle"]).into(),
            text(&invite["name"]).into(),
            Cell::styled(state.clone(), style),
            format!("{} of {}", invite["left"], invite["uses"]).into(),
            text(&invite["expires"]).chars().take(16).collect::<String>().into(),
        ]
    };
    let rows: Vec<[Cell; 5]> = invites.iter().map(row).collect();
    context.data(table::text(["HANDLE", "FOR", "STATE", "LEFT", "UNTIL"], &rows, width()));
    for invite in &invites {
        let uses = invite["used"].as_array().cloned().unwrap_or_default();
        for used in uses.iter().filter(|used| used["stage"] == "waits for approval") {
            context.say(format!(
                "{} waits: key sha256 {}, from {}, at {}",
                text(&invite["handle"]),
                text(&used["key_sha256"]),
                text(&used["from"]),
                text(&used["at"])
            ));
        }
    }
    Ok(Exit::Done)
}

fn decide(context: &Context, command: &Decide, approve: bool) -> Outcome {
    let path = format!("/api/v1/invites/{}/decision", path_segment(&command.handle));
    let key = command.key.clone().unwrap_or_default();
    let body = json!({ "approve": approve, "key_sha256": key });
    let invite = Api::open(context, &command.api)?.post(&path, &body)?;
    if command.json {
        context.json(&invite);
        return Ok(Exit::Done);
    }
    let name = invite["name"].as_str().unwrap_or_default();
    let word = if approve { "Approved" } else { "Refused" };
    context.say(format!("{word} what waited on the invite of {BOLD}{name}{BOLD:#}"));
    Ok(Exit::Done)
}

fn withdraw(context: &Context, command: &Withdraw) -> Outcome {
    let path = format!("/api/v1/invites/{}", path_segment(&command.handle));
    let invite = Api::open(context, &command.api)?.call(Method::DELETE, &path, None)?;
    if command.json {
        context.json(&invite);
        return Ok(Exit::Done);
    }
    let name = invite["name"].as_str().unwrap_or_default();
    context.say(format!("Took back the invite of {BOLD}{name}{BOLD:#}; what was issued by it stays good"));
    Ok(Exit::Done)
}
