//! `countersign ca rollover`.

use std::path::{Path, PathBuf};

use ca::KeyName;
use clap::{Args, Subcommand};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use pki::key::KeyAlgorithm;
use serde_json::{Value, json};

use crate::api::{Api, ApiArguments};
use crate::context::{BAD, BOLD, Context, DIM, GOOD, width};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::Home;
use crate::table::{self, Cell};

const PATH: &str = "/api/v1/rollover";

/// Change the root, or the issuing CA, without cutting anybody off
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign ca rollover start
      # a new root: it is believed from now on, and issues nothing yet
  countersign ca rollover status
      # how far it is, and what remains
  countersign ca rollover next
      # the new line issues; what the old one issued is renewed early
  countersign ca rollover retire
      # the old root is believed no longer; refused while somebody still uses it
  countersign ca rollover start --intermediate
      # another issuing CA under the same root
  countersign ca rollover start \\
      --root-key 'pkcs11:token=T;object=root-2026?module-path=M' \\
      --issuing-key command:/usr/local/bin/kms-sign?key=issuing-2
      # with keys that are elsewhere")]
pub(crate) enum Rollover {
    /// Make a new root and issuing CA, and have them believed; nothing is issued by them yet
    Start(Start),
    /// Say how far it is, who still uses the old line, and what remains
    Status(Status),
    /// Have the new line issue, and what the old one issued renewed early
    Next(Next),
    /// Believe the old line no longer
    Retire(Retire),
    /// Go back: take the new line away, or once it has issued have the old one issue again
    Abort(Abort),
}

/// Make the next line
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Keep the root, and make another issuing CA under it
    #[arg(long)]
    intermediate: bool,

    /// The kind of the new keys [default: that of the issuing CA now]
    #[arg(long, value_name = "KIND")]
    key: Option<KeyAlgorithm>,

    /// Use this key for the new root: pkcs11:URI, made in its token where it is not there yet, command:CMD or
    /// https+signer:… [default: made where the old one is, in its token or a file]
    #[arg(long, value_name = "REFERENCE", conflicts_with = "intermediate")]
    root_key: Option<String>,

    /// Use this key for the new issuing CA
    #[arg(long, value_name = "REFERENCE")]
    issuing_key: Option<String>,

    /// How long the new root lives, in days [default: as long as the old one was made for]
    #[arg(long, value_name = "DAYS", conflicts_with = "intermediate", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,

    #[command(flatten)]
    common: Common,
}

/// Say how far it is
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Who was seen within this time counts as still there
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = crate::duration::parse)]
    seen_within: SignedDuration,

    #[command(flatten)]
    common: Common,
}

/// Have the new line issue
#[derive(Debug, Args)]
pub(crate) struct Next {
    /// Within this time agents and ACME clients renew what the old line issued, each at a moment of its own
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = crate::duration::parse)]
    renew_within: SignedDuration,

    /// Also where a replica lacks the new key, or a gateway does not believe the new root yet
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    common: Common,
}

/// Believe the old line no longer
#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// Who was seen within this time counts as still there
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = crate::duration::parse)]
    seen_within: SignedDuration,

    /// Also where somebody is cut off by it
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    common: Common,
}

/// Go back
#[derive(Debug, Args)]
pub(crate) struct Abort {
    /// Within this time what the new line has issued is renewed
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = crate::duration::parse)]
    renew_within: SignedDuration,

    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    api: ApiArguments,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

impl Rollover {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let seconds = |span: SignedDuration| span.as_secs();
        let (body, common) = match self {
            Rollover::Status(status) => {
                let api = Api::open(context, &status.common.api)?;
                let path = format!("{PATH}?within_seconds={}", seconds(status.seen_within));
                return tell(context, &api.get(&path)?, status.common.json);
            }
            Rollover::Start(start) => {
                let named = start.name_keys(context)?;
                let key = start.key.map(|kind| kind.to_string());
                let body = json!({ "step": "start", "intermediate": start.intermediate, "key": key, "days": start.days });
                let api = Api::open(context, &start.common.api)?;
                let started = api.call(Method::POST, PATH, Some(&body));
                if started.is_err() {
                    // What was named for a step that was not taken stands in the way of the next try.
                    for place in named {
                        let _ = std::fs::remove_file(place);
                    }
                }
                return tell(context, &started?, start.common.json);
            }
            Rollover::Next(next) => {
                let within = seconds(next.renew_within);
                (json!({ "step": "next", "renew_within_seconds": within, "force": next.force }), next.common)
            }
            Rollover::Retire(retire) => {
                let within = seconds(retire.seen_within);
                (
                    json!({ "step": "retire", "seen_within_seconds": within, "force": retire.force }),
                    retire.common,
                )
            }
            Rollover::Abort(abort) => {
                let within = seconds(abort.renew_within);
                (json!({ "step": "abort", "renew_within_seconds": within }), abort.common)
            }
        };
        let document = Api::open(context, &common.api)?.call(Method::POST, PATH, Some(&body))?;
        tell(context, &document, common.json)
    }
}

impl Start {
    /// Writes down where the new keys are, and says where that was written. A reference may name a program to run, so it is
    /// taken from whoever may write into the home, and from nobody else.
    fn name_keys(&self, context: &Context) -> Result<Vec<PathBuf>, Failure> {
        let wishes = [&self.root_key, &self.issuing_key];
        if wishes.iter().all(|wish| wish.is_none()) {
            return Ok(Vec::new());
        }
        if self.common.api.is_elsewhere() {
            return Err(Failure::usage("keys are named where they are used, and not by --ca")
                .hint("countersign ca rollover start --issuing-key REFERENCE    (in the authority's home)"));
        }
        let home = Home::of(context)?;
        let lines = ca::line::known(&*home.open_memory()?).or_usage()?;
        if lines.rollover().is_some() {
            // The step itself says so.
            return Ok(Vec::new());
        }
        let number = lines.all().iter().map(|line| line.number()).max().unwrap_or(0) + 1;
        let mut places = Vec::new();
        for (name, wish) in [KeyName::Root(number), KeyName::Issuing(number)].into_iter().zip(wishes) {
            let Some(reference) = wish else { continue };
            if crate::key::reference(Path::new(reference)).is_none() {
                return Err(Failure::usage(format!(
                    "{reference} refers to no key in a token or behind a signer"
                ))
                .hint("pkcs11:token=TOKEN;object=KEY?module-path=FILE&pin-source=file:FILE")
                .hint("command:/PATH/PROGRAM?key=NAME    (docs/external-signers.md)"));
            }
            let file = home.key_file(name);
            if file.exists() {
                return Err(Failure::refused(format!(
                    "{} is there already, from a step that was not finished",
                    file.display()
                ))
                .hint("remove it, or leave the key's reference out"));
            }
            places.push((name, reference));
        }
        let mut named = Vec::new();
        for (name, reference) in places {
            home.refer(name, reference)?;
            named.push(home.key_file(name).with_extension("uri"));
        }
        Ok(named)
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => explain::escape::text(text),
        other => other.to_string(),
    }
}

/// A time as people read it.
fn when(value: &Value) -> String {
    let read = value.as_str().and_then(|time| time.parse::<Timestamp>().ok());
    read.map_or_else(|| text(value), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn tell(context: &Context, status: &Value, as_json: bool) -> Outcome {
    if as_json {
        context.json(status);
        return Ok(Exit::Done);
    }
    let rollover = &status["rollover"];
    let (from, to) = (text(&rollover["from"]), text(&rollover["to"]));
    context.say(match status["step"].as_str() {
        Some("distribute") => format!(
            "{BOLD}1 of 3, distribute:{BOLD:#} line {to} is believed from now on, and line {from} issues as before"
        ),
        Some("reissue") => format!(
            "{BOLD}2 of 3, reissue:{BOLD:#} line {to} issues, and what line {from} issued is renewed until {}",
            when(&rollover["renew_by"])
        ),
        _ => "No rollover is under way".to_owned(),
    });
    let rows: Vec<[Cell; 5]> = items(&status["lines"])
        .iter()
        .map(|line| {
            let state = match (&line["issues"], &line["over"], &line["retired"]) {
                (Value::Bool(true), ..) => "issues",
                (_, Value::Bool(true), _) => "over",
                (_, _, Value::String(_)) => "retired",
                _ => "believed",
            };
            let root =
                format!("{} {}…", text(&line["root"]), text(&line["root_sha256"]).get(..8).unwrap_or("-"));
            [
                text(&line["number"]).into(),
                state.to_owned().into(),
                text(&line["issuing"]).into(),
                root.into(),
                text(&line["good"]).into(),
            ]
        })
        .collect();
    context.data(table::text(["LINE", "STATE", "ISSUING CA", "ROOT", "GOOD"], &rows, width()));
    for gateway in items(&status["gateways"]) {
        let (style, word) = match gateway["believes_new_root"].as_bool() {
            Some(true) => (GOOD, "believes the new root"),
            Some(false) => (BAD, "does not believe the new root yet"),
            None => (DIM, "does not say whom it believes"),
        };
        context.data(format!("gateway {}  {style}{word}{style:#}\n", text(&gateway["name"])));
        for shown in items(&gateway["shows_of_old_line"]) {
            context.data(format!("  {BAD}shows a certificate of the old line{BAD:#}  {}\n", text(shown)));
        }
    }
    for one in items(&status["still_seen"]) {
        let place = one["seen_by"].as_str().map_or_else(|| "the authority".to_owned(), explain::escape::text);
        context.data(format!(
            "{BAD}still seen{BAD:#}  {}  at {}, by {place}\n",
            text(&one["name"]),
            when(&one["seen_at"])
        ));
    }
    let of_old_line: Vec<[Cell; 3]> = items(&status["certificates"])
        .iter()
        .map(|one| [text(&one["name"]).into(), text(&one["profile"]).into(), when(&one["not_after"]).into()])
        .collect();
    if !of_old_line.is_empty() {
        let title = format!("OF LINE {from}");
        context.data(format!("\n{}", table::text([&title, "FOR", "UNTIL"], &of_old_line, width())));
    }
    if status["more_certificates"] == true {
        context.say(format!(
            "{DIM}and more: the API lists them, /api/v1/certificates?state=good&line={from}{DIM:#}"
        ));
    }
    let root_of = |number: &Value| {
        let line = items(&status["lines"]).iter().find(|line| line["number"] == *number);
        line.map(|line| &line["root_sha256"])
    };
    let is_new_root = root_of(&rollover["from"]) != root_of(&rollover["to"]);
    if status["step"] == "distribute" && is_new_root {
        context.say(
            "meanwhile: whoever keeps a file of roots and follows neither feed nor agent needs the new one: \
             countersign ca bundle --out FILE",
        );
    }
    for sentence in items(&status["remains"]) {
        context.say(format!("remains: {}", text(sentence)));
    }
    if let Some(next) = status["next"].as_str() {
        let word = if status["blocked"] == true { "then" } else { "next" };
        context.say(format!("{DIM}{word}: countersign ca rollover {next}{DIM:#}"));
    }
    Ok(Exit::Done)
}
