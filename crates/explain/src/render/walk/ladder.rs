//! The conversation as a ladder: the client on the left, the server on the right, a rung for each message with its
//! size, its time, and why it is there.

use super::super::sheet::{Colour, Sheet};
use super::bytes;
use super::details::details;
use super::{Shown, size_text, time_text};
use crate::capture::transcript::What;
use crate::finding::Sender;
use crate::tls::{Conversation, Message, Protection};

/// Where what is said of a message starts.
const INDENT: usize = 6;

/// A conversation as text. With `with_bytes` each message has its fields below it.
#[must_use]
pub fn ladder(
    conversation: &Conversation,
    width: usize,
    colour: bool,
    with_bytes: bool,
    shown: Shown<'_>,
) -> String {
    let mut sheet = Sheet::new(width, colour);
    head(&mut sheet, conversation, width);
    for message in &conversation.messages {
        sheet.blank();
        rung(&mut sheet, conversation, message, width);
        if with_bytes {
            bytes::fields(&mut sheet, message, shown);
        }
    }
    for ending in &conversation.endings {
        let who = side_name(ending.sender);
        let how = if ending.what == What::Reset {
            "resets the connection (TCP RST)"
        } else {
            "closes its side (TCP FIN)"
        };
        sheet.blank();
        sheet.line(0, &format!("    The {who} {how} at {}.", time_text(ending.at)), None);
    }
    schedule(&mut sheet, conversation, shown);
    verdict(&mut sheet, conversation);
    sheet.into_text()
}

/// One message alone, with all its fields; `None` where there is none of this number.
#[must_use]
pub fn message_text(
    conversation: &Conversation,
    number: usize,
    width: usize,
    colour: bool,
    shown: Shown<'_>,
) -> Option<String> {
    let message = conversation.messages.iter().find(|message| message.number == number)?;
    let mut sheet = Sheet::new(width, colour);
    rung(&mut sheet, conversation, message, width);
    bytes::fields(&mut sheet, message, shown);
    Some(sheet.into_text())
}

/// What a table says of a conversation: all that is kept of it, where a capture holds thousands.
#[derive(Debug, Clone, Default)]
pub struct Row {
    cells: [String; 6],
    /// Whether something was found.
    pub found: bool,
}

impl Row {
    /// The row of a conversation.
    #[must_use]
    pub fn of(conversation: &Conversation) -> Self {
        let cells = [
            conversation.client.clone(),
            conversation.server.clone(),
            conversation.server_name.clone().unwrap_or_else(|| "-".to_owned()),
            conversation.version_text(),
            conversation.messages.len().to_string(),
            result(conversation),
        ];
        Row { cells, found: !conversation.findings.is_empty() }
    }
}

/// Several conversations in a table to choose from.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut lines =
        vec![["#", "client", "server", "name", "version", "messages", "result"].map(str::to_owned)];
    for (number, row) in (1..).zip(rows) {
        let [client, server, name, version, messages, result] = row.cells.clone();
        lines.push([number.to_string(), client, server, name, version, messages, result]);
    }
    let widths: Vec<usize> = (0..7)
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
        .collect();
    let mut text = String::new();
    for row in lines {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// How it went, in a few words.
pub(super) fn result(conversation: &Conversation) -> String {
    if let Some(finding) = conversation.findings.first() {
        return finding.code.name().to_owned();
    }
    let how = match (conversation.complete, conversation.is_mutual(), conversation.resumed) {
        (true, true, _) => "complete, mutual",
        (true, _, true) => "complete, resumed",
        (true, ..) => "complete, one-sided",
        (false, ..) if conversation.messages.iter().any(|m| m.protection == Protection::Sealed) => {
            "encrypted"
        }
        _ => "incomplete",
    };
    how.to_owned()
}

fn head(sheet: &mut Sheet, conversation: &Conversation, width: usize) {
    let (client, server) =
        (format!("client {}", conversation.client), format!("server {}", conversation.server));
    let gap = width.saturating_sub(client.chars().count() + server.chars().count()).max(2);
    sheet.line(0, &format!("{client}{:gap$}{server}", ""), Some(Colour::Bold));
    let mut facts = vec![conversation.version_text()];
    facts.extend(conversation.cipher_suite_text());
    facts.extend(conversation.group_text());
    facts.extend(conversation.alpn.as_ref().map(|alpn| format!("ALPN {alpn}")));
    facts.extend(conversation.server_name.as_ref().map(|name| format!("for {name}")));
    facts.extend(conversation.resumed.then(|| "a resumed session".to_owned()));
    facts.extend(early_data(conversation));
    facts.extend(conversation.hello_retry.then(|| "after a HelloRetryRequest".to_owned()));
    sheet.line(0, &facts.join(", "), None);
    if let Some(started) = conversation.started {
        sheet.line(0, &format!("recorded {}", started.strftime("%Y-%m-%d %H:%M:%S UTC")), Some(Colour::Dim));
    }
    for remark in &conversation.remarks {
        sheet.line(0, &format!("noted: {remark}"), None);
    }
}

/// That there are 0-RTT data, and what became of them.
pub(super) fn early_data(conversation: &Conversation) -> Option<String> {
    let text = match conversation.early_data_accepted {
        Some(false) => "with 0-RTT data that the server refused",
        _ => "with 0-RTT data",
    };
    conversation.early_data.then(|| text.to_owned())
}

fn rung(sheet: &mut Sheet, conversation: &Conversation, message: &Message, width: usize) {
    let lock = match &message.protection {
        Protection::Clear => "",
        Protection::Opened(_) => " [encrypted]",
        Protection::Sealed => " [closed]",
    };
    let name = format!("{}{lock}", message.kind.name());
    let size = format!("{} B, {}", size_text(message.length), time_text(message.at));
    let used = INDENT + name.chars().count() + size.chars().count() + 6;
    let shaft = "─".repeat(width.saturating_sub(used).max(2));
    let line = match message.sender {
        Sender::Client => format!("{:>4}  {name} {shaft}▶  {size}", message.number),
        Sender::Server => format!("{:>4}  {size}  ◀{shaft} {name}", message.number),
    };
    sheet.line(0, &line, Some(Colour::Bold));
    if !message.summary.is_empty() {
        sheet.line(INDENT, &message.summary, Some(Colour::Cyan));
    }
    sheet.line(INDENT, &message.why, None);
    for (label, value) in details(conversation, message) {
        sheet.row(INDENT, 16, label, &value);
    }
    for (offset, problem) in message.node.problems() {
        sheet.line(INDENT, &format!("problem at byte {offset}: {problem}"), Some(Colour::Red));
    }
    if let Some(moment) = message.moment {
        sheet.line(INDENT, &format!("» {moment}"), Some(Colour::Yellow));
    }
}

fn schedule(sheet: &mut Sheet, conversation: &Conversation, shown: Shown<'_>) {
    if conversation.schedule.is_empty() {
        return;
    }
    sheet.blank();
    sheet.line(
        0,
        "The key schedule: which secret comes from which, and what it protects",
        Some(Colour::Bold),
    );
    for secret in &conversation.schedule {
        let depth = depth(conversation, secret.name);
        let known = match (secret.label, secret.known) {
            (None, _) => "",
            (Some(_), true) => " (at hand)",
            (Some(_), false) => " (not at hand)",
        };
        let indent = 2 + 2 * depth;
        sheet.line(indent, &format!("{}{known}", secret.name), None);
        sheet.line(
            indent + 4,
            &format!("from {}; protects {}", secret.with, secret.protects),
            Some(Colour::Dim),
        );
        let value = secret.label.and_then(|label| {
            let log = shown.secrets?;
            conversation.client_randoms.iter().find_map(|random| log.find(random)?.find(label).map(pki::hex))
        });
        if let Some(value) = value {
            sheet.line(indent + 4, &value, Some(Colour::Red));
        }
    }
}

/// How many secrets stand above one.
pub(super) fn depth(conversation: &Conversation, name: &str) -> usize {
    let mut depth = 0;
    let mut above =
        conversation.schedule.iter().find(|secret| secret.name == name).and_then(|secret| secret.from);
    while let Some(name) = above {
        depth += 1;
        above =
            conversation.schedule.iter().find(|secret| secret.name == name).and_then(|secret| secret.from);
    }
    depth
}

fn verdict(sheet: &mut Sheet, conversation: &Conversation) {
    for limit in &conversation.limits {
        sheet.blank();
        sheet.line(0, &format!("Not known: {limit}."), Some(Colour::Yellow));
    }
    for finding in &conversation.findings {
        sheet.blank();
        sheet.line(0, &format!("Found: {finding}"), Some(Colour::Red));
        for fact in &finding.evidence {
            sheet.line(2, fact, None);
        }
        if let Some(remedy) = &finding.remedy {
            sheet.line(2, &format!("try: {remedy}"), None);
        }
    }
    if conversation.findings.is_empty() && conversation.complete {
        let text = match (conversation.is_mutual(), conversation.resumed) {
            (_, true) => "The session was resumed: both sides go by what was proved when it began.",
            (true, _) => "Both sides have proved who they are.",
            _ => "The server has proved who it is; the client has not.",
        };
        sheet.blank();
        sheet.line(0, text, Some(Colour::Bold));
    }
}

fn side_name(sender: Sender) -> &'static str {
    match sender {
        Sender::Client => "client",
        Sender::Server => "server",
    }
}
