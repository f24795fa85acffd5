//! The authority's API, wherever the authority is: the one in this home, called in this process, or the one at `--ca`,
//! called over mTLS. Commands that speak it do the same with both.

use std::path::PathBuf;

use ca::Issued;
use clap::Args;
use http::Method;
use pki::Certificate;
use pki::verify::TrustBundle;
use serde_json::{Value, json};
use service::api::Local;
use service::{Settings, State};

use crate::commands::issue::requester;
use crate::commands::join::believed;
use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::home::Home;
use crate::http::{Site, credentials};
use crate::input;
use crate::material::Believed;

/// Which authority is meant.
#[derive(Debug, Clone, Args, Default)]
pub(crate) struct ApiArguments {
    #[command(flatten)]
    remote: RemoteArguments,

    /// The passphrase of the authority's keys, in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE", conflicts_with = "ca")]
    passphrase_file: Option<PathBuf>,
}

/// An authority elsewhere.
#[derive(Debug, Clone, Args, Default)]
#[command(next_help_heading = "An authority elsewhere")]
pub(crate) struct RemoteArguments {
    /// The authority at this address, over mTLS [default: the one in this home]
    #[arg(long, value_name = "URL")]
    ca: Option<String>,

    /// With --ca: the certificate to show it [default: admin.pem in the home]
    #[arg(long, value_name = "FILE", requires_all = ["ca", "ca_key"])]
    ca_cert: Option<PathBuf>,

    /// With --ca: its key
    #[arg(long, value_name = "FILE", requires_all = ["ca", "ca_cert"])]
    ca_key: Option<PathBuf>,

    /// With --ca: the root that the authority's own certificate leads to [default: rootCA.pem in the home]
    #[arg(long, value_name = "FILE", requires = "ca")]
    ca_root: Option<PathBuf>,
}

impl ApiArguments {
    /// Whether an authority elsewhere is meant.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.remote.ca.is_some()
    }
}

impl RemoteArguments {
    /// The authority elsewhere, where one is named.
    pub(crate) fn open(&self, context: &Context) -> Result<Option<Api>, Failure> {
        let Some(base) = &self.ca else { return Ok(None) };
        let home = Home::of(context)?;
        let certificate = self.ca_cert.clone().unwrap_or_else(|| home.admin());
        let key = self.ca_key.clone().unwrap_or_else(|| home.admin_key());
        let root = self.ca_root.clone().unwrap_or_else(|| home.anchor());
        if !certificate.exists() {
            return Err(Failure::usage(format!(
                "{} is not here, and the authority must know who asks",
                certificate.display()
            ))
            .hint("--ca-cert FILE --ca-key FILE"));
        }
        let roots = input::certificates(&root)?;
        let anchor = roots[0].clone();
        let own = credentials(context, &certificate, &key)?;
        let site = Site::new(base, TrustBundle::new(roots), Some(own))?;
        Ok(Some(Api::There { site: Box::new(site), anchor }))
    }
}

impl RemoteArguments {
    /// The authority elsewhere, for what it tells everybody.
    pub(crate) fn visit(&self, context: &Context) -> Result<Option<Site>, Failure> {
        let Some(base) = &self.ca else { return Ok(None) };
        let root = self.ca_root.clone().map_or_else(|| Home::of(context).map(|home| home.anchor()), Ok)?;
        Site::new(base, TrustBundle::new(input::certificates(&root)?), None).map(Some)
    }
}

/// An authority that operations are called on.
pub(crate) enum Api {
    /// The one in this home.
    Here { state: Box<State>, runtime: tokio::runtime::Runtime },
    /// One elsewhere, and the root that is known of it.
    There { site: Box<Site>, anchor: Certificate },
}

/// The record that says where the service is reached.
const KIND: &str = "setting";
const ID: &str = "service";

impl Api {
    pub(crate) fn open(context: &Context, arguments: &ApiArguments) -> Result<Self, Failure> {
        let home = Home::of(context)?;
        if let Some(api) = arguments.remote.open(context)? {
            return Ok(api);
        }
        let authority = home.open(context, arguments.passphrase_file.as_deref())?;
        let base = recorded_base(&**authority.store())?.unwrap_or_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::usage(format!("cannot start: {}", input::plain(&error))))?;
        Ok(Api::Here { state: Box::new(State::new(authority, Settings::new(&base))), runtime })
    }

    /// Calls an operation; what is not done is a failure with the authority's sentence.
    pub(crate) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let (status, document) = match self {
            Api::Here { state, runtime } => {
                let local = Local::named(&requester());
                let called = runtime.block_on(local.call(state, method, path, body));
                called.map_err(|problem| Failure::refused(problem.detail()))?
            }
            Api::There { site, .. } => {
                let body = body.map(|body| body.to_string().into_bytes());
                let answer = site.send(method, path, "application/json", body)?;
                if answer.status >= 400 {
                    return Err(Failure::refused(answer.detail()));
                }
                (answer.status, serde_json::from_slice(&answer.body).or_refuse()?)
            }
        };
        if status >= 400 {
            let detail = document["detail"].as_str().unwrap_or("the authority refused");
            return Err(Failure::refused(detail));
        }
        Ok(document)
    }

    /// The root of the line that issues, as far as it is known.
    pub(crate) fn anchor(&self) -> Certificate {
        match self {
            Api::Here { state, .. } => state.authority().issuer().anchor().clone(),
            Api::There { anchor, .. } => anchor.clone(),
        }
    }

    /// Whom the authority wants to be believed by.
    pub(crate) fn believed(&self) -> Result<Believed, Failure> {
        match self {
            Api::Here { state, .. } => Ok(Believed::of(state.authority())),
            Api::There { site, anchor } => Ok(believed(site)?.unwrap_or_else(|| Believed::only(anchor))),
        }
    }

    /// Has a request signed: the certificate with those above it, and the anchor.
    pub(crate) fn sign(&self, request: &Value) -> Result<Issued, Failure> {
        let signed = self.post("/api/v1/certificates", request)?;
        let read = |member: &str| -> Option<Vec<Certificate>> {
            let blocks = pki::pem::read(signed[member].as_str()?.as_bytes()).ok()?;
            blocks.iter().map(|block| Certificate::from_der(&block.der).ok()).collect()
        };
        let (chain, anchor) = (read("pem").unwrap_or_default(), read("anchor").unwrap_or_default());
        let mut chain = chain.into_iter();
        match (chain.next(), anchor.into_iter().next()) {
            (Some(certificate), Some(anchor)) => {
                let anchors = vec![anchor.clone()];
                Ok(Issued { certificate, chain: chain.collect(), anchor, anchors })
            }
            _ => Err(Failure::refused("the authority's answer holds no certificate")),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, Some(body))
    }

    /// Every item of a list that comes in pages.
    pub(crate) fn all(&self, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        self.each(path, name, |item| {
            items.push(item);
            Ok(())
        })?;
        Ok(items)
    }

    /// Gives every item of a list that comes in pages to `take`; no more than a page is in memory.
    pub(crate) fn each(
        &self,
        path: &str,
        name: &str,
        mut take: impl FnMut(Value) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut after = String::new();
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let mut page = self.get(&format!("{path}{join}limit=1000{after}"))?;
            if let Value::Array(items) = page[name].take() {
                items.into_iter().try_for_each(&mut take)?;
            }
            match page["next"].as_str() {
                Some(next) => after = format!("&after={}", path_segment(next)),
                None => return Ok(()),
            }
        }
    }
}

/// A text as one segment of a path or one value of a query (RFC 3986 section 2.1).
pub(crate) fn path_segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Where the service is reached, as it said when it last started.
pub(crate) fn recorded_base(store: &dyn ca::Store) -> Result<Option<String>, Failure> {
    let Some(record) = store.record(KIND, ID).or_usage()? else { return Ok(None) };
    let value: Value = serde_json::from_str(&record.body).unwrap_or_default();
    Ok(value["url"].as_str().map(str::to_owned))
}

/// Remembers where the service is reached.
pub(crate) fn record_base(store: &dyn ca::Store, base: &str) -> Result<(), Failure> {
    if recorded_base(store)?.as_deref() == Some(base) {
        return Ok(());
    }
    let found = store.record(KIND, ID).or_usage()?;
    let record = found.unwrap_or_else(|| ca::Record::new(KIND, ID, String::new()));
    let record = ca::Record { body: json!({ "url": base }).to_string(), ..record };
    match store.commit(ca::Commit::of(ca::Write::Put(record))) {
        // Another replica that starts at the same moment says the same.
        Ok(()) | Err(ca::StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error).or_usage(),
    }
}
