//! The console: pages for people, made on the server. For whoever is invited, the page that makes a key in the browser;
//! for operators, everything the authority knows.
//!
//! A page is a translation: it calls the API in this process with the visitor's own certificate, and shows the answer.
//! So roles apply by themselves, and whatever a page does can be done with curl. Nothing here decides anything.

mod assets;
mod audit;
mod call;
mod certificates;
mod chart;
mod clients;
mod frame;
pub(crate) mod guard;
mod handshakes;
mod invites;
pub(crate) mod join;
mod overview;
mod partners;
mod policy;
mod qr;
mod refusals;
mod rollover;
mod trouble;

use axum::{Extension, Router};
use serde_json::Value;

use crate::{State, api};

/// The pages for operators.
pub(crate) fn routes(state: &State) -> Router<State> {
    let operations = call::Operations(api::routes(state).with_state(state.clone()));
    Router::new()
        .merge(overview::routes())
        .merge(certificates::routes())
        .merge(invites::routes())
        .merge(partners::routes())
        .merge(clients::routes())
        .merge(handshakes::routes())
        .merge(policy::routes())
        .merge(refusals::routes())
        .merge(rollover::routes())
        .merge(audit::routes())
        .layer(Extension(operations))
}

/// The style and the scripts, for all pages.
pub(crate) fn shared() -> Router<State> {
    assets::routes()
}

/// A number of seconds as people say it.
fn lifetime(seconds: &Value) -> String {
    match seconds.as_i64() {
        None => "as long as its kind usually does".to_owned(),
        Some(seconds) if seconds % 86_400 == 0 => format!("{} days", seconds / 86_400),
        Some(seconds) => format!("{} hours", seconds / 3_600),
    }
}
