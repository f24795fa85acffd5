//! What an inspection returns: items in the order they stand in the input, each with what was understood of it,
//! what is wrong with its bytes, and what a person should know about it.

use jiff::Timestamp;

use crate::certificate::CertificateDescription;
use crate::crl::RevocationListDescription;
use crate::key::KeyDescription;
use crate::pkcs7::Pkcs7Description;
use crate::pkcs12::Pkcs12Description;
use crate::request::RequestDescription;
use crate::tlv::{Problem, Tree};

/// How much a remark matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Some programs refuse it, or will soon.
    Warning,
    /// It does not work, or nobody should rely on it.
    Error,
}

impl Severity {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// Something a person should know, that is not a fault of the encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The stable name, in snake case; a [`crate::FindingCode`]'s name where one says the same.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The sentence, without its full stop.
    pub message: String,
}

impl Remark {
    pub(crate) fn note(code: &'static str, message: impl Into<String>) -> Self {
        Remark { code, severity: Severity::Note, message: message.into() }
    }

    pub(crate) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Remark { code, severity: Severity::Warning, message: message.into() }
    }

    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Remark { code, severity: Severity::Error, message: message.into() }
    }
}

/// Where an item stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// A PEM block, by the line of its BEGIN, counted from 1.
    Line(usize),
    /// DER, by its first byte in the file, counted from 0.
    Byte(usize),
    /// The n-th certificate a server sent, counted from 1.
    Sent(usize),
    /// Inside the item before it that is a container, by its number there, counted from 1.
    Inside {
        /// The container, such as `PKCS#12`.
        container: &'static str,
        /// The number.
        number: usize,
    },
}

/// What an item is.
#[derive(Debug, Clone)]
pub enum Content {
    /// A certificate.
    Certificate(Box<CertificateDescription>),
    /// A certificate signing request.
    Request(Box<RequestDescription>),
    /// A certificate revocation list.
    RevocationList(Box<RevocationListDescription>),
    /// A key, public or private; of a private one only the public facts.
    Key(Box<KeyDescription>),
    /// A PKCS#12 container, from outside.
    Pkcs12(Box<Pkcs12Description>),
    /// A PKCS#7 (CMS) container of certificates.
    Pkcs7(Box<Pkcs7Description>),
    /// DER of another kind, or none that could be recognised.
    Unknown {
        /// What it seems to be.
        what: String,
        /// Its structure, without the content of octet strings.
        tree: Tree,
    },
}

impl Content {
    /// The stable name of the kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Content::Certificate(_) => "certificate",
            Content::Request(_) => "certificate_request",
            Content::RevocationList(_) => "certificate_revocation_list",
            Content::Key(key) if key.is_private => "private_key",
            Content::Key(_) => "public_key",
            Content::Pkcs12(_) => "pkcs12",
            Content::Pkcs7(_) => "pkcs7",
            Content::Unknown { .. } => "unknown",
        }
    }
}

/// One thing found in the input.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where it stands.
    pub position: Position,
    /// The label of its PEM block.
    pub label: Option<String>,
    /// Its DER; empty where that could hold a private key.
    pub der: Vec<u8>,
    /// What it is.
    pub content: Content,
    /// What is wrong with its bytes. Offsets count from the start of its DER.
    pub problems: Vec<Problem>,
    /// What a person should know.
    pub remarks: Vec<Remark>,
}

impl Item {
    /// The certificate, where it is one.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateDescription> {
        match &self.content {
            Content::Certificate(certificate) => Some(certificate),
            _ => None,
        }
    }
}

/// Everything found in one input.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// What the input is called: a file name, `standard input`, `example.com:443`.
    pub source: String,
    /// The moment that validity is compared with.
    pub at: Timestamp,
    /// What was found, in order.
    pub items: Vec<Item>,
    /// What is wrong with the input as a whole.
    pub problems: Vec<Problem>,
    /// What a person should know about the items together: the order of a chain, what is missing in it.
    pub remarks: Vec<Remark>,
}

impl Inspection {
    /// Whether anything was recognised.
    #[must_use]
    pub fn is_understood(&self) -> bool {
        self.items.iter().any(|item| !matches!(item.content, Content::Unknown { .. }))
    }

    /// The most that any remark matters; a problem of the bytes counts as an error.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        let damaged = !self.problems.is_empty() || self.items.iter().any(|item| !item.problems.is_empty());
        let remarks = self.remarks.iter().chain(self.items.iter().flat_map(|item| &item.remarks));
        remarks.map(|remark| remark.severity).chain(damaged.then_some(Severity::Error)).max()
    }
}
