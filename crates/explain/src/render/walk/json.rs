//! `explain --json`: types spelled as in RFC 8446, spans in bytes of the message they are in.

use serde_json::{Value, json as object};

use super::Shown;
use super::certificate::Card;
use super::details::{name_text, scheme_text};
use crate::capture::transcript::What;
use crate::finding::Sender;
use crate::tls::{Check, Conversation, Kind, Message, Node, Protection};

/// Several conversations, as `{"connections": […]}`.
#[must_use]
pub fn conversations_json(conversations: &[Conversation], shown: Shown<'_>) -> Value {
    object!({ "connections": conversations.iter().map(|one| conversation_json(one, shown)).collect::<Vec<_>>() })
}

/// One conversation.
#[must_use]
pub fn conversation_json(conversation: &Conversation, shown: Shown<'_>) -> Value {
    let mut value = object!({
        "client": conversation.client,
        "server": conversation.server,
        "started": conversation.started.map(|started| started.to_string()),
        "version": conversation.version.map(|_| conversation.version_text()),
        "cipher_suite": conversation.cipher_suite_text(),
        "group": conversation.group_text(),
        "application_protocol": conversation.alpn,
        "server_name": conversation.server_name,
        "resumed": conversation.resumed,
        "hello_retry_request": conversation.hello_retry,
        "early_data": conversation.early_data,
        "early_data_accepted": conversation.early_data_accepted,
        "complete": conversation.complete,
        "mutual": conversation.is_mutual(),
        "bytes_sent": { "client": conversation.sent.0, "server": conversation.sent.1 },
        "messages": conversation.messages.iter().map(|message| message_json(message, shown)).collect::<Vec<_>>(),
        "certificate_request": conversation.certificate_request.as_ref().map(|request| object!({
            "certificate_authorities": request.authorities.iter().map(|der| name_text(der)).collect::<Vec<_>>(),
            "signature_algorithms": request.signature_schemes.iter().map(|scheme| scheme_text(*scheme)).collect::<Vec<_>>(),
        })),
        "key_schedule": conversation.schedule.iter().map(|secret| object!({
            "name": secret.name, "from": secret.from, "with": secret.with, "protects": secret.protects,
            "key_log_label": secret.label, "known": secret.known, "records_opened": secret.opened,
        })).collect::<Vec<_>>(),
        "endings": conversation.endings.iter().map(|ending| object!({
            "sender": sender(ending.sender),
            "seconds": ending.at.as_secs_f64(),
            "how": if ending.what == What::Reset { "reset" } else { "closed" },
        })).collect::<Vec<_>>(),
        "findings": conversation.findings.iter().map(crate::Finding::json).collect::<Vec<_>>(),
        "limits": conversation.limits,
        "remarks": conversation.remarks,
    });
    if let Some(log) = shown.secrets {
        let secrets = conversation
            .client_randoms
            .iter()
            .filter_map(|random| log.find(random).map(|found| (random, found)));
        value["secrets"] = secrets
            .flat_map(|(random, found)| {
                found.iter().map(move |(label, secret)| {
                    object!({ "label": label, "client_random": pki::hex(random), "secret": pki::hex(secret) })
                })
            })
            .collect();
    }
    value
}

fn sender(sender: Sender) -> &'static str {
    match sender {
        Sender::Client => "client",
        Sender::Server => "server",
    }
}

fn message_json(message: &Message, shown: Shown<'_>) -> Value {
    let (protection, key) = match &message.protection {
        Protection::Clear => ("clear", None),
        Protection::Opened(key) => ("decrypted", Some(key)),
        Protection::Sealed => ("encrypted", None),
    };
    let hidden = message.kind == Kind::ApplicationData && !shown.is_open();
    let mut value = object!({
        "number": message.number,
        "sender": sender(message.sender),
        "type": message.kind.name(),
        "seconds": message.at.as_secs_f64(),
        "protection": protection,
        "key": key,
        "length": message.length,
        "bytes": if hidden { Value::Null } else { pki::hex(&message.bytes).into() },
        "records": message.records.iter().map(|record| object!({
            "offset": record.offset, "length": record.length, "content_type": record.content_type,
        })).collect::<Vec<_>>(),
        "summary": message.summary,
        "why": message.why,
        "moment": message.moment,
        "fields": message.node.children.iter().map(node).collect::<Vec<_>>(),
        "problems": message.node.problems().iter().map(|(offset, problem)| object!({
            "offset": offset, "message": problem,
        })).collect::<Vec<_>>(),
        "checks": message.checks.iter().map(check).collect::<Vec<_>>(),
    });
    if let Some(chain) = &message.certificates {
        value["certificates"] = chain.iter().map(|der| certificate(der)).collect();
    }
    if let Some((bytes, inside)) = &message.inside {
        value["decompressed"] = object!({ "bytes": pki::hex(bytes), "fields": inside.children.iter().map(node).collect::<Vec<_>>() });
    }
    if let (Kind::Alert, [level, description, ..]) = (message.kind, message.bytes.as_slice()) {
        value["alert"] =
            object!({ "level": level, "description": description, "name": crate::alert::name(*description) });
    }
    value
}

fn node(node_: &Node) -> Value {
    let mut value = object!({
        "name": node_.name,
        "start": node_.start,
        "end": node_.end,
        "value": node_.value,
        "meaning": node_.meaning,
        "reference": node_.reference,
    });
    if let Some(problem) = &node_.problem {
        value["problem"] = problem.clone().into();
    }
    if !node_.children.is_empty() {
        value["fields"] = node_.children.iter().map(node).collect();
    }
    value
}

fn check(check: &Check) -> Value {
    object!({
        "passed": check.passed,
        "text": check.text,
        "steps": check.steps.iter().map(|(label, value)| object!({ "label": label, "value": value })).collect::<Vec<_>>(),
    })
}

fn certificate(der: &[u8]) -> Value {
    let card = Card::of(der);
    object!({
        "subject": card.description.subject_text(),
        "issuer": card.issuer(),
        "not_before": card.not_before(),
        "not_after": card.not_after(),
        "subject_alt_name": card.names(),
        "serial_number": card.description.serial_hex(),
        "role": card.description.role().text(),
        "signature_algorithm": card.description.signature_algorithm.as_ref().map(|algorithm| algorithm.text.clone()),
        "public_key": card.description.public_key.as_ref().map(|key| key.text()),
        "sha256": pki::hex(&card.description.sha256),
        "der": pki::hex(der),
    })
}
