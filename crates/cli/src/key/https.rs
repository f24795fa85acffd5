//! A signer that is an HTTPS service: `https+signer://HOST[:PORT]/PATH?key=NAME&cacert=FILE&cert=FILE&cert-key=FILE
//! &token-file=FILE&timeout=SECONDS`. Requests are made on a runtime of the key's own, so that whoever asks for a
//! signature may stand in a runtime or outside of one.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use http::{HeaderValue, Method, header};
use keys::external::{Exchange, ExternalError, ExternalKey, LARGEST_ANSWER, Reference};
use net::dial::TlsOptions;
use net::fetch::{Options, Request, RequestBody, fetch};
use net::tls::server_verifier::Expectation;
use net::url::Url;
use pki::verify::TrustBundle;
use tokio::runtime::Runtime;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::input;

/// What a reference to a service starts with.
pub(super) const SCHEME: &str = "https+signer:";

const PARAMETERS: [&str; 6] = ["key", "cacert", "cert", "cert-key", "token-file", "timeout"];

struct Service {
    url: String,
    options: Options,
    /// `Bearer …`, marked as sensitive, so that it is in no debug output.
    authorization: Option<HeaderValue>,
    timeout: Duration,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

/// Opens the key of a reference.
pub(super) fn open(context: &Context, text: &str) -> Result<ExternalKey, Failure> {
    let reference = Reference::parse(text, SCHEME).or_usage()?;
    reference.check(text, &PARAMETERS).or_usage()?;
    let timeout = reference.timeout(text).or_usage()?;
    let url = format!("https:{}", reference.target);
    Url::parse(&url).or_usage()?;
    let mut anchors = Vec::new();
    match reference.one("cacert") {
        Some(file) => anchors.extend(input::certificates(Path::new(file))?),
        None => {
            let system = rustls_native_certs::load_native_certs();
            anchors.extend(system.certs.iter().filter_map(|der| pki::Certificate::from_der(der).ok()));
        }
    }
    let mut tls = TlsOptions::new(Expectation::new(TrustBundle::new(anchors)));
    if let Some(cert) = reference.one("cert") {
        let key = reference.one("cert-key").unwrap_or(cert);
        if super::reference(Path::new(key)).is_some() {
            return Err(Failure::usage("the cert-key of a signing service must be a file"));
        }
        let (chain, key) = input::credentials(context, Path::new(cert), Path::new(key), None)?;
        tls.credentials = Some(key.credentials(chain).or_usage()?);
    }
    let mut options = Options::new(tls);
    options.max_time = Some(timeout);
    options.redirects = 0;
    let token = input::passphrase(context, reference.one("token-file").map(Path::new))?;
    let authorization = token.map(|token| {
        let mut value = token
            .with_bytes(|bytes| HeaderValue::from_bytes(&[b"Bearer ", bytes].concat()))
            .map_err(|_| Failure::usage("the token-file holds characters that no HTTP header has"))?;
        value.set_sensitive(true);
        Ok::<_, Failure>(value)
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("signer")
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("cannot start: {}", input::plain(&error))))?;
    let service =
        Service { url, options, authorization: authorization.transpose()?, timeout, runtime: Some(runtime) };
    ExternalKey::open(Box::new(service), reference.one("key").map(str::to_owned)).or_usage()
}

impl Exchange for Service {
    fn name(&self) -> &str {
        &self.url
    }

    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, ExternalError> {
        let unreachable = |why: String| ExternalError::Unreachable { signer: self.url.clone(), why };
        let url = Url::parse(&self.url).map_err(|error| unreachable(error.to_string()))?;
        let mut outgoing = Request::get(url);
        outgoing.method = Method::POST;
        outgoing.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            outgoing.headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        outgoing.body = RequestBody::Bytes(request.to_vec().into());
        let (answer, answered) = sync_channel(1);
        let options = self.options.clone();
        // Held until the key is dropped.
        let Some(runtime) = &self.runtime else { return Err(unreachable("it is closing".to_owned())) };
        runtime.spawn(async move {
            let _ = answer.send(converse(outgoing, &options).await);
        });
        // Its own limit ends it first; this one is for what it does not bound.
        match answered.recv_timeout(self.timeout + Duration::from_secs(1)) {
            Ok(Ok((status, body))) => judge(&self.url, status, body),
            Ok(Err(why)) => Err(unreachable(why)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(ExternalError::Slow { signer: self.url.clone(), seconds: self.timeout.as_secs() })
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A runtime that is dropped where one runs would wait, and panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn converse(request: Request, options: &Options) -> Result<(u16, Vec<u8>), String> {
    let mut response = fetch(request, options).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_ANSWER {
            break;
        }
    }
    Ok((status, body))
}

fn judge(signer: &str, status: u16, body: Vec<u8>) -> Result<Vec<u8>, ExternalError> {
    // What is refused may come with the reason in the way of the protocol.
    if status == 200 || (body.first() == Some(&b'{') && body.len() <= LARGEST_ANSWER) {
        return Ok(body);
    }
    let why = format!("it answered with the status {status}");
    Err(ExternalError::Failed { signer: signer.to_owned(), why })
}
