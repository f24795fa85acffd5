//! The access log: one record for each request and for each refused connection, as a value, as a line of text and as
//! JSON. Where the lines go is the caller's affair.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use explain::finding::Fix;
use explain::{Fault, Finding};
use http::Method;
use jiff::Timestamp;
use pki::Certificate;
use pki::identity::VerifiedPeer;
use serde_json::{Value, json};

use crate::tls::Negotiated;
use crate::trace::TraceContext;

/// What happened.
#[derive(Debug, Clone)]
pub enum AccessRecord {
    /// A request was answered, or broke off while it was.
    Request(Box<RequestRecord>),
    /// A connection ended before its first request.
    Refusal(RefusalRecord),
}

/// One request.
#[derive(Debug, Clone)]
pub struct RequestRecord {
    /// When it arrived.
    pub time: Timestamp,
    /// Where from.
    pub peer: SocketAddr,
    /// The name of the client to show, where it had a certificate.
    pub identity: Option<Arc<str>>,
    /// The serial number of that certificate, in hexadecimal.
    pub serial: Option<Arc<str>>,
    /// The client with all its names and its certificate.
    pub client: Option<Arc<VerifiedPeer>>,
    /// `SUCCESS`, `NONE`, or `FAILED:` and a finding's code.
    pub verdict: Cow<'static, str>,
    /// The rule that let it in, where one did.
    pub rule: Option<Arc<str>>,
    /// The route that took it, where one did.
    pub route: Option<Arc<str>>,
    /// Why it was refused, where it was.
    pub finding: Option<Finding>,
    /// The method.
    pub method: Method,
    /// The path, without the query, which may hold secrets.
    pub path: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// The body bytes sent.
    pub bytes: u64,
    /// From the request's head to the last byte of the answer.
    pub duration: Duration,
    /// Whether the answer was sent to its end.
    pub complete: bool,
    /// What the handshake agreed on.
    pub tls: Arc<Negotiated>,
    /// Its span, where requests are traced.
    pub trace: Option<TraceContext>,
}

/// One refused connection.
#[derive(Debug, Clone)]
pub struct RefusalRecord {
    /// When it was refused.
    pub time: Timestamp,
    /// Where from.
    pub peer: SocketAddr,
    /// Why.
    pub finding: Finding,
    /// The subject of the client's certificate, where one was sent and could be read.
    pub subject: Option<String>,
    /// Its serial number, in hexadecimal.
    pub serial: Option<String>,
    /// That certificate, where it is none that clients may show: who migrates wants to know all of it.
    pub not_for_clients: Option<Certificate>,
    /// The alert sent, where it is known.
    pub alert_sent: Option<u8>,
    /// The alert received.
    pub alert_received: Option<u8>,
}

impl AccessRecord {
    /// The record as one line without its end. Control characters, and characters that would rearrange a terminal,
    /// are escaped in everything a client chose.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            AccessRecord::Request(record) => record.text(),
            AccessRecord::Refusal(record) => record.text(),
        }
    }

    /// The record as a JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            AccessRecord::Request(record) => record.json(),
            AccessRecord::Refusal(record) => record.json(),
        }
    }
}

/// An address with its port, where that is known: a load balancer may tell the one without the other.
fn push_address(line: &mut String, address: SocketAddr) {
    let _ = match address.port() {
        0 => write!(line, "{}", address.ip()),
        _ => write!(line, "{address}"),
    };
}

fn address(address: SocketAddr) -> String {
    let mut text = String::new();
    push_address(&mut text, address);
    text
}

impl RequestRecord {
    fn text(&self) -> String {
        // Written piece by piece: it is done for every request, and must not cost what a request does.
        let mut line = String::with_capacity(256);
        push_seconds(&mut line, self.time);
        line.push(' ');
        push_address(&mut line, self.peer);
        line.push(' ');
        match &self.identity {
            Some(identity) => line.push_str(&quoted(identity)),
            None => line.push('-'),
        }
        for part in
            [" ", &self.verdict, " \"", self.method.as_str(), " ", &clean(&self.path), " ", self.protocol]
        {
            line.push_str(part);
        }
        let tenths = self.duration.as_micros() / 100;
        let (status, bytes) = (self.status, self.bytes);
        let _ = write!(line, "\" {status} {bytes}B {}.{}ms ", tenths / 10, tenths % 10);
        for part in [&self.tls.version, " ", &self.tls.cipher_suite, " ", &self.tls.group] {
            line.push_str(part);
        }
        if let Some(serial) = &self.serial {
            line.push_str(" serial=");
            line.push_str(serial);
        }
        if !self.complete {
            line.push_str(" incomplete");
        }
        if let Some(finding) = &self.finding {
            let _ = write!(line, " refused={}: {}", finding.code, clean(&finding.summary));
            push_fix(&mut line, finding);
        }
        line
    }

    fn json(&self) -> Value {
        json!({
            "event": "request",
            "time": self.time.to_string(),
            "peer": address(self.peer),
            "identity": self.identity.as_deref(),
            "serial": self.serial.as_deref(),
            "verdict": self.verdict,
            "rule": self.rule.as_deref(),
            "code": self.finding.as_ref().map(|finding| finding.code.name()),
            "message": self.finding.as_ref().map(|finding| &finding.summary),
            "fault": self.finding.as_ref().map(|finding| finding.fault.name()),
            "remedy": self.finding.as_ref().map(|finding| &finding.remedy),
            "fix": self.finding.as_ref().and_then(|finding| finding.fix.as_deref()).map(Fix::json),
            "route": self.route.as_deref(),
            "method": self.method.as_str(),
            "path": self.path,
            "protocol": self.protocol,
            "status": self.status,
            "bytes": self.bytes,
            "duration_ms": (self.duration.as_secs_f64() * 1e6).round() / 1e3,
            "complete": self.complete,
            "trace_id": self.trace.map(|trace| trace.trace_id()),
            "tls_version": self.tls.version,
            "cipher_suite": self.tls.cipher_suite,
            "group": self.tls.group,
        })
    }
}

impl RefusalRecord {
    fn text(&self) -> String {
        let subject = self.subject.as_deref().map_or(Cow::Borrowed("-"), quoted);
        let mut line = format!(
            "{} {} {subject} FAILED:{} {}",
            seconds(self.time),
            self.peer,
            self.finding.code,
            clean(&self.finding.summary)
        );
        if let Some(serial) = &self.serial {
            let _ = write!(line, " serial={serial}");
        }
        for (word, alert) in [("sent", self.alert_sent), ("received", self.alert_received)] {
            if let Some(alert) = alert {
                let _ = write!(line, ", {word} alert {}", explain::alert::cite(alert));
            }
        }
        push_fix(&mut line, &self.finding);
        line
    }

    fn json(&self) -> Value {
        let alert = |number: Option<u8>| {
            number.map(|number| json!({"number": number, "name": explain::alert::name(number)}))
        };
        json!({
            "event": "refusal",
            "time": self.time.to_string(),
            "peer": self.peer.to_string(),
            "verdict": format!("FAILED:{}", self.finding.code),
            "code": self.finding.code.name(),
            "message": self.finding.summary,
            "fault": self.finding.fault.name(),
            "confidence": self.finding.confidence.name(),
            "evidence": self.finding.evidence,
            "remedy": self.finding.remedy,
            "fix": self.finding.fix.as_deref().map(Fix::json),
            "subject": self.subject,
            "serial": self.serial,
            "alert_sent": alert(self.alert_sent),
            "alert_received": alert(self.alert_received),
        })
    }
}

/// The command that mends it, at the end of a line and so without quotation marks of its own.
fn push_fix(line: &mut String, finding: &Finding) {
    if let Some(fix) = &finding.fix {
        let _ = write!(line, "; fix at the {}: {}", place(fix.place), clean(&fix.command));
    }
}

fn place(place: Fault) -> &'static str {
    if place == Fault::Issuer { "CA" } else { place.name() }
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The same behind a line, written once a second on each thread.
fn push_seconds(line: &mut String, time: Timestamp) {
    thread_local! {
        static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    LAST.with_borrow_mut(|(second, text)| {
        if *second != time.as_second() {
            *second = time.as_second();
            *text = seconds(time);
        }
        line.push_str(text);
    });
}

/// The text in quotation marks where a space or mark inside would make two columns of it.
fn quoted(text: &str) -> Cow<'_, str> {
    let clean = clean(text);
    if clean.contains([' ', '"']) { Cow::Owned(format!("\"{}\"", clean.replace('"', "\\\""))) } else { clean }
}

/// Text of a client's choosing, with what would start a line or rearrange a terminal escaped.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) || text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::with_capacity(text.len() + 16), |mut line, c| {
        if harmless(c) {
            line.push(c);
        } else {
            line.extend(c.escape_default());
        }
        line
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use explain::FindingCode;

    fn refusal(subject: &str) -> AccessRecord {
        AccessRecord::Refusal(RefusalRecord {
            time: "2026-06-15T12:00:00Z".parse().unwrap(),
            peer: "127.0.0.1:4444".parse().unwrap(),
            finding: explain::doctor::advised(
                Finding::new(FindingCode::CertificateExpired, Fault::Client, "it expired"),
                explain::doctor::Direction::ServerRefusedClient,
            ),
            subject: Some(subject.to_owned()),
            serial: Some("4c01".to_owned()),
            not_for_clients: None,
            alert_sent: Some(45),
            alert_received: None,
        })
    }

    #[test]
    fn a_refusal_is_one_line_that_says_why_and_with_which_alert() {
        assert_eq!(
            refusal("CN=alice").text(),
            "2026-06-15T12:00:00Z 127.0.0.1:4444 CN=alice FAILED:certificate_expired it expired serial=4c01, sent \
             alert certificate_expired (45); fix at the CA: countersign renew NAME"
        );
        assert_eq!(refusal("CN=alice").json()["fix"]["command"], "countersign renew NAME");
        assert_eq!(refusal("CN=alice").json()["alert_sent"]["number"], 45);
    }

    #[test]
    fn a_hostile_name_cannot_forge_a_line_or_rearrange_a_terminal() {
        let line = refusal("CN=a\n2026 forged \u{1b}[2K\u{202e}\"x").text();
        assert!(!line.contains(['\n', '\u{1b}', '\u{202e}']), "{line}");
        assert!(line.contains(r#""CN=a\n2026 forged \u{1b}[2K\u{202e}\"x""#), "{line}");
    }
}
