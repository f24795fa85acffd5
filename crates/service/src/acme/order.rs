//! Orders (RFC 8555 sections 7.1.3 and 7.1.6), as a state machine. `pending`, `ready` and the `invalid` of a failed
//! authorization follow from the authorizations and the clock; what is on record is only what cannot be computed.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use pki::Profile;
use pki::csr::CertificateRequest;
use serde_json::{Value, json};

use crate::acme::account::time;
use crate::acme::challenge::{Authorization, AuthorizationStatus};
use crate::acme::identifier::Identifier;
use crate::acme::refusal::{Kind, Refusal};

/// RFC 8555 section 7.1.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderStatus {
    /// Control of a name is still to be shown.
    Pending,
    /// A request can be sent.
    Ready,
    /// The certificate is being made.
    Processing,
    /// The certificate is there.
    Valid,
    /// Nothing will come of it.
    Invalid,
}

impl OrderStatus {
    /// The RFC's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            OrderStatus::Pending => "pending",
            OrderStatus::Ready => "ready",
            OrderStatus::Processing => "processing",
            OrderStatus::Valid => "valid",
            OrderStatus::Invalid => "invalid",
        }
    }
}

/// What is on record of an order's way.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    /// Nothing but its authorizations.
    Open,
    /// A request was accepted at this moment.
    Processing(Timestamp),
    /// The serial number of its certificate.
    Valid(Vec<u8>),
    /// Why it failed.
    Invalid(Refusal),
}

/// An issuance that was begun and whose process ended is given up after this time. Longer than any takes.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_secs(120);

/// An order with all its authorizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// The last segment of its URL.
    pub(crate) id: String,
    /// The account that it belongs to.
    pub(crate) account: String,
    pub(crate) profile: Profile,
    pub(crate) identifiers: Vec<Identifier>,
    pub(crate) not_after: Option<Timestamp>,
    pub(crate) expires: Timestamp,
    pub(crate) authorizations: Vec<Authorization>,
    /// The serial number of the certificate that it is to take the place of (RFC 9773 section 5).
    pub(crate) replaces: Option<Vec<u8>>,
    progress: Progress,
    /// The request that was accepted.
    csr: Option<Vec<u8>>,
}

/// What a new order is made of.
pub(crate) struct NewOrder {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) profile: Profile,
    pub(crate) identifiers: Vec<Identifier>,
    pub(crate) not_after: Option<Timestamp>,
    pub(crate) expires: Timestamp,
    pub(crate) authorizations: Vec<Authorization>,
    pub(crate) replaces: Option<Vec<u8>>,
}

impl Order {
    /// A new one.
    pub(crate) fn new(new: NewOrder) -> Self {
        Order {
            id: new.id,
            account: new.account,
            profile: new.profile,
            identifiers: new.identifiers,
            not_after: new.not_after,
            expires: new.expires,
            authorizations: new.authorizations,
            replaces: new.replaces,
            progress: Progress::Open,
            csr: None,
        }
    }

    /// How it stands at this moment.
    pub(crate) fn status(&self, now: Timestamp) -> OrderStatus {
        match &self.progress {
            Progress::Valid(_) => OrderStatus::Valid,
            Progress::Invalid(_) => OrderStatus::Invalid,
            Progress::Processing(since) if now.duration_since(*since) > ABANDONED_AFTER => {
                OrderStatus::Invalid
            }
            Progress::Processing(_) => OrderStatus::Processing,
            Progress::Open if now >= self.expires => OrderStatus::Invalid,
            Progress::Open => {
                let mut statuses = self.authorizations.iter().map(|authorization| authorization.status(now));
                let is_open = |status: &AuthorizationStatus| *status == AuthorizationStatus::Pending;
                let is_valid = |status: &AuthorizationStatus| *status == AuthorizationStatus::Valid;
                if statuses.clone().any(|status| !is_open(&status) && !is_valid(&status)) {
                    OrderStatus::Invalid
                } else if statuses.all(|status| is_valid(&status)) {
                    OrderStatus::Ready
                } else {
                    OrderStatus::Pending
                }
            }
        }
    }

    /// Why it is invalid, if it is.
    pub(crate) fn error(&self, now: Timestamp) -> Option<Refusal> {
        if self.status(now) != OrderStatus::Invalid {
            return None;
        }
        match &self.progress {
            Progress::Invalid(refusal) => return Some(refusal.clone()),
            Progress::Processing(_) => {
                let detail = "making the certificate was interrupted; order again";
                return Some(Refusal::new(Kind::ServerInternal, detail));
            }
            Progress::Open | Progress::Valid(_) => {}
        }
        let failed = |authorization: &Authorization| {
            let error = authorization.challenges.iter().find_map(|challenge| challenge.error.clone())?;
            Some((authorization.identifier.clone(), error))
        };
        let each = self.authorizations.iter().filter_map(failed).collect();
        Some(Refusal::of_names(each).unwrap_or_else(|| {
            Refusal::unauthorized(
                "the order, or an authorization of it, expired or was deactivated; order again",
            )
        }))
    }

    /// The serial number of its certificate.
    pub(crate) fn serial(&self) -> Option<&[u8]> {
        match &self.progress {
            Progress::Valid(serial) => Some(serial),
            _ => None,
        }
    }

    /// Accepts a request: `ready` becomes `processing`. Nothing changes where it is refused.
    ///
    /// # Errors
    /// `orderNotReady` or `badCSR`.
    pub(crate) fn begin(
        &mut self,
        request: &CertificateRequest,
        plain_names: &[String],
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let status = self.status(now);
        if status != OrderStatus::Ready {
            let refusal =
                Refusal::new(Kind::OrderNotReady, format!("the order is {}, not ready", status.word()));
            return Err(if status == OrderStatus::Pending { refusal.after(1) } else { refusal });
        }
        check_names(request, &self.identifiers, plain_names)?;
        self.progress = Progress::Processing(now);
        self.csr = Some(request.der().to_vec());
        Ok(())
    }

    /// The certificate is made, or cannot be.
    pub(crate) fn conclude(&mut self, result: Result<Vec<u8>, Refusal>) {
        if matches!(self.progress, Progress::Processing(_)) {
            self.progress = match result {
                Ok(serial) => Progress::Valid(serial),
                Err(refusal) => Progress::Invalid(refusal),
            };
            self.csr = None;
        }
    }

    /// The text of its record.
    pub(crate) fn body(&self) -> String {
        let progress = match &self.progress {
            Progress::Open => json!("open"),
            Progress::Processing(since) => json!({ "processing": since.as_second() }),
            Progress::Valid(serial) => json!({ "valid": pki::hex(serial) }),
            Progress::Invalid(refusal) => json!({ "invalid": refusal.json() }),
        };
        json!({
            "account": self.account,
            "profile": self.profile.name(),
            "identifiers": self.identifiers.iter().map(Identifier::json).collect::<Vec<_>>(),
            "not_after": self.not_after.map(Timestamp::as_second),
            "expires": self.expires.as_second(),
            "authorizations": self.authorizations.iter().map(Authorization::json).collect::<Vec<_>>(),
            "replaces": self.replaces.as_deref().map(pki::hex),
            "progress": progress,
            "csr": self.csr.as_ref().map(|der| STANDARD.encode(der)),
        })
        .to_string()
    }

    /// Reads [`Order::body`].
    pub(crate) fn from_body(id: &str, body: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(body).ok()?;
        let progress = &value["progress"];
        let progress = if progress == "open" {
            Progress::Open
        } else if let Some(since) = time(&progress["processing"]) {
            Progress::Processing(since)
        } else if let Some(serial) = progress["valid"].as_str() {
            Progress::Valid(pki::unhex(serial)?)
        } else {
            Progress::Invalid(Refusal::from_json(&progress["invalid"])?)
        };
        let list = |name: &str| value[name].as_array();
        Some(Order {
            id: id.to_owned(),
            account: value["account"].as_str()?.to_owned(),
            profile: value["profile"].as_str()?.parse().ok()?,
            identifiers: list("identifiers")?.iter().map(Identifier::from_json).collect::<Option<_>>()?,
            not_after: time(&value["not_after"]),
            expires: time(&value["expires"])?,
            authorizations: list("authorizations")?
                .iter()
                .map(Authorization::from_json)
                .collect::<Option<_>>()?,
            replaces: value["replaces"].as_str().map(pki::unhex).unwrap_or_default(),
            progress,
            csr: value["csr"].as_str().and_then(|text| STANDARD.decode(text).ok()),
        })
    }
}

/// The names of a request are those of the order, all of them and no other (RFC 8555 section 7.4). `plain_names` are
/// names of the account's identity that are no DNS name, address or mailbox, such as `Alice Example`: a commonName may
/// be one of them.
fn check_names(
    request: &CertificateRequest,
    identifiers: &[Identifier],
    plain_names: &[String],
) -> Result<(), Refusal> {
    let bad = |detail: String| Err(Refusal::new(Kind::BadCsr, detail));
    let names = request.names();
    let mut asked = BTreeSet::new();
    for name in &names.alternative {
        match Identifier::of_name(name) {
            Some(identifier) => asked.insert(identifier),
            None => return bad(format!("the request asks for {name}, which no order can hold")),
        };
    }
    if let Some(common_name) = &names.common_name {
        let known =
            identifiers.iter().find(|identifier| identifier.value().eq_ignore_ascii_case(common_name));
        match known {
            Some(identifier) => drop(asked.insert(identifier.clone())),
            None if plain_names.contains(common_name) => {}
            None => {
                return bad(format!("the commonName '{common_name}' is not among the names of the order"));
            }
        }
    }
    let ordered: BTreeSet<_> = identifiers.iter().cloned().collect();
    if let Some(more) = asked.difference(&ordered).next() {
        return bad(format!("the request asks for '{more}', which is not in the order"));
    }
    if let Some(missing) = ordered.difference(&asked).next() {
        return bad(format!("the order is for '{missing}' too, and the request does not name it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
