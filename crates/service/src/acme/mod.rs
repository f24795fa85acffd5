//! ACME (RFC 8555) at `/acme/`, with addresses (RFC 8738), tls-alpn-01 (RFC 8737), renewal information (RFC 9773),
//! profiles, and certificates for clients: an account that is bound to an identity orders those without a challenge.
//!
//! From a request to an answer: `request` alone knows JWS; it gives a handler who signed and what was signed. The
//! handler reads what is concerned from `memory`, takes one step of the state machines in `order` and `challenge`,
//! and writes it back. `validate` goes to the names that strangers choose. What is issued is issued by
//! [`ca::Authority::issue`], like everything else.

mod account;
mod accounts;
mod bindings;
mod certificates;
mod challenge;
mod challenges;
mod finalize;
pub(crate) mod fuzzing;
mod identifier;
mod jose;
mod memory;
mod nonce;
mod order;
mod orders;
mod refusal;
mod renewal;
mod request;
pub(crate) mod validate;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Extension;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use jiff::SignedDuration;
use pki::Profile;
use pki::name::IpRange;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, Semaphore};

use crate::{Problem, State};
use memory::Memory;
use nonce::Nonces;
use refusal::{Kind, Refusal};
use validate::Validator;

pub use bindings::{BindingError, BindingSummary, NewBinding, add_binding, list_bindings, revoke_binding};

/// The servers that a resolv.conf(5) names.
#[must_use]
pub fn resolvers_of(resolv_conf: &str) -> Vec<SocketAddr> {
    validate::dns::servers_of(resolv_conf)
}

/// What the operator decides about ACME.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Addresses that validation may connect to beside those of the public Internet.
    pub permits: Vec<IpRange>,
    /// The resolvers that names are looked up with; the machine's own on port 53 where there is none.
    pub resolvers: Vec<SocketAddr>,
    /// Where http-01 connects to for port 80; anything else is for tests.
    pub http_port: u16,
    /// Where redirections of http-01 to HTTPS connect to for port 443; anything else is for tests.
    pub https_port: u16,
    /// Where tls-alpn-01 connects to for port 443; anything else is for tests.
    pub tls_alpn_port: u16,
    /// The profiles that only accounts with an external binding may order. `client` always needs one.
    pub external_account_required: Vec<Profile>,
    /// The terms that an account has to agree to, where there are some.
    pub terms_of_service: Option<String>,
    /// What CAA records call this authority; where there is none they are not looked at.
    pub caa_identities: Vec<String>,
    /// The most names of one order.
    pub most_identifiers: usize,
    /// The most orders of one account in an hour; `usize::MAX` for any number.
    pub orders_per_hour: usize,
    /// The most accounts that one address makes in an hour.
    pub accounts_per_hour: usize,
    /// How often a challenge is looked at before it fails.
    pub attempts: u32,
    /// How long is waited before the second look; twice as long before the third.
    pub pause: Duration,
    /// How long an order and its authorizations stand.
    pub order_lifetime: SignedDuration,
    /// Whether replicas share this store, and so their nonces.
    pub shared: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            permits: Vec::new(),
            resolvers: Vec::new(),
            http_port: 80,
            https_port: 443,
            tls_alpn_port: 443,
            external_account_required: Vec::new(),
            terms_of_service: None,
            caa_identities: Vec::new(),
            most_identifiers: 100,
            orders_per_hour: 300,
            accounts_per_hour: 50,
            attempts: 3,
            pause: Duration::from_secs(2),
            order_lifetime: SignedDuration::from_hours(24 * 7),
            shared: false,
        }
    }
}

/// The most validations at a time; more wait for their turn.
const VALIDATIONS: usize = 256;

/// What every handler here is given.
pub(crate) struct Acme {
    pub(crate) state: State,
    pub(crate) validator: Validator,
    pub(crate) turns: Semaphore,
    nonces: OnceCell<Nonces>,
}

/// What handlers take.
pub(crate) type Shared = Extension<Arc<Acme>>;

impl Acme {
    fn new(state: &State) -> Self {
        Acme {
            state: state.clone(),
            validator: Validator::new(&state.settings().acme),
            turns: Semaphore::new(VALIDATIONS),
            nonces: OnceCell::new(),
        }
    }

    /// What the operator decided.
    pub(crate) fn settings(&self) -> &Settings {
        &self.state.settings().acme
    }

    /// The URL of a path below `/acme/`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/acme/{path}", self.state.base())
    }

    /// Runs what reads and writes records on a thread of its own.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&State, &Memory) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.state.blocking(move |state| work(state, &Memory(Arc::clone(state.authority().store())))).await
    }

    /// The nonces, with the key that replicas share where there are some.
    pub(crate) async fn nonces(&self) -> Result<&Nonces, Problem> {
        let make = || async {
            let mut key: [u8; 32] = self.state.random()?;
            if self.settings().shared {
                key = self.blocking(move |_, memory| Ok(memory.secret(&key)?)).await?;
            }
            Ok(Nonces::new(&key))
        };
        self.nonces.get_or_try_init(make).await
    }

    /// A fresh nonce.
    async fn new_nonce(&self) -> Result<String, Problem> {
        let made = self.nonces().await?.make(self.state.now());
        made.map_err(|_| Refusal::new(Kind::ServerInternal, "there are no random numbers").into())
    }

    /// An id that nobody guesses; those made later sort behind those made before.
    pub(crate) fn new_id(&self) -> Result<String, Problem> {
        let random: [u8; 16] = self.state.random()?;
        Ok(format!("{}{}", memory::time_prefix(self.state.now()), pki::hex(&random)))
    }
}

/// The routes, with their full paths.
pub(crate) fn routes(state: &State) -> Router<State> {
    let acme = Arc::new(Acme::new(state));
    Router::new()
        .route("/acme/directory", get(directory))
        .route("/acme/new-nonce", get(no_content).head(ok))
        .route("/acme/new-account", post(accounts::create))
        .route("/acme/account/{id}", post(accounts::show_or_update))
        .route("/acme/account/{id}/orders", post(accounts::orders))
        .route("/acme/key-change", post(accounts::change_key))
        .route("/acme/new-order", post(orders::create))
        .route("/acme/order/{id}", post(orders::show))
        .route("/acme/order/{id}/finalize", post(finalize::finalize))
        .route("/acme/authorization/{order}/{index}", post(challenges::authorization))
        .route("/acme/challenge/{order}/{index}/{kind}", post(challenges::challenge))
        .route("/acme/certificate/{order}", post(certificates::download))
        .route("/acme/revoke", post(certificates::revoke))
        .route("/acme/renewal-info/{name}", get(certificates::renewal_info))
        .layer(from_fn(with_nonce))
        .layer(Extension(acme))
}

async fn ok() -> StatusCode {
    StatusCode::OK
}

async fn no_content() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// RFC 8555 section 7.1.1.
async fn directory(Extension(acme): Shared) -> Json<Value> {
    let settings = acme.settings();
    let required = settings.external_account_required.contains(&Profile::Server);
    let mut meta = json!({
        "externalAccountRequired": required,
        "profiles": {
            "server": "TLS servers: control of each name is shown by a challenge",
            "client": "TLS clients: for accounts that are bound to an identity, without a challenge",
        },
    });
    if let Some(terms) = &settings.terms_of_service {
        meta["termsOfService"] = json!(terms);
    }
    if !settings.caa_identities.is_empty() {
        meta["caaIdentities"] = json!(settings.caa_identities);
    }
    Json(json!({
        "newNonce": acme.url("new-nonce"),
        "newAccount": acme.url("new-account"),
        "newOrder": acme.url("new-order"),
        "revokeCert": acme.url("revoke"),
        "keyChange": acme.url("key-change"),
        "renewalInfo": acme.url("renewal-info"),
        "meta": meta,
    }))
}

/// Every answer says where the directory is, and every answer to a signed request brings the nonce for the next one
/// (RFC 8555 section 6.5), also where the request was refused.
async fn with_nonce(Extension(acme): Shared, request: axum::extract::Request, next: Next) -> Response {
    let wants_nonce = *request.method() == Method::POST || request.uri().path() == "/acme/new-nonce";
    let is_directory = request.uri().path() == "/acme/directory";
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.append(name, value);
        }
    };
    if !is_directory {
        add(header::LINK, &format!("<{}>;rel=\"index\"", acme.url("directory")));
    }
    if wants_nonce {
        if let Ok(nonce) = acme.new_nonce().await {
            add(HeaderName::from_static("replay-nonce"), &nonce);
        }
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
