//! `countersign list`.

use ca::{Identity, Query, StateFilter, Store as _};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use pki::Profile;
use serde_json::{Value, json};
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
      # part of a name, or the start of a serial number or of a SHA-256 fingerprint
  countersign list --partner acme --good
      # of the identities of a partner
  countersign list --expiring 30d
      # good now, and ending within 30 days
  countersign list --revoked --json --limit 0")]
pub(crate) struct List {
    /// Part of a name, or the start of a serial number or of a SHA-256 fingerprint, in any case
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,

    /// Only those of this partner's identities
    #[arg(long, value_name = "PARTNER")]
    partner: Option<String>,

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

    /// Only those of this line of the authority, as `ca rollover status` numbers them
    #[arg(long, value_name = "N")]
    line: Option<u32>,

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
        let query = Query {
            search: self.search.clone(),
            partner: self.partner.clone(),
            state,
            profile,
            line: self.line,
            limit: self.limit,
        };
        let page = memory.list(&query, now).or_refuse()?;
        let mut certificates = Vec::new();
        for entry in &page.entries {
            let mut facts = certificate_json(entry, now);
            if self.expiring.is_some() {
                facts["contact"] = json!(Identity::contact_of(&*memory, &entry.label).or_refuse()?);
            }
            certificates.push(facts);
        }
        self.tell(context, &json!({ "certificates": certificates, "more": page.more }));
        Ok(Exit::Done)
    }

    /// Prints a page; of what is about to end also whom to tell.
    fn tell(&self, context: &Context, page: &Value) {
        if self.json {
            context.json(page);
            return;
        }
        let text = |value: &Value| explain::escape::text(value.as_str().unwrap_or_default());
        let row = |item: &Value| -> [Cell; 5] {
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
                // Enough to tell them apart and to name one.
                text(&item["serial_number"]).chars().take(16).collect::<String>().into(),
            ]
        };
        let items = page["certificates"].as_array().map(Vec::as_slice).unwrap_or_default();
        if items.is_empty() {
            context.say("No certificate fits.");
            return;
        }
        if self.expiring.is_some() {
            let rows: Vec<[Cell; 6]> = items
                .iter()
                .map(|item| {
                    let [name, profile, state, until, serial] = row(item);
                    [name, profile, state, until, serial, text(&item["contact"]).into()]
                })
                .collect();
            context.data(table::text(["NAME", "FOR", "STATE", "UNTIL", "SERIAL", "CONTACT"], &rows, width()));
        } else {
            let rows: Vec<[Cell; 5]> = items.iter().map(row).collect();
            context.data(table::text(["NAME", "FOR", "STATE", "UNTIL", "SERIAL"], &rows, width()));
        }
        if page["more"] == true {
            let all = if self.limit == 0 { "" } else { "--limit 0 lists more, " };
            context.say(format!("{DIM}There are more; {all}--search finds some.{DIM:#}"));
        }
    }

    /// The same of an authority elsewhere.
    fn elsewhere(&self, context: &Context, api: &Api) -> Outcome {
        let mut path =
            format!("/api/v1/certificates?limit={}", if self.limit == 0 { 1000 } else { self.limit });
        if let Some(text) = &self.search {
            path.push_str(&format!("&search={}", path_segment(text)));
        }
        if let Some(partner) = &self.partner {
            path.push_str(&format!("&partner={}", path_segment(partner)));
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
        if let Some(line) = self.line {
            path.push_str(&format!("&line={line}"));
        }
        self.tell(context, &api.get(&path)?);
        Ok(Exit::Done)
    }
}
