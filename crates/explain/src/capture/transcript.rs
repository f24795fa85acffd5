//! The recorded conversation of one connection with its secrets, and the file it is kept in.
//!
//! The file is text, one event a line, so that it can be read, compared and cut by hand. Version 1:
//!
//! ```text
//! countersign transcript 1
//! client 127.0.0.1:50012
//! server localhost:8443
//! started 2026-11-25T18:00:00.123456Z
//! remark the server's certificate is not verified: unknown_issuer
//! secret <label> <client random, hex> <secret, hex>
//! > 0.000120 <bytes that the client sent, hex>
//! < 0.001340 <bytes that the server sent, hex>
//! >? 0.002000 <number of bytes that are missing from the recording>
//! <. 0.200000 closed
//! <. 0.200000 reset
//! ```
//!
//! `client`, `server` and `started` stand once each; times are seconds since `started`. Empty lines and lines that
//! start with `#` mean nothing. A reader refuses versions it does not know. It holds the secrets of the connection:
//! the file belongs to its owner alone.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::capture::key_log::{KeyLog, from_hex};
use crate::finding::Sender;

/// The first line of a file.
const FIRST_LINE: &str = "countersign transcript 1";

/// What happened on one side at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose bytes, or whose end.
    pub sender: Sender,
    /// When, counted from the start of the recording.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It sent these bytes.
    Bytes(Vec<u8>),
    /// It sent this many bytes that were not recorded.
    Missing(u64),
    /// It ended its direction (TCP FIN).
    Closed,
    /// It broke the connection off (TCP RST).
    Reset,
}

/// The recorded conversation of one connection.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    /// The client: an address, or a name.
    pub client: String,
    /// The server: an address, or the name that was dialled.
    pub server: String,
    /// When the recording began.
    pub started: Option<Timestamp>,
    /// What happened, in order of time.
    pub events: Vec<Event>,
    /// The secrets, where they are known.
    pub secrets: KeyLog,
    /// What the recorder noted, such as its verdict on the server's certificate.
    pub remarks: Vec<String>,
}

/// Why a transcript cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranscriptError {
    /// It is something else.
    #[error("this is no transcript: its first line is not '{FIRST_LINE}'")]
    NotATranscript,
    /// It is of another version.
    #[error(
        "this transcript is of version {0}, and only version 1 is known here; a newer countersign may read it"
    )]
    Version(String),
    /// A line cannot be understood.
    #[error("line {number} of the transcript cannot be understood: {problem}")]
    Line {
        /// Its number, from 1.
        number: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Transcript {
    /// Reads a file's contents.
    ///
    /// # Errors
    /// [`TranscriptError`].
    ///
    /// ```
    /// use explain::capture::transcript::Transcript;
    /// let text = "countersign transcript 1\nclient a\nserver b\n> 0.000001 160301\n";
    /// let transcript = Transcript::from_bytes(text.as_bytes())?;
    /// assert_eq!(transcript.events.len(), 1);
    /// assert_eq!(Transcript::from_bytes(&transcript.to_bytes())?.events, transcript.events);
    /// # Ok::<(), explain::capture::transcript::TranscriptError>(())
    /// ```
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TranscriptError> {
        let text = std::str::from_utf8(bytes).map_err(|_| TranscriptError::NotATranscript)?;
        let mut lines = (1..).zip(text.lines());
        let first = lines.next().map(|(_, line)| line.trim_end()).unwrap_or_default();
        if first != FIRST_LINE {
            return Err(match first.strip_prefix("countersign transcript ") {
                Some(version) => TranscriptError::Version(version.chars().take(20).collect()),
                None => TranscriptError::NotATranscript,
            });
        }
        let mut transcript = Transcript::default();
        for (number, line) in lines {
            let line = line.trim_end();
            if !line.is_empty() && !line.starts_with('#') {
                transcript.read_line(line).map_err(|problem| TranscriptError::Line { number, problem })?;
            }
        }
        Ok(transcript)
    }

    fn read_line(&mut self, line: &str) -> Result<(), &'static str> {
        let (word, rest) = line.split_once(' ').ok_or("a word and a value belong here")?;
        match word {
            "client" => self.client = crate::escape::text(rest),
            "server" => self.server = crate::escape::text(rest),
            "started" => self.started = Some(rest.parse().map_err(|_| "this is no time")?),
            "remark" => self.remarks.push(crate::escape::text(rest)),
            "secret" => {
                let before = self.secrets.strange_lines;
                self.secrets.add(rest.as_bytes());
                if self.secrets.strange_lines > before {
                    return Err("a label, a random value of 32 bytes and a secret belong here");
                }
            }
            _ => {
                let sender = match word.as_bytes().first() {
                    Some(b'>') => Sender::Client,
                    Some(b'<') => Sender::Server,
                    _ => return Err("no line of version 1 starts like this"),
                };
                let (at, value) = rest.split_once(' ').ok_or("a time and a value belong here")?;
                let at = at.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                let at = at.ok_or("this is no number of seconds")?;
                let what = match (&word[1..], value) {
                    ("", hex) => What::Bytes(from_hex(hex).ok_or("the bytes are not hexadecimal")?.to_vec()),
                    ("?", count) => What::Missing(count.parse().map_err(|_| "this is no number of bytes")?),
                    (".", "closed") => What::Closed,
                    (".", "reset") => What::Reset,
                    _ => return Err("no line of version 1 starts like this"),
                };
                self.events.push(Event { sender, at, what });
            }
        }
        Ok(())
    }

    /// The file's contents. They hold the secrets: write them for their owner alone.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(format!("{FIRST_LINE}\n"));
        let out = &mut *text;
        // A word without a value is no line.
        for (word, value) in [("client", &self.client), ("server", &self.server)] {
            if !value.trim().is_empty() {
                let _ = writeln!(out, "{word} {value}");
            }
        }
        if let Some(started) = self.started {
            let _ = writeln!(out, "started {started}");
        }
        for remark in self.remarks.iter().filter(|remark| !remark.trim().is_empty()) {
            let _ = writeln!(out, "remark {}", crate::escape::text(remark));
        }
        for line in self.secrets.to_lines().lines() {
            let _ = writeln!(out, "secret {line}");
        }
        for event in &self.events {
            let arrow = if event.sender == Sender::Client { '>' } else { '<' };
            let at = event.at.as_secs_f64();
            // Writing into a String cannot fail.
            let _ = match &event.what {
                What::Bytes(bytes) => writeln!(out, "{arrow} {at:.6} {}", pki::hex(bytes)),
                What::Missing(count) => writeln!(out, "{arrow}? {at:.6} {count}"),
                What::Closed => writeln!(out, "{arrow}. {at:.6} closed"),
                What::Reset => writeln!(out, "{arrow}. {at:.6} reset"),
            };
        }
        Zeroizing::new(text.as_bytes().to_vec())
    }

    /// Adds bytes; a reader of what one side sent sees them as one stream.
    pub fn push_bytes(&mut self, sender: Sender, at: Duration, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.events.push(Event { sender, at, what: What::Bytes(bytes.to_vec()) });
        }
    }

    /// All bytes of one side.
    #[must_use]
    pub fn stream(&self, sender: Sender) -> Vec<u8> {
        let mut stream = Vec::new();
        for event in self.events.iter().filter(|event| event.sender == sender) {
            if let What::Bytes(bytes) = &event.what {
                stream.extend_from_slice(bytes);
            }
        }
        stream
    }
}
