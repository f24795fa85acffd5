//! The page.
use super::Shown;
use crate::tls::Conversation;
/// t
#[must_use]
pub fn html(_: &[Conversation], _: Shown<'_>) -> String {
    String::new()
}
