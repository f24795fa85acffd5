//! `countersign explain`.

mod live;
mod output;
mod tap;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use explain::capture::reassembly::{Connection, Index};
use explain::capture::{KeyLog, Transcript, pcap};
use explain::render::Row;
use explain::tls::{Conversation, explain_briefly};
use net::dial::{ConnectTo, Resolve};

use crate::commands::tls_arguments::TlsArguments;
use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::input;
use output::Output;

/// A capture of more is cut with editcap or tshark first.
const LARGEST_CAPTURE: u64 = 1 << 30;

/// Explain a TLS connection, message by message and byte by byte: live, from a capture, or through a tap
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign explain https://localhost:8443 --cert alice.pem --cacert rootCA.pem
      # your own handshake, both certificates, each step checked again
  countersign explain https://localhost:8443 --html handshake.html
      # the same as a page to click through
  countersign explain capture.pcapng --keylog keys.log
      # what other programs said: SSLKEYLOGFILE=keys.log curl …,
      # node --tls-keylog=keys.log …
  countersign explain capture.pcap --connection 3 --message 5
      # one message of one connection, with all its bytes
  countersign explain --listen 127.0.0.1:9443 --to localhost:8443 --keylog keys.log
      # between any client and any server")]
#[command(after_help = "\
Secrets: --save and --pcapng write the connection's secrets into the file, so that \
it can be explained (or opened by Wireshark) later. Whoever has such a file can read \
the connection; it is written for its owner alone (mode 0600). --secrets shows them.

Exit codes: 0 explained, 1 explained and something was found, 2 usage, 3 unreachable.")]
pub(crate) struct Explain {
    /// https://host or https://host:port, host:port, or a capture file (pcap, pcapng)
    #[arg(value_name = "TARGET", required_unless_present_any = ["listen", "from"], conflicts_with_all = ["listen", "from"])]
    target: Option<String>,

    /// The secrets of a capture's or a tap's connections
    #[arg(long, value_name = "FILE", help_heading = "Where from")]
    keylog: Option<PathBuf>,

    /// A conversation that was saved
    #[arg(long, value_name = "FILE", conflicts_with = "listen", help_heading = "Where from")]
    from: Option<PathBuf>,

    /// Stand between a client and a server: take connections here
    #[arg(long, value_name = "ADDRESS", requires = "to", help_heading = "Where from")]
    listen: Option<std::net::SocketAddr>,

    /// … and relay them there, untouched
    #[arg(long, value_name = "HOST:PORT", requires = "listen", help_heading = "Where from")]
    to: Option<String>,

    /// End after this many connections [default: on Ctrl-C]
    #[arg(long, value_name = "NUMBER", requires = "listen", help_heading = "Where from")]
    connections: Option<usize>,

    /// Which connection of a capture, by its number in the table; 0 for all
    #[arg(long, value_name = "NUMBER", help_heading = "Where from")]
    connection: Option<usize>,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    tls: TlsArguments,

    #[command(flatten)]
    live: LiveArguments,
}

/// How a live connection is made.
#[derive(Debug, Args)]
pub(crate) struct LiveArguments {
    /// Revocation lists that the server's chain is checked against
    #[arg(long, value_name = "FILE", alias = "crlfile", help_heading = "Live")]
    crl: Vec<PathBuf>,

    /// The newest version: 1.2 or 1.3
    #[arg(long, value_name = "VERSION", value_parser = ["1.2", "1.3"], help_heading = "Live")]
    tls_max: Option<String>,

    /// Connect to this address instead of looking the name up: HOST:PORT:ADDRESS
    #[arg(long, value_name = "HOST:PORT:ADDRESS", help_heading = "Live")]
    resolve: Vec<Resolve>,

    /// Connect to the second instead of the first: HOST1:PORT1:HOST2:PORT2
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2", help_heading = "Live")]
    connect_to: Vec<ConnectTo>,

    /// Connect through this unix socket
    #[arg(long, value_name = "FILE", help_heading = "Live")]
    unix_socket: Option<PathBuf>,

    /// Fetch this path once connected (HTTP/1.1): some servers judge a client only when it asks for something
    #[arg(long, value_name = "PATH", help_heading = "Live")]
    get: Option<String>,

    /// Take any server; the walk goes on past a failed verification anyway, so this changes nothing
    #[arg(short = 'k', long, hide = true)]
    insecure: bool,
}

impl Explain {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        if let (Some(listen), Some(to)) = (self.listen, &self.to) {
            return tap::run(&self, context, listen, to);
        }
        if let Some(path) = &self.from {
            let transcript = Transcript::from_bytes(&read(path)?)
                .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
            return self.output.show(context, &[transcript], None);
        }
        let target = self.target.as_deref().unwrap_or_default();
        if Path::new(target).is_file() || target == "-" {
            return self.capture(context, Path::new(target));
        }
        if !target.contains("://") && looks_like_file(target) {
            return Err(Failure::usage(format!("there is no file {target}")).hint(format!(
                "a capture or a transcript was expected; a server is given as https://{target} or {target}:443"
            )));
        }
        let url = match target.contains("://") {
            true => target.to_owned(),
            false => format!("https://{target}"),
        };
        let (transcript, verdict) = live::record(context, &url, &self.tls, &self.live)?;
        self.output.show(context, &[transcript], verdict)
    }

    fn capture(&self, context: &Context, path: &Path) -> Outcome {
        let file = read(path)?;
        if let Ok(transcript) = Transcript::from_bytes(&file) {
            return self.output.show(context, &[transcript], None);
        }
        if !pcap::is_capture(&file) {
            return Err(Failure::usage(format!("{} is neither a capture nor a transcript", path.display()))
                .hint(format!("countersign inspect {}", path.display())));
        }
        let index = Index::read(&file).or_usage()?;
        for problem in &index.notes.problems {
            context.warn(format!("{}: {problem}", path.display()));
        }
        let mut keys = index.notes.secrets.clone();
        if let Some(log) = self.key_log(context)? {
            for (random, secrets) in log.iter() {
                keys.insert_all(*random, secrets);
            }
        }
        let tls: Vec<_> =
            index.connections.iter().filter(|connection| connection.may_be_tls(&file)).collect();
        if tls.is_empty() {
            return Err(Failure::refused(format!(
                "{} holds {} packets and {} TCP connections, and none of them speaks TLS",
                path.display(),
                index.notes.packets,
                index.connections.len()
            )));
        }
        let chosen: Vec<_> = match self.connection {
            Some(0) => tls,
            Some(number) => match tls.get(number - 1) {
                Some(connection) => vec![*connection],
                None => {
                    return Err(Failure::usage(format!(
                        "there is no connection {number}: {} has {}",
                        path.display(),
                        tls.len()
                    )));
                }
            },
            None if tls.len() > 1 && !self.output.takes_many() => {
                let rows =
                    rows(&tls, |connection| explain_briefly(&connection.transcript_for_table(&file, &keys)));
                let found = rows.iter().any(|row| row.found);
                context.data(explain::render::table(&rows));
                context.say("one of them: --connection NUMBER; all of them: --connection 0");
                return Ok(if found { Exit::Refused } else { Exit::Done });
            }
            None => tls,
        };
        let transcripts: Vec<Transcript> =
            chosen.iter().map(|connection| connection.transcript(&file, &keys)).collect();
        self.output.show(context, &transcripts, None)
    }

    /// The key log, as it is now.
    fn key_log(&self, context: &Context) -> Result<Option<KeyLog>, Failure> {
        let Some(path) = &self.keylog else { return Ok(None) };
        let log = KeyLog::parse(&input::bytes(path)?);
        if log.is_empty() {
            context.warn(format!("{} holds no secret; is it a key log (SSLKEYLOGFILE)?", path.display()));
        } else if log.strange_lines > 0 {
            context.warn(format!("{} lines of {} are no key log lines", log.strange_lines, path.display()));
        }
        Ok(Some(log))
    }
}

/// The rows of a table. Signatures are most of the work, so every core takes its part: whoever is free takes the next
/// connection, and keeps nothing of it but its row.
fn rows(connections: &[&Connection], explained: impl Fn(&Connection) -> Conversation + Sync) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let mut rows = vec![Row::default(); connections.len()];
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(connection) = connections.get(number) else { return done };
                done.push((number, Row::of(&explained(connection))));
            }
        };
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let done = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            for (number, row) in done {
                rows[number] = row;
            }
        }
    });
    rows
}

/// Whether what names no file was meant to: a path, or the ending of a capture. No such ending is a top-level domain.
fn looks_like_file(target: &str) -> bool {
    let endings = ["pcap", "pcapng", "cap", "transcript", "dump", "gz", "log"];
    let ending = target.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    target.starts_with(['/', '.', '~'])
        || ending.is_some_and(|ending| endings.contains(&ending.as_str()))
        || (target.contains('/') && !target.split('/').next().is_some_and(|host| host.contains(['.', ':'])))
}

/// A capture or transcript; larger ones than certificates are.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    if path == Path::new("-") {
        return input::bytes(path);
    }
    let cannot = |error: std::io::Error| {
        Failure::usage(format!("cannot read {}: {}", path.display(), input::plain(&error)))
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let length = file.metadata().map_err(cannot)?.len();
    if length > LARGEST_CAPTURE {
        return Err(Failure::usage(format!("{} is larger than 1 GiB", path.display()))
            .hint(format!("editcap -c 1000000 {} part.pcapng", path.display())));
    }
    // To the byte: a Vec that grows by doubling would hold twice the file for a moment.
    let mut contents = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(LARGEST_CAPTURE).read_to_end(&mut contents).map_err(cannot)?;
    Ok(contents)
}
