//! New orders (RFC 8555 section 7.4), and looking at them.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use pki::Profile;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::acme::account::Binding;
use crate::acme::challenge::Authorization;
use crate::acme::identifier::{Identifier, printable};
use crate::acme::memory::{Memory, no_order};
use crate::acme::order::{NewOrder, Order, OrderStatus};
use crate::acme::refusal::{Kind, Refusal};
use crate::acme::renewal::CertificateName;
use crate::acme::request::{Verified, is_id};
use crate::acme::{Acme, Settings};
use crate::{Problem, State};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wish {
    identifiers: Vec<WishedIdentifier>,
    not_before: Option<String>,
    not_after: Option<String>,
    profile: Option<String>,
    replaces: Option<String>,
}

#[derive(Deserialize)]
struct WishedIdentifier {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// An order as a client sees it (RFC 8555 section 7.1.3).
pub(super) fn shown(acme: &Acme, order: &Order, now: Timestamp) -> Value {
    let authorization = |index: usize| acme.url(&format!("authorization/{}/{index}", order.id));
    let mut value = json!({
        "status": order.status(now).word(),
        "expires": order.expires.to_string(),
        "identifiers": order.identifiers.iter().map(Identifier::json).collect::<Vec<_>>(),
        "profile": order.profile.name(),
        "authorizations": (0..order.authorizations.len()).map(authorization).collect::<Vec<_>>(),
        "finalize": acme.url(&format!("order/{}/finalize", order.id)),
    });
    if let Some(not_after) = order.not_after {
        value["notAfter"] = json!(not_after.to_string());
    }
    if order.serial().is_some() {
        value["certificate"] = json!(acme.url(&format!("certificate/{}", order.id)));
    }
    if let Some(error) = order.error(now) {
        value["error"] = error.json();
    }
    value
}

/// An order in an answer, with when to ask again while it is not done.
pub(super) fn answer(acme: &Acme, status: StatusCode, order: &Order, now: Timestamp) -> Response {
    let location = acme.url(&format!("order/{}", order.id));
    let mut response =
        (status, [(header::LOCATION, location)], Json(shown(acme, order, now))).into_response();
    if order.status(now) == OrderStatus::Processing {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

/// POST to newOrder.
pub(super) async fn create(request: Verified) -> Result<Response, Problem> {
    let wish: Wish = request.json()?;
    let settings = request.acme.settings().clone();
    let identifiers = identifiers(&wish, &settings)?;
    let now = request.acme.state.now();
    let not_after = lifetime(&wish, now)?;
    let replaces = match &wish.replaces {
        None => None,
        Some(text) => Some(CertificateName::parse(text).ok_or_else(|| {
            Refusal::malformed(
                "'replaces' names no certificate: key identifier and serial number (RFC 9773 section 4.1)",
            )
        })?),
    };
    let account = request.account.value.clone();
    let id = request.acme.new_id()?;
    let order = request
        .blocking(move |state, memory| {
            let binding = match &account.binding {
                Some(id) => memory.binding(id)?.map(|stored| stored.value),
                None => None,
            };
            if let Some(binding) = &binding {
                binding.check()?;
            }
            let most = settings.orders_per_hour;
            let since = now - SignedDuration::from_hours(1);
            if most != usize::MAX && memory.orders_since(&account.id, since, most)? >= most {
                let detail =
                    format!("this account has made {most} orders within the last hour, which is the most");
                return Err(Refusal::new(Kind::RateLimited, detail).after(600).into());
            }
            let profile = profile(wish.profile.as_deref(), binding.as_ref(), &settings)?;
            let expires = now + settings.order_lifetime;
            let authorizations = match (profile, &binding) {
                (Profile::Client, Some(binding)) => {
                    granted(&identifiers, binding)?;
                    identifiers.iter().map(|name| Authorization::granted(name, expires)).collect()
                }
                _ => to_be_shown(state, &identifiers, expires)?,
            };
            let replaces =
                replaces.map(|name| replaced(state, memory, &name, &account.id, &identifiers)).transpose()?;
            let account = account.id;
            let new =
                NewOrder { id, account, profile, identifiers, not_after, expires, authorizations, replaces };
            let order = Order::new(new);
            memory.create_order(&order)?;
            Ok(order)
        })
        .await?;
    Ok(answer(&request.acme, StatusCode::CREATED, &order, now))
}

/// POST-as-GET to an order.
pub(super) async fn show(Path(id): Path<String>, request: Verified) -> Result<Response, Problem> {
    request.is_get()?;
    let account = request.id().to_owned();
    let order = request.blocking(move |_, memory| own(memory, &id, &account)).await?;
    Ok(answer(&request.acme, StatusCode::OK, &order, request.acme.state.now()))
}

/// The order of this id, if it is this account's.
pub(super) fn own(memory: &Memory, id: &str, account: &str) -> Result<Order, Problem> {
    let order = if is_id(id) { memory.order(id)? } else { None };
    let order = order.map(|stored| stored.value).filter(|order| order.account == account);
    Ok(order.ok_or_else(no_order)?)
}

/// The names that are asked for, each once; every one that is refused says why.
fn identifiers(wish: &Wish, settings: &Settings) -> Result<Vec<Identifier>, Refusal> {
    let count = wish.identifiers.len();
    if count == 0 {
        return Err(Refusal::malformed("an order is for one name at least"));
    }
    if count > settings.most_identifiers {
        let most = settings.most_identifiers;
        return Err(Refusal::malformed(format!("{count} names in one order; the most is {most}")));
    }
    let (mut seen, mut names, mut refused) = (BTreeSet::new(), Vec::new(), Vec::new());
    for wished in &wish.identifiers {
        match Identifier::parse(&wished.kind, &wished.value) {
            Ok(name) if seen.insert(name.clone()) => names.push(name),
            Ok(_) => {}
            Err(refusal) => {
                // What is no name stands in its subproblem as far as it can be shown.
                let name = Identifier::Dns(printable(&wished.value));
                refused.push((name, refusal));
            }
        }
    }
    match Refusal::of_names(refused) {
        Some(refusal) => Err(refusal),
        None => Ok(names),
    }
}

/// The end that is asked for. A beginning cannot be chosen: certificates are good from when they are made.
fn lifetime(wish: &Wish, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    let parse = |name, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => text.parse::<Timestamp>().map(Some).map_err(|_| {
            Refusal::malformed(format!("'{name}' is no time such as 2027-01-31T12:00:00Z (RFC 3339)"))
        }),
    };
    let (not_before, not_after) =
        (parse("notBefore", &wish.not_before)?, parse("notAfter", &wish.not_after)?);
    if not_before.is_some_and(|start| start > now + SignedDuration::from_hours(1)) {
        return Err(Refusal::malformed(
            "'notBefore' is in the future; certificates are good from when they are made",
        ));
    }
    if not_after.is_some_and(|end| end <= now) {
        return Err(Refusal::malformed("'notAfter' has passed"));
    }
    Ok(not_after)
}

/// Which profile an order is for, and that the account may order it.
fn profile(wish: Option<&str>, binding: Option<&Binding>, settings: &Settings) -> Result<Profile, Refusal> {
    let profile = match (wish, binding) {
        (Some("server"), _) => Profile::Server,
        (Some("client"), _) => Profile::Client,
        (Some(other), _) => {
            let detail = format!("there is no profile '{}'; there are server and client", printable(other));
            return Err(Refusal::new(Kind::InvalidProfile, detail));
        }
        // Clients that know nothing of profiles get what their account is for.
        (None, Some(binding)) => binding.profiles.first().copied().unwrap_or(Profile::Server),
        (None, None) => Profile::Server,
    };
    match binding {
        Some(binding) if binding.profiles.contains(&profile) => Ok(profile),
        Some(_) => {
            Err(Refusal::unauthorized(format!("this account's binding is not for {profile} certificates")))
        }
        None if profile == Profile::Client || settings.external_account_required.contains(&profile) => {
            let detail = format!(
                "{profile} certificates are for accounts with an external binding; ask the operator for a key \
                 (countersign acme eab add)"
            );
            Err(Refusal::new(Kind::ExternalAccountRequired, detail))
        }
        None => Ok(profile),
    }
}

/// Nothing, if every name is one of the identity's.
fn granted(identifiers: &[Identifier], binding: &Binding) -> Result<(), Refusal> {
    let own: BTreeSet<Identifier> = binding.names.iter().filter_map(|name| nameable(name)).collect();
    let foreign = identifiers.iter().filter(|identifier| !own.contains(identifier));
    let refuse = |name: &Identifier| {
        let detail = format!("'{name}' is no name of the identity that this account is bound to");
        (name.clone(), Refusal::new(Kind::RejectedIdentifier, detail))
    };
    Refusal::of_names(foreign.map(refuse).collect()).map_or(Ok(()), Err)
}

/// The identifier by which an order can name one of an identity's names; `None` for what has none, such as a URI.
pub(super) fn nameable(name: &str) -> Option<Identifier> {
    ["ip", "email", "dns"].into_iter().find_map(|kind| Identifier::parse(kind, name).ok())
}

fn to_be_shown(
    state: &State,
    identifiers: &[Identifier],
    expires: Timestamp,
) -> Result<Vec<Authorization>, Problem> {
    let refused = identifiers.iter().filter(|name| matches!(name, Identifier::Email(_))).map(|name| {
        let detail = format!(
            "'{name}': control of a mailbox cannot be shown here; use an account bound to an identity"
        );
        (name.clone(), Refusal::new(Kind::UnsupportedIdentifier, detail))
    });
    if let Some(refusal) = Refusal::of_names(refused.collect()) {
        return Err(refusal.into());
    }
    let token = || state.random::<16>().map(|octets| pki::hex(&octets));
    identifiers.iter().map(|name| Authorization::new(name, expires, token)).collect()
}

/// The serial number of a certificate that an order takes the place of, checked by RFC 9773 section 5: it is this
/// account's, shares a name, and was not replaced before.
fn replaced(
    state: &State,
    memory: &Memory,
    name: &CertificateName,
    account: &str,
    identifiers: &[Identifier],
) -> Result<Vec<u8>, Problem> {
    let unknown = || Refusal::malformed("'replaces' names no certificate of this account");
    let entries = state.store().find(&ca::Selector::Serial(name.serial.clone()))?;
    let entry = entries.first().ok_or_else(unknown)?;
    if memory.owner_of(&entry.serial)?.as_deref() != Some(account) {
        return Err(unknown().into());
    }
    let certificate = pki::Certificate::from_der(&entry.der).map_err(|error| Problem::internal(&error))?;
    let names: Vec<Identifier> =
        certificate.subject_alt_names().iter().filter_map(Identifier::of_name).collect();
    let common_name = certificate.subject().common_name();
    let shares =
        |wanted: &Identifier| names.contains(wanted) || common_name.as_deref() == Some(&wanted.value());
    if !identifiers.iter().any(shares) {
        return Err(
            Refusal::malformed("the certificate in 'replaces' has none of the names of the order").into()
        );
    }
    if memory.is_replaced(&entry.serial)? {
        let detail = "the certificate in 'replaces' has been replaced already; order without it";
        return Err(Refusal::new(Kind::AlreadyReplaced, detail).into());
    }
    Ok(entry.serial.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn names_of_an_identity_are_found_as_identifiers() {
        assert_eq!(nameable("alice"), Some(Identifier::Dns("alice".to_owned())));
        assert_eq!(nameable("a@b.test"), Some(Identifier::Email("a@b.test".to_owned())));
        assert_eq!(nameable("10.0.0.1"), Some(Identifier::Ip("10.0.0.1".parse().unwrap())));
        assert_eq!(nameable("spiffe://a.test/x"), None);
        assert_eq!(nameable("Alice Example"), None);
    }

    #[test]
    fn profile_follows_from_wish_and_binding() {
        let binding = |profiles: &[Profile]| Binding {
            id: "k".to_owned(),
            mac_key: Vec::new(),
            identity: None,
            names: Vec::new(),
            profiles: profiles.to_vec(),
            uses: 0,
            created: Timestamp::UNIX_EPOCH,
            expires: None,
            revoked: None,
        };
        let (open, closed) = (
            Settings::default(),
            Settings { external_account_required: vec![Profile::Server], ..Settings::default() },
        );
        let (client, server) = (binding(&[Profile::Client]), binding(&[Profile::Server]));
        let of = |wish, binding, settings| profile(wish, binding, settings).map_err(|refusal| refusal.kind);
        assert_eq!(of(None, None, &open), Ok(Profile::Server));
        assert_eq!(of(None, None, &closed), Err(Kind::ExternalAccountRequired));
        assert_eq!(of(Some("client"), None, &open), Err(Kind::ExternalAccountRequired));
        assert_eq!(of(None, Some(&client), &open), Ok(Profile::Client));
        assert_eq!(of(Some("server"), Some(&client), &open), Err(Kind::Unauthorized));
        assert_eq!(of(Some("server"), Some(&server), &closed), Ok(Profile::Server));
        assert_eq!(of(Some("x"), None, &open), Err(Kind::InvalidProfile));
    }
}
