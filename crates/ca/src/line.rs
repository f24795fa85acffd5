//! The lines of an authority. A line is a root, an issuing CA under it, and the issuing CA's key; line 1 is the one that
//! the authority began with, and a rollover ([`crate::rollover`]) makes the next. One line issues at a time. Each has
//! its own lists and OCSP responders for as long as its last certificate lives, retired or not.
//!
//! What lines there are is one record of the memory, so that every step of a rollover is one commit, and all processes
//! on one memory go by the same.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use pki::Certificate;
use pki::crl::{RevocationReason, RevokedEntry};
use pki::issuer::Issuer;
use pki::key::{KeyAlgorithm, SigningKey};
use pki::verify::TrustBundle;
use serde_json::{Value, json};

use crate::authority::OpenError;
use crate::record::Record;
use crate::rollover::Rollover;
use crate::store::{AuthorityRecord, Store, StoreError};

/// The record of all lines.
const KIND: &str = "rollover";
const ID: &str = "lines";

/// Which of an authority's keys is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyName {
    /// That of the root which came with this line.
    Root(u32),
    /// That of this line's issuing CA.
    Issuing(u32),
}

impl fmt::Display for KeyName {
    /// `root-key` and `issuing-key` for line 1, `root-key-2` for the next.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyName::Root(1) => f.write_str("root-key"),
            KeyName::Root(line) => write!(f, "root-key-{line}"),
            KeyName::Issuing(1) => f.write_str("issuing-key"),
            KeyName::Issuing(line) => write!(f, "issuing-key-{line}"),
        }
    }
}

/// Where an authority's keys are kept.
pub trait Keyring: Send + Sync {
    /// Opens a key; `None` where it is not here.
    ///
    /// # Errors
    /// Why it is here and cannot be opened.
    fn open(&self, name: KeyName) -> Result<Option<Box<dyn SigningKey>>, String>;

    /// Makes a key, durably, or opens the one that is here under this name: what was interrupted goes on.
    ///
    /// # Errors
    /// Why there is none.
    fn make(&self, name: KeyName, algorithm: KeyAlgorithm) -> Result<Box<dyn SigningKey>, String>;

    /// Is told whom to believe, whenever that has changed.
    ///
    /// # Errors
    /// Why it could not be written down.
    fn believe(&self, anchors: &[Certificate]) -> Result<(), String>;
}

/// A line.
pub struct Line {
    number: u32,
    root_of: u32,
    issuer: Issuer,
    issuing: TrustBundle,
    above: Vec<Certificate>,
    key: Option<Arc<dyn SigningKey>>,
    retired: Option<Timestamp>,
    ends: Option<Timestamp>,
}

impl Line {
    /// Its number, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The number of the line that its root came with.
    #[must_use]
    pub fn root_of(&self) -> u32 {
        self.root_of
    }

    /// Its issuing CA and the root above it.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The issuing CA alone, whose own signature was verified when the authority was opened: what each new certificate's
    /// path is verified to.
    pub(crate) fn issuing(&self) -> &TrustBundle {
        &self.issuing
    }

    /// What a TLS peer sends behind a leaf of this line: the issuing CA, and while two roots are believed the certificate
    /// that the other root made for this one, so that it is enough to believe either.
    #[must_use]
    pub fn chain(&self) -> Vec<Certificate> {
        let mut chain = self.issuer.intermediates();
        chain.extend(self.above.iter().cloned());
        chain
    }

    /// The key of its issuing CA, where this process has it.
    #[must_use]
    pub fn key(&self) -> Option<&dyn SigningKey> {
        self.key.as_deref()
    }

    /// When it was retired.
    #[must_use]
    pub fn retired(&self) -> Option<Timestamp> {
        self.retired
    }

    /// The end of its last certificate, which is known once it is retired.
    #[must_use]
    pub fn ends(&self) -> Option<Timestamp> {
        self.ends
    }

    /// Whether nobody asks any more what became of its certificates.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.retired.is_some_and(|retired| self.ends.unwrap_or(retired) < now)
    }
}

/// All lines at a moment.
pub struct Lines {
    pub(crate) record: LinesRecord,
    all: Vec<Arc<Line>>,
    anchors: TrustBundle,
    crosses: Vec<Certificate>,
    withdrawn: Vec<Withdrawn>,
}

/// A CA's certificate that is worth nothing any more, though a root that is believed has signed it.
#[derive(Debug, Clone)]
struct Withdrawn {
    /// The line that the root came with.
    by_root: u32,
    entry: RevokedEntry,
    list: Vec<u8>,
}

impl Lines {
    /// All of them, by number.
    #[must_use]
    pub fn all(&self) -> &[Arc<Line>] {
        &self.all
    }

    /// The one of this number.
    #[must_use]
    pub fn find(&self, number: u32) -> Option<&Arc<Line>> {
        self.all.iter().find(|line| line.number == number)
    }

    /// The one that issues.
    #[must_use]
    pub fn issuing(&self) -> &Arc<Line> {
        // `assemble` makes none without it.
        self.find(self.record.issuing).unwrap_or(&self.all[0])
    }

    /// Those whose certificates somebody may still ask about, the one that issues first.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Line>> {
        let issuing = self.issuing().number;
        let others = self.all.iter().filter(move |line| line.number != issuing && !line.is_over(now));
        std::iter::once(self.issuing()).chain(others)
    }

    /// What those believe who believe the authority: the roots of all lines that are not retired.
    #[must_use]
    pub fn anchors(&self) -> &TrustBundle {
        &self.anchors
    }

    /// The roots that were believed once.
    #[must_use]
    pub fn former_anchors(&self) -> Vec<Certificate> {
        let mut former: Vec<Certificate> = Vec::new();
        for line in &self.all {
            let root = line.issuer.anchor();
            if !self.anchors.anchors().contains(root) && !former.contains(root) {
                former.push(root.clone());
            }
        }
        former
    }

    /// What each root has signed for another one.
    #[must_use]
    pub fn crosses(&self) -> &[Certificate] {
        &self.crosses
    }

    /// What belongs on the own list of the root that came with a line: the CAs below it, and the other roots, that are
    /// retired.
    #[must_use]
    pub fn withdrawn_by(&self, root_of: u32) -> Vec<RevokedEntry> {
        let by_root = self.withdrawn.iter().filter(|one| one.by_root == root_of);
        by_root.map(|one| one.entry.clone()).collect()
    }

    /// The lists by which roots that are believed say so, signed when their keys were last at hand.
    pub fn withdrawals(&self) -> impl Iterator<Item = &[u8]> {
        self.withdrawn.iter().map(|one| one.list.as_slice())
    }

    /// The rollover that is under way.
    #[must_use]
    pub fn rollover(&self) -> Option<&Rollover> {
        self.record.rollover.as_ref()
    }

    /// Grows with each step of a rollover; 0 where there was none.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.record.version
    }
}

/// The lines by a memory alone, without their keys.
///
/// # Errors
/// [`OpenError`].
pub fn known(store: &dyn Store) -> Result<Lines, OpenError> {
    let authority = store.authority()?.ok_or(OpenError::None)?;
    LinesRecord::read(store, &authority)?.assemble(|_, _| None)
}

/// The number of the line that issues, by a memory.
///
/// # Errors
/// [`StoreError`].
pub fn issuing_line(store: &dyn Store) -> Result<u32, StoreError> {
    let body = store.record(KIND, ID)?.map(|record| record.body).unwrap_or_default();
    let value: Value = serde_json::from_str(&body).unwrap_or_default();
    Ok(number(&value["issuing"]).unwrap_or(1))
}

/// Lines as they are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinesRecord {
    /// The record's version; 0 where there is none.
    pub(crate) version: u64,
    pub(crate) lines: Vec<LineRecord>,
    pub(crate) crosses: Vec<Vec<u8>>,
    pub(crate) withdrawals: Vec<Withdrawal>,
    pub(crate) issuing: u32,
    pub(crate) rollover: Option<Rollover>,
}

/// A list that is signed when a rollover begins, while the root's key is at hand, and is said when what it withdraws is
/// retired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Withdrawal {
    /// The line that the root came with.
    pub(crate) by_root: u32,
    /// The line with which the certificate is retired.
    pub(crate) line: u32,
    /// The certificate's serial number.
    pub(crate) serial: Vec<u8>,
    /// The list in DER.
    pub(crate) list: Vec<u8>,
}

/// A line as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineRecord {
    pub(crate) number: u32,
    pub(crate) root_of: u32,
    pub(crate) root: Vec<u8>,
    pub(crate) issuing: Vec<u8>,
    pub(crate) retired: Option<Timestamp>,
    pub(crate) ends: Option<Timestamp>,
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(|text| text.parse().ok())
}

impl LinesRecord {
    /// What is on record; where nothing is, line 1 alone.
    pub(crate) fn read(store: &dyn Store, authority: &AuthorityRecord) -> Result<Self, OpenError> {
        let Some(record) = store.record(KIND, ID)? else {
            let first = LineRecord {
                number: 1,
                root_of: 1,
                root: authority.root.clone(),
                issuing: authority.issuing.clone(),
                retired: None,
                ends: None,
            };
            let lines = vec![first];
            return Ok(LinesRecord {
                version: 0,
                lines,
                crosses: Vec::new(),
                withdrawals: Vec::new(),
                issuing: 1,
                rollover: None,
            });
        };
        Self::parse(&record).ok_or(OpenError::Lines)
    }

    fn parse(record: &Record) -> Option<Self> {
        let value: Value = serde_json::from_str(&record.body).ok()?;
        let der = |value: &Value| STANDARD.decode(value.as_str()?).ok();
        let line = |value: &Value| {
            Some(LineRecord {
                number: number(&value["number"])?,
                root_of: number(&value["root_of"])?,
                root: der(&value["root"])?,
                issuing: der(&value["issuing"])?,
                retired: time(&value["retired"]),
                ends: time(&value["ends"]),
            })
        };
        let withdrawal = |value: &Value| {
            Some(Withdrawal {
                by_root: number(&value["by_root"])?,
                line: number(&value["line"])?,
                serial: der(&value["serial"])?,
                list: der(&value["list"])?,
            })
        };
        let lines: Vec<LineRecord> = value["lines"].as_array()?.iter().map(line).collect::<Option<_>>()?;
        let issuing = number(&value["issuing"])?;
        lines.iter().find(|line| line.number == issuing)?;
        Some(LinesRecord {
            version: record.version,
            lines,
            crosses: value["crosses"].as_array()?.iter().map(der).collect::<Option<_>>()?,
            withdrawals: value["withdrawals"].as_array()?.iter().map(withdrawal).collect::<Option<_>>()?,
            issuing,
            rollover: match &value["rollover"] {
                Value::Null => None,
                value => Some(Rollover::parse(value)?),
            },
        })
    }

    /// The record to be written in the place of the one that was read.
    pub(crate) fn to_record(&self) -> Record {
        let line = |line: &LineRecord| {
            json!({
                "number": line.number, "root_of": line.root_of,
                "root": STANDARD.encode(&line.root), "issuing": STANDARD.encode(&line.issuing),
                "retired": line.retired.map(|at| at.to_string()), "ends": line.ends.map(|at| at.to_string()),
            })
        };
        let withdrawal = |one: &Withdrawal| {
            json!({ "by_root": one.by_root, "line": one.line, "serial": STANDARD.encode(&one.serial),
                    "list": STANDARD.encode(&one.list) })
        };
        let body = json!({
            "withdrawals": self.withdrawals.iter().map(withdrawal).collect::<Vec<_>>(),
            "lines": self.lines.iter().map(line).collect::<Vec<_>>(),
            "crosses": self.crosses.iter().map(|der| STANDARD.encode(der)).collect::<Vec<_>>(),
            "issuing": self.issuing,
            "rollover": self.rollover.as_ref().map(Rollover::json),
        });
        Record { version: self.version, ..Record::new(KIND, ID, body.to_string()) }
    }

    /// Reads the certificates and puts the keys in place, which `key` gives by name.
    pub(crate) fn assemble(
        self,
        mut key: impl FnMut(&LineRecord, &Certificate) -> Option<Arc<dyn SigningKey>>,
    ) -> Result<Lines, OpenError> {
        let crosses =
            self.crosses.iter().map(|der| Certificate::from_der(der)).collect::<Result<Vec<_>, _>>()?;
        let mut anchors: Vec<Certificate> = Vec::new();
        for line in self.lines.iter().filter(|line| line.retired.is_none()) {
            let root = Certificate::from_der(&line.root)?;
            if !anchors.contains(&root) {
                anchors.push(root);
            }
        }
        let is_believed = |root_of: u32| {
            let of_root = |line: &LineRecord| line.root_of == root_of && line.retired.is_none();
            self.lines.iter().any(of_root)
        };
        let withdrawn = |one: &Withdrawal| {
            let retired = self.lines.iter().find(|line| line.number == one.line)?.retired?;
            let reason = RevocationReason::Superseded;
            let entry = RevokedEntry { serial: one.serial.clone(), revoked_at: retired, reason };
            is_believed(one.by_root).then(|| Withdrawn {
                by_root: one.by_root,
                entry,
                list: one.list.clone(),
            })
        };
        let withdrawn = self.withdrawals.iter().filter_map(withdrawn).collect();
        let mut all = Vec::new();
        for line in &self.lines {
            let root = Certificate::from_der(&line.root)?;
            let certificate = Certificate::from_der(&line.issuing)?;
            let signed = root.public_key().map(|root_key| certificate.verify_signature(root_key));
            if !matches!(signed, Ok(Ok(()))) {
                return Err(OpenError::NotSigned(certificate.subject().short()));
            }
            // What a root signs for another one is worth something as long as both are believed.
            let is_above = |cross: &&Certificate| {
                cross.subject() == root.subject()
                    && anchors.contains(&root)
                    && anchors.iter().any(|other| other.subject() == cross.issuer())
            };
            all.push(Arc::new(Line {
                number: line.number,
                root_of: line.root_of,
                above: crosses.iter().filter(is_above).cloned().collect(),
                key: key(line, &certificate),
                issuing: TrustBundle::new(vec![certificate.clone()]),
                issuer: Issuer::new(certificate, vec![root])?,
                retired: line.retired,
                ends: line.ends,
            }));
        }
        Ok(Lines { record: self, all, anchors: TrustBundle::new(anchors), crosses, withdrawn })
    }
}

impl Lines {
    /// The key that this process has for a line.
    pub(crate) fn key_of(&self, number: u32) -> Option<Arc<dyn SigningKey>> {
        self.find(number).and_then(|line| line.key.clone())
    }

    /// Whether the key of a line that still signs is not here.
    pub(crate) fn misses_a_key(&self) -> bool {
        self.all.iter().any(|line| line.key.is_none() && line.retired.is_none())
    }
}
