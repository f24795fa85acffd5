//! What certificates say about where their revocation is published: which partition of the list, which responder, or
//! that there is nothing to ask because they end before it would matter.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::audit::{NewEvent, Who};
use crate::record::{Commit, Record, Write};
use crate::store::{Store, StoreError};

/// How revocation is published. By default nothing is said: those who check have the lists by other ways.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publication {
    /// The start of every address, without a slash at its end: `http://status.acme.test`. `None` says nothing.
    pub base: Option<String>,
    /// Into how many lists the certificates are divided: 1, or a power of two up to 256.
    pub partitions: u16,
    /// Whether an OCSP responder is named.
    pub ocsp: bool,
    /// Certificates that live no longer than this say noRevAvail (RFC 9608) in place of all that.
    pub none_below: Option<SignedDuration>,
}

impl Publication {
    /// What a certificate of this line with this serial number and lifetime says.
    #[must_use]
    pub fn of(&self, line: u32, serial: &[u8], lifetime: SignedDuration) -> pki::extension::Publication {
        let mut said = pki::extension::Publication {
            no_revocation: self.none_below.is_some_and(|most| lifetime <= most),
            ..Default::default()
        };
        if let Some(base) = &self.base {
            said.lists.push(format!(
                "{base}{}",
                partition_path(line, self.partitions, partition(self.partitions, serial))
            ));
            said.issuers.push(format!("{base}{}", issuer_path(line)));
            if self.ocsp {
                said.responders.push(format!("{base}/ocsp"));
            }
        }
        said
    }
}

/// Which of `partitions` lists a serial number belongs to: its last octet decides, which is random.
///
/// ```
/// assert_eq!(ca::publication::partition(16, &[1, 2, 0x35]), 5);
/// assert_eq!(ca::publication::partition(1, &[1, 2, 0x35]), 0);
/// ```
#[must_use]
pub fn partition(partitions: u16, serial: &[u8]) -> u16 {
    u16::from(serial.last().copied().unwrap_or(0)) % partitions.max(1)
}

/// Where a partition of a line's list is served. The number of partitions is part of it, so that certificates from
/// before a change of that number still find theirs.
///
/// ```
/// use ca::publication::partition_path;
/// assert_eq!(partition_path(1, 1, 0), "/crl/issuing.crl");
/// assert_eq!(partition_path(1, 16, 5), "/crl/16/5.crl");
/// assert_eq!(partition_path(2, 1, 0), "/crl/line-2/issuing.crl");
/// assert_eq!(partition_path(2, 16, 5), "/crl/line-2/16/5.crl");
/// ```
#[must_use]
pub fn partition_path(line: u32, partitions: u16, number: u16) -> String {
    let of_line = if line == 1 { String::new() } else { format!("line-{line}/") };
    if partitions <= 1 {
        format!("/crl/{of_line}issuing.crl")
    } else {
        format!("/crl/{of_line}{partitions}/{number}.crl")
    }
}

/// Where the own list of the root that came with a line is served.
///
/// ```
/// assert_eq!(ca::publication::root_list_path(1), "/crl/root.crl");
/// assert_eq!(ca::publication::root_list_path(2), "/crl/line-2/root.crl");
/// ```
#[must_use]
pub fn root_list_path(line: u32) -> String {
    if line == 1 { "/crl/root.crl".to_owned() } else { format!("/crl/line-{line}/root.crl") }
}

/// Where the certificate of a line's issuing CA is served.
///
/// ```
/// assert_eq!(ca::publication::issuer_path(1), "/issuing.crt");
/// assert_eq!(ca::publication::issuer_path(2), "/line-2/issuing.crt");
/// ```
#[must_use]
pub fn issuer_path(line: u32) -> String {
    if line == 1 { "/issuing.crt".to_owned() } else { format!("/line-{line}/issuing.crt") }
}

/// The record that says how revocation is published, so that every process that issues says the same.
const KIND: &str = "setting";
const ID: &str = "publication";

impl Publication {
    /// What this memory has on record; the default where nothing was said yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn recorded(store: &dyn Store) -> Result<Self, StoreError> {
        let Some(record) = store.record(KIND, ID)? else { return Ok(Self::default()) };
        let value: Value = serde_json::from_str(&record.body).unwrap_or_default();
        Ok(Publication {
            base: value["base"].as_str().map(str::to_owned),
            partitions: value["partitions"].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(1),
            ocsp: value["ocsp"].as_bool().unwrap_or(false),
            none_below: value["none_below_seconds"].as_i64().map(SignedDuration::from_secs),
        })
    }

    /// Puts it on record, where it is not on record as it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn record(&self, store: &dyn Store, by: Who<'_>, now: Timestamp) -> Result<(), StoreError> {
        if *self == Self::recorded(store)? {
            return Ok(());
        }
        let body = json!({
            "base": self.base,
            "partitions": self.partitions,
            "ocsp": self.ocsp,
            "none_below_seconds": self.none_below.map(|most| most.as_secs()),
        })
        .to_string();
        let event = NewEvent {
            at: now,
            actor: by.actor.to_owned(),
            origin: by.origin.to_owned(),
            action: "publication",
            serial: None,
            details: body.clone(),
        };
        let record = Record {
            body,
            ..store.record(KIND, ID)?.unwrap_or_else(|| Record::new(KIND, ID, String::new()))
        };
        store.commit(Commit::of(Write::Put(record)).noting(event))
    }
}
