//! Authorizations and challenges (RFC 8555 section 7.5): shown, answered, given up.

use std::sync::Arc;

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderValue};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Problem;
use crate::acme::Acme;
use crate::acme::challenge::{
    Authorization, AuthorizationStatus, Begun, Challenge, ChallengeKind, ChallengeStatus,
};
use crate::acme::memory::{StepError, no_order};
use crate::acme::order::Order;
use crate::acme::orders::own;
use crate::acme::refusal::{Kind, Refusal};
use crate::acme::request::{Verified, is_id};
use crate::acme::validate::Task;

fn shown_challenge(acme: &Acme, order: &Order, index: usize, challenge: &Challenge) -> Value {
    let name = challenge.kind.name();
    let mut value = json!({
        "type": name,
        "url": acme.url(&format!("challenge/{}/{index}/{name}", order.id)),
        "status": challenge.status.word(),
        "token": challenge.token,
    });
    if let Some(at) = challenge.validated {
        value["validated"] = json!(at.to_string());
    }
    if let Some(error) = &challenge.error {
        value["error"] = error.json();
    }
    value
}

fn shown(acme: &Acme, order: &Order, index: usize, authorization: &Authorization, now: Timestamp) -> Value {
    let challenges: Vec<Value> = authorization
        .challenges
        .iter()
        .map(|challenge| shown_challenge(acme, order, index, challenge))
        .collect();
    let mut value = json!({
        "identifier": authorization.identifier.json(),
        "status": authorization.status(now).word(),
        "expires": authorization.expires().to_string(),
        "challenges": challenges,
    });
    // RFC 8555 section 7.1.4: the member is there only where it is true.
    if authorization.wildcard {
        value["wildcard"] = json!(true);
    }
    value
}

/// POST to an authorization: POST-as-GET shows it, `{"status": "deactivated"}` gives it up (section 7.5.2).
pub(super) async fn authorization(
    Path((id, index)): Path<(String, usize)>,
    request: Verified,
) -> Result<Response, Problem> {
    let account = request.id().to_owned();
    let gives_up = if request.payload.is_empty() {
        false
    } else {
        let update: Value = request.json()?;
        if update["status"] != "deactivated" {
            return Err(Refusal::malformed("an authorization can only be set to 'deactivated'").into());
        }
        true
    };
    let order = request
        .blocking(move |_, memory| {
            if !gives_up {
                return own(memory, &id, &account);
            }
            own(memory, &id, &account)?;
            let (_, order) = memory.step_order(&id, |order| {
                if let Some(authorization) = order.authorizations.get_mut(index) {
                    authorization.deactivate();
                }
                Ok(())
            })?;
            Ok(order)
        })
        .await?;
    let now = request.acme.state.now();
    let authorization = order.authorizations.get(index).ok_or_else(no_order)?;
    let mut response = Json(shown(&request.acme, &order, index, authorization, now)).into_response();
    let runs =
        authorization.challenges.iter().any(|challenge| challenge.status == ChallengeStatus::Processing);
    if runs && authorization.status(now) == AuthorizationStatus::Pending {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}

/// POST to a challenge: POST-as-GET shows it, an object says that it can be validated (section 7.5.1).
pub(super) async fn challenge(
    Path((id, index, name)): Path<(String, usize, String)>,
    request: Verified,
) -> Result<Response, Problem> {
    let kind = ChallengeKind::from_name(&name).ok_or_else(no_order)?;
    let answers = !request.payload.is_empty();
    if answers && !request.json::<Value>()?.is_object() {
        return Err(Refusal::malformed("a challenge is answered with an empty object: {}").into());
    }
    let account = request.id().to_owned();
    let order_id = id.clone();
    let (begun, order) = request
        .blocking(move |state, memory| {
            if !is_id(&order_id) {
                return Err(no_order().into());
            }
            let now = state.now();
            let step = |order: &mut Order| {
                if order.account != account {
                    return Err(no_order());
                }
                let authorization = order.authorizations.get_mut(index).ok_or_else(no_order)?;
                Ok(if answers { authorization.begin(kind, now) } else { Begun::Before })
            };
            Ok(memory.step_order(&order_id, step)?)
        })
        .await?;
    let authorization = order.authorizations.get(index).ok_or_else(no_order)?;
    let challenge = authorization.challenge(kind).ok_or_else(no_order)?;
    if begun == Begun::Now {
        let task = Task {
            kind,
            identifier: authorization.identifier.clone(),
            wildcard: authorization.wildcard,
            token: challenge.token.clone(),
            thumbprint: request.key.thumbprint(),
            account_url: request.account_url(),
        };
        // It goes on when the client has its answer, and when the client has gone.
        tokio::spawn(validate(Arc::clone(&request.acme), id, index, task));
    }
    let mut response = Json(shown_challenge(&request.acme, &order, index, challenge)).into_response();
    let headers = response.headers_mut();
    if challenge.status == ChallengeStatus::Processing {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let up = request.acme.url(&format!("authorization/{}/{index}", order.id));
    if let Ok(value) = format!("<{up}>;rel=\"up\"").parse() {
        headers.append(header::LINK, value);
    }
    Ok(response)
}

async fn validate(acme: Arc<Acme>, order: String, index: usize, task: Task) {
    let turn = acme.turns.acquire().await;
    let result = acme.validator.validate(&task).await;
    drop(turn);
    match &result {
        Ok(()) => tracing::info!(name = %task.identifier, challenge = task.kind.name(), "control was shown"),
        Err(refusal) => {
            let (challenge, why) = (task.kind.name(), &refusal.detail);
            tracing::info!(name = %task.identifier, challenge, why, "control was not shown");
        }
    }
    let kind = task.kind;
    let concluded = acme
        .blocking(move |state, memory| {
            let now = state.now();
            memory.step_order(&order, |order| {
                if let Some(authorization) = order.authorizations.get_mut(index) {
                    authorization.conclude(kind, result.clone(), now);
                }
                Ok(())
            })?;
            Ok(())
        })
        .await;
    if let Err(problem) = concluded {
        // It stays `processing`; the client asks again, and after two minutes it is validated again.
        tracing::warn!(why = problem.detail(), "the result of a validation could not be recorded");
    }
}

impl From<StepError> for Problem {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Refused(refusal) => refusal.into(),
            StepError::Store(ca::StoreError::Conflict { .. }) => {
                Refusal::new(Kind::RateLimited, "too many requests change this at once; try again")
                    .after(1)
                    .into()
            }
            StepError::Store(error) => error.into(),
        }
    }
}
