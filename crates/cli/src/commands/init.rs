//! `countersign init`.

use std::path::PathBuf;

use ca::{Authority, CreateAuthority};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use keys::file::{Replace, write_private};
use keys::{Passphrase, PrivateKey, encrypted};
use pki::extension::NameConstraints;
use pki::key::{KeyAlgorithm, SigningKey as _};
use pki::name::{IpRange, NameError, Subtree, dns_name};
use serde_json::json;

use crate::commands::issue::requester;
use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::{self, Home};
use crate::material;

/// Make a certificate authority: a root, and an issuing intermediate
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign init
      # for localhost; worth little when stolen
  countersign init --permit dev.test --permit 10.0.0.0/8
      # and for names of your own
  countersign init --name 'Acme Partners' --no-constraints \\
      --passphrase-file pass.txt
      # an organisation's authority")]
pub(crate) struct Init {
    /// What the authority is called in its certificates [default: countersign and this machine's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The kind of its keys: p256, p384, ed25519, rsa2048, rsa3072, rsa4096, mldsa44, mldsa65 or mldsa87
    #[arg(long, value_name = "KIND", default_value = "p256")]
    key: KeyAlgorithm,

    /// How long the root lives, in days
    #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,

    /// Also certify these names: a domain, an address range, @an-email-domain, or uri:host
    #[arg(long, value_name = "NAME", conflicts_with = "no_constraints")]
    permit: Vec<String>,

    /// Certify any name: for an organisation's authority, whose key is worth guarding
    #[arg(long)]
    no_constraints: bool,

    /// Encrypt the authority's keys with the passphrase in the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let home = Home::of(context)?;
        let constraints = constraints(&self.permit, self.no_constraints)?;
        if home.exists() || home.root_key().exists() || home.issuing_key().exists() {
            return Err(Failure::refused(format!(
                "there is an authority in {} already, and it is left as it is",
                home.directory().display()
            ))
            .hint("countersign list")
            .hint("countersign --home ANOTHER-DIR init"));
        }
        let passphrase = home::passphrase_of(context, self.passphrase_file.as_deref())?;
        if passphrase.as_ref().is_some_and(Passphrase::is_empty) {
            return Err(Failure::usage("the passphrase is empty; write one into the first line of its file"));
        }
        let name = self.name.clone().unwrap_or_else(default_name);
        let wish = CreateAuthority {
            name,
            root_lifetime: SignedDuration::from_hours(24 * i64::from(self.days)),
            constraints,
            requested_by: requester(),
        };
        let authority = create(&home, &wish, self.key, passphrase.as_ref(), context.now())?;
        first_admin(&home, &authority, context.now())?;
        tell(context, &home, &authority, &self)
    }
}

/// Makes directory, keys and memory, in this order: the database is what says that an authority exists, so it comes
/// last, and what was written before a failure is taken away again.
pub(crate) fn create(
    home: &Home,
    wish: &CreateAuthority,
    key: KeyAlgorithm,
    passphrase: Option<&Passphrase>,
    now: Timestamp,
) -> Result<home::Authority, Failure> {
    let root_key = PrivateKey::generate(key).or_usage()?;
    let issuing_key = PrivateKey::generate(key).or_usage()?;
    make_directory(home.directory())?;
    make_directory(&home.keys())?;
    let written = [(home.root_key(), &root_key), (home.issuing_key(), &issuing_key)];
    let finish = || -> Result<home::Authority, Failure> {
        for (path, key) in &written {
            write_private(path, key_pem(key, passphrase)?.as_bytes(), Replace::No).or_usage()?;
        }
        let store = home.create_memory()?;
        let authority =
            Authority::create(store, &root_key, Box::new(issuing_key.clone()), wish, home::entropy(), now)
                .or_refuse()?;
        material::write_anchor(&home.anchor(), authority.issuer().anchor())?;
        Ok(authority)
    };
    finish().inspect_err(|_| {
        // Best effort: the failure that is told is the first one.
        for path in written.iter().map(|(path, _)| path.clone()).chain([home.anchor(), home.database()]) {
            let _ = std::fs::remove_file(path);
        }
    })
}

/// How long the first admin's certificate lives.
const ADMIN_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);

/// The name of the first admin.
const ADMIN: &str = "admin";

/// Makes the certificate with which `--ca` commands administer the authority once it serves.
fn first_admin(home: &Home, authority: &home::Authority, now: Timestamp) -> Result<(), Failure> {
    let identity =
        ca::Identity { label: ADMIN.to_owned(), role: Some(ca::Role::Admin), ..ca::Identity::default() };
    let by = requester();
    identity.put(&**authority.store(), ca::Who::from(&by), now).or_refuse()?;
    let key = PrivateKey::generate(KeyAlgorithm::P256).or_usage()?;
    let end = authority.issuer().certificate().not_after().duration_since(now);
    let issued = authority
        .issue(
            ca::IssueRequest {
                profile: pki::Profile::Client,
                label: ADMIN.to_owned(),
                names: pki::name::SubjectNames::for_client(ADMIN).or_refuse()?,
                public_key: key.public_key().clone(),
                lifetime: Some(ADMIN_LIFETIME.min(end)),
                requested_by: by,
                origin: String::new(),
                replaces: None,
                location: crate::commands::issue::location(home.directory()),
            },
            now,
        )
        .or_refuse()?;
    write_private(&home.admin_key(), key.to_pkcs8_pem().as_bytes(), Replace::No).or_usage()?;
    let chain: String =
        crate::commands::issue::full_chain(&issued).iter().map(pki::Certificate::to_pem).collect();
    keys::file::write_public(&home.admin(), chain.as_bytes(), Replace::No).or_usage()
}

fn key_pem(key: &PrivateKey, passphrase: Option<&Passphrase>) -> Result<zeroize::Zeroizing<String>, Failure> {
    match passphrase {
        Some(passphrase) => Ok(encrypted::encrypt_to_pem(key, passphrase).or_usage()?.into()),
        None => Ok(key.to_pkcs8_pem()),
    }
}

fn make_directory(path: &std::path::Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        Failure::usage(format!(
            "cannot make the directory {}: {}",
            path.display(),
            crate::input::plain(&error)
        ))
        .hint("countersign --home ANOTHER-DIR init")
    })
}

fn default_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host: String = host.chars().filter(|c| !c.is_control()).take(40).collect();
    if host.is_empty() { "countersign".to_owned() } else { format!("countersign {host}") }
}

/// What the root may certify. Mailboxes and URIs are closed but for localhost unless some are permitted: a kind
/// without a subtree would be open, and a stolen key of a localhost authority must make no identity of note.
pub(crate) fn constraints(permit: &[String], none: bool) -> Result<NameConstraints, Failure> {
    if none {
        return Ok(NameConstraints::default());
    }
    // *.localhost is within localhost (RFC 5280 section 4.2.1.10).
    let mut permitted = vec![
        Subtree::Dns("localhost".to_owned()),
        Subtree::Ip("127.0.0.0/8".parse().map_err(Failure::usage)?),
        Subtree::Ip("::1/128".parse().map_err(Failure::usage)?),
    ];
    for text in permit {
        let subtree = permitted_subtree(text)?;
        if !permitted.contains(&subtree) {
            permitted.push(subtree);
        }
    }
    if !permitted.iter().any(|subtree| matches!(subtree, Subtree::Email(_))) {
        permitted.push(Subtree::Email("localhost".to_owned()));
    }
    if !permitted.iter().any(|subtree| matches!(subtree, Subtree::Uri(_))) {
        permitted.push(Subtree::Uri("localhost".to_owned()));
    }
    Ok(NameConstraints { permitted, excluded: Vec::new() })
}

fn permitted_subtree(text: &str) -> Result<Subtree, Failure> {
    let problem = |error: NameError| Failure::usage(format!("--permit {text}: {error}"));
    if let Ok(range) = text.parse::<IpRange>() {
        return Ok(Subtree::Ip(range));
    }
    if let Some(host) = text.strip_prefix("uri:") {
        return dotted(host).map(Subtree::Uri).map_err(problem);
    }
    if let Some((local, domain)) = text.rsplit_once('@') {
        let domain = dotted(domain).map_err(problem)?;
        return Ok(Subtree::Email(if local.is_empty() { domain } else { format!("{local}@{domain}") }));
    }
    if let Some((_, host)) = text.split_once("://") {
        let host = host.split('/').next().unwrap_or(host);
        return dotted(host).map(Subtree::Uri).map_err(problem);
    }
    let name = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
    dns_name(name).map(Subtree::Dns).map_err(problem)
}

/// A host, or with a leading dot the hosts under it.
fn dotted(host: &str) -> Result<String, NameError> {
    match host.strip_prefix('.') {
        Some(rest) => Ok(format!(".{}", dns_name(rest)?)),
        None => dns_name(host),
    }
}

fn tell(context: &Context, home: &Home, authority: &home::Authority, init: &Init) -> Outcome {
    let root = authority.issuer().anchor();
    let issuing = authority.issuer().certificate();
    let permitted: Vec<String> = root
        .name_constraints()
        .map(|constraints| constraints.permitted.iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    if init.json {
        context.json(&json!({
            "home": home.directory(),
            "anchor": home.anchor(),
            "root": { "subject": root.subject().to_string(), "sha256": pki::hex(&root.sha256()),
                      "not_after": root.not_after().to_string() },
            "issuing": { "subject": issuing.subject().to_string(), "sha256": pki::hex(&issuing.sha256()),
                         "not_after": issuing.not_after().to_string() },
            "key": issuing.public_key().map(|key| key.algorithm().to_string()).unwrap_or_default(),
            "permitted": permitted,
            "keys_encrypted": init.passphrase_file.is_some(),
        }));
        return Ok(Exit::Done);
    }
    let until = |certificate: &pki::Certificate| certificate.not_after().strftime("%Y-%m-%d").to_string();
    context.say(format!(
        "Made an authority in {BOLD}{}{BOLD:#}\n\
         \x20 root      {}, until {}\n\
         \x20 issuing   {}, until {}",
        home.directory().display(),
        root.subject().short(),
        until(root),
        issuing.subject().short(),
        until(issuing),
    ));
    if permitted.is_empty() {
        context.say("  certifies any name: guard its keys");
    } else {
        context.say(format!("  certifies only {}", permitted.join(", ")));
    }
    if init.passphrase_file.is_none() {
        context.say(format!("  {DIM}keys      {} (not encrypted, mode 0600){DIM:#}", home.keys().display()));
    }
    context.say(
        "\nNext:\n\
         \x20 countersign issue server localhost\n\
         \x20 countersign issue client alice\n\
         \x20 countersign trust install          (optional: browsers and curl of this machine believe it)",
    );
    context.data(format!("{}\n", home.anchor().display()));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn permitted_names_become_subtrees_of_their_kind() {
        for (text, expected) in [
            ("dev.test", "DNS:dev.test"),
            ("*.dev.test", "DNS:dev.test"),
            ("10.0.0.0/8", "IP:10.0.0.0/8"),
            ("192.0.2.1", "IP:192.0.2.1/32"),
            ("@acme.test", "email:acme.test"),
            ("bob@acme.test", "email:bob@acme.test"),
            ("uri:acme.test", "URI:acme.test"),
            ("spiffe://acme.test/x", "URI:acme.test"),
        ] {
            assert_eq!(permitted_subtree(text).unwrap().to_string(), expected);
        }
        for bad in ["", "@", "10.0.0.0/99", "a b"] {
            assert!(permitted_subtree(bad).is_err(), "{bad:?}");
        }
    }
}
