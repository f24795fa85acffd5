//! Asking an authority: with the certificate itself, by ACME, by EST. What comes back is verified before it is put in
//! place.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use net::dial::TlsOptions;
use net::fetch::Options;
use net::provision::acme::{AcmeError, Client, ExternalAccount, Order, RenewalInfo, renewal_info};
use net::provision::est::{self, EstError, Operation};
use net::provision::{Exchange as _, Outgoing};
use net::tls::Credentials;
use net::tls::server_verifier::Expectation;
use pki::csr::build_request;
use pki::key::SigningKey as _;
use pki::name::{GeneralName, SubjectNames};
use pki::verify::TrustBundle;
use pki::{Certificate, csr};

use crate::commands::agent::challenge;
use crate::commands::agent::config::{Acme, Est, Join, Source, Wanted};
use crate::commands::agent::files;
use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::input;
use crate::key::{self, OwnKey};
use crate::material::{Believed, write_anchors};

/// From the first packet of a request to the last of its answer.
const MAX_TIME: Duration = Duration::from_secs(60);

/// How long an order is waited for, and how often it is looked at.
const ORDER_TIME: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_secs(1);

/// A key and a chain for it.
pub(super) type Pair = (OwnKey, Vec<Certificate>);

/// Why there is none, and when the server wants to be asked again, where it says.
pub(super) struct Denied {
    pub(super) failure: Failure,
    pub(super) retry_after: Option<u64>,
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        Denied { failure, retry_after: None }
    }
}

impl Denied {
    fn of_acme(what: &str, error: &AcmeError) -> Self {
        match error {
            AcmeError::Exchange(error) => failed(what, error).into(),
            AcmeError::Refused { retry_after, .. } => {
                Denied { failure: Failure::refused(what).because(error), retry_after: *retry_after }
            }
            other => Failure::refused(what).because(other).into(),
        }
    }

    fn of_est(what: &str, error: &EstError) -> Self {
        match error {
            EstError::Exchange(error) => failed(what, error).into(),
            EstError::Later(seconds) => {
                Denied { failure: Failure::refused(what).because(error), retry_after: Some(*seconds) }
            }
            other => Failure::refused(what).because(other).into(),
        }
    }
}

/// Obtains a new pair; `current` is the certificate that it takes the place of.
pub(super) async fn obtain(
    context: &Context,
    wanted: &Wanted,
    current: Option<&Certificate>,
) -> Result<Pair, Denied> {
    let key = files::next_key(context, wanted)?;
    let chain = match &wanted.source {
        Source::Join(join) => renew(context, wanted, join, current, &key).await?,
        Source::Acme(acme) => order(context, acme, current, &key).await?,
        Source::Est(est) => enrol(context, wanted, est, current, &key).await?,
    };
    let leaf = chain.first().ok_or_else(|| Failure::refused("the authority sent no certificate"))?;
    let now = context.now();
    if leaf.not_after() <= now {
        let end = leaf.not_after();
        return Err(Failure::refused(format!(
            "the authority sent a certificate that ended on {end}; it is not used"
        ))
        .into());
    }
    if let Some(current) = current.filter(|current| current.not_after() > leaf.not_after()) {
        return Err(Failure::refused(format!(
            "the authority sent a certificate that ends on {}, before the one in place ({}); it is not used",
            leaf.not_after(),
            current.not_after()
        ))
        .into());
    }
    Ok((key, chain))
}

/// When the authority suggests to renew; `None` where it has no opinion.
pub(super) async fn suggestion(
    wanted: &Wanted,
    certificate: &Certificate,
) -> Result<Option<RenewalInfo>, AcmeError> {
    let (anchors, directory) = match &wanted.source {
        Source::Acme(acme) => (acme.anchors.as_deref(), acme.directory.clone()),
        // An authority that one joins says it in the same place.
        Source::Join(join) => (Some(&*join.anchors), format!("{}/acme/directory", join.ca)),
        // And so does one whose roots are followed.
        Source::Est(Est { kept_anchors: Some(file), url, .. }) => match origin(url) {
            Ok(base) => (Some(&**file), format!("{base}/acme/directory")),
            Err(_) => return Ok(None),
        },
        Source::Est(_) => return Ok(None),
    };
    let Ok(options) = options(anchors, None) else { return Ok(None) };
    renewal_info(&options, &directory, certificate).await
}

/// Brings the file with the authority's roots up to date: always where the certificate was joined, and where it is wished
/// otherwise. Says whether the file changed.
pub(super) async fn believe(wanted: &Wanted) -> Result<bool, Failure> {
    match &wanted.source {
        Source::Join(join) => follow(Teller::Authority(&join.ca), &join.anchors).await,
        Source::Acme(acme) => match &acme.kept_anchors {
            Some(file) => follow(Teller::Authority(&origin(&acme.directory)?), file).await,
            None => Ok(false),
        },
        Source::Est(est) => match &est.kept_anchors {
            // An authority of countersign says more than EST has words for: which roots are believed no longer.
            Some(file) => match follow(Teller::Authority(&origin(&est.url)?), file).await {
                Ok(false) => follow(Teller::Est(&est.url), file).await,
                told => told,
            },
            None => Ok(false),
        },
    }
}

/// Who says whom to believe.
#[derive(Clone, Copy)]
enum Teller<'a> {
    /// An authority of countersign, at this address.
    Authority(&'a str),
    /// An EST server (RFC 7030 section 4.1).
    Est(&'a str),
}

impl Teller<'_> {
    /// What it says over TLS, where `anchors` alone vouch for it; `None` where it says nothing of the kind.
    async fn ask(self, anchors: &[Certificate]) -> Result<Option<Believed>, Failure> {
        let options = believing(anchors.to_vec(), None);
        match self {
            Teller::Authority(base) => {
                let url = format!("{base}/trust");
                let outgoing =
                    Outgoing { method: Method::GET, url, headers: HeaderMap::new(), body: Vec::new() };
                let what = format!("the authority at {base} did not say whom to believe");
                let answer = options.exchange(outgoing).await.map_err(|error| failed(&what, &error))?;
                // Another status is that of a server of others, or of an authority from before rollovers.
                Ok(Believed::read(&answer.body).filter(|_| answer.status == 200))
            }
            Teller::Est(url) => {
                let what = format!("the EST server at {url} did not say whom to believe");
                let all = est::ca_certificates(&options, url).await.map_err(|error| failed(&what, &error))?;
                Ok(roots_by_est(&all))
            }
        }
    }
}

/// Those among an EST server's CA certificates that are roots. EST takes none back, so none was believed once.
fn roots_by_est(all: &[Certificate]) -> Option<Believed> {
    let is_root = |one: &&Certificate| {
        one.is_ca()
            && one.is_self_issued()
            && one.public_key().is_ok_and(|key| one.verify_signature(key).is_ok())
    };
    let anchors: Vec<Certificate> = all.iter().filter(is_root).cloned().collect();
    (!anchors.is_empty()).then(|| Believed { anchors, former: Vec::new() })
}

/// Brings a file up to date by what somebody says over TLS. That is believed where one of the same authority's roots in
/// the file vouches for who says it: a file may hold the roots of others too, and they have no say in whom to believe.
async fn follow(teller: Teller<'_>, file: &std::path::Path) -> Result<bool, Failure> {
    let known = input::certificates(file)?;
    let Some(first) = teller.ask(&known).await? else { return Ok(false) };
    let own: Vec<Certificate> = known
        .iter()
        .filter(|one| first.anchors.contains(one) || first.former.contains(one))
        .cloned()
        .collect();
    let believed = if own.is_empty() {
        None
    } else if own.len() == known.len() {
        Some(first)
    } else {
        teller.ask(&own).await?
    };
    match believed {
        Some(believed) => write_anchors(file, &believed),
        None => Ok(false),
    }
}

/// The server that an address is at, which is https:// as the configuration demands.
fn origin(address: &str) -> Result<String, Failure> {
    let url = net::url::Url::parse(address).or_usage()?;
    Ok(format!("https://{}", url.authority()))
}

/// How requests are sent: believing the anchors of a file, or those of the system.
fn options(anchors: Option<&std::path::Path>, credentials: Option<Credentials>) -> Result<Options, Failure> {
    let anchors = match anchors {
        Some(path) => input::certificates(path)?,
        None => {
            // What the system holds and cannot be read is not believed, and no reason to stop.
            let system = rustls_native_certs::load_native_certs();
            system.certs.iter().filter_map(|der| Certificate::from_der(der).ok()).collect()
        }
    };
    Ok(believing(anchors, credentials))
}

fn believing(anchors: Vec<Certificate>, credentials: Option<Credentials>) -> Options {
    let mut tls = TlsOptions::new(Expectation::new(TrustBundle::new(anchors)));
    tls.credentials = credentials;
    let mut options = Options::new(tls);
    options.connect_timeout = Duration::from_secs(20);
    options.max_time = Some(MAX_TIME);
    options
}

/// The pair in place, to connect with.
fn own(context: &Context, wanted: &Wanted) -> Result<Credentials, Failure> {
    let (chain, key) =
        input::credentials(context, &wanted.files.certificate(), &wanted.files.key_place(), None)?;
    key.credentials(chain).or_usage()
}

fn failed(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::unreachable(what).because(error)
}

/// A joined certificate renews itself.
async fn renew(
    context: &Context,
    wanted: &Wanted,
    join: &Join,
    current: Option<&Certificate>,
    key: &OwnKey,
) -> Result<Vec<Certificate>, Denied> {
    let Some(current) = current else {
        return Err(Failure::usage(format!(
            "{} is not there, or not with its key",
            wanted.files.certificate().display()
        ))
        .hint("countersign join LINK    (a first certificate needs an invite)")
        .into());
    };
    let options = options(Some(&join.anchors), Some(own(context, wanted)?))?;
    let request = build_request(&SubjectNames::of(current), key).or_usage()?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/pkcs10"));
    let url = format!("{}/api/v1/renew", join.ca);
    let outgoing = Outgoing { method: Method::POST, url, headers, body: request };
    let what = format!("the authority at {} did not renew", join.ca);
    let answer = options.exchange(outgoing).await.map_err(|error| failed(&what, &error))?;
    if answer.status != 200 {
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let detail =
            problem["detail"].as_str().map_or_else(|| format!("status {}", answer.status), str::to_owned);
        let failure = Failure::refused(what).fact(explain::escape::text(&detail));
        return Err(Denied { failure, retry_after: answer.retry_after() });
    }
    Ok(chain(&answer.body)?)
}

fn chain(pem: &[u8]) -> Result<Vec<Certificate>, Failure> {
    let blocks = pki::pem::read(pem)
        .map_err(|error| Failure::refused(format!("what was sent is no chain: {error}")))?;
    blocks
        .iter()
        .filter(|block| block.label == "CERTIFICATE")
        .map(|block| Certificate::from_der(&block.der).or_refuse())
        .collect()
}

/// A request by EST: a certificate that is there renews itself, a first one needs the password.
async fn enrol(
    context: &Context,
    wanted: &Wanted,
    est: &Est,
    current: Option<&Certificate>,
    key: &OwnKey,
) -> Result<Vec<Certificate>, Denied> {
    let what = format!("the EST server at {} did not enrol", est.url);
    let told = |error: EstError| Denied::of_est(&what, &error);
    let alive = current.filter(|certificate| certificate.not_after() > context.now());
    let leaf = match alive {
        Some(current) => {
            let options = options(est.anchors.as_deref(), Some(own(context, wanted)?))?;
            let request = build_request(&SubjectNames::of(current), key).or_usage()?;
            est::enrol(&options, &est.url, Operation::Reenrol, None, &request).await.map_err(told)?
        }
        None => {
            let options = options(est.anchors.as_deref(), None)?;
            let request = build_request(&names(&est.names)?, key).or_usage()?;
            let password = match &est.password_file {
                Some(file) => {
                    let bytes = zeroize::Zeroizing::new(input::bytes(file)?);
                    let text = String::from_utf8_lossy(&bytes);
                    Some(zeroize::Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
                }
                None => None,
            };
            let password = password.as_ref().map(|password| (est.user.as_str(), password.as_str()));
            est::enrol(&options, &est.url, Operation::Enrol, password, &request).await.map_err(told)?
        }
    };
    // EST gives the certificate alone; those between it and the anchor complete the chain.
    let options = options(est.anchors.as_deref(), None)?;
    let above = est::ca_certificates(&options, &est.url).await.map_err(told)?;
    let mut chain = vec![leaf];
    while let Some(next) = chain.last().and_then(|last| {
        above
            .iter()
            .find(|ca| ca.subject().matches(last.issuer()) && !ca.is_self_issued() && !chain.contains(ca))
    }) {
        chain.push(next.clone());
    }
    Ok(chain)
}

/// The names of a request: the first as a client's, and what else they are.
fn names(texts: &[String]) -> Result<SubjectNames, Failure> {
    let mut all = SubjectNames::default();
    for text in texts {
        let names = SubjectNames::for_client(text).or_usage()?;
        all.common_name = all.common_name.or(names.common_name);
        names.alternative.into_iter().for_each(|name: GeneralName| all.add(name));
    }
    Ok(all)
}

/// A whole order by ACME.
async fn order(
    context: &Context,
    acme: &Acme,
    current: Option<&Certificate>,
    key: &OwnKey,
) -> Result<Vec<Certificate>, Denied> {
    let what = format!("the ACME server of {} did not issue", acme.directory);
    let told = |error: AcmeError| Denied::of_acme(&what, &error);
    let options = options(acme.anchors.as_deref(), None)?;
    let account_key = account_key(context, acme)?;
    let external = external(acme)?;
    let client =
        Client::open(options, &acme.directory, Arc::new(account_key), &acme.contact, external.as_ref())
            .await
            .map_err(told)?;
    let identifiers: Vec<(&str, String)> = acme.names.iter().map(|name| identifier(name)).collect();
    let mut order = client.order(&identifiers, acme.profile.as_deref(), current).await.map_err(told)?;
    if order.status == "pending" {
        order = challenge::show(acme, &client, &order).await?;
    }
    if order.status != "ready" {
        return Err(Failure::refused(&what).fact(state_of(&order)).into());
    }
    let mut request = SubjectNames::default();
    for (kind, value) in &identifiers {
        request.add(match *kind {
            "ip" => GeneralName::Ip(
                value.parse().map_err(|_| Failure::usage(format!("'{value}' is no address")))?,
            ),
            "email" => GeneralName::Email(value.clone()),
            _ => GeneralName::Dns(value.clone()),
        });
    }
    let csr = csr::build_request(&request, key).or_usage()?;
    let mut order = client.finalize(&order, &csr).await.map_err(told)?;
    let begun = tokio::time::Instant::now();
    while order.status == "processing" && begun.elapsed() < ORDER_TIME {
        tokio::time::sleep(LOOK).await;
        order = client.refresh(&order).await.map_err(told)?;
    }
    if order.status != "valid" {
        return Err(Failure::refused(&what).fact(state_of(&order)).into());
    }
    let pem = client.certificate(&order).await.map_err(told)?;
    let chain = chain(&pem)?;
    let is_ours = chain.first().is_some_and(|leaf| leaf.public_key().ok() == Some(key.public_key()));
    if is_ours {
        Ok(chain)
    } else {
        Err(Failure::refused(what).fact("the certificate is for another key").into())
    }
}

pub(super) fn state_of(order: &Order) -> String {
    let why =
        order.error.as_deref().map(|error| format!(": {}", explain::escape::text(error))).unwrap_or_default();
    format!("the order is {}{why}", order.status)
}

/// The identifier that a name is in an order.
fn identifier(name: &str) -> (&'static str, String) {
    if let Ok(ip) = name.parse::<std::net::IpAddr>() {
        return ("ip", ip.to_string());
    }
    if name.contains('@') {
        return ("email", name.to_owned());
    }
    ("dns", pki::name::dns_name(name).unwrap_or_else(|_| name.to_owned()))
}

/// The key of the account; made where there is none.
fn account_key(context: &Context, acme: &Acme) -> Result<OwnKey, Failure> {
    use keys::file::{Replace, write_private};
    let reference = acme.account_key.to_str().filter(|_| key::reference(&acme.account_key).is_some());
    if reference.is_none() && acme.account_key.exists() {
        return OwnKey::open(context, &acme.account_key, None);
    }
    let key = key::new_or_at(context, reference, pki::key::KeyAlgorithm::P256)?;
    if let OwnKey::File(key) = &key {
        write_private(&acme.account_key, key.to_pkcs8_pem().as_bytes(), Replace::No).or_usage()?;
    }
    Ok(key)
}

fn external(acme: &Acme) -> Result<Option<ExternalAccount>, Failure> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let Some((kid, file)) = &acme.external else { return Ok(None) };
    // Once the account is there the key is spent, and its file may be gone.
    if !file.exists() {
        return Ok(None);
    }
    let text = zeroize::Zeroizing::new(input::bytes(file)?);
    let mac_key = URL_SAFE_NO_PAD.decode(text.trim_ascii()).map_err(|_| {
        Failure::usage(format!(
            "{} holds no MAC key in base64url, as `acme eab add` shows it",
            file.display()
        ))
    })?;
    Ok(Some(ExternalAccount { kid: kid.clone(), mac_key }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use testkit::TestCa;

    use super::*;

    #[test]
    fn of_what_an_est_server_has_roots_alone_are_believed_and_none_that_only_looks_like_one() {
        let (one, other) = (TestCa::new(), TestCa::new());
        let certificate = |of: &testkit::TestIdentity| of.certificate.clone();
        let (root, issuing) = (certificate(one.root()), certificate(one.issuing()));
        let mut broken = certificate(other.root()).der().to_vec();
        *broken.last_mut().unwrap() ^= 1;
        let mut all = vec![issuing, root.clone()];
        all.extend(Certificate::from_der(&broken));
        assert_eq!(roots_by_est(&all).unwrap().anchors, [root]);
        assert!(roots_by_est(&all[..1]).is_none());
    }

    #[test]
    fn the_server_of_an_address_is_without_its_path() {
        assert_eq!(origin("https://ca.test:8444/acme/directory").unwrap(), "https://ca.test:8444");
        assert_eq!(origin("https://ca.test").unwrap(), "https://ca.test");
    }
}
