//! `countersign list`.

use ca::{Entry, Query, StateFilter, Store as _};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use pki::Profile;
use pki::certificate::serial_hex;
use serde_json::json;
use service::api::certificate_json;

use crate::api::{Api, RemoteArguments, path_segment};
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

    #[command(flatten)]
    remote: RemoteArguments,

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
        if let Some(api) = self.remote.open(context)? {
            return self.elsewhere(context, &api);
        }
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
                "certificates": page.entries.iter().map(|entry| certificate_json(entry, now)).collect::<Vec<_>>(),
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

    /// The same of an authority elsewhere.
    fn elsewhere(&self, context: &Context, api: &Api) -> Outcome {
        let mut path =
            format!("/api/v1/certificates?limit={}", if self.limit == 0 { 1000 } else { self.limit });
        if let Some(text) = &self.search {
            path.push_str(&format!("&search={}", path_segment(text)));
        }
        if let Some(within) = self.expiring {
            path.push_str(&format!("&expiring_seconds={}", within.as_secs()));
        }
        for (wanted, state) in [(self.revoked, "revoked"), (self.expired, "expired"), (self.good, "good")] {
            if wanted {
                path.push_str(&format!("&state={state}"));
            }
        }
        match self.profile {
            Some(ProfileFlag::Server) => path.push_str("&profile=server"),
            Some(ProfileFlag::Client) => path.push_str("&profile=client"),
            None => {}
        }
        let page = api.get(&path)?;
        if self.json {
            context.json(&page);
            return Ok(Exit::Done);
        }
        let text = |value: &serde_json::Value| explain::escape::text(value.as_str().unwrap_or_default());
        let row = |item: &serde_json::Value| -> [Cell; 5] {
            let state = text(&item["state"]);
            let style = match state.as_str() {
                "good" => GOOD,
                "revoked" => BAD,
                _ => WARN,
            };
            [
                text(&item["name"]).into(),
                text(&item["profile"]).into(),
                Cell::styled(state, style),
                text(&item["not_after"]).chars().take(10).collect::<String>().into(),
                text(&item["serial_number"]).chars().take(16).collect::<String>().into(),
            ]
        };
        let rows: Vec<[Cell; 5]> = page["certificates"].as_array().into_iter().flatten().map(row).collect();
        if rows.is_empty() {
            context.say("No certificate fits.");
            return Ok(Exit::Done);
        }
        context.data(table::text(["NAME", "FOR", "STATE", "UNTIL", "SERIAL"], &rows, width()));
        if page["more"] == true {
            context.say(format!("{DIM}There are more; --search finds some.{DIM:#}"));
        }
        Ok(Exit::Done)
    }
}
