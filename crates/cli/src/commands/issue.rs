//! `countersign issue`.

use std::path::PathBuf;

use ca::{IssueRequest, Issued};
use clap::{Args, Subcommand};
use jiff::SignedDuration;
use keys::file::Replace;
use keys::pkcs12::Target;
use pki::Profile;
use pki::csr::{self, CertificateRequest};
use pki::key::KeyAlgorithm;
use pki::name::{GeneralName, SubjectNames};
use serde_json::json;

use crate::api::{Api, ApiArguments};
use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, OrFail as _, Outcome};
use crate::input;
use crate::key::OwnKey;
use crate::material::{Files, check_anchors};
use crate::names::NameArguments;

/// Make a key and a certificate for a server or a client
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign issue server localhost 127.0.0.1 ::1
      # localhost.pem, localhost-key.pem, rootCA.pem
  countersign issue client alice --p12
      # also alice.p12, for browsers
  countersign issue client bob --ca https://ca.acme.test:8444
      # by an authority elsewhere, which never sees the key
  countersign issue client partner --uri spiffe://acme.test/partner \\
      --for 30d --out certs")]
pub(crate) enum Issue {
    /// A certificate for a TLS server
    Server(IssueServer),
    /// A certificate for a TLS client
    Client(IssueClient),
}

/// A certificate for a TLS server
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign issue server localhost
  countersign issue server api.dev.test '*.dev.test' 10.0.0.7 --for 30d
  countersign issue server localhost --key rsa2048 --out certs --force")]
pub(crate) struct IssueServer {
    /// Its DNS names and addresses; the files are named after the first
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    #[command(flatten)]
    common: Common,
}

/// A certificate for a TLS client
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign issue client alice
  countersign issue client alice@acme.test --ou Payments --org Acme
  countersign issue client backup --dns backup.dev.test --for 7d --p12")]
pub(crate) struct IssueClient {
    /// Who it is for: a name, or a DNS name, address, mailbox or URI, which then also stands in subjectAltName
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    common: Common,
}

/// What both kinds take.
#[derive(Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    names: NameArguments,

    /// How long it is good: 12h, 90d, 1y [default: 90d]
    #[arg(long = "for", value_name = "TIME", value_parser = crate::duration::parse)]
    lifetime: Option<SignedDuration>,

    /// The kind of key: p256, p384, ed25519, rsa2048, rsa3072, rsa4096, mldsa44, mldsa65 or mldsa87
    #[arg(long, value_name = "KIND", default_value = "p256")]
    key: KeyAlgorithm,

    /// Certify a key that stays where it is: pkcs11:…, command:… or https+signer:…; one that a pkcs11: URI names by
    /// its object= and the token has not yet is made there
    #[arg(long, value_name = "REFERENCE", conflicts_with = "p12")]
    key_at: Option<String>,

    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// Replace files that are there
    #[arg(long)]
    force: bool,

    /// Also write NAME.p12 (PKCS#12), for browsers and Java
    #[arg(long)]
    p12: bool,

    /// What shall read NAME.p12: modern, apple, windows, java, android or legacy
    #[arg(long, value_name = "TARGET", requires = "p12", default_value_t)]
    target: Target,

    /// The password of NAME.p12, in the first line of this file, or fd:N, credential:NAME, prompt [default: a new one, written beside it]
    #[arg(long, value_name = "FILE", requires = "p12")]
    p12_password_file: Option<PathBuf>,

    #[command(flatten)]
    api: ApiArguments,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

impl Issue {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let (profile, label, mut names, common) = match self {
            Issue::Server(server) => {
                let names = SubjectNames::for_server(&server.names).or_refuse()?;
                // The canonical form: what was typed may be in capitals or another script.
                let label = names.alternative.first().map_or_else(String::new, GeneralName::value);
                (Profile::Server, label, names, server.common)
            }
            Issue::Client(client) => {
                let names = SubjectNames::for_client(&client.name).or_refuse()?;
                let label = names.common_name.clone().unwrap_or_else(|| client.name.trim().to_owned());
                (Profile::Client, label, names, client.common)
            }
        };
        common.names.add_to(&mut names).or_refuse()?;
        names.check().or_refuse()?;
        common.issue(context, profile, &label, &names)
    }
}

impl Common {
    fn issue(&self, context: &Context, profile: Profile, label: &str, names: &SubjectNames) -> Outcome {
        let replace = if self.force { Replace::Yes } else { Replace::No };
        let files = Files::of(&self.out, label);
        files.check(replace, self.p12)?;
        let password = input::passphrase(context, self.p12_password_file.as_deref())?;
        let api = Api::open(context, &self.api)?;
        let believed = api.believed()?;
        check_anchors(&self.out, &believed)?;

        self.advise(context, names, password.as_ref());
        let key = crate::key::new_or_at(context, self.key_at.as_deref(), self.key)?;
        // From here on the authority sees a request, as from any stranger, and never the key.
        let request = csr::build_request(names, &key).or_usage()?;
        let request = CertificateRequest::from_der(&request).or_refuse()?;
        let issued = match &api {
            Api::Here { state, .. } => state
                .authority()
                .issue(
                    IssueRequest {
                        profile,
                        label: label.to_owned(),
                        names: names.clone(),
                        public_key: request.public_key().clone(),
                        lifetime: self.lifetime,
                        requested_by: requester(),
                        origin: String::new(),
                        replaces: None,
                        location: location(&self.out),
                    },
                    context.now(),
                )
                .or_refuse()?,
            Api::There { .. } => api.sign(&json!({
                "profile": profile.name(),
                "request": pki::pem::encode("CERTIFICATE REQUEST", request.der()),
                "label": label,
                "names": ca::names_to_json(names),
                "lifetime_seconds": self.lifetime.map(|lifetime| lifetime.as_secs()),
            }))?,
        };
        let chain = full_chain(&issued);
        files.write(&key, &chain, &believed, replace)?;
        // A key that is elsewhere goes into no container: the flags exclude each other.
        let password_file = match &key {
            OwnKey::File(key) if self.p12 => {
                files.write_pkcs12(key, &chain, label, password, self.target, replace)?
            }
            _ => false,
        };
        tell(context, label, &files, &issued, self.p12, password_file, self.json);
        Ok(Exit::Done)
    }
}

impl Common {
    /// What is allowed, and will not work everywhere.
    fn advise(&self, context: &Context, names: &SubjectNames, password: Option<&keys::Passphrase>) {
        let is_top_wildcard =
            |name: &GeneralName| matches!(name, GeneralName::Dns(text) if text == "*.localhost");
        if names.alternative.iter().any(is_top_wildcard) {
            context.warn(
                "OpenSSL does not match *.localhost, and rustls refuses a certificate that has it; name the hosts \
                 one by one where their programs connect",
            );
        }
        if self.p12 && self.key.is_post_quantum() {
            context
                .warn("OpenSSL reads ML-DSA keys from 3.5 on; browsers, Java and system stores import none");
        }
        if self.p12 && self.key == KeyAlgorithm::Ed25519 {
            context.warn("Firefox (NSS) imports no Ed25519 key; --key p256 works everywhere");
        }
        if password.is_some_and(|password| !password.is_ascii()) {
            context.warn("Java's keytool opens no PKCS#12 whose password is not ASCII");
        }
    }
}

/// The leaf and the intermediates behind it, as a TLS peer sends them.
pub(crate) fn full_chain(issued: &Issued) -> Vec<pki::Certificate> {
    std::iter::once(&issued.certificate).chain(&issued.chain).cloned().collect()
}

/// The directory as it is remembered, so that `renew` finds it from anywhere.
pub(crate) fn location(directory: &std::path::Path) -> Option<String> {
    std::fs::canonicalize(directory).ok()?.to_str().map(str::to_owned)
}

/// Who asked, for the audit log.
pub(crate) fn requester() -> String {
    format!("uid {} on this machine", rustix::process::getuid().as_raw())
}

/// Says what was made, where, and until when.
pub(crate) fn tell(
    context: &Context,
    label: &str,
    files: &Files,
    issued: &Issued,
    pkcs12: bool,
    password_file: bool,
    json: bool,
) {
    let key = files.key_place();
    let certificate = &issued.certificate;
    if json {
        context.json(&json!({
            "name": label,
            "serial_number": certificate.serial_hex(),
            "subject": certificate.subject().to_string(),
            "subject_alt_name": certificate.subject_alt_names().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "not_before": certificate.not_before().to_string(),
            "not_after": certificate.not_after().to_string(),
            "sha256": pki::hex(&certificate.sha256()),
            "certificate": files.certificate(),
            "key": key,
            "anchor": files.anchor(),
            "pkcs12": pkcs12.then(|| files.pkcs12()),
            "pkcs12_password": password_file.then(|| files.pkcs12_password()),
        }));
        return;
    }
    let names: Vec<String> = certificate.subject_alt_names().iter().map(ToString::to_string).collect();
    let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    context.say(format!(
        "Issued a certificate for {BOLD}{label}{BOLD:#}{names}, good until {}",
        certificate.not_after().strftime("%Y-%m-%d %H:%M UTC")
    ));
    let line = |what: &str, path: PathBuf| context.data(format!("{what:<12} {}\n", path.display()));
    line("certificate", files.certificate());
    line("key", key);
    line("anchor", files.anchor());
    if pkcs12 {
        line("pkcs12", files.pkcs12());
    }
    if password_file {
        line("password", files.pkcs12_password());
    }
    context.say(format!("{DIM}serial {}{DIM:#}", certificate.serial_hex()));
}
