//! A gateway's side of an authority's feed: what the authority says about whom to believe, kept as it is told. When the
//! feed is cut, what is known stays in force, and it is said how old it is; where it begins again, nothing is missed.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use net::dial::TlsOptions;
use net::fetch::{Options, Request, Response, fetch};
use net::tls::server_verifier::Expectation;
use net::url::Url;
use pki::Certificate;
use pki::crl::{CertificateRevocationList, Revocation, RevocationReason};
use pki::policy::Policy;
use pki::verify::TrustBundle;
use serde_json::Value;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::http::credentials;

/// How long the first snapshot is waited for.
const FIRST: Duration = Duration::from_secs(20);

/// A feed that is silent for longer is cut: a pulse comes every three seconds.
const SILENCE: Duration = Duration::from_secs(10);

/// Between two tries to connect: at first, and at most.
const AGAIN: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];

/// The longest event: a list of a million entries is 40 MB, and a third more in base64.
const LONGEST_EVENT: usize = 128 << 20;

/// What the authority has said.
#[derive(Clone, Default)]
pub(crate) struct Known {
    pub(crate) anchors: Vec<Certificate>,
    /// Those of all issuing CAs of the authority; none before the first snapshot.
    pub(crate) lists: Vec<CertificateRevocationList>,
    /// The rules that the authority has published, where it has.
    pub(crate) rules: Option<Policy>,
    /// The number of the last event.
    sequence: Option<u64>,
    /// When the authority was last heard.
    pub(crate) heard: Option<Timestamp>,
    /// Grows with each change.
    generation: u64,
}

#[derive(Default)]
struct Shared {
    known: Mutex<Known>,
    wake: Mutex<Vec<Thread>>,
}

/// A feed that is followed. Cloning it is cheap, and gives the same one.
#[derive(Clone)]
pub(crate) struct Feed(Arc<Shared>);

impl Feed {
    /// Follows a feed, and waits for its first snapshot. A thread of its own goes on following it.
    pub(crate) fn follow(
        context: &Context,
        base: &str,
        certificate: &Path,
        key: &Path,
        anchors: TrustBundle,
    ) -> Result<Self, Failure> {
        let url = Url::parse(&format!("{}/api/v1/feed", base.trim_end_matches('/'))).or_usage()?;
        // Read once to tell what is wrong with them at the start; the thread reads them again at each connection.
        credentials(context, certificate, key)?;
        let shared = Arc::new(Shared::default());
        let follower = Follower {
            shared: Arc::clone(&shared),
            url,
            anchors,
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let (first, started) = std::sync::mpsc::channel();
        std::thread::spawn(move || follower.run(&first));
        match started.recv_timeout(FIRST) {
            Ok(Ok(())) => Ok(Feed(shared)),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::unreachable(format!(
                "the feed of {base} gave no snapshot within {} s",
                FIRST.as_secs()
            ))),
        }
    }

    /// One that knows this, and hears nothing more.
    #[cfg(test)]
    pub(crate) fn knowing(known: Known) -> Self {
        Feed(Arc::new(Shared { known: Mutex::new(known), wake: Mutex::default() }))
    }

    /// What is known now.
    pub(crate) fn known(&self) -> Known {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// Has a parked thread woken at each change.
    pub(crate) fn wake(&self, thread: Thread) {
        self.0.wake.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }
}

type First = std::sync::mpsc::Sender<Result<(), Failure>>;

struct Follower {
    shared: Arc<Shared>,
    url: Url,
    anchors: TrustBundle,
    certificate: std::path::PathBuf,
    key: std::path::PathBuf,
}

impl Follower {
    /// Follows for as long as the process lives; the first connection must succeed.
    fn run(self, first: &First) {
        let context = Context::from_environment(None, false);
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ =
                    first.send(Err(Failure::usage(format!("cannot start: {}", crate::input::plain(&error)))));
                return;
            }
        };
        let mut pause = AGAIN[0];
        let mut is_first = true;
        let mut is_cut = false;
        loop {
            let heard_before = self.known(|known| known.heard);
            let ended = runtime.block_on(self.listen(&context, first));
            let heard = self.known(|known| known.heard);
            if is_first && heard.is_none() {
                let _ = first.send(Err(ended));
                return;
            }
            is_first = false;
            if heard != heard_before {
                (pause, is_cut) = (AGAIN[0], false);
            }
            if !is_cut {
                let since = heard.map(|at| at.to_string()).unwrap_or_default();
                context.warn(format!("the feed is cut; what was known at {since} stays in force"));
                crate::context::report(&ended);
                is_cut = true;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(AGAIN[1]);
        }
    }

    fn known<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.shared.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One connection, to its end.
    async fn listen(&self, context: &Context, first: &First) -> Failure {
        match self.connect(context).await {
            Err(failure) => failure,
            Ok(mut response) => {
                let mut buffer: Vec<u8> = Vec::new();
                loop {
                    let chunk = match tokio::time::timeout(SILENCE, response.chunk()).await {
                        Err(_) => {
                            let silence = SILENCE.as_secs();
                            return Failure::unreachable(format!("it has been silent for {silence} s"));
                        }
                        Ok(Err(error)) => return Failure::unreachable("it broke off").because(&error),
                        Ok(Ok(None)) => return Failure::unreachable("the authority ended it"),
                        Ok(Ok(Some(chunk))) => chunk,
                    };
                    // Only what is new can complete an event, with one octet of what was there.
                    let mut from = buffer.len().saturating_sub(1);
                    buffer.extend_from_slice(&chunk);
                    while let Some(end) = find(&buffer[from..]) {
                        let event: Vec<u8> = buffer.drain(..from + end + 2).collect();
                        from = 0;
                        if let Err(failure) = self.take(&event) {
                            return failure;
                        }
                        let _ = first.send(Ok(()));
                    }
                    if buffer.len() > LONGEST_EVENT {
                        return Failure::refused("it sent an event of more than 128 MiB");
                    }
                }
            }
        }
    }

    async fn connect(&self, context: &Context) -> Result<Response, Failure> {
        // Whom the authority itself said to believe, as soon as it has: its root may have changed since the start.
        let told = self.known(|known| known.anchors.clone());
        let anchors = if told.is_empty() { self.anchors.clone() } else { TrustBundle::new(told) };
        let mut tls = TlsOptions::new(Expectation::new(anchors));
        tls.credentials = Some(credentials(context, &self.certificate, &self.key)?);
        let mut request = Request::get(self.url.clone());
        if let Some(sequence) = self.known(|known| known.sequence) {
            let value = http::HeaderValue::from(sequence);
            request.headers.insert(http::HeaderName::from_static("last-event-id"), value);
        }
        let mut options = Options::new(tls);
        options.connect_timeout = SILENCE;
        let answer = tokio::time::timeout(SILENCE, fetch(request, &options)).await;
        let slow = || Failure::unreachable(format!("the feed at {} does not answer", self.url));
        let response = answer.map_err(|_| slow())?.map_err(|error| slow().because(&error))?;
        match response.status() {
            200 => Ok(response),
            status => {
                let document: Value =
                    serde_json::from_slice(&response.bytes().await.unwrap_or_default()).unwrap_or_default();
                let detail = document["detail"].as_str().map(explain::escape::text);
                let detail = detail.unwrap_or_else(|| format!("it answered with the status {status}"));
                Err(Failure::refused(format!("the feed at {} is refused: {detail}", self.url))
                    .hint("countersign identity set NAME --role gateway    (at the authority)"))
            }
        }
    }

    /// Takes one event in.
    fn take(&self, event: &[u8]) -> Result<(), Failure> {
        let wrong = |what: &str| Failure::refused(format!("the feed is not understood: {what}"));
        let text = std::str::from_utf8(event).map_err(|_| wrong("it is no text"))?;
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim_start))
        };
        let Some(kind) = field("event") else { return Ok(()) };
        let id = field("id").and_then(|id| id.parse::<u64>().ok());
        let document: Value = serde_json::from_str(field("data").unwrap_or("null"))
            .map_err(|_| wrong("an event's data is no JSON"))?;
        let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.heard = Some(Timestamp::now());
        known.sequence = id.or(known.sequence);
        match kind {
            "snapshot" => {
                let lists = lists(&document)?.ok_or_else(|| wrong("a snapshot has no list"))?;
                known.anchors = certificates(&document["anchors"]).ok_or_else(|| wrong("no anchors"))?;
                known.lists = lists;
                known.rules = rules(&document["rules"])?;
            }
            "policy" => known.rules = rules(&document["rules"])?,
            "trust" => {
                let lists = lists(&document)?;
                known.anchors = certificates(&document["anchors"]).ok_or_else(|| wrong("no anchors"))?;
                known.lists = lists.unwrap_or_else(|| std::mem::take(&mut known.lists));
            }
            "revoke" | "release" => {
                let serial = document["serial"].as_str().and_then(pki::unhex);
                let serial = serial.ok_or_else(|| wrong("it names no serial number"))?;
                if known.lists.is_empty() {
                    return Err(wrong("it begins without a snapshot"));
                }
                let at =
                    document["at"].as_str().and_then(|at| at.parse().ok()).unwrap_or_else(Timestamp::now);
                let code = document["reason"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(0);
                let revocation = Revocation { revoked_at: at, reason: RevocationReason::from_code(code) };
                // No two certificates of an authority share a number, whichever of its CAs signed them.
                let amended = |list: &CertificateRevocationList| match kind {
                    "revoke" => list.amended([(serial.clone(), revocation)], []),
                    _ => list.amended([], [serial.clone()]),
                };
                known.lists = known.lists.iter().map(amended).collect();
            }
            // What a later authority says beside this is none of a gateway's business yet.
            _ => return Ok(()),
        }
        known.generation += 1;
        drop(known);
        for thread in self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            thread.unpark();
        }
        Ok(())
    }
}

/// The rules as a policy. Some that cannot be read are those of a newer authority: what was in force stays so, and the feed
/// is cut, which is said.
fn rules(value: &Value) -> Result<Option<Policy>, Failure> {
    let Some(text) = value.as_str() else { return Ok(None) };
    Ok(Some(Policy::of(pki::policy::read(text).or_refuse()?)))
}

/// The lists of an event; an authority from before rollovers sends one.
fn lists(document: &Value) -> Result<Option<Vec<CertificateRevocationList>>, Failure> {
    let all = match &document["lists"] {
        Value::Array(all) => all.as_slice(),
        _ => std::slice::from_ref(&document["list"]),
    };
    let ders: Option<Vec<Vec<u8>>> = all.iter().map(|text| STANDARD.decode(text.as_str()?).ok()).collect();
    let Some(ders) = ders.filter(|ders| !ders.is_empty()) else { return Ok(None) };
    ders.iter()
        .map(|der| CertificateRevocationList::from_der(der).or_refuse())
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Where the empty line that ends an event begins.
fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\n\n")
}

fn certificates(value: &Value) -> Option<Vec<Certificate>> {
    let all: Option<Vec<Certificate>> = value
        .as_array()?
        .iter()
        .map(|text| {
            let blocks = pki::pem::read(text.as_str()?.as_bytes()).ok()?;
            Certificate::from_der(&blocks.first()?.der).ok()
        })
        .collect();
    // Nobody to believe is a mistake rather than a wish.
    all.filter(|all| !all.is_empty())
}
