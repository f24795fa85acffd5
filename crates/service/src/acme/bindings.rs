//! External account keys, for whoever administers the authority: given out, listed, revoked.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ca::{NewEvent, Store, StoreError, Who};
use jiff::Timestamp;
use pki::Profile;
use pki::name::{NameError, SubjectNames};

use crate::acme::account::Binding;
use crate::acme::memory::Memory;
use crate::acme::orders::nameable;

/// A key that is to be given out.
#[derive(Debug, Clone)]
pub struct NewBinding {
    /// Whose accounts they will be; needed for client certificates.
    pub identity: Option<String>,
    /// Names beside the identity's own that client certificates may carry.
    pub names: Vec<String>,
    /// What its accounts may order; the first is what a client gets that names none.
    pub profiles: Vec<Profile>,
    /// How many accounts it makes.
    pub uses: u32,
    /// Until when.
    pub expires: Option<Timestamp>,
}

/// Why no key was given out, or none revoked.
#[derive(Debug, thiserror::Error)]
pub enum BindingError {
    /// Client certificates without an identity.
    #[error("client certificates are for an identity; name it, such as: countersign acme eab add alice")]
    NoIdentity,
    /// A name that no certificate can hold.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An identity that no order could name.
    #[error(
        "no ACME client can order '{0}': it is no DNS name, address or mailbox in form; add one with --name, and the \
         certificate carries both"
    )]
    NotNameable(String),
    /// There is none.
    #[error("there is no external account key '{0}'; see: countersign acme eab list")]
    Unknown(String),
    /// No random octets.
    #[error("no random numbers: {0}")]
    Entropy(String),
    /// The memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key as it is listed. The MAC key itself is shown once, when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingSummary {
    /// Its name.
    pub id: String,
    /// Whose accounts they are.
    pub identity: Option<String>,
    /// The names that client certificates may carry.
    pub names: Vec<String>,
    /// What its accounts may order.
    pub profiles: Vec<Profile>,
    /// How many accounts can still be made with it.
    pub uses: u32,
    /// When it was made.
    pub created: Timestamp,
    /// Until when accounts can be made with it.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

impl BindingSummary {
    /// The word for its state.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        match (self.revoked, self.expires) {
            (Some(_), _) => "revoked",
            (None, _) if self.uses == 0 => "used",
            (None, Some(end)) if now >= end => "expired",
            _ => "open",
        }
    }
}

/// Makes a key: its name, and its MAC key in base64url, as clients take it.
///
/// # Errors
/// [`BindingError`].
pub fn add_binding(
    store: Arc<dyn Store>,
    new: NewBinding,
    random: impl Fn(&mut [u8]) -> Result<(), String>,
    by: Who<'_>,
    now: Timestamp,
) -> Result<(String, String), BindingError> {
    let names: Vec<String> = new.identity.iter().cloned().chain(new.names).collect();
    for name in &names {
        SubjectNames::for_client(name)?;
    }
    if new.profiles.contains(&Profile::Client) {
        let identity = new.identity.as_ref().ok_or(BindingError::NoIdentity)?;
        if !names.iter().any(|name| nameable(name).is_some()) {
            return Err(BindingError::NotNameable(identity.clone()));
        }
    }
    let (mut id, mut mac_key) = ([0; 9], [0; 32]);
    random(&mut id).and_then(|()| random(&mut mac_key)).map_err(BindingError::Entropy)?;
    let binding = Binding {
        id: pki::hex(&id),
        mac_key: mac_key.to_vec(),
        identity: new.identity,
        names,
        profiles: new.profiles,
        uses: new.uses,
        created: now,
        expires: new.expires,
        revoked: None,
    };
    let event = NewEvent {
        at: now,
        actor: by.actor.to_owned(),
        origin: by.origin.to_owned(),
        action: "acme-binding",
        serial: None,
        details: match &binding.identity {
            Some(identity) => format!("{} for {identity}", binding.id),
            None => format!("{} for no identity", binding.id),
        },
    };
    Memory(store).create_binding(&binding, event)?;
    Ok((binding.id, URL_SAFE_NO_PAD.encode(mac_key)))
}

/// All keys, by name.
///
/// # Errors
/// [`StoreError`].
pub fn list_bindings(store: Arc<dyn Store>) -> Result<Vec<BindingSummary>, StoreError> {
    Ok(Memory(store).bindings()?.into_iter().map(summary).collect())
}

/// Revokes a key: no account is made with it any more, and those that were order nothing more. Certificates that they
/// have stay good; taking those back is `revoke`'s work.
///
/// # Errors
/// [`BindingError`].
pub fn revoke_binding(
    store: Arc<dyn Store>,
    id: &str,
    by: Who<'_>,
    now: Timestamp,
) -> Result<BindingSummary, BindingError> {
    let event = NewEvent {
        at: now,
        actor: by.actor.to_owned(),
        origin: by.origin.to_owned(),
        action: "acme-binding-revoke",
        serial: None,
        details: id.to_owned(),
    };
    let revoked = Memory(store).revoke_binding(id, now, &event)?;
    revoked.map(summary).ok_or_else(|| BindingError::Unknown(id.to_owned()))
}

fn summary(binding: Binding) -> BindingSummary {
    let Binding { id, identity, names, profiles, uses, created, expires, revoked, .. } = binding;
    BindingSummary { id, identity, names, profiles, uses, created, expires, revoked }
}
