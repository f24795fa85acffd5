//! A conversation for people and programs: the ladder and its bytes as text, one page of HTML, JSON. All of them show
//! the same decoded data; nothing is decoded here.

mod bytes;
mod certificate;
mod details;
mod html;
mod json;
mod ladder;

pub use html::{html, html_with_policy};
pub use json::{conversation_json, conversations_json};
pub use ladder::{Row, ladder, message_text, table};

use std::time::Duration;

use crate::capture::key_log::KeyLog;

/// What of a conversation is shown, beyond what always is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown<'a> {
    /// Secrets and application data: `None` keeps them hidden.
    pub secrets: Option<&'a KeyLog>,
}

impl Shown<'_> {
    fn is_open(self) -> bool {
        self.secrets.is_some()
    }
}

/// A time since the start, in milliseconds.
fn time_text(at: Duration) -> String {
    format!("{:.1} ms", at.as_secs_f64() * 1000.0)
}

/// A number of bytes, with thousands apart.
fn size_text(bytes: u64) -> String {
    let digits = bytes.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 12, 999, 1000, 1_234_567].map(size_text), ["0", "12", "999", "1,000", "1,234,567"]);
    }
}
