//! `countersign invite`.

use clap::Args;
use jiff::SignedDuration;
use pki::Profile;
use pki::name::SubjectNames;
use serde_json::json;

use crate::api::{Api, ApiArguments};
use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::names::NameArguments;

/// Invite somebody to a certificate: a link that is good once
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign invite alice --for 90d
      # a link to send to alice; it ends after a day
  countersign invite acme-prod --partner acme --approve --expires 7d
      # somebody confirms it: countersign invites approve …
  countersign invite web.acme.test --server --uses 3")]
pub(crate) struct Invite {
    /// Whom: the name in the certificate, and the one it is filed under
    #[arg(value_name = "NAME")]
    name: String,

    /// A server's certificate in place of a client's
    #[arg(long)]
    server: bool,

    #[command(flatten)]
    names: NameArguments,

    /// How long the certificate is good [default: 90d]
    #[arg(long = "for", value_name = "TIME", value_parser = crate::duration::parse)]
    lifetime: Option<SignedDuration>,

    /// How many certificates it gives, each for another key
    #[arg(long, value_name = "N", default_value_t = 1)]
    uses: u32,

    /// How long the link can be used
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = crate::duration::parse)]
    expires: SignedDuration,

    /// Somebody confirms what was asked before it is signed
    #[arg(long)]
    approve: bool,

    /// The partner it is for
    #[arg(long, value_name = "NAME")]
    partner: Option<String>,

    /// Whom to tell when the certificate ends
    #[arg(long, value_name = "TEXT")]
    contact: Option<String>,

    #[command(flatten)]
    api: ApiArguments,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

impl Invite {
    fn names(&self) -> Result<(SubjectNames, Profile), Failure> {
        let (mut names, profile) = if self.server {
            (SubjectNames::for_server(&[&self.name]).or_refuse()?, Profile::Server)
        } else {
            (SubjectNames::for_client(&self.name).or_refuse()?, Profile::Client)
        };
        self.names.add_to(&mut names).or_refuse()?;
        names.check().or_refuse()?;
        Ok((names, profile))
    }

    pub(crate) fn run(self, context: &Context) -> Outcome {
        let (names, profile) = self.names()?;
        let api = Api::open(context, &self.api)?;
        let body = json!({
            "name": names.common_name.clone().unwrap_or_else(|| self.name.trim().to_owned()),
            "names": ca::names_to_json(&names),
            "profile": profile.name(),
            "lifetime_seconds": self.lifetime.map(|lifetime| lifetime.as_secs()),
            "uses": self.uses,
            "open_seconds": self.expires.as_secs(),
            "approve": self.approve,
            "partner": self.partner,
            "contact": self.contact,
        });
        let invited = api.post("/api/v1/invites", &body)?;
        if self.json {
            context.json(&invited);
            return Ok(Exit::Done);
        }
        let text = |member: &str| invited[member].as_str().unwrap_or_default().to_owned();
        let link = text("link");
        context.say(format!(
            "Invited {BOLD}{}{BOLD:#}: {} certificate(s), until {}",
            text("name"),
            self.uses,
            invited["expires"]
                .as_str()
                .and_then(|at| at.parse::<jiff::Timestamp>().ok())
                .map_or_else(|| text("expires"), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string())
        ));
        if link.starts_with('/') {
            context.warn(
                "no `countersign ca serve` ran with this home yet, so the link has no host; put the service's \
                 address before it",
            );
        }
        context.data(format!(
            "link     {link}\ncode     {}\ncommand  countersign join '{link}'\n",
            text("code")
        ));
        context.say(format!(
            "{DIM}Whoever has the link can take the certificate: send it to nobody else. It is shown this once.{DIM:#}"
        ));
        if self.approve {
            context.say(format!("{DIM}Then: countersign invites approve {}{DIM:#}", text("handle")));
        }
        Ok(Exit::Done)
    }
}
