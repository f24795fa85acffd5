//! `countersign verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use pki::Certificate;
use pki::name::ServerName;
use pki::verify::{Purpose, RevocationMode, Rules, TrustBundle};
use serde_json::json;

use crate::context::{BAD, Context, GOOD};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::input;

/// Judge a certificate: the path found, or each reason against it
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign verify alice.pem --cacert rootCA.pem --purpose client
  countersign verify server.pem --cacert rootCA.pem --host localhost
  countersign verify alice.pem --cacert rootCA.pem --crl issuing.crl \\
      --at 2027-01-01T00:00:00Z")]
pub(crate) struct Verify {
    /// The certificate to judge, with the intermediates that its holder sends behind it
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// What is believed: a file of anchors [default: the anchor of the local authority]
    #[arg(long, value_name = "FILE", alias = "CAfile")]
    cacert: Vec<PathBuf>,

    /// Further certificates that may stand between it and an anchor
    #[arg(long, value_name = "FILE")]
    untrusted: Vec<PathBuf>,

    /// What it is to be used for [default: server with --host, else any]
    #[arg(long, value_enum)]
    purpose: Option<PurposeFlag>,

    /// The DNS name or address it must name
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// Revocation lists, PEM or DER
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,

    /// Refuse a certificate whose issuer has no list among --crl
    #[arg(long)]
    crl_required: bool,

    /// The moment of judgement, such as 2027-01-01T00:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PurposeFlag {
    Server,
    Client,
    Any,
}

impl Verify {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let mut presented = input::certificates(&self.file)?;
        for file in &self.untrusted {
            presented.extend(input::certificates(file)?);
        }
        let mut anchors = Vec::new();
        for file in &self.cacert {
            anchors.extend(input::certificates(file)?);
        }
        if self.cacert.is_empty() {
            let anchor = context.home()?.join(crate::material::ANCHOR_FILE);
            if !anchor.exists() {
                return Err(Failure::usage(
                    "nothing to believe: there is no --cacert and no local authority",
                )
                .hint(format!("countersign verify {} --cacert rootCA.pem", self.file.display())));
            }
            anchors.extend(input::certificates(&anchor)?);
        }
        let mut crls = Vec::new();
        for file in &self.crl {
            crls.extend(input::revocation_lists(file)?);
        }
        let server_name = self.host.as_deref().map(ServerName::parse).transpose().or_usage()?;
        let purpose = match (self.purpose, &server_name) {
            (Some(PurposeFlag::Server), _) | (None, Some(_)) => Purpose::Server,
            (Some(PurposeFlag::Client), _) => Purpose::Client,
            (Some(PurposeFlag::Any) | None, _) => Purpose::Any,
        };
        let anchors = TrustBundle::new(anchors);
        let rules = Rules {
            server_name: server_name.as_ref(),
            crls: &crls,
            revocation: if self.crl_required { RevocationMode::Required } else { RevocationMode::WhereKnown },
            ..Rules::new(&anchors, purpose, self.at.unwrap_or_else(|| context.now()))
        };
        let verdict = pki::verify::verify(&presented[0], &presented[1..], &rules);
        if self.json {
            let path = match &verdict {
                Ok(path) => path.certificates(),
                Err(refusal) => refusal.path(),
            };
            let reasons: Vec<_> = verdict.as_ref().err().map_or(&[][..], |r| r.reasons()).iter().collect();
            context.json(&json!({
                "valid": verdict.is_ok(),
                "at": rules.at.to_string(),
                "path": path.iter().map(certificate_json).collect::<Vec<_>>(),
                "reasons": reasons.iter().map(|reason| json!({
                    "code": reason.code.name(),
                    "depth": reason.depth,
                    "certificate": reason.certificate,
                    "message": reason.message,
                })).collect::<Vec<_>>(),
            }));
            return Ok(if verdict.is_ok() { Exit::Done } else { Exit::Refused });
        }
        let file = self.file.display();
        match verdict {
            Ok(path) => {
                let until = path.not_after();
                context.data(format!("{GOOD}valid{GOOD:#}  {file}, until {until}\n"));
                print_path(context, path.certificates());
                Ok(Exit::Done)
            }
            Err(refusal) => {
                context.data(format!("{BAD}refused{BAD:#}  {file}\n"));
                for reason in refusal.reasons() {
                    context.data(format!("  {}: {reason}\n", reason.code));
                }
                context.data("the path as far as it goes:\n");
                print_path(context, refusal.path());
                Ok(Exit::Refused)
            }
        }
    }
}

fn certificate_json(certificate: &Certificate) -> serde_json::Value {
    json!({
        "subject": certificate.subject().to_string(),
        "issuer": certificate.issuer().to_string(),
        "serial_number": certificate.serial_hex(),
        "not_after": certificate.not_after().to_string(),
        "sha256": pki::hex(&certificate.sha256()),
    })
}

fn print_path(context: &Context, path: &[Certificate]) {
    for (depth, certificate) in path.iter().enumerate() {
        let subject = certificate.subject();
        let name = if subject.is_empty() { certificate.short_name() } else { subject.to_string() };
        context.data(format!("  {depth}  {name}\n"));
    }
}
