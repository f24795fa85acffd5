//! The page of an invite, for whoever has its link: it says who invites and what for, makes the key in the browser, and
//! shows the other ways. It is found by the code and by nothing else, and wrong codes are counted as they are in `join`.

use askama::Template;
use axum::extract::{Path, State as FromState};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Form};
use ca::redeem::From as Asked;
use ca::{Invite, Redeemed};
use http::StatusCode;
use serde::Deserialize;

use super::frame::{Frame, html};
use super::trouble::Trouble;
use super::{assets, qr};
use crate::enrol::{chain_pem, invite::redeem, invite::told, read_request};
use crate::{State, Visitor};

#[derive(Template)]
#[template(path = "join.html")]
struct Page {
    frame: Frame,
    script: String,
    name: String,
    created_by: String,
    partner: String,
    names: Vec<String>,
    lives: String,
    left: u32,
    uses: u32,
    expires: String,
    approve: bool,
    root: String,
    qr: String,
    command: String,
    request_action: String,
}

/// The page of the invite with this code.
pub(crate) async fn page(state: State, visitor: Visitor, code: String) -> Response {
    let asked = code.clone();
    let found = state
        .blocking(move |state| {
            let from = Asked { address: visitor.address.ip(), way: "join" };
            let now = state.now();
            state.authority().look(&asked, from, now).map_err(|error| told(error, now))
        })
        .await;
    match found {
        Ok(invite) => html(StatusCode::OK, &describe(&state, &invite, &code)),
        Err(problem) => Trouble(problem).into_response(),
    }
}

fn describe(state: &State, invite: &Invite, code: &str) -> Page {
    let root = pki::hex(&state.authority().issuer().anchor().sha256());
    let link = format!("{}/i/{code}#{root}", state.base());
    let names = invite.names.common_name.iter().map(|name| format!("CN={name}"));
    let seconds = invite.lifetime.map(|lifetime| lifetime.as_secs());
    Page {
        frame: Frame::for_anyone(state, &format!("A certificate for {}", invite.label)),
        script: assets::path("join.mjs"),
        name: invite.label.clone(),
        created_by: invite.created_by.clone(),
        partner: invite.partner.clone().unwrap_or_default(),
        names: names.chain(invite.names.alternative.iter().map(ToString::to_string)).collect(),
        lives: super::lifetime(&seconds.into()),
        left: invite.left(),
        uses: invite.uses,
        expires: invite.expires.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        approve: invite.approve,
        qr: qr::svg(&link),
        command: format!("countersign join '{link}'"),
        request_action: format!("/i/{code}/request"),
        root,
    }
}

#[derive(Deserialize)]
pub(crate) struct Pasted {
    request: String,
}

#[derive(Template)]
#[template(path = "joined.html")]
struct Joined {
    frame: Frame,
    name: String,
    pem: Option<String>,
    key: String,
}

/// A request that was pasted into the page: works without JavaScript.
pub(crate) async fn pasted(
    FromState(state): FromState<State>,
    Extension(visitor): Extension<Visitor>,
    Path(code): Path<String>,
    Form(form): Form<Pasted>,
) -> Response {
    sign(state, visitor, code, &form.request).await.unwrap_or_else(|trouble| trouble.into_response())
}

async fn sign(state: State, visitor: Visitor, code: String, request: &str) -> Result<Response, Trouble> {
    let request = read_request(request.as_bytes())?;
    let key = pki::hex(&pki::sha256(request.public_key().spki_der()));
    let redeemed = state
        .blocking(move |state| {
            let from = Asked { address: visitor.address.ip(), way: "join" };
            redeem(state, &code, &request, from)
        })
        .await?;
    let (status, name, pem) = match redeemed {
        Redeemed::Issued(issued, label) => (StatusCode::OK, label, Some(chain_pem(&issued))),
        Redeemed::Waiting => (StatusCode::ACCEPTED, String::new(), None),
    };
    let frame = Frame::for_anyone(&state, "Your certificate");
    Ok(html(status, &Joined { frame, name, pem, key }))
}
