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
    list: Mutex<Option<(u64, Timestamp, CertificateRevocationList)>>,
}

struct Own {
    names: Vec<String>,
    chain: Vec<Certificate>,
    key: PrivateKey,
}

impl Local {
    pub(super) fn new(authority: Authority) -> Self {
        Local { authority, own: Mutex::default(), list: Mutex::default() }
    }

    pub(super) fn anchors(&self) -> &TrustBundle {
        self.authority.anchors()
    }

    /// A number that changes when somebody is revoked, and each day: a new list, and a new certificate before the old one
    /// ends.
    pub(super) fn version(&self, now: Timestamp) -> u64 {
        let revoked = self.authority.store().revocation_version().unwrap_or(0);
        let day = u64::try_from(now.as_second() / 86_400).unwrap_or(0);
        revoked.wrapping_mul(1_000_003).wrapping_add(day)
    }

    pub(super) fn certificate(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<(Vec<Certificate>, PrivateKey), Failure> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = own.iter().find(|made| made.names == names)
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
        own.push(Own { names: names.to_vec(), chain: chain.clone(), key: key.clone() });
        Ok((chain, key))
    }

    pub(super) fn list(&self, now: Timestamp) -> Result<CertificateRevocationList, Failure> {
        let version = self.authority.store().revocation_version().or_usage()?;
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of_version, made_at, list)) = list.as_ref()
            && *of_version == version
            && now.duration_since(*made_at) < SignedDuration::from_hours(24)
        {
            return Ok(list.clone());
        }
        let der = self.authority.crl(now, OWN_LIST_LIFETIME).or_refuse()?;
        let made = CertificateRevocationList::from_der(&der).or_refuse()?;
        *list = Some((version, now, made.clone()));
        Ok(made)
    }
}
