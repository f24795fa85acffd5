//! `countersign verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use pki::Certificate;
use pki::name::ServerName;
use pki::oid::Oid;
use pki::verify::{
    Conformance, Examination, ExaminedPath, PolicyDemand, Purpose, RevocationMode, Rules, TrustBundle,
};
use serde_json::json;

use crate::context::{BAD, Context, GOOD};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::input;

/// Judge a certificate: the path found, or each reason against every path tried
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign verify alice.pem --cacert rootCA.pem --purpose client
  countersign verify server.pem --cacert rootCA.pem --host localhost
  countersign verify alice.pem --cacert rootCA.pem --crl issuing.crl \\
      --at 2027-01-01T00:00:00Z
  countersign verify server.pem --cacert rootCA.pem --ocsp answer.der --strict")]
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

    /// OCSP responses in DER, as `openssl ocsp -respout` writes them
    #[arg(long, value_name = "FILE")]
    ocsp: Vec<PathBuf>,

    /// Refuse a certificate of whose standing no list and no response says enough
    #[arg(long)]
    crl_required: bool,

    /// A certificate policy the path must be valid for, such as 2.23.140.1.2.2; one of several is enough
    #[arg(long, value_name = "OID", value_parser = read_policy)]
    policy: Vec<Oid>,

    /// Ask also what RFC 5280 demands of those who make certificates, as openssl -x509_strict does
    #[arg(long)]
    strict: bool,

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

fn read_policy(text: &str) -> Result<Oid, String> {
    Oid::from_dotted(text).ok_or_else(|| format!("'{text}' is no object identifier, such as 2.23.140.1.2.2"))
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
        let responses =
            self.ocsp.iter().map(|file| input::ocsp_response(file)).collect::<Result<Vec<_>, _>>()?;
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
            ocsp: &responses,
            policies: PolicyDemand {
                acceptable: &self.policy,
                explicit: !self.policy.is_empty(),
                ..PolicyDemand::default()
            },
            conformance: if self.strict { Conformance::Strict } else { Conformance::Path },
            revocation: if self.crl_required { RevocationMode::Required } else { RevocationMode::WhereKnown },
            ..Rules::new(&anchors, purpose, self.at.unwrap_or_else(|| context.now()))
        };
        let examination = pki::verify::examine(&presented[0], &presented[1..], &rules);
        let exit = if examination.valid().is_some() { Exit::Done } else { Exit::Refused };
        if self.json {
            context.json(&json!({
                "valid": examination.valid().is_some(),
                "at": rules.at.to_string(),
                "path": examination.best().certificates.iter().map(certificate_json).collect::<Vec<_>>(),
                "reasons": reasons_json(examination.best()),
                "other_paths": examination.paths()[1..].iter().map(|path| json!({
                    "path": path.certificates.iter().map(certificate_json).collect::<Vec<_>>(),
                    "reached_anchor": path.reached_anchor,
                    "reasons": reasons_json(path),
                })).collect::<Vec<_>>(),
                "gave_up": examination.gave_up(),
            }));
        } else {
            self.print(context, &examination);
        }
        Ok(exit)
    }

    fn print(&self, context: &Context, examination: &Examination) {
        let file = self.file.display();
        let best = examination.best();
        if best.is_valid() {
            let until = best.certificates.iter().map(Certificate::not_after).min().unwrap_or_default();
            context.data(format!("{GOOD}valid{GOOD:#}  {file}, until {until}\n"));
            print_path(context, &best.certificates);
        } else {
            context.data(format!("{BAD}refused{BAD:#}  {file}\n"));
            print_reasons(context, best);
            context.data(if best.reached_anchor { "the path:\n" } else { "the path as far as it goes:\n" });
            print_path(context, &best.certificates);
        }
        for path in &examination.paths()[1..] {
            context.data(if path.is_valid() { "\nanother valid path:\n" } else { "\nanother path:\n" });
            print_reasons(context, path);
            print_path(context, &path.certificates);
        }
        if examination.gave_up() {
            context.data("\nthere are more paths than were searched\n");
        }
    }
}

fn reasons_json(path: &ExaminedPath) -> Vec<serde_json::Value> {
    let each = path.reasons.iter().map(|reason| {
        json!({
            "code": reason.code.name(),
            "depth": reason.depth,
            "certificate": reason.certificate,
            "message": reason.message,
        })
    });
    each.collect()
}

fn print_reasons(context: &Context, path: &ExaminedPath) {
    for reason in &path.reasons {
        context.data(format!("  {}: {reason}\n", reason.code));
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
