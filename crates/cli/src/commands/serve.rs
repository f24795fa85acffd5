//! `countersign serve`.

mod log;
mod record;
mod reload;
mod setup;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use net::serve::{Dialect, Directory, Handler, Options, Shutdown, Target, TcpUpstream, Upstream};
use net::snapshot::Handle;
use pki::policy::{Policy, Rule};

use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::input::plain;
use setup::Setup;

/// Put mutual TLS in front of a service, a directory, or a page that says who you are
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign serve --allow-cn alice
      # a page that shows visitors who they are
  countersign serve --to http://127.0.0.1:3000 --allow-cn alice
      # your service, and who asks in its headers
  countersign serve --dir public --allow-ou Payments --log json
  countersign serve --listen 0.0.0.0:443 --cert api.pem --key api-key.pem \\
      --client-ca partners.pem \\
      --crl lists.pem --allow-uri 'spiffe://acme.test/partners/*' \\
      --to http://127.0.0.1:3000")]
pub(crate) struct Serve {
    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,

    #[command(flatten)]
    setup: setup::SetupArguments,

    /// Forward requests to this service: http://, https:// or h2c://host:port, or unix:/path; with tcp://host:port
    /// the octets are passed on as they come. Several share the requests out
    #[arg(long, value_name = "URL", conflicts_with = "dir")]
    to: Vec<String>,

    /// Serve the files of this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// How the service hears of the client: rfc9440, envoy, nginx or aws
    #[arg(long, value_name = "DIALECT", default_value = "rfc9440", requires = "to")]
    headers: Vec<Dialect>,

    #[command(flatten)]
    allow: AllowArguments,

    /// How the access log is written to standard output
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,

    /// Keep the handshakes that are refused in this folder, with the handshake's secrets alone, for explain --from
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

/// Who may pass; one rule is enough, and none admits nobody.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Who may pass (any rule admits)")]
pub(crate) struct AllowArguments {
    /// This common name
    #[arg(long, value_name = "NAME")]
    allow_cn: Vec<String>,
    /// This organizational unit
    #[arg(long, value_name = "UNIT")]
    allow_ou: Vec<String>,
    /// This DNS name; *.example.com for one label
    #[arg(long, value_name = "NAME")]
    allow_dns: Vec<String>,
    /// This URI; * for one path segment, ** at the end for the rest
    #[arg(long, value_name = "URI")]
    allow_uri: Vec<String>,
    /// This mailbox, or all of @example.com
    #[arg(long, value_name = "ADDRESS")]
    allow_email: Vec<String>,
    /// This address or range
    #[arg(long, value_name = "ADDRESS")]
    allow_ip: Vec<String>,
    /// The certificate with this key: SHA-256 of its SubjectPublicKeyInfo, in base64 or hexadecimal
    #[arg(long, value_name = "PIN")]
    allow_spki_pin: Vec<String>,
    /// Everyone whose certificate verifies
    #[arg(long)]
    allow_all: bool,
}

/// The forms of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One line a record
    Text,
    /// One JSON object a line
    Json,
    /// No access log
    Off,
}

impl AllowArguments {
    /// The policy that the flags make.
    pub(crate) fn policy(&self) -> Result<Policy, Failure> {
        let kinds = [
            ("cn", &self.allow_cn),
            ("ou", &self.allow_ou),
            ("dns", &self.allow_dns),
            ("uri", &self.allow_uri),
            ("email", &self.allow_email),
            ("ip", &self.allow_ip),
            ("spki-pin", &self.allow_spki_pin),
        ];
        let mut rules = Vec::new();
        if self.allow_all {
            rules.push(Rule::All);
        }
        for (kind, texts) in kinds {
            for text in texts {
                rules.push(Rule::parse(kind, text).or_usage()?);
            }
        }
        Ok(Policy::new(rules))
    }
}

impl Serve {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let policy = self.allow.policy()?;
        if policy.is_empty() && self.setup.needs_policy() {
            return Err(Failure::usage(
                "no rule says who may pass, so nobody would: an empty policy denies everyone",
            )
            .hint("--allow-cn NAME, --allow-dns, --allow-uri, --allow-email, --allow-ou, --allow-ip, --allow-spki-pin")
            .hint("--allow-all for everyone whose certificate verifies"));
        }
        let handler = Arc::new(self.handler()?);
        // What goes wrong behind the server, such as an upstream that is down, is told on standard error.
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
            .with_target(false)
            .init();
        let sockets = self.bind()?;
        let setup = Setup::new(context, &self.setup, policy, handler)?;
        let handle = Handle::new(setup.load(context)?);
        let address = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(self.listen);
        self.announce(context, &setup, address);

        let mut options = Options::new();
        let log = log::Writer::start(self.log);
        options.log = log.log();
        let keeper = match &self.record {
            Some(folder) => Some(record::Keeper::start(context, folder)?),
            None => None,
        };
        options.recordings = keeper.as_ref().map(record::Keeper::recordings);
        let shutdown = Shutdown::new();
        let signals = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| Failure::usage(format!("cannot start threads: {}", plain(&error))))?;
        let _entered = signals.enter();
        let call = shutdown.clone();
        signals.spawn(async move {
            end_of_life().await;
            call.call();
        });
        let watcher = reload::Watcher::start(setup, handle.clone());
        let cut_off = net::serve::serve_on_threads(sockets, handle, options, &shutdown)
            .map_err(|error| Failure::usage(format!("cannot start threads: {}", plain(&error))))?;
        watcher.stop();
        log.stop();
        if let Some(keeper) = keeper {
            keeper.stop();
        }
        if cut_off > 0 {
            context.warn(format!("{cut_off} connection(s) had not ended in time and were cut off"));
        }
        Ok(Exit::Done)
    }

    /// What answers.
    fn handler(&self) -> Result<Handler, Failure> {
        if let Some(dir) = &self.dir {
            return Ok(Handler::Directory(Directory::open(dir).or_usage()?));
        }
        if self.to.is_empty() {
            return Ok(Handler::Identity);
        }
        let targets: Vec<Target> =
            self.to.iter().map(|to| Target::parse(to)).collect::<Result<_, _>>().or_usage()?;
        if targets.iter().any(|target| !target.is_http()) {
            return Ok(Handler::Tcp(TcpUpstream::new(targets).or_usage()?));
        }
        let upstream = Upstream::new(targets).or_usage()?.dialects(self.headers.clone());
        if upstream.needs_tls() {
            return Err(Failure::usage("this needs to know what to expect of the upstream over TLS"));
        }
        Ok(Handler::Upstream(upstream))
    }

    fn bind(&self) -> Result<Vec<std::net::TcpListener>, Failure> {
        let cannot = |error: std::io::Error| {
            let failure = Failure::usage(format!("cannot listen on {}: {}", self.listen, plain(&error)));
            match error.kind() {
                std::io::ErrorKind::AddrInUse => failure
                    .hint(format!("ss -ltnp 'sport = :{}'    (who has it)", self.listen.port()))
                    .hint(format!("--listen {}:0    (any free port)", self.listen.ip())),
                std::io::ErrorKind::PermissionDenied => failure
                    .hint("ports under 1024 need root or CAP_NET_BIND_SERVICE: --listen 127.0.0.1:8443"),
                _ => failure,
            }
        };
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        net::serve::bind(self.listen, workers).map_err(cannot)
    }

    fn announce(&self, context: &Context, setup: &Setup, address: SocketAddr) {
        let host = if address.ip().is_loopback() { "localhost".to_owned() } else { address.ip().to_string() };
        let what = match (self.to.first(), &self.dir) {
            (Some(to), _) if to.starts_with("tcp:") => format!("{to}, which gets what they send"),
            (Some(to), _) => format!("{to}, which hears of the client in its request headers"),
            (None, Some(dir)) => format!("the files of {}", dir.display()),
            (None, None) => "a page that shows visitors who they are".to_owned(),
        };
        context.say(format!("{BOLD}https://{host}:{}/{BOLD:#}  {what}", address.port()));
        for line in setup.describe() {
            context.say(format!("  {line}"));
        }
        context.say(format!("{DIM}Ctrl-C ends it.{DIM:#}"));
    }
}

/// Ends with SIGINT or SIGTERM.
pub(crate) async fn end_of_life() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
