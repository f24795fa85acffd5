//! `countersign acme eab`: external account keys (RFC 8555 section 7.3.4), which say whose an ACME account is.

use ca::Who;
use clap::{Args, Subcommand, ValueEnum};
use jiff::SignedDuration;
use pki::Profile;
use serde_json::json;
use service::acme::{BindingSummary, NewBinding, add_binding, list_bindings, revoke_binding};

use crate::commands::issue::requester;
use crate::context::{BAD, BOLD, Context, GOOD, WARN, width};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::Home;
use crate::table::{self, Cell};

/// External account keys: give out, list, revoke
#[derive(Debug, Subcommand)]
pub(crate) enum Eab {
    /// Give out a key: an ACME client that knows it can make an account
    Add(Add),
    /// List the keys that were given out
    List(List),
    /// Revoke a key, and with it the accounts that were made with it
    Revoke(Revoke),
}

/// Give out a key: an ACME client that knows it can make an account
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign acme eab add alice
      # one account; it orders client certificates of alice without a challenge
  countersign acme eab add 'Alice Example' --name alice@corp.test
      # the certificate says both
  countersign acme eab add --profile server --uses 20 --expires 24h
      # twenty accounts for servers; control of each name is still shown")]
pub(crate) struct Add {
    /// Whose accounts they will be; needed for client certificates
    #[arg(value_name = "IDENTITY")]
    identity: Option<String>,

    /// Another name that client certificates may carry: a DNS name, mailbox, address or URI
    #[arg(long, value_name = "NAME", requires = "identity")]
    name: Vec<String>,

    /// What its accounts may order; the first is what clients get that name none
    /// [default: client with an identity, else server]
    #[arg(long, value_enum, value_name = "PROFILE")]
    profile: Vec<ProfileFlag>,

    /// How many accounts it makes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,

    /// For how long accounts can be made with it [default: until it is used]
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse)]
    expires: Option<SignedDuration>,

    /// Print the key as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
enum ProfileFlag {
    Server,
    Client,
}

impl ProfileFlag {
    fn profile(self) -> Profile {
        match self {
            ProfileFlag::Server => Profile::Server,
            ProfileFlag::Client => Profile::Client,
        }
    }
}

/// List the keys that were given out
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

/// Revoke a key, and with it the accounts that were made with it
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign acme eab revoke 0f2a9c…
      # no account is made with it, and those that were order nothing more
  countersign revoke alice
      # what was issued until then is taken back by this")]
pub(crate) struct Revoke {
    /// The key's name, as `list` shows it
    #[arg(value_name = "KEY")]
    key: String,
}

impl Eab {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Eab::Add(command) => command.run(context),
            Eab::List(command) => command.run(context),
            Eab::Revoke(command) => command.run(context),
        }
    }
}

impl Add {
    fn run(self, context: &Context) -> Outcome {
        let store = Home::of(context)?.open_memory()?;
        let now = context.now();
        let mut profiles: Vec<Profile> = self.profile.iter().map(|flag| flag.profile()).collect();
        if profiles.is_empty() {
            profiles.push(if self.identity.is_some() { Profile::Client } else { Profile::Server });
        }
        let expires = self.expires.map(|span| now.checked_add(span)).transpose().or_usage()?;
        let new = NewBinding {
            identity: self.identity.clone(),
            names: self.name.clone(),
            profiles: profiles.clone(),
            uses: self.uses,
            expires,
        };
        let random = |octets: &mut [u8]| keys::random::fill(octets).map_err(|error| error.to_string());
        let actor = requester();
        let (id, mac_key) = add_binding(store, new, random, Who::from(&actor), now).or_refuse()?;
        if self.json {
            context.json(&json!({
                "kid": id,
                "hmac_key": mac_key,
                "identity": self.identity,
                "profiles": profiles.iter().map(|profile| profile.name()).collect::<Vec<_>>(),
                "uses": self.uses,
                "expires": expires.map(|end| end.to_string()),
            }));
            return Ok(Exit::Done);
        }
        context.data(format!("kid       {id}\nhmac-key  {mac_key}\n"));
        let whose = self.identity.as_deref().map_or_else(String::new, |identity| format!(" of {identity}"));
        let accounts =
            if self.uses == 1 { "one account".to_owned() } else { format!("{} accounts", self.uses) };
        let until = expires.map_or_else(String::new, |end| format!(", until {end}"));
        let profiles: Vec<&str> = profiles.iter().map(|profile| profile.name()).collect();
        context.say(format!(
            "{BOLD}For {accounts}{whose}{BOLD:#}: {} certificates{until}. The key is not shown again.",
            profiles.join(" and ")
        ));
        let name = self.identity.as_deref().unwrap_or("NAME");
        context.say(format!("  certbot: --eab-kid {id} --eab-hmac-key KEY -d {name}"));
        context.say(format!("  lego:    --eab --kid {id} --hmac KEY -d {name}"));
        Ok(Exit::Done)
    }
}

impl List {
    fn run(self, context: &Context) -> Outcome {
        let store = Home::of(context)?.open_memory()?;
        let now = context.now();
        let all = list_bindings(store).or_refuse()?;
        let words = |binding: &BindingSummary| {
            binding.profiles.iter().map(|profile| profile.name()).collect::<Vec<_>>()
        };
        if self.json {
            let one = |binding: &BindingSummary| {
                json!({
                    "kid": binding.id,
                    "identity": binding.identity,
                    "names": binding.names,
                    "profiles": words(binding),
                    "uses_left": binding.uses,
                    "state": binding.state(now),
                    "created": binding.created.to_string(),
                    "expires": binding.expires.map(|end| end.to_string()),
                    "revoked": binding.revoked.map(|at| at.to_string()),
                })
            };
            context.json(&json!({ "keys": all.iter().map(one).collect::<Vec<_>>() }));
            return Ok(Exit::Done);
        }
        if all.is_empty() {
            context.say("No key was given out.");
            return Ok(Exit::Done);
        }
        let row = |binding: &BindingSummary| -> [Cell; 5] {
            let state = binding.state(now);
            let style = match state {
                "open" => GOOD,
                "revoked" => BAD,
                _ => WARN,
            };
            let identity = binding.identity.as_deref().unwrap_or("-");
            [
                binding.id.clone().into(),
                explain::escape::text(identity).into(),
                words(binding).join(",").into(),
                Cell::styled(state, style),
                binding.created.strftime("%Y-%m-%d").to_string().into(),
            ]
        };
        let rows: Vec<[Cell; 5]> = all.iter().map(row).collect();
        context.data(table::text(["KEY", "IDENTITY", "FOR", "STATE", "MADE"], &rows, width()));
        Ok(Exit::Done)
    }
}

impl Revoke {
    fn run(self, context: &Context) -> Outcome {
        let store = Home::of(context)?.open_memory()?;
        let actor = requester();
        let revoked = revoke_binding(store, &self.key, Who::from(&actor), context.now()).or_refuse()?;
        let Some(at) = revoked.revoked else { return Err(Failure::refused("it was not revoked")) };
        let whose =
            revoked.identity.as_deref().map_or_else(String::new, |identity| format!(" of {identity}"));
        context.say(format!(
            "{} is revoked since {at}: the accounts{whose} made with it order nothing more.",
            revoked.id
        ));
        if let Some(identity) = &revoked.identity {
            context.say(format!(
                "  what was issued until then stays good; to take it back: countersign revoke {identity}"
            ));
        }
        Ok(Exit::Done)
    }
}
