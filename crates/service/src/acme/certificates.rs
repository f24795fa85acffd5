//! What becomes of certificates: downloaded (RFC 8555 section 7.4.2), revoked (section 7.6), renewed in time (RFC 9773).

use axum::Json;
use axum::extract::{Extension, Path};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ca::{Entry, RevokeError, Selector, Who};
use http::header;
use pki::Certificate;
use pki::crl::RevocationReason;
use serde::Deserialize;
use serde_json::json;

use crate::acme::Shared;
use crate::acme::challenge::AuthorizationStatus;
use crate::acme::identifier::Identifier;
use crate::acme::jose::AccountKey;
use crate::acme::memory::Memory;
use crate::acme::orders::own;
use crate::acme::refusal::{Kind, Refusal};
use crate::acme::renewal::{CertificateName, Window, ask_again};
use crate::acme::request::{Party, Unverified, Verified, json, origin};
use crate::{Problem, State};

/// How many of an account's newest orders are looked through for its right to revoke another account's certificate.
const ORDERS_LOOKED_AT: usize = 1000;

/// POST-as-GET to an order's certificate: the chain without the anchor, leaf first.
pub(super) async fn download(Path(order): Path<String>, request: Verified) -> Result<Response, Problem> {
    request.is_get()?;
    let account = request.id().to_owned();
    let pem = request
        .blocking(move |state, memory| {
            let order = own(memory, &order, &account)?;
            let missing = || Refusal::malformed("this order has no certificate");
            let serial = order.serial().ok_or_else(missing)?.to_vec();
            let entry =
                state.store().find(&Selector::Serial(serial))?.into_iter().next().ok_or_else(missing)?;
            let mut pem = pki::pem::encode("CERTIFICATE", &entry.der);
            let lines = state.authority().lines();
            let line = lines.find(entry.line).unwrap_or(lines.issuing());
            pem.extend(line.chain().iter().map(Certificate::to_pem));
            Ok(pem)
        })
        .await?;
    Ok(([(header::CONTENT_TYPE, "application/pem-certificate-chain")], pem).into_response())
}

#[derive(Deserialize)]
struct Revocation {
    certificate: String,
    reason: Option<i64>,
}

/// POST to revokeCert: by the account that has it, by one that controls all its names, or by its own key.
pub(super) async fn revoke(request: Unverified) -> Result<Response, Problem> {
    let origin = origin(&request.visitor);
    let acme = std::sync::Arc::clone(&request.acme);
    let party = request.by_either().await?;
    let payload = match &party {
        Party::Account(verified) => verified.payload.clone(),
        Party::Key(_, payload) => payload.clone(),
    };
    let wish: Revocation = json(&payload)?;
    let der = URL_SAFE_NO_PAD
        .decode(&wish.certificate)
        .map_err(|_| Refusal::malformed("'certificate' is not base64url of DER; PEM is not sent here"))?;
    let certificate = Certificate::from_der(&der).map_err(|error| Refusal::malformed(error.to_string()))?;
    let reason = reason(wish.reason)?;
    acme.blocking(move |state, memory| {
        let serial = certificate.serial().to_vec();
        let found = state.store().find(&Selector::Serial(serial.clone()))?;
        let Some(entry) = found.into_iter().find(|entry| entry.der == certificate.der()) else {
            return Err(Refusal::malformed("this certificate is not from here").into());
        };
        let actor = match &party {
            Party::Account(verified) => {
                may_revoke(state, memory, verified.id(), &entry, &certificate)?;
                format!("acme account {}", verified.id())
            }
            Party::Key(key, _) => {
                is_its_key(key, &certificate)?;
                format!("the key of {}", entry.label)
            }
        };
        let by = Who { actor: &actor, origin: &origin };
        match ca::revoke(state.store(), &Selector::Serial(serial), reason, by, state.now()) {
            Ok(_) => Ok(()),
            Err(error @ RevokeError::AlreadyRevoked { .. }) => {
                Err(Refusal::new(Kind::AlreadyRevoked, error.to_string()).into())
            }
            Err(RevokeError::Store(error)) => Err(error.into()),
            Err(error) => Err(Refusal::malformed(error.to_string()).into()),
        }
    })
    .await?;
    Ok(().into_response())
}

/// The reasons that a subscriber can give (RFC 5280 section 5.3.1): not those of CAs, and no hold.
fn reason(code: Option<i64>) -> Result<RevocationReason, Refusal> {
    let code = code.unwrap_or(0);
    match u8::try_from(code) {
        Ok(code @ (0 | 1 | 3 | 4 | 5 | 9)) => Ok(RevocationReason::from_code(code)),
        _ => {
            let detail =
                format!("the reason {code} is not for subscribers; use 0, 1, 3, 4, 5 or 9 (RFC 5280)");
            Err(Refusal::new(Kind::BadRevocationReason, detail))
        }
    }
}

fn is_its_key(key: &AccountKey, certificate: &Certificate) -> Result<(), Refusal> {
    match certificate.public_key() {
        Ok(public) if key.is(public) => Ok(()),
        _ => Err(Refusal::unauthorized("the request is signed with another key than the certificate's")),
    }
}

fn may_revoke(
    state: &State,
    memory: &Memory,
    account: &str,
    entry: &Entry,
    certificate: &Certificate,
) -> Result<(), Problem> {
    if memory.owner_of(&entry.serial)?.as_deref() == Some(account) {
        return Ok(());
    }
    // Section 7.6: or whoever controls all its names now. A client's names are controlled by nobody but its identity.
    let no = || Refusal::unauthorized("this account neither has this certificate nor controls all its names");
    if entry.profile != pki::Profile::Server {
        return Err(no().into());
    }
    let now = state.now();
    let mut missing: Vec<Identifier> =
        certificate.subject_alt_names().iter().filter_map(Identifier::of_name).collect();
    if missing.len() != certificate.subject_alt_names().len() || missing.is_empty() {
        return Err(no().into());
    }
    for id in memory.orders_of(account, None, ORDERS_LOOKED_AT)? {
        let Some(order) = memory.order(&id)? else { continue };
        let valid: Vec<_> = order
            .value
            .authorizations
            .iter()
            .filter(|authorization| authorization.status(now) == AuthorizationStatus::Valid)
            .map(|authorization| (authorization.identifier.clone(), authorization.wildcard))
            .collect();
        missing.retain(|name| !valid.contains(&name.base()));
        if missing.is_empty() {
            return Ok(());
        }
    }
    Err(no().into())
}

/// GET of a certificate's renewal information. Anyone may ask: the name of a certificate is no secret, and the answer
/// says nothing that the certificate does not say.
pub(super) async fn renewal_info(
    Path(name): Path<String>,
    Extension(acme): Shared,
) -> Result<Response, Problem> {
    let unknown =
        || Problem::new(404, "urn:ietf:params:acme:error:malformed", "there is no such certificate");
    let name = CertificateName::parse(&name).ok_or_else(unknown)?;
    let (window, seconds) = acme
        .blocking(move |state, _| {
            let lines = state.authority().lines();
            let found = state.store().find(&Selector::Serial(name.serial))?.into_iter().next();
            let entry = found.ok_or_else(unknown)?;
            let certificate = Certificate::from_der(&entry.der).map_err(|error| Problem::internal(&error))?;
            let own = lines.find(entry.line).map(|line| line.issuer().certificate().clone());
            let own = own.and_then(|issuer| issuer.subject_key_identifier().map(<[u8]>::to_vec));
            let key = certificate.authority_key_identifier().map(<[u8]>::to_vec).or(own);
            if key.as_deref() != Some(&name.authority_key_identifier[..]) {
                return Err(unknown());
            }
            let window = Window::of(entry.not_before, entry.not_after, entry.revoked.map(|record| record.at));
            // A line that is left is left early, by each within the time that the operator gave.
            let early = lines.rollover().and_then(|rollover| rollover.renewal_window(entry.line));
            let window = match early.filter(|_| entry.revoked.is_none()) {
                Some((start, end)) => Window { start: start.min(window.start), end: end.min(window.end) },
                None => window,
            };
            Ok((window, ask_again(entry.not_before, entry.not_after)))
        })
        .await?;
    let body =
        json!({ "suggestedWindow": { "start": window.start.to_string(), "end": window.end.to_string() } });
    Ok(([(header::RETRY_AFTER, seconds.to_string())], Json(body)).into_response())
}
