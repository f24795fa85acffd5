//! `countersign show`.

use ca::Store as _;
use clap::Args;
use pki::Certificate;
use serde_json::{Value, json};

use crate::api::{Api, RemoteArguments, path_segment};
use crate::commands::revoke::{not_found, selector, typed};
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
  countersign show alice --ca https://ca.acme.test:8444
      # at an authority elsewhere
  countersign show alice --pem
      # the certificate itself, with its chain")]
pub(crate) struct Show {
    /// A name, the start of a serial number (8 digits or more), a SHA-256 fingerprint, or a certificate's file
    #[arg(value_name = "NAME|SERIAL|FILE")]
    which: String,

    /// Print the certificate and its chain as PEM, and nothing else
    #[arg(long, conflicts_with = "json")]
    pem: bool,

    #[command(flatten)]
    remote: RemoteArguments,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

/// What is known of one certificate, wherever it is known.
struct Known {
    /// The one in use, or the newest, with its PEM.
    shown: Value,
    /// The others of its name.
    others: Vec<Value>,
    /// Those between it and the anchor, in PEM.
    chain: String,
    history: Vec<Value>,
}

impl Show {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let known = match self.remote.open(context)? {
            Some(api) => self.elsewhere(&api)?,
            None => self.here(context)?,
        };
        let text = |value: &Value| explain::escape::text(value.as_str().unwrap_or_default());
        let pem = known.shown["pem"].as_str().unwrap_or_default().to_owned();
        if self.pem {
            context.data(format!("{pem}{}", known.chain));
            return Ok(Exit::Done);
        }
        if self.json {
            let mut facts = known.shown;
            // It is what --pem prints.
            facts.as_object_mut().and_then(|members| members.remove("pem"));
            facts["history"] = known.history.into();
            facts["others"] = known.others.into();
            context.json(&facts);
            return Ok(Exit::Done);
        }
        let der = pki::pem::read(pem.as_bytes()).or_refuse()?.swap_remove(0).der;
        let inspection = explain::inspect(&der, &text(&known.shown["name"]), context.now());
        context.data(explain::render::summary_text(&inspection, width(), colour_on_stdout()));
        context.data(format!(
            "\n{BOLD}at this authority{BOLD:#}\n  state       {}\n",
            text(&known.shown["state"])
        ));
        for (title, member) in [("written to", "location"), ("replaces  ", "replaces")] {
            if known.shown[member].is_string() {
                context.data(format!("  {title}  {}\n", text(&known.shown[member])));
            }
        }
        for event in &known.history {
            let [at, action, details, actor] =
                ["at", "action", "details", "actor"].map(|member| text(&event[member]));
            context.data(format!("  {at}  {action}  {details}  {DIM}by {actor}{DIM:#}\n"));
        }
        for other in &known.others {
            context.data(format!(
                "  {DIM}also of this name: {} {}, until {}{DIM:#}\n",
                text(&other["state"]),
                text(&other["serial_number"]),
                text(&other["not_after"]).chars().take(10).collect::<String>()
            ));
        }
        Ok(Exit::Done)
    }

    fn here(&self, context: &Context) -> Result<Known, Failure> {
        let memory = Home::of(context)?.open_memory()?;
        let now = context.now();
        let found = memory.find(&selector(&self.which)?).or_refuse()?;
        let Some(entry) = found.iter().find(|entry| entry.is_good(now)).or(found.first()) else {
            return Err(not_found(&*memory, &self.which, context));
        };
        let lines = ca::line::known(&memory).or_refuse()?;
        let chain = lines.find(entry.line).unwrap_or(lines.issuing()).chain();
        let history = memory.audit(Some(&entry.serial)).or_refuse()?;
        let mut shown = certificate_json(entry, now);
        shown["pem"] = pki::pem::encode("CERTIFICATE", &entry.der).into();
        let others = found.iter().filter(|other| other.serial != entry.serial);
        Ok(Known {
            shown,
            others: others.map(|other| certificate_json(other, now)).collect(),
            chain: chain.iter().map(Certificate::to_pem).collect(),
            history: history
                .iter()
                .map(|event| {
                    json!({ "at": event.at.to_string(), "actor": event.actor, "action": event.action,
                            "details": event.details })
                })
                .collect(),
        })
    }

    /// The same of an authority elsewhere. Its audit trail is for auditors; who may not read it sees the rest.
    fn elsewhere(&self, api: &Api) -> Result<Known, Failure> {
        let which = typed(&selector(&self.which)?);
        let mut page = api.get(&format!("/api/v1/certificates/{}", path_segment(&which)))?;
        let chain = page["chain"].as_str().unwrap_or_default().to_owned();
        let Value::Array(mut found) = page["certificates"].take() else {
            return Err(Failure::refused("the authority's answer holds no certificate"));
        };
        let place = found.iter().position(|one| one["state"] == "good").unwrap_or(0);
        let shown = found.remove(place);
        let serial = shown["serial_number"].as_str().unwrap_or_default().to_owned();
        let path = format!("/api/v1/audit?serial={}", path_segment(&serial.replace(':', "")));
        let history = match api.all(&path, "events") {
            Ok(events) => events
                .iter()
                .map(|event| {
                    json!({ "at": event["at"], "actor": event["who"], "action": event["what"],
                            "details": event["why"] })
                })
                .collect(),
            Err(failure) if failure.exit == Exit::Refused => Vec::new(),
            Err(failure) => return Err(failure),
        };
        for other in &mut found {
            other.as_object_mut().and_then(|members| members.remove("pem"));
        }
        Ok(Known { shown, others: found, chain, history })
    }
}
