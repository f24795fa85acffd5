//! Identities: the authenticated names in a verified certificate. There may be several, and policy looks at all
//! of them.

use std::fmt;
use std::net::IpAddr;

use crate::certificate::Certificate;
use crate::der::{Reader, tag};
use crate::name::GeneralName;
use crate::oid::{self, Oid};
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
    /// A user principal name: an otherName of Microsoft's, found in smart-card certificates.
    UserPrincipalName(String),
    /// A registeredID, in dotted form.
    RegisteredId(String),
    /// A directoryName, as RFC 4514 writes it.
    Directory(String),
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
            GeneralName::Directory(name) => Some(Identity::Directory(name.to_string())),
            GeneralName::Other { kind: 0, der } => user_principal_name(der).map(Identity::UserPrincipalName),
            GeneralName::Other { kind: 8, der } => registered_id(der).map(Identity::RegisteredId),
            GeneralName::Other { .. } => None,
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
            Identity::UserPrincipalName(_) => "upn",
            Identity::RegisteredId(_) => "rid",
            Identity::Directory(_) => "dir",
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
            | Identity::Uri(text)
            | Identity::UserPrincipalName(text)
            | Identity::RegisteredId(text)
            | Identity::Directory(text) => text.clone(),
            Identity::Ip(ip) => ip.to_string(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind(), self.value().escape_debug())
    }
}

/// The text of an otherName that is a user principal name: `SEQUENCE { type-id, [0] EXPLICIT UTF8String }`.
fn user_principal_name(other_name: &[u8]) -> Option<String> {
    let mut fields = Reader::new(other_name).nested(tag::context_constructed(0)).ok()?;
    if fields.object_identifier().ok()? != oid::USER_PRINCIPAL_NAME {
        return None;
    }
    let mut value = fields.nested(tag::context_constructed(0)).ok()?;
    let text = value.expect(tag::UTF8_STRING).ok()?;
    value.finish().ok()?;
    fields.finish().ok()?;
    let text = std::str::from_utf8(text.content).ok()?;
    (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}

/// The dotted form of a registeredID, an OBJECT IDENTIFIER under an implicit tag.
fn registered_id(der: &[u8]) -> Option<String> {
    let content = Reader::new(der).expect(tag::context(8)).ok()?.content;
    Oid::from_content(content).map(|oid| oid.dotted())
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
        self.primary().map_or_else(|| self.certificate().subject().short(), Identity::value)
    }

    /// The identity that [`VerifiedPeer::display_name`] shows, where it has any.
    #[must_use]
    pub fn primary(&self) -> Option<&Identity> {
        let rank = |identity: &Identity| match identity {
            Identity::Uri(_) => 0,
            Identity::Email(_) => 1,
            Identity::Dns(_) => 2,
            Identity::UserPrincipalName(_) => 3,
            Identity::CommonName(_) => 4,
            Identity::Ip(_) => 5,
            Identity::Directory(_) => 6,
            Identity::RegisteredId(_) => 7,
            Identity::OrganizationalUnit(_) => 8,
        };
        self.identities.iter().min_by_key(|identity| rank(identity))
    }
}
