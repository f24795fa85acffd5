//! The conversation as one page: no network, no JavaScript needed; with it, fields and bytes light each other up.
//! Everything that was recorded is escaped on its way in, and the page forbids itself scripts but its own.

use std::collections::HashMap;
use std::fmt::Write as _;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::certificate::Card;
use super::details::details;
use super::ladder::{early_data, result};
use super::{Shown, size_text, time_text};
use crate::capture::transcript::What;
use crate::finding::Sender;
use crate::tls::{Conversation, Kind, Message, Node, Protection};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Fields of a message beyond this are shown as bytes alone: a page has to stay light.
const MOST_FIELDS: usize = 4000;

/// Bytes and fields that are said in fewer characters of HTML are said again where they come again; of longer ones a
/// page has one copy.
const SHORT: usize = 1000;

/// The page's policy: its own style and script, by their hashes, and nothing from anywhere.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// One page with these conversations, and its Content-Security-Policy, for a server that sends one with every page.
#[must_use]
pub fn html_with_policy(conversations: &[Conversation], shown: Shown<'_>) -> (String, String) {
    (html(conversations, shown), policy())
}

/// One page with these conversations.
#[must_use]
pub fn html(conversations: &[Conversation], shown: Shown<'_>) -> String {
    let mut page = Page { out: String::new(), shown, blocks: HashMap::new() };
    page.document(conversations);
    page.out
}

struct Page<'a> {
    out: String,
    shown: Shown<'a>,
    /// Where bytes with their fields stand in the page already, by the hash of both.
    blocks: HashMap<[u8; 32], Place>,
}

/// A place for bytes and fields: those of a message, or of the message within it.
#[derive(Debug, Clone, Copy)]
struct Place {
    connection: usize,
    message: usize,
    inside: bool,
}

impl Place {
    fn id(self) -> String {
        format!("c{}m{}{}", self.connection, self.message, if self.inside { "i" } else { "b" })
    }
}

/// Text safe in HTML, between tags and in quoted attributes; characters that would move others are written out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in crate::escape::text(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn side(sender: Sender) -> (&'static str, &'static str) {
    match sender {
        Sender::Client => ("c", "client"),
        Sender::Server => ("s", "server"),
    }
}

impl Page<'_> {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn document(&mut self, conversations: &[Conversation]) {
        let title = match conversations {
            [one] => format!("{} to {}", one.client, one.server_name.as_deref().unwrap_or(&one.server)),
            many => format!("{} connections", many.len()),
        };
        self.put(&format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>TLS, byte by byte: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
            policy(),
            escaped(&title)
        ));
        if let [one] = conversations {
            self.conversation(one, 1, true);
        } else {
            self.choice(conversations);
            for (number, conversation) in (1..).zip(conversations) {
                self.conversation(conversation, number, false);
            }
            self.put("</main>\n");
        }
        self.put(
            "<footer><p>Made by countersign explain. Types and fields are spelled as in the RFCs that are cited beside \
             them. ",
        );
        self.put(if self.shown.is_open() {
            "<strong>This page shows the connection’s secrets: whoever has it can read what was recorded.</strong>"
        } else {
            "It holds no secrets and no application data."
        });
        self.put(&format!("</p></footer>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"));
    }

    fn choice(&mut self, conversations: &[Conversation]) {
        self.put(&format!(
            "<header><h1>{} connections</h1></header>\n<main><div class=\"scroll\"><table><thead><tr><th scope=\"col\">#</th>\
             <th scope=\"col\">client</th><th scope=\"col\">server</th><th scope=\"col\">name</th><th scope=\"col\">version\
             </th><th scope=\"col\">result</th></tr></thead><tbody>\n",
            conversations.len()
        ));
        for (number, one) in (1..).zip(conversations) {
            self.put(&format!(
                "<tr><td><a href=\"#c{number}\">{number}</a></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escaped(&one.client),
                escaped(&one.server),
                escaped(one.server_name.as_deref().unwrap_or("-")),
                one.version_text(),
                escaped(&result(one))
            ));
        }
        self.put("</tbody></table></div>\n");
    }

    fn conversation(&mut self, conversation: &Conversation, number: usize, alone: bool) {
        let (heading, body) = if alone { ("h1", "main") } else { ("h2", "section") };
        let to = conversation.server_name.as_deref().unwrap_or(&conversation.server);
        self.put(&format!(
            "<header id=\"c{number}\"><{heading}>A TLS conversation with {}</{heading}>\n<p class=\"quiet\">",
            escaped(to)
        ));
        if let Some(started) = conversation.started {
            self.put(&format!("Recorded <time>{}</time>. ", started.strftime("%Y-%m-%d %H:%M:%S UTC")));
        }
        self.put(
            "Open a message to see its bytes; each byte belongs to one field.</p>\n<ul class=\"facts\">",
        );
        let mut facts = vec![conversation.version_text()];
        facts.extend(conversation.cipher_suite_text());
        facts.extend(conversation.group_text());
        facts.extend(conversation.alpn.as_ref().map(|alpn| format!("ALPN {alpn}")));
        facts.extend(conversation.resumed.then(|| "resumed session".to_owned()));
        facts.extend(early_data(conversation));
        facts.extend(conversation.hello_retry.then(|| "HelloRetryRequest".to_owned()));
        facts.push(result(conversation));
        for fact in facts {
            self.put(&format!("<li>{}</li>", escaped(&fact)));
        }
        self.put("</ul>\n");
        for remark in &conversation.remarks {
            self.put(&format!("<p class=\"box note\">Noted: {}</p>\n", escaped(remark)));
        }
        self.verdict(conversation);
        self.put(&format!("</header>\n<{body}>\n"));
        self.put(
            "<div class=\"tools\"><button type=\"button\" data-all=\"open\">Open all</button>\
             <button type=\"button\" data-all=\"close\">Close all</button></div>\n",
        );
        self.put(&format!(
            "<div class=\"ends\"><span class=\"c\">client {}</span><span class=\"s\">server {}</span></div>\n<ol class=\"ladder\">\n",
            escaped(&conversation.client),
            escaped(&conversation.server)
        ));
        for message in &conversation.messages {
            self.message(conversation, message, number);
        }
        self.put("</ol>\n");
        for ending in &conversation.endings {
            let how = if ending.what == What::Reset { "resets the connection" } else { "closes its side" };
            self.put(&format!(
                "<p class=\"quiet\">The {} {how} at {}.</p>\n",
                side(ending.sender).1,
                time_text(ending.at)
            ));
        }
        self.schedule(conversation);
        self.put(&format!("</{body}>\n"));
    }

    fn verdict(&mut self, conversation: &Conversation) {
        for finding in &conversation.findings {
            self.put(&format!(
                "<div class=\"box\"><strong class=\"bad\">{}</strong>: {}<ul>",
                finding.code.name(),
                escaped(&finding.summary)
            ));
            for fact in &finding.evidence {
                self.put(&format!("<li>{}</li>", escaped(fact)));
            }
            self.put("</ul>");
            if let Some(remedy) = &finding.remedy {
                self.put(&format!("<p>Try: {}</p>", escaped(remedy)));
            }
            self.put("</div>\n");
        }
        for limit in &conversation.limits {
            self.put(&format!("<p class=\"box note\">Not known: {}.</p>\n", escaped(limit)));
        }
        if conversation.findings.is_empty() && conversation.complete {
            let text = match (conversation.is_mutual(), conversation.resumed) {
                (_, true) => "The session was resumed: both sides go by what was proved when it began.",
                (true, _) => "Both sides have proved who they are.",
                _ => "The server has proved who it is; the client has not.",
            };
            self.put(&format!("<p class=\"box fine\">{text}</p>\n"));
        }
    }

    fn message(&mut self, conversation: &Conversation, message: &Message, connection: usize) {
        let (class, who) = side(message.sender);
        let tag = match &message.protection {
            Protection::Clear => "in clear",
            Protection::Opened(_) => "encrypted, opened",
            Protection::Sealed => "encrypted, closed",
        };
        let arrow = if message.sender == Sender::Client { "→" } else { "←" };
        self.put(&format!(
            "<li><details class=\"m {class}\" id=\"c{connection}m{}\"><summary><span class=\"num\">{}</span><span \
             class=\"name\"><span aria-hidden=\"true\">{arrow}</span> {} <span class=\"tag\">{tag}</span></span>\
             <span class=\"size\">from the {who}, {} B, {}</span>",
            message.number,
            message.number,
            message.kind.name(),
            size_text(message.length),
            time_text(message.at)
        ));
        if !message.summary.is_empty() {
            self.put(&format!("<span class=\"said value\">{}</span>", escaped(&message.summary)));
        }
        for check in &message.checks {
            let (class, word) = match check.passed {
                Some(true) => ("good", "✓ verified"),
                Some(false) => ("bad", "✗ FAILED"),
                None => ("warn", "not checked"),
            };
            self.put(&format!("<span class=\"said {class}\">{word}</span>"));
        }
        self.put("</summary>\n<div class=\"body\">");
        self.put(&format!("<p>{}</p>\n", escaped(&message.why)));
        if let Some(moment) = message.moment {
            self.put(&format!("<p class=\"moment\">{moment}</p>\n"));
        }
        for (offset, problem) in message.node.problems() {
            self.put(&format!("<p class=\"bad\">Problem at byte {offset}: {}</p>\n", escaped(problem)));
        }
        self.facts(conversation, message);
        if message.kind == Kind::ApplicationData && !self.shown.is_open() {
            self.put("<p class=\"quiet\">Application data is not part of this page.</p>");
        } else {
            let place = Place { connection, message: message.number, inside: false };
            self.bytes(&message.bytes, &message.node, place);
            if let Some((bytes, inside)) = &message.inside {
                self.put("<h3>Decompressed</h3>\n");
                self.bytes(bytes, inside, Place { inside: true, ..place });
            }
        }
        self.put("</div></details></li>\n");
    }

    fn facts(&mut self, conversation: &Conversation, message: &Message) {
        let chain = message.certificates.as_deref().unwrap_or_default();
        for (index, der) in chain.iter().enumerate() {
            let card = Card::of(der);
            let open = if index == 0 { " open" } else { "" };
            self.put(&format!(
                "<details class=\"cert\"{open}><summary>{}</summary><dl class=\"steps\">",
                escaped(&card.description.subject_text())
            ));
            for (label, value) in card.lines() {
                self.put(&format!("<dt>{label}</dt><dd class=\"value\">{}</dd>", escaped(&value)));
            }
            self.put("</dl></details>\n");
        }
        let steps: Vec<_> = details(conversation, message)
            .into_iter()
            .filter(|(label, _)| chain.is_empty() || *label == "answers")
            .collect();
        if !steps.is_empty() {
            self.put("<dl class=\"steps\">");
            for (label, value) in steps {
                let class = match label {
                    "verified" => " good",
                    "FAILED" => " bad",
                    "unchecked" => " warn",
                    _ => "",
                };
                self.put(&format!("<dt>{label}</dt><dd class=\"value{class}\">{}</dd>", escaped(&value)));
            }
            self.put("</dl>\n");
        }
    }

    fn bytes(&mut self, bytes: &[u8], node: &Node, place: Place) {
        if bytes.is_empty() {
            return;
        }
        let block = block(bytes, node);
        if block.len() > SHORT {
            if let Some(first) = self.blocks.get(&pki::sha256(block.as_bytes())).copied() {
                let Place { connection, message, .. } = first;
                let of = match connection == place.connection {
                    true => String::new(),
                    false => format!(" of connection {connection}"),
                };
                self.put(&format!(
                    "<p class=\"same\" data-of=\"{}\">Byte for byte the same as in <a href=\"#c{connection}m{message}\">message \
                     {message}{of}</a>, which shows it.</p>\n",
                    first.id()
                ));
                return;
            }
            self.blocks.insert(pki::sha256(block.as_bytes()), place);
        }
        self.put(&format!("<div class=\"split\" id=\"{}\">{block}</div>\n", place.id()));
    }

    fn schedule(&mut self, conversation: &Conversation) {
        if conversation.schedule.is_empty() {
            return;
        }
        self.put("<h2>The key schedule</h2>\n<p>Which secret comes from which, with what, and which traffic it protects.</p>\n");
        self.put("<ul class=\"tree\">");
        self.branch(conversation, None);
        self.put("</ul>\n");
    }

    fn branch(&mut self, conversation: &Conversation, from: Option<&str>) {
        for secret in conversation.schedule.iter().filter(|secret| secret.from == from) {
            let known = match (secret.label, secret.known) {
                (None, _) => "",
                (Some(_), true) => " <span class=\"known\">at hand</span>",
                (Some(_), false) => " <span class=\"quiet\">not at hand</span>",
            };
            let opened = match secret.opened {
                0 => String::new(),
                count => format!("; opened {count} record(s)"),
            };
            self.put(&format!(
                "<li><code>{}</code>{known}<br><span class=\"quiet\">from {}; protects {}{opened}</span>",
                secret.name, secret.with, secret.protects
            ));
            let value = secret.label.and_then(|label| {
                let log = self.shown.secrets?;
                conversation
                    .client_randoms
                    .iter()
                    .find_map(|random| log.find(random)?.find(label).map(pki::hex))
            });
            if let Some(value) = value {
                self.put(&format!("<br><code class=\"bad\">{value}</code>"));
            }
            if conversation.schedule.iter().any(|other| other.from == Some(secret.name)) {
                self.put("<ul>");
                self.branch(conversation, Some(secret.name));
                self.put("</ul>");
            }
            self.put("</li>");
        }
    }
}

/// The bytes of a message beside its fields. The n-th leaf among the fields is the n-th span of bytes: the script goes
/// by that, and so nothing has to be written twice.
fn block(bytes: &[u8], node: &Node) -> String {
    let leaves = node.leaves();
    let mut out = "<div class=\"hex\" role=\"group\" aria-label=\"bytes\" tabindex=\"0\">".to_owned();
    if leaves.len() > MOST_FIELDS {
        let _ = write!(out, "<b>{}</b></div>\n<ul class=\"fields\"><li><p>", hex(bytes));
        let _ = write!(out, "<b>{} fields, too many for a page</b></ul>", leaves.len());
        return out;
    }
    for leaf in &leaves {
        out.push_str(if leaf.problem.is_some() { "<b class=\"wrong\">" } else { "<b>" });
        out.push_str(&hex(bytes.get(leaf.start..leaf.end).unwrap_or_default()));
        out.push_str("</b> ");
    }
    out.push_str("</div>\n<ul class=\"fields\">");
    fields(&mut out, &node.children, 0);
    out.push_str("</ul>");
    out
}

/// Fields beside each other. In a list of one kind, what the kind means stands with the first.
fn fields(out: &mut String, nodes: &[Node], depth: usize) {
    let mut before: Option<&Node> = None;
    for node in nodes {
        let is_told = before.is_some_and(|before| {
            (&before.name, &before.meaning, before.reference) == (&node.name, &node.meaning, node.reference)
        });
        field(out, node, depth, is_told);
        before = Some(node);
    }
}

/// A field and those within it. End tags that HTML does without are left out: there are thousands of fields.
fn field(out: &mut String, node: &Node, depth: usize, is_told: bool) {
    let leaf = node.children.is_empty();
    out.push_str(match (leaf, depth < 2) {
        (true, _) => "<li><p>",
        // What is deeper opens on demand: certificates have hundreds of fields.
        (false, true) => "<li><details open><summary>",
        (false, false) => "<li><details><summary>",
    });
    let _ = write!(out, "<b>{}</b>", escaped(&node.name));
    if !node.value.is_empty() {
        let _ = write!(out, ": <code>{}</code>", escaped(&node.value));
    }
    let last = node.end.saturating_sub(1);
    let _ = match last > node.start {
        true => write!(out, " <i>{}–{last}</i>", node.start),
        false => write!(out, " <i>{}</i>", node.start),
    };
    if !node.meaning.is_empty() && !is_told {
        let _ = write!(out, "<small>{} [{}]</small>", escaped(&node.meaning), node.reference);
    }
    if let Some(problem) = &node.problem {
        let _ = write!(out, "<strong>{}</strong>", escaped(problem));
    }
    if !leaf {
        out.push_str("</summary><ul>");
        fields(out, &node.children, depth + 1);
        out.push_str("</ul></details>");
    }
}

fn hex(octets: &[u8]) -> String {
    let pairs: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn text_from_a_certificate_cannot_leave_its_place() {
        let hostile = "\"><script>alert('x')</script>\u{202e}&";
        let safe = escaped(hostile);
        assert!(!safe.contains(['<', '>', '"', '\'']), "{safe}");
        assert!(safe.ends_with("\\u{202e}&amp;"), "{safe}");
    }
}
