//! Making, looking at, changing and ending accounts (RFC 8555 section 7.3).

use axum::Json;
use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse, Response};
use ca::{NewEvent, StoreError};
use http::{StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Problem;
use crate::acme::account::{Account, AccountStatus, Binding, check_contacts};
use crate::acme::jose::{AccountKey, Jws, Signer};
use crate::acme::memory::{Memory, Stored};
use crate::acme::refusal::{Kind, Refusal};
use crate::acme::request::{Unverified, Verified, is_id, json, origin};
use crate::acme::{Acme, Settings};

/// How many orders one page of a list holds.
const PAGE: usize = 100;

/// RFC 8555 section 7.3.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewAccount {
    #[serde(default)]
    contact: Vec<String>,
    #[serde(default)]
    terms_of_service_agreed: bool,
    #[serde(default)]
    only_return_existing: bool,
    external_account_binding: Option<Value>,
}

/// An account as a client sees it (section 7.1.2).
fn shown(acme: &Acme, account: &Account) -> Value {
    json!({
        "status": account.status.word(),
        "contact": account.contact,
        "termsOfServiceAgreed": account.terms_agreed,
        "orders": acme.url(&format!("account/{}/orders", account.id)),
    })
}

fn answer(acme: &Acme, status: StatusCode, account: &Account) -> Response {
    let location = acme.url(&format!("account/{}", account.id));
    (status, [(header::LOCATION, location)], Json(shown(acme, account))).into_response()
}

/// POST to newAccount: makes one, or says which one the key has.
pub(super) async fn create(request: Unverified) -> Result<Response, Problem> {
    let (key, payload) = request.by_key().await?;
    let wish: NewAccount = json(&payload)?;
    let of_key = key.clone();
    if let Some(existing) =
        request.acme.blocking(move |_, memory| Ok(memory.account_of_key(&of_key)?)).await?
    {
        existing.value.check()?;
        return Ok(answer(&request.acme, StatusCode::OK, &existing.value));
    }
    if wish.only_return_existing {
        return Err(Refusal::new(Kind::AccountDoesNotExist, "this key has no account").into());
    }
    check_contacts(&wish.contact)?;
    if let Some(terms) = &request.acme.settings().terms_of_service
        && !wish.terms_of_service_agreed
    {
        let detail = format!("agree to the terms of service first: {terms}");
        return Err(Refusal::new(Kind::UserActionRequired, detail).into());
    }
    let account = Account {
        id: request.acme.new_id()?,
        status: AccountStatus::Valid,
        jwk: key.canonical_jwk().to_owned(),
        contact: wish.contact,
        terms_agreed: wish.terms_of_service_agreed,
        binding: None,
        created: request.acme.state.now(),
    };
    let binding = wish.external_account_binding.map(|inner| inner.to_string().into_bytes());
    let (visitor, url, settings) =
        (request.visitor.clone(), request.url.clone(), request.acme.settings().clone());
    let (is_new, account) = request
        .acme
        .blocking(move |state, memory| {
            let now = state.now();
            let address = visitor.address.ip().to_canonical().to_string();
            limit_registrations(memory, &address, &settings, now)?;
            let binding = binding.map(|inner| bind(memory, &inner, &url, &key, now)).transpose()?;
            let account =
                Account { binding: binding.as_ref().map(|bound| bound.value.id.clone()), ..account };
            let identity = binding.as_ref().and_then(|bound| bound.value.identity.clone());
            let event = NewEvent {
                at: now,
                actor: format!("acme account {}", account.id),
                origin: origin(&visitor),
                action: "acme-account",
                serial: None,
                details: identity.map_or("not bound".to_owned(), |name| format!("bound to {name}")),
            };
            match memory.create_account(&account, &key, binding, &address, event) {
                Ok(()) => Ok((true, account)),
                // The same key twice at once is one account; the same binding twice is not.
                Err(StoreError::Conflict { .. }) => match memory.account_of_key(&key)? {
                    Some(existing) => Ok((false, existing.value)),
                    None => {
                        Err(Refusal::unauthorized("the external account key was used by another meanwhile")
                            .into())
                    }
                },
                Err(error) => Err(error.into()),
            }
        })
        .await?;
    Ok(answer(&request.acme, if is_new { StatusCode::CREATED } else { StatusCode::OK }, &account))
}

fn limit_registrations(
    memory: &Memory,
    address: &str,
    settings: &Settings,
    now: Timestamp,
) -> Result<(), Problem> {
    let most = settings.accounts_per_hour;
    if memory.registrations(address, now - SignedDuration::from_hours(1), most)? < most {
        return Ok(());
    }
    let detail = format!("{address} has made {most} accounts within the last hour, which is the most");
    Err(Refusal::new(Kind::RateLimited, detail).after(3600).into())
}

/// Checks an external account binding (section 7.3.4) and takes its use.
fn bind(
    memory: &Memory,
    inner: &[u8],
    url: &str,
    key: &AccountKey,
    now: Timestamp,
) -> Result<Stored<Binding>, Problem> {
    let jws = Jws::parse(inner).map_err(Refusal::from)?;
    let malformed = |detail: &str| Refusal::malformed(format!("externalAccountBinding: {detail}"));
    let Signer::Named(kid) = &jws.signer else {
        return Err(malformed("it is signed by a key name in kid").into());
    };
    if jws.nonce.is_some() {
        return Err(malformed("there may be no nonce in it").into());
    }
    if jws.url != url {
        return Err(malformed("its url must be that of the request around it").into());
    }
    // One answer for a name that is not known and a MAC that is not right: names are not to be found out by trying.
    let no =
        || Refusal::unauthorized("the external account binding is signed with no key that is known here");
    let is_name = kid.len() <= 64 && kid.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let mut binding = memory.binding(kid)?.filter(|_| is_name).ok_or_else(no)?;
    if !binding.value.mac_key.is_empty() {
        let payload = jws.verify_mac(&binding.value.mac_key).map_err(|refused| match refused {
            crate::acme::jose::JwsRefused::Signature => no(),
            other => other.into(),
        })?;
        let bound =
            serde_json::from_slice(payload).ok().and_then(|jwk: Value| AccountKey::from_jwk(&jwk).ok());
        if bound.as_ref() != Some(key) {
            return Err(malformed("its payload must be the key of the account").into());
        }
    }
    // Without a MAC key it is spent, revoked or both; this says which.
    binding.value.spend(now)?;
    Ok(binding)
}

/// What an account may change of itself (sections 7.3.2 and 7.3.6).
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Update {
    contact: Option<Vec<String>>,
    status: Option<String>,
    terms_of_service_agreed: Option<bool>,
}

/// POST to an account: shows, changes or ends it.
pub(super) async fn show_or_update(Path(id): Path<String>, request: Verified) -> Result<Response, Problem> {
    own(&request, &id)?;
    let update: Update = if request.payload.is_empty() { Update::default() } else { request.json()? };
    if let Some(contacts) = &update.contact {
        check_contacts(contacts)?;
    }
    match update.status.as_deref() {
        None | Some("valid" | "deactivated") => {}
        Some(_) => return Err(Refusal::malformed("an account can only be set to 'deactivated'").into()),
    }
    let event_origin = request.origin();
    let account = request
        .blocking(move |state, memory| {
            let stepped = memory.step_account(&id, |account| {
                account.check()?;
                let mut event = None;
                if let Some(contacts) = &update.contact {
                    account.contact.clone_from(contacts);
                }
                account.terms_agreed |= update.terms_of_service_agreed == Some(true);
                if update.status.as_deref() == Some("deactivated") {
                    account.deactivate();
                    event = Some(NewEvent {
                        at: state.now(),
                        actor: format!("acme account {id}"),
                        origin: event_origin.clone(),
                        action: "acme-deactivate",
                        serial: None,
                        details: "by its owner".to_owned(),
                    });
                }
                Ok(event)
            })?;
            Ok(stepped)
        })
        .await?;
    Ok(answer(&request.acme, StatusCode::OK, &account))
}

/// POST-as-GET to an account's orders (section 7.1.2.1), in pages.
pub(super) async fn orders(
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    request: Verified,
) -> Result<Response, Problem> {
    own(&request, &id)?;
    request.is_get()?;
    let after = match query.as_deref() {
        None | Some("") => None,
        Some(query) => {
            let cursor = query.strip_prefix("after=").filter(|cursor| is_id(cursor));
            Some(
                cursor
                    .ok_or_else(|| Refusal::malformed("the page is not known; begin with the first"))?
                    .to_owned(),
            )
        }
    };
    let account = id.clone();
    let mut ids = request
        .blocking(move |_, memory| Ok(memory.orders_of(&account, after.as_deref(), PAGE + 1)?))
        .await?;
    let is_more = ids.len() > PAGE;
    ids.truncate(PAGE);
    let urls: Vec<String> = ids.iter().map(|id| request.acme.url(&format!("order/{id}"))).collect();
    let mut response = Json(json!({ "orders": urls })).into_response();
    if let Some(last) = ids.last().filter(|_| is_more) {
        let next = request.acme.url(&format!("account/{id}/orders?after={last}"));
        if let Ok(value) = format!("<{next}>;rel=\"next\"").parse() {
            response.headers_mut().append(header::LINK, value);
        }
    }
    Ok(response)
}

/// Nothing, if the account of the URL is the one that signed.
fn own(request: &Verified, id: &str) -> Result<(), Refusal> {
    if request.id() == id {
        return Ok(());
    }
    Err(Refusal::unauthorized("the request is signed by another account than the one that it is about"))
}

/// Section 7.3.5.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyChange {
    account: String,
    old_key: Value,
}

/// POST to keyChange: the old key signs that the new one signed that it takes over.
pub(super) async fn change_key(request: Verified) -> Result<Response, Problem> {
    let inner = Jws::parse(&request.payload).map_err(Refusal::from)?;
    let malformed = |detail: &str| Problem::from(Refusal::malformed(format!("the inner request: {detail}")));
    let Signer::Key(new) = &inner.signer else {
        return Err(malformed("it is signed with the new key, in jwk"));
    };
    if inner.nonce.is_some() {
        return Err(malformed("there may be no nonce in it"));
    }
    if inner.url != request.url {
        return Err(malformed("its url must be that of the request around it"));
    }
    let payload = inner.verify(new).map_err(Refusal::from)?;
    let change: KeyChange = json(payload)?;
    if change.account != request.account_url() {
        return Err(malformed("'account' is another account than the one that signed around it"));
    }
    if AccountKey::from_jwk(&change.old_key).ok().as_ref() != Some(&request.key) {
        return Err(malformed("'oldKey' is not the key of the account"));
    }
    if *new == request.key {
        return Err(malformed("the new key is the old one"));
    }
    let (stored, old, new, origin) =
        (request.account.clone(), request.key.clone(), new.clone(), request.origin());
    let changed = request
        .blocking(move |state, memory| {
            let event = NewEvent {
                at: state.now(),
                actor: format!("acme account {}", stored.value.id),
                origin,
                action: "acme-key-change",
                serial: None,
                details: format!("to the key {}", new.thumbprint()),
            };
            let id = stored.value.id.clone();
            match memory.change_key(stored, &old, &new, event) {
                Ok(()) => Ok(Ok(memory.account(&id)?)),
                Err(StoreError::Conflict { .. }) => {
                    Ok(Err(memory.account_of_key(&new)?.map(|other| other.value.id)))
                }
                Err(error) => Err(error.into()),
            }
        })
        .await?;
    match changed {
        Ok(account) => {
            let account = account.map_or_else(|| request.account.value.clone(), |stored| stored.value);
            Ok(answer(&request.acme, StatusCode::OK, &account))
        }
        // Section 7.3.5: 409, with the account that has the key.
        Err(other) => {
            let problem = Problem::new(
                409,
                "urn:ietf:params:acme:error:malformed",
                "the new key belongs to an account already, or this account was changed meanwhile",
            );
            Err(match other {
                Some(id) => problem.header(header::LOCATION, request.acme.url(&format!("account/{id}"))),
                None => problem,
            })
        }
    }
}
