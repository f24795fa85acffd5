//! `countersign serve`.

mod doors;
mod flags;
mod load;
mod local;
mod log;
mod record;
mod trace;

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use net::observe::{Observer, OwnCertificate};
use net::quota::Quota;
use net::serve::{AccessRecord, Options, Shutdown};
use net::snapshot::{ClientAuth, Handle, Snapshot};
use pki::name::IpRange;

use crate::commands::ends::{end_of_life, start_warnings};
use crate::config::{Answer, Certificates, Config, Listener};
use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, Failure, Outcome};
use crate::handover::Offer;
use crate::hardening::{self, Account};
use crate::input::plain;
use crate::report::Reporter;
use crate::service_manager::{ALIVE, Inherited, ServiceManager};
use crate::watch::{Source, Watcher};
use doors::Doors;
use load::Loader;

/// Put mutual TLS in front of a service, a directory, or a page that says who you are
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign serve --allow-cn alice
      # a page that shows visitors who they are
  countersign serve --to http://127.0.0.1:3000 --allow-cn alice
      # your service, and who asks in its headers
  countersign serve --dir public --allow-ou Payments --log json
  countersign serve --to http://127.0.0.1:3000 --allow-all --try /try
      # beside it a page for people to try their certificate on
  countersign serve --listen 0.0.0.0:443 --cert api.pem --key api-key.pem \\
      --client-ca partners.pem \\
      --crl http://ca.acme.test/issuing.crl \\
      --allow-uri 'spiffe://acme.test/partners/*' \\
      --to http://127.0.0.1:3000
  countersign serve --config countersign.toml --handover /run/countersign/handover
      # the same again takes over from the one that runs: an update without a lost connection
  countersign serve --config countersign.toml
      # several listeners, routes, policies: countersign config --help")]
pub(crate) struct Serve {
    /// Everything from this file; it is read again when it changes
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Keep the handshakes that are refused in this folder, with the handshake's secrets alone, for explain --from
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,

    /// Take the listening sockets over from the serve that runs with the same PATH, which then ends without losing a
    /// connection; and hand them on in the same way
    #[arg(long, value_name = "PATH")]
    handover: Option<PathBuf>,

    /// Once the addresses are bound, become this user for good; all files are read, and later written, as it (Linux, as
    /// root)
    #[arg(long, value_name = "NAME[:GROUP]")]
    user: Option<String>,

    #[command(flatten)]
    traces: trace::TraceArguments,

    #[command(flatten)]
    flags: flags::Flags,
}

impl Serve {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let config = match &self.config {
            Some(path) => Config::read(path)?,
            None => self.flags.config()?,
        };
        start_warnings();
        let manager = ServiceManager::of(context);
        let inherited = Inherited::from_service_manager()?;
        let account = self.user.as_deref().map(Account::find).transpose()?;
        // While there is one thread: rights are a thread's own, and all others inherit them from this one.
        let Doors { listeners: sockets, admin, predecessor, offered } =
            Doors::open(context, &config, inherited, self.handover.as_deref())?;
        if let Some(account) = &account {
            account.enter_and_read(self.config.as_deref())?;
        }
        hardening::stay();
        let background =
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .map_err(|error| Failure::usage(format!("cannot start threads: {}", plain(&error))))?;
        let _entered = background.enter();
        let loader = Loader::new(context, &config, background.handle().clone())?;
        let snapshots = loader.load(context, &config)?;
        let shutdown = Shutdown::new();
        let mut options = Options::new();
        let observer = Arc::new(Observer::new(Arc::clone(&options.counters), context.now()));
        tell(&observer, &snapshots);
        if let Some(socket) = admin {
            let listener = doors::admin(context, socket)?;
            let (pages, over) =
                (net::admin::serve(listener, Arc::clone(&observer), Timestamp::now), shutdown.clone());
            // Then the process that follows has the address for itself.
            background.spawn(async move {
                tokio::select! {
                    () = pages => {}
                    () = over.called() => {}
                }
            });
        }
        let handles: Vec<Handle> = snapshots.into_iter().map(Handle::new).collect();
        for (listener, sockets) in config.listeners.iter().zip(&sockets) {
            announce(context, listener, sockets);
        }
        context.say(format!("{DIM}Ctrl-C ends it.{DIM:#}"));

        let log = log::Writer::start(config.log);
        let quota = Arc::new(Quota::new(config.identity_limits(), Timestamp::now));
        options.limits = config.limits;
        options.log = log.log();
        if config.admin.is_some() || config.feed.is_some() {
            let (seen, write) = (Arc::clone(&observer), log.log());
            options.log = Arc::new(move |record| {
                seen.record(record);
                write(record);
            });
        }
        let traces = self.traces.traces(context)?;
        let exporter = traces.as_ref().map(|traces| Arc::clone(&traces.exporter));
        if let Some(exporter) = &exporter {
            options.traces = true;
            let (tracer, write) = (Arc::clone(exporter), Arc::clone(&options.log));
            options.log = Arc::new(move |record| {
                if let AccessRecord::Request(request) = record {
                    tracer.record(request);
                }
                write(record);
            });
            let running = Arc::clone(exporter);
            background.spawn(async move { running.run().await });
        }
        let keeper = match &self.record {
            Some(folder) => Some(record::Keeper::start(context, folder)?),
            None => None,
        };
        options.recordings = keeper.as_ref().map(record::Keeper::recordings);
        if let (Some(source), Some(feed)) = (&config.feed, loader.feed()) {
            let reporter = Reporter::start(source, feed.clone(), Arc::clone(&observer));
            options.log = reporter.log(Arc::clone(&options.log));
            options.recordings = Some(reporter.recordings(options.recordings.take()));
        }
        options.gate = Some(Arc::clone(&quota) as Arc<dyn net::serve::Gate>);
        let offer = match &self.handover {
            Some(path) => Some(offer(path, offered, &manager, &shutdown)?),
            None => None,
        };
        let (call, told, offered) = (shutdown.clone(), manager.clone(), offer.clone());
        background.spawn(async move {
            end_of_life().await;
            told.stopping();
            if let Some(offer) = offered {
                offer.withdraw();
            }
            call.call();
        });
        let pulse = Arc::clone(&options.pulse);
        manager.watch(move || pulse.is_beating(ALIVE));
        let status = format!("{} listener(s)", config.listeners.len());
        let fronts: Vec<Vec<IpRange>> =
            config.listeners.iter().map(|listener| listener.proxy_protocol_from.clone()).collect();
        let running = Running {
            config,
            loader,
            handles: handles.clone(),
            quota,
            observer,
            manager: manager.clone(),
            status: status.clone(),
            traces,
        };
        let watcher = Watcher::start(running, context.is_quiet());
        let served: Vec<std::io::Result<u32>> = std::thread::scope(|scope| {
            let serving: Vec<_> = sockets
                .into_iter()
                .zip(handles)
                .zip(fronts)
                .map(|((sockets, handle), front)| {
                    let (mut options, shutdown) = (options.clone(), &shutdown);
                    options.proxy_protocol_from = front;
                    scope.spawn(move || {
                        let served = net::serve::serve_on_threads(sockets, handle, options, shutdown);
                        // One that cannot serve ends the others: half a gateway is no gateway.
                        shutdown.call();
                        served
                    })
                })
                .collect();
            // They listen already: what connects from here on is served by this process.
            if let Some(predecessor) = predecessor
                && let Err(error) = predecessor.relieve()
            {
                context.warn(format!(
                    "the process before this one does not answer, and may serve on: {}",
                    plain(&error)
                ));
            }
            manager.ready(&status);
            let ended = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err(std::io::Error::other("a serving thread panicked")))
            };
            serving.into_iter().map(ended).collect()
        });
        if let Some(offer) = offer {
            offer.withdraw();
        }
        watcher.stop();
        if let Some(exporter) = exporter {
            background.block_on(exporter.finish());
        }
        log.stop();
        // The keeper ends when nothing can hand it a recording any more.
        drop(options);
        if let Some(keeper) = keeper {
            keeper.stop();
        }
        let mut cut_off = 0;
        for served in served {
            cut_off += served.map_err(|error| Failure::usage(format!("cannot serve: {}", plain(&error))))?;
        }
        if cut_off > 0 {
            context.warn(format!("{cut_off} connection(s) had not ended in time and were cut off"));
        }
        Ok(Exit::Done)
    }
}

/// Offers the sockets to the process that comes next, and ends when that one has them.
fn offer(
    path: &Path,
    sockets: Vec<OwnedFd>,
    manager: &ServiceManager,
    shutdown: &Shutdown,
) -> Result<Offer, Failure> {
    let (manager, call) = (manager.clone(), shutdown.clone());
    let relieved = move |process| {
        manager.succeeded_by(process);
        call.call();
    };
    Offer::start(path, sockets, relieved).map_err(|error| {
        Failure::usage(format!("the sockets cannot be offered at {}: {}", path.display(), plain(&error)))
            .hint("--handover PATH in a folder that is there, with a path of at most 90 octets")
    })
}

/// A server that runs, and what it is loaded from.
struct Running {
    config: Config,
    loader: Loader,
    handles: Vec<Handle>,
    quota: Arc<Quota>,
    observer: Arc<Observer>,
    manager: ServiceManager,
    status: String,
    traces: Option<trace::Traces>,
}

impl Running {
    fn load(&mut self, context: &Context) -> Result<String, Failure> {
        let config = match &self.config.file {
            Some(path) => Config::read(path)?,
            None => self.config.clone(),
        };
        let doors = |config: &Config| -> Vec<(SocketAddr, Vec<IpRange>)> {
            let doors = config.listeners.iter();
            doors.map(|listener| (listener.address, listener.proxy_protocol_from.clone())).collect()
        };
        if doors(&config) != doors(&self.config) {
            return Err(Failure::usage(
                "addresses of listeners, or of what stands in front of them, have changed, which takes a restart",
            )
                .hint("restart serve; nothing of the new file is in force until then"));
        }
        if config.feed != self.config.feed {
            return Err(Failure::usage(
                "the feed, or what is shown to it, has changed, which takes a restart",
            )
            .hint("restart serve; nothing of the new file is in force until then"));
        }
        // All or nothing: each is loaded before any is put in force.
        let snapshots = self.loader.load(context, &config)?;
        self.traces.iter().try_for_each(|traces| traces.reload(context))?;
        tell(&self.observer, &snapshots);
        for (handle, snapshot) in self.handles.iter().zip(snapshots) {
            handle.replace(snapshot);
        }
        self.quota.replace(config.identity_limits());
        let is_partly = config.limits != self.config.limits
            || (config.workers, config.log, config.admin)
                != (self.config.workers, self.config.log, self.config.admin);
        self.config = config;
        Ok(match is_partly {
            true => "Loaded anew; limits, workers, log and admin address wait for a restart.",
            false => "Loaded anew: certificate, anchors, lists.",
        }
        .to_owned())
    }
}

impl Source for Running {
    fn files(&self) -> Vec<PathBuf> {
        let traces = self.traces.iter().flat_map(trace::Traces::files);
        self.config.files().into_iter().chain(traces).collect()
    }

    fn looked_after_by(&self, thread: std::thread::Thread) {
        self.loader.wake(thread);
    }

    fn version(&self, now: Timestamp) -> u64 {
        self.loader.version(now)
    }

    fn reload(&mut self, context: &Context) -> Result<String, Failure> {
        self.manager.reloading();
        let loaded = self.load(context);
        self.manager.reloaded(&self.status, loaded.is_ok());
        loaded
    }
}

/// Tells the observer what the server shows and checks by.
fn tell(observer: &Observer, snapshots: &[Snapshot]) {
    let mut own = Vec::new();
    let mut lists = Vec::new();
    let mut anchors = Vec::new();
    for snapshot in snapshots {
        for credentials in std::iter::once(&snapshot.credentials).chain(&snapshot.more_credentials) {
            let leaf = credentials.leaf();
            own.push(OwnCertificate {
                name: leaf.short_name(),
                not_after: leaf.not_after(),
                serial: pki::hex(leaf.serial()),
            });
        }
        anchors.extend(snapshot.trust.anchors().iter().map(|anchor| pki::hex(&anchor.sha256())));
        lists.extend(snapshot.crls.iter().map(|crl| (crl.issuer().to_string(), crl.next_update())));
    }
    anchors.sort();
    anchors.dedup();
    own.sort();
    own.dedup();
    lists.sort();
    lists.dedup();
    observer.loaded(own, lists, anchors);
}

fn announce(context: &Context, listener: &Listener, sockets: &[TcpListener]) {
    let address = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(listener.address);
    let host = if address.ip().is_loopback() { "localhost".to_owned() } else { address.ip().to_string() };
    let what = match listener.routes.as_slice() {
        [route] => describe(&route.answer),
        routes => format!("{} routes", routes.len()),
    };
    context.say(format!("{BOLD}https://{host}:{}/{BOLD:#}  {what}", address.port()));
    if let Certificates::Local(names) = &listener.certificates {
        context.say(format!("  certificate for {}, from the local authority", names.join(", ")));
    }
    context.say(match listener.client_auth {
        ClientAuth::Off => "  asks no client for a certificate",
        ClientAuth::Optional { allow_anonymous: true } => {
            "  asks clients for a certificate, and lets those through who have none"
        }
        ClientAuth::Optional { allow_anonymous: false } => {
            "  asks clients for a certificate, and answers 403 without one"
        }
        ClientAuth::Require => "  requires a client certificate",
    });
    let rules: Vec<&str> = listener.policy.texts().take(12).collect();
    if !rules.is_empty() {
        let more = listener.policy.statements().len() - rules.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        context.say(format!("  admits: {}{more}", rules.join(", ")));
    }
    if let [_, _, ..] = listener.routes.as_slice() {
        for route in &listener.routes {
            let host = route.host.as_ref().map_or_else(String::new, ToString::to_string);
            context.say(format!("  {}: {host}{}  {}", route.name, route.path, describe(&route.answer)));
        }
    }
}

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Upstream(upstream) if upstream.to.iter().any(|to| to.starts_with("tcp:")) => {
            format!("{}, which gets what they send", upstream.to.join(", "))
        }
        Answer::Upstream(upstream) => {
            format!("{}, which hears of the client in its request headers", upstream.to.join(", "))
        }
        Answer::Directory(dir) => format!("the files of {}", dir.display()),
        Answer::Identity => "a page that shows visitors who they are".to_owned(),
        Answer::TryIt => "the page that shows the lock opened, or why it stays closed".to_owned(),
    }
}
