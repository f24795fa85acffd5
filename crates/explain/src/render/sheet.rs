//! A page of aligned lines: labels on the left, values wrapped beside them.

use std::borrow::Cow;

use crate::model::{Remark, Severity};
use crate::tlv::Problem;

/// The narrowest page that is laid out; anything less is a mistaken measurement.
const NARROWEST: usize = 40;

/// Colours of a terminal (ECMA-48 SGR).
#[derive(Debug, Clone, Copy)]
pub(super) enum Colour {
    Bold,
    Dim,
    Red,
    Yellow,
    Cyan,
}

/// The page.
pub(super) struct Sheet {
    out: String,
    width: usize,
    colour: bool,
}

impl Sheet {
    pub(super) fn new(width: usize, colour: bool) -> Self {
        Sheet { out: String::new(), width: width.max(NARROWEST), colour }
    }

    pub(super) fn into_text(self) -> String {
        self.out
    }

    pub(super) fn blank(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    fn painted<'a>(&self, text: &'a str, colour: Colour) -> Cow<'a, str> {
        if !self.colour {
            return Cow::Borrowed(text);
        }
        let code = match colour {
            Colour::Bold => "1",
            Colour::Dim => "2",
            Colour::Red => "1;31",
            Colour::Yellow => "33",
            Colour::Cyan => "36",
        };
        Cow::Owned(format!("\u{1b}[{code}m{text}\u{1b}[0m"))
    }

    /// A line of its own, wrapped, with its continuation two columns further in.
    pub(super) fn line(&mut self, indent: usize, text: &str, colour: Option<Colour>) {
        let lines = wrap(text, self.width.saturating_sub(indent), self.width.saturating_sub(indent + 2));
        for (index, line) in lines.iter().enumerate() {
            let indent = if index == 0 { indent } else { indent + 2 };
            self.out.push_str(&" ".repeat(indent));
            let painted = colour.map_or(Cow::Borrowed(line.as_str()), |colour| self.painted(line, colour));
            self.out.push_str(&painted);
            self.out.push('\n');
        }
    }

    /// A label, padded to `column`, and its value.
    pub(super) fn row(&mut self, indent: usize, column: usize, label: &str, value: &str) {
        self.row_painted(indent, column, label, value, None);
    }

    pub(super) fn row_painted(
        &mut self,
        indent: usize,
        column: usize,
        label: &str,
        value: &str,
        colour: Option<Colour>,
    ) {
        let start = indent + column;
        let room = self.width.saturating_sub(start).max(20);
        for (index, line) in wrap(value, room, room).iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let padding =
                " ".repeat(column.saturating_sub(label.chars().count()).max(usize::from(index == 0)));
            let label = self.painted(label, Colour::Dim).into_owned();
            let value = colour.map_or(Cow::Borrowed(line.as_str()), |colour| self.painted(line, colour));
            let line = if index == 0 {
                format!("{}{label}{padding}{value}", " ".repeat(indent))
            } else {
                format!("{}{value}", " ".repeat(start))
            };
            self.out.push_str(line.trim_end());
            self.out.push('\n');
        }
    }

    /// Octets in hexadecimal, in lines of a round number.
    pub(super) fn hex(&mut self, indent: usize, octets: &[u8]) {
        let room = self.width.saturating_sub(indent) / 2;
        let per_line = if room >= 32 { 32 } else { 16 };
        for chunk in octets.chunks(per_line) {
            self.out.push_str(&" ".repeat(indent));
            self.out.push_str(&pki::hex(chunk));
            self.out.push('\n');
        }
    }

    pub(super) fn remark(&mut self, indent: usize, remark: &Remark) {
        let colour = match remark.severity {
            Severity::Error => Some(Colour::Red),
            Severity::Warning => Some(Colour::Yellow),
            Severity::Note => Some(Colour::Cyan),
        };
        self.line(indent, &format!("{}: {}", remark.severity.name(), remark.message), colour);
    }

    /// A problem of the whole input (`word` is `problem`) or of one item (`damaged`).
    pub(super) fn problem(&mut self, indent: usize, word: &str, problem: &Problem) {
        let place = if problem.offset == 0 { String::new() } else { format!(" at byte {}", problem.offset) };
        self.line(indent, &format!("{word}{place}: {}", problem.message), Some(Colour::Red));
    }
}

/// Breaks text at blanks, else behind commas, else anywhere. `first` and `rest` are the columns there are.
fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_inclusive([' ', ',']) {
        let room = if lines.is_empty() { first } else { rest };
        let length = word.chars().count();
        let visible = word.trim_end().chars().count();
        if used > 0 && used + visible > room {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
        }
        if visible > rest.max(1) {
            for character in word.chars() {
                let room = if lines.is_empty() { first } else { rest };
                if used >= room.max(1) {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(character);
                used += 1;
            }
        } else {
            line.push_str(word);
            used += length;
        }
    }
    lines.push(line.trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_page() {
        let text = format!("short words then {} and CN=a,O=b,OU=c", "x".repeat(100));
        for line in wrap(&text, 30, 28) {
            assert!(line.chars().count() <= 30, "{line}");
        }
        assert_eq!(wrap("a b", 10, 10), ["a b"]);
        assert_eq!(wrap("", 10, 10), [""]);
    }
}
