//! Looking at a server: the handshake is done with whatever it serves, the verdict is noted instead of enforced, and
//! what it says after Finished is waited for. For `inspect host:port`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use explain::Finding;
use pki::name::ServerName;
use rustls::client::ClientSessionStore;
use tokio::time::{Instant, timeout_at};

use super::handshake::{self, CertificateRequest, HandshakeFailure, TlsOptions};
use super::verdict::{self, TicketBell, Verdict};
use super::{DialError, Route, connect};
use crate::danger;
use crate::tls::Negotiated;
use crate::tls::server_verifier::Served;

/// What was seen of a server.
#[derive(Debug)]
pub struct Probe {
    /// The address that answered, where it is TCP.
    pub address: Option<SocketAddr>,
    /// The certificates it sent, and the verdict on them: noted, not enforced.
    pub served: Option<Served>,
    /// What was agreed on, where the handshake came to its end.
    pub negotiated: Option<Negotiated>,
    /// What it asked for, where it asked for a client certificate.
    pub certificate_request: Option<CertificateRequest>,
    /// Whether one was sent.
    pub sent_certificate: bool,
    /// How it ended.
    pub outcome: Outcome,
}

/// How the look at a server ended.
#[derive(Debug)]
pub enum Outcome {
    /// The server let us in: it sent a ticket or data after our Finished, or never asked for a certificate, or
    /// finished under TLS 1.2, where it judges before it finishes.
    Accepted,
    /// The handshake is done on our side, and the server has not said what it thinks of our certificate, or of none.
    Silent,
    /// The server refused us after our Finished.
    RefusedLater {
        /// What it means.
        finding: Finding,
        /// The alert, where one came.
        alert: Option<u8>,
    },
    /// The handshake failed.
    Failed(HandshakeFailure),
}

/// Looks at `host:port`. The connection and the handshake have `limit`; the server's verdict on our certificate is
/// waited for at most `patience`.
///
/// # Errors
/// [`DialError`] where there is no connection to look at; all else is part of the [`Probe`].
pub async fn probe(
    host: &ServerName,
    port: u16,
    route: &Route,
    mut options: TlsOptions,
    limit: Duration,
    patience: Duration,
) -> Result<Probe, DialError> {
    let deadline = Instant::now() + limit;
    let transport = connect(host, port, route, Some(deadline)).await?;
    let address = transport.peer_address();
    options.expectation = danger::accept_any_server(options.expectation);
    let tickets = TicketBell::new();
    let store = Arc::clone(&tickets) as Arc<dyn ClientSessionStore>;
    let handshake = handshake::handshake_with(transport, host, options, Some(store));
    let mut stream = match timeout_at(deadline, handshake).await {
        Err(_) => return Err(DialError::Timeout { target: format!("{host}:{port}"), after: limit }),
        Ok(Ok(stream)) => stream,
        Ok(Err(failure)) => {
            return Ok(Probe {
                address,
                served: failure.served.clone(),
                negotiated: None,
                certificate_request: failure.certificate_request.clone(),
                sent_certificate: failure.sent_certificate,
                outcome: Outcome::Failed(failure),
            });
        }
    };
    let memory = Arc::clone(stream.memory());
    let outcome = match verdict::wait(&mut stream, &tickets, patience, &mut Vec::new()).await {
        Verdict::Silent => Outcome::Silent,
        Verdict::Accepted => Outcome::Accepted,
        Verdict::Refused { finding, alert } => Outcome::RefusedLater { finding, alert },
    };
    Ok(Probe {
        address,
        served: memory.served().cloned(),
        negotiated: Some(stream.negotiated().clone()),
        certificate_request: memory.request().cloned(),
        sent_certificate: memory.sent_certificate(),
        outcome,
    })
}
