//! `countersign connect`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use net::dial::TlsOptions;
use net::tls::server_verifier::{Expectation, ServerIdentity};
use net::tunnel::{self, Handle, ListenAddress, LocalListener, Settings, Target, TunnelRecord};
use pki::name::ServerName;
use pki::policy::{Policy, Rule};
use pki::verify::RevocationMode;

use crate::commands::ends::{end_of_life, start_warnings};
use crate::commands::tls_arguments::TlsArguments;
use crate::context::{BOLD, Context, DIM};
use crate::duration::seconds;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::input::{self, plain};
use crate::service_manager::{ALIVE, Inherited, ServiceManager};
use crate::watch::{Source, Watcher};

/// Give a program that cannot do mutual TLS a plain local port that does it for it
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign connect --listen 127.0.0.1:5432 --to db.example.com:5432 \\
      --cert app.pem --cacert rootCA.pem
      # then: psql -h 127.0.0.1
  countersign connect --listen unix:/run/app/api.sock --to api.example.com:443 \\
      --cert app.pem --cacert rootCA.pem
      # then: curl --unix-socket /run/app/api.sock http://api.example.com/
  countersign connect --listen 127.0.0.1:8080 --to a.example.com:443 \\
      --to b.example.com:443 --cert app.pem --cacert rootCA.pem \\
      --verify-uri 'spiffe://acme.test/ns/prod/sa/api'
      # the second where the first cannot be had, each by its SPIFFE ID")]
pub(crate) struct Connect {
    /// Where it listens: ADDRESS:PORT (port 0 takes a free one), or unix:PATH
    #[arg(long, value_name = "ADDRESS", required = true)]
    listen: Vec<ListenAddress>,

    /// The server, HOST:PORT; of several the first that can be had, in this order
    #[arg(long, value_name = "HOST:PORT", required = true)]
    to: Vec<Target>,

    #[command(flatten)]
    tls: TlsArguments,

    #[command(flatten)]
    verify: VerifyArguments,

    /// Revocation lists that the servers' certificates are checked against
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,

    /// Refuse servers whose issuer has no list
    #[arg(long)]
    crl_required: bool,

    /// Refuse a server that never asks for our certificate
    #[arg(long)]
    require_client_auth_request: bool,

    /// Offer this application protocol (ALPN), the preferred one first
    #[arg(long, value_name = "NAME")]
    alpn: Vec<String>,

    /// Seconds for one server, from its address to the end of the handshake
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    connect_timeout: Duration,

    /// Connections at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    max_connections: u32,

    /// Listen on an address that other machines reach: they use our certificate without showing one of their own
    #[arg(long)]
    unsafe_listen: bool,

    /// How a record of each connection is written to standard output
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,
}

/// By what the server is recognised; any rule does. Without one: by the host name that is dialled.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which server is the right one (any rule does; default: the host name)")]
pub(crate) struct VerifyArguments {
    /// Ask for, and expect, this host name instead of the one in --to; with rules both must hold
    #[arg(long, value_name = "NAME")]
    override_server_name: Option<String>,
    /// This common name
    #[arg(long, value_name = "NAME")]
    verify_cn: Vec<String>,
    /// This organizational unit
    #[arg(long, value_name = "UNIT")]
    verify_ou: Vec<String>,
    /// This DNS name; *.example.com for one label
    #[arg(long, value_name = "NAME")]
    verify_dns: Vec<String>,
    /// This URI; * for one path segment, ** at the end for the rest
    #[arg(long, value_name = "URI")]
    verify_uri: Vec<String>,
    /// This mailbox, or all of @example.com
    #[arg(long, value_name = "ADDRESS")]
    verify_email: Vec<String>,
    /// This address or range
    #[arg(long, value_name = "ADDRESS")]
    verify_ip: Vec<String>,
    /// The certificate with this key: SHA-256 of its SubjectPublicKeyInfo, in base64 or hexadecimal
    #[arg(long, value_name = "PIN")]
    verify_spki_pin: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One line a connection
    Text,
    /// One JSON object a line
    Json,
    /// None
    Off,
}

impl VerifyArguments {
    fn rules(&self) -> Result<Vec<Rule>, Failure> {
        let kinds = [
            ("cn", &self.verify_cn),
            ("ou", &self.verify_ou),
            ("dns", &self.verify_dns),
            ("uri", &self.verify_uri),
            ("email", &self.verify_email),
            ("ip", &self.verify_ip),
            ("spki-pin", &self.verify_spki_pin),
        ];
        let mut rules = Vec::new();
        for (kind, texts) in kinds {
            for text in texts {
                let rule = Rule::parse(kind, text);
                rules.push(rule.map_err(|error| Failure::usage(format!("--verify-{kind}: {error}")))?);
            }
        }
        Ok(rules)
    }

    fn server_name(&self) -> Result<Option<ServerName>, Failure> {
        let parse = |name: &String| {
            ServerName::parse(name)
                .map_err(|error| Failure::usage(format!("--override-server-name '{name}': {error}")))
        };
        self.override_server_name.as_ref().map(parse).transpose()
    }

    /// By what a server is recognised.
    fn identity(&self) -> Result<ServerIdentity, Failure> {
        let rules = self.rules()?;
        Ok(match (rules.is_empty(), &self.override_server_name) {
            (true, _) => ServerIdentity::HostName,
            (false, None) => ServerIdentity::Rules(Policy::recognising(rules)),
            (false, Some(_)) => ServerIdentity::HostNameAndRules(Policy::recognising(rules)),
        })
    }
}

impl Connect {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        self.check()?;
        start_warnings();
        crate::hardening::stay();
        let manager = ServiceManager::of(context);
        let mut inherited = Inherited::from_service_manager()?;
        let settings = self.load(context)?;
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Failure::usage(format!("cannot start threads: {}", plain(&error))))?;
        let _entered = runtime.enter();
        let mut listeners = Vec::new();
        inherited.refuse_others(|passed| self.listen.iter().any(|address| address.to_string() == passed))?;
        for address in &self.listen {
            let bound = match passed(&mut inherited, address) {
                Some(listener) => listener,
                None => runtime.block_on(LocalListener::bind(address)),
            };
            listeners.push(bound.map_err(|error| cannot_listen(address, &error))?);
        }
        self.announce(context, &listeners, &settings);
        let handle = Handle::new(settings);
        let format = self.log;
        let mut options = tunnel::Options::default();
        options.limits.connect_timeout = self.connect_timeout;
        options.limits.connections = self.max_connections;
        options.log = Arc::new(move |record| write_record(format, record));
        let status = format!("{} local address(es)", listeners.len());
        let pulse = Arc::clone(&options.pulse);
        manager.watch(move || pulse.is_beating(ALIVE));
        manager.ready(&status);
        let told = manager.clone();
        let over = async move {
            end_of_life().await;
            told.stopping();
        };
        let kept = Kept { connect: Arc::new(self), handle: handle.clone(), manager, status };
        let watcher = Watcher::start(kept, context.is_quiet());
        let cut_off = runtime.block_on(tunnel::run(listeners, handle, options, over));
        watcher.stop();
        if cut_off > 0 {
            context.warn(format!("{cut_off} connection(s) had not ended in time and were cut off"));
        }
        Ok(Exit::Done)
    }

    /// What would be wrong with any files.
    fn check(&self) -> Result<(), Failure> {
        for address in &self.listen {
            if let ListenAddress::Tcp(address) = address
                && !address.ip().is_loopback()
                && !self.unsafe_listen
            {
                return Err(Failure::usage(format!(
                    "{address} can be reached from other machines, and whoever connects speaks with our certificate"
                ))
                .hint(format!("--listen 127.0.0.1:{}    (this machine alone)", address.port()))
                .hint("--listen unix:PATH    (this user alone)")
                .hint("--unsafe-listen, where something else keeps strangers away"));
            }
        }
        if !self.tls.has_certificate() {
            return Err(Failure::usage("a tunnel presents a certificate, and none is given")
                .hint("--cert app.pem --key app-key.pem")
                .hint("countersign issue client app    (makes both)"));
        }
        let rules = self.verify.rules()?;
        let is_vague = |rule: &Rule| matches!(rule, Rule::CommonName(_) | Rule::OrganizationalUnit(_));
        if rules.iter().any(is_vague) && !self.tls.has_anchors() {
            // A public CA gives a unit of this name to whoever asks, or does not look at it at all.
            return Err(Failure::usage(
                "--verify-cn and --verify-ou say something under an authority of yours, and none is named",
            )
            .hint("--cacert rootCA.pem"));
        }
        self.verify.server_name().map(drop)
    }

    /// Reads everything anew.
    fn load(&self, context: &Context) -> Result<Settings, Failure> {
        let mut expectation = Expectation::new(self.tls.anchors(context)?);
        expectation.identity = self.verify.identity()?;
        for file in &self.crl {
            expectation.crls.extend(input::revocation_lists(file)?);
        }
        if self.crl_required {
            expectation.revocation = RevocationMode::Required;
        }
        let mut tls = TlsOptions::new(expectation);
        tls.classical = self.tls.is_classical();
        tls.alpn = self.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        if let Some(own) = self.tls.credentials(context)? {
            tls.credentials = Some(own.key.credentials(own.chain).or_usage()?);
        }
        let mut settings = Settings::new(self.to.clone(), tls);
        settings.server_name = self.verify.server_name()?;
        settings.require_request = self.require_client_auth_request;
        Ok(settings)
    }

    fn announce(&self, context: &Context, listeners: &[LocalListener], settings: &Settings) {
        let to: Vec<String> = self.to.iter().map(ToString::to_string).collect();
        for (address, listener) in self.listen.iter().zip(listeners) {
            let place = listener.tcp_address().map_or_else(|| address.to_string(), |got| got.to_string());
            context.say(format!("{BOLD}{place}{BOLD:#} -> {} over mutual TLS", to.join(", else ")));
        }
        if let Some(own) = &settings.tls.credentials {
            let leaf = own.leaf();
            context.say(format!("  as {}, until {}", leaf.short_name(), leaf.not_after()));
        }
        let rules = match &settings.tls.expectation.identity {
            ServerIdentity::HostName => match &settings.server_name {
                Some(name) => format!("the server must be named {name}"),
                None => "the server must be named as it is dialled".to_owned(),
            },
            ServerIdentity::Rules(policy) => {
                format!("the server must meet {}", policy.texts().collect::<Vec<_>>().join(" or "))
            }
            ServerIdentity::HostNameAndRules(policy) => format!(
                "the server must have the name given and meet {}",
                policy.texts().collect::<Vec<_>>().join(" or ")
            ),
        };
        context.say(format!("  {rules}"));
        context.say(format!("{DIM}Ctrl-C ends it.{DIM:#}"));
    }
}

/// What the watcher loads anew.
struct Kept {
    connect: Arc<Connect>,
    handle: Handle,
    manager: ServiceManager,
    status: String,
}

impl Source for Kept {
    fn files(&self) -> Vec<PathBuf> {
        let mut files = self.connect.tls.files();
        files.extend(self.connect.crl.iter().cloned());
        files
    }

    fn reload(&mut self, context: &Context) -> Result<String, Failure> {
        self.manager.reloading();
        let loaded = self.connect.load(context);
        self.manager.reloaded(&self.status, loaded.is_ok());
        self.handle.replace(loaded?);
        Ok("Loaded anew: certificate, anchors, lists.".to_owned())
    }
}

/// The listener at this address that the service manager opened.
fn passed(inherited: &mut Inherited, address: &ListenAddress) -> Option<std::io::Result<LocalListener>> {
    Some(match address {
        ListenAddress::Tcp(address) => {
            let socket = inherited.take(*address).pop()?;
            let ready = socket.set_nonblocking(true);
            ready.and_then(|()| tokio::net::TcpListener::from_std(socket)).map(LocalListener::tcp)
        }
        ListenAddress::Unix(path) => {
            let socket = inherited.take_path(path)?;
            let ready = socket.set_nonblocking(true);
            ready.and_then(|()| tokio::net::UnixListener::from_std(socket)).map(LocalListener::unix)
        }
    })
}

fn cannot_listen(address: &ListenAddress, error: &std::io::Error) -> Failure {
    let failure = Failure::usage(format!("cannot listen on {address}: {}", plain(error)));
    match (error.kind(), address) {
        (std::io::ErrorKind::AddrInUse, ListenAddress::Tcp(address)) => {
            failure.hint(format!("ss -ltnp 'sport = :{}'    (who has it)", address.port()))
        }
        (std::io::ErrorKind::AddrInUse, ListenAddress::Unix(path)) => {
            failure.hint(format!("ss -lxp src {}    (who has it)", path.display()))
        }
        (std::io::ErrorKind::InvalidInput, ListenAddress::Unix(_)) => failure
            .hint("a path of at most 90 octets, or one relative to the working directory: unix:api.sock"),
        (std::io::ErrorKind::AlreadyExists, ListenAddress::Unix(path)) => {
            failure.hint(format!("ls -l {}", path.display()))
        }
        _ => failure,
    }
}

fn write_record(format: LogFormat, record: &TunnelRecord) {
    use std::io::Write as _;
    let line = match format {
        LogFormat::Text => record.text(),
        LogFormat::Json => record.json().to_string(),
        LogFormat::Off => return,
    };
    // A log that nobody reads any more ends nothing.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
