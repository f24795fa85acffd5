//! A handshake message is covered by its leaves, byte for byte.
#![no_main]

use explain::tls::handshake::{Context, decode};
use explain::tls::registry::KeyExchange;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, message)) = input.split_first() else { return };
    let context = Context {
        version: Some(if choice & 1 == 0 { 0x0304 } else { 0x0303 }),
        key_exchange: Some(if choice & 2 == 0 { KeyExchange::Ecdhe } else { KeyExchange::Dhe }),
        finished_length: Some(32),
        from_client: choice & 4 == 0,
    };
    let covered: usize = decode(message, &context).leaves().iter().map(|leaf| leaf.end - leaf.start).sum();
    assert_eq!(covered, message.len());
});
