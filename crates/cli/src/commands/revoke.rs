//! `countersign revoke`.

use std::path::{Path, PathBuf};

use ca::{Query, RevokeError};
use clap::Args;
use pki::crl::RevocationReason;
use serde_json::json;

use crate::api::RemoteArguments;
use crate::commands::issue::requester;
use crate::context::{BOLD, Context};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::Home;
use crate::input;

/// Take a certificate back before its end
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign revoke alice --reason keyCompromise
      # every certificate of alice that is still good
  countersign revoke alice.pem
      # the one in this file
  countersign revoke 3f9c12ab
      # the one whose serial starts so
  countersign crl --out lists.pem
      # then tell those who check")]
pub(crate) struct Revoke {
    /// A name, the start of a serial number (8 digits or more), a SHA-256 fingerprint, or a certificate's file
    #[arg(value_name = "NAME|SERIAL|FILE")]
    which: String,

    /// unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation,
    /// certificateHold or privilegeWithdrawn
    #[arg(long, default_value = "unspecified")]
    reason: RevocationReason,

    #[command(flatten)]
    remote: RemoteArguments,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

/// Take a certificate off hold
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign revoke alice --reason certificateHold
  countersign release alice
      # every other reason is for ever")]
pub(crate) struct Release {
    /// A name, the start of a serial number (8 digits or more), a SHA-256 fingerprint, or a certificate's file
    #[arg(value_name = "NAME|SERIAL|FILE")]
    which: String,

    #[command(flatten)]
    remote: RemoteArguments,
}

impl Release {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let selector = selector(&self.which)?;
        if let Some(api) = self.remote.open(context)? {
            api.post("/api/v1/releases", &json!({ "which": typed(&selector) }))?;
        } else {
            let memory = Home::of(context)?.open_memory()?;
            ca::release(&*memory, &selector, &requester(), context.now()).or_refuse()?;
        }
        context.say(format!("{BOLD}{}{BOLD:#} is good again; the next list no longer has it", self.which));
        Ok(Exit::Done)
    }
}

/// A selector as a person types it.
pub(crate) fn typed(selector: &ca::Selector) -> String {
    match selector {
        ca::Selector::Serial(serial) => pki::certificate::serial_hex(serial),
        other => other.to_string(),
    }
}

impl Revoke {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let selector = selector(&self.which)?;
        if let Some(api) = self.remote.open(context)? {
            let body = json!({ "which": typed(&selector), "reason": self.reason.name() });
            let answer = api.post("/api/v1/revocations", &body)?;
            if self.json {
                context.json(&answer);
                return Ok(Exit::Done);
            }
            for entry in answer["certificates"].as_array().into_iter().flatten() {
                let text = |member: &str| explain::escape::text(entry[member].as_str().unwrap_or_default());
                context.data(format!("{}\n", text("serial_number")));
                context.say(format!(
                    "Revoked the certificate of {BOLD}{}{BOLD:#} ({})",
                    text("name"),
                    self.reason
                ));
            }
            return Ok(Exit::Done);
        }
        let memory = Home::of(context)?.open_memory()?;
        let revoked = ca::revoke(&*memory, &selector, self.reason, &requester(), context.now());
        let revoked = match revoked {
            Err(RevokeError::NotFound(_)) => return Err(not_found(&*memory, &self.which, context)),
            other => other.or_refuse()?,
        };
        if self.json {
            context.json(&json!(
                revoked
                    .iter()
                    .map(|entry| json!({
                        "name": entry.label,
                        "serial_number": pki::certificate::serial_hex(&entry.serial),
                        "reason": self.reason.name(),
                    }))
                    .collect::<Vec<_>>()
            ));
            return Ok(Exit::Done);
        }
        for entry in &revoked {
            context.data(format!("{}\n", pki::certificate::serial_hex(&entry.serial)));
            context.say(format!(
                "Revoked the certificate of {BOLD}{}{BOLD:#} ({}), which was good until {}",
                entry.label,
                self.reason,
                entry.not_after.strftime("%Y-%m-%d")
            ));
        }
        context.say(
            "Those who check need the new list: countersign crl --out lists.pem\n\
             A `countersign serve` with the local authority takes it by itself.",
        );
        Ok(Exit::Done)
    }
}

/// What the person meant: a file that is there, a serial number, or a name.
pub(crate) fn selector(text: &str) -> Result<ca::Selector, Failure> {
    let path = Path::new(text);
    if path.is_file() && (text.contains('.') || text.contains('/')) {
        let certificate = input::certificates(&PathBuf::from(text))?.swap_remove(0);
        return Ok(ca::Selector::Serial(certificate.serial().to_vec()));
    }
    Ok(ca::Selector::parse(text))
}

/// Nothing by that name: what is there that resembles it.
pub(crate) fn not_found(memory: &dyn ca::Store, text: &str, context: &Context) -> Failure {
    let failure = Failure::refused(format!("no certificate of '{text}' was found")).hint("countersign list");
    let query = Query { search: Some(text.to_owned()), limit: 5, ..Query::default() };
    // The search is a kindness; where it fails too, the first sentence is enough.
    let similar = memory.list(&query, context.now()).map(|page| page.entries).unwrap_or_default();
    let mut labels: Vec<String> = similar.into_iter().map(|entry| entry.label).collect();
    labels.dedup();
    if labels.is_empty() { failure } else { failure.hint(format!("did you mean {}?", labels.join(", "))) }
}
