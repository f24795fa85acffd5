//! One connection from its first octet to the end of its handshake: snapshot, ClientHello, verification; and where
//! that fails, the alert delivered before the close.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use explain::finding::Sender;
use explain::{Fault, Finding, FindingCode};
use jiff::Timestamp;
use pki::Certificate;
use rustls::HandshakeKind;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::record::Recorder;
use crate::refusal;
use crate::serve::watch::Watch;
use crate::serve::{Limits, Recordings};
use crate::snapshot::{Client, Current, Handle, NoClient};
use crate::tls::Negotiated;
use crate::tls::slot::Slot;
use crate::tls::socket::{Failure, TlsSocket};

/// How long and how much is read from a refused client before its connection is closed. Closing a socket with unread
/// data resets the connection, and the reset can overtake the alert that says why.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// What a handshake takes beside the client's chain: ClientHello with a post-quantum share, CertificateVerify with a
/// post-quantum signature, Finished.
const HANDSHAKE_BYTES: u64 = 16 * 1024;

/// A connection whose handshake is done.
pub(crate) struct Accepted {
    pub(crate) socket: TlsSocket,
    /// The snapshot taken at ClientHello.
    pub(crate) current: Arc<Current>,
    /// Who the client is; `None` without a certificate.
    pub(crate) client: Option<Arc<Client>>,
    pub(crate) negotiated: Arc<Negotiated>,
    /// What it was shown of the server; nothing where a ticket spared it.
    pub(crate) shown: Option<Arc<CertifiedKey>>,
    pub(crate) resumed: bool,
}

/// A client that was refused, whose handshake is done so that it can be told why. It is nobody: this type leads to the
/// page of refusal and to nothing else.
pub(crate) struct RefusedPeer {
    pub(crate) socket: TlsSocket,
    pub(crate) negotiated: Arc<Negotiated>,
}

impl fmt::Debug for RefusedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefusedPeer")
    }
}

/// A connection that was refused.
#[derive(Debug)]
pub(crate) struct RefusedHandshake {
    pub(crate) finding: Finding,
    pub(crate) alert_sent: Option<u8>,
    pub(crate) alert_received: Option<u8>,
    /// The client's certificate, where one was sent and could be read.
    pub(crate) certificate: Option<Certificate>,
    /// The client, where it waits to be told why.
    pub(crate) listening: Option<Box<RefusedPeer>>,
}

impl RefusedHandshake {
    pub(crate) fn new(finding: Finding) -> Self {
        RefusedHandshake {
            finding,
            alert_sent: None,
            alert_received: None,
            certificate: None,
            listening: None,
        }
    }
}

/// Does the handshake of one connection until its watch expires. Where refused ones are kept, this one is recorded, and
/// forgotten once it is done.
pub(crate) async fn handshake(
    tcp: TcpStream,
    handle: &Handle,
    clock: fn() -> Timestamp,
    limits: &Limits,
    watch: &Watch,
    keep: Option<&Recordings>,
) -> Result<Accepted, RefusedHandshake> {
    let Some(keep) = keep else { return attempt(tcp, handle, clock, limits, watch, None).await };
    let address =
        |address: io::Result<std::net::SocketAddr>| address.map(|a| a.to_string()).unwrap_or_default();
    let recorder = Recorder::start(&address(tcp.peer_addr()), &address(tcp.local_addr()), None);
    let result = attempt(tcp, handle, clock, limits, watch, Some(&recorder)).await;
    if let Err(refused) = &result {
        recorder.remark(format!("the server refused: {}", refused.finding));
        if let Some(alert) = refused.alert_sent {
            recorder.remark(format!("the server sent the alert {}", explain::alert::cite(alert)));
        }
        let mut transcript = recorder.transcript();
        // Nothing was said after the handshake, and what could have been stays closed.
        transcript.secrets = transcript.secrets.of_handshake_alone();
        keep(transcript);
    }
    result
}

async fn attempt(
    tcp: TcpStream,
    handle: &Handle,
    clock: fn() -> Timestamp,
    limits: &Limits,
    watch: &Watch,
    recorder: Option<&Recorder>,
) -> Result<Accepted, RefusedHandshake> {
    watch.arm(limits.handshake_timeout);
    // Nothing is made for a connection before its first octets are there.
    let ready = poll_fn(|cx| match tcp.poll_read_ready(cx) {
        Poll::Pending if watch.has_expired() => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        polled => polled,
    });
    match ready.await {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Err(timed_out(limits.handshake_timeout));
        }
        Err(error) => {
            return Err(RefusedHandshake::new(refusal::of_io(
                &error,
                Fault::Client,
                "before its ClientHello",
            )));
        }
    }

    let current = handle.current();
    let now = clock();
    let config = current.config().map(|config| match recorder {
        Some(recorder) => {
            let mut recorded = (*config).clone();
            recorded.key_log = Arc::new(recorder.clone());
            Arc::new(recorded)
        }
        None => config,
    });
    let elsewhere = config.as_ref().ok().filter(|_| current.may_wait()).cloned();
    let socket = config.and_then(|config| TlsSocket::new(tcp, config, now));
    let mut socket =
        socket.map_err(|error| RefusedHandshake::new(refusal::of_tls(&error, Sender::Server)))?;
    socket.set_recorder(recorder.cloned());
    if let Some(config) = elsewhere {
        socket.step_elsewhere(config);
    }
    let budget = HANDSHAKE_BYTES + u64::from(limits.chain_bytes);
    let done = poll_fn(|cx| match socket.poll_handshake(cx, budget) {
        Poll::Pending if watch.has_expired() => {
            Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        }
        polled => polled,
    });
    let done = done.await;
    let slot = socket.take_slot();
    if let Err(failure) = done {
        return Err(refuse(socket, slot, failure, limits.handshake_timeout).await);
    }

    let offers = slot.as_ref().map(|slot| slot.offers).unwrap_or_default();
    let negotiated = Negotiated::shared(socket.tls(), offers);
    let resumed = socket.tls().handshake_kind() == Some(HandshakeKind::Resumed);
    let (verdict, shown) = slot.map_or((None, None), |slot| (slot.verdict, slot.shown));
    let client = match (socket.tls().peer_certificates(), verdict) {
        (None | Some([]), _) => None,
        (Some(_), Some(Ok(client))) if !resumed => Some(client),
        // A resumed client presents nothing: what it once presented is judged again, by the snapshot of today. So is
        // what was refused and went on to be told: nobody is let in who is not found valid here or above.
        (Some([end_entity, intermediates @ ..]), verdict) => {
            let judged = match verdict {
                Some(Err(unvouched @ NoClient::Unvouched { .. })) => Err(unvouched),
                _ => current.judge().judge(end_entity, intermediates, now),
            };
            match judged {
                Ok(client) => Some(client),
                Err(no_client) => {
                    let mut refused = RefusedHandshake {
                        certificate: certificate_of(&no_client),
                        ..RefusedHandshake::new(refusal::of_client(&no_client))
                    };
                    if current.tells_refused() {
                        socket.set_recorder(None);
                        refused.listening = Some(Box::new(RefusedPeer { socket, negotiated }));
                    } else {
                        linger(socket.into_tcp()).await;
                    }
                    return Err(refused);
                }
            }
        }
    };
    watch.disarm();
    socket.set_recorder(None);
    Ok(Accepted { socket, current, client, negotiated, shown, resumed })
}

fn certificate_of(no_client: &NoClient) -> Option<Certificate> {
    match no_client {
        NoClient::Refused { certificate, .. } | NoClient::Unvouched { certificate, .. } => {
            Some((**certificate).clone())
        }
        NoClient::Unreadable(_) => None,
    }
}

fn timed_out(limit: Duration) -> RefusedHandshake {
    RefusedHandshake::new(Finding::new(
        FindingCode::Timeout,
        Fault::Client,
        format!("the client did not finish the handshake within {} s", limit.as_secs_f32()),
    ))
}

/// Sends the alert, if there is one, and says why there is no connection.
async fn refuse(
    mut socket: TlsSocket,
    slot: Option<Box<Slot>>,
    failure: Failure,
    limit: Duration,
) -> RefusedHandshake {
    let tls = match failure {
        Failure::Io(error) if error.kind() == io::ErrorKind::TimedOut => return timed_out(limit),
        Failure::Io(error) => {
            let during =
                if socket.received() == 0 { "before its ClientHello" } else { "during the handshake" };
            return RefusedHandshake::new(refusal::of_io(&error, Fault::Client, during));
        }
        Failure::PlainHttp => return answer_plain_http(socket.into_tcp()).await,
        Failure::Tls(error) => error,
    };
    let (finding, certificate) = match slot.and_then(|slot| slot.verdict) {
        Some(Err(no_client)) => (refusal::of_client(&no_client), certificate_of(&no_client)),
        // The certificate was good, and something after it was not.
        Some(Ok(client)) => (refusal::of_tls(&tls, Sender::Server), Some(client.presented().leaf.clone())),
        None => (refusal::of_tls(&tls, Sender::Server), None),
    };
    let alert_sent = match refusal::sent_alert(&tls) {
        Some(CERTIFICATE_REQUIRED) if replace_alert(socket.outgoing_mut()) => Some(HANDSHAKE_FAILURE),
        other => other,
    };
    // Whether the client hears it is its own affair.
    let _ = timeout(LINGER, poll_fn(|cx| socket.poll_flush(cx))).await;
    linger(socket.into_tcp()).await;
    RefusedHandshake {
        finding,
        alert_sent,
        alert_received: refusal::received_alert(&tls),
        certificate,
        listening: None,
    }
}

/// Ends our side and reads what the client still sends, bounded, so that it gets to read the alert.
pub(crate) async fn linger(mut tcp: TcpStream) {
    let drain = async {
        tcp.shutdown().await?;
        let mut left = LINGER_BYTES;
        let mut buffer = [0; 1024];
        while left > 0 {
            match tcp.read(&mut buffer).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        Ok::<(), io::Error>(())
    };
    // Whether the client stayed to listen is its own affair.
    let _ = timeout(LINGER, drain).await;
}

/// Tells someone who speaks plain HTTP what to do instead, in plain HTTP.
async fn answer_plain_http(mut tcp: TcpStream) -> RefusedHandshake {
    const TEXT: &str = "plain_http: this port speaks HTTPS; write https:// in place of http://\n";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{TEXT}",
        TEXT.len()
    );
    let _ = timeout(LINGER, tcp.write_all(answer.as_bytes())).await;
    linger(tcp).await;
    RefusedHandshake::new(
        Finding::new(FindingCode::PlainHttp, Fault::Client, "the client speaks plain HTTP to a TLS port")
            .remedy("write https:// in place of http://"),
    )
}

const HANDSHAKE_FAILURE: u8 = 40;
const CERTIFICATE_REQUIRED: u8 = 116;

/// The record in which rustls refuses a TLS 1.2 client without a certificate. TLS 1.2 has no alert of that number: it
/// says handshake_failure (RFC 5246 section 7.4.6), and older clients know no other. A TLS 1.3 server's alert is
/// encrypted at this point, so these octets are always TLS 1.2.
const REQUIRED_UNDER_TLS12: [u8; 7] = [0x15, 3, 3, 0, 2, 2, CERTIFICATE_REQUIRED];

fn replace_alert(outgoing: &mut [u8]) -> bool {
    let is_wrong = outgoing.ends_with(&REQUIRED_UNDER_TLS12);
    if is_wrong && let Some(alert) = outgoing.last_mut() {
        *alert = HANDSHAKE_FAILURE;
    }
    is_wrong
}
