//! A message's bytes with its fields: hexadecimal on the left of each field, name and value, and what it means.

use super::super::sheet::{Colour, Sheet};
use super::Shown;
use crate::tls::{Kind, Message, Node};

/// Octets a line; longer fields are shortened.
const A_LINE: usize = 16;
/// Lines a field; the JSON and the page have all of it.
const MOST_LINES: usize = 4;

/// All fields of a message.
pub(super) fn fields(sheet: &mut Sheet, message: &Message, shown: Shown<'_>) {
    if message.kind == Kind::ApplicationData && !shown.is_open() {
        sheet.line(6, "Application data is shown with --secrets alone.", Some(Colour::Dim));
        return;
    }
    for child in &message.node.children {
        field(sheet, child, &message.bytes, 6);
    }
    if let Some((bytes, inside)) = &message.inside {
        sheet.line(6, "decompressed:", Some(Colour::Bold));
        for child in &inside.children {
            field(sheet, child, bytes, 6);
        }
    }
}

fn field(sheet: &mut Sheet, node: &Node, bytes: &[u8], indent: usize) {
    let place = format!("{:>4}–{:<4}", node.start, node.end.saturating_sub(1));
    let value = if node.value.is_empty() { String::new() } else { format!(": {}", node.value) };
    sheet.line(indent, &format!("{place} {}{value}", node.name), Some(Colour::Bold));
    let inside = indent + 10;
    if node.children.is_empty() {
        let octets = bytes.get(node.start..node.end).unwrap_or_default();
        for line in octets.chunks(A_LINE).take(MOST_LINES) {
            let hex: Vec<String> = line.iter().map(|octet| format!("{octet:02x}")).collect();
            sheet.line(inside, &hex.join(" "), Some(Colour::Cyan));
        }
        if octets.len() > A_LINE * MOST_LINES {
            let more = octets.len() - A_LINE * MOST_LINES;
            sheet.line(inside, &format!("… and {more} bytes more"), Some(Colour::Dim));
        }
    }
    if !node.meaning.is_empty() {
        sheet.line(inside, &format!("{} [{}]", node.meaning, node.reference), Some(Colour::Dim));
    }
    if let Some(problem) = &node.problem {
        sheet.line(inside, &format!("problem: {problem}"), Some(Colour::Red));
    }
    for child in &node.children {
        field(sheet, child, bytes, indent + 2);
    }
}
