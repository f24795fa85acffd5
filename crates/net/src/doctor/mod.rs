//! Looking at a pair for the doctor: the connection as the user's client makes it, read on after Finished, and then
//! as few others as separate the causes, each with one thing changed. What it means is `explain::doctor`'s work.
//!
//! Only the named host is asked, at most [`MOST_CONNECTIONS`] times. An empty GET is the most that is sent. No
//! verdict on the server is enforced here: it is noted, and the server is looked at all the same.

mod connection;
mod offer;
mod receive;
mod request;
mod silence;

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use explain::doctor::{Attempt, End, GivenUp, Target, Variation};
use tokio::time::{Instant, sleep};

use crate::dial::Route;
use crate::tls::Credentials;

pub use offer::{Offer, OfferError};
pub use receive::receive;

/// The most connections that one look makes.
pub const MOST_CONNECTIONS: usize = 12;

/// Silence from which on a small ClientHello is tried beside the first one, and after which as long again one without a
/// server name.
const SILENCE: Duration = Duration::from_millis(250);

/// How long the first connection is given once the small ClientHello was answered.
const SECOND_CHANCE: Duration = Duration::from_millis(300);

/// How long a server is waited for that says nothing. What it says restarts the wait, so that a slow server is heard
/// out; all silence of one look together is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// From the beginning of the look, until when a server may be silent. Later connections are given an eighth of it.
    pub silence: Duration,
    /// For an answer to the request.
    pub answer: Duration,
}

impl Waits {
    /// For a server on this machine, where silence is an answer sooner: any verdict comes within a second.
    pub const HERE: Waits = Waits { silence: Duration::from_millis(700), answer: Duration::from_millis(500) };

    /// For a server elsewhere: packets get lost, and an application may have to think.
    pub const ELSEWHERE: Waits =
        Waits { silence: Duration::from_secs(5), answer: Duration::from_millis(1500) };

    /// Both of them so long.
    ///
    /// ```
    /// use std::time::Duration;
    /// assert_eq!(net::doctor::Waits::of(Duration::from_secs(9)).answer.as_secs(), 9);
    /// ```
    #[must_use]
    pub const fn of(wait: Duration) -> Self {
        Waits { silence: wait, answer: wait }
    }
}

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
    /// Whether the user's client sends the server's name.
    pub sends_server_name: bool,
    /// What the user's client offers.
    pub offer: Offer,
    /// The proxy that takes the connection.
    pub proxy: Option<ProxyRoute>,
    /// Headers of the request, beside those that are always sent.
    pub headers: Vec<(String, String)>,
    /// How long a silent server is waited for, where that is not for the place of the server to decide.
    pub waits: Option<Waits>,
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
            sends_server_name: true,
            offer: Offer::default(),
            proxy: None,
            headers: Vec::new(),
            waits: None,
        }
    }
}

/// Looks: the first attempt is as the user's client connects. `told` hears of each connection before it is made.
pub async fn look(plan: &Plan, told: &(dyn Fn(Variation) + Sync)) -> Vec<Attempt> {
    let look = Look { plan, began: Instant::now() };
    told(Variation::AsAsked);
    if !plan.target.is_tls {
        let mut attempts = vec![connection::plain(&look, Variation::AsAsked).await];
        if is_connected(&attempts[0].end) {
            told(Variation::WithTls);
            attempts.push(connection::tls(&look, Variation::WithTls).await);
        }
        return attempts;
    }
    let mut attempts = first(&look, told).await;
    for variation in further(plan, &attempts) {
        if attempts.len() >= MOST_CONNECTIONS {
            break;
        }
        told(variation);
        attempts.push(match variation {
            Variation::PlainHttp => connection::plain(&look, variation).await,
            other => connection::tls(&look, other).await,
        });
    }
    attempts
}

/// One look under way.
struct Look<'a> {
    plan: &'a Plan,
    began: Instant,
}

impl Look<'_> {
    /// How long a server there is waited for. A proxy may be here and what it leads to elsewhere.
    fn waits(&self, address: Option<SocketAddr>) -> Waits {
        let is_here = address.is_none_or(|address| address.ip().is_loopback()) && self.plan.proxy.is_none();
        self.plan.waits.unwrap_or(if is_here { Waits::HERE } else { Waits::ELSEWHERE })
    }

    /// How long a server may be silent from now on.
    fn silence(&self, waits: Waits) -> Duration {
        waits.silence.saturating_sub(self.began.elapsed()).max(waits.silence / 8)
    }

    /// How long an answer is waited for: a handshake that took its time leaves a little more than silence would.
    fn answer(&self, waits: Waits) -> Duration {
        let left = (waits.silence * 5 / 4).saturating_sub(self.began.elapsed());
        waits.answer.min(left).max(waits.silence / 4)
    }

    /// How long the way to a server may take: to one here it takes no time.
    fn way(&self) -> Duration {
        self.silence(self.plan.waits.unwrap_or(Waits::ELSEWHERE))
    }
}

/// The first connection; where it is met with silence, a small ClientHello beside it, and then one without a server
/// name. A server that answers the small one and not the first is behind a device that drops large ones.
async fn first(look: &Look<'_>, told: &(dyn Fn(Variation) + Sync)) -> Vec<Attempt> {
    let mut main = pin!(connection::tls(look, Variation::AsAsked));
    tokio::select! {
        main = &mut main => return vec![main],
        () = sleep(SILENCE) => {}
    }
    told(Variation::SmallHello);
    let beside = Instant::now();
    let mut small = pin!(connection::tls(look, Variation::SmallHello));
    let has_name = matches!(look.plan.target.host, pki::name::ServerName::Dns(_));
    let mut nameless = pin!(async {
        sleep(SILENCE).await;
        told(Variation::WithoutServerName);
        connection::tls(look, Variation::WithoutServerName).await
    });
    let mut last_chance = pin!(sleep(Duration::MAX));
    let (mut of_main, mut of_small, mut of_nameless): (Option<Attempt>, _, _) = (None, None, None);
    loop {
        let is_answered = of_small.as_ref().is_some_and(|small: &Attempt| !small.served.is_empty());
        match (&of_main, &of_small) {
            // The server was only slow.
            (Some(main), _) if main.is_let_in() => break,
            (Some(main), Some(_)) => {
                let is_silent = main.end == End::HandshakeTimeout && !is_answered;
                if !(is_silent && has_name && of_nameless.is_none()) {
                    break;
                }
            }
            _ => {}
        }
        tokio::select! {
            attempt = &mut main, if of_main.is_none() => of_main = Some(attempt),
            attempt = &mut small, if of_small.is_none() => {
                if !attempt.served.is_empty() {
                    last_chance.as_mut().reset(Instant::now() + SECOND_CHANCE + 3 * beside.elapsed());
                }
                of_small = Some(attempt);
            }
            attempt = &mut nameless, if has_name && of_nameless.is_none() => of_nameless = Some(attempt),
            () = &mut last_chance, if of_main.is_none() => {
                of_main = Some(Attempt::new(Variation::AsAsked, End::HandshakeTimeout));
            }
        }
    }
    of_main.into_iter().chain(of_small).chain(of_nameless).collect()
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
fn further(plan: &Plan, had: &[Attempt]) -> Vec<Variation> {
    let Some(main) = had.first() else { return Vec::new() };
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
            variations.push(Variation::SmallHello);
            if !plan.offer.is_restricted() && main.end != End::HandshakeTimeout {
                variations.push(Variation::OtherGroup);
            }
            if has_name {
                variations.push(Variation::WithoutServerName);
            }
        }
        _ => {}
    }
    variations.retain(|variation| had.iter().all(|attempt| attempt.variation != *variation));
    variations
}
