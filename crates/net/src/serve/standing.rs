//! Whether the client of a live connection may still be there: judged at the handshake, again whenever the snapshot
//! has changed, and when its own path runs out.

use std::sync::{Arc, Mutex, PoisonError};

use explain::{Fault, Finding, FindingCode};
use jiff::Timestamp;
use pki::identity::VerifiedPeer;

use crate::refusal;
use crate::snapshot::{Admission, Current, Handle};
use crate::tls::client_verifier::Presented;

/// The standing of one connection's client.
pub(crate) struct Standing {
    handle: Handle,
    /// What the client presented, for every later judgement; it does not change during a connection.
    presented: Option<Presented>,
    /// Who it was at the handshake, for the log.
    first_peer: Option<Arc<VerifiedPeer>>,
    first_generation: u64,
    judged: Mutex<Judged>,
}

/// The last judgement, and the snapshot it was made under. The credentials and settings of the connection stay those
/// taken at ClientHello; who may go on is decided by the snapshot in force.
#[derive(Clone)]
struct Judged {
    under: Arc<Current>,
    outcome: Result<Option<Arc<VerifiedPeer>>, Box<Finding>>,
}

/// A request that is refused, and whether the connection goes with it.
pub(crate) struct RefusedRequest {
    pub(crate) finding: Finding,
    pub(crate) peer: Option<Arc<VerifiedPeer>>,
    pub(crate) closes: bool,
}

impl Standing {
    pub(crate) fn new(
        handle: Handle,
        under: Arc<Current>,
        client: Option<(VerifiedPeer, Presented)>,
    ) -> Self {
        let (peer, presented) = client.unzip();
        let first_peer = peer.map(Arc::new);
        let first_generation = under.generation();
        let judged = Mutex::new(Judged { under, outcome: Ok(first_peer.clone()) });
        Standing { handle, presented, first_peer, first_generation, judged }
    }

    /// Who the client was at the handshake.
    pub(crate) fn first_peer(&self) -> Option<&Arc<VerifiedPeer>> {
        self.first_peer.as_ref()
    }

    /// The last judgement, made again where something has changed since.
    fn judge(&self, now: Timestamp) -> Judged {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.under.generation() != self.handle.generation() {
            let under = self.handle.current();
            let outcome = match &self.presented {
                None => Ok(None),
                Some(presented) => match under.judge(presented, now) {
                    Ok(peer) => Ok(Some(Arc::new(peer))),
                    Err(refused) => Err(Box::new(refusal::of_path(&refused, Fault::Client))),
                },
            };
            *judged = Judged { under, outcome };
        }
        if let Ok(Some(peer)) = &judged.outcome
            && peer.path().not_after() + judged.under.grace() < now
        {
            let text = format!("the client's certificate path expired at {}", peer.path().not_after());
            let finding = Finding::new(FindingCode::CertificateExpired, Fault::Client, text);
            judged.outcome = Err(Box::new(finding));
        }
        judged.clone()
    }

    /// Judges a request.
    pub(crate) fn admit(
        &self,
        now: Timestamp,
    ) -> Result<(Admission, Option<Arc<VerifiedPeer>>), RefusedRequest> {
        let Judged { under, outcome } = self.judge(now);
        match outcome {
            Ok(peer) => match under.admit(peer.as_deref()) {
                Ok(admission) => Ok((admission, peer)),
                // The next request may be another one's business, but not one without the certificate that is
                // required by now: asking for it takes a new handshake.
                Err(finding) => {
                    let closes = finding.code == FindingCode::NoClientCertificate;
                    Err(RefusedRequest { finding, peer, closes })
                }
            },
            Err(finding) => Err(RefusedRequest { finding: *finding, peer: None, closes: true }),
        }
    }

    /// Whether a snapshot newer than the handshake's refuses this client. One that the handshake's own policy denies
    /// is told so at each request, and is not lost.
    pub(crate) fn is_lost(&self, now: Timestamp) -> bool {
        self.handle.generation() != self.first_generation && self.admit(now).is_err()
    }
}
