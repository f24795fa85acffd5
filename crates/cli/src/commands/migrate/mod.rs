//! `countersign migrate`: from the certificates of others to those of this authority.

mod found;
mod plan;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use keys::PrivateKey;
use keys::file::Replace;
use pki::key::KeyAlgorithm;
use pki::name::GeneralName;
use pki::{Certificate, csr};
use serde_json::{Value, json};

use crate::api::{Api, ApiArguments, path_segment};
use crate::commands::issue::full_chain;
use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::key::OwnKey;
use crate::material::Files;
use found::Candidate;

/// Come from somewhere else to an authority of your own
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign migrate clientauth /etc/letsencrypt/live --admin 127.0.0.1:9901
      # who is affected, and what is to be done when")]
pub(crate) enum Migrate {
    /// Replace client certificates of public CAs, and those that are for servers only
    Clientauth(ClientAuth),
}

impl Migrate {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Migrate::Clientauth(command) => command.run(context),
        }
    }
}

/// Replace client certificates of public CAs, and those that are for servers only
///
/// Without --issue it says what it found and what is to be done when, and ends with 1 while a certificate has no replacement.
/// With it, certificates whose key lies beside them get a new key and certificate in --out, and all others an invite.
/// Asked again, it goes on where it stopped.
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign migrate clientauth /etc/letsencrypt/live
      # the certificates under this folder, and the plan
  countersign migrate clientauth --admin 127.0.0.1:9901 --issue --for 90d
      # an invite for everyone whom the running gateway saw with one
  countersign migrate clientauth partners/*.pem --invite --issue --expires 14d \\
      --ca https://ca.acme.test:8444")]
pub(crate) struct ClientAuth {
    /// Certificates that clients show, or folders to look for them in
    #[arg(value_name = "FILE|DIR", required_unless_present = "admin")]
    places: Vec<PathBuf>,

    /// Also those that this running server saw, and those that it refused for their usages
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,

    /// Issue the replacements
    #[arg(long)]
    issue: bool,

    /// An invite even for those whose key is here
    #[arg(long)]
    invite: bool,

    /// Where new keys and certificates go
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// How long the new ones are good [default: 90d]
    #[arg(long = "for", value_name = "TIME", value_parser = crate::duration::parse)]
    lifetime: Option<SignedDuration>,

    /// How long invites can be used
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = crate::duration::parse)]
    expires: SignedDuration,

    #[command(flatten)]
    api: ApiArguments,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

/// What stands in the place of an old certificate.
pub(super) enum Replacement {
    /// Nothing yet.
    None,
    /// A certificate of this authority that is good until then, and whether the running server has seen it.
    Good { until: Timestamp, in_use: bool },
    /// An invite that nobody has used yet.
    Invited { until: String, link: Option<String> },
    /// A certificate that was made now.
    Made { until: Timestamp, file: PathBuf },
    /// There can be none, for this reason.
    Refused(String),
}

impl ClientAuth {
    fn run(self, context: &Context) -> Outcome {
        let now = context.now();
        let mut found = found::Found::default();
        for place in &self.places {
            found.look(place)?;
        }
        if let Some(admin) = &self.admin {
            found.ask(admin)?;
        }
        let api = Api::open(context, &self.api)?;
        let (read, shown, candidates) = (found.read(), found.shown(), found.candidates(now));
        if self.issue {
            Files::of(&self.out, "any").check(Replace::Yes, false)?;
        }
        let mut all = Vec::new();
        for candidate in candidates {
            if is_own(&api, &candidate.certificate)? {
                continue;
            }
            let replacement = self.replacement(&api, &candidate, &shown)?;
            all.push((candidate, replacement));
        }
        let plan = plan::Plan::of(&all, now);
        if self.json {
            context.json(&plan.json(read, &all, now));
        } else {
            plan.tell(context, read, &all, now);
        }
        let is_open = |(_, replacement): &(Candidate, Replacement)| {
            matches!(replacement, Replacement::None | Replacement::Refused(_))
        };
        Ok(if all.iter().any(is_open) { Exit::Refused } else { Exit::Done })
    }

    /// What stands in a certificate's place, made now where that was asked for.
    fn replacement(
        &self,
        api: &Api,
        candidate: &Candidate,
        shown: &HashSet<String>,
    ) -> Result<Replacement, Failure> {
        if let Some((until, serial)) = good(api, &candidate.label)? {
            return Ok(Replacement::Good { until, in_use: shown.contains(&serial) });
        }
        if let Some(until) = invited(api, &candidate.label)? {
            return Ok(Replacement::Invited { until, link: None });
        }
        // An invite would be sent, and refused only when it is used.
        if let Some(reason) = outside(&api.anchor(), candidate) {
            return Ok(Replacement::Refused(reason));
        }
        if !self.issue {
            return Ok(Replacement::None);
        }
        let made = if candidate.key_is_here && !self.invite {
            self.make(api, candidate)
        } else {
            self.invite(api, candidate)
        };
        // The others are not held up by one that cannot be had.
        Ok(made.unwrap_or_else(|failure| Replacement::Refused(failure.message().to_owned())))
    }

    /// A new key and its certificate, in files.
    fn make(&self, api: &Api, candidate: &Candidate) -> Result<Replacement, Failure> {
        let files = Files::of(&self.out, &candidate.label);
        files.check(Replace::No, false)?;
        let kind = candidate.certificate.public_key().map_or(KeyAlgorithm::P256, |key| key.algorithm());
        let key = PrivateKey::generate(crate::commands::renew::makeable(kind)).or_usage()?;
        let request = csr::build_request(&candidate.names, &key).or_usage()?;
        let issued = api.sign(&json!({
            "profile": "client",
            "request": pki::pem::encode("CERTIFICATE REQUEST", &request),
            "label": candidate.label,
            "names": ca::names_to_json(&candidate.names),
            "lifetime_seconds": self.lifetime.map(|lifetime| lifetime.as_secs()),
        }))?;
        files.write(&OwnKey::File(key), &full_chain(&issued), &api.believed()?, Replace::No)?;
        Ok(Replacement::Made { until: issued.certificate.not_after(), file: files.certificate() })
    }

    fn invite(&self, api: &Api, candidate: &Candidate) -> Result<Replacement, Failure> {
        let invited = api.post(
            "/api/v1/invites",
            &json!({
                "name": candidate.label,
                "names": ca::names_to_json(&candidate.names),
                "profile": "client",
                "lifetime_seconds": self.lifetime.map(|lifetime| lifetime.as_secs()),
                "open_seconds": self.expires.as_secs(),
            }),
        )?;
        let text = |member: &str| invited[member].as_str().map(str::to_owned);
        Ok(Replacement::Invited { until: text("expires").unwrap_or_default(), link: text("link") })
    }
}

/// Whether this authority made it: one of its own needs no migration, whatever it is for.
fn is_own(api: &Api, certificate: &Certificate) -> Result<bool, Failure> {
    let serial = certificate.serial_hex();
    let page = api.get(&format!("/api/v1/certificates?limit=5&search={}", path_segment(&serial)))?;
    let hash = pki::hex(&certificate.sha256());
    Ok(items(&page, "certificates").any(|one| one["sha256"] == *hash))
}

/// The end and the serial number of the client certificate of this name that lasts longest, where one is good.
fn good(api: &Api, label: &str) -> Result<Option<(Timestamp, String)>, Failure> {
    let path =
        format!("/api/v1/certificates?limit=1000&state=good&profile=client&search={}", path_segment(label));
    let page = api.get(&path)?;
    let ends = items(&page, "certificates")
        .filter(|one| one["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(label)))
        .filter_map(|one| {
            let end = one["not_after"].as_str()?.parse::<Timestamp>().ok()?;
            Some((end, one["serial_number"].as_str()?.to_owned()))
        });
    Ok(ends.max())
}

/// Until when an invite of this name is open, where one is.
fn invited(api: &Api, label: &str) -> Result<Option<String>, Failure> {
    let mut until = None;
    api.each("/api/v1/invites", "invites", |invite| {
        let is_of = invite["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(label));
        if is_of && matches!(invite["state"].as_str(), Some("open" | "waits for approval")) {
            until = invite["expires"].as_str().map(str::to_owned);
        }
        Ok(())
    })?;
    Ok(until)
}

/// Why the authority's root would not have a candidate's names.
fn outside(anchor: &Certificate, candidate: &Candidate) -> Option<String> {
    let constraints = anchor.name_constraints()?;
    let refused = |name: &&GeneralName| constraints.check(name).is_err();
    let name = candidate.names.alternative.iter().find(refused)?;
    Some(format!(
        "{name} is outside of what this authority's root permits: `countersign init --permit` of a new authority, \
         or --no-constraints, decides that"
    ))
}

fn items<'a>(page: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    page[name].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// Where a key would lie beside a certificate, by the names that certbot, lego, acme.sh and this program use.
fn keys_beside(certificate: &Path) -> Vec<PathBuf> {
    let stem = certificate.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let domain =
        certificate.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let mut names = vec![format!("{stem}-key.pem"), format!("{stem}.key"), format!("{domain}.key")];
    names.extend(["privkey.pem", "key.pem", "privkey.key"].map(str::to_owned));
    // certbot's archive: cert3.pem has privkey3.pem.
    let number: String = stem.chars().filter(char::is_ascii_digit).collect();
    names.push(format!("privkey{number}.pem"));
    names.into_iter().map(|name| certificate.with_file_name(name)).collect()
}
