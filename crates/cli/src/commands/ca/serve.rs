//! `countersign ca serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ca::{Publication, Who};
use clap::Args;
use jiff::SignedDuration;
use net::serve::{AccessRecord, Pulse};
use net::snapshot::Handle;
use pki::name::SubjectNames;
use service::{RootList, Settings, State, Surface, router, server};

use super::keeper::{Front, Keeper, Kept, responder_kind, said};
use crate::commands::issue::requester;
use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::hardening::{self, Account};
use crate::home::Home;
use crate::input::plain;
use crate::service_manager::{ALIVE, Inherited, ServiceManager};

/// Serve the authority: invites, renewal, ACME, EST, lists, OCSP, the API
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign ca serve
      # for this machine, at https://localhost:8444
  countersign ca serve --listen 0.0.0.0:8444 --name ca.acme.test \\
      --status-listen 0.0.0.0:80 --status-url http://ca.acme.test
      # lists and OCSP over plain HTTP, named in every certificate
  countersign ca serve --listen 0.0.0.0:8444 --name ca.acme.test \\
      --admin-listen 127.0.0.1:8445
      # the API reachable from this machine alone")]
pub(crate) struct Serve {
    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8444")]
    listen: SocketAddr,

    /// Also serve lists and OCSP here, over plain HTTP: they are signed
    #[arg(long, value_name = "ADDRESS")]
    status_listen: Option<SocketAddr>,

    /// Serve the API and the feed here, and no longer on --listen
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,

    /// The names it is reached by: its own certificate has them
    #[arg(long, value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    name: Vec<String>,

    /// Where clients reach it, where that is not the first --name and the port of --listen
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// What certificates say about where lists and OCSP are: http://HOST:PORT; remembered. 'none' says nothing
    #[arg(long, value_name = "URL")]
    status_url: Option<String>,

    /// Name the OCSP responder in certificates, beside the list, at --status-url; remembered
    #[arg(long)]
    ocsp: bool,

    /// Sign OCSP answers with this key, in a token or behind a signer: pkcs11:…, command:… or https+signer:…; one that a
    /// pkcs11: URI names by its object= and the token has not yet is made there [default: a key in this process's memory]
    #[arg(long, value_name = "REFERENCE")]
    responder_key: Option<String>,

    /// Divide the list into this many parts: 1, or a power of two up to 256; remembered
    #[arg(long, value_name = "N", value_parser = partitions)]
    crl_partitions: Option<u16>,

    /// Certificates that live no longer than this name no list and say so (noRevAvail); remembered
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse)]
    no_revocation_below: Option<SignedDuration>,

    /// How long a revocation list is good; it is made again at half of that, and with every revocation
    #[arg(long = "crl-for", value_name = "TIME", default_value = "24h", value_parser = crate::duration::parse)]
    list_lifetime: SignedDuration,

    /// How long after its end a certificate can still renew itself [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse)]
    grace: Option<SignedDuration>,

    /// The passphrase of the authority's keys, in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Once the addresses are bound, become this user for good; the authority's home must be its own (Linux, as root)
    #[arg(long, value_name = "NAME[:GROUP]")]
    user: Option<String>,

    #[command(flatten)]
    acme: super::acme::AcmeArguments,

    #[command(flatten)]
    notify: super::notify::NotifyArguments,

    /// Write the access log to standard output, one JSON object a line
    #[arg(long)]
    log: bool,
}

fn partitions(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(number) if (1..=256).contains(&number) && number.is_power_of_two() => Ok(number),
        _ => Err(format!("'{text}' is not 1, 2, 4, 8 … 256")),
    }
}

impl Serve {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let account = self.user.as_deref().map(Account::find).transpose()?;
        let manager = ServiceManager::of(context);
        let mut inherited = Inherited::from_service_manager()?;
        inherited.refuse_others(|passed| {
            let mut ours = std::iter::once(self.listen).chain(self.status_listen).chain(self.admin_listen);
            ours.any(|address| address.to_string() == passed)
        })?;
        let mut open = |address: SocketAddr| match inherited.take(address).pop() {
            Some(socket) => Ok(socket),
            None => bind(address),
        };
        let listener = open(self.listen)?;
        let status = self.status_listen.map(&mut open).transpose()?;
        let admin = self.admin_listen.map(&mut open).transpose()?;
        // While there is one thread: rights are a thread's own, and all others inherit them from this one.
        if let Some(account) = &account {
            account.enter()?;
        }
        hardening::stay();
        let home = Home::of(context)?;
        let authority = home.open(context, self.passphrase_file.as_deref())?;
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
            .with_target(false)
            .init();
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Failure::usage(format!("cannot start threads: {}", plain(&error))))?;
        let _entered = runtime.enter();
        let listener = for_the_runtime(listener)?;
        let status = status.map(for_the_runtime).transpose()?;
        let admin = admin.map(for_the_runtime).transpose()?;

        let publication = self.publication(authority.publication())?;
        let by = requester();
        publication.record(&**authority.store(), Who::from(&by), context.now()).or_refuse()?;
        let authority = authority.publishing(publication);
        let mut settings = Settings::new(&self.base(&listener));
        crate::api::record_base(&**authority.store(), &settings.base)?;
        settings.list_lifetime = self.list_lifetime;
        settings.grace = self.grace.unwrap_or(SignedDuration::ZERO);
        settings.replica = Some(crate::report::own_name());
        settings.root_list =
            Some(root_list(context, &home, self.passphrase_file.clone(), self.list_lifetime));
        settings.acme = self.acme.settings(context, home.is_shared())?;
        let state = State::new(authority, settings);
        let notices = self.notify.settings()?;

        let kind = responder_kind(state.authority().issuer().certificate())?;
        let at = |reference: &String| crate::key::new_or_at(context, Some(reference), kind);
        let front = Front {
            names: SubjectNames::for_server(&self.name).or_usage()?,
            state: state.clone(),
            responder_key: self.responder_key.as_ref().map(at).transpose()?,
        };
        let lines = state.authority().lines().version();
        let credentials = front.credentials(context.now())?;
        front.renew_responders(context.now())?;
        let following = tokio::spawn(state.clone().follow());
        if let Some(notices) = notices {
            tokio::spawn(service::expiry::follow(state.clone(), notices));
        }
        let judged = (state.store().revocation_version().ok(), state.now());
        let handle = Handle::new(server::snapshot(&state, credentials.clone()).map_err(told)?);
        self.announce(context, &state, &listener, status.as_ref(), admin.as_ref());
        state.shows(lines);
        let kept = Kept { front, handle: handle.clone(), credentials, lines, judged };
        let keeper = Keeper::start(kept, manager.clone());
        let pulse = Arc::new(Pulse::default());
        let beating = Arc::clone(&pulse);
        manager.watch(move || beating.is_beating(ALIVE));

        let log = self.log();
        let (stop, _) = tokio::sync::watch::channel(false);
        let stopped = || {
            let mut stop = stop.subscribe();
            async move { drop(stop.wait_for(|over| *over).await) }
        };
        let mut others = tokio::task::JoinSet::new();
        if let Some(listener) = status {
            others.spawn(server::serve_plain(listener, router(&state, Surface::STATUS), stopped()));
        }
        let mut surface = Surface::ALL;
        if let Some(listener) = admin {
            surface.admin = false;
            let only = Surface { enrolment: false, status: false, admin: true };
            let serving = server::serve(
                listener,
                handle.clone(),
                router(&state, only),
                state.clone(),
                Arc::clone(&log),
                Arc::clone(&pulse),
                stopped(),
            );
            others.spawn(async move {
                let _ = serving.await;
            });
        }
        let ending = async {
            crate::commands::ends::end_of_life().await;
            manager.stopping();
            stop.send_replace(true);
        };
        manager.ready(&said(state.base(), None));
        let cut_off = runtime.block_on(server::serve(
            listener,
            handle,
            router(&state, surface),
            state.clone(),
            log,
            pulse,
            ending,
        ));
        runtime.block_on(async { while others.join_next().await.is_some() {} });
        keeper.stop();
        // What the last seconds saw; nobody waits for it, and a memory that is away was told of.
        let _ = state.share();
        following.abort();
        state.leave();
        if cut_off > 0 {
            context.warn(format!("{cut_off} connection(s) had not ended in time and were cut off"));
        }
        Ok(Exit::Done)
    }

    /// Where clients reach it.
    fn base(&self, listener: &tokio::net::TcpListener) -> String {
        let port = listener.local_addr().map_or(self.listen.port(), |address| address.port());
        let host = self.name.first().map_or("localhost", String::as_str);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        self.url.clone().unwrap_or_else(|| format!("https://{host}:{port}"))
    }

    /// What is on record, with what the flags change of it.
    fn publication(&self, recorded: &Publication) -> Result<Publication, Failure> {
        let mut publication = recorded.clone();
        match self.status_url.as_deref() {
            None => {}
            Some("none") => publication.base = None,
            Some(url) if url.starts_with("http://") => {
                publication.base = Some(url.trim_end_matches('/').to_owned());
            }
            Some(url) => {
                return Err(Failure::usage(format!(
                    "--status-url {url}: lists and OCSP are had over plain http://, since whoever checks a TLS \
                     certificate cannot need TLS for it (RFC 5280 section 8)"
                ))
                .hint("--status-listen 0.0.0.0:80 --status-url http://ca.example.com"));
            }
        }
        publication.ocsp |= self.ocsp;
        if let Some(partitions) = self.crl_partitions {
            publication.partitions = partitions;
        }
        if self.no_revocation_below.is_some() {
            publication.none_below = self.no_revocation_below;
        }
        Ok(publication)
    }

    fn log(&self) -> net::serve::Log {
        if !self.log {
            return Arc::new(|_| {});
        }
        Arc::new(|record: &AccessRecord| {
            use std::io::Write as _;
            let line = match record {
                AccessRecord::Request(request) => {
                    let mut told = request.clone();
                    told.path = without_code(&request.path);
                    AccessRecord::Request(told).json()
                }
                other => other.json(),
            };
            // A log that nobody reads any more ends nothing.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        })
    }

    fn announce(
        &self,
        context: &Context,
        state: &State,
        listener: &tokio::net::TcpListener,
        status: Option<&tokio::net::TcpListener>,
        admin: Option<&tokio::net::TcpListener>,
    ) {
        let address = |listener: &tokio::net::TcpListener| {
            listener.local_addr().map(|address| address.to_string()).unwrap_or_default()
        };
        context.say(format!(
            "{BOLD}{}{BOLD:#}  the authority '{}', on {}",
            state.base(),
            state.authority().name(),
            address(listener)
        ));
        if let Some(status) = status {
            context.say(format!("  lists and OCSP without TLS on http://{}", address(status)));
        }
        if let Some(admin) = admin {
            context.say(format!("  the API on https://{} alone", address(admin)));
        }
        for root in state.authority().anchors().anchors() {
            context.say(format!("  root sha256 {}", pki::hex(&root.sha256())));
        }
        context.say(format!("{DIM}Ctrl-C ends it.{DIM:#}"));
    }
}

/// The path of an invite as it may be written down: by its handle, without what makes it a right to a certificate.
fn without_code(path: &str) -> String {
    let Some((handle, secret)) = path.strip_prefix("/i/").and_then(|code| code.split_once('-')) else {
        return path.to_owned();
    };
    let rest = secret.find('/').map_or("", |at| &secret[at..]);
    format!("/i/{handle}-…{rest}")
}

pub(super) fn told(problem: service::Problem) -> Failure {
    Failure::refused(problem.detail())
}

fn bind(address: SocketAddr) -> Result<std::net::TcpListener, Failure> {
    std::net::TcpListener::bind(address).map_err(|error| {
        Failure::usage(format!("cannot listen on {address}: {}", plain(&error)))
            .hint(format!("ss -ltnp 'sport = :{}'    (who has it)", address.port()))
    })
}

fn for_the_runtime(listener: std::net::TcpListener) -> Result<tokio::net::TcpListener, Failure> {
    listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::TcpListener::from_std(listener))
        .map_err(|error| Failure::usage(format!("the socket cannot be used: {}", plain(&error))))
}

/// What makes the roots' own lists, where their keys are here.
fn root_list(
    context: &Context,
    home: &Home,
    passphrase_file: Option<PathBuf>,
    lifetime: SignedDuration,
) -> RootList {
    if !home.has_root_key() {
        context.warn(format!(
            "{} is not here, so the root's own list is not served; OpenSSL's -crl_check_all needs it",
            home.root_key().display()
        ));
    }
    let home = home.clone();
    Arc::new(move |lines, line, now| {
        if !home.has_key(ca::KeyName::Root(line.root_of())) {
            return None;
        }
        let context = Context::from_environment(None, true);
        home.root_list(&context, (lines, line), passphrase_file.as_deref(), now, lifetime).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invites_code_is_not_written_into_the_log() {
        assert_eq!(without_code("/i/t6y82crq-cphddz3wbv87"), "/i/t6y82crq-…");
        assert_eq!(without_code("/i/t6y82crq-cphddz-3wbv/request"), "/i/t6y82crq-…/request");
        assert_eq!(without_code("/crl/issuing-1.crl"), "/crl/issuing-1.crl");
    }
}
