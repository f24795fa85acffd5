//! What the fields of a stream ask for: they are looked at once, strictly (RFC 9113 section 8.2 and 8.3), the request is
//! judged, and either made into the one that an HTTP/1.1 upstream gets, or handed to what answers it here.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use jiff::Timestamp;

use super::entry::Entry;
use super::forward::{Exchange, Wish};
use super::hpack::Fields;
use super::local::Local;
use super::stream::{Work, is_field};
use crate::serve::Handler;
use crate::serve::RequestRecord;
use crate::serve::behind::Origin;
use crate::serve::body::AnswerBody;
use crate::serve::connection::{self, Connection, Decision, TRACEPARENT};
use crate::serve::counters::Counters;
use crate::serve::facts::Told;
use crate::serve::http1::head::{self, Framing, FramingHeaders};
use crate::serve::http1::request::{Kind, is_host, kind_of};
use crate::serve::pages::{self, Wanted};
use crate::serve::route::host_of;
use crate::serve::upstream::Upstream;
use crate::snapshot::Client;
use crate::trace::TraceContext;

/// A request that is none (RFC 9113 section 8.1.1): its stream is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// What a stream leads to.
pub(super) enum Begun {
    Work {
        work: Work,
        /// The length that the request's body must have.
        length: Option<u64>,
    },
    /// It ends without an answer.
    Abort,
}

/// What was found in the fields.
#[derive(Debug)]
struct Found<'f> {
    method: &'f [u8],
    path: &'f [u8],
    /// The host with its port, as the client wrote it.
    host: Option<&'f [u8]>,
    framing: FramingHeaders,
    length: Option<u64>,
    trailers: bool,
    expects_continue: bool,
    /// What it expects is not known here.
    expects_other: bool,
    wanted: Wanted,
    cookies: usize,
}

fn look(fields: &Fields) -> Result<Found<'_>, Malformed> {
    let (mut method, mut scheme, mut path, mut authority, mut host) = (None, None, None, None, None);
    let mut found = Found {
        method: b"",
        path: b"",
        host: None,
        framing: FramingHeaders::default(),
        length: None,
        trailers: false,
        expects_continue: false,
        expects_other: false,
        wanted: Wanted::Text,
        cookies: 0,
    };
    let mut accept: Vec<&str> = Vec::new();
    let mut is_behind = false;
    for (name, value) in fields.iter() {
        if name.first() == Some(&b':') {
            if is_behind {
                return Err(Malformed("a pseudo-field is behind a field"));
            }
            let place = match name {
                b":method" => &mut method,
                b":scheme" => &mut scheme,
                b":path" => &mut path,
                b":authority" => &mut authority,
                _ => return Err(Malformed("a pseudo-field is none of a request")),
            };
            if place.replace(value).is_some() {
                return Err(Malformed("a pseudo-field is there twice"));
            }
            continue;
        }
        is_behind = true;
        if !is_field(name, value) {
            return Err(Malformed("a field's name or value holds what none may"));
        }
        match kind_of(name) {
            Kind::Host if host.replace(value).is_some() => {
                return Err(Malformed("there is more than one host"));
            }
            Kind::ContentLength => {
                found.framing.length(value).map_err(|_| Malformed("the content-length is no number"))?;
            }
            // Section 8.2.2.
            Kind::Connection | Kind::TransferEncoding | Kind::Upgrade => {
                return Err(Malformed("a field concerns an HTTP/1.1 connection"));
            }
            Kind::Dropped if matches!(name, b"keep-alive" | b"proxy-connection") => {
                return Err(Malformed("a field concerns an HTTP/1.1 connection"));
            }
            Kind::Te if value.eq_ignore_ascii_case(b"trailers") => found.trailers = true,
            Kind::Te => return Err(Malformed("TE is other than trailers")),
            Kind::Expect if value.eq_ignore_ascii_case(b"100-continue") => found.expects_continue = true,
            Kind::Expect => found.expects_other = true,
            Kind::Accept => accept.extend(std::str::from_utf8(value)),
            Kind::Cookie => found.cookies += 1,
            Kind::Host | Kind::Plain | Kind::Dropped => {}
        }
    }
    found.method = method.filter(|method| head::is_token(method)).ok_or(Malformed("there is no method"))?;
    if let Some(authority) = authority {
        // What names two hosts could be judged by the one and answered by the other (section 8.3.1).
        if host.is_some_and(|host| !host.eq_ignore_ascii_case(authority)) {
            return Err(Malformed("the host is another one than the authority"));
        }
        host = Some(authority);
    }
    if host.is_some_and(|host| !is_host(host)) {
        return Err(Malformed("the host can be none"));
    }
    found.host = host;
    if found.method == b"CONNECT" {
        // It has neither (section 8.5); the answer is the same in any case.
        found.path = b"/";
    } else {
        if !scheme.is_some_and(|scheme| scheme == b"https" || scheme == b"http") {
            return Err(Malformed("there is no scheme, or an unknown one"));
        }
        let path = path.ok_or(Malformed("there is no path"))?;
        let is_path = path.first() == Some(&b'/') || (path == b"*" && found.method == b"OPTIONS");
        if !is_path || !path.iter().all(|octet| matches!(octet, 0x21..=0x7e) && *octet != b'#') {
            return Err(Malformed("the path can be none"));
        }
        found.path = path;
    }
    if !accept.is_empty() {
        found.wanted = Wanted::of_values(accept.into_iter());
    }
    if let Ok(Framing::Length(length)) = found.framing.of_request() {
        found.length = Some(length);
    }
    Ok(found)
}

/// What must hold of every request that is believed, whatever its fields: none of it can leave its line of HTTP/1.1.
pub(super) fn check(fields: &Fields) {
    let Ok(found) = look(fields) else { return };
    let is_plain = |text: &[u8]| text.iter().all(u8::is_ascii_graphic);
    assert!(head::is_token(found.method) && is_plain(found.path) && found.host.is_none_or(is_plain));
    assert!(found.path.starts_with(b"/") || found.path == b"*");
    for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with(b":")) {
        assert!(head::is_token(name) && head::is_value(value) && value.trim_ascii() == value);
        assert!(!matches!(name, b"connection" | b"transfer-encoding" | b"upgrade"));
    }
}

/// Begins what the fields of a new stream ask for.
pub(super) fn begin(
    connection: &Arc<Connection>,
    fields: &Fields,
    ends_stream: bool,
    told: &mut Told,
) -> Result<Begun, Malformed> {
    let started = Instant::now();
    let now = connection.now();
    let found = look(fields)?;
    let said_length = found.framing.has_length();
    if ends_stream && found.length.is_some() {
        return Err(Malformed("there is no body, and a content-length"));
    }
    Counters::add(&connection.server.counters.requests);
    let path_end = found.path.iter().position(|octet| *octet == b'?').unwrap_or(found.path.len());
    // Both are visible ASCII.
    let path = std::str::from_utf8(&found.path[..path_end]).unwrap_or("/");
    let host = host_of(found.host.and_then(|host| std::str::from_utf8(host).ok()).unwrap_or(""));
    let lower = if host.bytes().any(|octet| octet.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    let method = Method::from_bytes(found.method).map_err(|_| Malformed("the method can be none"))?;
    let is_head = method == Method::HEAD;
    let mut record = Box::new(connection.record(method.clone(), path.to_owned(), "HTTP/2.0", now));
    let page = |answer, record: Box<RequestRecord>| {
        let entry = Entry::new(record, started, &connection.server, None);
        let length = found.length.or((said_length && !ends_stream).then_some(0));
        Ok(Begun::Work { work: page(answer, is_head, Some(entry)), length })
    };
    let values = |wanted: &'static str| -> Vec<&[u8]> {
        let same = fields.iter().filter(|(name, _)| *name == wanted.as_bytes());
        same.map(|(_, value)| value).collect()
    };
    record.trace = connection.trace(values);
    let origin = connection.origin(values);
    record.peer = origin.address;
    let problem = |status, code, text: &str| pages::problem(found.wanted, status, code, text);
    if method == Method::CONNECT {
        let text = "CONNECT asks for a proxy, and this is none.";
        return page(problem(StatusCode::BAD_REQUEST, "bad_request", text), record);
    }
    if found.expects_other {
        let text = "The request expects something that is not known here.";
        return page(problem(StatusCode::EXPECTATION_FAILED, "expectation_failed", text), record);
    }
    let seat = match connection.judge(&lower, path, Some(method.as_str()), now, values) {
        Ok(seat) => seat,
        Err(why) => return page(problem(StatusCode::BAD_REQUEST, "bad_request", &why), record),
    };
    let (admission, client, route, pass) = match connection.decide(seat, origin, found.wanted, &mut record) {
        Decision::Go { admission, client, route, pass } => (admission, client, route, pass),
        Decision::Page { page: answer, closes: _ } => return page(answer, record),
        Decision::Abort => {
            drop(Entry::new(record, started, &connection.server, None));
            return Ok(Begun::Abort);
        }
    };
    let trace = record.trace;
    let entry = Entry::new(record, started, &connection.server, pass);
    let length = found.length.or((said_length && !ends_stream).then_some(0));
    let expects_continue = found.expects_continue && !ends_stream && length != Some(0);
    if let Handler::Upstream(upstream) = &*route.handler
        && !upstream.is_http2()
    {
        let framing = match length {
            _ if ends_stream => Framing::None,
            Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        let asked = Asked { client: client.as_ref(), trace, origin, now };
        let out = write_head(upstream, told, fields, &found, framing, &asked);
        let repeatable = framing == Framing::None
            && ends_stream
            && matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        let wish = Wish { is_head, wanted: found.wanted, expects_continue, repeatable };
        let exchange = Exchange::new(route, admission, out, framing, ends_stream, wish, entry);
        return Ok(Begun::Work { work: Work::Forward(Box::new(exchange)), length });
    }
    let mut parts = parts_of(fields, method, &found)?;
    connection::continue_trace(&mut parts.headers, trace.as_ref());
    let visit = connection.visit(client.as_deref(), origin, now);
    let body = (!ends_stream).then_some(length);
    let local = Local::responding(route, admission, parts, body, expects_continue, visit, entry);
    Ok(Begun::Work { work: Work::Local(Box::new(local)), length })
}

/// A page as the answer to a stream.
pub(super) fn page(answer: Response<AnswerBody>, is_head: bool, entry: Option<Entry>) -> Work {
    Work::Local(Box::new(Local::page(answer, is_head, entry)))
}

/// The answer to a head that is longer than may be.
pub(super) fn too_large(connection: &Arc<Connection>) -> Begun {
    let most = connection.server.limits.header_bytes;
    let text = format!("The head of the request is longer than {most} octets.");
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let answer = pages::problem(Wanted::Text, status, "header_too_large", &text);
    let mut record = Box::new(connection.record(Method::GET, "-".to_owned(), "HTTP/2.0", connection.now()));
    if let Some(client) = connection.standing.first() {
        record.verdict = Cow::Borrowed("SUCCESS");
        record.identity = Some(Arc::clone(&client.name));
    }
    let entry = Entry::new(record, Instant::now(), &connection.server, None);
    Begun::Work { work: page(answer, false, Some(entry)), length: None }
}

/// Who asks.
struct Asked<'a> {
    client: Option<&'a Arc<Client>>,
    trace: Option<TraceContext>,
    origin: Origin,
    now: Timestamp,
}

/// Writes the head that the upstream gets.
fn write_head(
    upstream: &Upstream,
    told: &mut Told,
    fields: &Fields,
    found: &Found<'_>,
    framing: Framing,
    asked: &Asked<'_>,
) -> Vec<u8> {
    let [origin, facts] = told.facts(upstream, asked.client, asked.origin, asked.now);
    let mut out = Vec::with_capacity(fields.octets.len() + origin.len() + facts.len() + 256);
    let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    line(&[found.method, b" ", found.path, b" HTTP/1.1\r\nHost: "]);
    match found.host {
        Some(host) => line(&[host, b"\r\nX-Forwarded-Host: ", host, b"\r\n"]),
        None => line(&[upstream.authority().as_bytes(), b"\r\n"]),
    }
    for (name, value) in fields.iter().filter(|(name, _)| name.first() != Some(&b':')) {
        match kind_of(name) {
            // Ours takes its place.
            Kind::Plain if asked.trace.is_some() && name == TRACEPARENT.as_bytes() => {}
            Kind::Plain | Kind::Accept => line(&[name, b": ", value, b"\r\n"]),
            _ => {}
        }
    }
    if found.cookies > 0 {
        // Each may be a field of its own, and HTTP/1.1 has one for all (RFC 9113 section 8.2.3).
        let mut before: &[u8] = b"Cookie: ";
        for (_, value) in fields.iter().filter(|(name, _)| kind_of(name) == Kind::Cookie) {
            line(&[before, value]);
            before = b"; ";
        }
        line(&[b"\r\n"]);
    }
    if found.trailers {
        line(&[b"TE: trailers\r\n"]);
    }
    match framing {
        Framing::Length(length) => line(&[format!("Content-Length: {length}\r\n").as_bytes()]),
        Framing::Chunked => line(&[b"Transfer-Encoding: chunked\r\n"]),
        _ if matches!(found.method, b"POST" | b"PUT" | b"PATCH") => line(&[b"Content-Length: 0\r\n"]),
        _ => {}
    }
    if let Some(trace) = &asked.trace {
        line(&[b"traceparent: ", trace.traceparent().as_bytes(), b"\r\n"]);
    }
    line(&[origin, facts, b"\r\n"]);
    out
}

/// The head as the handlers that are not of the short way read it.
fn parts_of(fields: &Fields, method: Method, found: &Found<'_>) -> Result<Parts, Malformed> {
    const BROKEN: Malformed = Malformed("a field or the path cannot be read");
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(found.path).map_err(|_| BROKEN)?;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    for (name, value) in fields.iter().filter(|(name, _)| name.first() != Some(&b':')) {
        if matches!(kind_of(name), Kind::Plain | Kind::Accept | Kind::Cookie) {
            let name = HeaderName::from_bytes(name).map_err(|_| BROKEN)?;
            headers.append(name, HeaderValue::from_bytes(value).map_err(|_| BROKEN)?);
        }
    }
    if let Some(host) = found.host {
        headers.insert(header::HOST, HeaderValue::from_bytes(host).map_err(|_| BROKEN)?);
    }
    if found.trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(request.into_parts().0)
}
