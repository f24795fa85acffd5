//! An inspection as text, JSON and PEM. Everything that comes from a certificate is already escaped when it gets
//! here, or is escaped here.

mod full;
mod json;
mod lines;
mod sheet;
mod summary;
mod walk;

use crate::model::{Content, Inspection, Item, Position};

pub use full::full_text;
pub use json::json;
pub(crate) use lines::extension_lines;
pub use summary::summary_text;
pub use walk::{
    Row, Shown, conversation_json, conversations_json, html, html_with_policy, ladder, message_text, table,
};

/// Every item as PEM, in order: a file with the armour right. Of private keys it gives the public half; containers
/// give what is in them; what is not recognised is left out.
#[must_use]
pub fn pem(inspection: &Inspection) -> String {
    inspection.items.iter().filter_map(item_pem).collect()
}

fn item_pem(item: &Item) -> Option<String> {
    if item.der.is_empty() {
        return None;
    }
    let label = match &item.content {
        Content::Certificate(_) => "CERTIFICATE",
        Content::Request(_) => "CERTIFICATE REQUEST",
        Content::RevocationList(_) => "X509 CRL",
        Content::Key(_) => "PUBLIC KEY",
        Content::Pkcs12(_) | Content::Pkcs7(_) | Content::Unknown { .. } => return None,
    };
    Some(pki::pem::encode(label, &item.der))
}

/// Where an item stands, as it is said in brackets.
fn position_text(position: &Position) -> String {
    match position {
        Position::Line(line) => format!("line {line}"),
        Position::Byte(byte) => format!("byte {byte}"),
        Position::Sent(number) => format!("number {number} of what the server sent"),
        Position::Inside { container, number } => format!("number {number} in the {container}"),
    }
}
