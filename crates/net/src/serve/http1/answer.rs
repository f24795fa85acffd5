//! What the head of an upstream's answer says to us: how its body ends, whether the connection may be used again, and which
//! of its fields end here. Whoever the client is and whatever it speaks, an answer is understood in one way.

use super::head::{Field, Framing, FramingHeaders, ResponseHead};

/// What was read of a head.
pub(crate) struct Said<'b> {
    pub(crate) framing: Framing,
    /// The upstream keeps the connection, as far as this head says.
    pub(crate) keeps: bool,
    status: u16,
    /// What Connection names: fields of this hop, whatever they are (RFC 9110 section 7.6.1).
    named: Vec<&'b [u8]>,
}

impl<'b> Said<'b> {
    /// Reads a head and its fields; `is_head` where HEAD was asked.
    ///
    /// # Errors
    /// Why it is none that an answer can be made of.
    pub(crate) fn read(
        bytes: &'b [u8],
        head: &ResponseHead,
        fields: &[Field],
        is_head: bool,
    ) -> Result<Self, String> {
        let mut framing = FramingHeaders::default();
        let mut named = Vec::new();
        let mut keeps = head.minor == 1;
        for field in fields {
            let (name, value) = (field.name(bytes), field.value(bytes));
            if name.eq_ignore_ascii_case(b"content-length") {
                framing.length(value).map_err(|error| error.to_string())?;
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                framing.transfer_encoding(value, head.minor).map_err(|error| error.to_string())?;
            } else if name.eq_ignore_ascii_case(b"connection") {
                for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if token.eq_ignore_ascii_case(b"close") {
                        keeps = false;
                    } else if token.eq_ignore_ascii_case(b"keep-alive") {
                        keeps = true;
                    } else {
                        named.push(token);
                    }
                }
            }
        }
        let framing = framing.of_response(head.status, is_head).map_err(|error| error.to_string())?;
        keeps &= framing != Framing::UntilClose;
        Ok(Said { framing, keeps, status: head.status, named })
    }

    /// Whether the answer makes the connection one of another protocol.
    pub(crate) fn switches(&self) -> bool {
        self.status == 101
    }

    /// Whether a field is not for the client.
    pub(crate) fn ends_here(&self, name: &[u8]) -> bool {
        let is_length = name.eq_ignore_ascii_case(b"content-length");
        // What Connection cannot take away.
        let stays = is_length || (self.switches() && name.eq_ignore_ascii_case(b"upgrade"));
        is_of_one_hop(name, self.switches())
            || (self.status == 204 && is_length)
            || (!stays && self.named.iter().any(|named| named.eq_ignore_ascii_case(name)))
    }
}

fn is_of_one_hop(name: &[u8], switches: bool) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match (name.len(), name[0] | 0x20) {
        (2, b't') => is(b"te"),
        (7, b'u') => is(b"upgrade") && !switches,
        (10, b'c') => is(b"connection"),
        (10, b'k') => is(b"keep-alive"),
        (16, b'p') => is(b"proxy-connection"),
        (17, b't') => is(b"transfer-encoding"),
        (18, b'p') => is(b"proxy-authenticate"),
        (19, b'p') => is(b"proxy-authorization"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::serve::http1::head;

    /// The names that reach the client, and whether the connection is kept.
    fn passed(answer: &str) -> (Vec<String>, bool) {
        let mut fields = Vec::new();
        let head = head::response(answer.as_bytes(), &mut fields).unwrap().unwrap();
        let said = Said::read(answer.as_bytes(), &head, &fields, false).unwrap();
        let names =
            fields.iter().map(|field| field.name(answer.as_bytes())).filter(|name| !said.ends_here(name));
        (names.map(|name| String::from_utf8(name.to_vec()).unwrap()).collect(), said.keeps)
    }

    #[test]
    fn fields_of_one_hop_and_those_that_connection_names_end_here_but_not_the_length() {
        for (answer, names, keeps) in [
            ("200 OK\r\nA: 1\r\nContent-Length: 0\r\n", &["A", "Content-Length"][..], true),
            (
                "200 OK\r\nConnection: a, Close\r\nA: 1\r\nB: 2\r\nContent-Length: 0\r\n",
                &["B", "Content-Length"],
                false,
            ),
            ("200 OK\r\nConnection: content-length\r\nContent-Length: 0\r\n", &["Content-Length"], true),
            (
                "200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: 1\r\nUpgrade: h2c\r\nB: 2\r\n",
                &["B"],
                true,
            ),
            ("200 OK\r\nB: 2\r\n", &["B"], false),
            ("204 No Content\r\nContent-Length: 0\r\nB: 2\r\n", &["B"], true),
            ("101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", &["Upgrade"], true),
        ] {
            let (passed, kept) = passed(&format!("HTTP/1.1 {answer}\r\n"));
            assert_eq!(
                (&passed.iter().map(String::as_str).collect::<Vec<_>>()[..], kept),
                (names, keeps),
                "{answer}"
            );
        }
    }
}
