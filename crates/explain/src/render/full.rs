//! The full text: every field and every extension.

use super::lines::{bag_text, extension_lines};
use super::sheet::{Colour, Sheet};
use super::summary::{contents, title};
use crate::certificate::CertificateDescription;
use crate::crl::RevocationListDescription;
use crate::extension::ExtensionDescription;
use crate::field::{AlgorithmDescription, NameDescription, TimeDescription};
use crate::humane;
use crate::key::KeyDescription;
use crate::model::{Content, Inspection, Item};
use crate::pkcs12::Pkcs12Description;
use crate::public_key::{PublicKeyDescription, curve_name};
use crate::request::RequestDescription;
use crate::tlv::Tree;

const COLUMN: usize = 21;
/// A fingerprint of 64 digits fits beside this one on 80 columns.
const NARROW_COLUMN: usize = 11;
const INDENT: usize = 2;
/// A list shows this many entries here; `--json` has them all.
const MOST_ENTRIES: usize = 100;
/// An unknown structure shows this many elements.
const MOST_ELEMENTS: usize = 400;

/// Every field and extension of everything found.
#[must_use]
pub fn full_text(inspection: &Inspection, width: usize, colour: bool) -> String {
    let mut sheet = Sheet::new(width, colour);
    sheet.line(0, &format!("{}: {}", inspection.source, contents(&inspection.items)), Some(Colour::Bold));
    for problem in &inspection.problems {
        sheet.problem(INDENT, "problem", problem);
    }
    for (index, item) in inspection.items.iter().enumerate() {
        sheet.blank();
        sheet.line(0, &title(inspection, index, item), Some(Colour::Bold));
        write_item(&mut sheet, inspection, item);
    }
    if !inspection.remarks.is_empty() {
        sheet.blank();
        for remark in &inspection.remarks {
            sheet.remark(0, remark);
        }
    }
    sheet.into_text()
}

fn row(sheet: &mut Sheet, label: &str, value: &str) {
    sheet.row(INDENT, COLUMN, label, value);
}

fn write_item(sheet: &mut Sheet, inspection: &Inspection, item: &Item) {
    match &item.content {
        Content::Certificate(certificate) => write_certificate(sheet, inspection, certificate),
        Content::Request(request) => write_request(sheet, request),
        Content::RevocationList(list) => write_list(sheet, inspection, list),
        Content::Key(key) => write_key(sheet, key),
        Content::Pkcs12(container) => write_pkcs12(sheet, container),
        Content::Pkcs7(container) => {
            row(sheet, "certificates", &container.certificates.len().to_string());
            row(sheet, "revocation lists", &container.revocation_lists.len().to_string());
            row(sheet, "signers", &container.signers.to_string());
        }
        Content::Unknown { tree, .. } => write_tree(sheet, tree),
    }
    for problem in &item.problems {
        sheet.problem(INDENT, "damaged", problem);
    }
    for remark in &item.remarks {
        sheet.remark(INDENT, remark);
    }
}

fn write_name(sheet: &mut Sheet, label: &str, name: Option<&NameDescription>) {
    let Some(name) = name else {
        row(sheet, label, "(unreadable)");
        return;
    };
    row(sheet, label, &name.text);
    for attribute in &name.attributes {
        let text = format!("{} = {}", attribute.oid, crate::escape::text(&attribute.value));
        sheet.row(INDENT, COLUMN, "", &text);
    }
}

fn write_time(sheet: &mut Sheet, inspection: &Inspection, label: &str, time: Option<&TimeDescription>) {
    let text = time.map_or_else(
        || "(unreadable)".to_owned(),
        |time| match time.moment {
            Some(moment) => format!("{} ({})", time.text(), humane::distance(moment, inspection.at)),
            None => time.text(),
        },
    );
    row(sheet, label, &text);
}

fn write_algorithm(sheet: &mut Sheet, algorithm: Option<&AlgorithmDescription>) {
    let text = algorithm.map_or_else(
        || "(unreadable)".to_owned(),
        |algorithm| {
            let parameters =
                algorithm.parameters.as_ref().map_or_else(String::new, |p| format!(", parameters #{p}"));
            format!("{} ({}){parameters}", algorithm.text, algorithm.identifier.dotted)
        },
    );
    row(sheet, "signature algorithm", &text);
}

fn write_public_key(sheet: &mut Sheet, key: Option<&PublicKeyDescription>) {
    let Some(key) = key else {
        row(sheet, "public key", "(unreadable)");
        return;
    };
    row(sheet, "public key", &format!("{}, {}", key.text(), key.identifier.long_text()));
    if let Some(curve) = &key.curve {
        row(sheet, "  curve", &format!("{}, {}", curve_name(curve), curve.long_text()));
    }
    if let Some(exponent) = &key.exponent {
        row(sheet, "  exponent", exponent);
    }
    let label = match key.algorithm.as_str() {
        "RSA" => "  modulus",
        "EC" => "  point",
        _ => "  octets",
    };
    row(sheet, label, &humane::count(key.octets.len(), "byte", "bytes"));
    sheet.hex(INDENT + 4, &key.octets);
    row(sheet, "  pin", &key.pin());
    row(sheet, "  key id (SHA-1)", &pki::hex(&key.key_sha1));
}

fn write_extensions(sheet: &mut Sheet, extensions: &[ExtensionDescription]) {
    if extensions.is_empty() {
        row(sheet, "extensions", "none");
        return;
    }
    row(sheet, "extensions", &extensions.len().to_string());
    for extension in extensions {
        let critical = if extension.critical { ", critical" } else { "" };
        sheet.line(
            INDENT + 2,
            &format!("{}{critical}", extension.identifier.long_text()),
            Some(Colour::Cyan),
        );
        for line in extension_lines(extension) {
            sheet.line(INDENT + 6, &line, None);
        }
    }
}

fn write_certificate(sheet: &mut Sheet, inspection: &Inspection, certificate: &CertificateDescription) {
    row(sheet, "version", &certificate.version.to_string());
    row(sheet, "serial number", &certificate.serial_hex());
    write_algorithm(sheet, certificate.signature_algorithm.as_ref());
    write_name(sheet, "issuer", certificate.issuer.as_ref());
    write_time(sheet, inspection, "not before", certificate.not_before.as_ref());
    write_time(sheet, inspection, "not after", certificate.not_after.as_ref());
    write_name(sheet, "subject", certificate.subject.as_ref());
    write_public_key(sheet, certificate.public_key.as_ref());
    write_extensions(sheet, &certificate.extensions);
    let verified = match certificate.self_signature {
        Some(true) => ", by its own key",
        Some(false) => ", not by its own key",
        None => "",
    };
    row(
        sheet,
        "signature",
        &format!("{}{verified}", humane::count(certificate.signature.len(), "byte", "bytes")),
    );
    sheet.hex(INDENT + 4, &certificate.signature);
    sheet.row(INDENT, NARROW_COLUMN, "SHA-256", &pki::hex(&certificate.sha256));
    sheet.row(INDENT, NARROW_COLUMN, "SHA-1", &pki::hex(&certificate.sha1));
}

fn write_request(sheet: &mut Sheet, request: &RequestDescription) {
    write_name(sheet, "subject", request.subject.as_ref());
    write_public_key(sheet, request.public_key.as_ref());
    write_extensions(sheet, &request.extensions);
    let attributes: Vec<String> = request.attributes.iter().map(|attribute| attribute.long_text()).collect();
    if !attributes.is_empty() {
        row(sheet, "other attributes", &attributes.join(", "));
    }
    write_algorithm(sheet, request.signature_algorithm.as_ref());
    let possession = if request.possession.is_ok() { "shown" } else { "not shown" };
    row(sheet, "proof of possession", possession);
    sheet.row(INDENT, NARROW_COLUMN, "SHA-256", &pki::hex(&request.sha256));
}

fn write_list(sheet: &mut Sheet, inspection: &Inspection, list: &RevocationListDescription) {
    write_name(sheet, "issuer", list.issuer.as_ref());
    write_time(sheet, inspection, "this update", list.this_update.as_ref());
    write_time(sheet, inspection, "next update", list.next_update.as_ref());
    write_algorithm(sheet, list.signature_algorithm.as_ref());
    write_extensions(sheet, &list.extensions);
    row(sheet, "revoked certificates", &list.count.to_string());
    for entry in list.entries().take(MOST_ENTRIES) {
        let when = entry.revoked_at.map_or_else(|| "(time unreadable)".to_owned(), |at| at.to_string());
        let reason = entry.reason.map_or("", |reason| reason.name());
        sheet.line(INDENT + 4, format!("{}  {when}  {reason}", entry.serial).trim_end(), None);
    }
    if list.count > MOST_ENTRIES {
        sheet.line(
            INDENT + 4,
            &format!("and {} more (--json lists them all)", list.count - MOST_ENTRIES),
            None,
        );
    }
    sheet.row(INDENT, NARROW_COLUMN, "SHA-256", &pki::hex(&list.sha256));
}

fn write_key(sheet: &mut Sheet, key: &KeyDescription) {
    row(sheet, "format", key.format);
    if let Some(encryption) = &key.encryption {
        row(sheet, "encrypted", &encryption.text());
    }
    if key.public_key.is_some() {
        write_public_key(sheet, key.public_key.as_ref());
    } else {
        row(sheet, "algorithm", &key.text());
    }
}

fn write_pkcs12(sheet: &mut Sheet, container: &Pkcs12Description) {
    row(sheet, "version", container.version.as_deref().unwrap_or("(unreadable)"));
    for (index, part) in container.parts.iter().enumerate() {
        let encryption = part.encryption.as_ref().map_or_else(String::new, |e| format!(": {}", e.text()));
        row(sheet, &format!("part {}", index + 1), &format!("{}{encryption}", part.content_type));
        for bag in &part.bags {
            sheet.line(INDENT + 4, &bag_text(bag), None);
        }
    }
    match &container.integrity {
        Some(mac) => {
            let iterations = humane::count(mac.iterations as usize, "iteration", "iterations");
            row(sheet, "MAC", &format!("{}, {iterations}, {} bytes of salt", mac.algorithm, mac.salt_length));
        }
        None => row(sheet, "MAC", "none"),
    }
}

fn write_tree(sheet: &mut Sheet, tree: &Tree) {
    for node in tree.nodes.iter().take(MOST_ELEMENTS) {
        let value = node.value.as_ref().map_or_else(String::new, |value| format!(": {value}"));
        let indent = INDENT + 2 * node.depth.min(16);
        sheet.line(
            indent,
            &format!("{} ({} bytes at {}){value}", node.type_name, node.length, node.offset),
            None,
        );
    }
    if tree.cut_off || tree.nodes.len() > MOST_ELEMENTS {
        sheet.line(INDENT, "and more that is not shown", None);
    }
}
