//! `countersign agent`: keeps certificates fresh.
//!
//! From a list to a certificate: `config` says what is wanted, `schedule` when it is due, `source` asks an authority for
//! it, `files` puts it in place, `reload` tells who uses it, `state` remembers what went wrong, `metrics` tells it.

mod challenge;
mod config;
mod files;
mod metrics;
mod reload;
mod schedule;
mod source;
mod state;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::context::{BOLD, Context, DIM, report};
use crate::failure::{Exit, Failure, Outcome};
use crate::input::plain;
use config::{Config, Wanted};
use source::Denied;
use state::{Standing, States};

/// Keep certificates fresh, from a list: joined, by ACME or by EST
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign agent --config agent.toml
      # stays, renews in time, reloads who uses them
  countersign agent --config agent.toml --once
      # for a timer: renews what is due, exits 1 when something is overdue
  countersign agent --config agent.toml --status

An agent.toml:
  [[certificate]]
  files = \"/etc/mtls/alice.pem\"        # and alice-key.pem beside it
  join = {}                            # renews what `join` obtained
  reload = { unit = \"nginx.service\" }

  [[certificate]]
  files = \"/etc/mtls/web.pem\"
  reload = { command = [\"systemctl\", \"reload\", \"haproxy\"] }
  [certificate.acme]
  directory = \"https://ca.acme.test:8444/acme/directory\"
  anchors = \"/etc/mtls/rootCA.pem\"
  keep_anchors = true                  # follows a change of its root
  names = [\"web.acme.test\"]
  http_listen = \"0.0.0.0:80\"

  [[certificate]]
  files = \"/etc/mtls/robot.pem\"        # and robot-key.uri beside it
  key_at = \"pkcs11:token=tpm;object=robot?pin-source=file:/etc/tpm.pin\"
  [certificate.est]
  url = \"https://ca.acme.test:8444\"
  names = [\"robot\"]")]
pub(crate) struct Agent {
    /// The list of certificates, in TOML
    #[arg(long, value_name = "FILE", default_value = "agent.toml")]
    config: PathBuf,

    /// Do what is due now, then end: 0 when all is fresh, 1 when something is overdue
    #[arg(long, conflicts_with = "status")]
    once: bool,

    /// Say how each certificate stands, and change nothing
    #[arg(long)]
    status: bool,

    /// Serve metrics at http://ADDRESS/metrics
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<std::net::SocketAddr>,

    /// With --status, print the facts as JSON
    #[arg(long, requires = "status")]
    json: bool,
}

/// The longest sleep: a clock that was set, and a suspended machine, are noticed after this time.
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_secs(60);

impl Agent {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let config = Config::read(&self.config)?;
        for wanted in &config.certificates {
            files::recover(wanted)?;
        }
        if self.status {
            return self.tell_status(context, &config);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::usage(format!("cannot start: {}", plain(&error))))?;
        let states = Arc::new(Mutex::new(States::new(&config)));
        if self.once {
            runtime.block_on(pass(context, &config, &states, true));
            return Ok(self.verdict(context, &config, &states));
        }
        // What it starts to have a service reload may need rights of its own (sudo), so those stay possible.
        crate::hardening::lock_memory();
        runtime.block_on(self.stay(context, config, states))
    }

    async fn stay(&self, context: &Context, config: Config, states: Arc<Mutex<States>>) -> Outcome {
        use tokio::signal::unix::{SignalKind, signal};
        let cannot =
            |error: std::io::Error| Failure::usage(format!("cannot wait for signals: {}", plain(&error)));
        let mut hangup = signal(SignalKind::hangup()).map_err(cannot)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        if let Some(address) = self.metrics.or(config.metrics) {
            let bound = metrics::serve(address, Arc::clone(&states)).await?;
            context.say(format!("metrics at {BOLD}http://{bound}/metrics{BOLD:#}"));
        }
        let count = config.certificates.len();
        let what = if count == 1 { "one certificate" } else { "certificates" };
        context.say(if count == 1 {
            format!("Keeping {what} fresh.")
        } else {
            format!("Keeping {count} {what} fresh.")
        });
        context.say(format!("{DIM}Ctrl-C ends it; SIGHUP reads {} again.{DIM:#}", self.config.display()));
        let mut config = config;
        loop {
            // A signal waits until what has begun is in place: half a renewal is none.
            pass(context, &config, &states, false).await;
            let sleep = {
                let states = states.lock().unwrap_or_else(PoisonError::into_inner);
                states.next(context.now()).clamp(SignedDuration::from_secs(1), LONGEST_SLEEP)
            };
            let sleep = Duration::from_secs(u64::try_from(sleep.as_secs()).unwrap_or(1));
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                _ = terminate.recv() => return Ok(Exit::Done),
                _ = interrupt.recv() => return Ok(Exit::Done),
                _ = hangup.recv() => match Config::read(&self.config) {
                    Ok(fresh) => {
                        states.lock().unwrap_or_else(PoisonError::into_inner).follow(&fresh);
                        config = fresh;
                        context.say(format!("{} was read again.", self.config.display()));
                    }
                    // What worked goes on.
                    Err(failure) => report(&failure),
                },
            }
        }
    }

    /// What `--once` comes to: which are overdue now.
    fn verdict(&self, context: &Context, config: &Config, states: &Mutex<States>) -> Exit {
        let states = states.lock().unwrap_or_else(PoisonError::into_inner);
        let now = context.now();
        let mut overdue = 0;
        for wanted in &config.certificates {
            if let Some(why) = states.of(wanted).overdue(now) {
                overdue += 1;
                context.warn(format!("{} {why}", wanted.files.certificate().display()));
            }
        }
        if overdue == 0 { Exit::Done } else { Exit::Refused }
    }

    fn tell_status(&self, context: &Context, config: &Config) -> Outcome {
        let states = States::new(config);
        let now = context.now();
        let mut overdue = false;
        let mut all = Vec::new();
        for wanted in &config.certificates {
            let standing = states.of(wanted);
            overdue |= standing.overdue(now).is_some();
            let path = wanted.files.certificate().display().to_string();
            if self.json {
                all.push(standing.json(&path, now));
            } else {
                context.data(format!("{path}  {}\n", standing.sentence(now)));
            }
        }
        if self.json {
            context.json(&serde_json::Value::Array(all));
        }
        Ok(if overdue { Exit::Refused } else { Exit::Done })
    }
}

/// Does what is due: renews, and reloads. One after the other: an authority that is down is asked once for each, and a
/// hook never runs beside itself.
async fn pass(context: &Context, config: &Config, states: &Mutex<States>, at_once: bool) {
    for wanted in &config.certificates {
        let lock = || states.lock().unwrap_or_else(PoisonError::into_inner);
        let mut standing = lock().of(wanted);
        let now = context.now();
        standing.refresh(wanted, now);
        ask_when(wanted, &mut standing, now).await;
        if standing.is_due(now) && (at_once || standing.may_try(now)) {
            match renew(context, wanted, &standing).await {
                Ok(()) => {
                    standing.renewed(wanted, context.now());
                    let until =
                        standing.until().map_or_else(String::new, |end| format!(", good until {end}"));
                    context.say(format!("{}: renewed{until}", wanted.files.certificate().display()));
                }
                Err(denied) => {
                    standing.failed(context.now(), &denied);
                    report(&denied.failure);
                    let again = standing.next_try().map_or_else(String::new, |at| format!("; next try {at}"));
                    context.say(format!("{}: not renewed{again}", wanted.files.certificate().display()));
                }
            }
        }
        if standing.wants_reload() {
            match reload::run(wanted).await {
                Ok(()) => standing.reloaded(),
                Err(failure) => {
                    standing.reload_failed();
                    report(&failure);
                }
            }
        }
        lock().keep(wanted, standing);
    }
}

/// Asks whom to believe, and when the authority suggests to renew, where it can say (RFC 9773), as often as it wants to be
/// asked.
async fn ask_when(wanted: &Wanted, standing: &mut Standing, now: Timestamp) {
    if !standing.asks_suggestion(now) {
        return;
    }
    let Some(certificate) = standing.certificate().cloned() else { return };
    // An authority that is away is asked again with the next question, and what is renewed meanwhile leads to a root that
    // is believed.
    if let Ok(true) = source::believe(wanted).await {
        standing.believes_anew(wanted);
    }
    match source::suggestion(wanted, &certificate).await {
        Ok(suggestion) => standing.suggested(suggestion, now),
        // It goes by two thirds of the life then (RFC 9773 section 4.3.3 lets clients do so).
        Err(_) => standing.suggested(None, now),
    }
}

async fn renew(context: &Context, wanted: &Wanted, standing: &Standing) -> Result<(), Denied> {
    let (key, chain) = source::obtain(context, wanted, standing.certificate()).await?;
    Ok(files::install(wanted, &key, &chain)?)
}
