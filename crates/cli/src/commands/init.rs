//! `countersign init`.

use std::path::PathBuf;

use ca::{Authority, CreateAuthority};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use keys::file::{Replace, write_private};
use keys::pkcs11::Uri;
use keys::{Passphrase, PrivateKey, encrypted};
use pki::extension::NameConstraints;
use pki::key::{KeyAlgorithm, SigningKey};
use pki::name::{IpRange, NameError, Subtree, dns_name};
use serde_json::json;

use crate::commands::issue::requester;
use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::{self, Home};
use crate::key::{self, OwnKey};
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
      # an organisation's authority
  countersign init --name 'Acme Partners' --no-constraints \\
      --pkcs11-module /usr/lib/softhsm/libsofthsm2.so \\
      --token authority --pin-file /etc/authority.pin
      # whose keys never leave their token")]
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

    /// Encrypt the authority's keys with the passphrase in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Keep its keys in a token: the token's PKCS#11 module
    #[arg(long, value_name = "FILE", requires = "token", conflicts_with = "passphrase_file")]
    pkcs11_module: Option<PathBuf>,

    /// The label of the token
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    token: Option<String>,

    /// The token's PIN, in the first line of this file, which is read again whenever the authority signs
    #[arg(long, value_name = "FILE", requires = "pkcs11_module")]
    pin_file: Option<PathBuf>,

    /// Use this key for the root instead of making one: pkcs11:URI, command:CMD or https+signer:…
    #[arg(long, value_name = "REFERENCE")]
    root_key: Option<String>,

    /// Use this key for the issuing intermediate instead of making one
    #[arg(long, value_name = "REFERENCE")]
    issuing_key: Option<String>,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let home = Home::of(context)?;
        let constraints = constraints(&self.permit, self.no_constraints)?;
        let taken = |path: PathBuf| path.exists() || path.with_extension("uri").exists();
        if home.exists() || taken(home.root_key()) || taken(home.issuing_key()) {
            return Err(Failure::refused(format!(
                "there is an authority in {} already, and it is left as it is",
                home.directory().display()
            ))
            .hint("countersign list")
            .hint("countersign --home ANOTHER-DIR init"));
        }
        let passphrase = match self.passphrase_file.as_deref() {
            Some(source) => {
                Some(crate::passphrase::read_new(context, source, "Passphrase of the authority's keys")?)
            }
            None => home::passphrase_of(context, None)?,
        };
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
        let root = self.made(context, "root", self.root_key.as_deref())?;
        let issuing = self.made(context, "issuing", self.issuing_key.as_deref())?;
        let authority = create_with(&home, &wish, &root, &issuing, passphrase.as_ref(), context.now())?;
        first_admin(&home, &authority, context.now())?;
        tell(context, &home, &authority, &self)
    }
}

/// A key of a new authority.
enum Made {
    /// It was made here, and is written to a file.
    File(PrivateKey),
    /// It is elsewhere, and its reference is written to a file.
    Elsewhere(OwnKey, String),
}

impl Made {
    fn key(&self) -> Box<dyn SigningKey> {
        match self {
            Made::File(key) => Box::new(key.clone()),
            Made::Elsewhere(key, _) => Box::new(key.clone()),
        }
    }
}

impl Init {
    /// The key for one part of the authority: the one referred to, one made in the token, or one made here.
    fn made(&self, context: &Context, part: &str, reference: Option<&str>) -> Result<Made, Failure> {
        if let Some(reference) = reference {
            if key::reference(std::path::Path::new(reference)).is_none() {
                return Err(Failure::usage(format!(
                    "--{part}-key {reference} refers to no key in a token or behind a signer"
                ))
                .hint(format!(
                    "--{part}-key 'pkcs11:token=TOKEN;object=KEY?module-path=FILE&pin-source=file:FILE'"
                )));
            }
            let key = OwnKey::open(context, std::path::Path::new(reference), None)?;
            return Ok(Made::Elsewhere(key, reference.to_owned()));
        }
        let (Some(module), Some(token)) = (&self.pkcs11_module, &self.token) else {
            return Ok(Made::File(PrivateKey::generate(self.key).or_usage()?));
        };
        let name = self.name.clone().unwrap_or_else(default_name);
        let uri = Uri {
            token: Some(token.clone()),
            object: Some(format!("{name} {part}")),
            module_path: Some(absolute(module)?),
            pin_source: self.pin_file.as_deref().map(absolute).transpose()?,
            ..Uri::default()
        };
        let pin = crate::input::passphrase(context, uri.pin_source.as_deref())?;
        let made = keys::pkcs11::generate(&uri, pin, self.key).or_usage()?.to_string();
        let key = OwnKey::open(context, std::path::Path::new(&made), None)?;
        context.say(format!("Made a key in the token '{token}': {made}"));
        Ok(Made::Elsewhere(key, made))
    }
}

/// What is written into a file must be found from everywhere.
fn absolute(path: &std::path::Path) -> Result<PathBuf, Failure> {
    std::fs::canonicalize(path)
        .map_err(|error| Failure::usage(format!("{}: {}", path.display(), crate::input::plain(&error))))
}

/// As [`create_with`], with keys that are made here.
pub(crate) fn create(
    home: &Home,
    wish: &CreateAuthority,
    key: KeyAlgorithm,
    passphrase: Option<&Passphrase>,
    now: Timestamp,
) -> Result<home::Authority, Failure> {
    let made = || PrivateKey::generate(key).map(Made::File).or_usage();
    create_with(home, wish, &made()?, &made()?, passphrase, now)
}

/// Makes directory, keys and memory, in this order: the database is what says that an authority exists, so it comes
/// last, and what was written before a failure is taken away again.
fn create_with(
    home: &Home,
    wish: &CreateAuthority,
    root: &Made,
    issuing: &Made,
    passphrase: Option<&Passphrase>,
    now: Timestamp,
) -> Result<home::Authority, Failure> {
    make_directory(home.directory())?;
    make_directory(&home.keys())?;
    let place = |path: PathBuf, made: &Made| match made {
        Made::File(_) => path,
        Made::Elsewhere(..) => path.with_extension("uri"),
    };
    let written = [(place(home.root_key(), root), root), (place(home.issuing_key(), issuing), issuing)];
    let finish = || -> Result<home::Authority, Failure> {
        for (path, made) in &written {
            match made {
                Made::File(key) => {
                    write_private(path, key_pem(key, passphrase)?.as_bytes(), Replace::No).or_usage()?;
                }
                Made::Elsewhere(_, reference) => {
                    write_private(path, format!("{reference}\n").as_bytes(), Replace::No).or_usage()?;
                }
            }
        }
        let store = home.create_memory()?;
        let authority =
            Authority::create(store, &*root.key(), issuing.key(), wish, home::entropy(), now).or_refuse()?;
        material::write_anchor(&home.anchor(), authority.issuer().anchor())?;
        Ok(authority)
    };
    finish().inspect_err(|_| {
        // Best effort: the failure that is told is the first one. A key in a token stays; it is named above.
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

pub(crate) fn key_pem(
    key: &PrivateKey,
    passphrase: Option<&Passphrase>,
) -> Result<zeroize::Zeroizing<String>, Failure> {
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
    let issuer = authority.issuer();
    let (root, issuing) = (issuer.anchor(), issuer.certificate());
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
    let elsewhere = home.issuing_key().with_extension("uri").exists();
    if elsewhere {
        let references = home.keys();
        context.say(format!("  {DIM}keys      elsewhere; {} says where{DIM:#}", references.display()));
    } else if init.passphrase_file.is_none() {
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
