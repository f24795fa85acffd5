//! `countersign fetch`.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::header::{HeaderName, HeaderValue};
use net::dial::{ConnectTo, Resolve, Route, TlsOptions};
use net::fetch::{FetchError, HttpVersion, Options, Request, RequestBody, Response, fetch};
use net::tls::key_log::KeyLogFile;
use net::tls::server_verifier::Expectation;
use net::tls::{TlsVersion, TlsVersions};
use net::url::Url;

use crate::commands::tls_arguments::TlsArguments;
use crate::context::{Context, DIM};
use crate::failure::{Exit, Failure, Outcome};
use crate::input;

/// Fetch a URL as curl does, and wait for the server's verdict on the client's certificate
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign fetch --cert alice.pem --key alice-key.pem \\
      --cacert rootCA.pem https://localhost:8443/
  countersign fetch --cert alice.p12 --passphrase-file pass.txt -v \\
      https://partner.test/
  countersign fetch -X POST -H 'Content-Type: application/json' \\
      -d @order.json https://localhost:8443/orders
  countersign fetch -o /dev/null -w '%{http_code} %{ssl_verify_result}' \\
      https://localhost:8443/")]
#[command(
    after_help = "Exit codes are curl's: 6 name not resolved, 7 not connected, 22 --fail, 28 time is over, \
35 handshake failed, 52 empty answer, 56 refused after the handshake, 58 own certificate, 60 server not believed."
)]
pub(crate) struct Fetch {
    /// Where from
    #[arg(value_name = "URL")]
    url: String,

    #[command(flatten)]
    tls: TlsArguments,

    /// Believe any server; the connection is encrypted to whoever answers
    #[arg(short = 'k', long)]
    insecure: bool,

    /// The method
    #[arg(short = 'X', long, value_name = "METHOD")]
    request: Option<http::Method>,

    /// A header; `Name:` alone takes one of the usual ones out
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// The body: text, or @FILE, or @- for standard input
    #[arg(short = 'd', long, value_name = "DATA", visible_aliases = ["data-binary"])]
    data: Option<String>,

    /// Where the answer goes [default: standard output]
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Also print the answer's head
    #[arg(short = 'i', long, visible_alias = "show-headers")]
    include: bool,

    /// Say what happens on the connection, on standard error
    #[arg(short = 'v', long)]
    verbose: bool,

    /// Print this at the end: %{http_code}, %{size_download}, %{ssl_verify_result}, %{tls_version}, %{exitcode}
    #[arg(short = 'w', long, value_name = "FORMAT")]
    write_out: Option<String>,

    /// Fail with 22 where the status is 400 or more
    #[arg(short = 'f', long)]
    fail: bool,

    /// Follow redirections
    #[arg(short = 'L', long)]
    location: bool,

    /// Connect to this address instead of looking the name up: HOST:PORT:ADDRESS
    #[arg(long, value_name = "HOST:PORT:ADDRESS")]
    resolve: Vec<Resolve>,

    /// Connect to the second instead of the first: HOST1:PORT1:HOST2:PORT2
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2")]
    connect_to: Vec<ConnectTo>,

    /// Connect through this unix socket
    #[arg(long, value_name = "FILE")]
    unix_socket: Option<PathBuf>,

    /// The most seconds it may take
    #[arg(short = 'm', long, value_name = "SECONDS", value_parser = seconds)]
    max_time: Option<Duration>,

    /// The most seconds until the handshake is done
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    connect_timeout: Option<Duration>,

    /// TLS 1.2 at least
    #[arg(long = "tlsv1.2")]
    tls_v1_2: bool,

    /// TLS 1.3 at least
    #[arg(long = "tlsv1.3")]
    tls_v1_3: bool,

    /// The newest version: 1.2 or 1.3
    #[arg(long, value_name = "VERSION", value_parser = ["1.2", "1.3"])]
    tls_max: Option<String>,

    /// HTTP/1.1 alone
    #[arg(long = "http1.1", conflicts_with = "http2")]
    http1_1: bool,

    /// HTTP/2 alone
    #[arg(long)]
    http2: bool,

    /// Revocation lists that the server's chain is checked against
    #[arg(long, value_name = "FILE", alias = "crlfile")]
    crl: Vec<PathBuf>,
}

impl Fetch {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let (request, options) = self.prepare(context)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::curl(2, format!("cannot start: {error}")))?;
        runtime.block_on(self.exchange(context, request, options))
    }

    fn prepare(&self, context: &Context) -> Result<(Request, Options), Failure> {
        let url = Url::parse(&self.url).map_err(|error| fail(&FetchError::from(error), &self.url))?;
        let mut expectation = Expectation::new(self.tls.anchors(context)?);
        for file in &self.crl {
            expectation.crls.extend(input::revocation_lists(file)?);
        }
        if self.insecure {
            expectation = net::danger::accept_any_server(expectation);
        }
        let mut tls = TlsOptions::new(expectation);
        tls.classical = self.tls.is_classical();
        if let Some(own) = self.tls.credentials(context).map_err(|failure| failure.with_curl_code(58))? {
            let credentials = own.key.credentials(own.chain);
            tls.credentials = Some(credentials.map_err(|error| fail(&FetchError::from(error), &self.url))?);
        }
        let least = if self.tls_v1_3 { TlsVersion::Tls13 } else { TlsVersion::Tls12 };
        let most = if self.tls_max.as_deref() == Some("1.2") { TlsVersion::Tls12 } else { TlsVersion::Tls13 };
        tls.versions = TlsVersions::between(least, most)
            .ok_or_else(|| Failure::curl(2, "no TLS version is between --tlsv1.3 and --tls-max 1.2"))?;
        if let Some(path) = std::env::var_os("SSLKEYLOGFILE").filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            let log = KeyLogFile::open(&path)
                .map_err(|error| Failure::curl(2, format!("SSLKEYLOGFILE {}: {error}", path.display())))?;
            tls.key_log = Some(Arc::new(log));
        }
        let mut options = Options::new(tls);
        options.http = match (self.http1_1, self.http2) {
            (true, _) => HttpVersion::Http1,
            (_, true) => HttpVersion::Http2,
            _ => HttpVersion::Negotiated,
        };
        options.route = Route {
            resolve: self.resolve.clone(),
            connect_to: self.connect_to.clone(),
            unix_socket: self.unix_socket.clone(),
        };
        options.max_time = self.max_time;
        options.connect_timeout = self.connect_timeout.unwrap_or(options.connect_timeout);
        // curl follows 50.
        options.redirects = if self.location { 50 } else { 0 };

        let mut request = Request::get(url);
        if let Some(data) = &self.data {
            request.method = http::Method::POST;
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers.insert(http::header::CONTENT_TYPE, form);
            request.body = RequestBody::Bytes(match data.strip_prefix('@') {
                Some(file) => {
                    input::bytes(file.as_ref()).map_err(|failure| failure.with_curl_code(26))?.into()
                }
                None => data.clone().into_bytes().into(),
            });
        }
        if let Some(method) = &self.request {
            request.method = method.clone();
        }
        for header in &self.header {
            let (name, value) = parse_header(header)?;
            if request.headers.contains_key(&name)
                && self.header.iter().filter(|h| h.starts_with(name.as_str())).count() < 2
            {
                request.headers.remove(&name);
            }
            request.headers.append(name, value);
        }
        Ok((request, options))
    }

    async fn exchange(&self, context: &Context, request: Request, options: Options) -> Outcome {
        let response = match fetch(request, &options).await {
            Ok(response) => response,
            Err(error) => return self.failed(context, &error),
        };
        if self.verbose {
            narrate(context, &response);
        }
        let facts = Facts {
            status: response.status(),
            version: response.conversation().tls.as_ref().map(|tls| tls.version.clone()).unwrap_or_default(),
            verified: response
                .conversation()
                .served
                .as_ref()
                .is_none_or(|served| served.verdict.finding().is_none()),
        };
        match self.deliver(response).await {
            Ok(size) => {
                self.write_out(context, &facts, size, 0);
                Ok(Exit::Done)
            }
            Err(error) => {
                self.write_out(context, &facts, 0, error.curl_exit_code());
                Err(fail(&error, &self.url))
            }
        }
    }

    async fn deliver(&self, response: Response) -> Result<u64, FetchError> {
        let response = if self.fail { response.fail_on_error_status()? } else { response };
        let mut head = if self.include { response.head_bytes() } else { Vec::new() };
        let size = match &self.output {
            Some(path) => {
                let mut file = std::fs::File::create(path).map_err(FetchError::Output)?;
                file.write_all(&head).map_err(FetchError::Output)?;
                copy(response, &mut file).await?
            }
            None => {
                let mut out = std::io::stdout().lock();
                out.write_all(&head).map_err(FetchError::Output)?;
                head.clear();
                copy(response, &mut out).await?
            }
        };
        Ok(size)
    }

    fn failed(&self, context: &Context, error: &FetchError) -> Outcome {
        let facts = Facts { status: 0, version: String::new(), verified: error.curl_exit_code() != 60 };
        self.write_out(context, &facts, 0, error.curl_exit_code());
        Err(fail(error, &self.url))
    }

    fn write_out(&self, context: &Context, facts: &Facts, size: u64, exit: u8) {
        let Some(format) = &self.write_out else { return };
        let text = format
            .replace("%{http_code}", &format!("{:03}", facts.status))
            .replace("%{response_code}", &format!("{:03}", facts.status))
            .replace("%{size_download}", &size.to_string())
            .replace("%{ssl_verify_result}", if facts.verified { "0" } else { "1" })
            .replace("%{tls_version}", &facts.version)
            .replace("%{exitcode}", &exit.to_string())
            .replace("\\n", "\n")
            .replace("\\t", "\t")
            .replace("%%", "%");
        context.data(text);
    }
}

/// What `-w` may be asked for.
struct Facts {
    status: u16,
    version: String,
    verified: bool,
}

async fn copy(mut response: Response, output: &mut impl std::io::Write) -> Result<u64, FetchError> {
    let mut size = 0;
    while let Some(data) = response.chunk().await? {
        size += data.len() as u64;
        output.write_all(&data).map_err(FetchError::Output)?;
    }
    output.flush().map_err(FetchError::Output)?;
    Ok(size)
}

/// The failure of a fetch: the finding's sentence, the facts it rests on, and what to do.
fn fail(error: &FetchError, url: &str) -> Failure {
    let mut finding = error.finding();
    if let Ok(url) = Url::parse(url) {
        finding = finding.at(&url.host_text(), url.port);
    }
    let told = matches!(
        error,
        FetchError::Handshake(_) | FetchError::RefusedLater { .. } | FetchError::EmptyReply { .. }
    );
    if !told {
        return Failure::curl(error.curl_exit_code(), error);
    }
    let mut failure = Failure::curl(error.curl_exit_code(), format!("{}: {}", finding.code, finding.summary));
    for fact in &finding.evidence {
        failure = failure.fact(fact);
    }
    for hint in finding.remedy.iter().chain(finding.fix.as_deref().map(|fix| &fix.command)) {
        failure = failure.hint(hint);
    }
    failure
}

fn narrate(context: &Context, response: &Response) {
    let conversation = response.conversation();
    let say = |text: String| context.say(format!("{DIM}*{DIM:#} {text}"));
    if let Some(address) = conversation.address {
        say(format!("connected to {address}"));
    }
    if let Some(tls) = &conversation.tls {
        let alpn = tls.alpn.as_deref().unwrap_or("none");
        say(format!("{} with {}, {}, ALPN {alpn}", tls.version, tls.cipher_suite, tls.group));
    }
    if let Some(served) = &conversation.served {
        for der in &served.chain {
            if let Ok(certificate) = pki::Certificate::from_der(der) {
                let (subject, end) = (certificate.subject(), certificate.not_after());
                say(format!("the server sent {subject}, until {end}"));
            }
        }
        match served.verdict.finding() {
            None => say("and it is verified".to_owned()),
            Some(finding) => say(format!("and it is NOT verified: {finding}")),
        }
    }
    match &conversation.certificate_request {
        None => say("the server asked for no client certificate".to_owned()),
        Some(request) => {
            let names = request.authority_names();
            let names = if names.is_empty() { "any CA".to_owned() } else { names.join("; ") };
            let sent = if conversation.sent_certificate { "ours was sent" } else { "none was sent" };
            say(format!("the server asked for a client certificate of {names}; {sent}"));
        }
    }
    for line in String::from_utf8_lossy(&response.head_bytes()).lines() {
        context.say(format!("{DIM}<{DIM:#} {}", explain::escape::text(line)));
    }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let problem = || Failure::curl(3, format!("-H '{text}' is no header; write 'Name: value'"));
    let (name, value) = text.split_once(':').ok_or_else(problem)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| problem())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| problem())?;
    Ok((name, value))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("'{text}' is no number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|_| format!("'{text}' is no span of time"))
}
