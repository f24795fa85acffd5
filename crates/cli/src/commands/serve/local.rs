//! The local authority as `serve` uses it: it makes the server's certificate, whose key never leaves the memory, vouches
//! for the clients, and says which of them it took back.

use std::sync::{Mutex, PoisonError};

use ca::{IssueRequest, Store as _};
use jiff::{SignedDuration, Timestamp};
use keys::PrivateKey;
use pki::crl::CertificateRevocationList;
use pki::key::{KeyAlgorithm, SigningKey as _};
use pki::name::SubjectNames;
use pki::verify::TrustBundle;
use pki::{Certificate, Profile};

use crate::commands::issue::{full_chain, requester};
use crate::failure::{Failure, OrFail as _};
use crate::home::Authority;

/// How long a certificate that serve gets for itself lives. It is renewed at two thirds.
const OWN_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How long a revocation list that serve makes for itself is good. It is made again each day.
const OWN_LIST_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The authority, and what it made for this process.
pub(super) struct Local {
    authority: Authority,
    /// The certificates by their names.
    own: Mutex<Vec<Own>>,
    lists: Mutex<Option<(u64, Timestamp, Vec<CertificateRevocationList>)>>,
}

struct Own {
    names: Vec<String>,
    /// Which lines there were.
    lines: u64,
    chain: Vec<Certificate>,
    key: PrivateKey,
}

impl Local {
    pub(super) fn new(authority: Authority) -> Self {
        Local { authority, own: Mutex::default(), lists: Mutex::default() }
    }

    pub(super) fn anchors(&self) -> TrustBundle {
        self.authority.anchors()
    }

    /// A number that changes when somebody is revoked, with each step of a rollover, and each day: a new list, and a new
    /// certificate before the old one ends.
    pub(super) fn version(&self, now: Timestamp) -> u64 {
        // What cannot be followed is said when something is loaded by it.
        let _ = self.authority.refresh();
        let revoked = self.authority.store().revocation_version().unwrap_or(0);
        let revoked = revoked.wrapping_mul(1_009).wrapping_add(self.authority.lines().version());
        let day = u64::try_from(now.as_second() / 86_400).unwrap_or(0);
        revoked.wrapping_mul(1_000_003).wrapping_add(day)
    }

    pub(super) fn certificate(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<(Vec<Certificate>, PrivateKey), Failure> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = self.authority.lines().version();
        if let Some(made) = own.iter().find(|made| made.names == names && made.lines == lines)
            && made.chain[0].not_after().duration_since(now) > OWN_LIFETIME / 3
        {
            return Ok((made.chain.clone(), made.key.clone()));
        }
        let subject = SubjectNames::for_server(names).or_usage()?;
        let key = PrivateKey::generate(KeyAlgorithm::P256).or_usage()?;
        let issued = self
            .authority
            .issue(
                IssueRequest {
                    profile: Profile::Server,
                    label: subject.common_name.clone().unwrap_or_default(),
                    names: subject,
                    public_key: key.public_key().clone(),
                    lifetime: Some(OWN_LIFETIME),
                    requested_by: format!("serve, {}", requester()),
                    origin: String::new(),
                    replaces: None,
                    location: None,
                },
                now,
            )
            .or_refuse()?;
        let chain = full_chain(&issued);
        own.retain(|made| made.names != names);
        own.push(Own { names: names.to_vec(), lines, chain: chain.clone(), key: key.clone() });
        Ok((chain, key))
    }

    /// The lists of all lines.
    pub(super) fn lists(&self, now: Timestamp) -> Result<Vec<CertificateRevocationList>, Failure> {
        self.authority.refresh().or_usage()?;
        let version = self.version(now);
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of_version, made_at, made)) = lists.as_ref()
            && *of_version == version
            && now.duration_since(*made_at) < SignedDuration::from_hours(24)
        {
            return Ok(made.clone());
        }
        let ders = self.authority.crls(now, OWN_LIST_LIFETIME).or_refuse()?;
        let made: Vec<_> = ders
            .iter()
            .map(|der| CertificateRevocationList::from_der(der).or_refuse())
            .collect::<Result<_, _>>()?;
        *lists = Some((version, now, made.clone()));
        Ok(made)
    }
}
