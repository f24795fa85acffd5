//! A conversation explained: its messages in order, what was agreed on, who showed which certificates, what was
//! checked again, and what cannot be known.

use std::time::Duration;

use jiff::Timestamp;

use crate::capture::transcript::Event;
use crate::finding::{Finding, Sender};
use crate::tls::handshake::CertificateRequest;
use crate::tls::node::Node;
use crate::tls::record::RecordPlace;
use crate::tls::registry;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A handshake message, by its type.
    Handshake(u8),
    /// The ServerHello that asks for another ClientHello.
    HelloRetryRequest,
    /// An alert.
    Alert,
    /// ChangeCipherSpec.
    ChangeCipherSpec,
    /// Application data, decrypted; records in a row are one message.
    ApplicationData,
    /// A heartbeat, which nobody should send.
    Heartbeat,
    /// Records that stay closed.
    Encrypted,
    /// Bytes that are not TLS.
    NotTls,
}

impl Kind {
    /// The name, spelled as RFC 8446 spells it.
    ///
    /// ```
    /// assert_eq!(explain::tls::Kind::Handshake(13).name(), "CertificateRequest");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Handshake(kind) => crate::tls::handshake::message_name(kind).unwrap_or("UnknownHandshake"),
            Kind::HelloRetryRequest => "HelloRetryRequest",
            Kind::Alert => "Alert",
            Kind::ChangeCipherSpec => "ChangeCipherSpec",
            Kind::ApplicationData => "ApplicationData",
            Kind::Heartbeat => "Heartbeat",
            Kind::Encrypted => "Encrypted",
            Kind::NotTls => "NotTls",
        }
    }
}

/// How a message was protected on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// Not at all.
    Clear,
    /// Encrypted, and opened with the key of this name: a label of the key log, or `master secret`.
    Opened(String),
    /// Encrypted, and no key at hand fits.
    Sealed,
}

/// Something computed again from the recording, before the reader's eyes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Whether it holds; `None` where it could not be computed.
    pub passed: Option<bool>,
    /// What was found, in a sentence.
    pub text: String,
    /// What it was computed from: a label and a value each.
    pub steps: Vec<(&'static str, String)>,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its number in the conversation, from 1.
    pub number: usize,
    /// Who sent it.
    pub sender: Sender,
    /// What it is.
    pub kind: Kind,
    /// When its last byte was seen, counted from the start of the recording.
    pub at: Duration,
    /// How it was protected.
    pub protection: Protection,
    /// Its bytes, decrypted where that was possible; of application data and sealed records the first ones only.
    pub bytes: Vec<u8>,
    /// How many bytes it has in truth.
    pub length: u64,
    /// The records that carried it; of a long row the first ones.
    pub records: Vec<RecordPlace>,
    /// How many records carried it.
    pub record_count: usize,
    /// Its bytes explained.
    pub node: Node,
    /// What it says, in a few words.
    pub summary: String,
    /// Why it is there, in a sentence or two.
    pub why: String,
    /// Who knows what from this moment on, where that changes.
    pub moment: Option<&'static str>,
    /// What was computed again.
    pub checks: Vec<Check>,
    /// The message within this one, decompressed, with its bytes explained.
    pub inside: Option<(Vec<u8>, Node)>,
    /// The certificates in it, in DER, in order.
    pub certificates: Option<Vec<Vec<u8>>>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Who sent it.
    pub sender: Sender,
    /// 1 is a warning, 2 is fatal; under TLS 1.3 it means nothing.
    pub level: u8,
    /// Its number.
    pub description: u8,
    /// Whether it was encrypted.
    pub encrypted: bool,
    /// The number of its message.
    pub message: usize,
    /// Whether the client had sent its Finished before.
    pub after_finished: bool,
}

/// A secret of the key schedule, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledSecret {
    /// Its name in the RFC.
    pub name: &'static str,
    /// The label in key logs, where it has one.
    pub label: Option<&'static str>,
    /// The name of the secret it is derived from.
    pub from: Option<&'static str>,
    /// What else goes into it.
    pub with: &'static str,
    /// What it protects or is for.
    pub protects: &'static str,
    /// Whether the recording has it.
    pub known: bool,
    /// How many records it opened.
    pub opened: u64,
}

/// A connection explained.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    /// The client: an address, or a name.
    pub client: String,
    /// The server.
    pub server: String,
    /// When the recording began.
    pub started: Option<Timestamp>,
    /// The version chosen.
    pub version: Option<u16>,
    /// The suite chosen.
    pub cipher_suite: Option<u16>,
    /// The group that keys were agreed on in.
    pub group: Option<u16>,
    /// The application protocol chosen.
    pub alpn: Option<String>,
    /// The name the client asked for.
    pub server_name: Option<String>,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// Whether the server asked for a second ClientHello.
    pub hello_retry: bool,
    /// Whether the client sent 0-RTT data.
    pub early_data: bool,
    /// Whether the server took them; `None` where there are none, or its answer was not seen.
    pub early_data_accepted: Option<bool>,
    /// Whether both sides' Finished were seen.
    pub complete: bool,
    /// The messages in order.
    pub messages: Vec<Message>,
    /// What the server sent as its certificates, in DER; `None` where no such message was seen.
    pub server_chain: Option<Vec<Vec<u8>>>,
    /// The OCSP response that the server stapled to its certificate, in DER, where it did.
    pub stapled: Option<Vec<u8>>,
    /// What the client sent; empty where it sent an empty list.
    pub client_chain: Option<Vec<Vec<u8>>>,
    /// What the server asked for, where it asked.
    pub certificate_request: Option<CertificateRequest>,
    /// The alerts in order.
    pub alerts: Vec<Alert>,
    /// The secrets of the key schedule, the first ones first.
    pub schedule: Vec<ScheduledSecret>,
    /// What is wrong, in the one vocabulary.
    pub findings: Vec<Finding>,
    /// What cannot be known, and why.
    pub limits: Vec<String>,
    /// What the recorder noted.
    pub remarks: Vec<String>,
    /// How the two directions ended.
    pub endings: Vec<Event>,
    /// The random values of the ClientHellos, which name the connection in key logs.
    pub client_randoms: Vec<[u8; 32]>,
    /// How many bytes each side sent: the client's, the server's.
    pub sent: (u64, u64),
}

impl Conversation {
    /// The version's name, or what stands for one that was never chosen.
    #[must_use]
    pub fn version_text(&self) -> String {
        self.version.map_or_else(
            || "no version".to_owned(),
            |version| {
                registry::version_name(version).map_or_else(|| format!("0x{version:04x}"), str::to_owned)
            },
        )
    }

    /// The suite's name.
    #[must_use]
    pub fn cipher_suite_text(&self) -> Option<String> {
        self.cipher_suite.map(|suite| {
            registry::cipher_suite_name(suite).map_or_else(|| format!("0x{suite:04x}"), str::to_owned)
        })
    }

    /// The group's name.
    #[must_use]
    pub fn group_text(&self) -> Option<String> {
        self.group
            .map(|group| registry::group_name(group).map_or_else(|| format!("0x{group:04x}"), str::to_owned))
    }

    /// Whether the client proved who it is in this handshake: a certificate that is not empty, and a CertificateVerify
    /// that was checked.
    #[must_use]
    pub fn is_mutual(&self) -> bool {
        self.messages.iter().any(|message| {
            message.sender == Sender::Client
                && message.kind == Kind::Handshake(15)
                && message.checks.iter().any(|check| check.passed == Some(true))
        })
    }
}
