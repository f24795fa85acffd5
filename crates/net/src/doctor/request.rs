//! An empty GET by hand, and the beginning of its answer. By hand, since what is looked for is what a broken or
//! refusing server really sends, and an HTTP library would turn much of it into one error.

use explain::doctor::Answer;
use jiff::Timestamp;

use super::Plan;

/// The most of an answer that is read.
pub(super) const MOST_OCTETS: usize = 16 * 1024;

/// The request.
pub(super) fn get(plan: &Plan) -> String {
    let target = &plan.target;
    let default_port = if target.is_tls { 443 } else { 80 };
    let authority = target.authority();
    let host = match &target.host_header {
        Some(header) => header.clone(),
        None if target.port == default_port => {
            authority.rsplit_once(':').map_or(authority.clone(), |(host, _)| host.to_owned())
        }
        None => authority,
    };
    let agent = concat!("countersign/", env!("CARGO_PKG_VERSION"));
    let mut request =
        format!("GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n", target.path);
    for (name, value) in &plan.headers {
        let is_line = |text: &str| !text.contains(['\r', '\n']);
        if is_line(name) && is_line(value) && !name.eq_ignore_ascii_case("host") {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    request + "Connection: close\r\n\r\n"
}

/// Whether enough of an answer is there to judge it.
pub(super) fn is_enough(bytes: &[u8]) -> bool {
    if bytes.len() >= MOST_OCTETS {
        return true;
    }
    if bytes.len() >= 5 && !bytes.starts_with(b"HTTP/") {
        return true;
    }
    let Some(head) = end_of_head(bytes) else { return false };
    let text = String::from_utf8_lossy(&bytes[..head]);
    let length = header(&text, "content-length").and_then(|value| value.parse::<usize>().ok());
    match length {
        Some(length) => bytes.len() >= head + length.min(MOST_OCTETS / 2),
        // The last chunk, or the connection's end.
        None => bytes.ends_with(b"0\r\n\r\n") || status(&text).is_some_and(|s| s == 204 || s == 304),
    }
}

/// Reads what came.
pub(super) fn read(bytes: &[u8]) -> Option<Answer> {
    let head = end_of_head(bytes).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..head]);
    let status = status(&text)?;
    Some(Answer {
        status,
        date: header(&text, "date").and_then(date),
        server: header(&text, "server").map(str::to_owned),
        location: header(&text, "location").map(str::to_owned),
        body: String::from_utf8_lossy(&bytes[head..]).chars().take(4096).collect(),
    })
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

fn status(head: &str) -> Option<u16> {
    head.strip_prefix("HTTP/")?.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// An HTTP-date in its only current form (RFC 9110 section 5.6.7).
fn date(text: &str) -> Option<Timestamp> {
    let without_zone = text.strip_suffix(" GMT")?;
    let moment = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S", without_zone).ok()?;
    moment.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn an_answer_is_read_with_its_date_and_body_and_garbage_is_none() {
        let bytes = b"HTTP/1.1 400 Bad Request\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: nginx\r\n\
            Content-Length: 5\r\n\r\nhello";
        assert!(is_enough(bytes) && !is_enough(&bytes[..bytes.len() - 1]));
        let answer = read(bytes).unwrap();
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.server.as_deref()),
            (400, "hello", Some("nginx"))
        );
        assert_eq!(answer.date.unwrap().to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(read(b"\x15\x03\x03\x00\x02\x02\x46"), None);
        assert_eq!(read(b"HTTP/1.1 abc"), None);
    }
}
