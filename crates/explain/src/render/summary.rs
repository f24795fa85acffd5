//! The summary: what a person reads in ten seconds.

use pki::oid;

use super::position_text;
use super::sheet::{Colour, Sheet};
use crate::certificate::CertificateDescription;
use crate::crl::RevocationListDescription;
use crate::field::{Identifier, NameEntry, TimeDescription};
use crate::humane;
use crate::key::KeyDescription;
use crate::model::{Content, Inspection, Item};
use crate::pkcs7::Pkcs7Description;
use crate::pkcs12::Pkcs12Description;
use crate::request::RequestDescription;

/// Where values start, behind the indent.
const COLUMN: usize = 11;
const INDENT: usize = 2;
/// A summary names this many names; `--full` names all.
const MOST_NAMES: usize = 12;

/// The summary of everything found, at most `width` columns wide, with terminal colours where `colour` says so.
#[must_use]
pub fn summary_text(inspection: &Inspection, width: usize, colour: bool) -> String {
    let mut sheet = Sheet::new(width, colour);
    sheet.line(0, &format!("{}: {}", inspection.source, contents(&inspection.items)), Some(Colour::Bold));
    for problem in &inspection.problems {
        sheet.problem(INDENT, "problem", problem);
    }
    for (index, item) in inspection.items.iter().enumerate() {
        sheet.blank();
        write_item(&mut sheet, inspection, index, item);
    }
    if !inspection.remarks.is_empty() {
        sheet.blank();
        for remark in &inspection.remarks {
            sheet.remark(0, remark);
        }
    }
    sheet.into_text()
}

/// `2 certificates and 1 private key`.
pub(super) fn contents(items: &[Item]) -> String {
    let kinds = [
        ("certificate", "certificate", "certificates"),
        ("certificate_request", "certificate request", "certificate requests"),
        ("certificate_revocation_list", "revocation list", "revocation lists"),
        ("private_key", "private key", "private keys"),
        ("public_key", "public key", "public keys"),
        ("pkcs12", "PKCS#12 container", "PKCS#12 containers"),
        ("pkcs7", "PKCS#7 container", "PKCS#7 containers"),
        ("unknown", "unknown structure", "unknown structures"),
    ];
    let parts: Vec<String> = kinds
        .iter()
        .filter_map(|(kind, one, many)| {
            let count = items.iter().filter(|item| item.content.kind() == *kind).count();
            (count > 0).then(|| humane::count(count, one, many))
        })
        .collect();
    match parts.as_slice() {
        [] => "nothing recognised".to_owned(),
        [one] => one.clone(),
        [start @ .., last] => format!("{} and {last}", start.join(", ")),
    }
}

/// The first line of an item.
pub(super) fn title(inspection: &Inspection, index: usize, item: &Item) -> String {
    let name = match &item.content {
        Content::Certificate(certificate) => {
            format!("{}: {}", certificate.role().text(), certificate.subject_text())
        }
        Content::Request(request) => {
            let subject = request.subject.as_ref().map_or("(unreadable)", |subject| subject.text.as_str());
            format!("certificate request: {subject}")
        }
        Content::RevocationList(list) => {
            let issuer = list.issuer.as_ref().map_or("(unreadable)", |issuer| issuer.text.as_str());
            format!("revocation list of {issuer}")
        }
        Content::Key(key) => {
            let kind = match (key.is_private, &key.encryption) {
                (true, Some(_)) => "encrypted private key",
                (true, None) => "private key",
                (false, _) => "public key",
            };
            format!("{kind}: {}", key.text())
        }
        Content::Pkcs12(_) => "PKCS#12 container".to_owned(),
        Content::Pkcs7(container) => {
            let kind = container
                .content_type
                .as_ref()
                .map_or_else(String::new, |kind| format!(" ({})", kind.text()));
            format!("PKCS#7 container{kind}")
        }
        Content::Unknown { what, .. } => what.clone(),
    };
    if inspection.items.len() > 1 {
        format!("[{}] {name} ({})", index + 1, position_text(&item.position))
    } else {
        name
    }
}

fn write_item(sheet: &mut Sheet, inspection: &Inspection, index: usize, item: &Item) {
    sheet.line(0, &title(inspection, index, item), Some(Colour::Bold));
    match &item.content {
        Content::Certificate(certificate) => write_certificate(sheet, inspection, certificate),
        Content::Request(request) => write_request(sheet, request),
        Content::RevocationList(list) => write_list(sheet, inspection, list),
        Content::Key(key) => write_key(sheet, key),
        Content::Pkcs12(container) => write_pkcs12(sheet, container),
        Content::Pkcs7(container) => write_pkcs7(sheet, container),
        Content::Unknown { tree, .. } => {
            if let Some(root) = tree.nodes.first() {
                row(
                    sheet,
                    "structure",
                    &format!("{} of {}", root.type_name, humane::count(root.length, "byte", "bytes")),
                );
            }
            if let Some(label) = &item.label {
                row(sheet, "label", &crate::escape::text(label));
            }
        }
    }
    for problem in &item.problems {
        sheet.problem(INDENT, "damaged", problem);
    }
    for remark in &item.remarks {
        // The validity line already says so.
        if !matches!(remark.code, "certificate_expired" | "certificate_not_yet_valid") {
            sheet.remark(INDENT, remark);
        }
    }
}

fn row(sheet: &mut Sheet, label: &str, value: &str) {
    sheet.row(INDENT, COLUMN, label, value);
}

fn minute(time: Option<&TimeDescription>) -> String {
    time.map_or_else(|| "(unreadable)".to_owned(), TimeDescription::minute)
}

fn write_certificate(sheet: &mut Sheet, inspection: &Inspection, certificate: &CertificateDescription) {
    let issuer = match &certificate.issuer {
        Some(_) if certificate.is_self_issued() => "itself".to_owned(),
        Some(issuer) => issuer.text.clone(),
        None => "(unreadable)".to_owned(),
    };
    row(sheet, "issued by", &issuer);
    let (before, after) = (certificate.not_before.as_ref(), certificate.not_after.as_ref());
    // The hour matters only of what lies ahead.
    let begun = before.and_then(|time| time.moment).is_some_and(|moment| moment <= inspection.at);
    let start = minute(before);
    let start = if begun { start.split(' ').next().unwrap_or(&start) } else { &start };
    let mut valid = format!("{start} to {} UTC", minute(after));
    let mut worst = None;
    if let (Some(before), Some(after)) = (before.and_then(|t| t.moment), after.and_then(|t| t.moment))
        && before <= after
    {
        let standing = humane::standing(before, after, inspection.at);
        valid.push_str(&format!(" ({}), {standing}", humane::validity(before, after)));
        let dead = inspection.at < before || inspection.at > after;
        worst = dead.then_some(Colour::Red);
    }
    sheet.row_painted(INDENT, COLUMN, "valid", &valid, worst);
    let purposes = purposes(certificate);
    if !purposes.is_empty() {
        row(sheet, "for", &purposes);
    }
    let names = names_text(certificate.subject_alt_names());
    if !names.is_empty() {
        row(sheet, "names", &names);
    }
    let key = certificate.public_key.as_ref().map_or_else(|| "(unreadable)".to_owned(), |key| key.text());
    let signature = certificate.signature_algorithm.as_ref().map(|algorithm| algorithm.text.clone());
    let signature = signature.map_or_else(String::new, |name| format!(", signed with {name}"));
    row(sheet, "key", &format!("{key}{signature}"));
    row(sheet, "serial", &certificate.serial_hex());
    row(sheet, "SHA-256", &pki::hex(&certificate.sha256));
}

/// What it may be used for, in people's words.
fn purposes(certificate: &CertificateDescription) -> String {
    let mut purposes: Vec<String> = Vec::new();
    if certificate.is_ca() {
        purposes.push(match certificate.path_length() {
            Some(0) => "issuing certificates, but no further CA".to_owned(),
            Some(length) => format!("issuing certificates, up to {length} CA(s) deep"),
            None => "issuing certificates".to_owned(),
        });
        if certificate.key_usages().is_some_and(|usages| usages.contains(&"cRLSign")) {
            purposes.push("revocation lists".to_owned());
        }
    }
    match certificate.extended_key_usages() {
        Some(usages) => {
            let only = if certificate.is_ca() { "only for " } else { "" };
            let list: Vec<String> = usages.iter().map(purpose).collect();
            if !list.is_empty() {
                purposes.push(format!("{only}{}", list.join(", ")));
            }
        }
        None if !certificate.is_ca() => {
            purposes.push("any purpose (no extKeyUsage)".to_owned());
        }
        None => {}
    }
    purposes.join(", ")
}

fn purpose(usage: &Identifier) -> String {
    match usage.oid {
        Some(oid::SERVER_AUTH) => "TLS server".to_owned(),
        Some(oid::CLIENT_AUTH) => "TLS client".to_owned(),
        Some(oid::ANY_EXTENDED_KEY_USAGE) => "any purpose".to_owned(),
        _ => match usage.name {
            Some("emailProtection") => "e-mail".to_owned(),
            Some("codeSigning") => "code signing".to_owned(),
            Some("timeStamping") => "time stamping".to_owned(),
            Some("OCSPSigning") => "OCSP responses".to_owned(),
            _ => usage.text(),
        },
    }
}

fn names_text(names: &[NameEntry]) -> String {
    let mut list: Vec<String> = names.iter().take(MOST_NAMES).map(NameEntry::text).collect();
    if names.len() > MOST_NAMES {
        list.push(format!("and {} more", names.len() - MOST_NAMES));
    }
    list.join(", ")
}

fn write_request(sheet: &mut Sheet, request: &RequestDescription) {
    let names = names_text(request.subject_alt_names());
    row(sheet, "names", if names.is_empty() { "none asked for" } else { &names });
    let key = request.public_key.as_ref().map_or_else(|| "(unreadable)".to_owned(), |key| key.text());
    row(sheet, "key", &key);
    let signature = request.signature_algorithm.as_ref().map_or("(unreadable)", |a| a.text.as_str());
    let possession = if request.possession.is_ok() {
        "the signature shows that the requester holds the key"
    } else {
        "not accepted"
    };
    row(sheet, "signed", &format!("{signature}; {possession}"));
    let asked: Vec<String> = request
        .extensions
        .iter()
        .filter(|extension| !extension.identifier.is(&oid::SUBJECT_ALT_NAME))
        .map(|extension| extension.identifier.text())
        .collect();
    if !asked.is_empty() {
        row(sheet, "asks for", &asked.join(", "));
    }
    if let Some(key) = &request.public_key {
        row(sheet, "key pin", &key.pin());
    }
    row(sheet, "SHA-256", &pki::hex(&request.sha256));
}

fn write_list(sheet: &mut Sheet, inspection: &Inspection, list: &RevocationListDescription) {
    let mut revokes = humane::count(list.count, "certificate", "certificates");
    let reasons: Vec<String> =
        list.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if !reasons.is_empty() {
        revokes.push_str(&format!(" ({})", reasons.join(", ")));
    }
    row(sheet, "revokes", &revokes);
    row(sheet, "issued", &format!("{} UTC", minute(list.this_update.as_ref())));
    let next = match (&list.next_update, list.next_update.as_ref().and_then(|time| time.moment)) {
        (Some(_), Some(next)) => {
            format!("{} UTC, {}", humane::minute(next), humane::distance(next, inspection.at))
        }
        (written, _) => minute(written.as_ref()),
    };
    let late = list.next_update.as_ref().and_then(|t| t.moment).is_some_and(|next| next < inspection.at);
    sheet.row_painted(INDENT, COLUMN, "next", &next, late.then_some(Colour::Red));
    if let Some(number) = list.number() {
        row(sheet, "number", number);
    }
    let signature = list.signature_algorithm.as_ref().map_or("(unreadable)", |a| a.text.as_str());
    row(sheet, "signed", signature);
    row(sheet, "SHA-256", &pki::hex(&list.sha256));
}

fn write_key(sheet: &mut Sheet, key: &KeyDescription) {
    row(sheet, "format", key.format);
    if let Some(encryption) = &key.encryption {
        row(sheet, "encrypted", &encryption.text());
    }
    if let Some(public) = &key.public_key {
        row(sheet, "key pin", &public.pin());
        row(sheet, "key id", &pki::hex(&public.key_sha1));
    }
}

fn write_pkcs12(sheet: &mut Sheet, container: &Pkcs12Description) {
    for (index, part) in container.parts.iter().enumerate() {
        let label = if index == 0 { "holds" } else { "" };
        let text = match &part.encryption {
            Some(encryption) => format!("an encrypted part ({})", encryption.text()),
            None => {
                let bags: Vec<String> = part.bags.iter().map(super::lines::bag_text).collect();
                if bags.is_empty() {
                    format!("an empty part ({})", part.content_type)
                } else {
                    bags.join(", ")
                }
            }
        };
        row(sheet, label, &text);
    }
    let integrity = container.integrity.as_ref().map_or_else(
        || "none".to_owned(),
        |mac| {
            let iterations = humane::count(mac.iterations as usize, "iteration", "iterations");
            format!("MAC with {}, {iterations}", mac.algorithm)
        },
    );
    row(sheet, "integrity", &integrity);
}

fn write_pkcs7(sheet: &mut Sheet, container: &Pkcs7Description) {
    let mut holds = humane::count(container.certificates.len(), "certificate", "certificates");
    if !container.revocation_lists.is_empty() {
        let lists = humane::count(container.revocation_lists.len(), "revocation list", "revocation lists");
        holds.push_str(&format!(", {lists}"));
    }
    row(sheet, "holds", &holds);
    row(sheet, "signers", &container.signers.to_string());
}
