//! PKCS#11 URIs (RFC 7512): what they name, read strictly, and written back in one form. Nothing is looked up here.
//!
//! A `pin-value` is refused: who writes a PIN into a URI writes it onto command lines and into configuration files, and
//! every user of the machine reads it there. `pin-source` names the file instead.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What every PKCS#11 URI starts with (RFC 7512 section 2.3).
pub const SCHEME: &str = "pkcs11:";

/// Why a text is no PKCS#11 URI that is taken here. The text of a value is shown only where it cannot be a PIN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It does not start with `pkcs11:`.
    #[error("a PKCS#11 URI starts with 'pkcs11:', as in pkcs11:token=TOKEN;object=KEY (RFC 7512)")]
    Scheme,
    /// A piece without `=`.
    #[error("the PKCS#11 URI has the piece '{0}', where NAME=VALUE belongs (RFC 7512 section 2.3)")]
    NoValue(String),
    /// An attribute that RFC 7512 does not have, or has in the other part.
    #[error(
        "the PKCS#11 URI has the attribute '{name}', which RFC 7512 does not have {part}; there are {known}"
    )]
    Unknown {
        /// The attribute.
        name: String,
        /// Where: `before the '?'` or `after the '?'`.
        part: &'static str,
        /// The ones that are known there.
        known: String,
    },
    /// An attribute twice.
    #[error(
        "the PKCS#11 URI has the attribute '{0}' twice, and once is allowed (RFC 7512 section 2.3); leave one out"
    )]
    Twice(&'static str),
    /// A character that must be written as `%XX`.
    #[error(
        "the value of '{name}' in the PKCS#11 URI has the character {character:?}, which must be written as \
         %XX (RFC 7512 section 2.3); a space is %20"
    )]
    Character {
        /// The attribute.
        name: &'static str,
        /// The character.
        character: char,
    },
    /// A `%` without two hexadecimal digits.
    #[error(
        "the value of '{0}' in the PKCS#11 URI has a '%' without two hexadecimal digits; a '%' itself is %25"
    )]
    Percent(&'static str),
    /// A text that is not UTF-8.
    #[error("the value of '{0}' in the PKCS#11 URI is not UTF-8 (RFC 7512 section 2.3)")]
    NotUtf8(&'static str),
    /// A value of the wrong form.
    #[error("the value '{value}' of '{name}' in the PKCS#11 URI is not {wanted}")]
    Value {
        /// The attribute.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The PIN itself.
    #[error(
        "the PKCS#11 URI holds the PIN itself (pin-value), which every user of this machine can read there; write the \
         PIN into a file with mode 0600 and name it: pin-source=file:/path/to/pin"
    )]
    PinValue,
    /// A PIN from a program.
    #[error("the PKCS#11 URI's pin-source is no file; write pin-source=file:/path/to/pin")]
    PinSource,
}

/// A PKCS#11 URI. What is not given is not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uri {
    /// CK_TOKEN_INFO.label.
    pub token: Option<String>,
    /// CK_TOKEN_INFO.manufacturerID.
    pub manufacturer: Option<String>,
    /// CK_TOKEN_INFO.model.
    pub model: Option<String>,
    /// CK_TOKEN_INFO.serialNumber.
    pub serial: Option<String>,
    /// CK_INFO.libraryDescription.
    pub library_description: Option<String>,
    /// CK_INFO.libraryManufacturer.
    pub library_manufacturer: Option<String>,
    /// CK_INFO.libraryVersion.
    pub library_version: Option<(u8, u8)>,
    /// CK_SLOT_INFO.slotDescription.
    pub slot_description: Option<String>,
    /// CK_SLOT_INFO.manufacturerID.
    pub slot_manufacturer: Option<String>,
    /// The slot's number.
    pub slot_id: Option<u64>,
    /// CKA_LABEL.
    pub object: Option<String>,
    /// CKA_ID.
    pub id: Option<Vec<u8>>,
    /// CKA_CLASS, by its name in RFC 7512.
    pub class: Option<String>,
    /// The file of the module.
    pub module_path: Option<PathBuf>,
    /// The name of the module, without `lib` and suffix.
    pub module_name: Option<String>,
    /// The file whose first line is the PIN.
    pub pin_source: Option<PathBuf>,
}

const PATH_ATTRIBUTES: [&str; 13] = [
    "token",
    "manufacturer",
    "model",
    "serial",
    "library-description",
    "library-manufacturer",
    "library-version",
    "slot-description",
    "slot-manufacturer",
    "slot-id",
    "object",
    "id",
    "type",
];
const QUERY_ATTRIBUTES: [&str; 4] = ["module-path", "module-name", "pin-source", "pin-value"];
const CLASSES: [&str; 5] = ["public", "private", "cert", "secret-key", "data"];

impl FromStr for Uri {
    type Err = UriError;

    /// Reads a URI.
    ///
    /// ```
    /// use keys::pkcs11::Uri;
    /// let uri: Uri = "pkcs11:token=web;object=tls%20key?pin-source=file:/etc/web.pin".parse()?;
    /// assert_eq!(uri.object.as_deref(), Some("tls key"));
    /// assert!("pkcs11:token=web?pin-value=1234".parse::<Uri>().is_err());
    /// # Ok::<(), keys::pkcs11::UriError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, UriError> {
        // RFC 3986 section 3.1: schemes are without case.
        let rest = text
            .get(..SCHEME.len())
            .filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
            .map(|_| &text[SCHEME.len()..])
            .ok_or(UriError::Scheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Uri::default();
        let mut seen = Vec::new();
        for (name, value) in attributes(path, ';', &PATH_ATTRIBUTES, "before the '?'", &mut seen)? {
            uri.set_path_attribute(name, value)?;
        }
        for (name, value) in attributes(query, '&', &QUERY_ATTRIBUTES, "after the '?'", &mut seen)? {
            uri.set_query_attribute(name, value)?;
        }
        Ok(uri)
    }
}

/// The attributes of one part, still encoded.
fn attributes<'a>(
    part: &'a str,
    separator: char,
    known: &[&'static str],
    place: &'static str,
    seen: &mut Vec<&'static str>,
) -> Result<Vec<(&'static str, &'a str)>, UriError> {
    let mut found = Vec::new();
    for piece in part.split(separator).filter(|piece| !piece.is_empty()) {
        // The piece may be a PIN whose name was misspelt: only what stands before the '=' is shown.
        let (name, value) =
            piece.split_once('=').ok_or_else(|| UriError::NoValue(piece.chars().take(24).collect()))?;
        let name = *known.iter().find(|known| **known == name).ok_or_else(|| UriError::Unknown {
            name: name.chars().take(24).collect(),
            part: place,
            known: known.iter().filter(|name| **name != "pin-value").copied().collect::<Vec<_>>().join(", "),
        })?;
        if seen.contains(&name) {
            return Err(UriError::Twice(name));
        }
        seen.push(name);
        found.push((name, value));
    }
    Ok(found)
}

impl Uri {
    fn set_path_attribute(&mut self, name: &'static str, value: &str) -> Result<(), UriError> {
        let octets = decode(name, value, is_path_character)?;
        if name == "id" {
            self.id = Some(octets);
            return Ok(());
        }
        let text = String::from_utf8(octets).map_err(|_| UriError::NotUtf8(name))?;
        let wrong = |wanted| UriError::Value { name, value: text.clone(), wanted };
        match name {
            "library-version" => {
                let (major, minor) = text.split_once('.').unwrap_or((&text, "0"));
                let number = |digits: &str| {
                    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                    digits.parse().ok().filter(|_| plain)
                };
                self.library_version = number(major).zip(number(minor));
                self.library_version.ok_or_else(|| wrong("a version such as 2.40"))?;
            }
            "slot-id" => {
                let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                self.slot_id =
                    Some(text.parse().ok().filter(|_| plain).ok_or_else(|| wrong("a decimal number"))?);
            }
            "type" => {
                if !CLASSES.contains(&text.as_str()) {
                    return Err(wrong("one of public, private, cert, secret-key and data"));
                }
                self.class = Some(text);
            }
            "token" => self.token = Some(text),
            "manufacturer" => self.manufacturer = Some(text),
            "model" => self.model = Some(text),
            "serial" => self.serial = Some(text),
            "library-description" => self.library_description = Some(text),
            "library-manufacturer" => self.library_manufacturer = Some(text),
            "slot-description" => self.slot_description = Some(text),
            "slot-manufacturer" => self.slot_manufacturer = Some(text),
            _ => self.object = Some(text),
        }
        Ok(())
    }

    fn set_query_attribute(&mut self, name: &'static str, value: &str) -> Result<(), UriError> {
        if name == "pin-value" {
            return Err(UriError::PinValue);
        }
        let octets = decode(name, value, is_query_character)?;
        let text = String::from_utf8(octets).map_err(|_| UriError::NotUtf8(name))?;
        match name {
            "module-path" => {
                if !Path::new(&text).is_absolute() {
                    return Err(UriError::Value { name, value: text, wanted: "an absolute path" });
                }
                self.module_path = Some(text.into());
            }
            "module-name" => {
                // RFC 7512 section 2.3: without the path and the suffix. It becomes a part of a path.
                let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b));
                if text.is_empty() || !plain {
                    return Err(UriError::Value { name, value: text, wanted: "a name such as softhsm2" });
                }
                self.module_name = Some(text);
            }
            _ => self.pin_source = Some(pin_file(&text)?),
        }
        Ok(())
    }
}

/// `file:/path`, `file:///path` or the path alone (RFC 7512 section 2.4); no programs, no other hosts.
fn pin_file(text: &str) -> Result<PathBuf, UriError> {
    let path = match text.strip_prefix("file:") {
        Some(rest) => match rest.strip_prefix("//") {
            Some(with_host) => with_host.strip_prefix("localhost").unwrap_or(with_host),
            None => rest,
        },
        None => text,
    };
    if path.starts_with('/') { Ok(path.into()) } else { Err(UriError::PinSource) }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// pk11-pchar of RFC 7512 section 2.3.
fn is_path_character(byte: u8) -> bool {
    is_unreserved(byte) || b":[]@!$'()*+,=&".contains(&byte)
}

/// pk11-qchar.
fn is_query_character(byte: u8) -> bool {
    is_unreserved(byte) || b":[]@!$'()*+,=/?|".contains(&byte)
}

fn decode(name: &'static str, value: &str, is_plain: fn(u8) -> bool) -> Result<Vec<u8>, UriError> {
    let mut octets = Vec::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        if character == '%' {
            let mut digit = || characters.next().and_then(|digit| digit.to_digit(16));
            let (high, low) = digit().zip(digit()).ok_or(UriError::Percent(name))?;
            // Two digits below 16 each, so the cast keeps the value.
            octets.push((high << 4 | low) as u8);
            continue;
        }
        match u8::try_from(character) {
            Ok(byte) if character.is_ascii() && is_plain(byte) => octets.push(byte),
            _ => return Err(UriError::Character { name, character }),
        }
    }
    Ok(octets)
}

impl fmt::Display for Uri {
    /// The URI in one form; all that it shows may be seen, since the PIN is never a part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut path: Vec<String> = Vec::new();
        let texts = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
            ("serial", &self.serial),
            ("library-description", &self.library_description),
            ("library-manufacturer", &self.library_manufacturer),
            ("slot-description", &self.slot_description),
            ("slot-manufacturer", &self.slot_manufacturer),
            ("object", &self.object),
            ("type", &self.class),
        ];
        for (name, value) in texts {
            path.extend(value.as_ref().map(|value| format!("{name}={}", encode(value.as_bytes()))));
        }
        path.extend(self.library_version.map(|(major, minor)| format!("library-version={major}.{minor}")));
        path.extend(self.slot_id.map(|id| format!("slot-id={id}")));
        // RFC 7512 section 2.3 wants all octets of an id encoded.
        path.extend(self.id.as_ref().map(|id| {
            let octets: String = id.iter().map(|octet| format!("%{octet:02X}")).collect();
            format!("id={octets}")
        }));
        let mut query: Vec<String> = Vec::new();
        let file = |path: &PathBuf| encode(path.to_string_lossy().as_bytes()).replace("%2F", "/");
        query.extend(self.module_path.as_ref().map(|path| format!("module-path={}", file(path))));
        query
            .extend(self.module_name.as_ref().map(|name| format!("module-name={}", encode(name.as_bytes()))));
        query.extend(self.pin_source.as_ref().map(|path| format!("pin-source=file:{}", file(path))));
        write!(f, "{SCHEME}{}", path.join(";"))?;
        if query.is_empty() { Ok(()) } else { write!(f, "?{}", query.join("&")) }
    }
}

/// What is unreserved stays.
fn encode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for octet in octets {
        match is_unreserved(*octet) {
            true => text.push(char::from(*octet)),
            false => text.push_str(&format!("%{octet:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> UriError {
        text.parse::<Uri>().unwrap_err()
    }

    #[test]
    fn every_example_of_rfc_7512_without_a_pin_value_is_read() {
        // Section 3; those with pin-value are below, among the refused.
        for text in [
            "pkcs11:",
            "pkcs11:object=my-pubkey;type=public",
            "pkcs11:object=my-key;type=private?pin-source=file:/etc/token",
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;\
             object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
            "pkcs11:object=my-sign-key;type=private?module-name=mypkcs11",
            "pkcs11:object=my-sign-key;type=private?module-path=/mnt/libmypkcs11.so.1",
            "pkcs11:token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.",
            "pkcs11:slot-description=Sun%20Metaslot",
            "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;\
             library-version=1.23",
            "pkcs11:token=My%20token%25%20created%20by%20Joe;library-version=3;id=%01%02%03%Ba%dd%Ca%fe%04%05%06",
            "pkcs11:token=A%20name%20with%20a%20substring%20%25%3B;object=my-certificate;type=cert",
            "pkcs11:token=Name%20with%20a%20small%20A%20with%20acute:%20%C3%A1;object=my-certificate;type=cert",
        ] {
            let uri: Uri = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(uri.to_string().parse::<Uri>().unwrap(), uri, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(error("http://x"), UriError::Scheme);
        assert_eq!(error("pkcs11:token"), UriError::NoValue("token".to_owned()));
        assert_eq!(error("pkcs11:token=a;token=b"), UriError::Twice("token"));
        assert_eq!(error("pkcs11:token=a b"), UriError::Character { name: "token", character: ' ' });
        assert_eq!(error("pkcs11:token=a%2"), UriError::Percent("token"));
        assert_eq!(error("pkcs11:token=%ff"), UriError::NotUtf8("token"));
        assert_eq!(error("pkcs11:token=a?pin-source=|/bin/cat"), UriError::PinSource);
        assert!(matches!(error("pkcs11:label=a"), UriError::Unknown { .. }));
        assert!(matches!(error("pkcs11:token=a;pin-source=file:/x"), UriError::Unknown { .. }));
        assert!(matches!(error("pkcs11:slot-id=0x1"), UriError::Value { .. }));
        assert!(matches!(error("pkcs11:type=key"), UriError::Value { .. }));
        assert!(matches!(error("pkcs11:token=a?module-path=relative.so"), UriError::Value { .. }));
        assert!(matches!(error("pkcs11:token=a?module-name=../../evil"), UriError::Value { .. }));
    }

    #[test]
    fn a_pin_in_the_uri_is_refused_and_not_repeated() {
        for text in
            ["pkcs11:token=a?pin-value=4711secret", "pkcs11:token=a?module-name=x&pin-value=%34711secret"]
        {
            let error = error(text);
            assert_eq!(error, UriError::PinValue);
            assert!(!format!("{error} {error:?}").contains("711secret"));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            token in proptest::option::of(".{0,20}"),
            object in proptest::option::of(".{0,20}"),
            id in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            slot_id in proptest::option::of(any::<u64>()),
            library_version in proptest::option::of(any::<(u8, u8)>()),
            path in proptest::option::of("/.{0,30}"),
        ) {
            let uri = Uri {
                token,
                object,
                id,
                slot_id,
                library_version,
                module_path: path.clone().map(PathBuf::from),
                pin_source: path.filter(|path| !path.starts_with("//")).map(PathBuf::from),
                ..Uri::default()
            };
            prop_assert_eq!(uri.to_string().parse::<Uri>().unwrap(), uri);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "pkcs11:.{0,60}") {
            if let Ok(uri) = text.parse::<Uri>() {
                prop_assert_eq!(uri.to_string().parse::<Uri>().unwrap(), uri);
            }
        }
    }
}
