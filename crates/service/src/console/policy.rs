//! Profiles, roles and rules as sentences; and what somebody would be allowed.

use askama::Template;
use axum::extract::{Query, State as FromState};
use axum::response::Response;
use axum::routing::get;
use axum::{Form, Router};
use ca::Role;
use http::StatusCode;
use pki::Profile;
use pki::extension::KeyUsage;
use pki::key::KeyAlgorithm;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Api;
use super::frame::{Frame, html, items, text};
use super::trouble::Trouble;
use crate::State;
use crate::api::PERMISSIONS;

const PLACE: &str = "/console/policy";

pub(super) fn routes() -> Router<State> {
    Router::new().route(PLACE, get(show).post(ask))
}

struct Method {
    method: String,
    allowed: bool,
    why: String,
}

/// The answer to "what would alice be allowed?".
struct Verdict {
    name: String,
    serial: String,
    valid: bool,
    why_not: String,
    identities: Vec<String>,
    rules: Vec<String>,
    methods: Vec<Method>,
    role: String,
    permissions: Vec<String>,
}

impl Verdict {
    fn read(value: &Value) -> Self {
        let texts = |member: &str| -> Vec<String> {
            items(value, member).filter_map(|one| Some(one.as_str()?.to_owned())).collect()
        };
        let methods = items(value, "methods").map(|one| {
            let allowed = one["allowed"] == json!(true);
            let why = if allowed { format!("by the rule {}", text(one, "rule")) } else { text(one, "why") };
            Method { method: text(one, "method"), allowed, why }
        });
        Verdict {
            name: text(value, "name"),
            serial: text(value, "serial_number"),
            valid: value["valid"] == json!(true),
            why_not: text(value, "why_not"),
            identities: texts("identities"),
            rules: texts("rules"),
            methods: methods.collect(),
            role: text(value, "role"),
            permissions: texts("permissions"),
        }
    }
}

#[derive(Template)]
#[template(path = "policy.html")]
struct Page {
    frame: Frame,
    which: String,
    rules: String,
    error: Option<String>,
    verdict: Option<Verdict>,
    profiles: Vec<(&'static str, Vec<String>)>,
    constraints: Vec<String>,
    roles: Vec<(&'static str, String)>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Question {
    which: String,
    rules: String,
}

async fn show(
    FromState(state): FromState<State>,
    api: Api,
    Query(question): Query<Question>,
) -> Result<Response, Trouble> {
    // Asks for the role, as every page does by the API that it calls.
    api.get("/api/v1/refusals?limit=1").await?;
    Ok(page(&state, &api, question, None, None))
}

async fn ask(
    FromState(state): FromState<State>,
    api: Api,
    Form(question): Form<Question>,
) -> Result<Response, Trouble> {
    let wish = json!({ "which": question.which.trim(), "rules": question.rules });
    match api.post("/api/v1/evaluations", &wish).await {
        Ok(answer) => Ok(page(&state, &api, question, Some(Verdict::read(&answer)), None)),
        Err(trouble) if trouble.is_of_the_form() => {
            Ok(page(&state, &api, question, None, Some(trouble.detail().to_owned())))
        }
        Err(trouble) => Err(trouble),
    }
}

fn page(
    state: &State,
    api: &Api,
    question: Question,
    verdict: Option<Verdict>,
    error: Option<String>,
) -> Response {
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let page = Page {
        frame: Frame::of(state, api, PLACE, "Profiles and policy"),
        which: question.which,
        rules: question.rules,
        error,
        verdict,
        profiles: [Profile::Client, Profile::Server].map(|one| (one.name(), profile(one))).to_vec(),
        constraints: constraints(state),
        roles: Role::ALL.map(|role| (role.name(), permissions(role))).to_vec(),
    };
    html(status, &page)
}

/// A profile in sentences.
fn profile(profile: Profile) -> Vec<String> {
    let purpose = match profile {
        Profile::Client => "It proves who a client is, and no server can use it (clientAuth alone).",
        _ => "It proves who a server is, and no client can use it (serverAuth alone).",
    };
    let usage = if profile.key_usage(KeyAlgorithm::Rsa(2048)).has(KeyUsage::KEY_ENCIPHERMENT) {
        "Its key may be used for signatures, and an RSA key for the old key exchange of TLS 1.2 too."
    } else {
        "Its key may be used for signatures alone."
    };
    vec![
        purpose.to_owned(),
        usage.to_owned(),
        format!(
            "It lives {} days where nothing is said, and {} at most.",
            profile.default_days(),
            profile.most_days()
        ),
        "It is no CA, and its names are those of the invite, the account or the certificate before; a request \
         contributes its key and nothing else."
            .to_owned(),
    ]
}

/// The root's name constraints in sentences.
fn constraints(state: &State) -> Vec<String> {
    let authority = state.authority();
    let anchor = authority.issuer().anchor().clone();
    let Some(constraints) = anchor.name_constraints() else {
        return vec![
            "Its root carries no name constraints: whoever trusts it trusts it for every name.".to_owned(),
        ];
    };
    let list = |subtrees: &[pki::name::Subtree]| {
        subtrees.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let mut sentences = Vec::new();
    if !constraints.permitted.is_empty() {
        sentences.push(format!(
            "Of the kinds of names named here, it can issue for nothing but {}.",
            list(&constraints.permitted)
        ));
    }
    if !constraints.excluded.is_empty() {
        sentences.push(format!("It can issue for nothing in {}.", list(&constraints.excluded)));
    }
    sentences.push(
        "Whoever trusts the root is held to that by every verifier; the authority cannot change it."
            .to_owned(),
    );
    sentences
}

fn permissions(role: Role) -> String {
    let may: Vec<&str> =
        PERMISSIONS.iter().filter(|(one, _)| role.allows(*one)).map(|(_, words)| *words).collect();
    format!("may {}.", may.join("; "))
}
