//! Name constraints from short texts such as `DNS:localhost`, typed for `pki::issuer` and encoded by an encoder of
//! their own for raw certificates.

use pki::der::{Writer, tag};
use pki::extension::NameConstraints;
use pki::name::{DistinguishedName, IpRange, Subtree};
use pki::oid;

/// A subtree from `DNS:…`, `email:…`, `URI:…`, `IP:address/prefix` or `O:organization` (a directory name of that
/// one attribute).
///
/// # Panics
/// Where the text is none of these.
#[must_use]
pub fn subtree(text: &str) -> Subtree {
    match text.split_once(':').unwrap() {
        ("DNS", base) => Subtree::Dns(base.to_owned()),
        ("email", base) => Subtree::Email(base.to_owned()),
        ("URI", base) => Subtree::Uri(base.to_owned()),
        ("IP", base) => Subtree::Ip(base.parse::<IpRange>().unwrap()),
        ("O", base) => Subtree::Directory(DistinguishedName::build(&[(oid::ORGANIZATION_NAME, base)])),
        (kind, _) => panic!("'{kind}' is no kind of subtree"),
    }
}

/// Constraints that permit these subtrees and exclude nothing.
#[must_use]
pub fn permit(texts: &[&str]) -> NameConstraints {
    permit_and_exclude(texts, &[])
}

/// Constraints that exclude these subtrees and permit all else.
#[must_use]
pub fn exclude(texts: &[&str]) -> NameConstraints {
    permit_and_exclude(&[], texts)
}

/// Constraints of both kinds.
#[must_use]
pub fn permit_and_exclude(permitted: &[&str], excluded: &[&str]) -> NameConstraints {
    let list = |texts: &[&str]| texts.iter().map(|text| subtree(text)).collect();
    NameConstraints { permitted: list(permitted), excluded: list(excluded) }
}

/// The DER of one GeneralSubtree, from a text as [`subtree`] takes it.
///
/// # Panics
/// Where the text is none.
#[must_use]
pub fn subtree_der(text: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| match text.split_once(':').unwrap() {
        ("email", base) => w.primitive(tag::context(1), base.as_bytes()),
        ("DNS", base) => w.primitive(tag::context(2), base.as_bytes()),
        ("URI", base) => w.primitive(tag::context(6), base.as_bytes()),
        ("IP", base) => {
            let (address, prefix) = base.split_once('/').unwrap();
            let octets = match address.parse().unwrap() {
                std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
                std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            let prefix: usize = prefix.parse().unwrap();
            let mask = (0..octets.len()).map(|index| {
                (0..8).filter(|bit| index * 8 + bit < prefix).fold(0u8, |octet, bit| octet | 0x80 >> bit)
            });
            let both: Vec<u8> = octets.iter().copied().chain(mask).collect();
            w.primitive(tag::context(7), &both);
        }
        ("O", base) => w.nested(tag::context_constructed(4), |w| {
            w.raw(DistinguishedName::build(&[(oid::ORGANIZATION_NAME, base)]).der());
        }),
        (kind, _) => panic!("'{kind}' is no kind of subtree"),
    });
    writer.into_bytes()
}

/// The DER of a NameConstraints from GeneralSubtrees that are DER already, right or wrong.
#[must_use]
pub fn constraints_der(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, |w| {
        for (number, list) in [(0, permitted), (1, excluded)] {
            if !list.is_empty() {
                w.nested(tag::context_constructed(number), |w| list.iter().for_each(|der| w.raw(der)));
            }
        }
    });
    writer.into_bytes()
}
