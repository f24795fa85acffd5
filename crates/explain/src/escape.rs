//! Text from certificates made safe to print: a hostile name must not move the cursor, change colours or reorder
//! the line it stands in.

/// Whether a character changes how the text around it is shown, or is not shown at all.
fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00ad}'
            | '\u{061c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text with every control character, bidirectional override and invisible character written as `\u{…}`.
///
/// ```
/// assert_eq!(explain::escape::text("a\u{1b}[31mb\u{202e}"), "a\\u{1b}[31mb\\u{202e}");
/// assert_eq!(explain::escape::text("Zoë"), "Zoë");
/// ```
#[must_use]
pub fn text(value: &str) -> String {
    let mut safe = String::with_capacity(value.len());
    for character in value.chars() {
        if is_treacherous(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Bytes that should be text, safe to print: UTF-8 where they are, else Latin-1.
#[must_use]
pub fn bytes(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(utf8) => text(utf8),
        Err(_) => text(&value.iter().map(|octet| char::from(*octet)).collect::<String>()),
    }
}
