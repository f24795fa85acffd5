//! A notice as an HTTP request. The address is looked up once, checked as those are that ACME validates, and connected to as
//! it was checked: a webhook's name that leads into the operator's own network needs the operator's permission, and one that
//! changes meanwhile gains nothing. Redirections are not followed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::Method;
use http::header::{self, HeaderValue};
use net::dial::{Resolve, TlsOptions};
use net::fetch::{HttpVersion, Options, Request, RequestBody, fetch};
use net::tls::server_verifier::Expectation;
use net::url::Url;
use pki::name::{IpRange, ServerName};
use pki::verify::TrustBundle;
use serde_json::Value;

use super::Tell;
use crate::acme::validate::address::Permits;

/// From the look-up to the answer.
const MAX_TIME: Duration = Duration::from_secs(20);

/// Posts each notice to a URL, whose server is believed by these anchors.
#[must_use]
pub fn webhook(url: Url, anchors: TrustBundle, permits: Vec<IpRange>) -> Tell {
    let permits = std::sync::Arc::new(Permits::new(permits));
    std::sync::Arc::new(move |notice| {
        let (url, anchors, permits) = (url.clone(), anchors.clone(), permits.clone());
        Box::pin(async move {
            let posting = post(&url, anchors, &permits, &notice);
            tokio::time::timeout(MAX_TIME, posting)
                .await
                .unwrap_or_else(|_| Err(format!("{url} did not answer within {} s", MAX_TIME.as_secs())))
        })
    })
}

async fn post(url: &Url, anchors: TrustBundle, permits: &Permits, notice: &Value) -> Result<(), String> {
    let address = reachable(url, permits).await?;
    let mut options = Options::new(TlsOptions::new(Expectation::new(anchors)));
    options.http = HttpVersion::Http1;
    options.route.resolve.push(Resolve::all_to(SocketAddr::new(address, url.port)));
    let mut request = Request::get(url.clone());
    request.method = Method::POST;
    request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.body = RequestBody::Bytes(notice.to_string().into_bytes().into());
    let response = fetch(request, &options).await.map_err(|error| format!("{url}: {error}"))?;
    match response.status() {
        200..=299 => Ok(()),
        status @ 300..=399 => Err(format!("{url} redirects (status {status}), which is not followed")),
        status => Err(format!("{url} answered with the status {status}")),
    }
}

/// The first address of the URL's host that may be connected to.
async fn reachable(url: &Url, permits: &Permits) -> Result<IpAddr, String> {
    let addresses: Vec<IpAddr> = match &url.host {
        ServerName::Ip(ip) => vec![*ip],
        ServerName::Dns(name) => tokio::net::lookup_host((name.as_str(), url.port))
            .await
            .map_err(|error| format!("{name} has no address: {error}"))?
            .map(|address| address.ip())
            .collect(),
    };
    let mut forbidden = None;
    for address in addresses {
        match permits.forbids(address) {
            None => return Ok(address),
            Some(why) => forbidden = forbidden.or(Some((address, why))),
        }
    }
    Err(match forbidden {
        Some((address, why)) => format!(
            "{} is at {address}, which is {why}: notices go there only if the operator permits it (--notify-permit)",
            url.host
        ),
        None => format!("{} has no address", url.host),
    })
}
