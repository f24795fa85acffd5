//! What follows from a conversation as a whole: findings in the one vocabulary, what cannot be known and why, what
//! sizes alone betray, and who knows what from which moment on. Diagnosing with files and probes is `doctor`'s work.

use pki::der::tag;

use crate::capture::key_log::Secrets;
use crate::capture::transcript::What;
use crate::certificate::CertificateDescription;
use crate::finding::{Fault, Finding, FindingCode, Sender, from_alert};
use crate::tls::conversation::{Conversation, Kind, Message, Protection};
use crate::tls::registry::{Cipher, CipherSuite};
use crate::tls::schedule;

/// What a sealed record's size allows to be said. `length` is that of its fragment.
pub(crate) fn size_hint(
    version: Option<u16>,
    suite: Option<&CipherSuite>,
    sender: Sender,
    length: usize,
) -> Option<String> {
    let suite = suite?;
    if version != Some(0x0304) {
        let overhead = match suite.cipher {
            Cipher::AesGcm(_) | Cipher::AesCcm(_, 16) | Cipher::AriaGcm(_) => 24,
            Cipher::AesCcm(..) | Cipher::ChaCha20Poly1305 => 16,
            _ => return None,
        };
        return match length.checked_sub(overhead)? {
            2 => Some("2 bytes, which only an alert has".to_owned()),
            16 => Some("16 bytes, the size of Finished".to_owned()),
            inside => Some(format!("{inside} bytes inside")),
        };
    }
    let tag_length = if matches!(suite.cipher, Cipher::AesCcm(_, 8)) { 8 } else { 16 };
    // One octet is the content type.
    let inside = length.checked_sub(tag_length + 1)?;
    let finished = 4 + suite.hash.length();
    // An empty Certificate: header 4, no context 1, no list 3.
    let empty = 8;
    Some(match (sender, inside) {
        (_, 2) => "2 bytes, which only an alert has".to_owned(),
        (Sender::Client, size) if size == empty => {
            "8 bytes, which an empty Certificate has: no client certificate".to_owned()
        }
        (Sender::Client, size) if size == empty + finished => {
            format!(
                "{size} bytes, which an empty Certificate and Finished have together: no client certificate"
            )
        }
        (_, size) if size == finished => format!("{size} bytes, the size of Finished"),
        (_, size) => format!("{size} bytes inside, padding included"),
    })
}

/// Who knows what, once this message has arrived.
pub(crate) fn moment(conversation: &Conversation, message: &Message, tls13: bool) -> Option<&'static str> {
    let shown = conversation.client_chain.as_ref().is_some_and(|chain| !chain.is_empty());
    let asked = conversation.certificate_request.is_some();
    match (message.kind, message.sender, tls13) {
        (Kind::Handshake(20), Sender::Server, true) if conversation.resumed => {
            Some("Now the client knows that it talks to the server of the earlier session.")
        }
        (Kind::Handshake(20), Sender::Server, true) => {
            Some("Now the client knows who the server is. The server knows nothing about the client yet.")
        }
        (Kind::Handshake(20), Sender::Client, true) if asked && shown => Some(
            "The client calls itself connected. The server judges the client's certificate only now, and the client \
             does not know the verdict yet.",
        ),
        (Kind::Handshake(20), Sender::Client, true) if asked => Some(
            "The client calls itself connected, without a certificate. The server decides only now whether it minds, \
             and the client does not know yet.",
        ),
        (Kind::Handshake(20), Sender::Client, true) => {
            Some("Both sides have finished; nobody asked who the client is.")
        }
        (Kind::Handshake(4), Sender::Server, true) if asked && shown => Some(
            "Most servers send a ticket only to a client they have accepted: a good sign. (Node.js sends it first and \
             judges then.)",
        ),
        (Kind::Handshake(4), Sender::Server, true) if asked => Some(
            "Most servers send a ticket only to a client they let in: a good sign, without a certificate too. (Node.js \
             sends it first and judges then.)",
        ),
        (Kind::Handshake(15), Sender::Client, false) => Some("Now the server knows who the client is."),
        (Kind::Handshake(20), Sender::Server, false) if conversation.complete && asked && shown => Some(
            "Now the client knows that the server has accepted its certificate: under TLS 1.2 it judges before it finishes.",
        ),
        _ => None,
    }
}

/// What the client learns with the server's answer to its 0-RTT data.
pub(crate) fn early_data_moment(accepted: bool) -> &'static str {
    match accepted {
        true => "Now the client knows that the server takes its 0-RTT data.",
        false => {
            "Now the client knows that the server has thrown its 0-RTT data away unread: it has to send them again, as \
             ordinary data."
        }
    }
}

/// Adds to 0-RTT data what became of them, which is known only later.
pub(crate) fn early_data(conversation: &mut Conversation) {
    let fate = match conversation.early_data_accepted {
        Some(true) => " The server took it.",
        Some(false) => " The server refused it: it threw this away without reading it.",
        None => return,
    };
    let early = |message: &&mut Message| {
        message.kind == Kind::ApplicationData
            && matches!(&message.protection, Protection::Opened(label) if label == schedule::EARLY)
    };
    for message in conversation.messages.iter_mut().filter(early) {
        message.why.push_str(fate);
    }
}

/// Notes what cannot be known.
pub(crate) fn limits(
    conversation: &mut Conversation,
    secrets: Option<&Secrets>,
    suite: Option<&CipherSuite>,
    encrypted_hello: bool,
) {
    let sealed = conversation.messages.iter().filter(|message| message.kind == Kind::Encrypted).count();
    let tls13 = conversation.version == Some(0x0304);
    if sealed > 0 {
        let text = match (secrets, suite, conversation.version) {
            (_, Some(suite), _) if suite.cipher == Cipher::Other => {
                format!("{} is not decrypted here: its cipher is out of use", suite.name)
            }
            (_, None, Some(_)) => "the cipher suite is unknown here, so nothing was decrypted".to_owned(),
            (_, _, Some(version)) if version < 0x0303 => {
                format!("{} is not decrypted here: it is out of use since RFC 8996", conversation.version_text())
            }
            (None, _, Some(0x0304)) => "no secrets of this connection are at hand: after the ServerHello only sizes and \
                                        order are known. A key log (SSLKEYLOGFILE, --tls-keylog) opens the rest"
                .to_owned(),
            (None, ..) => "no secrets of this connection are at hand: what is encrypted stays closed; under TLS 1.2 the \
                           certificates of both sides are in clear all the same"
                .to_owned(),
            (Some(secrets), ..) if tls13 && secrets.find("SERVER_TRAFFIC_SECRET_0").is_none() => {
                "the recording has the handshake's secrets alone: what came after Finished stays closed".to_owned()
            }
            _ => format!("{sealed} record(s) could not be opened with the secrets at hand"),
        };
        conversation.limits.push(text);
    }
    if encrypted_hello
        && conversation.messages.iter().flat_map(|m| &m.checks).any(|check| check.passed.is_none())
    {
        conversation
            .limits
            .push("the ClientHello shown is the outer one; the true one was encrypted (ECH)".to_owned());
    }
    if conversation.messages.is_empty() {
        conversation.limits.push("nothing was recorded".to_owned());
    } else if conversation
        .messages
        .first()
        .is_some_and(|m| m.kind != Kind::Handshake(1) && m.kind != Kind::NotTls)
    {
        conversation.limits.push("the recording does not start with a ClientHello".to_owned());
    }
}

/// Notes what is wrong. The certificates are the two sides' own.
pub(crate) fn findings(
    conversation: &mut Conversation,
    client: Option<&CertificateDescription>,
    server: Option<&CertificateDescription>,
) {
    let sent_certificate = conversation.client_chain.as_ref().is_some_and(|chain| !chain.is_empty());
    let mut findings: Vec<Finding> = conversation
        .alerts
        .iter()
        // An orderly end is no finding, a warning neither (unrecognized_name comes as one from old servers).
        .filter(|alert| alert.description != 0 && !(alert.level == 1 && conversation.complete))
        .map(|alert| from_alert(alert.description, alert.sender, sent_certificate, alert.after_finished))
        .collect();
    for message in &conversation.messages {
        for check in message.checks.iter().filter(|check| check.passed == Some(false)) {
            let fault = if message.sender == Sender::Client { Fault::Client } else { Fault::Server };
            let summary = format!("in {} (message {}): {}", message.kind.name(), message.number, check.text);
            findings.push(Finding::new(FindingCode::CryptographicFailure, fault, summary));
        }
    }
    findings.extend(expired(conversation, server, Fault::Server, "server"));
    findings.extend(expired(conversation, client, Fault::Client, "client"));
    findings.extend(foreign(conversation));
    if conversation.alerts.iter().all(|alert| alert.description == 0) {
        findings.extend(silent_end(conversation));
    }
    conversation.findings = findings;
}

/// A leaf that was out of date when the recording began.
fn expired(
    conversation: &Conversation,
    leaf: Option<&CertificateDescription>,
    fault: Fault,
    who: &'static str,
) -> Option<Finding> {
    let (certificate, started) = (leaf?, conversation.started?);
    let (before, after) = (certificate.not_before.as_ref()?, certificate.not_after.as_ref()?);
    let subject = certificate.subject_text();
    let finding = if started > after.moment? {
        Finding::new(
            FindingCode::CertificateExpired,
            fault,
            format!("the {who}'s certificate, {subject}, had expired: its last second was {}", after.text()),
        )
        .remedy(format!("renew the {who}'s certificate"))
    } else if started < before.moment? {
        Finding::new(
            FindingCode::CertificateNotYetValid,
            fault,
            format!("the {who}'s certificate, {subject}, was not valid yet: it begins at {}", before.text()),
        )
        .remedy("check the clocks of the issuer and of this machine")
    } else {
        return None;
    };
    Some(finding.evidence(format!("the connection was recorded at {started}")))
}

/// A side that speaks no TLS.
fn foreign(conversation: &Conversation) -> Option<Finding> {
    let message = conversation.messages.iter().find(|message| {
        message.kind == Kind::NotTls && message.node.leaves().iter().any(|leaf| leaf.problem.is_some())
    })?;
    let (fault, who) = match message.sender {
        Sender::Client => (Fault::Client, "client"),
        Sender::Server => (Fault::Server, "server"),
    };
    let http = message.bytes.starts_with(b"HTTP/")
        || [&b"GET "[..], b"POST ", b"HEAD ", b"PUT "].iter().any(|method| message.bytes.starts_with(method));
    Some(if http {
        Finding::new(
            FindingCode::PlainHttp,
            fault,
            format!("the {who} speaks plain HTTP where the other side speaks TLS"),
        )
    } else if message.bytes.first() == Some(&(tag::SEQUENCE | 0x80)) {
        Finding::new(
            FindingCode::NotTls,
            fault,
            format!("the {who} sends a hello of SSL 2.0, which nothing speaks any more"),
        )
    } else {
        Finding::new(
            FindingCode::NotTls,
            fault,
            format!("the {who} sends bytes that are not TLS: {}", message.summary),
        )
    })
}

/// An end without an alert, where one or the other should have said why.
fn silent_end(conversation: &Conversation) -> Option<Finding> {
    let ending = conversation.endings.iter().find(|end| matches!(end.what, What::Closed | What::Reset))?;
    let asked = conversation.certificate_request.is_some();
    // A ticket is no consent: Node.js sends it before it judges the certificate.
    let answered = conversation.messages.iter().any(|message| {
        message.sender == Sender::Server && message.kind == Kind::ApplicationData && conversation.complete
    });
    let sealed = conversation.messages.iter().any(|message| message.kind == Kind::Encrypted);
    let said_goodbye = conversation.alerts.iter().any(|alert| alert.sender == ending.sender);
    let how = if ending.what == What::Reset { "reset the connection" } else { "closed the connection" };
    let empty = conversation.client_chain.as_ref().is_some_and(Vec::is_empty);
    match ending.sender {
        Sender::Server if said_goodbye || answered || sealed => None,
        Sender::Server if asked && empty => Some(
            Finding::new(
                FindingCode::NoClientCertificate,
                Fault::Client,
                format!("the server {how} without a word after the client had sent an empty Certificate: it probably requires one"),
            )
            .evidence("the server sent a CertificateRequest, and the client's Certificate is empty")
            .evidence("no alert came: Node.js ends such a connection like this")
            .remedy("give the client a certificate"),
        ),
        Sender::Server if asked && conversation.client_chain.is_some() => Some(
            Finding::new(
                FindingCode::CertificateRefused,
                Fault::Client,
                format!("the server {how} without a word after the client had shown its certificate: it probably refused it"),
            )
            .evidence("no alert came: Node.js ends such a connection like this")
            .remedy("compare the issuer of the client's certificate with the CAs that the server accepts"),
        ),
        Sender::Server if !conversation.complete => Some(Finding::new(
            FindingCode::ClosedWithoutAlert,
            Fault::Server,
            format!("the server {how} in the middle of the handshake, without an alert"),
        )),
        Sender::Client if !conversation.complete && !said_goodbye && !sealed => Some(Finding::new(
            FindingCode::ClosedWithoutAlert,
            Fault::Client,
            format!("the client {how} in the middle of the handshake, without an alert"),
        )),
        _ => None,
    }
}
