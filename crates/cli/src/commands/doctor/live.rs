//! The connections of one examination.

use std::net::IpAddr;

use base64::Engine as _;
use explain::doctor::{Attempt, Settings, Target, Variation};
use net::dial::Route;
use net::doctor::{Offer, Plan, ProxyRoute, Waits};
use net::tls::{TlsVersion, TlsVersions};
use net::url::{Scheme, Url};
use pki::name::ServerName;

use super::own::Own;
use crate::context::{Context, DIM};
use crate::failure::{Failure, OrFail as _};

/// Who is examined.
pub(super) fn target(settings: &Settings) -> Result<Target, Failure> {
    let url = url(settings)?;
    let host = match &settings.server_name {
        Some(name) => ServerName::parse(name).or_usage()?,
        None => url.host.clone(),
    };
    Ok(Target {
        is_tls: url.scheme == Scheme::Https,
        host,
        port: url.port,
        path: url.path_and_query.clone(),
        host_header: settings.host_header.clone(),
        is_redirected: !settings.resolve.is_empty() || !settings.connect_to.is_empty(),
    })
}

fn url(settings: &Settings) -> Result<Url, Failure> {
    let text = settings.url.as_deref().ok_or_else(|| {
        Failure::usage("there is no server to examine").hint("countersign doctor https://localhost:8443")
    })?;
    // curl(1): a URL without a scheme is http.
    let guessed =
        if settings.is_command && matches!(settings.program.name(), "curl" | "wget") && !text.contains("://")
        {
            format!("http://{text}")
        } else {
            text.to_owned()
        };
    Url::parse(&guessed).or_usage()
}

/// Looks at the server as the settings say.
pub(super) fn look(
    context: &Context,
    settings: &Settings,
    own: &Own,
    target: &Target,
    verbose: bool,
) -> Result<Vec<Attempt>, Failure> {
    let url = url(settings)?;
    let mut plan = Plan::new(target.clone());
    plan.route = route(settings, &url, target)?;
    plan.credentials = own.credentials.clone().filter(|credentials| {
        let leaf = credentials.leaf();
        let withheld = settings.program.withholds_by_purpose()
            && (context.now() > leaf.not_after()
                || leaf.extended_key_usages().is_some_and(|usages| !usages.contains(&pki::oid::CLIENT_AUTH)));
        !withheld
    });
    plan.withhold_by_issuer = settings.program.withholds_by_issuer();
    plan.sends_server_name = match &target.host {
        ServerName::Dns(host) => host.contains('.') || settings.program.sends_one_label_server_name(),
        ServerName::Ip(_) => false,
    };
    plan.offer = offer(context, settings)?;
    plan.headers = settings.headers.clone();
    plan.proxy = settings.proxy.as_ref().map(|(source, url)| proxy(source, url)).transpose()?;
    plan.waits = settings.most_wait.map(Waits::of);
    let say = |variation: Variation| {
        if verbose {
            context.say(format!("{DIM}*{DIM:#} connecting {}", variation.text()));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
    Ok(runtime.block_on(net::doctor::look(&plan, &say)))
}

fn route(settings: &Settings, url: &Url, target: &Target) -> Result<Route, Failure> {
    let mut route = Route::default();
    for text in &settings.resolve {
        route.resolve.push(text.parse().or_usage()?);
    }
    for text in &settings.connect_to {
        route.connect_to.push(text.parse().or_usage()?);
    }
    if target.host != url.host {
        // The name that is sent and expected is another than the one that is dialled.
        let dialled = url.host_text();
        let bare = match &url.host {
            ServerName::Ip(IpAddr::V6(_)) => format!("[{}]", dialled.trim_matches(['[', ']'])),
            _ => dialled,
        };
        let text = format!("::{bare}:{}", url.port);
        route.connect_to.push(text.parse().or_usage()?);
    }
    Ok(route)
}

fn offer(context: &Context, settings: &Settings) -> Result<Offer, Failure> {
    let version = |text: &str| match text {
        "1.2" => Some(TlsVersion::Tls12),
        "1.3" | "default" => Some(TlsVersion::Tls13),
        _ => None,
    };
    let unknown = |text: &str| {
        Failure::usage(format!(
            "TLS '{text}' is not spoken here: 1.2 and 1.3 are, and older ones no longer should be"
        ))
    };
    let least = match settings.least_version.as_deref() {
        Some(text) => version(text).ok_or_else(|| unknown(text))?,
        None => TlsVersion::Tls12,
    };
    let most = match settings.most_version.as_deref() {
        Some(text) => version(text).ok_or_else(|| unknown(text))?,
        None => TlsVersion::Tls13,
    };
    let versions = TlsVersions::between(least, most).ok_or_else(|| {
        Failure::usage("the oldest TLS version that the client offers is newer than the newest")
            .hint("take one of the two away")
    })?;
    let mut offer = Offer::of(versions);
    // What is not spoken here cannot be tried: it is told, and the defaults are.
    if let Some(list) = &settings.ciphers {
        offer = offer.clone().ciphers(list).unwrap_or_else(|error| told(context, &error, offer));
    }
    if let Some(list) = &settings.curves {
        offer = offer.clone().curves(list).unwrap_or_else(|error| told(context, &error, offer));
    }
    if let Some(list) = &settings.sigalgs {
        offer = offer.clone().sigalgs(list).unwrap_or_else(|error| told(context, &error, offer));
    }
    Ok(offer)
}

fn told(context: &Context, error: &net::doctor::OfferError, offer: Offer) -> Offer {
    context.warn(error.to_string());
    offer
}

/// `http://user:password@host:port`, without a scheme too. A proxy that itself speaks TLS is not gone through here.
fn proxy(source: &str, text: &str) -> Result<ProxyRoute, Failure> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(Failure::usage(format!(
            "{source} names a proxy of the kind {scheme}://, which is not gone through here"
        ))
        .hint("--noproxy '*' examines the server without it"));
    }
    let rest = rest.trim_end_matches('/');
    let (user, authority) = match rest.rsplit_once('@') {
        Some((user, authority)) => (Some(user), authority),
        None => (None, rest),
    };
    let url = Url::parse(&format!("http://{authority}"))
        .map_err(|error| Failure::usage(format!("{source} names no proxy: {error}")))?;
    // curl(1): a proxy without a port is at 1080.
    let port = if authority.ends_with(&format!(":{}", url.port)) { url.port } else { 1080 };
    let authorization =
        user.map(|user| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user)));
    Ok(ProxyRoute { host: url.host, port, authorization })
}
