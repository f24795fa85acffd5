//! What records hold besides handshake messages: alerts, ChangeCipherSpec, application data, what stays closed, and what
//! is no TLS.

use std::time::Duration;

use super::{Protected, SHOWN, Session, name};
use crate::finding::Sender;
use crate::tls::conversation::{Alert, Kind, Protection};
use crate::tls::node::{Decoder, Node, Said, hex_start, said};
use crate::tls::record::{self, Record, RecordPlace};
use crate::tls::{judge, schedule};

impl Session<'_> {
    pub(super) fn foreign(
        &mut self,
        sender: Sender,
        at: Duration,
        offset: u64,
        bytes: &[u8],
        before_tls: bool,
    ) {
        let text: String = bytes.iter().take(60).map(|byte| char::from(*byte)).collect();
        let summary = format!("\"{}\"", crate::escape::text(text.lines().next().unwrap_or_default()));
        let why = if before_tls {
            "Said before TLS began, in clear: a proxy's CONNECT, STARTTLS, or the like."
        } else {
            "These bytes are no TLS records; what follows them cannot be told apart."
        };
        let shown = &bytes[..bytes.len().min(SHOWN)];
        let mut d = Decoder::new(shown);
        d.rest("bytes", "RFC 8446 section 5.1", |octets| {
            let said = said(hex_start(octets), why);
            said.but_if(!before_tls, "a record begins with its type (20 to 24) and the version 3.x")
        });
        let place = RecordPlace { offset, length: bytes.len(), content_type: 0, at };
        let children = d.into_nodes();
        let node = whole("NotTls", shown.len(), &summary, why, "RFC 8446 section 5.1", children);
        let mut message =
            self.message(sender, Kind::NotTls, at, Protection::Clear, shown.to_vec(), node, &[place]);
        message.length = bytes.len() as u64;
        self.push(message);
    }

    pub(super) fn sealed(&mut self, sender: Sender, record: &Record) {
        let length = record.fragment.len();
        let hint = judge::size_hint(self.out.version, self.suite, sender, length);
        let meaning = match &hint {
            // Before the ServerHello nothing else can be encrypted.
            _ if self.out.version.is_none() && self.side_is_early(sender) => {
                "0-RTT data, encrypted with a key that is not at hand.".to_owned()
            }
            Some(hint) => format!("Encrypted, and the key is not at hand. By its size: {hint}."),
            None => "Encrypted, and the key is not at hand.".to_owned(),
        };
        let row = self
            .out
            .messages
            .iter()
            .rev()
            .take_while(|m| m.kind == Kind::Encrypted && m.sender == sender)
            .count();
        if row >= 16
            && let Some(last) = self.out.messages.last_mut()
        {
            last.length += record.place.length as u64;
            last.record_count += 1;
            last.summary = format!("{} records, {} bytes", last.record_count, last.length);
            return;
        }
        let mut bytes = record.header.to_vec();
        bytes.extend_from_slice(&record.fragment);
        let node = record::sealed(record, meaning);
        let mut message = self.message(
            sender,
            Kind::Encrypted,
            record.place.at,
            Protection::Sealed,
            bytes,
            node,
            &[record.place],
        );
        if let Some(hint) = hint {
            message.summary = format!("{}; {hint}", message.summary);
        }
        self.push(message);
    }

    pub(super) fn content(
        &mut self,
        sender: Sender,
        kind: u8,
        plain: &[u8],
        place: RecordPlace,
        protection: Protection,
    ) {
        match kind {
            20 => self.change_cipher_spec(sender, plain, place, protection),
            21 => self.alert(sender, plain, place, protection),
            22 => self.handshake_bytes(sender, plain, place, &protection),
            23 => self.application_data(sender, plain, place, protection),
            _ => {
                let mut d = Decoder::new(plain);
                d.rest("payload", "RFC 6520 section 3", |octets| said(hex_start(octets), "Its content."));
                let (name, why) = match kind {
                    24 => (
                        "Heartbeat",
                        "A heartbeat (RFC 6520), known from the bug named Heartbleed and out of use.",
                    ),
                    _ => ("UnknownContent", "A content type that does not exist."),
                };
                let children = d.into_nodes();
                let node = whole(name, plain.len(), "", why, "RFC 6520", children);
                let message = self.message(
                    sender,
                    Kind::Heartbeat,
                    place.at,
                    protection,
                    plain.to_vec(),
                    node,
                    &[place],
                );
                self.push(message);
            }
        }
    }

    pub(super) fn change_cipher_spec(
        &mut self,
        sender: Sender,
        plain: &[u8],
        place: RecordPlace,
        protection: Protection,
    ) {
        // Before the ServerHello a retry or 0-RTT data give TLS 1.3 away.
        let is_early = self.side_is_early(sender);
        let tls13 = self.is_tls13() || (self.out.version.is_none() && (self.out.hello_retry || is_early));
        let why = if tls13 {
            "Means nothing in TLS 1.3: sent so that middleboxes see what looks like TLS 1.2."
        } else {
            "All that this side sends from here on is encrypted with the keys just agreed on."
        };
        let at = if tls13 { "RFC 8446 appendix D.4" } else { "RFC 5246 section 7.1" };
        let mut d = Decoder::new(plain);
        d.number(1, "type", at, |value| {
            said(value.to_string(), "Always 1.").but_if(value != 1, "only 1 is defined")
        });
        d.close();
        let children = d.into_nodes();
        let node = whole("ChangeCipherSpec", plain.len(), "", why, at, children);
        let message = self.message(
            sender,
            Kind::ChangeCipherSpec,
            place.at,
            protection,
            plain.to_vec(),
            node,
            &[place],
        );
        self.push(message);
        // Before the ServerHello it is a TLS 1.3 client's, which means nothing.
        if !tls13 && self.out.version.is_some() {
            if sender == Sender::Server && !self.server_said_done {
                self.out.resumed = true;
            }
            let side = self.side(sender);
            side.protected = match side.next.take() {
                Some(opener) => Protected::By("CLIENT_RANDOM".to_owned(), opener),
                None => Protected::Unknown,
            };
        }
    }

    pub(super) fn alert(&mut self, sender: Sender, plain: &[u8], place: RecordPlace, protection: Protection) {
        let mut d = Decoder::new(plain);
        let at = "RFC 8446 section 6";
        let level = d.number(1, "level", at, |level| match level {
            1 => said("warning (1)", "TLS 1.3 gives the level no meaning."),
            2 => said("fatal (2)", "The connection ends here."),
            other => said(other.to_string(), "Unknown.").but("only 1 and 2 are defined"),
        });
        let description = d.number(1, "description", at, |description| {
            let description = description as u8;
            said(crate::alert::cite(description), "What went wrong, in the sender's view.")
                .but_if(crate::alert::name(description).is_none(), "no alert has this number")
        });
        d.close();
        let (level, number) = (level.unwrap_or_default() as u8, description.map(|number| number as u8));
        let cited = number.map_or_else(|| "cut short".to_owned(), crate::alert::cite);
        let summary = match (level, number) {
            (_, Some(0)) => cited,
            (1, _) => format!("warning: {cited}"),
            _ => format!("fatal: {cited}"),
        };
        let why = match number {
            Some(0) => "The sender will send nothing more: an orderly end.".to_owned(),
            Some(90) => "Somebody gave up.".to_owned(),
            _ => format!("The {} ends the connection and says why, in one number.", name(sender)),
        };
        let children = d.into_nodes();
        let node = whole("Alert", plain.len(), &summary, &why, at, children);
        let encrypted = protection != Protection::Clear;
        let message = self.message(sender, Kind::Alert, place.at, protection, plain.to_vec(), node, &[place]);
        if let Some(description) = number {
            let after_finished = self.client.finished;
            let message = message.number;
            self.out.alerts.push(Alert { sender, level, description, encrypted, message, after_finished });
        }
        self.push(message);
    }

    pub(super) fn application_data(
        &mut self,
        sender: Sender,
        plain: &[u8],
        place: RecordPlace,
        protection: Protection,
    ) {
        if let Some(last) = self.out.messages.last_mut()
            && last.kind == Kind::ApplicationData
            && last.sender == sender
        {
            last.length += plain.len() as u64;
            last.record_count += 1;
            last.summary = format!("{} bytes in {} records", last.length, last.record_count);
            if last.records.len() < 16 {
                last.records.push(place);
            }
            return;
        }
        let shown = &plain[..plain.len().min(SHOWN)];
        let mut d = Decoder::new(shown);
        d.rest("data", "RFC 8446 section 5.2", |octets| {
            said(
                format!("{} bytes", octets.len()),
                "What the applications say to each other; not shown unless asked for.",
            )
        });
        let why = if matches!(&protection, Protection::Opened(label) if label == schedule::EARLY) {
            "0-RTT data: sent before the server has said a word, and possibly a replay of somebody who listened."
        } else if sender == Sender::Server && !self.client.finished && self.is_tls13() {
            "The server speaks before it knows who the client is."
        } else {
            "What the connection is for."
        };
        let children = d.into_nodes();
        let summary = format!("{} bytes", plain.len());
        let node = whole("ApplicationData", shown.len(), &summary, why, "RFC 8446 section 5.2", children);
        let mut message =
            self.message(sender, Kind::ApplicationData, place.at, protection, shown.to_vec(), node, &[place]);
        message.length = plain.len() as u64;
        self.push(message);
    }
}

fn whole(
    name: &'static str,
    length: usize,
    value: &str,
    meaning: &str,
    reference: &'static str,
    children: Vec<Node>,
) -> Node {
    let Said { value, meaning, problem } = said(value, meaning.to_owned());
    Node { name: name.into(), start: 0, end: length, value, meaning, reference, problem, children }
}
