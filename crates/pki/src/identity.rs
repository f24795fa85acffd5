//! Identities: the authenticated names in a verified certificate. There may be several, and policy looks at all
//! of them.

use std::fmt;
use std::net::IpAddr;

use crate::certificate::Certificate;
use crate::name::GeneralName;
use crate::oid;
use crate::verify::VerifiedPath;

/// One authenticated name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A commonName of the subject.
    CommonName(String),
    /// An organizationalUnitName of the subject.
    OrganizationalUnit(String),
    /// A dNSName.
    Dns(String),
    /// An iPAddress.
    Ip(IpAddr),
    /// An rfc822Name.
    Email(String),
    /// A uniformResourceIdentifier, such as a SPIFFE ID.
    Uri(String),
}

impl Identity {
    /// All names of a certificate: first those of subjectAltName, then those of the subject.
    #[must_use]
    pub fn all_of(certificate: &Certificate) -> Vec<Identity> {
        let alternative = certificate.subject_alt_names().iter().filter_map(|name| match name {
            GeneralName::Dns(text) => Some(Identity::Dns(text.clone())),
            GeneralName::Ip(ip) => Some(Identity::Ip(*ip)),
            GeneralName::Email(text) => Some(Identity::Email(text.clone())),
            GeneralName::Uri(text) => Some(Identity::Uri(text.clone())),
            GeneralName::Directory(_) | GeneralName::Other { .. } => None,
        });
        let subject = certificate.subject();
        let common = subject.values(&oid::COMMON_NAME).into_iter().map(Identity::CommonName);
        let units =
            subject.values(&oid::ORGANIZATIONAL_UNIT_NAME).into_iter().map(Identity::OrganizationalUnit);
        alternative.chain(common).chain(units).collect()
    }

    /// The kind, in the words of the `--allow-…` flags.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Identity::CommonName(_) => "cn",
            Identity::OrganizationalUnit(_) => "ou",
            Identity::Dns(_) => "dns",
            Identity::Ip(_) => "ip",
            Identity::Email(_) => "email",
            Identity::Uri(_) => "uri",
        }
    }

    /// The name itself.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Identity::CommonName(text)
            | Identity::OrganizationalUnit(text)
            | Identity::Dns(text)
            | Identity::Email(text)
            | Identity::Uri(text) => text.clone(),
            Identity::Ip(ip) => ip.to_string(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind(), self.value().escape_debug())
    }
}

/// The other side of a connection, after its certificate was verified. Only a [`VerifiedPath`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedPeer {
    path: VerifiedPath,
    identities: Vec<Identity>,
}

impl VerifiedPeer {
    /// The peer whose certificate leads this path.
    #[must_use]
    pub fn new(path: VerifiedPath) -> Self {
        let identities = Identity::all_of(path.leaf());
        VerifiedPeer { path, identities }
    }

    /// Its own certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        self.path.leaf()
    }

    /// The path from its certificate to the anchor.
    #[must_use]
    pub fn path(&self) -> &VerifiedPath {
        &self.path
    }

    /// All its names.
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The one name to show where only one fits: URI, email, DNS name, commonName, in this order. For people and
    /// logs; policy never asks.
    #[must_use]
    pub fn display_name(&self) -> String {
        let rank = |identity: &Identity| match identity {
            Identity::Uri(_) => 0,
            Identity::Email(_) => 1,
            Identity::Dns(_) => 2,
            Identity::CommonName(_) => 3,
            Identity::Ip(_) => 4,
            Identity::OrganizationalUnit(_) => 5,
        };
        self.identities
            .iter()
            .min_by_key(|identity| rank(identity))
            .map_or_else(|| self.certificate().subject().short(), Identity::value)
    }
}
