//! Measures what the authority and its store do in a second, on the disk they would really use, `explain` on a large
//! capture, what path validation costs, and what the gateway uses for its work beside other servers.
//!
//! `cargo run --release -p bench -- issue`, `-- store` and `-- verify`. Each figure is printed as a row for people and
//! as a line of JSON for scripts. Nothing here is a test: what is slow is reported, not refused.

mod acme;
mod authority;
mod console;
mod documents;
mod explain;
mod gateway;
mod issue;
mod report;
mod service;
mod store;
mod tokens;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

const USAGE: &str = "\
usage: bench [acme|console|documents|explain|gateway|growth|issue|service|store|tokens|verify] [--dir DIR] [--seconds N] [--certificates N]

  documents           a document of 10 GiB signed and verified, beside openssl cms
  tokens              signatures by keys in SoftHSM
  explain             a capture of 5,000 handshakes, beside tshark
  issue               issuance from a CSR into SQLite, with real commits
  store               lookups, revocation and CRL in a store of a million certificates
  console             each page of the console over a store of a million certificates
  acme                whole ACME orders, each name really looked at
  gateway             `serve` beside nginx and HAProxy, where those are installed
  growth              the gateway beside 10,000 idle connections, and with 100,000 identities
  service             `ca serve` on SQLite and PostgreSQL, OCSP, lists; cfssl and `openssl ca` beside it
  verify              path validation, and graphs made to keep it busy
  --dir DIR           where the database is made; a real disk, not tmpfs (default: the target folder)
  --seconds N         how long each issuance round lasts (default 5)
  --certificates N    how many certificates the store holds (default 1000000)";

/// What was asked for on the command line.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) directory: PathBuf,
    pub(crate) seconds: u64,
    pub(crate) certificates: u32,
}

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut options = Options { directory: default_directory()?, seconds: 5, certificates: 1_000_000 };
    let mut wanted = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "acme" | "console" | "documents" | "explain" | "gateway" | "growth" | "issue" | "service"
            | "store" | "tokens" | "verify" => wanted.push(argument.as_str()),
            "--dir" => options.directory = PathBuf::from(value()?),
            "--seconds" => options.seconds = value()?.parse().context("--seconds takes a number")?,
            "--certificates" => {
                options.certificates = value()?.parse().context("--certificates takes a number")?;
            }
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            other => bail!("'{other}' is unknown\n{USAGE}"),
        }
    }
    if options.certificates < 50_000 {
        bail!("--certificates must be 50000 at least: 10,000 of them are revoked");
    }
    refuse_memory(&options.directory)?;
    if wanted.is_empty() || wanted.contains(&"explain") {
        explain::run(&options)?;
    }
    if wanted.is_empty() || wanted.contains(&"issue") {
        issue::run(&options)?;
    }
    if wanted.is_empty() || wanted.contains(&"store") {
        store::run(&options)?;
    }
    if wanted.is_empty() || wanted.contains(&"verify") {
        verify::run(&options)?;
    }
    if wanted.is_empty() || wanted.contains(&"acme") {
        acme::run(&options)?;
    }
    if wanted.contains(&"console") {
        console::run(&options)?;
    }
    // Asked for by name alone: it takes minutes, and servers of others.
    if wanted.contains(&"gateway") {
        gateway::run(&options)?;
    }
    if wanted.contains(&"growth") {
        gateway::grow(&options)?;
    }
    if wanted.contains(&"documents") {
        documents::run(&options)?;
    }
    if wanted.contains(&"tokens") {
        tokens::run(&options)?;
    }
    if wanted.contains(&"service") {
        service::run(&options)?;
    }
    Ok(())
}

/// Beside the program, which cargo put on the disk of the sources.
fn default_directory() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("where this program is")?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}

/// A commit to a file system in memory costs nothing and says nothing.
fn refuse_memory(directory: &Path) -> anyhow::Result<()> {
    let directory = directory.canonicalize().with_context(|| directory.display().to_string())?;
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let holder = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(mount, _)| directory.starts_with(mount))
        .max_by_key(|(mount, _)| mount.len());
    match holder {
        Some((mount, kind @ ("tmpfs" | "ramfs"))) => {
            bail!(
                "{} is in memory ({kind} on {mount}); give a folder on a disk with --dir",
                directory.display()
            )
        }
        _ => Ok(()),
    }
}
