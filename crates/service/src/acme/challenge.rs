//! Authorizations and challenges (RFC 8555 sections 7.1.4 to 7.1.6), as state machines: what was, what happens, and the
//! moment go in; what is then comes out.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::acme::account::time;
use crate::acme::identifier::Identifier;
use crate::acme::refusal::Refusal;

/// A way to show control of an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChallengeKind {
    /// RFC 8555 section 8.3.
    Http01,
    /// RFC 8555 section 8.4.
    Dns01,
    /// RFC 8737.
    TlsAlpn01,
}

impl ChallengeKind {
    /// Its name in the registry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ChallengeKind::Http01 => "http-01",
            ChallengeKind::Dns01 => "dns-01",
            ChallengeKind::TlsAlpn01 => "tls-alpn-01",
        }
    }

    /// The kind of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [ChallengeKind::Http01, ChallengeKind::Dns01, ChallengeKind::TlsAlpn01]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// The ways that are offered for an identifier. A wildcard can be shown through the DNS only (RFC 8555 section
    /// 7.1.3: the others show control of one host), an address not through it (RFC 8738 section 7).
    pub(crate) fn offered(identifier: &Identifier, wildcard: bool) -> &'static [ChallengeKind] {
        match identifier {
            Identifier::Dns(_) if wildcard => &[ChallengeKind::Dns01],
            Identifier::Dns(_) => &[ChallengeKind::Http01, ChallengeKind::Dns01, ChallengeKind::TlsAlpn01],
            Identifier::Ip(_) => &[ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
            Identifier::Email(_) => &[],
        }
    }
}

/// RFC 8555 section 7.1.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChallengeStatus {
    Pending,
    Processing,
    Valid,
    Invalid,
}

impl ChallengeStatus {
    /// The RFC's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            ChallengeStatus::Pending => "pending",
            ChallengeStatus::Processing => "processing",
            ChallengeStatus::Valid => "valid",
            ChallengeStatus::Invalid => "invalid",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        use ChallengeStatus as S;
        [S::Pending, S::Processing, S::Valid, S::Invalid].into_iter().find(|status| status.word() == word)
    }
}

/// One way to show control, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) kind: ChallengeKind,
    pub(crate) status: ChallengeStatus,
    /// 128 random bits (RFC 8555 section 8.3).
    pub(crate) token: String,
    /// When it was begun.
    pub(crate) begun: Option<Timestamp>,
    pub(crate) validated: Option<Timestamp>,
    pub(crate) error: Option<Refusal>,
}

/// RFC 8555 section 7.1.6. `revoked` does not exist here: an account is revoked as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthorizationStatus {
    Pending,
    Valid,
    Invalid,
    Deactivated,
    Expired,
}

impl AuthorizationStatus {
    /// The RFC's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            AuthorizationStatus::Pending => "pending",
            AuthorizationStatus::Valid => "valid",
            AuthorizationStatus::Invalid => "invalid",
            AuthorizationStatus::Deactivated => "deactivated",
            AuthorizationStatus::Expired => "expired",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        use AuthorizationStatus as S;
        [S::Pending, S::Valid, S::Invalid, S::Deactivated, S::Expired].into_iter().find(|s| s.word() == word)
    }
}

/// What came of answering a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It is to be validated now.
    Now,
    /// Somebody is at it, or it is decided: nothing changes.
    Before,
}

/// A validation that was begun and whose process ended is taken up again when the client asks after this time. More
/// than the longest validation takes.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_secs(120);

/// An account's standing for one identifier, within one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) identifier: Identifier,
    pub(crate) wildcard: bool,
    status: AuthorizationStatus,
    expires: Timestamp,
    pub(crate) challenges: Vec<Challenge>,
}

impl Authorization {
    /// One to be shown by a challenge; `token` gives a fresh one for each.
    ///
    /// # Errors
    /// What `token` says.
    pub(crate) fn new<E>(
        name: &Identifier,
        expires: Timestamp,
        mut token: impl FnMut() -> Result<String, E>,
    ) -> Result<Self, E> {
        let (identifier, wildcard) = name.base();
        let mut challenges = Vec::new();
        for kind in ChallengeKind::offered(&identifier, wildcard) {
            challenges.push(Challenge {
                kind: *kind,
                status: ChallengeStatus::Pending,
                token: token()?,
                begun: None,
                validated: None,
                error: None,
            });
        }
        Ok(Authorization { identifier, wildcard, status: AuthorizationStatus::Pending, expires, challenges })
    }

    /// One that the account has by its binding: nothing needs to be shown.
    pub(crate) fn granted(name: &Identifier, expires: Timestamp) -> Self {
        let (identifier, wildcard) = name.base();
        let status = AuthorizationStatus::Valid;
        Authorization { identifier, wildcard, status, expires, challenges: Vec::new() }
    }

    /// How it stands at this moment.
    pub(crate) fn status(&self, now: Timestamp) -> AuthorizationStatus {
        match self.status {
            AuthorizationStatus::Pending | AuthorizationStatus::Valid if now >= self.expires => {
                AuthorizationStatus::Expired
            }
            status => status,
        }
    }

    /// Until when it stands.
    pub(crate) fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The challenge of this kind.
    pub(crate) fn challenge(&self, kind: ChallengeKind) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.kind == kind)
    }

    /// The client says that a challenge can be validated: `pending` becomes `processing`. What is decided stays.
    pub(crate) fn begin(&mut self, kind: ChallengeKind, now: Timestamp) -> Begun {
        if self.status(now) != AuthorizationStatus::Pending {
            return Begun::Before;
        }
        let Some(challenge) = self.challenges.iter_mut().find(|challenge| challenge.kind == kind) else {
            return Begun::Before;
        };
        let is_abandoned = challenge.begun.is_some_and(|begun| now.duration_since(begun) > ABANDONED_AFTER);
        match challenge.status {
            ChallengeStatus::Pending => {}
            ChallengeStatus::Processing if is_abandoned => {}
            _ => return Begun::Before,
        }
        challenge.status = ChallengeStatus::Processing;
        challenge.begun = Some(now);
        Begun::Now
    }

    /// A validation has ended: the challenge is `valid` or `invalid`, and with it the authorization. One that was
    /// deactivated or decided meanwhile stays as it is.
    pub(crate) fn conclude(&mut self, kind: ChallengeKind, result: Result<(), Refusal>, now: Timestamp) {
        if self.status != AuthorizationStatus::Pending {
            return;
        }
        let Some(challenge) = self.challenges.iter_mut().find(|challenge| challenge.kind == kind) else {
            return;
        };
        if challenge.status != ChallengeStatus::Processing {
            return;
        }
        match result {
            Ok(()) => {
                challenge.status = ChallengeStatus::Valid;
                challenge.validated = Some(now);
                self.status = AuthorizationStatus::Valid;
                // RFC 8555 section 7.1.4: a valid authorization shows the challenge that was validated.
                self.challenges.retain(|challenge| challenge.kind == kind);
            }
            Err(refusal) => {
                challenge.status = ChallengeStatus::Invalid;
                challenge.error = Some(refusal);
                self.status = AuthorizationStatus::Invalid;
                self.challenges.retain(|challenge| challenge.kind == kind);
            }
        }
    }

    /// The account gives it up (RFC 8555 section 7.5.2).
    pub(crate) fn deactivate(&mut self) {
        if matches!(self.status, AuthorizationStatus::Pending | AuthorizationStatus::Valid) {
            self.status = AuthorizationStatus::Deactivated;
        }
    }

    /// As it stands within an order's record.
    pub(crate) fn json(&self) -> Value {
        let challenge = |challenge: &Challenge| {
            json!({
                "type": challenge.kind.name(),
                "status": challenge.status.word(),
                "token": challenge.token,
                "begun": challenge.begun.map(Timestamp::as_second),
                "validated": challenge.validated.map(Timestamp::as_second),
                "error": challenge.error.as_ref().map(Refusal::json),
            })
        };
        json!({
            "identifier": self.identifier.json(),
            "wildcard": self.wildcard,
            "status": self.status.word(),
            "expires": self.expires.as_second(),
            "challenges": self.challenges.iter().map(challenge).collect::<Vec<_>>(),
        })
    }

    /// Reads [`Authorization::json`].
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let challenge = |value: &Value| {
            Some(Challenge {
                kind: ChallengeKind::from_name(value["type"].as_str()?)?,
                status: ChallengeStatus::from_word(value["status"].as_str()?)?,
                token: value["token"].as_str()?.to_owned(),
                begun: time(&value["begun"]),
                validated: time(&value["validated"]),
                error: Refusal::from_json(&value["error"]),
            })
        };
        Some(Authorization {
            identifier: Identifier::from_json(&value["identifier"])?,
            wildcard: value["wildcard"].as_bool()?,
            status: AuthorizationStatus::from_word(value["status"].as_str()?)?,
            expires: time(&value["expires"])?,
            challenges: value["challenges"].as_array()?.iter().map(challenge).collect::<Option<_>>()?,
        })
    }
}
