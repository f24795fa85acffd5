//! `countersign list`.

use ca::{Identity, Query, Selector, StateFilter, Store as _};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use pki::Profile;
use pki::certificate::serial_hex;
use serde_json::{Value, json};
use service::api::certificate_json;

use crate::api::{Api, RemoteArguments, path_segment};
use crate::context::{BAD, Context, DIM, GOOD, WARN, width};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::Home;
use crate::table::{self, Cell};

/// The most that an authority elsewhere gives at once.
const MOST_AT_ONCE: usize = 1000;

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
  countersign list --after 4f1b7c22d0a95e31...
      # the next page: what comes behind the last one of the page before
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

    /// Only what comes behind this serial number in the list: the last one of the page before
    #[arg(long, value_name = "SERIAL", value_parser = serial)]
    after: Option<String>,

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
            after: self.after.as_deref().and_then(pki::unhex),
            limit: self.limit,
        };
        if let (Some(serial), Some(octets)) = (&self.after, &query.after)
            && memory.find(&Selector::Serial(octets.clone())).or_refuse()?.is_empty()
        {
            return Err(Failure::refused(format!(
                "no certificate of this authority has the serial number {serial}"
            ))
            .hint("countersign list --json    (serial numbers in full)"));
        }
        let page = memory.list(&query, now).or_refuse()?;
        let mut certificates = Vec::new();
        for entry in &page.entries {
            let mut facts = certificate_json(entry, now);
            if self.expiring.is_some() {
                facts["contact"] = json!(Identity::contact_of(&*memory, &entry.label).or_refuse()?);
            }
            certificates.push(facts);
        }
        let next = page.entries.last().filter(|_| page.more).map(|entry| serial_hex(&entry.serial));
        self.tell(context, &json!({ "certificates": certificates, "more": page.more, "next": next }));
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
        if let Some(next) = page["next"].as_str() {
            context.say(format!(
                "{DIM}There are more: --after {next} goes on, --limit 0 lists all, --search finds some.{DIM:#}"
            ));
        }
    }

    /// The same of an authority elsewhere.
    fn elsewhere(&self, context: &Context, api: &Api) -> Outcome {
        let mut path = format!("/api/v1/certificates?limit={}", self.page());
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
        let behind = |after: &str| api.get(&format!("{path}&after={}", path_segment(after)));
        let mut page = match &self.after {
            None => api.get(&path)?,
            Some(after) => behind(after)?,
        };
        // More than the authority gives at once is asked for page by page.
        let mut certificates = match page["certificates"].take() {
            Value::Array(certificates) => certificates,
            _ => Vec::new(),
        };
        while let Some(next) = page["next"].as_str()
            && (self.limit == 0 || certificates.len() < self.limit)
        {
            page = behind(next)?;
            certificates.extend(page["certificates"].as_array().into_iter().flatten().cloned());
        }
        if self.limit != 0 && certificates.len() > self.limit {
            certificates.truncate(self.limit);
            page["more"] = json!(true);
            page["next"] = certificates.last().map(|last| last["serial_number"].clone()).into();
        }
        self.tell(
            context,
            &json!({ "certificates": certificates, "more": page["more"], "next": page["next"] }),
        );
        Ok(Exit::Done)
    }

    /// How many are asked for at once.
    fn page(&self) -> usize {
        if self.limit == 0 { MOST_AT_ONCE } else { self.limit.min(MOST_AT_ONCE) }
    }
}

/// A serial number, however its octets are set apart.
fn serial(text: &str) -> Result<String, String> {
    let digits = text.trim().replace(':', "").to_lowercase();
    match pki::unhex(&digits) {
        Some(octets) if !octets.is_empty() => Ok(digits),
        _ => Err("a serial number is an even number of hexadecimal digits, as `list` prints after its table"
            .to_owned()),
    }
}
