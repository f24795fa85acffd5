//! Profiles: what a kind of certificate may contain, whatever was asked for.

use std::fmt;
use std::str::FromStr;

use crate::extension::{BasicConstraints, KeyUsage};
use crate::key::KeyAlgorithm;
use crate::oid::{self, Oid};

/// A kind of certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// The self-signed anchor.
    Root,
    /// The intermediate that signs what others use.
    Issuing,
    /// A TLS server's.
    Server,
    /// A TLS client's.
    Client,
    /// An OCSP responder's, which the issuing CA lets speak for it (RFC 6960 section 4.2.2.2).
    Responder,
}

impl Profile {
    /// The word for it in flags, in the store and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Profile::Root => "root",
            Profile::Issuing => "issuing",
            Profile::Server => "server",
            Profile::Client => "client",
            Profile::Responder => "responder",
        }
    }

    /// basicConstraints, always present in a CA and never in the others.
    #[must_use]
    pub fn basic_constraints(self) -> Option<BasicConstraints> {
        match self {
            Profile::Root => Some(BasicConstraints { ca: true, path_length: None }),
            // It signs leaves and no further CA.
            Profile::Issuing => Some(BasicConstraints { ca: true, path_length: Some(0) }),
            Profile::Server | Profile::Client | Profile::Responder => None,
        }
    }

    /// keyUsage, critical always.
    #[must_use]
    pub fn key_usage(self, key: KeyAlgorithm) -> KeyUsage {
        match (self, key) {
            (Profile::Root | Profile::Issuing, _) => KeyUsage::KEY_CERT_SIGN.with(KeyUsage::CRL_SIGN),
            // keyEncipherment serves the RSA key exchange of TLS 1.2 that old clients still choose.
            (Profile::Server, KeyAlgorithm::Rsa(_)) => {
                KeyUsage::DIGITAL_SIGNATURE.with(KeyUsage::KEY_ENCIPHERMENT)
            }
            _ => KeyUsage::DIGITAL_SIGNATURE,
        }
    }

    /// extKeyUsage; none in a CA, so that a CA may issue for servers and clients.
    #[must_use]
    pub fn extended_key_usages(self) -> &'static [Oid] {
        match self {
            Profile::Root | Profile::Issuing => &[],
            Profile::Server => &[oid::SERVER_AUTH],
            Profile::Client => &[oid::CLIENT_AUTH],
            Profile::Responder => &[oid::OCSP_SIGNING],
        }
    }

    /// How many days it lives where nothing is said.
    #[must_use]
    pub fn default_days(self) -> i64 {
        match self {
            Profile::Root | Profile::Issuing => 3650,
            Profile::Server | Profile::Client => 90,
            Profile::Responder => 7,
        }
    }

    /// The most days it may live. Apple's platforms refuse server certificates over 825 days also from CAs that
    /// the user added (support.apple.com/103769).
    #[must_use]
    pub fn most_days(self) -> i64 {
        match self {
            Profile::Root | Profile::Issuing => 36_500,
            Profile::Server => 825,
            Profile::Client => 3650,
            // It cannot be revoked (ocsp-nocheck), so it is made often.
            Profile::Responder => 31,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no profile; use server or client")]
pub struct UnknownProfile(pub String);

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Profile::Root, Profile::Issuing, Profile::Server, Profile::Client, Profile::Responder]
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}
