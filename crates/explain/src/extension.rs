//! The extensions of certificates, requests and lists, each described by its own rules; what is not known is
//! carried as hexadecimal.

use jiff::Timestamp;
use pki::der::tag;
use pki::oid;

use crate::escape;
use crate::field::{Identifier, NameEntry, general_names, integer_text, small_number};
use crate::tlv::{Cursor, Element, Problems};

/// One extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionDescription {
    /// Which one.
    pub identifier: Identifier,
    /// Whether a reader that does not know it must refuse the certificate.
    pub critical: bool,
    /// What it says.
    pub value: ExtensionValue,
}

/// What an extension says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtensionValue {
    /// subjectAltName, issuerAltName, and other lists of names.
    Names(Vec<NameEntry>),
    /// basicConstraints.
    BasicConstraints {
        /// cA.
        ca: bool,
        /// pathLenConstraint.
        path_length: Option<u64>,
    },
    /// keyUsage, by the RFC's names.
    KeyUsage(Vec<&'static str>),
    /// extKeyUsage.
    ExtendedKeyUsage(Vec<Identifier>),
    /// subjectKeyIdentifier.
    KeyIdentifier(Vec<u8>),
    /// authorityKeyIdentifier.
    AuthorityKeyIdentifier {
        /// keyIdentifier.
        key: Option<Vec<u8>>,
        /// authorityCertIssuer.
        issuer: Vec<NameEntry>,
        /// authorityCertSerialNumber.
        serial: Option<Vec<u8>>,
    },
    /// nameConstraints.
    NameConstraints {
        /// permittedSubtrees.
        permitted: Vec<NameEntry>,
        /// excludedSubtrees.
        excluded: Vec<NameEntry>,
    },
    /// cRLDistributionPoints and freshestCRL.
    DistributionPoints(Vec<DistributionPoint>),
    /// certificatePolicies.
    Policies(Vec<Policy>),
    /// policyMappings: of the issuer's domain, of the subject's.
    PolicyMappings(Vec<(Identifier, Identifier)>),
    /// policyConstraints.
    PolicyConstraints {
        /// requireExplicitPolicy.
        require_explicit: Option<u64>,
        /// inhibitPolicyMapping.
        inhibit_mapping: Option<u64>,
    },
    /// A single number: inhibitAnyPolicy, cRLNumber, deltaCRLIndicator.
    Number(String),
    /// authorityInfoAccess and subjectInfoAccess: the method and the place.
    InfoAccess(Vec<(Identifier, NameEntry)>),
    /// tlsFeature (RFC 7633), by TLS extension number.
    TlsFeature(Vec<u64>),
    /// A list of signed certificate timestamps (RFC 6962).
    Timestamps(Vec<CertificateTimestamp>),
    /// issuingDistributionPoint of a CRL.
    IssuingDistributionPoint {
        /// distributionPoint.
        names: Vec<NameEntry>,
        /// The restrictions that are set, by the RFC's names.
        restrictions: Vec<&'static str>,
    },
    /// A text, as in netscapeComment.
    Text(String),
    /// NULL: the extension says all by being there.
    Present,
    /// One that is not known, or whose content could not be read.
    Other(Vec<u8>),
}

/// One distribution point of a CRL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DistributionPoint {
    /// Where the list is.
    pub names: Vec<NameEntry>,
    /// Who issues it, where that is not the certificate's issuer.
    pub issuer: Vec<NameEntry>,
    /// The reasons it covers, where it does not cover all.
    pub reasons: Vec<&'static str>,
}

/// One certificate policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The policy.
    pub identifier: Identifier,
    /// Its qualifiers: a pointer to the practice statement, a notice.
    pub qualifiers: Vec<String>,
}

/// One signed certificate timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateTimestamp {
    /// The log's identifier.
    pub log: Vec<u8>,
    /// When it was logged.
    pub moment: Option<Timestamp>,
}

/// The names of keyUsage's bits (RFC 5280 section 4.2.1.3).
const KEY_USAGES: [&str; 9] = [
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
];

/// The names of ReasonFlags' bits (RFC 5280 section 4.2.1.13).
const REASONS: [&str; 9] = [
    "unused",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "certificateHold",
    "privilegeWithdrawn",
    "aACompromise",
];

/// Reads `Extensions`: the cursor stands before their SEQUENCE.
pub(crate) fn read_all(cursor: &mut Cursor<'_>, problems: &mut Problems) -> Vec<ExtensionDescription> {
    let mut extensions: Vec<ExtensionDescription> = Vec::new();
    let Some(sequence) = cursor.expect(tag::SEQUENCE, "list of extensions", problems) else {
        return extensions;
    };
    let mut list = sequence.cursor();
    while let Some(element) = list.next(problems) {
        let mut parts = element.cursor();
        let Some(identifier) = Identifier::read(&mut parts, "extension's identifier", problems) else {
            continue;
        };
        let critical = parts
            .optional(tag::BOOLEAN, problems)
            .is_some_and(|flag| flag.content.first().is_some_and(|octet| *octet != 0));
        let what = format!("value of the extension {}", identifier.text());
        let Some(value) = parts.expect(tag::OCTET_STRING, &what, problems) else { continue };
        parts.finish("extension", problems);
        if extensions.iter().any(|other| other.identifier == identifier) {
            problems.note(element.offset, format!("the extension {} stands twice", identifier.text()));
        }
        let value = describe(&identifier, &value, problems);
        extensions.push(ExtensionDescription { identifier, critical, value });
    }
    extensions
}

fn describe(identifier: &Identifier, value: &Element<'_>, problems: &mut Problems) -> ExtensionValue {
    let understood = understand(identifier, value, problems);
    understood.unwrap_or_else(|| ExtensionValue::Other(value.content.to_vec()))
}

fn understand(
    identifier: &Identifier,
    value: &Element<'_>,
    problems: &mut Problems,
) -> Option<ExtensionValue> {
    let mut cursor = value.cursor();
    let name = identifier.name?;
    if !is_known(name) {
        return None;
    }
    let Some(outer) = cursor.next(problems) else {
        problems.note(value.content_offset, format!("the extension {name} is empty"));
        return None;
    };
    cursor.finish(&format!("extension {name}"), problems);
    let expected = match name {
        "keyUsage" => tag::BIT_STRING,
        "subjectKeyIdentifier" | "signedCertificateTimestampList" => tag::OCTET_STRING,
        "inhibitAnyPolicy" | "cRLNumber" | "deltaCRLIndicator" => tag::INTEGER,
        "netscapeComment" | "msCertificateTemplateName" | "ocspNoCheck" | "certificateTransparencyPoison" => {
            outer.whole.first().copied().unwrap_or_default()
        }
        _ => tag::SEQUENCE,
    };
    if !outer.is(expected) {
        problems
            .note(outer.offset, format!("the extension {name} is malformed: {} inside", outer.type_name()));
        return None;
    }
    Some(match name {
        "subjectAltName" | "issuerAltName" => ExtensionValue::Names(general_names(outer.cursor(), problems)),
        "basicConstraints" => basic_constraints(&outer, problems),
        "keyUsage" => ExtensionValue::KeyUsage(named_bits(outer.content, &KEY_USAGES)),
        "extKeyUsage" => ExtensionValue::ExtendedKeyUsage(
            elements(&outer, problems)
                .iter()
                .map(|element| Identifier::from_content(element.content))
                .collect(),
        ),
        "subjectKeyIdentifier" => ExtensionValue::KeyIdentifier(outer.content.to_vec()),
        "authorityKeyIdentifier" => authority_key_identifier(&outer, problems),
        "nameConstraints" => name_constraints(&outer, problems),
        "cRLDistributionPoints" | "freshestCRL" => distribution_points(&outer, problems),
        "certificatePolicies" => policies(&outer, problems),
        "policyMappings" => ExtensionValue::PolicyMappings(
            elements(&outer, problems)
                .iter()
                .filter_map(|pair| match elements(pair, problems).as_slice() {
                    [one, two] => {
                        Some((Identifier::from_content(one.content), Identifier::from_content(two.content)))
                    }
                    _ => None,
                })
                .collect(),
        ),
        "policyConstraints" => {
            let parts = elements(&outer, problems);
            let number = |n| parts.iter().find(|part| part.is(tag::context(n))).and_then(small_number);
            ExtensionValue::PolicyConstraints { require_explicit: number(0), inhibit_mapping: number(1) }
        }
        "inhibitAnyPolicy" | "cRLNumber" | "deltaCRLIndicator" => {
            ExtensionValue::Number(integer_text(outer.content))
        }
        "authorityInfoAccess" | "subjectInfoAccess" => ExtensionValue::InfoAccess(
            elements(&outer, problems)
                .iter()
                .filter_map(|access| match elements(access, problems).as_slice() {
                    [method, place] => {
                        Some((Identifier::from_content(method.content), NameEntry::from_element(place)))
                    }
                    _ => None,
                })
                .collect(),
        ),
        "tlsFeature" => {
            ExtensionValue::TlsFeature(elements(&outer, problems).iter().filter_map(small_number).collect())
        }
        "signedCertificateTimestampList" => timestamps(&outer, problems),
        "issuingDistributionPoint" => issuing_distribution_point(&outer, problems),
        "ocspNoCheck" | "certificateTransparencyPoison" => ExtensionValue::Present,
        "msCertificateTemplateName" if outer.is(tag::BMP_STRING) => {
            let units: Vec<u16> =
                outer.content.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            ExtensionValue::Text(escape::text(&String::from_utf16_lossy(&units)))
        }
        _ => ExtensionValue::Text(escape::bytes(outer.content)),
    })
}

fn is_known(name: &str) -> bool {
    matches!(
        name,
        "subjectAltName"
            | "issuerAltName"
            | "basicConstraints"
            | "keyUsage"
            | "extKeyUsage"
            | "subjectKeyIdentifier"
            | "authorityKeyIdentifier"
            | "nameConstraints"
            | "cRLDistributionPoints"
            | "freshestCRL"
            | "certificatePolicies"
            | "policyMappings"
            | "policyConstraints"
            | "inhibitAnyPolicy"
            | "cRLNumber"
            | "deltaCRLIndicator"
            | "authorityInfoAccess"
            | "subjectInfoAccess"
            | "tlsFeature"
            | "signedCertificateTimestampList"
            | "issuingDistributionPoint"
            | "ocspNoCheck"
            | "certificateTransparencyPoison"
            | "netscapeComment"
            | "msCertificateTemplateName"
    )
}

fn elements<'a>(of: &Element<'a>, problems: &mut Problems) -> Vec<Element<'a>> {
    let mut cursor = of.cursor();
    let mut list = Vec::new();
    while let Some(element) = cursor.next(problems) {
        list.push(element);
    }
    list
}

/// The names of the bits that are set in a BIT STRING's content.
fn named_bits(content: &[u8], names: &[&'static str]) -> Vec<&'static str> {
    let octets = content.get(1..).unwrap_or_default();
    let is_set = |index: usize| octets.get(index / 8).is_some_and(|octet| octet & (0x80 >> (index % 8)) != 0);
    names.iter().enumerate().filter(|(index, _)| is_set(*index)).map(|(_, name)| *name).collect()
}

fn basic_constraints(outer: &Element<'_>, problems: &mut Problems) -> ExtensionValue {
    let mut cursor = outer.cursor();
    let ca = cursor
        .optional(tag::BOOLEAN, problems)
        .is_some_and(|flag| flag.content.first().is_some_and(|octet| *octet != 0));
    let path_length = cursor.optional(tag::INTEGER, problems).as_ref().and_then(small_number);
    cursor.finish("extension basicConstraints", problems);
    ExtensionValue::BasicConstraints { ca, path_length }
}

fn authority_key_identifier(outer: &Element<'_>, problems: &mut Problems) -> ExtensionValue {
    let (mut key, mut issuer, mut serial) = (None, Vec::new(), None);
    for part in elements(outer, problems) {
        match part.number {
            0 => key = Some(part.content.to_vec()),
            1 => issuer = general_names(part.cursor(), problems),
            2 => serial = Some(part.content.to_vec()),
            _ => {}
        }
    }
    ExtensionValue::AuthorityKeyIdentifier { key, issuer, serial }
}

fn name_constraints(outer: &Element<'_>, problems: &mut Problems) -> ExtensionValue {
    let (mut permitted, mut excluded) = (Vec::new(), Vec::new());
    for part in elements(outer, problems) {
        let list = if part.number == 0 { &mut permitted } else { &mut excluded };
        for subtree in elements(&part, problems) {
            if let Some(base) = subtree.cursor().next(problems) {
                list.push(subtree_base(&base));
            }
        }
    }
    ExtensionValue::NameConstraints { permitted, excluded }
}

/// An address in a constraint is a range: address and mask (RFC 5280 section 4.2.1.10).
fn subtree_base(base: &Element<'_>) -> NameEntry {
    if base.number != 7 {
        return NameEntry::from_element(base);
    }
    let (address, mask) = base.content.split_at(base.content.len() / 2);
    let address = match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
        (Ok(v4), _) => std::net::IpAddr::from(v4).to_string(),
        (_, Ok(v6)) => std::net::IpAddr::from(v6).to_string(),
        _ => return NameEntry { kind: "IP", value: format!("#{} (malformed)", pki::hex(base.content)) },
    };
    let ones: u32 = mask.iter().map(|octet| octet.count_ones()).sum();
    let leading: u32 = {
        let full = mask.iter().take_while(|octet| **octet == 0xff).count();
        full as u32 * 8 + mask.get(full).map_or(0, |octet| octet.leading_ones())
    };
    let mask =
        if ones == leading { ones.to_string() } else { format!("#{} (a mask with holes)", pki::hex(mask)) };
    NameEntry { kind: "IP", value: format!("{address}/{mask}") }
}

fn distribution_point_names(point: &Element<'_>, problems: &mut Problems) -> Vec<NameEntry> {
    // DistributionPointName is a choice of fullName [0] and nameRelativeToCRLIssuer [1].
    match point.cursor().next(problems) {
        Some(name) if name.number == 0 => general_names(name.cursor(), problems),
        Some(name) => vec![NameEntry { kind: "relativeName", value: format!("#{}", pki::hex(name.content)) }],
        None => Vec::new(),
    }
}

fn distribution_points(outer: &Element<'_>, problems: &mut Problems) -> ExtensionValue {
    let mut points = Vec::new();
    for element in elements(outer, problems) {
        let mut point = DistributionPoint::default();
        for part in elements(&element, problems) {
            match part.number {
                0 => point.names = distribution_point_names(&part, problems),
                1 => point.reasons = named_bits(part.content, &REASONS),
                2 => point.issuer = general_names(part.cursor(), problems),
                _ => {}
            }
        }
        points.push(point);
    }
    ExtensionValue::DistributionPoints(points)
}

fn issuing_distribution_point(outer: &Element<'_>, problems: &mut Problems) -> ExtensionValue {
    let (mut names, mut restrictions) = (Vec::new(), Vec::new());
    for part in elements(outer, problems) {
        let is_true = part.content.first().is_some_and(|octet| *octet != 0);
        match part.number {
            0 => names = distribution_point_names(&part, problems),
            1 if is_true => restrictions.push("onlyContainsUserCerts"),
            2 if is_true => restrictions.push("onlyContainsCACerts"),
            3 => restrictions.push("onlySomeReasons"),
            4 if is_true => restrictions.push("indirectCRL"),
            5 if is_true => restrictions.push("onlyContainsAttributeCerts"),
            _ => {}
        }
    }
    ExtensionValue::IssuingDistributionPoint { names, restrictions }
}

fn policies(outer: &Element<'_>, problems: &mut Problems) -> ExtensionValue {
    let mut policies = Vec::new();
    for element in elements(outer, problems) {
        let mut cursor = element.cursor();
        let Some(identifier) = Identifier::read(&mut cursor, "policy", problems) else { continue };
        let mut qualifiers = Vec::new();
        if let Some(list) = cursor.next(problems) {
            for qualifier in elements(&list, problems) {
                let mut parts = qualifier.cursor();
                let kind = Identifier::read(&mut parts, "policy qualifier", problems);
                let value = parts.next(problems);
                if let (Some(kind), Some(value)) = (kind, value) {
                    qualifiers.push(format!("{}: {}", kind.text(), qualifier_text(&value)));
                }
            }
        }
        policies.push(Policy { identifier, qualifiers });
    }
    ExtensionValue::Policies(policies)
}

/// A practice statement's address, or the texts of a user notice.
fn qualifier_text(value: &Element<'_>) -> String {
    if !value.constructed {
        return escape::bytes(value.content);
    }
    let mut unheard = Problems::default();
    let texts: Vec<String> = elements(value, &mut unheard)
        .iter()
        .filter(|part| !part.constructed)
        .map(|part| escape::bytes(part.content))
        .collect();
    if texts.is_empty() { format!("#{}", pki::hex(value.whole)) } else { texts.join(" ") }
}

/// RFC 6962 section 3.3: a TLS-encoded list in an OCTET STRING.
fn timestamps(outer: &Element<'_>, problems: &mut Problems) -> ExtensionValue {
    let mut list = Vec::new();
    let mut rest = outer.content.get(2..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((entry, after)) = after.split_at_checked(length) else {
            problems.note(outer.content_offset, "the list of signed certificate timestamps is cut short");
            break;
        };
        rest = after;
        if let (Some(log), Some(time)) = (entry.get(1..33), entry.get(33..41)) {
            let millis = time.iter().fold(0u64, |value, octet| value << 8 | u64::from(*octet));
            let moment = i64::try_from(millis).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
            list.push(CertificateTimestamp { log: log.to_vec(), moment });
        }
    }
    ExtensionValue::Timestamps(list)
}

/// The value of the extension with this identifier.
pub(crate) fn find<'a>(
    extensions: &'a [ExtensionDescription],
    oid: &oid::Oid,
) -> Option<&'a ExtensionDescription> {
    extensions.iter().find(|extension| extension.identifier.is(oid))
}
