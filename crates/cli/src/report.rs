//! A gateway that follows an authority's feed tells it how it does, whom it sees, and whom it refuses, so that the
//! console can show it. Nothing waits for that: what cannot be told is told later, or not at all.

mod handshakes;

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use explain::capture::Transcript;
use jiff::Timestamp;
use net::dial::TlsOptions;
use net::fetch::{Options, Request, RequestBody, fetch};
use net::observe::Observer;
use net::serve::{AccessRecord, Log, Recordings, RefusalRecord};
use net::tls::server_verifier::Expectation;
use net::url::Url;
use pki::verify::TrustBundle;
use serde_json::{Value, json};

use crate::config::FeedSource;
use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::feed::Feed;
use crate::http::credentials;
use handshakes::Waiting;

/// Between two reports.
const EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether the gateway believes others than it said, or shows another certificate: a step of a
/// rollover waits for that.
const LOOK: Duration = Duration::from_secs(1);
/// One conversation with the authority.
const MAX_TIME: Duration = Duration::from_secs(10);
/// Refusals that wait to be told; more are dropped, since strangers decide how many come.
const WAITING: usize = 64;
/// Refusals told in a minute, for the same reason.
const A_MINUTE: usize = 120;
/// The octets of a report's clients: the service reads bodies up to 64 KiB.
const CLIENTS: usize = 48 * 1024;
/// A recording that is longer is not sent, for the same reason: base64 makes a third more of it.
const RECORDING: usize = 40 * 1024;

/// Messages of handshakes told at a time; what is left waits for the next report.
const MESSAGES: usize = 4;

/// Transcripts, each with the address of the client that it is of.
type Recorded = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// What tells the authority.
pub(crate) struct Reporter {
    sender: SyncSender<Refused>,
    /// Recordings whose record has not come yet, with the client's address.
    recorded: Recorded,
}

struct Refused {
    record: RefusalRecord,
    transcript: Option<Vec<u8>>,
}

/// How the authority is reached, and what is told of.
struct Teller {
    source: FeedSource,
    feed: Feed,
    observer: Arc<Observer>,
    waiting: Receiver<Refused>,
}

impl Reporter {
    /// Reports for as long as the process lives, on a thread of its own.
    pub(crate) fn start(source: &FeedSource, feed: Feed, observer: Arc<Observer>) -> Self {
        let (sender, waiting) = sync_channel(WAITING);
        let teller = Teller { source: source.clone(), feed, observer, waiting };
        std::thread::spawn(move || teller.run());
        Reporter { sender, recorded: Arc::default() }
    }

    /// What takes recordings of refused handshakes, before it hands them on.
    pub(crate) fn recordings(&self, next: Option<Recordings>) -> Recordings {
        let recorded = Arc::clone(&self.recorded);
        Arc::new(move |transcript: Transcript| {
            let octets = transcript.to_bytes();
            if octets.len() <= RECORDING {
                let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
                if recorded.len() >= WAITING {
                    recorded.remove(0);
                }
                recorded.push((transcript.client.clone(), octets.to_vec()));
            }
            if let Some(next) = &next {
                next(transcript);
            }
        })
    }

    /// What takes access records, before it hands them on.
    pub(crate) fn log(&self, next: Log) -> Log {
        let (sender, recorded) = (self.sender.clone(), Arc::clone(&self.recorded));
        Arc::new(move |record| {
            if let AccessRecord::Refusal(refusal) = record {
                let from = refusal.peer.to_string();
                let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
                let place = recorded.iter().position(|(client, _)| *client == from);
                let transcript = place.map(|place| recorded.remove(place).1);
                drop(recorded);
                match sender.try_send(Refused { record: refusal.clone(), transcript }) {
                    // Told by the log, which has all of them.
                    Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
                }
            }
            next(record);
        })
    }
}

impl Teller {
    fn run(self) {
        let context = Context::from_environment(None, true);
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let mut last: Option<Timestamp> = None;
        let mut next = Instant::now();
        let (mut minute, mut told) = (Instant::now(), 0);
        let mut is_silent = false;
        let mut said = Default::default();
        let mut handshakes = Waiting::default();
        loop {
            let left = next.saturating_duration_since(Instant::now()).min(LOOK);
            let outcome = match self.waiting.recv_timeout(left) {
                Ok(refused) => {
                    if minute.elapsed() > Duration::from_secs(60) {
                        (minute, told) = (Instant::now(), 0);
                    }
                    told += 1;
                    if told > A_MINUTE {
                        continue;
                    }
                    runtime.block_on(self.post(&context, "refusals", &refusal(&refused)))
                }
                Err(RecvTimeoutError::Timeout) => {
                    let is = (self.observer.anchors(), self.observer.own());
                    if Instant::now() < next && is == said {
                        continue;
                    }
                    said = is;
                    next = Instant::now() + EVERY;
                    let now = context.now();
                    let told = runtime.block_on(self.post(&context, "reports", &self.report(last, now)));
                    if told.is_ok() {
                        last = Some(now);
                    }
                    handshakes.add(self.observer.take_handshakes(), now);
                    told.and_then(|()| runtime.block_on(self.tell_handshakes(&context, &mut handshakes)))
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match outcome {
                Ok(()) => is_silent = false,
                // Once: the feed tells of an authority that is away.
                Err(failure) if !is_silent => {
                    context.warn("the authority was not told how this gateway does");
                    crate::context::report(&failure);
                    is_silent = true;
                }
                Err(_) => {}
            }
        }
    }

    /// How the gateway does, and whom it has seen since it told the last time.
    fn report(&self, last: Option<Timestamp>, now: Timestamp) -> Value {
        let mut all = self.observer.clients(now);
        let mut left = CLIENTS;
        let mut clients: Vec<Value> = match all["clients"].take() {
            Value::Array(clients) => clients,
            _ => Vec::new(),
        };
        let seen = |client: &Value| client["last_seen"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        clients.retain(|client| last.is_none_or(|last| seen(client).is_some_and(|at| at >= last)));
        // The authority knows its own, and does not read others'.
        for client in &mut clients {
            client.as_object_mut().and_then(|members| members.remove("certificate"));
        }
        // Of many those that were seen last.
        clients.sort_by_key(|client| std::cmp::Reverse(seen(client)));
        clients.retain(|client| {
            let size = client.to_string().len() + 1;
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        });
        json!({ "gateway": own_name(), "status": self.observer.status(now), "clients": clients })
    }

    async fn tell_handshakes(&self, context: &Context, waiting: &mut Waiting) -> Result<(), Failure> {
        for _ in 0..MESSAGES {
            let Some((message, rest)) = waiting.message(&own_name()) else { return Ok(()) };
            self.post(context, "handshakes", &message).await?;
            *waiting = rest;
        }
        Ok(())
    }

    async fn post(&self, context: &Context, what: &str, body: &Value) -> Result<(), Failure> {
        let base = self.source.url.trim_end_matches('/');
        let url = Url::parse(&format!("{base}/api/v1/{what}")).or_usage()?;
        let mut tls = TlsOptions::new(Expectation::new(TrustBundle::new(self.feed.known().anchors)));
        tls.credentials = Some(credentials(context, Path::new(&self.source.cert), &self.source.key)?);
        let mut request = Request::get(url);
        request.method = http::Method::POST;
        request.body = RequestBody::Bytes(body.to_string().into_bytes().into());
        let mut options = Options::new(tls);
        options.max_time = Some(MAX_TIME);
        let cannot = |error: net::fetch::FetchError| {
            Failure::unreachable(format!("{base} does not answer")).because(&error)
        };
        match fetch(request, &options).await.map_err(cannot)?.status() {
            200 => Ok(()),
            // One from before handshakes were counted has no place for them.
            404 if what == "handshakes" => Ok(()),
            status => Err(Failure::refused(format!("{base} answered a report with the status {status}"))),
        }
    }
}

fn refusal(refused: &Refused) -> Value {
    let Refused { record, transcript } = refused;
    let finding = &record.finding;
    json!({
        "at": record.time.to_string(),
        "from": record.peer.to_string(),
        "code": finding.code.name(),
        "fault": finding.fault.name(),
        "message": finding.summary,
        "evidence": finding.evidence,
        "remedy": finding.remedy,
        "subject": record.subject,
        "serial_number": record.serial,
        "transcript": transcript.as_ref().map(|octets| STANDARD.encode(octets)),
    })
}

/// The machine and the process: what tells one process of an authority or a gateway from another.
pub(crate) fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.chars().filter(char::is_ascii_graphic).take(60).collect();
    let host = if host.is_empty() { "this-machine".to_owned() } else { host };
    format!("{host}/{}", std::process::id())
}
