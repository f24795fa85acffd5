//! Distinguished names (RFC 5280 section 4.1.2.4), kept as the DER they arrived in and shown as RFC 4514 says.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use crate::der::{DerError, Reader, Tlv, Writer, tag};
use crate::oid::{self, Oid};

/// One attribute of a distinguished name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its type, such as commonName.
    pub oid: Oid,
    /// Its value as text; a value in no string type is shown as `#` and its DER in hexadecimal (RFC 4514
    /// section 2.4).
    pub value: String,
    /// Whether it shares its RelativeDistinguishedName with the attribute before it.
    pub joined: bool,
}

/// A distinguished name. Two are equal when their bytes are; whether they name the same is [`DistinguishedName::matches`].
#[derive(Clone)]
pub struct DistinguishedName {
    der: Vec<u8>,
    /// The form in which names are compared, made when it is first needed: a search for a path compares each name
    /// with many.
    canonical: OnceLock<Vec<u8>>,
}

impl PartialEq for DistinguishedName {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for DistinguishedName {}

impl Hash for DistinguishedName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.der.hash(state);
    }
}

impl DistinguishedName {
    /// Reads a DER Name, and checks its whole structure.
    ///
    /// # Errors
    /// [`DerError`] where it is malformed.
    pub fn from_der(der: &[u8]) -> Result<Self, DerError> {
        walk(der, |_, _, _| ())?;
        Ok(DistinguishedName { der: der.to_vec(), canonical: OnceLock::new() })
    }

    /// Builds a name from attributes in encoding order, each in its own RelativeDistinguishedName: the broadest
    /// first, commonName last.
    ///
    /// ```
    /// use pki::{name::DistinguishedName, oid};
    /// let name = DistinguishedName::build(&[(oid::ORGANIZATION_NAME, "Acme"), (oid::COMMON_NAME, "alice")]);
    /// assert_eq!(name.to_string(), "CN=alice,O=Acme");
    /// ```
    #[must_use]
    pub fn build(attributes: &[(Oid, &str)]) -> Self {
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            for (oid, value) in attributes {
                w.nested(tag::SET, |w| {
                    w.nested(tag::SEQUENCE, |w| {
                        w.object_identifier(oid);
                        w.primitive(string_tag(oid), value.as_bytes());
                    });
                });
            }
        });
        DistinguishedName { der: writer.into_bytes(), canonical: OnceLock::new() }
    }

    /// The DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether it has no attribute at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.der == [tag::SEQUENCE, 0]
    }

    /// The attributes in encoding order.
    #[must_use]
    pub fn attributes(&self) -> Vec<Attribute> {
        // `from_der` and `build` are the only ways here, so reading succeeds.
        self.read().unwrap_or_default()
    }

    /// The values of one attribute type, in encoding order.
    #[must_use]
    pub fn values(&self, oid: &Oid) -> Vec<String> {
        self.attributes().into_iter().filter(|a| a.oid == *oid).map(|a| a.value).collect()
    }

    /// The last commonName, which is the most specific.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        self.values(&oid::COMMON_NAME).pop()
    }

    /// What to call the subject in a sentence: its commonName, else the whole name.
    #[must_use]
    pub fn short(&self) -> String {
        match self.common_name() {
            Some(name) if !name.is_empty() => name,
            _ if self.is_empty() => "(no subject name)".to_owned(),
            _ => self.to_string(),
        }
    }

    /// Whether both are the same name by the rules of RFC 5280 section 7.1: attribute by attribute, ignoring the
    /// string type, case, repeated white space, and the order within a RelativeDistinguishedName.
    #[must_use]
    pub fn matches(&self, other: &DistinguishedName) -> bool {
        self.der == other.der || self.canonical() == other.canonical()
    }

    /// Whether `self` starts with all of `base`: the directoryName test of name constraints (RFC 5280 section
    /// 4.2.1.10). A RelativeDistinguishedName of several attributes is inside only as a whole.
    #[must_use]
    pub fn is_within(&self, base: &DistinguishedName) -> bool {
        self.canonical().starts_with(base.canonical())
    }

    /// The form that is compared: each RelativeDistinguishedName with its length before it, so that one form starts
    /// with another only at such a border; in it the attributes in the order of their octets.
    fn canonical(&self) -> &[u8] {
        self.canonical.get_or_init(|| {
            let mut sets: Vec<Vec<Vec<u8>>> = Vec::new();
            // `from_der` and `build` are the only ways here, so reading succeeds.
            let _ = walk(&self.der, |oid, value, joined| {
                // Its length first, so that no type is the beginning of another.
                let mut attribute = vec![oid.content().len() as u8];
                attribute.extend_from_slice(oid.content());
                match text(value.tag, value.content) {
                    Some(text) => {
                        attribute.push(b's');
                        attribute.extend_from_slice(folded(&text).as_bytes());
                    }
                    None => {
                        attribute.push(b'x');
                        attribute.extend_from_slice(value.whole);
                    }
                }
                match sets.last_mut() {
                    Some(set) if joined => set.push(attribute),
                    _ => sets.push(vec![attribute]),
                }
            });
            let mut form = Vec::with_capacity(self.der.len() + 16);
            for mut set in sets {
                set.sort_unstable();
                let length: usize = set.iter().map(|attribute| attribute.len() + 8).sum();
                form.extend_from_slice(&(length as u64).to_be_bytes());
                for attribute in set {
                    form.extend_from_slice(&(attribute.len() as u64).to_be_bytes());
                    form.extend_from_slice(&attribute);
                }
            }
            form
        })
    }

    fn read(&self) -> Result<Vec<Attribute>, DerError> {
        let mut attributes = Vec::new();
        walk(&self.der, |oid, value, joined| {
            let value =
                text(value.tag, value.content).unwrap_or_else(|| format!("#{}", crate::hex(value.whole)));
            attributes.push(Attribute { oid, value, joined });
        })?;
        Ok(attributes)
    }
}

/// Walks a Name: each attribute's type and value, and whether it shares its RelativeDistinguishedName with the one
/// before it.
fn walk(der: &[u8], mut visit: impl FnMut(Oid, Tlv<'_>, bool)) -> Result<(), DerError> {
    let mut outer = Reader::new(der);
    let mut sequence = outer.nested(tag::SEQUENCE)?;
    outer.finish()?;
    while !sequence.is_empty() {
        let mut set = sequence.nested(tag::SET)?;
        let mut joined = false;
        while !set.is_empty() || !joined {
            let mut pair = set.nested(tag::SEQUENCE)?;
            let oid = pair.object_identifier()?;
            let value = pair.any()?;
            pair.finish()?;
            visit(oid, value, joined);
            joined = true;
        }
    }
    Ok(())
}

/// Case and white space as RFC 5280 section 7.1 ignores them.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        let mut folded = String::with_capacity(text.len());
        for word in text.split_ascii_whitespace() {
            if !folded.is_empty() {
                folded.push(' ');
            }
            folded.extend(word.chars().map(|character| character.to_ascii_lowercase()));
        }
        return folded;
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The short names of RFC 4514 section 3 and the ones people expect beside them.
fn short_name(oid: &Oid) -> Option<&'static str> {
    Some(match *oid {
        oid::COMMON_NAME => "CN",
        oid::LOCALITY_NAME => "L",
        oid::STATE_OR_PROVINCE_NAME => "ST",
        oid::ORGANIZATION_NAME => "O",
        oid::ORGANIZATIONAL_UNIT_NAME => "OU",
        oid::COUNTRY_NAME => "C",
        oid::STREET_ADDRESS => "STREET",
        oid::DOMAIN_COMPONENT => "DC",
        oid::USER_ID => "UID",
        oid::EMAIL_ADDRESS => "emailAddress",
        oid::SERIAL_NUMBER => "serialNumber",
        oid::GIVEN_NAME => "GN",
        oid::SURNAME => "SN",
        oid::TITLE => "title",
        oid::ORGANIZATION_IDENTIFIER => "organizationIdentifier",
        _ => return None,
    })
}

fn string_tag(oid: &Oid) -> u8 {
    match *oid {
        // RFC 5280 appendix A: countryName and serialNumber are PrintableString, the other two IA5String.
        oid::COUNTRY_NAME | oid::SERIAL_NUMBER => tag::PRINTABLE_STRING,
        oid::EMAIL_ADDRESS | oid::DOMAIN_COMPONENT => tag::IA5_STRING,
        _ => tag::UTF8_STRING,
    }
}

fn text(tag_octet: u8, content: &[u8]) -> Option<String> {
    match tag_octet {
        tag::UTF8_STRING => String::from_utf8(content.to_vec()).ok(),
        tag::PRINTABLE_STRING | tag::IA5_STRING => {
            content.is_ascii().then(|| content.iter().map(|b| char::from(*b)).collect())
        }
        // In practice T61String holds Latin-1.
        tag::TELETEX_STRING => Some(content.iter().map(|b| char::from(*b)).collect()),
        tag::BMP_STRING if content.len().is_multiple_of(2) => {
            let units: Vec<u16> = content.chunks(2).map(|c| u16::from_be_bytes([c[0], c[1]])).collect();
            String::from_utf16(&units).ok()
        }
        tag::UNIVERSAL_STRING if content.len().is_multiple_of(4) => {
            content.chunks(4).map(|c| char::from_u32(u32::from_be_bytes([c[0], c[1], c[2], c[3]]))).collect()
        }
        _ => None,
    }
}

impl fmt::Display for DistinguishedName {
    /// RFC 4514: the most specific attribute first. Control characters and bidirectional overrides are escaped,
    /// so that a hostile name cannot rearrange a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: Vec<Vec<Attribute>> = Vec::new();
        for attribute in self.attributes() {
            match groups.last_mut() {
                Some(group) if attribute.joined => group.push(attribute),
                _ => groups.push(vec![attribute]),
            }
        }
        for (index, group) in groups.iter().rev().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            for (position, attribute) in group.iter().enumerate() {
                if position > 0 {
                    f.write_str("+")?;
                }
                match short_name(&attribute.oid) {
                    Some(name) => f.write_str(name)?,
                    None => f.write_str(&attribute.oid.dotted())?,
                }
                f.write_str("=")?;
                f.write_str(&escape(&attribute.value))?;
            }
        }
        Ok(())
    }
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                escaped.push('\\');
                escaped.push(character);
            }
            ' ' if index == 0 || index == last => escaped.push_str("\\ "),
            '#' if index == 0 && !value[1..].chars().all(|c| c.is_ascii_hexdigit()) => {
                escaped.push_str("\\#")
            }
            _ if character.is_control() || is_invisible(character) => {
                let mut buffer = [0; 4];
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    escaped.push_str(&format!("\\{byte:02X}"));
                }
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinguishedName({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    fn name(attributes: &[(Oid, &str)]) -> DistinguishedName {
        DistinguishedName::build(attributes)
    }

    #[test]
    fn special_characters_are_escaped_as_rfc_4514_says() {
        let tricky =
            name(&[(oid::ORGANIZATION_NAME, " Sue, Grabbit+Runn "), (oid::COMMON_NAME, "#a\u{202e}b")]);
        assert_eq!(tricky.to_string(), r"CN=\#a\E2\80\AEb,O=\ Sue\, Grabbit\+Runn\ ");
    }

    #[test]
    fn matching_ignores_case_string_type_and_white_space() {
        let one = name(&[(oid::COUNTRY_NAME, "DE"), (oid::COMMON_NAME, "Acme  Root")]);
        let mut writer = Writer::new();
        writer.nested(tag::SEQUENCE, |w| {
            for (oid, value) in [(oid::COUNTRY_NAME, "de"), (oid::COMMON_NAME, "acme root")] {
                w.nested(tag::SET, |w| {
                    w.nested(tag::SEQUENCE, |w| {
                        w.object_identifier(&oid);
                        w.primitive(tag::PRINTABLE_STRING, value.as_bytes());
                    });
                });
            }
        });
        let other = DistinguishedName::from_der(&writer.into_bytes()).unwrap();
        assert!(one.matches(&other));
        assert!(one.is_within(&name(&[(oid::COUNTRY_NAME, "de")])));
        assert!(!one.is_within(&name(&[(oid::COMMON_NAME, "acme root")])));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(name) = DistinguishedName::from_der(&bytes) {
                let _ = name.to_string();
            }
        }

        #[test]
        fn any_text_survives(value in "\\PC{1,40}") {
            let built = name(&[(oid::COMMON_NAME, &value)]);
            let read = DistinguishedName::from_der(built.der()).unwrap();
            prop_assert_eq!(read.common_name(), Some(value));
        }
    }
}
