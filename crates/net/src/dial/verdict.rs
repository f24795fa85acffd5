//! What a server says of our certificate after our Finished. Under TLS 1.3 a client is done before the server has judged
//! it (RFC 8446 section 4.4.2.4): the refusal comes later as an alert, and consent shows only in what a server sends to
//! those it accepts, a ticket or data. Many servers send the one or the other at once; some stay silent, and then the
//! protocol has no way to know.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use explain::{Fault, Finding};
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::TlsStream;
use super::handshake::Memory;
use crate::refusal;

/// What is read with the verdict: the largest record's content.
const READ: usize = 16 * 1024;

/// What a server said.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It sent a ticket or data, or never asked for a certificate, or finished under TLS 1.2, where it judges before it
    /// finishes.
    Accepted,
    /// Nothing yet.
    Silent,
    /// It refused us.
    Refused {
        /// What it means.
        finding: Finding,
        /// The alert, where one came.
        alert: Option<u8>,
    },
}

/// Waits at most `patience` for the verdict. Data that came with it is in `data`, at most one record.
pub(crate) async fn wait(
    stream: &mut TlsStream,
    tickets: &TicketBell,
    patience: Duration,
    data: &mut Vec<u8>,
) -> Verdict {
    if stream.certificate_request().is_none() || !stream.negotiated().is_tls13() {
        return Verdict::Accepted;
    }
    let memory = Arc::clone(stream.memory());
    let mut buffer = vec![0; READ];
    let answer = async {
        tokio::select! {
            // Polled first: a ticket that is in the same read as an alert must not hide it.
            biased;
            read = stream.read(&mut buffer) => Some(read),
            () = tickets.0.notified() => None,
        }
    };
    match timeout(patience, answer).await {
        Err(_) => Verdict::Silent,
        Ok(None) => Verdict::Accepted,
        Ok(Some(Ok(0))) => Verdict::Refused { finding: memory.explain_alert(0, true), alert: None },
        Ok(Some(Ok(read))) => {
            data.extend_from_slice(&buffer[..read]);
            Verdict::Accepted
        }
        Ok(Some(Err(error))) => {
            let (finding, alert) = refused_later(&error, &memory);
            Verdict::Refused { finding, alert }
        }
    }
}

/// What an error of the stream after the handshake says, and the alert in it.
pub(crate) fn refused_later(error: &io::Error, memory: &Memory) -> (Finding, Option<u8>) {
    let alert = refusal::tls_error(error).and_then(refusal::received_alert);
    let finding = match alert {
        Some(alert) => memory.explain_alert(alert, true),
        None => refusal::of_io(error, Fault::Server, "after the client's Finished"),
    };
    (finding, alert)
}

/// Keeps no ticket and rings when one comes: a server sends it after it has accepted the client's Finished.
#[derive(Default)]
pub(crate) struct TicketBell(pub(crate) Notify);

impl TicketBell {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Waits until it rings.
    pub(crate) async fn rung(&self) {
        self.0.notified().await;
    }
}

impl ClientSessionStore for TicketBell {
    fn set_kx_hint(&self, _: rustls::pki_types::ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &rustls::pki_types::ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: rustls::pki_types::ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &rustls::pki_types::ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &rustls::pki_types::ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: rustls::pki_types::ServerName<'static>, _: Tls13ClientSessionValue) {
        self.0.notify_one();
    }

    fn take_tls13_ticket(
        &self,
        _: &rustls::pki_types::ServerName<'static>,
    ) -> Option<Tls13ClientSessionValue> {
        None
    }
}

impl fmt::Debug for TicketBell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketBell")
    }
}
