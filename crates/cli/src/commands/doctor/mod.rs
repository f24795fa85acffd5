//! `countersign doctor`.

mod files;
mod java;
mod live;
mod own;
mod recorded;
mod tell;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use explain::doctor::{
    Facts, Program, Report, Settings, Surroundings, Target, environment_of_node, read_command,
};
use keys::Passphrase;

use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::input;

/// Say which side refuses the other, why, and the one command that mends it
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign doctor https://localhost:8443 --cert alice.pem \\
      --key alice-key.pem --cacert rootCA.pem
  countersign doctor -- curl --cert alice.pem https://localhost:8443
      # read that command line as curl would, and examine the same
  countersign doctor https://api.example.com --as node
      # as Node.js would accept, send and withhold
  curl https://localhost:8443 2>&1 | countersign doctor --text
      # what an error text can mean, and what tells the causes apart
  countersign doctor files *.pem *.p12
      # which key belongs to which certificate, and what is missing
  countersign doctor server --listen 127.0.0.1:9443 --cert localhost.pem \\
      --key localhost-key.pem --client-ca rootCA.pem
      # judge the next client that connects")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Doctor {
    #[command(subcommand)]
    other: Option<Other>,

    /// The server: a URL or host:port; or a capture (pcap, pcapng) or transcript
    #[arg(value_name = "URL", required_unless_present_any = ["command", "text", "from"])]
    target: Option<String>,

    /// A conversation that `explain --save` wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "command", "text"])]
    from: Option<PathBuf>,

    /// The secrets of a capture's connections
    #[arg(long, value_name = "FILE", requires = "target")]
    keylog: Option<PathBuf>,

    /// Say what an error text or log lines can mean: the text itself, or a file; - or nothing for standard input
    #[arg(long, value_name = "TEXT|FILE", num_args = 0..=1, default_missing_value = "-", conflicts_with_all = ["target", "command"])]
    text: Option<PathBuf>,

    /// A command line to examine: curl, openssl s_client, wget, gnutls-cli, HTTPie, grpcurl, node, python or java
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "target")]
    command: Vec<String>,

    #[command(flatten)]
    client: ClientArguments,

    /// Judge as this program: curl, curl-schannel, curl-securetransport, wget, openssl, node, python, java, go, rustls, chrome, firefox, gnutls [default: curl]
    #[arg(long = "as", value_name = "PROGRAM", value_parser = program)]
    program: Option<Program>,

    /// Print the findings as JSON
    #[arg(long)]
    json: bool,

    /// Tell each connection before it is made
    #[arg(short, long)]
    verbose: bool,
}

/// What else is examined.
#[derive(Debug, Subcommand)]
enum Other {
    /// Examine a pile of files: what each is, what belongs together, what is missing or wrong
    Files(files::Files),
    /// Wait for one connection of a failing client, and judge it
    Server(recorded::Server),
}

/// curl's flags.
#[derive(Debug, Args)]
struct ClientArguments {
    /// The client's certificate with its chain; may also hold the key
    #[arg(short = 'E', long, value_name = "FILE[:PASSPHRASE]")]
    cert: Option<String>,

    /// The kind of --cert: PEM, DER or P12
    #[arg(long, value_name = "KIND")]
    cert_type: Option<String>,

    /// The client's private key: a file, or pkcs11:…, command:… or https+signer:…
    #[arg(long, value_name = "FILE")]
    key: Option<String>,

    /// The passphrase of the key, in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// What the client believes [default: what the program believes]
    #[arg(long, value_name = "FILE")]
    cacert: Option<String>,

    /// A directory of what the client believes
    #[arg(long, value_name = "DIR")]
    capath: Option<String>,

    /// Revocation lists
    #[arg(long, value_name = "FILE", alias = "crlfile")]
    crl: Vec<String>,

    /// The client does not verify the server
    #[arg(short = 'k', long)]
    insecure: bool,

    /// The Host header, where it is another than the URL's host
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// A header
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// Give these addresses to a host instead of looking them up
    #[arg(long, value_name = "HOST:PORT:ADDRESS")]
    resolve: Vec<String>,

    /// Connect to the second host instead of the first
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2")]
    connect_to: Vec<String>,

    /// The newest TLS version the client offers: 1.2 or 1.3
    #[arg(long, value_name = "VERSION")]
    tls_max: Option<String>,

    /// The oldest TLS version the client offers: 1.2 or 1.3
    #[arg(long, value_name = "VERSION")]
    tls_min: Option<String>,

    /// The TLS 1.2 cipher suites the client offers, in OpenSSL's names
    #[arg(long, value_name = "LIST")]
    ciphers: Option<String>,

    /// The groups the client offers
    #[arg(long, value_name = "LIST")]
    curves: Option<String>,

    /// The signature algorithms the client offers
    #[arg(long, value_name = "LIST")]
    sigalgs: Option<String>,

    /// The proxy the client goes through [default: the environment's]
    #[arg(short = 'x', long, value_name = "URL")]
    proxy: Option<String>,

    /// Hosts that need no proxy
    #[arg(long, value_name = "LIST")]
    noproxy: Option<String>,

    /// How long a server that says nothing is waited for [default: 0.7 on this machine, else 5]
    #[arg(short = 'm', long, value_name = "SECONDS", value_parser = crate::duration::seconds)]
    max_time: Option<std::time::Duration>,
}

fn program(text: &str) -> Result<Program, String> {
    text.parse().map_err(|error: explain::doctor::UnknownProgram| error.to_string())
}

impl Doctor {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match &self.other {
            Some(Other::Files(files)) => return files.run(context),
            Some(Other::Server(server)) => return server.run(context),
            None => {}
        }
        if let Some(file) = &self.text {
            let report = explain::doctor::read_text(&pasted(file)?);
            return Ok(self.told(context, &report, "the text"));
        }
        let recording = self.from.as_deref().or_else(|| self.target.as_deref().map(Path::new));
        if let Some(file) = recording.filter(|file| self.from.is_some() || file.is_file()) {
            let trust =
                self.client.cacert.as_deref().map(|path| input::certificates(Path::new(path))).transpose()?;
            let report = recorded::file(
                context,
                file,
                self.keylog.as_deref(),
                trust,
                self.program.unwrap_or_default(),
            )?;
            return Ok(self.told(context, &report, &file.display().to_string()));
        }
        let settings = self.settings()?;
        let passphrase = match &settings.passphrase {
            Some(secret) => Some(Passphrase::new(secret.expose())),
            None => input::passphrase(context, self.client.passphrase_file.as_deref())?,
        };
        let report = examine(context, &settings, passphrase.as_ref(), self.verbose)?;
        Ok(self.told(context, &report.1, &report.0))
    }

    fn told(&self, context: &Context, report: &Report, target: &str) -> Exit {
        told(context, report, target, self.json)
    }

    /// The settings of the client, from its own command line or from our flags.
    fn settings(&self) -> Result<Settings, Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        let exists = |path: &str| Path::new(path).exists();
        // A script of more than a MiB is none.
        let is_small = |path: &str| std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= 1 << 20);
        let script = |path: &str| std::fs::read_to_string(path).ok().filter(|_| is_small(path));
        let around = Surroundings { variable: &variable, exists: &exists, script: &script };
        if !self.command.is_empty() {
            let mut settings = read_command(&self.command, &around).or_usage()?;
            settings.program = self.program.unwrap_or(settings.program);
            settings.most_wait = self.client.max_time;
            return Ok(settings);
        }
        let client = &self.client;
        let mut settings = Settings {
            program: self.program.unwrap_or_default(),
            url: self.target.clone(),
            encoding: own::encoding(client.cert_type.as_deref()),
            key: client.key.clone().map(|path| ("--key".to_owned(), path)),
            insecure: client.insecure,
            host_header: client.host.clone(),
            resolve: client.resolve.clone(),
            connect_to: client.connect_to.clone(),
            most_version: client.tls_max.clone(),
            least_version: client.tls_min.clone(),
            ciphers: client.ciphers.clone(),
            curves: client.curves.clone(),
            sigalgs: client.sigalgs.clone(),
            proxy: client.proxy.clone().map(|url| ("--proxy".to_owned(), url)),
            no_proxy: client.noproxy.clone(),
            most_wait: client.max_time,
            crls: client.crl.iter().map(|path| ("--crl".to_owned(), path.clone())).collect(),
            ..Settings::default()
        };
        if let Some(cert) = &client.cert {
            settings.curl_certificate(cert, &around);
        }
        for (option, path) in [("--cacert", &client.cacert), ("--capath", &client.capath)] {
            settings.trust.extend(path.clone().map(|path| (option.to_owned(), path)));
        }
        for header in &client.header {
            if let Some((name, value)) = header.split_once(':') {
                match name.eq_ignore_ascii_case("host") {
                    true => settings.host_header = Some(value.trim().to_owned()),
                    false => settings.headers.push((name.trim().to_owned(), value.trim().to_owned())),
                }
            }
        }
        if settings.program == Program::Node {
            environment_of_node(&mut settings, &around);
        }
        settings.environment_proxy(&around);
        Ok(settings)
    }
}

/// The text that was given: a file's, or what stands on the command line itself.
fn pasted(given: &Path) -> Result<String, Failure> {
    let text = given.to_string_lossy();
    let is_sentence = text.contains(char::is_whitespace);
    if !given.exists() && given != Path::new("-") {
        let looks_like_file = !is_sentence && (text.contains('/') || given.extension().is_some());
        if looks_like_file {
            return Err(Failure::usage(format!("there is no file {text}"))
                .hint("countersign doctor --text 'curl: (56) …'  # the text itself, in quotation marks"));
        }
        return Ok(text.into_owned());
    }
    Ok(String::from_utf8_lossy(&input::bytes(given)?).into_owned())
}

/// Examines the pair that the settings describe. The first part is the target for people.
fn examine(
    context: &Context,
    settings: &Settings,
    passphrase: Option<&Passphrase>,
    verbose: bool,
) -> Result<(String, Report), Failure> {
    let own = own::read(context, settings, passphrase);
    let target: Target = live::target(settings)?;
    let attempts = live::look(context, settings, &own, &target, verbose)?;
    let shown = target.url();
    let facts = Facts {
        at: context.now(),
        program: settings.program,
        target,
        own: own.side,
        attempts,
        neighbours: own.neighbours,
    };
    let mut report = explain::doctor::diagnose(&facts);
    report.unchecked.extend(settings.unseen.iter().cloned());
    Ok((shown, report))
}

/// Writes a report as it was asked for.
fn told(context: &Context, report: &Report, target: &str, json: bool) -> Exit {
    if json {
        context.json(&report.json());
    } else {
        tell::tell(context, report, target);
    }
    match report.verdict.exit_code() {
        0 => Exit::Done,
        3 => Exit::Unreachable,
        _ => Exit::Refused,
    }
}
