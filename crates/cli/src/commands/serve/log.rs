//! The access log on standard output. Records are made into lines where they arise and written together, a moment
//! later, by a thread of their own: a system call for each line would cost a tenth of a request, and a reader that is
//! slow must not hold up who is served. What it cannot take is dropped, and said.

use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use net::serve::Log;

use crate::config::LogFormat;

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(20);
/// What may wait for a slow reader.
const WAITING: usize = 8 * 1024 * 1024;

#[derive(Default)]
struct Lines {
    waiting: Vec<u8>,
    dropped: u64,
    over: bool,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    arrived: Condvar,
}

/// The writing thread.
pub(crate) struct Writer {
    format: LogFormat,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Writes until it is stopped.
    pub(crate) fn start(format: LogFormat) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = (format != LogFormat::Off).then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || write_all(&shared))
        });
        Writer { format, shared, thread }
    }

    /// What takes the records.
    pub(crate) fn log(&self) -> Log {
        let format = self.format;
        let shared = Arc::clone(&self.shared);
        Arc::new(move |record| match format {
            LogFormat::Text => shared.take(&record.text()),
            LogFormat::Json => shared.take(&record.json().to_string()),
            LogFormat::Off => {}
        })
    }

    /// Writes what is left, and ends.
    pub(crate) fn stop(mut self) {
        self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.shared.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn take(&self, line: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.waiting.len() + line.len() > WAITING {
            lines.dropped += 1;
            return;
        }
        let was_empty = lines.waiting.is_empty();
        lines.waiting.extend_from_slice(line.as_bytes());
        lines.waiting.push(b'\n');
        drop(lines);
        if was_empty {
            self.arrived.notify_one();
        }
    }
}

fn write_all(shared: &Shared) {
    let mut written = Vec::new();
    loop {
        let mut lines = shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        while lines.waiting.is_empty() && !lines.over {
            lines = shared.arrived.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
        if !lines.over {
            // The first line's companions are on their way.
            drop(lines);
            std::thread::sleep(GATHER);
            lines = shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut lines.waiting, &mut written);
        let dropped = std::mem::take(&mut lines.dropped);
        let over = lines.over && lines.waiting.is_empty();
        drop(lines);
        let mut out = std::io::stdout().lock();
        // A log that nobody reads any more ends nothing.
        let _ = out.write_all(&written).and_then(|()| out.flush());
        written.clear();
        if dropped > 0 {
            eprintln!("{dropped} lines of the access log were dropped: its reader is too slow");
        }
        if over {
            return;
        }
    }
}
