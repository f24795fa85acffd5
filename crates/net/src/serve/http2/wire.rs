//! What a connection is about to send: frames are gathered while its streams are polled, and leave in one write.

use super::frame::{self, ErrorCode, HEAD, MOST_PAYLOAD, flag, kind};
use super::hpack;

/// Beyond this the streams wait until the client has taken what there is.
pub(super) const ENOUGH: usize = 128 * 1024;

/// The sending side that all streams share.
pub(super) struct Wire {
    pub(super) out: Vec<u8>,
    /// What may be sent of bodies on the whole connection (RFC 9113 section 5.2).
    pub(super) window: i64,
    /// The window of a stream at its beginning.
    pub(super) initial_window: i64,
    /// The largest payload of one frame.
    pub(super) most_payload: usize,
    /// The client has made the table smaller, and must be told that we have none.
    pub(super) owes_table_size: bool,
    /// The stream whose data was written last, and where its last frame begins, while that is in [`Self::out`].
    last_data: Option<(u32, usize)>,
}

/// A block of fields that is being written.
pub(super) struct Block {
    stream: u32,
    at: usize,
}

impl Wire {
    pub(super) fn new() -> Self {
        Wire {
            out: Vec::new(),
            window: 65_535,
            initial_window: 65_535,
            most_payload: MOST_PAYLOAD,
            owes_table_size: false,
            last_data: None,
        }
    }

    /// What was gathered has left.
    pub(super) fn clear(&mut self) {
        self.out.clear();
        self.last_data = None;
    }

    pub(super) fn is_full(&self) -> bool {
        self.out.len() >= ENOUGH
    }

    /// Begins a block of fields; they are written into [`Self::out`].
    pub(super) fn begin_block(&mut self, stream: u32) -> Block {
        let at = self.out.len();
        frame::write_head(&mut self.out, 0, kind::HEADERS, flag::END_HEADERS, stream);
        if std::mem::take(&mut self.owes_table_size) {
            hpack::write_empty_table(&mut self.out);
        }
        Block { stream, at }
    }

    /// Ends a block, and with it the stream where it has no body.
    pub(super) fn end_block(&mut self, block: &Block, ends_stream: bool) {
        let length = self.out.len() - block.at - HEAD;
        let flags = &mut self.out[block.at + 4];
        if ends_stream {
            *flags |= flag::END_STREAM;
        }
        if length <= self.most_payload {
            frame::set_length(&mut self.out, block.at, length);
            return;
        }
        // What does not fit goes on in CONTINUATION (section 6.10).
        *flags &= !flag::END_HEADERS;
        frame::set_length(&mut self.out, block.at, self.most_payload);
        let rest = self.out.split_off(block.at + HEAD + self.most_payload);
        let mut pieces = rest.chunks(self.most_payload).peekable();
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { flag::END_HEADERS } else { flag::NONE };
            frame::write_head(&mut self.out, piece.len(), kind::CONTINUATION, flags, block.stream);
            self.out.extend_from_slice(piece);
        }
    }

    /// Sends of `octets` what both windows let pass, and says how much that was.
    pub(super) fn data(&mut self, stream: u32, window: &mut i64, octets: &[u8]) -> usize {
        let room = usize::try_from(self.window.min(*window)).unwrap_or(0);
        let count = octets.len().min(room);
        self.out.reserve(count + (count / self.most_payload + 1) * HEAD);
        for piece in octets[..count].chunks(self.most_payload) {
            self.last_data = Some((stream, self.out.len()));
            frame::write_head(&mut self.out, piece.len(), kind::DATA, flag::NONE, stream);
            self.out.extend_from_slice(piece);
        }
        self.window -= count as i64;
        *window -= count as i64;
        count
    }

    /// Ends a stream: in the last frame of its data where that has not left, else with an empty one.
    pub(super) fn end_stream(&mut self, stream: u32) {
        match self.last_data {
            Some((of, at)) if of == stream => self.out[at + 4] |= flag::END_STREAM,
            _ => frame::write_head(&mut self.out, 0, kind::DATA, flag::END_STREAM, stream),
        }
    }

    pub(super) fn reset(&mut self, stream: u32, code: ErrorCode) {
        frame::write_reset(&mut self.out, stream, code);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::frame::Frame;
    use super::*;

    fn frames(mut octets: &[u8]) -> Vec<(u8, u8, u32, usize)> {
        let mut all = Vec::new();
        while let Some(frame) = Frame::first(octets).unwrap() {
            all.push((frame.kind, frame.flags, frame.stream, frame.payload.len()));
            octets = &octets[frame.length()..];
        }
        assert!(octets.is_empty());
        all
    }

    #[test]
    fn a_body_keeps_within_both_windows_and_ends_in_its_last_frame() {
        let mut wire = Wire::new();
        wire.window = 40_000;
        let mut window = 30_000;
        assert_eq!(wire.data(1, &mut window, &[0; 50_000]), 30_000);
        assert_eq!((wire.window, window), (10_000, 0));
        let mut other = 65_535;
        assert_eq!(wire.data(3, &mut other, &[0; 50_000]), 10_000);
        assert_eq!(wire.data(3, &mut other, &[0; 50_000]), 0, "the connection's window is empty");
        wire.end_stream(3);
        wire.end_stream(1);
        let data = kind::DATA;
        let expected = [
            (data, 0, 1, 16_384),
            (data, 0, 1, 13_616),
            (data, flag::END_STREAM, 3, 10_000),
            (data, flag::END_STREAM, 1, 0),
        ];
        assert_eq!(frames(&wire.out), expected);
        wire.clear();
        wire.end_stream(3);
        assert_eq!(frames(&wire.out), [(data, flag::END_STREAM, 3, 0)]);
        // A window that SETTINGS made negative lets nothing pass (RFC 9113 section 6.9.2).
        assert_eq!(wire.data(5, &mut -5, b"x"), 0);
    }

    #[test]
    fn a_block_that_is_too_large_for_a_frame_goes_on_in_others() {
        let mut wire = Wire::new();
        wire.owes_table_size = true;
        let block = wire.begin_block(7);
        wire.out.extend_from_slice(&[0; 40_000]);
        wire.end_block(&block, true);
        let expected = [
            (kind::HEADERS, flag::END_STREAM, 7, 16_384),
            (kind::CONTINUATION, flag::NONE, 7, 16_384),
            (kind::CONTINUATION, flag::END_HEADERS, 7, 7_233),
        ];
        assert_eq!(frames(&wire.out), expected);
        wire.clear();
        let block = wire.begin_block(9);
        hpack::write_status(&mut wire.out, 200);
        wire.end_block(&block, false);
        assert_eq!(frames(&wire.out), [(kind::HEADERS, flag::END_HEADERS, 9, 1)]);
    }
}
