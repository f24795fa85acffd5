//! A span for each request, sent to a collector of OpenTelemetry: W3C Trace Context in the headers, OTLP over HTTP in JSON
//! to the collector. Written here since it is this little, and the libraries for it bring a hundred crates. Spans that a
//! collector cannot take in time are dropped and counted; no request ever waits for one.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::dial::TlsOptions;
use crate::fetch::{FetchError, Options, Request, RequestBody, fetch};
use crate::serve::RequestRecord;
use crate::url::Url;

/// Spans that wait for the collector.
const WAITING: usize = 8192;
/// Spans in one message.
const BATCH: usize = 512;
/// How long spans are gathered before a message is sent.
const GATHER: Duration = Duration::from_secs(1);
/// For one message.
const LIMIT: Duration = Duration::from_secs(10);

/// Where a request stands in a trace (W3C Trace Context, level 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: [u8; 16],
    parent: Option<[u8; 8]>,
    span: [u8; 8],
    flags: u8,
}

/// The flag `sampled` (section 3.2.2.5.1).
const SAMPLED: u8 = 1;

impl TraceContext {
    /// The span of a request that came with this `traceparent`, or with none that can be read: then a trace begins. `None`
    /// where no random octets can be had.
    ///
    /// ```
    /// use net::trace::TraceContext;
    /// let parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    /// let context = TraceContext::continuing(Some(parent)).ok_or("no dice")?;
    /// assert!(context.traceparent().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    /// assert_ne!(context.traceparent().as_bytes(), parent, "the span is a new one");
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn continuing(traceparent: Option<&[u8]>) -> Option<Self> {
        let mut octets = [0; 24];
        aws_lc_rs::rand::fill(&mut octets).ok()?;
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&octets[..16]);
        span.copy_from_slice(&octets[16..]);
        Some(match traceparent.and_then(read) {
            Some((trace, parent, flags)) => TraceContext { trace, parent: Some(parent), span, flags },
            None => TraceContext { trace, parent: None, span, flags: SAMPLED },
        })
    }

    /// The header that the upstream gets: its own spans are below ours.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", pki::hex(&self.trace), pki::hex(&self.span), self.flags)
    }

    /// The trace's identifier in hexadecimal, as the log has it.
    #[must_use]
    pub fn trace_id(&self) -> String {
        pki::hex(&self.trace)
    }

    /// Whether the caller, or we where there is none, want the span to be kept.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// `version-trace-parent-flags` (section 3.2.2). A later version may say more behind, and is read as far as this one goes.
fn read(text: &[u8]) -> Option<([u8; 16], [u8; 8], u8)> {
    let is_lower_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let dashes = [2, 35, 52];
    if text.len() < 55 || dashes.iter().any(|at| text[*at] != b'-') || &text[..2] == b"ff" {
        return None;
    }
    if (&text[..2] == b"00" && text.len() != 55) || (text.len() > 55 && text[55] != b'-') {
        return None;
    }
    let whole = text[..55].iter().enumerate().all(|(at, byte)| dashes.contains(&at) || is_lower_hex(byte));
    let octets = |range: std::ops::Range<usize>| -> Option<Vec<u8>> {
        pki::unhex(std::str::from_utf8(&text[range]).ok()?)
    };
    let trace: [u8; 16] = octets(3..35).filter(|_| whole)?.try_into().ok()?;
    let parent: [u8; 8] = octets(36..52)?.try_into().ok()?;
    let flags = *octets(53..55)?.first()?;
    // Identifiers of zeros are none (sections 3.2.2.3 and 3.2.2.4).
    (trace != [0; 16] && parent != [0; 8]).then_some((trace, parent, flags & SAMPLED))
}

/// How a collector is spoken to.
pub struct Collector {
    /// Where spans are sent, such as `http://127.0.0.1:4318/v1/traces`.
    pub url: Url,
    /// What is expected of the collector and presented to it, where the URL is one of https://.
    pub tls: TlsOptions,
    /// Headers of every message, such as those by which it knows its senders.
    pub headers: HeaderMap,
    /// By what name the spans' sender goes.
    pub service: String,
}

/// Sends spans to a collector.
pub struct Exporter {
    collector: Mutex<Arc<Collector>>,
    waiting: Mutex<Vec<Value>>,
    arrived: Notify,
    /// Spans that were sent, and that were not.
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// The collector took no message.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("it answers with status {0}")]
    Status(u16),
}

impl Exporter {
    /// One that sends to this collector.
    ///
    /// ```
    /// use net::{dial::TlsOptions, tls::server_verifier::Expectation, trace::{Collector, Exporter}};
    /// let collector = Collector {
    ///     url: net::url::Url::parse("http://127.0.0.1:4318/v1/traces")?,
    ///     tls: TlsOptions::new(Expectation::new(pki::verify::TrustBundle::default())),
    ///     headers: http::HeaderMap::new(),
    ///     service: "gateway".to_owned(),
    /// };
    /// assert_eq!(Exporter::new(collector).dropped(), 0);
    /// # Ok::<(), net::url::UrlError>(())
    /// ```
    #[must_use]
    pub fn new(collector: Collector) -> Self {
        Exporter {
            collector: Mutex::new(Arc::new(collector)),
            waiting: Mutex::default(),
            arrived: Notify::new(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Speaks to the collector in this way from now on.
    pub fn replace(&self, collector: Collector) {
        *self.collector.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(collector);
    }

    fn collector(&self) -> Arc<Collector> {
        Arc::clone(&self.collector.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Spans that the collector did not take.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes a request that is over; it does not block.
    pub fn record(&self, record: &RequestRecord) {
        let Some(context) = record.trace.filter(TraceContext::is_sampled) else { return };
        let span = span(&context, record);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push(span);
        if waiting.len() >= BATCH {
            self.arrived.notify_one();
        }
    }

    /// Sends what arrives, until it is dropped.
    pub async fn run(&self) {
        let mut is_away = false;
        loop {
            let _ = timeout(GATHER, self.arrived.notified()).await;
            while let Some(outcome) = self.send_some().await {
                match outcome {
                    Ok(()) => is_away = false,
                    // Told once, until it is there again.
                    Err(error) => {
                        if !std::mem::replace(&mut is_away, true) {
                            let url = &self.collector().url;
                            tracing::warn!(%url, %error, "spans are lost: the collector does not take them");
                        }
                    }
                }
            }
        }
    }

    /// Sends what is left, at the end.
    pub async fn finish(&self) {
        let rest = async { while let Some(Ok(())) = self.send_some().await {} };
        let _ = timeout(LIMIT, rest).await;
    }

    /// Sends one message; `None` where nothing waits.
    async fn send_some(&self) -> Option<Result<(), ExportError>> {
        let spans: Vec<Value> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let count = waiting.len().min(BATCH);
            waiting.drain(..count).collect()
        };
        if spans.is_empty() {
            return None;
        }
        let count = spans.len() as u64;
        let collector = self.collector();
        let outcome = collector.post(message(&collector.service, spans).to_string()).await;
        let counter = if outcome.is_ok() { &self.sent } else { &self.dropped };
        counter.fetch_add(count, Ordering::Relaxed);
        Some(outcome)
    }
}

impl Collector {
    async fn post(&self, body: String) -> Result<(), ExportError> {
        let mut options = Options::new(self.tls.clone());
        options.max_time = Some(LIMIT);
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = RequestBody::Bytes(Bytes::from(body));
        let request = Request { method: Method::POST, url: self.url.clone(), headers, body };
        let response = fetch(request, &options).await?;
        match response.status() {
            200..=299 => Ok(()),
            other => Err(ExportError::Status(other)),
        }
    }
}

/// ExportTraceServiceRequest (opentelemetry-proto 1.x) as JSON has it: identifiers in hexadecimal, 64-bit numbers as text.
fn message(service: &str, spans: Vec<Value>) -> Value {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            text("service.name", service),
            text("service.version", env!("CARGO_PKG_VERSION")),
        ] },
        "scopeSpans": [{ "scope": { "name": "countersign.gateway" }, "spans": spans }],
    }] })
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// A span of the kind SERVER, with the names of OpenTelemetry's conventions for HTTP and TLS.
fn span(context: &TraceContext, record: &RequestRecord) -> Value {
    const SERVER: u8 = 2;
    const ERROR: u8 = 2;
    let start = record.time.as_nanosecond();
    let end = start + i128::try_from(record.duration.as_nanos()).unwrap_or_default();
    let mut name = record.method.to_string();
    if let Some(route) = &record.route {
        let _ = write!(name, " {route}");
    }
    let mut attributes = vec![
        text("http.request.method", record.method.as_str()),
        text("url.path", &record.path),
        text("url.scheme", "https"),
        number("http.response.status_code", u64::from(record.status)),
        number("http.response.body.size", record.bytes),
        text("network.protocol.name", "http"),
        text("network.protocol.version", record.protocol.trim_start_matches("HTTP/")),
        text("client.address", &record.peer.ip().to_string()),
        text("tls.protocol.version", record.tls.version.trim_start_matches("TLSv")),
        text("tls.cipher", &record.tls.cipher_suite),
        text("countersign.verdict", &record.verdict),
    ];
    let more = [
        ("http.route", record.route.as_deref()),
        ("countersign.identity", record.identity.as_deref()),
        ("countersign.serial", record.serial.as_deref()),
        ("countersign.rule", record.rule.as_deref()),
    ];
    attributes.extend(more.into_iter().filter_map(|(key, value)| Some(text(key, value?))));
    let mut span = json!({
        "traceId": pki::hex(&context.trace),
        "spanId": pki::hex(&context.span),
        "name": name,
        "kind": SERVER,
        "startTimeUnixNano": start.to_string(),
        "endTimeUnixNano": end.to_string(),
        "attributes": attributes,
        "flags": context.flags,
    });
    if let Some(parent) = &context.parent {
        span["parentSpanId"] = Value::String(pki::hex(parent));
    }
    // A server's span is an error where the server is to blame (HTTP conventions), or where the answer broke off.
    if record.status >= 500 || !record.complete {
        span["status"] = json!({ "code": ERROR });
    }
    span
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its headers may be secrets.
        write!(f, "Exporter({})", self.collector().url)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_traceparent_is_continued_and_what_is_none_begins_a_trace() {
        let good: &[&[u8]] = &[
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes",
        ];
        for text in good {
            let context = TraceContext::continuing(Some(text)).unwrap();
            assert_eq!(pki::hex(&context.trace), "0af7651916cd43dd8448eb211c80319c");
            assert_eq!(context.parent.map(|parent| pki::hex(&parent)).as_deref(), Some("b7ad6b7169203331"));
            assert_eq!(context.is_sampled(), text[54] == b'1');
        }
        let bad: &[&[u8]] = &[
            b"",
            b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            b"00-00000000000000000000000000000000-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319-b7ad6b71692033311-01",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\xff",
        ];
        for text in bad {
            let context = TraceContext::continuing(Some(text)).unwrap();
            assert_eq!(context.parent, None, "{}", String::from_utf8_lossy(text));
            assert!(context.is_sampled());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_traceparent_does_harm_and_ours_is_always_one(octets: Vec<u8>) {
            let context = TraceContext::continuing(Some(&octets)).unwrap();
            proptest::prop_assert!(read(context.traceparent().as_bytes()).is_some());
        }
    }
}
