//! Who calls, and whether its role allows what it wants. A caller is the name that the authority filed its certificate
//! under, whatever other names stand in it.

use axum::Extension;
use axum::extract::{Request, State as FromState};
use axum::middleware::Next;
use axum::response::Response;
use ca::{Identity, Permission, Role, Selector, Who};
use serde_json::json;

use super::{Local, ok};
use crate::{Problem, State, Visitor};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name its certificate is filed under.
    pub label: String,
    /// From where.
    pub origin: String,
    /// What it may do.
    pub role: Option<Role>,
}

impl Caller {
    /// The same for the audit trail.
    #[must_use]
    pub fn who(&self) -> Who<'_> {
        Who { actor: &self.label, origin: &self.origin }
    }

    /// Refuses what would give somebody a role that the caller cannot give: names with a role are an admin's business.
    ///
    /// # Errors
    /// A [`Problem`] of status 403.
    pub fn may_act_for(&self, state: &State, label: &str) -> Result<(), Problem> {
        let role = Identity::find(state.store(), label)?.role;
        match role {
            Some(role) if self.role != Some(Role::Admin) => Err(Problem::of(
                403,
                "not-allowed",
                format!("'{label}' has the role {role}, so its certificates are an admin's business"),
            )),
            _ => Ok(()),
        }
    }
}

/// What a route asks of its callers.
#[derive(Clone)]
pub(super) struct Check {
    pub(super) state: State,
    pub(super) permission: Option<Permission>,
}

/// Lets a request through whose caller may do what it asks for, and tells the handler who it is.
pub(super) async fn check(
    FromState(Check { state, permission }): FromState<Check>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let local = request.extensions().get::<Local>().cloned();
    let visitor = request.extensions().get::<Visitor>().cloned();
    let caller = match (local, visitor) {
        (Some(local), _) => Some(local.caller()),
        (None, Some(visitor)) => state.blocking(move |state| find(state, &visitor)).await?,
        (None, None) => None,
    };
    if let Some(permission) = permission {
        let Some(caller) = &caller else {
            return Err(Problem::of(
                401,
                "no-certificate",
                "the API asks for a client certificate of this authority that is good now",
            ));
        };
        if !caller.role.is_some_and(|role| role.allows(permission)) {
            let role = caller.role.map_or("no role", Role::name);
            return Err(Problem::of(
                403,
                "not-allowed",
                format!("'{}' has {role}, which does not allow this ({permission:?})", caller.label),
            ));
        }
    }
    request.extensions_mut().insert(caller.unwrap_or_else(|| Caller {
        label: String::new(),
        origin: String::new(),
        role: None,
    }));
    Ok(next.run(request).await)
}

/// The caller with this certificate, as far as the authority's memory holds it good at this moment: the listener may
/// tolerate expired ones, and learns of a revocation a moment later.
fn find(state: &State, visitor: &Visitor) -> Result<Option<Caller>, Problem> {
    let Some(peer) = &visitor.peer else { return Ok(None) };
    let certificate = peer.certificate();
    let found = state.store().find(&Selector::Serial(certificate.serial().to_vec()))?;
    let now = state.now();
    let Some(entry) = found.into_iter().find(|entry| entry.der == certificate.der() && entry.is_good(now))
    else {
        return Ok(None);
    };
    let role = Identity::find(state.store(), &entry.label)?.role;
    Ok(Some(Caller { label: entry.label, origin: format!("{} by the api", visitor.address.ip()), role }))
}

pub(super) async fn whoami(Extension(caller): Extension<Caller>) -> Response {
    let name = Some(&caller.label).filter(|label| !label.is_empty());
    ok(&json!({ "name": name, "role": caller.role.map(Role::name) }))
}
