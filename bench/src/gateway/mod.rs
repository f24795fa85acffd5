//! The gateway beside nginx and HAProxy: the same work for each, in turn, on the same machine; what counts is the
//! server's processor time for one operation, which holds where wall time does not. Each peer that is installed gets a
//! configuration here that keeps no log and reuses its connections to the upstream, as the gateway does.

mod growth;
mod load;
mod peer;
mod upstream;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use load::{Client, Figure};
use peer::{Kind, Mode, Peer};

use crate::Options;

/// What is measured of each peer, in this order.
const WORK: &[(&str, Mode)] = &[
    ("full", Mode::Http),
    ("resumed", Mode::Http),
    ("http1", Mode::Http),
    ("http2", Mode::Http),
    ("download", Mode::Http),
    ("upload", Mode::Http),
    ("reject", Mode::Http),
    ("idle", Mode::Http),
    ("full", Mode::Tcp),
    ("http1", Mode::Tcp),
    ("download", Mode::Tcp),
];

/// Rounds, interleaved between the peers; the medians are told.
const ROUNDS: usize = 3;

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let binary = binary()?;
    let folder = tempfile::tempdir_in(&options.directory)?;
    let material = material(&binary, folder.path())?;
    let client = Client::new(&material)?;
    let stranger = Client::stranger(&material)?;
    let upstream = upstream::start()?;
    let kinds: Vec<Kind> = Kind::all(&binary).into_iter().filter(Kind::is_installed).collect();
    let seconds = Duration::from_secs(options.seconds.min(10)).div_f32(2.0);
    let mut figures: Vec<(String, &str, Mode, Figure)> = Vec::new();
    for _ in 0..ROUNDS {
        for kind in &kinds {
            for mode in [Mode::Http, Mode::Tcp] {
                let peer = Peer::start(kind, mode, upstream, &material)?;
                for (work, _) in WORK.iter().filter(|(_, of)| *of == mode) {
                    let figure = match *work {
                        "full" => load::handshakes(&peer, &client, seconds, false),
                        "resumed" => load::handshakes(&peer, &client, seconds, true),
                        "http1" => load::requests(&peer, &client, seconds),
                        "http2" => load::requests_http2(&peer, &client, seconds),
                        "download" => load::download(&peer, &client, seconds),
                        "upload" => load::upload(&peer, &client, seconds),
                        "reject" => load::rejections(&peer, &stranger, seconds),
                        _ => load::idle(&peer, &client),
                    };
                    let figure = figure.with_context(|| format!("{} {work}", kind.name))?;
                    figures.push((kind.name.clone(), work, mode, figure));
                }
            }
        }
    }
    for (work, mode) in WORK {
        for kind in &kinds {
            let mut of: Vec<Figure> = figures
                .iter()
                .filter(|(name, of_work, of_mode, _)| {
                    *name == kind.name && of_work == work && of_mode == mode
                })
                .map(|(_, _, _, figure)| *figure)
                .collect();
            of.sort_by(|a, b| a.value.total_cmp(&b.value));
            let Some(median) = of.get(of.len() / 2) else { continue };
            println!("{:<14} {:<5} {work:<9} {:>10.1} {}", kind.name, mode.name(), median.value, median.unit);
        }
    }
    Ok(())
}

/// What growth costs, of the gateway alone.
pub(crate) fn grow(options: &Options) -> anyhow::Result<()> {
    let binary = binary()?;
    let folder = tempfile::tempdir_in(&options.directory)?;
    let material = material(&binary, folder.path())?;
    let client = Client::new(&material)?;
    let upstream = upstream::start()?;
    let seconds = Duration::from_secs(options.seconds.min(10)).div_f32(2.0);
    growth::run(&binary, &client, upstream, &material, seconds)
}

/// The gateway as it is released, beside this program.
fn binary() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let binary = program.with_file_name("countersign");
    if !binary.exists() {
        bail!("{} is not there: cargo build --release", binary.display());
    }
    Ok(binary)
}

/// Certificates of one authority for the server and a client, and of another for a stranger.
fn material(binary: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    for (name, orders) in [
        (
            "own",
            &[&["init"][..], &["issue", "server", "localhost", "127.0.0.1"], &["issue", "client", "alice"]][..],
        ),
        ("other", &[&["init"][..], &["issue", "client", "alice"]][..]),
    ] {
        let at = folder.join(name);
        fs::create_dir(&at)?;
        for order in orders {
            let done = Command::new(binary)
                .args(*order)
                .current_dir(&at)
                .env("COUNTERSIGN_HOME", at.join("home"))
                .output()?;
            if !done.status.success() {
                bail!("{order:?}: {}", String::from_utf8_lossy(&done.stderr));
            }
        }
    }
    let own = folder.join("own");
    let bundle = [fs::read(own.join("localhost.pem"))?, fs::read(own.join("localhost-key.pem"))?].concat();
    fs::write(own.join("bundle.pem"), bundle)?;
    Ok(own)
}
