//! The rules that gateways get by the feed.

use axum::Extension;
use axum::extract::State as FromState;
use axum::response::Response;
use bytes::Bytes;
use ca::rules::{PublishError, publish, published};
use pki::policy::Statement;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, ok, read};
use crate::{Problem, State};

fn document(text: Option<&str>, statements: &[Statement]) -> Value {
    json!({ "rules": text, "statements": statements.iter().map(ToString::to_string).collect::<Vec<_>>() })
}

pub(super) async fn show(FromState(state): FromState<State>) -> Result<Response, Problem> {
    let text = state.blocking(|state| Ok(published(state.store())?)).await?;
    let statements = text.as_deref().map(pki::policy::read).transpose();
    Ok(ok(&document(
        text.as_deref(),
        &statements.map_err(|error| Problem::internal(&error))?.unwrap_or_default(),
    )))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRules {
    rules: String,
}

pub(super) async fn put(
    FromState(state): FromState<State>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: NewRules = read(&body)?;
    let now = state.now();
    let document = state
        .blocking(move |state| {
            let statements =
                publish(state.store(), &wish.rules, caller.who(), now).map_err(|error| match error {
                    PublishError::Unreadable(error) => Problem::of(400, "bad-request", error),
                    PublishError::Store(error) => error.into(),
                })?;
            state.look()?;
            Ok(document(Some(&wish.rules), &statements))
        })
        .await?;
    Ok(ok(&document))
}
