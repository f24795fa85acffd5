//! Names as people type them, turned into what they are: `localhost` a DNS name, `10.0.0.1` an address,
//! `a@b.test` a mailbox, `spiffe://…` a URI, `alice` a person or a thing.

use std::net::IpAddr;

use super::{DistinguishedName, GeneralName};
use crate::oid;

/// Why a name cannot stand in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or only white space.
    #[error("an empty name cannot be certified; say who or what the certificate is for")]
    Empty,
    /// A DNS name with a part that no DNS name has.
    #[error("'{name}' is no DNS name: {why}")]
    Dns {
        /// What was given.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A wildcard in a place where none may be.
    #[error("'{name}': {why}")]
    Wildcard {
        /// What was given.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Not an address.
    #[error("'{0}' is no IP address; write it as 192.0.2.1 or 2001:db8::1, without port or prefix")]
    Ip(String),
    /// Not a mailbox.
    #[error("'{name}' is no email address: {why}")]
    Email {
        /// What was given.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Not a URI.
    #[error("'{name}' is no URI: {why}")]
    Uri {
        /// What was given.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// An attribute of the subject that breaks its limits.
    #[error("the {attribute} '{value}' {why}")]
    Attribute {
        /// Which attribute.
        attribute: &'static str,
        /// What was given.
        value: String,
        /// The rule it breaks.
        why: &'static str,
    },
}

/// The names a certificate is asked for: what goes into its subject, and into subjectAltName.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubjectNames {
    /// commonName.
    pub common_name: Option<String>,
    /// organizationName.
    pub organization: Option<String>,
    /// organizationalUnitName, in order.
    pub organizational_units: Vec<String>,
    /// subjectAltName.
    pub alternative: Vec<GeneralName>,
}

impl SubjectNames {
    /// Names for a server: each text is a DNS name or an address. The first becomes the commonName too, where
    /// it fits, for people to read; no verifier looks there.
    ///
    /// # Errors
    /// [`NameError`] for the first text that is neither.
    ///
    /// ```
    /// use pki::name::SubjectNames;
    /// let names = SubjectNames::for_server(&["localhost", "::1"])?;
    /// assert_eq!(names.alternative[1].to_string(), "IP:::1");
    /// # Ok::<(), pki::name::NameError>(())
    /// ```
    pub fn for_server(texts: &[impl AsRef<str>]) -> Result<Self, NameError> {
        let mut names = SubjectNames::default();
        for text in texts {
            names.add(match classify(text.as_ref())? {
                // A URL was pasted: what `dns_name` says of it is what helps.
                Classified::General(GeneralName::Uri(url)) => GeneralName::Dns(dns_name(&url)?),
                Classified::General(name) => name,
                Classified::Plain(text) => GeneralName::Dns(dns_name(&text)?),
            });
        }
        let first = names.alternative.first().ok_or(NameError::Empty)?.value();
        names.common_name = (first.chars().count() <= 64).then_some(first);
        Ok(names)
    }

    /// Names for a client: the text is its commonName, and stands in subjectAltName too if it is a DNS name, an
    /// address, a mailbox or a URI.
    ///
    /// # Errors
    /// [`NameError`] where the text is empty or looks like one of these and is none.
    pub fn for_client(text: &str) -> Result<Self, NameError> {
        let mut names = SubjectNames::default();
        let common_name = match classify(text)? {
            Classified::Plain(text) => text,
            Classified::General(name) => {
                let value = name.value();
                names.add(name);
                value
            }
        };
        if common_name.chars().count() <= 64 {
            names.common_name = Some(common_name);
        } else if names.alternative.is_empty() {
            return Err(NameError::Attribute {
                attribute: "name",
                value: common_name,
                why: "is longer than the 64 characters a commonName may have (RFC 5280 appendix A.1)",
            });
        }
        Ok(names)
    }

    /// The names of a certificate, to be certified again.
    #[must_use]
    pub fn of(certificate: &crate::Certificate) -> Self {
        let subject = certificate.subject();
        SubjectNames {
            common_name: subject.common_name(),
            organization: subject.values(&oid::ORGANIZATION_NAME).pop(),
            organizational_units: subject.values(&oid::ORGANIZATIONAL_UNIT_NAME),
            alternative: certificate.subject_alt_names().to_vec(),
        }
    }

    /// Adds a subjectAltName entry unless it is there.
    pub fn add(&mut self, name: GeneralName) {
        if !self.alternative.contains(&name) {
            self.alternative.push(name);
        }
    }

    /// The subject's distinguished name: organisation, units, commonName.
    #[must_use]
    pub fn distinguished_name(&self) -> DistinguishedName {
        let mut attributes = Vec::new();
        if let Some(organization) = &self.organization {
            attributes.push((oid::ORGANIZATION_NAME, organization.as_str()));
        }
        for unit in &self.organizational_units {
            attributes.push((oid::ORGANIZATIONAL_UNIT_NAME, unit.as_str()));
        }
        if let Some(common_name) = &self.common_name {
            attributes.push((oid::COMMON_NAME, common_name.as_str()));
        }
        DistinguishedName::build(&attributes)
    }

    /// Checks the lengths and characters of what goes into the subject (upper bounds of RFC 5280 appendix A.1).
    ///
    /// # Errors
    /// [`NameError::Attribute`], or [`NameError::Empty`] where there is no name at all.
    pub fn check(&self) -> Result<(), NameError> {
        if self.common_name.is_none() && self.alternative.is_empty() {
            return Err(NameError::Empty);
        }
        let attributes = self
            .common_name
            .iter()
            .map(|value| ("commonName", value))
            .chain(self.organization.iter().map(|value| ("organization", value)))
            .chain(self.organizational_units.iter().map(|value| ("organizational unit", value)));
        for (attribute, value) in attributes {
            let problem = |why| NameError::Attribute { attribute, value: value.clone(), why };
            if value.trim().is_empty() {
                return Err(problem("is empty"));
            }
            if value.chars().count() > 64 {
                return Err(problem("is longer than 64 characters (RFC 5280 appendix A.1)"));
            }
            if value.chars().any(char::is_control) {
                return Err(problem("holds control characters"));
            }
        }
        Ok(())
    }
}

enum Classified {
    General(GeneralName),
    Plain(String),
}

fn classify(text: &str) -> Result<Classified, NameError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(Classified::General(GeneralName::Ip(ip)));
    }
    if text.contains("://") || text.starts_with("urn:") {
        return uri(text).map(|uri| Classified::General(GeneralName::Uri(uri)));
    }
    if text.contains('@') {
        return email_address(text).map(|email| Classified::General(GeneralName::Email(email)));
    }
    let looks_like_dns = (text.contains('.') || text.contains('*') || text.eq_ignore_ascii_case("localhost"))
        && !text.contains(char::is_whitespace);
    if looks_like_dns {
        return dns_name(text).map(|name| Classified::General(GeneralName::Dns(name)));
    }
    Ok(Classified::Plain(text.to_owned()))
}

/// A DNS name in the form certificates carry: ASCII (IDNA 2008 through UTS 46), lower-case, no trailing dot; a
/// wildcard only as the whole leftmost label (RFC 9525 section 6.3).
///
/// # Errors
/// [`NameError::Dns`] or [`NameError::Wildcard`].
///
/// ```
/// assert_eq!(pki::name::dns_name("Bücher.example").as_deref(), Ok("xn--bcher-kva.example"));
/// assert!(pki::name::dns_name("*.*.example.com").is_err());
/// ```
pub fn dns_name(text: &str) -> Result<String, NameError> {
    let problem = |why| NameError::Dns { name: text.to_owned(), why };
    let wildcard = |why| NameError::Wildcard { name: text.to_owned(), why };
    let (star, rest) = match text.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if text == "*" {
        return Err(wildcard("a wildcard needs a domain behind it, such as *.example.com"));
    }
    if rest.contains('*') {
        return Err(wildcard(
            "a wildcard is the whole leftmost label and stands for one label only (RFC 9525 section 6.3); \
             name each level by itself, such as *.a.example.com and *.b.example.com",
        ));
    }
    if rest.contains("://") || rest.contains('/') {
        return Err(problem("it looks like a URL; give the host alone"));
    }
    if rest.contains(':') {
        return Err(problem("it holds a colon; give the host without a port"));
    }
    let ascii = idna::domain_to_ascii(rest)
        .map_err(|_| problem("it cannot be converted to an internationalised domain name (IDNA)"))?;
    let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
    if ascii.is_empty() {
        return Err(problem("it is empty"));
    }
    if ascii.len() > 253 {
        return Err(problem("it is longer than 253 octets (RFC 1035 section 2.3.4)"));
    }
    for label in ascii.split('.') {
        if label.is_empty() {
            return Err(problem("a label between two dots is empty"));
        }
        if label.len() > 63 {
            return Err(problem("a label is longer than 63 octets (RFC 1035 section 2.3.4)"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(problem("a label starts or ends with a hyphen"));
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err(problem("it holds a character other than letters, digits, hyphens and dots"));
        }
    }
    if ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
        return Err(problem("its last label is a number, so it would be read as an address"));
    }
    if star && !ascii.contains('.') && !ascii.eq_ignore_ascii_case("localhost") {
        return Err(wildcard(
            "browsers and OpenSSL match no wildcard directly under a top-level domain; give it a domain of two \
             labels, such as *.example.com",
        ));
    }
    Ok(if star { format!("*.{ascii}") } else { ascii.to_owned() })
}

/// The longest mailbox, for which a path has two octets more (RFC 5321 section 4.5.3.1.3).
const LONGEST_MAILBOX: usize = 254;

/// A mailbox in the form rfc822Name carries: ASCII, its domain converted.
///
/// # Errors
/// [`NameError::Email`].
pub fn email_address(text: &str) -> Result<String, NameError> {
    let problem = |why| NameError::Email { name: text.to_owned(), why };
    let (local, domain) = text.rsplit_once('@').ok_or_else(|| problem("it has no @"))?;
    if local.is_empty() || local.len() > 64 {
        return Err(problem("the part before the @ has 1 to 64 characters (RFC 5321 section 4.5.3.1.1)"));
    }
    if !local.is_ascii() {
        return Err(problem("the part before the @ must be ASCII: rfc822Name holds nothing else"));
    }
    if local.contains(|c: char| c.is_ascii_control() || " \"(),:;<>@[\\]".contains(c))
        || local.starts_with('.')
        || local.ends_with('.')
        || local.contains("..")
    {
        return Err(problem("the part before the @ holds a character that needs quoting"));
    }
    match dns_name(domain) {
        Ok(domain) if local.len() + 1 + domain.len() > LONGEST_MAILBOX => {
            Err(problem("a mailbox has at most 254 characters (RFC 5321 section 4.5.3.1.3)"))
        }
        Ok(domain) if !domain.starts_with('*') => Ok(format!("{local}@{domain}")),
        _ => Err(problem("the part behind the @ is no domain")),
    }
}

/// A URI in the form subjectAltName carries: absolute, ASCII, with a scheme and something behind it.
///
/// # Errors
/// [`NameError::Uri`].
pub fn uri(text: &str) -> Result<String, NameError> {
    let problem = |why| NameError::Uri { name: text.to_owned(), why };
    let (scheme, rest) = text.split_once(':').ok_or_else(|| problem("it has no scheme"))?;
    let scheme_is_right = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if !scheme_is_right {
        return Err(problem("its scheme is malformed (RFC 3986 section 3.1)"));
    }
    if !rest.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&b)) {
        return Err(problem("it holds a character that a URI must percent-encode"));
    }
    let body = rest.strip_prefix("//").unwrap_or(rest);
    if body.is_empty() || (rest.starts_with("//") && body.starts_with('/')) {
        return Err(problem("nothing stands behind its scheme (RFC 5280 wants a host there)"));
    }
    if scheme.eq_ignore_ascii_case("spiffe")
        && (body.contains('?') || body.contains('#') || body.contains('@'))
    {
        return Err(problem("a SPIFFE ID has a trust domain and a path, nothing else"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn names_get_what_they_are() {
        let client = |text: &str| {
            let names = SubjectNames::for_client(text).unwrap();
            (
                names.common_name.unwrap_or_default(),
                names.alternative.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            )
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(client("alice"), pair("alice", ""));
        assert_eq!(client("Alice Example"), pair("Alice Example", ""));
        assert_eq!(client("api.partner.test"), pair("api.partner.test", "DNS:api.partner.test"));
        assert_eq!(client("a@b.test"), pair("a@b.test", "email:a@b.test"));
        assert_eq!(client("10.0.0.1"), pair("10.0.0.1", "IP:10.0.0.1"));
        assert_eq!(
            client("spiffe://acme.test/web"),
            pair("spiffe://acme.test/web", "URI:spiffe://acme.test/web")
        );
        let server = SubjectNames::for_server(&["myhost", "[::1]", "myhost"]).unwrap();
        assert_eq!(server.alternative.len(), 2, "a name given twice stands once");
    }

    #[test]
    fn a_mailbox_is_as_long_as_may_be_once_its_domain_is_ascii() {
        // Two octets of a label are seven in ASCII.
        let domain = |labels: usize| format!("{}a.test", "ü.".repeat(labels));
        let found: Vec<_> = (1..40).map(|labels| email_address(&format!("x@{}", domain(labels)))).collect();
        for found in found.iter().flatten() {
            assert!(found.len() <= 254);
            assert_eq!(email_address(found).as_ref(), Ok(found));
        }
        assert!(found[0].is_ok() && found[38].is_err());
        let local = "x".repeat(64);
        let fitting = format!("{local}@{}.{}.{}.test", "a".repeat(62), "b".repeat(62), "c".repeat(58));
        assert_eq!(fitting.len(), 254);
        assert!(email_address(&fitting).is_ok());
        assert!(email_address(&fitting.replacen("c", "cc", 1)).is_err());
    }

    #[test]
    fn a_url_for_a_server_is_answered_with_what_to_give_instead() {
        let error = SubjectNames::for_server(&["https://localhost:8443/"]).unwrap_err();
        assert!(error.to_string().contains("give the host alone"), "{error}");
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_rule() {
        for bad in [
            "",
            "  ",
            "*",
            "a.*.example.com",
            "f*o.example.com",
            "*.com",
            "-a.example.com",
            "a..example.com",
            "a@",
            "@b.test",
            "a b@c.test",
            "http://",
            "spiffe://a?b",
            "1.2.3",
            "host.test:443",
        ] {
            let refused = SubjectNames::for_server(&[bad]).is_err() || SubjectNames::for_client(bad).is_err();
            assert!(refused, "{bad:?}");
        }
        let long = "x".repeat(65);
        assert!(SubjectNames::for_client(&long).is_err());
    }
}
