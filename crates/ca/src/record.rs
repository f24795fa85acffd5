//! Records: everything an authority remembers beside its certificates and its audit trail. Invites, partners, orders,
//! accounts and settings are kinds of record.
//!
//! A record has a version. Whoever changes one names the version that was read, so of two who change the same one the
//! second is told and decides again: state machines need no lock, whichever database is below and however many
//! replicas there are.

use jiff::Timestamp;
use pki::Certificate;

use crate::audit::NewEvent;

/// A remembered thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is: lower-case words with hyphens.
    pub kind: String,
    /// What tells it from others of its kind.
    pub id: String,
    /// What it belongs to, and is listed under; empty where there is nothing.
    pub owner: String,
    /// 0 while it is not stored; raised by one with each change.
    pub version: u64,
    /// When it may be forgotten. Reading may still find it after that.
    pub expires: Option<Timestamp>,
    /// The thing itself, in JSON.
    pub body: String,
}

impl Record {
    /// A record that is not stored yet.
    ///
    /// ```
    /// let record = ca::Record::new("partner", "acme", "{}".to_owned());
    /// assert_eq!((record.version, record.owner.as_str()), (0, ""));
    /// ```
    #[must_use]
    pub fn new(kind: &str, id: &str, body: String) -> Self {
        Record {
            kind: kind.to_owned(),
            id: id.to_owned(),
            owner: String::new(),
            version: 0,
            expires: None,
            body,
        }
    }

    /// The same under an owner.
    #[must_use]
    pub fn owned_by(mut self, owner: &str) -> Self {
        owner.clone_into(&mut self.owner);
        self
    }

    /// The same with a time after which it may be forgotten.
    #[must_use]
    pub fn until(mut self, expires: Timestamp) -> Self {
        self.expires = Some(expires);
        self
    }
}

/// A change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores it: version 0 must not be there yet, any other version must be the one that is there.
    Put(Record),
    /// Forgets it, where this version is the one that is there.
    Delete(Record),
}

impl Write {
    /// The record that is changed.
    #[must_use]
    pub fn record(&self) -> &Record {
        match self {
            Write::Put(record) | Write::Delete(record) => record,
        }
    }
}

/// A certificate of one of the authority's own CAs: a root, an issuing CA, or what one root signed for another. It is in
/// the log ([`crate::log`]) beside what those CAs issue, and nowhere among that: nobody asks for it, renews it or finds it
/// in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCertificate {
    /// Its serial number.
    pub serial: Vec<u8>,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl From<&Certificate> for CaCertificate {
    fn from(certificate: &Certificate) -> Self {
        CaCertificate { serial: certificate.serial().to_vec(), der: certificate.der().to_vec() }
    }
}

/// Changes that happen together, with what the audit trail says of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    /// The changes.
    pub writes: Vec<Write>,
    /// What is put at the end of the log, in this order. One that is there already is a conflict.
    pub certificates: Vec<CaCertificate>,
    /// The audit events.
    pub events: Vec<NewEvent>,
}

impl Commit {
    /// One change, without an event.
    #[must_use]
    pub fn of(write: Write) -> Self {
        Commit { writes: vec![write], ..Commit::default() }
    }

    /// Adds a change.
    #[must_use]
    pub fn and(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    /// Adds a certificate of the authority's own.
    #[must_use]
    pub fn logging(mut self, certificate: &Certificate) -> Self {
        self.certificates.push(certificate.into());
        self
    }

    /// Adds an event.
    #[must_use]
    pub fn noting(mut self, event: NewEvent) -> Self {
        self.events.push(event);
        self
    }
}
