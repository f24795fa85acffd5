//! Recording a connection: its bytes in both directions as they pass, and its secrets. What becomes of a recording is
//! `explain`'s work; whoever has one can read the connection, so it goes nowhere by itself.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use explain::capture::{Event, Transcript, What};
use explain::finding::Sender;
use jiff::Timestamp;
use rustls::KeyLog;

/// A recording stops taking bytes here, so that a download costs no memory: 4 MiB hold every handshake.
const MOST_BYTES: usize = 4 << 20;

/// Takes down what passes. Its clones write to one recording.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    started: Instant,
    /// Where secrets go besides, where somebody else wants them too.
    also: Option<Arc<dyn KeyLog>>,
    state: Mutex<State>,
}

struct State {
    transcript: Transcript,
    bytes: usize,
}

impl Recorder {
    /// A recorder that starts now.
    ///
    /// ```
    /// let recorder = net::record::Recorder::start("127.0.0.1:50000", "localhost:8443", None);
    /// assert!(recorder.transcript().events.is_empty());
    /// ```
    #[must_use]
    pub fn start(client: &str, server: &str, also: Option<Arc<dyn KeyLog>>) -> Self {
        let transcript = Transcript {
            client: client.to_owned(),
            server: server.to_owned(),
            started: Some(Timestamp::now()),
            ..Transcript::default()
        };
        Recorder(Arc::new(Inner {
            started: Instant::now(),
            also,
            state: Mutex::new(State { transcript, bytes: 0 }),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time since the start, as finely as a transcript's file has it: what is saved is to read back the same.
    fn now(&self) -> Duration {
        let now = self.0.started.elapsed();
        Duration::new(now.as_secs(), now.subsec_micros() * 1000)
    }

    /// Takes down bytes.
    pub fn bytes(&self, sender: Sender, bytes: &[u8]) {
        let mut state = self.state();
        let at = self.now();
        let taken = &bytes[..bytes.len().min(MOST_BYTES - state.bytes)];
        state.bytes += taken.len();
        state.transcript.push_bytes(sender, at, taken);
    }

    /// Takes down that one side ended, the first time.
    pub fn ended(&self, sender: Sender, what: What) {
        let mut state = self.state();
        let at = self.now();
        let known = |event: &Event| {
            event.sender == sender && !matches!(event.what, What::Bytes(_) | What::Missing(_))
        };
        if !state.transcript.events.iter().any(known) {
            state.transcript.events.push(Event { sender, at, what });
        }
    }

    /// Names the client, once its address is known.
    pub fn name_client(&self, client: &str) {
        client.clone_into(&mut self.state().transcript.client);
    }

    /// Notes something beside the bytes.
    pub fn remark(&self, remark: impl Into<String>) {
        self.state().transcript.remarks.push(remark.into());
    }

    /// What was recorded until now.
    #[must_use]
    pub fn transcript(&self) -> Transcript {
        self.state().transcript.clone()
    }
}

impl KeyLog for Recorder {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if let Ok(random) = <[u8; 32]>::try_from(client_random) {
            self.state().transcript.secrets.insert(random, label, secret);
        }
        if let Some(also) = &self.0.also {
            also.log(label, client_random, secret);
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder({} bytes)", self.state().bytes)
    }
}
