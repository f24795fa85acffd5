//! Two streams of bytes are a conversation, whatever they are; the input is cut at its first byte's place.
#![no_main]

use explain::capture::Transcript;
use explain::finding::Sender;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((cut, bytes)) = input.split_first() else { return };
    let (client, server) = bytes.split_at(bytes.len() * usize::from(*cut) / 256);
    let mut transcript = Transcript::default();
    transcript.push_bytes(Sender::Client, Default::default(), client);
    transcript.push_bytes(Sender::Server, Default::default(), server);
    for message in explain::tls::explain(&transcript).messages {
        assert_eq!(message.node.end, message.bytes.len());
    }
});
