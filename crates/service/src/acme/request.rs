//! Signed requests: the one place where a JWS becomes an account and a payload that are to be believed. What is checked
//! is that of RFC 8555 section 6: the content type, the signature with the key of the account or of the request, that
//! the URL is the one that was called, and that the nonce is ours and unspent.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header;
use serde::de::DeserializeOwned;

use crate::acme::Acme;
use crate::acme::account::Account;
use crate::acme::jose::{AccountKey, Jws, JwsRefused, Signer};
use crate::acme::memory::{Memory, Stored};
use crate::acme::nonce::LIFETIME;
use crate::acme::refusal::{Kind, Refusal};
use crate::{Problem, Visitor, nul};

/// A request that was taken apart, and is not to be believed yet.
pub(crate) struct Unverified {
    pub(crate) acme: Arc<Acme>,
    pub(crate) visitor: Visitor,
    /// The URL that was called.
    pub(crate) url: String,
    jws: Jws,
}

/// A request of an account that may act.
pub(crate) struct Verified {
    pub(crate) acme: Arc<Acme>,
    pub(crate) visitor: Visitor,
    pub(crate) url: String,
    pub(crate) account: Stored<Account>,
    pub(crate) key: AccountKey,
    pub(crate) payload: Bytes,
}

/// Whoever signed: an account, or a key by itself.
pub(crate) enum Party {
    Account(Box<Verified>),
    Key(AccountKey, Bytes),
}

impl From<JwsRefused> for Refusal {
    fn from(refused: JwsRefused) -> Self {
        let kind = match &refused {
            JwsRefused::Shape(_) | JwsRefused::Signature => Kind::Malformed,
            JwsRefused::Algorithm { .. } => Kind::BadSignatureAlgorithm,
            JwsRefused::Key(_) => Kind::BadPublicKey,
        };
        Refusal::new(kind, refused.to_string())
    }
}

impl<S: Send + Sync> FromRequest<S> for Unverified {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let extensions = request.extensions();
        let (acme, visitor) = (extensions.get::<Arc<Acme>>().cloned(), extensions.get::<Visitor>().cloned());
        let (Some(acme), Some(visitor)) = (acme, visitor) else {
            return Err(
                Refusal::new(Kind::ServerInternal, "the request came by a way that is not wired").into()
            );
        };
        // RFC 8555 section 6.2.
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/jose+json") {
            let detail = "the Content-Type must be application/jose+json";
            return Err(Problem::new(415, "urn:ietf:params:acme:error:malformed", detail));
        }
        let uri = request.uri();
        let path = uri.path_and_query().map_or(uri.path(), |path| path.as_str());
        let url = format!("{}{path}", acme.state.base());
        let body = Bytes::from_request(request, state).await.map_err(|_| {
            Problem::new(413, "urn:ietf:params:acme:error:malformed", "the request is too large")
        })?;
        let jws = Jws::parse(&body).map_err(Refusal::from)?;
        // Section 6.4: what was signed for one resource is nothing at another.
        if jws.url != url {
            let detail = format!("the request is signed for another URL than {url}, which was called");
            return Err(Refusal::unauthorized(detail).into());
        }
        Ok(Unverified { acme, visitor, url, jws })
    }
}

impl Unverified {
    /// The key in the request and what it signed: for new accounts.
    pub(crate) async fn by_key(&self) -> Result<(AccountKey, Bytes), Problem> {
        let Signer::Key(key) = &self.jws.signer else {
            return Err(Refusal::malformed(
                "this request is signed with a key in jwk, not by an account in kid",
            )
            .into());
        };
        let payload = Bytes::copy_from_slice(self.jws.verify(key).map_err(Refusal::from)?);
        self.spend_nonce().await?;
        Ok((key.clone(), payload))
    }

    /// The account and what it signed.
    pub(crate) async fn by_account(self) -> Result<Verified, Problem> {
        let Signer::Named(kid) = &self.jws.signer else {
            return Err(Refusal::malformed(
                "this request is signed by an account in kid, not with a key in jwk",
            )
            .into());
        };
        // The whole URL: an id alone, or that of another server, names nobody.
        let unknown = || Refusal::new(Kind::AccountDoesNotExist, "kid is no account's URL here");
        let id = kid
            .strip_prefix(&self.acme.url("account/"))
            .filter(|id| is_id(id))
            .ok_or_else(unknown)?
            .to_owned();
        let account =
            self.acme.blocking(move |_, memory| Ok(memory.account(&id)?)).await?.ok_or_else(unknown)?;
        let jwk = serde_json::from_str(&account.value.jwk).ok();
        let key = jwk
            .and_then(|jwk| AccountKey::from_jwk(&jwk).ok())
            .ok_or_else(|| Refusal::new(Kind::ServerInternal, "the account's key cannot be read"))?;
        let payload = Bytes::copy_from_slice(self.jws.verify(&key).map_err(Refusal::from)?);
        self.spend_nonce().await?;
        account.value.check()?;
        let Unverified { acme, visitor, url, .. } = self;
        Ok(Verified { acme, visitor, url, account, key, payload })
    }

    /// Whoever signed: for revocations.
    pub(crate) async fn by_either(self) -> Result<Party, Problem> {
        match &self.jws.signer {
            Signer::Key(_) => self.by_key().await.map(|(key, payload)| Party::Key(key, payload)),
            Signer::Named(_) => self.by_account().await.map(|verified| Party::Account(Box::new(verified))),
        }
    }

    async fn spend_nonce(&self) -> Result<(), Problem> {
        let bad = |why: &str| {
            Err(Refusal::new(Kind::BadNonce, format!("the nonce {why}; use the one sent with this")).into())
        };
        let Some(text) = &self.jws.nonce else { return bad("is missing") };
        let (nonces, now) = (self.acme.nonces().await?, self.acme.state.now());
        let Some(nonce) = nonces.genuine(text, now) else { return bad("is not from here, or too old") };
        if !nonces.spend(nonce, now) {
            return bad("was used already");
        }
        if self.acme.settings().shared {
            let (id, expires) = (nonce.id(), now + LIFETIME);
            let is_first = self.acme.blocking(move |_, memory| Ok(memory.spend_nonce(&id, expires)?)).await?;
            if !is_first {
                return bad("was used already");
            }
        }
        Ok(())
    }
}

/// Whether a text can be an id: what else reaches the memory is no id for certain.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|octet| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet))
}

impl<S: Send + Sync> FromRequest<S> for Verified {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Unverified::from_request(request, state).await?.by_account().await
    }
}

impl Verified {
    /// The account's id.
    pub(crate) fn id(&self) -> &str {
        &self.account.value.id
    }

    /// The account's URL.
    pub(crate) fn account_url(&self) -> String {
        self.acme.url(&format!("account/{}", self.id()))
    }

    /// The payload as the JSON object it has to be.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        json(&self.payload)
    }

    /// Nothing, if it is a POST-as-GET (RFC 8555 section 6.3).
    pub(crate) fn is_get(&self) -> Result<(), Refusal> {
        if self.payload.is_empty() {
            return Ok(());
        }
        Err(Refusal::malformed(
            "this is read by POST-as-GET: the payload must be empty (RFC 8555 section 6.3)",
        ))
    }

    /// Who asked, and from where, for the audit trail.
    pub(crate) fn origin(&self) -> String {
        origin(&self.visitor)
    }

    /// Runs what reads and writes records on a thread of its own.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&crate::State, &Memory) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.acme.blocking(work).await
    }
}

/// A payload as JSON.
pub(crate) fn json<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Refusal> {
    if nul::is_in_json(payload) {
        return Err(Refusal::malformed("the payload has the character U+0000 in a text"));
    }
    serde_json::from_slice(payload).map_err(|error| Refusal::malformed(format!("the payload: {error}")))
}

/// From where a request came.
pub(crate) fn origin(visitor: &Visitor) -> String {
    format!("{} by acme", visitor.address.ip())
}
