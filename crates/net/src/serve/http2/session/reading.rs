//! What a client sends, frame by frame: what each changes, and which of them end a stream or the connection.

use std::cell::RefCell;
use std::task::{Context, Poll};

use super::super::frame::{
    self, ErrorCode, Fault, Frame, LARGEST, PREFACE, fault, flag, kind, setting, write_ping,
};
use super::super::hpack::{Fields, HpackError};
use super::super::request::{self, Begun, Malformed};
use super::super::stream::{Stream, is_field};
use super::{Block, FAREWELL, Going, STREAM_WINDOW, Session, UNREAD};
use crate::tls::socket::TlsSocket;

/// CONTINUATION frames of one block. Clients fill them, so that a block needs a handful (CVE-2024-27316).
const MOST_CONTINUATIONS: u32 = 32;
/// The largest payload that is sent although more may be: a frame holds up the frames of others.
const WIDEST: usize = 64 * 1024;

thread_local! {
    static FIELDS: RefCell<Fields> = RefCell::default();
}

impl Session {
    /// Takes the frames that are there, then reads once. `Ok(false)` at the end of the connection.
    pub(super) fn poll_read(
        &mut self,
        socket: &mut TlsSocket,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<bool>> {
        match self.take_frames(socket) {
            Ok(()) if self.is_over => return Poll::Ready(Ok(true)),
            Ok(()) => {}
            Err(fault) => {
                tracing::debug!(address = %self.connection.address, error = %fault, "a client broke HTTP/2");
                self.end(fault.code);
                return Poll::Ready(Ok(true));
            }
        }
        socket.poll_fill(cx).map(|read| read.map(|count| count > 0))
    }

    fn take_frames(&mut self, socket: &mut TlsSocket) -> Result<(), Fault> {
        if !self.preface_read {
            let octets = socket.plain();
            let count = octets.len().min(PREFACE.len());
            if octets[..count] != PREFACE[..count] {
                return Err(fault(ErrorCode::ProtocolError, "what it says first is not HTTP/2"));
            }
            if count < PREFACE.len() {
                return Ok(());
            }
            self.preface_read = true;
            socket.take(count);
        }
        // What is taken may make something to send; a client that reads nothing is not read without end.
        while !self.is_over && self.wire.out.len() <= UNREAD {
            let Some(frame) = Frame::first(socket.plain())? else { return Ok(()) };
            let length = frame.length();
            self.take_frame(&frame)?;
            socket.take(length);
        }
        Ok(())
    }

    fn take_frame(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        if !self.settings_read && (frame.kind != kind::SETTINGS || frame.has(flag::ACK)) {
            return Err(fault(ErrorCode::ProtocolError, "the first frame is not SETTINGS"));
        }
        self.settings_read = true;
        if let Some(block) = &self.block
            && (frame.kind != kind::CONTINUATION || frame.stream != block.stream)
        {
            return Err(fault(ErrorCode::ProtocolError, "a block of fields is interrupted"));
        }
        let is_of_connection = matches!(frame.kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        let is_of_stream = matches!(
            frame.kind,
            kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM | kind::CONTINUATION
        );
        if (is_of_connection && frame.stream != 0) || (is_of_stream && frame.stream == 0) {
            return Err(fault(ErrorCode::ProtocolError, "a frame is on a stream where it may not be"));
        }
        match frame.kind {
            kind::DATA => self.take_data(frame),
            kind::HEADERS => self.take_headers(frame),
            kind::CONTINUATION => self.take_continuation(frame),
            kind::PRIORITY if frame.payload.len() != 5 => {
                Err(fault(ErrorCode::FrameSizeError, "PRIORITY has another length"))
            }
            kind::RST_STREAM => self.take_reset(frame),
            kind::SETTINGS => self.take_settings(frame),
            kind::PUSH_PROMISE => Err(fault(ErrorCode::ProtocolError, "a client promises something")),
            kind::PING => self.take_ping(frame),
            kind::GOAWAY if frame.payload.len() < 8 => {
                Err(fault(ErrorCode::FrameSizeError, "GOAWAY is too short"))
            }
            kind::GOAWAY => {
                self.client_goes = true;
                Ok(())
            }
            kind::WINDOW_UPDATE => self.take_window_update(frame),
            // Priorities have no effect here, and what is unknown is ignored (section 5.5).
            _ => Ok(()),
        }
    }

    fn take_settings(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        let broken = fault(ErrorCode::FrameSizeError, "SETTINGS has another length");
        if frame.has(flag::ACK) {
            return if frame.payload.is_empty() { Ok(()) } else { Err(broken) };
        }
        let (settings, rest) = frame.payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(broken);
        }
        for [a, b, c, d, e, f] in settings {
            let value = u32::from_be_bytes([*c, *d, *e, *f]);
            match u16::from_be_bytes([*a, *b]) {
                // Ours has nothing in it; a client that makes it smaller wants to be told so.
                setting::HEADER_TABLE_SIZE if value < 4096 => self.wire.owes_table_size = true,
                setting::ENABLE_PUSH if value > 1 => {
                    return Err(fault(ErrorCode::ProtocolError, "ENABLE_PUSH is neither 0 nor 1"));
                }
                setting::INITIAL_WINDOW_SIZE => {
                    if value > LARGEST {
                        return Err(fault(ErrorCode::FlowControlError, "an initial window is too large"));
                    }
                    let more = i64::from(value) - self.wire.initial_window;
                    self.wire.initial_window = i64::from(value);
                    for stream in self.streams.iter_mut().flatten() {
                        stream.window += more;
                        if stream.window > i64::from(LARGEST) {
                            return Err(fault(ErrorCode::FlowControlError, "a window becomes too large"));
                        }
                    }
                    if more > 0 {
                        self.note_blocked();
                    }
                }
                setting::MAX_FRAME_SIZE => {
                    let most = usize::try_from(value).unwrap_or(0);
                    if !(frame::MOST_PAYLOAD..1 << 24).contains(&most) {
                        return Err(fault(ErrorCode::ProtocolError, "MAX_FRAME_SIZE is out of its bounds"));
                    }
                    self.wire.most_payload = most.min(WIDEST);
                }
                _ => {}
            }
        }
        frame::write_head(&mut self.wire.out, 0, kind::SETTINGS, flag::ACK, 0);
        Ok(())
    }

    fn take_ping(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        let payload = <[u8; 8]>::try_from(frame.payload)
            .map_err(|_| fault(ErrorCode::FrameSizeError, "PING has another length"))?;
        if !frame.has(flag::ACK) {
            write_ping(&mut self.wire.out, flag::ACK, payload);
        } else if payload == FAREWELL && matches!(self.going, Going::Announced { .. }) {
            self.say_which_is_last();
        }
        Ok(())
    }

    fn take_window_update(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        let more = i64::from(frame.number()? & LARGEST);
        if frame.stream == 0 {
            let was_empty = self.wire.window <= 0;
            self.wire.window += more;
            if more == 0 {
                return Err(fault(ErrorCode::ProtocolError, "a window is made larger by nothing"));
            }
            if self.wire.window > i64::from(LARGEST) {
                return Err(fault(ErrorCode::FlowControlError, "a window becomes too large"));
            }
            if was_empty {
                self.note_blocked();
            }
            return Ok(());
        }
        let Some(index) = self.place_of(frame.stream) else { return self.not_idle(frame.stream) };
        let Some(stream) = &mut self.streams[index] else { return Ok(()) };
        stream.window += more;
        let window = stream.window;
        if more == 0 {
            return self.reset_for(frame.stream, ErrorCode::ProtocolError);
        }
        if window > i64::from(LARGEST) {
            return self.reset_for(frame.stream, ErrorCode::FlowControlError);
        }
        self.ready.note(index);
        Ok(())
    }

    fn take_reset(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        frame.number()?;
        let Some(index) = self.place_of(frame.stream) else { return self.not_idle(frame.stream) };
        drop(self.remove(index));
        self.lose_patience()
    }

    fn take_data(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        let data = frame.unpadded()?;
        let length = frame.payload.len() as i64;
        self.receives -= length;
        if self.receives < 0 {
            return Err(fault(
                ErrorCode::FlowControlError,
                "more was sent than the connection's window lets",
            ));
        }
        let Some(index) = self.place_of(frame.stream) else {
            self.not_idle(frame.stream)?;
            self.free(length);
            // It may not have heard yet that we reset it.
            return if self.reset.contains(&frame.stream) {
                Ok(())
            } else {
                self.reset_for(frame.stream, ErrorCode::StreamClosed)
            };
        };
        let Some(stream) = &mut self.streams[index] else { return Ok(()) };
        stream.receives -= length;
        let padding = length - data.len() as i64;
        let (receives, is_open) = (stream.receives, stream.is_open);
        let left = stream.left.map(|left| left.checked_sub(data.len() as u64));
        let ends = frame.has(flag::END_STREAM);
        let problem = match left {
            _ if !is_open => Some(ErrorCode::StreamClosed),
            _ if receives < 0 => Some(ErrorCode::FlowControlError),
            // Section 8.1.1.
            Some(None) => Some(ErrorCode::ProtocolError),
            Some(Some(1..)) if ends => Some(ErrorCode::ProtocolError),
            _ => None,
        };
        if let Some(code) = problem {
            self.free(length);
            return self.reset_for(frame.stream, code);
        }
        stream.left = left.flatten();
        stream.freed += u32::try_from(padding).unwrap_or(0);
        stream.give(data);
        if ends {
            stream.end(None);
        }
        self.free(padding);
        self.ready.note(index);
        Ok(())
    }

    fn take_headers(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        let mut block = frame.unpadded()?;
        if frame.stream.is_multiple_of(2) {
            return Err(fault(ErrorCode::ProtocolError, "a client's stream has an even number"));
        }
        if frame.has(flag::PRIORITY) {
            let (priority, rest) = block
                .split_first_chunk::<5>()
                .ok_or(fault(ErrorCode::FrameSizeError, "HEADERS are too short for their priority"))?;
            let [a, b, c, d, _] = *priority;
            if u32::from_be_bytes([a, b, c, d]) & LARGEST == frame.stream {
                return Err(fault(ErrorCode::ProtocolError, "a stream depends on itself"));
            }
            block = rest;
        }
        let ends_stream = frame.has(flag::END_STREAM);
        if frame.has(flag::END_HEADERS) {
            return self.take_block(frame.stream, ends_stream, block);
        }
        let octets = block.to_vec();
        self.block = Some(Block { stream: frame.stream, ends_stream, octets, frames: 0 });
        Ok(())
    }

    fn take_continuation(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        let Some(block) = &mut self.block else {
            return Err(fault(ErrorCode::ProtocolError, "CONTINUATION goes on with nothing"));
        };
        block.octets.extend_from_slice(frame.payload);
        block.frames += 1;
        let most = self.connection.server.limits.header_bytes as usize;
        if block.octets.len() > most || block.frames > MOST_CONTINUATIONS {
            return Err(fault(ErrorCode::EnhanceYourCalm, "a block of fields has no end"));
        }
        match self.block.take_if(|_| frame.has(flag::END_HEADERS)) {
            Some(block) => self.take_block(block.stream, block.ends_stream, &block.octets),
            None => Ok(()),
        }
    }

    /// Decodes a block of fields, which keeps the table right whatever becomes of the stream.
    fn take_block(&mut self, stream: u32, ends_stream: bool, block: &[u8]) -> Result<(), Fault> {
        let limit = self.connection.server.limits.header_bytes as usize;
        let mut fields = FIELDS.take();
        let taken = match self.decoder.decode(block, limit, &mut fields) {
            Ok(()) => self.take_fields(stream, ends_stream, &fields),
            Err(error) => Err(compression(error)),
        };
        FIELDS.set(fields);
        taken
    }

    fn take_fields(&mut self, number: u32, ends_stream: bool, fields: &Fields) -> Result<(), Fault> {
        if let Some(index) = self.place_of(number) {
            return self.take_trailers(index, ends_stream, fields);
        }
        if number <= self.last_stream {
            // It may not have heard yet that we reset it.
            return if self.reset.contains(&number) {
                Ok(())
            } else {
                Err(fault(ErrorCode::StreamClosed, "a stream's number is not larger than the last"))
            };
        }
        self.last_stream = number;
        if matches!(self.going, Going::Last(last) if number > last) {
            self.reset_ours(number, ErrorCode::RefusedStream);
            return Ok(());
        }
        if self.open >= self.connection.server.limits.streams as usize {
            return self.reset_for(number, ErrorCode::RefusedStream);
        }
        let begun = if fields.is_over {
            Ok(request::too_large(&self.connection))
        } else {
            request::begin(&self.connection, fields, ends_stream, &mut self.told)
        };
        match begun {
            Err(Malformed(text)) => {
                tracing::debug!(address = %self.connection.address, "a request is malformed: {text}");
                self.reset_for(number, ErrorCode::ProtocolError)
            }
            Ok(Begun::Abort) => {
                self.reset_ours(number, ErrorCode::InternalError);
                Ok(())
            }
            Ok(Begun::Work { work, length }) => {
                let mut stream = Box::new(Stream {
                    id: number,
                    is_open: !ends_stream,
                    window: self.wire.initial_window,
                    receives: STREAM_WINDOW,
                    freed: 0,
                    dropped: 0,
                    left: length,
                    is_blocked: false,
                    deadline: 0,
                    work,
                });
                self.set_deadline(&mut stream, true);
                self.place(stream);
                Ok(())
            }
        }
    }

    fn take_trailers(&mut self, index: usize, ends_stream: bool, fields: &Fields) -> Result<(), Fault> {
        let Some(stream) = &mut self.streams[index] else { return Ok(()) };
        let number = stream.id;
        if !stream.is_open {
            return self.reset_for(number, ErrorCode::StreamClosed);
        }
        let is_whole = stream.left.is_none_or(|left| left == 0);
        // Pseudo-fields have no place in them (section 8.1).
        let are_fields = fields.iter().all(|(name, value)| is_field(name, value));
        if !ends_stream || !are_fields || !is_whole || fields.is_over {
            return self.reset_for(number, ErrorCode::ProtocolError);
        }
        stream.end(Some(fields));
        self.ready.note(index);
        Ok(())
    }
}

fn compression(error: HpackError) -> Fault {
    let text = match error {
        HpackError::TooLarge => {
            return fault(ErrorCode::EnhanceYourCalm, "a list of fields is many times as large as it may be");
        }
        HpackError::Short => "a block of fields ends inside of one",
        HpackError::Integer => "an integer of a block is too large",
        HpackError::Index => "an index of a block is in no table",
        HpackError::TableSize => "the table of fields is made larger than was allowed",
        HpackError::Huffman => "a string's Huffman code is broken",
    };
    fault(ErrorCode::CompressionError, text)
}
