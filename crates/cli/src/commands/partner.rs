//! `countersign partner` and `countersign identity`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::api::{Api, ApiArguments, path_segment};
use crate::context::{BOLD, Context, width};
use crate::failure::{Exit, Outcome};
use crate::table::{self, Cell};

/// Partners: whom several identities belong to, and how many certificates they may have
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign partner add acme --contact ops@acme.test --most 4
      # four certificates at a time: old and new ones overlap
  countersign partner list")]
pub(crate) enum Partner {
    /// Make a partner, or change one
    Add(Add),
    /// List partners
    List(List),
}

/// Make a partner, or change one
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,

    /// Whom to talk to
    #[arg(long, value_name = "TEXT")]
    contact: Option<String>,

    /// The most certificates that all its identities may have at a time
    #[arg(long, value_name = "N", default_value_t = 3)]
    most: u32,

    #[command(flatten)]
    api: ApiArguments,
}

/// List them
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    api: ApiArguments,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

/// Identities: what is known of a name beside its certificates, its role among it
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign identity set gw1 --role gateway
      # certificates of gw1 may follow the feed
  countersign identity set carol --role auditor --contact carol@acme.test
  countersign identity list")]
pub(crate) enum Identity {
    /// Say what a name is: its role, partner and contact
    Set(Set),
    /// List identities
    List(List),
}

/// Say what a name is; what is not said is taken away
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The name its certificates are filed under
    #[arg(value_name = "NAME")]
    name: String,

    /// What it may do with the authority: admin, operator, auditor, enroller or gateway
    #[arg(long, value_name = "ROLE")]
    role: Option<ca::Role>,

    /// The partner it belongs to
    #[arg(long, value_name = "NAME")]
    partner: Option<String>,

    /// Whom to tell when its certificates end
    #[arg(long, value_name = "TEXT")]
    contact: Option<String>,

    #[command(flatten)]
    api: ApiArguments,
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => explain::escape::text(text),
        other => other.to_string(),
    }
}

fn list<const N: usize>(
    context: &Context,
    command: &List,
    path: &str,
    name: &str,
    columns: [(&'static str, &str); N],
) -> Outcome {
    let items = Api::open(context, &command.api)?.all(path, name)?;
    if command.json {
        context.json(&json!(items));
        return Ok(Exit::Done);
    }
    if items.is_empty() {
        context.say("There is none.");
        return Ok(Exit::Done);
    }
    let rows: Vec<[Cell; N]> =
        items.iter().map(|item| columns.map(|(_, member)| text(&item[member]).into())).collect();
    context.data(table::text(columns.map(|(title, _)| title), &rows, width()));
    Ok(Exit::Done)
}

impl Partner {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Partner::Add(add) => {
                let path = format!("/api/v1/partners/{}", path_segment(&add.name));
                let body = json!({ "contact": add.contact, "most_certificates": add.most });
                let partner = Api::open(context, &add.api)?.call(Method::PUT, &path, Some(&body))?;
                context.say(format!(
                    "{BOLD}{}{BOLD:#} may have {} certificates at a time, and has {}",
                    text(&partner["name"]),
                    partner["most_certificates"],
                    partner["certificates"]
                ));
                Ok(Exit::Done)
            }
            Partner::List(command) => {
                let columns = [
                    ("NAME", "name"),
                    ("CERTIFICATES", "certificates"),
                    ("MOST", "most_certificates"),
                    ("CONTACT", "contact"),
                ];
                list(context, &command, "/api/v1/partners", "partners", columns)
            }
        }
    }
}

impl Identity {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Identity::Set(set) => {
                let path = format!("/api/v1/identities/{}", path_segment(&set.name));
                let role = set.role.map(ca::Role::name);
                let body = json!({ "role": role, "partner": set.partner, "contact": set.contact });
                let identity = Api::open(context, &set.api)?.call(Method::PUT, &path, Some(&body))?;
                context.say(format!(
                    "{BOLD}{}{BOLD:#}: role {}, partner {}, contact {}",
                    text(&identity["name"]),
                    text(&identity["role"]),
                    text(&identity["partner"]),
                    text(&identity["contact"])
                ));
                Ok(Exit::Done)
            }
            Identity::List(command) => {
                let columns =
                    [("NAME", "name"), ("ROLE", "role"), ("PARTNER", "partner"), ("CONTACT", "contact")];
                list(context, &command, "/api/v1/identities", "identities", columns)
            }
        }
    }
}
