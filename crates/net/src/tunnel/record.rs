//! What is told of each connection through a tunnel, as a line of text and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use explain::Finding;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::serve::access::clean;
use crate::tls::Negotiated;

/// One connection, told at its end.
#[derive(Debug, Clone)]
pub struct TunnelRecord {
    /// When it was accepted.
    pub time: Timestamp,
    /// Where it came from: an address, or `unix:uid=N`.
    pub from: String,
    /// The target it was connected with; without one the last that was tried.
    pub target: String,
    /// The name of the server to show, once it was verified.
    pub server: Option<String>,
    /// What the handshake agreed on.
    pub tls: Option<Negotiated>,
    /// How it ended.
    pub outcome: Outcome,
    /// The octets sent to the server.
    pub sent: u64,
    /// The octets received from the server.
    pub received: u64,
    /// From accept to the end.
    pub duration: Duration,
}

/// How a connection through a tunnel ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides ended it in order.
    Closed,
    /// The local side broke it off.
    LocalBrokeOff(String),
    /// There was no server to connect it with, the server refused us, or broke it off.
    Failed(Finding),
    /// It was cut off because the tunnel ended.
    CutOff,
}

impl TunnelRecord {
    /// The record as one line without its end; what a server chose is escaped.
    #[must_use]
    pub fn text(&self) -> String {
        let mut line = format!(
            "{} {} -> {} {}",
            self.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            self.from,
            self.target,
            self.verdict(),
        );
        if let Some(server) = &self.server {
            let _ = write!(line, " server={}", clean(server).replace(' ', "\\u{20}"));
        }
        if let Some(tls) = &self.tls {
            let _ = write!(line, " {} {} {}", tls.version, tls.cipher_suite, tls.group);
        }
        let _ = write!(
            line,
            " sent={}B received={}B {:.1}ms",
            self.sent,
            self.received,
            self.duration.as_secs_f64() * 1000.0
        );
        match &self.outcome {
            Outcome::Closed => {}
            Outcome::LocalBrokeOff(why) => {
                let _ = write!(line, " the local side broke it off: {}", clean(why));
            }
            Outcome::CutOff => line.push_str(" cut off at the tunnel's end"),
            Outcome::Failed(finding) => {
                let _ = write!(line, " {}", clean(&finding.summary));
                for fact in &finding.evidence {
                    let _ = write!(line, "; {}", clean(fact));
                }
                if let Some(remedy) = &finding.remedy {
                    let _ = write!(line, "; try: {}", clean(remedy));
                }
                if let Some(fix) = &finding.fix {
                    let _ = write!(line, "; {}", clean(&fix.command));
                }
            }
        }
        line
    }

    /// The record as a JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let finding = match &self.outcome {
            Outcome::Failed(finding) => Some(finding.json()),
            _ => None,
        };
        json!({
            "event": "tunnel",
            "time": self.time.to_string(),
            "from": self.from,
            "target": self.target,
            "server": self.server,
            "verdict": self.verdict(),
            "finding": finding,
            "complete": self.outcome == Outcome::Closed,
            "sent_bytes": self.sent,
            "received_bytes": self.received,
            "duration_ms": (self.duration.as_secs_f64() * 1e6).round() / 1e3,
            "tls_version": self.tls.as_ref().map(|tls| &tls.version),
            "cipher_suite": self.tls.as_ref().map(|tls| &tls.cipher_suite),
            "group": self.tls.as_ref().map(|tls| &tls.group),
        })
    }

    fn verdict(&self) -> String {
        match &self.outcome {
            Outcome::Failed(finding) => format!("FAILED:{}", finding.code),
            _ => "SUCCESS".to_owned(),
        }
    }
}
