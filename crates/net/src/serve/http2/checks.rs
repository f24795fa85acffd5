//! What the fuzz targets check of the reading of HTTP/2; `serve::fuzzing` gives it to them.

use super::frame::Frame;
use super::hpack::{self, Decoder, Fields};
use super::{huffman, request};

/// Octets of a connection are cut into frames the same however they arrive, and each is as long as it says.
pub(in crate::serve) fn frames(bytes: &[u8]) {
    let mut at = 0;
    while let Ok(Some(frame)) = Frame::first(&bytes[at..]) {
        let length = frame.length();
        assert_eq!(Frame::first(&bytes[at..at + length]), Ok(Some(frame)));
        assert!(matches!(Frame::first(&bytes[at..at + length - 1]), Ok(None)));
        if let Ok(payload) = frame.unpadded() {
            assert!(payload.len() <= frame.payload.len());
        }
        at += length;
    }
}

/// Blocks of one connection, each with its length before it: what is decoded keeps within its limits, is written and
/// read back the same, and where it is a request, holds nothing that an HTTP/1.1 message could be broken with.
pub(in crate::serve) fn blocks(mut bytes: &[u8]) {
    const LIMIT: usize = 4096;
    let mut decoder = Decoder::new();
    let mut fields = Fields::default();
    while let Some((length, rest)) = bytes.split_first() {
        let (block, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = rest;
        if decoder.decode(block, LIMIT, &mut fields).is_err() {
            return;
        }
        assert!(fields.octets.len() <= LIMIT);
        let mut again = Vec::new();
        for (name, value) in fields.iter() {
            hpack::write_field(&mut again, name, value);
        }
        let mut found = Fields::default();
        assert_eq!(Decoder::new().decode(&again, usize::MAX, &mut found), Ok(()));
        assert_eq!(fields.list.len(), found.list.len());
        for ((name, value), (found_name, found_value)) in fields.iter().zip(found.iter()) {
            assert_eq!((&*name.to_ascii_lowercase(), value), (found_name, found_value));
        }
        request::check(&fields);
    }
}

/// A string in Huffman's code is one of at most eight fifths of its length.
pub(in crate::serve) fn string(bytes: &[u8]) {
    let mut out = Vec::new();
    if huffman::decode(bytes, &mut out).is_ok() {
        assert!(out.len() * 5 <= bytes.len() * 8);
    }
}
