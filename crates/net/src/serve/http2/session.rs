//! One connection: its frames are read (`reading`), its streams have their turns, and what they send leaves together.

mod reading;

use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop;

use super::Ended;
use super::frame::{
    ErrorCode, Fault, LARGEST, fault, flag, setting, write_go_away, write_ping, write_settings,
    write_window_update,
};
use super::hpack::Decoder;
use super::ready::Ready;
use super::stream::{Stream, Turn};
use super::wire::Wire;
use crate::serve::connection::Connection;
use crate::serve::facts::Told;
use crate::serve::watch::{clock, millis};
use crate::tls::socket::TlsSocket;

/// The windows that nghttpx and Envoy give; 64 KiB hold an upload up at each round trip.
const STREAM_WINDOW: i64 = 256 * 1024;
const CONNECTION_WINDOW: i64 = 1024 * 1024;
/// The window that a connection begins with (RFC 9113 section 6.9.2).
const FIRST_WINDOW: i64 = 65_535;
/// Octets that may wait for a client that does not read, before nothing more is read of it either.
const UNREAD: usize = 256 * 1024;
/// Streams of which the client has us begin something in vain: it resets them before they are answered (CVE-2023-44487),
/// or makes us reset them (CVE-2025-8671). So many at once, and then so many each second and one for each that is answered:
/// a proxy behind which many clients give up now and then stays connected.
const PATIENCE: u64 = 200;
const PATIENCE_A_SECOND: u64 = 20;
/// Places for streams that an idle connection keeps.
const KEPT: usize = 16;
/// Streams that we have reset, of which the client may not have heard yet.
const REMEMBERED: usize = 256;
/// The PING that follows the first GOAWAY.
const FAREWELL: [u8; 8] = *b"farewell";
/// The PING that asks whether the client is still there.
const ARE_YOU_THERE: [u8; 8] = *b"thereyet";

/// How far a graceful end has come (section 6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    On,
    /// The client was told to begin nothing more; what it began before it heard that is answered.
    Announced {
        until: u64,
    },
    /// It was told which stream is the last.
    Last(u32),
}

/// A block of fields that goes on in CONTINUATION.
struct Block {
    stream: u32,
    ends_stream: bool,
    octets: Vec<u8>,
    frames: u32,
}

pub(super) struct Session {
    connection: Arc<Connection>,
    pub(super) wire: Wire,
    has_begun: bool,
    preface_read: bool,
    settings_read: bool,
    decoder: Decoder,
    block: Option<Block>,
    /// The numbers of the streams in the places, 0 where there is none.
    numbers: Vec<u32>,
    streams: Vec<Option<Box<Stream>>>,
    open: usize,
    ready: Ready,
    taken: Vec<usize>,
    last_stream: u32,
    /// What the client may send of bodies on the whole connection, and what it was not told of yet.
    receives: i64,
    freed: i64,
    reset: VecDeque<u32>,
    told: Told,
    going: Going,
    /// The client has said that it begins nothing more.
    client_goes: bool,
    /// What ended the connection.
    is_over: bool,
    patience: u64,
    patience_since: u64,
    /// When the client was last heard, and when it was asked whether it is there, in milliseconds of this process.
    heard: u64,
    asked: Option<u64>,
    idle_since: u64,
    /// The moment that the watch's time-out is set to.
    armed: u64,
}

impl Session {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        let now = clock();
        Session {
            connection,
            wire: Wire::new(),
            has_begun: false,
            preface_read: false,
            settings_read: false,
            decoder: Decoder::new(),
            block: None,
            numbers: Vec::new(),
            streams: Vec::new(),
            open: 0,
            ready: Ready::default(),
            taken: Vec::new(),
            last_stream: 0,
            receives: FIRST_WINDOW,
            freed: 0,
            reset: VecDeque::new(),
            told: Told::default(),
            going: Going::On,
            client_goes: false,
            is_over: false,
            patience: PATIENCE,
            patience_since: now,
            heard: now,
            asked: None,
            idle_since: now,
            armed: u64::MAX,
        }
    }

    /// Moves what can be moved.
    pub(super) fn poll(&mut self, socket: &mut TlsSocket, cx: &mut Context<'_>) -> Poll<Ended> {
        self.ready.set_task(cx.waker());
        if !self.has_begun {
            self.has_begun = true;
            self.begin();
        }
        if self.connection.watch().has_expired() {
            if self.is_over {
                // It does not read what is said to it last.
                return Poll::Ready(Ended::Broken);
            }
            self.look_at_the_time();
        }
        let mut has_read = false;
        loop {
            let mut moved = false;
            if !self.is_over && socket.backlog() <= UNREAD && self.wire.out.len() <= UNREAD {
                match self.poll_read(socket, cx) {
                    Poll::Ready(Ok(true)) => moved = true,
                    Poll::Ready(Ok(false)) => return Poll::Ready(Ended::Left),
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(address = %self.connection.address, %error, "a connection broke");
                        return Poll::Ready(Ended::Broken);
                    }
                    Poll::Pending => {}
                }
                has_read |= moved;
            }
            self.go();
            if !self.is_over && socket.backlog() == 0 {
                moved |= self.poll_streams();
            }
            if !self.wire.out.is_empty() && socket.backlog() == 0 {
                let sent = socket.send(cx, &[&self.wire.out]);
                self.wire.clear();
                if let Err(error) = sent {
                    tracing::debug!(address = %self.connection.address, %error, "a connection broke");
                    return Poll::Ready(Ended::Broken);
                }
                // Whoever waited because there was enough may go on.
                moved |= !self.is_over;
            }
            if socket.backlog() > 0 {
                match socket.poll_flush(cx) {
                    Poll::Ready(Ok(())) => moved = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(Ended::Broken),
                    Poll::Pending => {}
                }
            }
            if self.is_over && self.wire.out.is_empty() && socket.backlog() == 0 {
                return Poll::Ready(Ended::Closed);
            }
            if !moved || !coop::has_budget_remaining() {
                if moved {
                    // Others have their turn.
                    cx.waker().wake_by_ref();
                }
                if has_read {
                    self.heard = clock();
                    self.asked = None;
                }
                return Poll::Pending;
            }
        }
    }

    /// Says what we are (section 3.4).
    fn begin(&mut self) {
        let limits = &self.connection.server.limits;
        let settings = [
            (setting::MAX_CONCURRENT_STREAMS, limits.streams),
            (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW as u32),
            (setting::MAX_HEADER_LIST_SIZE, limits.header_bytes),
        ];
        write_settings(&mut self.wire.out, &settings);
        write_window_update(&mut self.wire.out, 0, (CONNECTION_WINDOW - FIRST_WINDOW) as u32);
        self.receives = CONNECTION_WINDOW;
        let limit = limits.header_timeout;
        self.arm(clock() + millis(limit));
    }

    /// Sets the time-out where it is later than this.
    fn arm(&mut self, moment: u64) {
        if moment < self.armed {
            self.armed = moment;
            self.connection.watch().arm(Duration::from_millis(moment.saturating_sub(clock())));
        }
    }

    /// Ends what stood still for too long, asks a client that is silent whether it is there, and sets the next time-out.
    fn look_at_the_time(&mut self) {
        let now = clock();
        let limit = millis(self.connection.server.limits.header_timeout);
        for index in 0..self.streams.len() {
            // Fewer places are left where all were late.
            let Some(place) = self.streams.get_mut(index) else { break };
            let is_late = |stream: &mut Box<Stream>| stream.deadline != 0 && stream.deadline <= now;
            let Some(mut stream) = place.take_if(is_late) else { continue };
            let turn = stream.expire();
            stream.deadline = 0;
            self.settle(index, stream, turn);
        }
        let deadlines = self.streams.iter().flatten().map(|stream| stream.deadline);
        let mut next = deadlines.filter(|deadline| *deadline != 0).min().unwrap_or(u64::MAX);
        if let Going::Announced { until } = self.going {
            if until <= now {
                self.say_which_is_last();
            } else {
                next = next.min(until);
            }
        }
        let silent_since = if self.open == 0 { self.idle_since } else { self.heard };
        let silent_until = self.asked.unwrap_or(silent_since) + limit;
        if silent_until > now {
            next = next.min(silent_until);
        } else if self.open == 0 || self.asked.is_some() || self.block.is_some() {
            self.end(ErrorCode::NoError);
        } else {
            self.asked = Some(now);
            write_ping(&mut self.wire.out, flag::NONE, ARE_YOU_THERE);
            next = next.min(now + limit);
        }
        self.armed = u64::MAX;
        if self.is_over {
            next = now + millis(self.connection.server.limits.handshake_timeout);
        }
        if next == u64::MAX {
            self.connection.watch().disarm();
        } else {
            self.arm(next);
        }
    }

    /// Says that the end is near, where it is, and ends where there is nothing left to do.
    fn go(&mut self) {
        if self.is_over {
            return;
        }
        if self.going == Going::On && self.connection.watch().is_draining() {
            write_go_away(&mut self.wire.out, LARGEST, ErrorCode::NoError);
            write_ping(&mut self.wire.out, flag::NONE, FAREWELL);
            // Whoever does not answer the PING is given as long as one whose next HTTP/1.1 request may be under way.
            let limits = &self.connection.server.limits;
            let until = clock() + millis(limits.last_call.min(limits.drain_timeout / 2));
            self.going = Going::Announced { until };
            self.arm(until);
        }
        let is_last = matches!(self.going, Going::Last(_)) || self.client_goes;
        if is_last && self.open == 0 && self.block.is_none() {
            self.is_over = true;
        }
    }

    fn say_which_is_last(&mut self) {
        if !matches!(self.going, Going::Last(_)) {
            self.going = Going::Last(self.last_stream);
            write_go_away(&mut self.wire.out, self.last_stream, ErrorCode::NoError);
        }
    }

    /// Ends the connection and every stream on it.
    fn end(&mut self, code: ErrorCode) {
        if !self.is_over {
            write_go_away(&mut self.wire.out, self.last_stream, code);
        }
        self.is_over = true;
        self.streams.clear();
        self.numbers.clear();
        self.open = 0;
        self.arm(clock() + millis(self.connection.server.limits.handshake_timeout));
    }

    /// Whether a stream that is not there was ever.
    fn not_idle(&self, number: u32) -> Result<(), Fault> {
        if number > self.last_stream || number.is_multiple_of(2) {
            return Err(fault(ErrorCode::ProtocolError, "a frame is on a stream that was never opened"));
        }
        Ok(())
    }

    fn place_of(&self, number: u32) -> Option<usize> {
        self.numbers.iter().position(|of| *of == number)
    }

    fn place(&mut self, stream: Box<Stream>) {
        let index = self.numbers.iter().position(|number| *number == 0).unwrap_or(self.numbers.len());
        if index == self.numbers.len() {
            self.numbers.push(0);
            self.streams.push(None);
        }
        self.numbers[index] = stream.id;
        self.streams[index] = Some(stream);
        self.open += 1;
        self.ready.note(index);
    }

    /// Takes a stream away; what nobody took of its body the connection may send again.
    fn remove(&mut self, index: usize) -> Option<Box<Stream>> {
        let mut stream = self.streams[index].take();
        self.leave(index, stream.as_deref_mut());
        stream
    }

    fn leave(&mut self, index: usize, stream: Option<&mut Stream>) {
        self.numbers[index] = 0;
        self.open -= 1;
        if let Some(stream) = stream {
            let freed = stream.waiting() + stream.take_freed();
            self.free(freed as i64);
        }
        if self.open == 0 {
            self.idle_since = clock();
            self.arm(self.idle_since + millis(self.connection.server.limits.header_timeout));
            if self.numbers.len() > KEPT {
                self.numbers = Vec::new();
                self.streams = Vec::new();
                self.ready.forget();
            }
        }
    }

    /// Lets the client send so much more on the connection, and tells it when that is worth a frame.
    fn free(&mut self, octets: i64) {
        self.freed += octets;
        if self.freed >= CONNECTION_WINDOW / 2 {
            let more = take(&mut self.freed);
            self.receives += more;
            write_window_update(&mut self.wire.out, 0, u32::try_from(more).unwrap_or(0));
        }
    }

    /// Resets a stream for what its client did, which it may not do without end.
    fn reset_for(&mut self, number: u32, code: ErrorCode) -> Result<(), Fault> {
        self.reset_ours(number, code);
        self.lose_patience()
    }

    /// Resets a stream.
    fn reset_ours(&mut self, number: u32, code: ErrorCode) {
        if let Some(index) = self.place_of(number) {
            drop(self.remove(index));
        }
        self.wire.reset(number, code);
        if self.reset.len() == REMEMBERED {
            self.reset.pop_front();
        }
        self.reset.push_back(number);
    }

    fn lose_patience(&mut self) -> Result<(), Fault> {
        let now = clock();
        let earned = (now - self.patience_since) * PATIENCE_A_SECOND / 1000;
        if earned > 0 {
            self.patience = (self.patience + earned).min(PATIENCE);
            self.patience_since = now;
        }
        self.patience = self
            .patience
            .checked_sub(1)
            .ok_or(fault(ErrorCode::EnhanceYourCalm, "too many streams are begun in vain"))?;
        Ok(())
    }

    /// Has every stream polled that waited for a window.
    fn note_blocked(&mut self) {
        for (index, stream) in self.streams.iter().enumerate() {
            if stream.as_ref().is_some_and(|stream| stream.is_blocked) {
                self.ready.note(index);
            }
        }
    }

    /// Gives the streams that can go on their turns. Says whether there was one.
    fn poll_streams(&mut self) -> bool {
        let mut taken = take(&mut self.taken);
        self.ready.take(&mut taken);
        let any = !taken.is_empty();
        for (position, index) in taken.iter().enumerate() {
            if self.wire.is_full() {
                // They keep their order.
                self.ready.put_back(&taken[position..]);
                break;
            }
            let Some(waker) = self.ready.waker(*index) else { continue };
            let Some(mut stream) = self.streams.get_mut(*index).and_then(Option::take) else { continue };
            let turn = stream.poll(&mut self.wire, &mut Context::from_waker(&waker));
            self.settle(*index, stream, turn);
        }
        self.taken = taken;
        any
    }

    /// What follows from a stream's turn.
    fn settle(&mut self, index: usize, mut stream: Box<Stream>, turn: Turn) {
        let freed = stream.take_freed();
        self.free(freed as i64);
        stream.freed += u32::try_from(freed).unwrap_or(0);
        match turn {
            Turn::Over | Turn::Broken(_) => {
                self.leave(index, Some(&mut stream));
                let number = stream.id;
                match turn {
                    Turn::Broken(code) => self.reset_ours(number, code),
                    // The rest of the request is not wanted (section 8.1).
                    _ if stream.is_open => self.reset_ours(number, ErrorCode::NoError),
                    _ => self.patience = (self.patience + 1).min(PATIENCE),
                }
            }
            Turn::Waits | Turn::Blocked | Turn::Again => {
                if stream.is_open && i64::from(stream.freed) >= STREAM_WINDOW / 2 {
                    let more = take(&mut stream.freed);
                    stream.receives += i64::from(more);
                    write_window_update(&mut self.wire.out, stream.id, more);
                }
                self.set_deadline(&mut stream, false);
                self.streams[index] = Some(stream);
                if turn == Turn::Again {
                    self.ready.note(index);
                }
            }
        }
    }

    /// Gives a stream on which something has moved its time anew.
    fn set_deadline(&mut self, stream: &mut Stream, is_new: bool) {
        let limit = match stream.take_limit(&self.connection) {
            Some(limit) => limit,
            None if is_new => Some(self.connection.server.limits.body_idle_timeout),
            None => return,
        };
        stream.deadline = limit.map_or(0, |limit| clock() + millis(limit));
        if stream.deadline != 0 {
            self.arm(stream.deadline);
        }
    }
}
