//! A ClientHello whose extensions are the input.
#![no_main]

use explain::tls::handshake::{Context, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut body = vec![3, 3];
    body.extend([0; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend((input.len() as u16).to_be_bytes());
    body.extend(input);
    let mut message = vec![1];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    let context = Context { from_client: true, ..Context::default() };
    let covered: usize = decode(&message, &context).leaves().iter().map(|leaf| leaf.end - leaf.start).sum();
    assert_eq!(covered, message.len());
});
