//! General names (RFC 5280 section 4.2.1.6) and the subtrees that name constraints draw around them (section
//! 4.2.1.10).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::DistinguishedName;
use crate::der::{DerError, Reader, Tlv, Writer, tag};

/// One GeneralName.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GeneralName {
    /// rfc822Name.
    Email(String),
    /// dNSName.
    Dns(String),
    /// directoryName.
    Directory(DistinguishedName),
    /// uniformResourceIdentifier.
    Uri(String),
    /// iPAddress.
    Ip(IpAddr),
    /// Any other kind (otherName, x400Address, ediPartyName, registeredID), or one whose content breaks the
    /// rules of its kind.
    Other {
        /// The context tag number, 0 to 8.
        kind: u8,
        /// The whole encoding.
        der: Vec<u8>,
    },
}

impl GeneralName {
    /// Reads one GeneralName.
    ///
    /// # Errors
    /// [`DerError`] where it is not one at all.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DerError> {
        let tlv = reader.any()?;
        if tlv.tag & 0xc0 != 0x80 {
            return Err(DerError::Value { what: "GeneralName", offset: tlv.content_offset });
        }
        Ok(Self::from_tlv(tlv))
    }

    fn from_tlv(tlv: Tlv<'_>) -> Self {
        let kind = tlv.tag & 0x1f;
        let text =
            || std::str::from_utf8(tlv.content).ok().filter(|text| text.is_ascii() && !text.contains('\0'));
        let understood = match tlv.tag {
            0x81 => text().map(|t| GeneralName::Email(t.to_owned())),
            0x82 => text().map(|t| GeneralName::Dns(t.to_owned())),
            0x86 => text().map(|t| GeneralName::Uri(t.to_owned())),
            0xa4 => DistinguishedName::from_der(tlv.content).ok().map(GeneralName::Directory),
            0x87 => ip_from_octets(tlv.content).map(GeneralName::Ip),
            _ => None,
        };
        understood.unwrap_or_else(|| GeneralName::Other { kind, der: tlv.whole.to_vec() })
    }

    /// Writes the encoding.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            GeneralName::Email(text) => writer.primitive(tag::context(1), text.as_bytes()),
            GeneralName::Dns(text) => writer.primitive(tag::context(2), text.as_bytes()),
            GeneralName::Uri(text) => writer.primitive(tag::context(6), text.as_bytes()),
            GeneralName::Directory(name) => {
                writer.nested(tag::context_constructed(4), |w| w.raw(name.der()));
            }
            GeneralName::Ip(IpAddr::V4(ip)) => writer.primitive(tag::context(7), &ip.octets()),
            GeneralName::Ip(IpAddr::V6(ip)) => writer.primitive(tag::context(7), &ip.octets()),
            GeneralName::Other { der, .. } => writer.raw(der),
        }
    }

    /// The kind, in the words of `--allow-…` and of openssl: `DNS`, `IP`, `email`, `URI`, `directory`, `other`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            GeneralName::Email(_) => "email",
            GeneralName::Dns(_) => "DNS",
            GeneralName::Directory(_) => "directory",
            GeneralName::Uri(_) => "URI",
            GeneralName::Ip(_) => "IP",
            GeneralName::Other { .. } => "other",
        }
    }

    /// The value alone, without its kind.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            GeneralName::Email(text) | GeneralName::Dns(text) | GeneralName::Uri(text) => {
                text.escape_debug().to_string()
            }
            GeneralName::Directory(name) => name.to_string(),
            GeneralName::Ip(ip) => ip.to_string(),
            GeneralName::Other { kind, der } => format!("[{kind}] {}", crate::hex(der)),
        }
    }
}

impl fmt::Display for GeneralName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.value())
    }
}

fn ip_from_octets(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(IpAddr::V4(Ipv4Addr::from(v4)));
    }
    <[u8; 16]>::try_from(octets).ok().map(|v6| IpAddr::V6(Ipv6Addr::from(v6)))
}

/// A range of addresses with a contiguous mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRange {
    address: IpAddr,
    prefix: u8,
}

impl IpRange {
    /// Whether `ip` is in the range; an IPv4 address is never in an IPv6 range.
    ///
    /// ```
    /// let range: pki::name::IpRange = "127.0.0.0/8".parse()?;
    /// assert!(range.contains("127.9.9.9".parse()?));
    /// assert!(!range.contains("::1".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                u32::from(base) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                u128::from(base) & mask == u128::from(ip) & mask
            }
            _ => false,
        }
    }

    /// The one address in it, where it is one.
    #[must_use]
    pub fn single(&self) -> Option<IpAddr> {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        (self.prefix == whole).then_some(self.address)
    }

    /// Its first address.
    #[must_use]
    pub fn base(&self) -> IpAddr {
        // An address is of its own family.
        self.base_of(self.address).unwrap_or(self.address)
    }

    /// The first address of the range of this length that `ip` is in; `None` for an address of the other family.
    #[must_use]
    pub fn base_of(&self, ip: IpAddr) -> Option<IpAddr> {
        match (self.address, ip) {
            (IpAddr::V4(_), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                Some(Ipv4Addr::from(u32::from(ip) & mask).into())
            }
            (IpAddr::V6(_), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                Some(Ipv6Addr::from(u128::from(ip) & mask).into())
            }
            _ => None,
        }
    }

    /// Whether another range has the same family and length.
    #[must_use]
    pub fn is_as_long_as(&self, other: &IpRange) -> bool {
        self.prefix == other.prefix && self.address.is_ipv4() == other.address.is_ipv4()
    }

    /// Address and mask octets, as name constraints carry them.
    fn octets(&self) -> Vec<u8> {
        match self.address {
            IpAddr::V4(base) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                [(u32::from(base) & mask).to_be_bytes(), mask.to_be_bytes()].concat()
            }
            IpAddr::V6(base) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                [(u128::from(base) & mask).to_be_bytes(), mask.to_be_bytes()].concat()
            }
        }
    }

    fn from_octets(octets: &[u8]) -> Option<Self> {
        let (address, mask) = octets.split_at_checked(octets.len() / 2)?;
        let address = ip_from_octets(address)?;
        let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
        let range = IpRange { address, prefix: u8::try_from(ones).ok()? };
        // A mask with holes does not survive the way back.
        (range.octets()[mask.len()..] == *mask).then_some(range)
    }
}

impl FromStr for IpRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| format!("'{address}' is no IP address"))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|length| *length <= most)
                .ok_or_else(|| format!("'/{prefix}' is no prefix length; use 0 to {most}"))?,
            None => most,
        };
        Ok(IpRange { address, prefix })
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The base of a GeneralSubtree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subtree {
    /// A domain and everything under it; empty means every DNS name.
    Dns(String),
    /// A mailbox (`a@b`), all mailboxes of a host (`b`), or of all hosts under a domain (`.b`).
    Email(String),
    /// A URI's host, or all hosts under a domain (`.b`).
    Uri(String),
    /// Addresses.
    Ip(IpRange),
    /// A directory subtree.
    Directory(DistinguishedName),
    /// Any kind or content not understood; it constrains names of that kind, and nothing can be inside it.
    Other {
        /// The context tag number.
        kind: u8,
        /// The whole encoding of the base.
        der: Vec<u8>,
    },
}

impl Subtree {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DerError> {
        let mut subtree = reader.nested(tag::SEQUENCE)?;
        let base = subtree.any()?;
        // RFC 5280 section 4.2.1.10: minimum is 0 and so absent, maximum is absent.
        subtree.finish()?;
        if base.tag == tag::context(7) {
            return Ok(match IpRange::from_octets(base.content) {
                Some(range) => Subtree::Ip(range),
                None => Subtree::Other { kind: 7, der: base.whole.to_vec() },
            });
        }
        Ok(match GeneralName::from_tlv(base) {
            GeneralName::Dns(text) => Subtree::Dns(text),
            GeneralName::Email(text) => Subtree::Email(text),
            GeneralName::Uri(text) => Subtree::Uri(text),
            GeneralName::Directory(name) => Subtree::Directory(name),
            GeneralName::Other { kind, der } => Subtree::Other { kind, der },
            GeneralName::Ip(_) => Subtree::Other { kind: 7, der: base.whole.to_vec() },
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.nested(tag::SEQUENCE, |w| match self {
            Subtree::Dns(text) => w.primitive(tag::context(2), text.as_bytes()),
            Subtree::Email(text) => w.primitive(tag::context(1), text.as_bytes()),
            Subtree::Uri(text) => w.primitive(tag::context(6), text.as_bytes()),
            Subtree::Ip(range) => w.primitive(tag::context(7), &range.octets()),
            Subtree::Directory(name) => w.nested(tag::context_constructed(4), |w| w.raw(name.der())),
            Subtree::Other { der, .. } => w.raw(der),
        });
    }

    /// Whether it constrains names of this kind.
    #[must_use]
    pub fn concerns(&self, name: &GeneralName) -> bool {
        match (self, name) {
            (Subtree::Dns(_), GeneralName::Dns(_))
            | (Subtree::Email(_), GeneralName::Email(_))
            | (Subtree::Uri(_), GeneralName::Uri(_))
            | (Subtree::Ip(_), GeneralName::Ip(_))
            | (Subtree::Directory(_), GeneralName::Directory(_)) => true,
            (Subtree::Other { kind, .. }, name) => *kind == context_number(name),
            // A name whose content is malformed is constrained by every subtree of its kind.
            (subtree, GeneralName::Other { kind, .. }) => *kind == subtree.context_number(),
            _ => false,
        }
    }

    /// Whether the name is inside. A wildcard counts as inside a permitted subtree when everything it stands for
    /// is.
    ///
    /// ```
    /// use pki::name::{GeneralName, Subtree};
    /// let local = Subtree::Dns("localhost".into());
    /// assert!(local.contains(&GeneralName::Dns("*.localhost".into())));
    /// assert!(!local.contains(&GeneralName::Dns("notlocalhost".into())));
    /// ```
    #[must_use]
    pub fn contains(&self, name: &GeneralName) -> bool {
        self.is_sound() && Presented::new(name).is_some_and(|presented| self.holds(&presented))
    }

    /// Whether an excluded subtree touches a name of its kind: as [`Subtree::contains`], and also where a wildcard
    /// covers a name inside, and where the name or the subtree is malformed, so that nobody can say.
    #[must_use]
    pub fn touches(&self, name: &GeneralName) -> bool {
        self.concerns(name)
            && (!self.is_sound() || Presented::new(name).is_none_or(|presented| self.reaches(&presented)))
    }

    /// Whether it can be compared with names at all. A malformed one could be slipped past: `evil.test.` is
    /// `evil.test` to a resolver.
    pub(crate) fn is_sound(&self) -> bool {
        match self {
            Subtree::Dns(base) | Subtree::Uri(base) => is_domain_base(base),
            Subtree::Email(base) => is_domain_base(base) || is_mailbox(base),
            Subtree::Ip(_) | Subtree::Directory(_) => true,
            Subtree::Other { .. } => false,
        }
    }

    /// Whether a sound subtree contains the name.
    pub(crate) fn holds(&self, presented: &Presented<'_>) -> bool {
        match (self, presented) {
            (Subtree::Dns(base), Presented::Dns(name)) => match base.strip_prefix('.') {
                // RFC 5280 has no leading dot here; OpenSSL and Go read it as one label more, at least.
                Some(domain) => is_under(name, domain),
                None => dns_within(name, base),
            },
            (Subtree::Email(base), Presented::Email(local, host)) => email_within(local, host, base),
            (Subtree::Uri(base), Presented::UriHost(host)) => host_within(host, base),
            (Subtree::Ip(range), Presented::Ip(ip)) => range.contains(*ip),
            (Subtree::Directory(base), Presented::Directory(name)) => name.is_within(base),
            _ => false,
        }
    }

    /// Whether a sound subtree, which excludes, touches the name.
    pub(crate) fn reaches(&self, presented: &Presented<'_>) -> bool {
        match (self, presented) {
            (Subtree::Dns(base), Presented::Dns(name)) => {
                let base = base.strip_prefix('.').unwrap_or(base);
                let covered = name.strip_prefix("*.").is_some_and(|parent| {
                    base.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
                });
                covered || dns_within(name, base)
            }
            _ => self.holds(presented),
        }
    }

    fn context_number(&self) -> u8 {
        match self {
            Subtree::Email(_) => 1,
            Subtree::Dns(_) => 2,
            Subtree::Directory(_) => 4,
            Subtree::Uri(_) => 6,
            Subtree::Ip(_) => 7,
            Subtree::Other { kind, .. } => *kind,
        }
    }
}

impl fmt::Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subtree::Dns(text) => write!(f, "DNS:{text}"),
            Subtree::Email(text) => write!(f, "email:{text}"),
            Subtree::Uri(text) => write!(f, "URI:{text}"),
            Subtree::Ip(range) => write!(f, "IP:{range}"),
            Subtree::Directory(name) => write!(f, "directory:{name}"),
            Subtree::Other { kind, der } => write!(f, "[{kind}]:{}", crate::hex(der)),
        }
    }
}

/// A well-formed name, taken apart once: it is compared with every subtree of every CA above.
pub(crate) enum Presented<'a> {
    Dns(&'a str),
    Email(&'a str, &'a str),
    UriHost(&'a str),
    Ip(IpAddr),
    Directory(&'a DistinguishedName),
}

impl<'a> Presented<'a> {
    /// `None` where the name is malformed or of a kind that is not understood.
    pub(crate) fn new(name: &'a GeneralName) -> Option<Self> {
        match name {
            GeneralName::Dns(name) => {
                is_host(name.strip_prefix("*.").unwrap_or(name)).then_some(Presented::Dns(name))
            }
            GeneralName::Email(name) if is_mailbox(name) => {
                name.split_once('@').map(|(local, host)| Presented::Email(local, host))
            }
            GeneralName::Uri(uri) => uri_host(uri).map(Presented::UriHost),
            GeneralName::Ip(ip) => Some(Presented::Ip(*ip)),
            GeneralName::Directory(name) => Some(Presented::Directory(name)),
            GeneralName::Email(_) | GeneralName::Other { .. } => None,
        }
    }
}

fn context_number(name: &GeneralName) -> u8 {
    match name {
        GeneralName::Email(_) => 1,
        GeneralName::Dns(_) => 2,
        GeneralName::Directory(_) => 4,
        GeneralName::Uri(_) => 6,
        GeneralName::Ip(_) => 7,
        GeneralName::Other { kind, .. } => *kind,
    }
}

/// A host name as DNS has it; underscores are met in private networks.
fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// What a subtree names: every host, one host, or with a leading dot the hosts under it.
fn is_domain_base(base: &str) -> bool {
    base.is_empty() || is_host(base.strip_prefix('.').unwrap_or(base))
}

/// A mailbox without quoting (RFC 5321 section 4.1.2, Dot-string): a quoted one can be spelled in several ways.
fn is_mailbox(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty()
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b))
            && is_host(host)
    })
}

fn dns_within(name: &str, base: &str) -> bool {
    base.is_empty() || name.eq_ignore_ascii_case(base) || is_under(name, base)
}

fn is_under(name: &str, domain: &str) -> bool {
    name.len() > domain.len()
        && name.is_char_boundary(name.len() - domain.len())
        && name[name.len() - domain.len()..].eq_ignore_ascii_case(domain)
        && name.as_bytes()[name.len() - domain.len() - 1] == b'.'
}

/// RFC 5280 section 4.2.1.10: for URI and email, a host means that host alone and a leading dot its subdomains.
fn host_within(host: &str, base: &str) -> bool {
    match base.strip_prefix('.') {
        Some(domain) => is_under(host, domain),
        None => base.is_empty() || host.eq_ignore_ascii_case(base),
    }
}

fn email_within(local: &str, host: &str, base: &str) -> bool {
    match base.rsplit_once('@') {
        Some((base_local, base_host)) => local == base_local && host.eq_ignore_ascii_case(base_host),
        None => host_within(host, base),
    }
}

/// The host of a URI's authority, where it is a well-formed name and no address.
fn uri_host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    (is_host(host) && !is_address).then_some(host)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn dns(text: &str) -> GeneralName {
        GeneralName::Dns(text.to_owned())
    }

    #[test]
    fn subtrees_contain_what_rfc_5280_says() {
        let cases = [
            (Subtree::Dns("example.com".into()), dns("example.com"), true),
            (Subtree::Dns("example.com".into()), dns("A.EXAMPLE.com"), true),
            (Subtree::Dns("example.com".into()), dns("badexample.com"), false),
            (Subtree::Dns(String::new()), dns("anything"), true),
            (Subtree::Email("example.com".into()), GeneralName::Email("a@example.com".into()), true),
            (Subtree::Email("example.com".into()), GeneralName::Email("a@b.example.com".into()), false),
            (Subtree::Email(".example.com".into()), GeneralName::Email("a@b.example.com".into()), true),
            (Subtree::Email("a@example.com".into()), GeneralName::Email("b@example.com".into()), false),
            (Subtree::Uri("acme.test".into()), GeneralName::Uri("spiffe://acme.test/web".into()), true),
            (Subtree::Uri("acme.test".into()), GeneralName::Uri("https://u@acme.test:8/".into()), true),
            (Subtree::Uri("acme.test".into()), GeneralName::Uri("https://127.0.0.1/".into()), false),
            (Subtree::Uri("acme.test".into()), GeneralName::Uri("urn:acme.test".into()), false),
        ];
        for (subtree, name, inside) in cases {
            assert!(subtree.concerns(&name));
            assert_eq!(subtree.contains(&name), inside, "{subtree} {name}");
        }
    }

    #[test]
    fn an_excluded_name_under_a_wildcard_excludes_the_wildcard() {
        let excluded = Subtree::Dns("secret.example.com".into());
        assert!(excluded.touches(&dns("*.example.com")));
        assert!(!excluded.touches(&dns("open.example.com")));
        assert!(Subtree::Uri("a.test".into()).touches(&GeneralName::Uri("urn:x".into())));
    }

    #[test]
    fn a_name_that_cannot_be_judged_is_permitted_by_nothing_and_touched_by_every_exclusion() {
        let email = |text: &str| GeneralName::Email(text.to_owned());
        let cases = [
            (Subtree::Dns("evil.test".into()), dns("www.evil.test.")),
            (Subtree::Dns("evil.test".into()), dns("a..evil.test")),
            (Subtree::Dns("evil.test".into()), dns("a b.evil.test")),
            (Subtree::Dns("*.evil.test".into()), dns("www.evil.test")),
            (Subtree::Email("evil.test".into()), email("a@b@evil.test")),
            (Subtree::Email("a@b@evil.test".into()), email("a@evil.test")),
            (Subtree::Email("evil.test".into()), email("\"a\"@evil.test")),
            (Subtree::Uri("https://evil.test".into()), GeneralName::Uri("https://evil.test/x".into())),
            (Subtree::Uri("evil.test".into()), GeneralName::Uri("https://evil.test./x".into())),
        ];
        for (subtree, name) in cases {
            assert!(!subtree.contains(&name), "{subtree} contains {name}");
            assert!(subtree.touches(&name), "{subtree} does not touch {name}");
        }
        assert!(!Subtree::Dns("evil.test".into()).touches(&email("a@evil.test")), "another kind of name");
    }

    #[test]
    fn a_leading_dot_in_a_dns_subtree_wants_a_label_more_where_it_permits() {
        let subtree = Subtree::Dns(".example.com".into());
        assert!(subtree.contains(&dns("www.example.com")));
        assert!(!subtree.contains(&dns("example.com")));
        assert!(subtree.touches(&dns("example.com")), "what excludes is read widely");
    }

    #[test]
    fn a_mask_with_holes_constrains_and_contains_nothing() {
        assert!(IpRange::from_octets(&[10, 0, 0, 0, 255, 0, 255, 0]).is_none());
        assert_eq!(IpRange::from_octets(&[10, 0, 0, 0, 255, 0, 0, 0]).unwrap().to_string(), "10.0.0.0/8");
        assert!("10.0.0.0/33".parse::<IpRange>().is_err());
    }
}
