//! The flags of `countersign ca serve` that tell owners of certificates that end.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use net::url::Url;
use pki::Certificate;
use pki::name::IpRange;
use pki::verify::TrustBundle;
use serde_json::Value;
use service::expiry::{Settings, Tell, webhook::webhook};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::failure::{Failure, OrFail as _};
use crate::input::{self, plain};

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The flags.
#[derive(Debug, Args)]
#[command(next_help_heading = "Certificates that end")]
pub(crate) struct NotifyArguments {
    /// Post a JSON object here for each certificate that is about to end and that nothing replaces
    #[arg(long, value_name = "URL", conflicts_with = "notify_command")]
    notify_url: Option<String>,

    /// Run this program for each; it reads the same object from its standard input
    #[arg(long, value_name = "PROGRAM")]
    notify_command: Option<PathBuf>,

    /// How long before the end; may be repeated [default: 30d, 7d and 1d]
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse)]
    notify_before: Vec<SignedDuration>,

    /// Addresses that --notify-url may lead to though they are not public: 10.0.0.0/8, ::1; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = range, requires = "notify_url")]
    notify_permit: Vec<IpRange>,

    /// The anchors to believe the server of --notify-url by [default: the system's]
    #[arg(long, value_name = "FILE", requires = "notify_url")]
    notify_ca: Vec<PathBuf>,
}

fn range(text: &str) -> Result<IpRange, String> {
    text.parse()
}

impl NotifyArguments {
    /// What they say, where anybody is to be told.
    pub(crate) fn settings(&self) -> Result<Option<Settings>, Failure> {
        let tell: Tell = match (&self.notify_url, &self.notify_command) {
            (Some(url), _) => {
                webhook(Url::parse(url).or_usage()?, self.anchors()?, self.notify_permit.clone())
            }
            (None, Some(program)) => {
                let program: Arc<Path> = Arc::from(program.as_path());
                Arc::new(move |notice| {
                    let program = Arc::clone(&program);
                    Box::pin(async move { run(&program, &notice).await })
                })
            }
            (None, None) if self.notify_before.is_empty() => return Ok(None),
            (None, None) => {
                return Err(Failure::usage("--notify-before says when, and nothing says how")
                    .hint("--notify-url https://… or --notify-command PROGRAM"));
            }
        };
        let mut before = self.notify_before.clone();
        if before.is_empty() {
            before = [30, 7, 1].map(|days| SignedDuration::from_hours(24 * days)).to_vec();
        }
        Ok(Some(Settings { before, tell }))
    }

    fn anchors(&self) -> Result<TrustBundle, Failure> {
        let mut anchors = Vec::new();
        for file in &self.notify_ca {
            anchors.extend(input::certificates(file)?);
        }
        if self.notify_ca.is_empty() {
            let system = rustls_native_certs::load_native_certs();
            anchors.extend(system.certs.iter().filter_map(|der| Certificate::from_der(der).ok()));
        }
        Ok(TrustBundle::new(anchors))
    }
}

/// Runs a program for a notice: no shell, and nothing that somebody else chose among its arguments.
async fn run(program: &Path, notice: &Value) -> Result<(), String> {
    let shown = program.display();
    let cannot = |error: std::io::Error| format!("cannot run {shown}: {}", plain(&error));
    let running = async {
        let mut child =
            Command::new(program).stdin(Stdio::piped()).kill_on_drop(true).spawn().map_err(cannot)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not want to know says so by its exit code.
            let _ = stdin.write_all(format!("{notice}\n").as_bytes()).await;
        }
        child.wait().await.map_err(cannot)
    };
    match timeout(PATIENCE, running).await {
        Err(_) => Err(format!("{shown} took longer than {} s", PATIENCE.as_secs())),
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{shown} failed: {status}")),
        Ok(Err(why)) => Err(why),
    }
}
