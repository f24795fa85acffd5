//! What must hold for every recording: all is decrypted, checks hold, each byte belongs to one labelled leaf.

use std::path::PathBuf;

use explain::FindingCode;
use explain::capture::{KeyLog, Transcript};
use explain::finding::Sender;
use explain::tls::{Conversation, Kind, Node, explain};

use crate::{recording, recordings};

fn cover(name: &str, number: usize, node: &Node, start: usize, end: usize) {
    let mut at = start;
    for child in &node.children {
        assert_eq!(child.start, at, "{name}, message {number}: a gap or overlap before {}", child.name);
        assert!(
            child.end > child.start && child.end <= end,
            "{name}, message {number}: {} has no place",
            child.name
        );
        cover(name, number, child, child.start, child.end);
        at = child.end;
    }
    if node.children.is_empty() {
        assert!(!node.name.is_empty(), "{name}, message {number}: a leaf at {start} has no label");
    } else {
        assert_eq!(at, end, "{name}, message {number}: {} leaves bytes at its end", node.name);
    }
}

/// Each byte of a message belongs to exactly one leaf.
pub(crate) fn assert_covered(name: &str, conversation: &Conversation) {
    for message in &conversation.messages {
        assert_eq!(
            (message.node.start, message.node.end),
            (0, message.bytes.len()),
            "{name}, message {}",
            message.number
        );
        cover(name, message.number, &message.node, 0, message.bytes.len());
        if let Some((bytes, inside)) = &message.inside {
            cover(name, message.number, inside, 0, bytes.len());
        }
    }
}

#[test]
fn each_byte_belongs_to_one_leaf_with_label_meaning_and_source() {
    for (name, transcript) in recordings() {
        let conversation = explain(&transcript);
        assert_covered(&name, &conversation);
        for message in &conversation.messages {
            assert!(
                !message.why.is_empty(),
                "{name}, message {}: nobody says why it is there",
                message.number
            );
            for leaf in message.node.leaves() {
                let place = format!("{name}, message {}, {} at {}", message.number, leaf.name, leaf.start);
                assert!(!leaf.meaning.is_empty(), "{place}: no meaning");
                let sources = ["RFC ", "X.690 ", "draft-"];
                assert!(
                    sources.iter().any(|source| leaf.reference.starts_with(source)),
                    "{place}: no source"
                );
                let known = !leaf.meaning.contains("ndecoded") && !leaf.meaning.contains("ot known here");
                assert!(known, "{place}: {}", leaf.meaning);
                assert_eq!(leaf.problem, None, "{place}: real peers send nothing wrong");
            }
        }
    }
}

#[test]
fn everything_is_decrypted_and_every_check_holds() {
    for (name, transcript) in recordings() {
        let conversation = explain(&transcript);
        let kinds: Vec<Kind> = conversation.messages.iter().map(|message| message.kind).collect();
        assert!(!kinds.contains(&Kind::Encrypted), "{name}: {kinds:?}");
        let checks: Vec<_> = conversation.messages.iter().flat_map(|message| &message.checks).collect();
        assert!(checks.len() >= 2, "{name}: only {} checks", checks.len());
        for check in checks {
            assert_eq!(check.passed, Some(true), "{name}: {}", check.text);
        }
    }
}

#[test]
fn findings_name_what_went_wrong() {
    let expected = [
        ("tls13-mutual", None),
        ("tls13-no-client-certificate", Some(FindingCode::NoClientCertificate)),
        ("tls13-wrong-ca", Some(FindingCode::UnknownIssuer)),
        ("tls13-expired", Some(FindingCode::CertificateExpired)),
        ("hello-retry-request", None),
        ("resumed", None),
        ("tls12-mutual", None),
        ("nodejs-closes-silently", Some(FindingCode::CertificateRefused)),
        ("chromium", None),
        ("firefox", None),
    ];
    for (name, code) in expected {
        let conversation = explain(&recording(name));
        assert_eq!(conversation.findings.first().map(|finding| finding.code), code, "{name}");
    }
}

#[test]
fn resumption_and_retry_are_recognised() {
    let resumed = explain(&recording("resumed"));
    assert!(resumed.resumed && resumed.complete && resumed.server_chain.is_none());
    let retried = explain(&recording("hello-retry-request"));
    assert!(retried.hello_retry && retried.is_mutual());
    let kinds: Vec<&str> = retried.messages.iter().take(4).map(|message| message.kind.name()).collect();
    assert!(kinds.starts_with(&["ClientHello", "HelloRetryRequest"]), "{kinds:?}");
}

/// What tells the two apart from every other client.
#[test]
fn extensions_of_browsers_are_named_and_opened() {
    for (name, own) in [
        ("chromium", ["application_settings", "trust_anchors", "encrypted_client_hello", "GREASE"]),
        ("firefox", ["delegated_credential", "record_size_limit", "encrypted_client_hello", "key_share"]),
    ] {
        let conversation = explain(&recording(name));
        assert!(conversation.is_mutual() && conversation.complete, "{name}");
        let hello = &conversation.messages[0].node;
        for extension in own {
            let node = hello.find(extension).unwrap_or_else(|| panic!("{name}: no {extension}"));
            // The type, the length, and what is in it; GREASE may be empty. That all is known is shown above.
            assert!(extension == "GREASE" || node.leaves().len() >= 3, "{name}: {extension} is empty");
        }
        let compressed = conversation.messages.iter().any(|message| message.kind == Kind::Handshake(25));
        assert!(!compressed, "{name}: what compresses here? Then it has to be looked at");
    }
}

#[test]
fn data_before_the_handshake_is_opened_told_and_warned_of() {
    let conversation = explain(&recording("early-data"));
    assert!(conversation.early_data && conversation.resumed && conversation.complete);
    let place = |kind: Kind| conversation.messages.iter().position(|message| message.kind == kind).unwrap();
    let data = &conversation.messages[place(Kind::ApplicationData)];
    assert_eq!(data.sender, Sender::Client);
    assert_eq!(data.bytes, b"sent before the handshake is done\n");
    assert!(data.why.contains("0-RTT") && data.why.contains("replay"), "{}", data.why);
    assert!(data.why.ends_with("The server took it."), "{}", data.why);
    assert_eq!(conversation.early_data_accepted, Some(true));
    // ServerHello (2) comes after it, EndOfEarlyData (5) ends it.
    assert!(place(Kind::ApplicationData) < place(Kind::Handshake(2)));
    assert!(place(Kind::Handshake(2)) < place(Kind::Handshake(5)));
}

/// For each way of a server to refuse 0-RTT data: whether it asks for another ClientHello, and whether it resumes.
#[test]
fn data_that_the_server_refuses_are_opened_and_told_to_be_lost() {
    let ways = [
        ("early-data-refused-by-retry", true, true, Kind::HelloRetryRequest),
        ("early-data-refused-with-the-ticket", false, false, Kind::Handshake(2)),
        ("early-data-refused-for-another-protocol", false, true, Kind::Handshake(8)),
    ];
    for (name, retry, resumed, answer) in ways {
        let conversation = explain(&recording(name));
        assert!(conversation.early_data && conversation.complete, "{name}");
        assert_eq!(conversation.early_data_accepted, Some(false), "{name}");
        assert_eq!((conversation.hello_retry, conversation.resumed), (retry, resumed), "{name}");
        let data = conversation
            .messages
            .iter()
            .find(|message| message.kind == Kind::ApplicationData && message.sender == Sender::Client)
            .unwrap();
        assert_eq!(data.bytes, b"sent before the handshake is done\n", "{name}");
        assert!(data.why.contains("The server refused it"), "{name}: {}", data.why);
        let answer = conversation.messages.iter().find(|message| message.kind == answer).unwrap();
        assert!(answer.moment.is_some_and(|moment| moment.contains("thrown its 0-RTT data away")), "{name}");
        // EndOfEarlyData belongs to data that were taken.
        assert!(conversation.messages.iter().all(|message| message.kind != Kind::Handshake(5)), "{name}");
        assert_eq!(conversation.findings, [], "{name}: a refusal is nothing wrong");
    }
}

#[test]
fn without_its_secret_early_data_stays_closed_and_the_rest_is_opened() {
    for name in ["early-data", "early-data-refused-by-retry", "early-data-refused-for-another-protocol"] {
        let mut transcript = recording(name);
        let lines = transcript.secrets.to_lines();
        let kept: Vec<&str> = lines.lines().filter(|line| !line.starts_with("CLIENT_EARLY_")).collect();
        transcript.secrets = KeyLog::parse(kept.join("\n").as_bytes());
        let conversation = explain(&transcript);
        let closed: Vec<_> =
            conversation.messages.iter().filter(|message| message.kind == Kind::Encrypted).collect();
        assert!(!closed.is_empty() && closed.iter().all(|m| m.sender == Sender::Client), "{name}");
        assert!(closed[0].why.starts_with("0-RTT data"), "{name}: {}", closed[0].why);
        let finished = conversation.messages.iter().filter(|m| m.kind == Kind::Handshake(20));
        // Of data that were taken, EndOfEarlyData is under the same key, and the transcript has it.
        assert_eq!(finished.count(), 2, "{name}");
    }
}

#[test]
fn certificates_are_shown_whichever_way_they_were_compressed() {
    for algorithm in ["zlib", "brotli", "zstd"] {
        let conversation = explain(&recording(&format!("compressed-{algorithm}")));
        let compressed: Vec<_> =
            conversation.messages.iter().filter(|message| message.kind == Kind::Handshake(25)).collect();
        let senders: Vec<Sender> = compressed.iter().map(|message| message.sender).collect();
        assert_eq!(senders, [Sender::Server, Sender::Client], "{algorithm}");
        for message in compressed {
            let (plain, inside) = message.inside.as_ref().unwrap();
            assert!(plain.len() > message.bytes.len(), "{algorithm}: {} octets", plain.len());
            assert!(inside.leaves().iter().all(|leaf| leaf.problem.is_none()), "{algorithm}");
            let names: Vec<String> = message.node.leaves().iter().map(|leaf| leaf.value.clone()).collect();
            assert!(names.iter().any(|value| value.contains(algorithm)), "{algorithm}: {names:?}");
        }
        assert!(conversation.is_mutual() && conversation.findings.is_empty(), "{algorithm}");
    }
}

#[test]
fn what_comes_after_a_key_update_is_decrypted_in_both_directions() {
    let conversation = explain(&recording("key-update"));
    let updates: Vec<Sender> = conversation
        .messages
        .iter()
        .filter(|message| message.kind == Kind::Handshake(24))
        .map(|message| message.sender)
        .collect();
    assert_eq!(updates, [Sender::Client, Sender::Server]);
    let last = conversation.messages.iter().rposition(|message| message.kind == Kind::Handshake(24)).unwrap();
    assert!(
        conversation.messages[last..]
            .iter()
            .any(|m| m.kind == Kind::ApplicationData || m.kind == Kind::Alert)
    );
}

#[test]
fn without_secrets_the_size_gives_the_empty_certificate_away() {
    let mut transcript = recording("tls13-no-client-certificate");
    transcript.secrets = KeyLog::default();
    let conversation = explain(&transcript);
    let hints: Vec<&str> = conversation
        .messages
        .iter()
        .filter(|message| message.sender == Sender::Client && message.kind == Kind::Encrypted)
        .map(|message| message.summary.as_str())
        .collect();
    assert!(hints.iter().any(|hint| hint.contains("no client certificate")), "{hints:?}");
    assert!(
        conversation.limits.iter().any(|limit| limit.contains("no secrets")),
        "{:?}",
        conversation.limits
    );
    assert_eq!(conversation.version_text(), "TLS 1.3");
}

#[test]
fn without_secrets_tls_1_2_still_shows_both_certificates_and_the_clients_proof() {
    let mut transcript = recording("tls12-mutual");
    transcript.secrets = KeyLog::default();
    let conversation = explain(&transcript);
    assert_eq!(conversation.server_chain.as_ref().map(Vec::len), Some(2));
    assert_eq!(conversation.client_chain.as_ref().map(Vec::len), Some(2));
    assert!(conversation.is_mutual());
}

#[test]
fn secrets_of_the_handshake_alone_explain_it_and_keep_the_rest_closed() {
    let mut transcript = recording("tls13-no-client-certificate");
    transcript.secrets = transcript.secrets.of_handshake_alone();
    let conversation = explain(&transcript);
    assert_eq!(conversation.client_chain, Some(Vec::new()));
    let sealed: Vec<&str> = conversation
        .messages
        .iter()
        .filter(|message| message.kind == Kind::Encrypted)
        .map(|message| message.summary.as_str())
        .collect();
    assert!(sealed.iter().any(|summary| summary.contains("only an alert")), "{sealed:?}");
}

#[test]
fn one_flipped_byte_breaks_the_seal_and_is_found() {
    // The last byte of the ClientHello's random value, which is in clear.
    let mut transcript = recording("tls12-mutual");
    let explain::capture::What::Bytes(bytes) = &mut transcript.events[0].what else { panic!("no bytes") };
    bytes[5 + 4 + 2 + 31] ^= 1;
    let conversation = explain(&transcript);
    let failed = conversation
        .messages
        .iter()
        .flat_map(|m| &m.checks)
        .filter(|check| check.passed == Some(false))
        .count();
    assert!(failed >= 2, "the signatures cover the random value");
    assert!(conversation.findings.iter().any(|finding| finding.code == FindingCode::CryptographicFailure));
}

#[test]
fn page_and_json_hold_no_secret_unless_asked() {
    use explain::render::{Shown, conversations_json, html, ladder};
    for (name, transcript) in recordings() {
        let conversations = [explain(&transcript)];
        let closed = Shown::default();
        let open = Shown { secrets: Some(&transcript.secrets) };
        let (page, json) =
            (html(&conversations, closed), conversations_json(&conversations, closed).to_string());
        let (open_page, open_json) =
            (html(&conversations, open), conversations_json(&conversations, open).to_string());
        for (_, secrets) in transcript.secrets.iter() {
            for (label, secret) in secrets.iter() {
                let secret = pki::hex(secret);
                assert!(!page.contains(&secret) && !json.contains(&secret), "{name}: {label} is shown");
                assert!(open_json.contains(&secret), "{name}: {label} is not shown on demand");
            }
        }
        assert!(open_page.contains("whoever has it can read what was recorded"), "{name}");
        let (text, open_text) = (
            ladder(&conversations[0], 80, false, true, closed),
            ladder(&conversations[0], 200, false, true, open),
        );
        for (_, secrets) in transcript.secrets.iter() {
            for (label, secret) in secrets.iter() {
                let secret = pki::hex(secret);
                assert!(!text.contains(&secret), "{name}: the text shows {label}");
                let scheduled = conversations[0].schedule.iter().any(|one| one.label == Some(label));
                assert_eq!(open_text.contains(&secret), scheduled, "{name}: {label} in the text, on demand");
            }
        }
        for message in
            conversations[0].messages.iter().filter(|message| message.kind == Kind::ApplicationData)
        {
            assert!(
                message.bytes.len() < 8 || !json.contains(&pki::hex(&message.bytes)),
                "{name}: data is shown"
            );
        }
    }
}

#[test]
fn json_has_the_form_that_the_help_promises() {
    use explain::render::{Shown, conversations_json};
    let value = conversations_json(&[explain(&recording("tls13-mutual"))], Shown::default());
    let connection = &value["connections"][0];
    assert_eq!(connection["version"], "TLS 1.3");
    let messages = connection["messages"].as_array().unwrap();
    let request = messages.iter().find(|message| message["type"] == "CertificateRequest").unwrap();
    assert_eq!(request["sender"], "server");
    assert!(request["bytes"].as_str().unwrap().starts_with("0d"));
    assert!(request["fields"][0]["start"] == 0 && request["fields"][0]["end"] == 1);
    let certificate = messages
        .iter()
        .find(|message| message["type"] == "Certificate" && message["sender"] == "client")
        .unwrap();
    assert_eq!(certificate["certificates"][0]["subject"], "CN=alice");
    assert!(certificate["certificates"][0]["issuer"].as_str().unwrap().starts_with("CN="));
    assert_eq!(connection["findings"], serde_json::json!([]));
}

/// A page of six connections, as `demo --html` makes it, once had 1.7 MB.
#[test]
fn a_page_says_the_same_bytes_once_and_points_there() {
    use explain::render::{Shown, html};
    let one = explain(&recording("tls13-mutual"));
    let page = |count: usize| html(&vec![one.clone(); count], Shown::default());
    let (first, three) = (page(1), page(3));
    let random = one.messages[0].node.find("random").unwrap().value.clone();
    assert_eq!(three.matches(&random).count(), first.matches(&random).count());
    assert!(three.contains(
        "data-of=\"c1m1b\">Byte for byte the same as in <a href=\"#c1m1\">message 1 of connection 1</a>"
    ));
    assert!(three.contains("id=\"c1m1b\"") && three.contains("id=\"c1m1\""));
    // 308 KB before; the bytes, names, values and meanings alone are 100.
    assert!(first.len() < 210_000, "{} octets", first.len());
    let again = (three.len() - first.len()) / 2;
    assert!(
        again < first.len() / 5,
        "{again} octets for the same once more, and {} for the first",
        first.len()
    );
}

#[test]
fn saved_transcript_reads_back_the_same() {
    for (name, transcript) in recordings() {
        let again = explain::capture::Transcript::from_bytes(&transcript.to_bytes()).unwrap();
        assert_eq!(again.events, transcript.events, "{name}");
        assert_eq!(*again.secrets.to_lines(), *transcript.secrets.to_lines(), "{name}");
        assert_eq!(
            (again.client, again.server, again.started),
            (transcript.client, transcript.server, transcript.started)
        );
    }
}

#[test]
fn brief_walk_for_a_table_comes_to_the_same_end() {
    for (name, transcript) in recordings() {
        let (full, brief) = (explain(&transcript), explain::tls::explain_briefly(&transcript));
        let kinds =
            |conversation: &Conversation| conversation.messages.iter().map(|m| m.kind).collect::<Vec<_>>();
        assert_eq!(kinds(&brief), kinds(&full), "{name}");
        assert_eq!(brief.findings, full.findings, "{name}");
        assert_eq!(
            (brief.is_mutual(), brief.resumed, brief.version),
            (full.is_mutual(), full.resumed, full.version),
            "{name}"
        );
        assert_covered(&name, &brief);
    }
}

#[test]
fn the_format_that_the_guide_describes_is_the_one_that_is_read() {
    let guide = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/explain.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let example = guide.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let transcript = Transcript::from_bytes(example.as_bytes()).unwrap();
    assert_eq!(
        (transcript.client.as_str(), transcript.server.as_str()),
        ("127.0.0.1:50012", "localhost:8443")
    );
    assert_eq!((transcript.events.len(), transcript.secrets.len(), transcript.remarks.len()), (5, 1, 1));
    // Written again it has the same lines, without the comment.
    let lines: Vec<&str> = example.lines().filter(|line| !line.starts_with('#')).collect();
    let written = transcript.to_bytes();
    let written: Vec<&str> = std::str::from_utf8(&written).unwrap().lines().collect();
    assert_eq!(written, lines);
}
