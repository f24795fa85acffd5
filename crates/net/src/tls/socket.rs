//! The server's side of one TLS connection on a TCP socket, with rustls driven directly: one read and one write a
//! flight, and no buffer where nothing is under way. What is read and what is sealed passes through buffers that all
//! connections of a thread share; a connection keeps only the part of a record that has not arrived in whole, the
//! plaintext that was not taken yet, and the ciphertext that the socket did not take.

use std::cell::RefCell;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use explain::capture::What;
use explain::finding::Sender;
use jiff::Timestamp;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{AlertDescription, PeerMisbehaved, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::slot::{self, Slot};
use crate::record::Recorder;
use crate::serve::relay::Stride;

/// What one read takes at most.
const READ: usize = Stride::MOST;
/// What a connection may keep of records that are not whole: a record, or the 64 KiB to which rustls limits a
/// handshake message.
const KEPT: usize = 80 * 1024;
/// What an AsyncWrite takes at a time, and in all before it waits for the socket.
const WRITE: usize = 64 * 1024;
const BACKLOG: usize = 128 * 1024;
/// What sealing adds to a record of 16 KiB: header, content type, tag, and the explicit nonce of TLS 1.2.
const RECORD: usize = 16 * 1024;
const OVERHEAD: usize = 5 + 1 + 16 + 8;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; KEPT + READ]);
    static SEAL_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 2 * READ]);
    /// Room for plaintext, with whichever connection has some.
    static PLAIN_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A TLS connection from its first octet on.
pub(crate) struct TlsSocket {
    tcp: TcpStream,
    /// In a box: a future keeps room for its arguments twice, and this is a kilobyte.
    tls: Box<UnbufferedServerConnection>,
    /// Open while the handshake's records are processed.
    slot: Option<Box<Slot>>,
    /// The part of a record that has arrived.
    incoming: Vec<u8>,
    /// What was decrypted, and how much of it was taken.
    plain: Vec<u8>,
    taken: usize,
    /// What was sealed and not sent.
    outgoing: Vec<u8>,
    /// All of that is tickets, which have time until something else is sent.
    only_tickets: bool,
    /// The next wait does not send them.
    holds: bool,
    /// The client said that it sends no more.
    peer_closed: bool,
    /// The client's TCP is at its end.
    ended: bool,
    said_close: bool,
    received: u64,
    stride: Stride,
    /// Hears the handshake, where refused ones are recorded.
    recorder: Option<Recorder>,
    /// What a stand-in is made of while a step of the handshake is made on another thread; none where none has to wait.
    elsewhere: Option<Arc<ServerConfig>>,
    step: Option<JoinHandle<Step>>,
}

/// A step of a handshake that may wait for a token or a service: what went into it, and what came out.
struct Step {
    tls: Box<UnbufferedServerConnection>,
    slot: Box<Slot>,
    records: Vec<u8>,
    plain: Vec<u8>,
    outgoing: Vec<u8>,
    processed: Result<Processed, rustls::Error>,
    count: usize,
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Tls(rustls::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the first octets are an HTTP method")]
    PlainHttp,
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Tls(error) => io::Error::new(io::ErrorKind::InvalidData, error),
            Failure::Io(error) => error,
            Failure::PlainHttp => io::ErrorKind::InvalidData.into(),
        }
    }
}

impl TlsSocket {
    /// A connection whose first octet is about to be read.
    pub(crate) fn new(
        tcp: TcpStream,
        config: Arc<ServerConfig>,
        now: Timestamp,
    ) -> Result<Self, rustls::Error> {
        Ok(TlsSocket {
            tcp,
            tls: Box::new(UnbufferedServerConnection::new(config)?),
            slot: Some(Box::new(Slot::new(now))),
            incoming: Vec::new(),
            plain: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            only_tickets: false,
            holds: false,
            peer_closed: false,
            ended: false,
            said_close: false,
            received: 0,
            stride: Stride::default(),
            recorder: None,
            elsewhere: None,
            step: None,
        })
    }

    /// Has the steps of the handshake made on threads that may wait: for a key that signs elsewhere, or for what a
    /// responder says of the client's certificate.
    pub(crate) fn step_elsewhere(&mut self, config: Arc<ServerConfig>) {
        self.elsewhere = Some(config);
    }

    /// Has the handshake recorded, or nothing more from here on.
    pub(crate) fn set_recorder(&mut self, recorder: Option<Recorder>) {
        self.recorder = recorder;
    }

    pub(crate) fn tls(&self) -> &UnbufferedServerConnection {
        &self.tls
    }

    /// The slot of the handshake; there is none after it was taken.
    pub(crate) fn take_slot(&mut self) -> Option<Box<Slot>> {
        self.slot.take()
    }

    /// The octets received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// What was decrypted and not taken.
    pub(crate) fn plain(&self) -> &[u8] {
        &self.plain[self.taken..]
    }

    /// Takes this much of [`Self::plain`].
    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.plain.len() {
            self.release();
        }
    }

    /// Hands the room for plaintext on, since there is none: an idle connection holds no buffer.
    fn release(&mut self) {
        self.taken = 0;
        let mut room = std::mem::take(&mut self.plain);
        if room.capacity() <= 2 * READ {
            PLAIN_BUFFER.with_borrow_mut(|spare| {
                if spare.capacity() < room.capacity() {
                    room.clear();
                    *spare = room;
                }
            });
        }
    }

    /// Learns whether what was read last was taken at once by whom it is for.
    pub(crate) fn learn(&mut self, was_taken: bool) {
        self.stride.learn(was_taken);
    }

    /// The octets that are sealed and not sent.
    pub(crate) fn backlog(&self) -> usize {
        self.outgoing.len()
    }

    /// Whether all of that are tickets of the handshake. Sent alone they cost a system call and a segment, and the client a
    /// wake-up, so they wait for an answer that is on its way.
    pub(crate) fn has_tickets_alone(&self) -> bool {
        self.only_tickets
    }

    /// What is due to be sent stays here at the next wait, once, where it is tickets alone: the client has asked for
    /// something, so it is not these that it waits for.
    pub(crate) fn hold_tickets(&mut self) {
        self.holds = self.only_tickets;
    }

    /// Whether the client ended its side in the way of TLS, so that nothing is missing.
    pub(crate) fn ended_cleanly(&self) -> bool {
        self.peer_closed
    }

    /// Reads until the handshake is over. What is to be sent then goes out with what is sent next, or before the next
    /// wait. `budget` bounds what is read.
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>, budget: u64) -> Poll<Result<(), Failure>> {
        while self.tls.is_handshaking() {
            match self.poll_receive(cx)? {
                Poll::Ready(0) => {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
                }
                Poll::Ready(_) if self.received > budget && self.tls.is_handshaking() => {
                    return Poll::Ready(Err(Failure::Tls(rustls::Error::General(TOO_MUCH.to_owned()))));
                }
                Poll::Ready(_) => {}
                Poll::Pending => {
                    let _ = self.poll_flush(cx)?;
                    return Poll::Pending;
                }
            }
        }
        self.only_tickets = !self.outgoing.is_empty();
        Poll::Ready(Ok(()))
    }

    /// Reads until there is more plaintext, and says how much; 0 at the end. What is due to be sent is sent before
    /// it waits.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let before = self.plain.len();
        loop {
            if self.peer_closed || self.ended {
                return Poll::Ready(Ok(0));
            }
            let received = self.poll_receive(cx).map_err(|failure| {
                // Whoever reads gives up now; the alert that says why would be dropped with the connection (RFC 8446
                // section 6.2). It is a record of some thirty octets, and waits for nothing.
                let _ = self.poll_flush(cx);
                io::Error::from(failure)
            });
            match received? {
                Poll::Ready(0) => return Poll::Ready(Ok(0)),
                Poll::Ready(_) if self.plain.len() > before => {
                    return Poll::Ready(Ok(self.plain.len() - before));
                }
                Poll::Ready(_) => {}
                Poll::Pending => {
                    if !std::mem::take(&mut self.holds) && !self.outgoing.is_empty() {
                        let _ = self.poll_flush(cx)?;
                    }
                    if self.plain.is_empty() && self.plain.capacity() > 0 {
                        self.release();
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// One read, and what follows from it. After an error the alert that says why is among what is to be sent.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Failure>> {
        if self.step.is_some() {
            return self.poll_step(cx);
        }
        READ_BUFFER.with_borrow_mut(|buffer| {
            let kept = self.incoming.len();
            if kept > KEPT {
                return Poll::Ready(Err(Failure::Tls(rustls::Error::General(TOO_MUCH.to_owned()))));
            }
            buffer[..kept].copy_from_slice(&self.incoming);
            let mut read = ReadBuf::new(&mut buffer[kept..kept + self.stride.octets()]);
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut read))?;
            let count = read.filled().len();
            if count == 0 {
                self.ended = true;
                if let Some(recorder) = &self.recorder {
                    recorder.ended(Sender::Client, What::Closed);
                }
                return Poll::Ready(Ok(0));
            }
            let records = &mut buffer[..kept + count];
            if self.received == 0 && speaks_http(records) {
                return Poll::Ready(Err(Failure::PlainHttp));
            }
            self.received += count as u64;
            if let Some(recorder) = &self.recorder {
                recorder.bytes(Sender::Client, &records[kept..]);
            }
            if self.elsewhere.is_some() && self.slot.is_some() {
                self.begin_step(records.to_vec(), count)?;
                return self.poll_step(cx);
            }
            if self.plain.capacity() == 0 {
                self.plain = PLAIN_BUFFER.take();
            }
            let processed = match &mut self.slot {
                None => process(&mut self.tls, records, &mut self.plain, &mut self.outgoing),
                Some(slot) => slot::within(slot, || {
                    process(&mut self.tls, records, &mut self.plain, &mut self.outgoing)
                }),
            };
            match processed {
                Ok(Processed { used, closed }) => {
                    self.peer_closed |= closed;
                    self.incoming.clear();
                    self.incoming.extend_from_slice(&records[used..]);
                    if self.incoming.is_empty() && self.incoming.capacity() > 0 {
                        self.incoming = Vec::new();
                    }
                    Poll::Ready(Ok(count))
                }
                Err(error) => {
                    queue_alert(&mut self.tls, &mut self.outgoing, &error);
                    Poll::Ready(Err(Failure::Tls(error)))
                }
            }
        })
    }

    /// Hands the connection to a thread that may wait. A new one stands in for it, which is never spoken with.
    fn begin_step(&mut self, mut records: Vec<u8>, count: usize) -> Result<(), Failure> {
        let (Some(config), Some(mut slot)) = (&self.elsewhere, self.slot.take()) else { return Ok(()) };
        let stand_in = UnbufferedServerConnection::new(Arc::clone(config)).map_err(Failure::Tls)?;
        let mut tls = std::mem::replace(&mut self.tls, Box::new(stand_in));
        self.step = Some(tokio::task::spawn_blocking(move || {
            let (mut plain, mut outgoing) = (Vec::new(), Vec::new());
            slot.may_wait = true;
            let processed =
                slot::within(&mut slot, || process(&mut tls, &mut records, &mut plain, &mut outgoing));
            if let Err(error) = &processed {
                queue_alert(&mut tls, &mut outgoing, error);
            }
            Step { tls, slot, records, plain, outgoing, processed, count }
        }));
        Ok(())
    }

    /// Takes the connection back once the step is made.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Failure>> {
        let Some(step) = &mut self.step else { return Poll::Ready(Ok(0)) };
        let made = ready!(Pin::new(step).poll(cx));
        self.step = None;
        let Ok(made) = made else {
            let ended = "the thread that made a step of the handshake ended".to_owned();
            return Poll::Ready(Err(Failure::Tls(rustls::Error::General(ended))));
        };
        self.tls = made.tls;
        self.slot = Some(made.slot);
        self.plain.extend_from_slice(&made.plain);
        self.outgoing.extend_from_slice(&made.outgoing);
        match made.processed {
            Ok(Processed { used, closed }) => {
                self.peer_closed |= closed;
                self.incoming = made.records[used..].to_vec();
                Poll::Ready(Ok(made.count))
            }
            Err(error) => Poll::Ready(Err(Failure::Tls(error))),
        }
    }

    /// Seals these parts and sends them, together with what was to be sent before. What the socket does not take is
    /// kept: see [`Self::backlog`]; a caller that finds some waits with [`Self::poll_flush`] before it sends more.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, parts: &[&[u8]]) -> io::Result<()> {
        SEAL_BUFFER.with_borrow_mut(|buffer| {
            let mut length = self.outgoing.len();
            reserve(buffer, length);
            buffer[..length].copy_from_slice(&self.outgoing);
            for part in parts {
                length = self.seal(buffer, length, part)?;
            }
            self.write_out(cx, &buffer[..length])
        })
    }

    /// Writes `sealed`, which holds what was kept before, and keeps the rest.
    fn write_out(&mut self, cx: &mut Context<'_>, sealed: &[u8]) -> io::Result<()> {
        let sent = match Pin::new(&mut self.tcp).poll_write(cx, sealed) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        if let Some(recorder) = &self.recorder {
            recorder.bytes(Sender::Server, &sealed[..sent]);
        }
        self.outgoing.clear();
        self.only_tickets = false;
        if sent < sealed.len() {
            self.outgoing.extend_from_slice(&sealed[sent..]);
        } else if self.outgoing.capacity() > 0 {
            self.outgoing = Vec::new();
        }
        Ok(())
    }

    /// Seals `part` behind the first `length` octets of a buffer, and gives the new length.
    fn seal(&mut self, buffer: &mut Vec<u8>, mut length: usize, part: &[u8]) -> io::Result<usize> {
        if part.is_empty() {
            return Ok(length);
        }
        reserve(buffer, length + part.len() + (part.len() / RECORD + 1) * OVERHEAD);
        loop {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut self.incoming);
            let sealed = match state.map_err(tls_error)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    match traffic.encrypt(part, &mut buffer[length..]) {
                        Ok(count) => Some(count),
                        // A key update goes before it.
                        Err(EncryptError::InsufficientSize(error)) => {
                            reserve(buffer, length + error.required_size);
                            None
                        }
                        Err(error @ EncryptError::EncryptExhausted) => return Err(io::Error::other(error)),
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    length += encode(&mut data, buffer, length)?;
                    None
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    None
                }
                ConnectionState::PeerClosed => {
                    self.peer_closed = true;
                    None
                }
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        self.plain.extend_from_slice(record.map_err(tls_error)?.payload);
                    }
                    None
                }
                _ => return Err(io::ErrorKind::BrokenPipe.into()),
            };
            self.incoming.drain(..discard);
            if let Some(count) = sealed {
                return Ok(length + count);
            }
        }
    }

    /// Sends what was kept.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.only_tickets = false;
        let mut sent = 0;
        let result = loop {
            if sent == self.outgoing.len() {
                break Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.tcp).poll_write(cx, &self.outgoing[sent..]) {
                Poll::Ready(Ok(count)) => {
                    if let Some(recorder) = &self.recorder {
                        recorder.bytes(Sender::Server, &self.outgoing[sent..sent + count]);
                    }
                    sent += count;
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        if sent == self.outgoing.len() && self.outgoing.capacity() > 0 {
            self.outgoing = Vec::new();
        } else {
            self.outgoing.drain(..sent);
        }
        result
    }

    /// Says that nothing more will be sent, and ends our side of the connection, while the client may go on.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_farewell(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    /// Says that nothing more will be sent. What ends the TCP connection is dropping it, or [`Self::poll_close`].
    pub(crate) fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A client whose TCP ended without a word in TLS is not there any more, and would answer with a reset.
        let is_gone = self.ended && !self.peer_closed;
        if is_gone && self.only_tickets {
            self.outgoing.clear();
        }
        if !self.said_close && !is_gone {
            self.said_close = true;
            let notify =
                |tls: &mut UnbufferedServerConnection, incoming: &mut [u8], outgoing: &mut Vec<u8>| {
                    let UnbufferedStatus { state, .. } = tls.process_tls_records(incoming);
                    if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
                        let start = outgoing.len();
                        outgoing.resize(start + 64, 0);
                        let count = traffic.queue_close_notify(&mut outgoing[start..]).unwrap_or(0);
                        outgoing.truncate(start + count);
                    }
                };
            notify(&mut self.tls, &mut self.incoming, &mut self.outgoing);
        }
        self.poll_flush(cx)
    }

    /// The address that the client dialled.
    pub(crate) fn local_address(&self) -> io::Result<std::net::SocketAddr> {
        self.tcp.local_addr()
    }

    /// The TCP connection alone, for a farewell below TLS.
    pub(crate) fn into_tcp(self) -> TcpStream {
        self.tcp
    }

    /// What is to be sent, for a look at the alert in it.
    pub(crate) fn outgoing_mut(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }
}

const TOO_MUCH: &str = "more was sent than a handshake has";

/// Whether the first octets of a connection are an HTTP method; a TLS record starts with its type, below 0x20.
fn speaks_http(octets: &[u8]) -> bool {
    octets.get(..4).is_some_and(|first| first.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b' '))
}

struct Processed {
    used: usize,
    closed: bool,
}

/// Processes whole records; says how many octets of them are done with.
fn process(
    tls: &mut UnbufferedServerConnection,
    records: &mut [u8],
    plain: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
) -> Result<Processed, rustls::Error> {
    let mut processed = Processed { used: 0, closed: false };
    loop {
        let UnbufferedStatus { mut discard, state } = tls.process_tls_records(&mut records[processed.used..]);
        let goes_on = match state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    plain.extend_from_slice(record.payload);
                    discard += record.discard;
                }
                true
            }
            ConnectionState::EncodeTlsData(mut data) => {
                let start = outgoing.len();
                let count = encode(&mut data, outgoing, start)
                    .map_err(|_| rustls::Error::General("a record was asked for twice".to_owned()))?;
                outgoing.truncate(start + count);
                true
            }
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                true
            }
            ConnectionState::PeerClosed => {
                processed.closed = true;
                true
            }
            ConnectionState::BlockedHandshake
            | ConnectionState::WriteTraffic(_)
            | ConnectionState::Closed => false,
            // 0-RTT is off.
            _ => return Err(rustls::Error::General("early data".to_owned())),
        };
        processed.used += discard;
        if !goes_on {
            return Ok(processed);
        }
    }
}

/// Puts the alert of a failed connection among what is to be sent. Asked for only while there is something to encode:
/// then rustls does not look at the records, of which it may still remember places.
fn queue_alert(tls: &mut UnbufferedServerConnection, outgoing: &mut Vec<u8>, error: &rustls::Error) {
    let before = outgoing.len();
    while tls.wants_write() {
        let UnbufferedStatus { state, .. } = tls.process_tls_records(&mut []);
        let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { return };
        let start = outgoing.len();
        let count = encode(&mut data, outgoing, start).unwrap_or(0);
        outgoing.truncate(start + count);
    }
    // Some errors rustls 0.23 has no alert for, which RFC 5246 section 7.2.2 wants before the end. Until TLS 1.3 is agreed
    // upon, and in TLS 1.2 until the client's Finished, a server's records are in the clear and anybody's to write.
    let is_clear = tls.is_handshaking() && tls.protocol_version() != Some(ProtocolVersion::TLSv1_3);
    if outgoing.len() == before
        && is_clear
        && let Some(alert) = alert_of(error)
    {
        outgoing.extend([21, 3, 3, 0, 2, 2, alert.into()]);
    }
}

/// The alert for an error that came without one. What the client said in an alert of its own is not answered.
fn alert_of(error: &rustls::Error) -> Option<AlertDescription> {
    match error {
        rustls::Error::PeerMisbehaved(PeerMisbehaved::MessageInterleavedWithHandshakeMessage) => {
            Some(AlertDescription::UnexpectedMessage)
        }
        rustls::Error::PeerMisbehaved(_) => Some(AlertDescription::IllegalParameter),
        rustls::Error::InvalidMessage(_) => Some(AlertDescription::DecodeError),
        _ => None,
    }
}

/// Encodes a record behind the first `length` octets of a buffer, which may become longer than it needs to be.
fn encode<Data>(
    data: &mut rustls::unbuffered::EncodeTlsData<'_, Data>,
    buffer: &mut Vec<u8>,
    length: usize,
) -> io::Result<usize> {
    loop {
        match data.encode(&mut buffer[length..]) {
            Ok(count) => return Ok(count),
            Err(EncodeError::InsufficientSize(error)) => reserve(buffer, length + error.required_size),
            Err(error @ EncodeError::AlreadyEncoded) => return Err(io::Error::other(error)),
        }
    }
}

/// Makes a buffer at least this long.
fn reserve(buffer: &mut Vec<u8>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
}

fn tls_error(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl AsyncRead for TlsSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.plain().is_empty() && ready!(this.poll_fill(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        let count = this.plain().len().min(buffer.remaining());
        buffer.put_slice(&this.plain()[..count]);
        this.take(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.backlog() > BACKLOG {
            ready!(this.poll_flush(cx))?;
        }
        let count = bytes.len().min(WRITE);
        this.send(cx, &[&bytes[..count]])?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        TlsSocket::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_close(cx)
    }
}
