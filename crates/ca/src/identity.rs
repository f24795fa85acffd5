//! Who the authority knows: identities (the names certificates are filed under), the partners they belong to, and the
//! roles some of them have with the authority itself.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::audit::{NewEvent, Who};
use crate::record::{Commit, Record, Write};
use crate::selector::Selector;
use crate::store::{Entry, Store, StoreError};

/// What an identity may do with the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Admin,
    /// Certificates, invites and partners; not who has which role.
    Operator,
    /// Reading everything, the audit trail included.
    Auditor,
    /// Making invites and having requests signed.
    Enroller,
    /// Following the feed: what gateways need.
    Gateway,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 5] = [Role::Admin, Role::Operator, Role::Auditor, Role::Enroller, Role::Gateway];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
            Role::Enroller => "enroller",
            Role::Gateway => "gateway",
        }
    }

    /// Whether it allows this.
    #[must_use]
    pub fn allows(self, permission: Permission) -> bool {
        match self {
            Role::Admin => true,
            Role::Operator => !matches!(permission, Permission::Administer),
            Role::Auditor => matches!(permission, Permission::Read | Permission::Audit | Permission::Follow),
            Role::Enroller => matches!(permission, Permission::Enrol),
            Role::Gateway => matches!(permission, Permission::Follow),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no role; use admin, operator, auditor, enroller or gateway")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Role::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// What an operation asks of whoever wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Seeing certificates, invites, partners.
    Read,
    /// Seeing the audit trail.
    Audit,
    /// Making invites, having requests signed.
    Enrol,
    /// Revoking, approving, changing partners.
    Operate,
    /// Deciding who has which role.
    Administer,
    /// Following the feed.
    Follow,
}

/// An identity beside its certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The name its certificates are filed under.
    pub label: String,
    /// The partner it belongs to.
    pub partner: Option<String>,
    /// Whom to tell when its certificates end.
    pub contact: Option<String>,
    /// What it may do with the authority.
    pub role: Option<Role>,
}

/// The kind of an identity's record: its id is the label in lower case (ASCII), its owner the partner.
pub const IDENTITY: &str = "identity";
const PARTNER: &str = "partner";

impl Identity {
    /// What is on record of this name; nothing but the name where there is nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn find(store: &dyn Store, label: &str) -> Result<Self, StoreError> {
        let record = store.record(IDENTITY, &key(label))?;
        Ok(record
            .map_or_else(|| Identity { label: label.to_owned(), ..Identity::default() }, |r| Self::read(&r)))
    }

    /// Whom to tell of this name's certificates: the identity's contact, or its partner's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn contact_of(store: &dyn Store, label: &str) -> Result<Option<String>, StoreError> {
        let identity = Self::find(store, label)?;
        match (identity.contact, identity.partner) {
            (None, Some(partner)) => Ok(Partner::find(store, &partner)?.and_then(|partner| partner.contact)),
            (contact, _) => Ok(contact),
        }
    }

    /// Those of a partner, or all, behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(
        store: &dyn Store,
        partner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Self>, StoreError> {
        Ok(store.records(IDENTITY, partner, after, limit)?.iter().map(Self::read).collect())
    }

    fn read(record: &Record) -> Self {
        let value: Value = serde_json::from_str(&record.body).unwrap_or_default();
        Identity {
            label: value["label"].as_str().unwrap_or(&record.id).to_owned(),
            partner: Some(record.owner.clone()).filter(|owner| !owner.is_empty()),
            contact: value["contact"].as_str().map(str::to_owned),
            role: value["role"].as_str().and_then(|role| role.parse().ok()),
        }
    }

    /// The write that puts it on record in place of what is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn write(&self, store: &dyn Store) -> Result<Write, StoreError> {
        let id = key(&self.label);
        let body = json!({ "label": self.label, "contact": self.contact, "role": self.role.map(Role::name) });
        let found = store.record(IDENTITY, &id)?.unwrap_or_else(|| Record::new(IDENTITY, &id, String::new()));
        let owner = self.partner.clone().unwrap_or_default();
        Ok(Write::Put(Record { owner, body: body.to_string(), ..found }))
    }

    /// Puts it on record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put(&self, store: &dyn Store, by: Who<'_>, now: Timestamp) -> Result<(), StoreError> {
        let role = self.role.map_or("none", Role::name);
        let partner = self.partner.as_deref().unwrap_or("none");
        let details = format!("{}: role {role}, partner {partner}", self.label);
        store.commit(Commit::of(self.write(store)?).noting(event(by, now, "identity", details)))
    }
}

/// Labels are told apart without regard to ASCII case, as the certificates of one are found.
fn key(label: &str) -> String {
    label.to_ascii_lowercase()
}

/// A company or group that several identities belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    /// Its name.
    pub name: String,
    /// Whom to talk to.
    pub contact: Option<String>,
    /// The most certificates that all its identities together may have at a time: more than one, so that an old and a
    /// new one overlap during a change.
    pub most_certificates: u32,
}

impl Partner {
    /// A partner's record, where there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn find(store: &dyn Store, name: &str) -> Result<Option<Self>, StoreError> {
        Ok(store.record(PARTNER, name)?.as_ref().map(Self::read))
    }

    /// All partners behind `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(store: &dyn Store, after: Option<&str>, limit: usize) -> Result<Vec<Self>, StoreError> {
        Ok(store.records(PARTNER, None, after, limit)?.iter().map(Self::read).collect())
    }

    fn read(record: &Record) -> Self {
        let value: Value = serde_json::from_str(&record.body).unwrap_or_default();
        Partner {
            name: record.id.clone(),
            contact: value["contact"].as_str().map(str::to_owned),
            most_certificates: value["most_certificates"]
                .as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(0),
        }
    }

    /// Puts it on record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put(&self, store: &dyn Store, by: Who<'_>, now: Timestamp) -> Result<(), StoreError> {
        let found = store
            .record(PARTNER, &self.name)?
            .unwrap_or_else(|| Record::new(PARTNER, &self.name, String::new()));
        let body =
            json!({ "contact": self.contact, "most_certificates": self.most_certificates }).to_string();
        let details = format!("{}: at most {} certificates", self.name, self.most_certificates);
        store.commit(
            Commit::of(Write::Put(Record { body, ..found })).noting(event(by, now, "partner", details)),
        )
    }

    /// How many good certificates its identities have.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn certificates(store: &dyn Store, name: &str, now: Timestamp) -> Result<usize, StoreError> {
        Ok(Self::good(store, name, now)?.len())
    }

    /// The good certificates of its identities.
    pub(crate) fn good(store: &dyn Store, name: &str, now: Timestamp) -> Result<Vec<Entry>, StoreError> {
        let mut good = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = store.records(IDENTITY, Some(name), after.as_deref(), 500)?;
            let Some(last) = page.last() else { return Ok(good) };
            after = Some(last.id.clone());
            for record in &page {
                let label = Identity::read(record).label;
                let found = store.find(&Selector::Label(label))?;
                good.extend(found.into_iter().filter(|entry| entry.is_good(now)));
            }
        }
    }
}

pub(crate) fn event(by: Who<'_>, at: Timestamp, action: &'static str, details: String) -> NewEvent {
    NewEvent { at, actor: by.actor.to_owned(), origin: by.origin.to_owned(), action, serial: None, details }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_allow_what_their_words_promise() {
        let allowed = |role: Role| {
            [
                (Permission::Read, 'r'),
                (Permission::Audit, 'a'),
                (Permission::Enrol, 'e'),
                (Permission::Operate, 'o'),
                (Permission::Administer, 'A'),
                (Permission::Follow, 'f'),
            ]
            .into_iter()
            .filter(|(permission, _)| role.allows(*permission))
            .map(|(_, letter)| letter)
            .collect::<String>()
        };
        assert_eq!(Role::ALL.map(allowed), ["raeoAf", "raeof", "raf", "e", "f"]);
    }
}
