//! The walk through a recording: records are cut, opened, put together to messages, and each message is decoded with
//! what those before it decided. The state of both directions lives here; what is said of the result, elsewhere.

mod content;

use std::time::Duration;

use crate::capture::key_log::Secrets;
use crate::capture::transcript::{Transcript, What};
use crate::certificate::CertificateDescription;
use crate::finding::Sender;
use crate::tls::conversation::{Conversation, Kind, Message, Protection};
use crate::tls::decrypt::{Opener, next_secret};
use crate::tls::handshake::{self, Context, Facts, LONGEST, decode_with_facts};
use crate::tls::node::Node;
use crate::tls::record::{Record, RecordPlace, Splitter, Taken, begins_record};
use crate::tls::registry::{self, Cipher, CipherSuite};
use crate::tls::{judge, key_schedule, schedule, verify};
use crate::tlv::Problems;

/// Of a row of application data or sealed records, this much is kept to be shown.
const SHOWN: usize = 4096;
/// More messages than this are counted, and not shown one by one: no handshake has so many.
const MOST_MESSAGES: usize = 4096;
/// Bytes before TLS (a proxy's CONNECT, STARTTLS) are searched this far for its start.
const LONGEST_PREFIX: usize = 65_536;

/// Explains a recording. It never fails: what cannot be understood is part of the answer.
///
/// ```
/// use explain::capture::Transcript;
/// let mut transcript = Transcript::default();
/// transcript.push_bytes(explain::finding::Sender::Client, Default::default(), b"\x15\x03\x03\x00\x02\x02\x30");
/// let conversation = explain::tls::explain(&transcript);
/// assert_eq!(conversation.messages[0].summary, "fatal: unknown_ca (48)");
/// ```
#[must_use]
pub fn explain(transcript: &Transcript) -> Conversation {
    walk(transcript, false)
}

/// The same for a table of many: certificates are one field each, which is most of the work.
#[must_use]
pub fn explain_briefly(transcript: &Transcript) -> Conversation {
    walk(transcript, true)
}

fn walk(transcript: &Transcript, brief: bool) -> Conversation {
    let mut session = Session::new(transcript);
    session.brief = brief;
    for event in &transcript.events {
        match &event.what {
            What::Bytes(bytes) => session.bytes(event.sender, event.at, bytes),
            What::Missing(count) => session.missing(event.sender, *count),
            What::Closed | What::Reset => session.out.endings.push(event.clone()),
        }
    }
    session.finish()
}

/// What a direction's records are protected with.
enum Protected {
    /// Nothing.
    Not,
    /// Keys that are at hand: the label, and what opens.
    By(String, Box<Opener>),
    /// 0-RTT, whose suite is not said in clear: each that fits is tried.
    Early(Vec<Opener>),
    /// Keys that are not at hand.
    Unknown,
}

/// One direction.
struct Side {
    splitter: Splitter,
    begun: bool,
    protected: Protected,
    /// The traffic secret in use, for KeyUpdate (TLS 1.3).
    secret: Option<Vec<u8>>,
    /// What ChangeCipherSpec switches to (TLS 1.2).
    next: Option<Box<Opener>>,
    /// Handshake bytes that wait for the rest of their message, and the records they came in.
    waiting: Vec<u8>,
    places: Vec<RecordPlace>,
    sent: u64,
    finished: bool,
    /// Its own certificate, read once for all that asks about it.
    leaf: Option<CertificateDescription>,
    delegated: bool,
}

impl Side {
    fn new() -> Self {
        Side {
            splitter: Splitter::default(),
            begun: false,
            protected: Protected::Not,
            secret: None,
            next: None,
            waiting: Vec::new(),
            places: Vec::new(),
            sent: 0,
            finished: false,
            leaf: None,
            delegated: false,
        }
    }
}

struct Session<'a> {
    transcript: &'a Transcript,
    secrets: Option<&'a Secrets>,
    client: Side,
    server: Side,
    client_random: Option<[u8; 32]>,
    server_random: Option<[u8; 32]>,
    client_session_id: Vec<u8>,
    suite: Option<&'static CipherSuite>,
    /// The handshake messages so far, as the transcript hash takes them in.
    handshake: Vec<u8>,
    /// Where the first handshake ended in it; what follows is authentication after the handshake.
    handshake_end: Option<usize>,
    /// The part of a ServerKeyExchange that was signed is checked with the server's random value.
    server_said_done: bool,
    encrypted_hello: bool,
    brief: bool,
    dropped: u64,
    out: Conversation,
}

impl<'a> Session<'a> {
    fn new(transcript: &'a Transcript) -> Self {
        let out = Conversation {
            client: transcript.client.clone(),
            server: transcript.server.clone(),
            started: transcript.started,
            remarks: transcript.remarks.clone(),
            ..Conversation::default()
        };
        Session {
            transcript,
            secrets: None,
            client: Side::new(),
            server: Side::new(),
            client_random: None,
            server_random: None,
            client_session_id: Vec::new(),
            suite: None,
            handshake: Vec::new(),
            handshake_end: None,
            server_said_done: false,
            encrypted_hello: false,
            brief: false,
            dropped: 0,
            out,
        }
    }

    fn side(&mut self, sender: Sender) -> &mut Side {
        match sender {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        }
    }

    fn is_tls13(&self) -> bool {
        self.out.version == Some(0x0304)
    }

    fn secret(&self, label: &str) -> Option<&'a [u8]> {
        self.secrets.and_then(|secrets| secrets.find(label))
    }

    fn bytes(&mut self, sender: Sender, at: Duration, bytes: &[u8]) {
        let side = self.side(sender);
        side.sent += bytes.len() as u64;
        side.splitter.push(bytes);
        if !side.begun {
            let rest = side.splitter.rest();
            let prefix = match start_of_tls(rest, sender) {
                Some(prefix) => prefix,
                None if rest.len() > LONGEST_PREFIX => 0,
                None => return,
            };
            side.begun = true;
            if prefix > 0 {
                let (offset, before) = (side.splitter.offset(), rest[..prefix].to_vec());
                side.splitter.skip(prefix);
                self.foreign(sender, at, offset, &before, true);
            }
        }
        self.records(sender, at);
    }

    fn records(&mut self, sender: Sender, at: Duration) {
        while let Some(taken) = self.side(sender).splitter.next(at) {
            match taken {
                Taken::Record(record) => self.record(sender, &record),
                Taken::Foreign { offset, at, bytes } => self.foreign(sender, at, offset, &bytes, false),
            }
        }
    }

    fn missing(&mut self, sender: Sender, count: u64) {
        let who = name(sender);
        self.out.limits.push(format!(
            "{count} bytes of what the {who} sent are missing from the recording; nothing after them can be told apart"
        ));
        // Whatever comes now starts in the middle of something.
        let side = self.side(sender);
        side.splitter = Splitter::default();
        side.begun = false;
        side.waiting.clear();
        if !matches!(side.protected, Protected::Not) {
            side.protected = Protected::Unknown;
        }
    }

    fn record(&mut self, sender: Sender, record: &Record) {
        let kind = record.header[0];
        let tls13 = self.is_tls13();
        // Under TLS 1.3 what is encrypted calls itself application data; an alert of a side that could not switch
        // is in clear, and so is the ChangeCipherSpec before 0-RTT data, when the version is not yet agreed on.
        let hides_kind = tls13 || self.side_is_early(sender);
        let is_protected =
            !matches!(self.side(sender).protected, Protected::Not) && (!hides_kind || kind == 23);
        if !is_protected {
            self.content(sender, kind, &record.fragment, record.place, Protection::Clear);
            return;
        }
        let Some((label, mut plain)) = self.open(sender, record) else {
            self.sealed(sender, record);
            return;
        };
        if let Some(secret) = self.out.schedule.iter_mut().find(|secret| secret.label == Some(label.as_str()))
        {
            secret.opened += 1;
        }
        let kind = if tls13 || self.side_is_early(sender) {
            while plain.last() == Some(&0) {
                plain.pop();
            }
            plain.pop().unwrap_or_default()
        } else {
            kind
        };
        self.content(sender, kind, &plain, record.place, Protection::Opened(label));
    }

    fn side_is_early(&mut self, sender: Sender) -> bool {
        matches!(self.side(sender).protected, Protected::Early(_))
    }

    fn open(&mut self, sender: Sender, record: &Record) -> Option<(String, Vec<u8>)> {
        let handshake = "CLIENT_HANDSHAKE_TRAFFIC_SECRET";
        let (suite, secret) = (self.suite, self.secret(handshake));
        let side = self.side(sender);
        match &mut side.protected {
            Protected::By(label, opener) => {
                opener.open(&record.header, &record.fragment).map(|plain| (label.clone(), plain))
            }
            Protected::Early(openers) => {
                let opened = openers.iter_mut().enumerate().find_map(|(index, opener)| {
                    opener.open(&record.header, &record.fragment).map(|plain| (index, plain))
                });
                if let Some((index, plain)) = opened {
                    let fitting = openers.swap_remove(index);
                    *openers = vec![fitting];
                    return Some((schedule::EARLY.to_owned(), plain));
                }
                // A server that refuses 0-RTT makes the client go on with the handshake's keys.
                let mut opener = Opener::of_traffic_secret(suite?, secret?)?;
                let plain = opener.open(&record.header, &record.fragment)?;
                side.protected = Protected::By(handshake.to_owned(), Box::new(opener));
                side.secret = secret.map(<[u8]>::to_vec);
                Some((handshake.to_owned(), plain))
            }
            Protected::Not | Protected::Unknown => None,
        }
    }

    fn handshake_bytes(&mut self, sender: Sender, plain: &[u8], place: RecordPlace, protection: &Protection) {
        let side = self.side(sender);
        side.waiting.extend_from_slice(plain);
        side.places.push(place);
        loop {
            let side = self.side(sender);
            let Some(header) = side.waiting.get(1..4) else { break };
            let length =
                4 + (usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]));
            if side.waiting.len() < length.min(LONGEST * 4) {
                break;
            }
            let length = length.min(side.waiting.len());
            let rest = side.waiting.split_off(length);
            let bytes = std::mem::replace(&mut side.waiting, rest);
            let places = std::mem::take(&mut side.places);
            if !side.waiting.is_empty() {
                side.places.extend(places.last());
            }
            self.handshake_message(sender, bytes, &places, protection.clone());
        }
    }

    fn context(&self, sender: Sender) -> Context {
        Context {
            version: self.out.version,
            key_exchange: self.suite.map(|suite| suite.key_exchange),
            finished_length: self.suite.map(|suite| suite.hash.length()),
            from_client: sender == Sender::Client,
        }
    }

    fn handshake_message(
        &mut self,
        sender: Sender,
        bytes: Vec<u8>,
        places: &[RecordPlace],
        protection: Protection,
    ) {
        let (node, facts) = decode_with_facts(&bytes, &self.context(sender), self.brief);
        let kind = match bytes.first() {
            Some(2) if facts.is_hello_retry_request() => Kind::HelloRetryRequest,
            kind => Kind::Handshake(kind.copied().unwrap_or_default()),
        };
        let at = places.last().map(|place| place.at).unwrap_or_default();
        let mut message = self.message(sender, kind, at, protection, bytes, node, places);
        message.certificates.clone_from(&facts.certificates);
        if kind == Kind::Handshake(25) {
            message.inside = handshake::decompressed(&message.bytes).map(|plain| {
                let node = handshake::decode(&plain, &self.context(sender));
                (plain, node)
            });
        }
        self.before(&mut message, &facts);
        self.take_in(&message);
        let accepted = self.out.early_data_accepted;
        self.after(&mut message, &facts);
        message.moment = match self.out.early_data_accepted {
            Some(now) if accepted.is_none() => Some(judge::early_data_moment(now)),
            _ => judge::moment(&self.out, &message, self.is_tls13()),
        };
        self.push(message);
    }

    /// What is checked against the messages before this one.
    fn before(&mut self, message: &mut Message, facts: &Facts) {
        let server = message.sender == Sender::Server;
        match message.kind {
            Kind::Handshake(15) => {
                let side = if server { &self.server } else { &self.client };
                message.checks.push(match side.delegated {
                    true => verify::made_with_delegated_credential(),
                    false => verify::certificate_verify(
                        self.hashed(),
                        side.leaf.as_ref(),
                        facts,
                        message.sender,
                        self.encrypted_hello,
                    ),
                });
            }
            Kind::Handshake(12) if facts.signature.is_some() => {
                let leaf = self.server.leaf.as_ref();
                if let (Some(client), Some(server)) = (self.client_random, self.server_random) {
                    message.checks.push(verify::key_exchange(leaf, facts, &client, &server));
                }
            }
            Kind::Handshake(20) => {
                let base = match self.is_tls13() {
                    true if self.client.finished && !server => self.client.secret.as_deref(),
                    true if server => self.secret("SERVER_HANDSHAKE_TRAFFIC_SECRET"),
                    true => self.secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET"),
                    false => self.secret("CLIENT_RANDOM"),
                };
                let check =
                    verify::finished(self.hashed(), base, facts, message.sender, self.encrypted_hello);
                message.checks.push(check);
            }
            _ => {}
        }
    }

    fn hashed(&self) -> verify::Transcript<'_> {
        verify::Transcript { messages: &self.handshake, suite: self.suite, tls13: self.is_tls13() }
    }

    /// The transcript hash takes in every message of the handshake, as it was sent.
    fn take_in(&mut self, message: &Message) {
        let after = self.handshake_end.is_some();
        let counts = match message.kind {
            // Tickets and key updates belong to no transcript, HelloRequest neither (RFC 5246 section 7.4.1.1).
            Kind::Handshake(0 | 24) => false,
            Kind::Handshake(4) => !self.is_tls13(),
            Kind::Handshake(1) if after && !self.is_tls13() => {
                self.handshake.clear();
                self.handshake_end = None;
                self.server_said_done = false;
                true
            }
            Kind::Handshake(13) if after => {
                self.handshake.truncate(self.handshake_end.unwrap_or_default());
                true
            }
            _ => true,
        };
        if counts && self.handshake.len() < 4 * LONGEST {
            self.handshake.extend_from_slice(&message.bytes);
        }
    }

    fn after(&mut self, message: &mut Message, facts: &Facts) {
        let sender = message.sender;
        match message.kind {
            Kind::Handshake(1) => self.client_hello(facts),
            Kind::HelloRetryRequest => self.hello_retry_request(facts),
            Kind::Handshake(2) => self.server_hello(facts),
            Kind::Handshake(8) => {
                self.out.alpn = handshake::application_protocols(facts).into_iter().next();
                self.answer_early_data(facts.extension(42).is_some());
            }
            Kind::Handshake(5) => self.client_handshake_keys(),
            Kind::Handshake(11 | 25) => {
                let chain = match sender {
                    Sender::Client => &mut self.out.client_chain,
                    Sender::Server => &mut self.out.server_chain,
                };
                chain.clone_from(&facts.certificates);
                let first = facts.certificates.as_ref().and_then(|chain| chain.first());
                let side = self.side(sender);
                side.leaf = first.map(|der| CertificateDescription::read(der, &mut Problems::default()));
                side.delegated = facts.delegated;
                if sender == Sender::Server {
                    self.out.stapled = facts.status.as_deref().and_then(handshake::ocsp_response);
                }
            }
            Kind::Handshake(22) => {
                self.out.stapled = facts.status.as_deref().and_then(handshake::ocsp_response);
            }
            Kind::Handshake(12) => self.out.group = facts.group,
            Kind::Handshake(13) => self.out.certificate_request.clone_from(&facts.request),
            Kind::Handshake(14) => self.server_said_done = true,
            Kind::Handshake(20) => self.finished(sender),
            Kind::Handshake(24) => self.key_update(sender),
            _ => {}
        }
    }

    fn client_hello(&mut self, facts: &Facts) {
        self.client_random = facts.random;
        self.client_session_id.clone_from(&facts.session_id);
        self.encrypted_hello |= facts.extension(0xfe0d).is_some_and(|data| data.first() == Some(&0));
        if let Some(random) = facts.random {
            if !self.out.client_randoms.contains(&random) {
                self.out.client_randoms.push(random);
            }
            self.secrets = self.transcript.secrets.find(&random);
        }
        if let Some(name) = handshake::server_name(facts) {
            self.out.server_name = Some(name);
        }
        if facts.extension(42).is_some() {
            self.out.early_data = true;
            let openers = self.secret(schedule::EARLY).map(|secret| {
                [0x1301, 0x1302, 0x1303, 0x1304, 0x1305]
                    .into_iter()
                    .filter_map(registry::cipher_suite)
                    .filter_map(|suite| Opener::of_traffic_secret(suite, secret))
                    .collect()
            });
            self.client.protected = Protected::Early(openers.unwrap_or_default());
        } else if matches!(self.client.protected, Protected::Early(_)) {
            // The second ClientHello, after a HelloRetryRequest: 0-RTT data that were on their way stand before it.
            self.client.protected = Protected::Not;
        }
    }

    /// The first answer counts; there is none where nothing was offered.
    fn answer_early_data(&mut self, accepted: bool) {
        if self.out.early_data {
            self.out.early_data_accepted.get_or_insert(accepted);
        }
    }

    fn hello_retry_request(&mut self, facts: &Facts) {
        self.out.hello_retry = true;
        // RFC 8446 section 4.2.10: whoever asks for another ClientHello has refused what came with the first.
        self.answer_early_data(false);
        let Some(suite) = facts.cipher_suite.and_then(registry::cipher_suite) else { return };
        // RFC 8446 section 4.4.1: the first ClientHello is replaced by its hash.
        let retry = self.handshake.len() - self.last_message_length(&self.handshake);
        let hash = suite.hash.of(&self.handshake[..retry]);
        let request = self.handshake.split_off(retry);
        self.handshake = [&[254, 0, 0, hash.len() as u8], hash.as_slice(), &request].concat();
    }

    /// The length of the last message of a row of whole messages.
    fn last_message_length(&self, messages: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let Some(header) = messages.get(at + 1..at + 4) else { return messages.len() - at };
            let length =
                4 + (usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]));
            if at + length >= messages.len() {
                return messages.len() - at;
            }
            at += length;
        }
    }

    fn server_hello(&mut self, facts: &Facts) {
        let selected = facts
            .extension(43)
            .and_then(|data| Some(u16::from(*data.first()?) << 8 | u16::from(*data.get(1)?)));
        self.out.version = selected.or(facts.legacy_version);
        self.out.cipher_suite = facts.cipher_suite;
        self.suite = facts.cipher_suite.and_then(registry::cipher_suite);
        self.server_random = facts.random;
        if self.is_tls13() {
            let share = facts.extension(51);
            self.out.group =
                share.and_then(|data| Some(u16::from(*data.first()?) << 8 | u16::from(*data.get(1)?)));
            self.out.resumed = facts.extension(41).is_some();
            if !self.out.resumed {
                // Without the key that protects them they cannot be read.
                self.answer_early_data(false);
            }
            self.switch(Sender::Server, "SERVER_HANDSHAKE_TRAFFIC_SECRET");
            if !matches!(self.client.protected, Protected::Early(_)) {
                self.client_handshake_keys();
            }
        } else {
            self.answer_early_data(false);
            self.out.resumed = !facts.session_id.is_empty() && facts.session_id == self.client_session_id;
            self.out.alpn = handshake::application_protocols(facts).into_iter().next();
            self.keys_of_tls12(facts);
        }
        self.out.schedule =
            schedule::of(self.is_tls13(), self.out.resumed, self.out.early_data, self.secrets);
    }

    fn client_handshake_keys(&mut self) {
        self.switch(Sender::Client, "CLIENT_HANDSHAKE_TRAFFIC_SECRET");
    }

    fn switch(&mut self, sender: Sender, label: &str) {
        let (suite, secret) = (self.suite, self.secret(label));
        let opener = suite.zip(secret).and_then(|(suite, secret)| Opener::of_traffic_secret(suite, secret));
        let side = self.side(sender);
        side.secret = secret.map(<[u8]>::to_vec);
        side.protected = match opener {
            Some(opener) => Protected::By(label.to_owned(), Box::new(opener)),
            None => Protected::Unknown,
        };
    }

    fn keys_of_tls12(&mut self, facts: &Facts) {
        // Older versions derive keys with MD5 and SHA-1 together, which nothing here does.
        if self.out.version != Some(0x0303) {
            return;
        }
        let (Some(suite), Some(master)) = (self.suite, self.secret("CLIENT_RANDOM")) else { return };
        let (Some(client), Some(server)) = (self.client_random, self.server_random) else { return };
        let Some((for_client, for_server)) = key_schedule::key_block(suite, master, &client, &server) else {
            return;
        };
        let encrypt_then_mac = matches!(suite.cipher, Cipher::AesCbc(_) | Cipher::CamelliaCbc(_))
            && facts.extension(22).is_some();
        self.client.next = Opener::of_key_block(suite, &for_client, encrypt_then_mac).map(Box::new);
        self.server.next = Opener::of_key_block(suite, &for_server, encrypt_then_mac).map(Box::new);
    }

    fn finished(&mut self, sender: Sender) {
        self.side(sender).finished = true;
        if self.is_tls13() {
            match sender {
                Sender::Server => self.switch(Sender::Server, "SERVER_TRAFFIC_SECRET_0"),
                Sender::Client if self.handshake_end.is_none() => {
                    self.switch(Sender::Client, "CLIENT_TRAFFIC_SECRET_0")
                }
                Sender::Client => {}
            }
        }
        if self.client.finished && self.server.finished {
            self.out.complete = true;
            self.handshake_end.get_or_insert(self.handshake.len());
        }
    }

    fn key_update(&mut self, sender: Sender) {
        let suite = self.suite;
        let side = self.side(sender);
        let next = suite.zip(side.secret.as_deref()).and_then(|(suite, secret)| {
            let next = next_secret(suite.hash, secret)?;
            Some((Opener::of_traffic_secret(suite, &next)?, next))
        });
        match next {
            Some((opener, secret)) => {
                let label = match &side.protected {
                    Protected::By(label, _) => label.clone(),
                    _ => String::new(),
                };
                side.protected = Protected::By(label, Box::new(opener));
                side.secret = Some(secret);
            }
            None => side.protected = Protected::Unknown,
        }
    }

    #[allow(clippy::too_many_arguments, reason = "each is a field of the message")]
    fn message(
        &self,
        sender: Sender,
        kind: Kind,
        at: Duration,
        protection: Protection,
        bytes: Vec<u8>,
        node: Node,
        records: &[RecordPlace],
    ) -> Message {
        Message {
            number: self.out.messages.len() + 1,
            sender,
            kind,
            at,
            protection,
            length: bytes.len() as u64,
            bytes,
            records: records.to_vec(),
            record_count: records.len(),
            summary: node.value.clone(),
            why: node.meaning.to_string(),
            node,
            moment: None,
            checks: Vec::new(),
            inside: None,
            certificates: None,
        }
    }

    fn push(&mut self, message: Message) {
        if self.out.messages.len() < MOST_MESSAGES {
            self.out.messages.push(message);
        } else {
            self.dropped += 1;
        }
    }

    fn finish(mut self) -> Conversation {
        for sender in [Sender::Client, Sender::Server] {
            self.leftovers(sender);
        }
        if self.dropped > 0 {
            self.out.limits.push(format!("{} more messages are not shown", self.dropped));
        }
        self.out.sent = (self.client.sent, self.server.sent);
        judge::limits(&mut self.out, self.secrets, self.suite, self.encrypted_hello);
        judge::early_data(&mut self.out);
        judge::findings(&mut self.out, self.client.leaf.as_ref(), self.server.leaf.as_ref());
        self.out
    }

    /// What waits for a rest that never came.
    fn leftovers(&mut self, sender: Sender) {
        let last = self.out.messages.last().map(|message| message.at).unwrap_or_default();
        let side = self.side(sender);
        let rest = side.splitter.rest().to_vec();
        let (offset, begun, foreign) = (side.splitter.offset(), side.begun, side.splitter.is_foreign());
        let waiting = std::mem::take(&mut side.waiting);
        let places = std::mem::take(&mut side.places);
        if !waiting.is_empty() {
            let who = name(sender);
            self.out.limits.push(format!("the last handshake message of the {who} is incomplete"));
            self.handshake_message(sender, waiting, &places, Protection::Clear);
        }
        if rest.is_empty() || foreign {
            return;
        }
        if begun || begins_record(&rest) {
            let wanted = match (rest.get(3), rest.get(4)) {
                (Some(high), Some(low)) => format!("{}", 5 + (usize::from(*high) << 8 | usize::from(*low))),
                _ => "more".to_owned(),
            };
            let who = name(sender);
            self.out.limits.push(format!(
                "the recording ends inside a record of the {who}: {} of {wanted} bytes are there",
                rest.len()
            ));
            if let (Some(22), Some(fragment)) = (rest.first(), rest.get(5..))
                && matches!(self.side(sender).protected, Protected::Not)
                && !fragment.is_empty()
            {
                let place = RecordPlace { offset, length: rest.len(), content_type: 22, at: last };
                self.handshake_message(sender, fragment.to_vec(), &[place], Protection::Clear);
            }
        } else {
            self.foreign(sender, last, offset, &rest, false);
        }
    }
}

/// Where TLS starts in the first bytes of a direction; `None` while that cannot be said.
fn start_of_tls(bytes: &[u8], sender: Sender) -> Option<usize> {
    if begins_record(bytes) {
        return (bytes.len() >= 5).then_some(0);
    }
    let hello = if sender == Sender::Client { 1 } else { 2 };
    bytes.windows(6).position(|window| {
        window[0] == 22 && window[1] == 3 && window[2] <= 3 && window[5] == hello && begins_record(window)
    })
}

fn name(sender: Sender) -> &'static str {
    match sender {
        Sender::Client => "client",
        Sender::Server => "server",
    }
}
