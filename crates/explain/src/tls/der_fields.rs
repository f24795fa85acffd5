//! DER within TLS messages, byte by byte: certificates, names, OCSP responses. What the fields say is decoded by
//! [`crate::certificate`]; here each byte gets its place and its label.

use pki::der::tag;

use crate::certificate::CertificateDescription;
use crate::escape;
use crate::extension::ExtensionDescription;
use crate::field::{Identifier, NameDescription, TimeDescription};
use crate::render::extension_lines;
use crate::tls::node::{Decoder, Said, hex_start, said};
use crate::tlv::{Cursor, Problems};

/// Deeper structures are shown as one leaf.
const DEEPEST: usize = 24;

/// One element: its header as a leaf, and its content read by `inside`, which gives what is said of the whole.
fn element(
    d: &mut Decoder<'_>,
    name: impl Into<std::borrow::Cow<'static, str>>,
    at: &'static str,
    inside: impl FnOnce(&mut Decoder<'_>, u8) -> Said,
) {
    d.group(name, at, |inner| {
        let Some((octets, length)) = header(inner.remaining()) else {
            inner.rest("unreadable", "X.690 section 8.1", |octets| {
                said(hex_start(octets), "No tag and length can be made out.").but("this is no DER")
            });
            return Said::default();
        };
        let mut identifier = 0;
        inner.octets(octets, "tag and length", "X.690 section 8.1", |header| {
            identifier = header[0];
            let text = format!("{}, {length} bytes", type_name(identifier));
            said(text, "The type of the element and how many bytes follow.")
        });
        let left = inner.left();
        if length > left {
            inner.blame(format!("the element says it is {length} bytes long, and only {left} are left"));
        }
        let mut whole = Said::default();
        inner.within(length, |content| whole = inside(content, identifier));
        whole
    });
}

/// The octets of the header, and the length of the content. Only what DER knows: no indefinite length, no high tags.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    if bytes.first()? & 0x1f == 0x1f {
        return None;
    }
    let first = *bytes.get(1)?;
    if first < 0x80 {
        return Some((2, usize::from(first)));
    }
    let octets = usize::from(first & 0x7f);
    if !(1..=4).contains(&octets) {
        return None;
    }
    let length = bytes.get(2..2 + octets)?.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
    Some((2 + octets, length))
}

fn type_name(identifier: u8) -> String {
    Cursor::new(&[identifier, 0])
        .next(&mut Problems::default())
        .map_or_else(|| format!("tag 0x{identifier:02x}"), |element| element.type_name())
}

/// DER whose parts have no name here: an element by its type.
pub(crate) fn structure(d: &mut Decoder<'_>, name: &'static str, at: &'static str) {
    any(d, name, at, "", 0);
}

fn any(
    d: &mut Decoder<'_>,
    name: impl Into<std::borrow::Cow<'static, str>>,
    at: &'static str,
    meaning: &'static str,
    depth: usize,
) {
    element(d, name, at, |content, identifier| {
        if identifier & 0x20 != 0 && depth < DEEPEST {
            while !content.is_empty() {
                let next = content.remaining().first().copied().unwrap_or_default();
                any(content, type_name(next), at, "An element of the structure.", depth + 1);
            }
            return said("", meaning);
        }
        let value = primitive(content, identifier, "value", at);
        said(value, meaning)
    });
}

/// The content of a primitive element as one leaf; answers with its value.
fn primitive(d: &mut Decoder<'_>, identifier: u8, name: &'static str, at: &'static str) -> String {
    let mut text = String::new();
    d.rest(name, at, |octets| {
        text = match identifier {
            tag::OBJECT_IDENTIFIER => Identifier::from_content(octets).long_text(),
            tag::BOOLEAN => (octets != [0]).to_string(),
            tag::INTEGER | tag::ENUMERATED if octets.len() <= 4 => {
                octets.iter().fold(0u64, |value, octet| value << 8 | u64::from(*octet)).to_string()
            }
            // The character strings and times of X.680.
            0x0c | 0x12..=0x14 | 0x16..=0x18 | 0x1a => escape::bytes(octets),
            _ => hex_start(octets),
        };
        said(text.clone(), "The content of the element.")
    });
    text
}

/// An element that should have this identifier octet; another is shown for what it is, with the problem.
fn expected(
    d: &mut Decoder<'_>,
    identifier: u8,
    name: &'static str,
    at: &'static str,
    inside: impl FnOnce(&mut Decoder<'_>) -> Said,
) {
    if d.is_empty() {
        d.blame(format!("the structure ends after this; {name} is missing"));
        return;
    }
    if d.remaining().first() == Some(&identifier) {
        element(d, name, at, |content, _| inside(content));
    } else {
        any(d, name, at, "", 0);
        d.blame(format!("{} stands where {name} ({}) belongs", "another element", type_name(identifier)));
    }
}

/// A distinguished name (RFC 5280 section 4.1.2.4). Answers with its text.
pub(crate) fn name(d: &mut Decoder<'_>) -> String {
    let mut text = String::new();
    named(d, "Name", "The name, attribute by attribute.", &mut text);
    text
}

fn named(d: &mut Decoder<'_>, label: &'static str, meaning: &'static str, text: &mut String) {
    let at = "RFC 5280 section 4.1.2.4";
    let mut problems = Problems::default();
    if let Some(element) = Cursor::new(d.remaining()).next(&mut problems) {
        *text = NameDescription::from_element(&element, "name", &mut problems).text;
    }
    let value = text.clone();
    expected(d, tag::SEQUENCE, label, at, |sets| {
        while !sets.is_empty() {
            expected(sets, tag::SET, "RelativeDistinguishedName", at, |pairs| {
                while !pairs.is_empty() {
                    expected(pairs, tag::SEQUENCE, "AttributeTypeAndValue", at, |pair| {
                        let mut kind = String::new();
                        let mut value = String::new();
                        expected(pair, tag::OBJECT_IDENTIFIER, "type", at, |oid| {
                            kind = Identifier::from_content(oid.remaining()).text();
                            primitive(oid, tag::OBJECT_IDENTIFIER, "object identifier", at);
                            said(kind.clone(), "Which attribute.")
                        });
                        if !pair.is_empty() {
                            element(pair, "value", at, |content, identifier| {
                                value = primitive(content, identifier, "text", at);
                                said(value.clone(), "Its value.")
                            });
                        }
                        said(format!("{kind}={value}"), "One attribute of the name.")
                    });
                }
                said("", "A part of the name, from the outermost to the innermost.")
            });
        }
        said(value, meaning)
    });
}

/// A whole certificate (RFC 5280 section 4.1).
pub(crate) fn certificate(d: &mut Decoder<'_>) -> String {
    let mut problems = Problems::default();
    let description = CertificateDescription::read(d.remaining(), &mut problems);
    let subject = description.subject_text();
    let problem = problems.into_list().first().map(ToString::to_string);
    expected(d, tag::SEQUENCE, "Certificate", "RFC 5280 section 4.1", |parts| {
        expected(parts, tag::SEQUENCE, "tbsCertificate", "RFC 5280 section 4.1.1.1", |tbs| {
            to_be_signed(tbs, &description);
            said("", "What the issuer signed.")
        });
        algorithm(parts, "signatureAlgorithm", "RFC 5280 section 4.1.1.2", "What the issuer signed with.");
        bits(
            parts,
            "signatureValue",
            "RFC 5280 section 4.1.1.3",
            "The issuer's signature over tbsCertificate. Whoever knows the issuer's public key can check it.",
        );
        let mut whole = said(subject.clone(), format!("A {} in DER.", description.role().text()));
        whole.problem = problem;
        whole
    });
    subject
}

fn to_be_signed(d: &mut Decoder<'_>, description: &CertificateDescription) {
    if d.remaining().first() == Some(&0xa0) {
        element(d, "version", "RFC 5280 section 4.1.2.1", |content, _| {
            any(content, "INTEGER", "RFC 5280 section 4.1.2.1", "Counted from 0.", 1);
            said(format!("v{}", description.version), "Version 3 is the one with extensions.")
        });
    }
    expected(d, tag::INTEGER, "serialNumber", "RFC 5280 section 4.1.2.2", |content| {
        content.rest("serial number", "RFC 5280 section 4.1.2.2", |octets| {
            said(pki::hex(octets), "The number, most significant byte first.")
        });
        said(
            description.serial_hex(),
            "Unique among the certificates of this issuer; revocation lists name it.",
        )
    });
    algorithm(
        d,
        "signature",
        "RFC 5280 section 4.1.2.3",
        "The same as signatureAlgorithm, inside of what is signed.",
    );
    let mut text = String::new();
    named(d, "issuer", "Who issued it: the subject of the issuer's certificate.", &mut text);
    expected(d, tag::SEQUENCE, "validity", "RFC 5280 section 4.1.2.5", |times| {
        time(times, "notBefore", "The first second at which it is valid.");
        time(times, "notAfter", "The last second at which it is valid.");
        said("", "When it is valid.")
    });
    named(d, "subject", "Whose certificate it is.", &mut text);
    expected(d, tag::SEQUENCE, "subjectPublicKeyInfo", "RFC 5280 section 4.1.2.7", |key| {
        algorithm(key, "algorithm", "RFC 5280 section 4.1.2.7", "What kind of key it is.");
        bits(key, "subjectPublicKey", "RFC 5280 section 4.1.2.7", "The key itself.");
        let text = description.public_key.as_ref().map(|key| key.text()).unwrap_or_default();
        said(text, "The public key that this certificate ties to the subject.")
    });
    for (identifier, name) in [(0x81, "issuerUniqueID"), (0x82, "subjectUniqueID")] {
        if d.remaining().first() == Some(&identifier) {
            any(d, name, "RFC 5280 section 4.1.2.8", "Out of use.", 1);
        }
    }
    if d.remaining().first() == Some(&0xa3) {
        element(d, "extensions", "RFC 5280 section 4.1.2.9", |content, _| {
            expected(content, tag::SEQUENCE, "Extensions", "RFC 5280 section 4.1.2.9", |list| {
                let mut index = 0;
                while !list.is_empty() {
                    extension(list, description.extensions.get(index));
                    index += 1;
                }
                said(format!("{index} extension(s)"), "What the certificate may be used for, and more.")
            });
            said("", "Only in version 3.")
        });
    }
}

fn extension(d: &mut Decoder<'_>, description: Option<&ExtensionDescription>) {
    let at = "RFC 5280 section 4.2";
    let (text, critical) = match description {
        Some(extension) => (
            format!("{}: {}", extension.identifier.text(), extension_lines(extension).join("; ")),
            extension.critical,
        ),
        None => (String::new(), false),
    };
    let meaning = if critical {
        "An extension; whoever does not understand it must refuse the certificate."
    } else {
        "An extension."
    };
    expected(d, tag::SEQUENCE, "Extension", at, |parts| {
        expected(parts, tag::OBJECT_IDENTIFIER, "extnID", at, |oid| {
            let name = primitive(oid, tag::OBJECT_IDENTIFIER, "object identifier", at);
            said(name, "Which extension.")
        });
        if parts.remaining().first() == Some(&tag::BOOLEAN) {
            element(parts, "critical", at, |content, identifier| {
                said(primitive(content, identifier, "boolean", at), "Whether it may be ignored.")
            });
        }
        expected(parts, tag::OCTET_STRING, "extnValue", at, |content| {
            // Its content is DER of its own; where it is not, it is shown as octets.
            let inner = content.remaining();
            let fits = header(inner).is_some_and(|(octets, length)| octets + length == inner.len());
            if fits {
                let next = inner.first().copied().unwrap_or_default();
                any(content, type_name(next), at, "The value.", 2);
            } else {
                content.rest("octets", at, |octets| said(hex_start(octets), "The value."));
            }
            said("", "Its value, in DER of its own.")
        });
        said(text, meaning)
    });
}

fn algorithm(d: &mut Decoder<'_>, name: &'static str, at: &'static str, meaning: &'static str) {
    expected(d, tag::SEQUENCE, name, at, |parts| {
        let mut text = String::new();
        expected(parts, tag::OBJECT_IDENTIFIER, "algorithm", "RFC 5280 section 4.1.1.2", |oid| {
            text = primitive(oid, tag::OBJECT_IDENTIFIER, "object identifier", "RFC 5280 section 4.1.1.2");
            said(text.clone(), "Its object identifier.")
        });
        if !parts.is_empty() {
            any(parts, "parameters", "RFC 5280 section 4.1.1.2", "Its parameters, such as the curve.", 2);
        }
        said(text, meaning)
    });
}

fn bits(d: &mut Decoder<'_>, name: &'static str, at: &'static str, meaning: &'static str) {
    expected(d, tag::BIT_STRING, name, at, |content| {
        content.octets(1, "unused bits", "X.690 section 8.6", |octets| {
            said(octets[0].to_string(), "How many bits of the last byte do not count.")
        });
        let mut text = String::new();
        content.rest("bits", at, |octets| {
            text = hex_start(octets);
            said(text.clone(), "The bits.")
        });
        said(text, meaning)
    });
}

fn time(d: &mut Decoder<'_>, name: &'static str, meaning: &'static str) {
    let at = "RFC 5280 section 4.1.2.5";
    if d.is_empty() {
        d.blame(format!("the structure ends after this; {name} is missing"));
        return;
    }
    let mut problems = Problems::default();
    let text = TimeDescription::read(&mut Cursor::new(d.remaining()), name, &mut problems)
        .map(|time| time.text())
        .unwrap_or_default();
    element(d, name, at, |content, identifier| {
        primitive(content, identifier, "time", at);
        said(text, meaning)
    });
}
