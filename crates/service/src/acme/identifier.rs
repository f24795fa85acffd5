//! What an order asks for: DNS names (RFC 8555 section 9.7.7), IP addresses (RFC 8738), and mailboxes (the type that
//! RFC 8823 registers) for the certificates of people.

use std::fmt;
use std::net::IpAddr;

use pki::name::{GeneralName, dns_name, email_address};
use serde_json::{Value, json};

use crate::acme::refusal::{Kind, Refusal};

/// The longest text of an identifier that is read at all; a DNS name has at most 253 octets (RFC 1035), and a mailbox
/// 254.
const LONGEST: usize = 254;

/// One identifier in its canonical form: two that mean the same are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Identifier {
    /// A DNS name in lower-case ASCII; in an order, not in an authorization, perhaps with `*.` before it.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A mailbox.
    Email(String),
}

impl Identifier {
    /// Reads type and value as they stand in an order.
    ///
    /// # Errors
    /// A refusal of the type or value.
    pub(crate) fn parse(kind: &str, value: &str) -> Result<Self, Refusal> {
        if value.len() > LONGEST {
            let start: String = value.chars().take(40).collect();
            return Err(Refusal::malformed(format!(
                "the identifier '{start}…' has {} octets; the most is {LONGEST}",
                value.len()
            )));
        }
        let rejected = |why: String| Refusal::new(Kind::RejectedIdentifier, why);
        match kind {
            // RFC 8555 section 7.1.4: what a client sends is the name as a certificate holds it.
            "dns" if !value.is_ascii() => Err(rejected(format!(
                "'{value}' is not ASCII; send internationalised names as A-labels (xn--…)"
            ))),
            "dns" => dns_name(value).map(Identifier::Dns).map_err(|error| rejected(error.to_string())),
            "ip" => {
                let ip: IpAddr = value.parse().map_err(|_| {
                    Refusal::malformed(format!("'{value}' is no IP address (RFC 8738 section 3)"))
                })?;
                Ok(Identifier::Ip(ip))
            }
            "email" => {
                email_address(value).map(Identifier::Email).map_err(|error| rejected(error.to_string()))
            }
            other => Err(Refusal::new(
                Kind::UnsupportedIdentifier,
                format!(
                    "identifiers of type '{}' are not known here; use dns, ip or email",
                    printable(other)
                ),
            )),
        }
    }

    /// Its type on the wire.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Identifier::Dns(_) => "dns",
            Identifier::Ip(_) => "ip",
            Identifier::Email(_) => "email",
        }
    }

    /// Its value on the wire.
    pub(crate) fn value(&self) -> String {
        match self {
            Identifier::Dns(text) | Identifier::Email(text) => text.clone(),
            Identifier::Ip(ip) => ip.to_string(),
        }
    }

    /// Both.
    pub(crate) fn json(&self) -> Value {
        json!({ "type": self.kind(), "value": self.value() })
    }

    /// What [`Identifier::json`] wrote.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        Self::parse(value["type"].as_str()?, value["value"].as_str()?).ok()
    }

    /// The name whose control is to be shown, and whether the order wants every name one level under it.
    pub(crate) fn base(&self) -> (Identifier, bool) {
        match self {
            Identifier::Dns(name) => match name.strip_prefix("*.") {
                Some(base) => (Identifier::Dns(base.to_owned()), true),
                None => (self.clone(), false),
            },
            other => (other.clone(), false),
        }
    }

    /// The identifier that a name of a request means; `None` for kinds that no order can ask for.
    pub(crate) fn of_name(name: &GeneralName) -> Option<Self> {
        match name {
            GeneralName::Dns(name) => dns_name(name).ok().map(Identifier::Dns),
            GeneralName::Ip(ip) => Some(Identifier::Ip(*ip)),
            GeneralName::Email(email) => email_address(email).ok().map(Identifier::Email),
            _ => None,
        }
    }

    /// The name in a certificate.
    pub(crate) fn to_name(&self) -> GeneralName {
        match self {
            Identifier::Dns(name) => GeneralName::Dns(name.clone()),
            Identifier::Ip(ip) => GeneralName::Ip(*ip),
            Identifier::Email(email) => GeneralName::Email(email.clone()),
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value())
    }
}

/// Text of a stranger, cut short and without control characters, to stand in a message.
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn spellings_of_one_name_are_one_identifier() {
        let dns = |text| Identifier::parse("dns", text).unwrap();
        assert_eq!(dns("Example.COM."), dns("example.com"));
        let ip = |text| Identifier::parse("ip", text).unwrap();
        assert_eq!(ip("2001:DB8:0:0::1"), ip("2001:db8::1"));
        assert_eq!(dns("*.a.test").base(), (dns("a.test"), true));
    }

    #[test]
    fn what_is_no_identifier_is_refused_with_its_type() {
        let long = "a.".repeat(200);
        for (kind, value, expected) in [
            ("dns", "bücher.test", Kind::RejectedIdentifier),
            ("dns", "a..test", Kind::RejectedIdentifier),
            ("dns", "*.*.test", Kind::RejectedIdentifier),
            ("dns", "10.0.0.1", Kind::RejectedIdentifier),
            ("dns", "a.test:443", Kind::RejectedIdentifier),
            ("dns", "a.test/../x", Kind::RejectedIdentifier),
            ("dns", "a\r\nb.test", Kind::RejectedIdentifier),
            ("dns", &long, Kind::Malformed),
            ("ip", "10.0.0.0/8", Kind::Malformed),
            ("ip", "010.0.0.1", Kind::Malformed),
            ("email", "no mailbox", Kind::RejectedIdentifier),
            ("permanent-identifier", "x", Kind::UnsupportedIdentifier),
        ] {
            assert_eq!(Identifier::parse(kind, value).unwrap_err().kind, expected, "{kind} {value}");
        }
    }
}
