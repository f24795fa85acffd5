//! Extensions that browsers and single libraries send beyond what every TLS 1.3 peer does: delegated credentials,
//! application settings, trust anchors, encrypted hellos, certificate transparency, and the last of older ones.

use super::{Place, empty, listed, numbers, status_request_body};
use crate::escape;
use crate::tls::der_fields;
use crate::tls::node::{Decoder, Said, hex_start, said};
use crate::tls::registry::{or_hex, signature_scheme_name};

/// A list whose items are read by `item`, each of which takes at least an octet or ends it.
fn list(
    d: &mut Decoder<'_>,
    octets_of_length: usize,
    name: &'static str,
    at: &'static str,
    meaning: &'static str,
    mut item: impl FnMut(&mut Decoder<'_>),
) {
    d.vector(octets_of_length, name, at, |inner| {
        while !inner.is_empty() {
            let start = inner.at();
            item(inner);
            if inner.at() == start {
                break;
            }
        }
        said("", meaning)
    });
}

/// Octets behind their length, of which nothing is known but what they are.
fn opaque(
    d: &mut Decoder<'_>,
    octets_of_length: usize,
    name: &'static str,
    at: &'static str,
    meaning: &'static str,
) {
    d.vector(octets_of_length, name, at, |inner| {
        inner.rest(name, at, |octets| said(hex_start(octets), meaning));
        Said::default()
    });
}

fn scheme(d: &mut Decoder<'_>, name: &'static str, at: &'static str, meaning: &'static str) {
    d.number(2, name, at, |scheme| {
        said(or_hex(signature_scheme_name(scheme as u16), scheme as u16), meaning)
    });
}

/// Delegated credentials (RFC 9345): a key of short life, which the certificate's holder signed for a server.
pub(super) fn delegated_credential(d: &mut Decoder<'_>, place: Place) -> Said {
    let at = "RFC 9345 section 4";
    if place != Place::Certificate {
        let found = numbers(
            d,
            2,
            "supported_signature_algorithm",
            "SignatureScheme",
            at,
            "In order of preference.",
            signature_scheme_name,
            "A way to sign: the key's kind and the hash.",
        );
        return said(
            listed(&found, signature_scheme_name),
            "Takes a key of short life in place of the certificate's own, where that has signed it (a delegated \
             credential), and signatures of these kinds with it.",
        );
    }
    d.number(4, "valid_time", at, |seconds| {
        said(
            format!("{seconds} s after the certificate's notBefore"),
            "When the credential ends: seven days at most after it was made.",
        )
    });
    scheme(d, "dc_cert_verify_algorithm", at, "How CertificateVerify is signed with it.");
    d.vector(3, "ASN1_subjectPublicKeyInfo", at, |key| {
        der_fields::structure(key, "SubjectPublicKeyInfo", "RFC 5280 section 4.1.2.7");
        said("", "The key that CertificateVerify is made with.")
    });
    scheme(d, "algorithm", at, "How the certificate's key signed the credential.");
    opaque(d, 2, "signature", at, "The certificate's signature over the credential.");
    said("", "A key of short life, signed by the certificate: CertificateVerify is made with it.")
}

/// Application-Layer Protocol Settings, which Chromium offers and servers of Google answer.
pub(super) fn application_settings(d: &mut Decoder<'_>, place: Place) -> Said {
    let at = "draft-vvv-tls-alps-01 section 4";
    if place == Place::ClientHello {
        list(d, 2, "supported_protocols", at, "Protocols by their ALPN names.", |inner| {
            inner.vector(1, "SupportedProtocol", at, |name| {
                let octets = name.rest("protocol", at, |octets| said(escape::bytes(octets), "A protocol."));
                said(escape::bytes(octets), "")
            });
        });
        return said(
            "",
            "The client would exchange settings of these protocols within the handshake already (ALPS).",
        );
    }
    d.rest("settings", at, |octets| {
        said(hex_start(octets), "Settings in the form of the protocol chosen by ALPN.")
    });
    said("", "This side's settings of the application protocol (ALPS).")
}

/// Trust anchor identifiers: arcs below 1.3.6.1.4.1, as a relative object identifier each.
pub(super) fn trust_anchors(d: &mut Decoder<'_>) -> Said {
    let at = "draft-ietf-tls-trust-anchor-ids section 4";
    if d.is_empty() {
        return said("", "The certificate was chosen by the trust anchors that the other side named.");
    }
    let mut count = 0;
    list(d, 2, "trust_anchors", at, "Each names a CA, by a number below 1.3.6.1.4.1.", |inner| {
        inner.vector(1, "TrustAnchorID", at, |id| {
            let octets = id.rest("id", at, |octets| {
                let said = said(arcs(octets), "A CA that is believed, or a set of them.");
                said.but_if(
                    octets.last().is_some_and(|last| last & 0x80 != 0),
                    "ends in the middle of a number",
                )
            });
            said(arcs(octets), "")
        });
        count += 1;
    });
    said(
        format!("{count} CA(s)"),
        "Names CAs that this side believes, so that a server with several chains can choose the one that fits.",
    )
}

/// The numbers of a relative object identifier (X.690 section 8.20), with dots between.
fn arcs(octets: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number = 0u64;
    for octet in octets {
        number = number << 7 | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            numbers.push(number.to_string());
            number = 0;
        }
    }
    numbers.join(".")
}

/// HPKE's functions by their numbers (RFC 9180 section 7).
fn hpke_kdf(id: u64) -> String {
    match id {
        1 => "HKDF-SHA256 (0x0001)".to_owned(),
        2 => "HKDF-SHA384 (0x0002)".to_owned(),
        3 => "HKDF-SHA512 (0x0003)".to_owned(),
        other => format!("0x{other:04x}"),
    }
}

fn hpke_aead(id: u64) -> String {
    match id {
        1 => "AES-128-GCM (0x0001)".to_owned(),
        2 => "AES-256-GCM (0x0002)".to_owned(),
        3 => "ChaCha20Poly1305 (0x0003)".to_owned(),
        other => format!("0x{other:04x}"),
    }
}

fn hpke_kem(id: u64) -> String {
    match id {
        0x10 => "DHKEM(P-256, HKDF-SHA256) (0x0010)".to_owned(),
        0x20 => "DHKEM(X25519, HKDF-SHA256) (0x0020)".to_owned(),
        other => format!("0x{other:04x}"),
    }
}

fn hpke_suite(d: &mut Decoder<'_>, at: &'static str) {
    d.number(2, "kdf_id", at, |id| said(hpke_kdf(id), "HPKE's key derivation function."));
    d.number(2, "aead_id", at, |id| said(hpke_aead(id), "HPKE's cipher."));
}

/// Encrypted Client Hello (RFC 9849): the hello in the hello, the answer to it, and keys for the next try.
pub(super) fn encrypted_client_hello(d: &mut Decoder<'_>, place: Place) -> Said {
    let at = "RFC 9849 section 5";
    match place {
        Place::ClientHello => {
            let kind = d.number(1, "type", at, |kind| match kind {
                0 => said("outer (0)", "The true ClientHello is encrypted in here."),
                1 => said("inner (1)", "This is the true ClientHello."),
                other => said(other.to_string(), "Unknown."),
            });
            if kind == Some(0) {
                hpke_suite(d, at);
                d.number(1, "config_id", at, |id| {
                    said(id.to_string(), "Which of the server's published keys was used.")
                });
                opaque(d, 2, "enc", at, "HPKE's encapsulated key.");
                opaque(d, 2, "payload", at, "The true ClientHello, encrypted.");
            }
            said(
                "",
                "Encrypted Client Hello: hides the true server name. Clients without a key for it send random bytes here.",
            )
        }
        Place::HelloRetryRequest => {
            d.octets(8, "confirmation", at, |octets| {
                said(hex_start(octets), "Shows that the server could decrypt the true ClientHello.")
            });
            said("", "The server's answer to the encrypted ClientHello.")
        }
        _ => {
            list(d, 2, "retry_configs", at, "Keys for the next try.", config);
            said("", "The server could not decrypt the hello in the hello, and says which keys it has now.")
        }
    }
}

fn config(d: &mut Decoder<'_>) {
    let at = "RFC 9849 section 4";
    d.group("ECHConfig", at, |config| {
        let version = config.number(2, "version", at, |version| {
            said(format!("0x{version:04x}"), "Which form follows; 0xfe0d is the RFC's.")
        });
        config.vector(2, "contents", at, |contents| {
            if version != Some(0xfe0d) {
                contents
                    .rest("contents", at, |octets| said(hex_start(octets), "In a form of another version."));
                return Said::default();
            }
            contents.number(1, "config_id", at, |id| said(id.to_string(), "The number of this key."));
            contents.number(2, "kem_id", at, |id| said(hpke_kem(id), "HPKE's key encapsulation."));
            opaque(contents, 2, "public_key", at, "The key that hellos are encrypted to.");
            list(contents, 2, "cipher_suites", at, "HPKE's functions that go with it.", |suite| {
                hpke_suite(suite, at);
            });
            contents.number(1, "maximum_name_length", at, |length| {
                said(
                    length.to_string(),
                    "Shorter names are padded to this, so that lengths do not give them away.",
                )
            });
            contents.vector(1, "public_name", at, |name| {
                name.rest("public_name", at, |octets| {
                    said(escape::bytes(octets), "The name to show in clear with this key.")
                });
                Said::default()
            });
            opaque(contents, 2, "extensions", at, "Extensions of the configuration.");
            Said::default()
        });
        said("", "A key for Encrypted Client Hello.")
    });
}

/// Signed certificate timestamps (RFC 6962): a log's promise each.
pub(super) fn signed_certificate_timestamps(d: &mut Decoder<'_>) -> Said {
    let at = "RFC 6962 section 3.2";
    let mut count = 0;
    list(d, 2, "sct_list", at, "One for each log.", |inner| {
        count += 1;
        inner.vector(2, "SerializedSCT", at, |sct| {
            sct.number(1, "sct_version", at, |version| {
                said(if version == 0 { "v1 (0)".to_owned() } else { version.to_string() }, "The version.")
            });
            sct.octets(32, "id", at, |octets| said(pki::hex(octets), "The log, by the SHA-256 of its key."));
            sct.number(8, "timestamp", at, |moment| {
                let moment =
                    i64::try_from(moment).ok().and_then(|m| jiff::Timestamp::from_millisecond(m).ok());
                let text = moment.map_or_else(|| "no moment".to_owned(), |moment| moment.to_string());
                said(text, "When the log promised to take the certificate in.")
            });
            opaque(sct, 2, "extensions", at, "Extensions of the promise.");
            scheme(sct, "algorithm", at, "How the log signs.");
            opaque(sct, 2, "signature", at, "The log's signature.");
            said("", "The promise of one log.")
        });
    });
    said(
        format!("{count} timestamp(s)"),
        "Promises of logs to make the certificate public (Certificate Transparency).",
    )
}

/// How many session tickets the client wants, or the server will send (RFC 9149).
pub(super) fn ticket_request(d: &mut Decoder<'_>, place: Place) -> Said {
    let at = "RFC 9149 section 3";
    if place != Place::ClientHello {
        d.number(1, "expected_count", at, |count| said(count.to_string(), "How many tickets will come."));
        return said("", "How many session tickets the server will send.");
    }
    d.number(1, "new_session_count", at, |count| {
        said(count.to_string(), "How many tickets are wanted after a whole handshake.")
    });
    d.number(1, "resumption_count", at, |count| {
        said(count.to_string(), "How many are wanted after a resumed one.")
    });
    said("", "How many session tickets the client has a use for.")
}

/// The older request for stapled OCSP responses, which Java still sends (RFC 6961).
pub(super) fn status_request_v2(d: &mut Decoder<'_>) -> Said {
    let at = "RFC 6961 section 2.2";
    list(d, 2, "certificate_status_req_list", at, "Kinds of status, the preferred one first.", |inner| {
        inner.group("CertificateStatusRequestItemV2", at, |item| {
            item.number(1, "status_type", at, |kind| {
                let name = match kind {
                    1 => "ocsp (1)".to_owned(),
                    2 => "ocsp_multi (2)".to_owned(),
                    other => other.to_string(),
                };
                said(name, "Which kind of status.")
            });
            item.vector(2, "request", at, |request| {
                status_request_body(request);
                Said::default()
            });
            Said::default()
        });
    });
    said("", "Asks for the revocation status of each certificate of the chain; RFC 8446 has no use for it.")
}

pub(super) fn heartbeat(d: &mut Decoder<'_>) -> Said {
    d.number(1, "mode", "RFC 6520 section 2", |mode| {
        let name = match mode {
            1 => "peer_allowed_to_send (1)".to_owned(),
            2 => "peer_not_allowed_to_send (2)".to_owned(),
            other => other.to_string(),
        };
        said(name, "Whether the other side may send heartbeats.")
    });
    said("", "Heartbeats, known from the bug named Heartbleed and out of use.")
}

pub(super) fn use_srtp(d: &mut Decoder<'_>) -> Said {
    let at = "RFC 5764 section 4.1.1";
    numbers(
        d,
        2,
        "SRTPProtectionProfiles",
        "SRTPProtectionProfile",
        at,
        "In order of preference.",
        |profile| match profile {
            1 => Some("SRTP_AES128_CM_HMAC_SHA1_80"),
            2 => Some("SRTP_AES128_CM_HMAC_SHA1_32"),
            7 => Some("SRTP_AEAD_AES_128_GCM"),
            8 => Some("SRTP_AEAD_AES_256_GCM"),
            _ => None,
        },
        "How media would be protected.",
    );
    opaque(d, 1, "srtp_mki", at, "A name for the master key.");
    said("", "Keys for media (SRTP) are to come out of this handshake.")
}

pub(super) fn next_protocol_negotiation(d: &mut Decoder<'_>) -> Said {
    let at = "draft-agl-tls-nextprotoneg-04 section 3";
    if d.is_empty() {
        return empty(d, "The forerunner of ALPN; hardly anybody speaks it any more.");
    }
    while !d.is_empty() {
        let start = d.at();
        d.vector(1, "protocol", at, |name| {
            let octets = name.rest("protocol", at, |octets| said(escape::bytes(octets), "A protocol."));
            said(escape::bytes(octets), "A protocol that the server speaks.")
        });
        if d.at() == start {
            break;
        }
    }
    said("", "The protocols that the server speaks, in the forerunner of ALPN.")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use crate::tls::handshake::{Context, decode};
    use crate::tls::node::Node;

    /// A message of this type whose last part is one extension, decoded.
    fn with_extension(kind: u8, before: &[u8], number: u16, data: &[u8]) -> Node {
        let length = |octets: usize, count: usize| count.to_be_bytes()[8 - octets..].to_vec();
        let extension = [number.to_be_bytes().to_vec(), length(2, data.len()), data.to_vec()].concat();
        let body = [before.to_vec(), length(2, extension.len()), extension].concat();
        let message = [vec![kind], length(3, body.len()), body].concat();
        let node = decode(&message, &Context { version: Some(0x0304), ..Context::default() });
        let covered: usize = node.leaves().iter().map(|leaf| leaf.end - leaf.start).sum();
        assert_eq!(covered, message.len());
        node
    }

    /// A ClientHello without anything before its extensions.
    fn in_client_hello(number: u16, data: &[u8]) -> Node {
        let before = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
        with_extension(1, &before, number, data)
    }

    fn values(node: &Node) -> Vec<(String, String)> {
        node.leaves().iter().map(|leaf| (leaf.name.to_string(), leaf.value.clone())).collect()
    }

    fn check(node: &Node, name: &str, expected: &[&str]) {
        assert_eq!(node.problems(), []);
        let found: Vec<String> =
            values(node).into_iter().filter(|(known, _)| known == name).map(|(_, value)| value).collect();
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn delegated_credentials_name_the_schemes_that_firefox_sends() {
        let node = in_client_hello(34, &[0, 8, 4, 3, 5, 3, 6, 3, 2, 3]);
        check(
            &node,
            "SignatureScheme",
            &[
                "ecdsa_secp256r1_sha256 (0x0403)",
                "ecdsa_secp384r1_sha384 (0x0503)",
                "ecdsa_secp521r1_sha512 (0x0603)",
                "ecdsa_sha1 (0x0203)",
            ],
        );
    }

    #[test]
    fn trust_anchors_are_numbers_with_dots_between() {
        // The first two of a list that Chromium sent.
        let node = in_client_hello(
            0xca34,
            &[0, 14, 5, 0x82, 0xdf, 0x13, 2, 1, 7, 0x82, 0xdf, 0x13, 2, 6, 0x83, 0x01],
        );
        check(&node, "id", &["44947.2.1", "44947.2.6.385"]);
        let cut = in_client_hello(0xca34, &[0, 2, 1, 0x82]);
        assert!(cut.problems().iter().any(|(_, problem)| problem.contains("middle of a number")));
    }

    #[test]
    fn application_settings_are_named_by_their_protocols() {
        check(&in_client_hello(17613, &[0, 3, 2, b'h', b'2']), "protocol", &["h2"]);
    }

    #[test]
    fn retry_configs_of_an_encrypted_hello_are_opened() {
        let contents =
            [&[42, 0, 0x20, 0, 4][..], &[9; 4], &[0, 4, 0, 1, 0, 3, 64, 11], b"example.com", &[0, 0]]
                .concat();
        let config = [&[0xfe, 0x0d, 0, contents.len() as u8][..], &contents].concat();
        let node = with_extension(8, &[], 0xfe0d, &[&[0, config.len() as u8][..], &config].concat());
        check(&node, "public_name", &["example.com"]);
        check(&node, "aead_id", &["ChaCha20Poly1305 (0x0003)"]);
        check(&node, "kem_id", &["DHKEM(X25519, HKDF-SHA256) (0x0020)"]);
    }

    #[test]
    fn a_log_and_its_moment_are_named_in_a_timestamp() {
        let sct =
            [&[0][..], &[5; 32], &1_700_000_000_000_u64.to_be_bytes(), &[0, 0, 4, 3, 0, 2, 1, 2]].concat();
        let list = [&[0, sct.len() as u8 + 2, 0, sct.len() as u8][..], &sct].concat();
        // A Certificate message has it with the certificate; the ServerHello of TLS 1.2 by itself.
        let before = [&[3, 3][..], &[7; 32], &[0, 0x13, 1, 0]].concat();
        let node = with_extension(2, &before, 18, &list);
        check(&node, "timestamp", &["2023-11-14T22:13:20Z"]);
    }

    #[test]
    fn what_java_and_older_clients_send_is_named_field_by_field() {
        // JSSE's status_request_v2: ocsp_multi, with neither responders nor extensions.
        let node = in_client_hello(17, &[0, 7, 2, 0, 4, 0, 0, 0, 0]);
        check(&node, "status_type", &["ocsp_multi (2)"]);
        check(&in_client_hello(15, &[1]), "mode", &["peer_allowed_to_send (1)"]);
        check(&in_client_hello(58, &[2, 1]), "resumption_count", &["1"]);
        check(
            &in_client_hello(14, &[0, 2, 0, 7, 0]),
            "SRTPProtectionProfile",
            &["SRTP_AEAD_AES_128_GCM (0x0007)"],
        );
        assert_eq!(in_client_hello(13172, &[]).problems(), []);
    }

    #[test]
    fn a_credential_in_a_certificate_is_read_to_its_signature() {
        let credential = [&[0, 1, 0x51, 0x80, 4, 3, 0, 0, 2, 0x30, 0, 4, 3, 0, 1, 0xaa][..]].concat();
        // No context, one entry with one octet for a certificate, and the extension behind it.
        let extension = [&[0, 34, 0, credential.len() as u8][..], &credential].concat();
        let entry = [&[0, 0, 1, 0x30, 0, extension.len() as u8][..], &extension].concat();
        let body = [&[0, 0, 0, entry.len() as u8][..], &entry].concat();
        let message = [&[11, 0, 0, body.len() as u8][..], &body].concat();
        let node = decode(&message, &Context { version: Some(0x0304), ..Context::default() });
        let found = values(&node);
        assert!(
            found
                .contains(&("valid_time".to_owned(), "86400 s after the certificate's notBefore".to_owned()))
        );
        assert!(found.contains(&("signature".to_owned(), "aa".to_owned())), "{found:?}");
    }
}
