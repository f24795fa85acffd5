//! `countersign sign`.

use std::path::{Path, PathBuf};

use ca::IssueRequest;
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use keys::file::{Replace, write_public};
use pki::csr::CertificateRequest;
use pki::name::{GeneralName, SubjectNames};
use pki::{Certificate, Profile};
use serde_json::json;

use crate::api::{Api, RemoteArguments};
use crate::commands::issue::{full_chain, requester};
use crate::context::{BOLD, Context};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::Home;
use crate::input;

/// Sign a certificate signing request made elsewhere
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign sign partner.csr --profile client --out partner.pem
  countersign sign server.csr --profile server --for 30d > server.pem
  openssl req -new -key k.pem -subj /CN=bob | \\
      countersign sign - --profile client")]
pub(crate) struct Sign {
    /// The request, PEM or DER; - for standard input
    #[arg(value_name = "CSR")]
    request: PathBuf,

    /// What the certificate is for
    #[arg(long, value_enum)]
    profile: ProfileFlag,

    /// How long it is good: 12h, 90d, 1y [default: 90d]
    #[arg(long = "for", value_name = "TIME", value_parser = crate::duration::parse)]
    lifetime: Option<SignedDuration>,

    /// An organizational unit for the subject; those in the request do not count
    #[arg(long, value_name = "UNIT")]
    ou: Vec<String>,

    /// The organization for the subject; the one in the request does not count
    #[arg(long, value_name = "NAME")]
    org: Option<String>,

    /// Where the certificate and its chain go [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace the file if it is there
    #[arg(long)]
    force: bool,

    /// The passphrase of the authority's keys, in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    #[command(flatten)]
    remote: RemoteArguments,

    /// Print the facts as JSON, the certificate among them
    #[arg(long)]
    json: bool,
}

/// The profiles a request may be signed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProfileFlag {
    Server,
    Client,
}

impl Sign {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let request = read_request(&self.request)?;
        if let Some(out) = self.out.as_deref().filter(|out| !self.force && out.symlink_metadata().is_ok()) {
            return Err(Failure::refused(format!(
                "{} is there already, and nothing was signed",
                out.display()
            ))
            .hint("--force replaces it"));
        }
        let mut names = request.names();
        let profile = match self.profile {
            ProfileFlag::Client => Profile::Client,
            ProfileFlag::Server => {
                // Old tools put a server's only name into the commonName.
                if let (true, Some(host)) = (names.alternative.is_empty(), &names.common_name) {
                    names.add(GeneralName::Dns(pki::name::dns_name(host).or_refuse()?));
                }
                Profile::Server
            }
        };
        names.organizational_units.clone_from(&self.ou);
        names.organization.clone_from(&self.org);
        names.check().or_refuse()?;
        let label = names.common_name.clone().or_else(|| names.alternative.first().map(GeneralName::value));
        let label = label.unwrap_or_default();
        for ignored in request.ignored() {
            context.warn(format!("the request also asks for {ignored}; that is ignored"));
        }
        if let Some(api) = self.remote.open(context)? {
            return self.elsewhere(context, &api, profile, &label, &names, &request);
        }
        let authority = Home::of(context)?.open(context, self.passphrase_file.as_deref())?;
        let issued = authority
            .issue(
                IssueRequest {
                    profile,
                    label: label.clone(),
                    names,
                    public_key: request.public_key().clone(),
                    lifetime: self.lifetime,
                    requested_by: requester(),
                    origin: String::new(),
                    replaces: None,
                    location: None,
                },
                context.now(),
            )
            .or_refuse()?;
        let pem: String = full_chain(&issued).iter().map(Certificate::to_pem).collect();
        if let Some(out) = &self.out {
            let replace = if self.force { Replace::Yes } else { Replace::No };
            write_public(out, pem.as_bytes(), replace).or_usage()?;
        }
        let certificate = &issued.certificate;
        context.say(format!(
            "Signed a {profile} certificate for {BOLD}{label}{BOLD:#}, good until {}",
            certificate.not_after().strftime("%Y-%m-%d %H:%M UTC")
        ));
        if self.json {
            context.json(&json!({
                "name": label,
                "serial_number": certificate.serial_hex(),
                "subject": certificate.subject().to_string(),
                "not_after": certificate.not_after().to_string(),
                "ignored": request.ignored(),
                "certificate": self.out,
                "pem": pem,
            }));
        } else {
            match &self.out {
                Some(out) => context.data(format!("{}\n", out.display())),
                None => context.data(pem),
            }
        }
        Ok(Exit::Done)
    }
}

impl Sign {
    /// Has it signed by an authority elsewhere.
    fn elsewhere(
        &self,
        context: &Context,
        api: &Api,
        profile: Profile,
        label: &str,
        names: &SubjectNames,
        request: &CertificateRequest,
    ) -> Outcome {
        let signed = api.post(
            "/api/v1/certificates",
            &json!({
                "profile": profile.name(),
                "request": pki::pem::encode("CERTIFICATE REQUEST", request.der()),
                "label": label,
                "names": ca::names_to_json(names),
                "lifetime_seconds": self.lifetime.map(|lifetime| lifetime.as_secs()),
            }),
        )?;
        let pem = signed["pem"].as_str().unwrap_or_default();
        if let Some(out) = &self.out {
            let replace = if self.force { Replace::Yes } else { Replace::No };
            write_public(out, pem.as_bytes(), replace).or_usage()?;
        }
        context.say(format!("Signed a {profile} certificate for {BOLD}{label}{BOLD:#}"));
        match (&self.out, self.json) {
            (_, true) => context.json(&signed),
            (Some(out), false) => context.data(format!("{}\n", out.display())),
            (None, false) => context.data(pem),
        }
        Ok(Exit::Done)
    }
}

fn read_request(path: &Path) -> Result<CertificateRequest, Failure> {
    let contents = input::bytes(path)?;
    let refuse = |error: pki::csr::RequestError| Failure::refused(format!("{}: {error}", path.display()));
    if !pki::pem::looks_like_pem(&contents) && contents.first() == Some(&0x30) {
        return CertificateRequest::from_der(&contents).map_err(refuse);
    }
    let blocks = input::blocks(path, &contents)?;
    let is_request = |label: &str| matches!(label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST");
    let requests: Vec<_> = blocks.iter().filter(|block| is_request(&block.label)).collect();
    match requests.as_slice() {
        [request] => CertificateRequest::from_der(&request.der).map_err(refuse),
        [] => {
            let labels: Vec<String> = blocks.iter().map(|block| block.label.to_lowercase()).collect();
            Err(Failure::usage(format!("{} holds no request, only: {}", path.display(), labels.join(", ")))
                .hint("openssl req -new -key KEY -subj /CN=NAME -out NAME.csr"))
        }
        several => Err(Failure::usage(format!(
            "{} holds {} requests; sign them one by one",
            path.display(),
            several.len()
        ))),
    }
}
