//! What a request's head asks for: its headers are looked at once, the request is judged, and either made into the one
//! that the upstream gets, or handed to what answers it here.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode, Uri, Version};

use super::body::Decoder;
use super::forward::{Exchange, Wish};
use super::head::{Field, Framing, FramingError, FramingHeaders, RequestHead};
use super::local::Local;
use super::{Begun, Refusal};
use crate::serve::behind::Origin;
use crate::serve::connection::{self, Connection, Decision, TRACEPARENT};
use crate::serve::counters::Counters;
use crate::serve::facts::Told;
use crate::serve::headers::{carries_requests, is_claim_name};
use crate::serve::pages::Wanted;
use crate::serve::route::host_of;
use crate::serve::upstream::Upstream;
use crate::serve::{Handler, access::AccessRecord};
use crate::snapshot::Client;
use crate::trace::TraceContext;

/// A header by what is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Passed on, unless Connection names it.
    Plain,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Te,
    Expect,
    Accept,
    Cookie,
    /// Of one hop, or a claim: dropped.
    Dropped,
}

pub(crate) fn kind_of(name: &[u8]) -> Kind {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match (name.len(), name[0] | 0x20) {
        (2, b't') if is(b"te") => Kind::Te,
        (4, b'h') if is(b"host") => Kind::Host,
        (6, b'c') if is(b"cookie") => Kind::Cookie,
        (6, b'a') if is(b"accept") => Kind::Accept,
        (6, b'e') if is(b"expect") => Kind::Expect,
        (7, b'u') if is(b"upgrade") => Kind::Upgrade,
        (10, b'c') if is(b"connection") => Kind::Connection,
        (10, b'k') if is(b"keep-alive") => Kind::Dropped,
        (14, b'c') if is(b"content-length") => Kind::ContentLength,
        (14, b'h') if is(b"http2-settings") => Kind::Dropped,
        (16, b'p') if is(b"proxy-connection") => Kind::Dropped,
        (17, b't') if is(b"transfer-encoding") => Kind::TransferEncoding,
        (18, b'p') if is(b"proxy-authenticate") => Kind::Dropped,
        (19, b'p') if is(b"proxy-authorization") => Kind::Dropped,
        _ if is_claim_name(name) => Kind::Dropped,
        _ => Kind::Plain,
    }
}

/// What was found in the headers.
struct Found<'h> {
    host: Option<&'h [u8]>,
    framing: Framing,
    /// The tokens of Connection that name other headers.
    named: Vec<&'h [u8]>,
    closes: bool,
    /// The protocol that the client asks to switch to.
    upgrade: Option<&'h [u8]>,
    trailers: bool,
    expects_continue: bool,
    wanted: Wanted,
    cookies: usize,
}

/// Why a head is refused before anything is known of who sends it.
struct Fault {
    status: StatusCode,
    text: Cow<'static, str>,
}

fn fault(text: &'static str) -> Fault {
    Fault { status: StatusCode::BAD_REQUEST, text: Cow::Borrowed(text) }
}

impl From<FramingError> for Fault {
    fn from(error: FramingError) -> Self {
        Fault {
            status: StatusCode::BAD_REQUEST,
            text: Cow::Owned(format!("The end of the request cannot be told: {error}.")),
        }
    }
}

fn look<'h>(bytes: &'h [u8], head: &RequestHead, fields: &[Field]) -> Result<Found<'h>, Fault> {
    let mut framing = FramingHeaders::default();
    let mut found = Found {
        host: None,
        framing: Framing::None,
        named: Vec::new(),
        closes: head.minor == 0,
        upgrade: None,
        trailers: false,
        expects_continue: false,
        wanted: Wanted::Text,
        cookies: 0,
    };
    let mut upgrade = None;
    let mut asks_upgrade = false;
    let mut accept: Vec<&str> = Vec::new();
    for field in fields {
        let value = field.value(bytes);
        match kind_of(field.name(bytes)) {
            Kind::Host if found.host.is_some() => return Err(fault("The request names more than one Host.")),
            Kind::Host => found.host = Some(value),
            Kind::ContentLength => framing.length(value)?,
            Kind::TransferEncoding => framing.transfer_encoding(value, head.minor)?,
            Kind::Connection => {
                for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if token.eq_ignore_ascii_case(b"close") {
                        found.closes = true;
                    } else if token.eq_ignore_ascii_case(b"keep-alive") {
                        found.closes &= head.minor != 0;
                    } else if token.eq_ignore_ascii_case(b"upgrade") {
                        asks_upgrade = true;
                    } else if !token.is_empty() {
                        found.named.push(token);
                    }
                }
            }
            Kind::Upgrade => upgrade = Some(value),
            Kind::Te => {
                let mut tokens = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                found.trailers |= tokens.any(|token| token.eq_ignore_ascii_case(b"trailers"));
            }
            Kind::Expect if value.eq_ignore_ascii_case(b"100-continue") => found.expects_continue = true,
            Kind::Expect => {
                let text = Cow::Borrowed("The request expects something that is not known here.");
                return Err(Fault { status: StatusCode::EXPECTATION_FAILED, text });
            }
            Kind::Accept => accept.extend(std::str::from_utf8(value)),
            Kind::Cookie => found.cookies += 1,
            Kind::Plain | Kind::Dropped => {}
        }
    }
    found.upgrade =
        upgrade.filter(|protocols| asks_upgrade && head.minor == 1 && !carries_requests(protocols));
    found.framing = framing.of_request()?;
    if !accept.is_empty() {
        found.wanted = Wanted::of_values(accept.into_iter());
    }
    Ok(found)
}

/// What a target names: the authority where it has one, and the path with the query.
struct Place<'h> {
    authority: Option<&'h [u8]>,
    target: &'h [u8],
}

fn place_of<'h>(target: &'h [u8], method: &[u8]) -> Result<Place<'h>, Fault> {
    if method == b"CONNECT" {
        return Err(fault("CONNECT asks for a proxy, and this is none."));
    }
    if target[0] == b'/' {
        return Ok(Place { authority: None, target });
    }
    if target == b"*" && method == b"OPTIONS" {
        return Ok(Place { authority: None, target });
    }
    // The absolute form, which a server must take too (RFC 9112 section 3.2.2).
    let scheme = [&b"https://"[..], b"http://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let Some(scheme) = scheme else { return Err(fault("The request target is none that a server answers.")) };
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains(&b'@') {
        return Err(fault("The request names a user before its host."));
    }
    let target = match path.first() {
        Some(b'/') => path,
        None => b"/",
        Some(_) => return Err(fault("The request target has a query without a path.")),
    };
    Ok(Place { authority: Some(authority), target })
}

/// What a host may be made of (RFC 3986 section 3.2.2), its port included.
pub(crate) fn is_host(text: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(byte);
    !text.is_empty() && text.iter().all(allowed)
}

/// Begins what a head asks for. The octets of `bytes` are the head, and what has arrived behind it.
pub(super) fn begin(
    connection: &Arc<Connection>,
    bytes: &[u8],
    head: &RequestHead,
    fields: &[Field],
    told: &mut Told,
) -> Result<Begun, Box<Refusal>> {
    let started = Instant::now();
    let now = connection.now();
    Counters::add(&connection.server.counters.requests);
    let method = &bytes[head.method.clone()];
    let refuse = |fault: Fault| {
        let code = if fault.status == StatusCode::BAD_REQUEST { "bad_request" } else { "expectation_failed" };
        Refusal::broken(fault.status, code, &fault.text)
    };
    let found = look(bytes, head, fields).map_err(refuse)?;
    let place = place_of(&bytes[head.target.clone()], method).map_err(refuse)?;
    let host = place.authority.or(found.host);
    let host = match host {
        Some(host) if !is_host(host) => {
            return Err(refuse(fault("The request names a Host that can be none.")));
        }
        None if head.minor == 1 => return Err(refuse(fault("The request names no Host."))),
        host => host,
    };
    let path_end = place.target.iter().position(|byte| *byte == b'?').unwrap_or(place.target.len());
    // The target is visible ASCII, and so is the host.
    let path = std::str::from_utf8(&place.target[..path_end]).unwrap_or("/");
    let host_text = host.and_then(|host| std::str::from_utf8(host).ok()).unwrap_or("");
    let bare = host_of(host_text);
    let lower = if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(bare.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bare)
    };

    let method = Method::from_bytes(method).unwrap_or(Method::GET);
    let is_head = method == Method::HEAD;
    let protocol = if head.minor == 1 { "HTTP/1.1" } else { "HTTP/1.0" };
    let mut record = Box::new(connection.record(method.clone(), path.to_owned(), protocol, now));
    let closes = found.closes;
    let has_body = found.framing != Framing::None;
    let page = |response, record, closes_too| {
        // A body that is not read would be taken for the next request.
        let closes = closes || closes_too || has_body || connection.watch().is_draining();
        let (minor, record) = (head.minor, Some(record));
        Begun::Refused(Box::new(Refusal { response, minor, is_head, closes, record, started }))
    };
    let values = |name: &'static str| -> Vec<&[u8]> {
        let same = |field: &&Field| field.name(bytes).eq_ignore_ascii_case(name.as_bytes());
        fields.iter().filter(same).map(|field| field.value(bytes)).collect()
    };
    record.trace = connection.trace(values);
    let origin = connection.origin(values);
    record.peer = origin.address;
    let seat = connection.judge(&lower, path, Some(method.as_str()), now, values);
    let seat =
        seat.map_err(|why| refuse(Fault { status: StatusCode::BAD_REQUEST, text: Cow::Owned(why) }))?;
    let (admission, client, route, pass) = match connection.decide(seat, origin, found.wanted, &mut record) {
        Decision::Go { admission, client, route, pass } => (admission, client, route, pass),
        Decision::Page { page: answer, closes } => return Ok(page(answer, record, closes)),
        Decision::Abort => {
            record.duration = started.elapsed();
            (connection.server.log)(&AccessRecord::Request(record));
            return Ok(Begun::Abort);
        }
    };
    let wish = Wish {
        minor: head.minor,
        closes,
        is_head,
        wanted: found.wanted,
        expects_continue: found.expects_continue && has_body,
        asks_upgrade: found.upgrade.is_some(),
    };
    if let Handler::Upstream(upstream) = &*route.handler
        && !upstream.is_http2()
    {
        let repeatable = !has_body && matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        let out = write_head(
            upstream,
            told,
            bytes,
            head,
            fields,
            &found,
            &Asked { host, target: place.target, client: client.as_ref(), trace: record.trace, origin, now },
        );
        let exchange =
            Exchange::new(route, admission, out, found.framing, repeatable, wish, record, started, pass);
        return Ok(Begun::Forward(Box::new(exchange)));
    }
    let mut parts =
        parts_of(bytes, fields, method, place.target, host, head.minor, &found).map_err(refuse)?;
    connection::continue_trace(&mut parts.headers, record.trace.as_ref());
    let visit = connection.visit(client.as_deref(), origin, now);
    let decoder = Decoder::new(found.framing);
    let length = match found.framing {
        Framing::Length(length) => Some(length),
        _ => None,
    };
    let local = Local { route, admission, parts, visit, decoder, length, wish, record, started, pass };
    Ok(Begun::Local(Box::new(local)))
}

fn is_traceparent(name: &[u8]) -> bool {
    name.len() == TRACEPARENT.len() && name.eq_ignore_ascii_case(TRACEPARENT.as_bytes())
}

/// Who asks for what.
struct Asked<'a> {
    host: Option<&'a [u8]>,
    target: &'a [u8],
    client: Option<&'a Arc<Client>>,
    trace: Option<TraceContext>,
    origin: Origin,
    now: jiff::Timestamp,
}

/// Writes the head that the upstream gets.
#[allow(clippy::too_many_arguments, reason = "the parts of one head, all of which stay where they are")]
fn write_head(
    upstream: &Upstream,
    told: &mut Told,
    bytes: &[u8],
    head: &RequestHead,
    fields: &[Field],
    found: &Found<'_>,
    asked: &Asked<'_>,
) -> Vec<u8> {
    let [origin, facts] = told.facts(upstream, asked.client, asked.origin, asked.now);
    let mut out = Vec::with_capacity(head.length + origin.len() + facts.len() + 256);
    let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    line(&[&bytes[head.method.clone()], b" ", asked.target, b" HTTP/1.1\r\nHost: "]);
    match asked.host {
        Some(host) => line(&[host, b"\r\nX-Forwarded-Host: ", host, b"\r\n"]),
        None => line(&[upstream.authority().as_bytes(), b"\r\n"]),
    }
    let mut cookie = false;
    for field in fields {
        let (name, value) = (field.name(bytes), field.value(bytes));
        match kind_of(name) {
            // Ours takes its place.
            Kind::Plain if asked.trace.is_some() && is_traceparent(name) => continue,
            Kind::Plain | Kind::Accept => {}
            // Written as one below (RFC 9113 section 8.2.3 has why; HTTP/1.1 has one anyway).
            Kind::Cookie if found.cookies == 1 => {}
            Kind::Cookie => {
                cookie = true;
                continue;
            }
            _ => continue,
        }
        if !found.named.iter().any(|named| named.eq_ignore_ascii_case(name)) {
            line(&[name, b": ", value, b"\r\n"]);
        }
    }
    if cookie {
        let mut before: &[u8] = b"Cookie: ";
        for field in fields.iter().filter(|field| kind_of(field.name(bytes)) == Kind::Cookie) {
            line(&[before, field.value(bytes)]);
            before = b"; ";
        }
        line(&[b"\r\n"]);
    }
    if found.trailers {
        line(&[b"TE: trailers\r\n"]);
    }
    match found.framing {
        Framing::Length(length) => line(&[format!("Content-Length: {length}\r\n").as_bytes()]),
        Framing::Chunked => line(&[b"Transfer-Encoding: chunked\r\n"]),
        _ if matches!(&bytes[head.method.clone()], b"POST" | b"PUT" | b"PATCH") => {
            line(&[b"Content-Length: 0\r\n"]);
        }
        _ => {}
    }
    if let Some(protocol) = found.upgrade {
        line(&[b"Upgrade: ", protocol, b"\r\nConnection: upgrade\r\n"]);
    }
    if let Some(trace) = &asked.trace {
        line(&[b"traceparent: ", trace.traceparent().as_bytes(), b"\r\n"]);
    }
    line(&[origin, facts, b"\r\n"]);
    out
}

/// The head as the handlers that are not of the short way read it.
fn parts_of(
    bytes: &[u8],
    fields: &[Field],
    method: Method,
    target: &[u8],
    host: Option<&[u8]>,
    minor: u8,
    found: &Found<'_>,
) -> Result<Parts, Fault> {
    let bad = |_| fault("The request cannot be read.");
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(target).map_err(|_| fault("The request target cannot be read."))?;
    *request.version_mut() = if minor == 1 { Version::HTTP_11 } else { Version::HTTP_10 };
    for field in fields {
        let name = field.name(bytes);
        let named = found.named.iter().any(|named| named.eq_ignore_ascii_case(name));
        if matches!(kind_of(name), Kind::Plain | Kind::Accept | Kind::Cookie) && !named {
            let name = HeaderName::from_bytes(name).map_err(|_| fault("The request cannot be read."))?;
            let value = HeaderValue::from_bytes(field.value(bytes)).map_err(bad)?;
            request.headers_mut().append(name, value);
        }
    }
    if let Some(host) = host {
        request.headers_mut().insert(http::header::HOST, HeaderValue::from_bytes(host).map_err(bad)?);
    }
    if found.trailers {
        request.headers_mut().insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(request.into_parts().0)
}
