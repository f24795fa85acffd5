//! `countersign renew`.

use std::path::{Path, PathBuf};

use ca::{Entry, IssueRequest, Query, StateFilter, Store as _};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use keys::file::Replace;
use pki::Certificate;
use pki::key::{KeyAlgorithm, PublicKey, SigningKey as _};
use pki::name::SubjectNames;

use crate::commands::issue::{full_chain, requester, tell};
use crate::commands::revoke::{not_found, selector};
use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::{Authority, Home};
use crate::key::OwnKey;
use crate::material::{Believed, Files};

/// Replace a certificate by one with the same names and a later end
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign renew alice
      # into the files that `issue` wrote
  countersign renew certs/alice.pem
      # the certificate in this file, and its key beside it
  countersign renew alice.pem --ca https://ca.acme.test:8444
      # with itself, at an authority elsewhere
  countersign renew --due
      # all that have used up two thirds of their time; for a daily timer")]
pub(crate) struct Renew {
    /// A name, the start of a serial number, a SHA-256 fingerprint, or a certificate's file
    #[arg(value_name = "NAME|SERIAL|FILE", required_unless_present = "due", conflicts_with = "due")]
    which: Option<String>,

    /// Every certificate whose files this machine wrote and that has used up two thirds of its time
    #[arg(long)]
    due: bool,

    /// A joined certificate: only where it has used up two thirds of its time
    #[arg(long, conflicts_with = "due")]
    if_due: bool,

    /// How long it is good [default: as long as the one before]
    #[arg(long = "for", value_name = "TIME", value_parser = crate::duration::parse)]
    lifetime: Option<SignedDuration>,

    /// Keep the private key, where something is pinned to it; one in a token or behind a signer always stays
    #[arg(long)]
    keep_key: bool,

    /// With itself at the authority at this address, over mTLS [default: where it was joined, or the one in this home]
    #[arg(long, value_name = "URL", conflicts_with_all = ["due", "lifetime", "passphrase_file"])]
    ca: Option<String>,

    /// The passphrase of the authority's keys, in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

impl Renew {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let now = context.now();
        let beside = self.which.as_deref().map(Path::new).and_then(Files::beside);
        if let Some(base) = &self.ca {
            // The key is needed, and so it is files that are renewed; a name means those of that name here.
            let named = || Files::of(Path::new("."), self.which.as_deref().unwrap_or_default());
            return self.joined(context, &beside.unwrap_or_else(named), base, now);
        }
        if let Some(files) = beside
            && let Some(base) = super::join::origin_of(&files)
        {
            return self.joined(context, &files, &base, now);
        }
        let authority = Home::of(context)?.open(context, self.passphrase_file.as_deref())?;
        let Some(which) = &self.which else { return self.all_due(context, &authority, now) };
        let found = authority.store().find(&selector(which)?).or_refuse()?;
        let Some(entry) = found.iter().find(|entry| entry.is_good(now)).or(found.first()) else {
            return Err(not_found(&**authority.store(), which, context));
        };
        let files = if Path::new(which).is_file() {
            Files::beside(Path::new(which))
        } else {
            entry.location.as_deref().map(|directory| Files::of(Path::new(directory), &entry.label))
        };
        let files = files.ok_or_else(|| {
            Failure::refused(format!(
                "'{}' was made from a request, so its key is elsewhere and cannot be renewed here",
                entry.label
            ))
            .hint(format!("countersign sign NEW.csr --profile {}", entry.profile))
        })?;
        self.one(context, &authority, entry, &files, now)?;
        Ok(Exit::Done)
    }

    /// One that was joined is renewed where it came from.
    fn joined(&self, context: &Context, files: &Files, base: &str, now: Timestamp) -> Outcome {
        let old = crate::input::certificates(&files.certificate())?.swap_remove(0);
        let left = old.not_after().duration_since(now);
        if self.if_due && left > old.not_after().duration_since(old.not_before()) / 3 {
            context.say(format!("Not due: good until {}", old.not_after()));
            return Ok(Exit::Done);
        }
        let new = super::join::renew_joined(context, files, base, self.keep_key)?;
        if self.json {
            context.json(&serde_json::json!({
                "serial_number": new.serial_hex(),
                "not_after": new.not_after().to_string(),
                "certificate": files.certificate(),
                "key": files.key_place(),
            }));
            return Ok(Exit::Done);
        }
        context
            .say(format!("Renewed at {base}, good until {}", new.not_after().strftime("%Y-%m-%d %H:%M UTC")));
        context.data(format!("{}\n", files.certificate().display()));
        Ok(Exit::Done)
    }

    fn all_due(&self, context: &Context, authority: &Authority, now: Timestamp) -> Outcome {
        let query = Query { state: StateFilter::Good, ..Query::default() };
        let good = authority.store().list(&query, now).or_refuse()?.entries;
        let replaced: Vec<_> = good.iter().filter_map(|entry| entry.replaces.clone()).collect();
        let due = good.iter().filter(|entry| {
            let lifetime = entry.not_after.duration_since(entry.not_before);
            let left = entry.not_after.duration_since(now);
            left < lifetime / 3 && entry.location.is_some() && !replaced.contains(&entry.serial)
        });
        let (mut renewed, mut failed) = (0, 0);
        for entry in due {
            let directory = entry.location.clone().unwrap_or_default();
            let files = Files::of(Path::new(&directory), &entry.label);
            if !files.certificate().exists() {
                context.warn(format!(
                    "'{}' is due, and {} is gone; left alone",
                    entry.label,
                    files.certificate().display()
                ));
                continue;
            }
            match self.one(context, authority, entry, &files, now) {
                Ok(()) => renewed += 1,
                Err(failure) => {
                    failed += 1;
                    crate::context::report(&failure);
                }
            }
        }
        context.say(match (renewed, failed) {
            (0, 0) => "Nothing is due.".to_owned(),
            (renewed, 0) => format!("Renewed {renewed}."),
            (renewed, failed) => format!("Renewed {renewed}; {failed} could not be."),
        });
        Ok(if failed == 0 { Exit::Done } else { Exit::Refused })
    }

    fn one(
        &self,
        context: &Context,
        authority: &Authority,
        entry: &Entry,
        files: &Files,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if let Some(revoked) = entry.revoked {
            return Err(Failure::refused(format!(
                "'{}' was revoked on {} ({}), so it is not renewed",
                entry.label, revoked.at, revoked.reason
            ))
            .hint(format!("countersign issue {} {}", entry.profile, entry.label)));
        }
        let old = Certificate::from_der(&entry.der).or_refuse()?;
        let old_key = old.public_key().or_refuse()?;
        let key = next_key(context, files, old_key, self.keep_key)?;
        let lived = entry.not_after.duration_since(entry.issued_at);
        let issued = authority
            .issue(
                IssueRequest {
                    profile: entry.profile,
                    label: entry.label.clone(),
                    names: SubjectNames::of(&old),
                    public_key: key.public_key().clone(),
                    lifetime: Some(self.lifetime.unwrap_or(lived)),
                    requested_by: requester(),
                    origin: String::new(),
                    replaces: Some(entry.serial.clone()),
                    location: crate::commands::issue::location(&files.directory),
                },
                now,
            )
            .or_refuse()?;
        files.write(&key, &full_chain(&issued), &Believed::of(authority), Replace::Yes)?;
        tell(context, &entry.label, files, &issued, false, false, self.json);
        if files.pkcs12().exists() {
            context.warn(format!(
                "{} still holds the certificate before; make it again with `countersign issue … --p12 --force`",
                files.pkcs12().display()
            ));
        }
        Ok(())
    }
}

/// The key of the next certificate: a new one of the same kind, or the one that there is. A key in a token or behind a signer
/// stays, since what stands at its place is what was chosen for it.
pub(crate) fn next_key(
    context: &Context,
    files: &Files,
    old: &PublicKey,
    keep: bool,
) -> Result<OwnKey, Failure> {
    let reference = files.key_elsewhere();
    if !keep && reference.is_none() {
        return crate::key::new_or_at(context, None, makeable(old.algorithm()));
    }
    let key = OwnKey::open(context, &files.key_place(), None)?;
    // One that is elsewhere may have been exchanged there for the next certificate.
    if reference.is_none() && key.public_key() != old {
        return Err(Failure::refused(format!(
            "{} is not the key of the certificate that is renewed",
            files.key().display()
        )));
    }
    Ok(key)
}

/// The same kind of key, or the default where that kind is read and never made here.
pub(crate) fn makeable(algorithm: KeyAlgorithm) -> KeyAlgorithm {
    match algorithm {
        KeyAlgorithm::P384
        | KeyAlgorithm::Ed25519
        | KeyAlgorithm::Rsa(2048 | 3072 | 4096)
        | KeyAlgorithm::MlDsa44
        | KeyAlgorithm::MlDsa65
        | KeyAlgorithm::MlDsa87 => algorithm,
        _ => KeyAlgorithm::P256,
    }
}
