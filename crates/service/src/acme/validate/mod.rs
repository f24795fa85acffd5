//! Looking whether an account controls a name, by going there. The names are chosen by strangers; so what is connected
//! to is looked up once, checked against [`address::Permits`], and connected to by its address: a name that changes its
//! address between check and connection (DNS rebinding) gains nothing.

pub(crate) mod address;
mod caa;
pub(crate) mod dns;
mod http01;
mod tls_alpn01;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::acme::Settings;
use crate::acme::challenge::ChallengeKind;
use crate::acme::identifier::{Identifier, printable};
use crate::acme::refusal::{Kind, Refusal};

use address::Permits;
use dns::message::{Data, RecordType};
use dns::{DnsError, Resolver};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one attempt may take as a whole.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// The most addresses of a name that are tried.
const MOST_ADDRESSES: usize = 4;

/// Validates challenges.
#[derive(Debug, Clone)]
pub(crate) struct Validator {
    permits: Permits,
    resolver: Resolver,
    http_port: u16,
    https_port: u16,
    tls_alpn_port: u16,
    caa_identities: Vec<String>,
    attempts: u32,
    pause: Duration,
}

/// What is to be shown: control of a name, by a token, for the account with this key.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) kind: ChallengeKind,
    pub(crate) identifier: Identifier,
    pub(crate) wildcard: bool,
    pub(crate) token: String,
    pub(crate) thumbprint: String,
    pub(crate) account_url: String,
}

impl Task {
    /// RFC 8555 section 8.1.
    fn key_authorization(&self) -> String {
        format!("{}.{}", self.token, self.thumbprint)
    }
}

impl Validator {
    /// One by these settings.
    pub(crate) fn new(settings: &Settings) -> Self {
        Validator {
            permits: Permits::new(settings.permits.clone()),
            resolver: Resolver::new(settings.resolvers.clone()),
            http_port: settings.http_port,
            https_port: settings.https_port,
            tls_alpn_port: settings.tls_alpn_port,
            caa_identities: settings.caa_identities.clone(),
            attempts: settings.attempts.max(1),
            pause: settings.pause,
        }
    }

    /// Goes and looks; more than once where it may be a matter of time (RFC 8555 section 8.2).
    ///
    /// # Errors
    /// Why control is not shown.
    pub(crate) async fn validate(&self, task: &Task) -> Result<(), Refusal> {
        let mut attempt = 1;
        loop {
            let result = timeout(ATTEMPT_TIMEOUT, self.attempt(task)).await.unwrap_or_else(|_| {
                Err(Refusal::new(Kind::Connection, format!("{} did not answer in time", task.identifier)))
            });
            match result {
                Err(refusal) if attempt < self.attempts && is_passing(&refusal) => {
                    sleep(self.pause * attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn attempt(&self, task: &Task) -> Result<(), Refusal> {
        match task.kind {
            ChallengeKind::Http01 => http01::validate(self, task).await?,
            ChallengeKind::Dns01 => self.dns01(task).await?,
            ChallengeKind::TlsAlpn01 => tls_alpn01::validate(self, task).await?,
        }
        caa::check(self, task).await
    }

    /// RFC 8555 section 8.4.
    async fn dns01(&self, task: &Task) -> Result<(), Refusal> {
        let name = format!("_acme-challenge.{}", task.identifier);
        let expected = URL_SAFE_NO_PAD.encode(pki::sha256(task.key_authorization().as_bytes()));
        let found = self.resolver.lookup(&name, RecordType::Txt).await.map_err(dns_refusal)?;
        let texts: Vec<Vec<u8>> = found
            .into_iter()
            .filter_map(|data| if let Data::Text(text) = data { Some(text) } else { None })
            .collect();
        if texts.iter().any(|text| text == expected.as_bytes()) {
            return Ok(());
        }
        let found = match texts.first() {
            None => "none".to_owned(),
            Some(first) => {
                let more =
                    if texts.len() > 1 { format!(" and {} more", texts.len() - 1) } else { String::new() };
                format!("'{}'{more}", printable(&String::from_utf8_lossy(first)))
            }
        };
        Err(Refusal::unauthorized(format!("the TXT record of {name} should be '{expected}'; found: {found}")))
    }

    /// The addresses of a name that may be connected to.
    ///
    /// # Errors
    /// `dns` where it has none, `rejectedIdentifier` where none of those may be reached.
    async fn reachable(&self, host: &Identifier) -> Result<Vec<IpAddr>, Refusal> {
        let addresses = match host {
            Identifier::Ip(ip) => vec![*ip],
            Identifier::Dns(name) => self.resolver.addresses(name).await.map_err(dns_refusal)?,
            Identifier::Email(_) => Vec::new(),
        };
        if addresses.is_empty() {
            return Err(Refusal::new(Kind::Dns, format!("{host} has no address (no A and no AAAA record)")));
        }
        let mut reachable = Vec::new();
        let mut forbidden = None;
        for address in addresses {
            match self.permits.forbids(address) {
                None => reachable.push(address),
                Some(why) => forbidden = forbidden.or(Some((address, why))),
            }
        }
        match forbidden {
            Some((address, why)) if reachable.is_empty() => Err(Refusal::new(
                Kind::RejectedIdentifier,
                format!(
                    "{host} is at {address}, which is {why}: this authority connects there only if its operator \
                     permits it (--acme-permit)"
                ),
            )),
            _ => {
                reachable.truncate(MOST_ADDRESSES);
                Ok(reachable)
            }
        }
    }

    /// A connection to one of these addresses, which are those that were checked.
    async fn connect(
        &self,
        host: &Identifier,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<TcpStream, Refusal> {
        let mut last = String::new();
        for address in addresses {
            let target = SocketAddr::new(*address, port);
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(target)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = format!("{target}: {}", error.kind()),
                Err(_) => last = format!("{target}: no answer within {} s", CONNECT_TIMEOUT.as_secs()),
            }
        }
        Err(Refusal::new(Kind::Connection, format!("{host} could not be connected to at {last}")))
    }
}

/// Whether it may go otherwise a moment later: what the operator forbids and what was answered wrongly by a web server
/// stays, but records and servers need their time to come up.
fn is_passing(refusal: &Refusal) -> bool {
    !matches!(refusal.kind, Kind::RejectedIdentifier | Kind::Caa | Kind::Malformed)
}

fn dns_refusal(error: DnsError) -> Refusal {
    Refusal::new(Kind::Dns, error.to_string())
}
