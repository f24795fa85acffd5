//! Why ACME says no: the error types of RFC 8555 section 6.7 with the sentence that explains them. How they look on the
//! wire is [`Problem`]'s matter.

use serde_json::{Value, json};

use crate::Problem;
use crate::acme::identifier::Identifier;

/// The error types of RFC 8555 section 6.7, RFC 9773 section 7.4 and draft-ietf-acme-profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    AccountDoesNotExist,
    AlreadyReplaced,
    AlreadyRevoked,
    BadCsr,
    BadNonce,
    BadPublicKey,
    BadRevocationReason,
    BadSignatureAlgorithm,
    Caa,
    Compound,
    Connection,
    Dns,
    ExternalAccountRequired,
    IncorrectResponse,
    InvalidContact,
    InvalidProfile,
    Malformed,
    OrderNotReady,
    RateLimited,
    RejectedIdentifier,
    ServerInternal,
    Tls,
    Unauthorized,
    UnsupportedContact,
    UnsupportedIdentifier,
    UserActionRequired,
}

#[rustfmt::skip] // One line a type reads as the table it is.
const KINDS: [(Kind, &str, &str, u16); 26] = [
    (Kind::AccountDoesNotExist,     "accountDoesNotExist",     "urn:ietf:params:acme:error:accountDoesNotExist",     400),
    (Kind::AlreadyReplaced,         "alreadyReplaced",         "urn:ietf:params:acme:error:alreadyReplaced",         409),
    (Kind::AlreadyRevoked,          "alreadyRevoked",          "urn:ietf:params:acme:error:alreadyRevoked",          400),
    (Kind::BadCsr,                  "badCSR",                  "urn:ietf:params:acme:error:badCSR",                  400),
    (Kind::BadNonce,                "badNonce",                "urn:ietf:params:acme:error:badNonce",                400),
    (Kind::BadPublicKey,            "badPublicKey",            "urn:ietf:params:acme:error:badPublicKey",            400),
    (Kind::BadRevocationReason,     "badRevocationReason",     "urn:ietf:params:acme:error:badRevocationReason",     400),
    (Kind::BadSignatureAlgorithm,   "badSignatureAlgorithm",   "urn:ietf:params:acme:error:badSignatureAlgorithm",   400),
    (Kind::Caa,                     "caa",                     "urn:ietf:params:acme:error:caa",                     403),
    (Kind::Compound,                "compound",                "urn:ietf:params:acme:error:compound",                400),
    (Kind::Connection,              "connection",              "urn:ietf:params:acme:error:connection",              400),
    (Kind::Dns,                     "dns",                     "urn:ietf:params:acme:error:dns",                     400),
    (Kind::ExternalAccountRequired, "externalAccountRequired", "urn:ietf:params:acme:error:externalAccountRequired", 403),
    (Kind::IncorrectResponse,       "incorrectResponse",       "urn:ietf:params:acme:error:incorrectResponse",       403),
    (Kind::InvalidContact,          "invalidContact",          "urn:ietf:params:acme:error:invalidContact",          400),
    (Kind::InvalidProfile,          "invalidProfile",          "urn:ietf:params:acme:error:invalidProfile",          400),
    (Kind::Malformed,               "malformed",               "urn:ietf:params:acme:error:malformed",               400),
    (Kind::OrderNotReady,           "orderNotReady",           "urn:ietf:params:acme:error:orderNotReady",           403),
    (Kind::RateLimited,             "rateLimited",             "urn:ietf:params:acme:error:rateLimited",             429),
    (Kind::RejectedIdentifier,      "rejectedIdentifier",      "urn:ietf:params:acme:error:rejectedIdentifier",      400),
    (Kind::ServerInternal,          "serverInternal",          "urn:ietf:params:acme:error:serverInternal",          500),
    (Kind::Tls,                     "tls",                     "urn:ietf:params:acme:error:tls",                     400),
    (Kind::Unauthorized,            "unauthorized",            "urn:ietf:params:acme:error:unauthorized",            403),
    (Kind::UnsupportedContact,      "unsupportedContact",      "urn:ietf:params:acme:error:unsupportedContact",      400),
    (Kind::UnsupportedIdentifier,   "unsupportedIdentifier",   "urn:ietf:params:acme:error:unsupportedIdentifier",   400),
    (Kind::UserActionRequired,      "userActionRequired",      "urn:ietf:params:acme:error:userActionRequired",      403),
];

impl Kind {
    /// The URN and the status.
    fn row(self) -> (&'static str, u16) {
        // Every kind has its line: the test below goes through all of them by their number.
        let found = KINDS.iter().find(|(kind, ..)| *kind == self);
        found.map_or(("urn:ietf:params:acme:error:serverInternal", 500), |(_, _, urn, status)| (urn, *status))
    }

    /// The kind of that word.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        KINDS.iter().find(|(_, known, ..)| *known == name).map(|(kind, ..)| *kind)
    }
}

/// A refusal: its type, the sentence, and where several names were refused one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
    /// RFC 8555 section 6.7.1.
    pub(crate) subproblems: Vec<(Identifier, Refusal)>,
    /// How many seconds to wait before it may go otherwise.
    pub(crate) retry_after: Option<u32>,
}

impl Refusal {
    /// A refusal of this kind.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Refusal { kind, detail: detail.into(), subproblems: Vec::new(), retry_after: None }
    }

    /// `malformed`.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, detail)
    }

    /// `unauthorized`. Used as well for what is not there: whether another account's order exists is nobody's business.
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unauthorized, detail)
    }

    /// With the seconds after which to come again.
    pub(crate) fn after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// One refusal out of one for each name.
    pub(crate) fn of_names(mut each: Vec<(Identifier, Refusal)>) -> Option<Self> {
        match each.len() {
            0 => None,
            1 => each.pop().map(|(_, refusal)| refusal),
            count => {
                let kind = each[0].1.kind;
                let kind =
                    if each.iter().all(|(_, refusal)| refusal.kind == kind) { kind } else { Kind::Compound };
                let mut all = Refusal::new(kind, format!("{count} of the names are refused; each says why"));
                all.subproblems = each;
                Some(all)
            }
        }
    }

    /// As an error object inside of another resource, such as a challenge (RFC 8555 section 8).
    pub(crate) fn json(&self) -> Value {
        let mut value =
            json!({ "type": self.kind.row().0, "detail": self.detail, "status": self.kind.row().1 });
        if !self.subproblems.is_empty() {
            value["subproblems"] = self.subproblems_json();
        }
        value
    }

    fn subproblems_json(&self) -> Value {
        let one = |(identifier, refusal): &(Identifier, Refusal)| {
            let mut value = refusal.json();
            value["identifier"] = identifier.json();
            value
        };
        self.subproblems.iter().map(one).collect()
    }

    /// What [`Refusal::json`] wrote, read back; without the subproblems.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let kind = value["type"].as_str()?.strip_prefix("urn:ietf:params:acme:error:")?;
        Some(Refusal::new(Kind::from_name(kind)?, value["detail"].as_str()?))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (kind, status) = refusal.kind.row();
        let mut problem = Problem::new(status, kind, refusal.detail.clone());
        if !refusal.subproblems.is_empty() {
            problem = problem.with("subproblems", refusal.subproblems_json());
        }
        if let Some(seconds) = refusal.retry_after {
            problem = problem.retry_after(seconds.into());
        }
        if refusal.kind == Kind::BadSignatureAlgorithm {
            problem = problem.with("algorithms", json!(crate::acme::jose::ALGORITHMS));
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_in_the_order_of_the_enumeration_and_consistent() {
        for (index, (kind, name, urn, status)) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, index, "{name}");
            assert_eq!(urn.strip_prefix("urn:ietf:params:acme:error:"), Some(*name));
            assert!((400..=599).contains(status));
            assert_eq!(Kind::from_name(name), Some(*kind));
        }
    }
}
