//! `countersign list`.

use ca::{Entry, Query, StateFilter, Store as _};
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use pki::Profile;
use pki::certificate::serial_hex;
use serde_json::{Value, json};

use crate::context::{BAD, Context, DIM, GOOD, WARN, width};
use crate::failure::{Exit, OrFail as _, Outcome};
use crate::home::Home;
use crate::table::{self, Cell};

/// List the certificates of the authority
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign list
      # the newest 100
  countersign list --search acme
      # part of a name, or the start of a serial number
  countersign list --expiring 30d
      # good now, and ending within 30 days
  countersign list --revoked --json --limit 0")]
pub(crate) struct List {
    /// Part of a name, or the start of a serial number, in any case
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,

    /// Only those that are good now and end within this time
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse, group = "state")]
    expiring: Option<SignedDuration>,

    /// Only those that were revoked
    #[arg(long, group = "state")]
    revoked: bool,

    /// Only those that ended
    #[arg(long, group = "state")]
    expired: bool,

    /// Only those that are good now
    #[arg(long, group = "state")]
    good: bool,

    /// Only servers' or clients' certificates
    #[arg(long, value_enum)]
    profile: Option<ProfileFlag>,

    /// The most to list; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProfileFlag {
    Server,
    Client,
}

impl List {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let memory = Home::of(context)?.open_memory()?;
        let now = context.now();
        let state = match self.expiring {
            Some(within) => StateFilter::ExpiringBefore(now.checked_add(within).or_usage()?),
            None if self.revoked => StateFilter::Revoked,
            None if self.expired => StateFilter::Expired,
            None if self.good => StateFilter::Good,
            None => StateFilter::Any,
        };
        let profile = self.profile.map(|flag| match flag {
            ProfileFlag::Server => Profile::Server,
            ProfileFlag::Client => Profile::Client,
        });
        let query = Query { search: self.search, state, profile, limit: self.limit };
        let page = memory.list(&query, now).or_refuse()?;
        if self.json {
            context.json(&json!({
                "certificates": page.entries.iter().map(|entry| entry_json(entry, now)).collect::<Vec<_>>(),
                "more": page.more,
            }));
            return Ok(Exit::Done);
        }
        if page.entries.is_empty() {
            context.say("No certificate fits.");
            return Ok(Exit::Done);
        }
        let row = |entry: &Entry| {
            let state = entry.state(now);
            let style = match state {
                "good" => GOOD,
                "revoked" => BAD,
                _ => WARN,
            };
            [
                explain::escape::text(&entry.label).into(),
                entry.profile.to_string().into(),
                Cell::styled(state, style),
                entry.not_after.strftime("%Y-%m-%d").to_string().into(),
                // Enough to tell them apart and to name one.
                serial_hex(&entry.serial).chars().take(16).collect::<String>().into(),
            ]
        };
        let rows: Vec<[Cell; 5]> = page.entries.iter().map(row).collect();
        context.data(table::text(["NAME", "FOR", "STATE", "UNTIL", "SERIAL"], &rows, width()));
        if page.more {
            context.say(format!("{DIM}There are more; --limit 0 lists all, --search finds some.{DIM:#}"));
        }
        Ok(Exit::Done)
    }
}

/// What is known of a certificate, for programs.
pub(crate) fn entry_json(entry: &Entry, now: Timestamp) -> Value {
    let certificate = pki::Certificate::from_der(&entry.der).ok();
    let certificate = certificate.as_ref();
    json!({
        "name": entry.label,
        "profile": entry.profile.name(),
        "state": entry.state(now),
        "serial_number": serial_hex(&entry.serial),
        "subject": certificate.map(|c| c.subject().to_string()),
        "subject_alt_name": certificate
            .map(|c| c.subject_alt_names().iter().map(ToString::to_string).collect::<Vec<_>>()),
        "not_before": entry.not_before.to_string(),
        "not_after": entry.not_after.to_string(),
        "issued_at": entry.issued_at.to_string(),
        "requested_by": entry.requested_by,
        "replaces": entry.replaces.as_deref().map(serial_hex),
        "location": entry.location,
        "revoked_at": entry.revoked.map(|r| r.at.to_string()),
        "revocation_reason": entry.revoked.map(|r| r.reason.name()),
        "sha256": certificate.map(|c| pki::hex(&c.sha256())),
    })
}
