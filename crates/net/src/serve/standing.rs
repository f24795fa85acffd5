//! Whether the client of a live connection may still be there: judged at the handshake, again whenever the snapshot
//! has changed, and when its own path runs out.

use std::sync::{Arc, Mutex, PoisonError};

use explain::Finding;
use explain::FindingCode;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use super::route::{self, Route};
use crate::refusal;
use crate::snapshot::{Admission, Client, Current, Handle};

/// The standing of one connection's client.
pub(crate) struct Standing {
    handle: Handle,
    /// The route where a snapshot has none.
    fallback: Option<Arc<Route>>,
    /// Who it was at the handshake: what it presented does not change during a connection.
    first: Option<Arc<Client>>,
    first_generation: u64,
    /// Whether it is a load balancer's, whose clients come and go on it.
    is_front: bool,
    judged: Mutex<Judged>,
}

/// The last judgement, and the snapshot it was made under. The settings of the connection stay those taken at
/// ClientHello; who may go on is decided by the snapshot in force.
struct Judged {
    under: Arc<Current>,
    outcome: Result<Option<Arc<Client>>, Box<Finding>>,
    /// How much was known from responders then.
    online: u64,
    /// The last admission, good for its route under this snapshot.
    admitted: Option<(Arc<Route>, Admission)>,
}

/// The judgement of one request.
pub(crate) enum Seat {
    /// It may be answered.
    Admitted { admission: Admission, client: Option<Arc<Client>>, route: Arc<Route> },
    /// It is refused because of who asks.
    Refused(RefusedRequest),
    /// No route takes it, or its path means more than one thing.
    Nowhere { client: Option<Arc<Client>>, ambiguous: bool },
}

/// A request that is refused, and whether the connection goes with it.
pub(crate) struct RefusedRequest {
    pub(crate) finding: Finding,
    pub(crate) client: Option<Arc<Client>>,
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) closes: bool,
    /// Without an answer.
    pub(crate) aborts: bool,
}

/// What responders have said of the client, where they are asked.
fn asked_online(
    under: &Current,
    client: Option<Arc<Client>>,
    now: Timestamp,
) -> Result<Option<Arc<Client>>, Box<Finding>> {
    if let (Some(online), Some(client)) = (under.online(), &client) {
        online.verdict(client, now).map_err(|unvouched| unvouched.finding)?;
    }
    Ok(client)
}

impl Standing {
    pub(crate) fn new(
        handle: Handle,
        fallback: Option<Arc<Route>>,
        under: Arc<Current>,
        client: Option<Arc<Client>>,
        is_front: bool,
        now: Timestamp,
    ) -> Self {
        let first_generation = under.generation();
        let online = under.online().map_or(0, |online| online.version());
        let outcome = asked_online(&under, client.clone(), now);
        let judged = Mutex::new(Judged { under, outcome, online, admitted: None });
        Standing { handle, fallback, first: client, first_generation, is_front, judged }
    }

    /// Who the client was at the handshake.
    pub(crate) fn first(&self) -> Option<&Arc<Client>> {
        self.first.as_ref()
    }

    /// Whether the snapshot of the handshake passes octets on without looking into them.
    pub(crate) fn is_tcp(&self) -> bool {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner).under.is_tcp()
    }

    /// Whether the last judgement still holds as far as time goes.
    pub(crate) fn holds_at(&self, now: Timestamp) -> bool {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.under.online().is_some_and(|online| online.version() != judged.online) {
            return false;
        }
        match &judged.outcome {
            Ok(Some(client)) => client.holds_at(now),
            Ok(None) | Err(_) => true,
        }
    }

    /// Has a responder asked again where what it said of this client ends soon.
    pub(crate) fn keep_asking(&self, now: Timestamp) {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(online), Some(client)) = (judged.under.online(), &self.first) {
            online.refresh(judged.under.judge(), client, now);
        }
    }

    /// Judges the request for this host and path.
    pub(crate) fn judge(&self, host: &str, path: &str, method: Option<&str>, now: Timestamp) -> Seat {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut judged, now);
        let client = match &judged.outcome {
            Ok(client) => client.clone(),
            Err(finding) => {
                let finding = (**finding).clone();
                return Seat::Refused(RefusedRequest {
                    finding,
                    client: None,
                    route: None,
                    closes: true,
                    aborts: false,
                });
            }
        };
        let seat = self.seat(&judged.under, client, host, path, method, judged.admitted.as_ref());
        if let Seat::Admitted { admission, route, .. } = &seat
            && !judged.admitted.as_ref().is_some_and(|(of_route, _)| Arc::ptr_eq(of_route, route))
            && !judged.under.looks_at_methods(route)
        {
            judged.admitted = Some((Arc::clone(route), admission.clone()));
        }
        seat
    }

    /// Judges the request of a client that a trusted front tells of by its chain; of one without a certificate, where
    /// there is none. The front's own certificate only says that the connection may be there.
    pub(crate) fn judge_behind(
        &self,
        chain: Option<&[CertificateDer<'_>]>,
        host: &str,
        path: &str,
        method: Option<&str>,
        now: Timestamp,
    ) -> Seat {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut judged, now);
        let refused = |finding, closes| {
            Seat::Refused(RefusedRequest { finding, client: None, route: None, closes, aborts: false })
        };
        if let Err(finding) = &judged.outcome {
            return refused((**finding).clone(), true);
        }
        let client = match chain {
            None | Some([]) => None,
            Some([end_entity, intermediates @ ..]) => {
                match judged.under.judge().judge(end_entity, intermediates, now) {
                    Ok(client) => Some(client),
                    Err(no_client) => return refused(refusal::of_client(&no_client), false),
                }
            }
        };
        if let (Some(online), Some(client)) = (judged.under.online(), &client) {
            online.refresh(judged.under.judge(), client, now);
        }
        match asked_online(&judged.under, client, now) {
            Ok(client) => self.seat(&judged.under, client, host, path, method, None),
            Err(finding) => refused(*finding, false),
        }
    }

    fn seat(
        &self,
        under: &Current,
        client: Option<Arc<Client>>,
        host: &str,
        path: &str,
        method: Option<&str>,
        admitted: Option<&(Arc<Route>, Admission)>,
    ) -> Seat {
        let fallback = self.fallback.as_ref().filter(|_| under.has_no_routes());
        let route = match under.only_route().or(fallback) {
            Some(route) => route,
            None if under.looks_at_paths() && route::is_ambiguous(path) => {
                return Seat::Nowhere { client, ambiguous: true };
            }
            None => match under.route(host, path) {
                Some(route) => route,
                None => return Seat::Nowhere { client, ambiguous: false },
            },
        };
        if let Some((of_route, admission)) = admitted
            && Arc::ptr_eq(of_route, route)
        {
            return Seat::Admitted { admission: admission.clone(), client, route: Arc::clone(route) };
        }
        let route = Arc::clone(route);
        match under.admit(&route, client.as_ref().map(|client| &*client.peer), method) {
            Ok(admission) => Seat::Admitted { admission, client, route },
            // The next request may be another one's business, but not one without the certificate that is required by
            // now: asking for it takes a new handshake.
            Err(refused) => Seat::Refused(RefusedRequest {
                closes: refused.aborts || refused.finding.code == FindingCode::NoClientCertificate,
                aborts: refused.aborts,
                finding: refused.finding,
                client,
                route: Some(route),
            }),
        }
    }

    /// Makes the last judgement again where something has changed since.
    fn refresh(&self, judged: &mut Judged, now: Timestamp) {
        let changed = judged.under.generation() != self.handle.generation();
        let ended = matches!(&judged.outcome, Ok(Some(client)) if !client.holds_at(now));
        let online = judged.under.online().map_or(0, |online| online.version());
        if !changed && !ended && online == judged.online {
            return;
        }
        if changed {
            judged.under = self.handle.current();
            judged.admitted = None;
        }
        // Before it is asked: what comes in meanwhile makes the judgement void again.
        judged.online = judged.under.online().map_or(0, |online| online.version());
        judged.outcome = match &self.first {
            None => Ok(None),
            Some(client) => judged.under.judge_again(client.presented(), now).map(Some).map_err(Box::new),
        };
        if let Ok(client) = &judged.outcome {
            judged.outcome = asked_online(&judged.under, client.clone(), now);
        }
    }

    /// Whether this client has no more business here: its path does not hold any more, or a snapshot newer than the
    /// handshake's admits it nowhere. One that the handshake's own policy denies is told so at each request, and is
    /// not lost.
    pub(crate) fn is_lost(&self, now: Timestamp) -> bool {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut judged, now);
        match &judged.outcome {
            Err(_) => true,
            Ok(_) if self.is_front => false,
            Ok(client) => {
                judged.under.generation() != self.first_generation
                    && !judged
                        .under
                        .admits_somewhere(client.as_ref().map(|client| &*client.peer), self.fallback.as_ref())
            }
        }
    }
}
