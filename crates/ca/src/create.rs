//! Making an authority: a root that signs itself, and the issuing CA that the root signs.

use jiff::{SignedDuration, Timestamp};
use pki::Profile;
use pki::extension::NameConstraints;
use pki::issuer::{Issuer, Order, PrepareError, SignPreparedError, prepare_root};
use pki::key::SigningKey;
use pki::name::SubjectNames;

use crate::Entropy;
use crate::audit::{NewEvent, Who};
use crate::authority::{Authority, OpenError};
use crate::issue::{BACKDATING, new_serial};
use crate::record::Commit;
use crate::store::{AuthorityRecord, Store, StoreError};

/// What a new authority is to be.
#[derive(Debug, Clone)]
pub struct CreateAuthority {
    /// What it is called; `Root CA` and `Issuing CA` are put behind it.
    pub name: String,
    /// How long its root lives; the issuing CA ends with it.
    pub root_lifetime: SignedDuration,
    /// What it may certify; empty for anything.
    pub constraints: NameConstraints,
    /// Who makes it.
    pub requested_by: String,
}

/// Why an authority could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Its certificates cannot be made as asked.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A key did not sign.
    #[error(transparent)]
    Sign(#[from] SignPreparedError),
    /// No random octets.
    #[error("no random numbers: {0}")]
    Entropy(String),
    /// The lifetime leaves what a certificate can say.
    #[error("a root cannot live that long: {0}")]
    Lifetime(jiff::Error),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was made cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// The names of a CA's certificate: the authority's and what the CA is, in the 64 characters that a commonName may have
/// (RFC 5280 appendix A.1).
pub(crate) fn names_of_ca(authority: &str, suffix: &str) -> SubjectNames {
    let name: String = authority.chars().take(64 - suffix.len() - 1).collect();
    SubjectNames { common_name: Some(format!("{} {suffix}", name.trim_end())), ..SubjectNames::default() }
}

impl<S: Store> Authority<S> {
    /// Makes an authority and records it.
    ///
    /// # Errors
    /// [`CreateError`]; where the memory holds an authority already, nothing changes.
    pub fn create(
        store: S,
        root_key: &dyn SigningKey,
        issuing_key: Box<dyn SigningKey>,
        wish: &CreateAuthority,
        entropy: Entropy,
        now: Timestamp,
    ) -> Result<Self, CreateError> {
        if store.authority()?.is_some() {
            return Err(StoreError::AuthorityExists.into());
        }
        let not_before = now - BACKDATING;
        let not_after = now.checked_add(wish.root_lifetime).map_err(CreateError::Lifetime)?;
        let order = |profile, suffix: &str, key: &dyn SigningKey| -> Result<Order, CreateError> {
            Ok(Order {
                profile,
                names: names_of_ca(&wish.name, suffix),
                public_key: key.public_key().clone(),
                serial: new_serial(&entropy).map_err(CreateError::Entropy)?,
                not_before,
                not_after,
                constraints: wish.constraints.clone(),
                publication: pki::extension::Publication::default(),
            })
        };
        let root = prepare_root(&order(Profile::Root, "Root CA", root_key)?)?.sign(root_key)?;
        let root_issuer = Issuer::new(root.clone(), Vec::new())?;
        let issuing =
            root_issuer.prepare(&order(Profile::Issuing, "Issuing CA", &*issuing_key)?)?.sign(root_key)?;
        let record = AuthorityRecord {
            name: wish.name.clone(),
            root: root.der().to_vec(),
            issuing: issuing.der().to_vec(),
            created_at: now,
        };
        let event = NewEvent {
            at: now,
            actor: wish.requested_by.clone(),
            origin: String::new(),
            action: "create",
            serial: Some(issuing.serial().to_vec()),
            details: format!("root sha256 {}", pki::hex(&root.sha256())),
        };
        let by = Who::from(&wish.requested_by);
        let with = Commit::default().noting(event).certifying(&root, by, now).certifying(&issuing, by, now);
        store.create_authority(record.clone(), with)?;
        Ok(Authority::from_record(store, &record, issuing_key, entropy)?)
    }
}
