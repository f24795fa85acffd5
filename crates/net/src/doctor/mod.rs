//! Looking at a pair for the doctor: the connection as the user's client makes it, read on after Finished, and then
//! as few others as separate the causes, each with one thing changed. What it means is `explain::doctor`'s work.
//!
//! Only the named host is asked, at most [`MOST_CONNECTIONS`] times. An empty GET is the most that is sent. No
//! verdict on the server is enforced here: it is noted, and the server is looked at all the same.

mod connection;
mod offer;
mod receive;
mod request;

use std::time::Duration;

use explain::doctor::{Attempt, End, GivenUp, Target, Variation};
use tokio::time::{Instant, sleep};

use crate::dial::Route;
use crate::tls::Credentials;

pub use offer::{Offer, OfferError};
pub use receive::receive;

/// The most connections that one look makes.
pub const MOST_CONNECTIONS: usize = 12;

/// Silence from which on a small ClientHello is tried beside the first one.
const SILENCE: Duration = Duration::from_millis(250);

/// How long the first connection is given once the small ClientHello was answered.
const SECOND_CHANCE: Duration = Duration::from_millis(300);

/// What a look is made with.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whom to look at.
    pub target: Target,
    /// Detours.
    pub route: Route,
    /// The client's certificate and key.
    pub credentials: Option<Credentials>,
    /// Whether the certificate is kept back where the server's list does not name its issuer.
    pub withhold_by_issuer: bool,
    /// What the user's client offers.
    pub offer: Offer,
    /// The proxy that takes the connection.
    pub proxy: Option<ProxyRoute>,
    /// Headers of the request, beside those that are always sent.
    pub headers: Vec<(String, String)>,
    /// How long a connection and a handshake may take.
    pub limit: Duration,
    /// How long an answer is waited for.
    pub patience: Duration,
}

/// A proxy that is asked to CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyRoute {
    /// Its host.
    pub host: pki::name::ServerName,
    /// Its port.
    pub port: u16,
    /// The value of Proxy-Authorization, where it wants one.
    pub authorization: Option<String>,
}

impl Plan {
    /// A look at `target` without certificate, with the defaults of this program.
    ///
    /// ```
    /// use explain::doctor::Target;
    /// let target = Target::new(pki::name::ServerName::parse("localhost")?, 8443);
    /// assert!(net::doctor::Plan::new(target).credentials.is_none());
    /// # Ok::<(), pki::name::NameError>(())
    /// ```
    #[must_use]
    pub fn new(target: Target) -> Self {
        Plan {
            target,
            route: Route::default(),
            credentials: None,
            withhold_by_issuer: false,
            offer: Offer::default(),
            proxy: None,
            headers: Vec::new(),
            limit: Duration::from_secs(5),
            patience: Duration::from_millis(1500),
        }
    }
}

/// Looks: the first attempt is as the user's client connects. `told` hears of each connection before it is made.
pub async fn look(plan: &Plan, told: &(dyn Fn(Variation) + Sync)) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    told(Variation::AsAsked);
    if !plan.target.is_tls {
        let main = connection::plain(plan, Variation::AsAsked).await;
        let is_reachable = is_connected(&main.end);
        attempts.push(main);
        if is_reachable {
            told(Variation::WithTls);
            attempts.push(connection::tls(plan, Variation::WithTls).await);
        }
        return attempts;
    }
    let (main, small) = first(plan, told).await;
    let further = further(plan, &main, small.is_some());
    attempts.push(main);
    attempts.extend(small);
    for variation in further {
        if attempts.len() >= MOST_CONNECTIONS {
            break;
        }
        told(variation);
        attempts.push(match variation {
            Variation::PlainHttp => connection::plain(plan, variation).await,
            other => connection::tls(plan, other).await,
        });
    }
    attempts
}

/// The first connection; where it is met with silence, a small ClientHello beside it. A server that answers the one
/// and not the other is behind a device that drops large ones.
async fn first(plan: &Plan, told: &(dyn Fn(Variation) + Sync)) -> (Attempt, Option<Attempt>) {
    let main = connection::tls(plan, Variation::AsAsked);
    tokio::pin!(main);
    tokio::select! {
        main = &mut main => return (main, None),
        () = sleep(SILENCE) => {}
    }
    told(Variation::SmallHello);
    let beside = Instant::now();
    let small = connection::tls(plan, Variation::SmallHello);
    tokio::pin!(small);
    tokio::select! {
        main = &mut main => {
            // The server was only slow.
            let small = small.await;
            (main, Some(small))
        }
        small = &mut small => {
            if small.served.is_empty() {
                return (main.await, Some(small));
            }
            let rest = SECOND_CHANCE + 3 * beside.elapsed();
            let main = tokio::select! {
                main = &mut main => main,
                () = sleep(rest) => Attempt::new(Variation::AsAsked, End::HandshakeTimeout),
            };
            (main, Some(small))
        }
    }
}

/// Whether somebody took the connection.
fn is_connected(end: &End) -> bool {
    !matches!(
        end,
        End::ConnectionRefused
            | End::NotResolved(_)
            | End::ConnectTimeout
            | End::Unreachable(_)
            | End::ProxyRefused(_)
            | End::ProxyUnreachable(_)
    )
}

/// Which other connections separate the causes.
fn further(plan: &Plan, main: &Attempt, had_small: bool) -> Vec<Variation> {
    if !is_connected(&main.end) || main.is_let_in() {
        return Vec::new();
    }
    if let End::NotTls(_) = main.end {
        return vec![Variation::PlainHttp];
    }
    let mut variations = Vec::new();
    if !main.served.is_empty() {
        if main.sent_certificate {
            variations.push(Variation::WithoutCertificate);
        }
        return variations;
    }
    if plan.offer.is_restricted() {
        variations.push(Variation::Defaults);
    }
    let has_name = matches!(plan.target.host, pki::name::ServerName::Dns(_));
    match &main.end {
        End::Alert { description: 120, .. } | End::GivenUp(GivenUp::ApplicationProtocol) => {
            variations.push(Variation::OnlyHttp2);
        }
        End::Alert { description: 112, .. } => variations.push(Variation::WithoutServerName),
        End::Alert { .. } | End::GivenUp(_) if !plan.offer.is_restricted() => {
            variations.extend([Variation::OnlyTls12, Variation::OnlyTls13, Variation::OtherGroup]);
        }
        End::Reset { .. } | End::Closed { .. } | End::HandshakeTimeout => {
            if !had_small {
                variations.push(Variation::SmallHello);
            }
            if !plan.offer.is_restricted() && main.end != End::HandshakeTimeout {
                variations.push(Variation::OtherGroup);
            }
            if has_name {
                variations.push(Variation::WithoutServerName);
            }
        }
        _ => {}
    }
    variations
}
