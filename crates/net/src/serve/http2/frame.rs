//! The frames of HTTP/2 (RFC 9113 sections 4 and 6): how they are cut and written. What they mean is the session's.

/// What every client says first (section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest payload that is taken, which is also the least that every client takes (section 6.5.2).
pub(super) const MOST_PAYLOAD: usize = 16 * 1024;
/// The octets before a payload.
pub(super) const HEAD: usize = 9;
/// The largest window, and the largest number of a stream.
pub(super) const LARGEST: u32 = 0x7fff_ffff;

/// Types of frames.
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const PRIORITY: u8 = 2;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

/// Their flags.
pub(super) mod flag {
    pub(in super::super) const NONE: u8 = 0;
    pub(in super::super) const ACK: u8 = 1;
    pub(in super::super) const END_STREAM: u8 = 1;
    pub(in super::super) const END_HEADERS: u8 = 4;
    pub(in super::super) const PADDED: u8 = 8;
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

/// Settings (section 6.5.2).
pub(super) mod setting {
    pub(in super::super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super) const MAX_FRAME_SIZE: u16 = 5;
    pub(in super::super) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// Errors (section 7), those that are said here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorCode {
    NoError = 0,
    ProtocolError = 1,
    InternalError = 2,
    FlowControlError = 3,
    StreamClosed = 5,
    FrameSizeError = 6,
    RefusedStream = 7,
    Cancel = 8,
    CompressionError = 9,
    EnhanceYourCalm = 11,
}

/// What ends a connection (section 5.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(super) struct Fault {
    pub(super) code: ErrorCode,
    pub(super) text: &'static str,
}

/// A fault of this kind.
pub(super) fn fault(code: ErrorCode, text: &'static str) -> Fault {
    Fault { code, text }
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'o> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'o [u8],
}

impl<'o> Frame<'o> {
    /// The frame that `octets` begin with; `None` where it has not arrived in whole.
    pub(super) fn first(octets: &'o [u8]) -> Result<Option<Self>, Fault> {
        let Some((head, rest)) = octets.split_first_chunk::<HEAD>() else { return Ok(None) };
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        if length > MOST_PAYLOAD {
            return Err(fault(ErrorCode::FrameSizeError, "a frame is larger than was allowed"));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & LARGEST;
        Ok(Some(Frame { kind: head[3], flags: head[4], stream, payload }))
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The octets of the frame.
    pub(super) fn length(&self) -> usize {
        HEAD + self.payload.len()
    }

    /// The payload without its padding (sections 6.1 and 6.2).
    pub(super) fn unpadded(&self) -> Result<&'o [u8], Fault> {
        if !self.has(flag::PADDED) {
            return Ok(self.payload);
        }
        let broken = fault(ErrorCode::ProtocolError, "a frame has more padding than payload");
        let (padding, rest) = self.payload.split_first().ok_or(broken)?;
        let length = rest.len().checked_sub(usize::from(*padding)).ok_or(broken)?;
        Ok(&rest[..length])
    }

    /// A payload that is one number.
    pub(super) fn number(&self) -> Result<u32, Fault> {
        let octets = <[u8; 4]>::try_from(self.payload);
        octets
            .map(u32::from_be_bytes)
            .map_err(|_| fault(ErrorCode::FrameSizeError, "a frame's payload has another length"))
    }
}

/// Writes the octets before a payload.
pub(super) fn write_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let size = (length as u32).to_be_bytes();
    let id = stream.to_be_bytes();
    out.extend_from_slice(&[size[1], size[2], size[3], kind, flags, id[0], id[1], id[2], id[3]]);
}

/// Writes the length into a head that begins at `at`.
pub(super) fn set_length(out: &mut [u8], at: usize, length: usize) {
    let size = (length as u32).to_be_bytes();
    out[at..at + 3].copy_from_slice(&size[1..]);
}

pub(super) fn write_reset(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    write_head(out, 4, kind::RST_STREAM, flag::NONE, stream);
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

pub(super) fn write_window_update(out: &mut Vec<u8>, stream: u32, more: u32) {
    write_head(out, 4, kind::WINDOW_UPDATE, flag::NONE, stream);
    out.extend_from_slice(&more.to_be_bytes());
}

pub(super) fn write_ping(out: &mut Vec<u8>, flags: u8, payload: [u8; 8]) {
    write_head(out, 8, kind::PING, flags, 0);
    out.extend_from_slice(&payload);
}

pub(super) fn write_go_away(out: &mut Vec<u8>, last: u32, code: ErrorCode) {
    write_head(out, 8, kind::GOAWAY, flag::NONE, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

pub(super) fn write_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    write_head(out, settings.len() * 6, kind::SETTINGS, flag::NONE, 0);
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_is_no_part_of_a_payload() {
        let padded = |payload| Frame { kind: kind::DATA, flags: flag::PADDED, stream: 1, payload };
        assert_eq!(padded(b"\x02hi\0\0").unpadded(), Ok(&b"hi"[..]));
        assert_eq!(padded(b"\x02\0\0").unpadded(), Ok(&b""[..]));
        assert!(padded(b"\x03hi").unpadded().is_err());
        assert!(padded(b"").unpadded().is_err());
    }

    proptest! {
        #[test]
        fn a_frame_is_read_as_it_was_written(
            kind: u8,
            flags: u8,
            stream in 0..=LARGEST,
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            behind in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut octets = Vec::new();
            write_head(&mut octets, 0, kind, flags, stream);
            set_length(&mut octets, 0, payload.len());
            octets.extend_from_slice(&payload);
            for end in 0..octets.len() {
                prop_assert_eq!(Frame::first(&octets[..end]), Ok(None));
            }
            let length = octets.len();
            octets.extend_from_slice(&behind);
            let found = Frame::first(&octets).unwrap().unwrap();
            prop_assert_eq!(found, Frame { kind, flags, stream, payload: &payload });
            prop_assert_eq!(found.length(), length);
        }
    }
}
