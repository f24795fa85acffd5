//! TLS as it is decoded and shown: records, handshakes, captures, key logs, transcripts.

use explain::capture::reassembly::Index;
use explain::capture::{KeyLog, Transcript};
use explain::finding::Sender;
use explain::render::{Shown, conversations_json, html, ladder};
use explain::tls::handshake::{Context, decode};
use explain::tls::registry::KeyExchange;

fn assert_covered(message: &[u8], context: &Context) {
    let covered: usize = decode(message, context).leaves().iter().map(|leaf| leaf.end - leaf.start).sum();
    assert_eq!(covered, message.len());
}

/// A ClientHello whose extensions are the input.
pub(crate) fn extensions(input: &[u8]) {
    let mut body = vec![3, 3];
    body.extend([0; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend((input.len() as u16).to_be_bytes());
    body.extend(input);
    let mut message = vec![1];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend(body);
    assert_covered(&message, &Context { from_client: true, ..Context::default() });
}

/// A handshake message is covered by its leaves, byte for byte.
pub(crate) fn handshake(input: &[u8]) {
    let Some((choice, message)) = input.split_first() else { return };
    let context = Context {
        version: Some(if choice & 1 == 0 { 0x0304 } else { 0x0303 }),
        key_exchange: Some(if choice & 2 == 0 { KeyExchange::Ecdhe } else { KeyExchange::Dhe }),
        finished_length: Some(32),
        from_client: choice & 4 == 0,
    };
    assert_covered(message, &context);
}

/// Two streams of bytes are a conversation, whatever they are; the input is cut at its first byte's place. It is shown
/// in every way.
pub(crate) fn records(input: &[u8]) {
    let Some((cut, bytes)) = input.split_first() else { return };
    let (client, server) = bytes.split_at(bytes.len() * usize::from(*cut) / 256);
    let mut transcript = Transcript::default();
    transcript.push_bytes(Sender::Client, Default::default(), client);
    transcript.push_bytes(Sender::Server, Default::default(), server);
    let conversation = explain::tls::explain(&transcript);
    for message in &conversation.messages {
        assert_eq!(message.node.end, message.bytes.len());
    }
    let _ = ladder(&conversation, 80, false, true, Shown::default());
    let _ = conversations_json(std::slice::from_ref(&conversation), Shown::default());
    let _ = html(&[conversation], Shown::default());
}

/// A capture file of any bytes, and each connection in it explained.
pub(crate) fn pcap(file: &[u8]) {
    let Ok(index) = Index::read(file) else { return };
    for connection in &index.connections {
        let _ = explain::tls::explain(&connection.transcript(file, &index.notes.secrets));
    }
}

/// A key log of any bytes; what is understood of it is written and read back the same.
pub(crate) fn key_log(bytes: &[u8]) {
    let log = KeyLog::parse(bytes);
    let lines = log.to_lines();
    assert_eq!(*KeyLog::parse(lines.as_bytes()).to_lines(), *lines);
}

/// A transcript of any bytes; what is one is explained.
pub(crate) fn transcript(bytes: &[u8]) {
    if let Ok(transcript) = Transcript::from_bytes(bytes) {
        let again = Transcript::from_bytes(&transcript.to_bytes()).expect("what was written can be read");
        assert_eq!(again.events.len(), transcript.events.len());
        let _ = explain::tls::explain(&transcript);
    }
}
