//! `explain` on a capture of 100 MB with 5,000 handshakes, beside tshark on the same file: how long until the table of
//! connections, how much memory, and how long one connection takes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use explain::capture::pcap;
use explain::capture::reassembly::Index;
use explain::capture::{Transcript, write};

use crate::Options;
use crate::report::{figure, spread};

const SUITE: &str = "explain";
const CONNECTIONS: u16 = 5_000;
/// Application data of each connection, so that the file has 100 MB.
const DATA: usize = 13_700;

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(&options.directory)?;
    let capture = folder.path().join("5000.pcap");
    let keys = folder.path().join("keys.log");
    make(&capture, &keys)?;
    let size = std::fs::metadata(&capture)?.len();
    println!("explain: {CONNECTIONS} handshakes in {:.1} MB", size as f64 / 1e6);

    let file = std::fs::read(&capture)?;
    let started = Instant::now();
    let index = Index::read(&file)?;
    figure(SUITE, "packets sorted to connections, in process", started.elapsed().as_secs_f64(), "s", None);
    if index.connections.len() != usize::from(CONNECTIONS) {
        bail!("{} connections found", index.connections.len());
    }
    let log = explain::capture::KeyLog::parse(&std::fs::read(&keys)?);
    let mut times = Vec::new();
    for connection in index.connections.iter().step_by(50) {
        let started = Instant::now();
        let conversation = explain::tls::explain(&connection.transcript(&file, &log));
        times.push(started.elapsed());
        if !conversation.is_mutual() {
            bail!("a connection is not explained as mutual");
        }
    }
    spread(SUITE, "one connection explained, decrypted and verified", times, Some("20 ms"));
    drop((file, index));

    let binary = std::env::var_os("COUNTERSIGN").map(PathBuf::from);
    let Some(binary) = binary else {
        println!(
            "  the command is measured by `cargo xtask bench explain`, which names the binary in COUNTERSIGN"
        );
        return Ok(());
    };
    let mut ours = Command::new(binary);
    ours.args(["explain", "-q", "--keylog"]).arg(&keys).arg(&capture);
    let (wall, memory) = measured(ours)?;
    figure(SUITE, "countersign explain, table of all connections", wall.as_secs_f64(), "s", Some("2 s"));
    figure(SUITE, "countersign explain, peak memory", memory, "MB", Some("300 MB"));
    let mut theirs = Command::new("tshark");
    theirs.arg("-r").arg(&capture).args(["-o", &format!("tls.keylog_file:{}", keys.display())]);
    theirs.args([
        "-Y",
        "tls.handshake.type == 1",
        "-T",
        "fields",
        "-e",
        "tcp.stream",
        "-e",
        "tls.handshake.extensions_server_name",
    ]);
    match measured(theirs) {
        Ok((wall, memory)) => {
            figure(SUITE, "tshark, server names of all connections", wall.as_secs_f64(), "s", None);
            figure(SUITE, "tshark, peak memory", memory, "MB", None);
        }
        Err(error) => println!("  tshark was not measured: {error:#}"),
    }
    Ok(())
}

/// Wall-clock time and peak resident memory in MB, the latter as the system's `time` tells it.
fn measured(command: Command) -> anyhow::Result<(Duration, f64)> {
    let report = tempfile::NamedTempFile::new()?;
    let mut timed = Command::new("/usr/bin/env");
    timed
        .args(["time", "-f", "%M", "-o"])
        .arg(report.path())
        .arg(command.get_program())
        .args(command.get_args());
    let started = Instant::now();
    let status = timed
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("GNU time is needed (apt install time)")?;
    let wall = started.elapsed();
    let text = std::fs::read_to_string(report.path())?;
    let kilobytes: f64 = text
        .lines()
        .last()
        .unwrap_or_default()
        .trim()
        .parse()
        .with_context(|| format!("{status}: {text}"))?;
    Ok((wall, kilobytes / 1000.0))
}

/// The recorded handshake of the tests, again and again from other ports, each with a row of application data behind.
fn make(capture: &Path, keys: &Path) -> anyhow::Result<()> {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/explain/tests/walk/conversations/tls13-mutual.transcript");
    let bytes = std::fs::read(&recording).with_context(|| recording.display().to_string())?;
    let mut transcript = Transcript::from_bytes(&bytes)?;
    std::fs::write(keys, transcript.secrets.to_lines().as_bytes())?;
    // A record that nobody can open, as a long download gives them.
    let mut record = vec![23, 3, 3];
    record.extend((DATA as u16).to_be_bytes());
    record.resize(5 + DATA, 0xa5);
    let end = transcript.events.iter().map(|event| event.at).max().unwrap_or_default();
    transcript.push_bytes(explain::finding::Sender::Server, end, &record);

    let mut file = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    file.extend(262_144_u32.to_le_bytes());
    file.extend(101_u32.to_le_bytes());
    for number in 0..CONNECTIONS {
        transcript.client = format!("127.0.0.1:{}", 10_000 + number);
        let one = write::pcapng(&transcript);
        pcap::read(&one, &mut |packet| {
            file.extend((packet.at.as_secs() as u32).to_le_bytes());
            file.extend(packet.at.subsec_micros().to_le_bytes());
            file.extend((packet.bytes.len() as u32).to_le_bytes());
            file.extend((packet.bytes.len() as u32).to_le_bytes());
            file.extend(packet.bytes);
        })?;
    }
    std::fs::write(capture, file)?;
    Ok(())
}
