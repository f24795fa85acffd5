//! A handshake recorded from end to end, for `explain` and `doctor`: the verdict on the server's certificate is noted
//! instead of enforced, so that the walk goes on, and after Finished it is read on until the server has said what it
//! thinks of the client's certificate.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use explain::Finding;
use explain::capture::Transcript;
use pki::name::ServerName;
use rustls::client::ClientSessionStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use super::handshake::{TlsOptions, handshake_with};
use super::verdict::TicketBell;
use super::{DialError, Route, connect};
use crate::danger;
use crate::record::Recorder;

/// How long after a ticket it is read on: Node.js sends its tickets first, judges the client's certificate then, and
/// closes without a word.
const AFTER_TICKET: Duration = Duration::from_millis(250);

/// What was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// The conversation, with its secrets.
    pub transcript: Transcript,
    /// The address that answered, where it is TCP.
    pub address: Option<SocketAddr>,
    /// What is wrong with the server's certificate, where anything is.
    pub verdict: Option<Finding>,
    /// Why the handshake failed, where it did.
    pub failure: Option<Finding>,
}

/// Connects to `host:port` and records. The connection and the handshake have `limit`; after Finished the server's
/// ticket, data, alert or close is waited for at most `patience`. `request`, where there is one, is sent after the
/// handshake: some servers judge only then.
///
/// # Errors
/// [`DialError`] where there is no connection to record; all else is part of the [`Recorded`].
pub async fn record(
    host: &ServerName,
    port: u16,
    route: &Route,
    mut options: TlsOptions,
    request: Option<&[u8]>,
    limit: Duration,
    patience: Duration,
) -> Result<Recorded, DialError> {
    let deadline = Instant::now() + limit;
    let recorder = Recorder::start("client", &format!("{host}:{port}"), options.key_log.take());
    let transport = connect(host, port, route, Some(deadline)).await?;
    let address = transport.peer_address();
    if let Some(own) = transport.own_address() {
        recorder.name_client(&own.to_string());
    }
    options.expectation = danger::accept_any_server(options.expectation);
    options.key_log = Some(Arc::new(recorder.clone()));
    options.recorder = Some(recorder.clone());
    let tickets = TicketBell::new();
    let store = Arc::clone(&tickets) as Arc<dyn ClientSessionStore>;
    let handshake = handshake_with(transport, host, options, Some(store));
    let (served, failure) = match timeout_at(deadline, handshake).await {
        Err(_) => {
            recorder.remark(format!("the handshake was given up after {} s", limit.as_secs_f32()));
            (None, None)
        }
        Ok(Err(failure)) => (failure.served.clone(), Some(failure.finding)),
        Ok(Ok(mut stream)) => {
            let memory = Arc::clone(stream.memory());
            let reading = async {
                if let Some(request) = request {
                    stream.write_all(request).await?;
                    stream.flush().await?;
                }
                let mut buffer = [0; 4096];
                if request.is_some() {
                    // The answer, to its end; the recorder takes no more than it should.
                    while stream.read(&mut buffer).await? > 0 {}
                    return Ok::<_, io::Error>(());
                }
                tokio::select! {
                    biased;
                    read = stream.read(&mut buffer) => read.map(|_| ()),
                    () = tickets.rung() => match timeout(AFTER_TICKET, stream.read(&mut buffer)).await {
                        Ok(read) => read.map(|_| ()),
                        Err(_) => Ok(()),
                    },
                }
            };
            // Errors are in the recording: as an alert, a reset, a close.
            let _ = timeout_at(Instant::now() + patience, reading).await;
            let _ = timeout_at(Instant::now() + patience, stream.shutdown()).await;
            (memory.served().cloned(), None)
        }
    };
    let verdict = served.as_ref().and_then(|served| served.verdict.finding());
    match (&served, &verdict) {
        (None, _) => {}
        (Some(_), None) => recorder.remark("the server's certificate is verified"),
        (Some(_), Some(finding)) => {
            recorder.remark(format!(
                "the server's certificate is NOT verified: {finding}; the walk goes on all the same"
            ));
        }
    }
    Ok(Recorded { transcript: recorder.transcript(), address, verdict, failure })
}
