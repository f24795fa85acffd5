//! What a refused client gets to hear: one page, whatever it asks for, and then the end. Nothing here can reach a route,
//! a handler or a policy: a [`RefusedPeer`] is nobody, and this module is given no snapshot to ask.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use explain::{Finding, FindingCode};
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use jiff::Timestamp;
use pki::Certificate;
use serde_json::json;

use super::Limits;
use super::access::clean;
use super::body::AnswerBody;
use super::http1::head;
use super::pages::{self, Wanted, escape};
use super::try_it::card;
use super::watch::Watch;
use crate::accept::{RefusedPeer, linger};
use crate::tls::socket::TlsSocket;

/// What a browser asks for beside the page itself, at most.
const STREAMS: u32 = 8;

/// How long the answer may take to leave, after the time for asking is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Tells a refused client why, within the time that a handshake may take, and closes.
pub(crate) async fn tell(
    peer: RefusedPeer,
    finding: &Finding,
    certificate: Option<&Certificate>,
    now: Timestamp,
    limits: &Limits,
    watch: &Watch,
) {
    let RefusedPeer { socket, negotiated } = peer;
    let parameters = format!("{} {} {}", negotiated.version, negotiated.cipher_suite, negotiated.group);
    let page = Page { finding: finding.clone(), certificate: certificate.cloned(), parameters, now };
    watch.arm(limits.handshake_timeout);
    if negotiated.alpn.as_deref() == Some("h2") {
        over_http2(socket, page, limits, watch).await;
    } else {
        over_http1(socket, &page, limits, watch).await;
    }
}

/// What is told.
struct Page {
    finding: Finding,
    certificate: Option<Certificate>,
    parameters: String,
    now: Timestamp,
}

/// Reads one head, answers it, and closes. A second request finds nobody; a body is not read.
async fn over_http1(mut socket: TlsSocket, page: &Page, limits: &Limits, watch: &Watch) {
    let most = limits.header_bytes as usize;
    let read = poll_fn(|cx| {
        loop {
            if let Some(found) = wanted_by(socket.plain(), most) {
                return Poll::Ready(Some(found));
            }
            match socket.poll_fill(cx) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending if watch.has_expired() || watch.is_draining() => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    if let Some((wanted, is_head)) = read.await {
        let (head, body) = plain(page.answer(wanted)).await;
        let body: &[u8] = if is_head { b"" } else { &body };
        watch.arm(LAST_WORDS);
        let mut sent = false;
        let answered = poll_fn(|cx| {
            if !sent {
                sent = true;
                socket.send(cx, &[head.as_bytes(), body])?;
            }
            match socket.poll_close(cx) {
                Poll::Pending if watch.has_expired() => Poll::Ready(Ok(())),
                polled => polled,
            }
        });
        if let Err(error) = answered.await {
            tracing::debug!(%error, "a refused client did not stay to hear why");
        }
    }
    linger(socket.into_tcp()).await;
}

/// The form that a head asks for, and whether it asks for a head alone; nothing where it is not whole. What is no
/// request, or too long for one, is answered with text.
fn wanted_by(octets: &[u8], most: usize) -> Option<(Wanted, bool)> {
    thread_local! {
        static FIELDS: RefCell<Vec<head::Field>> = RefCell::default();
    }
    FIELDS.with_borrow_mut(|fields| match head::request(octets, fields) {
        Ok(None) if octets.len() <= most => None,
        Ok(Some(found)) if found.length <= most => {
            let accepts = fields.iter().filter(|field| field.name(octets).eq_ignore_ascii_case(b"accept"));
            let values = accepts.filter_map(|field| std::str::from_utf8(field.value(octets)).ok());
            let is_head = &octets[found.method.clone()] == Method::HEAD.as_str().as_bytes();
            Some((Wanted::of_values(values), is_head))
        }
        _ => Some((Wanted::Text, false)),
    })
}

/// An answer as octets of HTTP/1.1, after which the connection is closed.
async fn plain(response: Response<AnswerBody>) -> (String, Vec<u8>) {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let mut head = format!("HTTP/1.1 {}\r\n", parts.status);
    for (name, value) in &parts.headers {
        // They are ours, and text.
        let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    let _ = write!(head, "content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    (head, body)
}

/// Answers the streams that come with the first, and closes.
async fn over_http2(socket: TlsSocket, page: Page, limits: &Limits, watch: &Watch) {
    let page = Arc::new(page);
    let asked = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&asked);
    let service = service_fn(move |request: http::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let page = Arc::clone(&page);
        async move {
            let is_head = request.method() == Method::HEAD;
            let (parts, body) = page.answer(Wanted::of(request.headers())).into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let body = if is_head { bytes::Bytes::new() } else { body };
            Ok::<_, Infallible>(Response::from_parts(parts, Full::new(body)))
        }
    });
    let http = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(limits.header_bytes)
        .serve_connection(TokioIo::new(socket), service);
    let mut http = pin!(http);
    let mut told = false;
    let ended = poll_fn(|cx| {
        let polled = http.as_mut().poll(cx);
        if !told && (heard.load(Ordering::Relaxed) || watch.is_draining()) {
            told = true;
            http.as_mut().graceful_shutdown();
            return match polled {
                Poll::Pending => http.as_mut().poll(cx),
                ready => ready,
            };
        }
        match polled {
            Poll::Pending if watch.has_expired() => Poll::Ready(Ok(())),
            polled => polled,
        }
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a refused client did not stay to hear why");
    }
}

impl Page {
    fn answer(&self, wanted: Wanted) -> Response<AnswerBody> {
        let finding = &self.finding;
        match wanted {
            Wanted::Json => {
                let mut value = finding.json();
                value["advice"] = json!(pages::advice(finding.code));
                // As RFC 9457 names it, for programs that read the answers of an API.
                value["type"] = json!(format!("urn:countersign:{}", finding.code));
                value["status"] = json!(403);
                value["detail"] = json!(finding.summary);
                pages::json_answer(StatusCode::FORBIDDEN, &value)
            }
            Wanted::Text => {
                let mut text = format!("{}: {}\n", finding.code, clean(&finding.summary));
                for evidence in &finding.evidence {
                    let _ = writeln!(text, "  {}", clean(evidence));
                }
                if let Some(advice) = pages::advice(finding.code) {
                    let _ = writeln!(text, "{advice}");
                }
                pages::text_answer(StatusCode::FORBIDDEN, text)
            }
            Wanted::Html => pages::html(StatusCode::FORBIDDEN, "The lock stays closed", &self.html()),
        }
    }

    fn html(&self) -> String {
        let finding = &self.finding;
        let mut body = format!(
            "<h1 class=\"bad\">The lock stays closed</h1>\n<p>{}</p>\n<p class=\"notice bad\">{}</p>\n",
            escape(sentence(finding.code)),
            escape(&finding.summary)
        );
        let mut facts = vec![
            ("Code", finding.code.name().to_owned()),
            ("Time here", self.now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
            ("TLS", self.parameters.clone()),
        ];
        facts.extend(finding.evidence.iter().map(|evidence| ("Also", evidence.clone())));
        body.push_str(&pages::facts_html(&facts));
        if let Some(advice) = pages::advice(finding.code) {
            let _ = writeln!(body, "<h2>What to do</h2>\n<p>{}</p>", escape(advice));
        }
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(body, "<p>For whoever helps you: {}.</p>", escape(remedy));
        }
        if let Some(certificate) = &self.certificate {
            body.push_str("<h2>What your browser showed</h2>\n");
            body.push_str(&card("Your certificate", certificate, self.now));
        }
        body
    }
}

fn sentence(code: FindingCode) -> &'static str {
    match code {
        FindingCode::CertificateRevoked => "Your certificate was revoked: whoever issued it took it back.",
        FindingCode::CertificateExpired => "Your certificate is over.",
        FindingCode::CertificateNotYetValid => "Your certificate is not valid yet.",
        FindingCode::UnknownIssuer => "Your certificate was issued by an authority that is not known here.",
        _ => "Your certificate is not accepted here.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was sent, and the form of the page it asks for, with whether the head alone.
    type Case = (&'static [u8], Option<(Wanted, bool)>);

    #[test]
    fn whatever_is_sent_leads_to_a_form_of_the_page_or_to_waiting() {
        let cases: &[Case] = &[
            (b"", None),
            (b"GET / HTTP/1.1\r\nHost: x\r\n", None),
            (b"GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n", Some((Wanted::Html, false))),
            (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", Some((Wanted::Text, true))),
            (
                b"POST /pay HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\nxx",
                Some((Wanted::Text, false)),
            ),
            (b"\x00\x01 no request\r\n\r\n", Some((Wanted::Text, false))),
        ];
        for (octets, expected) in cases {
            assert_eq!(wanted_by(octets, 1000), *expected, "{}", String::from_utf8_lossy(octets));
        }
        assert_eq!(wanted_by(&[b'a'; 1001], 1000), Some((Wanted::Text, false)), "too long to be a head");
    }
}
