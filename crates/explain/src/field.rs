//! The fields that certificates, requests and lists share: names, times, identifiers. Read leniently; each keeps
//! what could be made out.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use pki::der::{Reader, Writer, tag};
use pki::name::{Attribute, DistinguishedName, GeneralName};
use pki::oid::Oid;

use crate::escape;
use crate::tlv::{Cursor, Element, Problems};

/// An OBJECT IDENTIFIER with the name people know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// The dotted form; hexadecimal where the content breaks the rules.
    pub dotted: String,
    /// The well-known name.
    pub name: Option<&'static str>,
    /// The identifier itself, where it is a legal one.
    pub oid: Option<Oid>,
}

impl Identifier {
    pub(crate) fn from_content(content: &[u8]) -> Self {
        match Oid::from_content(content) {
            Some(oid) => {
                let dotted = oid.dotted();
                let name = oid.name().or_else(|| further_name(&dotted));
                Identifier { dotted, name, oid: Some(oid) }
            }
            None => Identifier { dotted: format!("#{}", pki::hex(content)), name: None, oid: None },
        }
    }

    /// Reads one from the cursor.
    pub(crate) fn read(cursor: &mut Cursor<'_>, what: &str, problems: &mut Problems) -> Option<Self> {
        let element = cursor.expect(tag::OBJECT_IDENTIFIER, what, problems)?;
        let identifier = Identifier::from_content(element.content);
        if identifier.oid.is_none() {
            problems.note(element.offset, format!("the {what} is no legal OBJECT IDENTIFIER"));
        }
        Some(identifier)
    }

    pub(crate) fn is(&self, oid: &Oid) -> bool {
        self.oid.as_ref() == Some(oid)
    }

    /// The name, or the dotted form.
    #[must_use]
    pub fn text(&self) -> String {
        self.name.map_or_else(|| self.dotted.clone(), str::to_owned)
    }

    /// The name with the dotted form behind it.
    #[must_use]
    pub fn long_text(&self) -> String {
        self.name.map_or_else(|| self.dotted.clone(), |name| format!("{name} ({})", self.dotted))
    }
}

/// Names that `pki` has no use for and people meet.
fn further_name(dotted: &str) -> Option<&'static str> {
    Some(match dotted {
        "1.2.840.113549.1.1.2" => "md2WithRSAEncryption",
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.14" => "sha224WithRSAEncryption",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.1" => "ecdsa-with-SHA224",
        "1.2.840.10040.4.1" => "dsa",
        "1.2.840.10040.4.3" => "dsa-with-sha1",
        "2.16.840.1.101.3.4.3.2" => "dsa-with-sha256",
        "1.3.101.110" => "X25519",
        "1.3.101.111" => "X448",
        "1.3.101.113" => "Ed448",
        "1.2.840.113549.1.3.1" => "dhKeyAgreement",
        "1.3.14.3.2.26" => "sha1",
        "1.2.840.113549.2.5" => "md5",
        "2.16.840.1.101.3.4.2.4" => "sha224",
        "1.2.840.113549.1.5.3" => "pbeWithMD5AndDES-CBC",
        "1.2.840.113549.1.5.14" => "PBMAC1",
        "1.2.840.113549.1.12.1.1" => "pbeWithSHAAnd128BitRC4",
        "1.2.840.113549.1.12.1.5" => "pbeWithSHAAnd128BitRC2-CBC",
        "1.2.840.113549.1.12.10.1.5" => "secretBag",
        "1.2.840.113549.1.12.10.1.6" => "safeContentsBag",
        "1.2.840.113549.1.7.3" => "envelopedData",
        "1.2.840.113549.1.9.16.1.4" => "id-ct-TSTInfo",
        "1.2.840.113549.1.9.2" => "unstructuredName",
        "1.2.840.113549.1.9.3" => "contentType",
        "1.2.840.113549.1.9.15" => "smimeCapabilities",
        "1.3.6.1.5.5.7.3.3" => "codeSigning",
        "1.3.6.1.5.5.7.3.4" => "emailProtection",
        "1.3.6.1.5.5.7.3.5" => "ipsecEndSystem",
        "1.3.6.1.5.5.7.3.8" => "timeStamping",
        "1.3.6.1.5.5.7.3.9" => "OCSPSigning",
        "1.3.6.1.5.5.7.3.17" => "ipsecIKE",
        "1.3.6.1.5.2.3.4" => "pkInitClientAuth",
        "1.3.6.1.5.2.3.5" => "pkInitKDC",
        "1.3.6.1.4.1.311.20.2.2" => "msSmartcardLogin",
        "1.3.6.1.4.1.311.20.2.3" => "userPrincipalName",
        "1.3.6.1.4.1.311.10.3.4" => "msEncryptingFileSystem",
        "1.3.6.1.4.1.311.20.2" => "msCertificateTemplateName",
        "1.3.6.1.4.1.311.21.7" => "msCertificateTemplate",
        "1.3.6.1.4.1.311.21.1" => "msCAVersion",
        "1.3.6.1.4.1.11129.2.4.3" => "certificateTransparencyPoison",
        "1.3.6.1.5.5.7.48.1.5" => "ocspNoCheck",
        "1.3.6.1.5.5.7.1.3" => "qcStatements",
        "1.3.6.1.5.5.7.48.3" => "timeStamping",
        "1.3.6.1.5.5.7.48.5" => "caRepository",
        "1.3.6.1.5.5.7.2.1" => "cps",
        "1.3.6.1.5.5.7.2.2" => "unotice",
        "2.5.29.32.0" => "anyPolicy",
        "2.5.29.16" => "privateKeyUsagePeriod",
        "2.23.140.1.2.1" => "domain-validated",
        "2.23.140.1.2.2" => "organization-validated",
        "2.23.140.1.2.3" => "individual-validated",
        "2.23.140.1.1" => "extended-validation",
        "2.16.840.1.113730.1.1" => "netscapeCertType",
        "2.16.840.1.113730.1.13" => "netscapeComment",
        _ => return None,
    })
}

/// A distinguished name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameDescription {
    /// As RFC 4514 writes it, safe to print; `(empty)` where there is nothing in it.
    pub text: String,
    /// Its attributes in encoding order.
    pub attributes: Vec<Attribute>,
    /// The whole encoding.
    pub der: Vec<u8>,
}

impl NameDescription {
    pub(crate) fn from_element(element: &Element<'_>, what: &str, problems: &mut Problems) -> Self {
        let der = element.whole.to_vec();
        if let Ok(name) = DistinguishedName::from_der(&der) {
            let text = if name.is_empty() { "(empty)".to_owned() } else { escape::text(&name.to_string()) };
            return NameDescription { text, attributes: name.attributes(), der };
        }
        problems.note(element.offset, format!("the {what} is malformed; shown is what could be read of it"));
        // Each attribute is read as a name of its own, so that one broken attribute costs only itself.
        let mut attributes = Vec::new();
        let mut sets = element.cursor();
        while let Some(set) = sets.next(problems) {
            let mut pairs = set.cursor();
            while let Some(pair) = pairs.next(problems) {
                let mut writer = Writer::new();
                writer.nested(tag::SEQUENCE, |w| w.nested(tag::SET, |w| w.raw(pair.whole)));
                if let Ok(single) = DistinguishedName::from_der(&writer.into_bytes()) {
                    attributes.extend(single.attributes());
                }
            }
        }
        let mut parts: Vec<String> =
            attributes.iter().map(|a| format!("{}={}", a.oid, escape::text(&a.value))).collect();
        parts.reverse();
        parts.push("(malformed)".to_owned());
        NameDescription { text: parts.join(","), attributes, der }
    }

    /// Whether it has no attribute.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// The last commonName, as it is in the certificate and so not safe to print.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.attributes.iter().rev().find(|a| a.oid == pki::oid::COMMON_NAME).map(|a| a.value.as_str())
    }

    /// Whether both are the same name by RFC 5280 section 7.1.
    #[must_use]
    pub fn matches(&self, other: &NameDescription) -> bool {
        if self.der == other.der {
            return true;
        }
        match (DistinguishedName::from_der(&self.der), DistinguishedName::from_der(&other.der)) {
            (Ok(one), Ok(two)) => one.matches(&two),
            _ => false,
        }
    }
}

/// A moment, as it is written and as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeDescription {
    /// What stands there, safe to print.
    pub written: String,
    /// The moment, where it is one.
    pub moment: Option<Timestamp>,
}

impl TimeDescription {
    pub(crate) fn read(cursor: &mut Cursor<'_>, what: &str, problems: &mut Problems) -> Option<Self> {
        let offset = cursor.offset();
        let Some(element) = cursor.next(problems) else {
            problems.note(offset, format!("{what} is missing: the data ends here"));
            return None;
        };
        let written = escape::bytes(element.content.get(..40).unwrap_or(element.content));
        let strict = Reader::new(element.whole).time().ok();
        let moment = strict.or_else(|| lenient_time(&element));
        if strict.is_none() {
            problems.note(
                offset,
                format!(
                    "{what} '{written}' is not written as RFC 5280 section 4.1.2.5 wants it (YYMMDDHHMMSSZ)"
                ),
            );
        }
        Some(TimeDescription { written, moment })
    }

    /// The moment to the second in RFC 3339, or what stands there.
    #[must_use]
    pub fn text(&self) -> String {
        self.moment
            .map_or_else(|| self.written.clone(), |moment| moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    /// The moment to the minute, or what stands there.
    #[must_use]
    pub fn minute(&self) -> String {
        self.moment.map_or_else(|| self.written.clone(), crate::humane::minute)
    }
}

/// Times that BER allows and RFC 5280 does not: without seconds, with fractions, with an offset.
fn lenient_time(element: &Element<'_>) -> Option<Timestamp> {
    let text = std::str::from_utf8(element.content).ok().filter(|text| text.is_ascii())?;
    let year_digits = if element.is(tag::UTC_TIME) {
        2
    } else if element.is(tag::GENERALIZED_TIME) {
        4
    } else {
        return None;
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (clock, zone) = text.split_at(digits);
    let zone = zone.trim_start_matches(|c: char| c == '.' || c == ',' || c.is_ascii_digit());
    let number = |from: usize, to: usize| clock.get(from..to)?.parse::<i16>().ok();
    let year = number(0, year_digits)?;
    let year = match year_digits {
        2 if year >= 50 => 1900 + year,
        2 => 2000 + year,
        _ => year,
    };
    let part = |index: usize| {
        let from = year_digits + 2 * index;
        number(from, from + 2).and_then(|value| i8::try_from(value).ok())
    };
    let second = if clock.len() >= year_digits + 10 { part(4)? } else { 0 };
    let civil = DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, second.min(59), 0).ok()?;
    let moment = TimeZone::fixed(Offset::UTC).to_timestamp(civil).ok()?;
    match zone.as_bytes() {
        [] | [b'Z'] => Some(moment),
        [sign @ (b'+' | b'-'), rest @ ..] if rest.len() == 4 && rest.iter().all(u8::is_ascii_digit) => {
            let hours = i64::from(rest[0] - b'0') * 10 + i64::from(rest[1] - b'0');
            let minutes = hours * 60 + i64::from(rest[2] - b'0') * 10 + i64::from(rest[3] - b'0');
            let minutes = if *sign == b'+' { -minutes } else { minutes };
            moment.checked_add(SignedDuration::from_mins(minutes)).ok()
        }
        _ => None,
    }
}

/// One general name (RFC 5280 section 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameEntry {
    /// `DNS`, `IP`, `email`, `URI`, `directory`, `otherName`, `registeredID`, …
    pub kind: &'static str,
    /// The value, safe to print.
    pub value: String,
}

impl NameEntry {
    pub(crate) fn from_element(element: &Element<'_>) -> Self {
        match GeneralName::read(&mut Reader::new(element.whole)) {
            Ok(GeneralName::Dns(text)) => NameEntry { kind: "DNS", value: escape::text(&text) },
            Ok(GeneralName::Email(text)) => NameEntry { kind: "email", value: escape::text(&text) },
            Ok(GeneralName::Uri(text)) => NameEntry { kind: "URI", value: escape::text(&text) },
            Ok(GeneralName::Ip(ip)) => NameEntry { kind: "IP", value: ip.to_string() },
            Ok(GeneralName::Directory(name)) => {
                NameEntry { kind: "directory", value: escape::text(&name.to_string()) }
            }
            _ => Self::other(element),
        }
    }

    fn other(element: &Element<'_>) -> Self {
        let hex = || format!("#{}", pki::hex(element.content));
        match element.number {
            0 => NameEntry { kind: "otherName", value: other_name(element).unwrap_or_else(hex) },
            1 => NameEntry { kind: "email", value: escape::bytes(element.content) },
            2 => NameEntry { kind: "DNS", value: escape::bytes(element.content) },
            3 => NameEntry { kind: "x400Address", value: hex() },
            4 => NameEntry { kind: "directory", value: hex() },
            5 => NameEntry { kind: "ediPartyName", value: hex() },
            6 => NameEntry { kind: "URI", value: escape::bytes(element.content) },
            7 => NameEntry { kind: "IP", value: format!("{} (malformed)", hex()) },
            8 => NameEntry {
                kind: "registeredID",
                value: Identifier::from_content(element.content).long_text(),
            },
            _ => NameEntry { kind: "unknown", value: hex() },
        }
    }

    /// `DNS:localhost`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}:{}", self.kind, self.value)
    }
}

fn other_name(element: &Element<'_>) -> Option<String> {
    let mut unheard = Problems::default();
    let mut cursor = element.cursor();
    let identifier = Identifier::read(&mut cursor, "type", &mut unheard)?;
    let value = cursor.next(&mut unheard)?.cursor().next(&mut unheard)?;
    let text = if value.is(tag::UTF8_STRING) || value.is(tag::IA5_STRING) {
        escape::bytes(value.content)
    } else {
        format!("#{}", pki::hex(value.whole))
    };
    Some(format!("{}={text}", identifier.text()))
}

/// Reads `GeneralNames`: the content of a SEQUENCE of them.
pub(crate) fn general_names(mut cursor: Cursor<'_>, problems: &mut Problems) -> Vec<NameEntry> {
    let mut names = Vec::new();
    while let Some(element) = cursor.next(problems) {
        names.push(NameEntry::from_element(&element));
    }
    names
}

/// An AlgorithmIdentifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlgorithmDescription {
    /// The algorithm.
    pub identifier: Identifier,
    /// What to call it, with what its parameters add.
    pub text: String,
    /// Parameters that are not part of a known algorithm, in hexadecimal.
    pub parameters: Option<String>,
}

impl AlgorithmDescription {
    pub(crate) fn from_element(element: &Element<'_>, what: &str, problems: &mut Problems) -> Option<Self> {
        let mut cursor = element.cursor();
        let identifier = Identifier::read(&mut cursor, what, problems)?;
        if let Some(known) = pki::key::SignatureAlgorithm::from_algorithm_identifier(element.whole) {
            return Some(AlgorithmDescription { identifier, text: known.to_string(), parameters: None });
        }
        let parameters = cursor
            .next(problems)
            .filter(|parameters| !parameters.is(tag::NULL))
            .map(|parameters| pki::hex(parameters.whole.get(..64).unwrap_or(parameters.whole)));
        Some(AlgorithmDescription { text: identifier.text(), identifier, parameters })
    }

    /// The broken digest it relies on, if it does.
    #[must_use]
    pub fn weak_digest(&self) -> Option<&'static str> {
        match self.identifier.dotted.as_str() {
            "1.2.840.113549.1.1.2" => Some("MD2"),
            "1.2.840.113549.1.1.4" => Some("MD5"),
            "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" | "1.3.14.3.2.29" => {
                Some("SHA-1")
            }
            _ => None,
        }
    }
}

/// An INTEGER's content octets as people write it: decimal where small, hexadecimal where not.
pub(crate) fn integer_text(content: &[u8]) -> String {
    if !content.is_empty() && content.len() <= 8 {
        let sign = if content[0] & 0x80 != 0 { -1i64 } else { 0 };
        return content.iter().fold(sign, |value, octet| value << 8 | i64::from(*octet)).to_string();
    }
    format!("0x{}", pki::certificate::serial_hex(content))
}

/// A non-negative INTEGER that fits.
pub(crate) fn small_number(element: &Element<'_>) -> Option<u64> {
    match element.content {
        [] => None,
        [first, ..] if first & 0x80 != 0 => None,
        content if content.len() <= 8 => {
            Some(content.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
        }
        _ => None,
    }
}
