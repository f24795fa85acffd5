//! One's own handshake: connected, recorded, read to its end.

use std::sync::Arc;
use std::time::Duration;

use explain::Finding;
use explain::capture::Transcript;
use net::dial::recorded;
use net::dial::{Route, TlsOptions};
use net::tls::key_log::KeyLogFile;
use net::tls::server_verifier::Expectation;
use net::tls::{TlsVersion, TlsVersions};
use net::url::Url;

use super::LiveArguments;
use crate::commands::tls_arguments::TlsArguments;
use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::input;

/// From the name's lookup to the end of the handshake.
const LIMIT: Duration = Duration::from_secs(15);

/// How long the server's verdict is waited for. Under TLS 1.3 one that sends no ticket says nothing until a request
/// comes, so silence is an answer too.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Records a connection to the server of a URL; with the verdict on its certificate, where that is a bad one.
pub(super) fn record(
    context: &Context,
    address: &str,
    tls: &TlsArguments,
    live: &LiveArguments,
) -> Result<(Transcript, Option<Finding>), Failure> {
    let url = Url::parse(address).or_usage()?;
    let mut expectation = Expectation::new(tls.anchors(context)?);
    for file in &live.crl {
        expectation.crls.extend(input::revocation_lists(file)?);
    }
    let mut options = TlsOptions::new(expectation);
    options.classical = tls.is_classical();
    options.alpn = match live.get {
        Some(_) => vec![b"http/1.1".to_vec()],
        None => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    if live.tls_max.as_deref() == Some("1.2") {
        options.versions = TlsVersions::Only(TlsVersion::Tls12);
    }
    if let Some(own) = tls.credentials(context)? {
        options.credentials = Some(own.key.credentials(own.chain).or_usage()?);
    }
    if let Some(path) = std::env::var_os("SSLKEYLOGFILE").filter(|path| !path.is_empty()) {
        let path = std::path::PathBuf::from(path);
        let log = KeyLogFile::open(&path).map_err(|error| {
            Failure::usage(format!("SSLKEYLOGFILE {}: {}", path.display(), input::plain(&error)))
        })?;
        options.key_log = Some(Arc::new(log));
    }
    let route = Route {
        resolve: live.resolve.clone(),
        connect_to: live.connect_to.clone(),
        unix_socket: live.unix_socket.clone(),
    };
    let request = match &live.get {
        Some(path) => Some(request(path, &url.host_text())?),
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
    let recording =
        recorded::record(&url.host, url.port, &route, options, request.as_deref(), LIMIT, PATIENCE);
    let recorded = runtime.block_on(recording).map_err(|error| {
        let finding = error.finding();
        let failure = Failure::unreachable(format!("{}: {}", finding.code, finding.summary));
        match finding.remedy {
            Some(remedy) => failure.hint(remedy),
            None => failure,
        }
    })?;
    Ok((recorded.transcript, recorded.verdict))
}

fn request(path: &str, host: &str) -> Result<Vec<u8>, Failure> {
    if !path.starts_with('/') || path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(Failure::usage(format!(
            "--get {path:?} is no path: it starts with / and has no white space"
        )));
    }
    Ok(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept: */*\r\n\r\n")
        .into_bytes())
}
