//! `countersign show`.

use ca::Store as _;
use clap::Args;
use pki::Certificate;
use pki::certificate::serial_hex;
use serde_json::json;

use crate::commands::revoke::{not_found, selector};
use crate::context::{BOLD, Context, DIM, colour_on_stdout, width};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::Home;
use service::api::certificate_json;

/// Show everything the authority knows of one certificate
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign show alice
      # the newest certificate of alice, and its history
  countersign show 3f9c12ab --json
      # by the start of its serial number
  countersign show alice --pem
      # the certificate itself, with its chain")]
pub(crate) struct Show {
    /// A name, the start of a serial number (8 digits or more), or a certificate's file
    #[arg(value_name = "NAME|SERIAL|FILE")]
    which: String,

    /// Print the certificate and its chain as PEM, and nothing else
    #[arg(long, conflicts_with = "json")]
    pem: bool,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let memory = Home::of(context)?.open_memory()?;
        let now = context.now();
        let found = memory.find(&selector(&self.which)?).or_refuse()?;
        // The one in use, else the newest.
        let Some(entry) = found.iter().find(|entry| entry.is_good(now)).or(found.first()) else {
            return Err(not_found(&*memory, &self.which, context));
        };
        let history = memory.audit(Some(&entry.serial)).or_refuse()?;
        if self.pem {
            let leaf = Certificate::from_der(&entry.der).or_refuse()?;
            let record = memory.authority().or_refuse()?;
            let record = record.ok_or_else(|| Failure::refused("the database holds no authority"))?;
            let chain = record.issuer().or_refuse()?.intermediates();
            context.data(std::iter::once(&leaf).chain(&chain).map(Certificate::to_pem).collect::<String>());
            return Ok(Exit::Done);
        }
        let others = found.iter().filter(|other| other.serial != entry.serial);
        if self.json {
            let mut facts = certificate_json(entry, now);
            facts["history"] = json!(history.iter().map(|event| json!({
                "at": event.at.to_string(), "actor": event.actor, "action": event.action, "details": event.details,
            })).collect::<Vec<_>>());
            facts["others"] = json!(others.map(|other| certificate_json(other, now)).collect::<Vec<_>>());
            context.json(&facts);
            return Ok(Exit::Done);
        }
        let inspection = explain::inspect(&entry.der, &entry.label, now);
        context.data(explain::render::summary_text(&inspection, width(), colour_on_stdout()));
        context.data(format!("\n{BOLD}at this authority{BOLD:#}\n  state       {}\n", entry.state(now)));
        if let Some(location) = &entry.location {
            context.data(format!("  written to  {location}\n"));
        }
        if let Some(replaced) = &entry.replaces {
            context.data(format!("  replaces    {}\n", serial_hex(replaced)));
        }
        for event in &history {
            let (at, actor, details) = (event.at, &event.actor, explain::escape::text(&event.details));
            context.data(format!("  {at}  {}  {details}  {DIM}by {actor}{DIM:#}\n", event.action));
        }
        for other in others {
            context.data(format!(
                "  {DIM}also of this name: {} {}, until {}{DIM:#}\n",
                other.state(now),
                serial_hex(&other.serial),
                other.not_after.strftime("%Y-%m-%d")
            ));
        }
        Ok(Exit::Done)
    }
}
