//! Recordings: captures and transcripts, and the one connection that `doctor server` waits for.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use explain::capture::reassembly::Index;
use explain::capture::{KeyLog, Transcript, pcap};
use explain::doctor::{Beside, Program, Report, judge_recorded};
use pki::Certificate;
use pki::verify::TrustBundle;

use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::input;

/// Judges a capture or a transcript: of several connections the first with findings.
pub(super) fn file(
    context: &Context,
    path: &Path,
    key_log: Option<&Path>,
    client_trust: Option<Vec<Certificate>>,
    program: Program,
) -> Result<Report, Failure> {
    let bytes = input::bytes(path)?;
    let beside = Beside { client_trust, server_trust: Vec::new(), program };
    let judge =
        |transcript: &Transcript| judge_recorded(&explain::tls::explain(transcript), &beside, context.now());
    if let Ok(transcript) = Transcript::from_bytes(&bytes) {
        return Ok(judge(&transcript));
    }
    if !pcap::is_capture(&bytes) {
        return Err(Failure::usage(format!("{} is neither a capture nor a transcript", path.display()))
            .hint(format!("countersign doctor files {}", path.display())));
    }
    let index = Index::read(&bytes).or_usage()?;
    let mut keys = index.notes.secrets.clone();
    if let Some(log) = key_log {
        let log = KeyLog::parse(&input::bytes(log)?);
        for (random, secrets) in log.iter() {
            keys.insert_all(*random, secrets);
        }
    }
    let reports: Vec<Report> = index
        .connections
        .iter()
        .filter(|connection| connection.may_be_tls(&bytes))
        .map(|connection| judge(&connection.transcript(&bytes, &keys)))
        .collect();
    if reports.len() > 1 {
        context.say(format!(
            "{} holds {} TLS connections, {} of them with findings; the first of those is shown",
            path.display(),
            reports.len(),
            reports.iter().filter(|report| !report.findings.is_empty()).count()
        ));
    }
    let first = reports.iter().position(|report| !report.findings.is_empty()).unwrap_or(0);
    reports
        .into_iter()
        .nth(first)
        .ok_or_else(|| Failure::refused(format!("{} holds no connection that speaks TLS", path.display())))
}

/// Wait for one connection of a failing client, and judge it
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign doctor server --listen 127.0.0.1:9443 --cert localhost.pem \\
      --key localhost-key.pem --client-ca rootCA.pem")]
pub(super) struct Server {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9443")]
    listen: SocketAddr,

    /// The server's certificate with its chain
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,

    /// Its private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// The passphrase of the key, in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// The CAs whose clients the real server lets in
    #[arg(long, value_name = "FILE", required = true)]
    client_ca: Vec<PathBuf>,

    /// What the client believes, where that is known
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,

    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

impl Server {
    pub(super) fn run(&self, context: &Context) -> Outcome {
        let passphrase = input::passphrase(context, self.passphrase_file.as_deref())?;
        let (chain, key) = input::credentials(context, &self.cert, &self.key, passphrase.as_ref())?;
        let credentials = key.credentials(chain).or_usage()?;
        let mut server_trust = Vec::new();
        for file in &self.client_ca {
            server_trust.extend(input::certificates(file)?);
        }
        let client_trust = self.cacert.as_deref().map(input::certificates).transpose()?;
        let names = TrustBundle::new(server_trust.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
        let transcript = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(self.listen).await?;
            context.say(format!("waiting for one client on https://{}", listener.local_addr()?));
            net::doctor::receive(&listener, &credentials, &names).await
        });
        let transcript = transcript.map_err(|error| {
            Failure::usage(format!("cannot listen on {}: {}", self.listen, input::plain(&error)))
        })?;
        let beside = Beside { client_trust, server_trust, program: Program::default() };
        let report = judge_recorded(&explain::tls::explain(&transcript), &beside, context.now());
        let what = format!("the client at {}", transcript.client);
        let exit: Exit = super::told(context, &report, &what, self.json);
        Ok(exit)
    }
}
