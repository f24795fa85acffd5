//! Recordings cut, damaged and lied about: the decoder answers always, covers every byte, and says what is wrong.

use explain::capture::reassembly::Index;
use explain::capture::{KeyLog, Transcript, What, write};
use explain::render::{Shown, conversations_json, html, ladder};
use explain::tls::explain;
use proptest::prelude::*;

use crate::truths::assert_covered;
use crate::{recording, recordings};

/// Everything is shown, too: rendering must not fail either.
fn walk(name: &str, transcript: &Transcript) {
    let conversation = explain(transcript);
    assert_covered(name, &conversation);
    let _ = ladder(&conversation, 80, false, true, Shown::default());
    let _ = conversations_json(std::slice::from_ref(&conversation), Shown::default());
    let _ = html(&[conversation], Shown { secrets: Some(&transcript.secrets) });
}

fn first_bytes(transcript: &mut Transcript) -> Vec<&mut Vec<u8>> {
    transcript
        .events
        .iter_mut()
        .filter_map(|event| match &mut event.what {
            What::Bytes(bytes) => Some(bytes),
            _ => None,
        })
        .collect()
}

/// A small generator of the same numbers each time (xorshift), so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below.max(1) as u64).unwrap()
    }
}

#[test]
fn recordings_with_flipped_bytes_are_explained_to_their_end() {
    let mut numbers = Numbers(0x0bad_cafe_1234_5678);
    for (name, original) in recordings() {
        for _ in 0..12 {
            let mut transcript = original.clone();
            let mut chunks = first_bytes(&mut transcript);
            for _ in 0..1 + numbers.next(4) {
                let chunk = numbers.next(chunks.len());
                let at = numbers.next(chunks[chunk].len());
                chunks[chunk][at] = numbers.next(256) as u8;
            }
            walk(&name, &transcript);
        }
    }
}

#[test]
fn recordings_cut_anywhere_are_explained_to_their_end() {
    let original = recording("tls12-mutual");
    let lengths: Vec<usize> = first_bytes(&mut original.clone()).iter().map(|bytes| bytes.len()).collect();
    for (chunk, length) in lengths.iter().enumerate() {
        for cut in (0..*length).step_by(23) {
            let mut transcript = original.clone();
            first_bytes(&mut transcript)[chunk].truncate(cut);
            let conversation = explain(&transcript);
            assert_covered("cut", &conversation);
        }
    }
}

#[test]
fn lying_length_is_named_with_its_byte() {
    let mut transcript = recording("tls12-mutual");
    let mut chunks = first_bytes(&mut transcript);
    // The session id of the ClientHello: 43 bytes in comes its length.
    chunks[0][43] = 0xff;
    let conversation = explain(&transcript);
    let problems = conversation.messages[0].node.problems();
    assert!(
        problems.iter().any(|(offset, problem)| *offset == 38 && problem.contains("255 bytes")),
        "{problems:?}"
    );
}

#[test]
fn mutated_captures_and_key_logs_never_panic() {
    let mut numbers = Numbers(0x5eed_5eed_5eed_5eed);
    let transcript = recording("tls13-mutual");
    let log = transcript.secrets.to_lines().as_bytes().to_vec();
    let mut originals = vec![write::pcapng(&transcript).to_vec()];
    originals.extend(crate::captures::real_captures().into_iter().map(|(_, file)| file));
    for number in 0..300 {
        let (mut file, mut lines) = (originals[number % originals.len()].clone(), log.clone());
        for _ in 0..1 + numbers.next(6) {
            let at = numbers.next(file.len());
            file[at] = numbers.next(256) as u8;
            let at = numbers.next(lines.len());
            lines[at] = numbers.next(128) as u8;
        }
        file.truncate(file.len() - numbers.next(file.len() / 2));
        let keys = KeyLog::parse(&lines);
        if let Ok(index) = Index::read(&file) {
            for connection in &index.connections {
                assert_covered("mutated", &explain(&connection.transcript(&file, &keys)));
            }
        }
    }
}

#[test]
fn memory_stays_bounded_where_a_length_promises_much() {
    // A handshake message of 16 MiB, of which a little is there; and thousands of tiny records.
    let mut transcript = Transcript::default();
    let mut stream = vec![22, 3, 3, 0x40, 0, 1, 0xff, 0xff, 0xff];
    stream.resize(5 + 0x4000, 0);
    transcript.push_bytes(explain::finding::Sender::Client, Default::default(), &stream);
    for _ in 0..20_000 {
        transcript.push_bytes(explain::finding::Sender::Server, Default::default(), &[21, 3, 3, 0, 2, 1, 0]);
    }
    let conversation = explain(&transcript);
    assert!(conversation.messages.len() <= 4096 + 1, "{}", conversation.messages.len());
    assert!(
        conversation.limits.iter().any(|limit| limit.contains("more messages")),
        "{:?}",
        conversation.limits
    );
}

/// Found by fuzzing: it had no first letter to look at.
#[test]
fn a_line_that_begins_with_a_space_is_no_line_of_a_transcript() {
    let error = Transcript::from_bytes(b"countersign transcript 1\n  00 11\n").unwrap_err();
    assert!(error.to_string().contains("no line of version 1"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_handshake_message_is_covered(
        kind in prop_oneof![Just(1u8), Just(2), Just(4), Just(8), Just(11), Just(12), Just(13), Just(15), Just(16), Just(20),
                            Just(22), Just(24), Just(25), any::<u8>()],
        body in proptest::collection::vec(any::<u8>(), 0..400),
        tls13 in any::<bool>(),
        from_client in any::<bool>(),
    ) {
        let mut message = vec![kind, 0, (body.len() >> 8) as u8, body.len() as u8];
        message.extend(&body);
        let context = explain::tls::handshake::Context {
            version: Some(if tls13 { 0x0304 } else { 0x0303 }),
            key_exchange: Some(explain::tls::registry::KeyExchange::Ecdhe),
            finished_length: Some(32),
            from_client,
        };
        let node = explain::tls::handshake::decode(&message, &context);
        let covered: usize = node.leaves().iter().map(|leaf| leaf.end - leaf.start).sum();
        prop_assert_eq!(covered, message.len());
    }

    #[test]
    fn any_bytes_are_a_conversation(client in proptest::collection::vec(any::<u8>(), 0..300),
                                    server in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut transcript = Transcript::default();
        let mut record = vec![22, 3, 1, (client.len() >> 8) as u8, client.len() as u8];
        record.extend(&client);
        transcript.push_bytes(explain::finding::Sender::Client, Default::default(), &record);
        transcript.push_bytes(explain::finding::Sender::Server, Default::default(), &server);
        assert_covered("any", &explain(&transcript));
    }

    #[test]
    fn any_bytes_are_no_transcript_or_one(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Transcript::from_bytes(&bytes);
        let mut text = b"countersign transcript 1\n".to_vec();
        text.extend(&bytes);
        let _ = Transcript::from_bytes(&text);
        let _ = Index::read(&bytes);
    }
}

#[test]
fn a_transcript_that_names_no_server_is_read_again_as_it_was_written() {
    let written = Transcript::default().to_bytes();
    assert!(Transcript::from_bytes(&written).is_ok(), "{}", String::from_utf8_lossy(&written));
}
