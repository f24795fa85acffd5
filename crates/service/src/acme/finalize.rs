//! The last step of an order (RFC 8555 section 7.4): the request is checked against the order, and what is issued is
//! issued by the authority as everything else is.

use axum::extract::Path;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ca::{Identity, IssueError, IssueRequest, Partner};
use http::StatusCode;
use pki::Profile;
use pki::csr::CertificateRequest;
use pki::issuer::PrepareError;
use pki::name::{GeneralName, SubjectNames};
use serde::Deserialize;

use crate::acme::account::Binding;
use crate::acme::identifier::Identifier;
use crate::acme::memory::Memory;
use crate::acme::order::Order;
use crate::acme::orders::{answer, nameable, own};
use crate::acme::refusal::{Kind, Refusal};
use crate::acme::request::Verified;
use crate::{Problem, State};

/// The most octets of a request. One with an RSA-8192 key and a hundred names of the greatest length has 28 KiB.
const LARGEST_REQUEST: usize = 32 * 1024;

#[derive(Deserialize)]
struct Wish {
    csr: String,
}

/// POST to an order's finalize.
pub(super) async fn finalize(Path(id): Path<String>, request: Verified) -> Result<Response, Problem> {
    let wish: Wish = request.json()?;
    let bad = |detail: String| Refusal::new(Kind::BadCsr, detail);
    if wish.csr.len() > LARGEST_REQUEST / 3 * 4 {
        return Err(bad(format!("the request has more than {LARGEST_REQUEST} octets")).into());
    }
    let der = URL_SAFE_NO_PAD
        .decode(&wish.csr)
        .map_err(|_| bad("the request is not base64url of DER; PEM is not sent here".to_owned()))?;
    let csr = CertificateRequest::from_der(&der).map_err(|error| bad(error.to_string()))?;
    // RFC 8555 section 11.1: a key serves for one of the two.
    if request.key.is(csr.public_key()) {
        return Err(
            bad("the key of the account cannot be the key of a certificate; make another".to_owned()).into(),
        );
    }
    let (account, origin) = (request.account.value.clone(), request.origin());
    let order = request
        .blocking(move |state, memory| {
            let binding = match &account.binding {
                Some(id) => memory.binding(id)?.map(|stored| stored.value),
                None => None,
            };
            // A binding that was revoked after the order was made ends it as well.
            if let Some(binding) = &binding {
                binding.check()?;
            }
            let order = own(memory, &id, &account.id)?;
            if let (Profile::Client, Some(identity)) = (order.profile, identity_of(binding.as_ref())) {
                has_room(state, identity)?;
            }
            let plain: Vec<String> =
                binding.iter().flat_map(|binding| binding.names.iter().cloned()).collect();
            let (_, order) = memory.step_order(&id, |order| order.begin(&csr, &plain, state.now()))?;
            let result = issue(state, &order, binding.as_ref(), &csr, origin);
            Ok(conclude(memory, &id, &result)?)
        })
        .await?;
    Ok(answer(&request.acme, StatusCode::OK, &order, request.acme.state.now()))
}

fn identity_of(binding: Option<&Binding>) -> Option<&str> {
    binding.and_then(|binding| binding.identity.as_deref())
}

/// Nothing, if the identity's partner may have another certificate: the limit is the same by every way in.
fn has_room(state: &State, identity: &str) -> Result<(), Problem> {
    let Some(partner) = Identity::find(state.store(), identity)?.partner else { return Ok(()) };
    let Some(Partner { most_certificates: most, .. }) = Partner::find(state.store(), &partner)? else {
        return Ok(());
    };
    let count = Partner::certificates(state.store(), &partner, state.now())?;
    if count < most as usize {
        return Ok(());
    }
    let detail =
        format!("{partner} has {count} certificates and may have {most}; revoke one, or let one end");
    Err(Refusal::new(Kind::RateLimited, detail).after(3600).into())
}

fn conclude(
    memory: &Memory,
    id: &str,
    result: &Result<pki::Certificate, Refusal>,
) -> Result<Order, crate::acme::memory::StepError> {
    let result = result
        .as_ref()
        .map(|certificate| (certificate.serial().to_vec(), certificate.not_after()))
        .map_err(Clone::clone);
    memory.conclude_order(id, &result)
}

fn issue(
    state: &State,
    order: &Order,
    binding: Option<&Binding>,
    csr: &CertificateRequest,
    origin: String,
) -> Result<pki::Certificate, Refusal> {
    let now = state.now();
    let names = match (order.profile, binding) {
        (Profile::Client, Some(binding)) => client_names(&order.identifiers, binding)?,
        (Profile::Client, None) => return Err(Refusal::unauthorized("the account has lost its binding")),
        _ => server_names(&order.identifiers),
    };
    let identity = identity_of(binding).map(str::to_owned);
    let label = match (order.profile, identity) {
        (Profile::Client, Some(identity)) => identity,
        _ => order.identifiers.first().map(Identifier::value).unwrap_or_default(),
    };
    let request = IssueRequest {
        profile: order.profile,
        label,
        names,
        public_key: csr.public_key().clone(),
        lifetime: order.not_after.map(|end| end.duration_since(now)),
        requested_by: format!("acme account {}", order.account),
        origin,
        replaces: order.replaces.clone(),
        location: None,
    };
    state.authority().issue(request, now).map(|issued| issued.certificate).map_err(|error| refused(&error))
}

/// The names of a server's certificate: those of the order, the first one as commonName too where it fits.
fn server_names(identifiers: &[Identifier]) -> SubjectNames {
    let mut names = SubjectNames::default();
    identifiers.iter().for_each(|identifier| names.add(identifier.to_name()));
    let is_short = |name: &String| name.chars().count() <= 64;
    names.common_name = identifiers.iter().map(Identifier::value).find(is_short);
    names
}

/// The names of a client's certificate: those of the identity that were ordered, and those that no order can name. What
/// is a DNS name only in its form, such as `alice`, is a commonName alone, as everywhere else.
fn client_names(identifiers: &[Identifier], binding: &Binding) -> Result<SubjectNames, Refusal> {
    let mut all = SubjectNames::default();
    let wanted = |name: &&String| nameable(name).is_none_or(|own| identifiers.contains(&own));
    for text in binding.names.iter().filter(wanted) {
        let names = SubjectNames::for_client(text)
            .map_err(|error| Refusal::new(Kind::RejectedIdentifier, format!("'{text}': {error}")))?;
        if all.common_name.is_none() {
            all.common_name = names.common_name;
        }
        names.alternative.into_iter().for_each(|name: GeneralName| all.add(name));
    }
    Ok(all)
}

fn refused(error: &IssueError) -> Refusal {
    match error {
        IssueError::Policy(_) => Refusal::unauthorized(error.to_string()),
        IssueError::Prepare(PrepareError::WeakKey(_)) => Refusal::new(Kind::BadCsr, error.to_string()),
        IssueError::Prepare(
            PrepareError::Name(_)
            | PrepareError::NoServerName
            | PrepareError::ClientWildcard(_)
            | PrepareError::Constraint { .. },
        ) => Refusal::new(Kind::RejectedIdentifier, error.to_string()),
        IssueError::Prepare(PrepareError::Validity(_)) => Refusal::malformed(error.to_string()),
        _ => {
            tracing::error!(%error, "an order could not be issued");
            Refusal::new(Kind::ServerInternal, "the authority could not issue; its log says why")
        }
    }
}
