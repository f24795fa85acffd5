//! The rules of a policy, found by the names that they speak of. It answers as [`Rule::concerns`] does, for all rules
//! at once: a look-up for each name of the peer, however many rules there are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use super::Rule;
use super::rule::uri_matches;
use crate::identity::{Identity, VerifiedPeer};
use crate::name::IpRange;

/// The numbers of the rules under one name.
type Numbers = Vec<u32>;

#[derive(Default)]
pub(super) struct Index {
    everyone: Numbers,
    common_names: HashMap<String, Numbers>,
    units: HashMap<String, Numbers>,
    /// DNS names in lower case.
    dns: HashMap<String, Numbers>,
    /// What stands behind `*.`, in lower case.
    dns_parents: HashMap<String, Numbers>,
    uris: HashMap<String, Numbers>,
    /// URI patterns by what stands before their first segment with a `*`.
    uri_patterns: HashMap<String, Vec<(String, u32)>>,
    /// The most segments that stand before a `*`: no longer beginning of a name is looked up.
    uri_depth: usize,
    /// Mailboxes, the host in lower case.
    emails: HashMap<String, Numbers>,
    email_hosts: HashMap<String, Numbers>,
    addresses: HashMap<IpAddr, Numbers>,
    /// Ranges by the length of their prefix; there are at most 162 lengths.
    ranges: Vec<(IpRange, HashMap<IpAddr, Numbers>)>,
    principals: HashMap<String, Numbers>,
    registered_ids: HashMap<String, Numbers>,
    directories: HashMap<String, Numbers>,
    pins: HashMap<[u8; 32], Numbers>,
}

impl Index {
    pub(super) fn new<'a>(rules: impl Iterator<Item = &'a Rule>) -> Self {
        let mut index = Index::default();
        for (number, rule) in (0..).zip(rules) {
            index.add(number, rule);
        }
        index
    }

    fn add(&mut self, number: u32, rule: &Rule) {
        match rule {
            Rule::All => self.everyone.push(number),
            Rule::CommonName(name) => self.common_names.entry(name.clone()).or_default().push(number),
            Rule::OrganizationalUnit(name) => self.units.entry(name.clone()).or_default().push(number),
            Rule::Dns(name) => {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut self.dns_parents, parent),
                    None => (&mut self.dns, name.as_str()),
                };
                names.entry(name.to_ascii_lowercase()).or_default().push(number);
            }
            Rule::Uri(pattern) => match literal_segments(pattern) {
                None => self.uris.entry(pattern.clone()).or_default().push(number),
                Some(segments) => {
                    self.uri_depth = self.uri_depth.max(segments.len());
                    let patterns = self.uri_patterns.entry(segments.join("/")).or_default();
                    patterns.push((pattern.clone(), number));
                }
            },
            Rule::Email(mailbox) => match mailbox.rsplit_once('@') {
                Some(("", host)) => {
                    self.email_hosts.entry(host.to_ascii_lowercase()).or_default().push(number);
                }
                Some(_) => {
                    self.emails.entry(folded_mailbox(mailbox).into_owned()).or_default().push(number);
                }
                // Without a host it is no mailbox, and concerns nobody.
                None => {}
            },
            Rule::Ip(range) => match range.single() {
                Some(address) => self.addresses.entry(address).or_default().push(number),
                None => {
                    let bases = match self.ranges.iter_mut().find(|(like, _)| like.is_as_long_as(range)) {
                        Some((_, bases)) => bases,
                        None => {
                            self.ranges.push((*range, HashMap::new()));
                            let last = self.ranges.len() - 1;
                            &mut self.ranges[last].1
                        }
                    };
                    bases.entry(range.base()).or_default().push(number);
                }
            },
            Rule::UserPrincipalName(name) => {
                self.principals.entry(name.to_ascii_lowercase()).or_default().push(number);
            }
            Rule::RegisteredId(name) => self.registered_ids.entry(name.clone()).or_default().push(number),
            Rule::Directory(name) => self.directories.entry(name.clone()).or_default().push(number),
            Rule::SpkiPin(pin) => self.pins.entry(*pin).or_default().push(number),
        }
    }

    /// Calls `found` with the number of every rule that speaks of the peer, some perhaps more than once.
    pub(super) fn visit(&self, peer: &VerifiedPeer, mut found: impl FnMut(u32)) {
        let mut each = |numbers: &[u32]| numbers.iter().copied().for_each(&mut found);
        each(&self.everyone);
        // The hash of a key costs more than all look-ups together: only where a rule needs it.
        if !self.pins.is_empty()
            && let Ok(key) = peer.certificate().public_key()
        {
            each(numbers(self.pins.get(&key.spki_sha256())));
        }
        for identity in peer.identities() {
            match identity {
                Identity::CommonName(name) => each(numbers(self.common_names.get(name))),
                Identity::OrganizationalUnit(name) => each(numbers(self.units.get(name))),
                Identity::Dns(name) => {
                    let name = lower(name);
                    each(numbers(self.dns.get(&*name)));
                    // A certificate for a wildcard is no single client, so a wildcard rule does not speak of it.
                    if let Some((label, parent)) = name.split_once('.')
                        && label != "*"
                    {
                        each(numbers(self.dns_parents.get(parent)));
                    }
                }
                Identity::Uri(name) => {
                    each(numbers(self.uris.get(name)));
                    for beginning in beginnings(name, self.uri_depth) {
                        for (pattern, number) in self.uri_patterns.get(beginning).into_iter().flatten() {
                            if uri_matches(pattern, name) {
                                each(&[*number]);
                            }
                        }
                    }
                }
                Identity::Email(name) => {
                    let name = folded_mailbox(name);
                    each(numbers(self.emails.get(&*name)));
                    if let Some((_, host)) = name.rsplit_once('@') {
                        each(numbers(self.email_hosts.get(host)));
                    }
                }
                Identity::Ip(address) => {
                    each(numbers(self.addresses.get(address)));
                    for (like, bases) in &self.ranges {
                        each(numbers(like.base_of(*address).and_then(|base| bases.get(&base))));
                    }
                }
                Identity::UserPrincipalName(name) => each(numbers(self.principals.get(&*lower(name)))),
                Identity::RegisteredId(name) => each(numbers(self.registered_ids.get(name))),
                Identity::Directory(name) => each(numbers(self.directories.get(name))),
            }
        }
    }
}

fn numbers(found: Option<&Numbers>) -> &[u32] {
    found.map_or(&[], Vec::as_slice)
}

/// The segments before the first that stands for others; `None` where every segment stands for itself.
fn literal_segments(pattern: &str) -> Option<Vec<&str>> {
    let segments: Vec<&str> = pattern.split('/').collect();
    let last = segments.len() - 1;
    let first = segments.iter().enumerate().position(|(at, segment)| match *segment {
        "*" => true,
        "**" => at == last,
        _ => false,
    })?;
    Some(segments[..first].to_vec())
}

/// The beginnings of a name that end before a `/`, with at most this many segments, and the empty one.
fn beginnings(name: &str, most: usize) -> impl Iterator<Item = &str> {
    let before_slashes = name.match_indices('/').map(|(at, _)| &name[..at]);
    // A name that starts with a slash has the empty beginning of its own accord; twice found is no harm.
    std::iter::once("").chain(before_slashes.take(most))
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// The mailbox with its host in lower case; what stands before the last `@` is the host's own affair (RFC 5321 section
/// 2.4).
fn folded_mailbox(mailbox: &str) -> Cow<'_, str> {
    match mailbox.rsplit_once('@') {
        Some((local, host)) if host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            Cow::Owned(format!("{local}@{}", host.to_ascii_lowercase()))
        }
        _ => Cow::Borrowed(mailbox),
    }
}
