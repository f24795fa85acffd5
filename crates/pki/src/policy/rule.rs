//! One rule: which peers it speaks of. What follows from that is the policy's business.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::identity::{Identity, VerifiedPeer};
use crate::name::IpRange;

/// One rule: a peer with such a name passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Everyone whose certificate verifies.
    All,
    /// This commonName, exactly.
    CommonName(String),
    /// This organizationalUnitName, exactly.
    OrganizationalUnit(String),
    /// This DNS name, in any case; a leading `*.` stands for one label.
    Dns(String),
    /// This URI, exactly; a path segment `*` stands for one segment, a last `**` for all that follow.
    Uri(String),
    /// This mailbox; `@host` means every mailbox of the host.
    Email(String),
    /// These addresses.
    Ip(IpRange),
    /// This user principal name, in any case.
    UserPrincipalName(String),
    /// This registeredID, in dotted form.
    RegisteredId(String),
    /// This directoryName, as RFC 4514 writes it, exactly.
    Directory(String),
    /// A certificate with this key, whatever its names: SHA-256 of the SubjectPublicKeyInfo.
    SpkiPin([u8; 32]),
}

/// The text of a rule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no rule of the kind {kind}: {why}")]
pub struct RuleError {
    kind: &'static str,
    text: String,
    why: String,
}

impl Rule {
    /// The kinds of rules that have a value, in the words of the flags and of the configuration.
    pub const KINDS: [&'static str; 10] =
        ["cn", "ou", "dns", "uri", "email", "ip", "upn", "rid", "dir", "spki-pin"];

    /// Reads the value of `--allow-KIND` and its likes.
    ///
    /// # Errors
    /// [`RuleError`] for an empty value, an address or pin that is none, or an unknown kind.
    ///
    /// ```
    /// use pki::policy::Rule;
    /// assert_eq!(Rule::parse("cn", "alice")?.to_string(), "cn alice");
    /// assert!(Rule::parse("cn", "").is_err());
    /// # Ok::<(), pki::policy::RuleError>(())
    /// ```
    pub fn parse(kind: &'static str, text: &str) -> Result<Rule, RuleError> {
        let problem = |why: &str| RuleError { kind, text: text.to_owned(), why: why.to_owned() };
        if text.is_empty() {
            return Err(problem("an empty name would match nothing; name who may pass"));
        }
        match kind {
            "cn" => Ok(Rule::CommonName(text.to_owned())),
            "ou" => Ok(Rule::OrganizationalUnit(text.to_owned())),
            "dns" => crate::name::dns_name(text).map(Rule::Dns).map_err(|e| problem(&e.to_string())),
            "uri" => Ok(Rule::Uri(text.to_owned())),
            "email" if text.contains('@') => Ok(Rule::Email(text.to_owned())),
            "email" => Err(problem("write a mailbox (a@example.com) or a whole host (@example.com)")),
            "ip" => text.parse().map(Rule::Ip).map_err(|e: String| problem(&e)),
            "upn" if text.contains('@') => Ok(Rule::UserPrincipalName(text.to_owned())),
            "upn" => Err(problem("write a user principal name, such as alice@corp.example.com")),
            "rid"
                if text.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit())) =>
            {
                Ok(Rule::RegisteredId(text.to_owned()))
            }
            "rid" => Err(problem("write an object identifier in dotted form, such as 1.3.6.1.4.1.311.20")),
            "dir" => Ok(Rule::Directory(text.to_owned())),
            "spki-pin" => parse_pin(text).map(Rule::SpkiPin).ok_or_else(|| {
                problem("a pin is the SHA-256 of the key in base64 (44 characters) or hexadecimal (64)")
            }),
            _ => Err(problem("unknown kind of rule")),
        }
    }

    /// Whether it speaks of this peer. The index of [`super::Policy`] gives the same answer for many rules at once.
    #[must_use]
    pub fn concerns(&self, peer: &VerifiedPeer) -> bool {
        match self {
            Rule::All => true,
            Rule::SpkiPin(pin) => peer.certificate().public_key().is_ok_and(|key| key.spki_sha256() == *pin),
            _ => peer.identities().iter().any(|identity| self.names(identity)),
        }
    }

    fn names(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Rule::CommonName(wanted), Identity::CommonName(name))
            | (Rule::OrganizationalUnit(wanted), Identity::OrganizationalUnit(name)) => wanted == name,
            (Rule::Dns(wanted), Identity::Dns(name)) => match wanted.strip_prefix("*.") {
                // A certificate for a wildcard is no single client, so a wildcard rule does not admit it.
                Some(parent) => name
                    .split_once('.')
                    .is_some_and(|(label, rest)| label != "*" && rest.eq_ignore_ascii_case(parent)),
                None => wanted.eq_ignore_ascii_case(name),
            },
            (Rule::Uri(pattern), Identity::Uri(name)) => uri_matches(pattern, name),
            (Rule::Email(wanted), Identity::Email(name)) => {
                match (wanted.rsplit_once('@'), name.rsplit_once('@')) {
                    (Some((local, host)), Some((name_local, name_host))) => {
                        host.eq_ignore_ascii_case(name_host) && (local.is_empty() || local == name_local)
                    }
                    _ => false,
                }
            }
            (Rule::Ip(range), Identity::Ip(ip)) => range.contains(*ip),
            (Rule::UserPrincipalName(wanted), Identity::UserPrincipalName(name)) => {
                wanted.eq_ignore_ascii_case(name)
            }
            (Rule::RegisteredId(wanted), Identity::RegisteredId(name))
            | (Rule::Directory(wanted), Identity::Directory(name)) => wanted == name,
            _ => false,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::All => f.write_str("all"),
            Rule::CommonName(name) => write!(f, "cn {name}"),
            Rule::OrganizationalUnit(name) => write!(f, "ou {name}"),
            Rule::Dns(name) => write!(f, "dns {name}"),
            Rule::Uri(name) => write!(f, "uri {name}"),
            Rule::Email(name) => write!(f, "email {name}"),
            Rule::Ip(range) => write!(f, "ip {range}"),
            Rule::UserPrincipalName(name) => write!(f, "upn {name}"),
            Rule::RegisteredId(name) => write!(f, "rid {name}"),
            Rule::Directory(name) => write!(f, "dir {name}"),
            Rule::SpkiPin(pin) => write!(f, "spki-pin {}", STANDARD.encode(pin)),
        }
    }
}

/// Whether a pattern of whole segments fits a name.
pub(super) fn uri_matches(pattern: &str, name: &str) -> bool {
    let mut names = name.split('/');
    let mut patterns = pattern.split('/').peekable();
    while let Some(wanted) = patterns.next() {
        if wanted == "**" && patterns.peek().is_none() {
            return names.next().is_some_and(|segment| !segment.is_empty());
        }
        match names.next() {
            Some(segment) if wanted == segment || (wanted == "*" && !segment.is_empty()) => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

fn parse_pin(text: &str) -> Option<[u8; 32]> {
    let text = text.strip_prefix("sha256//").or_else(|| text.strip_prefix("sha256/")).unwrap_or(text);
    if text.len() == 64 {
        return crate::unhex(text)?.try_into().ok();
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_patterns_match_whole_segments() {
        let cases = [
            ("spiffe://a/web", "spiffe://a/web", true),
            ("spiffe://a/*/web", "spiffe://a/prod/web", true),
            ("spiffe://a/*/web", "spiffe://a/prod/x/web", false),
            ("spiffe://a/**", "spiffe://a/x/y", true),
            ("spiffe://a/**", "spiffe://a/", false),
            ("spiffe://a/**", "spiffe://ab/x", false),
            ("spiffe://a/web", "spiffe://a/web/", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(uri_matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn names_match_only_names_of_their_kind() {
        let cases = [
            (Rule::CommonName("a.test".into()), Identity::Dns("a.test".into()), false),
            (Rule::Dns("*.a.test".into()), Identity::Dns("x.A.test".into()), true),
            (Rule::Dns("*.a.test".into()), Identity::Dns("*.a.test".into()), false),
            (Rule::Dns("*.a.test".into()), Identity::Dns("x.y.a.test".into()), false),
            (Rule::Email("@a.test".into()), Identity::Email("x@A.test".into()), true),
            (Rule::Email("y@a.test".into()), Identity::Email("x@a.test".into()), false),
        ];
        for (rule, identity, expected) in cases {
            assert_eq!(rule.names(&identity), expected, "{rule} {identity}");
        }
    }

    #[test]
    fn a_pin_is_read_in_each_usual_form() {
        let hexadecimal = "00".repeat(32);
        let base64 = "A".repeat(43) + "=";
        for text in [hexadecimal.clone(), base64.clone(), format!("sha256//{base64}")] {
            assert_eq!(Rule::parse("spki-pin", &text), Ok(Rule::SpkiPin([0; 32])), "{text}");
        }
        assert!(Rule::parse("spki-pin", "AAAA").is_err());
    }
}
