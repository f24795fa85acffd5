//! Captures: link types, byte orders, packets that overtake, repeat and get lost.

use explain::capture::pcap::{self, Packet};
use explain::capture::reassembly::Index;
use explain::capture::{KeyLog, Transcript, write};
use explain::finding::Sender;
use explain::tls::{Kind, explain};

use crate::truths::assert_covered;
use crate::{folder, recording, recordings};

/// The packets of a recording, as raw IP.
fn packets(transcript: &Transcript) -> Vec<Vec<u8>> {
    let file = write::pcapng(transcript);
    let mut packets = Vec::new();
    pcap::read(&file, &mut |packet: Packet<'_>| packets.push(packet.bytes.to_vec())).unwrap();
    packets
}

/// A classic capture file, in either byte order.
fn file(link_type: u32, big: bool, packets: &[Vec<u8>]) -> Vec<u8> {
    let number = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut file = number(0xa1b2_c3d4).to_vec();
    file.extend(if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] });
    file.extend([0; 8]);
    file.extend(number(262_144));
    file.extend(number(link_type));
    for (index, packet) in packets.iter().enumerate() {
        file.extend(number(1_700_000_000));
        file.extend(number(index as u32 * 10));
        file.extend(number(packet.len() as u32));
        file.extend(number(packet.len() as u32));
        file.extend(packet);
    }
    file
}

fn only(file: &[u8], keys: &KeyLog) -> Transcript {
    let index = Index::read(file).unwrap();
    assert_eq!(index.connections.len(), 1);
    index.connections[0].transcript(file, keys)
}

fn streams(transcript: &Transcript) -> (Vec<u8>, Vec<u8>) {
    (transcript.stream(Sender::Client), transcript.stream(Sender::Server))
}

#[test]
fn written_capture_reads_back_with_its_secrets() {
    for (name, transcript) in recordings() {
        let file = write::pcapng(&transcript);
        let index = Index::read(&file).unwrap();
        let again = index.connections[0].transcript(&file, &index.notes.secrets);
        assert_eq!(streams(&again), streams(&transcript), "{name}");
        let kinds = |transcript: &Transcript| -> Vec<Kind> {
            explain(transcript).messages.iter().map(|message| message.kind).collect()
        };
        assert_eq!(kinds(&again), kinds(&transcript), "{name}");
    }
}

#[test]
fn every_link_type_and_byte_order_gives_the_same_bytes() {
    let transcript = recording("tls13-mutual");
    let packets = packets(&transcript);
    let with =
        |header: &[u8]| -> Vec<Vec<u8>> { packets.iter().map(|packet| [header, packet].concat()).collect() };
    let ethernet = [&[0; 12][..], &[0x08, 0x00]].concat();
    let vlan = [&[0; 12][..], &[0x81, 0x00, 0, 7, 0x08, 0x00]].concat();
    let cooked = [&[0; 14][..], &[0x08, 0x00]].concat();
    let cooked2 = [&[0x08, 0x00][..], &[0; 18]].concat();
    let cases: [(u32, Vec<u8>); 7] = [
        (101, vec![]),
        (228, vec![]),
        (0, vec![2, 0, 0, 0]),
        (1, ethernet),
        (1, vlan),
        (113, cooked),
        (276, cooked2),
    ];
    for (link_type, header) in cases {
        for big in [false, true] {
            let capture = file(link_type, big, &with(&header));
            let again = only(&capture, &transcript.secrets);
            assert_eq!(streams(&again), streams(&transcript), "link type {link_type}");
        }
    }
}

/// What dumpcap wrote while curl spoke with Node.js, over IPv4 with TLS 1.3 and over IPv6 with TLS 1.2; editcap put curl's
/// key log into it.
pub(crate) fn real_captures() -> Vec<(&'static str, Vec<u8>)> {
    // Ethernet on the loopback interface, and Linux's cooked capture of all interfaces.
    ["loopback", "any"]
        .map(|name| {
            let path = folder().join(format!("../captures/{name}.pcapng"));
            (name, std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .into()
}

#[test]
fn captures_of_dumpcap_are_opened_by_the_secrets_that_editcap_put_in() {
    for (name, file) in real_captures() {
        let index = Index::read(&file).unwrap();
        assert_eq!(index.notes.problems, Vec::<String>::new(), "{name}");
        let explained: Vec<_> = index
            .connections
            .iter()
            .map(|connection| explain(&connection.transcript(&file, &index.notes.secrets)))
            .collect();
        let facts: Vec<_> = explained
            .iter()
            .map(|one| (one.version_text(), one.is_mutual(), one.client.starts_with("[::1]:")))
            .collect();
        assert_eq!(
            facts,
            [("TLS 1.3".to_owned(), true, false), ("TLS 1.2".to_owned(), true, true)],
            "{name}"
        );
        for one in &explained {
            assert_covered(name, one);
            assert_eq!((one.findings.as_slice(), one.limits.as_slice()), (&[][..], &[][..]), "{name}");
            assert!(one.messages.iter().all(|message| message.kind != Kind::Encrypted), "{name}");
            let checks: Vec<_> = one.messages.iter().flat_map(|message| &message.checks).collect();
            assert!(checks.len() >= 4 && checks.iter().all(|check| check.passed == Some(true)), "{name}");
        }
    }
}

#[test]
fn ipv6_is_read_like_ipv4() {
    let transcript = recording("tls13-mutual");
    let six: Vec<Vec<u8>> = packets(&transcript)
        .iter()
        .map(|packet| {
            let tcp = &packet[20..];
            let mut six = vec![0x60, 0, 0, 0];
            six.extend((tcp.len() as u16 + 8).to_be_bytes());
            // Destination options before TCP.
            six.extend([60, 64]);
            let from_client = packet[15] == 1;
            for side in if from_client { [1, 2] } else { [2, 1] } {
                six.extend([0; 15]);
                six.push(side);
            }
            six.extend([6, 0, 1, 4, 0, 0, 0, 0]);
            six.extend(tcp);
            six
        })
        .collect();
    let capture = file(101, false, &six);
    assert_eq!(streams(&only(&capture, &KeyLog::default())), streams(&transcript));
}

#[test]
fn overtaking_and_repeated_packets_are_put_in_order() {
    let transcript = recording("tls13-mutual");
    let mut packets = packets(&transcript);
    let expected = streams(&transcript);
    // The whole connection backwards but for its opening, each packet twice.
    let opening: Vec<Vec<u8>> = packets.drain(..3).collect();
    packets.reverse();
    let doubled: Vec<Vec<u8>> =
        opening.into_iter().chain(packets.iter().flat_map(|p| [p.clone(), p.clone()])).collect();
    assert_eq!(streams(&only(&file(101, false, &doubled), &KeyLog::default())), expected);
}

#[test]
fn lost_packet_is_told_and_what_stands_before_it_is_explained() {
    let transcript = recording("tls12-mutual");
    let mut packets = packets(&transcript);
    // The opening is three packets, then the ClientHello; the server's flight is lost.
    let lost = packets.remove(4);
    assert!(lost.len() > 100);
    let capture = file(101, false, &packets);
    let conversation = explain(&only(&capture, &transcript.secrets));
    assert_eq!(conversation.messages[0].kind.name(), "ClientHello");
    assert!(
        conversation.limits.iter().any(|limit| limit.contains("are missing")),
        "{:?}",
        conversation.limits
    );
}

#[test]
fn several_connections_are_kept_apart_also_on_the_same_ports() {
    let (one, two) = (recording("tls13-mutual"), recording("tls12-mutual"));
    let same_ports = |transcript: &Transcript| {
        let mut transcript = transcript.clone();
        transcript.client = "127.0.0.1:50000".to_owned();
        transcript.server = "127.0.0.2:443".to_owned();
        packets(&transcript)
    };
    let all = [same_ports(&one), same_ports(&two)].concat();
    let capture = file(101, false, &all);
    let index = Index::read(&capture).unwrap();
    assert_eq!(index.connections.len(), 2);
    let found: Vec<_> =
        index.connections.iter().map(|c| streams(&c.transcript(&capture, &KeyLog::default()))).collect();
    assert_eq!(found, [streams(&one), streams(&two)]);
}

#[test]
fn capture_that_starts_in_the_middle_says_so() {
    let transcript = recording("tls13-mutual");
    let packets = packets(&transcript);
    let capture = file(101, false, &packets[4..]);
    let conversation = explain(&only(&capture, &transcript.secrets));
    assert!(
        conversation.limits.iter().any(|limit| limit.contains("does not start")),
        "{:?}",
        conversation.limits
    );
}

#[test]
fn bytes_of_the_client_hello_are_those_in_the_packet() {
    let transcript = recording("tls13-mutual");
    let capture = file(101, false, &packets(&transcript));
    let conversation = explain(&only(&capture, &transcript.secrets));
    let hello = &conversation.messages[0];
    let random = hello.node.find("random").unwrap();
    let place = hello.records[0].offset as usize + 5 + random.start;
    assert_eq!(&transcript.stream(Sender::Client)[place..place + 32], &hello.bytes[random.start..random.end]);
    let found = capture.windows(32).any(|window| window == &hello.bytes[random.start..random.end]);
    assert!(found, "the span is not in the capture");
}

#[test]
fn proxy_before_tls_is_passed_over_and_shown() {
    let mut transcript = recording("tls13-mutual");
    let connect = b"CONNECT localhost:443 HTTP/1.1\r\n\r\n";
    transcript.events.insert(
        0,
        explain::capture::Event {
            sender: Sender::Client,
            at: Default::default(),
            what: explain::capture::What::Bytes(connect.to_vec()),
        },
    );
    let conversation = explain(&transcript);
    assert_eq!(conversation.messages[0].kind, Kind::NotTls);
    assert!(conversation.is_mutual());
    assert!(conversation.findings.is_empty(), "{:?}", conversation.findings);
}
